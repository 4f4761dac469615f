/*
 * ops_sse4.c: the integer, blend, insert and extract instructions of SSE4.1, and the string and
 * text instructions of SSE4.2.
 *
 * Not here: ROUNDxx and DPxx (ops_sse_fp.c), CRC32 and POPCNT (integer instructions), element
 * operations (lanes.h).
 *
 * Intel SDM vol. 2; vol. 2B 4.1 for PCMPxSTRx.
 */
#include "cpu/lanes.h"
#include "cpu/sse.h"

/* P<op> Vdq, Wdq */
#define SSE4_LANES(name, op)                                                                       \
    static void sse_##name(struct cpu *cpu, const struct insn *in)                                 \
    {                                                                                              \
        union vec s;                                                                               \
        sse_gate(cpu, in);                                                                         \
        s = vec_from(xmm_src128(cpu, in));                                                         \
        lanes_##op(&cpu->vec[in->reg], &s, 16);                                                    \
    }                                                                                              \
    VEC_OPS(sse_##name)

SSE4_LANES(pcmpeqq, cmpeqq);
SSE4_LANES(pcmpgtq, cmpgtq);
SSE4_LANES(pminsb, minsb);
SSE4_LANES(pminuw, minuw);
SSE4_LANES(pminsd, minsd);
SSE4_LANES(pminud, minud);
SSE4_LANES(pmaxsb, maxsb);
SSE4_LANES(pmaxuw, maxuw);
SSE4_LANES(pmaxsd, maxsd);
SSE4_LANES(pmaxud, maxud);
SSE4_LANES(pmulld, mulld);
SSE4_LANES(pmuldq, muldq);
SSE4_LANES(packusdw, packusdw);

/* ---- widening: PMOVSX, PMOVZX; as many elements as fill the result ------------------------- */

#define SSE_WIDEN(name, from, from_type, to, to_type)                                              \
    VEC_WORKER sse_##name(struct cpu *cpu, const struct insn *in)                                  \
    {                                                                                              \
        union vec s, r;                                                                            \
        vec_gate(cpu, in);                                                                         \
        s = vec_src_part(cpu, in, sizeof(to_type) / sizeof(from_type));                            \
        for (unsigned i = 0; i < vec_bytes(in) / sizeof r.to[0]; i++)                              \
            r.to[i] = (to_type)(from_type)s.from[i];                                               \
        vec_result(cpu, in, &r);                                                                   \
    }                                                                                              \
    VEC_OPS(sse_##name)

SSE_WIDEN(pmovsxbw, b, s8, w, u16);
SSE_WIDEN(pmovsxbd, b, s8, d, u32);
SSE_WIDEN(pmovsxbq, b, s8, q, u64);
SSE_WIDEN(pmovsxwd, w, s16, d, u32);
SSE_WIDEN(pmovsxwq, w, s16, q, u64);
SSE_WIDEN(pmovsxdq, d, s32, q, u64);
SSE_WIDEN(pmovzxbw, b, u8, w, u16);
SSE_WIDEN(pmovzxbd, b, u8, d, u32);
SSE_WIDEN(pmovzxbq, b, u8, q, u64);
SSE_WIDEN(pmovzxwd, w, u16, d, u32);
SSE_WIDEN(pmovzxwq, w, u16, q, u64);
SSE_WIDEN(pmovzxdq, d, u32, q, u64);

/* ---- blends: element i of s where the mask says so ------------------------------------------- */

/* `mask` is XMM0, or in VEX rows the register of the immediate. An immediate's bits serve for eight
 * elements: both lanes of VPBLENDW have the same ones. */
#define SSE_BLEND(name, field, take)                                                               \
    VEC_WORKER sse_##name(struct cpu *cpu, const struct insn *in)                                  \
    {                                                                                              \
        const unsigned imm = (u8)in->imm;                                                          \
        const union vec *mask = &cpu->vec[in->vex ? imm & 15 : 0];                                 \
        union vec s, r;                                                                            \
        vec_gate(cpu, in);                                                                         \
        s = vec_src(cpu, in);                                                                      \
        r = cpu->vec[in->vvvv];                                                                    \
        for (unsigned i = 0; i < vec_bytes(in) / sizeof r.field[0]; i++)                           \
            if (take)                                                                              \
                r.field[i] = s.field[i];                                                           \
        vec_result(cpu, in, &r);                                                                   \
        (void)mask;                                                                                \
    }                                                                                              \
    VEC_OPS(sse_##name)

SSE_BLEND(blendps, d, imm >> i & 1); /* and VPBLENDD */
SSE_BLEND(blendpd, q, imm >> i & 1);
SSE_BLEND(pblendw, w, imm >> (i & 7) & 1);
SSE_BLEND(pblendvb, b, mask->b[i] >> 7);
SSE_BLEND(blendvps, d, mask->d[i] >> 31);
SSE_BLEND(blendvpd, q, mask->q[i] >> 63);

/* ---- insert and extract ---------------------------------------------------------------------- */

static void sse_pinsrb(struct cpu *cpu, const struct insn *in)
{
    u8 v;
    vec_gate(cpu, in);
    v = in->mem ? mem_read8(cpu, in, mem_addr(cpu, in, 1, ACCESS_READ)) : (u8)reg32(cpu, in->rm);
    scalar_dst(cpu, in)->b[in->imm & 15] = v;
}
VEC_OPS(sse_pinsrb);

/* PINSRD; PINSRQ with REX.W */
static void sse_pinsrd(struct cpu *cpu, const struct insn *in)
{
    unsigned size = in->osz;
    u64 v;
    vec_gate(cpu, in);
    v = get_rm(cpu, in, size);
    if (size == 8)
        scalar_dst(cpu, in)->q[in->imm & 1] = v;
    else
        scalar_dst(cpu, in)->d[in->imm & 3] = (u32)v;
}
VEC_OPS(sse_pinsrd);

static void sse_pextrb(struct cpu *cpu, const struct insn *in)
{
    u8 v = cpu->vec[in->reg].b[in->imm & 15];
    vec_gate(cpu, in);
    if (in->mem)
        mem_write8(cpu, in, mem_addr(cpu, in, 1, ACCESS_WRITE), v);
    else
        set_reg32(cpu, in->rm, v);
}
VEC_OPS(sse_pextrb);

/* PEXTRW RdMw, Vdq, Ib: the form of SSE4.1 */
static void sse_pextrw_store(struct cpu *cpu, const struct insn *in)
{
    u16 v = cpu->vec[in->reg].w[in->imm & 7];
    vec_gate(cpu, in);
    if (in->mem)
        mem_write16(cpu, in, mem_addr(cpu, in, 2, ACCESS_WRITE), v);
    else
        set_reg32(cpu, in->rm, v);
}
VEC_OPS(sse_pextrw_store);

/* PEXTRD; PEXTRQ with REX.W */
static void sse_pextrd(struct cpu *cpu, const struct insn *in)
{
    unsigned size = in->osz;
    const union vec *s = &cpu->vec[in->reg];
    vec_gate(cpu, in);
    set_rm(cpu, in, size == 8 ? s->q[in->imm & 1] : s->d[in->imm & 3], size);
}
VEC_OPS(sse_pextrd);

static void sse_extractps(struct cpu *cpu, const struct insn *in)
{
    u32 v = cpu->vec[in->reg].d[in->imm & 3];
    vec_gate(cpu, in);
    set_rm(cpu, in, v, 4);
}
VEC_OPS(sse_extractps);

/* imm 7:6 source element (registers only), 5:4 destination, 3:0 elements that become zero */
static void sse_insertps(struct cpu *cpu, const struct insn *in)
{
    unsigned imm = (u8)in->imm;
    union vec *d;
    u32 v;
    vec_gate(cpu, in);
    v = in->mem ? xmm_src32(cpu, in) : cpu->vec[in->rm].d[imm >> 6];
    d = scalar_dst(cpu, in);
    d->d[imm >> 4 & 3] = v;
    for (unsigned i = 0; i < 4; i++)
        if (imm >> i & 1)
            d->d[i] = 0;
}
VEC_OPS(sse_insertps);

/* ---- others ---------------------------------------------------------------------------------- */

VEC_WORKER sse_ptest(struct cpu *cpu, const struct insn *in)
{
    const union vec *d = &cpu->vec[in->reg];
    union vec s;
    u64 both = 0, only_s = 0;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++) {
        both |= s.q[i] & d->q[i];
        only_s |= s.q[i] & ~d->q[i];
    }
    flags_set(&cpu->flags, (both ? 0 : EFLAGS_ZF) | (only_s ? 0 : EFLAGS_CF));
}
VEC_OPS(sse_ptest);

/* Eight sums of absolute differences of one group of four bytes of s (imm 1:0) with the groups of d
 * that start at bytes 0..7, or 4..11 (imm 2). The upper lane has imm 5:3. */
VEC_WORKER sse_mpsadbw(struct cpu *cpu, const struct insn *in)
{
    const union vec *d = &cpu->vec[in->vvvv];
    union vec s, r;
    vec_gate(cpu, in);
    s = vec_src(cpu, in);
    for (unsigned i = 0; i < vec_bytes(in) / 2; i++) {
        unsigned lane = i & 8, imm = (unsigned)in->imm >> (lane ? 3 : 0);
        unsigned from_d = 2 * lane + (imm & 4) + (i & 7), from_s = 2 * lane + (imm & 3) * 4;
        int sum = 0;
        for (unsigned j = 0; j < 4; j++) {
            int diff = d->b[from_d + j] - s.b[from_s + j];
            sum += diff < 0 ? -diff : diff;
        }
        r.w[i] = (u16)sum;
    }
    vec_result(cpu, in, &r);
}
VEC_OPS(sse_mpsadbw);

static void sse_phminposuw(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    unsigned at = 0;
    vec_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    for (unsigned i = 1; i < 8; i++)
        if (s.w[i] < s.w[at])
            at = i;
    xmm_result(cpu, in, in->reg, (u128)at << 16 | s.w[at]);
}
VEC_OPS(sse_phminposuw);

/* ---- SSE4.2: strings ------------------------------------------------------------------------- */

/* The fields of the immediate. */
#define STR_WORDS BIT(0)
#define STR_SIGNED BIT(1)
#define STR_AGGREGATION(imm) ((imm) >> 2 & 3)
#define STR_NEGATE BIT(4)
#define STR_MASKED BIT(5) /* with STR_NEGATE: only valid elements of operand 2 */
#define STR_HIGH BIT(6)   /* PCMPxSTRI: highest index; PCMPxSTRM: masks of elements */

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

struct str_operand {
    union vec v;
    int len; /* valid elements, 0 to n */
};

static int str_element(const struct str_operand *o, int i, unsigned imm)
{
    if (imm & STR_WORDS)
        return imm & STR_SIGNED ? (s16)o->v.w[i] : o->v.w[i];
    return imm & STR_SIGNED ? (s8)o->v.b[i] : o->v.b[i];
}

static int str_implicit_length(const struct str_operand *o, unsigned imm, int n)
{
    for (int i = 0; i < n; i++)
        if (str_element(o, i, imm) == 0)
            return i;
    return n;
}

/* |EAX| or |RAX|, at most n. */
static int str_explicit_length(u64 reg, bool wide, int n)
{
    s64 len = wide ? (s64)reg : (s32)reg;
    if (len >= n || len <= -n)
        return n;
    return (int)(len < 0 ? -len : len);
}

/* Does b[j] equal one of a's elements, or lie in one of a's ranges? */
static bool str_match_set(const struct str_operand *a, int value, unsigned imm)
{
    if (STR_AGGREGATION(imm) == EQUAL_ANY) {
        for (int i = 0; i < a->len; i++)
            if (str_element(a, i, imm) == value)
                return true;
        return false;
    }
    for (int i = 0; i + 1 < a->len; i += 2)
        if (str_element(a, i, imm) <= value && value <= str_element(a, i + 1, imm))
            return true;
    return false;
}

/* Does a occur in b at j, as far as both are in the registers? */
static bool str_match_at(const struct str_operand *a, const struct str_operand *b, int j, int n,
                         unsigned imm)
{
    for (int i = 0; i < a->len && i + j < n; i++)
        if (i + j >= b->len || str_element(a, i, imm) != str_element(b, i + j, imm))
            return false;
    return true;
}

/* IntRes1. */
static u32 str_aggregate(const struct str_operand *a, const struct str_operand *b, int n,
                         unsigned imm)
{
    u32 res = 0;
    for (int j = 0; j < n; j++) {
        bool bit;
        switch (STR_AGGREGATION(imm)) {
        case EQUAL_EACH:
            bit = j < a->len && j < b->len ? str_element(a, j, imm) == str_element(b, j, imm)
                                           : j >= a->len && j >= b->len;
            break;
        case EQUAL_ORDERED: bit = str_match_at(a, b, j, n, imm); break;
        default: bit = j < b->len && str_match_set(a, str_element(b, j, imm), imm); break;
        }
        res |= (u32)bit << j;
    }
    return res;
}

/* Compares, sets the flags, returns IntRes2. */
__attribute__((noinline)) static u32 str_compare(struct cpu *cpu, const struct insn *in,
                                                 bool explicit_lengths, int n)
{
    unsigned imm = (u8)in->imm;
    struct str_operand a, b;
    u32 all = BIT(n) - 1, res;
    b.v = vec_from(xmm_src(cpu, in, FORM_ANY, false));
    a.v = cpu->vec[in->reg];
    if (explicit_lengths) {
        bool wide = in->pfx & PFX_W && cpu_in_code64(cpu);
        a.len = str_explicit_length(cpu->gpr[RAX], wide, n);
        b.len = str_explicit_length(cpu->gpr[RDX], wide, n);
    } else {
        a.len = str_implicit_length(&a, imm, n);
        b.len = str_implicit_length(&b, imm, n);
    }
    res = str_aggregate(&a, &b, n, imm);
    if (imm & STR_NEGATE)
        res ^= imm & STR_MASKED ? BIT(b.len) - 1 : all;
    flags_set(&cpu->flags, (res ? EFLAGS_CF : 0) | (b.len < n ? EFLAGS_ZF : 0) |
                               (a.len < n ? EFLAGS_SF : 0) | (res & 1 ? EFLAGS_OF : 0));
    return res;
}

static inline void str_index(struct cpu *cpu, const struct insn *in, bool explicit_lengths)
{
    int n = in->imm & STR_WORDS ? 8 : 16;
    u32 res;
    vec_gate(cpu, in);
    res = str_compare(cpu, in, explicit_lengths, n);
    if (!res)
        set_reg32(cpu, RCX, (u32)n);
    else
        set_reg32(cpu, RCX,
                  (u32)(in->imm & STR_HIGH ? 31 - __builtin_clz(res) : __builtin_ctz(res)));
}

static inline void str_mask(struct cpu *cpu, const struct insn *in, bool explicit_lengths)
{
    int n = in->imm & STR_WORDS ? 8 : 16;
    u32 res;
    u128 mask = 0;
    vec_gate(cpu, in);
    res = str_compare(cpu, in, explicit_lengths, n);
    if (!(in->imm & STR_HIGH)) {
        xmm_result(cpu, in, 0, res);
        return;
    }
    for (int i = 0; i < n; i++)
        if (res >> i & 1)
            mask |= (u128)mask64(128u / n) << (128 / n * i);
    xmm_result(cpu, in, 0, mask);
}

static void sse_pcmpestri(struct cpu *cpu, const struct insn *in)
{
    str_index(cpu, in, true);
}
VEC_OPS(sse_pcmpestri);

static void sse_pcmpistri(struct cpu *cpu, const struct insn *in)
{
    str_index(cpu, in, false);
}
VEC_OPS(sse_pcmpistri);

static void sse_pcmpestrm(struct cpu *cpu, const struct insn *in)
{
    str_mask(cpu, in, true);
}
VEC_OPS(sse_pcmpestrm);

static void sse_pcmpistrm(struct cpu *cpu, const struct insn *in)
{
    str_mask(cpu, in, false);
}
VEC_OPS(sse_pcmpistrm);
