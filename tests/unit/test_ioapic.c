/* test_ioapic.c: the I/O APIC through its registers and pins. */
#include "base/stats.h"
#include "devices/ioapic.h"
#include "tests/unit/waits.h"

#include <check.h>
#include <string.h>

static struct phys phys;
static struct clock virtual_time;
static struct stats stats;
static struct dev_env env;
static struct ioapic *io;

static struct apic_msg last;
static unsigned sent;
static bool accepts;

static bool take(void *opaque, const struct apic_msg *msg)
{
    (void)opaque;
    last = *msg;
    sent++;
    return accepts;
}

static void setup(void)
{
    struct err e = {0};

    memset(&phys, 0, sizeof phys);
    ck_assert(phys_init(&phys, MIB, &e));
    clock_init(&virtual_time, CLOCK_ICOUNT);
    env = (struct dev_env){.phys = &phys, .clock = &virtual_time, .stats = &stats};
    io = container_of(dev_create(&ioapic_class, &env, NULL, &e), struct ioapic, dev);
    io->deliver = take;
    sent = 0;
    accepts = true;
}

static void teardown(void)
{
    dev_destroy(&io->dev);
    phys_destroy(&phys);
}

static u32 rd(u8 reg)
{
    phys_write(&phys, IOAPIC_DEFAULT_BASE, reg, 4);
    return (u32)phys_read(&phys, IOAPIC_DEFAULT_BASE + 0x10, 4);
}

static void wr(u8 reg, u32 v)
{
    phys_write(&phys, IOAPIC_DEFAULT_BASE, reg, 4);
    phys_write(&phys, IOAPIC_DEFAULT_BASE + 0x10, v, 4);
}

static u32 low(unsigned pin) { return rd((u8)(0x10 + 2 * pin)); }
static void set_low(unsigned pin, u32 v) { wr((u8)(0x10 + 2 * pin), v); }

START_TEST(version_says_24_pins_and_every_pin_is_masked_after_reset)
{
    ck_assert_uint_eq(rd(1), 0x00170020);
    for (unsigned n = 0; n < 24; n++)
        ck_assert_uint_eq(low(n), 0x10000);
    wr(0, 0x0f000000);
    ck_assert_uint_eq(rd(0), 0x0f000000);
    ck_assert_uint_eq(rd(2), 0x0f000000);
    wr(1, 0);
    ck_assert_uint_eq(rd(1), 0x00170020);
    ck_assert_uint_eq(rd(0x40), 0xffffffff);
}
END_TEST

START_TEST(read_only_bits_of_an_entry_keep_their_value)
{
    wr(0x11, 0xffffffff);
    set_low(0, 0xffffffff);
    ck_assert_uint_eq(rd(0x11), 0xff000000);
    ck_assert_uint_eq(low(0), 0x1afff);
}
END_TEST

START_TEST(an_edge_is_sent_once_with_the_fields_of_its_entry)
{
    wr(0x10 + 2 * 4 + 1, 0x03000000);
    set_low(4, 0x934); /* logical, lowest priority, vector 0x34 */
    ioapic_set_pin(io, 4, true);
    ioapic_set_pin(io, 4, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(last.dest, 3);
    ck_assert(last.logical);
    ck_assert_uint_eq(last.mode, APIC_LOWEST);
    ck_assert_uint_eq(last.vector, 0x34);
    ck_assert(!last.level);
    ioapic_set_pin(io, 4, false);
    ioapic_set_pin(io, 4, true);
    ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(a_masked_edge_is_lost_and_a_masked_level_waits)
{
    set_low(1, 0x10031);
    ioapic_set_pin(io, 1, true);
    set_low(1, 0x31);
    ck_assert_uint_eq(sent, 0);
    set_low(2, 0x18032);
    ioapic_set_pin(io, 2, true);
    ck_assert_uint_eq(sent, 0);
    set_low(2, 0x8032);
    ck_assert_uint_eq(sent, 1);
    ck_assert(last.level);
}
END_TEST

START_TEST(a_level_is_sent_again_only_after_eoi_and_while_asserted)
{
    set_low(9, 0x8059);
    ioapic_set_pin(io, 9, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(low(9), 0xc059);
    ioapic_set_pin(io, 9, false);
    ioapic_set_pin(io, 9, true);
    ck_assert_uint_eq(sent, 1);
    ioapic_eoi(io, 0x58);
    ck_assert_uint_eq(sent, 1);
    ioapic_eoi(io, 0x59);
    ck_assert_uint_eq(sent, 2);
    ioapic_set_pin(io, 9, false);
    ioapic_eoi(io, 0x59);
    ck_assert_uint_eq(sent, 2);
    ck_assert_uint_eq(low(9), 0x8059);
}
END_TEST

START_TEST(the_eoi_register_ends_one_vector)
{
    set_low(9, 0x8059);
    set_low(10, 0x805a);
    ioapic_set_pin(io, 9, true);
    ioapic_set_pin(io, 10, true);
    phys_write(&phys, IOAPIC_DEFAULT_BASE + 0x40, 0x5a, 4);
    ck_assert_uint_eq(sent, 3);
    ck_assert_uint_eq(last.vector, 0x5a);
}
END_TEST

START_TEST(a_level_that_no_apic_accepts_has_no_remote_irr)
{
    accepts = false;
    set_low(9, 0x8059);
    ioapic_set_pin(io, 9, true);
    ck_assert_uint_eq(low(9), 0x8059);
    accepts = true;
    set_low(9, 0x8059);
    ck_assert_uint_eq(low(9), 0xc059);
}
END_TEST

START_TEST(switching_an_entry_to_edge_clears_remote_irr)
{
    set_low(9, 0x8059);
    ioapic_set_pin(io, 9, true);
    set_low(9, 0x10059);
    ck_assert_uint_eq(low(9), 0x10059);
    set_low(9, 0x8059);
    ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(nmi_and_extint_are_edges_whatever_the_trigger_bit_says)
{
    set_low(0, 0x8700);
    ioapic_set_pin(io, 0, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(last.mode, APIC_EXTINT);
    ck_assert(!last.level);
    ck_assert_uint_eq(low(0), 0x8700);
}
END_TEST

START_TEST(pins_and_offsets_beyond_the_last_are_ignored)
{
    ioapic_set_pin(io, 24, true);
    ioapic_set_pin(io, 0xffffffff, true);
    phys_write(&phys, IOAPIC_DEFAULT_BASE + 0xff8, ~0ull, 8);
    wr(0xff, 0);
    ck_assert_uint_eq(phys_read(&phys, IOAPIC_DEFAULT_BASE + 0x24, 4), 0);
    ck_assert_uint_eq(io->level, 0);
    ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(what_holds_a_pin_back_is_said)
{
    assert_waits(&io->dev, "");
    ioapic_set_pin(io, 4, true);
    assert_waits(&io->dev,
                 "Pin 4 of the I/O APIC is asserted and masked (bit 16 of entry 0x10000): an edge "
                 "is lost so.\n");
    ioapic_set_pin(io, 4, false);
    accepts = false;
    set_low(9, 0x8059);
    ioapic_set_pin(io, 9, true);
    assert_waits(&io->dev,
                 "Pin 9 of the I/O APIC is asserted, and no local APIC takes it (physical "
                 "destination 0, vector 0x59).\n");
    accepts = true;
    set_low(9, 0x8059);
    assert_waits(&io->dev, "Pin 9 of the I/O APIC waits for the EOI of vector 0x59.\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ioapic");
    TCase *c = tcase_create("ioapic");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, version_says_24_pins_and_every_pin_is_masked_after_reset);
    tcase_add_test(c, read_only_bits_of_an_entry_keep_their_value);
    tcase_add_test(c, an_edge_is_sent_once_with_the_fields_of_its_entry);
    tcase_add_test(c, a_masked_edge_is_lost_and_a_masked_level_waits);
    tcase_add_test(c, a_level_is_sent_again_only_after_eoi_and_while_asserted);
    tcase_add_test(c, the_eoi_register_ends_one_vector);
    tcase_add_test(c, a_level_that_no_apic_accepts_has_no_remote_irr);
    tcase_add_test(c, switching_an_entry_to_edge_clears_remote_irr);
    tcase_add_test(c, nmi_and_extint_are_edges_whatever_the_trigger_bit_says);
    tcase_add_test(c, pins_and_offsets_beyond_the_last_are_ignored);
    tcase_add_test(c, what_holds_a_pin_back_is_said);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
