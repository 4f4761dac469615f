/*
 * lanes.h: element operations of integer vectors: d = d OP s over `bytes` bytes.
 *
 * Nothing here knows operands, registers or faults; MMX calls them with 8 bytes, SSE with 16.
 * `s` never is `d`. Operations on single elements also serve 32 bytes; those that move elements
 * about (marked "per lane") take at most 16, and 256-bit forms call them once for each half.
 *
 * Intel SDM vol. 2, the instruction of the same name with P in front.
 */
#pragma once

#include "cpu/cpu.h"

static inline s8 sat_s8(s32 v)
{
    return (s8)(v > 127 ? 127 : v < -128 ? -128 : v);
}

static inline u8 sat_u8(s32 v)
{
    return (u8)(v > 255 ? 255 : v < 0 ? 0 : v);
}

static inline s16 sat_s16(s32 v)
{
    return (s16)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
}

static inline u16 sat_u16(s32 v)
{
    return (u16)(v > 65535 ? 65535 : v < 0 ? 0 : v);
}

/* d[i] = expr of a = d[i] and b = s[i], both of the given type; field is of union vec. */
#define LANE_OP(name, field, type, expr)                                                           \
    static inline void lanes_##name(union vec *restrict d, const union vec *restrict s,            \
                                    unsigned bytes)                                                \
    {                                                                                              \
        for (unsigned i = 0; i < bytes / sizeof d->field[0]; i++) {                                \
            type a = (type)d->field[i], b = (type)s->field[i];                                     \
            d->field[i] = (__typeof__(d->field[0]))(expr);                                         \
            (void)a;                                                                               \
            (void)b;                                                                               \
        }                                                                                          \
    }

LANE_OP(and, q, u64, a & b)
LANE_OP(andn, q, u64, ~a & b)
LANE_OP(or, q, u64, a | b)
LANE_OP(xor, q, u64, a ^ b)

LANE_OP(addb, b, u8, a + b)
LANE_OP(addw, w, u16, a + b)
LANE_OP(addd, d, u32, a + b)
LANE_OP(addq, q, u64, a + b)
LANE_OP(subb, b, u8, a - b)
LANE_OP(subw, w, u16, a - b)
LANE_OP(subd, d, u32, a - b)
LANE_OP(subq, q, u64, a - b)

LANE_OP(addsb, b, s8, sat_s8(a + b))
LANE_OP(addsw, w, s16, sat_s16(a + b))
LANE_OP(addusb, b, u8, sat_u8(a + b))
LANE_OP(addusw, w, u16, sat_u16(a + b))
LANE_OP(subsb, b, s8, sat_s8(a - b))
LANE_OP(subsw, w, s16, sat_s16(a - b))
LANE_OP(subusb, b, u8, sat_u8(a - b))
LANE_OP(subusw, w, u16, sat_u16(a - b))

LANE_OP(cmpeqb, b, u8, a == b ? 0xff : 0)
LANE_OP(cmpeqw, w, u16, a == b ? 0xffff : 0)
LANE_OP(cmpeqd, d, u32, a == b ? ~0u : 0)
LANE_OP(cmpeqq, q, u64, a == b ? ~0ull : 0)
LANE_OP(cmpgtb, b, s8, a > b ? 0xff : 0)
LANE_OP(cmpgtw, w, s16, a > b ? 0xffff : 0)
LANE_OP(cmpgtd, d, s32, a > b ? ~0u : 0)
LANE_OP(cmpgtq, q, s64, a > b ? ~0ull : 0)

LANE_OP(minub, b, u8, a < b ? a : b)
LANE_OP(maxub, b, u8, a > b ? a : b)
LANE_OP(minsb, b, s8, a < b ? a : b)
LANE_OP(maxsb, b, s8, a > b ? a : b)
LANE_OP(minuw, w, u16, a < b ? a : b)
LANE_OP(maxuw, w, u16, a > b ? a : b)
LANE_OP(minsw, w, s16, a < b ? a : b)
LANE_OP(maxsw, w, s16, a > b ? a : b)
LANE_OP(minud, d, u32, a < b ? a : b)
LANE_OP(maxud, d, u32, a > b ? a : b)
LANE_OP(minsd, d, s32, a < b ? a : b)
LANE_OP(maxsd, d, s32, a > b ? a : b)

LANE_OP(avgb, b, u8, (a + b + 1) >> 1)
LANE_OP(avgw, w, u16, (a + b + 1) >> 1)

LANE_OP(mullw, w, s16, a * b)
LANE_OP(mulhw, w, s16, (a * b) >> 16)
LANE_OP(mulhuw, w, u16, ((u32)a * b) >> 16)
LANE_OP(mulhrsw, w, s16, (((a * b) >> 14) + 1) >> 1)
LANE_OP(mulld, d, u32, a * b)
LANE_OP(muludq, q, u64, (u64)(u32)a * (u32)b)
LANE_OP(muldq, q, u64, (s64)(s32)a * (s32)b)

LANE_OP(signb, b, s8, b < 0 ? -a : b == 0 ? 0 : a)
LANE_OP(signw, w, s16, b < 0 ? -a : b == 0 ? 0 : a)
LANE_OP(signd, d, u32, (s32)b < 0 ? 0u - a : b == 0 ? 0 : a)
LANE_OP(absb, b, s8, b < 0 ? -b : b)
LANE_OP(absw, w, s16, b < 0 ? -b : b)
LANE_OP(absd, d, u32, (s32)b < 0 ? 0u - b : b)

#undef LANE_OP

/* ---- shifts by one count for all elements: the low 64 bits of s ------------------------------ */

#define LANE_SHIFT(name, field, type, bits, big, expr)                                             \
    static inline void lanes_##name(union vec *restrict d, const union vec *restrict s,            \
                                    unsigned bytes)                                                \
    {                                                                                              \
        u64 count = s->q[0];                                                                       \
        unsigned n = count >= (bits) ? (big) : (unsigned)count;                                    \
        for (unsigned i = 0; i < bytes / sizeof d->field[0]; i++) {                                \
            type a = (type)d->field[i];                                                            \
            d->field[i] = (__typeof__(d->field[0]))(n == (bits) ? 0 : (expr));                     \
        }                                                                                          \
    }

LANE_SHIFT(sllw, w, u32, 16, 16, a << n)
LANE_SHIFT(slld, d, u32, 32, 32, a << (n & 31))
LANE_SHIFT(sllq, q, u64, 64, 64, a << (n & 63))
LANE_SHIFT(srlw, w, u32, 16, 16, a >> n)
LANE_SHIFT(srld, d, u32, 32, 32, a >> (n & 31))
LANE_SHIFT(srlq, q, u64, 64, 64, a >> (n & 63))
LANE_SHIFT(sraw, w, s16, 16, 15, a >> n)
LANE_SHIFT(srad, d, s32, 32, 31, a >> (n & 31))

#undef LANE_SHIFT

/* ---- per lane: elements that move ------------------------------------------------------------ */

/* Interleaves the low or high halves. */
#define LANE_UNPACK(name, field, high)                                                             \
    static inline void lanes_##name(union vec *restrict d, const union vec *restrict s,            \
                                    unsigned bytes)                                                \
    {                                                                                              \
        const union vec t = *d;                                                                    \
        unsigned half = bytes / (2 * sizeof d->field[0]), from = (high) ? half : 0;                \
        for (unsigned i = 0; i < half; i++) {                                                      \
            d->field[2 * i] = t.field[from + i];                                                   \
            d->field[2 * i + 1] = s->field[from + i];                                              \
        }                                                                                          \
    }

LANE_UNPACK(unpcklbw, b, 0)
LANE_UNPACK(unpcklwd, w, 0)
LANE_UNPACK(unpckldq, d, 0)
LANE_UNPACK(unpcklqdq, q, 0)
LANE_UNPACK(unpckhbw, b, 1)
LANE_UNPACK(unpckhwd, w, 1)
LANE_UNPACK(unpckhdq, d, 1)
LANE_UNPACK(unpckhqdq, q, 1)

#undef LANE_UNPACK

/* Narrows with saturation: d's elements to the low half, s's to the high half. */
#define LANE_PACK(name, wide, type, narrow, sat)                                                   \
    static inline void lanes_##name(union vec *restrict d, const union vec *restrict s,            \
                                    unsigned bytes)                                                \
    {                                                                                              \
        const union vec t = *d;                                                                    \
        unsigned n = bytes / sizeof d->wide[0];                                                    \
        for (unsigned i = 0; i < n; i++) {                                                         \
            d->narrow[i] = (__typeof__(d->narrow[0]))sat((type)t.wide[i]);                         \
            d->narrow[n + i] = (__typeof__(d->narrow[0]))sat((type)s->wide[i]);                    \
        }                                                                                          \
    }

LANE_PACK(packsswb, w, s16, b, sat_s8)
LANE_PACK(packuswb, w, s16, b, sat_u8)
LANE_PACK(packssdw, d, s32, w, sat_s16)
LANE_PACK(packusdw, d, s32, w, sat_u16)

#undef LANE_PACK

/* Neighbours: pairs of d to the low half, pairs of s to the high half; x is the even element. */
#define LANE_HORIZONTAL(name, field, type, expr)                                                   \
    static inline void lanes_##name(union vec *restrict d, const union vec *restrict s,            \
                                    unsigned bytes)                                                \
    {                                                                                              \
        const union vec t = *d;                                                                    \
        unsigned n = bytes / sizeof d->field[0];                                                   \
        for (unsigned i = 0; i < n; i++) {                                                         \
            const union vec *v = i < n / 2 ? &t : s;                                               \
            unsigned j = 2 * i % n;                                                                \
            type x = (type)v->field[j], y = (type)v->field[j + 1];                                 \
            d->field[i] = (__typeof__(d->field[0]))(expr);                                         \
        }                                                                                          \
    }

LANE_HORIZONTAL(haddw, w, u16, x + y)
LANE_HORIZONTAL(haddd, d, u32, x + y)
LANE_HORIZONTAL(haddsw, w, s16, sat_s16(x + y))
LANE_HORIZONTAL(hsubw, w, u16, x - y)
LANE_HORIZONTAL(hsubd, d, u32, x - y)
LANE_HORIZONTAL(hsubsw, w, s16, sat_s16(x - y))

#undef LANE_HORIZONTAL

static inline void lanes_maddwd(union vec *restrict d, const union vec *restrict s, unsigned bytes)
{
    for (unsigned i = 0; i < bytes / 4; i++) {
        u32 lo = (u32)((s16)d->w[2 * i] * (s16)s->w[2 * i]);
        u32 hi = (u32)((s16)d->w[2 * i + 1] * (s16)s->w[2 * i + 1]);
        d->d[i] = lo + hi;
    }
}

/* d's bytes are unsigned, s's signed. */
static inline void lanes_maddubsw(union vec *restrict d, const union vec *restrict s,
                                  unsigned bytes)
{
    for (unsigned i = 0; i < bytes / 2; i++) {
        s32 lo = d->b[2 * i] * (s8)s->b[2 * i];
        s32 hi = d->b[2 * i + 1] * (s8)s->b[2 * i + 1];
        d->w[i] = (u16)sat_s16(lo + hi);
    }
}

static inline void lanes_sadbw(union vec *restrict d, const union vec *restrict s, unsigned bytes)
{
    for (unsigned i = 0; i < bytes / 8; i++) {
        u64 sum = 0;
        for (unsigned j = 8 * i; j < 8 * i + 8; j++)
            sum += (u64)(d->b[j] > s->b[j] ? d->b[j] - s->b[j] : s->b[j] - d->b[j]);
        d->q[i] = sum;
    }
}

static inline void lanes_shufb(union vec *restrict d, const union vec *restrict s, unsigned bytes)
{
    const union vec t = *d;
    for (unsigned i = 0; i < bytes; i++)
        d->b[i] = s->b[i] & 0x80 ? 0 : t.b[s->b[i] & (bytes - 1)];
}

/* The bytes of d:s (d is high) from byte `imm` on. */
static inline void lanes_alignr(union vec *restrict d, const union vec *restrict s, unsigned bytes,
                                unsigned imm)
{
    const union vec t = *d;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned j = i + imm;
        d->b[i] = j < bytes ? s->b[j] : j < 2 * bytes ? t.b[j - bytes] : 0;
    }
}

/* The sign bits of the bytes, byte 0's lowest. */
static inline u32 lanes_movmskb(const union vec *s, unsigned bytes)
{
    u32 mask = 0;
    /* the product gathers the eight bits at 7, 15 ... 63 in the top byte */
    for (unsigned i = 0; i < bytes / 8; i++)
        mask |= (u32)(((s->q[i] & 0x8080808080808080ull) * 0x0002040810204081ull) >> 56) << (8 * i);
    return mask;
}

/* The operations that MMX and SSE (up to SSSE3) both have. */
#define LANES_MMX_AND_SSE(X) LANES_NO_SHIFT(X) LANES_SHIFT_IMM(X)

// clang-format off
#define LANES_NO_SHIFT(X)                                                                          \
    X(and) X(andn) X(or) X(xor)                                                                    \
    X(addb) X(addw) X(addd) X(addq) X(subb) X(subw) X(subd) X(subq)                                \
    X(addsb) X(addsw) X(addusb) X(addusw) X(subsb) X(subsw) X(subusb) X(subusw)                    \
    X(cmpeqb) X(cmpeqw) X(cmpeqd) X(cmpgtb) X(cmpgtw) X(cmpgtd)                                    \
    X(minub) X(maxub) X(minsw) X(maxsw) X(avgb) X(avgw)                                            \
    X(mullw) X(mulhw) X(mulhuw) X(muludq) X(maddwd) X(sadbw)                                       \
    X(packsswb) X(packuswb) X(packssdw) X(unpckhbw) X(unpckhwd) X(unpckhdq)                        \
    X(haddw) X(haddd) X(haddsw) X(hsubw) X(hsubd) X(hsubsw)                                        \
    X(maddubsw) X(mulhrsw) X(shufb) X(signb) X(signw) X(signd) X(absb) X(absw) X(absd)

/* Those that MMX has not, or not with these operands (PUNPCKL). */
#define LANES_SSE_ONLY(X)                                                                          \
    X(unpcklbw) X(unpcklwd) X(unpckldq) X(unpcklqdq) X(unpckhqdq)                                  \
    X(cmpeqq) X(cmpgtq) X(minsb) X(minuw) X(minsd) X(minud) X(maxsb) X(maxuw) X(maxsd) X(maxud)    \
    X(mulld) X(muldq) X(packusdw)
// clang-format on

/* Shifts by an immediate, the groups 12 to 14. */
#define LANES_SHIFT_IMM(X) X(sllw) X(slld) X(sllq) X(srlw) X(srld) X(srlq) X(sraw) X(srad)
