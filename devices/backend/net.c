/* net.c: the networks of a machine, and what all kinds share: the queue to the device (net.h). */
#include "devices/backend/net.h"

#include "base/nearest.h"
#include "devices/backend/net_kinds.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_BYTES_MAX (4 * MIB) /* what comes beyond it is lost, as on a wire */

/* ---- the device's side ----------------------------------------------------------------------- */

static void dump(struct net *n, const u8 *frame, size_t len)
{
    for (struct net_dump *d = n->dumps; d; d = net_dump_next(d)) {
        struct err e;

        if (!net_dump_frame(d, clock_now_ns(n->nets->clock), frame, len, &e))
            net_report(n, &e);
    }
}

static void enqueue(struct net *n, const u8 *frame, size_t len)
{
    struct net_frame *f;

    if (n->queued_bytes + len > QUEUE_BYTES_MAX)
        return;
    f = malloc(sizeof *f + len);
    if (!f)
        return;
    f->next = NULL;
    f->len = (u32)len;
    memcpy(f->data, frame, len);
    *n->tail = f;
    n->tail = &f->next;
    n->queued_bytes += len;
}

static void dequeue(struct net *n)
{
    struct net_frame *f = n->queue;

    n->queue = f->next;
    if (!n->queue)
        n->tail = &n->queue;
    n->queued_bytes -= f->len;
    free(f);
}

void net_input(struct net *n, const u8 *frame, size_t len)
{
    u8 padded[ETH_MIN] = {0};

    if (!n->device || len < ETH_HEADER || len > NET_FRAME_MAX)
        return;
    dump(n, frame, len);
    if (len < ETH_MIN) {
        memcpy(padded, frame, len);
        frame = padded;
        len = ETH_MIN;
    }
    if (n->queue || !n->device->receive(n->opaque, frame, len))
        enqueue(n, frame, len);
}

/* What is to be watched may be something else now. */
static void changed(struct nets *ns)
{
    if (ns->stale)
        return;
    ns->stale = true;
    if (ns->changed)
        ns->changed(ns->opaque);
}

void net_ready(struct net *n)
{
    if (!n || !n->queue)
        return;
    while (n->queue && n->device->receive(n->opaque, n->queue->data, n->queue->len))
        dequeue(n);
    if (!n->queue)
        changed(n->nets);
}

void net_discard(struct net *n)
{
    while (n && n->queue)
        dequeue(n);
}

static void send_one(void *opaque, const u8 *frame, size_t len)
{
    struct net *n = opaque;

    dump(n, frame, len);
    n->ops->send(n, frame, len);
}

static void set_sum(u8 *frame, size_t len, const struct net_offload *o)
{
    u16 sum;

    if (o->sum_start > len || o->sum_at + 2u > len)
        return;
    sum = (u16)~net_sum_fold(net_sum(frame + o->sum_start, len - o->sum_start, 0));
    if (!sum) /* 0 says of UDP that there is none; for others both are right */
        sum = 0xffff;
    frame[o->sum_at] = (u8)(sum >> 8);
    frame[o->sum_at + 1] = (u8)sum;
}

void net_send(struct net *n, u8 *frame, size_t len, const struct net_offload *o)
{
    if (!net_link(n) || len < ETH_HEADER || len > NET_FRAME_MAX)
        return;
    changed(n->nets);
    if (o && o->segment && n->ops->large && !n->dumps) {
        if (net_finish_large(frame, len))
            send_one(n, frame, len);
    } else if (o && o->segment) {
        net_segment(frame, len, o->segment, n->nets->segment, send_one, n);
    } else {
        if (o && o->sum)
            set_sum(frame, len, o);
        send_one(n, frame, len);
    }
}

struct net *net_take(struct nets *ns, const char *id, const struct net_device *d, void *opaque,
                     struct err *e)
{
    struct net *n = nets_find(ns, id);

    if (!n) {
        const char *names[NET_MAX + 1] = {NULL};
        const char *near;
        unsigned count = 0;

        for (n = ns->first; n && count < NET_MAX; n = n->next)
            names[count++] = n->id;
        near = nearest(id, names);
        err_usage(e, "there is no network '%s'", id);
        if (near)
            err_hint(e, "did you mean %s?", near);
        else
            err_hint(e, "-netdev user,id=%s makes one", id);
        return NULL;
    }
    if (n->taken) {
        err_usage(e, "two devices cannot have the same network: '%s'", id);
        err_hint(e, "add another -netdev");
        return NULL;
    }
    n->taken = true;
    n->device = d;
    n->opaque = opaque;
    return n;
}

void net_lend(struct net *n, const struct net_device *d, void *opaque)
{
    net_discard(n);
    n->owner.device = n->device;
    n->owner.opaque = n->opaque;
    n->device = d;
    n->opaque = opaque;
}

void net_give_back(struct net *n)
{
    net_discard(n);
    n->device = n->owner.device;
    n->opaque = n->owner.opaque;
    n->owner.device = NULL;
}

void net_release(struct net *n)
{
    if (!n)
        return;
    net_discard(n);
    n->taken = false;
    n->device = NULL;
}

/* ---- the back end's side --------------------------------------------------------------------- */

void net_set_link(struct net *n, bool up)
{
    if (n->link == up)
        return;
    n->link = up;
    if (n->device && n->device->link_changed)
        n->device->link_changed(n->opaque);
}

void net_report(struct net *n, const struct err *e)
{
    if (n->nets->report)
        n->nets->report(n->nets->opaque, e);
}

static void none_send(struct net *n, const u8 *frame, size_t len)
{
    (void)n;
    (void)frame;
    (void)len;
}

static bool net_open_none(struct net *n, const struct net_options *o, struct err *e)
{
    static const struct net_ops ops = {.large = true, .send = none_send};

    (void)o;
    (void)e;
    n->ops = &ops;
    n->link = true;
    return true;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*open)(struct net *n, const struct net_options *o, struct err *e);
} kinds[] = {
    {"user", net_open_user},
    {"socket", net_open_socket},
    {"tap", net_open_tap},
    {"none", net_open_none},
};

void nets_init(struct nets *ns, struct clock *clock)
{
    *ns = (struct nets){.clock = clock};
    ns->segment = malloc(NET_FRAME_MAX);
    BUG_ON(!ns->segment);
}

static void net_free(struct net *n)
{
    net_discard(n);
    if (n->ops && n->ops->close)
        n->ops->close(n);
    while (n->dumps)
        n->dumps = net_dump_close(n->dumps);
    free(n->id);
    free(n);
}

void nets_destroy(struct nets *ns)
{
    while (ns->first) {
        struct net *n = ns->first;

        ns->first = n->next;
        net_free(n);
    }
    free(ns->segment);
    ns->segment = NULL;
}

struct net *nets_find(const struct nets *ns, const char *id)
{
    for (struct net *n = ns->first; n; n = n->next)
        if (!strcmp(n->id, id))
            return n;
    return NULL;
}

static bool open_kind(struct net *n, const struct net_options *o, struct err *e)
{
    const char *names[ARRAY_SIZE(kinds) + 1] = {NULL};
    const char *near;

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        names[i] = n->kind = kinds[i].name;
        if (!strcmp(o->kind, n->kind))
            return kinds[i].open(n, o, e);
    }
    near = nearest(o->kind, names);
    err_usage(e, "-netdev: there is no kind '%s'", o->kind);
    return near ? err_hint(e, "did you mean %s?", near)
                : err_hint(e, "there are user, socket, tap and none");
}

bool nets_add(struct nets *ns, const struct net_options *o, struct err *e)
{
    struct net **end = &ns->first;
    struct net *n;

    if (nets_find(ns, o->id))
        return err_usage(e, "-netdev: two are named '%s'", o->id);
    n = calloc(1, sizeof *n);
    BUG_ON(!n);
    n->nets = ns;
    n->tail = &n->queue;
    n->id = strdup(o->id);
    BUG_ON(!n->id);
    if (!open_kind(n, o, e)) {
        net_free(n);
        return false;
    }
    while (*end)
        end = &(*end)->next;
    *end = n;
    return true;
}

bool nets_add_dump(struct nets *ns, const struct net_dump_options *o, struct err *e)
{
    struct net *n = nets_find(ns, o->netdev);
    struct net_dump *d;

    if (!n)
        return err_usage(e, "-object filter-dump: there is no network '%s'", o->netdev);
    d = net_dump_open(o, e);
    if (d)
        net_dump_push(&n->dumps, d);
    return d != NULL;
}

void nets_fill(struct nets *ns, struct pollset *s, u64 *timeout_ns)
{
    ns->stale = false;
    for (struct net *n = ns->first; n; n = n->next)
        if (n->ops->fill)
            n->ops->fill(n, s, timeout_ns);
}

void nets_poll(struct nets *ns, const struct pollset *s)
{
    for (struct net *n = ns->first; n; n = n->next)
        if (n->ops->poll)
            n->ops->poll(n, s);
}

bool nets_can_receive(const struct nets *ns)
{
    for (const struct net *n = ns->first; n; n = n->next)
        if (n->ops->fill)
            return true;
    return false;
}

/* 52:54:00 is what emulators give to their guests; the bit of a group is off. */
bool net_mac(struct nets *ns, const char *text, u8 mac[6], struct err *e)
{
    static const u8 first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    int end = 0;

    if (!text) {
        memcpy(mac, first, 6);
        mac[5] = (u8)(mac[5] + (ns ? ns->macs++ : 0));
        return true;
    }
    for (unsigned i = 0; i < 6; i++) {
        const char *at = text + 3 * i;

        if (strspn(at, "0123456789abcdefABCDEF") != 2 || at[2] != (i < 5 ? ':' : '\0')) {
            end = -1;
            break;
        }
        mac[i] = (u8)strtoul(at, NULL, 16);
    }
    if (!end && !(mac[0] & 1))
        return true;
    err_usage(e, "mac=%s: %s", text, end ? "not an Ethernet address" : "the address of a group");
    return err_hint(e, "six bytes, the first even: 52:54:00:12:34:56");
}
