/*
 * debug_step.c: single step by EFLAGS.TF: which instructions trap, which do not, and what is in
 * DR6.
 *
 * SDM vol. 3B 17.3.1.4, vol. 3A 6.8.3 (MOV SS), 6.9 (priorities), vol. 2 POPF, SYSCALL, IRET, REP.
 * STI holds off interrupts only; QEMU 7.2 lets it hold off the trap too.
 */
#include "long.h"

#define DR6_CLEAR 0xffff0ff0
#define DR6_BS BIT(14)

static struct {
    u64 rip, dr6, rcx, cs, rflags;
} steps[64];
static unsigned step_count;

static void on_step(struct regs *r)
{
    if (step_count < COUNT(steps)) {
        steps[step_count].rip = r->rip;
        steps[step_count].dr6 = read_dr6();
        steps[step_count].rcx = r->rcx;
        steps[step_count].cs = r->cs;
        steps[step_count].rflags = r->rflags;
    }
    step_count++;
    if (read_dr6() & 0xf)
        r->rflags |= FLAG_RF;
    write_dr6(DR6_CLEAR);
    if (step_count > 60)
        r->rflags &= ~FLAG_TF;
}

/* The code sets TF by POPF, whose own end does not trap, and clears it in the same way. */
#define TF_ON "pushfq; orl $0x100, (%rsp); popfq\n"
#define TF_OFF "pushfq; andl $~0x100, (%rsp); popfq\n"

/* clang-format off */
__asm__(".text\n"
        ".global st_plain, st_plain_1, st_plain_2, st_mov_ss, st_mov_ss_1, st_rep, st_rep_1, st_rep_2, st_int,"
        "st_int_1, st_user_syscall, st_syscall_entry, st_sti, st_sti_1, st_sti_2, st_ud, st_ud_1, st_bp, st_bp_1,"
        "st_iret, st_iret_1, st_iret_2, st_cpuid, st_cpuid_1, st_cpuid_2, st_jmp, st_jmp_1\n"
        "st_plain:" TF_ON "nop\n st_plain_1: nop\n st_plain_2:" TF_OFF "ret\n"
        "st_mov_ss: mov %ss, %eax\n" TF_ON "mov %eax, %ss\n nop\n st_mov_ss_1:" TF_OFF "ret\n"
        "st_rep: mov $3, %ecx; lea watch(%rip), %rdi\n" TF_ON "st_rep_1: rep stosb\n st_rep_2:" TF_OFF "ret\n"
        "st_int:" TF_ON "int $0x40\n st_int_1:" TF_OFF "ret\n"
        "st_user_syscall:" TF_ON "syscall\n"
        "st_syscall_entry: nop\n nop\n int $0x42\n"
        "st_sti:" TF_ON "sti\n st_sti_1: nop\n st_sti_2: cli\n" TF_OFF "ret\n"
        "st_ud:" TF_ON "st_ud_1: ud2\n" TF_OFF "ret\n"
        "st_bp:" TF_ON "nop\n st_bp_1: nop\n" TF_OFF "ret\n"
        "st_iret: mov %rsp, %rcx; mov %ss, %eax; push %rax; push %rcx; pushfq; orl $0x100, (%rsp); mov %cs, %eax\n"
        " push %rax; lea st_iret_1(%rip), %rax; push %rax; iretq\n st_iret_1: nop\n st_iret_2:" TF_OFF "ret\n"
        "st_cpuid: push %rbx; xor %eax, %eax\n" TF_ON "cpuid\n st_cpuid_1: rdtsc\n st_cpuid_2:" TF_OFF "pop %rbx; ret\n"
        "st_jmp:" TF_ON "jmp st_jmp_1\n ud2\n st_jmp_1:" TF_OFF "ret\n"
        ".bss\n watch: .skip 16\n.text\n");
/* clang-format on */
#define CODE(n) extern u8 n[]
CODE(st_plain);
CODE(st_plain_1);
CODE(st_plain_2);
CODE(st_mov_ss);
CODE(st_mov_ss_1);
CODE(st_rep);
CODE(st_rep_1);
CODE(st_rep_2);
CODE(st_int);
CODE(st_int_1);
CODE(st_user_syscall);
CODE(st_syscall_entry);
CODE(st_sti);
CODE(st_sti_1);
CODE(st_sti_2);
CODE(st_ud);
CODE(st_ud_1);
CODE(st_bp);
CODE(st_bp_1);
CODE(st_iret);
CODE(st_iret_1);
CODE(st_iret_2);
CODE(st_cpuid);
CODE(st_cpuid_1);
CODE(st_cpuid_2);
CODE(st_jmp);
CODE(st_jmp_1);

static void run(const u8 *code)
{
    step_count = 0;
    handlers[DB] = on_step;
    write_dr6(DR6_CLEAR);
    CHECK_EQ(guarded((void (*)(u64))(u64)code, 0), NO_TRAP);
    handlers[DB] = NULL;
}

/* TF_OFF is three instructions, all of which trap but the last: POPF traps by the TF it found. */
#define OFF_STEPS 3

static void step_is(unsigned n, const u8 *at)
{
    context("step %d of %d", n, step_count, 0, 0);
    CHECK_EQ(steps[n].rip, (u64)at);
    CHECK_EQ(steps[n].dr6 & 0xf00f, DR6_BS);
}

static void every_instruction_after_popf_traps(void)
{
    run(st_plain);
    CHECK_EQ(step_count, 2 + OFF_STEPS);
    step_is(0, st_plain_1);
    step_is(1, st_plain_2);
    CHECK_EQ(steps[0].rflags & FLAG_TF, FLAG_TF);
    CHECK_EQ(steps[0].rflags & FLAG_RF, 0);
}

static void mov_ss_holds_the_trap_back(void)
{
    run(st_mov_ss);
    CHECK_EQ(step_count, 1 + OFF_STEPS);
    step_is(0, st_mov_ss_1);
}

static void rep_traps_after_every_element(void)
{
    run(st_rep);
    CHECK_EQ(step_count, 3 + OFF_STEPS);
    step_is(0, st_rep_1);
    step_is(1, st_rep_1);
    step_is(2, st_rep_2);
    CHECK_EQ(steps[0].rcx, 2);
    CHECK_EQ(steps[2].rcx, 0);
    CHECK_EQ(steps[0].rflags & FLAG_RF, FLAG_RF); /* between two elements (SDM 17.3.1.1) */
    CHECK_EQ(steps[2].rflags & FLAG_RF, 0);
}

static u64 tf_in_handler;
static void note_tf(struct regs *r)
{
    tf_in_handler = read_flags() & FLAG_TF;
    CHECK_EQ(r->rflags & FLAG_TF, FLAG_TF);
}

static void int_n_clears_tf_and_iret_brings_it_back(void)
{
    handlers[0x40] = note_tf;
    run(st_int);
    handlers[0x40] = NULL;
    CHECK_EQ(tf_in_handler, 0);
    /* nothing for INT and for IRET; then what follows */
    CHECK_EQ(step_count, OFF_STEPS);
}

static void iret_traps_after_the_next_instruction(void)
{
    run(st_iret);
    step_is(0, st_iret_2);
    CHECK_EQ(step_count, 1 + OFF_STEPS);
}

static void sti_and_serializing_instructions_trap_too(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    run(st_sti);
    step_is(0, st_sti_1);
    step_is(1, st_sti_2);
    run(st_cpuid);
    step_is(0, st_cpuid_1);
    step_is(1, st_cpuid_2);
    run(st_jmp);
    step_is(0, st_jmp_1);
}

static void skip_ud(struct regs *r)
{
    CHECK_EQ(r->rflags & FLAG_TF, FLAG_TF);
    CHECK_EQ(r->rip, (u64)st_ud_1);
    r->rip += 2;
}

static void a_fault_does_not_trap(void)
{
    handlers[UD] = skip_ud;
    run(st_ud);
    handlers[UD] = NULL;
    CHECK_EQ(step_count, OFF_STEPS);
}

/* The trap of the instruction before comes first (SDM table 6-2); then the breakpoint's fault,
 * unless the processor reported both at once. */
static void step_and_breakpoint_meet(void)
{
    step_count = 0;
    write_dr0((u64)st_bp_1);
    write_dr7(0x402);
    run(st_bp);
    write_dr7(0x400);
    CHECK(step_count >= 2);
    CHECK_EQ(steps[0].rip, (u64)st_bp_1);
    CHECK(steps[0].dr6 & DR6_BS);
}

static void syscall_with_tf_masked_does_not_trap(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (u64)0x20 << 48 | (u64)KCS << 32);
    wrmsr(MSR_LSTAR, (u64)st_syscall_entry);
    gate_ist(0x42, 3);
    gate_ist(DB, 4);
    handlers[DB] = on_step;
    wrmsr(MSR_SFMASK, FLAG_TF);
    step_count = 0;
    CHECK_EQ(guarded_user(user_address(st_user_syscall), 0, UCS, 2), 0x42);
    CHECK_EQ(step_count, 0);
    CHECK_EQ(trap.r.r11 & FLAG_TF, FLAG_TF);
    /* TF not masked: SYSCALL itself traps, at its target, and then each instruction there. */
    wrmsr(MSR_SFMASK, 0);
    step_count = 0;
    CHECK_EQ(guarded_user(user_address(st_user_syscall), 0, UCS, 2), 0x42);
    CHECK_EQ(step_count, 3);
    CHECK_EQ(steps[0].rip, (u64)st_syscall_entry);
    CHECK_EQ(steps[0].cs, KCS);
    handlers[DB] = NULL;
    gate_default(DB);
}

int main(void)
{
    RUN(every_instruction_after_popf_traps);
    RUN(mov_ss_holds_the_trap_back);
    RUN(rep_traps_after_every_element);
    RUN(int_n_clears_tf_and_iret_brings_it_back);
    RUN(iret_traps_after_the_next_instruction);
    RUN(sti_and_serializing_instructions_trap_too);
    RUN(a_fault_does_not_trap);
    RUN(step_and_breakpoint_meet);
    RUN(syscall_with_tf_masked_does_not_trap);
    return 0;
}
