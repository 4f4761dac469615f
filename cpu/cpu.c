/* cpu.c: creation, reset and the mode that follows from the control registers. */
#include "cpu/cpu.h"
#include "base/bits.h"
#include "base/host.h"
#include "base/trace.h"
#include "cpu/block.h"
#include "cpu/debug.h"
#include "cpu/excp.h"
#include "cpu/fpu.h"
#include "cpu/model.h"
#include "cpu/smp.h"
#include "cpu/tap.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void code_written(void *opaque, gpa_t gpa, u64 len)
{
    block_invalidate(opaque, gpa, len);
}

/* After all control registers were set. */
static void forget_translations(struct cpu *cpu)
{
    tlb_flush_all(&cpu->tlb);
    tlb_load_space(&cpu->tlb, cpu_pcid(cpu), true);
}

static void memory_changing(void *opaque)
{
    struct cpu *cpu = opaque;
    smp_stop(cpu->smp);
}

static void memory_changed(void *opaque)
{
    struct cpu *cpu = opaque;
    if (!cpu->smp)
        tlb_flush_all(&cpu->tlb);
    for (unsigned i = 0; cpu->smp && i < cpu->smp->count; i++)
        tlb_flush_all(&cpu->smp->cpu[i]->tlb);
    smp_resume(cpu->smp);
}

struct cpu *cpu_alloc(void)
{
    struct cpu *cpu = aligned_alloc(4096, align_up(sizeof *cpu, 4096));
    if (cpu)
        memset(cpu, 0, sizeof *cpu);
    return cpu;
}

struct cpu *cpu_create(const struct cpu_model *model, struct phys *phys, struct clock *clock,
                       const struct cpu_hooks *hooks, void *vm, struct err *e)
{
    struct cpu *cpu = cpu_alloc();
    if (!cpu) {
        err_host(e, "out of memory for a CPU");
        return NULL;
    }
    cpu->model = model;
    cpu->phys = phys;
    cpu->clock = clock;
    cpu->hooks = hooks;
    cpu->vm = vm;
    cpu->tsc_khz = CPU_TSC_KHZ;
    cpu->gates = model_gates(model);
    phys->addr_bits = model->phys_bits;
    phys->code_written = code_written;
    phys->changing = memory_changing;
    phys->changed = memory_changed;
    phys->opaque = cpu;
    cpu->blocks = block_cache_create(e);
    if (!cpu->blocks) {
        free(cpu);
        return NULL;
    }
    cpu->jit_vec_off = 1;
    cpu->jit_x87_off = 1;
    tlb_init(&cpu->tlb);
    cpu_reset(cpu);
    return cpu;
}

void cpu_destroy(struct cpu *cpu)
{
    if (!cpu)
        return;
    block_cache_destroy(cpu->blocks);
    free(cpu);
}

void cpu_set_seg(struct cpu *cpu, enum seg_id s, u16 sel, u64 base, u32 limit, u16 attr)
{
    cpu->seg[s] = (struct seg){.base = base, .limit = limit, .sel = sel, .attr = attr};
    if (s == SEG_SS)
        cpu->cpl = SEG_DPL(attr);
    cpu_update_key(cpu);
}

static void reset_fpu(struct cpu *cpu)
{
    x87_reset(&cpu->x87);
    memset(cpu->vec, 0, sizeof cpu->vec);
    cpu->mxcsr = 0x1f80;
    cpu->xcr0 = 1;
}

/*T:120 The state after reset
 *
 * Look at CS: its selector says F000, but its base is FFFF0000h. The hidden part of a segment
 * register is what addresses are made of, and here it does not follow from the selector. CS.base +
 * IP is FFFFFFF0h, sixteen bytes below 4 GiB, where a board has its ROM. The first far jump loads
 * CS again, and from then on the base is selector * 16, as in every book on real mode.
 */
/* What INIT changes as well as RESET#: SDM vol. 3A table 9-1, column INIT. */
static void reset_common(struct cpu *cpu)
{
    memset(cpu->gpr, 0, sizeof cpu->gpr);
    cpu->gpr[REG_4G] = 4 * GIB;
    cpu->gpr[RDX] = model_signature(cpu->model);
    flags_set(&cpu->flags, 0);
    cpu->eflags = 2;
    cpu->rip = 0xfff0;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    cpu->efer = 0;
    for (unsigned i = 0; i < 4; i++)
        cpu->dr[i] = 0;
    cpu->dr[6] = DR6_FIXED;
    cpu->dr[7] = DR7_FIXED;
    cpu->dr6_pending = 0;
    cpu->cpl = 0;
    for (unsigned i = 0; i < SEG_NONE; i++)
        cpu->seg[i] = (struct seg){.limit = 0xffff, .attr = 0x93};
    cpu->seg[SEG_CS] =
        (struct seg){.sel = 0xf000, .base = 0xffff0000, .limit = 0xffff, .attr = 0x9b};
    cpu->seg[SEG_NONE] = (struct seg){.limit = 0xffffffff, .attr = 0x93 | SEG_DB | SEG_G};
    cpu->gdtr.base = cpu->idtr.base = 0;
    cpu->gdtr.limit = cpu->idtr.limit = 0xffff;
    cpu->ldtr = (struct seg){.limit = 0xffff, .attr = 0x82};
    cpu->tr = (struct seg){.limit = 0xffff, .attr = 0x8b};
    cpu->halted = cpu->wait_sipi = cpu->nmi_blocked = cpu->triple_fault = cpu->delivering = false;
    cpu->shadow = 0;
    cpu_request_done(cpu, REQ_NMI);
    cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = cpu->tsc_aux = 0;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
}

void cpu_reset(struct cpu *cpu)
{
    reset_common(cpu);
    cpu_request_done(cpu, REQ_INIT | REQ_SIPI);
    reset_fpu(cpu);
    cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    cpu->pat = 0x0007040600070406ull;
    cpu->misc_enable = 1;
    memset(cpu->mtrr, 0, sizeof cpu->mtrr);
    cpu->tsc_adjust = 0;
    cpu->fault_chain_len = 0;
    forget_translations(cpu);
    block_flush_all(cpu);
    cpu_update_mode(cpu);
    TRACE(cpu_reset, cpu->rip);
}

void cpu_init_signal(struct cpu *cpu)
{
    u64 cr0 = cpu->cr0;
    reset_common(cpu);
    cpu->cr0 = (cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    forget_translations(cpu);
    cpu_update_mode(cpu);
}

void cpu_startup(struct cpu *cpu, u8 vector)
{
    cpu->seg[SEG_CS].sel = (u16)(vector << 8);
    cpu->seg[SEG_CS].base = (u64)vector << 12;
    cpu->rip = 0;
    cpu->wait_sipi = false;
    cpu_request_done(cpu, REQ_NMI); /* what came while it waited is lost */
    cpu_update_mode(cpu);
}

/* ---- mode ------------------------------------------------------------------------------------ */

static enum paging paging_kind(const struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PG))
        return PAGING_NONE;
    if (!(cpu->cr4 & CR4_PAE))
        return PAGING_32;
    if (!(cpu->efer & EFER_LMA))
        return PAGING_PAE;
    return cpu->cr4 & CR4_LA57 ? PAGING_5LEVEL : PAGING_4LEVEL;
}

/* Base 0 unless `any_base`, limit 4 GiB, present writable data. */
static bool seg_flat_data(const struct seg *s, bool any_base)
{
    return (any_base || s->base == 0) && s->limit == 0xffffffff &&
           (s->attr & (SEG_UNUSABLE | SEG_P | SEG_S | 0xe)) == (SEG_P | SEG_S | 2);
}

/* The bits that tell kinds of segments; in 64-bit code they do not matter. */
static u32 segment_key(const struct cpu *cpu)
{
    const struct seg *cs = &cpu->seg[SEG_CS], *ss = &cpu->seg[SEG_SS];
    u32 key = 0;
    if (cs->attr & SEG_DB)
        key |= KEY_CODE32;
    if (ss->attr & SEG_DB)
        key |= KEY_SS32;
    if (!(cpu->cr0 & CR0_PE) || cpu->eflags & EFLAGS_VM)
        key |= KEY_REAL;
    if (seg_flat_data(&cpu->seg[SEG_ES], false) && seg_flat_data(ss, false) &&
        seg_flat_data(&cpu->seg[SEG_DS], false) && cs->base == 0 && cs->limit == 0xffffffff)
        key |= KEY_FLAT;
    if (seg_flat_data(&cpu->seg[SEG_FS], true))
        key |= KEY_FLAT_FS;
    if (seg_flat_data(&cpu->seg[SEG_GS], true))
        key |= KEY_FLAT_GS;
    return key;
}

void cpu_update_key(struct cpu *cpu)
{
    bool code64 = cpu->efer & EFER_LMA && cpu->seg[SEG_CS].attr & SEG_L;
    u32 key = code64 ? KEY_CODE64 : segment_key(cpu);
    if (cpu->cpl)
        key |= cpu->cpl == 3 ? KEY_CPL3 : KEY_CPL12;
    if (cpu->cr4 & CR4_SMAP && cpu->cpl != 3)
        key |= KEY_SMAP;
    if (!(cpu->cr0 & (CR0_EM | CR0_TS)))
        key |= cpu->cr4 & CR4_OSFXSR ? KEY_FPU | KEY_SSE : KEY_FPU;
    if (!(cpu->cr0 & CR0_TS) && cpu->cr4 & CR4_OSXSAVE &&
        (cpu->xcr0 & XCR0_AVX_STATE) == XCR0_AVX_STATE)
        key |= KEY_AVX;
    cpu->amask = key & KEY_CODE64 ? ~0ull : 0xffffffffull;
    cpu->debug_active = debug_wanted(cpu);

    enum tlb_mode m;
    if (cpu->dr[7] & 0xff || (cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->eflags & EFLAGS_AC))
        m = TLB_CHECKED;
    else if (cpu->cpl == 3)
        m = TLB_USER;
    else
        m = cpu->cr4 & CR4_SMAP && cpu->eflags & EFLAGS_AC ? TLB_KERNEL_AC : TLB_KERNEL;
    cpu->data = &cpu->tlb.l1[m];
    cpu->key = key | m << KEY_TLB_SHIFT;
    if (unlikely(cpu->taps != NULL))
        tap_mode(cpu);
}

void cpu_update_mode(struct cpu *cpu)
{
    struct paging_state *ps = &cpu->paging;
    ps->kind = paging_kind(cpu);
    ps->cr3 = cpu->cr3;
    ps->wp = cpu->cr0 & CR0_WP;
    ps->pse = cpu->cr4 & CR4_PSE;
    ps->pge = cpu->cr4 & CR4_PGE;
    ps->nxe = cpu->efer & EFER_NXE;
    ps->smep = cpu->cr4 & CR4_SMEP;
    ps->smap = cpu->cr4 & CR4_SMAP;
    ps->gbpages = cpu->model->gbpages;
    cpu_stop_pace(cpu);
    cpu_update_key(cpu);
    TRACE(mode_switch, cpu->cr0, cpu->cr4, cpu->efer, cpu->seg[SEG_CS].sel);
}

void cpu_set_cr(struct cpu *cpu, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
    cpu->cr0 = cr0;
    cpu->cr3 = cr3;
    cpu->cr4 = cr4;
    cpu->efer = efer;
    forget_translations(cpu);
    cpu_update_mode(cpu);
}

u32 cpu_get_eflags(const struct cpu *cpu)
{
    return cpu->eflags | (cpu->jit_flags_out ? cpu_jit_flags(cpu) : flags_get(&cpu->flags));
}

void cpu_set_eflags(struct cpu *cpu, u32 value)
{
    flags_set(&cpu->flags, value);
    cpu->eflags = (value & ~EFLAGS_ARITH) | 2;
    cpu_update_key(cpu);
}

void cpu_end_slice(struct cpu *cpu)
{
    cpu->icount += (u64)(cpu->slice - cpu->left);
    cpu->slice = cpu->left = 0;
}

u64 cpu_tsc(struct cpu *cpu)
{
    u64 ns = clock_now_ns(cpu->clock);
    return (u64)((u128)ns * cpu->tsc_khz / 1000000) + (u64)cpu->tsc_offset;
}

u64 cpu_ns_at_tsc(const struct cpu *cpu, u64 tsc)
{
    return (u64)((u128)(tsc - (u64)cpu->tsc_offset) * 1000000 / cpu->tsc_khz);
}

/*T:630 Reading the TSC without leaving
 *
 * RDTSC is sensitive: its result belongs to the virtual machine. To trap it costs a thousand cycles
 * on a real processor, and programs read it millions of times. So translated code gets a line, base
 * + ticks * rate, that is good for a short while: sensitive need not mean slow, if the virtual
 * result can be computed in place.
 */
/* Ticks are nanoseconds where it is used. Between threads the greatest time handed out has to be
 * looked at, and with CR4.TSD the privilege. */
void cpu_pace_tsc(struct cpu *cpu)
{
    struct host_pace p;
    cpu_stop_pace(cpu);
    if (cpu->shared || cpu->cr4 & CR4_TSD || cpu->tsc_khz != NS_PER_SEC / 1000 ||
        !clock_pace(cpu->clock, &p))
        return;
    cpu->tsc_pace = (struct tsc_pace){.minus_since = -p.since,
                                      .rate = p.rate,
                                      .base = p.ns + (u64)cpu->tsc_offset,
                                      .last = (s64)p.last};
}

void cpu_dump(const struct cpu *cpu, void *file)
{
    static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static const char *const segs[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    FILE *f = file;
    for (unsigned i = 0; i < 16; i++)
        fprintf(f, "%s=%016" PRIx64 "%c", names[i], cpu->gpr[i], i % 4 == 3 ? '\n' : ' ');
    fprintf(f, "RIP=%016" PRIx64 " RFL=%08x CPL=%u%s\n", cpu->rip, cpu_get_eflags(cpu), cpu->cpl,
            cpu->halted ? " HLT" : "");
    for (unsigned i = 0; i < 6; i++)
        fprintf(f, "%s =%04x %016" PRIx64 " %08x %04x\n", segs[i], cpu->seg[i].sel,
                cpu->seg[i].base, cpu->seg[i].limit, cpu->seg[i].attr);
    fprintf(f, "LDT=%04x %016" PRIx64 " %08x   TR =%04x %016" PRIx64 " %08x\n", cpu->ldtr.sel,
            cpu->ldtr.base, cpu->ldtr.limit, cpu->tr.sel, cpu->tr.base, cpu->tr.limit);
    fprintf(f, "GDT=     %016" PRIx64 " %08x   IDT=     %016" PRIx64 " %08x\n", cpu->gdtr.base,
            cpu->gdtr.limit, cpu->idtr.base, cpu->idtr.limit);
    fprintf(f,
            "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64
            " EFER=%04" PRIx64 "\n",
            cpu->cr0, cpu->cr2, cpu->cr3, cpu->cr4, cpu->efer);
}
