/*
 * long_far.c: far transfers in long mode: JMP, CALL and RET between 64-bit and compatibility mode,
 * call gates of 16 bytes with and without a change of privilege, and what compatibility-mode code
 * sees.
 *
 * SDM vol. 3A 5.8.3.1, vol. 2 CALL, JMP, RET; APM vol. 2 4.10, vol. 3.
 */
#include "long.h"

static u64 stub(unsigned v)
{
    return (u64)trap_stubs + 16 * v;
}

/* clang-format off */
__asm__(".text\n"
        ".global far_code64, far_code32, far_jump, far_call, far_call_ret, far_ret, far_ret_frame, far_ret_outer,"
        "far_gate_code, far_user, far_user_ret, far_compat_user\n"
        /* What is reached records SS and RSP and traps. */
        "far_code64: mov %ss, %eax; mov %rsp, %rcx; int $0x42\n"
        ".code32\n"
        "far_code32: mov %ss, %eax; mov %esp, %ecx; int $0x42\n"
        ".code64\n"
        "far_jump: ljmpl *(%rdi)\n"
        "far_call: mov %rsp, %rbx; lcalll *(%rdi)\n far_call_ret: int3\n"
        /* RDI: a frame to return through */
        "far_ret: mov %rdi, %rsp; lretq\n"
        "far_gate_code: mov %ss, %eax; mov %rsp, %rcx; int $0x42\n"
        "far_user: mov %rsp, %rbx; lcalll *(%rdi)\n far_user_ret: nop; int $0x42\n"
        ".global far_gate_returns\n"
        "far_gate_returns: lretq\n"
        ".code32\n"
        ".global c32_code, c32_fault, c32_jump64, c32_limit, c32_inc\n"
        /* 32-bit meaning of bytes that are prefixes in 64-bit mode: INC, and PUSH of segments */
        "c32_code: mov $0x7fffffff, %eax; .byte 0x40; push %ds; pop %edx; mov $0x12345678, %ecx; int $0x42\n"
        "c32_fault: mov $0x300000, %eax; movl %eax, (%eax, %eax, 8); int $0x42\n"
        "c32_jump64: .byte 0xea; .long far_landing64_low; .word 0x33\n"
        ".code64\n"
        ".set far_landing64_low, far_code64 + 0x40000000\n");
/* clang-format on */
extern u8 far_code64[], far_code32[], far_call_ret[], far_gate_code[], far_user[], far_user_ret[],
    far_gate_returns[], c32_code[], c32_fault[], c32_jump64[];
void far_jump(u64), far_call(u64), far_ret(u64);

struct far_pointer {
    u32 off;
    u16 sel;
} __attribute__((packed));

static struct far_pointer ptr;

static u64 go(void (*fn)(u64), u64 off, u16 sel)
{
    ptr = (struct far_pointer){(u32)off, sel};
    return guarded(fn, (u64)&ptr);
}

static void gate_put(unsigned at, u64 off, u16 sel, u8 attr)
{
    gdt[at] = (off & 0xffff) | (u64)sel << 16 | (u64)attr << 40 | (off >> 16 & 0xffff) << 48;
    gdt[at + 1] = off >> 32;
}

static void direct_transfers_reach_both_modes(void)
{
    gate_set(0x42, stub(0x42), KCS, 0xee, 0);
    CHECK_EQ(go(far_jump, (u64)far_code64, KCS), 0x42);
    CHECK_EQ(trap.r.cs, KCS);
    CHECK_EQ(go(far_jump, (u64)far_code32, KCS32), 0x42);
    CHECK_EQ(trap.r.cs, KCS32);
    CHECK_EQ(go(far_jump, (u64)far_code64, KCS | 3), GP); /* RPL > CPL */
    if (CHECK_EQ(go(far_call, (u64)far_code64, KCS), 0x42)) {
        u32 *frame = (u32 *)trap.r.rcx; /* the operand size is 32 bits */
        CHECK_EQ(trap.r.rbx - trap.r.rcx, 8);
        CHECK_EQ(frame[0], (u64)far_call_ret);
        CHECK_EQ(frame[1], KCS);
    }
}

static void direct_transfers_refuse(void)
{
    gdt[SPARE_SEL / 8] = 0x00ef9b000000ffff;     /* L and D */
    gdt[SPARE_SEL / 8 + 1] = 0x00af1b000000ffff; /* not present */
    gdt[SPARE_SEL / 8 + 2] = 0x00cf9b000000000f; /* limit 64 KiB - 1 */
    gdt[SPARE_SEL / 8 + 3] = 0x0000850000000000; /* a task gate: not in long mode */
    gdt[SPARE_SEL / 8 + 4] = 0x00409b0000000fff; /* 4 KiB of code */
    struct {
        u16 sel;
        u8 vector;
        u16 error;
    } rows[] = {
        {0, GP, 0},
        {KDS, GP, KDS},
        {UCS, GP, UCS & ~3},
        {SPARE_SEL, GP, SPARE_SEL},
        {SPARE_SEL + 8, NP, SPARE_SEL + 8},
        {SPARE_SEL + 24, GP, SPARE_SEL + 24},
        {SPARE_SEL + 32, GP, 0},
        {TSS_SEL, GP, TSS_SEL},
        {GDT_BYTES, GP, GDT_BYTES},
    };
    for (unsigned i = 0; i < COUNT(rows); i++)
        for (unsigned call = 0; call < 2; call++) {
            context("row %d call %d", i, call, 0, 0);
            if (CHECK_EQ(go(call ? far_call : far_jump, (u64)far_code64, rows[i].sel),
                         rows[i].vector))
                CHECK_EQ(trap.r.error, rows[i].error);
        }
    for (unsigned i = 0; i < 5; i++)
        gdt[SPARE_SEL / 8 + i] = 0;
}

static u64 ret_area[1024]; /* handlers run below the frame */
#define ret_frame (&ret_area[1000])

static void retf_goes_inward_never_and_outward_with_a_stack(void)
{
    u64 top = user_address(user_stack_top) - 64;
    ret_frame[0] = (u64)far_code64;
    ret_frame[1] = KCS;
    CHECK_EQ(guarded(far_ret, (u64)ret_frame), 0x42);
    CHECK_EQ(trap.r.rcx, (u64)&ret_frame[2]);
    ret_frame[0] = user_address(far_code64);
    ret_frame[1] = UCS;
    ret_frame[2] = top;
    ret_frame[3] = UDS;
    CHECK_EQ(guarded(far_ret, (u64)ret_frame), 0x42);
    CHECK_EQ(trap.r.cs, UCS);
    CHECK_EQ(trap.r.rcx, top);
    CHECK_EQ(trap.r.rax, UDS);
    ret_frame[0] = user_address(far_code32);
    ret_frame[1] = UCS32;
    CHECK_EQ(guarded(far_ret, (u64)ret_frame), 0x42);
    CHECK_EQ(trap.r.cs, UCS32);
    gate_ist(GP, 2);
    ret_frame[3] = 0;
    CHECK_EQ(guarded(far_ret, (u64)ret_frame), GP); /* null SS at CPL 3 */
    CHECK_EQ(trap.r.error, 0);
    ret_frame[3] = KDS;
    CHECK_EQ(guarded(far_ret, (u64)ret_frame), GP);
    CHECK_EQ(trap.r.error, KDS);
    ret_frame[1] = 0;
    CHECK_EQ(guarded(far_ret, (u64)ret_frame), GP);
    gate_default(GP);
}

/* ---- call gates
 * ------------------------------------------------------------------------------------------ */

static void call_gates_change_privilege_and_stack(void)
{
    unsigned at = SPARE_SEL / 8;
    static struct far_pointer p = {0xdeadbeef, SPARE_SEL | 3}; /* the offset is not used */
    gate_put(at, (u64)far_gate_code, KCS, 0xec);
    if (!CHECK_EQ(guarded_user(user_address(far_user), user_address(&p), UCS, 2), 0x42))
        return;
    u64 *frame = (u64 *)trap.r.rcx;
    CHECK_EQ(trap.r.cs, KCS);
    CHECK_EQ(trap.r.rax, 0); /* SS null, RPL = CPL */
    CHECK_EQ((u64)frame, (u64)rsp0_stack_top - 32);
    CHECK_EQ(frame[0], user_address(far_user_ret));
    CHECK_EQ(frame[1], UCS);
    CHECK_EQ(frame[2], trap.r.rbx);
    CHECK_EQ(frame[3], UDS);
    gate_put(at, (u64)far_gate_returns, KCS, 0xec);
    CHECK_EQ(guarded_user(user_address(far_user), user_address(&p), UCS, 2), 0x42);
    CHECK_EQ(trap.r.cs, UCS);
    CHECK_EQ(trap.r.rip, user_address(far_user_ret) + 3);
    gdt[at] = gdt[at + 1] = 0;
}

static void call_gates_work_without_a_change_too(void)
{
    gate_put(SPARE_SEL / 8, (u64)far_gate_code, KCS, 0x8c);
    if (CHECK_EQ(go(far_call, 0, SPARE_SEL), 0x42)) {
        u64 *frame = (u64 *)trap.r.rcx;
        CHECK_EQ(trap.r.rbx - trap.r.rcx, 16);
        CHECK_EQ(frame[0], (u64)far_call_ret);
        CHECK_EQ(frame[1], KCS);
        CHECK_EQ(trap.r.rax, KDS);
    }
    CHECK_EQ(go(far_jump, 0, SPARE_SEL), 0x42);
}

static void call_gates_refuse(void)
{
    unsigned at = SPARE_SEL / 8;
    static struct far_pointer p = {0, SPARE_SEL | 3};
    gate_put(at, (u64)far_gate_code, KCS, 0x8c); /* DPL 0 */
    CHECK_EQ(guarded_user(user_address(far_user), user_address(&p), UCS, 2), GP);
    CHECK_EQ(trap.r.error, SPARE_SEL);
    gate_put(at, (u64)far_gate_code, KCS, 0x6c);
    CHECK_EQ(guarded_user(user_address(far_user), user_address(&p), UCS, 2), NP);
    gate_put(at, (u64)far_gate_code, KCS32, 0xec); /* must lead to 64-bit code */
    CHECK_EQ(go(far_call, 0, SPARE_SEL), GP);
    CHECK_EQ(trap.r.error, KCS32);
    gate_put(at, (u64)far_gate_code, 0, 0xec);
    CHECK_EQ(go(far_call, 0, SPARE_SEL), GP);
    CHECK_EQ(trap.r.error, 0);
    gate_put(at, 0x0000800000000000, KCS, 0xec);
    CHECK_EQ(go(far_call, 0, SPARE_SEL), GP);
    CHECK_EQ(trap.r.error, 0);
    gate_put(at, (u64)far_gate_code, KCS, 0xec);
    gdt[at + 1] |= 0xc0000000000; /* a type in the upper half */
    CHECK_EQ(go(far_call, 0, SPARE_SEL), GP);
    CHECK_EQ(trap.r.error, SPARE_SEL);
    gate_put(at, (u64)far_gate_code, KCS, 0xe4); /* 16-bit gate: not in long mode */
    CHECK_EQ(go(far_call, 0, SPARE_SEL), GP);
    gdt[at] = gdt[at + 1] = 0;
}

/* ---- compatibility mode
 * ------------------------------------------------------------------------------------- */

static void compatibility_code_is_32_bit_code(void)
{
    CHECK_EQ(guarded_user(user_address(c32_code), 0, UCS32, 2), 0x42);
    CHECK_EQ(trap.r.cs, UCS32);
    CHECK_EQ(trap.r.rax, 0x80000000);
    CHECK_EQ(trap.r.rcx, 0x12345678);
    CHECK_EQ(trap.r.rflags & BIT(11), BIT(11)); /* INC overflowed */
}

/* Addresses wrap at 4 GiB: 9 * 0x300000 does not, but CR2 never has upper bits. */
static void compatibility_faults_have_32_bit_addresses(void)
{
    page_map(0x80000000, 0);
    CHECK_EQ(guarded_user(user_address(c32_fault), 0, UCS32, 2), PF);
    CHECK_EQ(trap.cr2, 9 * 0x300000);
    CHECK_EQ(trap.r.error, 7);
}

static void compatibility_code_jumps_to_64_bit_code(void)
{
    CHECK_EQ(guarded_user(user_address(c32_jump64), 0, UCS32, 2), 0x42);
    CHECK_EQ(trap.r.cs, UCS);
}

int main(void)
{
    RUN(direct_transfers_reach_both_modes);
    RUN(direct_transfers_refuse);
    RUN(retf_goes_inward_never_and_outward_with_a_stack);
    RUN(call_gates_change_privilege_and_stack);
    RUN(call_gates_work_without_a_change_too);
    RUN(call_gates_refuse);
    RUN(compatibility_code_is_32_bit_code);
    RUN(compatibility_faults_have_32_bit_addresses);
    RUN(compatibility_code_jumps_to_64_bit_code);
    return 0;
}
