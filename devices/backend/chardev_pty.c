/*
 * chardev_pty.c: a pseudo-terminal whose name is in `where`; `screen /dev/pts/N` connects to it.
 *
 * We keep the slave open too: else the master would report a hang-up until somebody connects and
 * whenever nobody is. Output that nobody reads is dropped once the kernel's buffer is full.
 *
 * Specification: POSIX.1-2017, posix_openpt.
 */
#define _GNU_SOURCE /* ptsname_r */
#include "devices/backend/chardev_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

struct pty {
    int master, slave;
    char name[128];
};

static size_t pty_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct pty *p = c->priv;
    size_t left = len;

    while (left) {
        ssize_t n = write(p->master, buf, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        buf += n;
        left -= (size_t)n;
    }
    return len;
}

static void pty_poll_in(struct chardev *c)
{
    (void)chardev_read_fd(c, c->fd);
}

static void pty_close(struct chardev *c)
{
    struct pty *p = c->priv;

    if (p->slave >= 0)
        close(p->slave);
    if (p->master >= 0)
        close(p->master);
    free(p);
}

static bool make_raw(int fd)
{
    struct termios t;

    if (tcgetattr(fd, &t))
        return false;
    cfmakeraw(&t);
    return !tcsetattr(fd, TCSANOW, &t);
}

static bool open_pair(struct pty *p)
{
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (p->master < 0 || grantpt(p->master) || unlockpt(p->master))
        return false;
    if (ptsname_r(p->master, p->name, sizeof p->name))
        return false;
    p->slave = open(p->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return p->slave >= 0 && make_raw(p->slave);
}

bool chardev_open_pty(struct chardev *c, const char *arg, struct err *e)
{
    struct pty *p = calloc(1, sizeof *p);

    (void)arg;
    if (!p)
        return err_host(e, "no memory for a stream");
    c->priv = p;
    p->master = p->slave = -1;
    if (!open_pair(p)) {
        err_host(e, "no pseudo-terminal: %s", strerror(errno));
        pty_close(c);
        return false;
    }
    c->fd = p->master;
    c->where = p->name;
    c->write = pty_write;
    c->poll_in = pty_poll_in;
    c->close = pty_close;
    return true;
}
