/*
 * page_tlb.c: when a changed page table must be seen: INVLPG, MOV to CR3, CR4.PGE, global pages,
 * PCID and INVPCID; and accesses that cross into a page that faults.
 *
 * SDM vol. 3A 4.10. QEMU 7.2 stores the first part of what crosses into a fault. Only what the
 * manual requires is checked: an entry that may stay cached may also be gone.
 */
#include "long.h"

#define VA 0x123440000000ull
#define RW (PTE_P | PTE_W)

static u64 page[2]; /* two frames, each holds its own number */

static void make_frames(void)
{
    for (unsigned i = 0; i < 2; i++) {
        page[i] = (u64)page_alloc();
        *(u64 *)page[i] = 100 + i;
    }
}

static u64 look(void)
{
    return *(volatile u64 *)VA;
}
static void touch(u64 va)
{
    *(volatile u64 *)va;
}

static void map_and_cache(u64 extra)
{
    page_map(VA, page[0] | RW | extra);
    CHECK_EQ(look(), 100);
}

static void invlpg_forgets_a_page(void)
{
    map_and_cache(0);
    *page_entry(VA, 1) = page[1] | RW;
    invlpg(VA + 0xfff);
    CHECK_EQ(look(), 101);
}

static void invlpg_forgets_a_global_page(void)
{
    write_cr4(read_cr4() | CR4_PGE);
    map_and_cache(PTE_G);
    *page_entry(VA, 1) = page[1] | RW | PTE_G;
    invlpg(VA);
    CHECK_EQ(look(), 101);
    write_cr4(read_cr4() & ~CR4_PGE);
}

/* Any address of a large page names the whole page (SDM 4.10.4.1). */
static void invlpg_forgets_the_whole_large_page(void)
{
    for (unsigned level = 2; level <= 3; level++) {
        u64 size = level == 2 ? BIT(21) : BIT(30), step = level == 2 ? BIT(12) : BIT(21);
        if (level == 3 && !(cpuid(0x80000001, 0).d >> 26 & 1))
            continue;
        page_unmap_all(VA);
        *page_entry(VA, level) = RW | PTE_PS;
        for (unsigned i = 0; i < 8; i++)
            touch(VA + i * step);
        *page_entry(VA, level) = 0;
        invlpg(VA + size - 4096);
        for (unsigned i = 0; i < 8; i++) {
            context("level %d piece %d", level, i, 0, 0);
            CHECK_EQ(guarded(touch, VA + i * step), PF);
        }
    }
    page_unmap_all(VA);
}

static void invlpg_of_a_non_canonical_address_does_nothing(void)
{
    invlpg(0x8000000000000000);
    CHECK_EQ(guarded(touch, VA), PF);
}

static void mov_to_cr3_forgets_what_is_not_global(void)
{
    map_and_cache(0);
    *page_entry(VA, 1) = page[1] | RW;
    write_cr3(read_cr3());
    CHECK_EQ(look(), 101);
}

static void toggling_pge_forgets_global_pages(void)
{
    for (unsigned on = 0; on < 2; on++) {
        write_cr4(on ? read_cr4() & ~CR4_PGE : read_cr4() | CR4_PGE);
        map_and_cache(PTE_G);
        *page_entry(VA, 1) = page[1] | RW | PTE_G;
        write_cr4(read_cr4() ^ CR4_PGE);
        context("PGE was %d", !on, 0, 0, 0);
        CHECK_EQ(look(), 101);
    }
    write_cr4(read_cr4() & ~CR4_PGE);
}

/* G of an entry means nothing while CR4.PGE is clear. */
static void without_pge_mov_to_cr3_forgets_pages_with_g(void)
{
    map_and_cache(PTE_G);
    *page_entry(VA, 1) = page[1] | RW | PTE_G;
    write_cr3(read_cr3());
    CHECK_EQ(look(), 101);
}

/* The fault itself drops the entry, so that widening rights needs no INVLPG (SDM 4.10.4.2). */
static NOINLINE void store(u64 va)
{
    *(volatile u64 *)va = 100;
}

static void widened_rights_count_without_invlpg(void)
{
    page_map(VA, page[0] | PTE_P);
    CHECK_EQ(look(), 100);
    *page_entry(VA, 1) = page[0] | RW;
    u64 first = guarded(store, VA);
    CHECK(first == NO_TRAP || first == PF);
    CHECK_EQ(guarded(store, VA), NO_TRAP);
}

static void a_new_page_counts_without_invlpg(void)
{
    page_map(VA, 0);
    CHECK_EQ(guarded(touch, VA), PF);
    *page_entry(VA, 1) = page[0] | RW;
    CHECK_EQ(look(), 100);
}

static void a_cleared_dirty_bit_is_set_again_after_invlpg(void)
{
    page_map(VA, page[0] | RW);
    store(VA);
    CHECK(*page_entry(VA, 1) & PTE_D);
    *page_entry(VA, 1) = page[0] | RW;
    invlpg(VA);
    touch(VA);
    CHECK_EQ(*page_entry(VA, 1) & (PTE_A | PTE_D), PTE_A);
    store(VA);
    CHECK_EQ(*page_entry(VA, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

/* ---- PCID
 * ------------------------------------------------------------------------------------------- */

struct invpcid_arg {
    u64 type, pcid, va;
};

static void do_invpcid(u64 arg)
{
    const struct invpcid_arg *a = (const void *)arg;
    struct {
        u64 pcid, va;
    } d = {a->pcid, a->va};
    __asm__ volatile("invpcid %0, %1" : : "m"(d), "r"(a->type) : "memory");
}

static u64 invpcid(u64 type, u64 pcid, u64 va)
{
    struct invpcid_arg a = {type, pcid, va};
    return guarded(do_invpcid, (u64)&a);
}

static bool has_pcid(void)
{
    if (cpuid(1, 0).c >> 17 & 1 && cpuid(7, 0).b >> 10 & 1)
        return true;
    test_skip("no PCID, INVPCID");
    return false;
}

static void pcid_needs_a_clean_cr3_and_keeps_it_apart(void)
{
    if (!has_pcid())
        return;
    u64 cr3 = read_cr3();
    write_cr3(cr3 | 8); /* PWT, which becomes part of the PCID */
    CHECK_EQ(try_write_cr(4, read_cr4() | CR4_PCIDE), GP);
    write_cr3(cr3);
    CHECK_EQ(try_write_cr(4, read_cr4() | CR4_PCIDE), NO_TRAP);
    CHECK_EQ(try_write_cr(3, cr3 | 5), NO_TRAP);
    CHECK_EQ(read_cr3(), cr3 | 5);
    CHECK_EQ(try_write_cr(3, cr3 | BIT(63) | 5), NO_TRAP);
    CHECK_EQ(read_cr3(), cr3 | 5); /* bit 63 is an order, not a value */
    CHECK_EQ(try_write_cr(0, read_cr0() & ~CR0_PG), GP);
    /* Another PCID's entries may be kept, one's own not. */
    map_and_cache(0);
    *page_entry(VA, 1) = page[1] | RW;
    write_cr3(cr3 | 5);
    CHECK_EQ(look(), 101);
    write_cr3(cr3);
    write_cr4(read_cr4() & ~CR4_PCIDE);
    CHECK_EQ(try_write_cr(3, cr3 | BIT(63)), GP);
}

static void every_type_of_invpcid_forgets(void)
{
    if (!has_pcid())
        return;
    for (unsigned pcide = 0; pcide < 2; pcide++) {
        u64 cr3 = read_cr3(), pcid = pcide ? 3 : 0;
        write_cr4(read_cr4() | CR4_PGE | (pcide ? CR4_PCIDE : 0));
        write_cr3(cr3 | pcid);
        for (u64 type = 0; type < 4; type++) {
            u64 global = type == 2 ? PTE_G : 0; /* only type 2 must drop these */
            context("type %d PCIDE %d", type, pcide, 0, 0);
            map_and_cache(global);
            *page_entry(VA, 1) = page[1] | RW | global;
            CHECK_EQ(invpcid(type, pcid, VA), NO_TRAP);
            CHECK_EQ(look(), 101);
        }
        write_cr3(cr3);
        write_cr4(read_cr4() & ~(CR4_PGE | CR4_PCIDE));
    }
}

static void invpcid_refuses_what_is_reserved(void)
{
    if (!has_pcid())
        return;
    CHECK_EQ(invpcid(4, 0, 0), GP);
    CHECK_EQ(invpcid(BIT(32), 0, 0), GP);
    CHECK_EQ(invpcid(0, BIT(12), 0), GP);
    CHECK_EQ(invpcid(2, BIT(12), 0), GP);
    CHECK_EQ(invpcid(0, 1, 0), GP); /* CR4.PCIDE = 0: only PCID 0 */
    CHECK_EQ(invpcid(1, 1, 0), GP);
    CHECK_EQ(invpcid(0, 0, 0x800000000000), GP);
    CHECK_EQ(invpcid(1, 0, 0x800000000000), NO_TRAP);
    struct invpcid_arg a = {2, 0, 0};
    write_cr4(read_cr4() & ~CR4_SMEP);
    CHECK_EQ(guarded_cpl3(do_invpcid, user_address(&a)), GP);
}

/* ---- crossing pages
 * ------------------------------------------------------------------------------------ */

#define CROSS(name, code)                                                                          \
    static NOINLINE void name(u64 va)                                                              \
    {                                                                                              \
        __asm__ volatile(code : : "r"(va), "S"(va), "D"(va) : "rax", "rcx", "memory");             \
    }
CROSS(store2, "movw $-1, (%0)")
CROSS(store4, "movl $-1, (%0)")
CROSS(store8, "movq $-1, (%0)")
CROSS(store16, "movups %%xmm0, (%0)")
CROSS(add8, "addq $1, (%0)")
CROSS(xchg8, "mov $-1, %%rax; xchg %%rax, (%0)")
CROSS(fxsave_512, "fxsave64 (%0)")
CROSS(fnstenv28, "fnstenv (%0)")
CROSS(sgdt10, "sgdt (%0)")
CROSS(sidt10, "sidt (%0)")
CROSS(load8, "movq (%0), %%rax")

static const struct {
    void (*fn)(u64);
    unsigned size, align;
    bool write;
} crossing[] = {
    {store2, 2, 1, true},        {store4, 4, 1, true},     {store8, 8, 1, true},
    {store16, 16, 1, true},      {add8, 8, 1, true},       {xchg8, 8, 1, true},
    {fxsave_512, 512, 16, true}, {fnstenv28, 28, 1, true}, {sgdt10, 10, 1, true},
    {sidt10, 10, 1, true},       {load8, 8, 1, false},
};

/* The second page faults: CR2 is its first byte, and the first page keeps its bytes. */
static void a_fault_on_the_second_page_commits_nothing(void)
{
    u8 *first = (u8 *)page[0];
    for (unsigned i = 0; i < COUNT(crossing); i++)
        for (unsigned in = crossing[i].align; in < crossing[i].size; in += crossing[i].align) {
            for (unsigned readonly = 0; readonly <= crossing[i].write; readonly++) {
                u64 at = VA + 4096 - in;
                for (unsigned b = 0; b < in; b++)
                    first[4096 - in + b] = 0x5a;
                page_map(VA, page[0] | RW);
                page_map(VA + 4096, readonly ? page[1] | PTE_P : 0);
                context("row %d %d bytes before the edge, read-only %d", i, in, readonly, 0);
                if (CHECK_EQ(guarded(crossing[i].fn, at), PF)) {
                    CHECK_EQ(trap.r.error, (crossing[i].write ? 2 : 0) | readonly);
                    CHECK_EQ(trap.cr2, VA + 4096);
                }
                u64 changed = 0;
                for (unsigned b = 0; b < in; b++)
                    changed += first[4096 - in + b] != 0x5a;
                CHECK_EQ(changed, 0);
            }
        }
}

static void crossing_accesses_reach_both_pages(void)
{
    page_map(VA, page[0] | RW);
    page_map(VA + 4096, page[1] | RW);
    for (unsigned in = 1; in < 8; in++) {
        u64 at = VA + 4096 - in, v = 0x1122334455667788 + in;
        *(volatile u64 *)at = v;
        u64 got = 0;
        for (unsigned b = 0; b < 8; b++)
            got |= (u64)(b < in ? ((u8 *)page[0])[4096 - in + b] : ((u8 *)page[1])[b - in])
                   << (8 * b);
        CHECK_EQ(got, v);
        CHECK_EQ(*(volatile u64 *)at, v);
    }
    *(u64 *)page[1] = 101;
}

static NOINLINE void jump(u64 va)
{
    ((void (*)(void))va)();
}

/* mov $imm32, %eax; ret at every distance from the edge; CR2 is the first byte that is not there.
 */
static void code_that_crosses_faults_at_the_second_page(void)
{
    static const u8 code[] = {0xb8, 1, 2, 3, 4, 0xc3};
    for (unsigned in = 1; in <= 5; in++) {
        copy((void *)(page[0] + 4096 - in), code, in);
        copy((void *)page[1], code + in, 6 - in);
        page_map(VA, page[0] | RW);
        page_map(VA + 4096, 0);
        context("%d bytes before the edge", in, 0, 0, 0);
        if (CHECK_EQ(guarded(jump, VA + 4096 - in), PF)) {
            CHECK_EQ(trap.cr2, VA + 4096);
            CHECK_EQ(trap.r.rip, in == 5 ? VA + 4096 : VA + 4096 - in);
        }
        page_map(VA + 4096, page[1] | RW);
        CHECK_EQ(guarded(jump, VA + 4096 - in), NO_TRAP);
    }
    *(u64 *)page[1] = 101;
}

static NOINLINE void rep_movs(u64 va)
{
    u64 n = 16, from = page[0];
    __asm__ volatile("rep movsb" : "+D"(va), "+S"(from), "+c"(n) : : "memory");
}

static void rep_movs_keeps_what_it_did_before_the_fault(void)
{
    u8 *first = (u8 *)page[0];
    copy(first, "0123456789abcdef", 16);
    page_map(VA, page[0] | RW);
    page_map(VA + 4096, 0);
    if (CHECK_EQ(guarded(rep_movs, VA + 4096 - 6), PF)) {
        CHECK_EQ(trap.r.rcx, 10);
        CHECK_EQ(trap.r.rdi, VA + 4096);
        CHECK_EQ(trap.r.rsi, page[0] + 6);
        CHECK_EQ(trap.cr2, VA + 4096);
    }
    CHECK_EQ(first[4090], '0');
    CHECK_EQ(first[4095], '5');
    *(u64 *)page[0] = 100;
}

int main(void)
{
    make_frames();
    RUN(invlpg_forgets_a_page);
    RUN(invlpg_forgets_a_global_page);
    RUN(invlpg_forgets_the_whole_large_page);
    RUN(invlpg_of_a_non_canonical_address_does_nothing);
    RUN(mov_to_cr3_forgets_what_is_not_global);
    RUN(toggling_pge_forgets_global_pages);
    RUN(without_pge_mov_to_cr3_forgets_pages_with_g);
    RUN(widened_rights_count_without_invlpg);
    RUN(a_new_page_counts_without_invlpg);
    RUN(a_cleared_dirty_bit_is_set_again_after_invlpg);
    RUN(pcid_needs_a_clean_cr3_and_keeps_it_apart);
    RUN(every_type_of_invpcid_forgets);
    RUN(invpcid_refuses_what_is_reserved);
    RUN(a_fault_on_the_second_page_commits_nothing);
    RUN(crossing_accesses_reach_both_pages);
    RUN(code_that_crosses_faults_at_the_second_page);
    RUN(rep_movs_keeps_what_it_did_before_the_fault);
    return 0;
}
