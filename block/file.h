/*
 * file.h: a host file or block device that holds an image: opened safely, locked against a second
 * user, read and written at offsets.
 *
 * Functions that transfer return 0 or a positive errno; nothing is partly an error.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

#include <sys/uio.h>

struct file {
    int fd;
    bool writable;
    bool direct;    /* O_DIRECT: transfers are aligned, by a bounce buffer where they are not */
    bool is_device; /* a block device: its size is fixed */
    u64 bytes;      /* its end; grows with writes of ours */
};

/* What file_open may do. */
enum {
    FILE_WRITE = 1,  /* else it is opened for reading alone, and others may read it too */
    FILE_DIRECT = 2, /* past the host's page cache */
};

/*
 * Regular files and block devices only: a FIFO would hang, a terminal or a memory device is never
 * an image. The path may be a symbolic link, as /dev/disk's are. A lock of the open file
 * description (F_OFD_SETLK) keeps others of ours away: many readers or one writer.
 */
bool file_open(struct file *f, const char *path, unsigned flags, struct err *e);
/* A new file of no bytes, locked; one that exists is refused, so that nothing is ever overwritten.
 */
bool file_create(struct file *f, const char *path, struct err *e);
/* A file without a name in `dir`, gone when it is closed. */
bool file_open_temporary(struct file *f, const char *dir, struct err *e);
void file_close(struct file *f);

/* Zeroes beyond the end; EIO where the file turns out to be shorter than `bytes`. */
int file_read(struct file *f, u64 offset, void *buf, u64 len);
/* The same into several pieces of memory, one after the other. */
int file_readv(struct file *f, u64 offset, const struct iovec *v, unsigned count);
/* The same of what the host has in its page cache, at once. EAGAIN: it would have to wait for some
 * of it, or cannot tell. */
int file_readv_cached(const struct file *f, u64 offset, const struct iovec *v, unsigned count);
int file_write(struct file *f, u64 offset, const void *buf, u64 len);
/* Data, and what is needed to find it, are on stable storage. */
int file_sync(struct file *f);
/* The range reads as zeroes from now on; its space is given back where the host can. */
int file_punch(struct file *f, u64 offset, u64 len);
int file_truncate(struct file *f, u64 bytes);
/* Bytes that the file takes on the host. */
u64 file_allocated_bytes(const struct file *f);
