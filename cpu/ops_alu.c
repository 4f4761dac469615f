/*
 * ops_alu.c: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT.
 *
 * Intel SDM vol. 2, the instructions' pages; AF and the other flags exactly as vol. 1, 3.4.3.1.
 * The flags that TEST and the logical instructions leave undefined (AF) are cleared, as Intel and
 * AMD processors do.
 *
 * Not here: shifts (ops_shift.c), multiplication (ops_muldiv.c), bit tests (ops_bit.c), CMPXCHG and
 * XADD (ops_xchg.c).
 */
#include "cpu/ops_int.h"

/* ---- what the instructions do ---------------------------------------------------------------- */

/* Each returns the result, with garbage above `bits`, and sets the flags unless they are dead. */

static inline u64 alu_add(struct flags *f, u64 a, u64 b, unsigned bits, bool live)
{
    u64 res = a + b;
    if (live)
        flags_add(f, a, b, res, bits);
    return res;
}

static inline u64 alu_adc(struct flags *f, u64 a, u64 b, unsigned bits, bool live)
{
    u64 res = a + b + flag_c(f);
    if (live)
        flags_add(f, a, b, res, bits);
    return res;
}

static inline u64 alu_sub(struct flags *f, u64 a, u64 b, unsigned bits, bool live)
{
    u64 res = a - b;
    if (live)
        flags_sub(f, a, b, res, bits);
    return res;
}

static inline u64 alu_sbb(struct flags *f, u64 a, u64 b, unsigned bits, bool live)
{
    u64 res = a - b - flag_c(f);
    if (live)
        flags_sub(f, a, b, res, bits);
    return res;
}

static inline u64 alu_and(struct flags *f, u64 a, u64 b, unsigned bits, bool live)
{
    if (live)
        flags_logic(f, a & b, bits);
    return a & b;
}

static inline u64 alu_or(struct flags *f, u64 a, u64 b, unsigned bits, bool live)
{
    if (live)
        flags_logic(f, a | b, bits);
    return a | b;
}

static inline u64 alu_xor(struct flags *f, u64 a, u64 b, unsigned bits, bool live)
{
    if (live)
        flags_logic(f, a ^ b, bits);
    return a ^ b;
}

/* INC and DEC keep CF: both carry bits become the old CF, which also clears OF. */
static inline u64 carries_kept(const struct flags *f)
{
    return (u64)((s64)f->aux >> 1) & (AUX_CF | AUX_PO);
}

/* The second operand of the unary instructions is not used. */
static inline u64 alu_inc(struct flags *f, u64 a, u64 unused, unsigned bits, bool live)
{
    u64 res = a + 1;
    (void)unused;
    if (live) {
        bool overflow = (res & mask64(bits)) == BIT64(bits - 1);
        f->aux = (carries_kept(f) ^ (u64)overflow << 62) | ((res & 15) == 0 ? AUX_AF : 0);
        f->res = sext(res, bits);
    }
    return res;
}

static inline u64 alu_dec(struct flags *f, u64 a, u64 unused, unsigned bits, bool live)
{
    u64 res = a - 1;
    (void)unused;
    if (live) {
        bool overflow = (res & mask64(bits)) == mask64(bits - 1);
        f->aux = (carries_kept(f) ^ (u64)overflow << 62) | ((res & 15) == 15 ? AUX_AF : 0);
        f->res = sext(res, bits);
    }
    return res;
}

static inline u64 alu_neg(struct flags *f, u64 a, u64 unused, unsigned bits, bool live)
{
    (void)unused;
    return alu_sub(f, 0, a, bits, live);
}

static inline u64 alu_not(struct flags *f, u64 a, u64 unused, unsigned bits, bool live)
{
    (void)f;
    (void)unused;
    (void)bits;
    (void)live;
    return ~a;
}

/* ---- destination in a register or in memory -------------------------------------------------- */

#define SRC_eg(bits) reg##bits(cpu, in->reg)
#define SRC_ei(bits) (u64)(s64) in->imm
#define SRC_e(bits) 0

/* Read, operate, write back at `va`. */
#define ALU_RMW(op, bits)                                                                          \
    static NOINLINE void op##_slow##bits(struct cpu *cpu, const struct insn *in, gva_t va, u64 b)  \
    {                                                                                              \
        struct mem_rmw m;                                                                          \
        struct flags before = cpu->flags;                                                          \
        do {                                                                                       \
            void *p = mem_rmw(cpu, in, va, bits / 8, &m);                                          \
            cpu->flags = before;                                                                   \
            mem_st(p, alu_##op(&cpu->flags, mem_ld(p, bits / 8), b, bits, true), bits / 8);        \
        } while (!mem_rmw_end(cpu, in, &m));                                                       \
    }                                                                                              \
    static inline void op##_rmw##bits(struct cpu *cpu, const struct insn *in, gva_t va, u64 b,     \
                                      bool live)                                                   \
    {                                                                                              \
        u8 *p = mem_fast_w(cpu, va, bits / 8);                                                     \
        if (unlikely(!p))                                                                          \
            op##_slow##bits(cpu, in, va, b);                                                       \
        else                                                                                       \
            mem_st(p, alu_##op(&cpu->flags, mem_ld(p, bits / 8), b, bits, live), bits / 8);        \
    }

/* E is the destination: form eg (source G), ei (immediate) or e (none). */
#define ALU_DST_E(op, form, bits)                                                                  \
    HANDLER(op##_##form##_r##bits)                                                                 \
    {                                                                                              \
        u64 a = reg##bits(cpu, in->rm);                                                            \
        set_reg##bits(cpu, in->rm, (u##bits)alu_##op(&cpu->flags, a, SRC_##form(bits), bits, 1));  \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_rn##bits)                                                                \
    {                                                                                              \
        u64 a = reg##bits(cpu, in->rm);                                                            \
        set_reg##bits(cpu, in->rm, (u##bits)alu_##op(&cpu->flags, a, SRC_##form(bits), bits, 0));  \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_m##bits)                                                                 \
    {                                                                                              \
        op##_rmw##bits(cpu, in, ea_flat(cpu, in), SRC_##form(bits), true);                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_mn##bits)                                                                \
    {                                                                                              \
        op##_rmw##bits(cpu, in, ea_flat(cpu, in), SRC_##form(bits), false);                        \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_s##bits)                                                                 \
    {                                                                                              \
        gva_t va = mem_addr(cpu, in, bits / 8, ACCESS_WRITE);                                      \
        op##_rmw##bits(cpu, in, va, SRC_##form(bits), true);                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_l##bits)                                                                 \
    {                                                                                              \
        gva_t va = mem_addr(cpu, in, bits / 8, ACCESS_WRITE);                                      \
        op##_slow##bits(cpu, in, va, SRC_##form(bits));                                            \
        NEXT;                                                                                      \
    }

/* G is the destination, E the source. */
#define ALU_DST_G(op, variant, bits, source, live)                                                 \
    HANDLER(op##_ge_##variant##bits)                                                               \
    {                                                                                              \
        u64 b = source;                                                                            \
        u64 a = reg##bits(cpu, in->reg);                                                           \
        set_reg##bits(cpu, in->reg, (u##bits)alu_##op(&cpu->flags, a, b, bits, live));             \
        NEXT;                                                                                      \
    }

#define MEM_SRC(addr, bits) mem_read##bits(cpu, in, addr(bits, ACCESS_READ))

#define ALU_BINARY_SIZE(op, bits)                                                                  \
    ALU_RMW(op, bits)                                                                              \
    ALU_DST_E(op, eg, bits)                                                                        \
    ALU_DST_E(op, ei, bits)                                                                        \
    ALU_DST_G(op, r, bits, reg##bits(cpu, in->rm), true)                                           \
    ALU_DST_G(op, rn, bits, reg##bits(cpu, in->rm), false)                                         \
    ALU_DST_G(op, m, bits, MEM_SRC(ADDR_m, bits), true)                                            \
    ALU_DST_G(op, mn, bits, MEM_SRC(ADDR_m, bits), false)                                          \
    ALU_DST_G(op, s, bits, MEM_SRC(ADDR_s, bits), true)

#define ALU_OPS(op, form)                                                                          \
    const struct insn_ops ops_##op##_##form = {                                                    \
        .r = SIZES_8_64(op##_##form##_r),                                                          \
        .m = SIZES_8_64(op##_##form##_m),                                                          \
        .s = SIZES_8_64(op##_##form##_s),                                                          \
        .rn = SIZES_8_64(op##_##form##_rn),                                                        \
        .mn = SIZES_8_64(op##_##form##_mn),                                                        \
    };

#define ALU_OPS_TO_E(op, form)                                                                     \
    const struct insn_ops ops_##op##_##form = {                                                    \
        .r = SIZES_8_64(op##_##form##_r),                                                          \
        .m = SIZES_8_64(op##_##form##_m),                                                          \
        .s = SIZES_8_64(op##_##form##_s),                                                          \
        .rn = SIZES_8_64(op##_##form##_rn),                                                        \
        .mn = SIZES_8_64(op##_##form##_mn),                                                        \
        .l = SIZES_8_64(op##_##form##_l),                                                          \
    };

#define ALU_BINARY(op)                                                                             \
    ALU_BINARY_SIZE(op, 8)                                                                         \
    ALU_BINARY_SIZE(op, 16)                                                                        \
    ALU_BINARY_SIZE(op, 32)                                                                        \
    ALU_BINARY_SIZE(op, 64)                                                                        \
    ALU_OPS_TO_E(op, eg)                                                                           \
    ALU_OPS(op, ge)                                                                                \
    ALU_OPS_TO_E(op, ei)

ALU_BINARY(add)
ALU_BINARY(or)
ALU_BINARY(adc)
ALU_BINARY(sbb)
ALU_BINARY(and)
ALU_BINARY(sub)
ALU_BINARY(xor)

#define ALU_UNARY_SIZE(op, bits)                                                                   \
    ALU_RMW(op, bits)                                                                              \
    ALU_DST_E(op, e, bits)

#define ALU_UNARY(op)                                                                              \
    ALU_UNARY_SIZE(op, 8)                                                                          \
    ALU_UNARY_SIZE(op, 16)                                                                         \
    ALU_UNARY_SIZE(op, 32)                                                                         \
    ALU_UNARY_SIZE(op, 64)                                                                         \
    ALU_OPS_TO_E(op, e)

ALU_UNARY(inc)
ALU_UNARY(dec)
ALU_UNARY(neg)
ALU_UNARY(not )

/* ---- CMP and TEST: no destination ------------------------------------------------------------ */

#define ALU_COMPARE(name, op, variant, bits, first, second, live)                                  \
    HANDLER(name##_##variant##bits)                                                                \
    {                                                                                              \
        u64 a = first;                                                                             \
        alu_##op(&cpu->flags, a, second, bits, live);                                              \
        NEXT;                                                                                      \
    }

/* E is the first operand. With dead flags the memory access remains: it may fault. */
#define ALU_COMPARE_E(name, op, form, bits)                                                        \
    ALU_COMPARE(name##_##form, op, r, bits, reg##bits(cpu, in->rm), SRC_##form(bits), true)        \
    ALU_COMPARE(name##_##form, op, m, bits, MEM_SRC(ADDR_m, bits), SRC_##form(bits), true)         \
    ALU_COMPARE(name##_##form, op, s, bits, MEM_SRC(ADDR_s, bits), SRC_##form(bits), true)         \
    ALU_COMPARE(name##_##form, op, rn, bits, 0, 0, false)                                          \
    ALU_COMPARE(name##_##form, op, mn, bits, MEM_SRC(ADDR_m, bits), 0, false)

#define ALU_COMPARE_FORM(name, op, form)                                                           \
    ALU_COMPARE_E(name, op, form, 8)                                                               \
    ALU_COMPARE_E(name, op, form, 16)                                                              \
    ALU_COMPARE_E(name, op, form, 32)                                                              \
    ALU_COMPARE_E(name, op, form, 64)                                                              \
    ALU_OPS(name, form)

ALU_COMPARE_FORM(cmp, sub, eg)
ALU_COMPARE_FORM(cmp, sub, ei)
ALU_COMPARE_FORM(test, and, eg)
ALU_COMPARE_FORM(test, and, ei)

#define CMP_GE(bits)                                                                               \
    ALU_COMPARE(cmp_ge, sub, r, bits, reg##bits(cpu, in->reg), reg##bits(cpu, in->rm), true)       \
    ALU_COMPARE(cmp_ge, sub, m, bits, reg##bits(cpu, in->reg), MEM_SRC(ADDR_m, bits), true)        \
    ALU_COMPARE(cmp_ge, sub, s, bits, reg##bits(cpu, in->reg), MEM_SRC(ADDR_s, bits), true)        \
    ALU_COMPARE(cmp_ge, sub, rn, bits, 0, 0, false)                                                \
    ALU_COMPARE(cmp_ge, sub, mn, bits, 0, MEM_SRC(ADDR_m, bits), false)

CMP_GE(8)
CMP_GE(16)
CMP_GE(32)
CMP_GE(64)
ALU_OPS(cmp, ge)
