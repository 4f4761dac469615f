/* until.c: the automaton of Knuth, Morris and Pratt, "Fast pattern matching in strings", 1977. */
#include "frontends/until.h"

#include "base/err.h"

#include <string.h>

static size_t step(const struct until *u, size_t matched, char c)
{
    while (matched && u->text[matched] != c)
        matched = u->fallback[matched - 1];
    return u->text[matched] == c ? matched + 1 : 0;
}

void until_init(struct until *u, const char *text)
{
    *u = (struct until){.text = text, .len = strlen(text)};
    BUG_ON(!u->len || u->len > UNTIL_MAX);
    for (size_t i = 1; i < u->len; i++)
        u->fallback[i] = (u16)step(u, u->fallback[i - 1], text[i]);
}

bool until_feed(struct until *u, const u8 *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        u->matched = step(u, u->matched, (char)buf[i]);
        if (u->matched == u->len) {
            u->matched = 0;
            return true;
        }
    }
    return false;
}
