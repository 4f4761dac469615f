/*
 * keyboard.c: see keyboard.h.
 *
 * Specification: USB HID Usage Tables 1.12, section 10 (keyboard page); for keysyms the X Window
 * System Protocol, appendix A, and X11/keysymdef.h.
 *
 * Not implemented: characters beyond ASCII, which a US keyboard does not have.
 */
#include "frontends/keyboard.h"

#define HID_A 0x04
#define HID_LEFT_SHIFT 0xe1
#define HID_RIGHT_SHIFT 0xe5
#define HID_RIGHT_ALT 0xe6
#define HID_MODIFIERS 0xe0 /* to e7 */

/* Characters with and without Shift. */
static const struct {
    u8 usage;
    char plain, shifted;
} characters[] = {
    {0x1e, '1', '!'}, {0x1f, '2', '@'},  {0x20, '3', '#'}, {0x21, '4', '$'}, {0x22, '5', '%'},
    {0x23, '6', '^'}, {0x24, '7', '&'},  {0x25, '8', '*'}, {0x26, '9', '('}, {0x27, '0', ')'},
    {0x2d, '-', '_'}, {0x2e, '=', '+'},  {0x2f, '[', '{'}, {0x30, ']', '}'}, {0x31, '\\', '|'},
    {0x33, ';', ':'}, {0x34, '\'', '"'}, {0x35, '`', '~'}, {0x36, ',', '<'}, {0x37, '.', '>'},
    {0x38, '/', '?'},
};

/* Runs of keysyms whose keys follow each other, too. */
static const struct {
    u16 keysym;
    u8 count, usage;
} named[] = {
    {0xfe03, 1, 0xe6},  /* ISO_Level3_Shift: AltGr */
    {0xfe20, 1, 0x2b},  /* ISO_Left_Tab */
    {0xff08, 1, 0x2a},  /* BackSpace */
    {0xff09, 1, 0x2b},  /* Tab */
    {0xff0d, 1, 0x28},  /* Return */
    {0xff13, 1, 0x48},  /* Pause */
    {0xff14, 1, 0x47},  /* Scroll_Lock */
    {0xff15, 1, 0x46},  /* Sys_Req: Print Screen with Alt */
    {0xff1b, 1, 0x29},  /* Escape */
    {0xff50, 1, 0x4a},  /* Home */
    {0xff51, 1, 0x50},  /* Left */
    {0xff52, 1, 0x52},  /* Up */
    {0xff53, 1, 0x4f},  /* Right */
    {0xff54, 1, 0x51},  /* Down */
    {0xff55, 1, 0x4b},  /* Page_Up */
    {0xff56, 1, 0x4e},  /* Page_Down */
    {0xff57, 1, 0x4d},  /* End */
    {0xff61, 1, 0x46},  /* Print */
    {0xff63, 1, 0x49},  /* Insert */
    {0xff67, 1, 0x65},  /* Menu */
    {0xff6b, 1, 0x48},  /* Break: Pause with Ctrl */
    {0xff7e, 1, 0xe6},  /* Mode_switch */
    {0xff7f, 1, 0x53},  /* Num_Lock */
    {0xff8d, 1, 0x58},  /* KP_Enter */
    {0xff95, 1, 0x5f},  /* KP_Home: 7 */
    {0xff96, 1, 0x5c},  /* KP_Left: 4 */
    {0xff97, 1, 0x60},  /* KP_Up: 8 */
    {0xff98, 1, 0x5e},  /* KP_Right: 6 */
    {0xff99, 1, 0x5a},  /* KP_Down: 2 */
    {0xff9a, 1, 0x61},  /* KP_Page_Up: 9 */
    {0xff9b, 1, 0x5b},  /* KP_Page_Down: 3 */
    {0xff9c, 1, 0x59},  /* KP_End: 1 */
    {0xff9d, 1, 0x5d},  /* KP_Begin: 5 */
    {0xff9e, 1, 0x62},  /* KP_Insert: 0 */
    {0xff9f, 1, 0x63},  /* KP_Delete */
    {0xffaa, 1, 0x55},  /* KP_Multiply */
    {0xffab, 1, 0x57},  /* KP_Add */
    {0xffac, 1, 0x85},  /* KP_Separator */
    {0xffad, 1, 0x56},  /* KP_Subtract */
    {0xffae, 1, 0x63},  /* KP_Decimal */
    {0xffaf, 1, 0x54},  /* KP_Divide */
    {0xffb0, 1, 0x62},  /* KP_0 */
    {0xffb1, 9, 0x59},  /* KP_1 to KP_9 */
    {0xffbd, 1, 0x67},  /* KP_Equal */
    {0xffbe, 12, 0x3a}, /* F1 to F12 */
    {0xffca, 12, 0x68}, /* F13 to F24 */
    {0xffe1, 1, 0xe1},  /* Shift_L */
    {0xffe2, 1, 0xe5},  /* Shift_R */
    {0xffe3, 1, 0xe0},  /* Control_L */
    {0xffe4, 1, 0xe4},  /* Control_R */
    {0xffe5, 1, 0x39},  /* Caps_Lock */
    {0xffe7, 1, 0xe3},  /* Meta_L */
    {0xffe8, 1, 0xe7},  /* Meta_R */
    {0xffe9, 1, 0xe2},  /* Alt_L */
    {0xffea, 1, 0xe6},  /* Alt_R */
    {0xffeb, 1, 0xe3},  /* Super_L */
    {0xffec, 1, 0xe7},  /* Super_R */
    {0xffff, 1, 0x4c},  /* Delete */
};

bool key_of_character(u32 c, struct key *k)
{
    u32 letter = c | 0x20;

    if (c == ' ') {
        *k = (struct key){0x2c, KEY_SHIFT_ANY};
        return true;
    }
    if (c < 0x80 && letter >= 'a' && letter <= 'z') {
        *k = (struct key){(u8)(HID_A + letter - 'a'), c < 'a' ? KEY_SHIFT_DOWN : KEY_SHIFT_UP};
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(characters); i++) {
        if (c != (u32)characters[i].plain && c != (u32)characters[i].shifted)
            continue;
        *k = (struct key){characters[i].usage,
                          c == (u32)characters[i].plain ? KEY_SHIFT_UP : KEY_SHIFT_DOWN};
        return true;
    }
    return false;
}

bool key_of_keysym(u32 keysym, struct key *k)
{
    if (key_of_character(keysym, k)) {
        if (k->usage < HID_A + 26)
            k->shift = KEY_SHIFT_ANY;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(named); i++) {
        u32 n = keysym - named[i].keysym;

        if (n >= named[i].count)
            continue;
        *k = (struct key){(u8)(named[i].usage + n), KEY_SHIFT_ANY};
        return true;
    }
    return false;
}

/* ---- keys that go down and up ---------------------------------------------------------------- */

static void tell(struct keysyms *s, u8 usage, bool down)
{
    s->key(s->opaque, usage, down);
}

/* Modifiers that are held and must not be, for a character, up or down again. */
static void tell_held(struct keysyms *s, bool shift, bool alt_gr, bool down)
{
    if (shift && s->held[HID_LEFT_SHIFT])
        tell(s, HID_LEFT_SHIFT, down);
    if (shift && s->held[HID_RIGHT_SHIFT])
        tell(s, HID_RIGHT_SHIFT, down);
    if (alt_gr && s->held[HID_RIGHT_ALT])
        tell(s, HID_RIGHT_ALT, down);
}

static void press(struct keysyms *s, const struct key *k)
{
    bool shift = s->held[HID_LEFT_SHIFT] || s->held[HID_RIGHT_SHIFT];
    bool lacks_shift = k->shift == KEY_SHIFT_DOWN && !shift;
    bool drops_alt_gr = k->shift != KEY_SHIFT_ANY;

    tell_held(s, k->shift == KEY_SHIFT_UP, drops_alt_gr, false);
    if (lacks_shift)
        tell(s, HID_LEFT_SHIFT, true);
    tell(s, k->usage, true);
    if (lacks_shift)
        tell(s, HID_LEFT_SHIFT, false);
    tell_held(s, k->shift == KEY_SHIFT_UP, drops_alt_gr, true);
    s->held[k->usage] = true;
}

static void release(struct keysyms *s, u8 usage)
{
    if (s->held[usage])
        tell(s, usage, false);
    s->held[usage] = false;
}

/* The key of a character may print another one by the time it goes up, as Shift went up before it:
 * the key that is meant is one of those that are down. */
static void release_unknown(struct keysyms *s)
{
    for (unsigned usage = 0; usage < HID_MODIFIERS; usage++)
        release(s, (u8)usage);
}

void keysyms_take(struct keysyms *s, u32 keysym, bool down)
{
    struct key k;
    bool known = key_of_keysym(keysym, &k);

    if (known && down)
        press(s, &k);
    else if (known && s->held[k.usage])
        release(s, k.usage);
    else if (!down)
        release_unknown(s);
}
