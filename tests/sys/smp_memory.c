/*
 * smp_memory.c: page tables and code that one CPU changes and others use: shootdown of
 * translations, accessed and dirty bits, cross-modifying code, stores beside code.
 *
 * SDM vol. 3A 4.8 (A and D are set by locked cycles), 4.10.5 (propagation of changes), 8.1.3
 * (cross-modifying code: the other CPU executes a serializing instruction).
 */
#include "smp_lib.h"

#define VA 0x123440000000ull
#define RW (PTE_P | PTE_W)
#define VEC_FLUSH 0x70

static void serialize(void)
{
    cpuid(0, 0);
}

/* ---- shootdown ----------------------------------------------------------------------------------
 */

static volatile u32 flushed;

static void on_flush(struct regs *r)
{
    (void)r;
    invlpg(VA);
    __atomic_fetch_add(&flushed, 1, __ATOMIC_SEQ_CST);
    apic_write(EOI, 0);
}

static volatile u32 stop, wrong, reads[CPUS_MAX];
static volatile u64 generation; /* what the page may hold at least */

static void watch_page(unsigned cpu, u64 arg)
{
    (void)arg;
    sti();
    while (!stop) {
        u64 least = generation;
        barrier();
        u64 v = *(volatile u64 *)VA;
        if (v < least)
            __atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
        reads[cpu]++;
    }
    cli();
}

static void a_shootdown_reaches_all_cpus(void)
{
    u64 *frames[2] = {page_alloc(), page_alloc()};
    handlers[VEC_FLUSH] = on_flush;
    page_map(VA, (u64)frames[0] | RW);
    stop = wrong = 0;
    for (unsigned n = 1; n < cpus; n++)
        work_start(n, watch_page, 0);
    for (u64 i = 1; i <= 300; i++) {
        u64 *next = frames[i & 1];
        *next = i;
        flushed = 0;
        *page_entry(VA, 1) = (u64)next | RW;
        invlpg(VA);
        ipi(0, VEC_FLUSH | ICR_OTHERS);
        if (!WAIT_FOR(flushed == cpus - 1)) {
            CHECK(!"the flush interrupt is lost");
            break;
        }
        generation = i;
        /* the frame of before may now be used for something else */
        *frames[~i & 1] = 0;
    }
    for (unsigned n = 1; n < cpus; n++)
        WAIT_FOR(reads[n] > 100);
    stop = 1;
    for (unsigned n = 1; n < cpus; n++)
        work_wait(n);
    CHECK_EQ(wrong, 0);
}

/* ---- accessed and dirty bits --------------------------------------------------------------------
 */

#define PAGES 64u

/* CPU 0 takes the bits with a locked instruction, the others cause them. */
static void use_pages(unsigned cpu, u64 arg)
{
    (void)arg;
    for (unsigned i = 0; i < 200; i++)
        for (unsigned p = 0; p < PAGES; p++) {
            u64 va = VA + 4096 * (1 + p);
            if (cpu) {
                invlpg(va);
                *(volatile u32 *)(va + 64 * cpu) = i;
            } else {
                u64 old = *page_entry(va, 1);
                bool done;
                __asm__ volatile("lock cmpxchgq %3, %1"
                                 : "=@ccz"(done), "+m"(*page_entry(va, 1)), "+a"(old)
                                 : "r"(old & ~(PTE_A | PTE_D))
                                 : "memory");
            }
        }
}

static void bits_of_page_tables_are_not_lost(void)
{
    u64 frames[PAGES];
    for (unsigned p = 0; p < PAGES; p++) {
        frames[p] = (u64)page_alloc();
        page_map(VA + 4096 * (1 + p), frames[p] | RW);
    }
    work_all(use_pages, 0);
    for (unsigned p = 0; p < PAGES; p++) {
        u64 va = VA + 4096 * (1 + p);
        CHECK_EQ(*page_entry(va, 1) & ~(PTE_A | PTE_D), frames[p] | RW);
        *page_entry(va, 1) = frames[p] | RW;
        invlpg(va);
        *(volatile u32 *)va = 1;
        CHECK_EQ(*page_entry(va, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
    }
}

/* ---- code ---------------------------------------------------------------------------------------
 */

static u8 *code; /* mov $v, %eax; ret */
static volatile u32 published, acknowledged[CPUS_MAX];

static u32 call_code(const u8 *at)
{
    return ((u32(*)(void))(u64)at)();
}

static void put_code(u8 *at, u32 v)
{
    *(volatile u32 *)(at + 1) = v;
    *(volatile u8 *)(at + 5) = 0xc3;
    barrier();
    *(volatile u8 *)at = 0xb8;
}

static void run_published(unsigned cpu, u64 rounds)
{
    for (u32 i = 1; i <= rounds; i++) {
        while (published < i)
            pause();
        serialize();
        for (unsigned k = 0; k < 40; k++) /* often enough to be translated */
            if (call_code(code) != i)
                __atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
        acknowledged[cpu] = i;
    }
}

static void code_that_another_cpu_changed_runs_changed(void)
{
    const u32 rounds = 300;
    code = page_alloc();
    wrong = published = 0;
    for (unsigned n = 1; n < cpus; n++)
        work_start(n, run_published, rounds);
    for (u32 i = 1; i <= rounds; i++) {
        put_code(code, i);
        published = i;
        for (unsigned n = 1; n < cpus; n++)
            CHECK(WAIT_FOR(acknowledged[n] == i));
    }
    for (unsigned n = 1; n < cpus; n++)
        work_wait(n);
    CHECK_EQ(wrong, 0);
}

/* A page becomes code on one CPU while another stores to it all the time. */
static void store_beside(unsigned cpu, u64 page)
{
    volatile u64 *word = (volatile u64 *)(page + 2048 + 64 * cpu);
    while (!stop)
        ++*word;
}

static void stores_go_on_beside_code(void)
{
    stop = 0;
    for (unsigned round = 0; round < 40; round++) {
        u8 *page = page_alloc();
        stop = 0;
        for (unsigned n = 1; n < cpus; n++)
            work_start(n, store_beside, (u64)page);
        for (unsigned n = 1; n < cpus; n++)
            CHECK(WAIT_FOR(*(volatile u64 *)(page + 2048 + 64 * n) > 100));
        for (u32 i = 1; i <= 30; i++) {
            put_code(page + 16 * (i & 3), i);
            CHECK_EQ(call_code(page + 16 * (i & 3)), i);
        }
        stop = 1;
        for (unsigned n = 1; n < cpus; n++)
            work_wait(n);
    }
}

/* The code is changed by the CPU that had its page writable before it became code: its store must
 * be seen by the one that decodes at this moment. Whatever is called is one of the two. */
static volatile u32 turn;
static void change_code(unsigned cpu, u64 page)
{
    if (cpu != 1)
        return;
    for (u32 i = 1; i <= 2000; i++) {
        while (turn < i)
            pause();
        *(volatile u32 *)(page + 64 * (i & 31) + 1) = i; /* while it is called for the first time */
        acknowledged[1] = i;
    }
}

static void a_store_during_the_first_decoding_is_not_lost(void)
{
    u8 *page = page_alloc();
    turn = 0;
    acknowledged[1] = 0;
    work_start(1, change_code, (u64)page);
    for (u32 i = 1; i <= 2000; i++) {
        u8 *at = page + 64 * (i & 31);
        put_code(at, 0);
        barrier();
        turn = i;
        u32 v = call_code(at);
        if (v != 0 && v != i)
            wrong++;
        while (acknowledged[1] < i)
            pause();
        serialize();
        CHECK_EQ(call_code(at), i);
    }
    work_wait(1);
    CHECK_EQ(wrong, 0);
}

int main(void)
{
    smp_begin();
    sti();
    RUN(a_shootdown_reaches_all_cpus);
    RUN(bits_of_page_tables_are_not_lost);
    RUN(code_that_another_cpu_changed_runs_changed);
    RUN(stores_go_on_beside_code);
    RUN(a_store_during_the_first_decoding_is_not_lost);
    return 0;
}
