/*
 * share_mapped.h: security_model=mapped-xattr: what a guest wants of owner, mode and kind of its
 * files lies in extended attributes, while they are plain files and folders of the user on the
 * host, and symbolic links are files with the target as contents. The attributes are QEMU's
 * (user.virtfs.uid, .gid, .mode, .rdev; little-endian), so that folders can be used by both.
 *
 * What the guest says of kinds is believed among files; a folder is one on the host, too.
 */
#pragma once

#include "devices/backend/share.h"

/* Modes that new files and folders have on the host. */
#define MAPPED_FILE 0600u
#define MAPPED_FOLDER 0700u

/* `fd` may be open by O_PATH. All but mapped_stat return 0 or -1 with errno. */
void mapped_stat(int fd, struct stat *st);
int mapped_set(int fd, const struct share_new *n);
int mapped_chmod(int fd, mode_t mode);
int mapped_chown(int fd, uid_t uid, gid_t gid);

/* A new file at that name, with the contents of a symbolic link (NULL: none) and what it shall be.
 */
int mapped_create(int at, const char *name, const struct share_new *n, const char *target);
int mapped_mkdir(int at, const char *name, const struct share_new *n);
