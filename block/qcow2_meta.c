/* qcow2_meta.c: tables of a qcow2 image: caches, allocation, the order of writes (qcow2.h). */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define L2_CACHE_BYTES (4 * MIB)
#define REFBLOCK_CACHE_BYTES (2 * MIB)
/* Clusters beyond the end of the file that are in use: tables that were not written yet. More are the
 * work of a hostile image, in which nothing is ever free. */
#define BEYOND_END_MAX 65536u
#define FREED_MAX 65536u /* then the tables are written */

/* ---- ranges of arrays ------------------------------------------------------------------------ */

static void range_add(struct qcow2_range *r, u64 n)
{
    if (r->first == r->end)
        *r = (struct qcow2_range){n, n + 1};
    if (n < r->first)
        r->first = n;
    if (n >= r->end)
        r->end = n + 1;
}

/* Writes the entries in the range to the array at `offset`. */
static int write_range(struct image *i, u64 offset, const u64 *array, struct qcow2_range *r)
{
    u64 count = r->end - r->first;
    u8 *b;
    int e;

    if (!count)
        return 0;
    b = malloc(count * 8);
    if (!b)
        return ENOMEM;
    for (u64 n = 0; n < count; n++)
        st_be(b + n * 8, array[r->first + n], 8);
    e = file_write(&i->file, offset + r->first * 8, b, count * 8);
    free(b);
    if (!e)
        *r = (struct qcow2_range){0, 0};
    return e;
}

static int barrier(struct image *i)
{
    return i->cache == CACHE_UNSAFE ? 0 : file_sync(&i->file);
}

/* ---- caches ---------------------------------------------------------------------------------- */

static bool cache_init(struct qcow2_cache *c, u64 bytes, u64 cluster)
{
    u64 n = bytes / cluster;

    c->slots = n < 4 ? 4 : n > 256 ? 256 : (unsigned)n;
    c->slot = calloc(c->slots, sizeof *c->slot);
    return c->slot != NULL;
}

static void cache_destroy(struct qcow2_cache *c)
{
    for (unsigned n = 0; c->slot && n < c->slots; n++)
        free(c->slot[n].data);
    free(c->slot);
}

static int cache_write(struct image *i, struct qcow2_cache *c)
{
    struct qcow2 *q = i->priv;

    for (unsigned n = 0; n < c->slots; n++) {
        struct qcow2_table *t = &c->slot[n];
        int e = t->dirty ? file_write(&i->file, t->offset, t->data, q->cluster) : 0;

        if (e)
            return e;
        t->dirty = false;
    }
    return 0;
}

static struct qcow2_table *cache_find(struct qcow2_cache *c, u64 offset)
{
    if (c->slot[c->last].offset == offset)
        return &c->slot[c->last];
    for (unsigned n = 0; n < c->slots; n++)
        if (c->slot[n].offset == offset) {
            c->last = n;
            return &c->slot[n];
        }
    return NULL;
}

/* The slot that was not asked for the longest, clean and with memory. */
static int cache_evict(struct image *i, struct qcow2_cache *c, struct qcow2_table **victim)
{
    struct qcow2 *q = i->priv;
    struct qcow2_table *t = &c->slot[0];
    int e;

    for (unsigned n = 1; n < c->slots; n++)
        if (c->slot[n].used < t->used)
            t = &c->slot[n];
    if (t->dirty && (e = qcow2_write_tables(i)))
        return e;
    if (!t->data)
        t->data = malloc(q->cluster);
    t->offset = 0;
    *victim = t;
    return t->data ? 0 : ENOMEM;
}

/* The table at `offset`; with `fresh` it is a new one, of zeroes. Good until the next call. */
static int cache_get(struct image *i, struct qcow2_cache *c, u64 offset, bool fresh,
                     struct qcow2_table **out)
{
    struct qcow2 *q = i->priv;
    struct qcow2_table *t = cache_find(c, offset);
    int e;

    if (!t) {
        e = cache_evict(i, c, &t);
        if (e)
            return e;
        e = fresh ? 0 : file_read(&i->file, offset, t->data, q->cluster);
        if (e)
            return e;
        t->offset = offset;
        c->last = (unsigned)(t - c->slot);
    }
    if (fresh) {
        memset(t->data, 0, q->cluster);
        t->dirty = true;
    }
    t->used = ++q->clock;
    *out = t;
    return 0;
}

/* ---- refcounts ------------------------------------------------------------------------------- */

u64 qcow2_refcount_at(const u8 *block, unsigned order, u64 n)
{
    unsigned bits = 1u << order, shift = (unsigned)(n * bits % 8);

    if (order >= 3)
        return ld_be(block + n * (bits / 8), bits / 8);
    return block[n * bits / 8] >> shift & ((1u << bits) - 1);
}

void qcow2_refcount_put(u8 *block, unsigned order, u64 n, u64 count)
{
    unsigned bits = 1u << order, shift = (unsigned)(n * bits % 8);
    u8 *at = block + n * bits / 8;

    if (order >= 3)
        st_be(at, count, bits / 8);
    else
        *at = (u8)((*at & ~(((1u << bits) - 1) << shift)) | (unsigned)count << shift);
}

/* The block of refcounts that cluster n is in; *t NULL: there is none. */
static int refblock_get(struct image *i, u64 n, struct qcow2_table **t)
{
    struct qcow2 *q = i->priv;
    u64 k = n / qcow2_refblock_entries(q);
    u64 offset = k < q->reftable_entries ? q->reftable[k] & QCOW2_OFFSET : 0;

    *t = NULL;
    if (!offset)
        return 0;
    return offset % q->cluster ? EIO : cache_get(i, &q->refblocks, offset, false, t);
}

int qcow2_refcount(struct image *i, u64 n, u64 *count)
{
    struct qcow2 *q = i->priv;
    struct qcow2_table *t;
    int e = refblock_get(i, n, &t);

    *count = 0;
    if (!e && t)
        *count = qcow2_refcount_at(t->data, q->h.refcount_order, n % qcow2_refblock_entries(q));
    return e;
}

static int refcount_set(struct image *i, u64 n, u64 count)
{
    struct qcow2 *q = i->priv;
    struct qcow2_table *t;
    int e = refblock_get(i, n, &t);

    if (e || !t)
        return e ? e : EIO;
    qcow2_refcount_put(t->data, q->h.refcount_order, n % qcow2_refblock_entries(q), count);
    t->dirty = true;
    return 0;
}

/* Takes a reference away; the cluster is free at 0. Less than 0 is damage that is not made worse.
 */
static int refcount_drop(struct image *i, u64 n)
{
    struct qcow2 *q = i->priv;
    u64 count;
    int e = qcow2_refcount(i, n, &count);

    if (e || !count)
        return e;
    e = refcount_set(i, n, count - 1);
    if (!e && count == 1) {
        if (n < q->free_hint)
            q->free_hint = n;
        file_punch(&i->file, n * q->cluster, q->cluster); /* else the file only stays larger */
    }
    return e;
}

/* ---- the reference table --------------------------------------------------------------------- */

/* A block of refcounts for cluster n, which is free as all of its neighbours are: the block takes
 * the cluster itself and counts itself. */
static int refblock_add(struct image *i, u64 n)
{
    struct qcow2 *q = i->priv;
    u64 per = qcow2_refblock_entries(q);
    struct qcow2_table *t;
    int e = cache_get(i, &q->refblocks, n * q->cluster, true, &t);

    if (e)
        return e;
    qcow2_refcount_put(t->data, q->h.refcount_order, n % per, 1);
    q->reftable[n / per] = n * q->cluster;
    range_add(&q->reftable_dirty, n / per);
    return 0;
}

static int write_reftable_header(struct image *i)
{
    struct qcow2 *q = i->priv;
    u8 b[12];

    st_be(b, q->h.reftable_offset, 8);
    st_be(b + 8, q->h.reftable_clusters, 4);
    return file_write(&i->file, 48, b, sizeof b);
}

/* The blocks that count the new table at clusters [start, start + clusters) and themselves behind
 * it. */
static int reftable_count_itself(struct image *i, u64 start, u64 clusters, u64 blocks)
{
    struct qcow2 *q = i->priv;
    u64 per = qcow2_refblock_entries(q);

    for (u64 b = 0; b < blocks; b++) {
        struct qcow2_table *t;
        u64 at = start + clusters + b;
        int e = cache_get(i, &q->refblocks, at * q->cluster, true, &t);

        if (e)
            return e;
        for (u64 n = 0; n < per && b * per + n < clusters + blocks; n++)
            qcow2_refcount_put(t->data, q->h.refcount_order, n, 1);
        q->reftable[start / per + b] = at * q->cluster;
    }
    return 0;
}

static int reftable_replace(struct image *i, u64 *table, u64 entries, u64 start)
{
    struct qcow2 *q = i->priv;
    u64 per = qcow2_refblock_entries(q), clusters = entries * 8 / q->cluster, blocks = 1;
    u64 old_at = q->h.reftable_offset / q->cluster, old_clusters = q->h.reftable_clusters;
    struct qcow2_range all = {0, entries};
    int e;

    while (blocks * per < clusters + blocks)
        blocks++;
    memcpy(table, q->reftable, q->reftable_entries * 8);
    free(q->reftable);
    q->reftable = table;
    q->reftable_entries = entries;
    e = reftable_count_itself(i, start, clusters, blocks);
    if (!e)
        e = cache_write(i, &q->refblocks);
    if (!e)
        e = write_range(i, start * q->cluster, q->reftable, &all);
    if (!e)
        e = barrier(i);
    q->broken = e; /* the file still has the old one: nothing more may be written by the new */
    if (e)
        return e;
    q->reftable_dirty = (struct qcow2_range){0, 0};
    q->h.reftable_offset = start * q->cluster;
    q->h.reftable_clusters = (u32)clusters;
    e = write_reftable_header(i);
    for (u64 n = 0; !e && n < old_clusters; n++)
        e = refcount_drop(i, old_at + n);
    return e ? e : barrier(i);
}

/* A larger table, in clusters that no block counts yet: it begins at the first of block `need`. */
static int reftable_grow(struct image *i, u64 need)
{
    struct qcow2 *q = i->priv;
    u64 per_cluster = q->cluster / 8, per = qcow2_refblock_entries(q);
    u64 entries = q->reftable_entries * 2 > need + 64 ? q->reftable_entries * 2 : need + 64;
    u64 *table;

    entries += (per_cluster - entries % per_cluster) % per_cluster;
    entries += per_cluster * (entries / per_cluster / per + 1); /* room for its own blocks */
    if (entries * 8 > QCOW2_REFTABLE_MAX_BYTES)
        return EFBIG;
    table = calloc(entries, 8);
    return table ? reftable_replace(i, table, entries, need * per) : ENOMEM;
}

/* ---- allocation ------------------------------------------------------------------------------ */

/* Is the cluster free, with a block that counts it? *again: a block was made of it, look further.
 */
static int is_free(struct image *i, u64 n, bool *free_, bool *again)
{
    struct qcow2 *q = i->priv;
    struct qcow2_table *t;
    u64 k = n / qcow2_refblock_entries(q);
    u64 count;
    int e;

    *again = *free_ = false;
    if (k >= q->reftable_entries) {
        *again = true;
        return reftable_grow(i, k);
    }
    e = refblock_get(i, n, &t);
    if (e)
        return e;
    if (!t) {
        *again = true;
        return refblock_add(i, n);
    }
    count = qcow2_refcount_at(t->data, q->h.refcount_order, n % qcow2_refblock_entries(q));
    *free_ = !count;
    return 0;
}

int qcow2_alloc(struct image *i, u64 want, u64 *offset, u64 *got)
{
    struct qcow2 *q = i->priv;
    u64 start = q->free_hint, n = 0;

    while (n < want) {
        bool free_, again;
        int e;

        if ((start + n) * q->cluster >= IMAGE_MAX_BYTES)
            return EFBIG;
        if (start + n > i->file.bytes / q->cluster + BEYOND_END_MAX)
            return EIO;
        e = is_free(i, start + n, &free_, &again);
        if (e)
            return e;
        if (free_)
            n++;
        else if (n)
            break;
        else
            start += !again; /* what became a block is seen as taken when it is looked at again */
    }
    for (u64 k = 0; k < n; k++) {
        int e = refcount_set(i, start + k, 1);

        if (e)
            return e;
    }
    q->free_hint = start + n;
    *offset = start * q->cluster;
    *got = n;
    return 0;
}

static int free_later(struct image *i, u64 cluster)
{
    struct qcow2 *q = i->priv;

    if (q->freed_count == q->freed_cap) {
        size_t cap = q->freed_cap ? q->freed_cap * 2 : 256;
        u64 *more = realloc(q->freed, cap * sizeof *more);

        if (!more)
            return ENOMEM;
        q->freed = more;
        q->freed_cap = cap;
    }
    q->freed[q->freed_count++] = cluster;
    return 0;
}

void qcow2_compressed(const struct qcow2 *q, u64 entry, u64 *offset, u64 *bytes)
{
    unsigned x = 62 - (q->h.cluster_bits - 8);
    u64 sectors = (entry >> x & (BIT64(62 - x) - 1)) + 1;

    *offset = entry & (BIT64(x) - 1);
    *bytes = sectors * 512 - *offset % 512;
}

int qcow2_free_entry(struct image *i, u64 entry)
{
    struct qcow2 *q = i->priv;
    u64 offset = entry & QCOW2_OFFSET, bytes = offset ? 1 : 0;
    int e = 0;

    if (entry & QCOW2_COMPRESSED)
        qcow2_compressed(q, entry, &offset, &bytes);
    for (u64 n = offset / q->cluster; bytes && !e && n <= (offset + bytes - 1) / q->cluster; n++)
        e = free_later(i, n);
    return e;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int l2_get(struct image *i, u64 n, struct qcow2_table **t)
{
    struct qcow2 *q = i->priv;
    u64 offset = q->l1[n / qcow2_l2_entries(q)] & QCOW2_OFFSET;

    *t = NULL;
    if (!offset)
        return 0;
    return offset % q->cluster ? EIO : cache_get(i, &q->l2, offset, false, t);
}

int qcow2_entry_get(struct image *i, u64 n, u64 *entry)
{
    struct qcow2 *q = i->priv;
    struct qcow2_table *t;
    int e = l2_get(i, n, &t);

    *entry = 0;
    if (e || !t)
        return e;
    *entry = ld_be(t->data + n % qcow2_l2_entries(q) * 8, 8);
    if (!(*entry & QCOW2_COMPRESSED) && (*entry & QCOW2_OFFSET) % q->cluster)
        return EIO;
    return 0;
}

/* A table of its own for the entry: where there is none, or one that a snapshot has too. */
static int l2_own(struct image *i, u64 n, struct qcow2_table **t)
{
    struct qcow2 *q = i->priv;
    u64 *l1 = &q->l1[n / qcow2_l2_entries(q)], old = *l1, offset, got;
    u8 *copy = NULL;
    int e = l2_get(i, n, t);

    if (e || (*t && old & QCOW2_COPIED))
        return e;
    if (*t) {
        copy = malloc(q->cluster);
        if (!copy)
            return ENOMEM;
        memcpy(copy, (*t)->data, q->cluster);
    }
    e = qcow2_alloc(i, 1, &offset, &got);
    if (!e)
        e = cache_get(i, &q->l2, offset, true, t);
    if (!e && copy)
        memcpy((*t)->data, copy, q->cluster);
    free(copy);
    if (e)
        return e;
    *l1 = offset | QCOW2_COPIED;
    range_add(&q->l1_dirty, n / qcow2_l2_entries(q));
    return old & QCOW2_OFFSET ? free_later(i, (old & QCOW2_OFFSET) / q->cluster) : 0;
}

int qcow2_entry_set(struct image *i, u64 n, u64 entry)
{
    struct qcow2 *q = i->priv;
    struct qcow2_table *t;
    int e = q->broken ? EIO : q->freed_count >= FREED_MAX ? qcow2_write_tables(i) : 0;

    if (!e)
        e = l2_own(i, n, &t);
    if (e)
        return e;
    st_be(t->data + n % qcow2_l2_entries(q) * 8, entry, 8);
    t->dirty = true;
    return 0;
}

/* ---- the order of writes --------------------------------------------------------------------- */

static int drop_freed(struct image *i)
{
    struct qcow2 *q = i->priv;
    int e = 0;

    while (q->freed_count && !e)
        e = refcount_drop(i, q->freed[--q->freed_count]);
    return e ? e : cache_write(i, &q->refblocks);
}

/* While freed clusters are dropped, a full cache of blocks may ask for this again: then only blocks
 * are dirty, whose order does not matter. */
int qcow2_write_tables(struct image *i)
{
    struct qcow2 *q = i->priv;
    int e = q->broken ? EIO : cache_write(i, &q->refblocks);

    if (!e)
        e = barrier(i);
    if (!e && q->reftable_dirty.first != q->reftable_dirty.end) {
        e = write_range(i, q->h.reftable_offset, q->reftable, &q->reftable_dirty);
        if (!e)
            e = barrier(i);
    }
    if (!e)
        e = cache_write(i, &q->l2);
    if (!e)
        e = barrier(i);
    if (!e && q->l1_dirty.first != q->l1_dirty.end) {
        e = write_range(i, q->h.l1_offset, q->l1, &q->l1_dirty);
        if (!e)
            e = barrier(i);
    }
    return e || !q->freed_count ? e : drop_freed(i);
}

/* ---- life ------------------------------------------------------------------------------------ */

static u64 *read_array(struct image *i, u64 offset, u64 count, const char *path, struct err *e)
{
    u64 *a = calloc(count + 1, 8);
    int r;

    if (!a) {
        err_host(e, "%s: no memory for its tables", path);
        return NULL;
    }
    r = file_read(&i->file, offset, a, count * 8);
    if (r) {
        err_host(e, "%s: its tables cannot be read: %s", path, strerror(r));
        free(a);
        return NULL;
    }
    for (u64 n = 0; n < count; n++)
        a[n] = ld_be((const u8 *)&a[n], 8);
    return a;
}

bool qcow2_meta_init(struct image *i, const char *path, struct err *e)
{
    struct qcow2 *q = i->priv;

    q->reftable_entries = (u64)q->h.reftable_clusters * q->cluster / 8;
    if (!cache_init(&q->l2, L2_CACHE_BYTES, q->cluster) ||
        !cache_init(&q->refblocks, REFBLOCK_CACHE_BYTES, q->cluster))
        return err_host(e, "%s: no memory for its tables", path);
    q->l1 = read_array(i, q->h.l1_offset, q->h.l1_size, path, e);
    if (!q->l1)
        return false;
    q->reftable = read_array(i, q->h.reftable_offset, q->reftable_entries, path, e);
    return q->reftable != NULL;
}

void qcow2_meta_destroy(struct qcow2 *q)
{
    cache_destroy(&q->l2);
    cache_destroy(&q->refblocks);
    free(q->l1);
    free(q->reftable);
    free(q->freed);
    free(q->unpacked);
}
