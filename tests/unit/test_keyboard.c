/* test_keyboard.c: keysyms and characters, as keys of a US keyboard. */
#include "frontends/keyboard.h"

#include "base/rng.h"
#include "devices/ps2.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static char log_text[512];
static bool down_now[256];

static void record(void *opaque, u8 usage, bool down)
{
    size_t n = strlen(log_text);

    (void)opaque;
    down_now[usage] = down;
    snprintf(log_text + n, sizeof log_text - n, "%s%02x ", down ? "+" : "-", usage);
}

/* "+41" is keysym 41h down, "-41" up. */
static const char *type(const char *events)
{
    struct keysyms s = {.key = record};
    char copy[256], *word;

    log_text[0] = '\0';
    memset(down_now, 0, sizeof down_now);
    strcpy(copy, events);
    for (word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        unsigned keysym;

        sscanf(word + 1, "%x", &keysym);
        keysyms_take(&s, keysym, *word == '+');
    }
    return log_text;
}

static const struct {
    const char *events, *keys;
} rows[] = {
    {"+61 -61", "+04 -04 "},
    {"+ffe1 +41 -41 -ffe1", "+e1 +04 -04 -e1 "},
    {"+41 -41", "+04 -04 "},                     /* Caps Lock is on there, and here */
    {"+ffe1 +21 -ffe1 -31", "+e1 +1e -e1 -1e "}, /* Shift goes up before the 1 */
    {"+21 -21", "+e1 +1e -e1 -1e "},
    {"+ffe2 +2f -2f -ffe2", "+e5 -e5 +38 +e5 -38 -e5 "}, /* a German / is Shift-7 ... */
    {"+ffe2 +2f -ffe2 -37", "+e5 -e5 +38 +e5 -e5 -38 "}, /* ... and goes up as a 7 */
    {"+fe03 +7b -7b -fe03", "+e6 -e6 +e1 +2f -e1 +e6 -2f -e6 "},
    {"+ffe3 +ffe9 +ffff -ffff -ffe9 -ffe3", "+e0 +e2 +4c -4c -e2 -e0 "},
    {"+61 +61 +61 -61", "+04 +04 +04 -04 "}, /* held */
    {"+20ac -20ac", ""},                     /* no key */
    {"-61", ""},
    {"+ffb7 +ffd5 -ffd5 -ffb7", "+5f +73 -73 -5f "},
};

START_TEST(keysyms_go_down_and_up_as_keys)
{
    ck_assert_str_eq(type(rows[_i].events), rows[_i].keys);
}
END_TEST

START_TEST(every_keysym_is_a_key_that_the_keyboard_has_or_none)
{
    unsigned known = 0;

    for (u32 keysym = 0; keysym < 0x20000; keysym++) {
        struct ps2_keyboard keyboard;
        struct key k = {0};
        u8 byte;

        if (!key_of_keysym(keysym, &k))
            continue;
        known++;
        ps2_keyboard_reset(&keyboard);
        ps2_keyboard_key(&keyboard, k.usage, true);
        ck_assert_msg(ps2_keyboard_get(&keyboard, &byte), "keysym %x, usage %02x", keysym, k.usage);
    }
    ck_assert_uint_eq(known, 95 + 88); /* ASCII, and what has a name */
}
END_TEST

START_TEST(every_printable_character_is_a_key)
{
    bool seen[256][2] = {{false}};

    for (u32 c = 0; c < 0x20000; c++) {
        struct key k;

        ck_assert_int_eq(key_of_character(c, &k), c >= 0x20 && c < 0x7f);
        if (c < 0x20 || c >= 0x7f)
            continue;
        ck_assert(!seen[k.usage][k.shift == KEY_SHIFT_DOWN]); /* one place, one character */
        seen[k.usage][k.shift == KEY_SHIFT_DOWN] = true;
    }
}
END_TEST

/* Whatever a client sends: when all that it pressed has gone up, nothing is down. */
START_TEST(nothing_stays_down_when_all_keysyms_are_up)
{
    struct rng rng;

    rng_seed(&rng, (u64)_i);
    for (unsigned round = 0; round < 200; round++) {
        struct keysyms s = {.key = record};
        u32 pressed[12];

        memset(down_now, 0, sizeof down_now);
        for (unsigned i = 0; i < ARRAY_SIZE(pressed); i++) {
            u64 r = rng_next(&rng);

            pressed[i] = r & 1 ? 0xff00 | (r >> 8 & 0xff) : r >> 8 & 0xff;
            log_text[0] = '\0';
            keysyms_take(&s, pressed[i], true);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(pressed); i++) {
            log_text[0] = '\0';
            keysyms_take(&s, pressed[i], false);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(down_now); i++)
            ck_assert(!down_now[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keyboard");
    TCase *t = tcase_create("keys");
    SRunner *r;
    int failures;

    tcase_add_loop_test(t, keysyms_go_down_and_up_as_keys, 0, (int)ARRAY_SIZE(rows));
    tcase_add_test(t, every_keysym_is_a_key_that_the_keyboard_has_or_none);
    tcase_add_test(t, every_printable_character_is_a_key);
    tcase_add_loop_test(t, nothing_stays_down_when_all_keysyms_are_up, 0, 8);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
