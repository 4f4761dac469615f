/*
 * e1000_ring.c: frames of the 82540EM: from the transmit ring to the network, and into the receive
 * ring.
 *
 * Specification: 8254x manual (e1000_phy.c), 3.2 (receive), 3.3 to 3.5 (transmit,
 * segmentation), 3.2.9 and 9 (VLAN).
 *
 * A frame of the guest is taken when all its descriptors are there, so that none is half sent in a
 * saved state. A frame for which there are no receive descriptors waits outside, as flow control
 * would have it.
 *
 * Not implemented: the check sum of received frames is 0 where it is not stripped; splitting of
 * headers; pause frames.
 */
#include "devices/e1000.h"

#include "base/bits.h"
#include "mmu/dma.h"

#include <string.h>

#define DESC_BYTES 16u

/* Transmit descriptors. */
#define TX_EOP BIT(24)
#define TX_SUM BIT(26) /* legacy: IC */
#define TX_TSE BIT(26) /* extended */
#define TX_RS BIT(27)
#define TX_RPS BIT(28)
#define TX_DEXT BIT(29)
#define TX_VLE BIT(30)
#define TX_IDE BIT(31)
#define TX_DTYP_DATA BIT(20)
#define TX_POPTS_IXSM BIT(8)
#define TX_POPTS_TXSM BIT(9)
#define TX_DD BIT(0)
#define TUCMD_TSE BIT(26)

#define TCTL_EN BIT(1)

/* Receive descriptors: status, errors. */
#define RX_DD BIT(0)
#define RX_EOP BIT(1)
#define RX_IXSM BIT(2)
#define RX_VP BIT(3)
#define RX_TCPCS BIT(5)
#define RX_IPCS BIT(6)
#define RX_PIF BIT(7)
#define RX_TCPE BIT(5)
#define RX_IPE BIT(6)

#define RCTL_UPE BIT(3)
#define RCTL_MPE BIT(4)
#define RCTL_LPE BIT(5)
#define RCTL_BAM BIT(15)
#define RCTL_VFE BIT(18)
#define RCTL_BSEX BIT(25)
#define RCTL_SECRC BIT(26)
#define RXCSUM_IPOFL BIT(8)
#define RXCSUM_TUOFL BIT(9)
#define RAH_AV BIT(31)
#define FRAME_USUAL 1518u /* without the check sum, with a VLAN tag */
#define CRC_BYTES 4u

#define VLAN_TAG 4u
#define AT_TYPE 12u

/* Statistics, by their register. */
enum {
    PRC64 = 0x405c,
    GPRC = 0x4074,
    BPRC = 0x4078,
    MPRC = 0x407c,
    GPTC = 0x4080,
    GORC = 0x4088,
    GOTC = 0x4090,
    TOR = 0x40c0,
    TOT = 0x40c8,
    TPR = 0x40d0,
    TPT = 0x40d4,
    PTC64 = 0x40d8,
    MPTC = 0x40f0,
    BPTC = 0x40f4,
    TSCTC = 0x40f8
};

static struct phys *memory(const struct e1000 *s)
{
    return s->pci.dev.env->phys;
}

static u32 ring_count(const struct e1000_ring *r)
{
    return r->len / DESC_BYTES;
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void count(struct e1000 *s, unsigned reg)
{
    u32 *c = &s->stat[(reg - E1000_STAT_BASE) / 4];

    *c += *c != ~0u;
}

static void count_bytes(struct e1000 *s, unsigned reg, size_t len)
{
    u32 *c = &s->stat[(reg - E1000_STAT_BASE) / 4];
    u64 v = (u64)c[1] << 32 | c[0];

    v += len;
    c[0] = (u32)v;
    c[1] = (u32)(v >> 32);
}

static bool is_broadcast(const u8 *frame)
{
    static const u8 all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return !memcmp(frame, all, 6);
}

static void count_size(struct e1000 *s, unsigned reg, size_t len)
{
    static const u16 over[] = {64, 127, 255, 511, 1023};
    unsigned n = 0;

    while (n < ARRAY_SIZE(over) && len > over[n])
        n++;
    count(s, reg + 4 * n);
}

static void count_sent(struct e1000 *s, const u8 *frame, size_t len)
{
    count(s, GPTC);
    count(s, TPT);
    count_bytes(s, GOTC, len + CRC_BYTES);
    count_bytes(s, TOT, len + CRC_BYTES);
    count_size(s, PTC64, len + CRC_BYTES);
    if (frame[0] & 1)
        count(s, is_broadcast(frame) ? BPTC : MPTC);
}

static void count_received(struct e1000 *s, const u8 *frame, size_t len)
{
    count(s, GPRC);
    count(s, TPR);
    count_bytes(s, GORC, len + CRC_BYTES);
    count_bytes(s, TOR, len + CRC_BYTES);
    count_size(s, PRC64, len + CRC_BYTES);
    if (frame[0] & 1)
        count(s, is_broadcast(frame) ? BPRC : MPRC);
}

/* ---- transmit -------------------------------------------------------------------------------- */

struct tx_desc {
    u64 address;
    u32 lower, upper;
};

/* A frame as its descriptors say it. */
struct tx_frame {
    size_t len;
    bool too_long, extended;
    u32 first_lower, first_upper; /* where the options are */
    u32 last_lower, last_upper;   /* where the VLAN tag is */
    bool reported, reported_late; /* TXDW now, or after TIDV; over all frames of a turn */
};

static bool read_desc(struct e1000 *s, u32 n, struct tx_desc *d)
{
    u8 b[DESC_BYTES];

    if (!dma_read(memory(s), s->tx.base + (u64)n * DESC_BYTES, b, sizeof b))
        return false;
    d->address = ld_le64(b);
    d->lower = ld_le32(b + 8);
    d->upper = ld_le32(b + 12);
    return true;
}

static bool is_context(const struct tx_desc *d)
{
    return d->lower & TX_DEXT && !(d->lower & TX_DTYP_DATA);
}

static void load_context(struct e1000 *s, const struct tx_desc *d)
{
    struct e1000_context *c = d->lower & TUCMD_TSE ? &s->segment : &s->sum;

    *c = (struct e1000_context){.ipcss = (u8)d->address,
                                .ipcso = (u8)(d->address >> 8),
                                .ipcse = (u16)(d->address >> 16),
                                .tucss = (u8)(d->address >> 32),
                                .tucso = (u8)(d->address >> 40),
                                .tucse = (u16)(d->address >> 48),
                                .hdrlen = (u8)(d->upper >> 8),
                                .mss = (u16)(d->upper >> 16)};
}

/* Status reported, DD: for descriptors that ask for it. */
static void write_back(struct e1000 *s, u32 n, const struct tx_desc *d, struct tx_frame *f)
{
    if (!(d->lower & (TX_RS | TX_RPS)))
        return;
    dma_write32(memory(s), s->tx.base + (u64)n * DESC_BYTES + 12, d->upper | TX_DD);
    if (d->lower & TX_IDE && s->tidv)
        f->reported_late = true;
    else
        f->reported = true;
}

static void add_data(struct e1000 *s, const struct tx_desc *d, struct tx_frame *f)
{
    u32 len = d->lower & (d->lower & TX_DEXT ? 0xfffff : 0xffff);

    if (!f->len) {
        f->extended = d->lower & TX_DEXT;
        f->first_lower = d->lower;
        f->first_upper = d->upper;
    }
    f->last_lower = d->lower;
    f->last_upper = d->upper;
    if (f->too_long || len > NET_FRAME_MAX - VLAN_TAG - f->len) {
        f->too_long = true;
        return;
    }
    dma_read(memory(s), d->address, s->frame + f->len, len);
    f->len += len;
}

/* From `start` to `end` (inclusive; 0: all), stored at `at`. */
static void put_sum(u8 *frame, size_t len, size_t start, size_t at, size_t end)
{
    u16 sum;

    if (end && end + 1 < len)
        len = end + 1;
    if (start >= len || at + 2 > len)
        return;
    sum = (u16)~net_sum_fold(net_sum(frame + start, len - start, 0));
    frame[at] = (u8)(sum >> 8);
    frame[at + 1] = (u8)sum;
}

static void put_sums(struct e1000 *s, const struct tx_frame *f)
{
    const struct e1000_context *c = &s->sum;

    if (!f->extended) {
        u32 cso = f->first_lower >> 16 & 0xff, css = f->first_upper >> 8 & 0xff;

        if (f->first_lower & TX_SUM)
            put_sum(s->frame, f->len, css, cso, 0);
        return;
    }
    if (f->first_upper & TX_POPTS_IXSM)
        put_sum(s->frame, f->len, c->ipcss, c->ipcso, c->ipcse);
    if (f->first_upper & TX_POPTS_TXSM)
        put_sum(s->frame, f->len, c->tucss, c->tucso, c->tucse);
}

static void insert_tag(struct e1000 *s, struct tx_frame *f)
{
    memmove(s->frame + AT_TYPE + VLAN_TAG, s->frame + AT_TYPE, f->len - AT_TYPE);
    s->frame[AT_TYPE] = (u8)(s->vet >> 8);
    s->frame[AT_TYPE + 1] = (u8)s->vet;
    s->frame[AT_TYPE + 2] = (u8)(f->last_upper >> 24);
    s->frame[AT_TYPE + 3] = (u8)(f->last_upper >> 16);
    f->len += VLAN_TAG;
}

static bool loops(const struct e1000 *s)
{
    return (s->rctl >> 6 & 3) == 1 || e1000_phy_loops(s);
}

static void send_frame(struct e1000 *s, struct tx_frame *f)
{
    struct net_offload o = {0};
    bool segments = f->extended && f->first_lower & TX_TSE;

    if (f->too_long || f->len < ETH_HEADER)
        return;
    if (segments) {
        o.segment = s->segment.mss;
        count(s, TSCTC);
    } else {
        put_sums(s, f);
    }
    if (f->last_lower & TX_VLE && s->ctrl & E1000_CTRL_VME)
        insert_tag(s, f);
    if (f->len < ETH_MIN) { /* TCTL.PSP, which drivers set always */
        memset(s->frame + f->len, 0, ETH_MIN - f->len);
        f->len = ETH_MIN;
    }
    count_sent(s, s->frame, f->len);
    TRACE(net_transmit, s->pci.devfn, (unsigned)f->len, o.segment);
    if (!loops(s))
        net_send(s->net, s->frame, f->len, segments ? &o : NULL);
    else if (!segments)
        e1000_receive(s, s->frame, f->len);
}

/* One frame, or descriptors without data, from the head on. False: it is not all there. */
static bool transmit_one(struct e1000 *s, struct tx_frame *f)
{
    u32 n = s->tx.head, count_all = ring_count(&s->tx);
    struct tx_desc d;

    f->len = 0;
    f->too_long = false;
    while (n != s->tx.tail) {
        if (!read_desc(s, n, &d))
            return false;
        n = n + 1 < count_all ? n + 1 : 0;
        if (is_context(&d))
            load_context(s, &d);
        else
            add_data(s, &d, f);
        write_back(s, n ? n - 1 : count_all - 1, &d, f);
        if (!is_context(&d) && !(d.lower & TX_EOP))
            continue;
        s->tx.head = n;
        if (!is_context(&d))
            send_frame(s, f);
        return true;
    }
    return false;
}

/* No more frames than the ring has descriptors: the guest comes again. */
void e1000_transmit(struct e1000 *s)
{
    u32 all = ring_count(&s->tx);
    struct tx_frame f = {0};

    if (!(s->tctl & TCTL_EN) || s->tx.head >= all || s->tx.tail >= all || s->tx.head == s->tx.tail)
        return;
    for (u32 n = 0; n < all && transmit_one(s, &f); n++) {
    }
    if (f.reported_late)
        e1000_raise_tx_delayed(s);
    e1000_raise(s, (f.reported ? E1000_ICR_TXDW : 0) |
                       (s->tx.head == s->tx.tail ? E1000_ICR_TXQE : 0));
}

/* ---- receive: what is wanted ----------------------------------------------------------------- */

/* RCTL.MO says which 12 bits of the address are looked up. */
static bool in_multicast_table(const struct e1000 *s, const u8 *mac)
{
    static const u8 shift[4] = {4, 3, 2, 0};
    u32 hash = (u32)(mac[5] << 8 | mac[4]) >> shift[s->rctl >> 12 & 3] & 0xfff;

    return s->mta[hash >> 5] & BIT(hash & 31);
}

static bool is_own(const struct e1000 *s, const u8 *mac)
{
    u32 low = ld_le32(mac), high = ld_le16(mac + 4);

    for (unsigned i = 0; i < E1000_ADDRESSES; i++)
        if (s->ra[2 * i] == low && (s->ra[2 * i + 1] & (RAH_AV | 0xffff)) == (RAH_AV | high))
            return true;
    return false;
}

static bool is_wanted(const struct e1000 *s, const u8 *frame, size_t len, bool tagged)
{
    unsigned vlan = (unsigned)(frame[AT_TYPE + 2] << 8 | frame[AT_TYPE + 3]) & 0xfff;

    if (len > FRAME_USUAL && !(s->rctl & RCTL_LPE))
        return false;
    if (tagged && s->rctl & RCTL_VFE && !(s->vfta[vlan >> 5] & BIT(vlan & 31)))
        return false;
    if (!(frame[0] & 1))
        return s->rctl & RCTL_UPE || is_own(s, frame);
    return s->rctl & RCTL_MPE || (is_broadcast(frame) && s->rctl & RCTL_BAM) || is_own(s, frame) ||
           in_multicast_table(s, frame);
}

/* ---- receive: sums --------------------------------------------------------------------------- */

struct rx_sums {
    u8 status, errors;
    u16 packet;
};

/* IPv4, and TCP or UDP within it, unless it is a fragment (3.2.9). */
static void check_sums(const struct e1000 *s, const u8 *frame, size_t len, struct rx_sums *r)
{
    unsigned found = net_check_sums(frame, len);
    bool ip = found & NET_IP_CHECKED && s->rxcsum & RXCSUM_IPOFL;
    bool l4 = found & NET_IP_CHECKED && found & NET_L4_CHECKED && s->rxcsum & RXCSUM_TUOFL;

    r->status = ip || l4 ? (u8)((ip ? RX_IPCS : 0) | (l4 ? RX_TCPCS : 0)) : RX_IXSM;
    r->errors =
        (u8)((ip && found & NET_IP_BAD ? RX_IPE : 0) | (l4 && found & NET_L4_BAD ? RX_TCPE : 0));
}

/* ---- receive: descriptors -------------------------------------------------------------------- */

static u32 buffer_bytes(const struct e1000 *s)
{
    u32 n = s->rctl >> 16 & 3, bytes = 2048u >> n;

    return s->rctl & RCTL_BSEX && n ? bytes * 16 : bytes;
}

static u32 free_descriptors(const struct e1000 *s)
{
    u32 all = ring_count(&s->rx);

    if (s->rx.head >= all || s->rx.tail >= all)
        return 0;
    return s->rx.tail >= s->rx.head ? s->rx.tail - s->rx.head : all - s->rx.head + s->rx.tail;
}

/* Puts len bytes of the frame (and zeroes beyond its `have`) into the next buffer. */
static void put_buffer(struct e1000 *s, const u8 *frame, size_t have, u32 len,
                       const struct rx_sums *r, u8 status, u16 tag)
{
    u64 at = s->rx.base + (u64)s->rx.head * DESC_BYTES, address = dma_read64(memory(s), at);
    u32 n = have < len ? (u32)have : len;
    u8 d[8];

    dma_write(memory(s), address, frame, n);
    if (n < len)
        dma_fill(memory(s), address + n, 0, len - n);
    st_le16(d, (u16)len);
    st_le16(d + 2, r->packet);
    d[4] = status;
    d[5] = status & RX_EOP ? r->errors : 0;
    st_le16(d + 6, tag);
    dma_write(memory(s), at + 8, d, 4);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* DD comes last */
    dma_write(memory(s), at + 12, d + 4, 4);
    s->rx.head = s->rx.head + 1 < ring_count(&s->rx) ? s->rx.head + 1 : 0;
}

static void put_frame(struct e1000 *s, const u8 *frame, size_t len, u32 total,
                      const struct rx_sums *r, u8 status, u16 tag)
{
    u32 size = buffer_bytes(s);

    for (u32 at = 0; at < total; at += size) {
        bool last = total - at <= size;
        size_t have = at < len ? len - at : 0;

        put_buffer(s, frame + (have ? at : 0), have, last ? total - at : size, r,
                   (u8)(RX_DD | (last ? status | RX_EOP : 0)), tag);
    }
}

static u32 low_threshold(const struct e1000 *s)
{
    return ring_count(&s->rx) >> ((s->rctl >> 8 & 3) + 1);
}

bool e1000_receive(void *opaque, const u8 *frame, size_t len)
{
    struct e1000 *s = opaque;
    bool tagged = frame[AT_TYPE] == (u8)(s->vet >> 8) && frame[AT_TYPE + 1] == (u8)s->vet;
    u32 total = (u32)len + (s->rctl & RCTL_SECRC ? 0 : CRC_BYTES), before = free_descriptors(s);
    bool strip = tagged && s->ctrl & E1000_CTRL_VME;
    struct rx_sums r = {0};
    u8 untagged[NET_FRAME_MAX];
    u16 tag = 0;

    if (!(s->rctl & E1000_RCTL_EN) || !is_wanted(s, frame, len, tagged))
        return true;
    if (before < (total + buffer_bytes(s) - 1) / buffer_bytes(s))
        return false;
    count_received(s, frame, len);
    if (strip) {
        tag = (u16)(frame[AT_TYPE + 2] << 8 | frame[AT_TYPE + 3]);
        memcpy(untagged, frame, AT_TYPE);
        memcpy(untagged + AT_TYPE, frame + AT_TYPE + VLAN_TAG, len - AT_TYPE - VLAN_TAG);
        frame = untagged;
        len -= VLAN_TAG;
        total -= VLAN_TAG;
    }
    check_sums(s, frame, len, &r);
    if ((s->rxcsum & 0xff) < len)
        r.packet = net_sum_fold(net_sum(frame + (s->rxcsum & 0xff), len - (s->rxcsum & 0xff), 0));
    TRACE(net_receive, s->pci.devfn, (unsigned)len);
    put_frame(s, frame, len, total, &r,
              (u8)(r.status | (strip ? RX_VP : 0) | (frame[0] & 1 ? RX_PIF : 0)), tag);
    e1000_raise_rx(s);
    if (before > low_threshold(s) && free_descriptors(s) <= low_threshold(s))
        e1000_raise(s, E1000_ICR_RXDMT0);
    return true;
}
