/* test_chardev.c: the streams of devices/backend, the Ctrl-A keys, and the terminal's restoration. */
#define _GNU_SOURCE /* ptsname_r */
#include "base/host.h"
#include "devices/backend/chardev.h"
#include "devices/backend/mux.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char dir[] = "/tmp/parallax-test-XXXXXX";

static void enter_directory(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
}

static void leave_directory(void)
{
    char cmd[sizeof dir + 16];

    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

/* A device that takes what there is room for. */
struct sink {
    char got[64];
    size_t len, room;
    int breaks, quits;
};

static size_t sink_room(void *opaque)
{
    return ((struct sink *)opaque)->room;
}

static void sink_take(void *opaque, const u8 *buf, size_t len)
{
    struct sink *s = opaque;

    ck_assert_uint_le(len, s->room);
    memcpy(s->got + s->len, buf, len);
    s->len += len;
    s->room -= len;
}

static void sink_break(void *opaque)
{
    ((struct sink *)opaque)->breaks++;
}

static void sink_quit(void *opaque)
{
    ((struct sink *)opaque)->quits++;
}

static void attach(struct chardev *c, struct sink *s, size_t room)
{
    *s = (struct sink){.room = room};
    c->can_receive = sink_room;
    c->receive = sink_take;
    c->receive_break = sink_break;
    c->opaque = s;
    c->quit_opaque = s;
    c->quit = sink_quit;
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 5000) == 1;
}

START_TEST(mux_passes_all_but_the_keys_after_ctrl_a)
{
    struct mux m = {0};

    ck_assert_int_eq(mux_key(&m, 'x'), MUX_PASS);
    ck_assert_int_eq(mux_key(&m, 1), MUX_NOTHING);
    ck_assert_int_eq(mux_key(&m, 'x'), MUX_QUIT);
    ck_assert_int_eq(mux_key(&m, 1), MUX_NOTHING);
    ck_assert_int_eq(mux_key(&m, 1), MUX_PASS);
    ck_assert_int_eq(mux_key(&m, 1), MUX_NOTHING);
    ck_assert_int_eq(mux_key(&m, 'b'), MUX_BREAK);
    ck_assert_int_eq(mux_key(&m, 1), MUX_NOTHING);
    ck_assert_int_eq(mux_key(&m, 'q'), MUX_NOTHING);
    ck_assert_int_eq(mux_key(&m, 'q'), MUX_PASS);
}
END_TEST

START_TEST(unknown_stream_is_refused_with_the_nearest)
{
    struct err e = {0};

    ck_assert_ptr_null(chardev_open("stdoi", &e));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_ptr_nonnull(strstr(e.hint, "'stdio'"));
    ck_assert_ptr_null(chardev_open("file:", &e));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_ptr_null(chardev_open("file:no/such/dir", &e));
    ck_assert_int_eq(e.exit_code, EXIT_HOST);
}
END_TEST

static void count_tap(void *opaque, const u8 *buf, size_t len)
{
    (void)buf;
    *(size_t *)opaque += len;
}

START_TEST(buffer_keeps_what_is_put_and_tap_sees_it)
{
    struct err e = {0};
    struct chardev *c = chardev_open("buffer", &e);
    size_t tapped = 0, len;

    ck_assert_ptr_nonnull(c);
    c->tap = count_tap;
    c->tap_opaque = &tapped;
    ck_assert_str_eq(chardev_buffer_text(c, &len), "");
    for (int i = 0; i < 3000; i++)
        chardev_put(c, (const u8 *)"abc", 3);
    ck_assert_uint_eq(tapped, 9000);
    ck_assert_str_eq(chardev_buffer_text(c, &len) + 8997, "abc");
    ck_assert_uint_eq(len, 9000);
    chardev_close(c);
    chardev_put(NULL, (const u8 *)"x", 1);
    chardev_close(NULL);
}
END_TEST

START_TEST(feed_gives_only_what_the_device_takes)
{
    struct err e = {0};
    struct chardev *c = chardev_open("null", &e);
    struct sink s;

    ck_assert_uint_eq(chardev_feed(c, (const u8 *)"abc", 3), 0);
    attach(c, &s, 2);
    ck_assert_uint_eq(chardev_feed(c, (const u8 *)"abc", 3), 2);
    ck_assert_mem_eq(s.got, "ab", 2);
    chardev_close(c);
}
END_TEST

START_TEST(file_gets_the_output)
{
    struct err e = {0};
    struct chardev *c = chardev_open("file:out", &e);
    u64 len;
    u8 *p;

    ck_assert_ptr_nonnull(c);
    chardev_put(c, (const u8 *)"hello", 5);
    chardev_close(c);
    p = host_read_file("out", 100, &len, &e);
    ck_assert_ptr_nonnull(p);
    ck_assert_str_eq((char *)p, "hello");
    free(p);
}
END_TEST

START_TEST(pty_carries_both_ways_and_survives_its_clients)
{
    struct err e = {0};
    struct chardev *c = chardev_open("pty", &e);
    struct sink s;
    char buf[8] = "";
    int fd;

    ck_assert_ptr_nonnull(c);
    attach(c, &s, 64);
    for (int i = 0; i < 2; i++) {
        fd = open(c->where, O_RDWR | O_NOCTTY);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, "\x03y", 2), 2);
        ck_assert(readable(c->fd));
        c->poll_in(c);
        chardev_put(c, (const u8 *)"out", 3);
        ck_assert_int_eq(read(fd, buf, sizeof buf), 3);
        ck_assert_mem_eq(buf, "out", 3);
        close(fd);
    }
    ck_assert_uint_eq(s.len, 4);
    ck_assert_mem_eq(s.got, "\x03y\x03y", 4);
    for (int i = 0; i < 100000; i++) /* nobody reads: must not block */
        chardev_put(c, (const u8 *)"x", 1);
    chardev_close(c);
}
END_TEST

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(a.sun_path, path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

START_TEST(unix_socket_is_private_and_serves_one_client_after_another)
{
    struct err e = {0};
    struct chardev *c = chardev_open("unix:sock", &e);
    struct stat st;
    struct sink s;
    char buf[8];

    ck_assert_ptr_nonnull(c);
    attach(c, &s, 64);
    ck_assert_int_eq(stat("sock", &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_ptr_null(chardev_open("unix:sock", &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "listens"));
    c->poll_in(c); /* takes the probe of the refused one */
    c->poll_in(c);
    for (int i = 0; i < 2; i++) {
        int fd = connect_to("sock");

        ck_assert(readable(c->fd));
        c->poll_in(c);
        ck_assert_int_eq(write(fd, "hi", 2), 2);
        ck_assert(readable(c->fd));
        c->poll_in(c);
        chardev_put(c, (const u8 *)"out", 3);
        ck_assert_int_eq(read(fd, buf, sizeof buf), 3);
        close(fd);
        ck_assert(readable(c->fd));
        c->poll_in(c);
    }
    ck_assert_mem_eq(s.got, "hihi", 4);
    chardev_close(c);
    ck_assert_int_ne(access("sock", F_OK), 0);
}
END_TEST

START_TEST(unix_replaces_a_stale_socket_but_no_file)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "stale"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct err e = {0};
    struct chardev *c;

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    c = chardev_open("unix:stale", &e);
    ck_assert_ptr_nonnull(c);
    chardev_close(c);
    ck_assert(host_write_file("file", "x", 1, &e));
    ck_assert_ptr_null(chardev_open("unix:file", &e));
    ck_assert_int_eq(access("file", F_OK), 0);
}
END_TEST

/* ---- stdio on a pseudo-terminal, in a child ---------------------------------------------------- */

static const int deadly_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS};

struct terminal {
    int master, slave;
    struct termios before;
    pid_t child;
};

/* The child makes the slave its controlling terminal and runs body. */
static void start_on_terminal(struct terminal *t, void (*body)(void))
{
    char name[64];

    t->master = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_eq(grantpt(t->master) | unlockpt(t->master), 0);
    ck_assert_int_eq(ptsname_r(t->master, name, sizeof name), 0);
    t->slave = open(name, O_RDWR | O_NOCTTY);
    ck_assert_int_eq(tcgetattr(t->slave, &t->before), 0);
    t->child = fork();
    if (!t->child) {
        /* A session of its own, which nobody ends with the test's: it must not outlive a failure. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (size_t i = 0; i < ARRAY_SIZE(deadly_signals); i++)
            signal(deadly_signals[i], SIG_DFL); /* Check and sanitizers handle some of them */
        setsid();
        close(t->slave);
        dup2(open(name, O_RDWR), 0);
        dup2(0, 1);
        body();
        _exit(99);
    }
}

static void expect_text(int fd, const char *text)
{
    char got[4096] = "";
    size_t len = 0;

    while (!strstr(got, text)) {
        ssize_t n;

        ck_assert_msg(readable(fd), "no '%s' in '%s'", text, got);
        n = read(fd, got + len, sizeof got - 1 - len);
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
        got[len] = 0;
    }
}

static tcflag_t lflag_of(int fd)
{
    struct termios t;

    ck_assert_int_eq(tcgetattr(fd, &t), 0);
    return t.c_lflag;
}

static void open_and(void (*then)(struct chardev *c))
{
    struct err e = {0};
    struct chardev *c = chardev_open("stdio", &e);

    if (!c)
        _exit(98);
    chardev_put(c, (const u8 *)"READY", 5);
    then(c);
}

static void wait_for_ever(struct chardev *c)
{
    (void)c;
    for (;;)
        pause();
}

static void body_wait(void)
{
    open_and(wait_for_ever);
}

static void echo_until_quit(struct chardev *c)
{
    struct sink s;
    size_t shown = 0;

    attach(c, &s, 64);
    while (!*(volatile int *)&s.quits) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        if (poll(&p, 1, 10) > 0)
            c->poll_in(c);
        chardev_put(c, (const u8 *)s.got + shown, s.len - shown);
        shown = s.len;
        if (s.breaks) {
            s.breaks = 0;
            chardev_put(c, (const u8 *)"BREAK", 5);
        }
    }
    chardev_close(c);
    _exit(7);
}

static void body_echo(void)
{
    open_and(echo_until_quit);
}

static void leave_by_exit(struct chardev *c)
{
    (void)c;
    exit(5);
}

static void body_exit(void)
{
    open_and(leave_by_exit);
}

static void leave_by_abort(struct chardev *c)
{
    (void)c;
    abort();
}

static void body_abort(void)
{
    open_and(leave_by_abort);
}

START_TEST(stdio_makes_the_terminal_raw_and_serves_the_keys)
{
    struct terminal t;
    int status;

    start_on_terminal(&t, body_echo);
    expect_text(t.master, "READY");
    ck_assert_uint_eq(lflag_of(t.slave) & (ICANON | ECHO | ISIG), 0);
    ck_assert_int_eq(write(t.master, "q\x03", 2), 2);
    expect_text(t.master, "q\x03");
    ck_assert_int_eq(write(t.master, "\x01h", 2), 2);
    expect_text(t.master, "Ctrl-A x");
    ck_assert_int_eq(write(t.master, "\x01"
                                     "b",
                           2),
                     2);
    expect_text(t.master, "BREAK");
    ck_assert_int_eq(write(t.master, "\x01x", 2), 2);
    ck_assert_int_eq(waitpid(t.child, &status, 0), t.child);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    ck_assert_uint_eq(lflag_of(t.slave), t.before.c_lflag);
}
END_TEST


START_TEST(stdio_restores_the_terminal_when_a_signal_kills)
{
    struct terminal t;
    int status;

    start_on_terminal(&t, body_wait);
    expect_text(t.master, "READY");
    /* To the thread, not the process: qemu-user has a thread of its own that leaves SIGSEGV
     * unblocked, and what the kernel gives to that one is lost. */
    ck_assert_int_eq(syscall(SYS_tgkill, t.child, t.child, deadly_signals[_i]), 0);
    ck_assert_int_eq(waitpid(t.child, &status, 0), t.child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), deadly_signals[_i]);
    ck_assert_uint_eq(lflag_of(t.slave), t.before.c_lflag);
}
END_TEST

START_TEST(stdio_restores_the_terminal_at_exit_and_abort)
{
    struct terminal t;
    int status;

    start_on_terminal(&t, _i ? body_abort : body_exit);
    expect_text(t.master, "READY");
    ck_assert_int_eq(waitpid(t.child, &status, 0), t.child);
    ck_assert_int_eq(_i ? WTERMSIG(status) : WEXITSTATUS(status), _i ? SIGABRT : 5);
    ck_assert_uint_eq(lflag_of(t.slave), t.before.c_lflag);
}
END_TEST

START_TEST(stdio_gives_the_terminal_back_while_stopped)
{
    struct terminal t;
    int status;

    start_on_terminal(&t, body_wait);
    expect_text(t.master, "READY");
    ck_assert_int_eq(kill(t.child, SIGTSTP), 0);
    ck_assert_int_eq(waitpid(t.child, &status, WUNTRACED), t.child);
    ck_assert(WIFSTOPPED(status));
    ck_assert_uint_eq(lflag_of(t.slave), t.before.c_lflag);
    ck_assert_int_eq(kill(t.child, SIGCONT), 0);
    for (int i = 0; i < 500 && lflag_of(t.slave) & ECHO; i++)
        usleep(10000);
    ck_assert_uint_eq(lflag_of(t.slave) & (ICANON | ECHO), 0);
    ck_assert_int_eq(kill(t.child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(t.child, &status, 0), t.child);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chardev");
    TCase *tc = tcase_create("streams"), *tty = tcase_create("terminal");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(tc, enter_directory, leave_directory);
    tcase_add_test(tc, mux_passes_all_but_the_keys_after_ctrl_a);
    tcase_add_test(tc, unknown_stream_is_refused_with_the_nearest);
    tcase_add_test(tc, buffer_keeps_what_is_put_and_tap_sees_it);
    tcase_add_test(tc, feed_gives_only_what_the_device_takes);
    tcase_add_test(tc, file_gets_the_output);
    tcase_add_test(tc, pty_carries_both_ways_and_survives_its_clients);
    tcase_add_test(tc, unix_socket_is_private_and_serves_one_client_after_another);
    tcase_add_test(tc, unix_replaces_a_stale_socket_but_no_file);
    tcase_add_test(tty, stdio_makes_the_terminal_raw_and_serves_the_keys);
    tcase_add_loop_test(tty, stdio_restores_the_terminal_when_a_signal_kills, 0,
                        (int)ARRAY_SIZE(deadly_signals));
    tcase_add_loop_test(tty, stdio_restores_the_terminal_at_exit_and_abort, 0, 2);
    tcase_add_test(tty, stdio_gives_the_terminal_back_while_stopped);
    tcase_set_timeout(tty, 30);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, tty);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
