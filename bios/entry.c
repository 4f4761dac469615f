/*
 * entry.c: the states in which kernels are entered: real mode, flat protected mode, 64-bit mode.
 *
 * Intel SDM vol. 3A sections 3.4 (descriptors), 4.5 (4-level paging), 9.8 (mode switches). Which
 * kernel wants which state stands in its loader.
 */
#include "base/bits.h"
#include "bios/layout.h"
#include "bios/loader.h"
#include "mmu/dma.h"

#include <string.h>

/* Selectors of our GDT: those that the Linux boot protocol asks for. */
#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define SEL_TSS 0x20
#define GDT_BYTES 0x28u

#define ATTR_CODE32 (0x9b | SEG_DB | SEG_G) /* execute, read, accessed */
#define ATTR_CODE64 (0x9b | SEG_L | SEG_G)
#define ATTR_DATA (0x93 | SEG_DB | SEG_G) /* read, write, accessed */
#define ATTR_TSS 0x8b                     /* busy 32-bit (64-bit) TSS */
#define ATTR_REAL_CODE 0x9b
#define ATTR_REAL_DATA 0x93
#define TSS_LIMIT 0x67u

#define PTE_P 1u
#define PTE_W 2u
#define PTE_PS 0x80u
#define LARGE_PAGE (2 * MIB)

/* Memory types as firmware sets them (SDM vol. 3A 11.11): write-back by default, uncached in the
 * VGA window and from the PCI hole up to 4 GiB. Indices of cpu->mtrr: PHYSBASE0, PHYSMASK0, ...
 * from 0; FIX64K, FIX16K (2), FIX4K (8) from 16; DEF_TYPE. */
static void set_memory_types(struct cpu *cpu)
{
    enum { FIX16K_A0000 = 18, FIX_FIRST = 16, FIX_END = 27, DEF_TYPE = 27 };
    const u64 all_write_back = 0x0606060606060606ull, uncached = 0, valid = BIT(11);
    for (unsigned i = FIX_FIRST; i < FIX_END; i++)
        cpu->mtrr[i] = all_write_back;
    cpu->mtrr[FIX16K_A0000] = uncached;
    cpu->mtrr[0] = PCI_HOLE_BASE | uncached;
    cpu->mtrr[1] = (mask64(cpu->phys->addr_bits) & ~(4 * GIB - PCI_HOLE_BASE - 1)) | valid;
    cpu->mtrr[DEF_TYPE] = 0xc06; /* enabled, fixed ones too, write-back */
}

static void set_registers(struct cpu *cpu)
{
    set_memory_types(cpu);
    memset(cpu->gpr, 0, 16 * sizeof cpu->gpr[0]);
    cpu_set_eflags(cpu, 2);
}

static u64 descriptor(u32 limit, u32 attr)
{
    return (limit & 0xffff) | (u64)(attr & 0xff) << 40 | (u64)(limit >> 16 & 0xf) << 48 |
           (u64)(attr >> 8 & 0xf) << 52;
}

/* The guest may use our GDT until it loads its own. */
static void load_gdt(struct boot *b, u16 code_attr)
{
    u8 gdt[GDT_BYTES] = {0};
    st_le64(gdt + SEL_CODE, descriptor(0xfffff, code_attr));
    st_le64(gdt + SEL_DATA, descriptor(0xfffff, ATTR_DATA));
    st_le64(gdt + SEL_TSS, descriptor(TSS_LIMIT, ATTR_TSS));
    BUG_ON(!dma_write(b->phys, LAYOUT_GDT, gdt, sizeof gdt));
    b->cpu->gdtr.base = LAYOUT_GDT;
    b->cpu->gdtr.limit = GDT_BYTES - 1;
    b->cpu->idtr.base = 0; /* an exception now finds no gate: it shall not find garbage */
    b->cpu->idtr.limit = 0;
}

static void load_flat_segments(struct boot *b, u16 code_attr)
{
    static const enum seg_id data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS};
    cpu_set_seg(b->cpu, SEG_CS, SEL_CODE, 0, 0xffffffff, code_attr);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        cpu_set_seg(b->cpu, data[i], SEL_DATA, 0, 0xffffffff, ATTR_DATA);
    b->cpu->tr = (struct seg){.base = 0, .limit = TSS_LIMIT, .sel = SEL_TSS, .attr = ATTR_TSS};
    b->cpu->cpl = 0;
}

void entry_real(struct boot *b, u16 cs, u16 ip, u16 ds, u16 sp)
{
    static const enum seg_id data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS};
    cpu_set_cr(b->cpu, CR0_ET, 0, 0, 0);
    set_registers(b->cpu);
    cpu_set_seg(b->cpu, SEG_CS, cs, (u64)cs << 4, 0xffff, ATTR_REAL_CODE);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        cpu_set_seg(b->cpu, data[i], ds, (u64)ds << 4, 0xffff, ATTR_REAL_DATA);
    b->cpu->idtr.base = 0;
    b->cpu->idtr.limit = 0x3ff;
    b->cpu->cpl = 0;
    b->cpu->gpr[RSP] = sp;
    b->cpu->rip = ip;
    cpu_update_mode(b->cpu);
}

void entry_prot32(struct boot *b, u32 eip)
{
    load_gdt(b, ATTR_CODE32);
    cpu_set_cr(b->cpu, CR0_PE | CR0_ET, 0, 0, 0);
    set_registers(b->cpu);
    load_flat_segments(b, ATTR_CODE32);
    b->cpu->rip = eip;
    cpu_update_mode(b->cpu);
}

static void identity_map_4g(struct phys *p)
{
    gpa_t pml4 = LAYOUT_PAGE_TABLES, pdpt = pml4 + PAGE_SIZE, pd = pdpt + PAGE_SIZE;
    BUG_ON(!dma_fill(p, pml4, 0, 6 * PAGE_SIZE));
    dma_write64(p, pml4, pdpt | PTE_P | PTE_W);
    for (u64 g = 0; g < 4; g++) {
        dma_write64(p, pdpt + g * 8, (pd + g * PAGE_SIZE) | PTE_P | PTE_W);
        for (u64 i = 0; i < 512; i++)
            dma_write64(p, pd + g * PAGE_SIZE + i * 8,
                        (g * GIB + i * LARGE_PAGE) | PTE_P | PTE_W | PTE_PS);
    }
}

void entry_long64(struct boot *b, u64 rip)
{
    load_gdt(b, ATTR_CODE64);
    identity_map_4g(b->phys);
    cpu_set_cr(b->cpu, CR0_PG | CR0_PE | CR0_ET, LAYOUT_PAGE_TABLES, CR4_PAE, EFER_LME | EFER_LMA);
    set_registers(b->cpu);
    load_flat_segments(b, ATTR_CODE64);
    b->cpu->rip = rip;
    cpu_update_mode(b->cpu);
}
