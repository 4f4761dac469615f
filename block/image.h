/*
 * image.h: an image as an array of bytes, whatever its format: raw, qcow2, gz, or a snapshot that
 * keeps writes apart. Synchronous; one thread at a time (drive.h has the queue and the thread).
 *
 * Transfers return 0 or a positive errno. Offsets and lengths are any number of bytes within
 * `bytes`.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "block/file.h"
#include <stdio.h>

#define SECTOR_BYTES 512u
#define IMAGE_MAX_BYTES (1ull << 56) /* far from what overflows offsets */

/* How writes reach the disk, in QEMU's words (cache=). */
enum image_cache {
    CACHE_WRITEBACK,    /* through the host's page cache; the guest flushes */
    CACHE_NONE,         /* past the page cache (O_DIRECT); the guest flushes */
    CACHE_WRITETHROUGH, /* as writeback, and every write is flushed */
    CACHE_DIRECTSYNC,   /* as none, and every write is flushed */
    CACHE_UNSAFE,       /* flushes are ignored: for throw-away guests */
};

struct image_options {
    const char *path;
    const char *format; /* NULL: proved by magic, else raw */
    bool readonly;
    bool snapshot; /* writes go to a temporary file */
    enum image_cache cache;
    /* The backing file and its format, as the command line names them: one that only the image's
     * header names is not opened. NULL: none named. */
    const char *backing, *backing_format;
    const char *tmp_dir; /* of temporary files; NULL: /var/tmp */
};

struct image;

struct image_format {
    const char *name, *doc;
    /* Does the file begin like one? NULL: nothing proves it. */
    bool (*is_magic)(const u8 *head, size_t len);
    /* Fills the image, whose `file` is open. */
    bool (*open)(struct image *i, const struct image_options *o, struct err *e);
    void (*close)(struct image *i);
    int (*read)(struct image *i, u64 offset, u8 *buf, u64 len);
    /* Into several pieces of memory, whose bytes are never read again. NULL: it cannot. */
    int (*readv)(struct image *i, u64 offset, const struct iovec *v, unsigned count);
    /* As readv, without waiting: EAGAIN if it would. NULL: it always may. */
    int (*readv_cached)(struct image *i, u64 offset, const struct iovec *v, unsigned count);
    int (*write)(struct image *i, u64 offset, const u8 *buf, u64 len); /* NULL: read only */
    /* Metadata and data on stable storage. */
    int (*flush)(struct image *i);
    /* As flush, but nobody waits for the disk; NULL: nothing is held back. */
    int (*idle)(struct image *i);
    /* The range reads as zeroes from now on. */
    int (*write_zeroes)(struct image *i, u64 offset, u64 len);
    /* The range's contents do not matter any more. */
    int (*discard)(struct image *i, u64 offset, u64 len);
    void (*info)(struct image *i, FILE *out);
};

struct image {
    const struct image_format *format;
    struct file file;
    u64 bytes; /* as the guest sees it; a multiple of SECTOR_BYTES */
    bool readonly;
    bool dirty;      /* written since the last flush */
    bool guard_head; /* raw because nothing said otherwise: it must not become another format */
    enum image_cache cache;
    struct image *backing; /* what lies below; NULL: nothing */
    void *priv;            /* of the format */
};

extern const struct image_format format_raw, format_qcow2, format_gz, format_snapshot;
/* Those that format= may name, NULL-terminated. */
extern const struct image_format *const image_formats[];

struct image *image_open(const struct image_options *o, struct err *e);
/* Flushes; false with an error when what was written may be lost. NULL is fine. */
bool image_close(struct image *i, struct err *e);

int image_read(struct image *i, u64 offset, void *buf, u64 len);
/* Only with a format that has readv. */
int image_readv(struct image *i, u64 offset, const struct iovec *v, unsigned count);
/* Of any format; EAGAIN: image_read or image_readv says more. */
int image_readv_cached(struct image *i, u64 offset, const struct iovec *v, unsigned count);
int image_write(struct image *i, u64 offset, const void *buf, u64 len);
int image_flush(struct image *i);
int image_write_zeroes(struct image *i, u64 offset, u64 len);
int image_discard(struct image *i, u64 offset, u64 len);
/* Metadata that was held back goes to the file, without waiting for the disk: when nobody asks for
 * anything. */
int image_idle(struct image *i);
