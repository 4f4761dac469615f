/* file.c: see file.h. Specification: POSIX.1-2017; OFD locks, O_DIRECT, O_TMPFILE, FALLOC_FL_ are
 * Linux's. */
#define _GNU_SOURCE
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECT_ALIGN 4096u /* enough for every disk there is */
#define BOUNCE_BYTES (256 * KIB)
#define TRANSFER_MAX (1u << 30) /* Linux transfers less than 2 GiB at once */

/* ---- opening --------------------------------------------------------------------------------- */

static bool lock(struct file *f, const char *path, struct err *e)
{
    struct flock l = {.l_type = f->writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    if (!fcntl(f->fd, F_OFD_SETLK, &l))
        return true;
    if (errno != EAGAIN && errno != EACCES)
        return true; /* a file system without locks: nothing to respect, and nothing to fail for */
    err_host(e, "%s: in use by another machine or program", path);
    return err_hint(e, "one writer at a time: end the other one, or use readonly=on in both");
}

static bool device_size(struct file *f, const char *path, struct err *e)
{
    f->is_device = true;
    if (ioctl(f->fd, BLKGETSIZE64, &f->bytes))
        return err_host(e, "%s: its size cannot be found: %s", path, strerror(errno));
    return true;
}

static bool check_kind(struct file *f, const char *path, struct err *e)
{
    struct stat st;

    if (fstat(f->fd, &st))
        return err_host(e, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_host(e, "%s: is a directory, not a file", path);
    if (S_ISBLK(st.st_mode))
        return device_size(f, path, e);
    if (!S_ISREG(st.st_mode))
        return err_host(e, "%s: is neither a regular file nor a block device", path);
    f->bytes = (u64)st.st_size;
    return true;
}

bool file_open(struct file *f, const char *path, unsigned flags, struct err *e)
{
    int how = (flags & FILE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
              (flags & FILE_DIRECT ? O_DIRECT : 0);

    *f = (struct file){.writable = flags & FILE_WRITE, .direct = flags & FILE_DIRECT};
    f->fd = open(path, how);
    if (f->fd < 0) {
        err_host(e, "%s: %s", path, errno == ENOENT ? "no such file" : strerror(errno));
        if (errno == EACCES || errno == EROFS)
            err_hint(e, "readonly=on opens it without writing, snapshot=on keeps writes apart");
        if (errno == EINVAL && f->direct)
            err_hint(e, "this file system has no O_DIRECT: use cache=writeback");
        return false;
    }
    if (check_kind(f, path, e) && lock(f, path, e))
        return true;
    close(f->fd);
    return false;
}

bool file_create(struct file *f, const char *path, struct err *e)
{
    *f = (struct file){.writable = true};
    f->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0644);
    if (f->fd < 0) {
        err_host(e, "%s: cannot be created: %s", path, strerror(errno));
        if (errno == EEXIST)
            err_hint(e, "nothing is overwritten: remove it first, or choose another name");
        return false;
    }
    if (lock(f, path, e))
        return true;
    close(f->fd);
    return false;
}

bool file_open_temporary(struct file *f, const char *dir, struct err *e)
{
    *f = (struct file){.writable = true};
    f->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (f->fd < 0) { /* a file system without O_TMPFILE */
        char path[4096];

        snprintf(path, sizeof path, "%s/parallax-XXXXXX", dir);
        f->fd = mkostemp(path, O_CLOEXEC);
        if (f->fd < 0) {
            err_host(e, "%s: no temporary file can be made there: %s", dir, strerror(errno));
            return err_hint(e, "TMPDIR names the directory for them");
        }
        unlink(path);
    }
    return true;
}

void file_close(struct file *f)
{
    close(f->fd);
    f->fd = -1;
}

/* ---- transfers ------------------------------------------------------------------------------- */

/* *got is less than len only at the end of the file. */
static int read_at(int fd, u64 offset, u8 *buf, u64 len, u64 *got)
{
    for (*got = 0; *got < len;) {
        u64 left = len - *got;
        ssize_t n = pread(fd, buf + *got, left < TRANSFER_MAX ? (size_t)left : TRANSFER_MAX,
                          (off_t)(offset + *got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (!n)
            break;
        *got += (u64)n;
    }
    return 0;
}

static int write_at(int fd, u64 offset, const u8 *buf, u64 len)
{
    while (len) {
        ssize_t n = pwrite(fd, buf, len < TRANSFER_MAX ? (size_t)len : TRANSFER_MAX, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? errno : ENOSPC;
        buf += n;
        offset += (u64)n;
        len -= (u64)n;
    }
    return 0;
}

static bool is_aligned(u64 offset, const void *buf, u64 len)
{
    return !((offset | len | (u64)(uintptr_t)buf) & (DIRECT_ALIGN - 1));
}

/* One piece of an O_DIRECT transfer through an aligned buffer: what lies around it is read too, and
 * for a write put back. The end of a file that is no multiple of the alignment is cut again. */
static int bounce_piece(struct file *f, u8 *bounce, u64 offset, u8 *buf, u64 len, bool write)
{
    u64 start = offset & ~(u64)(DIRECT_ALIGN - 1), got;
    u64 span = ((offset + len + DIRECT_ALIGN - 1) & ~(u64)(DIRECT_ALIGN - 1)) - start;
    int r = read_at(f->fd, start, bounce, span, &got);

    if (r)
        return r;
    memset(bounce + got, 0, span - got);
    if (!write) {
        memcpy(buf, bounce + (offset - start), len);
        return got >= offset - start + len ? 0 : EIO;
    }
    memcpy(bounce + (offset - start), buf, len);
    r = write_at(f->fd, start, bounce, span);
    if (!r && !f->is_device && start + span > f->bytes) {
        u64 end = offset + len > f->bytes ? offset + len : f->bytes;

        r = ftruncate(f->fd, (off_t)end) ? errno : 0;
    }
    return r;
}

static int bounce(struct file *f, u64 offset, u8 *buf, u64 len, bool write)
{
    u8 *b = aligned_alloc(DIRECT_ALIGN, BOUNCE_BYTES);
    int r = b ? 0 : ENOMEM;

    while (len && !r) {
        u64 room = BOUNCE_BYTES - (offset & (DIRECT_ALIGN - 1)), n = len < room ? len : room;

        r = bounce_piece(f, b, offset, buf, n, write);
        offset += n;
        buf += n;
        len -= n;
    }
    free(b);
    return r;
}

int file_read(struct file *f, u64 offset, void *buf, u64 len)
{
    u64 there = offset >= f->bytes ? 0 : f->bytes - offset < len ? f->bytes - offset : len, got;
    int r;

    memset((u8 *)buf + there, 0, len - there);
    if (!there)
        return 0;
    if (f->direct && !is_aligned(offset, buf, there))
        return bounce(f, offset, buf, there, false);
    r = read_at(f->fd, offset, buf, there, &got);
    return r ? r : got == there ? 0 : EIO;
}

/* In one call where it can be: all there, and aligned as O_DIRECT wants it. What that call does not
 * bring is for the slow way to judge. */
int file_readv(struct file *f, u64 offset, const struct iovec *v, unsigned count)
{
    u64 len = 0, bits = offset;
    int r = 0;

    for (unsigned i = 0; i < count; i++) {
        len += v[i].iov_len;
        bits |= v[i].iov_len | (u64)(uintptr_t)v[i].iov_base;
    }
    if (!(f->direct && bits & (DIRECT_ALIGN - 1)) && offset <= f->bytes &&
        len <= f->bytes - offset && preadv(f->fd, v, (int)count, (off_t)offset) == (ssize_t)len)
        return 0;
    for (unsigned i = 0; i < count && !r; offset += v[i++].iov_len)
        r = file_read(f, offset, v[i].iov_base, v[i].iov_len);
    return r;
}

int file_readv_cached(const struct file *f, u64 offset, const struct iovec *v, unsigned count)
{
    u64 len = 0;

    for (unsigned i = 0; i < count; i++)
        len += v[i].iov_len;
    return !f->direct && preadv2(f->fd, v, (int)count, (off_t)offset, RWF_NOWAIT) == (ssize_t)len
               ? 0
               : EAGAIN;
}

int file_write(struct file *f, u64 offset, const void *buf, u64 len)
{
    int r;

    if (f->is_device && (offset > f->bytes || len > f->bytes - offset))
        return ENOSPC;
    r = f->direct && !is_aligned(offset, buf, len)
            ? bounce(f, offset, (u8 *)(uintptr_t)buf, len, true)
            : write_at(f->fd, offset, buf, len);
    if (!r && offset + len > f->bytes)
        f->bytes = offset + len;
    return r;
}

int file_sync(struct file *f)
{
    return fdatasync(f->fd) ? errno : 0;
}

/* Where no hole can be made, zeroes are written. */
static int write_zeroes(struct file *f, u64 offset, u64 len)
{
    u8 *zeroes = aligned_alloc(DIRECT_ALIGN, BOUNCE_BYTES);
    int r = zeroes ? 0 : ENOMEM;

    if (zeroes)
        memset(zeroes, 0, BOUNCE_BYTES);
    while (len && !r) {
        u64 n = len < BOUNCE_BYTES ? len : BOUNCE_BYTES;

        r = file_write(f, offset, zeroes, n);
        offset += n;
        len -= n;
    }
    free(zeroes);
    return r;
}

int file_punch(struct file *f, u64 offset, u64 len)
{
    u64 end = offset + len < f->bytes ? offset + len : f->bytes;

    if (offset >= end)
        return 0;
    if (!fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                   (off_t)(end - offset)))
        return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV || errno == EINVAL
               ? write_zeroes(f, offset, end - offset)
               : errno;
}

int file_truncate(struct file *f, u64 bytes)
{
    if (f->is_device)
        return bytes <= f->bytes ? 0 : ENOSPC;
    if (ftruncate(f->fd, (off_t)bytes))
        return errno;
    f->bytes = bytes;
    return 0;
}

u64 file_allocated_bytes(const struct file *f)
{
    struct stat st;

    return fstat(f->fd, &st) ? 0 : (u64)st.st_blocks * 512;
}
