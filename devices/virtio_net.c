/*
 * virtio_net.c: virtio network device.
 *
 * Specification: VIRTIO 1.2, section 5.1.
 *
 * What the driver sends is done with when its notification returns. What comes in waits outside
 * while there are no buffers; it may come while something is being sent, in answer to it. With
 * mq=on a flow's frames come in by the pair of queues by which the driver sends those of the other
 * direction (5.1.6.5.5, automatic receive steering).
 *
 * Not implemented: RSS, large frames to the driver, announcements, MTU, speed.
 */
#include "devices/virtio_net.h"

#include "base/bits.h"

#include <stdlib.h>

#define F_CSUM BIT64(0)
#define F_GUEST_CSUM BIT64(1)
#define F_MAC BIT64(5)
#define F_HOST_TSO4 BIT64(11)
#define F_HOST_TSO6 BIT64(12)
#define F_HOST_ECN BIT64(13)
#define F_MRG_RXBUF BIT64(15)
#define F_STATUS BIT64(16)
#define F_CTRL_VQ BIT64(17)
#define F_CTRL_RX BIT64(18)
#define F_CTRL_VLAN BIT64(19)
#define F_CTRL_RX_EXTRA BIT64(20)
#define F_MQ BIT64(22)
#define F_CTRL_MAC_ADDR BIT64(23)

/* Queues of pair n: 2n receives, 2n + 1 transmits; the control queue is behind the last. */
enum { RX, TX, PAIR };

#define CONFIG_BYTES 12u
#define STATUS_LINK_UP 1u

/* struct virtio_net_hdr (5.1.6): flags, gso_type, hdr_len, gso_size, csum_start, csum_offset,
 * num_buffers. */
#define HEADER_BYTES 12u
#define AT_GSO_TYPE 1u
#define AT_GSO_SIZE 4u
#define AT_CSUM_START 6u
#define AT_CSUM_OFFSET 8u
#define AT_NUM_BUFFERS 10u
#define HDR_NEEDS_CSUM 1u
#define HDR_DATA_VALID 2u
#define GSO_ECN 0x80u

#define BUFFERS_MAX 64u /* of one frame; drivers' buffers hold a page or a whole frame */

/* ---- pairs of queues ------------------------------------------------------------------------- */

static unsigned control_queue(const struct virtio_net *s)
{
    return virtio_has(&s->virtio, F_MQ) ? PAIR * VNET_PAIRS : PAIR;
}

/* The same for both directions: of addresses, and of ports where each frame has them. */
static u8 flow_of(const u8 *frame, size_t len)
{
    bool v4 = len >= 34 && frame[12] == 0x08 && frame[13] == 0x00;
    bool v6 = len >= 58 && frame[12] == 0x86 && frame[13] == 0xdd;
    size_t ports = v4 ? 14 + 4u * (frame[14] & 15) : 54;
    u8 protocol = v4 ? frame[23] : v6 ? frame[20] : 0;
    u32 hash = 0;

    for (unsigned i = 0; v4 && i < 8; i += 4)
        hash ^= ld_le32(frame + 26 + i);
    for (unsigned i = 0; v6 && i < 32; i += 4)
        hash ^= ld_le32(frame + 22 + i);
    if ((protocol == 6 || protocol == 17) && len >= ports + 4 &&
        !(v4 && ((frame[20] & 0x3f) || frame[21]))) /* a fragment */
        hash ^= ld_le16(frame + ports) ^ ld_le16(frame + ports + 2);
    hash ^= hash >> 16;
    return (u8)(hash ^ hash >> 8);
}

static unsigned receive_queue(const struct virtio_net *s, const u8 *frame, size_t len)
{
    unsigned pair = s->pairs > 1 ? s->flow[flow_of(frame, len)] : 0;

    return pair < s->pairs && s->virtio.queue[PAIR * pair].enabled ? PAIR * pair + RX : RX;
}

/* ---- transmit -------------------------------------------------------------------------------- */

static void send_frame(struct virtio_net *s, unsigned queue, const u8 *header, size_t len)
{
    u16 start = ld_le16(header + AT_CSUM_START);
    struct net_offload o = {
        .sum = header[0] & HDR_NEEDS_CSUM,
        .sum_start = start,
        .sum_at = (u16)(start + ld_le16(header + AT_CSUM_OFFSET)),
        .segment = header[AT_GSO_TYPE] & (u8)~GSO_ECN ? ld_le16(header + AT_GSO_SIZE) : 0};

    if (s->pairs > 1)
        s->flow[flow_of(s->frame, len)] = (u8)(queue / PAIR);
    TRACE(net_transmit, s->virtio.pci.devfn, (unsigned)len, o.segment);
    net_send(s->net, s->frame, len, &o);
}

/* False: the driver broke the rules. */
static bool transmit_one(struct virtio_net *s, unsigned queue)
{
    struct virtio *v = &s->virtio;
    u64 len = s->chain.read_bytes - HEADER_BYTES;
    u8 header[HEADER_BYTES];

    if (s->chain.read_bytes < HEADER_BYTES || s->chain.writes)
        return false;
    if (len <= NET_FRAME_MAX && virtio_read(v, &s->chain, 0, header, sizeof header) &&
        virtio_read(v, &s->chain, HEADER_BYTES, s->frame, len))
        send_frame(s, queue, header, len);
    virtio_push(v, queue, s->chain.id, s->chain.descriptors, 0);
    return true;
}

/* A driver on another processor may feed the ring for ever: a turn is at most a ring of frames. */
static void transmit(struct virtio_net *s, unsigned queue)
{
    struct virtio *v = &s->virtio;
    struct clock *clock = v->pci.dev.env->clock;
    unsigned n;

    for (n = 0; n < s->queue_size && virtio_pop(v, queue, &s->chain); n++)
        if (!transmit_one(s, queue)) {
            virtio_broken(v);
            return;
        }
    virtio_interrupt(v, queue);
    if (n < s->queue_size)
        return;
    s->waiting |= (u16)BIT(queue);
    timer_set(clock, &s->again, clock_now_ns(clock));
}

static void transmit_again(void *opaque)
{
    struct virtio_net *s = opaque;
    u16 waiting = s->waiting;

    s->waiting = 0;
    for (unsigned queue = TX; waiting >> queue; queue += PAIR)
        if (waiting >> queue & 1)
            virtio_notify_queue(&s->virtio, queue);
}

/* ---- receive --------------------------------------------------------------------------------- */

static bool in_table(const u8 *table, unsigned count, const u8 *mac)
{
    for (unsigned i = 0; i < count; i++)
        if (!memcmp(table + 6 * i, mac, 6))
            return true;
    return false;
}

static bool is_wanted(const struct virtio_net *s, const u8 *frame)
{
    static const u8 all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const u8 *groups = s->table + 6 * s->addresses;
    unsigned vlan = (unsigned)(frame[14] << 8 | frame[15]) & 0xfff;

    if (s->promisc)
        return true;
    if (virtio_has(&s->virtio, F_CTRL_VLAN) && frame[12] == 0x81 && !frame[13] &&
        !(s->vlan[vlan >> 5] & BIT(vlan & 31)))
        return false;
    if (!memcmp(frame, all, 6))
        return !s->nobcast;
    if (frame[0] & 1)
        return !s->nomulti && (s->allmulti || s->all_groups || in_table(groups, s->groups, frame));
    return !s->nouni && (s->alluni || s->all_addresses || !memcmp(frame, s->mac, 6) ||
                         in_table(s->table, s->addresses, frame));
}

static void make_header(const struct virtio_net *s, const u8 *frame, size_t len, u8 *header)
{
    unsigned found = virtio_has(&s->virtio, F_GUEST_CSUM) ? net_check_sums(frame, len) : 0;

    memset(header, 0, HEADER_BYTES);
    st_le16(header + AT_NUM_BUFFERS, 1);
    if ((found & (NET_L4_CHECKED | NET_L4_BAD)) == NET_L4_CHECKED)
        header[0] = HDR_DATA_VALID;
}

/* What of header and frame goes into the buffer s->rx_chain, from byte `at` of both together on. */
static u32 fill_buffer(struct virtio_net *s, const u8 *header, const u8 *frame, size_t len,
                       size_t at)
{
    struct virtio *v = &s->virtio;
    size_t in_header = at < HEADER_BYTES ? HEADER_BYTES - at : 0;
    size_t n = HEADER_BYTES + len - at;

    if (n > s->rx_chain.write_bytes)
        n = (size_t)s->rx_chain.write_bytes;
    if (in_header > n)
        in_header = n;
    virtio_write(v, &s->rx_chain, 0, header + (in_header ? at : 0), in_header);
    virtio_write(v, &s->rx_chain, in_header, frame + at + in_header - HEADER_BYTES, n - in_header);
    return (u32)n;
}

/* Takes buffers until the frame is in them. *count 0: there are not enough. False: there never are.
 */
static bool fill_buffers(struct virtio_net *s, unsigned queue, const u8 *frame, size_t len,
                         struct virtio_used *used, unsigned *count)
{
    unsigned most = virtio_has(&s->virtio, F_MRG_RXBUF) ? BUFFERS_MAX : 1;
    u8 header[HEADER_BYTES];
    size_t at = 0;

    make_header(s, frame, len, header);
    for (*count = 0; at < HEADER_BYTES + len; ++*count) {
        if (*count == most)
            return false;
        if (!virtio_pop(&s->virtio, queue, &s->rx_chain)) {
            *count = 0;
            return true;
        }
        if (!*count)
            s->first = s->rx_chain;
        used[*count] = (struct virtio_used){s->rx_chain.id, s->rx_chain.descriptors,
                                            fill_buffer(s, header, frame, len, at)};
        at += used[*count].written;
    }
    if (*count > 1) {
        st_le16(header + AT_NUM_BUFFERS, (u16)*count);
        virtio_write(&s->virtio, &s->first, AT_NUM_BUFFERS, header + AT_NUM_BUFFERS, 2);
    }
    return true;
}

static bool can_receive(const struct virtio_net *s)
{
    const struct virtio *v = &s->virtio;

    return v->queue[RX].enabled && v->status & VIRTIO_STATUS_DRIVER_OK &&
           ld_le16(v->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* Without a driver there is nobody to wait for. */
static bool receive(void *opaque, const u8 *frame, size_t len)
{
    struct virtio_net *s = opaque;
    struct virtio *v = &s->virtio;
    unsigned queue = receive_queue(s, frame, len);
    struct virtio_place before = virtio_place(v, queue);
    struct virtio_used used[BUFFERS_MAX];
    unsigned count;

    if (!can_receive(s) || !is_wanted(s, frame))
        return true;
    TRACE(net_receive, v->pci.devfn, (unsigned)len);
    if (!fill_buffers(s, queue, frame, len, used, &count)) {
        virtio_rewind(v, queue, before); /* the frame fits into no buffer: it is lost */
        return true;
    }
    if (!count) {
        virtio_rewind(v, queue, before);
        return v->status & VIRTIO_STATUS_NEEDS_RESET;
    }
    virtio_push_all(v, queue, used, count);
    virtio_interrupt(v, queue);
    return true;
}

/* ---- control --------------------------------------------------------------------------------- */

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_MQ = 4 };

static bool set_mode(struct virtio_net *s, u8 command, u8 on)
{
    bool *modes[] = {&s->promisc, &s->allmulti, &s->alluni, &s->nomulti, &s->nouni, &s->nobcast};

    if (command >= ARRAY_SIZE(modes))
        return false;
    *modes[command] = on;
    return true;
}

/* Two tables of addresses, each after its count (5.1.6.5.2). */
static bool set_tables(struct virtio_net *s)
{
    struct virtio *v = &s->virtio;
    u8 count[4], table[sizeof s->table];
    u64 at = 2;
    u32 n[2];

    for (unsigned i = 0, used = 0; i < 2; i++) {
        if (!virtio_read(v, &s->chain, at, count, sizeof count))
            return false;
        n[i] = ld_le32(count);
        at += 4;
        if (n[i] <= VNET_ADDRESSES - used &&
            !virtio_read(v, &s->chain, at, table + 6 * used, 6 * n[i]))
            return false;
        at += 6ull * n[i];
        if (at > s->chain.read_bytes)
            return false;
        used += n[i] <= VNET_ADDRESSES - used ? n[i] : 0;
    }
    s->all_addresses = n[0] > VNET_ADDRESSES;
    s->addresses = (u8)(s->all_addresses ? 0 : n[0]);
    s->all_groups = n[1] > VNET_ADDRESSES - s->addresses;
    s->groups = (u8)(s->all_groups ? 0 : n[1]);
    memcpy(s->table, table, 6u * (s->addresses + s->groups));
    return true;
}

static bool set_vlan(struct virtio_net *s, u8 command, u16 vlan)
{
    if (vlan > 0xfff || command > 1)
        return false;
    if (command)
        s->vlan[vlan >> 5] &= ~BIT(vlan & 31);
    else
        s->vlan[vlan >> 5] |= BIT(vlan & 31);
    return true;
}

static bool set_pairs(struct virtio_net *s, u8 command, u16 pairs)
{
    if (command || !pairs || pairs > VNET_PAIRS || !virtio_has(&s->virtio, F_MQ))
        return false;
    s->pairs = (u8)pairs;
    return true;
}

static bool execute(struct virtio_net *s)
{
    struct virtio *v = &s->virtio;
    u8 head[2], data[6];

    if (!virtio_read(v, &s->chain, 0, head, 2))
        return false;
    switch (head[0]) {
    case CLASS_RX: return virtio_read(v, &s->chain, 2, data, 1) && set_mode(s, head[1], data[0]);
    case CLASS_MAC:
        if (head[1] == 0)
            return set_tables(s);
        return head[1] == 1 && virtio_read(v, &s->chain, 2, s->mac, 6);
    case CLASS_VLAN:
        return virtio_read(v, &s->chain, 2, data, 2) && set_vlan(s, head[1], ld_le16(data));
    case CLASS_MQ:
        return virtio_read(v, &s->chain, 2, data, 2) && set_pairs(s, head[1], ld_le16(data));
    default: return false;
    }
}

static void control(struct virtio_net *s)
{
    struct virtio *v = &s->virtio;
    unsigned queue = control_queue(s);

    for (unsigned n = 0; n < s->queue_size && virtio_pop(v, queue, &s->chain); n++) {
        u8 ack;

        if (!s->chain.write_bytes) {
            virtio_broken(v);
            return;
        }
        ack = !execute(s);
        virtio_write(v, &s->chain, s->chain.write_bytes - 1, &ack, 1);
        virtio_push(v, queue, s->chain.id, s->chain.descriptors, 1);
    }
    virtio_interrupt(v, queue);
}

/* ---- the device ------------------------------------------------------------------------------ */

static void notified(struct virtio *v, unsigned queue)
{
    struct virtio_net *s = (struct virtio_net *)v;

    if (queue == control_queue(s))
        control(s);
    else if (queue % PAIR == TX)
        transmit(s, queue);
    else
        net_ready(s->net);
}

static void config(struct virtio *v, u8 c[64])
{
    const struct virtio_net *s = (const struct virtio_net *)v;

    memcpy(c, s->mac, 6);
    st_le16(c + 6, net_link(s->net) ? STATUS_LINK_UP : 0);
    st_le16(c + 8, s->mq ? VNET_PAIRS : 1);
}

static void link_changed(void *opaque)
{
    struct virtio *v = opaque;

    v->generation++;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        virtio_send(v, v->config_vector, 2);
}

/* Until the driver says what it wants, it gets all. */
static void device_reset(struct virtio *v)
{
    struct virtio_net *s = (struct virtio_net *)v;

    timer_cancel(v->pci.dev.env->clock, &s->again);
    net_discard(s->net);
    memcpy(s->mac, s->permanent, 6);
    s->promisc = true;
    s->allmulti = s->alluni = s->nomulti = s->nouni = s->nobcast = false;
    s->all_addresses = s->all_groups = false;
    s->addresses = s->groups = 0;
    memset(s->table, 0, sizeof s->table);
    memset(s->vlan, 0, sizeof s->vlan);
    memset(s->flow, 0, sizeof s->flow);
    s->pairs = 1;
    s->waiting = 0;
}

static const struct virtio_ops ops = {
    .notified = notified, .reset = device_reset, .config = config};
static const struct net_device net_device = {.receive = receive, .link_changed = link_changed};

/* ---- class ----------------------------------------------------------------------------------- */

static bool virtio_net_init(struct dev *d, struct err *e)
{
    struct virtio_net *s = (struct virtio_net *)d;
    struct virtio *v = &s->virtio;

    if (s->queue_size & (s->queue_size - 1))
        return err_usage(e, "device virtio-net-pci: queue-size=%u is no power of two",
                         s->queue_size);
    if (!net_mac(d->env->nets, s->mac_text, s->permanent, e))
        return false;
    if (s->netdev) {
        s->net = net_take(d->env->nets, s->netdev, &net_device, s, e);
        if (!s->net)
            return false;
    }
    timer_init(&s->again, transmit_again, s);
    v->queues = PAIR * (s->mq ? VNET_PAIRS : 1) + 1;
    v->queue_size = s->queue_size;
    v->config_bytes = CONFIG_BYTES;
    v->features = F_CSUM | F_GUEST_CSUM | F_MAC | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN |
                  F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN | F_CTRL_RX_EXTRA |
                  F_CTRL_MAC_ADDR | (s->packed ? VIRTIO_F_RING_PACKED : 0) | (s->mq ? F_MQ : 0);
    if (!virtio_init(v, 1, 0x0200, &ops, e)) {
        net_release(s->net);
        return false;
    }
    s->frame = malloc(NET_FRAME_MAX);
    BUG_ON(!s->frame);
    return true;
}

static void virtio_net_destroy(struct dev *d)
{
    struct virtio_net *s = (struct virtio_net *)d;

    timer_cancel(d->env->clock, &s->again);
    net_release(s->net);
    virtio_destroy(&s->virtio);
    free(s->frame);
}

static void virtio_net_reset(struct dev *d)
{
    virtio_reset((struct virtio *)d);
}

static void virtio_net_loaded(struct dev *d)
{
    struct virtio_net *s = (struct virtio_net *)d;

    virtio_loaded(&s->virtio);
    if (s->addresses + s->groups > VNET_ADDRESSES)
        s->groups = (u8)(VNET_ADDRESSES - s->addresses);
}

static const struct dev_prop virtio_net_props[] = {
    {"netdev", PROP_STRING, offsetof(struct virtio_net, netdev), 0, 0, 0, "the network's id"},
    {"mac", PROP_STRING, offsetof(struct virtio_net, mac_text), 0, 0, 0, "Ethernet address"},
    PCI_ROM_PROPS(struct virtio_net, virtio.pci),
    {"queue-size", PROP_U32, offsetof(struct virtio_net, queue_size), 256, 4, VIRTIO_QUEUE_SIZE_MAX,
     "greatest size of a queue, a power of two"},
    {"packed", PROP_BOOL, offsetof(struct virtio_net, packed), 0, 0, 0, "offer packed queues"},
    {"mq", PROP_BOOL, offsetof(struct virtio_net, mq), 0, 0, 0, "offer seven pairs of queues"},
    DEV_PROP_END,
};

/* clang-format off */
#define FLAG(member, doc) DEV_FIELD(struct virtio_net, member, 0, 1, doc)
static const struct dev_field virtio_net_fields[] = {
    VIRTIO_FIELDS(struct virtio_net),
    DEV_FIELD_ARRAY(struct virtio_net, mac, 0, 0xff, "address"),
    FLAG(promisc, "all frames"), FLAG(allmulti, "all groups"), FLAG(alluni, "all stations"),
    FLAG(nomulti, "no groups"), FLAG(nouni, "no stations"), FLAG(nobcast, "no broadcasts"),
    FLAG(all_addresses, "too many stations"), FLAG(all_groups, "too many groups"),
    DEV_FIELD(struct virtio_net, addresses, 0, VNET_ADDRESSES, "stations in the table"),
    DEV_FIELD(struct virtio_net, groups, 0, VNET_ADDRESSES, "groups in the table"),
    DEV_FIELD_ARRAY(struct virtio_net, table, 0, 0xff, "stations, then groups"),
    DEV_FIELD_ARRAY(struct virtio_net, vlan, 0, ~0u, "VLAN table"),
    DEV_FIELD(struct virtio_net, pairs, 1, VNET_PAIRS, "pairs of queues in use"),
    DEV_FIELD_ARRAY(struct virtio_net, flow, 0, VNET_PAIRS - 1, "flows' pairs"),
    DEV_FIELD_END,
};
/* clang-format on */

const struct dev_class virtio_net_class = {
    .name = "virtio-net-pci",
    .doc = "virtio network device",
    .size = sizeof(struct virtio_net),
    .props = virtio_net_props,
    .fields = virtio_net_fields,
    .user_creatable = true,
    .init = virtio_net_init,
    .reset = virtio_net_reset,
    .loaded = virtio_net_loaded,
    .destroy = virtio_net_destroy,
};
