/*
 * softfloat_host.h: the part of test_softfloat.c that asks an x86-64 host's SSE and x87 units.
 * Included by it alone.
 */
#pragma once

#include "tests/unit/float_operands.h"
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

/* ---- SSE ------------------------------------------------------------------------------------- */

static u32 get_mxcsr(void)
{
    u32 v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}

static void set_mxcsr(u32 v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
}

#define HOST2(name, type, suffix)                                                                  \
    static type host_##name##suffix(type a, type b)                                                \
    {                                                                                              \
        __asm__ volatile("movq %0, %%xmm0; movq %1, %%xmm1; " #name #suffix " %%xmm1, %%xmm0;"     \
                         "movq %%xmm0, %0" : "+r"(a) : "r"(b) : "xmm0", "xmm1");                    \
        return a;                                                                                  \
    }
#define HOST_ARITH(name) HOST2(name, u64, ss) HOST2(name, u64, sd)
HOST_ARITH(add)
HOST_ARITH(sub)
HOST_ARITH(mul)
HOST_ARITH(div)
HOST_ARITH(min)
HOST_ARITH(max)

#define HOST1(name, insn)                                                                          \
    static u64 host_##name(u64 a, u64 b)                                                           \
    {                                                                                              \
        (void)b;                                                                                   \
        __asm__ volatile("movq %0, %%xmm1; pxor %%xmm0, %%xmm0;" insn : "+r"(a) : : "xmm0", "xmm1"); \
        return a;                                                                                  \
    }
HOST1(sqrtss, "sqrtss %%xmm1, %%xmm0; movq %%xmm0, %0")
HOST1(sqrtsd, "sqrtsd %%xmm1, %%xmm0; movq %%xmm0, %0")
HOST1(cvtss2sd, "cvtss2sd %%xmm1, %%xmm0; movq %%xmm0, %0")
HOST1(cvtsd2ss, "cvtsd2ss %%xmm1, %%xmm0; movq %%xmm0, %0")
HOST1(cvtss2si, "cvtss2si %%xmm1, %k0")
HOST1(cvttss2si, "cvttss2si %%xmm1, %k0")
HOST1(cvtss2siq, "cvtss2si %%xmm1, %q0")
HOST1(cvttss2siq, "cvttss2si %%xmm1, %q0")
HOST1(cvtsd2si, "cvtsd2si %%xmm1, %k0")
HOST1(cvttsd2si, "cvttsd2si %%xmm1, %k0")
HOST1(cvtsd2siq, "cvtsd2si %%xmm1, %q0")
HOST1(cvttsd2siq, "cvttsd2si %%xmm1, %q0")
HOST1(cvtsi2ss, "cvtsi2ss %k0, %%xmm0; movq %%xmm0, %0")
HOST1(cvtsi2ssq, "cvtsi2ss %q0, %%xmm0; movq %%xmm0, %0")
HOST1(cvtsi2sd, "cvtsi2sd %k0, %%xmm0; movq %%xmm0, %0")
HOST1(cvtsi2sdq, "cvtsi2sd %q0, %%xmm0; movq %%xmm0, %0")
HOST1(roundss, "roundss $4, %%xmm1, %%xmm0; movq %%xmm0, %0")
HOST1(roundsd, "roundsd $4, %%xmm1, %%xmm0; movq %%xmm0, %0")

#define HOST_COMPARE(name)                                                                         \
    static u64 host_##name(u64 a, u64 b)                                                           \
    {                                                                                              \
        u8 z, p, c;                                                                                \
        __asm__ volatile("movq %3, %%xmm0; movq %4, %%xmm1; " #name " %%xmm1, %%xmm0;"             \
                         "setz %0; setp %1; setc %2"                                               \
                         : "=q"(z), "=q"(p), "=q"(c) : "r"(a), "r"(b) : "xmm0", "xmm1", "cc");      \
        return (u64)(s64)(p ? SF_UNORDERED : z ? SF_EQUAL : c ? SF_LESS : SF_GREATER);             \
    }
HOST_COMPARE(comiss)
HOST_COMPARE(ucomiss)
HOST_COMPARE(comisd)
HOST_COMPARE(ucomisd)

#define SOFT(name, expr)                                                                           \
    static u64 soft_##name(struct sf_ctx *c, u64 a, u64 b)                                         \
    {                                                                                              \
        (void)b;                                                                                   \
        return (u64)(expr);                                                                        \
    }
#define SOFT_ARITH(op)                                                                             \
    SOFT(op##ss, f32_##op(c, (u32)a, (u32)b))                                                      \
    SOFT(op##sd, f64_##op(c, a, b))
SOFT_ARITH(add)
SOFT_ARITH(sub)
SOFT_ARITH(mul)
SOFT_ARITH(div)
SOFT_ARITH(min)
SOFT_ARITH(max)
SOFT(sqrtss, f32_sqrt(c, (u32)a))
SOFT(sqrtsd, f64_sqrt(c, a))
SOFT(cvtss2sd, f32_to_f64(c, (u32)a))
SOFT(cvtsd2ss, f64_to_f32(c, a))
SOFT(cvtss2si, (u32)f32_to_s32(c, (u32)a, false))
SOFT(cvttss2si, (u32)f32_to_s32(c, (u32)a, true))
SOFT(cvtss2siq, f32_to_s64(c, (u32)a, false))
SOFT(cvttss2siq, f32_to_s64(c, (u32)a, true))
SOFT(cvtsd2si, (u32)f64_to_s32(c, a, false))
SOFT(cvttsd2si, (u32)f64_to_s32(c, a, true))
SOFT(cvtsd2siq, f64_to_s64(c, a, false))
SOFT(cvttsd2siq, f64_to_s64(c, a, true))
SOFT(cvtsi2ss, f32_from_s32(c, (s32)a))
SOFT(cvtsi2ssq, f32_from_s64(c, (s64)a))
SOFT(cvtsi2sd, f64_from_s32(c, (s32)a))
SOFT(cvtsi2sdq, f64_from_s64(c, (s64)a))
SOFT(roundss, f32_round_int(c, (u32)a))
SOFT(roundsd, f64_round_int(c, a))
SOFT(comiss, (s64)f32_compare(c, (u32)a, (u32)b, false))
SOFT(ucomiss, (s64)f32_compare(c, (u32)a, (u32)b, true))
SOFT(comisd, (s64)f64_compare(c, a, b, false))
SOFT(ucomisd, (s64)f64_compare(c, a, b, true))

static const struct sse_op {
    const char *name;
    bool is_double, is_int;
    u64 (*soft)(struct sf_ctx *c, u64 a, u64 b);
    u64 (*host)(u64 a, u64 b);
} sse_ops[] = {
#define ROW(name, is_double, is_int) {#name, is_double, is_int, soft_##name, host_##name},
    ROW(addss, 0, 0) ROW(subss, 0, 0) ROW(mulss, 0, 0) ROW(divss, 0, 0) ROW(minss, 0, 0)
    ROW(maxss, 0, 0) ROW(sqrtss, 0, 0) ROW(cvtss2sd, 0, 0) ROW(cvtss2si, 0, 0)
    ROW(cvttss2si, 0, 0) ROW(cvtss2siq, 0, 0) ROW(cvttss2siq, 0, 0) ROW(comiss, 0, 0)
    ROW(ucomiss, 0, 0) ROW(addsd, 1, 0) ROW(subsd, 1, 0) ROW(mulsd, 1, 0) ROW(divsd, 1, 0)
    ROW(minsd, 1, 0) ROW(maxsd, 1, 0) ROW(sqrtsd, 1, 0) ROW(cvtsd2ss, 1, 0) ROW(cvtsd2si, 1, 0)
    ROW(cvttsd2si, 1, 0) ROW(cvtsd2siq, 1, 0) ROW(cvttsd2siq, 1, 0) ROW(comisd, 1, 0)
    ROW(ucomisd, 1, 0) ROW(cvtsi2ss, 0, 1) ROW(cvtsi2ssq, 1, 1) ROW(cvtsi2sd, 0, 1)
    ROW(cvtsi2sdq, 1, 1) ROW(roundss, 0, 0) ROW(roundsd, 1, 0)
#undef ROW
};

START_TEST(sse_agrees_with_the_host)
{
    const struct sse_op *op = &sse_ops[_i];
    bool round_op = op->host == host_roundss || op->host == host_roundsd;
    struct rng r;
    u32 old = get_mxcsr();

    if (round_op && !__builtin_cpu_supports("sse4.1"))
        return;
    rng_seed(&r, 0x5f + (u64)_i);
    for (int i = 0; i < CASES; i++) {
        u64 a = op->is_double ? rnd64(&r) : rnd32(&r);
        u64 b = op->is_double ? rnd64(&r) : rnd32(&r);
        if (op->is_int && rng_below(&r, 2))
            a = (u64)((s64)rng_next(&r) >> rng_below(&r, 64));
        u32 mxcsr = 0x1f80 | (u32)rng_below(&r, 4) << 13;
        if (rng_below(&r, 4) == 0)
            mxcsr |= (u32)rng_below(&r, 2) << 6 | (u32)rng_below(&r, 2) << 15;
        struct sf_ctx c = sf_from_mxcsr(mxcsr);
        set_mxcsr(mxcsr);
        u64 want = op->host(a, b);
        u32 flags = get_mxcsr() & 0x3f;
        set_mxcsr(old);
        u64 got = op->soft(&c, a, b);
        ck_assert_msg(got == want && c.flags == flags,
                      "%s %" PRIx64 ", %" PRIx64 " mxcsr %x: %" PRIx64 " flags %x, host %" PRIx64
                      " flags %x", op->name, a, b, mxcsr, got, c.flags, want, flags);
    }
}
END_TEST

/* ---- unmasked SSE exceptions ----------------------------------------------------------------- */

static sigjmp_buf fpe_back;
static volatile u32 fpe_mxcsr;

static void on_fpe(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *u = context;
    (void)sig;
    (void)info;
    fpe_mxcsr = u->uc_mcontext.fpregs->mxcsr;
    siglongjmp(fpe_back, 1);
}

/* MXCSR after the operation; *faulted tells #XM. */
static u32 host_flags(const struct sse_op *op, u64 a, u64 b, u32 mxcsr, volatile u64 *result, bool *faulted)
{
    *faulted = sigsetjmp(fpe_back, 1);
    if (!*faulted) {
        set_mxcsr(mxcsr);
        *result = op->host(a, b);
        fpe_mxcsr = get_mxcsr();
    }
    set_mxcsr(0x1f80);
    return fpe_mxcsr & 0x3f;
}

START_TEST(unmasked_sse_exceptions_raise_the_flags_of_the_host)
{
    const struct sse_op *op = &sse_ops[_i];
    struct sigaction sa = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO}, old;
    struct rng r;

    if (op->host == host_roundss || op->host == host_roundsd) /* PE is suppressed in the immediate */
        return;
    sigaction(SIGFPE, &sa, &old);
    rng_seed(&r, 0xfe + (u64)_i);
    for (int i = 0; i < 4000; i++) {
        u64 a = op->is_double ? rnd64(&r) : rnd32(&r), b = op->is_double ? rnd64(&r) : rnd32(&r);
        u32 mxcsr = (u32)rng_below(&r, 4) << 13 | (u32)rng_below(&r, 64) << 7 |
                    (u32)rng_below(&r, 2) << 6 | (u32)rng_below(&r, 2) << 15;
        volatile u64 want = 0;
        bool faulted;
        u32 flags = host_flags(op, a, b, mxcsr, &want, &faulted);
        struct sf_ctx c = sf_from_mxcsr(mxcsr);
        u64 got = op->soft(&c, a, b);
        ck_assert_msg(sf_raised(&c) == flags && sf_unmasked(&c) == faulted && (faulted || got == want),
                      "%s %" PRIx64 ", %" PRIx64 " mxcsr %x: flags %x, host %x", op->name, a, b, mxcsr,
                      sf_raised(&c), flags);
    }
    sigaction(SIGFPE, &old, NULL);
}
END_TEST

START_TEST(cmpss_and_cmpsd_agree_with_the_host)
{
    struct rng r;
    u32 old = get_mxcsr();
    rng_seed(&r, 77);
    for (int i = 0; i < CASES; i++) {
        u64 a = rnd32(&r), b = rnd32(&r), m[8];
        struct sf_ctx c = sf_from_mxcsr(0x1f80);
        unsigned p = (unsigned)i & 7;
        set_mxcsr(0x1f80);
#define CMP(k)                                                                                     \
    __asm__ volatile("movq %1, %%xmm0; movq %2, %%xmm1; cmpss %3, %%xmm1, %%xmm0; movq %%xmm0, %0" \
                     : "=r"(m[k]) : "r"(a), "r"(b), "i"(k) : "xmm0", "xmm1")
        switch (p) {
        case 0: CMP(0); break;
        case 1: CMP(1); break;
        case 2: CMP(2); break;
        case 3: CMP(3); break;
        case 4: CMP(4); break;
        case 5: CMP(5); break;
        case 6: CMP(6); break;
        default: CMP(7); break;
        }
        u32 flags = get_mxcsr() & 0x3f;
        set_mxcsr(old);
        bool got = f32_predicate(&c, (u32)a, (u32)b, p);
        ck_assert_msg(got == ((u32)m[p] != 0) && c.flags == flags, "cmpss %u %x %x", p, (u32)a, (u32)b);
    }
}
END_TEST

START_TEST(fma_agrees_with_the_host)
{
    struct rng r;
    u32 old = get_mxcsr();
    if (!__builtin_cpu_supports("fma"))
        return;
    rng_seed(&r, 99);
    for (int i = 0; i < CASES; i++) {
        bool is_double = i & 1;
        u64 a = is_double ? rnd64(&r) : rnd32(&r), b = is_double ? rnd64(&r) : rnd32(&r);
        u64 d = is_double ? rnd64(&r) : rnd32(&r), want = a;
        u32 mxcsr = 0x1f80 | (u32)rng_below(&r, 4) << 13;
        if (rng_below(&r, 2)) { /* addend near the product: cancellation */
            struct sf_ctx t = masked(0);
            d = is_double ? f64_mul(&t, a, b) ^ 1ull << 63 : f32_mul(&t, (u32)a, (u32)b) ^ 1u << 31;
        }
        struct sf_ctx c = sf_from_mxcsr(mxcsr);
        set_mxcsr(mxcsr);
        if (is_double)
            __asm__ volatile("movq %0, %%xmm0; movq %1, %%xmm1; movq %2, %%xmm2;"
                             "vfmadd213sd %%xmm2, %%xmm1, %%xmm0; movq %%xmm0, %0"
                             : "+r"(want) : "r"(b), "r"(d) : "xmm0", "xmm1", "xmm2");
        else
            __asm__ volatile("movq %0, %%xmm0; movq %1, %%xmm1; movq %2, %%xmm2;"
                             "vfmadd213ss %%xmm2, %%xmm1, %%xmm0; movq %%xmm0, %0"
                             : "+r"(want) : "r"(b), "r"(d) : "xmm0", "xmm1", "xmm2");
        u32 flags = get_mxcsr() & 0x3f;
        set_mxcsr(old);
        /* 213: the second operand is the multiplicand, whose NaN wins: b, then a, then d */
        u64 got = is_double ? f64_fma(&c, b, a, d, 0) : f32_fma(&c, (u32)b, (u32)a, (u32)d, 0);
        ck_assert_msg(got == want && c.flags == flags,
                      "fma %" PRIx64 " %" PRIx64 " %" PRIx64 " mxcsr %x: %" PRIx64 " flags %x, host %"
                      PRIx64 " flags %x", a, b, d, mxcsr, got, c.flags, want, flags);
    }
}
END_TEST

/* ---- x87 ------------------------------------------------------------------------------------- */

struct x87_result {
    struct f80 r, r2; /* ST(0), ST(1) */
    u64 mem;
    u16 sw;
};

struct tword {
    u64 mant;
    u16 se;
} __attribute__((packed));

/* Runs `insn` with ST(0) = a, ST(1) = b, m = memory operand, all exceptions as in cw. An unmasked
 * exception stays pending in SW; FNSAVE-class instructions do not trip over it. */
#define HOST87(name, insn)                                                                         \
    static void host_##name(struct f80 a, struct f80 b, u64 m, u16 cw, struct x87_result *out)     \
    {                                                                                              \
        struct tword ta = {a.mant, a.se}, tb = {b.mant, b.se};                                     \
        u8 area[108];                                                                              \
        u16 sw;                                                                                    \
        __asm__ volatile("fninit; fldt %2; fldt %3; fldcw %4; " insn                               \
                         "; fnstsw %1; fnsave %0; fninit"                                          \
                         : "=m"(area), "=m"(sw), "+m"(tb), "+m"(ta), "+m"(cw), "+m"(m)              \
                         : : "memory", "st", "st(1)", "st(2)", "cc");                               \
        __builtin_memcpy(&out->r.mant, area + 28, 8);                                              \
        __builtin_memcpy(&out->r.se, area + 36, 2);                                                \
        __builtin_memcpy(&out->r2.mant, area + 38, 8);                                             \
        __builtin_memcpy(&out->r2.se, area + 46, 2);                                               \
        out->mem = m;                                                                              \
        out->sw = sw;                                                                              \
    }
HOST87(fadd, "fadd %%st(1), %%st")
HOST87(fsub, "fsub %%st(1), %%st")
HOST87(fmul, "fmul %%st(1), %%st")
HOST87(fdiv, "fdiv %%st(1), %%st")
HOST87(fsqrt, "fsqrt")
HOST87(frndint, "frndint")
HOST87(fscale, "fscale")
HOST87(fprem, "fprem")
HOST87(fprem1, "fprem1")
HOST87(fxtract, "fxtract")
HOST87(fcom, "fcom %%st(1)")
HOST87(fucom, "fucom %%st(1)")
HOST87(fsts, "fsts %5")
HOST87(fstl, "fstl %5")
HOST87(fists, "fists %5")
HOST87(fistl, "fistl %5")
HOST87(fistpq, "fistpll %5")
HOST87(fld32, "flds %5")
HOST87(fld64, "fldl %5")

struct soft_result {
    struct f80 r, r2;
    u64 mem;
    u16 cc; /* C0-C3 where defined */
};

#define SOFT87(name, body)                                                                         \
    static void soft_##name(struct sf_ctx *c, struct f80 a, struct f80 b, u64 m,                   \
                            struct soft_result *out)                                               \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        (void)m;                                                                                   \
        body;                                                                                      \
    }
static u16 order_cc(enum sf_order o)
{
    return o == SF_UNORDERED ? 0x4500 : o == SF_LESS ? 0x100 : o == SF_EQUAL ? 0x4000 : 0;
}
static struct f80 soft_rem(struct sf_ctx *c, struct f80 a, struct f80 b, bool nearest, u16 *cc)
{
    u64 q;
    bool partial;
    struct f80 r = f80_rem(c, a, b, nearest, &q, &partial);
    *cc = (u16)(partial ? 0x400 : (q & 4) << 6 | (q & 2) << 13 | (q & 1) << 9);
    return r;
}
SOFT87(fadd, out->r = f80_add(c, a, b))
SOFT87(fsub, out->r = f80_sub(c, a, b))
SOFT87(fmul, out->r = f80_mul(c, a, b))
SOFT87(fdiv, out->r = f80_div(c, a, b))
SOFT87(fsqrt, out->r = f80_sqrt(c, a))
SOFT87(frndint, out->r = f80_round_int(c, a))
SOFT87(fscale, out->r = f80_scale(c, a, b))
SOFT87(fprem, out->r = soft_rem(c, a, b, false, &out->cc))
SOFT87(fprem1, out->r = soft_rem(c, a, b, true, &out->cc))
SOFT87(fxtract, out->r = f80_extract(c, a, &out->r2))
SOFT87(fcom, out->cc = order_cc(f80_compare(c, a, b, false)))
SOFT87(fucom, out->cc = order_cc(f80_compare(c, a, b, true)))
SOFT87(fsts, out->mem = f80_to_f32(c, a))
SOFT87(fstl, out->mem = f80_to_f64(c, a))
SOFT87(fists, out->mem = (u16)f80_to_s16(c, a, false))
SOFT87(fistl, out->mem = (u32)f80_to_s32(c, a, false))
SOFT87(fistpq, out->mem = (u64)f80_to_s64(c, a, false))
SOFT87(fld32, out->r = f80_from_f32(c, (u32)m))
SOFT87(fld64, out->r = f80_from_f64(c, m))

enum x87_shape { ARITH, TWO, COMPARE, REM, STORE, LOAD };

static const struct x87_op {
    const char *name;
    enum x87_shape shape;
    u64 mem_mask;
    void (*soft)(struct sf_ctx *, struct f80, struct f80, u64, struct soft_result *);
    void (*host)(struct f80, struct f80, u64, u16, struct x87_result *);
} x87_ops[] = {
#define ROW(name, shape, mask) {#name, shape, mask, soft_##name, host_##name},
    ROW(fadd, ARITH, 0) ROW(fsub, ARITH, 0) ROW(fmul, ARITH, 0) ROW(fdiv, ARITH, 0)
    ROW(fsqrt, ARITH, 0) ROW(frndint, ARITH, 0) ROW(fscale, ARITH, 0) ROW(fprem, REM, 0)
    ROW(fprem1, REM, 0) ROW(fxtract, TWO, 0) ROW(fcom, COMPARE, 0) ROW(fucom, COMPARE, 0)
    ROW(fsts, STORE, 0xffffffff) ROW(fstl, STORE, ~0ull) ROW(fists, STORE, 0xffff)
    ROW(fistl, STORE, 0xffffffff) ROW(fistpq, STORE, ~0ull) ROW(fld32, LOAD, 0xffffffff)
    ROW(fld64, LOAD, ~0ull)
#undef ROW
};

static bool same80(struct f80 a, struct f80 b)
{
    return a.mant == b.mant && a.se == b.se;
}

/* What must agree, by the instruction's shape and by whether a result is written at all. */
static bool x87_agrees(const struct x87_op *op, const struct sf_ctx *c, const struct soft_result *s,
                       const struct x87_result *h)
{
    bool stopped = c->flags & ~c->masks & SF_PRE;
    bool not_stored = stopped || (c->flags & ~c->masks & (SF_OE | SF_UE));
    bool c1 = h->sw & 0x200;
    if (c->flags != (h->sw & 0x3f))
        return false;
    switch (op->shape) {
    case COMPARE: return stopped || s->cc == (h->sw & 0x4500);
    case STORE:
        if (not_stored)
            return true;
        return (s->mem & op->mem_mask) == (h->mem & op->mem_mask) && c->up == c1;
    case REM:
        return stopped || (same80(s->r, h->r) && (c->flags & SF_IE || s->cc == (h->sw & 0x4700)));
    case TWO: return stopped || (same80(s->r, h->r) && same80(s->r2, h->r2));
    default: return stopped || (same80(s->r, h->r) && c->up == c1);
    }
}

START_TEST(x87_agrees_with_the_host)
{
    const struct x87_op *op = &x87_ops[_i];
    struct rng r;
    rng_seed(&r, 0x87 + (u64)_i);
    for (int i = 0; i < CASES; i++) {
        struct f80 a = rnd80(&r), b = rnd80(&r);
        u64 m = op->mem_mask == ~0ull ? rnd64(&r) : rnd32(&r);
        u16 cw = (u16)(0x7f | rng_below(&r, 4) << 10 | rng_below(&r, 4) << 8);
        if (cw >> 8 & 1 && !(cw >> 9 & 1)) /* PC 01 is reserved */
            cw |= 0x200;
        if (rng_below(&r, 3) == 0)
            cw &= (u16)~rng_below(&r, 64);
        struct x87_result h;
        struct soft_result s = {0};
        struct sf_ctx c = sf_from_x87_cw(cw);
        op->host(a, b, m, cw, &h);
        op->soft(&c, a, b, m, &s);
        if (op->shape == TWO) { /* FXTRACT pushes: the significand is ST(0) */
            if (!x87_agrees(op, &c, &s, &h))
                ck_abort_msg("fxtract %04x %016" PRIx64 " cw %x", a.se, a.mant, cw);
            continue;
        }
        ck_assert_msg(x87_agrees(op, &c, &s, &h),
                      "%s %04x:%016" PRIx64 ", %04x:%016" PRIx64 ", m %" PRIx64 " cw %x: %04x:%016"
                      PRIx64 " m %" PRIx64 " flags %x up %d cc %x, host %04x:%016" PRIx64 " m %"
                      PRIx64 " sw %x", op->name, a.se, a.mant, b.se, b.mant, m, cw, s.r.se,
                      s.r.mant, s.mem, c.flags, c.up, s.cc, h.r.se, h.r.mant, h.mem, h.sw);
    }
}
END_TEST

static TCase *host_tests(void)
{
    TCase *t = tcase_create("host");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, sse_agrees_with_the_host, 0, (int)(sizeof sse_ops / sizeof sse_ops[0]));
    tcase_add_loop_test(t, x87_agrees_with_the_host, 0, (int)(sizeof x87_ops / sizeof x87_ops[0]));
    tcase_add_loop_test(t, unmasked_sse_exceptions_raise_the_flags_of_the_host, 0,
                        (int)(sizeof sse_ops / sizeof sse_ops[0]));
    tcase_add_test(t, cmpss_and_cmpsd_agree_with_the_host);
    tcase_add_test(t, fma_agrees_with_the_host);
    return t;
}
