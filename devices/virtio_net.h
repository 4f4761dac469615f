/* virtio_net.h: a virtio network device (-device virtio-net-pci). */
#pragma once

#include "devices/backend/net.h"
#include "devices/virtio.h"

#define VNET_ADDRESSES 64u
#define VNET_VLAN_WORDS 128u
#define VNET_PAIRS 7u   /* of queues, with mq=on */
#define VNET_FLOWS 256u /* that are told apart, by a hash */

struct virtio_net {
    struct virtio virtio;
    char *netdev, *mac_text; /* properties */
    u32 queue_size;
    bool packed, mq;
    struct net *net;
    u8 permanent[6];
    /* state */
    u8 mac[6];
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    bool all_addresses, all_groups; /* more than the table holds: all are wanted */
    u8 addresses, groups;           /* in the table */
    u8 table[VNET_ADDRESSES * 6];   /* addresses, then groups */
    u32 vlan[VNET_VLAN_WORDS];
    u8 pairs;            /* that the driver uses */
    u8 flow[VNET_FLOWS]; /* the pair by which the driver last sent frames of the flow */
    /* not state */
    struct timer again; /* rings of `waiting` are fuller than one turn */
    u16 waiting;        /* bits of queues */
    u8 *frame;
    struct virtio_chain chain, rx_chain, first; /* of what is sent or ordered, of what comes in */
};

extern const struct dev_class virtio_net_class;
