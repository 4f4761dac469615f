/*
 * vga_crtc.c: what the CRT controller's registers say of the picture: its size, where each line's
 * data begin, and how counts become addresses.
 *
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem", CRT
 * controller.
 *
 * Not implemented: count by two and by four (17h bit 3, 14h bit 5), the vertical count of half the
 * lines (17h bit 2), display skew, interlace.
 */
#include "devices/vga.h"

#define CRTC_H_DISPLAY_END 0x01
#define CRTC_OVERFLOW 0x07
#define CRTC_PRESET_ROW 0x08
#define CRTC_MAX_SCAN_LINE 0x09
#define CRTC_START_HIGH 0x0c
#define CRTC_START_LOW 0x0d
#define CRTC_V_DISPLAY_END 0x12
#define CRTC_OFFSET 0x13
#define CRTC_UNDERLINE 0x14
#define CRTC_DOUBLEWORD BIT(6)
#define CRTC_MODE 0x17
#define CRTC_NOT_A13 BIT(0) /* clear: address bit 13 is bit 0 of the row scan counter */
#define CRTC_NOT_A14 BIT(1)
#define CRTC_WRAP_16 BIT(5) /* word mode: bit 0 is count bit 15, not 13 */
#define CRTC_BYTE BIT(6)
#define CRTC_LINE_COMPARE 0x18

#define SEQ_CLOCKING 1
#define SEQ_SCREEN_OFF BIT(5)
#define GFX_MISC 6
#define GFX_MISC_GRAPHICS BIT(0)
#define ATTR_ON BIT(5)

bool vga_is_text(const struct vga *v)
{
    return !vga_vbe_on(v) && !(v->gfx[GFX_MISC] & GFX_MISC_GRAPHICS);
}

bool vga_is_on(const struct vga *v)
{
    return (v->attr_index & ATTR_ON) && !(v->seq[SEQ_CLOCKING] & SEQ_SCREEN_OFF);
}

void vga_crtc_read(const struct vga *v, struct vga_crtc *c)
{
    const u8 *r = v->crtc;
    unsigned over = r[CRTC_OVERFLOW], scan = r[CRTC_MAX_SCAN_LINE];

    c->columns = r[CRTC_H_DISPLAY_END] + 1u;
    c->lines = (r[CRTC_V_DISPLAY_END] | (over >> 1 & 1) << 8 | (over >> 6 & 1) << 9) + 1u;
    c->row_lines = (scan & 31) + 1;
    c->repeat = scan & 0x80 ? 2 : 1;
    c->compare = r[CRTC_LINE_COMPARE] | (over >> 4 & 1) << 8 | (scan >> 6 & 1) << 9;
    c->start = (u32)r[CRTC_START_HIGH] << 8 | r[CRTC_START_LOW];
    c->pitch = r[CRTC_OFFSET] * 2u;
    c->first_line = r[CRTC_PRESET_ROW] & 31;
    if (c->first_line >= c->row_lines)
        c->first_line = 0;
}

u32 vga_crtc_address(const struct vga *v, u32 count, unsigned row_line)
{
    u8 mode = v->crtc[CRTC_MODE];
    u32 address = count;

    if (v->crtc[CRTC_UNDERLINE] & CRTC_DOUBLEWORD)
        address = count << 2 | (count >> 14 & 3);
    else if (!(mode & CRTC_BYTE))
        address = count << 1 | (count >> (mode & CRTC_WRAP_16 ? 15 : 13) & 1);
    if (!(mode & CRTC_NOT_A13))
        address = (address & ~BIT(13)) | (row_line & 1) << 13;
    if (!(mode & CRTC_NOT_A14))
        address = (address & ~BIT(14)) | (row_line >> 1 & 1) << 14;
    return address & (VGA_PLANE_BYTES - 1);
}

u32 vga_crtc_line(const struct vga_crtc *c, unsigned line, unsigned *row_line)
{
    bool split = line > c->compare;
    unsigned n = (split ? line - c->compare - 1 : line) / c->repeat;

    if (!split)
        n += c->first_line;
    *row_line = n % c->row_lines;
    return (split ? 0 : c->start) + n / c->row_lines * c->pitch;
}
