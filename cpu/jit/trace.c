/*
 * trace.c: hot ways through several blocks, emitted once more as one piece of code.
 *
 * The code of the blocks that were recorded (record.c) is emitted in a row: the slice is checked
 * once, the jumps between them are gone, and the flags are known from their source all the way, so
 * that access checks are the quick ones.
 * Jumps that go elsewhere than recorded leave to the block's own jump; they are counted from then
 * on, and may begin a trace of their own. Which accesses share a check, streams.c says.
 *
 * A trace never calls a handler: an access that misses gives the instructions back that it took
 * from the slice and leaves to the interpreter in the middle of the block. So nothing can change
 * blocks, mappings or requests while it runs. It begins at a link's path (link.c), which is what
 * goes on when the slice is over. It goes when one of its blocks does, and is not entered when one
 * of its pages may be another.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

#define MISSES_MAX                                                                                 \
    1024u /* before a trace is given up, when there is one in so many instructions: */
#define INSNS_PER_MISS 2000u
#define MISSES_GROUPED 64u /* before it is made again without groups of accesses */

/* ---- what belongs into a trace --------------------------------------------------------------- */

static bool insn_fits(const struct jit *j, const struct insn *in)
{
    const struct row_traits *tr = &j->rows[in->row];
    enum insn_template own = row_template(insn_row(in));
    return tr->template_ok || tr->bmi || (own >= T_LEA && own <= T_DIV) ||
           (tr->vec_ok && tr->vec_xmm && !tr->vec_mmx && !tr->vec_guards);
}

bool jit_block_fits_trace(const struct jit *j, const struct jit_block *jb)
{
    for (unsigned i = 0; i + 1u < jb->block->count; i++)
        if (!insn_fits(j, &jb->block->insn[i]))
            return false;
    return true;
}

/* ---- emission -------------------------------------------------------------------------------- */

/* A jump that leaves the trace; the flags are there. */
struct side_exit {
    u8 *from;
    unsigned step;
    struct flag_source flags;
};

struct plan {
    struct jit_link *link;
    const struct jit_recording *way;
    unsigned count; /* steps */
    bool loop;      /* the last one comes back to the first */
    bool saved;     /* at the top, the flags are saved ones */
};

/* Instructions of the block that the link belongs to, which it has not counted yet. */
static unsigned counted_before(const struct plan *p)
{
    return jit_is_head(p->link) ? 0 : p->link->from->block->count;
}

struct emission {
    struct tr t;
    struct jit_streams streams;
    const struct plan *plan;
    const struct insn *seq[TRACE_INSNS];
    unsigned total, done[TRACE_BLOCKS]; /* instructions: of all, before each step */
    struct side_exit exit[TRACE_BLOCKS];
    unsigned exits, step;
    struct flag_source at_top;
};

#define STEP_TOP 0xff  /* in front of the first */
#define STEP_CALL 0xfe /* in front of that: a CALL that the trace begins with */

enum outcome { MADE, NEEDS_SAVED, FAILED };

static bool is_closed(const struct block *b)
{
    return insn_row(&b->insn[b->count - 1])->cls == CTRL;
}

static void prepare(struct emission *e)
{
    const struct plan *p = e->plan;
    struct tr *t = &e->t;
    unsigned n = 0;
    for (unsigned s = 0; s < p->count; s++) {
        const struct block *b = p->way->block[s]->block;
        e->done[s] = n;
        for (unsigned i = 0; i < b->count; i++) {
            t->vec_live |= t->j->rows[b->insn[i].row].vec_xmm;
            e->seq[n++] = &b->insn[i];
        }
    }
    e->total = n;
    t->seq = e->seq;
    t->seq_count = n;
    jit_streams_find(&e->streams, t->j, p->way->block, p->count, p->loop,
                     jit_source_regs(&p->link->from->flags));
    t->streams = &e->streams;
}

static void set_step(struct emission *e, unsigned s)
{
    e->step = s;
    e->t.jb = e->plan->way->block[s];
    e->t.b = e->t.jb->block;
}

static void mark_colds(struct emission *e, unsigned from)
{
    for (; from < e->t.colds; from++)
        e->t.cold[from].step = (u8)e->step;
}

static bool emit_insn(struct emission *e, unsigned i)
{
    struct tr *t = &e->t;
    const struct insn *in = &t->b->insn[i];
    unsigned colds = t->colds;
    t->at = e->done[e->step] + i;
    if (!insn_fits(t->j, in) || colds + 4 > ARRAY_SIZE(t->cold))
        return false;
    jit_place_insn(t, i);
    jit_flags_before(t, in);
    if (!jit_emit_template(t, in, i))
        return false;
    jit_flags_after(t, in, true);
    mark_colds(e, colds);
    t->j->stats.templates++;
    return true;
}

static unsigned last_of(const struct tr *t)
{
    return t->b->count - 1u;
}

static void emit_push_return(struct tr *t)
{
    struct asmbuf *a = &t->a;
    const struct insn *in = &t->b->insn[last_of(t)];
    unsigned size = stack_slot_size(t), w = t->is64;
    u64 ret = t->jb->lin + in->off + in->len;
    jit_flags_spare(t, BIT(RSP));
    x_lea(a, w, H_R15, H_R12, -(s32)size);
    jit_emit_tlb_check(t, size, true, NULL, last_of(t));
    x_mov_imm(a, H_R14, w ? ret : (u32)ret);
    x_store(a, w, H_R14, H_R15, 0);
    x_lea(a, w, H_R12, H_R12, -(s32)size);
}

/* Leaves unless r15, the target of a computed jump, is what was recorded. */
static void emit_target_guard(struct tr *t, gva_t expected)
{
    struct asmbuf *a = &t->a;
    jit_flags_spare(t, 0);
    x_mov_imm(a, H_R14, expected);
    x_op_rr(a, 1, 0x39, H_R15, H_R14); /* cmp */
    u8 *other = x_jcc(a, 5, a->p);
    t->cold[t->colds++] =
        (struct cold){.from = other, .idx = last_of(t), .quick = true, .flags = t->flags};
    t->flags_spent = true;
}

/* What the last instruction of a step adds to RSP. */
static s32 stack_effect(const struct tr *t, const struct insn *in)
{
    s32 size = (s32)stack_slot_size(t);
    switch (row_template(insn_row(in))) {
    case T_CALL:
    case T_CALL_E: return -size;
    case T_RET: return size + (insn_row(in)->opnd[0] == OPND_Iw ? (u16)in->imm : 0);
    default: return 0;
    }
}

static bool emit_return(struct tr *t, const struct insn *in, gva_t expected)
{
    if (!jit_emit_target(t, in, last_of(t)))
        return false;
    emit_target_guard(t, expected);
    x_lea(&t->a, t->is64, H_R12, H_R12, stack_effect(t, in));
    return true;
}

/* The way from this step to the next block. */
static bool emit_step_end(struct emission *e, const struct jit_block *next)
{
    struct tr *t = &e->t;
    const struct insn *in = &t->b->insn[last_of(t)];
    unsigned side = e->plan->way->side[e->step], colds = t->colds;
    bool ok = in->osz != 2;
    if (!is_closed(t->b))
        return true;
    t->at = e->done[e->step] + last_of(t);
    switch (row_template(insn_row(in))) {
    case T_JMP: break;
    case T_JCC:
        jit_want_flags(t);
        e->exit[e->exits++] =
            (struct side_exit){x_jcc(&t->a, (in->opcode & 15u) ^ side, t->a.p), e->step, t->flags};
        break;
    case T_CALL:
        emit_push_return(t);
        ok &= in->osz == stack_slot_size(t);
        break;
    case T_RET: ok &= emit_return(t, in, next->lin); break;
    case T_JMP_E:
    case T_CALL_E:
        ok &= jit_emit_target(t, in, last_of(t));
        emit_target_guard(t, next->lin);
        if (row_template(insn_row(in)) == T_CALL_E)
            emit_push_return(t);
        break;
    default: return false;
    }
    mark_colds(e, colds);
    return ok && t->colds + 4 <= ARRAY_SIZE(t->cold);
}

/* Ends the trace where its last jump goes, wherever that is. */
static bool emit_computed_end(struct emission *e)
{
    struct tr *t = &e->t;
    const struct insn *in = &t->b->insn[last_of(t)];
    s32 effect = stack_effect(t, in);
    u8 *miss[TARGET_MISSES];
    unsigned colds = t->colds;
    t->at = e->done[e->step] + last_of(t);
    if (t->colds + 2 + TARGET_MISSES > ARRAY_SIZE(t->cold) || !jit_emit_target(t, in, last_of(t)))
        return false;
    jit_flags_spare(t, 0);
    jit_emit_find_target(&t->a, H_R15, &t->key, t->key & KEY_CPL3, miss);
    for (unsigned i = 0; i < TARGET_MISSES; i++)
        t->cold[t->colds++] =
            (struct cold){.from = miss[i], .idx = last_of(t), .quick = true, .flags = t->flags};
    mark_colds(e, colds);
    bool kept = jit_flags_take_scratch(&t->flags);
    jit_emit_keep_target(&t->a, kept);
    jit_emit_flags(t, &t->flags);
    if (effect)
        x_lea(&t->a, t->is64, H_R12, H_R12, effect);
    jit_emit_go_to_target(&t->a, kept);
    return true;
}

/* Keeps the guest registers whose host registers streams have in memory; and has them back. */
static void emit_lend(struct emission *e, bool back)
{
    for (unsigned r = 0; r < 16; r++)
        if (e->streams.lent & BIT(r)) {
            if (back)
                x_load(&e->t.a, 1, (unsigned)host_reg[r], H_RBP, slot(r));
            else
                x_store(&e->t.a, 1, (unsigned)host_reg[r], H_RBP, slot(r));
        }
}

/* Checks, in front of a loop, the streams that do not change in it. */
static void emit_invariants(struct emission *e)
{
    struct tr *t = &e->t;
    for (unsigned i = 0; i < e->streams.count; i++) {
        struct jit_stream *m = &e->streams.stream[i];
        struct insn first = jit_stream_first(m);
        if (!m->invariant)
            continue;
        if (first.base == REG_NONE && first.index == REG_NONE) {
            x_mov_imm(&t->a, H_R15, m->page + (gva_t)m->low);
            jit_emit_segment_base(t, &first);
        } else {
            jit_emit_address(t, &first);
        }
        jit_emit_stream_check(t, m, 0, 0);
        t->cold[t->colds - 1].step = STEP_TOP;
        if (m->reg)
            jit_emit_stream_place(t, m);
        t->cold[t->colds - 1].hit = t->a.p;
        if (m->reg)
            x_lea(&t->a, 1, m->reg, H_R15, -m->low);
        m->checked = true;
    }
}

/* The link that the trace begins with is a CALL's: what that does before it arrives. */
static void emit_first_call(struct emission *e)
{
    struct tr *t = &e->t;
    unsigned colds = t->colds;
    t->jb = e->plan->link->from;
    t->b = t->jb->block;
    t->streams = NULL;
    emit_push_return(t);
    t->streams = &e->streams;
    for (; colds < t->colds; colds++)
        t->cold[colds].step = STEP_CALL;
}

/* A check in front of the first step failed: back to in front of the link's jump, which the
 * interpreter runs. */
static void emit_leave_top(struct emission *e, struct jit_trace *trace, unsigned step)
{
    struct tr *t = &e->t;
    const struct jit_link *l = e->plan->link;
    bool head = jit_is_head(l);
    if (!head && l->from->is_call && step == STEP_TOP)
        x_lea(&t->a, t->is64, H_R12, H_R12, (s32)stack_slot_size(t));
    jit_emit_give_back(&t->a, counted_before(e->plan) + e->total);
    x_mov_imm(&t->a, H_R14, (u64)(uintptr_t)trace);
    x_store(&t->a, 1, H_R14, H_RBP, STATE(jit_missed));
    jit_emit_flags(t, &e->at_top);
    if (head) {
        set_step(e, 0);
        jit_emit_exit_record(t, 0);
    } else {
        x_jmp(&t->a, l->from->unlinked[l->side]);
    }
}

/* Leaves to the interpreter, which goes on with record i. */
static void emit_leave_record(struct emission *e, unsigned s, unsigned i)
{
    jit_emit_give_back(&e->t.a, e->total - e->done[s]);
    jit_emit_exit_record(&e->t, i);
}

/* Goes on with the last instruction of the current step's block, or behind it if that is no jump,
 * in the block's own code, at `at`. That may rely on more than the flags, which are there and come
 * from `now`. */
static void emit_leave_at(struct emission *e, const struct flag_source *now, const u8 *at)
{
    struct tr *t = &e->t;
    const struct flag_source *wanted = &t->jb->flags;
    if ((jit_source_is_kept(wanted) || wanted->step) && !jit_same_source(wanted, now)) {
        emit_leave_record(e, e->step, t->b->count - is_closed(t->b));
        return;
    }
    if (wanted->kind == SRC_SAVED && !jit_same_source(wanted, now))
        jit_emit_save(&t->a);
    jit_emit_give_back(&t->a, e->total - e->done[e->step]);
    x_jmp(&t->a, at);
}

static void emit_leave(struct emission *e, const struct flag_source *now)
{
    emit_leave_at(e, now, e->t.jb->end);
}

/* A conditional jump went the other way than recorded; so it need not be asked again. */
static void emit_leave_other_way(struct emission *e, const struct flag_source *now)
{
    const struct jit_block *jb = e->t.jb;
    bool taken = !e->plan->way->side[e->step];
    emit_leave_at(e, now, (taken ? jb->taken : jb->site[0]) - 5); /* jmp rel32 */
}

static void emit_ways_out(struct emission *e, struct jit_trace *trace)
{
    struct tr *t = &e->t;
    struct asmbuf *a = &t->a;
    for (unsigned i = 0; i < e->exits && !a->full; i++) {
        x_patch(e->exit[i].from, a->p);
        set_step(e, e->exit[i].step);
        emit_lend(e, true);
        emit_leave_other_way(e, &e->exit[i].flags);
    }
    for (unsigned i = 0; i < t->colds && !a->full; i++) {
        const struct cold *c = &t->cold[i];
        x_patch(c->from, a->p);
        jit_emit_refill(t, c);
        if (c->step != STEP_CALL)
            emit_lend(e, true);
        if (c->step >= STEP_CALL) {
            emit_leave_top(e, trace, c->step);
            continue;
        }
        set_step(e, c->step);
        if (c->quick)
            jit_emit_flags(t, &c->flags);
        else
            x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
        if (is_closed(t->b) && c->idx == last_of(t)) {
            emit_leave(e, &c->flags);
            continue;
        }
        x_mov_imm(a, H_R14, (u64)(uintptr_t)trace);
        x_store(a, 1, H_R14, H_RBP, STATE(jit_missed));
        emit_leave_record(e, c->step, c->idx);
    }
}

/* The jump back to the top, and what runs when the slice is over there. */
static void emit_bottom(struct emission *e, const u8 *top)
{
    struct tr *t = &e->t;
    struct asmbuf *a = &t->a;
    u8 *late[2];
    jit_emit_count_back(t, e->total, late, top);
    jit_patch_late(a, late);
    emit_lend(e, true);
    jit_emit_give_back(a, e->total);
    s32 undo = -stack_effect(t, &t->b->insn[last_of(t)]);
    if (undo)
        x_lea(a, t->is64, H_R12, H_R12, undo);
    jit_emit_flags(t, &t->flags);
    emit_leave(e, &t->flags);
}

static enum outcome emit_steps(struct emission *e, unsigned *bad)
{
    const struct plan *p = e->plan;
    struct tr *t = &e->t;
    for (unsigned s = 0; s < p->count; s++) {
        set_step(e, s);
        *bad = s;
        unsigned n = t->b->count - is_closed(t->b);
        for (unsigned i = 0; i < n; i++) {
            unsigned run = jit_stack_run(t, i, n), colds = t->colds;
            if (run) {
                t->at = e->done[s] + i;
                jit_place_insn(t, i);
                jit_emit_stack_run(t, i, run);
                mark_colds(e, colds);
                while (--run)
                    jit_place_insn(t, ++i);
            } else if (!emit_insn(e, i)) {
                return FAILED;
            }
        }
        bool last = s + 1 == p->count;
        if (is_closed(t->b))
            jit_place_insn(t, n);
        const struct insn *end = &t->b->insn[last_of(t)];
        enum insn_template own = row_template(insn_row(end));
        if (last && !p->loop && (own == T_JMP_E || own == T_RET)) {
            if (!emit_computed_end(e))
                return FAILED;
        } else if (last && !p->loop) {
            jit_want_flags(t);
            emit_leave(e, &t->flags);
        } else if (!emit_step_end(e, p->way->block[last ? 0 : s + 1])) {
            return FAILED;
        }
    }
    return MADE;
}

/* Goes to the link's path unless the pages that the trace lies in are what they were; later they
 * cannot change. */
static void emit_page_guards(struct tr *t, const struct jit_recording *r, u8 *stale[TRACE_PAGES])
{
    struct asmbuf *a = &t->a;
    if (r->pages)
        x_load(a, 1, H_R15, H_RBP, STATE(tlb.code));
    for (unsigned i = 0; i < r->pages; i++) {
        put8(a, 0x41); /* cmp dword [r15 + slot], number */
        put8(a, 0x81);
        put_mem(a, 7, H_R15, (s32)(tlb_code_slot(r->page[i].lin) * sizeof(u32)));
        put32(a, r->page[i].number);
        stale[i] = x_jcc(a, 5, a->p); /* jne */
    }
}

/* Goes to the interpreter, which looks (jit_trace_renew), unless the global pages that the trace
 * lies in are what they were. */
static u8 *emit_epoch_guard(struct tr *t, struct jit_trace *trace)
{
    struct asmbuf *a = &t->a;
    put8(a, 0x81); /* cmp dword [rbp + epoch_global], epoch */
    put_mem(a, 7, H_RBP, STATE(tlb.epoch_global));
    trace->epoch_imm = a->p;
    put32(a, trace->epoch);
    return x_jcc(a, 5, a->p); /* jne */
}

/* Emits the trace; on failure, *bad is the step that does not belong into it. */
static enum outcome emit(struct jit *j, struct jit_trace *trace, const struct plan *p,
                         unsigned *bad)
{
    struct jit_block *from = p->link->from;
    bool head = jit_is_head(p->link), call = from->is_call && !head;
    struct emission e = {.plan = p};
    struct tr *t = &e.t;
    t->j = j;
    t->trace = trace;
    t->key = from->block->key;
    t->is64 = t->key & KEY_CODE64;
    t->mode = KEY_TLB_MODE(t->key);
    struct asmbuf *a = &t->a;
    u8 *path = j->next, *vec_off = NULL, *late[2], *stale[TRACE_PAGES], *old = NULL;

    trace->apart = p->way->apart;
    trace->epoch = p->way->epoch;
    prepare(&e);
    if (!jit_streams_keep(j, trace, &e.streams, e.total))
        return FAILED;
    t->a = jit_asmbuf(j, path);
    jit_piece_begin(j, path);
    if (!p->saved && !head)
        t->flags = from->flags;
    jit_flags_spare(t, call ? BIT(RSP) : 0);
    e.at_top = t->flags;
    emit_page_guards(t, p->way, stale);
    if (trace->apart && !head)
        old = emit_epoch_guard(t, trace);
    if (t->vec_live && (head || !from->vec_live)) {
        put8(a, 0x83); /* cmp dword [jit_vec_off], 0 */
        put_mem(a, 7, H_RBP, STATE(jit_vec_off));
        put8(a, 0);
        vec_off = x_jcc(a, 5, a->p); /* jne */
    }
    unsigned n = counted_before(p) + e.total;
    jit_emit_count(t, n, late);
    if (call)
        emit_first_call(&e);
    emit_lend(&e, false);
    emit_invariants(&e);
    const u8 *top = a->p;
    t->flags_spent = true;
    if (emit_steps(&e, bad) != MADE)
        return FAILED;
    if (p->loop) {
        if (!jit_same_source(&t->flags, &e.at_top)) {
            if (!p->saved)
                return NEEDS_SAVED;
            jit_want_flags(t);
            t->flags.kind = SRC_NONE;
            jit_flags_save(t);
        }
        emit_bottom(&e, top);
    }
    jit_piece_turns_cold(t);
    jit_patch_late(a, late);
    jit_emit_give_back(a, n);
    if (vec_off && !a->full)
        x_patch(vec_off, a->p);
    for (unsigned i = 0; i < p->way->pages && !a->full; i++)
        x_patch(stale[i], a->p);
    jit_emit_flags(t, &e.at_top);
    x_jmp(a, head ? from->entry : from->path[p->link->side]);
    if (old && !a->full) {
        x_patch(old, a->p);
        jit_emit_flags(t, &e.at_top);
        x_jmp(a, from->unlinked[p->link->side]);
    }
    emit_ways_out(&e, trace);
    if (a->full)
        return FAILED;
    trace->code = path;
    trace->bytes = (u32)(a->p - path);
    j->stats.host_bytes += trace->bytes;
    j->next = a->p;
    return MADE;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void attach_step(struct jit_trace *trace, unsigned n, struct jit_block *jb)
{
    struct trace_step *s = &trace->step[n];
    s->trace = trace;
    s->jb = jb;
    jit_node_add(&jb->traces, &s->in_block);
}

/* Has the jump that goes the other way counted, from its next link on. */
static void count_exit(struct jit *j, struct jit_block *jb, unsigned side)
{
    struct jit_link *l = &jb->link[!side];
    if (side == SIDE_COMPUTED || !jb->site[!side] || l->trace || l->counted || l->leaves_trace)
        return;
    l->leaves_trace = true;
    jit_unlink(j, l);
}

static void attach(struct jit *j, struct jit_trace *trace, const struct plan *p)
{
    trace->link = p->link;
    trace->count = p->count + 1;
    for (unsigned s = 0; s < p->count; s++)
        attach_step(trace, s, p->way->block[s]);
    attach_step(trace, p->count, p->link->from);
    jit_node_add(&j->chunk_list[j->chunk].traces, &trace->in_chunk);
    p->link->trace = trace;
    if (jit_is_head(p->link))
        jit_relist(j, p->link->from);
    else
        jit_set_site(p->link->from, p->link->side, trace->code);
    for (unsigned s = 0; s < p->count; s++)
        if (jit_is_head(p->link) || p->way->block[s] != p->link->from ||
            p->way->side[s] == p->link->side)
            count_exit(j, p->way->block[s], p->way->side[s]);
    j->stats.traces++;
}

void jit_trace_drop(struct jit *j, struct jit_trace *trace)
{
    struct jit_link *l = trace->link;
    if (!l)
        return;
    l->trace = NULL;
    l->heat = HEAT_AGAIN;
    if (jit_is_head(l))
        jit_relist(j, l->from);
    else
        jit_set_site(l->from, l->side, l->from->path[l->side]);
    for (unsigned i = 0; i < trace->count; i++)
        jit_node_remove(&trace->step[i].in_block);
    jit_node_remove(&trace->in_chunk);
    trace->link = NULL;
    jit_streams_release(j, trace);
    j->stats.traces_dropped++;
}

void jit_trace_renew(struct cpu *cpu, struct jit_trace *trace)
{
    u32 now = (u32)cpu->tlb.epoch_global;
    if (!trace->apart || trace->epoch == now)
        return;
    for (unsigned i = 0; i + 1 < trace->count; i++) {
        const struct jit_block *jb = trace->step[i].jb;
        if (jit_is_apart(trace->link->from, jb) && !jit_is_global(cpu, jb->block, jb->lin)) {
            jit_trace_drop(cpu->jit, trace);
            return;
        }
    }
    trace->epoch = now;
    if (trace->epoch_imm)
        st_le32(trace->epoch_imm, now);
}

void jit_trace_missed(struct cpu *cpu)
{
    struct jit *j = cpu->jit;
    struct jit_trace *trace = cpu->jit_missed;
    struct jit_link *l = trace->link;
    u64 now = cpu_icount(cpu);
    cpu->jit_missed = NULL;
    if (!l)
        return;
    if (jit_streams_impatient(j, trace)) {
        if (jit_streams_stray(j, trace, now)) {
            jit_trace_drop(j, trace);
            l->heat = HEAT_BETTER;
        }
        return;
    }
    if (!trace->misses++)
        trace->first_miss = now;
    unsigned max = trace->grouped ? MISSES_GROUPED : MISSES_MAX;
    if (trace->misses < max)
        return;
    trace->misses = 0;
    if (now - trace->first_miss >= (u64)max * INSNS_PER_MISS)
        return;
    bool grouped = trace->grouped;
    if (grouped)
        jit_streams_part(trace);
    jit_trace_drop(j, trace);
    l->heat = grouped ? HEAT_BETTER : -1;
    if (jit_is_head(l))
        jit_relist(j, l->from);
    else if (!grouped && l->from == l->to)
        jit_unlink(j, l);
}

void jit_trace_make(struct jit *j, bool loop)
{
    struct jit_recording *r = &j->recording;
    struct plan p = {.link = r->link, .way = r, .count = r->count, .loop = loop};
    struct jit_trace *trace = jit_data(j, sizeof *trace);
    u64 cycles = host_cycles(), began_ns = jit_observed_since(j);
    unsigned bad;
    r->link->heat = -1;
    j->translating = true;
    jit_streams_reserve(j);
    while (trace && p.count && (p.loop || p.count > 1)) {
        enum outcome o = emit(j, trace, &p, &bad);
        if (o != MADE)
            jit_streams_release(j, trace);
        if (o == MADE) {
            attach(j, trace, &p);
            jit_observe(j, p.link->to, trace->code, trace->bytes, "trace", began_ns);
            break;
        }
        if (o == NEEDS_SAVED) {
            p.saved = true;
            continue;
        }
        if (bad + 1 == p.count && !p.loop) /* no room, or it is the jump itself */
            break;
        p.loop = false;
        p.count = bad;
    }
    j->translating = false;
    j->stats.cycles += host_cycles() - cycles;
    struct jit_link *l = r->link;
    r->link = NULL;
    if (jit_is_head(l))
        jit_relist(j, l->from);
    else if (!l->trace)
        jit_unlink(j, l); /* next time it is not counted, or is a loop without trace: link.c */
}
