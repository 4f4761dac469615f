/*
 * net_tap.c: -netdev tap: an interface of the host, for its bridge or routes. It needs rights:
 * those of the administrator, or an interface that was made for this user (ip tuntap add mode tap
 * user NAME). Scripts are not run: what the interface belongs to is the host's business.
 *
 * Specification: Linux, Documentation/networking/tuntap.rst.
 */
#include "devices/backend/net_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FRAMES_PER_LOOK 256u /* so that others get their turn */

struct tap {
    int fd;
    unsigned place; /* of the last wait; ~0: not watched */
};

static void tap_send(struct net *n, const u8 *frame, size_t len)
{
    const struct tap *t = n->priv;

    while (write(t->fd, frame, len) < 0 && errno == EINTR) {
    }
}

static void tap_fill(struct net *n, struct pollset *s, u64 *timeout_ns)
{
    struct tap *t = n->priv;

    (void)timeout_ns;
    t->place = n->queue || !n->link ? ~0u : pollset_add(s, t->fd, POLLIN);
}

/* The interface was taken away: EBADFD. */
static void lose(struct net *n, int error)
{
    struct err e = {0};

    net_set_link(n, false);
    err_host(&e, "%s: the interface is gone (%s): the guest's link is down", n->id,
             strerror(error));
    net_report(n, &e);
}

static void tap_poll(struct net *n, const struct pollset *s)
{
    struct tap *t = n->priv;
    u8 frame[NET_FRAME_MAX];

    if (!pollset_ready(s, t->place))
        return;
    for (unsigned i = 0; i < FRAMES_PER_LOOK && !n->queue; i++) {
        ssize_t r = read(t->fd, frame, sizeof frame);

        if (r < 0 && errno != EAGAIN && errno != EINTR)
            lose(n, errno);
        if (r <= 0)
            return;
        net_input(n, frame, (size_t)r);
    }
}

static void tap_close(struct net *n)
{
    struct tap *t = n->priv;

    if (t->fd >= 0)
        close(t->fd);
    free(t);
}

static const struct net_ops ops = {
    .send = tap_send, .fill = tap_fill, .poll = tap_poll, .close = tap_close};

bool net_open_tap(struct net *n, const struct net_options *o, struct err *e)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    struct tap *t;

    if (o->ifname && strlen(o->ifname) >= sizeof r.ifr_name)
        return err_usage(e, "-netdev tap: ifname=%s: %zu characters at most", o->ifname,
                         sizeof r.ifr_name - 1);
    t = calloc(1, sizeof *t);
    BUG_ON(!t);
    n->priv = t;
    n->ops = &ops;
    n->link = true;
    if (o->ifname)
        strcpy(r.ifr_name, o->ifname);
    t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->fd >= 0 && !ioctl(t->fd, TUNSETIFF, &r))
        return true;
    err_host(e, "-netdev tap: %s: %s",
             t->fd < 0   ? "/dev/net/tun"
             : o->ifname ? o->ifname
                         : "tap",
             strerror(errno));
    return err_hint(e, "it needs the administrator's rights, or 'ip tuntap add mode tap user ...'; "
                       "-netdev user needs none");
}
