/*
 * gz.c: a raw image compressed by gzip, for reading alone. Opening unpacks it once to find its size
 * and notes, every few MiB, where a block of the stream begins, with the 32 KiB before it that the
 * block may refer to; reading goes on from the nearest.
 *
 * Specification: RFC 1951 (deflate), RFC 1952 (gzip).
 *
 * Not implemented: files of more than one member (refused).
 */
#include "block/image.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define WINDOW_BYTES 32768u
#define INPUT_BYTES 65536u
#define POINT_SPAN (4 * MIB)
#define POINTS_MAX 4096u /* 16 GiB of image, 128 MiB of windows */

struct point {
    u64 out, in;   /* places in the image and in the file */
    unsigned bits; /* of the byte before `in` that belong to the block */
    u8 window[WINDOW_BYTES];
};

struct gz {
    struct point **point;
    unsigned points;
    z_stream z; /* of the reading that goes on */
    bool active;
    u64 out, in;
    u8 input[INPUT_BYTES];
};

static bool gz_is_magic(const u8 *head, size_t len)
{
    return len >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8;
}

/* More of the file for the stream. */
static int feed(struct image *i)
{
    struct gz *g = i->priv;
    u64 left = i->file.bytes - g->in, n = left < INPUT_BYTES ? left : INPUT_BYTES;
    int e = n ? file_read(&i->file, g->in, g->input, n) : EIO;

    g->z.next_in = g->input;
    g->z.avail_in = e ? 0 : (uInt)n;
    g->in += e ? 0 : n;
    return e;
}

/* ---- the index ------------------------------------------------------------------------------- */

/* `ring` holds the last 32 KiB of the image; its oldest byte is at `at`. */
static bool add_point(struct gz *g, const u8 *ring, unsigned at)
{
    struct point **more = realloc(g->point, (g->points + 1) * sizeof *more);
    struct point *p = calloc(1, sizeof *p);

    if (more)
        g->point = more;
    if (!more || !p || g->points == POINTS_MAX) {
        free(p);
        return false;
    }
    p->out = g->out;
    p->in = g->in - g->z.avail_in;
    p->bits = (unsigned)g->z.data_type & 7;
    memcpy(p->window, ring + at, WINDOW_BYTES - at);
    memcpy(p->window + (WINDOW_BYTES - at), ring, at);
    g->point[g->points++] = p;
    return true;
}

static bool wants_point(const struct gz *g)
{
    bool block_begins = g->z.data_type & 128 && !(g->z.data_type & 64);

    return block_begins && (!g->points || g->out >= g->point[g->points - 1]->out + POINT_SPAN);
}

static int build_index(struct image *i, u8 *ring)
{
    struct gz *g = i->priv;
    int r = Z_OK, e = 0;

    g->z.avail_out = 0;
    while (r != Z_STREAM_END && !e) {
        uInt before;

        if (!g->z.avail_in && (e = feed(i)))
            break;
        if (!g->z.avail_out) {
            g->z.next_out = ring;
            g->z.avail_out = WINDOW_BYTES;
        }
        before = g->z.avail_out;
        r = inflate(&g->z, Z_BLOCK);
        g->out += before - g->z.avail_out;
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
            e = EIO;
        else if (r == Z_OK && wants_point(g) &&
                 !add_point(g, ring, (WINDOW_BYTES - g->z.avail_out) % WINDOW_BYTES))
            e = EFBIG;
    }
    if (!e && g->in - g->z.avail_in != i->file.bytes)
        e = EIO; /* another member, or what is none */
    return e;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void stop(struct gz *g)
{
    if (g->active)
        inflateEnd(&g->z);
    g->active = false;
}

/* Begins at the last point that is not behind `offset`. */
static int start(struct image *i, u64 offset)
{
    struct gz *g = i->priv;
    const struct point *p = g->point[0];
    u8 byte;
    int e;

    for (unsigned n = 1; n < g->points && g->point[n]->out <= offset; n++)
        p = g->point[n];
    stop(g);
    g->z = (z_stream){0};
    if (inflateInit2(&g->z, -15) != Z_OK)
        return ENOMEM;
    g->active = true;
    g->out = p->out;
    g->in = p->in;
    if (p->bits) {
        e = file_read(&i->file, p->in - 1, &byte, 1);
        if (e)
            return e;
        inflatePrime(&g->z, (int)p->bits, byte >> (8 - p->bits));
    }
    inflateSetDictionary(&g->z, p->window, WINDOW_BYTES);
    return 0;
}

static int unpack(struct image *i, u8 *buf, u64 len)
{
    struct gz *g = i->priv;

    g->z.next_out = buf;
    g->z.avail_out = (uInt)len;
    while (g->z.avail_out) {
        int e = g->z.avail_in ? 0 : feed(i), r;

        if (e)
            return e;
        r = inflate(&g->z, Z_NO_FLUSH);
        if (r != Z_OK && r != Z_STREAM_END)
            return EIO;
        if (r == Z_STREAM_END && g->z.avail_out) { /* the last sector's missing bytes */
            memset(g->z.next_out, 0, g->z.avail_out);
            break;
        }
    }
    g->out += len;
    return 0;
}

static int skip_to(struct image *i, u64 offset)
{
    struct gz *g = i->priv;
    u8 *waste;
    int e = 0;

    if (!g->active || offset < g->out || offset - g->out > POINT_SPAN)
        e = start(i, offset);
    if (e || g->out == offset)
        return e;
    waste = malloc(WINDOW_BYTES);
    if (!waste)
        return ENOMEM;
    while (!e && g->out < offset) {
        u64 n = offset - g->out < WINDOW_BYTES ? offset - g->out : WINDOW_BYTES;

        e = unpack(i, waste, n);
    }
    free(waste);
    return e;
}

static int gz_read(struct image *i, u64 offset, u8 *buf, u64 len)
{
    struct gz *g = i->priv;
    int e = 0;

    while (len && !e) {
        u64 n = len < BIT(30) ? len : BIT(30);

        e = skip_to(i, offset);
        if (!e)
            e = unpack(i, buf, n);
        offset += n;
        buf += n;
        len -= n;
    }
    if (e)
        stop(g);
    return e;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void gz_close(struct image *i)
{
    struct gz *g = i->priv;

    stop(g);
    for (unsigned n = 0; n < g->points; n++)
        free(g->point[n]);
    free(g->point);
    free(g);
}

static int index_file(struct image *i)
{
    struct gz *g = i->priv;
    u8 *ring = calloc(1, WINDOW_BYTES);
    int e;

    if (!ring)
        return ENOMEM;
    e = inflateInit2(&g->z, 31) == Z_OK ? 0 : ENOMEM; /* with gzip's header */
    g->active = !e;
    if (!e)
        e = build_index(i, ring);
    i->bytes = align_up(g->out, SECTOR_BYTES);
    stop(g);
    free(ring);
    return e || g->points ? e : EIO;
}

static bool gz_open(struct image *i, const struct image_options *o, struct err *e)
{
    int r;

    if (o->backing)
        return err_usage(e, "%s: a gz image has no backing file", o->path);
    i->priv = calloc(1, sizeof(struct gz));
    if (!i->priv)
        return err_host(e, "out of memory for an image");
    r = index_file(i);
    if (!r)
        return true;
    gz_close(i);
    if (r == EFBIG)
        return err_host(e, "%s: more than 16 GiB, unpacked, are too much for a gz image", o->path);
    return err_host(e, "%s: is no good gzip file of one member", o->path);
}

const struct image_format format_gz = {
    .name = "gz",
    .doc = "a raw image compressed by gzip, for reading alone",
    .is_magic = gz_is_magic,
    .open = gz_open,
    .close = gz_close,
    .read = gz_read,
};
