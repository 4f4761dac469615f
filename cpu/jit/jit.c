/* jit.c: life of translations: making, entering, linking, killing. See jit.h. */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"
#include "cpu/smp.h"
#include <stdlib.h>

#define CODE_BYTES (96 * MIB)
#define CODE_BYTES_MIN (16 * MIB)
#define MAX_ADDRESSES 8 /* translations of one block for different linear addresses */

/* ---- flags between their two forms ----------------------------------------------------------- */

/* cpu->jit_flags: AH of LAHF in the high byte, OF in the low. */
static void flags_to_host(struct cpu *cpu)
{
    u32 e = flags_get(&cpu->flags);
    cpu->jit_flags = (u16)((e & 0xd5) << 8 | 0x200 | (e >> 11 & 1));
}

/* After a handler: mostly they are still what flags_from_host made of jit_flags. */
static void flags_back_to_host(struct cpu *cpu, const struct flags *before)
{
    if (cpu->flags.res != before->res || cpu->flags.aux != before->aux)
        flags_to_host(cpu);
}

static void flags_from_host(struct cpu *cpu)
{
    flags_set(&cpu->flags, cpu_jit_flags(cpu));
}

int jit_run_handler(struct cpu *cpu, struct jit_site *site)
{
    struct block *b = site->jb->block;
    cpu->block = b;
    cpu->gpr[REG_RIP] = site->jb->lin;
    cpu->jit_flags_out = site->flagless; /* jit_unwound takes them, if it faults */
    if (!site->flagless)
        flags_from_host(cpu);
    struct flags before = cpu->flags;
    if (site->x87)
        jit_x87_leave(cpu);
    bool go_on = site->in.fn(cpu, &site->in);
    if (go_on && unlikely(b->dead)) { /* the instruction wrote into its own block */
        exec_leave_next(cpu, &site->in);
        go_on = false;
    }
    if (!site->flagless)
        flags_back_to_host(cpu, &before);
    cpu->jit_flags_out = false;
    return go_on;
}

/* ---- entering -------------------------------------------------------------------------------- */

typedef const struct insn *(*enter_fn)(struct cpu *cpu, const void *code);

static struct jit_block *find(const struct block *b, gva_t lin)
{
    for (struct jit_block *jb = b->jit; jb; jb = jb->other)
        if (jb->lin == lin)
            return jb;
    return NULL;
}

u32 jit_guard_value(struct cpu *cpu, const struct jit_block *jb)
{
    switch (jit_guard_of(jb)) {
    case GUARD_GLOBAL: return (u32)cpu->tlb.epoch_global;
    case GUARD_PAGE: return tlb_note_code(&cpu->tlb, jb->lin, jb->block->gpa);
    default: return (u32)cpu->tlb.epoch;
    }
}

/* Can indirect jumps find it? They look at one guard only. */
static bool is_listed(const struct jit_block *jb)
{
    return jit_guard_of(jb) == (jb->block->key & KEY_CPL3 ? GUARD_PAGE : GUARD_GLOBAL);
}

/* Lets computed jumps find it. by_jump: one has just gone there, so they are counted. */
static void list(struct cpu *cpu, struct jit_block *jb, bool by_jump)
{
    struct jit *j = cpu->jit;
    if (!is_listed(jb))
        return;
    if (jb->head.trace)
        jit_trace_renew(cpu, jb->head.trace);
    if (by_jump && !jb->counter && !jb->head.heat)
        jit_emit_counter(j, jb);
    jb->listed = rx_of(j, jit_entrance(jb));
    j->targets[jit_target_slot(jb->lin)] =
        (struct jit_target){.lin = jb->lin,
                            .guard = jit_guard_value(cpu, jb),
                            .key = jb->block->key,
                            .entry = jb->listed,
                            .code_at = tlb_code_slot(jb->lin) * sizeof(u32)};
}

static void link_from(struct cpu *cpu, struct jit_block *to);
static struct jit_block *translate_at(struct cpu *cpu, struct block *b, gva_t lin);

/*
 * The block's translation for where it runs now; made if there is none, and linked to where the
 * interpreter came from. NULL: there is no room for it. Nothing is evicted in between.
 */
static struct jit_block *prepare(struct cpu *cpu, struct block *b)
{
    gva_t lin = cpu->gpr[REG_RIP];
    jit_make_room(cpu->jit);
    struct jit_block *jb = find(b, lin);
    cpu->jit->translating = true;
    if (!jb)
        jb = translate_at(cpu, b, lin);
    if (jb && cpu->from_block)
        link_from(cpu, jb);
    cpu->jit->translating = false;
    return jb;
}

/* Counts a stay in translated code that ends; `beyond`: instructions done that the CPU's count does
 * not have yet. */
static void count_stay(struct cpu *cpu, unsigned beyond)
{
    struct jit *j = cpu->jit;
    j->stats.executed += cpu_icount(cpu) - j->since + beyond;
    j->running = false;
}

static void count_exit(struct cpu *cpu, const struct insn *next)
{
    struct jit_stats *st = &cpu->jit->stats;
    count_stay(cpu, next ? next->idx : 0);
    if (!next)
        st->left_wanted++;
    else if (next->row == 0 || insn_row(next)->cls == CTRL) /* the closing record has no row */
        st->left_jump++;
    else
        st->left_record++;
}

void jit_unwound(struct cpu *cpu)
{
    struct jit *j = cpu->jit;
    if (!j || !j->running)
        return;
    count_stay(cpu, 0);
    j->stats.left_exception++;
    if (cpu->jit_flags_out)
        flags_from_host(cpu);
    cpu->jit_flags_out = false;
}

/* First record of a translated block. */
static const struct insn *op_enter_jit(struct cpu *cpu, const struct insn *in)
{
    struct jit *j = cpu->jit;
    struct block *b = cpu->block;
    struct jit_block *jb = find(b, cpu->gpr[REG_RIP]);
    const struct block *from = cpu->from_block;
    if (unlikely(!jb || from)) {
        jb = prepare(cpu, b);
        if (!jb)
            return b->first_fn(cpu, in);
    }
    if (unlikely(j->recording.link) && jit_record(cpu, jb, from, cpu->from_side))
        return b->first_fn(cpu, in);
    list(cpu, jb, !from);
    j->stats.entries++;
    j->since = cpu_icount(cpu);
    j->running = true;
    flags_to_host(cpu);
    const struct insn *next =
        ((enter_fn)(uintptr_t)rx_of(j, j->stub_enter))(cpu, rx_of(j, jb->entry));
    flags_from_host(cpu);
    jit_x87_leave(cpu);
    if (unlikely(cpu->jit_missed))
        jit_trace_missed(cpu);
    count_exit(cpu, next);
    if (!next)
        return NULL;
    if (next == cpu->block->insn) { /* its fn leads back here */
        jb = find(cpu->block, cpu->gpr[REG_RIP]);
        if (jb && jb->counter && !jb->head.heat)
            jit_record_head(cpu, jb);
        return cpu->block->first_fn(cpu, next);
    }
#if EXEC_TAIL_CALLS
    return next->fn(cpu, next);
#else
    return next;
#endif
}

/* ---- going on after what ends a block -------------------------------------------------------- */

/* Is there anything for the run loop to look at? */
static bool run_loop_wanted(const struct cpu *cpu)
{
    return cpu->left <= 0 || __atomic_load_n(&cpu->kick, __ATOMIC_RELAXED) || cpu_pending(cpu) ||
           cpu->dr6_pending || cpu->shadow || cpu->halted || cpu->debug_active;
}

/* The code for where the CPU is now, in the executable view; NULL: the interpreter's turn. */
static const void *code_here(struct cpu *cpu)
{
    struct jit *j = cpu->jit;
    gva_t lin = (cpu->seg[SEG_CS].base + cpu->rip) & cpu->amask;
    const struct jit_target *target = &j->targets[jit_target_slot(lin)];
    u32 guard =
        cpu->key & KEY_CPL3 ? cpu->tlb.code[tlb_code_slot(lin)] : (u32)cpu->tlb.epoch_global;
    if (likely(target->lin == lin && target->key == cpu->key && target->guard == guard))
        return target->entry;
    const struct block *b = block_find(cpu, lin);
    struct jit_block *jb = b->dead ? NULL : find(b, lin);
    if (!jb)
        return NULL;
    list(cpu, jb, false);
    return rx_of(j, jb->entry);
}

const void *jit_run_system(struct cpu *cpu, struct jit_site *site)
{
    cpu->block = site->jb->block;
    cpu->from_block = NULL;
    cpu->gpr[REG_RIP] = site->jb->lin;
    flags_from_host(cpu);
    if (site->x87)
        jit_x87_leave(cpu);
    jit_x87_settle(cpu);
    struct flags before = cpu->flags;
    if (site->in.fn(cpu, &site->in)) /* it let the next instruction follow */
        exec_leave_next(cpu, &site->in);
    const void *code = run_loop_wanted(cpu) ? NULL : code_here(cpu);
    flags_back_to_host(cpu, &before);
    return code;
}

const void *jit_go(struct cpu *cpu)
{
    cpu->from_block = NULL;
    flags_from_host(cpu); /* the fetch may fault */
    return code_here(cpu);
}

/* ---- linking --------------------------------------------------------------------------------- */

/* The interpreter just ran the jump that ends `from_block` and arrived at `to`. */
static void link_from(struct cpu *cpu, struct jit_block *to)
{
    struct jit *j = cpu->jit;
    unsigned side = cpu->from_side;
    struct block *fb = cpu->from_block;
    struct jit_block *from = fb->dead ? NULL : find(fb, cpu->from_lin);
    cpu->from_block = NULL;
    if (!from || from->dead || !from->site[side])
        return;
    bool same_page =
        ((from->lin ^ to->lin) & PAGE_MASK) == 0 && to->block->gpa2 == ~0ull && fb->gpa2 == ~0ull;
    if (from->link[side].to == to) { /* its guard has passed, or it is hot */
        if (from->link[side].counted && !from->link[side].heat)
            jit_record_begin(j, &from->link[side]);
        if (from->link[side].trace)
            jit_trace_renew(cpu, from->link[side].trace);
        if (from->path_guard[side])
            st_le32(from->path_guard[side] - 4, -jit_guard_value(cpu, to));
        return;
    }
    jit_unlink(j, &from->link[side]);
    const u8 *path = j->next;
    u64 began_ns = jit_observed_since(j);
    if (!jit_emit_link(j, from, side, to, same_page))
        return;
    jit_link_add(j, from, side, to);
    from->link[side].bytes = (u32)(j->next - path);
    jit_verify(path, from->link[side].bytes);
    jit_observe(j, from, path, from->link[side].bytes, from == to ? "loop" : "link", began_ns);
}

bool jit_is_global(const struct cpu *cpu, const struct block *b, gva_t lin)
{
    const struct tlb *t = &cpu->tlb;
    gva_t next = (lin & PAGE_MASK) + PAGE_SIZE;
    return tlb_is_global(t, cpu->phys, &cpu->paging, lin, b->gpa) &&
           (b->gpa2 == ~0ull || tlb_is_global(t, cpu->phys, &cpu->paging, next, b->gpa2));
}

/* ---- making ---------------------------------------------------------------------------------- */

static bool translatable(u32 key)
{
    if (key & (KEY_SINGLE | KEY_REAL | KEY_CPL12) || KEY_TLB_MODE(key) == TLB_CHECKED)
        return false;
    u32 flat32 = KEY_CODE32 | KEY_SS32 | KEY_FLAT;
    return key & KEY_CODE64 || (key & flat32) == flat32;
}

static struct jit_block *translate_at(struct cpu *cpu, struct block *b, gva_t lin)
{
    struct jit *j = cpu->jit;
    unsigned n = 0;
    for (const struct jit_block *jb = b->jit; jb; jb = jb->other)
        n++;
    if (n >= MAX_ADDRESSES)
        return NULL;
    u64 t = host_cycles(), began_ns = jit_observed_since(j);
    struct jit_block *jb = jit_data(j, sizeof *jb);
    if (!jb)
        return NULL;
    jb->block = b;
    jb->lin = lin;
    jb->head = (struct jit_link){.from = jb, .to = jb, .side = SIDE_HEAD};
    jb->gpa = b->gpa;
    jb->cpl = b->key & KEY_CPL3 ? 3 : 0;
    jb->global = jit_is_global(cpu, b, lin);
    if (!b->jit)
        b->first_fn = b->insn[0].fn;
    if (!jit_emit_block(j, jb))
        return NULL;
    jb->bytes = (u32)(j->next - jb->entry);
    jit_verify(jb->entry, jb->bytes);
    jit_cache_add(j, jb);
    j->last = jb->entry;
    jb->other = b->jit;
    b->jit = jb;
    b->insn[0].fn = op_enter_jit;
    j->stats.blocks++;
    j->stats.insns += b->count;
    j->stats.guest_bytes += b->bytes;
    j->stats.cycles += host_cycles() - t;
    jit_observe(j, jb, jb->entry, jb->bytes, "block", began_ns);
    return jb;
}

void jit_translate(struct cpu *cpu, struct block *b)
{
    if (b->jit || b->dead || b->tapped_fn || !translatable(b->key) || !b->count)
        return;
    cpu->jit->translating = true;
    jit_make_room(cpu->jit);
    translate_at(cpu, b, cpu->gpr[REG_RIP]);
    cpu->jit->translating = false;
}

enum jit_activity jit_activity(const struct jit *j, const void *pc)
{
    u64 at = (u64)((uintptr_t)pc - (uintptr_t)j->code.rx);
    return at < j->code.bytes ? JIT_CODE
           : j->translating   ? JIT_TRANSLATES
           : j->running       ? JIT_CALLS
                              : JIT_RESTS;
}

void jit_kill(struct cpu *cpu, struct block *b)
{
    for (struct jit_block *jb = b->jit; jb; jb = jb->other) {
        jb->dead = true;
        jit_isolate(cpu->jit, jb);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

void jit_flush(struct jit *j)
{
    jit_cache_init(j);
    j->cpu->from_block = NULL;
    j->stats.flushes++;
}

bool jit_supported(struct err *e)
{
    struct host_code c;
    if (!host_code_map(&c, CODE_BYTES, e)) /* only mapped, not touched */
        return false;
    host_code_unmap(&c);
    return true;
}

static void start(struct jit *j)
{
    j->avx = j->cpu->gates & BIT64(GATE_AVX) && jit_host_has(GATE_AVX);
    j->bmi2 = __builtin_cpu_supports("bmi2") && !j->test.no_bmi2;
    j->next = j->code.rw;
    j->end = j->code.rw + j->code.bytes;
    jit_emit_stubs(j);
    j->first = (u8 *)(uintptr_t)align_up((u64)(uintptr_t)j->next, 64);
    jit_cache_init(j);
}

bool jit_set_test(struct jit *j, const struct jit_test *t, struct err *e)
{
    if (!jit_runs_model(j->cpu->model, t, e))
        return false;
    if (t->no_exec) {
        err_host(e, "this host gives no executable memory: -jit-test takes it away");
        return err_hint(e, "use -accel interp");
    }
    if (t->code_bytes && t->code_bytes != j->code.bytes) {
        host_code_unmap(&j->code);
        if (!host_code_map(&j->code, t->code_bytes, e))
            return false;
    }
    j->test = *t;
    j->cpu->tlb.never_hit = t->tlb_miss;
    j->cpu->tlb.keeps_page = t->no_invlpg;
    j->cpu->tlb.keeps_space = t->no_cr3_flush;
    j->cpu->jit_warm = (u8)(t->hot ? BLOCK_HOT - t->hot : 0);
    start(j);
    return true;
}

const u8 *jit_last_code(const struct jit *j, u64 *bytes)
{
    *bytes = (u64)(j->next - j->last);
    return rx_of(j, j->last);
}

/* The CPUs of a machine share what one would have, as long as it is enough for each. */
static u64 code_bytes(const struct cpu *cpu)
{
    u64 share = CODE_BYTES / (cpu->smp ? cpu->smp->count : 1);
    return align_up(share < CODE_BYTES_MIN ? CODE_BYTES_MIN : share, MIB);
}

static void visit_trace(const struct jit *j, const struct jit_link *l, struct jit_piece *p,
                        jit_visitor *visit, void *opaque)
{
    if (!l->trace)
        return;
    p->code = rx_of(j, l->trace->code);
    p->bytes = l->trace->bytes;
    p->what = "trace";
    visit(opaque, p);
}

static void visit_block(const struct jit *j, const struct jit_block *jb, jit_visitor *visit,
                        void *opaque)
{
    struct jit_piece p = {.code = rx_of(j, jb->entry),
                          .bytes = jb->bytes,
                          .lin = jb->lin,
                          .gpa = jb->gpa,
                          .cpl = jb->cpl,
                          .what = "block"};
    visit(opaque, &p);
    visit_trace(j, &jb->head, &p, visit, opaque);
    for (unsigned side = 0; side < 2; side++) {
        const struct jit_link *l = &jb->link[side];
        if (!l->to)
            continue;
        p.code = rx_of(j, jb->path[side]);
        p.bytes = l->bytes;
        p.what = l->to == jb ? "loop" : "link";
        visit(opaque, &p);
        visit_trace(j, l, &p, visit, opaque);
    }
}

void jit_visit(const struct jit *j, jit_visitor *visit, void *opaque)
{
    struct jit_piece stubs = {
        .code = j->code.rx, .bytes = (u64)(j->first - j->code.rw), .what = "stubs"};
    visit(opaque, &stubs);
    for (unsigned i = 0; i < j->chunks; i++)
        for (const struct jit_block *jb = j->chunk_list[i].blocks; jb; jb = jb->chunk_next)
            visit_block(j, jb, visit, opaque);
}

struct jit *jit_create(struct cpu *cpu, struct err *e)
{
    if (!jit_runs_model(cpu->model, NULL, e))
        return NULL;
    struct jit *j = calloc(1, sizeof *j);
    if (!j) {
        err_host(e, "out of memory for the translator");
        return NULL;
    }
    j->cpu = cpu;
    j->rows = calloc(insn_row_count, sizeof *j->rows);
    if (!j->rows || !host_code_map(&j->code, code_bytes(cpu), e)) {
        jit_destroy(j);
        return NULL;
    }
    jit_rows_init(j);
    j->fcomi_keeps_c1 = jit_host_fcomi_keeps_c1();
    cpu->jit = j;
    cpu->jit_targets = j->targets;
    start(j);
    return j;
}

void jit_destroy(struct jit *j)
{
    if (!j)
        return;
    if (j->cpu)
        j->cpu->jit = NULL;
    host_code_unmap(&j->code);
    free(j->rows);
    free(j);
}

const struct jit_stats *jit_stats(const struct jit *j)
{
    return &j->stats;
}
