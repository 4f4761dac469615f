/*
 * fpu.h: the x87 register file as other instructions see it: gates, tags, TOP, pending exceptions.
 *
 * SDM vol. 1 8.1 (x87 state), vol. 2A FXSAVE, vol. 3A 2.5 (CR0.EM, MP, NE, TS), 9.2.
 * The gates fpu_check, mmx_check and sse_check are declared in exec.h and live in fpu.c too.
 */
#pragma once

#include "cpu/cpu.h"

#define SW_IE 0x0001u
#define SW_DE 0x0002u
#define SW_ZE 0x0004u
#define SW_OE 0x0008u
#define SW_UE 0x0010u
#define SW_PE 0x0020u
#define SW_SF 0x0040u
#define SW_ES 0x0080u
#define SW_C0 0x0100u
#define SW_C1 0x0200u
#define SW_C2 0x0400u
#define SW_TOP 0x3800u
#define SW_C3 0x4000u
#define SW_B 0x8000u

static inline unsigned x87_top(const struct x87 *x)
{
    return (x->sw >> 11) & 7;
}

static inline void x87_set_top(struct x87 *x, unsigned top)
{
    x->sw = (u16)((x->sw & ~SW_TOP) | (top & 7) << 11);
}

/* ST(i)'s physical register. */
static inline unsigned x87_phys(const struct x87 *x, unsigned i)
{
    return (x87_top(x) + i) & 7;
}

/* WAIT: #NM when CR0.MP and TS are both set, then a pending #MF. */
void fpu_check_wait(struct cpu *cpu, const struct insn *in);
/* Makes FERR# follow SW.ES when CR0.NE is 0: after SW or CW were loaded with something new. */
void fpu_signal(struct cpu *cpu);

/* Power-up (reset: registers are +0, tags valid zero) and FNINIT. */
void x87_reset(struct x87 *x);
void x87_init(struct x87 *x);

/* The 16-bit tag word of FSTENV: 00 valid, 01 zero, 10 special, 11 empty, by physical register. */
u16 x87_tag_word(const struct x87 *x);
void x87_set_tag_word(struct x87 *x, u16 tw);
/* The byte of FXSAVE and XSAVE: bit i set: R_i is not empty. */
static inline u8 x87_abridged_tag(const struct x87 *x)
{
    return (u8)~x->empty;
}
static inline void x87_set_abridged_tag(struct x87 *x, u8 tag)
{
    x->empty = (u8)~tag;
}

/* Sets CW or SW (FLDCW, FLDENV, FXRSTOR, XRSTOR), fixes reserved bits and makes ES and B agree with
 * the flags and masks. */
void x87_set_cw(struct x87 *x, u16 cw);
void x87_set_sw(struct x87 *x, u16 sw);

/* What every MMX instruction but EMMS does to x87 state: TOP 0, all tags valid. */
static inline void x87_enter_mmx(struct x87 *x)
{
    x->sw &= (u16)~SW_TOP;
    x->empty = 0;
}

/* MMi is the significand of R_i; writing sets the exponent to all ones. */
static inline u64 x87_mmx_get(const struct x87 *x, unsigned i)
{
    return x->st[i & 7].mant;
}
static inline void x87_mmx_set(struct x87 *x, unsigned i, u64 v)
{
    x->st[i & 7] = (struct f80){v, 0xffff};
}
