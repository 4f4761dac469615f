/*
 * x87_trans.c: F2XM1, FYL2X, FYL2XP1, FPATAN, FSIN, FCOS, FSINCOS, FPTAN as functions.
 *
 * SDM vol. 1 8.3.6 to 8.3.10, vol. 2A (tables of special operands). Series are summed with 128-bit
 * significands in integers, so results are the same on every host and, but for cases closer than
 * about 2^-30 ulp to a rounding boundary, correctly rounded; 1 ulp is what the SDM promises. As on
 * Intel's and AMD's processors, arguments of the trigonometric functions are reduced by a pi of 66
 * bits (8.3.8), which is exact for the sine of the reduced argument but not for that of the
 * argument: near multiples of pi that is visible, and software knows it.
 *
 * Precision control does not apply; rounding control does.
 */
#include "cpu/x87_trans.h"
#include "cpu/softfloat_core.h"

/* m * 2^(e - 127), m's top bit set; zero when m is 0. Operations truncate. */
struct big {
    u128 m;
    s32 e;
    bool neg;
};

#define U128(hi, lo) ((u128)(hi) << 64 | (lo))

static const struct big big_one = {(u128)1 << 127, 0, false};
static const struct big log2_e = {U128(0xb8aa3b295c17f0bbull, 0xbe87fed0691d3e88ull), 0, false};
static const struct big ln_2 = {U128(0xb17217f7d1cf79abull, 0xc9e3b39803f2f6afull), -1, false};
static const struct big pi = {U128(0xc90fdaa22168c234ull, 0xc4c6628b80dc1cd1ull), 1, false};

/* ---- 128-bit arithmetic ---------------------------------------------------------------------- */

static struct big big_norm(u128 m, s32 e, bool neg)
{
    if (m == 0)
        return (struct big){0, 0, false};
    unsigned shift = clz128(m);
    return (struct big){m << shift, e - (s32)shift, neg};
}

static struct big big_from_fp(struct fp a)
{
    return (struct big){(u128)a.sig << 64, a.exp, a.sign};
}

static struct big big_from_int(s32 v)
{
    u32 magnitude = v < 0 ? 0 - (u32)v : (u32)v;
    return big_norm(magnitude, 127, v < 0);
}

static struct big big_negate(struct big a)
{
    a.neg = !a.neg;
    return a;
}

/* a * 2^n */
static struct big big_shift(struct big a, s32 n)
{
    a.e += n;
    return a;
}

static u128 mul_high(u128 a, u128 b)
{
    u64 ah = (u64)(a >> 64), al = (u64)a, bh = (u64)(b >> 64), bl = (u64)b;
    u128 m1 = (u128)ah * bl, m2 = (u128)al * bh;
    u128 low = ((u128)al * bl >> 64) + (u64)m1 + (u64)m2;
    return (u128)ah * bh + (m1 >> 64) + (m2 >> 64) + (low >> 64);
}

static struct big big_mul(struct big a, struct big b)
{
    if (a.m == 0 || b.m == 0)
        return (struct big){0, 0, false};
    return big_norm(mul_high(a.m, b.m), a.e + b.e + 1, a.neg ^ b.neg);
}

/* Restoring division, a bit at a time; b is not 0. */
static struct big big_div(struct big a, struct big b)
{
    u128 rest = a.m, q = 0;
    s32 e = a.e - b.e;
    bool carry = false;

    if (a.m == 0)
        return a;
    if (rest < b.m) {
        e--;
        carry = rest >> 127;
        rest <<= 1;
    }
    for (int i = 0; i < 128; i++) {
        bool fits = carry || rest >= b.m;
        if (fits)
            rest -= b.m;
        q = q << 1 | fits;
        carry = rest >> 127;
        rest <<= 1;
    }
    return (struct big){q, e, a.neg ^ b.neg};
}

static struct big big_div_small(struct big a, unsigned n)
{
    return big_norm(a.m / n, a.e, a.neg);
}

static struct big big_add(struct big a, struct big b)
{
    if (a.m == 0)
        return b;
    if (b.m == 0)
        return a;
    if (a.e < b.e || (a.e == b.e && a.m < b.m)) {
        struct big t = a;
        a = b;
        b = t;
    }
    u32 distance = (u32)(a.e - b.e);
    u128 vb = distance > 127 ? 0 : b.m >> distance;
    if (a.neg != b.neg)
        return big_norm(a.m - vb, a.e, a.neg);
    u128 sum = a.m + vb;
    if (sum < vb) /* carry */
        return (struct big){sum >> 1 | (u128)1 << 127, a.e + 1, a.neg};
    return (struct big){sum, a.e, a.neg};
}

static struct big big_sub(struct big a, struct big b)
{
    return big_add(a, big_negate(b));
}

/* Just below, just above a: the results of functions that differ from it by less than m can show.
 */
static struct big big_below(struct big a)
{
    return a.m == (u128)1 << 127 ? (struct big){~(u128)0, a.e - 1, a.neg}
                                 : (struct big){a.m - 1, a.e, a.neg};
}

static struct big big_above(struct big a)
{
    a.m |= 1;
    return a;
}

/* Rounds a value that is known not to be exact, or (exact) a value that may be. */
static struct f80 big_round(struct sf_ctx *c, struct big a, bool exact)
{
    return fp_pack_f80(sf_round(c, &fp_f80, 64, a.neg, a.e, exact ? a.m : a.m | 1));
}

/* ---- series ---------------------------------------------------------------------------------- */

/* e^y - 1, |y| <= ln 2: y (1 + y/2 (1 + y/3 (...))). */
static struct big series_expm1(struct big y)
{
    struct big p = big_one;
    for (unsigned n = 28; n >= 2; n--)
        p = big_add(big_one, big_div_small(big_mul(y, p), n));
    return big_mul(y, p);
}

/* Sum of z^k / (2k + 1), k = 0 to `terms`: atanh(s)/s for z = s^2, atan(u)/u for z = -u^2. */
static struct big series_odd(struct big z, unsigned terms)
{
    struct big p = big_div_small(big_one, 2 * terms + 1);
    for (unsigned k = terms; k-- > 0;)
        p = big_add(big_div_small(big_one, 2 * k + 1), big_mul(z, p));
    return p;
}

/* Sum of (-1)^k r^2k / (2k + first)! times first!, first 0: cos r, 1: sin(r) / r; |r| <= pi/4. */
static struct big series_trig(struct big r, unsigned first)
{
    struct big z = big_negate(big_mul(r, r)), p = big_one;
    for (unsigned k = 14; k >= 1; k--)
        p = big_add(big_one, big_div_small(big_mul(z, p), (2 * k + first - 1) * (2 * k + first)));
    return p;
}

/* ---- F2XM1 ----------------------------------------------------------------------------------- */

struct f80 x87_f2xm1(struct sf_ctx *c, struct f80 a)
{
    struct fp v = fp_unpack_f80(a);
    c->up = false;
    if (v.cls >= FP_QNAN)
        return fp_pack_f80(fp_propagate1(c, v));
    if (v.cls == FP_INF)
        return v.sign ? (struct f80){F80_J, F80_BIAS | F80_SIGN} : a;
    if (v.cls == FP_ZERO)
        return a;
    if (v.denormal && sf_raise(c, SF_DE))
        return a;
    if (v.exp >= 0) /* 1 -> 1, -1 -> -1/2, exactly */
        return v.sign && v.exp == 0 && v.sig == F80_J ? (struct f80){F80_J, a.se - 1} : a;
    return big_round(c, series_expm1(big_mul(big_from_fp(v), ln_2)), false);
}

/* ---- FYL2X, FYL2XP1 -------------------------------------------------------------------------- */

/* log2((1 + s) / (1 - s)) */
static struct big log2_from_ratio(struct big s)
{
    struct big p = series_odd(big_mul(s, s), 24);
    return big_mul(big_shift(big_mul(s, p), 1), log2_e);
}

/* log2(v), v > 0. With v = m 2^e, m in [1/sqrt 2, sqrt 2): e + log2(m), s = (m - 1) / (m + 1). */
static struct big log2_big(struct big v)
{
    static const u64 sqrt_2 = 0xb504f333f9de6484ull;
    struct big m = {v.m, (u64)(v.m >> 64) > sqrt_2 ? -1 : 0, false};
    struct big fraction = big_sub(m, big_one);
    struct big whole = big_from_int(v.e - m.e);
    if (fraction.m == 0)
        return whole;
    return big_add(whole, log2_from_ratio(big_div(fraction, big_add(m, big_one))));
}

static bool is_power_of_2(struct big v)
{
    return v.m == (u128)1 << 127;
}

/* y * log2(v), y finite or zero. */
static struct f80 y_times_log2(struct sf_ctx *c, struct fp y, struct big v)
{
    struct big l = log2_big(v);
    if (y.cls == FP_ZERO || l.m == 0)
        return fp_pack_f80(fp_zero(y.sign ^ l.neg));
    return big_round(c, big_mul(big_from_fp(y), l), is_power_of_2(v));
}

/* y is an infinity: the logarithm's sign alone counts; order is that of x against the argument
 * whose logarithm is 0. */
static struct f80 infinity_times_log2(struct sf_ctx *c, struct fp y, enum sf_order order)
{
    if (order == SF_EQUAL)
        return fp_pack_f80(sf_invalid(c));
    return fp_pack_f80(fp_inf(y.sign ^ (order == SF_LESS)));
}

static struct f80 y_log2_zero(struct sf_ctx *c, struct fp y)
{
    if (y.cls == FP_ZERO)
        return fp_pack_f80(sf_invalid(c));
    if (y.cls != FP_INF)
        sf_raise(c, SF_ZE);
    return fp_pack_f80(fp_inf(!y.sign));
}

struct f80 x87_yl2x(struct sf_ctx *c, struct f80 fy, struct f80 fx)
{
    struct fp y = fp_unpack_f80(fy), x = fp_unpack_f80(fx);
    c->up = false;
    if (x.cls >= FP_QNAN || y.cls >= FP_QNAN)
        return fp_pack_f80(fp_propagate(c, &fp_f80, x, y));
    if (x.cls == FP_ZERO)
        return y_log2_zero(c, y);
    if (x.sign || (x.cls == FP_INF && y.cls == FP_ZERO))
        return fp_pack_f80(sf_invalid(c));
    bool one = x.cls == FP_FINITE && x.exp == 0 && x.sig == F80_J;
    enum sf_order order = one ? SF_EQUAL : x.cls == FP_INF || x.exp >= 0 ? SF_GREATER : SF_LESS;
    if (y.cls == FP_INF && order == SF_EQUAL)
        return fp_pack_f80(sf_invalid(c));
    if ((x.denormal | y.denormal) && sf_raise(c, SF_DE))
        return fy;
    if (x.cls == FP_INF)
        return fp_pack_f80(fp_inf(y.sign));
    if (y.cls == FP_INF)
        return infinity_times_log2(c, y, order);
    return y_times_log2(c, y, big_from_fp(x));
}

struct f80 x87_yl2xp1(struct sf_ctx *c, struct f80 fy, struct f80 fx)
{
    struct fp y = fp_unpack_f80(fy), x = fp_unpack_f80(fx);
    c->up = false;
    if (x.cls >= FP_QNAN || y.cls >= FP_QNAN)
        return fp_pack_f80(fp_propagate(c, &fp_f80, x, y));
    if (x.cls == FP_INF ? x.sign || y.cls == FP_ZERO : x.cls == FP_ZERO && y.cls == FP_INF)
        return fp_pack_f80(sf_invalid(c));
    if ((x.denormal | y.denormal) && sf_raise(c, SF_DE))
        return fy;
    if (x.cls == FP_INF)
        return fp_pack_f80(fp_inf(y.sign));
    if (y.cls == FP_INF)
        return infinity_times_log2(c, y, x.sign ? SF_LESS : SF_GREATER);
    if (x.cls == FP_ZERO || y.cls == FP_ZERO)
        return fp_pack_f80(fp_zero(x.sign ^ y.sign));
    if (x.sign && x.exp >= 0) /* log2 of 0 or less: undefined, no exception */
        return fx;
    struct big v = big_from_fp(x);
    if (x.exp >= -2)
        return y_times_log2(c, y, big_add(big_one, v));
    struct big s = big_div(v, big_add(big_from_int(2), v));
    return big_round(c, big_mul(big_from_fp(y), log2_from_ratio(s)), false);
}

/* ---- FPATAN ---------------------------------------------------------------------------------- */

/* atan(k / 8) */
static const struct big atan_eighths[9] = {
    {0, 0, false},
    {U128(0xfeadd4d5617b6e32ull, 0xc897989f3e888ef7ull), -4, false},
    {U128(0xfadbafc96406eb15ull, 0x6dc79ef5f7a217e5ull), -3, false},
    {U128(0xb7b0ca0f26f78473ull, 0x8aa32122dcfe4483ull), -2, false},
    {U128(0xed63382b0dda7b45ull, 0x6fe445ecbc3a8d03ull), -2, false},
    {U128(0x8f005d5ef7f59f9bull, 0x5c835e1665c43747ull), -1, false},
    {U128(0xa4bc7d1934f70924ull, 0x19a87f2a457dac9eull), -1, false},
    {U128(0xb8053e2bc2319e73ull, 0xcb2da55210a4443dull), -1, false},
    {U128(0xc90fdaa22168c234ull, 0xc4c6628b80dc1cd1ull), -1, false},
};

/* atan(t), 0 < t <= 1: atan(c) + atan((t - c) / (1 + t c)) with c the nearest eighth. */
static struct big atan_big(struct big t)
{
    if (t.e < -58)
        return big_below(t);
    unsigned sixteenths = t.e < -4 ? 0 : (unsigned)(t.m >> (123 - t.e));
    unsigned k = (sixteenths + 1) / 2;
    struct big u = t;
    if (k) {
        struct big eighth = big_shift(big_from_int((s32)k), -3);
        u = big_div(big_sub(t, eighth), big_add(big_one, big_mul(t, eighth)));
    }
    struct big p = series_odd(big_negate(big_mul(u, u)), 14);
    return big_add(atan_eighths[k], big_mul(u, p));
}

/* A fraction of pi that an infinity, a zero or an axis gives. */
static struct f80 angle(struct sf_ctx *c, struct big a, bool sign)
{
    a.neg = sign;
    return big_round(c, a, false);
}

static struct f80 patan_infinite(struct sf_ctx *c, struct fp y, struct fp x)
{
    struct big quarter = big_shift(pi, -2);
    if (y.cls == FP_INF && x.cls == FP_INF)
        return angle(c, x.sign ? big_sub(pi, quarter) : quarter, y.sign);
    if (y.cls == FP_INF)
        return angle(c, big_shift(pi, -1), y.sign);
    return x.sign ? angle(c, pi, y.sign) : fp_pack_f80(fp_zero(y.sign));
}

struct f80 x87_patan(struct sf_ctx *c, struct f80 fy, struct f80 fx)
{
    struct fp y = fp_unpack_f80(fy), x = fp_unpack_f80(fx);
    c->up = false;
    if (x.cls >= FP_QNAN || y.cls >= FP_QNAN)
        return fp_pack_f80(fp_propagate(c, &fp_f80, x, y));
    if ((x.denormal | y.denormal) && sf_raise(c, SF_DE))
        return fy;
    if (x.cls == FP_INF || y.cls == FP_INF)
        return patan_infinite(c, y, x);
    if (y.cls == FP_ZERO)
        return x.sign ? angle(c, pi, y.sign) : fp_pack_f80(fp_zero(y.sign));
    if (x.cls == FP_ZERO)
        return angle(c, big_shift(pi, -1), y.sign);

    struct big num = big_from_fp(y), den = big_from_fp(x);
    bool steep = num.e > den.e || (num.e == den.e && num.m > den.m);
    num.neg = den.neg = false;
    struct big a = atan_big(steep ? big_div(den, num) : big_div(num, den));
    if (steep)
        a = big_sub(big_shift(pi, -1), a);
    if (x.sign)
        a = big_sub(pi, a);
    return angle(c, a, y.sign);
}

/* ---- sine, cosine, tangent ------------------------------------------------------------------- */

/* |a| = quadrant * pi/2 + r, |r| <= pi/4, with pi/2 = PI66 * 2^-65. */
#define PI66 U128(3, 0x243f6a8885a308d3ull)

struct reduced {
    struct big r;
    unsigned quadrant;
};

static struct reduced reduce(struct fp a)
{
    struct reduced v = {.r = big_from_fp(a)};
    v.r.neg = false;
    if (a.exp < -2)
        return v;
    u128 units = (u128)a.sig << (a.exp + 2); /* of 2^-65; a.exp <= 62 */
    u128 quotient = units / PI66, rest = units % PI66;
    bool past_half = rest > PI66 / 2;
    v.quadrant = (unsigned)(quotient + past_half) & 3;
    v.r = big_norm(past_half ? PI66 - rest : rest, 127 - 65, past_half);
    return v;
}

static struct big sin_reduced(struct big r)
{
    if (r.e < -58)
        return big_below(r);
    return big_mul(r, series_trig(r, 1));
}

static struct big cos_reduced(struct big r)
{
    return r.e < -60 ? big_below(big_one) : series_trig(r, 0);
}

static struct big sin_big(struct fp a)
{
    struct reduced v = reduce(a);
    struct big s = v.quadrant & 1 ? cos_reduced(v.r) : sin_reduced(v.r);
    s.neg ^= (v.quadrant >> 1) ^ a.sign;
    return s;
}

static struct big cos_big(struct fp a)
{
    struct reduced v = reduce(a);
    struct big s = v.quadrant & 1 ? sin_reduced(v.r) : cos_reduced(v.r);
    s.neg ^= (v.quadrant ^ v.quadrant >> 1) & 1;
    return s;
}

static struct big tan_big(struct fp a)
{
    struct reduced v = reduce(a);
    if (v.quadrant == 0 && v.r.e < -58) {
        v.r.neg = a.sign;
        return big_above(v.r);
    }
    struct big s = sin_reduced(v.r), k = cos_reduced(v.r);
    struct big t = v.quadrant & 1 ? big_negate(big_div(k, s)) : big_div(s, k);
    t.neg ^= a.sign;
    return t;
}

enum trig_case { TRIG_DONE, TRIG_OUT_OF_RANGE, TRIG_ZERO, TRIG_COMPUTE };

/* What needs no computation. TRIG_DONE: *result is a NaN, or an unmasked exception was raised. */
static enum trig_case trig_special(struct sf_ctx *c, struct fp a, struct f80 *result)
{
    c->up = false;
    *result = F80_DEFAULT_NAN;
    if (a.cls >= FP_QNAN)
        *result = fp_pack_f80(fp_propagate1(c, a));
    else if (a.cls == FP_INF)
        *result = fp_pack_f80(sf_invalid(c));
    else if (a.cls == FP_ZERO)
        return TRIG_ZERO;
    else if (a.exp >= 63)
        return TRIG_OUT_OF_RANGE;
    else if (!(a.denormal && sf_raise(c, SF_DE)))
        return TRIG_COMPUTE;
    return TRIG_DONE;
}

bool x87_sincos(struct sf_ctx *c, struct f80 a, struct f80 *sine, struct f80 *cosine)
{
    struct fp v = fp_unpack_f80(a);
    switch (trig_special(c, v, sine)) {
    case TRIG_OUT_OF_RANGE: return false;
    case TRIG_ZERO:
        *sine = a;
        *cosine = fp_pack_f80((struct fp){.cls = FP_FINITE, .sig = F80_J});
        return true;
    case TRIG_COMPUTE:
        *sine = big_round(c, sin_big(v), false);
        *cosine = big_round(c, cos_big(v), false);
        return true;
    default: *cosine = *sine; return true;
    }
}

/* Sine or tangent: zero goes to itself. */
static bool odd_function(struct sf_ctx *c, struct f80 a, struct f80 *result,
                         struct big (*fn)(struct fp))
{
    struct fp v = fp_unpack_f80(a);
    enum trig_case k = trig_special(c, v, result);
    if (k == TRIG_ZERO)
        *result = a;
    else if (k == TRIG_COMPUTE)
        *result = big_round(c, fn(v), false);
    return k != TRIG_OUT_OF_RANGE;
}

bool x87_sin(struct sf_ctx *c, struct f80 a, struct f80 *sine)
{
    return odd_function(c, a, sine, sin_big);
}

bool x87_tan(struct sf_ctx *c, struct f80 a, struct f80 *tangent)
{
    return odd_function(c, a, tangent, tan_big);
}

bool x87_cos(struct sf_ctx *c, struct f80 a, struct f80 *cosine)
{
    struct fp v = fp_unpack_f80(a);
    enum trig_case k = trig_special(c, v, cosine);
    if (k == TRIG_ZERO)
        *cosine = fp_pack_f80((struct fp){.cls = FP_FINITE, .sig = F80_J});
    else if (k == TRIG_COMPUTE)
        *cosine = big_round(c, cos_big(v), false);
    return k != TRIG_OUT_OF_RANGE;
}
