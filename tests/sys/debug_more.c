/*
 * debug_more.c: debugging where it meets something else: HLT, REP, user mode, IST, absent pages,
 * compatibility mode, and RF in the frames of faults, traps and interrupts.
 *
 * SDM vol. 3B 17.3.1.1, table 17-2, vol. 3A table 6-2. QEMU 7.2 sleeps in a stepped HLT for good.
 */
#include "long.h"

#define DR6_CLEAR 0xffff0ff0
#define DR6_BS BIT(14)
#define EXEC(n) (2ull << (2 * (n)))

static volatile unsigned count;
static struct {
    u64 rip, dr6, cs, rflags, rcx;
} seen[32];

static void on_db(struct regs *r)
{
    if (count < COUNT(seen)) {
        seen[count].rip = r->rip;
        seen[count].dr6 = read_dr6();
        seen[count].cs = r->cs;
        seen[count].rflags = r->rflags;
        seen[count].rcx = r->rcx;
    }
    count = count + 1;
    if (read_dr6() & 0xf)
        r->rflags |= FLAG_RF;
    write_dr6(DR6_CLEAR);
}

static void arm(u64 dr7)
{
    count = 0;
    handlers[DB] = on_db;
    write_dr6(DR6_CLEAR);
    write_dr7(0x400 | dr7);
}

static unsigned disarm(void)
{
    write_dr7(0x400);
    handlers[DB] = NULL;
    return count;
}

/* clang-format off */
__asm__(".text\n.global dm_hlt, dm_hlt_1, dm_rep, dm_rep_1, dm_user, dm_user_1, dm_user32\n"
        ".global dm_user32_1, dm_int, dm_int_1\n"
        "dm_hlt: pushfq; orl $0x100, (%rsp); popfq; hlt\n dm_hlt_1: pushfq; andl $~0x100, (%rsp); popfq; ret\n"
        "dm_rep: mov $4, %ecx; lea dm_buf(%rip), %rdi\n dm_rep_1: rep stosb\n ret\n"
        "dm_user: nop\n dm_user_1: nop\n ret\n"
        ".code32\n dm_user32: nop\n dm_user32_1: nop\n int $0x81\n.code64\n"
        "dm_int: nop\n dm_int_1: int $0x40\n ret\n"
        ".bss\n dm_buf: .skip 16\n.text\n");
/* clang-format on */
extern u8 dm_hlt_1[], dm_rep_1[], dm_user_1[], dm_user32[], dm_user32_1[], dm_int_1[];
void dm_hlt(u64), dm_rep(u64), dm_user(u64), dm_int(u64);

/* The trap after HLT ends it: it sleeps only until the pending #DB. */
static void single_step_wakes_hlt(void)
{
    arm(0);
    dm_hlt(0);
    disarm();
    CHECK_EQ(seen[0].rip, (u64)dm_hlt_1);
    CHECK_EQ(seen[0].dr6 & 0xf00f, DR6_BS);
}

static void a_breakpoint_on_rep_hits_once(void)
{
    write_dr0((u64)dm_rep_1);
    arm(EXEC(0));
    dm_rep(0);
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(seen[0].rcx, 4);
}

static void users_hit_breakpoints_too(void)
{
    write_dr1(user_address(dm_user_1));
    arm(EXEC(1));
    CHECK_EQ(guarded_cpl3(dm_user, 0), NO_TRAP);
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(seen[0].cs, UCS);
    CHECK_EQ(seen[0].rip, user_address(dm_user_1));
    write_dr1(user_address(dm_user32_1));
    arm(EXEC(1));
    CHECK_EQ(guarded_user(user_address(dm_user32), 0, UCS32, 2), NO_TRAP);
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(seen[0].cs, UCS32);
}

static void users_step(void)
{
    arm(0);
    CHECK_EQ(guarded_user(user_address((void *)(u64)dm_user), 0, UCS, FLAG_TF | 2), NO_TRAP);
    CHECK(disarm() >= 3);
    CHECK_EQ(seen[0].rip, user_address(dm_user_1));
    CHECK_EQ(seen[0].cs, UCS);
}

/* IRET with RF set lets the instruction at its target pass its breakpoint. */
static void rf_of_iret_passes_one_breakpoint(void)
{
    write_dr0(user_address((void *)(u64)dm_user));
    arm(EXEC(0));
    CHECK_EQ(guarded_user(user_address((void *)(u64)dm_user), 0, UCS, FLAG_RF | 2), NO_TRAP);
    CHECK_EQ(disarm(), 0);
    arm(EXEC(0));
    CHECK_EQ(guarded_user(user_address((void *)(u64)dm_user), 0, UCS, 2), NO_TRAP);
    CHECK_EQ(disarm(), 1);
}

static void breakpoint_before_fetch_fault(void)
{
    u64 va = 0x123440000000;
    write_dr0(va);
    arm(EXEC(0));
    CHECK_EQ(guarded((void (*)(u64))va, 0), PF);
    CHECK_EQ(disarm(), 1); /* breakpoints come before faults of the fetch: table 6-2 */
    CHECK_EQ(trap.r.rflags & FLAG_RF, FLAG_RF);
}

static u64 int_flags;
static void on_int(struct regs *r)
{
    int_flags = r->rflags;
}

static void int_n_pushes_no_rf_and_faults_do(void)
{
    handlers[0x40] = on_int;
    write_dr0((u64)dm_int_1);
    arm(EXEC(0));
    dm_int(0);
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(int_flags & FLAG_RF, 0);
    handlers[0x40] = NULL;
    gate_set(0x40, 0, KCS, 0, 0); /* not a gate */
    CHECK_EQ(guarded(dm_int, 0), GP);
    CHECK_EQ(trap.r.rflags & FLAG_RF, FLAG_RF);
    CHECK_EQ(trap.r.rip, (u64)dm_int_1);
    gate_default(0x40);
}

static void icebp_is_a_trap_without_conditions(void)
{
    u64 after;
    arm(0);
    __asm__ volatile("lea 1f(%%rip), %0; .byte 0xf1; 1:" : "=r"(after));
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(seen[0].rip, after);
    CHECK_EQ(seen[0].dr6 & 0xf00f, 0);
}

/* clang-format off */
__asm__(".text\n.global dm_ss, dm_ss_1\n"
        "dm_ss: mov %ss, %eax; mov %eax, %ss\n dm_ss_1: nop\n ret\n");
/* clang-format on */
extern u8 dm_ss_1[];
void dm_ss(u64);

/* Intel's MOV SS hides a breakpoint on the next instruction (SDM vol. 3A 6.8.3); AMD promises
 * nothing. */
static void mov_ss_hides_the_next_breakpoint(void)
{
    write_dr0((u64)dm_ss_1);
    arm(EXEC(0));
    dm_ss(0);
    CHECK(disarm() <= is_amd());
}

int main(void)
{
    RUN(single_step_wakes_hlt);
    RUN(a_breakpoint_on_rep_hits_once);
    RUN(users_hit_breakpoints_too);
    RUN(users_step);
    RUN(rf_of_iret_passes_one_breakpoint);
    RUN(breakpoint_before_fetch_fault);
    RUN(int_n_pushes_no_rf_and_faults_do);
    RUN(icebp_is_a_trap_without_conditions);
    RUN(mov_ss_hides_the_next_breakpoint);
    return 0;
}
