/* test_drive.c: images of files, snapshots, and drives with their requests. */
#include "block/drive.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES (1 * MIB)

static char path[64], dir[64];
static struct clock clock_;
static struct drives drives;

/* Every sector begins with its number. */
static void fill(const char *name, u64 bytes)
{
    FILE *f = fopen(name, "wb");
    u8 sector[512];

    ck_assert_ptr_nonnull(f);
    for (u64 n = 0; n * 512 < bytes; n++) {
        memset(sector, (int)(n * 7 + 1), sizeof sector);
        sector[0] = (u8)n;
        sector[1] = (u8)(n >> 8);
        fwrite(sector, 1, bytes - n * 512 < 512 ? bytes - n * 512 : 512, f);
    }
    ck_assert(!fclose(f));
}

static void setup(void)
{
    strcpy(dir, "/tmp/parallax-drive-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/disk", dir);
    fill(path, BYTES);
    clock_init(&clock_, CLOCK_HOST);
    drives_init(&drives, &clock_);
}

static void teardown(void)
{
    struct err e = {0};

    ck_assert_msg(drives_destroy(&drives, &e), "%s", e.msg);
    unlink(path);
    ck_assert(!rmdir(dir));
}

static struct image *open_image(const struct image_options *o)
{
    struct err e = {0};
    struct image *i = image_open(o, &e);

    ck_assert_msg(i != NULL, "%s", e.msg);
    return i;
}

static void close_image(struct image *i)
{
    ck_assert(image_close(i, NULL));
}

static void refused(const struct image_options *o, const char *word)
{
    struct err e = {0};

    ck_assert_ptr_null(image_open(o, &e));
    ck_assert_msg(strstr(e.msg, word) != NULL, "%s", e.msg);
}

START_TEST(raw_bytes_are_the_files)
{
    struct image *i = open_image(&(struct image_options){.path = path});
    u8 buf[1024], back[1024];

    ck_assert_uint_eq(i->bytes, BYTES);
    ck_assert_int_eq(image_read(i, 300 * 512, buf, sizeof buf), 0);
    ck_assert_uint_eq(buf[0] | buf[1] << 8, 300);
    ck_assert_uint_eq(buf[512] | buf[513] << 8, 301);
    memset(buf, 0xa5, sizeof buf);
    ck_assert_int_eq(image_write(i, 1000, buf, sizeof buf), 0);
    ck_assert_int_eq(image_read(i, 1000, back, sizeof back), 0);
    ck_assert_mem_eq(buf, back, sizeof buf);
    ck_assert_int_eq(image_flush(i), 0);
    ck_assert_int_eq(image_write_zeroes(i, 1100, 300), 0);
    ck_assert_int_eq(image_read(i, 1000, back, sizeof back), 0);
    ck_assert_uint_eq(back[99], 0xa5);
    ck_assert_uint_eq(back[100] | back[399], 0);
    ck_assert_uint_eq(back[400], 0xa5);
    close_image(i);
}
END_TEST

START_TEST(direct_transfers_of_any_alignment_are_right)
{
    struct image_options o = {.path = path, .cache = CACHE_NONE};
    struct err e = {0};
    struct image *i = image_open(&o, &e);
    u8 buf[9001], back[9001];

    if (!i) /* tmpfs of old kernels */
        return;
    memset(buf, 0x5a, sizeof buf);
    ck_assert_int_eq(image_write(i, 511, buf, sizeof buf), 0);
    ck_assert_int_eq(image_read(i, 511, back, sizeof back), 0);
    ck_assert_mem_eq(buf, back, sizeof buf);
    ck_assert_int_eq(image_read(i, 508, back, 4), 0);
    ck_assert_uint_eq(back[2], 1);
    ck_assert_uint_eq(back[3], 0x5a);
    close_image(i);
}
END_TEST

/* 12 bytes; a page and more, at a page; the rest. */
static void read_in_pieces(enum image_cache cache, u64 offset, u64 rest, int error)
{
    struct image *i = open_image(&(struct image_options){.path = path, .cache = cache});
    u8 whole[12 + 6000 + 600], small[12], more[600], *page = aligned_alloc(4096, 8192);
    struct iovec v[] = {{small, sizeof small}, {page, 6000}, {more, rest}};

    ck_assert_int_eq(image_readv(i, offset, v, ARRAY_SIZE(v)), error);
    if (!error) {
        ck_assert_int_eq(image_read(i, offset, whole, 6012 + rest), 0);
        ck_assert_mem_eq(whole, small, sizeof small);
        ck_assert_mem_eq(whole + 12, page, 6000);
        ck_assert_mem_eq(whole + 6012, more, rest);
    }
    free(page);
    close_image(i);
}

START_TEST(a_read_into_pieces_brings_the_same_bytes)
{
    read_in_pieces(CACHE_WRITEBACK, 700, 600, 0);
    read_in_pieces(CACHE_WRITEBACK, BYTES - 6500, 600, EINVAL);
    ck_assert(!truncate(path, BYTES - 100)); /* the end is zeroes */
    read_in_pieces(CACHE_WRITEBACK, BYTES - 6512, 500, 0);
}
END_TEST

START_TEST(a_direct_read_into_pieces_brings_the_same_bytes)
{
    struct err e = {0};
    struct image *i = image_open(&(struct image_options){.path = path, .cache = CACHE_NONE}, &e);
    u8 *buf = aligned_alloc(4096, 4 * 4096);
    struct iovec v[] = {{buf + 8192, 8192}, {buf, 4096}};

    if (i) { /* else tmpfs of old kernels */
        ck_assert_int_eq(image_readv(i, 8192, v, ARRAY_SIZE(v)), 0);
        ck_assert_uint_eq(buf[8192], 16);
        ck_assert_uint_eq(buf[0], 32);
        close_image(i);
        read_in_pieces(CACHE_NONE, 700, 600, 0);
    }
    free(buf);
}
END_TEST

START_TEST(the_end_of_a_ragged_file_reads_as_zeroes)
{
    struct image *i;
    u8 buf[512];

    fill(path, 1000);
    i = open_image(&(struct image_options){.path = path});
    ck_assert_uint_eq(i->bytes, 1024);
    ck_assert_int_eq(image_read(i, 512, buf, 512), 0);
    ck_assert_uint_ne(buf[487], 0);
    ck_assert_uint_eq(buf[488], 0);
    ck_assert_int_eq(image_read(i, 1024, buf, 1), EINVAL);
    ck_assert_int_eq(image_read(i, ~0ull - 5, buf, 100), EINVAL);
    close_image(i);
}
END_TEST

START_TEST(a_file_that_shrinks_is_an_io_error)
{
    struct image *i = open_image(&(struct image_options){.path = path});
    u8 buf[512];

    ck_assert(!truncate(path, 4096));
    ck_assert_int_eq(image_read(i, 4096, buf, 512), EIO);
    close_image(i);
}
END_TEST

START_TEST(a_second_writer_is_refused_and_readers_are_not)
{
    struct image *i = open_image(&(struct image_options){.path = path}), *j;

    refused(&(struct image_options){.path = path}, "in use");
    refused(&(struct image_options){.path = path, .readonly = true}, "in use");
    close_image(i);
    i = open_image(&(struct image_options){.path = path, .readonly = true});
    j = open_image(&(struct image_options){.path = path, .snapshot = true});
    refused(&(struct image_options){.path = path}, "in use");
    close_image(i);
    close_image(j);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    char fifo[80];

    refused(&(struct image_options){.path = "/nowhere/at/all"}, "no such file");
    refused(&(struct image_options){.path = dir, .readonly = true}, "directory");
    refused(&(struct image_options){.path = "/dev/zero"}, "neither");
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    ck_assert(!mkfifo(fifo, 0600));
    refused(&(struct image_options){.path = fifo, .readonly = true}, "neither");
    unlink(fifo);
    refused(&(struct image_options){.path = path, .format = "rwa"}, "rwa");
    refused(&(struct image_options){.path = path, .backing = "x"}, "backing");
}
END_TEST

START_TEST(readonly_images_refuse_writes)
{
    struct image *i = open_image(&(struct image_options){.path = path, .readonly = true});

    ck_assert_int_eq(image_write(i, 0, "x", 1), EROFS);
    ck_assert_int_eq(image_write_zeroes(i, 0, 1), EROFS);
    ck_assert_int_eq(image_discard(i, 0, 1), EROFS);
    close_image(i);
}
END_TEST

START_TEST(a_snapshot_reads_its_writes_and_leaves_the_image_alone)
{
    struct image_options o = {.path = path, .snapshot = true};
    struct image *i = open_image(&o);
    static u8 model[BYTES], buf[BYTES];
    unsigned seed = 1;

    ck_assert_int_eq(image_read(i, 0, model, BYTES), 0);
    for (unsigned n = 0; n < 500; n++) {
        u64 at = (unsigned)rand_r(&seed) % BYTES, len = (unsigned)rand_r(&seed) % 20000;

        if (len > BYTES - at)
            len = BYTES - at;
        if (n % 5) {
            memset(model + at, (int)n, len);
            ck_assert_int_eq(image_write(i, at, model + at, len), 0);
        } else {
            memset(model + at, 0, len);
            ck_assert_int_eq(image_write_zeroes(i, at, len), 0);
        }
    }
    ck_assert_int_eq(image_read(i, 0, buf, BYTES), 0);
    ck_assert_mem_eq(model, buf, BYTES);
    close_image(i);
    i = open_image(&(struct image_options){.path = path});
    ck_assert_int_eq(image_read(i, 300 * 512, buf, 512), 0);
    ck_assert_uint_eq(buf[0] | buf[1] << 8, 300);
    close_image(i);
}
END_TEST

START_TEST(creating_overwrites_nothing)
{
    struct file f;
    struct err e = {0};

    ck_assert(!file_create(&f, path, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "exists"));
}
END_TEST

/* ---- drives ---------------------------------------------------------------------------------- */

static unsigned finished, last_error, order[64];

static void note(struct drive_request *r)
{
    last_error = (unsigned)r->error;
    order[finished++] = (unsigned)(r->offset / 512);
}

static struct drive *add(const char *format)
{
    struct err e = {0};
    struct image_options o = {.path = path, .format = format};
    struct drive *d = drive_add(&drives, "d", MEDIA_DISK, &o, &e);

    ck_assert_msg(d != NULL, "%s", e.msg);
    finished = 0;
    return d;
}

START_TEST(requests_come_back_in_order_and_only_from_the_loop)
{
    struct drive *d = add("raw");
    static struct drive_request r[32];
    static u8 buf[32][512];

    for (unsigned n = 0; n < 32; n++) {
        r[n] = (struct drive_request){
            .op = DRIVE_READ, .offset = n * 512, .len = 512, .buf = buf[n], .done = note};
        drive_submit(d, &r[n]);
    }
    ck_assert_uint_eq(finished, 0);
    while (finished < 32)
        drives_run(&drives);
    for (unsigned n = 0; n < 32; n++) {
        ck_assert_uint_eq(order[n], n);
        ck_assert_uint_eq(buf[n][0], n);
    }
}
END_TEST

static int cached_error;

static int maybe_cached(struct image *i, u64 offset, const struct iovec *v, unsigned count)
{
    return cached_error ? cached_error : format_raw.readv(i, offset, v, count);
}

START_TEST(what_the_host_has_is_read_at_once_and_in_order)
{
    static struct image_format format;
    static u8 buf[3][512];
    struct drive *d = add("raw");
    struct drive_request r[3];

    format = format_raw;
    format.readv_cached = maybe_cached;
    d->image->format = &format;
    for (unsigned n = 0; n < 3; n++)
        r[n] = (struct drive_request){
            .op = DRIVE_READ, .offset = n * 512, .len = 512, .buf = buf[n], .done = note};
    r[0].offset = 512 * 5;
    cached_error = 0;
    drive_submit(d, &r[0]);
    ck_assert_uint_eq(buf[0][0], 5); /* the buffer has it, but it is handed back by the loop */
    ck_assert_uint_eq(finished, 0);
    drives_run(&drives);
    ck_assert_uint_eq(finished, 1);
    cached_error = EAGAIN;
    drive_submit(d, &r[1]);
    cached_error = 0;
    drive_submit(d, &r[2]);
    while (finished < 3)
        drives_run(&drives);
    ck_assert_uint_eq(order[1], 1);
    ck_assert_uint_eq(order[2], 2);
    ck_assert_uint_eq(buf[1][0], 1);
    ck_assert_uint_eq(buf[2][0], 2);
}
END_TEST

START_TEST(draining_hands_everything_back)
{
    struct drive *d = add("raw");
    static u8 buf[512];
    struct drive_request r = {.op = DRIVE_WRITE, .len = 512, .buf = buf, .fua = true, .done = note};

    drive_submit(d, &r);
    drive_drain(d);
    ck_assert_uint_eq(finished, 1);
    ck_assert_uint_eq(last_error, 0);
    ck_assert_int_eq(drive_read(d, 0, buf, 512), 0);
    ck_assert_uint_eq(buf[0], 0);
}
END_TEST

START_TEST(a_released_drive_hands_nothing_back)
{
    struct drive *d = add("raw");
    static u8 buf[512];
    struct drive_request r = {.op = DRIVE_READ, .len = 512, .buf = buf, .done = note};
    struct err e = {0};

    ck_assert_ptr_eq(drive_take(&drives, "d", &e), d);
    ck_assert_ptr_null(drive_take(&drives, "d", &e));
    ck_assert_ptr_null(drive_take(&drives, "e", &e));
    drive_submit(d, &r);
    drive_release(d);
    ck_assert_uint_eq(finished, 0);
    ck_assert_ptr_eq(drive_take(&drives, "d", &e), d);
}
END_TEST

START_TEST(with_icount_a_request_takes_virtual_time)
{
    struct drive *d;
    static u8 buf[512];
    struct drive_request r = {
        .op = DRIVE_READ, .offset = 512, .len = 512, .buf = buf, .done = note};

    clock_init(&clock_, CLOCK_ICOUNT);
    d = add("raw");
    drive_submit(d, &r);
    drives_run(&drives);
    clock_advance_to(&clock_, 49999);
    clock_run_timers(&clock_);
    ck_assert_uint_eq(finished, 0);
    clock_advance_to(&clock_, 50000);
    clock_run_timers(&clock_);
    ck_assert_uint_eq(finished, 1);
    ck_assert_uint_eq(buf[0], 1);
    drive_submit(d, &r);
    drive_drain(d);
    ck_assert_uint_eq(finished, 2);
    ck_assert_uint_eq(clock_next_deadline_ns(&clock_), CLOCK_NEVER);
}
END_TEST

static unsigned reports;

static void count_report(void *opaque, const struct err *e)
{
    (void)opaque;
    ck_assert(e->msg[0]);
    reports++;
}

START_TEST(errors_of_the_host_are_reported_ten_times_at_most)
{
    struct drive *d = add("raw");
    u8 buf[512];

    reports = 0;
    drives.report = count_report;
    ck_assert(!truncate(path, 0));
    for (unsigned n = 0; n < 20; n++)
        ck_assert_int_eq(drive_read(d, 512, buf, 512), EIO);
    ck_assert_uint_eq(reports, 10);
    ck_assert_int_eq(drive_read(d, BYTES, buf, 512), EINVAL);
    ck_assert_uint_eq(reports, 10);
}
END_TEST

/* ---- a host that fails ----------------------------------------------------------------------- */

static unsigned stops;
static int write_error;

static void count_stop(void *opaque)
{
    (void)opaque;
    stops++;
}

static int failing_write(struct image *i, u64 offset, const u8 *buf, u64 len)
{
    return write_error ? write_error : format_raw.write(i, offset, buf, len);
}

/* A drive whose writes fail as write_error says. */
static struct drive *add_failing(void)
{
    static struct image_format failing;
    struct drive *d = add("raw");

    failing = format_raw;
    failing.write = failing_write;
    d->image->format = &failing;
    drives.stop = count_stop;
    stops = 0;
    return d;
}

static void submit_write(struct drive *d, struct drive_request *r)
{
    static u8 buf[512] = {0x77};

    *r = (struct drive_request){.op = DRIVE_WRITE, .len = 512, .buf = buf, .done = note};
    drive_submit(d, r);
}

static void run_until(const unsigned *counter, unsigned value)
{
    while (*counter < value)
        drives_run(&drives);
}

START_TEST(a_full_disk_stops_and_the_request_is_tried_again)
{
    struct drive *d = add_failing();
    struct drive_request r;
    u8 buf[512];

    d->werror = ON_ERROR_ENOSPC;
    write_error = ENOSPC;
    submit_write(d, &r);
    run_until(&stops, 1);
    ck_assert_uint_eq(finished, 0);
    drives_retry(&drives); /* it is still full */
    run_until(&stops, 2);
    write_error = 0;
    drives_retry(&drives);
    run_until(&finished, 1);
    ck_assert_uint_eq(last_error, 0);
    ck_assert_int_eq(drive_read(d, 0, buf, 512), 0);
    ck_assert_uint_eq(buf[0], 0x77);
}
END_TEST

START_TEST(with_enospc_other_errors_are_the_guests)
{
    struct drive *d = add_failing();
    struct drive_request r;

    d->werror = ON_ERROR_ENOSPC;
    write_error = EIO;
    submit_write(d, &r);
    run_until(&finished, 1);
    ck_assert_uint_eq(last_error, EIO);
    ck_assert_uint_eq(stops, 0);
}
END_TEST

START_TEST(what_waits_is_handed_back_by_a_drain)
{
    struct drive *d = add_failing();
    struct drive_request r;

    d->werror = ON_ERROR_STOP;
    write_error = EIO;
    submit_write(d, &r);
    run_until(&stops, 1);
    drive_drain(d);
    ck_assert_uint_eq(finished, 1);
    ck_assert_uint_eq(last_error, EIO);
    drives_retry(&drives);
    ck_assert_uint_eq(finished, 1);
}
END_TEST

START_TEST(an_ignored_error_is_a_success_and_reads_are_zeroes)
{
    struct drive *d = add_failing();
    u8 buf[512] = {1};
    const struct iovec v[] = {{buf, 100}, {buf + 100, 412}};
    struct drive_request r;

    d->werror = d->rerror = ON_ERROR_IGNORE;
    write_error = EIO;
    submit_write(d, &r);
    run_until(&finished, 1);
    ck_assert_uint_eq(last_error, 0);
    ck_assert(!truncate(path, 0));
    r = (struct drive_request){
        .op = DRIVE_READ, .offset = 512, .len = 512, .buf = buf, .done = note};
    drive_submit(d, &r);
    run_until(&finished, 2);
    ck_assert_uint_eq(last_error, 0);
    ck_assert_uint_eq(buf[0], 0);
    buf[511] = 1;
    r = (struct drive_request){
        .op = DRIVE_READ, .len = 512, .pieces = v, .piece_count = ARRAY_SIZE(v), .done = note};
    drive_submit(d, &r);
    run_until(&finished, 3);
    ck_assert_uint_eq(last_error, 0);
    ck_assert_uint_eq(buf[511], 0);
}
END_TEST

START_TEST(what_is_discarded_stays_where_the_user_says_so)
{
    struct drive *d = add("raw");
    u8 buf[512];
    struct drive_request r = {.op = DRIVE_DISCARD, .offset = 512, .len = 512, .done = note};

    d->keep_discarded = true;
    drive_submit(d, &r);
    run_until(&finished, 1);
    ck_assert_int_eq(drive_read(d, 512, buf, 512), 0);
    ck_assert_uint_eq(buf[0], 1);
}
END_TEST

START_TEST(a_disk_that_nobody_called_raw_cannot_become_another_format)
{
    struct drive *d = add(NULL);
    u8 buf[512] = "QFI\xfb";

    reports = 0;
    drives.report = count_report;
    ck_assert_int_eq(drive_write(d, 0, buf, 512), EPERM);
    ck_assert_uint_eq(reports, 1);
    buf[0] = 0;
    ck_assert_int_eq(drive_write(d, 0, buf, 512), 0);
}
END_TEST

static unsigned changes;

static void count_change(void *opaque)
{
    (void)opaque;
    changes++;
}

START_TEST(media_change)
{
    struct drive *d = add("raw");
    struct image_options o = {.path = "/nowhere"}, again = {.path = path};
    struct err e = {0};
    u8 buf[512];

    changes = 0;
    d->media_changed = count_change;
    ck_assert(!drive_change(d, &o, &e));
    ck_assert(drive_has_medium(d));
    ck_assert(drive_change(d, NULL, &e));
    ck_assert(!drive_has_medium(d));
    ck_assert_uint_eq(drive_bytes(d), 0);
    ck_assert_int_eq(drive_read(d, 0, buf, 512), ENOMEDIUM);
    ck_assert(drive_change(d, &again, &e));
    ck_assert_int_eq(drive_read(d, 512, buf, 512), 0);
    ck_assert_uint_eq(buf[0], 1);
    ck_assert_uint_eq(changes, 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        raw_bytes_are_the_files,
        direct_transfers_of_any_alignment_are_right,
        a_read_into_pieces_brings_the_same_bytes,
        a_direct_read_into_pieces_brings_the_same_bytes,
        the_end_of_a_ragged_file_reads_as_zeroes,
        a_file_that_shrinks_is_an_io_error,
        a_second_writer_is_refused_and_readers_are_not,
        what_is_no_file_is_refused,
        readonly_images_refuse_writes,
        a_snapshot_reads_its_writes_and_leaves_the_image_alone,
        creating_overwrites_nothing,
        requests_come_back_in_order_and_only_from_the_loop,
        what_the_host_has_is_read_at_once_and_in_order,
        draining_hands_everything_back,
        a_released_drive_hands_nothing_back,
        with_icount_a_request_takes_virtual_time,
        errors_of_the_host_are_reported_ten_times_at_most,
        a_full_disk_stops_and_the_request_is_tried_again,
        with_enospc_other_errors_are_the_guests,
        what_waits_is_handed_back_by_a_drain,
        an_ignored_error_is_a_success_and_reads_are_zeroes,
        what_is_discarded_stays_where_the_user_says_so,
        a_disk_that_nobody_called_raw_cannot_become_another_format,
        media_change,
    };
    Suite *s = suite_create("drive");
    TCase *tc = tcase_create("drive");
    SRunner *sr = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(tc, setup, teardown);
    for (unsigned n = 0; n < ARRAY_SIZE(tests); n++)
        tcase_add_test(tc, tests[n]);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_NORMAL);
    failures = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failures != 0;
}
