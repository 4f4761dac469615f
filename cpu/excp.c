/* excp.c: see excp.h. SDM vol. 3A chapter 6; virtual-8086 interrupts: chapter 20. */
#include "cpu/excp.h"
#include "base/trace.h"
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/observe.h"
#include "cpu/seg.h"
#include "cpu/tap.h"
#include "cpu/task.h"

/* ---- raising --------------------------------------------------------------------------------- */

static bool contributory(unsigned v)
{
    return v == EXC_DE || (v >= EXC_TS && v <= EXC_GP);
}

/* What becomes of a second exception while `first` is being delivered: SDM table 6-5. */
static bool doubles(unsigned first, unsigned second)
{
    if (first == EXC_DF)
        return contributory(second) || second == EXC_PF;
    if (first == EXC_PF)
        return contributory(second) || second == EXC_PF;
    return contributory(first) && contributory(second);
}

/*T:440 A fault while a fault is delivered
 *
 * Delivering an exception reads a descriptor table and writes to a stack; both can fault. Then a
 * double fault is delivered instead, and if that faults too, the processor shuts down: the triple
 * fault. The chain is kept, since the first fault in it is the cause and all that a person wants to
 * know.
 */
static _Noreturn void raise(struct cpu *cpu, const struct insn *in, struct pending_excp e)
{
    if (in) {
        cpu->rip = insn_rip(cpu, in);
        exec_not_done(cpu, in);
    }
    cpu->dr6_pending =
        0; /* an instruction that faults completes no access that a breakpoint could trap */
    if (!cpu->delivering)
        cpu->fault_chain_len = 0;
    if (cpu->fault_chain_len < ARRAY_SIZE(cpu->fault_chain))
        cpu->fault_chain[cpu->fault_chain_len++] =
            (struct fault_record){.e = e, .rip = cpu->rip, .cs = cpu->seg[SEG_CS].sel};
    if (cpu->delivering && doubles(cpu->excp.vector, e.vector)) {
        cpu->triple_fault = cpu->excp.vector == EXC_DF;
        e = (struct pending_excp){.vector = EXC_DF, .has_error = true};
    }
    cpu->excp = e;
    siglongjmp(cpu->unwind, 1);
}

_Noreturn void excp_fault(struct cpu *cpu, const struct insn *in, unsigned vector)
{
    raise(cpu, in, (struct pending_excp){.vector = (u8)vector});
}

_Noreturn void excp_fault_err(struct cpu *cpu, const struct insn *in, unsigned vector, u32 error)
{
    raise(cpu, in, (struct pending_excp){.vector = (u8)vector, .has_error = true, .error = error});
}

_Noreturn void excp_page_fault(struct cpu *cpu, const struct insn *in, gva_t va, u32 pfec)
{
    cpu->cr2 = va;
    raise(cpu, in,
          (struct pending_excp){.vector = EXC_PF, .has_error = true, .error = pfec, .cr2 = va});
}

/* ---- delivery -------------------------------------------------------------------------------- */

struct entry {
    unsigned vector;
    bool soft; /* INT n, INT3, INTO: the gate's DPL is checked */
    u32 ext;   /* 1: error codes of faults on the way say "external" */
    bool has_error;
    u32 error;
    u64 rip;    /* to return to */
    u32 eflags; /* image to push */
};

static void commit_flags(struct cpu *cpu, bool clear_if)
{
    cpu->eflags &= ~(EFLAGS_TF | EFLAGS_VM | EFLAGS_RF | EFLAGS_NT | (clear_if ? EFLAGS_IF : 0));
    cpu->tf_skip = true;
}

static void enter_real(struct cpu *cpu, const struct entry *e)
{
    if (e->vector * 4 + 3 > cpu->idtr.limit)
        excp_fault_err(cpu, NULL, EXC_GP, e->vector * 8 + 2);
    u32 gate = (u32)mem_read_sys(cpu, NULL, cpu->idtr.base + e->vector * 4, 4);
    u64 m = stack_mask(cpu), sp = cpu->gpr[RSP];
    const u16 frame[] = {(u16)e->eflags, cpu->seg[SEG_CS].sel, (u16)e->rip};
    for (unsigned i = 0; i < 3; i++) {
        sp = (sp - 2) & m;
        mem_write(cpu, NULL, seg_addr(cpu, NULL, SEG_SS, sp, 2, ACCESS_WRITE), frame[i], 2);
    }
    set_sp(cpu, sp);
    u32 nt = cpu->eflags & EFLAGS_NT; /* means nothing here and stays */
    commit_flags(cpu, true);
    cpu->eflags = (cpu->eflags & ~EFLAGS_AC) | nt;
    seg_load_real(cpu, SEG_CS, (u16)(gate >> 16));
    cpu->rip = gate & 0xffff;
}

struct gate {
    unsigned type;
    unsigned dpl;
    u16 sel;
    u64 offset;
    unsigned ist;
};

static struct gate read_gate(struct cpu *cpu, const struct entry *e)
{
    bool lm = cpu_in_long_mode(cpu);
    unsigned size = lm ? 16 : 8;
    u32 err = e->vector * 8 + 2 + e->ext;
    if (e->vector * size + size - 1 > cpu->idtr.limit)
        excp_fault_err(cpu, NULL, EXC_GP, err);
    gva_t at = cpu->idtr.base + e->vector * size;
    u64 d = mem_read_sys(cpu, NULL, lm ? at : (u32)at, 8);
    u32 lo = (u32)d, hi = (u32)(d >> 32);
    struct gate g = {.type = hi >> 8 & 0x1f, .dpl = hi >> 13 & 3, .sel = (u16)(lo >> 16)};
    g.offset = g.type == SYS_INT16 || g.type == SYS_TRAP16 ? lo & 0xffff
                                                           : (lo & 0xffff) | (hi & 0xffff0000);
    if (lm) {
        g.offset |= mem_read_sys(cpu, NULL, at + 8, 4) << 32;
        g.ist = hi & 7;
    }
    bool ok = g.type == SYS_INT32 || g.type == SYS_TRAP32 ||
              (!lm && (g.type == SYS_INT16 || g.type == SYS_TRAP16 || g.type == SYS_TASK));
    if (!ok || (e->soft && g.dpl < cpu->cpl))
        excp_fault_err(cpu, NULL, EXC_GP, err);
    if (!(hi & BIT(15)))
        excp_fault_err(cpu, NULL, EXC_NP, err);
    return g;
}

/* Checks the handler's code segment; returns the privilege level it runs at. */
static unsigned check_handler(struct cpu *cpu, const struct gate *g, struct desc *d, u32 ext)
{
    u32 err = SEL_ERR(g->sel) | ext;
    if (SEL_IS_NULL(g->sel))
        excp_fault_err(cpu, NULL, EXC_GP, ext);
    if (!desc_read(cpu, NULL, g->sel, d) || !DESC_IS_CODE(d) || DESC_DPL(d) > cpu->cpl)
        excp_fault_err(cpu, NULL, EXC_GP, err);
    if (cpu_in_long_mode(cpu) && (!DESC_L(d) || DESC_DB(d)))
        excp_fault_err(cpu, NULL, EXC_GP, err);
    if (!DESC_P(d))
        excp_fault_err(cpu, NULL, EXC_NP, err);
    unsigned cpl = DESC_IS_CONFORMING(d) ? cpu->cpl : DESC_DPL(d);
    if (cpu_in_v86(cpu) && cpl != 0)
        excp_fault_err(cpu, NULL, EXC_GP, err);
    return cpl;
}

static void push_v86_segments(struct cpu *cpu, struct frame *f, unsigned size)
{
    static const u8 order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    for (unsigned i = 0; i < 4; i++)
        frame_push(cpu, NULL, f, cpu->seg[order[i]].sel, size);
}

static void enter_protected(struct cpu *cpu, const struct entry *e)
{
    struct gate g = read_gate(cpu, e);
    if (g.type == SYS_TASK) {
        task_switch_gate(cpu, g.sel, e->rip, e->has_error, e->error, e->ext);
        return;
    }
    struct desc d;
    unsigned cpl = check_handler(cpu, &g, &d, e->ext);
    unsigned size = g.type & 8 ? 4 : 2;
    bool v86 = cpu_in_v86(cpu), inner = cpl < cpu->cpl || v86;
    struct frame f = {.inner = inner, .supervisor = cpl != 3, .ext = e->ext};

    if (inner) {
        u16 sel;
        f.sp = tss_stack(cpu, NULL, cpl, &sel, e->ext);
        f.ss = seg_fetch_stack(cpu, NULL, sel, cpl, EXC_TS, e->ext);
    } else {
        f.ss = cpu->seg[SEG_SS];
        f.sp = cpu->gpr[RSP];
    }
    f.mask = f.ss.attr & SEG_DB ? 0xffffffff : 0xffff;
    if (v86)
        push_v86_segments(cpu, &f, size);
    if (inner) {
        frame_push(cpu, NULL, &f, cpu->seg[SEG_SS].sel, size);
        frame_push(cpu, NULL, &f, cpu->gpr[RSP], size);
    }
    frame_push(cpu, NULL, &f, e->eflags, size);
    frame_push(cpu, NULL, &f, cpu->seg[SEG_CS].sel, size);
    frame_push(cpu, NULL, &f, e->rip, size);
    if (e->has_error)
        frame_push(cpu, NULL, &f, e->error, size);
    if (g.offset > desc_limit(&d))
        excp_fault_err(cpu, NULL, EXC_GP, e->ext);
    desc_set_accessed(cpu, NULL, &d);

    if (v86)
        for (unsigned s = 0; s < SEG_NONE; s++)
            if (s != SEG_CS && s != SEG_SS)
                cpu->seg[s] = seg_null(0);
    seg_set_cs(cpu, g.sel, &d, cpl);
    if (inner)
        cpu->seg[SEG_SS] = f.ss;
    if (f.mask == 0xffff)
        set_reg16(cpu, RSP, (u16)f.sp);
    else
        cpu->gpr[RSP] = f.sp;
    commit_flags(cpu, !(g.type & 1));
    cpu->rip = g.offset;
}

static void enter_long(struct cpu *cpu, const struct entry *e)
{
    struct gate g = read_gate(cpu, e);
    struct desc d;
    unsigned cpl = check_handler(cpu, &g, &d, e->ext);
    bool inner = cpl < cpu->cpl;
    struct frame f = {
        .code64 = true, .mask = ~0ull, .inner = inner, .supervisor = cpl != 3, .ext = e->ext};
    u16 sel = 0;

    if (g.ist)
        f.sp = tss_ist(cpu, g.ist, e->ext);
    else if (inner)
        f.sp = tss_stack(cpu, NULL, cpl, &sel, e->ext);
    else
        f.sp = cpu->gpr[RSP];
    if (!cpu_canonical(cpu, f.sp))
        excp_fault_err(cpu, NULL, EXC_SS, e->ext);
    f.sp &= ~0xfull;
    frame_push(cpu, NULL, &f, cpu->seg[SEG_SS].sel, 8);
    frame_push(cpu, NULL, &f, cpu->gpr[RSP], 8);
    frame_push(cpu, NULL, &f, e->eflags, 8);
    frame_push(cpu, NULL, &f, cpu->seg[SEG_CS].sel, 8);
    frame_push(cpu, NULL, &f, e->rip, 8);
    if (e->has_error)
        frame_push(cpu, NULL, &f, e->error, 8);
    if (!cpu_canonical(cpu, g.offset))
        excp_fault_err(cpu, NULL, EXC_GP, e->ext);
    desc_set_accessed(cpu, NULL, &d);

    seg_set_cs(cpu, g.sel, &d, cpl);
    if (inner) {
        cpu->seg[SEG_SS] = seg_null((u16)cpl);
        cpu->seg[SEG_SS].attr |= (u16)(cpl << 5);
    }
    cpu->gpr[RSP] = f.sp;
    commit_flags(cpu, !(g.type & 1));
    cpu->rip = g.offset;
}

static void enter_handler(struct cpu *cpu, const struct entry *e)
{
    if (cpu_in_real(cpu))
        enter_real(cpu, e);
    else if (cpu_in_long_mode(cpu))
        enter_long(cpu, e);
    else
        enter_protected(cpu, e);
    cpu_update_key(cpu);
}

/* Faults push RF = 1, so that a breakpoint does not hit again (SDM vol. 3B 17.3.1.1). */
static bool pushes_rf(unsigned vector)
{
    return vector != EXC_DB && vector != EXC_NMI && vector != EXC_BP && vector != EXC_OF;
}

bool excp_deliver(struct cpu *cpu)
{
    if (cpu->triple_fault)
        return false;
    const struct pending_excp x = cpu->excp;
    cpu->delivering = true;
    stat_count(&cpu->stats, x.vector == EXC_PF ? STAT_PF_GUEST : STAT_EXCP, SERVED_EXIT);
    TRACE(excp, (unsigned)x.vector, x.error, cpu->rip, x.cr2);
    observe_event(cpu, OBSERVED_EXCEPTION, x.vector);
    if (x.vector == EXC_DB)
        cpu->dr[7] &= ~(u64)DR7_GD;
    struct entry e = {.vector = x.vector,
                      .ext = 1,
                      .has_error = x.has_error && !cpu_in_real(cpu),
                      .error = x.error,
                      .rip = cpu->rip,
                      .eflags = cpu_get_eflags(cpu)};
    if (pushes_rf(x.vector) || cpu->single_rf)
        e.eflags |= EFLAGS_RF;
    cpu->single_rf = false;
    enter_handler(cpu, &e);
    cpu->delivering = false;
    return true;
}

void excp_trap(struct cpu *cpu, unsigned vector)
{
    cpu->excp = (struct pending_excp){.vector = (u8)vector};
    cpu->fault_chain_len = 0;
    excp_deliver(cpu);
    tap_excp(cpu, vector, true);
}

void excp_interrupt(struct cpu *cpu, unsigned vector)
{
    observe_event(cpu, OBSERVED_INTERRUPT, vector);
    struct entry e = {.vector = vector, .ext = 1, .rip = cpu->rip, .eflags = cpu_get_eflags(cpu)};
    enter_handler(cpu, &e);
    tap_excp(cpu, vector, true);
}

/* INT n of virtual-8086 mode with VME: through the 8086 vector table when the TSS's bitmap says so
 * (SDM vol. 3A table 20-2). True: done. */
static bool v86_redirect(struct cpu *cpu, const struct insn *in, unsigned vector)
{
    if (!(cpu->cr4 & CR4_VME))
        return false;
    u32 iomap = (u32)mem_read_sys(cpu, in, (u32)(cpu->tr.base + 102), 2);
    u32 at = iomap - 32 + vector / 8;
    if (iomap < 32 || at > cpu->tr.limit ||
        mem_read_sys(cpu, in, (u32)(cpu->tr.base + at), 1) >> (vector & 7) & 1)
        return false;
    u32 flags = cpu_get_eflags(cpu);
    unsigned iopl = cpu_iopl(cpu);
    if (iopl < 3) /* IF is virtual, IOPL reads as 3 */
        flags = (flags & ~EFLAGS_IF) | (flags & EFLAGS_VIF ? EFLAGS_IF : 0) | EFLAGS_IOPL;
    u64 sp = cpu->gpr[RSP];
    const u16 frame[] = {(u16)flags, cpu->seg[SEG_CS].sel, (u16)insn_next_rip(cpu, in)};
    u32 target = (u32)mem_read(cpu, in, vector * 4, 4);
    for (unsigned i = 0; i < 3; i++) {
        sp = (sp - 2) & 0xffff;
        mem_write(cpu, in, seg_addr(cpu, in, SEG_SS, sp, 2, ACCESS_WRITE), frame[i], 2);
    }
    set_sp(cpu, sp);
    cpu->eflags &= ~(EFLAGS_TF | (iopl == 3 ? EFLAGS_IF : EFLAGS_VIF));
    cpu->tf_skip = true;
    cpu->rip = target & 0xffff;
    seg_load_real(cpu, SEG_CS, (u16)(target >> 16));
    return true;
}

void excp_soft_int(struct cpu *cpu, const struct insn *in, unsigned vector, enum soft_int kind)
{
    stat_count(&cpu->stats, STAT_INT, SERVED_EXIT);
    TRACE(soft_int, vector, insn_rip(cpu, in));
    observe_event(cpu, OBSERVED_SOFT_INT, vector);
    if (kind == SOFT_INT_N && cpu_in_v86(cpu)) {
        if (v86_redirect(cpu, in, vector)) {
            cpu->left -= in->idx + 1;
            return;
        }
        if (cpu_iopl(cpu) < 3)
            excp_gp(cpu, in, 0);
    }
    struct entry e = {.vector = vector,
                      .soft = kind != SOFT_INT1,
                      .rip = insn_next_rip(cpu, in),
                      .eflags = cpu_get_eflags(cpu)};
    /* From here on a fault restarts the instruction without unwinding through its record. */
    cpu->rip = insn_rip(cpu, in);
    exec_not_done(cpu, in);
    enter_handler(cpu, &e);
    exec_done_after_all(cpu, in);
    tap_excp(cpu, vector, true);
}
