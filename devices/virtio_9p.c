/*
 * virtio_9p.c: a folder of the host for the guest, by the protocol 9P2000.L over virtio.
 *
 * Specifications: VIRTIO 1.2, section 5.13 (transport); "intro" and the other pages of section 5 of
 * the Plan 9 manual (9P2000); github.com/chaos/diod, protocol.md (9P2000.L).
 *
 * The guest is confined to the folder by share.c; here it is confined to its messages: every length
 * is checked, fids and open files are limited. Requests are served at once, one after the other.
 *
 * Not implemented: authentication, extended attributes (Linux does without them), locks against
 * other users of the folder (the guest locks among its own), requests beside the guest.
 */
#define _GNU_SOURCE /* O_DSYNC with the rest of fcntl.h */
#include "devices/virtio_9p.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define F_MOUNT_TAG BIT64(0)
#define TAG_MAX 31u
#define QUEUE_SIZE 128u
#define MSIZE_MAX (256 * KIB)
#define MSIZE_MIN 4096u
#define OPEN_MAX 256u
#define WALK_MAX 16u
#define FID_NONE 0xffffffffu
#define HEADER_BYTES 7u
#define IO_HEADER_BYTES 24u /* that Tread, Twrite and Treaddir leave room for */
#define V9FS_MAGIC 0x01021997u
#define VERSION "9P2000.L"

/* Types of requests; that of the answer is one more. */
enum {
    RLERROR = 7,
    TSTATFS = 8,
    TLOPEN = 12,
    TLCREATE = 14,
    TSYMLINK = 16,
    TMKNOD = 18,
    TRENAME = 20,
    TREADLINK = 22,
    TGETATTR = 24,
    TSETATTR = 26,
    TREADDIR = 40,
    TFSYNC = 50,
    TLOCK = 52,
    TGETLOCK = 54,
    TLINK = 70,
    TMKDIR = 72,
    TRENAMEAT = 74,
    TUNLINKAT = 76,
    TVERSION = 100,
    TATTACH = 104,
    TFLUSH = 108,
    TWALK = 110,
    TREAD = 116,
    TWRITE = 118,
    TCLUNK = 120,
    TREMOVE = 122,
};

enum { QID_FILE = 0, QID_SYMLINK = 0x02, QID_DIR = 0x80 };
#define QID_BYTES 13u

/* Flags of open(2) on Linux, in its generic numbers. */
#define P9_ACCMODE 03u
#define P9_EXCL 0200u
#define P9_TRUNC 01000u
#define P9_APPEND 02000u
#define P9_DSYNC 010000u
#define P9_SYNC 04000000u
#define P9_REMOVEDIR 0x200u /* of unlinkat */

/* Tsetattr's valid. */
enum {
    SET_MODE = BIT(0),
    SET_UID = BIT(1),
    SET_GID = BIT(2),
    SET_SIZE = BIT(3),
    SET_ATIME = BIT(4),
    SET_MTIME = BIT(5),
    SET_ATIME_GIVEN = BIT(7),
    SET_MTIME_GIVEN = BIT(8),
};
#define GETATTR_BASIC 0x7ffull
enum { LOCK_SUCCESS = 0, LOCK_TYPE_UNLCK = 2 };

/* ---- messages -------------------------------------------------------------------------------- */

struct message {
    u8 *p;
    u32 at, len;
    bool bad;      /* read beyond its end, or written beyond its room */
    u8 nothing[8]; /* what is beyond */
};

static u8 *take(struct message *m, u32 bytes)
{
    if (bytes > m->len - m->at) {
        m->bad = true;
        m->at = m->len;
        return bytes <= sizeof m->nothing ? memset(m->nothing, 0, sizeof m->nothing) : NULL;
    }
    m->at += bytes;
    return m->p + m->at - bytes;
}

static u16 get16(struct message *m)
{
    return ld_le16(take(m, 2));
}

static u32 get32(struct message *m)
{
    return ld_le32(take(m, 4));
}

static u64 get64(struct message *m)
{
    return ld_le64(take(m, 8));
}

/* A string of at most cap - 1 bytes without a NUL. */
static void get_string(struct message *m, char *s, u32 cap)
{
    u32 len = get16(m);
    const u8 *p = len < cap ? take(m, len) : NULL;

    s[0] = '\0';
    if (!p || m->bad || memchr(p, 0, len)) {
        m->bad = true;
        return;
    }
    memcpy(s, p, len);
    s[len] = '\0';
}

/* A name in a folder. */
static void get_name(struct message *m, char name[256])
{
    get_string(m, name, 256);
    m->bad |= !share_name_ok(name);
}

static void put8(struct message *m, u8 v)
{
    *take(m, 1) = v;
}

static void put16(struct message *m, u16 v)
{
    st_le16(take(m, 2), v);
}

static void put32(struct message *m, u32 v)
{
    st_le32(take(m, 4), v);
}

static void put64(struct message *m, u64 v)
{
    st_le64(take(m, 8), v);
}

static void put_string(struct message *m, const char *s, size_t len)
{
    u8 *p;

    put16(m, (u16)len);
    p = take(m, (u32)len);
    if (p && !m->bad)
        memcpy(p, s, len);
}

/* A file's identity (intro(5)): numbers of files on other file systems are told apart as well as 64
 * bits do.
 */
static void put_qid(struct message *m, mode_t mode, u64 dev, u64 ino)
{
    put8(m, S_ISDIR(mode) ? QID_DIR : S_ISLNK(mode) ? QID_SYMLINK : QID_FILE);
    put32(m, 0);
    put64(m, ino ^ (dev << 40 | dev >> 24));
}

static void put_qid_of(struct message *m, const struct stat *st)
{
    put_qid(m, st->st_mode, st->st_dev, st->st_ino);
}

/* ---- fids ------------------------------------------------------------------------------------ */

static struct p9_fid *fid_find(struct virtio_9p *s, u32 fid)
{
    for (u32 i = 0; i < s->fid_count; i++)
        if (s->fid[i].path && s->fid[i].fid == fid)
            return &s->fid[i];
    return NULL;
}

static void fid_close(struct virtio_9p *s, struct p9_fid *f)
{
    s->open -= f->file >= 0 || f->dir;
    if (f->file >= 0)
        close(f->file);
    if (f->dir)
        closedir(f->dir);
    f->file = -1;
    f->dir = NULL;
}

static void fid_free(struct virtio_9p *s, struct p9_fid *f)
{
    fid_close(s, f);
    free(f->path);
    f->path = NULL;
}

static void fid_free_all(struct virtio_9p *s)
{
    for (u32 i = 0; i < s->fid_count; i++)
        if (s->fid[i].path)
            fid_free(s, &s->fid[i]);
}

static int fid_add(struct virtio_9p *s, u32 fid, const char *path, u32 uid)
{
    u32 n = 0;

    if (fid == FID_NONE || fid_find(s, fid))
        return EBADF;
    while (n < s->fid_count && s->fid[n].path)
        n++;
    if (n == P9_FIDS_MAX)
        return ENFILE;
    if (n == s->fid_count) {
        u32 count = s->fid_count ? 2 * s->fid_count : 64;

        s->fid = realloc(s->fid, count * sizeof *s->fid);
        BUG_ON(!s->fid);
        memset(s->fid + s->fid_count, 0, (count - s->fid_count) * sizeof *s->fid);
        s->fid_count = count;
    }
    s->fid[n] = (struct p9_fid){.fid = fid, .path = strdup(path), .uid = uid, .file = -1};
    BUG_ON(!s->fid[n].path);
    return 0;
}

static int fid_move(struct p9_fid *f, const char *path)
{
    if (f->file >= 0 || f->dir)
        return EBUSY;
    free(f->path);
    f->path = strdup(path);
    BUG_ON(!f->path);
    return 0;
}

static struct p9_fid *get_fid(struct virtio_9p *s, struct message *m)
{
    return fid_find(s, get32(m));
}

/* A path in `folder`, which is a path itself. */
static int join(char path[SHARE_PATH_MAX], const char *folder, const char *name)
{
    int n = snprintf(path, SHARE_PATH_MAX, "%s%s%s", folder, *folder ? "/" : "", name);

    return n < (int)SHARE_PATH_MAX ? 0 : ENAMETOOLONG;
}

/* What was at `from` and below is at `to` now. */
static void fids_renamed(struct virtio_9p *s, const char *from, const char *to)
{
    size_t len = strlen(from);

    for (u32 i = 0; i < s->fid_count; i++) {
        char *old = s->fid[i].path, path[SHARE_PATH_MAX];

        if (!old || strncmp(old, from, len) || (old[len] && old[len] != '/'))
            continue;
        if (snprintf(path, sizeof path, "%s%s", to, old + len) >= (int)sizeof path)
            continue; /* nothing finds it any more */
        s->fid[i].path = strdup(path);
        BUG_ON(!s->fid[i].path);
        free(old);
    }
}

/* An open file is itself even when its name is gone. */
static int fid_stat(const struct virtio_9p *s, const struct p9_fid *f, struct stat *st)
{
    if (f->file >= 0)
        return share_fstat(&s->share, f->file, st);
    return share_stat(&s->share, f->path, st);
}

/* ---- requests: each returns 0 or an errno ---------------------------------------------------- */

static int do_version(struct virtio_9p *s, struct message *m, struct message *r)
{
    u32 msize = get32(m);
    char version[32];

    get_string(m, version, sizeof version);
    if (m->bad || msize < MSIZE_MIN)
        return EINVAL;
    fid_free_all(s);
    s->msize = msize < MSIZE_MAX ? msize : MSIZE_MAX;
    put32(r, s->msize);
    if (strcmp(version, VERSION) != 0)
        put_string(r, "unknown", 7);
    else
        put_string(r, VERSION, strlen(VERSION));
    return 0;
}

static int do_attach(struct virtio_9p *s, struct message *m, struct message *r)
{
    u32 fid = get32(m), uid;
    char text[SHARE_PATH_MAX]; /* user's and tree's names: of no meaning */
    struct stat st;
    int error;

    get32(m); /* fid for authentication */
    get_string(m, text, sizeof text);
    get_string(m, text, sizeof text);
    uid = get32(m);
    if (m->bad)
        return EINVAL;
    if ((error = share_stat(&s->share, "", &st)) || (error = fid_add(s, fid, "", uid)))
        return error;
    put_qid_of(r, &st);
    return 0;
}

/* One name further; ".." of the folder is the folder. */
static int walk_name(char path[SHARE_PATH_MAX], const char *name)
{
    char *slash = strrchr(path, '/');
    char folder[SHARE_PATH_MAX];

    if (!strcmp(name, "."))
        return 0;
    if (!strcmp(name, "..")) {
        *(slash ? slash : path) = '\0';
        return 0;
    }
    if (!share_name_ok(name))
        return ENOENT;
    strcpy(folder, path);
    return join(path, folder, name);
}

/* Names up to the first that is not there are walked; the new fid is made if all are (walk(5)). */
static int do_walk(struct virtio_9p *s, struct message *m, struct message *r)
{
    struct p9_fid *f = get_fid(s, m);
    u32 new = get32(m);
    unsigned names = get16(m), walked = 0;
    char path[SHARE_PATH_MAX];
    u8 *count = take(r, 2);
    int error = 0;

    if (m->bad || names > WALK_MAX)
        return EINVAL;
    if (!f)
        return EBADF;
    strcpy(path, f->path);
    for (; walked < names; walked++) {
        char name[256];
        struct stat st;

        get_string(m, name, sizeof name);
        if (m->bad)
            return EINVAL;
        if ((error = walk_name(path, name)) || (error = share_stat(&s->share, path, &st)))
            break;
        put_qid_of(r, &st);
    }
    st_le16(count, (u16)walked);
    if (walked < names)
        return walked ? 0 : error;
    return new == f->fid ? fid_move(f, path) : fid_add(s, new, path, f->uid);
}

static int host_flags(u32 flags)
{
    return (int)(flags & P9_ACCMODE) | (flags & P9_TRUNC ? O_TRUNC : 0) |
           (flags & P9_APPEND ? O_APPEND : 0) | (flags & (P9_DSYNC | P9_SYNC) ? O_SYNC : 0);
}

static int do_lopen(struct virtio_9p *s, struct message *m, struct message *r)
{
    struct p9_fid *f = get_fid(s, m);
    u32 flags = get32(m);
    struct stat st;
    int error;

    if (m->bad || (flags & P9_ACCMODE) == 3)
        return EINVAL;
    if (!f || f->file >= 0 || f->dir)
        return EBADF;
    if (s->open == OPEN_MAX)
        return EMFILE;
    if ((error = share_stat(&s->share, f->path, &st)))
        return error;
    error = S_ISDIR(st.st_mode)
                ? share_open_folder(&s->share, f->path, &f->dir)
                : share_open_file(&s->share, f->path, host_flags(flags), NULL, &f->file);
    if (error)
        return error;
    s->open++;
    put_qid_of(r, &st);
    put32(r, 0);
    return 0;
}

/* Mode, numbers of a device if it may be one (kind 0: the mode says), and group; the owner is who
 * attached the folder. */
static void get_new(struct message *m, const struct p9_fid *folder, mode_t kind,
                    struct share_new *n)
{
    u32 mode = S_ISLNK(kind) ? 0777 : get32(m);

    *n = (struct share_new){.mode = kind ? kind | (mode & 07777) : mode,
                            .uid = folder ? folder->uid : (uid_t)-1};
    if (!kind) {
        u32 major = get32(m), minor = get32(m);

        n->rdev = makedev(major, minor);
    }
    n->gid = get32(m);
}

/* The fid of the folder becomes that of the new file. */
static int do_lcreate(struct virtio_9p *s, struct message *m, struct message *r)
{
    struct p9_fid *f = get_fid(s, m);
    char name[256], path[SHARE_PATH_MAX];
    struct share_new n;
    u32 flags;
    struct stat st;
    int error;

    get_name(m, name);
    flags = get32(m);
    get_new(m, f, S_IFREG, &n);
    if (m->bad || (flags & P9_ACCMODE) == 3)
        return EINVAL;
    if (!f || f->file >= 0 || f->dir)
        return EBADF;
    if (s->open == OPEN_MAX)
        return EMFILE;
    if ((error = join(path, f->path, name)) ||
        (error = share_open_file(&s->share, path,
                                 host_flags(flags) | O_CREAT | (flags & P9_EXCL ? O_EXCL : 0), &n,
                                 &f->file)))
        return error;
    s->open++;
    free(f->path);
    f->path = strdup(path);
    BUG_ON(!f->path);
    if ((error = share_fstat(&s->share, f->file, &st)))
        return error;
    put_qid_of(r, &st);
    put32(r, 0);
    return 0;
}

/* What makes something new in a folder: all have a fid and a name first, and answer with a qid. */
static int made(struct virtio_9p *s, const char *path, int error, struct message *r)
{
    struct stat st;

    if (error || (error = share_stat(&s->share, path, &st)))
        return error;
    put_qid_of(r, &st);
    return 0;
}

static int get_new_path(struct virtio_9p *s, struct message *m, char path[SHARE_PATH_MAX],
                        const struct p9_fid **folder)
{
    const struct p9_fid *f = get_fid(s, m);
    char name[256];

    *folder = f;
    get_name(m, name);
    return m->bad ? EINVAL : !f ? EBADF : join(path, f->path, name);
}

static int do_symlink(struct virtio_9p *s, struct message *m, struct message *r)
{
    char path[SHARE_PATH_MAX], target[SHARE_PATH_MAX];
    const struct p9_fid *f;
    struct share_new n;
    int error = get_new_path(s, m, path, &f);

    get_string(m, target, sizeof target);
    get_new(m, f, S_IFLNK, &n);
    if (m->bad || !*target)
        return EINVAL;
    return error ? error : made(s, path, share_symlink(&s->share, path, target, &n), r);
}

static int do_mknod(struct virtio_9p *s, struct message *m, struct message *r)
{
    char path[SHARE_PATH_MAX];
    const struct p9_fid *f;
    struct share_new n;
    int error = get_new_path(s, m, path, &f);

    get_new(m, f, 0, &n);
    if (m->bad)
        return EINVAL;
    return error ? error : made(s, path, share_mknod(&s->share, path, &n), r);
}

static int do_mkdir(struct virtio_9p *s, struct message *m, struct message *r)
{
    char path[SHARE_PATH_MAX];
    const struct p9_fid *f;
    struct share_new n;
    int error = get_new_path(s, m, path, &f);

    get_new(m, f, S_IFDIR, &n);
    if (m->bad)
        return EINVAL;
    return error ? error : made(s, path, share_mkdir(&s->share, path, &n), r);
}

static int do_link(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *folder = get_fid(s, m), *f = get_fid(s, m);
    char name[256], path[SHARE_PATH_MAX];
    int error;

    (void)r;
    get_name(m, name);
    if (m->bad)
        return EINVAL;
    if (!folder || !f)
        return EBADF;
    error = join(path, folder->path, name);
    return error ? error : share_link(&s->share, f->path, path);
}

static int rename_path(struct virtio_9p *s, const char *from, const char *to)
{
    int error = share_rename(&s->share, from, to);

    if (!error)
        fids_renamed(s, from, to);
    return error;
}

static int do_rename(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m), *folder;
    char from[SHARE_PATH_MAX], to[SHARE_PATH_MAX];
    int error = get_new_path(s, m, to, &folder);

    (void)r;
    if (error || !f)
        return error ? error : EBADF;
    strcpy(from, f->path);
    return rename_path(s, from, to);
}

static int do_renameat(struct virtio_9p *s, struct message *m, struct message *r)
{
    char from[SHARE_PATH_MAX], to[SHARE_PATH_MAX];
    const struct p9_fid *folder;
    int error = get_new_path(s, m, from, &folder);

    (void)r;
    if (error || (error = get_new_path(s, m, to, &folder)))
        return error;
    return rename_path(s, from, to);
}

static int do_unlinkat(struct virtio_9p *s, struct message *m, struct message *r)
{
    char path[SHARE_PATH_MAX];
    const struct p9_fid *folder;
    int error = get_new_path(s, m, path, &folder);
    u32 flags = get32(m);

    (void)r;
    if (m->bad)
        return EINVAL;
    return error ? error : share_unlink(&s->share, path, flags & P9_REMOVEDIR);
}

static int do_clunk(struct virtio_9p *s, struct message *m, struct message *r)
{
    struct p9_fid *f = get_fid(s, m);

    (void)r;
    if (!f)
        return EBADF;
    fid_free(s, f);
    return 0;
}

/* The fid is gone even if the file is not (remove(5)). */
static int do_remove(struct virtio_9p *s, struct message *m, struct message *r)
{
    struct p9_fid *f = get_fid(s, m);
    struct stat st;
    int error;

    (void)r;
    if (!f)
        return EBADF;
    error = share_stat(&s->share, f->path, &st);
    if (!error)
        error = share_unlink(&s->share, f->path, S_ISDIR(st.st_mode));
    fid_free(s, f);
    return error;
}

static int do_readlink(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    char target[SHARE_PATH_MAX];
    size_t len;
    int error = f ? share_readlink(&s->share, f->path, target, sizeof target, &len) : EBADF;

    if (!error)
        put_string(r, target, len);
    return error;
}

static void put_time(struct message *r, const struct timespec *t)
{
    put64(r, (u64)t->tv_sec);
    put64(r, (u64)t->tv_nsec);
}

static int do_getattr(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    struct stat st;
    int error = f ? fid_stat(s, f, &st) : EBADF;

    if (error)
        return error;
    put64(r, GETATTR_BASIC);
    put_qid_of(r, &st);
    put32(r, st.st_mode);
    put32(r, st.st_uid);
    put32(r, st.st_gid);
    put64(r, st.st_nlink);
    put64(r, st.st_rdev);
    put64(r, (u64)st.st_size);
    put64(r, (u64)st.st_blksize);
    put64(r, (u64)st.st_blocks);
    put_time(r, &st.st_atim);
    put_time(r, &st.st_mtim);
    put_time(r, &st.st_ctim);
    put_time(r, &(struct timespec){0, 0}); /* of birth, generation and version nothing is said */
    put64(r, 0);
    put64(r, 0);
    return 0;
}

static struct timespec get_time(struct message *m, bool set, bool given)
{
    u64 sec = get64(m), nsec = get64(m);

    if (!set)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    if (!given)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    m->bad |= nsec >= NS_PER_SEC;
    return (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = (long)nsec};
}

/* An open file may have no name any more. */
static int set_size(struct virtio_9p *s, const struct p9_fid *f, u64 size)
{
    if (f->file >= 0 && size <= INT64_MAX && !ftruncate(f->file, (off_t)size))
        return 0;
    return share_truncate(&s->share, f->path, size);
}

static int do_setattr(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    u32 valid = get32(m), mode = get32(m), uid = get32(m), gid = get32(m);
    u64 size = get64(m);
    struct timespec times[2];
    int error = 0;

    (void)r;
    times[0] = get_time(m, valid & SET_ATIME, valid & SET_ATIME_GIVEN);
    times[1] = get_time(m, valid & SET_MTIME, valid & SET_MTIME_GIVEN);
    if (m->bad)
        return EINVAL;
    if (!f)
        return EBADF;
    if (valid & SET_MODE)
        error = share_chmod(&s->share, f->path, mode);
    if (!error && valid & (SET_UID | SET_GID))
        error = share_chown(&s->share, f->path, valid & SET_UID ? uid : (uid_t)-1,
                            valid & SET_GID ? gid : (gid_t)-1);
    if (!error && valid & SET_SIZE)
        error = set_size(s, f, size);
    if (!error && valid & (SET_ATIME | SET_MTIME))
        error = share_utimes(&s->share, f->path, times);
    return error;
}

static int do_statfs(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    struct statvfs st;
    int error = f ? share_statvfs(&s->share, f->path, &st) : EBADF;

    if (error)
        return error;
    put32(r, V9FS_MAGIC);
    put32(r, (u32)st.f_frsize);
    put64(r, st.f_blocks);
    put64(r, st.f_bfree);
    put64(r, st.f_bavail);
    put64(r, st.f_files);
    put64(r, st.f_ffree);
    put64(r, st.f_fsid);
    put32(r, (u32)st.f_namemax);
    return 0;
}

static int do_read(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    u64 offset = get64(m);
    u32 count = get32(m), room = r->len - r->at - 4;
    ssize_t n;

    if (m->bad || offset > INT64_MAX)
        return EINVAL;
    if (!f || f->file < 0)
        return EBADF;
    n = pread(f->file, r->p + r->at + 4, count < room ? count : room, (off_t)offset);
    if (n < 0)
        return errno;
    put32(r, (u32)n);
    take(r, (u32)n);
    return 0;
}

static int do_write(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    u64 offset = get64(m);
    u32 count = get32(m);
    const u8 *data = take(m, count);
    ssize_t n;

    if (m->bad || offset > INT64_MAX)
        return EINVAL;
    if (!f || f->file < 0)
        return EBADF;
    n = pwrite(f->file, data, count, (off_t)offset);
    if (n < 0)
        return errno;
    put32(r, (u32)n);
    return 0;
}

/* As many entries as there is room for, from the place that the last one said. */
static int do_readdir(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    u64 offset = get64(m);
    u32 count = get32(m), room = r->len - r->at - 4, begin;
    struct dirent *d;
    struct stat st;
    u8 *bytes;
    int error;

    if (m->bad)
        return EINVAL;
    if (!f || !f->dir)
        return EBADF;
    if ((error = share_stat(&s->share, f->path, &st)))
        return error;
    bytes = take(r, 4);
    begin = r->at;
    count = count < room ? count : room;
    if (offset)
        seekdir(f->dir, (long)offset);
    else
        rewinddir(f->dir);
    while ((d = readdir(f->dir))) {
        size_t len = strlen(d->d_name);
        u8 kind = s->share.mapped && d->d_type == DT_REG ? DT_UNKNOWN : d->d_type; /* or a link */

        if (r->at - begin + QID_BYTES + 11 + len > count)
            break;
        put_qid(r, DTTOIF(kind), st.st_dev, !strcmp(d->d_name, "..") ? st.st_ino : d->d_ino);
        put64(r, (u64)d->d_off);
        put8(r, kind);
        put_string(r, d->d_name, len);
    }
    st_le32(bytes, r->at - begin);
    return 0;
}

static int do_fsync(struct virtio_9p *s, struct message *m, struct message *r)
{
    const struct p9_fid *f = get_fid(s, m);
    bool data_only = get32(m) != 0;

    (void)r;
    if (!f || (f->file < 0 && !f->dir))
        return EBADF;
    if (f->file < 0)
        return fsync(dirfd(f->dir)) ? errno : 0;
    return (data_only ? fdatasync(f->file) : fsync(f->file)) ? errno : 0;
}

/* Who else uses the folder is not asked: the guest has every lock that it does not refuse itself.
 */
static int do_lock(struct virtio_9p *s, struct message *m, struct message *r)
{
    if (!get_fid(s, m))
        return EBADF;
    put8(r, LOCK_SUCCESS);
    return 0;
}

static int do_getlock(struct virtio_9p *s, struct message *m, struct message *r)
{
    bool known = get_fid(s, m) != NULL;
    u64 start, length;
    u32 proc;
    char client[256];

    take(m, 1);
    start = get64(m);
    length = get64(m);
    proc = get32(m);
    get_string(m, client, sizeof client);
    if (m->bad || !known)
        return m->bad ? EINVAL : EBADF;
    put8(r, LOCK_TYPE_UNLCK);
    put64(r, start);
    put64(r, length);
    put32(r, proc);
    put_string(r, client, strlen(client));
    return 0;
}

/* Every request before it has been answered. */
static int do_flush(struct virtio_9p *s, struct message *m, struct message *r)
{
    (void)s;
    (void)r;
    get16(m);
    return m->bad ? EINVAL : 0;
}

static const struct {
    u8 type;
    int (*fn)(struct virtio_9p *s, struct message *m, struct message *r);
} requests[] = {
    {TSTATFS, do_statfs},     {TLOPEN, do_lopen},       {TLCREATE, do_lcreate},
    {TSYMLINK, do_symlink},   {TMKNOD, do_mknod},       {TRENAME, do_rename},
    {TREADLINK, do_readlink}, {TGETATTR, do_getattr},   {TSETATTR, do_setattr},
    {TREADDIR, do_readdir},   {TFSYNC, do_fsync},       {TLOCK, do_lock},
    {TGETLOCK, do_getlock},   {TLINK, do_link},         {TMKDIR, do_mkdir},
    {TRENAMEAT, do_renameat}, {TUNLINKAT, do_unlinkat}, {TVERSION, do_version},
    {TATTACH, do_attach},     {TFLUSH, do_flush},       {TWALK, do_walk},
    {TREAD, do_read},         {TWRITE, do_write},       {TCLUNK, do_clunk},
    {TREMOVE, do_remove},
};

/* ---- transport ------------------------------------------------------------------------------- */

/* Answers the request of `m` in s->out; returns the bytes of the answer. */
static u32 answer(struct virtio_9p *s, struct message *m, u32 room)
{
    struct message r = {.p = s->out, .at = HEADER_BYTES, .len = room};
    int error = EOPNOTSUPP;
    u16 tag;
    u8 type;

    m->at = 4;
    type = *take(m, 1);
    tag = get16(m);
    for (unsigned i = 0; i < ARRAY_SIZE(requests); i++)
        if (requests[i].type == type)
            error = s->msize || type == TVERSION ? requests[i].fn(s, m, &r) : EPROTO;
    if (!error && r.bad)
        error = ENOBUFS;
    TRACE(virtio_9p_request, type, tag, m->len >= 11 ? ld_le32(m->p + 7) : 0, error);
    if (error) {
        r = (struct message){.p = s->out, .at = HEADER_BYTES, .len = room};
        put32(&r, (u32)error);
    }
    st_le32(s->out, r.at);
    s->out[4] = error ? RLERROR : (u8)(type + 1);
    st_le16(s->out + 5, tag);
    return r.at;
}

/* False: no message, or no room for an answer to it. */
static bool serve(struct virtio_9p *s, const struct virtio_chain *c, u32 *written)
{
    u32 limit = s->msize ? s->msize : MSIZE_MIN;
    u32 room = c->write_bytes < limit ? (u32)c->write_bytes : limit;
    struct message m = {.p = s->in};

    if (c->read_bytes < HEADER_BYTES || room < HEADER_BYTES + 4 ||
        !virtio_read(&s->virtio, c, 0, s->in, HEADER_BYTES))
        return false;
    m.len = ld_le32(s->in);
    if (m.len < HEADER_BYTES || m.len > c->read_bytes || m.len > limit ||
        !virtio_read(&s->virtio, c, 0, s->in, m.len))
        return false;
    *written = answer(s, &m, room);
    return virtio_write(&s->virtio, c, 0, s->out, *written);
}

/* A turn is at most a ring of requests: a driver on another processor may feed it for ever. */
static void notified(struct virtio *v, unsigned queue)
{
    struct virtio_9p *s = (struct virtio_9p *)v;
    struct virtio_chain c;
    u32 written;

    for (unsigned n = 0; s->in && n < QUEUE_SIZE && virtio_pop(v, queue, &c); n++) {
        if (!serve(s, &c, &written)) {
            virtio_broken(v);
            return;
        }
        virtio_push(v, queue, c.id, c.descriptors, written);
    }
    virtio_interrupt(v, queue);
}

static void config(struct virtio *v, u8 image[64])
{
    const char *tag = ((const struct virtio_9p *)v)->mount_tag;
    size_t len = tag ? strlen(tag) : 0;

    st_le16(image, (u16)len);
    if (len)
        memcpy(image + 2, tag, len);
}

static void device_reset(struct virtio *v)
{
    struct virtio_9p *s = (struct virtio_9p *)v;

    fid_free_all(s);
    s->msize = 0;
}

static const struct virtio_ops ops = {
    .notified = notified, .reset = device_reset, .config = config};

/* ---- class ----------------------------------------------------------------------------------- */

static bool open_folder(struct virtio_9p *s, struct err *e)
{
    const struct resources *res = s->virtio.pci.dev.env->resources;
    const struct share_entry *entry;

    s->share.root = -1;
    if (!res) /* a device of a test */
        return true;
    entry = resources_share(res, s->fsdev, e);
    if (!entry)
        return false;
    if (!s->mount_tag || !*s->mount_tag || strlen(s->mount_tag) > TAG_MAX) {
        err_usage(e, "device virtio-9p-pci needs a mount_tag of 1 to %u characters", TAG_MAX);
        return err_hint(e, "the guest mounts it by that: mount -t 9p TAG /mnt");
    }
    return share_open(&s->share, entry, e);
}

static bool virtio_9p_init(struct dev *d, struct err *e)
{
    struct virtio_9p *s = (struct virtio_9p *)d;
    struct virtio *v = &s->virtio;

    if (!open_folder(s, e))
        return false;
    v->queues = 1;
    v->queue_size = QUEUE_SIZE;
    v->config_bytes = 2 + (s->mount_tag ? (unsigned)strlen(s->mount_tag) : 0);
    v->features = F_MOUNT_TAG;
    if (!virtio_init(v, 9, 0x00ff, &ops, e)) {
        share_close(&s->share);
        return false;
    }
    if (s->share.root >= 0) {
        s->in = malloc(MSIZE_MAX);
        s->out = malloc(MSIZE_MAX);
        BUG_ON(!s->in || !s->out);
    }
    return true;
}

static void virtio_9p_destroy(struct dev *d)
{
    struct virtio_9p *s = (struct virtio_9p *)d;

    fid_free_all(s);
    free(s->fid);
    free(s->in);
    free(s->out);
    share_close(&s->share);
    virtio_destroy(&s->virtio);
}

static void virtio_9p_reset(struct dev *d)
{
    virtio_reset((struct virtio *)d);
}

static void virtio_9p_loaded(struct dev *d)
{
    struct virtio_9p *s = (struct virtio_9p *)d;

    fid_free_all(s);
    virtio_loaded(&s->virtio);
}

static const struct dev_prop virtio_9p_props[] = {
    {"fsdev", PROP_STRING, offsetof(struct virtio_9p, fsdev), 0, 0, 0, "the id of an -fsdev"},
    {"mount_tag", PROP_STRING, offsetof(struct virtio_9p, mount_tag), 0, 0, 0,
     "by which the guest mounts it"},
    DEV_PROP_END,
};

static const struct dev_field virtio_9p_fields[] = {
    VIRTIO_FIELDS(struct virtio_9p),
    DEV_FIELD(struct virtio_9p, msize, 0, MSIZE_MAX, "greatest message, as negotiated"),
    DEV_FIELD_END,
};

const struct dev_class virtio_9p_class = {
    .name = "virtio-9p-pci",
    .doc = "a folder of the host by 9P2000.L",
    .size = sizeof(struct virtio_9p),
    .props = virtio_9p_props,
    .fields = virtio_9p_fields,
    .user_creatable = true,
    .init = virtio_9p_init,
    .reset = virtio_9p_reset,
    .loaded = virtio_9p_loaded,
    .destroy = virtio_9p_destroy,
};
