/* oracle_loops.h: shared by the files of the generator of loops only. See oracle_loops.c. */
#pragma once

#include "base/bits.h"
#include "cpu/cpu.h"
#include "tests/insn/oracle.h"
#include "tests/insn/rows.h"

/* A program while it grows. Each register has one role: data, which anything may happen to; base,
 * a pointer into DATA; index, small; counter of a loop; or it is not used at all. */
struct writer {
    struct rng *rng;
    struct oracle_loop *loop;
    struct oracle_case *c;
    u64 gates;
    bool is64;
    u32 data, counters, used;
    u64 undefined;   /* flags, here */
    unsigned pushed; /* bytes on the stack */
    bool alone;     /* a data register is a pointer meanwhile: no calls, no other pointers change */
    bool in_leaf;   /* above lies what the caller pushed, maybe a return address */
    unsigned frame; /* bytes below RBP that are ours; 0: RBP is no frame pointer */
    bool near[2];   /* FS, GS: their base is small, and is added to a pointer; else it is one */
};

static inline unsigned pick(struct writer *w, u32 regs)
{
    unsigned r;
    do
        r = (unsigned)rng_below(w->rng, 16);
    while (!(regs >> r & 1));
    return r;
}

static inline unsigned slot_size(const struct writer *w)
{
    return w->is64 ? 8 : 4;
}

enum { NO_REG = -1 };

struct operand {
    bool mem, rip, addr32;
    u8 reg, seg, scale;
    int base, index; /* registers, or NO_REG */
    s32 disp;        /* of RIP: the address */
};

static inline struct operand reg_operand(unsigned r)
{
    return (struct operand){.reg = (u8)r, .base = NO_REG, .index = NO_REG};
}

/* One instruction for put_insn. Byte registers 16 to 19 are AH to BH. */
struct form {
    unsigned map; /* 0: one byte; 0x0f; 0x0f38, 0x0f3a */
    unsigned opcode;
    unsigned size;   /* of the operands in bytes, by 66 and REX.W */
    unsigned prefix; /* 66, F2 or F3; 0: none */
    bool vex, vex_l; /* VEX-encoded; with 256 bits */
    unsigned vvvv;
    bool has_modrm, byte_reg, byte_rm, lock;
    unsigned reg; /* or the opcode's extension */
    struct operand rm;
    unsigned imm_bytes;
    u64 imm;
};

/* Is there room for a piece of program? Then there is for all of its instructions. */
bool has_room(const struct writer *w);
/* Appends it. False, and nothing is there: it cannot be encoded, or it reads flags that are not
 * defined here. */
bool put_insn(struct writer *w, const struct form *f);
/* CMP of something: all flags are defined. */
void define_flags(struct writer *w);
/* PUSH or POP: 50, 58. */
void put_stack(struct writer *w, unsigned opcode, unsigned reg);
/* A random instruction that keeps the roles of registers. */
void random_insn(struct writer *w);
struct operand random_memory(struct writer *w);
/* Somewhere in DATA for an operand. */
u32 random_place(struct rng *rng);
