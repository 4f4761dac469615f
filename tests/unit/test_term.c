/* test_term.c: from the bytes of a terminal to keys. */
#include "frontends/term.h"

#include <check.h>
#include <string.h>

#define ESC "\033"

/* The keys of a text, as "[csa]usage" words. */
static void parse(const char *bytes, size_t len, char *out, size_t size)
{
    struct term_parser p = {0};
    struct term_key k;
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < len; i++)
        if (term_parse(&p, (u8)bytes[i], &k) && n < size)
            n += (size_t)snprintf(out + n, size - n, "%s%s%s%02x ", k.ctrl ? "c" : "",
                                  k.shift ? "s" : "", k.alt ? "a" : "", k.usage);
}

static const struct {
    const char *bytes, *keys;
} rows[] = {
    {"a", "04 "},
    {"Z", "s1d "},
    {"1!", "1e s1e "},
    {"~", "s35 "},
    {"\r", "28 "},
    {"\177", "2a "},
    {"\003", "c06 "},
    {ESC "[A", "52 "},
    {ESC "OP", "3a "},
    {ESC "[15~", "3e "},
    {ESC "[24~", "45 "},
    {ESC "x", "a1b "},
    {ESC "[A" ESC "[B", "52 51 "},
    {ESC "[9~a", "s35 04 "}, /* unknown: it ends where nothing begins so, and the rest is typed */
    {"\303\244", ""},                        /* no key of a US keyboard */
};

START_TEST(bytes_of_a_terminal_are_keys)
{
    char got[128];

    parse(rows[_i].bytes, strlen(rows[_i].bytes), got, sizeof got);
    ck_assert_str_eq(got, rows[_i].keys);
}
END_TEST

START_TEST(an_escape_alone_is_a_key_once_nothing_follows)
{
    struct term_parser p = {0};
    struct term_key k;

    ck_assert(!term_parse(&p, 0x1b, &k));
    ck_assert(term_parse_timeout(&p, &k));
    ck_assert_uint_eq(k.usage, 0x29);
    ck_assert(!term_parse_timeout(&p, &k));
    ck_assert(term_parse(&p, 'a', &k));
    ck_assert_uint_eq(k.usage, 0x04);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("term");
    TCase *t = tcase_create("term");
    SRunner *r;
    int failures;

    tcase_add_loop_test(t, bytes_of_a_terminal_are_keys, 0, (int)ARRAY_SIZE(rows));
    tcase_add_test(t, an_escape_alone_is_a_key_once_nothing_follows);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
