/* test_pic.c: the 8259A pair as its data sheet describes it. */
#include "devices/pic.h"
#include "tests/unit/board.h"
#include "tests/unit/waits.h"

static struct board b;
static struct pic *pic;
static struct probe intr;

static void start(u16 port, unsigned icw1, unsigned base, unsigned icw3, unsigned icw4)
{
    out8(&b, port, icw1);
    out8(&b, port + 1, base);
    if (!(icw1 & 2))
        out8(&b, port + 1, icw3);
    if (icw1 & 1)
        out8(&b, port + 1, icw4);
    out8(&b, port + 1, 0);
}

/* As PC firmware and kernels do: vectors 20h and 28h, all unmasked. */
static void setup(void)
{
    board_init(&b);
    pic = board_add(&b, &pic_class, NULL);
    intr = (struct probe){0};
    irq_connect(&pic->intr, probe_set, &intr, 0);
    start(0x20, 0x11, 0x20, 4, 1);
    start(0xa0, 0x11, 0x28, 2, 1);
}

static void teardown(void)
{
    dev_destroy(&pic->dev);
    board_destroy(&b);
}

static void raise(unsigned n)
{
    pic_set_irq(pic, n, true);
}

static void lower(unsigned n)
{
    pic_set_irq(pic, n, false);
}

static unsigned read_isr(u16 port)
{
    out8(&b, port, 0x0b);
    return in8(&b, port);
}

static unsigned read_irr(u16 port)
{
    out8(&b, port, 0x0a);
    return in8(&b, port);
}

static void eoi(void)
{
    out8(&b, 0x20, 0x20);
}

START_TEST(an_edge_is_delivered_once)
{
    raise(3);
    ck_assert(intr.level);
    ck_assert_uint_eq(read_irr(0x20), 0x08);
    ck_assert_int_eq(pic_ack(pic), 0x23);
    ck_assert(!intr.level);
    ck_assert_uint_eq(read_isr(0x20), 0x08);
    ck_assert_uint_eq(read_irr(0x20), 0);
    eoi();
    ck_assert(!intr.level);
    ck_assert_uint_eq(read_isr(0x20), 0);
    lower(3);
    raise(3);
    ck_assert(intr.level);
}
END_TEST

START_TEST(lower_priorities_wait_for_eoi_and_higher_ones_nest)
{
    raise(3);
    ck_assert_int_eq(pic_ack(pic), 0x23);
    raise(5);
    ck_assert(!intr.level);
    raise(1);
    ck_assert(intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x21);
    ck_assert_uint_eq(read_isr(0x20), 0x0a);
    eoi();
    ck_assert(!intr.level);
    eoi();
    ck_assert(intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x25);
}
END_TEST

START_TEST(masked_requests_stay_in_irr)
{
    out8(&b, 0x21, 0x08);
    raise(3);
    ck_assert(!intr.level);
    ck_assert_uint_eq(read_irr(0x20), 0x08);
    ck_assert_uint_eq(in8(&b, 0x21), 0x08);
    out8(&b, 0x21, 0x00);
    ck_assert(intr.level);
}
END_TEST

START_TEST(a_request_that_goes_away_gives_spurious_irq7_without_in_service_bit)
{
    raise(3);
    ck_assert(intr.level);
    lower(3);
    ck_assert(!intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x27);
    ck_assert_uint_eq(read_isr(0x20), 0);
}
END_TEST

START_TEST(the_slave_cascades_through_ir2)
{
    raise(12);
    ck_assert(intr.level);
    ck_assert_uint_eq(read_irr(0x20), 0x04);
    ck_assert_int_eq(pic_ack(pic), 0x2c);
    ck_assert_uint_eq(read_isr(0x20), 0x04);
    ck_assert_uint_eq(read_isr(0xa0), 0x10);
    raise(8);
    ck_assert_msg(!intr.level, "IR2 in service blocks the slave's higher inputs");
    raise(1);
    ck_assert_int_eq(pic_ack(pic), 0x21);
    eoi();
    out8(&b, 0xa0, 0x20);
    eoi();
    ck_assert(intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x28);
}
END_TEST

START_TEST(two_slave_requests_are_both_delivered)
{
    raise(9);
    raise(14);
    ck_assert_int_eq(pic_ack(pic), 0x29);
    out8(&b, 0xa0, 0x20);
    eoi();
    ck_assert(intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x2e);
    ck_assert_uint_eq(read_isr(0xa0), 0x40);
}
END_TEST

START_TEST(a_slave_request_that_goes_away_between_acknowledges_is_the_slaves_irq7)
{
    /* The slave is asked although its input fell: its mask changes only inside the chip. */
    raise(10);
    pic->chip[1].lines = 0;
    pic->chip[1].edge = 0;
    ck_assert_int_eq(pic_ack(pic), 0x2f);
    ck_assert_uint_eq(read_isr(0xa0), 0);
    ck_assert_uint_eq(read_isr(0x20), 0x04);
}
END_TEST

START_TEST(level_inputs_interrupt_again_after_eoi_until_they_fall)
{
    out8(&b, 0x4d0, 0xff);
    out8(&b, 0x4d1, 0xff);
    ck_assert_uint_eq(in8(&b, 0x4d0), 0xf8);
    ck_assert_uint_eq(in8(&b, 0x4d1), 0xde);
    raise(5);
    ck_assert_int_eq(pic_ack(pic), 0x25);
    eoi();
    ck_assert(intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x25);
    lower(5);
    eoi();
    ck_assert(!intr.level);
}
END_TEST

START_TEST(automatic_eoi_leaves_nothing_in_service)
{
    start(0x20, 0x11, 0x20, 4, 3);
    raise(4);
    raise(6);
    ck_assert_int_eq(pic_ack(pic), 0x24);
    ck_assert_uint_eq(read_isr(0x20), 0);
    ck_assert_int_eq(pic_ack(pic), 0x26);
}
END_TEST

START_TEST(rotation_in_automatic_eoi_mode_serves_equals_in_turn)
{
    start(0x20, 0x11, 0x20, 4, 3);
    out8(&b, 0x20, 0x80);
    raise(3);
    ck_assert_int_eq(pic_ack(pic), 0x23);
    lower(3);
    raise(3);
    raise(4);
    ck_assert_int_eq(pic_ack(pic), 0x24);
    out8(&b, 0x20, 0x00);
    lower(4);
    raise(4);
    ck_assert_int_eq(pic_ack(pic), 0x23); /* lowest is 4: priority starts at 5, 6, 7, 0 ... */
}
END_TEST

START_TEST(rotate_on_eoi_makes_the_served_level_the_lowest)
{
    raise(2 + 1);
    ck_assert_int_eq(pic_ack(pic), 0x23);
    out8(&b, 0x20, 0xa0);
    lower(3);
    raise(3);
    raise(4);
    ck_assert_int_eq(pic_ack(pic), 0x24);
}
END_TEST

START_TEST(specific_rotation_and_set_priority_choose_the_lowest_level)
{
    out8(&b, 0x20, 0xc0 | 4);
    raise(1);
    raise(5);
    ck_assert_int_eq(pic_ack(pic), 0x25);
    out8(&b, 0x20, 0xe0 | 5);
    ck_assert_uint_eq(read_isr(0x20), 0);
    lower(5);
    raise(5);
    raise(6);
    ck_assert_int_eq(pic_ack(pic), 0x26);
}
END_TEST

START_TEST(specific_eoi_clears_that_level_only)
{
    raise(5);
    pic_ack(pic);
    raise(3);
    pic_ack(pic);
    out8(&b, 0x20, 0x60 | 5);
    ck_assert_uint_eq(read_isr(0x20), 0x08);
}
END_TEST

START_TEST(special_mask_mode_lets_lower_levels_through)
{
    raise(3);
    pic_ack(pic);
    raise(5);
    ck_assert(!intr.level);
    out8(&b, 0x21, 0x08);
    ck_assert(!intr.level);
    out8(&b, 0x20, 0x68);
    ck_assert(intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x25);
    eoi();
    ck_assert_msg(read_isr(0x20) == 0x08, "a non-specific EOI leaves the masked level in service");
    out8(&b, 0x20, 0x48);
    lower(5);
    raise(5);
    ck_assert(!intr.level);
}
END_TEST

START_TEST(special_fully_nested_mode_nests_the_slaves_inputs)
{
    start(0x20, 0x11, 0x20, 4, 0x11);
    raise(12);
    ck_assert_int_eq(pic_ack(pic), 0x2c);
    raise(8);
    ck_assert(intr.level);
    ck_assert_int_eq(pic_ack(pic), 0x28);
    ck_assert_uint_eq(read_isr(0xa0), 0x11);
}
END_TEST

START_TEST(a_poll_acknowledges_in_software)
{
    out8(&b, 0x20, 0x0c);
    ck_assert_uint_eq(in8(&b, 0x20) & 0x80, 0);
    raise(6);
    out8(&b, 0x20, 0x0c);
    ck_assert_uint_eq(in8(&b, 0x20), 0x86);
    ck_assert(!intr.level);
    ck_assert_uint_eq(read_isr(0x20), 0x40);
    raise(11);
    out8(&b, 0xa0, 0x0c);
    ck_assert_uint_eq(in8(&b, 0xa0), 0x83);
    ck_assert_uint_eq(read_isr(0xa0), 0x08);
}
END_TEST

START_TEST(initialization_clears_masks_edges_and_priorities)
{
    out8(&b, 0x21, 0xff);
    out8(&b, 0x20, 0xc0 | 4);
    raise(3);
    start(0x20, 0x11, 0x40, 4, 1);
    ck_assert_uint_eq(in8(&b, 0x21), 0);
    ck_assert_msg(!intr.level, "a line that was high before ICW1 must rise again");
    raise(1);
    raise(5);
    ck_assert_int_eq(pic_ack(pic), 0x41);
}
END_TEST

START_TEST(a_single_chip_takes_no_icw3)
{
    start(0x20, 0x13, 0x50, 0, 1);
    raise(0);
    ck_assert_int_eq(pic_ack(pic), 0x50);
    start(0x20, 0x12, 0x60, 0, 0);
    lower(0);
    raise(0);
    ck_assert_int_eq(pic_ack(pic), 0x60);
}
END_TEST

START_TEST(eois_are_counted)
{
    eoi();
    out8(&b, 0xa0, 0x20);
    out8(&b, 0x20, 0x63);
    out8(&b, 0x20, 0x0b);
    ck_assert_uint_eq(stat_total(&b.stats, STAT_PIC_EOI), 3);
}
END_TEST

START_TEST(irq2_cannot_be_driven_from_outside)
{
    raise(2);
    raise(16);
    ck_assert(!intr.level);
}
END_TEST

START_TEST(what_holds_a_request_back_is_said)
{
    assert_waits(&pic->dev, "");
    raise(4);
    assert_waits(&pic->dev, "IRQ 4 is requested at the 8259s as vector 0x24.\n");
    out8(&b, 0x21, 0x10);
    assert_waits(
        &pic->dev,
        "IRQ 4 is requested at the 8259s, and masked there (bit 4 of IMR 0x10, port 0x21).\n");
    lower(4);
    raise(10);
    out8(&b, 0x21, 4);
    assert_waits(&pic->dev,
                 "IRQ 10 is requested at the 8259s, and masked at the first: IRQ 2 is the "
                 "second's (IMR 0x4, port 0x21).\n");
    out8(&b, 0x21, 0);
    ck_assert_int_eq(pic_ack(pic), 0x2a);
    assert_waits(&pic->dev, "");
    raise(12);
    assert_waits(&pic->dev,
                 "IRQ 12 is requested at the 8259s, and waits for the end of IRQ 10: no EOI "
                 "came (port 0xa0).\n");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_edge_is_delivered_once,
        lower_priorities_wait_for_eoi_and_higher_ones_nest,
        masked_requests_stay_in_irr,
        a_request_that_goes_away_gives_spurious_irq7_without_in_service_bit,
        the_slave_cascades_through_ir2,
        two_slave_requests_are_both_delivered,
        a_slave_request_that_goes_away_between_acknowledges_is_the_slaves_irq7,
        level_inputs_interrupt_again_after_eoi_until_they_fall,
        automatic_eoi_leaves_nothing_in_service,
        rotation_in_automatic_eoi_mode_serves_equals_in_turn,
        rotate_on_eoi_makes_the_served_level_the_lowest,
        specific_rotation_and_set_priority_choose_the_lowest_level,
        specific_eoi_clears_that_level_only,
        special_mask_mode_lets_lower_levels_through,
        special_fully_nested_mode_nests_the_slaves_inputs,
        a_poll_acknowledges_in_software,
        initialization_clears_masks_edges_and_priorities,
        a_single_chip_takes_no_icw3,
        eois_are_counted,
        irq2_cannot_be_driven_from_outside,
        what_holds_a_request_back_is_said,
        NULL,
    };

    return run_tests("pic", tests, setup, teardown);
}
