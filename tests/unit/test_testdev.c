/* test_testdev.c: pc-testdev: the lines that the guest sets, the latch, the memory behind MMIO. */
#include "devices/testdev.h"
#include "tests/unit/board.h"

#define WINDOW 0xff000000u

static struct board b;
static struct testdev *t;
static struct probe line[TESTDEV_LINES];

static void setup(void)
{
    board_init(&b);
    t = board_add(&b, &testdev_class, NULL);
    memset(line, 0, sizeof line);
    for (unsigned i = 0; i < TESTDEV_LINES; i++)
        irq_connect(&t->line[i], probe_set, &line[i], 0);
}

static void teardown(void)
{
    dev_destroy(&t->dev);
    board_destroy(&b);
}

START_TEST(each_port_sets_its_line_in_any_width)
{
    static const u8 sizes[] = {1, 2, 4};
    for (unsigned i = 0; i < TESTDEV_LINES; i++) {
        iobus_write(b.env.io, (u16)(0x2000 + i), 1, sizes[i % 3]);
        for (unsigned j = 0; j < TESTDEV_LINES; j++)
            ck_assert_uint_eq(line[j].level, i == j);
        iobus_write(b.env.io, (u16)(0x2000 + i), 0, sizes[i % 3]);
        ck_assert(!line[i].level);
    }
}
END_TEST

START_TEST(a_reset_lowers_the_lines_and_clears_what_was_written)
{
    out8(&b, 0x2005, 1);
    out8(&b, 0xe0, 0x55);
    phys_write(&b.phys, WINDOW, 0x55, 1);
    dev_reset(&t->dev);
    ck_assert(!line[5].level);
    ck_assert_uint_eq(in8(&b, 0xe0), 0);
    ck_assert_uint_eq(phys_read(&b.phys, WINDOW, 1), 0);
}
END_TEST

START_TEST(the_latch_reads_back_in_any_width)
{
    iobus_write(b.env.io, 0xe0, 0x44332211, 4);
    ck_assert_uint_eq(in8(&b, 0xe1), 0x22);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xe2, 2), 0x4433);
    out8(&b, 0xe3, 0x99);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xe0, 4), 0x99332211);
    out8(&b, 0xe8, 0x77);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xe0, 4), 0x99332277);
}
END_TEST

START_TEST(the_window_is_memory_and_ends_where_it_ends)
{
    phys_write(&b.phys, WINDOW + 0xfff8, 0x8877665544332211, 8);
    ck_assert_uint_eq(phys_read(&b.phys, WINDOW + 0xfff8, 8), 0x8877665544332211);
    ck_assert_uint_eq(phys_read(&b.phys, WINDOW + 0xfffb, 2), 0x5544);
    phys_write(&b.phys, WINDOW + 0xfffc, 0, 8);
    ck_assert_uint_eq(phys_read(&b.phys, WINDOW + 0xfff8, 4), 0x44332211);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_port_sets_its_line_in_any_width,
        a_reset_lowers_the_lines_and_clears_what_was_written,
        the_latch_reads_back_in_any_width,
        the_window_is_memory_and_ends_where_it_ends,
        NULL,
    };
    return run_tests("testdev", tests, setup, teardown);
}
