/* qcow2_tool.c: making a qcow2 image, and counting what refers to its clusters (qcow2.h). */
#include "block/qcow2.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- create ---------------------------------------------------------------------------------- */

#define NEW_CLUSTER_BITS 16u
#define NEW_CLUSTER BIT64(NEW_CLUSTER_BITS)
#define NEW_BYTES_MAX (BIT64(46)) /* the level 1 table fits in one block of refcounts */
#define HEADER_BYTES 104u
#define EXTENSION_BACKING_FORMAT 0xe2792acau
enum { AT_HEADER, AT_REFTABLE, AT_REFBLOCK, AT_L1 }; /* clusters */

/* Header, the extension that names the backing file's format, the end of extensions, the name. */
static void put_header(u8 *b, u64 bytes, u64 l1_size, const char *backing, const char *format)
{
    u8 *at = b + HEADER_BYTES;

    st_be(b, QCOW2_MAGIC, 4);
    st_be(b + 4, 3, 4);
    st_be(b + 20, NEW_CLUSTER_BITS, 4);
    st_be(b + 24, bytes, 8);
    st_be(b + 36, l1_size, 4);
    st_be(b + 40, AT_L1 * NEW_CLUSTER, 8);
    st_be(b + 48, AT_REFTABLE * NEW_CLUSTER, 8);
    st_be(b + 56, 1, 4);
    st_be(b + 96, 4, 4); /* refcounts of 16 bits */
    st_be(b + 100, HEADER_BYTES, 4);
    if (!backing)
        return;
    st_be(at, EXTENSION_BACKING_FORMAT, 4);
    st_be(at + 4, strlen(format), 4);
    memcpy(at + 8, format, strlen(format));
    at += 8 + align_up(strlen(format), 8) + 8;
    st_be(b + 8, (u64)(at - b), 8);
    st_be(b + 16, strlen(backing), 4);
    memcpy(at, backing, strlen(backing));
}

bool qcow2_create(struct file *f, u64 bytes, const char *backing, const char *backing_format,
                  struct err *e)
{
    u64 per_l2 = NEW_CLUSTER / 8 * NEW_CLUSTER, l1_size = (bytes + per_l2 - 1) / per_l2;
    u64 l1_clusters = (l1_size * 8 + NEW_CLUSTER - 1) / NEW_CLUSTER;
    u8 *b;
    int r;

    if (bytes > NEW_BYTES_MAX || bytes % SECTOR_BYTES)
        return err_usage(e, "a new image has a multiple of 512 bytes, 64 TiB at most");
    if (backing && (strlen(backing) > QCOW2_NAME_MAX || strlen(backing_format) > 64))
        return err_usage(e, "the backing file's name is too long");
    b = calloc(AT_L1, NEW_CLUSTER);
    if (!b)
        return err_host(e, "out of memory for a new image");
    put_header(b, bytes, l1_size, backing, backing_format);
    st_be(b + AT_REFTABLE * NEW_CLUSTER, AT_REFBLOCK * NEW_CLUSTER, 8);
    for (u64 n = 0; n < AT_L1 + l1_clusters; n++)
        qcow2_refcount_put(b + AT_REFBLOCK * NEW_CLUSTER, 4, n, 1);
    /* Without its first cluster the file is no image: it comes last. */
    r = file_truncate(f, (AT_L1 + l1_clusters) * NEW_CLUSTER);
    if (!r)
        r = file_write(f, NEW_CLUSTER, b + NEW_CLUSTER, (AT_L1 - 1) * NEW_CLUSTER);
    if (!r)
        r = file_write(f, 0, b, NEW_CLUSTER);
    if (!r)
        r = file_sync(f);
    free(b);
    return !r || err_host(e, "a new image cannot be written: %s", strerror(r));
}

/* ---- check ----------------------------------------------------------------------------------- */

#define LINES_MAX 20u

struct checker {
    struct image *i;
    struct qcow2 *q;
    struct qcow2_check *result;
    FILE *out;
    u64 lines;
    u32 *refs; /* by cluster of the file */
    u64 clusters;
};

static void say(struct checker *c, const char *what, u64 where, u64 is, u64 should)
{
    if (c->out && c->lines++ < LINES_MAX)
        fprintf(c->out, "%s at %#llx: %llu, should be %llu\n", what, (unsigned long long)where,
                (unsigned long long)is, (unsigned long long)should);
}

static void corrupt(struct checker *c, const char *what, u64 where)
{
    c->result->corruptions++;
    if (c->out && c->lines++ < LINES_MAX)
        fprintf(c->out, "%s at %#llx\n", what, (unsigned long long)where);
}

/* Counts one reference to each cluster of the bytes. False: they are no place in the file. */
static bool refer(struct checker *c, u64 offset, u64 bytes, const char *what)
{
    u64 cluster = c->q->cluster, last;

    if (!bytes)
        return true;
    last = (offset + bytes - 1) / cluster;
    if (offset > IMAGE_MAX_BYTES || bytes > IMAGE_MAX_BYTES || last >= c->clusters) {
        corrupt(c, what, offset);
        return false;
    }
    for (u64 n = offset / cluster; n <= last; n++)
        c->refs[n]++;
    return true;
}

static int check_entry(struct checker *c, u64 entry, bool active)
{
    u64 offset = entry & QCOW2_OFFSET, bytes = c->q->cluster, count;
    int e;

    if (entry & QCOW2_COMPRESSED) {
        qcow2_compressed(c->q, entry, &offset, &bytes);
        refer(c, offset, bytes, "a compressed cluster beyond the end");
        return 0;
    }
    if (!offset)
        return 0;
    if (offset % c->q->cluster) {
        corrupt(c, "a cluster that is not aligned", offset);
        return 0;
    }
    if (!refer(c, offset, bytes, "a cluster beyond the end"))
        return 0;
    e = active ? qcow2_refcount(c->i, offset / c->q->cluster, &count) : 0;
    if (!e && active && (count == 1) != !!(entry & QCOW2_COPIED))
        corrupt(c, "a wrong COPIED mark", offset);
    return e;
}

static int check_l2(struct checker *c, u64 offset, bool active)
{
    u8 *table = malloc(c->q->cluster);
    int e = table ? file_read(&c->i->file, offset, table, c->q->cluster) : ENOMEM;

    for (u64 n = 0; !e && n < qcow2_l2_entries(c->q); n++) {
        u64 entry = ld_be(table + n * 8, 8);

        c->result->allocated += active && entry & (QCOW2_OFFSET | QCOW2_COMPRESSED);
        e = check_entry(c, entry, active);
    }
    free(table);
    return e;
}

static int check_l1(struct checker *c, u64 offset, u64 size, bool active)
{
    u8 b[8];
    int e = 0;

    if (size * 8 > QCOW2_L1_MAX_BYTES || offset % c->q->cluster ||
        !refer(c, offset, size * 8, "a level 1 table beyond the end"))
        return 0;
    for (u64 n = 0; !e && n < size; n++) {
        u64 entry, l2, count;

        e = file_read(&c->i->file, offset + n * 8, b, 8);
        entry = ld_be(b, 8);
        l2 = entry & QCOW2_OFFSET;
        if (e || !l2)
            continue;
        if (l2 % c->q->cluster) {
            corrupt(c, "a level 2 table that is not aligned", l2);
            continue;
        }
        if (!refer(c, l2, c->q->cluster, "a level 2 table beyond the end"))
            continue;
        e = qcow2_refcount(c->i, l2 / c->q->cluster, &count);
        if (!e && active && (count == 1) != !!(entry & QCOW2_COPIED))
            corrupt(c, "a wrong COPIED mark of a table", l2);
        if (!e)
            e = check_l2(c, l2, active);
    }
    return e;
}

static int check_snapshots(struct checker *c)
{
    u64 at = c->q->h.snapshots_offset;
    int e = 0;

    for (u32 n = 0; !e && n < c->q->h.snapshots; n++) {
        u8 b[40];

        e = file_read(&c->i->file, at, b, sizeof b);
        if (e || at + sizeof b > c->i->file.bytes)
            return e ? e : EIO;
        e = check_l1(c, ld_be(b, 8), ld_be(b + 8, 4), false);
        at += align_up(sizeof b + ld_be(b + 36, 4) + ld_be(b + 12, 2) + ld_be(b + 14, 2), 8);
    }
    if (c->q->h.snapshots)
        refer(c, c->q->h.snapshots_offset, at - c->q->h.snapshots_offset,
              "a snapshot table beyond the end");
    return e;
}

static int count_references(struct checker *c)
{
    const struct qcow2_header *h = &c->q->h;
    int e;

    refer(c, 0, c->q->cluster, "the header");
    refer(c, h->reftable_offset, (u64)h->reftable_clusters * c->q->cluster,
          "a refcount table beyond the end");
    for (u64 n = 0; n < c->q->reftable_entries; n++) {
        u64 block = c->q->reftable[n] & QCOW2_OFFSET;

        if (block % c->q->cluster) {
            corrupt(c, "a block of refcounts that is not aligned", block);
            c->q->reftable[n] = 0;
        } else if (block &&
                   !refer(c, block, c->q->cluster, "a block of refcounts beyond the end")) {
            c->q->reftable[n] = 0;
        }
    }
    e = check_l1(c, h->l1_offset, h->l1_size, true);
    return e ? e : check_snapshots(c);
}

static int compare_refcounts(struct checker *c)
{
    int e = 0;

    for (u64 n = 0; !e && n < c->clusters; n++) {
        u64 count;

        e = qcow2_refcount(c->i, n, &count);
        if (!e && count > c->refs[n]) {
            c->result->leaks++;
            say(c, "leaked: refcount of the cluster", n * c->q->cluster, count, c->refs[n]);
        } else if (!e && count < c->refs[n]) {
            c->result->corruptions++;
            say(c, "corrupt: refcount of the cluster", n * c->q->cluster, count, c->refs[n]);
        }
    }
    return e;
}

bool qcow2_check(struct image *i, struct qcow2_check *result, FILE *out, struct err *e)
{
    struct qcow2 *q = i->priv;
    struct checker c = {.i = i, .q = q, .result = result, .out = out};
    int r;

    *result = (struct qcow2_check){0};
    c.clusters = i->file.bytes / q->cluster + !!(i->file.bytes % q->cluster);
    c.refs = c.clusters < BIT64(30) ? calloc(c.clusters + 1, sizeof *c.refs) : NULL;
    if (!c.refs)
        return err_host(e, "no memory for the references of an image of this size");
    r = count_references(&c);
    if (!r)
        r = compare_refcounts(&c);
    free(c.refs);
    return !r || err_host(e, "the image cannot be read: %s", strerror(r));
}
