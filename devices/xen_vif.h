/*
 * xen_vif.h: a network interface of a Xen domain: what -device xen-net says of it. There is no hardware: the
 * guest reaches it by rings that the personality serves (pv/xen/xen_net.c).
 */
#pragma once

#include "devices/backend/net.h"
#include "devices/device.h"

struct xen_vif {
    struct dev dev;
    char *netdev, *mac_text; /* properties */
    u8 mac[6];
    struct net *net;
    /* A frame from outside, as struct net_device. Set by the personality; NULL: nobody takes it. */
    bool (*receive)(void *opaque, const u8 *frame, size_t len);
    void *opaque;
};

/* Serves the network of an emulated card, by its address, until net_give_back. `v` is of no class. */
void xen_vif_borrow(struct xen_vif *v, struct net *n);

extern const struct dev_class xen_vif_class;
