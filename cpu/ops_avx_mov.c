/*
 * ops_avx_mov.c: moves of AVX and AVX2: whole registers, broadcasts, masked moves, gathers, and
 * VZEROUPPER.
 *
 * Not here: moves of scalars and halves that SSE has too (ops_sse_mov.c).
 *
 * Intel SDM vol. 2; vol. 1 14.9 (alignment); vol. 2A 2.3.12 (VSIB).
 */
#include "cpu/sse.h"

/* ---- whole registers ------------------------------------------------------------------------- */

/* VMOVAPS and its like are #GP(0) for memory that is not aligned to the operand's length. */
static gva_t move_addr(struct cpu *cpu, const struct insn *in, enum access kind, bool aligned)
{
    unsigned bytes = vec_bytes(in);
    gva_t va = mem_addr(cpu, in, bytes, kind);
    if (aligned && va & (bytes - 1))
        excp_gp(cpu, in, 0);
    return va;
}

static inline void load(struct cpu *cpu, const struct insn *in, bool aligned)
{
    union vec v;
    avx_gate(cpu, in);
    if (in->mem)
        mem_read_bytes(cpu, in, move_addr(cpu, in, ACCESS_READ, aligned), &v, vec_bytes(in));
    else
        v = cpu->vec[in->rm];
    vec_result(cpu, in, &v);
}

static inline void store(struct cpu *cpu, const struct insn *in, bool aligned)
{
    const union vec *v = &cpu->vec[in->reg];
    avx_gate(cpu, in);
    if (in->mem)
        mem_write_bytes(cpu, in, move_addr(cpu, in, ACCESS_WRITE, aligned), v, vec_bytes(in));
    else
        vec_result_in(cpu, in, in->rm, v);
}

/* VMOVAPS, VMOVAPD, VMOVDQA, VMOVNTDQA V, W */
VEC_WORKER avx_mova_load(struct cpu *cpu, const struct insn *in)
{
    load(cpu, in, true);
}
VEC_OPS(avx_mova_load);

/* VMOVUPS, VMOVUPD, VMOVDQU, VLDDQU V, W */
VEC_WORKER avx_movu_load(struct cpu *cpu, const struct insn *in)
{
    load(cpu, in, false);
}
VEC_OPS(avx_movu_load);

/* VMOVAPS, VMOVAPD, VMOVDQA, VMOVNTPS, VMOVNTPD, VMOVNTDQ W, V */
VEC_WORKER avx_mova_store(struct cpu *cpu, const struct insn *in)
{
    store(cpu, in, true);
}
VEC_OPS(avx_mova_store);

/* VMOVUPS, VMOVUPD, VMOVDQU W, V */
VEC_WORKER avx_movu_store(struct cpu *cpu, const struct insn *in)
{
    store(cpu, in, false);
}
VEC_OPS(avx_movu_store);

/* ---- scalars from registers: VMOVSS, VMOVSD V, H, U; with opcode 11 U is the destination ------
 */

#define AVX_MOV_SCALAR(name, field)                                                                \
    static void avx_##name(struct cpu *cpu, const struct insn *in)                                 \
    {                                                                                              \
        unsigned dst = in->opcode & 1 ? in->rm : in->reg, src = in->opcode & 1 ? in->reg : in->rm; \
        union vec r = cpu->vec[in->vvvv];                                                          \
        avx_gate(cpu, in);                                                                         \
        r.field[0] = cpu->vec[src].field[0];                                                       \
        xmm_result(cpu, in, dst, u128_of(r.q[1], r.q[0]));                                         \
    }                                                                                              \
    VEC_OPS(avx_##name)

AVX_MOV_SCALAR(movss, d);
AVX_MOV_SCALAR(movsd, q);

/* ---- broadcasts ------------------------------------------------------------------------------ */

#define AVX_BROADCAST(name, field, fetch)                                                          \
    VEC_WORKER avx_##name(struct cpu *cpu, const struct insn *in)                                  \
    {                                                                                              \
        union vec r;                                                                               \
        avx_gate(cpu, in);                                                                         \
        r.field[0] = fetch(cpu, in);                                                               \
        for (unsigned i = 1; i < 32 / sizeof r.field[0]; i++)                                      \
            r.field[i] = r.field[0];                                                               \
        vec_result(cpu, in, &r);                                                                   \
    }                                                                                              \
    VEC_OPS(avx_##name)

static u8 xmm_src8(struct cpu *cpu, const struct insn *in)
{
    return in->mem ? mem_read8(cpu, in, mem_addr(cpu, in, 1, ACCESS_READ)) : cpu->vec[in->rm].b[0];
}

AVX_BROADCAST(broadcastb, b, xmm_src8);
AVX_BROADCAST(broadcastw, w, xmm_src16);
AVX_BROADCAST(broadcastd, d, xmm_src32);
AVX_BROADCAST(broadcastq, q, xmm_src64);

/* VBROADCASTF128, VBROADCASTI128 V, M */
VEC_WORKER avx_broadcast128(struct cpu *cpu, const struct insn *in)
{
    union vec r;
    avx_gate(cpu, in);
    r = vec_from(xmm_src128(cpu, in));
    r.q[2] = r.q[0];
    r.q[3] = r.q[1];
    vec_result(cpu, in, &r);
}
VEC_OPS(avx_broadcast128);

/* ---- masked moves: elements whose mask (H) has its sign bit set; the others do not fault ------
 */

static bool element_is_set(const union vec *mask, unsigned i, unsigned size)
{
    return mask->b[i * size + size - 1] >> 7;
}

static u64 element(const union vec *v, unsigned i, unsigned size)
{
    return size == 8 ? v->q[i] : v->d[i];
}

static void set_element(union vec *v, unsigned i, unsigned size, u64 x)
{
    if (size == 8)
        v->q[i] = x;
    else
        v->d[i] = (u32)x;
}

static gva_t element_addr(struct cpu *cpu, const struct insn *in, unsigned i, unsigned size,
                          enum access kind)
{
    u64 off = (ea_offset(cpu, in) + i * size) & mask64(in->asz * 8u);
    return seg_addr(cpu, in, in->seg, off, size, kind);
}

static inline void masked_load(struct cpu *cpu, const struct insn *in, unsigned size)
{
    const union vec *mask = &cpu->vec[in->vvvv];
    union vec r = {{0}};
    avx_gate(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / size; i++)
        if (element_is_set(mask, i, size))
            set_element(&r, i, size,
                        mem_read(cpu, in, element_addr(cpu, in, i, size, ACCESS_READ), size));
    vec_result(cpu, in, &r);
}

static inline void masked_store(struct cpu *cpu, const struct insn *in, unsigned size)
{
    const union vec *mask = &cpu->vec[in->vvvv], *v = &cpu->vec[in->reg];
    avx_gate(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / size; i++)
        if (element_is_set(mask, i, size))
            mem_probe_write(cpu, in, element_addr(cpu, in, i, size, ACCESS_WRITE), size);
    for (unsigned i = 0; i < vec_bytes(in) / size; i++)
        if (element_is_set(mask, i, size))
            mem_write(cpu, in, element_addr(cpu, in, i, size, ACCESS_WRITE), element(v, i, size),
                      size);
}

/* VMASKMOVPS, VPMASKMOVD V, H, M and M, H, V; and of eight bytes */
VEC_WORKER avx_maskmovd_load(struct cpu *cpu, const struct insn *in)
{
    masked_load(cpu, in, 4);
}
VEC_OPS(avx_maskmovd_load);

VEC_WORKER avx_maskmovq_load(struct cpu *cpu, const struct insn *in)
{
    masked_load(cpu, in, 8);
}
VEC_OPS(avx_maskmovq_load);

VEC_WORKER avx_maskmovd_store(struct cpu *cpu, const struct insn *in)
{
    masked_store(cpu, in, 4);
}
VEC_OPS(avx_maskmovd_store);

VEC_WORKER avx_maskmovq_store(struct cpu *cpu, const struct insn *in)
{
    masked_store(cpu, in, 8);
}
VEC_OPS(avx_maskmovq_store);

/* ---- gathers --------------------------------------------------------------------------------- */

static gva_t gather_addr(struct cpu *cpu, const struct insn *in, unsigned i, unsigned index_size,
                         unsigned size)
{
    u64 index = sext(element(&cpu->vec[in->rm], i, index_size), index_size * 8);
    u64 off = (ea_offset(cpu, in) + (index << in->scale)) & mask64(in->asz * 8u);
    return seg_addr(cpu, in, in->seg, off, size, ACCESS_READ);
}

/*
 * Elements whose mask (H) has its sign bit set are loaded, from the lowest on, and the masks behind
 * become zero: after a fault the instruction goes on where it was. At its end the whole mask is
 * zero, and what lies above the elements of either register. (The SDM makes all masks 0 or -1
 * before the first load; AMD's processors, as we, leave those alone that were not reached.)
 */
static inline void gather(struct cpu *cpu, const struct insn *in, unsigned index_size,
                          unsigned size)
{
    union vec *d = &cpu->vec[in->reg], *mask = &cpu->vec[in->vvvv];
    unsigned wider = size > index_size ? size : index_size, n = vec_bytes(in) / wider;
    if (in->reg == in->vvvv || in->reg == in->rm || in->vvvv == in->rm)
        excp_ud(cpu, in);
    avx_gate(cpu, in);
    for (unsigned i = 0; i < n; i++) {
        if (element_is_set(mask, i, size))
            set_element(d, i, size,
                        mem_read(cpu, in, gather_addr(cpu, in, i, index_size, size), size));
        set_element(mask, i, size, 0);
    }
    *mask = (union vec){{0}};
    memset(d->b + n * size, 0, sizeof d->b - n * size);
}

/* The index's letter first: VPGATHERDQ has indices of 4 bytes and elements of 8. */
VEC_WORKER avx_gatherdd(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, 4, 4);
}
VEC_OPS(avx_gatherdd);

VEC_WORKER avx_gatherdq(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, 4, 8);
}
VEC_OPS(avx_gatherdq);

VEC_WORKER avx_gatherqd(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, 8, 4);
}
VEC_OPS(avx_gatherqd);

VEC_WORKER avx_gatherqq(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, 8, 8);
}
VEC_OPS(avx_gatherqq);

/* ---- VZEROUPPER, VZEROALL: the registers that the mode can name -------------------------------
 */

static inline void zero(struct cpu *cpu, const struct insn *in, unsigned from)
{
    avx_gate(cpu, in);
    for (unsigned i = 0; i < (cpu_in_code64(cpu) ? 16u : 8u); i++)
        memset(cpu->vec[i].b + from, 0, sizeof cpu->vec[i].b - from);
}

static void avx_zeroupper(struct cpu *cpu, const struct insn *in)
{
    zero(cpu, in, 16);
}
VEC_OPS(avx_zeroupper);

static void avx_zeroall(struct cpu *cpu, const struct insn *in)
{
    zero(cpu, in, 0);
}
VEC_OPS(avx_zeroall);
