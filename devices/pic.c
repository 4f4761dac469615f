/*
 * pic.c: two cascaded 8259As.
 *
 * Specification: Intel 8259A data sheet (231468); for the edge/level control registers at 0x4D0
 * and 0x4D1, Intel 82371SB (PIIX3) data sheet (290550), section 2.5.3.
 *
 * An edge-triggered request lives as long as its line stays high: one that falls before the
 * acknowledge is gone, and the CPU gets the vector of IR7 with no in-service bit set.
 *
 * Not implemented: MCS-80/85 mode (ICW4.uPM = 0 behaves as 8086 mode), buffered mode (no effect on
 * a PC), ICW1.LTIM (the PIIX ignores it in favour of ELCR), ICW3 other than the PC's wiring.
 */
#include "devices/pic.h"

#include "devices/iobus.h"

enum { MASTER, SLAVE };

#define CASCADE 2u

#define ICW1 BIT(4)
#define ICW1_IC4 BIT(0)
#define ICW1_SNGL BIT(1)
#define ICW4_AEOI BIT(1)
#define ICW4_SFNM BIT(4)
#define OCW3 BIT(3)
#define OCW3_RIS BIT(0)
#define OCW3_RR BIT(1)
#define OCW3_P BIT(2)
#define OCW3_SMM BIT(5)
#define OCW3_ESMM BIT(6)
#define OCW2_EOI BIT(5)

/* Inputs that may be level triggered: not the timer, keyboard and cascade; not RTC and FERR#. */
static const u8 elcr_mask[2] = {0xf8, 0xde};

/* --- one chip --------------------------------------------------------------------------------- */

/* The interrupt request register: level inputs follow the line, edge inputs latch its rise. */
static u8 chip_irr(const struct pic_chip *c)
{
    return c->lines & (c->edge | c->elcr);
}

/* How many places an input stands behind the one of highest priority. */
static unsigned chip_rank(const struct pic_chip *c, unsigned n)
{
    return (n - c->lowest - 1) & 7;
}

/* The input of highest priority among `set`, or -1. */
static int chip_highest(const struct pic_chip *c, u8 set)
{
    for (unsigned rank = 0; rank < 8; rank++) {
        unsigned n = (c->lowest + 1 + rank) & 7;

        if (set >> n & 1)
            return (int)n;
    }
    return -1;
}

/*T:420 The 8259's decision
 *
 * Which request may interrupt now? Not the masked ones, and none whose priority is not above what
 * is in service already. The in-service bit stays until software sends the end of interrupt, EOI; a
 * driver that forgets it silences everything of lower priority. The monitor's `explain` names the
 * request that waits, and for what.
 */
/* The input that requests service now, or -1. */
static int chip_request(const struct pic_chip *c, bool master)
{
    int n = chip_highest(c, chip_irr(c) & (u8)~c->imr);
    u8 blocking = c->isr;
    int serviced;

    if (n < 0)
        return -1;
    /* Special mask mode: a level in service that is masked blocks no other. */
    if (c->special_mask)
        blocking &= (u8)~c->imr;
    /* Special fully nested mode: the slave's higher inputs get through its own service. */
    if (master && c->fully_nested && n == (int)CASCADE)
        blocking &= (u8)~BIT(CASCADE);
    serviced = chip_highest(c, blocking);
    return serviced >= 0 && chip_rank(c, (unsigned)serviced) <= chip_rank(c, (unsigned)n) ? -1 : n;
}

static void chip_set_line(struct pic_chip *c, unsigned n, bool level)
{
    u8 bit = (u8)BIT(n);

    if (!level) {
        c->lines &= (u8)~bit;
        c->edge &= (u8)~bit;
    } else if (!(c->lines & bit)) {
        c->lines |= bit;
        c->edge |= bit;
    }
}

/* The second INTA pulse, or a poll: takes the request into service. Returns the input, -1 if the
 * request is gone. */
static int chip_take(struct pic_chip *c, bool master)
{
    int n = chip_request(c, master);

    if (n < 0)
        return -1;
    c->edge &= (u8)~BIT(n);
    if (!c->aeoi)
        c->isr |= (u8)BIT(n);
    else if (c->rotate_aeoi)
        c->lowest = (u8)n;
    return n;
}

/* --- the pair --------------------------------------------------------------------------------- */

static void pic_update(struct pic *p)
{
    bool intr;

    chip_set_line(&p->chip[MASTER], CASCADE, chip_request(&p->chip[SLAVE], false) >= 0);
    intr = chip_request(&p->chip[MASTER], true) >= 0;
    if (intr != p->intr.level)
        irq_set(&p->intr, intr);
}

void pic_set_irq(void *pic, unsigned n, bool level)
{
    struct pic *p = pic;

    if (n > 15 || n == CASCADE)
        return;
    TRACE(pic_set_irq, n, level);
    chip_set_line(&p->chip[n >> 3], n & 7, level);
    pic_update(p);
}

bool pic_has_intr(const struct pic *p)
{
    return chip_request(&p->chip[MASTER], true) >= 0;
}

/* The slave's INT falls with each acknowledge, so that a further request of its makes an edge. */
static int slave_take(struct pic *p)
{
    chip_set_line(&p->chip[MASTER], CASCADE, false);
    return chip_take(&p->chip[SLAVE], false);
}

int pic_ack(struct pic *p)
{
    int n = chip_take(&p->chip[MASTER], true);
    int vector;

    if (n == (int)CASCADE) {
        n = slave_take(p);
        vector = p->chip[SLAVE].base | (n < 0 ? 7 : n);
    } else {
        vector = p->chip[MASTER].base | (n < 0 ? 7 : n);
    }
    TRACE(pic_ack, (unsigned)vector, n < 0);
    pic_update(p);
    return vector;
}

/* --- commands --------------------------------------------------------------------------------- */

static void write_icw1(struct pic_chip *c, u8 value)
{
    c->edge = 0;
    c->imr = 0;
    c->isr = 0;
    c->lowest = 7;
    c->special_mask = false;
    c->read_isr = false;
    c->poll = false;
    c->rotate_aeoi = false;
    c->aeoi = false;
    c->fully_nested = false;
    c->single = value & ICW1_SNGL;
    c->icw4 = value & ICW1_IC4;
    c->init_step = 2;
}

/* OCW2: bits 7:5 are R, SL and EOI. */
static void write_ocw2(struct pic *p, struct pic_chip *c, u8 value)
{
    unsigned level = value & 7;
    int n;

    if (value & OCW2_EOI) {
        stat_count(p->dev.env->stats, STAT_PIC_EOI, SERVED_IO);
        TRACE(pic_eoi, (unsigned)(c - p->chip), value);
    }
    switch (value >> 5) {
    case 0: /* rotate in automatic EOI mode (clear) */ c->rotate_aeoi = false; break;
    case 1: /* non-specific EOI */
    case 5: /* rotate on non-specific EOI */
        /* In special mask mode it does not clear a masked level (data sheet, "EOI command"). */
        n = chip_highest(c, c->special_mask ? c->isr & (u8)~c->imr : c->isr);
        if (n >= 0) {
            c->isr &= (u8)~BIT(n);
            if (value >> 5 == 5)
                c->lowest = (u8)n;
        }
        break;
    case 2: /* no operation */ break;
    case 3: /* specific EOI */ c->isr &= (u8)~BIT(level); break;
    case 4: /* rotate in automatic EOI mode (set) */ c->rotate_aeoi = true; break;
    case 6: /* set priority */ c->lowest = (u8)level; break;
    case 7: /* rotate on specific EOI */
        c->isr &= (u8)~BIT(level);
        c->lowest = (u8)level;
        break;
    }
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
    if (value & OCW3_ESMM)
        c->special_mask = value & OCW3_SMM;
    c->poll = value & OCW3_P;
    if (value & OCW3_RR)
        c->read_isr = value & OCW3_RIS;
}

/* A0 = 1: the ICW that the initialization sequence expects, or OCW1. */
static void write_data(struct pic_chip *c, u8 value)
{
    switch (c->init_step) {
    case 2:
        c->base = value & 0xf8;
        c->init_step = !c->single ? 3 : c->icw4 ? 4 : 0;
        break;
    case 3: c->init_step = c->icw4 ? 4 : 0; break;
    case 4:
        c->aeoi = value & ICW4_AEOI;
        c->fully_nested = value & ICW4_SFNM;
        c->init_step = 0;
        break;
    default: c->imr = value;
    }
}

/* --- ports ------------------------------------------------------------------------------------ */

static struct pic_chip *port_chip(struct pic *p, u16 port)
{
    return &p->chip[port & 0x80 ? SLAVE : MASTER];
}

static void pic_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pic *p = opaque;
    struct pic_chip *c = port_chip(p, port);
    u8 v = (u8)value;
    u64 start = host_cycles();

    (void)size;
    TRACE(pic_write, port, v);
    if (port & 1)
        write_data(c, v);
    else if (v & ICW1)
        write_icw1(c, v);
    else if (v & OCW3)
        write_ocw3(c, v);
    else
        write_ocw2(p, c, v);
    pic_update(p);
    if (!(port & 1) && !(v & (ICW1 | OCW3)) && (v & OCW2_EOI))
        p->dev.env->stats->cycles[STAT_PIC_EOI] += host_cycles() - start;
}

/* A poll is an acknowledge by software: bit 7 says that there was a request, bits 2:0 which. */
static u8 chip_poll(struct pic *p, struct pic_chip *c)
{
    int n = c == &p->chip[SLAVE] ? slave_take(p) : chip_take(c, true);

    c->poll = false;
    pic_update(p);
    return n < 0 ? 7 : (u8)(0x80 | n);
}

static u32 pic_read(void *opaque, u16 port, unsigned size)
{
    struct pic *p = opaque;
    struct pic_chip *c = port_chip(p, port);

    (void)size;
    if (c->poll)
        return chip_poll(p, c);
    if (port & 1)
        return c->imr;
    return c->read_isr ? c->isr : chip_irr(c);
}

static u32 elcr_read(void *opaque, u16 port, unsigned size)
{
    struct pic *p = opaque;

    (void)size;
    return p->chip[port & 1].elcr;
}

static void elcr_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pic *p = opaque;

    (void)size;
    p->chip[port & 1].elcr = (u8)value & elcr_mask[port & 1];
    pic_update(p);
}

static const struct io_ops pic_io = {.read = pic_read, .write = pic_write};
static const struct io_ops elcr_io = {.read = elcr_read, .write = elcr_write};

/* --- class ------------------------------------------------------------------------------------ */

static bool pic_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, 0x20, 2, "pic master", &pic_io, d);
    iobus_add(d->env->io, 0xa0, 2, "pic slave", &pic_io, d);
    iobus_add(d->env->io, 0x4d0, 2, "pic elcr", &elcr_io, d);
    return true;
}

static void pic_destroy(struct dev *d)
{
    iobus_remove(d->env->io, 0x20, 2, d);
    iobus_remove(d->env->io, 0xa0, 2, d);
    iobus_remove(d->env->io, 0x4d0, 2, d);
}

/* The lines belong to those who drive them and keep their levels. */
static void pic_reset(struct dev *d)
{
    struct pic *p = (struct pic *)d;

    for (unsigned i = 0; i < 2; i++)
        p->chip[i] = (struct pic_chip){.lines = p->chip[i].lines, .imr = 0xff, .lowest = 7};
    pic_update(p);
}

static void pic_loaded(struct dev *d)
{
    struct pic *p = (struct pic *)d;

    for (unsigned i = 0; i < 2; i++)
        p->chip[i].elcr &= elcr_mask[i];
    irq_set(&p->intr, pic_has_intr(p));
}

static void explain_input(const struct pic *p, unsigned chip, unsigned n, FILE *out)
{
    const struct pic_chip *c = &p->chip[chip], *master = &p->chip[MASTER];
    unsigned port = chip == MASTER ? 0x20 : 0xa0;
    int serviced = chip_highest(c, c->isr);

    fprintf(out, "IRQ %u is requested at the 8259s", 8 * chip + n);
    if (c->imr >> n & 1)
        fprintf(out, ", and masked there (bit %u of IMR %#x, port %#x).\n", n, c->imr, port + 1);
    else if (serviced >= 0 && chip_rank(c, (unsigned)serviced) <= chip_rank(c, n))
        fprintf(out, ", and waits for the end of IRQ %u: no EOI came (port %#x).\n",
                8 * chip + (unsigned)serviced, port);
    else if (chip == SLAVE && master->imr >> CASCADE & 1)
        fprintf(out, ", and masked at the first: IRQ 2 is the second's (IMR %#x, port 0x21).\n",
                master->imr);
    else
        fprintf(out, " as vector %#x.\n", c->base + n);
}

static void pic_explain_waits(const struct dev *d, FILE *out)
{
    const struct pic *p = (const struct pic *)d;

    for (unsigned n = 0; n < 16; n++)
        if (n != CASCADE && chip_irr(&p->chip[n >> 3]) >> (n & 7) & 1)
            explain_input(p, n >> 3, n & 7, out);
}

#define CHIP_FIELDS(i)                                                                             \
    DEV_FIELD(struct pic, chip[i].lines, 0, 0xff, "input lines"),                                  \
        DEV_FIELD(struct pic, chip[i].edge, 0, 0xff, "edge sense latches"),                        \
        DEV_FIELD(struct pic, chip[i].imr, 0, 0xff, "interrupt mask"),                             \
        DEV_FIELD(struct pic, chip[i].isr, 0, 0xff, "in service"),                                 \
        DEV_FIELD(struct pic, chip[i].elcr, 0, 0xff, "level triggered inputs"),                    \
        DEV_FIELD(struct pic, chip[i].base, 0, 0xf8, "vector of IR0"),                             \
        DEV_FIELD(struct pic, chip[i].lowest, 0, 7, "input of lowest priority"),                   \
        DEV_FIELD(struct pic, chip[i].init_step, 0, 4, "ICW expected next"),                       \
        DEV_FIELD(struct pic, chip[i].single, 0, 1, "ICW1.SNGL"),                                  \
        DEV_FIELD(struct pic, chip[i].icw4, 0, 1, "ICW1.IC4"),                                     \
        DEV_FIELD(struct pic, chip[i].aeoi, 0, 1, "automatic EOI"),                                \
        DEV_FIELD(struct pic, chip[i].rotate_aeoi, 0, 1, "rotate in automatic EOI mode"),          \
        DEV_FIELD(struct pic, chip[i].fully_nested, 0, 1, "special fully nested mode"),            \
        DEV_FIELD(struct pic, chip[i].special_mask, 0, 1, "special mask mode"),                    \
        DEV_FIELD(struct pic, chip[i].read_isr, 0, 1, "reads give ISR"),                           \
        DEV_FIELD(struct pic, chip[i].poll, 0, 1, "the next read is a poll")

static const struct dev_field pic_fields[] = {CHIP_FIELDS(0), CHIP_FIELDS(1), DEV_FIELD_END};

const struct dev_class pic_class = {
    .name = "i8259",
    .doc = "pair of 8259A interrupt controllers",
    .size = sizeof(struct pic),
    .fields = pic_fields,
    .init = pic_init,
    .reset = pic_reset,
    .loaded = pic_loaded,
    .destroy = pic_destroy,
    .explain_waits = pic_explain_waits,
};
