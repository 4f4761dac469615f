/*
 * clock.h: virtual time of one VM in nanoseconds, and its queue of deadlines.
 *
 * Two sources. CLOCK_HOST follows the host's monotonic clock since clock_init, stands still while
 * the VM is stopped. CLOCK_ICOUNT follows the executed instructions: the owner advances it, and
 * time is the same in every run. Either way it never goes back. TSC, PIT, HPET, PM timer, APIC
 * timer and kvmclock all derive from clock_now_ns.
 *
 * clock_now_ns may be called from any thread; all else from one, or under the devices' lock.
 */
#pragma once

#include "base/types.h"

#define NS_PER_SEC 1000000000ull
#define CLOCK_NEVER (~0ull)

enum clock_mode { CLOCK_HOST, CLOCK_ICOUNT };

struct timer {
    u64 deadline_ns; /* CLOCK_NEVER = not armed */
    void (*fn)(void *opaque);
    void *opaque;
    struct timer *next; /* queue, sorted by deadline; owned by the clock */
};

struct clock {
    enum clock_mode mode;
    u64 host_base_ns; /* host time that corresponds to offset_ns */
    u64 offset_ns;    /* virtual time at host_base_ns, or the stopped time */
    bool running;     /* CLOCK_HOST: follows the host */
    u64 icount_ns;    /* CLOCK_ICOUNT: the time set by clock_advance_to */
    u64 (*source)(
        void *opaque); /* CLOCK_ICOUNT: exact time in the middle of a slice; may be NULL */
    void *source_opaque;
    u64 last_ns; /* greatest value handed out */
    struct timer *queue;
    /* A timer became the first of the queue: whoever sleeps or runs until the old first deadline
     * must look again. May be NULL. */
    void (*first_changed)(void *opaque);
    void *first_changed_opaque;
};

void clock_init(struct clock *c, enum clock_mode mode);
void clock_start(struct clock *c);
void clock_stop(struct clock *c);
u64 clock_now_ns(struct clock *c);
/* The line that clock_now_ns follows for the next while on this thread, as host_pace; false: there is
 * none, or time has been handed out that is ahead of it. */
struct host_pace;
bool clock_pace(struct clock *c, struct host_pace *p);
/* CLOCK_ICOUNT only; a time in the past is ignored. */
void clock_advance_to(struct clock *c, u64 ns);

void timer_init(struct timer *t, void (*fn)(void *), void *opaque);
/* Arms or re-arms; a deadline in the past fires at the next clock_run_timers. */
void timer_set(struct clock *c, struct timer *t, u64 deadline_ns);
void timer_cancel(struct clock *c, struct timer *t);
/* CLOCK_NEVER when nothing is armed. */
u64 clock_next_deadline_ns(const struct clock *c);
/* Runs every timer that is due, in order of deadline. */
void clock_run_timers(struct clock *c);
