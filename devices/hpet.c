/*
 * hpet.c: HPET.
 *
 * Specification: IA-PC HPET 1.0a, section 2.3. Revision 1, three 64-bit comparators, all of them
 * periodic, legacy replacement routes.
 *
 * Choices where the specification leaves one: an edge-triggered comparator holds its line until
 * the next match, as OUT of an 8254 does, so that an 8259 sees the request when it is acknowledged.
 * Periodic matches come at most every FLOOR_NS; matches missed while the host was late are one.
 *
 * Not implemented: FSB (MSI) delivery; Tn_FSB_INT_DEL_CAP reads 0.
 */
#include "devices/hpet.h"
#include "base/bits.h"

#define COUNTER_NS (HPET_PERIOD_FS / 1000000u)
#define FLOOR_NS 10000u

enum {
    OFF_ID = 0x000, OFF_CONFIG = 0x010, OFF_STATUS = 0x020, OFF_COUNTER = 0x0f0, OFF_TIMER = 0x100,
};
enum { TIMER_CONFIG = 0x00, TIMER_COMPARATOR = 0x08, TIMER_FSB = 0x10 };

/* GCAP_ID: period, vendor, legacy routes, 64-bit counter, number of the last timer, revision. */
#define ID                                                                                         \
    ((u64)HPET_PERIOD_FS << 32 | 0x8086u << 16 | BIT(15) | BIT(13) | (HPET_TIMERS - 1) << 8 | 1)

#define CONFIG_ENABLE BIT64(0)
#define CONFIG_LEGACY BIT64(1)

#define TN_LEVEL BIT64(1)
#define TN_ENABLE BIT64(2)
#define TN_PERIODIC BIT64(3)
#define TN_PERIODIC_CAP BIT64(4)
#define TN_SIZE_CAP BIT64(5)
#define TN_VAL_SET BIT64(6)
#define TN_32BIT BIT64(8)
#define TN_ROUTE (31ull << 9)
#define TN_ROUTE_OF(c) ((unsigned)((c) >> 9 & 31))
#define TN_WRITABLE (TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_VAL_SET | TN_32BIT | TN_ROUTE)

/* ---- the counter ----------------------------------------------------------------------------- */

static u64 counter_at(const struct hpet *h, u64 now_ns)
{
    if (!(h->config & CONFIG_ENABLE))
        return h->counter;
    return h->counter + (now_ns - h->base_ns) / COUNTER_NS;
}

static u64 counter_now(const struct hpet *h)
{
    return counter_at(h, clock_now_ns(h->dev.env->clock));
}

/* What a comparator compares: all 64 bits, or the low 32. */
static u64 width_mask(const struct hpet *h, unsigned n)
{
    return h->timer_config[n] & TN_32BIT ? 0xffffffffull : ~0ull;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static struct irq *line_of(struct hpet *h, unsigned n)
{
    if ((h->config & CONFIG_LEGACY) && n < 2)
        return &h->legacy_irq[n];
    return &h->route[TN_ROUTE_OF(h->timer_config[n])];
}

/* Comparators may share a level-triggered input: it is the OR of them. */
static void drive_line(struct hpet *h, unsigned n, bool level)
{
    struct irq *line = line_of(h, n);
    bool any = level;

    h->line[n] = level;
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        any |= h->line[i] && line_of(h, i) == line;
    if (line->level != any)
        irq_set(line, any);
}

static void drive_level(struct hpet *h, unsigned n)
{
    drive_line(h, n, (h->status >> n & 1) && (h->timer_config[n] & TN_ENABLE));
}

static void raise_interrupt(struct hpet *h, unsigned n)
{
    u64 config = h->timer_config[n];

    if (config & TN_LEVEL) {
        h->status |= BIT(n); /* set even when the interrupt is not enabled: 2.3.6 */
        drive_level(h, n);
    } else if (config & TN_ENABLE) {
        drive_line(h, n, false);
        drive_line(h, n, true);
    }
}

/* ---- matches --------------------------------------------------------------------------------- */

/* Counts from `counter` to the next match; `passed`: the match at `counter` itself is over. */
static u64 counts_to_match(const struct hpet *h, unsigned n, u64 counter, bool passed)
{
    u64 mask = width_mask(h, n);
    u64 counts = (h->comparator[n] - counter) & mask;

    if (counts == 0 && passed)
        return mask; /* once around, one count early: the alarm looks again */
    return counts;
}

static void set_alarm(struct hpet *h, unsigned n, bool passed)
{
    struct clock *clock = h->dev.env->clock;
    u64 now = clock_now_ns(clock);
    u64 counts, wait;

    if (!(h->config & CONFIG_ENABLE)) {
        timer_cancel(clock, &h->alarm[n]);
        return;
    }
    counts = counts_to_match(h, n, counter_at(h, now), passed);
    if (__builtin_mul_overflow(counts, (u64)COUNTER_NS, &wait) || wait >= CLOCK_NEVER - now) {
        timer_cancel(clock, &h->alarm[n]); /* beyond 500 years */
        return;
    }
    /* The counter steps at base + k * COUNTER_NS, not at `now`. */
    wait -= wait ? (now - h->base_ns) % COUNTER_NS : 0;
    if (passed && (h->timer_config[n] & TN_PERIODIC) && wait < FLOOR_NS)
        wait = FLOOR_NS;
    timer_set(clock, &h->alarm[n], now + wait);
}

/* Periodic mode: the first match after `counter` (2.3.9.2.2). */
static void advance_comparator(struct hpet *h, unsigned n, u64 counter)
{
    u64 mask = width_mask(h, n);
    u64 late = (counter - h->comparator[n]) & mask;

    if (!(h->timer_config[n] & TN_PERIODIC) || h->period[n] == 0)
        return;
    h->comparator[n] = (h->comparator[n] + (late / h->period[n] + 1) * h->period[n]) & mask;
}

static void alarm_rang(void *opaque)
{
    const struct hpet_alarm *a = opaque;
    struct hpet *h = a->hpet;
    unsigned n = a->n;
    u64 counter = counter_now(h);
    u64 mask = width_mask(h, n);

    /* An alarm is never early but by the one count of counts_to_match; half the range tells "not
     * yet" from "late". */
    if (((counter - h->comparator[n]) & mask) > mask / 2) {
        set_alarm(h, n, false);
        return;
    }
    raise_interrupt(h, n);
    advance_comparator(h, n, counter);
    set_alarm(h, n, true);
}

/* ---- registers ------------------------------------------------------------------------------- */

static u64 read_timer(const struct hpet *h, unsigned n, u64 off)
{
    switch (off) {
    case TIMER_CONFIG:
        return (u64)h->route_cap << 32 | TN_PERIODIC_CAP | TN_SIZE_CAP |
               (h->timer_config[n] & ~TN_VAL_SET);
    case TIMER_COMPARATOR: return h->comparator[n];
    default: return 0;
    }
}

static u64 read_register(const struct hpet *h, u64 off)
{
    switch (off) {
    case OFF_ID: return ID;
    case OFF_CONFIG: return h->config;
    case OFF_STATUS: return h->status;
    case OFF_COUNTER: return counter_now(h);
    default:
        if (off >= OFF_TIMER && off < OFF_TIMER + 0x20 * HPET_TIMERS)
            return read_timer(h, (unsigned)((off - OFF_TIMER) / 0x20), off & 0x18);
        return 0;
    }
}

static void write_config(struct hpet *h, u64 value)
{
    u64 old = h->config;
    u64 counter = counter_now(h);

    value &= CONFIG_ENABLE | CONFIG_LEGACY;
    if ((old ^ value) & CONFIG_LEGACY) {
        bool line[HPET_TIMERS];
        for (unsigned n = 0; n < HPET_TIMERS; n++) { /* comparators leave one line for another */
            line[n] = h->line[n];
            drive_line(h, n, false);
        }
        h->config = value;
        irq_set(&h->legacy_on, value & CONFIG_LEGACY);
        for (unsigned n = 0; n < HPET_TIMERS; n++)
            drive_line(h, n, line[n]);
    }
    h->config = value;
    if (!((old ^ value) & CONFIG_ENABLE))
        return;
    h->counter = counter;
    h->base_ns = clock_now_ns(h->dev.env->clock);
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        set_alarm(h, n, false);
}

static void write_counter(struct hpet *h, u64 value)
{
    h->counter = value;
    h->base_ns = clock_now_ns(h->dev.env->clock);
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        set_alarm(h, n, false);
}

static void write_status(struct hpet *h, u64 value)
{
    h->status &= (u32)~value;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (h->timer_config[n] & TN_LEVEL)
            drive_level(h, n);
}

static void write_timer_config(struct hpet *h, unsigned n, u64 value)
{
    u64 old = h->timer_config[n];
    bool line = h->line[n];

    value &= TN_WRITABLE;
    /* A route that is not offered reads back as before: 2.3.8, Tn_INT_ROUTE_CNF. */
    if (!(h->route_cap >> TN_ROUTE_OF(value) & 1))
        value = (value & ~TN_ROUTE) | (old & TN_ROUTE);
    if ((old ^ value) & (TN_ROUTE | TN_LEVEL | TN_ENABLE))
        drive_line(h, n, false);
    h->timer_config[n] = value;
    h->comparator[n] &= width_mask(h, n);
    h->period[n] &= width_mask(h, n);
    if (value & TN_LEVEL)
        drive_level(h, n);
    else if (line && (value & TN_ENABLE) && !((old ^ value) & (TN_ROUTE | TN_LEVEL)))
        drive_line(h, n, true);
    set_alarm(h, n, false);
}

/* In periodic mode a write sets the period, and with VAL_SET the next match as well; VAL_SET then
 * clears itself, so that 32-bit accesses set it before each half (2.3.9.2.2). */
static void write_comparator(struct hpet *h, unsigned n, u64 value, u64 written)
{
    u64 config = h->timer_config[n], mask = width_mask(h, n);

    if (!(config & TN_PERIODIC) || (config & TN_VAL_SET))
        h->comparator[n] = ((h->comparator[n] & ~written) | (value & written)) & mask;
    if (config & TN_PERIODIC)
        h->period[n] = ((h->period[n] & ~written) | (value & written)) & mask;
    h->timer_config[n] &= ~TN_VAL_SET;
    set_alarm(h, n, false);
}

/* `written`: which bits of the register the access covers. */
static void write_register(struct hpet *h, u64 off, u64 value, u64 written)
{
    u64 merged = (read_register(h, off) & ~written) | (value & written);

    switch (off) {
    case OFF_CONFIG: write_config(h, merged); break;
    case OFF_STATUS: write_status(h, value & written); break;
    case OFF_COUNTER: write_counter(h, merged); break;
    default:
        if (off < OFF_TIMER || off >= OFF_TIMER + 0x20 * HPET_TIMERS)
            break;
        if ((off & 0x18) == TIMER_CONFIG)
            write_timer_config(h, (unsigned)((off - OFF_TIMER) / 0x20), merged);
        else if ((off & 0x18) == TIMER_COMPARATOR)
            write_comparator(h, (unsigned)((off - OFF_TIMER) / 0x20), value, written);
        break;
    }
}

static u64 page_read(void *opaque, u64 off, unsigned size)
{
    if ((off & 7) + size > 8) /* accesses are aligned: 2.2 */
        return 0;
    return read_register(opaque, off & ~7ull) >> (off & 7) * 8;
}

static void page_write(void *opaque, u64 off, u64 value, unsigned size)
{
    unsigned shift = (unsigned)(off & 7) * 8;

    if ((off & 7) + size > 8)
        return;
    write_register(opaque, off & ~7ull, value << shift, mask64(size * 8) << shift);
}

static const struct mmio_ops page_ops = { page_read, page_write };

/* ---- life ------------------------------------------------------------------------------------ */

static bool hpet_init(struct dev *d, struct err *e)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    (void)e;
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        h->alarm_of[n] = (struct hpet_alarm){ h, n };
        timer_init(&h->alarm[n], alarm_rang, &h->alarm_of[n]);
    }
    h->page = phys_add_mmio(d->env->phys, "hpet", HPET_BASE, PAGE_SIZE, &page_ops, h);
    return true;
}

static void hpet_reset(struct dev *d)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        drive_line(h, n, false);
        timer_cancel(d->env->clock, &h->alarm[n]);
        h->timer_config[n] = (u64)(h->route_cap ? __builtin_ctz(h->route_cap) : 0) << 9;
        h->comparator[n] = ~0ull;
        h->period[n] = 0;
    }
    h->config = 0;
    h->status = 0;
    h->counter = 0;
    h->base_ns = 0;
    irq_set(&h->legacy_on, false);
}

static void hpet_loaded(struct dev *d)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    irq_set(&h->legacy_on, h->config & CONFIG_LEGACY);
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        drive_line(h, n, h->line[n]);
        set_alarm(h, n, false);
    }
}

static void hpet_destroy(struct dev *d)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    for (unsigned n = 0; n < HPET_TIMERS; n++)
        timer_cancel(d->env->clock, &h->alarm[n]);
    if (h->page)
        phys_region_move(d->env->phys, h->page, HPET_BASE, false);
}

static const struct dev_prop hpet_props[] = {
    { "routes", PROP_U32, offsetof(struct hpet, route_cap), 0x00f00000, 1, 0xffffffff,
      "bit n: comparators may use input n of the I/O APIC" },
    DEV_PROP_END,
};

static const struct dev_field hpet_fields[] = {
    DEV_FIELD(struct hpet, config, 0, 3, "GEN_CONF: enable, legacy routes"),
    DEV_FIELD(struct hpet, status, 0, BIT(HPET_TIMERS) - 1, "GINTR_STA"),
    DEV_FIELD(struct hpet, counter, 0, ~0ull, "main counter at base_ns, or halted"),
    DEV_FIELD(struct hpet, base_ns, 0, ~0ull, "virtual time of `counter`"),
    DEV_FIELD_ARRAY(struct hpet, timer_config, 0, TN_WRITABLE, "Tn_CONF, writable bits"),
    DEV_FIELD_ARRAY(struct hpet, comparator, 0, ~0ull, "next match"),
    DEV_FIELD_ARRAY(struct hpet, period, 0, ~0ull, "period of periodic mode"),
    DEV_FIELD_ARRAY(struct hpet, line, 0, 1, "interrupt of comparator n is asserted"),
    DEV_FIELD_END,
};

const struct dev_class hpet_class = {
    .name = "hpet",
    .doc = "high precision event timers, 100 MHz, three comparators",
    .size = sizeof(struct hpet),
    .props = hpet_props,
    .fields = hpet_fields,
    .init = hpet_init,
    .reset = hpet_reset,
    .loaded = hpet_loaded,
    .destroy = hpet_destroy,
};
