/*
 * float_operands.h: random operands for the tests of soft float and x87, thick where the rules change:
 * zeros, denormals, limits, infinities, NaNs, unsupported encodings, exponents that interact.
 */
#pragma once

#include "base/rng.h"
#include "cpu/softfloat.h"

static const u32 special32[] = {
    0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x400000, 0x800000, 0x80800000, 0x800001, 0x3f800000,
    0xbf800000, 0x3f7fffff, 0x3f800001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
    0xffc00000, 0x7fc00001, 0x7f800001, 0xffa00000, 0x7fbfffff, 0x4effffff, 0x4f000000, 0xcf000000,
    0x5f000000, 0xdf000000, 0x3f000000, 0x3fc00000, 0x40200000, 0x4b000001, 0x7f000000, 0x00ffffff,
};

static u64 rnd_special64(struct rng *r)
{
    static const u64 special[] = {
        0, 1ull << 63, 1, 0x800fffffffffffffull, 0x8000000000000ull, 0x10000000000000ull,
        0x8010000000000000ull, 0x10000000000001ull, 0x3ff0000000000000ull, 0xbff0000000000000ull,
        0x3fefffffffffffffull, 0x3ff0000000000001ull, 0x7fefffffffffffffull, 0xffefffffffffffffull,
        0x7ff0000000000000ull, 0xfff0000000000000ull, 0x7ff8000000000000ull, 0xfff8000000000001ull,
        0x7ff0000000000001ull, 0xfff4000000000000ull, 0x41dfffffffc00000ull, 0x41e0000000000000ull,
        0xc1e0000000000000ull, 0xc1e0000000200000ull, 0x43e0000000000000ull, 0xc3e0000000000000ull,
        0x3fe0000000000000ull, 0x3ff8000000000000ull, 0x4004000000000000ull, 0x4330000000000001ull,
        0x380fffffffffffffull, 0x380ffffff0000000ull, 0x36a0000000000000ull, 0x369fffffffffffffull,
        0x47efffffe0000000ull, 0x47efffffefffffffull, 0x47effffff0000000ull, 0x3690000000000000ull,
    };
    return special[rng_below(r, sizeof special / sizeof special[0])];
}

static u32 rnd32(struct rng *r)
{
    u32 v = (u32)rng_next(r);
    switch (rng_below(r, 6)) {
    case 0: return special32[rng_below(r, sizeof special32 / sizeof special32[0])];
    case 1: return (v & 0x807fffff) | (u32)(117 + rng_below(r, 20)) << 23;
    case 2: return (v & 0x807ff000) | (u32)(120 + rng_below(r, 16)) << 23;
    case 3: return (v & 0x807fffff) | (u32)rng_below(r, 30) << 23;
    case 4: return (v & 0x807fffff) | (u32)(225 + rng_below(r, 30)) << 23;
    default: return v;
    }
}

static u64 rnd64(struct rng *r)
{
    u64 v = rng_next(r), frac = v & 0x800fffffffffffffull;
    switch (rng_below(r, 8)) {
    case 0: return rnd_special64(r);
    case 1: return frac | (1013 + rng_below(r, 20)) << 52;
    case 2: return (v & 0x800fffff00000000ull) | (1015 + rng_below(r, 16)) << 52;
    case 3: return frac | rng_below(r, 60) << 52;
    case 4: return frac | (1987 + rng_below(r, 60)) << 52;
    case 5: return frac | (1023 - 160 + rng_below(r, 60)) << 52; /* denormal as a single */
    case 6: return (v & 0x800fffffe0000000ull) | (1023 - 130 + rng_below(r, 260)) << 52;
    default: return v;
    }
}

static struct f80 rnd80(struct rng *r)
{
    static const u64 mants[] = {0, 1, 1ull << 63, 3ull << 62, ~0ull, (3ull << 62) + 1, (1ull << 63) + 1,
                                1ull << 62, ~0ull << 40, ~0ull << 11, (1ull << 63) | 1ull << 39};
    static const u16 exps[] = {0, 1, 0x7fff, 0x7ffe, 0x3fff, 0x3ffe, 0x403e, 0x403d, 2, 0x4000};
    struct f80 v = {rng_next(r), (u16)rng_next(r)};
    u16 sign = v.se & 0x8000;
    switch (rng_below(r, 8)) {
    case 0:
        v.mant = mants[rng_below(r, sizeof mants / sizeof mants[0])];
        v.se = (u16)(sign | exps[rng_below(r, sizeof exps / sizeof exps[0])]);
        return v;
    case 1: v.mant >>= rng_below(r, 64); v.se = sign; return v; /* (pseudo-)denormal */
    case 2: v.se = (u16)(sign | (0x3ff0 + rng_below(r, 32))); break;
    case 3: v.se = (u16)(sign | (0x3ff0 + rng_below(r, 100))); v.mant &= ~0ull << rng_below(r, 64); break;
    case 4: v.se = (u16)(sign | rng_below(r, 70)); break;
    case 5: v.se = (u16)(sign | (0x7fff - rng_below(r, 70))); break;
    case 6: v.se = (u16)(sign | (0x3fff - 0x480 + rng_below(r, 0x900))); break;
    default: return v;
    }
    v.mant |= 1ull << 63;
    return v;
}
