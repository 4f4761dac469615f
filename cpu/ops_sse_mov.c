/*
 * ops_sse_mov.c: moves and shuffles of the XMM registers, SSE to SSE3: whatever copies bits and
 * computes nothing. And the slow paths of 16-byte accesses.
 *
 * Not here: MOVNTI (an integer store), PMOVSX and the like (ops_sse4.c), MOVQ between MMX registers
 * (ops_mmx.c).
 *
 * Intel SDM vol. 2.
 */
#include "cpu/lanes.h"
#include "cpu/sse.h"

/* ---- memory ---------------------------------------------------------------------------------- */

__attribute__((noinline)) u128 vec_read128_slow(struct cpu *cpu, const struct insn *in, gva_t va)
{
    u128 v;
    mem_read_bytes(cpu, in, va, &v, sizeof v);
    return v;
}

__attribute__((noinline)) void vec_write128_slow(struct cpu *cpu, const struct insn *in, gva_t va,
                                                 u128 v)
{
    mem_write_bytes(cpu, in, va, &v, sizeof v);
}

__attribute__((noinline)) void vec_read256(struct cpu *cpu, const struct insn *in, gva_t va,
                                           union vec *v)
{
    const u8 *p = mem_fast_r(cpu, va, 32);
    if (likely(p != NULL))
        memcpy(v, p, 32);
    else
        mem_read_bytes(cpu, in, va, v, 32);
}

__attribute__((noinline)) union vec vec_src_part(struct cpu *cpu, const struct insn *in,
                                                 unsigned fraction)
{
    unsigned bytes = vec_bytes(in) / fraction;
    union vec v = {0};
    if (in->mem)
        mem_read_bytes(cpu, in, mem_addr(cpu, in, bytes, ACCESS_READ), &v, bytes);
    else
        memcpy(&v, &cpu->vec[in->rm], 16);
    return v;
}

__attribute__((noinline)) void vec_store_masked(struct cpu *cpu, const struct insn *in, u128 v,
                                                u128 mask, unsigned len)
{
    u64 off = cpu->gpr[RDI] & mask64(in->asz * 8u);
    gva_t va;
    if (!(mask & u128_of(0x8080808080808080ull, 0x8080808080808080ull)))
        return;
    va = seg_addr(cpu, in, in->seg, off, len, ACCESS_WRITE);
    for (unsigned i = 0; i < len; i++)
        if ((u8)(mask >> 8 * i) & 0x80)
            mem_probe_write(cpu, in, va + i, 1);
    for (unsigned i = 0; i < len; i++)
        if ((u8)(mask >> 8 * i) & 0x80)
            mem_write8(cpu, in, va + i, (u8)(v >> 8 * i));
}

static inline u64 src64(struct cpu *cpu, const struct insn *in, enum form form)
{
    return vec_is_mem(in, form) ? mem_read64(cpu, in, vec_addr(cpu, in, 8, ACCESS_READ, form))
                                : cpu->vec[in->rm].q[0];
}

static inline u32 src32(struct cpu *cpu, const struct insn *in, enum form form)
{
    return vec_is_mem(in, form) ? mem_read32(cpu, in, vec_addr(cpu, in, 4, ACCESS_READ, form))
                                : cpu->vec[in->rm].d[0];
}

/* ---- whole registers ------------------------------------------------------------------------- */

/* MOVAPS, MOVAPD, MOVDQA V, W; MOVNTDQA */
static inline void sse_mova_load(struct cpu *cpu, const struct insn *in, enum form form)
{
    sse_gate(cpu, in);
    xmm_set(cpu, in->reg, xmm_src(cpu, in, form, true));
}
VEC_OPS_FORMS(sse_mova_load);

/* MOVUPS, MOVUPD, MOVDQU V, W; LDDQU */
static inline void sse_movu_load(struct cpu *cpu, const struct insn *in, enum form form)
{
    sse_gate(cpu, in);
    xmm_set(cpu, in->reg, xmm_src(cpu, in, form, false));
}
VEC_OPS_FORMS(sse_movu_load);

/* MOVAPS, MOVAPD, MOVDQA W, V; MOVNTPS, MOVNTPD, MOVNTDQ */
static inline void sse_mova_store(struct cpu *cpu, const struct insn *in, enum form form)
{
    sse_gate(cpu, in);
    xmm_dst(cpu, in, xmm_get(cpu, in->reg), form, true);
}
VEC_OPS_FORMS(sse_mova_store);

/* MOVUPS, MOVUPD, MOVDQU W, V */
static inline void sse_movu_store(struct cpu *cpu, const struct insn *in, enum form form)
{
    sse_gate(cpu, in);
    xmm_dst(cpu, in, xmm_get(cpu, in->reg), form, false);
}
VEC_OPS_FORMS(sse_movu_store);

static void sse_maskmovdqu(struct cpu *cpu, const struct insn *in)
{
    vec_gate(cpu, in);
    vec_store_masked(cpu, in, xmm_get(cpu, in->reg), xmm_get(cpu, in->rm), 16);
}
VEC_OPS(sse_maskmovdqu);

/* ---- scalars: from memory the rest is zeroed, from a register it stays ----------------------- */

static inline void sse_movss_load(struct cpu *cpu, const struct insn *in, enum form form)
{
    u32 v;
    vec_gate(cpu, in);
    v = src32(cpu, in, form);
    if (vec_is_mem(in, form))
        xmm_result(cpu, in, in->reg, v);
    else
        cpu->vec[in->reg].d[0] = v;
}
VEC_OPS_FORMS(sse_movss_load);

static inline void sse_movsd_load(struct cpu *cpu, const struct insn *in, enum form form)
{
    u64 v;
    vec_gate(cpu, in);
    v = src64(cpu, in, form);
    if (vec_is_mem(in, form))
        xmm_result(cpu, in, in->reg, v);
    else
        cpu->vec[in->reg].q[0] = v;
}
VEC_OPS_FORMS(sse_movsd_load);

static inline void sse_movss_store(struct cpu *cpu, const struct insn *in, enum form form)
{
    u32 v = cpu->vec[in->reg].d[0];
    vec_gate(cpu, in);
    if (vec_is_mem(in, form))
        mem_write32(cpu, in, vec_addr(cpu, in, 4, ACCESS_WRITE, form), v);
    else
        cpu->vec[in->rm].d[0] = v;
}
VEC_OPS_FORMS(sse_movss_store);

/* MOVSD Wsd, Vsd; MOVLPS, MOVLPD Mq, Vq */
static inline void sse_movsd_store(struct cpu *cpu, const struct insn *in, enum form form)
{
    u64 v = cpu->vec[in->reg].q[0];
    vec_gate(cpu, in);
    if (vec_is_mem(in, form))
        mem_write64(cpu, in, vec_addr(cpu, in, 8, ACCESS_WRITE, form), v);
    else
        cpu->vec[in->rm].q[0] = v;
}
VEC_OPS_FORMS(sse_movsd_store);

/* MOVQ Vq, Wq */
static inline void sse_movq_load(struct cpu *cpu, const struct insn *in, enum form form)
{
    vec_gate(cpu, in);
    xmm_result(cpu, in, in->reg, src64(cpu, in, form));
}
VEC_OPS_FORMS(sse_movq_load);

/* MOVQ Wq, Vq */
static inline void sse_movq_store(struct cpu *cpu, const struct insn *in, enum form form)
{
    u64 v = cpu->vec[in->reg].q[0];
    vec_gate(cpu, in);
    if (vec_is_mem(in, form))
        mem_write64(cpu, in, vec_addr(cpu, in, 8, ACCESS_WRITE, form), v);
    else
        xmm_result(cpu, in, in->rm, v);
}
VEC_OPS_FORMS(sse_movq_store);

/* MOVD Vdq, Ed and MOVQ Vdq, Eq */
static inline void sse_movd_load(struct cpu *cpu, const struct insn *in, enum form form)
{
    unsigned size = in->osz;
    u64 v;
    vec_gate(cpu, in);
    v = vec_is_mem(in, form) ? mem_read(cpu, in, vec_addr(cpu, in, size, ACCESS_READ, form), size)
                             : reg_get(cpu, in->rm, size);
    xmm_result(cpu, in, in->reg, v);
}
VEC_OPS_FORMS(sse_movd_load);

/* MOVD Ed, Vdq and MOVQ Eq, Vdq */
static inline void sse_movd_store(struct cpu *cpu, const struct insn *in, enum form form)
{
    unsigned size = in->osz;
    u64 v = cpu->vec[in->reg].q[0];
    vec_gate(cpu, in);
    if (vec_is_mem(in, form))
        mem_write(cpu, in, vec_addr(cpu, in, size, ACCESS_WRITE, form), v, size);
    else
        reg_set(cpu, in->rm, v, size);
}
VEC_OPS_FORMS(sse_movd_store);

static void sse_movq2dq(struct cpu *cpu, const struct insn *in)
{
    sse_gate(cpu, in);
    mmx_check(cpu, in);
    x87_enter_mmx(&cpu->x87);
    xmm_set(cpu, in->reg, x87_mmx_get(&cpu->x87, in->rm));
}
VEC_OPS(sse_movq2dq);

static void sse_movdq2q(struct cpu *cpu, const struct insn *in)
{
    sse_gate(cpu, in);
    mmx_check(cpu, in);
    x87_enter_mmx(&cpu->x87);
    x87_mmx_set(&cpu->x87, in->reg, cpu->vec[in->rm].q[0]);
}
VEC_OPS(sse_movdq2q);

/* ---- halves ---------------------------------------------------------------------------------- */

/* MOVLPS, MOVLPD Vq, Mq */
static void sse_movlps_load(struct cpu *cpu, const struct insn *in)
{
    u64 v;
    vec_gate(cpu, in);
    v = xmm_src64(cpu, in);
    scalar_dst(cpu, in)->q[0] = v;
}
VEC_OPS(sse_movlps_load);

/* MOVHPS, MOVHPD Vq, Mq; MOVLHPS Vq, Uq */
static void sse_movhps_load(struct cpu *cpu, const struct insn *in)
{
    u64 v;
    vec_gate(cpu, in);
    v = xmm_src64(cpu, in);
    scalar_dst(cpu, in)->q[1] = v;
}
VEC_OPS(sse_movhps_load);

static void sse_movhps_store(struct cpu *cpu, const struct insn *in)
{
    vec_gate(cpu, in);
    mem_write64(cpu, in, mem_addr(cpu, in, 8, ACCESS_WRITE), cpu->vec[in->reg].q[1]);
}
VEC_OPS(sse_movhps_store);

static void sse_movhlps(struct cpu *cpu, const struct insn *in)
{
    u64 v = cpu->vec[in->rm].q[1];
    vec_gate(cpu, in);
    scalar_dst(cpu, in)->q[0] = v;
}
VEC_OPS(sse_movhlps);

/* In VEX.256 rows the even elements of each lane. */
VEC_WORKER sse_movddup(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    vec_gate(cpu, in);
    s = in->vex_l ? vec_src(cpu, in) : vec_from(xmm_src64(cpu, in));
    s.q[1] = s.q[0];
    s.q[3] = s.q[2];
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_movddup);

/* ---- elements -------------------------------------------------------------------------------- */

/* `body` fills the lane r of the result from those of the first source d and of the second s. */
#define SSE_SHUFFLE(name, body)                                                                    \
    VEC_WORKER sse_##name(struct cpu *cpu, const struct insn *in)                                  \
    {                                                                                              \
        union vec first, second, result;                                                           \
        unsigned imm = (u8)in->imm;                                                                \
        vec_gate(cpu, in);                                                                         \
        second = vec_src(cpu, in);                                                                 \
        first = cpu->vec[in->vvvv];                                                                \
        for (unsigned lane = 0; lane < vec_bytes(in) / 16; lane++) {                               \
            union vec d = vec_lane(&first, lane), s = vec_lane(&second, lane), r = s;              \
            body;                                                                                  \
            vec_set_lane(&result, lane, &r);                                                       \
            (void)d;                                                                               \
        }                                                                                          \
        vec_result(cpu, in, &result);                                                              \
        (void)imm;                                                                                 \
    }                                                                                              \
    VEC_OPS(sse_##name)

SSE_SHUFFLE(pshufd, for (unsigned i = 0; i < 4; i++) r.d[i] = s.d[imm >> 2 * i & 3]);
SSE_SHUFFLE(pshuflw, for (unsigned i = 0; i < 4; i++) r.w[i] = s.w[imm >> 2 * i & 3]);
SSE_SHUFFLE(pshufhw, for (unsigned i = 0; i < 4; i++) r.w[4 + i] = s.w[4 + (imm >> 2 * i & 3)]);
SSE_SHUFFLE(shufps,
            for (unsigned i = 0; i < 4; i++) r.d[i] = (i < 2 ? &d : &s)->d[imm >> 2 * i & 3]);
/* VEX.256: two bits of the immediate for each lane */
SSE_SHUFFLE(shufpd, r.q[0] = d.q[imm & 1]; r.q[1] = s.q[imm >> 1 & 1]; imm >>= 2);
SSE_SHUFFLE(movsldup, for (unsigned i = 0; i < 4; i++) r.d[i] = s.d[i & 2]);
SSE_SHUFFLE(movshdup, for (unsigned i = 0; i < 4; i++) r.d[i] = s.d[i | 1]);
/* VPERMILPS, VPERMILPD Vx, Wx, Ib: the former is VPSHUFD */
SSE_SHUFFLE(permilpd, r.q[0] = s.q[imm & 1]; r.q[1] = s.q[imm >> 1 & 1]; imm >>= 2);

/* The interleaves, PUNPCK* and UNPCKLPS, UNPCKHPS, UNPCKLPD, UNPCKHPD. */
#define SSE_UNPACK(op)                                                                             \
    static void sse_##op(struct cpu *cpu, const struct insn *in)                                   \
    {                                                                                              \
        union vec s;                                                                               \
        sse_gate(cpu, in);                                                                         \
        s = vec_from(xmm_src128(cpu, in));                                                         \
        lanes_##op(&cpu->vec[in->reg], &s, 16);                                                    \
    }                                                                                              \
    VEC_OPS(sse_##op)

SSE_UNPACK(unpcklbw);
SSE_UNPACK(unpcklwd);
SSE_UNPACK(unpckldq);
SSE_UNPACK(unpcklqdq);
SSE_UNPACK(unpckhqdq);

static void sse_movmskps(struct cpu *cpu, const struct insn *in)
{
    u32 mask = 0;
    vec_gate(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        mask |= cpu->vec[in->rm].d[i] >> 31 << i;
    set_reg32(cpu, in->reg, mask);
}
VEC_OPS(sse_movmskps);

static void sse_movmskpd(struct cpu *cpu, const struct insn *in)
{
    u64 mask = 0;
    vec_gate(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        mask |= cpu->vec[in->rm].q[i] >> 63 << i;
    set_reg32(cpu, in->reg, (u32)mask);
}
VEC_OPS(sse_movmskpd);

static void sse_pmovmskb(struct cpu *cpu, const struct insn *in)
{
    vec_gate(cpu, in);
    set_reg32(cpu, in->reg, lanes_movmskb(&cpu->vec[in->rm], vec_bytes(in)));
}
VEC_OPS(sse_pmovmskb);

static void sse_pinsrw(struct cpu *cpu, const struct insn *in)
{
    u16 v;
    vec_gate(cpu, in);
    v = (u16)get_rm(cpu, in, 2);
    scalar_dst(cpu, in)->w[in->imm & 7] = v;
}
VEC_OPS(sse_pinsrw);

/* PEXTRW Gd, Udq, Ib: the form of SSE2 */
static void sse_pextrw(struct cpu *cpu, const struct insn *in)
{
    vec_gate(cpu, in);
    set_reg32(cpu, in->reg, cpu->vec[in->rm].w[in->imm & 7]);
}
VEC_OPS(sse_pextrw);
