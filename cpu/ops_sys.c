/*
 * ops_sys.c: system registers and identification: control, debug and model-specific registers,
 * descriptor tables, TLB, time, CPUID, hypercalls. SDM vol. 2, vol. 3A 2.8; AMD APM vol. 3 ch. 4.
 */
#include "base/rng.h"
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "cpu/sysregs.h"
#include "cpu/tap.h"
#include "cpu/task.h"

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *in)
#define OPS(name) const struct insn_ops ops_##name = {.any = op_##name};

static void need_cpl0(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cpl != 0)
        excp_gp(cpu, in, 0);
}

/* CR4.UMIP hides system registers from user mode. */
static void umip_check(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cpl != 0 && cpu->cr4 & CR4_UMIP)
        excp_gp(cpu, in, 0);
}

const struct insn *exec_go_on(struct cpu *cpu, const struct insn *in, const struct ground *g,
                              enum stat_class c)
{
    bool holds = exec_holds(cpu, g);
    stat_count(&cpu->stats, c, holds ? SERVED_LEAF : SERVED_EXIT);
    if (likely(holds))
        NEXT;
    return LEAVE_NEXT(cpu, in);
}

static unsigned cr_size(const struct cpu *cpu)
{
    return cpu->key & KEY_CODE64 ? 8 : 4;
}

/* ---- control registers ----------------------------------------------------------------------- */

HANDLER(op_mov_r_cr)
{
    u64 v;
    need_cpl0(cpu, in);
    stat_count(&cpu->stats, STAT_MOV_FROM_CR, SERVED_LEAF);
    switch (in->reg) {
    case 0: v = cpu->cr0; break;
    case 2: v = cpu->cr2; break;
    case 3: v = cpu->cr3; break;
    case 4: v = cpu->cr4; break;
    case 8: v = cpu->hooks->cr8_read(cpu->vm); break;
    default: excp_ud(cpu, in);
    }
    reg_set(cpu, in->rm, v, cr_size(cpu));
    NEXT;
}
OPS(mov_r_cr)

HANDLER(op_mov_cr_r)
{
    need_cpl0(cpu, in);
    u64 v = reg_get(cpu, in->rm, cr_size(cpu));
    switch (in->reg) {
    case 0:
        stat_count(&cpu->stats, STAT_MOV_TO_CR0, SERVED_EXIT);
        sysregs_load_cr0(cpu, in, v);
        break;
    case 2: cpu->cr2 = v; break;
    case 3:
        stat_count(&cpu->stats, STAT_MOV_TO_CR3, SERVED_EXIT);
        sysregs_load_cr3(cpu, in, v);
        break;
    case 4:
        stat_count(&cpu->stats, STAT_MOV_TO_CR4, SERVED_EXIT);
        sysregs_load_cr4(cpu, in, v);
        break;
    case 8:
        if (v > 15)
            excp_gp(cpu, in, 0);
        stat_count(&cpu->stats, STAT_MOV_TO_CR8, SERVED_EXIT);
        cpu->hooks->cr8_write(cpu->vm, (u8)v);
        break;
    default: excp_ud(cpu, in);
    }
    return LEAVE_NEXT(cpu, in);
}
OPS(mov_cr_r)

HANDLER(op_clts)
{
    struct ground g = exec_ground(cpu);
    cpu->cr0 &= ~CR0_TS;
    cpu_update_key(cpu);
    return exec_go_on(cpu, in, &g, STAT_MOV_TO_CR0);
}
OPS(clts)

HANDLER(op_smsw)
{
    umip_check(cpu, in);
    stat_count(&cpu->stats, STAT_MOV_FROM_CR, SERVED_LEAF);
    set_rm(cpu, in, cpu->cr0, in->mem ? 2 : in->osz);
    NEXT;
}
OPS(smsw)

HANDLER(op_lmsw)
{
    u64 v = get_rm(cpu, in, 2) & 0xf;
    stat_count(&cpu->stats, STAT_MOV_TO_CR0, SERVED_EXIT);
    v |= cpu->cr0 & CR0_PE; /* LMSW cannot leave protected mode */
    sysregs_load_cr0(cpu, in, (cpu->cr0 & ~0xfull) | v);
    return LEAVE_NEXT(cpu, in);
}
OPS(lmsw)

/* ---- debug registers ------------------------------------------------------------------------- */

static unsigned dr_number(struct cpu *cpu, const struct insn *in)
{
    if (in->reg > 7)
        excp_ud(cpu, in);
    if (in->reg == 4 || in->reg == 5) {
        if (cpu->cr4 & CR4_DE)
            excp_ud(cpu, in);
        return in->reg + 2u;
    }
    return in->reg;
}

static void dr_general_detect(struct cpu *cpu, const struct insn *in)
{
    if (cpu->dr[7] & DR7_GD) {
        debug_report(cpu, DR6_BD);
        excp_fault(cpu, in, EXC_DB);
    }
}

HANDLER(op_mov_r_dr)
{
    unsigned n = dr_number(cpu, in);
    need_cpl0(cpu, in);
    dr_general_detect(cpu, in);
    stat_count(&cpu->stats, STAT_MOV_DR, SERVED_LEAF);
    reg_set(cpu, in->rm, cpu->dr[n], cr_size(cpu));
    NEXT;
}
OPS(mov_r_dr)

HANDLER(op_mov_dr_r)
{
    unsigned n = dr_number(cpu, in);
    need_cpl0(cpu, in);
    dr_general_detect(cpu, in);
    stat_count(&cpu->stats, STAT_MOV_DR, SERVED_EXIT);
    u64 v = reg_get(cpu, in->rm, cr_size(cpu));
    if (n >= 6 && v >> 32)
        excp_gp(cpu, in, 0);
    if (n == 6)
        v = (v & 0xe00f) | DR6_FIXED;
    if (n == 7)
        v = (v & 0xffff2bffu) | DR7_FIXED;
    cpu->dr[n] = v;
    cpu_update_key(cpu);
    return LEAVE_NEXT(cpu, in);
}
OPS(mov_dr_r)

/* ---- TLB and caches -------------------------------------------------------------------------- */

HANDLER(op_invlpg)
{
    struct ground g = exec_ground(cpu);
    u64 off = ea_offset(cpu, in);
    gva_t va = (off + cpu->seg[in->seg].base) & cpu->amask;
    if (cpu_canonical(cpu, va) || !(cpu->key & KEY_CODE64))
        tlb_flush_page(&cpu->tlb, va);
    return exec_go_on(cpu, in, &g, STAT_INVLPG);
}
OPS(invlpg)

HANDLER(op_invpcid)
{
    if (cpu->key & KEY_REAL && cpu_in_v86(cpu))
        excp_gp(cpu, in, 0);
    need_cpl0(cpu, in);
    stat_count(&cpu->stats, STAT_INVLPG, SERVED_EXIT);
    u64 type = reg_get(cpu, in->reg, cr_size(cpu));
    u64 d[2];
    mem_read_bytes(cpu, in, mem_addr(cpu, in, 16, ACCESS_READ), d, 16);
    u64 pcid = LE64(d[0]), va = LE64(d[1]);
    if (type > 3 || pcid >> 12 || (pcid && !(cpu->cr4 & CR4_PCIDE) && type < 2))
        excp_gp(cpu, in, 0);
    if (type == 0) {
        if (!cpu_canonical(cpu, va))
            excp_gp(cpu, in, 0);
        tlb_flush_page_of(&cpu->tlb, (u16)pcid, va);
    } else if (type == 1) {
        tlb_flush_space(&cpu->tlb, (u16)pcid);
    } else if (type == 2) {
        tlb_flush_all(&cpu->tlb);
    } else {
        tlb_flush_nonglobal(&cpu->tlb);
    }
    return LEAVE_NEXT(cpu, in);
}
OPS(invpcid)

HANDLER(op_wbinvd)
{
    stat_count(&cpu->stats, STAT_WBINVD, SERVED_LEAF);
    NEXT;
}
OPS(wbinvd)

/* ---- descriptor tables ----------------------------------------------------------------------- */

static const struct insn *store_table(struct cpu *cpu, const struct insn *in, u64 base, u32 limit)
{
    umip_check(cpu, in);
    stat_count(&cpu->stats, STAT_SGDT, SERVED_LEAF);
    unsigned size = cr_size(cpu);
    u8 buf[10];
    st_le16(buf, (u16)limit);
    st_le64(buf + 2, base);
    mem_write_bytes(cpu, in, mem_addr(cpu, in, 2 + size, ACCESS_WRITE), buf, 2 + size);
    NEXT;
}

HANDLER(op_sgdt)
{
    return store_table(cpu, in, cpu->gdtr.base, cpu->gdtr.limit);
}
OPS(sgdt)

HANDLER(op_sidt)
{
    return store_table(cpu, in, cpu->idtr.base, cpu->idtr.limit);
}
OPS(sidt)

static u64 load_table(struct cpu *cpu, const struct insn *in, u32 *limit)
{
    stat_count(&cpu->stats, STAT_LGDT, SERVED_EXIT);
    unsigned size = cr_size(cpu);
    u8 buf[10] = {0};
    mem_read_bytes(cpu, in, mem_addr(cpu, in, 2 + size, ACCESS_READ), buf, 2 + size);
    u64 base = ld_le(buf + 2, size);
    if (size == 4 && in->osz == 2)
        base &= 0xffffff;
    if (size == 8 && !cpu_canonical(cpu, base))
        excp_gp(cpu, in, 0);
    *limit = ld_le16(buf);
    return base;
}

HANDLER(op_lgdt)
{
    u32 limit;
    u64 base = load_table(cpu, in, &limit);
    cpu->gdtr.base = base;
    cpu->gdtr.limit = limit;
    return LEAVE_NEXT(cpu, in);
}
OPS(lgdt)

HANDLER(op_lidt)
{
    u32 limit;
    u64 base = load_table(cpu, in, &limit);
    cpu->idtr.base = base;
    cpu->idtr.limit = limit;
    return LEAVE_NEXT(cpu, in);
}
OPS(lidt)

static const struct insn *store_selector(struct cpu *cpu, const struct insn *in, u16 sel)
{
    umip_check(cpu, in);
    stat_count(&cpu->stats, STAT_SGDT, SERVED_LEAF);
    set_rm(cpu, in, sel, in->mem ? 2 : in->osz);
    NEXT;
}

HANDLER(op_sldt)
{
    return store_selector(cpu, in, cpu->ldtr.sel);
}
OPS(sldt)

HANDLER(op_str)
{
    return store_selector(cpu, in, cpu->tr.sel);
}
OPS(str)

HANDLER(op_lldt)
{
    stat_count(&cpu->stats, STAT_LGDT, SERVED_EXIT);
    u16 sel = (u16)get_rm(cpu, in, 2);
    if (SEL_IS_NULL(sel)) {
        cpu->ldtr = seg_null(sel);
        return LEAVE_NEXT(cpu, in);
    }
    struct desc d;
    if (sel & 4 || !desc_read(cpu, in, sel, &d) || DESC_S(&d) || DESC_TYPE(&d) != SYS_LDT)
        excp_gp(cpu, in, SEL_ERR(sel));
    if (!DESC_P(&d))
        excp_fault_err(cpu, in, EXC_NP, SEL_ERR(sel));
    struct seg s = desc_to_seg(sel, &d);
    if (cpu_in_long_mode(cpu)) {
        if ((u32)(sel | 7) + 8 > cpu->gdtr.limit)
            excp_gp(cpu, in, SEL_ERR(sel));
        s.base |= mem_read_sys(cpu, in, d.at + 8, 4) << 32;
        if (!cpu_canonical(cpu, s.base))
            excp_gp(cpu, in, SEL_ERR(sel));
    }
    cpu->ldtr = s;
    return LEAVE_NEXT(cpu, in);
}
OPS(lldt)

HANDLER(op_ltr)
{
    stat_count(&cpu->stats, STAT_LGDT, SERVED_EXIT);
    task_load_tr(cpu, in, (u16)get_rm(cpu, in, 2));
    return LEAVE_NEXT(cpu, in);
}
OPS(ltr)

/* ---- MSRs, time, identification -------------------------------------------------------------- */

HANDLER(op_rdmsr)
{
    u64 t = stat_sample_begin(&cpu->stats), v;
    if (!msr_read(cpu, reg32(cpu, RCX), &v))
        excp_gp(cpu, in, 0);
    if (unlikely(cpu->taps != NULL))
        tap_msr(cpu, reg32(cpu, RCX), v, false);
    set_reg32(cpu, RAX, (u32)v);
    set_reg32(cpu, RDX, (u32)(v >> 32));
    stat_count(&cpu->stats, STAT_RDMSR, SERVED_LEAF);
    stat_sample_end(&cpu->stats, STAT_RDMSR, t);
    if (unlikely(cpu->halted)) /* some MSR's read is a wait */
        return LEAVE_NEXT(cpu, in);
    NEXT;
}
OPS(rdmsr)

HANDLER(op_wrmsr)
{
    struct ground g = exec_ground(cpu);
    u64 t = stat_sample_begin(&cpu->stats), v = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX);
    if (unlikely(cpu->taps != NULL))
        tap_msr(cpu, reg32(cpu, RCX), v, true);
    if (!msr_write(cpu, reg32(cpu, RCX), v))
        excp_gp(cpu, in, 0);
    cpu_update_key(cpu);
    stat_sample_end(&cpu->stats, STAT_WRMSR, t);
    return exec_go_on(cpu, in, &g, STAT_WRMSR);
}
OPS(wrmsr)

static void read_tsc(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cr4 & CR4_TSD && cpu->cpl != 0)
        excp_gp(cpu, in, 0);
    stat_count(&cpu->stats, STAT_RDTSC, SERVED_LEAF);
    u64 v = cpu_tsc(cpu);
    set_reg32(cpu, RAX, (u32)v);
    set_reg32(cpu, RDX, (u32)(v >> 32));
    if (cpu->jit)
        cpu_pace_tsc(cpu);
}

HANDLER(op_rdtsc)
{
    read_tsc(cpu, in);
    NEXT;
}
OPS(rdtsc)

HANDLER(op_rdtscp)
{
    read_tsc(cpu, in);
    set_reg32(cpu, RCX, (u32)cpu->tsc_aux);
    NEXT;
}
OPS(rdtscp)

HANDLER(op_rdpid)
{
    reg_set(cpu, in->rm, cpu->tsc_aux, cr_size(cpu));
    NEXT;
}
OPS(rdpid)

/* No model advertises performance counters: every index is beyond the last. */
HANDLER(op_rdpmc)
{
    u64 v;
    stat_count(&cpu->stats, STAT_RDPMC, SERVED_LEAF);
    if (!cpu->hooks->pv_pmc || !cpu->hooks->pv_pmc(cpu->vm, cpu, reg32(cpu, RCX), &v))
        excp_gp(cpu, in, 0);
    set_reg32(cpu, RAX, (u32)v);
    set_reg32(cpu, RDX, (u32)(v >> 32));
    NEXT;
}
OPS(rdpmc)

HANDLER(op_cpuid)
{
    u64 t = stat_sample_begin(&cpu->stats);
    u32 r[4];
    cpuid_execute(cpu, reg32(cpu, RAX), reg32(cpu, RCX), r);
    set_reg32(cpu, RAX, r[0]);
    set_reg32(cpu, RBX, r[1]);
    set_reg32(cpu, RCX, r[2]);
    set_reg32(cpu, RDX, r[3]);
    stat_count(&cpu->stats, STAT_CPUID, SERVED_LEAF);
    stat_sample_end(&cpu->stats, STAT_CPUID, t);
    NEXT;
}
OPS(cpuid)

HANDLER(op_rdrand)
{
    u64 v;
    if (cpu->rng_seeded)
        v = rng_next(&cpu->rng);
    else
        host_entropy(&v, sizeof v);
    reg_set(cpu, in->rm, v, in->osz);
    flags_set(&cpu->flags, EFLAGS_CF);
    NEXT;
}
OPS(rdrand)

static const struct insn *base_access(struct cpu *cpu, const struct insn *in, enum seg_id s,
                                      bool write)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        excp_ud(cpu, in);
    if (!write) {
        reg_set(cpu, in->rm, cpu->seg[s].base, in->osz);
        NEXT;
    }
    u64 v = reg_get(cpu, in->rm, in->osz);
    if (!cpu_canonical(cpu, v))
        excp_gp(cpu, in, 0);
    cpu->seg[s].base = v;
    NEXT;
}

HANDLER(op_rdfsbase)
{
    return base_access(cpu, in, SEG_FS, false);
}
OPS(rdfsbase)

HANDLER(op_rdgsbase)
{
    return base_access(cpu, in, SEG_GS, false);
}
OPS(rdgsbase)

HANDLER(op_wrfsbase)
{
    return base_access(cpu, in, SEG_FS, true);
}
OPS(wrfsbase)

HANDLER(op_wrgsbase)
{
    return base_access(cpu, in, SEG_GS, true);
}
OPS(wrgsbase)

HANDLER(op_swapgs)
{
    u64 v = cpu->seg[SEG_GS].base;
    cpu->seg[SEG_GS].base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = v;
    NEXT;
}
OPS(swapgs)

/* ---- waiting, hypercalls --------------------------------------------------------------------- */

HANDLER(op_hlt)
{
    stat_count(&cpu->stats, STAT_HLT, SERVED_EXIT);
    cpu->halted = true;
    cpu->wakes_masked = false;
    return LEAVE_NEXT(cpu, in);
}
OPS(hlt)

HANDLER(op_vmcall)
{
    struct ground g = exec_ground(cpu);
    u64 t = stat_sample_begin(&cpu->stats);
    if (!cpu->hooks->pv_hypercall(cpu->vm, cpu))
        excp_ud(cpu, in);
    stat_sample_end(&cpu->stats, STAT_HYPERCALL, t);
    return exec_go_on(cpu, in, &g, STAT_HYPERCALL);
}
OPS(vmcall)
