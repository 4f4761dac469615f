/*
 * pit.c: the 8254 programmable interval timer, and port 61h.
 *
 * Specification: Intel 8254 data sheet (231164); port 61h (NMI status and control): Intel 82371SB
 * (PIIX3) data sheet (290550), section 2.5.4. CLK is 14.31818 MHz / 12, derived exactly.
 *
 * Each channel is a state machine over CLK pulses that is advanced by many pulses at once: between
 * two events (load, terminal count, half period) it only counts down.
 *
 * The loudspeaker is in speaker.c.
 *
 * Not implemented: the refresh toggle of port 61h follows a refresh of 18
 * CLK pulses as a PC's firmware sets it, whatever channel 1 is programmed to; SERR# and IOCHK#
 * never happen, so their status bits are 0; counts of 1 in modes 2 and 3 (illegal) and BCD digits
 * above 9 behave in some defined way.
 */
#include "devices/pit.h"

#include "devices/iobus.h"
#include "devices/ticks.h"

#define RW_LSB 1u
#define RW_MSB 2u
#define RW_BOTH 3u

#define STATUS_OUT BIT(7)
#define STATUS_NULL BIT(6)

#define READBACK_NO_COUNT BIT(5)
#define READBACK_NO_STATUS BIT(4)

#define P61_GATE2 BIT(0)
#define P61_SPEAKER BIT(1)
#define P61_WRITABLE 0x0fu
#define P61_REFRESH BIT(4)
#define P61_OUT2 BIT(5)
#define REFRESH_TICKS 18u

/* --- one channel ------------------------------------------------------------------------------ */

/* Modes 6 and 7 are 2 and 3: bit 2 does not matter there. */
static unsigned channel_mode(const struct pit_channel *c)
{
    unsigned m = c->control >> 1 & 7;

    return m > 5 ? m & 3 : m;
}

static unsigned channel_rw(const struct pit_channel *c)
{
    return c->control >> 4 & 3;
}

static u32 channel_modulus(const struct pit_channel *c)
{
    return c->control & 1 ? 10000 : 65536;
}

static bool channel_is_periodic(const struct pit_channel *c)
{
    return channel_mode(c) == 2 || channel_mode(c) == 3;
}

/* What CE starts from: mode 3 counts by two, from an even number. */
static u32 channel_start(const struct pit_channel *c)
{
    u32 n = c->n ? c->n : 1;

    return channel_mode(c) == 3 ? n & ~1u : n;
}

static void channel_reload(struct pit_channel *c)
{
    c->n = c->cr;
    c->null_count = false;
    c->ce = channel_start(c);
}

/* The CLK pulse after a count or a trigger. */
static void channel_load(struct pit_channel *c)
{
    unsigned mode = channel_mode(c);

    c->load = false;
    c->counting = true;
    c->expired = false;
    c->out = mode > 1;
    channel_reload(c);
}

/* Modes 1 and 5 look at the gate's edges only. */
static bool channel_runs(const struct pit_channel *c)
{
    unsigned mode = channel_mode(c);

    return c->counting && (c->gate || mode == 1 || mode == 5);
}

/* A strobe of modes 4 and 5 is under way: it lasts one pulse. */
static bool channel_strobes(const struct pit_channel *c)
{
    return channel_mode(c) >= 4 && !c->out;
}

/* CLK pulses up to the next one that does more than count; 0: none will come. */
static u64 channel_distance(const struct pit_channel *c)
{
    if (c->load)
        return 1;
    if (!channel_runs(c))
        return 0;
    switch (channel_mode(c)) {
    case 2: return c->ce > 1 ? c->ce - 1 : 1;
    case 3:
        /* An odd count makes the high half one pulse longer. */
        if (c->out && (c->n & 1))
            return c->ce / 2 + 1;
        return c->ce > 1 ? c->ce / 2 : 1;
    default:
        if (channel_strobes(c))
            return 1;
        return c->expired ? 0 : c->ce ? c->ce : channel_modulus(c);
    }
}

/* Counts `pulses` down without reaching an event, or just to it. */
static void channel_count(struct pit_channel *c, u64 pulses)
{
    u32 m = channel_modulus(c);

    if (channel_mode(c) == 3)
        c->ce -= (u32)pulses * 2 <= c->ce ? (u32)pulses * 2 : c->ce;
    else
        c->ce = (u32)((c->ce + m - pulses % m) % m);
}

static void channel_event(struct pit_channel *c, u64 distance)
{
    unsigned mode = channel_mode(c);

    if (c->load) {
        channel_load(c);
    } else if (mode == 3) {
        c->out = !c->out;
        channel_reload(c);
    } else if (mode == 2) {
        if (c->ce > 1) {
            c->ce = 1;
            c->out = false;
        } else {
            channel_reload(c);
            c->out = true;
        }
    } else {
        bool strobe_ends = channel_strobes(c);

        channel_count(c, distance);
        c->out = mode < 4 || strobe_ends;
        c->expired = true;
    }
}

/* The period of modes 2 and 3, when nothing changes it; 0 otherwise. */
static u64 channel_period(const struct pit_channel *c)
{
    u32 n = c->n ? c->n : 1;

    if (!channel_is_periodic(c) || c->load || c->null_count || !channel_runs(c))
        return 0;
    return channel_mode(c) == 2 || n > 1 ? n : 2;
}

/* Applies the CLK pulses up to `target`; true when OUT rose on the way. */
static bool channel_advance(struct pit_channel *c, u64 target)
{
    bool rose = false;

    while (c->tick < target) {
        u64 left = target - c->tick;
        u64 period = channel_period(c);
        u64 distance = channel_distance(c);
        bool out = c->out;

        if (period > 1 && left >= period) {
            c->tick += left / period * period;
            rose = true;
        } else if (period == 1) {
            c->tick = target; /* illegal count: OUT stays */
        } else if (!distance || distance > left) {
            if (channel_runs(c))
                channel_count(c, left);
            c->tick = target;
        } else {
            channel_event(c, distance);
            c->tick += distance;
            rose |= !out && c->out;
        }
    }
    return rose;
}

/* The pulse at which OUT next rises, or in mode 3 changes; CLOCK_NEVER: not by itself. The fall of
 * the strobes and of mode 2 comes one pulse before the rise and needs no wake-up of its own. */
static u64 channel_next_edge(const struct pit_channel *channel)
{
    struct pit_channel c = *channel;

    for (unsigned events = 0; events < 4; events++) {
        u64 distance = channel_distance(&c);
        bool out = c.out;

        if (!distance)
            return CLOCK_NEVER;
        channel_event(&c, distance);
        c.tick += distance;
        if (c.out && !out)
            return c.tick;
        if (!c.out && out && channel_mode(&c) == 3)
            return c.tick;
    }
    return CLOCK_NEVER;
}

static void channel_set_gate(struct pit_channel *c, bool level)
{
    unsigned mode = channel_mode(c);

    if (c->gate == level)
        return;
    c->gate = level;
    if (level && mode != 0 && mode != 4 && c->cr_set)
        c->load = true;
    if (!level && channel_is_periodic(c))
        c->out = true;
}

static void channel_set_control(struct pit_channel *c, u8 control)
{
    c->control = control & 0x3f;
    c->out = channel_mode(c) != 0;
    c->counting = false;
    c->load = false;
    c->cr_set = false;
    c->null_count = true;
    c->expired = false;
    c->write_msb = false;
    c->read_msb = false;
    c->count_latched = false;
    c->status_latched = false;
}

static u32 from_bcd(u16 v)
{
    return (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);
}

static u16 to_bcd(u32 v)
{
    return (u16)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static void channel_set_count(struct pit_channel *c, u16 count)
{
    u32 m = channel_modulus(c);
    u32 n = (c->control & 1 ? from_bcd(count) : count) % m;

    c->cr = n ? n : m;
    c->cr_set = true;
    c->null_count = true;
    switch (channel_mode(c)) {
    case 0:
        c->out = false;
        c->load = true;
        break;
    case 4: c->load = true; break;
    case 2:
    case 3: /* while counting, the new count waits for the end of the (half) period */
        if (!c->counting)
            c->load = true;
        break;
    default: /* 1 and 5 wait for a trigger */ break;
    }
}

static void channel_write(struct pit_channel *c, u8 value)
{
    switch (channel_rw(c)) {
    case RW_LSB: channel_set_count(c, value); return;
    case RW_MSB: channel_set_count(c, (u16)(value << 8)); return;
    default:
        c->write_msb = !c->write_msb;
        if (!c->write_msb) {
            channel_set_count(c, (u16)(c->write_lsb | value << 8));
            return;
        }
        c->write_lsb = value;
        if (channel_mode(c) == 0) { /* the first byte stops the count, OUT falls at once */
            c->counting = false;
            c->load = false;
            c->out = false;
        }
    }
}

static u16 channel_count_now(const struct pit_channel *c)
{
    return c->control & 1 ? to_bcd(c->ce % 10000) : (u16)c->ce;
}

static u8 channel_status(const struct pit_channel *c)
{
    return (u8)((c->out ? STATUS_OUT : 0) | (c->null_count ? STATUS_NULL : 0) | c->control);
}

static void channel_latch_count(struct pit_channel *c)
{
    if (c->count_latched)
        return;
    c->latch = channel_count_now(c);
    c->count_latched = true;
}

static void channel_latch_status(struct pit_channel *c)
{
    if (c->status_latched)
        return;
    c->status = channel_status(c);
    c->status_latched = true;
}

static u8 channel_read(struct pit_channel *c)
{
    unsigned rw = channel_rw(c);
    bool msb = rw == RW_MSB || (rw == RW_BOTH && c->read_msb);
    u16 value = c->count_latched ? c->latch : channel_count_now(c);

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (rw == RW_BOTH)
        c->read_msb = !c->read_msb;
    if (msb || rw == RW_LSB)
        c->count_latched = false;
    return (u8)(msb ? value >> 8 : value);
}

/* --- the chip --------------------------------------------------------------------------------- */

static u64 pit_tick(struct pit *p)
{
    return ticks_at(clock_now_ns(p->dev.env->clock), PIT_TICKS_NUM, PIT_TICKS_DEN);
}

/* Shows OUT 0 to the world; a rise that came and went since the last time is still an edge. */
static void pit_drive(struct pit *p, bool rose)
{
    bool level = p->channel[0].out && !p->irq0_disabled;

    if (rose && !p->irq0_disabled && p->irq0.level == level)
        irq_set(&p->irq0, !level);
    if (p->irq0.level != level)
        irq_set(&p->irq0, level);
}

static void pit_arm(struct pit *p)
{
    u64 tick = channel_next_edge(&p->channel[0]);

    timer_set(p->dev.env->clock, &p->timer,
              tick == CLOCK_NEVER ? CLOCK_NEVER : ticks_to_ns(tick, PIT_TICKS_NUM, PIT_TICKS_DEN));
}

static void pit_sync(struct pit *p)
{
    u64 now = pit_tick(p);
    bool rose = channel_advance(&p->channel[0], now);

    channel_advance(&p->channel[1], now);
    channel_advance(&p->channel[2], now);
    pit_drive(p, rose);
}

static void pit_timer(void *opaque)
{
    struct pit *p = opaque;

    pit_sync(p);
    pit_arm(p);
}

void pit_set_legacy_disabled(void *pit, unsigned n, bool level)
{
    struct pit *p = pit;

    (void)n;
    pit_sync(p);
    p->irq0_disabled = level;
    pit_drive(p, false);
}

bool pit_channel_out(struct pit_channel *c, u64 ns)
{
    channel_advance(c, ticks_at(ns, PIT_TICKS_NUM, PIT_TICKS_DEN));
    return c->out;
}

bool pit_speaker_is_on(const struct pit *p)
{
    return p->port61 & P61_SPEAKER;
}

static void tell_speaker(const struct pit *p)
{
    if (p->speaker_changed)
        p->speaker_changed(p->speaker);
}

static void pit_write_control(struct pit *p, u8 value)
{
    unsigned select = value >> 6;

    TRACE(pit_control, value);
    if (select == 3) {
        for (unsigned i = 0; i < 3; i++) {
            if (!(value >> (i + 1) & 1))
                continue;
            if (!(value & READBACK_NO_COUNT))
                channel_latch_count(&p->channel[i]);
            if (!(value & READBACK_NO_STATUS))
                channel_latch_status(&p->channel[i]);
        }
    } else if (!(value >> 4 & 3)) {
        channel_latch_count(&p->channel[select]);
    } else {
        channel_set_control(&p->channel[select], value);
    }
}

static void pit_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pit *p = opaque;
    struct pit_channel *c = &p->channel[port & 3];
    bool out = p->channel[0].out;

    (void)size;
    pit_sync(p);
    if ((port & 3) == 3) {
        pit_write_control(p, (u8)value);
    } else {
        channel_write(c, (u8)value);
        if (!c->write_msb)
            TRACE(pit_set_count, port & 3u, channel_mode(c), c->cr);
    }
    pit_drive(p, !out && p->channel[0].out);
    pit_arm(p);
    if ((port & 3) >= 2)
        tell_speaker(p);
}

static u32 pit_read(void *opaque, u16 port, unsigned size)
{
    struct pit *p = opaque;

    (void)size;
    if ((port & 3) == 3)
        return 0xff; /* the control word is write-only */
    pit_sync(p);
    return channel_read(&p->channel[port & 3]);
}

static u32 port61_read(void *opaque, u16 port, unsigned size)
{
    struct pit *p = opaque;
    u32 value = p->port61;

    (void)port;
    (void)size;
    pit_sync(p);
    if (pit_tick(p) / REFRESH_TICKS & 1)
        value |= P61_REFRESH;
    if (p->channel[2].out)
        value |= P61_OUT2;
    return value;
}

static void port61_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pit *p = opaque;

    (void)port;
    (void)size;
    pit_sync(p);
    p->port61 = value & P61_WRITABLE;
    channel_set_gate(&p->channel[2], value & P61_GATE2);
    tell_speaker(p);
}

static const struct io_ops pit_io = {.read = pit_read, .write = pit_write};
static const struct io_ops port61_io = {.read = port61_read, .write = port61_write};

/* --- class ------------------------------------------------------------------------------------ */

static bool pit_init(struct dev *d, struct err *e)
{
    struct pit *p = (struct pit *)d;

    (void)e;
    timer_init(&p->timer, pit_timer, p);
    iobus_add(d->env->io, 0x40, 4, "pit", &pit_io, d);
    iobus_add(d->env->io, 0x61, 1, "port 61h", &port61_io, d);
    return true;
}

static void pit_destroy(struct dev *d)
{
    timer_cancel(d->env->clock, &((struct pit *)d)->timer);
    iobus_remove(d->env->io, 0x40, 4, d);
    iobus_remove(d->env->io, 0x61, 1, d);
}

/* The data sheet leaves the state at power-on undefined. Here no channel counts and OUT is low:
 * the state that disturbs a guest least which never programs a channel. */
static void pit_reset(struct dev *d)
{
    struct pit *p = (struct pit *)d;

    for (unsigned i = 0; i < 3; i++)
        p->channel[i] = (struct pit_channel){.tick = pit_tick(p),
                                             .cr = 65536,
                                             .n = 65536,
                                             .control = 0x30,
                                             .null_count = true,
                                             .gate = i != 2};
    p->port61 = 0;
    p->irq0_disabled = false;
    pit_drive(p, false);
    pit_arm(p);
    tell_speaker(p);
}

static void pit_loaded(struct dev *d)
{
    struct pit *p = (struct pit *)d;

    p->channel[0].gate = p->channel[1].gate = true;
    for (unsigned i = 0; i < 3; i++)
        if (p->channel[i].tick > pit_tick(p))
            p->channel[i].tick = pit_tick(p);
    irq_set(&p->irq0, p->channel[0].out && !p->irq0_disabled);
    pit_arm(p);
    tell_speaker(p);
}

#define CHANNEL_FIELDS(i)                                                                          \
    DEV_FIELD(struct pit, channel[i].tick, 0, ~0ull, "CLK pulses applied"),                        \
        DEV_FIELD(struct pit, channel[i].cr, 1, 65536, "count register"),                          \
        DEV_FIELD(struct pit, channel[i].n, 1, 65536, "count last loaded"),                        \
        DEV_FIELD(struct pit, channel[i].ce, 0, 65536, "counting element"),                        \
        DEV_FIELD(struct pit, channel[i].latch, 0, 0xffff, "output latch"),                        \
        DEV_FIELD(struct pit, channel[i].control, 0x10, 0x3f, "control word"),                     \
        DEV_FIELD(struct pit, channel[i].status, 0, 0xff, "latched status"),                       \
        DEV_FIELD(struct pit, channel[i].write_lsb, 0, 0xff, "first byte of a count"),             \
        DEV_FIELD(struct pit, channel[i].gate, 0, 1, "GATE"),                                      \
        DEV_FIELD(struct pit, channel[i].out, 0, 1, "OUT"),                                        \
        DEV_FIELD(struct pit, channel[i].counting, 0, 1, "CE was loaded"),                         \
        DEV_FIELD(struct pit, channel[i].load, 0, 1, "the next pulse loads CE"),                   \
        DEV_FIELD(struct pit, channel[i].cr_set, 0, 1, "a count was written"),                     \
        DEV_FIELD(struct pit, channel[i].null_count, 0, 1, "CR is not in CE yet"),                 \
        DEV_FIELD(struct pit, channel[i].expired, 0, 1, "terminal count was reached"),             \
        DEV_FIELD(struct pit, channel[i].write_msb, 0, 1, "next write is the high byte"),          \
        DEV_FIELD(struct pit, channel[i].read_msb, 0, 1, "next read is the high byte"),            \
        DEV_FIELD(struct pit, channel[i].count_latched, 0, 1, "the count is latched"),             \
        DEV_FIELD(struct pit, channel[i].status_latched, 0, 1, "the status is latched")

static const struct dev_field pit_fields[] = {
    CHANNEL_FIELDS(0),
    CHANNEL_FIELDS(1),
    CHANNEL_FIELDS(2),
    DEV_FIELD(struct pit, port61, 0, P61_WRITABLE, "system control port, bits 3:0"),
    DEV_FIELD(struct pit, irq0_disabled, 0, 1, "HPET legacy replacement"),
    DEV_FIELD_END,
};

const struct dev_class pit_class = {
    .name = "i8254",
    .doc = "8254 interval timer and port 61h",
    .size = sizeof(struct pit),
    .fields = pit_fields,
    .init = pit_init,
    .reset = pit_reset,
    .loaded = pit_loaded,
    .destroy = pit_destroy,
};
