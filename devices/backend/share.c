/* share.c: see share.h. */
#define _GNU_SOURCE /* O_PATH, AT_EMPTY_PATH */
#include "devices/backend/share_mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A guest does not make files that have powers on the host. */
#define MODE_BITS 0777u
#define OPEN_ALWAYS (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

bool share_open(struct share *s, const struct share_entry *entry, struct err *e)
{
    s->readonly = entry->readonly;
    s->mapped = entry->mapped;
    s->root = open(entry->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->root < 0) {
        err_host(e, "%s: %s", entry->path, strerror(errno));
        return err_hint(e, "path= of -fsdev or -virtfs names a folder");
    }
    if (!s->mapped || getxattr(entry->path, "user.virtfs.mode", NULL, 0) >= 0 || errno != ENOTSUP)
        return true;
    share_close(s);
    err_host(e, "%s: its file system keeps no extended attributes", entry->path);
    return err_hint(e, "security_model=none needs none");
}

void share_close(struct share *s)
{
    if (s->root >= 0)
        close(s->root);
    s->root = -1;
}

bool share_name_ok(const char *name)
{
    size_t len = strlen(name);

    return len && len <= 255 && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

/* ---- walking --------------------------------------------------------------------------------- */

/* A name in an open folder. Of the shared folder itself the name is ".". */
struct place {
    int at;
    const char *name;
};

/* Goes one name further. */
static int step(int at, const char *name, size_t len)
{
    char part[256];

    if (len >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(part, name, len);
    part[len] = '\0';
    if (!share_name_ok(part)) {
        errno = EINVAL;
        return -1;
    }
    return openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What a call for a place gave, as an error; the place is left. */
static int leave(const struct place *p, int result)
{
    int error = result ? errno : 0;

    close(p->at);
    return error;
}

static int enter(const struct share *s, const char *path, struct place *p)
{
    const char *slash;

    p->at = fcntl(s->root, F_DUPFD_CLOEXEC, 0);
    p->name = *path ? path : ".";
    while (p->at >= 0 && (slash = strchr(p->name, '/'))) {
        int next = step(p->at, p->name, (size_t)(slash - p->name));
        int error = leave(p, next < 0);

        if (error)
            return error;
        p->at = next;
        p->name = slash + 1;
    }
    if (p->at < 0)
        return errno;
    if (!*path || share_name_ok(p->name))
        return 0;
    close(p->at);
    return EINVAL;
}

static int enter_to_change(const struct share *s, const char *path, struct place *p)
{
    return s->readonly ? EROFS : enter(s, path, p);
}

static int open_path(int at, const char *name)
{
    return openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* Closes it, with errno as it was; returns `result`. */
static int done(int fd, int result)
{
    int error = errno;

    close(fd);
    errno = error;
    return result;
}

static int stat_at(const struct share *s, int at, const char *name, struct stat *st)
{
    int fd;

    if (!s->mapped)
        return fstatat(at, name, st, AT_SYMLINK_NOFOLLOW);
    fd = open_path(at, name);
    if (fd < 0 || fstat(fd, st))
        return fd < 0 ? -1 : done(fd, -1);
    mapped_stat(fd, st);
    return done(fd, 0);
}

int share_stat(const struct share *s, const char *path, struct stat *st)
{
    struct place p;
    int error = enter(s, path, &p);

    return error ? error : leave(&p, stat_at(s, p.at, p.name, st));
}

int share_fstat(const struct share *s, int fd, struct stat *st)
{
    if (fstat(fd, st))
        return errno;
    if (s->mapped)
        mapped_stat(fd, st);
    return 0;
}

int share_statvfs(const struct share *s, const char *path, struct statvfs *st)
{
    struct place p;
    int error = enter(s, path, &p);

    return error ? error : leave(&p, fstatvfs(p.at, st));
}

/* A link that the host made is one. */
static ssize_t read_mapped_link(const struct share *s, const struct place *p, char *buf, size_t cap)
{
    struct stat st;
    ssize_t n;
    int fd;

    if (stat_at(s, p->at, p->name, &st))
        return -1;
    if (!S_ISLNK(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    n = readlinkat(p->at, p->name, buf, cap);
    if (n >= 0 || errno != EINVAL)
        return n;
    fd = openat(p->at, p->name, O_RDONLY | OPEN_ALWAYS);
    if (fd < 0)
        return -1;
    n = pread(fd, buf, cap, 0);
    done(fd, 0);
    return n;
}

int share_readlink(const struct share *s, const char *path, char *buf, size_t cap, size_t *len)
{
    struct place p;
    int error = enter(s, path, &p);
    ssize_t n;

    if (error)
        return error;
    n = s->mapped ? read_mapped_link(s, &p, buf, cap) : readlinkat(p.at, p.name, buf, cap);
    error = leave(&p, n < 0);
    *len = n < 0 ? 0 : (size_t)n;
    return error ? error : *len == cap ? ENAMETOOLONG : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Looks before it opens, because to open a device may do something already. */
static int open_regular(const struct share *s, int at, const char *name, int flags, mode_t mode,
                        int *fd)
{
    struct stat st;

    if (!(flags & O_CREAT) || !(flags & O_EXCL)) {
        if (!stat_at(s, at, name, &st)) {
            if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? EISDIR : EOPNOTSUPP;
        } else if (!(flags & O_CREAT)) {
            return errno;
        }
    }
    *fd = openat(at, name, flags | OPEN_ALWAYS, mode & MODE_BITS);
    if (*fd < 0)
        return errno;
    if (!fstat(*fd, &st) && S_ISREG(st.st_mode))
        return 0;
    close(*fd);
    *fd = -1;
    return EOPNOTSUPP;
}

int share_open_file(const struct share *s, const char *path, int flags, const struct share_new *n,
                    int *fd)
{
    bool changes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    struct place p;
    int error = changes ? enter_to_change(s, path, &p) : enter(s, path, &p);

    if (error)
        return error;
    if (s->mapped && flags & O_CREAT) {
        if (mapped_create(p.at, p.name, n, NULL) && (errno != EEXIST || flags & O_EXCL))
            error = errno;
        flags &= ~(O_CREAT | O_EXCL);
    }
    if (!error)
        error = open_regular(s, p.at, p.name, flags, n ? n->mode : 0, fd);
    close(p.at);
    return error;
}

int share_open_folder(const struct share *s, const char *path, DIR **dir)
{
    struct place p;
    int error = enter(s, path, &p), fd;

    if (error)
        return error;
    fd = openat(p.at, p.name, O_RDONLY | O_DIRECTORY | OPEN_ALWAYS);
    error = leave(&p, fd < 0 || !(*dir = fdopendir(fd)));
    if (error && fd >= 0)
        close(fd);
    return error;
}

/* ---- changing -------------------------------------------------------------------------------- */

static int truncate_at(const struct share *s, int at, const char *name, u64 size)
{
    int fd = -1, error = open_regular(s, at, name, O_WRONLY, 0, &fd);

    if (error) {
        errno = error;
        return -1;
    }
    error = ftruncate(fd, (off_t)size) ? errno : 0;
    close(fd);
    errno = error;
    return error ? -1 : 0;
}

/* The mode of a symbolic link is nobody's business; that of what it points at is not ours to
 * change. */
static int chmod_at(const struct share *s, int at, const char *name, mode_t mode)
{
    char path[64];
    struct stat st;
    int fd = open_path(at, name), result = -1;

    if (fd < 0)
        return -1;
    if (s->mapped)
        return done(fd, mapped_chmod(fd, mode));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!fstat(fd, &st) && S_ISLNK(st.st_mode))
        errno = EOPNOTSUPP;
    else
        result = chmod(path, mode & MODE_BITS);
    return done(fd, result);
}

int share_chmod(const struct share *s, const char *path, mode_t mode)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error ? error : leave(&p, chmod_at(s, p.at, p.name, mode));
}

static int chown_at(const struct share *s, int at, const char *name, uid_t uid, gid_t gid)
{
    int fd;

    if (!s->mapped)
        return fchownat(at, name, uid, gid, AT_SYMLINK_NOFOLLOW) && errno != EPERM;
    fd = open_path(at, name);
    return fd < 0 ? -1 : done(fd, mapped_chown(fd, uid, gid));
}

int share_chown(const struct share *s, const char *path, uid_t uid, gid_t gid)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error ? error : leave(&p, chown_at(s, p.at, p.name, uid, gid));
}

int share_truncate(const struct share *s, const char *path, u64 size)
{
    struct place p;
    int error;

    if (size > INT64_MAX)
        return EFBIG;
    error = enter_to_change(s, path, &p);
    return error ? error : leave(&p, truncate_at(s, p.at, p.name, size));
}

int share_utimes(const struct share *s, const char *path, const struct timespec times[2])
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error ? error : leave(&p, utimensat(p.at, p.name, times, AT_SYMLINK_NOFOLLOW));
}

int share_mkdir(const struct share *s, const char *path, const struct share_new *n)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    if (error)
        return error;
    return leave(&p, s->mapped ? mapped_mkdir(p.at, p.name, n)
                               : mkdirat(p.at, p.name, n->mode & MODE_BITS));
}

int share_mknod(const struct share *s, const char *path, const struct share_new *n)
{
    bool device = S_ISCHR(n->mode) || S_ISBLK(n->mode);
    struct place p;
    int error;

    if (!S_ISREG(n->mode) && !S_ISFIFO(n->mode) && !S_ISSOCK(n->mode) && !(s->mapped && device))
        return EPERM;
    error = enter_to_change(s, path, &p);
    if (error)
        return error;
    return leave(&p, s->mapped ? mapped_create(p.at, p.name, n, NULL)
                               : mknodat(p.at, p.name, n->mode & (S_IFMT | MODE_BITS), 0));
}

int share_symlink(const struct share *s, const char *path, const char *target,
                  const struct share_new *n)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    if (error)
        return error;
    return leave(&p, s->mapped ? mapped_create(p.at, p.name, n, target)
                               : symlinkat(target, p.at, p.name));
}

int share_unlink(const struct share *s, const char *path, bool folder)
{
    struct place p;
    int error;

    if (!*path)
        return EBUSY; /* the folder itself stays */
    error = enter_to_change(s, path, &p);
    return error ? error : leave(&p, unlinkat(p.at, p.name, folder ? AT_REMOVEDIR : 0));
}

/* Two names, in two folders; the shared one itself stays what and where it is. */
static int two(const struct share *s, const char *from, const char *to,
               int (*fn)(int at, const char *name, int new_at, const char *new_name))
{
    struct place p, q;
    int error = *from && *to ? enter_to_change(s, from, &p) : EBUSY;

    if (error)
        return error;
    error = enter(s, to, &q);
    if (!error)
        error = leave(&q, fn(p.at, p.name, q.at, q.name));
    close(p.at);
    return error;
}

static int link_at(int at, const char *name, int new_at, const char *new_name)
{
    return linkat(at, name, new_at, new_name, 0);
}

int share_link(const struct share *s, const char *from, const char *to)
{
    return two(s, from, to, link_at);
}

int share_rename(const struct share *s, const char *from, const char *to)
{
    return two(s, from, to, renameat);
}
