/*
 * smp_kvm.c: what the KVM personality does between CPUs: a TLB flush that waits for a CPU that does
 * not run, IPIs to many by one call, a kick out of HLT, a yield. Run with -pv kvm.
 *
 * Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_STEAL_TIME), hypercalls.rst.
 */
#include "smp_lib.h"

#define VA 0x123440000000ull
#define RW (PTE_P | PTE_W)
#define VEC 0x60
#define MSR_STEAL_TIME 0x4b564d03
#define KICK_CPU 5
#define SEND_IPI 10
#define SCHED_YIELD 11
#define PREEMPTED 1
#define FLUSH 2

static struct steal {
    u64 steal;
    u32 version, flags;
    volatile u8 preempted;
    u8 rest[47];
} areas[CPUS_MAX] __attribute__((aligned(64)));

static volatile u32 step, ready, hits[CPUS_MAX];
static volatile u64 found;

static s64 call(u64 nr, u64 b, u64 c, u64 d, u64 s)
{
    s64 r;
    __asm__ volatile("vmcall" : "=a"(r) : "a"(nr), "b"(b), "c"(c), "d"(d), "S"(s) : "memory");
    return r;
}

static void on_vector(struct regs *r)
{
    (void)r;
    __atomic_fetch_add(&hits[this_cpu()], 1, __ATOMIC_SEQ_CST);
    apic_write(EOI, 0);
}

/* Reads the page, sleeps with interrupts on, reads it again without any INVLPG of its own. */
static void read_sleep_read(unsigned cpu, u64 arg)
{
    (void)arg;
    wrmsr(MSR_STEAL_TIME, (u64)&areas[cpu] | 1);
    found = *(volatile u64 *)VA;
    step = 1;
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    found = *(volatile u64 *)VA;
    wrmsr(MSR_STEAL_TIME, 0);
}

static void a_flush_waits_for_a_cpu_that_sleeps(void)
{
    u64 *frames[2] = {page_alloc(), page_alloc()};
    u8 mark = PREEMPTED;
    bool done;
    *frames[0] = 1;
    *frames[1] = 2;
    page_map(VA, (u64)frames[0] | RW);
    step = 0;
    work_start(1, read_sleep_read, 0);
    CHECK(WAIT_FOR(step == 1 && areas[1].preempted == PREEMPTED));
    CHECK_EQ(found, 1);
    *page_entry(VA, 1) = (u64)frames[1] | RW;
    invlpg(VA);
    do { /* it may be between two slices just now */
        mark = PREEMPTED;
        __asm__ volatile("lock cmpxchgb %3, %1"
                         : "=@ccz"(done), "+m"(areas[1].preempted), "+a"(mark)
                         : "q"((u8)(PREEMPTED | FLUSH))
                         : "memory");
    } while (!done);
    ipi(1, VEC);
    work_wait(1);
    CHECK_EQ(found, 2);
}

static void one_call_sends_to_many(void)
{
    for (unsigned n = 0; n < cpus; n++)
        hits[n] = 0;
    CHECK_EQ(call(SEND_IPI, (1u << cpus) - 2, 0, 0, VEC), cpus - 1); /* all but the first */
    for (unsigned n = 1; n < cpus; n++)
        CHECK(WAIT_FOR(hits[n] == 1));
    CHECK_EQ(hits[0], 0);
    CHECK_EQ(call(SEND_IPI, 1, 0, 1, VEC), 1); /* the bitmap begins at ID 1 */
    CHECK(WAIT_FOR(hits[1] == 2));
}

/* Only a kick, or an NMI, ends a HLT with interrupts off. */
static void sleep_deaf(unsigned cpu, u64 rounds)
{
    (void)cpu;
    for (u64 i = 1; i <= rounds; i++) {
        cli();
        ready = (u32)i;
        __asm__ volatile("hlt" : : : "memory");
        step = (u32)i;
    }
}

static void a_kick_ends_a_halt_with_interrupts_off(void)
{
    const u32 rounds = 200;
    step = ready = 0;
    work_start(1, sleep_deaf, rounds);
    for (u32 i = 1; i <= rounds; i++) {
        CHECK(WAIT_FOR(ready == i)); /* or nearly so: a kick waits for the next HLT */
        ipi(1, VEC); /* does not wake it */
        CHECK_EQ(call(KICK_CPU, 0, 1, 0, 0), 0);
        CHECK(WAIT_FOR(step == i));
    }
    work_wait(1);
}

static void a_yield_returns(void)
{
    CHECK_EQ(call(SCHED_YIELD, 1, 0, 0, 0), 0);
}

int main(void)
{
    handlers[VEC] = on_vector;
    smp_begin();
    sti();
    RUN(a_flush_waits_for_a_cpu_that_sleeps);
    RUN(one_call_sends_to_many);
    RUN(a_kick_ends_a_halt_with_interrupts_off);
    RUN(a_yield_returns);
    return 0;
}
