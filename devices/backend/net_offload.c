/*
 * net_offload.c: what a network controller does for its driver where the other end does not: sums,
 * and TCP segments out of one large frame.
 *
 * Specification: RFC 1071 (sum), RFC 791, RFC 8200, RFC 9293; RFC 3168 6.1.2 (CWR in the first
 * segment alone).
 */
#include "devices/backend/net_kinds.h"

#include "base/bits.h"

#include <string.h>

#define TYPE_IPV4 0x0800u
#define TYPE_IPV6 0x86ddu
#define TYPE_VLAN 0x8100u
#define PROTOCOL_TCP 6u
#define PROTOCOL_UDP 17u
#define TCP_FIN BIT(0)
#define TCP_PSH BIT(3)
#define TCP_CWR BIT(7)

static u64 add_carry(u64 a, u64 b)
{
    a += b;
    return a + (a < b);
}

/* The sum of native words is the sum of swapped words, swapped (RFC 1071, 2 (B)); sums of parts
 * that do not wait for each other are made side by side (2 (C)). */
u32 net_sum(const u8 *p, size_t len, u32 sum)
{
    u64 s = 0, t = 0, u = 0, v = 0;
    u32 folded;

    for (; len >= 32; p += 32, len -= 32) {
        s = add_carry(s, ld_le64(p));
        t = add_carry(t, ld_le64(p + 8));
        u = add_carry(u, ld_le64(p + 16));
        v = add_carry(v, ld_le64(p + 24));
    }
    s = add_carry(add_carry(s, t), add_carry(u, v));
    for (; len >= 8; p += 8, len -= 8)
        s = add_carry(s, ld_le64(p));
    folded =
        net_sum_fold((u32)((s & 0xffff) + (s >> 16 & 0xffff) + (s >> 32 & 0xffff) + (s >> 48)));
    folded = (folded >> 8 | folded << 8) & 0xffff;
    for (; len >= 2; p += 2, len -= 2)
        folded += (u32)(p[0] << 8 | p[1]);
    if (len)
        folded += (u32)p[0] << 8;
    return net_sum_fold(folded) + sum;
}

u16 net_sum_fold(u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)((sum & 0xffff) + (sum >> 16));
}

static u16 ld_be16(const u8 *p)
{
    return (u16)(p[0] << 8 | p[1]);
}

static void st_be16(u8 *p, u32 v)
{
    p[0] = (u8)(v >> 8);
    p[1] = (u8)v;
}

/* Where the headers of a TCP frame are. */
struct tcp_frame {
    bool v6;
    size_t l3, l4, payload;
};

static bool find_headers(const u8 *frame, size_t len, struct tcp_frame *t)
{
    size_t at = 12;
    u16 type;

    for (unsigned tags = 0; at + 2 <= len && ld_be16(frame + at) == TYPE_VLAN && tags < 2; tags++)
        at += 4;
    if (at + 2 + 40 > len) /* IPv4 with TCP, or IPv6 */
        return false;
    type = ld_be16(frame + at);
    t->l3 = at + 2;
    t->v6 = type == TYPE_IPV6;
    if (type == TYPE_IPV4) {
        if (frame[t->l3] >> 4 != 4 || (frame[t->l3] & 15) < 5 || frame[t->l3 + 9] != PROTOCOL_TCP)
            return false;
        t->l4 = t->l3 + 4u * (frame[t->l3] & 15);
    } else if (t->v6 && frame[t->l3] >> 4 == 6 && frame[t->l3 + 6] == PROTOCOL_TCP) {
        t->l4 = t->l3 + 40;
    } else {
        return false;
    }
    if (t->l4 + 20 > len || frame[t->l4 + 12] >> 4 < 5)
        return false;
    t->payload = t->l4 + 4u * (frame[t->l4 + 12] >> 4);
    return t->payload <= len;
}

/* Lengths and sums of a frame whose headers are otherwise right. */
static void finish(u8 *frame, size_t len, const struct tcp_frame *t)
{
    u8 *ip = frame + t->l3, *tcp = frame + t->l4;
    size_t bytes = len - t->l4;
    u32 sum = PROTOCOL_TCP + (u32)bytes;

    if (t->v6) {
        st_be16(ip + 4, (u32)(len - t->l3 - 40));
        sum = net_sum(ip + 8, 32, sum);
    } else {
        st_be16(ip + 2, (u32)(len - t->l3));
        st_be16(ip + 10, 0);
        st_be16(ip + 10, (u16)~net_sum_fold(net_sum(ip, t->l4 - t->l3, 0)));
        sum = net_sum(ip + 12, 8, sum);
    }
    st_be16(tcp + 16, 0);
    st_be16(tcp + 16, (u16)~net_sum_fold(net_sum(tcp, bytes, sum)));
}

bool net_finish_large(u8 *frame, size_t len)
{
    struct tcp_frame t;

    if (!find_headers(frame, len, &t) || len - t.l3 > 0xffff)
        return false;
    finish(frame, len, &t);
    return true;
}

bool net_segment(const u8 *frame, size_t len, u16 size, u8 *scratch,
                 void (*emit)(void *opaque, const u8 *frame, size_t len), void *opaque)
{
    struct tcp_frame t;
    u32 sequence;
    u16 ident;

    if (!find_headers(frame, len, &t) || !size || t.payload + size > NET_FRAME_MAX)
        return false;
    memcpy(scratch, frame, t.payload);
    sequence = (u32)ld_be16(frame + t.l4 + 4) << 16 | ld_be16(frame + t.l4 + 6);
    ident = ld_be16(frame + t.l3 + 4);
    for (size_t at = t.payload, n; at < len; at += n) {
        u8 flags = frame[t.l4 + 13];

        n = len - at < size ? len - at : size;
        if (at + n < len)
            flags &= (u8) ~(TCP_FIN | TCP_PSH);
        if (at > t.payload)
            flags &= (u8)~TCP_CWR;
        memcpy(scratch + t.payload, frame + at, n);
        st_be16(scratch + t.l4 + 4, sequence >> 16);
        st_be16(scratch + t.l4 + 6, sequence);
        scratch[t.l4 + 13] = flags;
        if (!t.v6)
            st_be16(scratch + t.l3 + 4, ident++);
        finish(scratch, t.payload + n, &t);
        emit(opaque, scratch, t.payload + n);
        sequence += (u32)n;
    }
    return true;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* TCP or UDP of `bytes` bytes; a UDP sum of 0 says that there is none, which IPv4 allows. */
static unsigned check_l4(const u8 *l4, size_t bytes, u8 protocol, u32 addresses, bool may_lack)
{
    bool udp = protocol == PROTOCOL_UDP;

    if ((protocol != PROTOCOL_TCP && !udp) || bytes < (udp ? 8 : 20) ||
        (udp && may_lack && !l4[6] && !l4[7]))
        return 0;
    return NET_L4_CHECKED | (udp ? NET_UDP : 0) |
           (net_sum_fold(net_sum(l4, bytes, addresses + protocol + (u32)bytes)) == 0xffff
                ? 0
                : NET_L4_BAD);
}

static unsigned check_ipv4(const u8 *ip, size_t len)
{
    size_t header = 4u * (ip[0] & 15), total = ld_be16(ip + 2);
    unsigned r = NET_IP_CHECKED;

    if (ip[0] >> 4 != 4 || header < 20 || total < header || total > len)
        return 0;
    if (net_sum_fold(net_sum(ip, header, 0)) != 0xffff)
        r |= NET_IP_BAD;
    if (ld_be16(ip + 6) & 0x3fff) /* a fragment */
        return r;
    return r | check_l4(ip + header, total - header, ip[9], net_sum(ip + 12, 8, 0), true);
}

/* Behind the Ethernet header: IPv4 (4), IPv6 (6), with as many bytes as a header has, or neither
 * (0). */
static unsigned find_ip(const u8 *frame, size_t len, size_t *at)
{
    u16 type;

    for (*at = 12; *at < 20 && *at + 2 <= len && ld_be16(frame + *at) == TYPE_VLAN;)
        *at += 4;
    if (*at + 2 + 20 > len)
        return 0;
    type = ld_be16(frame + *at);
    *at += 2;
    if (type == TYPE_IPV6)
        return *at + 40 <= len && ld_be16(frame + *at + 4) <= len - *at - 40 ? 6 : 0;
    return type == TYPE_IPV4 ? 4 : 0;
}

unsigned net_check_sums(const u8 *frame, size_t len)
{
    size_t at;

    switch (find_ip(frame, len, &at)) {
    case 4: return check_ipv4(frame + at, len - at);
    case 6:
        frame += at;
        return check_l4(frame + 40, ld_be16(frame + 4), frame[6], net_sum(frame + 8, 32, 0), false);
    default: return 0;
    }
}

static void put_l4(u8 *l4, size_t bytes, u8 protocol, u32 addresses)
{
    bool udp = protocol == PROTOCOL_UDP;
    u8 *at = l4 + (udp ? 6 : 16);
    u16 sum;

    if ((protocol != PROTOCOL_TCP && !udp) || bytes < (udp ? 8 : 20))
        return;
    st_be16(at, 0);
    sum = (u16)~net_sum_fold(net_sum(l4, bytes, addresses + protocol + (u32)bytes));
    st_be16(at, sum ? sum : 0xffff);
}

void net_put_sums(u8 *frame, size_t len)
{
    size_t at;
    unsigned version = find_ip(frame, len, &at);
    u8 *ip = frame + at;

    if (version == 6)
        put_l4(ip + 40, ld_be16(ip + 4), ip[6], net_sum(ip + 8, 32, 0));
    if (version != 4 || !check_ipv4(ip, len - at))
        return;
    st_be16(ip + 10, 0);
    st_be16(ip + 10, (u16)~net_sum_fold(net_sum(ip, 4u * (ip[0] & 15), 0)));
    if (!(ld_be16(ip + 6) & 0x3fff))
        put_l4(ip + 4 * (ip[0] & 15), ld_be16(ip + 2) - 4u * (ip[0] & 15), ip[9],
               net_sum(ip + 12, 8, 0));
}
