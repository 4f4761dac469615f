/*
 * json.h: writes JSON (RFC 8259) into memory: correct escaping, commas and indentation by itself.
 * Not a parser.
 *
 *     json_object(&j, NULL);  json_string(&j, "name", "x");  json_end(&j);
 *
 * `key` is NULL inside arrays and for the outermost value.
 */
#pragma once

#include "base/types.h"

#define JSON_MAX_DEPTH 16

struct json {
    char *text; /* NUL-terminated once something is written; NULL after memory ran out */
    size_t len, cap;
    bool failed; /* memory ran out: the text is not to be used */
    unsigned depth;
    bool has_member[JSON_MAX_DEPTH];
    char closer[JSON_MAX_DEPTH];
};

void json_init(struct json *j);
void json_free(struct json *j);
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j); /* the innermost object or array; after the outermost a newline */
/* Bytes that are not UTF-8 become U+FFFD. NULL is null. */
void json_string(struct json *j, const char *key, const char *value);
void json_u64(struct json *j, const char *key, u64 value);
void json_s64(struct json *j, const char *key, s64 value);
/* Shortest form that reads back the same; NaN and infinities are null. */
void json_double(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
