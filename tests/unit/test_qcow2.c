/*
 * test_qcow2.c: qcow2 and gz images, against qemu-img in both directions: what it makes we read and
 * write, what we make it reads and finds no error in. Without qemu-img those tests pass at once.
 */
#include "base/rng.h"
#include "block/qcow2.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define BYTES (6 * MIB)

static char dir[64];
static u8 *model, *buf;

static bool has_qemu_img(void)
{
    return !system("command -v qemu-img >/dev/null");
}

/* Runs a command of the shell in the test's directory; returns its exit code. */
static int sh(const char *fmt, ...)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "cd %s && ", dir), status;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    va_end(ap);
    status = system(text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void setup(void)
{
    strcpy(dir, "/tmp/parallax-qcow2-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    model = calloc(1, BYTES);
    buf = calloc(1, BYTES);
}

static void teardown(void)
{
    free(model);
    free(buf);
    sh("rm -f * && rmdir %s", dir);
}

static const char *in_dir(const char *name)
{
    static char path[4][128];
    static unsigned n;
    char *p = path[n++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static struct image *open_image(struct image_options o, const char *name)
{
    struct err e = {0};
    struct image *i;

    o.path = in_dir(name);
    i = image_open(&o, &e);
    ck_assert_msg(i != NULL, "%s (%s)", e.msg, e.hint);
    return i;
}

static void close_image(struct image *i)
{
    struct err e = {0};

    ck_assert_msg(image_close(i, &e), "%s", e.msg);
}

static void write_file(const char *name, const u8 *data, u64 len)
{
    FILE *f = fopen(in_dir(name), "wb");

    ck_assert(f && fwrite(data, 1, len, f) == len && !fclose(f));
}

static void make_ours(const char *name, u64 bytes)
{
    struct file f;
    struct err e = {0};

    ck_assert_msg(file_create(&f, in_dir(name), &e), "%s", e.msg);
    ck_assert_msg(qcow2_create(&f, bytes, NULL, NULL, &e), "%s", e.msg);
    file_close(&f);
}

static void fill_random(u8 *p, u64 len, struct rng *r)
{
    for (u64 n = 0; n < len; n++)
        p[n] = (u8)(rng_next(r) >> 16);
}

/* Writes, zeroes, discards and flushes at random, on the image and on the model. */
static void scribble(struct image *i, u64 seed, unsigned ops)
{
    struct rng r;

    rng_seed(&r, seed);
    for (unsigned n = 0; n < ops; n++) {
        u64 max = rng_below(&r, 8) ? 20000 : 400000;
        u64 at = rng_below(&r, i->bytes), len = rng_below(&r, max);

        len = len < i->bytes - at ? len : i->bytes - at;
        switch (rng_below(&r, 10)) {
        case 0:
            memset(model + at, 0, len);
            ck_assert_int_eq(image_write_zeroes(i, at, len), 0);
            break;
        case 1: /* what is discarded has any contents: made known by writing it */
            ck_assert_int_eq(image_discard(i, at, len), 0);
            ck_assert_int_eq(image_write(i, at, model + at, len), 0);
            break;
        case 2: ck_assert_int_eq(image_flush(i), 0); break;
        default:
            fill_random(model + at, len < 64 ? len : 64, &r);
            memset(model + at + (len < 64 ? len : 64), (int)n, len < 64 ? 0 : len - 64);
            ck_assert_int_eq(image_write(i, at, model + at, len), 0);
        }
    }
}

static void expect_same(const char *what, u64 len)
{
    u64 n = 0;

    while (n < len && buf[n] == model[n])
        n++;
    ck_assert_msg(n == len, "%s: byte %llu differs", what, (unsigned long long)n);
}

static void expect_contents(struct image *i)
{
    ck_assert_int_eq(image_read(i, 0, buf, i->bytes), 0);
    expect_same("we", i->bytes);
}

static void expect_sound(const char *name)
{
    struct image *i = open_image((struct image_options){.readonly = true}, name);
    struct qcow2_check c;
    struct err e = {0};

    ck_assert_msg(qcow2_check(i, &c, stdout, &e), "%s", e.msg);
    ck_assert_uint_eq(c.corruptions, 0);
    ck_assert_uint_eq(c.leaks, 0);
    close_image(i);
    if (has_qemu_img())
        ck_assert_int_eq(sh("qemu-img check -q %s", name), 0);
}

static void expect_qemu_reads_model(const char *name, const char *options)
{
    FILE *f;

    if (!has_qemu_img())
        return;
    ck_assert_int_eq(sh("qemu-img convert %s -O raw %s out.raw", options, name), 0);
    f = fopen(in_dir("out.raw"), "rb");
    ck_assert(f && fread(buf, 1, BYTES, f) > 0);
    fclose(f);
    expect_same(name, BYTES);
}

/* ---- tests ----------------------------------------------------------------------------------- */

START_TEST(what_we_make_and_write_is_sound_and_reads_back)
{
    make_ours("q", BYTES);
    for (u64 seed = 1; seed <= 6; seed++) {
        struct image *i = open_image((struct image_options){0}, "q");

        expect_contents(i);
        scribble(i, seed, 60);
        expect_contents(i);
        close_image(i);
        expect_sound("q");
        expect_qemu_reads_model("q", "");
    }
}
END_TEST

static const char *const shapes[] = {
    "compat=0.10",
    "compat=1.1,cluster_size=512",
    "compat=1.1,cluster_size=512,refcount_bits=64",
    "compat=1.1,cluster_size=4096,refcount_bits=1",
    "compat=1.1,cluster_size=1024,refcount_bits=2",
    "compat=1.1,cluster_size=2048,refcount_bits=8",
    "compat=1.1,cluster_size=2M,refcount_bits=32",
    "compat=0.10,cluster_size=1024",
};

START_TEST(images_of_every_shape_are_written_soundly)
{
    struct image *i;

    if (!has_qemu_img())
        return;
    ck_assert_int_eq(
        sh("qemu-img create -q -f qcow2 -o %s q %llu", shapes[_i], (unsigned long long)BYTES), 0);
    for (u64 seed = 1; seed <= 3; seed++) {
        i = open_image((struct image_options){.format = "qcow2"}, "q");
        scribble(i, seed * 77, 80);
        expect_contents(i);
        close_image(i);
        expect_sound("q");
        expect_qemu_reads_model("q", "");
    }
}
END_TEST

/* A refcount table of one cluster of 64 entries counts 8 MiB in clusters of 512 bytes. */
START_TEST(the_refcount_table_grows)
{
    u8 sector[512];
    struct image *i;

    if (!has_qemu_img())
        return;
    ck_assert_int_eq(sh("qemu-img create -q -f qcow2 -o cluster_size=512 q 64M"), 0);
    i = open_image((struct image_options){0}, "q");
    for (u64 at = 0; at < 40 * MIB; at += MIB) {
        memset(model, (int)(at >> 20) + 1, MIB);
        ck_assert_int_eq(image_write(i, at, model, MIB), 0);
    }
    close_image(i);
    expect_sound("q");
    i = open_image((struct image_options){0}, "q");
    for (u64 at = 0; at < 40 * MIB; at += 77824) {
        ck_assert_int_eq(image_read(i, at, sector, 512), 0);
        ck_assert_uint_eq(sector[5], (at >> 20) + 1);
    }
    close_image(i);
}
END_TEST

START_TEST(compressed_clusters_are_read_and_overwritten)
{
    struct rng r;
    struct image *i;

    if (!has_qemu_img())
        return;
    rng_seed(&r, 5);
    for (u64 n = 0; n < BYTES; n += 4096) {
        memset(model + n, (int)(n >> 12), 4096);
        fill_random(model + n, 100, &r);
    }
    write_file("raw", model, BYTES);
    ck_assert_int_eq(sh("qemu-img convert -q -c -f raw -O qcow2 raw q"), 0);
    i = open_image((struct image_options){0}, "q");
    expect_contents(i);
    scribble(i, 9, 60);
    expect_contents(i);
    close_image(i);
    expect_sound("q");
    expect_qemu_reads_model("q", "");
}
END_TEST

START_TEST(a_backing_file_shows_through_until_it_is_written_over)
{
    struct image_options o = {.backing = NULL, .backing_format = "raw"};
    struct rng r;
    struct image *i;

    if (!has_qemu_img())
        return;
    rng_seed(&r, 6);
    fill_random(model, BYTES - 100000, &r);
    write_file("base", model, BYTES - 100000); /* shorter, and not of whole clusters */
    for (unsigned version = 0; version < 2; version++) {
        ck_assert_int_eq(sh("qemu-img create -q -f qcow2 -o compat=%s -b base -F raw q%u %llu",
                            version ? "1.1" : "0.10", version, (unsigned long long)BYTES),
                         0);
        memset(model + BYTES - 100000, 0, 100000);
        o.backing = in_dir("base");
        i = open_image(o, version ? "q1" : "q0");
        expect_contents(i);
        scribble(i, 10 + version, 60);
        expect_contents(i);
        close_image(i);
        ck_assert_int_eq(sh("qemu-img check -q q%u", version), 0);
        expect_qemu_reads_model(version ? "q1" : "q0", "");
        {
            FILE *f = fopen(in_dir("base"), "rb");

            ck_assert(f && fread(model, 1, BYTES, f));
            fclose(f);
        }
    }
}
END_TEST

START_TEST(clusters_of_an_internal_snapshot_are_kept)
{
    struct image *i;
    u8 *then = malloc(BYTES);

    if (has_qemu_img()) {
        make_ours("q", BYTES);
        i = open_image((struct image_options){0}, "q");
        scribble(i, 21, 50);
        close_image(i);
        ck_assert_int_eq(sh("qemu-img snapshot -c then q"), 0);
        memcpy(then, model, BYTES);
        i = open_image((struct image_options){0}, "q");
        expect_contents(i);
        scribble(i, 22, 50);
        expect_contents(i);
        close_image(i);
        expect_sound("q");
        expect_qemu_reads_model("q", "");
        memcpy(model, then, BYTES);
        expect_qemu_reads_model("q", "-l then");
        ck_assert_int_eq(sh("qemu-img snapshot -d then q"), 0);
        expect_sound("q");
    }
    free(then);
}
END_TEST

static void expect_refused(struct image_options o, const char *name, const char *word)
{
    struct err e = {0};

    o.path = in_dir(name);
    ck_assert_ptr_null(image_open(&o, &e));
    ck_assert_msg(strstr(e.msg, word) != NULL, "%s", e.msg);
}

START_TEST(a_backing_file_that_only_the_header_names_is_not_opened)
{
    struct file f;
    struct err e = {0};
    struct image_options o = {.backing_format = "raw"};

    write_file("base", model, MIB);
    ck_assert(file_create(&f, in_dir("q"), &e));
    ck_assert(qcow2_create(&f, MIB, "/etc/passwd", "raw", &e));
    file_close(&f);
    expect_refused((struct image_options){0}, "q", "backing file");
    make_ours("plain", MIB);
    o.backing = in_dir("base");
    expect_refused(o, "plain", "no backing file");
    close_image(open_image(o, "q"));
}
END_TEST

START_TEST(damaged_headers_are_refused)
{
    static const struct {
        unsigned at, bytes;
        u64 value;
    } rows[] = {
        {4, 4, 4},           {20, 4, 8},          {20, 4, 22},    {20, 4, ~0ull}, {24, 8, ~0ull},
        {24, 8, 1},          {32, 4, 1},          {36, 4, 0},     {36, 4, ~0ull}, {40, 8, 1},
        {40, 8, 1ull << 60}, {48, 8, 0},          {48, 8, ~0ull}, {56, 4, 0},     {56, 4, ~0ull},
        {72, 8, 4},          {72, 8, 1ull << 50}, {96, 4, 7},     {8, 8, ~0ull},
    };

    make_ours("q", MIB);
    for (unsigned n = 0; n < ARRAY_SIZE(rows); n++) {
        u8 b[8], old[8], sixteen[4] = {0, 0, 0, 16};
        int fd = open(in_dir("q"), O_RDWR);
        struct err e = {0};

        ck_assert(pread(fd, old, 8, rows[n].at) == 8);
        st_be(b, rows[n].value, rows[n].bytes);
        ck_assert(pwrite(fd, b, rows[n].bytes, rows[n].at) == rows[n].bytes);
        if (rows[n].at == 8)
            ck_assert(pwrite(fd, sixteen, 4, 16) == 4);
        ck_assert_msg(
            !image_open(&(struct image_options){.path = in_dir("q"), .format = "qcow2"}, &e),
            "row %u", n);
        ck_assert(e.msg[0]);
        ck_assert(pwrite(fd, old, 8, rows[n].at) == 8);
        close(fd);
    }
    close_image(open_image((struct image_options){0}, "q"));
}
END_TEST

START_TEST(an_unclean_image_opens_for_reading_alone)
{
    int fd;
    u8 one = 1;

    make_ours("q", MIB);
    fd = open(in_dir("q"), O_RDWR);
    ck_assert(pwrite(fd, &one, 1, 79) == 1);
    close(fd);
    expect_refused((struct image_options){0}, "q", "not closed properly");
    close_image(open_image((struct image_options){.readonly = true}, "q"));
}
END_TEST

/* A child writes until it is killed. What is lost at worst are clusters, never anybody's data, and
 * all that was flushed is there. */
START_TEST(kill_9_while_writing_leaves_a_sound_image)
{
    u32 *flushed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    make_ours("q", BYTES);
    for (unsigned round = 0; round < 25; round++) {
        struct timespec t = {.tv_nsec = 1000000 * (long)(1 + round * 7 % 40)};
        pid_t pid = fork();
        struct image *i;
        struct qcow2_check c;
        int status;

        ck_assert(pid >= 0);
        if (!pid) {
            struct rng r;

            rng_seed(&r, round);
            i = open_image((struct image_options){.cache = CACHE_WRITEBACK}, "q");
            for (u32 n = *flushed + 1;; n++) {
                u64 len = 512 + rng_below(&r, 300000), at = 4096 + rng_below(&r, BYTES - 400000);

                image_write(i, at, model, len);
                if (n % 3 == 0)
                    image_discard(i, rng_below(&r, BYTES - 400000) + 4096, 300000);
                image_write(i, 0, &n, sizeof n);
                if (n % 5 == 0 && !image_flush(i))
                    __atomic_store_n(flushed, n, __ATOMIC_SEQ_CST);
            }
        }
        nanosleep(&t, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        i = open_image((struct image_options){.readonly = true}, "q");
        ck_assert(qcow2_check(i, &c, NULL, NULL));
        ck_assert_uint_eq(c.corruptions, 0);
        {
            u32 n = 0;

            ck_assert_int_eq(image_read(i, 0, &n, sizeof n), 0);
            ck_assert_uint_ge(n, *flushed);
        }
        close_image(i);
        if (has_qemu_img()) {
            int code = sh("qemu-img check -q q >/dev/null 2>&1");

            ck_assert_msg(code == 0 || code == 3, "exit code %d", code);
        }
    }
    munmap(flushed, 4096);
}
END_TEST

START_TEST(gz_images_read_as_what_they_were)
{
    struct rng r;
    struct image *i;
    gzFile z;

    rng_seed(&r, 3);
    for (u64 n = 0; n < BYTES; n += 512)
        fill_random(model + n, n % 4096 ? 200 : 512, &r);
    z = gzopen(in_dir("disk.gz"), "wb6");
    ck_assert(gzwrite(z, model, BYTES - 100) == (int)(BYTES - 100));
    gzclose(z);
    memset(model + BYTES - 100, 0, 100);
    expect_refused((struct image_options){0}, "disk.gz", "reading alone");
    i = open_image((struct image_options){.readonly = true}, "disk.gz");
    ck_assert_uint_eq(i->bytes, BYTES);
    expect_contents(i);
    for (unsigned n = 0; n < 200; n++) {
        u64 at = rng_below(&r, BYTES), len = rng_below(&r, 10000);

        len = len < BYTES - at ? len : BYTES - at;
        ck_assert_int_eq(image_read(i, at, buf, len), 0);
        ck_assert_mem_eq(buf, model + at, len);
    }
    close_image(i);
    i = open_image((struct image_options){.snapshot = true}, "disk.gz");
    scribble(i, 4, 50);
    expect_contents(i);
    close_image(i);
}
END_TEST

START_TEST(cut_gz_files_are_refused)
{
    gzFile z = gzopen(in_dir("disk.gz"), "wb6");

    ck_assert(gzwrite(z, buf, 100000) == 100000);
    gzclose(z);
    ck_assert(!truncate(in_dir("disk.gz"), 60));
    expect_refused((struct image_options){.readonly = true}, "disk.gz", "gzip");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("qcow2");
    TCase *tc = tcase_create("qcow2");
    SRunner *sr = srunner_create(s);
    int failures;

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_we_make_and_write_is_sound_and_reads_back);
    tcase_add_loop_test(tc, images_of_every_shape_are_written_soundly, 0, ARRAY_SIZE(shapes));
    tcase_add_test(tc, the_refcount_table_grows);
    tcase_add_test(tc, compressed_clusters_are_read_and_overwritten);
    tcase_add_test(tc, a_backing_file_shows_through_until_it_is_written_over);
    tcase_add_test(tc, clusters_of_an_internal_snapshot_are_kept);
    tcase_add_test(tc, a_backing_file_that_only_the_header_names_is_not_opened);
    tcase_add_test(tc, damaged_headers_are_refused);
    tcase_add_test(tc, an_unclean_image_opens_for_reading_alone);
    tcase_add_test(tc, kill_9_while_writing_leaves_a_sound_image);
    tcase_add_test(tc, gz_images_read_as_what_they_were);
    tcase_add_test(tc, cut_gz_files_are_refused);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_NORMAL);
    failures = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failures != 0;
}
