/* virtio_9p.h: a folder of the host by 9P2000.L (-device virtio-9p-pci,fsdev=ID,mount_tag=TAG,
 * -virtfs). */
#pragma once

#include "devices/backend/share.h"
#include "devices/virtio.h"

#define P9_FIDS_MAX 16384u

struct p9_fid {
    u32 fid;
    char *path; /* share.h; NULL: the slot is free */
    u32 uid;    /* of the user who attached */
    int file;   /* -1: not open */
    DIR *dir;   /* NULL: not open */
};

struct virtio_9p {
    struct virtio virtio;
    char *fsdev, *mount_tag; /* properties */
    struct share share;
    /* Open files and paths are of this process: a saved state has none, and a driver finds that its
     * fids are unknown. */
    struct p9_fid *fid; /* fid_count slots */
    u32 fid_count;
    u32 open;     /* files and folders that are open */
    u8 *in, *out; /* a request, its answer */
    u32 msize;    /* as negotiated; 0: not yet */
};

extern const struct dev_class virtio_9p_class;
