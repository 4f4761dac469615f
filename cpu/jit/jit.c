/* jit.c: life of translations: making, entering, linking, killing. See jit.h. */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"
#include <stdlib.h>

#define CODE_BYTES (64 * MIB)
#define DATA_BYTES (64 * MIB)
#define MAX_ADDRESSES 8 /* translations of one block for different linear addresses */

/* ---- flags between their two forms ----------------------------------------------------------- */

/* cpu->jit_flags: AH of LAHF in the high byte, OF in the low. */
static void flags_to_host(struct cpu *cpu)
{
    u32 e = flags_get(&cpu->flags);
    cpu->jit_flags = (u16)((e & 0xd5) << 8 | 0x200 | (e >> 11 & 1));
}

static void flags_from_host(struct cpu *cpu)
{
    flags_set(&cpu->flags, (u32)(cpu->jit_flags >> 8 & 0xd5) | (u32)(cpu->jit_flags & 1) << 11);
}

int jit_run_handler(struct cpu *cpu, struct jit_site *site)
{
    struct block *b = site->jb->block;
    cpu->block = b;
    cpu->gpr[REG_RIP] = site->jb->lin;
    flags_from_host(cpu);
    bool go_on = site->in.fn(cpu, &site->in);
    if (go_on && unlikely(b->dead)) { /* the instruction wrote into its own block */
        exec_leave_next(cpu, &site->in);
        go_on = false;
    }
    flags_to_host(cpu);
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

static struct jit_head *head_of(const struct jit_block *jb)
{
    return (struct jit_head *)(void *)(jb->entry - sizeof(struct jit_head));
}

static u64 current_epoch(const struct cpu *cpu, const struct jit_block *jb)
{
    return jit_uses_global_epoch(jb) ? cpu->tlb.epoch_global : cpu->tlb.epoch;
}

/* Only when it has to be: the head shares its cache line with code that is about to run, and the
 * host takes every store there for self-modification. */
static void refresh_head(const struct cpu *cpu, struct jit_block *jb)
{
    struct jit_head *h = head_of(jb);
    u64 epoch = current_epoch(cpu, jb);
    if (h->epoch != epoch)
        h->epoch = epoch;
}

/* As emit_indirect computes it. */
static unsigned target_slot(gva_t lin)
{
    return (unsigned)(lin + (lin >> 16)) & (TARGETS - 1);
}

static void link_from(struct cpu *cpu, struct jit_block *to);
static struct jit_block *translate_at(struct cpu *cpu, struct block *b, gva_t lin);

/* First record of a translated block. */
static const struct insn *op_enter_jit(struct cpu *cpu, const struct insn *in)
{
    struct jit *j = cpu->jit;
    struct block *b = cpu->block;
    struct jit_block *jb = find(b, cpu->gpr[REG_RIP]);
    if (unlikely(!jb)) {
        jb = translate_at(cpu, b, cpu->gpr[REG_RIP]);
        if (!jb)
            return b->first_fn(cpu, in);
    }
    refresh_head(cpu, jb);
    j->targets[target_slot(jb->lin)] = rx_of(j, jb->entry);
    if (cpu->from_block)
        link_from(cpu, jb);
    flags_to_host(cpu);
    const struct insn *next =
        ((enter_fn)(uintptr_t)rx_of(j, j->stub_enter))(cpu, rx_of(j, jb->entry));
    flags_from_host(cpu);
    if (!next)
        return NULL;
    if (next == cpu->block->insn) /* its fn leads back here */
        return cpu->block->first_fn(cpu, next);
#if EXEC_TAIL_CALLS
    return next->fn(cpu, next);
#else
    return next;
#endif
}

/* ---- linking --------------------------------------------------------------------------------- */

static void unlink_side(struct jit *j, struct jit_block *from, unsigned side)
{
    struct jit_block *to = from->to[side];
    if (!to)
        return;
    x_patch(from->site[side], from->unlinked[side]);
    from->to[side] = NULL;
    j->stats.unlinks++;
    /* out of the target's list */
    struct jit_block **p = &to->in;
    u8 *s = &to->in_side;
    while (*p && !(*p == from && *s == side)) {
        struct jit_block *q = *p;
        unsigned qs = *s;
        p = &q->in_next[qs];
        s = &q->in_next_side[qs];
    }
    if (*p) {
        *p = from->in_next[side];
        *s = from->in_next_side[side];
    }
}

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
    if (from->to[side] == to) { /* its epoch has passed */
        if (from->path_epoch[side])
            st_le32(from->path_epoch[side] - 4, (u32)-current_epoch(cpu, to));
        return;
    }
    unlink_side(j, from, side);
    if (!jit_emit_link(j, from, side, to, same_page))
        return;
    from->to[side] = to;
    from->in_next[side] = to->in;
    from->in_next_side[side] = to->in_side;
    to->in = from;
    to->in_side = (u8)side;
    j->stats.links++;
}

/* ---- making ---------------------------------------------------------------------------------- */

void *jit_data(struct jit *j, u64 bytes)
{
    bytes = align_up(bytes, 16);
    if (j->data_used + bytes > DATA_BYTES)
        return NULL;
    void *p = j->data + j->data_used;
    j->data_used += bytes;
    memset(p, 0, bytes);
    return p;
}

static bool translatable(u32 key)
{
    if (key & (KEY_SINGLE | KEY_REAL) || KEY_TLB_MODE(key) == TLB_CHECKED)
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
    u64 t = host_cycles();
    struct jit_block *jb = jit_data(j, sizeof *jb);
    if (jb) {
        jb->block = b;
        jb->lin = lin;
        jb->global = tlb_is_global(&cpu->tlb, cpu->phys, &cpu->paging, lin);
    }
    if (!jb || !jit_emit_block(j, jb)) {
        cpu->jit_full = true; /* flushed by the run loop, where no translated code is running */
        return NULL;
    }
    j->last = jb->entry;
    /* Indirect jumps of the kernel look at the global epoch only. */
    bool listed = b->key & KEY_CPL3 || jb->global;
    *head_of(jb) = (struct jit_head){listed ? -(lin + b->key) : NO_LIN, current_epoch(cpu, jb)};
    jb->other = b->jit;
    b->jit = jb;
    j->stats.blocks++;
    j->stats.insns += b->count;
    j->stats.guest_bytes += b->bytes;
    j->stats.cycles += host_cycles() - t;
    return jb;
}

bool jit_translate(struct cpu *cpu, struct block *b)
{
    if (b->jit || !translatable(b->key) || !b->count)
        return false;
    b->first_fn = b->insn[0].fn;
    if (!translate_at(cpu, b, cpu->gpr[REG_RIP]))
        return false;
    b->insn[0].fn = op_enter_jit;
    return true;
}

void jit_kill(struct cpu *cpu, struct block *b)
{
    struct jit *j = cpu->jit;
    for (struct jit_block *jb = b->jit; jb; jb = jb->other) {
        jb->dead = true;
        head_of(jb)->neg_lin = NO_LIN;
        while (jb->in)
            unlink_side(j, jb->in, jb->in_side);
        unlink_side(j, jb, 0);
        unlink_side(j, jb, 1);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

/* What empty slots of the table of targets point to: a head that matches nothing. */
static u8 *emit_no_target(struct jit *j)
{
    j->next = (u8 *)(uintptr_t)align_up((u64)(uintptr_t)j->next, 16);
    *(struct jit_head *)(void *)j->next = (struct jit_head){NO_LIN, 0};
    j->next += sizeof(struct jit_head);
    return j->next;
}

void jit_flush(struct jit *j)
{
    j->next = j->last = j->first;
    j->data_used = 0;
    j->stats.flushes++;
    u8 *none = emit_no_target(j);
    for (unsigned i = 0; i < TARGETS; i++)
        j->targets[i] = rx_of(j, none);
    j->cpu->from_block = NULL;
    j->cpu->jit_full = false;
}

bool jit_supported(struct err *e)
{
    if (__builtin_cpu_supports("bmi2"))
        return true;
    err_host(e, "the translator needs a host with BMI2");
    return err_hint(e, "use -accel interp");
}

static void start(struct jit *j)
{
    j->next = j->code.rw;
    jit_emit_stubs(j);
    j->first = j->last = j->next;
    jit_flush(j);
    j->stats = (struct jit_stats){0};
}

bool jit_set_test(struct jit *j, const struct jit_test *t, struct err *e)
{
    if (t->code_bytes && t->code_bytes != j->code.bytes) {
        host_code_unmap(&j->code);
        if (!host_code_map(&j->code, t->code_bytes, e))
            return false;
        start(j);
    }
    j->test = *t;
    j->cpu->tlb.never_hit = t->tlb_miss;
    j->cpu->jit_warm = (u8)(t->hot ? BLOCK_HOT - t->hot : 0);
    return true;
}

const u8 *jit_last_code(const struct jit *j, u64 *bytes)
{
    *bytes = (u64)(j->next - j->last);
    return rx_of(j, j->last);
}

struct jit *jit_create(struct cpu *cpu, struct err *e)
{
    struct jit *j = calloc(1, sizeof *j);
    if (!j) {
        err_host(e, "out of memory for the translator");
        return NULL;
    }
    j->cpu = cpu;
    j->rows = calloc(insn_row_count, sizeof *j->rows);
    j->data = host_map(DATA_BYTES, e);
    if (!j->rows || !j->data || !host_code_map(&j->code, CODE_BYTES, e)) {
        jit_destroy(j);
        return NULL;
    }
    jit_rows_init(j);
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
    if (j->data)
        host_unmap(j->data, DATA_BYTES);
    free(j->rows);
    free(j);
}

const struct jit_stats *jit_stats(const struct jit *j)
{
    return &j->stats;
}
