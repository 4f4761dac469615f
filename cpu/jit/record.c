/*
 * record.c: which blocks a trace is made of.
 *
 * A link that goes backwards or is a CALL's is counted, and so are the computed jumps to a block.
 * When they are many, the interpreter runs what follows, and the blocks that it comes through are
 * recorded until it is back where it began, or at something that does not belong into a trace.
 * trace.c makes one of them.
 *
 * They all lie in the page that the trace is entered from, or in pages with guards that outlive
 * MOV CR3: a program's have numbers (tlb_note_code), the kernel's global ones an epoch.
 *
 * Bala, Duesterwald, Banerjia: "Dynamo: A Transparent Dynamic Optimization System", PLDI 2000, has
 * this way of choosing traces.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

#define RETRIES 10 /* recordings that are given up because they leave the loop */

/* ---- what belongs into a trace --------------------------------------------------------------- */

static bool same_page(const struct jit_block *a, const struct jit_block *b)
{
    return ((a->lin ^ b->lin) & PAGE_MASK) == 0;
}

bool jit_is_apart(const struct jit_block *from, const struct jit_block *jb)
{
    return !same_page(from, jb) || jb->block->gpa2 != ~0ull;
}

/* May a trace that is entered from a block come through another? */
static bool fits(const struct jit_block *from, const struct jit_block *jb)
{
    u32 key = from->block->key;
    return jb->block->key == key && jb->end_key == key && !jb->block->probes &&
           (!jit_is_apart(from, jb) || key & KEY_CPL3 || jb->global);
}

bool jit_link_is_counted(const struct jit_link *l, const struct jit_block *from,
                         const struct jit_block *to)
{
    return l->heat >= 0 && fits(from, to) && from->end_key == from->block->key &&
           (from->is_call || l->leaves_trace || to->lin <= from->lin);
}

/* ---- recording ------------------------------------------------------------------------------- */

void jit_record_begin(struct jit *j, struct jit_link *l)
{
    if (!j->recording.link && !l->trace)
        j->recording = (struct jit_recording){.link = l};
}

void jit_record_cancel(struct jit *j)
{
    struct jit_link *l = j->recording.link;
    j->recording.link = NULL;
    if (l && !l->trace)
        l->heat = HEAT_AGAIN;
}

/* Did the interpreter come here from the block that was recorded last, and only that? */
static bool follows(const struct cpu *cpu, const struct jit_recording *r, const struct block *from)
{
    const struct jit_block *last = r->block[r->count - 1];
    if (cpu->left != r->left - last->block->count)
        return false;
    if (from)
        return from == last->block && cpu->from_lin == last->lin;
    enum insn_template end = row_template(insn_row(&last->block->insn[last->block->count - 1]));
    return end == T_RET || end == T_JMP_E || end == T_CALL_E;
}

static bool recorded(const struct jit_recording *r, const struct jit_block *jb)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->block[i] == jb)
            return true;
    return false;
}

/* The page of the block that is about to run. False: there is no room for it. */
static bool record_page(struct cpu *cpu, gva_t lin, gpa_t gpa)
{
    struct jit_recording *r = &cpu->jit->recording;
    lin &= PAGE_MASK;
    if (lin == (r->link->from->lin & PAGE_MASK))
        return true;
    for (unsigned i = 0; i < r->pages; i++)
        if (r->page[i].lin == lin)
            return true;
    if (r->pages == TRACE_PAGES)
        return false;
    r->page[r->pages].lin = lin;
    r->page[r->pages++].number = tlb_note_code(&cpu->tlb, lin, gpa);
    return true;
}

static bool record_pages(struct cpu *cpu, const struct jit_block *jb)
{
    struct jit_recording *r = &cpu->jit->recording;
    const struct block *b = jb->block;
    if (!(b->key & KEY_CPL3)) {
        if (!r->count)
            r->epoch = (u32)cpu->tlb.epoch_global;
        r->apart |= jit_is_apart(r->link->from, jb);
        return true;
    }
    return record_page(cpu, jb->lin, b->gpa) &&
           (b->gpa2 == ~0ull || record_page(cpu, jb->lin + PAGE_SIZE, b->gpa2));
}

/* Did the way come round to the jump that it began with, which now goes the other way? Then the
 * loop happened to end; it is better recorded when it goes on, but for those that never do. */
static bool leaves_loop(const struct jit_recording *r, unsigned side)
{
    struct jit_link *l = r->link;
    if (jit_is_head(l) || r->block[r->count - 1] != l->from || side == l->side ||
        l->retries == RETRIES)
        return false;
    l->retries++;
    return true;
}

/* Does a way that began at a head come to the next one? What a RET finds is mostly known. */
static bool meets_head(const struct jit_recording *r)
{
    const struct block *b = r->block[r->count - 1]->block;
    enum insn_template end = row_template(insn_row(&b->insn[b->count - 1]));
    return jit_is_head(r->link) && (end == T_JMP_E || end == T_CALL_E);
}

bool jit_record(struct cpu *cpu, struct jit_block *jb, const struct block *from, unsigned side)
{
    struct jit *j = cpu->jit;
    struct jit_recording *r = &j->recording;
    unsigned n = r->count;
    if (n && !follows(cpu, r, from)) {
        jit_trace_make(j, false);
        return false;
    }
    if (n && leaves_loop(r, side)) {
        r->link->heat = HEAT_BETTER;
        r->link = NULL;
        return false;
    }
    if (n)
        r->side[n - 1] = from ? (u8)side : SIDE_COMPUTED;
    if (n && meets_head(r)) {
        jit_trace_make(j, false);
        return false;
    }
    if (n && jb == r->block[0]) {
        jit_trace_make(j, true);
        return false;
    }
    if (n == TRACE_BLOCKS || r->insns + jb->block->count > TRACE_INSNS || recorded(r, jb) ||
        !fits(r->link->from, jb) || !record_pages(cpu, jb)) {
        jit_trace_make(j, false);
        return false;
    }
    r->block[n] = jb;
    r->left = cpu->left;
    r->insns += jb->block->count;
    r->count++;
    return true;
}

void jit_record_head(struct cpu *cpu, struct jit_block *jb)
{
    struct jit *j = cpu->jit;
    if (j->recording.link) {
        jb->head.heat = HEAT_BETTER;
        return;
    }
    jit_record_begin(j, &jb->head);
    jit_record(cpu, jb, NULL, SIDE_COMPUTED);
}
