/*
 * access.c: memory operands: their linear address, the TLB check, and what runs when it misses.
 *
 * The careful check leaves the guest's flags in the host's alone (engine.md 4(3), variant B'); the
 * quick one spends them where they can be had back (recover.c).
 */
#include "cpu/jit/internal.h"

const s8 host_reg[16] = {H_RAX, H_RCX, H_RDX, H_RBX, H_R12, H_R13, H_RSI, H_RDI,
                         H_R8,  H_R9,  H_R10, H_R11, SLOT,  SLOT,  SLOT,  SLOT};

/* ---- addresses ------------------------------------------------------------------------------- */

void jit_emit_lea(struct tr *t, unsigned w, unsigned dst, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    int base = in->base < 16 ? host_reg[in->base] : -2,
        index = in->index < 16 ? host_reg[in->index] : -2;

    if (in->base == REG_RIP) {
        u64 at = t->jb->lin + (u64)(s64)in->disp + (in->index == REG_4G ? 4 * GIB : 0);
        x_mov_imm(a, dst, w ? at : (u32)at);
        return;
    }
    if (base == SLOT) {
        x_load(a, 1, H_R15, H_RBP, slot(in->base));
        base = H_R15;
    }
    if (index == SLOT) {
        x_load(a, 1, H_R14, H_RBP, slot(in->index));
        index = H_R14;
    }
    if (base == -2 && index == -2)
        x_mov_imm(a, dst, w ? (u64)(s64)in->disp : (u32)in->disp);
    else if (index == -2 && !in->disp)
        x_mov(a, w, dst, (unsigned)base);
    else if (index == -2)
        x_lea(a, w, dst, (unsigned)base, in->disp);
    else
        x_lea_sib(a, w, dst, base == -2 ? -1 : base, (unsigned)index, in->scale, in->disp);
}

/* r15 += base of the operand's segment; in flat code only FS and GS have one. */
void jit_emit_segment_base(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    if (in->seg != SEG_FS && in->seg != SEG_GS)
        return;
    x_load(a, 1, H_R14, H_RBP,
           STATE(seg) + (s32)(in->seg * sizeof(struct seg) + offsetof(struct seg, base)));
    x_lea_sib(a, t->is64, H_R15, H_R15, H_R14, 0, 0);
}

/* r15 = linear address of the memory operand. */
void jit_emit_address(struct tr *t, const struct insn *in)
{
    jit_emit_lea(t, t->is64, H_R15, in);
    jit_emit_segment_base(t, in);
}

/* A jump to code that is emitted after the block's end. */
void jit_add_cold(struct tr *t, struct jit_site *site, unsigned idx)
{
    u8 *after = x_jmp(&t->a, t->a.p);
    t->cold[t->colds++] = (struct cold){.from = after,
                                        .site = site,
                                        .idx = idx,
                                        .vec_live = t->vec_live,
                                        .x87_live = t->x87_live,
                                        .notes = t->notes};
}

#define TLB_FIELD(mode, member) jit_tlb_field(mode, offsetof(struct tlb_l1, member))

/* mov reg, [rbp + r14 * 8 + disp] */
static void load_indexed(struct asmbuf *a, unsigned reg, s32 disp)
{
    put_rex(a, 1, reg, H_R14, H_RBP, false);
    put8(a, 0x8b);
    put_sib(a, reg, H_RBP, H_R14, 3, disp);
}

/* op r15, [rbp + r14 * 8 + disp] */
static void op_indexed(struct asmbuf *a, unsigned opcode, s32 disp)
{
    put_rex(a, 1, H_R15, H_R14, H_RBP, false);
    put8(a, opcode);
    put_sib(a, H_R15, H_RBP, H_R14, 3, disp);
}

/* The check for when the flags can be had back: half the work, RCX stays. */
static void quick_check(struct tr *t, unsigned size, bool write, struct jit_site *site,
                        unsigned idx)
{
    struct asmbuf *a = &t->a;
    x_ror_quick(a, H_R14, H_R15, 12);
    x_movzx8(a, H_R14, H_R14);
    op_indexed(a, 0x03, write ? TLB_FIELD(t->mode, neg_w) : TLB_FIELD(t->mode, neg_r)); /* add */
    put8(a, 0x49); /* cmp r15, 4096 - size */
    put8(a, 0x81);
    put8(a, 0xff);
    put32(a, (u32)PAGE_SIZE - size);
    u8 *after = x_jcc(a, 7, a->p); /* ja */
    t->cold[t->colds++] = (struct cold){.from = after,
                                        .site = site,
                                        .idx = idx,
                                        .quick = true,
                                        .vec_live = t->vec_live,
                                        .x87_live = t->x87_live,
                                        .notes = t->notes,
                                        .flags = t->flags};
    op_indexed(a, 0x03, TLB_FIELD(t->mode, host));
    t->flags_spent = true;
}

static void careful_check(struct tr *t, unsigned size, bool write, struct jit_site *site,
                          unsigned idx)
{
    struct asmbuf *a = &t->a;
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_ror(a, H_R14, H_R15, 12);
    x_movzx8(a, H_R14, H_R14);
    load_indexed(a, H_RCX, write ? TLB_FIELD(t->mode, neg_w) : TLB_FIELD(t->mode, neg_r));
    x_lea_sib(a, 1, H_RCX, H_RCX, H_R15, 0, 0); /* offset in the page, if it is the page */
    load_indexed(a, H_R15, TLB_FIELD(t->mode, host));
    x_lea_sib(a, 1, H_R15, H_R15, H_RCX, 0, 0);
    if (size > 1)
        x_lea(a, 1, H_RCX, H_RCX, (s32)size - 1);
    x_shr12(a, H_RCX, H_RCX);
    u8 *hit = x_jrcxz(a);
    jit_add_cold(t, site, idx);
    x_here(a, hit);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
}

/* op r15, [rbp + disp] */
static void op_state(struct asmbuf *a, unsigned opcode, s32 disp)
{
    put_rex(a, 1, H_R15, 0, H_RBP, false);
    put8(a, opcode);
    put_mem(a, H_R15, H_RBP, disp);
}

#define STREAM_FIELD(m, member) jit_stream_field(m, offsetof(struct tlb_stream, member))

void jit_emit_stream_check(struct tr *t, const struct jit_stream *m, u32 before, unsigned idx)
{
    struct asmbuf *a = &t->a;
    op_state(a, 0x03, STREAM_FIELD(m, neg));   /* add */
    op_state(a, 0x3b, STREAM_FIELD(m, limit)); /* cmp */
    u8 *after = x_jcc(a, 3, a->p);             /* jae */
    t->cold[t->colds++] = (struct cold){.from = after,
                                        .idx = idx,
                                        .quick = true,
                                        .vec_live = t->vec_live,
                                        .flags = t->flags,
                                        .stream = m,
                                        .before = before,
                                        .mode = (u8)t->mode};
    t->flags_spent = true;
}

void jit_emit_stream_place(struct tr *t, const struct jit_stream *m)
{
    op_state(&t->a, 0x03, STREAM_FIELD(m, host)); /* add */
}

/* The stream that the access of the current instruction belongs to, and where in it; or NULL. */
static struct jit_stream *stream_of(const struct tr *t, unsigned size, bool write, s32 *at)
{
    struct jit_streams *s = t->streams;
    if (!s || s->of[t->at] == STREAM_NONE)
        return NULL;
    struct jit_stream *m = &s->stream[s->of[t->at]];
    *at = s->at[t->at];
    if (size > s->size[t->at] && write) /* several PUSHes at once: the last one is the first byte */
        *at -= (s32)size - s->size[t->at];
    return *at >= m->low && *at + (s32)size <= m->high && write <= m->write ? m : NULL;
}

/* The check of an access that belongs to a stream of the trace; false: it does not. */
static bool stream_access(struct tr *t, unsigned size, bool write, unsigned idx)
{
    struct asmbuf *a = &t->a;
    s32 at;
    struct jit_stream *m = stream_of(t, size, write, &at);
    if (!m)
        return false;
    if (m->reg && m->checked && !t->streams->indexed[t->at]) {
        x_lea(a, 1, H_R15, m->reg, at);
    } else if (m->checked && t->may_spend) {
        op_state(a, 0x03, STREAM_FIELD(m, delta)); /* add */
        t->flags_spent = true;
    } else if (m->checked) {
        x_load(a, 1, H_R14, H_RBP, STREAM_FIELD(m, delta));
        x_lea_sib(a, 1, H_R15, H_R15, H_R14, 0, 0);
    } else if (t->may_spend) {
        jit_emit_stream_check(t, m, (u32)(at - m->low), idx);
        jit_emit_stream_place(t, m);
        t->cold[t->colds - 1].hit = a->p;
        m->checked = !m->alone;
    } else {
        return false;
    }
    return true;
}

void jit_emit_tlb_check(struct tr *t, unsigned size, bool write, struct jit_site *site,
                        unsigned idx)
{
    struct cold *c = &t->cold[t->colds];
    if (stream_access(t, size, write, idx))
        return;
    if (t->may_spend)
        quick_check(t, size, write, site, idx);
    else
        careful_check(t, size, write, site, idx);
    c->hit = t->a.p;
    c->size = (u16)size;
    c->mode = (u8)t->mode;
    c->write = write;
}
_Static_assert(TLB_SLOTS == 256, "the index is one byte of the page number");

/* Does an operand need no register but r15 for the distance to the host's memory, because the rest
 * of it fits beside that? */
static bool fits_in_place(const struct tr *t, const struct insn *in, struct host_mem *m)
{
    if (!t->is64 || in->seg == SEG_FS || in->seg == SEG_GS)
        return false;
    *m = (struct host_mem){.base = H_R15, .disp = in->disp};
    if (in->base == REG_RIP) {
        u64 va = t->jb->lin + (u64)(s64)in->disp + (in->index == REG_4G ? 4 * GIB : 0);
        if ((s64)va != (s32)va)
            return false;
        m->disp = (s32)va;
    } else if (in->base < 16 && in->index == REG_NONE && host_reg[in->base] != SLOT) {
        m->base = (u8)host_reg[in->base];
        m->index = H_R15;
        m->has_index = true;
    } else if (in->base == REG_NONE && in->index < 16 && host_reg[in->index] != SLOT) {
        m->index = (u8)host_reg[in->index];
        m->scale = in->scale;
        m->has_index = true;
    } else if (in->base != REG_NONE || in->index != REG_NONE) {
        return false;
    }
    return true;
}

/* Does the operand need no code because a register has the stream's place on the host? */
static bool is_at_register(const struct tr *t, const struct insn *in, const struct jit_stream *s,
                           s32 at, struct host_mem *m)
{
    if (!s->reg || !s->checked)
        return false;
    *m = (struct host_mem){.base = s->reg, .disp = at};
    if (t->streams->indexed[t->at]) {
        if (host_reg[in->index] == SLOT)
            return false;
        m->index = (u8)host_reg[in->index];
        m->scale = in->scale;
        m->has_index = true;
    }
    return true;
}

struct host_mem jit_emit_operand(struct tr *t, const struct insn *in, unsigned size, bool write,
                                 struct jit_site *site, unsigned i)
{
    struct host_mem m;
    s32 at;
    struct jit_stream *s = stream_of(t, size, write, &at);
    if (s && is_at_register(t, in, s, at, &m))
        return m;
    if (s && (s->checked || t->may_spend) && fits_in_place(t, in, &m)) {
        if (!s->checked) {
            jit_emit_address(t, in);
            jit_emit_stream_check(t, s, (u32)(at - s->low), i);
            t->cold[t->colds - 1].hit = t->a.p;
            s->checked = !s->alone;
        }
        x_load(&t->a, 1, H_R15, H_RBP, STREAM_FIELD(s, delta));
        return m;
    }
    jit_emit_address(t, in);
    jit_emit_tlb_check(t, size, write, site, i);
    return (struct host_mem){.base = H_R15};
}

/* ---- handlers -------------------------------------------------------------------------------- */

static const struct insn *op_jit_stop(struct cpu *cpu, const struct insn *in)
{
    (void)cpu;
    return in;
}

struct jit_site *jit_new_site(struct tr *t, const struct insn *in, unsigned i)
{
    if (t->trace) /* calls no handlers */
        return NULL;
    struct jit_site *s = jit_data(t->j, sizeof *s);
    if (!s) {
        t->a.full = true;
        return NULL;
    }
    t->a.end = t->j->end;
    s->in = *in;
    s->in.fn = jit_bound_fn(t->b, &t->b->insn[i]);
    s->stop = *in;
    s->stop.fn = op_jit_stop;
    s->jb = t->jb;
    s->x87 = t->j->rows[in->row].x87_use;
    s->flagless = !(insn_row(in)->fl_read | insn_row(in)->fl_write | insn_row(in)->fl_undef);
    return s;
}

void jit_emit_handler_call(struct tr *t, struct jit_site *s)
{
    x_mov_imm(&t->a, H_R14, (u64)(uintptr_t)s);
    x_call(&t->a, t->j->stub_helper);
}

/* Leaves to the interpreter, which goes on with record i. */
void jit_emit_exit_record(struct tr *t, unsigned i)
{
    jit_emit_resume_at(t, i);
    x_jmp(&t->a, t->j->stub_exit_record);
}
