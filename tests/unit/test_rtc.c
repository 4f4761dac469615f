/* test_rtc.c: the MC146818A and CMOS memory. */
#include "devices/rtc.h"
#include "devices/ticks.h"
#include "tests/unit/board.h"

static struct board b;
static struct rtc *rtc;
static struct probe irq8;
static u64 epoch_ns; /* virtual time at which the clock was created */

static void create(const char *props)
{
    dev_destroy((struct dev *)rtc);
    rtc = board_add(&b, &rtc_class, props);
    epoch_ns = clock_now_ns(&b.clock);
    irq8 = (struct probe){0};
    irq_connect(&rtc->irq8, probe_set, &irq8, 0);
}

static void setup(void)
{
    board_init(&b);
    rtc = NULL;
    create("base=1709164798"); /* Wed 28 Feb 2024 23:59:58 */
}

static void teardown(void)
{
    dev_destroy(&rtc->dev);
    board_destroy(&b);
}

static unsigned get(unsigned reg)
{
    out8(&b, 0x70, reg);
    return in8(&b, 0x71);
}

static void put(unsigned reg, unsigned value)
{
    out8(&b, 0x70, reg);
    out8(&b, 0x71, value);
}

static void run_to(u64 ns)
{
    board_run_to(&b, epoch_ns + ns);
}

static void check_time(unsigned century, unsigned year, unsigned month, unsigned day, unsigned hour,
                       unsigned minute, unsigned second)
{
    ck_assert_uint_eq(get(RTC_CENTURY), century);
    ck_assert_uint_eq(get(RTC_YEAR), year);
    ck_assert_uint_eq(get(RTC_MONTH), month);
    ck_assert_uint_eq(get(RTC_DAY_OF_MONTH), day);
    ck_assert_uint_eq(get(RTC_HOURS), hour);
    ck_assert_uint_eq(get(RTC_MINUTES), minute);
    ck_assert_uint_eq(get(RTC_SECONDS), second);
}

START_TEST(starts_at_the_given_time_in_bcd_and_24_hours)
{
    check_time(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58);
    ck_assert_uint_eq(get(RTC_DAY_OF_WEEK), 4);
    ck_assert_uint_eq(get(RTC_REG_A), 0x26);
    ck_assert_uint_eq(get(RTC_REG_B), 0x02);
    ck_assert_uint_eq(get(RTC_REG_D), 0x80);
}
END_TEST

START_TEST(carries_into_a_leap_day)
{
    run_to(2 * NS_PER_SEC - 1);
    check_time(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x59);
    run_to(2 * NS_PER_SEC);
    check_time(0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00);
    ck_assert_uint_eq(get(RTC_DAY_OF_WEEK), 5);
    run_to(86402 * NS_PER_SEC);
    check_time(0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00);
}
END_TEST

START_TEST(carries_into_a_new_century)
{
    create("base=4102444799"); /* 31 Dec 2099 23:59:59 */
    check_time(0x20, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
    run_to(NS_PER_SEC);
    check_time(0x21, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00);
    ck_assert_uint_eq(get(RTC_DAY_OF_WEEK), 6);
}
END_TEST

/* Looking once after years must give what looking every hour gives. */
START_TEST(long_sleeps_and_short_ones_agree)
{
    u8 seen[16];

    run_to(1000 * 86400 * NS_PER_SEC + 12345 * NS_PER_SEC);
    for (unsigned i = 0; i < 10; i++)
        seen[i] = (u8)get(i);
    create("base=1709164798");
    for (u64 hour = 1; hour <= 24003; hour++) {
        run_to(hour * 3600 * NS_PER_SEC);
        get(RTC_SECONDS);
    }
    run_to(1000 * 86400 * NS_PER_SEC + 12345 * NS_PER_SEC);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_eq(get(i), seen[i]);
}
END_TEST

START_TEST(binary_and_12_hour_formats)
{
    put(RTC_REG_B, 0x80 | 0x04);
    put(RTC_HOURS, 0x80 | 11); /* 11 PM */
    put(RTC_MINUTES, 59);
    put(RTC_SECONDS, 58);
    put(RTC_YEAR, 24);
    put(RTC_MONTH, 12);
    put(RTC_DAY_OF_MONTH, 31);
    put(RTC_REG_B, 0x04);
    run_to(2 * NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_HOURS), 12); /* 12 AM */
    ck_assert_uint_eq(get(RTC_YEAR), 25);
    run_to((2 + 3600) * NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_HOURS), 1);
    run_to((2 + 12 * 3600) * NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_HOURS), 0x80 | 12);
}
END_TEST

START_TEST(set_stops_the_updates_but_not_the_divider)
{
    run_to(NS_PER_SEC / 4);
    put(RTC_REG_B, 0x82);
    put(RTC_SECONDS, 0x10);
    run_to(5 * NS_PER_SEC + NS_PER_SEC / 4);
    ck_assert_uint_eq(get(RTC_SECONDS), 0x10);
    put(RTC_REG_B, 0x02);
    run_to(6 * NS_PER_SEC - 1);
    ck_assert_uint_eq(get(RTC_SECONDS), 0x10);
    run_to(6 * NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_SECONDS), 0x11);
}
END_TEST

START_TEST(leaving_divider_reset_the_first_update_comes_half_a_second_later)
{
    run_to(NS_PER_SEC / 10);
    put(RTC_REG_A, 0x76);
    run_to(10 * NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_SECONDS), 0x58);
    put(RTC_REG_A, 0x26);
    run_to(10 * NS_PER_SEC + NS_PER_SEC / 2 - 1);
    ck_assert_uint_eq(get(RTC_SECONDS), 0x58);
    run_to(10 * NS_PER_SEC + NS_PER_SEC / 2);
    ck_assert_uint_eq(get(RTC_SECONDS), 0x59);
}
END_TEST

START_TEST(uip_announces_the_update)
{
    u64 before = NS_PER_SEC - 2228000;

    run_to(before - 1);
    ck_assert_uint_eq(get(RTC_REG_A) & 0x80, 0);
    run_to(before);
    ck_assert_uint_eq(get(RTC_REG_A) & 0x80, 0x80);
    run_to(NS_PER_SEC - 1);
    ck_assert_uint_eq(get(RTC_REG_A) & 0x80, 0x80);
    run_to(NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_REG_A) & 0x80, 0);
    put(RTC_REG_B, 0x82);
    run_to(2 * NS_PER_SEC - 1000);
    ck_assert_uint_eq(get(RTC_REG_A) & 0x80, 0);
}
END_TEST

START_TEST(update_ended_interrupts_until_c_is_read)
{
    put(RTC_REG_B, 0x12);
    run_to(NS_PER_SEC - 1);
    ck_assert(!irq8.level);
    run_to(NS_PER_SEC);
    ck_assert(irq8.level);
    run_to(3 * NS_PER_SEC);
    ck_assert_uint_eq(irq8.rises, 1);
    ck_assert_uint_eq(get(RTC_REG_C) & 0x90, 0x90);
    ck_assert(!irq8.level);
    ck_assert_uint_eq(get(RTC_REG_C), 0);
    run_to(4 * NS_PER_SEC);
    ck_assert_uint_eq(irq8.rises, 2);
    put(RTC_REG_B, 0x92);
    ck_assert_msg(!(get(RTC_REG_B) & 0x10), "SET clears UIE");
}
END_TEST

START_TEST(the_alarm_matches_with_dont_cares)
{
    put(RTC_HOURS_ALARM, 0xff);
    put(RTC_MINUTES_ALARM, 0xc0);
    put(RTC_SECONDS_ALARM, 0x30);
    get(RTC_REG_C);
    put(RTC_REG_B, 0x22);
    run_to(32 * NS_PER_SEC - 1);
    ck_assert(!irq8.level);
    run_to(32 * NS_PER_SEC);
    ck_assert(irq8.level);
    ck_assert_uint_eq(get(RTC_REG_C) & 0xa0, 0xa0);
    run_to(92 * NS_PER_SEC);
    ck_assert_uint_eq(irq8.rises, 2);
}
END_TEST

START_TEST(the_alarm_flag_sets_without_interrupt)
{
    put(RTC_HOURS_ALARM, 0x05);
    put(RTC_MINUTES_ALARM, 0x00);
    put(RTC_SECONDS_ALARM, 0x00);
    get(RTC_REG_C);
    run_to(5 * 3600 * NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_REG_C) & 0x20, 0);
    run_to((5 * 3600 + 3) * NS_PER_SEC);
    ck_assert_uint_eq(get(RTC_REG_C), 0x70);
    ck_assert_uint_eq(irq8.rises, 0);
}
END_TEST

/* Rates by the data sheet's table, in interrupts per second. */
START_TEST(periodic_interrupts_come_at_the_chosen_rate)
{
    static const unsigned rate[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                      256, 128, 64,  32,   16,   8,    4,    2};
    unsigned n = 0;

    put(RTC_REG_A, 0x20 | (unsigned)_i);
    get(RTC_REG_C);
    put(RTC_REG_B, 0x42);
    for (u64 t = 0; t < 65536; t++) {
        run_to(ticks_to_ns(t + 1, 65536, NS_PER_SEC));
        if (irq8.level) {
            n++;
            ck_assert_uint_eq(get(RTC_REG_C) & 0xc0, 0xc0);
        }
    }
    ck_assert_uint_eq(n, rate[_i]);
}
END_TEST

START_TEST(cmos_tells_the_memory)
{
    create("base=1,ram=5368709120");
    ck_assert_uint_eq(get(0x15) | get(0x16) << 8, 640);
    ck_assert_uint_eq(get(0x17) | get(0x18) << 8, 0xffff);
    ck_assert_uint_eq(get(0x34) | get(0x35) << 8, (3072 - 16) * 16);
    ck_assert_uint_eq(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 2048 * 16);
    create("base=1");
    ck_assert_uint_eq(get(0x17) | get(0x18) << 8, 1024); /* the board's 2 MiB */
    ck_assert_uint_eq(get(0x34) | get(0x35) << 8, 0);
}
END_TEST

START_TEST(memory_and_time_survive_a_reset_interrupts_do_not)
{
    put(0x40, 0xa5);
    put(RTC_REG_B, 0x72);
    run_to(NS_PER_SEC);
    ck_assert(irq8.level);
    dev_reset(&rtc->dev);
    ck_assert(!irq8.level);
    ck_assert_uint_eq(get(RTC_REG_B), 0x02);
    ck_assert_uint_eq(get(0x40), 0xa5);
    ck_assert_uint_eq(get(RTC_SECONDS), 0x59);
}
END_TEST

START_TEST(port_70_masks_nmi)
{
    struct probe nmi = {0};

    irq_connect(&rtc->nmi_mask, probe_set, &nmi, 0);
    out8(&b, 0x70, 0x80 | 0x0d);
    ck_assert(nmi.level);
    ck_assert_uint_eq(in8(&b, 0x71), 0x80);
    out8(&b, 0x70, 0x0d);
    ck_assert(!nmi.level);
}
END_TEST

START_TEST(nonsense_in_the_time_registers_does_no_harm)
{
    for (unsigned v = 0; v < 256; v += 5) {
        put(RTC_REG_B, 0x80 | (v & 6));
        for (unsigned reg = 0; reg < 10; reg++)
            put(reg, v);
        put(RTC_CENTURY, v);
        put(RTC_REG_B, v & 6);
        board_run(&b, 3 * NS_PER_SEC);
        get(RTC_SECONDS);
        board_run(&b, 4000ull * 86400 * NS_PER_SEC);
        get(RTC_SECONDS);
    }
}
END_TEST

static void check_sum(void)
{
    unsigned sum = 0;

    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += get(i);
    ck_assert_uint_eq(get(0x2e) << 8 | get(0x2f), sum);
}

START_TEST(cmos_checksum_is_right)
{
    check_sum();
    rtc_set_cmos(rtc, 0x10, 0x40); /* as the board tells of floppies */
    check_sum();
}
END_TEST

START_TEST(a_battery_keeps_what_is_not_the_machines)
{
    u8 kept[RTC_CMOS_BYTES];

    put(0x20, 0x11);
    put(0x40, 0x22);
    put(0x17, 0x33); /* memory */
    put(0x2e, 0);
    put(0x2f, 0);
    memcpy(kept, rtc->cmos, sizeof kept);
    ck_assert(!rtc_differs(rtc, kept));
    create("base=1709164798");
    ck_assert(rtc_differs(rtc, kept));
    rtc_restore(rtc, kept);
    ck_assert_uint_eq(get(0x20), 0x11);
    ck_assert_uint_eq(get(0x40), 0x22);
    ck_assert_uint_ne(get(0x17), 0x33);
    ck_assert_uint_eq(get(0x2e) << 8 | get(0x2f), 0); /* wrong, as the guest left it */
    check_time(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58);
    rtc_set_cmos(rtc, 0x20, 0x44);
    memcpy(kept, rtc->cmos, sizeof kept);
    create("base=1709164798,ram=0x40000000");
    rtc_restore(rtc, kept);
    ck_assert_uint_eq(get(0x20), 0x44);
    check_sum();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rtc");
    TCase *tc = tcase_create("rtc");
    SRunner *sr;
    int failures;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, starts_at_the_given_time_in_bcd_and_24_hours);
    tcase_add_test(tc, carries_into_a_leap_day);
    tcase_add_test(tc, carries_into_a_new_century);
    tcase_add_test(tc, long_sleeps_and_short_ones_agree);
    tcase_add_test(tc, binary_and_12_hour_formats);
    tcase_add_test(tc, set_stops_the_updates_but_not_the_divider);
    tcase_add_test(tc, leaving_divider_reset_the_first_update_comes_half_a_second_later);
    tcase_add_test(tc, uip_announces_the_update);
    tcase_add_test(tc, update_ended_interrupts_until_c_is_read);
    tcase_add_test(tc, the_alarm_matches_with_dont_cares);
    tcase_add_test(tc, the_alarm_flag_sets_without_interrupt);
    tcase_add_loop_test(tc, periodic_interrupts_come_at_the_chosen_rate, 0, 16);
    tcase_add_test(tc, cmos_tells_the_memory);
    tcase_add_test(tc, cmos_checksum_is_right);
    tcase_add_test(tc, a_battery_keeps_what_is_not_the_machines);
    tcase_add_test(tc, memory_and_time_survive_a_reset_interrupts_do_not);
    tcase_add_test(tc, port_70_masks_nmi);
    tcase_add_test(tc, nonsense_in_the_time_registers_does_no_harm);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failures = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failures != 0;
}
