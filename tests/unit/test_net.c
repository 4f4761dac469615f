/* test_net.c: networks without a controller: back ends, sums and segments, dumps, options. */
#include "frontends/nets.h"
#include "tests/unit/net_wire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct clock clock_;
static struct nets ns;
static char dir[] = "/tmp/parallax-net-XXXXXX", path[64];

/* A device that keeps what it gets while it has room. */
struct sink {
    unsigned room, count, link_changes;
    size_t len[8];
    u8 frame[8][2048];
};

static bool sink_receive(void *opaque, const u8 *frame, size_t len)
{
    struct sink *k = opaque;

    if (!k->room)
        return false;
    k->room--;
    k->len[k->count] = len;
    memcpy(k->frame[k->count++], frame, len);
    return true;
}

static void sink_link_changed(void *opaque)
{
    ((struct sink *)opaque)->link_changes++;
}

static const struct net_device sink_device = {sink_receive, sink_link_changed};
static struct sink sinks[2];
static struct err reported;

static void report(void *opaque, const struct err *e)
{
    (void)opaque;
    reported = *e;
}

static void setup(void)
{
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    clock_init(&clock_, CLOCK_ICOUNT);
    nets_init(&ns, &clock_);
    ns.report = report;
    memset(sinks, 0, sizeof sinks);
    memset(&reported, 0, sizeof reported);
}

static void teardown(void)
{
    nets_destroy(&ns);
    unlink(path);
    rmdir(dir);
}

static struct net *add(const struct net_options *o, unsigned sink)
{
    struct err e = {0};

    ck_assert_msg(nets_add(&ns, o, &e), "%s", e.msg);
    return net_take(&ns, o->id, &sink_device, &sinks[sink], &e);
}

/* Looks at the host until nothing happens any more. */
static void settle(void)
{
    struct pollset s = {0};

    for (unsigned quiet = 0; quiet < 3;) {
        u64 timeout = 2000000;

        s.count = 0;
        nets_fill(&ns, &s, &timeout);
        quiet = pollset_wait(&s, timeout) ? 0 : quiet + 1;
        nets_poll(&ns, &s);
    }
    pollset_free(&s);
}

/* ---- sums and segments ----------------------------------------------------------------------- */

START_TEST(sum_is_that_of_the_rfc_at_every_length)
{
    u8 bytes[150];

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (u8)(i * 37 + 11);
    ck_assert_uint_eq(
        net_sum_fold(net_sum((const u8[]){0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}, 8, 0)),
        0xddf2); /* RFC 1071, 3 */
    for (size_t len = 0; len <= sizeof bytes; len++) {
        u32 sum = 5;

        for (size_t i = 0; i < len; i++)
            sum += (u32)bytes[i] << (i & 1 ? 0 : 8);
        ck_assert_uint_eq(net_sum_fold(net_sum(bytes, len, 5)), net_sum_fold(sum));
    }
}
END_TEST

struct emitted {
    unsigned count;
    size_t bytes;
};

static void emit(void *opaque, const u8 *frame, size_t len)
{
    struct emitted *m = opaque;

    check_tcp(frame, len);
    m->count++;
    m->bytes += len - 54;
}

START_TEST(segments_are_whole_and_bad_frames_are_refused)
{
    static u8 frame[NET_FRAME_MAX], scratch[NET_FRAME_MAX];
    size_t len = make_tcp(frame, 60000, 0x10);
    struct emitted m = {0};

    ck_assert(net_segment(frame, len, 1448, scratch, emit, &m));
    ck_assert_uint_eq(m.count, 42);
    ck_assert_uint_eq(m.bytes, 60000);
    ck_assert(!net_segment(frame, len, 0, scratch, emit, &m));
    ck_assert(!net_segment(frame, 53, 1448, scratch, emit, &m)); /* headers are cut off */
    frame[46] = 0xf0;                                            /* a TCP header of 60 bytes */
    ck_assert(!net_segment(frame, 60, 1448, scratch, emit, &m));
    frame[46] = 0x50;
    frame[23] = 17; /* UDP */
    ck_assert(!net_segment(frame, len, 1448, scratch, emit, &m));
    ck_assert_uint_eq(m.count, 42);
}
END_TEST

/* ---- queue ----------------------------------------------------------------------------------- */

START_TEST(short_frames_are_padded_and_those_without_room_wait)
{
    struct net *n = add(&(struct net_options){.kind = "none", .id = "n"}, 0);
    u8 frame[100];

    make_frame(frame, sizeof frame, 0x56);
    net_input(n, frame, 20);
    net_input(n, frame, 100);
    ck_assert_uint_eq(sinks[0].count, 0);
    sinks[0].room = 1;
    net_ready(n);
    ck_assert_uint_eq(sinks[0].count, 1);
    ck_assert_uint_eq(sinks[0].len[0], 60);
    ck_assert_uint_eq(sinks[0].frame[0][20], 0);
    sinks[0].room = 1;
    net_ready(n);
    ck_assert_uint_eq(sinks[0].len[1], 100);
    for (unsigned i = 0; i < 100000; i++) /* more than any limit: memory does not grow with it */
        net_input(n, frame, 100);
    ck_assert_uint_le(n->queued_bytes, 4 * MIB);
    net_discard(n);
    ck_assert(!n->queue && !n->queued_bytes);
}
END_TEST

/* ---- sockets --------------------------------------------------------------------------------- */

START_TEST(wire_of_two_carries_frames_and_its_end_is_a_link_that_is_down)
{
    struct net_options listen = {.kind = "socket", .id = "a"}, connect = listen;
    char where[80];
    struct net *a, *b;
    u8 frame[1000];

    snprintf(where, sizeof where, "unix:%s", path);
    listen.listen = connect.connect = where;
    connect.id = "b";
    a = add(&listen, 0);
    ck_assert(!net_link(a));
    b = add(&connect, 1);
    ck_assert(net_link(b));
    settle();
    ck_assert(net_link(a));
    ck_assert_uint_eq(sinks[0].link_changes, 1);

    sinks[0].room = 3;
    for (unsigned i = 0; i < 3; i++) {
        make_frame(frame, 1000 - i, 0x56);
        net_send(b, frame, 1000 - i, NULL);
    }
    settle();
    ck_assert_uint_eq(sinks[0].count, 3);
    ck_assert_uint_eq(sinks[0].len[2], 998);
    ck_assert_mem_eq(sinks[0].frame[2], frame, 998);

    ns.first->next = NULL; /* b goes */
    b->next = NULL;
    net_release(b);
    b->ops->close(b);
    free(b->id);
    free(b);
    settle();
    ck_assert(!net_link(a));
    ck_assert_uint_eq(sinks[0].link_changes, 2);
    ck_assert(strstr(reported.msg, "the peer is gone") && strstr(reported.msg, "link is down"));
}
END_TEST

START_TEST(peer_that_sends_no_frames_is_dropped)
{
    char where[80];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un {
        unsigned short family;
        char path[108];
    } u = {AF_UNIX, ""};
    struct net *a;

    snprintf(where, sizeof where, "unix:%s", path);
    a = add(&(struct net_options){.kind = "socket", .id = "a", .listen = where}, 0);
    snprintf(u.path, sizeof u.path, "%s", path);
    ck_assert(!connect(fd, (struct sockaddr *)&u, sizeof u));
    settle();
    ck_assert(net_link(a));
    sinks[0].room = 8;
    ck_assert_int_eq(write(fd, "\0\0\0\4abcd\0\0\0\0", 12), 12); /* too short: nothing */
    settle();
    ck_assert(net_link(a));
    ck_assert_uint_eq(sinks[0].count, 0);
    ck_assert_int_eq(write(fd, "\1\0\0\0", 4), 4); /* 16 MiB */
    settle();
    ck_assert(!net_link(a));
    ck_assert(strstr(reported.msg, "no frame"));
    close(fd);
}
END_TEST

/* ---- user network ---------------------------------------------------------------------------- */

START_TEST(user_network_answers_and_says_which_port_it_chose)
{
    static const u8 request[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34,
                                 0x56, 8,    6,    0,    1,    8,    0,    6,    4, 0,    1,
                                 0x52, 0x54, 0,    0x12, 0x34, 0x56, 10,   0,    2, 15,   0,
                                 0,    0,    0,    0,    0,    10,   0,    2,    2};
    struct net_options o = {
        .kind = "user", .id = "u", .hostfwd = {"tcp:127.0.0.1:0-:80"}, .hostfwds = 1};
    struct err e = {0};
    u8 frame[60] = {0};
    struct net *n;

    if (!nets_add(&ns, &o, &e)) {
        ck_assert_msg(strstr(e.msg, "lacks libslirp") != NULL, "%s", e.msg);
        return;
    }
    ck_assert_msg(strstr(reported.msg, "has port ") != NULL, "%s", reported.msg);
    ck_assert_int_gt(atoi(strstr(reported.msg, "has port ") + 9), 0);
    n = net_take(&ns, "u", &sink_device, &sinks[0], &e);
    sinks[0].room = 8;
    memcpy(frame, request, sizeof request);
    net_send(n, frame, sizeof frame, NULL);
    ck_assert_uint_eq(sinks[0].count, 1); /* at once: no host is asked */
    ck_assert_uint_eq(sinks[0].frame[0][21], 2);
    ck_assert_mem_eq(sinks[0].frame[0] + 28, ((const u8[]){10, 0, 2, 2}), 4);
}
END_TEST

START_TEST(words_of_the_user_network_are_checked)
{
    static const char *const forwards[] = {"tcp:80",       "tcp:a:80-:80",   "tcp:127.0.0.1:x-:80",
                                           "sctp::80-:80", "tcp::70000-:80", "tcp::80-:0"};
    struct net_options o = {.kind = "user", .id = "u", .hostfwds = 1};
    struct err e;

    for (unsigned i = 0; i < ARRAY_SIZE(forwards); i++) {
        o.hostfwd[0] = forwards[i];
        ck_assert_msg(!nets_add(&ns, &o, &e), "%s", forwards[i]);
        ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    }
    o.hostfwds = 0;
    o.net = "10.0.2.0/33";
    ck_assert(!nets_add(&ns, &o, &e));
    o.net = "10.1.0.0/16";
    o.host = "10.0.2.2";
    ck_assert(!nets_add(&ns, &o, &e));
    ck_assert(ns.first == NULL);
}
END_TEST

/* ---- dumps ----------------------------------------------------------------------------------- */

START_TEST(dump_has_frames_of_both_directions_and_the_guests_time)
{
    struct net *n = add(&(struct net_options){.kind = "none", .id = "n"}, 0);
    u8 frame[100], got[24 + 2 * (16 + 80) + 1];
    struct err e;
    FILE *f;

    ck_assert(nets_add_dump(
        &ns, &(struct net_dump_options){.id = "d", .netdev = "n", .file = path, .maxlen = 80}, &e));
    clock_advance_to(&clock_, 3000007000ull);
    make_frame(frame, sizeof frame, 0x56);
    net_send(n, frame, 70, NULL);
    net_input(n, frame, 100);
    nets_destroy(&ns);
    nets_init(&ns, &clock_);
    f = fopen(path, "rb");
    ck_assert_uint_eq(fread(got, 1, sizeof got, f), 24 + 16 + 70 + 16 + 80);
    fclose(f);
    ck_assert_uint_eq(ld_le32(got), 0xa1b2c3d4);
    ck_assert_uint_eq(ld_le32(got + 24), 3);
    ck_assert_uint_eq(ld_le32(got + 28), 7);
    ck_assert_uint_eq(ld_le32(got + 24 + 86 + 8), 80);
    ck_assert_uint_eq(ld_le32(got + 24 + 86 + 12), 100);
    ck_assert_mem_eq(got + 24 + 86 + 16, frame, 80);
}
END_TEST

/* ---- lent ------------------------------------------------------------------------------------ */

START_TEST(a_lent_network_is_served_by_another_until_it_is_given_back)
{
    struct net *n = add(&(struct net_options){.kind = "none", .id = "n0"}, 0);

    net_lend(n, &sink_device, &sinks[1]);
    ck_assert_ptr_eq(n->opaque, &sinks[1]);
    ck_assert_ptr_eq(n->owner.opaque, &sinks[0]);
    net_give_back(n);
    ck_assert_ptr_eq(n->opaque, &sinks[0]);
    ck_assert(!n->owner.device && n->device == &sink_device && n->taken);
}
END_TEST

/* ---- names and addresses --------------------------------------------------------------------- */

START_TEST(a_network_has_one_device_and_a_device_one_address)
{
    struct err e;
    u8 mac[6];

    add(&(struct net_options){.kind = "none", .id = "n0"}, 0);
    ck_assert(!net_take(&ns, "n0", &sink_device, NULL, &e));
    ck_assert(!net_take(&ns, "n1", &sink_device, NULL, &e));
    ck_assert(strstr(e.hint, "n0") != NULL);
    ck_assert(!nets_add(&ns, &(struct net_options){.kind = "none", .id = "n0"}, &e));
    ck_assert(!nets_add(&ns, &(struct net_options){.kind = "usr", .id = "n1"}, &e));
    ck_assert(strstr(e.hint, "user") != NULL);
    ck_assert(net_mac(&ns, NULL, mac, &e) && mac[5] == 0x56);
    ck_assert(net_mac(&ns, NULL, mac, &e) && mac[5] == 0x57);
    ck_assert(net_mac(&ns, "02:00:00:00:aB:cd", mac, &e) && mac[4] == 0xab);
    ck_assert(!net_mac(&ns, "03:00:00:00:00:00", mac, &e));
    ck_assert(!net_mac(&ns, "02:00:00:00:00", mac, &e));
    ck_assert(!net_mac(&ns, "02:00:00:00:00:0g", mac, &e));
    ck_assert(!net_mac(&ns, "02:00:00:00:00:00:00", mac, &e));
}
END_TEST

START_TEST(options_make_networks_and_controllers)
{
    static const char *const words[] = {
        "parallax",
        "-netdev",
        "user,id=a,hostfwd=tcp::2222-:22,hostfwd=udp::53-:53,restrict=on",
        "-nic",
        "socket,model=virtio,mac=02:00:00:00:00:01,listen=unix:/tmp/a,,b",
        "-nic",
        "user",
        "-device",
        "e1000,netdev=a",
        "-object",
        "filter-dump,id=d,netdev=a,file=x",
        NULL};
    struct net_list l = {0};
    struct options o;
    struct err e = {0};

    ck_assert_msg(options_parse(&o, ARRAY_SIZE(words) - 1, (char **)(uintptr_t)words, &e), "%s",
                  e.msg);
    ck_assert_msg(nets_from_options(&l, &o, &e), "%s", e.msg);
    ck_assert_uint_eq(l.count, 3);
    ck_assert_uint_eq(l.net[0].hostfwds, 2);
    ck_assert(l.net[0].restricted);
    ck_assert_str_eq(l.net[1].listen, "unix:/tmp/a,b");
    ck_assert_str_eq(l.devices[0], "virtio-net-pci,netdev=nic1,mac=02:00:00:00:00:01");
    ck_assert_str_eq(l.devices[1], "e1000,netdev=nic2");
    ck_assert_str_eq(l.devices[2], "e1000,netdev=a");
    ck_assert(!l.devices[3]);
    ck_assert_str_eq(l.dump[0].netdev, "a");
    nets_free(&l);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {sum_is_that_of_the_rfc_at_every_length,
                                  segments_are_whole_and_bad_frames_are_refused,
                                  short_frames_are_padded_and_those_without_room_wait,
                                  wire_of_two_carries_frames_and_its_end_is_a_link_that_is_down,
                                  peer_that_sends_no_frames_is_dropped,
                                  user_network_answers_and_says_which_port_it_chose,
                                  words_of_the_user_network_are_checked,
                                  dump_has_frames_of_both_directions_and_the_guests_time,
                                  a_lent_network_is_served_by_another_until_it_is_given_back,
                                  a_network_has_one_device_and_a_device_one_address,
                                  options_make_networks_and_controllers,
                                  NULL};

    return run_tests("net", tests, setup, teardown);
}
