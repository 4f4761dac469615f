/*
 * firmware.c: installs what a BIOS leaves behind, and the BIOS data areas ("BDA" at 0040:0000,
 * "EBDA"; Ralf Brown's MEMORY.LST; Phoenix, System BIOS for IBM PCs, chapter 3).
 */
#include "bios/firmware.h"

#include "base/bits.h"
#include "bios/acpi.h"
#include "bios/layout.h"
#include "bios/mptable.h"
#include "bios/services.h"
#include "bios/smbios.h"
#include "mmu/dma.h"

#include <stdlib.h>
#include <string.h>

#define EQUIPMENT                                                                                  \
    (BIT(1) | BIT(2) | 2u << 4 | 1u << 9) /* FPU, mouse, 80x25 colour, one serial port */

void firmware_install_data_areas(struct phys *p)
{
    u8 bda[0x100] = {0};
    u8 ebda[LAYOUT_EBDA_BYTES] = {LAYOUT_EBDA_BYTES / 1024};
    st_le16(bda + 0x00, COM1_PORT);
    st_le16(bda + 0x0e, LAYOUT_EBDA >> 4);
    st_le16(bda + 0x10, EQUIPMENT);
    st_le16(bda + 0x13, LAYOUT_EBDA / 1024); /* KiB of low memory */
    st_le16(bda + 0x1a, 0x1e);               /* keyboard buffer: head, tail, start, end */
    st_le16(bda + 0x1c, 0x1e);
    st_le16(bda + 0x80, 0x1e);
    st_le16(bda + 0x82, 0x3e);
    bda[0x49] = 3; /* video mode */
    st_le16(bda + 0x4a, 80);
    st_le16(bda + 0x4c, 0x1000); /* bytes of a page of text */
    st_le16(bda + 0x60, 0x0607); /* cursor shape */
    st_le16(bda + 0x63, 0x3d4);  /* CRT controller */
    bda[0x84] = 24;              /* rows minus 1 */
    bda[0x85] = 16;              /* lines of a character */
    bda[0x96] = BIT(4);          /* 101-key keyboard */
    BUG_ON(!dma_write(p, LAYOUT_BDA, bda, sizeof bda));
    BUG_ON(!dma_write(p, LAYOUT_EBDA, ebda, sizeof ebda));
}

void firmware_install_acpi(struct phys *p, unsigned cpus, const char *oem, gpa_t *rsdp)
{
    const struct acpi_config cfg = {.cpus = cpus, .oem = oem};
    struct acpi_tables at;
    u8 *buf = malloc(LAYOUT_ACPI_BYTES);
    BUG_ON(!buf);
    acpi_build(&cfg, LAYOUT_ACPI, buf, LAYOUT_ACPI_BYTES, &at);
    BUG_ON(!dma_write(p, LAYOUT_ACPI, buf, LAYOUT_ACPI_BYTES));
    free(buf);
    *rsdp = LAYOUT_ACPI + at.rsdp;
}

static void install_smbios(struct phys *p, unsigned cpus, const char *oem)
{
    const struct smbios_config cfg = {
        .ram_bytes = p->ram_bytes, .ram_low_bytes = p->ram_low_bytes, .cpus = cpus, .oem = oem};
    u8 *buf = malloc(LAYOUT_SMBIOS_BYTES);
    BUG_ON(!buf);
    smbios_build(&cfg, LAYOUT_SMBIOS, buf, LAYOUT_SMBIOS_BYTES);
    BUG_ON(!dma_write(p, LAYOUT_SMBIOS, buf, LAYOUT_SMBIOS_BYTES));
    free(buf);
}

static void install_mptable(struct phys *p, unsigned cpus)
{
    u8 *buf = calloc(1, LAYOUT_MPTABLE_BYTES);
    BUG_ON(!buf);
    mptable_build(cpus, LAYOUT_MPTABLE, buf, LAYOUT_MPTABLE_BYTES);
    BUG_ON(!dma_write(p, LAYOUT_MPTABLE, buf, LAYOUT_MPTABLE_BYTES));
    free(buf);
}

void firmware_install(struct phys *p, const struct e820 *map, unsigned cpus, const char *oem,
                      gpa_t *rsdp)
{
    services_install(p, map);
    firmware_install_data_areas(p);
    firmware_install_acpi(p, cpus, oem, rsdp);
    install_smbios(p, cpus, oem);
    install_mptable(p, cpus);
}
