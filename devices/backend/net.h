/*
 * net.h: the network behind a network controller: whole Ethernet frames, without their check sum,
 * between one device and a back end (-netdev): user (a stack of its own, net_user.c), socket (to
 * another machine, net_socket.c), tap (an interface of the host, net_tap.c), none (nobody).
 *
 * A frame that the device cannot take yet waits in a queue here, within limits; the device says by
 * net_ready when it can. Everything happens under the lock of the devices.
 *
 * Not here: what a controller looks like to a guest (devices/).
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/pollset.h"
#include "base/types.h"

#define ETH_HEADER 14u
#define ETH_MIN 60u          /* without the check sum; what is shorter is padded */
#define NET_FRAME_MAX 65550u /* Ethernet header and the largest IP packet, with a VLAN tag */
#define NET_MAX 32u          /* -netdev */
#define NET_HOSTFWD_MAX 32u

/* What -netdev says. Strings are NULL where not given, owned by the caller, and outlive the nets.
 */
struct net_options {
    const char *kind, *id;
    const char *hostfwd[NET_HOSTFWD_MAX]; /* user: "tcp:127.0.0.1:2222-10.0.2.15:22" */
    unsigned hostfwds;
    bool restricted; /* user: the guest reaches nothing of the host, but by hostfwd */
    bool no_ipv6;    /* user */
    const char *net, *host, *dns, *dhcpstart, *hostname; /* user: addresses */
    const char *tftp, *bootfile;                         /* user: for boot ROMs */
    const char *listen, *connect; /* socket: "[ADDRESS]:PORT" or "unix:PATH" */
    const char *ifname;           /* tap */
};

/* -object filter-dump: all frames of a network into a file that tcpdump reads. */
struct net_dump_options {
    const char *id, *netdev, *file;
    u32 maxlen; /* of a frame; 0: all of it */
};

/* What the device leaves to be done. */
struct net_offload {
    bool sum;              /* one's complement sum from sum_start to the end ... */
    u16 sum_start, sum_at; /* ... stored at this offset of the frame */
    u16 segment;           /* the frame's TCP payload goes out in pieces of this size; 0: whole */
};

struct net;

/* A device's side. */
struct net_device {
    /* False: no room now; the device will say net_ready. A frame that it does not want it takes and
     * drops. */
    bool (*receive)(void *opaque, const u8 *frame, size_t len);
    /* net->link changed; may be NULL. */
    void (*link_changed)(void *opaque);
};

/* A back end. */
struct net_ops {
    bool large; /* takes TCP segments of up to 64 KiB, as one frame */
    void (*send)(struct net *n, const u8 *frame, size_t len);
    /* Before a wait: adds what is to be watched, and lowers *timeout_ns. After it: looks. Both may
     * be NULL. */
    void (*fill)(struct net *n, struct pollset *s, u64 *timeout_ns);
    void (*poll)(struct net *n, const struct pollset *s);
    void (*close)(struct net *n);
};

struct net_frame {
    struct net_frame *next;
    u32 len;
    u8 data[];
};

struct net {
    char *id;
    const char *kind;
    bool link;  /* there is somebody at the other end */
    bool taken; /* a device has it */
    struct nets *nets;
    struct net *next;
    const struct net_ops *ops;
    void *priv;
    const struct net_device *device; /* NULL: none */
    void *opaque;
    const u8 *mac; /* of an emulated card that can be unplugged, set by it; `opaque` is its struct dev */
    struct {       /* whose it is while it is lent; device NULL: it is not */
        const struct net_device *device;
        void *opaque;
    } owner;
    struct net_frame *queue, **tail; /* to the device */
    u64 queued_bytes;
    struct net_dump *dumps;
};

/* The networks of one machine. */
struct nets {
    struct clock *clock;
    struct net *first;
    u8 *segment;   /* where a segment is put together, NET_FRAME_MAX bytes */
    unsigned macs; /* addresses handed out */
    bool stale; /* the guest sent something since the last net_fill: what is watched may be old */
    /* It became so: a thread that waits should look again. May be NULL. */
    void (*changed)(void *opaque);
    /* Something that the user should know. May be NULL. */
    void (*report)(void *opaque, const struct err *e);
    void *opaque;
};

void nets_init(struct nets *ns, struct clock *clock);
void nets_destroy(struct nets *ns);
struct net *nets_find(const struct nets *ns, const char *id); /* NULL: none */
bool nets_add(struct nets *ns, const struct net_options *o, struct err *e);
bool nets_add_dump(struct nets *ns, const struct net_dump_options *o, struct err *e);
/* Around a wait for the host (pollset.h). */
void nets_fill(struct nets *ns, struct pollset *s, u64 *timeout_ns);
void nets_poll(struct nets *ns, const struct pollset *s);
/* Can a frame come from outside? */
bool nets_can_receive(const struct nets *ns);

/* ---- for devices ----------------------------------------------------------------------------- */

/* In init: the network of that name, for it alone. NULL with an error that says why. */
struct net *net_take(struct nets *ns, const char *id, const struct net_device *d, void *opaque,
                     struct err *e);
/* In destroy. NULL is fine. */
void net_release(struct net *n);
/* Another device serves in place of the one that took it, and that again. */
void net_lend(struct net *n, const struct net_device *d, void *opaque);
void net_give_back(struct net *n);
/* In reset: what waits is dropped. NULL is fine, here and below: nobody is at the other end. */
void net_discard(struct net *n);
static inline bool net_link(const struct net *n)
{
    return n && n->link;
}
/* A frame of the guest. `frame` is changed where `o` (may be NULL) asks for it. */
void net_send(struct net *n, u8 *frame, size_t len, const struct net_offload *o);
/* The device can take frames again. */
void net_ready(struct net *n);
/* "52:54:00:12:34:56" to six bytes; NULL: the next of that range. False: not a station's address.
 */
bool net_mac(struct nets *ns, const char *text, u8 mac[6], struct err *e);

/* ---- net_offload.c --------------------------------------------------------------------------- */

/* One's complement sum of big-endian 16-bit words, in host order, added to `sum`. */
u32 net_sum(const u8 *p, size_t len, u32 sum);
u16 net_sum_fold(u32 sum);
/* Puts the sums of an IPv4 header, and of TCP or UDP in IPv4 or IPv6, into a frame whose lengths
 * are right; of a fragment only the former. */
void net_put_sums(u8 *frame, size_t len);
/* Are the sums of a frame right? Says what it found, as far as it looked: IPv4, and TCP or UDP in
 * IPv4 or IPv6, unless it is a fragment. */
enum { NET_IP_CHECKED = 1, NET_IP_BAD = 2, NET_L4_CHECKED = 4, NET_L4_BAD = 8, NET_UDP = 16 };
unsigned net_check_sums(const u8 *frame, size_t len);
