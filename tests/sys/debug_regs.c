/*
 * debug_regs.c: breakpoints by DR0 to DR3, DR6, DR7, general detect, RF, and single step.
 *
 * SDM vol. 3B 17.2, 17.3 (debug exceptions), 6.9 (priorities); APM vol. 2 13.1. Instruction
 * breakpoints fault, data and I/O breakpoints and single step trap. QEMU 7.2 neither aligns
 * breakpoints nor sees accesses that only overlap them, nor reports several together.
 */
#include "long.h"

#define DR6_CLEAR 0xffff0ff0
#define DR6_BD BIT(13)
#define DR6_BS BIT(14)
#define DR7_BASE 0x400
enum { ON_EXEC = 0, ON_WRITE = 1, ON_IO = 2, ON_RW = 3 };
enum { LEN1 = 0, LEN2 = 1, LEN8 = 2, LEN4 = 3 };

static u64 dr7(unsigned n, unsigned type, unsigned len)
{
    return 2ull << (2 * n) | (u64)(type | len << 2) << (16 + 4 * n);
}

static void set_dr(unsigned n, u64 v)
{
    switch (n) {
    case 0: write_dr0(v); break;
    case 1: write_dr1(v); break;
    case 2: write_dr2(v); break;
    default: write_dr3(v); break;
    }
}

/* What #DB found, in order. */
static struct hit {
    u64 rip, dr6, rflags, dr7, rcx;
} hits[64];
static unsigned hit_count;
static bool set_rf;

static void on_db(struct regs *r)
{
    if (hit_count < COUNT(hits))
        hits[hit_count++] = (struct hit){r->rip, read_dr6(), r->rflags, read_dr7(), r->rcx};
    write_dr6(DR6_CLEAR);
    if (set_rf)
        r->rflags |= FLAG_RF;
    else
        write_dr7(DR7_BASE);
}

static void arm(u64 v)
{
    hit_count = 0;
    set_rf = true;
    write_dr6(DR6_CLEAR);
    write_dr7(DR7_BASE | v);
}

static unsigned disarm(void)
{
    write_dr7(DR7_BASE);
    return hit_count;
}

/* ---- registers
 * ------------------------------------------------------------------------------------- */

static void do_dr6(u64 v)
{
    write_dr6(v);
}
static void do_dr7(u64 v)
{
    write_dr7(v);
}
static void do_dr0(u64 v)
{
    write_dr0(v);
}
static void do_dr4(u64 v)
{
    (void)v;
    __asm__ volatile(".byte 0x0f, 0x21, 0xe0" : : : "rax");
}
static void do_dr5(u64 v)
{
    (void)v;
    __asm__ volatile(".byte 0x0f, 0x21, 0xe8" : : : "rax");
}
static void do_dr8(u64 v)
{
    (void)v;
    __asm__ volatile(".byte 0x44, 0x0f, 0x21, 0xc0" : : : "rax");
}

static void fixed_bits_read_as_they_must(void)
{
    write_dr6(0);
    CHECK_EQ(read_dr6() & ~BIT(16), 0xfffe0ff0);
    write_dr6(0xffffffff);
    CHECK_EQ(read_dr6() & 0xf00f, 0xe00f);
    write_dr6(DR6_CLEAR);
    write_dr7(0);
    CHECK_EQ(read_dr7(), 0x400);
    write_dr7(0x5fff00aa & ~BIT(13));
    CHECK_EQ(read_dr7() & 0xff, 0xaa);
    write_dr7(DR7_BASE);
}

static void upper_halves_of_dr6_and_dr7_must_be_0(void)
{
    CHECK_EQ(guarded(do_dr6, BIT(32)), GP);
    CHECK_EQ(guarded(do_dr7, BIT(63)), GP);
    CHECK_EQ(guarded(do_dr6, DR6_CLEAR), NO_TRAP);
}

/* MOV DR does not look at the address (SDM vol. 3B 17.2.6). */
static void dr0_takes_any_address(void)
{
    CHECK_EQ(guarded(do_dr0, 0x0123456789abcdef), NO_TRAP);
    CHECK_EQ(read_dr0(), 0x0123456789abcdef);
    write_dr0(0);
}

static void dr4_and_dr5_are_aliases_without_de(void)
{
    CHECK_EQ(guarded(do_dr4, 0), NO_TRAP);
    CHECK_EQ(guarded(do_dr5, 0), NO_TRAP);
    write_cr4(read_cr4() | CR4_DE);
    CHECK_EQ(guarded(do_dr4, 0), UD);
    CHECK_EQ(guarded(do_dr5, 0), UD);
    write_cr4(read_cr4() & ~CR4_DE);
    CHECK_EQ(guarded(do_dr8, 0), UD);
}

static void users_may_not_touch_them(void)
{
    CHECK_EQ(guarded_cpl3(do_dr6, DR6_CLEAR), GP);
    CHECK_EQ(guarded_cpl3(do_dr4, 0), GP);
}

static void general_detect_guards_the_registers_once(void)
{
    hit_count = 0;
    set_rf = false;
    handlers[DB] = on_db;
    write_dr7(DR7_BASE | BIT(13));
    (void)read_dr0(); /* faults, the handler finds GD cleared */
    handlers[DB] = NULL;
    CHECK_EQ(hit_count, 1);
    CHECK_EQ(hits[0].dr6 & 0xf00f, DR6_BD);
    CHECK_EQ(hits[0].dr7 & BIT(13), 0);
    CHECK_EQ(*(u16 *)hits[0].rip, 0x210f); /* it points at the MOV */
}

/* ---- instruction breakpoints
 * -------------------------------------------------------------------------- */

/* clang-format off */
__asm__(".text\n.global bp_code, bp_two, bp_end, bp_ud\n"
        "bp_code: nop\n"
        "bp_two: nop\n"
        "bp_end: ret\n"
        "bp_ud: ud2\n");
/* clang-format on */
extern u8 bp_two[], bp_ud[];
void bp_code(u64);

static void an_instruction_breakpoint_faults_before_it(void)
{
    handlers[DB] = on_db;
    for (unsigned n = 0; n < 4; n++) {
        set_dr(n, (u64)bp_two);
        arm(dr7(n, ON_EXEC, LEN1));
        bp_code(0);
        CHECK_EQ(disarm(), 1); /* RF let it pass the second time */
        CHECK_EQ(hits[0].rip, (u64)bp_two);
        CHECK_EQ(hits[0].dr6 & 0xf00f, BIT(n));
        CHECK_EQ(hits[0].rflags & FLAG_RF, 0);
    }
    handlers[DB] = NULL;
}

static void both_enables_count_and_none_does_not(void)
{
    handlers[DB] = on_db;
    write_dr0((u64)bp_two);
    arm(BIT(0)); /* L0 */
    bp_code(0);
    CHECK_EQ(disarm(), 1);
    arm(BIT(1)); /* G0 */
    bp_code(0);
    CHECK_EQ(disarm(), 1);
    arm(0);
    bp_code(0);
    CHECK_EQ(disarm(), 0);
    handlers[DB] = NULL;
}

static void a_breakpoint_comes_before_the_fault_of_its_instruction(void)
{
    handlers[DB] = on_db;
    write_dr1((u64)bp_ud);
    arm(dr7(1, ON_EXEC, LEN1));
    CHECK_EQ(guarded((void (*)(u64))(u64)bp_ud, 0), UD);
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(trap.r.rflags & FLAG_RF, FLAG_RF); /* faults push RF */
    handlers[DB] = NULL;
}

/* ---- data breakpoints
 * ------------------------------------------------------------------------------------ */

static u8 watched[64] __attribute__((aligned(64)));

static NOINLINE void w1(u64 a)
{
    *(volatile u8 *)a = 1;
}
static NOINLINE void w2(u64 a)
{
    *(volatile u16 *)a = 1;
}
static NOINLINE void w4(u64 a)
{
    *(volatile u32 *)a = 1;
}
static NOINLINE void w8(u64 a)
{
    *(volatile u64 *)a = 1;
}
static NOINLINE void w16(u64 a)
{
    __asm__ volatile("movups %%xmm0, (%0)" : : "r"(a) : "memory");
}
static NOINLINE void r1(u64 a)
{
    *(volatile u8 *)a;
}
static NOINLINE void r4(u64 a)
{
    *(volatile u32 *)a;
}
static NOINLINE void r8(u64 a)
{
    *(volatile u64 *)a;
}
static NOINLINE void add4(u64 a)
{
    __asm__ volatile("lock addl $1, (%0)" : : "r"(a) : "memory");
}

static const struct {
    void (*fn)(u64);
    u8 size;
    bool write;
} accesses[] = {{w1, 1, 1}, {w2, 2, 1}, {w4, 4, 1}, {w8, 8, 1},  {w16, 16, 1},
                {r1, 1, 0}, {r4, 4, 0}, {r8, 8, 0}, {add4, 4, 1}};

static void data_breakpoints_hit_where_they_overlap(void)
{
    static const u8 len_code[] = {LEN1, LEN2, LEN4, LEN8};
    handlers[DB] = on_db;
    for (unsigned l = 0; l < 4; l++)
        for (unsigned rw = 0; rw < 2; rw++)
            for (unsigned i = 0; i < COUNT(accesses); i++)
                for (unsigned at = 0; at < 40; at++) {
                    u64 len = 1u << l, from = 16;
                    write_dr2((u64)watched + from);
                    arm(dr7(2, rw ? ON_RW : ON_WRITE, len_code[l]));
                    accesses[i].fn((u64)watched + at);
                    disarm();
                    bool want = at < from + len && at + accesses[i].size > from &&
                                (accesses[i].write || rw);
                    context("length %d rw %d access %d at %d", len, rw, i, at);
                    CHECK_EQ(hit_count, want);
                    if (want && hit_count)
                        CHECK_EQ(hits[0].dr6 & 0xf00f, BIT(2));
                }
    handlers[DB] = NULL;
}

/* Low bits of the address are ignored by the length (SDM 17.2.5). */
static void the_length_aligns_the_address(void)
{
    handlers[DB] = on_db;
    write_dr0((u64)watched + 19);
    arm(dr7(0, ON_WRITE, LEN4));
    w1((u64)watched + 16);
    CHECK_EQ(disarm(), 1);
    handlers[DB] = NULL;
}

static void several_breakpoints_report_together(void)
{
    handlers[DB] = on_db;
    write_dr0((u64)watched);
    write_dr3((u64)watched + 4);
    arm(dr7(0, ON_WRITE, LEN4) | dr7(3, ON_RW, LEN1));
    w8((u64)watched);
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(hits[0].dr6 & 0xf00f, 9);
    handlers[DB] = NULL;
}

static NOINLINE void push_at(u64 top)
{
    __asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; push $1; mov %%rbx, %%rsp"
                     :
                     : "r"(top)
                     : "rbx", "memory");
}

static void stack_and_string_accesses_count(void)
{
    handlers[DB] = on_db;
    gate_ist(DB, 4);
    write_dr0((u64)watched);
    arm(dr7(0, ON_WRITE, LEN8));
    push_at((u64)watched + 8);
    CHECK_EQ(disarm(), 1);
    gate_default(DB);

    /* REP STOS stops after the element that hit (SDM 17.3.1.2). */
    u64 to = (u64)watched + 24, n = 16;
    write_dr0((u64)watched + 32);
    arm(dr7(0, ON_WRITE, LEN1));
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(hits[0].rcx, 16 - 9);
    CHECK_EQ(*(u16 *)hits[0].rip, 0xaaf3); /* still at the instruction */
    handlers[DB] = NULL;
}

/* The access did not happen, so nothing traps; it does when the instruction comes again. */
static u64 absent;
static void map_it(struct regs *r)
{
    (void)r;
    page_map(absent, (u64)page_alloc() | PTE_P | PTE_W);
    CHECK_EQ(hit_count, 0);
}

static void a_faulting_access_does_not_hit(void)
{
    absent = 0x123440000000;
    handlers[DB] = on_db;
    handlers[PF] = map_it;
    write_dr0(absent);
    arm(dr7(0, ON_WRITE, LEN8));
    w8(absent);
    CHECK_EQ(disarm(), 1);
    CHECK(hits[0].rip >= (u64)w8 && hits[0].rip < (u64)w8 + 16);
    handlers[PF] = NULL;
    handlers[DB] = NULL;
    page_unmap_all(absent);
}

/* The shadow of MOV SS holds back the trap of MOV SS itself, until after the next instruction. */
static void mov_ss_delays_its_data_breakpoint(void)
{
    static u16 selector __attribute__((aligned(8))) = KDS;
    u64 next;
    handlers[DB] = on_db;
    write_dr0((u64)&selector);
    arm(dr7(0, ON_RW, LEN2));
    __asm__ volatile("lea 1f(%%rip), %0; mov %1, %%ss; nop; 1: nop" : "=&r"(next) : "m"(selector));
    CHECK_EQ(disarm(), 1);
    CHECK_EQ(hits[0].rip, next);
    handlers[DB] = NULL;
}

static void io_breakpoints_need_de(void)
{
    handlers[DB] = on_db;
    write_dr0(0x80);
    for (unsigned de = 0; de < 2; de++) {
        write_cr4(de ? read_cr4() | CR4_DE : read_cr4() & ~CR4_DE);
        if (de) {
            arm(dr7(0, ON_IO, LEN1));
            outb(0x80, 0);
            CHECK_EQ(disarm(), 1);
            CHECK_EQ(hits[0].dr6 & 0xf00f, 1);
            arm(dr7(0, ON_IO, LEN1));
            (void)inb(0x80);
            CHECK_EQ(disarm(), 1);
            arm(dr7(0, ON_IO, LEN1));
            outb(0x81, 0);
            CHECK_EQ(disarm(), 0);
        }
    }
    write_cr4(read_cr4() & ~CR4_DE);
    handlers[DB] = NULL;
}

int main(void)
{
    RUN(fixed_bits_read_as_they_must);
    RUN(upper_halves_of_dr6_and_dr7_must_be_0);
    RUN(dr0_takes_any_address);
    RUN(dr4_and_dr5_are_aliases_without_de);
    RUN(users_may_not_touch_them);
    RUN(general_detect_guards_the_registers_once);
    RUN(an_instruction_breakpoint_faults_before_it);
    RUN(both_enables_count_and_none_does_not);
    RUN(a_breakpoint_comes_before_the_fault_of_its_instruction);
    RUN(data_breakpoints_hit_where_they_overlap);
    RUN(the_length_aligns_the_address);
    RUN(several_breakpoints_report_together);
    RUN(stack_and_string_accesses_count);
    RUN(a_faulting_access_does_not_hit);
    RUN(mov_ss_delays_its_data_breakpoint);
    RUN(io_breakpoints_need_de);
    return 0;
}
