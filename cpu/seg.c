/* seg.c: see seg.h. */
#include "cpu/seg.h"
#include "cpu/exec.h"

u32 desc_base(const struct desc *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}

u32 desc_limit(const struct desc *d)
{
    u32 limit = (d->lo & 0xffff) | (d->hi & 0xf0000);
    return d->hi & BIT(23) ? limit << 12 | 0xfff : limit;
}

u16 desc_attr(const struct desc *d)
{
    return (u16)((d->hi >> 8 & 0xff) | (d->hi >> 12 & 0xf00));
}

struct seg desc_to_seg(u16 sel, const struct desc *d)
{
    return (struct seg){
        .sel = sel, .base = desc_base(d), .limit = desc_limit(d), .attr = desc_attr(d)};
}

struct seg seg_null(u16 sel)
{
    return (struct seg){.sel = sel, .attr = SEG_UNUSABLE};
}

bool desc_read(struct cpu *cpu, const struct insn *in, u16 sel, struct desc *d)
{
    u64 base = cpu->gdtr.base;
    u32 limit = cpu->gdtr.limit;
    if (sel & 4) {
        if (cpu->ldtr.attr & SEG_UNUSABLE || SEL_IS_NULL(cpu->ldtr.sel))
            return false;
        base = cpu->ldtr.base;
        limit = cpu->ldtr.limit;
    }
    if ((u32)(sel | 7) > limit)
        return false;
    d->at = base + (sel & ~7u);
    if (!cpu_in_long_mode(cpu))
        d->at = (u32)d->at;
    u64 v = mem_read_sys(cpu, in, d->at, 8);
    d->lo = (u32)v;
    d->hi = (u32)(v >> 32);
    return true;
}

void desc_set_accessed(struct cpu *cpu, const struct insn *in, struct desc *d)
{
    if (d->hi & BIT(8))
        return;
    d->hi |= BIT(8);
    mem_write_sys(cpu, in, d->at + 5, d->hi >> 8 & 0xff, 1);
}

void seg_load_real(struct cpu *cpu, enum seg_id s, u16 sel)
{
    struct seg *r = &cpu->seg[s];
    r->sel = sel;
    r->base = (u32)sel << 4;
    if (cpu_in_v86(cpu)) {
        r->limit = 0xffff;
        r->attr = 0xf3;
    } else {
        /* Limit and rights stay as they are: "unreal" mode lives from this. But CS becomes what
         * all segments of real mode are: readable and writable. */
        r->attr &= (u16)~SEG_UNUSABLE;
        if (s == SEG_CS)
            r->attr = (u16)((r->attr & ~0xff) | 0x93);
    }
    cpu_update_key(cpu);
}

struct seg seg_fetch_stack(struct cpu *cpu, const struct insn *in, u16 sel, unsigned cpl,
                           unsigned vector, u32 ext)
{
    struct desc d;
    u32 err = SEL_ERR(sel) | ext;
    if (SEL_IS_NULL(sel))
        excp_fault_err(cpu, in, vector, vector == EXC_TS ? err : ext);
    if (!desc_read(cpu, in, sel, &d))
        excp_fault_err(cpu, in, vector, err);
    if (SEL_RPL(sel) != cpl || DESC_DPL(&d) != cpl || !DESC_S(&d) || (DESC_TYPE(&d) & 0xa) != 2)
        excp_fault_err(cpu, in, vector, err);
    if (!DESC_P(&d))
        excp_fault_err(cpu, in, EXC_SS, err);
    desc_set_accessed(cpu, in, &d);
    return desc_to_seg(sel, &d);
}

/* Data segments and SS in protected mode; `fault` is #GP, or #TS in a task switch. */
static struct seg fetch_data(struct cpu *cpu, const struct insn *in, u16 sel, unsigned cpl,
                             unsigned fault, u32 ext)
{
    struct desc d;
    u32 err = SEL_ERR(sel) | ext;
    if (SEL_IS_NULL(sel))
        return seg_null(sel);
    if (!desc_read(cpu, in, sel, &d))
        excp_fault_err(cpu, in, fault, err);
    bool code = DESC_TYPE(&d) & 8;
    if (!DESC_S(&d) || (code && !(DESC_TYPE(&d) & 2)))
        excp_fault_err(cpu, in, fault, err);
    if (!(code && DESC_IS_CONFORMING(&d)) && (SEL_RPL(sel) > DESC_DPL(&d) || cpl > DESC_DPL(&d)))
        excp_fault_err(cpu, in, fault, err);
    if (!DESC_P(&d))
        excp_fault_err(cpu, in, EXC_NP, err);
    desc_set_accessed(cpu, in, &d);
    return desc_to_seg(sel, &d);
}

void seg_load(struct cpu *cpu, const struct insn *in, enum seg_id s, u16 sel)
{
    stat_count(&cpu->stats, STAT_SEGLOAD, SERVED_LEAF);
    if (cpu->key & KEY_REAL) {
        seg_load_real(cpu, s, sel);
        return;
    }
    struct seg n;
    if (s != SEG_SS) {
        n = fetch_data(cpu, in, sel, cpu->cpl, EXC_GP, 0);
    } else if (SEL_IS_NULL(sel)) {
        /* Only 64-bit code above CPL 3 may run on a null SS. */
        if (!(cpu->key & KEY_CODE64) || cpu->cpl == 3 || SEL_RPL(sel) != cpu->cpl)
            excp_gp(cpu, in, 0);
        n = seg_null(sel);
        n.attr |= (u16)(cpu->cpl << 5);
    } else {
        n = seg_fetch_stack(cpu, in, sel, cpu->cpl, EXC_GP, 0);
    }
    cpu->seg[s] = n;
    cpu_update_key(cpu);
}

void seg_load_task(struct cpu *cpu, enum seg_id s, u16 sel, unsigned cpl, u32 ext)
{
    if (s == SEG_SS)
        cpu->seg[s] = seg_fetch_stack(cpu, NULL, sel, cpl, EXC_TS, ext);
    else
        cpu->seg[s] = fetch_data(cpu, NULL, sel, cpl, EXC_TS, ext);
}

void seg_drop_for_cpl(struct cpu *cpu, unsigned cpl)
{
    static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < sizeof data; i++) {
        struct seg *s = &cpu->seg[data[i]];
        if (s->attr & SEG_UNUSABLE) { /* the manual is silent: processors clear the RPL of null */
            s->sel = 0;
            continue;
        }
        bool conforming_code = (s->attr & 0xc) == 0xc;
        if (SEG_DPL(s->attr) < cpl && !conforming_code)
            *s = (struct seg){.base = s->base, .attr = SEG_UNUSABLE};
    }
}

void seg_set_cs(struct cpu *cpu, u16 sel, const struct desc *d, unsigned cpl)
{
    struct seg *cs = &cpu->seg[SEG_CS];
    *cs = desc_to_seg((u16)((sel & ~3u) | cpl), d);
    cs->attr |= 1; /* accessed */
    if (cpu_in_long_mode(cpu) && cs->attr & SEG_L)
        cs->base = 0;
    cpu->cpl = (u8)cpl;
}

/* ---- stacks in the TSS ----------------------------------------------------------------------- */

static _Noreturn void bad_tss(struct cpu *cpu, const struct insn *in, u32 ext)
{
    excp_fault_err(cpu, in, EXC_TS, SEL_ERR(cpu->tr.sel) | ext);
}

u64 tss_stack(struct cpu *cpu, const struct insn *in, unsigned cpl, u16 *ss, u32 ext)
{
    const struct seg *tr = &cpu->tr;
    if (cpu_in_long_mode(cpu)) {
        u32 off = 4 + 8 * cpl;
        if (off + 7 > tr->limit)
            bad_tss(cpu, in, ext);
        *ss = (u16)cpl;
        return mem_read_sys(cpu, in, tr->base + off, 8);
    }
    if (SEG_TYPE(tr->attr) & 8) {
        u32 off = 4 + 8 * cpl;
        if (off + 5 > tr->limit)
            bad_tss(cpu, in, ext);
        *ss = (u16)mem_read_sys(cpu, in, (u32)(tr->base + off + 4), 2);
        return mem_read_sys(cpu, in, (u32)(tr->base + off), 4);
    }
    u32 off = 2 + 4 * cpl;
    if (off + 3 > tr->limit)
        bad_tss(cpu, in, ext);
    *ss = (u16)mem_read_sys(cpu, in, (u32)(tr->base + off + 2), 2);
    return mem_read_sys(cpu, in, (u32)(tr->base + off), 2);
}

u64 tss_ist(struct cpu *cpu, unsigned ist, u32 ext)
{
    u32 off = 28 + 8 * ist;
    if (off + 7 > cpu->tr.limit)
        bad_tss(cpu, NULL, ext);
    return mem_read_sys(cpu, NULL, cpu->tr.base + off, 8);
}

/* ---- frames -------------------------------------------------------------------------------------
 */

struct frame frame_current(const struct cpu *cpu)
{
    return (struct frame){.ss = cpu->seg[SEG_SS],
                          .sp = cpu->gpr[RSP],
                          .mask = stack_mask(cpu),
                          .code64 = cpu->key & KEY_CODE64};
}

static bool beyond_limit(const struct seg *ss, u32 off, unsigned size)
{
    u32 last = off + size - 1;
    if (last < off)
        return true;
    if (!(ss->attr & BIT(2)))
        return last > ss->limit;
    return off <= ss->limit || last > (ss->attr & SEG_DB ? 0xffffffffu : 0xffffu);
}

void frame_push(struct cpu *cpu, const struct insn *in, struct frame *f, u64 v, unsigned size)
{
    u64 sp = (f->sp - size) & f->mask;
    gva_t va = sp;
    if (f->code64) {
        if (!cpu_canonical(cpu, va))
            excp_fault_err(cpu, in, EXC_SS, f->ext);
    } else {
        if (beyond_limit(&f->ss, (u32)sp, size))
            excp_fault_err(cpu, in, EXC_SS, (f->inner ? SEL_ERR(f->ss.sel) : 0) | f->ext);
        va = (u32)(f->ss.base + sp);
    }
    if (f->supervisor)
        mem_write_sys(cpu, in, va, v, size);
    else
        mem_write(cpu, in, va, v, size);
    f->sp = sp;
}
