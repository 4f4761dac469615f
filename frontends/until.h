/* until.h: finds a text in a stream that arrives in pieces (-until). */
#pragma once

#include "base/types.h"

#define UNTIL_MAX 256

struct until {
    const char *text;
    size_t len, matched;
    u16 fallback[UNTIL_MAX]; /* Knuth, Morris and Pratt: longest proper border of text[0..i] */
};

/* `text`: 1 to UNTIL_MAX bytes, owned by the caller. */
void until_init(struct until *u, const char *text);
/* True when the text was completed within these bytes; then it starts afresh. */
bool until_feed(struct until *u, const u8 *buf, size_t len);
