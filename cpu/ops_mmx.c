/*
 * ops_mmx.c: MMX technology, and what SSE, SSE2 and SSSE3 added to the MMX registers.
 *
 * Not here: conversions between MMX registers and floating point (ops_sse_cvt.c), the element
 * operations themselves (lanes.h).
 *
 * Intel SDM vol. 1 chapter 9, vol. 3A chapter 12, vol. 2.
 */
#include "cpu/lanes.h"
#include "cpu/sse.h"

static inline union vec mmx_vec(u64 v)
{
    union vec r;
    r.q[0] = v;
    r.q[1] = r.q[2] = r.q[3] = 0;
    return r;
}

/* P<op> Pq, Qq */
#define MMX_LANES(op)                                                                              \
    static void mmx_##op(struct cpu *cpu, const struct insn *in)                                   \
    {                                                                                              \
        union vec d, s;                                                                            \
        mmx_check(cpu, in);                                                                        \
        s = mmx_vec(mmx_src64(cpu, in));                                                           \
        x87_enter_mmx(&cpu->x87);                                                                  \
        d = mmx_vec(x87_mmx_get(&cpu->x87, in->reg));                                              \
        lanes_##op(&d, &s, 8);                                                                     \
        x87_mmx_set(&cpu->x87, in->reg, d.q[0]);                                                   \
    }                                                                                              \
    VEC_OPS(mmx_##op);
LANES_MMX_AND_SSE(MMX_LANES)

/* PUNPCKL<op> Pq, Qd: only 32 bits are read from memory */
#define MMX_UNPACK_LOW(op)                                                                         \
    static void mmx_##op(struct cpu *cpu, const struct insn *in)                                   \
    {                                                                                              \
        union vec d, s;                                                                            \
        mmx_check(cpu, in);                                                                        \
        s = mmx_vec(mmx_src32(cpu, in));                                                           \
        x87_enter_mmx(&cpu->x87);                                                                  \
        d = mmx_vec(x87_mmx_get(&cpu->x87, in->reg));                                              \
        lanes_##op(&d, &s, 8);                                                                     \
        x87_mmx_set(&cpu->x87, in->reg, d.q[0]);                                                   \
    }                                                                                              \
    VEC_OPS(mmx_##op);
MMX_UNPACK_LOW(unpcklbw)
MMX_UNPACK_LOW(unpcklwd)
MMX_UNPACK_LOW(unpckldq)

/* PS<op> Nq, Ib */
#define MMX_SHIFT_IMM(op)                                                                          \
    static void mmx_##op##_imm(struct cpu *cpu, const struct insn *in)                             \
    {                                                                                              \
        union vec d, s = mmx_vec((u8)in->imm);                                                     \
        mmx_check(cpu, in);                                                                        \
        x87_enter_mmx(&cpu->x87);                                                                  \
        d = mmx_vec(x87_mmx_get(&cpu->x87, in->rm));                                               \
        lanes_##op(&d, &s, 8);                                                                     \
        x87_mmx_set(&cpu->x87, in->rm, d.q[0]);                                                    \
    }                                                                                              \
    VEC_OPS(mmx_##op##_imm);
LANES_SHIFT_IMM(MMX_SHIFT_IMM)

static void mmx_alignr(struct cpu *cpu, const struct insn *in)
{
    union vec d, s;
    mmx_check(cpu, in);
    s = mmx_vec(mmx_src64(cpu, in));
    x87_enter_mmx(&cpu->x87);
    d = mmx_vec(x87_mmx_get(&cpu->x87, in->reg));
    lanes_alignr(&d, &s, 8, (u8)in->imm);
    x87_mmx_set(&cpu->x87, in->reg, d.q[0]);
}
VEC_OPS(mmx_alignr);

static void mmx_pshufw(struct cpu *cpu, const struct insn *in)
{
    u64 s, r = 0;
    mmx_check(cpu, in);
    s = mmx_src64(cpu, in);
    x87_enter_mmx(&cpu->x87);
    for (unsigned i = 0; i < 4; i++)
        r |= ((s >> (((unsigned)in->imm >> 2 * i & 3) * 16)) & 0xffff) << 16 * i;
    x87_mmx_set(&cpu->x87, in->reg, r);
}
VEC_OPS(mmx_pshufw);

/* ---- moves ----------------------------------------------------------------------------------- */

/* MOVQ Pq, Qq */
static void mmx_movq_load(struct cpu *cpu, const struct insn *in)
{
    u64 v;
    mmx_check(cpu, in);
    v = mmx_src64(cpu, in);
    x87_enter_mmx(&cpu->x87);
    x87_mmx_set(&cpu->x87, in->reg, v);
}
VEC_OPS(mmx_movq_load);

/* MOVQ Qq, Pq and MOVNTQ Mq, Pq */
static void mmx_movq_store(struct cpu *cpu, const struct insn *in)
{
    u64 v = x87_mmx_get(&cpu->x87, in->reg);
    mmx_check(cpu, in);
    if (in->mem)
        mem_write64(cpu, in, mem_addr(cpu, in, 8, ACCESS_WRITE), v);
    x87_enter_mmx(&cpu->x87);
    if (!in->mem)
        x87_mmx_set(&cpu->x87, in->rm, v);
}
VEC_OPS(mmx_movq_store);

/* MOVD/MOVQ Pq, Ey */
static void mmx_movd_load(struct cpu *cpu, const struct insn *in)
{
    u64 v;
    mmx_check(cpu, in);
    v = get_rm(cpu, in, in->osz);
    x87_enter_mmx(&cpu->x87);
    x87_mmx_set(&cpu->x87, in->reg, v);
}
VEC_OPS(mmx_movd_load);

/* MOVD/MOVQ Ey, Pq */
static void mmx_movd_store(struct cpu *cpu, const struct insn *in)
{
    mmx_check(cpu, in);
    set_rm(cpu, in, x87_mmx_get(&cpu->x87, in->reg), in->osz);
    x87_enter_mmx(&cpu->x87);
}
VEC_OPS(mmx_movd_store);

static void mmx_pinsrw(struct cpu *cpu, const struct insn *in)
{
    unsigned shift = ((unsigned)in->imm & 3) * 16;
    u64 v;
    mmx_check(cpu, in);
    v = get_rm(cpu, in, 2);
    x87_enter_mmx(&cpu->x87);
    x87_mmx_set(&cpu->x87, in->reg,
                (x87_mmx_get(&cpu->x87, in->reg) & ~(0xffffull << shift)) | v << shift);
}
VEC_OPS(mmx_pinsrw);

static void mmx_pextrw(struct cpu *cpu, const struct insn *in)
{
    mmx_check(cpu, in);
    x87_enter_mmx(&cpu->x87);
    set_reg32(cpu, in->reg, (u16)(x87_mmx_get(&cpu->x87, in->rm) >> ((unsigned)in->imm & 3) * 16));
}
VEC_OPS(mmx_pextrw);

static void mmx_pmovmskb(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    mmx_check(cpu, in);
    x87_enter_mmx(&cpu->x87);
    s = mmx_vec(x87_mmx_get(&cpu->x87, in->rm));
    set_reg32(cpu, in->reg, lanes_movmskb(&s, 8));
}
VEC_OPS(mmx_pmovmskb);

/* Bytes of Pq whose mask byte in Nq has its top bit set go to DS:rDI. With a mask of zero nothing
 * is stored, and whether faults are reported is implementation-specific: here, none are. */
static void mmx_maskmovq(struct cpu *cpu, const struct insn *in)
{
    u64 v, mask;
    mmx_check(cpu, in);
    v = x87_mmx_get(&cpu->x87, in->reg);
    mask = x87_mmx_get(&cpu->x87, in->rm);
    vec_store_masked(cpu, in, v, mask, 8);
    x87_enter_mmx(&cpu->x87);
}
VEC_OPS(mmx_maskmovq);

/* Empties all registers and, as every MMX instruction, makes TOP 0: SDM vol. 3A table 12-1. */
static void mmx_emms(struct cpu *cpu, const struct insn *in)
{
    mmx_check(cpu, in);
    x87_enter_mmx(&cpu->x87);
    cpu->x87.empty = 0xff;
}
VEC_OPS(mmx_emms);
