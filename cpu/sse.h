/*
 * sse.h: what the handlers of MMX, SSE and AVX share: gates, operands, registers, and the macros
 * that stamp a worker function into a row's `struct insn_ops`.
 *
 * Values of 128 bits travel as u128 (two host registers), so that no handler keeps the address of a
 * local variable alive across NEXT, which would forbid the sibling call.
 *
 * A worker mostly serves both encodings: its first source is the register .vvvv, which the decoder
 * makes the destination in legacy rows; it works on vec_bytes; and vec_result and its like keep the
 * bits above in legacy rows and zero them in VEX rows.
 *
 * Intel SDM vol. 2A 2.4 (alignment classes), vol. 3A chapters 12 and 13.
 */
#pragma once

#include "cpu/exec.h"
#include "cpu/fpu.h"
#include "cpu/softfloat.h"

/* ---- gates ----------------------------------------------------------------------------------- */

static inline void sse_gate(struct cpu *cpu, const struct insn *in)
{
    if (unlikely((cpu->cr0 & (CR0_EM | CR0_TS)) || !(cpu->cr4 & CR4_OSFXSR)))
        sse_check(cpu, in);
}

static inline void avx_gate(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(!(cpu->key & KEY_AVX)))
        avx_check(cpu, in);
}

/* Of a worker that serves both encodings. */
static inline void vec_gate(struct cpu *cpu, const struct insn *in)
{
    if (in->vex)
        avx_gate(cpu, in);
    else
        sse_gate(cpu, in);
}

/* ---- XMM registers and operands -------------------------------------------------------------- */

static inline u128 xmm_get(const struct cpu *cpu, unsigned r)
{
    u128 v;
    memcpy(&v, &cpu->vec[r], sizeof v);
    return v;
}

/* Bits 255:128 stay: legacy SSE. */
static inline void xmm_set(struct cpu *cpu, unsigned r, u128 v)
{
    memcpy(&cpu->vec[r], &v, sizeof v);
}

/* The same by encoding: a VEX instruction zeroes what lies above. */
static inline void xmm_result(struct cpu *cpu, const struct insn *in, unsigned r, u128 v)
{
    xmm_set(cpu, r, v);
    if (in->vex)
        cpu->vec[r].q[2] = cpu->vec[r].q[3] = 0;
}

/* A 128-bit lane of a register, as the operations of lanes.h take it. */
static inline union vec vec_lane(const union vec *v, unsigned lane)
{
    return (union vec){.q = {v->q[2 * lane], v->q[2 * lane + 1]}};
}

static inline void vec_set_lane(union vec *v, unsigned lane, const union vec *from)
{
    v->q[2 * lane] = from->q[0];
    v->q[2 * lane + 1] = from->q[1];
}

/* Length of the operation. */
static inline unsigned vec_bytes(const struct insn *in)
{
    return 16u << in->vex_l;
}

/* Stores a result of vec_bytes. */
static inline void vec_result_in(struct cpu *cpu, const struct insn *in, unsigned r,
                                 const union vec *v)
{
    union vec *d = &cpu->vec[r];
    memcpy(d, v, 16);
    if (in->vex_l)
        memcpy(&d->q[2], &v->q[2], 16);
    else if (in->vex)
        d->q[2] = d->q[3] = 0;
}

static inline void vec_result(struct cpu *cpu, const struct insn *in, const union vec *v)
{
    vec_result_in(cpu, in, in->reg, v);
}

/* A scalar operation keeps the rest of its first source: where the low element of .reg goes. */
static inline union vec *scalar_dst(struct cpu *cpu, const struct insn *in)
{
    if (in->vex)
        xmm_result(cpu, in, in->reg, xmm_get(cpu, in->vvvv));
    return &cpu->vec[in->reg];
}

static inline union vec vec_from(u128 v)
{
    union vec r;
    memcpy(&r, &v, sizeof v);
    r.q[2] = r.q[3] = 0;
    return r;
}

static inline u128 u128_of(u64 hi, u64 lo)
{
    return (u128)hi << 64 | lo;
}

/* Slow paths of 16-byte accesses, and any address; raise faults. */
u128 vec_read128_slow(struct cpu *cpu, const struct insn *in, gva_t va);
void vec_write128_slow(struct cpu *cpu, const struct insn *in, gva_t va, u128 v);

static inline u128 vec_read128(struct cpu *cpu, const struct insn *in, gva_t va)
{
    const u8 *p = mem_fast_r(cpu, va, 16);
    u128 v;
    if (unlikely(!p))
        return vec_read128_slow(cpu, in, va);
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_write128(struct cpu *cpu, const struct insn *in, gva_t va, u128 v)
{
    u8 *p = mem_fast_w(cpu, va, 16);
    if (unlikely(!p))
        vec_write128_slow(cpu, in, va, v);
    else
        memcpy(p, &v, sizeof v);
}

/* MASKMOVQ, MASKMOVDQU: stores the bytes of v whose mask byte has its top bit set, among `len` (8
 * or 16) bytes at DS:rDI (or the overriding segment). All or nothing. */
void vec_store_masked(struct cpu *cpu, const struct insn *in, u128 v, u128 mask, unsigned len);

/* Which form of the operand a handler variant is for: struct insn_ops' any, r, m, s. */
enum form { FORM_ANY, FORM_R, FORM_M, FORM_S };

static inline gva_t vec_addr(struct cpu *cpu, const struct insn *in, unsigned size,
                             enum access kind, enum form form)
{
    return form == FORM_M ? ea_flat(cpu, in) : mem_addr(cpu, in, size, kind);
}

static inline bool vec_is_mem(const struct insn *in, enum form form)
{
    return form == FORM_ANY ? in->mem : form != FORM_R;
}

/* Legacy SSE: a 128-bit operand that is not aligned is #GP(0), after the segment's checks. */
static inline void vec_check_aligned(struct cpu *cpu, const struct insn *in, gva_t va)
{
    if (unlikely(va & 15) && !in->vex)
        excp_gp(cpu, in, 0);
}

static inline u128 xmm_src(struct cpu *cpu, const struct insn *in, enum form form, bool aligned)
{
    gva_t va;
    if (!vec_is_mem(in, form))
        return xmm_get(cpu, in->rm);
    va = vec_addr(cpu, in, 16, ACCESS_READ, form);
    if (aligned)
        vec_check_aligned(cpu, in, va);
    return vec_read128(cpu, in, va);
}

static inline void xmm_dst(struct cpu *cpu, const struct insn *in, u128 v, enum form form,
                           bool aligned)
{
    gva_t va;
    if (!vec_is_mem(in, form)) {
        xmm_set(cpu, in->rm, v);
        return;
    }
    va = vec_addr(cpu, in, 16, ACCESS_WRITE, form);
    if (aligned)
        vec_check_aligned(cpu, in, va);
    vec_write128(cpu, in, va, v);
}

/* Wdq, Wps, Wpd: aligned in memory. */
static inline u128 xmm_src128(struct cpu *cpu, const struct insn *in)
{
    return xmm_src(cpu, in, FORM_ANY, true);
}

void vec_read256(struct cpu *cpu, const struct insn *in, gva_t va, union vec *v);

/* W operands of vec_bytes. */
static inline union vec vec_src(struct cpu *cpu, const struct insn *in)
{
    union vec v;
    if (!in->vex_l)
        return vec_from(xmm_src128(cpu, in));
    if (!in->mem)
        return cpu->vec[in->rm];
    vec_read256(cpu, in, mem_addr(cpu, in, 32, ACCESS_READ), &v);
    return v;
}

/* Wh, Wf, We operands: the first vec_bytes / fraction bytes. */
union vec vec_src_part(struct cpu *cpu, const struct insn *in, unsigned fraction);

static inline u64 xmm_src64(struct cpu *cpu, const struct insn *in)
{
    return in->mem ? mem_read64(cpu, in, mem_addr(cpu, in, 8, ACCESS_READ)) : cpu->vec[in->rm].q[0];
}

static inline u32 xmm_src32(struct cpu *cpu, const struct insn *in)
{
    return in->mem ? mem_read32(cpu, in, mem_addr(cpu, in, 4, ACCESS_READ)) : cpu->vec[in->rm].d[0];
}

static inline u16 xmm_src16(struct cpu *cpu, const struct insn *in)
{
    return in->mem ? mem_read16(cpu, in, mem_addr(cpu, in, 2, ACCESS_READ)) : cpu->vec[in->rm].w[0];
}

/* ---- MMX operands ---------------------------------------------------------------------------- */

static inline u64 mmx_src64(struct cpu *cpu, const struct insn *in)
{
    return in->mem ? mem_read64(cpu, in, mem_addr(cpu, in, 8, ACCESS_READ))
                   : x87_mmx_get(&cpu->x87, in->rm);
}

static inline u64 mmx_src32(struct cpu *cpu, const struct insn *in)
{
    return in->mem ? mem_read32(cpu, in, mem_addr(cpu, in, 4, ACCESS_READ))
                   : (u32)x87_mmx_get(&cpu->x87, in->rm);
}

/* ---- floating point -------------------------------------------------------------------------- */

/* Ends the computation of an instruction: its exceptions go to MXCSR; an unmasked one is #XM (#UD
 * without CR4.OSXMMEXCPT), so call it before anything is written. SDM vol. 1 11.5.2, 11.5.3. */
static inline void sse_fp_end(struct cpu *cpu, const struct insn *in, const struct sf_ctx *c)
{
    cpu->mxcsr |= sf_raised(c);
    if (unlikely(sf_unmasked(c)))
        excp_fault(cpu, in, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

/* ---- from workers to handlers ---------------------------------------------------------------- */

/* Workers that hand out addresses of their locals stay functions of their own: else compilers
 * (clang) see the address alive at NEXT and make no sibling call of it. */
#define VEC_WORKER static __attribute__((noinline)) void

/* `worker` is static void worker(struct cpu *, const struct insn *), for all forms. */
#define VEC_OPS(worker)                                                                            \
    static const struct insn *worker##_any(struct cpu *cpu, const struct insn *in)                 \
    {                                                                                              \
        worker(cpu, in);                                                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    const struct insn_ops ops_##worker = {.any = worker##_any}

/* `worker` is static inline void worker(struct cpu *, const struct insn *, enum form): one variant
 * per form, for what is hot. */
#define VEC_OPS_FORMS(worker)                                                                      \
    static const struct insn *worker##_r(struct cpu *cpu, const struct insn *in)                   \
    {                                                                                              \
        worker(cpu, in, FORM_R);                                                                   \
        NEXT;                                                                                      \
    }                                                                                              \
    static const struct insn *worker##_m(struct cpu *cpu, const struct insn *in)                   \
    {                                                                                              \
        worker(cpu, in, FORM_M);                                                                   \
        NEXT;                                                                                      \
    }                                                                                              \
    static const struct insn *worker##_s(struct cpu *cpu, const struct insn *in)                   \
    {                                                                                              \
        worker(cpu, in, FORM_S);                                                                   \
        NEXT;                                                                                      \
    }                                                                                              \
    const struct insn_ops ops_##worker = {.r = {worker##_r, worker##_r, worker##_r, worker##_r},   \
                                          .m = {worker##_m, worker##_m, worker##_m, worker##_m},   \
                                          .s = {worker##_s, worker##_s, worker##_s, worker##_s}}
