/*
 * chardev_stdio.c: stdio and mon:stdio: standard input and output of the program, the terminal in
 * raw mode, and the Ctrl-A keys.
 *
 * Input is read by a thread of its own, so that Ctrl-A x works when the guest takes no input, or
 * does not even run. It hands the guest's part on through a pipe, two bytes each: what it is
 * (enum input) and the byte.
 *
 * The terminal is given back on every way out: close, atexit, deadly signals, crashes, and while
 * the program is stopped (SIGTSTP). Signals reach no struct: what they need is in one static.
 *
 * Specification: POSIX.1-2017, chapter 11 (General Terminal Interface) and termios.h.
 */
#define _GNU_SOURCE /* pipe2 */
#include "devices/backend/chardev_kinds.h"
#include "devices/backend/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum input { INPUT_BYTE, INPUT_BREAK, INPUT_QUIT };

struct stdio_stream {
    struct chardev *chardev;
    pthread_t thread;
    bool thread_runs;
    bool tty, keys;
    bool broken;    /* nobody reads our output any more */
    int input[2];   /* pipe from the thread to poll_in */
    int monitor[2]; /* pipe from the thread to the monitor */
    bool to_monitor; /* the thread's: what is typed goes there */
    int stop[2];    /* closing the write end ends the thread */
    struct mux mux; /* of the thread */
};

/* ---- the terminal ---------------------------------------------------------------------------- */

/* One terminal per process, reached from signal handlers: hence static. */
static struct {
    volatile sig_atomic_t raw; /* `saved` is to be restored */
    struct termios saved, rawed;
    bool hooked; /* atexit and handlers are in place */
} terminal;

static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS,
                             SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGALRM};

/* A background job must not touch the terminal: the kernel would stop it (SIGTTOU). */
static bool in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void chardev_restore_terminal(void)
{
    if (terminal.raw && in_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
}

static void restore_and_die(int sig)
{
    chardev_restore_terminal();
    raise(sig); /* SA_RESETHAND: the default action now */
}

static void restore_and_stop(int sig)
{
    int saved_errno = errno;

    (void)sig;
    chardev_restore_terminal();
    raise(SIGSTOP);
    errno = saved_errno;
}

static void make_raw_again(int sig)
{
    int saved_errno = errno;

    (void)sig;
    if (terminal.raw && in_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.rawed);
    errno = saved_errno;
}

/* Only where nobody handles the signal yet: the front end turns the polite ones into an orderly
 * end, which closes the stream. */
static void hook_signal(int sig, void (*fn)(int), int flags)
{
    struct sigaction old, act = {.sa_handler = fn, .sa_flags = flags};

    if (!sigaction(sig, NULL, &old) && old.sa_handler == SIG_DFL)
        sigaction(sig, &act, NULL);
}

static void hook_ways_out(void)
{
    if (terminal.hooked)
        return;
    terminal.hooked = true;
    atexit(chardev_restore_terminal);
    for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
        hook_signal(deadly[i], restore_and_die, (int)SA_RESETHAND | SA_NODEFER);
    hook_signal(SIGTSTP, restore_and_stop, SA_RESTART);
    hook_signal(SIGCONT, make_raw_again, SA_RESTART);
}

/* Every key goes to the guest as typed; output keeps its processing, so that our own messages look
 * right beside the guest's. */
static void terminal_make_raw(void)
{
    struct termios *t = &terminal.rawed;

    if (terminal.raw || !in_foreground() || tcgetattr(STDIN_FILENO, &terminal.saved))
        return;
    *t = terminal.saved;
    t->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t->c_oflag |= OPOST;
    t->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    t->c_cflag = (t->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
    hook_ways_out();
    terminal.raw = 1;
    tcsetattr(STDIN_FILENO, TCSANOW, t);
}

static void terminal_give_back(void)
{
    chardev_restore_terminal();
    terminal.raw = 0;
}

/* ---- input ----------------------------------------------------------------------------------- */

/* A terminal's input that the guest does not take is lost, as at a real one; a pipe's or file's
 * waits. False when the stream is being closed. */
static bool hand_on(struct stdio_stream *s, enum input what, u8 byte)
{
    const u8 record[2] = {(u8)what, byte};
    struct pollfd p[2] = {{.fd = s->input[1], .events = POLLOUT}, {.fd = s->stop[0]}};

    while (write(s->input[1], record, 2) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN || s->tty)
            return true;
        if (poll(p, 2, -1) > 0 && p[1].revents)
            return false;
    }
    return true;
}

static void call_quit(const struct chardev *c)
{
    if (c->quit)
        c->quit(c->quit_opaque);
}

/* Before the front end has set its hook, the wish waits in the pipe. */
static bool quit(struct stdio_stream *s)
{
    if (!s->chardev->quit)
        return hand_on(s, INPUT_QUIT, 0);
    call_quit(s->chardev);
    return true;
}

/* What the monitor does not take is lost. */
static bool for_monitor(struct stdio_stream *s, u8 byte)
{
    (void)!write(s->monitor[1], &byte, 1);
    return true;
}

static bool take_byte(struct stdio_stream *s, u8 byte)
{
    switch (s->keys ? mux_key(&s->mux, byte) : MUX_PASS) {
    case MUX_PASS:
        if (s->to_monitor)
            return for_monitor(s, byte);
        return hand_on(s, INPUT_BYTE, byte);
    case MUX_BREAK:
        return hand_on(s, INPUT_BREAK, 0);
    case MUX_HELP:
        (void)!write(STDOUT_FILENO, mux_help(), strlen(mux_help()));
        return true;
    case MUX_QUIT:
        return quit(s);
    case MUX_MONITOR:
        if (!s->chardev->monitor_open)
            return true;
        s->to_monitor = !s->to_monitor;
        return for_monitor(s, s->to_monitor ? 1 : 2);
    case MUX_NOTHING:
        break;
    }
    return true;
}

static void *read_input(void *opaque)
{
    struct stdio_stream *s = opaque;
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = s->stop[0]}};

    for (;;) {
        u8 buf[256];
        ssize_t n;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (p[1].revents)
            return NULL;
        if (!p[0].revents)
            continue;
        n = read(STDIN_FILENO, buf, sizeof buf);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return NULL; /* end of input: the guest runs on without */
        for (ssize_t i = 0; i < n; i++)
            if (!take_byte(s, buf[i]))
                return NULL;
    }
}

static void give_record(struct chardev *c, const u8 record[2])
{
    if (record[0] == INPUT_QUIT)
        call_quit(c);
    else if (record[0] == INPUT_BREAK && c->receive_break)
        c->receive_break(c->opaque);
    else if (record[0] == INPUT_BYTE && c->receive)
        c->receive(c->opaque, &record[1], 1);
}

static void stdio_poll_in(struct chardev *c)
{
    struct stdio_stream *s = c->priv;
    u8 record[2];

    while (!c->can_receive || c->can_receive(c->opaque)) {
        if (read(s->input[0], record, 2) != 2)
            return;
        give_record(c, record);
    }
}

/* ---- output ---------------------------------------------------------------------------------- */

static size_t stdio_write(struct chardev *c, const u8 *buf, size_t len)
{
    struct stdio_stream *s = c->priv;
    size_t left = len;

    while (left && !s->broken) {
        ssize_t n = write(STDOUT_FILENO, buf, left);

        if (n >= 0) {
            buf += n;
            left -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

            poll(&p, 1, 100);
        } else if (errno != EINTR) {
            s->broken = true;
            call_quit(c);
        }
    }
    return len;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void stdio_close(struct chardev *c)
{
    struct stdio_stream *s = c->priv;

    close_fd(&s->stop[1]);
    if (s->thread_runs)
        pthread_join(s->thread, NULL);
    close_fd(&s->stop[0]);
    close_fd(&s->input[0]);
    close_fd(&s->input[1]);
    close_fd(&s->monitor[0]);
    close_fd(&s->monitor[1]);
    if (s->tty)
        terminal_give_back();
    free(s);
}

/* The thread blocks all signals: they are for the threads that run the machine. */
static int start_thread(struct stdio_stream *s)
{
    sigset_t all, old;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&s->thread, NULL, read_input, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->thread_runs = !error;
    return error;
}

static bool start(struct stdio_stream *s, struct err *e)
{
    int error;

    if (pipe2(s->input, O_CLOEXEC | O_NONBLOCK) || pipe2(s->monitor, O_CLOEXEC | O_NONBLOCK) ||
         pipe2(s->stop, O_CLOEXEC))
        return err_host(e, "no pipe: %s", strerror(errno));
    if (s->tty)
        terminal_make_raw();
    error = start_thread(s);
    if (error)
        return err_host(e, "no thread: %s", strerror(error));
    return true;
}

static bool open_stdio(struct chardev *c, bool keys_always, struct err *e)
{
    struct stdio_stream *s = calloc(1, sizeof *s);

    if (!s)
        return err_host(e, "no memory for a stream");
    s->chardev = c;
    s->input[0] = s->input[1] = s->monitor[0] = s->monitor[1] = s->stop[0] = s->stop[1] = -1;
    s->tty = isatty(STDIN_FILENO) == 1;
    s->keys = s->tty || keys_always;
    c->priv = s;
    if (!start(s, e)) {
        stdio_close(c);
        return false;
    }
    c->fd = s->input[0];
    if (s->keys)
        c->monitor_fd = s->monitor[0];
    c->write = stdio_write;
    c->poll_in = stdio_poll_in;
    c->close = stdio_close;
    return true;
}

bool chardev_open_stdio(struct chardev *c, const char *arg, struct err *e)
{
    (void)arg;
    return open_stdio(c, false, e);
}

bool chardev_open_mon_stdio(struct chardev *c, const char *arg, struct err *e)
{
    (void)arg;
    return open_stdio(c, true, e);
}
