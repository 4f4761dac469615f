/*
 * virtio_pci.c: the registers of a virtio device on the PCI bus (virtio.h).
 *
 * Specification: VIRTIO 1.2, section 4.1. Regions: 1 the MSI-X table, 4 the registers.
 *
 * Not implemented: the legacy interface, per-queue reset, shared memory.
 */
#include "devices/virtio.h"

#include "base/bits.h"

enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_PCI };
enum {
    AT_COMMON = 0x0000,
    AT_ISR = 0x1000,
    AT_DEVICE = 0x2000,
    AT_NOTIFY = 0x3000,
    BAR_BYTES = 0x4000
};

#define REGISTERS_BAR 4u
#define MSIX_BAR 1u
#define NOTIFY_MULTIPLIER 4u

/* Common configuration (4.1.4.3). */
enum {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_MSIX_VECTOR = 0x10,
    NUM_QUEUES = 0x12,
    DEVICE_STATUS = 0x14,
    CONFIG_GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_MSIX_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFF = 0x1e,
    QUEUE_DESC = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
    COMMON_BYTES = 0x38
};

/* ---- interrupts ------------------------------------------------------------------------------ */

void virtio_send(struct virtio *v, u16 vector, u8 isr)
{
    if (pci_msix_enabled(&v->msix)) {
        pci_msix_notify(&v->msix, vector);
        return;
    }
    v->isr |= isr;
    pci_set_intx(&v->pci, true);
}

void virtio_config_changed(struct virtio *v)
{
    v->generation++;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        virtio_send(v, v->config_vector, 2);
}

/* ---- reset and features ---------------------------------------------------------------------- */

void virtio_reset_device(struct virtio *v)
{
    if (v->ops->reset)
        v->ops->reset(v);
    v->driver_features = 0;
    v->device_select = v->driver_select = 0;
    v->queue_select = 0;
    v->config_vector = MSIX_NO_VECTOR;
    v->status = v->isr = v->generation = 0;
    memset(v->queue, 0, sizeof v->queue);
    for (unsigned n = 0; n < v->queues; n++) {
        v->queue[n].size = (u16)v->queue_size;
        v->queue[n].vector = MSIX_NO_VECTOR;
        v->queue[n].next_wrap = v->queue[n].used_wrap = true;
    }
    pci_set_intx(&v->pci, false);
}

/* FEATURES_OK sticks only with what was offered, and as a driver of version 1 (3.1.1). */
static void set_status(struct virtio *v, u8 value)
{
    bool acceptable =
        !(v->driver_features & ~v->features) && (v->driver_features & VIRTIO_F_VERSION_1);

    if (!value) {
        virtio_reset_device(v);
        return;
    }
    if (value & ~v->status & VIRTIO_STATUS_FEATURES_OK && !acceptable)
        value &= (u8)~VIRTIO_STATUS_FEATURES_OK;
    if (value & VIRTIO_STATUS_DRIVER_OK && !(value & VIRTIO_STATUS_FEATURES_OK))
        value &= (u8)~VIRTIO_STATUS_DRIVER_OK;
    v->status = value | (v->status & VIRTIO_STATUS_NEEDS_RESET);
}

static void set_driver_features(struct virtio *v, u32 value)
{
    unsigned shift = v->driver_select * 32;

    if (v->driver_select > 1 || v->status & VIRTIO_STATUS_FEATURES_OK)
        return;
    v->driver_features = (v->driver_features & ~(0xffffffffull << shift)) | (u64)value << shift;
}

void virtio_notify_queue(struct virtio *v, unsigned queue)
{
    if (queue < v->queues && v->queue[queue].enabled && v->status & VIRTIO_STATUS_DRIVER_OK &&
        ld_le16(v->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER)
        v->ops->notified(v, queue);
}

/* ---- common configuration -------------------------------------------------------------------- */

static struct virtqueue *selected(struct virtio *v)
{
    return v->queue_select < v->queues ? &v->queue[v->queue_select] : NULL;
}

static u32 feature_word(u64 features, u32 select)
{
    return select > 1 ? 0 : (u32)(features >> 32 * select);
}

static void common_image(struct virtio *v, u8 *b)
{
    const struct virtqueue *q = selected(v);

    memset(b, 0, COMMON_BYTES);
    st_le32(b + DEVICE_FEATURE_SELECT, v->device_select);
    st_le32(b + DEVICE_FEATURE, feature_word(v->features, v->device_select));
    st_le32(b + DRIVER_FEATURE_SELECT, v->driver_select);
    st_le32(b + DRIVER_FEATURE, feature_word(v->driver_features, v->driver_select));
    st_le16(b + CONFIG_MSIX_VECTOR, v->config_vector);
    st_le16(b + NUM_QUEUES, (u16)v->queues);
    b[DEVICE_STATUS] = v->status;
    b[CONFIG_GENERATION] = v->generation;
    st_le16(b + QUEUE_SELECT, v->queue_select);
    if (!q)
        return;
    st_le16(b + QUEUE_SIZE, q->size);
    st_le16(b + QUEUE_MSIX_VECTOR, q->vector);
    st_le16(b + QUEUE_ENABLE, q->enabled);
    st_le16(b + QUEUE_NOTIFY_OFF, v->queue_select);
    st_le64(b + QUEUE_DESC, q->desc);
    st_le64(b + QUEUE_DRIVER, q->driver);
    st_le64(b + QUEUE_DEVICE, q->device);
}

static u16 valid_vector(const struct virtio *v, u32 value)
{
    return value < v->msix.vectors ? (u16)value : MSIX_NO_VECTOR;
}

/* A split queue's size is a power of two; what is no size leaves the queue as it was. */
static void set_queue_size(struct virtio *v, struct virtqueue *q, u32 value)
{
    bool power = !(value & (value - 1));

    if (value && value <= v->queue_size && (power || virtio_has(v, VIRTIO_F_RING_PACKED)))
        q->size = (u16)value;
}

static void set_address(u64 *address, unsigned off, u32 value)
{
    unsigned shift = off & 4 ? 32 : 0;

    *address = (*address & ~(0xffffffffull << shift)) | (u64)value << shift;
}

static void queue_write(struct virtio *v, unsigned off, u32 value)
{
    struct virtqueue *q = selected(v);

    if (!q)
        return;
    if (off == QUEUE_MSIX_VECTOR)
        q->vector = valid_vector(v, value);
    if (q->enabled) /* the rest is settled then (4.1.4.3.2) */
        return;
    switch (off) {
    case QUEUE_SIZE: set_queue_size(v, q, value); break;
    case QUEUE_ENABLE:
        /* A ring of no power of two is for packed queues alone, whatever was negotiated when. */
        q->enabled = value == 1 && v->status & VIRTIO_STATUS_FEATURES_OK &&
                     (virtio_has(v, VIRTIO_F_RING_PACKED) || !(q->size & (q->size - 1)));
        break;
    case QUEUE_DESC:
    case QUEUE_DESC + 4: set_address(&q->desc, off, value); break;
    case QUEUE_DRIVER:
    case QUEUE_DRIVER + 4: set_address(&q->driver, off, value); break;
    case QUEUE_DEVICE:
    case QUEUE_DEVICE + 4: set_address(&q->device, off, value); break;
    default: break;
    }
}

static void common_write(struct virtio *v, unsigned off, u64 value, unsigned size)
{
    u32 low = (u32)value;

    switch (off) {
    case DEVICE_FEATURE_SELECT: v->device_select = low; break;
    case DRIVER_FEATURE_SELECT: v->driver_select = low; break;
    case DRIVER_FEATURE: set_driver_features(v, low); break;
    case CONFIG_MSIX_VECTOR: v->config_vector = valid_vector(v, low); break;
    case DEVICE_STATUS: set_status(v, (u8)low); break;
    case QUEUE_SELECT: v->queue_select = (u16)low; break;
    default:
        queue_write(v, off, low);
        if (size == 8)
            queue_write(v, off + 4, (u32)(value >> 32));
    }
}

/* ---- the region ------------------------------------------------------------------------------ */

static u8 isr_read(struct virtio *v)
{
    u8 isr = v->isr;

    v->isr = 0;
    pci_set_intx(&v->pci, false);
    return isr;
}

static u64 from_image(const u8 *image, unsigned bytes, u64 off, unsigned size)
{
    return off + size <= bytes ? ld_le(image + off, size) : 0;
}

static u64 registers_read(void *opaque, u64 off, unsigned size)
{
    struct virtio *v = opaque;
    u8 image[64] = {0};

    if (off < AT_ISR) {
        common_image(v, image);
        return from_image(image, COMMON_BYTES, off, size);
    }
    if (off == AT_ISR)
        return isr_read(v);
    if (off < AT_DEVICE || off >= AT_NOTIFY || !v->ops->config)
        return 0;
    v->ops->config(v, image);
    return from_image(image, v->config_bytes, off - AT_DEVICE, size);
}

static void registers_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct virtio *v = opaque;

    if (off < AT_ISR)
        common_write(v, (unsigned)off, value, size);
    else if (off >= AT_NOTIFY)
        virtio_notify_queue(v, (unsigned)(off - AT_NOTIFY) / NOTIFY_MULTIPLIER);
    else if (off >= AT_DEVICE && v->ops->config_write)
        for (unsigned i = 0; i < size && off - AT_DEVICE + i < v->config_bytes; i++)
            v->ops->config_write(v, (unsigned)(off - AT_DEVICE) + i, (u8)(value >> 8 * i));
}

static const struct mmio_ops registers_ops = {.read = registers_read, .write = registers_write};

/* ---- capabilities ---------------------------------------------------------------------------- */

static u8 add_cap(struct virtio *v, u8 type, u32 at, u32 bytes, u8 len)
{
    u8 cap = pci_add_capability(&v->pci, PCI_CAP_VENDOR, len);
    u8 *c = v->pci.config + cap;

    c[2] = len;
    c[3] = type;
    c[4] = type == CFG_PCI ? 0 : REGISTERS_BAR;
    st_le32(c + 8, at);
    st_le32(c + 12, bytes);
    return cap;
}

static void add_caps(struct virtio *v)
{
    u8 notify;

    v->cfg_cap = add_cap(v, CFG_PCI, 0, 0, 20);
    v->pci.writable[v->cfg_cap + 4] = 0xff;
    memset(v->pci.writable + v->cfg_cap + 8, 0xff, 12);
    notify = add_cap(v, CFG_NOTIFY, AT_NOTIFY, NOTIFY_MULTIPLIER * v->queues, 20);
    st_le32(v->pci.config + notify + 16, NOTIFY_MULTIPLIER);
    if (v->ops->config)
        add_cap(v, CFG_DEVICE, AT_DEVICE, v->config_bytes, 16);
    add_cap(v, CFG_ISR, AT_ISR, 1, 16);
    add_cap(v, CFG_COMMON, AT_COMMON, COMMON_BYTES, 16);
}

/* The window of configuration space, for firmware that cannot reach memory regions: a write of its
 * data is a write of the register; a read is prepared when its address is written (4.1.4.9). */
static void window_written(struct virtio *v, unsigned off, unsigned len)
{
    u8 *c = v->pci.config + v->cfg_cap;
    u32 at = ld_le32(c + 8), size = ld_le32(c + 12);

    if (c[4] != REGISTERS_BAR || (size != 1 && size != 2 && size != 4) || at % size ||
        at >= BAR_BYTES)
        return;
    if (off < v->cfg_cap + 20u && off + len > v->cfg_cap + 16u)
        registers_write(v, at, ld_le(c + 16, size), size);
    else if (off < v->cfg_cap + 16u && off + len > v->cfg_cap + 4u && at != AT_ISR)
        st_le(c + 16, registers_read(v, at, size), size);
}

static void config_written(struct pci_func *f, unsigned off, unsigned len)
{
    struct virtio *v = (struct virtio *)f;

    pci_msix_config_written(&v->msix);
    window_written(v, off, len);
}

/* ---- life ------------------------------------------------------------------------------------ */

bool virtio_init(struct virtio *v, unsigned type, u16 class_code, const struct virtio_ops *ops,
                 struct err *e)
{
    struct pci_id id = {.vendor = 0x1af4,
                        .device = (u16)(0x1040 + type),
                        .revision = 1,
                        .class_code = class_code,
                        .interrupt_pin = 1};
    int devfn = v->pci.dev.env->pci ? pci_free_devfn(v->pci.dev.env->pci) : 0;

    BUG_ON(v->queues > VIRTIO_QUEUES_MAX || v->queue_size > VIRTIO_QUEUE_SIZE_MAX);
    if (devfn < 0)
        return err_usage(e, "device %s: the PCI bus is full", v->pci.dev.cls->name);
    v->ops = ops;
    v->features |= VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1;
    if (!pci_func_init(&v->pci, (u8)devfn, &id, e))
        return false;
    st_le16(v->pci.config + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
    st_le16(v->pci.config + PCI_SUBSYSTEM_ID, 0x1100);
    add_caps(v);
    pci_msix_init(&v->msix, &v->pci, MSIX_BAR, v->queues + 1);
    pci_bar_mem(&v->pci, REGISTERS_BAR, BAR_BYTES, PCI_BAR_64 | PCI_BAR_PREFETCH,
                "virtio registers", &registers_ops, v);
    v->pci.config_written = config_written;
    return true;
}

void virtio_destroy(struct virtio *v)
{
    pci_func_destroy(&v->pci);
}

void virtio_reset(struct virtio *v)
{
    u8 *window = v->pci.config + v->cfg_cap;

    window[4] = 0;
    memset(window + 8, 0, 12);
    pci_msix_reset(&v->msix);
    pci_func_reset(&v->pci);
    virtio_reset_device(v);
}

/* A state from anywhere: sizes that rings can have, places within them, features that there are. */
void virtio_loaded(struct virtio *v)
{
    pci_func_loaded(&v->pci);
    pci_msix_loaded(&v->msix);
    v->driver_features &= v->features;
    for (unsigned n = 0; n < VIRTIO_QUEUES_MAX; n++) {
        struct virtqueue *q = &v->queue[n];
        bool packed = virtio_has(v, VIRTIO_F_RING_PACKED);

        if (n >= v->queues)
            *q = (struct virtqueue){0};
        else if (!q->size || q->size > v->queue_size || (!packed && q->size & (q->size - 1)) ||
                 (packed && (q->next >= q->size || q->used >= q->size))) {
            q->size = (u16)v->queue_size;
            q->enabled = false;
            q->next = q->used = 0;
        }
    }
}
