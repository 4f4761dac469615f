/* virtio_rng.h: a virtio entropy device (-device virtio-rng-pci). */
#pragma once

#include "devices/virtio.h"

struct virtio_rng {
    struct virtio virtio;
    char *source_id; /* property: rng */
    int fd;          /* of its file; -1: the host's kernel, or the seeded generator */
    u8 pool[512];    /* drawn, not handed out yet: the last `pooled` bytes */
    unsigned pooled;
    struct timer retry;
};

extern const struct dev_class virtio_rng_class;
