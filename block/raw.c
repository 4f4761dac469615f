/*
 * raw.c: an image without a format: byte n of the disk is byte n of the file. What a file lacks of
 * its last sector reads as zeroes.
 */
#include "block/image.h"

#include "base/bits.h"

static bool raw_open(struct image *i, const struct image_options *o, struct err *e)
{
    if (o->backing)
        return err_usage(e, "%s: a raw image has no backing file", o->path);
    if (i->file.bytes > IMAGE_MAX_BYTES)
        return err_host(e, "%s: too large", o->path);
    i->bytes = align_up(i->file.bytes, SECTOR_BYTES);
    return true;
}

static void raw_close(struct image *i)
{
    (void)i;
}

static int raw_read(struct image *i, u64 offset, u8 *buf, u64 len)
{
    return file_read(&i->file, offset, buf, len);
}

static int raw_readv(struct image *i, u64 offset, const struct iovec *v, unsigned count)
{
    return file_readv(&i->file, offset, v, count);
}

static int raw_readv_cached(struct image *i, u64 offset, const struct iovec *v, unsigned count)
{
    return file_readv_cached(&i->file, offset, v, count);
}

static int raw_write(struct image *i, u64 offset, const u8 *buf, u64 len)
{
    return file_write(&i->file, offset, buf, len);
}

static int raw_flush(struct image *i)
{
    return file_sync(&i->file);
}

static int raw_write_zeroes(struct image *i, u64 offset, u64 len)
{
    return file_punch(&i->file, offset, len);
}

static void raw_info(struct image *i, FILE *out)
{
    (void)i;
    (void)out;
}

const struct image_format format_raw = {
    .name = "raw",
    .doc = "the bytes of the disk",
    .open = raw_open,
    .close = raw_close,
    .read = raw_read,
    .readv = raw_readv,
    .readv_cached = raw_readv_cached,
    .write = raw_write,
    .flush = raw_flush,
    .write_zeroes = raw_write_zeroes,
    .discard = raw_write_zeroes,
    .info = raw_info,
};
