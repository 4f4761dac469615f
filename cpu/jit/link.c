/*
 * link.c: the way from one block's end to another block: guards, the slice check, loops.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

/* ---- links ----------------------------------------------------------------------------------- */

enum guard jit_guard_of(const struct jit_block *jb)
{
    if (!(jb->block->key & KEY_CPL3))
        return jb->global ? GUARD_GLOBAL : GUARD_EPOCH;
    return jb->block->gpa2 == ~0ull ? GUARD_PAGE : GUARD_EPOCH;
}

/*T:540 From block to block
 *
 * A jump whose target is known goes straight to the target's code. But the target was found through
 * the page tables of that moment: a guard compares an epoch that each flush changes. A stale link
 * is never followed, and a link that is right costs a comparison.
 */
void jit_emit_guard(struct asmbuf *a, unsigned reg, const struct jit_block *jb)
{
    switch (jit_guard_of(jb)) {
    case GUARD_GLOBAL: x_load(a, 0, reg, H_RBP, STATE(tlb.epoch_global)); break;
    case GUARD_EPOCH: x_load(a, 0, reg, H_RBP, STATE(tlb.epoch)); break;
    case GUARD_PAGE:
        x_load(a, 1, reg, H_RBP, STATE(tlb.code));
        x_load(a, 0, reg, reg, (s32)(tlb_code_slot(jb->lin) * sizeof(u32)));
    }
}

/* Skips the questions at the target's start whose answers are known. */
static const u8 *entry_from(const struct jit_block *from, const struct jit_block *to)
{
    bool vec_known = !to->vec_entry || from->vec_live;
    if (to->x87_entry && from->x87_live && vec_known)
        return to->x87_entry;
    return to->vec_entry && from->vec_live ? to->vec_entry : to->entry;
}

/* What a linked near CALL does before it arrives: pushes the return address. */
static u8 *emit_link_push(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64;
    u64 ret = t->jb->lin + in->off + in->len;
    x_lea(a, w, H_R15, H_R12, -(s32)size);
    t->may_spend = t->flags.kind != SRC_NONE;
    jit_emit_tlb_check(t, size, true, NULL, 0);
    x_mov_imm(a, H_R14, w ? ret : (u32)ret);
    x_store(a, w, H_R14, H_R15, 0);
    jit_emit_flags(t, &t->flags); /* RSP may be what they come from */
    x_lea(a, w, H_R12, H_R12, -(s32)size);
    return t->cold[0].from;
}

/* op qword [rbp + left], n: /0 adds, /5 subtracts */
static void emit_left(struct asmbuf *a, unsigned op, unsigned n)
{
    put_rex(a, 1, 0, 0, H_RBP, false);
    put8(a, n <= 127 ? 0x83 : 0x81);
    put_mem(a, op, H_RBP, STATE(left));
    if (n <= 127)
        put8(a, n);
    else
        put32(a, n);
}

/* r15 = what is left of the slice after n instructions; negative too when the CPU was kicked. Where
 * no other thread can, `kick` is not looked at. Clobbers RCX. */
void jit_emit_load_left(struct tr *t, unsigned n)
{
    struct asmbuf *a = &t->a;
    x_load(a, 1, H_R15, H_RBP, STATE(left));
    if (t->j->cpu->shared) {
        x_load(a, 1, H_RCX, H_RBP, STATE(kick));
        x_lea_sib(a, 1, H_R15, H_R15, H_RCX, 0, -(s32)n);
    } else {
        x_lea(a, 1, H_R15, H_R15, -(s32)n);
    }
}

/* cmp byte [rbp + kick + 7], 0: ZF when nobody kicked */
static void emit_kick_test(struct asmbuf *a)
{
    put8(a, 0x80);
    put_mem(a, 7, H_RBP, STATE(kick) + 7);
    put8(a, 0);
}

void jit_emit_count(struct tr *t, unsigned n, u8 *late[2])
{
    struct asmbuf *a = &t->a;
    emit_left(a, 5, n);
    late[0] = x_jcc(a, 8, a->p); /* js */
    late[1] = NULL;
    if (t->j->cpu->shared) {
        emit_kick_test(a);
        late[1] = x_jcc(a, 5, a->p); /* jne */
    }
}

void jit_emit_count_back(struct tr *t, unsigned n, u8 *late[2], const u8 *top)
{
    struct asmbuf *a = &t->a;
    if (t->j->cpu->shared) {
        jit_emit_count(t, n, late);
        x_jmp(a, top);
        return;
    }
    emit_left(a, 5, n);
    x_jcc(a, 9, top); /* jns */
    late[0] = late[1] = NULL;
}

void jit_patch_late(struct asmbuf *a, u8 *late[2])
{
    if (a->full)
        return;
    if (late[0])
        x_patch(late[0], a->p);
    if (late[1])
        x_patch(late[1], a->p);
}

void jit_emit_give_back(struct asmbuf *a, unsigned n)
{
    x_load(a, 1, H_R14, H_RBP, STATE(left));
    x_lea(a, 1, H_R14, H_R14, (s32)n);
    x_store(a, 1, H_R14, H_RBP, STATE(left));
}

/* dec dword [heat]; returns the end of the jump that is taken when it has become 0. */
static u8 *emit_heat(struct asmbuf *a, const s32 *heat)
{
    x_mov_imm(a, H_R14, (u64)(uintptr_t)heat);
    put8(a, 0x41);
    put8(a, 0xff);
    put8(a, 1 << 3 | (H_R14 & 7));
    return x_jcc(a, 4, a->p); /* je */
}

void jit_emit_counter(struct jit *j, struct jit_block *jb)
{
    struct tr t = {.j = j, .jb = jb, .b = jb->block};
    struct asmbuf *a = &t.a;
    u8 *start = j->next;
    t.a = jit_asmbuf(j, start);
    jb->head.heat = j->test.hot ? (s32)j->test.hot : TRACE_HOT;
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_mov_imm(a, H_R14, (u64)(uintptr_t)&jb->head.heat);
    x_load(a, 0, H_RCX, H_R14, 0);
    x_lea(a, 0, H_RCX, H_RCX, -1);
    x_store(a, 0, H_RCX, H_R14, 0);
    u8 *hot = x_jrcxz(a);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_jmp(a, jb->entry);
    x_here(a, hot);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    jit_emit_exit_record(&t, 0);
    if (a->full)
        return;
    jit_verify(start, (u64)(a->p - start));
    j->stats.host_bytes += (u64)(a->p - start);
    j->next = a->p;
    jb->counter = start;
    jit_node_add(&j->chunk_list[j->chunk].paths, &jb->head.in_chunk);
}

/* The cold part of emit_link_push. */
static void emit_push_missed(struct tr *t, u8 *from)
{
    x_patch(from, t->a.p);
    jit_emit_refill(t, &t->cold[0]);
}

/* The path of jit_emit_link when the flags can be made again. */
static bool emit_cheap_link(struct tr *t, unsigned side, const struct jit_block *to, bool same_page,
                            u8 **guard_imm)
{
    struct asmbuf *a = &t->a;
    u8 *stale = NULL, *push_miss = NULL, *hot = NULL;
    if (!same_page) {
        jit_emit_guard(a, H_R15, to);
        put8(a, 0x41); /* add r15d, imm32 */
        put8(a, 0x81);
        put8(a, 0xc7);
        put32(a, -jit_guard_value(t->j->cpu, to));
        *guard_imm = a->p;
        stale = x_jcc(a, 5, a->p); /* jne */
    }
    u8 *late[2];
    jit_emit_count(t, t->b->count, late);
    if (t->jb->link[side].counted)
        hot = emit_heat(a, &t->jb->link[side].heat);
    if (t->jb->is_call)
        push_miss = emit_link_push(t, &t->b->insn[t->b->count - 1]);
    else
        jit_emit_flags(t, &t->flags);
    x_jmp(a, entry_from(t->jb, to));
    if (a->full)
        return false;
    if (push_miss) /* give the instructions back: the interpreter runs the call */
        emit_push_missed(t, push_miss);
    jit_patch_late(a, late);
    if (hot)
        x_patch(hot, a->p);
    emit_left(a, 0, t->b->count);
    if (stale)
        x_patch(stale, a->p);
    jit_emit_flags(t, &t->flags);
    x_jmp(a, t->jb->unlinked[side]);
    return !a->full;
}

/* The path that leaves flags alone. */
static bool emit_careful_link(struct tr *t, unsigned side, const struct jit_block *to,
                              bool same_page, u8 **guard_imm)
{
    struct asmbuf *a = &t->a;
    const struct block *b = t->b;
    u8 *stale = NULL;

    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    if (!same_page) {
        jit_emit_guard(a, H_RCX, to);
        put8(a, 0x8d); /* lea ecx, [rcx + imm32] */
        put8(a, 0x80 | H_RCX << 3 | H_RCX);
        put32(a, -jit_guard_value(t->j->cpu, to));
        *guard_imm = a->p;
        u8 *current = x_jrcxz(a);
        stale = x_jmp(a, a->p);
        x_here(a, current);
    }
    jit_emit_load_left(t, b->count);
    x_shr(a, H_RCX, H_R15, 63, H_RCX);
    u8 *in_time = x_jrcxz(a);
    u8 *late = x_jmp(a, a->p);
    x_here(a, in_time);
    x_store(a, 1, H_R15, H_RBP, STATE(left));
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    u8 *push_miss = t->jb->is_call ? emit_link_push(t, &b->insn[b->count - 1]) : NULL;
    x_jmp(a, entry_from(t->jb, to));
    if (a->full)
        return false;
    if (push_miss) { /* give the instructions back: the interpreter runs the call */
        emit_push_missed(t, push_miss);
        x_load(a, 1, H_RCX, H_RBP, STATE(left));
        x_lea(a, 1, H_RCX, H_RCX, (s32)b->count);
        x_store(a, 1, H_RCX, H_RBP, STATE(left));
    }
    if (stale)
        x_patch(stale, a->p);
    x_patch(late, a->p);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_jmp(a, t->jb->unlinked[side]);
    return !a->full;
}

/*
 * A block that jumps to itself and does not fit into a trace gets its code a second time, as a
 * loop: there the flags at the top are known to come from its own end, so that every access check
 * is the quick one, and the way back is the slice check alone. Other ways out go through the jump
 * of the first copy. False: it does not make the flags the same way each time, or there is no room.
 */
static bool emit_loop(struct tr *t, unsigned side)
{
    struct asmbuf *a = &t->a;
    const struct block *b = t->b;
    const struct insn *jump = &b->insn[b->count - 1];
    const u8 *first_jump = t->jb->site[1] - 6; /* jcc rel32 */
    u8 *path = a->p;

    u8 *late_in[2];
    jit_emit_count(t, t->b->count, late_in);
    u8 *top = a->p;
    t->key = b->key;
    t->mode = KEY_TLB_MODE(t->key);
    t->flags_spent = true;
    t->vec_live = t->jb->vec_live;
    t->x87_live = t->jb->x87_live;
    t->notes = t->jb->notes; /* stored when the loop is left */
    jit_piece_begin(t->j, path);
    for (unsigned i = 0; i + 1 < b->count && !a->full; i++) {
        jit_place_insn(t, i);
        jit_emit_insn(t, &b->insn[i], i);
    }
    jit_place_insn(t, b->count - 1u);
    jit_want_flags(t);
    if (!jit_same_source(&t->flags, &t->jb->flags) || t->vec_live != t->jb->vec_live)
        return false;
    u8 *out = x_jcc(a, (jump->opcode & 15u) ^ side, first_jump);
    u8 *late[2];
    jit_emit_count_back(t, b->count, late, top);
    jit_piece_turns_cold(t);
    if (a->full)
        return false;
    jit_patch_late(a, late);
    jit_patch_late(a, late_in);
    jit_emit_notes(t, &t->notes);
    emit_left(a, 0, b->count);
    jit_emit_flags(t, &t->flags);
    x_jmp(a, t->jb->unlinked[side]);
    if (t->notes.last) {
        x_patch(out, a->p);
        jit_emit_notes(t, &t->notes);
        x_jmp(a, first_jump);
    }
    jit_emit_colds(t);
    if (a->full)
        return false;
    t->j->next = a->p;
    jit_set_site(t->jb, side, path);
    return true;
}

bool jit_emit_link(struct jit *j, struct jit_block *from, unsigned side, struct jit_block *to,
                   bool same_page)
{
    struct tr t = {.j = j, .jb = from, .b = from->block, .flags = from->flags};
    t.is64 = t.b->key & KEY_CODE64;
    t.key = from->end_key;
    t.mode = KEY_TLB_MODE(t.key);
    t.a = jit_asmbuf(j, j->next);
    u8 *path = t.a.p, *guard_imm = NULL;
    const struct insn *seq[BLOCK_MAX_INSNS];
    bool jcc = row_template(insn_row(&t.b->insn[t.b->count - 1])) == T_JCC;

    bool itself = from == to && same_page && !t.b->probes && jcc && t.flags.kind != SRC_NONE;
    if (itself && (from->link[side].heat < 0 || !jit_block_fits_trace(j, from))) {
        struct tr loop = t;
        jit_set_sequence(&loop, seq);
        from->path[side] = path;
        from->path_guard[side] = NULL;
        if (emit_loop(&loop, side))
            return true;
    }
    jit_piece_begin(j, path); /* no place: a loop or trace that did not fit may have left some */
    struct jit_link *l = &from->link[side];
    l->counted = jit_link_is_counted(l, from, to);
    if (l->counted) {
        l->heat = j->test.hot ? (s32)j->test.hot : TRACE_HOT;
        jit_flags_save(&t);
    }
    if (!(t.flags.kind != SRC_NONE ? emit_cheap_link(&t, side, to, same_page, &guard_imm)
                                   : emit_careful_link(&t, side, to, same_page, &guard_imm)))
        return false;
    from->path[side] = path;
    from->path_guard[side] = guard_imm;
    jit_set_site(from, side, path);
    j->next = t.a.p;
    return true;
}
