/*
 * test_integer.c: the general instruction set where the host cannot judge: 16-bit code, restarts,
 * order of faults, stacks, string instructions. Expected values from SDM vol. 2.
 *
 * Each test runs bytes at 1000h, real mode or flat 32-bit protected mode, until they jump to
 * themselves (EB FE). In real mode vector n leads to 5000h + 16 n, where EB FE stands too.
 */
#include "base/bits.h"
#include "cpu/cpu.h"
#include "cpu/exec.h"
#include "cpu/model.h"
#include "mmu/dma.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define CODE 0x1000u
#define STACK 0x8000u
#define HANDLERS 0x5000u

extern const struct insn_ops ops_rol_i, ops_rol_cl, ops_ror_i, ops_ror_cl, ops_rcl_i, ops_rcl_cl,
    ops_rcr_i, ops_rcr_cl, ops_shl_i, ops_shl_cl, ops_shr_i, ops_shr_cl, ops_sar_i, ops_sar_cl,
    ops_daa, ops_das, ops_stos;

struct machine {
    struct phys phys;
    struct clock clock;
    struct cpu *cpu;
};

static bool no_pv_cpuid(void *vm, u32 leaf, u32 subleaf, u32 r[4])
{
    (void)vm, (void)leaf, (void)subleaf, (void)r;
    return false;
}

static const struct cpu_hooks hooks = {.pv_cpuid = no_pv_cpuid};
static struct machine m;

static void setup(void)
{
    struct err e = {0};
    ck_assert(phys_init(&m.phys, 2 * MIB, &e));
    clock_init(&m.clock, CLOCK_ICOUNT);
    m.cpu = cpu_create(model_find("x86-64-v2", &e), &m.phys, &m.clock, &hooks, &m, &e);
    ck_assert_ptr_nonnull(m.cpu);
    for (unsigned v = 0; v < 32; v++) {
        dma_write32(&m.phys, v * 4, HANDLERS + 16 * v);
        dma_write16(&m.phys, HANDLERS + 16 * v, 0xfeeb);
    }
    m.cpu->gates = ~0ull;
}

static void teardown(void)
{
    cpu_destroy(m.cpu);
    phys_destroy(&m.phys);
}

/* bits: 16 real mode, 32 flat protected mode. */
static void mode(unsigned bits)
{
    u16 data = bits == 32 ? 0x93 | SEG_DB | SEG_G : 0x93,
        code = bits == 32 ? 0x9b | SEG_DB | SEG_G : 0x9b;
    u32 limit = bits == 32 ? ~0u : 0xffff;
    cpu_set_cr(m.cpu, CR0_ET | (bits == 32 ? CR0_PE : 0), 0, 0, 0);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu_set_seg(m.cpu, s, 0, 0, limit, s == SEG_CS ? code : data);
    cpu_set_eflags(m.cpu, 2);
    m.cpu->gpr[RSP] = STACK;
    m.cpu->rip = CODE;
}

static void load(const char *hex)
{
    unsigned at = CODE, byte;
    int used;
    while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
        dma_fill(&m.phys, at++, (u8)byte, 1);
        hex += used;
    }
    dma_write16(&m.phys, at, 0xfeeb);
}

/* Registers are set between mode() and this. */
static void run(const char *hex)
{
    load(hex);
    cpu_run(m.cpu, 2000);
}

static u64 reg(unsigned r)
{
    return m.cpu->gpr[r];
}

static void set(unsigned r, u64 v)
{
    m.cpu->gpr[r] = v;
}

static u32 flags(void)
{
    return cpu_get_eflags(m.cpu) & EFLAGS_ARITH;
}

/* ---- stack ----------------------------------------------------------------------------------- */

START_TEST(push_sp_stores_old_value_on_286_and_later)
{
    mode(16);
    run("54 58"); /* push sp; pop ax */
    ck_assert_uint_eq(reg(RAX), STACK);
    ck_assert_uint_eq(reg(RSP), STACK);
}
END_TEST

START_TEST(pop_to_memory_computes_the_address_after_the_pop)
{
    mode(32);
    run("68 78 56 34 12 8f 04 24"); /* push 12345678h; pop dword [esp] */
    ck_assert_uint_eq(dma_read32(&m.phys, STACK), 0x12345678);
    ck_assert_uint_eq(reg(RSP), STACK);
}
END_TEST

START_TEST(pop_sp_takes_the_popped_value)
{
    mode(32);
    run("68 00 40 00 00 5c"); /* push 4000h; pop esp */
    ck_assert_uint_eq(reg(RSP), 0x4000);
}
END_TEST

START_TEST(popa_skips_the_image_of_sp)
{
    mode(16);
    for (unsigned r = RAX; r <= RDI; r++)
        if (r != RSP)
            set(r, 0xaaaa0000u + r);
    run("60 bc 34 12 bc f0 7f 61"); /* pusha; mov sp, 1234h; mov sp, 7ff0h; popa */
    ck_assert_uint_eq(reg(RSP), STACK);
    for (unsigned r = RAX; r <= RDI; r++)
        if (r != RSP)
            ck_assert_uint_eq(reg(r), 0xaaaa0000u + r);
    ck_assert_uint_eq(dma_read16(&m.phys, STACK - 10), STACK);
}
END_TEST

START_TEST(enter_with_nesting_copies_the_display)
{
    mode(32);
    set(RBP, 0x9000);
    dma_write32(&m.phys, 0x8ffc, 0x11111111);
    run("c8 10 00 02"); /* enter 16, 2 */
    ck_assert_uint_eq(dma_read32(&m.phys, STACK - 4), 0x9000);
    ck_assert_uint_eq(dma_read32(&m.phys, STACK - 8), 0x11111111);
    ck_assert_uint_eq(dma_read32(&m.phys, STACK - 12), STACK - 4);
    ck_assert_uint_eq(reg(RBP), STACK - 4);
    ck_assert_uint_eq(reg(RSP), STACK - 12 - 16);
}
END_TEST

START_TEST(leave_undoes_enter_and_16_bit_stacks_keep_the_upper_half_of_esp)
{
    mode(16);
    set(RSP, 0x12340000u | STACK);
    set(RBP, 0xbeef9000u);
    run("c8 20 00 00 c9"); /* enter 32, 0; leave */
    ck_assert_uint_eq(reg(RSP), 0x12340000u | STACK);
    ck_assert_uint_eq(reg(RBP), 0xbeef9000u);
}
END_TEST

START_TEST(ret_with_immediate_drops_the_arguments)
{
    mode(16);
    /* push ax; call +2; jmp $+3 (over the function); ret 2 */
    run("50 e8 02 00 eb 03 c2 02 00");
    ck_assert_uint_eq(reg(RSP), STACK);
    ck_assert_uint_eq(m.cpu->rip, CODE + 9);
}
END_TEST

START_TEST(a_push_outside_the_stack_segment_changes_nothing)
{
    mode(16);
    set(RSP, 1); /* the word would lie at ffffh and 10000h */
    load("50");
    cpu_run(m.cpu, 1);
    /* #SS: delivering it pushes on the same impossible stack, which ends in a triple fault */
    ck_assert_uint_eq(reg(RSP), 1);
    ck_assert_uint_eq(m.cpu->fault_chain[0].e.vector, EXC_SS);
}
END_TEST

/* ---- branches -------------------------------------------------------------------------------- */

START_TEST(a_jump_beyond_the_code_limit_faults_at_the_jump)
{
    mode(16);
    run("66 e9 00 00 10 00"); /* jmp dword +100000h */
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_GP);
    ck_assert_uint_eq(dma_read16(&m.phys, STACK - 6), CODE);
}
END_TEST

START_TEST(a_16_bit_jump_wraps_in_the_segment)
{
    mode(16);
    dma_write16(&m.phys, 0xfff0, 0xfeeb);
    run("e9 ed ef"); /* 1003h + efedh = fff0h */
    ck_assert_uint_eq(m.cpu->rip, 0xfff0);
    mode(16);
    m.cpu->rip = 0xfff4;
    dma_write32(&m.phys, 0xfff4, 0x1009e9); /* jmp: fff7h + 1009h, modulo 64 KiB */
    dma_write16(&m.phys, 0x1000, 0xfeeb);
    cpu_run(m.cpu, 10);
    ck_assert_uint_eq(m.cpu->rip, 0x1000);
}
END_TEST

START_TEST(loop_counts_in_the_register_of_the_address_size)
{
    mode(16);
    set(RCX, 0x50003);
    run("40 e2 fd"); /* inc ax; loop $-1 */
    ck_assert_uint_eq(reg(RAX) & 0xffff, 3);
    ck_assert_uint_eq(reg(RCX), 0x50000);
    mode(16);
    set(RAX, 0);
    set(RCX, 3);
    run("40 67 e2 fc"); /* a32 loop */
    ck_assert_uint_eq(reg(RAX) & 0xffff, 3);
    ck_assert_uint_eq(reg(RCX), 0);
}
END_TEST

START_TEST(loopne_ends_when_equal_and_keeps_the_flags)
{
    mode(16);
    set(RCX, 10);
    run("40 3d 04 00 e0 fa"); /* inc ax; cmp ax, 4; loopne */
    ck_assert_uint_eq(reg(RAX) & 0xffff, 4);
    ck_assert_uint_eq(reg(RCX), 6);
    ck_assert(flags() & EFLAGS_ZF);
}
END_TEST

START_TEST(jecxz_looks_at_ecx_and_jcxz_at_cx)
{
    mode(16);
    set(RCX, 0x10000);
    set(RAX, 0);
    run("e3 01 40 67 e3 01 40"); /* jcxz over inc ax (taken); jecxz (not taken); inc ax */
    ck_assert_uint_eq(reg(RAX), 1);
}
END_TEST

START_TEST(bound_outside_raises_br_at_the_instruction)
{
    mode(16);
    dma_write16(&m.phys, 0x3000, 0xfffe); /* -2 */
    dma_write16(&m.phys, 0x3002, 5);
    set(RAX, 0xffff);
    run("62 06 00 30"); /* bound ax, [3000h]: -1 is inside */
    ck_assert_uint_eq(m.cpu->rip, CODE + 4);
    mode(16);
    set(RAX, 6);
    run("62 06 00 30");
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_BR);
    ck_assert_uint_eq(dma_read16(&m.phys, STACK - 6), CODE);
}
END_TEST

/* ---- strings --------------------------------------------------------------------------------- */

START_TEST(rep_movs_onto_itself_plus_one_repeats_the_first_byte)
{
    mode(32);
    dma_fill(&m.phys, 0x3000, 0, 0x2000);
    dma_fill(&m.phys, 0x3000, 0xab, 1);
    set(RSI, 0x3000);
    set(RDI, 0x3001);
    set(RCX, 0x1800);
    run("f3 a4");
    for (unsigned i = 0; i <= 0x1800; i++)
        ck_assert_uint_eq(m.phys.ram[0x3000 + i], 0xab);
    ck_assert_uint_eq(m.phys.ram[0x4801], 0);
    ck_assert_uint_eq(reg(RCX), 0);
    ck_assert_uint_eq(reg(RSI), 0x4800);
    ck_assert_uint_eq(reg(RDI), 0x4801);
}
END_TEST

static void fill_counting(u32 at, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        m.phys.ram[at + i] = (u8)(i * 7 + (i >> 8));
}

START_TEST(rep_movs_copies_across_pages_at_any_alignment_and_direction)
{
    for (unsigned down = 0; down < 2; down++) {
        mode(32);
        fill_counting(0x20003, 0x3005 * 4);
        dma_fill(&m.phys, 0x40000, 0, 0x10000);
        cpu_set_eflags(m.cpu, 2 | (down ? EFLAGS_DF : 0));
        set(RSI, down ? 0x20003 + 0x3004 * 4 : 0x20003);
        set(RDI, down ? 0x40ffe + 0x3004 * 4 : 0x40ffe);
        set(RCX, 0x3005);
        run("f3 a5"); /* rep movsd */
        ck_assert_int_eq(memcmp(m.phys.ram + 0x20003, m.phys.ram + 0x40ffe, 0x3005 * 4), 0);
        ck_assert_uint_eq(m.phys.ram[0x40ffe + 0x3005 * 4], 0);
        ck_assert_uint_eq(m.phys.ram[0x40ffd], 0);
        ck_assert_uint_eq(reg(RDI), down ? 0x40ffa : 0x40ffe + 0x3005 * 4);
        ck_assert_uint_eq(reg(RCX), 0);
    }
}
END_TEST

START_TEST(string_indexes_of_16_bit_addresses_wrap)
{
    mode(16);
    fill_counting(0xfffc, 4);
    set(RSI, 0xabcdfffc);
    set(RDI, 0x6000);
    set(RCX, 0x77770006);
    run("f3 a4");
    ck_assert_uint_eq(reg(RSI), 0xabcd0002);
    ck_assert_uint_eq(reg(RDI), 0x6006);
    ck_assert_uint_eq(reg(RCX), 0x77770000);
    ck_assert_int_eq(memcmp(m.phys.ram + 0x6000, m.phys.ram + 0xfffc, 4), 0);
    ck_assert_uint_eq(m.phys.ram[0x6004], m.phys.ram[0]);
}
END_TEST

START_TEST(a_fault_inside_a_repetition_leaves_the_registers_at_its_element)
{
    mode(16);
    set(RDI, 0xfffb); /* words at fffbh, fffdh; the one at ffffh breaks the limit */
    set(RCX, 5);
    set(RAX, 0x1234);
    run("f3 ab");
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_GP);
    ck_assert_uint_eq(dma_read16(&m.phys, STACK - 6), CODE);
    ck_assert_uint_eq(reg(RDI), 0xffff);
    ck_assert_uint_eq(reg(RCX), 3);
    ck_assert_uint_eq(dma_read16(&m.phys, 0xfffd), 0x1234);
    ck_assert_uint_ne(m.phys.ram[0xffff], 0x34);
}
END_TEST

START_TEST(repe_cmps_stops_after_the_first_difference)
{
    for (unsigned down = 0; down < 2; down++) {
        mode(32);
        fill_counting(0x3000, 0x2000);
        fill_counting(0x6000, 0x2000);
        m.phys.ram[0x6000 + 0x1234]++;
        cpu_set_eflags(m.cpu, 2 | (down ? EFLAGS_DF : 0));
        set(RSI, down ? 0x4fff : 0x3000);
        set(RDI, down ? 0x7fff : 0x6000);
        set(RCX, 0x2000);
        run("f3 a6");
        ck_assert_uint_eq(reg(RSI), down ? 0x3000 + 0x1233 : 0x3000 + 0x1235);
        ck_assert_uint_eq(reg(RDI), reg(RSI) + 0x3000);
        ck_assert_uint_eq(reg(RCX), down ? 0x1234 : 0x2000 - 0x1235);
        ck_assert_uint_eq(flags() & (EFLAGS_ZF | EFLAGS_CF),
                          EFLAGS_CF); /* source - destination = -1 */
    }
}
END_TEST

START_TEST(repne_scas_finds_and_counts)
{
    mode(32);
    dma_fill(&m.phys, 0x3000, 'x', 0x2000);
    m.phys.ram[0x4100] = 0;
    set(RDI, 0x3000);
    set(RCX, 0xffffffff);
    set(RAX, 0);
    run("f2 ae");
    ck_assert_uint_eq(reg(RDI), 0x4101);
    ck_assert_uint_eq((u32)~reg(RCX), 0x1101);
    ck_assert(flags() & EFLAGS_ZF);
}
END_TEST

START_TEST(a_repetition_of_count_0_keeps_flags_and_registers)
{
    mode(32);
    cpu_set_eflags(m.cpu, 2 | EFLAGS_CF | EFLAGS_OF | EFLAGS_PF);
    set(RSI, 0x3000);
    set(RDI, 0x3001);
    set(RCX, 0);
    run("f3 a6 f2 ae f3 a5");
    ck_assert_uint_eq(flags(), EFLAGS_CF | EFLAGS_OF | EFLAGS_PF);
    ck_assert_uint_eq(reg(RSI), 0x3000);
    ck_assert_uint_eq(reg(RDI), 0x3001);
}
END_TEST

START_TEST(lods_and_stos_take_the_accumulator_of_their_size)
{
    mode(32);
    dma_write32(&m.phys, 0x3000, 0x44332211);
    set(RSI, 0x3000);
    set(RDI, 0x4000);
    set(RAX, 0xffffffff);
    run("ac 66 aa ad ab"); /* lodsb; stosb; lodsd; stosd */
    ck_assert_uint_eq(reg(RSI), 0x3005);
    ck_assert_uint_eq(reg(RDI), 0x4005);
    ck_assert_uint_eq(m.phys.ram[0x4000], 0x11);
    ck_assert_uint_eq(dma_read32(&m.phys, 0x4001), 0x00443322);
}
END_TEST

static const struct insn *stop(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->rip = 0x77;
    return NULL;
}

START_TEST(a_long_repetition_lets_interrupts_in_and_goes_on)
{
    struct insn in[2] = {{.pfx = PFX_REP, .osz = 1, .asz = 4, .len = 2}, {.fn = stop}};
    unsigned rounds = 0;
    mode(32);
    set(REG_RIP, CODE);
    set(RDI, 0x20000);
    set(RCX, 0x12000);
    set(RAX, 0x5a);
    m.cpu->eflags |= EFLAGS_IF;
    m.cpu->req = REQ_INTR;
    for (;;) {
        u64 count = reg(RCX);
        const struct insn *next = ops_stos.any(m.cpu, in);
        if (next)
            next->fn(m.cpu, next);
        if (m.cpu->rip == 0x77)
            break;
        ck_assert_uint_eq(m.cpu->rip, CODE);
        ck_assert_uint_lt(reg(RCX), count); /* never without progress */
        rounds++;
    }
    ck_assert_uint_gt(rounds, 1);
    ck_assert_uint_eq(reg(RCX), 0);
    for (unsigned i = 0; i < 0x12000; i++)
        ck_assert_uint_eq(m.phys.ram[0x20000 + i], 0x5a);
}
END_TEST

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* Runs one handler on a register and returns its new value. */
static u64 apply(insn_fn fn, u64 value, u8 count, u32 flags_before)
{
    struct insn in[2] = {{.rm = RBX, .imm = count}, {.fn = stop}};
    set(RBX, value);
    set(RCX, count);
    flags_set(&m.cpu->flags, flags_before);
    fn(m.cpu, in);
    return reg(RBX);
}

/* A shift by n is n shifts by 1, except for the flags of more than one (OF) and of none. */
START_TEST(shifts_by_n_equal_n_shifts_by_one)
{
    static const struct insn_ops *const ops[][2] = {
        {&ops_rol_i, &ops_rol_cl}, {&ops_ror_i, &ops_ror_cl}, {&ops_rcl_i, &ops_rcl_cl},
        {&ops_rcr_i, &ops_rcr_cl}, {&ops_shl_i, &ops_shl_cl}, {&ops_shr_i, &ops_shr_cl},
        {&ops_sar_i, &ops_sar_cl},
    };
    const u64 value = 0x8123456789abcde5;
    for (unsigned op = 0; op < ARRAY_SIZE(ops); op++) {
        for (unsigned size = 1; size < 4; size++) {
            u64 once = value;
            u32 f = EFLAGS_ARITH;
            for (u8 n = 0; n < (size == 3 ? 64 : 32); n++) {
                ck_assert_uint_eq(apply(ops[op][0]->r[size], value, n, EFLAGS_ARITH),
                                  size == 2 ? (u32)once : once);
                ck_assert_uint_eq(flags() & ~(EFLAGS_OF | EFLAGS_AF), f & ~(EFLAGS_OF | EFLAGS_AF));
                if (n <= 1)
                    ck_assert_uint_eq(flags() & EFLAGS_OF, f & EFLAGS_OF);
                ck_assert_uint_eq(apply(ops[op][1]->r[size], value, n, EFLAGS_ARITH),
                                  size == 2 ? (u32)once : once);
                once = apply(ops[op][0]->r[size], once, 1, f);
                f = flags();
            }
        }
    }
}
END_TEST

START_TEST(counts_are_masked_to_5_bits_and_0_keeps_the_flags)
{
    mode(32);
    cpu_set_eflags(m.cpu, 2 | EFLAGS_ARITH);
    set(RAX, 0x1234);
    set(RCX, 0x20);
    run("d3 e0 c1 e8 40 d3 c0"); /* shl eax, cl; shr eax, 64; rol eax, cl */
    ck_assert_uint_eq(reg(RAX), 0x1234);
    ck_assert_uint_eq(flags(), EFLAGS_ARITH);
}
END_TEST

START_TEST(inc_and_dec_keep_the_carry)
{
    mode(32);
    cpu_set_eflags(m.cpu, 2 | EFLAGS_CF);
    set(RAX, 0x7fffffff);
    run("40");
    ck_assert_uint_eq(flags(), EFLAGS_CF | EFLAGS_OF | EFLAGS_SF | EFLAGS_AF | EFLAGS_PF);
    mode(32);
    set(RAX, 0);
    run("48");
    ck_assert_uint_eq(flags(), EFLAGS_SF | EFLAGS_AF | EFLAGS_PF);
    mode(32);
    cpu_set_eflags(m.cpu, 2 | EFLAGS_CF);
    set(RAX, 0x80000000);
    run("48");
    ck_assert_uint_eq(flags(), EFLAGS_CF | EFLAGS_OF | EFLAGS_AF | EFLAGS_PF);
}
END_TEST

START_TEST(idiv_accepts_the_most_negative_quotient_and_no_more)
{
    mode(16);
    set(RAX, 0xff80);
    set(RBX, 1);
    run("f6 fb"); /* idiv bl: -128 / 1 */
    ck_assert_uint_eq(reg(RAX), 0x0080);
    ck_assert_uint_eq(m.cpu->rip, CODE + 2);
    mode(16);
    set(RAX, 0x0080);
    run("f6 fb"); /* 128 / 1 */
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_DE);
    ck_assert_uint_eq(reg(RAX), 0x0080);
    mode(16);
    set(RAX, 0);
    set(RDX, 0x8000);
    set(RBX, 0xffff);
    run("f7 fb"); /* -2^31 / -1 */
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_DE);
    mode(16);
    set(RAX, 0xfff9);
    set(RDX, 0xffff);
    set(RBX, 2);
    run("f7 fb"); /* -7 / 2 = -3, rest -1 */
    ck_assert_uint_eq(reg(RAX), 0xfffd);
    ck_assert_uint_eq(reg(RDX), 0xffff);
}
END_TEST

START_TEST(div_by_zero_and_too_large_quotients_fault)
{
    mode(16);
    set(RAX, 7);
    set(RBX, 0);
    run("f6 f3");
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_DE);
    ck_assert_uint_eq(dma_read16(&m.phys, STACK - 6), CODE);
    mode(16);
    set(RAX, 0x0200);
    set(RBX, 2);
    run("f6 f3"); /* 512 / 2 = 256 */
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_DE);
    mode(16);
    set(RAX, 0x01ff);
    run("f6 f3"); /* 511 / 2 = 255, rest 1 */
    ck_assert_uint_eq(reg(RAX), 0x01ff);
}
END_TEST

/* The examples of SDM vol. 2, DAA and DAS. */
START_TEST(decimal_adjustments_follow_the_manuals_examples)
{
    mode(16);
    set(RAX, 0x79);
    set(RBX, 0x35);
    run("00 d8 27"); /* add al, bl; daa */
    ck_assert_uint_eq(reg(RAX), 0x14);
    ck_assert_uint_eq(flags() & ~EFLAGS_OF, EFLAGS_CF | EFLAGS_AF | EFLAGS_PF);
    mode(16);
    set(RAX, 0x35);
    set(RBX, 0x47);
    run("28 d8 2f"); /* sub al, bl; das */
    ck_assert_uint_eq(reg(RAX), 0x88);
    ck_assert_uint_eq(flags() & ~EFLAGS_OF, EFLAGS_CF | EFLAGS_AF | EFLAGS_SF | EFLAGS_PF);
}
END_TEST

/* Every packed sum: DAA of the binary sum of two decimal bytes is the decimal sum. */
START_TEST(daa_and_das_are_right_for_all_decimal_bytes)
{
    struct insn in[2] = {{.osz = 1}, {.fn = stop}};
    for (unsigned a = 0; a < 100; a++) {
        for (unsigned b = 0; b < 100; b++) {
            u8 x = (u8)(a / 10 << 4 | a % 10), y = (u8)(b / 10 << 4 | b % 10);
            unsigned sum = (a + b) % 100, difference = (a + 100 - b) % 100;
            flags_add(&m.cpu->flags, x, y, (u64)x + y, 8);
            set(RAX, (u8)(x + y));
            ops_daa.any(m.cpu, in);
            ck_assert_uint_eq(reg(RAX), sum / 10 << 4 | sum % 10);
            ck_assert_uint_eq(flags() & EFLAGS_CF, a + b > 99);
            flags_sub(&m.cpu->flags, x, y, (u64)x - y, 8);
            set(RAX, (u8)(x - y));
            ops_das.any(m.cpu, in);
            ck_assert_uint_eq(reg(RAX), difference / 10 << 4 | difference % 10);
            ck_assert_uint_eq(flags() & EFLAGS_CF, a < b);
        }
    }
}
END_TEST

START_TEST(ascii_adjustments_carry_into_ah_and_aam_0_divides_by_zero)
{
    mode(16);
    set(RAX, 0x01fb);
    run("37"); /* aaa: low digit bh > 9; the carry of fbh + 6 also reaches ah */
    ck_assert_uint_eq(reg(RAX), 0x0301);
    ck_assert_uint_eq(flags() & (EFLAGS_CF | EFLAGS_AF), EFLAGS_CF | EFLAGS_AF);
    mode(16);
    set(RAX, 0x0200);
    m.cpu->flags.aux = AUX_AF;
    run("3f"); /* aas */
    ck_assert_uint_eq(reg(RAX), 0x000a);
    mode(16);
    set(RAX, 79);
    run("d4 0a"); /* aam */
    ck_assert_uint_eq(reg(RAX), 0x0709);
    run("");
    mode(16);
    run("d5 0a"); /* aad */
    ck_assert_uint_eq(reg(RAX), 79);
    mode(16);
    run("d4 00");
    ck_assert_uint_eq(m.cpu->rip, HANDLERS + 16 * EXC_DE);
}
END_TEST

/* ---- bits and exchanges ---------------------------------------------------------------------- */

START_TEST(bit_strings_reach_backwards_and_beyond_the_operand)
{
    mode(32);
    dma_fill(&m.phys, 0x3000, 0, 0x1000);
    set(RBX, 0x3800);
    set(RCX, (u32)-1);
    set(RDX, 0x1005);
    run("0f ab 0b 0f ab 13 0f a3 0b"); /* bts [ebx], ecx; bts [ebx], edx; bt [ebx], ecx */
    ck_assert_uint_eq(dma_read32(&m.phys, 0x37fc), 0x80000000);
    ck_assert_uint_eq(dma_read32(&m.phys, 0x3800 + 0x200), 0x20);
    ck_assert(flags() & EFLAGS_CF);
}
END_TEST

START_TEST(a_bit_string_offset_of_16_bits_wraps_with_the_address)
{
    mode(16);
    dma_fill(&m.phys, 0xfffe, 0, 2);
    set(RBX, 0);
    set(RCX, 0xffff); /* bit -1 of [0]: the word at fffeh */
    run("0f bb 0f");  /* btc [bx], cx */
    ck_assert_uint_eq(dma_read16(&m.phys, 0xfffe), 0x8000);
}
END_TEST

START_TEST(bsf_of_zero_keeps_the_destination)
{
    mode(32);
    set(RAX, 0x1234);
    set(RBX, 0);
    run("0f bc c3");
    ck_assert_uint_eq(reg(RAX), 0x1234);
    ck_assert(flags() & EFLAGS_ZF);
    mode(32);
    set(RBX, 0x80);
    run("0f bc c3");
    ck_assert_uint_eq(reg(RAX), 7);
    ck_assert(!(flags() & EFLAGS_ZF));
}
END_TEST

START_TEST(xadd_of_a_register_with_itself_doubles_it)
{
    mode(32);
    set(RAX, 21);
    run("0f c1 c0");
    ck_assert_uint_eq(reg(RAX), 42);
}
END_TEST

START_TEST(cmpxchg_that_fails_loads_the_accumulator)
{
    mode(32);
    dma_write32(&m.phys, 0x3000, 5);
    set(RAX, 4);
    set(RBX, 9);
    run("f0 0f b1 1d 00 30 00 00"); /* lock cmpxchg [3000h], ebx */
    ck_assert_uint_eq(reg(RAX), 5);
    ck_assert_uint_eq(dma_read32(&m.phys, 0x3000), 5);
    ck_assert_uint_eq(flags(), EFLAGS_CF | EFLAGS_SF | EFLAGS_AF | EFLAGS_PF); /* 4 - 5 */
    mode(32);
    run("f0 0f b1 1d 00 30 00 00");
    ck_assert_uint_eq(dma_read32(&m.phys, 0x3000), 9);
    ck_assert(flags() & EFLAGS_ZF);
}
END_TEST

START_TEST(cmpxchg8b_changes_zf_alone)
{
    mode(32);
    dma_write32(&m.phys, 0x3000, 1);
    dma_write32(&m.phys, 0x3004, 2);
    set(RAX, 1);
    set(RDX, 2);
    set(RBX, 3);
    set(RCX, 4);
    cpu_set_eflags(m.cpu, 2 | EFLAGS_CF | EFLAGS_OF | EFLAGS_SF);
    run("0f c7 0d 00 30 00 00");
    ck_assert_uint_eq(dma_read32(&m.phys, 0x3000), 3);
    ck_assert_uint_eq(dma_read32(&m.phys, 0x3004), 4);
    ck_assert_uint_eq(flags(), EFLAGS_CF | EFLAGS_OF | EFLAGS_SF | EFLAGS_ZF);
    mode(32);
    run("0f c7 0d 00 30 00 00");
    ck_assert_uint_eq(reg(RAX), 3);
    ck_assert_uint_eq(reg(RDX), 4);
    ck_assert(!(flags() & EFLAGS_ZF));
}
END_TEST

/* CRC-32C of "123456789" is E3069283h (the check value of the catalogues of CRCs). */
START_TEST(crc32_is_the_castagnoli_checksum)
{
    mode(32);
    dma_write(&m.phys, 0x3000, "123456789", 9);
    set(RAX, 0xffffffff);
    set(RSI, 0x3000);
    /* crc32 eax, dword [esi] twice, then the last byte */
    run("f2 0f 38 f1 06 f2 0f 38 f1 46 04 f2 0f 38 f0 46 08");
    ck_assert_uint_eq((u32)~reg(RAX), 0xe3069283);
}
END_TEST

static TCase *stack_tests(void)
{
    TCase *t = tcase_create("stack and branches");
    tcase_add_test(t, push_sp_stores_old_value_on_286_and_later);
    tcase_add_test(t, pop_to_memory_computes_the_address_after_the_pop);
    tcase_add_test(t, pop_sp_takes_the_popped_value);
    tcase_add_test(t, popa_skips_the_image_of_sp);
    tcase_add_test(t, enter_with_nesting_copies_the_display);
    tcase_add_test(t, leave_undoes_enter_and_16_bit_stacks_keep_the_upper_half_of_esp);
    tcase_add_test(t, ret_with_immediate_drops_the_arguments);
    tcase_add_test(t, a_push_outside_the_stack_segment_changes_nothing);
    tcase_add_test(t, a_jump_beyond_the_code_limit_faults_at_the_jump);
    tcase_add_test(t, a_16_bit_jump_wraps_in_the_segment);
    tcase_add_test(t, loop_counts_in_the_register_of_the_address_size);
    tcase_add_test(t, loopne_ends_when_equal_and_keeps_the_flags);
    tcase_add_test(t, jecxz_looks_at_ecx_and_jcxz_at_cx);
    tcase_add_test(t, bound_outside_raises_br_at_the_instruction);
    return t;
}

static TCase *string_tests(void)
{
    TCase *t = tcase_create("strings");
    tcase_add_test(t, rep_movs_onto_itself_plus_one_repeats_the_first_byte);
    tcase_add_test(t, rep_movs_copies_across_pages_at_any_alignment_and_direction);
    tcase_add_test(t, string_indexes_of_16_bit_addresses_wrap);
    tcase_add_test(t, a_fault_inside_a_repetition_leaves_the_registers_at_its_element);
    tcase_add_test(t, repe_cmps_stops_after_the_first_difference);
    tcase_add_test(t, repne_scas_finds_and_counts);
    tcase_add_test(t, a_repetition_of_count_0_keeps_flags_and_registers);
    tcase_add_test(t, lods_and_stos_take_the_accumulator_of_their_size);
    tcase_add_test(t, a_long_repetition_lets_interrupts_in_and_goes_on);
    return t;
}

static TCase *arithmetic_tests(void)
{
    TCase *t = tcase_create("arithmetic and bits");
    tcase_add_test(t, shifts_by_n_equal_n_shifts_by_one);
    tcase_add_test(t, counts_are_masked_to_5_bits_and_0_keeps_the_flags);
    tcase_add_test(t, inc_and_dec_keep_the_carry);
    tcase_add_test(t, idiv_accepts_the_most_negative_quotient_and_no_more);
    tcase_add_test(t, div_by_zero_and_too_large_quotients_fault);
    tcase_add_test(t, decimal_adjustments_follow_the_manuals_examples);
    tcase_add_test(t, daa_and_das_are_right_for_all_decimal_bytes);
    tcase_add_test(t, ascii_adjustments_carry_into_ah_and_aam_0_divides_by_zero);
    tcase_add_test(t, bit_strings_reach_backwards_and_beyond_the_operand);
    tcase_add_test(t, a_bit_string_offset_of_16_bits_wraps_with_the_address);
    tcase_add_test(t, bsf_of_zero_keeps_the_destination);
    tcase_add_test(t, xadd_of_a_register_with_itself_doubles_it);
    tcase_add_test(t, cmpxchg_that_fails_loads_the_accumulator);
    tcase_add_test(t, cmpxchg8b_changes_zf_alone);
    tcase_add_test(t, crc32_is_the_castagnoli_checksum);
    return t;
}

int main(void)
{
    Suite *s = suite_create("integer instructions");
    TCase *cases[] = {stack_tests(), string_tests(), arithmetic_tests()};
    SRunner *r;
    int failures;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        tcase_add_checked_fixture(cases[i], setup, teardown);
        suite_add_tcase(s, cases[i]);
    }
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
