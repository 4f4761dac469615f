/*
 * sampler.h: where a thread spends the host's time: asks it now and then, by its own CPU time. A
 * host without such timers says so (they are Linux').
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include <time.h>

#define SAMPLE_NS 1000000ull /* CPU time between two samples; the host's tick may make it several  \
                              */

/* One per thread; zeroed before. Its memory outlives all signals that are still on their way. */
struct sampler {
    /* On the thread, in a signal handler: it is at `pc`, for `samples` samples. */
    void (*fn)(void *opaque, const void *pc, unsigned samples);
    void *opaque;
    timer_t timer;
    bool runs;
};

/* Samples the calling thread from now on. */
bool sampler_begin(struct sampler *s, struct err *e);
/* From any thread, also when the sampled one has ended. */
void sampler_end(struct sampler *s);
