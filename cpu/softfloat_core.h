/*
 * softfloat_core.h: the format-independent middle of soft float, shared by softfloat_*.c and
 * x87_trans.c. Others include softfloat.h.
 *
 * Every operand is unpacked to a struct fp whatever its format; operations work on exact or sticky
 * 128-bit significands; sf_round() rounds once, for every format, and is the only place that raises
 * OE, UE and PE.
 */
#pragma once

#include "cpu/softfloat.h"

enum fp_class { FP_ZERO, FP_FINITE, FP_INF, FP_QNAN, FP_SNAN, FP_UNSUPPORTED };

/*
 * FP_FINITE: sig * 2^(exp - 63). As an operand sig has its top bit set; as a result of sf_round it
 * may lack it, which makes it a denormal with exp = emin.
 * NaN: sig is the significand, left-justified as in f80.
 */
struct fp {
    u64 sig;
    s32 exp;
    u8 cls;
    bool sign;
    bool denormal; /* operand came as a denormal: DE */
};

struct fp_format {
    u8 bits; /* of the significand, the integer bit counted */
    bool x87;
    s32 emin, emax;
};

extern const struct fp_format fp_f16, fp_f32, fp_f64, fp_f80;

static inline bool fp_is_nan(struct fp a)
{
    return a.cls == FP_QNAN || a.cls == FP_SNAN;
}

static inline struct fp fp_zero(bool sign)
{
    return (struct fp){.cls = FP_ZERO, .sign = sign};
}

static inline struct fp fp_inf(bool sign)
{
    return (struct fp){.cls = FP_INF, .sign = sign};
}

static inline struct fp fp_default_nan(void)
{
    return (struct fp){.cls = FP_QNAN, .sign = true, .sig = F80_J | F80_QNAN};
}

/* Raises flags; true when one of them is unmasked, so that the operation must stop. */
static inline bool sf_raise(struct sf_ctx *c, unsigned flags)
{
    c->flags |= (u8)flags;
    return flags & ~c->masks & SF_ALL;
}

static inline struct fp sf_invalid(struct sf_ctx *c)
{
    sf_raise(c, SF_IE);
    return fp_default_nan();
}

/* v >> n with every lost bit or-ed into bit 0. */
static inline u128 shift_right_jam(u128 v, unsigned n)
{
    if (n == 0)
        return v;
    if (n > 127)
        return v != 0;
    return (v >> n) | ((v << (128 - n)) != 0);
}

static inline unsigned clz128(u128 v)
{
    u64 hi = (u64)(v >> 64);
    return hi ? (unsigned)__builtin_clzll(hi) : 64 + (unsigned)__builtin_clzll((u64)v);
}

struct fp fp_unpack_f16(f16_t a);
struct fp fp_unpack_f32(const struct sf_ctx *c, f32_t a);
struct fp fp_unpack_f64(const struct sf_ctx *c, f64_t a);
struct fp fp_unpack_f80(struct f80 a);
f16_t fp_pack_f16(struct fp a);
f32_t fp_pack_f32(struct fp a);
f64_t fp_pack_f64(struct fp a);
struct f80 fp_pack_f80(struct fp a);

/* Rounds v * 2^(exp - 127), v not 0 and of any normalisation, to `bits` bits in format f. */
struct fp sf_round(struct sf_ctx *c, const struct fp_format *f, unsigned bits, bool sign, s32 exp,
                   u128 v);

/* The NaN that results from operands of which at least one is a NaN or unsupported; raises IE. */
struct fp fp_propagate(struct sf_ctx *c, const struct fp_format *f, struct fp a, struct fp b);
struct fp fp_propagate1(struct sf_ctx *c, struct fp a);

struct fp fp_add(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                 struct fp b, bool subtract);
struct fp fp_mul(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                 struct fp b);
struct fp fp_div(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                 struct fp b);
struct fp fp_sqrt(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a);
struct fp fp_fma(struct sf_ctx *c, const struct fp_format *f, struct fp a, struct fp b, struct fp d,
                 unsigned neg);
enum sf_order fp_compare(struct sf_ctx *c, struct fp a, struct fp b, bool quiet);
/* Between formats; `denormals`: a denormal operand raises DE. */
struct fp fp_convert(struct sf_ctx *c, const struct fp_format *to, struct fp a, bool denormals);
struct fp fp_round_int(struct sf_ctx *c, struct fp a);
/* To a signed integer of `bits` bits; the indefinite is sign-extended. */
s64 fp_to_int(struct sf_ctx *c, struct fp a, unsigned bits, unsigned rounding);
struct fp fp_from_int(s64 v);
