/*
 * hyperv_timer.c: synthetic timers of the Hyper-V personality: four per processor, which send a
 * message or (in direct mode) raise a vector of the local APIC.
 *
 * A periodic timer that comes late fires again after half a period until it has caught up, and a
 * lazy one, or one that is more than CATCH_UP periods late, skips what it has missed. Expirations
 * come at most every FLOOR units, whatever period a guest asks for.
 *
 * Specification: TLFS "Synthetic Timers".
 */
#include "base/bits.h"
#include "devices/lapic.h"
#include "pv/hyperv.h"

#define CONFIG_WRITABLE 0xf1fffull
#define NEVER (CLOCK_NEVER / HV_UNIT_NS - SLACK)
#define SLACK 4u   /* by which the counter may lag behind virtual time */
#define FLOOR 100u /* 10 us */
#define CATCH_UP 8u

static struct clock *clock_of(const struct hv_stimer *t)
{
    return t->v->h->pv.env.clock;
}

/* A signal must not come before its time by the guest's counter (TLFS). */
static void arm_at(struct hv_stimer *t, u64 units)
{
    timer_set(clock_of(t), &t->timer, units < NEVER ? (units + SLACK) * HV_UNIT_NS : CLOCK_NEVER);
}

static u64 plus(u64 a, u64 b)
{
    return a + b < a ? ~0ull : a + b;
}

/* ---- expiring -------------------------------------------------------------------------------- */

static bool send(struct hv_stimer *t)
{
    struct hv_message m = {
        .type = HV_MESSAGE_TIMER_EXPIRED,
        .sint = (u8)HV_STIMER_SINT(t->config),
        .bytes = 24,
    };

    st_le32(m.payload, t->n);
    st_le64(m.payload + 8, t->expired);
    st_le64(m.payload + 16, hv_time_reference(t->v->h));
    return hv_synic_send(t->v, &m);
}

static void signal(struct hv_stimer *t)
{
    struct pv *pv = &t->v->h->pv;

    if (t->config & HV_STIMER_DIRECT) {
        if (hv_lapic(t->v))
            lapic_accept(hv_lapic(t->v), APIC_FIXED, HV_STIMER_VECTOR(t->config), false);
        pv_used(pv, HV_F_STIMER_DIRECT);
    } else {
        t->expired = t->expires; /* the latest of those that wait */
        t->waits = !send(t);
    }
    pv_used(pv, HV_F_STIMER);
}

bool hv_timer_retry(struct hv_vcpu *v, unsigned sint)
{
    for (unsigned i = 0; i < HV_STIMERS; i++) {
        struct hv_stimer *t = &v->stimer[i];
        if (!t->waits || HV_STIMER_SINT(t->config) != sint || !send(t))
            continue;
        t->waits = false;
        return true;
    }
    return false;
}

/* Sets when it expires next, and gives when it is to be looked at. */
static u64 next_period(struct hv_stimer *t, u64 now)
{
    u64 at = plus(t->expires, t->count), late = now > at ? now - at : 0;

    if (late && ((t->config & HV_STIMER_LAZY) || late / t->count >= CATCH_UP))
        at += (late / t->count + 1) * t->count;
    t->expires = at;
    now += FLOOR > t->count / 2 ? FLOOR : t->count / 2;
    return at > now ? at : now;
}

static void on_time(void *opaque)
{
    struct hv_stimer *t = opaque;

    signal(t);
    if (t->config & HV_STIMER_PERIODIC)
        arm_at(t, next_period(t, clock_now_ns(clock_of(t)) / HV_UNIT_NS));
    else
        t->config &= ~HV_STIMER_ENABLED;
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

static void restart(struct hv_stimer *t)
{
    timer_cancel(clock_of(t), &t->timer);
    t->waits = false;
    if (!(t->config & HV_STIMER_ENABLED) || !t->count)
        return;
    t->expires = t->count;
    if (t->config & HV_STIMER_PERIODIC)
        t->expires = plus(hv_time_reference(t->v->h), t->count);
    arm_at(t, t->expires);
}

static bool write_config(struct hv_stimer *t, u64 value)
{
    bool direct = value & HV_STIMER_DIRECT;

    if ((value & ~CONFIG_WRITABLE) || (direct && !pv_has(&t->v->h->pv, HV_F_STIMER_DIRECT)))
        return false;
    if (!direct && !HV_STIMER_SINT(value))
        value &= ~HV_STIMER_ENABLED;
    t->config = value;
    restart(t);
    return true;
}

static void write_count(struct hv_stimer *t, u64 value)
{
    bool messages_go_nowhere = !(t->config & HV_STIMER_DIRECT) && !HV_STIMER_SINT(t->config);

    t->count = value;
    if (!value)
        t->config &= ~HV_STIMER_ENABLED;
    else if ((t->config & HV_STIMER_AUTO_ENABLE) && !messages_go_nowhere)
        t->config |= HV_STIMER_ENABLED;
    restart(t);
}

u64 hv_timer_read(const struct hv_vcpu *v, u32 msr)
{
    const struct hv_stimer *t = &v->stimer[(msr - MSR_HV_STIMER0_CONFIG) / 2];
    return msr & 1 ? t->count : t->config;
}

bool hv_timer_write(struct hv_vcpu *v, u32 msr, u64 value)
{
    struct hv_stimer *t = &v->stimer[(msr - MSR_HV_STIMER0_CONFIG) / 2];

    if (!(msr & 1))
        return write_config(t, value);
    write_count(t, value);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

void hv_timer_attach(struct hv_vcpu *v)
{
    for (unsigned i = 0; i < HV_STIMERS; i++) {
        v->stimer[i] = (struct hv_stimer){.v = v, .n = i};
        timer_init(&v->stimer[i].timer, on_time, &v->stimer[i]);
    }
}

void hv_timer_detach(struct hv_vcpu *v)
{
    for (unsigned i = 0; i < HV_STIMERS; i++)
        timer_cancel(clock_of(&v->stimer[i]), &v->stimer[i].timer);
}
