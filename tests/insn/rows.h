/*
 * rows.h: random encodings of a row of insn.def, for the tests that go over the whole table.
 *
 * The generator knows the columns of a row, not the decoder: the caller asks the decoder whether
 * the bytes select the row, and learns from it how many of them belong to the instruction.
 */
#pragma once

#include "base/rng.h"
#include "cpu/decode.h"
#include <string.h>

#define ALL_GATES (~0ull)
#define ROW_BYTES 32 /* an encoding and random bytes behind it */

struct encoder {
    struct rng *rng;
    u8 *out;
    unsigned len;
};

static inline bool one_in(struct rng *rng, unsigned n)
{
    return rng_below(rng, n) == 0;
}

static inline void put(struct encoder *e, unsigned b)
{
    e->out[e->len++] = (u8)b;
}

static inline u8 random_modrm(struct rng *rng, const struct insn_row *r)
{
    u8 m = (u8)rng_next(rng);

    if (r->modrm & MRM_HAS_REG)
        m = (u8)((m & ~0x38) | (r->modrm & 7) << 3);
    if (r->modrm & MRM_HAS_RM)
        m = (u8)((m & ~7) | (r->modrm >> 3 & 7));
    if (r->modrm & MRM_REG)
        m |= 0xc0;
    if (r->modrm & MRM_MEM && m >= 0xc0)
        m &= 0x3f | (u8)(rng_below(rng, 3) << 6);
    return m;
}

/* Legacy prefixes that keep the row, some required, some at random. */
static inline void put_prefixes(struct encoder *e, const struct insn_row *r, unsigned code)
{
    static const u8 segments[6] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    bool want66 = r->pfx == P66, late66 = one_in(e->rng, 4);

    if (r->pfx == ANY || r->pfx == PF2 || r->pfx == PF3)
        want66 = r->attr & A_O16 ? code != 16 : r->attr & A_O32 ? code == 16 : one_in(e->rng, 4);
    if (r->attr & (A_A16 | A_A32 | A_A64)) {
        if ((r->attr & A_A16 && code != 16) || (r->attr & A_A32 && code != 32))
            put(e, 0x67);
    } else if (one_in(e->rng, 8)) {
        put(e, 0x67);
    }
    if (one_in(e->rng, 8))
        put(e, segments[rng_below(e->rng, 6)]);
    if (r->attr & A_LOCK && one_in(e->rng, 8))
        put(e, 0xf0);
    if (want66 && !late66)
        put(e, 0x66);
    if (r->pfx == PF2 || r->pfx == PF3)
        put(e, r->pfx == PF2 ? 0xf2 : 0xf3);
    else if (r->attr & A_REP && one_in(e->rng, 2))
        put(e, one_in(e->rng, 2) ? 0xf2 : 0xf3);
    if (want66 && late66)
        put(e, 0x66);
    if (one_in(e->rng, 16))
        put(e, segments[rng_below(e->rng, 6)]);
}

static inline void put_rex(struct encoder *e, const struct insn_row *r)
{
    unsigned rex = 0x40 | (unsigned)rng_below(e->rng, 16);

    if (!(r->attr & A_W1) && one_in(e->rng, 2))
        return;
    if (r->attr & A_W1)
        rex |= 8;
    if (r->attr & A_W0)
        rex &= ~8u;
    if (r->attr & A_B0)
        rex &= ~1u;
    put(e, rex);
}

static inline bool row_is_vex(const struct insn_row *r)
{
    return r->map == VEX_0F || r->map == VEX_38 || r->map == VEX_3A;
}

static inline bool row_has_letter(const struct insn_row *r, enum insn_opnd letter)
{
    for (unsigned i = 0; i < INSN_OPERANDS_MAX; i++)
        if (r->opnd[i] == letter)
            return true;
    return false;
}

static inline void put_vex(struct encoder *e, const struct insn_row *r, unsigned code)
{
    unsigned pp = r->pfx == P66 ? 1 : r->pfx == PF3 ? 2 : r->pfx == PF2 ? 3 : 0;
    unsigned map = r->map == VEX_0F ? 1 : r->map == VEX_38 ? 2 : 3;
    unsigned vvvv = row_has_letter(r, OPND_By) || row_has_letter(r, OPND_Hx)
                        ? (unsigned)rng_below(e->rng, 16)
                        : 15;
    unsigned w = r->attr & A_W1 ? 1 : r->attr & A_W0 ? 0 : (unsigned)rng_below(e->rng, 2);
    unsigned l = r->attr & A_L1 ? 1 : r->attr & A_L0 ? 0 : (unsigned)rng_below(e->rng, 2);
    unsigned rxb = code == 64 ? (unsigned)rng_below(e->rng, 8) : 7;

    put(e, 0xc4);
    put(e, rxb << 5 | map);
    put(e, w << 7 | vvvv << 3 | l << 2 | pp);
}

/* Fills out[ROW_BYTES] so that in code of 16, 32 or 64 bits it is likely to select row r. Returns
 * where the ModRM byte, or without one the opcode, ends: a SIB byte, a displacement, an immediate.
 */
static inline unsigned row_encode(const struct insn_row *r, struct rng *rng, unsigned code, u8 *out)
{
    static const u8 escape[INSN_MAPS] = {[T38] = 0x38, [T3A] = 0x3a};
    struct encoder e = {.rng = rng, .out = out};

    for (unsigned i = 0; i < ROW_BYTES; i++)
        out[i] = (u8)rng_next(rng);
    if (row_is_vex(r)) {
        put_vex(&e, r, code);
    } else {
        put_prefixes(&e, r, code);
        if (code == 64)
            put_rex(&e, r);
        if (r->map != OB)
            put(&e, 0x0f);
        if (escape[r->map])
            put(&e, escape[r->map]);
    }
    put(&e, r->opcode + (r->attr & A_PLUSR ? (unsigned)rng_below(rng, 8) : 0));
    if (r->modrm)
        put(&e, random_modrm(rng, r));
    return e.len;
}

/* The same, tried until the decoder selects the row; false when it did not in 200 tries. */
static inline bool row_instruction(unsigned row, struct rng *rng, unsigned code, u64 gates, u8 *out,
                                   struct insn *in)
{
    const struct insn_row *r = &insn_rows[row];

    if (r->attr & A_NODECODE || r->attr & (code == 64 ? A_I64 : A_O64))
        return false;
    if (code != 64 && !row_is_vex(r) && r->attr & A_W1)
        return false;
    for (unsigned i = 0; i < 200; i++) {
        row_encode(r, rng, code, out);
        if (decode(out, INSN_MAX_BYTES, code, false, gates, in) == DECODE_OK && in->row == row)
            return true;
    }
    return false;
}
