/*
 * acpi_dsdt.c: the DSDT: what of the board cannot be found by probing: the PCI root and its
 * interrupt links, the ISA devices, the processors, soft-off.
 *
 * ACPI 6.5: predefined names 5.6.8 and chapter 6; PCI interrupt links 6.2.13; \_S5 7.4.2; Intel
 * 82371SB (PIIX3) datasheet, section 2.2.10 (PIRQRC[A:D]).
 */
#include "bios/acpi.h"
#include "bios/layout.h"

#define LINKS 4
#define PIRQRC 0x60 /* four routing registers in the ISA bridge's configuration space */
#define PIRQ_OFF 0x80
#define STA_PRESENT 0x0b /* present, shown, functioning */
#define STA_ENABLED 0x0f
#define ISA_BRIDGE_SLOT 1u

static const char *const link_name[LINKS] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const link_path[LINKS] = {"\\_SB.LNKA", "\\_SB.LNKB", "\\_SB.LNKC",
                                             "\\_SB.LNKD"};
static const char *const pirq_unit[LINKS] = {"PRQA", "PRQB", "PRQC", "PRQD"};
static const char *const pirq_path[LINKS] = {"\\_SB.PCI0.ISA.PRQA", "\\_SB.PCI0.ISA.PRQB",
                                             "\\_SB.PCI0.ISA.PRQC", "\\_SB.PCI0.ISA.PRQD"};

static void name_int(struct aml *a, const char *name, u64 v)
{
    aml_name(a, name);
    aml_int(a, v);
}

static void name_id(struct aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisaid(a, id);
}

/* ---- PCI interrupt links -------------------------------------------------------------------- */

static void crs_one_interrupt(struct aml *a, u32 gsi)
{
    struct aml_crs crs = aml_crs_begin(a);
    aml_crs_interrupt(a, &gsi, 1);
    aml_crs_end(a, crs);
}

static void link_possible(struct aml *a)
{
    u32 gsi[16];
    u8 count = 0;
    struct aml_crs crs;
    for (u32 i = 0; i < 16; i++)
        if (PCI_IRQ_MASK >> i & 1)
            gsi[count++] = i;
    aml_name(a, "_PRS");
    crs = aml_crs_begin(a);
    aml_crs_interrupt(a, gsi, count);
    aml_crs_end(a, crs);
}

/* If (PRQx & 80h) { Return (present) } Return (enabled) */
static void link_status(struct aml *a, const char *pirq)
{
    size_t m = aml_method(a, "_STA", 0, false), i = aml_if(a);
    aml_and(a);
    aml_name_string(a, pirq);
    aml_int(a, PIRQ_OFF);
    aml_null(a);
    aml_return(a);
    aml_int(a, STA_PRESENT);
    aml_end(a, i);
    aml_return(a);
    aml_int(a, STA_ENABLED);
    aml_end(a, m);
}

/* PRQx |= 80h */
static void link_disable(struct aml *a, const char *pirq)
{
    size_t m = aml_method(a, "_DIS", 0, false);
    aml_or(a);
    aml_name_string(a, pirq);
    aml_int(a, PIRQ_OFF);
    aml_name_string(a, pirq);
    aml_end(a, m);
}

/* Where the first interrupt number stands in our templates: after tag, length, flags and count. */
#define INTERRUPT_AT 5

/* Local0 = template; its interrupt = PRQx & 0Fh unless routing is off; Return (Local0) */
static void link_current(struct aml *a, const char *pirq)
{
    size_t m = aml_method(a, "_CRS", 0, true);
    aml_store(a);
    crs_one_interrupt(a, 0);
    aml_var(a, AML_LOCAL0);
    aml_dword_field(a);
    aml_var(a, AML_LOCAL0);
    aml_dword_field_end(a, INTERRUPT_AT, "IRQN");
    aml_and(a);
    aml_name_string(a, pirq);
    aml_int(a, 0x0f);
    aml_name_string(a, "IRQN");
    aml_return(a);
    aml_var(a, AML_LOCAL0);
    aml_end(a, m);
}

/* PRQx = the interrupt in Arg0 */
static void link_set(struct aml *a, const char *pirq)
{
    size_t m = aml_method(a, "_SRS", 1, true);
    aml_dword_field(a);
    aml_var(a, AML_ARG0);
    aml_dword_field_end(a, INTERRUPT_AT, "IRQN");
    aml_store(a);
    aml_name_string(a, "IRQN");
    aml_name_string(a, pirq);
    aml_end(a, m);
}

static void interrupt_links(struct aml *a)
{
    for (unsigned i = 0; i < LINKS; i++) {
        size_t d = aml_device(a, link_name[i]);
        name_id(a, "_HID", "PNP0C0F");
        name_int(a, "_UID", i + 1);
        link_possible(a);
        link_status(a, pirq_path[i]);
        link_disable(a, pirq_path[i]);
        link_current(a, pirq_path[i]);
        link_set(a, pirq_path[i]);
        aml_end(a, d);
    }
}

/* Pin p of slot s is wired to link (s + p - 1) mod 4 (the board's rotation). */
static void pci_routing(struct aml *a)
{
    size_t table;
    aml_name(a, "_PRT");
    table = aml_package(a, 31 * LINKS);
    for (unsigned slot = 1; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++) {
            size_t row = aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_name_string(a, link_path[(slot + pin + LINKS - 1) % LINKS]);
            aml_int(a, 0);
            aml_end(a, row);
        }
    aml_end(a, table);
}

/* ---- ISA devices ---------------------------------------------------------------------------- */

struct isa_device {
    const char *name, *hid;
    int uid; /* -1: the only one */
    struct {
        u16 port;
        u8 len;
    } io[4];
    int irq; /* -1: none */
};

static const struct isa_device isa_devices[] = {
    {"PIC", "PNP0000", -1, {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}}, 2},
    {"TIMR", "PNP0100", -1, {{0x40, 4}}, 0},
    {"RTC", "PNP0B00", -1, {{0x70, 2}}, 8},
    {"KBD", "PNP0303", -1, {{0x60, 1}, {0x64, 1}}, 1},
    {"MOU", "PNP0F13", -1, {{0, 0}}, 12},
    {"SPKR", "PNP0800", -1, {{0x61, 1}}, -1},
    {"FPU", "PNP0C04", -1, {{0xf0, 1}}, 13},
    {"COM1", "PNP0501", 1, {{COM1_PORT, 8}}, 4},
};

static void isa_device(struct aml *a, const struct isa_device *dev)
{
    size_t d = aml_device(a, dev->name);
    struct aml_crs crs;
    name_id(a, "_HID", dev->hid);
    if (dev->uid >= 0)
        name_int(a, "_UID", (u64)dev->uid);
    name_int(a, "_STA", STA_ENABLED);
    aml_name(a, "_CRS");
    crs = aml_crs_begin(a);
    for (unsigned i = 0; i < ARRAY_SIZE(dev->io) && dev->io[i].len; i++)
        aml_crs_io(a, dev->io[i].port, dev->io[i].len);
    if (dev->irq >= 0)
        aml_crs_irq(a, (unsigned)dev->irq);
    aml_crs_end(a, crs);
    aml_end(a, d);
}

static void isa_bridge(struct aml *a)
{
    size_t d = aml_device(a, "ISA"), f;
    name_int(a, "_ADR", ISA_BRIDGE_SLOT << 16);
    aml_region(a, "PIRQ", AML_PCI_CONFIG, PIRQRC, LINKS);
    f = aml_field(a, "PIRQ");
    for (unsigned i = 0; i < LINKS; i++)
        aml_field_unit(a, pirq_unit[i], 8);
    aml_end(a, f);
    for (unsigned i = 0; i < ARRAY_SIZE(isa_devices); i++)
        isa_device(a, &isa_devices[i]);
    aml_end(a, d);
}

/* ---- the root ------------------------------------------------------------------------------- */

/* Everything but the configuration ports goes down to the bus. */
static void pci_resources(struct aml *a)
{
    struct aml_crs crs;
    aml_name(a, "_CRS");
    crs = aml_crs_begin(a);
    aml_crs_bus_range(a, 0, 0xff);
    aml_crs_io(a, 0xcf8, 8);
    aml_crs_io_range(a, 0, 0xcf7);
    aml_crs_io_range(a, 0xd00, 0xffff);
    aml_crs_memory_range(a, 0xa0000, 0xbffff, true);
    aml_crs_memory_range(a, (u32)PCI_HOLE_BASE, LAYOUT_PCI_MEM_END, false);
    aml_crs_end(a, crs);
}

static void pci_root(struct aml *a)
{
    size_t d = aml_device(a, "PCI0");
    name_id(a, "_HID", "PNP0A03");
    name_int(a, "_UID", 0);
    pci_resources(a);
    pci_routing(a);
    isa_bridge(a);
    aml_end(a, d);
}

static void hpet(struct aml *a)
{
    size_t d = aml_device(a, "HPET");
    struct aml_crs crs;
    name_id(a, "_HID", "PNP0103");
    name_int(a, "_UID", 0);
    aml_name(a, "_CRS");
    crs = aml_crs_begin(a);
    aml_crs_memory32(a, LAYOUT_HPET, 0x400);
    aml_crs_end(a, crs);
    aml_end(a, d);
}

/* Ports that belong to the board itself: nobody else may have them. */
static void board_resources(struct aml *a)
{
    size_t d = aml_device(a, "MBRD");
    struct aml_crs crs;
    name_id(a, "_HID", "PNP0C02");
    name_int(a, "_UID", 0);
    aml_name(a, "_CRS");
    crs = aml_crs_begin(a);
    aml_crs_io(a, ACPI_PM_BASE, 0x40);
    aml_crs_io(a, ACPI_SMI_CMD, 2);
    aml_crs_io(a, 0x92, 1);
    aml_crs_end(a, crs);
    aml_end(a, d);
}

static void processors(struct aml *a, unsigned cpus)
{
    static const char hex[] = "0123456789ABCDEF";
    for (unsigned i = 0; i < cpus; i++) {
        char name[5] = {'C', 'P', hex[i >> 4 & 15], hex[i & 15], '\0'};
        size_t d = aml_device(a, name);
        aml_name(a, "_HID");
        aml_string(a, "ACPI0007");
        name_int(a, "_UID", i);
        aml_end(a, d);
    }
}

static void soft_off(struct aml *a)
{
    size_t p;
    aml_name(a, "\\_S5");
    p = aml_package(a, 4);
    aml_int(a, ACPI_S5_SLP_TYP); /* PM1a */
    aml_int(a, ACPI_S5_SLP_TYP); /* PM1b */
    aml_int(a, 0);
    aml_int(a, 0);
    aml_end(a, p);
}

void acpi_dsdt_body(struct aml *a, unsigned cpus)
{
    size_t sb;
    soft_off(a);
    sb = aml_scope(a, "\\_SB");
    pci_root(a);
    interrupt_links(a);
    hpet(a);
    board_resources(a);
    processors(a, cpus);
    aml_end(a, sb);
}
