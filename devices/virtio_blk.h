/* virtio_blk.h: a virtio block device (-device virtio-blk-pci, or -drive if=virtio). */
#pragma once

#include "block/drive.h"
#include "devices/virtio.h"

struct vblk_request;

struct virtio_blk {
    struct virtio virtio;
    char *drive_id, *serial; /* properties */
    u32 num_queues, queue_size, bootindex;
    bool packed;
    struct drive *drive;
    bool writeback;             /* the driver flushes; else every write is stable */
    bool dropped;               /* a reset: what comes back is of no interest */
    struct vblk_request *spare; /* for reuse, with their buffers */
    unsigned inflight;
    u64 inflight_bytes;
};

extern const struct dev_class virtio_blk_class;
