/*
 * pcbios_video.c: INT 10h: text and characters in every standard mode, pixels, palettes, fonts. It
 * works through the VGA's ports and window, as programs do.
 *
 * Specification: IBM PS/2 and PC BIOS Interface Technical Reference, INT 10h; Ralf Brown's
 * Interrupt List and MEMORY.LST.
 *
 * Not implemented: light pen, saving and restoring the state (1Ch), user fonts in graphics modes,
 * characters in VBE modes.
 */
#include "bios/pcbios.h"

#include "base/bits.h"
#include "bios/video.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_SHAPE 0x0607u
#define NO_CLEAR 0x80u
#define PAGES 8u
#define XOR_PIXEL 0x80u

/* ---- the mode -------------------------------------------------------------------------------- */

/* What the data area says of the mode; modes that are not standard have no characters. */
struct screen {
    const struct video_mode *mode;
    unsigned columns, rows, lines; /* lines: of a character */
    u16 page_bytes, crtc;
    gpa_t base;
};

static bool read_screen(struct pcbios *b, struct screen *s)
{
    s->mode = video_mode_find((u8)bios_get(b, BDA_VIDEO_MODE, 1));
    s->columns = (unsigned)bios_get(b, BDA_VIDEO_COLUMNS, 2);
    s->rows = (unsigned)bios_get(b, BDA_VIDEO_ROWS, 1) + 1;
    s->lines = (unsigned)bios_get(b, BDA_VIDEO_CHAR, 2);
    s->page_bytes = (u16)bios_get(b, BDA_VIDEO_PAGE_BYTES, 2);
    s->crtc = (u16)bios_get(b, BDA_VIDEO_CRTC, 2);
    if (!s->mode || vga_vbe_on(b->cfg.vga) || !s->columns || s->columns > 132 || !s->lines ||
        s->lines > 32)
        return false;
    s->base = s->mode->mode == 7                          ? 0xb0000
              : s->mode->text || s->mode->colour_bits < 4 ? 0xb8000
                                                          : 0xa0000;
    if (s->mode->mode == 0x11)
        s->base = 0xa0000;
    return true;
}

static void indexed(struct pcbios *b, u16 port, u8 index, u8 value)
{
    iobus_write(b->cfg.io, port, index, 1);
    iobus_write(b->cfg.io, port + 1, value, 1);
}

static void crtc_word(struct pcbios *b, u16 crtc, u8 index, u16 value)
{
    indexed(b, crtc, index, (u8)(value >> 8));
    indexed(b, crtc, (u8)(index + 1), (u8)value);
}

/* Plane 2 as plain memory at A0000h, and back to what text needs. */
static void font_access(struct pcbios *b, bool on, bool mono)
{
    static const struct {
        u16 port;
        u8 index, on, off;
    } row[] = {{0x3c4, 2, 4, 3}, {0x3c4, 4, 7, 2}, {0x3ce, 4, 2, 0}, {0x3ce, 5, 0, 0x10}};

    for (unsigned i = 0; i < ARRAY_SIZE(row); i++)
        indexed(b, row[i].port, row[i].index, on ? row[i].on : row[i].off);
    indexed(b, 0x3ce, 6, on ? 4 : mono ? 0x0a : 0x0e);
}

static void load_font(struct pcbios *b, gpa_t from, unsigned lines, unsigned first, unsigned count,
                      unsigned block)
{
    u32 at = 0xa0000u + (block & 3) * 0x4000u + (block >> 2 & 1) * 0x2000u;

    font_access(b, true, false);
    for (unsigned ch = first; ch < first + count && ch < 256; ch++)
        for (unsigned y = 0; y < lines; y++)
            bios_put(b, at + ch * 32 + y, bios_get(b, from + (ch - first) * lines + y, 1), 1);
    font_access(b, false, bios_get(b, BDA_VIDEO_MODE, 1) == 7);
}

static gpa_t rom_font(unsigned lines)
{
    return far_gpa(ROM_SEGMENT, lines == 16 ? ROM_FONT16 : ROM_FONT14);
}

/* Fonts of 8 lines lie in two halves. */
static void load_rom_font(struct pcbios *b, unsigned lines, unsigned block)
{
    if (lines != 8) {
        load_font(b, rom_font(lines), lines, 0, 256, block);
        return;
    }
    load_font(b, 0xffa6e, 8, 0, 128, block);
    load_font(b, far_gpa(ROM_SEGMENT, ROM_FONT8_HIGH), 8, 128, 128, block);
}

static void set_font_vector(struct pcbios *b, unsigned lines)
{
    u16 off = lines == 16 ? ROM_FONT16 : lines == 14 ? ROM_FONT14 : 0xfa6e;

    bios_put(b, 0x43 * 4, (u32)ROM_SEGMENT << 16 | off, 4);
}

static void set_mode(struct pcbios *b, u8 al)
{
    const struct video_mode *m = video_mode_find(al & 0x7f);

    if (!m)
        return;
    video_set_mode(b->cfg.io, b->cfg.phys, m->mode, al & NO_CLEAR);
    bios_put(b, BDA_VIDEO_MODE, m->mode, 1);
    bios_put(b, BDA_VIDEO_COLUMNS, m->columns, 2);
    bios_put(b, BDA_VIDEO_PAGE_BYTES, m->page_bytes, 2);
    bios_put(b, BDA_VIDEO_PAGE_AT, 0, 2);
    for (unsigned page = 0; page < PAGES; page++)
        bios_put(b, BDA_VIDEO_CURSOR + 2 * page, 0, 2);
    bios_put(b, BDA_VIDEO_SHAPE, DEFAULT_SHAPE, 2);
    bios_put(b, BDA_VIDEO_PAGE, 0, 1);
    bios_put(b, BDA_VIDEO_CRTC, m->mode == 7 ? 0x3b4 : 0x3d4, 2);
    bios_put(b, BDA_VIDEO_ROWS, m->rows - 1u, 1);
    bios_put(b, BDA_VIDEO_CHAR, m->char_lines, 2);
    bios_put(b, BDA_VIDEO_CONTROL, 0x60 | (al & NO_CLEAR), 1);
    bios_put(b, BDA_VIDEO_SWITCHES, 0xf9, 1);
    bios_put(b, BDA_VIDEO_FLAGS, 0x11, 1);
    bios_put(b, BDA_VIDEO_DCC, 8, 1);
    set_font_vector(b, m->char_lines);
    if (m->text)
        load_rom_font(b, m->char_lines, 0);
}

void pcbios_set_text_mode(struct pcbios *b)
{
    set_mode(b, VIDEO_TEXT_MODE);
}

/* ---- the cursor ------------------------------------------------------------------------------ */

static u8 active_page(struct pcbios *b)
{
    return (u8)bios_get(b, BDA_VIDEO_PAGE, 1) & (PAGES - 1);
}

static void show_cursor(struct pcbios *b, const struct screen *s)
{
    u8 page = active_page(b);
    u16 at = (u16)bios_get(b, BDA_VIDEO_CURSOR + 2 * page, 2);

    if (s->mode->text)
        crtc_word(b, s->crtc, 0x0e,
                  (u16)(page * s->page_bytes / 2 + (at >> 8) * s->columns + (at & 0xff)));
}

static void set_cursor(struct pcbios *b, const struct screen *s, u8 page, u16 at)
{
    page &= PAGES - 1;
    bios_put(b, BDA_VIDEO_CURSOR + 2 * page, at, 2);
    if (page == active_page(b))
        show_cursor(b, s);
}

/* Shapes are given for cells of 8 lines and stretched to those of the font. */
static void set_shape(struct pcbios *b, const struct screen *s, u16 shape)
{
    u8 first = shape >> 8 & 0x3f, last = shape & 0x1f;

    bios_put(b, BDA_VIDEO_SHAPE, shape, 2);
    if (s->lines > 8 && last < 8 && first <= last) {
        bool at_bottom = first + 1 >= last && last >= 6;
        u8 height = (u8)(last - first);
        last = (u8)(at_bottom ? s->lines - 2 : (last + 1u) * s->lines / 8 - 1);
        first = at_bottom ? (u8)(last - height) : (u8)(first * s->lines / 8);
    }
    indexed(b, s->crtc, 0x0a, first);
    indexed(b, s->crtc, 0x0b, last);
}

static void set_page(struct pcbios *b, const struct screen *s, u8 page)
{
    u16 at;

    if (page >= s->mode->pages)
        return;
    at = (u16)(page * s->page_bytes);
    bios_put(b, BDA_VIDEO_PAGE, page, 1);
    bios_put(b, BDA_VIDEO_PAGE_AT, at, 2);
    crtc_word(b, s->crtc, 0x0c, (u16)(s->mode->text ? at / 2u : at));
    show_cursor(b, s);
}

/* ---- graphics -------------------------------------------------------------------------------- */

static bool planar(const struct screen *s)
{
    return !s->mode->text && s->base == 0xa0000 && s->mode->colour_bits != 8;
}

/* Bytes of one line of one character. */
static unsigned cell_bytes(const struct screen *s)
{
    return s->mode->colour_bits == 8 ? 8 : s->mode->colour_bits == 2 ? 2 : 1;
}

static gpa_t line_at(const struct screen *s, unsigned page, unsigned y)
{
    unsigned bytes = s->columns * cell_bytes(s);

    if (s->base == 0xb8000) /* CGA: odd lines 8 KiB further */
        return s->base + (y & 1) * 0x2000u + y / 2 * bytes;
    return s->base + page * s->page_bytes + y * bytes;
}

/* Pixels of a byte: those in `mask` get `colour`, XORed with what is there if bit 7 says so. */
static void put_planar(struct pcbios *b, gpa_t at, u8 mask, u8 colour)
{
    indexed(b, 0x3ce, 3, colour & XOR_PIXEL ? 0x18 : 0);
    indexed(b, 0x3ce, 5, 2);
    indexed(b, 0x3ce, 8, mask);
    bios_get(b, at, 1);
    bios_put(b, at, colour & 15, 1);
    indexed(b, 0x3ce, 3, 0);
    indexed(b, 0x3ce, 5, 0);
    indexed(b, 0x3ce, 8, 0xff);
}

static void put_pixel(struct pcbios *b, const struct screen *s, unsigned page, unsigned x,
                      unsigned y, u8 colour)
{
    unsigned bits = s->mode->colour_bits, per_byte = planar(s) ? 8 : 8 / bits;
    gpa_t at = line_at(s, page, y) + x / per_byte;
    u8 shift = (u8)(planar(s) ? 7 - (x & 7) : (per_byte - 1 - x % per_byte) * bits);
    u8 mask = (u8)(((1u << (planar(s) ? 1 : bits)) - 1) << shift), old;

    if (planar(s)) {
        put_planar(b, at, mask, colour);
        return;
    }
    old = (u8)bios_get(b, at, 1);
    if (bits < 8 && colour & XOR_PIXEL)
        bios_put(b, at, old ^ ((colour & 0x7f) << shift & mask), 1);
    else
        bios_put(b, at, (old & ~mask) | (colour << shift & mask), 1);
}

static u8 get_pixel(struct pcbios *b, const struct screen *s, unsigned page, unsigned x, unsigned y)
{
    unsigned bits = s->mode->colour_bits, per_byte = 8 / bits;
    u8 colour = 0;

    if (!planar(s)) {
        gpa_t at = line_at(s, page, y) + x / per_byte;
        return (u8)(bios_get(b, at, 1) >> (per_byte - 1 - x % per_byte) * bits &
                    ((1u << bits) - 1));
    }
    for (u8 plane = 0; plane < 4; plane++) {
        indexed(b, 0x3ce, 4, plane);
        colour |= (u8)((bios_get(b, line_at(s, page, y) + x / 8, 1) >> (7 - (x & 7)) & 1) << plane);
    }
    indexed(b, 0x3ce, 4, 0);
    return colour;
}

/* The font of graphics modes is where INT 43h points; CGA modes have the upper half at INT 1Fh. */
static gpa_t glyph_at(struct pcbios *b, const struct screen *s, u8 ch)
{
    unsigned n = s->lines == 8 && ch >= 128 ? 0x1f : 0x43;
    gpa_t font = far_gpa((u16)bios_get(b, n * 4 + 2, 2), (u32)bios_get(b, n * 4, 2));

    return font + (n == 0x1f ? ch - 128u : ch) * s->lines;
}

static void draw_char(struct pcbios *b, const struct screen *s, unsigned page, unsigned x,
                      unsigned y, u8 ch, u8 colour)
{
    gpa_t glyph = glyph_at(b, s, ch);

    for (unsigned line = 0; line < s->lines; line++) {
        u8 bits = (u8)bios_get(b, glyph + line, 1);
        unsigned at = y * s->lines + line;

        if (planar(s)) {
            gpa_t byte = line_at(s, page, at) + x;
            if (!(colour & XOR_PIXEL))
                put_planar(b, byte, (u8)~bits, 0);
            put_planar(b, byte, bits, colour);
            continue;
        }
        for (unsigned i = 0; i < 8; i++) {
            bool on = bits >> (7 - i) & 1;
            if (on || !(colour & XOR_PIXEL) || s->mode->colour_bits == 8)
                put_pixel(b, s, page, 8 * x + i, at, on ? colour : 0);
        }
    }
}

/* ---- characters ------------------------------------------------------------------------------ */

static gpa_t cell_at(const struct screen *s, unsigned page, unsigned x, unsigned y)
{
    return s->base + page * s->page_bytes + 2 * (y * s->columns + x);
}

/* attr < 0: the attribute stays. */
static void put_char(struct pcbios *b, const struct screen *s, unsigned page, unsigned x,
                     unsigned y, u8 ch, int attr)
{
    if (!s->mode->text)
        draw_char(b, s, page, x, y, ch, attr < 0 ? 7 : (u8)attr);
    else if (attr < 0)
        bios_put(b, cell_at(s, page, x, y), ch, 1);
    else
        bios_put(b, cell_at(s, page, x, y), (u32)attr << 8 | ch, 2);
}

struct box {
    unsigned top, left, bottom, right;
};

/* One row of a box, in text or graphics, from another row; from == to: it is emptied. */
static void move_row(struct pcbios *b, const struct screen *s, unsigned page, const struct box *w,
                     unsigned to, unsigned from, u8 attr)
{
    unsigned bytes = cell_bytes(s);

    for (unsigned x = w->left; s->mode->text && x <= w->right; x++)
        bios_put(b, cell_at(s, page, x, to),
                 to == from ? (u32)attr << 8 | ' ' : bios_get(b, cell_at(s, page, x, from), 2), 2);
    if (s->mode->text)
        return;
    if (planar(s) && to != from)
        indexed(b, 0x3ce, 5, 1); /* latches to memory */
    for (unsigned line = 0; line < s->lines; line++)
        for (unsigned i = w->left * bytes; i < (w->right + 1) * bytes; i++) {
            gpa_t at = line_at(s, page, to * s->lines + line) + i;
            if (to != from)
                bios_put(b, at, bios_get(b, line_at(s, page, from * s->lines + line) + i, 1), 1);
            else if (planar(s))
                put_planar(b, at, 0xff, attr & 15);
            else
                bios_put(b, at, attr, 1);
        }
    if (planar(s) && to != from)
        indexed(b, 0x3ce, 5, 0);
}

/* rows 0: the whole box is emptied. */
static void scroll(struct pcbios *b, const struct screen *s, unsigned page, struct box w,
                   unsigned rows, u8 attr, bool up)
{
    unsigned height;

    w.right = w.right < s->columns ? w.right : s->columns - 1;
    w.bottom = w.bottom < s->rows ? w.bottom : s->rows - 1;
    if (w.left > w.right || w.top > w.bottom)
        return;
    height = w.bottom - w.top + 1;
    if (!rows || rows > height)
        rows = height;
    for (unsigned i = 0; i < height; i++) {
        unsigned to = up ? w.top + i : w.bottom - i;
        unsigned from = i + rows < height ? (up ? to + rows : to - rows) : to;
        move_row(b, s, page, &w, to, from, attr);
    }
}

static void new_line(struct pcbios *b, const struct screen *s, unsigned page, unsigned *y)
{
    struct box all = {0, 0, s->rows - 1, s->columns - 1};
    u8 attr = 0;

    if (++*y < s->rows)
        return;
    *y = s->rows - 1;
    if (s->mode->text) /* the new line has the attribute of the last */
        attr = (u8)bios_get(b, cell_at(s, page, 0, *y) + 1, 1);
    scroll(b, s, page, all, 1, attr, true);
}

/* attr < 0: as it is, in graphics modes white. */
static void teletype(struct pcbios *b, const struct screen *s, u8 page, u8 ch, int attr)
{
    u16 at = (u16)bios_get(b, BDA_VIDEO_CURSOR + 2 * (page & (PAGES - 1)), 2);
    unsigned x = at & 0xff, y = at >> 8;

    y = y < s->rows ? y : s->rows - 1;
    switch (ch) {
    case '\a': return; /* the speaker is not driven */
    case '\b': x -= x != 0; break;
    case '\r': x = 0; break;
    case '\n': new_line(b, s, page, &y); break;
    default:
        put_char(b, s, page, x < s->columns ? x : s->columns - 1, y, ch, attr);
        if (++x >= s->columns) {
            x = 0;
            new_line(b, s, page, &y);
        }
        break;
    }
    set_cursor(b, s, page, (u16)(y << 8 | x));
}

void pcbios_print(struct pcbios *b, const char *fmt, ...)
{
    struct screen s;
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (b->cfg.vga && read_screen(b, &s))
        for (const char *p = text; *p; p++)
            teletype(b, &s, active_page(b), (u8)*p, -1);
}

/* AH=09h, 0Ah. */
static void repeat_char(struct pcbios *b, const struct screen *s, struct bios_regs *r, int attr)
{
    u8 page = reg_bh(r) & (PAGES - 1);
    u16 at = (u16)bios_get(b, BDA_VIDEO_CURSOR + 2 * page, 2);
    unsigned cell = (at >> 8) * s->columns + (at & 0xff), end = s->rows * s->columns;

    for (u32 n = r->ecx & 0xffff; n && cell < end; n--, cell++)
        put_char(b, s, page, cell % s->columns, cell / s->columns, reg_al(r), attr);
}

/* AH=08h. In graphics modes the characters are not known any more. */
static void read_char(struct pcbios *b, const struct screen *s, struct bios_regs *r)
{
    u8 page = reg_bh(r) & (PAGES - 1);
    u16 at = (u16)bios_get(b, BDA_VIDEO_CURSOR + 2 * page, 2);

    set_low16(&r->eax,
              s->mode->text ? (u16)bios_get(b, cell_at(s, page, at & 0xff, at >> 8), 2) : 0);
}

/* AH=13h: bit 0 of AL: the cursor moves; bit 1: attributes are in the string. A string is at most a
 * screen long (four rows in graphics modes), so that one call does not keep the machine for seconds. */
static void write_string(struct pcbios *b, const struct screen *s, struct bios_regs *r)
{
    u8 page = reg_bh(r) & (PAGES - 1);
    u16 before = (u16)bios_get(b, BDA_VIDEO_CURSOR + 2 * page, 2);
    gpa_t at = far_gpa(r->es, r->ebp);
    u32 n = r->ecx & 0xffff, most = s->columns * (s->mode->text ? s->rows : 4);

    set_cursor(b, s, page, (u16)r->edx);
    for (n = n < most ? n : most; n; n--) {
        u8 ch = (u8)bios_get(b, at++, 1);
        u8 attr = reg_al(r) & 2 ? (u8)bios_get(b, at++, 1) : reg_bl(r);
        teletype(b, s, page, ch, attr);
    }
    if (!(reg_al(r) & 1))
        set_cursor(b, s, page, before);
}

/* ---- palettes -------------------------------------------------------------------------------- */

static void attribute(struct pcbios *b, u8 index, u8 value)
{
    iobus_read(b->cfg.io, (u16)(bios_get(b, BDA_VIDEO_CRTC, 2) + 6), 1);
    iobus_write(b->cfg.io, 0x3c0, index, 1);
    iobus_write(b->cfg.io, 0x3c0, value, 1);
    iobus_write(b->cfg.io, 0x3c0, 0x20, 1);
}

static u8 read_attribute(struct pcbios *b, u8 index)
{
    u8 value;

    iobus_read(b->cfg.io, (u16)(bios_get(b, BDA_VIDEO_CRTC, 2) + 6), 1);
    iobus_write(b->cfg.io, 0x3c0, index, 1);
    value = (u8)iobus_read(b->cfg.io, 0x3c1, 1);
    iobus_read(b->cfg.io, (u16)(bios_get(b, BDA_VIDEO_CRTC, 2) + 6), 1);
    iobus_write(b->cfg.io, 0x3c0, 0x20, 1);
    return value;
}

static void dac_block(struct pcbios *b, struct bios_regs *r, bool write)
{
    gpa_t at = far_gpa(r->es, r->edx);

    iobus_write(b->cfg.io, write ? 0x3c8 : 0x3c7, reg_bl(r), 1);
    for (u32 n = (r->ecx & 0x1ff) * 3; n; n--, at++) {
        if (write)
            iobus_write(b->cfg.io, 0x3c9, (u32)bios_get(b, at, 1), 1);
        else
            bios_put(b, at, iobus_read(b->cfg.io, 0x3c9, 1), 1);
    }
}

static void dac_one(struct pcbios *b, struct bios_regs *r, bool write)
{
    iobus_write(b->cfg.io, write ? 0x3c8 : 0x3c7, reg_bl(r), 1);
    if (write) {
        iobus_write(b->cfg.io, 0x3c9, reg_dh(r), 1);
        iobus_write(b->cfg.io, 0x3c9, reg_ch(r), 1);
        iobus_write(b->cfg.io, 0x3c9, reg_cl(r), 1);
        return;
    }
    set_high8(&r->edx, (u8)iobus_read(b->cfg.io, 0x3c9, 1));
    set_high8(&r->ecx, (u8)iobus_read(b->cfg.io, 0x3c9, 1));
    set_low8(&r->ecx, (u8)iobus_read(b->cfg.io, 0x3c9, 1));
}

#define ATTR_MODE 0x10
#define ATTR_BLINK 0x08u
#define ATTR_OVERSCAN 0x11

static void palette(struct pcbios *b, struct bios_regs *r)
{
    gpa_t at = far_gpa(r->es, r->edx);
    u8 mode;

    switch (reg_al(r)) {
    case 0x00: attribute(b, reg_bl(r) & 0x1f, reg_bh(r)); break;
    case 0x01: attribute(b, ATTR_OVERSCAN, reg_bh(r)); break;
    case 0x02:
        for (u8 i = 0; i <= 16; i++)
            attribute(b, i < 16 ? i : ATTR_OVERSCAN, (u8)bios_get(b, at + i, 1));
        break;
    case 0x03:
        mode = read_attribute(b, ATTR_MODE);
        attribute(b, ATTR_MODE, reg_bl(r) & 1 ? mode | ATTR_BLINK : mode & (u8)~ATTR_BLINK);
        break;
    case 0x07: set_high8(&r->ebx, read_attribute(b, reg_bl(r) & 0x1f)); break;
    case 0x08: set_high8(&r->ebx, read_attribute(b, ATTR_OVERSCAN)); break;
    case 0x09:
        for (u8 i = 0; i <= 16; i++)
            bios_put(b, at + i, read_attribute(b, i < 16 ? i : ATTR_OVERSCAN), 1);
        break;
    case 0x10: dac_one(b, r, true); break;
    case 0x12: dac_block(b, r, true); break;
    case 0x15: dac_one(b, r, false); break;
    case 0x17: dac_block(b, r, false); break;
    case 0x18: iobus_write(b->cfg.io, 0x3c6, reg_bl(r), 1); break;
    case 0x19: set_low8(&r->ebx, (u8)iobus_read(b->cfg.io, 0x3c6, 1)); break;
    default: break;
    }
}

/* ---- fonts (AH=11h) -------------------------------------------------------------------------- */

/* Scan lines per character, and as many rows as the 400 lines then have. */
static void set_char_lines(struct pcbios *b, const struct screen *s, unsigned lines)
{
    unsigned rows = 400 / lines;
    u8 scan;

    iobus_write(b->cfg.io, s->crtc, 0x09, 1);
    scan = (u8)iobus_read(b->cfg.io, s->crtc + 1u, 1);
    indexed(b, s->crtc, 0x09, (u8)((scan & 0xe0) | (lines - 1)));
    indexed(b, s->crtc, 0x12, (u8)(rows * lines - 1));
    bios_put(b, BDA_VIDEO_CHAR, lines, 2);
    bios_put(b, BDA_VIDEO_ROWS, rows - 1, 1);
    bios_put(b, BDA_VIDEO_PAGE_BYTES, (rows * s->columns * 2 + 255) & ~255u, 2);
    indexed(b, s->crtc, 0x0a, (u8)(lines - 2));
    indexed(b, s->crtc, 0x0b, (u8)(lines - 1));
}

/* AX=1130h: where fonts are. */
static void font_information(struct pcbios *b, struct bios_regs *r)
{
    static const u16 offsets[] = {[2] = ROM_FONT14, [3] = 0xfa6e,     [4] = ROM_FONT8_HIGH,
                                  [5] = ROM_FONT14, [6] = ROM_FONT16, [7] = ROM_FONT16};
    unsigned which = reg_bh(r);

    if (which < 2) {
        u32 vector = (u32)bios_get(b, (which ? 0x43 : 0x1f) * 4, 4);
        r->es = (u16)(vector >> 16);
        set_low16(&r->ebp, (u16)vector);
    } else {
        r->es = ROM_SEGMENT;
        set_low16(&r->ebp, offsets[which < ARRAY_SIZE(offsets) ? which : 6]);
    }
    set_low16(&r->ecx, (u16)bios_get(b, BDA_VIDEO_CHAR, 2));
    set_low8(&r->edx, (u8)bios_get(b, BDA_VIDEO_ROWS, 1));
}

static void fonts(struct pcbios *b, const struct screen *s, struct bios_regs *r)
{
    static const u8 rom_lines[] = {[1] = 14, [2] = 8, [4] = 16};
    u8 al = reg_al(r), which = al & 0x0f;
    unsigned lines = which == 0 ? reg_bh(r) : which <= 4 ? rom_lines[which] : 0;

    if (al == 0x30) {
        font_information(b, r);
    } else if (al == 0x03) {
        indexed(b, 0x3c4, 3, reg_bl(r));
    } else if (al >= 0x20 && al <= 0x24) {
        if (al == 0x20)
            bios_put(b, 0x1f * 4, (u32)r->es << 16 | (r->ebp & 0xffff), 4);
        else if (al == 0x21)
            bios_put(b, 0x43 * 4, (u32)r->es << 16 | (r->ebp & 0xffff), 4);
        else
            set_font_vector(b, al == 0x22 ? 14 : al == 0x23 ? 8 : 16);
    } else if (al <= 0x14 && lines && lines <= 32 && s->mode->text) {
        if (which == 0)
            load_font(b, far_gpa(r->es, r->ebp), lines, r->edx & 0xff, r->ecx & 0x1ff, reg_bl(r));
        else
            load_rom_font(b, lines, reg_bl(r));
        if (al >= 0x10)
            set_char_lines(b, s, lines);
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* AH=12h. */
static void alternate(struct pcbios *b, struct bios_regs *r)
{
    switch (reg_bl(r)) {
    case 0x10:
        set_low16(&r->ebx, (u16)((bios_get(b, BDA_VIDEO_MODE, 1) == 7) << 8 | 3)); /* 256 KiB */
        set_low16(&r->ecx, (u16)(bios_get(b, BDA_VIDEO_SWITCHES, 1) & 0x0f));
        break;
    case 0x30: /* scan lines of text modes: always 400 */
    case 0x31:
    case 0x32:
    case 0x33:
    case 0x34: set_low8(&r->eax, 0x12); break;
    case 0x36:
        indexed(b, 0x3c4, 1, reg_al(r) & 1 ? 0x20 : 0x00);
        set_low8(&r->eax, 0x12);
        break;
    default: break;
    }
}

/* AH=1Bh: what there is and how it is. */
static void state_information(struct pcbios *b, struct bios_regs *r)
{
    const struct video_mode *m = video_mode_find((u8)bios_get(b, BDA_VIDEO_MODE, 1));
    u8 t[64] = {0};

    st_le32(t, (u32)ROM_SEGMENT << 16 | ROM_STATE_TABLE);
    bios_read(b, BDA_VIDEO_MODE, t + 4, 30);
    t[0x22] = (u8)(bios_get(b, BDA_VIDEO_ROWS, 1) + 1);
    st_le16(t + 0x23, (u16)bios_get(b, BDA_VIDEO_CHAR, 2));
    t[0x25] = 8; /* colour VGA */
    st_le16(t + 0x27, (u16)(m ? 1u << m->colour_bits : 0));
    t[0x29] = m ? m->pages : 1;
    t[0x2a] = 2; /* 400 scan lines */
    t[0x31] = 3; /* 256 KiB */
    bios_write(b, far_gpa(r->es, r->edi), t, sizeof t);
    set_low8(&r->eax, 0x1b);
}

/* Functions that do not need to know the screen. True: it was one. */
static bool without_screen(struct pcbios *b, struct bios_regs *r)
{
    u16 cursor;

    switch (reg_ah(r)) {
    case 0x00: set_mode(b, reg_al(r)); return true;
    case 0x03:
        cursor = (u16)bios_get(b, BDA_VIDEO_CURSOR + 2u * (reg_bh(r) & (PAGES - 1)), 2);
        set_low16(&r->edx, cursor);
        set_low16(&r->ecx, (u16)bios_get(b, BDA_VIDEO_SHAPE, 2));
        return true;
    case 0x04: set_high8(&r->eax, 0); return true; /* no light pen */
    case 0x0b: return true;                        /* CGA's border and palette */
    case 0x0f:
        set_low16(&r->eax,
                  (u16)(bios_get(b, BDA_VIDEO_COLUMNS, 1) << 8 | bios_get(b, BDA_VIDEO_MODE, 1) |
                        (bios_get(b, BDA_VIDEO_CONTROL, 1) & NO_CLEAR)));
        set_high8(&r->ebx, active_page(b));
        return true;
    case 0x10: palette(b, r); return true;
    case 0x12: alternate(b, r); return true;
    case 0x1a:
        if (reg_al(r) == 0)
            set_low16(&r->ebx, (u16)bios_get(b, BDA_VIDEO_DCC, 1));
        set_low8(&r->eax, 0x1a);
        return true;
    case 0x1b: state_information(b, r); return true;
    case 0x4f: pcbios_vbe(b, r); return true;
    default: return false;
    }
}

static void on_screen(struct pcbios *b, const struct screen *s, struct bios_regs *r)
{
    struct box box = {reg_ch(r), reg_cl(r), reg_dh(r), reg_dl(r)};
    u32 x = r->ecx & 0xffff, y = r->edx & 0xffff;
    bool inside = x < s->columns * 8 && y < s->rows * s->lines && !s->mode->text;

    switch (reg_ah(r)) {
    case 0x01: set_shape(b, s, (u16)r->ecx); break;
    case 0x02: set_cursor(b, s, reg_bh(r), (u16)r->edx); break;
    case 0x05: set_page(b, s, reg_al(r)); break;
    case 0x06: scroll(b, s, active_page(b), box, reg_al(r), reg_bh(r), true); break;
    case 0x07: scroll(b, s, active_page(b), box, reg_al(r), reg_bh(r), false); break;
    case 0x08: read_char(b, s, r); break;
    case 0x09: repeat_char(b, s, r, reg_bl(r)); break;
    case 0x0a: repeat_char(b, s, r, s->mode->text ? -1 : reg_bl(r)); break;
    case 0x0c:
        if (inside)
            put_pixel(b, s, reg_bh(r) & 7, x, y, reg_al(r));
        break;
    case 0x0d:
        if (inside)
            set_low8(&r->eax, get_pixel(b, s, reg_bh(r) & 7, x, y));
        break;
    case 0x0e: teletype(b, s, active_page(b), reg_al(r), s->mode->text ? -1 : reg_bl(r)); break;
    case 0x11: fonts(b, s, r); break;
    case 0x13: write_string(b, s, r); break;
    default: break;
    }
}

void pcbios_video(struct pcbios *b, struct bios_regs *r)
{
    struct screen s;

    if (!b->cfg.vga || without_screen(b, r))
        return;
    if (read_screen(b, &s))
        on_screen(b, &s, r);
}
