/* test_ps2.c: the 8042 with keyboard and mouse, and port 92h beside it. */
#include "devices/port92.h"
#include "devices/ps2.h"
#include "tests/unit/board.h"

static struct board b;
static struct ps2 *ps2;
static struct probe irq1, irq12, a20, reset;

static void setup(void)
{
    board_init(&b);
    ps2 = board_add(&b, &ps2_class, NULL);
    irq1 = irq12 = a20 = reset = (struct probe){0};
    irq_connect(&ps2->irq1, probe_set, &irq1, 0);
    irq_connect(&ps2->irq12, probe_set, &irq12, 0);
    irq_connect(&ps2->a20, probe_set, &a20, 0);
    irq_connect(&ps2->reset, probe_set, &reset, 0);
}

static void teardown(void)
{
    dev_destroy(&ps2->dev);
    board_destroy(&b);
}

static void command(unsigned c)
{
    out8(&b, 0x64, c);
}

static void data(unsigned v)
{
    out8(&b, 0x60, v);
}

static void set_command_byte(unsigned v)
{
    command(0x60);
    data(v);
}

/* The output buffer must hold exactly these bytes, one after the other, and no more. */
static void expect(unsigned n, const u8 *bytes, bool from_mouse)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned status = in8(&b, 0x64), byte;

        ck_assert_msg(status & 1, "byte %u of %u is missing", i, n);
        ck_assert_uint_eq(status >> 5 & 1, from_mouse);
        byte = in8(&b, 0x60);
        ck_assert_msg(byte == bytes[i], "byte %u is %#x, not %#x", i, byte, bytes[i]);
    }
    ck_assert_msg(!(in8(&b, 0x64) & 1), "too many bytes: %#x", in8(&b, 0x60));
}

#define EXPECT(...)                                                                                \
    do {                                                                                           \
        const u8 bytes[] = {__VA_ARGS__};                                                          \
        expect(sizeof bytes, bytes, false);                                                        \
    } while (0)
#define EXPECT_MOUSE(...)                                                                          \
    do {                                                                                           \
        const u8 bytes[] = {__VA_ARGS__};                                                          \
        expect(sizeof bytes, bytes, true);                                                         \
    } while (0)

static void to_mouse(unsigned v)
{
    command(0xd4);
    data(v);
}

static void key(u8 usage)
{
    ps2_key(ps2, usage, true);
    ps2_key(ps2, usage, false);
}

START_TEST(self_tests_pass)
{
    command(0xaa);
    EXPECT(0x55);
    command(0xab);
    EXPECT(0x00);
    command(0xa9);
    EXPECT(0x00);
    command(0xa4);
    EXPECT(0xf1);
    ck_assert_uint_eq(in8(&b, 0x64) & 0x1c, 0x1c);
    data(0xee);
    ck_assert_uint_eq(in8(&b, 0x64) & 0x08, 0);
}
END_TEST

START_TEST(the_command_byte_and_ram_are_kept)
{
    set_command_byte(0x47);
    command(0x20);
    EXPECT(0x47);
    command(0x61);
    data(0x5a);
    command(0x21);
    EXPECT(0x5a);
    command(0xa7);
    command(0xad);
    command(0x20);
    EXPECT(0x77);
    command(0xa8);
    command(0xae);
    command(0x20);
    EXPECT(0x47);
}
END_TEST

START_TEST(keys_arrive_translated_with_one_interrupt_per_byte)
{
    key(0x04);
    ck_assert(irq1.level);
    EXPECT(0x1e, 0x9e);
    ck_assert(!irq1.level);
    ck_assert_uint_eq(irq1.rises, 2);
}
END_TEST

START_TEST(extended_keys_have_prefixes)
{
    key(0x52);
    EXPECT(0xe0, 0x48, 0xe0, 0xc8);
    key(0x40); /* F7, the key whose code is above 7Fh */
    EXPECT(0x41, 0xc1);
    key(0x48);
    EXPECT(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    key(0x46);
    EXPECT(0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
    ps2_key(ps2, 0xe2, true);
    key(0x46);
    ps2_key(ps2, 0xe2, false);
    EXPECT(0x38, 0x54, 0xd4, 0xb8);
}
END_TEST

START_TEST(set_2_without_translation)
{
    set_command_byte(0x05);
    key(0x04);
    EXPECT(0x1c, 0xf0, 0x1c);
    key(0x52);
    EXPECT(0xe0, 0x75, 0xe0, 0xf0, 0x75);
    data(0xf0);
    EXPECT(0xfa);
    data(0x00);
    EXPECT(0xfa, 0x02);
}
END_TEST

START_TEST(the_keyboards_own_set_1_equals_translated_set_2)
{
    u8 translated[PS2_QUEUE];

    for (unsigned usage = 4; usage < 0xe8; usage++) {
        unsigned n = 0;

        set_command_byte(0x45);
        key((u8)usage);
        while (in8(&b, 0x64) & 1)
            translated[n++] = (u8)in8(&b, 0x60);
        set_command_byte(0x05);
        data(0xf0);
        EXPECT(0xfa);
        data(0x01);
        EXPECT(0xfa);
        key((u8)usage);
        expect(n, translated, false);
        data(0xf0);
        EXPECT(0xfa);
        data(0x02);
        EXPECT(0xfa);
    }
}
END_TEST

/* Set 1 make codes of the letters and digits, as every PC programmer's table has them. */
START_TEST(scan_codes_are_those_of_the_pc)
{
    static const u8 letters[26] = {0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17,
                                   0x24, 0x25, 0x26, 0x32, 0x31, 0x18, 0x19, 0x10, 0x13,
                                   0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c};

    for (unsigned i = 0; i < 26; i++) {
        key((u8)(0x04 + i));
        EXPECT(letters[i], letters[i] | 0x80);
    }
    for (unsigned i = 0; i < 10; i++) {
        key((u8)(0x1e + i));
        EXPECT((u8)(2 + i), (u8)(0x82 + i));
    }
    for (unsigned i = 0; i < 10; i++) { /* F1 to F10 */
        key((u8)(0x3a + i));
        EXPECT((u8)(0x3b + i), (u8)(0xbb + i));
    }
}
END_TEST

START_TEST(keyboard_commands_are_acknowledged)
{
    data(0xff);
    EXPECT(0xfa, 0xaa);
    data(0xf2);
    EXPECT(0xfa, 0xab, 0x41); /* the ID's second byte 83h is translated like any other */
    data(0xee);
    EXPECT(0xee);
    data(0xed);
    EXPECT(0xfa);
    data(0x02);
    EXPECT(0xfa);
    ck_assert_uint_eq(ps2->keyboard.leds, 2);
    data(0xf3);
    EXPECT(0xfa);
    data(0x20);
    EXPECT(0xfa);
    ck_assert_uint_eq(ps2->keyboard.typematic, 0x20);
    data(0xfe);
    EXPECT(0xfa);
    data(0x01);
    EXPECT(0xfe);
    data(0xf0);
    EXPECT(0xfa);
    data(0x03);
    EXPECT(0xfe);
}
END_TEST

START_TEST(a_disabled_keyboard_sends_nothing)
{
    data(0xf5);
    EXPECT(0xfa);
    key(0x04);
    ck_assert_uint_eq(in8(&b, 0x64) & 1, 0);
    data(0xf4);
    EXPECT(0xfa);
    key(0x04);
    EXPECT(0x1e, 0x9e);
}
END_TEST

START_TEST(a_disabled_interface_holds_keys_back)
{
    command(0xad);
    key(0x04);
    ck_assert_uint_eq(in8(&b, 0x64) & 1, 0);
    command(0xae);
    EXPECT(0x1e, 0x9e);
}
END_TEST

START_TEST(too_many_keys_end_in_the_overrun_code)
{
    unsigned n = 0, last = 0;

    set_command_byte(0x05);
    for (unsigned i = 0; i < 40; i++)
        key(0x04);
    while (in8(&b, 0x64) & 1) {
        last = in8(&b, 0x60);
        n++;
    }
    ck_assert_uint_le(n, 17);
    ck_assert_uint_eq(last, 0x00);
}
END_TEST

START_TEST(the_output_port_drives_a20_and_reset)
{
    command(0xd1);
    data(0xdd);
    ck_assert(!a20.level);
    command(0xd0);
    ck_assert_uint_eq(in8(&b, 0x60) & 3, 1);
    command(0xdf);
    ck_assert(a20.level);
    command(0xdd);
    ck_assert(!a20.level);
    command(0xd1);
    data(0xdf);
    ck_assert(a20.level);
    ck_assert_uint_eq(reset.rises, 0);
    command(0xff);
    ck_assert_uint_eq(reset.rises, 0);
    command(0xfe);
    ck_assert_uint_eq(reset.rises, 1);
    command(0xd1);
    data(0xde);
    ck_assert_uint_eq(reset.rises, 2);
}
END_TEST

START_TEST(bytes_written_to_the_output_buffers_come_back)
{
    set_command_byte(0x47);
    command(0xd2);
    data(0x5a);
    ck_assert(irq1.level);
    EXPECT(0x5a);
    command(0xd3);
    data(0xa5);
    ck_assert(irq12.level);
    EXPECT_MOUSE(0xa5);
    ck_assert(!irq12.level);
}
END_TEST

START_TEST(the_mouse_resets_and_identifies)
{
    to_mouse(0xff);
    EXPECT_MOUSE(0xfa, 0xaa, 0x00);
    to_mouse(0xf2);
    EXPECT_MOUSE(0xfa, 0x00);
    to_mouse(0xe9);
    EXPECT_MOUSE(0xfa, 0x00, 0x02, 0x64);
    to_mouse(0x12);
    EXPECT_MOUSE(0xfe);
}
END_TEST

static void set_rate(unsigned rate)
{
    to_mouse(0xf3);
    EXPECT_MOUSE(0xfa);
    to_mouse(rate);
    EXPECT_MOUSE(0xfa);
}

static void knock(unsigned second)
{
    set_rate(200);
    set_rate(second);
    set_rate(80);
}

START_TEST(movement_is_reported_in_packets)
{
    set_command_byte(0x47);
    ps2_mouse(ps2, 1, 1, 0, 0);
    ck_assert_uint_eq(in8(&b, 0x64) & 1, 0);
    to_mouse(0xf4);
    EXPECT_MOUSE(0xfa);
    ps2_mouse(ps2, 5, 3, 0, 1);
    ck_assert(irq12.level);
    EXPECT_MOUSE(0x29, 0x05, 0xfd);
    ps2_mouse(ps2, -2, -4, 0, 0);
    EXPECT_MOUSE(0x18, 0xfe, 0x04);
    ps2_mouse(ps2, 300, 0, 0, 0);
    EXPECT_MOUSE(0x08, 0xff, 0x00, 0x08, 0x2d, 0x00);
    ps2_mouse(ps2, 0, 0, 5, 0);
    ck_assert_uint_eq(in8(&b, 0x64) & 1, 0);
}
END_TEST

START_TEST(the_knock_turns_on_the_wheel)
{
    knock(100);
    to_mouse(0xf2);
    EXPECT_MOUSE(0xfa, 0x03);
    to_mouse(0xf4);
    EXPECT_MOUSE(0xfa);
    ps2_mouse(ps2, 0, 0, -1, 4);
    EXPECT_MOUSE(0x0c, 0x00, 0x00, 0xff);
}
END_TEST

START_TEST(the_second_knock_turns_on_five_buttons)
{
    knock(200);
    to_mouse(0xf2);
    EXPECT_MOUSE(0xfa, 0x04);
    to_mouse(0xf4);
    EXPECT_MOUSE(0xfa);
    ps2_mouse(ps2, 0, 0, 1, 0x18);
    EXPECT_MOUSE(0x08, 0x00, 0x00, 0x31);
}
END_TEST

START_TEST(remote_mode_reports_when_asked)
{
    to_mouse(0xf0);
    EXPECT_MOUSE(0xfa);
    to_mouse(0xf4);
    EXPECT_MOUSE(0xfa);
    ps2_mouse(ps2, 7, 0, 0, 2);
    ck_assert_uint_eq(in8(&b, 0x64) & 1, 0);
    to_mouse(0xeb);
    EXPECT_MOUSE(0xfa, 0x0a, 0x07, 0x00);
}
END_TEST

START_TEST(wrap_mode_echoes)
{
    to_mouse(0xee);
    EXPECT_MOUSE(0xfa);
    to_mouse(0xf2);
    EXPECT_MOUSE(0xf2);
    to_mouse(0xec);
    EXPECT_MOUSE(0xfa);
    to_mouse(0xf2);
    EXPECT_MOUSE(0xfa, 0x00);
}
END_TEST

START_TEST(scaling_2_1_follows_the_table)
{
    static const u8 scaled[8] = {0, 1, 1, 3, 6, 9, 12, 14};

    to_mouse(0xe7);
    EXPECT_MOUSE(0xfa);
    to_mouse(0xf4);
    EXPECT_MOUSE(0xfa);
    for (int d = 1; d < 8; d++) {
        ps2_mouse(ps2, d, 0, 0, 0);
        EXPECT_MOUSE(0x08, scaled[d], 0x00);
    }
}
END_TEST

START_TEST(port_92_switches_a20_and_pulses_reset_on_the_rise)
{
    struct port92 *p = board_add(&b, &port92_class, NULL);
    struct probe gate = {0}, pulse = {0};

    irq_connect(&p->a20, probe_set, &gate, 0);
    irq_connect(&p->reset, probe_set, &pulse, 0);
    out8(&b, 0x92, 0x02);
    ck_assert(gate.level);
    ck_assert_uint_eq(in8(&b, 0x92), 0x02);
    out8(&b, 0x92, 0x03);
    out8(&b, 0x92, 0x03);
    ck_assert_uint_eq(pulse.rises, 1);
    out8(&b, 0x92, 0x00);
    ck_assert(!gate.level);
    dev_destroy(&p->dev);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        self_tests_pass,
        the_command_byte_and_ram_are_kept,
        keys_arrive_translated_with_one_interrupt_per_byte,
        extended_keys_have_prefixes,
        set_2_without_translation,
        the_keyboards_own_set_1_equals_translated_set_2,
        scan_codes_are_those_of_the_pc,
        keyboard_commands_are_acknowledged,
        a_disabled_keyboard_sends_nothing,
        a_disabled_interface_holds_keys_back,
        too_many_keys_end_in_the_overrun_code,
        the_output_port_drives_a20_and_reset,
        bytes_written_to_the_output_buffers_come_back,
        the_mouse_resets_and_identifies,
        movement_is_reported_in_packets,
        the_knock_turns_on_the_wheel,
        the_second_knock_turns_on_five_buttons,
        remote_mode_reports_when_asked,
        wrap_mode_echoes,
        scaling_2_1_follows_the_table,
        port_92_switches_a20_and_pulses_reset_on_the_rise,
        NULL,
    };

    return run_tests("ps2", tests, setup, teardown);
}
