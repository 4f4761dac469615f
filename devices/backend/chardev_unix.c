/*
 * chardev_unix.c: unix:PATH: a listening socket that only its owner can reach; one client at a
 * time, the next waits. `socat - UNIX-CONNECT:PATH` connects. Without a client output is dropped.
 *
 * Specification: unix(7).
 */
#include "devices/backend/chardev_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct unix_stream {
    int listener, client; /* -1: none */
    struct sockaddr_un addr;
};

static bool set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK) && !fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void drop_client(struct chardev *c)
{
    struct unix_stream *u = c->priv;

    close(u->client);
    u->client = -1;
    c->fd = u->listener;
}

static size_t unix_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct unix_stream *u = c->priv;

    if (u->client >= 0 && !chardev_write_fd(u->client, buf, len))
        drop_client(c);
    return len;
}

static void unix_poll_in(struct chardev *c)
{
    struct unix_stream *u = c->priv;

    if (u->client >= 0) {
        if (!chardev_read_fd(c, u->client))
            drop_client(c);
        return;
    }
    u->client = accept(u->listener, NULL, NULL);
    if (u->client < 0)
        return;
    if (set_nonblock(u->client))
        c->fd = u->client;
    else
        drop_client(c);
}

static void unix_close(struct chardev *c)
{
    struct unix_stream *u = c->priv;

    if (u->client >= 0)
        close(u->client);
    if (u->listener >= 0) {
        close(u->listener);
        unlink(u->addr.sun_path);
    }
    free(u);
}

/* A socket that a killed program left behind answers no connection, and is removed; anything else
 * at that path is somebody's and stays. */
static bool clear_path(const struct sockaddr_un *addr, struct err *e)
{
    struct stat st;
    bool in_use;
    int fd;

    if (lstat(addr->sun_path, &st))
        return true;
    if (!S_ISSOCK(st.st_mode))
        return err_host(e, "%s: exists and is not a socket", addr->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_host(e, "no socket: %s", strerror(errno));
    in_use = !connect(fd, (const struct sockaddr *)addr, sizeof *addr) || errno != ECONNREFUSED;
    close(fd);
    if (in_use)
        return err_host(e, "%s: another program listens there", addr->sun_path);
    unlink(addr->sun_path);
    return true;
}

static bool listen_at(struct unix_stream *u, struct err *e)
{
    mode_t mask;
    int fd, failed;

    if (!clear_path(&u->addr, e))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_host(e, "no socket: %s", strerror(errno));
    mask = umask(0177); /* mode 0600 from the first moment on */
    failed = bind(fd, (const struct sockaddr *)&u->addr, sizeof u->addr);
    umask(mask);
    if (failed) {
        err_host(e, "%s: cannot listen: %s", u->addr.sun_path, strerror(errno));
        close(fd);
        return false;
    }
    u->listener = fd; /* from here on closing removes the path */
    if (listen(fd, 1))
        return err_host(e, "%s: cannot listen: %s", u->addr.sun_path, strerror(errno));
    return true;
}

bool chardev_open_unix(struct chardev *c, const char *arg, struct err *e)
{
    struct unix_stream *u;

    if (strlen(arg) >= sizeof u->addr.sun_path)
        return err_usage(e, "the path of a socket has at most %zu bytes",
                         sizeof u->addr.sun_path - 1);
    u = calloc(1, sizeof *u);
    if (!u)
        return err_host(e, "no memory for a stream");
    u->listener = u->client = -1;
    u->addr.sun_family = AF_UNIX;
    strcpy(u->addr.sun_path, arg);
    c->priv = u;
    if (!listen_at(u, e)) {
        unix_close(c);
        return false;
    }
    c->fd = u->listener;
    c->write = unix_write;
    c->poll_in = unix_poll_in;
    c->close = unix_close;
    return true;
}
