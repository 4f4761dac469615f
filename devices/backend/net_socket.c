/*
 * net_socket.c: -netdev socket: a wire to the network of another machine, ours or QEMU's: a stream
 * of frames, each after its length in four bytes, big-endian. One side listens (and goes on
 * listening when its peer is gone), the other connects. The link is up while there is a peer.
 *
 *     listen=[ADDRESS]:PORT  connect=[ADDRESS]:PORT  (address: 127.0.0.1)
 *     listen=unix:PATH       connect=unix:PATH
 *
 * What the peer sends is not trusted: a length that no frame has ends the connection. Specification
 * of the stream: none but QEMU's documentation of -netdev socket.
 */
#define _GNU_SOURCE /* accept4 */
#include "devices/backend/net_kinds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LENGTH_BYTES 4u
#define OUT_BYTES (256 * KIB) /* what the peer has not taken yet; more is lost, as on a wire */
#define READ_BYTES (2 * (NET_FRAME_MAX + LENGTH_BYTES))

struct socket_net {
    int listener, peer; /* -1: none */
    bool listens;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    u8 *in, *out; /* READ_BYTES, OUT_BYTES */
    size_t in_len, out_len;
    unsigned listener_place, peer_place; /* of the last wait; ~0: not watched */
};

/* ---- the peer -------------------------------------------------------------------------------- */

static void lose_peer(struct net *n, const char *why)
{
    struct socket_net *s = n->priv;
    struct err e = {0};

    close(s->peer);
    s->peer = -1;
    s->in_len = s->out_len = 0;
    net_set_link(n, false);
    err_host(&e, "%s: the peer is gone (%s): the guest's link is down", n->id, why);
    if (s->listens)
        err_hint(&e, "it comes up when another connects");
    net_report(n, &e);
}

static void got_peer(struct net *n, int fd)
{
    struct socket_net *s = n->priv;
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* of a TCP socket; else it fails */
    s->peer = fd;
    s->in_len = s->out_len = 0;
    net_set_link(n, true);
}

/* False: the peer is gone. */
static bool flush(struct net *n)
{
    struct socket_net *s = n->priv;
    size_t done = 0;

    while (done < s->out_len) {
        ssize_t w = send(s->peer, s->out + done, s->out_len - done, MSG_NOSIGNAL);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno != EAGAIN) {
            lose_peer(n, strerror(errno));
            return false;
        }
        if (w < 0)
            break;
        done += (size_t)w;
    }
    s->out_len -= done;
    memmove(s->out, s->out + done, s->out_len);
    return true;
}

static void socket_send(struct net *n, const u8 *frame, size_t len)
{
    struct socket_net *s = n->priv;
    u32 length = htonl((u32)len);

    if (s->peer < 0 || s->out_len + LENGTH_BYTES + len > OUT_BYTES)
        return;
    memcpy(s->out + s->out_len, &length, LENGTH_BYTES);
    memcpy(s->out + s->out_len + LENGTH_BYTES, frame, len);
    s->out_len += LENGTH_BYTES + len;
    flush(n);
}

/* Frames that are whole go to the device. False: the stream is none of frames. */
static bool take_frames(struct net *n)
{
    struct socket_net *s = n->priv;
    size_t at = 0;

    while (s->in_len - at >= LENGTH_BYTES) {
        u32 length;

        memcpy(&length, s->in + at, LENGTH_BYTES);
        length = ntohl(length);
        if (length > NET_FRAME_MAX)
            return false;
        if (s->in_len - at - LENGTH_BYTES < length)
            break;
        net_input(n, s->in + at + LENGTH_BYTES, length);
        at += LENGTH_BYTES + length;
    }
    s->in_len -= at;
    memmove(s->in, s->in + at, s->in_len);
    return true;
}

static void receive(struct net *n)
{
    struct socket_net *s = n->priv;
    ssize_t r = recv(s->peer, s->in + s->in_len, READ_BYTES - s->in_len, 0);

    if (r < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (r <= 0) {
        lose_peer(n, r ? strerror(errno) : "it closed the connection");
        return;
    }
    s->in_len += (size_t)r;
    if (!take_frames(n))
        lose_peer(n, "it sent no frame");
}

/* ---- waits ----------------------------------------------------------------------------------- */

/* While frames wait for the device, no more are read: the peer's stream fills up. */
static void socket_fill(struct net *n, struct pollset *p, u64 *timeout_ns)
{
    struct socket_net *s = n->priv;
    short events = (short)((n->queue ? 0 : POLLIN) | (s->out_len ? POLLOUT : 0));

    (void)timeout_ns;
    s->listener_place = s->peer_place = ~0u;
    if (s->peer >= 0 && events)
        s->peer_place = pollset_add(p, s->peer, events);
    else if (s->peer < 0 && s->listener >= 0)
        s->listener_place = pollset_add(p, s->listener, POLLIN);
}

static void socket_poll(struct net *n, const struct pollset *p)
{
    struct socket_net *s = n->priv;
    short events = pollset_ready(p, s->peer_place);

    if (s->peer < 0 && pollset_ready(p, s->listener_place)) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0)
            got_peer(n, fd);
        return;
    }
    if (s->peer < 0 || !events || (events & POLLOUT && !flush(n)))
        return;
    if (events & (POLLIN | POLLHUP | POLLERR))
        receive(n);
}

static void socket_close(struct net *n)
{
    struct socket_net *s = n->priv;

    if (s->peer >= 0)
        close(s->peer);
    if (s->listener >= 0) {
        close(s->listener);
        if (s->addr.ss_family == AF_UNIX)
            unlink(((struct sockaddr_un *)(void *)&s->addr)->sun_path);
    }
    free(s->in);
    free(s->out);
    free(s);
}

static const struct net_ops ops = {
    .send = socket_send, .fill = socket_fill, .poll = socket_poll, .close = socket_close};

/* ---- opening --------------------------------------------------------------------------------- */

static bool parse_unix(struct socket_net *s, const char *path, struct err *e)
{
    struct sockaddr_un *u = (struct sockaddr_un *)(void *)&s->addr;

    if (!*path || strlen(path) >= sizeof u->sun_path)
        return err_usage(e, "-netdev socket: the path of a socket has 1 to %zu bytes",
                         sizeof u->sun_path - 1);
    u->sun_family = AF_UNIX;
    strcpy(u->sun_path, path);
    s->addr_len = sizeof *u;
    return true;
}

static bool parse_address(struct socket_net *s, const char *text, struct err *e)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&s->addr;
    char host[64] = "127.0.0.1", *end;
    const char *colon = strrchr(text, ':');
    unsigned long port;

    if (!strncmp(text, "unix:", 5))
        return parse_unix(s, text + 5, e);
    port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0x10000;
    if (colon && colon > text && (size_t)(colon - text) < sizeof host) {
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = '\0';
    }
    in->sin_family = AF_INET;
    s->addr_len = sizeof *in;
    if (port <= 0xffff && port && !*end && inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_port = htons((u16)port);
        return true;
    }
    err_usage(e, "-netdev socket: '%s' is not an address", text);
    return err_hint(e, "[ADDRESS]:PORT, e.g. 127.0.0.1:1234 or :1234, or unix:PATH");
}

/* Only a socket to which nobody listens any more is in nobody's use. */
static void clear_path(struct socket_net *s)
{
    const char *path = ((struct sockaddr_un *)(void *)&s->addr)->sun_path;
    struct stat st;
    int fd;

    if (s->addr.ss_family != AF_UNIX || lstat(path, &st) || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)(void *)&s->addr, s->addr_len) && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static bool start_listening(struct net *n, const char *where, struct err *e)
{
    struct socket_net *s = n->priv;
    int fd = socket(s->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    mode_t mask;
    bool ok;

    clear_path(s);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    mask = umask(0177);
    ok = fd >= 0 && !bind(fd, (struct sockaddr *)(void *)&s->addr, s->addr_len);
    umask(mask);
    if (ok)
        s->listener = fd; /* from here on closing removes the path */
    if (ok && !listen(fd, 1))
        return true;
    err_host(e, "-netdev socket: cannot listen at %s: %s", where, strerror(errno));
    if (fd >= 0 && !ok)
        close(fd);
    return false;
}

static bool start_connecting(struct net *n, const char *where, struct err *e)
{
    struct socket_net *s = n->priv;
    int fd = socket(s->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !connect(fd, (struct sockaddr *)(void *)&s->addr, s->addr_len)) {
        int flags = fcntl(fd, F_GETFL);

        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        got_peer(n, fd);
        return true;
    }
    err_host(e, "-netdev socket: cannot connect to %s: %s", where, strerror(errno));
    if (fd >= 0)
        close(fd);
    return err_hint(e, "the side with listen= starts first");
}

bool net_open_socket(struct net *n, const struct net_options *o, struct err *e)
{
    const char *where = o->listen ? o->listen : o->connect;
    struct socket_net *s;

    if (!o->listen == !o->connect) {
        err_usage(e, "-netdev socket: %s",
                  where ? "listen= and connect= exclude each other" : "needs listen= or connect=");
        return err_hint(e, "-netdev socket,id=%s,listen=:1234", o->id);
    }
    s = calloc(1, sizeof *s);
    BUG_ON(!s);
    n->priv = s;
    n->ops = &ops;
    s->listener = s->peer = -1;
    s->listens = o->listen != NULL;
    s->in = malloc(READ_BYTES);
    s->out = malloc(OUT_BYTES);
    BUG_ON(!s->in || !s->out);
    if (!parse_address(s, where, e))
        return false;
    return s->listens ? start_listening(n, where, e) : start_connecting(n, where, e);
}
