/*
 * softfloat_f80.c: double extended precision: the operations of softfloat.h that only x87 has, and
 * conversions to and from its format.
 *
 * SDM vol. 1 4.2.2 (formats), 8.2.2 (unsupported encodings), 8.3 (instructions); vol. 2A FPREM,
 * FSCALE, FXTRACT, FBLD, FBSTP. Precision control reaches add, sub, mul, div and sqrt only.
 */
#include "cpu/softfloat_core.h"
#include <string.h>

enum f80_class f80_classify(struct f80 a)
{
    unsigned exp = a.se & F80_EXP;
    bool j = a.mant & F80_J;
    if (exp == 0)
        return a.mant == 0 ? F80_ZERO : j ? F80_PSEUDO_DENORMAL : F80_DENORMAL;
    if (!j)
        return F80_UNSUPPORTED;
    if (exp != F80_EXP)
        return F80_NORMAL;
    if (a.mant == F80_J)
        return F80_INFINITY;
    return a.mant & F80_QNAN ? F80_QUIET : F80_SIGNALLING;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

struct f80 f80_add(struct sf_ctx *c, struct f80 a, struct f80 b)
{
    return fp_pack_f80(fp_add(c, &fp_f80, c->precision, fp_unpack_f80(a), fp_unpack_f80(b), false));
}

struct f80 f80_sub(struct sf_ctx *c, struct f80 a, struct f80 b)
{
    return fp_pack_f80(fp_add(c, &fp_f80, c->precision, fp_unpack_f80(a), fp_unpack_f80(b), true));
}

struct f80 f80_mul(struct sf_ctx *c, struct f80 a, struct f80 b)
{
    return fp_pack_f80(fp_mul(c, &fp_f80, c->precision, fp_unpack_f80(a), fp_unpack_f80(b)));
}

struct f80 f80_div(struct sf_ctx *c, struct f80 a, struct f80 b)
{
    return fp_pack_f80(fp_div(c, &fp_f80, c->precision, fp_unpack_f80(a), fp_unpack_f80(b)));
}

struct f80 f80_sqrt(struct sf_ctx *c, struct f80 a)
{
    return fp_pack_f80(fp_sqrt(c, &fp_f80, c->precision, fp_unpack_f80(a)));
}

enum sf_order f80_compare(struct sf_ctx *c, struct f80 a, struct f80 b, bool quiet)
{
    return fp_compare(c, fp_unpack_f80(a), fp_unpack_f80(b), quiet);
}

struct f80 f80_round_int(struct sf_ctx *c, struct f80 a)
{
    struct fp v = fp_unpack_f80(a);
    if (v.denormal && sf_raise(c, SF_DE))
        return a;
    return fp_pack_f80(fp_round_int(c, v));
}

/* ---- FSCALE, FXTRACT ------------------------------------------------------------------------- */

/* trunc(b), limited to what takes every value out of range. */
static s32 scale_count(struct fp b)
{
    if (b.cls != FP_FINITE || b.exp < 0)
        return 0;
    s32 n = b.exp > 16 ? 0x1ffff : (s32)(b.sig >> (63 - b.exp));
    return b.sign ? -n : n;
}

struct f80 f80_scale(struct sf_ctx *c, struct f80 a, struct f80 b)
{
    struct fp va = fp_unpack_f80(a), vb = fp_unpack_f80(b);
    c->up = false;
    if (va.cls >= FP_QNAN || vb.cls >= FP_QNAN)
        return fp_pack_f80(fp_propagate(c, &fp_f80, va, vb));
    if (vb.cls == FP_INF && ((va.cls == FP_INF && vb.sign) || (va.cls == FP_ZERO && !vb.sign)))
        return fp_pack_f80(sf_invalid(c));
    if ((va.denormal | vb.denormal) && sf_raise(c, SF_DE))
        return a;
    if (va.cls != FP_FINITE)
        return a;
    if (vb.cls == FP_INF)
        return fp_pack_f80(vb.sign ? fp_zero(va.sign) : fp_inf(va.sign));
    return fp_pack_f80(
        sf_round(c, &fp_f80, 64, va.sign, va.exp + scale_count(vb), (u128)va.sig << 64));
}

struct f80 f80_extract(struct sf_ctx *c, struct f80 a, struct f80 *exponent)
{
    struct fp v = fp_unpack_f80(a);
    c->up = false;
    if (v.cls >= FP_QNAN) {
        struct f80 nan = fp_pack_f80(fp_propagate1(c, v));
        *exponent = nan;
        return nan;
    }
    if (v.cls == FP_ZERO) {
        sf_raise(c, SF_ZE);
        *exponent = fp_pack_f80(fp_inf(true));
        return a;
    }
    if (v.cls == FP_INF) {
        *exponent = fp_pack_f80(fp_inf(false));
        return a;
    }
    if (v.denormal)
        sf_raise(c, SF_DE);
    *exponent = f80_from_s64(v.exp);
    v.exp = 0;
    return fp_pack_f80(v);
}

/* ---- FPREM, FPREM1 --------------------------------------------------------------------------- */

/* The reduction of one partial step: the exponent difference falls by 32 to 63, and what stays is a
 * multiple of 32, so that the quotient of later steps keeps its low three bits. */
static unsigned partial_step(u32 distance)
{
    return 32 + distance % 32;
}

/* Remainder of a / b at b's exponent, |result| <= |b| (a.exp >= b.exp - 1). Returns the magnitude;
 * *negative when rounding the quotient up made it the other sign. */
static u64 remainder_exact(struct fp a, struct fp b, bool nearest, u64 *quotient, bool *negative,
                           bool *half_unit)
{
    s32 distance = a.exp - b.exp;
    u128 num = distance < 0 ? a.sig : (u128)a.sig << distance;
    u128 den = distance < 0 ? (u128)b.sig << 1 : b.sig;
    u64 q = (u64)(num / den);
    u128 rest = num % den;

    *negative = false;
    *half_unit = distance < 0;
    if (nearest && (rest > den - rest || (rest == den - rest && (q & 1)))) {
        q++;
        rest = den - rest;
        *negative = true;
    }
    *quotient = q;
    return (u64)rest;
}

static struct f80 remainder_finite(struct sf_ctx *c, struct fp a, struct fp b, bool nearest,
                                   u64 *quotient, bool *partial)
{
    s32 distance = a.exp - b.exp;
    bool negative = false, half_unit = false;
    u64 rest;

    if (distance < (nearest ? -1 : 0))
        return fp_pack_f80(sf_round(c, &fp_f80, 64, a.sign, a.exp, (u128)a.sig << 64));
    if (distance >= 64) {
        unsigned n = partial_step((u32)distance);
        b.exp = a.exp - (s32)n;
        rest = (u64)(((u128)a.sig << n) % b.sig);
        *partial = true;
    } else {
        rest = remainder_exact(a, b, nearest, quotient, &negative, &half_unit);
    }
    if (rest == 0)
        return fp_pack_f80(fp_zero(a.sign));
    return fp_pack_f80(
        sf_round(c, &fp_f80, 64, a.sign ^ negative, b.exp - half_unit, (u128)rest << 64));
}

struct f80 f80_rem(struct sf_ctx *c, struct f80 a, struct f80 b, bool nearest, u64 *quotient,
                   bool *partial)
{
    struct fp va = fp_unpack_f80(a), vb = fp_unpack_f80(b);
    c->up = false;
    *quotient = 0;
    *partial = false;
    if (va.cls >= FP_QNAN || vb.cls >= FP_QNAN)
        return fp_pack_f80(fp_propagate(c, &fp_f80, va, vb));
    if (va.cls == FP_INF || vb.cls == FP_ZERO)
        return fp_pack_f80(sf_invalid(c));
    if ((va.denormal | vb.denormal) && sf_raise(c, SF_DE))
        return a;
    if (va.cls == FP_ZERO)
        return a;
    if (vb.cls == FP_INF)
        return fp_pack_f80(sf_round(c, &fp_f80, 64, va.sign, va.exp, (u128)va.sig << 64));
    return remainder_finite(c, va, vb, nearest, quotient, partial);
}

/* ---- conversion ------------------------------------------------------------------------------ */

struct f80 f80_from_f32(struct sf_ctx *c, f32_t a)
{
    return fp_pack_f80(fp_convert(c, &fp_f80, fp_unpack_f32(c, a), true));
}

struct f80 f80_from_f64(struct sf_ctx *c, f64_t a)
{
    return fp_pack_f80(fp_convert(c, &fp_f80, fp_unpack_f64(c, a), true));
}

static struct f80 expand(struct fp v, bool *denormal)
{
    if (denormal)
        *denormal = v.denormal;
    return fp_pack_f80(v);
}

struct f80 f80_expand_f32(f32_t a, bool *denormal)
{
    const struct sf_ctx no_daz = {.daz = false};
    return expand(fp_unpack_f32(&no_daz, a), denormal);
}

struct f80 f80_expand_f64(f64_t a, bool *denormal)
{
    const struct sf_ctx no_daz = {.daz = false};
    return expand(fp_unpack_f64(&no_daz, a), denormal);
}

/* A store that an unmasked OE or UE prevents rounds nothing: no PE, no C1. */
static struct fp narrow(struct sf_ctx *c, const struct fp_format *to, struct f80 a)
{
    struct fp r = fp_convert(c, to, fp_unpack_f80(a), false);
    if (c->flags & ~c->masks & (SF_OE | SF_UE)) {
        c->flags &= (u8)~SF_PE;
        c->up = false;
    }
    return r;
}

f32_t f80_to_f32(struct sf_ctx *c, struct f80 a)
{
    return fp_pack_f32(narrow(c, &fp_f32, a));
}

f64_t f80_to_f64(struct sf_ctx *c, struct f80 a)
{
    return fp_pack_f64(narrow(c, &fp_f64, a));
}

struct f80 f80_from_s64(s64 v)
{
    return fp_pack_f80(fp_from_int(v));
}

static s64 to_int(struct sf_ctx *c, struct f80 a, unsigned bits, bool truncate)
{
    return fp_to_int(c, fp_unpack_f80(a), bits, truncate ? SF_ZERO : c->rounding);
}

s16 f80_to_s16(struct sf_ctx *c, struct f80 a, bool truncate)
{
    return (s16)to_int(c, a, 16, truncate);
}

s32 f80_to_s32(struct sf_ctx *c, struct f80 a, bool truncate)
{
    return (s32)to_int(c, a, 32, truncate);
}

s64 f80_to_s64(struct sf_ctx *c, struct f80 a, bool truncate)
{
    return to_int(c, a, 64, truncate);
}

/* ---- packed decimal -------------------------------------------------------------------------- */

#define BCD_LIMIT 1000000000000000000ll

struct f80 f80_from_bcd(const u8 bcd[10])
{
    s64 v = 0;
    for (int i = 8; i >= 0; i--)
        v = v * 100 + (bcd[i] >> 4) * 10 + (bcd[i] & 15);
    struct f80 r = f80_from_s64(v);
    r.se |= (u16)((bcd[9] & 0x80) << 8);
    return r;
}

void f80_to_bcd(struct sf_ctx *c, struct f80 a, u8 bcd[10])
{
    static const u8 indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
    struct sf_ctx t = *c;
    s64 v = fp_to_int(&t, fp_unpack_f80(a), 64, c->rounding);

    if (v >= BCD_LIMIT || v <= -BCD_LIMIT) { /* the 64-bit indefinite is among these */
        c->up = false;
        sf_raise(c, SF_IE);
        memcpy(bcd, indefinite, 10);
        return;
    }
    *c = t;
    bcd[9] = (u8)((a.se & F80_SIGN) >> 8);
    u64 rest = v < 0 ? 0 - (u64)v : (u64)v;
    for (int i = 0; i < 9; i++) {
        u64 two = rest % 100;
        rest /= 100;
        bcd[i] = (u8)((two / 10) << 4 | two % 10);
    }
}
