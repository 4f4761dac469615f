/*
 * test_pit.c: the 8254 in all modes, pulse by pulse against a model that counts single pulses as
 * the data sheet tells it, and the PC's wiring around it.
 */
#include "devices/pit.h"
#include "base/rng.h"
#include "devices/ticks.h"
#include "tests/unit/board.h"

static struct board b;
static struct pit *pit;
static struct probe irq0;

static void setup(void)
{
    board_init(&b);
    pit = board_add(&b, &pit_class, NULL);
    irq0 = (struct probe){0};
    irq_connect(&pit->irq0, probe_set, &irq0, 0);
}

static void teardown(void)
{
    dev_destroy(&pit->dev);
    board_destroy(&b);
}

static u64 tick_now(void)
{
    return ticks_at(clock_now_ns(&b.clock), PIT_TICKS_NUM, PIT_TICKS_DEN);
}

static void run_ticks(u64 n)
{
    board_run_to(&b, ticks_to_ns(tick_now() + n, PIT_TICKS_NUM, PIT_TICKS_DEN));
}

static void program(unsigned channel, unsigned mode, unsigned count)
{
    out8(&b, 0x43, channel << 6 | 0x30 | mode << 1);
    out8(&b, (u16)(0x40 + channel), count & 0xff);
    out8(&b, (u16)(0x40 + channel), count >> 8 & 0xff);
}

static unsigned latched(unsigned channel)
{
    unsigned low;

    out8(&b, 0x43, channel << 6);
    low = in8(&b, (u16)(0x40 + channel));
    return low | in8(&b, (u16)(0x40 + channel)) << 8;
}

static unsigned status(unsigned channel)
{
    out8(&b, 0x43, 0xe0 | 2u << channel);
    return in8(&b, (u16)(0x40 + channel));
}

static bool out_of(unsigned channel)
{
    return status(channel) & 0x80;
}

/* --- the model: one CLK pulse at a time ------------------------------------------------------- */

struct model {
    unsigned mode, count, next, ce;
    bool out, gate, running, load, expired, odd_high, bcd;
};

static unsigned model_modulus(const struct model *m)
{
    return m->bcd ? 10000 : 65536;
}

static void model_load(struct model *m)
{
    m->count = m->next;
    m->ce = m->mode == 3 ? m->count & ~1u : m->count;
    m->load = false;
    m->running = true;
    m->expired = false;
    m->out = m->mode > 1;
}

static void model_half(struct model *m)
{
    m->out = !m->out;
    m->count = m->next;
    m->ce = m->count & ~1u;
}

static void model_pulse_mode3(struct model *m)
{
    if (m->out && (m->count & 1)) {
        if (m->ce == 0)
            model_half(m);
        else
            m->ce -= 2;
    } else {
        m->ce -= 2;
        if (m->ce == 0)
            model_half(m);
    }
}

static void model_pulse(struct model *m)
{
    if (m->load) {
        model_load(m);
        return;
    }
    if (!m->running || (!m->gate && m->mode != 1 && m->mode != 5))
        return;
    if (m->mode == 3) {
        model_pulse_mode3(m);
        return;
    }
    if (m->mode == 2) {
        if (m->ce == 1) {
            m->count = m->ce = m->next;
            m->out = true;
        } else if (--m->ce == 1) {
            m->out = false;
        }
        return;
    }
    if (m->mode >= 4 && !m->out)
        m->out = true;
    m->ce = (m->ce ? m->ce : model_modulus(m)) - 1;
    if (m->ce == 0 && !m->expired) {
        m->expired = true;
        m->out = m->mode <= 1;
    }
}

static void model_set_count(struct model *m, unsigned count)
{
    m->next = count;
    if (m->mode == 0)
        m->out = false;
    if (m->mode == 0 || m->mode == 4 || ((m->mode == 2 || m->mode == 3) && !m->running))
        m->load = true;
}

static void model_set_gate(struct model *m, bool gate)
{
    if (gate && !m->gate && m->mode != 0 && m->mode != 4)
        m->load = true;
    if (!gate && m->gate && (m->mode == 2 || m->mode == 3))
        m->out = true;
    m->gate = gate;
}

static unsigned bcd(unsigned v)
{
    return v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

static unsigned model_readable(const struct model *m)
{
    return m->bcd ? bcd(m->ce % 10000) : m->ce & 0xffff;
}

static void check_against(const struct model *m, unsigned mode, unsigned step)
{
    ck_assert_msg(out_of(2) == m->out, "mode %u step %u: OUT is %u", mode, step, out_of(2));
    if (m->running)
        ck_assert_msg(latched(2) == model_readable(m), "mode %u step %u: count %u, not %u", mode,
                      step, latched(2), model_readable(m));
}

/* Channel 2 has a gate that the test drives: all six modes, binary and BCD. */
START_TEST(every_mode_equals_the_pulse_model)
{
    unsigned mode = (unsigned)_i % 6;
    bool is_bcd = _i >= 6;
    struct rng r;
    struct model m = {.mode = mode, .bcd = is_bcd};

    rng_seed(&r, (u64)_i + 1);
    out8(&b, 0x61, 1);
    m.gate = true;
    out8(&b, 0x43, 2u << 6 | 0x30 | mode << 1 | is_bcd);
    m.out = mode != 0;
    for (unsigned step = 0; step < 4000; step++) {
        unsigned what = (unsigned)rng_below(&r, 16);

        if (what == 0 || step == 0) {
            unsigned count = (unsigned)(rng_below(&r, 8) ? 2 + rng_below(&r, 40) : 9000);
            unsigned raw = is_bcd ? bcd(count) : count;

            out8(&b, 0x42, raw & 0xff);
            if (mode == 0) { /* the first byte stops it */
                m.running = m.load = m.out = false;
            }
            out8(&b, 0x42, raw >> 8);
            model_set_count(&m, count);
        } else if (what == 1) {
            bool gate = rng_next(&r) & 1;

            out8(&b, 0x61, gate);
            model_set_gate(&m, gate);
        } else {
            unsigned n = (unsigned)(rng_below(&r, 12) ? rng_below(&r, 9) : rng_below(&r, 70000));

            run_ticks(n);
            while (n--)
                model_pulse(&m);
        }
        check_against(&m, mode, step);
    }
}
END_TEST

/* --- by the data sheet ------------------------------------------------------------------------ */

START_TEST(mode_0_raises_out_n_plus_1_pulses_after_the_count)
{
    program(0, 0, 100);
    run_ticks(100);
    ck_assert(!irq0.level);
    run_ticks(1);
    ck_assert(irq0.level);
    ck_assert_uint_eq(irq0.rises, 1);
    run_ticks(200000);
    ck_assert_uint_eq(irq0.rises, 1);
    program(0, 0, 5);
    ck_assert(!irq0.level);
}
END_TEST

START_TEST(mode_2_interrupts_at_the_exact_rate)
{
    u64 start;

    program(0, 2, 11932);
    run_ticks(1);
    start = tick_now();
    irq0.rises = 0;
    run_ticks(11932ull * 1000);
    ck_assert_uint_eq(irq0.rises, 1000);
    ck_assert_uint_eq(tick_now() - start, 11932000);
}
END_TEST

START_TEST(mode_3_is_high_half_of_the_time)
{
    program(0, 3, 1001);
    run_ticks(1);
    ck_assert(irq0.level);
    run_ticks(500);
    ck_assert(irq0.level);
    run_ticks(1);
    ck_assert(!irq0.level);
    run_ticks(499);
    ck_assert(!irq0.level);
    run_ticks(1);
    ck_assert(irq0.level);
}
END_TEST

START_TEST(a_late_host_makes_one_edge_of_many)
{
    program(0, 2, 1000);
    run_ticks(10);
    irq0.rises = 0;
    clock_advance_to(&b.clock, clock_now_ns(&b.clock) + NS_PER_SEC);
    clock_run_timers(&b.clock);
    ck_assert_uint_eq(irq0.rises, 1);
    ck_assert(irq0.level);
}
END_TEST

START_TEST(a_count_of_0_is_65536)
{
    program(0, 2, 0);
    run_ticks(1);
    irq0.rises = 0;
    run_ticks(65535);
    ck_assert_uint_eq(irq0.rises, 0);
    run_ticks(1);
    ck_assert_uint_eq(irq0.rises, 1);
}
END_TEST

START_TEST(latched_count_stays_until_read)
{
    unsigned low;

    program(0, 2, 5000);
    run_ticks(1 + 100);
    out8(&b, 0x43, 0x00);
    run_ticks(50);
    out8(&b, 0x43, 0x00); /* ignored: still latched */
    low = in8(&b, 0x40);
    ck_assert_uint_eq(low | in8(&b, 0x40) << 8, 4900);
    ck_assert_uint_eq(in8(&b, 0x40), 4850 & 0xff);
}
END_TEST

START_TEST(read_back_gives_status_before_count)
{
    program(0, 2, 5000);
    ck_assert_uint_eq(status(0), 0x80 | 0x40 | 0x34);
    run_ticks(1);
    ck_assert_uint_eq(status(0), 0x80 | 0x34);
    out8(&b, 0x43, 0xc2);
    ck_assert_uint_eq(in8(&b, 0x40), 0xb4);
    ck_assert_uint_eq(in8(&b, 0x40), 5000 & 0xff);
    ck_assert_uint_eq(in8(&b, 0x40), 5000 >> 8);
}
END_TEST

START_TEST(read_back_latches_several_counters_at_once)
{
    program(0, 2, 5000);
    program(2, 0, 3000);
    out8(&b, 0x61, 1);
    run_ticks(101);
    out8(&b, 0x43, 0xdc);
    run_ticks(5);
    ck_assert_uint_eq(in8(&b, 0x42), 2900 & 0xff);
    ck_assert_uint_eq(in8(&b, 0x42), 2900 >> 8);
    ck_assert_uint_ne(in8(&b, 0x40), 4900 & 0xff);
}
END_TEST

START_TEST(single_byte_access_modes_read_and_write_one_byte)
{
    out8(&b, 0x43, 0x14); /* channel 0, LSB, mode 2 */
    out8(&b, 0x40, 200);
    run_ticks(11);
    ck_assert_uint_eq(in8(&b, 0x40), 190);
    out8(&b, 0x43, 0x24); /* MSB */
    out8(&b, 0x40, 2);
    run_ticks(1);
    ck_assert_uint_eq(in8(&b, 0x40), 2);
    run_ticks(1);
    ck_assert_uint_eq(in8(&b, 0x40), 1);
}
END_TEST

START_TEST(modes_6_and_7_are_2_and_3)
{
    program(0, 6, 100);
    run_ticks(1);
    irq0.rises = 0;
    run_ticks(300);
    ck_assert_uint_eq(irq0.rises, 3);
    ck_assert_uint_eq(status(0) & 0x0e, 0x0c);
}
END_TEST

START_TEST(illegal_count_1_makes_no_storm_and_no_hang)
{
    program(0, 2, 1);
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_le(irq0.rises, 1);
    program(2, 3, 1);
    out8(&b, 0x61, 1);
    clock_advance_to(&b.clock, clock_now_ns(&b.clock) + 100 * NS_PER_SEC);
    status(2);
}
END_TEST

START_TEST(port_61_gates_channel_2_and_shows_its_output)
{
    out8(&b, 0x61, 0);
    program(2, 0, 1000);
    run_ticks(5000);
    ck_assert_uint_eq(in8(&b, 0x61) & 0x20, 0);
    out8(&b, 0x61, 1);
    run_ticks(999);
    ck_assert_uint_eq(in8(&b, 0x61) & 0x20, 0);
    run_ticks(1);
    ck_assert_uint_eq(in8(&b, 0x61) & 0x2f, 0x21);
    out8(&b, 0x61, 0xff);
    ck_assert_uint_eq(in8(&b, 0x61) & 0xcf, 0x0f);
}
END_TEST

START_TEST(the_refresh_bit_toggles_every_15_microseconds)
{
    unsigned toggles = 0, last = in8(&b, 0x61) & 0x10;

    for (unsigned i = 0; i < 1800; i++) {
        unsigned now;

        run_ticks(1);
        now = in8(&b, 0x61) & 0x10;
        toggles += now != last;
        last = now;
    }
    ck_assert_uint_eq(toggles, 100);
}
END_TEST

START_TEST(hpet_legacy_replacement_takes_irq_0)
{
    program(0, 2, 1000);
    run_ticks(10);
    pit_set_legacy_disabled(pit, 0, true);
    ck_assert(!irq0.level);
    irq0.rises = 0;
    run_ticks(5000);
    ck_assert_uint_eq(irq0.rises, 0);
    pit_set_legacy_disabled(pit, 0, false);
    run_ticks(1000);
    ck_assert_uint_ge(irq0.rises, 1);
}
END_TEST

START_TEST(ticks_convert_without_rounding_errors)
{
    for (u64 tick = 0; tick < 2000000000000ull; tick = tick * 3 + 1) {
        u64 ns = ticks_to_ns(tick, PIT_TICKS_NUM, PIT_TICKS_DEN);

        ck_assert_uint_eq(ticks_at(ns, PIT_TICKS_NUM, PIT_TICKS_DEN), tick);
        if (ns)
            ck_assert_uint_lt(ticks_at(ns - 1, PIT_TICKS_NUM, PIT_TICKS_DEN), tick);
    }
    ck_assert_uint_eq(ticks_at(3600 * NS_PER_SEC, PIT_TICKS_NUM, PIT_TICKS_DEN), 14318180ull * 300);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pit");
    TCase *tc = tcase_create("pit");
    SRunner *sr;
    int failures;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, every_mode_equals_the_pulse_model, 0, 12);
    tcase_add_test(tc, mode_0_raises_out_n_plus_1_pulses_after_the_count);
    tcase_add_test(tc, mode_2_interrupts_at_the_exact_rate);
    tcase_add_test(tc, mode_3_is_high_half_of_the_time);
    tcase_add_test(tc, a_late_host_makes_one_edge_of_many);
    tcase_add_test(tc, a_count_of_0_is_65536);
    tcase_add_test(tc, latched_count_stays_until_read);
    tcase_add_test(tc, read_back_gives_status_before_count);
    tcase_add_test(tc, read_back_latches_several_counters_at_once);
    tcase_add_test(tc, single_byte_access_modes_read_and_write_one_byte);
    tcase_add_test(tc, modes_6_and_7_are_2_and_3);
    tcase_add_test(tc, illegal_count_1_makes_no_storm_and_no_hang);
    tcase_add_test(tc, port_61_gates_channel_2_and_shows_its_output);
    tcase_add_test(tc, the_refresh_bit_toggles_every_15_microseconds);
    tcase_add_test(tc, hpet_legacy_replacement_takes_irq_0);
    tcase_add_test(tc, ticks_convert_without_rounding_errors);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failures = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failures != 0;
}
