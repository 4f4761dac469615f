/*
 * vnc.c: -vnc: the guest's screen for VNC clients, by libvncserver.
 *
 * Specification: RFC 6143 (RFB 3.8) for what a client sees; where to listen, QEMU's -vnc:
 * [HOST]:DISPLAY or unix:PATH, then options. Port 5900 + DISPLAY, on 127.0.0.1 unless a host is
 * named.
 *
 * The server has a thread of its own, on which all of libvncserver runs; viewer.h is between it and
 * the machine. A browser can be made to open a WebSocket to this port by any page that it shows, so
 * that WebSockets are refused unless they were asked for.
 *
 * Not implemented: encryption (a tunnel of ssh does it), the clipboard, QEMU's extended key events.
 */
#include "frontends/display.h"

#include "base/host.h"
#include "frontends/keyboard.h"
#include "frontends/keys.h"
#include "frontends/viewer.h"

#include <errno.h>
#include <netdb.h>
#include <rfb/rfb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT_BASE 5900u
#define DISPLAY_MAX (65535u - PORT_BASE)
#define PASSWORD_MAX 8      /* of the DES challenge, RFC 6143 7.2.2 */
#define CLIENT_WAIT_MS 2000 /* for one that stops in the middle of a message */
#define LOOK_NS 10000000ull /* for news while somebody looks */
#define IDLE_NS 100000000ull
#define WIDTH_MIN 160u /* of a picture: less is a mode in the making */
#define HEIGHT_MIN 100u

/* Buttons of RFB's pointer events. */
#define RFB_LEFT BIT(0)
#define RFB_MIDDLE BIT(1)
#define RFB_RIGHT BIT(2)
#define RFB_WHEEL_UP BIT(3)
#define RFB_WHEEL_DOWN BIT(4)

struct vnc_options {
    char address[108]; /* a host, or what follows unix: */
    bool local;        /* unix: */
    unsigned first, last;
    bool websocket;
    char password[PASSWORD_MAX + 1];
};

struct vnc {
    struct display display;
    struct viewer viewer;
    struct vnc_options options;
    pthread_t thread;
    bool ends; /* set by the other thread */
    rfbScreenInfoPtr rfb;
    u32 *pixels; /* 0x00BBGGRR, as libvncserver likes them */
    struct keysyms keysyms;
    unsigned clients;
    u32 looks_at_arrival; /* a client that just came waits for a picture made after it */
    int x, y;             /* where the pointer was; -1: nobody knows */
    char *passwords[2];
    char where[160];
};

/* ---- picture --------------------------------------------------------------------------------- */

static void copy_rect(struct vnc *v, const struct viewer_picture *p, const struct viewer_rect *r)
{
    for (unsigned y = r->y; y < r->y + r->height; y++)
        for (unsigned x = r->x; x < r->x + r->width; x++) {
            u32 rgb = p->pixels[(size_t)y * p->width + x];

            v->pixels[(size_t)y * p->width + x] =
                (rgb & 0xff) << 16 | (rgb & 0xff00) | (rgb >> 16 & 0xff);
        }
    rfbMarkRectAsModified(v->rfb, (int)r->x, (int)r->y, (int)(r->x + r->width),
                          (int)(r->y + r->height));
}

static void new_size(struct vnc *v, unsigned width, unsigned height)
{
    u32 *old = v->pixels;

    v->pixels = calloc((size_t)width * height, sizeof *v->pixels);
    BUG_ON(!v->pixels);
    rfbNewFramebuffer(v->rfb, (char *)v->pixels, (int)width, (int)height, 8, 3, 4);
    free(old);
}

static void let_in(struct vnc *v)
{
    rfbClientIteratorPtr i = rfbGetClientIterator(v->rfb);
    rfbClientPtr c;

    while ((c = rfbClientIteratorNext(i)))
        if (c->onHold)
            rfbStartOnHoldClient(c);
    rfbReleaseClientIterator(i);
}

static void take_news(struct vnc *v)
{
    struct viewer_picture *p = &v->viewer.picture;
    bool fresh;

    viewer_lock(&v->viewer);
    if (p->pixels && p->width >= WIDTH_MIN && p->height >= HEIGHT_MIN) {
        if (p->resized)
            new_size(v, p->width, p->height);
        for (unsigned i = 0; i < p->rects; i++)
            copy_rect(v, p, &p->rect[i]);
        p->rects = 0;
        p->resized = false;
    }
    fresh = v->viewer.looks != v->looks_at_arrival;
    viewer_unlock(&v->viewer);
    if (fresh)
        let_in(v);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void client_gone(rfbClientPtr c)
{
    struct vnc *v = c->screen->screenData;

    viewer_release_keys(&v->viewer);
    memset(v->keysyms.held, 0, sizeof v->keysyms.held);
    v->x = v->y = -1;
    if (!--v->clients)
        viewer_watch(&v->viewer, false);
}

static enum rfbNewClientAction client_came(rfbClientPtr c)
{
    struct vnc *v = c->screen->screenData;

    if (c->wsctx && !v->options.websocket)
        return RFB_CLIENT_REFUSE;
    c->clientGoneHook = client_gone;
    v->clients++;
    viewer_watch(&v->viewer, true);
    viewer_lock(&v->viewer);
    v->looks_at_arrival = v->viewer.looks;
    viewer_unlock(&v->viewer);
    return RFB_CLIENT_ON_HOLD;
}

static void take_key(rfbBool down, rfbKeySym keysym, rfbClientPtr c)
{
    struct vnc *v = c->screen->screenData;

    keysyms_take(&v->keysyms, keysym, down);
}

static void send_key(void *opaque, u8 usage, bool down)
{
    struct vnc *v = opaque;

    viewer_key(&v->viewer, usage, down);
}

static void take_pointer(int mask, int x, int y, rfbClientPtr c)
{
    struct vnc *v = c->screen->screenData;
    unsigned buttons = (mask & RFB_LEFT ? BIT(0) : 0) | (mask & RFB_RIGHT ? BIT(1) : 0) |
                       (mask & RFB_MIDDLE ? BIT(2) : 0);
    int dz = (mask & RFB_WHEEL_DOWN ? 1 : 0) - (mask & RFB_WHEEL_UP ? 1 : 0);

    if (viewer_is_absolute(&v->viewer))
        viewer_place(&v->viewer, x, y, (unsigned)v->rfb->width, (unsigned)v->rfb->height, dz,
                     buttons);
    else
        viewer_move(&v->viewer, v->x < 0 ? 0 : x - v->x, v->y < 0 ? 0 : y - v->y, dz, buttons);
    v->x = x;
    v->y = y;
}

/* ---- where it listens ------------------------------------------------------------------------ */

static bool read_password(struct vnc_options *o, const char *path, struct err *e)
{
    u64 len;
    char *text = (char *)host_read_file(path, 4096, &len, e), *end;
    size_t n;

    if (!text)
        return false;
    end = memchr(text, '\n', len);
    n = end ? (size_t)(end - text) : len;
    if (n && n <= PASSWORD_MAX)
        memcpy(o->password, text, n);
    explicit_bzero(text, len);
    free(text);
    if (n && n <= PASSWORD_MAX)
        return true;
    err_usage(e, "-vnc: %s: the first line is no password", path);
    return err_hint(e, "VNC's passwords have 1 to %d characters", PASSWORD_MAX);
}

static bool parse_number(const char *text, unsigned *value)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    *value = (unsigned)v;
    return *text >= '0' && *text <= '9' && !*end && v <= DISPLAY_MAX;
}

static bool parse_item(struct vnc_options *o, const char *item, struct err *e)
{
    if (!strncmp(item, "websocket=", 10))
        return keys_switch("vnc", "websocket", item + 10, &o->websocket, e);
    if (!strncmp(item, "password-file=", 14))
        return read_password(o, item + 14, e);
    if (!strncmp(item, "to=", 3) && !o->local && parse_number(item + 3, &o->last) &&
        o->last >= o->first)
        return true;
    err_usage(e, "-vnc: '%s' is not understood", item);
    return err_hint(e,
                    "there are to=DISPLAY (the last of those that may be taken), websocket=on|off "
                    "and password-file=FILE");
}

static bool parse_address(struct vnc_options *o, char *text, struct err *e)
{
    char *colon = strrchr(text, ':');
    bool ok = colon && colon[1];

    if (ok && !strncmp(text, "unix:", 5)) {
        o->local = true;
        text += 5;
    } else if (ok) {
        ok = parse_number(colon + 1, &o->first);
        o->last = o->first;
        *colon = '\0';
        if (*text == '[' && colon[-1] == ']') { /* an address of IPv6 */
            text++;
            colon[-1] = '\0';
        }
    }
    if (ok && strlen(text) < sizeof o->address) {
        strcpy(o->address, *text ? text : "127.0.0.1");
        return true;
    }
    err_usage(e, "-vnc: no such place to listen");
    return err_hint(e, "-vnc :1 is port 5901 of 127.0.0.1; also HOST:DISPLAY and unix:PATH");
}

static bool parse(struct vnc_options *o, const char *text, struct err *e)
{
    char *copy = strdup(text), *rest = copy;
    bool ok;

    BUG_ON(!copy);
    ok = parse_address(o, keys_next(&rest), e);
    while (ok && rest)
        ok = parse_item(o, keys_next(&rest), e);
    free(copy);
    return ok;
}

static int listen_at(int family, const struct sockaddr *a, socklen_t len)
{
    const int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!bind(fd, a, len) && !listen(fd, 8))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int listen_tcp(struct vnc *v, struct err *e)
{
    const struct vnc_options *o = &v->options;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *a;
    int fd = -1, why;

    for (unsigned n = o->first; fd < 0 && n <= o->last; n++) {
        char port[8];

        snprintf(port, sizeof port, "%u", PORT_BASE + n);
        why = getaddrinfo(o->address, port, &hints, &a);
        if (why) {
            err_host(e, "-vnc: %s: %s", o->address, gai_strerror(why));
            return -1;
        }
        fd = listen_at(a->ai_family, a->ai_addr, a->ai_addrlen);
        freeaddrinfo(a);
        snprintf(v->where, sizeof v->where, "%s:%s", o->address, port);
        if (fd < 0 && errno != EADDRINUSE)
            break;
    }
    if (fd < 0)
        err_host(e, "-vnc: cannot listen at %s: %s", v->where, strerror(errno));
    return fd;
}

/* The mode of the file is who may connect. */
static int listen_unix(struct vnc *v, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    mode_t mask = umask(0077);
    int fd;

    strncpy(a.sun_path, v->options.address, sizeof a.sun_path - 1);
    fd = listen_at(AF_UNIX, (const struct sockaddr *)&a, sizeof a);
    umask(mask);
    snprintf(v->where, sizeof v->where, "unix:%s", a.sun_path);
    if (fd < 0)
        err_host(e, "-vnc: cannot listen at %s: %s", v->where, strerror(errno));
    return fd;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void *run(void *opaque)
{
    struct vnc *v = opaque;

    while (!__atomic_load_n(&v->ends, __ATOMIC_ACQUIRE)) {
        rfbProcessEvents(v->rfb, (long)((v->clients ? LOOK_NS : IDLE_NS) / 1000));
        take_news(v);
    }
    return NULL;
}

/* libvncserver opens ports of its own choice only; this one is given to it. */
static bool open_server(struct vnc *v, int fd)
{
    rfbScreenInfoPtr s;

    rfbLogEnable(0);
    v->pixels = calloc(720 * 400, sizeof *v->pixels);
    s = v->rfb = v->pixels ? rfbGetScreen(NULL, NULL, 720, 400, 8, 3, 4) : NULL;
    if (!s)
        return false;
    s->frameBuffer = (char *)v->pixels;
    s->desktopName = v->viewer.name;
    s->screenData = v;
    s->cursor = NULL; /* the guest draws its own */
    s->alwaysShared = TRUE;
    s->deferUpdateTime = 0;
    s->maxClientWait = CLIENT_WAIT_MS;
    s->newClientHook = client_came;
    s->kbdAddEvent = take_key;
    s->ptrAddEvent = take_pointer;
    if (*v->options.password) {
        v->passwords[0] = v->options.password;
        s->authPasswdData = v->passwords;
        s->passwordCheck = rfbCheckPasswordByList;
    }
    FD_ZERO(&s->allFds);
    FD_SET(fd, &s->allFds);
    s->maxFd = fd;
    s->listenSock = fd;
    s->socketState = RFB_SOCKET_READY;
    return true;
}

/* Signals are for the thread that called vm_run. */
static bool start(struct vnc *v)
{
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&v->thread, NULL, run, v);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return !failed;
}

static void free_vnc(struct vnc *v)
{
    if (v->rfb) {
        rfbShutdownServer(v->rfb, TRUE);
        rfbScreenCleanup(v->rfb);
    }
    if (v->options.local && *v->where)
        unlink(v->options.address);
    free(v->pixels);
    viewer_destroy(&v->viewer);
    explicit_bzero(v, sizeof *v);
    free(v);
}

static void vnc_refresh(struct display *d)
{
    viewer_refresh(&((struct vnc *)d)->viewer);
}

static void vnc_close(struct display *d)
{
    struct vnc *v = (struct vnc *)d;

    __atomic_store_n(&v->ends, true, __ATOMIC_RELEASE);
    pthread_join(v->thread, NULL);
    free_vnc(v);
}

static bool serve(struct vnc *v, struct err *e)
{
    int fd = v->options.local ? listen_unix(v, e) : listen_tcp(v, e);

    if (fd < 0) {
        *v->where = '\0';
        return false;
    }
    if (!open_server(v, fd)) {
        close(fd);
        return err_host(e, "-vnc: no memory for the server");
    }
    if (!viewer_attach(&v->viewer, e))
        return false;
    return start(v) || err_host(e, "-vnc: no thread for the server");
}

struct display *vnc_open(struct vm *vm, const char *name, const char *spec, struct err *e)
{
    struct vnc *v = calloc(1, sizeof *v);

    BUG_ON(!v);
    if (!viewer_init(&v->viewer, vm, name, e)) {
        free(v);
        return NULL;
    }
    v->display = (struct display){VIEWER_REFRESH_NS, vnc_refresh, vnc_close};
    v->keysyms = (struct keysyms){.key = send_key, .opaque = v};
    v->x = v->y = -1;
    if (!parse(&v->options, spec, e) || !serve(v, e)) {
        free_vnc(v);
        return NULL;
    }
    fprintf(stderr, "parallax: VNC is at %s\n", v->where);
    return &v->display;
}
