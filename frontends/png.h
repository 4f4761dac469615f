/* png.h: pictures as PNG files. */
#pragma once

#include "base/types.h"

/* 8-bit RGB of pixels 0x00RRGGBB, lines from the top; the caller frees. NULL: no memory. */
u8 *png_encode(const u32 *pixels, unsigned width, unsigned height, size_t *len);
