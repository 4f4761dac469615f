/*
 * vga_draw.c: from registers and video memory to RGB pixels, line by line, of what changed.
 *
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem" (attribute
 * controller, shift registers, video DAC); the linear modes as the VBE 3.0 standard numbers them.
 *
 * Changes are found by comparing pages of video memory with a copy of what was drawn: stores cost
 * nothing, whoever makes them, and a machine without a display pays nothing at all.
 *
 * Not implemented: the border (overscan), the delay of the pixel clock's second half.
 */
#include "devices/vga.h"

#include "base/bits.h"
#include <stdlib.h>
#include <string.h>

#define ATTR_MODE 0x10
#define ATTR_MODE_MONO BIT(1)
#define ATTR_MODE_LINE_GRAPHICS BIT(2)
#define ATTR_MODE_BLINK BIT(3)
#define ATTR_MODE_PAN_SPLIT BIT(5) /* no panning below the line compare */
#define ATTR_MODE_P54 BIT(7)
#define ATTR_PLANES 0x12
#define ATTR_PAN 0x13
#define ATTR_COLOUR_SELECT 0x14

#define GFX_MODE 5
#define GFX_MODE_INTERLEAVED BIT(5)
#define GFX_MODE_256 BIT(6)

#define SEQ_CLOCKING 1
#define SEQ_8_DOTS BIT(0)
#define SEQ_HALF_CLOCK BIT(3)
#define SEQ_FONTS 3

#define CRTC_CURSOR_START 0x0a
#define CRTC_CURSOR_OFF BIT(5)
#define CRTC_CURSOR_END 0x0b
#define CRTC_CURSOR_HIGH 0x0e
#define CRTC_CURSOR_LOW 0x0f
#define CRTC_UNDERLINE 0x14

#define FONT_PLANE 2
#define FONT_CHAR_BYTES 32u
#define BLINK_NS 233000000ull /* 16 frames at 70 Hz */
#define COLUMN_DOTS_MAX 18u

/* What a frame is made from. */
struct frame {
    struct vga *v;
    bool on, text;
    unsigned width, height;
    u32 base, bytes; /* of video memory that is shown */
    bool linear;     /* lines lie one after the other, pitch bytes apart */
    struct vga_linear vbe;
    struct vga_crtc crtc;
    unsigned clock_dots; /* dots of a character clock on the screen */
    u32 phase;
    u32 attr_rgb[16], rgb[256];
};

/* ---- colours --------------------------------------------------------------------------------- */

static u32 dac_rgb(const struct vga *v, unsigned index)
{
    const u8 *c = v->dac + 3 * (index & v->pel_mask);
    u32 rgb = 0;

    for (unsigned i = 0; i < 3; i++) {
        u32 level = c[i];
        if (!(v->vbe[VBE_ENABLE] & VBE_ENABLE_8BIT_DAC))
            level = (level & 0x3f) << 2 | (level >> 4 & 3);
        rgb = rgb << 8 | level;
    }
    return rgb;
}

static unsigned attr_index(const struct vga *v, unsigned colour)
{
    unsigned select = v->attr[ATTR_COLOUR_SELECT];
    unsigned entry = v->attr[colour & v->attr[ATTR_PLANES] & 15];

    if (v->attr[ATTR_MODE] & ATTR_MODE_P54)
        return (entry & 0x0f) | (select & 0x0f) << 4;
    return (entry & 0x3f) | (select & 0x0c) << 4;
}

static void frame_colours(struct frame *f)
{
    for (unsigned i = 0; i < 256; i++)
        f->rgb[i] = dac_rgb(f->v, i);
    for (unsigned i = 0; i < 16; i++)
        f->attr_rgb[i] = f->rgb[attr_index(f->v, i)];
}

/* ---- geometry -------------------------------------------------------------------------------- */

static void frame_read(struct frame *f, struct vga *v)
{
    *f = (struct frame){.v = v, .on = vga_is_on(v), .text = vga_is_text(v)};
    if (vga_vbe_on(v)) {
        vga_vbe_geometry(v, &f->vbe);
        f->linear = f->vbe.bits != 4;
        f->width = f->vbe.width;
        f->height = f->vbe.height;
        f->base = f->vbe.start * (f->linear ? 1 : 4);
        f->bytes = f->vbe.pitch_bytes * f->height * (f->linear ? 1 : 4);
    } else {
        vga_crtc_read(v, &f->crtc);
        f->clock_dots = f->text && !(v->seq[SEQ_CLOCKING] & SEQ_8_DOTS) ? 9 : 8;
        if (v->seq[SEQ_CLOCKING] & SEQ_HALF_CLOCK)
            f->clock_dots *= 2;
        f->width = f->crtc.columns * f->clock_dots;
        f->height = f->crtc.lines;
        f->bytes = 4 * VGA_PLANE_BYTES;
        if (f->text)
            f->phase = (u32)(clock_now_ns(v->pci.dev.env->clock) / BLINK_NS & 3);
    }
    frame_colours(f);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Fonts lie at 0, 16, 32, 48 and 8, 24, 40, 56 KiB of plane 2; bit 3 of an attribute chooses. */
static u32 font_offset(const struct vga *v, bool bit3)
{
    unsigned r = v->seq[SEQ_FONTS];
    unsigned n = bit3 ? (r >> 2 & 3) | (r >> 3 & 4) : (r & 3) | (r >> 2 & 4);

    return (n & 3) * 0x4000u + (n >> 2) * 0x2000u;
}

static bool cursor_covers(const struct frame *f, u32 count, unsigned row_line)
{
    const u8 *r = f->v->crtc;
    unsigned first = r[CRTC_CURSOR_START] & 31, last = r[CRTC_CURSOR_END] & 31;
    u32 at = (u32)r[CRTC_CURSOR_HIGH] << 8 | r[CRTC_CURSOR_LOW];

    return !(r[CRTC_CURSOR_START] & CRTC_CURSOR_OFF) && count == at && row_line >= first &&
           row_line <= last && !(f->phase & 1);
}

/* Nine dots of a character: bit 8 is the leftmost. */
static unsigned glyph_line(const struct frame *f, u8 ch, u8 attr, unsigned row_line)
{
    const struct vga *v = f->v;
    u32 at = font_offset(v, attr & 8) + ch * FONT_CHAR_BYTES + row_line;
    unsigned bits = v->vram[4 * (at & (VGA_PLANE_BYTES - 1)) + FONT_PLANE] << 1;

    if ((v->attr[ATTR_MODE] & ATTR_MODE_LINE_GRAPHICS) && (ch & 0xe0) == 0xc0)
        bits |= bits >> 1 & 1;
    if ((v->attr[ATTR_MODE] & ATTR_MODE_MONO) && (attr & 7) == 1 &&
        row_line == (v->crtc[CRTC_UNDERLINE] & 31u))
        bits = 0x1ff;
    return bits;
}

static void draw_text_clock(const struct frame *f, u32 count, unsigned row_line, u32 *out)
{
    const u8 *cell = f->v->vram + 4 * vga_crtc_address(f->v, count, row_line);
    bool blink = f->v->attr[ATTR_MODE] & ATTR_MODE_BLINK;
    unsigned attr = cell[1], bits = glyph_line(f, cell[0], (u8)attr, row_line);
    u32 fg = f->attr_rgb[attr & 15], bg = f->attr_rgb[attr >> 4 & (blink ? 7 : 15)];
    unsigned wide = f->v->seq[SEQ_CLOCKING] & SEQ_HALF_CLOCK ? 2 : 1;

    if (blink && (attr & 0x80) && (f->phase & 2))
        bits = 0;
    if (cursor_covers(f, count, row_line))
        bits = 0x1ff;
    for (unsigned i = 0; i < f->clock_dots; i++)
        out[i] = bits >> (8 - i / wide) & 1 ? fg : bg;
}

/* ---- graphics -------------------------------------------------------------------------------- */

/* Eight pixels of four planes: bit 7 of each byte first. */
static void planar_pixels(u32 word, u8 pixel[8])
{
    for (unsigned i = 0; i < 8; i++) {
        u32 bits = word >> (7 - i);
        pixel[i] = (u8)((bits & 1) | (bits >> 7 & 2) | (bits >> 14 & 4) | (bits >> 21 & 8));
    }
}

/* Shift registers interleaved, as CGA's four colours are stored: two bits of plane 0 (then 1),
 * above them two of plane 2 (then 3). */
static void interleaved_pixels(u32 word, u8 pixel[8])
{
    for (unsigned i = 0; i < 8; i++) {
        u32 pair = word >> (i < 4 ? 0 : 8), shift = 6 - 2 * (i & 3);
        pixel[i] = (u8)((pair >> shift & 3) | (pair >> (16 + shift) & 3) << 2);
    }
}

static void draw_graphics_clock(const struct frame *f, u32 address, u32 *out)
{
    u32 word = ld_le32(f->v->vram + 4 * address);
    unsigned each = f->clock_dots / 8;
    u8 pixel[8];

    if (f->v->gfx[GFX_MODE] & GFX_MODE_256) {
        for (unsigned i = 0; i < f->clock_dots; i++)
            out[i] = f->rgb[word >> 8 * (i * 4 / f->clock_dots) & 0xff];
        return;
    }
    if (f->v->gfx[GFX_MODE] & GFX_MODE_INTERLEAVED)
        interleaved_pixels(word, pixel);
    else
        planar_pixels(word, pixel);
    for (unsigned i = 0; i < f->clock_dots; i++)
        out[i] = f->attr_rgb[pixel[i / each]];
}

/* Dots that panning shifts to the left; with nine dots 8 stands for none. */
static unsigned pan_dots(const struct frame *f, unsigned line)
{
    unsigned pan = f->v->attr[ATTR_PAN] & 15;

    if (line > f->crtc.compare && (f->v->attr[ATTR_MODE] & ATTR_MODE_PAN_SPLIT))
        return 0;
    if (f->clock_dots % 9 == 0)
        pan = pan >= 8 ? 0 : pan + 1;
    return pan * (f->v->seq[SEQ_CLOCKING] & SEQ_HALF_CLOCK ? 2 : 1) % f->clock_dots;
}

static void draw_crtc_line(const struct frame *f, unsigned line, u32 *out)
{
    unsigned row_line, pan = pan_dots(f, line);
    u32 count = vga_crtc_line(&f->crtc, line, &row_line);
    u32 dots[COLUMN_DOTS_MAX];

    for (unsigned column = 0; column < f->crtc.columns + (pan != 0); column++) {
        unsigned at = column * f->clock_dots, skip = column ? 0 : pan;
        unsigned n = f->clock_dots - skip;

        if (f->text)
            draw_text_clock(f, count + column, row_line, dots);
        else
            draw_graphics_clock(f, vga_crtc_address(f->v, count + column, row_line), dots);
        if (column)
            at -= pan;
        if (n > f->width - at)
            n = f->width - at;
        memcpy(out + at, dots + skip, n * sizeof *out);
    }
}

/* ---- linear modes ---------------------------------------------------------------------------- */

static u32 level5(unsigned v)
{
    return (v & 31) << 3 | (v & 31) >> 2;
}

static u32 level6(unsigned v)
{
    return (v & 63) << 2 | (v & 63) >> 4;
}

static u32 linear_pixel(const struct frame *f, const u8 *line, unsigned x)
{
    unsigned w;

    switch (f->vbe.bits) {
    case 8: return f->rgb[line[x]];
    case 15:
        w = ld_le16(line + 2 * x);
        return level5(w >> 10) << 16 | level5(w >> 5) << 8 | level5(w);
    case 16:
        w = ld_le16(line + 2 * x);
        return level5(w >> 11) << 16 | level6(w >> 5) << 8 | level5(w);
    case 24: return (u32)line[3 * x + 2] << 16 | (u32)line[3 * x + 1] << 8 | line[3 * x];
    default: return ld_le32(line + 4 * x) & 0xffffff;
    }
}

static void draw_vbe_line(const struct frame *f, unsigned y, u32 *out)
{
    const u8 *line = f->v->vram + f->base + (size_t)y * f->vbe.pitch_bytes * (f->linear ? 1 : 4);
    u8 pixel[8];

    for (unsigned x = 0; f->linear && x < f->width; x++)
        out[x] = linear_pixel(f, line, x);
    for (unsigned x = 0; !f->linear && x < f->width; x += 8) {
        planar_pixels(ld_le32(line + x / 2), pixel);
        for (unsigned i = 0; i < 8; i++)
            out[x + i] = f->attr_rgb[pixel[i]];
    }
}

/* ---- the screen ------------------------------------------------------------------------------ */

static void draw_line(const struct frame *f, struct vga_screen *s, unsigned y)
{
    u32 *out = s->pixels + (size_t)y * s->width;

    if (!f->on)
        memset(out, 0, s->width * sizeof *out);
    else if (vga_vbe_on(f->v))
        draw_vbe_line(f, y, out);
    else
        draw_crtc_line(f, y, out);
}

/* Gives the screen the frame's size. False: it had it. */
static bool resize(struct vga_screen *s, const struct frame *f)
{
    if (s->width == f->width && s->height == f->height && s->copy_bytes == f->bytes)
        return false;
    free(s->pixels);
    free(s->copy);
    s->width = f->width;
    s->height = f->height;
    s->copy_bytes = f->bytes;
    s->pixels = malloc((size_t)s->width * s->height * sizeof *s->pixels);
    s->copy = malloc(s->copy_bytes);
    BUG_ON(!s->pixels || !s->copy);
    return true;
}

/* Copies the page at `at` of the shown memory when it changed. */
static bool page_changed(struct vga_screen *s, const struct frame *f, u32 at)
{
    u32 n = f->bytes - at < PAGE_SIZE ? f->bytes - at : (u32)PAGE_SIZE;
    const u8 *now = f->v->vram + f->base + at;

    if (!memcmp(s->copy + at, now, n))
        return false;
    memcpy(s->copy + at, now, n);
    return true;
}

/* Lines whose memory changed. Where lines do not lie one after the other, one change is all. */
static bool draw_changes(struct vga_screen *s, const struct frame *f, unsigned *first,
                         unsigned *end)
{
    unsigned next = 0; /* lines before it are up to date */

    *first = f->height;
    *end = 0;
    for (u32 at = 0; at < f->bytes; at += PAGE_SIZE) {
        unsigned from = 0, to = f->height;

        if (!page_changed(s, f, at))
            continue;
        if (f->linear) {
            u64 last = (at + PAGE_SIZE - 1) / f->vbe.pitch_bytes;
            from = at / f->vbe.pitch_bytes;
            to = last < f->height ? (unsigned)last + 1 : f->height;
        }
        if (from < *first)
            *first = from;
        if (to > *end)
            *end = to;
        for (next = from > next ? from : next; next < to; next++)
            draw_line(f, s, next);
    }
    return *end > *first;
}

bool vga_screen_update(struct vga *v, struct vga_screen *s, unsigned *first, unsigned *end)
{
    struct frame f;
    bool all;

    frame_read(&f, v);
    all = resize(s, &f) || !s->valid || s->generation != v->generation || s->phase != f.phase;
    s->valid = true;
    s->generation = v->generation;
    s->phase = f.phase;
    if (!all)
        return draw_changes(s, &f, first, end);
    memcpy(s->copy, v->vram + f.base, f.bytes);
    for (unsigned y = 0; y < f.height; y++)
        draw_line(&f, s, y);
    *first = 0;
    *end = f.height;
    return true;
}

void vga_screen_free(struct vga_screen *s)
{
    free(s->pixels);
    free(s->copy);
    *s = (struct vga_screen){0};
}
