/*
 * ops_flags.c: PUSHF, POPF, CLI, STI, CLAC, STAC: the system part of EFLAGS.
 *
 * SDM vol. 1 3.4.3, vol. 2 POPF tables 4-21 ff., vol. 3A chapter 20 (virtual-8086, VME), 6.8.1.
 */
#include "cpu/block.h"
#include "cpu/exec.h"

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *in)

static bool vme_v86(const struct cpu *cpu)
{
    return cpu_in_v86(cpu) && cpu->cr4 & CR4_VME;
}

/* Protected-mode virtual interrupts. */
static bool pvi(const struct cpu *cpu)
{
    return cpu->cr4 & CR4_PVI && cpu->cpl == 3 && !cpu_in_v86(cpu) && !cpu_in_real(cpu);
}

HANDLER(op_pushf)
{
    stat_count(&cpu->stats, STAT_PUSHF, SERVED_LEAF);
    u32 v = cpu_get_eflags(cpu) & ~(EFLAGS_VM | EFLAGS_RF);
    if (unlikely(cpu_in_v86(cpu) && cpu_iopl(cpu) < 3)) {
        if (!vme_v86(cpu) || in->osz != 2)
            excp_gp(cpu, in, 0);
        v = (v & ~EFLAGS_IF) | EFLAGS_IOPL | (v & EFLAGS_VIF ? EFLAGS_IF : 0);
    }
    stack_push(cpu, in, v, in->osz);
    NEXT;
}
const struct insn_ops ops_pushf = {.any = op_pushf};

/* Bits that POPF may change at this privilege. */
static u32 popf_mask(const struct cpu *cpu, unsigned osz)
{
    u32 m = EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_ID;
    if (cpu->cpl == 0)
        m |= EFLAGS_IOPL;
    if (cpu->cpl <= cpu_iopl(cpu))
        m |= EFLAGS_IF;
    return osz == 2 ? m & 0xffff : m;
}

static void popf_vme(struct cpu *cpu, const struct insn *in)
{
    u64 sp = cpu->gpr[RSP] & stack_mask(cpu);
    u32 v = (u32)mem_read(cpu, in, seg_addr(cpu, in, SEG_SS, sp, 2, ACCESS_READ), 2);
    if (v & EFLAGS_TF || (v & EFLAGS_IF && cpu->eflags & EFLAGS_VIP))
        excp_gp(cpu, in, 0);
    set_sp(cpu, sp + 2);
    u32 m = (EFLAGS_DF | EFLAGS_NT) & 0xffff;
    cpu->eflags = (cpu->eflags & ~(m | EFLAGS_VIF)) | (v & m) | (v & EFLAGS_IF ? EFLAGS_VIF : 0);
    flags_set(&cpu->flags, v);
}

HANDLER(op_popf)
{
    stat_count(&cpu->stats, STAT_POPF, SERVED_LEAF);
    if (unlikely(cpu_in_v86(cpu) && cpu_iopl(cpu) < 3)) {
        if (!vme_v86(cpu) || in->osz != 2)
            excp_gp(cpu, in, 0);
        popf_vme(cpu, in);
        return LEAVE_NEXT(cpu, in);
    }
    u32 v = (u32)stack_pop(cpu, in, in->osz);
    u32 m = popf_mask(cpu, in->osz), old = cpu->eflags;
    cpu->eflags = ((old & ~m) | (v & m)) & ~EFLAGS_RF;
    flags_set(&cpu->flags, v);
    if (likely(!((old ^ cpu->eflags) & (EFLAGS_TF | EFLAGS_AC)) && !cpu_pending(cpu)))
        NEXT;
    cpu_update_key(cpu);
    return LEAVE_NEXT(cpu, in);
}
const struct insn_ops ops_popf = {.any = op_popf};

HANDLER(op_cli)
{
    stat_count(&cpu->stats, STAT_CLI, SERVED_LEAF);
    if (likely(cpu->cpl <= cpu_iopl(cpu) || cpu_in_real(cpu)))
        cpu->eflags &= ~EFLAGS_IF;
    else if (vme_v86(cpu) || pvi(cpu))
        cpu->eflags &= ~EFLAGS_VIF;
    else
        excp_gp(cpu, in, 0);
    NEXT;
}
const struct insn_ops ops_cli = {.any = op_cli};

/*
 * STI holds interrupts off for one more instruction, but only when IF was clear. When nothing is
 * pending the block just goes on, because interrupts are looked at between blocks only; when
 * something is, or the block ends here, the shadow is kept for the run loop.
 */
HANDLER(op_sti)
{
    stat_count(&cpu->stats, STAT_STI, SERVED_LEAF);
    if (likely(cpu->cpl <= cpu_iopl(cpu) || cpu_in_real(cpu))) {
        bool was = cpu->eflags & EFLAGS_IF;
        cpu->eflags |= EFLAGS_IF;
        if (likely(was || (!cpu_pending(cpu) && !block_ends_after(in) && !cpu->debug_active)))
            NEXT;
        cpu->shadow = SHADOW_STI;
        return LEAVE_NEXT(cpu, in);
    }
    if ((!vme_v86(cpu) && !pvi(cpu)) || cpu->eflags & EFLAGS_VIP)
        excp_gp(cpu, in, 0);
    cpu->eflags |= EFLAGS_VIF;
    NEXT;
}
const struct insn_ops ops_sti = {.any = op_sti};

static const struct insn *set_ac(struct cpu *cpu, const struct insn *in, u32 ac)
{
    if (cpu->cpl != 0)
        excp_ud(cpu, in);
    cpu->eflags = (cpu->eflags & ~EFLAGS_AC) | ac;
    cpu_update_key(cpu); /* other rights to memory, which handlers look at */
    NEXT;
}

HANDLER(op_clac)
{
    return set_ac(cpu, in, 0);
}
const struct insn_ops ops_clac = {.any = op_clac};

HANDLER(op_stac)
{
    return set_ac(cpu, in, EFLAGS_AC);
}
const struct insn_ops ops_stac = {.any = op_stac};
