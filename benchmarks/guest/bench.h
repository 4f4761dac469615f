/*
 * bench.h: what a measured program of a guest is.
 *
 * Not here: who runs them and compares them (benchmarks/run.sh). The same sources make a 64-bit
 * program with a libc, and a 32-bit one without (sys32.c), so the computing groups use nothing but
 * what stands here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One measured piece of work. run does it `units` times and returns a checksum that is the same
 * each time, on every machine: a wrong result ends the measurement.
 */
struct bench {
    const char *name;
    unsigned units;
    bool (*setup)(void); /* may be NULL */
    uint64_t (*run)(void);
    bool (*undo)(void); /* after each run, not timed; may be NULL */
};

/* benches ends with a row without a name. */
struct group {
    const char *name;
    const struct bench *benches;
};

extern const struct bench integer_benches[], double_benches[], packed_benches[], x87_benches[];
extern const struct bench x87_double_benches[], avx_benches[];
extern const struct bench memory_benches[], code_benches[], syscall_benches[], process_benches[];
extern const struct bench exception_benches[], smp_benches[], switch_benches[], files_benches[];
extern const struct bench compile_benches[], cross_benches[], timer_benches[], disk_benches[];

/* The groups of this program; ends with a row without a name. */
extern const struct group groups[];

/* ---- the system (sys64.c, sys32.c) ---- */

uint64_t sys_now_ns(void);
void sys_put(const char *text, unsigned long length);
/* Zeroed memory; NULL when there is none. */
void *sys_alloc(unsigned long size);

/* ---- helpers ---- */

static inline uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

/* The bits of a double. */
static inline uint64_t bits_of(double d)
{
    union {
        double d;
        uint64_t u;
    } v = {.d = d};
    return v.u;
}

/* A linear congruential generator: the same numbers everywhere. */
static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* What the compiler must not see through. */
#define OPAQUE(x) __asm__ volatile("" : "+r"(x))
#define USED(p) __asm__ volatile("" : : "r"(p) : "memory")
