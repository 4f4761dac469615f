/*
 * term.h: -display term: the guest's text screen in the terminal, over ssh as well, and the
 * terminal's keys as those of the guest's keyboard. Ctrl-A x quits, as on the serial console.
 */
#pragma once

#include "base/err.h"
#include "devices/vga.h"
#include "frontends/display.h"
#include "frontends/numbers.h"

struct chardev;
struct vm;

/* ---- from a terminal's bytes to keys --------------------------------------------------------- */

/* A key on USB HID's keyboard page, with what is held beside it. */
struct term_key {
    u8 usage;
    bool shift, ctrl, alt;
};

#define TERM_KEY_NUMBERS 0xffu /* a `usage` that is the terminal's own: Ctrl-F12 */
#define TERM_SEQUENCE_MAX 8u

struct term_parser {
    u8 held[TERM_SEQUENCE_MAX]; /* the beginning of an escape sequence */
    unsigned count;
};

/* Takes a byte; true: *key was typed. */
bool term_parse(struct term_parser *p, u8 byte, struct term_key *key);
/* No byte came for a while: an ESC that waits for more was the key. */
bool term_parse_timeout(struct term_parser *p, struct term_key *key);

/* ---- the display ----------------------------------------------------------------------------- */

#define TERM_PENDING 4096u /* bytes: what is pasted comes faster than the guest reads keys */

struct term {
    struct display display;
    struct vm *vm;
    struct chardev *chr;
    struct vga_text now, shown;
    bool drawn;                               /* `shown` is on the terminal */
    unsigned graphics_width, graphics_height; /* of the mode that the notice names; 0: none */
    bool numbered;                            /* the ring view and numbers are shown */
    struct numbers numbers;
    u64 next_numbers_ns;
    struct term_parser parser;
    u8 pending[TERM_PENDING];
    unsigned pending_at, pending_count;
    u64 last_byte_ns;
};

/* display.h declares term_open: NULL with an error when there is no terminal. */
