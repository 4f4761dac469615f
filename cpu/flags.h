/*
 * flags.h: arithmetic flags, lazily.
 *
 * Two words hold the six flags of the last flag-writing operation:
 *   res  its result, sign-extended to 64 bits: ZF = (res == 0), SF, PF from it
 *   aux  what the result cannot say:
 *        bit 63  CF            bit 62  carry into the sign bit (OF = bit 63 ^ bit 62)
 *        bit 3   AF            bit 0   SF is inverted
 *        bits 8-15  xor-ed into the result's low byte before its parity is taken
 * so a condition costs two or three operations and no dispatch on the operation's kind. The idea of
 * carry vectors is Mihocka and Shwartsman's ("Virtualization Without Direct Execution", 2008).
 */
#pragma once

#include "base/types.h"

#define EFLAGS_CF 0x00000001u
#define EFLAGS_PF 0x00000004u
#define EFLAGS_AF 0x00000010u
#define EFLAGS_ZF 0x00000040u
#define EFLAGS_SF 0x00000080u
#define EFLAGS_TF 0x00000100u
#define EFLAGS_IF 0x00000200u
#define EFLAGS_DF 0x00000400u
#define EFLAGS_OF 0x00000800u
#define EFLAGS_IOPL 0x00003000u
#define EFLAGS_NT 0x00004000u
#define EFLAGS_RF 0x00010000u
#define EFLAGS_VM 0x00020000u
#define EFLAGS_AC 0x00040000u
#define EFLAGS_VIF 0x00080000u
#define EFLAGS_VIP 0x00100000u
#define EFLAGS_ID 0x00200000u
#define EFLAGS_ARITH 0x000008d5u

struct flags {
    u64 res, aux;
};

#define AUX_CF BIT64(63)
#define AUX_PO BIT64(62) /* carry into the sign bit */
#define AUX_AF BIT64(3)
#define AUX_SD BIT64(0)
#define AUX_PDB 0xff00ull

static inline bool flag_c(const struct flags *f)
{
    return f->aux >> 63;
}

static inline bool flag_o(const struct flags *f)
{
    return ((f->aux >> 63) ^ (f->aux >> 62)) & 1;
}

static inline bool flag_z(const struct flags *f)
{
    return f->res == 0;
}

static inline bool flag_s(const struct flags *f)
{
    return ((f->res >> 63) ^ f->aux) & 1;
}

static inline bool flag_p(const struct flags *f)
{
    return !__builtin_parity((unsigned)(f->res ^ (f->aux >> 8)) & 0xff);
}

static inline bool flag_a(const struct flags *f)
{
    return (f->aux >> 3) & 1;
}

/* The six flags as EFLAGS bits. */
static inline u32 flags_get(const struct flags *f)
{
    return (u32)flag_c(f) | (u32)flag_p(f) << 2 | (u32)flag_a(f) << 4 | (u32)flag_z(f) << 6 |
           (u32)flag_s(f) << 7 | (u32)flag_o(f) << 11;
}

/* Sets the six flags from EFLAGS bits. */
static inline void flags_set(struct flags *f, u32 e)
{
    u64 c = e & EFLAGS_CF ? AUX_CF | AUX_PO : 0;
    u64 res = e & EFLAGS_ZF ? 0 : 0x100; /* sign clear, low byte 0 (even parity) */
    if (e & EFLAGS_OF)
        c ^= AUX_PO;
    f->res = res;
    f->aux = c | (e & EFLAGS_AF ? AUX_AF : 0) | (e & EFLAGS_SF ? AUX_SD : 0) |
             (e & EFLAGS_PF ? 0 : 0x0100);
}

/* Sets CF alone and keeps the others. */
static inline void flag_set_c(struct flags *f, bool c)
{
    bool o = flag_o(f);
    f->aux = (f->aux & ~(AUX_CF | AUX_PO)) | (c ? AUX_CF : 0) | ((c ^ o) ? AUX_PO : 0);
}

/* The producers. `res` and the operands may have garbage above `bits`; bits is a constant. */
static inline void flags_logic(struct flags *f, u64 res, unsigned bits)
{
    f->res = bits == 64 ? res : (u64)((s64)(res << (64 - bits)) >> (64 - bits));
    f->aux = 0;
}

static inline void flags_carries(struct flags *f, u64 res, u64 carries, unsigned bits)
{
    f->res = bits == 64 ? res : (u64)((s64)(res << (64 - bits)) >> (64 - bits));
    f->aux = ((carries << (64 - bits)) & (AUX_CF | AUX_PO)) | (carries & AUX_AF);
}

/* res = a + b (+ carry in) */
static inline void flags_add(struct flags *f, u64 a, u64 b, u64 res, unsigned bits)
{
    flags_carries(f, res, (a & b) | ((a | b) & ~res), bits);
}

/* res = a - b (- borrow in) */
static inline void flags_sub(struct flags *f, u64 a, u64 b, u64 res, unsigned bits)
{
    flags_carries(f, res, (~a & b) | ((~a | b) & res), bits);
}

/* Condition of Jcc, SETcc, CMOVcc: the opcode's low four bits. */
static inline bool flags_cond(const struct flags *f, unsigned cc)
{
    bool r;
    switch (cc >> 1) {
    case 0: r = flag_o(f); break;
    case 1: r = flag_c(f); break;
    case 2: r = flag_z(f); break;
    case 3: r = flag_c(f) || flag_z(f); break;
    case 4: r = flag_s(f); break;
    case 5: r = flag_p(f); break;
    case 6: r = flag_s(f) != flag_o(f); break;
    default: r = flag_z(f) || flag_s(f) != flag_o(f); break;
    }
    return r != (cc & 1);
}
