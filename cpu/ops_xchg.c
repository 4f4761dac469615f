/*
 * ops_xchg.c: XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B.
 *
 * Intel SDM vol. 2. The compare-and-exchange instructions always write their memory operand, with
 * the old value when the comparison fails, so a read-only operand faults as a write either way. Of
 * the registers only the one that takes a new value is written: with 32-bit operands the other one
 * keeps bits 63:32.
 */
#include "cpu/ops_int.h"

/* ---- XCHG ------------------------------------------------------------------------------------ */

#define XCHG_SIZE(bits)                                                                            \
    HANDLER(xchg_eg_r##bits)                                                                       \
    {                                                                                              \
        u##bits v = reg##bits(cpu, in->rm);                                                        \
        set_reg##bits(cpu, in->rm, reg##bits(cpu, in->reg));                                       \
        set_reg##bits(cpu, in->reg, v);                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    static NOINLINE void xchg_mem##bits(struct cpu *cpu, const struct insn *in, gva_t va)          \
    {                                                                                              \
        struct mem_rmw m;                                                                          \
        u##bits v;                                                                                 \
        do {                                                                                       \
            void *p = mem_rmw_locked(cpu, in, va, bits / 8, &m);                                   \
            v = (u##bits)mem_ld(p, bits / 8);                                                      \
            mem_st(p, reg##bits(cpu, in->reg), bits / 8);                                          \
        } while (!mem_rmw_end(cpu, in, &m));                                                       \
        set_reg##bits(cpu, in->reg, v);                                                            \
    }                                                                                              \
    HANDLER(xchg_eg_m##bits)                                                                       \
    {                                                                                              \
        xchg_mem##bits(cpu, in, ea_flat(cpu, in));                                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(xchg_eg_s##bits)                                                                       \
    {                                                                                              \
        xchg_mem##bits(cpu, in, mem_addr(cpu, in, bits / 8, ACCESS_WRITE));                        \
        NEXT;                                                                                      \
    }

XCHG_SIZE(8)
XCHG_SIZE(16)
XCHG_SIZE(32)
XCHG_SIZE(64)
const struct insn_ops ops_xchg_eg = {
    .r = SIZES_8_64(xchg_eg_r),
    .m = SIZES_8_64(xchg_eg_m),
    .s = SIZES_8_64(xchg_eg_s),
    .l = SIZES_8_64(xchg_eg_s), /* locked without the prefix as well */
};

/* XCHG Z, rAX */
#define XCHG_RAX(bits)                                                                             \
    HANDLER(xchg_rax_r##bits)                                                                      \
    {                                                                                              \
        u##bits v = reg##bits(cpu, in->rm);                                                        \
        set_reg##bits(cpu, in->rm, reg##bits(cpu, RAX));                                           \
        set_reg##bits(cpu, RAX, v);                                                                \
        NEXT;                                                                                      \
    }

XCHG_RAX(16)
XCHG_RAX(32)
XCHG_RAX(64)
const struct insn_ops ops_xchg_rax = {.r = SIZES_16_64(xchg_rax_r)};

/* ---- XADD, CMPXCHG --------------------------------------------------------------------------- */

static inline void flags_by_size(struct flags *f, bool subtract, u64 a, u64 b, u64 res,
                                 unsigned size)
{
    unsigned bits = size * 8;
    if (subtract)
        flags_sub(f, a, b, res, bits);
    else
        flags_add(f, a, b, res, bits);
}

/* The destination is written last: XADD of a register with itself doubles it. */
HANDLER_STEP(xadd)
{
    unsigned size = in->osz;
    u64 a, b = reg_get(cpu, in->reg, size);
    if (in->mem) {
        gva_t va = mem_addr(cpu, in, size, ACCESS_WRITE);
        struct mem_rmw m;
        do {
            void *p = mem_rmw(cpu, in, va, size, &m);
            a = mem_ld(p, size);
            mem_st(p, a + b, size);
        } while (!mem_rmw_end(cpu, in, &m));
        reg_set(cpu, in->reg, a, size);
    } else {
        a = reg_get(cpu, in->rm, size);
        reg_set(cpu, in->reg, a, size);
        reg_set(cpu, in->rm, a + b, size);
    }
    flags_by_size(&cpu->flags, false, a, b, a + b, size);
}

HANDLER_STEP(cmpxchg)
{
    unsigned size = in->osz;
    u64 acc = reg_get(cpu, RAX, size), src = reg_get(cpu, in->reg, size), dest;
    if (in->mem) {
        gva_t va = mem_addr(cpu, in, size, ACCESS_WRITE);
        struct mem_rmw m;
        do {
            void *p = mem_rmw(cpu, in, va, size, &m);
            dest = mem_ld(p, size);
            mem_st(p, dest == acc ? src : dest, size);
        } while (!mem_rmw_end(cpu, in, &m));
    } else {
        dest = reg_get(cpu, in->rm, size);
        if (dest == acc)
            reg_set(cpu, in->rm, src, size);
    }
    if (dest != acc)
        reg_set(cpu, RAX, dest, size);
    flags_by_size(&cpu->flags, true, acc, dest, acc - dest, size);
}

const struct insn_ops ops_xadd = {.any = xadd};
const struct insn_ops ops_cmpxchg = {.any = cmpxchg};

/* ---- CMPXCHG8B, CMPXCHG16B ------------------------------------------------------------------- */

/* Only ZF changes. */
static void flags_set_z(struct flags *f, bool z)
{
    u32 e = flags_get(f) & ~EFLAGS_ZF;
    flags_set(f, e | (z ? EFLAGS_ZF : 0));
}

/* Compares high:low at `va` with RDX:RAX (halves of `half` bytes), exchanges with RCX:RBX. */
static void exchange_pair(struct cpu *cpu, const struct insn *in, gva_t va, unsigned half)
{
    struct mem_rmw m;
    u64 low, high;
    bool equal;
    do {
        u8 *p = mem_rmw(cpu, in, va, 2 * half, &m);
        low = mem_ld(p, half);
        high = mem_ld(p + half, half);
        equal = low == reg_get(cpu, RAX, half) && high == reg_get(cpu, RDX, half);
        if (equal) {
            mem_st(p, reg_get(cpu, RBX, half), half);
            mem_st(p + half, reg_get(cpu, RCX, half), half);
        }
    } while (!mem_rmw_end(cpu, in, &m));
    if (!equal) {
        reg_set(cpu, RAX, low, half);
        reg_set(cpu, RDX, high, half);
    }
    flags_set_z(&cpu->flags, equal);
}

HANDLER_STEP(cmpxchg8b)
{
    exchange_pair(cpu, in, mem_addr(cpu, in, 8, ACCESS_WRITE), 4);
}

HANDLER_STEP(cmpxchg16b)
{
    gva_t va = mem_addr(cpu, in, 16, ACCESS_WRITE);
    if (va & 15)
        excp_gp(cpu, in, 0);
    exchange_pair(cpu, in, va, 8);
}

const struct insn_ops ops_cmpxchg8b = {.any = cmpxchg8b};
const struct insn_ops ops_cmpxchg16b = {.any = cmpxchg16b};
