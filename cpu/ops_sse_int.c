/*
 * ops_sse_int.c: integer operations on XMM registers that MMX registers have too (SSE2, SSSE3), and
 * the shifts of whole registers.
 *
 * Not here: the element operations themselves (lanes.h), SSE4 (ops_sse4.c), moves and interleaves
 * (ops_sse_mov.c).
 *
 * Intel SDM vol. 2.
 */
#include "cpu/lanes.h"
#include "cpu/sse.h"

/* P<op> Vdq, Wdq; ANDPS and the like are the same operations */
#define SSE_LANES(op)                                                                              \
    static inline void sse_##op(struct cpu *cpu, const struct insn *in, enum form form)            \
    {                                                                                              \
        union vec s;                                                                               \
        sse_gate(cpu, in);                                                                         \
        s = vec_from(xmm_src(cpu, in, form, true));                                                \
        lanes_##op(&cpu->vec[in->reg], &s, 16);                                                    \
    }                                                                                              \
    VEC_OPS_FORMS(sse_##op);
LANES_MMX_AND_SSE(SSE_LANES)

/* PS<op> Udq, Ib */
#define SSE_SHIFT_IMM(op)                                                                          \
    static void sse_##op##_imm(struct cpu *cpu, const struct insn *in)                             \
    {                                                                                              \
        union vec s = vec_from((u8)in->imm);                                                       \
        sse_gate(cpu, in);                                                                         \
        lanes_##op(&cpu->vec[in->rm], &s, 16);                                                     \
    }                                                                                              \
    VEC_OPS(sse_##op##_imm);
LANES_SHIFT_IMM(SSE_SHIFT_IMM)

static void sse_pslldq(struct cpu *cpu, const struct insn *in)
{
    unsigned n = (u8)in->imm;
    sse_gate(cpu, in);
    xmm_set(cpu, in->rm, n > 15 ? 0 : xmm_get(cpu, in->rm) << 8 * n);
}
VEC_OPS(sse_pslldq);

static void sse_psrldq(struct cpu *cpu, const struct insn *in)
{
    unsigned n = (u8)in->imm;
    sse_gate(cpu, in);
    xmm_set(cpu, in->rm, n > 15 ? 0 : xmm_get(cpu, in->rm) >> 8 * n);
}
VEC_OPS(sse_psrldq);

static void sse_alignr(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    sse_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    lanes_alignr(&cpu->vec[in->reg], &s, 16, (u8)in->imm);
}
VEC_OPS(sse_alignr);
