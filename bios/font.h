/* font.h: the characters of code page 437 as the BIOS' fonts have them. */
#pragma once

#include "base/types.h"

#define FONT_MAX_LINES 16u

/* The `lines` (8, 14 or 16) rows of a character, bit 7 the leftmost dot. */
void font_glyph(u8 ch, unsigned lines, u8 *rows);
