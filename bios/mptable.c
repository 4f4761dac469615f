/*
 * mptable.c: MultiProcessor Specification 1.4, chapter 4: floating pointer structure, configuration
 * table with processors, buses, the I/O APIC and the interrupts of the board.
 */
#include "bios/mptable.h"

#include "base/bits.h"
#include "base/err.h"
#include "bios/layout.h"

#include <string.h>

#define POINTER_BYTES 16u
#define HEADER_BYTES 44u
#define APIC_VERSION 0x11u

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INT, ENTRY_LOCAL_INT };
enum { BUS_PCI, BUS_ISA };
enum { INT_NORMAL, INT_NMI, INT_SMI, INT_EXTINT };
#define CPU_ENABLED BIT(0)
#define CPU_BOOTSTRAP BIT(1)
#define LEVEL_HIGH 0x000du /* trigger level (11), active high (01) */

struct builder {
    u8 *buf;
    size_t cap;
    u32 at;
    u16 entries;
};

static u8 *add(struct builder *b, u8 type, u32 bytes)
{
    u8 *p = b->buf + b->at;

    BUG_ON(bytes > b->cap - b->at);
    memset(p, 0, bytes);
    p[0] = type;
    b->at += bytes;
    b->entries++;
    return p;
}

static u8 checksum(const u8 *p, size_t len)
{
    u8 sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (u8)(sum + p[i]);
    return (u8)(0 - sum);
}

static void add_cpu(struct builder *b, unsigned id)
{
    u8 *p = add(b, ENTRY_CPU, 20);

    p[1] = (u8)id;
    p[2] = APIC_VERSION;
    p[3] = (u8)(CPU_ENABLED | (id ? 0 : CPU_BOOTSTRAP));
    st_le32(p + 4, 0x600);      /* family 6; what there is, CPUID says */
    st_le32(p + 8, 0x00000201); /* FPU, APIC */
}

static void add_bus(struct builder *b, u8 id, const char name[6])
{
    u8 *p = add(b, ENTRY_BUS, 8);

    p[1] = id;
    memcpy(p + 2, name, 6);
}

static void add_interrupt(struct builder *b, u8 entry, u8 type, u16 flags, u8 bus, u8 irq, u8 apic,
                          u8 pin)
{
    u8 *p = add(b, entry, 8);

    p[1] = type;
    st_le16(p + 2, flags);
    p[4] = bus;
    p[5] = irq;
    p[6] = apic;
    p[7] = pin;
}

/* ISA lines, with the 8254 at pin 2; PCI pins of every slot, through the links' interrupts 10, 11.
 */
static void add_interrupts(struct builder *b, u8 apic)
{
    static const u8 link_irq[4] = {10, 11, 10, 11};

    for (u8 irq = 0; irq < 16; irq++) {
        bool level = irq == ACPI_SCI_IRQ || PCI_IRQ_MASK >> irq & 1;

        if (irq != 2)
            add_interrupt(b, ENTRY_IO_INT, INT_NORMAL, level ? LEVEL_HIGH : 0, BUS_ISA, irq, apic,
                          irq ? irq : 2);
    }
    for (u8 slot = 1; slot < 32; slot++)
        for (u8 pin = 0; pin < 4; pin++)
            add_interrupt(b, ENTRY_IO_INT, INT_NORMAL, LEVEL_HIGH, BUS_PCI, (u8)(slot << 2 | pin),
                          apic, link_irq[(slot + pin - 1) & 3]);
    add_interrupt(b, ENTRY_LOCAL_INT, INT_EXTINT, 0, BUS_ISA, 0, 0, 0);
    add_interrupt(b, ENTRY_LOCAL_INT, INT_NMI, 0, BUS_ISA, 0, 0xff, 1);
}

static void finish(struct builder *b, gpa_t base)
{
    u8 *f = b->buf, *t = b->buf + POINTER_BYTES;

    memcpy(t, "PCMP", 4);
    st_le16(t + 4, (u16)(b->at - POINTER_BYTES));
    t[6] = 4; /* specification 1.4 */
    memcpy(t + 8, "PARALLAX", 8);
    memcpy(t + 16, "PC          ", 12);
    st_le16(t + 34, b->entries);
    st_le32(t + 36, LAYOUT_LAPIC);
    t[7] = checksum(t, b->at - POINTER_BYTES);
    memcpy(f, "_MP_", 4);
    st_le32(f + 4, (u32)(base + POINTER_BYTES));
    f[8] = 1; /* paragraphs */
    f[9] = 4;
    f[10] = checksum(f, POINTER_BYTES);
}

u32 mptable_build(unsigned cpus, gpa_t base, u8 *buf, size_t cap)
{
    struct builder b = {.buf = buf, .cap = cap, .at = POINTER_BYTES + HEADER_BYTES};
    u8 *p;

    BUG_ON(base % 16 || cap < b.at || cpus < 1 || cpus > 255);
    memset(buf, 0, cap);
    for (unsigned id = 0; id < cpus; id++)
        add_cpu(&b, id);
    add_bus(&b, BUS_PCI, "PCI   ");
    add_bus(&b, BUS_ISA, "ISA   ");
    p = add(&b, ENTRY_IOAPIC, 8);
    p[1] = 0; /* its id, as the MADT has it */
    p[2] = APIC_VERSION;
    p[3] = 1; /* usable */
    st_le32(p + 4, LAYOUT_IOAPIC);
    add_interrupts(&b, 0);
    finish(&b, base);
    return b.at;
}
