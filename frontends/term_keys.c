/*
 * term_keys.c: what a terminal sends for keys, as keys.
 *
 * Specification: ECMA-48 and xterm's control sequences (cursor, function and editing keys); USB HID
 * Usage Tables 1.12, section 10 (keyboard page).
 *
 * Limits: a terminal does not tell keys that go down and up, nor modifiers alone; characters beyond
 * ASCII are left out, as the keyboard is a US one.
 */
#include "frontends/term.h"

#include "frontends/keyboard.h"

#include <string.h>

#define ESC 0x1b
#define HID_A 0x04
#define HID_ENTER 0x28
#define HID_ESCAPE 0x29
#define HID_BACKSPACE 0x2a
#define HID_TAB 0x2b
#define HID_SPACE 0x2c

/* What follows ESC. */
static const struct {
    const char *text;
    u8 usage;
} sequences[] = {
    {"[A", 0x52},   {"[B", 0x51},   {"[C", 0x4f},   {"[D", 0x50},
    {"[H", 0x4a},   {"[F", 0x4d},   {"OA", 0x52},   {"OB", 0x51},
    {"OC", 0x4f},   {"OD", 0x50},   {"OH", 0x4a},   {"OF", 0x4d},
    {"OP", 0x3a},   {"OQ", 0x3b},   {"OR", 0x3c},   {"OS", 0x3d},
    {"[1~", 0x4a},  {"[2~", 0x49},  {"[3~", 0x4c},  {"[4~", 0x4d},
    {"[5~", 0x4b},  {"[6~", 0x4e},  {"[11~", 0x3a}, {"[12~", 0x3b},
    {"[13~", 0x3c}, {"[14~", 0x3d}, {"[15~", 0x3e}, {"[17~", 0x3f},
    {"[18~", 0x40}, {"[19~", 0x41}, {"[20~", 0x42}, {"[21~", 0x43},
    {"[23~", 0x44}, {"[24~", 0x45}, {"[[A", 0x3a},  {"[[B", 0x3b},
    {"[[C", 0x3c},  {"[[D", 0x3d},  {"[[E", 0x3e},  {"[24;5~", TERM_KEY_NUMBERS}, /* Ctrl-F12 */
};

static bool control_key(u8 byte, struct term_key *key)
{
    switch (byte) {
    case '\r':
    case '\n': key->usage = HID_ENTER; return true;
    case '\t': key->usage = HID_TAB; return true;
    case '\b':
    case 0x7f: key->usage = HID_BACKSPACE; return true;
    case ESC: key->usage = HID_ESCAPE; return true;
    case 0x00: key->usage = HID_SPACE; break;
    case 0x1c: key->usage = 0x31; break;
    case 0x1d: key->usage = 0x30; break;
    case 0x1e: key->usage = 0x23; break;
    case 0x1f: key->usage = 0x2d; break;
    default: key->usage = (u8)(HID_A + byte - 1); break;
    }
    key->ctrl = true;
    return true;
}

/* False: no key of a US keyboard. */
static bool character_key(u8 byte, struct term_key *key)
{
    struct key k;

    *key = (struct term_key){0};
    if (byte < 0x20 || byte == 0x7f)
        return control_key(byte, key);
    if (!key_of_character(byte, &k))
        return false;
    key->usage = k.usage;
    key->shift = k.shift == KEY_SHIFT_DOWN;
    return true;
}

enum match { MATCH_NONE, MATCH_BEGINNING, MATCH_WHOLE };

static enum match match(const u8 *text, unsigned len, u8 *usage)
{
    enum match best = MATCH_NONE;

    for (unsigned i = 0; i < ARRAY_SIZE(sequences); i++) {
        if (strncmp(sequences[i].text, (const char *)text, len))
            continue;
        *usage = sequences[i].usage;
        if (!sequences[i].text[len])
            return MATCH_WHOLE;
        best = MATCH_BEGINNING;
    }
    return best;
}

bool term_parse(struct term_parser *p, u8 byte, struct term_key *key)
{
    enum match m;
    u8 usage;

    if (!p->count && byte != ESC)
        return character_key(byte, key);
    p->held[p->count++] = byte;
    if (p->count == 1)
        return false;
    m = match(p->held + 1, p->count - 1, &usage);
    if (m == MATCH_BEGINNING && p->count < TERM_SEQUENCE_MAX)
        return false;
    p->count = 0;
    if (m == MATCH_WHOLE) {
        *key = (struct term_key){.usage = usage};
        return true;
    }
    /* ESC and a character: Alt; a longer sequence that nobody knows is dropped. */
    if (byte == ESC || p->held[1] != byte || !character_key(byte, key))
        return false;
    key->alt = true;
    return true;
}

bool term_parse_timeout(struct term_parser *p, struct term_key *key)
{
    bool escape = p->count == 1;

    p->count = 0;
    *key = (struct term_key){.usage = HID_ESCAPE};
    return escape;
}
