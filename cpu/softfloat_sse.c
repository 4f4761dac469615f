/*
 * softfloat_sse.c: the half, single and double operations of softfloat.h.
 *
 * Where the host's own arithmetic gives the same bits and the inexact flag can be had exactly, it
 * is used: round to nearest, PE masked, operands and result normal and far from the limits.
 * Everything else goes through softfloat.c. Only IEEE basic operations of C are used, which are
 * correctly rounded on every host with FLT_EVAL_METHOD 0, so results do not depend on the host. No
 * expression has the form a * b + c, which a compiler might contract.
 */
#include "cpu/softfloat_core.h"
#include <float.h>
#include <string.h>

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
#define HOST_ARITHMETIC true
#else
#define HOST_ARITHMETIC false
#endif

/* ---- host shortcuts -------------------------------------------------------------------------- */

static inline float as_float(f32_t a)
{
    float v;
    memcpy(&v, &a, sizeof v);
    return v;
}

static inline double as_double(f64_t a)
{
    double v;
    memcpy(&v, &a, sizeof v);
    return v;
}

static inline f32_t float_bits(float v)
{
    f32_t a;
    memcpy(&a, &v, sizeof a);
    return a;
}

static inline f64_t double_bits(double v)
{
    f64_t a;
    memcpy(&a, &v, sizeof a);
    return a;
}

static inline bool host_mode(const struct sf_ctx *c)
{
    return HOST_ARITHMETIC && c->rounding == SF_NEAREST && (c->masks & SF_PE);
}

/* Exponents so far inside the range that neither the operation nor its error term leaves it. */
static inline bool f32_safe(f32_t a)
{
    return ((a >> 23) & 0xff) - 40 < 176;
}

static inline bool f64_safe(f64_t a)
{
    return ((a >> 52) & 0x7ff) - 200 < 1648;
}

/* Operands whose product, quotient and root are safe too. */
static inline bool f32_safe_factor(f32_t a)
{
    return ((a >> 23) & 0xff) - 70 < 116;
}

static inline bool f64_safe_factor(f64_t a)
{
    return ((a >> 52) & 0x7ff) - 600 < 848;
}

static inline void note_inexact(struct sf_ctx *c, bool inexact)
{
    c->flags |= inexact ? SF_PE : 0;
}

/* PE need not be found out when it is known to be set. */
static inline bool inexact_known(const struct sf_ctx *c)
{
    return (c->flags | c->sticky) & SF_PE;
}

/* Knuth's TwoSum: s + error is a + b exactly. */
static inline f32_t host_add32(struct sf_ctx *c, float a, float b)
{
    float s = a + b;
    if (!inexact_known(c)) {
        float t = s - a;
        note_inexact(c, (a - (s - t)) + (b - t) != 0.0f);
    }
    return float_bits(s);
}

static inline f64_t host_add64(struct sf_ctx *c, double a, double b)
{
    double s = a + b;
    if (!inexact_known(c)) {
        double t = s - a;
        note_inexact(c, (a - (s - t)) + (b - t) != 0.0);
    }
    return double_bits(s);
}

/* The product of two singles is exact in double. */
static inline f32_t host_mul32(struct sf_ctx *c, float a, float b)
{
    double exact = (double)a * (double)b;
    float r = (float)exact;
    note_inexact(c, (double)r != exact);
    return float_bits(r);
}

static inline u64 f64_sig(f64_t a)
{
    return (a & 0xfffffffffffffull) | BIT64(52);
}

/* A product of 53-bit significands is exact when its bits below the upper 53 are zero: it has as
 * many trailing zeros as both together, and 105 or 106 bits. */
static inline f64_t host_mul64(struct sf_ctx *c, f64_t a, f64_t b)
{
    if (!inexact_known(c)) {
        u128 p = (u128)f64_sig(a) * f64_sig(b);
        unsigned low_bits = p >> 105 ? 53 : 52;
        note_inexact(c, (u64)p & ((1ull << low_bits) - 1));
    }
    return double_bits(as_double(a) * as_double(b));
}

/* q is exact when q * b = a, significands shifted to agree. */
static inline f32_t host_div32(struct sf_ctx *c, float a, float b)
{
    float q = a / b;
    note_inexact(c, (double)q * (double)b != (double)a);
    return float_bits(q);
}

static inline f64_t host_div64(struct sf_ctx *c, f64_t a, f64_t b)
{
    f64_t q = double_bits(as_double(a) / as_double(b));
    if (!inexact_known(c)) {
        u128 p = (u128)f64_sig(q) * f64_sig(b);
        u128 whole = (u128)f64_sig(a) << 52;
        note_inexact(c, p != whole && p != whole << 1);
    }
    return q;
}

static inline f32_t host_sqrt32(struct sf_ctx *c, float a)
{
    float r = __builtin_sqrtf(a);
    note_inexact(c, (double)r * (double)r != (double)a);
    return float_bits(r);
}

static inline f64_t host_sqrt64(struct sf_ctx *c, f64_t a)
{
    f64_t r = double_bits(__builtin_sqrt(as_double(a)));
    if (!inexact_known(c)) {
        u128 p = (u128)f64_sig(r) * f64_sig(r);
        u128 whole = (u128)f64_sig(a) << 52;
        note_inexact(c, p != whole && p != whole << 1);
    }
    return r;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* a sum that cancels to less than safe, or to zero, is still exact and its sign +0 in this mode */
f32_t f32_add(struct sf_ctx *c, f32_t a, f32_t b)
{
    if (likely(host_mode(c) && f32_safe(a) && f32_safe(b)))
        return host_add32(c, as_float(a), as_float(b));
    return fp_pack_f32(fp_add(c, &fp_f32, 24, fp_unpack_f32(c, a), fp_unpack_f32(c, b), false));
}

f32_t f32_sub(struct sf_ctx *c, f32_t a, f32_t b)
{
    if (likely(host_mode(c) && f32_safe(a) && f32_safe(b)))
        return host_add32(c, as_float(a), -as_float(b));
    return fp_pack_f32(fp_add(c, &fp_f32, 24, fp_unpack_f32(c, a), fp_unpack_f32(c, b), true));
}

f64_t f64_add(struct sf_ctx *c, f64_t a, f64_t b)
{
    if (likely(host_mode(c) && f64_safe(a) && f64_safe(b)))
        return host_add64(c, as_double(a), as_double(b));
    return fp_pack_f64(fp_add(c, &fp_f64, 53, fp_unpack_f64(c, a), fp_unpack_f64(c, b), false));
}

f64_t f64_sub(struct sf_ctx *c, f64_t a, f64_t b)
{
    if (likely(host_mode(c) && f64_safe(a) && f64_safe(b)))
        return host_add64(c, as_double(a), -as_double(b));
    return fp_pack_f64(fp_add(c, &fp_f64, 53, fp_unpack_f64(c, a), fp_unpack_f64(c, b), true));
}

f32_t f32_mul(struct sf_ctx *c, f32_t a, f32_t b)
{
    if (likely(host_mode(c) && f32_safe_factor(a) && f32_safe_factor(b)))
        return host_mul32(c, as_float(a), as_float(b));
    return fp_pack_f32(fp_mul(c, &fp_f32, 24, fp_unpack_f32(c, a), fp_unpack_f32(c, b)));
}

f64_t f64_mul(struct sf_ctx *c, f64_t a, f64_t b)
{
    if (likely(host_mode(c) && f64_safe_factor(a) && f64_safe_factor(b)))
        return host_mul64(c, a, b);
    return fp_pack_f64(fp_mul(c, &fp_f64, 53, fp_unpack_f64(c, a), fp_unpack_f64(c, b)));
}

f32_t f32_div(struct sf_ctx *c, f32_t a, f32_t b)
{
    if (likely(host_mode(c) && f32_safe_factor(a) && f32_safe_factor(b)))
        return host_div32(c, as_float(a), as_float(b));
    return fp_pack_f32(fp_div(c, &fp_f32, 24, fp_unpack_f32(c, a), fp_unpack_f32(c, b)));
}

f64_t f64_div(struct sf_ctx *c, f64_t a, f64_t b)
{
    if (likely(host_mode(c) && f64_safe_factor(a) && f64_safe_factor(b)))
        return host_div64(c, a, b);
    return fp_pack_f64(fp_div(c, &fp_f64, 53, fp_unpack_f64(c, a), fp_unpack_f64(c, b)));
}

f32_t f32_sqrt(struct sf_ctx *c, f32_t a)
{
    if (likely(host_mode(c) && f32_safe(a) && !(a >> 31)))
        return host_sqrt32(c, as_float(a));
    return fp_pack_f32(fp_sqrt(c, &fp_f32, 24, fp_unpack_f32(c, a)));
}

f64_t f64_sqrt(struct sf_ctx *c, f64_t a)
{
    if (likely(host_mode(c) && f64_safe(a) && !(a >> 63)))
        return host_sqrt64(c, a);
    return fp_pack_f64(fp_sqrt(c, &fp_f64, 53, fp_unpack_f64(c, a)));
}

f32_t f32_fma(struct sf_ctx *c, f32_t a, f32_t b, f32_t d, unsigned neg)
{
    return fp_pack_f32(
        fp_fma(c, &fp_f32, fp_unpack_f32(c, a), fp_unpack_f32(c, b), fp_unpack_f32(c, d), neg));
}

f64_t f64_fma(struct sf_ctx *c, f64_t a, f64_t b, f64_t d, unsigned neg)
{
    return fp_pack_f64(
        fp_fma(c, &fp_f64, fp_unpack_f64(c, a), fp_unpack_f64(c, b), fp_unpack_f64(c, d), neg));
}

/* ---- comparison ------------------------------------------------------------------------------ */

enum sf_order f32_compare(struct sf_ctx *c, f32_t a, f32_t b, bool quiet)
{
    return fp_compare(c, fp_unpack_f32(c, a), fp_unpack_f32(c, b), quiet);
}

enum sf_order f64_compare(struct sf_ctx *c, f64_t a, f64_t b, bool quiet)
{
    return fp_compare(c, fp_unpack_f64(c, a), fp_unpack_f64(c, b), quiet);
}

/* MINSS returns its source as it is, but a denormal that DAZ made a zero comes back as that zero.
 */
static f32_t daz32(const struct sf_ctx *c, f32_t a)
{
    return c->daz && !(a & 0x7f800000u) ? a & 0x80000000u : a;
}

static f64_t daz64(const struct sf_ctx *c, f64_t a)
{
    return c->daz && !(a & 0x7ff0000000000000ull) ? a & BIT64(63) : a;
}

f32_t f32_min(struct sf_ctx *c, f32_t a, f32_t b)
{
    return daz32(c, f32_compare(c, a, b, false) == SF_LESS ? a : b);
}

f32_t f32_max(struct sf_ctx *c, f32_t a, f32_t b)
{
    return daz32(c, f32_compare(c, a, b, false) == SF_GREATER ? a : b);
}

f64_t f64_min(struct sf_ctx *c, f64_t a, f64_t b)
{
    return daz64(c, f64_compare(c, a, b, false) == SF_LESS ? a : b);
}

f64_t f64_max(struct sf_ctx *c, f64_t a, f64_t b)
{
    return daz64(c, f64_compare(c, a, b, false) == SF_GREATER ? a : b);
}

/* A predicate of CMPPS (SDM vol. 2A table 3-1) as the set of orders for which it is true. */
#define ORDER_BIT(o) BIT((o) + 1)
#define LT ORDER_BIT(SF_LESS)
#define EQ ORDER_BIT(SF_EQUAL)
#define GT ORDER_BIT(SF_GREATER)
#define UN ORDER_BIT(SF_UNORDERED)

static const u8 predicate_true[16] = {
    EQ,      LT,      LT | EQ,      UN, LT | GT | UN, EQ | GT | UN, GT | UN, LT | EQ | GT,
    EQ | UN, LT | UN, LT | EQ | UN, 0,  LT | GT,      EQ | GT,      GT,      LT | EQ | GT | UN,
};

/* LT, LE, NLT, NLE, NGE, NGT, GE, GT signal for QNaNs, the others do not; bit 4 turns that round.
 */
static bool predicate_quiet(unsigned predicate)
{
    return (BIT(predicate & 15) & 0x9999u) ? !(predicate & 16) : (predicate & 16) != 0;
}

bool f32_predicate(struct sf_ctx *c, f32_t a, f32_t b, unsigned predicate)
{
    enum sf_order o = f32_compare(c, a, b, predicate_quiet(predicate));
    return predicate_true[predicate & 15] & ORDER_BIT(o);
}

bool f64_predicate(struct sf_ctx *c, f64_t a, f64_t b, unsigned predicate)
{
    enum sf_order o = f64_compare(c, a, b, predicate_quiet(predicate));
    return predicate_true[predicate & 15] & ORDER_BIT(o);
}

/* ---- conversion ------------------------------------------------------------------------------ */

f64_t f32_to_f64(struct sf_ctx *c, f32_t a)
{
    if (likely(HOST_ARITHMETIC && f32_safe(a)))
        return double_bits((double)as_float(a));
    return fp_pack_f64(fp_convert(c, &fp_f64, fp_unpack_f32(c, a), true));
}

f32_t f64_to_f32(struct sf_ctx *c, f64_t a)
{
    return fp_pack_f32(fp_convert(c, &fp_f32, fp_unpack_f64(c, a), true));
}

f32_t f16_to_f32(struct sf_ctx *c, f16_t a)
{
    return fp_pack_f32(fp_convert(c, &fp_f32, fp_unpack_f16(a), false));
}

f16_t f32_to_f16(struct sf_ctx *c, f32_t a)
{
    return fp_pack_f16(fp_convert(c, &fp_f16, fp_unpack_f32(c, a), true));
}

static unsigned int_rounding(const struct sf_ctx *c, bool truncate)
{
    return truncate ? SF_ZERO : c->rounding;
}

s32 f32_to_s32(struct sf_ctx *c, f32_t a, bool truncate)
{
    return (s32)fp_to_int(c, fp_unpack_f32(c, a), 32, int_rounding(c, truncate));
}

s64 f32_to_s64(struct sf_ctx *c, f32_t a, bool truncate)
{
    return fp_to_int(c, fp_unpack_f32(c, a), 64, int_rounding(c, truncate));
}

s32 f64_to_s32(struct sf_ctx *c, f64_t a, bool truncate)
{
    return (s32)fp_to_int(c, fp_unpack_f64(c, a), 32, int_rounding(c, truncate));
}

s64 f64_to_s64(struct sf_ctx *c, f64_t a, bool truncate)
{
    return fp_to_int(c, fp_unpack_f64(c, a), 64, int_rounding(c, truncate));
}

f32_t f32_from_s32(struct sf_ctx *c, s32 v)
{
    return f32_from_s64(c, v);
}

f32_t f32_from_s64(struct sf_ctx *c, s64 v)
{
    return fp_pack_f32(fp_convert(c, &fp_f32, fp_from_int(v), false));
}

f64_t f64_from_s32(struct sf_ctx *c, s32 v)
{
    return HOST_ARITHMETIC ? double_bits((double)v) : f64_from_s64(c, v);
}

f64_t f64_from_s64(struct sf_ctx *c, s64 v)
{
    return fp_pack_f64(fp_convert(c, &fp_f64, fp_from_int(v), false));
}

f32_t f32_round_int(struct sf_ctx *c, f32_t a)
{
    return fp_pack_f32(fp_round_int(c, fp_unpack_f32(c, a)));
}

f64_t f64_round_int(struct sf_ctx *c, f64_t a)
{
    return fp_pack_f64(fp_round_int(c, fp_unpack_f64(c, a)));
}
