/*
 * lapic.c: local APIC.
 *
 * Not here: who a message is for (apicbus.c), the I/O APIC (ioapic.c), the counters of the
 * processor (TSC).
 *
 * Specification: Intel SDM vol. 3A chapter 10 (order number 325462-077). Version 14h, six LVT
 * entries, EOI-broadcast suppression, x2APIC, TSC-deadline timer.
 *
 * Choices where the SDM leaves one: the timer's input clock is LAPIC_TIMER_HZ; the xAPIC ID can be
 * written; periodic expirations come at most every TIMER_FLOOR_NS (CCR stays exact); fixed IPIs are
 * edge-triggered whatever ICR says (10.6.1, "Trigger Mode").
 *
 * Not implemented: SMI (no SMM: such messages vanish), remote read, LVT CMCI (no machine-check
 * banks signal it), events that raise the thermal and performance LVTs.
 */
#include "devices/lapic.h"
#include "base/bits.h"
#include "base/err.h"

/* Registers by offset / 16: the page's offsets and the x2APIC MSRs share the numbers. */
enum {
    REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a,
    REG_EOI = 0x0b, REG_RRD = 0x0c, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f,
    REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR_LOW = 0x30,
    REG_ICR_HIGH = 0x31, REG_LVT = 0x32, REG_TIMER_INITIAL = 0x38, REG_TIMER_CURRENT = 0x39,
    REG_TIMER_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f,
};

#define VERSION_INTEGRATED 0x14u
#define VERSION_EOI_SUPPRESSION BIT(24)

#define SVR_ENABLE BIT(8)
#define SVR_NO_EOI_BROADCAST BIT(12)
#define SVR_WRITABLE (0xffu | SVR_ENABLE | BIT(9) | SVR_NO_EOI_BROADCAST)
#define SVR_RESET 0xffu

#define ESR_SEND_ILLEGAL_VECTOR BIT(5)
#define ESR_RECEIVE_ILLEGAL_VECTOR BIT(6)
#define ESR_ILLEGAL_REGISTER BIT(7)

#define LVT_VECTOR 0xffu
#define LVT_MODE(lvt) (((lvt) >> 8) & 7)
#define LVT_STATUS BIT(12)
#define LVT_REMOTE_IRR BIT(14)
#define LVT_LEVEL BIT(15)
#define LVT_MASKED BIT(16)
#define LVT_TIMER_MODE(lvt) (((lvt) >> 17) & 3)

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

/* ICR: vector, delivery mode, destination mode, level, trigger, shorthand. */
#define ICR_WRITABLE 0x000ccfffu
#define ICR_LOGICAL BIT(11)
#define ICR_ASSERT BIT(14)
#define ICR_SHORTHAND(icr) (((icr) >> 18) & 3)

#define TIMER_FLOOR_NS 10000u

#define FIRST_LEGAL_VECTOR 16

static const u32 lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | 3u << 17,
    [LVT_THERMAL] = LVT_VECTOR | LVT_MASKED | 7u << 8,
    [LVT_PERF] = LVT_VECTOR | LVT_MASKED | 7u << 8,
    [LVT_LINT0] = LVT_VECTOR | LVT_MASKED | 7u << 8 | BIT(13) | LVT_LEVEL,
    [LVT_LINT1] = LVT_VECTOR | LVT_MASKED | 7u << 8 | BIT(13) | LVT_LEVEL,
    [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

static void raise_error(struct lapic *l, u32 bit);
static void perform_eoi(struct lapic *l);

/* ---- vectors and priorities ------------------------------------------------------------------ */

static int highest_vector(const u32 r[8])
{
    for (int i = 7; i >= 0; i--)
        if (r[i])
            return i * 32 + 31 - __builtin_clz(r[i]);
    return -1;
}

static void vector_set(u32 r[8], u8 v)
{
    r[v >> 5] |= BIT(v & 31);
}

static void vector_clear(u32 r[8], u8 v)
{
    r[v >> 5] &= ~BIT(v & 31);
}

static bool vector_test(const u32 r[8], u8 v)
{
    return r[v >> 5] & BIT(v & 31);
}

static bool is_enabled(const struct lapic *l)
{
    return l->apic_base & APIC_BASE_EN;
}

static bool in_x2apic_mode(const struct lapic *l)
{
    return (l->apic_base & (APIC_BASE_EN | APIC_BASE_EXTD)) == (APIC_BASE_EN | APIC_BASE_EXTD);
}

bool lapic_is_software_enabled(const struct lapic *l)
{
    return is_enabled(l) && (l->svr & SVR_ENABLE);
}

u32 lapic_id(const struct lapic *l)
{
    return in_x2apic_mode(l) ? l->initial_id : l->id;
}

/* SDM 10.8.3.1: the class of what runs; sub-class of TPR only where TPR decides. */
static u8 processor_priority(const struct lapic *l)
{
    int v = highest_vector(l->isr);
    u8 isrv = v < 0 ? 0 : (u8)(v & 0xf0);
    return (l->tpr & 0xf0) >= isrv ? l->tpr : isrv;
}

u8 lapic_arbitration_priority(struct lapic *l)
{
    int v = highest_vector(l->irr);
    u8 irrv = v < 0 ? 0 : (u8)(v & 0xf0);
    u8 ppr = processor_priority(l);

    if ((l->tpr & 0xf0) >= irrv && (l->tpr & 0xf0) >= (ppr & 0xf0))
        return l->tpr;
    return (ppr & 0xf0) > irrv ? ppr & 0xf0 : irrv;
}

static bool extint_waits(const struct lapic *l)
{
    u32 lvt = l->lvt[LVT_LINT0];

    if (!is_enabled(l)) /* the pin is the processor's INTR */
        return l->lint[0];
    if (l->extint_edge)
        return true;
    return l->lint[0] && !(lvt & LVT_MASKED) && LVT_MODE(lvt) == APIC_EXTINT;
}

bool lapic_has_intr(struct lapic *l)
{
    int v;

    if (extint_waits(l) || l->eoi_unknown)
        return true;
    v = highest_vector(l->irr);
    return is_enabled(l) && v >= 0 && (v & 0xf0) > (processor_priority(l) & 0xf0);
}

static void update_intr(struct lapic *l)
{
    bool level = lapic_has_intr(l);
    if (level != l->intr.level)
        irq_set(&l->intr, level);
}

/* Performs the EOI that the guest signalled in memory, if it did. IRR is empty while an offer
 * stands (`more_pending`), so that only a new arrival or a look at ISR needs this. */
static void pv_sync(struct lapic *l)
{
    if (!l->pv.eoi_taken)
        return;
    l->eoi_unknown = l->pv.may_ask && !l->pv.may_ask(l->pv.opaque);
    if (l->eoi_unknown || !l->pv.eoi_taken(l->pv.opaque))
        return;
    stat_count(l->dev.env->stats, STAT_PV_EOI, SERVED_INLINE);
    perform_eoi(l);
}

/* ---- acceptance ------------------------------------------------------------------------------ */

static bool accept_fixed(struct lapic *l, u8 vector, bool level)
{
    if (!lapic_is_software_enabled(l))
        return false;
    if (vector < FIRST_LEGAL_VECTOR) {
        raise_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
        return false;
    }
    pv_sync(l);
    vector_set(l->irr, vector);
    if (level)
        vector_set(l->tmr, vector);
    else
        vector_clear(l->tmr, vector);
    update_intr(l);
    return true;
}

static void reset_registers(struct lapic *l)
{
    l->tpr = 0;
    l->ldr = 0;
    l->dfr_model = 0xf;
    l->svr = SVR_RESET;
    memset(l->isr, 0, sizeof l->isr);
    memset(l->tmr, 0, sizeof l->tmr);
    memset(l->irr, 0, sizeof l->irr);
    l->esr = 0;
    l->esr_pending = 0;
    l->icr_low = 0;
    l->icr_high = 0;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    l->extint_edge = l->eoi_unknown = false;
    l->timer_initial = 0;
    l->timer_divide = 0;
    l->timer_base_ns = 0;
    l->timer_base_count = 0;
    l->tsc_deadline = 0;
    timer_cancel(l->dev.env->clock, &l->timer);
    update_intr(l);
}

bool lapic_accept(struct lapic *l, u8 mode, u8 vector, bool level)
{
    if (!is_enabled(l))
        return false;
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        return accept_fixed(l, vector, level);
    case APIC_NMI:
        if (l->out.nmi)
            l->out.nmi(l->out.opaque);
        return true;
    case APIC_INIT:
        /* SDM 10.4.7.3: the state after INIT is that after reset, but for the APIC ID. */
        reset_registers(l);
        if (l->out.init)
            l->out.init(l->out.opaque);
        return true;
    case APIC_STARTUP:
        if (l->out.sipi)
            l->out.sipi(l->out.opaque, vector);
        return true;
    case APIC_EXTINT:
        l->extint_edge = true;
        update_intr(l);
        return true;
    default:
        return false;
    }
}

static void deliver_lvt(struct lapic *l, enum lapic_lvt n)
{
    u32 lvt = l->lvt[n];
    bool has_mode = n != LVT_TIMER && n != LVT_ERROR;
    u8 mode = has_mode ? (u8)LVT_MODE(lvt) : (u8)APIC_FIXED;

    if ((lvt & LVT_MASKED) || mode == APIC_EXTINT)
        return;
    if (mode == APIC_FIXED) {
        bool level = (n == LVT_LINT0 || n == LVT_LINT1) && (lvt & LVT_LEVEL);
        if (level && (lvt & LVT_REMOTE_IRR))
            return;
        if (accept_fixed(l, (u8)lvt, level) && level)
            l->lvt[n] |= LVT_REMOTE_IRR;
    } else if (mode == APIC_NMI || mode == APIC_INIT) {
        lapic_accept(l, mode, 0, false);
    }
}

/* SDM 10.5.3: an error interrupts once; a write of ESR arms the next. */
static void raise_error(struct lapic *l, u32 bit)
{
    bool fresh = !(l->esr_pending & bit);
    l->esr_pending |= bit;
    if (fresh)
        deliver_lvt(l, LVT_ERROR);
}

void lapic_set_lint(void *lapic, unsigned n, bool level)
{
    struct lapic *l = lapic;
    u32 lvt = l->lvt[LVT_LINT0 + n];
    bool rose = level && !l->lint[n];

    l->lint[n] = level;
    if (!is_enabled(l)) {
        if (n == 1 && rose && l->out.nmi)
            l->out.nmi(l->out.opaque);
    } else if (rose || (level && LVT_MODE(lvt) == APIC_FIXED && (lvt & LVT_LEVEL))) {
        deliver_lvt(l, LVT_LINT0 + n);
    }
    update_intr(l);
}

/* ---- end of interrupt ------------------------------------------------------------------------ */

static void lint_eoi(struct lapic *l, unsigned n, u8 vector)
{
    u32 *lvt = &l->lvt[LVT_LINT0 + n];

    if (!(*lvt & LVT_REMOTE_IRR) || (*lvt & LVT_VECTOR) != vector)
        return;
    *lvt &= ~LVT_REMOTE_IRR;
    if (l->lint[n])
        deliver_lvt(l, LVT_LINT0 + n);
}

static void perform_eoi(struct lapic *l)
{
    int v = highest_vector(l->isr);

    if (v < 0)
        return;
    vector_clear(l->isr, (u8)v);
    if (vector_test(l->tmr, (u8)v)) {
        lint_eoi(l, 0, (u8)v);
        lint_eoi(l, 1, (u8)v);
        if (l->bus && !(l->svr & SVR_NO_EOI_BROADCAST))
            apic_bus_eoi(l->bus, (u8)v);
    }
    if (l->pv.ended)
        l->pv.ended(l->pv.opaque, (u8)v);
    update_intr(l);
}

static void write_eoi(struct lapic *l)
{
    pv_sync(l);
    perform_eoi(l);
}

/* ---- the processor's side -------------------------------------------------------------------- */

int lapic_ack(struct lapic *l)
{
    int v;

    if (l->eoi_unknown)
        pv_sync(l);
    if (extint_waits(l)) {
        l->extint_edge = false;
        v = l->out.extint_ack ? l->out.extint_ack(l->out.opaque) : -1;
        update_intr(l);
        return v;
    }
    if (!lapic_has_intr(l)) {
        update_intr(l);
        return -1;
    }
    v = highest_vector(l->irr);
    vector_clear(l->irr, (u8)v);
    if (!l->pv.auto_eoi || !l->pv.auto_eoi(l->pv.opaque, (u8)v)) {
        vector_set(l->isr, (u8)v);
        if (l->pv.injected)
            l->pv.injected(l->pv.opaque, (u8)v, !vector_test(l->tmr, (u8)v),
                           highest_vector(l->irr) >= 0);
    }
    update_intr(l);
    return v;
}

u8 lapic_cr8_read(struct lapic *l)
{
    return l->tpr >> 4;
}

static void write_tpr(struct lapic *l, u8 value)
{
    l->tpr = value;
    update_intr(l);
}

void lapic_cr8_write(struct lapic *l, u8 value)
{
    write_tpr(l, (u8)(value << 4));
}

/* ---- interprocessor interrupts --------------------------------------------------------------- */

static void send_ipi(struct lapic *l)
{
    u32 icr = l->icr_low;
    bool x2 = in_x2apic_mode(l);
    struct apic_msg msg = {
        .dest = x2 ? l->icr_high : l->icr_high >> 24,
        .wide = x2,
        .logical = icr & ICR_LOGICAL,
        .mode = (u8)LVT_MODE(icr),
        .vector = (u8)icr,
        .shorthand = (u8)ICR_SHORTHAND(icr),
    };

    if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < FIRST_LEGAL_VECTOR) {
        raise_error(l, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    /* The INIT level de-assert message only synchronises arbitration IDs, which are gone since the
     * Pentium 4; ExtINT and the reserved modes are not valid in ICR (SDM 10.6.1). */
    if (msg.mode == APIC_INIT && !(icr & ICR_ASSERT))
        return;
    if (msg.mode == APIC_EXTINT || msg.mode == APIC_REMOTE_READ || msg.mode == APIC_SMI)
        return;
    if (l->bus)
        apic_bus_send(l->bus, l, &msg);
}

static void write_self_ipi(struct lapic *l, u8 vector)
{
    if (vector < FIRST_LEGAL_VECTOR)
        raise_error(l, ESR_SEND_ILLEGAL_VECTOR);
    else
        accept_fixed(l, vector, false);
}

/* Logical x2APIC ID, SDM 10.12.10.2: cluster in the upper half, one bit in the lower. */
static u32 x2apic_ldr(const struct lapic *l)
{
    return (l->initial_id & ~0xfu) << 12 | BIT(l->initial_id & 0xf);
}

static bool is_logical_dest(const struct lapic *l, const struct apic_msg *msg)
{
    u32 mda = msg->dest;

    if (in_x2apic_mode(l)) {
        u32 ldr = x2apic_ldr(l);
        return mda >> 16 == ldr >> 16 && (mda & ldr & 0xffff);
    }
    if (mda > 0xff)
        return false;
    if (l->dfr_model == 0xf)
        return mda & l->ldr;
    return mda >> 4 == (u32)l->ldr >> 4 && (mda & l->ldr & 0xf);
}

bool lapic_is_dest(const struct lapic *l, const struct apic_msg *msg)
{
    if (msg->dest == (msg->wide ? 0xffffffffu : 0xffu))
        return true;
    return msg->logical ? is_logical_dest(l, msg) : msg->dest == lapic_id(l);
}

/* ---- timer ----------------------------------------------------------------------------------- */

static u64 now_ns(const struct lapic *l)
{
    return clock_now_ns(l->dev.env->clock);
}

static unsigned timer_mode(const struct lapic *l)
{
    return LVT_TIMER_MODE(l->lvt[LVT_TIMER]);
}

/* log2 of the divisor: DCR bits 3, 1 and 0 count 2, 4, ... 128, 1. */
static unsigned divide_shift(const struct lapic *l)
{
    unsigned code = (l->timer_divide & 3) | (l->timer_divide >> 1 & 4);
    return (code + 1) & 7;
}

static u32 timer_count(const struct lapic *l, u64 now)
{
    u64 ticks = (now - l->timer_base_ns) >> divide_shift(l);

    if (timer_mode(l) >= TIMER_TSC_DEADLINE || l->timer_base_count == 0)
        return 0;
    if (ticks < l->timer_base_count)
        return (u32)(l->timer_base_count - ticks);
    if (timer_mode(l) == TIMER_ONE_SHOT || l->timer_initial == 0)
        return 0;
    return (u32)(l->timer_initial - (ticks - l->timer_base_count) % l->timer_initial);
}

/* Virtual time of the next expiration after `now` of a running count; CLOCK_NEVER: none. */
static u64 count_deadline_ns(struct lapic *l, u64 now)
{
    u64 ticks = (now - l->timer_base_ns) >> divide_shift(l);
    u64 end = l->timer_base_count, deadline;

    if (end == 0 || (l->lvt[LVT_TIMER] & LVT_MASKED))
        return CLOCK_NEVER;
    if (timer_mode(l) == TIMER_ONE_SHOT) {
        return ticks < end ? l->timer_base_ns + (end << divide_shift(l)) : CLOCK_NEVER;
    }
    if (l->timer_initial == 0)
        return CLOCK_NEVER;
    if (ticks >= end)
        end += ((ticks - end) / l->timer_initial + 1) * l->timer_initial;
    deadline = l->timer_base_ns + (end << divide_shift(l));
    return deadline < now + TIMER_FLOOR_NS && ticks >= l->timer_base_count ? now + TIMER_FLOOR_NS
                                                                           : deadline;
}

static u64 tsc_deadline_ns(struct lapic *l, u64 now)
{
    u64 tsc;
    u128 wait;

    if (l->tsc_deadline == 0 || !l->tsc.read || l->tsc.khz == 0)
        return CLOCK_NEVER;
    tsc = l->tsc.read(l->tsc.opaque);
    if (tsc >= l->tsc_deadline)
        return now;
    wait = ((u128)(l->tsc_deadline - tsc) * 1000000 + l->tsc.khz - 1) / l->tsc.khz;
    return wait < CLOCK_NEVER - now ? now + (u64)wait : CLOCK_NEVER;
}

static void arm_timer(struct lapic *l)
{
    struct clock *c = l->dev.env->clock;
    u64 now = now_ns(l), deadline;

    if (!is_enabled(l))
        deadline = CLOCK_NEVER;
    else if (timer_mode(l) == TIMER_TSC_DEADLINE)
        deadline = tsc_deadline_ns(l, now);
    else if (timer_mode(l) > TIMER_TSC_DEADLINE)
        deadline = CLOCK_NEVER;
    else
        deadline = count_deadline_ns(l, now);
    if (deadline == CLOCK_NEVER)
        timer_cancel(c, &l->timer);
    else
        timer_set(c, &l->timer, deadline);
}

static void timer_expired(void *opaque)
{
    struct lapic *l = opaque;

    if (timer_mode(l) == TIMER_TSC_DEADLINE) {
        /* The deadline in nanoseconds was rounded; the counter decides. */
        if (l->tsc.read(l->tsc.opaque) < l->tsc_deadline) {
            arm_timer(l);
            return;
        }
        l->tsc_deadline = 0;
    } else if (timer_mode(l) == TIMER_ONE_SHOT) {
        l->timer_base_count = 0;
    }
    deliver_lvt(l, LVT_TIMER);
    if (timer_mode(l) == TIMER_PERIODIC)
        arm_timer(l);
}

static void start_count(struct lapic *l, u32 count)
{
    l->timer_base_ns = now_ns(l);
    l->timer_base_count = count;
}

static void write_timer_initial(struct lapic *l, u32 value)
{
    if (timer_mode(l) >= TIMER_TSC_DEADLINE)
        return;
    l->timer_initial = value;
    start_count(l, value);
    arm_timer(l);
}

static void write_timer_divide(struct lapic *l, u32 value)
{
    u32 count = timer_count(l, now_ns(l));
    l->timer_divide = value & 0xb;
    start_count(l, count);
    arm_timer(l);
}

static void write_lvt_timer(struct lapic *l, u32 value)
{
    u32 count = timer_count(l, now_ns(l));
    bool was_deadline = timer_mode(l) >= TIMER_TSC_DEADLINE;

    start_count(l, count); /* a one-shot count that has ended stays ended in periodic mode */
    l->lvt[LVT_TIMER] = value;
    if (was_deadline != (timer_mode(l) >= TIMER_TSC_DEADLINE)) {
        l->timer_base_count = 0; /* SDM 10.5.4.1: a change of mode disarms */
        l->timer_initial = 0;
        l->tsc_deadline = 0;
    }
    arm_timer(l);
}

static void write_tsc_deadline(struct lapic *l, u64 value)
{
    if (timer_mode(l) != TIMER_TSC_DEADLINE)
        return;
    l->tsc_deadline = value;
    arm_timer(l);
}

void lapic_tsc_changed(struct lapic *l)
{
    if (timer_mode(l) == TIMER_TSC_DEADLINE)
        arm_timer(l);
}

/* ---- registers ------------------------------------------------------------------------------- */

static bool read_register(struct lapic *l, unsigned reg, u32 *value)
{
    bool x2 = in_x2apic_mode(l);

    switch (reg) {
    case REG_ID: *value = x2 ? l->initial_id : (u32)l->id << 24; return true;
    case REG_VERSION:
        *value = VERSION_INTEGRATED | (LVT_COUNT - 1) << 16 | VERSION_EOI_SUPPRESSION;
        return true;
    case REG_TPR: *value = l->tpr; return true;
    case REG_APR:
        pv_sync(l);
        *value = lapic_arbitration_priority(l);
        return !x2;
    case REG_PPR:
        pv_sync(l);
        *value = processor_priority(l);
        return true;
    case REG_EOI: *value = 0; return !x2;
    case REG_RRD: *value = 0; return !x2;
    case REG_LDR: *value = x2 ? x2apic_ldr(l) : (u32)l->ldr << 24; return true;
    case REG_DFR: *value = (u32)l->dfr_model << 28 | 0x0fffffff; return !x2;
    case REG_SVR: *value = l->svr; return true;
    case REG_ISR ... REG_ISR + 7:
        pv_sync(l);
        *value = l->isr[reg - REG_ISR];
        return true;
    case REG_TMR ... REG_TMR + 7: *value = l->tmr[reg - REG_TMR]; return true;
    case REG_IRR ... REG_IRR + 7: *value = l->irr[reg - REG_IRR]; return true;
    case REG_ESR: *value = l->esr; return true;
    case REG_ICR_LOW: *value = l->icr_low; return true;
    case REG_ICR_HIGH: *value = l->icr_high; return !x2;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1: *value = l->lvt[reg - REG_LVT]; return true;
    case REG_TIMER_INITIAL: *value = l->timer_initial; return true;
    case REG_TIMER_CURRENT: *value = timer_count(l, now_ns(l)); return true;
    case REG_TIMER_DIVIDE: *value = l->timer_divide; return true;
    default: return false;
    }
}

static u32 lvt_mask(const struct lapic *l, enum lapic_lvt n)
{
    return n == LVT_TIMER && !l->tsc_deadline_mode ? lvt_writable[n] & ~BIT(18) : lvt_writable[n];
}

static void write_lvt(struct lapic *l, enum lapic_lvt n, u32 value)
{
    value &= lvt_mask(l, n);
    if (!(l->svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (n == LVT_TIMER) {
        write_lvt_timer(l, value);
        return;
    }
    if ((value & LVT_LEVEL) && LVT_MODE(value) == APIC_FIXED)
        value |= l->lvt[n] & LVT_REMOTE_IRR;
    l->lvt[n] = value;
    if ((n == LVT_LINT0 || n == LVT_LINT1) && l->lint[n - LVT_LINT0] && (value & LVT_LEVEL))
        deliver_lvt(l, n);
    update_intr(l);
}

static void write_svr(struct lapic *l, u32 value)
{
    l->svr = value & SVR_WRITABLE;
    if (l->svr & SVR_ENABLE)
        return;
    /* SDM 10.4.7.2: disabling masks every LVT entry. */
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] |= LVT_MASKED;
    arm_timer(l);
    update_intr(l);
}

static enum stat_class stat_of_write(unsigned reg)
{
    switch (reg) {
    case REG_TPR: return STAT_APIC_TPR;
    case REG_EOI: return STAT_APIC_EOI;
    case REG_ICR_LOW:
    case REG_SELF_IPI: return STAT_APIC_ICR;
    case REG_TIMER_INITIAL: return STAT_APIC_TIMER;
    default: return STAT_APIC_WRITE;
    }
}

/* Registers that both modes write alike; false: there is none, or it cannot be written. */
static bool write_register(struct lapic *l, unsigned reg, u32 value)
{
    switch (reg) {
    case REG_TPR: write_tpr(l, (u8)value); return true;
    case REG_EOI: write_eoi(l); return true;
    case REG_SVR: write_svr(l, value); return true;
    case REG_ESR:
        l->esr = l->esr_pending;
        l->esr_pending = 0;
        return true;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1: write_lvt(l, reg - REG_LVT, value); return true;
    case REG_TIMER_INITIAL: write_timer_initial(l, value); return true;
    case REG_TIMER_DIVIDE: write_timer_divide(l, value); return true;
    default: return false;
    }
}

static void count_service(struct lapic *l, enum stat_class s, u64 since)
{
    struct stats *st = l->dev.env->stats;
    stat_count(st, s, l->access_exits ? SERVED_EXIT : SERVED_LEAF);
    stat_sample_end(st, s, since);
}

/* ---- xAPIC: the page ------------------------------------------------------------------------- */

static bool write_xapic_register(struct lapic *l, unsigned reg, u32 value)
{
    switch (reg) {
    case REG_ID: l->id = (u8)(value >> 24); return true;
    case REG_LDR: l->ldr = (u8)(value >> 24); return true;
    case REG_DFR: l->dfr_model = (u8)(value >> 28); return true;
    case REG_ICR_LOW:
        l->icr_low = value & ICR_WRITABLE & ~LVT_STATUS;
        send_ipi(l);
        return true;
    case REG_ICR_HIGH: l->icr_high = value & 0xff000000; return true;
    default: return write_register(l, reg, value);
    }
}

/* The APIC of the processor whose access this is. */
static struct lapic *accessed_lapic(struct lapic *first)
{
    struct apic_bus *bus = first->bus;
    unsigned n;

    if (!bus || !bus->current)
        return first;
    n = bus->current(bus->opaque);
    return n < bus->cpus ? bus->cpu[n] : first;
}

static bool answers_in_page(const struct lapic *l)
{
    return is_enabled(l) && !in_x2apic_mode(l);
}

static u64 page_read(void *opaque, u64 off, unsigned size)
{
    struct lapic *l = accessed_lapic(opaque);
    u64 since = stat_sample_begin(l->dev.env->stats);
    u32 value = 0;

    if (!answers_in_page(l))
        return ~0ull;
    /* SDM 10.4.1: registers are aligned doublewords; what lies between them is undefined. */
    if ((off & 0xf) + size <= 4 && !read_register(l, (unsigned)(off >> 4), &value))
        raise_error(l, ESR_ILLEGAL_REGISTER);
    count_service(l, STAT_APIC_READ, since);
    return value >> (off & 3) * 8;
}

static void page_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct lapic *l = accessed_lapic(opaque);
    u64 since = stat_sample_begin(l->dev.env->stats);
    unsigned reg = (unsigned)(off >> 4);

    u32 unused;

    if (!answers_in_page(l) || (off & 0xf) || size < 4)
        return;
    /* A read-only register ignores the write; one that is not there is an error. */
    if (!write_xapic_register(l, reg, (u32)value) && !read_register(l, reg, &unused))
        raise_error(l, ESR_ILLEGAL_REGISTER);
    count_service(l, stat_of_write(reg), since);
}

static const struct mmio_ops page_ops = { page_read, page_write };

/* ---- x2APIC: the MSRs ------------------------------------------------------------------------ */

/* Bits of a register that a WRMSR may set; others are reserved and fault (SDM 10.12.1.3). */
static u64 x2apic_writable(const struct lapic *l, unsigned reg)
{
    switch (reg) {
    case REG_TPR: return 0xff;
    case REG_SVR: return SVR_WRITABLE;
    case REG_ICR_LOW: return 0xffffffff00000000ull | (ICR_WRITABLE & ~LVT_STATUS);
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        return lvt_mask(l, reg - REG_LVT) | LVT_STATUS | LVT_REMOTE_IRR;
    case REG_TIMER_INITIAL: return 0xffffffff;
    case REG_TIMER_DIVIDE: return 0xb;
    case REG_SELF_IPI: return 0xff;
    default: return 0; /* EOI and ESR take only 0 */
    }
}

static bool x2apic_write(struct lapic *l, unsigned reg, u64 value)
{
    if (value & ~x2apic_writable(l, reg))
        return false;
    switch (reg) {
    case REG_ICR_LOW:
        l->icr_low = (u32)value;
        l->icr_high = (u32)(value >> 32);
        send_ipi(l);
        return true;
    case REG_SELF_IPI: write_self_ipi(l, (u8)value); return true;
    default: return write_register(l, reg, (u32)value);
    }
}

static bool x2apic_read(struct lapic *l, unsigned reg, u64 *value)
{
    u32 low;

    if (!read_register(l, reg, &low))
        return false;
    *value = reg == REG_ICR_LOW ? (u64)l->icr_high << 32 | low : low;
    return true;
}

/* ---- a personality's MSRs -------------------------------------------------------------------- */

void lapic_write_eoi(struct lapic *l)
{
    u64 since = stat_sample_begin(l->dev.env->stats);
    write_eoi(l);
    count_service(l, STAT_APIC_EOI, since);
}

u64 lapic_read_icr(struct lapic *l)
{
    u64 since = stat_sample_begin(l->dev.env->stats), icr = (u64)l->icr_high << 32 | l->icr_low;
    count_service(l, STAT_APIC_READ, since);
    return icr;
}

void lapic_write_icr(struct lapic *l, u64 icr)
{
    u64 since = stat_sample_begin(l->dev.env->stats);
    l->icr_high = (u32)(icr >> 32) & (in_x2apic_mode(l) ? ~0u : 0xff000000u);
    l->icr_low = (u32)icr & ICR_WRITABLE & ~LVT_STATUS;
    send_ipi(l);
    count_service(l, STAT_APIC_ICR, since);
}

u8 lapic_read_tpr(struct lapic *l)
{
    u64 since = stat_sample_begin(l->dev.env->stats);
    count_service(l, STAT_APIC_READ, since);
    return l->tpr;
}

void lapic_write_tpr(struct lapic *l, u8 tpr)
{
    u64 since = stat_sample_begin(l->dev.env->stats);
    write_tpr(l, tpr);
    count_service(l, STAT_APIC_TPR, since);
}

/* ---- IA32_APIC_BASE -------------------------------------------------------------------------- */

static void map_page(struct lapic *l)
{
    if (l->page)
        phys_region_move(l->dev.env->phys, l->page, l->apic_base & PAGE_MASK, answers_in_page(l));
}

/* SDM 10.12.5, figure 10-27: x2APIC is entered from xAPIC only and left through disabled only. */
static bool is_legal_transition(u64 from, u64 to)
{
    const u64 both = APIC_BASE_EN | APIC_BASE_EXTD;

    if ((to & both) == APIC_BASE_EXTD)
        return false;
    if ((from & both) == 0)
        return (to & both) != both;
    if ((from & both) == both)
        return (to & both) != APIC_BASE_EN;
    return true;
}

static bool write_apic_base(struct lapic *l, u64 value)
{
    u64 writable = APIC_BASE_BSP | APIC_BASE_EN | (l->x2apic ? APIC_BASE_EXTD : 0) |
                   (mask64(l->dev.env->phys->addr_bits) & PAGE_MASK);
    u64 old = l->apic_base;

    if ((value & ~writable) || !is_legal_transition(old, value))
        return false;
    l->apic_base = value;
    if ((old ^ value) & APIC_BASE_EN) {
        l->id = (u8)l->initial_id;
        reset_registers(l);
    }
    map_page(l);
    update_intr(l);
    return true;
}

bool lapic_msr_read(struct lapic *l, u32 msr, u64 *value)
{
    u64 since = stat_sample_begin(l->dev.env->stats);

    if (msr == MSR_IA32_APIC_BASE) {
        *value = l->apic_base;
        return true;
    }
    if (msr == MSR_IA32_TSC_DEADLINE) {
        *value = l->tsc_deadline;
        return l->tsc_deadline_mode;
    }
    if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !in_x2apic_mode(l) ||
        !x2apic_read(l, msr - MSR_X2APIC_FIRST, value))
        return false;
    count_service(l, STAT_APIC_READ, since);
    return true;
}

bool lapic_msr_write(struct lapic *l, u32 msr, u64 value)
{
    u64 since = stat_sample_begin(l->dev.env->stats);

    if (msr == MSR_IA32_APIC_BASE)
        return write_apic_base(l, value);
    if (msr == MSR_IA32_TSC_DEADLINE) {
        if (!l->tsc_deadline_mode)
            return false;
        write_tsc_deadline(l, value);
        count_service(l, STAT_APIC_TIMER, since);
        return true;
    }
    if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !in_x2apic_mode(l) ||
        !x2apic_write(l, msr - MSR_X2APIC_FIRST, value))
        return false;
    count_service(l, stat_of_write(msr - MSR_X2APIC_FIRST), since);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

void lapic_set_virtual_wire(struct lapic *l)
{
    write_svr(l, SVR_RESET | SVR_ENABLE);
    write_lvt(l, LVT_LINT0, APIC_EXTINT << 8);
    write_lvt(l, LVT_LINT1, APIC_NMI << 8);
}

static bool lapic_init(struct dev *d, struct err *e)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    (void)e;
    timer_init(&l->timer, timer_expired, l);
    if (l->initial_id == 0)
        l->page = phys_add_mmio(d->env->phys, "lapic", LAPIC_DEFAULT_BASE, PAGE_SIZE, &page_ops, l);
    return true;
}

static void lapic_reset(struct dev *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    l->apic_base = LAPIC_DEFAULT_BASE | APIC_BASE_EN | (l->initial_id == 0 ? APIC_BASE_BSP : 0);
    l->id = (u8)l->initial_id;
    reset_registers(l);
    map_page(l);
}

static void lapic_loaded(struct dev *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    map_page(l);
    arm_timer(l);
    l->intr.level = lapic_has_intr(l);
    irq_set(&l->intr, l->intr.level);
}

static void lapic_destroy(struct dev *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    timer_cancel(d->env->clock, &l->timer);
    if (l->page)
        phys_region_move(d->env->phys, l->page, l->page->base, false);
}

/* What the 8259s or another source drives LINT0 for. */
static void explain_lint0(const struct lapic *l, FILE *out)
{
    u32 lvt = l->lvt[LVT_LINT0];

    if (!(l->svr & SVR_ENABLE))
        fprintf(out,
                "LINT0 of local APIC %u is asserted; the APIC is disabled (bit 8 of SVR %#x).\n",
                lapic_id(l), l->svr);
    else if (lvt & LVT_MASKED)
        fprintf(out, "LINT0 of local APIC %u is asserted and masked (bit 16 of LVT LINT0 %#x).\n",
                lapic_id(l), lvt);
}

static void explain_vector(const struct lapic *l, u8 v, FILE *out)
{
    int serviced = highest_vector(l->isr);

    fprintf(out, "Vector %#x is requested at local APIC %u", v, lapic_id(l));
    if ((v & 0xf0) > (processor_priority(l) & 0xf0))
        fprintf(out, ".\n");
    else if (serviced >= 0 && (v & 0xf0) <= (serviced & 0xf0))
        fprintf(out, ", and waits for the end of vector %#x: no EOI came.\n", (unsigned)serviced);
    else
        fprintf(out, ", and held back by TPR %#x: only vectors from %#x pass.\n", l->tpr,
                (l->tpr & 0xf0) + 0x10u);
}

static void lapic_explain_waits(const struct dev *d, FILE *out)
{
    const struct lapic *l = container_of(d, const struct lapic, dev);
    int v = highest_vector(l->irr);

    if (!is_enabled(l))
        return;
    if (l->lint[0])
        explain_lint0(l, out);
    if (v >= 0)
        explain_vector(l, (u8)v, out);
    if (l->lvt[LVT_TIMER] & LVT_MASKED && (l->tsc_deadline || timer_count(l, now_ns(l))))
        fprintf(out,
                "The timer of local APIC %u runs, and its interrupt is masked (bit 16 of LVT timer "
                "%#x).\n",
                lapic_id(l), l->lvt[LVT_TIMER]);
}

static const struct dev_prop lapic_props[] = {
    { "id", PROP_U32, offsetof(struct lapic, initial_id), 0, 0, 0xfffffffe, "x2APIC ID; 0 boots" },
    { "x2apic", PROP_BOOL, offsetof(struct lapic, x2apic), 1, 0, 1, "x2APIC mode exists" },
    { "tsc-deadline", PROP_BOOL, offsetof(struct lapic, tsc_deadline_mode), 1, 0, 1,
      "the timer's TSC-deadline mode exists" },
    DEV_PROP_END,
};

static const struct dev_field lapic_fields[] = {
    DEV_FIELD(struct lapic, apic_base, 0, ~0ull, "IA32_APIC_BASE"),
    DEV_FIELD(struct lapic, id, 0, 0xff, "xAPIC ID"),
    DEV_FIELD(struct lapic, tpr, 0, 0xff, "task priority"),
    DEV_FIELD(struct lapic, ldr, 0, 0xff, "logical destination, bits 31:24"),
    DEV_FIELD(struct lapic, dfr_model, 0, 0xf, "destination format: 15 flat, 0 cluster"),
    DEV_FIELD(struct lapic, svr, 0, SVR_WRITABLE, "spurious interrupt vector, enable"),
    DEV_FIELD_ARRAY(struct lapic, isr, 0, 0xffffffff, "in service"),
    DEV_FIELD_ARRAY(struct lapic, tmr, 0, 0xffffffff, "trigger mode: 1 level"),
    DEV_FIELD_ARRAY(struct lapic, irr, 0, 0xffffffff, "interrupt request"),
    DEV_FIELD(struct lapic, esr, 0, 0xff, "error status, latched"),
    DEV_FIELD(struct lapic, esr_pending, 0, 0xff, "errors since the last write of ESR"),
    DEV_FIELD(struct lapic, icr_low, 0, ICR_WRITABLE, "interrupt command, low"),
    DEV_FIELD(struct lapic, icr_high, 0, 0xffffffff, "interrupt command, high"),
    DEV_FIELD_ARRAY(struct lapic, lvt, 0, 0x7ffff, "timer, thermal, perf, LINT0, LINT1, error"),
    DEV_FIELD(struct lapic, extint_edge, 0, 1, "an ExtINT message waits"),
    DEV_FIELD(struct lapic, timer_initial, 0, 0xffffffff, "initial count"),
    DEV_FIELD(struct lapic, timer_divide, 0, 0xb, "divide configuration"),
    DEV_FIELD(struct lapic, timer_base_ns, 0, ~0ull, "when the count was timer_base_count"),
    DEV_FIELD(struct lapic, timer_base_count, 0, 0xffffffff, "count at timer_base_ns; 0 stopped"),
    DEV_FIELD(struct lapic, tsc_deadline, 0, ~0ull, "IA32_TSC_DEADLINE; 0 not armed"),
    DEV_FIELD_ARRAY(struct lapic, lint, 0, 1, "levels of LINT0 and LINT1"),
    DEV_FIELD_END,
};

const struct dev_class lapic_class = {
    .name = "lapic",
    .doc = "local APIC (xAPIC, x2APIC)",
    .size = sizeof(struct lapic),
    .props = lapic_props,
    .fields = lapic_fields,
    .init = lapic_init,
    .reset = lapic_reset,
    .loaded = lapic_loaded,
    .destroy = lapic_destroy,
    .explain_waits = lapic_explain_waits,
};
