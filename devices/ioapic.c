/*
 * ioapic.c: I/O APIC.
 *
 * Not here: which processor a message is for (apicbus.c).
 *
 * Specification: Intel 82093AA I/O APIC datasheet, chapter 3; the EOI register (offset 40h) of
 * version 20h as in the Intel ICH9 datasheet 13.5.
 *
 * Polarity is a bit that reads back: boards drive pins by meaning (asserted), not by voltage.
 *
 * Not implemented: delivery of SMI (no SMM), the arbitration of the serial APIC bus (IOAPICARB
 * reads as the ID it was loaded with).
 */
#include "devices/ioapic.h"
#include "base/bits.h"

enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_REDIRECTION = 0x10 };

enum { OFF_SELECT = 0x00, OFF_WINDOW = 0x10, OFF_EOI = 0x40 };

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

#define ENTRY_MODE(e) ((u8)((e) >> 8 & 7))
#define ENTRY_LOGICAL BIT64(11)
#define ENTRY_STATUS BIT64(12)
#define ENTRY_REMOTE_IRR BIT64(14)
#define ENTRY_LEVEL BIT64(15)
#define ENTRY_MASKED BIT64(16)
#define ENTRY_DEST(e) ((u32)((e) >> 56))
#define ENTRY_READ_ONLY (ENTRY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE (0xff0000000001ffffull & ~ENTRY_READ_ONLY)

/* NMI, INIT and ExtINT are edges whatever the trigger bit says (3.2.4, "Delivery Mode"). */
static bool is_level(u64 entry)
{
    return (entry & ENTRY_LEVEL) && ENTRY_MODE(entry) <= APIC_LOWEST;
}

static bool deliver(struct ioapic *io, u64 entry)
{
    struct apic_msg msg = {
        .dest = ENTRY_DEST(entry),
        .logical = entry & ENTRY_LOGICAL,
        .mode = ENTRY_MODE(entry),
        .vector = (u8)entry,
        .level = is_level(entry),
    };

    return io->deliver && io->deliver(io->opaque, &msg);
}

/* Sends a level-triggered pin that is asserted, unmasked and not yet in service. */
static void service_level(struct ioapic *io, unsigned n)
{
    u64 entry = io->redirection[n];

    if (!is_level(entry) || (entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) || !(io->level >> n & 1))
        return;
    /* Set first: a receiver may finish the interrupt before `deliver` returns. */
    io->redirection[n] |= ENTRY_REMOTE_IRR;
    if (!deliver(io, entry))
        io->redirection[n] &= ~ENTRY_REMOTE_IRR;
}

void ioapic_set_pin(void *ioapic, unsigned n, bool level)
{
    struct ioapic *io = ioapic;
    bool was;

    if (n >= IOAPIC_PINS)
        return;
    was = io->level >> n & 1;
    io->level = (io->level & ~BIT(n)) | (u32)level << n;
    if (is_level(io->redirection[n]))
        service_level(io, n);
    else if (level && !was && !(io->redirection[n] & ENTRY_MASKED)) /* a masked edge is lost */
        deliver(io, io->redirection[n]);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        u64 entry = io->redirection[n];
        if ((u8)entry != vector || !is_level(entry) || !(entry & ENTRY_REMOTE_IRR))
            continue;
        io->redirection[n] &= ~ENTRY_REMOTE_IRR;
        service_level(io, n);
    }
}

/* ---- registers ------------------------------------------------------------------------------- */

static u32 read_register(const struct ioapic *io, u8 reg)
{
    if (reg == REG_ID || reg == REG_ARBITRATION)
        return (u32)io->id << 24;
    if (reg == REG_VERSION)
        return VERSION;
    if (reg >= REG_REDIRECTION && reg < REG_REDIRECTION + 2 * IOAPIC_PINS) {
        u64 entry = io->redirection[(reg - REG_REDIRECTION) / 2];
        return (u32)(reg & 1 ? entry >> 32 : entry);
    }
    return 0xffffffff;
}

static void write_redirection(struct ioapic *io, unsigned n, bool high, u32 value)
{
    u64 old = io->redirection[n];
    u64 entry = high ? (u64)value << 32 | (u32)old : (old & 0xffffffff00000000ull) | value;

    entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_READ_ONLY);
    if (!is_level(entry)) /* an edge-triggered pin has nothing in service */
        entry &= ~ENTRY_REMOTE_IRR;
    io->redirection[n] = entry;
    service_level(io, n);
}

static void write_register(struct ioapic *io, u8 reg, u32 value)
{
    if (reg == REG_ID)
        io->id = value >> 24 & 0xf;
    else if (reg >= REG_REDIRECTION && reg < REG_REDIRECTION + 2 * IOAPIC_PINS)
        write_redirection(io, (reg - REG_REDIRECTION) / 2, reg & 1, value);
}

static u64 page_read(void *opaque, u64 off, unsigned size)
{
    const struct ioapic *io = opaque;

    if ((off & 0xf) + size > 4)
        return 0;
    switch (off & ~3ull) {
    case OFF_SELECT: return (u64)io->select >> (off & 3) * 8;
    case OFF_WINDOW: return read_register(io, io->select) >> (off & 3) * 8;
    default: return 0;
    }
}

static void page_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct ioapic *io = opaque;

    switch (off) {
    case OFF_SELECT: io->select = (u8)value; break;
    case OFF_WINDOW:
        if (size >= 4) /* the datasheet knows only whole doublewords here */
            write_register(io, io->select, (u32)value);
        break;
    case OFF_EOI: ioapic_eoi(io, (u8)value); break;
    default: break;
    }
}

static const struct mmio_ops page_ops = { page_read, page_write };

/* ---- life ------------------------------------------------------------------------------------ */

static bool ioapic_init(struct dev *d, struct err *e)
{
    struct ioapic *io = container_of(d, struct ioapic, dev);

    if (io->base & ~PAGE_MASK)
        return err_usage(e, "ioapic: base %#llx is not a multiple of 4096",
                         (unsigned long long)io->base);
    io->page = phys_add_mmio(d->env->phys, "ioapic", io->base, PAGE_SIZE, &page_ops, io);
    return true;
}

static void ioapic_reset(struct dev *d)
{
    struct ioapic *io = container_of(d, struct ioapic, dev);

    io->id = 0;
    io->select = 0;
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        io->redirection[n] = ENTRY_MASKED;
}

static void ioapic_destroy(struct dev *d)
{
    struct ioapic *io = container_of(d, struct ioapic, dev);

    if (io->page)
        phys_region_move(d->env->phys, io->page, io->base, false);
}

static void ioapic_explain_waits(const struct dev *d, FILE *out)
{
    const struct ioapic *io = container_of(d, const struct ioapic, dev);

    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        u64 entry = io->redirection[n];

        if (!(io->level >> n & 1))
            continue;
        if (entry & ENTRY_MASKED)
            fprintf(out,
                    "Pin %u of the I/O APIC is asserted and masked (bit 16 of entry %#llx)%s.\n", n,
                    (unsigned long long)entry, is_level(entry) ? "" : ": an edge is lost so");
        else if (entry & ENTRY_REMOTE_IRR)
            fprintf(out, "Pin %u of the I/O APIC waits for the EOI of vector %#x.\n", n, (u8)entry);
        else if (is_level(entry))
            fprintf(out,
                    "Pin %u of the I/O APIC is asserted, and no local APIC takes it "
                    "(%s destination %u, vector %#x).\n",
                    n, entry & ENTRY_LOGICAL ? "logical" : "physical", ENTRY_DEST(entry),
                    (u8)entry);
    }
}

static const struct dev_prop ioapic_props[] = {
    { "base", PROP_U64, offsetof(struct ioapic, base), IOAPIC_DEFAULT_BASE, 0, 0xfffff000,
      "address of the registers" },
    DEV_PROP_END,
};

static const struct dev_field ioapic_fields[] = {
    DEV_FIELD(struct ioapic, id, 0, 0xf, "IOAPICID bits 27:24"),
    DEV_FIELD(struct ioapic, select, 0, 0xff, "IOREGSEL"),
    DEV_FIELD_ARRAY(struct ioapic, redirection, 0, 0xff0000000001ffffull, "redirection table"),
    DEV_FIELD(struct ioapic, level, 0, 0xffffff, "asserted pins"),
    DEV_FIELD_END,
};

const struct dev_class ioapic_class = {
    .name = "ioapic",
    .doc = "I/O APIC with 24 pins (82093AA)",
    .size = sizeof(struct ioapic),
    .props = ioapic_props,
    .fields = ioapic_fields,
    .init = ioapic_init,
    .reset = ioapic_reset,
    .destroy = ioapic_destroy,
    .explain_waits = ioapic_explain_waits,
};
