/*
 * long_inline.c: instructions that a translator does in place, at the edges of what it can: the
 * clock, bit strings, divisions, FS and GS bases, POPF. Each runs in a loop, so that it is
 * translated.
 *
 * SDM vol. 2 (RDTSC, BT, BTS, DIV, IDIV, RDFSBASE, POPF), vol. 3A 17.17; APM vol. 3.
 */
#include "long.h"

#define ROUNDS 40 /* more than it takes until code is hot */

/* ---- the clock ------------------------------------------------------------------------------- */

#define MSR_TSC 0x10
#define CR4_TSD BIT(2)

static NOINLINE u64 tsc_steps_back(unsigned n)
{
    u64 last = rdtsc(), bad = 0;
    for (; n > 0; n--) {
        u64 now = rdtsc();
        bad += now < last;
        last = now;
    }
    return bad;
}

static void the_tsc_never_goes_back(void)
{
    u64 begin = rdtsc();
    CHECK_EQ(tsc_steps_back(300000), 0);
    CHECK(rdtsc() > begin);
}

static void a_written_tsc_counts_on_from_there(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        u64 v = BIT(60) - BIT(40) * i;
        wrmsr(MSR_TSC, v);
        u64 now = rdtsc();
        context("round %d, %x later", i, now - v, 0, 0);
        CHECK(now - v < BIT(38));
    }
    wrmsr(MSR_TSC, 1000);
    CHECK_EQ(tsc_steps_back(1000), 0);
}

static NOINLINE void read_tsc(u64 arg)
{
    __asm__ volatile("mov %0, %%rax; mov %0, %%rdx; rdtsc" : : "D"(arg) : "rax", "rdx");
}

static void tsd_keeps_it_from_users(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        context("round %d", i, 0, 0, 0);
        CHECK_EQ(guarded_cpl3(read_tsc, 5), NO_TRAP);
    }
    write_cr4(read_cr4() | CR4_TSD);
    for (unsigned i = 0; i < ROUNDS; i++) {
        context("round %d", i, 0, 0, 0);
        rdtsc(); /* the kernel may */
        CHECK_EQ(guarded_cpl3(read_tsc, 0x123456789abc), GP);
        CHECK_EQ(trap.r.rax, 0x123456789abc);
        CHECK_EQ(trap.r.rdx, 0x123456789abc);
    }
    write_cr4(read_cr4() & ~CR4_TSD);
    CHECK_EQ(guarded_cpl3(read_tsc, 5), NO_TRAP);
}

/* ---- bit strings ----------------------------------------------------------------------------- */

#define WORDS 2048
static u64 bits[WORDS] __attribute__((aligned(4096)));

/* BTS, BTR, BTC and BT of bit n, counted from the middle; returns the carries, a bit each. R13 has
 * the number, which a translator may keep elsewhere than other registers. */
#define BIT_OPS(name, suffix, prefix)                                                              \
    static NOINLINE u64 name(u64 *at, s64 n)                                                       \
    {                                                                                              \
        u64 r = 0;                                                                                 \
        __asm__ volatile("mov %2, %%r13\n\t" prefix "bts" suffix ", (%1)\n\trcl $1, %0\n\t" prefix \
                         "btr" suffix ", (%1)\n\trcl $1, %0\n\t" prefix "btc" suffix               \
                         ", (%1)\n\trcl $1, %0\n\tbt" suffix ", (%1)\n\trcl $1, %0"                \
                         : "+r"(r)                                                                 \
                         : "r"(at), "r"(n)                                                         \
                         : "r13", "memory", "cc");                                                 \
        return r;                                                                                  \
    }
BIT_OPS(ops_64, "q %2", "")
BIT_OPS(ops_64_locked, "q %2", "lock ")
BIT_OPS(ops_64_r13, "q %%r13", "")
BIT_OPS(ops_64_r13_locked, "q %%r13", "lock ")
BIT_OPS(ops_32, "l %k2", "")
BIT_OPS(ops_32_locked, "l %k2", "lock ")
BIT_OPS(ops_16, "w %w2", "")

static void bit_strings_reach_both_ways(void)
{
    u64 (*const fn[])(u64 *, s64) = {ops_64, ops_64_locked, ops_64_r13, ops_64_r13_locked,
                                     ops_32, ops_32_locked, ops_16};
    for (unsigned f = 0; f < COUNT(fn); f++)
        for (s64 n = -20000; n < 20000; n += 1 + (n & 127) * 7) {
            u64 *middle = &bits[WORDS / 2];
            s64 word = n >> 6;
            context("function %d, bit %d", f, (u64)n, 0, 0);
            middle[word] = 0;
            CHECK_EQ(fn[f](middle, n), 5); /* was 0, was 1, was 0; is 1 */
            CHECK_EQ(middle[word], BIT(n & 63));
        }
}

static NOINLINE void set_far_bit(u64 n)
{
    __asm__ volatile("mov $0xaaaa, %%ecx; btsq %0, bits(%%rip)" : : "D"(n) : "rcx", "memory", "cc");
}

static void a_bit_beyond_memory_faults_with_registers_kept(void)
{
    s64 n = ((s64)BIT(40) - (s64)(u64)bits) * 8 + 77;
    for (unsigned i = 0; i < ROUNDS; i++) {
        context("round %d", i, 0, 0, 0);
        CHECK_EQ(guarded(set_far_bit, (u64)n), PF);
        CHECK_EQ(trap.cr2, BIT(40) + 8);
        CHECK_EQ(trap.r.rcx, 0xaaaa);
        CHECK_EQ(trap.r.rdi, (u64)n);
    }
}

/* ---- division -------------------------------------------------------------------------------- */

struct division {
    u64 high, low, by;
    bool fits;
    u64 quotient, rest;
};

static struct division the_division;

static NOINLINE void divide(u64 form)
{
    struct division *d = &the_division;
    u64 a = d->low, r = d->high, by = d->by;
    switch (form) {
    case 0: __asm__ volatile("idivq %2" : "+a"(a), "+d"(r) : "c"(by) : "cc"); break;
    case 1: __asm__ volatile("idivq %2" : "+a"(a), "+d"(r) : "m"(d->by) : "cc"); break;
    case 2: __asm__ volatile("idivl %k2" : "+a"(a), "+d"(r) : "r"(by) : "cc"); break;
    case 3: __asm__ volatile("idivl %2" : "+a"(a), "+d"(r) : "m"(*(u32 *)&d->by) : "cc"); break;
    case 4: __asm__ volatile("divq %2" : "+a"(a), "+d"(r) : "m"(d->by) : "cc"); break;
    default: __asm__ volatile("divl %k2" : "+a"(a), "+d"(r) : "c"(by) : "cc"); break;
    }
    d->quotient = a;
    d->rest = r;
}

static void division_is_exact_or_faults(void)
{
    static const struct {
        u64 form;
        struct division d;
    } rows[] = {
        {0, {0, 100, 7, true, 14, 2}},
        {0, {~0ull, (u64)-100, 7, true, (u64)-14, (u64)-2}},
        {1, {~0ull, (u64)-100, (u64)-7, true, 14, (u64)-2}},
        {0, {0, 100, (u64)-1, true, (u64)-100, 0}},
        {0, {~0ull, 1ull << 63, (u64)-1, false, 0, 0}},
        {1, {~0ull, 1ull << 63, (u64)-1, false, 0, 0}},
        {0, {0, 1ull << 63, 1, false, 0, 0}},
        {1, {0, 5, 0, false, 0, 0}},
        {0, {1, 0, 4, true, 1ull << 62, 0}},
        {2, {0, 100, 7, true, 14, 2}},
        {2, {0xffffffff, 0xffffff9c, 7, true, 0xfffffff2, 0xfffffffe}},
        {3, {0xffffffff, 0xffffff9c, 0xfffffff9, true, 14, 0xfffffffe}},
        {2, {0xffffffff, 0x80000000, 0xffffffff, false, 0, 0}},
        {3, {0, 0x80000000, 1, false, 0, 0}},
        {2, {0xdeadbeef00000000, 0xdeadbeef00000064, 7, true, 14, 2}},
        {4, {0, ~0ull, 10, true, ~0ull / 10, 5}},
        {4, {3, 0, 3, false, 0, 0}},
        {4, {0, 1, 0, false, 0, 0}},
        {5, {6, 0, 7, true, 0xdb6db6db, 3}},
        {5, {7, 0, 7, false, 0, 0}},
    };
    for (unsigned i = 0; i < COUNT(rows) * ROUNDS; i++) {
        unsigned n = i % COUNT(rows);
        the_division = rows[n].d;
        context("row %d", n, 0, 0, 0);
        CHECK_EQ(guarded(divide, rows[n].form), rows[n].d.fits ? NO_TRAP : DE);
        if (!rows[n].d.fits) {
            CHECK_EQ(trap.r.rax, rows[n].d.low);
            CHECK_EQ(trap.r.rdx, rows[n].d.high);
            continue;
        }
        CHECK_EQ(the_division.quotient, rows[n].d.quotient);
        CHECK_EQ(the_division.rest, rows[n].d.rest);
    }
}

/* ---- bases ----------------------------------------------------------------------------------- */

static NOINLINE void write_gs_base(u64 v)
{
    __asm__ volatile("mov $0xcccc, %%ecx; wrgsbase %0" : : "D"(v) : "rcx");
}

static NOINLINE void write_fs_base_r12(u64 v)
{
    __asm__ volatile(
        "mov %0, %%r12; wrfsbase %%r12; xor %%r12d, %%r12d; rdfsbase %%r12; cmp %0, %%r12;"
        "je 1f; ud2; 1: rdfsbase %%ecx; cmp %k0, %%ecx; je 1f; ud2; 1:"
        :
        : "D"(v)
        : "rcx", "r12", "cc");
}

static void bases_are_canonical_and_gated(void)
{
    static const struct {
        u64 v, want;
    } rows[] = {{0, NO_TRAP},     {0x7fffffffffff, NO_TRAP}, {0xffff800000000000, NO_TRAP},
                {~0ull, NO_TRAP}, {0x800000000000, GP},      {0xffff7fffffffffff, GP},
                {BIT(63), GP},    {0x123456789abc, NO_TRAP}};
    u64 gs = rdmsr(MSR_GS_BASE), fs = rdmsr(MSR_FS_BASE);
    if (!(cpuid(0, 0).a >= 7 && cpuid(7, 0).b & 1)) {
        test_skip("no FSGSBASE");
        return;
    }
    write_cr4(read_cr4() | CR4_FSGSBASE);
    for (unsigned i = 0; i < COUNT(rows) * ROUNDS; i++) {
        unsigned n = i % COUNT(rows);
        context("value %x", rows[n].v, 0, 0, 0);
        wrmsr(MSR_GS_BASE, 0x77);
        CHECK_EQ(guarded(write_gs_base, rows[n].v), rows[n].want);
        CHECK_EQ(rdmsr(MSR_GS_BASE), rows[n].want == GP ? 0x77 : rows[n].v);
        if (rows[n].want == GP)
            CHECK_EQ(trap.r.rcx, 0xcccc);
        else
            CHECK_EQ(guarded_cpl3(write_fs_base_r12, rows[n].v), NO_TRAP);
    }
    write_cr4(read_cr4() & ~CR4_FSGSBASE);
    CHECK_EQ(guarded(write_gs_base, 1), UD);
    CHECK_EQ(guarded_cpl3(write_fs_base_r12, 1), UD);
    wrmsr(MSR_GS_BASE, gs);
    wrmsr(MSR_FS_BASE, fs);
}

/* ---- POPF ------------------------------------------------------------------------------------ */

static NOINLINE u64 through_popf(u64 v)
{
    u64 out;
    __asm__ volatile("pushfq; push %1; popfq; pushfq; pop %0; popfq"
                     : "=&r"(out)
                     : "r"(v)
                     : "memory", "cc");
    return out;
}

static void popf_sets_what_the_kernel_may(void)
{
    const u64 can = 0x8d5 | FLAG_DF | FLAG_NT | FLAG_AC | BIT(21) | 0x3000;
    for (unsigned i = 0; i < 64 * ROUNDS; i++) {
        u64 v = i * 0x9e3779b97f4a7c15ull >> 40 & can;
        context("flags %x", v, 0, 0, 0);
        CHECK_EQ(through_popf(v), v | 2);
    }
    CHECK_EQ(through_popf(BIT(17) | BIT(16) | BIT(1)), 2); /* neither VM nor RF */
}

static volatile unsigned interrupts;

static void count_interrupt(struct regs *r)
{
    (void)r;
    interrupts++;
    *(volatile u32 *)(u64)0xfee000b0 = 0;
}

/* An interrupt that waits for IF comes right after the POPF that sets it. */
static void popf_lets_a_waiting_interrupt_in(void)
{
    volatile u32 *apic = (void *)(u64)0xfee00000;
    outb(0x21, 0xff); /* nothing else */
    outb(0xa1, 0xff);
    apic[0xf0 / 4] |= 0x100;
    handlers[0x50] = count_interrupt;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned before, after;
        interrupts = 0;
        apic[0x300 / 4] = 0x44050; /* to itself */
        __asm__ volatile("pushfq; cli; orq $0x200, (%%rsp); mov (%2), %0; popfq; mov (%2), %1; cli"
                         : "=&r"(before), "=&r"(after)
                         : "r"(&interrupts)
                         : "memory", "cc");
        context("round %d", i, 0, 0, 0);
        CHECK_EQ(before, 0);
        CHECK_EQ(after, 1);
    }
    handlers[0x50] = NULL;
}

int main(void)
{
    RUN(the_tsc_never_goes_back);
    RUN(a_written_tsc_counts_on_from_there);
    RUN(tsd_keeps_it_from_users);
    RUN(bit_strings_reach_both_ways);
    RUN(a_bit_beyond_memory_faults_with_registers_kept);
    RUN(division_is_exact_or_faults);
    RUN(bases_are_canonical_and_gated);
    RUN(popf_sets_what_the_kernel_may);
    RUN(popf_lets_a_waiting_interrupt_in);
    return 0;
}
