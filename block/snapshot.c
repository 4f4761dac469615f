/*
 * snapshot.c: -snapshot: writes go to a temporary file and are gone at the end; what was not
 * written is read from the image below, which is opened for reading alone.
 *
 * The temporary file is as long as the image and mostly holes; a bit per granule says which of the
 * two has its contents.
 */
#include "block/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GRANULE 4096u

struct snapshot {
    u8 *present; /* bit n: granule n is in the temporary file */
};

static bool is_present(const struct snapshot *s, u64 granule)
{
    return s->present[granule / 8] >> granule % 8 & 1;
}

/* Bytes from `offset` on, at most len, that lie all in the temporary file or all below. */
static u64 run_length(const struct snapshot *s, u64 offset, u64 len, bool *present)
{
    u64 end = offset + len, at = (offset / GRANULE + 1) * GRANULE;

    *present = is_present(s, offset / GRANULE);
    while (at < end && is_present(s, at / GRANULE) == *present)
        at += GRANULE;
    return (at < end ? at : end) - offset;
}

static bool snapshot_open(struct image *i, const struct image_options *o, struct err *e)
{
    struct snapshot *s = calloc(1, sizeof *s);

    (void)o;
    if (s)
        s->present = calloc(1, i->bytes / GRANULE / 8 + 1);
    if (!s || !s->present) {
        free(s);
        return err_host(e, "no memory for the snapshot of an image of %llu GiB",
                        (unsigned long long)(i->bytes / GIB));
    }
    i->priv = s;
    return true;
}

static void snapshot_close(struct image *i)
{
    struct snapshot *s = i->priv;

    free(s->present);
    free(s);
}

static int snapshot_read(struct image *i, u64 offset, u8 *buf, u64 len)
{
    int r = 0;

    while (len && !r) {
        bool present;
        u64 n = run_length(i->priv, offset, len, &present);

        r = present ? file_read(&i->file, offset, buf, n) : image_read(i->backing, offset, buf, n);
        offset += n;
        buf += n;
        len -= n;
    }
    return r;
}

/* Brings the granule that a write covers only in part into the temporary file. */
static int copy_up(struct image *i, u64 offset)
{
    struct snapshot *s = i->priv;
    u64 granule = offset / GRANULE, start = granule * GRANULE;
    u64 n = i->bytes - start < GRANULE ? i->bytes - start : GRANULE;
    u8 buf[GRANULE];
    int r;

    if (is_present(s, granule))
        return 0;
    r = image_read(i->backing, start, buf, n);
    if (!r)
        r = file_write(&i->file, start, buf, n);
    if (!r)
        s->present[granule / 8] |= (u8)BIT(granule % 8);
    return r;
}

static int copy_up_ends(struct image *i, u64 offset, u64 len)
{
    u64 end = offset + len;
    int r = offset % GRANULE ? copy_up(i, offset) : 0;

    return !r && end % GRANULE && end < i->bytes ? copy_up(i, end) : r;
}

static void set_present(struct image *i, u64 offset, u64 len)
{
    struct snapshot *s = i->priv;

    for (u64 g = offset / GRANULE; g * GRANULE < offset + len; g++)
        s->present[g / 8] |= (u8)BIT(g % 8);
}

static int snapshot_write(struct image *i, u64 offset, const u8 *buf, u64 len)
{
    int r = len ? copy_up_ends(i, offset, len) : 0;

    if (!r)
        r = file_write(&i->file, offset, buf, len);
    if (!r)
        set_present(i, offset, len);
    return r;
}

static int snapshot_write_zeroes(struct image *i, u64 offset, u64 len)
{
    int r = len ? copy_up_ends(i, offset, len) : 0;

    if (!r)
        r = file_punch(&i->file, offset, len);
    if (!r)
        set_present(i, offset, len);
    return r;
}

/* Nothing of it outlives the process, so there is nothing to make stable. */
static int snapshot_flush(struct image *i)
{
    (void)i;
    return 0;
}

const struct image_format format_snapshot = {
    .name = "snapshot",
    .doc = "writes that are gone at the end",
    .open = snapshot_open,
    .close = snapshot_close,
    .read = snapshot_read,
    .write = snapshot_write,
    .flush = snapshot_flush,
    .write_zeroes = snapshot_write_zeroes,
    .discard = snapshot_write_zeroes,
};
