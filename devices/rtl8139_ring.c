/*
 * rtl8139_ring.c: frames of the RTL8139: four transmit descriptors in registers and a receive ring
 * of bytes (C), or descriptor rings in memory (C+).
 *
 * Specification: RTL8139C(L)+ data sheet 1.6, 5 (registers), 6 (C+ descriptors).
 *
 * A frame for which there is no room waits outside. The chip says so (ROVW, RDU) and looks again
 * after a while, each time: a C+ driver does not tell when it gives descriptors back, and a driver
 * that has cleared ISR with frames still in its ring waits for the cause that the next frame of a
 * real wire would be.
 *
 * Not implemented: early reception; the check sum of received frames is 0; the high-priority queue.
 */
#include "devices/rtl8139.h"

#include "base/bits.h"
#include "mmu/dma.h"

#include <string.h>

#define CRC_BYTES 4u
#define AT_TYPE 12u
#define VLAN_TAG 4u
#define RETRY_NS 100000u

/* TSD */
#define TSD_SIZE 0x1fffu
#define TSD_OWN BIT(13)
#define TSD_TOK BIT(15)

/* RCR */
#define RCR_AAP BIT(0)
#define RCR_APM BIT(1)
#define RCR_AM BIT(2)
#define RCR_AB BIT(3)
#define RCR_WRAP BIT(7)

/* Header of a frame in the ring of bytes. */
#define RX_ROK BIT(0)
#define RX_BAR BIT(13)
#define RX_PAM BIT(14)
#define RX_MAR BIT(15)

/* C+ descriptors, first word. */
#define D_OWN BIT(31)
#define D_EOR BIT(30)
#define D_FS BIT(29)
#define D_LS BIT(28)
#define DT_LGSEN BIT(27)
#define DT_SUMS 0x70000u /* IPCS, UDPCS, TCPCS */
#define DT_TAGC BIT(17)  /* second word */
#define DR_MAR BIT(26)
#define DR_PAM BIT(25)
#define DR_BAR BIT(24)
#define DR_TCP BIT(16)
#define DR_UDP BIT(17)
#define DR_IP (BIT(16) | BIT(17))
#define DR_IPF BIT(15)
#define DR_UDPF BIT(14)
#define DR_TCPF BIT(13)
#define DR_SIZE 0x1fffu
#define DR_TAVA BIT(16) /* second word */
#define DESC_BYTES 16u

#define CPCR_RXCHKSUM BIT(5)
#define CPCR_RXVLAN BIT(6)

static struct phys *memory(const struct rtl8139 *s)
{
    return s->pci.dev.env->phys;
}

/* ---- transmit -------------------------------------------------------------------------------- */

static void send_frame(struct rtl8139 *s, size_t len, u16 segment)
{
    struct net_offload o = {.segment = segment};

    if (len < ETH_HEADER)
        return;
    if (len < ETH_MIN) {
        memset(s->frame + len, 0, ETH_MIN - len);
        len = ETH_MIN;
    }
    s->tx_ok++;
    TRACE(net_transmit, s->pci.devfn, (unsigned)len, segment);
    if ((s->tcr >> 17 & 3) == 3) { /* loopback */
        if (!segment)
            rtl8139_receive(s, s->frame, len);
    } else {
        net_send(s->net, s->frame, len, segment ? &o : NULL);
    }
}

void rtl8139_transmit(struct rtl8139 *s, unsigned n)
{
    u32 len = s->tsd[n] & TSD_SIZE;

    if (!(s->cr & RTL_CR_TE) || s->tsd[n] & TSD_OWN)
        return;
    dma_read(memory(s), s->tsad[n], s->frame, len);
    send_frame(s, len, 0);
    s->tsd[n] |= TSD_OWN | TSD_TOK;
    rtl8139_raise(s, RTL_ISR_TOK);
}

static void insert_tag(struct rtl8139 *s, size_t *len, u32 tag)
{
    memmove(s->frame + AT_TYPE + VLAN_TAG, s->frame + AT_TYPE, *len - AT_TYPE);
    s->frame[AT_TYPE] = 0x81;
    s->frame[AT_TYPE + 1] = 0;
    s->frame[AT_TYPE + 2] = (u8)tag; /* big-endian in the descriptor */
    s->frame[AT_TYPE + 3] = (u8)(tag >> 8);
    *len += VLAN_TAG;
}

static u8 next_descriptor(u8 n, u32 word)
{
    return word & D_EOR || n + 1u >= RTL_CPLUS_DESCRIPTORS ? 0 : (u8)(n + 1);
}

/* Puts the frame together that begins at s->tx_next. The number of its descriptors; 0: it is not
 * all there.
 */
static unsigned gather(struct rtl8139 *s, size_t *len, u32 *first, u32 *tag)
{
    u64 base = (u64)s->tsad[1] << 32 | s->tsad[0];
    bool fits = true;
    u8 n = s->tx_next;

    *len = 0;
    for (unsigned i = 0; i < RTL_CPLUS_DESCRIPTORS; i++) {
        u8 d[DESC_BYTES];
        u32 word, bytes;

        if (!dma_read(memory(s), base + DESC_BYTES * n, d, sizeof d))
            return 0;
        word = ld_le32(d);
        bytes = word & 0xffff;
        if (!(word & D_OWN))
            return 0;
        if (!i) {
            *first = word;
            *tag = ld_le32(d + 4);
        }
        fits &= bytes <= NET_FRAME_MAX - VLAN_TAG - *len;
        if (fits) {
            dma_read(memory(s), ld_le64(d + 8), s->frame + *len, bytes);
            *len += bytes;
        }
        n = next_descriptor(n, word);
        if (word & D_LS) {
            *len = fits ? *len : 0;
            return i + 1;
        }
    }
    return 0;
}

/* Gives the descriptors of a frame back to the driver. */
static void give_back(struct rtl8139 *s, unsigned count)
{
    u64 base = (u64)s->tsad[1] << 32 | s->tsad[0];

    while (count--) {
        u64 at = base + DESC_BYTES * s->tx_next;
        u32 word = dma_read32(memory(s), at);

        dma_write32(memory(s), at, word & ~D_OWN);
        s->tx_next = next_descriptor(s->tx_next, word);
    }
}

/* No more frames than a ring has descriptors: the driver asks again. */
void rtl8139_transmit_ring(struct rtl8139 *s)
{
    u32 first = 0, tag = 0;
    bool sent = false;
    unsigned count;
    size_t len;

    if (!(s->cr & RTL_CR_TE) || !(s->cpcr & RTL_CPCR_TXENB))
        return;
    for (unsigned i = 0; i < RTL_CPLUS_DESCRIPTORS && (count = gather(s, &len, &first, &tag));
         i++) {
        bool large = first & DT_LGSEN;

        if (len >= ETH_HEADER && !large && first & DT_SUMS)
            net_put_sums(s->frame, len);
        if (len >= ETH_HEADER && tag & DT_TAGC)
            insert_tag(s, &len, tag);
        send_frame(s, len, large ? (u16)(first >> 16 & 0x7ff) : 0);
        give_back(s, count);
        sent = true;
    }
    rtl8139_raise(s, sent ? RTL_ISR_TOK | RTL_ISR_TDU : RTL_ISR_TDU);
}

/* ---- receive: what is wanted ----------------------------------------------------------------- */

/* The first six bits of the check sum that Ethernet has (802.3 3.2.9), of the address alone. */
static unsigned hash_of(const u8 *mac)
{
    u32 crc = ~0u;

    for (unsigned i = 0; i < 6; i++)
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc << 1 ^ ((crc >> 31 ^ (mac[i] >> bit & 1u)) ? 0x04c11db7u : 0);
    return crc >> 26;
}

enum { UNWANTED, STATION, GROUP, BROADCAST, ANY };

static unsigned kind_of(const struct rtl8139 *s, const u8 *frame)
{
    static const u8 all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    unsigned hash;

    if (!memcmp(frame, all, 6))
        return s->rcr & RCR_AB ? BROADCAST : s->rcr & RCR_AAP ? ANY : UNWANTED;
    if (!(frame[0] & 1) && s->rcr & RCR_APM && !memcmp(frame, s->idr, 6))
        return STATION;
    hash = hash_of(frame);
    if (frame[0] & 1 && s->rcr & RCR_AM && s->mar[hash >> 3] & BIT(hash & 7))
        return GROUP;
    return s->rcr & RCR_AAP ? ANY : UNWANTED;
}

static void count(struct rtl8139 *s, const u8 *frame, unsigned kind)
{
    s->rx_ok++;
    s->rx_ok_unicast += kind == STATION;
    s->rx_ok_broadcast += kind == BROADCAST;
    s->rx_ok_multicast += kind != BROADCAST && frame[0] & 1;
}

/* ---- receive: the ring of bytes -------------------------------------------------------------- */

static u32 ring_bytes(const struct rtl8139 *s)
{
    return 8192u << (s->rcr >> 11 & 3);
}

/* CAPR is 16 behind what was read. */
static u32 waiting(const struct rtl8139 *s)
{
    return (s->cbr - (s->capr + 16u)) & (ring_bytes(s) - 1);
}

bool rtl8139_is_empty(const struct rtl8139 *s)
{
    return !waiting(s);
}

static void put_bytes(struct rtl8139 *s, u32 *at, const u8 *bytes, u32 len)
{
    bool wraps = !(s->rcr & RCR_WRAP) || ring_bytes(s) == 0x10000;
    u32 left = ring_bytes(s) - *at;

    if (wraps && len > left) {
        dma_write(memory(s), s->rbstart + *at, bytes, left);
        dma_write(memory(s), s->rbstart, bytes + left, len - left);
    } else {
        dma_write(memory(s), s->rbstart + *at, bytes, len);
    }
    *at += len;
    if (wraps)
        *at &= ring_bytes(s) - 1;
}

static bool receive_bytes(struct rtl8139 *s, const u8 *frame, size_t len, unsigned kind)
{
    static const u8 crc[CRC_BYTES];
    u32 total = (4u + (u32)len + CRC_BYTES + 3) & ~3u, at = s->cbr & (ring_bytes(s) - 1);
    u8 header[4];

    if (waiting(s) + total >= ring_bytes(s))
        return false;
    st_le16(header, (u16)(RX_ROK | (kind == STATION     ? RX_PAM
                                    : kind == BROADCAST ? RX_BAR
                                    : kind == GROUP     ? RX_MAR
                                                        : 0)));
    st_le16(header + 2, (u16)(len + CRC_BYTES));
    put_bytes(s, &at, header, sizeof header);
    put_bytes(s, &at, frame, (u32)len);
    put_bytes(s, &at, crc, sizeof crc);
    s->cbr = (u16)(((at + 3) & ~3u) & (ring_bytes(s) - 1));
    count(s, frame, kind);
    rtl8139_raise(s, RTL_ISR_ROK);
    return true;
}

/* ---- receive: descriptors -------------------------------------------------------------------- */

/* What is said of sums: the protocol, and what is wrong. */
static u32 sum_bits(const struct rtl8139 *s, const u8 *frame, size_t len)
{
    unsigned found = s->cpcr & CPCR_RXCHKSUM ? net_check_sums(frame, len) : 0;
    u32 bits;

    if (!(found & NET_IP_CHECKED))
        return 0;
    bits = !(found & NET_L4_CHECKED) ? DR_IP : found & NET_UDP ? DR_UDP : DR_TCP;
    if (found & NET_IP_BAD)
        bits |= DR_IPF;
    if (found & NET_L4_BAD)
        bits |= found & NET_UDP ? DR_UDPF : DR_TCPF;
    return bits;
}

/* The last piece has the whole length, with the check sum; all zeroes. */
static void put_piece(struct rtl8139 *s, const u8 *desc, const u8 *frame, size_t have, u32 room)
{
    u64 address = ld_le64(desc + 8);
    u32 n = have < room ? (u32)have : room;

    dma_write(memory(s), address, frame, n);
    if (n < room)
        dma_fill(memory(s), address + n, 0, room - n < CRC_BYTES ? room - n : CRC_BYTES);
}

struct rx_ring {
    u8 desc[RTL_CPLUS_DESCRIPTORS][DESC_BYTES];
    u8 place[RTL_CPLUS_DESCRIPTORS];
    unsigned count;
};

/* Descriptors from s->rx_next on that have `bytes` bytes of room. False: they are not there. */
static bool take_descriptors(const struct rtl8139 *s, u32 bytes, struct rx_ring *r)
{
    u8 n = s->rx_next;
    u32 room = 0;

    for (r->count = 0; room < bytes; r->count++) {
        u8 *d = r->desc[r->count];

        if (r->count == RTL_CPLUS_DESCRIPTORS ||
            !dma_read(memory(s), s->rdsar + DESC_BYTES * n, d, DESC_BYTES) ||
            !(ld_le32(d) & D_OWN) || !(ld_le32(d) & DR_SIZE))
            return false;
        r->place[r->count] = n;
        room += ld_le32(d) & DR_SIZE;
        n = next_descriptor(n, ld_le32(d));
    }
    return true;
}

/* From the last to the first, whose OWN bit the driver looks at. */
static void finish_descriptors(struct rtl8139 *s, const struct rx_ring *r, u32 word, u32 tag)
{
    for (unsigned i = r->count; i-- > 0;) {
        u64 at = s->rdsar + DESC_BYTES * r->place[i];
        u32 old = ld_le32(r->desc[i]);

        dma_write32(memory(s), at + 4, tag);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        dma_write32(memory(s), at,
                    (old & D_EOR) | (i ? 0 : D_FS) | (i + 1 == r->count ? D_LS : 0) | word);
    }
    s->rx_next = next_descriptor(r->place[r->count - 1], ld_le32(r->desc[r->count - 1]));
}

static bool receive_descriptors(struct rtl8139 *s, const u8 *frame, size_t len, unsigned kind)
{
    bool tagged = s->cpcr & CPCR_RXVLAN && frame[AT_TYPE] == 0x81 && !frame[AT_TYPE + 1];
    u32 word = sum_bits(s, frame, len), tag = 0;
    u8 untagged[2048];
    struct rx_ring r;

    if (tagged && len <= sizeof untagged) {
        tag = DR_TAVA | frame[AT_TYPE + 2] | (u32)frame[AT_TYPE + 3] << 8;
        memcpy(untagged, frame, AT_TYPE);
        memcpy(untagged + AT_TYPE, frame + AT_TYPE + VLAN_TAG, len - AT_TYPE - VLAN_TAG);
        frame = untagged;
        len -= VLAN_TAG;
    }
    if (!take_descriptors(s, (u32)len + CRC_BYTES, &r))
        return false;
    for (unsigned i = 0, at = 0; i < r.count; i++) {
        u32 room = ld_le32(r.desc[i]) & DR_SIZE;

        put_piece(s, r.desc[i], frame + (at < len ? at : 0), at < len ? len - at : 0, room);
        at += room;
    }
    word |= kind == STATION ? DR_PAM : kind == BROADCAST ? DR_BAR : kind == GROUP ? DR_MAR : 0;
    finish_descriptors(s, &r, word | ((u32)len + CRC_BYTES), tag);
    count(s, frame, kind);
    rtl8139_raise(s, RTL_ISR_ROK);
    return true;
}

bool rtl8139_receive(void *opaque, const u8 *frame, size_t len)
{
    struct rtl8139 *s = opaque;
    struct clock *clock = s->pci.dev.env->clock;
    unsigned kind = kind_of(s, frame);

    if (!(s->cr & RTL_CR_RE) || kind == UNWANTED || len + CRC_BYTES > DR_SIZE)
        return true;
    TRACE(net_receive, s->pci.devfn, (unsigned)len);
    if (s->cpcr & RTL_CPCR_RXENB ? receive_descriptors(s, frame, len, kind)
                                 : receive_bytes(s, frame, len, kind))
        return true;
    rtl8139_raise(s, RTL_ISR_ROVW);
    timer_set(clock, &s->retry, clock_now_ns(clock) + RETRY_NS);
    return false;
}

/* ---- counters -------------------------------------------------------------------------------- */

/* DTCCR: 64 bytes; errors never happen on this wire. */
void rtl8139_dump_tally(struct rtl8139 *s)
{
    u8 t[64] = {0};

    st_le64(t, s->tx_ok);
    st_le64(t + 8, s->rx_ok);
    st_le64(t + 40, s->rx_ok_unicast);
    st_le64(t + 48, s->rx_ok_broadcast);
    st_le32(t + 56, s->rx_ok_multicast);
    dma_write(memory(s), s->dtccr & ~63ull, t, sizeof t);
}
