/*
 * observe.c: blocks that somebody looks at (cpu/observe.h): what is emitted in front of their
 * instructions, and how they are left in between. They get no traces and no loops of their own
 * (link.c), whose accesses are checked together and whose instructions have no place of their own.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"
#include "cpu/observe.h"

u64 jit_observed_since(const struct jit *j)
{
    const struct cpu_observer *o = j->cpu->observer;
    return unlikely(o != NULL) && o->translated ? host_now_ns() : 0;
}

void jit_observe(const struct jit *j, const struct jit_block *jb, const u8 *code, u64 bytes,
                 const char *what, u64 began_ns)
{
    const struct cpu_observer *o = j->cpu->observer;
    if (likely(!o) || !o->translated)
        return;
    struct jit_piece p = {.code = rx_of(j, code),
                          .bytes = bytes,
                          .lin = jb->lin,
                          .gpa = jb->gpa,
                          .cpl = jb->cpl,
                          .what = what};
    if (code == j->piece) {
        p.place = j->place;
        p.places = j->places;
        p.cold_at = j->cold_at;
    }
    o->translated(j->cpu->vm, j->cpu, &p, began_ns);
}

void jit_piece_begin(struct jit *j, u8 *code)
{
    j->piece = code;
    j->places = 0;
}

void jit_place_insn(const struct tr *t, unsigned i)
{
    struct jit *j = t->j;
    BUG_ON(j->places == ARRAY_SIZE(j->place));
    j->place[j->places++] = (struct jit_place){t->b, t->jb->lin, i, (u32)(t->a.p - j->piece)};
}

void jit_piece_turns_cold(const struct tr *t)
{
    t->j->cold_at = (u32)(t->a.p - t->j->piece);
}

/* Runs the probes alone. */
static const struct insn *op_probes(struct cpu *cpu, const struct insn *in)
{
    probe_run(cpu, in);
    return in + 1;
}

/* [count] += add. Flags stay; clobbers r14, r15. */
static void emit_add(struct asmbuf *a, const struct probe_action *p)
{
    x_mov_imm(a, H_R14, (u64)(uintptr_t)p->count);
    x_load(a, 1, H_R15, H_R14, 0);
    x_lea(a, 1, H_R15, H_R15, p->add);
    x_store(a, 1, H_R15, H_R14, 0);
}

/* It may look at all registers, and change general ones. */
static void emit_calls(struct tr *t, unsigned i)
{
    jit_want_flags(t);
    jit_flush_notes(t);
    struct jit_site *s = jit_new_site(t, &t->b->insn[i], i);
    if (!s)
        return;
    s->in.fn = op_probes;
    s->x87 = true;
    s->flagless = false;
    jit_emit_handler_call(t, s);
    t->vec_live = t->x87_live = false;
    t->flags.kind = SRC_NONE;
}

void jit_emit_probes(struct tr *t, unsigned i)
{
    const struct probes *ps = t->b->probes;
    if (likely(!ps || !ps->of[i].count))
        return;
    const struct probe *p = &ps->of[i];
    bool calls = false;
    for (unsigned k = p->first; k < p->first + p->count; k++)
        calls |= ps->action[k].call != NULL;
    for (unsigned k = p->first; k < p->first + p->count && !calls; k++)
        emit_add(&t->a, &ps->action[k]);
    if (calls)
        emit_calls(t, i);
    t->probed = i + 1;
}

bool jit_is_watched(const struct tr *t, const struct insn *in)
{
    const struct cpu_observer *o = t->j->cpu->observer;
    if (likely(!t->b->probes) || !o || !o->access)
        return false;
    return insn_row(in)->cls == CTRL ? in->mem || insn_row(in)->ops->stack
                                     : block_touches_memory(in);
}

/* A copy of record i that is followed by the block's own record i + 1. */
static const struct insn *without_probes(struct tr *t, unsigned i)
{
    struct insn *copy = jit_data(t->j, 2 * sizeof *copy);
    if (!copy) {
        t->a.full = true;
        return &t->b->insn[i];
    }
    t->a.end = t->j->end;
    copy[0] = copy[1] = t->b->insn[i];
    copy[0].fn = jit_bound_fn(t->b, &t->b->insn[i]);
    copy[1].fn = probe_go_on;
    return copy;
}

void jit_emit_resume_at(struct tr *t, unsigned i)
{
    const struct probes *ps = t->b->probes;
    bool ran = unlikely(ps != NULL) && t->probed == i + 1 && i < t->b->count && ps->of[i].count;
    x_mov_imm(&t->a, H_R14, (u64)(uintptr_t)(ran ? without_probes(t, i) : &t->b->insn[i]));
    x_mov_imm(&t->a, H_R15, (u64)(uintptr_t)t->jb);
}
