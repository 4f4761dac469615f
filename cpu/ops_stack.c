/*
 * ops_stack.c: PUSH, POP of general operands and immediates, PUSHA, POPA, ENTER, LEAVE.
 *
 * Intel SDM vol. 2 and vol. 1, 6.2. As on the 286 and later, PUSH SP stores the value from before
 * the instruction. RSP changes only when everything that may fault has passed.
 *
 * Not here: PUSHF, POPF and segment registers (the system section), CALL and RET (ops_branch.c).
 */
#include "cpu/ops_int.h"

u64 stack_peek(struct cpu *cpu, const struct insn *in, unsigned above, unsigned size)
{
    u64 off = (cpu->gpr[RSP] + above) & stack_mask(cpu);
    return mem_read(cpu, in, seg_addr(cpu, in, SEG_SS, off, size, ACCESS_READ), size);
}

static void stack_poke(struct cpu *cpu, const struct insn *in, u64 sp, u64 v, unsigned size)
{
    u64 off = sp & stack_mask(cpu);
    mem_write(cpu, in, seg_addr(cpu, in, SEG_SS, off, size, ACCESS_WRITE), v, size);
}

/* ---- PUSH ------------------------------------------------------------------------------------ */

#define PUSH_SIZE(bits)                                                                            \
    HANDLER(push_e_r##bits)                                                                        \
    {                                                                                              \
        push_flat(cpu, in, reg##bits(cpu, in->rm), bits / 8);                                      \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(push_e_m##bits)                                                                        \
    {                                                                                              \
        push_flat(cpu, in, mem_read##bits(cpu, in, ea_flat(cpu, in)), bits / 8);                   \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(push_i_r##bits)                                                                        \
    {                                                                                              \
        push_flat(cpu, in, (u64)(s64)in->imm, bits / 8);                                           \
        NEXT;                                                                                      \
    }

PUSH_SIZE(16)
PUSH_SIZE(32)
PUSH_SIZE(64)

HANDLER(push_e_any)
{
    stack_push(cpu, in, get_rm(cpu, in, in->osz), in->osz);
    NEXT;
}

HANDLER(push_i_any)
{
    stack_push(cpu, in, (u64)(s64)in->imm & mask64(in->osz * 8u), in->osz);
    NEXT;
}

const struct insn_ops ops_push_e = {
    .any = push_e_any, .stack = true, .r = SIZES_16_64(push_e_r), .m = SIZES_16_64(push_e_m)};
const struct insn_ops ops_push_i = {.any = push_i_any, .stack = true, .r = SIZES_16_64(push_i_r)};

/* ---- POP ------------------------------------------------------------------------------------- */

/* POP to memory computes the address with the stack pointer already incremented. */
static void pop_to_memory(struct cpu *cpu, const struct insn *in)
{
    unsigned size = in->osz;
    u64 v = stack_peek(cpu, in, 0, size);
    u64 off = ea_offset(cpu, in) + (in->base == RSP ? size : 0);
    gva_t va = seg_addr(cpu, in, in->seg, off & mask64(in->asz * 8u), size, ACCESS_WRITE);
    mem_write(cpu, in, va, v, size);
    set_sp(cpu, cpu->gpr[RSP] + size);
}

HANDLER(pop_e_any)
{
    if (in->mem)
        pop_to_memory(cpu, in);
    else
        reg_set(cpu, in->rm, stack_pop(cpu, in, in->osz), in->osz);
    NEXT;
}

#define POP_SIZE(bits)                                                                             \
    HANDLER(pop_e_r##bits)                                                                         \
    {                                                                                              \
        u##bits v = (u##bits)peek_flat(cpu, in, bits / 8);                                         \
        drop_flat(cpu, bits / 8);                                                                  \
        set_reg##bits(cpu, in->rm, v);                                                             \
        NEXT;                                                                                      \
    }

POP_SIZE(16)
POP_SIZE(32)
POP_SIZE(64)
const struct insn_ops ops_pop_e = {.any = pop_e_any, .stack = true, .r = SIZES_16_64(pop_e_r)};

/* ---- PUSHA, POPA ----------------------------------------------------------------------------- */

/* In real mode a stack pointer of 7, 9, .. 15 is #GP(0), not #SS (SDM, PUSHA). */
static bool pusha_refused(const struct cpu *cpu)
{
    u64 sp = cpu->gpr[RSP] & stack_mask(cpu);
    return cpu_in_real(cpu) && (sp & 1) && sp >= 7 && sp <= 15;
}

HANDLER(pusha)
{
    unsigned size = in->osz;
    u64 sp = cpu->gpr[RSP];
    if (unlikely(pusha_refused(cpu)))
        excp_gp(cpu, in, 0);
    for (unsigned r = RAX; r <= RDI; r++) {
        sp -= size;
        stack_poke(cpu, in, sp, cpu->gpr[r], size);
    }
    set_sp(cpu, sp);
    NEXT;
}

HANDLER(popa)
{
    unsigned size = in->osz;
    u64 v0, v1, v2, v3, v4, v5, v6;
    v0 = stack_peek(cpu, in, 0 * size, size);
    v1 = stack_peek(cpu, in, 1 * size, size);
    v2 = stack_peek(cpu, in, 2 * size, size);
    v3 = stack_peek(cpu, in, 4 * size, size); /* the image of SP is skipped */
    v4 = stack_peek(cpu, in, 5 * size, size);
    v5 = stack_peek(cpu, in, 6 * size, size);
    v6 = stack_peek(cpu, in, 7 * size, size);
    reg_set(cpu, RDI, v0, size);
    reg_set(cpu, RSI, v1, size);
    reg_set(cpu, RBP, v2, size);
    reg_set(cpu, RBX, v3, size);
    reg_set(cpu, RDX, v4, size);
    reg_set(cpu, RCX, v5, size);
    reg_set(cpu, RAX, v6, size);
    set_sp(cpu, cpu->gpr[RSP] + 8 * size);
    NEXT;
}

const struct insn_ops ops_pusha = {.any = pusha};
const struct insn_ops ops_popa = {.any = popa};

/* ---- ENTER, LEAVE ---------------------------------------------------------------------------- */

/* ENTER ends with a check that the new top of the stack can be written (SDM, ENTER). */
HANDLER(enter)
{
    unsigned size = in->osz;
    u64 locals = in->imm64 & 0xffff;
    unsigned level = (in->imm64 >> 16) & 31;
    u64 mask = stack_mask(cpu);
    u64 bp = cpu->gpr[RBP];
    u64 sp = cpu->gpr[RSP] - size;
    u64 frame = sp;

    stack_poke(cpu, in, sp, bp, size);
    for (unsigned i = 1; i < level; i++) {
        bp -= size;
        sp -= size;
        gva_t from = seg_addr(cpu, in, SEG_SS, bp & mask, size, ACCESS_READ);
        stack_poke(cpu, in, sp, mem_read(cpu, in, from, size), size);
    }
    if (level > 0) {
        sp -= size;
        stack_poke(cpu, in, sp, frame, size);
    }
    sp -= locals;
    mem_probe_write(cpu, in, seg_addr(cpu, in, SEG_SS, sp & mask, size, ACCESS_WRITE), size);
    reg_set(cpu, RBP, frame & mask, size);
    set_sp(cpu, sp);
    NEXT;
}

const struct insn_ops ops_enter = {.any = enter};

HANDLER(leave_any)
{
    unsigned size = in->osz;
    u64 off = cpu->gpr[RBP] & stack_mask(cpu);
    u64 v = mem_read(cpu, in, seg_addr(cpu, in, SEG_SS, off, size, ACCESS_READ), size);
    set_sp(cpu, off + size);
    reg_set(cpu, RBP, v, size);
    NEXT;
}

#define LEAVE_SIZE(bits)                                                                           \
    HANDLER(leave_r##bits)                                                                         \
    {                                                                                              \
        u64 bp = cpu->gpr[RBP] & cpu->amask;                                                       \
        const u8 *p = mem_fast_r(cpu, bp, bits / 8);                                               \
        if (unlikely(!p))                                                                          \
            return leave_any(cpu, in);                                                             \
        cpu->gpr[RSP] = (bp + bits / 8) & cpu->amask;                                              \
        set_reg##bits(cpu, RBP, (u##bits)ld_le(p, bits / 8));                                      \
        NEXT;                                                                                      \
    }

LEAVE_SIZE(16)
LEAVE_SIZE(32)
LEAVE_SIZE(64)
const struct insn_ops ops_leave = {.any = leave_any, .stack = true, .r = SIZES_16_64(leave_r)};
