/*
 * pv_calls.c: KVM's hypercalls in code that is translated with their number known, known and doing
 * nothing, and not known. Run with -pv kvm.
 *
 * Facts: pv/kvm.h. Results are negated errors: 14 EFAULT, 22 EINVAL, 1 EPERM, 1000 ENOSYS.
 */
#include "long.h"

#define ROUNDS 100 /* more than it takes until code is hot */
#define ENOSYS 1000
#define EPERM 1

static struct regs before, after;

/* `number` sets RAX. What the call leaves in the other registers is in `after`, as they were in
 * `before`. */
#define CALL(name, number)                                                                         \
    static NOINLINE u64 name(u64 nr, u64 b, u64 c)                                                 \
    {                                                                                              \
        u64 d = 0x1111, s = 0x2222, r8 = 0x3333, a, di = nr;                                       \
        before = (struct regs){.rbx = b, .rcx = c, .rdx = d, .rsi = s, .rdi = di};                 \
        __asm__ volatile("mov %6, %%r8; stc;" number "; vmmcall; jnc 1f; mov %%r8, %5; 1:"         \
                         : "=&a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(s), "+D"(di)                  \
                         : "r"(r8)                                                                 \
                         : "r8", "memory", "cc");                                                  \
        after = (struct regs){.rbx = b, .rcx = c, .rdx = d, .rsi = s, .rdi = di};                  \
        return a;                                                                                  \
    }
CALL(call_null, "mov $1, %%eax")
CALL(call_kick, "mov $5, %%eax")
CALL(call_pairing, "mov $9, %%eax")
CALL(call_any, "mov %%rdi, %%rax")

static void check_registers(void)
{
    CHECK_EQ(after.rbx, before.rbx);
    CHECK_EQ(after.rcx, before.rcx);
    CHECK_EQ(after.rdx, before.rdx);
    CHECK_EQ(after.rsi, before.rsi);
    CHECK_EQ(after.rdi, 0x3333); /* CF has stayed */
}

static void calls_return_by_number(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        context("round %d", i, 0, 0, 0);
        CHECK_EQ(call_null(0, 7, 8), 0);
        check_registers();
        CHECK_EQ(call_any(1, 7, 8), 0);
        check_registers();
        CHECK_EQ(call_any(999, 7, 8), -(u64)ENOSYS);
        check_registers();
        CHECK_EQ(call_any(BIT(32) | 1, 7, 8), -(u64)ENOSYS);
        CHECK_EQ(call_kick(0, 0, 99), call_any(5, 0, 99)); /* no such CPU */
        check_registers();
        CHECK_EQ(call_pairing(0, BIT(45), 0), call_any(9, BIT(45), 0)); /* no such memory */
        check_registers();
    }
}

static NOINLINE void call_from_user(u64 nr)
{
    __asm__ volatile("mov $1, %%eax; vmmcall" : : "D"(nr) : "rax", "memory");
}

static void users_are_refused(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_EQ(guarded_cpl3(call_from_user, 0), NO_TRAP);
        CHECK_EQ(trap.r.rax, -(u64)EPERM);
    }
}

static volatile unsigned interrupts;

static void count_interrupt(struct regs *r)
{
    (void)r;
    interrupts++;
    *(volatile u32 *)(u64)0xfee000b0 = 0;
}

/* With a request that waits for IF the call is not done in place; nothing comes before STI. */
static void an_interrupt_waits_through_a_call(void)
{
    volatile u32 *apic = (void *)(u64)0xfee00000;
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    apic[0xf0 / 4] |= 0x100;
    handlers[0x50] = count_interrupt;
    for (unsigned i = 0; i < ROUNDS; i++) {
        interrupts = 0;
        cli();
        apic[0x300 / 4] = 0x44050;
        CHECK_EQ(call_null(0, 1, 2), 0);
        CHECK_EQ(interrupts, 0);
        __asm__ volatile("sti; nop; mov $1, %%eax; vmmcall; cli" : : : "rax", "memory");
        CHECK_EQ(interrupts, 1);
    }
    handlers[0x50] = NULL;
}

int main(void)
{
    RUN(calls_return_by_number);
    RUN(users_are_refused);
    RUN(an_interrupt_waits_through_a_call);
    return 0;
}
