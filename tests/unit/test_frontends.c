/* test_frontends.c: options, JSON, order statistics, -until, and the words of a comparison. */
#include "base/rng.h"
#include "frontends/compare_report.h"
#include "frontends/json.h"
#include "frontends/options.h"
#include "frontends/report.h"
#include "frontends/samples.h"
#include "frontends/until.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- options --------------------------------------------------------------------------------- */

static bool parse(struct options *o, struct err *e, const char *line)
{
    static char copy[512];
    char *argv[32], *word;
    int argc = 0;

    memset(e, 0, sizeof *e);
    snprintf(copy, sizeof copy, "%s", line);
    for (word = strtok(copy, " "); word && argc < 31; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return options_parse(o, argc, argv, e);
}

START_TEST(no_argument_is_the_demo_and_an_option_alone_means_run)
{
    struct options o;
    struct err e;

    ck_assert(parse(&o, &e, "parallax"));
    ck_assert_int_eq(o.command, CMD_DEMO);
    ck_assert(parse(&o, &e, "parallax -m 64"));
    ck_assert_int_eq(o.command, CMD_RUN);
    ck_assert(parse(&o, &e, "parallax compare -runs 5"));
    ck_assert_int_eq(o.command, CMD_COMPARE);
    ck_assert_str_eq(o.value[OPT_RUNS], "5");
}
END_TEST

START_TEST(one_dash_two_dashes_and_equals_are_the_same)
{
    static const char *const lines[] = {"p -kernel k", "p --kernel k", "p -kernel=k", "p --kernel=k"};
    struct options o;
    struct err e;

    ck_assert(parse(&o, &e, lines[_i]));
    ck_assert_str_eq(o.value[OPT_KERNEL], "k");
}
END_TEST

START_TEST(repeated_options_keep_their_order)
{
    struct options o;
    struct err e;

    ck_assert(parse(&o, &e, "p -device a -device b,x=1 -d int,cpu"));
    ck_assert_str_eq(o.devices[0], "a");
    ck_assert_str_eq(o.devices[1], "b,x=1");
    ck_assert_ptr_null(o.devices[2]);
    ck_assert_str_eq(o.groups[0], "int,cpu");
}
END_TEST

START_TEST(too_many_repetitions_are_refused)
{
    char *argv[2 * MAX_REPEATED + 4] = {"p"};
    struct options o;
    struct err e = {0};
    int argc = 1;

    for (int i = 0; i <= MAX_REPEATED; i++) {
        argv[argc++] = "-device";
        argv[argc++] = "x";
    }
    ck_assert(!options_parse(&o, argc, argv, &e));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
}
END_TEST

START_TEST(a_value_may_begin_with_a_dash)
{
    struct options o;
    struct err e;

    ck_assert(parse(&o, &e, "p -append -x -stats"));
    ck_assert_str_eq(o.value[OPT_APPEND], "-x");
    ck_assert(o.given[OPT_STATS]);
    ck_assert_ptr_null(o.value[OPT_STATS]);
}
END_TEST

START_TEST(sizes_are_mib_unless_a_suffix_says_otherwise)
{
    static const struct {
        const char *text;
        u64 bytes; /* 0: refused */
    } rows[] = {
        {"512", 512 * MIB}, {"1", MIB},        {"2G", 2 * GIB},      {"2g", 2 * GIB},
        {"2048K", 2 * MIB}, {"1T", 1024 * GIB}, {"size=64", 64 * MIB}, {"16MiB", 16 * MIB},
        {"16MB", 16 * MIB}, {"0", 0},          {"1025G", 0},         {"10T", 0},
        {"abc", 0},         {"", 0},           {"-1", 0},            {"1X", 0},
        {"1.5G", 0},        {"1000K", 0},      {"18446744073709551617", 0}, {"16MX", 0},
    };
    struct err e;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        u64 bytes = 0;
        bool ok = options_size(rows[i].text, &bytes, &e);

        ck_assert_msg(ok == (rows[i].bytes != 0), "%s", rows[i].text);
        if (ok)
            ck_assert_uint_eq(bytes, rows[i].bytes);
    }
}
END_TEST

START_TEST(seconds_are_decimal_and_positive)
{
    struct err e;
    u64 ns;

    ck_assert(options_seconds(OPT_TIMEOUT, "0.5", &ns, &e));
    ck_assert_uint_eq(ns, 500000000);
    ck_assert(options_seconds(OPT_TIMEOUT, "30", &ns, &e));
    ck_assert_uint_eq(ns, 30000000000ull);
    static const char *const bad[] = {"", "0", "-1", "1e99", "nan", "inf", "1s", "1.2.3", "99999999999"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ck_assert_msg(!options_seconds(OPT_TIMEOUT, bad[i], &ns, &e), "%s", bad[i]);
}
END_TEST

START_TEST(rows_of_the_table_are_unique_grouped_and_explained)
{
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        ck_assert_uint_gt(strlen(opt_rows[i].help), 10);
        ck_assert_uint_ne(opt_rows[i].commands, 0);
        for (unsigned k = 0; k < i; k++) {
            ck_assert_str_ne(opt_rows[i].name, opt_rows[k].name);
            if (!strcmp(opt_rows[i].group, opt_rows[k].group))
                ck_assert_str_eq(opt_rows[i - 1].group, opt_rows[i].group);
        }
    }
}
END_TEST

/* ---- JSON ------------------------------------------------------------------------------------ */

static void string_is(const char *value, const char *expected)
{
    struct json j;

    json_init(&j);
    json_string(&j, NULL, value);
    ck_assert_str_eq(j.text, expected);
    json_free(&j);
}

START_TEST(json_escapes_what_must_be_and_keeps_utf8)
{
    string_is("a\"b\\c\n\t\x01\x7f", "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f\"");
    string_is("Zürich € 😀", "\"Zürich € 😀\"");
    string_is("bad \xff\xc0\x80 \xed\xa0\x80.", "\"bad \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd.\"");
    string_is("cut \xe2\x82", "\"cut \\ufffd\\ufffd\"");
    string_is("", "\"\"");
}
END_TEST

START_TEST(json_nests_and_separates)
{
    struct json j;

    json_init(&j);
    json_object(&j, NULL);
    json_u64(&j, "a", ~0ull);
    json_array(&j, "b");
    json_s64(&j, NULL, -1);
    json_bool(&j, NULL, true);
    json_string(&j, NULL, NULL);
    json_end(&j);
    json_object(&j, "c");
    json_end(&j);
    json_end(&j);
    ck_assert_str_eq(j.text, "{\n  \"a\": 18446744073709551615,\n  \"b\": [\n    -1,\n    true,\n    "
                             "null\n  ],\n  \"c\": {}\n}\n");
    json_free(&j);
}
END_TEST

START_TEST(json_doubles_read_back_the_same_and_nan_is_null)
{
    static const double values[] = {0, 0.1, 1.0 / 3, 1e300, -2.5, 123456789.123};
    struct json j;

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        json_init(&j);
        json_double(&j, NULL, values[i]);
        ck_assert_double_eq(strtod(j.text, NULL), values[i]);
        json_free(&j);
    }
    json_init(&j);
    json_double(&j, NULL, NAN);
    ck_assert_str_eq(j.text, "null");
    json_free(&j);
}
END_TEST

/* ---- statistics ------------------------------------------------------------------------------ */

START_TEST(summary_interpolates_quartiles)
{
    double odd[] = {5, 1, 4, 2, 3}, even[] = {4, 1, 3, 2}, one[] = {7};
    struct summary s = samples_summary(odd, 5);

    ck_assert_double_eq(s.median, 3);
    ck_assert_double_eq(s.q1, 2);
    ck_assert_double_eq(s.q3, 4);
    ck_assert_double_eq(summary_spread(&s), 1);
    s = samples_summary(even, 4);
    ck_assert_double_eq(s.median, 2.5);
    ck_assert_double_eq(s.q1, 1.75);
    s = samples_summary(one, 1);
    ck_assert_double_eq(s.median, 7);
    ck_assert_double_eq(summary_spread(&s), 0);
    s = samples_summary(one, 0);
    ck_assert_uint_eq(s.n, 0);
}
END_TEST

START_TEST(until_finds_text_across_pieces_and_after_false_starts)
{
    struct until u;

    until_init(&u, "aab");
    ck_assert(!until_feed(&u, (const u8 *)"aaa", 3));
    ck_assert(until_feed(&u, (const u8 *)"b", 1));
    ck_assert(!until_feed(&u, (const u8 *)"ab", 2));
    until_init(&u, "ababac");
    ck_assert(until_feed(&u, (const u8 *)"xabababac", 9));
}
END_TEST

START_TEST(numbers_have_three_digits_and_a_unit)
{
    char b[16];

    ck_assert_str_eq(report_number(b, 0), "0");
    ck_assert_str_eq(report_number(b, 9999), "9999");
    ck_assert_str_eq(report_number(b, 12345), "12.3 k");
    ck_assert_str_eq(report_number(b, 999999), "1.00 M");
    ck_assert_str_eq(report_number(b, 1.5e18), "1.50 E");
    ck_assert_str_eq(report_ns(b, 999.6), "1.00 us");
    ck_assert_str_eq(report_ns(b, 1234567), "1.23 ms");
    ck_assert_str_eq(report_ns(b, 250e9), "250 s");
}
END_TEST

/* ---- intervals ------------------------------------------------------------------------------- */

START_TEST(an_interval_of_equal_values_is_a_point)
{
    static const double a[] = {4, 4, 4}, b[] = {2, 2};
    struct interval r = samples_ratio(a, 3, b, 2, 0);

    ck_assert_double_eq(r.value, 2);
    ck_assert_double_eq(r.low, 2);
    ck_assert_double_eq(r.high, 2);
    ck_assert(interval_separates(&r));
    r = samples_ratio(a, 3, b, 0, 0);
    ck_assert_double_eq(r.value, 0);
    ck_assert(!interval_separates(&r));
    r = samples_ratio(a, 1, b, 1, 0);
    ck_assert_double_eq(r.low, 2);
}
END_TEST

START_TEST(an_interval_repeats_with_its_seed_and_holds_its_estimate)
{
    static const double a[] = {9, 11, 10, 14, 8}, b[] = {10, 12, 9, 11, 10};
    struct interval r = samples_ratio(a, 5, b, 5, 7), again = samples_ratio(a, 5, b, 5, 7);

    ck_assert_double_eq(r.value, 1);
    ck_assert_double_eq(r.low, again.low);
    ck_assert_double_eq(r.high, again.high);
    ck_assert(r.low < 1 && r.high > 1 && !interval_separates(&r));
}
END_TEST

/* Two samples of one distribution: about 19 of 20 intervals shall hold the true ratio. */
START_TEST(intervals_hold_the_truth_about_as_often_as_they_say)
{
    struct rng rng;
    unsigned held = 0;

    rng_seed(&rng, 1);
    for (unsigned k = 0; k < 300; k++) {
        double v[2][15];

        for (unsigned i = 0; i < 30; i++) { /* the sum of four dice is nearly normal */
            v[i / 15][i % 15] = 1000;
            for (unsigned d = 0; d < 4; d++)
                v[i / 15][i % 15] += (double)rng_below(&rng, 100);
        }
        struct interval r = samples_ratio(v[0], 15, v[1], 15, k);
        held += r.low <= 1 && r.high >= 1;
    }
    ck_assert_uint_ge(held, 270);
    ck_assert_uint_lt(held, 300);
}
END_TEST

/* ---- sides ----------------------------------------------------------------------------------- */

static struct comparison *sides(const struct side_options *o)
{
    struct comparison *cmp = calloc(1, sizeof *cmp);
    struct err e = {0};

    ck_assert_ptr_nonnull(cmp);
    ck_assert_msg(sides_make(cmp, o, &e), "%s", e.msg);
    return cmp;
}

START_TEST(sides_are_personalities_times_devices_times_engines)
{
    struct comparison *cmp =
        sides(&(struct side_options){.pv_list = "null,none,kvm,-pv-eoi", .devices = "ide,virtio", .each_engine = true});

    ck_assert_uint_eq(cmp->count, 12);
    ck_assert_str_eq(cmp->side[2].name, "kvm,-pv-eoi ide interp");
    ck_assert_str_eq(cmp->side[2].pv, "kvm,-pv-eoi");
    ck_assert_uint_eq(cmp->side[2].reference, 1); /* none, as it is */
    ck_assert_uint_eq(cmp->side[1].reference, 1);
    ck_assert_str_eq(cmp->side[11].name, "kvm,-pv-eoi virtio jit");
    ck_assert_uint_eq(cmp->side[11].reference, 10);
    ck_assert_uint_eq(cmp->side[10].reference, 1); /* virtio to the first `none` of all */
    free(cmp);
}
END_TEST

START_TEST(each_feature_is_left_out_and_stands_alone)
{
    struct comparison *cmp = sides(&(struct side_options){.pv_list = "none,kvm"});
    struct measured *m = calloc(1, sizeof *m);
    struct err e = {0};

    m->feature_count = 3;
    snprintf(m->features[0].name, sizeof m->features[0].name, "a");
    snprintf(m->features[1].name, sizeof m->features[1].name, "b");
    snprintf(m->features[2].name, sizeof m->features[2].name, "off");
    m->features[0].on = m->features[1].on = true;
    ck_assert(sides_add_features(cmp, 1, m, &e));
    ck_assert_uint_eq(cmp->count, 7);
    ck_assert_str_eq(cmp->side[2].pv, "kvm,-all");
    ck_assert_uint_eq(cmp->side[2].reference, 0);
    ck_assert_str_eq(cmp->side[4].pv, "kvm,-b");
    ck_assert_uint_eq(cmp->side[4].reference, 1);
    ck_assert_str_eq(cmp->side[6].pv, "kvm,-all,+b");
    ck_assert_uint_eq(cmp->side[6].reference, 2);
    free(m);
    free(cmp);
}
END_TEST

/* ---- comparison ------------------------------------------------------------------------------ */

START_TEST(sentence_names_the_classes_that_fell_most_and_not_the_noise)
{
    struct measured *none = calloc(2, sizeof *none), *kvm = calloc(2, sizeof *kvm);
    struct comparison cmp = {
        .runs = 2,
        .count = 2,
        .side = {{.name = "none", .runs = none, .count = 2}, {.name = "kvm", .runs = kvm, .count = 2}}};
    char text[600];

    for (int i = 0; i < 2; i++) {
        none[i].cpu_ns = 1000;
        kvm[i].cpu_ns = 500;
        none[i].stats.served[STAT_RDTSC][SERVED_LEAF] = 100000;
        kvm[i].stats.served[STAT_RDTSC][SERVED_LEAF] = 1000;
        none[i].stats.served[STAT_IN][SERVED_LEAF] = 50000;
        kvm[i].stats.served[STAT_IN][SERVED_LEAF] = 500;
        none[i].stats.served[STAT_CLI][SERVED_LEAF] = 70000;
        kvm[i].stats.served[STAT_CLI][SERVED_LEAF] = 69900; /* noise */
        none[i].stats.served[STAT_TLB_MISS][SERVED_LEAF] = 9000000;
        kvm[i].stats.served[STAT_PV_EOI][SERVED_LEAF] = 40;
    }
    comparison_sentence(&cmp, 1, text, sizeof text);
    ck_assert_str_eq(text, "kvm takes 0.50 times the host CPU time of none: rdtsc fell from 100 k to "
                           "1000, in from 50.0 k to 500; pv-eoi rose from 0 to 40.");
    comparison_sentence(&cmp, 1, text, 20);
    ck_assert_uint_eq(strlen(text), 19);
    free(none);
    free(kvm);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frontends");
    TCase *tc = tcase_create("all");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_test(tc, no_argument_is_the_demo_and_an_option_alone_means_run);
    tcase_add_test(tc, an_interval_of_equal_values_is_a_point);
    tcase_add_test(tc, an_interval_repeats_with_its_seed_and_holds_its_estimate);
    tcase_add_test(tc, intervals_hold_the_truth_about_as_often_as_they_say);
    tcase_add_test(tc, sides_are_personalities_times_devices_times_engines);
    tcase_add_test(tc, each_feature_is_left_out_and_stands_alone);
    tcase_add_loop_test(tc, one_dash_two_dashes_and_equals_are_the_same, 0, 4);
    tcase_add_test(tc, repeated_options_keep_their_order);
    tcase_add_test(tc, too_many_repetitions_are_refused);
    tcase_add_test(tc, a_value_may_begin_with_a_dash);
    tcase_add_test(tc, sizes_are_mib_unless_a_suffix_says_otherwise);
    tcase_add_test(tc, seconds_are_decimal_and_positive);
    tcase_add_test(tc, rows_of_the_table_are_unique_grouped_and_explained);
    tcase_add_test(tc, json_escapes_what_must_be_and_keeps_utf8);
    tcase_add_test(tc, json_nests_and_separates);
    tcase_add_test(tc, json_doubles_read_back_the_same_and_nan_is_null);
    tcase_add_test(tc, summary_interpolates_quartiles);
    tcase_add_test(tc, until_finds_text_across_pieces_and_after_false_starts);
    tcase_add_test(tc, numbers_have_three_digits_and_a_unit);
    tcase_add_test(tc, sentence_names_the_classes_that_fell_most_and_not_the_noise);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
