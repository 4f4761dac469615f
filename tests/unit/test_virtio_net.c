/* test_virtio_net.c: the virtio network device as its driver uses it, with split and packed queues.
 */
#include "devices/virtio_net.h"
#include "tests/unit/net_wire.h"

#define F_CSUM BIT64(0)
#define F_GUEST_CSUM BIT64(1)
#define F_HOST_TSO4 BIT64(11)
#define F_MRG_RXBUF BIT64(15)
#define F_CTRL_VQ BIT64(17)
#define F_CTRL_RX BIT64(18)
#define F_MQ BIT64(22)

/* With F_MQ the control queue is behind all others; a second pair is in its place then. */
enum { RX, TX, CONTROL, QUEUES, RX2 = 2, TX2, CONTROL_MQ = 14 };

#define SIZE 8u
#define RINGS 0x10000u /* 64 KiB apart per queue */
#define DATA 0x80000u
#define HEADER 12u

static struct board b;
static struct wire w;
static struct virtio_net *s;
static u64 registers;

/* The driver's side of each queue. */
static struct driver {
    u16 next, used;
    bool wrap, used_wrap; /* packed */
} driver[CONTROL_MQ + 1];

static void setup(void)
{
    board_init(&b);
    wire_init(&w, &b);
}

static void teardown(void)
{
    dev_destroy((struct dev *)s);
    wire_destroy(&w, &b);
    board_destroy(&b);
}

static bool is_packed(void)
{
    return virtio_has(&s->virtio, VIRTIO_F_RING_PACKED);
}

static u64 ring(unsigned queue)
{
    return RINGS + 0x10000u * (queue == CONTROL_MQ ? 4 : queue);
}

static void add_queue(unsigned q)
{
    phys_write(&b.phys, registers + 0x16, q, 2);
    phys_write(&b.phys, registers + 0x18, SIZE, 2);
    phys_write(&b.phys, registers + 0x20, ring(q), 8);
    phys_write(&b.phys, registers + 0x28, ring(q) + 0x1000, 8);
    phys_write(&b.phys, registers + 0x30, ring(q) + 0x2000, 8);
    phys_write(&b.phys, registers + 0x1c, 1, 2);
    driver[q].wrap = driver[q].used_wrap = true;
}

static void start(const char *props, u64 features)
{
    s = wire_add(&b, &virtio_net_class, props);
    registers = s->virtio.pci.bar[4].base;
    memset(driver, 0, sizeof driver);
    phys_write(&b.phys, registers + 0x14, 3, 1);
    for (unsigned word = 0; word < 2; word++) {
        phys_write(&b.phys, registers + 0x08, word, 4);
        phys_write(&b.phys, registers + 0x0c,
                   (features | VIRTIO_F_VERSION_1) >> 32 * word & 0xffffffff, 4);
    }
    phys_write(&b.phys, registers + 0x14, 0x0b, 1);
    for (unsigned q = 0; q < QUEUES; q++)
        add_queue(q);
    if (features & F_MQ) {
        add_queue(TX2);
        add_queue(CONTROL_MQ);
    }
    phys_write(&b.phys, registers + 0x14, 0x0f, 1);
    ck_assert_uint_eq(phys_read(&b.phys, registers + 0x14, 1), 0x0f);
}

/* One buffer, of one descriptor. */
static void give(unsigned q, u64 address, u32 len, bool writable)
{
    struct driver *d = &driver[q];
    u64 at = ring(q) + 16u * (d->next % SIZE);

    dma_write64(&b.phys, at, address);
    dma_write32(&b.phys, at + 8, len);
    if (is_packed()) {
        dma_write16(&b.phys, at + 12, d->next);
        dma_write16(&b.phys, at + 14, (u16)((d->wrap ? 0x80 : 0x8000) | (writable ? 2 : 0)));
        d->next = (u16)((d->next + 1) % SIZE);
        d->wrap ^= !d->next;
        return;
    }
    dma_write16(&b.phys, at + 12, writable ? 2 : 0);
    dma_write16(&b.phys, ring(q) + 0x1004 + 2u * (d->next % SIZE), d->next % SIZE);
    dma_write16(&b.phys, ring(q) + 0x1002, ++d->next);
}

static void notify(unsigned q)
{
    phys_write(&b.phys, registers + 0x3000 + 4 * q, q, 2);
}

/* A buffer that came back, and how much is in it. */
static bool take(unsigned q, u32 *len)
{
    struct driver *d = &driver[q];
    u64 at;

    if (is_packed()) {
        at = ring(q) + 16u * d->used;
        if (!!(dma_read16(&b.phys, at + 14) & 0x8000) != d->used_wrap ||
            !!(dma_read16(&b.phys, at + 14) & 0x80) != d->used_wrap)
            return false;
        *len = dma_read32(&b.phys, at + 8);
        d->used = (u16)((d->used + 1) % SIZE);
        d->used_wrap ^= !d->used;
        return true;
    }
    if (dma_read16(&b.phys, ring(q) + 0x2002) == d->used)
        return false;
    at = ring(q) + 0x2004 + 8u * (d->used % SIZE);
    ck_assert_uint_eq(dma_read32(&b.phys, at), d->used % SIZE); /* in order */
    *len = dma_read32(&b.phys, at + 4);
    d->used++;
    return true;
}

static void put_frame(u64 at, const u8 *header, const u8 *frame, size_t len)
{
    static const u8 zero[HEADER];

    dma_write(&b.phys, at, header ? header : zero, HEADER);
    dma_write(&b.phys, at + HEADER, frame, len);
}

static void both_ways(const char *props, u64 features)
{
    u8 frame[300], got[300];
    u32 len;

    start(props, features);
    make_frame(frame, sizeof frame, 0x56);
    for (unsigned round = 0; round < 3 * SIZE; round++) {
        frame[20] = (u8)round;
        put_frame(DATA, NULL, frame, sizeof frame);
        give(TX, DATA, HEADER + sizeof frame, false);
        notify(TX);
        ck_assert_uint_eq(w.count, 1);
        ck_assert_uint_eq(w.sent[0].len, sizeof frame);
        ck_assert_mem_eq(w.sent[0].data, frame, sizeof frame);
        ck_assert(take(TX, &len));
        w.count = 0;

        net_input(&w.net, frame, sizeof frame); /* it waits */
        ck_assert(!take(RX, &len));
        give(RX, DATA + 0x1000, 2000, true);
        notify(RX);
        ck_assert(take(RX, &len));
        ck_assert_uint_eq(len, HEADER + sizeof frame);
        dma_read(&b.phys, DATA + 0x1000 + HEADER, got, sizeof got);
        ck_assert_mem_eq(got, frame, sizeof got);
        ck_assert_uint_eq(dma_read16(&b.phys, DATA + 0x1000 + 10), 1);
        ck_assert(!take(RX, &len));
    }
}

START_TEST(frames_go_both_ways_in_split_queues)
{
    both_ways(NULL, 0);
}
END_TEST

START_TEST(frames_go_both_ways_in_packed_queues)
{
    both_ways("netdev=wire,packed=on", VIRTIO_F_RING_PACKED);
}
END_TEST

static void several_buffers(const char *props, u64 features)
{
    u8 frame[1000], got[1012];
    u32 len;

    start(props, features | F_MRG_RXBUF);
    make_frame(frame, sizeof frame, 0x56);
    for (unsigned i = 0; i < 3; i++)
        give(RX, DATA + 0x1000 * i, 300, true);
    net_input(&w.net, frame, sizeof frame);
    ck_assert(!take(RX, &len)); /* three are not enough, and none is gone */
    give(RX, DATA + 0x3000, 300, true);
    notify(RX);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert(take(RX, &len));
        ck_assert_uint_eq(len, i < 3 ? 300 : 112);
        dma_read(&b.phys, DATA + 0x1000 * i, got + 300 * i, len);
    }
    ck_assert(!take(RX, &len));
    ck_assert_uint_eq(ld_le16(got + 10), 4);
    ck_assert_mem_eq(got + HEADER, frame, sizeof frame);
}

START_TEST(long_frame_is_merged_of_several_buffers)
{
    several_buffers(NULL, 0);
}
END_TEST

START_TEST(long_frame_is_merged_in_packed_queues)
{
    several_buffers("netdev=wire,packed=on", VIRTIO_F_RING_PACKED);
}
END_TEST

/* A back end may answer at once, in the middle of what the device does. */
static void answer(struct net *n, const u8 *frame, size_t len)
{
    wire_send(n, frame, len);
    net_input(n, frame, len);
}

START_TEST(answer_that_comes_while_sending_harms_nothing)
{
    static const struct net_ops echo = {.send = answer};
    u8 frame[100];
    u32 len;

    start(NULL, 0);
    w.net.ops = &echo;
    make_frame(frame, sizeof frame, 0x56);
    put_frame(DATA, NULL, frame, sizeof frame);
    for (unsigned i = 0; i < 3; i++)
        give(RX, DATA + 0x1000 * (i + 1), 2000, true);
    notify(RX);
    for (unsigned i = 0; i < 3; i++)
        give(TX, DATA, HEADER + sizeof frame, false);
    notify(TX);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(take(TX, &len));
        ck_assert(take(RX, &len));
        ck_assert_uint_eq(len, HEADER + sizeof frame);
    }
}
END_TEST

/* Tells the device how many pairs the driver uses; what it answers. */
static u8 use_pairs(u16 pairs)
{
    const u8 command[4] = {4, 0, (u8)pairs, (u8)(pairs >> 8)};
    u32 len;

    dma_write(&b.phys, DATA + 0x8000, command, sizeof command);
    dma_write64(&b.phys, ring(CONTROL_MQ) + 16, DATA + 0x9000); /* the answer: descriptor 1 */
    dma_write32(&b.phys, ring(CONTROL_MQ) + 24, 1);
    dma_write16(&b.phys, ring(CONTROL_MQ) + 28, 2);
    dma_write64(&b.phys, ring(CONTROL_MQ), DATA + 0x8000);
    dma_write32(&b.phys, ring(CONTROL_MQ) + 8, sizeof command);
    dma_write16(&b.phys, ring(CONTROL_MQ) + 12, 1);
    dma_write16(&b.phys, ring(CONTROL_MQ) + 14, 1);
    dma_write16(&b.phys, ring(CONTROL_MQ) + 0x1004 + 2u * (driver[CONTROL_MQ].next % SIZE), 0);
    dma_write16(&b.phys, ring(CONTROL_MQ) + 0x1002, ++driver[CONTROL_MQ].next);
    notify(CONTROL_MQ);
    driver[CONTROL_MQ].used++;
    ck_assert_uint_eq(dma_read16(&b.phys, ring(CONTROL_MQ) + 0x2002), driver[CONTROL_MQ].used);
    dma_read(&b.phys, DATA + 0x9000, &len, 1);
    return (u8)len;
}

/* The other direction of a TCP frame's flow. */
static void turn_round(u8 *frame)
{
    u8 t[4];

    memcpy(t, frame + 26, 4);
    memcpy(frame + 26, frame + 30, 4);
    memcpy(frame + 30, t, 4);
    memcpy(t, frame + 34, 2);
    memcpy(frame + 34, frame + 36, 2);
    memcpy(frame + 36, t, 2);
}

START_TEST(a_flow_comes_in_by_the_pair_by_which_it_is_sent)
{
    u8 frame[1000], back[1000];
    size_t size = make_tcp(frame, 100, 0x18);
    u32 len;

    start("netdev=wire,mq=on", F_CTRL_VQ | F_MQ);
    ck_assert_uint_eq(phys_read(&b.phys, registers + 0x2000 + 8, 2), 7);
    memcpy(back, frame, size);
    turn_round(back);
    for (unsigned i = 0; i < 3; i++) {
        give(RX, DATA + 0x2000 + 0x1000 * i, 2000, true);
        give(RX2, DATA + 0x6000 + 0x1000 * (i & 1), 2000, true);
    }
    put_frame(DATA, NULL, frame, size);
    give(TX2, DATA, HEADER + (u32)size, false);
    notify(TX2);
    ck_assert(take(TX2, &len));
    net_input(&w.net, back, size); /* the driver uses one pair until it says more */
    ck_assert(take(RX, &len));
    ck_assert_uint_eq(use_pairs(8), 1);
    ck_assert_uint_eq(use_pairs(0), 1);
    ck_assert_uint_eq(use_pairs(2), 0);
    give(TX2, DATA, HEADER + (u32)size, false);
    notify(TX2);
    ck_assert(take(TX2, &len));
    net_input(&w.net, back, size);
    ck_assert(!take(RX, &len));
    ck_assert(take(RX2, &len));
    back[36] ^= 1; /* another port */
    net_input(&w.net, back, size);
    ck_assert(take(RX, &len));
    ck_assert(!take(RX2, &len));
}
END_TEST

START_TEST(sums_and_segments_are_made_for_the_driver)
{
    u8 frame[4000], header[HEADER] = {1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0}; /* of 1460 */
    size_t len = make_tcp(frame, 3000, 0x18);

    start(NULL, F_CSUM | F_HOST_TSO4);
    put_frame(DATA, header, frame, len);
    give(TX, DATA, HEADER + (u32)len, false);
    notify(TX);
    ck_assert_uint_eq(w.count, 3);
    for (unsigned i = 0; i < 3; i++)
        check_tcp(w.sent[i].data, w.sent[i].len);
    ck_assert_uint_eq(w.sent[2].len, 54 + 80);

    w.count = 0;
    len = make_tcp(frame, 100, 0x10);
    ck_assert(net_finish_large(frame, len));
    frame[50] = 0; /* the sum of the pseudo header, as drivers put it there */
    frame[51] = 0;
    st_le16(frame + 50, (u16)__builtin_bswap16(net_sum_fold(net_sum(frame + 26, 8, 6 + 120))));
    header[1] = 0;
    put_frame(DATA, header, frame, len);
    give(TX, DATA, HEADER + (u32)len, false);
    notify(TX);
    ck_assert_uint_eq(w.count, 1);
    check_tcp(w.sent[0].data, w.sent[0].len);
}
END_TEST

START_TEST(only_right_sums_are_called_valid)
{
    u8 frame[200];
    size_t len = make_tcp(frame, 100, 0x10);

    start(NULL, F_GUEST_CSUM);
    ck_assert(net_finish_large(frame, len));
    give(RX, DATA, 2000, true);
    give(RX, DATA + 0x1000, 2000, true);
    net_input(&w.net, frame, len);
    frame[100] ^= 1;
    net_input(&w.net, frame, len);
    ck_assert_uint_eq(phys_read(&b.phys, DATA, 1), 2);
    ck_assert_uint_eq(phys_read(&b.phys, DATA + 0x1000, 1), 0);
}
END_TEST

static u8 order(const u8 *bytes, u32 len)
{
    struct driver *d = &driver[CONTROL];
    u64 at = ring(CONTROL);

    dma_write(&b.phys, DATA + 0x8000, bytes, len);
    dma_write64(&b.phys, at, DATA + 0x8000);
    dma_write32(&b.phys, at + 8, len);
    dma_write16(&b.phys, at + 12, 1);
    dma_write16(&b.phys, at + 14, 1);
    dma_write64(&b.phys, at + 16, DATA + 0x9000);
    dma_write32(&b.phys, at + 24, 1);
    dma_write16(&b.phys, at + 28, 2);
    dma_write16(&b.phys, ring(CONTROL) + 0x1004 + 2u * (d->next % SIZE), 0);
    dma_write16(&b.phys, ring(CONTROL) + 0x1002, ++d->next);
    phys_write(&b.phys, DATA + 0x9000, 0xff, 1);
    notify(CONTROL);
    d->used = (u16)(d->next - 1);
    ck_assert(dma_read16(&b.phys, ring(CONTROL) + 0x2002) == d->next);
    return (u8)phys_read(&b.phys, DATA + 0x9000, 1);
}

static bool arrives(const u8 *frame)
{
    u32 len;

    give(RX, DATA, 2000, true);
    net_input(&w.net, frame, 100);
    if (take(RX, &len))
        return true;
    driver[RX].next--; /* the buffer is still there */
    dma_write16(&b.phys, ring(RX) + 0x1002, driver[RX].next);
    return false;
}

START_TEST(control_queue_says_what_is_wanted)
{
    static const u8 tables[] = {1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 3, 0, 0, 0, 0, 9};
    u8 frame[100], many[10] = {1, 0, 0, 1, 0, 0};

    start(NULL, F_CTRL_VQ | F_CTRL_RX);
    make_frame(frame, sizeof frame, 0x99);
    ck_assert(arrives(frame)); /* all does, until the driver says otherwise */
    ck_assert_uint_eq(order((const u8[]){0, 0, 0}, 3), 0);
    ck_assert(!arrives(frame));
    frame[5] = 0x56;
    ck_assert(arrives(frame));
    memcpy(frame, "\2\0\0\0\0\x09", 6);
    ck_assert(!arrives(frame));
    ck_assert_uint_eq(order(tables, sizeof tables), 0);
    ck_assert(arrives(frame));
    frame[0] = 3;
    ck_assert(arrives(frame));
    frame[5] = 10;
    ck_assert(!arrives(frame));
    memset(frame, 0xff, 6);
    ck_assert(arrives(frame));
    ck_assert_uint_eq(order((const u8[]){0, 5, 1}, 3), 0);
    ck_assert(!arrives(frame));
    ck_assert_uint_eq(order((const u8[]){9, 0, 1}, 3), 1); /* no such class */
    ck_assert_uint_eq(order(many, sizeof many), 1);        /* a table of 256 that is not there */
}
END_TEST

START_TEST(link_is_that_of_the_wire)
{
    start(NULL, 0);
    ck_assert_uint_eq(phys_read(&b.phys, registers + 0x2006, 2), 1);
    net_set_link(&w.net, false);
    ck_assert_uint_eq(phys_read(&b.phys, registers + 0x2006, 2), 0);
    ck_assert(s->virtio.pci.intx);
    ck_assert_uint_eq(phys_read(&b.phys, registers + 0x1000, 1), 2); /* ISR: configuration */
}
END_TEST

START_TEST(driver_that_breaks_the_rules_is_told_so)
{
    start(NULL, 0);
    give(TX, DATA, HEADER - 1, false);
    notify(TX);
    ck_assert(phys_read(&b.phys, registers + 0x14, 1) & VIRTIO_STATUS_NEEDS_RESET);
    ck_assert_uint_eq(w.count, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {frames_go_both_ways_in_split_queues,
                                  frames_go_both_ways_in_packed_queues,
                                  long_frame_is_merged_of_several_buffers,
                                  long_frame_is_merged_in_packed_queues,
                                  answer_that_comes_while_sending_harms_nothing,
                                  a_flow_comes_in_by_the_pair_by_which_it_is_sent,
                                  sums_and_segments_are_made_for_the_driver,
                                  only_right_sums_are_called_valid,
                                  control_queue_says_what_is_wanted,
                                  link_is_that_of_the_wire,
                                  driver_that_breaks_the_rules_is_told_so,
                                  NULL};

    return run_tests("virtio-net", tests, setup, teardown);
}
