/* share_mapped.c: see share_mapped.h. */
#define _GNU_SOURCE /* O_PATH */
#include "devices/backend/share_mapped.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PREFIX "user.virtfs."
#define PERMISSIONS 07777u

/* Through this name attributes of what is open by O_PATH are reached, links themselves included. */
static void name_of(int fd, char name[32])
{
    snprintf(name, 32, "/proc/self/fd/%d", fd);
}

static bool get(int fd, const char *attribute, unsigned size, u64 *value)
{
    char name[32];
    u8 bytes[8];

    name_of(fd, name);
    if (getxattr(name, attribute, bytes, sizeof bytes) != (ssize_t)size)
        return false;
    *value = ld_le(bytes, size);
    return true;
}

static int set(int fd, const char *attribute, unsigned size, u64 value)
{
    char name[32];
    u8 bytes[8];

    name_of(fd, name);
    st_le(bytes, value, size);
    return setxattr(name, attribute, bytes, size, 0);
}

void mapped_stat(int fd, struct stat *st)
{
    u64 v;

    if (get(fd, PREFIX "uid", 4, &v))
        st->st_uid = (uid_t)v;
    if (get(fd, PREFIX "gid", 4, &v))
        st->st_gid = (gid_t)v;
    if (get(fd, PREFIX "rdev", 8, &v))
        st->st_rdev = (dev_t)v;
    if (!get(fd, PREFIX "mode", 4, &v))
        return;
    if (S_ISREG(st->st_mode) && v & S_IFMT && !S_ISDIR(v))
        st->st_mode = (mode_t)v;
    else
        st->st_mode = (st->st_mode & S_IFMT) | (v & PERMISSIONS);
}

int mapped_chmod(int fd, mode_t mode)
{
    struct stat st;

    if (fstat(fd, &st))
        return -1;
    mapped_stat(fd, &st);
    return set(fd, PREFIX "mode", 4, (st.st_mode & S_IFMT) | (mode & PERMISSIONS));
}

int mapped_chown(int fd, uid_t uid, gid_t gid)
{
    if (uid != (uid_t)-1 && set(fd, PREFIX "uid", 4, uid))
        return -1;
    return gid != (gid_t)-1 ? set(fd, PREFIX "gid", 4, gid) : 0;
}

int mapped_set(int fd, const struct share_new *n)
{
    if (set(fd, PREFIX "mode", 4, n->mode & (S_IFMT | PERMISSIONS)) ||
        mapped_chown(fd, n->uid, n->gid))
        return -1;
    return n->rdev ? set(fd, PREFIX "rdev", 8, n->rdev) : 0;
}

static int undo(int at, const char *name, int flags)
{
    int error = errno;

    unlinkat(at, name, flags);
    errno = error;
    return -1;
}

int mapped_create(int at, const char *name, const struct share_new *n, const char *target)
{
    size_t len = target ? strlen(target) : 0;
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MAPPED_FILE);
    bool ok;

    if (fd < 0)
        return -1;
    ok = !mapped_set(fd, n) && (!len || write(fd, target, len) == (ssize_t)len);
    close(fd);
    return ok ? 0 : undo(at, name, 0);
}

int mapped_mkdir(int at, const char *name, const struct share_new *n)
{
    int fd;
    bool ok;

    if (mkdirat(at, name, MAPPED_FOLDER))
        return -1;
    fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ok = fd >= 0 && !mapped_set(fd, n);
    if (fd >= 0)
        close(fd);
    return ok ? 0 : undo(at, name, AT_REMOVEDIR);
}
