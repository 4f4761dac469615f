/* json.c: the writer of json.h. Specification: RFC 8259; UTF-8: RFC 3629. */
#include "frontends/json.h"

#include "base/err.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct json *j, const char *s, size_t len)
{
    if (j->failed)
        return;
    if (j->len + len + 1 > j->cap) {
        size_t cap = 2 * (j->len + len + 1) + 4096;
        char *text = realloc(j->text, cap);

        if (!text) {
            json_free(j);
            j->failed = true;
            return;
        }
        j->text = text;
        j->cap = cap;
    }
    memcpy(j->text + j->len, s, len);
    j->len += len;
    j->text[j->len] = 0;
}

static void put_text(struct json *j, const char *s)
{
    put(j, s, strlen(s));
}

static void newline(struct json *j)
{
    put_text(j, "\n");
    for (unsigned i = 0; i < j->depth; i++)
        put_text(j, "  ");
}

/* Length of the UTF-8 sequence at s, 0 if it is none: no overlong forms, no surrogates. */
static size_t utf8_length(const unsigned char *s)
{
    u32 code;
    size_t len;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] < 0xe0 || s[0] > 0xf4)
        return 0;
    len = s[0] < 0xf0 ? 3 : 4;
    code = s[0] & (len == 3 ? 0x0fu : 0x07u);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    if (len == 3)
        return code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? 3 : 0;
    return code >= 0x10000 && code <= 0x10ffff ? 4 : 0;
}

static void put_quoted(struct json *j, const char *value)
{
    const unsigned char *s = (const unsigned char *)value;
    char esc[8];

    put_text(j, "\"");
    while (*s) {
        size_t len = utf8_length(s);

        if (*s == '"' || *s == '\\')
            snprintf(esc, sizeof esc, "\\%c", *s);
        else if (*s == '\n')
            snprintf(esc, sizeof esc, "\\n");
        else if (*s == '\t')
            snprintf(esc, sizeof esc, "\\t");
        else if (*s < 0x20 || *s == 0x7f)
            snprintf(esc, sizeof esc, "\\u%04x", *s);
        else
            esc[0] = 0;
        if (!len)
            put_text(j, "\\ufffd");
        else if (esc[0])
            put_text(j, esc);
        else
            put(j, (const char *)s, len);
        s += len ? len : 1;
    }
    put_text(j, "\"");
}

static void begin_value(struct json *j, const char *key)
{
    if (j->depth) {
        if (j->has_member[j->depth - 1])
            put_text(j, ",");
        j->has_member[j->depth - 1] = true;
        newline(j);
    }
    if (key) {
        put_quoted(j, key);
        put_text(j, ": ");
    }
}

void json_init(struct json *j)
{
    *j = (struct json){0};
}

void json_free(struct json *j)
{
    free(j->text);
    j->text = NULL;
    j->len = j->cap = 0;
}

static void open_level(struct json *j, const char *key, const char *opener, char closer)
{
    BUG_ON(j->depth == JSON_MAX_DEPTH);
    begin_value(j, key);
    put_text(j, opener);
    j->has_member[j->depth] = false;
    j->closer[j->depth++] = closer;
}

void json_object(struct json *j, const char *key)
{
    open_level(j, key, "{", '}');
}

void json_array(struct json *j, const char *key)
{
    open_level(j, key, "[", ']');
}

void json_end(struct json *j)
{
    BUG_ON(!j->depth);
    j->depth--;
    if (j->has_member[j->depth])
        newline(j);
    put(j, &j->closer[j->depth], 1);
    if (!j->depth)
        put_text(j, "\n");
}

void json_string(struct json *j, const char *key, const char *value)
{
    begin_value(j, key);
    if (value)
        put_quoted(j, value);
    else
        put_text(j, "null");
}

void json_u64(struct json *j, const char *key, u64 value)
{
    char buf[24];

    begin_value(j, key);
    snprintf(buf, sizeof buf, "%" PRIu64, value);
    put_text(j, buf);
}

void json_s64(struct json *j, const char *key, s64 value)
{
    char buf[24];

    begin_value(j, key);
    snprintf(buf, sizeof buf, "%" PRId64, value);
    put_text(j, buf);
}

void json_double(struct json *j, const char *key, double value)
{
    char buf[40];

    begin_value(j, key);
    if (!isfinite(value)) {
        put_text(j, "null");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, value);
        if (strtod(buf, NULL) <= value && strtod(buf, NULL) >= value)
            break;
    }
    put_text(j, buf);
}

void json_bool(struct json *j, const char *key, bool value)
{
    begin_value(j, key);
    put_text(j, value ? "true" : "false");
}
