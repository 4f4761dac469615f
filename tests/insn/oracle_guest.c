/*
 * oracle_guest.c: runs an instruction on struct cpu, set up as Linux sets up a user process: long
 * mode, CPL 3, the pages of oracle.h at the same addresses. See oracle.h.
 *
 * The IDT is empty, so that every exception ends in a triple fault, whose chain names it.
 */
#include "tests/insn/oracle.h"
#include "base/bits.h"
#include "base/clock.h"
#include "cpu/cpu.h"
#include "cpu/jit/jit.h"
#include "cpu/model.h"
#include "mmu/dma.h"
#include <stdlib.h>

#define RAM_BYTES (2 * MIB)
#define GPA_PML4 0x1000
#define GPA_PDPT 0x2000
#define GPA_PD 0x3000
#define GPA_PT 0x4000
#define GPA_CODE 0x10000
#define GPA_FRAME(n) (0x20000 + 0x3000 * (n)) /* none follows another */

#define PTE_P 0x001ull
#define PTE_RW 0x002ull
#define PTE_US 0x004ull
#define PTE_AD 0x060ull
#define PTE_NX BIT64(63)

struct oracle_guest {
    struct phys phys;
    struct clock clock;
    struct cpu *cpu;
    u64 program; /* that is loaded, if it is a loop */
};

static bool no_pv_cpuid(void *vm, u32 leaf, u32 subleaf, u32 r[4])
{
    (void)vm, (void)leaf, (void)subleaf, (void)r;
    return false;
}

static const struct cpu_hooks hooks = {.pv_cpuid = no_pv_cpuid};

static gpa_t entry_of(gva_t va)
{
    return GPA_PT + (va >> PAGE_SHIFT & 511) * 8;
}

static void build_tables(struct phys *p)
{
    const u64 all = PTE_P | PTE_RW | PTE_US | PTE_AD;

    dma_write64(p, GPA_PML4, GPA_PDPT | all);
    dma_write64(p, GPA_PDPT, GPA_PD | all);
    dma_write64(p, GPA_PD + (ORACLE_CODE >> 21 & 511) * 8, GPA_PT | all);
    for (unsigned i = 0; i < ORACLE_CODE_BYTES; i += PAGE_SIZE)
        dma_write64(p, entry_of(ORACLE_CODE + i), (GPA_CODE + i) | PTE_P | PTE_US | PTE_AD);
}

/* The frame of a page: permutation `frames` of the four. */
static gpa_t frame_of(const struct oracle_case *c, unsigned page)
{
    unsigned n[ORACLE_PAGES] = {0, 1, 2, 3}, k = c->frames;

    for (unsigned i = ORACLE_PAGES; i > 1; k /= i--) {
        unsigned other = k % i, t = n[other];
        n[other] = n[i - 1];
        n[i - 1] = t;
    }
    return GPA_FRAME(n[page]);
}

/* The pages with their rights. Sometimes they were not accessed yet. */
static void map_pages(struct oracle_guest *g, const struct oracle_case *c)
{
    if (c->forget)
        tlb_flush_all(&g->cpu->tlb);
    for (unsigned i = 0; i < ORACLE_PAGES; i++) {
        u64 pte = frame_of(c, i) | PTE_P | PTE_US | PTE_NX | (c->forget ? 0 : PTE_AD);
        gva_t va = oracle_page_va(i);
        if (oracle_page_rights(c, i) == ORACLE_WRITABLE)
            pte |= PTE_RW;
        if (oracle_page_rights(c, i) == ORACLE_ABSENT)
            pte = 0;
        if (dma_read64(&g->phys, entry_of(va)) == pte)
            continue;
        dma_write64(&g->phys, entry_of(va), pte);
        tlb_flush_page(&g->cpu->tlb, va);
    }
}

static void copy_data(struct oracle_guest *g, const struct oracle_case *c, u8 *from)
{
    for (unsigned i = 0; i < oracle_pages(c); i++) {
        u8 *page = g->phys.ram + frame_of(c, i);
        if (from)
            memcpy(from + i * PAGE_SIZE, page, PAGE_SIZE);
        else
            memcpy(page, c->data + i * PAGE_SIZE, PAGE_SIZE);
    }
}

static void set_mode(struct cpu *cpu, unsigned code)
{
    u16 cs = code == 64 ? 0xfb | SEG_L | SEG_G : 0xfb | SEG_DB | SEG_G;

    cpu_set_seg(cpu, SEG_CS, code == 64 ? ORACLE_CS64 : ORACLE_CS32, 0, ~0u, cs);
    cpu_set_seg(cpu, SEG_SS, ORACLE_DS, 0, ~0u, 0xf3 | SEG_DB | SEG_G);
    cpu_set_seg(cpu, SEG_DS, ORACLE_DS, 0, ~0u, 0xf3 | SEG_DB | SEG_G);
    cpu_set_seg(cpu, SEG_ES, ORACLE_DS, 0, ~0u, 0xf3 | SEG_DB | SEG_G);
    cpu->idtr.limit = 0;
    cpu->gdtr.limit = 0;
    cpu_update_mode(cpu);
}

static void set_fs_and_gs(struct cpu *cpu, const struct oracle_case *c)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->program)
            cpu_set_seg(cpu, SEG_FS + i, ORACLE_DS, c->seg_base[i], ~0u, 0xf3 | SEG_DB | SEG_G);
        else
            cpu_set_seg(cpu, SEG_FS + i, 0, 0, 0, SEG_UNUSABLE);
}

static bool set_engine(struct cpu *cpu, enum oracle_engine engine, struct err *e)
{
    struct jit_test t = {.hot = 1, .tlb_miss = engine == ORACLE_JIT_COLD, .flags_poison = true};

    if (engine == ORACLE_INTERP)
        return true;
    if (engine == ORACLE_JIT_WARM)
        t = (struct jit_test){0};
    if (engine == ORACLE_JIT_SMALL)
        t = (struct jit_test){.code_bytes = 256 * KIB, .no_bmi2 = true};
    cpu->shared = engine == ORACLE_JIT_SHARED;
    return jit_supported(e) && jit_create(cpu, e) && jit_set_test(cpu->jit, &t, e);
}

struct oracle_guest *oracle_guest_open(enum oracle_engine engine)
{
    struct oracle_guest *g = calloc(1, sizeof *g);
    struct err e = {0};

    if (!g || !phys_init(&g->phys, RAM_BYTES, &e))
        return NULL;
    clock_init(&g->clock, CLOCK_ICOUNT);
    g->cpu = cpu_create(model_find(oracle_native_has_avx() ? "x86-64-v3" : "x86-64-v2", &e),
                        &g->phys, &g->clock, &hooks, g, &e);
    if (!g->cpu || !set_engine(g->cpu, engine, &e))
        return NULL;
    g->cpu->gates = ~0ull; /* every row, whatever the model has; the test asks the host's CPUID */
    build_tables(&g->phys);
    dma_fill(&g->phys, GPA_CODE, 0xcc, ORACLE_CODE_BYTES);
    g->cpu->xcr0 = XCR0_X87 | XCR0_AVX_STATE;
    cpu_set_cr(g->cpu, CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG, GPA_PML4,
               CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE,
               EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    return g;
}

void oracle_guest_close(struct oracle_guest *g)
{
    if (!g)
        return;
    jit_destroy(g->cpu->jit);
    cpu_destroy(g->cpu);
    phys_destroy(&g->phys);
    free(g);
}

u64 oracle_guest_traces(const struct oracle_guest *g)
{
    return jit_stats(g->cpu->jit)->traces;
}

u64 oracle_guest_gates(const struct oracle_guest *g)
{
    return g->cpu->gates;
}

const u8 *oracle_guest_code(const struct oracle_guest *g, u64 *bytes)
{
    return jit_last_code(g->cpu->jit, bytes);
}

/* ---- floating point state as FXSAVE lays it out, SDM vol. 1 table 10-2 ----------------------- */

static void load_fx(struct cpu *cpu, const struct oracle_state *s)
{
    const u8 *fx = s->fx;
    unsigned top;

    cpu->x87.cw = ld_le16(fx);
    cpu->x87.sw = ld_le16(fx + 2);
    cpu->x87.empty = (u8)~fx[4];
    cpu->x87.fop = ld_le16(fx + 6);
    cpu->x87.fip = ld_le64(fx + 8);
    cpu->x87.fdp = ld_le64(fx + 16);
    cpu->x87.fcs = cpu->x87.fds = 0;
    cpu->mxcsr = ld_le32(fx + 24);
    top = cpu->x87.sw >> 11 & 7;
    for (unsigned i = 0; i < 8; i++) {
        struct f80 *st = &cpu->x87.st[(top + i) & 7];
        st->mant = ld_le64(fx + 32 + 16 * i);
        st->se = ld_le16(fx + 40 + 16 * i);
    }
    for (unsigned i = 0; i < 16; i++)
        memcpy(cpu->vec[i].b, fx + 160 + 16 * i, 16);
    for (unsigned i = 0; i < 16; i++)
        memcpy(cpu->vec[i].b + 16, s->upper[i], 16);
}

static void store_fx(const struct cpu *cpu, struct oracle_state *s)
{
    u8 *fx = s->fx;
    unsigned top = cpu->x87.sw >> 11 & 7;

    st_le16(fx, cpu->x87.cw);
    st_le16(fx + 2, cpu->x87.sw);
    fx[4] = (u8)~cpu->x87.empty;
    st_le16(fx + 6, cpu->x87.fop);
    st_le64(fx + 8, cpu->x87.fip);
    st_le64(fx + 16, cpu->x87.fdp);
    st_le32(fx + 24, cpu->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        const struct f80 *st = &cpu->x87.st[(top + i) & 7];
        st_le64(fx + 32 + 16 * i, st->mant);
        st_le16(fx + 40 + 16 * i, st->se);
    }
    for (unsigned i = 0; i < 16; i++)
        memcpy(fx + 160 + 16 * i, cpu->vec[i].b, 16);
    for (unsigned i = 0; i < 16; i++)
        memcpy(s->upper[i], cpu->vec[i].b + 16, 16);
}

/* ---- running --------------------------------------------------------------------------------- */

static void put_code(struct oracle_guest *g, const struct oracle_case *c)
{
    u8 jump[5] = {0xe9, 0, 0, 0, 0}; /* to the stub, which is not mapped here */
    u32 end = c->at + c->len;

    if (c->program && c->program == g->program)
        return;
    g->program = c->program;
    if (c->program)
        dma_fill(&g->phys, GPA_CODE, 0xcc, ORACLE_CODE_BYTES);
    st_le32(jump + 1, ORACLE_STUB - (ORACLE_CODE + end + 5));
    dma_write(&g->phys, GPA_CODE + c->at, c->bytes, c->len);
    dma_write(&g->phys, GPA_CODE + end, jump, sizeof jump);
}

static void take_trap(const struct cpu *cpu, struct oracle_result *r)
{
    const struct fault_record *f = &cpu->fault_chain[0];

    r->trap = f->e.vector;
    r->error = f->e.has_error ? f->e.error : 0;
    r->cr2 = f->e.vector == EXC_PF ? f->e.cr2 : 0;
    r->rip = f->rip - ORACLE_CODE;
}

/* What it may take; loops do it in two million instructions. */
static bool hangs(const struct oracle_case *c, const struct oracle_result *r, unsigned slices)
{
    return c->program ? r->insns > 20000000 : slices >= 4 * ORACLE_SEQUENCE;
}

/* One block normally; an instruction that leaves its block makes it two. */
static void run_to_stub(struct cpu *cpu, const struct oracle_case *c, struct oracle_result *r)
{
    u64 start = cpu_icount(cpu), slice = 1;

    for (unsigned i = 0; !hangs(c, r, i); i++) {
        if (c->program)
            slice = 1 + (i * 0x9e3779b9u >> 8) % c->slice;
        bool trap = cpu_run(cpu, slice) == STOP_TRIPLE_FAULT;
        r->insns = cpu_icount(cpu) - start;
        if (cpu->rip == ORACLE_STUB) /* perhaps with the fault of fetching there */
            break;
        if (trap) {
            take_trap(cpu, r);
            return;
        }
    }
    r->trap = c->program && cpu->rip != ORACLE_STUB ? ORACLE_HANGS : ORACLE_NO_TRAP;
    r->rip = cpu->rip == ORACLE_STUB ? c->at + c->len : cpu->rip - ORACLE_CODE;
}

void oracle_guest_run(struct oracle_guest *g, const struct oracle_case *c, struct oracle_result *r)
{
    struct cpu *cpu = g->cpu;

    put_code(g, c);
    map_pages(g, c);
    copy_data(g, c, NULL);
    memcpy(cpu->gpr, c->before.gpr, sizeof c->before.gpr);
    load_fx(cpu, &c->before);
    if (cpu->seg[SEG_CS].sel != (c->code == 64 ? ORACLE_CS64 : ORACLE_CS32))
        set_mode(cpu, c->code);
    set_fs_and_gs(cpu, c);
    cpu_set_eflags(cpu, (u32)c->before.flags | EFLAGS_IF);
    cpu->rip = ORACLE_CODE + c->at;
    cpu->shadow = 0;
    cpu->fault_chain_len = 0;
    cpu->triple_fault = false;

    r->error = 0;
    r->cr2 = 0;
    r->insns = 0;
    run_to_stub(cpu, c, r);
    memcpy(r->after.gpr, cpu->gpr, sizeof r->after.gpr);
    r->after.flags = cpu_get_eflags(cpu);
    store_fx(cpu, &r->after);
    copy_data(g, c, r->data);
    if (!c->program)
        dma_fill(&g->phys, GPA_CODE + c->at, 0xcc, c->len + 5u);
}
