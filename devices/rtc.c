/*
 * rtc.c: the MC146818A real-time clock with CMOS memory.
 *
 * Specification: Motorola MC146818A data sheet (register numbers, timing of the update cycle with
 * a 32.768 kHz crystal); meaning of CMOS memory: IBM PC/AT Technical Reference, "CMOS RAM", and
 * Ralf Brown's CMOS list for the bytes above 2Fh. Century in 32h as ACPI 6.4, 5.2.9 names it.
 *
 * Not implemented: daylight saving (DSE is stored), the square wave output (SQWE is stored), the
 * divider settings for other crystals (they hold the chain as the reset settings do), the second
 * bank of 128 bytes at ports 72h and 73h.
 */
#include "devices/rtc.h"

#include "base/host.h"
#include "devices/iobus.h"
#include "devices/ticks.h"

#include <string.h>

#define A_UIP BIT(7)
#define A_DV(a) ((a) >> 4 & 7)
#define A_RS(a) ((a)&15)
#define DV_32KHZ 2u

#define B_SET BIT(7)
#define B_PIE BIT(6)
#define B_AIE BIT(5)
#define B_UIE BIT(4)
#define B_SQWE BIT(3)
#define B_DM BIT(2)
#define B_24 BIT(1)

#define C_IRQF BIT(7)
#define C_PF BIT(6)
#define C_AF BIT(5)
#define C_UF BIT(4)
#define C_FLAGS (C_PF | C_AF | C_UF)

#define D_VRT BIT(7)

#define CRYSTAL_HZ 32768ull
/* UIP rises t_BUC (244 us) before the update cycle, which takes t_UC (1984 us). */
#define UIP_NS ((244 + 1984) * 1000ull)
#define SECONDS_PER_DAY 86400ull

/* --- values of registers ---------------------------------------------------------------------- */

static unsigned rtc_decode(const struct rtc *r, u8 raw)
{
    return r->cmos[RTC_REG_B] & B_DM ? raw : (raw >> 4) * 10u + (raw & 15);
}

static u8 rtc_encode(const struct rtc *r, unsigned value)
{
    return (u8)(r->cmos[RTC_REG_B] & B_DM ? value : value / 10 % 10 << 4 | value % 10);
}

static unsigned rtc_get(const struct rtc *r, enum rtc_reg reg)
{
    return rtc_decode(r, r->cmos[reg]);
}

static void rtc_put(struct rtc *r, enum rtc_reg reg, unsigned value)
{
    r->cmos[reg] = rtc_encode(r, value);
}

/* 0 to 23 whatever the format of the register: 12-hour mode has PM in bit 7 and no hour 0. */
static unsigned rtc_get_hour(const struct rtc *r)
{
    u8 raw = r->cmos[RTC_HOURS];

    if (r->cmos[RTC_REG_B] & B_24)
        return rtc_decode(r, raw);
    return rtc_decode(r, raw & 0x7f) % 12 + (raw & 0x80 ? 12 : 0);
}

static void rtc_put_hour(struct rtc *r, unsigned hour)
{
    if (r->cmos[RTC_REG_B] & B_24)
        rtc_put(r, RTC_HOURS, hour);
    else
        r->cmos[RTC_HOURS] =
            (u8)(rtc_encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

/* The century is BCD by convention of PC firmware, whatever DM says. */
static unsigned rtc_full_year(const struct rtc *r)
{
    u8 century = r->cmos[RTC_CENTURY];

    return ((century >> 4) * 10u + (century & 15)) * 100 + rtc_get(r, RTC_YEAR);
}

static void rtc_put_full_year(struct rtc *r, unsigned year)
{
    rtc_put(r, RTC_YEAR, year % 100);
    r->cmos[RTC_CENTURY] = (u8)(year / 1000 % 10 << 4 | year / 100 % 10);
}

/* --- calendar --------------------------------------------------------------------------------- */

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_month(unsigned month, unsigned year)
{
    static const u8 days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (month < 1 || month > 12)
        return 31;
    return days[month - 1] + (month == 2 && is_leap(year));
}

static u64 days_before_year(u64 year)
{
    return year * 365 + (year ? (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 : 0);
}

/* Days since 1 January of year 0 (proleptic Gregorian). */
static u64 days_from_date(unsigned year, unsigned month, unsigned day)
{
    u64 days = days_before_year(year) + day - 1;

    for (unsigned m = 1; m < month; m++)
        days += days_in_month(m, year);
    return days;
}

/* Registers from days since year 0, years taken modulo 10000 as the registers hold them. */
static void rtc_put_date(struct rtc *r, u64 days)
{
    unsigned year, month = 1;

    days %= days_before_year(10000);
    year = (unsigned)(days / 366);
    while (days_before_year(year + 1) <= days)
        year++;
    days -= days_before_year(year);
    while (days >= days_in_month(month, year))
        days -= days_in_month(month++, year);
    rtc_put_full_year(r, year);
    rtc_put(r, RTC_MONTH, month);
    rtc_put(r, RTC_DAY_OF_MONTH, (unsigned)days + 1);
}

static void rtc_put_time(struct rtc *r, u64 second_of_day)
{
    rtc_put_hour(r, (unsigned)(second_of_day / 3600));
    rtc_put(r, RTC_MINUTES, (unsigned)(second_of_day / 60 % 60));
    rtc_put(r, RTC_SECONDS, (unsigned)(second_of_day % 60));
}

static void rtc_set_unix(struct rtc *r, u64 seconds)
{
    u64 days = seconds / SECONDS_PER_DAY;

    rtc_put_date(r, days_from_date(1970, 1, 1) + days);
    rtc_put(r, RTC_DAY_OF_WEEK, (unsigned)((days + 4) % 7) + 1);
    rtc_put_time(r, seconds % SECONDS_PER_DAY);
}

/* --- the passing of time ---------------------------------------------------------------------- */

static unsigned at_least_1(unsigned v)
{
    return v ? v : 1;
}

static void rtc_next_day(struct rtc *r)
{
    unsigned year = rtc_full_year(r), month = rtc_get(r, RTC_MONTH);
    unsigned day = rtc_get(r, RTC_DAY_OF_MONTH), weekday = rtc_get(r, RTC_DAY_OF_WEEK);

    rtc_put(r, RTC_DAY_OF_WEEK, weekday < 7 ? weekday + 1 : 1);
    if (day < days_in_month(month, year)) {
        rtc_put(r, RTC_DAY_OF_MONTH, day + 1);
        return;
    }
    rtc_put(r, RTC_DAY_OF_MONTH, 1);
    if (month < 12) {
        rtc_put(r, RTC_MONTH, month + 1);
        return;
    }
    rtc_put(r, RTC_MONTH, 1);
    rtc_put_full_year(r, year + 1);
}

/* One update cycle: counters that hold nonsense wrap at their limit like any other. */
static void rtc_next_second(struct rtc *r)
{
    unsigned hour;

    if (rtc_get(r, RTC_SECONDS) < 59) {
        rtc_put(r, RTC_SECONDS, rtc_get(r, RTC_SECONDS) + 1);
        return;
    }
    rtc_put(r, RTC_SECONDS, 0);
    if (rtc_get(r, RTC_MINUTES) < 59) {
        rtc_put(r, RTC_MINUTES, rtc_get(r, RTC_MINUTES) + 1);
        return;
    }
    rtc_put(r, RTC_MINUTES, 0);
    hour = rtc_get_hour(r);
    rtc_put_hour(r, hour < 23 ? hour + 1 : 0);
    if (hour >= 23)
        rtc_next_day(r);
}

/* Many seconds at once, by calendar. */
static void rtc_skip(struct rtc *r, u64 seconds)
{
    u64 second_of_day = rtc_get_hour(r) * 3600ull + rtc_get(r, RTC_MINUTES) * 60 +
                        rtc_get(r, RTC_SECONDS) + seconds % SECONDS_PER_DAY;
    u64 days = seconds / SECONDS_PER_DAY + second_of_day / SECONDS_PER_DAY;
    u64 date = days_from_date(rtc_full_year(r), at_least_1(rtc_get(r, RTC_MONTH)),
                              at_least_1(rtc_get(r, RTC_DAY_OF_MONTH)));
    unsigned weekday = at_least_1(rtc_get(r, RTC_DAY_OF_WEEK));

    rtc_put_date(r, date + days);
    rtc_put(r, RTC_DAY_OF_WEEK, (unsigned)((weekday - 1 + days) % 7) + 1);
    rtc_put_time(r, second_of_day % SECONDS_PER_DAY);
}

/* C0h to FFh in an alarm byte: don't care. */
static bool alarm_byte_matches(u8 alarm, u8 now)
{
    return alarm >= 0xc0 || alarm == now;
}

static bool rtc_alarm_matches(const struct rtc *r)
{
    return alarm_byte_matches(r->cmos[RTC_SECONDS_ALARM], r->cmos[RTC_SECONDS]) &&
           alarm_byte_matches(r->cmos[RTC_MINUTES_ALARM], r->cmos[RTC_MINUTES]) &&
           alarm_byte_matches(r->cmos[RTC_HOURS_ALARM], r->cmos[RTC_HOURS]);
}

/* An alarm recurs within a day, so the last day is walked second by second and what was before is
 * skipped. */
static void rtc_update(struct rtc *r, u64 seconds)
{
    if (seconds > SECONDS_PER_DAY) {
        rtc_skip(r, seconds - SECONDS_PER_DAY);
        seconds = SECONDS_PER_DAY;
    }
    while (seconds--) {
        rtc_next_second(r);
        if (!(r->cmos[RTC_REG_C] & C_AF) && rtc_alarm_matches(r))
            r->cmos[RTC_REG_C] |= C_AF;
    }
    r->cmos[RTC_REG_C] |= C_UF;
}

static bool rtc_runs(const struct rtc *r)
{
    return A_DV(r->cmos[RTC_REG_A]) == DV_32KHZ;
}

/* Wraps when the chain was started within its first half second of virtual time; so do the sums
 * of divider_ns and what is derived from this. */
static u64 rtc_elapsed_ns(const struct rtc *r)
{
    return clock_now_ns(r->dev.env->clock) - r->divider_ns;
}

/* Pulses of the crystal between periodic interrupts; 0: none. Rates 1 and 2 are those of 8 and 9.
 */
static u64 rtc_period(const struct rtc *r)
{
    unsigned rate = A_RS(r->cmos[RTC_REG_A]);

    if (!rate)
        return 0;
    return 1ull << ((rate < 3 ? rate + 7 : rate) - 1);
}

static void rtc_sync_periodic(struct rtc *r, u64 elapsed_ns)
{
    u64 pulses = ticks_at(elapsed_ns, CRYSTAL_HZ, NS_PER_SEC);
    u64 period = rtc_period(r);

    if (period && pulses / period > r->periodic_done / period)
        r->cmos[RTC_REG_C] |= C_PF;
    r->periodic_done = pulses;
}

static void rtc_drive(struct rtc *r)
{
    u8 *c = &r->cmos[RTC_REG_C];
    bool level;

    *c = (u8)((*c & C_FLAGS) | (*c & r->cmos[RTC_REG_B] & C_FLAGS ? C_IRQF : 0));
    level = (*c & C_IRQF) && !r->irq8_disabled;
    if (level != r->irq8.level)
        irq_set(&r->irq8, level);
}

static void rtc_sync(struct rtc *r)
{
    u64 elapsed = rtc_elapsed_ns(r);
    u64 seconds = elapsed / NS_PER_SEC;

    if (!rtc_runs(r))
        return;
    rtc_sync_periodic(r, elapsed);
    if (seconds > r->seconds_done) {
        u64 n = seconds - r->seconds_done;

        r->seconds_done = seconds;
        if (!(r->cmos[RTC_REG_B] & B_SET))
            rtc_update(r, n);
    }
    rtc_drive(r);
}

/* The next moment at which a flag that is enabled and clear may set. */
static void rtc_arm(struct rtc *r)
{
    u8 want = r->cmos[RTC_REG_B] & (u8)~r->cmos[RTC_REG_C];
    u64 period = rtc_period(r), next = CLOCK_NEVER;

    if (rtc_runs(r) && (want & B_PIE) && period)
        next = ticks_to_ns((r->periodic_done / period + 1) * period, CRYSTAL_HZ, NS_PER_SEC);
    if (rtc_runs(r) && (want & (B_UIE | B_AIE)) && !(r->cmos[RTC_REG_B] & B_SET) &&
        (r->seconds_done + 1) * NS_PER_SEC < next)
        next = (r->seconds_done + 1) * NS_PER_SEC;
    timer_set(r->dev.env->clock, &r->timer,
              next == CLOCK_NEVER ? CLOCK_NEVER : r->divider_ns + next);
}

static void rtc_timer(void *opaque)
{
    rtc_sync(opaque);
    rtc_arm(opaque);
}

/* --- registers -------------------------------------------------------------------------------- */

static void rtc_start_divider(struct rtc *r, u64 already_ns)
{
    r->divider_ns = clock_now_ns(r->dev.env->clock) - already_ns;
    r->seconds_done = 0;
    r->periodic_done = ticks_at(already_ns, CRYSTAL_HZ, NS_PER_SEC);
}

/* Leaving the divider's reset, the first update comes half a second later (data sheet, DV). */
static void write_reg_a(struct rtc *r, u8 value)
{
    bool ran = rtc_runs(r);

    r->cmos[RTC_REG_A] = value & (u8)~A_UIP;
    if (!ran && rtc_runs(r))
        rtc_start_divider(r, NS_PER_SEC / 2);
}

static void write_reg_b(struct rtc *r, u8 value)
{
    if ((value & B_SET) && !(r->cmos[RTC_REG_B] & B_SET))
        value &= (u8)~B_UIE;
    r->cmos[RTC_REG_B] = value;
}

static void rtc_write_reg(struct rtc *r, unsigned reg, u8 value)
{
    TRACE(rtc_write, reg, value);
    rtc_sync(r);
    switch (reg) {
    case RTC_REG_A: write_reg_a(r, value); break;
    case RTC_REG_B: write_reg_b(r, value); break;
    case RTC_REG_C:
    case RTC_REG_D: return; /* read-only */
    default: r->cmos[reg] = value;
    }
    rtc_drive(r);
    rtc_arm(r);
}

static u8 read_reg_a(const struct rtc *r)
{
    bool uip = rtc_runs(r) && !(r->cmos[RTC_REG_B] & B_SET) &&
               rtc_elapsed_ns(r) % NS_PER_SEC >= NS_PER_SEC - UIP_NS;

    return (u8)(r->cmos[RTC_REG_A] | (uip ? A_UIP : 0));
}

/* Reading C clears the flags and releases the interrupt. */
static u8 read_reg_c(struct rtc *r)
{
    u8 flags = r->cmos[RTC_REG_C];

    r->cmos[RTC_REG_C] = 0;
    rtc_drive(r);
    rtc_arm(r);
    return flags;
}

static u8 rtc_read_reg(struct rtc *r, unsigned reg)
{
    rtc_sync(r);
    switch (reg) {
    case RTC_REG_A: return read_reg_a(r);
    case RTC_REG_C: return read_reg_c(r);
    case RTC_REG_D: return D_VRT;
    default: return r->cmos[reg];
    }
}

static void rtc_io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct rtc *r = opaque;

    (void)size;
    if (port & 1) {
        rtc_write_reg(r, r->index, (u8)value);
        return;
    }
    r->index = value & 0x7f;
    r->nmi_masked = value & 0x80;
    if (r->nmi_masked != r->nmi_mask.level)
        irq_set(&r->nmi_mask, r->nmi_masked);
}

static u32 rtc_io_read(void *opaque, u16 port, unsigned size)
{
    struct rtc *r = opaque;
    u8 value;

    (void)size;
    if (!(port & 1))
        return 0xff; /* the index is write-only */
    value = rtc_read_reg(r, r->index);
    TRACE(rtc_read, r->index, value);
    return value;
}

static const struct io_ops rtc_io = {.read = rtc_io_read, .write = rtc_io_write};

void rtc_set_legacy_disabled(void *rtc, unsigned n, bool level)
{
    struct rtc *r = rtc;

    (void)n;
    r->irq8_disabled = level;
    rtc_drive(r);
}

/* --- CMOS memory as firmware leaves it -------------------------------------------------------- */

static void cmos_put16(struct rtc *r, unsigned index, u64 value)
{
    r->cmos[index] = (u8)value;
    r->cmos[index + 1] = (u8)(value >> 8);
}

/* The sum of 10h to 2Dh, and as it stands in 2Eh and 2Fh. */
static u16 cmos_sum(const u8 *cmos)
{
    unsigned sum = 0;

    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += cmos[i];
    return (u16)sum;
}

static u16 cmos_get_sum(const u8 *cmos)
{
    return (u16)(cmos[0x2e] << 8 | cmos[0x2f]);
}

static void cmos_put_sum(struct rtc *r)
{
    u16 sum = cmos_sum(r->cmos);

    r->cmos[0x2e] = (u8)(sum >> 8);
    r->cmos[0x2f] = (u8)sum;
}

static u64 min64(u64 a, u64 b)
{
    return a < b ? a : b;
}

static void cmos_set_memory(struct rtc *r, u64 ram)
{
    u64 low = min64(ram, PCI_HOLE_BASE);
    u64 high = (ram - low) / (64 * KIB);
    u64 above_1m = low > MIB ? min64((low - MIB) / KIB, 0xffff) : 0;
    u64 above_16m = low > 16 * MIB ? min64((low - 16 * MIB) / (64 * KIB), 0xffff) : 0;

    cmos_put16(r, 0x15, 640);
    cmos_put16(r, 0x17, above_1m);
    cmos_put16(r, 0x30, above_1m);
    cmos_put16(r, 0x34, above_16m);
    r->cmos[0x5b] = (u8)high;
    r->cmos[0x5c] = (u8)(high >> 8);
    r->cmos[0x5d] = (u8)(high >> 16);
    r->cmos[0x14] = 0x06; /* equipment: coprocessor, mouse port */
    cmos_put_sum(r);
}

void rtc_set_cmos(struct rtc *r, unsigned index, u8 value)
{
    BUG_ON(index <= RTC_REG_D || index >= sizeof r->cmos);
    r->cmos[index] = value;
    cmos_put_sum(r);
}

/* Those that tell what the machine has: floppies, equipment, memory; and the century. */
static bool cmos_is_machine(unsigned index)
{
    return index == 0x10 || (index >= 0x14 && index <= 0x18) || (index >= 0x30 && index <= 0x35) ||
           (index >= 0x5b && index <= 0x5d);
}

void rtc_restore(struct rtc *r, const u8 kept[RTC_CMOS_BYTES])
{
    bool right = cmos_sum(kept) == cmos_get_sum(kept);

    for (unsigned i = RTC_REG_D + 1; i < RTC_CMOS_BYTES; i++)
        if (!cmos_is_machine(i))
            r->cmos[i] = kept[i];
    if (right) /* else the guest has left it so */
        cmos_put_sum(r);
}

bool rtc_differs(const struct rtc *r, const u8 kept[RTC_CMOS_BYTES])
{
    return memcmp(r->cmos + RTC_REG_D + 1, kept + RTC_REG_D + 1, RTC_CMOS_BYTES - RTC_REG_D - 1) !=
           0;
}

/* --- class ------------------------------------------------------------------------------------ */

static bool rtc_init(struct dev *d, struct err *e)
{
    struct rtc *r = (struct rtc *)d;

    (void)e;
    timer_init(&r->timer, rtc_timer, r);
    r->cmos[RTC_REG_A] = DV_32KHZ << 4 | 6; /* 1024 Hz, as IBM's BIOS sets it */
    r->cmos[RTC_REG_B] = B_24;
    rtc_set_unix(r, r->base ? r->base : host_wall_ns() / NS_PER_SEC);
    cmos_set_memory(r, r->ram ? r->ram : d->env->phys->ram_bytes);
    rtc_start_divider(r, 0);
    iobus_add(d->env->io, 0x70, 2, "rtc", &rtc_io, d);
    return true;
}

static void rtc_destroy(struct dev *d)
{
    timer_cancel(d->env->clock, &((struct rtc *)d)->timer);
    iobus_remove(d->env->io, 0x70, 2, d);
}

/* RESET# reaches the interrupt enables and flags only: time and memory have a battery. */
static void rtc_reset(struct dev *d)
{
    struct rtc *r = (struct rtc *)d;

    rtc_sync(r);
    r->cmos[RTC_REG_B] &= (u8) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    r->cmos[RTC_REG_C] = 0;
    r->index = 0;
    r->nmi_masked = false;
    r->irq8_disabled = false;
    irq_set(&r->nmi_mask, false);
    rtc_drive(r);
    rtc_arm(r);
}

static void rtc_loaded(struct dev *d)
{
    struct rtc *r = (struct rtc *)d;
    u64 elapsed = rtc_elapsed_ns(r);

    r->cmos[RTC_REG_A] &= (u8)~A_UIP;
    r->seconds_done = min64(r->seconds_done, elapsed / NS_PER_SEC);
    r->periodic_done = min64(r->periodic_done, ticks_at(elapsed, CRYSTAL_HZ, NS_PER_SEC));
    irq_set(&r->nmi_mask, r->nmi_masked);
    rtc_drive(r);
    rtc_arm(r);
}

static const struct dev_prop rtc_props[] = {
    {"base", PROP_U64, offsetof(struct rtc, base), 0, 0, 253402300799ull,
     "time at start in seconds since 1970; 0: the host's"},
    {"ram", PROP_U64, offsetof(struct rtc, ram), 0, 0, 1ull << 52,
     "bytes of memory that CMOS tells; 0: the machine's"},
    DEV_PROP_END,
};

static const struct dev_field rtc_fields[] = {
    DEV_FIELD(struct rtc, index, 0, 0x7f, "index (port 70h)"),
    DEV_FIELD(struct rtc, nmi_masked, 0, 1, "port 70h, bit 7"),
    DEV_FIELD(struct rtc, irq8_disabled, 0, 1, "HPET legacy replacement"),
    DEV_FIELD_ARRAY(struct rtc, cmos, 0, 0xff, "registers and CMOS memory"),
    DEV_FIELD(struct rtc, divider_ns, 0, ~0ull, "when the divider chain began"),
    DEV_FIELD(struct rtc, seconds_done, 0, ~0ull, "seconds from then that are counted"),
    DEV_FIELD(struct rtc, periodic_done, 0, ~0ull, "crystal pulses from then that are seen"),
    DEV_FIELD_END,
};

const struct dev_class rtc_class = {
    .name = "mc146818",
    .doc = "MC146818A real-time clock and CMOS memory",
    .size = sizeof(struct rtc),
    .props = rtc_props,
    .fields = rtc_fields,
    .init = rtc_init,
    .reset = rtc_reset,
    .loaded = rtc_loaded,
    .destroy = rtc_destroy,
};
