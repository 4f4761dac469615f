/*
 * ops_avx_fp.c: floating point that SSE has not: fused multiply-add (FMA), conversions of half
 * precision (F16C), VTESTPS and VTESTPD.
 *
 * Not here: the arithmetic itself (softfloat*.c), and what SSE has too (ops_sse_fp.c,
 * ops_sse_cvt.c).
 *
 * Intel SDM vol. 1 14.4 (F16C), 14.5 (FMA), vol. 2.
 */
#include "cpu/sse.h"

/* ---- FMA ------------------------------------------------------------------------------------- */

/*
 * The opcode tells all: bits 7:4 are 9, A, B for the orders 132, 213, 231 of the operands V, H, W
 * in a * b + d; bits 3:0 are 6 add and subtract in turn, 7 subtract and add, 8 A add, A C subtract
 * ... with bit 0: scalar.
 */
enum { FMA_ADDSUB = 0x6, FMA_SUBADD = 0x7 };

static unsigned fma_negations(unsigned opcode, unsigned element)
{
    switch (opcode & 15) {
    case FMA_ADDSUB: return element & 1 ? 0 : SF_NEG_ADDEND;
    case FMA_SUBADD: return element & 1 ? SF_NEG_ADDEND : 0;
    default: break;
    }
    return (opcode & 2 ? SF_NEG_ADDEND : 0) | (opcode & 4 ? SF_NEG_PRODUCT : 0);
}

/* Numbers of the operands (0 V, 1 H, 2 W) that are a, b and d. */
static const u8 *fma_order(unsigned opcode)
{
    static const u8 order[3][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}};
    return order[(opcode >> 4) - 9];
}

static inline void fma_f32(struct cpu *cpu, const struct insn *in, const union vec *op[3],
                           unsigned n, union vec *r)
{
    const u8 *o = fma_order(in->opcode);
    struct sf_ctx c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < n; i++)
        r->d[i] = f32_fma(&c, op[o[0]]->d[i], op[o[1]]->d[i], op[o[2]]->d[i],
                          fma_negations(in->opcode, i));
    sse_fp_end(cpu, in, &c);
}

static inline void fma_f64(struct cpu *cpu, const struct insn *in, const union vec *op[3],
                           unsigned n, union vec *r)
{
    const u8 *o = fma_order(in->opcode);
    struct sf_ctx c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < n; i++)
        r->q[i] = f64_fma(&c, op[o[0]]->q[i], op[o[1]]->q[i], op[o[2]]->q[i],
                          fma_negations(in->opcode, i));
    sse_fp_end(cpu, in, &c);
}

VEC_WORKER avx_fmaps(struct cpu *cpu, const struct insn *in)
{
    union vec s, r;
    const union vec *op[3] = {&cpu->vec[in->reg], &cpu->vec[in->vvvv], &s};
    avx_gate(cpu, in);
    s = vec_src(cpu, in);
    fma_f32(cpu, in, op, vec_bytes(in) / 4, &r);
    vec_result(cpu, in, &r);
}
VEC_OPS(avx_fmaps);

VEC_WORKER avx_fmapd(struct cpu *cpu, const struct insn *in)
{
    union vec s, r;
    const union vec *op[3] = {&cpu->vec[in->reg], &cpu->vec[in->vvvv], &s};
    avx_gate(cpu, in);
    s = vec_src(cpu, in);
    fma_f64(cpu, in, op, vec_bytes(in) / 8, &r);
    vec_result(cpu, in, &r);
}
VEC_OPS(avx_fmapd);

/* The rest of the destination stays, unlike with other scalar instructions. */
VEC_WORKER avx_fmass(struct cpu *cpu, const struct insn *in)
{
    union vec s, r = cpu->vec[in->reg];
    const union vec *op[3] = {&cpu->vec[in->reg], &cpu->vec[in->vvvv], &s};
    avx_gate(cpu, in);
    s = vec_from(xmm_src32(cpu, in));
    fma_f32(cpu, in, op, 1, &r);
    xmm_result(cpu, in, in->reg, u128_of(r.q[1], r.q[0]));
}
VEC_OPS(avx_fmass);

VEC_WORKER avx_fmasd(struct cpu *cpu, const struct insn *in)
{
    union vec s, r = cpu->vec[in->reg];
    const union vec *op[3] = {&cpu->vec[in->reg], &cpu->vec[in->vvvv], &s};
    avx_gate(cpu, in);
    s = vec_from(xmm_src64(cpu, in));
    fma_f64(cpu, in, op, 1, &r);
    xmm_result(cpu, in, in->reg, u128_of(r.q[1], r.q[0]));
}
VEC_OPS(avx_fmasd);

/* ---- F16C ------------------------------------------------------------------------------------ */

/* VCVTPH2PS V, W: exact; denormals are numbers whatever MXCSR.DAZ, and raise nothing. */
VEC_WORKER avx_cvtph2ps(struct cpu *cpu, const struct insn *in)
{
    union vec s, r;
    struct sf_ctx c;
    avx_gate(cpu, in);
    s = vec_src_part(cpu, in, 2);
    c = sf_from_mxcsr(cpu->mxcsr);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        r.d[i] = f16_to_f32(&c, s.w[i]);
    sse_fp_end(cpu, in, &c);
    vec_result(cpu, in, &r);
}
VEC_OPS(avx_cvtph2ps);

#define PS2PH_RC 3u        /* rounding control, unless */
#define PS2PH_MXCSR BIT(2) /* MXCSR.RC rules */

/* VCVTPS2PH W, V, Ib: tiny results are denormals whatever MXCSR.FTZ. */
VEC_WORKER avx_cvtps2ph(struct cpu *cpu, const struct insn *in)
{
    const union vec *s = &cpu->vec[in->reg];
    unsigned bytes = vec_bytes(in) / 2;
    union vec r = {{0}};
    struct sf_ctx c;
    gva_t va = 0;
    avx_gate(cpu, in);
    if (in->mem) { /* what it raises goes before what is computed reaches MXCSR */
        va = mem_addr(cpu, in, bytes, ACCESS_WRITE);
        mem_probe_write(cpu, in, va, bytes);
    }
    c = sf_from_mxcsr(cpu->mxcsr);
    c.ftz = false;
    if (!(in->imm & PS2PH_MXCSR))
        c.rounding = in->imm & PS2PH_RC;
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        r.w[i] = f32_to_f16(&c, s->d[i]);
    sse_fp_end(cpu, in, &c);
    if (in->mem)
        mem_write_bytes(cpu, in, va, &r, bytes);
    else
        xmm_result(cpu, in, in->rm, u128_of(r.q[1], r.q[0]));
}
VEC_OPS(avx_cvtps2ph);

/* ---- VTESTPS, VTESTPD: PTEST of the sign bits -------------------------------------------------
 */

static inline void test_signs(struct cpu *cpu, const struct insn *in, u64 signs)
{
    const union vec *d = &cpu->vec[in->reg];
    union vec s;
    u64 both = 0, only_s = 0;
    avx_gate(cpu, in);
    s = vec_src(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++) {
        both |= s.q[i] & d->q[i] & signs;
        only_s |= s.q[i] & ~d->q[i] & signs;
    }
    flags_set(&cpu->flags, (both ? 0 : EFLAGS_ZF) | (only_s ? 0 : EFLAGS_CF));
}

VEC_WORKER avx_testps(struct cpu *cpu, const struct insn *in)
{
    test_signs(cpu, in, 0x8000000080000000ull);
}
VEC_OPS(avx_testps);

VEC_WORKER avx_testpd(struct cpu *cpu, const struct insn *in)
{
    test_signs(cpu, in, 0x8000000000000000ull);
}
VEC_OPS(avx_testpd);
