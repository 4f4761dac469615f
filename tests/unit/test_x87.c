/*
 * test_x87.c: x87 instructions through decoder and interpreter: vectors from the manuals, pending
 * exceptions, environment formats, and on x86-64 hosts every register and memory form against the
 * host's x87 from the same random state.
 */
#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/exec.h"
#include "cpu/fpu.h"
#include "cpu/model.h"
#include "mmu/dma.h"
#include "tests/unit/x87_vectors.h"
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

#define CODE 0x10000u
#define DATA 0x20000u
#define STACK 0x30000u

/* ---- a CPU in flat 32-bit protected mode, without paging ------------------------------------- */

struct rig {
    struct phys phys;
    struct clock clock;
    struct cpu_hooks hooks;
    struct cpu *cpu;
    int ferr; /* level of FERR#, -1 never driven */
};

static void rig_ferr(void *vm, bool level)
{
    ((struct rig *)vm)->ferr = level;
}

static void rig_mode(struct rig *r, u64 cr0)
{
    struct cpu *cpu = r->cpu;
    cpu_set_cr(cpu, cr0, 0, CR4_OSFXSR, 0);
    if (cr0 & CR0_PE) {
        cpu_set_seg(cpu, SEG_CS, 8, 0, 0xffffffff, 0xc9b);
        for (enum seg_id s = SEG_ES; s <= SEG_GS; s++)
            if (s != SEG_CS)
                cpu_set_seg(cpu, s, 16, 0, 0xffffffff, 0xc93);
    }
    cpu_update_mode(cpu);
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);
    struct err e = {0};
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(phys_init(&r->phys, 2 * MIB, &e), "%s", e.msg);
    clock_init(&r->clock, CLOCK_ICOUNT);
    r->hooks.ferr = rig_ferr;
    r->ferr = -1;
    r->cpu = cpu_create(model_find(NULL, &e), &r->phys, &r->clock, &r->hooks, r, &e);
    ck_assert_msg(r->cpu != NULL, "%s", e.msg);
    rig_mode(r, CR0_PE | CR0_NE | CR0_ET);
    x87_init(&r->cpu->x87);
    r->cpu->gpr[RSP] = STACK;
    r->cpu->gpr[RDX] = DATA;
    return r;
}

static void rig_free(struct rig *r)
{
    cpu_destroy(r->cpu);
    phys_destroy(&r->phys);
    free(r);
}

/* Runs `code` to its end, where a HLT is put, or to the HLT of the fault handler it ends in. */
static void rig_run(struct rig *r, const void *code, unsigned len)
{
    static const u8 hlt = 0xf4;
    dma_write(&r->phys, CODE, code, len);
    dma_write(&r->phys, CODE + len, &hlt, 1);
    r->cpu->rip = CODE;
    r->cpu->halted = false;
    ck_assert_int_eq(cpu_run(r->cpu, 100), STOP_HALTED);
}

#define RUN(r, ...)                                                                                \
    do {                                                                                           \
        static const u8 code_[] = {__VA_ARGS__};                                                   \
        rig_run(r, code_, sizeof code_);                                                           \
    } while (0)

#define HANDLER 0x1000u

/* Vector v halts at HANDLER + v. */
static void rig_idt(struct rig *r)
{
    static const u64 gdt[3] = {0, 0x00cf9b000000ffffull, 0x00cf93000000ffffull};
    for (u32 v = 0; v < 32; v++)
        dma_write64(&r->phys, 0x800 + 8 * v, (u64)0x8e00 << 32 | 8u << 16 | (HANDLER + v));
    dma_fill(&r->phys, HANDLER, 0xf4, 32);
    dma_write(&r->phys, 0x700, gdt, sizeof gdt);
    r->cpu->idtr.base = 0x800;
    r->cpu->idtr.limit = 255;
    r->cpu->gdtr.base = 0x700;
    r->cpu->gdtr.limit = 23;
}

/* The exception that stopped the last run, or -1. */
static int rig_fault(const struct rig *r)
{
    u64 v = r->cpu->rip - HANDLER - 1;
    return v < 32 ? (int)v : -1;
}

static void push(struct x87 *x, u64 mant, u16 se)
{
    x87_set_top(x, x87_top(x) - 1);
    x->st[x87_top(x)] = (struct f80){mant, se};
    x->empty &= (u8)~(1 << x87_top(x));
}

static struct f80 st(const struct x87 *x, unsigned i)
{
    return x->st[x87_phys(x, i)];
}

#define ck_assert_f80(v, m, s)                                                                     \
    do {                                                                                           \
        struct f80 v_ = (v);                                                                       \
        ck_assert_msg(v_.mant == (m) && v_.se == (s), "%04x:%016" PRIx64, v_.se, v_.mant);         \
    } while (0)

/* ---- vectors --------------------------------------------------------------------------------- */

START_TEST(fninit_sets_the_state_of_the_manual)
{
    struct rig *r = rig_new();
    push(&r->cpu->x87, F80_J, 0x3fff);
    r->cpu->x87.fip = 5;
    RUN(r, 0xdb, 0xe3);
    ck_assert_uint_eq(r->cpu->x87.cw, 0x37f);
    ck_assert_uint_eq(r->cpu->x87.sw, 0);
    ck_assert_uint_eq(x87_tag_word(&r->cpu->x87), 0xffff);
    ck_assert_uint_eq(r->cpu->x87.fip, 0);
    rig_free(r);
}
END_TEST

START_TEST(fldpi_is_rounded_by_rounding_control)
{
    static const u64 mant[4] = {0xc90fdaa22168c235ull, 0xc90fdaa22168c234ull, 0xc90fdaa22168c235ull,
                                0xc90fdaa22168c234ull};
    for (unsigned rc = 0; rc < 4; rc++) {
        struct rig *r = rig_new();
        x87_set_cw(&r->cpu->x87, (u16)(0x37f | rc << 10));
        RUN(r, 0xd9, 0xeb);
        ck_assert_f80(st(&r->cpu->x87, 0), mant[rc], 0x4000);
        rig_free(r);
    }
}
END_TEST

START_TEST(push_on_full_stack_sets_sf_and_c1_and_gives_the_indefinite)
{
    struct rig *r = rig_new();
    struct x87 *x = &r->cpu->x87;
    for (int i = 0; i < 8; i++)
        push(x, F80_J, 0x3fff);
    RUN(r, 0xd9, 0xe8);
    ck_assert_uint_eq(x->sw & 0x7ff, SW_IE | SW_SF | SW_C1);
    ck_assert_uint_eq(x87_top(x), 7);
    ck_assert_f80(st(x, 0), 0xc000000000000000ull, 0xffff);
    rig_free(r);
}
END_TEST

START_TEST(pop_of_empty_stack_unmasked_changes_nothing_but_sw)
{
    struct rig *r = rig_new();
    struct x87 *x = &r->cpu->x87;
    x87_set_cw(x, 0x37e);
    RUN(r, 0xde, 0xc1); /* FADDP */
    ck_assert_uint_eq(x->sw, SW_IE | SW_SF | SW_ES | SW_B);
    ck_assert_uint_eq(x->empty, 0xff);
    rig_free(r);
}
END_TEST

START_TEST(unmasked_exception_comes_at_the_next_waiting_instruction)
{
    struct rig *r = rig_new();
    rig_idt(r);
    x87_set_cw(&r->cpu->x87, 0x37b);
    /* FLD1; FLDZ; FDIVP; NOP; FNSTSW AX; FLD1 */
    RUN(r, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x90, 0xdf, 0xe0, 0xd9, 0xe8);
    ck_assert_uint_eq(r->cpu->gpr[RAX] & 0xff, SW_ZE | SW_ES);
    ck_assert_int_eq(rig_fault(r), EXC_MF);
    u8 frame[4];
    dma_read(&r->phys, STACK - 12, frame, 4);
    ck_assert_uint_eq(ld_le32(frame), CODE + 9); /* the second FLD1 */
    rig_free(r);
}
END_TEST

START_TEST(without_ne_an_unmasked_exception_raises_ferr_and_fnclex_drops_it)
{
    struct rig *r = rig_new();
    rig_mode(r, CR0_PE | CR0_ET);
    x87_set_cw(&r->cpu->x87, 0x37b);
    RUN(r, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9);
    ck_assert_int_eq(r->ferr, 1);
    RUN(r, 0xdb, 0xe2);
    ck_assert_int_eq(r->ferr, 0);
    ck_assert_uint_eq(r->cpu->x87.sw & 0xff, 0);
    rig_free(r);
}
END_TEST

START_TEST(wait_obeys_mp_and_escapes_obey_em)
{
    static const struct {
        u64 cr0;
        u8 code[2];
        bool nm;
    } rows[] = {
        {CR0_TS, {0x9b, 0x90}, false},          {CR0_MP, {0x9b, 0x90}, false},
        {CR0_TS | CR0_MP, {0x9b, 0x90}, true},  {CR0_EM, {0x9b, 0x90}, false},
        {CR0_EM, {0xd9, 0xe8}, true},           {CR0_TS, {0xd9, 0xe8}, true},
        {CR0_TS, {0xdb, 0xe3}, true},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rig *r = rig_new();
        rig_idt(r);
        rig_mode(r, CR0_PE | CR0_NE | rows[i].cr0);
        rig_run(r, rows[i].code, 2);
        ck_assert_msg(rig_fault(r) == (rows[i].nm ? EXC_NM : -1), "row %u: %d", i, rig_fault(r));
        rig_free(r);
    }
}
END_TEST

START_TEST(fcomi_writes_zf_pf_cf_and_clears_the_others)
{
    struct rig *r = rig_new();
    struct x87 *x = &r->cpu->x87;
    push(x, F80_J, 0x3fff);
    push(x, F80_J | F80_QNAN, 0x7fff);
    flags_set(&r->cpu->flags, EFLAGS_ARITH);
    RUN(r, 0xdb, 0xf1);
    ck_assert_uint_eq(flags_get(&r->cpu->flags), EFLAGS_ZF | EFLAGS_PF | EFLAGS_CF);
    ck_assert_uint_eq(x->sw & 0xff, SW_IE);
    x->sw &= (u16)~SW_IE;
    RUN(r, 0xdb, 0xe9); /* FUCOMI */
    ck_assert_uint_eq(x->sw & 0xff, 0);
    rig_free(r);
}
END_TEST

START_TEST(environment_has_the_pointers_of_the_last_instruction)
{
    struct rig *r = rig_new();
    u8 env[28];
    /* FLD dword [EDX + 8]; FNSTENV [EDX] */
    RUN(r, 0xd9, 0x42, 0x08, 0xd9, 0x32);
    dma_read(&r->phys, DATA, env, 28);
    ck_assert_uint_eq(ld_le32(env), 0xffff037f);
    ck_assert_uint_eq(ld_le32(env + 4), 0xffff3800);
    ck_assert_uint_eq(ld_le32(env + 8), 0xffff7fff);
    ck_assert_uint_eq(ld_le32(env + 12), CODE);
    ck_assert_uint_eq(ld_le32(env + 16), 0x01420008);
    ck_assert_uint_eq(ld_le32(env + 20), DATA + 8);
    ck_assert_uint_eq(ld_le32(env + 24), 0xffff0010);
    rig_free(r);
}
END_TEST

START_TEST(sixteen_bit_environment_is_fourteen_bytes)
{
    struct rig *r = rig_new();
    u8 env[16];
    dma_fill(&r->phys, DATA, 0xaa, 16);
    RUN(r, 0xd9, 0x42, 0x10, 0x66, 0xd9, 0x32);
    dma_read(&r->phys, DATA, env, 16);
    ck_assert_uint_eq(ld_le16(env), 0x37f);
    ck_assert_uint_eq(ld_le16(env + 6), CODE & 0xffff);
    ck_assert_uint_eq(ld_le16(env + 8), 8);
    ck_assert_uint_eq(ld_le16(env + 10), (DATA + 16) & 0xffff);
    ck_assert_uint_eq(ld_le16(env + 12), 16);
    ck_assert_uint_eq(ld_le16(env + 14), 0xaaaa);
    rig_free(r);
}
END_TEST

START_TEST(real_mode_environment_holds_linear_addresses_and_the_opcode)
{
    struct rig *r = rig_new();
    struct cpu *cpu = r->cpu;
    u8 env[28];
    cpu_set_cr(cpu, CR0_NE | CR0_ET, 0, 0, 0);
    cpu_set_seg(cpu, SEG_CS, CODE >> 4, CODE, 0xffff, 0x9b);
    cpu_set_seg(cpu, SEG_DS, DATA >> 4, DATA, 0xffff, 0x93);
    cpu_update_mode(cpu);
    static const u8 code[] = {0xd9, 0x06, 0x08, 0x00, 0x66, 0xd9, 0x36, 0x40, 0x00, 0xd9, 0x36, 0x80, 0x00, 0xf4};
    dma_write(&r->phys, CODE, code, sizeof code);
    cpu->rip = 0;
    ck_assert_int_eq(cpu_run(cpu, 100), STOP_HALTED);
    dma_read(&r->phys, DATA + 0x40, env, 28);
    ck_assert_uint_eq(ld_le32(env + 12), 0xffff0000 | (CODE & 0xffff));
    ck_assert_uint_eq(ld_le32(env + 16), (CODE >> 16) << 12 | 0x106);
    ck_assert_uint_eq(ld_le32(env + 20), 0xffff0000 | ((DATA + 8) & 0xffff));
    ck_assert_uint_eq(ld_le32(env + 24), (DATA >> 16) << 12);
    dma_read(&r->phys, DATA + 0x80, env, 14);
    ck_assert_uint_eq(ld_le16(env + 8), (CODE >> 16) << 12 | 0x106);
    ck_assert_uint_eq(ld_le16(env + 12), (DATA >> 16) << 12);
    rig_free(r);
}
END_TEST

START_TEST(fnsave_and_frstor_return_the_whole_state)
{
    struct rig *r = rig_new();
    struct x87 *x = &r->cpu->x87;
    for (u16 i = 0; i < 5; i++)
        push(x, F80_J + i, 0x3fff);
    x87_set_cw(x, 0xc7f);
    x->sw |= SW_C3 | SW_PE;
    struct x87 before = *x;
    RUN(r, 0xdd, 0x32);
    ck_assert_uint_eq(x->empty, 0xff);
    ck_assert_uint_eq(x->cw, 0x37f);
    RUN(r, 0xdd, 0x22);
    ck_assert_uint_eq(x->cw, before.cw);
    ck_assert_uint_eq(x->sw, before.sw);
    ck_assert_uint_eq(x->empty, before.empty);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_f80(x->st[i], before.st[i].mant, before.st[i].se);
    rig_free(r);
}
END_TEST

START_TEST(fsin_of_pi_shows_the_66_bit_pi)
{
    struct rig *r = rig_new();
    push(&r->cpu->x87, 0xc90fdaa22168c235ull, 0x4000);
    RUN(r, 0xd9, 0xfe);
    ck_assert_f80(st(&r->cpu->x87, 0), F80_J, 0x8000 | (16383 - 64));
    rig_free(r);
}
END_TEST

START_TEST(fsin_beyond_2_63_sets_c2_and_leaves_st0)
{
    struct rig *r = rig_new();
    push(&r->cpu->x87, F80_J, 16383 + 63);
    RUN(r, 0xd9, 0xfe);
    ck_assert_uint_eq(r->cpu->x87.sw & (SW_C2 | 0xff), SW_C2);
    ck_assert_f80(st(&r->cpu->x87, 0), F80_J, 16383 + 63);
    rig_free(r);
}
END_TEST

static struct f80 function_value(enum function f, struct f80 a, struct f80 b)
{
    struct sf_ctx c = {.masks = SF_ALL, .precision = 64};
    struct f80 r = {0, 0};
    switch (f) {
    case SIN: x87_sin(&c, a, &r); break;
    case COS: x87_cos(&c, a, &r); break;
    case TAN: x87_tan(&c, a, &r); break;
    case ATAN: r = x87_patan(&c, a, b); break;
    case YL2X: r = x87_yl2x(&c, a, b); break;
    case YL2XP1: r = x87_yl2xp1(&c, a, b); break;
    default: r = x87_f2xm1(&c, a); break;
    }
    return r;
}

START_TEST(transcendental_functions_are_correctly_rounded)
{
    for (unsigned i = 0; i < ARRAY_SIZE(function_vectors); i++) {
        struct f80 want = function_vectors[i].result;
        struct f80 got = function_value(function_vectors[i].f, function_vectors[i].a, function_vectors[i].b);
        ck_assert_msg(got.mant == want.mant && got.se == want.se, "vector %u: %04x:%016" PRIx64, i,
                      got.se, got.mant);
    }
}
END_TEST

START_TEST(tiny_arguments_round_as_the_function_bends)
{
    struct f80 tiny = {F80_J, F80_BIAS - 100}, r;
    struct sf_ctx down = {.masks = SF_ALL, .precision = 64, .rounding = SF_ZERO}, up = down;
    up.rounding = SF_UP;
    x87_sin(&down, tiny, &r); /* sin x < x < tan x */
    ck_assert_f80(r, ~0ull, F80_BIAS - 101);
    ck_assert_uint_eq(down.flags, SF_PE);
    x87_tan(&up, tiny, &r);
    ck_assert_f80(r, F80_J + 1, F80_BIAS - 100);
    x87_cos(&down, tiny, &r);
    ck_assert_f80(r, ~0ull, F80_BIAS - 1);
}
END_TEST

START_TEST(ffreep_frees_and_pops)
{
    struct rig *r = rig_new();
    struct x87 *x = &r->cpu->x87;
    for (int i = 0; i < 3; i++)
        push(x, F80_J, 0x3fff);
    RUN(r, 0xdf, 0xc1); /* ST(1), then ST(0) */
    ck_assert_uint_eq(x87_top(x), 6);
    ck_assert_uint_eq(x->empty, 0x7f);
    rig_free(r);
}
END_TEST

START_TEST(a_store_that_faults_leaves_x87_state_alone)
{
    struct rig *r = rig_new();
    rig_idt(r);
    push(&r->cpu->x87, 0xffffffffffffffffull, 0x3fff);
    cpu_set_seg(r->cpu, SEG_DS, 16, 0, 0xfff, 0x493);
    cpu_update_mode(r->cpu);
    struct x87 before = r->cpu->x87;
    RUN(r, 0xd9, 0x1a); /* FSTP dword [EDX]: beyond the limit */
    ck_assert_int_eq(rig_fault(r), EXC_GP);
    ck_assert_uint_eq(r->cpu->x87.sw, before.sw);
    ck_assert_uint_eq(r->cpu->x87.empty, before.empty);
    ck_assert_uint_eq(r->cpu->x87.fip, before.fip);
    rig_free(r);
}
END_TEST

#if defined(__x86_64__)
#include "tests/unit/x87_host.h"
#endif

int main(void)
{
    Suite *s = suite_create("x87");
    TCase *t = tcase_create("vectors");
    tcase_add_test(t, fninit_sets_the_state_of_the_manual);
    tcase_add_test(t, fldpi_is_rounded_by_rounding_control);
    tcase_add_test(t, push_on_full_stack_sets_sf_and_c1_and_gives_the_indefinite);
    tcase_add_test(t, pop_of_empty_stack_unmasked_changes_nothing_but_sw);
    tcase_add_test(t, unmasked_exception_comes_at_the_next_waiting_instruction);
    tcase_add_test(t, without_ne_an_unmasked_exception_raises_ferr_and_fnclex_drops_it);
    tcase_add_test(t, wait_obeys_mp_and_escapes_obey_em);
    tcase_add_test(t, fcomi_writes_zf_pf_cf_and_clears_the_others);
    tcase_add_test(t, environment_has_the_pointers_of_the_last_instruction);
    tcase_add_test(t, sixteen_bit_environment_is_fourteen_bytes);
    tcase_add_test(t, real_mode_environment_holds_linear_addresses_and_the_opcode);
    tcase_add_test(t, fnsave_and_frstor_return_the_whole_state);
    tcase_add_test(t, fsin_of_pi_shows_the_66_bit_pi);
    tcase_add_test(t, fsin_beyond_2_63_sets_c2_and_leaves_st0);
    tcase_add_test(t, transcendental_functions_are_correctly_rounded);
    tcase_add_test(t, tiny_arguments_round_as_the_function_bends);
    tcase_add_test(t, ffreep_frees_and_pops);
    tcase_add_test(t, a_store_that_faults_leaves_x87_state_alone);
    suite_add_tcase(s, t);
#if defined(__x86_64__)
    suite_add_tcase(s, host_tests());
#endif
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
