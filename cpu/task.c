/* task.c: see task.h. */
#include "cpu/task.h"
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/seg.h"
#include "cpu/sysregs.h"

/* Offsets of the saved state, SDM figures 7-2 and 7-10. */
struct tss_layout {
    u8 size; /* of a register slot */
    u8 min_limit;
    u8 ip, flags, gpr, seg, ldt;
    u8 seg_count, seg_step;
};

static const struct tss_layout TSS32 = {4, 0x67, 32, 36, 40, 72, 96, 6, 4};
static const struct tss_layout TSS16 = {2, 0x2b, 14, 16, 18, 34, 42, 4, 2};

static const struct tss_layout *layout_of(unsigned type)
{
    return type & 8 ? &TSS32 : &TSS16;
}

static gva_t at(const struct seg *tss, unsigned off)
{
    return (u32)(tss->base + off);
}

static void set_busy(struct cpu *cpu, const struct insn *in, u16 sel, bool busy)
{
    struct desc d;
    if (!desc_read(cpu, in, sel, &d))
        return;
    u32 hi = busy ? d.hi | BIT(9) : d.hi & ~BIT(9);
    mem_write_sys(cpu, in, d.at + 4, hi, 4);
}

static void save_state(struct cpu *cpu, const struct insn *in, u32 eflags, u64 next_rip)
{
    const struct tss_layout *l = layout_of(SEG_TYPE(cpu->tr.attr));
    mem_write_sys(cpu, in, at(&cpu->tr, l->ip), next_rip & mask64(l->size * 8u), l->size);
    mem_write_sys(cpu, in, at(&cpu->tr, l->flags), eflags & mask64(l->size * 8u), l->size);
    for (unsigned i = 0; i < 8; i++)
        mem_write_sys(cpu, in, at(&cpu->tr, l->gpr + i * l->size),
                      cpu->gpr[i] & mask64(l->size * 8u), l->size);
    for (unsigned i = 0; i < l->seg_count; i++)
        mem_write_sys(cpu, in, at(&cpu->tr, l->seg + i * l->seg_step), cpu->seg[i].sel, 2);
}

/* The image of the new task, read whole before anything changes. */
struct task_image {
    u32 cr3, ip, flags, gpr[8];
    u16 seg[6], ldt;
    bool trap;
    u32 ext; /* of the error codes of faults while it is loaded */
};

static struct task_image read_image(struct cpu *cpu, const struct insn *in, const struct seg *tss)
{
    const struct tss_layout *l = layout_of(SEG_TYPE(tss->attr));
    struct task_image t = {0};
    t.ip = (u32)mem_read_sys(cpu, in, at(tss, l->ip), l->size);
    t.flags = (u32)mem_read_sys(cpu, in, at(tss, l->flags), l->size);
    for (unsigned i = 0; i < 8; i++)
        t.gpr[i] = (u32)mem_read_sys(cpu, in, at(tss, l->gpr + i * l->size), l->size);
    for (unsigned i = 0; i < l->seg_count; i++)
        t.seg[i] = (u16)mem_read_sys(cpu, in, at(tss, l->seg + i * l->seg_step), 2);
    t.ldt = (u16)mem_read_sys(cpu, in, at(tss, l->ldt), 2);
    if (l == &TSS32) {
        t.cr3 = (u32)mem_read_sys(cpu, in, at(tss, 28), 4);
        t.trap = mem_read_sys(cpu, in, at(tss, 100), 2) & 1;
    }
    return t;
}

static void load_ldt(struct cpu *cpu, u16 sel, u32 ext)
{
    struct desc d;
    cpu->ldtr = seg_null(sel);
    if (SEL_IS_NULL(sel))
        return;
    if (sel & 4 || !desc_read(cpu, NULL, sel, &d) || DESC_S(&d) || DESC_TYPE(&d) != SYS_LDT ||
        !DESC_P(&d))
        excp_fault_err(cpu, NULL, EXC_TS, SEL_ERR(sel) | ext);
    cpu->ldtr = desc_to_seg(sel, &d);
}

/* Segment registers of the new task: all selectors first, so that a fault sees them; then each with
 * its checks, in the new task's context. */
static void load_segments(struct cpu *cpu, const struct task_image *t)
{
    if (t->flags & EFLAGS_VM) {
        cpu->cpl = 3;
        for (unsigned i = 0; i < SEG_NONE; i++)
            seg_load_real(cpu, i, t->seg[i]);
        load_ldt(cpu, t->ldt, t->ext);
        return;
    }
    for (unsigned i = 0; i < SEG_NONE; i++)
        cpu->seg[i] = seg_null(t->seg[i]);
    /* As long as SS is not there, a fault must find its handler on a stack of the TSS. */
    cpu->cpl = 3;
    load_ldt(cpu, t->ldt, t->ext);

    u16 cs = t->seg[SEG_CS];
    u32 err = SEL_ERR(cs) | t->ext;
    struct desc d;
    if (SEL_IS_NULL(cs) || !desc_read(cpu, NULL, cs, &d) || !DESC_IS_CODE(&d))
        excp_fault_err(cpu, NULL, EXC_TS, err);
    bool conforming = DESC_IS_CONFORMING(&d);
    if (conforming ? DESC_DPL(&d) > SEL_RPL(cs) : DESC_DPL(&d) != SEL_RPL(cs))
        excp_fault_err(cpu, NULL, EXC_TS, err);
    if (!DESC_P(&d))
        excp_fault_err(cpu, NULL, EXC_NP, err);
    desc_set_accessed(cpu, NULL, &d);
    unsigned cpl = SEL_RPL(cs);
    seg_set_cs(cpu, cs, &d, cpl);
    cpu->cpl = 3;
    seg_load_task(cpu, SEG_SS, t->seg[SEG_SS], cpl, t->ext);
    cpu->cpl = (u8)cpl;
    static const u8 order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < sizeof order; i++)
        seg_load_task(cpu, order[i], t->seg[order[i]], cpl, t->ext);
}

static struct seg check_tss(struct cpu *cpu, const struct insn *in, u16 sel, bool want_busy,
                            unsigned vector, u32 ext)
{
    struct desc d;
    u32 err = SEL_ERR(sel) | ext;
    if (SEL_IS_NULL(sel) || sel & 4 || !desc_read(cpu, in, sel, &d) || DESC_S(&d))
        excp_fault_err(cpu, in, vector, err);
    unsigned type = DESC_TYPE(&d);
    if (type != (want_busy ? SYS_TSS32_BUSY : SYS_TSS32) &&
        type != (want_busy ? SYS_TSS16_BUSY : SYS_TSS16))
        excp_fault_err(cpu, in, vector, err);
    if (!DESC_P(&d))
        excp_fault_err(cpu, in, EXC_NP, err);
    if (desc_limit(&d) < layout_of(type)->min_limit)
        excp_fault_err(cpu, in, EXC_TS, err);
    return desc_to_seg(sel, &d);
}

/* From here on the CPU is in the new task: faults are the new task's. */
static void become(struct cpu *cpu, struct seg tss, const struct task_image *t, bool nested)
{
    bool is32 = SEG_TYPE(tss.attr) & 8;
    tss.attr |= 2; /* busy */
    cpu->tr = tss;
    cpu->cr0 |= CR0_TS;
    if (is32 && cpu->cr0 & CR0_PG && t->cr3 != cpu->cr3)
        sysregs_load_cr3(cpu, NULL, t->cr3);
    cpu->rip = t->ip;
    for (unsigned i = 0; i < 8; i++)
        if (is32)
            cpu->gpr[i] = t->gpr[i];
        else
            set_reg16(cpu, i, (u16)t->gpr[i]);
    u32 flags = is32 ? t->flags : t->flags & 0xffff;
    flags &= EFLAGS_ARITH | 0x3f7f00;
    cpu_set_eflags(cpu, flags | (nested ? EFLAGS_NT : 0));
    cpu->dr[7] &= ~0x155ull; /* local breakpoints are of the old task */
    load_segments(cpu, t);
    if (t->trap)
        cpu->dr6_pending |= DR6_BT;
    cpu_update_mode(cpu);
}

/* The TSS that is left may have been loaded with any limit: the state must fit. */
static void check_old_tss(struct cpu *cpu, const struct insn *in, u32 ext)
{
    const struct tss_layout *l = layout_of(SEG_TYPE(cpu->tr.attr));
    if (cpu->tr.limit < l->seg + l->seg_count * l->seg_step - 1u)
        excp_fault_err(cpu, in, EXC_TS, SEL_ERR(cpu->tr.sel) | ext);
}

static void do_switch(struct cpu *cpu, const struct insn *in, struct seg tss,
                      enum task_source source, u64 next_rip, u32 ext)
{
    check_old_tss(cpu, in, ext);
    struct task_image t = read_image(cpu, in, &tss);
    t.ext = ext;
    u32 eflags = cpu_get_eflags(cpu);
    u16 old = cpu->tr.sel;
    bool nested = source == TASK_CALL || source == TASK_GATE;

    if (source == TASK_IRET)
        eflags &= ~EFLAGS_NT;
    save_state(cpu, in, eflags, next_rip);
    if (source == TASK_JMP || source == TASK_IRET)
        set_busy(cpu, in, old, false);
    if (source != TASK_IRET)
        set_busy(cpu, in, tss.sel, true);
    if (nested)
        mem_write_sys(cpu, in, at(&tss, 0), old, 2);
    if (in)
        exec_not_done(cpu, in); /* the faults below have no record to account for */
    become(cpu, tss, &t, nested);
}

void task_switch(struct cpu *cpu, const struct insn *in, u16 sel, enum task_source source,
                 u64 next_rip)
{
    struct seg tss =
        check_tss(cpu, in, sel, source == TASK_IRET, source == TASK_IRET ? EXC_TS : EXC_GP, 0);
    do_switch(cpu, in, tss, source, next_rip, 0);
    if (cpu->rip > cpu->seg[SEG_CS].limit)
        excp_gp(cpu, NULL, 0);
}

void task_switch_gate(struct cpu *cpu, u16 sel, u64 rip, bool has_error, u32 error, u32 ext)
{
    struct seg tss = check_tss(cpu, NULL, sel, false, EXC_GP, ext);
    do_switch(cpu, NULL, tss, TASK_GATE, rip, ext);
    if (has_error)
        stack_push(cpu, NULL, error, SEG_TYPE(cpu->tr.attr) & 8 ? 4 : 2);
    if (cpu->rip > cpu->seg[SEG_CS].limit)
        excp_gp(cpu, NULL, 0);
    cpu->tf_skip = true;
}

void task_load_tr(struct cpu *cpu, const struct insn *in, u16 sel)
{
    struct desc d;
    if (SEL_IS_NULL(sel))
        excp_gp(cpu, in, 0);
    if (sel & 4 || !desc_read(cpu, in, sel, &d))
        excp_gp(cpu, in, SEL_ERR(sel));
    bool lm = cpu_in_long_mode(cpu);
    unsigned type = DESC_TYPE(&d);
    if (DESC_S(&d) || !(type == SYS_TSS32 || (!lm && type == SYS_TSS16)))
        excp_gp(cpu, in, SEL_ERR(sel));
    if (!DESC_P(&d))
        excp_fault_err(cpu, in, EXC_NP, SEL_ERR(sel));
    struct seg tr = desc_to_seg(sel, &d);
    if (lm) {
        if ((u32)(sel | 7) + 8 > cpu->gdtr.limit)
            excp_gp(cpu, in, SEL_ERR(sel));
        tr.base |= mem_read_sys(cpu, in, d.at + 8, 4) << 32;
        if (!cpu_canonical(cpu, tr.base))
            excp_gp(cpu, in, SEL_ERR(sel));
    }
    mem_write_sys(cpu, in, d.at + 4, d.hi | BIT(9), 4);
    tr.attr |= 2;
    cpu->tr = tr;
}

bool task_io_allowed(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    const struct seg *tr = &cpu->tr;
    if (!(SEG_TYPE(tr->attr) & 8) || tr->limit < 103)
        return false;
    bool lm = cpu_in_long_mode(cpu);
    gva_t base = lm ? tr->base : (u32)tr->base;
    u32 map = (u32)mem_read_sys(cpu, in, base + 102, 2);
    u32 off = map + port / 8;
    if (off + 1 > tr->limit)
        return false;
    u32 bits = (u32)mem_read_sys(cpu, in, base + off, 2);
    return !(bits >> (port & 7) & mask64(size));
}
