/*
 * cross.c: what CPUs ask of each other, with a thread on each: interrupts to one and to all, TLB
 * shootdowns of CPUs that run and of such that sleep, a lock of the kernel that all want; and
 * sleeps that a timer ends.
 *
 * Each run makes its threads, in the time that is measured: a run is long against that.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "benchmarks/guest/bench.h"

enum {
    CPUS_MAX = 16,
    WAKES = 100,
    BARRIERS = 500,
    FLUSHES = 500,
    NAPS = 100,
    LOCKS = 20000,
    SLEEPS = 20
};
enum { PAGE = 4096, SPAN = 4 << 20, SLEEP_NS = 200000 };

static unsigned cpus;

/* ---- a thread on each CPU ---- */

struct team {
    void (*others)(struct team *t);
    unsigned ready; /* of the others */
    bool stop;
    uint32_t word __attribute__((aligned(64)));
};

struct member {
    struct team *team;
    unsigned cpu;
};

static bool pin(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static void *run_member(void *opaque)
{
    const struct member *m = opaque;

    if (cpus > 1)
        pin(m->cpu);
    __atomic_fetch_add(&m->team->ready, 1, __ATOMIC_SEQ_CST);
    m->team->others(m->team);
    return NULL;
}

static void sleep_while(uint32_t *word, uint32_t value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void set_and_wake(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, CPUS_MAX, NULL, NULL, 0);
}

/* Runs `own` here, on the first CPU, and `others` on `count` more, until it is done. */
static uint64_t by_team(void (*others)(struct team *t), unsigned count,
                        uint64_t (*own)(struct team *t))
{
    struct team team = {.others = others};
    struct member member[CPUS_MAX];
    pthread_t id[CPUS_MAX];
    unsigned n;

    for (n = 0; n < count; n++) {
        member[n] = (struct member){&team, (n + 1) % cpus};
        if (pthread_create(&id[n], NULL, run_member, &member[n]) != 0)
            break;
    }
    while (__atomic_load_n(&team.ready, __ATOMIC_SEQ_CST) < n)
        sched_yield();
    uint64_t result = n == count ? own(&team) : 0;
    __atomic_store_n(&team.stop, true, __ATOMIC_SEQ_CST);
    set_and_wake(&team.word, UINT32_MAX);
    while (n--)
        pthread_join(id[n], NULL);
    return result;
}

static bool setup_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    cpus = n < 1 ? 1 : n > CPUS_MAX ? CPUS_MAX : (unsigned)n;
    return pin(0);
}

static void spin(struct team *t)
{
    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

/* ---- interrupts ---- */

static void answer(struct team *t)
{
    for (uint32_t i = 1; !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE); i += 2) {
        sleep_while(&t->word, i - 1);
        if (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE))
            set_and_wake(&t->word, i + 1);
    }
}

static uint64_t ask(struct team *t)
{
    uint64_t good = 0;

    for (uint32_t i = 0; i < 2 * WAKES; i += 2) {
        set_and_wake(&t->word, i + 1);
        sleep_while(&t->word, i + 1);
        good += t->word == i + 2;
    }
    return good;
}

/* To and fro between two CPUs that sleep: an interrupt to one CPU each way. */
static uint64_t wake(void)
{
    return by_team(answer, 1, ask);
}

static bool setup_barrier(void)
{
    return setup_cpus() &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static uint64_t barriers(struct team *t)
{
    uint64_t good = 0;

    (void)t;
    for (int i = 0; i < BARRIERS; i++)
        good += syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
    return good;
}

/* An interrupt to every other CPU that runs this program, and their answers. */
static uint64_t broadcast(void)
{
    return by_team(spin, cpus - 1, barriers);
}

/* ---- shootdowns ---- */

static uint64_t protect(struct team *t)
{
    uint64_t good = 0;
    volatile uint8_t *page = sys_alloc(PAGE);

    (void)t;
    for (int i = 0; page && i < FLUSHES; i++) {
        *page = (uint8_t)i; /* in the TLB, writable */
        good += mprotect((void *)page, PAGE, PROT_READ) == 0;
        good += mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE) == 0;
    }
    return page && munmap((void *)page, PAGE) == 0 ? good : 0;
}

static uint64_t flush_running(void)
{
    return by_team(spin, cpus - 1, protect);
}

/* word counts up: odd, the sleepers shall look and sleep again; `ready` counts how often they did.
 */
static void nap(struct team *t)
{
    for (uint32_t i = 0; !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE); i++) {
        sleep_while(&t->word, i);
        __atomic_fetch_add(&t->ready, 1, __ATOMIC_SEQ_CST);
    }
}

/* Memory goes away with its page tables, which no CPU may have cached, also none that is idle in
 * this address space. Each time the others have run since the last. */
static uint64_t unmap(struct team *t)
{
    const struct timespec moment = {.tv_nsec = 50000};
    unsigned ready = cpus - 1;
    uint64_t good = 0;

    for (uint32_t i = 0; i < NAPS; i++) {
        uint8_t *p = sys_alloc(SPAN);

        if (!p)
            return 0;
        p[SPAN / 2] = 1;
        set_and_wake(&t->word, i + 1);
        ready += cpus - 1;
        while (__atomic_load_n(&t->ready, __ATOMIC_SEQ_CST) < ready)
            sched_yield();
        nanosleep(&moment, NULL); /* until they sleep */
        good += munmap(p, SPAN) == 0;
    }
    return good;
}

static uint64_t flush_sleeping(void)
{
    return by_team(nap, cpus - 1, unmap);
}

/* ---- a lock of the kernel: that of the table of open files ---- */

static void take_lock(struct team *t)
{
    (void)t;
    for (int i = 0; i < LOCKS; i++)
        close(dup(STDERR_FILENO));
}

static uint64_t take_and_wait(struct team *t)
{
    take_lock(t);
    return LOCKS;
}

static uint64_t contended(void)
{
    return by_team(take_lock, cpus - 1, take_and_wait);
}

/* On one CPU alone: what the lock costs without contention. */
static uint64_t uncontended(void)
{
    return by_team(take_lock, 0, take_and_wait);
}

const struct bench cross_benches[] = {
    {"wake", 2 * WAKES, setup_cpus, wake, NULL},
    {"broadcast", BARRIERS, setup_barrier, broadcast, NULL},
    {"shootdown", 2 * FLUSHES, setup_cpus, flush_running, NULL},
    {"shootdown-idle", NAPS, setup_cpus, flush_sleeping, NULL},
    {"lock-alone", LOCKS, setup_cpus, uncontended, NULL},
    {"lock", LOCKS, setup_cpus, contended, NULL},
    {NULL, 0, NULL, NULL, NULL},
};

/* ---- timers ---- */

static uint64_t sleep_often(void)
{
    const struct timespec t = {.tv_nsec = SLEEP_NS};
    uint64_t good = 0;

    for (int i = 0; i < SLEEPS; i++)
        good += nanosleep(&t, NULL) == 0;
    return good;
}

const struct bench timer_benches[] = {
    {"sleep-200us", SLEEPS, NULL, sleep_often, NULL},
    {NULL, 0, NULL, NULL, NULL},
};
