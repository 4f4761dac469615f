/*
 * ops_sse_fp.c: floating-point arithmetic of SSE, SSE2, SSE3, SSE4.1 and AVX: add to square root,
 * minimum and maximum, comparisons, horizontal operations, dot products, rounding, reciprocals.
 *
 * Not here: the arithmetic itself (softfloat.c), conversions (ops_sse_cvt.c), FMA
 * (ops_avx_fp.c), ANDPS and the like (ops_sse_int.c), moves and shuffles (ops_sse_mov.c).
 *
 * All elements of an instruction share one context: their exceptions are or-ed, and when one of
 * them is unmasked nothing is written (SDM vol. 1 11.5.2).
 *
 * RCPPS and RSQRTPS are approximations whose bits differ from processor to processor. Ours look at
 * the 11 upper bits of the fraction and are exact for the middle of that interval; the relative
 * error is below 1.01 * 2^-12 (the SDM allows 1.5 * 2^-12), the same on every host.
 *
 * Intel SDM vol. 2; vol. 1 chapters 10 to 12.
 */
#include "cpu/sse.h"

typedef f32_t f32_fn(struct sf_ctx *c, f32_t a, f32_t b);
typedef f64_t f64_fn(struct sf_ctx *c, f64_t a, f64_t b);

/* ---- d = fn(d, s) ---------------------------------------------------------------------------- */

static inline void packed_f32(struct cpu *cpu, const struct insn *in, f32_fn *fn)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        r.d[i] = fn(&c, a->d[i], s.d[i]);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}

static inline void packed_f64(struct cpu *cpu, const struct insn *in, f64_fn *fn)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        r.q[i] = fn(&c, a->q[i], s.q[i]);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}

static inline void scalar_f32(struct cpu *cpu, const struct insn *in, f32_fn *fn)
{
    struct sf_ctx c;
    f32_t s, r;
    vec_gate(cpu, in);
    s = xmm_src32(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = fn(&c, cpu->vec[in->vvvv].d[0], s);
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->d[0] = r;
}

static inline void scalar_f64(struct cpu *cpu, const struct insn *in, f64_fn *fn)
{
    struct sf_ctx c;
    f64_t s, r;
    vec_gate(cpu, in);
    s = xmm_src64(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = fn(&c, cpu->vec[in->vvvv].q[0], s);
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->q[0] = r;
}

static f32_t f32_sqrt_of_second(struct sf_ctx *c, f32_t a, f32_t b)
{
    (void)a;
    return f32_sqrt(c, b);
}

static f64_t f64_sqrt_of_second(struct sf_ctx *c, f64_t a, f64_t b)
{
    (void)a;
    return f64_sqrt(c, b);
}

/* The four forms of one operation. */
#define SSE_ARITHMETIC(name, op32, op64)                                                           \
    VEC_WORKER sse_##name##ps(struct cpu *cpu, const struct insn *in)                              \
    {                                                                                              \
        packed_f32(cpu, in, op32);                                                                 \
    }                                                                                              \
    VEC_WORKER sse_##name##pd(struct cpu *cpu, const struct insn *in)                              \
    {                                                                                              \
        packed_f64(cpu, in, op64);                                                                 \
    }                                                                                              \
    VEC_WORKER sse_##name##ss(struct cpu *cpu, const struct insn *in)                              \
    {                                                                                              \
        scalar_f32(cpu, in, op32);                                                                 \
    }                                                                                              \
    VEC_WORKER sse_##name##sd(struct cpu *cpu, const struct insn *in)                              \
    {                                                                                              \
        scalar_f64(cpu, in, op64);                                                                 \
    }                                                                                              \
    VEC_OPS(sse_##name##ps);                                                                       \
    VEC_OPS(sse_##name##pd);                                                                       \
    VEC_OPS(sse_##name##ss);                                                                       \
    VEC_OPS(sse_##name##sd)

SSE_ARITHMETIC(add, f32_add, f64_add);
SSE_ARITHMETIC(sub, f32_sub, f64_sub);
SSE_ARITHMETIC(mul, f32_mul, f64_mul);
SSE_ARITHMETIC(div, f32_div, f64_div);
SSE_ARITHMETIC(min, f32_min, f64_min);
SSE_ARITHMETIC(max, f32_max, f64_max);
SSE_ARITHMETIC(sqrt, f32_sqrt_of_second, f64_sqrt_of_second);

/* ---- comparisons ----------------------------------------------------------------------------- */

/* Five bits in VEX encodings. */
static unsigned predicate(const struct insn *in)
{
    return (unsigned)in->imm & (in->vex ? 31 : 7);
}

VEC_WORKER sse_cmpps(struct cpu *cpu, const struct insn *in)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        r.d[i] = f32_predicate(&c, a->d[i], s.d[i], predicate(in)) ? ~0u : 0;
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_cmpps);

VEC_WORKER sse_cmppd(struct cpu *cpu, const struct insn *in)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        r.q[i] = f64_predicate(&c, a->q[i], s.q[i], predicate(in)) ? ~0ull : 0;
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_cmppd);

VEC_WORKER sse_cmpss(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    f32_t s;
    bool r;
    vec_gate(cpu, in);
    s = xmm_src32(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = f32_predicate(&c, cpu->vec[in->vvvv].d[0], s, predicate(in));
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->d[0] = r ? ~0u : 0;
}
VEC_OPS(sse_cmpss);

VEC_WORKER sse_cmpsd(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    f64_t s;
    bool r;
    vec_gate(cpu, in);
    s = xmm_src64(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = f64_predicate(&c, cpu->vec[in->vvvv].q[0], s, predicate(in));
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->q[0] = r ? ~0ull : 0;
}
VEC_OPS(sse_cmpsd);

static void set_order_flags(struct cpu *cpu, enum sf_order order)
{
    static const u32 eflags[4] = {
        [SF_LESS + 1] = EFLAGS_CF,
        [SF_EQUAL + 1] = EFLAGS_ZF,
        [SF_GREATER + 1] = 0,
        [SF_UNORDERED + 1] = EFLAGS_ZF | EFLAGS_PF | EFLAGS_CF,
    };
    flags_set(&cpu->flags, eflags[order + 1]);
}

static inline void compare_f32(struct cpu *cpu, const struct insn *in, bool quiet)
{
    struct sf_ctx c;
    enum sf_order order;
    f32_t s;
    vec_gate(cpu, in);
    s = xmm_src32(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    order = f32_compare(&c, cpu->vec[in->reg].d[0], s, quiet);
    sse_fp_end(cpu, in, &c);
    set_order_flags(cpu, order);
}

static inline void compare_f64(struct cpu *cpu, const struct insn *in, bool quiet)
{
    struct sf_ctx c;
    enum sf_order order;
    f64_t s;
    vec_gate(cpu, in);
    s = xmm_src64(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    order = f64_compare(&c, cpu->vec[in->reg].q[0], s, quiet);
    sse_fp_end(cpu, in, &c);
    set_order_flags(cpu, order);
}

VEC_WORKER sse_comiss(struct cpu *cpu, const struct insn *in)
{
    compare_f32(cpu, in, false);
}
VEC_OPS(sse_comiss);

VEC_WORKER sse_ucomiss(struct cpu *cpu, const struct insn *in)
{
    compare_f32(cpu, in, true);
}
VEC_OPS(sse_ucomiss);

VEC_WORKER sse_comisd(struct cpu *cpu, const struct insn *in)
{
    compare_f64(cpu, in, false);
}
VEC_OPS(sse_comisd);

VEC_WORKER sse_ucomisd(struct cpu *cpu, const struct insn *in)
{
    compare_f64(cpu, in, true);
}
VEC_OPS(sse_ucomisd);

/* ---- SSE3: alternating and horizontal -------------------------------------------------------- */

VEC_WORKER sse_addsubps(struct cpu *cpu, const struct insn *in)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        r.d[i] = (i & 1 ? f32_add : f32_sub)(&c, a->d[i], s.d[i]);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_addsubps);

VEC_WORKER sse_addsubpd(struct cpu *cpu, const struct insn *in)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        r.q[i] = (i & 1 ? f64_add : f64_sub)(&c, a->q[i], s.q[i]);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_addsubpd);

/* In each lane: pairs of the first source to the low half, pairs of the second to the high half. */
static inline void horizontal_f32(struct cpu *cpu, const struct insn *in, f32_fn *fn)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++) {
        const union vec *v = i & 2 ? &s : a;
        unsigned j = (i & 4) + (2 * i & 3);
        r.d[i] = fn(&c, v->d[j], v->d[j + 1]);
    }
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}

static inline void horizontal_f64(struct cpu *cpu, const struct insn *in, f64_fn *fn)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = r = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++) {
        const union vec *v = i & 1 ? &s : a;
        r.q[i] = fn(&c, v->q[i & 2], v->q[(i & 2) + 1]);
    }
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}

VEC_WORKER sse_haddps(struct cpu *cpu, const struct insn *in)
{
    horizontal_f32(cpu, in, f32_add);
}
VEC_OPS(sse_haddps);

VEC_WORKER sse_hsubps(struct cpu *cpu, const struct insn *in)
{
    horizontal_f32(cpu, in, f32_sub);
}
VEC_OPS(sse_hsubps);

VEC_WORKER sse_haddpd(struct cpu *cpu, const struct insn *in)
{
    horizontal_f64(cpu, in, f64_add);
}
VEC_OPS(sse_haddpd);

VEC_WORKER sse_hsubpd(struct cpu *cpu, const struct insn *in)
{
    horizontal_f64(cpu, in, f64_sub);
}
VEC_OPS(sse_hsubpd);

/* ---- SSE4.1: dot products -------------------------------------------------------------------- */

/* imm 7:4 choose the products, 3:0 the elements that get the sum. Exceptions are those of each
 * multiplication and addition in turn, so each stage ends with its check. */
VEC_WORKER sse_dpps(struct cpu *cpu, const struct insn *in)
{
    const union vec *a = &cpu->vec[in->vvvv];
    unsigned n = vec_bytes(in) / 4;
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < n; i++)
        r.d[i] = (unsigned)in->imm >> (4 + (i & 3)) & 1 ? f32_mul(&c, a->d[i], s.d[i]) : 0;
    sse_fp_end(cpu, in, &c);
    for (unsigned i = 0; i < n; i += 2)
        r.d[i] = f32_add(&c, r.d[i], r.d[i + 1]);
    sse_fp_end(cpu, in, &c);
    for (unsigned i = 0; i < n; i += 4)
        r.d[i] = f32_add(&c, r.d[i], r.d[i + 2]);
    sse_fp_end(cpu, in, &c);
    for (unsigned i = n; i-- > 0;)
        r.d[i] = (unsigned)in->imm >> (i & 3) & 1 ? r.d[i & 4] : 0;
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_dpps);

VEC_WORKER sse_dppd(struct cpu *cpu, const struct insn *in)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s;
    struct sf_ctx c;
    f64_t product[2], sum;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < 2; i++)
        product[i] = (unsigned)in->imm >> (4 + i) & 1 ? f64_mul(&c, a->q[i], s.q[i]) : 0;
    sse_fp_end(cpu, in, &c);
    sum = f64_add(&c, product[0], product[1]);
    sse_fp_end(cpu, in, &c);
    xmm_result(cpu, in, in->reg, u128_of(in->imm & 2 ? sum : 0, in->imm & 1 ? sum : 0));
}
VEC_OPS(sse_dppd);

/* ---- SSE4.1: rounding to integral values ----------------------------------------------------- */

#define ROUND_RC 3u        /* rounding control, unless */
#define ROUND_MXCSR BIT(2) /* MXCSR.RC rules */
#define ROUND_NO_PE BIT(3) /* inexact is not reported */

static struct sf_ctx round_context(const struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c = sf_from_mxcsr(cpu->mxcsr);
    if (!(in->imm & ROUND_MXCSR))
        c.rounding = in->imm & ROUND_RC;
    return c;
}

static void round_end(struct cpu *cpu, const struct insn *in, struct sf_ctx *c)
{
    if (in->imm & ROUND_NO_PE)
        c->flags &= (u8)~SF_PE;
    sse_fp_end(cpu, in, c);
}

VEC_WORKER sse_roundps(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = round_context(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        s.d[i] = f32_round_int(&c, s.d[i]);
    round_end(cpu, in, &c);
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_roundps);

VEC_WORKER sse_roundpd(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = round_context(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        s.q[i] = f64_round_int(&c, s.q[i]);
    round_end(cpu, in, &c);
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_roundpd);

VEC_WORKER sse_roundss(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    f32_t r;
    vec_gate(cpu, in);
    r = xmm_src32(cpu, in);
    c = round_context(cpu, in);
    r = f32_round_int(&c, r);
    round_end(cpu, in, &c);
    scalar_dst(cpu, in)->d[0] = r;
}
VEC_OPS(sse_roundss);

VEC_WORKER sse_roundsd(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    f64_t r;
    vec_gate(cpu, in);
    r = xmm_src64(cpu, in);
    c = round_context(cpu, in);
    r = f64_round_int(&c, r);
    round_end(cpu, in, &c);
    scalar_dst(cpu, in)->q[0] = r;
}
VEC_OPS(sse_roundsd);

/* ---- approximations: no exceptions, denormals are zeros on both sides whatever MXCSR says ---- */

#define F32_SIGN 0x80000000u
#define F32_INFINITY 0x7f800000u
#define F32_QUIET_BIT 0x00400000u

/* The fraction's 11 upper bits and their interval's middle, as 1.x with 12 fraction bits. */
static unsigned interval_middle(f32_t a)
{
    return BIT(12) | (a >> 12 & 0x7ff) << 1 | 1;
}

static f32_t rcp_f32(f32_t a)
{
    f32_t sign = a & F32_SIGN;
    int exp = (int)(a >> 23 & 0xff);
    if (exp == 0xff)
        return a & 0x7fffff ? a | F32_QUIET_BIT : sign;
    if (exp == 0)
        return sign | F32_INFINITY;
    if (exp >= 253) /* tiny */
        return sign;
    /* 2^36 / middle is in (2^23, 2^24): the significand of a number in (1/2, 1) */
    u32 significand = (u32)((1ull << 36) / interval_middle(a));
    return sign | (u32)(253 - exp) << 23 | (significand & 0x7fffff);
}

static u32 isqrt(u64 v)
{
    u64 root = 0;
    for (u64 bit = 1ull << 31; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= v)
            root |= bit;
    return (u32)root;
}

static f32_t rsqrt_f32(f32_t a)
{
    f32_t sign = a & F32_SIGN;
    int exp = (int)(a >> 23 & 0xff), e;
    if (exp == 0xff && (a & 0x7fffff))
        return a | F32_QUIET_BIT;
    if (exp == 0)
        return sign | F32_INFINITY;
    if (sign)
        return F32_DEFAULT_NAN;
    if (exp == 0xff)
        return 0;
    e = exp - 127;
    /* an odd exponent gives its lowest bit to the radicand, which then is in (1, 4) */
    u64 radicand = (u64)interval_middle(a) << (e & 1);
    u32 significand = isqrt((1ull << 60) / radicand);
    return (u32)(126 - (e - (e & 1)) / 2) << 23 | (significand & 0x7fffff);
}

VEC_WORKER sse_rcpps(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        s.d[i] = rcp_f32(s.d[i]);
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_rcpps);

static void sse_rcpss(struct cpu *cpu, const struct insn *in)
{
    vec_gate(cpu, in);
    scalar_dst(cpu, in)->d[0] = rcp_f32(xmm_src32(cpu, in));
}
VEC_OPS(sse_rcpss);

VEC_WORKER sse_rsqrtps(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        s.d[i] = rsqrt_f32(s.d[i]);
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_rsqrtps);

static void sse_rsqrtss(struct cpu *cpu, const struct insn *in)
{
    vec_gate(cpu, in);
    scalar_dst(cpu, in)->d[0] = rsqrt_f32(xmm_src32(cpu, in));
}
VEC_OPS(sse_rsqrtss);
