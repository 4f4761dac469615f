/* test_virtio_serial.c: the virtio console device with ports, and what plugs into it. */
#include "devices/backend/chardev.h"
#include "devices/virtconsole.h"
#include "tests/unit/virtio_rig.h"

#define F_MULTIPORT BIT64(1)
enum { CONTROL_RX = 2, CONTROL_TX = 3 };
enum {
    DEVICE_READY,
    PORT_ADD,
    PORT_REMOVE,
    PORT_READY,
    CONSOLE_PORT,
    RESIZE,
    PORT_OPEN,
    PORT_NAME
};

static struct rig r;
static struct chardev *chr[2];
static struct stream_entry streams[2];
static struct dev *ports[2];

static void setup(void)
{
    struct err e = {0};

    rig_up(&r);
    for (unsigned i = 0; i < 2; i++) {
        chr[i] = chardev_open("buffer", &e);
        streams[i] = (struct stream_entry){i ? "c1" : "c0", chr[i]};
    }
    r.res.streams = streams;
    r.res.stream_count = 2;
    r.b.env.vserial = rig_add(&r, &virtio_serial_class, NULL);
    ports[0] = board_add(&r.b, &virtconsole_class, "chardev=c0");
    ports[1] = board_add(&r.b, &virtserialport_class, "chardev=c1,name=org.test");
}

static void teardown(void)
{
    for (unsigned i = 0; i < 2; i++) {
        dev_destroy(ports[i]);
        chardev_close(chr[i]);
    }
    rig_down(&r);
}

static void control(u32 id, u16 event, u16 value)
{
    u8 m[8];

    st_le32(m, id);
    st_le16(m + 4, event);
    st_le16(m + 6, value);
    rig_request(&r, CONTROL_TX, m, sizeof m, NULL, 0);
}

/* Gives buffers for messages to the driver. */
static void post_control(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        rig_post(&r, CONTROL_RX, 0, 0, RIG_IN + 64 * (r.avail[CONTROL_RX] % RIG_QUEUE), 64);
    rig_notify(&r, CONTROL_RX);
}

/* The next message to the driver, as id, event and value; the name behind it. */
static bool told(u32 *id, u16 *event, char name[64])
{
    u64 at = RIG_IN + 64 * (r.seen[CONTROL_RX] % RIG_QUEUE);
    u32 n = rig_used(&r, CONTROL_RX);

    if (n == RIG_NOTHING)
        return false;
    *id = dma_read32(&r.b.phys, at);
    *event = dma_read16(&r.b.phys, at + 4);
    ck_assert_uint_eq(dma_read16(&r.b.phys, at + 6), 1);
    memset(name, 0, 64);
    dma_read(&r.b.phys, at + 8, name, n - 8);
    return true;
}

static void expect_told(u32 id, u16 event, const char *name)
{
    u32 told_id;
    u16 told_event;
    char told_name[64];

    ck_assert(told(&told_id, &told_event, told_name));
    ck_assert_uint_eq(told_id, id);
    ck_assert_uint_eq(told_event, event);
    ck_assert_str_eq(told_name, name);
}

static void expect_text(unsigned n, const char *text)
{
    size_t len;

    ck_assert_str_eq(chardev_buffer_text(chr[n], &len), text);
}

START_TEST(the_driver_is_told_of_ports_consoles_and_names)
{
    u32 id;
    u16 event;
    char name[64];

    rig_start(&r, F_MULTIPORT);
    post_control(8);
    control(0, DEVICE_READY, 1);
    expect_told(0, PORT_ADD, "");
    expect_told(1, PORT_ADD, "");
    control(0, PORT_READY, 1);
    expect_told(0, CONSOLE_PORT, "");
    expect_told(0, PORT_OPEN, "");
    control(1, PORT_READY, 1);
    expect_told(1, PORT_NAME, "org.test");
    expect_told(1, PORT_OPEN, "");
    ck_assert(!told(&id, &event, name));
}
END_TEST

START_TEST(what_finds_no_buffer_is_told_later)
{
    rig_start(&r, F_MULTIPORT);
    control(0, DEVICE_READY, 1);
    post_control(1);
    expect_told(0, PORT_ADD, "");
    post_control(1);
    expect_told(1, PORT_ADD, "");
}
END_TEST

START_TEST(messages_of_ports_that_are_not_there_have_no_effect)
{
    rig_start(&r, F_MULTIPORT);
    post_control(4);
    control(2, PORT_READY, 1);
    control(0xffffffff, PORT_OPEN, 1);
    control(1, 99, 1);
    ck_assert_uint_eq(rig_used(&r, CONTROL_RX), RIG_NOTHING);
    ck_assert(!rig_needs_reset(&r));
}
END_TEST

START_TEST(what_the_guest_writes_comes_out_of_the_ports_stream)
{
    rig_start(&r, F_MULTIPORT);
    ck_assert_uint_eq(rig_request(&r, 1, "console", 7, NULL, 0), 0);
    ck_assert_uint_eq(rig_request(&r, 5, "port", 4, NULL, 0), 0);
    ck_assert_uint_eq(rig_request(&r, 7, "nobody", 6, NULL, 0), 0);
    expect_text(0, "console");
    expect_text(1, "port");
}
END_TEST

START_TEST(input_waits_for_a_buffer_and_fills_it)
{
    char got[8] = "";

    rig_start(&r, F_MULTIPORT);
    ck_assert_uint_eq(chardev_feed(chr[0], (const u8 *)"lost", 4), 0);
    rig_post(&r, 0, 0, 0, RIG_IN, 3);
    ck_assert_uint_eq(chardev_feed(chr[0], (const u8 *)"abcd", 4), 3);
    ck_assert_uint_eq(rig_used(&r, 0), 3);
    dma_read(&r.b.phys, RIG_IN, got, 3);
    ck_assert_str_eq(got, "abc");
}
END_TEST

START_TEST(a_port_receives_while_it_is_open_in_the_guest)
{
    rig_start(&r, F_MULTIPORT);
    rig_post(&r, 4, 0, 0, RIG_IN, 16);
    ck_assert_uint_eq(chardev_feed(chr[1], (const u8 *)"x", 1), 0);
    control(1, PORT_OPEN, 1);
    ck_assert_uint_eq(chardev_feed(chr[1], (const u8 *)"x", 1), 1);
    rig_post(&r, 4, 0, 0, RIG_IN, 16);
    control(1, PORT_OPEN, 0);
    ck_assert_uint_eq(chardev_feed(chr[1], (const u8 *)"x", 1), 0);
}
END_TEST

START_TEST(without_multiport_there_is_the_first_console_alone)
{
    rig_start(&r, 0);
    rig_post(&r, 0, 0, 0, RIG_IN, 16);
    ck_assert_uint_eq(chardev_feed(chr[0], (const u8 *)"x", 1), 1);
    ck_assert_uint_eq(rig_request(&r, 1, "y", 1, NULL, 0), 0);
    expect_text(0, "y");
}
END_TEST

START_TEST(an_emergency_write_needs_no_queue)
{
    rig_register(&r, 0x2008, '!', 4);
    expect_text(0, "!");
}
END_TEST

START_TEST(ports_are_counted_and_streams_belong_to_one_device)
{
    struct err e = {0};
    struct dev *more[VSERIAL_PORTS];

    ck_assert_ptr_null(dev_create(&virtconsole_class, &r.b.env, "chardev=c0", &e));
    ck_assert_ptr_null(dev_create(&virtconsole_class, &r.b.env, "chardev=none", &e));
    ck_assert_ptr_null(dev_create(&virtserialport_class, &r.b.env, "nr=1", &e));
    ck_assert_ptr_null(dev_create(&virtserialport_class, &r.b.env, "nr=7", &e));
    for (unsigned i = 2; i < VSERIAL_PORTS; i++)
        more[i] = board_add(&r.b, &virtserialport_class, NULL);
    ck_assert_ptr_null(dev_create(&virtserialport_class, &r.b.env, NULL, &e));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    for (unsigned i = 2; i < VSERIAL_PORTS; i++)
        dev_destroy(more[i]);
}
END_TEST

START_TEST(a_request_without_end_breaks_the_rules)
{
    rig_start(&r, F_MULTIPORT);
    rig_post(&r, 1, 0, 0x40000000, 0, 0);
    rig_notify(&r, 1);
    ck_assert(rig_needs_reset(&r));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_driver_is_told_of_ports_consoles_and_names,
                                  what_finds_no_buffer_is_told_later,
                                  messages_of_ports_that_are_not_there_have_no_effect,
                                  what_the_guest_writes_comes_out_of_the_ports_stream,
                                  input_waits_for_a_buffer_and_fills_it,
                                  a_port_receives_while_it_is_open_in_the_guest,
                                  without_multiport_there_is_the_first_console_alone,
                                  an_emergency_write_needs_no_queue,
                                  ports_are_counted_and_streams_belong_to_one_device,
                                  a_request_without_end_breaks_the_rules,
                                  NULL};

    return run_tests("virtio_serial", tests, setup, teardown);
}
