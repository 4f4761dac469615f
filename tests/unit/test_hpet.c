/* test_hpet.c: the HPET through its registers, its lines and virtual time. */
#include "base/stats.h"
#include "devices/hpet.h"

#include <check.h>
#include <string.h>

static struct phys phys;
static struct clock virtual_time;
static struct stats stats;
static struct dev_env env;
static struct hpet *h;

static unsigned rises[64];
static bool level[64];

/* Lines 0-31: I/O APIC; 32, 33: legacy IRQ 0 and 8. */
static void on_line(void *opaque, unsigned n, bool l)
{
    (void)opaque;
    rises[n] += l && !level[n];
    level[n] = l;
}

static void setup(void)
{
    struct err e = {0};

    memset(&phys, 0, sizeof phys);
    memset(rises, 0, sizeof rises);
    memset(level, 0, sizeof level);
    ck_assert(phys_init(&phys, MIB, &e));
    clock_init(&virtual_time, CLOCK_ICOUNT);
    env = (struct dev_env){.phys = &phys, .clock = &virtual_time, .stats = &stats};
    h = container_of(dev_create(&hpet_class, &env, NULL, &e), struct hpet, dev);
    for (unsigned n = 0; n < HPET_ROUTES; n++)
        irq_connect(&h->route[n], on_line, NULL, n);
    irq_connect(&h->legacy_irq[0], on_line, NULL, 32);
    irq_connect(&h->legacy_irq[1], on_line, NULL, 33);
}

static void teardown(void)
{
    dev_destroy(&h->dev);
    phys_destroy(&phys);
}

static u64 rd(unsigned off) { return phys_read(&phys, HPET_BASE + off, 8); }
static void wr(unsigned off, u64 v) { phys_write(&phys, HPET_BASE + off, v, 8); }
static u32 rd32(unsigned off) { return (u32)phys_read(&phys, HPET_BASE + off, 4); }
static void wr32(unsigned off, u32 v) { phys_write(&phys, HPET_BASE + off, v, 4); }

static void advance(u64 ns)
{
    clock_advance_to(&virtual_time, clock_now_ns(&virtual_time) + ns);
    clock_run_timers(&virtual_time);
}

START_TEST(capabilities_are_those_of_the_specification)
{
    ck_assert_uint_eq(rd(0) >> 32, 10000000);
    ck_assert_uint_eq(rd32(0), 0x8086a201);
    ck_assert_uint_eq(rd(0x100) >> 32, 0x00f00000);
    ck_assert_uint_eq(rd(0x100) & 0x8030, 0x30);
    ck_assert_uint_eq(rd(0x160), 0);
}
END_TEST

START_TEST(the_counter_runs_at_100_mhz_while_enabled_and_keeps_its_value)
{
    wr(0xf0, 1000);
    advance(1000);
    ck_assert_uint_eq(rd(0xf0), 1000);
    wr(0x10, 1);
    advance(1005);
    ck_assert_uint_eq(rd(0xf0), 1100);
    ck_assert_uint_eq(rd32(0xf0), 1100);
    ck_assert_uint_eq(rd32(0xf4), 0);
    wr(0x10, 0);
    advance(1000);
    ck_assert_uint_eq(rd(0xf0), 1100);
}
END_TEST

START_TEST(a_one_shot_match_raises_its_route_once)
{
    wr(0x100, 1 << 2 | 21 << 9);
    wr(0x108, 500);
    wr(0x10, 1);
    advance(4990);
    ck_assert_uint_eq(rises[21], 0);
    advance(10);
    ck_assert_uint_eq(rises[21], 1);
    advance(1000000000);
    ck_assert_uint_eq(rises[21], 1);
    wr(0x108, rd(0xf0) + 10);
    advance(100);
    ck_assert_uint_eq(rises[21], 2);
    wr(0x100, 21 << 9);
    ck_assert(!level[21]);
}
END_TEST

START_TEST(val_set_gives_periodic_mode_its_first_match_and_its_period)
{
    wr(0x10, 3); /* legacy routes */
    wr32(0x100, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8);
    wr32(0x108, 5000);
    ck_assert_uint_eq(rd32(0x100) & 1 << 6, 0);
    wr32(0x108, 2000);
    advance(50000);
    ck_assert_uint_eq(rises[32], 1);
    for (unsigned i = 2; i < 6; i++) {
        advance(20000);
        ck_assert_uint_eq(rises[32], i);
    }
    ck_assert_uint_eq(rd(0x108), 5000 + 5 * 2000);
}
END_TEST

START_TEST(late_periodic_matches_are_one_and_keep_the_phase)
{
    wr(0x10, 3);
    wr(0x100, 1 << 2 | 1 << 3 | 1 << 6);
    wr(0x108, 2000);
    advance(20000 * 10 + 5);
    ck_assert_uint_eq(rises[32], 1);
    ck_assert_uint_eq(rd(0x108), 22000);
    advance(19995);
    ck_assert_uint_eq(rises[32], 2);
}
END_TEST

START_TEST(a_period_of_one_count_does_not_hold_the_host)
{
    wr(0x10, 3);
    wr(0x100, 1 << 2 | 1 << 3 | 1 << 6);
    wr(0x108, 1);
    for (int i = 0; i < 100; i++) {
        advance(10000);
        ck_assert_uint_gt(clock_next_deadline_ns(&virtual_time), clock_now_ns(&virtual_time));
    }
    ck_assert_uint_ge(rises[32], 99);
}
END_TEST

START_TEST(a_level_interrupt_stays_until_its_status_bit_is_written)
{
    wr(0x120, 1 << 1 | 1 << 2 | 22 << 9);
    wr(0x128, 100);
    wr(0x10, 1);
    advance(1000);
    ck_assert_uint_eq(rd(0x20), 2);
    ck_assert(level[22]);
    wr(0x20, 1);
    ck_assert(level[22]);
    wr(0x20, 2);
    ck_assert(!level[22]);
    ck_assert_uint_eq(rd(0x20), 0);
}
END_TEST

START_TEST(comparators_on_one_level_input_share_it)
{
    wr(0x100, 1 << 1 | 1 << 2 | 22 << 9);
    wr(0x120, 1 << 1 | 1 << 2 | 22 << 9);
    wr(0x108, 100);
    wr(0x128, 100);
    wr(0x10, 1);
    advance(1000);
    wr(0x20, 1);
    ck_assert(level[22]);
    wr(0x20, 2);
    ck_assert(!level[22]);
}
END_TEST

START_TEST(a_route_that_is_not_offered_reads_back_as_before)
{
    wr(0x100, 20 << 9);
    wr(0x100, 2 << 9);
    ck_assert_uint_eq(rd(0x100) >> 9 & 31, 20);
}
END_TEST

START_TEST(a_32_bit_comparator_wraps_and_compares_its_half)
{
    wr(0xf0, 0x1fffffff0ull);
    wr(0x140, 1 << 2 | 1 << 8 | 20 << 9);
    wr(0x148, 0x700000005ull);
    ck_assert_uint_eq(rd(0x148), 5);
    wr(0x10, 1);
    advance(200);
    ck_assert_uint_eq(rises[20], 0);
    advance(10);
    ck_assert_uint_eq(rises[20], 1);
    advance(42949672950ull); /* 2^32 counts, less one */
    ck_assert_uint_eq(rises[20], 1);
    advance(10);
    ck_assert_uint_eq(rises[20], 2);
}
END_TEST

START_TEST(legacy_routes_are_announced_and_take_the_lines_over)
{
    wr(0x10, 2);
    ck_assert(h->legacy_on.level);
    wr(0x120, 1 << 2 | 20 << 9);
    wr(0x128, 10);
    wr(0x10, 3);
    advance(100);
    ck_assert_uint_eq(rises[33], 1);
    ck_assert_uint_eq(rises[20], 0);
    wr(0x10, 1);
    ck_assert(!h->legacy_on.level);
    ck_assert(!level[33]);
}
END_TEST

START_TEST(state_survives_save_and_load)
{
    static u8 buf[4096];
    struct err e = {0};
    size_t n;

    wr(0x100, 1 << 2 | 21 << 9);
    wr(0x108, 500);
    wr(0x10, 1);
    advance(100);
    n = dev_save(&h->dev, buf, sizeof buf);
    wr(0x10, 0);
    wr(0x108, 7);
    ck_assert_msg(dev_load(&h->dev, buf, n, &e), "%s", e.msg);
    advance(4900);
    ck_assert_uint_eq(rises[21], 1);
    ck_assert_uint_eq(rd(0xf0), 500);
}
END_TEST

START_TEST(odd_accesses_do_no_harm)
{
    phys_write(&phys, HPET_BASE + 0xffc, ~0ull, 8);
    phys_write(&phys, HPET_BASE + 0x104, ~0ull, 8);
    phys_read(&phys, HPET_BASE + 0xf3, 8);
    for (unsigned off = 0; off < 0x400; off += 4)
        wr32(off, 0xffffffff);
    advance(100000);
    ck_assert_uint_eq(rd32(0), 0x8086a201);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hpet");
    TCase *c = tcase_create("hpet");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, capabilities_are_those_of_the_specification);
    tcase_add_test(c, the_counter_runs_at_100_mhz_while_enabled_and_keeps_its_value);
    tcase_add_test(c, a_one_shot_match_raises_its_route_once);
    tcase_add_test(c, val_set_gives_periodic_mode_its_first_match_and_its_period);
    tcase_add_test(c, late_periodic_matches_are_one_and_keep_the_phase);
    tcase_add_test(c, a_period_of_one_count_does_not_hold_the_host);
    tcase_add_test(c, a_level_interrupt_stays_until_its_status_bit_is_written);
    tcase_add_test(c, comparators_on_one_level_input_share_it);
    tcase_add_test(c, a_route_that_is_not_offered_reads_back_as_before);
    tcase_add_test(c, a_32_bit_comparator_wraps_and_compares_its_half);
    tcase_add_test(c, legacy_routes_are_announced_and_take_the_lines_over);
    tcase_add_test(c, state_survives_save_and_load);
    tcase_add_test(c, odd_accesses_do_no_harm);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
