/*
 * long_gates.c: interrupts and exceptions in 64-bit mode: gates and their error codes, stacks from
 * RSP0 and IST, frames, nesting to double fault, and IRETQ in all its directions.
 *
 * SDM vol. 3A 6.12.1, 6.14; APM vol. 2 8.9. The error code of a bad gate is vector * 8 + 2 (IDT), +
 * 1 (EXT) for hardware and exceptions; QEMU 7.2 gives vector * 16 + 2 for INT n (it doubles with
 * the size of the gate), against SDM vol. 3A 6.13.
 */
#include "long.h"

static void int_40(u64 x)
{
    (void)x;
    __asm__ volatile("int $0x40");
}
static void int_ff(u64 x)
{
    (void)x;
    __asm__ volatile("int $0xff");
}
static void int3_(u64 x)
{
    (void)x;
    __asm__ volatile("int3");
}
static void ud2_(u64 x)
{
    (void)x;
    __asm__ volatile("ud2");
}
static void int_11(u64 x)
{
    (void)x;
    __asm__ volatile("int $17");
}
static u64 stub(unsigned v)
{
    return (u64)trap_stubs + 16 * v;
}

/* ---- gates
 * --------------------------------------------------------------------------------------------- */

static void bad_gates_name_themselves(void)
{
    static const u8 bad_types[] = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
                                   0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x9e, 0x9f};
    for (unsigned i = 0; i < COUNT(bad_types); i++) {
        context("type %x", bad_types[i], 0, 0, 0);
        gate_set(0x40, stub(0x40), KCS, bad_types[i], 0);
        if (CHECK_EQ(guarded(int_40, 0), GP))
            CHECK_EQ(trap.r.error, 0x40 * 8 + 2);
    }
    gate_set(0x40, stub(0x40), KCS, 0x0e, 0);
    if (CHECK_EQ(guarded(int_40, 0), NP))
        CHECK_EQ(trap.r.error, 0x40 * 8 + 2);
    gate_set(0x40, stub(0x40), KCS, 0x8e, 0);
    CHECK_EQ(guarded(int_40, 0), 0x40);
    if (CHECK_EQ(guarded_cpl3(int_40, 0), GP))
        CHECK_EQ(trap.r.error, 0x40 * 8 + 2);
    gate_set(0x40, stub(0x40), KCS, 0xee, 0);
    CHECK_EQ(guarded_cpl3(int_40, 0), 0x40);
    gate_default(0x40);
}

static void a_fault_of_delivery_is_external_for_exceptions_only(void)
{
    gate_set(UD, stub(UD), KCS, 0x0e, 0);
    if (CHECK_EQ(guarded(ud2_, 0), NP))
        CHECK_EQ(trap.r.error, UD * 8 + 3);
    gate_default(UD);
    gate_set(0x40, stub(0x40), SPARE_SEL, 0x8e, 0); /* an empty descriptor */
    if (CHECK_EQ(guarded(int_40, 0), GP))
        CHECK_EQ(trap.r.error, SPARE_SEL);
    gate_set(UD, stub(UD), SPARE_SEL, 0x8e, 0);
    if (CHECK_EQ(guarded(ud2_, 0), GP))
        CHECK_EQ(trap.r.error, SPARE_SEL + 1);
    gate_default(UD);
    gate_default(0x40);
}

static void handlers_must_be_64_bit_code_of_enough_privilege(void)
{
    static const struct {
        u64 desc;
        u16 sel;
        u8 vector;
        u16 error;
    } rows[] = {
        {0x00cf9b000000ffff, SPARE_SEL, GP, SPARE_SEL},         /* 32-bit */
        {0x00ef9b000000ffff, SPARE_SEL, GP, SPARE_SEL},         /* L and D */
        {0x00cf93000000ffff, SPARE_SEL, GP, SPARE_SEL},         /* data */
        {0x00af1b000000ffff, SPARE_SEL, NP, SPARE_SEL},         /* not present */
        {0x00affb000000ffff, SPARE_SEL, GP, SPARE_SEL},         /* DPL 3 > CPL 0 */
        {0x00af9b000000ffff, 0, GP, 0},                         /* null */
        {0x00af9b000000ffff, GDT_BYTES, GP, GDT_BYTES},         /* beyond the table */
        {0x00af9b000000ffff, SPARE_SEL | 4, GP, SPARE_SEL | 4}, /* no LDT */
    };
    for (unsigned i = 0; i < COUNT(rows); i++) {
        context("row %d", i, 0, 0, 0);
        gdt[SPARE_SEL / 8] = rows[i].desc;
        gate_set(0x40, stub(0x40), rows[i].sel, 0x8e, 0);
        if (CHECK_EQ(guarded(int_40, 0), rows[i].vector))
            CHECK_EQ(trap.r.error, rows[i].error);
    }
    gdt[SPARE_SEL / 8] = 0x00af9b000000ffff;
    gate_set(0x40, stub(0x40), SPARE_SEL | 3, 0x8e, 0); /* RPL does not matter */
    CHECK_EQ(guarded(int_40, 0), 0x40);
    CHECK_EQ(trap.r.cs, KCS); /* of the interrupted code */
    gate_set(0x40, 0x0000800000000000, KCS, 0x8e, 0);
    CHECK_EQ(guarded(int_40, 0), GP);
    gdt[SPARE_SEL / 8] = 0;
    gate_default(0x40);
}

static void vectors_beyond_the_limit_are_gp(void)
{
    idt_load((u64)idt, 0x82 * 16 - 1);
    CHECK_EQ(guarded(int_40, 0), 0x40);
    if (CHECK_EQ(guarded(int_ff, 0), GP))
        CHECK_EQ(trap.r.error, 0xff * 8 + 2);
    idt_load((u64)idt, 0x40 * 16 + 7); /* half a gate */
    if (CHECK_EQ(guarded(int_40, 0), GP))
        CHECK_EQ(trap.r.error, 0x40 * 8 + 2);
    idt_load((u64)idt, 0xfff);
}

/* INT 17 pushes no error code, although #AC does: the stub's frame is then one slot off. */
static void int_n_pushes_no_error_code(void)
{
    handlers[AC] = NULL;
    gate_set(17, stub(0x41), KCS, 0x8e, 0);
    CHECK_EQ(guarded(int_11, 0), 0x41);
    CHECK_EQ(trap.r.cs, KCS);
    gate_default(17);
}

static u64 recorded_flags;
static void record_flags(struct regs *r)
{
    (void)r;
    recorded_flags = read_flags();
}

static void trap_gates_keep_if_and_interrupt_gates_clear_it(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    handlers[0x40] = record_flags;
    for (unsigned trap_gate = 0; trap_gate < 2; trap_gate++) {
        gate_set(0x40, stub(0x40), KCS, 0x8e + trap_gate, 0);
        sti();
        int_40(0);
        cli();
        CHECK_EQ(recorded_flags & FLAG_IF, trap_gate ? FLAG_IF : 0);
    }
    handlers[0x40] = NULL;
    gate_default(0x40);
}

/* ---- stacks
 * ------------------------------------------------------------------------------------------------
 */

static u64 handler_frame;
static struct regs frame_copy;
static void record_frame(struct regs *r)
{
    handler_frame = (u64)r;
    frame_copy = *r;
}

static void users_arrive_on_rsp0(void)
{
    gate_set(0x40, stub(0x40), KCS, 0xee, 0);
    handlers[0x40] = record_frame;
    CHECK_EQ(guarded_cpl3(int_40, 0), NO_TRAP);
    CHECK_EQ(handler_frame + sizeof(struct regs), (u64)rsp0_stack_top);
    CHECK_EQ(frame_copy.cs, UCS);
    CHECK_EQ(frame_copy.ss, UDS);
    CHECK_EQ(frame_copy.rsp & ~0xfffull, (user_address(user_stack_top) - 8) & ~0xfffull);
    tss_set(TSS_RSP(0), (u64)rsp0_stack_top - 8); /* the CPU aligns to 16 bytes */
    CHECK_EQ(guarded_cpl3(int_40, 0), NO_TRAP);
    CHECK_EQ(handler_frame + sizeof(struct regs), (u64)rsp0_stack_top - 16);
    tss_set(TSS_RSP(0), (u64)rsp0_stack_top);
    handlers[0x40] = NULL;
    gate_default(0x40);
}

static void ist_serves_every_privilege(void)
{
    handlers[0x40] = record_frame;
    for (unsigned ist = 1; ist <= 7; ist++)
        for (unsigned user = 0; user < 2; user++) {
            context("IST %d user %d", ist, user, 0, 0);
            gate_set(0x40, stub(0x40), KCS, 0xee, (u8)ist);
            CHECK_EQ(user ? guarded_cpl3(int_40, 0) : guarded(int_40, 0), NO_TRAP);
            CHECK_EQ(handler_frame + sizeof(struct regs), (u64)ist_stacks + ist * IST_BYTES);
            CHECK_EQ(frame_copy.ss, user ? UDS : KDS);
        }
    handlers[0x40] = NULL;
    gate_default(0x40);
}

static u64 ss_in_handler;
static void record_ss(struct regs *r)
{
    (void)r;
    __asm__ volatile("mov %%ss, %0" : "=r"(ss_in_handler));
}

/* A change of privilege loads a null SS with RPL = new CPL; without one SS stays (also with IST).
 */
static void ss_is_null_after_a_change_of_privilege(void)
{
    gate_set(0x40, stub(0x40), KCS, 0xee, 0);
    handlers[0x40] = record_ss;
    CHECK_EQ(guarded_cpl3(int_40, 0), NO_TRAP);
    CHECK_EQ(ss_in_handler, 0);
    CHECK_EQ(guarded(int_40, 0), NO_TRAP);
    CHECK_EQ(ss_in_handler, KDS);
    handlers[0x40] = NULL;
    gate_default(0x40);
}

static void bad_stacks_fault(void)
{
    gate_set(0x40, stub(0x40), KCS, 0xee, 0);
    gate_ist(SS, 2);
    gate_ist(PF, 2);
    tss_set(TSS_RSP(0), 0x0000800000000000);
    if (CHECK_EQ(guarded_cpl3(int_40, 0), SS))
        CHECK_EQ(trap.r.error, 0);
    tss_set(TSS_RSP(0), 0x0000600000000000);
    if (CHECK_EQ(guarded_cpl3(int_40, 0), PF)) {
        CHECK_EQ(trap.cr2, 0x0000600000000000 - 8);
        CHECK_EQ(trap.r.error, 2); /* a supervisor's write */
        CHECK_EQ(trap.r.cs, UCS);
    }
    tss_set(TSS_RSP(0), (u64)rsp0_stack_top);
    gate_default(SS);
    gate_default(PF);
    gate_default(0x40);
}

/* ---- nesting
 * --------------------------------------------------------------------------------------------------
 */

static void read_page(u64 va)
{
    *(volatile u8 *)va;
}

static void faults_double_as_the_table_says(void)
{
    gate_set(GP, stub(GP), KCS, 0x0e, 0); /* #GP cannot be delivered: #NP */
    gate_set(NP, stub(NP), KCS, 0x0e, 0);
    struct {
        void (*fn)(u64);
        u64 arg;
        u8 vector;
    } rows[] = {{int_40, 0, DF}, {read_page, 0x600000000000, PF}, {ud2_, 0, UD}};
    gate_set(0x40, stub(0x40), KCS, 0x80, 0);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        context("row %d", i, 0, 0, 0);
        CHECK_EQ(guarded(rows[i].fn, rows[i].arg), rows[i].vector);
    }
    gate_set(PF, stub(PF), KCS, 0x0e, 0); /* #PF, then #NP: double */
    if (CHECK_EQ(guarded(read_page, 0x600000000000), DF))
        CHECK_EQ(trap.r.error, 0);
    gate_default(NP);
    gate_set(UD, stub(UD), KCS, 0x0e, 0); /* benign then contributory: served one after the other */
    CHECK_EQ(guarded(ud2_, 0), NP);
    for (unsigned v = 0; v < 32; v++)
        gate_default(v);
    gate_default(0x40);
}

/* ---- IRETQ
 * ------------------------------------------------------------------------------------------------------
 */

struct iret_frame {
    u64 rip, cs, rflags, rsp, ss;
};

static NOINLINE void do_iret(u64 frame)
{
    __asm__ volatile("mov %0, %%rsp; iretq" : : "r"(frame) : "memory");
}

__asm__(".text\n"
        "iret_landing: mov %ss, %eax; mov %rsp, %rcx; pushfq; pop %rdx; int $0x42\n"
        "iret_landing3: mov %ss, %eax; mov %esp, %ecx; int $0x42\n");
extern u8 iret_landing[], iret_landing3[];
static u64 iret_stack[1024] __attribute__((aligned(16)));

static u64 iret(u64 rip, u64 cs, u64 rflags, u64 rsp, u64 ss)
{
    static struct iret_frame f;
    f = (struct iret_frame){rip, cs, rflags, rsp, ss};
    return guarded(do_iret, (u64)&f);
}

static void iretq_returns_to_every_mode(void)
{
    u64 top = (u64)&iret_stack[1024], landing = (u64)iret_landing;
    gate_set(0x42, stub(0x42), KCS, 0xee, 0);
    CHECK_EQ(iret(landing, KCS, 0x246, top, KDS), 0x42);
    CHECK_EQ(trap.r.rcx, top);
    CHECK_EQ(trap.r.rdx, 0x246);
    CHECK_EQ(iret(landing, KCS, 2, top, 0), 0x42); /* null SS */
    CHECK_EQ(trap.r.rax, 0);
    CHECK_EQ(iret(user_address(iret_landing), UCS, 2, top + USER_OFFSET, UDS), 0x42);
    CHECK_EQ(trap.r.cs, UCS);
    CHECK_EQ(trap.r.rax, UDS);
    CHECK_EQ(iret((u64)iret_landing3, KCS32, 2, top, KDS), 0x42); /* compatibility mode */
    CHECK_EQ(trap.r.cs, KCS32);
    CHECK_EQ(iret(user_address(iret_landing3), UCS32, 2, top + USER_OFFSET, UDS), 0x42);
    CHECK_EQ(trap.r.cs, UCS32);
    CHECK_EQ(trap.r.rcx, top + USER_OFFSET);
    gate_default(0x42);
}

static void iretq_refuses_what_is_wrong(void)
{
    u64 top = (u64)&iret_stack[1024], rip = (u64)iret_landing;
    gate_ist(GP, 2); /* the stack is a small array */
    gate_ist(NP, 2);
    gate_ist(SS, 2);
    gdt[SPARE_SEL / 8] = 0x00af1b000000ffff;     /* code, not present */
    gdt[SPARE_SEL / 8 + 1] = 0x00cf13000000ffff; /* data, not present */
    gdt[SPARE_SEL / 8 + 2] = 0x00ef9b000000ffff; /* L and D */
    struct {
        u64 rip, cs, flags, ss;
        u8 vector;
        u16 error;
    } rows[] = {
        {rip, 0, 2, KDS, GP, 0},
        {rip, 3, 2, KDS, GP, 0},
        {rip, KDS, 2, KDS, GP, KDS},
        {rip, KCS | 3, 2, UDS, GP, KCS}, /* RPL is not DPL */
        {rip, UCS & ~3u, 2, KDS, GP, UCS & ~3u},
        {rip, SPARE_SEL, 2, KDS, NP, SPARE_SEL},
        {rip, SPARE_SEL + 16, 2, KDS, GP, SPARE_SEL + 16},
        {rip, GDT_BYTES, 2, KDS, GP, GDT_BYTES},
        {rip, KCS, 2, UDS, GP, UDS & ~3u},
        {rip, KCS, 2, KCS, GP, KCS},
        {rip, KCS, 2, SPARE_SEL + 8, SS, SPARE_SEL + 8},
        {rip, KCS, 2, 3, GP, 0},
        {rip, UCS, 2, 3, GP, 0},   /* null SS at CPL 3 */
        {rip, KCS32, 2, 0, GP, 0}, /* null SS in compatibility mode */
        {rip, UCS, 2, KDS, GP, KDS},
        {0x0000800000000000, UCS, 2, UDS, GP, 0},
        {BIT(32), UCS32, 2, UDS, GP, 0}, /* beyond the limit */
    };
    for (unsigned i = 0; i < COUNT(rows); i++) {
        context("row %d", i, 0, 0, 0);
        if (CHECK_EQ(iret(rows[i].rip, rows[i].cs, rows[i].flags, top, rows[i].ss),
                     rows[i].vector)) {
            CHECK_EQ(trap.r.error, rows[i].error);
            CHECK_EQ(trap.r.cs, KCS);
        }
    }
    gdt[SPARE_SEL / 8] = gdt[SPARE_SEL / 8 + 1] = gdt[SPARE_SEL / 8 + 2] = 0;
    gate_default(GP);
    gate_default(NP);
    gate_default(SS);
}

static void iretq_with_nt_is_gp(void)
{
    gate_ist(GP, 2);
    __asm__ volatile("pushfq; orl $0x4000, (%%rsp); popfq" : : : "memory");
    if (CHECK_EQ(iret((u64)iret_landing, KCS, 2, (u64)&iret_stack[1024], KDS), GP))
        CHECK_EQ(trap.r.error, 0);
    __asm__ volatile("pushfq; andl $~0x4000, (%%rsp); popfq" : : : "memory");
    gate_default(GP);
}

static void users_change_no_iopl_or_if_by_iretq_and_popf(void)
{
    static const u64 tries[] = {0x3202, 0x202, 0x1002};
    extern void user_popf(u64);
    gate_set(0x42, stub(0x42), KCS, 0xee, 0);
    for (unsigned i = 0; i < COUNT(tries); i++) {
        CHECK_EQ(guarded_cpl3(user_popf, tries[i]), 0x42);
        CHECK_EQ(trap.r.rflags & 0x3200, 0);
    }
    gate_default(0x42);
}

__asm__(".text\n.global user_popf\nuser_popf: push %rdi; popfq; int $0x42\n");

static void int3_is_open_to_users(void)
{
    CHECK_EQ(guarded(int3_, 0), BP);
    CHECK_EQ(guarded_cpl3(int3_, 0), BP);
    gate_set(BP, stub(BP), KCS, 0x8e, 0);
    if (CHECK_EQ(guarded_cpl3(int3_, 0), GP))
        CHECK_EQ(trap.r.error, BP * 8 + 2);
    gate_default(BP);
}

int main(void)
{
    RUN(bad_gates_name_themselves);
    RUN(a_fault_of_delivery_is_external_for_exceptions_only);
    RUN(handlers_must_be_64_bit_code_of_enough_privilege);
    RUN(vectors_beyond_the_limit_are_gp);
    RUN(int_n_pushes_no_error_code);
    RUN(trap_gates_keep_if_and_interrupt_gates_clear_it);
    RUN(users_arrive_on_rsp0);
    RUN(ist_serves_every_privilege);
    RUN(ss_is_null_after_a_change_of_privilege);
    RUN(bad_stacks_fault);
    RUN(faults_double_as_the_table_says);
    RUN(iretq_returns_to_every_mode);
    RUN(iretq_refuses_what_is_wrong);
    RUN(iretq_with_nt_is_gp);
    RUN(users_change_no_iopl_or_if_by_iretq_and_popf);
    RUN(int3_is_open_to_users);
    return 0;
}
