/*
 * long_system.c: control registers and MSRs: what they refuse, and who may touch them.
 *
 * SDM vol. 3A 2.5 (MOV CR: #GP), 2.2.1 (EFER), vol. 2 SMSW, SGDT (UMIP), vol. 4; APM vol. 2 3.1.
 * QEMU 7.2 refuses few of the illegal combinations.
 */
#include "long.h"

static void cr0_refuses_illegal_combinations(void)
{
    u64 cr0 = read_cr0();
    struct {
        u64 v, want;
    } rows[] = {
        {cr0 & ~1ull, GP},   /* PG without PE */
        {cr0 & ~CR0_PG, GP}, /* from 64-bit code */
        {cr0 | CR0_NW, GP},  /* NW without CD */
        {cr0 | BIT(32), GP},      {cr0 | BIT(63), GP}, {cr0 | CR0_NW | CR0_CD, NO_TRAP},
        {cr0 & ~BIT(4), NO_TRAP}, /* ET stays 1 */
        {cr0, NO_TRAP},
    };
    for (unsigned i = 0; i < COUNT(rows); i++) {
        context("row %d", i, 0, 0, 0);
        CHECK_EQ(try_write_cr(0, rows[i].v), rows[i].want);
        CHECK_EQ(read_cr0() & BIT(4), BIT(4));
    }
    CHECK_EQ(read_cr0(), cr0);
}

static void cr3_refuses_bits_beyond_the_address(void)
{
    u64 cr3 = read_cr3();
    for (unsigned b = cpuid(0x80000008, 0).a & 0xff; b < 64; b++) {
        context("bit %d", b, 0, 0, 0);
        CHECK_EQ(try_write_cr(3, cr3 | BIT(b)), GP);
    }
    CHECK_EQ(try_write_cr(3, cr3 | 0x18), NO_TRAP); /* PCD, PWT */
    CHECK_EQ(read_cr3(), cr3 | 0x18);
    write_cr3(cr3);
}

/* Bits of CR4 that CPUID grants; all others fault. */
static u64 granted_cr4(void)
{
    struct cpuid f1 = cpuid(1, 0), f7 = cpuid(0, 0).a >= 7 ? cpuid(7, 0) : (struct cpuid){0};
    u64 v = 0;
    v |= f1.d >> 1 & 1 ? 3 : 0;      /* VME, PVI */
    v |= f1.d >> 4 & 1 ? BIT(2) : 0; /* TSD */
    v |= f1.d >> 2 & 1 ? CR4_DE : 0;
    v |= f1.d >> 3 & 1 ? BIT(4) : 0; /* PSE */
    v |= f1.d >> 6 & 1 ? CR4_PAE : 0;
    v |= f1.d >> 7 & 1 ? BIT(6) : 0; /* MCE */
    v |= f1.d >> 13 & 1 ? CR4_PGE : 0;
    v |= BIT(8); /* PCE */
    v |= f1.d >> 24 & 1 ? CR4_OSFXSR : 0;
    v |= f1.d >> 25 & 1 ? BIT(10) : 0; /* OSXMMEXCPT */
    v |= f7.c >> 2 & 1 ? CR4_UMIP : 0;
    v |= f7.b & 1 ? CR4_FSGSBASE : 0;
    v |= f1.c >> 17 & 1 ? CR4_PCIDE : 0;
    v |= f1.c >> 26 & 1 ? CR4_OSXSAVE : 0;
    v |= f7.b >> 7 & 1 ? CR4_SMEP : 0;
    v |= f7.b >> 20 & 1 ? CR4_SMAP : 0;
    return v;
}

static void cr4_takes_exactly_what_cpuid_grants(void)
{
    u64 cr4 = read_cr4(), granted = granted_cr4();
    for (unsigned b = 0; b < 64; b++) {
        if (b == 5)
            continue;
        context("bit %d", b, 0, 0, 0);
        CHECK_EQ(try_write_cr(4, cr4 | BIT(b)), granted >> b & 1 ? NO_TRAP : GP);
        write_cr4(cr4);
    }
    CHECK_EQ(try_write_cr(4, cr4 & ~CR4_PAE), GP); /* in long mode */
    CHECK_EQ(read_cr4(), cr4);
}

static void efer_refuses(void)
{
    u64 efer = rdmsr(MSR_EFER);
    CHECK(efer & EFER_LMA);
    CHECK_EQ(try_wrmsr(MSR_EFER, efer & ~EFER_LME), GP); /* while paging */
    CHECK_EQ(try_wrmsr(MSR_EFER, efer | BIT(1)), GP);
    CHECK_EQ(try_wrmsr(MSR_EFER, efer | BIT(9)), GP);
    CHECK_EQ(try_wrmsr(MSR_EFER, efer | BIT(63)), GP);
    CHECK_EQ(try_wrmsr(MSR_EFER, efer | EFER_NXE), NO_TRAP);
    CHECK_EQ(rdmsr(MSR_EFER), efer | EFER_NXE);
    wrmsr(MSR_EFER, efer);
}

static void cr8_is_the_task_priority(void)
{
    volatile u32 *tpr = (void *)(u64)0xfee00080;
    CHECK_EQ(try_write_cr(8, 16), GP);
    CHECK_EQ(try_write_cr(8, BIT(63)), GP);
    write_cr8(5);
    CHECK_EQ(read_cr8(), 5);
    CHECK_EQ(*tpr, 0x50);
    *tpr = 0xa7;
    CHECK_EQ(read_cr8(), 10);
    write_cr8(0);
    CHECK_EQ(*tpr, 0);
}

#define CODE(name, text)                                                                           \
    static NOINLINE void name(u64 a)                                                               \
    {                                                                                              \
        __asm__ volatile(text : : "D"(a) : "rax", "rcx", "rdx", "rbx", "memory");                  \
    }
CODE(read_0, "mov %%cr0, %%rax")
CODE(read_1, ".byte 0x0f, 0x20, 0xc8")
CODE(read_5, ".byte 0x0f, 0x20, 0xe8")
CODE(read_7, ".byte 0x0f, 0x20, 0xf8")
CODE(read_9, ".byte 0x44, 0x0f, 0x20, 0xc8")
CODE(clts_, "clts")
CODE(lmsw_, "smsw %%eax; lmsw %%ax")
CODE(hlt_, "hlt")
CODE(invlpg_, "invlpg (%%rdi)")
CODE(invd_, "invd")
CODE(wbinvd_, "wbinvd")
CODE(lgdt_, "lgdt (%%rdi)")
CODE(lidt_, "lidt (%%rdi)")
CODE(lldt_, "xor %%eax, %%eax; lldt %%ax")
CODE(ltr_, "xor %%eax, %%eax; ltr %%ax")
CODE(rdmsr_, "mov $0xc0000080, %%ecx; rdmsr")
CODE(wrmsr_, "mov $0xc0000080, %%ecx; rdmsr; wrmsr")
CODE(rdpmc_, "xor %%ecx, %%ecx; rdpmc")
CODE(cli_, "cli")
CODE(sti_, "sti")
CODE(in_, "in $0x80, %%al")
CODE(out_, "out %%al, $0x80")
CODE(insb_, "mov $0x80, %%edx; insb")
CODE(sysretq_, "sysretq")
CODE(swapgs_, "swapgs")
CODE(stac_, "stac")
CODE(clac_, "clac")
CODE(xsetbv_, "xor %%ecx, %%ecx; mov $3, %%eax; xor %%edx, %%edx; xsetbv")

static void unknown_control_registers_are_ud(void)
{
    CHECK_EQ(guarded(read_0, 0), NO_TRAP);
    CHECK_EQ(guarded(read_1, 0), UD);
    CHECK_EQ(guarded(read_5, 0), UD);
    CHECK_EQ(guarded(read_7, 0), UD);
    CHECK_EQ(guarded(read_9, 0), UD);
}

static void users_may_execute_none_of_these(void)
{
    static void (*const privileged[])(u64) = {read_0, clts_, hlt_,  invlpg_, invd_,  wbinvd_, lgdt_,
                                              lidt_,  lldt_, ltr_,  rdmsr_,  wrmsr_, cli_,    sti_,
                                              in_,    out_,  insb_, swapgs_, lmsw_};
    static u64 data[2];
    for (unsigned i = 0; i < COUNT(privileged); i++) {
        context("row %d", i, 0, 0, 0);
        if (CHECK_EQ(guarded_cpl3(privileged[i], user_address(data)), GP))
            CHECK_EQ(trap.r.error, 0);
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    CHECK_EQ(guarded_cpl3(sysretq_, 0), GP);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SCE);
}

static void stac_and_clac_are_ud_for_users(void)
{
    if (!(cpuid(0, 0).a >= 7 && cpuid(7, 0).b >> 20 & 1)) {
        CHECK_EQ(guarded(stac_, 0), UD);
        return;
    }
    CHECK_EQ(guarded_cpl3(stac_, 0), UD);
    CHECK_EQ(guarded_cpl3(clac_, 0), UD);
    stac_(0);
    CHECK_EQ(read_flags() & FLAG_AC, FLAG_AC);
    clac_(0);
    CHECK_EQ(read_flags() & FLAG_AC, 0);
}

static void rdpmc_and_rdtsc_have_their_bits(void)
{
    CHECK_EQ(guarded_cpl3(rdpmc_, 0), GP);
    write_cr4(read_cr4() | BIT(2));
    CHECK_EQ(guarded_cpl3((void (*)(u64))(u64)rdtsc, 0), GP);
    CHECK_EQ(guarded((void (*)(u64))(u64)rdtsc, 0), NO_TRAP);
    write_cr4(read_cr4() & ~BIT(2));
    CHECK_EQ(guarded_cpl3((void (*)(u64))(u64)rdtsc, 0), NO_TRAP);
}

/* ---- UMIP
 * --------------------------------------------------------------------------------------------- */

CODE(smsw_, "smsw %%eax")
CODE(smsw_mem, "smsw (%%rdi)")
CODE(sgdt_, "sgdt (%%rdi)")
CODE(sidt_, "sidt (%%rdi)")
CODE(sldt_, "sldt %%eax")
CODE(str_, "str %%eax")

static void umip_hides_system_registers_from_users(void)
{
    static void (*const hidden[])(u64) = {smsw_, smsw_mem, sgdt_, sidt_, sldt_, str_};
    static u64 data[2];
    bool has = cpuid(0, 0).a >= 7 && cpuid(7, 0).c >> 2 & 1;
    for (unsigned umip = 0; umip <= has; umip++) {
        write_cr4(umip ? read_cr4() | CR4_UMIP : read_cr4() & ~CR4_UMIP);
        for (unsigned i = 0; i < COUNT(hidden); i++) {
            context("row %d UMIP %d", i, umip, 0, 0);
            CHECK_EQ(guarded_cpl3(hidden[i], user_address(data)), umip ? GP : NO_TRAP);
            CHECK_EQ(guarded(hidden[i], (u64)data), NO_TRAP);
        }
    }
    if (has)
        write_cr4(read_cr4() & ~CR4_UMIP);
}

/* ---- LDT and TR
 * --------------------------------------------------------------------------------------- */

static void load_ldt(u64 sel)
{
    __asm__ volatile("lldt %w0" : : "r"(sel));
}
static void load_tr(u64 sel)
{
    __asm__ volatile("ltr %w0" : : "r"(sel));
}
static void load_ds(u64 sel)
{
    __asm__ volatile("mov %0, %%ds" : : "r"(sel));
}
static void load_ss(u64 sel)
{
    __asm__ volatile("mov %0, %%ss; nop" : : "r"(sel));
}

static void ldt_and_tss_descriptors_have_16_bytes(void)
{
    static u64 ldt[2] = {0, 0x00cf93000000ffff};
    u64 base = (u64)ldt;
    unsigned at = SPARE_SEL / 8;
    gdt[at] = 0x0000820000000000 | (sizeof ldt - 1) | (base & 0xffffff) << 16;
    gdt[at + 1] = 0;
    CHECK_EQ(guarded(load_ldt, SPARE_SEL), NO_TRAP);
    CHECK_EQ(guarded(load_ds, 8 | 4), NO_TRAP); /* through the LDT */
    CHECK_EQ(guarded(load_ds, 16 | 4), GP);
    CHECK_EQ(trap.r.error, 16 | 4);
    gdt[at + 1] = 0x00008000; /* base not canonical */
    CHECK_EQ(guarded(load_ldt, SPARE_SEL), GP);
    CHECK_EQ(trap.r.error, SPARE_SEL);
    gdt[at + 1] = 0;
    gdt[at] &= ~BIT(47);
    CHECK_EQ(guarded(load_ldt, SPARE_SEL), NP);
    CHECK_EQ(guarded(load_ldt, KDS), GP);
    CHECK_EQ(guarded(load_ldt, 0), NO_TRAP);
    CHECK_EQ(guarded(load_ds, 8 | 4), GP);
    CHECK_EQ(guarded(load_tr, 0), GP);
    CHECK_EQ(guarded(load_tr, TSS_SEL), GP); /* busy */
    CHECK_EQ(trap.r.error, TSS_SEL);
    CHECK_EQ(guarded(load_tr, SPARE_SEL), GP);
    CHECK_EQ(gdt[TSS_SEL / 8] >> 41 & 1, 1);
    load_ds(KDS);
}

static void ss_may_be_null_above_cpl_3_only(void)
{
    CHECK_EQ(guarded(load_ss, 0), NO_TRAP);
    CHECK_EQ(guarded(load_ss, 3), GP); /* RPL is not CPL */
    CHECK_EQ(guarded_cpl3(load_ss, 3), GP);
    CHECK_EQ(guarded_cpl3(load_ss, 0), GP);
    CHECK_EQ(guarded_cpl3(load_ds, 0), NO_TRAP);
    load_ss(KDS);
}

/* ---- MSRs
 * -------------------------------------------------------------------------------------------------
 */

static void unknown_msrs_are_gp(void)
{
    static const u32 unknown[] = {0x2,        0x12345,    0x40000200, 0xc0000000,
                                  0xc00000ff, 0xc0010fff, 0xffffffff};
    u64 v;
    for (unsigned i = 0; i < COUNT(unknown); i++) {
        context("MSR %x", unknown[i], 0, 0, 0);
        CHECK_EQ(try_rdmsr(unknown[i], &v), GP);
        CHECK_EQ(try_wrmsr(unknown[i], 0), GP);
    }
}

static void msrs_refuse_reserved_bits(void)
{
    CHECK_EQ(try_wrmsr(0x277, 2), GP); /* PAT: type 2 */
    CHECK_EQ(try_wrmsr(0x277, 0x0007040600070406), NO_TRAP);
    CHECK_EQ(try_wrmsr(0x2ff, BIT(12)), GP); /* MTRR default type */
    CHECK_EQ(try_wrmsr(0xfe, 0), GP);        /* MTRRcap is read-only */
    CHECK_EQ(try_wrmsr(0x200, 2), GP);       /* MTRR base: type 2 */
    CHECK_EQ(try_wrmsr(0x201, max_physical()), GP);
    CHECK_EQ(try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | max_physical()), GP);
    CHECK_EQ(try_wrmsr(MSR_SFMASK, 0x40700), NO_TRAP);
}

static void the_tsc_can_be_written_and_adjusted(void)
{
    wrmsr(0x10, BIT(40));
    CHECK(rdtsc() - BIT(40) < BIT(36));
    if (cpuid(0, 0).a >= 7 && cpuid(7, 0).b >> 1 & 1) {
        u64 adjust = rdmsr(0x3b), before = rdtsc();
        wrmsr(0x3b, adjust + BIT(50));
        CHECK(rdtsc() - before - BIT(50) < BIT(36));
        CHECK_EQ(rdmsr(0x3b), adjust + BIT(50));
        wrmsr(0x3b, adjust);
    }
}

static void xcr0_refuses(void)
{
    if (!(cpuid(1, 0).c >> 26 & 1)) {
        test_skip("no XSAVE");
        return;
    }
    CHECK_EQ(guarded(xsetbv_, 0), UD); /* CR4.OSXSAVE = 0 */
    CHECK_EQ(cpuid(1, 0).c >> 27 & 1, 0);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    CHECK_EQ(cpuid(1, 0).c >> 27 & 1, 1);
    CHECK_EQ(guarded(xsetbv_, 0), NO_TRAP);
    CHECK_EQ(guarded_cpl3(xsetbv_, 0), GP);
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

int main(void)
{
    RUN(cr0_refuses_illegal_combinations);
    RUN(cr3_refuses_bits_beyond_the_address);
    RUN(cr4_takes_exactly_what_cpuid_grants);
    RUN(efer_refuses);
    RUN(cr8_is_the_task_priority);
    RUN(unknown_control_registers_are_ud);
    RUN(users_may_execute_none_of_these);
    RUN(stac_and_clac_are_ud_for_users);
    RUN(rdpmc_and_rdtsc_have_their_bits);
    RUN(umip_hides_system_registers_from_users);
    RUN(ldt_and_tss_descriptors_have_16_bytes);
    RUN(ss_may_be_null_above_cpl_3_only);
    RUN(unknown_msrs_are_gp);
    RUN(msrs_refuse_reserved_bits);
    RUN(the_tsc_can_be_written_and_adjusted);
    RUN(xcr0_refuses);
    return 0;
}
