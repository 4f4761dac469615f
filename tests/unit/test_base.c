/* test_base.c: errors, clock and timers, generator, whole files, traces, counters. */
#include "base/bits.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/host.h"
#include "base/nearest.h"
#include "base/rng.h"
#include "base/stats.h"
#include "base/trace.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <time.h>
#include <unistd.h>

START_TEST(error_keeps_message_hint_and_exit_code)
{
    struct err e = {0};

    ck_assert(!err_usage(&e, "%s: bad", "x"));
    ck_assert(!err_hint(&e, "try %d", 3));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_str_eq(e.msg, "x: bad");
    ck_assert_str_eq(e.hint, "try 3");
    ck_assert(!err_host(&e, "other"));
    ck_assert_int_eq(e.exit_code, EXIT_HOST);
    ck_assert_str_eq(e.hint, "");
    ck_assert(!err_host(NULL, "nobody listens"));
}
END_TEST

START_TEST(error_is_one_line_and_bounded_whatever_the_argument)
{
    struct err e;
    char longer[1000];

    err_host(&e, "%s", "a\nb\x1b[31mc");
    ck_assert_str_eq(e.msg, "a?b?[31mc");
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    err_host(&e, "%s", longer);
    ck_assert_uint_eq(strlen(e.msg), sizeof e.msg - 1);
    ck_assert_str_eq(e.msg + sizeof e.msg - 4, "...");
}
END_TEST

struct log {
    struct clock *clock;
    struct timer *again;
    int order[200];
    int n;
};

struct entry {
    struct log *log;
    int id;
};

static void record(void *opaque)
{
    struct entry *en = opaque;

    if (en->log->n < 200)
        en->log->order[en->log->n++] = en->id;
    if (en->log->again)
        timer_set(en->log->clock, en->log->again, 0);
}

START_TEST(timers_fire_in_order_of_deadline_then_of_setting)
{
    struct clock c;
    struct log log = {0};
    struct entry en[4];
    struct timer t[4];
    const u64 when[4] = {30, 10, 20, 10};

    clock_init(&c, CLOCK_ICOUNT);
    for (int i = 0; i < 4; i++) {
        en[i] = (struct entry){&log, i};
        timer_init(&t[i], record, &en[i]);
        timer_set(&c, &t[i], when[i]);
    }
    ck_assert_uint_eq(clock_next_deadline_ns(&c), 10);
    clock_advance_to(&c, 9);
    clock_run_timers(&c);
    ck_assert_int_eq(log.n, 0);
    clock_advance_to(&c, 20);
    clock_run_timers(&c);
    ck_assert_int_eq(log.n, 3);
    ck_assert_int_eq(log.order[0], 1);
    ck_assert_int_eq(log.order[1], 3);
    ck_assert_int_eq(log.order[2], 2);
    ck_assert_uint_eq(clock_next_deadline_ns(&c), 30);
    timer_cancel(&c, &t[0]);
    ck_assert_uint_eq(clock_next_deadline_ns(&c), CLOCK_NEVER);
}
END_TEST

START_TEST(timer_set_twice_moves_and_fires_once)
{
    struct clock c;
    struct log log = {0};
    struct entry en = {&log, 7};
    struct timer t;

    clock_init(&c, CLOCK_ICOUNT);
    timer_init(&t, record, &en);
    timer_set(&c, &t, 5);
    timer_set(&c, &t, 50);
    clock_advance_to(&c, 10);
    clock_run_timers(&c);
    ck_assert_int_eq(log.n, 0);
    clock_advance_to(&c, 50);
    clock_run_timers(&c);
    clock_run_timers(&c);
    ck_assert_int_eq(log.n, 1);
}
END_TEST

static void count_call(void *opaque)
{
    ++*(unsigned *)opaque;
}

START_TEST(clock_tells_when_an_earlier_deadline_is_set)
{
    struct clock c;
    struct timer t, u;
    unsigned calls = 0;

    clock_init(&c, CLOCK_ICOUNT);
    c.first_changed = count_call;
    c.first_changed_opaque = &calls;
    timer_init(&t, record, NULL);
    timer_init(&u, record, NULL);
    timer_set(&c, &t, 50);
    ck_assert_uint_eq(calls, 1);
    timer_set(&c, &u, 60);
    ck_assert_uint_eq(calls, 1);
    timer_set(&c, &u, 40);
    ck_assert_uint_eq(calls, 2);
}
END_TEST

START_TEST(timer_that_rearms_itself_in_the_past_does_not_hold_the_caller)
{
    struct clock c;
    struct timer t;
    struct log log = {.clock = &c, .again = &t};
    struct entry en = {&log, 1};

    clock_init(&c, CLOCK_ICOUNT);
    clock_advance_to(&c, 100);
    timer_init(&t, record, &en);
    timer_set(&c, &t, 1);
    clock_run_timers(&c);
    ck_assert_int_ge(log.n, 1);
    ck_assert_int_lt(log.n, 200);
    ck_assert_uint_eq(clock_next_deadline_ns(&c), 0);
}
END_TEST

START_TEST(icount_time_never_goes_back)
{
    struct clock c;

    clock_init(&c, CLOCK_ICOUNT);
    ck_assert_uint_eq(clock_now_ns(&c), 0);
    clock_advance_to(&c, 500);
    clock_advance_to(&c, 400);
    ck_assert_uint_eq(clock_now_ns(&c), 500);
}
END_TEST

START_TEST(host_time_stands_still_while_stopped)
{
    struct clock c;
    u64 a, b;

    clock_init(&c, CLOCK_HOST);
    a = clock_now_ns(&c);
    b = clock_now_ns(&c);
    ck_assert(b >= a);
    clock_stop(&c);
    a = clock_now_ns(&c);
    usleep(2000);
    ck_assert_uint_eq(clock_now_ns(&c), a);
    clock_start(&c);
    usleep(2000);
    ck_assert_uint_gt(clock_now_ns(&c), a);
}
END_TEST

/* The system's clock, a look at ours, the system's again: ours is in between, but for what it may be
 * off by; and it never goes back. */
START_TEST(host_time_follows_the_system_and_never_goes_back)
{
    enum { OFF_NS = 20000 };
    u64 last = 0, end = host_now_ns() + 150000000;
    while (last < end) {
        struct timespec a, b;
        ck_assert(!clock_gettime(CLOCK_MONOTONIC, &a));
        u64 now = host_now_ns();
        ck_assert(!clock_gettime(CLOCK_MONOTONIC, &b));
        ck_assert_uint_ge(now, last);
        ck_assert_uint_ge(now + OFF_NS, (u64)a.tv_sec * NS_PER_SEC + (u64)a.tv_nsec);
        ck_assert_uint_le(now, (u64)b.tv_sec * NS_PER_SEC + (u64)b.tv_nsec + OFF_NS);
        last = now;
    }
}
END_TEST

#ifdef PR_GET_TIMERSLACK
static void *ask_slack(void *slack)
{
    *(int *)slack = prctl(PR_GET_TIMERSLACK, 0ul, 0ul, 0ul, 0ul);
    return NULL;
}

START_TEST(waits_are_exact_also_of_threads_that_are_started)
{
    pthread_t thread;
    int slack = 0;

    host_wait_exactly();
    ck_assert(!pthread_create(&thread, NULL, ask_slack, &slack));
    ck_assert(!pthread_join(thread, NULL));
    ck_assert_int_eq(slack, 1);
}
END_TEST
#endif

#if defined(__x86_64__)
/* What the line gives at the host's TSC lies between two answers of the clock, also after a stop. */
START_TEST(the_pace_is_the_line_that_the_clock_follows)
{
    struct clock c;
    clock_init(&c, CLOCK_HOST);
    for (unsigned i = 0; i < 100000; i++) {
        struct host_pace p;
        if (i == 50000) {
            clock_stop(&c);
            ck_assert(!clock_pace(&c, &p));
            usleep(2000);
            clock_start(&c);
        }
        u64 before = clock_now_ns(&c);
        if (!clock_pace(&c, &p))
            continue;
        u64 ticks = __builtin_ia32_rdtsc() - p.since;
        if (ticks > p.last)
            continue;
        u64 told = p.ns + (ticks * p.rate >> 32);
        ck_assert_uint_le(before, told);
        ck_assert_uint_le(told, clock_now_ns(&c));
    }
}
END_TEST
#endif

START_TEST(rng_repeats_for_a_seed_and_differs_between_seeds)
{
    struct rng a, b, c;

    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    for (int i = 0; i < 100; i++) {
        u64 v = rng_next(&a);
        ck_assert_uint_eq(v, rng_next(&b));
        ck_assert_uint_ne(v, rng_next(&c));
    }
}
END_TEST

/* The state 1, 2, 3, 4 gives 11520, 0, 1509978240 by the definition, worked out by hand. */
START_TEST(rng_is_xoshiro256_starstar)
{
    struct rng r = {{1, 2, 3, 4}};

    ck_assert_uint_eq(rng_next(&r), 11520);
    ck_assert_uint_eq(rng_next(&r), 0);
    ck_assert_uint_eq(rng_next(&r), 1509978240);
}
END_TEST

START_TEST(rng_below_stays_below_and_reaches_all)
{
    struct rng r;
    unsigned seen = 0;

    rng_seed(&r, 1);
    for (int i = 0; i < 1000; i++) {
        u64 v = rng_below(&r, 7);
        ck_assert_uint_lt(v, 7);
        seen |= 1u << v;
    }
    ck_assert_uint_eq(seen, 0x7f);
    ck_assert_uint_eq(rng_below(&r, 1), 0);
}
END_TEST

static char dir[] = "/tmp/parallax-test-XXXXXX";

static void enter_directory(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
}

static void leave_directory(void)
{
    char cmd[sizeof dir + 16];

    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

START_TEST(file_written_reads_back_and_leaves_no_temporary)
{
    struct err e = {0};
    u64 len;
    u8 *p;

    ck_assert(host_write_file("a", "old", 3, &e));
    ck_assert_int_eq(system("chmod 640 a"), 0);
    ck_assert(host_write_file("a", "hello", 5, &e));
    p = host_read_file("a", 5, &len, &e);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(len, 5);
    ck_assert_mem_eq(p, "hello", 6);
    free(p);
    ck_assert_int_eq(system("test \"$(ls)\" = a && test \"$(stat -c %a a)\" = 640"), 0);
}
END_TEST

START_TEST(read_refuses_missing_large_directory_and_device)
{
    struct err e = {0};
    u64 len;

    ck_assert_ptr_null(host_read_file("none", 10, &len, &e));
    ck_assert_str_eq(e.msg, "none: no such file");
    ck_assert_int_eq(e.exit_code, EXIT_HOST);
    ck_assert(host_write_file("big", "0123456789", 10, &e));
    ck_assert_ptr_null(host_read_file("big", 9, &len, &e));
    ck_assert_ptr_null(host_read_file(".", 10, &len, &e));
    ck_assert_ptr_null(host_read_file("/dev/zero", 10, &len, &e));
    ck_assert_int_eq(system("mkfifo fifo"), 0);
    ck_assert_ptr_null(host_read_file("fifo", 10, &len, &e));
}
END_TEST

START_TEST(write_to_a_full_device_or_missing_directory_is_an_error)
{
    struct err e = {0};

    ck_assert(!host_write_file("/dev/full", "x", 1, &e));
    ck_assert_int_eq(e.exit_code, EXIT_HOST);
    ck_assert_int_eq(access("/dev/full", F_OK), 0);
    ck_assert(!host_write_file("no/such/file", "x", 1, &e));
    ck_assert(!host_write_file(".", "x", 1, &e));
}
END_TEST

START_TEST(write_through_a_link_keeps_the_link)
{
    struct err e = {0};

    ck_assert(host_write_file("target", "1", 1, &e));
    ck_assert_int_eq(symlink("target", "link"), 0);
    ck_assert(host_write_file("link", "2", 1, &e));
    ck_assert_int_eq(system("test -L link && test \"$(cat target)\" = 2"), 0);
}
END_TEST

START_TEST(map_is_zeroed_and_absurd_sizes_are_refused)
{
    struct err e = {0};
    u8 *p = host_map(1 * MIB, &e);

    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(p[0] | p[MIB - 1], 0);
    p[MIB - 1] = 1;
    host_unmap(p, 1 * MIB);
    ck_assert_ptr_null(host_map(0, &e));
    ck_assert_ptr_null(host_map(1ull << 62, &e));
    ck_assert_int_eq(e.exit_code, EXIT_HOST);
}
END_TEST

START_TEST(trace_enable_takes_names_groups_and_patterns)
{
    struct err e = {0};

    ck_assert(trace_enable("excp", &e));
    ck_assert(trace_on[TRACE_excp]);
    ck_assert(!trace_on[TRACE_intr]);
    ck_assert(trace_enable("int", &e));
    ck_assert(trace_on[TRACE_intr]);
    ck_assert(trace_enable("*unassigned", &e));
    ck_assert(trace_on[TRACE_mmio_unassigned] && trace_on[TRACE_pio_unassigned]);
    ck_assert(!trace_enable("exxcp", &e));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_ptr_nonnull(strstr(e.hint, "'excp'"));
}
END_TEST

START_TEST(trace_line_has_name_and_arguments)
{
    struct err e = {0};
    u64 len;
    u8 *p;

    ck_assert(trace_set_file("t", &e));
    trace_on[TRACE_cpu_reset] = false;
    TRACE(cpu_reset, (u64)1);
    trace_on[TRACE_cpu_reset] = true;
    TRACE(cpu_reset, (u64)0xfff0);
    p = host_read_file("t", 1000, &len, &e);
    ck_assert_ptr_nonnull(p);
    ck_assert_str_eq((char *)p, "cpu_reset: rip=0xfff0\n");
    free(p);
    ck_assert(!trace_set_file("no/such/file", &e));
}
END_TEST

START_TEST(stat_names_are_unique_words)
{
    for (unsigned i = 0; i < STAT_COUNT; i++) {
        ck_assert_uint_gt(strlen(stat_doc(i)), 0);
        ck_assert_uint_eq(strspn(stat_name(i), "abcdefghijklmnopqrstuvwxyz0123456789-"),
                          strlen(stat_name(i)));
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(stat_name(i), stat_name(j));
    }
}
END_TEST

START_TEST(stat_count_counts_class_and_way_of_serving)
{
    struct stats *st = calloc(1, sizeof *st);

    ck_assert_ptr_nonnull(st);
    stat_count(st, STAT_CLI, SERVED_INLINE);
    stat_count(st, STAT_CLI, SERVED_EXIT);
    ck_assert_uint_eq(stat_total(st, STAT_CLI), 2);
    ck_assert_uint_eq(st->served[STAT_CLI][SERVED_EXIT], 1);
    ck_assert_uint_eq(stat_total(st, STAT_STI), 0);
    free(st);
}
END_TEST

START_TEST(loads_and_stores_are_little_endian_and_unaligned)
{
    u8 b[9] = {0};

    st_le32(b + 1, 0x11223344);
    ck_assert_uint_eq(b[1], 0x44);
    ck_assert_uint_eq(b[4], 0x11);
    st_le64(b + 1, 0x8877665544332211ull);
    ck_assert_uint_eq(ld_le16(b + 1), 0x2211);
    ck_assert_uint_eq(ld_le(b + 1, 8), 0x8877665544332211ull);
    ck_assert_uint_eq(ld_le(b + 8, 1), 0x88);
    ck_assert_uint_eq(sext(0x80, 8), 0xffffffffffffff80ull);
    ck_assert_uint_eq(mask64(64), ~0ull);
    ck_assert_uint_eq(mask64(0), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *plain = tcase_create("plain"), *files = tcase_create("files");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_test(plain, error_keeps_message_hint_and_exit_code);
    tcase_add_test(plain, error_is_one_line_and_bounded_whatever_the_argument);
    tcase_add_test(plain, timers_fire_in_order_of_deadline_then_of_setting);
    tcase_add_test(plain, timer_set_twice_moves_and_fires_once);
    tcase_add_test(plain, clock_tells_when_an_earlier_deadline_is_set);
    tcase_add_test(plain, timer_that_rearms_itself_in_the_past_does_not_hold_the_caller);
    tcase_add_test(plain, icount_time_never_goes_back);
    tcase_add_test(plain, host_time_stands_still_while_stopped);
#ifdef PR_GET_TIMERSLACK
    tcase_add_test(plain, waits_are_exact_also_of_threads_that_are_started);
#endif
#if defined(__x86_64__)
    tcase_add_test(plain, the_pace_is_the_line_that_the_clock_follows);
#endif
    tcase_add_test(plain, host_time_follows_the_system_and_never_goes_back);
    tcase_add_test(plain, rng_repeats_for_a_seed_and_differs_between_seeds);
    tcase_add_test(plain, rng_is_xoshiro256_starstar);
    tcase_add_test(plain, rng_below_stays_below_and_reaches_all);
    tcase_add_test(plain, map_is_zeroed_and_absurd_sizes_are_refused);
    tcase_add_test(plain, trace_enable_takes_names_groups_and_patterns);
    tcase_add_test(plain, stat_names_are_unique_words);
    tcase_add_test(plain, stat_count_counts_class_and_way_of_serving);
    tcase_add_test(plain, loads_and_stores_are_little_endian_and_unaligned);
    tcase_add_checked_fixture(files, enter_directory, leave_directory);
    tcase_add_test(files, file_written_reads_back_and_leaves_no_temporary);
    tcase_add_test(files, read_refuses_missing_large_directory_and_device);
    tcase_add_test(files, write_to_a_full_device_or_missing_directory_is_an_error);
    tcase_add_test(files, write_through_a_link_keeps_the_link);
    tcase_add_test(files, trace_line_has_name_and_arguments);
    suite_add_tcase(s, plain);
    suite_add_tcase(s, files);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
