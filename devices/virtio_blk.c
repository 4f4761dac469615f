/*
 * virtio_blk.c: virtio block device.
 *
 * Specification: VIRTIO 1.2, section 5.2.
 *
 * The data of a write are copied out of guest memory before the request is submitted. A read goes
 * into guest memory itself where image and memory let it, else by a copy when it is done.
 *
 * Not implemented: secure erase, zoned devices, lifetime information.
 */
#include "devices/virtio_blk.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>

#define F_SEG_MAX BIT64(2)
#define F_RO BIT64(5)
#define F_BLK_SIZE BIT64(6)
#define F_FLUSH BIT64(9)
#define F_TOPOLOGY BIT64(10)
#define F_CONFIG_WCE BIT64(11)
#define F_MQ BIT64(12)
#define F_DISCARD BIT64(13)
#define F_WRITE_ZEROES BIT64(14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };

#define CONFIG_BYTES 60u
#define WRITEBACK_AT 32u
#define ID_BYTES 20u
#define RANGE_BYTES 16u
#define RANGE_SECTORS_MAX 0x3fffffu /* of one discard: 2 GiB */
#define RANGE_UNMAP BIT(0)

/* A driver with its data in ever larger pieces must not take the host's memory. */
#define DATA_MAX (32 * MIB)
#define INFLIGHT_MAX (64 * MIB)
#define KEPT_BYTES (1 * MIB) /* a buffer of more is given back at once */
#define BUFFER_ALIGN 4096u   /* O_DIRECT wants it */

struct vblk_request {
    struct drive_request drive;
    struct virtio_blk *dev;
    unsigned queue;
    struct virtio_chain chain;
    u8 *buf;
    u64 cap;
    struct dma_pieces pieces;  /* of a read that goes into guest memory */
    struct vblk_request *next; /* of the spare ones */
};

/* ---- requests' memory ------------------------------------------------------------------------ */

static void request_free(struct vblk_request *r)
{
    free(r->buf);
    free(r);
}

static struct vblk_request *request_take(struct virtio_blk *b, unsigned queue)
{
    struct vblk_request *r = b->spare;

    if (r)
        b->spare = r->next;
    else
        r = calloc(1, sizeof *r);
    BUG_ON(!r);
    r->dev = b;
    r->queue = queue;
    return r;
}

static void request_give(struct vblk_request *r)
{
    if (r->cap > KEPT_BYTES) {
        free(r->buf);
        r->buf = NULL;
        r->cap = 0;
    }
    r->next = r->dev->spare;
    r->dev->spare = r;
}

static bool request_reserve(struct vblk_request *r, u64 bytes)
{
    if (bytes <= r->cap)
        return true;
    free(r->buf);
    r->cap = align_up(bytes, BUFFER_ALIGN);
    r->buf = aligned_alloc(BUFFER_ALIGN, r->cap);
    if (!r->buf)
        r->cap = 0;
    return r->buf != NULL;
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* The status is the last byte that the device writes. */
static void complete(struct vblk_request *r, u8 status, u32 written)
{
    struct virtio *v = &r->dev->virtio;
    u64 last = r->chain.write_bytes - 1;

    virtio_write(v, &r->chain, last, &status, 1);
    virtio_push(v, r->queue, r->chain.id, r->chain.descriptors, status == S_OK ? written + 1 : 1);
    virtio_interrupt(v, r->queue);
    request_give(r);
}

static void serve(struct virtio_blk *b, unsigned queue);

static void request_done(struct drive_request *d)
{
    struct vblk_request *r = d->opaque;
    struct virtio_blk *b = r->dev;
    bool read = d->op == DRIVE_READ;
    bool ok = !d->error;

    b->inflight--;
    b->inflight_bytes -= d->buf ? d->len : 0;
    if (d->pieces)
        dma_pieces_wrote(&r->pieces);
    if (b->dropped) {
        request_give(r);
        return;
    }
    if (ok && d->buf && read)
        ok = virtio_write(&b->virtio, &r->chain, 0, d->buf, d->len);
    complete(r, ok ? S_OK : S_IOERR, read ? (u32)d->len : 0);
    for (unsigned q = 0; q < b->virtio.queues; q++) /* what waited for room */
        if (b->virtio.queue[q].enabled)
            serve(b, q);
}

enum vblk_data { NO_DATA, IN_BUFFER, IN_PIECES };

static void submit(struct vblk_request *r, enum drive_op op, u64 offset, u64 len,
                   enum vblk_data data)
{
    struct virtio_blk *b = r->dev;

    b->inflight++;
    b->inflight_bytes += data == IN_BUFFER ? len : 0;
    r->drive = (struct drive_request){.op = op,
                                      .offset = offset,
                                      .len = len,
                                      .buf = data == IN_BUFFER ? r->buf : NULL,
                                      .pieces = data == IN_PIECES ? r->pieces.host : NULL,
                                      .piece_count = data == IN_PIECES ? r->pieces.count : 0,
                                      .fua = op != DRIVE_READ && !b->writeback,
                                      .done = request_done,
                                      .opaque = r};
    drive_submit(b->drive, &r->drive);
}

/* ---- kinds of requests ----------------------------------------------------------------------- */

static bool in_range(const struct virtio_blk *b, u64 sector, u64 bytes)
{
    u64 all = drive_bytes(b->drive);

    return !(bytes % SECTOR_BYTES) && sector <= all / SECTOR_BYTES &&
           bytes <= all - sector * SECTOR_BYTES;
}

static void read_or_write(struct vblk_request *r, u64 sector, bool write)
{
    struct virtio_blk *b = r->dev;
    u64 len = write ? r->chain.read_bytes - 16 : r->chain.write_bytes - 1;

    if (!in_range(b, sector, len) || len > DATA_MAX)
        complete(r, S_IOERR, 0);
    else if (!write && len && drive_reads_pieces(b->drive) &&
             virtio_pieces(&b->virtio, &r->chain, len, &r->pieces))
        submit(r, DRIVE_READ, sector * SECTOR_BYTES, len, IN_PIECES);
    else if (!request_reserve(r, len) ||
             (write && !virtio_read(&b->virtio, &r->chain, 16, r->buf, len)))
        complete(r, S_IOERR, 0);
    else
        submit(r, write ? DRIVE_WRITE : DRIVE_READ, sector * SECTOR_BYTES, len, IN_BUFFER);
}

/* One range per request (max_discard_seg). */
static void range(struct vblk_request *r, bool zero)
{
    struct virtio_blk *b = r->dev;
    u8 d[RANGE_BYTES];
    u64 sector, len;
    u32 flags;

    if (r->chain.read_bytes != 16 + RANGE_BYTES ||
        !virtio_read(&b->virtio, &r->chain, 16, d, sizeof d)) {
        complete(r, S_IOERR, 0);
        return;
    }
    sector = ld_le64(d);
    len = (u64)ld_le32(d + 8) * SECTOR_BYTES;
    flags = ld_le32(d + 12);
    if (flags & ~(zero ? RANGE_UNMAP : 0u))
        complete(r, S_UNSUPP, 0);
    else if (!in_range(b, sector, len) || len / SECTOR_BYTES > RANGE_SECTORS_MAX)
        complete(r, S_IOERR, 0);
    else
        submit(r, zero ? DRIVE_WRITE_ZEROES : DRIVE_DISCARD, sector * SECTOR_BYTES, len, NO_DATA);
}

static void get_id(struct vblk_request *r)
{
    struct virtio_blk *b = r->dev;
    const char *serial = b->drive->serial ? b->drive->serial : b->drive->id;
    u8 id[ID_BYTES] = {0};
    bool ok;

    memcpy(id, serial, strnlen(serial, ID_BYTES));
    ok = r->chain.write_bytes == ID_BYTES + 1 &&
         virtio_write(&b->virtio, &r->chain, 0, id, ID_BYTES);
    complete(r, ok ? S_OK : S_IOERR, ID_BYTES);
}

/* False: the driver broke the rules; there may be no byte to put a status into. */
static bool start(struct vblk_request *r)
{
    struct virtio *v = &r->dev->virtio;
    u8 header[16];
    u32 type;

    if (!r->chain.write_bytes || !virtio_read(v, &r->chain, 0, header, sizeof header))
        return false;
    type = ld_le32(header);
    TRACE(virtio_blk_request, v->pci.devfn, type, ld_le64(header + 8), r->chain.read_bytes,
          r->chain.write_bytes);
    switch (type) {
    case T_IN: read_or_write(r, ld_le64(header + 8), false); return true;
    case T_OUT: read_or_write(r, ld_le64(header + 8), true); return true;
    case T_FLUSH: submit(r, DRIVE_FLUSH, 0, 0, NO_DATA); return true;
    case T_GET_ID: get_id(r); return true;
    case T_DISCARD: range(r, false); return true;
    case T_WRITE_ZEROES: range(r, true); return true;
    default: complete(r, S_UNSUPP, 0); return true;
    }
}

/* A driver on another processor may feed the ring for ever: a turn is at most a ring of requests,
 * and the next completion goes on. */
static void serve(struct virtio_blk *b, unsigned queue)
{
    struct virtio *v = &b->virtio;

    if (!b->drive) /* a device of a test */
        return;
    for (unsigned n = 0; n < b->queue_size && b->inflight_bytes < INFLIGHT_MAX &&
                         b->inflight < b->queue_size * v->queues;
         n++) {
        struct vblk_request *r = request_take(b, queue);

        if (!virtio_pop(v, queue, &r->chain)) {
            request_give(r);
            return;
        }
        if (!start(r)) {
            request_give(r);
            virtio_broken(v);
            return;
        }
    }
}

static void notified(struct virtio *v, unsigned queue)
{
    serve((struct virtio_blk *)v, queue);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void config(struct virtio *v, u8 c[64])
{
    const struct virtio_blk *b = (const struct virtio_blk *)v;

    st_le64(c, drive_bytes(b->drive) / SECTOR_BYTES);
    st_le32(c + 12, VIRTIO_SEGMENTS_MAX - 2); /* seg_max: without header and status */
    st_le32(c + 20, SECTOR_BYTES);
    c[WRITEBACK_AT] = b->writeback;
    st_le16(c + 34, (u16)b->num_queues);
    st_le32(c + 36, RANGE_SECTORS_MAX);
    st_le32(c + 40, 1); /* ranges per discard */
    st_le32(c + 44, 1); /* alignment in sectors */
    st_le32(c + 48, RANGE_SECTORS_MAX);
    st_le32(c + 52, 1);
    c[56] = 1; /* writing zeroes may unmap */
}

static void config_write(struct virtio *v, unsigned off, u8 value)
{
    if (off == WRITEBACK_AT && virtio_has(v, F_CONFIG_WCE))
        ((struct virtio_blk *)v)->writeback = value & 1;
}

/* Without FLUSH the driver cannot make its writes stable, so each is (5.2.6.2). */
static void device_reset(struct virtio *v)
{
    struct virtio_blk *b = (struct virtio_blk *)v;

    b->dropped = true;
    drive_drain(b->drive);
    b->dropped = false;
    b->writeback = true;
}

static const struct virtio_ops ops = {
    .notified = notified, .reset = device_reset, .config = config, .config_write = config_write};

/* ---- class ----------------------------------------------------------------------------------- */

static bool virtio_blk_init(struct dev *d, struct err *e)
{
    struct virtio_blk *b = (struct virtio_blk *)d;
    struct virtio *v = &b->virtio;

    if (b->queue_size & (b->queue_size - 1))
        return err_usage(e, "device virtio-blk-pci: queue-size=%u is no power of two",
                         b->queue_size);
    if (b->drive_id) {
        b->drive = drive_take(d->env->drives, b->drive_id, e);
        if (!b->drive)
            return false;
        if (b->serial)
            b->drive->serial = b->serial;
        b->drive->bootindex = b->bootindex;
    } else if (d->env->drives) {
        err_usage(e, "device virtio-blk-pci needs a drive");
        return err_hint(e, "-drive if=none,id=NAME,file=... -device virtio-blk-pci,drive=NAME");
    }
    v->queues = b->num_queues;
    v->queue_size = b->queue_size;
    v->config_bytes = CONFIG_BYTES;
    v->features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_CONFIG_WCE | F_MQ |
                  (drive_readonly(b->drive) ? F_RO : F_DISCARD | F_WRITE_ZEROES) |
                  (b->packed ? VIRTIO_F_RING_PACKED : 0);
    if (virtio_init(v, 2, 0x0100, &ops, e))
        return true;
    drive_release(b->drive);
    return false;
}

static void virtio_blk_destroy(struct dev *d)
{
    struct virtio_blk *b = (struct virtio_blk *)d;

    device_reset(&b->virtio);
    drive_release(b->drive);
    while (b->spare) {
        struct vblk_request *r = b->spare;

        b->spare = r->next;
        request_free(r);
    }
    virtio_destroy(&b->virtio);
}

static void virtio_blk_reset(struct dev *d)
{
    virtio_reset((struct virtio *)d);
}

static void virtio_blk_loaded(struct dev *d)
{
    virtio_loaded((struct virtio *)d);
}

static const struct dev_prop virtio_blk_props[] = {
    {"drive", PROP_STRING, offsetof(struct virtio_blk, drive_id), 0, 0, 0, "the drive's id"},
    {"num-queues", PROP_U32, offsetof(struct virtio_blk, num_queues), 1, 1, VIRTIO_QUEUES_MAX,
     "queues, e.g. one per CPU"},
    {"queue-size", PROP_U32, offsetof(struct virtio_blk, queue_size), 256, 4, VIRTIO_QUEUE_SIZE_MAX,
     "greatest size of a queue, a power of two"},
    {"serial", PROP_STRING, offsetof(struct virtio_blk, serial), 0, 0, 0, "serial number"},
    {"bootindex", PROP_U32, offsetof(struct virtio_blk, bootindex), DEV_NO_BOOTINDEX, 0, 0x7fffffff,
     "place in the order of boot"},
    {"packed", PROP_BOOL, offsetof(struct virtio_blk, packed), 0, 0, 0, "offer packed queues"},
    DEV_PROP_END,
};

static const struct dev_field virtio_blk_fields[] = {
    VIRTIO_FIELDS(struct virtio_blk),
    DEV_FIELD(struct virtio_blk, writeback, 0, 1, "the driver flushes"),
    DEV_FIELD_END,
};

const struct dev_class virtio_blk_class = {
    .name = "virtio-blk-pci",
    .doc = "virtio block device",
    .size = sizeof(struct virtio_blk),
    .props = virtio_blk_props,
    .fields = virtio_blk_fields,
    .user_creatable = true,
    .init = virtio_blk_init,
    .reset = virtio_blk_reset,
    .loaded = virtio_blk_loaded,
    .destroy = virtio_blk_destroy,
};
