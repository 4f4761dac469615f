/*
 * clock.c: virtual time and the queue of deadlines (clock.h).
 *
 * The queue is a sorted list: a machine has some ten timers, and the head is what is asked for.
 */
#include "base/clock.h"

#include "base/err.h"
#include "base/host.h"

/* What one call of clock_run_timers fires at most: a timer that the guest makes re-arm itself in
 * the past must not hold the caller. What is left stays due. */
#define FIRINGS_PER_RUN 64

void clock_init(struct clock *c, enum clock_mode mode)
{
    *c = (struct clock){.mode = mode};
    clock_start(c);
}

void clock_start(struct clock *c)
{
    if (c->mode != CLOCK_HOST || c->running)
        return;
    c->host_base_ns = host_now_ns();
    c->running = true;
}

void clock_stop(struct clock *c)
{
    if (c->mode != CLOCK_HOST || !c->running)
        return;
    c->offset_ns = clock_now_ns(c);
    c->running = false;
}

/*T:610 What time is it?
 *
 * There is one clock, and TSC, PIT, HPET, APIC timer and the paravirtual clocks all show it. It is
 * the host's time, or with -icount the number of instructions; then a run depends on nothing
 * outside. In neither case may it go back, even when two threads look at the same moment.
 */
u64 clock_now_ns(struct clock *c)
{
    u64 now;

    if (c->mode == CLOCK_ICOUNT)
        now = c->source ? c->source(c->source_opaque) : c->icount_ns;
    else if (c->running)
        now = c->offset_ns + (host_now_ns() - c->host_base_ns);
    else
        now = c->offset_ns;
    /* Several threads may look at once: the last never goes back. */
    u64 last = __atomic_load_n(&c->last_ns, __ATOMIC_RELAXED);
    while (now > last)
        if (__atomic_compare_exchange_n(&c->last_ns, &last, now, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return now;
    return last;
}

bool clock_pace(struct clock *c, struct host_pace *p)
{
    if (c->mode != CLOCK_HOST || !c->running)
        return false;
    u64 now = c->offset_ns + (host_now_ns() - c->host_base_ns);
    if (now < __atomic_load_n(&c->last_ns, __ATOMIC_RELAXED) || !host_pace(p))
        return false;
    p->ns += c->offset_ns - c->host_base_ns;
    return true;
}

void clock_advance_to(struct clock *c, u64 ns)
{
    BUG_ON(c->mode != CLOCK_ICOUNT);
    if (ns > c->icount_ns)
        c->icount_ns = ns;
}

void timer_init(struct timer *t, void (*fn)(void *), void *opaque)
{
    *t = (struct timer){.deadline_ns = CLOCK_NEVER, .fn = fn, .opaque = opaque};
}

void timer_cancel(struct clock *c, struct timer *t)
{
    struct timer **p;

    if (t->deadline_ns == CLOCK_NEVER)
        return;
    for (p = &c->queue; *p; p = &(*p)->next)
        if (*p == t) {
            *p = t->next;
            break;
        }
    t->next = NULL;
    t->deadline_ns = CLOCK_NEVER;
}

/* Timers of equal deadline fire in the order in which they were set, so that runs repeat. */
void timer_set(struct clock *c, struct timer *t, u64 deadline_ns)
{
    struct timer **p;

    timer_cancel(c, t);
    if (deadline_ns == CLOCK_NEVER)
        return;
    t->deadline_ns = deadline_ns;
    for (p = &c->queue; *p && (*p)->deadline_ns <= deadline_ns; p = &(*p)->next)
        ;
    t->next = *p;
    *p = t;
    if (c->queue == t && c->first_changed)
        c->first_changed(c->first_changed_opaque);
}

u64 clock_next_deadline_ns(const struct clock *c)
{
    return c->queue ? c->queue->deadline_ns : CLOCK_NEVER;
}

void clock_run_timers(struct clock *c)
{
    u64 now = clock_now_ns(c);

    for (unsigned i = 0; i < FIRINGS_PER_RUN; i++) {
        struct timer *t = c->queue;

        if (!t || t->deadline_ns > now)
            return;
        timer_cancel(c, t);
        t->fn(t->opaque);
    }
}
