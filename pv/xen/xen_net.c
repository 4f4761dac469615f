/*
 * xen_net.c: the back end of Xen's network interfaces: a ring of what the guest sends, and one of
 * buffers for what it receives; data are copied from and to pages that it grants.
 *
 * Specification: Xen public/io/netif.h.
 *
 * Not implemented: several queues, the control ring, frames of more than a page to the guest,
 * multicast filters (all are passed), XDP headroom.
 */
#include "base/bits.h"
#include "devices/xen_vif.h"
#include "mmu/dma.h"
#include "pv/xen/xen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_SLOTS 256u /* of either ring in a page */
#define TX_BYTES 12u
#define RX_BYTES 8u
#define TX_SLOTS_MAX 18u /* XEN_NETIF_NR_SLOTS_MIN: of one frame */

#define NETTXF_csum_blank BIT(0)
#define NETTXF_more_data BIT(2)
#define NETTXF_extra_info BIT(3)
#define NETRXF_data_validated BIT(0)
#define EXTRA_TYPE_GSO 1u
#define EXTRA_FLAG_MORE BIT(0)
#define RSP_ERROR (-1)
#define RSP_OKAY 0
#define RSP_NULL 1

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define PROTO_TCP 6u
#define PROTO_UDP 17u

struct xen_net {
    struct xen_end end;
    struct xen_vif *vif;
    struct xen_vif borrower; /* vif, when it stands in for an unplugged card */
    struct xen_ring tx, rx;
    u32 tx_port, rx_port;
    bool connected, sending;
    u8 frame[NET_FRAME_MAX];
    struct xen_net *next;
};

/* ---- transmit -------------------------------------------------------------------------------- */

struct tx_slot {
    u32 ref;
    u16 offset, flags, id, size;
};

static struct tx_slot tx_slot(const u8 *at)
{
    return (struct tx_slot){ld_le32(at), ld_le16(at + 4), ld_le16(at + 6), ld_le16(at + 8),
                            ld_le16(at + 10)};
}

static bool copy_in(struct xen_net *n, const struct tx_slot *s, u32 size, u32 *len)
{
    struct pv_xen *x = n->end.x;
    gpa_t gpa;
    bool ok;

    if (size > XEN_PAGE || s->offset > XEN_PAGE - size || size > sizeof n->frame - *len ||
        !xen_grant_get(x, s->ref, false, &gpa))
        return false;
    ok = dma_read(x->pv.env.phys, gpa + s->offset, n->frame + *len, size);
    xen_grant_put(x, s->ref, false);
    *len += size;
    return ok;
}

/* Where the sum that the guest left blank begins and goes; false: it is neither TCP nor UDP. The
 * pseudo header is in it already. */
static bool find_sum(const u8 *frame, u32 len, struct net_offload *o)
{
    u32 type = len >= ETH_HEADER ? (u32)frame[12] << 8 | frame[13] : 0, start, proto;

    if (type == ETHERTYPE_IPV4 && len >= ETH_HEADER + 20) {
        start = ETH_HEADER + (frame[ETH_HEADER] & 15) * 4u;
        proto = frame[ETH_HEADER + 9];
    } else if (type == ETHERTYPE_IPV6 && len >= ETH_HEADER + 40) {
        start = ETH_HEADER + 40;
        proto = frame[ETH_HEADER + 6];
    } else {
        return false;
    }
    if (proto != PROTO_TCP && proto != PROTO_UDP)
        return false;
    o->sum = true;
    o->sum_start = (u16)start;
    o->sum_at = (u16)(start + (proto == PROTO_TCP ? 16 : 6));
    return o->sum_at + 2u <= len;
}

/* One frame: how many slots it has, extra ones among them; 0: it is not whole yet. `slot` gets the slots
 * with data, *segment the size of a TCP segment. */
static u32 gather(struct xen_net *n, struct tx_slot *slot, u32 *count, u16 *segment)
{
    u32 there = xen_ring_requests(&n->tx), at = 0;
    u8 raw[TX_BYTES];
    bool more, extra;

    *count = 0;
    *segment = 0;
    do {
        if (at == there || *count == TX_SLOTS_MAX || !xen_ring_peek(&n->tx, at++, raw))
            return 0;
        slot[*count] = tx_slot(raw);
        more = slot[*count].flags & NETTXF_more_data;
        extra = *count == 0 && slot[0].flags & NETTXF_extra_info;
        ++*count;
        while (extra) {
            if (at == there || at == RING_SLOTS || !xen_ring_peek(&n->tx, at++, raw))
                return 0;
            if (raw[0] == EXTRA_TYPE_GSO)
                *segment = ld_le16(raw + 2);
            extra = raw[1] & EXTRA_FLAG_MORE;
        }
    } while (more);
    return at;
}

/* The first slot's size is that of the frame; the others' are their own. */
static bool assemble(struct xen_net *n, const struct tx_slot *slot, u32 count, u32 *len)
{
    u32 first = slot[0].size;

    *len = 0;
    for (u32 i = 1; i < count; i++) {
        if (slot[i].size > first)
            return false;
        first -= slot[i].size;
    }
    if (!copy_in(n, &slot[0], first, len))
        return false;
    for (u32 i = 1; i < count; i++)
        if (!copy_in(n, &slot[i], slot[i].size, len))
            return false;
    return *len >= ETH_HEADER;
}

static void respond(struct xen_net *n, const struct tx_slot *slot, u32 count, u32 slots, s16 status)
{
    u8 response[4];

    for (u32 i = 0; i < slots; i++) {
        /* Extra slots follow the first; their responses say nothing. */
        u32 extras = slots - count;
        bool is_extra = i >= 1 && i <= extras;
        u32 k = i == 0 ? 0 : i - extras;

        st_le16(response, is_extra ? 0 : slot[k].id);
        st_le16(response + 2, (u16)(is_extra ? RSP_NULL : status));
        xen_ring_respond(&n->tx, response, sizeof response);
    }
}

static void send_all(struct xen_net *n)
{
    struct tx_slot slot[TX_SLOTS_MAX];
    u32 count, slots, len;
    u16 segment;

    for (;;) {
        while ((slots = gather(n, slot, &count, &segment))) {
            struct net_offload o = {.segment = segment};
            bool ok = assemble(n, slot, count, &len);

            if (ok && (slot[0].flags & NETTXF_csum_blank))
                ok = find_sum(n->frame, len, &o);
            xen_ring_take(&n->tx, slots);
            pv_used(&n->end.x->pv, XEN_F_NET);
            if (ok)
                net_send(n->vif->net, n->frame, len, &o);
            respond(n, slot, count, slots, ok ? RSP_OKAY : RSP_ERROR);
        }
        /* A frame that is not whole yet comes with another event. */
        if (xen_ring_wait(&n->tx) || !gather(n, slot, &count, &segment))
            break;
    }
    if (xen_ring_push(&n->tx))
        xen_event_raise(n->end.x, n->tx_port);
}

/* What is sent may be answered at once, and the answer make the guest's end look again. */
static void transmit(void *opaque)
{
    struct xen_net *n = opaque;

    if (!n->connected || n->sending)
        return;
    n->sending = true;
    send_all(n);
    n->sending = false;
}

/* ---- receive --------------------------------------------------------------------------------- */

static bool receive(void *opaque, const u8 *frame, size_t len)
{
    struct xen_net *n = opaque;
    struct pv_xen *x = n->end.x;
    u8 request[RX_BYTES], response[RX_BYTES] = {0};
    unsigned sums;
    gpa_t gpa;

    if (!n->connected || len > XEN_PAGE)
        return true; /* dropped */
    if (!xen_ring_requests(&n->rx)) {
        xen_ring_wait(&n->rx);
        if (!xen_ring_requests(&n->rx))
            return false;
    }
    if (!xen_ring_peek(&n->rx, 0, request))
        return true;
    xen_ring_take(&n->rx, 1);
    sums = net_check_sums(frame, len);
    st_le16(response, ld_le16(request));
    if ((sums & NET_L4_CHECKED) && !(sums & (NET_L4_BAD | NET_IP_BAD)))
        st_le16(response + 4, NETRXF_data_validated);
    st_le16(response + 6, (u16)RSP_ERROR);
    if (xen_grant_get(x, ld_le32(request + 4), true, &gpa)) {
        if (dma_write(x->pv.env.phys, gpa, frame, len))
            st_le16(response + 6, (u16)len);
        xen_grant_put(x, ld_le32(request + 4), true);
    }
    xen_ring_respond(&n->rx, response, sizeof response);
    pv_used(&x->pv, XEN_F_NET);
    if (xen_ring_push(&n->rx))
        xen_event_raise(x, n->rx_port);
    return true;
}

static void buffers_came(void *opaque)
{
    struct xen_net *n = opaque;

    if (n->connected)
        net_ready(n->vif->net);
}

/* One event channel for both rings. */
static void both(void *opaque)
{
    buffers_came(opaque);
    transmit(opaque);
}

/* ---- the handshake --------------------------------------------------------------------------- */

static void disconnect(struct xen_net *n)
{
    if (!n->connected)
        return;
    n->connected = false;
    xen_event_disconnect(n->end.x, n->tx_port);
    xen_event_disconnect(n->end.x, n->rx_port);
    xen_ring_close(&n->tx);
    xen_ring_close(&n->rx);
    xen_end_set_state(&n->end, XEN_STATE_CLOSED);
}

static bool connect_ports(struct xen_net *n)
{
    struct pv_xen *x = n->end.x;
    u64 one = xen_end_number(&n->end, "event-channel", 0);
    u64 tx = xen_end_number(&n->end, "event-channel-tx", one);
    u64 rx = xen_end_number(&n->end, "event-channel-rx", one);

    if (!tx || tx >= XEN_PORTS || !rx || rx >= XEN_PORTS)
        return false;
    n->tx_port = (u32)tx;
    n->rx_port = (u32)rx;
    if (tx == rx)
        return xen_event_connect(x, n->tx_port, both, n);
    if (!xen_event_connect(x, n->tx_port, transmit, n))
        return false;
    if (xen_event_connect(x, n->rx_port, buffers_came, n))
        return true;
    xen_event_disconnect(x, n->tx_port);
    return false;
}

static void connect_rings(struct xen_net *n)
{
    struct pv_xen *x = n->end.x;

    if (n->connected || !xen_end_number(&n->end, "request-rx-copy", 0))
        return;
    if (!xen_ring_open(&n->tx, x, xen_end_number(&n->end, "tx-ring-ref", ~0ull), RING_SLOTS, TX_BYTES))
        return;
    if (xen_ring_open(&n->rx, x, xen_end_number(&n->end, "rx-ring-ref", ~0ull), RING_SLOTS, RX_BYTES)) {
        if (connect_ports(n)) {
            n->connected = true;
            xen_end_set_state(&n->end, XEN_STATE_CONNECTED);
            both(n);
            return;
        }
        xen_ring_close(&n->rx);
    }
    xen_ring_close(&n->tx);
}

static void store_changed(void *opaque, const char *path)
{
    struct pv_xen *x = opaque;

    for (struct xen_net *n = x->nets; n; n = n->next) {
        if (!xen_end_is_state(&n->end, path))
            continue;
        switch (xen_end_number(&n->end, "state", 0)) {
        case XEN_STATE_INITIALISING:
            disconnect(n);
            xen_end_set_state(&n->end, XEN_STATE_INIT_WAIT);
            break;
        case XEN_STATE_INITIALISED:
        case XEN_STATE_CONNECTED: connect_rings(n); break;
        case XEN_STATE_CLOSING:
            disconnect(n);
            xen_end_set_state(&n->end, XEN_STATE_CLOSING);
            break;
        case XEN_STATE_CLOSED:
            disconnect(n);
            xen_end_set_state(&n->end, XEN_STATE_CLOSED);
            break;
        default: break;
        }
    }
}

/* ---- interfaces ------------------------------------------------------------------------------ */

/* `lent`: the network of an unplugged card, which `vif` is NULL for. */
static void add(struct pv_xen *x, struct xen_vif *vif, struct net *lent, unsigned number)
{
    struct xen_net *n = calloc(1, sizeof *n);
    char mac[18], handle[8];
    const struct xen_end_node nodes[] = {
        {true, "handle", handle},                  {true, "mac", mac},
        {false, "mac", mac},                       {false, "feature-rx-copy", "1"},
        {false, "feature-rx-flip", "0"},           {false, "feature-sg", "1"},
        {false, "feature-gso-tcpv4", "1"},         {false, "feature-gso-tcpv6", "1"},
        {false, "feature-ipv6-csum-offload", "1"}, {false, "feature-split-event-channels", "1"},
        {false, "multi-queue-max-queues", "1"},    {false, "hotplug-status", "connected"},
    };
    const u8 *m;

    BUG_ON(!n);
    if (lent) {
        vif = &n->borrower;
        xen_vif_borrow(vif, lent);
    }
    m = vif->mac;
    snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    snprintf(handle, sizeof handle, "%u", number);
    n->vif = vif;
    vif->receive = receive;
    vif->opaque = n;
    xen_end_init(&n->end, x, "vif", number);
    n->next = x->nets;
    x->nets = n;
    xen_end_announce(&n->end, nodes, ARRAY_SIZE(nodes));
}

void xen_net_announce(struct pv_xen *x)
{
    const struct xen_store_viewer viewer = {XEN_STORE_HOME "/device/vif", store_changed, x};

    if (!pv_has(&x->pv, XEN_F_NET))
        return;
    xen_store_view(&x->store, &viewer);
    for (unsigned i = 0; i < PV_VIFS && x->pv.env.vif[i]; i++)
        add(x, x->pv.env.vif[i], NULL, i);
}

void xen_net_unplugged(struct pv_xen *x, struct net *const net[PV_VIFS])
{
    unsigned number = 0;

    for (const struct xen_net *n = x->nets; n; n = n->next)
        number++;
    for (unsigned i = 0; i < PV_VIFS && net[i]; i++)
        add(x, NULL, net[i], number + i);
}

void xen_net_reset(struct pv_xen *x)
{
    while (x->nets) {
        struct xen_net *n = x->nets;
        x->nets = n->next;
        n->vif->receive = NULL;
        if (n->vif == &n->borrower)
            net_give_back(n->vif->net);
        free(n);
    }
}
