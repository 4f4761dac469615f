/*
 * monitor_port.c: who gives commands to the monitor: sockets, standard input, and the terminal that
 * is shared with the guest (Ctrl-A c).
 *
 * A terminal that is shared is raw and comes through a pipe, so that no library can edit lines on
 * it: the few keys that a line needs are here.
 */
#define _GNU_SOURCE /* open_memstream */
#include "frontends/monitor_impl.h"

#include "devices/backend/chardev.h"
#include "frontends/endpoint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROMPT "(parallax) "
#define HISTORY 32u
#define INPUT_MAX 4096u /* what waits until the machine stops */

struct session {
    struct monitor *m;
    struct endpoint *port;  /* or */
    struct chardev *shared; /* the terminal's */
    bool script;            /* lines of a file or pipe: each waits until the machine stands still */
    bool ended;             /* the script is at its end */
    bool focus;             /* shared: the keyboard is ours */
    char in[INPUT_MAX];
    size_t in_len;
    /* the line that is edited, on a shared terminal */
    char line[MONITOR_LINE];
    size_t len, at;
    unsigned escape; /* bytes of ESC [ that were seen */
    char *history[HISTORY];
    unsigned history_count, history_at;
};

/* ---- output ---------------------------------------------------------------------------------- */

static void put(struct session *s, const char *text)
{
    size_t len = strlen(text);

    if (s->port) {
        if (endpoint_has_client(s->port))
            endpoint_write(s->port, text, len);
    } else if (s->focus) {
        chardev_put(s->shared, (const u8 *)text, len);
    }
}

void monitor_tell_all(struct monitor *m, const char *text)
{
    for (unsigned i = 0; i < MONITOR_SESSIONS; i++)
        if (m->session[i])
            put(m->session[i], text);
}

static void prompt(struct session *s)
{
    if (!s->script && !s->m->d->quit)
        put(s, PROMPT);
}

static void run_line(struct session *s, const char *line)
{
    char *text;

    if (s->script) { /* so that a transcript can be read */
        put(s, PROMPT);
        put(s, line);
        put(s, "\n");
    }
    text = monitor_run(s->m, line);
    if (text)
        put(s, text);
    free(text);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Runs what lines there are; those of a script only while the machine stands still. */
static void run_lines(struct session *s)
{
    char *newline;

    while (!s->m->d->quit && !(s->script && s->m->d->running) &&
           (newline = memchr(s->in, '\n', s->in_len)) != NULL) {
        char line[INPUT_MAX];
        size_t len = (size_t)(newline - s->in);

        memcpy(line, s->in, len);
        line[len] = 0;
        s->in_len -= len + 1;
        memmove(s->in, newline + 1, s->in_len);
        run_line(s, line);
        if (!s->m->d->running || !s->script)
            prompt(s);
    }
    if (s->in_len == sizeof s->in) /* a line without end */
        s->in_len = 0;
    if (s->ended && !s->in_len && !s->m->d->running)
        debugger_quit(s->m->d);
}

static void take_input(struct session *s)
{
    long n = endpoint_read(s->port, s->in + s->in_len, sizeof s->in - s->in_len);

    if (n > 0)
        s->in_len += (size_t)n;
    if (n < 0 && s->script) {
        s->ended = true;
        if (s->in_len && s->in[s->in_len - 1] != '\n' && s->in_len < sizeof s->in)
            s->in[s->in_len++] = '\n';
    } else if (n < 0) {
        endpoint_drop(s->port);
        s->in_len = 0;
    }
    run_lines(s);
}

/* ---- editing --------------------------------------------------------------------------------- */

static void redraw(struct session *s)
{
    char back[32];

    put(s, "\r" PROMPT);
    s->line[s->len] = 0;
    put(s, s->line);
    put(s, "\033[K");
    if (s->at < s->len) {
        snprintf(back, sizeof back, "\033[%zuD", s->len - s->at);
        put(s, back);
    }
}

static void insert(struct session *s, const char *text, size_t len)
{
    if (s->len + len >= sizeof s->line)
        return;
    memmove(s->line + s->at + len, s->line + s->at, s->len - s->at);
    memcpy(s->line + s->at, text, len);
    s->len += len;
    s->at += len;
    redraw(s);
}

static void erase(struct session *s, size_t from, size_t to)
{
    memmove(s->line + from, s->line + to, s->len - to);
    s->len -= to - from;
    s->at = from;
    redraw(s);
}

static void remember(struct session *s)
{
    if (!s->len)
        return;
    if (s->history_count == HISTORY) {
        free(s->history[0]);
        memmove(s->history, s->history + 1, sizeof s->history - sizeof *s->history);
        s->history_count--;
    }
    s->history[s->history_count++] = strdup(s->line);
}

static void recall(struct session *s, unsigned n)
{
    const char *text = n < s->history_count ? s->history[n] : "";

    if (n > s->history_count || !text)
        return;
    s->history_at = n;
    snprintf(s->line, sizeof s->line, "%s", text);
    s->len = s->at = strlen(s->line);
    redraw(s);
}

/* One word that fits is put in; of several, what they begin with, and at the second time they are
 * listed. */
static void complete(struct session *s)
{
    char *first, *word;
    size_t common, have, start = s->len;
    unsigned count = 1;

    s->line[s->len] = 0;
    first = monitor_complete(s->line, 0);
    if (!first || s->at != s->len) {
        free(first);
        return;
    }
    while (start && s->line[start - 1] != ' ')
        start--;
    have = s->len - start;
    common = strlen(first);
    for (; (word = monitor_complete(s->line, count)) != NULL; count++) {
        size_t same = 0;

        while (same < common && word[same] == first[same])
            same++;
        common = same;
        free(word);
    }
    if (common > have || count == 1) {
        insert(s, first + have, common - have);
        if (count == 1)
            insert(s, " ", 1);
        free(first);
        return;
    }
    free(first);
    put(s, "\r\n");
    for (unsigned n = 0; (word = monitor_complete(s->line, n)) != NULL; n++) {
        put(s, word);
        put(s, "  ");
        free(word);
    }
    put(s, "\r\n");
    redraw(s);
}

static void enter(struct session *s)
{
    s->line[s->len] = 0;
    put(s, "\r\n");
    remember(s);
    s->history_at = s->history_count;
    s->len = s->at = 0;
    run_line(s, s->line);
    prompt(s);
}

/* ESC [ A and the like. */
static void arrow(struct session *s, u8 c)
{
    switch (c) {
    case 'A':
        if (s->history_at)
            recall(s, s->history_at - 1);
        break;
    case 'B': recall(s, s->history_at + 1); break;
    case 'C': s->at += s->at < s->len; break;
    case 'D': s->at -= s->at > 0; break;
    case 'H': s->at = 0; break;
    case 'F': s->at = s->len; break;
    default: return;
    }
    redraw(s);
}

static void take_key(struct session *s, u8 c)
{
    if (s->escape == 1) {
        s->escape = c == '[' || c == 'O' ? 2 : 0;
        return;
    }
    if (s->escape == 2) {
        s->escape = 0;
        arrow(s, c);
        return;
    }
    switch (c) {
    case 1: /* the terminal is ours, or not any more */
        s->focus = true;
        put(s, s->len ? "\r\n" : "\r\nParallax monitor. Ctrl-A c leads back to the guest.\r\n");
        redraw(s);
        break;
    case 2: s->focus = false; break;
    case 0x1b: s->escape = 1; break;
    case '\r':
    case '\n': enter(s); break;
    case '\t': complete(s); break;
    case 8:
    case 0x7f:
        if (s->at)
            erase(s, s->at - 1, s->at);
        break;
    case 0x15: erase(s, 0, s->at); break; /* Ctrl-U */
    default:
        if (c >= ' ')
            insert(s, (const char *)&c, 1);
    }
}

/* ---- ports ----------------------------------------------------------------------------------- */

static int session_fd(void *opaque)
{
    const struct session *s = opaque;

    if (s->shared)
        return s->shared->monitor_fd;
    if (s->ended || (s->script && s->m->d->running) || s->in_len == sizeof s->in)
        return -1;
    return endpoint_fd(s->port);
}

static bool session_attached(void *opaque)
{
    const struct session *s = opaque;

    return s->shared ? s->focus : endpoint_has_client(s->port);
}

static void session_ready(void *opaque)
{
    struct session *s = opaque;
    u8 keys[64];
    ssize_t n;

    if (s->shared) {
        n = read(s->shared->monitor_fd, keys, sizeof keys);
        for (ssize_t i = 0; i < n; i++)
            take_key(s, keys[i]);
    } else if (endpoint_has_client(s->port)) {
        take_input(s);
    } else if (endpoint_accept(s->port)) {
        s->in_len = 0;
        put(s, "Parallax monitor. 'help' lists its commands.\n");
        prompt(s);
    }
}

/* The monitor's own port was told before. */
static void session_stopped(void *opaque, enum vm_stop why, bool ended)
{
    struct session *s = opaque;

    (void)why;
    if (s->m->d->running || ended)
        return;
    prompt(s);
    if (s->port)
        run_lines(s);
}

static bool add_session(struct monitor *m, struct session *s)
{
    unsigned i = 0;

    while (i < MONITOR_SESSIONS && m->session[i])
        i++;
    if (i == MONITOR_SESSIONS)
        return false;
    s->m = m;
    m->session[i] = s;
    return debugger_add(m->d, &(struct debugger_port){.fd = session_fd,
                                                      .ready = session_ready,
                                                      .stopped = session_stopped,
                                                      .attached = session_attached,
                                                      .opaque = s});
}

bool monitor_listen(struct monitor *m, const char *spec, struct err *e)
{
    struct endpoint *port = endpoint_open("monitor", spec, e);
    struct session *s;

    if (!port)
        return false;
    s = calloc(1, sizeof *s);
    BUG_ON(!s);
    s->port = port;
    if (!add_session(m, s)) {
        endpoint_close(port);
        free(s);
        return err_usage(e, "at most %u monitors", MONITOR_SESSIONS);
    }
    s->script = endpoint_has_client(port) && !isatty(STDIN_FILENO);
    if (endpoint_has_client(port))
        prompt(s);
    return true;
}

void monitor_share_terminal(struct monitor *m, struct chardev *c)
{
    struct session *s = calloc(1, sizeof *s);

    BUG_ON(!s);
    s->shared = c;
    c->monitor_open = c->monitor_fd >= 0 && add_session(m, s);
    if (!c->monitor_open)
        free(s);
}

void monitor_close_sessions(struct monitor *m)
{
    for (unsigned i = 0; i < MONITOR_SESSIONS; i++) {
        struct session *s = m->session[i];

        if (!s)
            continue;
        for (unsigned n = 0; n < s->history_count; n++)
            free(s->history[n]);
        endpoint_close(s->port);
        free(s);
    }
}
