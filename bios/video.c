/*
 * video.c: the standard modes of the VGA.
 *
 * Specification: IBM PS/2 and PC BIOS Interface Technical Reference, INT 10h; IBM PS/2 Hardware
 * Interface Technical Reference, "Video Subsystem", tables of register values; Ralf Brown's
 * PORTS.LST (03C0 to 03DA).
 *
 * Not implemented: the 200 and 350 line variants of the text modes, monochrome graphics (0Fh).
 */
#include "bios/video.h"

#define CRTC_REGS 25u
#define SEQ_REGS 4u /* 1 to 4 */

#define MISC_COLOUR BIT(0)
#define CRTC_V_RETRACE_END 0x11

enum palette { PALETTE_EGA, PALETTE_CGA, PALETTE_MONO, PALETTE_256 };
enum attr_set { ATTR_EGA, ATTR_CGA, ATTR_CGA4, ATTR_CGA2, ATTR_MONO, ATTR_BW, ATTR_256 };

struct registers {
    u8 misc, seq[SEQ_REGS], crtc[CRTC_REGS], gfx_mode, gfx_misc, gfx_dont_care;
    enum attr_set attr;
    u8 attr_mode, attr_planes, attr_pan;
    enum palette palette;
};

/* ---- tables ---------------------------------------------------------------------------------- */

#define UNPACK(...) __VA_ARGS__
static const struct {
    struct video_mode mode;
    struct registers reg;
} modes[] = {
#define MODE(number, text, columns, rows, lines, bits, page, pages, misc, seq, crtc, mode, map,    \
             care, attr, attr_mode, planes, pan, palette)                                          \
    {{number, text, columns, rows, lines, bits, page, pages},                                      \
     {misc, {UNPACK seq}, {UNPACK crtc}, mode, map, care, attr, attr_mode, planes, pan, palette}},
#include "bios/video_modes.def"
#undef MODE
};

static const u8 attr_sets[][16] = {
#define ATTR_SET(name, ...) [name] = {__VA_ARGS__},
#include "bios/video_modes.def"
#undef ATTR_SET
};

/* ---- palettes of the DAC --------------------------------------------------------------------- */

/* Levels of 6 bits. */
struct rgb {
    u8 r, g, b;
};

/* EGA's 64 colours: bits 2 to 0 are red, green, blue of two thirds, bits 5 to 3 of one third. */
static struct rgb ega_colour(unsigned n)
{
    return (struct rgb){(u8)((n >> 2 & 1) * 42 + (n >> 5 & 1) * 21),
                        (u8)((n >> 1 & 1) * 42 + (n >> 4 & 1) * 21),
                        (u8)((n & 1) * 42 + (n >> 3 & 1) * 21)};
}

/* CGA's 16 colours: bit 3 (or 4, as the 200 line modes number them) is intensity; 6 is brown. */
static struct rgb cga_colour(unsigned n, unsigned intensity_bit)
{
    unsigned bright = n >> intensity_bit & 1;

    if ((n & 7) == 6 && !bright)
        return (struct rgb){42, 21, 0};
    return ega_colour((n & 7) | bright * 0x38);
}

static struct rgb mono_colour(unsigned n)
{
    u8 level = n & 8 ? n & 0x10 ? 63 : 42 : n & 0x10 ? 21 : 0;

    return (struct rgb){level, level, level};
}

/* A ring of 24 hues from blue over red and green, in five levels. */
static struct rgb hue(const u8 level[5], unsigned n)
{
    unsigned sixth = n / 4, up = n % 4, down = 4 - up;
    u8 l = level[0], h = level[4];

    switch (sixth) {
    case 0: return (struct rgb){level[up], l, h};
    case 1: return (struct rgb){h, l, level[down]};
    case 2: return (struct rgb){h, level[up], l};
    case 3: return (struct rgb){level[down], h, l};
    case 4: return (struct rgb){l, h, level[up]};
    default: return (struct rgb){l, level[down], h};
    }
}

/* Mode 13h: CGA's colours, greys, and nine rings: three brightnesses of three saturations. */
static struct rgb colour_256(unsigned n)
{
    static const u8 greys[16] = {0, 5, 8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 45, 50, 56, 63};
    static const u8 rings[9][5] = {
        {0, 16, 31, 47, 63}, {31, 39, 47, 55, 63}, {45, 49, 54, 58, 63},
        {0, 7, 14, 21, 28},  {14, 17, 21, 24, 28}, {20, 22, 24, 26, 28},
        {0, 4, 8, 12, 16},   {8, 10, 12, 14, 16},  {11, 12, 13, 15, 16},
    };

    if (n < 16)
        return cga_colour(n, 3);
    if (n < 32)
        return (struct rgb){greys[n - 16], greys[n - 16], greys[n - 16]};
    if (n < 32 + 9 * 24)
        return hue(rings[(n - 32) / 24], (n - 32) % 24);
    return (struct rgb){0, 0, 0};
}

static struct rgb palette_colour(enum palette p, unsigned n)
{
    switch (p) {
    case PALETTE_EGA: return ega_colour(n & 0x3f);
    case PALETTE_CGA: return cga_colour(n & 0x1f, 4);
    case PALETTE_MONO: return mono_colour(n);
    default: return colour_256(n);
    }
}

static void load_palette(struct iobus *io, enum palette p)
{
    iobus_write(io, 0x3c6, 0xff, 1);
    iobus_write(io, 0x3c8, 0, 1);
    for (unsigned n = 0; n < 256; n++) {
        struct rgb c = palette_colour(p, n);

        iobus_write(io, 0x3c9, c.r, 1);
        iobus_write(io, 0x3c9, c.g, 1);
        iobus_write(io, 0x3c9, c.b, 1);
    }
}

/* ---- registers ------------------------------------------------------------------------------- */

static void write_indexed(struct iobus *io, u16 port, unsigned index, u8 value)
{
    iobus_write(io, port, index, 1);
    iobus_write(io, port + 1, value, 1);
}

static void load_crtc(struct iobus *io, const struct registers *r)
{
    u16 port = r->misc & MISC_COLOUR ? 0x3d4 : 0x3b4;

    write_indexed(io, port, CRTC_V_RETRACE_END, r->crtc[CRTC_V_RETRACE_END] & 0x7f);
    for (unsigned i = 0; i < CRTC_REGS; i++)
        write_indexed(io, port, i, r->crtc[i]);
}

static void load_attributes(struct iobus *io, const struct registers *r)
{
    const u8 rest[] = {r->attr_mode, 0, r->attr_planes, r->attr_pan, 0};

    iobus_read(io, r->misc & MISC_COLOUR ? 0x3da : 0x3ba, 1); /* the next write is an index */
    for (unsigned i = 0; i < 16 + sizeof rest; i++) {
        iobus_write(io, 0x3c0, i, 1);
        iobus_write(io, 0x3c0, i < 16 ? attr_sets[r->attr][i] : rest[i - 16], 1);
    }
    iobus_write(io, 0x3c0, 0x20, 1); /* the screen is on */
}

static void load_registers(struct iobus *io, const struct registers *r)
{
    iobus_write(io, 0x1ce, 4, 2); /* VBE off */
    iobus_write(io, 0x1cf, 0, 2);
    iobus_write(io, 0x3c2, r->misc, 1);
    write_indexed(io, 0x3c4, 0, 1); /* synchronous reset */
    for (unsigned i = 0; i < SEQ_REGS; i++)
        write_indexed(io, 0x3c4, i + 1, r->seq[i]);
    write_indexed(io, 0x3c4, 0, 3);
    load_crtc(io, r);
    for (unsigned i = 0; i < 5; i++)
        write_indexed(io, 0x3ce, i, 0);
    write_indexed(io, 0x3ce, 5, r->gfx_mode);
    write_indexed(io, 0x3ce, 6, r->gfx_misc);
    write_indexed(io, 0x3ce, 7, r->gfx_dont_care);
    write_indexed(io, 0x3ce, 8, 0xff);
    load_attributes(io, r);
    load_palette(io, r->palette);
}

/* ---- modes ----------------------------------------------------------------------------------- */

static int mode_index(u8 mode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i].mode.mode == mode)
            return (int)i;
    return -1;
}

const struct video_mode *video_mode_find(u8 mode)
{
    int i = mode_index(mode);

    return i < 0 ? NULL : &modes[i].mode;
}

static void clear(struct phys *p, const struct video_mode *m)
{
    bool cga = m->mode >= 4 && m->mode <= 6;
    gpa_t at = m->mode == 7 ? 0xb0000 : m->text || cga ? 0xb8000 : 0xa0000;
    u64 bytes = at == 0xa0000 ? 0x10000 : 0x8000;

    for (u64 i = 0; i < bytes; i += 2)
        phys_write(p, at + i, m->text ? 0x0720 : 0, 2);
}

bool video_set_mode(struct iobus *io, struct phys *p, u8 mode, bool keep)
{
    int i = mode_index(mode);

    if (i < 0)
        return false;
    load_registers(io, &modes[i].reg);
    if (!keep)
        clear(p, &modes[i].mode);
    return true;
}
