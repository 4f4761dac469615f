/*
 * virtio.c: virtqueues (virtio.h). All that is read of a ring is copied once and checked: addresses
 * by dma.h, chains by their length, indices by the queue's size.
 *
 * Specification: VIRTIO 1.2, sections 2.7 and 2.8.
 */
#include "devices/virtio.h"

#include "base/bits.h"
#include "mmu/dma.h"

#define DESC_NEXT BIT(0)
#define DESC_WRITE BIT(1)
#define DESC_INDIRECT BIT(2)
#define DESC_AVAIL BIT(7)
#define DESC_USED BIT(15)
#define DESC_BYTES 16u

#define AVAIL_NO_INTERRUPT BIT(0)
enum { EVENT_ENABLE, EVENT_DISABLE, EVENT_DESC };

struct descriptor {
    u64 address;
    u32 len;
    u16 flags;
    u16 next; /* split: next; packed: buffer id */
};

static struct phys *memory(const struct virtio *v)
{
    return v->pci.dev.env->phys;
}

void virtio_broken(struct virtio *v)
{
    TRACE(virtio_broken, v->pci.devfn);
    v->status |= VIRTIO_STATUS_NEEDS_RESET;
    virtio_send(v, v->config_vector, 2);
}

static bool broken(struct virtio *v)
{
    virtio_broken(v);
    return false;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static bool read_descriptor(struct virtio *v, u64 at, bool packed, struct descriptor *d)
{
    u8 b[DESC_BYTES];

    if (!dma_read(memory(v), at, b, sizeof b))
        return false;
    d->address = ld_le64(b);
    d->len = ld_le32(b + 8);
    d->flags = ld_le16(b + (packed ? 14 : 12));
    d->next = ld_le16(b + (packed ? 12 : 14));
    return true;
}

/* Readable segments come before writable ones (2.7.4.2, 2.8.17). */
static bool add_segment(struct virtio_chain *c, const struct descriptor *d)
{
    unsigned n = c->reads + c->writes;

    if (n == VIRTIO_SEGMENTS_MAX || (c->writes && !(d->flags & DESC_WRITE)))
        return false;
    c->segment[n] = (struct virtio_segment){d->address, d->len};
    if (d->flags & DESC_WRITE) {
        c->writes++;
        c->write_bytes += d->len;
    } else {
        c->reads++;
        c->read_bytes += d->len;
    }
    return true;
}

/* A table of descriptors in memory of its own: linked in a split queue, in order in a packed one.
 */
static bool add_indirect(struct virtio *v, struct virtio_chain *c, const struct descriptor *table)
{
    bool packed = virtio_has(v, VIRTIO_F_RING_PACKED);
    u32 count = table->len / DESC_BYTES;
    u32 n = 0;

    if (!virtio_has(v, VIRTIO_F_INDIRECT_DESC) || table->len % DESC_BYTES || !count ||
        table->flags & (packed ? 0 : DESC_NEXT))
        return false;
    for (u32 steps = 0; steps < count; steps++) {
        struct descriptor d;

        if (!read_descriptor(v, table->address + (u64)n * DESC_BYTES, packed, &d) ||
            d.flags & DESC_INDIRECT || !add_segment(c, &d))
            return false;
        if (packed)
            n++;
        else if (!(d.flags & DESC_NEXT))
            return true;
        else if (d.next >= count)
            return false;
        else
            n = d.next;
    }
    return packed; /* a split chain that is longer than its table is a loop */
}

/* ---- split queues ---------------------------------------------------------------------------- */

static u64 split_avail(const struct virtqueue *q, u16 n)
{
    return q->driver + 4 + 2u * (n & (q->size - 1u));
}

static bool split_chain(struct virtio *v, struct virtqueue *q, struct virtio_chain *c)
{
    u16 n = c->id;

    for (unsigned steps = 0; steps < q->size; steps++) {
        struct descriptor d;

        if (n >= q->size || !read_descriptor(v, q->desc + (u64)n * DESC_BYTES, false, &d))
            return false;
        if (d.flags & DESC_INDIRECT)
            return add_indirect(v, c, &d);
        if (!add_segment(c, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        n = d.next;
    }
    return false;
}

/* Is there a request? With EVENT_IDX, the driver is told which one it has to notify us of. */
static bool split_ready(struct virtio *v, struct virtqueue *q)
{
    u16 pending = (u16)(dma_read16(memory(v), q->driver + 2) - q->next);

    if (!pending && virtio_has(v, VIRTIO_F_EVENT_IDX)) {
        dma_write16(memory(v), q->device + 4 + 8u * q->size, q->next);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* against the driver's index, then event */
        pending = (u16)(dma_read16(memory(v), q->driver + 2) - q->next);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return pending && (pending <= q->size || broken(v));
}

static bool split_pop(struct virtio *v, struct virtqueue *q, struct virtio_chain *c)
{
    if (!split_ready(v, q))
        return false;
    c->id = dma_read16(memory(v), split_avail(q, q->next));
    c->descriptors = 1;
    q->next++;
    return split_chain(v, q, c) || broken(v);
}

static void split_push(struct virtio *v, struct virtqueue *q, const struct virtio_used *u,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++, q->used++) {
        u8 entry[8];

        st_le32(entry, u[i].id);
        st_le32(entry + 4, u[i].written);
        dma_write(memory(v), q->device + 4 + 8u * (q->used & (q->size - 1u)), entry, sizeof entry);
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write16(memory(v), q->device + 2, q->used);
    q->since = (u16)(q->since + count);
}

static bool split_wants_interrupt(struct virtio *v, const struct virtqueue *q)
{
    u16 event;

    if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
        return !(dma_read16(memory(v), q->driver) & AVAIL_NO_INTERRUPT);
    event = dma_read16(memory(v), split_avail(q, 0) + 2u * q->size);
    return (u16)(q->used - event - 1) < q->since;
}

/* ---- packed queues --------------------------------------------------------------------------- */

static void packed_advance(u16 *at, bool *wrap, u16 by, u16 size)
{
    *at = (u16)(*at + by);
    if (*at >= size) {
        *at = (u16)(*at - size);
        *wrap = !*wrap;
    }
}

static u64 packed_place(const struct virtqueue *q, u16 n)
{
    return q->desc + (u64)n * DESC_BYTES;
}

static bool packed_ready(struct virtio *v, const struct virtqueue *q)
{
    u16 flags = dma_read16(memory(v), packed_place(q, q->next) + 14);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return !!(flags & DESC_AVAIL) == q->next_wrap && !!(flags & DESC_USED) != q->next_wrap;
}

static bool packed_chain(struct virtio *v, struct virtqueue *q, struct virtio_chain *c)
{
    u16 at = q->next;
    bool wrap = q->next_wrap;

    for (c->descriptors = 0; c->descriptors < q->size;) {
        struct descriptor d;

        if (!read_descriptor(v, packed_place(q, at), true, &d))
            return false;
        c->descriptors++;
        packed_advance(&at, &wrap, 1, q->size);
        c->id = d.next;
        if (d.flags & DESC_INDIRECT ? c->descriptors > 1 || !add_indirect(v, c, &d)
                                    : !add_segment(c, &d))
            return false;
        if (d.flags & DESC_NEXT)
            continue;
        q->next = at;
        q->next_wrap = wrap;
        return true;
    }
    return false;
}

static bool packed_pop(struct virtio *v, struct virtqueue *q, struct virtio_chain *c)
{
    return packed_ready(v, q) && (packed_chain(v, q, c) || broken(v));
}

/* Written with its flags last: they make it the driver's (2.8.14). */
static void packed_write(struct virtio *v, u64 at, bool wrap, const struct virtio_used *u)
{
    u8 entry[6];

    st_le32(entry, u->written);
    st_le16(entry + 4, u->id);
    dma_write(memory(v), at + 8, entry, sizeof entry);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write16(memory(v), at + 14,
                (u16)((wrap ? DESC_AVAIL | DESC_USED : 0) | (u->written ? DESC_WRITE : 0)));
}

/* The driver looks at the first: it comes last. */
static void packed_push(struct virtio *v, struct virtqueue *q, const struct virtio_used *u,
                        unsigned count)
{
    u64 first = packed_place(q, q->used);
    bool first_wrap = q->used_wrap;

    for (unsigned i = 0; i < count; i++) {
        if (i)
            packed_write(v, packed_place(q, q->used), q->used_wrap, &u[i]);
        packed_advance(&q->used, &q->used_wrap, u[i].descriptors, q->size);
        q->since = (u16)(q->since + u[i].descriptors);
    }
    packed_write(v, first, first_wrap, &u[0]);
}

static bool packed_wants_interrupt(struct virtio *v, const struct virtqueue *q)
{
    u16 flags = dma_read16(memory(v), q->driver + 2) & 3, off_wrap;
    int event;

    if (flags != EVENT_DESC || !virtio_has(v, VIRTIO_F_EVENT_IDX))
        return flags != EVENT_DISABLE;
    off_wrap = dma_read16(memory(v), q->driver);
    event = off_wrap & 0x7fff;
    if ((off_wrap >> 15 & 1) != q->used_wrap)
        event -= q->size;
    return (u16)(q->used - event - 1) < q->since;
}

/* ---- both ------------------------------------------------------------------------------------ */

bool virtio_pop(struct virtio *v, unsigned queue, struct virtio_chain *c)
{
    struct virtqueue *q = &v->queue[queue];

    c->reads = c->writes = 0;
    c->read_bytes = c->write_bytes = 0;
    if (v->status & VIRTIO_STATUS_NEEDS_RESET || !q->enabled)
        return false;
    return virtio_has(v, VIRTIO_F_RING_PACKED) ? packed_pop(v, q, c) : split_pop(v, q, c);
}

void virtio_push_all(struct virtio *v, unsigned queue, const struct virtio_used *u, unsigned count)
{
    struct virtqueue *q = &v->queue[queue];

    if (!count)
        return;
    if (virtio_has(v, VIRTIO_F_RING_PACKED))
        packed_push(v, q, u, count);
    else
        split_push(v, q, u, count);
}

void virtio_push(struct virtio *v, unsigned queue, u16 id, u16 descriptors, u32 written)
{
    virtio_push_all(v, queue, &(struct virtio_used){id, descriptors, written}, 1);
}

struct virtio_place virtio_place(const struct virtio *v, unsigned queue)
{
    return (struct virtio_place){v->queue[queue].next, v->queue[queue].next_wrap};
}

void virtio_rewind(struct virtio *v, unsigned queue, struct virtio_place p)
{
    v->queue[queue].next = p.next;
    v->queue[queue].next_wrap = p.wrap;
}

void virtio_interrupt(struct virtio *v, unsigned queue)
{
    struct virtqueue *q = &v->queue[queue];
    bool wanted;

    if (!q->since)
        return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* what was used, before what the driver wants */
    wanted = virtio_has(v, VIRTIO_F_RING_PACKED) ? packed_wants_interrupt(v, q)
                                                 : split_wants_interrupt(v, q);
    q->since = 0;
    if (wanted)
        virtio_send(v, q->vector, 1);
}

/* Walks over bytes [off, off + len) of `count` segments. */
static bool copy(struct virtio *v, const struct virtio_segment *s, unsigned count, u64 off, u8 *buf,
                 u64 len, bool to_guest)
{
    for (; len && count; s++, count--) {
        u64 n;

        if (off >= s->len) {
            off -= s->len;
            continue;
        }
        n = s->len - off < len ? s->len - off : len;
        if (!(to_guest ? dma_write(memory(v), s->address + off, buf, n)
                       : dma_read(memory(v), s->address + off, buf, n)))
            return false;
        off = 0;
        buf += n;
        len -= n;
    }
    return !len;
}

bool virtio_read(struct virtio *v, const struct virtio_chain *c, u64 off, void *buf, u64 len)
{
    return copy(v, c->segment, c->reads, off, buf, len, false);
}

bool virtio_write(struct virtio *v, const struct virtio_chain *c, u64 off, const void *buf, u64 len)
{
    return copy(v, c->segment + c->reads, c->writes, off, (u8 *)(uintptr_t)buf, len, true);
}

bool virtio_pieces(struct virtio *v, const struct virtio_chain *c, u64 len, struct dma_pieces *p)
{
    const struct virtio_segment *s = c->segment + c->reads;

    dma_pieces_begin(p, memory(v));
    for (unsigned i = 0; len && i < c->writes; i++) {
        u64 n = s[i].len < len ? s[i].len : len;

        if (!dma_pieces_add(p, s[i].address, n))
            return false;
        len -= n;
    }
    return !len;
}
