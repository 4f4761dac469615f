/* share.c: see share.h. */
#define _GNU_SOURCE /* O_PATH, AT_EMPTY_PATH */
#include "devices/backend/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A guest does not make files that have powers on the host. */
#define MODE_BITS 0777u
#define OPEN_ALWAYS (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

bool share_open(struct share *s, const struct share_entry *entry, struct err *e)
{
    s->readonly = entry->readonly;
    s->root = open(entry->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->root >= 0)
        return true;
    err_host(e, "%s: %s", entry->path, strerror(errno));
    return err_hint(e, "path= of -fsdev or -virtfs names a folder");
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

int share_stat(const struct share *s, const char *path, struct stat *st)
{
    struct place p;
    int error = enter(s, path, &p);

    return error ? error : leave(&p, fstatat(p.at, p.name, st, AT_SYMLINK_NOFOLLOW));
}

int share_statvfs(const struct share *s, const char *path, struct statvfs *st)
{
    struct place p;
    int error = enter(s, path, &p);

    return error ? error : leave(&p, fstatvfs(p.at, st));
}

int share_readlink(const struct share *s, const char *path, char *buf, size_t cap, size_t *len)
{
    struct place p;
    int error = enter(s, path, &p);
    ssize_t n;

    if (error)
        return error;
    n = readlinkat(p.at, p.name, buf, cap);
    error = leave(&p, n < 0);
    *len = n < 0 ? 0 : (size_t)n;
    return error ? error : *len == cap ? ENAMETOOLONG : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Looks before it opens, because to open a device may do something already. */
static int open_regular(int at, const char *name, int flags, mode_t mode, int *fd)
{
    struct stat st;

    if (!(flags & O_CREAT) || !(flags & O_EXCL)) {
        if (!fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW)) {
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

int share_open_file(const struct share *s, const char *path, int flags, mode_t mode, int *fd)
{
    bool changes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    struct place p;
    int error = changes ? enter_to_change(s, path, &p) : enter(s, path, &p);

    if (error)
        return error;
    error = open_regular(p.at, p.name, flags, mode, fd);
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

static int truncate_at(int at, const char *name, u64 size)
{
    int fd = -1, error = open_regular(at, name, O_WRONLY, 0, &fd);

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
static int chmod_at(int at, const char *name, mode_t mode)
{
    char path[64];
    struct stat st;
    int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), result = -1, error;

    if (fd < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!fstat(fd, &st) && S_ISLNK(st.st_mode))
        errno = EOPNOTSUPP;
    else
        result = chmod(path, mode & MODE_BITS);
    error = errno;
    close(fd);
    errno = error;
    return result;
}

int share_chmod(const struct share *s, const char *path, mode_t mode)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error ? error : leave(&p, chmod_at(p.at, p.name, mode));
}

int share_chown(const struct share *s, const char *path, uid_t uid, gid_t gid)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error
               ? error
               : leave(&p, fchownat(p.at, p.name, uid, gid, AT_SYMLINK_NOFOLLOW) && errno != EPERM);
}

int share_truncate(const struct share *s, const char *path, u64 size)
{
    struct place p;
    int error;

    if (size > INT64_MAX)
        return EFBIG;
    error = enter_to_change(s, path, &p);
    return error ? error : leave(&p, truncate_at(p.at, p.name, size));
}

int share_utimes(const struct share *s, const char *path, const struct timespec times[2])
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error ? error : leave(&p, utimensat(p.at, p.name, times, AT_SYMLINK_NOFOLLOW));
}

int share_mkdir(const struct share *s, const char *path, mode_t mode)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error ? error : leave(&p, mkdirat(p.at, p.name, mode & MODE_BITS));
}

int share_mknod(const struct share *s, const char *path, mode_t mode)
{
    struct place p;
    int error;

    if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
        return EPERM;
    error = enter_to_change(s, path, &p);
    return error ? error
                 : leave(&p, mknodat(p.at, p.name, (mode & S_IFMT) | (mode & MODE_BITS), 0));
}

int share_symlink(const struct share *s, const char *path, const char *target)
{
    struct place p;
    int error = enter_to_change(s, path, &p);

    return error ? error : leave(&p, symlinkat(target, p.at, p.name));
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
