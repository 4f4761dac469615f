/*
 * long_syscall.c: SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, FSGSBASE, and what compatibility mode
 * makes of them.
 *
 * APM vol. 2 6.1, vol. 3 SYSCALL, SYSRET, SYSENTER (#UD in long mode on AMD); SDM vol. 2. The
 * vendor that CPUID names decides.
 */
#include "long.h"

/* clang-format off */
__asm__(".text\n"
        ".global sc_entry, sc_entry_c, sc_user, sc_user32, sc_kernel, sc_ret\n"
        /* Entries: R8 says which; the handler of 0x43 records everything. */
        "sc_entry: mov $0x64, %r8d; mov %ss, %r9d; int $0x43\n"
        "sc_entry_c: mov $0x32, %r8d; mov %ss, %r9d; int $0x43\n"
        "sc_user: mov %rdi, %rax; push %rax; popfq; mov $0x1234, %ecx; mov $0x5678, %r11d; syscall; sc_ret: int3\n"
        "sc_kernel: syscall; int3\n"
        ".code32\n"
        "sc_user32: syscall; int3\n"
        ".global se_user32, sx_swapgs32, sx_rdfs32\n"
        "se_user32: sysenter; int3\n"
        "sx_swapgs32: .byte 0x0f, 0x01, 0xf8; int3\n"
        "sx_rdfs32: .byte 0xf3, 0x0f, 0xae, 0xc0; int3\n"
        ".code64\n"
        ".global sr_64, sr_32, sr_landing, sr_landing32\n"
        "sr_64: mov %rdi, %rcx; mov %rsi, %r11; sysretq\n"
        "sr_32: mov %rdi, %rcx; mov %rsi, %r11; sysretl\n"
        "sr_landing: pushfq; pop %rdx; mov %ss, %eax; int $0x42\n"
        "sr_landing32: mov %ss, %eax; int $0x42\n"
        ".global do_sysenter, do_sysexit, do_swapgs\n"
        "do_sysenter: sysenter; int3\n"
        "do_sysexit: sysexitl; int3\n"
        "do_swapgs: swapgs; ret\n");
/* clang-format on */
extern u8 sc_entry[], sc_entry_c[], sc_user[], sc_user32[], sc_kernel[], sc_ret[], se_user32[],
    sx_swapgs32[], sx_rdfs32[], sr_landing[], sr_landing32[];
void sr_64(u64 rip), sr_32(u64 rip), do_sysenter(u64), do_sysexit(u64), do_swapgs(u64);

static void setup(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (u64)0x20 << 48 | (u64)KCS << 32);
    wrmsr(MSR_LSTAR, (u64)sc_entry);
    wrmsr(MSR_CSTAR, (u64)sc_entry_c);
    wrmsr(MSR_SFMASK, FLAG_IF | FLAG_TF);
    gate_set(0x42, (u64)trap_stubs + 16 * 0x42, KCS, 0xee, 0);
    gate_ist(0x43, 3);
}

static u64 enter(const u8 *code, u64 arg, u64 cs)
{
    return guarded_user(user_address(code), arg, cs, 2);
}

static void syscall_saves_rip_and_flags_and_masks(void)
{
    u64 flags = 0x247 | FLAG_DF | BIT(11) | FLAG_AC;
    wrmsr(MSR_SFMASK, FLAG_DF | FLAG_CF);
    if (!CHECK_EQ(enter(sc_user, flags, UCS), 0x43))
        return;
    CHECK_EQ(trap.r.r8, 0x64);
    CHECK_EQ(trap.r.cs, KCS);
    CHECK_EQ(trap.r.r9, KDS);
    CHECK_EQ(trap.r.rcx, user_address(sc_ret));
    CHECK_EQ(trap.r.r11, (flags & ~FLAG_IF) | 2); /* POPF at CPL 3 kept IF = 0 */
    CHECK_EQ(trap.r.rflags, ((flags & ~(FLAG_IF | FLAG_DF | FLAG_CF)) | 2));
    wrmsr(MSR_SFMASK, 0xffffffff);
    CHECK_EQ(enter(sc_user, flags, UCS), 0x43);
    CHECK_EQ(trap.r.rflags, 2);
    wrmsr(MSR_SFMASK, FLAG_IF | FLAG_TF);
}

static void syscall_works_at_cpl_0_too(void)
{
    CHECK_EQ(guarded((void (*)(u64))(u64)sc_kernel, 0), 0x43);
    CHECK_EQ(trap.r.rcx, (u64)sc_kernel + 2);
}

/* AMD: by CSTAR; Intel: #UD outside 64-bit mode. */
static void syscall_of_compatibility_mode_goes_by_the_vendor(void)
{
    u64 v = enter(sc_user32, 0, UCS32);
    if (!is_amd()) {
        CHECK_EQ(v, UD);
        return;
    }
    if (CHECK_EQ(v, 0x43)) {
        CHECK_EQ(trap.r.r8, 0x32);
        CHECK_EQ(trap.r.cs, KCS);
        CHECK_EQ(trap.r.rcx, user_address(sc_user32) + 2);
    }
}

static void without_sce_syscall_and_sysret_are_ud(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SCE);
    CHECK_EQ(enter(sc_user, 2, UCS), UD);
    CHECK_EQ(enter(sc_user32, 2, UCS32), UD);
    CHECK_EQ(guarded(sr_64, 0), UD);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
}

static NOINLINE void sysret_to(u64 arg)
{
    u64 *a = (u64 *)arg;
    if (a[2])
        __asm__ volatile("mov %0, %%rcx; mov %1, %%r11; mov %2, %%rsp; sysretq"
                         :
                         : "r"(a[0]), "r"(a[1]), "r"(user_address(user_stack_top))
                         : "rcx", "r11");
    __asm__ volatile("mov %0, %%rcx; mov %1, %%r11; mov %2, %%rsp; sysretl"
                     :
                     : "r"(a[0]), "r"(a[1]), "r"(user_address(user_stack_top))
                     : "rcx", "r11");
}

static void sysret_loads_flags_and_selectors(void)
{
    u64 to64[] = {user_address(sr_landing),
                  0xffffffffffff0000 | FLAG_CF | FLAG_DF | FLAG_RF | BIT(17), 1};
    to64[1] &= ~(FLAG_TF | FLAG_AC | FLAG_NT);
    if (CHECK_EQ(guarded(sysret_to, (u64)to64), 0x42)) {
        CHECK_EQ(trap.r.cs, UCS);
        CHECK_EQ(trap.r.rax, UDS);
        CHECK_EQ(trap.r.rdx & FLAG_RF, 0);
        CHECK_EQ(trap.r.rdx & BIT(17), 0); /* never VM */
        CHECK_EQ(trap.r.rdx & 0xffffffff, (to64[1] & 0x3c7fd5 & ~FLAG_RF) | 2);
    }
    u64 to32[] = {0xffffffff00000000 | user_address(sr_landing32), 2, 0};
    if (CHECK_EQ(guarded(sysret_to, (u64)to32), 0x42)) {
        CHECK_EQ(trap.r.cs, UCS32);
        CHECK_EQ(trap.r.rax, UDS);
    }
    CHECK_EQ(guarded_cpl3(sr_64, 0), GP);
}

/* AMD notices at CPL 3, when it fetches; Intel before it leaves CPL 0. */
static void sysret_to_a_non_canonical_address_is_gp(void)
{
    u64 to[] = {0x0000800000000000, 2, 1};
    gate_ist(GP, 2);
    if (CHECK_EQ(guarded(sysret_to, (u64)to), GP)) {
        CHECK_EQ(trap.r.error, 0);
        CHECK_EQ(trap.r.cs, is_amd() ? UCS : KCS);
    }
    gate_default(GP);
}

static void sysenter_and_sysexit_go_by_the_vendor(void)
{
    wrmsr(0x174, 0);
    u64 want = is_amd() ? UD : GP; /* AMD has them in legacy mode only; else CS = 0 faults */
    CHECK_EQ(guarded(do_sysenter, 0), want);
    CHECK_EQ(guarded(do_sysexit, 0), want);
    CHECK_EQ(enter(se_user32, 0, UCS32), want);
}

static void swapgs_exchanges_the_bases(void)
{
    wrmsr(MSR_GS_BASE, 0x1111);
    wrmsr(MSR_KERNEL_GS_BASE, 0xffff800000002222);
    CHECK_EQ(guarded(do_swapgs, 0), NO_TRAP);
    CHECK_EQ(rdmsr(MSR_GS_BASE), 0xffff800000002222);
    CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x1111);
    wrmsr(MSR_GS_BASE, 0);
    CHECK_EQ(guarded_cpl3(do_swapgs, 0), GP);
    CHECK_EQ(enter(sx_swapgs32, 0, UCS32), UD);
}

static NOINLINE void fsgsbase(u64 n)
{
    switch (n) {
    case 0: __asm__ volatile("rdfsbase %%rax" : : : "rax"); break;
    case 1: __asm__ volatile("rdgsbase %%rax" : : : "rax"); break;
    case 2: __asm__ volatile("wrfsbase %0" : : "r"(0ull)); break;
    case 3: __asm__ volatile("wrgsbase %0" : : "r"(0ull)); break;
    case 4: __asm__ volatile("wrfsbase %0" : : "r"(0x0000800000000000ull)); break;
    default: __asm__ volatile("wrgsbase %0" : : "r"(0x0000800000000000ull)); break;
    }
}

static void fsgsbase_needs_its_bit_and_canonical_addresses(void)
{
    if (!(cpuid(7, 0).b & 1)) {
        test_skip("no FSGSBASE");
        return;
    }
    for (u64 n = 0; n < 6; n++)
        CHECK_EQ(guarded(fsgsbase, n), UD);
    write_cr4(read_cr4() | CR4_FSGSBASE);
    for (u64 n = 0; n < 6; n++) {
        CHECK_EQ(guarded(fsgsbase, n), n < 4 ? NO_TRAP : GP);
        CHECK_EQ(guarded_cpl3(fsgsbase, n), n < 4 ? NO_TRAP : GP);
    }
    CHECK_EQ(enter(sx_rdfs32, 0, UCS32), UD);
    u64 v = 0xffff800012345678, got;
    __asm__ volatile("wrfsbase %1; rdfsbase %0" : "=r"(got) : "r"(v));
    CHECK_EQ(got, v);
    CHECK_EQ(rdmsr(MSR_FS_BASE), v);
    got = ~0ull;
    __asm__ volatile("rdfsbase %k0" : "+r"(got));
    CHECK_EQ(got, 0x12345678);
    __asm__ volatile("wrgsbase %k1; rdgsbase %0" : "=r"(got) : "r"(v));
    CHECK_EQ(got, 0x12345678);
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, 0);
    write_cr4(read_cr4() & ~CR4_FSGSBASE);
}

static void fs_and_gs_bases_are_64_bits_and_others_0(void)
{
    static u64 data = 0x5a5a;
    u64 got;
    wrmsr(MSR_FS_BASE, (u64)&data - 0x1000);
    __asm__ volatile("mov %%fs:0x1000, %0" : "=r"(got));
    CHECK_EQ(got, 0x5a5a);
    wrmsr(MSR_GS_BASE, (u64)&data + 0x1000);
    __asm__ volatile("mov %%gs:(%1), %0" : "=r"(got) : "r"(-0x1000ll));
    CHECK_EQ(got, 0x5a5a);
    __asm__ volatile("mov %%fs:(%k1), %0" : "=r"(got) : "r"(0xffffffff00001000ull));
    CHECK_EQ(got, 0x5a5a); /* the offset is cut to 32 bits before the base is added */
    /* Loading a selector replaces the base by the descriptor's 32 bits. */
    gdt[SPARE_SEL / 8] = 0x12cf93345678ffff;
    __asm__ volatile("mov %0, %%fs" : : "r"(SPARE_SEL));
    CHECK_EQ(rdmsr(MSR_FS_BASE), 0x12345678);
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0));
    gdt[SPARE_SEL / 8] = 0;
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, 0);
}

int main(void)
{
    setup();
    RUN(syscall_saves_rip_and_flags_and_masks);
    RUN(syscall_works_at_cpl_0_too);
    RUN(syscall_of_compatibility_mode_goes_by_the_vendor);
    RUN(without_sce_syscall_and_sysret_are_ud);
    RUN(sysret_loads_flags_and_selectors);
    RUN(sysret_to_a_non_canonical_address_is_gp);
    RUN(sysenter_and_sysexit_go_by_the_vendor);
    RUN(swapgs_exchanges_the_bases);
    RUN(fsgsbase_needs_its_bit_and_canonical_addresses);
    RUN(fs_and_gs_bases_are_64_bits_and_others_0);
    return 0;
}
