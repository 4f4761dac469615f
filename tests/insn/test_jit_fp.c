/*
 * test_jit_fp.c: blocks of random vector, MMX and x87 instructions through the translator and
 * through the interpreter, from the same state: registers, flags, MXCSR, x87 state with its
 * pointers, memory, the fault that ends them and the count of instructions must agree.
 *
 * Each block ends with a jump to a page that is not mapped; the IDT is empty, so that the first
 * exception stops the machine and the chain of the triple fault names it. PARALLAX_JIT_FP_COUNT
 * and PARALLAX_JIT_FP_SEED choose other numbers of blocks and other blocks.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/jit/jit.h"
#include "cpu/model.h"
#include "mmu/dma.h"
#include "tests/insn/rows.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef PARALLAX_JIT

#define RAM_BYTES (2 * MIB)
#define GPA_PML4 0x1000
#define GPA_PDPT 0x2000
#define GPA_PD 0x3000
#define GPA_PT 0x4000
#define GPA_CODE 0x10000
#define GPA_DATA(page) (0x11000u + 0x2000u * (page)) /* not side by side */
#define CODE 0x0a020000ull
#define DATA 0x0a030000ull
#define DATA_PAGES 2u
#define DATA_BYTES (DATA_PAGES * (unsigned)PAGE_SIZE)
#define NOWHERE 0x0a100000ull

#define PTE_USER_RW 0x067ull

#define MAX_BYTES 256u

/* ---- two machines ---------------------------------------------------------------------------- */

struct machine {
    struct phys phys;
    struct clock clock;
    struct cpu *cpu;
    struct jit *jit;
};

struct state {
    u64 gpr[16];
    u32 eflags, mxcsr;
    union vec vec[16];
    struct x87 x87;
    u8 data[DATA_BYTES];
};

static bool no_pv_cpuid(void *vm, u32 leaf, u32 subleaf, u32 r[4])
{
    (void)vm, (void)leaf, (void)subleaf, (void)r;
    return false;
}

static const struct cpu_hooks hooks = {.pv_cpuid = no_pv_cpuid};

static void set_mode(struct cpu *cpu, unsigned code)
{
    u16 cs = code == 64 ? 0xfb | SEG_L | SEG_G : 0xfb | SEG_DB | SEG_G;
    cpu_set_seg(cpu, SEG_CS, 0x33, 0, ~0u, cs);
    cpu_set_seg(cpu, SEG_SS, 0x2b, 0, ~0u, 0xf3 | SEG_DB | SEG_G);
    cpu_set_seg(cpu, SEG_DS, 0x2b, 0, ~0u, 0xf3 | SEG_DB | SEG_G);
    cpu_set_seg(cpu, SEG_ES, 0x2b, 0, ~0u, 0xf3 | SEG_DB | SEG_G);
    cpu->idtr.limit = 0;
    cpu->gdtr.limit = 0;
    cpu_update_mode(cpu);
}

#define CR0_USUAL (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define CR4_USUAL (CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT)

static void set_cr(struct cpu *cpu, u64 cr0, u64 cr4)
{
    cpu_set_cr(cpu, cr0, GPA_PML4, cr4, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
}

static void map_page(struct phys *p, gva_t va, gpa_t gpa)
{
    dma_write64(p, GPA_PT + (va >> PAGE_SHIFT & 511) * 8, gpa | PTE_USER_RW);
}

static struct machine *machine_open(unsigned code, bool translated)
{
    struct machine *m = calloc(1, sizeof *m);
    struct err e = {0};
    ck_assert(m && phys_init(&m->phys, RAM_BYTES, &e));
    clock_init(&m->clock, CLOCK_ICOUNT);
    m->cpu = cpu_create(model_find("x86-64-v2", &e), &m->phys, &m->clock, &hooks, m, &e);
    ck_assert_ptr_nonnull(m->cpu);
    dma_write64(&m->phys, GPA_PML4, GPA_PDPT | PTE_USER_RW);
    dma_write64(&m->phys, GPA_PDPT, GPA_PD | PTE_USER_RW);
    dma_write64(&m->phys, GPA_PD + (CODE >> 21 & 511) * 8, GPA_PT | PTE_USER_RW);
    map_page(&m->phys, CODE, GPA_CODE);
    for (unsigned i = 0; i < DATA_PAGES; i++)
        map_page(&m->phys, DATA + i * PAGE_SIZE, GPA_DATA(i));
    set_cr(m->cpu, CR0_USUAL, CR4_USUAL);
    set_mode(m->cpu, code);
    if (translated) {
        struct jit_test at_once = {.hot = 1};
        m->jit = jit_create(m->cpu, &e);
        ck_assert_ptr_nonnull(m->jit);
        ck_assert(jit_set_test(m->jit, &at_once, &e));
    }
    return m;
}

static void machine_close(struct machine *m)
{
    jit_destroy(m->jit);
    cpu_destroy(m->cpu);
    phys_destroy(&m->phys);
    free(m);
}

static void load_state(struct machine *m, const struct state *s)
{
    struct cpu *cpu = m->cpu;
    memcpy(cpu->gpr, s->gpr, sizeof s->gpr);
    memcpy(cpu->vec, s->vec, sizeof s->vec);
    for (unsigned i = 0; i < DATA_PAGES; i++)
        memcpy(m->phys.ram + GPA_DATA(i), s->data + i * PAGE_SIZE, PAGE_SIZE);
    cpu->x87 = s->x87;
    cpu->mxcsr = s->mxcsr;
    cpu->rip = CODE;
    cpu->shadow = 0;
    cpu->fault_chain_len = 0;
    cpu->triple_fault = false;
    cpu_set_eflags(cpu, s->eflags | EFLAGS_IF);
}

static u32 host_mxcsr(void)
{
    return __builtin_ia32_stmxcsr();
}

/* Until the exception that ends it; returns the instructions completed. */
static u64 run(struct machine *m, const struct state *s)
{
    u64 before = cpu_icount(m->cpu);
    load_state(m, s);
    for (unsigned i = 0; i < 4; i++)
        if (cpu_run(m->cpu, 100000) == STOP_TRIPLE_FAULT)
            break;
    ck_assert_uint_gt(m->cpu->fault_chain_len, 0);
    ck_assert_msg((host_mxcsr() & ~0x3fu) == 0x1f80, "the host's MXCSR is %x", host_mxcsr());
    return cpu_icount(m->cpu) - before;
}

/* ---- random states --------------------------------------------------------------------------- */

static u64 random_lane(struct rng *rng, unsigned kind)
{
    static const u64 f64[] = {0,
                              0x3ff0000000000000,
                              0x7ff0000000000000,
                              0x7ff8000000000000,
                              0x7ff0000000000001,
                              1,
                              0x000fffffffffffff,
                              0x0010000000000000,
                              0x7fefffffffffffff,
                              0x41e0000000000000,
                              0x43e0000000000000,
                              0x36a0000000000000,
                              0x3fe0000000000000,
                              0x41dfffffffc00000};
    static const u32 f32[] = {0,          0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001,
                              1,          0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000,
                              0x5f000000, 0x3f000000, 0x4effffff, 0x4b000001};
    u64 r = rng_next(rng), v = rng_next(rng);
    switch (kind) {
    case 0: return f64[r % ARRAY_SIZE(f64)] | (v & BIT64(63));
    case 1:
        return f32[r % ARRAY_SIZE(f32)] | (u64)f32[v % ARRAY_SIZE(f32)] << 32 |
               (r & 0x8000000080000000);
    case 2: return (v & 0x800fffffffffffff) | (0x3ff - 30 + (r & 63)) << 52;
    case 3: return (v & 0x807fffff807fffff) | (0x3f80000038000000 + (r & 0x0780000007800000));
    case 4: return v & 0x0f0f0f0f0f0f0f0f;
    default: return v;
    }
}

static void random_vector(struct rng *rng, u8 *p)
{
    unsigned kind = (unsigned)rng_below(rng, 6);
    st_le64(p, random_lane(rng, kind));
    st_le64(p + 8, random_lane(rng, kind));
}

/* Mostly numbers of middling size, and rarely a stack fault. */
static void random_x87(struct rng *rng, struct x87 *x)
{
    *x = (struct x87){.fip = rng_next(rng) >> 32, .fdp = rng_next(rng) >> 32, .fop = 0x123};
    for (unsigned i = 0; i < 8; i++) {
        u64 r = rng_next(rng);
        x->st[i] = (struct f80){r | BIT64(63), (u16)(0x3fff - 20 + (r & 31) + (r & 0x8000))};
        if (one_in(rng, 8))
            x->st[i] = (struct f80){r, (u16)rng_next(rng)};
        if (one_in(rng, 16))
            x->st[i].mant = 0;
    }
    x->empty = (u8)(one_in(rng, 3) ? rng_next(rng) : 0xffull << rng_below(rng, 9));
    x87_set_cw(x, (u16)(one_in(rng, 4) ? rng_next(rng) | 0x3f : 0x37f));
    if (one_in(rng, 8))
        x87_set_cw(x, x->cw & (u16)~rng_next(rng));
    x87_set_sw(x, (u16)(rng_next(rng) & (one_in(rng, 4) ? 0x7f7f : 0x7f00)));
}

static void random_state(struct rng *rng, struct state *s)
{
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = one_in(rng, 2) ? rng_next(rng) : rng_below(rng, 64);
        random_vector(rng, s->vec[i].b);
        s->vec[i].q[2] = s->vec[i].q[3] = 0;
    }
    for (unsigned i = 0; i < DATA_BYTES; i += 16) {
        random_vector(rng, s->data + i);
        if (one_in(rng, 4)) /* what LDMXCSR takes, mostly without an exception unmasked */
            st_le32(s->data + i, (one_in(rng, 8) ? 0 : 0x1f80) | (rng_next(rng) & 0xffff));
    }
    s->eflags = (rng_next(rng) & EFLAGS_ARITH) | 2;
    s->mxcsr = one_in(rng, 3) ? 0x1f80 : 0x1f80 | (u32)(rng_next(rng) & 0xffff);
    if (one_in(rng, 8))
        s->mxcsr &= (u32) ~(rng_next(rng) & 0x1f80);
    random_x87(rng, &s->x87);
}

/* ---- random blocks --------------------------------------------------------------------------- */

/* Registers whose values stay: the bases of memory operands. */
static bool is_base(unsigned r)
{
    return (r & 7) == RSI || (r & 7) == RDI;
}

struct writer {
    struct rng *rng;
    unsigned code;
    u64 base[16];
    u8 bytes[MAX_BYTES];
    unsigned len;
    char names[200];
};

static u64 random_target(struct rng *rng)
{
    u64 r = rng_next(rng);
    switch (r & 31) {
    case 0: return DATA + 0x1000 - 20 + (r >> 8 & 31);
    case 1: return DATA + DATA_BYTES - 24 + (r >> 8 & 31);
    case 2: return DATA - 8 + (r >> 8 & 31);
    case 3: return DATA + (r >> 8 & 0x1fff);
    default: return DATA + (r >> 8 & 0x1ff0);
    }
}

static bool is_vector_row(const struct insn_row *r)
{
    switch (r->gate) {
    case GATE_MMX:
    case GATE_SSE:
    case GATE_SSE2:
    case GATE_SSE3:
    case GATE_SSSE3:
    case GATE_SSE41:
    case GATE_SSE42:
    case GATE_AES:
    case GATE_PCLMUL: return r->cls == IDENT || r->cls == HELPER;
    default: return false;
    }
}

static bool is_x87_row(const struct insn_row *r)
{
    bool escape = r->map == OB && r->opcode >= 0xd8 && r->opcode <= 0xdf;
    return escape || r->gate == GATE_MMX || r->gate == GATE_FXSR || !strcmp(r->name, "wait");
}

/* Is an operand of this instruction a general register that is a base? */
static bool touches_base(const struct insn_row *r, const struct insn *in)
{
    for (unsigned i = 0; i < 3; i++)
        switch (r->opnd[i]) {
        case OPND_Gd:
        case OPND_Gy:
        case OPND_Gv:
            if (is_base(in->reg))
                return true;
            break;
        case OPND_Ed:
        case OPND_Eq:
        case OPND_RdMb:
        case OPND_RdMw:
            if (!in->mem && is_base(in->rm))
                return true;
            break;
        default: break;
        }
    return false;
}

/* Bytes of the row with its memory operand at [rsi, rdi, r14 or r15 + disp32]. */
static bool append_row(struct writer *w, unsigned row)
{
    const struct insn_row *r = &insn_rows[row];
    u8 b[ROW_BYTES];
    struct insn in;
    unsigned behind = row_encode(r, w->rng, w->code, b);
    u8 modrm = b[behind - 1];
    bool mem = r->modrm && modrm < 0xc0;
    if (mem)
        b[behind - 1] = (u8)(0x86 | (modrm & 0x38) | (modrm & 1)); /* [rsi or rdi + disp32] */
    if (decode(b, INSN_MAX_BYTES, w->code, false, ~0ull, &in) != DECODE_OK || in.row != row ||
        in.seg == SEG_FS || in.seg == SEG_GS || in.asz == 2 || touches_base(r, &in))
        return false;
    if (mem)
        st_le32(b + behind, (u32)(random_target(w->rng) - w->base[in.base]));
    if (w->len + in.len > MAX_BYTES - 5)
        return false;
    memcpy(w->bytes + w->len, b, in.len);
    w->len += in.len;
    snprintf(w->names + strlen(w->names), sizeof w->names - strlen(w->names), " %s", r->name);
    return true;
}

/* An integer instruction in between: ADC or INC of a register, or a base moves on. */
static void append_integer(struct writer *w)
{
    static const u8 insns[][3] = {{0x11, 0xc8}, {0xff, 0xc2}, {0x83, 0xc6, 8}};
    unsigned i = (unsigned)rng_below(w->rng, ARRAY_SIZE(insns)), len = i == 2 ? 3 : 2;
    if (w->len > MAX_BYTES - 8)
        return;
    memcpy(w->bytes + w->len, insns[i], len);
    w->len += len;
    if (i == 2)
        w->base[RSI] += 8;
}

static void append_jump(struct writer *w)
{
    w->bytes[w->len] = 0xe9;
    st_le32(w->bytes + w->len + 1, (u32)(NOWHERE - (CODE + w->len + 5)));
    w->len += 5;
}

static void random_block(struct writer *w, const u16 *rows, unsigned row_count, struct state *s)
{
    unsigned n = 1 + (unsigned)rng_below(w->rng, 8);
    w->len = 0;
    w->names[0] = 0;
    for (unsigned r = 0; r < (w->code == 64 ? 16u : 8u); r++) {
        w->base[r] = s->gpr[r];
        if (is_base(r))
            w->base[r] = s->gpr[r] = DATA + rng_below(w->rng, DATA_BYTES);
    }
    while (n-- > 0) {
        for (unsigned i = 0; i < 50; i++)
            if (append_row(w, rows[rng_below(w->rng, row_count)]))
                break;
        if (one_in(w->rng, 3))
            append_integer(w);
    }
    append_jump(w);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static const char *difference(const struct machine *a, const struct machine *b)
{
    const struct cpu *x = a->cpu, *y = b->cpu;
    const struct fault_record *f = &x->fault_chain[0], *g = &y->fault_chain[0];
    if (f->e.vector != g->e.vector || f->rip != g->rip)
        return "fault";
    if (f->e.has_error != g->e.has_error || (f->e.has_error && f->e.error != g->e.error))
        return "error code";
    if (f->e.vector == EXC_PF && f->e.cr2 != g->e.cr2)
        return "cr2";
    if (memcmp(x->gpr, y->gpr, 16 * sizeof x->gpr[0]))
        return "general registers";
    if (cpu_get_eflags(x) != cpu_get_eflags(y))
        return "flags";
    if (memcmp(x->vec, y->vec, sizeof x->vec))
        return "vector registers";
    if (x->mxcsr != y->mxcsr)
        return "mxcsr";
    if (memcmp(&x->x87.st, &y->x87.st, sizeof x->x87.st) || x->x87.sw != y->x87.sw ||
        x->x87.cw != y->x87.cw || x->x87.empty != y->x87.empty)
        return "x87";
    if (x->x87.fip != y->x87.fip || x->x87.fdp != y->x87.fdp || x->x87.fop != y->x87.fop ||
        x->x87.fcs != y->x87.fcs || x->x87.fds != y->x87.fds)
        return "x87 pointers";
    for (unsigned i = 0; i < DATA_PAGES; i++)
        if (memcmp(a->phys.ram + GPA_DATA(i), b->phys.ram + GPA_DATA(i), PAGE_SIZE))
            return "memory";
    return NULL;
}

static void print_difference(const struct machine *a, const struct machine *b,
                             const struct writer *w, const struct state *s, const char *what)
{
    const struct cpu *x = a->cpu, *y = b->cpu;
    printf("%u-bit%s: %s differ; mxcsr %x to %x, translated %x; fault %u at %llx, translated %u at "
           "%llx; flags %x, %x\n ",
           w->code, w->names, what, s->mxcsr, x->mxcsr, y->mxcsr, x->fault_chain[0].e.vector,
           (unsigned long long)x->fault_chain[0].rip, y->fault_chain[0].e.vector,
           (unsigned long long)y->fault_chain[0].rip, cpu_get_eflags(x), cpu_get_eflags(y));
    for (unsigned i = 0; i < w->len; i++)
        printf(" %02x", w->bytes[i]);
    printf("\n");
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(&x->vec[i], &y->vec[i], 16))
            printf("  xmm%u was %016llx%016llx is %016llx%016llx, translated %016llx%016llx\n", i,
                   (unsigned long long)s->vec[i].q[1], (unsigned long long)s->vec[i].q[0],
                   (unsigned long long)x->vec[i].q[1], (unsigned long long)x->vec[i].q[0],
                   (unsigned long long)y->vec[i].q[1], (unsigned long long)y->vec[i].q[0]);
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(&x->x87.st[i], &y->x87.st[i], sizeof x->x87.st[i]))
            printf("  R%u was %04x:%016llx is %04x:%016llx, translated %04x:%016llx\n", i,
                   s->x87.st[i].se, (unsigned long long)s->x87.st[i].mant, x->x87.st[i].se,
                   (unsigned long long)x->x87.st[i].mant, y->x87.st[i].se,
                   (unsigned long long)y->x87.st[i].mant);
    printf("  x87 cw %04x sw %04x empty %02x; is %04x %04x %02x, translated %04x %04x %02x\n",
           s->x87.cw, s->x87.sw, s->x87.empty, x->x87.cw, x->x87.sw, x->x87.empty, y->x87.cw,
           y->x87.sw, y->x87.empty);
    for (unsigned i = 0; i < 16; i++)
        if (x->gpr[i] != y->gpr[i])
            printf("  gpr %u is %llx, translated %llx\n", i, (unsigned long long)x->gpr[i],
                   (unsigned long long)y->gpr[i]);
    fflush(stdout);
}

static void put_code(struct machine *m, const u8 *bytes, unsigned len)
{
    dma_write(&m->phys, GPA_CODE, bytes, len);
}

/* The second run finds the pages in the TLB that the first one met. */
static const char *compare_runs(struct machine *ref, struct machine *jit, const u8 *bytes,
                                unsigned len, const struct state *s)
{
    put_code(ref, bytes, len);
    put_code(jit, bytes, len);
    u64 n = run(ref, s);
    const char *what = NULL;
    for (unsigned i = 0; i < 2 && !what; i++) {
        u64 translated = run(jit, s);
        what = difference(ref, jit);
        if (!what && translated != n)
            what = "instruction counts";
    }
    return what;
}

static u64 env_number(const char *name, u64 otherwise)
{
    const char *s = getenv(name);
    return s ? strtoull(s, NULL, 0) : otherwise;
}

typedef bool row_filter(const struct insn_row *r);

static bool is_either_row(const struct insn_row *r)
{
    return is_vector_row(r) || is_x87_row(r);
}

static void test_blocks(row_filter *filter, unsigned code, bool tlb_miss, u64 count)
{
    static struct state s;
    static struct writer w;
    static u16 rows[2048];
    unsigned row_count = 0, different = 0;
    struct rng rng;
    struct err e = {0};
    struct machine *ref = machine_open(code, false), *jit = machine_open(code, true);

    rng_seed(&rng, env_number("PARALLAX_JIT_FP_SEED", 1) + code);
    for (unsigned i = 0; i < insn_row_count && row_count < ARRAY_SIZE(rows); i++)
        if (filter(&insn_rows[i]) && !(insn_rows[i].attr & (code == 64 ? A_I64 : A_O64)))
            rows[row_count++] = (u16)i;
    ck_assert_uint_gt(row_count, 100);
    ref->cpu->gates = jit->cpu->gates = ~0ull;
    if (tlb_miss)
        ck_assert(jit_set_test(jit->jit, &(struct jit_test){.hot = 1, .tlb_miss = true}, &e));
    w.rng = &rng;
    w.code = code;
    for (u64 i = 0; i < count && different < 20; i++) {
        random_state(&rng, &s);
        if (code == 32)
            for (unsigned r = 0; r < 16; r++)
                s.gpr[r] = r < 8 ? (u32)s.gpr[r] : 0;
        random_block(&w, rows, row_count, &s);
        if (one_in(&rng, 4))
            tlb_flush_all(&jit->cpu->tlb);
        const char *what = compare_runs(ref, jit, w.bytes, w.len, &s);
        if (what) {
            print_difference(ref, jit, &w, &s, what);
            different++;
        }
    }
    ck_assert_uint_gt(jit_stats(jit->jit)->templates, jit_stats(jit->jit)->helpers);
    machine_close(ref);
    machine_close(jit);
    ck_assert_uint_eq(different, 0);
}

static u64 blocks(void)
{
    return env_number("PARALLAX_JIT_FP_COUNT", 30000);
}

START_TEST(random_vector_blocks_do_the_same_in_both_engines)
{
    test_blocks(is_vector_row, 64, false, blocks());
    test_blocks(is_vector_row, 32, false, blocks());
}
END_TEST

START_TEST(random_x87_blocks_do_the_same_in_both_engines)
{
    test_blocks(is_x87_row, 64, false, blocks());
    test_blocks(is_x87_row, 32, false, blocks());
}
END_TEST

START_TEST(random_blocks_of_both_do_the_same_in_both_engines)
{
    test_blocks(is_either_row, 64, false, blocks() / 2);
    test_blocks(is_either_row, 32, false, blocks() / 2);
}
END_TEST

START_TEST(blocks_whose_accesses_all_miss_do_the_same_too)
{
    test_blocks(is_either_row, 64, true, blocks() / 2);
    test_blocks(is_either_row, 32, true, blocks() / 2);
}
END_TEST

/* ---- gates ----------------------------------------------------------------------------------- */

static const u8 addps_and_go[] = {0x0f, 0x58, 0xc1, 0xe9, 0xf8, 0xff, 0x0d, 0x00};

static unsigned vector_with(struct machine *m, u64 cr0, u64 cr4, const struct state *s)
{
    set_cr(m->cpu, cr0, cr4);
    run(m, s);
    return m->cpu->fault_chain[0].e.vector;
}

START_TEST(a_lazy_switch_raises_nm_although_the_block_was_translated_before)
{
    static struct state s;
    struct machine *m = machine_open(64, true);
    s.mxcsr = 0x1f80;
    s.eflags = 2;
    put_code(m, addps_and_go, sizeof addps_and_go);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL, &s), EXC_PF);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL | CR0_TS, CR4_USUAL, &s), EXC_NM);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL, &s), EXC_PF);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL | CR0_EM, CR4_USUAL, &s), EXC_UD);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL & ~CR4_OSFXSR, &s), EXC_UD);
    machine_close(m);
}
END_TEST

START_TEST(a_lazy_switch_of_the_x87_raises_nm_as_well)
{
    static const u8 fldpi_and_go[] = {0xd9, 0xeb, 0x9b, 0xe9, 0xf8, 0xff, 0x0d, 0x00};
    static struct state s;
    struct machine *m = machine_open(64, true);
    x87_init(&s.x87);
    s.mxcsr = 0x1f80;
    s.eflags = 2;
    put_code(m, fldpi_and_go, sizeof fldpi_and_go);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL & ~CR4_OSFXSR, &s), EXC_PF);
    ck_assert_uint_eq(x87_top(&m->cpu->x87), 7);
    ck_assert_uint_eq(m->cpu->x87.fip, CODE);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL | CR0_TS, CR4_USUAL, &s), EXC_NM);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL, &s), EXC_PF);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL | CR0_EM, CR4_USUAL, &s), EXC_NM);
    ck_assert_uint_eq(m->cpu->fault_chain[0].rip, CODE);
    machine_close(m);
}
END_TEST

START_TEST(a_control_word_that_unmasks_what_is_pending_raises_mf)
{
    static const u8 unmask[] = {0xd9, 0xe8, /* fld1 */
                                0xd9, 0xee, /* fldz */
                                0xde, 0xf9, /* fdivp: division by zero */
                                0xd9, 0x2e, /* fldcw [rsi] */
                                0xff, 0xc2, /* inc edx */
                                0xd9, 0xe0, /* fchs: #MF */
                                0xe9, 0xf8, 0xff, 0x0d, 0x00};
    static struct state s;
    struct machine *m = machine_open(64, true);
    x87_init(&s.x87);
    s.mxcsr = 0x1f80;
    s.eflags = 2;
    s.gpr[RSI] = DATA;
    st_le16(s.data, 0x37b);
    put_code(m, unmask, sizeof unmask);
    for (unsigned i = 0; i < 2; i++) { /* the second time DATA is in the TLB */
        ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL, &s), EXC_MF);
        ck_assert_uint_eq(m->cpu->fault_chain[0].rip, CODE + 10);
        ck_assert_uint_eq(m->cpu->gpr[RDX], 1);
        ck_assert_uint_eq(m->cpu->x87.fip, CODE + 4);
        ck_assert_uint_eq(m->cpu->x87.sw & 0xff, SW_ES | SW_ZE);
    }
    machine_close(m);
}
END_TEST

START_TEST(an_unmasked_exception_arrives_at_its_instruction)
{
    static struct state s;
    struct machine *m = machine_open(64, true);
    s.mxcsr = 0x1f80 & ~0x80u; /* IM */
    s.eflags = 2;
    s.vec[0].d[2] = 0x7f800001; /* a signalling NaN */
    put_code(m, addps_and_go, sizeof addps_and_go);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL, &s), EXC_XM);
    ck_assert_uint_eq(m->cpu->fault_chain[0].rip, CODE);
    ck_assert_uint_eq(m->cpu->mxcsr & 0x3f, 1);
    ck_assert_uint_eq(m->cpu->vec[0].d[2], 0x7f800001);
    machine_close(m);
}
END_TEST

/* A snapshot may say so; LDMXCSR on the host would be #GP. */
START_TEST(reserved_bits_of_mxcsr_do_no_harm)
{
    static struct state s;
    struct machine *m = machine_open(64, true);
    s.mxcsr = 0xffff1f80;
    s.eflags = 2;
    put_code(m, addps_and_go, sizeof addps_and_go);
    ck_assert_uint_eq(vector_with(m, CR0_USUAL, CR4_USUAL, &s), EXC_PF);
    machine_close(m);
}
END_TEST

static void allow_avx(struct machine *m)
{
    m->cpu->gates = ~0ull;
    m->cpu->xcr0 = XCR0_X87 | XCR0_AVX_STATE;
    set_cr(m->cpu, CR0_USUAL, CR4_USUAL | CR4_OSXSAVE);
}

/* Each processor has approximations of its own, so none may run as itself: one result per operand,
 * whether its block is hot or not. */
START_TEST(approximations_are_the_interpreters)
{
    static const u8 code[] = {0x0f, 0x53, 0xc1,       /* rcpps xmm0, xmm1 */
                              0x0f, 0x52, 0xd1,       /* rsqrtps xmm2, xmm1 */
                              0xf3, 0x0f, 0x53, 0xd9, /* rcpss xmm3, xmm1 */
                              0xf3, 0x0f, 0x52, 0xe1, /* rsqrtss xmm4, xmm1 */
                              0xc5, 0xf8, 0x53, 0xe9, /* vrcpps xmm5, xmm1 */
                              0xc5, 0xfc, 0x53, 0x36, /* vrcpps ymm6, [rsi] */
                              0xc5, 0xfc, 0x52, 0xf9, /* vrsqrtps ymm7, ymm1 */
                              0xc5, 0x78, 0x52, 0x06, /* vrsqrtps xmm8, [rsi] */
                              0xc5, 0x72, 0x53, 0xc9, /* vrcpss xmm9, xmm1, xmm1 */
                              0xc5, 0x72, 0x52, 0xd1, /* vrsqrtss xmm10, xmm1, xmm1 */
                              0x0f, 0x0b};            /* ud2 */
    static struct state s;
    struct rng rng;
    struct machine *ref, *jit;
    if (!__builtin_cpu_supports("avx2"))
        return;
    ref = machine_open(64, false);
    jit = machine_open(64, true);
    allow_avx(ref);
    allow_avx(jit);
    rng_seed(&rng, 11);
    for (unsigned i = 0; i < 200; i++) {
        random_state(&rng, &s);
        s.mxcsr = 0x1f80;
        s.gpr[RSI] = DATA;
        for (unsigned lane = 0; lane < 4; lane++)
            s.vec[1].q[lane] = random_lane(&rng, 3);
        const char *what = compare_runs(ref, jit, code, sizeof code, &s);
        ck_assert_msg(!what, "%s differ in round %u", what, i);
        ck_assert_uint_eq(ref->cpu->fault_chain[0].rip, CODE + sizeof code - 2);
    }
    ck_assert_uint_gt(jit_stats(jit->jit)->helpers, 0);
    machine_close(ref);
    machine_close(jit);
}
END_TEST

/* ---- loops ----------------------------------------------------------------------------------- */

/* Blocks that are linked keep the registers; the page behind the data ends the loop. */
static void test_loop(const u8 *loop, unsigned len)
{
    static struct state s;
    struct rng rng;
    struct machine *ref = machine_open(64, false), *jit = machine_open(64, true);
    rng_seed(&rng, 7);
    for (unsigned ecx = 1; ecx < 600; ecx += 37) {
        random_state(&rng, &s);
        s.mxcsr = ecx & 1 ? 0x1f80 : 0x9fc0;
        s.gpr[RSI] = DATA + 16 * (ecx & 3);
        s.gpr[RCX] = ecx;
        const char *what = compare_runs(ref, jit, loop, len, &s);
        ck_assert_msg(!what, "%s differ after %u rounds", what, ecx);
    }
    ck_assert_uint_gt(jit_stats(jit->jit)->links, 0);
    machine_close(ref);
    machine_close(jit);
}

START_TEST(a_linked_loop_keeps_its_sums_up_to_the_fault_in_its_middle)
{
    static const u8 vectors[] = {0x0f, 0x58, 0x06,             /* addps xmm0, [rsi] */
                                 0xf2, 0x0f, 0x59, 0x4e, 0x08, /* mulsd xmm1, [rsi + 8] */
                                 0x66, 0x0f, 0xef, 0xd0,       /* pxor xmm2, xmm0 */
                                 0x48, 0x83, 0xc6, 0x10,       /* add rsi, 16 */
                                 0xff, 0xc9,                   /* dec ecx */
                                 0x75, 0xec,                   /* jnz */
                                 0x0f, 0x0b};                  /* ud2 */
    static const u8 x87[] = {0xdc, 0x06,                       /* fadd qword [rsi] */
                             0xd9, 0xe1,                       /* fabs */
                             0xdd, 0x56, 0x08,                 /* fst qword [rsi + 8] */
                             0xd9, 0xc9,                       /* fxch */
                             0x48, 0x83, 0xc6, 0x10,           /* add rsi, 16 */
                             0xff, 0xc9,                       /* dec ecx */
                             0x75, 0xef,                       /* jnz */
                             0x0f, 0x0b};                      /* ud2 */
    static const u8 loop[] = {0xdc, 0x06,                      /* fadd qword [rsi] */
                              0xd9, 0xe1,                      /* fabs */
                              0x48, 0x83, 0xc6, 0x10,          /* add rsi, 16 */
                              0xdd, 0x56, 0xf8,                /* fst qword [rsi - 8] */
                              0xd9, 0xc9,                      /* fxch */
                              0xff, 0xc9,                      /* dec ecx */
                              0x85, 0xc9,              /* test ecx, ecx: a loop of its own */
                              0x75, 0xed,              /* jnz */
                              0x0f, 0x0b};             /* ud2 */
    static const u8 mixed[] = {0xdf, 0x2e,             /* fild qword [rsi] */
                               0xd8, 0xd9,             /* fcomp st(1) */
                               0xf2, 0x0f, 0x58, 0x06, /* addsd xmm0, [rsi] */
                               0xdf, 0xe0,             /* fnstsw ax */
                               0xd9, 0xf4,             /* fxtract */
                               0xde, 0xc1,             /* faddp */
                               0x48, 0x83, 0xc6, 0x08, /* add rsi, 8 */
                               0x39, 0xca,             /* cmp edx, ecx */
                               0x75, 0x02,             /* jnz: over the next */
                               0xd9, 0xe0,             /* fchs */
                               0xff, 0xc9,             /* dec ecx */
                               0x75, 0xe4,             /* jnz */
                               0x0f, 0x0b};            /* ud2 */
    test_loop(vectors, sizeof vectors);
    test_loop(x87, sizeof x87);
    test_loop(loop, sizeof loop);
    test_loop(mixed, sizeof mixed);
}
END_TEST

int main(void)
{
    struct err e = {0};
    if (!jit_supported(&e)) {
        printf("jit_fp: this host cannot run the translator\n");
        return 77; /* CTest: skipped */
    }
    Suite *s = suite_create("jit_fp");
    TCase *tc = tcase_create("jit_fp");
    SRunner *runner;
    int failures;

    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, a_lazy_switch_raises_nm_although_the_block_was_translated_before);
    tcase_add_test(tc, a_lazy_switch_of_the_x87_raises_nm_as_well);
    tcase_add_test(tc, a_control_word_that_unmasks_what_is_pending_raises_mf);
    tcase_add_test(tc, an_unmasked_exception_arrives_at_its_instruction);
    tcase_add_test(tc, reserved_bits_of_mxcsr_do_no_harm);
    tcase_add_test(tc, approximations_are_the_interpreters);
    tcase_add_test(tc, a_linked_loop_keeps_its_sums_up_to_the_fault_in_its_middle);
    tcase_add_test(tc, random_vector_blocks_do_the_same_in_both_engines);
    tcase_add_test(tc, random_x87_blocks_do_the_same_in_both_engines);
    tcase_add_test(tc, random_blocks_of_both_do_the_same_in_both_engines);
    tcase_add_test(tc, blocks_whose_accesses_all_miss_do_the_same_too);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}

#else

int main(void)
{
    printf("jit_fp: this build has no translator\n");
    return 77; /* CTest: skipped */
}

#endif
