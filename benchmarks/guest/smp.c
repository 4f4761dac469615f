/*
 * smp.c: two threads on two CPUs: work that has nothing in common, a counter that both lock, words
 * passed to and fro by spinning and by sleeping.
 *
 * The first two rows do the same work, alone and by two: what two CPUs are worth is their ratio.
 */
#define _GNU_SOURCE /* syscall */
#include "bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STEPS 1600000u
#define COUNTS 20000u
#define PASSES 2000u
#define SLEEPS 200u

static uint64_t work(uint32_t seed)
{
    static _Thread_local uint32_t table[1024];
    uint64_t h = seed;

    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t *t = &table[next_random(&seed) & 1023];
        *t = *t * 5 + (uint32_t)h;
        h = mix(h, *t + i);
    }
    for (unsigned i = 0; i < 1024; i++)
        table[i] = 0;
    return h;
}

/* ---- two threads ---- */

struct side {
    unsigned n;
    uint64_t (*fn)(unsigned n);
    uint64_t result;
};

static void *run_side(void *opaque)
{
    struct side *s = opaque;

    s->result = s->fn(s->n);
    return NULL;
}

static uint64_t by_two(uint64_t (*fn)(unsigned n))
{
    struct side one = {1, fn, 0}, zero = {0, fn, 0};
    pthread_t id;

    if (pthread_create(&id, NULL, run_side, &one) != 0)
        return 0;
    run_side(&zero);
    pthread_join(id, NULL);
    return mix(zero.result, one.result);
}

static uint64_t work_of(unsigned n)
{
    return work(n + 1);
}

static uint64_t alone(void)
{
    return mix(work(1), work(2));
}

static uint64_t shared(void)
{
    return by_two(work_of);
}

/* ---- what they share ---- */

static uint64_t counter __attribute__((aligned(64)));

static uint64_t count(unsigned n)
{
    for (unsigned i = 0; i < COUNTS; i++)
        __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
    return n;
}

static uint64_t locked_count(void)
{
    uint64_t sum;

    counter = 0;
    sum = by_two(count);
    return mix(sum, counter);
}

static uint32_t ball __attribute__((aligned(64)));

static uint64_t spin(unsigned n)
{
    for (uint32_t i = n; i < PASSES; i += 2) {
        while (__atomic_load_n(&ball, __ATOMIC_ACQUIRE) != i)
            __builtin_ia32_pause();
        __atomic_store_n(&ball, i + 1, __ATOMIC_RELEASE);
    }
    return n;
}

static uint64_t spin_pass(void)
{
    ball = 0;
    return by_two(spin) + ball;
}

static uint64_t doze(unsigned n)
{
    for (uint32_t i = n; i < SLEEPS; i += 2) {
        uint32_t v;
        while ((v = __atomic_load_n(&ball, __ATOMIC_ACQUIRE)) != i)
            syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, v, NULL, NULL, 0);
        __atomic_store_n(&ball, i + 1, __ATOMIC_RELEASE);
        syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return n;
}

static uint64_t sleep_pass(void)
{
    ball = 0;
    return by_two(doze) + ball;
}

const struct bench smp_benches[] = {
    {"work-by-one", 2, NULL, alone},
    {"work-by-two", 2, NULL, shared},
    {"locked-count", 2 * COUNTS, NULL, locked_count},
    {"spin-pass", PASSES, NULL, spin_pass},
    {"sleep-pass", SLEEPS, NULL, sleep_pass},
    {NULL, 0, NULL, NULL},
};
