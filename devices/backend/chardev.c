/*
 * chardev.c: opening a stream by its specification, what all kinds share, and the two kinds that
 * need no host: null and buffer.
 */
#include "devices/backend/chardev.h"

#include "base/nearest.h"
#include "devices/backend/chardev_kinds.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_MAX (16 * MIB)
#define WRITE_PATIENCE_MS 100

struct buffer {
    char *text; /* len bytes and a NUL */
    size_t len, cap;
};

static size_t null_write(struct chardev *c, const u8 *buf, size_t len)
{
    (void)c;
    (void)buf;
    return len;
}

static bool open_null(struct chardev *c, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    c->write = null_write;
    return true;
}

static bool buffer_grow(struct buffer *b, size_t need)
{
    size_t cap = b->cap ? b->cap : 4096;
    char *text;

    while (cap < need)
        cap *= 2;
    if (cap == b->cap)
        return true;
    text = realloc(b->text, cap);
    if (!text)
        return false;
    b->text = text;
    b->cap = cap;
    return true;
}

static size_t buffer_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct buffer *b = c->priv;
    size_t n = len < BUFFER_MAX - b->len ? len : (size_t)(BUFFER_MAX - b->len);

    if (n && buffer_grow(b, b->len + n + 1)) {
        memcpy(b->text + b->len, buf, n);
        b->len += n;
        b->text[b->len] = 0;
    }
    return len;
}

static void buffer_close(struct chardev *c)
{
    struct buffer *b = c->priv;

    free(b->text);
    free(b);
}

static bool open_buffer(struct chardev *c, const char *arg, struct err *e)
{
    struct buffer *b = calloc(1, sizeof *b);

    (void)arg;
    if (!b)
        return err_host(e, "no memory for a buffer");
    c->priv = b;
    c->write = buffer_write;
    c->close = buffer_close;
    return true;
}

const char *chardev_buffer_text(const struct chardev *c, size_t *len)
{
    const struct buffer *b = c->priv;

    BUG_ON(c->write != buffer_write);
    *len = b->len;
    return b->text ? b->text : "";
}

/* `prefix` ends with ':' where an argument is required. */
static const struct {
    const char *prefix;
    bool (*open)(struct chardev *c, const char *arg, struct err *e);
} kinds[] = {
    {"null", open_null},
    {"stdio", chardev_open_stdio},
    {"mon:stdio", chardev_open_mon_stdio},
    {"file:", chardev_open_file},
    {"pty", chardev_open_pty},
    {"unix:", chardev_open_unix},
    {"buffer", open_buffer},
};

#define KINDS_HINT "streams are stdio, mon:stdio, file:PATH, pty, null and unix:PATH"

/* The argument of `spec` if it is of the kind with this prefix, else NULL. */
static const char *argument(const char *spec, const char *prefix)
{
    size_t len = strlen(prefix);

    if (strncmp(spec, prefix, len))
        return NULL;
    return prefix[len - 1] == ':' || !spec[len] ? spec + len : NULL;
}

static bool unknown_kind(const char *spec, struct err *e)
{
    const char *names[ARRAY_SIZE(kinds) + 1];
    const char *near;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        names[i] = kinds[i].prefix;
    names[ARRAY_SIZE(kinds)] = NULL;
    near = nearest(spec, names);
    err_usage(e, "no such stream: '%s'", spec);
    return near ? err_hint(e, "did you mean '%s'? " KINDS_HINT, near) : err_hint(e, KINDS_HINT);
}

static bool open_kind(struct chardev *c, struct err *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *prefix = kinds[i].prefix;
        const char *arg = argument(c->spec, prefix);

        if (!arg)
            continue;
        if (prefix[strlen(prefix) - 1] == ':' && !*arg) {
            err_usage(e, "'%s' needs a path", prefix);
            return err_hint(e, KINDS_HINT);
        }
        return kinds[i].open(c, arg, e);
    }
    return unknown_kind(c->spec, e);
}

struct chardev *chardev_open(const char *spec, struct err *e)
{
    struct chardev *c = calloc(1, sizeof *c);

    if (!c) {
        err_host(e, "no memory for a stream");
        return NULL;
    }
    c->spec = spec;
    c->fd = c->monitor_fd = -1;
    if (!open_kind(c, e)) {
        free(c);
        return NULL;
    }
    return c;
}

void chardev_close(struct chardev *c)
{
    if (!c)
        return;
    if (c->close)
        c->close(c);
    free(c);
}

void chardev_put(struct chardev *c, const u8 *buf, size_t len)
{
    if (!c || !len)
        return;
    if (c->tap)
        c->tap(c->tap_opaque, buf, len);
    c->write(c, buf, len);
}

size_t chardev_feed(struct chardev *c, const u8 *buf, size_t len)
{
    size_t room = c->can_receive ? c->can_receive(c->opaque) : 0;

    if (!c->receive || !len)
        return 0;
    if (room > len)
        room = len;
    if (room)
        c->receive(c->opaque, buf, room);
    return room;
}

bool chardev_write_fd(int fd, const u8 *buf, size_t len)
{
    bool waited = false;

    while (len) {
        ssize_t n = write(fd, buf, len);

        if (n >= 0) {
            buf += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};

            if (waited || poll(&p, 1, WRITE_PATIENCE_MS) <= 0)
                return true;
            waited = true;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool chardev_read_fd(struct chardev *c, int fd)
{
    u8 buf[256];
    size_t room = c->can_receive ? c->can_receive(c->opaque) : sizeof buf;
    ssize_t n;

    if (!room)
        return true;
    n = read(fd, buf, room < sizeof buf ? room : sizeof buf);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n > 0 && c->receive)
        c->receive(c->opaque, buf, (size_t)n);
    return n > 0;
}
