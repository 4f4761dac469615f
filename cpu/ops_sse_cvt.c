/*
 * ops_sse_cvt.c: conversions between integers, single and double precision (CVT*), SSE and AVX.
 *
 * Not here: half precision (ops_avx_fp.c), integer widening (ops_sse4.c), the conversions of single
 * values (softfloat.c).
 *
 * Integers that do not fit give the integer indefinite (sign bit alone) with IE. Forms with an MMX
 * register deliver a pending x87 exception first and switch the x87 registers to MMX when they
 * complete; CVTPI2PD from memory does neither.
 *
 * Intel SDM vol. 2, CVT*; vol. 1 11.4.1.6, 11.6.4.
 */
#include "cpu/sse.h"

/* A result of half the operation's length; zeroes above it. */
static void narrowed_result(struct cpu *cpu, const struct insn *in, union vec *v)
{
    xmm_result(cpu, in, in->reg, u128_of(in->vex_l ? v->q[1] : 0, v->q[0]));
}

/* ---- single and double ----------------------------------------------------------------------- */

VEC_WORKER sse_cvtps2pd(struct cpu *cpu, const struct insn *in)
{
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src_part(cpu, in, 2);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        r.q[i] = f32_to_f64(&c, s.d[i]);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_cvtps2pd);

VEC_WORKER sse_cvtpd2ps(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        s.d[i] = f64_to_f32(&c, s.q[i]);
    sse_fp_end(cpu, in, &c);
    narrowed_result(cpu, in, &s);
}
VEC_OPS(sse_cvtpd2ps);

VEC_WORKER sse_cvtss2sd(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    f32_t s;
    f64_t r;
    vec_gate(cpu, in);
    s = xmm_src32(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = f32_to_f64(&c, s);
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->q[0] = r;
}
VEC_OPS(sse_cvtss2sd);

VEC_WORKER sse_cvtsd2ss(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    f64_t s;
    f32_t r;
    vec_gate(cpu, in);
    s = xmm_src64(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = f64_to_f32(&c, s);
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->d[0] = r;
}
VEC_OPS(sse_cvtsd2ss);

/* ---- general registers ----------------------------------------------------------------------- */

VEC_WORKER sse_cvtsi2ss(struct cpu *cpu, const struct insn *in)
{
    unsigned size = in->osz;
    struct sf_ctx c;
    u64 s;
    f32_t r;
    vec_gate(cpu, in);
    s = get_rm(cpu, in, size);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = size == 8 ? f32_from_s64(&c, (s64)s) : f32_from_s32(&c, (s32)s);
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->d[0] = r;
}
VEC_OPS(sse_cvtsi2ss);

VEC_WORKER sse_cvtsi2sd(struct cpu *cpu, const struct insn *in)
{
    unsigned size = in->osz;
    struct sf_ctx c;
    u64 s;
    f64_t r;
    vec_gate(cpu, in);
    s = get_rm(cpu, in, size);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = size == 8 ? f64_from_s64(&c, (s64)s) : f64_from_s32(&c, (s32)s);
    sse_fp_end(cpu, in, &c);
    scalar_dst(cpu, in)->q[0] = r;
}
VEC_OPS(sse_cvtsi2sd);

static inline void f32_to_gpr(struct cpu *cpu, const struct insn *in, bool truncate)
{
    unsigned size = in->osz;
    struct sf_ctx c;
    f32_t s;
    u64 r;
    vec_gate(cpu, in);
    s = xmm_src32(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = size == 8 ? (u64)f32_to_s64(&c, s, truncate) : (u32)f32_to_s32(&c, s, truncate);
    sse_fp_end(cpu, in, &c);
    reg_set(cpu, in->reg, r, size);
}

static inline void f64_to_gpr(struct cpu *cpu, const struct insn *in, bool truncate)
{
    unsigned size = in->osz;
    struct sf_ctx c;
    f64_t s;
    u64 r;
    vec_gate(cpu, in);
    s = xmm_src64(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    r = size == 8 ? (u64)f64_to_s64(&c, s, truncate) : (u32)f64_to_s32(&c, s, truncate);
    sse_fp_end(cpu, in, &c);
    reg_set(cpu, in->reg, r, size);
}

/* ---- doublewords ----------------------------------------------------------------------------- */

VEC_WORKER sse_cvtdq2ps(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        s.d[i] = f32_from_s32(&c, (s32)s.d[i]);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_cvtdq2ps);

/* Exact: no exceptions. */
VEC_WORKER sse_cvtdq2pd(struct cpu *cpu, const struct insn *in)
{
    union vec s, r;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src_part(cpu, in, 2);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        r.q[i] = f64_from_s32(&c, (s32)s.d[i]);
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_cvtdq2pd);

static inline void f32s_to_s32s(struct cpu *cpu, const struct insn *in, bool truncate)
{
    union vec s;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        s.d[i] = (u32)f32_to_s32(&c, s.d[i], truncate);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &s);
}

/* Two doubles to two doublewords, checked. */
static inline u64 two_f64_to_s32(struct cpu *cpu, const struct insn *in, u128 s, bool truncate)
{
    struct sf_ctx c = sf_from_mxcsr(cpu->mxcsr);
    u32 lo = (u32)f64_to_s32(&c, (u64)s, truncate);
    u32 hi = (u32)f64_to_s32(&c, (u64)(s >> 64), truncate);
    sse_fp_end(cpu, in, &c);
    return (u64)hi << 32 | lo;
}

static inline u64 two_f32_to_s32(struct cpu *cpu, const struct insn *in, u64 s, bool truncate)
{
    struct sf_ctx c = sf_from_mxcsr(cpu->mxcsr);
    u32 lo = (u32)f32_to_s32(&c, (u32)s, truncate);
    u32 hi = (u32)f32_to_s32(&c, (u32)(s >> 32), truncate);
    sse_fp_end(cpu, in, &c);
    return (u64)hi << 32 | lo;
}

static inline void f64s_to_s32s(struct cpu *cpu, const struct insn *in, bool truncate)
{
    union vec s;
    struct sf_ctx c;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        s.d[i] = (u32)f64_to_s32(&c, s.q[i], truncate);
    sse_fp_end(cpu, in, &c);
    narrowed_result(cpu, in, &s);
}

/* ---- MMX registers --------------------------------------------------------------------------- */

VEC_WORKER sse_cvtpi2ps(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    u64 s, lo, hi;
    sse_gate(cpu, in);
    mmx_check(cpu, in);
    s = mmx_src64(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    lo = f32_from_s32(&c, (s32)s);
    hi = f32_from_s32(&c, (s32)(s >> 32));
    sse_fp_end(cpu, in, &c);
    x87_enter_mmx(&cpu->x87);
    cpu->vec[in->reg].q[0] = hi << 32 | lo;
}
VEC_OPS(sse_cvtpi2ps);

VEC_WORKER sse_cvtpi2pd(struct cpu *cpu, const struct insn *in)
{
    struct sf_ctx c;
    u64 s;
    f64_t lo, hi;
    sse_gate(cpu, in);
    if (!in->mem)
        mmx_check(cpu, in);
    s = mmx_src64(cpu, in);
    c = sf_from_mxcsr(cpu->mxcsr);
    lo = f64_from_s32(&c, (s32)s);
    hi = f64_from_s32(&c, (s32)(s >> 32));
    if (!in->mem)
        x87_enter_mmx(&cpu->x87);
    xmm_set(cpu, in->reg, u128_of(hi, lo));
}
VEC_OPS(sse_cvtpi2pd);

static inline void f32s_to_mmx(struct cpu *cpu, const struct insn *in, bool truncate)
{
    u64 r;
    sse_gate(cpu, in);
    mmx_check(cpu, in);
    r = two_f32_to_s32(cpu, in, xmm_src64(cpu, in), truncate);
    x87_enter_mmx(&cpu->x87);
    x87_mmx_set(&cpu->x87, in->reg, r);
}

static inline void f64s_to_mmx(struct cpu *cpu, const struct insn *in, bool truncate)
{
    u64 r;
    sse_gate(cpu, in);
    mmx_check(cpu, in);
    r = two_f64_to_s32(cpu, in, xmm_src128(cpu, in), truncate);
    x87_enter_mmx(&cpu->x87);
    x87_mmx_set(&cpu->x87, in->reg, r);
}

/* CVT rounds as MXCSR says, CVTT toward zero. */
#define SSE_TO_INTEGER(suffix, function)                                                           \
    VEC_WORKER sse_cvt##suffix(struct cpu *cpu, const struct insn *in)                             \
    {                                                                                              \
        function(cpu, in, false);                                                                  \
    }                                                                                              \
    VEC_WORKER sse_cvtt##suffix(struct cpu *cpu, const struct insn *in)                            \
    {                                                                                              \
        function(cpu, in, true);                                                                   \
    }                                                                                              \
    VEC_OPS(sse_cvt##suffix);                                                                      \
    VEC_OPS(sse_cvtt##suffix)

SSE_TO_INTEGER(ss2si, f32_to_gpr);
SSE_TO_INTEGER(sd2si, f64_to_gpr);
SSE_TO_INTEGER(ps2dq, f32s_to_s32s);
SSE_TO_INTEGER(pd2dq, f64s_to_s32s);
SSE_TO_INTEGER(ps2pi, f32s_to_mmx);
SSE_TO_INTEGER(pd2pi, f64s_to_mmx);
