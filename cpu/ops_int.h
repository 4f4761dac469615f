/*
 * ops_int.h: what the handlers of the general instruction set (ops_alu.c and its neighbours) share:
 * ways to write families of handlers, the flat stack, branch targets.
 *
 * Handlers come in the variants of struct insn_ops. The macros below only stamp the same few lines
 * for sizes and address forms; what an instruction does stands in one inline function.
 *
 * Rule: a handler must not own a local whose address escapes (struct mem_rmw), or the compiler can
 * not make NEXT a jump. Such work goes into a function of its own, marked NOINLINE.
 */
#pragma once

#include "cpu/exec.h"

#define NOINLINE __attribute__((noinline))

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *in)

/* A handler whose work is done in a function that follows, and that goes on to the next record. */
#define HANDLER_STEP(name)                                                                         \
    static void name##_step(struct cpu *cpu, const struct insn *in);                               \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        name##_step(cpu, in);                                                                      \
        NEXT;                                                                                      \
    }                                                                                              \
    static NOINLINE void name##_step(struct cpu *cpu, const struct insn *in)

/* Lists of the variants of a family, for initialising struct insn_ops. */
#define SIZES_8_64(name)                                                                           \
    {                                                                                              \
        name##8, name##16, name##32, name##64                                                      \
    }
#define SIZES_16_64(name)                                                                          \
    {                                                                                              \
        NULL, name##16, name##32, name##64                                                         \
    }
#define SIZES_32_64(name)                                                                          \
    {                                                                                              \
        NULL, NULL, name##32, name##64                                                             \
    }

/* Address of a memory operand: flat variants (m), and any segmentation (s). */
#define ADDR_m(bits, kind) ea_flat(cpu, in)
#define ADDR_s(bits, kind) mem_addr(cpu, in, (bits) / 8, kind)

/* Byte offset of CL in the register file. */
#define REG8_CL (RCX * 8u)

/* ---- flags ----------------------------------------------------------------------------------- */

/* Sets CF and OF and keeps the others. */
static inline void flags_set_co(struct flags *f, bool c, bool o)
{
    f->aux = (f->aux & ~(AUX_CF | AUX_PO)) | (u64)c << 63 | (u64)(c ^ o) << 62;
}

/* SF, ZF, PF of a result, CF and OF given, AF clear. */
static inline void flags_result_co(struct flags *f, u64 res, bool c, bool o, unsigned bits)
{
    flags_logic(f, res, bits);
    f->aux = (u64)c << 63 | (u64)(c ^ o) << 62;
}

/* ---- stack ----------------------------------------------------------------------------------- */

/* Reads `size` bytes at the stack pointer plus `above`, in any mode; pops nothing. */
u64 stack_peek(struct cpu *cpu, const struct insn *in, unsigned above, unsigned size);

/*
 * Flat stack: the variants r and m of rows whose ops have .stack set. The binder takes them when
 * the stack is flat: 64-bit code, or 32-bit code with KEY_FLAT and KEY_SS32 (m also wants a flat
 * memory operand). Everything else runs `any`.
 */
static inline void push_flat(struct cpu *cpu, const struct insn *in, u64 v, unsigned size)
{
    u64 sp = (cpu->gpr[RSP] - size) & cpu->amask;
    u8 *p = mem_fast_w(cpu, sp, size);
    if (unlikely(!p)) {
        stack_push(cpu, in, v, size);
    } else {
        st_le(p, v, size);
        cpu->gpr[RSP] = sp;
    }
}

static inline u64 peek_flat(struct cpu *cpu, const struct insn *in, unsigned size)
{
    const u8 *p = mem_fast_r(cpu, cpu->gpr[RSP] & cpu->amask, size);
    return likely(p != NULL) ? ld_le(p, size) : stack_peek(cpu, in, 0, size);
}

static inline void drop_flat(struct cpu *cpu, u64 bytes)
{
    cpu->gpr[RSP] = (cpu->gpr[RSP] + bytes) & cpu->amask;
}

/* ---- branches -------------------------------------------------------------------------------- */

/* Raises #GP(0) unless the target is canonical for the paging mode. */
void branch_check_canonical(struct cpu *cpu, const struct insn *in, u64 target);

/* Truncates a near branch's target to the operand size and checks it: inside the CS limit, or
 * canonical in 64-bit code (where near branches always have 64-bit operands). Commits nothing. */
static inline u64 branch_target(struct cpu *cpu, const struct insn *in, u64 target, unsigned bits)
{
    if (bits == 64) {
        if (unlikely((target + BIT64(47)) >> 48))
            branch_check_canonical(cpu, in, target);
        return target;
    }
    target &= mask64(bits);
    if (unlikely(target > cpu->seg[SEG_CS].limit))
        excp_gp(cpu, in, 0);
    return target;
}

/* Target of a relative branch. */
static inline u64 branch_rel(struct cpu *cpu, const struct insn *in, unsigned bits)
{
    return branch_target(cpu, in, insn_next_rip(cpu, in) + (u64)(s64)in->imm, bits);
}
