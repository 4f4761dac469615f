/*
 * page_streams.c: loops whose accesses go to one page for long, and then to another: what a
 * translator knows of a page must not outlive the page, reach beyond it, or grant what it does not.
 *
 * SDM vol. 3A 4.6, 4.7, 4.10; vol. 1 3.3.7.1 (canonical addresses).
 */
#include "long.h"

#define VA 0x123440000000ull
#define FRAMES 8
#define HOT 3000 /* times round, more than it takes until a loop is as fast as it gets */

static u8 memory[FRAMES][4096] __attribute__((aligned(4096)));
static u64 frame[FRAMES]; /* they follow each other in memory */
static unsigned spread;   /* 1: the pages do, too; 3: no */

/* Maps pages at VA to the frames, and fills them. */
static void map_frames(u64 bits)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        frame[i] = (u64)memory[i];
        for (unsigned w = 0; w < 512; w++)
            ((u64 *)frame[i])[w] = 0x100 * (i + 1) + (w & 0xff);
        page_map(VA + 4096 * i, frame[i * spread % FRAMES] | bits);
        invlpg(VA + 4096 * i);
    }
}

static u64 *where(u64 va)
{
    return (u64 *)(frame[(va - VA) / 4096 * spread % FRAMES] + va % 4096);
}

/* Several accesses that differ by constants, and the stack. Returns `count` times the sum of the
 * first word and a byte, which it also stores as the fourth word. */
#define GROUP(name)                                                                                \
    static NOINLINE u64 name(u64 base, u64 count)                                                  \
    {                                                                                              \
        u64 sum = 0;                                                                               \
        __asm__ volatile("1: mov (%1), %%rax\n\tpush %%rax\n\tmovzbl 0x10(%1), %%ecx\n\t"          \
                         "add %%rcx, %0\n\tpop %%rcx\n\tadd %%rcx, %0\n\tcmp %2, %%rax\n\t"        \
                         "mov %0, 0x18(%1)\n\tlea -1(%2), %2\n\ttest %2, %2\n\tjnz 1b"             \
                         : "+r"(sum), "+D"(base), "+S"(count)                                      \
                         :                                                                         \
                         : "rax", "rcx", "memory", "cc");                                          \
        return sum;                                                                                \
    }
GROUP(group)
GROUP(fresh_group) /* of which nothing was ever learned */

static void check_group(u64 va, u64 count)
{
    u64 sum = (*where(va) + (u8)*where(va + 0x10)) * count;
    *where(va + 0x18) = 0;
    CHECK_EQ(group(va, count), sum);
    CHECK_EQ(*where(va + 0x18), sum);
}

static void group_args(u64 va)
{
    group(va, 5);
}

static void a_page_is_another_after_invlpg_and_mov_to_cr3(void)
{
    map_frames(PTE_P | PTE_W);
    check_group(VA + 0x40, HOT);
    for (unsigned i = 0; i < 40; i++) {
        u64 other = frame[i % 2 ? 0 : 5], was = ((u64 *)frame[0])[11];
        context("round %d", i, 0, 0, 0);
        ((u64 *)other)[8] = 1000 + i;
        ((u64 *)other)[10] = i;
        *page_entry(VA, 1) = other | PTE_P | PTE_W;
        if (i & 2)
            invlpg(VA + 0x123);
        else
            write_cr3(read_cr3());
        CHECK_EQ(group(VA + 0x40, 7), (1000 + 2 * i) * 7);
        CHECK_EQ(((u64 *)other)[11], (1000 + 2 * i) * 7);
        CHECK_EQ(((u64 *)frame[0])[11], i % 2 ? (1000 + 2 * i) * 7 : was);
    }
}

static void groups_that_lie_in_two_pages_reach_both(void)
{
    map_frames(PTE_P | PTE_W);
    for (unsigned at = 0xfc0; at <= 0x1000; at += 4) { /* words that lie in both, too */
        u64 va = VA + 4096 + at, word, fourth, sum;
        for (unsigned i = 0; i < 8; i++)
            ((u8 *)where(VA + 4096 + at + i))[0] = (u8)(at + i * 3);
        ((u8 *)where(va + 0x10))[0] = 0x77;
        __builtin_memcpy(&word, (void *)va, 8);
        sum = (word + 0x77) * HOT;
        context("at %x", va, 0, 0, 0);
        CHECK_EQ(group(va, HOT), sum);
        __builtin_memcpy(&fourth, (void *)(va + 0x18), 8);
        CHECK_EQ(fourth, sum);
    }
}

static void a_page_that_becomes_read_only_faults_at_the_store(void)
{
    write_cr0(read_cr0() | CR0_WP);
    map_frames(PTE_P | PTE_W);
    check_group(VA + 0x80, HOT);
    for (unsigned i = 0; i < 20; i++) {
        u64 word = i & 1 ? 2 : 9;
        *where(VA + 0x80) = word;
        *page_entry(VA, 1) = frame[0] | PTE_P;
        invlpg(VA);
        context("round %d", i, 0, 0, 0);
        CHECK_EQ(guarded(group_args, VA + 0x80), PF);
        CHECK_EQ(trap.cr2, VA + 0x98);
        CHECK_EQ(trap.r.error, 3);
        CHECK_EQ(trap.r.rax, word);
        CHECK_EQ(trap.r.rcx, word); /* from the stack */
        CHECK_EQ(trap.r.rsi, 5);
        CHECK_EQ(trap.r.rflags & FLAG_CF, word < 5); /* of the comparison before */
        *page_entry(VA, 1) = frame[0] | PTE_P | PTE_W;
        invlpg(VA);
        check_group(VA + 0x80, 50);
    }
    write_cr0(read_cr0() & ~CR0_WP);
}

static void the_missing_half_of_a_group_faults_by_itself(void)
{
    map_frames(PTE_P | PTE_W);
    check_group(VA + 0xfd0, HOT);
    check_group(VA + 0xff0, HOT);
    *page_entry(VA + 4096, 1) = 0;
    invlpg(VA + 4096);
    for (unsigned i = 0; i < 20; i++) {
        context("round %d", i, 0, 0, 0);
        CHECK_EQ(guarded(group_args, VA + 0xff0), PF);
        CHECK_EQ(trap.cr2, VA + 0x1000); /* the byte */
        CHECK_EQ(trap.r.rax, *where(VA + 0xff0));
        CHECK_EQ(guarded(group_args, VA + 0xfe8), PF);
        CHECK_EQ(trap.cr2, VA + 0x1000); /* the store */
        CHECK_EQ(trap.r.error, 2);
    }
}

/* The byte and the store are in the second page, which changes. */
static void the_second_page_of_a_group_is_another_after_invlpg(void)
{
    map_frames(PTE_P | PTE_W);
    for (unsigned i = 0; i < 20; i++) {
        u64 other = frame[i % 2 ? spread : 7], sum;
        *(volatile u64 *)(VA + 0xff0) = 5000; /* both are known for stores */
        *(volatile u64 *)(VA + 0x1008) = 0;
        fresh_group(VA + 0xff0, HOT);
        *page_entry(VA + 4096, 1) = other | PTE_P | PTE_W;
        invlpg(VA + 4096);
        *(u64 *)other = i;
        context("round %d", i, 0, 0, 0);
        sum = (5000 + i) * 3;
        CHECK_EQ(fresh_group(VA + 0xff0, 3), sum);
        CHECK_EQ(*(u64 *)(other + 8), sum);
    }
}

/* A table of words, indexed by a byte, in a loop that leaves R8 to R11 and RBX alone; a translator
 * may use those. Sets them first, and fails unless they come back. Returns the sum of what it read.
 */
static NOINLINE u64 table_sum(u64 table, u64 count)
{
    u64 sum = 0, seed = 7, changed;
    __asm__ volatile("mov $11, %%ebx\n\tmov $18, %%r8d\n\tmov $19, %%r9d\n\tmov $20, %%r10d\n\t"
                     "mov $21, %%r11d\n"
                     "1: imul $5, %3, %3\n\tinc %3\n\tmovzbl %b3, %%ecx\n\t"
                     "mov (%2,%%rcx,4), %%eax\n\tadd %%rax, %0\n\tmov 4(%2,%%rcx,2), %%eax\n\t"
                     "add %%rax, %0\n\tdec %4\n\tjnz 1b\n\t"
                     "lea -11(%%rbx), %1\n\tsub $18, %%r8\n\tor %%r8, %1\n\tsub $19, %%r9\n\t"
                     "or %%r9, %1\n\tsub $20, %%r10\n\tor %%r10, %1\n\tsub $21, %%r11\n\t"
                     "or %%r11, %1"
                     : "+r"(sum), "=&r"(changed), "+D"(table), "+S"(seed), "+d"(count)
                     :
                     : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
    CHECK_EQ(changed, 0);
    return sum;
}

static u32 word_at(u64 va)
{
    u32 v = 0;
    for (unsigned i = 4; i-- > 0;)
        v = v << 8 | *((u8 *)frame[(va + i - VA) / 4096 * spread % FRAMES] + (va + i) % 4096);
    return v;
}

static u64 expected_sum(u64 table, u64 count)
{
    u64 sum = 0, seed = 7;
    while (count--) {
        seed = seed * 5 + 1;
        sum += word_at(table + 4 * (u8)seed);
        sum += word_at(table + 4 + 2 * (u8)seed);
    }
    return sum;
}

static void table_args(u64 table)
{
    table_sum(table, 1000); /* every byte is an index */
}

static void a_table_is_read_where_it_lies_and_registers_come_back(void)
{
    map_frames(PTE_P | PTE_W);
    for (unsigned at = 0; at <= 0x1000; at += 0x155) {
        u64 table = VA + 4096 + at;
        for (unsigned i = 0; i < 20; i++) {
            context("at %x", table, 0, 0, 0);
            CHECK_EQ(table_sum(table, HOT), expected_sum(table, HOT));
        }
    }
    *page_entry(VA + 4096, 1) = 0;
    invlpg(VA + 4096);
    CHECK_EQ(table_sum(VA, HOT), expected_sum(VA, HOT));
    CHECK_EQ(guarded(table_args, VA + 0xe00), PF);
    CHECK_EQ(trap.cr2 & ~0xfffull, VA + 0x1000);
    CHECK_EQ(trap.r.rbx, 11);
    CHECK_EQ(trap.r.r8, 18);
    CHECK_EQ(trap.r.r9, 19);
    CHECK_EQ(trap.r.r10, 20);
    CHECK_EQ(trap.r.r11, 21);
}

/* Constant offsets from FS, which without its base are addresses of this. */
u64 baseless[8];

static NOINLINE u64 segment_sum(u64 count)
{
    u64 sum = 0;
    __asm__ volatile("1: mov %%fs:baseless+0x20, %%rax\n\tadd %%rax, %0\n\tmov %0, %%fs:baseless+0x28\n\t"
                     "sub $1, %1\n\tjnz 1b"
                     : "+r"(sum), "+r"(count)
                     :
                     : "rax", "memory", "cc");
    return sum;
}

static void a_segment_has_its_base_in_loops(void)
{
    u64 was = rdmsr(MSR_FS_BASE);
    map_frames(PTE_P | PTE_W);
    for (unsigned i = 0; i < 40; i++) {
        u64 base = VA + 0x1000 * (i % FRAMES) + 8 * i;
        u64 sum = *where(base + 0x20) * HOT;
        context("base %x", base, 0, 0, 0);
        wrmsr(MSR_FS_BASE, base - (u64)baseless);
        CHECK_EQ(segment_sum(HOT), sum);
        CHECK_EQ(*where(base + 0x28), sum);
        CHECK_EQ(baseless[5], 0);
    }
    wrmsr(MSR_FS_BASE, was);
}

static void addresses_that_are_not_canonical_never_match(void)
{
    static const u64 rows[] = {0x800000000000,  0xffff7ffffffff000, BIT(63),       BIT(62),
                               0x1000000000000, ~0xfffull >> 1,     BIT(63) - 0x40};
    map_frames(PTE_P | PTE_W);
    for (unsigned i = 0; i < COUNT(rows) * 4; i++) {
        if (i & 1)
            check_group(VA + 0x40, HOT);
        else
            write_cr3(read_cr3()); /* nothing is known now */
        context("address %x", rows[i % COUNT(rows)], 0, 0, 0);
        CHECK_EQ(guarded(group_args, rows[i % COUNT(rows)]), GP);
    }
}

static void stores_make_a_page_dirty_again(void)
{
    map_frames(PTE_P | PTE_W);
    check_group(VA + 0x40, HOT);
    for (unsigned i = 0; i < 20; i++) {
        *page_entry(VA, 1) &= ~(PTE_A | PTE_D);
        invlpg(VA);
        group(VA + 0x40, 1);
        context("round %d", i, 0, 0, 0);
        CHECK_EQ(*page_entry(VA, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
    }
}

/* Sums words that are `step` bytes apart, and counts the first of each. */
static NOINLINE u64 walk(u64 at, s64 step, u64 count)
{
    u64 sum = 0;
    __asm__ volatile("1: mov (%1), %%rax\n\tadd %%rax, %0\n\tadd $1, %%rax\n\tmov %%rax, (%1)\n\t"
                     "sub $1, %%rax\n\tmov %%rax, (%1)\n\tadd %3, %1\n\tsub $1, %2\n\tjnz 1b"
                     : "+r"(sum), "+D"(at), "+S"(count)
                     : "r"(step)
                     : "rax", "memory", "cc");
    return sum;
}

static void pointers_wander_through_pages(void)
{
    static const s64 steps[] = {8, -8, 64, 0x148, 0x1000, -0x1000, 0x1008, 0x2ff8};
    map_frames(PTE_P | PTE_W);
    for (unsigned round = 0; round < 30; round++)
        for (unsigned k = 0; k < COUNT(steps); k++) {
            s64 step = steps[k];
            u64 count = (FRAMES * 4096 - 8) / (u64)(step < 0 ? -step : step) + 1, sum = 0;
            u64 at = step < 0 ? VA + FRAMES * 4096 - 8 : VA;
            for (u64 i = 0; i < count; i++)
                sum += *where(at + (u64)step * i);
            context("step %x", (u64)step, 0, 0, 0);
            CHECK_EQ(walk(at, step, count), sum);
        }
}

static void run_all(void)
{
    RUN(a_page_is_another_after_invlpg_and_mov_to_cr3);
    RUN(groups_that_lie_in_two_pages_reach_both);
    RUN(a_page_that_becomes_read_only_faults_at_the_store);
    RUN(the_missing_half_of_a_group_faults_by_itself);
    RUN(a_table_is_read_where_it_lies_and_registers_come_back);
    RUN(a_segment_has_its_base_in_loops);
    RUN(addresses_that_are_not_canonical_never_match);
    RUN(stores_make_a_page_dirty_again);
    RUN(the_second_page_of_a_group_is_another_after_invlpg);
    RUN(pointers_wander_through_pages);
}

int main(void)
{
    for (spread = 1; spread <= 3; spread += 2)
        run_all();
    return 0;
}
