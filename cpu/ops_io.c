/* ops_io.c: IN, OUT, INS, OUTS. SDM vol. 1 chapter 19. */
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/task.h"

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *in)

static void check_permission(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    if (cpu_in_real(cpu) || (!cpu_in_v86(cpu) && cpu->cpl <= cpu_iopl(cpu)))
        return;
    if (!task_io_allowed(cpu, in, port, size))
        excp_gp(cpu, in, 0);
}

/* Before the permission of an access is looked at: a personality may see it otherwise. */
static enum pv_port ask_personality(struct cpu *cpu, u16 port, unsigned size, bool string)
{
    if (!cpu->pv_port || (u16)(port - cpu->pv_port) > 1)
        return PV_PORT_ORDINARY;
    return cpu->hooks->pv_port(cpu->vm, cpu, port, size, string);
}

/* False: it was a call, and is done. */
static bool may_access(struct cpu *cpu, const struct insn *in, u16 port, unsigned size, bool string)
{
    enum pv_port how = ask_personality(cpu, port, size, string);
    if (how == PV_PORT_ORDINARY)
        check_permission(cpu, in, port, size);
    return how != PV_PORT_DONE;
}

static u32 port_read(struct cpu *cpu, u16 port, unsigned size)
{
    u64 t = host_cycles();
    u32 v = cpu->hooks->io_read(cpu->vm, port, size);
    stat_count(&cpu->stats, STAT_IN, SERVED_IO);
    cpu->stats.cycles[STAT_IN] += host_cycles() - t;
    if (unlikely(cpu->dr[7] & 0xff))
        debug_check_io(cpu, port, size);
    return v;
}

static void port_write(struct cpu *cpu, u16 port, u32 v, unsigned size)
{
    u64 t = host_cycles();
    cpu->hooks->io_write(cpu->vm, port, v, size);
    stat_count(&cpu->stats, STAT_OUT, SERVED_IO);
    cpu->stats.cycles[STAT_OUT] += host_cycles() - t;
    if (unlikely(cpu->dr[7] & 0xff))
        debug_check_io(cpu, port, size);
}

static const struct insn *do_in(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    struct ground g = exec_ground(cpu);
    if (may_access(cpu, in, port, size, false))
        reg_set(cpu, RAX, port_read(cpu, port, size), size);
    else
        stat_count(&cpu->stats, STAT_IN, SERVED_EXIT);
    if (likely(exec_holds(cpu, &g)))
        NEXT;
    return LEAVE_NEXT(cpu, in);
}

static const struct insn *do_out(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    struct ground g = exec_ground(cpu);
    if (may_access(cpu, in, port, size, false))
        port_write(cpu, port, (u32)reg_get(cpu, RAX, size), size);
    else
        stat_count(&cpu->stats, STAT_OUT, SERVED_EXIT);
    if (likely(exec_holds(cpu, &g)))
        NEXT;
    return LEAVE_NEXT(cpu, in);
}

/* REX.W does not widen I/O. */
static unsigned io_size(const struct insn *in)
{
    return in->osz == 2 ? 2 : 4;
}

HANDLER(op_in_al_imm)
{
    return do_in(cpu, in, (u8)in->imm, 1);
}
HANDLER(op_in_eax_imm)
{
    return do_in(cpu, in, (u8)in->imm, io_size(in));
}
HANDLER(op_in_al_dx)
{
    return do_in(cpu, in, reg16(cpu, RDX), 1);
}
HANDLER(op_in_eax_dx)
{
    return do_in(cpu, in, reg16(cpu, RDX), io_size(in));
}
HANDLER(op_out_imm_al)
{
    return do_out(cpu, in, (u8)in->imm, 1);
}
HANDLER(op_out_imm_eax)
{
    return do_out(cpu, in, (u8)in->imm, io_size(in));
}
HANDLER(op_out_dx_al)
{
    return do_out(cpu, in, reg16(cpu, RDX), 1);
}
HANDLER(op_out_dx_eax)
{
    return do_out(cpu, in, reg16(cpu, RDX), io_size(in));
}

const struct insn_ops ops_in_al_imm = {.any = op_in_al_imm};
const struct insn_ops ops_in_eax_imm = {.any = op_in_eax_imm};
const struct insn_ops ops_in_al_dx = {.any = op_in_al_dx};
const struct insn_ops ops_in_eax_dx = {.any = op_in_eax_dx};
const struct insn_ops ops_out_imm_al = {.any = op_out_imm_al};
const struct insn_ops ops_out_imm_eax = {.any = op_out_imm_eax};
const struct insn_ops ops_out_dx_al = {.any = op_out_dx_al};
const struct insn_ops ops_out_dx_eax = {.any = op_out_dx_eax};

/* ---- strings --------------------------------------------------------------------------------- */

static void advance(struct cpu *cpu, const struct insn *in, unsigned r, unsigned size)
{
    u64 v = cpu->gpr[r] + (cpu->eflags & EFLAGS_DF ? -(u64)size : size);
    reg_set(cpu, r, v, in->asz);
}

static void one_ins(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    u64 off = reg_get(cpu, RDI, in->asz);
    gva_t va = seg_addr(cpu, in, SEG_ES, off, size, ACCESS_WRITE);
    mem_probe_write(cpu, in, va, size); /* the port must not be read when the store would fault */
    mem_write(cpu, in, va, port_read(cpu, port, size), size);
    advance(cpu, in, RDI, size);
}

static void one_outs(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    u64 off = reg_get(cpu, RSI, in->asz);
    u32 v = (u32)mem_read(cpu, in, seg_addr(cpu, in, in->seg, off, size, ACCESS_READ), size);
    port_write(cpu, port, v, size);
    advance(cpu, in, RSI, size);
}

#define REP_SLICE 4096 /* iterations before interrupts are looked at */

static const struct insn *string_io(struct cpu *cpu, const struct insn *in, unsigned size,
                                    void (*one)(struct cpu *, const struct insn *, u16, unsigned))
{
    u16 port = reg16(cpu, RDX);
    may_access(cpu, in, port, size, true); /* no string is a call */
    if (!(in->pfx & (PFX_REP | PFX_REPNE))) {
        one(cpu, in, port, size);
        return LEAVE_NEXT(cpu, in);
    }
    u64 left = reg_get(cpu, RCX, in->asz);
    for (unsigned n = 0; left; n++) {
        if (n && (n == REP_SLICE || cpu_pending(cpu) || cpu->debug_active)) {
            cpu->rip = insn_rip(cpu, in);
            cpu_kick(cpu); /* a repetition takes long: let timers be looked at */
            return LEAVE(cpu, in);
        }
        one(cpu, in, port, size);
        reg_set(cpu, RCX, --left, in->asz);
    }
    return LEAVE_NEXT(cpu, in);
}

HANDLER(op_ins_b)
{
    return string_io(cpu, in, 1, one_ins);
}
HANDLER(op_ins_z)
{
    return string_io(cpu, in, io_size(in), one_ins);
}
HANDLER(op_outs_b)
{
    return string_io(cpu, in, 1, one_outs);
}
HANDLER(op_outs_z)
{
    return string_io(cpu, in, io_size(in), one_outs);
}

const struct insn_ops ops_ins_b = {.any = op_ins_b};
const struct insn_ops ops_ins_z = {.any = op_ins_z};
const struct insn_ops ops_outs_b = {.any = op_outs_b};
const struct insn_ops ops_outs_z = {.any = op_outs_z};
