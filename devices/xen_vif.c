/* xen_vif.c: see xen_vif.h. */
#include "devices/xen_vif.h"

#include <string.h>

static bool receive(void *opaque, const u8 *frame, size_t len)
{
    struct xen_vif *v = opaque;
    return !v->receive || v->receive(v->opaque, frame, len);
}

static const struct net_device net_device = {.receive = receive};

void xen_vif_borrow(struct xen_vif *v, struct net *n)
{
    v->net = n;
    memcpy(v->mac, n->mac, sizeof v->mac);
    net_lend(n, &net_device, v);
}

static bool xen_vif_init(struct dev *d, struct err *e)
{
    struct xen_vif *v = (struct xen_vif *)d;

    if (!net_mac(d->env->nets, v->mac_text, v->mac, e))
        return false;
    if (v->netdev)
        v->net = net_take(d->env->nets, v->netdev, &net_device, v, e);
    return v->net || !v->netdev;
}

static void xen_vif_destroy(struct dev *d)
{
    net_release(((struct xen_vif *)d)->net);
}

static void xen_vif_reset(struct dev *d)
{
    net_discard(((struct xen_vif *)d)->net);
}

static const struct dev_prop xen_vif_props[] = {
    {"netdev", PROP_STRING, offsetof(struct xen_vif, netdev), 0, 0, 0, "the network"},
    {"mac", PROP_STRING, offsetof(struct xen_vif, mac_text), 0, 0, 0, "the station's address"},
    DEV_PROP_END,
};

static const struct dev_field xen_vif_fields[] = {DEV_FIELD_END};

const struct dev_class xen_vif_class = {
    .name = "xen-net",
    .doc = "network interface of a Xen domain, with -pv xen",
    .size = sizeof(struct xen_vif),
    .props = xen_vif_props,
    .fields = xen_vif_fields,
    .user_creatable = true,
    .init = xen_vif_init,
    .reset = xen_vif_reset,
    .destroy = xen_vif_destroy,
};
