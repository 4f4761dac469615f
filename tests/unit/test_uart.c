/* test_uart.c: the 16550A as its data sheet describes it. */
#include "devices/uart.h"
#include "tests/unit/board.h"

enum { DATA = 0x3f8, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct board b;
static struct uart *uart;
static struct probe irq;
static struct chardev chr;
static u8 sent[4096];
static size_t sent_len;

static size_t chr_write(struct chardev *c, const u8 *buf, size_t len)
{
    (void)c;
    memcpy(sent + sent_len, buf, len);
    sent_len += len;
    return len;
}

static void setup(void)
{
    board_init(&b);
    uart = board_add(&b, &uart_class, NULL);
    irq = (struct probe){0};
    sent_len = 0;
    chr = (struct chardev){.spec = "test", .write = chr_write, .fd = -1};
    uart_set_chardev(uart, &chr);
    irq_connect(&uart->irq, probe_set, &irq, 0);
    in8(&b, MSR);
}

static void teardown(void)
{
    dev_destroy(&uart->dev);
    board_destroy(&b);
}

static void receive(const char *text)
{
    size_t len = strlen(text);

    ck_assert_uint_le(len, chr.can_receive(chr.opaque));
    chr.receive(chr.opaque, (const u8 *)text, len);
}

START_TEST(output_is_immediate)
{
    out8(&b, DATA, 'h');
    out8(&b, DATA, 'i');
    ck_assert_uint_eq(sent_len, 2);
    ck_assert_mem_eq(sent, "hi", 2);
    ck_assert_uint_eq(in8(&b, LSR), 0x60);
}
END_TEST

START_TEST(the_divisor_latch_hides_data_and_ier)
{
    out8(&b, LCR, 0x83);
    out8(&b, DATA, 0x0c);
    out8(&b, IER, 0x01);
    ck_assert_uint_eq(in8(&b, DATA), 0x0c);
    ck_assert_uint_eq(in8(&b, IER), 0x01);
    out8(&b, LCR, 0x03);
    ck_assert_uint_eq(in8(&b, IER), 0);
    ck_assert_uint_eq(sent_len, 0);
}
END_TEST

START_TEST(without_fifo_one_byte_is_held)
{
    ck_assert_uint_eq(chr.can_receive(chr.opaque), 1);
    receive("a");
    ck_assert_uint_eq(chr.can_receive(chr.opaque), 0);
    ck_assert_uint_eq(in8(&b, LSR), 0x61);
    ck_assert_uint_eq(in8(&b, DATA), 'a');
    ck_assert_uint_eq(in8(&b, LSR), 0x60);
    ck_assert_uint_eq(in8(&b, IIR), 0x01);
}
END_TEST

START_TEST(the_fifo_holds_sixteen)
{
    out8(&b, IIR, 0x07);
    ck_assert_uint_eq(in8(&b, IIR), 0xc1);
    ck_assert_uint_eq(chr.can_receive(chr.opaque), 16);
    receive("0123456789abcdef");
    ck_assert_uint_eq(chr.can_receive(chr.opaque), 0);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in8(&b, DATA), (unsigned)"0123456789abcdef"[i]);
    ck_assert_uint_eq(in8(&b, LSR), 0x60);
}
END_TEST

START_TEST(interrupts_do_not_need_out2)
{
    out8(&b, MCR, 0x00);
    out8(&b, IER, 0x01);
    receive("a");
    ck_assert(irq.level);
    ck_assert_uint_eq(in8(&b, IIR), 0x04);
    in8(&b, DATA);
    ck_assert(!irq.level);
}
END_TEST

START_TEST(the_trigger_level_interrupts)
{
    static const unsigned levels[4] = {1, 4, 8, 14};

    out8(&b, MCR, 0x08);
    out8(&b, IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        out8(&b, IIR, 0x07 | i << 6);
        for (unsigned n = 1; n < levels[i]; n++) {
            receive("x");
            ck_assert(!irq.level);
        }
        receive("x");
        ck_assert(irq.level);
        ck_assert_uint_eq(in8(&b, IIR), 0xc4);
        in8(&b, DATA);
        ck_assert(!irq.level);
    }
}
END_TEST

START_TEST(a_character_timeout_comes_after_four_characters)
{
    u64 char_ns = 10ull * 12 * 16 * NS_PER_SEC / 1843200; /* 8N1 at 9600 */

    out8(&b, LCR, 0x83);
    out8(&b, DATA, 12);
    out8(&b, IER, 0);
    out8(&b, LCR, 0x03);
    out8(&b, MCR, 0x08);
    out8(&b, IIR, 0x87);
    out8(&b, IER, 0x01);
    receive("abc");
    board_run(&b, 4 * char_ns - 10);
    ck_assert(!irq.level);
    board_run(&b, 10);
    ck_assert(irq.level);
    ck_assert_uint_eq(in8(&b, IIR), 0xcc);
    in8(&b, DATA);
    ck_assert(!irq.level);
    board_run(&b, 4 * char_ns);
    ck_assert_msg(irq.level, "two are still there");
    in8(&b, DATA);
    in8(&b, DATA);
    board_run(&b, 100 * char_ns);
    ck_assert(!irq.level);
}
END_TEST

START_TEST(enabling_thre_interrupts_at_once_and_reading_iir_takes_note)
{
    out8(&b, MCR, 0x08);
    out8(&b, IER, 0x02);
    ck_assert(irq.level);
    ck_assert_uint_eq(in8(&b, IIR), 0x02);
    ck_assert(!irq.level);
    ck_assert_uint_eq(in8(&b, IIR), 0x01);
    out8(&b, DATA, 'x');
    ck_assert(irq.level);
}
END_TEST

START_TEST(each_byte_written_makes_a_new_edge)
{
    out8(&b, MCR, 0x08);
    out8(&b, IER, 0x02);
    irq.rises = 0;
    out8(&b, DATA, 'x');
    out8(&b, DATA, 'y');
    ck_assert_uint_eq(irq.rises, 2);
}
END_TEST

START_TEST(interrupts_are_told_by_priority)
{
    out8(&b, MCR, 0x08);
    out8(&b, IIR, 0x07);
    receive("a");
    uart_break(uart);
    in8(&b, DATA);
    out8(&b, IER, 0x0f);
    out8(&b, MCR, 0x08 | 0x10); /* loopback changes the modem lines */
    ck_assert_uint_eq(in8(&b, IIR), 0xc6);
    ck_assert_uint_eq(in8(&b, LSR) & 0x1f, 0x11);
    ck_assert_uint_eq(in8(&b, IIR), 0xc4);
    ck_assert_uint_eq(in8(&b, DATA), 0);
    ck_assert_uint_eq(in8(&b, IIR), 0xc2);
    ck_assert_uint_eq(in8(&b, IIR), 0xc0);
    in8(&b, MSR);
    ck_assert_uint_eq(in8(&b, IIR), 0xc1);
}
END_TEST

START_TEST(an_overrun_loses_the_new_byte_with_fifo_and_the_old_without)
{
    out8(&b, MCR, 0x10);
    out8(&b, DATA, 'a');
    out8(&b, DATA, 'b');
    ck_assert_uint_eq(in8(&b, LSR) & 0x03, 0x03);
    ck_assert_uint_eq(in8(&b, LSR) & 0x03, 0x01);
    ck_assert_uint_eq(in8(&b, DATA), 'b');
    out8(&b, IIR, 0x07);
    for (unsigned i = 0; i < 17; i++)
        out8(&b, DATA, 'A' + i);
    ck_assert_uint_eq(in8(&b, LSR) & 0x02, 0x02);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in8(&b, DATA), 'A' + i);
    ck_assert_uint_eq(in8(&b, LSR) & 1, 0);
}
END_TEST

START_TEST(loopback_connects_modem_lines_and_data)
{
    out8(&b, MCR, 0x10);
    in8(&b, MSR);
    out8(&b, MCR, 0x1f);
    ck_assert_uint_eq(in8(&b, MSR), 0xfb);
    out8(&b, MCR, 0x1a);
    ck_assert_uint_eq(in8(&b, MSR), 0x96);
    ck_assert_uint_eq(in8(&b, MSR), 0x90);
    out8(&b, DATA, 0x55);
    ck_assert_uint_eq(in8(&b, DATA), 0x55);
    ck_assert_uint_eq(sent_len, 0);
    ck_assert_uint_eq(chr.can_receive(chr.opaque), 0);
    out8(&b, MCR, 0x08);
    ck_assert_uint_eq(in8(&b, MSR) & 0xf0, 0xb0);
}
END_TEST

START_TEST(a_break_shows_when_its_character_is_at_the_top)
{
    out8(&b, IIR, 0x07);
    receive("a");
    chr.receive_break(chr.opaque);
    ck_assert_uint_eq(in8(&b, LSR), 0xe1);
    ck_assert_uint_eq(in8(&b, DATA), 'a');
    ck_assert_uint_eq(in8(&b, LSR), 0xf1);
    ck_assert_uint_eq(in8(&b, LSR), 0x61);
    ck_assert_uint_eq(in8(&b, DATA), 0);
}
END_TEST

START_TEST(changing_fifo_mode_empties_it)
{
    out8(&b, IIR, 0x01);
    receive("abc");
    out8(&b, IIR, 0x00);
    ck_assert_uint_eq(in8(&b, LSR), 0x60);
    ck_assert_uint_eq(in8(&b, IIR), 0x01);
}
END_TEST

START_TEST(scratch_and_masks)
{
    out8(&b, SCR, 0xa5);
    ck_assert_uint_eq(in8(&b, SCR), 0xa5);
    out8(&b, IER, 0xff);
    ck_assert_uint_eq(in8(&b, IER), 0x0f);
    out8(&b, MCR, 0xff);
    ck_assert_uint_eq(in8(&b, MCR), 0x1f);
}
END_TEST

START_TEST(without_a_stream_bytes_vanish_and_no_carrier_is_there)
{
    uart_set_chardev(uart, NULL);
    out8(&b, DATA, 'x');
    ck_assert_uint_eq(in8(&b, MSR), 0x0b);
    ck_assert_uint_eq(sent_len, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        output_is_immediate,
        the_divisor_latch_hides_data_and_ier,
        without_fifo_one_byte_is_held,
        the_fifo_holds_sixteen,
        interrupts_do_not_need_out2,
        the_trigger_level_interrupts,
        a_character_timeout_comes_after_four_characters,
        enabling_thre_interrupts_at_once_and_reading_iir_takes_note,
        each_byte_written_makes_a_new_edge,
        interrupts_are_told_by_priority,
        an_overrun_loses_the_new_byte_with_fifo_and_the_old_without,
        loopback_connects_modem_lines_and_data,
        a_break_shows_when_its_character_is_at_the_top,
        changing_fifo_mode_empties_it,
        scratch_and_masks,
        without_a_stream_bytes_vanish_and_no_carrier_is_there,
        NULL,
    };

    return run_tests("uart", tests, setup, teardown);
}
