/*
 * page_spaces.c: many address spaces that map the same addresses to different pages, with and
 * without PCIDs: data and code, in the kernel and in a program, of the right space after each
 * switch; and each way of forgetting, named for the current space or for another.
 *
 * SDM vol. 3A 4.10.2 to 4.10.4. A space keeps its PCID, so that keeping its entries is always right
 * unless its tables were changed.
 */
#include "long.h"

#define VA 0x123440000000ull
#define SHARED 0x133440000000ull /* the same tables in all spaces */
#define RWU (PTE_P | PTE_W | PTE_U)
enum { SPACES = 20, PAGES = 4, CODE = 64, FRAMES = SPACES * PAGES };

static u64 boot_cr3, root[SPACES];
static volatile u64 *table[SPACES]; /* last level, of VA */
static u8 *frame[FRAMES];           /* at their identity addresses */
static u32 mapped[SPACES][PAGES];   /* which frame is there */
static u64 seen;
static bool pcids;

static u32 random_below(u32 n)
{
    static u64 state = 1;
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)(state >> 33) % n;
}

/* mov $v, %eax; ret */
static void put_code(u8 *at, u32 v)
{
    at[0] = 0xb8;
    copy(at + 1, &v, 4);
    at[5] = 0xc3;
}

static void map(u32 space, u32 page, u32 f)
{
    mapped[space][page] = f;
    table[space][page] = (u64)frame[f] | RWU;
}

static void make_spaces(void)
{
    boot_cr3 = read_cr3();
    page_entry(SHARED, 1);
    for (u32 f = 0; f < FRAMES; f++) {
        frame[f] = page_alloc();
        *(u64 *)frame[f] = 1000 + f;
        put_code(frame[f] + CODE, f);
    }
    for (u32 n = 0; n < SPACES; n++) {
        u64 *pml4 = page_alloc(), *pdpt = page_alloc(), *pd = page_alloc(), *pt = page_alloc();
        copy(pml4, boot_pml4, 4096);
        pml4[VA >> 39 & 511] = (u64)pdpt | RWU;
        pdpt[VA >> 30 & 511] = (u64)pd | RWU;
        pd[VA >> 21 & 511] = (u64)pt | RWU;
        root[n] = (u64)pml4;
        table[n] = pt;
        for (u32 i = 0; i < PAGES; i++)
            map(n, i, n * PAGES + i);
    }
}

static void switch_to(u32 space, bool keep)
{
    write_cr3(root[space] | (pcids ? space + 1 : 0) | (pcids && keep ? BIT(63) : 0));
}

/* The stack is touched before the call, so that nothing but the call's target can be amiss. */
static NOINLINE void run(u64 va)
{
    volatile u64 target = va;
    seen = ((u32(*)(void))target)();
}

/* Runs code in one of the rings, often the same as last time: each may remember where it lies. */
static void check_code(u64 va, u64 want)
{
    static u32 user;
    if (random_below(8) == 0)
        user ^= 1;
    seen = ~0ull;
    if (user)
        CHECK_EQ(guarded_cpl3(run, va), NO_TRAP);
    else
        run(va);
    CHECK_EQ(seen, want);
}

/* Data and code of the current space. */
static void look(u32 space, u32 page)
{
    u64 va = VA + page * 4096, f = mapped[space][page];
    context("space %d page %d frame %d", space, page, f, 0);
    CHECK_EQ(*(volatile u64 *)va, 1000 + f);
    check_code(va + CODE, f);
    volatile u64 *word = (volatile u64 *)(va + 8), *same = (volatile u64 *)(frame[f] + 8);
    u64 old = *same;
    *word += 1;
    CHECK_EQ(*same, old + 1);
}

static void pcid_mode(bool on)
{
    pcids = on;
    write_cr3(boot_cr3);
    if (on)
        write_cr4(read_cr4() | CR4_PCIDE);
    else
        write_cr4(read_cr4() & ~CR4_PCIDE);
    for (u32 n = 0; n < SPACES; n++)
        switch_to(n, false); /* what the last test left of its PCID goes */
}

static bool has_pcid(void)
{
    if (cpuid(1, 0).c >> 17 & 1 && cpuid(7, 0).b >> 10 & 1)
        return true;
    test_skip("no PCID, INVPCID");
    return false;
}

static void invpcid(u64 type, u64 pcid, u64 va)
{
    struct {
        u64 pcid, va;
    } d = {pcid, va};
    __asm__ volatile("invpcid %0, %1" : : "m"(d), "r"(type) : "memory");
}

static void spaces_are_kept_apart(void)
{
    for (u32 step = 0; step < 1500; step++) {
        u32 n = random_below(step & 256 ? SPACES : 3);
        switch_to(n, true);
        look(n, random_below(PAGES));
    }
}

static void without_pcids_spaces_are_kept_apart(void)
{
    pcid_mode(false);
    spaces_are_kept_apart();
    pcid_mode(false);
}

static void pcids_keep_spaces_apart(void)
{
    if (!has_pcid())
        return;
    pcid_mode(true);
    spaces_are_kept_apart();
    pcid_mode(false);
}

/* Changes a page of space n while `current` is in force, and forgets it in one of the ways. */
static void change(u32 n, u32 page, u32 current)
{
    u64 va = VA + page * 4096;
    map(n, page, random_below(FRAMES));
    switch (random_below(6)) {
    case 0: invpcid(0, n + 1, va); break;
    case 1: invpcid(1, n + 1, 0); break;
    case 2: invpcid(2, 0, 0); break;
    case 3: invpcid(3, 0, 0); break;
    case 4: switch_to(n, false); break;
    default:
        switch_to(n, true);
        invlpg(va + random_below(4096));
        break;
    }
    switch_to(current, true);
}

static void a_changed_page_is_seen_however_it_was_forgotten(void)
{
    if (!has_pcid())
        return;
    pcid_mode(true);
    for (u32 step = 0; step < 1500; step++) {
        u32 current = random_below(4), n = random_below(4), page = random_below(PAGES);
        switch_to(current, true);
        look(current, random_below(PAGES));
        change(n, page, current);
        switch_to(n, true);
        look(n, page);
        look(n, random_below(PAGES));
    }
    pcid_mode(false);
}

static void without_pcids_mov_to_cr3_forgets(void)
{
    pcid_mode(false);
    for (u32 step = 0; step < 500; step++) {
        u32 n = random_below(3), page = random_below(PAGES);
        map(n, page, random_below(FRAMES));
        switch_to(n, false);
        look(n, page);
    }
    pcid_mode(false);
}

/* A program goes on calling the same address, from one page into another. */
static void a_program_calls_what_is_mapped_now(void)
{
    pcid_mode(false);
    switch_to(0, false);
    for (u32 step = 0; step < 100; step++) {
        context("step %d", step, 0, 0, 0);
        map(0, 0, step & 1);
        invlpg(VA);
        for (u32 i = 0; i < 3; i++) {
            CHECK_EQ(guarded_cpl3(run, VA + CODE), NO_TRAP);
            CHECK_EQ(seen, step & 1);
        }
    }
    pcid_mode(false);
}

/* A PCID that gets another root, and is not told to keep, is another space. */
static void a_pcid_can_be_used_again(void)
{
    if (!has_pcid())
        return;
    pcid_mode(true);
    for (u32 step = 0; step < 200; step++) {
        u32 n = random_below(SPACES), page = random_below(PAGES);
        write_cr3(root[n] | 1);
        look(n, page);
    }
    pcid_mode(false);
}

static void a_global_page_is_forgotten_in_all_spaces(void)
{
    if (!has_pcid())
        return;
    pcid_mode(true);
    write_cr4(read_cr4() | CR4_PGE);
    volatile u64 *entry = page_entry(SHARED, 1);
    u32 old = 0;
    *entry = (u64)frame[old] | RWU | PTE_G;
    for (u32 step = 0; step < 500; step++) {
        u32 f = random_below(FRAMES);
        for (u32 n = 0; n < SPACES; n += 3) { /* everyone has it, and has run it */
            switch_to(n, true);
            check_code(SHARED + CODE, old);
        }
        *entry = (u64)frame[f] | RWU | PTE_G;
        invlpg(SHARED);
        for (u32 n = 0; n < SPACES; n += 3) {
            switch_to(n, true);
            context("space %d frame %d", n, f, 0, 0);
            CHECK_EQ(*(volatile u64 *)SHARED, 1000 + f);
            check_code(SHARED + CODE, f);
        }
        old = f;
    }
    write_cr4(read_cr4() & ~CR4_PGE);
    pcid_mode(false);
}

/* ecx = edi; ebx = 0; do { call the next page's code; ebx += eax, `times` times } while (--ecx);
 * eax = ebx; ret */
static u8 *put_loop(u32 times)
{
    static const u8 before[] = {0x53, 0x89, 0xf9, 0x31, 0xdb, 0xe8};
    static const u8 add[] = {0x01, 0xc3}, after[] = {0xff, 0xc9, 0x75},
                    end[] = {0x89, 0xd8, 0x5b, 0xc3};
    u8 *page = page_alloc(), *at = page + CODE;
    u32 call = 4096 - (sizeof before + 4);
    copy(at, before, sizeof before);
    copy(at + 6, &call, 4);
    for (at += 10; times--; at += 2)
        copy(at, add, 2);
    copy(at, after, 3);
    at[3] = (u8)(page + CODE + 5 - (at + 4));
    copy(at + 4, end, 4);
    return page;
}

/* A loop in one global page calls into the next, long enough to be translated as one; then either
 * is another, or both are as before and only forgotten. */
static void code_in_two_global_pages_is_what_they_map_now(void)
{
    volatile u64 *entry[2] = {page_entry(SHARED, 1), page_entry(SHARED + 4096, 1)};
    u8 *loop[2] = {put_loop(1), put_loop(2)};
    u32 times = 0, f = 5;
    pcid_mode(false);
    write_cr3(boot_cr3);
    write_cr4(read_cr4() | CR4_PGE);
    for (u32 step = 0; step < 300; step++) {
        times ^= random_below(4) == 0;
        f = random_below(3) ? f : random_below(FRAMES);
        *entry[0] = (u64)loop[times] | RWU | PTE_G;
        *entry[1] = (u64)frame[f] | RWU | PTE_G;
        if (random_below(2)) {
            invlpg(SHARED);
            invlpg(SHARED + 4096);
        } else {
            write_cr4(read_cr4() & ~CR4_PGE);
            write_cr4(read_cr4() | CR4_PGE);
        }
        context("step %d frame %d", step, f, 0, 0);
        for (u32 count = 1; count <= 1000; count *= 10)
            CHECK_EQ(((u32(*)(u32))(SHARED + CODE))(count), (times + 1) * f * count);
    }
    write_cr4(read_cr4() & ~CR4_PGE);
}

/* A fault forgets the page that it names, for reads as well. */
static void store(u64 va)
{
    *(volatile u64 *)va = 7;
}

static void a_page_moved_by_the_fault_handler_needs_no_invlpg(void)
{
    pcid_mode(false);
    switch_to(0, false);
    for (u32 step = 0; step < 20; step++) {
        u32 f = step % 2;
        *(u64 *)frame[f] = 1000 + f;
        table[0][0] = (u64)frame[f] | PTE_P | PTE_U;
        invlpg(VA);
        CHECK_EQ(*(volatile u64 *)VA, 1000 + f);
        CHECK_EQ(guarded(store, VA), PF);
        table[0][0] = (u64)frame[1 - f] | RWU;
        CHECK_EQ(*(volatile u64 *)VA, 1000 + (1 - f));
    }
    map(0, 0, 0);
    pcid_mode(false);
}

/* A table of the last level that is replaced: any INVLPG forgets what led to it (SDM 4.10.4.1). */
static void invlpg_forgets_the_way_to_a_page(void)
{
    u64 *tables[2] = {page_alloc(), page_alloc()};
    tables[0][VA >> 12 & 511] = (u64)frame[1] | RWU;
    tables[1][VA >> 12 & 511] = (u64)frame[2] | RWU;
    pcid_mode(false);
    switch_to(0, false);
    volatile u64 *pml4 = (u64 *)root[0];
    volatile u64 *pdpt = (u64 *)(pml4[VA >> 39 & 511] & ~0xfffull);
    volatile u64 *pd = (u64 *)(pdpt[VA >> 30 & 511] & ~0xfffull);
    u64 before = pd[VA >> 21 & 511];
    for (u32 step = 0; step < 20; step++) {
        pd[VA >> 21 & 511] = (u64)tables[step & 1] | RWU;
        invlpg(VA);
        CHECK_EQ(*(volatile u64 *)VA, 1001 + (step & 1));
    }
    pd[VA >> 21 & 511] = before;
    pcid_mode(false);
}

int main(void)
{
    make_spaces();
    RUN(without_pcids_spaces_are_kept_apart);
    RUN(without_pcids_mov_to_cr3_forgets);
    RUN(a_page_moved_by_the_fault_handler_needs_no_invlpg);
    RUN(invlpg_forgets_the_way_to_a_page);
    RUN(a_program_calls_what_is_mapped_now);
    RUN(pcids_keep_spaces_apart);
    RUN(a_changed_page_is_seen_however_it_was_forgotten);
    RUN(a_pcid_can_be_used_again);
    RUN(a_global_page_is_forgotten_in_all_spaces);
    RUN(code_in_two_global_pages_is_what_they_map_now);
    return 0;
}
