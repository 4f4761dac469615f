/*
 * font.c: fonts of 8, 14 and 16 lines from one drawing of 5 x 8 dots per character: strokes are
 * made two dots wide and rows repeated. Accented letters are a letter and an accent; boxes and
 * blocks fill the cell so that neighbours join.
 *
 * The repertoire is IBM's code page 437.
 */
#include "bios/font.h"

#include <string.h>

#define DRAWN_ROWS 8u

static const u8 drawn[256][DRAWN_ROWS] = {
#define GLYPH(ch, ...) [ch] = {__VA_ARGS__},
#include "bios/font.def"
#undef GLYPH
};

/* ---- letters with accents -------------------------------------------------------------------- */

enum accent { ACUTE, GRAVE, CIRCUMFLEX, DIAERESIS, RING, TILDE, CEDILLA };

static const u8 accents[][2] = {
    [ACUTE] = {0x02, 0x04},     [GRAVE] = {0x08, 0x04}, [CIRCUMFLEX] = {0x04, 0x0a},
    [DIAERESIS] = {0x00, 0x0a}, [RING] = {0x04, 0x0a},  [TILDE] = {0x0d, 0x16},
    [CEDILLA] = {0x00, 0x00},
};

static const struct {
    u8 ch;
    char letter;
    u8 accent;
} composed[] = {
    {0x80, 'C', CEDILLA},    {0x81, 'u', DIAERESIS}, {0x82, 'e', ACUTE},
    {0x83, 'a', CIRCUMFLEX}, {0x84, 'a', DIAERESIS}, {0x85, 'a', GRAVE},
    {0x86, 'a', RING},       {0x87, 'c', CEDILLA},   {0x88, 'e', CIRCUMFLEX},
    {0x89, 'e', DIAERESIS},  {0x8a, 'e', GRAVE},     {0x8b, 'i', DIAERESIS},
    {0x8c, 'i', CIRCUMFLEX}, {0x8d, 'i', GRAVE},     {0x8e, 'A', DIAERESIS},
    {0x8f, 'A', RING},       {0x90, 'E', ACUTE},     {0x93, 'o', CIRCUMFLEX},
    {0x94, 'o', DIAERESIS},  {0x95, 'o', GRAVE},     {0x96, 'u', CIRCUMFLEX},
    {0x97, 'u', GRAVE},      {0x98, 'y', DIAERESIS}, {0x99, 'O', DIAERESIS},
    {0x9a, 'U', DIAERESIS},  {0xa0, 'a', ACUTE},     {0xa1, 'i', ACUTE},
    {0xa2, 'o', ACUTE},      {0xa3, 'u', ACUTE},     {0xa4, 'n', TILDE},
    {0xa5, 'N', TILDE},
};

/* A capital gives one row from its middle to the accent. */
static bool compose(u8 ch, u8 rows[DRAWN_ROWS])
{
    for (unsigned i = 0; i < ARRAY_SIZE(composed); i++) {
        const u8 *letter = drawn[(u8)composed[i].letter];
        const u8 *accent = accents[composed[i].accent];

        if (composed[i].ch != ch)
            continue;
        memcpy(rows, letter, DRAWN_ROWS);
        if (composed[i].accent == CEDILLA) {
            rows[7] = 0x04;
        } else if (composed[i].letter >= 'a') {
            memcpy(rows, accent, 2);
        } else {
            rows[0] = accent[1];
            memcpy(rows + 1, letter, 3);
        }
        return true;
    }
    return false;
}

/* ---- boxes and blocks ------------------------------------------------------------------------ */

/* Arms of B3h to DAh: up, right, down, left; two bits each, 1 single, 2 double. */
#define ARMS(up, right, down, left) ((up) | (right) << 2 | (down) << 4 | (left) << 6)
static const u8 boxes[] = {
    ARMS(1, 0, 1, 0), ARMS(1, 0, 1, 1), ARMS(1, 0, 1, 2), ARMS(2, 0, 2, 1), ARMS(0, 0, 2, 1),
    ARMS(0, 0, 1, 2), ARMS(2, 0, 2, 2), ARMS(2, 0, 2, 0), ARMS(0, 0, 2, 2), ARMS(2, 0, 0, 2),
    ARMS(2, 0, 0, 1), ARMS(1, 0, 0, 2), ARMS(0, 0, 1, 1), ARMS(1, 1, 0, 0), ARMS(1, 1, 0, 1),
    ARMS(0, 1, 1, 1), ARMS(1, 1, 1, 0), ARMS(0, 1, 0, 1), ARMS(1, 1, 1, 1), ARMS(1, 2, 1, 0),
    ARMS(2, 1, 2, 0), ARMS(2, 2, 0, 0), ARMS(0, 2, 2, 0), ARMS(2, 2, 0, 2), ARMS(0, 2, 2, 2),
    ARMS(2, 2, 2, 0), ARMS(0, 2, 0, 2), ARMS(2, 2, 2, 2), ARMS(1, 2, 0, 2), ARMS(2, 1, 0, 1),
    ARMS(0, 2, 1, 2), ARMS(0, 1, 2, 1), ARMS(2, 1, 0, 0), ARMS(1, 2, 0, 0), ARMS(0, 2, 1, 0),
    ARMS(0, 1, 2, 0), ARMS(2, 1, 2, 1), ARMS(1, 2, 1, 2), ARMS(1, 0, 0, 1), ARMS(0, 1, 1, 0),
};
#define BOX_FIRST 0xb3u

/* Columns of a vertical stroke, and its neighbours for a double one. */
static u8 vertical(unsigned kind)
{
    return kind == 2 ? 0x24 : kind == 1 ? 0x18 : 0;
}

static u8 horizontal(unsigned row, unsigned middle, unsigned kind, u8 columns)
{
    bool on = kind == 1 ? row == middle : kind == 2 && (row == middle - 1 || row == middle + 1);

    return on ? columns : 0;
}

static void draw_box(u8 arms, unsigned lines, u8 *rows)
{
    unsigned middle = lines / 2 - 1, up = arms & 3, right = arms >> 2 & 3;
    unsigned down = arms >> 4 & 3, left = arms >> 6;
    unsigned reach = left == 2 || right == 2; /* how far verticals go beyond the middle */

    for (unsigned y = 0; y < lines; y++) {
        rows[y] = (u8)((y <= middle + reach ? vertical(up) : 0) |
                       (y + reach >= middle ? vertical(down) : 0));
        rows[y] |= horizontal(y, middle, left, up == 2 || down == 2 ? 0xfc : 0xf8);
        rows[y] |= horizontal(y, middle, right, up == 2 || down == 2 ? 0x3f : 0x1f);
    }
}

static bool draw_block(u8 ch, unsigned lines, u8 *rows)
{
    static const u8 shades[3][2] = {{0x22, 0x88}, {0x55, 0xaa}, {0xdd, 0x77}};

    for (unsigned y = 0; y < lines; y++) {
        bool top = y < lines / 2;

        switch (ch) {
        case 0xb0:
        case 0xb1:
        case 0xb2: rows[y] = shades[ch - 0xb0][y & 1]; break;
        case 0xdb: rows[y] = 0xff; break;
        case 0xdc: rows[y] = top ? 0 : 0xff; break;
        case 0xdd: rows[y] = 0xf0; break;
        case 0xde: rows[y] = 0x0f; break;
        case 0xdf: rows[y] = top ? 0xff : 0; break;
        default: return false;
        }
    }
    return true;
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* Five dots as six, in the middle of eight. */
static u8 widen(u8 dots)
{
    return (u8)(dots << 2 | dots << 1);
}

void font_glyph(u8 ch, unsigned lines, u8 *rows)
{
    u8 cell[DRAWN_ROWS];

    if (ch >= BOX_FIRST && ch < BOX_FIRST + sizeof boxes) {
        draw_box(boxes[ch - BOX_FIRST], lines, rows);
        return;
    }
    if (draw_block(ch, lines, rows))
        return;
    if (!compose(ch, cell))
        memcpy(cell, drawn[ch], sizeof cell);
    for (unsigned y = 0; y < lines; y++) {
        /* 16 lines: one empty, seven rows twice, the row below the base line once. */
        unsigned at = lines == 16 ? y + 1 : (y + 1) * 15 / 14;

        rows[y] = lines == DRAWN_ROWS ? widen(cell[y]) : at < 2 ? 0 : widen(cell[at / 2 - 1]);
    }
}
