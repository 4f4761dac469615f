/*
 * ops_avx_int.c: integer operations of AVX and AVX2 with three operands, and the permutations.
 *
 * Not here: the element operations (lanes.h), and the rows whose worker serves both encodings:
 * those stand with the SSE instruction of the same name (shuffles in ops_sse_mov.c, blends,
 * widening and element moves in ops_sse4.c, AES in ops_crypto.c).
 *
 * Intel SDM vol. 2; vol. 1 chapter 14.
 */
#include "cpu/lanes.h"
#include "cpu/sse.h"

/* ---- V = op(H, W), each 128-bit lane by itself ----------------------------------------------- */

typedef void lanes_fn(union vec *restrict d, const union vec *restrict s, unsigned bytes);

static inline void avx_lanes(struct cpu *cpu, const struct insn *in, lanes_fn *fn)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    avx_gate(cpu, in);
    s = vec_src(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 16; i++) {
        union vec d = vec_lane(a, i), t = vec_lane(&s, i);
        fn(&d, &t, 16);
        vec_set_lane(&r, i, &d);
    }
    vec_result(cpu, in, &r);
}

#define AVX_LANES(op)                                                                              \
    VEC_WORKER avx_##op(struct cpu *cpu, const struct insn *in)                                    \
    {                                                                                              \
        avx_lanes(cpu, in, lanes_##op);                                                            \
    }                                                                                              \
    VEC_OPS(avx_##op);

LANES_NO_SHIFT(AVX_LANES)
LANES_SSE_ONLY(AVX_LANES)

VEC_WORKER avx_alignr(struct cpu *cpu, const struct insn *in)
{
    const union vec *a = &cpu->vec[in->vvvv];
    union vec s, r;
    avx_gate(cpu, in);
    s = vec_src(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 16; i++) {
        union vec d = vec_lane(a, i), t = vec_lane(&s, i);
        lanes_alignr(&d, &t, 16, (u8)in->imm);
        vec_set_lane(&r, i, &d);
    }
    vec_result(cpu, in, &r);
}
VEC_OPS(avx_alignr);

/* ---- shifts ---------------------------------------------------------------------------------- */

/* V = op(H, count): the count is in the low half of 128 bits, whatever VEX.L. */
static inline void avx_shift(struct cpu *cpu, const struct insn *in, lanes_fn *fn)
{
    union vec count, r;
    avx_gate(cpu, in);
    count = vec_from(xmm_src128(cpu, in));
    r = cpu->vec[in->vvvv];
    fn(&r, &count, 32);
    vec_result(cpu, in, &r);
}

/* H = op(U, Ib). */
static inline void avx_shift_imm(struct cpu *cpu, const struct insn *in, lanes_fn *fn)
{
    union vec count = vec_from((u8)in->imm), r = cpu->vec[in->rm];
    avx_gate(cpu, in);
    fn(&r, &count, 32);
    vec_result_in(cpu, in, in->vvvv, &r);
}

#define AVX_SHIFT(op)                                                                              \
    VEC_WORKER avx_##op(struct cpu *cpu, const struct insn *in)                                    \
    {                                                                                              \
        avx_shift(cpu, in, lanes_##op);                                                            \
    }                                                                                              \
    VEC_WORKER avx_##op##_imm(struct cpu *cpu, const struct insn *in)                              \
    {                                                                                              \
        avx_shift_imm(cpu, in, lanes_##op);                                                        \
    }                                                                                              \
    VEC_OPS(avx_##op);                                                                             \
    VEC_OPS(avx_##op##_imm);
LANES_SHIFT_IMM(AVX_SHIFT)

/* VPSLLDQ, VPSRLDQ H, U, Ib: bytes, each lane by itself. */
static inline void avx_shift_bytes(struct cpu *cpu, const struct insn *in, bool left)
{
    union vec r;
    unsigned n = (u8)in->imm;
    avx_gate(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 16; i++) {
        const union vec *s = &cpu->vec[in->rm];
        u128 v = u128_of(s->q[2 * i + 1], s->q[2 * i]);
        union vec shifted = vec_from(n > 15 ? 0 : left ? v << 8 * n : v >> 8 * n);
        vec_set_lane(&r, i, &shifted);
    }
    vec_result_in(cpu, in, in->vvvv, &r);
}

VEC_WORKER avx_pslldq(struct cpu *cpu, const struct insn *in)
{
    avx_shift_bytes(cpu, in, true);
}
VEC_OPS(avx_pslldq);

VEC_WORKER avx_psrldq(struct cpu *cpu, const struct insn *in)
{
    avx_shift_bytes(cpu, in, false);
}
VEC_OPS(avx_psrldq);

/* Each element of the first source, a, by its own count n. */
#define AVX_SHIFT_VARIABLE(name, field, expr)                                                      \
    VEC_WORKER avx_##name(struct cpu *cpu, const struct insn *in)                                  \
    {                                                                                              \
        const union vec *first = &cpu->vec[in->vvvv];                                              \
        union vec s, r;                                                                            \
        avx_gate(cpu, in);                                                                         \
        s = vec_src(cpu, in);                                                                      \
        for (unsigned i = 0; i < vec_bytes(in) / sizeof r.field[0]; i++) {                         \
            __typeof__(r.field[0]) a = first->field[i], n = s.field[i];                            \
            r.field[i] = (__typeof__(r.field[0]))(expr);                                           \
        }                                                                                          \
        vec_result(cpu, in, &r);                                                                   \
    }                                                                                              \
    VEC_OPS(avx_##name)

AVX_SHIFT_VARIABLE(psllvd, d, n < 32 ? a << n : 0);
AVX_SHIFT_VARIABLE(psllvq, q, n < 64 ? a << n : 0);
AVX_SHIFT_VARIABLE(psrlvd, d, n < 32 ? a >> n : 0);
AVX_SHIFT_VARIABLE(psrlvq, q, n < 64 ? a >> n : 0);
AVX_SHIFT_VARIABLE(psravd, d, (s32)a >> (n < 32 ? n : 31));

/* ---- permutations ---------------------------------------------------------------------------- */

/* `body` fills r from the sources a (H) and s (W); imm is the immediate. */
#define AVX_PERMUTE(name, body)                                                                    \
    VEC_WORKER avx_##name(struct cpu *cpu, const struct insn *in)                                  \
    {                                                                                              \
        const unsigned imm = (u8)in->imm;                                                          \
        union vec a, s, r;                                                                         \
        avx_gate(cpu, in);                                                                         \
        s = vec_src(cpu, in);                                                                      \
        a = cpu->vec[in->vvvv];                                                                    \
        body;                                                                                      \
        vec_result(cpu, in, &r);                                                                   \
        (void)imm;                                                                                 \
        (void)a;                                                                                   \
    }                                                                                              \
    VEC_OPS(avx_##name)

/* VPERMILPS, VPERMILPD V, H, W: selectors in s, within a lane */
AVX_PERMUTE(permilps, for (unsigned i = 0; i < 8; i++) r.d[i] = a.d[(i & 4) | (s.d[i] & 3)]);
AVX_PERMUTE(permilpd, for (unsigned i = 0; i < 4; i++) r.q[i] = a.q[(i & 2) | (s.q[i] >> 1 & 1)]);
/* VPERMD, VPERMPS V, H, W: selectors in a, over the whole register */
AVX_PERMUTE(permd, for (unsigned i = 0; i < 8; i++) r.d[i] = s.d[a.d[i] & 7]);
/* VPERMQ, VPERMPD V, W, Ib */
AVX_PERMUTE(permq, for (unsigned i = 0; i < 4; i++) r.q[i] = s.q[imm >> 2 * i & 3]);

/* A lane of the four of a and s that two bits choose; a third makes it zero. */
static union vec chosen_lane(const union vec *a, const union vec *s, unsigned control)
{
    return control & 8 ? (union vec){{0}} : vec_lane(control & 2 ? s : a, control & 1);
}

/* VPERM2F128, VPERM2I128 V, H, W, Ib */
AVX_PERMUTE(
    perm2x128, for (unsigned i = 0; i < 2; i++) {
        union vec lane = chosen_lane(&a, &s, imm >> 4 * i);
        vec_set_lane(&r, i, &lane);
    });

/* ---- 128 bits in and out --------------------------------------------------------------------- */

/* VINSERTF128, VINSERTI128 V, H, W, Ib */
VEC_WORKER avx_insert128(struct cpu *cpu, const struct insn *in)
{
    union vec s, r;
    avx_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    r = cpu->vec[in->vvvv];
    vec_set_lane(&r, in->imm & 1, &s);
    vec_result(cpu, in, &r);
}
VEC_OPS(avx_insert128);

/* VEXTRACTF128, VEXTRACTI128 W, V, Ib */
VEC_WORKER avx_extract128(struct cpu *cpu, const struct insn *in)
{
    const union vec *s = &cpu->vec[in->reg];
    unsigned lane = in->imm & 1;
    u128 v = u128_of(s->q[2 * lane + 1], s->q[2 * lane]);
    avx_gate(cpu, in);
    if (in->mem)
        vec_write128(cpu, in, mem_addr(cpu, in, 16, ACCESS_WRITE), v);
    else
        xmm_result(cpu, in, in->rm, v);
}
VEC_OPS(avx_extract128);
