/* What users and hostile files give the loaders: each is one line with a hint, never a crash. */
#include "base/rng.h"
#include "tests/unit/boot_fixture.h"
#include "tests/unit/linux_image.h"

static struct board b;
static struct err e;
static u8 image[IMAGE_BYTES];

static void assert_refused(bool ok, int exit_code, const char *what)
{
    ck_assert_msg(!ok, "%s was accepted", what);
    ck_assert_msg(e.exit_code == exit_code, "%s: exit code %d: %s", what, e.exit_code, e.msg);
    ck_assert_msg(e.msg[0] && !strchr(e.msg, '\n'), "%s: not one line", what);
}

static bool boot_image(size_t len)
{
    memset(&e, 0, sizeof e);
    return boot_bytes(&b, image, len, &e);
}

static void setup(void)
{
    board_up(&b, 64 * MIB, "x86-64-v2");
    make_bzimage(image);
}

static void teardown(void)
{
    board_down(&b);
}

START_TEST(no_kernel_a_missing_one_and_a_directory_are_refused)
{
    memset(&e, 0, sizeof e);
    assert_refused(boot_load(&b.cfg, &e), EXIT_USAGE, "no kernel");
    b.cfg.kernel = "/nonexistent/vmlinuz";
    assert_refused(boot_load(&b.cfg, &e), EXIT_HOST, "missing kernel");
    ck_assert_ptr_nonnull(strstr(e.msg, "/nonexistent/vmlinuz"));
    ck_assert(e.hint[0]);
    b.cfg.kernel = "/tmp";
    assert_refused(boot_load(&b.cfg, &e), EXIT_HOST, "directory");
    b.cfg.kernel = "/dev/zero";
    assert_refused(boot_load(&b.cfg, &e), EXIT_HOST, "device");
}
END_TEST

START_TEST(an_empty_kernel_and_an_empty_initrd_are_refused)
{
    char path[32];
    assert_refused(boot_image(0), EXIT_USAGE, "empty kernel");
    ck_assert_ptr_nonnull(strstr(e.msg, "empty"));
    temp_file(path, "", 0);
    b.cfg.initrd = path;
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "empty initrd");
    unlink(path);
    b.cfg.initrd = "/nonexistent/initrd";
    assert_refused(boot_image(sizeof image), EXIT_HOST, "missing initrd");
}
END_TEST

START_TEST(a_kernel_truncated_anywhere_is_refused)
{
    for (size_t len = 1; len < sizeof image - 16; len += len < 1024 ? 1 : 509)
        assert_refused(boot_image(len), EXIT_USAGE, "truncated kernel");
}
END_TEST

START_TEST(a_kernel_larger_than_memory_is_refused_with_the_option_that_helps)
{
    st_le32(image + 0x260, 65 * MIB);
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "init_size beyond memory");
    ck_assert_ptr_nonnull(strstr(e.hint, "-m"));
    st_le32(image + 0x260, 0xffffffff);
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "init_size of 4 GiB");
    make_bzimage(image);
    st_le64(image + 0x258, ~0ull);
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "pref_address at the end of everything");
}
END_TEST

START_TEST(a_file_larger_than_memory_is_refused)
{
    char path[32];
    u8 *big = calloc(1, 3 * MIB);
    ck_assert_ptr_nonnull(big);
    board_down(&b);
    board_up(&b, 1 * MIB, "x86-64-v2");
    memcpy(big, image, sizeof image);
    temp_file(path, big, 3 * MIB);
    b.cfg.kernel = path;
    assert_refused(boot_load(&b.cfg, &e), EXIT_USAGE, "kernel in 1 MiB");
    unlink(path);
    free(big);
}
END_TEST

START_TEST(random_files_are_refused)
{
    struct rng r;
    rng_seed(&r, 1);
    for (unsigned n = 0; n < 200; n++) {
        size_t len = 1 + rng_below(&r, sizeof image);
        for (size_t i = 0; i < len; i++)
            image[i] = (u8)rng_next(&r);
        assert_refused(boot_image(len), EXIT_USAGE, "random bytes");
    }
}
END_TEST

/* Valid kinds with random damage: either outcome is fine, a crash is not (run under ASan in CI). */
START_TEST(damaged_headers_never_harm_the_host)
{
    struct rng r;
    rng_seed(&r, 2);
    for (unsigned n = 0; n < 2000; n++) {
        make_bzimage(image);
        if (n & 1) { /* an ELF header over it, then damage to that */
            memcpy(image, n & 2 ? "\177ELF\2\1\1" : "\177ELF\1\1\1", 7);
            image[16] = 2;
            image[18] = n & 2 ? 62 : 3;
            image[n & 2 ? 32 : 28] = 64;
            image[n & 2 ? 54 : 42] = 56;
            image[n & 2 ? 56 : 44] = (u8)rng_below(&r, 8);
            image[0x1fe] = 0;
        }
        for (unsigned k = 1 + (unsigned)rng_below(&r, 8); k; k--) {
            size_t at = n & 1 ? rng_below(&r, 512) : 0x1f0 + rng_below(&r, 0x80);
            image[at] = (u8)rng_next(&r);
        }
        if (!boot_image(sizeof image))
            ck_assert(e.exit_code == EXIT_USAGE && e.msg[0]);
    }
}
END_TEST

START_TEST(kernels_of_other_machines_and_plain_programs_are_named_as_such)
{
    memset(image, 0, sizeof image);
    memcpy(image, "\177ELF\2\1\1", 7);
    st_le16(image + 16, 2);
    st_le16(image + 18, 62);
    st_le64(image + 32, 64);
    st_le16(image + 54, 56);
    st_le16(image + 56, 1);
    assert_refused(boot_image(4096), EXIT_USAGE, "a program");
    ck_assert_ptr_nonnull(strstr(e.msg, "PVH"));
    memset(image, 0, sizeof image);
    image[510] = 0x55;
    image[511] = 0xaa;
    assert_refused(boot_image(512), EXIT_USAGE, "a boot sector");
    ck_assert_ptr_nonnull(strstr(e.msg, "boot sector"));
}
END_TEST

START_TEST(an_old_protocol_is_refused_by_number)
{
    st_le16(image + 0x206, 0x1ff);
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "protocol 1.255");
    ck_assert_ptr_nonnull(strstr(e.msg, "protocol"));
}
END_TEST

START_TEST(more_setup_code_than_real_mode_has_room_for_is_refused)
{
    make_zimage(image);
    image[0x1f1] = 64; /* with the boot sector 32.5 KiB */
    st_le32(image + 0x1f4, 0);
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "setup code of 32.5 KiB");
}
END_TEST

START_TEST(too_many_cpus_are_refused)
{
    b.cfg.cpus = 256;
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "256 CPUs");
    b.cfg.cpus = 0;
    assert_refused(boot_image(sizeof image), EXIT_USAGE, "no CPU");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("boot_bad_input");
    TCase *t = tcase_create("bad");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, no_kernel_a_missing_one_and_a_directory_are_refused);
    tcase_add_test(t, an_empty_kernel_and_an_empty_initrd_are_refused);
    tcase_add_test(t, a_kernel_truncated_anywhere_is_refused);
    tcase_add_test(t, a_kernel_larger_than_memory_is_refused_with_the_option_that_helps);
    tcase_add_test(t, a_file_larger_than_memory_is_refused);
    tcase_add_test(t, random_files_are_refused);
    tcase_add_test(t, damaged_headers_never_harm_the_host);
    tcase_add_test(t, kernels_of_other_machines_and_plain_programs_are_named_as_such);
    tcase_add_test(t, an_old_protocol_is_refused_by_number);
    tcase_add_test(t, more_setup_code_than_real_mode_has_room_for_is_refused);
    tcase_add_test(t, too_many_cpus_are_refused);
    suite_add_tcase(s, t);
    return run_suite(s);
}
