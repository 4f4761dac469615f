/*
 * test_sse.c: MMX and SSE. On an x86-64 host every row of insn_sse.def that the host has is
 * executed by the host and by its handler from the same random state (register form, flat and
 * segmented memory form) and everything is compared. What the host cannot show in user mode has a
 * test of its own.
 */
#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/exec.h"
#include "cpu/fpu.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#endif

#define DATA 0x10000u /* where the guest's operands are */
#define MEM_OFF 0x40  /* of the memory operand in struct state */

/* ---- a CPU without a machine ----------------------------------------------------------------- */

static struct cpu *cpu;
static struct phys phys;

static void ignore_changed(void *opaque)
{
    (void)opaque;
}

static void ignore_code(void *opaque, gpa_t gpa, u64 len)
{
    (void)opaque;
    (void)gpa;
    (void)len;
}

/* 64-bit code without paging, everything about vectors enabled. */
static void setup(void)
{
    struct err e;
    cpu = cpu_alloc();
    ck_assert(phys_init(&phys, MIB, &e));
    phys.changed = ignore_changed;
    phys.code_written = ignore_code;
    cpu->phys = &phys;
    tlb_init(&cpu->tlb);
    cpu->cr0 = CR0_PE | CR0_NE;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PAE;
    cpu->efer = EFER_LMA | EFER_LME;
    cpu->eflags = 2;
    cpu->gates = ~0ull;
    cpu->xcr0 = 3;
    cpu->mxcsr = 0x1f80;
    cpu->gpr[18] = 1ull << 32;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i] = (struct seg){.limit = 0xffffffff, .attr = 0x93 | SEG_DB | SEG_G};
    cpu->seg[SEG_CS].attr = 0x9b | SEG_L | SEG_G;
    cpu->amask = ~0ull;
    x87_init(&cpu->x87);
    cpu_update_key(cpu);
    cpu->gpr[RDI] = DATA;
}

static void teardown(void)
{
    phys_destroy(&phys);
    free(cpu);
}

static u8 *guest(u32 at)
{
    return phys.ram + at;
}

static const struct insn *stop(struct cpu *c, const struct insn *in)
{
    (void)c;
    (void)in;
    return NULL;
}

enum { FLAT, SEGMENTED };

/* Decodes and runs one instruction; the vector of its exception, or -1. */
static int run_as(const u8 *bytes, int addressing, unsigned *row)
{
    static struct insn in[2];
    const struct insn_ops *ops;
    insn_fn fn;
    unsigned size;
    u8 padded[INSN_MAX_BYTES] = {0};
    memcpy(padded, bytes, INSN_MAX_BYTES);
    ck_assert(decode(padded, INSN_MAX_BYTES, cpu_in_code64(cpu) ? 64 : 32, false, cpu->gates, in) ==
              DECODE_OK);
    if (row)
        *row = in->row;
    if (in->row == ROW_INVALID)
        return EXC_UD;
    ops = insn_row(in)->ops;
    size = (unsigned)__builtin_ctz(in->osz);
    fn = !in->mem ? ops->r[size] : addressing == FLAT ? ops->m[size] : ops->s[size];
    if (!fn)
        fn = ops->any;
    ck_assert(fn != NULL);
    in[1].fn = stop;
    if (sigsetjmp(cpu->unwind, 0))
        return cpu->excp.vector;
    fn(cpu, in);
    return -1;
}

static int run_bytes(const u8 *bytes)
{
    return run_as(bytes, SEGMENTED, NULL);
}

#define RUN(...) run_bytes((const u8[INSN_MAX_BYTES]){__VA_ARGS__})

/* ---- random operands ------------------------------------------------------------------------- */

static u64 seed = 1;

static u64 rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}

#ifdef __x86_64__
static u32 rnd_f32(void)
{
    // clang-format off
    static const u32 special[] = {
        0, 1, 0x007fffff, 0x00800000, 0x3f800000, 0x3f000000, 0x3fc00000,
        0x40200000, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7fa00000, 0x7fc12345, 0x4f000000,
        0x4effffff, 0x5f000000, 0x4b000001, 0x33800000, 0x34000000, 0x00000100, 0x1f800000,
        0x20000000, 0x5f800000, 0x3eaaaaab,
    };
    // clang-format on
    u64 r = rnd();
    u32 v = special[r % ARRAY_SIZE(special)];
    if (r >> 8 & 1)
        v = (u32)(r >> 32);
    if (r >> 9 & 1)
        v = (v & 0x807fffff) | (u32)(118 + (r >> 10) % 20) << 23; /* near 1 */
    return v ^ (u32)(r >> 20 & 1) << 31;
}

static u64 rnd_f64(void)
{
    // clang-format off
    static const u64 special[] = {
        0, 1, 0xfffffffffffff, 0x10000000000000,
        0x3ff0000000000000, 0x3fe0000000000000, 0x3ff8000000000000, 0x4004000000000000,
        0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff4000000000000,
        0x7ff8000000012345, 0x41e0000000000000, 0x41dfffffffc00000, 0x43e0000000000000,
        0x4330000000000001, 0x3690000000000000, 0x380fffffffffffff, 0x3810000000000000,
        0x47efffffe0000000, 0x47effffff0000000,
    };
    // clang-format on
    u64 r = rnd();
    u64 v = special[r % ARRAY_SIZE(special)];
    if (r >> 8 & 1)
        v = rnd();
    if (r >> 9 & 1)
        v = (v & 0x800fffffffffffff) | (1014 + (r >> 10) % 20) << 52;
    return v ^ (r >> 20 & 1) << 63;
}

static u64 rnd_lanes(unsigned kind)
{
    u64 r = rnd();
    switch (kind % 6) {
    case 0: return rnd_f64();
    case 1: return rnd_f32() | (u64)rnd_f32() << 32;
    case 2: return r & 0x0303030303030303ull; /* equal bytes, zeros */
    case 3: return (r & 0x8181818181818181ull) | ((r & 1) ? 0x7f00ull : 0xff7full << 32);
    case 4: return r & 0x000000000000007full; /* shift counts */
    default: return r;
    }
}

/* ---- the host as the judge ------------------------------------------------------------------- */

struct state {
    u64 xmm[3][2];
    u64 mm[2]; /* MM1, MM2 */
    u64 mem[4];
    u64 gpr[3]; /* RAX, RCX, RDX */
    u64 flags;
    u32 mxcsr;
};
_Static_assert(offsetof(struct state, mem) == MEM_OFF, "the memory operand is aligned");

static u8 *emit_at(u8 *p, const char *opcode, unsigned len, unsigned reg, size_t off)
{
    memcpy(p, opcode, len);
    p[len] = (u8)(0x87 | reg << 3); /* [rdi + disp32] */
    st_le32(p + len + 1, (u32)off);
    return p + len + 5;
}

/* Loads all of *rdi, runs `insn`, stores all. */
static void host_code(u8 *p, const u8 *insn, unsigned len)
{
    p = emit_at(p, "\x0f\xae", 2, 2, offsetof(struct state, mxcsr));
    for (unsigned i = 0; i < 3; i++) {
        p = emit_at(p, "\xf3\x0f\x6f", 3, i, offsetof(struct state, xmm[i]));
        p = emit_at(p, "\x48\x8b", 2, i, offsetof(struct state, gpr[i]));
    }
    p = emit_at(p, "\x0f\x6f", 2, 1, offsetof(struct state, mm[0]));
    p = emit_at(p, "\x0f\x6f", 2, 2, offsetof(struct state, mm[1]));
    p = emit_at(p, "\xff", 1, 6, offsetof(struct state, flags));
    *p++ = 0x9d;
    memcpy(p, insn, len);
    p += len;
    *p++ = 0x9c;
    p = emit_at(p, "\x8f", 1, 0, offsetof(struct state, flags));
    for (unsigned i = 0; i < 3; i++) {
        p = emit_at(p, "\xf3\x0f\x7f", 3, i, offsetof(struct state, xmm[i]));
        p = emit_at(p, "\x48\x89", 2, i, offsetof(struct state, gpr[i]));
    }
    p = emit_at(p, "\x0f\x7f", 2, 1, offsetof(struct state, mm[0]));
    p = emit_at(p, "\x0f\x7f", 2, 2, offsetof(struct state, mm[1]));
    p = emit_at(p, "\x0f\xae", 2, 3, offsetof(struct state, mxcsr));
    memcpy(p, "\x0f\x77\xc3", 3);
}

static sigjmp_buf host_unwind;
static u32 host_fault_mxcsr;

static void host_on_sigfpe(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    (void)sig;
    (void)info;
    host_fault_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
    siglongjmp(host_unwind, 1);
}

/* False: SIGFPE, and nothing but MXCSR changed. */
static bool host_run(u8 *code, struct state *s)
{
    struct state before = *s;
    if (sigsetjmp(host_unwind, 1)) {
        *s = before;
        s->mxcsr = host_fault_mxcsr;
        return false;
    }
    ((void (*)(struct state *))(uintptr_t)code)(s);
    return true;
}

static bool host_has(unsigned gate)
{
    switch (gate) {
    case GATE_MMX:
    case GATE_SSE:
    case GATE_SSE2: return true;
    case GATE_SSE3: return __builtin_cpu_supports("sse3");
    case GATE_SSSE3: return __builtin_cpu_supports("ssse3");
    case GATE_SSE41: return __builtin_cpu_supports("sse4.1");
    case GATE_SSE42: return __builtin_cpu_supports("sse4.2");
    case GATE_AES: return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("aes");
    case GATE_PCLMUL: return __builtin_cpu_supports("pclmul");
    case GATE_SHA: {
        u32 a = 7, b, c = 0, d;
        __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        return b >> 29 & 1;
    }
    default: return false;
    }
}

/* Encodes a row with ModRM.reg 1, rm 2 or [rdi + 0x40]; the length, 0 when it has no such form. */
static unsigned encode(const struct insn_row *r, bool mem, bool w, u8 imm, u8 *out)
{
    static const u8 prefix[] = {[P66] = 0x66, [PF3] = 0xf3, [PF2] = 0xf2};
    unsigned n = 0;
    if (r->modrm & (mem ? MRM_REG : MRM_MEM) || r->attr & (w ? A_W0 : A_W1))
        return 0;
    if (r->pfx != NP)
        out[n++] = prefix[r->pfx];
    if (w)
        out[n++] = 0x48;
    out[n++] = 0x0f;
    if (r->map != TB)
        out[n++] = r->map == T38 ? 0x38 : 0x3a;
    out[n++] = r->opcode;
    if (r->modrm == MRM_NONE)
        return mem ? 0 : n;
    out[n++] = (u8)((mem ? 0x47 : 0xc2) | (r->modrm & MRM_HAS_REG ? r->modrm & 7 : 1) << 3);
    if (mem)
        out[n++] = MEM_OFF;
    for (unsigned i = 0; i < 3; i++)
        if (r->opnd[i] == OPND_Ib)
            out[n++] = imm;
    return n;
}

static void random_state(struct state *s)
{
    unsigned kind = (unsigned)(rnd() >> 40);
    for (unsigned i = 0; i < 3; i++) {
        s->xmm[i][0] = rnd_lanes(kind);
        s->xmm[i][1] = rnd_lanes(kind);
        s->gpr[i] = rnd() & 7 ? rnd() : rnd() % 40 - 20;
        if (rnd() & 1)
            kind = (unsigned)(rnd() >> 40);
    }
    for (unsigned i = 0; i < 4; i++)
        s->mem[i] = rnd_lanes(kind);
    s->mm[0] = rnd_lanes(kind);
    s->mm[1] = rnd_lanes(kind);
    s->flags = 0x202 | (rnd() & EFLAGS_ARITH);
    s->mxcsr = 0x1f80 | (u32)(rnd() & 0xe07f);
    if (!(rnd() & 3))
        s->mxcsr &= ~((u32)rnd() & 0x1f80); /* some exceptions are unmasked */
    if (rnd() & 3)
        s->mxcsr &= ~0x3fu;
}

static void state_to_cpu(const struct state *s)
{
    for (unsigned i = 0; i < 3; i++) {
        memcpy(&cpu->vec[i], s->xmm[i], 16);
        cpu->gpr[i] = s->gpr[i];
    }
    x87_mmx_set(&cpu->x87, 1, s->mm[0]);
    x87_mmx_set(&cpu->x87, 2, s->mm[1]);
    memcpy(guest(DATA + MEM_OFF), s->mem, sizeof s->mem);
    flags_set(&cpu->flags, (u32)s->flags);
    cpu->mxcsr = s->mxcsr;
}

static void cpu_to_state(struct state *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(s->xmm[i], &cpu->vec[i], 16);
        s->gpr[i] = cpu->gpr[i];
    }
    s->mm[0] = x87_mmx_get(&cpu->x87, 1);
    s->mm[1] = x87_mmx_get(&cpu->x87, 2);
    memcpy(s->mem, guest(DATA + MEM_OFF), sizeof s->mem);
    s->flags = flags_get(&cpu->flags);
    s->mxcsr = cpu->mxcsr;
}

static const char *format_state(const struct state *s, char *buf)
{
    char *p = buf;
    for (unsigned i = 0; i < 3; i++)
        p += sprintf(p, "xmm%u %016llx_%016llx ", i, (unsigned long long)s->xmm[i][1],
                     (unsigned long long)s->xmm[i][0]);
    sprintf(p, "mem %016llx_%016llx mm %llx %llx gpr %llx %llx %llx flags %llx mxcsr %x",
            (unsigned long long)s->mem[1], (unsigned long long)s->mem[0],
            (unsigned long long)s->mm[0], (unsigned long long)s->mm[1],
            (unsigned long long)s->gpr[0], (unsigned long long)s->gpr[1],
            (unsigned long long)s->gpr[2], (unsigned long long)s->flags, s->mxcsr);
    return buf;
}

static void compare_with_host(unsigned row, bool mem, bool w, u8 *code)
{
    const struct insn_row *r = &insn_rows[row];
    for (unsigned n = 0; n < 200; n++) {
        u8 insn[INSN_MAX_BYTES] = {0};
        unsigned len = encode(r, mem, w, (u8)(rnd() >> 32), insn), found;
        struct state before __attribute__((aligned(16))), host __attribute__((aligned(16))), ours;
        int expected, result;
        char a[600], b[600], c[600];
        if (!len)
            return;
        memset(&before, 0, sizeof before);
        random_state(&before);
        host = before;
        host_code(code, insn, len);
        expected = host_run(code, &host) ? -1 : EXC_XM;
        host.flags &= EFLAGS_ARITH;
        state_to_cpu(&before);
        result = run_as(insn, n & 1, &found);
        ck_assert_msg(found == row, "%s decodes as %s", r->name, insn_rows[found].name);
        cpu_to_state(&ours);
        ck_assert_msg(result == expected && !memcmp(&ours, &host, sizeof ours),
                      "%s %s W%d imm %02x: vector %d, host %d\nbefore %s\nhost   %s\nours   %s",
                      r->name, mem ? "mem" : "reg", w, insn[len - 1], result, expected,
                      format_state(&before, a), format_state(&host, b), format_state(&ours, c));
    }
}

/* Rows that have nothing to compare in this way: approximations, implicit stores, state. */
static bool is_incomparable(const struct insn_row *r)
{
    return !strncmp(r->name, "rcp", 3) || !strncmp(r->name, "rsqrt", 5) ||
           !strncmp(r->name, "maskmov", 7) || r->opcode == 0xae;
}

static bool is_ours(const struct insn_row *r)
{
    static const char *const names[] = {
#define INSN(map, opcode, pfx, modrm, name, ...) name,
#include "cpu/insn_sse.def"
#undef INSN
    };
    if (r->map == OB || r->map > T3A || r->pfx == ANY)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], r->name))
            return host_has(r->gate);
    return false;
}

START_TEST(every_row_gives_the_results_of_the_host)
{
    struct sigaction fpe = {.sa_sigaction = host_on_sigfpe, .sa_flags = SA_SIGINFO};
    unsigned compared = 0;
    u8 *code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(code, MAP_FAILED);
    sigaction(SIGFPE, &fpe, NULL);
    for (unsigned row = 0; row < insn_row_count; row++) {
        if (!is_ours(&insn_rows[row]) || is_incomparable(&insn_rows[row]))
            continue;
        for (unsigned form = 0; form < 4; form++)
            compare_with_host(row, form & 1, form >> 1, code);
        compared++;
    }
    ck_assert_uint_ge(compared, 200);
    munmap(code, PAGE_SIZE);
}
END_TEST
#endif

/* ---- gates ----------------------------------------------------------------------------------- */

START_TEST(cr0_and_cr4_gate_sse_and_mmx)
{
    cpu->cr0 |= CR0_TS;
    ck_assert_int_eq(RUN(0x0f, 0x28, 0xca), EXC_NM);
    ck_assert_int_eq(RUN(0x0f, 0xfc, 0xca), EXC_NM);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x07), EXC_NM); /* fxsave */
    cpu->cr0 |= CR0_EM;
    ck_assert_int_eq(RUN(0x0f, 0x28, 0xca), EXC_UD);
    ck_assert_int_eq(RUN(0x0f, 0xfc, 0xca), EXC_UD);
    cpu->cr0 &= ~(CR0_TS | CR0_EM);
    cpu->cr4 &= ~CR4_OSFXSR;
    ck_assert_int_eq(RUN(0x0f, 0x28, 0xca), EXC_UD);
    ck_assert_int_eq(RUN(0x0f, 0xfc, 0xca), -1);
}
END_TEST

START_TEST(movnti_needs_neither_osfxsr_nor_a_clear_ts)
{
    cpu->cr0 |= CR0_TS | CR0_EM;
    cpu->cr4 &= ~CR4_OSFXSR;
    cpu->gpr[RCX] = 0x1122334455667788ull;
    ck_assert_int_eq(RUN(0x0f, 0xc3, 0x0f), -1);
    ck_assert_uint_eq(ld_le64(guest(DATA)), 0x55667788);
}
END_TEST

START_TEST(unaligned_operand_of_an_aligned_form_is_gp)
{
    cpu->gpr[RDI] = DATA + 1;
    cpu->vec[1].q[0] = 42;
    ck_assert_int_eq(RUN(0x0f, 0x28, 0x0f), EXC_GP);       /* movaps load */
    ck_assert_int_eq(RUN(0x0f, 0x29, 0x0f), EXC_GP);       /* movaps store */
    ck_assert_int_eq(RUN(0x66, 0x0f, 0xfc, 0x0f), EXC_GP); /* paddb */
    ck_assert_int_eq(RUN(0x0f, 0x58, 0x0f), EXC_GP);       /* addps */
    ck_assert_uint_eq(cpu->excp.error, 0);
    ck_assert_uint_eq(cpu->vec[1].q[0], 42);
    ck_assert_uint_eq(ld_le64(guest(DATA + 1)), 0);
}
END_TEST

START_TEST(unaligned_operand_of_the_other_forms_is_fine)
{
    cpu->gpr[RDI] = DATA + 1;
    st_le64(guest(DATA + 1), 0x1122334455667788ull);
    ck_assert_int_eq(RUN(0x0f, 0x10, 0x0f), -1); /* movups */
    ck_assert_uint_eq(cpu->vec[1].q[0], 0x1122334455667788ull);
    ck_assert_int_eq(RUN(0xf2, 0x0f, 0xf0, 0x0f), -1);             /* lddqu */
    ck_assert_int_eq(RUN(0xf3, 0x0f, 0x58, 0x0f), -1);             /* addss */
    ck_assert_int_eq(RUN(0x66, 0x0f, 0x3a, 0x63, 0x0f, 0x00), -1); /* pcmpistri */
    ck_assert_int_eq(RUN(0x0f, 0x11, 0x0f), -1);
}
END_TEST

START_TEST(bits_above_127_stay_under_legacy_sse)
{
    cpu->vec[1].q[2] = 1;
    cpu->vec[1].q[3] = 2;
    ck_assert_int_eq(RUN(0x66, 0x0f, 0xef, 0xc9), -1); /* pxor */
    ck_assert_int_eq(RUN(0x66, 0x0f, 0x70, 0xca, 0x1b), -1);
    ck_assert_int_eq(RUN(0x66, 0x0f, 0x3a, 0x0e, 0xca, 0x55), -1);
    ck_assert_int_eq(RUN(0x0f, 0x58, 0xca), -1);
    ck_assert_uint_eq(cpu->vec[1].q[2], 1);
    ck_assert_uint_eq(cpu->vec[1].q[3], 2);
}
END_TEST

START_TEST(rex_reaches_the_upper_eight_registers)
{
    cpu->vec[10].q[0] = 5;
    cpu->vec[9].q[0] = 6;
    ck_assert_int_eq(RUN(0x66, 0x45, 0x0f, 0xd4, 0xca), -1); /* paddq xmm9, xmm10 */
    ck_assert_uint_eq(cpu->vec[9].q[0], 11);
    ck_assert_uint_eq(cpu->vec[1].q[0], 0);
}
END_TEST

/* ---- exceptions ------------------------------------------------------------------------------ */

#define ONE 0x3f800000u
#define THREE 0x40400000u

START_TEST(unmasked_exception_is_xm_and_writes_no_element)
{
    cpu->vec[1] = (union vec){.d = {ONE, ONE, ONE, ONE}};
    cpu->vec[2] = (union vec){.d = {ONE, ONE, 0, ONE}};
    cpu->mxcsr = 0x1f80 & ~0x200u; /* ZE unmasked */
    ck_assert_int_eq(RUN(0x0f, 0x5e, 0xca), EXC_XM);
    ck_assert_uint_eq(cpu->mxcsr & 0x3f, 4);
    ck_assert_uint_eq(cpu->vec[1].d[0], ONE);
    ck_assert_uint_eq(cpu->vec[1].d[2], ONE);
}
END_TEST

START_TEST(unmasked_exception_is_ud_without_osxmmexcpt)
{
    cpu->cr4 &= ~CR4_OSXMMEXCPT;
    cpu->vec[1].d[0] = ONE;
    cpu->mxcsr = 0x1f80 & ~0x200u;
    ck_assert_int_eq(RUN(0xf3, 0x0f, 0x5e, 0xca), EXC_UD);
}
END_TEST

START_TEST(unmasked_precomputation_exception_hides_the_inexact_of_other_elements)
{
    cpu->vec[1] = (union vec){.d = {ONE, ONE, ONE, ONE}};
    cpu->vec[2] = (union vec){.d = {THREE, 0, ONE, ONE}};
    cpu->mxcsr = 0x1f80 & ~0x200u;
    ck_assert_int_eq(RUN(0x0f, 0x5e, 0xca), EXC_XM);
    ck_assert_uint_eq(cpu->mxcsr & 0x3f, 4);
    cpu->mxcsr = 0x1f80;
    ck_assert_int_eq(RUN(0x0f, 0x5e, 0xca), -1);
    ck_assert_uint_eq(cpu->mxcsr & 0x3f, 0x24);
}
END_TEST

START_TEST(comiss_with_an_unmasked_invalid_leaves_the_flags)
{
    cpu->vec[1].d[0] = 0x7fc00000;
    flags_set(&cpu->flags, EFLAGS_OF | EFLAGS_SF);
    cpu->mxcsr = 0x1f80 & ~0x80u;
    ck_assert_int_eq(RUN(0x0f, 0x2f, 0xca), EXC_XM);
    ck_assert_uint_eq(flags_get(&cpu->flags), EFLAGS_OF | EFLAGS_SF);
    ck_assert_int_eq(RUN(0x0f, 0x2e, 0xca), -1); /* ucomiss: a quiet NaN is not invalid */
    ck_assert_uint_eq(flags_get(&cpu->flags), EFLAGS_ZF | EFLAGS_PF | EFLAGS_CF);
}
END_TEST

START_TEST(ldmxcsr_with_reserved_bits_is_gp)
{
    st_le32(guest(DATA), 0x00011f80);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x17), EXC_GP);
    ck_assert_uint_eq(cpu->mxcsr, 0x1f80);
    st_le32(guest(DATA), 0xffff);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x17), -1);
    ck_assert_uint_eq(cpu->mxcsr, 0xffff);
    cpu->gates &= ~BIT64(GATE_SSE2); /* a processor without DAZ */
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x17), EXC_GP);
}
END_TEST

/* ---- MMX ------------------------------------------------------------------------------------- */

START_TEST(mmx_write_makes_tags_valid_top_zero_and_exponent_ones)
{
    x87_set_top(&cpu->x87, 5);
    cpu->x87.empty = 0xff;
    cpu->x87.st[1].se = 0x3fff;
    ck_assert_int_eq(RUN(0x0f, 0xef, 0xc9), -1); /* pxor mm1, mm1 */
    ck_assert_uint_eq(x87_top(&cpu->x87), 0);
    ck_assert_uint_eq(cpu->x87.empty, 0);
    ck_assert_uint_eq(cpu->x87.st[1].se, 0xffff);
    ck_assert_uint_eq(cpu->x87.st[1].mant, 0);
    ck_assert_uint_eq(cpu->x87.st[2].se, 0);
    ck_assert_int_eq(RUN(0x0f, 0x77), -1);
    ck_assert_uint_eq(cpu->x87.empty, 0xff);
}
END_TEST

START_TEST(rex_does_not_reach_mmx_registers)
{
    x87_mmx_set(&cpu->x87, 2, 7);
    ck_assert_int_eq(RUN(0x45, 0x0f, 0x6f, 0xca), -1); /* movq mm1, mm2 with REX.R and REX.B */
    ck_assert_uint_eq(x87_mmx_get(&cpu->x87, 1), 7);
}
END_TEST

START_TEST(pending_x87_exception_comes_before_mmx)
{
    cpu->x87.cw = 0x37e;
    x87_set_sw(&cpu->x87, SW_IE);
    ck_assert_int_eq(RUN(0x0f, 0xfc, 0xca), EXC_MF);
    ck_assert_int_eq(RUN(0x66, 0x0f, 0x2a, 0xca), EXC_MF); /* cvtpi2pd xmm, mm */
    ck_assert_int_eq(RUN(0x66, 0x0f, 0x2a, 0x0f), -1);     /* from memory: no MMX */
    ck_assert_int_eq(RUN(0x0f, 0x58, 0xca), -1);
}
END_TEST

/* ---- single instructions --------------------------------------------------------------------- */

START_TEST(maskmovdqu_stores_only_the_chosen_bytes)
{
    for (unsigned i = 0; i < 16; i++) {
        cpu->vec[1].b[i] = (u8)(i + 1);
        cpu->vec[2].b[i] = i % 3 == 0 ? 0x80 : 0x7f;
        guest(DATA + 5)[i] = 0xee;
    }
    cpu->gpr[RDI] = DATA + 5;
    ck_assert_int_eq(RUN(0x66, 0x0f, 0xf7, 0xca), -1);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(guest(DATA + 5)[i], i % 3 == 0 ? i + 1 : 0xee);
}
END_TEST

START_TEST(maskmovq_with_an_empty_mask_touches_no_memory)
{
    cpu->gpr[RDI] = 0x8000000000000000ull; /* not canonical */
    x87_mmx_set(&cpu->x87, 2, 0x7f7f7f7f7f7f7f7full);
    ck_assert_int_eq(RUN(0x0f, 0xf7, 0xca), -1);
    x87_mmx_set(&cpu->x87, 2, 0x80);
    ck_assert_int_eq(RUN(0x0f, 0xf7, 0xca), EXC_GP);
}
END_TEST

static double as_double(u32 bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

START_TEST(approximations_are_within_the_architectural_error)
{
    const double bound = 1.5 / 4096;
    cpu->mxcsr = 0x0000; /* nothing masked: they raise nothing */
    for (unsigned n = 0; n < 200000; n++) {
        u32 v = (u32)(rnd() >> 33);
        double x = as_double(v);
        if ((v >> 23) < 2 || (v >> 23) >= 252)
            continue;
        cpu->vec[2].d[0] = v;
        ck_assert_int_eq(RUN(0xf3, 0x0f, 0x53, 0xca), -1);
        ck_assert_double_le(fabs(as_double(cpu->vec[1].d[0]) * x - 1), bound);
        ck_assert_int_eq(RUN(0xf3, 0x0f, 0x52, 0xca), -1);
        ck_assert_double_le(fabs(as_double(cpu->vec[1].d[0]) * sqrt(x) - 1), bound);
    }
    ck_assert_uint_eq(cpu->mxcsr, 0);
}
END_TEST

START_TEST(approximations_of_special_values)
{
    static const u32 cases[][3] = {
        /* operand, 1/x, 1/sqrt(x) */
        {0x00000000, 0x7f800000, 0x7f800000}, {0x80000000, 0xff800000, 0xff800000},
        {0x00000001, 0x7f800000, 0x7f800000}, {0x807fffff, 0xff800000, 0xff800000},
        {0x7f800000, 0x00000000, 0x00000000}, {0xff800000, 0x80000000, 0xffc00000},
        {0x7fa00000, 0x7fe00000, 0x7fe00000}, {0xffc00001, 0xffc00001, 0xffc00001},
        {0x7f7fffff, 0x00000000, 0x1f800400}, {0xbf800000, 0xbf7ff000, 0xffc00000},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        cpu->vec[2].d[0] = cases[i][0];
        ck_assert_int_eq(RUN(0x0f, 0x53, 0xca), -1);
        ck_assert_uint_eq(cpu->vec[1].d[0], cases[i][1]);
        if (i == 8)
            continue; /* a rounding of ours, checked above */
        ck_assert_int_eq(RUN(0x0f, 0x52, 0xca), -1);
        ck_assert_uint_eq(cpu->vec[1].d[0], cases[i][2]);
    }
}
END_TEST

/* ---- FXSAVE and XSAVE ------------------------------------------------------------------------ */

static void fill_registers(void)
{
    for (unsigned i = 0; i < 16; i++)
        cpu->vec[i].q[0] = cpu->vec[i].q[1] = 0x0101010101010101ull * (i + 1);
    for (unsigned i = 0; i < 8; i++)
        cpu->x87.st[i] = (struct f80){0x8000000000000000ull | i, (u16)(0x3fff + i)};
    x87_set_top(&cpu->x87, 3);
    cpu->x87.empty = 0x0f;
    cpu->x87.fop = 0x123;
    cpu->x87.fip = 0x1122334455667788ull;
    cpu->x87.fdp = 0x99aabbccddeeff00ull;
    cpu->x87.fcs = 0x10;
    cpu->x87.fds = 0x18;
}

START_TEST(fxsave_has_the_layout_of_the_manual)
{
    const u8 *a = guest(DATA);
    fill_registers();
    memset(guest(DATA), 0xcc, 512);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x07), -1);
    ck_assert_uint_eq(ld_le16(a), 0x37f);
    ck_assert_uint_eq(ld_le16(a + 2), 3 << 11);
    ck_assert_uint_eq(a[4], 0xf0);
    ck_assert_uint_eq(ld_le16(a + 6), 0x123);
    ck_assert_uint_eq(ld_le32(a + 8), 0x55667788);
    ck_assert_uint_eq(ld_le16(a + 12), 0x10);
    ck_assert_uint_eq(ld_le32(a + 16), 0xddeeff00);
    ck_assert_uint_eq(ld_le16(a + 20), 0x18);
    ck_assert_uint_eq(ld_le32(a + 24), 0x1f80);
    ck_assert_uint_eq(ld_le32(a + 28), 0xffff);
    ck_assert_uint_eq(ld_le64(a + 32), 0x8000000000000003ull); /* ST(0) is R3 */
    ck_assert_uint_eq(ld_le16(a + 40), 0x4002);
    ck_assert_uint_eq(a[160 + 16 * 15], 16);
    ck_assert_uint_eq(a[416], 0xcc); /* reserved and available bytes are not written */
    ck_assert_int_eq(RUN(0x48, 0x0f, 0xae, 0x07), -1);
    ck_assert_uint_eq(ld_le64(a + 8), 0x1122334455667788ull);
    ck_assert_uint_eq(ld_le64(a + 16), 0x99aabbccddeeff00ull);
}
END_TEST

START_TEST(fxsave_without_osfxsr_leaves_the_sse_part)
{
    fill_registers();
    memset(guest(DATA), 0xcc, 512);
    cpu->cr4 &= ~CR4_OSFXSR;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x07), -1);
    ck_assert_uint_eq(ld_le32(guest(DATA + 24)), 0xcccccccc);
    ck_assert_uint_eq(guest(DATA)[160], 0xcc);
    ck_assert_uint_eq(ld_le16(guest(DATA)), 0x37f);
}
END_TEST

START_TEST(fxsave_outside_64_bit_mode_saves_eight_registers)
{
    cpu->seg[SEG_CS].attr = 0x9b | SEG_DB | SEG_G;
    cpu_update_key(cpu);
    fill_registers();
    memset(guest(DATA), 0xcc, 512);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x07), -1);
    ck_assert_uint_eq(guest(DATA)[160 + 16 * 7], 8);
    ck_assert_uint_eq(guest(DATA)[160 + 16 * 8], 0xcc);
}
END_TEST

START_TEST(fxrstor_restores_what_fxsave_saved)
{
    struct x87 x;
    union vec v[16];
    fill_registers();
    x = cpu->x87;
    memcpy(v, cpu->vec, sizeof v);
    ck_assert_int_eq(RUN(0x48, 0x0f, 0xae, 0x07), -1);
    memset(&cpu->x87, 0, sizeof cpu->x87);
    memset(cpu->vec, 0, sizeof cpu->vec);
    cpu->mxcsr = 0;
    ck_assert_int_eq(RUN(0x48, 0x0f, 0xae, 0x0f), -1);
    ck_assert(!memcmp(v, cpu->vec, sizeof v));
    ck_assert_uint_eq(cpu->mxcsr, 0x1f80);
    ck_assert_uint_eq(cpu->x87.sw, x.sw);
    ck_assert_uint_eq(cpu->x87.empty, x.empty);
    ck_assert_uint_eq(cpu->x87.fip, x.fip);
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_uint_eq(cpu->x87.st[i].mant, x.st[i].mant);
        ck_assert_uint_eq(cpu->x87.st[i].se, x.st[i].se);
    }
}
END_TEST

START_TEST(fxrstor_of_a_bad_mxcsr_is_gp_and_loads_nothing)
{
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x07), -1);
    guest(DATA)[27] = 0x80;
    fill_registers();
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x0f), EXC_GP);
    ck_assert_uint_eq(cpu->x87.fop, 0x123);
    ck_assert_uint_eq(cpu->vec[0].b[0], 1);
    cpu->gpr[RDI] = DATA + 8;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x07), EXC_GP);
}
END_TEST

START_TEST(xsave_family_is_ud_without_osxsave)
{
    cpu->cr4 &= ~CR4_OSXSAVE;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x27), EXC_UD);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), EXC_UD);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x37), EXC_UD);
    ck_assert_int_eq(RUN(0x0f, 0x01, 0xd0), EXC_UD);
    ck_assert_int_eq(RUN(0x0f, 0x01, 0xd1), EXC_UD);
}
END_TEST

START_TEST(xsave_writes_the_requested_components_and_xstate_bv)
{
    memset(guest(DATA), 0xcc, 1024);
    st_le64(guest(DATA + 512), 0x8000);
    cpu->gpr[RAX] = 2;
    cpu->gpr[RDX] = 0;
    cpu->vec[3].q[0] = 1;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x27), -1);
    ck_assert_uint_eq(ld_le64(guest(DATA + 512)), 0x8002);
    ck_assert_uint_eq(guest(DATA)[0], 0xcc); /* x87 was not requested */
    ck_assert_uint_eq(ld_le32(guest(DATA + 24)), 0x1f80);
    ck_assert_uint_eq(guest(DATA)[160 + 48], 1);
    ck_assert_uint_eq(ld_le64(guest(DATA + 520)), 0xccccccccccccccccull);
    cpu->gpr[RDI] = DATA + 16;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x27), EXC_GP); /* 64-byte alignment */
}
END_TEST

START_TEST(xsaveopt_leaves_components_in_their_initial_configuration)
{
    memset(guest(DATA), 0xcc, 1024);
    st_le64(guest(DATA + 512), 3);
    cpu->gpr[RAX] = 3;
    memset(cpu->vec, 0, sizeof cpu->vec);
    memset(cpu->x87.st, 0, sizeof cpu->x87.st);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x37), -1);
    ck_assert_uint_eq(ld_le64(guest(DATA + 512)), 0);
    ck_assert_uint_eq(guest(DATA)[0], 0xcc);
    ck_assert_uint_eq(guest(DATA)[160], 0xcc);
    ck_assert_uint_eq(ld_le32(guest(DATA + 24)), 0x1f80);
}
END_TEST

START_TEST(xrstor_initialises_what_xstate_bv_leaves_out)
{
    memset(guest(DATA), 0, 1024);
    st_le32(guest(DATA + 24), 0x1fc0);
    st_le64(guest(DATA + 160), 77);
    st_le64(guest(DATA + 512), 2);
    fill_registers();
    cpu->gpr[RAX] = 3;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), -1);
    ck_assert_uint_eq(cpu->vec[0].q[0], 77);
    ck_assert_uint_eq(cpu->mxcsr, 0x1fc0);
    ck_assert_uint_eq(cpu->x87.cw, 0x37f);
    ck_assert_uint_eq(cpu->x87.empty, 0xff);
    ck_assert_uint_eq(cpu->x87.st[3].mant, 0);
    st_le64(guest(DATA + 512), 0);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), -1);
    ck_assert_uint_eq(cpu->vec[0].q[0], 0);
}
END_TEST

START_TEST(xrstor_of_a_bad_header_is_gp)
{
    memset(guest(DATA), 0, 1024);
    st_le32(guest(DATA + 24), 0x1f80);
    cpu->gpr[RAX] = 3;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), -1);
    st_le64(guest(DATA + 512), 4); /* not in XCR0 */
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), EXC_GP);
    st_le64(guest(DATA + 512), 0);
    st_le64(guest(DATA + 520), 1ull << 63); /* compacted */
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), EXC_GP);
    st_le64(guest(DATA + 520), 0);
    st_le64(guest(DATA + 528), 1);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), EXC_GP);
}
END_TEST

START_TEST(xrstor_restores_the_upper_halves_when_xcr0_allows_them)
{
    cpu->xcr0 = 7;
    cpu->gpr[RAX] = 7;
    cpu->gpr[RDX] = 0;
    cpu->vec[5].q[3] = 99;
    memset(guest(DATA), 0, 1024);
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x27), -1);
    ck_assert_uint_eq(ld_le64(guest(DATA + 512)), 4);
    ck_assert_uint_eq(ld_le64(guest(DATA + 576 + 16 * 5 + 8)), 99);
    cpu->vec[5].q[3] = 0;
    ck_assert_int_eq(RUN(0x0f, 0xae, 0x2f), -1);
    ck_assert_uint_eq(cpu->vec[5].q[3], 99);
}
END_TEST

START_TEST(xgetbv_reads_xcr0_alone)
{
    cpu->gpr[RCX] = 0;
    cpu->gpr[RDX] = ~0ull;
    ck_assert_int_eq(RUN(0x0f, 0x01, 0xd0), -1);
    ck_assert_uint_eq(cpu->gpr[RAX], 3);
    ck_assert_uint_eq(cpu->gpr[RDX], 0);
    cpu->gpr[RCX] = 1;
    ck_assert_int_eq(RUN(0x0f, 0x01, 0xd0), EXC_GP);
}
END_TEST

START_TEST(xsetbv_checks_privilege_and_value)
{
    static const struct {
        u32 value;
        bool avx, ok;
    } cases[] = {
        {3, false, true},  {1, false, true}, {2, false, false}, {0, false, false},
        {7, false, false}, {7, true, true},  {5, true, false},  {0x203, true, false},
    };
    cpu->gpr[RCX] = cpu->gpr[RDX] = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        cpu->gates = cases[i].avx ? ~0ull : ~BIT64(GATE_AVX);
        cpu->gpr[RAX] = cases[i].value;
        cpu->xcr0 = 3;
        ck_assert_int_eq(RUN(0x0f, 0x01, 0xd1), cases[i].ok ? -1 : EXC_GP);
        ck_assert_uint_eq(cpu->xcr0, cases[i].ok ? cases[i].value : 3);
    }
    cpu->gpr[RAX] = 3;
    cpu->cpl = 3;
    ck_assert_int_eq(RUN(0x0f, 0x01, 0xd1), EXC_GP);
}
END_TEST

static void add_tests(TCase *t)
{
#ifdef __x86_64__
    tcase_add_test(t, every_row_gives_the_results_of_the_host);
#endif
    tcase_add_test(t, cr0_and_cr4_gate_sse_and_mmx);
    tcase_add_test(t, movnti_needs_neither_osfxsr_nor_a_clear_ts);
    tcase_add_test(t, unaligned_operand_of_an_aligned_form_is_gp);
    tcase_add_test(t, unaligned_operand_of_the_other_forms_is_fine);
    tcase_add_test(t, bits_above_127_stay_under_legacy_sse);
    tcase_add_test(t, rex_reaches_the_upper_eight_registers);
    tcase_add_test(t, unmasked_exception_is_xm_and_writes_no_element);
    tcase_add_test(t, unmasked_exception_is_ud_without_osxmmexcpt);
    tcase_add_test(t, unmasked_precomputation_exception_hides_the_inexact_of_other_elements);
    tcase_add_test(t, comiss_with_an_unmasked_invalid_leaves_the_flags);
    tcase_add_test(t, ldmxcsr_with_reserved_bits_is_gp);
    tcase_add_test(t, mmx_write_makes_tags_valid_top_zero_and_exponent_ones);
    tcase_add_test(t, rex_does_not_reach_mmx_registers);
    tcase_add_test(t, pending_x87_exception_comes_before_mmx);
    tcase_add_test(t, maskmovdqu_stores_only_the_chosen_bytes);
    tcase_add_test(t, maskmovq_with_an_empty_mask_touches_no_memory);
    tcase_add_test(t, approximations_are_within_the_architectural_error);
    tcase_add_test(t, approximations_of_special_values);
    tcase_add_test(t, fxsave_has_the_layout_of_the_manual);
    tcase_add_test(t, fxsave_without_osfxsr_leaves_the_sse_part);
    tcase_add_test(t, fxsave_outside_64_bit_mode_saves_eight_registers);
    tcase_add_test(t, fxrstor_restores_what_fxsave_saved);
    tcase_add_test(t, fxrstor_of_a_bad_mxcsr_is_gp_and_loads_nothing);
    tcase_add_test(t, xsave_family_is_ud_without_osxsave);
    tcase_add_test(t, xsave_writes_the_requested_components_and_xstate_bv);
    tcase_add_test(t, xsaveopt_leaves_components_in_their_initial_configuration);
    tcase_add_test(t, xrstor_initialises_what_xstate_bv_leaves_out);
    tcase_add_test(t, xrstor_of_a_bad_header_is_gp);
    tcase_add_test(t, xrstor_restores_the_upper_halves_when_xcr0_allows_them);
    tcase_add_test(t, xgetbv_reads_xcr0_alone);
    tcase_add_test(t, xsetbv_checks_privilege_and_value);
}

int main(void)
{
    Suite *s = suite_create("sse");
    TCase *t = tcase_create("sse");
    SRunner *r;
    int failures;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    add_tests(t);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
