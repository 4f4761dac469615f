/*
 * long_fpu.c: x87, MMX and SSE as system software sees them: #NM, #UD and #MF gates, FERR# by IRQ
 * 13, #XM and MXCSR, the images of FXSAVE and XSAVE; and #AC.
 *
 * SDM vol. 1 8.7, 10.5, 13.4 to 13.9, vol. 3A 2.5, 6.15 (#AC: table 6-7), 13; APM vol. 2 8.2.17.
 */
#include "long.h"

#define CODE(name, text)                                                                           \
    static NOINLINE void name(u64 a)                                                               \
    {                                                                                              \
        __asm__ volatile(text : : "D"(a) : "rax", "rcx", "rdx", "memory");                         \
    }
CODE(fnop_, "fnop")
CODE(fwait_, "fwait")
CODE(fninit_, "fninit")
CODE(fld1_, "fld1")
CODE(fnstsw_, "fnstsw %%ax")
CODE(emms_, "emms")
CODE(movq_, "movq %%mm0, %%mm1")
CODE(movaps_, "movaps %%xmm0, %%xmm1")
CODE(movdqa_, "movdqa %%xmm0, %%xmm1")
CODE(ldmxcsr_, "ldmxcsr (%%rdi)")
CODE(fxsave_, "fxsave64 (%%rdi)")
CODE(fxrstor_, "fxrstor64 (%%rdi)")
CODE(xsave_, "mov $3, %%eax; xor %%edx, %%edx; xsave64 (%%rdi)")
CODE(xrstor_, "mov $3, %%eax; xor %%edx, %%edx; xrstor64 (%%rdi)")
CODE(sfence_, "sfence")

static u8 image[1024] __attribute__((aligned(64)));

static void set_cr0(u64 clear, u64 set)
{
    write_cr0((read_cr0() & ~clear) | set);
}

static void em_and_ts_gate_as_the_table_says(void)
{
    /* by EM, TS, MP: SDM vol. 3A table 2-2 */
    static const struct {
        void (*fn)(u64);
        u8 em, ts, ts_mp;
    } rows[] = {
        {fnop_, NM, NM, NM},         {fld1_, NM, NM, NM},   {fwait_, 0xff, 0xff, NM},
        {fninit_, NM, NM, NM},       {fnstsw_, NM, NM, NM}, {emms_, UD, NM, NM},
        {movq_, UD, NM, NM},         {movaps_, UD, NM, NM}, {movdqa_, UD, NM, NM},
        {sfence_, 0xff, 0xff, 0xff}, {fxsave_, NM, NM, NM}, {fxrstor_, NM, NM, NM},
    };
    fninit_(0);
    fxsave_((u64)image);
    for (unsigned i = 0; i < COUNT(rows); i++)
        for (unsigned c = 0; c < 4; c++) {
            u64 want = c & 1 ? rows[i].em : c == 0 ? 0xff : rows[i].ts;
            set_cr0(CR0_EM | CR0_TS | CR0_MP, (c & 1 ? CR0_EM : 0) | (c & 2 ? CR0_TS : 0));
            context("row %d EM %d TS %d", i, c & 1, c >> 1, 0);
            CHECK_EQ(guarded(rows[i].fn, (u64)image), want == 0xff ? NO_TRAP : want);
        }
    for (unsigned i = 0; i < COUNT(rows); i++) {
        set_cr0(CR0_EM, CR0_TS | CR0_MP);
        context("row %d TS MP", i, 0, 0, 0);
        CHECK_EQ(guarded(rows[i].fn, (u64)image), rows[i].ts_mp == 0xff ? NO_TRAP : rows[i].ts_mp);
    }
    set_cr0(CR0_TS | CR0_EM, CR0_MP);
    __asm__ volatile("emms");
}

static void sse_needs_osfxsr(void)
{
    write_cr4(read_cr4() & ~CR4_OSFXSR);
    CHECK_EQ(guarded(movaps_, 0), UD);
    CHECK_EQ(guarded(movdqa_, 0), UD);
    CHECK_EQ(guarded(ldmxcsr_, (u64)image), UD);
    CHECK_EQ(guarded(movq_, 0), NO_TRAP);
    CHECK_EQ(guarded(fxsave_, (u64)image), NO_TRAP);
    write_cr4(read_cr4() | CR4_OSFXSR);
}

/* ---- x87 exceptions
 * ----------------------------------------------------------------------------------- */

static void unmask_x87(void)
{
    static u16 cw = 0x0340;
    __asm__ volatile("fninit; fldcw %0" : : "m"(cw));
}

static void mf_comes_with_the_next_waiting_instruction(void)
{
    unmask_x87();
    __asm__ volatile("fld1; fldz; fdivrp");
    CHECK_EQ(guarded(fnstsw_, 0), NO_TRAP); /* does not wait */
    CHECK_EQ(guarded(fwait_, 0), MF);
    CHECK_EQ(guarded(fld1_, 0), MF); /* stays pending */
    CHECK_EQ(guarded(movq_, 0), MF);
    CHECK_EQ(guarded(movaps_, 0), NO_TRAP);
    __asm__ volatile("fnclex");
    CHECK_EQ(guarded(fwait_, 0), NO_TRAP);
    __asm__ volatile("fninit");
}

static unsigned irq13;
static void on_irq13(struct regs *r)
{
    (void)r;
    irq13++;
    outb(0xf0, 0); /* clears FERR# */
    __asm__ volatile("fnclex");
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

static void pic_init(void)
{
    static const u8 master[] = {0x11, 0x20, 4, 1}, slave[] = {0x11, 0x28, 2, 1};
    outb(0x20, master[0]);
    outb(0xa0, slave[0]);
    for (unsigned i = 1; i < 4; i++) {
        outb(0x21, master[i]);
        outb(0xa1, slave[i]);
    }
    outb(0x21, 0xfb);
    outb(0xa1, 0xdf); /* only IRQ 13 */
}

static void without_ne_ferr_raises_irq_13(void)
{
    pic_init();
    handlers[0x2d] = on_irq13;
    set_cr0(CR0_NE, 0);
    unmask_x87();
    irq13 = 0;
    sti();
    __asm__ volatile("fld1; fldz; fdivrp");
    for (unsigned i = 0; i < 1000 && !irq13; i++)
        __asm__ volatile("pause");
    cli();
    CHECK_EQ(irq13, 1);
    CHECK_EQ(guarded(fld1_, 0), NO_TRAP); /* no #MF */
    set_cr0(0, CR0_NE);
    __asm__ volatile("fninit");
    handlers[0x2d] = NULL;
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

/* ---- SSE exceptions
 * -------------------------------------------------------------------------------------- */

static void load_mxcsr(u32 v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
}
static u32 store_mxcsr(void)
{
    u32 v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}
static NOINLINE void div_by_0(u64 a)
{
    static const float one = 1, zero = 0;
    (void)a;
    __asm__ volatile("movss %0, %%xmm0; divss %1, %%xmm0" : : "m"(one), "m"(zero));
}

static void xm_or_ud_by_osxmmexcpt(void)
{
    load_mxcsr(0x1f80);
    CHECK_EQ(guarded(div_by_0, 0), NO_TRAP);
    CHECK_EQ(store_mxcsr(), 0x1f84);
    load_mxcsr(0x1d80);
    CHECK_EQ(guarded(div_by_0, 0), XM);
    CHECK_EQ(store_mxcsr(), 0x1d84);
    write_cr4(read_cr4() & ~BIT(10));
    CHECK_EQ(guarded(div_by_0, 0), UD);
    write_cr4(read_cr4() | BIT(10));
    load_mxcsr(0x1f80);
}

static void mxcsr_refuses_reserved_bits(void)
{
    static u32 v;
    fxsave_((u64)image);
    u32 mask = *(u32 *)(image + 28);
    CHECK_EQ(mask & 0xffbf, 0xffbf);
    for (unsigned b = 0; b < 32; b++) {
        v = 0x1f80 | 1u << b;
        context("bit %d", b, 0, 0, 0);
        CHECK_EQ(guarded(ldmxcsr_, (u64)&v), mask >> b & 1 ? NO_TRAP : GP);
    }
    load_mxcsr(0x1f80);
    *(u32 *)(image + 24) = BIT(16);
    CHECK_EQ(guarded(fxrstor_, (u64)image), GP);
    CHECK_EQ(store_mxcsr(), 0x1f80);
}

/* ---- images
 * ------------------------------------------------------------------------------------------------
 */

static void fxsave_has_its_layout(void)
{
    static const u64 pattern[2] = {0x1122334455667788, 0x99aabbccddeeff00};
    for (unsigned i = 0; i < 512; i++)
        image[i] = 0xa5;
    __asm__ volatile("fninit; fld1; fldz; movups %0, %%xmm0; movups %0, %%xmm15" : : "m"(pattern));
    fxsave_((u64)image);
    CHECK_EQ(*(u16 *)image, 0x37f);
    CHECK_EQ(*(u16 *)(image + 2) >> 11 & 7, 6);
    CHECK_EQ(image[4], 0xc0); /* abridged tags: R6 and R7 are in use */
    CHECK_EQ(*(u32 *)(image + 24), 0x1f80);
    CHECK_EQ(*(u64 *)(image + 32), 0); /* ST0 = 0 */
    CHECK_EQ(*(u64 *)(image + 48), 0x8000000000000000);
    CHECK_EQ(*(u16 *)(image + 56), 0x3fff);
    CHECK_EQ(*(u64 *)(image + 160), pattern[0]);
    CHECK_EQ(*(u64 *)(image + 160 + 15 * 16 + 8), pattern[1]);
    CHECK_EQ(image[511], 0xa5); /* the end belongs to software */
    __asm__ volatile("fninit; xorps %xmm0, %xmm0; xorps %xmm15, %xmm15");
    fxrstor_((u64)image);
    static u64 got[2];
    __asm__ volatile("movups %%xmm15, %0; fstp %%st(0); fstp %%st(0)" : "=m"(got));
    CHECK_EQ(got[0], pattern[0]);
    CHECK_EQ(guarded(fxsave_, (u64)image + 8), GP);
    CHECK_EQ(guarded(fxrstor_, (u64)image + 8), GP);
    __asm__ volatile("fninit");
}

static bool has_xsave(void)
{
    if (cpuid(1, 0).c >> 26 & 1)
        return true;
    test_skip("no XSAVE");
    return false;
}

static void xsave_and_xrstor_follow_their_header(void)
{
    u64 *header = (u64 *)(image + 512);
    if (!has_xsave())
        return;
    CHECK_EQ(guarded(xsave_, (u64)image), UD); /* OSXSAVE = 0 */
    write_cr4(read_cr4() | CR4_OSXSAVE);
    __asm__ volatile("xor %%ecx, %%ecx; mov $3, %%eax; xor %%edx, %%edx; xsetbv"
                     :
                     :
                     : "rax", "rcx", "rdx");
    for (unsigned i = 0; i < sizeof image; i++)
        image[i] = 0;
    header[1] = 0;
    __asm__ volatile("fninit; fld1; fldpi; xorps %xmm3, %xmm3; cmpeqps %xmm3, %xmm3");
    xsave_((u64)image);
    CHECK_EQ(header[0] & 3, 3);
    __asm__ volatile("fninit; xorps %xmm3, %xmm3");
    xrstor_((u64)image);
    static u64 got[2];
    __asm__ volatile("movups %%xmm3, %0" : "=m"(got));
    CHECK_EQ(got[0], ~0ull);
    /* A clear bit in XSTATE_BV means the initial state. */
    header[0] = 1;
    xrstor_((u64)image);
    __asm__ volatile("movups %%xmm3, %0" : "=m"(got));
    CHECK_EQ(got[0], 0);
    header[0] = 2;
    xrstor_((u64)image);
    u16 sw;
    __asm__ volatile("fnstsw %0" : "=m"(sw));
    CHECK_EQ(sw, 0);
    header[0] = BIT(62);
    CHECK_EQ(guarded(xrstor_, (u64)image), GP);
    header[0] = 3;
    header[1] = 1;
    CHECK_EQ(guarded(xrstor_, (u64)image), GP);
    header[1] = 0;
    header[2] = 1;
    CHECK_EQ(guarded(xrstor_, (u64)image), GP);
    header[2] = 0;
    CHECK_EQ(guarded(xrstor_, (u64)image + 16), GP);
    CHECK_EQ(guarded(xsave_, (u64)image + 32), GP);
    set_cr0(0, CR0_TS);
    CHECK_EQ(guarded(xsave_, (u64)image), NM);
    set_cr0(CR0_TS, 0);
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
    __asm__ volatile("fninit");
}

/* ---- #AC
 * ------------------------------------------------------------------------------------------------------
 */

CODE(load2, "mov (%%rdi), %%ax")
CODE(load4, "mov (%%rdi), %%eax")
CODE(load8, "mov (%%rdi), %%rax")
CODE(store4, "mov %%eax, (%%rdi)")
CODE(load1, "mov (%%rdi), %%al")
CODE(far48, "xor %%eax, %%eax; mov %%eax, (%%rdi); mov %%ax, 4(%%rdi); lfsl (%%rdi), %%eax")
CODE(fld4, "flds (%%rdi); fstp %%st(0)")
CODE(fld8, "fldl (%%rdi); fstp %%st(0)")
CODE(fld10, "fldt (%%rdi); fstp %%st(0)")
CODE(fstenv_, "fnstenv (%%rdi)")
CODE(cmpxchg8, "lock cmpxchg8b (%%rdi)")
CODE(push8, "mov %%rsp, %%rcx; mov %%rdi, %%rsp; push %%rax; mov %%rcx, %%rsp")

static void unaligned_accesses_of_users_are_ac(void)
{
    static u8 area[128] __attribute__((aligned(64)));
    static const struct {
        void (*fn)(u64);
        u8 align;
    } rows[] = {{load1, 1}, {load2, 2}, {load4, 4}, {load8, 8},   {store4, 4},   {far48, 4},
                {fld4, 4},  {fld8, 8},  {fld10, 8}, {fstenv_, 4}, {cmpxchg8, 8}, {push8, 8}};
    __asm__ volatile("fninit");
    for (unsigned on = 0; on < 4; on++) { /* AM, AC */
        set_cr0(CR0_AM, on & 1 ? CR0_AM : 0);
        for (unsigned i = 0; i < COUNT(rows); i++)
            for (unsigned at = 16; at < 25; at++) {
                u64 fn = user_address((void *)(u64)rows[i].fn);
                bool want = on == 3 && at % rows[i].align;
                context("row %d at %d AM %d AC %d", i, at, on & 1, on >> 1);
                u64 v = guarded_user(fn, user_address(area + at), UCS, on & 2 ? FLAG_AC | 2 : 2);
                if (CHECK_EQ(v, want ? AC : NO_TRAP) && want)
                    CHECK_EQ(trap.r.error, 0);
            }
    }
    __asm__ volatile("pushfq; orl $0x40000, (%%rsp); popfq" : : : "memory");
    CHECK_EQ(guarded(load4, (u64)area + 1), NO_TRAP); /* CPL 0 */
    __asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" : : : "memory");
    set_cr0(CR0_AM, 0);
    __asm__ volatile("fninit");
}

static void pf_comes_before_ac(void)
{
    set_cr0(0, CR0_AM);
    u64 v = guarded_user(user_address((void *)(u64)load4), 0x600000000001, UCS, FLAG_AC | 2);
    CHECK(v == PF || v == AC); /* SDM 6.9 leaves the order of faults on one operand to the model */
    set_cr0(CR0_AM, 0);
}

int main(void)
{
    RUN(em_and_ts_gate_as_the_table_says);
    RUN(sse_needs_osfxsr);
    RUN(mf_comes_with_the_next_waiting_instruction);
    RUN(without_ne_ferr_raises_irq_13);
    RUN(xm_or_ud_by_osxmmexcpt);
    RUN(mxcsr_refuses_reserved_bits);
    RUN(fxsave_has_its_layout);
    RUN(xsave_and_xrstor_follow_their_header);
    RUN(unaligned_accesses_of_users_are_ac);
    RUN(pf_comes_before_ac);
    return 0;
}
