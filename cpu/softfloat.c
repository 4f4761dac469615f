/*
 * softfloat.c: the arithmetic of soft float, once for all formats.
 *
 * IEEE 754-2008 clauses 4 to 7 with the choices of the SDM vol. 1: tininess after rounding
 * (4.9.1.5), masked responses (4.9.1), NaN rules (table 4-7), integer and real indefinites
 * (4.8.3.7).
 *
 * Not here: packing of public types and host shortcuts (softfloat_sse.c), what only x87 has
 * (softfloat_f80.c).
 */
#include "cpu/softfloat_core.h"

const struct fp_format fp_f16 = {.bits = 11, .emin = -14, .emax = 15};
const struct fp_format fp_f32 = {.bits = 24, .emin = -126, .emax = 127};
const struct fp_format fp_f64 = {.bits = 53, .emin = -1022, .emax = 1023};
const struct fp_format fp_f80 = {.bits = 64, .x87 = true, .emin = -16382, .emax = 16383};

/* ---- packing --------------------------------------------------------------------------------- */

static struct fp unpack(u64 sig, unsigned biased, unsigned biased_max, s32 bias, bool sign)
{
    struct fp r = {.sign = sign, .cls = FP_FINITE, .exp = (s32)biased - bias, .sig = sig | F80_J};
    if (biased == 0) {
        if (sig == 0)
            return fp_zero(sign);
        unsigned shift = (unsigned)__builtin_clzll(sig);
        r.sig = sig << shift;
        r.exp = 1 - bias - (s32)shift;
        r.denormal = true;
    } else if (biased == biased_max) {
        r.cls = sig == 0 ? FP_INF : sig & F80_QNAN ? FP_QNAN : FP_SNAN;
    }
    return r;
}

struct fp fp_unpack_f16(f16_t a)
{
    return unpack((u64)(a & 0x3ffu) << 53, (a >> 10) & 0x1f, 0x1f, 15, a >> 15);
}

struct fp fp_unpack_f32(const struct sf_ctx *c, f32_t a)
{
    u64 frac = a & 0x7fffffu;
    unsigned biased = (a >> 23) & 0xff;
    if (biased == 0 && c->daz)
        return fp_zero(a >> 31);
    return unpack(frac << 40, biased, 0xff, 127, a >> 31);
}

struct fp fp_unpack_f64(const struct sf_ctx *c, f64_t a)
{
    u64 frac = a & 0xfffffffffffffull;
    unsigned biased = (unsigned)(a >> 52) & 0x7ff;
    if (biased == 0 && c->daz)
        return fp_zero(a >> 63);
    return unpack(frac << 11, biased, 0x7ff, 1023, a >> 63);
}

struct fp fp_unpack_f80(struct f80 a)
{
    bool sign = a.se & F80_SIGN;
    unsigned biased = a.se & F80_EXP;
    if (biased == 0) {
        struct fp r = unpack(a.mant, 0, F80_EXP, F80_BIAS, sign);
        return r;
    }
    if (!(a.mant & F80_J))
        return (struct fp){.cls = FP_UNSUPPORTED, .sign = sign, .sig = a.mant};
    return unpack(a.mant & ~F80_J, biased, F80_EXP, F80_BIAS, sign);
}

/* Biased exponent of a packed value; `all_ones` that of infinities. */
static u32 biased_exp(struct fp a, u32 all_ones)
{
    switch (a.cls) {
    case FP_ZERO: return 0;
    case FP_FINITE: return a.sig & F80_J ? (u32)(a.exp + (s32)(all_ones >> 1)) : 0;
    default: return all_ones;
    }
}

static u64 fraction(struct fp a)
{
    return a.cls == FP_ZERO || a.cls == FP_INF ? 0 : a.sig & ~F80_J;
}

f16_t fp_pack_f16(struct fp a)
{
    return (u16)((u32)a.sign << 15 | biased_exp(a, 0x1f) << 10 | (u32)(fraction(a) >> 53));
}

f32_t fp_pack_f32(struct fp a)
{
    return (u32)a.sign << 31 | biased_exp(a, 0xff) << 23 | (u32)(fraction(a) >> 40);
}

f64_t fp_pack_f64(struct fp a)
{
    return (u64)a.sign << 63 | (u64)biased_exp(a, 0x7ff) << 52 | fraction(a) >> 11;
}

struct f80 fp_pack_f80(struct fp a)
{
    u64 mant = a.cls == FP_ZERO ? 0 : a.cls == FP_INF ? F80_J : a.sig;
    return (struct f80){mant, (u16)((unsigned)a.sign << 15 | biased_exp(a, F80_EXP))};
}

/* ---- rounding -------------------------------------------------------------------------------- */

struct rounded {
    u128 v;
    bool inexact, up, carry;
};

/* Rounds v to its upper `bits` bits. carry: the result is 2^128, v is 2^127. */
static struct rounded round_at(unsigned rounding, bool sign, u128 v, unsigned bits)
{
    u128 unit = (u128)1 << (128 - bits);
    u128 rest = v & (unit - 1);
    struct rounded r = {.v = v - rest, .inexact = rest != 0};

    switch (rounding) {
    case SF_NEAREST: r.up = rest > unit / 2 || (rest == unit / 2 && (v & unit)); break;
    case SF_DOWN: r.up = rest && sign; break;
    case SF_UP: r.up = rest && !sign; break;
    default: break;
    }
    if (r.up) {
        r.v += unit;
        if (r.v == 0) {
            r.carry = true;
            r.v = (u128)1 << 127;
        }
    }
    return r;
}

/* The value that x87 stores for an unmasked overflow or underflow (SDM vol. 1 8.5.4, 8.5.5): the
 * exponent biased by 24576; a result too large or small even so (FSCALE) is an infinity or zero. */
static struct fp biased_result(struct sf_ctx *c, const struct fp_format *f, struct fp r)
{
    r.exp += r.exp < 0 ? 24576 : -24576;
    if (r.exp >= f->emin && r.exp <= f->emax)
        return r;
    sf_raise(c, SF_PE);
    c->up = r.exp > 0;
    return r.exp > 0 ? fp_inf(r.sign) : fp_zero(r.sign);
}

static struct fp round_overflow(struct sf_ctx *c, const struct fp_format *f, unsigned bits,
                                struct fp r, struct rounded rd)
{
    if (sf_raise(c, SF_OE)) {
        if (rd.inexact)
            sf_raise(c, SF_PE);
        c->up = rd.up;
        return f->x87 ? biased_result(c, f, r) : r;
    }
    sf_raise(c, SF_PE);
    c->up = c->rounding == SF_NEAREST || c->rounding == (r.sign ? SF_DOWN : SF_UP);
    if (c->up)
        return fp_inf(r.sign);
    r.exp = f->emax;
    r.sig = ~0ull << (64 - bits);
    return r;
}

static struct fp round_tiny(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp r,
                            struct rounded rd, u128 v, s32 exp)
{
    if (!(c->masks & SF_UE)) {
        sf_raise(c, rd.inexact ? SF_UE | SF_PE : SF_UE);
        c->up = rd.up;
        return f->x87 ? biased_result(c, f, r) : r;
    }
    if (c->ftz && !f->x87) {
        sf_raise(c, SF_UE | SF_PE);
        c->up = false;
        return fp_zero(r.sign);
    }
    rd = round_at(c->rounding, r.sign, shift_right_jam(v, (unsigned)(f->emin - exp)), bits);
    if (rd.inexact)
        sf_raise(c, SF_UE | SF_PE);
    c->up = rd.up;
    if (rd.v == 0)
        return fp_zero(r.sign);
    r.exp = f->emin;
    r.sig = (u64)(rd.v >> 64);
    return r;
}

struct fp sf_round(struct sf_ctx *c, const struct fp_format *f, unsigned bits, bool sign, s32 exp,
                   u128 v)
{
    unsigned shift = clz128(v);
    v <<= shift;
    exp -= (s32)shift;

    struct rounded rd = round_at(c->rounding, sign, v, bits);
    struct fp r = {.cls = FP_FINITE, .sign = sign, .exp = exp + rd.carry, .sig = (u64)(rd.v >> 64)};
    if (unlikely(r.exp < f->emin))
        return round_tiny(c, f, bits, r, rd, v, exp);
    if (unlikely(r.exp > f->emax))
        return round_overflow(c, f, bits, r, rd);
    if (rd.inexact)
        sf_raise(c, SF_PE);
    c->up = rd.up;
    return r;
}

/* ---- NaNs and operand checks ----------------------------------------------------------------- */

struct fp fp_propagate1(struct sf_ctx *c, struct fp a)
{
    if (a.cls == FP_UNSUPPORTED)
        return sf_invalid(c);
    if (a.cls == FP_SNAN)
        sf_raise(c, SF_IE);
    a.cls = FP_QNAN;
    a.sig |= F80_QNAN;
    return a;
}

/* Table 4-7, x87 column: a QNaN beats an SNaN; else the larger significand, then the positive. */
static bool x87_prefers_first(struct fp a, struct fp b)
{
    if (!fp_is_nan(b))
        return true;
    if (!fp_is_nan(a))
        return false;
    if (a.cls != b.cls)
        return a.cls == FP_QNAN;
    if (a.sig != b.sig)
        return a.sig > b.sig;
    return !a.sign;
}

struct fp fp_propagate(struct sf_ctx *c, const struct fp_format *f, struct fp a, struct fp b)
{
    if (a.cls == FP_UNSUPPORTED || b.cls == FP_UNSUPPORTED)
        return sf_invalid(c);
    if (a.cls == FP_SNAN || b.cls == FP_SNAN)
        sf_raise(c, SF_IE);
    bool first = f->x87 ? x87_prefers_first(a, b) : fp_is_nan(a);
    struct fp r = first ? a : b;
    r.cls = FP_QNAN;
    r.sig |= F80_QNAN;
    return r;
}

/* NaN, unsupported. */
static inline bool special(struct fp a)
{
    return a.cls >= FP_QNAN;
}

/* Raises DE for denormal operands; true: stop. */
static inline bool denormal_stops(struct sf_ctx *c, struct fp a, struct fp b)
{
    return (a.denormal | b.denormal) && sf_raise(c, SF_DE);
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static struct fp exact_zero_sum(const struct sf_ctx *c, bool sign_a, bool sign_b)
{
    return fp_zero(sign_a == sign_b ? sign_a : c->rounding == SF_DOWN);
}

/* Sum of two significands with 2^126 <= v < 2^127 at their exponents; the lesser is aligned with a
 * sticky bit. */
static struct fp add_finite(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                            struct fp b, u128 va, u128 vb)
{
    if (a.exp < b.exp || (a.exp == b.exp && va < vb)) {
        struct fp t = a;
        a = b;
        b = t;
        u128 vt = va;
        va = vb;
        vb = vt;
    }
    u32 distance = (u32)(a.exp - b.exp);
    vb = shift_right_jam(vb, distance > 200 ? 200 : distance);
    u128 sum = a.sign == b.sign ? va + vb : va - vb;
    if (sum == 0)
        return exact_zero_sum(c, false, true);
    return sf_round(c, f, bits, a.sign, a.exp + 1, sum);
}

struct fp fp_add(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                 struct fp b, bool subtract)
{
    c->up = false;
    if (special(a) || special(b))
        return fp_propagate(c, f, a, b);
    b.sign ^= subtract;
    if (a.cls == FP_INF && b.cls == FP_INF)
        return a.sign == b.sign ? a : sf_invalid(c);
    if (denormal_stops(c, a, b))
        return a;
    if (a.cls == FP_INF)
        return a;
    if (b.cls == FP_INF)
        return b;
    if (a.cls == FP_ZERO && b.cls == FP_ZERO)
        return exact_zero_sum(c, a.sign, b.sign);
    if (b.cls == FP_ZERO)
        return sf_round(c, f, bits, a.sign, a.exp, (u128)a.sig << 64);
    if (a.cls == FP_ZERO)
        return sf_round(c, f, bits, b.sign, b.exp, (u128)b.sig << 64);
    return add_finite(c, f, bits, a, b, (u128)a.sig << 63, (u128)b.sig << 63);
}

struct fp fp_mul(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                 struct fp b)
{
    c->up = false;
    if (special(a) || special(b))
        return fp_propagate(c, f, a, b);
    if ((a.cls == FP_INF && b.cls == FP_ZERO) || (a.cls == FP_ZERO && b.cls == FP_INF))
        return sf_invalid(c);
    bool sign = a.sign ^ b.sign;
    if (denormal_stops(c, a, b))
        return a;
    if (a.cls == FP_INF || b.cls == FP_INF)
        return fp_inf(sign);
    if (a.cls == FP_ZERO || b.cls == FP_ZERO)
        return fp_zero(sign);
    return sf_round(c, f, bits, sign, a.exp + b.exp + 1, (u128)a.sig * b.sig);
}

/* The lower half of a quotient or root: where the remainder lies against one half of the unit. */
static u64 half_and_sticky(u64 rest, int against_half)
{
    if (rest == 0)
        return 0;
    return against_half < 0 ? 1 : against_half == 0 ? BIT64(63) : BIT64(63) | 1;
}

static struct fp div_finite(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                            struct fp b)
{
    bool less = a.sig < b.sig;
    u128 num = (u128)a.sig << (less ? 64 : 63);
    u64 q = (u64)(num / b.sig);
    u64 rest = (u64)(num % b.sig);
    u64 to_next = b.sig - rest;
    u64 lo = half_and_sticky(rest, rest < to_next ? -1 : rest > to_next);
    return sf_round(c, f, bits, a.sign ^ b.sign, a.exp - b.exp - less, (u128)q << 64 | lo);
}

struct fp fp_div(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a,
                 struct fp b)
{
    c->up = false;
    if (special(a) || special(b))
        return fp_propagate(c, f, a, b);
    if ((a.cls == FP_INF && b.cls == FP_INF) || (a.cls == FP_ZERO && b.cls == FP_ZERO))
        return sf_invalid(c);
    bool sign = a.sign ^ b.sign;
    if (a.cls == FP_FINITE && b.cls == FP_ZERO) { /* goes before DE */
        sf_raise(c, SF_ZE);
        return fp_inf(sign);
    }
    if (denormal_stops(c, a, b))
        return a;
    if (a.cls == FP_INF)
        return fp_inf(sign);
    if (a.cls == FP_ZERO || b.cls == FP_INF)
        return fp_zero(sign);
    return div_finite(c, f, bits, a, b);
}

/* floor(sqrt(x)), 2^126 <= x < 2^128. A double gives 52 bits, one Newton step the rest to within
 * one, whatever the host's rounding; the loops correct that one. */
static u64 isqrt128(u128 x)
{
    double guess = __builtin_sqrt((double)(u64)(x >> 64)) * 4294967296.0;
    u64 r = guess >= 18446744073709549568.0 ? ~0ull : (u64)guess;
    u128 next = (r + x / r) >> 1;
    r = next >> 64 ? ~0ull : (u64)next;
    while ((u128)r * r > x)
        r--;
    while (r != ~0ull && (u128)(r + 1) * (r + 1) <= x)
        r++;
    return r;
}

struct fp fp_sqrt(struct sf_ctx *c, const struct fp_format *f, unsigned bits, struct fp a)
{
    c->up = false;
    if (special(a))
        return fp_propagate1(c, a);
    if (a.cls == FP_ZERO)
        return a;
    if (a.sign)
        return sf_invalid(c);
    if (a.cls == FP_INF)
        return a;
    if (a.denormal && sf_raise(c, SF_DE))
        return a;
    bool odd = a.exp & 1;
    u128 x = (u128)a.sig << (odd ? 64 : 63);
    u64 root = isqrt128(x);
    u128 rest = x - (u128)root * root;
    /* (root + 1/2)^2 = root^2 + root + 1/4: never a tie */
    u64 lo = half_and_sticky(rest != 0, rest > root ? 1 : -1);
    return sf_round(c, f, bits, false, (a.exp - odd) / 2, (u128)root << 64 | lo);
}

struct fp fp_fma(struct sf_ctx *c, const struct fp_format *f, struct fp a, struct fp b, struct fp d,
                 unsigned neg)
{
    bool invalid_product =
        (a.cls == FP_INF && b.cls == FP_ZERO) || (a.cls == FP_ZERO && b.cls == FP_INF);
    c->up = false;
    if (special(a) || special(b) || special(d)) {
        if (d.cls == FP_SNAN)
            sf_raise(c, SF_IE);
        if (special(a) || special(b))
            return fp_propagate(c, f, a, b);
        return fp_propagate1(c, d);
    }
    if (invalid_product)
        return sf_invalid(c);
    struct fp p = {.cls = FP_FINITE,
                   .sign = a.sign ^ b.sign ^ (neg & SF_NEG_PRODUCT),
                   .exp = a.exp + b.exp + 1};
    d.sign ^= (neg & SF_NEG_ADDEND) != 0;
    if (a.cls == FP_INF || b.cls == FP_INF)
        p.cls = FP_INF;
    else if (a.cls == FP_ZERO || b.cls == FP_ZERO)
        p.cls = FP_ZERO;
    if (p.cls == FP_INF && d.cls == FP_INF && p.sign != d.sign)
        return sf_invalid(c);
    if ((a.denormal | b.denormal | d.denormal) && sf_raise(c, SF_DE))
        return a;
    if (p.cls == FP_INF)
        return p;
    if (d.cls == FP_INF)
        return d;
    if (p.cls == FP_ZERO && d.cls == FP_ZERO)
        return exact_zero_sum(c, p.sign, d.sign);
    if (p.cls == FP_ZERO)
        return sf_round(c, f, f->bits, d.sign, d.exp, (u128)d.sig << 64);

    u128 vp = (u128)a.sig * b.sig; /* at most 106 significant bits: shifts below lose none */
    if (!(vp >> 127)) {
        vp <<= 1;
        p.exp--;
    }
    if (d.cls == FP_ZERO)
        return sf_round(c, f, f->bits, p.sign, p.exp, vp);
    return add_finite(c, f, f->bits, p, d, vp >> 1, (u128)d.sig << 63);
}

/* ---- comparison ------------------------------------------------------------------------------ */

static enum sf_order order_magnitudes(struct fp a, struct fp b)
{
    if (a.cls != b.cls)
        return a.cls < b.cls ? SF_LESS : SF_GREATER; /* zero, finite, infinity */
    if (a.cls != FP_FINITE)
        return SF_EQUAL;
    if (a.exp != b.exp)
        return a.exp < b.exp ? SF_LESS : SF_GREATER;
    return a.sig < b.sig ? SF_LESS : a.sig > b.sig ? SF_GREATER : SF_EQUAL;
}

enum sf_order fp_compare(struct sf_ctx *c, struct fp a, struct fp b, bool quiet)
{
    c->up = false;
    if (special(a) || special(b)) {
        if (!quiet || a.cls > FP_QNAN || b.cls > FP_QNAN)
            sf_raise(c, SF_IE);
        return SF_UNORDERED;
    }
    denormal_stops(c, a, b);
    if (a.cls == FP_ZERO && b.cls == FP_ZERO)
        return SF_EQUAL;
    if (a.sign != b.sign)
        return a.sign ? SF_LESS : SF_GREATER;
    return a.sign ? order_magnitudes(b, a) : order_magnitudes(a, b);
}

/* ---- conversion ------------------------------------------------------------------------------ */

struct fp fp_convert(struct sf_ctx *c, const struct fp_format *to, struct fp a, bool denormals)
{
    c->up = false;
    if (special(a))
        return fp_propagate1(c, a);
    if (a.cls != FP_FINITE)
        return a;
    if (denormals && a.denormal && sf_raise(c, SF_DE))
        return a;
    return sf_round(c, to, to->bits, a.sign, a.exp, (u128)a.sig << 64);
}

/* |a| rounded to an integer in 64 bits; a.exp <= 63. */
static u64 integer_part(struct sf_ctx *c, struct fp a, unsigned rounding, bool *inexact,
                        bool *carry)
{
    u32 shift = (u32)(63 - a.exp);
    struct rounded rd = round_at(rounding, a.sign,
                                 shift_right_jam((u128)a.sig << 64, shift > 130 ? 130 : shift), 64);
    *inexact = rd.inexact;
    *carry = rd.carry;
    c->up = rd.up;
    return (u64)(rd.v >> 64);
}

struct fp fp_round_int(struct sf_ctx *c, struct fp a)
{
    bool inexact, carry;
    c->up = false;
    if (special(a))
        return fp_propagate1(c, a);
    if (a.cls != FP_FINITE || a.exp >= 63)
        return a;
    u64 v = integer_part(c, a, c->rounding, &inexact, &carry);
    if (inexact)
        sf_raise(c, SF_PE);
    if (v == 0)
        return fp_zero(a.sign);
    unsigned shift = (unsigned)__builtin_clzll(v);
    return (struct fp){.cls = FP_FINITE, .sign = a.sign, .sig = v << shift, .exp = 63 - (s32)shift};
}

s64 fp_to_int(struct sf_ctx *c, struct fp a, unsigned bits, unsigned rounding)
{
    u64 min = 1ull << (bits - 1); /* magnitude of the most negative, which is the indefinite too */
    s64 indefinite = (s64)(0 - min);
    bool inexact, carry;

    c->up = false;
    if (a.cls == FP_ZERO)
        return 0;
    if (a.cls != FP_FINITE || a.exp > 63) {
        sf_raise(c, SF_IE);
        return indefinite;
    }
    u64 v = integer_part(c, a, rounding, &inexact, &carry);
    if (carry || v > min || (v == min && !a.sign)) {
        c->up = false;
        sf_raise(c, SF_IE);
        return indefinite;
    }
    if (inexact)
        sf_raise(c, SF_PE);
    return a.sign ? (s64)(0 - v) : (s64)v;
}

struct fp fp_from_int(s64 v)
{
    if (v == 0)
        return fp_zero(false);
    u64 magnitude = v < 0 ? 0 - (u64)v : (u64)v;
    unsigned shift = (unsigned)__builtin_clzll(magnitude);
    return (struct fp){
        .cls = FP_FINITE, .sign = v < 0, .sig = magnitude << shift, .exp = 63 - (s32)shift};
}
