/*
 * ops_far.c: transfers that change CS: far JMP, CALL, RET, IRET, INT n, SYSCALL and SYSENTER.
 *
 * SDM vol. 2 (CALL, JMP, RET, IRET), vol. 3A 5.8 (gates), 6.12, 7.3 (tasks), 20 (virtual-8086);
 * AMD APM vol. 2 6.1 for SYSCALL in legacy and compatibility mode.
 */
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "cpu/task.h"

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *in)

struct far_ptr {
    u16 sel;
    u64 off;
};

static struct far_ptr far_imm(const struct insn *in)
{
    return (struct far_ptr){(u16)(in->imm64 >> 32), (u32)in->imm64};
}

static struct far_ptr far_mem(struct cpu *cpu, const struct insn *in)
{
    u8 buf[10];
    unsigned n = in->osz;
    mem_read_bytes(cpu, in, mem_addr(cpu, in, n + 2, ACCESS_READ), buf, n + 2);
    return (struct far_ptr){ld_le16(buf + n), ld_le(buf, n)};
}

/* A new RIP against its segment; the caller has committed nothing. */
static void check_target(struct cpu *cpu, const struct insn *in, const struct desc *d, u64 rip)
{
    if (cpu_in_long_mode(cpu) && DESC_L(d)) {
        if (!cpu_canonical(cpu, rip))
            excp_gp(cpu, in, 0);
    } else if (rip > desc_limit(d)) {
        excp_gp(cpu, in, 0);
    }
}

/* L and D together are reserved. */
static void check_code_bits(struct cpu *cpu, const struct insn *in, u16 sel, const struct desc *d)
{
    if (cpu_in_long_mode(cpu) && DESC_L(d) && DESC_DB(d))
        excp_gp(cpu, in, SEL_ERR(sel));
}

static void read_target(struct cpu *cpu, const struct insn *in, u16 sel, struct desc *d)
{
    if (SEL_IS_NULL(sel))
        excp_gp(cpu, in, 0);
    if (!desc_read(cpu, in, sel, d))
        excp_gp(cpu, in, SEL_ERR(sel));
}

/* Code segment of a direct far JMP or CALL: privilege stays. */
static void check_direct(struct cpu *cpu, const struct insn *in, u16 sel, const struct desc *d)
{
    if (DESC_IS_CONFORMING(d) ? DESC_DPL(d) > cpu->cpl
                              : SEL_RPL(sel) > cpu->cpl || DESC_DPL(d) != cpu->cpl)
        excp_gp(cpu, in, SEL_ERR(sel));
    check_code_bits(cpu, in, sel, d);
    if (!DESC_P(d))
        excp_fault_err(cpu, in, EXC_NP, SEL_ERR(sel));
}

static void jump_real(struct cpu *cpu, const struct insn *in, struct far_ptr p)
{
    if (p.off > cpu->seg[SEG_CS].limit)
        excp_gp(cpu, in, 0);
    seg_load_real(cpu, SEG_CS, p.sel);
    cpu->rip = p.off;
}

/* ---- call gates ------------------------------------------------------------------------------ */

struct call_gate {
    u16 sel;
    u64 off;
    unsigned size; /* of a stack slot */
    unsigned params;
};

static struct call_gate read_call_gate(struct cpu *cpu, const struct insn *in, u16 sel,
                                       const struct desc *d)
{
    u32 err = SEL_ERR(sel);
    if (DESC_DPL(d) < cpu->cpl || DESC_DPL(d) < SEL_RPL(sel))
        excp_gp(cpu, in, err);
    if (!DESC_P(d))
        excp_fault_err(cpu, in, EXC_NP, err);
    struct call_gate g = {.sel = (u16)(d->lo >> 16), .params = d->hi & 31};
    g.size = DESC_TYPE(d) == SYS_CALL16 ? 2 : 4;
    g.off = g.size == 2 ? d->lo & 0xffff : (d->lo & 0xffff) | (d->hi & 0xffff0000);
    if (cpu_in_long_mode(cpu)) {
        u64 high = mem_read_sys(cpu, in, d->at + 8, 8);
        if (high >> 40 & 0x1f)
            excp_gp(cpu, in, err);
        g.off |= high << 32;
        g.size = 8;
        g.params = 0;
    }
    return g;
}

/* The gate's code segment; *cpl: privilege after the transfer. */
static void check_gate_code(struct cpu *cpu, const struct insn *in, const struct call_gate *g,
                            struct desc *d, bool call, unsigned *cpl)
{
    read_target(cpu, in, g->sel, d);
    u32 err = SEL_ERR(g->sel);
    if (!DESC_IS_CODE(d) || DESC_DPL(d) > cpu->cpl)
        excp_gp(cpu, in, err);
    if (!call && !DESC_IS_CONFORMING(d) && DESC_DPL(d) != cpu->cpl)
        excp_gp(cpu, in, err);
    if (cpu_in_long_mode(cpu) && (!DESC_L(d) || DESC_DB(d)))
        excp_gp(cpu, in, err);
    if (!DESC_P(d))
        excp_fault_err(cpu, in, EXC_NP, err);
    *cpl = DESC_IS_CONFORMING(d) ? cpu->cpl : DESC_DPL(d);
}

static void call_inner(struct cpu *cpu, const struct insn *in, const struct call_gate *g,
                       struct desc *d, unsigned cpl)
{
    struct frame s = {.inner = true, .supervisor = true};
    u16 sel;
    s.sp = tss_stack(cpu, in, cpl, &sel, 0);
    s.code64 = cpu_in_long_mode(cpu);
    if (s.code64) {
        s.ss = seg_null((u16)cpl);
        s.ss.attr |= (u16)(cpl << 5);
        s.mask = ~0ull;
    } else {
        s.ss = seg_fetch_stack(cpu, in, sel, cpl, EXC_TS, 0);
        s.mask = s.ss.attr & SEG_DB ? 0xffffffff : 0xffff;
    }
    u64 old_sp = cpu->gpr[RSP] & stack_mask(cpu);
    frame_push(cpu, in, &s, cpu->seg[SEG_SS].sel, g->size);
    frame_push(cpu, in, &s, cpu->gpr[RSP], g->size);
    for (unsigned i = g->params; i-- > 0;) {
        gva_t va = seg_addr(cpu, in, SEG_SS, (old_sp + i * g->size) & stack_mask(cpu), g->size,
                            ACCESS_READ);
        frame_push(cpu, in, &s, mem_read(cpu, in, va, g->size), g->size);
    }
    frame_push(cpu, in, &s, cpu->seg[SEG_CS].sel, g->size);
    frame_push(cpu, in, &s, insn_next_rip(cpu, in), g->size);
    desc_set_accessed(cpu, in, d);
    cpu->seg[SEG_SS] = s.ss;
    if (s.mask == 0xffff)
        set_reg16(cpu, RSP, (u16)s.sp);
    else
        cpu->gpr[RSP] = s.sp;
    seg_set_cs(cpu, g->sel, d, cpl);
    cpu->rip = g->off;
}

/* Pushes CS:RIP on the current stack and enters the segment at the same privilege. */
static void call_same(struct cpu *cpu, const struct insn *in, u16 sel, u64 off, unsigned size,
                      struct desc *d)
{
    struct frame s = frame_current(cpu);
    frame_push(cpu, in, &s, cpu->seg[SEG_CS].sel, size);
    frame_push(cpu, in, &s, insn_next_rip(cpu, in), size);
    check_target(cpu, in, d, off);
    desc_set_accessed(cpu, in, d);
    set_sp(cpu, s.sp);
    seg_set_cs(cpu, sel, d, cpu->cpl);
    cpu->rip = off;
}

static void through_gate(struct cpu *cpu, const struct insn *in, u16 sel, const struct desc *gd,
                         bool call)
{
    struct call_gate g = read_call_gate(cpu, in, sel, gd);
    struct desc d;
    unsigned cpl;
    check_gate_code(cpu, in, &g, &d, call, &cpl);
    check_target(cpu, in, &d, g.off);
    if (call && cpl < cpu->cpl) {
        call_inner(cpu, in, &g, &d, cpl);
    } else if (call) {
        call_same(cpu, in, g.sel, g.off, g.size, &d);
    } else {
        desc_set_accessed(cpu, in, &d);
        seg_set_cs(cpu, g.sel, &d, cpu->cpl);
        cpu->rip = g.off;
    }
}

/* Call gates, task gates, TSSs. True: a task switch happened, which did its own accounting. */
static bool through_system(struct cpu *cpu, const struct insn *in, u16 sel, const struct desc *d,
                           bool call)
{
    unsigned type = DESC_TYPE(d);
    bool lm = cpu_in_long_mode(cpu);
    u32 err = SEL_ERR(sel);
    if (type == SYS_CALL32 || (type == SYS_CALL16 && !lm)) {
        through_gate(cpu, in, sel, d, call);
        return false;
    }
    if (lm || (type != SYS_TASK && type != SYS_TSS16 && type != SYS_TSS32))
        excp_gp(cpu, in, err);
    if (DESC_DPL(d) < cpu->cpl || DESC_DPL(d) < SEL_RPL(sel))
        excp_gp(cpu, in, err);
    if (!DESC_P(d))
        excp_fault_err(cpu, in, EXC_NP, err);
    u16 tss = type == SYS_TASK ? (u16)(d->lo >> 16) : sel;
    task_switch(cpu, in, tss, call ? TASK_CALL : TASK_JMP, insn_next_rip(cpu, in));
    return true;
}

/* A task switch has accounted for the instructions before this one. */
static const struct insn *leave_after_task(struct cpu *cpu, const struct insn *in)
{
    exec_done_after_all(cpu, in);
    cpu->tf_skip = true;
    return NULL;
}

static const struct insn *far_transfer(struct cpu *cpu, const struct insn *in, struct far_ptr p,
                                       bool call)
{
    struct desc d;
    stat_count(&cpu->stats, STAT_FAR_XFER, SERVED_EXIT);
    if (cpu->key & KEY_REAL) {
        if (call) {
            struct frame s = frame_current(cpu);
            frame_push(cpu, in, &s, cpu->seg[SEG_CS].sel, in->osz);
            frame_push(cpu, in, &s, insn_next_rip(cpu, in), in->osz);
            if (p.off > cpu->seg[SEG_CS].limit)
                excp_gp(cpu, in, 0);
            set_sp(cpu, s.sp);
        }
        jump_real(cpu, in, p);
        cpu_update_key(cpu);
        return LEAVE(cpu, in);
    }
    read_target(cpu, in, p.sel, &d);
    if (!DESC_S(&d)) {
        if (through_system(cpu, in, p.sel, &d, call))
            return leave_after_task(cpu, in);
    } else {
        if (!DESC_IS_CODE(&d))
            excp_gp(cpu, in, SEL_ERR(p.sel));
        check_direct(cpu, in, p.sel, &d);
        check_target(cpu, in, &d, p.off);
        if (call) {
            call_same(cpu, in, p.sel, p.off, in->osz, &d);
        } else {
            desc_set_accessed(cpu, in, &d);
            seg_set_cs(cpu, p.sel, &d, cpu->cpl);
            cpu->rip = p.off;
        }
    }
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}

HANDLER(op_jmp_far_imm)
{
    return far_transfer(cpu, in, far_imm(in), false);
}
HANDLER(op_jmp_far_mem)
{
    return far_transfer(cpu, in, far_mem(cpu, in), false);
}
HANDLER(op_call_far_imm)
{
    return far_transfer(cpu, in, far_imm(in), true);
}
HANDLER(op_call_far_mem)
{
    return far_transfer(cpu, in, far_mem(cpu, in), true);
}
const struct insn_ops ops_jmp_far_imm = {.any = op_jmp_far_imm};
const struct insn_ops ops_jmp_far_mem = {.any = op_jmp_far_mem};
const struct insn_ops ops_call_far_imm = {.any = op_call_far_imm};
const struct insn_ops ops_call_far_mem = {.any = op_call_far_mem};

/* ---- returns --------------------------------------------------------------------------------- */

/* Reads stack slots without popping them. */
struct stack_reader {
    u64 sp, mask;
    unsigned size;
};

static u64 take(struct cpu *cpu, const struct insn *in, struct stack_reader *r)
{
    u64 v = mem_read(cpu, in, seg_addr(cpu, in, SEG_SS, r->sp, r->size, ACCESS_READ), r->size);
    r->sp = (r->sp + r->size) & r->mask;
    return v;
}

/* Code segment of a far RET or IRET; returns the new CPL. */
static unsigned check_return_cs(struct cpu *cpu, const struct insn *in, u16 sel, struct desc *d)
{
    read_target(cpu, in, sel, d);
    unsigned rpl = SEL_RPL(sel);
    if (!DESC_IS_CODE(d) || rpl < cpu->cpl)
        excp_gp(cpu, in, SEL_ERR(sel));
    if (DESC_IS_CONFORMING(d) ? DESC_DPL(d) > rpl : DESC_DPL(d) != rpl)
        excp_gp(cpu, in, SEL_ERR(sel));
    check_code_bits(cpu, in, sel, d);
    if (!DESC_P(d))
        excp_fault_err(cpu, in, EXC_NP, SEL_ERR(sel));
    return rpl;
}

/* SS of an outer (or, IRETQ, any) level: null is allowed when returning to 64-bit code below CPL 3.
 */
static struct seg return_ss(struct cpu *cpu, const struct insn *in, u16 sel, unsigned cpl,
                            bool to64)
{
    if (SEL_IS_NULL(sel) && to64 && cpl != 3) {
        if (SEL_RPL(sel) != cpl)
            excp_gp(cpu, in, 0);
        struct seg s = seg_null(sel);
        s.attr |= (u16)(cpl << 5);
        return s;
    }
    return seg_fetch_stack(cpu, in, sel, cpl, EXC_GP, 0);
}

static void set_outer_sp(struct cpu *cpu, u64 sp, bool to64)
{
    if (to64)
        cpu->gpr[RSP] = sp;
    else if (cpu->seg[SEG_SS].attr & SEG_DB)
        cpu->gpr[RSP] = (u32)sp;
    else
        set_reg16(cpu, RSP, (u16)sp);
}

HANDLER(op_ret_far)
{
    struct stack_reader r = {
        .sp = cpu->gpr[RSP] & stack_mask(cpu), .mask = stack_mask(cpu), .size = in->osz};
    u32 extra = (u16)in->imm;
    stat_count(&cpu->stats, STAT_FAR_XFER, SERVED_EXIT);
    u64 rip = take(cpu, in, &r);
    u16 sel = (u16)take(cpu, in, &r);

    if (cpu->key & KEY_REAL) {
        if (rip > cpu->seg[SEG_CS].limit)
            excp_gp(cpu, in, 0);
        set_sp(cpu, r.sp + extra);
        jump_real(cpu, in, (struct far_ptr){sel, rip});
        cpu_update_key(cpu);
        return LEAVE(cpu, in);
    }
    struct desc d;
    unsigned cpl = check_return_cs(cpu, in, sel, &d);
    check_target(cpu, in, &d, rip);
    if (cpl == cpu->cpl) {
        desc_set_accessed(cpu, in, &d);
        set_sp(cpu, r.sp + extra);
        seg_set_cs(cpu, sel, &d, cpl);
    } else {
        bool to64 = cpu_in_long_mode(cpu) && DESC_L(&d);
        r.sp = (r.sp + extra) & r.mask;
        u64 sp = take(cpu, in, &r);
        struct seg ss = return_ss(cpu, in, (u16)take(cpu, in, &r), cpl, to64);
        desc_set_accessed(cpu, in, &d);
        seg_set_cs(cpu, sel, &d, cpl);
        cpu->seg[SEG_SS] = ss;
        set_outer_sp(cpu, sp + extra, to64);
        seg_drop_for_cpl(cpu, cpl);
    }
    cpu->rip = rip;
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}
const struct insn_ops ops_ret_far = {.any = op_ret_far};

/* Bits of EFLAGS that IRET may set at this privilege. */
static u32 iret_mask(const struct cpu *cpu, unsigned osz)
{
    u32 m = EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_ID;
    if (cpu->cpl <= cpu_iopl(cpu))
        m |= EFLAGS_IF;
    if (cpu->cpl == 0)
        m |= EFLAGS_IOPL | EFLAGS_VIF | EFLAGS_VIP;
    return osz == 2 ? m & 0xffff : m;
}

static void load_flags(struct cpu *cpu, u32 v, u32 mask)
{
    cpu->eflags = ((cpu->eflags & ~mask) | (v & mask) | 2) & ~EFLAGS_ARITH;
    if (!(cpu->dr[7] & 0xff))
        cpu->eflags &= ~EFLAGS_RF; /* shows only where there are breakpoints */
    flags_set(&cpu->flags, v);
    cpu->nmi_blocked = false;
}

static const struct insn *iret_real(struct cpu *cpu, const struct insn *in)
{
    struct stack_reader r = {
        .sp = cpu->gpr[RSP] & stack_mask(cpu), .mask = stack_mask(cpu), .size = in->osz};
    if (cpu_in_v86(cpu) && cpu_iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || in->osz != 2)
            excp_gp(cpu, in, 0);
    }
    u64 rip = take(cpu, in, &r);
    u16 cs = (u16)take(cpu, in, &r);
    u32 flags = (u32)take(cpu, in, &r);
    if (rip > cpu->seg[SEG_CS].limit)
        excp_gp(cpu, in, 0);
    if (cpu_in_v86(cpu)) {
        if (cpu_iopl(cpu) < 3) { /* VME: IF is virtual */
            if (flags & EFLAGS_TF || (flags & EFLAGS_IF && cpu->eflags & EFLAGS_VIP))
                excp_gp(cpu, in, 0);
            u32 m = EFLAGS_DF | EFLAGS_NT;
            u32 vif = flags & EFLAGS_IF ? EFLAGS_VIF : 0;
            load_flags(cpu, (flags & ~EFLAGS_VIF) | vif, m | EFLAGS_VIF);
        } else {
            load_flags(cpu, flags,
                       (EFLAGS_TF | EFLAGS_IF | EFLAGS_DF | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC |
                        EFLAGS_ID) &
                           (in->osz == 2 ? 0xffff : ~0u));
        }
    } else {
        load_flags(cpu, flags, iret_mask(cpu, in->osz) & ~(EFLAGS_VIF | EFLAGS_VIP));
    }
    set_sp(cpu, r.sp);
    seg_load_real(cpu, SEG_CS, cs);
    cpu->rip = rip;
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}

static const struct insn *iret_to_v86(struct cpu *cpu, const struct insn *in,
                                      struct stack_reader *r, u64 rip, u16 cs, u32 flags)
{
    static const u8 order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    u64 sp = take(cpu, in, r);
    u16 sel[5];
    for (unsigned i = 0; i < 5; i++)
        sel[i] = (u16)take(cpu, in, r);
    load_flags(cpu, flags,
               EFLAGS_VM | EFLAGS_TF | EFLAGS_IF | EFLAGS_DF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF |
                   EFLAGS_AC | EFLAGS_VIF | EFLAGS_VIP | EFLAGS_ID);
    cpu->cpl = 3;
    seg_load_real(cpu, SEG_CS, cs);
    for (unsigned i = 0; i < 5; i++)
        seg_load_real(cpu, order[i], sel[i]);
    cpu->gpr[RSP] = (u32)sp;
    cpu->rip = rip & 0xffff;
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}

static const struct insn *iret_task(struct cpu *cpu, const struct insn *in)
{
    if (cpu_in_long_mode(cpu))
        excp_gp(cpu, in, 0);
    u16 link = (u16)mem_read_sys(cpu, in, (u32)cpu->tr.base, 2);
    task_switch(cpu, in, link, TASK_IRET, insn_next_rip(cpu, in));
    cpu->nmi_blocked = false;
    return leave_after_task(cpu, in);
}

HANDLER(op_iret)
{
    stat_count(&cpu->stats, STAT_IRET, SERVED_EXIT);
    if (cpu->key & KEY_REAL)
        return iret_real(cpu, in);
    if (cpu->eflags & EFLAGS_NT)
        return iret_task(cpu, in);

    struct stack_reader r = {
        .sp = cpu->gpr[RSP] & stack_mask(cpu), .mask = stack_mask(cpu), .size = in->osz};
    u64 rip = take(cpu, in, &r);
    u16 sel = (u16)take(cpu, in, &r);
    u32 flags = (u32)take(cpu, in, &r);
    if (flags & EFLAGS_VM && cpu->cpl == 0 && in->osz == 4 && !cpu_in_long_mode(cpu))
        return iret_to_v86(cpu, in, &r, rip, sel, flags);

    struct desc d;
    unsigned cpl = check_return_cs(cpu, in, sel, &d);
    check_target(cpu, in, &d, rip);
    u32 mask = iret_mask(cpu, in->osz);
    bool to64 = cpu_in_long_mode(cpu) && DESC_L(&d);
    if (cpl != cpu->cpl || cpu->key & KEY_CODE64) { /* 64-bit IRET always takes SS:RSP */
        u64 sp = take(cpu, in, &r);
        struct seg ss = return_ss(cpu, in, (u16)take(cpu, in, &r), cpl, to64);
        bool outer = cpl != cpu->cpl;
        desc_set_accessed(cpu, in, &d);
        seg_set_cs(cpu, sel, &d, cpl);
        cpu->seg[SEG_SS] = ss;
        set_outer_sp(cpu, sp, to64);
        if (outer)
            seg_drop_for_cpl(cpu, cpl);
    } else {
        desc_set_accessed(cpu, in, &d);
        set_sp(cpu, r.sp);
        seg_set_cs(cpu, sel, &d, cpl);
    }
    cpu->rip = rip;
    load_flags(cpu, flags, mask);
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}
const struct insn_ops ops_iret = {.any = op_iret};

/* ---- software interrupts --------------------------------------------------------------------- */

HANDLER(op_int_n)
{
    excp_soft_int(cpu, in, (u8)in->imm, SOFT_INT_N);
    return NULL;
}
const struct insn_ops ops_int_n = {.any = op_int_n};

HANDLER(op_int3)
{
    excp_soft_int(cpu, in, EXC_BP, SOFT_INT3);
    return NULL;
}
const struct insn_ops ops_int3 = {.any = op_int3};

HANDLER(op_into)
{
    if (!flag_o(&cpu->flags))
        return LEAVE_NEXT(cpu, in);
    excp_soft_int(cpu, in, EXC_OF, SOFT_INTO);
    return NULL;
}
const struct insn_ops ops_into = {.any = op_into};

/* A #DB that leaves DR6 alone, unless breakpoints hit while MOV SS held them back. */
HANDLER(op_int1)
{
    if (cpu->dr6_pending)
        debug_report(cpu, cpu->dr6_pending);
    cpu->dr6_pending = 0;
    excp_soft_int(cpu, in, EXC_DB, SOFT_INT1);
    cpu->dr[7] &= ~(u64)DR7_GD;
    return NULL;
}
const struct insn_ops ops_int1 = {.any = op_int1};

/* ---- fast system calls ----------------------------------------------------------------------- */

static void flat_segment(struct cpu *cpu, enum seg_id s, u16 sel, u16 attr)
{
    cpu->seg[s] = (struct seg){.sel = sel, .limit = 0xffffffff, .attr = attr};
}

#define ATTR_CODE64 (0x9b | SEG_L | SEG_G)
#define ATTR_CODE32 (0x9b | SEG_DB | SEG_G)
#define ATTR_DATA (0x93 | SEG_DB | SEG_G)
#define ATTR_DPL3 0x60

HANDLER(op_syscall)
{
    bool amd = cpu->model->vendor == VENDOR_AMD, lm = cpu_in_long_mode(cpu);
    if (!(cpu->efer & EFER_SCE) || cpu->key & KEY_REAL || (!amd && !(cpu->key & KEY_CODE64)))
        excp_ud(cpu, in);
    stat_count(&cpu->stats, STAT_SYSCALL, SERVED_EXIT);
    u16 cs = (u16)(cpu->star >> 32 & 0xfffc);
    u64 next = insn_next_rip(cpu, in), target;
    cpu->gpr[RCX] = lm ? next : (u32)next;
    if (lm) {
        cpu->gpr[R11] = cpu_get_eflags(cpu) & ~EFLAGS_RF;
        target = cpu->key & KEY_CODE64 ? cpu->lstar : cpu->cstar;
        flat_segment(cpu, SEG_CS, cs, ATTR_CODE64);
        u32 flags = (u32)cpu->gpr[R11] & ~(u32)cpu->sfmask;
        cpu->eflags = (flags & ~(EFLAGS_ARITH | EFLAGS_RF)) | 2;
        flags_set(&cpu->flags, flags);
    } else {
        target = (u32)cpu->star;
        flat_segment(cpu, SEG_CS, cs, ATTR_CODE32);
        cpu->eflags &= ~(EFLAGS_VM | EFLAGS_IF | EFLAGS_RF);
    }
    flat_segment(cpu, SEG_SS, (u16)(cs + 8), ATTR_DATA);
    cpu->cpl = 0;
    cpu->rip = target;
    cpu->tf_skip = !(cpu->eflags & EFLAGS_TF);
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}
const struct insn_ops ops_syscall = {.any = op_syscall};

HANDLER(op_sysret)
{
    bool amd = cpu->model->vendor == VENDOR_AMD, lm = cpu_in_long_mode(cpu);
    if (!(cpu->efer & EFER_SCE) || (!amd && !(cpu->key & KEY_CODE64)))
        excp_ud(cpu, in);
    bool to64 = in->osz == 8 && lm;
    u64 rip = to64 ? cpu->gpr[RCX] : (u32)cpu->gpr[RCX];
    /* Intel faults here, still at CPL 0; AMD at the first fetch. */
    if (to64 && !amd && !cpu_canonical(cpu, rip))
        excp_gp(cpu, in, 0);
    stat_count(&cpu->stats, STAT_SYSRET, SERVED_EXIT);
    u16 base = (u16)(cpu->star >> 48 | 3);
    if (to64)
        flat_segment(cpu, SEG_CS, (u16)(base + 16), ATTR_CODE64 | ATTR_DPL3);
    else
        flat_segment(cpu, SEG_CS, base, ATTR_CODE32 | ATTR_DPL3);
    flat_segment(cpu, SEG_SS, (u16)(base + 8), ATTR_DATA | ATTR_DPL3);
    if (lm) {
        u32 m = ~(EFLAGS_RF | EFLAGS_VM);
        cpu->eflags = (((u32)cpu->gpr[R11] & 0x3f7fd5 & m) & ~EFLAGS_ARITH) | 2;
        flags_set(&cpu->flags, (u32)cpu->gpr[R11]);
    } else {
        cpu->eflags |= EFLAGS_IF;
    }
    cpu->cpl = 3;
    cpu->rip = rip;
    cpu->tf_skip = true;
    if (cpu->eflags & EFLAGS_TF) /* at the end of SYSRET TF counts, not at its start */
        cpu->dr6_pending |= DR6_BS;
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}
const struct insn_ops ops_sysret = {.any = op_sysret};

/* AMD has SYSENTER in legacy mode only. */
static void check_sysenter(struct cpu *cpu, const struct insn *in)
{
    if (cpu->model->vendor == VENDOR_AMD && cpu_in_long_mode(cpu))
        excp_ud(cpu, in);
    if (cpu_in_real(cpu) || (cpu->sysenter_cs & 0xfffc) == 0)
        excp_gp(cpu, in, 0);
}

HANDLER(op_sysenter)
{
    check_sysenter(cpu, in);
    stat_count(&cpu->stats, STAT_SYSCALL, SERVED_EXIT);
    bool lm = cpu_in_long_mode(cpu);
    u16 cs = (u16)(cpu->sysenter_cs & 0xfffc);
    cpu->eflags &= ~(EFLAGS_VM | EFLAGS_IF | EFLAGS_RF);
    flat_segment(cpu, SEG_CS, cs, lm ? ATTR_CODE64 : ATTR_CODE32);
    flat_segment(cpu, SEG_SS, (u16)(cs + 8), ATTR_DATA);
    cpu->cpl = 0;
    cpu->gpr[RSP] = lm ? cpu->sysenter_esp : (u32)cpu->sysenter_esp;
    cpu->rip = lm ? cpu->sysenter_eip : (u32)cpu->sysenter_eip;
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}
const struct insn_ops ops_sysenter = {.any = op_sysenter};

HANDLER(op_sysexit)
{
    check_sysenter(cpu, in);
    if (cpu->cpl != 0)
        excp_gp(cpu, in, 0);
    bool to64 = in->osz == 8;
    u64 rip = to64 ? cpu->gpr[RDX] : (u32)cpu->gpr[RDX];
    u64 sp = to64 ? cpu->gpr[RCX] : (u32)cpu->gpr[RCX];
    if (to64 && (!cpu_canonical(cpu, rip) || !cpu_canonical(cpu, sp)))
        excp_gp(cpu, in, 0);
    stat_count(&cpu->stats, STAT_SYSRET, SERVED_EXIT);
    u16 cs = (u16)((cpu->sysenter_cs & 0xfffc) + (to64 ? 32 : 16)) | 3;
    flat_segment(cpu, SEG_CS, cs, (to64 ? ATTR_CODE64 : ATTR_CODE32) | ATTR_DPL3);
    flat_segment(cpu, SEG_SS, (u16)(cs + 8), ATTR_DATA | ATTR_DPL3);
    cpu->gpr[RSP] = sp;
    cpu->rip = rip;
    cpu->cpl = 3;
    cpu_update_key(cpu);
    return LEAVE(cpu, in);
}
const struct insn_ops ops_sysexit = {.any = op_sysexit};
