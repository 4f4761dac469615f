/*
 * smp_order.c: the order in which CPUs see each other's accesses: what SDM vol. 3A 8.2.3 forbids
 * must never happen (its examples by number), what it allows may.
 */
#include "smp_lib.h"

#define ROUNDS 6000u

static struct {
    volatile u32 x __attribute__((aligned(64)));
    volatile u32 y __attribute__((aligned(64)));
    volatile u32 r[4] __attribute__((aligned(64)));
    volatile u32 go __attribute__((aligned(64)));
} s;
static u32 seen[4]; /* outcomes: r0 << 1 | r1 */

static void start_together(u32 round)
{
    __atomic_fetch_add(&s.go, 1, __ATOMIC_SEQ_CST);
    while (s.go < 2 * round)
        pause();
}

/* Runs both sides in step; what they read is in r. */
#define LITMUS(name, side0, side1)                                                                 \
    static void name(unsigned cpu, u64 arg)                                                        \
    {                                                                                              \
        (void)arg;                                                                                 \
        if (cpu > 1)                                                                               \
            return;                                                                                \
        for (u32 i = 1; i <= ROUNDS; i++) {                                                        \
            u32 a = 0, b = 0;                                                                      \
            if (cpu == 0) {                                                                        \
                s.x = s.y = 0;                                                                     \
                s.r[0] = s.r[1] = 0;                                                               \
            }                                                                                      \
            start_together(2 * i - 1);                                                             \
            if (cpu == 0) {                                                                        \
                side0;                                                                             \
                s.r[0] = a;                                                                        \
            } else {                                                                               \
                side1;                                                                             \
                s.r[1] = a;                                                                        \
                s.r[2] = b;                                                                        \
            }                                                                                      \
            (void)b;                                                                               \
            start_together(2 * i);                                                                 \
            if (cpu == 0)                                                                          \
                judge();                                                                           \
        }                                                                                          \
    }

static void (*judge)(void);

/* 8.2.3.2: neither loads nor stores are reordered with like operations: message passing. */
LITMUS(message_passing, (s.x = 1, barrier(), s.y = 1), (b = s.y, barrier(), a = s.x))
static void judge_message(void)
{
    seen[s.r[2] << 1 | s.r[1]]++;
}

/* 8.2.3.3: stores are not reordered with earlier loads. */
LITMUS(load_buffering, (a = s.x, barrier(), s.y = 1), (a = s.y, barrier(), s.x = 1))
/* 8.2.3.4: loads may be reordered with earlier stores: store buffering. */
LITMUS(store_buffering, (s.x = 1, barrier(), a = s.y), (s.y = 1, barrier(), a = s.x))
LITMUS(store_buffering_mfence, (s.x = 1, mfence(), a = s.y), (s.y = 1, mfence(), a = s.x))
/* 8.2.3.9: neither loads nor stores are reordered with locked instructions. */
LITMUS(store_buffering_xchg, (__atomic_exchange_n(&s.x, 1, __ATOMIC_SEQ_CST), a = s.y),
       (__atomic_exchange_n(&s.y, 1, __ATOMIC_SEQ_CST), a = s.x))
LITMUS(store_buffering_lock,
       (s.x = 1, (void)__atomic_fetch_or(&s.r[3], 0, __ATOMIC_SEQ_CST), a = s.y),
       (s.y = 1, (void)__atomic_fetch_or(&s.r[3], 0, __ATOMIC_SEQ_CST), a = s.x))
static void judge_pair(void)
{
    seen[s.r[0] << 1 | s.r[1]]++;
}

static void run(work_fn fn, void (*j)(void))
{
    for (unsigned i = 0; i < 4; i++)
        seen[i] = 0;
    s.go = 0;
    judge = j;
    work_start(1, fn, 0);
    fn(0, 0);
    work_wait(1);
    CHECK_EQ(seen[0] + seen[1] + seen[2] + seen[3], ROUNDS);
}

static void a_message_comes_after_what_it_announces(void)
{
    run(message_passing, judge_message);
    CHECK_EQ(seen[2], 0); /* y seen, x not */
}

static void a_store_does_not_pass_an_earlier_load(void)
{
    run(load_buffering, judge_pair);
    CHECK_EQ(seen[3], 0);
}

static void a_load_may_pass_a_store_but_not_a_fence(void)
{
    run(store_buffering, judge_pair);
    say("store buffering: %d of %d\n", (u64)seen[0], (u64)ROUNDS);
    run(store_buffering_mfence, judge_pair);
    CHECK_EQ(seen[0], 0);
    run(store_buffering_xchg, judge_pair);
    CHECK_EQ(seen[0], 0);
    run(store_buffering_lock, judge_pair);
    CHECK_EQ(seen[0], 0);
}

/* 8.2.3.5: a CPU sees its own stores at once; 8.2.2: all see the stores to one place in one order.
 */
static volatile u32 backwards;
static void count_or_watch(unsigned cpu, u64 arg)
{
    (void)arg;
    u32 last = 0;
    for (u32 i = 1; i <= 4 * ROUNDS; i++) {
        if (cpu == 0) {
            s.x = i;
            if (s.x != i)
                backwards++;
            continue;
        }
        u32 v = s.x;
        if (v < last)
            __atomic_fetch_add(&backwards, 1, __ATOMIC_SEQ_CST);
        last = v;
    }
}

static void a_place_has_one_history(void)
{
    s.x = 0;
    work_all(count_or_watch, 0);
    CHECK_EQ(backwards, 0);
}

/* The TSCs of all CPUs are one clock. */
static volatile u64 last_tsc;
static volatile u32 tsc_lock, went_back;
static void read_tsc(unsigned cpu, u64 arg)
{
    (void)cpu, (void)arg;
    for (unsigned i = 0; i < 10000; i++) {
        while (__atomic_exchange_n(&tsc_lock, 1, __ATOMIC_SEQ_CST))
            pause();
        u64 t = rdtsc();
        if (t < last_tsc)
            went_back++;
        last_tsc = t;
        barrier();
        tsc_lock = 0;
    }
}

static void time_stamps_do_not_go_back_from_cpu_to_cpu(void)
{
    work_all(read_tsc, 0);
    CHECK_EQ(went_back, 0);
}

int main(void)
{
    smp_begin();
    sti();
    RUN(a_message_comes_after_what_it_announces);
    RUN(a_store_does_not_pass_an_earlier_load);
    RUN(a_load_may_pass_a_store_but_not_a_fence);
    RUN(a_place_has_one_history);
    RUN(time_stamps_do_not_go_back_from_cpu_to_cpu);
    return 0;
}
