/*
 * ops_branch.c: near control flow: Jcc, JMP, CALL, RET, LOOP, JCXZ, and BOUND, which may branch to
 * a handler.
 *
 * Intel SDM vol. 2 and vol. 1, 6.4. A target outside the CS limit, or not canonical, is #GP(0) of
 * the branch itself, before anything is committed. In 64-bit mode near branches have 64-bit
 * operands whatever the prefixes, as Intel processors do (AMD's truncate to 16 bits with prefix
 * 66).
 *
 * Not here: far transfers, interrupts and returns from them (the system section).
 */
#include "cpu/ops_int.h"

void branch_check_canonical(struct cpu *cpu, const struct insn *in, u64 target)
{
    if (!cpu_canonical(cpu, target))
        excp_gp(cpu, in, 0);
}

/* ---- Jcc, JMP rel ---------------------------------------------------------------------------- */

#define JCC_SIZE(cc, bits)                                                                         \
    HANDLER(jcc_##cc##_r##bits)                                                                    \
    {                                                                                              \
        if (flags_cond(&cpu->flags, cc)) {                                                         \
            cpu->rip = branch_rel(cpu, in, bits);                                                  \
            return exec_jump(cpu, in, 1);                                                          \
        }                                                                                          \
        cpu->rip = insn_next_rip(cpu, in);                                                         \
        return exec_jump(cpu, in, 0);                                                              \
    }

#define JCC(cc)                                                                                    \
    JCC_SIZE(cc, 16)                                                                               \
    JCC_SIZE(cc, 32)                                                                               \
    JCC_SIZE(cc, 64)                                                                               \
    const struct insn_ops ops_jcc_##cc = {.r = SIZES_16_64(jcc_##cc##_r)};

JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)

#define JMP_REL(bits)                                                                              \
    HANDLER(jmp_rel_r##bits)                                                                       \
    {                                                                                              \
        cpu->rip = branch_rel(cpu, in, bits);                                                      \
        return exec_jump(cpu, in, 0);                                                              \
    }

JMP_REL(16)
JMP_REL(32)
JMP_REL(64)
const struct insn_ops ops_jmp_rel = {.r = SIZES_16_64(jmp_rel_r)};

/* ---- LOOP, JCXZ ------------------------------------------------------------------------------ */

static const struct insn *branch_if(struct cpu *cpu, const struct insn *in, bool taken)
{
    cpu->rip = taken ? branch_rel(cpu, in, in->osz * 8u) : insn_next_rip(cpu, in);
    return exec_jump(cpu, in, taken);
}

/* The count register has the address size. It changes only when the branch does not fault. */
static const struct insn *loop_if(struct cpu *cpu, const struct insn *in, bool condition)
{
    u64 count = (cpu->gpr[RCX] - 1) & mask64(in->asz * 8u);
    bool taken = count != 0 && condition;
    cpu->rip = taken ? branch_rel(cpu, in, in->osz * 8u) : insn_next_rip(cpu, in);
    reg_set(cpu, RCX, count, in->asz);
    return exec_jump(cpu, in, taken);
}

HANDLER(loop)
{
    return loop_if(cpu, in, true);
}

HANDLER(loope)
{
    return loop_if(cpu, in, flag_z(&cpu->flags));
}

HANDLER(loopne)
{
    return loop_if(cpu, in, !flag_z(&cpu->flags));
}

HANDLER(jcxz)
{
    return branch_if(cpu, in, (cpu->gpr[RCX] & mask64(in->asz * 8u)) == 0);
}

const struct insn_ops ops_loop = {.any = loop};
const struct insn_ops ops_loope = {.any = loope};
const struct insn_ops ops_loopne = {.any = loopne};
const struct insn_ops ops_jcxz = {.any = jcxz};

/* ---- JMP, CALL r/m --------------------------------------------------------------------------- */

#define JMP_E(variant, bits, source)                                                               \
    HANDLER(jmp_e_##variant##bits)                                                                 \
    {                                                                                              \
        cpu->rip = branch_target(cpu, in, source, bits);                                           \
        return exec_jump_indirect(cpu, in);                                                        \
    }

/* The target is read and checked before the return address is pushed. */
#define CALL_SIZE(bits)                                                                            \
    JMP_E(r, bits, reg##bits(cpu, in->rm))                                                         \
    JMP_E(m, bits, mem_read##bits(cpu, in, ea_flat(cpu, in)))                                      \
    JMP_E(s, bits, mem_read##bits(cpu, in, mem_addr(cpu, in, bits / 8, ACCESS_READ)))              \
    HANDLER(call_e_r##bits)                                                                        \
    {                                                                                              \
        u64 target = branch_target(cpu, in, reg##bits(cpu, in->rm), bits);                         \
        push_flat(cpu, in, insn_next_rip(cpu, in), bits / 8);                                      \
        cpu->rip = target;                                                                         \
        return exec_jump_indirect(cpu, in);                                                        \
    }                                                                                              \
    HANDLER(call_e_m##bits)                                                                        \
    {                                                                                              \
        u64 v = mem_read##bits(cpu, in, ea_flat(cpu, in));                                         \
        u64 target = branch_target(cpu, in, v, bits);                                              \
        push_flat(cpu, in, insn_next_rip(cpu, in), bits / 8);                                      \
        cpu->rip = target;                                                                         \
        return exec_jump_indirect(cpu, in);                                                        \
    }                                                                                              \
    HANDLER(call_rel_r##bits)                                                                      \
    {                                                                                              \
        u64 target = branch_rel(cpu, in, bits);                                                    \
        push_flat(cpu, in, insn_next_rip(cpu, in), bits / 8);                                      \
        cpu->rip = target;                                                                         \
        return exec_jump(cpu, in, 0);                                                              \
    }

CALL_SIZE(16)
CALL_SIZE(32)
CALL_SIZE(64)

HANDLER(call_e_any)
{
    u64 target = branch_target(cpu, in, get_rm(cpu, in, in->osz), in->osz * 8u);
    stack_push(cpu, in, insn_next_rip(cpu, in), in->osz);
    cpu->rip = target;
    return exec_jump_indirect(cpu, in);
}

HANDLER(call_rel_any)
{
    u64 target = branch_rel(cpu, in, in->osz * 8u);
    stack_push(cpu, in, insn_next_rip(cpu, in), in->osz);
    cpu->rip = target;
    return exec_jump(cpu, in, 0);
}

const struct insn_ops ops_jmp_e = {
    .r = SIZES_16_64(jmp_e_r), .m = SIZES_16_64(jmp_e_m), .s = SIZES_16_64(jmp_e_s)};
const struct insn_ops ops_call_e = {
    .any = call_e_any, .stack = true, .r = SIZES_16_64(call_e_r), .m = SIZES_16_64(call_e_m)};
const struct insn_ops ops_call_rel = {
    .any = call_rel_any, .stack = true, .r = SIZES_16_64(call_rel_r)};

/* ---- RET ------------------------------------------------------------------------------------- */

#define RET_SIZE(bits)                                                                             \
    HANDLER(ret_r##bits)                                                                           \
    {                                                                                              \
        cpu->rip = branch_target(cpu, in, peek_flat(cpu, in, bits / 8), bits);                     \
        drop_flat(cpu, bits / 8);                                                                  \
        return exec_jump_indirect(cpu, in);                                                        \
    }                                                                                              \
    HANDLER(ret_i_r##bits)                                                                         \
    {                                                                                              \
        cpu->rip = branch_target(cpu, in, peek_flat(cpu, in, bits / 8), bits);                     \
        drop_flat(cpu, bits / 8 + (u16)in->imm);                                                   \
        return exec_jump_indirect(cpu, in);                                                        \
    }

RET_SIZE(16)
RET_SIZE(32)
RET_SIZE(64)

static const struct insn *ret_dropping(struct cpu *cpu, const struct insn *in, unsigned bytes)
{
    unsigned size = in->osz;
    cpu->rip = branch_target(cpu, in, stack_peek(cpu, in, 0, size), size * 8);
    set_sp(cpu, cpu->gpr[RSP] + size + bytes);
    return exec_jump_indirect(cpu, in);
}

HANDLER(ret_any)
{
    return ret_dropping(cpu, in, 0);
}

HANDLER(ret_i_any)
{
    return ret_dropping(cpu, in, (u16)in->imm);
}

const struct insn_ops ops_ret = {.any = ret_any, .stack = true, .r = SIZES_16_64(ret_r)};
const struct insn_ops ops_ret_i = {.any = ret_i_any, .stack = true, .r = SIZES_16_64(ret_i_r)};

/* ---- BOUND ----------------------------------------------------------------------------------- */

/* #BR is a fault: it returns to the BOUND. Both bounds are read before they are compared. */
HANDLER(bound)
{
    unsigned size = in->osz, bits = size * 8;
    gva_t va = mem_addr(cpu, in, 2 * size, ACCESS_READ);
    s64 index = (s64)sext(reg_get(cpu, in->reg, size), bits);
    s64 lower = (s64)sext(mem_read(cpu, in, va, size), bits);
    s64 upper = (s64)sext(mem_read(cpu, in, (va + size) & cpu->amask, size), bits);
    if (index < lower || index > upper)
        excp_fault(cpu, in, EXC_BR);
    NEXT;
}

const struct insn_ops ops_bound = {.any = bound};
