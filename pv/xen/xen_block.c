/*
 * xen_block.c: the back end of Xen's block devices: requests on a ring, their data in pages that the
 * guest grants.
 *
 * Specification: Xen public/io/blkif.h (nodes in xenstore, states, layout of both ABIs),
 * public/io/ring.h, public/io/xenbus.h.
 *
 * Guest memory is touched on the machine's thread alone: data are copied out before a request is
 * submitted, or in when it is done.
 *
 * Not implemented: several rings, rings of more than a page, persistent grants, barriers (FLUSH is
 * offered instead), secure discard.
 */
#include "base/bits.h"
#include "block/drive.h"
#include "mmu/dma.h"
#include "pv/xen/xen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_READ = 0, OP_WRITE = 1, OP_FLUSH_DISKCACHE = 3, OP_DISCARD = 5, OP_INDIRECT = 6 };
#define RSP_OKAY 0
#define RSP_ERROR (-1)
#define RSP_EOPNOTSUPP (-2)

#define RING_SLOTS 32u /* of either ABI in a page */
#define DIRECT_SEGMENTS 11u
#define INDIRECT_SEGMENTS 256u
#define SEGMENT_BYTES 8u
#define SEGMENTS_PER_PAGE (XEN_PAGE / SEGMENT_BYTES)
#define SECTORS_PER_PAGE (XEN_PAGE / SECTOR_BYTES)

#define VDISK_CDROM 1u
#define VDISK_READONLY 4u
#define XVDA 51712u /* major 202 */
#define XVD_STEP 16u

/* Offsets in a request: x86_64-abi and x86_32-abi. */
struct abi {
    const char *name;
    u8 slot, id, sector, segments, discard_count, indirect_grants;
};

static const struct abi abi64 = {"x86_64-abi", 112, 8, 16, 24, 24, 28};
static const struct abi abi32 = {"x86_32-abi", 108, 4, 12, 20, 20, 24};

struct xen_block {
    struct xen_end end;
    struct drive *drive;
    bool borrowed; /* from the IDE controller, whose it is again after a reset */
    unsigned number; /* virtual device number */
    const struct abi *abi; /* NULL: not connected */
    u32 port;
    struct xen_ring ring;
    unsigned inflight;
    bool closing; /* when the last request is done */
    struct xen_block *next;
};

struct segment {
    u32 ref;
    u8 first, last;
};

struct request {
    struct drive_request drive;
    struct xen_block *block;
    u64 id;
    u8 op; /* as the response repeats it: of an indirect request, what it does */
    unsigned segments;
    struct segment segment[INDIRECT_SEGMENTS];
    u8 *buf;
};

/* ---- responses ------------------------------------------------------------------------------- */

static void respond(struct xen_block *b, u64 id, u8 op, s16 status)
{
    u8 response[12] = {0};

    st_le64(response, id);
    response[8] = op;
    st_le16(response + 10, (u16)status);
    xen_ring_respond(&b->ring, response, sizeof response);
    if (xen_ring_push(&b->ring))
        xen_event_raise(b->end.x, b->port);
}

/* ---- data ------------------------------------------------------------------------------------ */

static bool move_segment(struct request *r, const struct segment *s, u8 *buf, bool to_guest)
{
    struct pv_xen *x = r->block->end.x;
    u64 offset = s->first * SECTOR_BYTES, len = (s->last - s->first + 1u) * SECTOR_BYTES;
    gpa_t gpa;
    bool ok;

    if (!xen_grant_get(x, s->ref, to_guest, &gpa))
        return false;
    ok = to_guest ? dma_write(x->pv.env.phys, gpa + offset, buf, len)
                  : dma_read(x->pv.env.phys, gpa + offset, buf, len);
    xen_grant_put(x, s->ref, to_guest);
    return ok;
}

static bool move_data(struct request *r, bool to_guest)
{
    u8 *at = r->buf;

    for (unsigned i = 0; i < r->segments; i++) {
        const struct segment *s = &r->segment[i];
        if (!move_segment(r, s, at, to_guest))
            return false;
        at += (s->last - s->first + 1u) * SECTOR_BYTES;
    }
    return true;
}

static void disconnect(struct xen_block *b);

static void finish(struct request *r, s16 status)
{
    struct xen_block *b = r->block;

    if (b->abi) /* else a reset came in between */
        respond(b, r->id, r->op, status);
    b->inflight--;
    free(r->buf);
    free(r);
    if (b->closing && !b->inflight)
        disconnect(b);
}

static void request_done(struct drive_request *d)
{
    struct request *r = d->opaque;
    bool ok = !d->error && (d->op != DRIVE_READ || !r->block->abi || move_data(r, true));

    finish(r, ok ? RSP_OKAY : RSP_ERROR);
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool add_segment(struct request *r, const u8 *at)
{
    struct segment s = {ld_le32(at), at[4], at[5]};

    if (s.first > s.last || s.last >= SECTORS_PER_PAGE)
        return false;
    r->segment[r->segments++] = s;
    r->drive.len += (s.last - s.first + 1u) * SECTOR_BYTES;
    return true;
}

static bool add_direct(struct request *r, const u8 *slot)
{
    const struct abi *abi = r->block->abi;

    if (slot[1] > DIRECT_SEGMENTS)
        return false;
    for (unsigned i = 0; i < slot[1]; i++)
        if (!add_segment(r, slot + abi->segments + i * SEGMENT_BYTES))
            return false;
    return true;
}

/* The segments are in pages of their own. */
static bool add_indirect(struct request *r, const u8 *slot)
{
    struct pv_xen *x = r->block->end.x;
    unsigned count = ld_le16(slot + 2);
    u8 page[XEN_PAGE];

    if (count > INDIRECT_SEGMENTS)
        return false;
    _Static_assert(INDIRECT_SEGMENTS <= SEGMENTS_PER_PAGE, "one page of segments is enough");
    u32 ref = ld_le32(slot + r->block->abi->indirect_grants);
    gpa_t gpa;
    if (!xen_grant_get(x, ref, false, &gpa))
        return false;
    bool ok = dma_read(x->pv.env.phys, gpa, page, count * SEGMENT_BYTES);
    xen_grant_put(x, ref, false);
    for (unsigned i = 0; ok && i < count; i++)
        ok = add_segment(r, page + i * SEGMENT_BYTES);
    return ok;
}

static bool fill_transfer(struct request *r, const u8 *slot)
{
    struct drive_request *d = &r->drive;
    bool indirect = slot[0] == OP_INDIRECT;
    u8 op = indirect ? slot[1] : slot[0];

    if (op != OP_READ && op != OP_WRITE)
        return false;
    if (!(indirect ? add_indirect(r, slot) : add_direct(r, slot)) || !d->len)
        return false;
    d->op = op == OP_READ ? DRIVE_READ : DRIVE_WRITE;
    r->buf = d->buf = aligned_alloc(XEN_PAGE, align_up(d->len, XEN_PAGE));
    return r->buf && (op == OP_READ || move_data(r, false));
}

static bool fill(struct request *r, const u8 *slot)
{
    const struct abi *abi = r->block->abi;
    u64 sector = ld_le64(slot + abi->sector);

    if (slot[0] == OP_FLUSH_DISKCACHE) { /* with data it would write them first */
        r->drive.op = DRIVE_FLUSH;
        return !slot[1];
    }
    if (sector >> 52)
        return false;
    r->drive.offset = sector * SECTOR_BYTES;
    switch (slot[0]) {
    case OP_DISCARD:
        r->drive.op = DRIVE_DISCARD;
        r->drive.len = ld_le64(slot + abi->discard_count) * SECTOR_BYTES;
        return !(ld_le64(slot + abi->discard_count) >> 52);
    default: return fill_transfer(r, slot);
    }
}

static bool is_known(u8 op)
{
    return op == OP_READ || op == OP_WRITE || op == OP_FLUSH_DISKCACHE || op == OP_DISCARD ||
           op == OP_INDIRECT;
}

static void start(struct xen_block *b, const u8 *slot)
{
    struct request *r = calloc(1, sizeof *r);

    BUG_ON(!r);
    r->block = b;
    r->id = ld_le64(slot + b->abi->id);
    r->op = slot[0] == OP_INDIRECT ? slot[1] : slot[0];
    r->drive.done = request_done;
    r->drive.opaque = r;
    b->inflight++;
    pv_used(&b->end.x->pv, XEN_F_BLOCK);
    if (!is_known(slot[0]))
        finish(r, RSP_EOPNOTSUPP);
    else if (!fill(r, slot))
        finish(r, RSP_ERROR);
    else
        drive_submit(b->drive, &r->drive);
}

/* Takes what the ring holds. A slot is free for a response when its request was taken. */
static void serve(void *opaque)
{
    struct xen_block *b = opaque;
    u8 slot[128];

    while (b->abi && !b->closing && b->inflight < RING_SLOTS) {
        if (!xen_ring_requests(&b->ring) && xen_ring_wait(&b->ring))
            return;
        if (!xen_ring_requests(&b->ring) || !xen_ring_peek(&b->ring, 0, slot))
            return;
        xen_ring_take(&b->ring, 1);
        start(b, slot);
    }
}

/* ---- the handshake --------------------------------------------------------------------------- */

static void disconnect(struct xen_block *b)
{
    if (!b->abi)
        return;
    xen_event_disconnect(b->end.x, b->port);
    xen_ring_close(&b->ring);
    b->abi = NULL;
    b->closing = false;
    xen_end_set_state(&b->end, XEN_STATE_CLOSED);
}

static const struct abi *abi_of(const struct xen_block *b)
{
    const char *protocol = xen_end_text(&b->end, "protocol");

    if (protocol)
        return strcmp(protocol, abi32.name) ? &abi64 : &abi32;
    return b->end.x->wide ? &abi64 : &abi32;
}

static void connect_ring(struct xen_block *b)
{
    u64 port = xen_end_number(&b->end, "event-channel", 0);
    const struct abi *abi = abi_of(b);

    if (b->abi || port >= XEN_PORTS ||
        !xen_ring_open(&b->ring, b->end.x, xen_end_number(&b->end, "ring-ref", ~0ull), RING_SLOTS,
                       abi->slot))
        return;
    if (!xen_event_connect(b->end.x, (u32)port, serve, b)) {
        xen_ring_close(&b->ring);
        return;
    }
    b->abi = abi;
    b->port = (u32)port;
    xen_end_write(&b->end, "sectors", drive_bytes(b->drive) / SECTOR_BYTES);
    xen_end_write(&b->end, "sector-size", SECTOR_BYTES);
    xen_end_write(&b->end, "physical-sector-size", SECTOR_BYTES);
    xen_end_write(&b->end, "info", (drive_readonly(b->drive) ? VDISK_READONLY : 0) |
                                       (b->drive->media == MEDIA_CDROM ? VDISK_CDROM : 0));
    xen_end_set_state(&b->end, XEN_STATE_CONNECTED);
    serve(b);
}

static void close_ring(struct xen_block *b)
{
    if (b->abi && b->inflight)
        b->closing = true;
    else
        disconnect(b);
}

static void store_changed(void *opaque, const char *path)
{
    struct pv_xen *x = opaque;

    for (struct xen_block *b = x->blocks; b; b = b->next) {
        if (!xen_end_is_state(&b->end, path))
            continue;
        switch (xen_end_number(&b->end, "state", 0)) {
        case XEN_STATE_INITIALISING:
            disconnect(b);
            xen_end_set_state(&b->end, XEN_STATE_INIT_WAIT);
            break;
        case XEN_STATE_INITIALISED:
        case XEN_STATE_CONNECTED: connect_ring(b); break;
        case XEN_STATE_CLOSING:
            close_ring(b);
            xen_end_set_state(&b->end, XEN_STATE_CLOSING);
            break;
        case XEN_STATE_CLOSED: close_ring(b); break;
        default: break;
        }
    }
}

/* ---- disks ----------------------------------------------------------------------------------- */

static void announce(struct xen_block *b)
{
    const char *type = b->drive->media == MEDIA_CDROM ? "cdrom" : "disk";
    char number[16], segments[16];
    const struct xen_end_node nodes[] = {
        {false, "bootable", "1"},
        {false, "removable", "0"},
        {false, "type", "phy"},
        {false, "mode", drive_readonly(b->drive) ? "r" : "w"},
        {false, "device-type", type},
        {false, "dev", b->drive->id},
        {false, "feature-flush-cache", "1"},
        {false, "feature-barrier", "0"},
        {false, "feature-persistent", "0"},
        {false, "feature-discard", "1"},
        {false, "discard-granularity", "512"},
        {false, "max-ring-page-order", "0"},
        {false, "multi-queue-max-queues", "1"},
        {false, "feature-max-indirect-segments", segments},
        {true, "device-type", type},
        {true, "virtual-device", number},
    };

    snprintf(number, sizeof number, "%u", b->number);
    snprintf(segments, sizeof segments, "%u", INDIRECT_SEGMENTS);
    xen_end_announce(&b->end, nodes, ARRAY_SIZE(nodes));
}

static void add(struct pv_xen *x, struct drive *d, bool borrowed, unsigned number)
{
    struct xen_block *b = calloc(1, sizeof *b);

    BUG_ON(!b);
    b->drive = d;
    b->borrowed = borrowed;
    b->number = number;
    xen_end_init(&b->end, x, "vbd", number);
    b->next = x->blocks;
    x->blocks = b;
    announce(b);
}

void xen_block_announce(struct pv_xen *x)
{
    const struct xen_store_viewer viewer = {XEN_STORE_HOME "/device/vbd", store_changed, x};
    struct err ignored = {0};

    if (!pv_has(&x->pv, XEN_F_BLOCK) || !x->pv.env.drives)
        return;
    xen_store_view(&x->store, &viewer);
    for (unsigned i = 0; i < PV_DISKS && x->pv.env.disk[i]; i++) {
        struct drive *d = drive_take(x->pv.env.drives, x->pv.env.disk[i], &ignored);
        if (d)
            add(x, d, false, XVDA + i * XVD_STEP);
    }
}

void xen_block_unplugged(struct pv_xen *x, struct drive *const disk[PV_IDE_DISKS])
{
    /* hda, hdb, hdc, hdd: majors 3 and 22 */
    static const unsigned number[PV_IDE_DISKS] = {0x300, 0x340, 0x1600, 0x1640};

    for (unsigned i = 0; i < PV_IDE_DISKS && pv_has(&x->pv, XEN_F_BLOCK); i++)
        if (disk[i])
            add(x, disk[i], true, number[i]);
}

void xen_block_reset(struct pv_xen *x)
{
    while (x->blocks) {
        struct xen_block *b = x->blocks;
        x->blocks = b->next;
        b->abi = NULL; /* the rings' pages are the next kernel's */
        b->closing = false;
        drive_drain(b->drive);
        if (!b->borrowed)
            drive_release(b->drive);
        free(b);
    }
}
