/*
 * ops_shift.c: ROL, ROR, RCL, RCR, SHL, SHR, SAR, SHLD, SHRD.
 *
 * Intel SDM vol. 2. The count is masked to 5 bits (6 with 64-bit operands); a masked count of 0
 * changes no flag, though a 32-bit register destination still loses bits 63:32. OF is defined for a
 * count of 1 only; for others it follows the same formula of the result, as processors do.
 * SHLD and SHRD of 16 bits by more than 16, undefined, shift the source in once more and clear CF,
 * as AMD processors do.
 *
 * Not here: the flagless shifts of BMI2 (ops_bmi.c).
 */
#include "cpu/ops_int.h"

/* AF is undefined after shifts. Set, as AMD's processors leave it, so that both engines agree where
 * the translator lets such a host compute it. */
static inline void shift_flags(struct flags *f, u64 res, bool c, bool o, unsigned bits)
{
    flags_result_co(f, res, c, o, bits);
    f->aux |= AUX_AF;
}

/* ---- what the instructions do ---------------------------------------------------------------- */

/* The top bit, and the one below it, of a `bits` wide value. */
static inline bool top(u64 v, unsigned bits)
{
    return (v >> (bits - 1)) & 1;
}

static inline bool below_top(u64 v, unsigned bits)
{
    return (v >> (bits - 2)) & 1;
}

/* `a` is zero-extended, n is 1 to 31 (63); results have garbage above `bits`. */

static inline u64 shift_shl(struct flags *f, u64 a, unsigned n, unsigned bits, bool live)
{
    u64 res = a << n;
    if (live) {
        bool c = top(a << (n - 1), bits);
        shift_flags(f, res, c, c ^ top(res, bits), bits);
    }
    return res;
}

static inline u64 shift_shr(struct flags *f, u64 a, unsigned n, unsigned bits, bool live)
{
    u64 res = a >> n;
    if (live)
        shift_flags(f, res, (a >> (n - 1)) & 1, top(res, bits) ^ below_top(res, bits), bits);
    return res;
}

static inline u64 shift_sar(struct flags *f, u64 a, unsigned n, unsigned bits, bool live)
{
    s64 s = (s64)sext(a, bits);
    u64 res = (u64)(s >> n);
    if (live)
        shift_flags(f, res, (s >> (n - 1)) & 1, false, bits);
    return res;
}

static inline u64 shift_rol(struct flags *f, u64 a, unsigned n, unsigned bits, bool live)
{
    unsigned k = n & (bits - 1);
    u64 res = k ? a << k | a >> (bits - k) : a;
    if (live)
        flags_set_co(f, res & 1, (res & 1) ^ top(res, bits));
    return res;
}

static inline u64 shift_ror(struct flags *f, u64 a, unsigned n, unsigned bits, bool live)
{
    unsigned k = n & (bits - 1);
    u64 res = k ? a >> k | a << (bits - k) : a;
    if (live)
        flags_set_co(f, top(res, bits), top(res, bits) ^ below_top(res, bits));
    return res;
}

/* RCL and RCR rotate bits + 1 positions: counts go modulo 9 and 17 for the small sizes. */
static inline u64 shift_rcl(struct flags *f, u64 a, unsigned n, unsigned bits, bool live)
{
    u64 c = flag_c(f), res;
    n %= bits + 1;
    if (n == 0)
        return a;
    res = a << n | c << (n - 1) | (n > 1 ? a >> (bits + 1 - n) : 0);
    if (live) {
        bool out = (a >> (bits - n)) & 1;
        flags_set_co(f, out, out ^ top(res, bits));
    }
    return res;
}

static inline u64 shift_rcr(struct flags *f, u64 a, unsigned n, unsigned bits, bool live)
{
    u64 c = flag_c(f), res;
    n %= bits + 1;
    if (n == 0)
        return a;
    res = a >> n | c << (bits - n) | (n > 1 ? a << (bits + 1 - n) : 0);
    if (live)
        flags_set_co(f, (a >> (n - 1)) & 1, top(res, bits) ^ below_top(res, bits));
    return res;
}

/* ---- handlers -------------------------------------------------------------------------------- */

#define COUNT_MASK(bits) ((bits) == 64 ? 63u : 31u)
#define COUNT_i(bits) ((unsigned)in->imm & COUNT_MASK(bits))
#define COUNT_cl(bits) (reg8(cpu, REG8_CL) & COUNT_MASK(bits))

#define SHIFT_RMW(op, bits)                                                                        \
    static inline u64 op##_by##bits(struct flags *f, u64 a, unsigned n, bool live)                 \
    {                                                                                              \
        return n ? shift_##op(f, a, n, bits, live) : a;                                            \
    }                                                                                              \
    static NOINLINE void op##_slow##bits(struct cpu *cpu, const struct insn *in, gva_t va,         \
                                         unsigned n)                                               \
    {                                                                                              \
        struct mem_rmw m;                                                                          \
        void *p = mem_rmw(cpu, in, va, bits / 8, &m);                                              \
        st_le(p, op##_by##bits(&cpu->flags, ld_le(p, bits / 8), n, true), bits / 8);               \
        mem_rmw_end(cpu, in, &m);                                                                  \
    }                                                                                              \
    static inline void op##_rmw##bits(struct cpu *cpu, const struct insn *in, gva_t va,            \
                                      unsigned n)                                                  \
    {                                                                                              \
        u8 *p = mem_fast_w(cpu, va, bits / 8);                                                     \
        if (unlikely(!p))                                                                          \
            op##_slow##bits(cpu, in, va, n);                                                       \
        else                                                                                       \
            st_le(p, op##_by##bits(&cpu->flags, ld_le(p, bits / 8), n, true), bits / 8);           \
    }

/* Form i: count in the immediate (1 for D0 and D1); form cl: in CL. */
#define SHIFT_FORM(op, form, bits)                                                                 \
    HANDLER(op##_##form##_r##bits)                                                                 \
    {                                                                                              \
        u64 a = reg##bits(cpu, in->rm);                                                            \
        a = op##_by##bits(&cpu->flags, a, COUNT_##form(bits), true);                               \
        set_reg##bits(cpu, in->rm, (u##bits)a);                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_rn##bits)                                                                \
    {                                                                                              \
        u64 a = reg##bits(cpu, in->rm);                                                            \
        a = op##_by##bits(&cpu->flags, a, COUNT_##form(bits), false);                              \
        set_reg##bits(cpu, in->rm, (u##bits)a);                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_m##bits)                                                                 \
    {                                                                                              \
        op##_rmw##bits(cpu, in, ea_flat(cpu, in), COUNT_##form(bits));                             \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_s##bits)                                                                 \
    {                                                                                              \
        gva_t va = mem_addr(cpu, in, bits / 8, ACCESS_WRITE);                                      \
        op##_rmw##bits(cpu, in, va, COUNT_##form(bits));                                           \
        NEXT;                                                                                      \
    }

#define SHIFT_SIZE(op, bits)                                                                       \
    SHIFT_RMW(op, bits)                                                                            \
    SHIFT_FORM(op, i, bits)                                                                        \
    SHIFT_FORM(op, cl, bits)

#define SHIFT_OPS(op, form)                                                                        \
    const struct insn_ops ops_##op##_##form = {                                                    \
        .r = SIZES_8_64(op##_##form##_r),                                                          \
        .m = SIZES_8_64(op##_##form##_m),                                                          \
        .s = SIZES_8_64(op##_##form##_s),                                                          \
        .rn = SIZES_8_64(op##_##form##_rn),                                                        \
    };

#define SHIFT(op)                                                                                  \
    SHIFT_SIZE(op, 8)                                                                              \
    SHIFT_SIZE(op, 16)                                                                             \
    SHIFT_SIZE(op, 32)                                                                             \
    SHIFT_SIZE(op, 64)                                                                             \
    SHIFT_OPS(op, i)                                                                               \
    SHIFT_OPS(op, cl)

SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)

/* ---- SHLD, SHRD ------------------------------------------------------------------------------ */

static u64 double_left(struct flags *f, u64 a, u64 b, unsigned n, unsigned bits)
{
    u64 res;
    bool c;
    if (n == 0)
        return a;
    if (n > bits) { /* 16-bit operands only */
        res = b << (n - 16) | b >> (32 - n);
        c = false;
    } else {
        res = n == bits ? b : a << n | b >> (bits - n);
        c = (a >> (bits - n)) & 1;
    }
    shift_flags(f, res, c, c ^ top(res, bits), bits);
    return res;
}

static u64 double_right(struct flags *f, u64 a, u64 b, unsigned n, unsigned bits)
{
    u64 res;
    bool c;
    if (n == 0)
        return a;
    if (n > bits) {
        res = b >> (n - 16) | b << (32 - n);
        c = false;
    } else {
        res = n == bits ? b : a >> n | b << (bits - n);
        c = (a >> (n - 1)) & 1;
    }
    shift_flags(f, res, c, top(res, bits) ^ below_top(res, bits), bits);
    return res;
}

typedef u64 (*double_shift_fn)(struct flags *f, u64 a, u64 b, unsigned n, unsigned bits);

static NOINLINE void double_shift(struct cpu *cpu, const struct insn *in, double_shift_fn shift,
                                  unsigned count)
{
    unsigned size = in->osz, n = count & COUNT_MASK(size * 8);
    u64 b = reg_get(cpu, in->reg, size);
    if (in->mem) {
        struct mem_rmw m;
        void *p = mem_rmw(cpu, in, mem_addr(cpu, in, size, ACCESS_WRITE), size, &m);
        st_le(p, shift(&cpu->flags, ld_le(p, size), b, n, size * 8), size);
        mem_rmw_end(cpu, in, &m);
    } else {
        u64 a = reg_get(cpu, in->rm, size);
        reg_set(cpu, in->rm, shift(&cpu->flags, a, b, n, size * 8), size);
    }
}

HANDLER(shld_i)
{
    double_shift(cpu, in, double_left, (unsigned)in->imm);
    NEXT;
}

HANDLER(shld_cl)
{
    double_shift(cpu, in, double_left, reg8(cpu, REG8_CL));
    NEXT;
}

HANDLER(shrd_i)
{
    double_shift(cpu, in, double_right, (unsigned)in->imm);
    NEXT;
}

HANDLER(shrd_cl)
{
    double_shift(cpu, in, double_right, reg8(cpu, REG8_CL));
    NEXT;
}

const struct insn_ops ops_shld_i = {.any = shld_i};
const struct insn_ops ops_shld_cl = {.any = shld_cl};
const struct insn_ops ops_shrd_i = {.any = shrd_i};
const struct insn_ops ops_shrd_cl = {.any = shrd_cl};
