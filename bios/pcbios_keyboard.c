/*
 * pcbios_keyboard.c: bytes of the keyboard to keys in the buffer (INT 09h's work), and INT 16h.
 *
 * Specification: IBM PS/2 and PC BIOS Interface Technical Reference, INT 09h, INT 16h and its table
 * of scan codes (US layout); Ralf Brown's MEMORY.LST for the flags at 40:17, 40:18 and 40:96.
 *
 * Not implemented: other layouts (a guest's own driver has them), key click.
 */
#include "bios/pcbios.h"

#include "bios/rom/abi.h"

#define BUFFER_SEGMENT 0x400u

#define SHIFT_RIGHT BIT(0)
#define SHIFT_LEFT BIT(1)
#define SHIFT (SHIFT_RIGHT | SHIFT_LEFT)
#define CTRL BIT(2)
#define ALT BIT(3)
#define SCROLL_LOCK BIT(4)
#define NUM_LOCK BIT(5)
#define CAPS_LOCK BIT(6)
#define INSERT BIT(7)
#define MODE_E1 BIT(0)
#define MODE_E0 BIT(1)

#define SC_RELEASE 0x80u
#define SC_CTRL 0x1d
#define SC_SHIFT_LEFT 0x2a
#define SC_SHIFT_RIGHT 0x36
#define SC_ALT 0x38
#define SC_CAPS 0x3a
#define SC_NUM 0x45
#define SC_SCROLL 0x46
#define SC_HOME 0x47
#define SC_INSERT 0x52
#define SC_DELETE 0x53
#define SC_PRINT 0x37

/* ---- the table ------------------------------------------------------------------------------- */

struct key {
    u16 plain, shift, ctrl, alt; /* scan code and character; 0: none */
};

/* A letter: its code, small and capital and control character, and with Alt the code alone. */
#define LETTER(sc, ch)                                                                             \
    [sc] = {(sc) << 8 | (ch), (sc) << 8 | ((ch)-32), (sc) << 8 | ((ch)-96), (sc) << 8}
#define OTHER(sc, a, b, c, d) [sc] = {(sc) << 8 | (a), (sc) << 8 | (b), c, d}
#define FUNCTION(sc, n) [sc] = {(sc) << 8, (0x53 + (n)) << 8, (0x5d + (n)) << 8, (0x67 + (n)) << 8}
#define PAD(sc, ch, c) [sc] = {(sc) << 8, (sc) << 8 | (ch), (c) << 8, 0}

static const struct key keys[0x59] = {
    OTHER(0x01, 0x1b, 0x1b, 0x011b, 0x0100),
    OTHER(0x02, '1', '!', 0, 0x7800),
    OTHER(0x03, '2', '@', 0x0300, 0x7900),
    OTHER(0x04, '3', '#', 0, 0x7a00),
    OTHER(0x05, '4', '$', 0, 0x7b00),
    OTHER(0x06, '5', '%', 0, 0x7c00),
    OTHER(0x07, '6', '^', 0x071e, 0x7d00),
    OTHER(0x08, '7', '&', 0, 0x7e00),
    OTHER(0x09, '8', '*', 0, 0x7f00),
    OTHER(0x0a, '9', '(', 0, 0x8000),
    OTHER(0x0b, '0', ')', 0, 0x8100),
    OTHER(0x0c, '-', '_', 0x0c1f, 0x8200),
    OTHER(0x0d, '=', '+', 0, 0x8300),
    OTHER(0x0e, 0x08, 0x08, 0x0e7f, 0x0e00),
    OTHER(0x0f, 0x09, 0x00, 0x9400, 0xa500),
    LETTER(0x10, 'q'),
    LETTER(0x11, 'w'),
    LETTER(0x12, 'e'),
    LETTER(0x13, 'r'),
    LETTER(0x14, 't'),
    LETTER(0x15, 'y'),
    LETTER(0x16, 'u'),
    LETTER(0x17, 'i'),
    LETTER(0x18, 'o'),
    LETTER(0x19, 'p'),
    OTHER(0x1a, '[', '{', 0x1a1b, 0x1a00),
    OTHER(0x1b, ']', '}', 0x1b1d, 0x1b00),
    OTHER(0x1c, 0x0d, 0x0d, 0x1c0a, 0x1c00),
    LETTER(0x1e, 'a'),
    LETTER(0x1f, 's'),
    LETTER(0x20, 'd'),
    LETTER(0x21, 'f'),
    LETTER(0x22, 'g'),
    LETTER(0x23, 'h'),
    LETTER(0x24, 'j'),
    LETTER(0x25, 'k'),
    LETTER(0x26, 'l'),
    OTHER(0x27, ';', ':', 0, 0x2700),
    OTHER(0x28, '\'', '"', 0, 0x2800),
    OTHER(0x29, '`', '~', 0, 0x2900),
    OTHER(0x2b, '\\', '|', 0x2b1c, 0x2b00),
    LETTER(0x2c, 'z'),
    LETTER(0x2d, 'x'),
    LETTER(0x2e, 'c'),
    LETTER(0x2f, 'v'),
    LETTER(0x30, 'b'),
    LETTER(0x31, 'n'),
    LETTER(0x32, 'm'),
    OTHER(0x33, ',', '<', 0, 0x3300),
    OTHER(0x34, '.', '>', 0, 0x3400),
    OTHER(0x35, '/', '?', 0x9500, 0x3500),
    OTHER(0x37, '*', '*', 0x9600, 0x3700),
    OTHER(0x39, ' ', ' ', 0x3920, 0x3920),
    FUNCTION(0x3b, 1),
    FUNCTION(0x3c, 2),
    FUNCTION(0x3d, 3),
    FUNCTION(0x3e, 4),
    FUNCTION(0x3f, 5),
    FUNCTION(0x40, 6),
    FUNCTION(0x41, 7),
    FUNCTION(0x42, 8),
    FUNCTION(0x43, 9),
    FUNCTION(0x44, 10),
    PAD(0x47, '7', 0x77),
    PAD(0x48, '8', 0x8d),
    PAD(0x49, '9', 0x84),
    OTHER(0x4a, '-', '-', 0x8e00, 0x4a00),
    PAD(0x4b, '4', 0x73),
    PAD(0x4c, '5', 0x8f),
    PAD(0x4d, '6', 0x74),
    OTHER(0x4e, '+', '+', 0x9000, 0x4e00),
    PAD(0x4f, '1', 0x75),
    PAD(0x50, '2', 0x91),
    PAD(0x51, '3', 0x76),
    PAD(0x52, '0', 0x92),
    PAD(0x53, '.', 0x93),
    OTHER(0x56, '\\', '|', 0, 0),
    [0x57] = {0x8500, 0x8700, 0x8900, 0x8b00},
    [0x58] = {0x8600, 0x8800, 0x8a00, 0x8c00},
};

/* ---- the buffer ------------------------------------------------------------------------------ */

static u16 next(struct pcbios *b, u16 at)
{
    at = (u16)(at + 2);
    return at >= bios_get(b, BDA_KEY_END, 2) ? (u16)bios_get(b, BDA_KEY_START, 2) : at;
}

/* False: the buffer is full. */
static bool put_key(struct pcbios *b, u16 key)
{
    u16 tail = (u16)bios_get(b, BDA_KEY_TAIL, 2), after = next(b, tail);

    if (after == bios_get(b, BDA_KEY_HEAD, 2))
        return false;
    bios_put(b, BUFFER_SEGMENT + tail, key, 2);
    bios_put(b, BDA_KEY_TAIL, after, 2);
    return true;
}

static bool peek_key(struct pcbios *b, u16 *key)
{
    u16 head = (u16)bios_get(b, BDA_KEY_HEAD, 2);

    if (head == bios_get(b, BDA_KEY_TAIL, 2))
        return false;
    *key = (u16)bios_get(b, BUFFER_SEGMENT + head, 2);
    return true;
}

bool pcbios_take_key(struct pcbios *b, u16 *key)
{
    if (!peek_key(b, key))
        return false;
    bios_put(b, BDA_KEY_HEAD, next(b, (u16)bios_get(b, BDA_KEY_HEAD, 2)), 2);
    return true;
}

/* ---- from scan codes to keys ----------------------------------------------------------------- */

static u8 shift_bit(u8 code)
{
    switch (code) {
    case SC_CTRL: return CTRL;
    case SC_SHIFT_LEFT: return SHIFT_LEFT;
    case SC_SHIFT_RIGHT: return SHIFT_RIGHT;
    case SC_ALT: return ALT;
    default: return 0;
    }
}

static u8 lock_bit(u8 code)
{
    return code == SC_CAPS     ? CAPS_LOCK
           : code == SC_NUM    ? NUM_LOCK
           : code == SC_SCROLL ? SCROLL_LOCK
                               : 0;
}

static bool is_letter(u8 code)
{
    u8 ch = (u8)keys[code].plain;

    return ch >= 'a' && ch <= 'z';
}

static bool on_pad(u8 code)
{
    return code >= SC_HOME && code <= SC_DELETE;
}

/* Keys of the block between letters and pad: E0h stands for the character, as AH=10h tells them. */
static u16 grey_key(u8 code, u8 flags)
{
    const struct key *k = &keys[code];

    if (code == 0x1c || code == 0x35) /* Enter and / of the pad */
        return flags & ALT    ? (code == 0x1c ? 0xa600 : 0xa400)
               : flags & CTRL ? (code == 0x1c ? 0xe00a : 0x9500)
                              : (u16)(0xe000 | (k->plain & 0xff));
    if (!on_pad(code))
        return 0;
    if (flags & ALT)
        return (u16)((code + 0x50) << 8);
    if (flags & CTRL)
        return (u16)(k->ctrl | 0xe0);
    return (u16)(code << 8 | 0xe0);
}

static u16 translate(u8 code, u8 flags, bool grey)
{
    const struct key *k = &keys[code];
    bool shift = flags & SHIFT;

    if (grey)
        return grey_key(code, flags);
    if (flags & ALT)
        return k->alt;
    if (flags & CTRL)
        return k->ctrl;
    if (is_letter(code) && flags & CAPS_LOCK)
        shift = !shift;
    if (on_pad(code) && flags & NUM_LOCK)
        shift = !shift;
    return shift ? k->shift : k->plain;
}

/* Alt and digits of the pad: a character by its number, which comes when Alt is released. */
static bool alt_digit(struct pcbios *b, u8 code)
{
    u8 digit = (u8)keys[code].shift;

    if (!on_pad(code) || digit < '0' || digit > '9')
        return false;
    bios_put(b, BDA_KEY_ALT_PAD, bios_get(b, BDA_KEY_ALT_PAD, 1) * 10 + digit - '0', 1);
    return true;
}

static void released(struct pcbios *b, u8 code, u8 flags)
{
    u8 number = (u8)bios_get(b, BDA_KEY_ALT_PAD, 1);

    bios_put(b, BDA_KEY_FLAGS, flags & ~shift_bit(code), 1);
    if (code == SC_ALT && number) {
        put_key(b, number);
        bios_put(b, BDA_KEY_ALT_PAD, 0, 1);
    }
}

/* Ctrl-Alt-Del: a warm start. */
static void restart(struct pcbios *b)
{
    bios_put(b, BDA_RESET, 0x1234, 2);
    iobus_write(b->cfg.io, 0xcf9, 0x02, 1);
    iobus_write(b->cfg.io, 0xcf9, 0x06, 1);
}

/* What INT 09h does beside: KEY_ of abi.h. */
static u8 pressed(struct pcbios *b, u8 code, u8 flags, bool grey)
{
    u16 key;

    if (shift_bit(code)) {
        if (!(grey && code != SC_CTRL && code != SC_ALT)) /* E0 2A: no shift, PrtSc begins so */
            bios_put(b, BDA_KEY_FLAGS, flags | shift_bit(code), 1);
        return KEY_NOTHING;
    }
    if (code == SC_DELETE && (flags & (CTRL | ALT)) == (CTRL | ALT)) {
        restart(b);
        return KEY_NOTHING;
    }
    if (code == SC_SCROLL && (grey || flags & CTRL)) { /* Ctrl-Break empties the buffer */
        bios_put(b, BDA_KEY_HEAD, bios_get(b, BDA_KEY_START, 2), 2);
        bios_put(b, BDA_KEY_TAIL, bios_get(b, BDA_KEY_START, 2), 2);
        bios_put(b, BDA_BREAK, 0x80, 1);
        put_key(b, 0);
        return KEY_BREAK;
    }
    if (code == SC_PRINT && grey)
        return KEY_PRINT_SCREEN;
    if (lock_bit(code)) {
        bios_put(b, BDA_KEY_FLAGS, flags ^ lock_bit(code), 1);
        return KEY_NOTHING;
    }
    if (flags & ALT && !grey && alt_digit(b, code))
        return KEY_NOTHING;
    if (code == SC_INSERT && !(flags & (CTRL | ALT)))
        bios_put(b, BDA_KEY_FLAGS, flags ^ INSERT, 1);
    key = translate(code, flags, grey);
    if (key)
        put_key(b, key);
    return KEY_NOTHING;
}

void pcbios_key(struct pcbios *b, struct bios_regs *r)
{
    u8 byte = reg_al(r), mode = (u8)bios_get(b, BDA_KEY_MODE, 1);
    u8 flags = (u8)bios_get(b, BDA_KEY_FLAGS, 1), code = byte & 0x7f;
    bool grey = mode & MODE_E0;

    set_low8(&r->eax, KEY_NOTHING);
    if (byte == 0xe0 || byte == 0xe1) {
        bios_put(b, BDA_KEY_MODE, mode | (byte == 0xe0 ? MODE_E0 : MODE_E1), 1);
        return;
    }
    if (mode & MODE_E1 && code == SC_CTRL) /* Pause: E1 1D 45 E1 9D C5 */
        return;
    bios_put(b, BDA_KEY_MODE, mode & ~(MODE_E0 | MODE_E1), 1);
    if (mode & MODE_E1 || code >= ARRAY_SIZE(keys))
        return;
    if (byte & SC_RELEASE)
        released(b, code, flags);
    else
        set_low8(&r->eax, pressed(b, code, flags, grey));
}

/* ---- INT 16h --------------------------------------------------------------------------------- */

/* Keys of 101-key keyboards as 83-key ones have them; false: they have no such key. */
static bool old_key(u16 *key)
{
    if ((u8)*key == 0xe0 && *key >> 8)
        *key &= 0xff00;
    else if (*key >> 8 == 0xe0)
        *key = (u16)(((u8)*key == '/' ? 0x35 : 0x1c) << 8 | (u8)*key);
    return *key >> 8 < 0x85;
}

/* AH=00h, 10h and (peek) 01h, 11h. */
static void get_key(struct pcbios *b, struct bios_regs *r, bool peek, bool extended)
{
    u16 key;

    while (peek_key(b, &key)) {
        u16 raw;

        if (!extended && !old_key(&key)) {
            pcbios_take_key(b, &raw);
            continue;
        }
        if (!peek)
            pcbios_take_key(b, &raw);
        set_low16(&r->eax, key);
        set_flag(r, FLAG_ZF, false);
        return;
    }
    set_flag(r, FLAG_ZF, true);
    if (!peek)
        r->action = ACTION_HALT;
}

void pcbios_keyboard(struct pcbios *b, struct bios_regs *r)
{
    u8 flags = (u8)bios_get(b, BDA_KEY_FLAGS, 1);

    switch (reg_ah(r)) {
    case 0x00: get_key(b, r, false, false); break;
    case 0x01: get_key(b, r, true, false); break;
    case 0x02: set_low8(&r->eax, flags); break;
    case 0x03: break; /* typematic rate */
    case 0x05: set_low8(&r->eax, !put_key(b, (u16)r->ecx)); break;
    case 0x09: set_low8(&r->eax, 0x30); break;    /* AH=0Ah and the enhanced functions are there */
    case 0x0a: set_low16(&r->ebx, 0x41ab); break; /* the keyboard's id */
    case 0x10: get_key(b, r, false, true); break;
    case 0x11: get_key(b, r, true, true); break;
    case 0x12:
        set_low8(&r->eax, flags);
        set_high8(&r->eax, (u8)bios_get(b, BDA_KEY_FLAGS2, 1));
        break;
    default: break;
    }
}
