/* virtio_balloon.h: a virtio memory balloon (-device virtio-balloon-pci). */
#pragma once

#include "devices/virtio.h"

/* Statistics by the numbers of the specification (5.5.6.3). */
enum {
    BALLOON_SWAP_IN,
    BALLOON_SWAP_OUT,
    BALLOON_MAJFLT,
    BALLOON_MINFLT,
    BALLOON_MEMFREE,
    BALLOON_MEMTOT,
    BALLOON_AVAIL,
    BALLOON_CACHES,
    BALLOON_HTLB_PGALLOC,
    BALLOON_HTLB_PGFAIL,
    BALLOON_STATS
};
#define BALLOON_UNKNOWN (~0ull)

struct virtio_balloon {
    struct virtio virtio;
    u32 target_mib, stats_seconds; /* properties */
    bool deflate_on_oom, reporting;
    struct timer stats_timer;
    /* state */
    u32 num_pages;           /* of 4 KiB that the guest is asked to give away */
    u32 actual;              /* that it gave */
    u64 reported;            /* bytes of free pages that were given back to the host */
    u64 stat[BALLOON_STATS]; /* BALLOON_UNKNOWN: the guest did not say */
};

extern const struct dev_class virtio_balloon_class;

/* Asks the guest to make do with `bytes` of its memory. */
void virtio_balloon_set_target(struct virtio_balloon *b, u64 bytes);
