/*
 * smp_hyperv.c: what the Hyper-V personality does between CPUs, by calls through the hypercall
 * page: flushes of a CPU that runs and of one that sleeps, IPIs, the idle state, long spins; then
 * time that is the same on all. Run with -pv hyperv,+ex-masks.
 *
 * TLFS "Hypercall Interface", "Virtual Processor Idle Sleep State", "Timers".
 */
#include "smp_lib.h"

#define VA 0x123440000000ull
#define RW (PTE_P | PTE_W)
#define VEC 0x60
#define VEC_TIMER 0x61

#define MSR_GUEST_OS_ID 0x40000000
#define MSR_HYPERCALL 0x40000001
#define MSR_VP_INDEX 0x40000002
#define MSR_TIME_REF_COUNT 0x40000020
#define MSR_REFERENCE_TSC 0x40000021
#define MSR_STIMER0_CONFIG 0x400000b0
#define MSR_STIMER0_COUNT 0x400000b1
#define MSR_GUEST_IDLE 0x400000f0
#define MSR_CRASH_P0 0x40000100
#define MSR_CRASH_CTL 0x40000105

#define FLUSH_SPACE 0x02
#define FLUSH_LIST 0x03
#define LONG_SPIN_WAIT 0x08
#define SEND_IPI 0x0b
#define FLUSH_SPACE_EX 0x13
#define SEND_IPI_EX 0x15
#define FAST BIT(16)
#define ONE_REP BIT(32)
#define ONE_BANK BIT(17)

static volatile u32 step, ready, hits[CPUS_MAX];
static volatile u64 found;
static u8 *calls;
static u64 *input;

static u64 call(u64 control, u64 in, u64 out)
{
    register u64 r8 __asm__("r8") = out;
    u64 result;
    __asm__ volatile("call *%[page]"
                     : "=a"(result), "+c"(control), "+d"(in), "+r"(r8)
                     : [page] "r"(calls)
                     : "memory", "r9", "r10", "r11");
    return result;
}

static u64 call_with(u64 control, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    input[0] = a;
    input[1] = b;
    input[2] = c;
    input[3] = d;
    input[4] = e;
    return call(control, (u64)input, 0);
}

static void on_vector(struct regs *r)
{
    (void)r;
    __atomic_fetch_add(&hits[this_cpu()], 1, __ATOMIC_SEQ_CST);
    apic_write(EOI, 0);
}

static void the_page_returns_from_calls(void)
{
    calls = page_alloc();
    input = page_alloc();
    calls[0] = 0xf4;
    wrmsr(MSR_GUEST_OS_ID, 0x8fULL << 56);
    wrmsr(MSR_HYPERCALL, (u64)calls | 1);
    CHECK_EQ(*(u32 *)calls, is_amd() ? 0xc3d9010f : 0xc3c1010f);
    CHECK_EQ(call(0x1234, 0, 0), 2);
    CHECK_EQ(rdmsr(MSR_VP_INDEX), 0);
    calls[0] = 0xf4; /* vanishes */
    CHECK_EQ(call(0x1234, 0, 0), 2);
}

static void call_page(u64 control)
{
    call(control, 0, 0);
}

static void a_call_from_a_program_is_undefined(void)
{
    CHECK_EQ(guarded_user(user_address(calls), 0, UCS, 2), UD);
    CHECK_EQ(guarded(call_page, 0x1234), NO_TRAP);
}

/* ---- flushes --------------------------------------------------------------------------------- */

static u64 *frames[2];

static void read_until_told(unsigned cpu, u64 arg)
{
    (void)cpu, (void)arg;
    found = *(volatile u64 *)VA;
    step = 1;
    while (step == 1)
        pause();
    found = *(volatile u64 *)VA;
}

static void read_sleep_read(unsigned cpu, u64 arg)
{
    (void)cpu, (void)arg;
    found = *(volatile u64 *)VA;
    step = 1;
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    found = *(volatile u64 *)VA;
}

/* The other CPU has the translation; then the page is another, and only a call says so. */
static void remap_while(work_fn other_does)
{
    frames[0] = page_alloc();
    frames[1] = page_alloc();
    *frames[0] = 1;
    *frames[1] = 2;
    page_map(VA, (u64)frames[0] | RW);
    step = 0;
    work_start(1, other_does, 0);
    CHECK(WAIT_FOR(step == 1));
    CHECK_EQ(found, 1);
    *page_entry(VA, 1) = (u64)frames[1] | RW;
    invlpg(VA);
}

static void a_cpu_that_runs_is_flushed_before_the_call_returns(void)
{
    static const struct {
        u64 control, c, d, e, result;
    } ways[] = {
        {FLUSH_SPACE, 2, 0, 0, 0},                 /* a mask */
        {FLUSH_LIST | ONE_REP, 2, VA, 0, BIT(32)}, /* a page */
        {FLUSH_SPACE_EX | ONE_BANK, 0, 1, 2, 0},   /* a sparse set */
    };
    for (unsigned i = 0; i < COUNT(ways); i++) {
        context("way %d\n", i, 0, 0, 0);
        remap_while(read_until_told);
        CHECK_EQ(call_with(ways[i].control, 0, 0, ways[i].c, ways[i].d, ways[i].e), ways[i].result);
        step = 2;
        work_wait(1);
        CHECK_EQ(found, 2);
        page_unmap_all(VA);
        CHECK_EQ(call_with(FLUSH_SPACE, 0, 1, 0, 0, 0), 0); /* everyone */
    }
}

static void a_flush_waits_for_a_cpu_that_sleeps(void)
{
    remap_while(read_sleep_read);
    CHECK_EQ(call_with(FLUSH_SPACE, 0, 0, 2, 0, 0), 0);
    ipi(1, VEC);
    work_wait(1);
    CHECK_EQ(found, 2);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static void one_call_sends_to_many(void)
{
    u64 others = (1u << cpus) - 2;
    for (unsigned n = 0; n < cpus; n++)
        hits[n] = 0;
    CHECK_EQ(call(SEND_IPI | FAST, VEC, others), 0);
    for (unsigned n = 1; n < cpus; n++)
        CHECK(WAIT_FOR(hits[n] == 1));
    CHECK_EQ(call_with(SEND_IPI_EX | ONE_BANK, VEC, 0, 1, others, 0), 0);
    for (unsigned n = 1; n < cpus; n++)
        CHECK(WAIT_FOR(hits[n] == 2));
    CHECK_EQ(hits[0], 0);
}

/* An interrupt ends the wait, and is taken only when IF lets it in. */
static void idle_deaf(unsigned cpu, u64 rounds)
{
    for (u64 i = 1; i <= rounds; i++) {
        cli();
        u32 before = hits[cpu];
        ready = (u32)i;
        rdmsr(MSR_GUEST_IDLE);
        if (hits[cpu] != before)
            step = 0xbad;
        sti();
        while (hits[cpu] == before)
            pause();
        if (step != 0xbad)
            step = (u32)i;
    }
}

static void an_interrupt_that_is_held_off_ends_the_idle_state(void)
{
    const u32 rounds = 200;
    step = ready = 0;
    work_start(1, idle_deaf, rounds);
    for (u32 i = 1; i <= rounds; i++) {
        if (!CHECK(WAIT_FOR(ready == i)))
            return;
        CHECK_EQ(call(SEND_IPI | FAST, VEC, 2), 0);
        if (!CHECK(WAIT_FOR(step == i)))
            return;
    }
    work_wait(1);
}

static void a_long_spin_returns(void)
{
    CHECK_EQ(call(LONG_SPIN_WAIT | FAST, 1000, 0), 0);
}

/* ---- time ------------------------------------------------------------------------------------ */

static volatile u64 *tsc_page;

static u64 page_time(void)
{
    u64 high, low = rdtsc();
    __asm__("mulq %3" : "=d"(high), "+a"(low) : "0"(0), "r"(tsc_page[1]));
    return high + tsc_page[2];
}

/* The counter's MSR and the page never run ahead of each other. */
static void compare_clocks(unsigned cpu, u64 arg)
{
    (void)arg;
    hits[cpu] = 0;
    for (unsigned i = 0; i < 10000; i++) {
        u64 a = page_time(), b = rdmsr(MSR_TIME_REF_COUNT), c = page_time();
        hits[cpu] += a > b || b > c;
    }
}

static void all_cpus_have_the_same_time(void)
{
    tsc_page = page_alloc();
    wrmsr(MSR_REFERENCE_TSC, (u64)tsc_page | 1);
    CHECK((u32)tsc_page[0] != 0);
    work_all(compare_clocks, 0);
    for (unsigned n = 0; n < cpus; n++)
        CHECK_EQ(hits[n], 0);
}

static volatile u64 late;

static void on_timer(struct regs *r)
{
    on_vector(r);
    late = rdmsr(MSR_TIME_REF_COUNT);
}

static void a_timer_wakes_a_cpu_not_before_its_time(void)
{
    handlers[VEC_TIMER] = on_timer;
    for (unsigned i = 0; i < 20; i++) {
        u64 at = rdmsr(MSR_TIME_REF_COUNT) + 5000;
        hits[0] = 0;
        wrmsr(MSR_STIMER0_CONFIG, BIT(12) | (u64)VEC_TIMER << 4 | BIT(3)); /* direct, auto-enable */
        cli();
        wrmsr(MSR_STIMER0_COUNT, at);
        __asm__ volatile("sti; hlt" : : : "memory");
        CHECK_EQ(hits[0], 1);
        CHECK(late >= at);
        CHECK_EQ(rdmsr(MSR_STIMER0_CONFIG) & 1, 0);
    }
}

/* ---- crash ----------------------------------------------------------------------------------- */

/* smp_pv.sh looks whether the user was told. */
static void a_crash_is_told(void)
{
    static const char message[] = "all of this was a test";
    for (u32 i = 0; i < 3; i++)
        wrmsr(MSR_CRASH_P0 + i, 0xc0ffee00 + i);
    wrmsr(MSR_CRASH_P0 + 3, (u64)message);
    wrmsr(MSR_CRASH_P0 + 4, sizeof message);
    wrmsr(MSR_CRASH_CTL, 3ull << 62);
}

int main(void)
{
    handlers[VEC] = on_vector;
    smp_begin();
    sti();
    RUN(the_page_returns_from_calls);
    RUN(a_call_from_a_program_is_undefined);
    RUN(a_cpu_that_runs_is_flushed_before_the_call_returns);
    RUN(a_flush_waits_for_a_cpu_that_sleeps);
    RUN(one_call_sends_to_many);
    RUN(an_interrupt_that_is_held_off_ends_the_idle_state);
    RUN(a_long_spin_returns);
    RUN(all_cpus_have_the_same_time);
    RUN(a_timer_wakes_a_cpu_not_before_its_time);
    RUN(a_crash_is_told);
    return 0;
}
