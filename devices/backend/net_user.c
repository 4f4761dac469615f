/*
 * net_user.c: -netdev user: a network of its own behind the guest, made of the host's sockets by
 * libslirp: DHCP, a name server, TCP and UDP to where the user may go, and ports of the host that
 * lead to the guest. It needs no rights. The host is 10.0.2.2 and fec0::2, the name server .3 and
 * fec0::3, the guest 10.0.2.15; routers are advertised when the guest asks.
 *
 * The library is called under the devices' lock: as the guest sends, and after waits. Its time is
 * the guest's.
 *
 * Not implemented: other IPv6 prefixes, router advertisements that nobody asked for (they would
 * come at random times), guestfwd, SMB.
 */
#include "devices/backend/net_kinds.h"

#if PARALLAX_HAVE_SLIRP

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <sys/stat.h>

#define NS_PER_MS 1000000ull

struct user {
    Slirp *slirp;
    struct pollset *fill; /* while it is asked for its sockets */
    const struct pollset *poll;
};

/* ---- what the library calls ------------------------------------------------------------------ */

static ssize_t to_guest(const void *buf, size_t len, void *opaque)
{
    net_input(opaque, buf, len);
    return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
    (void)msg; /* what a guest does wrong is no news to the user */
    (void)opaque;
}

static int64_t get_clock(void *opaque)
{
    const struct net *n = opaque;

    return (int64_t)clock_now_ns(n->nets->clock);
}

/* Its only timer is that of router advertisements. */
static void *timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    (void)cb;
    (void)cb_opaque;
    return opaque;
}

static void timer_free(void *timer, void *opaque)
{
    (void)timer;
    (void)opaque;
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    (void)timer;
    (void)expire_ms;
    (void)opaque;
}

static void fd_changed(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

/* Sockets have room again. Whoever waits looks: the guest sent something (net_send). */
static void notify(void *opaque)
{
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = to_guest,
    .guest_error = guest_error,
    .clock_get_ns = get_clock,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = fd_changed,
    .unregister_poll_fd = fd_changed,
    .notify = notify,
};

/* ---- waits ----------------------------------------------------------------------------------- */

static int add_fd(int fd, int events, void *opaque)
{
    struct user *u = opaque;
    short e =
        (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                (events & SLIRP_POLL_PRI ? POLLPRI : 0));

    return (int)pollset_add(u->fill, fd, e);
}

static int ready_events(int place, void *opaque)
{
    const struct user *u = opaque;
    int r = place < 0 ? 0 : pollset_ready(u->poll, (unsigned)place);

    return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (r & POLLPRI ? SLIRP_POLL_PRI : 0) | (r & POLLERR ? SLIRP_POLL_ERR : 0) |
           (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void user_fill(struct net *n, struct pollset *s, u64 *timeout_ns)
{
    struct user *u = n->priv;
    u64 ms = *timeout_ns / NS_PER_MS;
    uint32_t least = ms < UINT32_MAX ? (uint32_t)ms + 1 : UINT32_MAX, before = least;

    u->fill = s;
    slirp_pollfds_fill(u->slirp, &least, add_fd, u);
    if (least < before && least * NS_PER_MS < *timeout_ns)
        *timeout_ns = least * NS_PER_MS;
}

static void user_poll(struct net *n, const struct pollset *s)
{
    struct user *u = n->priv;

    u->poll = s;
    slirp_pollfds_poll(u->slirp, 0, ready_events, u);
}

static void user_send(struct net *n, const u8 *frame, size_t len)
{
    const struct user *u = n->priv;

    slirp_input(u->slirp, frame, (int)len);
}

static void user_close(struct net *n)
{
    struct user *u = n->priv;

    if (u->slirp)
        slirp_cleanup(u->slirp);
    free(u);
}

/* It takes what an IP packet can hold, whatever it offers to the guest. */
static const struct net_ops ops = {
    .large = true, .send = user_send, .fill = user_fill, .poll = user_poll, .close = user_close};

/* ---- ports of the host ----------------------------------------------------------------------- */

struct forward {
    bool udp;
    struct in_addr host, guest; /* guest 0: the first that DHCP gives */
    u16 host_port, guest_port;
};

static bool bad_forward(const char *text, struct err *e)
{
    err_usage(e, "-netdev user: hostfwd=%s is not understood", text);
    return err_hint(e,
                    "hostfwd=tcp:127.0.0.1:2222-:22 leads the host's port 2222 to the guest's 22");
}

/* "ADDRESS:PORT" of *len characters; an empty address leaves *a. */
static bool parse_end(const char *text, size_t len, struct in_addr *a, u16 *port)
{
    char copy[64], *colon;
    char *end;
    unsigned long v;

    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    colon = strrchr(copy, ':');
    if (!colon || colon[1] < '0' || colon[1] > '9')
        return false;
    *colon = '\0';
    v = strtoul(colon + 1, &end, 10);
    *port = (u16)v;
    return !*end && v <= 0xffff && (!*copy || inet_pton(AF_INET, copy, a) == 1);
}

static bool parse_forward(const char *text, struct forward *f, struct err *e)
{
    const char *at = strchr(text, ':');
    const char *dash = at ? strchr(at, '-') : NULL;
    size_t proto = at ? (size_t)(at - text) : 0;

    *f = (struct forward){.udp = proto == 3 && !strncmp(text, "udp", 3)};
    f->host.s_addr = htonl(INADDR_LOOPBACK);
    if (!dash || (proto && !f->udp && (proto != 3 || strncmp(text, "tcp", 3) != 0)) ||
        !parse_end(at + 1, (size_t)(dash - at - 1), &f->host, &f->host_port) ||
        !parse_end(dash + 1, strlen(dash + 1), &f->guest, &f->guest_port) || !f->guest_port)
        return bad_forward(text, e);
    return true;
}

/* A port that is free: the library does not say which one the host would give it. 0: none. */
static u16 free_port(const struct forward *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = f->host};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, (f->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&a, sizeof a) ||
        getsockname(fd, (struct sockaddr *)(void *)&a, &len))
        a.sin_port = 0;
    if (fd >= 0)
        close(fd);
    return ntohs(a.sin_port);
}

static bool set_up(const struct user *u, const struct forward *f)
{
    errno = 0;
    return slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, f->guest, f->guest_port) >= 0;
}

static void report_port(struct net *n, const char *text, const struct forward *f)
{
    struct err e = {0};

    err_host(&e, "%s: hostfwd=%s has port %u", n->id, text, f->host_port);
    net_report(n, &e);
}

static bool add_forward(struct net *n, const char *text, struct err *e)
{
    struct user *u = n->priv;
    struct forward f;
    bool choose, ok;

    if (!parse_forward(text, &f, e))
        return false;
    choose = !f.host_port;
    f.host_port = choose ? free_port(&f) : f.host_port;
    ok = set_up(u, &f);
    for (unsigned i = 0; !ok && choose && i < 8; i++) { /* another program was quicker */
        f.host_port = free_port(&f);
        ok = set_up(u, &f);
    }
    if (ok && choose)
        report_port(n, text, &f);
    if (ok)
        return true;
    err_host(e, "-netdev user: hostfwd=%s: %s", text, errno ? strerror(errno) : "not possible");
    return err_hint(e, "port 0 takes one that is free");
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool parse_address(const char *key, const char *text, struct in_addr *a, struct err *e)
{
    if (!text || inet_pton(AF_INET, text, a) == 1)
        return true;
    return err_usage(e, "-netdev user: %s=%s is not an IPv4 address", key, text);
}

/* "10.0.2.0/24" */
static bool parse_net(const char *text, SlirpConfig *c, struct err *e)
{
    char copy[32], *slash;
    unsigned bits = 24;

    if (!text)
        return true;
    snprintf(copy, sizeof copy, "%s", text);
    slash = strchr(copy, '/');
    if (slash) {
        char *end;

        *slash = '\0';
        bits = (unsigned)strtoul(slash + 1, &end, 10);
        if (*end || slash[1] < '0' || slash[1] > '9')
            bits = 0;
    }
    if (bits < 8 || bits > 28 || strlen(text) >= sizeof copy ||
        inet_pton(AF_INET, copy, &c->vnetwork) != 1) {
        err_usage(e, "-netdev user: net=%s is not a network", text);
        return err_hint(e, "net=10.0.2.0/24, with 8 to 28 bits");
    }
    c->vnetmask.s_addr = htonl(~0u << (32 - bits));
    c->vnetwork.s_addr &= c->vnetmask.s_addr;
    return true;
}

static bool within(const SlirpConfig *c, struct in_addr a)
{
    return (a.s_addr & c->vnetmask.s_addr) == c->vnetwork.s_addr;
}

/* A folder that is not there would only be seen as a guest that does not boot. */
static bool check_tftp(const char *path, struct err *e)
{
    struct stat st;
    if (!path || (!stat(path, &st) && S_ISDIR(st.st_mode)))
        return true;
    return err_host(e, "-netdev user: tftp=%s is not a folder", path);
}

static bool configure(SlirpConfig *c, const struct net_options *o, struct err *e)
{
    *c = (SlirpConfig){.version = 1,
                       .in_enabled = true,
                       .in6_enabled = !o->no_ipv6,
                       .vprefix_len = 64,
                       .restricted = o->restricted,
                       .vhostname = o->hostname,
                       .tftp_path = o->tftp,
                       .bootfile = o->bootfile};
    inet_pton(AF_INET6, "fec0::", &c->vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c->vhost6);
    inet_pton(AF_INET6, "fec0::3", &c->vnameserver6);
    c->vnetwork.s_addr = htonl(0x0a000200);
    c->vnetmask.s_addr = htonl(0xffffff00);
    if (!check_tftp(o->tftp, e) || !parse_net(o->net, c, e))
        return false;
    c->vhost.s_addr = c->vnetwork.s_addr | htonl(2);
    c->vnameserver.s_addr = c->vnetwork.s_addr | htonl(3);
    c->vdhcp_start.s_addr =
        c->vnetwork.s_addr | htonl(ntohl(c->vnetmask.s_addr) == 0xfffffff0u ? 4 : 15);
    if (!parse_address("host", o->host, &c->vhost, e) ||
        !parse_address("dns", o->dns, &c->vnameserver, e) ||
        !parse_address("dhcpstart", o->dhcpstart, &c->vdhcp_start, e))
        return false;
    if (!within(c, c->vhost) || !within(c, c->vnameserver) || !within(c, c->vdhcp_start))
        return err_usage(e, "-netdev user: host, dns and dhcpstart are addresses within net");
    if (c->vhost.s_addr == c->vnameserver.s_addr)
        return err_usage(e, "-netdev user: host and dns are two addresses");
    return true;
}

bool net_open_user(struct net *n, const struct net_options *o, struct err *e)
{
    SlirpConfig c;
    struct user *u;

    if (!configure(&c, o, e))
        return false;
    u = calloc(1, sizeof *u);
    BUG_ON(!u);
    n->priv = u;
    n->ops = &ops;
    n->link = true;
    u->slirp = slirp_new(&c, &callbacks, n);
    if (!u->slirp)
        return err_host(e, "-netdev user: the network cannot be made");
    for (unsigned i = 0; i < o->hostfwds; i++)
        if (!add_forward(n, o->hostfwd[i], e))
            return false;
    return true;
}

#else

bool net_open_user(struct net *n, const struct net_options *o, struct err *e)
{
    (void)n;
    (void)o;
    err_usage(e, "-netdev user: this build lacks libslirp");
    return err_hint(e, "build it with the package libslirp-dev");
}

#endif
