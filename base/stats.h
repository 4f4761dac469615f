/*
 * stats.h: counters of every sensitive class (rows in stats.def), always on.
 *
 * Per class: how often it ran, how it was served (paravirt.md 5.1: A inline, B leaf helper, C block
 * exit on the same thread, D cross-thread or I/O), and the host cycles spent in C and D.
 */
#pragma once

#include "base/types.h"

enum stat_class {
#define STAT(id, name, doc) STAT_##id,
#include "base/stats.def"
#undef STAT
    STAT_COUNT
};

enum served { SERVED_INLINE, SERVED_LEAF, SERVED_EXIT, SERVED_IO, SERVED_COUNT };

struct stats {
    u64 served[STAT_COUNT][SERVED_COUNT];
    u64 cycles[STAT_COUNT]; /* host cycles (or ns where the host has no cycle counter), C and D */
    u64 samples;            /* stat_sample_begin */
};

/* to += more */
void stats_subtract(struct stats *from, const struct stats *less);
void stats_add(struct stats *to, const struct stats *more);

const char *stat_name(enum stat_class s);
const char *stat_doc(enum stat_class s);

static inline void stat_count(struct stats *st, enum stat_class s, enum served how)
{
    st->served[s][how]++;
}

/* How often a class ran, however it was served. */
static inline u64 stat_total(const struct stats *st, enum stat_class s)
{
    u64 n = 0;
    for (unsigned how = 0; how < SERVED_COUNT; how++)
        n += st->served[s][how];
    return n;
}

/* Host cycle counter: the TSC on x86, the virtual counter on aarch64, nanoseconds elsewhere. */
static inline u64 host_cycles(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    u64 v;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
    return v;
#else
    extern u64 host_now_ns(void);
    return host_now_ns();
#endif
}

/*
 * Looking at the counter twice costs as much as what is to be measured in reading an MSR or telling the
 * APIC of an EOI. So of those one in STAT_SAMPLE is measured, and stands for all. The number is odd, or
 * of two classes that take turns only one would be seen.
 */
#define STAT_SAMPLE 31u

/* 0: not this one. */
static inline u64 stat_sample_begin(struct stats *st)
{
    return st->samples++ % STAT_SAMPLE ? 0 : host_cycles();
}

static inline void stat_sample_end(struct stats *st, enum stat_class s, u64 since)
{
    if (since)
        st->cycles[s] += (host_cycles() - since) * STAT_SAMPLE;
}
