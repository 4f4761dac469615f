/* test_virtio_rng.c: the virtio entropy device. */
#include "devices/virtio_rng.h"
#include "tests/unit/virtio_rig.h"

static struct rig r;
static struct rng generator;

static void setup(void)
{
    rig_up(&r);
}

static void teardown(void)
{
    rig_down(&r);
}

static void start(const char *props)
{
    rig_add(&r, &virtio_rng_class, props);
    rig_start(&r, 0);
}

START_TEST(a_buffer_comes_back_full_of_random_bytes)
{
    u8 a[64] = {0}, b[64] = {0}, zero[64] = {0};

    start(NULL);
    ck_assert_uint_eq(rig_request(&r, 0, NULL, 0, a, sizeof a), sizeof a);
    ck_assert_uint_eq(rig_request(&r, 0, NULL, 0, b, sizeof b), sizeof b);
    ck_assert(memcmp(a, zero, sizeof a) && memcmp(b, zero, sizeof b) && memcmp(a, b, sizeof a));
}
END_TEST

START_TEST(a_large_buffer_gets_at_least_one_byte)
{
    u32 written;

    start(NULL);
    written = rig_request(&r, 0, NULL, 0, NULL, 0x8000);
    ck_assert(written >= 1 && written <= 0x8000);
}
END_TEST

START_TEST(with_a_seed_every_run_has_the_same_bytes)
{
    u8 a[100], b[100];

    rng_seed(&generator, 7);
    r.res.seeded = &generator;
    start(NULL);
    rig_request(&r, 0, NULL, 0, a, sizeof a);
    teardown();
    setup();
    rng_seed(&generator, 7);
    r.res.seeded = &generator;
    start(NULL);
    rig_request(&r, 0, NULL, 0, b, sizeof b);
    ck_assert_mem_eq(a, b, sizeof a);
}
END_TEST

START_TEST(a_source_of_its_own_is_read)
{
    const struct entropy_entry zero = {.id = "z", .file = "/dev/zero"};
    u8 a[64], want[64] = {0};

    r.res.entropies = &zero;
    r.res.entropy_count = 1;
    start("rng=z");
    memset(a, 1, sizeof a);
    ck_assert_uint_eq(rig_request(&r, 0, NULL, 0, a, sizeof a), sizeof a);
    ck_assert_mem_eq(a, want, sizeof a);
}
END_TEST

START_TEST(a_source_that_has_nothing_now_is_asked_again)
{
    const struct entropy_entry empty = {.id = "n", .file = "/dev/null"};

    r.res.entropies = &empty;
    r.res.entropy_count = 1;
    start("rng=n");
    ck_assert_uint_eq(rig_request(&r, 0, NULL, 0, NULL, 64), RIG_NOTHING);
    ck_assert_uint_ne(clock_next_deadline_ns(&r.b.clock), CLOCK_NEVER);
    board_run(&r.b, NS_PER_SEC);
    ck_assert_uint_eq(rig_used(&r, 0), RIG_NOTHING);
    ck_assert(!rig_needs_reset(&r));
}
END_TEST

START_TEST(a_file_with_an_end_and_an_unknown_source_are_refused)
{
    const struct entropy_entry file = {.id = "f", .file = "/etc/passwd"};
    struct err e = {0};

    r.res.entropies = &file;
    r.res.entropy_count = 1;
    ck_assert_ptr_null(dev_create(&virtio_rng_class, &r.b.env, "rng=f", &e));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_ptr_null(dev_create(&virtio_rng_class, &r.b.env, "rng=g", &e));
    start(NULL);
}
END_TEST

START_TEST(a_request_to_be_read_breaks_the_rules)
{
    start(NULL);
    ck_assert_uint_eq(rig_request(&r, 0, "x", 1, NULL, 0), RIG_NOTHING);
    ck_assert(rig_needs_reset(&r));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_buffer_comes_back_full_of_random_bytes,
                                  a_large_buffer_gets_at_least_one_byte,
                                  with_a_seed_every_run_has_the_same_bytes,
                                  a_source_of_its_own_is_read,
                                  a_source_that_has_nothing_now_is_asked_again,
                                  a_file_with_an_end_and_an_unknown_source_are_refused,
                                  a_request_to_be_read_breaks_the_rules,
                                  NULL};

    return run_tests("virtio_rng", tests, setup, teardown);
}
