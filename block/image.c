/* image.c: opening by format, and the rules that all formats share (image.h). */
#include "block/image.h"

#include "base/nearest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct image_format *const image_formats[] = {&format_raw, &format_qcow2, &format_gz, NULL};

/* ---- formats --------------------------------------------------------------------------------- */

static const struct image_format *format_find(const char *name, struct err *e)
{
    const char *names[ARRAY_SIZE(image_formats)] = {NULL};
    const char *near;

    for (unsigned n = 0; image_formats[n]; n++) {
        names[n] = image_formats[n]->name;
        if (!strcmp(names[n], name))
            return image_formats[n];
    }
    near = nearest(name, names);
    err_usage(e, "no such image format: '%s'", name);
    if (near)
        err_hint(e, "did you mean %s?", near);
    else
        err_hint(e, "there are raw, qcow2 and gz");
    return NULL;
}

static const struct image_format *format_of_magic(const u8 *head, size_t len)
{
    for (unsigned n = 0; image_formats[n]; n++)
        if (image_formats[n]->is_magic && image_formats[n]->is_magic(head, len))
            return image_formats[n];
    return &format_raw;
}

static const struct image_format *format_proved(struct file *f, const char *path, struct err *e)
{
    u8 head[SECTOR_BYTES];
    int r = file_read(f, 0, head, sizeof head);

    if (!r)
        return format_of_magic(head, sizeof head);
    err_host(e, "%s: cannot be read: %s", path, strerror(r));
    return NULL;
}

/* A guest whose raw disk was not called raw must not turn it into another format for the next
 * start: such an image would name files of the host. */
static bool becomes_other_format(struct image *i, u64 offset, const u8 *buf, u64 len)
{
    u8 head[SECTOR_BYTES] = {0};

    if (!i->guard_head || offset >= sizeof head || !len)
        return false;
    if (file_read(&i->file, 0, head, sizeof head))
        return true;
    memcpy(head + offset, buf, len < sizeof head - offset ? len : sizeof head - offset);
    return format_of_magic(head, sizeof head) != &format_raw;
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct image *image_alloc(const struct image_options *o, struct err *e)
{
    struct image *i = calloc(1, sizeof *i);

    if (!i) {
        err_host(e, "out of memory for an image");
        return NULL;
    }
    i->cache = o->cache;
    return i;
}

static bool open_file(struct image *i, const struct image_options *o, struct err *e)
{
    unsigned flags = 0;

    i->readonly = o->readonly || o->snapshot;
    if (!i->readonly)
        flags |= FILE_WRITE;
    if (o->cache == CACHE_NONE || o->cache == CACHE_DIRECTSYNC)
        flags |= FILE_DIRECT;
    return file_open(&i->file, o->path, flags, e);
}

static struct image *open_one(const struct image_options *o, struct err *e)
{
    struct image *i = image_alloc(o, e);

    if (!i)
        return NULL;
    if (!open_file(i, o, e)) {
        free(i);
        return NULL;
    }
    i->format = o->format ? format_find(o->format, e) : format_proved(&i->file, o->path, e);
    if (i->format && !i->format->write && !i->readonly) {
        err_usage(e, "%s: %s images are for reading alone", o->path, i->format->name);
        err_hint(e, "add readonly=on, or snapshot=on to keep writes apart");
    } else if (i->format && i->format->open(i, o, e)) {
        i->guard_head = !o->format && i->format == &format_raw;
        return i;
    }
    file_close(&i->file);
    free(i);
    return NULL;
}

/* Puts a temporary layer over `base`, which it owns from then on. */
static struct image *open_snapshot(struct image *base, const struct image_options *o, struct err *e)
{
    struct image *i = image_alloc(o, e);
    const char *dir = o->tmp_dir ? o->tmp_dir : "/var/tmp";

    if (i && file_open_temporary(&i->file, dir, e)) {
        i->format = &format_snapshot;
        i->backing = base;
        i->bytes = base->bytes;
        if (i->format->open(i, o, e))
            return i;
        file_close(&i->file);
    }
    free(i);
    image_close(base, NULL);
    return NULL;
}

struct image *image_open(const struct image_options *o, struct err *e)
{
    struct image *i = open_one(o, e);

    return i && o->snapshot && !o->readonly ? open_snapshot(i, o, e) : i;
}

bool image_close(struct image *i, struct err *e)
{
    int r;

    if (!i)
        return true;
    r = image_flush(i);
    i->format->close(i);
    image_close(i->backing, NULL); /* read only: nothing to lose */
    file_close(&i->file);
    free(i);
    return !r || err_host(e, "an image could not be written to its end: %s", strerror(r));
}

/* ---- transfers ------------------------------------------------------------------------------- */

static bool in_range(const struct image *i, u64 offset, u64 len)
{
    return offset <= i->bytes && len <= i->bytes - offset;
}

/* What every change of the contents begins and ends with. */
static int may_change(const struct image *i, u64 offset, u64 len)
{
    return i->readonly ? EROFS : in_range(i, offset, len) ? 0 : EINVAL;
}

static int changed(struct image *i, int r)
{
    i->dirty = true;
    if (!r && (i->cache == CACHE_WRITETHROUGH || i->cache == CACHE_DIRECTSYNC))
        r = image_flush(i);
    return r;
}

int image_read(struct image *i, u64 offset, void *buf, u64 len)
{
    if (!in_range(i, offset, len))
        return EINVAL;
    return len ? i->format->read(i, offset, buf, len) : 0;
}

static bool pieces_in_range(const struct image *i, u64 offset, const struct iovec *v,
                            unsigned count)
{
    u64 len = 0;

    for (unsigned n = 0; n < count; n++)
        len += v[n].iov_len;
    return in_range(i, offset, len);
}

int image_readv(struct image *i, u64 offset, const struct iovec *v, unsigned count)
{
    return pieces_in_range(i, offset, v, count) ? i->format->readv(i, offset, v, count) : EINVAL;
}

int image_readv_cached(struct image *i, u64 offset, const struct iovec *v, unsigned count)
{
    return i->format->readv_cached && pieces_in_range(i, offset, v, count)
               ? i->format->readv_cached(i, offset, v, count)
               : EAGAIN;
}

int image_write(struct image *i, u64 offset, const void *buf, u64 len)
{
    int r = may_change(i, offset, len);

    if (r || !len)
        return r;
    if (becomes_other_format(i, offset, buf, len))
        return EPERM;
    return changed(i, i->format->write(i, offset, buf, len));
}

int image_write_zeroes(struct image *i, u64 offset, u64 len)
{
    int r = may_change(i, offset, len);

    return r ? r : changed(i, i->format->write_zeroes(i, offset, len));
}

int image_discard(struct image *i, u64 offset, u64 len)
{
    int r = may_change(i, offset, len);

    return r ? r : changed(i, i->format->discard(i, offset, len));
}

int image_flush(struct image *i)
{
    int r;

    if (i->readonly || !i->dirty)
        return 0;
    if (i->cache == CACHE_UNSAFE)
        return image_idle(i);
    r = i->format->flush(i);
    i->dirty = r != 0;
    return r;
}

int image_idle(struct image *i)
{
    return i->readonly || !i->dirty || !i->format->idle ? 0 : i->format->idle(i);
}
