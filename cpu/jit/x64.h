/*
 * x64.h: putting x86-64 instructions into a buffer: just the forms that the translator uses.
 *
 * Intel SDM vol. 2A chapter 2 (ModRM, SIB, REX, VEX). Code is written through the writable view of
 * the code memory; jumps are relative, so both views agree.
 */
#pragma once

#include "base/bits.h"

struct asmbuf {
    u8 *p; /* next byte, in the writable view */
    u8 *end;
    bool full; /* something did not fit: the translation is dropped */
    bool bmi2; /* the host has shifts that leave the flags alone */
    bool avx;  /* vector registers have 256 bits that count */
};

enum {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15
};

static inline void put8(struct asmbuf *a, unsigned v)
{
    if (a->p < a->end)
        *a->p++ = (u8)v;
    else
        a->full = true;
}

static inline void put32(struct asmbuf *a, u32 v)
{
    for (unsigned i = 0; i < 4; i++)
        put8(a, v >> (8 * i) & 0xff);
}

static inline void put64(struct asmbuf *a, u64 v)
{
    put32(a, (u32)v);
    put32(a, (u32)(v >> 32));
}

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

static inline void put_rex(struct asmbuf *a, unsigned w, unsigned reg, unsigned index, unsigned rm,
                           bool force)
{
    unsigned rex =
        (w ? REX_W : 0) | (reg & 8 ? REX_R : 0) | (index & 8 ? REX_X : 0) | (rm & 8 ? REX_B : 0);
    if (rex || force)
        put8(a, 0x40 | rex);
}

/* ModRM, SIB and displacement for [base + disp]. */
static inline void put_mem(struct asmbuf *a, unsigned reg, unsigned base, s32 disp)
{
    unsigned r = (reg & 7) << 3, b = base & 7;
    bool need_disp = disp || b == 5;
    unsigned mod = !need_disp ? 0 : disp >= -128 && disp <= 127 ? 0x40 : 0x80;
    put8(a, mod | r | b);
    if (b == 4)
        put8(a, 0x24);
    if (mod == 0x40)
        put8(a, (u8)disp);
    else if (mod == 0x80)
        put32(a, (u32)disp);
}

/* ModRM, SIB and displacement for [base + index << scale + disp]; base -1: none. index is not RSP.
 */
static inline void put_sib(struct asmbuf *a, unsigned reg, int base, unsigned index, unsigned scale,
                           s32 disp)
{
    unsigned r = (reg & 7) << 3, sib = scale << 6 | (index & 7) << 3;
    if (base < 0) {
        put8(a, r | 4);
        put8(a, sib | 5);
        put32(a, (u32)disp);
        return;
    }
    bool small = disp >= -128 && disp <= 127;
    put8(a, (small ? 0x40u : 0x80u) | r | 4);
    put8(a, sib | ((unsigned)base & 7));
    if (small)
        put8(a, (u8)disp);
    else
        put32(a, (u32)disp);
}

/* An instruction of two registers: opcode rm, reg. */
static inline void x_op_rr(struct asmbuf *a, unsigned w, unsigned opcode, unsigned rm, unsigned reg)
{
    put_rex(a, w, reg, 0, rm, false);
    put8(a, opcode);
    put8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* mov r64, [base + disp] and back; 32-bit forms with w = 0. */
static inline void x_load(struct asmbuf *a, unsigned w, unsigned reg, unsigned base, s32 disp)
{
    put_rex(a, w, reg, 0, base, false);
    put8(a, 0x8b);
    put_mem(a, reg, base, disp);
}

static inline void x_store(struct asmbuf *a, unsigned w, unsigned reg, unsigned base, s32 disp)
{
    put_rex(a, w, reg, 0, base, false);
    put8(a, 0x89);
    put_mem(a, reg, base, disp);
}

/* mov dword [base + disp], v */
static inline void x_store_imm(struct asmbuf *a, unsigned base, s32 disp, u32 v)
{
    put_rex(a, 0, 0, 0, base, false);
    put8(a, 0xc7);
    put_mem(a, 0, base, disp);
    put32(a, v);
}

static inline void x_mov(struct asmbuf *a, unsigned w, unsigned dst, unsigned src)
{
    put_rex(a, w, src, 0, dst, false);
    put8(a, 0x89);
    put8(a, 0xc0 | (src & 7) << 3 | (dst & 7));
}

static inline void x_mov_imm(struct asmbuf *a, unsigned reg, u64 v)
{
    if (v >> 32 == 0) {
        put_rex(a, 0, 0, 0, reg, false);
        put8(a, 0xb8 | (reg & 7));
        put32(a, (u32)v);
    } else if ((s64)v == (s32)v) {
        put_rex(a, 1, 0, 0, reg, false);
        put8(a, 0xc7);
        put8(a, 0xc0 | (reg & 7));
        put32(a, (u32)v);
    } else {
        put_rex(a, 1, 0, 0, reg, false);
        put8(a, 0xb8 | (reg & 7));
        put64(a, v);
    }
}

/* lea reg, [base + disp]; w 0: truncated to 32 bits */
static inline void x_lea(struct asmbuf *a, unsigned w, unsigned reg, unsigned base, s32 disp)
{
    put_rex(a, w, reg, 0, base, false);
    put8(a, 0x8d);
    put_mem(a, reg, base, disp);
}

static inline void x_lea_sib(struct asmbuf *a, unsigned w, unsigned reg, int base, unsigned index,
                             unsigned scale, s32 disp)
{
    put_rex(a, w, reg, index, base < 0 ? 0 : (unsigned)base, false);
    put8(a, 0x8d);
    put_sib(a, reg, base, index, scale, disp);
}

/* ---- shifts that leave the flags alone --------------------------------------------------------
 */

/* Shifts of 64 bits by an immediate: ModRM's /n. */
enum { SHIFT_ROR = 1, SHIFT_SHL = 4, SHIFT_SHR = 5, SHIFT_SAR = 7 };

/* mov dst, src; shift dst, n */
static inline void x_shift_imm(struct asmbuf *a, unsigned op, unsigned dst, unsigned src,
                               unsigned n)
{
    x_mov(a, 1, dst, src);
    put_rex(a, 1, 0, 0, dst, false);
    put8(a, 0xc1);
    put8(a, 0xc0 | op << 3 | (dst & 7));
    put8(a, n);
}

/* The same with the flags kept in AX meanwhile, and RAX in the red zone; neither register is RAX.
 */
static inline void x_shift_kept(struct asmbuf *a, unsigned op, unsigned dst, unsigned src,
                                unsigned n)
{
    static const u8 save[] = {0x48, 0x89, 0x44, 0x24, 0xf8,     /* mov [rsp - 8], rax */
                              0x9f,                             /* lahf */
                              0x0f, 0x90, 0xc0};                /* seto al */
    static const u8 restore[] = {0x04, 127,                     /* add al, 127: OF */
                                 0x9e,                          /* sahf */
                                 0x48, 0x8b, 0x44, 0x24, 0xf8}; /* mov rax, [rsp - 8] */
    for (unsigned i = 0; i < sizeof save; i++)
        put8(a, save[i]);
    x_shift_imm(a, op, dst, src, n);
    for (unsigned i = 0; i < sizeof restore; i++)
        put8(a, restore[i]);
}

/* shrx, shlx, sarx dst, src, count (BMI2), 64-bit; pp: 3 right, 1 left, 2 right with sign */
static inline void x_shift_x(struct asmbuf *a, unsigned pp, unsigned dst, unsigned src,
                             unsigned count)
{
    put8(a, 0xc4);
    put8(a, (dst & 8 ? 0 : 0x80) | 0x40 | (src & 8 ? 0 : 0x20) | 2);
    put8(a, 0x80 | (~count & 15) << 3 | pp);
    put8(a, 0xf7);
    put8(a, 0xc0 | (dst & 7) << 3 | (src & 7));
}

/* dst = src >> n. count: a register that may be spent, dst too. */
static inline void x_shr(struct asmbuf *a, unsigned dst, unsigned src, unsigned n, unsigned count)
{
    if (!a->bmi2) {
        x_shift_kept(a, SHIFT_SHR, dst, src, n);
        return;
    }
    x_mov_imm(a, count, n);
    x_shift_x(a, 3, dst, src, count);
}

/* rdx * src = high:low (BMI2) */
static inline void x_mulx(struct asmbuf *a, unsigned high, unsigned low, unsigned src)
{
    put8(a, 0xc4);
    put8(a, (high & 8 ? 0 : 0x80) | 0x40 | (src & 8 ? 0 : 0x20) | 2);
    put8(a, 0x80 | (~low & 15) << 3 | 3); /* W1, L0, F2 */
    put8(a, 0xf6);
    put8(a, 0xc0 | (high & 7) << 3 | (src & 7));
}

/* dst = src << n */
static inline void x_shl(struct asmbuf *a, unsigned dst, unsigned src, unsigned n, unsigned count)
{
    if (!a->bmi2) {
        x_shift_kept(a, SHIFT_SHL, dst, src, n);
        return;
    }
    x_mov_imm(a, count, n);
    x_shift_x(a, 1, dst, src, count);
}

/* dst = src >> 12, which is what the low six bits of RBP are (internal.h). */
static inline void x_shr12(struct asmbuf *a, unsigned dst, unsigned src)
{
    if (a->bmi2)
        x_shift_x(a, 3, dst, src, H_RBP);
    else
        x_shift_kept(a, SHIFT_SHR, dst, src, 12);
}

/* dst = src rotated right by n */
static inline void x_ror(struct asmbuf *a, unsigned dst, unsigned src, unsigned n)
{
    if (!a->bmi2) {
        x_shift_kept(a, SHIFT_ROR, dst, src, n);
        return;
    }
    put8(a, 0xc4);
    put8(a, (dst & 8 ? 0 : 0x80) | 0x40 | (src & 8 ? 0 : 0x20) | 3);
    put8(a, 0x80 | 0x78 | 3); /* W1, vvvv 1111, L0, F2 */
    put8(a, 0xf0);
    put8(a, 0xc0 | (dst & 7) << 3 | (src & 7));
    put8(a, n);
}

/* The same where the flags may go. */
static inline void x_ror_quick(struct asmbuf *a, unsigned dst, unsigned src, unsigned n)
{
    if (a->bmi2)
        x_ror(a, dst, src, n);
    else
        x_shift_imm(a, SHIFT_ROR, dst, src, n);
}

/* movzx dst32, byte of src */
static inline void x_movzx8(struct asmbuf *a, unsigned dst, unsigned src)
{
    put_rex(a, 0, dst, 0, src, src >= 4);
    put8(a, 0x0f);
    put8(a, 0xb6);
    put8(a, 0xc0 | (dst & 7) << 3 | (src & 7));
}

static inline void x_movzx16(struct asmbuf *a, unsigned dst, unsigned src)
{
    put_rex(a, 0, dst, 0, src, false);
    put8(a, 0x0f);
    put8(a, 0xb7);
    put8(a, 0xc0 | (dst & 7) << 3 | (src & 7));
}

/* A short forward jump; x_here resolves it. */
static inline u8 *x_jrcxz(struct asmbuf *a)
{
    put8(a, 0xe3);
    put8(a, 0);
    return a->p;
}

static inline void x_here(struct asmbuf *a, u8 *from)
{
    if (!a->full)
        from[-1] = (u8)(a->p - from);
}

/* Relative 32-bit jumps and calls; the target is an address in the writable view. */
static inline u8 *x_rel32(struct asmbuf *a, const u8 *target)
{
    put32(a, (u32)(target - (a->p + 4)));
    return a->p;
}

static inline u8 *x_jmp(struct asmbuf *a, const u8 *target)
{
    put8(a, 0xe9);
    return x_rel32(a, target);
}

static inline u8 *x_call(struct asmbuf *a, const u8 *target)
{
    put8(a, 0xe8);
    return x_rel32(a, target);
}

static inline u8 *x_jcc(struct asmbuf *a, unsigned cc, const u8 *target)
{
    put8(a, 0x0f);
    put8(a, 0x80 | cc);
    return x_rel32(a, target);
}

/* Points the 32-bit displacement that ends at `after` to `target`. */
static inline void x_patch(u8 *after, const u8 *target)
{
    st_le32(after - 4, (u32)(target - after));
}
