/*
 * cache.c: the memory of translations: a ring of chunks.
 *
 * In a chunk, code grows up and the structures that go with it grow down, so that one size bounds
 * both. When the chunk is full the next one is emptied: its blocks are cut off from the others and
 * forgotten, and become hot again if they are still wanted. Nothing is ever flushed for want of
 * room.
 */
#include "cpu/jit/internal.h"

/* The longest block: 64 instructions, twice if it is a loop, each with a careful check and its
 * cold part; and their sites. What does not fit all the same stays with the interpreter. */
#define ROOM (40 * KIB)
#define CHUNK_MIN (64 * KIB)

/* ---- links ----------------------------------------------------------------------------------- */

void jit_node_add(struct node **head, struct node *n)
{
    n->next = *head;
    n->prev = head;
    if (n->next)
        n->next->prev = &n->next;
    *head = n;
}

void jit_node_remove(struct node *n)
{
    *n->prev = n->next;
    if (n->next)
        n->next->prev = n->prev;
}

void jit_link_add(struct jit *j, struct jit_block *from, unsigned side, struct jit_block *to)
{
    struct jit_link *l = &from->link[side];
    l->from = from;
    l->to = to;
    l->side = side;
    jit_node_add(&to->in, &l->in);
    jit_node_add(&j->chunk_list[j->chunk].paths, &l->in_chunk);
    j->stats.links++;
}

/* The code that counts computed jumps to the block goes; they are counted anew, some time. */
static void drop_counter(struct jit *j, struct jit_block *jb)
{
    if (!jb->counter)
        return;
    jit_node_remove(&jb->head.in_chunk);
    jb->counter = NULL;
    if (jb->head.heat > 0)
        jb->head.heat = 0;
    jit_relist(j, jb);
}

void jit_unlink(struct jit *j, struct jit_link *l)
{
    if (!l->to)
        return;
    if (jit_is_head(l)) {
        drop_counter(j, l->from);
        return;
    }
    if (j->recording.link == l)
        jit_record_cancel(j);
    if (l->trace)
        jit_trace_drop(j, l->trace);
    jit_set_site(l->from, l->side, l->from->unlinked[l->side]);
    jit_node_remove(&l->in);
    jit_node_remove(&l->in_chunk);
    l->to = NULL;
    j->stats.unlinks++;
}

void jit_isolate(struct jit *j, struct jit_block *jb)
{
    jit_record_cancel(j);
    while (jb->traces)
        jit_trace_drop(j, container_of(jb->traces, struct trace_step, in_block)->trace);
    while (jb->in)
        jit_unlink(j, container_of(jb->in, struct jit_link, in));
    jit_unlink(j, &jb->link[0]);
    jit_unlink(j, &jb->link[1]);
    drop_counter(j, jb);
    struct jit_target *target = &j->targets[jit_target_slot(jb->lin)];
    if (jb->listed && target->entry == jb->listed)
        target->key = 0;
}

const u8 *jit_entrance(const struct jit_block *jb)
{
    const struct jit_link *l = &jb->head;
    return l->trace ? l->trace->code : jb->counter && l->heat > 0 ? jb->counter : jb->entry;
}

void jit_relist(struct jit *j, struct jit_block *jb)
{
    struct jit_target *target = &j->targets[jit_target_slot(jb->lin)];
    bool there = jb->listed && target->entry == jb->listed;
    jb->listed = rx_of(j, jit_entrance(jb));
    if (there)
        target->entry = jb->listed;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void open_chunk(struct jit *j, unsigned n)
{
    j->chunk = n;
    j->next = j->last = j->first + n * j->chunk_bytes;
    j->end = j->next + j->chunk_bytes;
    j->chunk_list[n] = (struct jit_chunk){0};
}

void jit_cache_init(struct jit *j)
{
    memset(j->targets, 0, sizeof j->targets);
    u64 bytes = (u64)(j->code.rw + j->code.bytes - j->first);
    j->chunks = bytes / CHUNK_MIN < CHUNKS_MAX ? (unsigned)(bytes / CHUNK_MIN) : CHUNKS_MAX;
    BUG_ON(!j->chunks);
    j->chunk_bytes = bytes / j->chunks & ~15ull;
    memset(j->chunk_list, 0, sizeof j->chunk_list);
    jit_record_cancel(j);
    jit_streams_init(j);
    open_chunk(j, 0);
}

void jit_cache_add(struct jit *j, struct jit_block *jb)
{
    jb->chunk_next = j->chunk_list[j->chunk].blocks;
    j->chunk_list[j->chunk].blocks = jb;
}

/* Takes a translation from its block, which the interpreter runs from now on if that was the last
 * one. A dead block's memory may be another's by now. */
static void forget(struct jit *j, struct jit_block *jb)
{
    jit_isolate(j, jb);
    if (jb->dead)
        return;
    struct block *b = jb->block;
    struct jit_block **p = &b->jit;
    while (*p != jb)
        p = &(*p)->other;
    *p = jb->other;
    if (!b->jit) {
        b->insn[0].fn = b->first_fn;
        b->hits = j->cpu->jit_warm;
    }
}

static void evict(struct jit *j, struct jit_chunk *c)
{
    for (struct jit_block *jb = c->blocks; jb; jb = jb->chunk_next)
        forget(j, jb);
    while (c->traces)
        jit_trace_drop(j, container_of(c->traces, struct jit_trace, in_chunk));
    while (c->paths)
        jit_unlink(j, container_of(c->paths, struct jit_link, in_chunk));
}

void jit_make_room(struct jit *j)
{
    if (j->end - j->next >= (s64)ROOM)
        return;
    unsigned n = (j->chunk + 1) % j->chunks;
    if (j->chunk_list[n].blocks || j->chunk_list[n].paths || j->chunk_list[n].traces) {
        evict(j, &j->chunk_list[n]);
        j->stats.evictions++;
    }
    open_chunk(j, n);
}

void *jit_data(struct jit *j, u64 bytes)
{
    bytes = align_up(bytes, 16);
    if ((u64)(j->end - j->next) < bytes)
        return NULL;
    j->end -= bytes;
    return memset(j->end, 0, bytes);
}
