/* screen.h: the guest's screen as text and as a file. */
#pragma once

#include "base/err.h"
#include "devices/vga.h"

/* The characters in UTF-8, a line per row without blanks at its end; the caller frees. NULL in
 * graphics modes and while the screen is off. */
char *screen_text(struct vga *v);
/* A character in UTF-8, without a NUL; returns its end. It has at most three bytes. */
char *screen_utf8(char *p, u32 c);
/* Writes the screen: as PNG when the name ends in .png, else as text; a graphics mode has none, and
 * the file says which mode it is. */
bool screen_dump(struct vga *v, const char *path, struct err *e);
/* Is the text on the screen, within one row? */
bool screen_shows(struct vga *v, const char *text);
