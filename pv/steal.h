/*
 * steal.h: stolen time of one vCPU: time in which it wanted to run and did not. Between two slices of
 * the run loop (unless it was halted), and, when virtual time follows the host's, within a slice the
 * time that the host gave to someone else (wall time less the thread's CPU time). With CLOCK_ICOUNT
 * the host does not exist for the guest, and the second part is 0.
 */
#pragma once

#include "base/clock.h"

struct steal {
    struct clock *clock;
    u64 ns;        /* stolen so far, as the guest may be told */
    u64 inside_ns; /* within the last slice, from steal_leave to steal_enter */
    bool left_halted;
    u64 entered_ns, entered_cpu_ns, left_ns;
};

/* All below on the vCPU's own thread. Starts to account from now on; `ns` stays. */
void steal_open(struct steal *s);
/* Before a slice. True: `ns` is another. */
bool steal_enter(struct steal *s);
/* After it. */
void steal_leave(struct steal *s, bool halted);
