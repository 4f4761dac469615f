/* test_vga.c: the VGA: window, modes, picture, VBE, timing; the mode tables of bios/video.c. */
#include "tests/unit/board.h"

#include "base/bits.h"
#include "bios/video.h"
#include "devices/vga.h"

#define GREEN 0x00aa00u
#define LFB 0xe0000000u

static struct board b;
static struct vga *v;
static struct vga_screen s;

static void setup(void)
{
    board_init(&b);
    b.env.pci = board_add(&b, &pci_class, NULL);
    v = board_add(&b, &vga_class, "vgamem_mb=2");
    memset(&s, 0, sizeof s);
}

static void teardown(void)
{
    vga_screen_free(&s);
    dev_destroy((struct dev *)v);
    dev_destroy((struct dev *)b.env.pci);
    board_destroy(&b);
}

static void set_mode(u8 mode)
{
    ck_assert(video_set_mode(b.env.io, &b.phys, mode, false));
}

static void indexed(u16 port, unsigned index, unsigned value)
{
    iobus_write(b.env.io, port, index | value << 8, 2);
}

static void poke(u32 at, unsigned value)
{
    phys_write(&b.phys, at, value, 1);
}

static unsigned peek(u32 at)
{
    return (unsigned)phys_read(&b.phys, at, 1);
}

static void dispi(enum vbe_reg reg, unsigned value)
{
    iobus_write(b.env.io, VBE_INDEX_PORT, reg, 2);
    iobus_write(b.env.io, VBE_DATA_PORT, value, 2);
}

static unsigned dispi_get(enum vbe_reg reg)
{
    iobus_write(b.env.io, VBE_INDEX_PORT, reg, 2);
    return iobus_read(b.env.io, VBE_DATA_PORT, 2);
}

static void draw(unsigned width, unsigned height)
{
    unsigned first, end;

    vga_screen_update(v, &s, &first, &end);
    ck_assert_uint_eq(s.width, width);
    ck_assert_uint_eq(s.height, height);
}

static u32 pixel(unsigned x, unsigned y)
{
    return s.pixels[y * s.width + x];
}

/* ---- text ------------------------------------------------------------------------------------ */

START_TEST(text_mode_shows_characters_attributes_and_cursor)
{
    struct vga_text *t = malloc(sizeof *t);

    ck_assert_ptr_nonnull(t);
    set_mode(3);
    phys_write(&b.phys, 0xb8000 + 2 * (80 * 3 + 5), 0x2e41, 2);
    indexed(0x3d4, 0x0e, (80 * 3 + 6) >> 8);
    indexed(0x3d4, 0x0f, (80 * 3 + 6) & 0xff);
    ck_assert(vga_text_read(v, t));
    ck_assert_uint_eq(t->columns, 80);
    ck_assert_uint_eq(t->rows, 25);
    ck_assert_uint_eq(t->cell[3][5].ch, 'A');
    ck_assert_uint_eq(t->cell[3][5].attr, 0x2e);
    ck_assert_int_eq(t->cursor_x, 6);
    ck_assert_int_eq(t->cursor_y, 3);
    set_mode(0x13);
    ck_assert(!vga_text_read(v, t));
    free(t);
}
END_TEST

START_TEST(text_is_drawn_with_the_font_in_plane_2_and_line_graphics_fill_the_ninth_dot)
{
    set_mode(3);
    indexed(0x3c4, 2, 4); /* plane 2, sequential, at A0000h */
    indexed(0x3c4, 4, 6);
    indexed(0x3ce, 5, 0);
    indexed(0x3ce, 6, 4);
    poke(0xa0000 + 'A' * 32 + 1, 0x81);
    poke(0xa0000 + 0xc4 * 32 + 1, 0x81);
    indexed(0x3c4, 2, 3);
    indexed(0x3c4, 4, 2);
    indexed(0x3ce, 5, 0x10);
    indexed(0x3ce, 6, 0x0e);
    phys_write(&b.phys, 0xb8000, 0x02c40241, 4);
    draw(720, 400);
    ck_assert_uint_eq(pixel(0, 0), 0);
    ck_assert_uint_eq(pixel(0, 1), GREEN);
    ck_assert_uint_eq(pixel(1, 1), 0);
    ck_assert_uint_eq(pixel(7, 1), GREEN);
    ck_assert_uint_eq(pixel(8, 1), 0);
    ck_assert_uint_eq(pixel(9, 1), GREEN);
    ck_assert_uint_eq(pixel(16, 1), GREEN);
    ck_assert_uint_eq(pixel(17, 1), GREEN);
}
END_TEST

START_TEST(line_compare_shows_memory_from_the_start_below_it)
{
    struct vga_text *t = malloc(sizeof *t);

    ck_assert_ptr_nonnull(t);
    set_mode(3);
    phys_write(&b.phys, 0xb8000, 'T', 1);
    indexed(0x3d4, 0x0c, 0x04); /* the picture begins at count 400h */
    indexed(0x3d4, 0x18, 0x9f); /* line 15Fh: twenty-two rows, then the start of memory */
    indexed(0x3d4, 0x07, 0x1f);
    indexed(0x3d4, 0x09, 0x0f);
    indexed(0x3d4, 0x18, 0x5f);
    ck_assert(vga_text_read(v, t));
    ck_assert_uint_eq(t->cell[0][0].ch, ' ');
    ck_assert_uint_eq(t->cell[22][0].ch, 'T');
    free(t);
}
END_TEST

/* ---- graphics -------------------------------------------------------------------------------- */

START_TEST(mode_13h_has_a_byte_per_pixel_of_two_dots_and_two_lines)
{
    set_mode(0x13);
    poke(0xa0000 + 320 * 10 + 7, 2);
    draw(640, 400);
    ck_assert_uint_eq(pixel(14, 20), GREEN);
    ck_assert_uint_eq(pixel(15, 21), GREEN);
    ck_assert_uint_eq(pixel(13, 20), 0);
    ck_assert_uint_eq(pixel(16, 20), 0);
    ck_assert_uint_eq(pixel(14, 22), 0);
}
END_TEST

START_TEST(mode_x_has_a_plane_for_every_fourth_pixel)
{
    set_mode(0x13);
    indexed(0x3c4, 4, 6);       /* chain-4 off */
    indexed(0x3d4, 0x14, 0);    /* doubleword off */
    indexed(0x3d4, 0x17, 0xe3); /* byte mode */
    indexed(0x3c4, 2, 15);
    for (u32 i = 0; i < 0x10000; i++)
        poke(0xa0000 + i, 0);
    indexed(0x3c4, 2, 2); /* plane 1 */
    poke(0xa0000 + 80 * 10 + 3, 2);
    draw(640, 400);
    ck_assert_uint_eq(pixel(2 * 13, 20), GREEN);
    ck_assert_uint_eq(pixel(2 * 12, 20), 0);
    ck_assert_uint_eq(pixel(2 * 14, 20), 0);
}
END_TEST

START_TEST(mode_12h_has_four_planes)
{
    set_mode(0x12);
    indexed(0x3c4, 2, 2); /* plane 1: green */
    poke(0xa0000 + 80 * 479 + 79, 1);
    draw(640, 480);
    ck_assert_uint_eq(pixel(639, 479), GREEN);
    ck_assert_uint_eq(pixel(638, 479), 0);
}
END_TEST

START_TEST(cga_modes_have_odd_lines_8_kib_after_the_even_ones)
{
    set_mode(4);
    poke(0xb8000, 0x40);
    poke(0xba000 + 1, 0x03);
    draw(640, 400);
    ck_assert_uint_ne(pixel(0, 0), 0);
    ck_assert_uint_eq(pixel(2, 0), 0);
    ck_assert_uint_ne(pixel(14, 2), 0);
    ck_assert_uint_eq(pixel(14, 0), 0);
}
END_TEST

START_TEST(a_screen_that_is_off_is_black)
{
    set_mode(0x13);
    poke(0xa0000, 2);
    indexed(0x3c4, 1, 0x21);
    draw(640, 400);
    ck_assert_uint_eq(pixel(0, 0), 0);
    indexed(0x3c4, 1, 0x01);
    draw(640, 400);
    ck_assert_uint_eq(pixel(0, 0), GREEN);
}
END_TEST

/* ---- the graphics controller ----------------------------------------------------------------- */

/* Bytes of the four planes at planar address 0. */
static u32 planes_at_0(void)
{
    return ld_le32(v->vram);
}

START_TEST(write_mode_0_rotates_masks_and_sets)
{
    set_mode(0x12);
    st_le32(v->vram, 0x44332211);
    peek(0xa0000);           /* loads the latches */
    indexed(0x3ce, 3, 1);    /* rotate right by 1 */
    indexed(0x3ce, 8, 0xf0); /* the CPU's upper four bits only */
    poke(0xa0000, 0x81);     /* rotated: C0h */
    ck_assert_uint_eq(planes_at_0(), 0xc4c3c2c1);
    peek(0xa0000);
    indexed(0x3ce, 3, 0);
    indexed(0x3ce, 0, 0x5); /* set/reset: planes 0 and 2 ones */
    indexed(0x3ce, 1, 0xc); /* but only planes 2 and 3 obey */
    poke(0xa0000, 0x30);
    ck_assert_uint_eq(planes_at_0(), 0x04f33231);
}
END_TEST

START_TEST(write_functions_work_on_the_latches)
{
    static const u32 results[] = {0x0f0f0f0f, 0x04030201, 0x4f3f2f1f, 0x4b3c2d1e};

    set_mode(0x12);
    st_le32(v->vram, 0x44332211);
    peek(0xa0000);
    indexed(0x3ce, 3, (unsigned)_i << 3);
    poke(0xa0000, 0x0f);
    ck_assert_uint_eq(planes_at_0(), results[_i]);
}
END_TEST

START_TEST(write_mode_1_copies_latches_2_expands_a_colour_3_masks_with_data)
{
    set_mode(0x12);
    st_le32(v->vram + 4, 0x44332211);
    peek(0xa0001);
    indexed(0x3ce, 5, 1);
    poke(0xa0000, 0xff);
    ck_assert_uint_eq(planes_at_0(), 0x44332211);
    indexed(0x3ce, 5, 2);
    poke(0xa0000, 0x5);
    ck_assert_uint_eq(planes_at_0(), 0x00ff00ff);
    indexed(0x3ce, 5, 3);
    indexed(0x3ce, 0, 0x8);
    peek(0xa0001);
    poke(0xa0000, 0x0f);
    ck_assert_uint_eq(planes_at_0(), 0x4f302010);
}
END_TEST

START_TEST(read_mode_1_compares_colours_but_for_planes_that_do_not_matter)
{
    set_mode(0x12);
    st_le32(v->vram, 0xf00000ff); /* pixels 0-3: colour 9, 4-7: colour 1 */
    indexed(0x3ce, 5, 8);
    indexed(0x3ce, 2, 9);
    ck_assert_uint_eq(peek(0xa0000), 0xf0);
    indexed(0x3ce, 7, 7);
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    indexed(0x3ce, 5, 0);
    indexed(0x3ce, 4, 3);
    ck_assert_uint_eq(peek(0xa0000), 0xf0);
}
END_TEST

START_TEST(map_select_moves_the_window_and_nothing_answers_beside_it)
{
    set_mode(3);
    poke(0xb8000, 'x');
    ck_assert_uint_eq(peek(0xb8000), 'x');
    ck_assert_uint_eq(peek(0xb0000), 0xff);
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    indexed(0x3ce, 6, 0x0a);
    ck_assert_uint_eq(peek(0xb0000), 'x');
    ck_assert_uint_eq(peek(0xb8000), 0xff);
}
END_TEST

/* ---- registers ------------------------------------------------------------------------------- */

START_TEST(the_dac_takes_a_colour_with_its_third_byte)
{
    set_mode(0x13);
    out8(&b, 0x3c8, 5);
    out8(&b, 0x3c9, 63);
    out8(&b, 0x3c9, 0xff);
    poke(0xa0000, 5);
    draw(640, 400);
    ck_assert_uint_eq(pixel(0, 0), 0xaa00aa);
    out8(&b, 0x3c9, 1);
    draw(640, 400);
    ck_assert_uint_eq(pixel(0, 0), 0xffff04);
    ck_assert_uint_eq(in8(&b, 0x3c8), 6);
    out8(&b, 0x3c7, 5);
    ck_assert_uint_eq(in8(&b, 0x3c7), 3);
    ck_assert_uint_eq(in8(&b, 0x3c9), 63);
    ck_assert_uint_eq(in8(&b, 0x3c9), 63);
    ck_assert_uint_eq(in8(&b, 0x3c9), 1);
}
END_TEST

START_TEST(crtc_timing_is_protected_but_not_the_line_compare)
{
    set_mode(3);
    indexed(0x3d4, 0, 0x12);
    indexed(0x3d4, 7, 0);
    out8(&b, 0x3d4, 0);
    ck_assert_uint_eq(in8(&b, 0x3d5), 0x5f);
    out8(&b, 0x3d4, 7);
    ck_assert_uint_eq(in8(&b, 0x3d5), 0x0f);
}
END_TEST

START_TEST(monochrome_modes_answer_at_3bxh_alone)
{
    set_mode(7);
    out8(&b, 0x3b4, 0x0f);
    out8(&b, 0x3b5, 0x55);
    ck_assert_uint_eq(in8(&b, 0x3b5), 0x55);
    ck_assert_uint_eq(in8(&b, 0x3d5), 0xff);
    ck_assert_uint_ne(in8(&b, 0x3ba), 0xff);
}
END_TEST

START_TEST(retrace_comes_seventy_times_a_second)
{
    unsigned retraces = 0;
    bool was = true;

    set_mode(3);
    for (unsigned i = 0; i < 100000; i++) { /* a second in steps of 10 us: a line is 32 us */
        bool now = in8(&b, 0x3da) & 8;

        retraces += now && !was;
        was = now;
        board_run(&b, 10000);
    }
    ck_assert_uint_ge(retraces, 69);
    ck_assert_uint_le(retraces, 71);
}
END_TEST

/* ---- VBE ------------------------------------------------------------------------------------- */

static void vbe_mode(unsigned width, unsigned height, unsigned bits)
{
    dispi(VBE_ENABLE, 0);
    dispi(VBE_XRES, width);
    dispi(VBE_YRES, height);
    dispi(VBE_BPP, bits);
    dispi(VBE_ENABLE, VBE_ENABLE_ON | VBE_ENABLE_LFB);
}

static void map_lfb(void)
{
    pci_config_write(b.env.pci, v->pci.devfn, PCI_BAR0, LFB, 4);
    pci_config_write(b.env.pci, v->pci.devfn, PCI_BAR0 + 8, LFB + 0x1000000, 4);
    pci_config_write(b.env.pci, v->pci.devfn, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

START_TEST(dispi_says_what_it_is_and_what_it_can)
{
    ck_assert_uint_eq(dispi_get(VBE_ID), 0xb0c5);
    dispi(VBE_ID, 0xb0c2);
    ck_assert_uint_eq(dispi_get(VBE_ID), 0xb0c2);
    dispi(VBE_ID, 0x1234);
    ck_assert_uint_eq(dispi_get(VBE_ID), 0xb0c2);
    ck_assert_uint_eq(dispi_get(VBE_MEMORY_64K), 32);
    dispi(VBE_XRES, 640);
    dispi(VBE_ENABLE, VBE_ENABLE_GETCAPS);
    ck_assert_uint_eq(dispi_get(VBE_XRES), 2560);
    ck_assert_uint_eq(dispi_get(VBE_BPP), 32);
    dispi(VBE_ENABLE, 0);
    ck_assert_uint_eq(dispi_get(VBE_XRES), 640);
}
END_TEST

START_TEST(linear_modes_show_every_depth)
{
    static const struct {
        unsigned bits, value, bytes;
        u32 rgb;
    } depth[] = {{8, 2, 1, GREEN},
                 {15, 0x7c1f, 2, 0xff00ff},
                 {16, 0x07e0, 2, 0x00ff00},
                 {24, 0x123456, 3, 0x123456},
                 {32, 0x123456, 4, 0x123456}};

    set_mode(3);
    map_lfb();
    vbe_mode(640, 480, depth[_i].bits);
    if (depth[_i].bits == 8) {
        out8(&b, 0x3c8, 2);
        for (unsigned i = 0; i < 3; i++)
            out8(&b, 0x3c9, i == 1 ? 42 : 0);
    }
    for (unsigned i = 0; i < depth[_i].bytes; i++)
        poke(LFB + (640 * 100 + 50) * depth[_i].bytes + i, depth[_i].value >> 8 * i & 0xff);
    draw(640, 480);
    ck_assert_uint_eq(pixel(50, 100), depth[_i].rgb);
    ck_assert_uint_eq(pixel(51, 100), 0);
}
END_TEST

START_TEST(only_lines_whose_pages_changed_are_drawn)
{
    unsigned first, end;

    set_mode(3);
    map_lfb();
    vbe_mode(640, 480, 32);
    draw(640, 480);
    ck_assert(!vga_screen_update(v, &s, &first, &end));
    poke(LFB + 2560 * 100, 1); /* byte 256000: in the page of bytes 253952 to 258047 */
    s.pixels[0] = 0x777777;    /* is not touched */
    ck_assert(vga_screen_update(v, &s, &first, &end));
    ck_assert_uint_eq(first, 99);
    ck_assert_uint_eq(end, 101);
    ck_assert_uint_eq(pixel(0, 100), 1);
    ck_assert_uint_eq(pixel(0, 0), 0x777777);
    ck_assert(!vga_screen_update(v, &s, &first, &end));
}
END_TEST

START_TEST(the_bank_window_and_the_linear_buffer_are_one_memory)
{
    set_mode(3);
    map_lfb();
    vbe_mode(640, 480, 8);
    dispi(VBE_BANK, 3);
    poke(0xa0000 + 5, 0x5a);
    ck_assert_uint_eq(peek(LFB + 0x30005), 0x5a);
}
END_TEST

START_TEST(offsets_pan_over_a_larger_virtual_screen_and_never_leave_memory)
{
    set_mode(3);
    map_lfb();
    vbe_mode(640, 400, 8);
    dispi(VBE_VIRT_WIDTH, 1024);
    ck_assert_uint_eq(dispi_get(VBE_VIRT_HEIGHT), 2048);
    dispi(VBE_X_OFFSET, 100);
    dispi(VBE_Y_OFFSET, 200);
    out8(&b, 0x3c8, 9);
    for (unsigned i = 0; i < 3; i++)
        out8(&b, 0x3c9, 63);
    poke(LFB + 1024 * 200 + 100, 9);
    draw(640, 400);
    ck_assert_uint_eq(pixel(0, 0), 0xffffff);
    dispi(VBE_Y_OFFSET, 0xffff);
    draw(640, 400);
    vbe_mode(2560, 1600, 32); /* more than the memory has */
    draw(2560, 204);
}
END_TEST

START_TEST(bar_2_holds_the_same_registers)
{
    set_mode(3);
    map_lfb();
    phys_write(&b.phys, LFB + 0x1000500 + 2 * VBE_XRES, 800, 2);
    ck_assert_uint_eq(dispi_get(VBE_XRES), 800);
    ck_assert_uint_eq(phys_read(&b.phys, LFB + 0x1000500 + 2 * VBE_XRES, 2), 800);
    phys_write(&b.phys, LFB + 0x1000400 + 0x14, 0x0f, 1); /* 3D4h */
    phys_write(&b.phys, LFB + 0x1000400 + 0x15, 0x77, 1);
    out8(&b, 0x3d4, 0x0f);
    ck_assert_uint_eq(in8(&b, 0x3d5), 0x77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vga");
    TCase *t = tcase_create("vga");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, text_mode_shows_characters_attributes_and_cursor);
    tcase_add_test(t, text_is_drawn_with_the_font_in_plane_2_and_line_graphics_fill_the_ninth_dot);
    tcase_add_test(t, line_compare_shows_memory_from_the_start_below_it);
    tcase_add_test(t, mode_13h_has_a_byte_per_pixel_of_two_dots_and_two_lines);
    tcase_add_test(t, mode_x_has_a_plane_for_every_fourth_pixel);
    tcase_add_test(t, mode_12h_has_four_planes);
    tcase_add_test(t, cga_modes_have_odd_lines_8_kib_after_the_even_ones);
    tcase_add_test(t, a_screen_that_is_off_is_black);
    tcase_add_test(t, write_mode_0_rotates_masks_and_sets);
    tcase_add_loop_test(t, write_functions_work_on_the_latches, 0, 4);
    tcase_add_test(t, write_mode_1_copies_latches_2_expands_a_colour_3_masks_with_data);
    tcase_add_test(t, read_mode_1_compares_colours_but_for_planes_that_do_not_matter);
    tcase_add_test(t, map_select_moves_the_window_and_nothing_answers_beside_it);
    tcase_add_test(t, the_dac_takes_a_colour_with_its_third_byte);
    tcase_add_test(t, crtc_timing_is_protected_but_not_the_line_compare);
    tcase_add_test(t, monochrome_modes_answer_at_3bxh_alone);
    tcase_add_test(t, retrace_comes_seventy_times_a_second);
    tcase_add_test(t, dispi_says_what_it_is_and_what_it_can);
    tcase_add_loop_test(t, linear_modes_show_every_depth, 0, 5);
    tcase_add_test(t, only_lines_whose_pages_changed_are_drawn);
    tcase_add_test(t, the_bank_window_and_the_linear_buffer_are_one_memory);
    tcase_add_test(t, offsets_pan_over_a_larger_virtual_screen_and_never_leave_memory);
    tcase_add_test(t, bar_2_holds_the_same_registers);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
