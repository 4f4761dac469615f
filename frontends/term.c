/*
 * term.c: the text screen on a terminal: cells that changed are drawn, in the colours of the
 * terminal and UTF-8. In graphics modes a line says so. Ctrl-F12 shows the ring view and the
 * numbers of numbers.h over the right half.
 *
 * Specification: ECMA-48 (CUP, ED, SGR with the bright colours 90 to 107 of aixterm).
 */
#include "frontends/term.h"

#include "base/host.h"
#include "devices/backend/chardev.h"
#include "frontends/screen.h"
#include "frontends/signals.h"
#include "machine/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFRESH_NS (30 * NS_PER_SEC / 1000)
#define ESCAPE_WAIT_NS (50 * NS_PER_SEC / 1000)
#define KEY_BYTES_MAX 12u /* of one key with its modifiers, down and up */
#define HID_CTRL 0xe0
#define HID_SHIFT 0xe1
#define HID_ALT 0xe2

/* ---- keys ------------------------------------------------------------------------------------ */

static void toggle_numbers(struct term *t)
{
    t->numbered = !t->numbered;
    t->numbers = (struct numbers){0};
    t->next_numbers_ns = 0;
    t->drawn = false;
    t->graphics_width = 0;
}

static void press(struct term *t, const struct term_key *k)
{
    const struct {
        bool held;
        u8 usage;
    } modifier[] = {{k->ctrl, HID_CTRL}, {k->shift, HID_SHIFT}, {k->alt, HID_ALT}};

    if (k->usage == TERM_KEY_NUMBERS) {
        toggle_numbers(t);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(modifier); i++)
        if (modifier[i].held)
            vm_key(t->vm, modifier[i].usage, true);
    vm_key(t->vm, k->usage, true);
    vm_key(t->vm, k->usage, false);
    for (unsigned i = 0; i < ARRAY_SIZE(modifier); i++)
        if (modifier[i].held)
            vm_key(t->vm, modifier[i].usage, false);
}

/* The keyboard remembers some bytes only: the rest waits here until the guest has read them. */
static void feed(struct term *t)
{
    struct term_key key;

    while (t->pending_count && vm_key_room(t->vm) >= KEY_BYTES_MAX) {
        u8 byte = t->pending[t->pending_at];

        t->pending_at = (t->pending_at + 1) % TERM_PENDING;
        t->pending_count--;
        if (term_parse(&t->parser, byte, &key))
            press(t, &key);
    }
}

static size_t can_receive(void *opaque)
{
    const struct term *t = opaque;

    return TERM_PENDING - t->pending_count;
}

static void receive(void *opaque, const u8 *buf, size_t len)
{
    struct term *t = opaque;

    for (size_t i = 0; i < len && t->pending_count < TERM_PENDING; i++)
        t->pending[(t->pending_at + t->pending_count++) % TERM_PENDING] = buf[i];
    t->last_byte_ns = host_now_ns();
    feed(t);
}

/* With no room left bytes are read and lost: a poll that finds them again and again would not
 * sleep. */
static void poll_keys(void *opaque)
{
    struct term *t = opaque;

    if (!can_receive(t))
        t->pending_count = 0;
    t->chr->poll_in(t->chr);
}

/* ---- output ---------------------------------------------------------------------------------- */

static PRINTF_LIKE(2, 3) void put(struct term *t, const char *fmt, ...)
{
    char text[64];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0)
        chardev_put(t->chr, (const u8 *)text, (size_t)n);
}

/* VGA's colours have red and blue the other way round. */
static unsigned sgr(unsigned colour, unsigned base)
{
    static const u8 order[8] = {0, 4, 2, 6, 1, 5, 3, 7};

    return base + order[colour & 7] + (colour & 8 ? 60u : 0u);
}

static void put_cell(struct term *t, u8 ch, int *attr, u8 cell_attr)
{
    char utf8[4] = {0};

    if (*attr != cell_attr)
        put(t, "\033[%u;%um", sgr(cell_attr & 15, 30), sgr(cell_attr >> 4, 40));
    *attr = cell_attr;
    screen_utf8(utf8, vga_text_unicode(ch));
    put(t, "%s", utf8);
}

static void draw_row(struct term *t, unsigned y, int *attr)
{
    unsigned next = ~0u; /* where the terminal's cursor stands */

    for (unsigned x = 0; x < t->now.columns; x++) {
        if (t->drawn && !memcmp(&t->now.cell[y][x], &t->shown.cell[y][x], sizeof t->now.cell[y][x]))
            continue;
        if (x != next)
            put(t, "\033[%u;%uH", y + 1, x + 1);
        put_cell(t, t->now.cell[y][x].ch, attr, t->now.cell[y][x].attr);
        next = x + 1;
    }
}

static void draw_text(struct term *t)
{
    int attr = -1;

    if (!t->drawn || t->now.columns != t->shown.columns || t->now.rows != t->shown.rows) {
        t->drawn = false;
        put(t, "\033[0m\033[2J");
    }
    for (unsigned y = 0; y < t->now.rows; y++)
        draw_row(t, y, &attr);
    if (t->now.cursor_x == VGA_NO_CURSOR)
        put(t, "\033[?25l");
    else
        put(t, "\033[%d;%dH\033[?25h", t->now.cursor_y + 1, t->now.cursor_x + 1);
    t->shown = t->now;
    t->drawn = true;
    t->graphics_width = 0;
}

static bool note_graphics(struct term *t)
{
    struct vga_screen s = {0};
    unsigned first, end;
    bool new;

    vga_screen_update(vm_display(t->vm), &s, &first, &end);
    new = t->drawn || s.width != t->graphics_width || s.height != t->graphics_height;
    if (new)
        put(t, "\033[0m\033[2J\033[1;1H(graphics mode, %u x %u)\033[?25l", s.width, s.height);
    t->graphics_width = s.width;
    t->graphics_height = s.height;
    t->drawn = false;
    vga_screen_free(&s);
    return new;
}

static bool text_changed(const struct term *t)
{
    if (!t->drawn || t->now.columns != t->shown.columns || t->now.rows != t->shown.rows ||
        t->now.cursor_x != t->shown.cursor_x || t->now.cursor_y != t->shown.cursor_y)
        return true;
    for (unsigned y = 0; y < t->now.rows; y++)
        if (memcmp(t->now.cell[y], t->shown.cell[y], t->now.columns * sizeof t->now.cell[y][0]))
            return true;
    return false;
}

/* Over what was drawn, with the cursor left where it was. */
static void draw_numbers(struct term *t)
{
    const struct numbers *n = &t->numbers;
    unsigned width = NUMBERS_COLUMNS - 1, right = t->drawn ? t->shown.columns : 80;

    put(t, "\0337\033[0;7m");
    for (unsigned i = 0; i < n->lines; i++) {
        put(t, "\033[%u;%uH", i + 1, right > width ? right - width + 1 : 1);
        put(t, "%-*s", (int)width, n->line[i]);
    }
    put(t, "\0338");
}

static void refresh_numbers(struct term *t, bool drawn)
{
    u64 now = host_now_ns();

    numbers_look(&t->numbers, t->vm);
    if (now >= t->next_numbers_ns) {
        numbers_take(&t->numbers, t->vm, now);
        t->next_numbers_ns = now + NUMBERS_NS;
        drawn = true;
    }
    if (drawn)
        draw_numbers(t);
}

static bool draw_screen(struct term *t)
{
    if (!vga_text_read(vm_display(t->vm), &t->now))
        return note_graphics(t);
    if (!text_changed(t))
        return false;
    draw_text(t);
    return true;
}

static void term_refresh(struct display *d)
{
    struct term *t = (struct term *)d;
    struct term_key key;
    bool drawn;

    feed(t);
    if (t->parser.count && !t->pending_count && host_now_ns() - t->last_byte_ns > ESCAPE_WAIT_NS &&
        term_parse_timeout(&t->parser, &key))
        press(t, &key);
    drawn = draw_screen(t);
    if (t->numbered)
        refresh_numbers(t, drawn);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* The screen stays, and what comes next is below it. */
static void term_close(struct display *d)
{
    struct term *t = (struct term *)d;

    term_refresh(d);
    put(t, "\033[0m\033[?25h\033[%u;1H\r\n", t->drawn ? t->shown.rows : 1);
    chardev_close(t->chr);
    free(t);
}

struct display *term_open(struct vm *vm, struct err *e)
{
    struct term *t;

    if (!isatty(STDOUT_FILENO)) {
        err_usage(e, "-display term: standard output is not a terminal");
        err_hint(e, "-screendump FILE writes the screen to a file");
        return NULL;
    }
    t = calloc(1, sizeof *t);
    BUG_ON(!t);
    t->display = (struct display){REFRESH_NS, term_refresh, term_close};
    t->vm = vm;
    t->chr = chardev_open("mon:stdio", e);
    if (!t->chr) {
        free(t);
        return NULL;
    }
    t->chr->opaque = t;
    t->chr->can_receive = can_receive;
    t->chr->receive = receive;
    t->chr->quit = signals_quit;
    vm_add_fd(vm, t->chr->fd, poll_keys, t);
    return &t->display;
}
