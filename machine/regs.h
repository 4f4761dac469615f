/*
 * regs.h: every register of a CPU by its name: THE table behind expressions, `print`, `set` and the
 * gdb stub. Only while the CPU does not run.
 */
#pragma once

#include "cpu/cpu.h"

enum reg_group {
    REGS_GENERAL,
    REGS_PART,    /* of a general register: EAX, AX, AL, AH */
    REGS_SEGMENT, /* selectors, bases, limits, rights */
    REGS_X87,
    REGS_VECTOR,
    REGS_CONTROL, /* CR, EFER, XCR0, table registers */
    REGS_DEBUG,
    REGS_MSR, /* named msr_*; there when the CPU model has it */
};

struct reg {
    const char *name; /* as in the manuals, in small letters */
    u16 bits;         /* 1 to 256 */
    enum reg_group group;
    u32 arg; /* what get and set look at */
    void (*get)(struct cpu *cpu, u32 arg, union vec *v);
    /* False: the CPU cannot have this value. NULL: the register cannot be written. */
    bool (*set)(struct cpu *cpu, u32 arg, const union vec *v);
};

/* By number from 0; NULL beyond the last. */
const struct reg *reg_at(unsigned n);
/* By name, in any case; NULL: none. */
const struct reg *reg_find(const char *name, size_t len);
/* Is it a general register or a part of one? Then `arg` is its number, its first bit << 8, its bits << 16. */
bool reg_is_part(const struct reg *r);
/* The value in the low bits of *v, the rest 0. */
void reg_read(struct cpu *cpu, const struct reg *r, union vec *v);
bool reg_write(struct cpu *cpu, const struct reg *r, const union vec *v);
/* The low 64 bits. */
u64 reg_read64(struct cpu *cpu, const struct reg *r);

/* 16, 32 or 64: what the CPU takes its code for. */
static inline unsigned reg_code_bits(const struct cpu *cpu)
{
    return cpu->key & KEY_CODE64 ? 64 : cpu->key & KEY_CODE32 ? 32 : 16;
}

/* The linear address of the next instruction. */
static inline gva_t reg_pc(const struct cpu *cpu)
{
    return (cpu->seg[SEG_CS].base + cpu->rip) & cpu->amask;
}
