/*
 * avx_state.c: AVX as system software sees it: what switches it on, XSAVE's image, alignment, #XM,
 * and faults in the middle of gathers and masked moves. Run with -cpu x86-64-v3.
 *
 * SDM vol. 1 13 (XSAVE), 14.3 (detection), 14.9 (alignment); vol. 2A 2.3 and 2.4 (VEX, #UD),
 * VGATHERDPS, VMASKMOV.
 */
#include "long.h"

#define CODE(name, text)                                                                           \
    static NOINLINE void name(u64 a)                                                               \
    {                                                                                              \
        __asm__ volatile(text : : "D"(a) : "rax", "rcx", "rdx", "memory");                         \
    }
CODE(vaddps_, "vaddps %%ymm1, %%ymm2, %%ymm0")
CODE(vaddps_xmm, "vaddps %%xmm1, %%xmm2, %%xmm0")
CODE(vstmxcsr_, "vstmxcsr (%%rdi)")
CODE(andn_, "andn %%eax, %%ecx, %%edx")
CODE(addps_, "addps %%xmm1, %%xmm0")
CODE(xsetbv_, "mov %%rdi, %%rax; xor %%edx, %%edx; xor %%ecx, %%ecx; xsetbv")
CODE(xsetbv_1, "mov %%rdi, %%rax; xor %%edx, %%edx; mov $1, %%ecx; xsetbv")
CODE(xsave_7, "mov $7, %%eax; xor %%edx, %%edx; xsave64 (%%rdi)")
CODE(xsaveopt_7, "mov $7, %%eax; xor %%edx, %%edx; xsaveopt64 (%%rdi)")
CODE(xrstor_7, "mov $7, %%eax; xor %%edx, %%edx; xrstor64 (%%rdi)")
CODE(xrstor_3, "mov $3, %%eax; xor %%edx, %%edx; xrstor64 (%%rdi)")

static u8 image[1024] __attribute__((aligned(64)));

#define XSTATE_BV (*(u64 *)(image + 512))
#define UPPER(n) ((u64 *)(image + 576 + 16 * (n)))

static const u64 pattern[4] = {0x1122334455667788, 0x99aabbccddeeff00, 0x0102030405060708,
                               0x1112131415161718};

static void set_xcr0(u64 v)
{
    CHECK_EQ(guarded(xsetbv_, v), NO_TRAP);
}

/* ---- what switches it on --------------------------------------------------------------------- */

static void leaf_0dh_has_the_layout(void)
{
    CHECK(cpuid(1, 0).c >> 28 & 1); /* else the test runs with the wrong model */
    set_xcr0(3);
    CHECK_EQ(cpuid(13, 0).a, 7);
    CHECK_EQ(cpuid(13, 0).b, 576);
    CHECK_EQ(cpuid(13, 0).c, 832);
    set_xcr0(7);
    CHECK_EQ(cpuid(13, 0).b, 832);
    CHECK_EQ(cpuid(13, 2).a, 256);
    CHECK_EQ(cpuid(13, 2).b, 576);
    CHECK_EQ(cpuid(13, 3).a, 0);
}

static void xcr0_takes_its_legal_combinations(void)
{
    static const u8 legal[] = {1, 3, 7};
    for (unsigned v = 0; v < 16; v++) {
        bool ok = false;
        for (unsigned i = 0; i < COUNT(legal); i++)
            ok |= v == legal[i];
        context("value %d", v, 0, 0, 0);
        CHECK_EQ(guarded(xsetbv_, v), ok ? NO_TRAP : GP);
    }
    CHECK_EQ(guarded(xsetbv_1, 7), GP);
    set_xcr0(7);
}

static void osxsave_xcr0_and_ts_are_the_gates(void)
{
    static u32 word;
    u64 cr0 = read_cr0(), cr4 = read_cr4();
    for (unsigned v = 1; v < 8; v = 2 * v + 1) {
        u64 want = v == 7 ? NO_TRAP : UD;
        context("XCR0 %d", v, 0, 0, 0);
        set_xcr0(v);
        CHECK_EQ(guarded(vaddps_, 0), want);
        CHECK_EQ(guarded(vaddps_xmm, 0), want);
        CHECK_EQ(guarded(vstmxcsr_, (u64)&word), want);
        CHECK_EQ(guarded(andn_, 0), NO_TRAP); /* general registers */
        CHECK_EQ(guarded(addps_, 0), NO_TRAP);
        write_cr0(cr0 | CR0_TS);
        CHECK_EQ(guarded(vaddps_, 0), v == 7 ? NM : UD);
        CHECK_EQ(guarded(andn_, 0), NO_TRAP);
        write_cr0(cr0);
    }
    write_cr4(cr4 & ~CR4_OSXSAVE);
    CHECK_EQ(guarded(vaddps_, 0), UD);
    CHECK_EQ(guarded(andn_, 0), NO_TRAP);
    write_cr4(cr4 & ~CR4_OSFXSR); /* counts for legacy SSE only, and so does EM */
    write_cr0(cr0 | CR0_EM);
    CHECK_EQ(guarded(vaddps_, 0), NO_TRAP);
    CHECK_EQ(guarded(addps_, 0), UD);
    write_cr0(cr0);
    write_cr4(cr4);
    CHECK_EQ(guarded(vaddps_, 0), NO_TRAP);
}

CODE(lock_, ".byte 0xf0; vaddps %%xmm1, %%xmm2, %%xmm0")
CODE(opsize_, ".byte 0x66; vaddps %%xmm1, %%xmm2, %%xmm0")
CODE(repne_, ".byte 0xf2; vaddps %%xmm1, %%xmm2, %%xmm0")
CODE(rep_, ".byte 0xf3; vaddps %%xmm1, %%xmm2, %%xmm0")
CODE(rex_, ".byte 0x40; vaddps %%xmm1, %%xmm2, %%xmm0")
CODE(vvvv_, ".byte 0xc5, 0xf0, 0x28, 0xc1")                     /* VMOVAPS with vvvv */
CODE(long_movd, ".byte 0xc5, 0xfd, 0x6e, 0xc0")                 /* VMOVD with L */
CODE(short_extract, ".byte 0xc4, 0xe3, 0x79, 0x19, 0xc1, 0x01") /* VEXTRACTF128 without L */
CODE(wide_broadcast, ".byte 0xc4, 0xe2, 0xf9, 0x18, 0x07")      /* VBROADCASTSS with W */
CODE(gather_twice, "vpgatherdd %%xmm1, (%%rdi,%%xmm1), %%xmm0")
CODE(gather_same, "vpgatherdd %%xmm0, (%%rdi,%%xmm1), %%xmm0")
CODE(gather_onto, "vpgatherdd %%xmm2, (%%rdi,%%xmm1), %%xmm1")

static void wrong_encodings_are_ud(void)
{
    static void (*const rows[])(u64) = {lock_,          opsize_,      repne_,      rep_,
                                        rex_,           vvvv_,        long_movd,   short_extract,
                                        wide_broadcast, gather_twice, gather_same, gather_onto};
    for (unsigned i = 0; i < COUNT(rows); i++) {
        context("row %d", i, 0, 0, 0);
        CHECK_EQ(guarded(rows[i], (u64)image), UD);
    }
}

/* ---- alignment and exceptions ---------------------------------------------------------------- */

CODE(vmovaps_load, "vmovaps (%%rdi), %%ymm0")
CODE(vmovaps_store, "vmovaps %%ymm0, (%%rdi)")
CODE(vmovaps_xmm, "vmovaps (%%rdi), %%xmm0")
CODE(vmovntps_, "vmovntps %%ymm0, (%%rdi)")
CODE(vmovups_load, "vmovups (%%rdi), %%ymm0")
CODE(vmovdqu_store, "vmovdqu %%ymm0, (%%rdi)")
CODE(vpaddd_, "vpaddd (%%rdi), %%ymm1, %%ymm0")
CODE(paddd_, "paddd (%%rdi), %%xmm0")

static void only_the_aligned_moves_ask_for_alignment(void)
{
    static const struct {
        void (*fn)(u64);
        u8 align;
    } rows[] = {{vmovaps_load, 32}, {vmovaps_store, 32}, {vmovaps_xmm, 16}, {vmovntps_, 32},
                {vmovups_load, 1},  {vmovdqu_store, 1},  {vpaddd_, 1},      {paddd_, 16}};
    for (unsigned i = 0; i < COUNT(rows); i++)
        for (unsigned at = 64; at < 100; at++) {
            context("row %d at %d", i, at, 0, 0);
            CHECK_EQ(guarded(rows[i].fn, (u64)image + at), at % rows[i].align ? GP : NO_TRAP);
        }
}

CODE(vdivps_, "vmovups (%%rdi), %%ymm1; vmovups 32(%%rdi), %%ymm2; vdivps %%ymm2, %%ymm1, %%ymm1")

static void xm_in_the_upper_lane_writes_nothing(void)
{
    static u32 operands[16], got[8], mxcsr = 0x1d80; /* division by zero is unmasked */
    for (unsigned i = 0; i < 8; i++) {
        operands[i] = 0x3f800000 + i;
        operands[8 + i] = i == 6 ? 0 : 0x40000000;
    }
    __asm__ volatile("vldmxcsr %0" : : "m"(mxcsr));
    CHECK_EQ(guarded(vdivps_, (u64)operands), XM);
    __asm__ volatile("vmovups %%ymm1, %0; vstmxcsr %1" : "=m"(got), "=m"(mxcsr));
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(got[i], operands[i]);
    CHECK_EQ(mxcsr, 0x1d84);
    mxcsr = 0x1f80;
    __asm__ volatile("vldmxcsr %0" : : "m"(mxcsr));
    CHECK_EQ(guarded(vdivps_, (u64)operands), NO_TRAP);
    __asm__ volatile("vmovups %%ymm1, %0" : "=m"(got));
    CHECK_EQ(got[6], 0x7f800000);
}

/* ---- XSAVE ----------------------------------------------------------------------------------- */

static void load_patterns(void)
{
    __asm__ volatile("vmovups %0, %%ymm3; vmovups %0, %%ymm15" : : "m"(pattern));
}

static void clear_image(void)
{
    for (unsigned i = 0; i < sizeof image; i++)
        image[i] = i < 512 || i >= 576 ? 0xa5 : 0;
}

static void xsave_stores_the_upper_halves(void)
{
    clear_image();
    load_patterns();
    xsave_7((u64)image);
    CHECK_EQ(XSTATE_BV & 6, 6);
    CHECK_EQ(*(u64 *)(image + 160 + 15 * 16), pattern[0]);
    CHECK_EQ(UPPER(3)[0], pattern[2]);
    CHECK_EQ(UPPER(15)[1], pattern[3]);
    CHECK_EQ(image[832], 0xa5);
    __asm__ volatile("vzeroupper");
    clear_image();
    xsave_7((u64)image);
    CHECK_EQ(XSTATE_BV & 6, 2); /* initial, but stored */
    CHECK_EQ(UPPER(3)[0], 0);
    clear_image();
    xsaveopt_7((u64)image);
    CHECK_EQ(XSTATE_BV & 6, 2);
    CHECK_EQ(UPPER(3)[0], 0xa5a5a5a5a5a5a5a5); /* not even stored */
}

static void xrstor_loads_clears_or_keeps_the_upper_halves(void)
{
    static u64 got[4];
    clear_image();
    load_patterns();
    xsave_7((u64)image);
    __asm__ volatile("vzeroall");
    xrstor_3((u64)image); /* not asked for */
    __asm__ volatile("vmovups %%ymm15, %0" : "=m"(got));
    CHECK_EQ(got[0], pattern[0]);
    CHECK_EQ(got[2], 0);
    xrstor_7((u64)image);
    __asm__ volatile("vmovups %%ymm15, %0" : "=m"(got));
    CHECK_EQ(got[1], pattern[1]);
    CHECK_EQ(got[2], pattern[2]);
    CHECK_EQ(got[3], pattern[3]);
    XSTATE_BV &= ~4ull; /* initial */
    xrstor_7((u64)image);
    __asm__ volatile("vmovups %%ymm15, %0" : "=m"(got));
    CHECK_EQ(got[0], pattern[0]);
    CHECK_EQ(got[3], 0);
    set_xcr0(3); /* a component that XCR0 does not have */
    XSTATE_BV |= 4;
    CHECK_EQ(guarded(xrstor_7, (u64)image), GP);
    set_xcr0(7);
}

static void legacy_sse_keeps_what_vex_zeroes(void)
{
    static u64 got[4];
    load_patterns();
    __asm__ volatile("paddb %%xmm3, %%xmm3; vmovups %%ymm3, %0" : "=m"(got));
    CHECK_EQ(got[2], pattern[2]);
    CHECK_EQ(got[3], pattern[3]);
    __asm__ volatile("vpaddb %%xmm15, %%xmm15, %%xmm15; vmovups %%ymm15, %0" : "=m"(got));
    CHECK_EQ(got[1], (pattern[1] & 0x7f7f7f7f7f7f7f7f) << 1);
    CHECK_EQ(got[2], 0);
    CHECK_EQ(got[3], 0);
}

/* ---- faults in the middle -------------------------------------------------------------------- */

#define VA 0x500000000ull /* two pages; the second comes and goes */

static u8 *pages[2];

static void map_both(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (!pages[i])
            pages[i] = page_alloc();
        page_map(VA + 4096 * i, (u64)pages[i] | PTE_P | PTE_W);
    }
    for (unsigned i = 0; i < 1024; i++) {
        ((u32 *)pages[0])[i] = 0x10000 + i;
        ((u32 *)pages[1])[i] = 0x20000 + i;
    }
}

static void unmap_second(void)
{
    *page_entry(VA + 4096, 1) = 0;
    invlpg(VA + 4096);
}

static u32 indices[8], masks[8], values[8];

/* ymm1 = values, ymm2 = indices, ymm3 = masks */
static void load_gather(void)
{
    __asm__ volatile("vmovups %0, %%ymm1; vmovups %1, %%ymm2; vmovups %2, %%ymm3"
                     :
                     : "m"(values), "m"(indices), "m"(masks));
}

static void store_gather(void)
{
    __asm__ volatile("vmovups %%ymm1, %0; vmovups %%ymm3, %1" : "=m"(values), "=m"(masks));
}

CODE(gather_, "vpgatherdd %%ymm3, (%%rdi,%%ymm2,4), %%ymm1")

static void a_gather_stops_at_a_fault_and_goes_on(void)
{
    map_both();
    unmap_second();
    for (unsigned i = 0; i < 8; i++) {
        indices[i] = i == 5 || i == 2 ? 1024 + i : 1000 + i; /* the second page */
        masks[i] = i == 2 ? 0x7fffffff : 0x80000000;         /* element 2 is left out */
        values[i] = i;
    }
    load_gather();
    CHECK_EQ(guarded(gather_, VA), PF);
    CHECK_EQ(trap.cr2, VA + 4 * 1029);
    store_gather();
    for (unsigned i = 0; i < 8; i++) {
        context("element %d", i, 0, 0, 0);
        CHECK_EQ(values[i], i < 5 && i != 2 ? 0x10000 + 1000 + i : i);
        CHECK_EQ(masks[i] >> 31, i >= 5);
    }
    map_both();
    load_gather();
    CHECK_EQ(guarded(gather_, VA), NO_TRAP);
    store_gather();
    for (unsigned i = 0; i < 8; i++) {
        context("element %d", i, 0, 0, 0);
        CHECK_EQ(values[i], i == 2 ? 2 : i == 5 ? 0x20005 : 0x10000 + 1000 + i);
        CHECK_EQ(masks[i], 0);
    }
}

CODE(maskmov_load, "vpmaskmovd (%%rdi), %%ymm3, %%ymm1")
CODE(maskmov_store, "vpmaskmovd %%ymm1, %%ymm3, (%%rdi)")

/* The operand has four elements on each page. */
static void masked_moves_fault_for_their_elements_only(void)
{
    u64 at = VA + 4096 - 16;
    map_both();
    unmap_second();
    for (unsigned last = 3; last < 8; last++) {
        context("elements up to %d", last, 0, 0, 0);
        for (unsigned i = 0; i < 8; i++) {
            masks[i] = i <= last && i != 1 ? 0xffffffff : 0x7fffffff;
            values[i] = 7 * i;
        }
        load_gather();
        CHECK_EQ(guarded(maskmov_store, at), last > 3 ? PF : NO_TRAP);
        if (last > 3)
            CHECK_EQ(trap.cr2, VA + 4096);
        for (unsigned i = 0; i < 4; i++)
            CHECK_EQ(((u32 *)pages[0])[1020 + i],
                     last == 3 && i != 1 ? 7 * i : 0x10000 + 1020 + i); /* all or nothing */
        map_both();
        unmap_second();
        CHECK_EQ(guarded(maskmov_load, at), last > 3 ? PF : NO_TRAP);
        store_gather();
        for (unsigned i = 0; i < 8; i++)
            CHECK_EQ(values[i], last > 3 ? 7 * i : i < 4 && i != 1 ? 0x10000 + 1020 + i : 0);
    }
    map_both();
    load_gather();
    CHECK_EQ(guarded(maskmov_load, at), NO_TRAP);
    store_gather();
    CHECK_EQ(values[7], 0x20003);
}

int main(void)
{
    write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR | BIT(10));
    RUN(leaf_0dh_has_the_layout);
    RUN(xcr0_takes_its_legal_combinations);
    RUN(osxsave_xcr0_and_ts_are_the_gates);
    RUN(wrong_encodings_are_ud);
    RUN(only_the_aligned_moves_ask_for_alignment);
    RUN(xm_in_the_upper_lane_writes_nothing);
    RUN(xsave_stores_the_upper_halves);
    RUN(xrstor_loads_clears_or_keeps_the_upper_halves);
    RUN(legacy_sse_keeps_what_vex_zeroes);
    RUN(a_gather_stops_at_a_fault_and_goes_on);
    RUN(masked_moves_fault_for_their_elements_only);
    return 0;
}
