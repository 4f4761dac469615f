/*
 * layout.h: where things lie in guest memory when a kernel is loaded directly, and the fixed
 * addresses that firmware tables and the board must agree on.
 *
 * Not here: what phys.h decides (where RAM ends below the PCI hole and continues at 4 GiB).
 */
#pragma once

/* ---- low memory --------------------------------------------------------------------------------
 *
 *   00000  interrupt vectors, BIOS data area
 *   01000  GDT that the loaders enter with
 *   02000  page tables that 64-bit kernels are entered with (PML4, PDPT, 4 PDs)
 *   08000  free for kernels
 *   10000  boot_params, multiboot information or hvm_start_info
 *   20000  command line
 *   30000  free for kernels
 *   90000  real-mode kernel with its heap, stack and command line (16-bit entry only)
 *   9fc00  extended BIOS data area
 *   a0000  VGA window: no RAM
 *   c0000  option ROM area
 *   e0000  ACPI tables (RSDP first)
 *   f0000  SMBIOS, the MultiProcessor table; at the end the real-mode services and the reset vector
 */
#define LAYOUT_BDA 0x00400u
#define LAYOUT_GDT 0x01000u
#define LAYOUT_PAGE_TABLES 0x02000u
#define LAYOUT_PAGE_TABLES_BYTES 0x6000u
#define LAYOUT_INFO 0x10000u
#define LAYOUT_INFO_BYTES 0x10000u
#define LAYOUT_CMDLINE 0x20000u
#define LAYOUT_CMDLINE_BYTES 0x10000u
#define LAYOUT_FREE 0x30000u
#define LAYOUT_REAL_MODE 0x90000u
#define LAYOUT_EBDA 0x9fc00u
#define LAYOUT_EBDA_BYTES 0x400u
#define LAYOUT_LOW_END 0xa0000u
#define LAYOUT_ACPI 0xe0000u
#define LAYOUT_ACPI_BYTES 0x10000u
#define LAYOUT_SMBIOS 0xf0000u
#define LAYOUT_SMBIOS_BYTES 0xb000u
#define LAYOUT_MPTABLE 0xfb000u
#define LAYOUT_MPTABLE_BYTES 0x2000u
#define LAYOUT_SERVICES 0xfd000u
#define LAYOUT_SERVICES_BYTES 0x3000u
#define LAYOUT_HIGH 0x100000u

/* ---- chips ---------------------------------------------------------------------------------- */

#define LAYOUT_IOAPIC 0xfec00000u
#define LAYOUT_HPET 0xfed00000u
#define LAYOUT_LAPIC 0xfee00000u
/* Memory that PCI functions may be given, below the chips above (phys.h: PCI_HOLE_BASE). */
#define LAYOUT_PCI_MEM_END 0xfebfffffu

/* PIIX4 power management (devices/acpi_pm). */
#define ACPI_PM_BASE 0x600u
#define ACPI_PM1A_EVT (ACPI_PM_BASE + 0x00)
#define ACPI_PM1A_CNT (ACPI_PM_BASE + 0x04)
#define ACPI_PM_TMR (ACPI_PM_BASE + 0x08)
#define ACPI_GPE0 (ACPI_PM_BASE + 0x20)
#define ACPI_GPE0_BYTES 4u
#define ACPI_SMI_CMD 0xb2u
#define ACPI_ENABLE_CMD 0xf1u  /* written to SMI_CMD: sets SCI_EN */
#define ACPI_DISABLE_CMD 0xf0u /* clears it */
#define ACPI_SCI_IRQ 9u
#define ACPI_S5_SLP_TYP 0u /* PIIX4: SUS_TYP 000, soft off */
/* PIIX3: PCI interrupts may be routed to these; level triggered, active high at the I/O APIC. */
#define PCI_IRQ_MASK ((1u << 5) | (1u << 10) | (1u << 11))
#define RESET_PORT 0xcf9u /* i440FX reset control */
#define RESET_VALUE 0x06u /* hard reset */
#define COM1_PORT 0x3f8u
