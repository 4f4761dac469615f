/*
 * streams.c: which accesses of a trace go to the same page, so that one check serves them.
 *
 * Along a trace, each register is some value that it had before (an "origin") plus a constant: what
 * MOV, LEA, ADD, PUSH and their like do to it is followed, anything else makes a new origin.
 * Accesses whose addresses differ by constants only, and not by much, are a stream. The first one
 * checks that all of them lie in the page that the stream went to last (struct tlb_stream), the
 * others add the distance to the host's memory and nothing else. In a loop, a stream whose origin
 * never changes is checked in front of it.
 *
 * When a check fails and the page is another, the code behind it (refill.c) fills the stream from
 * the TLB. It fails for good where one page does not hold them all, or is not writable: the trace
 * is left. When that happens often, or when a stream goes from page to page, the trace is made
 * again, with those accesses `lone` or `stray` (struct jit_block): checked one by one, looked up by
 * address.
 */
#include "cpu/jit/internal.h"

#define ORIGIN_NONE 0xffffu
#define PATIENCE 256 /* fills until the trace is asked: how many instructions did they last? */
#define INSNS_PER_FILL 200u /* fewer: the stream strays */

/* ---- values ---------------------------------------------------------------------------------- */

struct value {
    u16 origin; /* below 16: what that register held at the top */
    s32 off;
    u32 max; /* it is not greater; 0: that is not known */
};

struct follower {
    const struct jit *j;
    bool is64;
    u16 origins; /* given out */
    struct value reg[16];
    const struct follower *at_end; /* of the loop; NULL: tables are not wanted */
};

static void move_by(struct follower *f, unsigned r, s64 by)
{
    s64 off = f->reg[r].off + by;
    if (off > INT16_MAX || off < INT16_MIN)
        f->reg[r] = (struct value){f->origins++, 0, 0};
    else
        f->reg[r].off = (s32)off;
    f->reg[r].max = 0;
}

static void forget(struct follower *f, u32 regs)
{
    for (unsigned r = 0; r < 16; r++)
        if (regs & BIT(r))
            f->reg[r] = (struct value){f->origins++, 0, 0};
}

static bool whole(const struct follower *f, const struct insn *in)
{
    return in->osz == (f->is64 ? 8 : 4);
}

/* MOV between registers, LEA without index, ADD and SUB of an immediate, of whole registers. */
static bool follow_constant(struct follower *f, const struct insn *in, const struct insn_row *r)
{
    enum insn_template own = row_template(r);
    bool has_g = r->opnd[0] == OPND_Gv || r->opnd[1] == OPND_Gv;
    if (!whole(f, in))
        return false;
    if (own == T_LEA && in->base < 16 && in->index == REG_NONE && in->asz == in->osz) {
        f->reg[in->reg] = f->reg[in->base];
        move_by(f, in->reg, in->disp);
        return true;
    }
    if (in->mem || !f->j->rows[in->row].template_ok)
        return false;
    if ((own == T_ADD || own == T_SUB) && !has_g) {
        move_by(f, in->rm, own == T_ADD ? (s64)in->imm : -(s64)in->imm);
        return true;
    }
    if (r->map == OB && (r->opcode == 0x89 || r->opcode == 0x8b)) {
        if (r->opcode == 0x89)
            f->reg[in->rm] = f->reg[in->reg];
        else
            f->reg[in->reg] = f->reg[in->rm];
        return true;
    }
    return false;
}

/* Takes note of a result that cannot be great: of MOVZX, of AND and SHR with an immediate. */
static void follow_range(struct follower *f, const struct insn *in, const struct insn_row *r)
{
    enum insn_template own = row_template(r);
    unsigned ext = in->modrm >> 3 & 7;
    if (in->osz < 4 || !f->j->rows[in->row].template_ok)
        return;
    if (r->map == TB && r->opcode == 0xb6)
        f->reg[in->reg].max = 0xff;
    if (in->mem || r->map != OB || in->imm <= 0)
        return;
    if (own == T_LOGIC && (r->opcode == 0x25 || ((r->opcode & 0xfd) == 0x81 && ext == 4)))
        f->reg[in->rm].max = (u32)in->imm;
    if (own == T_SHIFT && r->opcode == 0xc1 && ext == 5 && in->osz == 4)
        f->reg[in->rm].max = ~0u >> (in->imm & 31);
}

/* What the instruction does to registers. */
static void follow(struct follower *f, const struct insn *in)
{
    const struct insn_row *r = insn_row(in);
    s32 size = f->is64 ? 8 : 4;
    switch (row_template(r)) {
    case T_PUSH: move_by(f, RSP, -size); return;
    case T_POP:
        if (in->mem) {
            forget(f, 0xffff);
            return;
        }
        move_by(f, RSP, size);
        forget(f, BIT(in->rm));
        return;
    case T_LEAVE:
        f->reg[RSP] = f->reg[RBP];
        move_by(f, RSP, size);
        forget(f, BIT(RBP));
        return;
    case T_CALL:
    case T_CALL_E: move_by(f, RSP, -size); return;
    case T_RET: move_by(f, RSP, size + (r->opnd[0] == OPND_Iw ? (u16)in->imm : 0)); return;
    case T_JMP:
    case T_JCC:
    case T_JMP_E: return;
    default: break;
    }
    if (follow_constant(f, in, r))
        return;
    forget(f, jit_written(f->j, in));
    follow_range(f, in, r);
}

/* ---- accesses -------------------------------------------------------------------------------- */

struct reach {
    u16 base, index; /* origins */
    u8 scale, seg;
    gva_t page; /* of a constant address */
    s64 at;     /* relative to the origins, or the page */
    unsigned size;
    unsigned reach; /* of the index, in bytes, if it does not count */
    bool write, alone, indexed;
};

/* The access of PUSH, CALL and their like; `mem`: it has another one, and neither counts. */
static bool stack_access(const struct follower *f, const struct insn *in, struct reach *x)
{
    unsigned size = f->is64 ? 8 : 4, r = RSP;
    *x = (struct reach){.index = ORIGIN_NONE, .size = size};
    switch (row_template(insn_row(in))) {
    case T_PUSH:
    case T_CALL:
    case T_CALL_E:
        x->write = true;
        x->at = -(s64)size;
        break;
    case T_LEAVE: r = RBP; break;
    default: break;
    }
    x->base = f->reg[r].origin;
    x->at += f->reg[r].off;
    return !in->mem && whole(f, in);
}

/* Does the value of an origin come back at the end of a loop, so that it is the same all the time?
 */
static bool comes_back(const struct follower *f, u16 origin)
{
    if (origin == ORIGIN_NONE)
        return true;
    return origin < 16 && f->reg[origin].origin == origin && f->reg[origin].off == 0;
}

/* Is that a place in a table, which does not move while the loop runs, by an index that is small?
 */
static bool is_table(const struct follower *f, const struct insn *in, const struct reach *x)
{
    u32 max = f->reg[in->index].max;
    return f->at_end && !x->alone && max && max < STREAM_TABLE && comes_back(f->at_end, x->base) &&
           ((u64)max << in->scale) + x->size <= STREAM_TABLE;
}

static bool memory_access(const struct follower *f, const struct jit_block *jb,
                          const struct insn *in, struct reach *x)
{
    const struct row_traits *tr = &f->j->rows[in->row];
    enum insn_template own = row_template(insn_row(in));
    if (!in->mem || own == T_LEA || own == T_NOP || own == T_BITS ||
        !block_address_is_flat(jb->block->key, in))
        return false;
    *x = (struct reach){.base = ORIGIN_NONE, .index = ORIGIN_NONE, .at = in->disp};
    if (tr->bmi || own == T_JMP_E) {
        x->size = in->osz;
    } else if (tr->vec_ok) {
        x->size = jit_vec_bytes(tr, in);
        x->write = tr->vec_store;
        x->alone = tr->vec_aligned; /* its check is the one of alignment, too */
    } else if (own == T_MOV_SREG) {
        x->size = 2;
        x->write = true;
    } else if (tr->template_ok) {
        x->size = tr->e_size ? tr->e_size : in->osz;
        x->write = tr->writes_e;
    } else {
        return false;
    }
    x->seg = in->seg == SEG_FS || in->seg == SEG_GS ? in->seg : 0;
    if (in->base < 16) {
        x->base = f->reg[in->base].origin;
        x->at += f->reg[in->base].off;
    }
    if (in->index < 16 && is_table(f, in, x)) {
        x->reach = f->reg[in->index].max << in->scale;
        x->indexed = true;
    } else if (in->index < 16) {
        x->index = f->reg[in->index].origin;
        x->scale = in->scale;
        x->at += (s64)((u64)f->reg[in->index].off << in->scale);
    }
    if (x->base == ORIGIN_NONE && x->index == ORIGIN_NONE) {
        gva_t va = (gva_t)x->at;
        if (in->base == REG_RIP)
            va += jb->lin + (in->index == REG_4G ? 4 * GIB : 0);
        if (!f->is64)
            va = (u32)va;
        x->page = va & PAGE_MASK;
        x->at = (s64)(va & ~PAGE_MASK);
        if (x->at + x->reach + x->size > (s64)PAGE_SIZE)
            return false;
    }
    return true;
}

static bool find_access(const struct follower *f, const struct jit_block *jb, const struct insn *in,
                        struct reach *x)
{
    switch (row_template(insn_row(in))) {
    case T_PUSH:
    case T_POP:
    case T_LEAVE:
    case T_CALL:
    case T_CALL_E:
    case T_RET: return stack_access(f, in, x);
    default: return memory_access(f, jb, in, x);
    }
}

/* ---- streams --------------------------------------------------------------------------------- */

static struct jit_stream *join(struct jit_streams *s, const struct reach *x)
{
    for (unsigned i = s->count; i-- > 0;) {
        struct jit_stream *m = &s->stream[i];
        s64 end = x->at + x->reach + x->size;
        s64 low = x->at < m->low ? x->at : m->low, high = end > m->high ? end : m->high;
        bool table = m->table || x->indexed;
        if (m->alone || m->base != x->base || m->index != x->index || m->scale != x->scale ||
            m->seg != x->seg || m->page != x->page ||
            high - low > (table ? STREAM_TABLE : STREAM_SPAN))
            continue;
        m->low = (s32)low;
        m->high = (s32)high;
        m->write |= x->write;
        m->table = table;
        return m;
    }
    return NULL;
}

static u8 stream_for(struct jit *j, struct jit_streams *s, const struct reach *x, bool alone)
{
    struct jit_stream *m = alone ? NULL : join(s, x);
    if (m) {
        m->shared = true;
        m->uses++;
        return (u8)(m - s->stream);
    }
    if (!j->streams_free || x->at != (s32)x->at)
        return STREAM_NONE;
    s->stream[s->count] = (struct jit_stream){.base = x->base,
                                              .index = x->index,
                                              .scale = x->scale,
                                              .seg = x->seg,
                                              .page = x->page,
                                              .low = (s32)x->at,
                                              .high = (s32)(x->at + x->reach + x->size),
                                              .write = x->write,
                                              .alone = alone,
                                              .table = x->indexed,
                                              .uses = 1,
                                              .slot = j->stream_free[--j->streams_free]};
    return (u8)s->count++;
}

static void find_invariant(struct jit_streams *s, const struct follower *f)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct jit_stream *m = &s->stream[i];
        m->invariant = !m->alone && comes_back(f, m->base) && comes_back(f, m->index);
    }
}

static struct follower follower_at_top(const struct jit *j, struct jit_block *const *way)
{
    struct follower f = {.j = j, .is64 = way[0]->block->key & KEY_CODE64, .origins = 16};
    for (unsigned r = 0; r < 16; r++)
        f.reg[r].origin = (u16)r;
    return f;
}

/* What happens to registers along the blocks. */
static struct follower follow_all(const struct jit *j, struct jit_block *const *way, unsigned steps)
{
    struct follower f = follower_at_top(j, way);
    for (unsigned k = 0; k < steps; k++)
        for (unsigned i = 0; i < way[k]->block->count; i++)
            follow(&f, &way[k]->block->insn[i]);
    return f;
}

/* ---- registers for streams ------------------------------------------------------------------- */

/* What no instruction uses without naming it, whatever code it gets. */
#define LENDABLE (BIT(RBX) | BIT(RBP) | BIT(RSI) | BIT(RDI) | 0xf00u)

/* Guest registers that an instruction may name; some more, where operands are not general ones. */
static u32 named(const struct jit *j, const struct insn *in)
{
    const struct row_traits *tr = &j->rows[in->row];
    u32 m = row_template(insn_row(in)) == T_LEAVE ? BIT(RBP) : 0;
    bool byte_rm = !in->mem && (tr->e_size == 1 || in->osz == 1);
    m |= BIT((byte_rm ? in->rm / 8 : in->rm) & 15);
    m |= BIT((tr->byte_g ? in->reg / 8 : in->reg) & 15) | BIT(in->vvvv & 15);
    if (in->mem && in->base < 16)
        m |= BIT(in->base);
    if (in->mem && in->index < 16)
        m |= BIT(in->index);
    return m;
}

/* The stream that gains most from a register; NULL: none pays for a store and a load at the ways
 * into and out of the loop. In 32-bit code R8 to R11 are always free. */
static struct jit_stream *neediest(struct jit_streams *s, bool is64)
{
    struct jit_stream *best = NULL;
    for (unsigned i = 0; i < s->count; i++) {
        struct jit_stream *m = &s->stream[i];
        if (m->invariant && !m->reg && (m->uses > 1 || m->table || !is64) &&
            (!best || m->uses > best->uses))
            best = m;
    }
    return best;
}

static void lend_registers(struct jit_streams *s, struct jit_block *const *way, unsigned steps,
                           const struct follower *f, u32 taken)
{
    u32 free = LENDABLE & ~taken;
    struct jit_stream *m;
    for (unsigned k = 0; k < steps; k++)
        for (unsigned i = 0; i < way[k]->block->count; i++)
            free &= ~named(f->j, &way[k]->block->insn[i]);
    for (unsigned r = 16; r-- > 0 && (m = neediest(s, f->is64));) {
        if (!(free & BIT(r)))
            continue;
        m->reg = (u8)host_reg[r];
        s->lent |= BIT(r);
    }
}

void jit_streams_find(struct jit_streams *s, struct jit *j, struct jit_block *const *way,
                      unsigned steps, bool loop, u32 taken)
{
    struct follower f = follower_at_top(j, way), end = f;
    unsigned n = 0;
    bool wanted = !j->test.tlb_miss && (loop || way[0]->block->key & KEY_CPL3);
    if (loop)
        end = follow_all(j, way, steps);
    s->count = 0;
    s->lent = 0;
    for (unsigned k = 0; k < steps; k++) {
        const struct jit_block *jb = way[k];
        for (unsigned i = 0; i < jb->block->count; i++, n++) {
            const struct insn *in = &jb->block->insn[i];
            bool lone = jb->lone & BIT64(i);
            struct reach x;
            s->of[n] = STREAM_NONE;
            f.at_end = loop && !lone ? &end : NULL;
            if (wanted && !(jb->stray & BIT64(i)) && find_access(&f, jb, in, &x)) {
                s->of[n] = stream_for(j, s, &x, lone || x.alone);
                s->at[n] = (s32)x.at;
                s->size[n] = (u8)x.size;
                s->indexed[n] = x.indexed;
            }
            follow(&f, in);
        }
    }
    if (loop) {
        find_invariant(s, &f);
        lend_registers(s, way, steps, &f, taken);
    }
}

/* The operand that an invariant stream's first byte is, at the top of the trace. */
struct insn jit_stream_first(const struct jit_stream *m)
{
    struct insn in = {.mem = 1, .disp = m->low};
    in.base = m->base == ORIGIN_NONE ? REG_NONE : (u8)m->base;
    in.index = m->index == ORIGIN_NONE ? REG_NONE : (u8)m->index;
    in.scale = (u8)(m->scale & 3u) & 3u;
    in.seg = (m->seg ? m->seg : (unsigned)SEG_NONE) & 7;
    return in;
}

/* ---- life ------------------------------------------------------------------------------------ */

void jit_streams_init(struct jit *j)
{
    unsigned n = j->test.streams ? j->test.streams : TLB_STREAMS;
    j->streams_free = n;
    for (unsigned i = 0; i < n; i++)
        j->stream_free[i] = (u16)(n - 1 - i);
    tlb_forget_streams(&j->cpu->tlb);
}

/* By a clock: a trace whose first stream knows no page has not run since streams were forgotten. */
void jit_streams_reserve(struct jit *j)
{
    for (unsigned n = 0; n < TLB_STREAMS && j->streams_free < TRACE_INSNS; n++) {
        unsigned slot = j->stream_hand++ % TLB_STREAMS;
        struct jit_trace *owner = j->stream_owner[slot];
        if (owner && owner->stream[0].slot == slot && !j->cpu->tlb.stream[slot].limit)
            jit_trace_drop(j, owner);
    }
}

bool jit_streams_keep(struct jit *j, struct jit_trace *trace, const struct jit_streams *s,
                      unsigned insns)
{
    trace->streams = 0;
    trace->grouped = false;
    trace->stream = jit_data(j, s->count * sizeof *trace->stream);
    trace->stream_of = jit_data(j, insns);
    if (!trace->stream || !trace->stream_of) {
        for (unsigned i = 0; i < s->count; i++)
            j->stream_free[j->streams_free++] = s->stream[i].slot;
        return false;
    }
    memcpy(trace->stream_of, s->of, insns);
    trace->streams = s->count;
    for (unsigned i = 0; i < s->count; i++) {
        const struct jit_stream *m = &s->stream[i];
        trace->stream[i] = (struct trace_stream){
            .slot = m->slot, .grouped = m->shared || m->invariant, .since = cpu_icount(j->cpu)};
        j->stream_owner[m->slot] = trace;
        trace->grouped |= trace->stream[i].grouped;
        j->cpu->tlb.stream_patience[m->slot] = PATIENCE;
    }
    return true;
}

void jit_streams_release(struct jit *j, struct jit_trace *trace)
{
    for (unsigned i = 0; i < trace->streams; i++) {
        j->cpu->tlb.stream[trace->stream[i].slot].limit = 0;
        j->stream_owner[trace->stream[i].slot] = NULL;
        j->stream_free[j->streams_free++] = trace->stream[i].slot;
    }
    trace->streams = 0;
}

/* ---- streams that do not do well ------------------------------------------------------------- */

enum fate { FATE_NONE, FATE_STRAY, FATE_LONE };

/* Tells the instructions of the trace's blocks what the next trace shall do with their accesses. */
static void mark(struct jit_trace *trace, const enum fate *fate)
{
    unsigned n = 0;
    for (unsigned k = 0; k + 1 < trace->count; k++) {
        struct jit_block *jb = trace->step[k].jb;
        for (unsigned i = 0; i < jb->block->count; i++, n++) {
            enum fate f =
                trace->stream_of[n] == STREAM_NONE ? FATE_NONE : fate[trace->stream_of[n]];
            jb->stray |= f == FATE_STRAY ? BIT64(i) : 0;
            jb->lone |= f == FATE_LONE ? BIT64(i) : 0;
        }
    }
}

bool jit_streams_impatient(const struct jit *j, const struct jit_trace *trace)
{
    for (unsigned i = 0; i < trace->streams; i++)
        if (j->cpu->tlb.stream_patience[trace->stream[i].slot] < 0)
            return true;
    return false;
}

bool jit_streams_stray(struct jit *j, struct jit_trace *trace, u64 now)
{
    enum fate fate[TRACE_INSNS] = {FATE_NONE};
    bool any = false;
    for (unsigned i = 0; i < trace->streams; i++) {
        struct trace_stream *m = &trace->stream[i];
        s32 *patience = &j->cpu->tlb.stream_patience[m->slot];
        if (*patience >= 0)
            continue;
        if (now - m->since < PATIENCE * INSNS_PER_FILL) {
            fate[i] = FATE_STRAY;
            any = true;
        }
        *patience = PATIENCE;
        m->since = now;
    }
    if (any)
        mark(trace, fate);
    return any;
}

void jit_streams_part(struct jit_trace *trace)
{
    enum fate fate[TRACE_INSNS];
    for (unsigned i = 0; i < trace->streams; i++)
        fate[i] = trace->stream[i].grouped ? FATE_LONE : FATE_NONE;
    mark(trace, fate);
}
