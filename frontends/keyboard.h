/*
 * keyboard.h: keys by what they print or are called. A key is a number of USB HID's keyboard page, as
 * vm_key takes it; the guest's keyboard is a US one.
 */
#pragma once

#include "base/types.h"

enum key_shift { KEY_SHIFT_ANY, KEY_SHIFT_UP, KEY_SHIFT_DOWN };

struct key {
    u8 usage;
    enum key_shift shift; /* what Shift has to be for it */
};

/* A printable character of ASCII; false: it is none. */
bool key_of_character(u32 c, struct key *k);
/* A keysym of X (RFC 6143, 7.5.4): a letter, whose case is Shift's and Caps Lock's affair, another
 * character, or a key with a name; false: no key of this keyboard. */
bool key_of_keysym(u32 keysym, struct key *k);

/* Keysyms that go down and up, to keys that do. Where the user's keyboard has a character at
 * another place than ours, Shift and AltGr are put right for a moment. */
struct keysyms {
    void (*key)(void *opaque, u8 usage, bool down);
    void *opaque;
    bool held[256]; /* by usage */
};

void keysyms_take(struct keysyms *s, u32 keysym, bool down);
