/*
 * numbers.h: what a running machine does, as lines of text and a speed: the title of a window and
 * what it shows over the picture. Rates are those since the look before.
 */
#pragma once

#include "base/stats.h"
#include "base/types.h"
#include "frontends/rings.h"

struct vm;

#define NUMBERS_LINES 44u
#define NUMBERS_COLUMNS 44u /* with the NUL */
#define NUMBERS_NS (NS_PER_SEC / 2) /* how often they are taken, for a display */
#define NUMBERS_PV_MAX 64u  /* features of a personality that are followed */

struct numbers {
    double mips; /* million instructions per second */
    char line[NUMBERS_LINES][NUMBERS_COLUMNS];
    unsigned lines;
    /* of the look before */
    u64 at_ns, icount, exits[STAT_COUNT], pv[NUMBERS_PV_MAX];
    double executed; /* instructions in translated code */
    struct rings rings;
};

/* For whoever shows the lines, often: then they have the ring view. */
static inline void numbers_look(struct numbers *n, struct vm *vm)
{
    rings_look(&n->rings, vm);
}

/* now_ns: the host's time. */
void numbers_take(struct numbers *n, struct vm *vm, u64 now_ns);
