/*
 * share.h: a folder of the host for a guest (-fsdev, -virtfs), confined to it: a path is walked
 * name by name from the folder on, no symbolic link is followed on the way or at its end, and ".."
 * is no name. Regular files and folders alone are opened, so no device or FIFO of the host is
 * touched.
 *
 * A path is "" for the folder itself, or names with "/" between them; who makes one of a guest's
 * names asks share_name_ok. All functions return 0 or an errno of the host.
 *
 * Not here: the protocol (devices/virtio_9p.c), what mapped-xattr does (share_mapped.h). Not
 * implemented: extended attributes of the guest.
 */
#pragma once

#include "devices/backend/resources.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SHARE_PATH_MAX 4096u

struct share {
    int root; /* -1: none */
    bool readonly, mapped;
};

/* What a guest makes. Owners and devices are of use with `mapped` alone. */
struct share_new {
    mode_t mode; /* with the kind */
    uid_t uid;   /* (uid_t)-1: nobody said */
    gid_t gid;
    dev_t rdev;
};

bool share_open(struct share *s, const struct share_entry *entry, struct err *e);
void share_close(struct share *s);

/* A name that a folder may have: neither empty, ".", ".." nor with a "/", and short enough. */
bool share_name_ok(const char *name);

int share_stat(const struct share *s, const char *path, struct stat *st);
int share_fstat(const struct share *s, int fd, struct stat *st); /* of share_open_file */
int share_statvfs(const struct share *s, const char *path, struct statvfs *st);
int share_readlink(const struct share *s, const char *path, char *buf, size_t cap, size_t *len);
/* flags: O_RDONLY ... O_RDWR with O_TRUNC, O_APPEND, O_SYNC; with O_CREAT, where O_EXCL is heeded,
 * `n` says what is made. */
int share_open_file(const struct share *s, const char *path, int flags, const struct share_new *n,
                    int *fd);
int share_open_folder(const struct share *s, const char *path, DIR **dir);

int share_chmod(const struct share *s, const char *path, mode_t mode);
/* (uid_t)-1, (gid_t)-1: as it is. Where the host does not allow it, nothing happens. */
int share_chown(const struct share *s, const char *path, uid_t uid, gid_t gid);
int share_truncate(const struct share *s, const char *path, u64 size);
int share_utimes(const struct share *s, const char *path, const struct timespec times[2]);
int share_mkdir(const struct share *s, const char *path, const struct share_new *n);
/* A regular file, a FIFO or a socket; with `mapped` a device, too. */
int share_mknod(const struct share *s, const char *path, const struct share_new *n);
int share_symlink(const struct share *s, const char *path, const char *target,
                  const struct share_new *n);
int share_link(const struct share *s, const char *from, const char *to);
int share_rename(const struct share *s, const char *from, const char *to);
int share_unlink(const struct share *s, const char *path, bool folder);
