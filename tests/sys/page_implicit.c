/*
 * page_implicit.c: accesses that the processor makes by itself: descriptor tables and TSS are read
 * as the supervisor whatever the CPL, SMAP holds for them whatever EFLAGS.AC, and accessed bits are
 * written there; and the I/O permission bitmap.
 *
 * SDM vol. 3A 4.6.1 (implicit supervisor-mode accesses), 3.4.5.1 (accessed), vol. 1 19.5.2
 * (bitmap).
 */
#include "long.h"

#define VA 0x123440000000ull
#define CODE(name, text)                                                                           \
    static NOINLINE void name(u64 a)                                                               \
    {                                                                                              \
        __asm__ volatile(text : : "D"(a) : "rax", "rcx", "rdx", "memory");                         \
    }
CODE(load_es, "mov %%edi, %%es")
CODE(load_es_ac, "stac; mov %%edi, %%es; clac")
CODE(int_40, "int $0x40")
CODE(in_80, "in $0x80, %%al")
CODE(in_81, "in $0x81, %%al")
CODE(inw_80, "in $0x80, %%ax")
CODE(inw_82, "in $0x82, %%ax")
CODE(in_dx, "mov %%edi, %%edx; in %%dx, %%al")
CODE(inl_dx, "mov %%edi, %%edx; in %%dx, %%eax")

static u64 *ldt; /* a page of its own, mapped at VA */

static void load_ldt(u64 base)
{
    gdt[SPARE_SEL / 8] = 0x0000820000000fff | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[SPARE_SEL / 8 + 1] = base >> 32;
    __asm__ volatile("lldt %w0" : : "r"(SPARE_SEL));
}

static void setup(void)
{
    ldt = page_alloc();
    ldt[1] = 0x00cff2000000ffff; /* data, DPL 3, not accessed */
    page_map(VA, (u64)ldt | PTE_P | PTE_W);
    load_ldt(VA);
}

static void users_load_segments_from_supervisor_pages(void)
{
    ldt[1] &= ~BIT(40);
    CHECK_EQ(guarded_cpl3(load_es, 8 | 7), NO_TRAP);
    CHECK_EQ(ldt[1] >> 40 & 1, 1); /* accessed, written at CPL 3 into a supervisor's page */
    CHECK(*page_entry(VA, 1) & PTE_D);
}

static void a_fault_in_a_table_is_the_supervisors(void)
{
    page_map(VA, 0);
    if (CHECK_EQ(guarded_cpl3(load_es, 8 | 7), PF)) {
        CHECK_EQ(trap.r.error, 0);
        CHECK_EQ(trap.cr2, VA + 8);
    }
    page_map(VA, (u64)ldt | PTE_P); /* read-only: the accessed bit cannot be set */
    ldt[1] &= ~BIT(40);
    if (CHECK_EQ(guarded_cpl3(load_es, 8 | 7), PF))
        CHECK_EQ(trap.r.error, 3);
    ldt[1] |= BIT(40); /* nothing to write: no fault */
    CHECK_EQ(guarded_cpl3(load_es, 8 | 7), NO_TRAP);
    page_map(VA, (u64)ldt | PTE_P | PTE_W);
}

static void smap_holds_for_tables_even_with_ac(void)
{
    if (!(cpuid(0, 0).a >= 7 && cpuid(7, 0).b >> 20 & 1)) {
        test_skip("no SMAP");
        return;
    }
    page_map(VA, (u64)ldt | PTE_P | PTE_W | PTE_U);
    CHECK_EQ(guarded(load_es, 8 | 7), NO_TRAP);
    write_cr4(read_cr4() | CR4_SMAP);
    CHECK_EQ(guarded(load_es, 8 | 7), PF);
    CHECK_EQ(trap.r.error, 1);
    CHECK_EQ(guarded(load_es_ac, 8 | 7), PF);
    CHECK_EQ(guarded_cpl3(load_es, 8 | 7), PF);
    CHECK_EQ(trap.r.error, 1); /* not a user's access */
    CHECK_EQ(trap.r.cs, UCS);
    write_cr4(read_cr4() & ~CR4_SMAP);
    page_map(VA, (u64)ldt | PTE_P | PTE_W);
}

/* The table of gates moved to a page that is taken away but for the gates of #PF and #DF. */
static void a_fault_at_a_gate_is_reported_for_the_table(void)
{
    struct gate *table = (struct gate *)page_alloc();
    copy(table, idt, sizeof idt);
    u64 base = VA + 0x3000 - 0x400; /* vectors below 64 on the page before */
    for (unsigned i = 0; i < 2; i++)
        page_map(VA + 0x2000 + i * 0x1000, (u64)page_alloc() | PTE_P | PTE_W);
    copy((void *)base, idt, sizeof idt - 0x100);
    idt_load(base, 0xeff);
    page_map(VA + 0x3000, 0);
    if (CHECK_EQ(guarded(int_40, 0), PF)) {
        CHECK_EQ(trap.r.error, 0);
        CHECK_EQ(trap.cr2, VA + 0x3000);
    }
    idt_load((u64)idt, 0xfff);
}

/* ---- the bitmap
 * --------------------------------------------------------------------------------------------- */

#define BITMAP 104

static void the_io_bitmap_decides_for_users(void)
{
    for (unsigned i = BITMAP; i < sizeof tss_area; i++)
        tss_area[i] = 0xff;
    *(u16 *)(tss_area + 102) = BITMAP;
    CHECK_EQ(guarded_cpl3(in_80, 0), GP);
    CHECK_EQ(trap.r.error, 0);
    tss_area[BITMAP + 0x80 / 8] = 0xf2; /* 80h, 82h, 83h */
    CHECK_EQ(guarded_cpl3(in_80, 0), NO_TRAP);
    CHECK_EQ(guarded_cpl3(in_81, 0), GP);
    CHECK_EQ(guarded_cpl3(inw_80, 0), GP); /* every port of the access */
    CHECK_EQ(guarded_cpl3(inw_82, 0), NO_TRAP);
    tss_area[BITMAP + 0x80 / 8] = 0x7f;
    tss_area[BITMAP + 0x88 / 8] = 0xf8;
    CHECK_EQ(guarded_cpl3(inl_dx, 0x87), NO_TRAP); /* over two bytes of the map */
    tss_area[BITMAP + 0x88 / 8] = 0xfc;
    CHECK_EQ(guarded_cpl3(inl_dx, 0x87), GP);
    /* Two bytes are always read, and both must lie within the limit. */
    tss_area[sizeof tss_area - 2] = 0;
    tss_area[sizeof tss_area - 1] = 0;
    unsigned last = (sizeof tss_area - BITMAP - 1) * 8;
    CHECK_EQ(guarded_cpl3(in_dx, last - 1), NO_TRAP);
    CHECK_EQ(guarded_cpl3(in_dx, last), GP);
    CHECK_EQ(guarded_cpl3(in_dx, 0xffff), GP);
    CHECK_EQ(guarded(in_81, 0), NO_TRAP);
    CHECK_EQ(guarded_user(user_address((void *)(u64)in_81), 0, UCS, 0x3002), NO_TRAP); /* IOPL 3 */
    *(u16 *)(tss_area + 102) = sizeof tss_area;
    CHECK_EQ(guarded_cpl3(in_80, 0), GP);
}

int main(void)
{
    setup();
    RUN(users_load_segments_from_supervisor_pages);
    RUN(a_fault_in_a_table_is_the_supervisors);
    RUN(smap_holds_for_tables_even_with_ac);
    RUN(a_fault_at_a_gate_is_reported_for_the_table);
    RUN(the_io_bitmap_decides_for_users);
    return 0;
}
