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

/* enum xenbus_state */
enum { STATE_INITIALISING = 1, STATE_INIT_WAIT, STATE_INITIALISED, STATE_CONNECTED, STATE_CLOSING, STATE_CLOSED };

#define RING_HEADER 64u
enum { REQ_PROD = 0, REQ_EVENT = 4, RSP_PROD = 8, RSP_EVENT = 12 };
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
    struct pv_xen *x;
    struct drive *drive;
    bool borrowed; /* from the IDE controller, whose it is again after a reset */
    unsigned number; /* virtual device number */
    char front[64], back[64];
    const struct abi *abi; /* NULL: not connected */
    u32 port, ring_ref;
    gpa_t ring;
    u32 req_cons, rsp_prod;
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

static u32 *ring_word(struct xen_block *b, u32 at)
{
    return (u32 *)(void *)xen_ram(b->x, b->ring + at, 4);
}

static void respond(struct xen_block *b, u64 id, u8 op, s16 status)
{
    u8 response[16] = {0};
    u32 *prod = ring_word(b, RSP_PROD), *event = ring_word(b, RSP_EVENT), old = b->rsp_prod, at;

    if (!prod)
        return;
    st_le64(response, id);
    response[8] = op;
    st_le16(response + 10, (u16)status);
    at = RING_HEADER + old % RING_SLOTS * b->abi->slot;
    dma_write(b->x->pv.env.phys, b->ring + at, response, 12);
    __atomic_store_n(prod, ++b->rsp_prod, __ATOMIC_SEQ_CST);
    /* The front end wants to hear of it if its mark lies in what was just produced. */
    if (b->rsp_prod - __atomic_load_n(event, __ATOMIC_SEQ_CST) < b->rsp_prod - old)
        xen_event_raise(b->x, b->port);
}

/* ---- data ------------------------------------------------------------------------------------ */

static bool move_segment(struct request *r, const struct segment *s, u8 *buf, bool to_guest)
{
    struct pv_xen *x = r->block->x;
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
    struct pv_xen *x = r->block->x;
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
    pv_used(&b->x->pv, XEN_F_BLOCK);
    if (!is_known(slot[0]))
        finish(r, RSP_EOPNOTSUPP);
    else if (!fill(r, slot))
        finish(r, RSP_ERROR);
    else
        drive_submit(b->drive, &r->drive);
}

/* Takes what the ring holds; the event mark is set behind it, and then looked at once more. */
static void serve(void *opaque)
{
    struct xen_block *b = opaque;
    u32 *prod = b->abi ? ring_word(b, REQ_PROD) : NULL, *event = b->abi ? ring_word(b, REQ_EVENT) : NULL;
    u8 slot[128];

    if (!prod || b->closing)
        return;
    for (;;) {
        u32 end = __atomic_load_n(prod, __ATOMIC_SEQ_CST);
        if (end - b->req_cons > RING_SLOTS) /* nonsense */
            return;
        while (b->abi && b->req_cons != end && b->inflight < RING_SLOTS) {
            u32 at = RING_HEADER + b->req_cons++ % RING_SLOTS * b->abi->slot;
            if (!dma_read(b->x->pv.env.phys, b->ring + at, slot, b->abi->slot))
                return;
            start(b, slot);
        }
        if (!b->abi || b->inflight >= RING_SLOTS)
            return;
        __atomic_store_n(event, b->req_cons + 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(prod, __ATOMIC_SEQ_CST) == b->req_cons)
            return;
    }
}

/* ---- the handshake --------------------------------------------------------------------------- */

static void set_state(struct xen_block *b, unsigned state)
{
    char path[96];

    snprintf(path, sizeof path, "%s/state", b->back);
    xen_store_printf(&b->x->store, path, "%u", state);
}

static u64 front_number(const struct xen_block *b, const char *name, u64 none)
{
    char path[96];

    snprintf(path, sizeof path, "%s/%s", b->front, name);
    return xen_store_number(&b->x->store, path, none);
}

static const char *front_text(const struct xen_block *b, const char *name)
{
    char path[96];

    snprintf(path, sizeof path, "%s/%s", b->front, name);
    return xen_store_read(&b->x->store, path);
}

static void disconnect(struct xen_block *b)
{
    if (!b->abi)
        return;
    xen_event_disconnect(b->x, b->port);
    xen_grant_put(b->x, b->ring_ref, true);
    b->abi = NULL;
    b->closing = false;
    set_state(b, STATE_CLOSED);
}

static void write_back(struct xen_block *b, const char *name, u64 value)
{
    char path[96];

    snprintf(path, sizeof path, "%s/%s", b->back, name);
    xen_store_printf(&b->x->store, path, "%llu", (unsigned long long)value);
}

static void connect_ring(struct xen_block *b)
{
    const char *protocol = front_text(b, "protocol");
    u64 ref = front_number(b, "ring-ref", ~0ull), port = front_number(b, "event-channel", 0);

    if (b->abi || ref >= XEN_GRANTS || port >= XEN_PORTS)
        return;
    if (!xen_grant_get(b->x, (u32)ref, true, &b->ring))
        return;
    if (!xen_event_connect(b->x, (u32)port, serve, b)) {
        xen_grant_put(b->x, (u32)ref, true);
        return;
    }
    b->abi = protocol && !strcmp(protocol, abi32.name) ? &abi32
             : protocol                                ? &abi64
             : b->x->wide                              ? &abi64
                                                       : &abi32;
    b->ring_ref = (u32)ref;
    b->port = (u32)port;
    b->req_cons = b->rsp_prod = 0;
    write_back(b, "sectors", drive_bytes(b->drive) / SECTOR_BYTES);
    write_back(b, "sector-size", SECTOR_BYTES);
    write_back(b, "physical-sector-size", SECTOR_BYTES);
    write_back(b, "info", (drive_readonly(b->drive) ? VDISK_READONLY : 0) |
                              (b->drive->media == MEDIA_CDROM ? VDISK_CDROM : 0));
    set_state(b, STATE_CONNECTED);
    serve(b);
}

static void close_ring(struct xen_block *b)
{
    if (b->abi && b->inflight)
        b->closing = true;
    else
        disconnect(b);
}

/* Something below the home of the domain changed: is it a front end's state? */
static void store_changed(void *opaque, const char *path)
{
    struct pv_xen *x = opaque;

    for (struct xen_block *b = x->blocks; b; b = b->next) {
        size_t n = strlen(b->front);
        if (strncmp(path, b->front, n) || strcmp(path + n, "/state"))
            continue;
        switch (front_number(b, "state", 0)) {
        case STATE_INITIALISING:
            disconnect(b);
            set_state(b, STATE_INIT_WAIT);
            break;
        case STATE_INITIALISED:
        case STATE_CONNECTED: connect_ring(b); break;
        case STATE_CLOSING:
            close_ring(b);
            set_state(b, STATE_CLOSING);
            break;
        case STATE_CLOSED: close_ring(b); break;
        default: break;
        }
    }
}

/* ---- disks ----------------------------------------------------------------------------------- */

static void announce(struct xen_block *b)
{
    struct xen_store *s = &b->x->store;
    const char *mode = drive_readonly(b->drive) ? "r" : "w";
    const char *type = b->drive->media == MEDIA_CDROM ? "cdrom" : "disk";
    const struct {
        const char *dir, *name, *value;
    } nodes[] = {
        {b->back, "frontend", b->front},      {b->back, "frontend-id", "1"},
        {b->back, "online", "1"},             {b->back, "bootable", "1"},
        {b->back, "removable", "0"},          {b->back, "type", "phy"},
        {b->back, "mode", mode},              {b->back, "device-type", type},
        {b->back, "dev", b->drive->id},        {b->back, "feature-flush-cache", "1"},
        {b->back, "feature-barrier", "0"},    {b->back, "feature-persistent", "0"},
        {b->back, "feature-discard", "1"},    {b->back, "discard-granularity", "512"},
        {b->back, "max-ring-page-order", "0"}, {b->back, "multi-queue-max-queues", "1"},
        {b->front, "backend", b->back},       {b->front, "backend-id", "0"},
        {b->front, "device-type", type},
    };
    char path[96];

    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        snprintf(path, sizeof path, "%s/%s", nodes[i].dir, nodes[i].name);
        xen_store_write(s, path, nodes[i].value);
    }
    snprintf(path, sizeof path, "%s/virtual-device", b->front);
    xen_store_printf(s, path, "%u", b->number);
    write_back(b, "feature-max-indirect-segments", INDIRECT_SEGMENTS);
    set_state(b, STATE_INIT_WAIT);
    snprintf(path, sizeof path, "%s/state", b->front);
    xen_store_printf(s, path, "%u", STATE_INITIALISING);
}

static void add(struct pv_xen *x, struct drive *d, bool borrowed, unsigned number)
{
    struct xen_block *b = calloc(1, sizeof *b);

    BUG_ON(!b);
    b->x = x;
    b->drive = d;
    b->borrowed = borrowed;
    b->number = number;
    snprintf(b->front, sizeof b->front, XEN_STORE_HOME "/device/vbd/%u", number);
    snprintf(b->back, sizeof b->back, "/local/domain/0/backend/vbd/1/%u", number);
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
