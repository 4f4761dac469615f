/*
 * virtio.h: a virtio device on the PCI bus (modern transport) and its queues, split and packed.
 *
 * Specification: Virtual I/O Device (VIRTIO) version 1.2: section 2 (facilities), 2.7 (split
 * virtqueues), 2.8 (packed virtqueues), 4.1 (PCI transport).
 *
 * A device's struct begins with struct virtio; its class calls virtio_init and so on, and gives a
 * struct virtio_ops.
 */
#pragma once

#include "devices/pci_msix.h"
#include "mmu/dma.h"

#define VIRTIO_F_INDIRECT_DESC BIT64(28)
#define VIRTIO_F_EVENT_IDX BIT64(29)
#define VIRTIO_F_VERSION_1 BIT64(32)
#define VIRTIO_F_RING_PACKED BIT64(34)

#define VIRTIO_STATUS_DRIVER_OK BIT(2)
#define VIRTIO_STATUS_FEATURES_OK BIT(3)
#define VIRTIO_STATUS_NEEDS_RESET BIT(6)

#define VIRTIO_QUEUES_MAX 16u
#define VIRTIO_QUEUE_SIZE_MAX 1024u
#define VIRTIO_SEGMENTS_MAX 256u /* of one request */

struct virtqueue {
    u16 size; /* as the driver chose it */
    bool enabled;
    u16 vector;                /* MSI-X; MSIX_NO_VECTOR: none */
    u64 desc, driver, device;  /* guest physical addresses of the three areas */
    u16 next;                  /* available: split: free-running index; packed: place in the ring */
    u16 used;                  /* the same of used */
    bool next_wrap, used_wrap; /* packed: wrap counters */
    u16 since; /* used (split: entries, packed: descriptors) since the last interrupt */
};

struct virtio_segment {
    u64 address;
    u32 len;
};

/* A request: segments that the device reads, then segments that it writes. */
struct virtio_chain {
    u16 id, descriptors; /* for virtio_push */
    unsigned reads, writes;
    u64 read_bytes, write_bytes;
    struct virtio_segment segment[VIRTIO_SEGMENTS_MAX];
};

struct virtio;

struct virtio_ops {
    /* The driver notified a queue (it is enabled, and DRIVER_OK is set). */
    void (*notified)(struct virtio *v, unsigned queue);
    /* Device reset: nothing is in flight when it returns. */
    void (*reset)(struct virtio *v);
    /* The image of the device's configuration; NULL: it has none. */
    void (*config)(struct virtio *v, u8 image[64]);
    /* A byte of it is written; may be NULL. */
    void (*config_write)(struct virtio *v, unsigned off, u8 value);
};

struct virtio {
    struct pci_func pci;
    struct pci_msix msix;
    const struct virtio_ops *ops;
    u64 features; /* that the device offers */
    unsigned queues;
    unsigned config_bytes;
    u32 queue_size; /* greatest */
    u8 cfg_cap;     /* the window of configuration space (4.1.4.9) */
    /* state */
    u64 driver_features;
    u32 device_select, driver_select;
    u16 queue_select, config_vector;
    u8 status, isr, generation;
    struct virtqueue queue[VIRTIO_QUEUES_MAX];
};

/* type: the device's number in the specification, section 5. `features` beyond the transport's own.
 */
bool virtio_init(struct virtio *v, unsigned type, u16 class_code, const struct virtio_ops *ops,
                 struct err *e);
void virtio_destroy(struct virtio *v);
void virtio_reset(struct virtio *v);
void virtio_loaded(struct virtio *v);

/* The next request of a queue. False: none is there, or the driver broke the rules, upon which the
 * device asks for a reset. */
bool virtio_pop(struct virtio *v, unsigned queue, struct virtio_chain *c);
/* Gives a request back, `written` bytes of it filled; the driver hears of it by virtio_interrupt.
 */
void virtio_push(struct virtio *v, unsigned queue, u16 id, u16 descriptors, u32 written);
/* The same of several that belong together: the driver sees all of them or none. */
struct virtio_used {
    u16 id, descriptors;
    u32 written;
};
void virtio_push_all(struct virtio *v, unsigned queue, const struct virtio_used *u, unsigned count);
/* Back to before the requests that were taken since: they are there again. */
struct virtio_place {
    u16 next;
    bool wrap;
};
struct virtio_place virtio_place(const struct virtio *v, unsigned queue);
void virtio_rewind(struct virtio *v, unsigned queue, struct virtio_place p);
void virtio_interrupt(struct virtio *v, unsigned queue);
/* Copies from the readable, or to the writable bytes of a request, from offset `off`. False: beyond
 * their end, or not RAM. */
bool virtio_read(struct virtio *v, const struct virtio_chain *c, u64 off, void *buf, u64 len);
bool virtio_write(struct virtio *v, const struct virtio_chain *c, u64 off, const void *buf,
                  u64 len);
/* The first len writable bytes as pieces of the host's memory (dma.h). False: they are too few, or
 * not plain RAM. */
bool virtio_pieces(struct virtio *v, const struct virtio_chain *c, u64 len, struct dma_pieces *p);
/* The device's configuration is another now: the driver, if there is one, is told to read it. */
void virtio_config_changed(struct virtio *v);
/* The driver broke the rules: DEVICE_NEEDS_RESET (2.1.2). */
void virtio_broken(struct virtio *v);
static inline bool virtio_has(const struct virtio *v, u64 feature)
{
    return v->driver_features & feature;
}

/* ---- virtio_pci.c to virtio.c ---------------------------------------------------------------- */
void virtio_notify_queue(struct virtio *v, unsigned queue);
void virtio_reset_device(struct virtio *v);
void virtio_send(struct virtio *v, u16 vector, u8 isr);

/* clang-format off */
#define VIRTQUEUE_FIELDS(type, member)                                                             \
    DEV_FIELD(type, member.size, 0, VIRTIO_QUEUE_SIZE_MAX, "size"),                                \
    DEV_FIELD(type, member.enabled, 0, 1, "enabled"),                                              \
    DEV_FIELD(type, member.vector, 0, 0xffff, "MSI-X vector"),                                     \
    DEV_FIELD(type, member.desc, 0, ~0ull, "descriptor area"),                                     \
    DEV_FIELD(type, member.driver, 0, ~0ull, "driver area"),                                       \
    DEV_FIELD(type, member.device, 0, ~0ull, "device area"),                                       \
    DEV_FIELD(type, member.next, 0, 0xffff, "next available"),                                     \
    DEV_FIELD(type, member.used, 0, 0xffff, "next used"),                                          \
    DEV_FIELD(type, member.next_wrap, 0, 1, "wrap counter of available"),                          \
    DEV_FIELD(type, member.used_wrap, 0, 1, "wrap counter of used"),                               \
    DEV_FIELD(type, member.since, 0, 0xffff, "used since the last interrupt")

#define VIRTIO_FIELDS(type)                                                                        \
    DEV_FIELD(type, virtio.pci.intx, 0, 1, "interrupt pin asserted"),                              \
    DEV_FIELD_ARRAY(type, virtio.pci.config, 0, 0xff, "configuration space"),                      \
    MSIX_FIELDS(type, virtio.msix),                                                                \
    DEV_FIELD(type, virtio.driver_features, 0, ~0ull, "features that the driver took"),            \
    DEV_FIELD(type, virtio.device_select, 0, 0xffffffff, "device_feature_select"),                 \
    DEV_FIELD(type, virtio.driver_select, 0, 0xffffffff, "driver_feature_select"),                 \
    DEV_FIELD(type, virtio.queue_select, 0, 0xffff, "queue_select"),                               \
    DEV_FIELD(type, virtio.config_vector, 0, 0xffff, "config_msix_vector"),                        \
    DEV_FIELD(type, virtio.status, 0, 0xff, "device_status"),                                      \
    DEV_FIELD(type, virtio.isr, 0, 3, "ISR status"),                                               \
    DEV_FIELD(type, virtio.generation, 0, 0xff, "config_generation"),                              \
    VIRTQUEUE_FIELDS(type, virtio.queue[0]),  VIRTQUEUE_FIELDS(type, virtio.queue[1]),             \
    VIRTQUEUE_FIELDS(type, virtio.queue[2]),  VIRTQUEUE_FIELDS(type, virtio.queue[3]),             \
    VIRTQUEUE_FIELDS(type, virtio.queue[4]),  VIRTQUEUE_FIELDS(type, virtio.queue[5]),             \
    VIRTQUEUE_FIELDS(type, virtio.queue[6]),  VIRTQUEUE_FIELDS(type, virtio.queue[7]),             \
    VIRTQUEUE_FIELDS(type, virtio.queue[8]),  VIRTQUEUE_FIELDS(type, virtio.queue[9]),             \
    VIRTQUEUE_FIELDS(type, virtio.queue[10]), VIRTQUEUE_FIELDS(type, virtio.queue[11]),            \
    VIRTQUEUE_FIELDS(type, virtio.queue[12]), VIRTQUEUE_FIELDS(type, virtio.queue[13]),            \
    VIRTQUEUE_FIELDS(type, virtio.queue[14]), VIRTQUEUE_FIELDS(type, virtio.queue[15])
/* clang-format on */
