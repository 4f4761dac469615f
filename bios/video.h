/*
 * video.h: the video BIOS' knowledge of the VGA: the register values of the standard modes, and the
 * palettes. It works on ports and on the window at A0000h alone, as firmware does.
 */
#pragma once

#include "devices/iobus.h"
#include "mmu/phys.h"

#define VIDEO_TEXT_MODE 3u

struct video_mode {
    u8 mode;
    bool text;
    u8 columns, rows; /* of characters */
    u8 char_lines;    /* scan lines of a character */
    u8 colour_bits;   /* of a pixel */
    u16 page_bytes;   /* between pages of video memory */
    u8 pages;
};

/* NULL: no such mode. */
const struct video_mode *video_mode_find(u8 mode);
/* Sets registers and palette; clears memory unless `keep`. False: no such mode, nothing is done. */
bool video_set_mode(struct iobus *io, struct phys *p, u8 mode, bool keep);
