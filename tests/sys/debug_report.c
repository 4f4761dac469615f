/*
 * debug_report.c: what #DB reports when conditions meet: DR6 that holds older bits, MOV SS before
 * INT1 or a breakpoint, SYSRET that sets TF.
 *
 * APM vol. 2 13.1.1.3 and SDM vol. 3B 17.2.3 (DR6), 17.3.1.4, vol. 3A 6.8.3 (MOV SS), vol. 2 INT1.
 * QEMU 7.2 raises #UD for INT1.
 */
#include "long.h"

#define DR6_CLEAR 0xffff0ff0
#define DR6_BS BIT(14)
#define DR7_BASE 0x400
#define DR7_G(n) (2ull << (2 * (n)))
#define DR7_ON_RW2(n) (7ull << (16 + 4 * (n))) /* reads and writes of 2 bytes */

static struct {
    u64 rip, dr6, cs;
} seen[8];
static unsigned count;

/* Notes what it finds and ends single step. */
static void on_db(struct regs *r)
{
    if (count < COUNT(seen)) {
        seen[count].rip = r->rip;
        seen[count].dr6 = read_dr6() & 0xf00f;
        seen[count].cs = r->cs;
    }
    count++;
    r->rflags = (r->rflags & ~FLAG_TF) | FLAG_RF;
    write_dr6(DR6_CLEAR);
}

static void run(void (*code)(u64), u64 dr6)
{
    count = 0;
    handlers[DB] = on_db;
    write_dr6(dr6);
    CHECK_EQ(guarded(code, 0), NO_TRAP);
    handlers[DB] = NULL;
    write_dr7(DR7_BASE);
    write_dr6(DR6_CLEAR);
}

/* clang-format off */
__asm__(".text\n"
        "nothing: ret\n"
        "step_int1: mov %ss, %eax; pushfq; orl $0x100, (%rsp); popfq\n"
        " mov %eax, %ss; .byte 0xf1; step_int1_end: ret\n"
        "watch_int1: movw selector(%rip), %ss; .byte 0xf1; watch_int1_end: ret\n"
        "break_ss: mov %ss, %eax; mov %eax, %ss; break_ss_end: ret\n"
        "leave_with_tf: mov %rdi, %rcx; mov $0x102, %r11d; sysretq\n"
        "user_code: nop; ud2\n"
        ".data\n.balign 2\nselector: .word 0x10\n.text\n");
/* clang-format on */
void nothing(u64), step_int1(u64), watch_int1(u64), break_ss(u64), leave_with_tf(u64);
extern u8 step_int1_end[], watch_int1_end[], break_ss_end[], user_code[];
extern u16 selector;

static void b0_to_b3_are_written_anew_and_bs_stays(void)
{
    write_dr2((u64)nothing);
    write_dr7(DR7_BASE | DR7_G(2));
    run(nothing, DR6_CLEAR | DR6_BS | BIT(1));
    CHECK_EQ(count, 1);
    CHECK_EQ(seen[0].dr6, DR6_BS | BIT(2));
}

static void int1_after_mov_ss_reports_no_step(void)
{
    run(step_int1, DR6_CLEAR);
    CHECK_EQ(count, 1);
    CHECK_EQ(seen[0].rip, (u64)step_int1_end);
    CHECK_EQ(seen[0].dr6, 0);
}

static void int1_reports_the_breakpoint_that_mov_ss_held_back(void)
{
    CHECK_EQ(selector, KDS);
    write_dr1((u64)&selector);
    write_dr7(DR7_BASE | DR7_G(1) | DR7_ON_RW2(1));
    run(watch_int1, DR6_CLEAR);
    CHECK_EQ(count, 1);
    CHECK_EQ(seen[0].rip, (u64)watch_int1_end);
    CHECK_EQ(seen[0].dr6, BIT(1));
}

static void mov_ss_hides_an_instruction_breakpoint_on_intel_alone(void)
{
    write_dr0((u64)break_ss_end);
    write_dr7(DR7_BASE | DR7_G(0));
    run(break_ss, DR6_CLEAR);
    CHECK_EQ(count, is_amd());
}

static void sysret_that_sets_tf_traps_before_the_users_first_instruction(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (u64)0x20 << 48 | (u64)KCS << 32);
    count = 0;
    handlers[DB] = on_db;
    CHECK_EQ(guarded(leave_with_tf, user_address(user_code)), UD);
    handlers[DB] = NULL;
    CHECK_EQ(count, 1);
    CHECK_EQ(seen[0].rip, user_address(user_code));
    CHECK_EQ(seen[0].cs, UCS);
    CHECK_EQ(seen[0].dr6, DR6_BS);
}

int main(void)
{
    RUN(b0_to_b3_are_written_anew_and_bs_stays);
    RUN(int1_after_mov_ss_reports_no_step);
    RUN(int1_reports_the_breakpoint_that_mov_ss_held_back);
    RUN(mov_ss_hides_an_instruction_breakpoint_on_intel_alone);
    RUN(sysret_that_sets_tf_traps_before_the_users_first_instruction);
    return 0;
}
