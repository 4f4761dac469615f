/* test_viewer.c: what a window or a VNC server gets to know of the picture, and the guest of the
 * keys. */
#include "frontends/viewer.h"

#include "cpu/cpu.h"
#include "devices/iobus.h"
#include "machine/vm.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 40u
#define HEIGHT 30u

/* ---- the picture ----------------------------------------------------------------------------- */

static u32 pixels[WIDTH * HEIGHT];
static struct vga_screen screen = {.width = WIDTH, .height = HEIGHT, .pixels = pixels};
static struct viewer_picture picture;

static void setup_picture(void)
{
    memset(pixels, 0, sizeof pixels);
    picture = (struct viewer_picture){0};
    viewer_publish(&picture, &screen, 0, HEIGHT);
    picture.rects = 0;
    picture.resized = false;
}

static void teardown_picture(void)
{
    free(picture.pixels);
}

static void check_rect(unsigned i, unsigned x, unsigned y, unsigned width, unsigned height)
{
    const struct viewer_rect *r = &picture.rect[i];

    ck_assert_uint_eq(r->x, x);
    ck_assert_uint_eq(r->y, y);
    ck_assert_uint_eq(r->width, width);
    ck_assert_uint_eq(r->height, height);
}

START_TEST(a_new_size_is_one_rectangle_of_all)
{
    struct vga_screen other = {.width = 8, .height = 4, .pixels = pixels};

    ck_assert(viewer_publish(&picture, &other, 0, 4));
    ck_assert(picture.resized);
    ck_assert_uint_eq(picture.rects, 1);
    check_rect(0, 0, 0, 8, 4);
}
END_TEST

START_TEST(lines_that_were_drawn_again_alike_are_no_change)
{
    ck_assert(!viewer_publish(&picture, &screen, 0, HEIGHT));
    ck_assert_uint_eq(picture.rects, 0);
}
END_TEST

START_TEST(dots_that_changed_are_in_a_rectangle_no_larger_than_they_need)
{
    pixels[3 * WIDTH + 7] = 1;
    pixels[4 * WIDTH + 5] = 1;
    pixels[20 * WIDTH + 39] = 1;
    ck_assert(viewer_publish(&picture, &screen, 0, HEIGHT));
    ck_assert_uint_eq(picture.rects, 2);
    check_rect(0, 5, 3, 3, 2);
    check_rect(1, 39, 20, 1, 1);
    ck_assert_mem_eq(picture.pixels, pixels, sizeof pixels);
}
END_TEST

START_TEST(what_is_beyond_the_drawn_lines_is_not_looked_at)
{
    pixels[3 * WIDTH] = pixels[10 * WIDTH] = 1;
    ck_assert(viewer_publish(&picture, &screen, 4, HEIGHT));
    ck_assert_uint_eq(picture.rects, 1);
    check_rect(0, 0, 10, 1, 1);
}
END_TEST

START_TEST(more_rectangles_than_there_is_room_for_cover_all_the_same)
{
    u8 covered[HEIGHT][WIDTH] = {0};

    for (u32 round = 1; round < 9; round++) {
        for (unsigned y = 0; y < HEIGHT; y += 2)
            pixels[y * WIDTH + (y * 7 + round * 5) % WIDTH] = round;
        viewer_publish(&picture, &screen, 0, HEIGHT);
    }
    ck_assert_uint_eq(picture.rects, VIEWER_RECTS);
    for (unsigned i = 0; i < picture.rects; i++) {
        const struct viewer_rect *r = &picture.rect[i];

        ck_assert_uint_le(r->x + r->width, WIDTH);
        ck_assert_uint_le(r->y + r->height, HEIGHT);
        for (unsigned y = r->y; y < r->y + r->height; y++)
            memset(&covered[y][r->x], 1, r->width);
    }
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
        ck_assert(covered[i / WIDTH][i % WIDTH] || !pixels[i]);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

static struct vm *vm;
static struct viewer viewer;

static void setup_vm(void)
{
    struct vm_config c = {.ram_bytes = 16 * MIB, .demo_guest = true, .accel = "interp"};
    struct err e = {0};

    vm = vm_create(&c, &e);
    ck_assert_msg(vm != NULL, "%s", e.msg);
    ck_assert(viewer_init(&viewer, vm, "test", &e));
}

static void teardown_vm(void)
{
    vm_destroy(vm);
    viewer_destroy(&viewer);
}

/* What the guest reads of the 8042 until it is empty. */
static const char *read_keyboard(void)
{
    static char text[1024];
    struct iobus *io = vm_devices(vm)->env->io;
    size_t n = 0;

    text[0] = '\0';
    while (iobus_read(io, 0x64, 1) & 1 && n + 3 < sizeof text)
        n += (size_t)snprintf(text + n, sizeof text - n, "%02x ", iobus_read(io, 0x60, 1));
    return text;
}

START_TEST(keys_reach_the_guest_in_order)
{
    viewer_key(&viewer, 0x04, true);
    viewer_key(&viewer, 0x05, true);
    viewer_key(&viewer, 0x04, false);
    viewer_key(&viewer, 0x05, false);
    viewer_refresh(&viewer);
    ck_assert_str_eq(read_keyboard(), "1e 30 9e b0 ");
}
END_TEST

START_TEST(keys_wait_until_the_keyboard_has_room)
{
    char all[1024] = "";

    for (unsigned i = 0; i < 10; i++) {
        viewer_key(&viewer, 0x48, true);
        viewer_key(&viewer, 0x48, false);
    }
    for (unsigned i = 0; i < 20; i++) {
        viewer_refresh(&viewer);
        strcat(all, read_keyboard());
    }
    ck_assert_uint_eq(strlen(all), 10 * strlen("e1 1d 45 e1 9d c5 "));
    for (unsigned i = 0; i < 10; i++)
        ck_assert(!strncmp(all + 18 * i, "e1 1d 45 e1 9d c5 ", 18));
}
END_TEST

START_TEST(keys_that_are_held_go_up_when_the_keyboard_is_taken_away)
{
    viewer_key(&viewer, 0xe0, true);
    viewer_key(&viewer, 0x06, true);
    viewer_release_keys(&viewer);
    viewer_refresh(&viewer);
    ck_assert_str_eq(read_keyboard(), "1d 2e ae 9d ");
    viewer_release_keys(&viewer);
    viewer_refresh(&viewer);
    ck_assert_str_eq(read_keyboard(), "");
}
END_TEST

START_TEST(a_guest_that_reads_nothing_loses_keys_but_none_stays_down)
{
    bool down[128] = {false};
    char *word;

    for (unsigned i = 0; i < 3 * VIEWER_QUEUE; i++)
        viewer_key(&viewer, (u8)(0x04 + i % 26), i % 3 != 0);
    viewer_release_keys(&viewer);
    for (unsigned i = 0; i < VIEWER_QUEUE; i++) {
        char text[1024];

        viewer_refresh(&viewer);
        strcpy(text, read_keyboard());
        for (word = strtok(text, " "); word; word = strtok(NULL, " ")) {
            unsigned long code = strtoul(word, NULL, 16);
            down[code & 0x7f] = code < 0x80;
        }
    }
    for (unsigned i = 0; i < 128; i++)
        ck_assert_msg(!down[i], "%02x", i);
    viewer_key(&viewer, 0x04, true);
    viewer_refresh(&viewer);
    ck_assert_str_eq(read_keyboard(), "1e ");
}
END_TEST

START_TEST(numbers_are_those_since_the_look_before)
{
    struct numbers n = {0};

    numbers_take(&n, vm, 1);
    ck_assert(n.mips == 0);
    vm_run(vm, NS_PER_SEC / 20);
    numbers_take(&n, vm, 1 + NS_PER_SEC / 2);
    ck_assert(n.mips == (double)vm_icount(vm) / 0.5 / 1e6);
    ck_assert(n.mips > 0);
    ck_assert_str_eq(n.line[1], "interpreter");
    ck_assert(!strncmp(n.line[2], "exits ", 6) && strcmp(n.line[2], "exits 0/s"));
    numbers_take(&n, vm, 1 + NS_PER_SEC);
    ck_assert(n.mips == 0);
    ck_assert_str_eq(n.line[2], "exits 0/s");
}
END_TEST

/* The line that begins so; "" if there is none. */
static const char *line_of(const struct numbers *n, const char *begin)
{
    for (unsigned i = 0; i < n->lines; i++)
        if (!strncmp(n->line[i], begin, strlen(begin)))
            return n->line[i];
    return "";
}

START_TEST(the_ring_view_shows_mode_and_shares_to_those_who_look)
{
    struct numbers n = {0};
    struct cpu *cpu = vm_cpu(vm, 0);

    numbers_take(&n, vm, 1);
    ck_assert_str_eq(line_of(&n, "CPU 0"), "");
    cpu->key |= KEY_CODE64;
    cpu->paging.kind = PAGING_4LEVEL;
    numbers_look(&n, vm);
    cpu->halted = true;
    numbers_look(&n, vm);
    cpu->halted = false;
    cpu->cpl = 3;
    for (unsigned i = 0; i < 6; i++)
        numbers_look(&n, vm);
    numbers_take(&n, vm, 2);
    ck_assert_str_eq(line_of(&n, "CPU 0"), "CPU 0  ring 3, 64-bit, 4-level paging");
    ck_assert_str_eq(line_of(&n, "  ring 3"), "  ring 3 ###############       75 %");
    ck_assert_str_eq(line_of(&n, "  ring 0"), "  ring 0 ###                   13 %");
    ck_assert_str_eq(line_of(&n, "  HLT"), "  HLT    ###                   13 %");
    ck_assert_str_eq(line_of(&n, "  ring 1"), "");
    numbers_take(&n, vm, 3);
    ck_assert_str_eq(line_of(&n, "CPU 0"), "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("viewer");
    TCase *t = tcase_create("picture"), *k = tcase_create("keys");

    tcase_add_checked_fixture(t, setup_picture, teardown_picture);
    tcase_add_test(t, a_new_size_is_one_rectangle_of_all);
    tcase_add_test(t, lines_that_were_drawn_again_alike_are_no_change);
    tcase_add_test(t, dots_that_changed_are_in_a_rectangle_no_larger_than_they_need);
    tcase_add_test(t, what_is_beyond_the_drawn_lines_is_not_looked_at);
    tcase_add_test(t, more_rectangles_than_there_is_room_for_cover_all_the_same);
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(k, setup_vm, teardown_vm);
    tcase_add_test(k, keys_reach_the_guest_in_order);
    tcase_add_test(k, keys_wait_until_the_keyboard_has_room);
    tcase_add_test(k, keys_that_are_held_go_up_when_the_keyboard_is_taken_away);
    tcase_add_test(k, a_guest_that_reads_nothing_loses_keys_but_none_stays_down);
    tcase_add_test(k, numbers_are_those_since_the_look_before);
    tcase_add_test(k, the_ring_view_shows_mode_and_shares_to_those_who_look);
    suite_add_tcase(s, k);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
