/*
 * test_pv_xen_store.c: xenstore as a guest meets it, by messages on its ring; and the handshake of a
 * block device and of a network interface, whose requests run.
 */
#include "block/drive.h"
#include "devices/xen_vif.h"
#include "pv/xen/xen.h"

#include "pv_fixture.h" /* has variables named as parameters in the others */

#include <stdio.h>
#include <unistd.h>

#define RING (XEN_STORE_GFN * 4096ull)
#define GRANTS 0x41000ull
#define BLOCK_RING 0x42000ull
#define DATA 0x43000ull
#define ARG 0x30000ull

enum { DIRECTORY = 1, READ = 2, GET_PERMS = 3, WATCH = 4, UNWATCH = 5, START = 6, END = 7, DOMAIN_PATH = 10,
       WRITE = 11, MKDIR = 12, RM = 13, SET_PERMS = 14, EVENT = 15, ERROR = 16, RESET_WATCHES = 21 };

static struct drives drives;
static char image_path[] = "/tmp/xen-block-XXXXXX";

static void setup(void)
{
    machine_setup("xen");
}

static void teardown(void)
{
    machine_teardown();
}

/* ---- a client -------------------------------------------------------------------------------- */

struct message {
    u32 type, id, transaction, len;
    char data[4097];
};

static void notify(u32 port)
{
    dma_write32(&phys, ARG, port);
    cpu->gpr[RAX] = 32;
    cpu->gpr[RDI] = 4;
    cpu->gpr[RSI] = ARG;
    ck_assert(pv_hypercall(pv, cpu));
    ck_assert_uint_eq(cpu->gpr[RAX], 0);
}

static void put(u32 *prod, const void *data, u32 len)
{
    for (u32 i = 0; i < len; i++) {
        while (*prod - dma_read32(&phys, RING + 2048) == 1024) {
            dma_write32(&phys, RING + 2052, *prod);
            notify(XEN_STORE_PORT);
        }
        dma_write(&phys, RING + (*prod)++ % 1024, (const u8 *)data + i, 1);
    }
}

static void send(u32 type, u32 id, u32 transaction, const void *data, u32 len)
{
    u32 prod = dma_read32(&phys, RING + 2052);
    u8 head[16];

    st_le32(head, type);
    st_le32(head + 4, id);
    st_le32(head + 8, transaction);
    st_le32(head + 12, len);
    put(&prod, head, 16);
    put(&prod, data, len);
    dma_write32(&phys, RING + 2052, prod);
    notify(XEN_STORE_PORT);
}

static void get(void *to, u32 len)
{
    u32 cons = dma_read32(&phys, RING + 2056);

    for (u32 i = 0; i < len; i++) {
        if (cons == dma_read32(&phys, RING + 2060)) {
            dma_write32(&phys, RING + 2056, cons);
            notify(XEN_STORE_PORT); /* there is room: the rest comes */
            ck_assert_msg(cons != dma_read32(&phys, RING + 2060), "a message is cut short");
        }
        ck_assert(dma_read(&phys, RING + 1024 + cons++ % 1024, (u8 *)to + i, 1));
    }
    dma_write32(&phys, RING + 2056, cons);
}

static bool is_quiet(void)
{
    return dma_read32(&phys, RING + 2056) == dma_read32(&phys, RING + 2060);
}

static struct message receive(void)
{
    struct message m;
    u8 head[16];

    get(head, 16);
    m = (struct message){ld_le32(head), ld_le32(head + 4), ld_le32(head + 8), ld_le32(head + 12), ""};
    ck_assert_uint_le(m.len, 4096);
    get(m.data, m.len);
    return m;
}

static struct message ask_in(u32 transaction, u32 type, const char *data, u32 len)
{
    static u32 id;
    struct message m;

    send(type, ++id, transaction, data, len);
    m = receive();
    ck_assert_uint_eq(m.id, id);
    return m;
}

#define ASK(type, text) ask_in(0, type, text, sizeof(text))
#define ASK_IN(t, type, text) ask_in(t, type, text, sizeof(text))
/* Two strings, the second without its NUL, as a value is. */
#define ASK_VALUE(t, type, text) ask_in(t, type, text, sizeof(text) - 1)

static void expect(struct message m, u32 type, const char *text)
{
    ck_assert_uint_eq(m.type, type);
    ck_assert_str_eq(m.data, text);
}

/* ---- the tree -------------------------------------------------------------------------------- */

START_TEST(a_domain_finds_its_home)
{
    expect(ASK(DOMAIN_PATH, "1"), DOMAIN_PATH, "/local/domain/1");
    expect(ASK(READ, "domid"), READ, "1");
    expect(ASK(READ, "/local/domain/1/memory/target"), READ, "1024");
    expect(ASK(READ, "nothing"), ERROR, "ENOENT");
    expect(ASK(READ, ""), ERROR, "EINVAL");
    expect(ASK(READ, "/a//b"), ERROR, "EINVAL");
    expect(ask_in(0, READ, "domid", 5), ERROR, "EINVAL"); /* no NUL */
}
END_TEST

START_TEST(what_is_written_is_read)
{
    struct message m;

    expect(ASK_VALUE(0, WRITE, "data/deep/er\0some value"), WRITE, "OK");
    m = ASK(READ, "data/deep/er");
    expect(m, READ, "some value");
    ck_assert_uint_eq(m.len, 10);
    m = ASK(DIRECTORY, "data");
    expect(m, DIRECTORY, "deep");
    ck_assert_uint_eq(m.len, 5);
    expect(ASK(MKDIR, "data/deep/er"), MKDIR, "OK"); /* it is there: it stays */
    expect(ASK(READ, "data/deep/er"), READ, "some value");
    expect(ASK(RM, "data/deep"), RM, "OK");
    expect(ASK(READ, "data/deep/er"), ERROR, "ENOENT");
    expect(ASK(GET_PERMS, "data"), GET_PERMS, "n1");
}
END_TEST

START_TEST(elsewhere_the_guest_only_reads)
{
    expect(ASK_VALUE(0, WRITE, "/local/domain/0/x\0y"), ERROR, "EACCES");
    expect(ASK_VALUE(0, WRITE, "/local/domain/10/x\0y"), ERROR, "EACCES");
    expect(ASK(RM, "/local"), ERROR, "EACCES");
    expect(ASK(RM, "/local/domain/1"), ERROR, "EINVAL");
    expect(ASK(MKDIR, "/x"), ERROR, "EACCES");
    expect(ASK(8, "x"), ERROR, "ENOSYS"); /* INTRODUCE: domain 0's */
    expect(ASK(0xffff, "x"), ERROR, "ENOSYS");
}
END_TEST

START_TEST(the_tree_has_an_end)
{
    struct message m;
    char path[32];

    for (unsigned i = 0; i < XEN_STORE_NODES; i++) {
        m = ask_in(0, MKDIR, path, (u32)snprintf(path, sizeof path, "data/n%u", i) + 1);
        if (m.type == ERROR)
            break;
    }
    expect(m, ERROR, "ENOSPC");
    expect(ASK(DIRECTORY, "data"), ERROR, "E2BIG"); /* more names than a message holds */
    expect(ASK(RM, "data"), RM, "OK");
    expect(ASK(MKDIR, "data"), MKDIR, "OK");
}
END_TEST

/* ---- watches --------------------------------------------------------------------------------- */

START_TEST(a_watch_fires_at_once_and_for_what_lies_below)
{
    struct message m;

    expect(ASK(WATCH, "data\0token"), WATCH, "OK");
    m = receive();
    expect(m, EVENT, "data");
    ck_assert_str_eq(m.data + 5, "token");
    send(WRITE, 7, 0, "data/a\0" "1", 8);
    expect(receive(), WRITE, "OK");
    expect(receive(), EVENT, "data/a"); /* relative, as the watch is */
    expect(ASK_VALUE(0, WRITE, "control/a\0" "1"), WRITE, "OK");
    ck_assert(is_quiet());
    expect(ASK(WATCH, "data\0token"), ERROR, "EEXIST");
    expect(ASK(UNWATCH, "data\0other"), ERROR, "ENOENT");
    expect(ASK(UNWATCH, "data\0token"), UNWATCH, "OK");
    expect(ASK_VALUE(0, WRITE, "data/a\0" "2"), WRITE, "OK");
    ck_assert(is_quiet());
}
END_TEST

START_TEST(a_watch_hears_that_its_parent_went)
{
    expect(ASK_VALUE(0, WRITE, "data/a/b\0" "1"), WRITE, "OK");
    expect(ASK(WATCH, "/local/domain/1/data/a/b\0t"), WATCH, "OK");
    expect(receive(), EVENT, "/local/domain/1/data/a/b");
    send(RM, 7, 0, "data/a", 7);
    expect(receive(), RM, "OK");
    expect(receive(), EVENT, "/local/domain/1/data/a/b");
    expect(ASK(RESET_WATCHES, ""), RESET_WATCHES, "OK");
    expect(ASK(MKDIR, "data/a/b"), MKDIR, "OK");
    ck_assert(is_quiet());
}
END_TEST

/* ---- transactions ---------------------------------------------------------------------------- */

static u32 begin(void)
{
    struct message m = ASK(START, "");
    ck_assert_uint_eq(m.type, START);
    return (u32)atoi(m.data);
}

START_TEST(a_transaction_shows_its_changes_when_it_ends)
{
    u32 t = begin();

    expect(ASK_VALUE(t, WRITE, "data/a\0" "1"), WRITE, "OK");
    expect(ASK_IN(t, READ, "data/a"), READ, "1");
    expect(ASK(READ, "data/a"), ERROR, "ENOENT");
    expect(ASK_IN(t, END, "T"), END, "OK");
    expect(ASK(READ, "data/a"), READ, "1");
    expect(ASK_IN(t, END, "T"), ERROR, "ENOENT");
    t = begin();
    expect(ASK_IN(t, RM, "data/a"), RM, "OK");
    expect(ASK_IN(t, END, "F"), END, "OK");
    expect(ASK(READ, "data/a"), READ, "1");
}
END_TEST

START_TEST(a_transaction_that_came_too_late_is_tried_again)
{
    u32 t = begin(), idle = begin();

    expect(ASK_VALUE(t, WRITE, "data/a\0" "1"), WRITE, "OK");
    expect(ASK_VALUE(0, WRITE, "data/b\0" "2"), WRITE, "OK");
    expect(ASK_IN(t, END, "T"), ERROR, "EAGAIN");
    expect(ASK_IN(idle, END, "T"), END, "OK"); /* it only read */
    for (int i = 0; i < 10; i++)
        begin();
    expect(ASK(START, ""), ERROR, "ENOSPC");
}
END_TEST

/* ---- the ring -------------------------------------------------------------------------------- */

START_TEST(a_guest_that_breaks_the_protocol_is_not_heard_any_more)
{
    u8 head[16] = {2};

    st_le32(head + 12, 4097);
    dma_write(&phys, RING, head, 16);
    dma_write32(&phys, RING + 2052, 16);
    notify(XEN_STORE_PORT);
    ck_assert_uint_eq(dma_read32(&phys, RING + 2072), 3);
    dma_write32(&phys, RING + 2052, 5000);
    notify(XEN_STORE_PORT);
    ck_assert(is_quiet());
}
END_TEST

START_TEST(indices_out_of_range_are_an_error)
{
    dma_write32(&phys, RING + 2052, 5000);
    notify(XEN_STORE_PORT);
    ck_assert_uint_eq(dma_read32(&phys, RING + 2072), 2);
    pv_reset(pv);
    dma_write32(&phys, RING + 2056, 5000); /* answers */
    notify(XEN_STORE_PORT);
    ck_assert_uint_eq(dma_read32(&phys, RING + 2072), 2);
}
END_TEST

START_TEST(answers_wait_while_the_ring_is_full)
{
    for (u32 i = 0; i < 200; i++)
        send(READ, i, 0, "memory/target", 14);
    for (u32 i = 0; i < 200; i++) {
        struct message m = receive();
        ck_assert_uint_eq(m.id, i);
        expect(m, READ, "1024");
    }
}
END_TEST

/* ---- a block device -------------------------------------------------------------------------- */

static void with_disk(void)
{
    struct image_options o = {.path = image_path};
    struct err e = {0};
    int fd;

    machine_setup("none");
    strcpy(image_path + strlen(image_path) - 6, "XXXXXX");
    fd = mkstemp(image_path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 64 * 1024), 0);
    ck_assert_int_eq(pwrite(fd, "sector three", 12, 3 * 512), 12);
    close(fd);
    drives_init(&drives, &virtual_time);
    ck_assert_msg(drive_add(&drives, "d", MEDIA_DISK, &o, &e) != NULL, "%s", e.msg);
    env.drives = &drives;
    env.disk[0] = "d";
    restart("xen");
}

static void without_disk(void)
{
    struct err e = {0};

    machine_teardown();
    drives_destroy(&drives, &e);
    unlink(image_path);
}

static void grant(u32 ref, gpa_t gpa, u32 flags)
{
    dma_write32(&phys, GRANTS + 8 * ref, flags);
    dma_write32(&phys, GRANTS + 8 * ref + 4, (u32)(gpa / 4096));
}

/* The grant table, and a port for domain 0. */
static u32 prepare_front_end(void)
{
    dma_write64(&phys, ARG, DOMID_SELF | 1ull << 32); /* grant frame 0 */
    dma_write64(&phys, ARG + 8, 0);
    dma_write64(&phys, ARG + 16, GRANTS / 4096);
    cpu->gpr[RAX] = 12;
    cpu->gpr[RDI] = 7;
    cpu->gpr[RSI] = ARG;
    ck_assert(pv_hypercall(pv, cpu));
    ck_assert_uint_eq(cpu->gpr[RAX], 0);
    dma_write64(&phys, ARG, DOMID_SELF); /* for domain 0 */
    cpu->gpr[RAX] = 32;
    cpu->gpr[RDI] = 6;
    ck_assert(pv_hypercall(pv, cpu));
    return dma_read32(&phys, ARG + 4);
}

/* As a front end does; returns the port. */
static u32 connect_disk(void)
{
    char text[128];
    u32 port = prepare_front_end();

    grant(8, BLOCK_RING, 1);
    dma_fill(&phys, BLOCK_RING, 0, 4096);
    expect(ASK(READ, "/local/domain/0/backend/vbd/1/51712/state"), READ, "2");
    expect(ASK_VALUE(0, WRITE, "device/vbd/51712/ring-ref\0" "8"), WRITE, "OK");
    int n = snprintf(text, sizeof text, "device/vbd/51712/event-channel%c%u", 0, port);
    expect(ask_in(0, WRITE, text, (u32)n), WRITE, "OK");
    expect(ASK_VALUE(0, WRITE, "device/vbd/51712/protocol\0x86_64-abi"), WRITE, "OK");
    expect(ASK_VALUE(0, WRITE, "device/vbd/51712/state\0" "3"), WRITE, "OK");
    return port;
}

/* One segment of one sector at the start of page `ref`. */
static void put_request(u32 n, u8 op, u64 id, u64 sector, u32 ref, u8 last)
{
    gpa_t slot = BLOCK_RING + 64 + n % 32 * 112;

    dma_fill(&phys, slot, 0, 112);
    dma_write32(&phys, slot, op | 1u << 8);
    dma_write64(&phys, slot + 8, id);
    dma_write64(&phys, slot + 16, sector);
    dma_write32(&phys, slot + 24, ref);
    dma_write16(&phys, slot + 28, (u16)(last << 8));
    dma_write32(&phys, BLOCK_RING, n + 1);
}

static s16 result(u32 n, u64 id)
{
    gpa_t slot = BLOCK_RING + 64 + n % 32 * 112;

    for (int i = 0; i < 1000 && dma_read32(&phys, BLOCK_RING + 8) <= n; i++) {
        advance(1000000);
        drives_run(&drives);
        usleep(100);
    }
    ck_assert_uint_eq(dma_read32(&phys, BLOCK_RING + 8), n + 1);
    ck_assert_uint_eq(dma_read64(&phys, slot), id);
    return (s16)dma_read16(&phys, slot + 10);
}

START_TEST(a_disk_connects_and_moves_sectors)
{
    u32 port = connect_disk();
    char text[16] = "";

    expect(ASK(READ, "/local/domain/0/backend/vbd/1/51712/state"), READ, "4");
    expect(ASK(READ, "/local/domain/0/backend/vbd/1/51712/sectors"), READ, "128");
    grant(9, DATA, 1);
    put_request(0, 0, 77, 3, 9, 0);
    notify(port);
    ck_assert_int_eq(result(0, 77), 0);
    ck_assert(dma_read(&phys, DATA, text, 12));
    ck_assert_str_eq(text, "sector three");
    ck_assert_uint_eq(dma_read32(&phys, GRANTS + 8 * 9), 1); /* not in use any more */
    put_request(1, 1, 78, 5, 9, 0);
    notify(port);
    ck_assert_int_eq(result(1, 78), 0);
    u8 sector[512] = {0};
    ck_assert_int_eq(drive_read(drives_find(&drives, "d"), 5 * 512, sector, sizeof sector), 0);
    ck_assert_mem_eq(sector, "sector three", 12);
}
END_TEST

START_TEST(a_disk_refuses_what_is_not_granted_or_not_there)
{
    u32 port = connect_disk();

    put_request(0, 0, 1, 3, 10, 0); /* no grant */
    notify(port);
    ck_assert_int_eq(result(0, 1), -1);
    grant(9, DATA, 1 | BIT(2));
    put_request(1, 0, 2, 3, 9, 0); /* a read into a page that is read only */
    notify(port);
    ck_assert_int_eq(result(1, 2), -1);
    put_request(2, 1, 3, 128, 9, 0); /* beyond the end */
    notify(port);
    ck_assert_int_eq(result(2, 3), -1);
    put_request(3, 9, 4, 0, 9, 0); /* an operation that nobody knows */
    notify(port);
    ck_assert_int_eq(result(3, 4), -2);
    put_request(4, 1, 5, 0, 9, 8); /* a ninth sector of a page */
    notify(port);
    ck_assert_int_eq(result(4, 5), -1);
    put_request(5, 1, 6, ~0ull, 9, 0);
    notify(port);
    ck_assert_int_eq(result(5, 6), -1);
    dma_write32(&phys, BLOCK_RING, 0x80000000); /* nonsense: not followed */
    notify(port);
    ck_assert_uint_eq(dma_read32(&phys, BLOCK_RING + 8), 6);
}
END_TEST

START_TEST(a_disk_disconnects_and_connects_again)
{
    u32 port = connect_disk();

    expect(ASK_VALUE(0, WRITE, "device/vbd/51712/state\0" "6"), WRITE, "OK");
    expect(ASK(READ, "/local/domain/0/backend/vbd/1/51712/state"), READ, "6");
    ck_assert_uint_eq(dma_read32(&phys, GRANTS + 8 * 8), 1);
    put_request(0, 0, 1, 3, 9, 0);
    notify(port);
    ck_assert_uint_eq(dma_read32(&phys, BLOCK_RING + 8), 0);
    expect(ASK_VALUE(0, WRITE, "device/vbd/51712/state\0" "1"), WRITE, "OK");
    connect_disk();
    expect(ASK(READ, "/local/domain/0/backend/vbd/1/51712/state"), READ, "4");
}
END_TEST

/* ---- a network interface --------------------------------------------------------------------- */

#define TX_RING BLOCK_RING
#define RX_RING 0x44000ull
#define FRAME_BYTES 60u

static struct nets nets;
static struct xen_vif vif = {.mac = {2, 0, 0, 0, 0, 7}};
static u8 sent[256];
static size_t sent_bytes;

static void keep(struct net *n, const u8 *frame, size_t len)
{
    (void)n;
    ck_assert_uint_le(len, sizeof sent);
    memcpy(sent, frame, len);
    sent_bytes = len;
}

static void with_net(void)
{
    static const struct net_ops ops = {.send = keep};
    struct err e;

    machine_setup("none");
    nets_init(&nets, &virtual_time);
    ck_assert(nets_add(&nets, &(struct net_options){.kind = "none", .id = "n0"}, &e));
    vif.net = nets.first;
    vif.net->ops = &ops;
    sent_bytes = 0;
    env.vif[0] = &vif;
    restart("xen");
}

static void without_net(void)
{
    machine_teardown();
    ck_assert(!vif.receive); /* nobody is called any more */
    nets_destroy(&nets);
}

static u32 connect_net(void)
{
    char text[64];
    u32 port = prepare_front_end();

    grant(8, TX_RING, 1);
    grant(9, RX_RING, 1);
    dma_fill(&phys, TX_RING, 0, 4096);
    dma_fill(&phys, RX_RING, 0, 4096);
    expect(ASK(READ, "device/vif/0/mac"), READ, "02:00:00:00:00:07");
    expect(ASK_VALUE(0, WRITE, "device/vif/0/tx-ring-ref\0" "8"), WRITE, "OK");
    expect(ASK_VALUE(0, WRITE, "device/vif/0/rx-ring-ref\0" "9"), WRITE, "OK");
    expect(ASK_VALUE(0, WRITE, "device/vif/0/request-rx-copy\0" "1"), WRITE, "OK");
    int n = snprintf(text, sizeof text, "device/vif/0/event-channel%c%u", 0, port);
    expect(ask_in(0, WRITE, text, (u32)n), WRITE, "OK");
    expect(ASK_VALUE(0, WRITE, "device/vif/0/state\0" "4"), WRITE, "OK");
    expect(ASK(READ, "/local/domain/0/backend/vif/1/0/state"), READ, "4");
    return port;
}

/* The n-th request of the transmit ring, whose answer is expected at once. */
static s16 transmit(u32 port, u32 n, u32 ref, u16 offset, u16 size)
{
    gpa_t slot = TX_RING + 64 + n % 256 * 12;

    dma_write32(&phys, slot, ref);
    dma_write16(&phys, slot + 4, offset);
    dma_write16(&phys, slot + 6, 0);
    dma_write16(&phys, slot + 8, (u16)(100 + n));
    dma_write16(&phys, slot + 10, size);
    dma_write32(&phys, TX_RING, n + 1);
    notify(port);
    ck_assert_uint_eq(dma_read32(&phys, TX_RING + 8), n + 1);
    ck_assert_uint_eq(dma_read16(&phys, slot), 100 + n);
    return (s16)dma_read16(&phys, slot + 2);
}

START_TEST(an_interface_sends_what_is_granted_and_nothing_else)
{
    u32 port = connect_net();
    u8 frame[FRAME_BYTES];

    for (unsigned i = 0; i < sizeof frame; i++)
        frame[i] = (u8)(i * 3 + 1);
    dma_write(&phys, DATA + 4096 - FRAME_BYTES, frame, sizeof frame);
    ck_assert_int_eq(transmit(port, 0, 10, 4096 - FRAME_BYTES, FRAME_BYTES), -1); /* no grant */
    grant(10, DATA, 1 | BIT(2)); /* reading is enough */
    ck_assert_int_eq(transmit(port, 1, 10, 4097 - FRAME_BYTES, FRAME_BYTES), -1); /* beyond the page */
    ck_assert_int_eq(transmit(port, 2, 10, 0, 13), -1); /* less than a header */
    ck_assert_int_eq(transmit(port, 3, ~0u, 0, FRAME_BYTES), -1);
    ck_assert_uint_eq(sent_bytes, 0);
    ck_assert_int_eq(transmit(port, 4, 10, 4096 - FRAME_BYTES, FRAME_BYTES), 0);
    ck_assert_uint_eq(sent_bytes, FRAME_BYTES);
    ck_assert_mem_eq(sent, frame, FRAME_BYTES);
    ck_assert_uint_eq(dma_read32(&phys, GRANTS + 8 * 10), 1 | BIT(2)); /* not in use any more */
    dma_write32(&phys, TX_RING, 0x80000000); /* nonsense: not followed */
    notify(port);
    ck_assert_uint_eq(dma_read32(&phys, TX_RING + 8), 5);
}
END_TEST

static void post_buffer(u32 n, u32 ref)
{
    dma_write32(&phys, RX_RING + 64 + n * 8, 200 + n);
    dma_write32(&phys, RX_RING + 64 + n * 8 + 4, ref);
    dma_write32(&phys, RX_RING, n + 1);
}

/* The status of the n-th answer: bytes, or an error. */
static s16 received(u32 n)
{
    ck_assert_uint_eq(dma_read32(&phys, RX_RING + 8), n + 1);
    ck_assert_uint_eq(dma_read16(&phys, RX_RING + 64 + n * 8), 200 + n);
    return (s16)dma_read16(&phys, RX_RING + 64 + n * 8 + 6);
}

START_TEST(a_frame_waits_for_a_buffer_and_goes_into_it)
{
    static const u8 large[4097];
    u8 frame[FRAME_BYTES] = {2, 0, 0, 0, 0, 7}, got[FRAME_BYTES];

    ck_assert(vif.receive(vif.opaque, frame, sizeof frame)); /* nobody is there: dropped */
    connect_net();
    ck_assert(!vif.receive(vif.opaque, frame, sizeof frame));
    ck_assert(vif.receive(vif.opaque, large, sizeof large)); /* more than a page: dropped */
    grant(10, DATA, 1);
    post_buffer(0, 10);
    ck_assert(vif.receive(vif.opaque, frame, sizeof frame));
    ck_assert_int_eq(received(0), FRAME_BYTES);
    ck_assert(dma_read(&phys, DATA, got, sizeof got));
    ck_assert_mem_eq(got, frame, sizeof got);
    grant(10, DATA, 1 | BIT(2)); /* read only */
    post_buffer(1, 10);
    ck_assert(vif.receive(vif.opaque, frame, sizeof frame));
    ck_assert_int_eq(received(1), -1);
    ck_assert(!vif.receive(vif.opaque, frame, sizeof frame));
}
END_TEST

START_TEST(an_interface_disconnects_and_connects_again)
{
    u32 port = connect_net();

    expect(ASK_VALUE(0, WRITE, "device/vif/0/state\0" "6"), WRITE, "OK");
    expect(ASK(READ, "/local/domain/0/backend/vif/1/0/state"), READ, "6");
    ck_assert_uint_eq(dma_read32(&phys, GRANTS + 8 * 8), 1);
    ck_assert_uint_eq(dma_read32(&phys, GRANTS + 8 * 9), 1);
    dma_write32(&phys, TX_RING, 1);
    notify(port);
    ck_assert_uint_eq(dma_read32(&phys, TX_RING + 8), 0);
    expect(ASK_VALUE(0, WRITE, "device/vif/0/state\0" "1"), WRITE, "OK");
    expect(ASK(READ, "/local/domain/0/backend/vif/1/0/state"), READ, "2");
    connect_net();
}
END_TEST

START_TEST(an_unplugged_cards_network_becomes_an_interface)
{
    static const u8 mac[6] = {2, 0, 0, 0, 0, 9};
    struct net *list[PV_VIFS] = {vif.net};
    struct xen_vif *card = &vif; /* stands for what had it */

    vif.net->mac = mac;
    vif.net->opaque = card;
    xen_net_unplugged((struct pv_xen *)pv, list);
    expect(ASK(READ, "device/vif/1/mac"), READ, "02:00:00:00:00:09");
    ck_assert(vif.net->opaque != card);
    pv_reset(pv);
    ck_assert_ptr_eq(vif.net->opaque, card);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_xen_store");
    TCase *tc = tcase_create("xenstore"), *disk = tcase_create("block"), *net = tcase_create("net");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_domain_finds_its_home);
    tcase_add_test(tc, what_is_written_is_read);
    tcase_add_test(tc, elsewhere_the_guest_only_reads);
    tcase_add_test(tc, the_tree_has_an_end);
    tcase_add_test(tc, a_watch_fires_at_once_and_for_what_lies_below);
    tcase_add_test(tc, a_watch_hears_that_its_parent_went);
    tcase_add_test(tc, a_transaction_shows_its_changes_when_it_ends);
    tcase_add_test(tc, a_transaction_that_came_too_late_is_tried_again);
    tcase_add_test(tc, a_guest_that_breaks_the_protocol_is_not_heard_any_more);
    tcase_add_test(tc, indices_out_of_range_are_an_error);
    tcase_add_test(tc, answers_wait_while_the_ring_is_full);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(disk, with_disk, without_disk);
    tcase_add_test(disk, a_disk_connects_and_moves_sectors);
    tcase_add_test(disk, a_disk_refuses_what_is_not_granted_or_not_there);
    tcase_add_test(disk, a_disk_disconnects_and_connects_again);
    tcase_add_checked_fixture(net, with_net, without_net);
    tcase_add_test(net, an_interface_sends_what_is_granted_and_nothing_else);
    tcase_add_test(net, a_frame_waits_for_a_buffer_and_goes_into_it);
    tcase_add_test(net, an_interface_disconnects_and_connects_again);
    tcase_add_test(net, an_unplugged_cards_network_becomes_an_interface);
    suite_add_tcase(s, net);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, disk);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
