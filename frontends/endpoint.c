/* endpoint.c: see endpoint.h. */
#define _GNU_SOURCE /* accept4 */
#include "frontends/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define WRITE_PATIENCE_MS 5000

/* ---- opening --------------------------------------------------------------------------------- */

static bool parse_tcp(const char *spec, const char *address, u16 *port, struct err *e)
{
    const char *colon = strchr(address, ':');
    size_t host = colon ? (size_t)(colon - address) : 0;
    char *end;
    unsigned long n = colon ? strtoul(colon + 1, &end, 10) : 0;

    if (!colon || end == colon + 1 || (*end && *end != ',') || n > 65535) {
        err_usage(e, "'%s': a port is missing", spec);
        return err_hint(e, "for example tcp::1234");
    }
    if (host && strncmp(address, "127.0.0.1", host) && strncmp(address, "localhost", host)) {
        err_usage(e, "'%s': only programs on this host may debug", spec);
        return err_hint(e, "use tcp:127.0.0.1:%lu, and ssh from elsewhere", n);
    }
    *port = (u16)n;
    return true;
}

static bool listen_tcp(struct endpoint *p, const char *spec, const char *address, struct err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1;
    u16 port = 0;

    if (!parse_tcp(spec, address, &port, e))
        return false;
    a.sin_port = htons(port);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, len) ||
        listen(p->listener, 1) || getsockname(p->listener, (struct sockaddr *)&a, &len))
        return err_host(e, "'%s': %s", spec, strerror(errno));
    if (!port)
        fprintf(stderr, "parallax: %s: 127.0.0.1:%u\n", p->what, ntohs(a.sin_port));
    return true;
}

static bool listen_unix(struct endpoint *p, const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strcspn(path, ",");
    struct stat st;

    if (!len || len >= sizeof a.sun_path)
        return err_usage(e, "'unix:%s': a path of 1 to %zu bytes is needed", path,
                         sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, len);
    if (!lstat(a.sun_path, &st) && S_ISSOCK(st.st_mode)) /* of a run that was killed */
        unlink(a.sun_path);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0177);
    bool ok = p->listener >= 0 && !bind(p->listener, (struct sockaddr *)&a, sizeof a) &&
              !listen(p->listener, 1);
    umask(old);
    if (!ok)
        return err_host(e, "'%s': %s", a.sun_path, strerror(errno));
    p->path = strdup(a.sun_path);
    return true;
}

static bool open_any(struct endpoint *p, const char *spec, struct err *e)
{
    if (!strcmp(spec, "stdio")) {
        p->in = STDIN_FILENO;
        p->out = STDOUT_FILENO;
        return true;
    }
    if (!strncmp(spec, "unix:", 5))
        return listen_unix(p, spec + 5, e);
    p->telnet = !strncmp(spec, "telnet:", 7);
    if (p->telnet || !strncmp(spec, "tcp:", 4))
        return listen_tcp(p, spec, strchr(spec, ':') + 1, e);
    err_usage(e, "%s: no such stream: '%s'", p->what, spec);
    return err_hint(e, "there are stdio, unix:PATH, tcp::PORT and telnet::PORT");
}

struct endpoint *endpoint_open(const char *what, const char *spec, struct err *e)
{
    struct endpoint *p = calloc(1, sizeof *p);

    if (!p) {
        err_host(e, "out of memory");
        return NULL;
    }
    p->what = what;
    p->listener = p->in = p->out = -1;
    if (open_any(p, spec, e))
        return p;
    endpoint_close(p);
    return NULL;
}

void endpoint_close(struct endpoint *p)
{
    if (!p)
        return;
    endpoint_drop(p);
    if (p->listener >= 0)
        close(p->listener);
    if (p->path)
        unlink(p->path);
    free(p->path);
    free(p);
}

/* ---- the client ------------------------------------------------------------------------------ */

int endpoint_fd(const struct endpoint *p)
{
    return p->in >= 0 ? p->in : p->listener;
}

bool endpoint_has_client(const struct endpoint *p)
{
    return p->in >= 0;
}

bool endpoint_accept(struct endpoint *p)
{
    int one = 1;

    p->in = p->out = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (p->in < 0)
        return false;
    p->telnet_skip = 0;
    setsockopt(p->in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* fails for unix: no matter */
    return true;
}

void endpoint_drop(struct endpoint *p)
{
    if (p->listener >= 0 && p->in >= 0)
        close(p->in);
    p->in = p->out = -1;
}

/* RFC 854: IAC with a command and, for WILL, WONT, DO and DONT, an option. */
static long without_telnet(struct endpoint *p, u8 *buf, long len)
{
    long out = 0;

    for (long i = 0; i < len; i++) {
        if (p->telnet_skip == 2)
            p->telnet_skip = buf[i] >= 251 && buf[i] <= 254 ? 1 : 0;
        else if (p->telnet_skip == 1)
            p->telnet_skip = 0;
        else if (buf[i] == 255)
            p->telnet_skip = 2;
        else
            buf[out++] = buf[i];
    }
    return out;
}

long endpoint_read(struct endpoint *p, void *buf, size_t size)
{
    struct pollfd ready = {.fd = p->in, .events = POLLIN};
    ssize_t n;

    if (p->in < 0)
        return -1;
    if (poll(&ready, 1, 0) <= 0)
        return 0;
    n = read(p->in, buf, size);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -1;
    return p->telnet ? without_telnet(p, buf, n) : n;
}

bool endpoint_write(struct endpoint *p, const void *buf, size_t len)
{
    const u8 *from = buf;

    while (len) {
        struct pollfd ready = {.fd = p->out, .events = POLLOUT};
        ssize_t n = p->out < 0 ? -1 : write(p->out, from, len);

        if (n > 0) {
            from += n;
            len -= (size_t)n;
        } else if (p->out < 0 || (errno != EAGAIN && errno != EINTR) ||
                   poll(&ready, 1, WRITE_PATIENCE_MS) <= 0) {
            endpoint_drop(p);
            return false;
        }
    }
    return true;
}
