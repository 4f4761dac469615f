/* screen.c: the guest's screen as text and as a file (screen.h). */
#include "frontends/screen.h"

#include "base/host.h"
#include "frontends/png.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UTF8_MAX 3u /* of what code page 437 has */

char *screen_utf8(char *p, u32 c)
{
    if (c < 0x80) {
        *p++ = (char)c;
    } else if (c < 0x800) {
        *p++ = (char)(0xc0 | c >> 6);
        *p++ = (char)(0x80 | (c & 0x3f));
    } else {
        *p++ = (char)(0xe0 | c >> 12);
        *p++ = (char)(0x80 | (c >> 6 & 0x3f));
        *p++ = (char)(0x80 | (c & 0x3f));
    }
    return p;
}

static char *read_text(struct vga *v, bool trimmed)
{
    struct vga_text *t = malloc(sizeof *t);
    char *text = NULL, *p;

    BUG_ON(!t);
    if (vga_text_read(v, t)) {
        p = text = malloc(t->rows * (t->columns * UTF8_MAX + 1u) + 1);
        BUG_ON(!text);
        for (unsigned y = 0; y < t->rows; y++) {
            char *end = p; /* of the row, without blanks */

            for (unsigned x = 0; x < t->columns; x++) {
                u32 c = vga_text_unicode(t->cell[y][x].ch);

                p = screen_utf8(p, c);
                if (c != ' ' || !trimmed)
                    end = p;
            }
            p = end;
            *p++ = '\n';
        }
        *p = '\0';
    }
    free(t);
    return text;
}

char *screen_text(struct vga *v)
{
    return read_text(v, true);
}

/* Blanks at the end of a row count: a prompt may end with one. */
bool screen_shows(struct vga *v, const char *text)
{
    char *screen = read_text(v, false);
    bool shows = screen && strstr(screen, text);

    free(screen);
    return shows;
}

static bool dump_text(struct vga *v, const char *path, struct err *e)
{
    char *text = screen_text(v), note[64];
    struct vga_screen s = {0};
    unsigned first, end;
    bool ok;

    if (text) {
        ok = host_write_file(path, text, strlen(text), e);
        free(text);
        return ok;
    }
    vga_screen_update(v, &s, &first, &end);
    snprintf(note, sizeof note, vga_is_on(v) ? "graphics mode, %u x %u\n" : "the screen is off\n",
             s.width, s.height);
    vga_screen_free(&s);
    return host_write_file(path, note, strlen(note), e);
}

static bool dump_png(struct vga *v, const char *path, struct err *e)
{
    struct vga_screen s = {0};
    unsigned first, end;
    size_t len;
    u8 *png;
    bool ok;

    vga_screen_update(v, &s, &first, &end);
    png = png_encode(s.pixels, s.width, s.height, &len);
    ok = png ? host_write_file(path, png, len, e) : err_host(e, "no memory for %s", path);
    free(png);
    vga_screen_free(&s);
    return ok;
}

bool screen_dump(struct vga *v, const char *path, struct err *e)
{
    size_t len = strlen(path);

    return len > 4 && !strcmp(path + len - 4, ".png") ? dump_png(v, path, e)
                                                      : dump_text(v, path, e);
}
