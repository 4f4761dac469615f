/*
 * ops_seg.c: segment registers: moves, pushes, pops, far-pointer loads, and the instructions that
 * inspect selectors. SDM vol. 2; vol. 3A 5.10.
 */
#include "cpu/exec.h"
#include "cpu/seg.h"

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *in)

/* ---- moves ----------------------------------------------------------------------------------- */

HANDLER(op_mov_e_s)
{
    if (in->reg > SEG_GS)
        excp_ud(cpu, in);
    set_rm(cpu, in, cpu->seg[in->reg].sel, in->mem ? 2 : in->osz);
    NEXT;
}
const struct insn_ops ops_mov_e_s = {.any = op_mov_e_s};

HANDLER(op_mov_s_e)
{
    if (in->reg > SEG_GS || in->reg == SEG_CS)
        excp_ud(cpu, in);
    seg_load(cpu, in, in->reg, (u16)get_rm(cpu, in, 2));
    if (in->reg == SEG_SS)
        cpu->shadow = SHADOW_MOV_SS;
    return LEAVE_NEXT(cpu, in);
}
const struct insn_ops ops_mov_s_e = {.any = op_mov_s_e};

/* A selector takes a whole stack slot, of which only the low word need be written. */
static const struct insn *push_seg(struct cpu *cpu, const struct insn *in, enum seg_id s)
{
    stack_push(cpu, in, cpu->seg[s].sel, in->osz);
    return LEAVE_NEXT(cpu, in);
}

static const struct insn *pop_seg(struct cpu *cpu, const struct insn *in, enum seg_id s)
{
    u64 sp = cpu->gpr[RSP] & stack_mask(cpu);
    u16 sel = (u16)mem_read(cpu, in, seg_addr(cpu, in, SEG_SS, sp, in->osz, ACCESS_READ), 2);
    u64 mask = stack_mask(cpu);
    seg_load(cpu, in, s, sel);
    /* the old SS decided the width */
    if (mask == 0xffff)
        set_reg16(cpu, RSP, (u16)(sp + in->osz));
    else
        cpu->gpr[RSP] = (sp + in->osz) & mask;
    if (s == SEG_SS)
        cpu->shadow = SHADOW_MOV_SS;
    return LEAVE_NEXT(cpu, in);
}

#define PUSH_POP(name, s)                                                                          \
    HANDLER(op_push_##name)                                                                        \
    {                                                                                              \
        return push_seg(cpu, in, s);                                                               \
    }                                                                                              \
    const struct insn_ops ops_push_##name = {.any = op_push_##name};                               \
    HANDLER(op_pop_##name)                                                                         \
    {                                                                                              \
        return pop_seg(cpu, in, s);                                                                \
    }                                                                                              \
    const struct insn_ops ops_pop_##name = {.any = op_pop_##name};

PUSH_POP(es, SEG_ES)
PUSH_POP(ss, SEG_SS)
PUSH_POP(ds, SEG_DS)
PUSH_POP(fs, SEG_FS)
PUSH_POP(gs, SEG_GS)

HANDLER(op_push_cs)
{
    return push_seg(cpu, in, SEG_CS);
}
const struct insn_ops ops_push_cs = {.any = op_push_cs};

static const struct insn *load_far(struct cpu *cpu, const struct insn *in, enum seg_id s)
{
    gva_t va = mem_addr(cpu, in, in->osz + 2u, ACCESS_READ);
    u8 buf[10];
    mem_read_bytes(cpu, in, va, buf, in->osz + 2u);
    seg_load(cpu, in, s, ld_le16(buf + in->osz));
    reg_set(cpu, in->reg, ld_le(buf, in->osz), in->osz);
    if (s == SEG_SS)
        cpu->shadow = SHADOW_MOV_SS;
    return LEAVE_NEXT(cpu, in);
}

#define LOAD_FAR(name, s)                                                                          \
    HANDLER(op_##name)                                                                             \
    {                                                                                              \
        return load_far(cpu, in, s);                                                               \
    }                                                                                              \
    const struct insn_ops ops_##name = {.any = op_##name};

LOAD_FAR(les, SEG_ES)
LOAD_FAR(lds, SEG_DS)
LOAD_FAR(lss, SEG_SS)
LOAD_FAR(lfs, SEG_FS)
LOAD_FAR(lgs, SEG_GS)

/* ---- inspection ------------------------------------------------------------------------------ */

static void set_zf(struct cpu *cpu, bool z)
{
    u32 f = flags_get(&cpu->flags) & ~EFLAGS_ZF;
    flags_set(&cpu->flags, f | (z ? EFLAGS_ZF : 0));
}

HANDLER(op_arpl)
{
    u16 src = reg16(cpu, in->reg);
    if (!in->mem) {
        u16 dst = reg16(cpu, in->rm);
        bool raise = SEL_RPL(dst) < SEL_RPL(src);
        if (raise)
            set_reg16(cpu, in->rm, (u16)((dst & ~3u) | SEL_RPL(src)));
        set_zf(cpu, raise);
        NEXT;
    }
    gva_t va = mem_addr(cpu, in, 2, ACCESS_WRITE);
    mem_probe_write(cpu, in, va, 2);
    u16 dst = mem_read16(cpu, in, va);
    bool raise = SEL_RPL(dst) < SEL_RPL(src);
    if (raise)
        mem_write16(cpu, in, va, (u16)((dst & ~3u) | SEL_RPL(src)));
    set_zf(cpu, raise);
    NEXT;
}
const struct insn_ops ops_arpl = {.any = op_arpl};

/* Privilege test of LAR, LSL, VERR, VERW. */
static bool visible(const struct cpu *cpu, u16 sel, const struct desc *d)
{
    if (DESC_IS_CODE(d) && DESC_IS_CONFORMING(d))
        return true;
    return DESC_DPL(d) >= cpu->cpl && DESC_DPL(d) >= SEL_RPL(sel);
}

/* Which system descriptors LAR and LSL accept, as bit masks of types. */
static u32 system_types(const struct cpu *cpu, bool limits)
{
    if (cpu_in_long_mode(cpu))
        return BIT(SYS_LDT) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY) | (limits ? 0 : BIT(SYS_CALL32));
    u32 m =
        BIT(SYS_TSS16) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY);
    return limits ? m : m | BIT(SYS_CALL16) | BIT(SYS_TASK) | BIT(SYS_CALL32);
}

static bool inspect(struct cpu *cpu, const struct insn *in, bool limits, struct desc *d)
{
    u16 sel = (u16)get_rm(cpu, in, 2);
    if (SEL_IS_NULL(sel) || !desc_read(cpu, in, sel, d))
        return false;
    if (!DESC_S(d) && !(system_types(cpu, limits) >> DESC_TYPE(d) & 1))
        return false;
    return visible(cpu, sel, d);
}

HANDLER(op_lar)
{
    struct desc d;
    bool ok = inspect(cpu, in, false, &d);
    if (ok)
        reg_set(cpu, in->reg, d.hi & 0x00ffff00, in->osz);
    set_zf(cpu, ok);
    return LEAVE_NEXT(cpu, in);
}
const struct insn_ops ops_lar = {.any = op_lar};

HANDLER(op_lsl)
{
    struct desc d;
    bool ok = inspect(cpu, in, true, &d);
    if (ok)
        reg_set(cpu, in->reg, desc_limit(&d), in->osz);
    set_zf(cpu, ok);
    return LEAVE_NEXT(cpu, in);
}
const struct insn_ops ops_lsl = {.any = op_lsl};

static bool verify(struct cpu *cpu, const struct insn *in, bool write)
{
    u16 sel = (u16)get_rm(cpu, in, 2);
    struct desc d;
    if (SEL_IS_NULL(sel) || !desc_read(cpu, in, sel, &d) || !DESC_S(&d) || !visible(cpu, sel, &d))
        return false;
    bool bit1 = DESC_TYPE(&d) & 2; /* code: readable; data: writable */
    if (write)
        return !DESC_IS_CODE(&d) && bit1;
    return !DESC_IS_CODE(&d) || bit1;
}

HANDLER(op_verr)
{
    set_zf(cpu, verify(cpu, in, false));
    NEXT;
}
const struct insn_ops ops_verr = {.any = op_verr};

HANDLER(op_verw)
{
    set_zf(cpu, verify(cpu, in, true));
    NEXT;
}
const struct insn_ops ops_verw = {.any = op_verw};
