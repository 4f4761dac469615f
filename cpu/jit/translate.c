/*
 * translate.c: records to host code, block by block.
 *
 * Straight-line code, then what is rarely run ("cold"): handlers of accesses that missed, and
 * exits. access.c has memory operands, reencode.c and templates.c the instructions, ends.c and
 * link.c the jumps.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

extern const struct insn_ops ops_sti;

/* RCX and flags as they were before the check that missed. */
static void emit_cold_state(struct tr *t, const struct cold *c)
{
    if (c->quick)
        jit_emit_flags(t, &c->flags);
    else
        x_load(&t->a, 1, H_RCX, H_RBP, STATE(jit_rcx));
}

/* A check that several PUSHes or POPs share missed: mostly they lie in two pages. */
static void emit_cold_run(struct tr *t, const struct cold *c)
{
    x_patch(c->from, t->a.p);
    jit_emit_refill(t, c);
    emit_cold_state(t, c);
    jit_emit_notes(t, &c->notes);
    for (unsigned i = c->idx; i < c->idx + c->run; i++)
        jit_emit_handler_call(t, jit_new_site(t, &t->b->insn[i], i));
    if (c->vec_live)
        jit_emit_vec_enter(t, c->idx + c->run);
    x_jmp(&t->a, c->back);
}

void jit_emit_colds(struct tr *t)
{
    struct asmbuf *a = &t->a;
    u8 *exits[BLOCK_MAX_INSNS + 2] = {0};
    for (unsigned n = 0; n < t->colds && !a->full; n++) {
        const struct cold *c = &t->cold[n];
        t->probed = c->idx + 1;
        if (c->site) {
            x_patch(c->from, a->p);
            jit_emit_refill(t, c);
            emit_cold_state(t, c);
            jit_emit_notes(t, &c->notes);
            jit_emit_handler_call(t, c->site);
            if (c->vec_live)
                jit_emit_vec_enter(t, c->idx + !c->keep);
            if (c->x87_live && c->site->x87)
                jit_emit_x87_enter(t, c->idx + !c->keep);
            if (c->keep)
                x_load(a, 1, H_R14, H_RBP, jit_kept_slot(c->keep));
            x_jmp(a, c->back);
            continue;
        }
        if (c->run) {
            emit_cold_run(t, c);
            continue;
        }
        bool is_site = c->from == t->jb->site[0] || c->from == t->jb->site[1];
        if (!is_site) { /* a check of the last instruction missed: rcx is saved */
            x_patch(c->from, a->p);
            jit_emit_refill(t, c);
            emit_cold_state(t, c);
            if (c->undo) {
                x_load(a, 1, H_R14, H_RBP, STATE(left));
                x_lea(a, 1, H_R14, H_R14, (s32)c->undo);
                x_store(a, 1, H_R14, H_RBP, STATE(left));
            }
            jit_emit_exit_record(t, c->idx);
            continue;
        }
        if (!exits[c->idx]) {
            exits[c->idx] = a->p;
            jit_emit_exit_record(t, c->idx);
        }
        if (a->full)
            return;
        unsigned side = c->from == t->jb->site[1];
        t->jb->unlinked[side] = exits[c->idx];
        jit_set_site(t->jb, side, exits[c->idx]);
    }
}

/* Was the instruction bound to the variant that leaves flags alone because nobody reads them? */
static bool flags_are_dead(const struct tr *t, const struct insn *in)
{
    const struct insn_ops *ops = insn_row(in)->ops;
    insn_fn fn = jit_bound_fn(t->b, in);
    for (unsigned k = 0; ops && k < 4; k++)
        if ((fn == ops->rn[k] && fn != ops->r[k]) || (fn == ops->mn[k] && fn != ops->m[k]))
            return true;
    return false;
}

/* Test mode: garbage in the flags that the instruction would have set and that are taken for dead.
 */
static void emit_poison(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    u32 kills = insn_row(in)->fl_write | insn_row(in)->fl_undef;
    u64 garbage = (t->jb->lin + in->off) * 0x9e3779b97f4a7c15ull;
    if (!t->j->test.flags_poison || !flags_are_dead(t, in))
        return;
    x_mov_imm(a, H_R14, garbage >> 56);
    if (kills == F_ALL) { /* add r14b, imm */
        put8(a, 0x41);
        put8(a, 0x80);
        put8(a, 0xc6);
        put8(a, garbage >> 48 & 0xff);
    } else if (kills == F_OSZAP) { /* inc r14b: CF stays */
        put8(a, 0x41);
        put8(a, 0xfe);
        put8(a, 0xc6);
    }
}

static bool ends_by_itself(const struct block *b)
{
    const struct insn_row *r = insn_row(&b->insn[b->count - 1]);
    return r->cls == CTRL || r->cls == SYSTEM || b->insn[b->count - 1].row == ROW_INVALID;
}

/*T:520 One instruction translated
 *
 * A hot block becomes code of the host. Guest and host speak the same language, so most
 * instructions are not translated but re-encoded: other registers, another memory operand, the
 * flags left where they are. What has no template calls the interpreter's handler, and therefore
 * the translator is complete from its first day on.
 */
void jit_emit_insn(struct tr *t, const struct insn *in, unsigned i)
{
    unsigned colds = t->colds;
    t->at = i;
    jit_emit_probes(t, i);
    jit_flags_before(t, in);
    jit_notes_before(t, in);
    bool inlined = !jit_is_watched(t, in) && jit_emit_template(t, in, i);
    if (inlined) {
        t->j->stats.templates++;
    } else {
        jit_want_flags(t);
        jit_flush_notes(t);
        struct jit_site *s = jit_new_site(t, in, i);
        jit_emit_handler_call(t, s);
        t->vec_live = false;
        t->x87_live &= !t->j->rows[in->row].x87_use;
        t->j->stats.helpers++;
    }
    jit_flags_after(t, in, inlined);
    for (; colds < t->colds; colds++)
        if (!t->cold[colds].back)
            t->cold[colds].back = t->a.p;
    emit_poison(t, in);
}

static void emit_body(struct tr *t)
{
    struct block *b = t->b;
    bool closed = ends_by_itself(b);
    unsigned n = closed ? b->count - 1u : b->count;
    jit_emit_vec_begin(t, n);
    jit_emit_x87_begin(t, n);
    for (unsigned i = 0; i < n && !t->a.full; i++) {
        const struct insn *in = &b->insn[i];
        jit_place_insn(t, i);
        if (insn_row(in)->ops == &ops_sti && i + 1 == b->count) {
            jit_want_flags(t);
            jit_flush_notes(t);
            jit_emit_exit_record(t, i); /* its shadow reaches into the next block */
            return;
        }
        unsigned run = b->probes ? 0 : jit_stack_run(t, i, n);
        if (run) {
            jit_emit_stack_run(t, i, run);
            while (--run)
                jit_place_insn(t, ++i);
        } else {
            jit_emit_insn(t, in, i);
        }
    }
    jit_want_flags(t);
    t->jb->notes = t->notes;
    jit_flush_notes(t);
    if (closed)
        jit_emit_probes(t, n);
    t->jb->end = t->a.p;
    if (closed)
        jit_place_insn(t, n);
    t->jb->flags = t->flags;
    if (closed)
        jit_emit_end(t);
    else
        jit_emit_fall_through(t);
}

void jit_set_sequence(struct tr *t, const struct insn **seq)
{
    for (unsigned i = 0; i < t->b->count; i++)
        seq[i] = &t->b->insn[i];
    t->seq = seq;
    t->seq_count = t->b->count;
}

bool jit_emit_block(struct jit *j, struct jit_block *jb)
{
    const struct insn *seq[BLOCK_MAX_INSNS];
    struct tr t = {.j = j, .jb = jb, .b = jb->block};
    jit_set_sequence(&t, seq);
    t.is64 = t.b->key & KEY_CODE64;
    t.key = t.b->key;
    t.mode = KEY_TLB_MODE(t.key);
    u8 *start = (u8 *)(uintptr_t)align_up((u64)(uintptr_t)j->next, 16);
    t.a = jit_asmbuf(j, start);
    if (start >= t.a.end)
        return false;
    jb->entry = start;
    jit_piece_begin(j, start);
    emit_body(&t);
    jit_piece_turns_cold(&t);
    jit_emit_colds(&t);
    if (t.a.full)
        return false;
    jb->end_key = t.key;
    jb->vec_live = t.vec_live;
    jb->x87_live = t.x87_live;
    j->stats.host_bytes += (u64)(t.a.p - start);
    j->next = t.a.p;
    return true;
}
