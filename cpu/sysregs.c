/* sysregs.c: see sysregs.h. */
#include "cpu/sysregs.h"
#include "base/bits.h"
#include "cpu/excp.h"
#include "cpu/exec.h"
#include "cpu/model.h"

/* PAE: the four PDPTEs are loaded with CR3 (SDM 4.4.1). False: a reserved bit is set. */
static bool load_pdptes(struct cpu *cpu, u64 cr3)
{
    u64 e[4];
    u64 reserved = 0x1e6 | (mask64(63) & ~mask64(cpu->phys->addr_bits)) | BIT64(63);
    gpa_t at = cr3 & 0xffffffe0;
    for (unsigned i = 0; i < 4; i++) {
        e[i] = phys_peek(cpu->phys, (at + 8 * i) & cpu->phys->a20_mask, 8);
        if (e[i] & 1 && e[i] & reserved)
            return false;
    }
    memcpy(cpu->paging.pdpte, e, sizeof e);
    return true;
}

static bool uses_pae(u64 cr0, u64 cr4, u64 efer)
{
    return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

void sysregs_load_cr0(struct cpu *cpu, const struct insn *in, u64 v)
{
    const u64 known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM |
                      CR0_NW | CR0_CD | CR0_PG;
    if (v >> 32 || (v & CR0_PG && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD)))
        excp_gp(cpu, in, 0);
    v = (v & known) | CR0_ET;
    u64 old = cpu->cr0, efer = cpu->efer;

    if (v & CR0_PG && !(old & CR0_PG) && efer & EFER_LME) {
        if (!(cpu->cr4 & CR4_PAE) || cpu->seg[SEG_CS].attr & SEG_L)
            excp_gp(cpu, in, 0);
        efer |= EFER_LMA;
    } else if (!(v & CR0_PG) && old & CR0_PG) {
        if (cpu->key & KEY_CODE64 || cpu->cr4 & CR4_PCIDE)
            excp_gp(cpu, in, 0);
        efer &= ~EFER_LMA;
    }
    if (uses_pae(v, cpu->cr4, efer) && (v ^ old) & (CR0_CD | CR0_NW | CR0_PG) &&
        !load_pdptes(cpu, cpu->cr3))
        excp_gp(cpu, in, 0);
    cpu->cr0 = v;
    cpu->efer = efer;
    if ((v ^ old) & (CR0_PE | CR0_PG | CR0_WP))
        tlb_flush_all(&cpu->tlb);
    cpu_update_mode(cpu);
}

void sysregs_load_cr3(struct cpu *cpu, const struct insn *in, u64 v)
{
    bool keep = false;
    if (cpu_in_long_mode(cpu)) {
        if (cpu->cr4 & CR4_PCIDE) {
            keep = v >> 63; /* an order, not a value */
            v &= ~BIT64(63);
        }
        if (v & ~mask64(cpu->phys->addr_bits))
            excp_gp(cpu, in, 0);
    } else {
        v &= 0xffffffff;
    }
    if (uses_pae(cpu->cr0, cpu->cr4, cpu->efer) && !load_pdptes(cpu, v))
        excp_gp(cpu, in, 0);
    cpu->cr3 = v;
    cpu->paging.cr3 = v;
    tlb_load_space(&cpu->tlb, cpu_pcid(cpu), keep);
}

void sysregs_load_cr4(struct cpu *cpu, const struct insn *in, u64 v)
{
    if (v & ~model_cr4(cpu->model))
        excp_gp(cpu, in, 0);
    u64 old = cpu->cr4;
    if (cpu_in_long_mode(cpu)) {
        if (!(v & CR4_PAE) || (v ^ old) & CR4_LA57)
            excp_gp(cpu, in, 0);
        if (v & CR4_PCIDE && !(old & CR4_PCIDE) && cpu->cr3 & 0xfff)
            excp_gp(cpu, in, 0);
    } else if (v & CR4_PCIDE) {
        excp_gp(cpu, in, 0);
    }
    u64 flushing = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP;
    if (uses_pae(cpu->cr0, v, cpu->efer) && (v ^ old) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP) &&
        !load_pdptes(cpu, cpu->cr3))
        excp_gp(cpu, in, 0);
    cpu->cr4 = v;
    if ((v ^ old) & flushing) {
        tlb_flush_all(&cpu->tlb);
        tlb_load_space(&cpu->tlb, cpu_pcid(cpu), true);
    }
    cpu_update_mode(cpu);
}

bool sysregs_load_efer(struct cpu *cpu, u64 v)
{
    u64 known = model_efer(cpu->model);
    if (cpu->misc_enable & MISC_ENABLE_XD_DISABLE)
        known &= ~EFER_NXE | (cpu->efer & EFER_NXE);
    if (v & ~(known | EFER_LMA))
        return false;
    if ((v ^ cpu->efer) & EFER_LME && cpu->cr0 & CR0_PG)
        return false;
    cpu->efer = (v & ~EFER_LMA) | (cpu->efer & EFER_LMA);
    tlb_flush_all(&cpu->tlb);
    cpu_update_mode(cpu);
    return true;
}
