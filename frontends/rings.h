/*
 * rings.h: the ring view: where the CPUs are, and where they were when they were looked at: rings,
 * HLT, mode, paging. Whoever shows it looks regularly; who does not pays nothing.
 */
#pragma once

#include "base/types.h"

struct vm;

enum { RINGS_HALTED = 4, RINGS_PLACES }; /* beside rings 0 to 3 */

struct rings {
    u32 looks, at[RINGS_PLACES]; /* of all CPUs, since the last lines */
};

/* On the thread of vm_run. CPUs with threads of their own are where they were a moment ago. */
void rings_look(struct rings *r, struct vm *vm);
/* Hands the picture to `line`, a line at a time of at most 43 characters, and starts anew; nothing
 * if nobody looked. */
void rings_lines(struct rings *r, struct vm *vm, void (*line)(void *opaque, const char *text),
                 void *opaque);
