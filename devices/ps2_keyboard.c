/*
 * ps2_keyboard.c: the keyboard at the 8042.
 *
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "101- and 102-Key Keyboard";
 * codes per key: "USB HID to PS/2 Scan Code Translation Table" (Microsoft, 2000).
 *
 * Not implemented: scan code set 3 (asked for, RESEND answers) and the commands that tune it (F7h
 * to FDh are acknowledged); repeat while a key is held (whoever calls ps2_key repeats; rate and
 * delay are stored); the fake shifts that go with cursor keys while Shift or Num Lock is on.
 */
#include "devices/ps2.h"

#define ACK 0xfau
#define RESEND 0xfeu
#define BAT_OK 0xaau
#define BREAK 0xf0u
#define TYPEMATIC_DEFAULT 0x2bu /* 10.9 per second after 500 ms */

#define E0(code) (0xe000u | (code))

/* clang-format off */

/* Set 2 make codes by HID usage; 0: no such key. */
static const u16 set2_codes[256] = {
    /* A to Z */
    [0x04] = 0x1c, 0x32, 0x21, 0x23, 0x24, 0x2b, 0x34, 0x33, 0x43, 0x3b, 0x42, 0x4b, 0x3a, 0x31,
    0x44, 0x4d, 0x15, 0x2d, 0x1b, 0x2c, 0x3c, 0x2a, 0x1d, 0x22, 0x35, 0x1a,
    /* 1 to 9, 0 */
    [0x1e] = 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45,
    /* Enter, Esc, Backspace, Tab, Space, - = [ ] \ (two keys) ; ' ` , . / Caps Lock */
    [0x28] = 0x5a, 0x76, 0x66, 0x0d, 0x29, 0x4e, 0x55, 0x54, 0x5b, 0x5d, 0x5d, 0x4c, 0x52, 0x0e,
    0x41, 0x49, 0x4a, 0x58,
    /* F1 to F12 */
    [0x3a] = 0x05, 0x06, 0x04, 0x0c, 0x03, 0x0b, 0x83, 0x0a, 0x01, 0x09, 0x78, 0x07,
    /* Scroll Lock; Insert, Home, Page Up, Delete, End, Page Down; right, left, down, up */
    [0x47] = 0x7e,
    [0x49] = E0(0x70), E0(0x6c), E0(0x7d), E0(0x71), E0(0x69), E0(0x7a), E0(0x74), E0(0x6b),
    E0(0x72), E0(0x75),
    /* Num Lock, keypad / * - + Enter, 1 to 9, 0 . */
    [0x53] = 0x77, E0(0x4a), 0x7c, 0x7b, 0x79, E0(0x5a), 0x69, 0x72, 0x7a, 0x6b, 0x73, 0x74, 0x6c,
    0x75, 0x7d, 0x70, 0x71,
    /* key beside left Shift, Menu, Power, keypad =, F13 to F24 */
    [0x64] = 0x61, E0(0x2f), E0(0x37), 0x0f, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48,
    0x50, 0x57, 0x5f,
    /* keypad comma; international 1 to 6 */
    [0x85] = 0x6d, [0x87] = 0x51, 0x13, 0x6a, 0x64, 0x67, 0x27,
    /* left Ctrl, Shift, Alt, GUI; right Ctrl, Shift, Alt, GUI */
    [0xe0] = 0x14, 0x12, 0x11, E0(0x1f), E0(0x14), 0x59, E0(0x11), E0(0x27),
};

/* The 8042's own table, from set 2 to set 1; codes above it stay as they are. */
static const u8 set1_codes[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
    0x80, 0x81, 0x82, 0x41, 0x54,
};

/* clang-format on */

#define USAGE_PRINT_SCREEN 0x46
#define USAGE_PAUSE 0x48
#define USAGE_MODIFIERS 0xe0
#define MODIFIERS_CTRL 0x11u
#define MODIFIERS_SHIFT 0x22u
#define MODIFIERS_ALT 0x44u

u8 ps2_translate(u8 code)
{
    return code < sizeof set1_codes ? set1_codes[code] : code;
}

/* --- keys ------------------------------------------------------------------------------------- */

struct sequence {
    u8 bytes[PS2_QUEUE];
    unsigned len;
};

static void sequence_add(struct sequence *s, u8 byte)
{
    BUG_ON(s->len >= sizeof s->bytes);
    s->bytes[s->len++] = byte;
}

/* One transition in the keyboard's set; prefix E0, E1 or 0. */
static void sequence_key(struct sequence *s, const struct ps2_keyboard *k, u8 prefix, u8 code,
                         bool down)
{
    if (prefix)
        sequence_add(s, prefix);
    if (k->set == 1) {
        sequence_add(s, ps2_translate(code) | (down ? 0 : 0x80));
        return;
    }
    if (!down)
        sequence_add(s, BREAK);
    sequence_add(s, code);
}

/* With Alt it is SysRq, with Ctrl or Shift it lacks the fake Shift. */
static void sequence_print_screen(struct sequence *s, const struct ps2_keyboard *k, bool down)
{
    bool fake_shift = !(k->modifiers & (MODIFIERS_CTRL | MODIFIERS_SHIFT));

    if (k->modifiers & MODIFIERS_ALT) {
        sequence_key(s, k, 0, 0x84, down);
        return;
    }
    if (down && fake_shift)
        sequence_key(s, k, 0xe0, 0x12, true);
    sequence_key(s, k, 0xe0, 0x7c, down);
    if (!down && fake_shift)
        sequence_key(s, k, 0xe0, 0x12, false);
}

/* Make and break at once when it goes down, nothing when it goes up; with Ctrl it is Break. */
static void sequence_pause(struct sequence *s, const struct ps2_keyboard *k, bool down)
{
    if (!down)
        return;
    if (k->modifiers & MODIFIERS_CTRL) {
        sequence_key(s, k, 0xe0, 0x7e, true);
        sequence_key(s, k, 0xe0, 0x7e, false);
        return;
    }
    sequence_key(s, k, 0xe1, 0x14, true);
    sequence_key(s, k, 0, 0x77, true);
    sequence_key(s, k, 0xe1, 0x14, false);
    sequence_key(s, k, 0, 0x77, false);
}

/* A key that does not fit any more leaves the overrun code in the place of the last byte. */
static void keys_put(struct ps2_keyboard *k, const struct sequence *s)
{
    struct ps2_queue *q = &k->keys;

    if (!ps2_queue_put(q, s->bytes, s->len) && q->count)
        q->data[(q->head + q->count - 1) % PS2_QUEUE] = k->set == 1 ? 0xff : 0x00;
}

void ps2_keyboard_key(struct ps2_keyboard *k, u8 usage, bool down)
{
    struct sequence s = {.len = 0};
    u16 code = set2_codes[usage];

    if (usage >= USAGE_MODIFIERS && usage < USAGE_MODIFIERS + 8) {
        u8 bit = (u8)BIT(usage - USAGE_MODIFIERS);

        k->modifiers = (u8)(down ? k->modifiers | bit : k->modifiers & ~bit);
    }
    if (!k->scanning)
        return;
    if (usage == USAGE_PRINT_SCREEN)
        sequence_print_screen(&s, k, down);
    else if (usage == USAGE_PAUSE)
        sequence_pause(&s, k, down);
    else if (code)
        sequence_key(&s, k, (u8)(code >> 8), (u8)code, down);
    keys_put(k, &s);
}

/* --- commands --------------------------------------------------------------------------------- */

static void keyboard_reply(struct ps2_keyboard *k, u8 byte)
{
    ps2_queue_put(&k->reply, &byte, 1);
}

static void keyboard_set_defaults(struct ps2_keyboard *k)
{
    k->set = 2;
    k->typematic = TYPEMATIC_DEFAULT;
    ps2_queue_clear(&k->keys);
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
    *k = (struct ps2_keyboard){.scanning = true};
    keyboard_set_defaults(k);
}

/* The byte after ED, F0 or F3. */
static void keyboard_argument(struct ps2_keyboard *k, u8 command, u8 value)
{
    u8 reply = ACK;

    if (command == 0xed) {
        k->leds = value & 7;
    } else if (command == 0xf3) {
        k->typematic = value & 0x7f;
    } else if (value == 0) {
        keyboard_reply(k, ACK);
        reply = k->set;
    } else if (value <= 2) {
        k->set = value;
        ps2_queue_clear(&k->keys);
    } else {
        reply = RESEND;
    }
    keyboard_reply(k, reply);
}

static void keyboard_command(struct ps2_keyboard *k, u8 value)
{
    switch (value) {
    case 0xed: /* set LEDs */
    case 0xf0: /* scan code set */
    case 0xf3: /* typematic rate and delay */
        k->command = value;
        keyboard_reply(k, ACK);
        break;
    case 0xee: keyboard_reply(k, 0xee); break; /* echo */
    case 0xf2:
        keyboard_reply(k, ACK);
        keyboard_reply(k, 0xab);
        keyboard_reply(k, 0x83);
        break;
    case 0xf4: /* enable */
        ps2_queue_clear(&k->keys);
        k->scanning = true;
        keyboard_reply(k, ACK);
        break;
    case 0xf5: /* defaults and disable */
    case 0xf6: /* defaults */
        keyboard_set_defaults(k);
        k->scanning = value == 0xf6 && k->scanning;
        keyboard_reply(k, ACK);
        break;
    case 0xf7:
    case 0xf8:
    case 0xf9:
    case 0xfa:
    case 0xfb:
    case 0xfc:
    case 0xfd: keyboard_reply(k, ACK); break;
    case 0xfe: keyboard_reply(k, k->last); break;
    case 0xff:
        ps2_keyboard_reset(k);
        keyboard_reply(k, ACK);
        keyboard_reply(k, BAT_OK);
        break;
    default: keyboard_reply(k, RESEND); break;
    }
}

/* A command in the place of an argument is taken as a command; either way what was to be sent in
 * answer to an earlier one is not sent any more. */
void ps2_keyboard_write(struct ps2_keyboard *k, u8 value)
{
    u8 command = k->command;

    k->command = 0;
    ps2_queue_clear(&k->reply);
    if (command && value < 0xed)
        keyboard_argument(k, command, value);
    else
        keyboard_command(k, value);
}

bool ps2_keyboard_get(struct ps2_keyboard *k, u8 *byte)
{
    struct ps2_queue *q = k->reply.count ? &k->reply : &k->keys;

    if (!q->count)
        return false;
    *byte = k->last = ps2_queue_get(q);
    return true;
}
