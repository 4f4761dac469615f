/*
 * softfloat.h: IEEE 754 binary floating point in integers, with what x86 adds to it: half (f16,
 * only conversions), single (f32), double (f64) and double extended precision (f80), the same on
 * every host.
 *
 * SDM vol. 1: 4.8 (formats, NaNs), 8.5 (x87 exceptions), 11.5 (SSE exceptions), appendix D and E.
 * f32 and f64 operations follow SSE (first operand's NaN wins), f80 operations follow x87 (larger
 * significand wins). Tininess is detected after rounding.
 *
 * Not here: the transcendental functions (x87_trans.c), RCPSS and RSQRTSS.
 *
 * One context serves one instruction (all elements of a vector): start with flags 0, call, then
 * look at sf_raised(). An operation that finds an unmasked IE, DE or ZE stops there: its value is
 * meaningless and no OE, UE, PE is raised. The same holds for the value of an f32 or f64 result
 * with an unmasked OE or UE (the instruction writes nothing); an f80 result then has the exponent
 * biased by -+24576, as x87 registers get it.
 *
 * The host's own rounding mode must be to nearest, without flushing (its default), when f32 and f64
 * operations are called.
 */
#pragma once

#include "base/types.h"

typedef u16 f16_t; /* the bits of a half */
typedef u32 f32_t; /* the bits of a single */
typedef u64 f64_t; /* the bits of a double */

/* An 80-bit x87 register as its bits. */
struct f80 {
    u64 mant;
    u16 se; /* sign and exponent */
};

/* Rounding control as in MXCSR.RC and the x87 control word. */
enum sf_rounding { SF_NEAREST = 0, SF_DOWN = 1, SF_UP = 2, SF_ZERO = 3 };

/* Exception flags, at the places they have in MXCSR and in the x87 status word. Masks the same. */
#define SF_IE 0x01u
#define SF_DE 0x02u
#define SF_ZE 0x04u
#define SF_OE 0x08u
#define SF_UE 0x10u
#define SF_PE 0x20u
#define SF_PRE (SF_IE | SF_DE | SF_ZE) /* found before the result is computed */
#define SF_ALL 0x3fu

struct sf_ctx {
    u8 rounding;  /* enum sf_rounding */
    u8 masks;     /* SF_*: masked exceptions */
    u8 flags;     /* SF_*: raised; accumulates */
    u8 sticky;    /* SF_*: set already in MXCSR or SW. PE here lets f32 and f64 skip detecting PE */
    u8 precision; /* significand bits of f80 add, sub, mul, div, sqrt: 24, 53 or 64 */
    bool daz;     /* f32, f64: denormal operands count as zeros, without DE */
    bool ftz;     /* f32, f64: tiny results become zeros when UE is masked */
    bool up;      /* the last result was rounded away from zero (x87's C1) */
};

/* Contexts from MXCSR and from the x87 control word. */
static inline struct sf_ctx sf_from_mxcsr(u32 mxcsr)
{
    return (struct sf_ctx){
        .rounding = (mxcsr >> 13) & 3,
        .masks = (mxcsr >> 7) & SF_ALL,
        .sticky = mxcsr & SF_ALL,
        .precision = 64,
        .daz = mxcsr & BIT(6),
        .ftz = mxcsr & BIT(15),
    };
}

static inline struct sf_ctx sf_from_x87_cw(u16 cw)
{
    static const u8 bits[4] = {24, 64, 53, 64};
    return (struct sf_ctx){
        .rounding = (cw >> 10) & 3, .masks = cw & SF_ALL, .precision = bits[(cw >> 8) & 3]};
}

/* The flags that the instruction adds to MXCSR. With an unmasked IE, DE or ZE in any element the
 * others' OE, UE and PE are not reported (SDM vol. 1 appendix E.4.3). */
static inline u8 sf_raised(const struct sf_ctx *c)
{
    return c->flags & ~c->masks & SF_PRE ? c->flags & SF_PRE : c->flags;
}

/* True: the instruction raises #XM (or, x87, a pending #MF). */
static inline bool sf_unmasked(const struct sf_ctx *c)
{
    return c->flags & ~c->masks & SF_ALL;
}

enum sf_order { SF_LESS = -1, SF_EQUAL = 0, SF_GREATER = 1, SF_UNORDERED = 2 };

/* ---- single and double ----------------------------------------------------------------------- */

#define F32_DEFAULT_NAN 0xffc00000u
#define F64_DEFAULT_NAN 0xfff8000000000000ull

f32_t f32_add(struct sf_ctx *c, f32_t a, f32_t b);
f32_t f32_sub(struct sf_ctx *c, f32_t a, f32_t b);
f32_t f32_mul(struct sf_ctx *c, f32_t a, f32_t b);
f32_t f32_div(struct sf_ctx *c, f32_t a, f32_t b);
f32_t f32_sqrt(struct sf_ctx *c, f32_t a);
f64_t f64_add(struct sf_ctx *c, f64_t a, f64_t b);
f64_t f64_sub(struct sf_ctx *c, f64_t a, f64_t b);
f64_t f64_mul(struct sf_ctx *c, f64_t a, f64_t b);
f64_t f64_div(struct sf_ctx *c, f64_t a, f64_t b);
f64_t f64_sqrt(struct sf_ctx *c, f64_t a);

/* a * b + d with one rounding; NaN priority a, b, d. neg: FNMADD and FMSUB forms. */
#define SF_NEG_PRODUCT BIT(0)
#define SF_NEG_ADDEND BIT(1)
f32_t f32_fma(struct sf_ctx *c, f32_t a, f32_t b, f32_t d, unsigned neg);
f64_t f64_fma(struct sf_ctx *c, f64_t a, f64_t b, f64_t d, unsigned neg);

/* MINSS, MAXSS: b when either is a NaN (IE, also for QNaNs) or both are zeros. */
f32_t f32_min(struct sf_ctx *c, f32_t a, f32_t b);
f32_t f32_max(struct sf_ctx *c, f32_t a, f32_t b);
f64_t f64_min(struct sf_ctx *c, f64_t a, f64_t b);
f64_t f64_max(struct sf_ctx *c, f64_t a, f64_t b);

/* quiet (UCOMISS): IE for SNaNs only; else (COMISS) for every NaN. */
enum sf_order f32_compare(struct sf_ctx *c, f32_t a, f32_t b, bool quiet);
enum sf_order f64_compare(struct sf_ctx *c, f64_t a, f64_t b, bool quiet);
/* CMPSS, VCMPSS: predicate 0 to 31 (SSE: 0 to 7). */
bool f32_predicate(struct sf_ctx *c, f32_t a, f32_t b, unsigned predicate);
bool f64_predicate(struct sf_ctx *c, f64_t a, f64_t b, unsigned predicate);

f64_t f32_to_f64(struct sf_ctx *c, f32_t a);
f32_t f64_to_f32(struct sf_ctx *c, f64_t a);
/* F16C: DAZ does not count for halves, which never raise DE. */
f32_t f16_to_f32(struct sf_ctx *c, f16_t a);
f16_t f32_to_f16(struct sf_ctx *c, f32_t a);

/* To integers by the context's rounding, or toward zero (CVTT). Out of range and NaN: IE and the
 * integer indefinite (only the sign bit set). DAZ counts, DE is never raised. */
s32 f32_to_s32(struct sf_ctx *c, f32_t a, bool truncate);
s64 f32_to_s64(struct sf_ctx *c, f32_t a, bool truncate);
s32 f64_to_s32(struct sf_ctx *c, f64_t a, bool truncate);
s64 f64_to_s64(struct sf_ctx *c, f64_t a, bool truncate);
f32_t f32_from_s32(struct sf_ctx *c, s32 v);
f32_t f32_from_s64(struct sf_ctx *c, s64 v);
f64_t f64_from_s32(struct sf_ctx *c, s32 v);
f64_t f64_from_s64(struct sf_ctx *c, s64 v);

/* ROUNDSS: by the context's rounding; raises IE (SNaN) and PE. The caller drops PE when the
 * immediate says so. */
f32_t f32_round_int(struct sf_ctx *c, f32_t a);
f64_t f64_round_int(struct sf_ctx *c, f64_t a);

/* ---- double extended ------------------------------------------------------------------------- */

#define F80_SIGN 0x8000u
#define F80_EXP 0x7fffu
#define F80_BIAS 0x3fff
#define F80_J BIT64(63)  /* integer bit */
#define F80_QNAN BIT64(62)
#define F80_DEFAULT_NAN ((struct f80){0xc000000000000000ull, 0xffff})

/* Classes as FXAM distinguishes them, plus PSEUDO_DENORMAL, which FXAM calls denormal. */
enum f80_class {
    F80_ZERO, F80_DENORMAL, F80_PSEUDO_DENORMAL, F80_NORMAL, F80_INFINITY, F80_QUIET,
    F80_SIGNALLING,
    F80_UNSUPPORTED /* unnormal, pseudo-infinity, pseudo-NaN: IE in every arithmetic instruction */
};
enum f80_class f80_classify(struct f80 a);

static inline bool f80_is_nan(struct f80 a)
{
    return (a.se & F80_EXP) == F80_EXP && (a.mant & F80_J) && a.mant != F80_J;
}

struct f80 f80_add(struct sf_ctx *c, struct f80 a, struct f80 b);
struct f80 f80_sub(struct sf_ctx *c, struct f80 a, struct f80 b);
struct f80 f80_mul(struct sf_ctx *c, struct f80 a, struct f80 b);
struct f80 f80_div(struct sf_ctx *c, struct f80 a, struct f80 b);
struct f80 f80_sqrt(struct sf_ctx *c, struct f80 a);
enum sf_order f80_compare(struct sf_ctx *c, struct f80 a, struct f80 b, bool quiet);
struct f80 f80_round_int(struct sf_ctx *c, struct f80 a);
/* FSCALE: a * 2^trunc(b). */
struct f80 f80_scale(struct sf_ctx *c, struct f80 a, struct f80 b);
/* FXTRACT: the significand with a's sign; *exponent the unbiased exponent. */
struct f80 f80_extract(struct sf_ctx *c, struct f80 a, struct f80 *exponent);
/* FPREM (nearest false: quotient truncated) and FPREM1 (nearest): one step. *quotient gets the low
 * bits of the quotient, *partial is set (C2) when the exponents differ by 64 or more. */
struct f80 f80_rem(struct sf_ctx *c, struct f80 a, struct f80 b, bool nearest, u64 *quotient,
                   bool *partial);

/* Exact, but DE for denormals and IE for SNaNs (quieted): FLD m32, m64. */
struct f80 f80_from_f32(struct sf_ctx *c, f32_t a);
struct f80 f80_from_f64(struct sf_ctx *c, f64_t a);
/* Exact and without flags, SNaNs kept: memory operands of FADD and the like. *denormal (may be
 * NULL) tells that `a` was one, for DE: the result is a normal number. */
struct f80 f80_expand_f32(f32_t a, bool *denormal);
struct f80 f80_expand_f64(f64_t a, bool *denormal);
f32_t f80_to_f32(struct sf_ctx *c, struct f80 a);
f64_t f80_to_f64(struct sf_ctx *c, struct f80 a);
struct f80 f80_from_s64(s64 v);
s16 f80_to_s16(struct sf_ctx *c, struct f80 a, bool truncate);
s32 f80_to_s32(struct sf_ctx *c, struct f80 a, bool truncate);
s64 f80_to_s64(struct sf_ctx *c, struct f80 a, bool truncate);
/* Packed decimal, 18 digits and a sign byte: FBLD, FBSTP. */
struct f80 f80_from_bcd(const u8 bcd[10]);
void f80_to_bcd(struct sf_ctx *c, struct f80 a, u8 bcd[10]);
