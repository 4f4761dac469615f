/* qcow2.c: the qcow2 format: header, reading and writing of guest clusters (qcow2.h). */
#include "block/qcow2.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define RUN_CLUSTERS 256u /* what is mapped at once */

/* ---- header ---------------------------------------------------------------------------------- */

static bool qcow2_is_magic(const u8 *head, size_t len)
{
    return len >= 4 && ld_be(head, 4) == QCOW2_MAGIC;
}

static bool bad(const char *path, const char *what, struct err *e)
{
    return err_host(e, "%s: is no good qcow2 image: %s", path, what);
}

static bool check_features(const struct qcow2_header *h, const char *path, const u8 *b,
                           struct err *e)
{
    u64 known = QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT | BIT64(3);

    if (h->incompatible & BIT64(2))
        return err_host(e, "%s: qcow2 with an external data file is not implemented", path);
    if (h->incompatible & BIT64(3) && b[104])
        return err_host(e, "%s: qcow2 with compression other than zlib is not implemented", path);
    if (h->incompatible & ~known)
        return err_host(e, "%s: qcow2 with the feature bits %#" PRIx64 " is not implemented", path,
                        h->incompatible & ~known);
    return true;
}

/* Everything that later arithmetic believes is checked here. */
static bool check_sizes(const struct qcow2_header *h, u64 file_bytes, const char *path,
                        struct err *e)
{
    u64 cluster, per_l2, needed;

    if (h->cluster_bits < 9 || h->cluster_bits > 21)
        return bad(path, "cluster size", e);
    if (h->refcount_order > 6)
        return bad(path, "refcount width", e);
    cluster = BIT64(h->cluster_bits);
    if (h->bytes > IMAGE_MAX_BYTES || h->bytes % SECTOR_BYTES)
        return bad(path, "size", e);
    per_l2 = cluster / 8 * cluster;
    needed = h->bytes / per_l2 + !!(h->bytes % per_l2);
    if (h->l1_size < needed || (u64)h->l1_size * 8 > QCOW2_L1_MAX_BYTES)
        return bad(path, "size of the level 1 table", e);
    if (!h->reftable_clusters || h->reftable_clusters > QCOW2_REFTABLE_MAX_BYTES / cluster + 1)
        return bad(path, "size of the refcount table", e);
    if (h->l1_offset % cluster || h->reftable_offset % cluster || h->reftable_offset < cluster ||
        (h->l1_size && h->l1_offset < cluster))
        return bad(path, "place of a table", e);
    if (h->l1_offset > file_bytes || (u64)h->l1_size * 8 > file_bytes - h->l1_offset ||
        h->reftable_offset > file_bytes)
        return bad(path, "a table beyond the end of the file", e);
    return true;
}

static bool read_backing_name(struct file *f, const u8 *b, struct qcow2_header *h, const char *path,
                              struct err *e)
{
    u64 at = ld_be(b + 8, 8), len = ld_be(b + 16, 4);
    int r;

    if (!at || !len)
        return true;
    if (len > QCOW2_NAME_MAX || at > f->bytes || len > f->bytes - at)
        return bad(path, "name of the backing file", e);
    r = file_read(f, at, h->backing, len);
    return !r || err_host(e, "%s: cannot be read: %s", path, strerror(r));
}

bool qcow2_read_header(struct file *f, const char *path, struct qcow2_header *h, struct err *e)
{
    u8 b[112];
    int r = file_read(f, 0, b, sizeof b);

    *h = (struct qcow2_header){0};
    if (r)
        return err_host(e, "%s: cannot be read: %s", path, strerror(r));
    h->version = (u32)ld_be(b + 4, 4);
    if (ld_be(b, 4) != QCOW2_MAGIC || h->version < 2 || h->version > 3)
        return bad(path, "magic or version", e);
    h->cluster_bits = (u32)ld_be(b + 20, 4);
    h->bytes = ld_be(b + 24, 8);
    h->l1_size = (u32)ld_be(b + 36, 4);
    h->l1_offset = ld_be(b + 40, 8);
    h->reftable_offset = ld_be(b + 48, 8);
    h->reftable_clusters = (u32)ld_be(b + 56, 4);
    h->snapshots = (u32)ld_be(b + 60, 4);
    h->snapshots_offset = ld_be(b + 64, 8);
    h->refcount_order = 4;
    if (h->version == 3) {
        h->incompatible = ld_be(b + 72, 8);
        h->autoclear = ld_be(b + 88, 8);
        h->refcount_order = (u32)ld_be(b + 96, 4);
    }
    if (ld_be(b + 32, 4))
        return err_host(e, "%s: encrypted qcow2 images are not implemented", path);
    return check_features(h, path, b, e) && check_sizes(h, f->bytes, path, e) &&
           read_backing_name(f, b, h, path, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool open_backing(struct image *i, const struct image_options *o,
                         const struct qcow2_header *h, struct err *e)
{
    struct image_options b = {
        .path = o->backing, .format = o->backing_format, .readonly = true, .cache = o->cache};

    if (!h->backing[0] && !o->backing)
        return true;
    if (!h->backing[0])
        return err_usage(e, "%s: has no backing file", o->path);
    if (!o->backing) {
        err_usage(e, "%s: needs its backing file, which the command line must name", o->path);
        return err_hint(e, "the image calls it '%s': add backing=FILE,backing.format=raw or qcow2",
                        h->backing);
    }
    i->backing = image_open(&b, e);
    return i->backing != NULL;
}

static bool prepare_writing(struct image *i, const char *path, struct err *e)
{
    struct qcow2 *q = i->priv;
    const u8 none[8] = {0};
    int r = 0;

    if (q->h.incompatible & (QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT)) {
        err_host(e, "%s: is marked as not closed properly", path);
        return err_hint(e, "'qemu-img check -r all' repairs it; readonly=on reads it as it is");
    }
    if (q->h.version == 3 && q->h.autoclear)
        r = file_write(&i->file, 88, none, sizeof none);
    return !r || err_host(e, "%s: cannot be written: %s", path, strerror(r));
}

static void qcow2_close(struct image *i)
{
    qcow2_meta_destroy(i->priv);
    free(i->priv);
}

static bool qcow2_open(struct image *i, const struct image_options *o, struct err *e)
{
    struct qcow2 *q = calloc(1, sizeof *q);

    if (!q)
        return err_host(e, "out of memory for an image");
    i->priv = q;
    if (qcow2_read_header(&i->file, o->path, &q->h, e)) {
        q->cluster = BIT64(q->h.cluster_bits);
        i->bytes = q->h.bytes;
        if (qcow2_meta_init(i, o->path, e) && (i->readonly || prepare_writing(i, o->path, e)) &&
            open_backing(i, o, &q->h, e))
            return true;
    }
    qcow2_close(i);
    return false;
}

/* ---- runs of clusters ------------------------------------------------------------------------ */

enum kind { NOTHING, ZEROES, DATA, COMPRESSED };

static enum kind kind_of(u64 entry)
{
    if (entry & QCOW2_COMPRESSED)
        return COMPRESSED;
    if (entry & QCOW2_ZERO)
        return ZEROES;
    return entry & QCOW2_OFFSET ? DATA : NOTHING;
}

/* May the cluster be written where it is? */
static bool is_own(u64 entry)
{
    return kind_of(entry) == DATA && entry & QCOW2_COPIED;
}

/* Bytes from `offset` on, at most len, in clusters like the first: of its kind, and data in a row.
 */
static int run_of(struct image *i, u64 offset, u64 len, u64 *first, u64 *bytes)
{
    struct qcow2 *q = i->priv;
    u64 n = offset / q->cluster, entry, most = RUN_CLUSTERS * q->cluster - offset % q->cluster;
    int e = qcow2_entry_get(i, n, first);

    *bytes = q->cluster - offset % q->cluster;
    len = len < most ? len : most;
    while (!e && *bytes < len && kind_of(*first) != COMPRESSED) {
        u64 next = *first + (*bytes + offset % q->cluster);

        e = qcow2_entry_get(i, ++n, &entry);
        if (e || kind_of(entry) != kind_of(*first) || is_own(entry) != is_own(*first) ||
            (kind_of(entry) == DATA && (entry & QCOW2_OFFSET) != (next & QCOW2_OFFSET)))
            break;
        *bytes += q->cluster;
    }
    *bytes = *bytes < len ? *bytes : len;
    return e;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int inflate_cluster(u8 *out, u64 out_len, const u8 *in, u64 in_len)
{
    z_stream z = {.next_in = (u8 *)(uintptr_t)in,
                  .avail_in = (uInt)in_len,
                  .next_out = out,
                  .avail_out = (uInt)out_len};
    int r;

    if (inflateInit2(&z, -15) != Z_OK) /* a raw stream, of a window of at most 32 KiB */
        return ENOMEM;
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* The last sector has other data behind the end, so that the stream may ask for no more. */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && !z.avail_out ? 0 : EIO;
}

/* Leaves the cluster in q->unpacked. */
static int unpack(struct image *i, u64 entry)
{
    struct qcow2 *q = i->priv;
    u64 offset, bytes;
    u8 *packed;
    int e;

    if (q->unpacked_entry == entry)
        return 0;
    if (!q->unpacked)
        q->unpacked = malloc(q->cluster);
    qcow2_compressed(q, entry, &offset, &bytes);
    packed = malloc(bytes);
    q->unpacked_entry = 0;
    e = q->unpacked && packed ? file_read(&i->file, offset, packed, bytes) : ENOMEM;
    if (!e)
        e = inflate_cluster(q->unpacked, q->cluster, packed, bytes);
    free(packed);
    if (!e)
        q->unpacked_entry = entry;
    return e;
}

/* A backing file that is shorter is followed by zeroes. */
static int read_below(struct image *i, u64 offset, u8 *buf, u64 len)
{
    u64 all = i->backing ? i->backing->bytes : 0;
    u64 there = offset >= all ? 0 : all - offset < len ? all - offset : len;

    memset(buf + there, 0, len - there);
    return there ? image_read(i->backing, offset, buf, there) : 0;
}

static int read_run(struct image *i, u64 entry, u64 offset, u8 *buf, u64 len)
{
    struct qcow2 *q = i->priv;
    u64 within = offset % q->cluster;
    int e;

    switch (kind_of(entry)) {
    case NOTHING: return read_below(i, offset, buf, len);
    case ZEROES: memset(buf, 0, len); return 0;
    case DATA: return file_read(&i->file, (entry & QCOW2_OFFSET) + within, buf, len);
    default:
        e = unpack(i, entry);
        if (!e)
            memcpy(buf, q->unpacked + within, len);
        return e;
    }
}

static int qcow2_read(struct image *i, u64 offset, u8 *buf, u64 len)
{
    while (len) {
        u64 entry, n;
        int e = run_of(i, offset, len, &entry, &n);

        if (!e)
            e = read_run(i, entry, offset, buf, n);
        if (e)
            return e;
        offset += n;
        buf += n;
        len -= n;
    }
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What a write leaves of its first and last cluster comes to the new place; nothing has to where
 * both are zeroes: beyond the end of the file there are no others. */
static int copy_rest(struct image *i, u64 offset, u64 len, u64 host, bool zeroes)
{
    struct qcow2 *q = i->priv;
    u64 guest, end = offset + len < i->bytes ? offset + len : i->bytes;
    u8 *b;
    int e;

    if (!len || zeroes)
        return 0;
    guest = offset;
    b = malloc(q->cluster);
    if (!b)
        return ENOMEM;
    memset(b, 0, q->cluster);
    e = end > guest ? qcow2_read(i, guest, b, end - guest) : 0;
    if (!e)
        e = file_write(&i->file, host, b, len);
    free(b);
    return e;
}

static int set_entries(struct image *i, u64 n, u64 count, u64 host)
{
    struct qcow2 *q = i->priv;

    for (u64 k = 0; k < count; k++) {
        u64 old;
        int e = qcow2_entry_get(i, n + k, &old);

        if (!e)
            e = qcow2_entry_set(i, n + k, (host + k * q->cluster) | QCOW2_COPIED);
        if (!e)
            e = qcow2_free_entry(i, old);
        if (e)
            return e;
    }
    return 0;
}

/* Writes to new clusters, as many in a row as there are; *done is what was written. */
static int write_new(struct image *i, u64 entry, u64 offset, const u8 *buf, u64 len, u64 *done)
{
    struct qcow2 *q = i->priv;
    u64 within = offset % q->cluster, host, got, after;
    u64 old_end = i->file.bytes;
    bool zeroes = kind_of(entry) == ZEROES || (kind_of(entry) == NOTHING && !i->backing);
    int e = qcow2_alloc(i, (within + len + q->cluster - 1) / q->cluster, &host, &got);

    if (e)
        return e;
    len = len < got * q->cluster - within ? len : got * q->cluster - within;
    zeroes = zeroes && host >= old_end && !i->file.is_device;
    after = (q->cluster - (within + len) % q->cluster) % q->cluster;
    e = copy_rest(i, offset - within, within, host, zeroes);
    if (!e)
        e = copy_rest(i, offset + len, after, host + within + len, zeroes);
    if (!e)
        e = file_write(&i->file, host + within, buf, len);
    if (!e)
        e = set_entries(i, offset / q->cluster, got, host);
    *done = len;
    return e;
}

static int qcow2_write(struct image *i, u64 offset, const u8 *buf, u64 len)
{
    struct qcow2 *q = i->priv;

    while (len) {
        u64 entry, n;
        int e = run_of(i, offset, len, &entry, &n);

        if (e)
            return e;
        e = is_own(entry)
                ? file_write(&i->file, (entry & QCOW2_OFFSET) + offset % q->cluster, buf, n)
                : write_new(i, entry, offset, buf, n, &n);
        if (e)
            return e;
        offset += n;
        buf += n;
        len -= n;
    }
    return 0;
}

/* ---- zeroes and discards --------------------------------------------------------------------- */

/* A whole cluster reads as zeroes, or *done is false: version 2 cannot say so over a backing file.
 */
static int zero_cluster(struct image *i, u64 n, bool *done)
{
    struct qcow2 *q = i->priv;
    u64 old, now = i->backing ? QCOW2_ZERO : 0;
    int e = qcow2_entry_get(i, n, &old);

    *done = !e && (q->h.version >= 3 || !i->backing);
    if (e || !*done || old == now)
        return e;
    e = qcow2_entry_set(i, n, now);
    return e ? e : qcow2_free_entry(i, old);
}

static int write_zero_bytes(struct image *i, u64 offset, u64 len)
{
    u8 *zeroes = calloc(1, len);
    int e = zeroes ? qcow2_write(i, offset, zeroes, len) : ENOMEM;

    free(zeroes);
    return e;
}

static int zero_range(struct image *i, u64 offset, u64 len, bool exact)
{
    struct qcow2 *q = i->priv;
    int e = 0;

    while (len && !e) {
        u64 within = offset % q->cluster, room = q->cluster - within, n = len < room ? len : room;
        bool whole = n == q->cluster || (!within && offset + n == i->bytes), done = false;

        if (whole)
            e = zero_cluster(i, offset / q->cluster, &done);
        if (!e && !done && exact)
            e = write_zero_bytes(i, offset, n);
        offset += n;
        len -= n;
    }
    return e;
}

static int qcow2_write_zeroes(struct image *i, u64 offset, u64 len)
{
    return zero_range(i, offset, len, true);
}

static int qcow2_discard(struct image *i, u64 offset, u64 len)
{
    return zero_range(i, offset, len, false);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void qcow2_info(struct image *i, FILE *out)
{
    const struct qcow2 *q = i->priv;

    fprintf(out, "version         %u\n", q->h.version);
    fprintf(out, "cluster         %llu bytes\n", (unsigned long long)q->cluster);
    fprintf(out, "refcounts       %u bits\n", 1u << q->h.refcount_order);
    if (q->h.backing[0])
        fprintf(out, "backing file    %s\n", q->h.backing);
    if (q->h.snapshots)
        fprintf(out, "snapshots       %u\n", q->h.snapshots);
    if (q->h.incompatible & (QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT))
        fprintf(out, "marked as       not closed properly\n");
}

const struct image_format format_qcow2 = {
    .name = "qcow2",
    .doc = "grows as it is filled, with backing files",
    .is_magic = qcow2_is_magic,
    .open = qcow2_open,
    .close = qcow2_close,
    .read = qcow2_read,
    .write = qcow2_write,
    .flush = qcow2_write_tables,
    .idle = qcow2_write_tables,
    .write_zeroes = qcow2_write_zeroes,
    .discard = qcow2_discard,
    .info = qcow2_info,
};
