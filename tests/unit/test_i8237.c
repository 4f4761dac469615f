/* test_i8237.c: the two DMA controllers of a PC, from the 8237A data sheet. */
#include "tests/unit/board.h"

#include "devices/i8237.h"
#include "mmu/dma.h"

static struct board b;
static struct i8237 *dma;
static bool terminal;

static void setup(void)
{
    board_init(&b);
    dma = board_add(&b, &i8237_class, NULL);
}

static void teardown(void)
{
    dev_destroy(&dma->dev);
    board_destroy(&b);
}

/* Channel 2: `count` is one less than the bytes; mode 44h is single, device to memory. */
static void program(u32 address, u16 count, u8 mode)
{
    out8(&b, 0x0a, 6);
    out8(&b, 0x0c, 0);
    out8(&b, 0x04, address & 0xff);
    out8(&b, 0x04, address >> 8 & 0xff);
    out8(&b, 0x05, count & 0xff);
    out8(&b, 0x05, count >> 8);
    out8(&b, 0x81, address >> 16);
    out8(&b, 0x0b, mode | 2);
    out8(&b, 0x0a, 2);
}

static u16 read_word(u16 port)
{
    unsigned low;

    out8(&b, 0x0c, 0);
    low = in8(&b, port);
    return (u16)(low | in8(&b, port) << 8);
}

START_TEST(all_channels_are_masked_after_reset)
{
    u8 byte = 1;

    out8(&b, 0x0b, 0x46);
    ck_assert_uint_eq(i8237_move(dma, 2, &byte, 1, true, &terminal), 0);
}
END_TEST

START_TEST(a_transfer_ends_with_the_terminal_count)
{
    u8 out[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    program(0x12340, 5, 0x44);
    ck_assert_uint_eq(i8237_move(dma, 2, out, 4, true, &terminal), 4);
    ck_assert(!terminal);
    ck_assert_uint_eq(read_word(0x04), 0x2344);
    ck_assert_uint_eq(read_word(0x05), 1);
    ck_assert_uint_eq(i8237_move(dma, 2, out + 4, 4, true, &terminal), 2);
    ck_assert(terminal);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x12342), 0x06050403);
    ck_assert_uint_eq(in8(&b, 0x08), 0x04); /* status: channel 2 */
    ck_assert_uint_eq(in8(&b, 0x08), 0x00); /* read clears */
    ck_assert_uint_eq(read_word(0x05), 0xffff);
    ck_assert_uint_eq(i8237_move(dma, 2, out, 1, true, &terminal), 0); /* it masked itself */
}
END_TEST

START_TEST(autoinitialize_starts_over)
{
    u8 out[4] = {9, 8, 7, 6};

    program(0x20000, 3, 0x54);
    ck_assert_uint_eq(i8237_move(dma, 2, out, 4, true, &terminal), 4);
    ck_assert_uint_eq(read_word(0x04), 0);
    ck_assert_uint_eq(read_word(0x05), 3);
    out[0] = 5;
    ck_assert_uint_eq(i8237_move(dma, 2, out, 4, true, &terminal), 4);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x20000), 0x06070805);
}
END_TEST

START_TEST(memory_to_device_reads)
{
    u8 in[4] = {0};

    dma_write32(&b.phys, 0x30000, 0xa1b2c3d4);
    program(0x30000, 3, 0x48);
    ck_assert_uint_eq(i8237_move(dma, 2, in, 4, false, &terminal), 4);
    ck_assert_uint_eq(in[0], 0xd4);
    program(0x30000, 3, 0x48);
    ck_assert_uint_eq(i8237_move(dma, 2, in, 4, true, &terminal), 0); /* the other way */
}
END_TEST

START_TEST(the_page_does_not_count)
{
    u8 out[4] = {1, 2, 3, 4};

    program(0x1fffe, 3, 0x44);
    ck_assert_uint_eq(i8237_move(dma, 2, out, 4, true, &terminal), 4);
    ck_assert_uint_eq(dma_read16(&b.phys, 0x1fffe), 0x0201);
    ck_assert_uint_eq(dma_read16(&b.phys, 0x10000), 0x0403); /* within its 64 KiB */
}
END_TEST

START_TEST(addresses_go_down_where_the_mode_says_so)
{
    u8 out[4] = {1, 2, 3, 4};

    program(0x18003, 3, 0x64);
    ck_assert_uint_eq(i8237_move(dma, 2, out, 4, true, &terminal), 4);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x18000), 0x01020304);
}
END_TEST

START_TEST(a_byte_is_written_to_base_and_current_alone)
{
    u8 out[2] = {0};

    program(0x10100, 0x1000, 0x44);
    i8237_move(dma, 2, out, 2, true, &terminal);
    ck_assert_uint_eq(read_word(0x05), 0x0ffe);
    out8(&b, 0x0c, 0);
    out8(&b, 0x05, 0x34); /* the high byte of the current count stays */
    ck_assert_uint_eq(read_word(0x05), 0x0f34);
}
END_TEST

START_TEST(mask_bits_are_set_one_by_one_and_together)
{
    u8 byte = 0;

    program(0x10000, 9, 0x44);
    out8(&b, 0x0f, 0x04);
    ck_assert_uint_eq(i8237_move(dma, 2, &byte, 1, true, &terminal), 0);
    out8(&b, 0x0e, 0); /* clear the mask register */
    ck_assert_uint_eq(i8237_move(dma, 2, &byte, 1, true, &terminal), 1);
    out8(&b, 0x0d, 0); /* master clear */
    ck_assert_uint_eq(i8237_move(dma, 2, &byte, 1, true, &terminal), 0);
}
END_TEST

START_TEST(the_second_chip_has_word_ports)
{
    out8(&b, 0xd8, 0); /* byte pointer */
    out8(&b, 0xc4, 0x11);
    out8(&b, 0xc4, 0x22); /* address of channel 5 */
    out8(&b, 0xd8, 0);
    ck_assert_uint_eq(in8(&b, 0xc4), 0x11);
    ck_assert_uint_eq(in8(&b, 0xc4), 0x22);
    out8(&b, 0x8b, 0x12);
    ck_assert_uint_eq(in8(&b, 0x8b), 0x12);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {all_channels_are_masked_after_reset,
                                  a_transfer_ends_with_the_terminal_count,
                                  autoinitialize_starts_over,
                                  memory_to_device_reads,
                                  the_page_does_not_count,
                                  addresses_go_down_where_the_mode_says_so,
                                  a_byte_is_written_to_base_and_current_alone,
                                  mask_bits_are_set_one_by_one_and_together,
                                  the_second_chip_has_word_ports,
                                  NULL};

    return run_tests("i8237", tests, setup, teardown);
}
