/*
 * device.c: what every class gets from its tables: creation with properties, saved state with
 * range checks, and the listing of registers.
 *
 * Not here: who is connected to whom (the board), the stream that holds all devices (snapshot).
 *
 * State of a device, all numbers little-endian, per field in any order:
 *
 *     u8 length of the name | name | u8 width | u16 count | count values of width bytes
 */
#include "devices/device.h"

#include "base/bits.h"
#include "base/nearest.h"
#include <stdlib.h>

#define DEVICE(stem) extern const struct dev_class stem##_class;
#include "devices/devices.def"
#undef DEVICE

const struct dev_class *const dev_classes[] = {
#define DEVICE(stem) &stem##_class,
#include "devices/devices.def"
#undef DEVICE
    NULL,
};

#define MAX_FIELDS 512
#define MAX_PROPS 32

const struct dev_class *dev_class_find(const char *name)
{
    for (unsigned i = 0; dev_classes[i]; i++)
        if (!strcmp(dev_classes[i]->name, name))
            return dev_classes[i];
    return NULL;
}

/* --- properties ------------------------------------------------------------------------------- */

static void prop_store(struct dev *d, const struct dev_prop *p, u64 value)
{
    u8 *at = (u8 *)d + p->offset;

    switch (p->kind) {
    case PROP_U32: *(u32 *)(void *)at = (u32)value; break;
    case PROP_U64: *(u64 *)(void *)at = value; break;
    case PROP_BOOL: *(bool *)(void *)at = value != 0; break;
    case PROP_STRING: *(char **)(void *)at = NULL; break;
    }
}

static void props_set_defaults(struct dev *d)
{
    for (const struct dev_prop *p = d->cls->props; p && p->name; p++)
        prop_store(d, p, p->def);
}

static void props_free(struct dev *d)
{
    for (const struct dev_prop *p = d->cls->props; p && p->name; p++)
        if (p->kind == PROP_STRING)
            free(*(char **)(void *)((u8 *)d + p->offset));
    free(d->id);
}

static bool parse_number(const char *text, u64 *value)
{
    unsigned base = 10;
    u64 v = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned digit;

        if (*text >= '0' && *text <= '9')
            digit = (unsigned)(*text - '0');
        else if (base == 16 && (*text | 0x20) >= 'a' && (*text | 0x20) <= 'f')
            digit = (unsigned)((*text | 0x20) - 'a') + 10;
        else
            return false;
        if (__builtin_mul_overflow(v, (u64)base, &v) || __builtin_add_overflow(v, (u64)digit, &v))
            return false;
    }
    *value = v;
    return true;
}

static bool parse_bool(const char *text, u64 *value)
{
    *value = !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true");
    return *value || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false");
}

static bool prop_parse(struct dev *d, const struct dev_prop *p, const char *text, struct err *e)
{
    u64 value;

    switch (p->kind) {
    case PROP_STRING: {
        char **at = (char **)(void *)((u8 *)d + p->offset);

        free(*at);
        *at = strdup(text);
        BUG_ON(!*at);
        return true;
    }
    case PROP_BOOL:
        if (!parse_bool(text, &value))
            return err_usage(e, "device %s: %s is on or off, not '%s'", d->cls->name, p->name,
                             text);
        break;
    default:
        if (!parse_number(text, &value))
            return err_usage(e, "device %s: %s is a number, not '%s'", d->cls->name, p->name, text);
        if (value < p->min || value > p->max)
            return err_usage(e, "device %s: %s=%s is out of range (%#llx to %#llx)", d->cls->name,
                             p->name, text, (unsigned long long)p->min, (unsigned long long)p->max);
    }
    prop_store(d, p, value);
    return true;
}

static bool prop_unknown(const struct dev *d, const char *name, struct err *e)
{
    const char *names[MAX_PROPS + 1] = {NULL};
    unsigned n = 0;
    const char *near;

    for (const struct dev_prop *p = d->cls->props; p && p->name && n < MAX_PROPS; p++)
        names[n++] = p->name;
    err_usage(e, "device %s has no property '%s'", d->cls->name, name);
    near = nearest(name, names);
    if (near)
        err_hint(e, "did you mean %s?", near);
    else if (!n)
        err_hint(e, "it takes none");
    return false;
}

static bool props_parse_one(struct dev *d, char *item, struct err *e)
{
    char *value = strchr(item, '=');

    if (!value)
        return err_usage(e, "device %s: '%s' is not NAME=VALUE", d->cls->name, item);
    *value++ = '\0';
    for (const struct dev_prop *p = d->cls->props; p && p->name; p++)
        if (!strcmp(p->name, item))
            return prop_parse(d, p, value, e);
    if (!strcmp(item, "id")) {
        free(d->id);
        d->id = strdup(value);
        BUG_ON(!d->id);
        return true;
    }
    return prop_unknown(d, item, e);
}

static bool props_parse(struct dev *d, const char *props, struct err *e)
{
    char *copy = strdup(props);
    char *item = copy;
    bool ok = true;

    BUG_ON(!copy);
    while (ok && item && *item) {
        char *comma = strchr(item, ',');

        if (comma)
            *comma++ = '\0';
        ok = props_parse_one(d, item, e);
        item = comma;
    }
    free(copy);
    return ok;
}

/* --- life ------------------------------------------------------------------------------------- */

struct dev *dev_create(const struct dev_class *cls, struct dev_env *env, const char *props,
                       struct err *e)
{
    struct dev *d = calloc(1, cls->size);

    BUG_ON(!d);
    d->cls = cls;
    d->env = env;
    props_set_defaults(d);
    if ((props && !props_parse(d, props, e)) || (cls->init && !cls->init(d, e))) {
        props_free(d);
        free(d);
        return NULL;
    }
    dev_reset(d);
    return d;
}

void dev_destroy(struct dev *d)
{
    if (!d)
        return;
    if (d->cls->destroy)
        d->cls->destroy(d);
    props_free(d);
    free(d);
}

void dev_reset(struct dev *d)
{
    if (d->cls->reset)
        d->cls->reset(d);
}

/* --- saved state ------------------------------------------------------------------------------ */

static size_t field_size(const struct dev_field *f)
{
    return 1 + strlen(f->name) + 1 + 2 + (size_t)f->width * f->count;
}

static u64 field_get(const struct dev *d, const struct dev_field *f, unsigned i)
{
    const u8 *at = (const u8 *)d + f->offset + (size_t)i * f->width;

    switch (f->width) {
    case 1: return *at;
    case 2: return *(const u16 *)(const void *)at;
    case 4: return *(const u32 *)(const void *)at;
    default: return *(const u64 *)(const void *)at;
    }
}

static void field_set(struct dev *d, const struct dev_field *f, unsigned i, u64 value)
{
    u8 *at = (u8 *)d + f->offset + (size_t)i * f->width;

    switch (f->width) {
    case 1: *at = (u8)value; break;
    case 2: *(u16 *)(void *)at = (u16)value; break;
    case 4: *(u32 *)(void *)at = (u32)value; break;
    default: *(u64 *)(void *)at = value; break;
    }
}

size_t dev_save(const struct dev *d, u8 *buf, size_t cap)
{
    size_t total = 0;

    for (const struct dev_field *f = d->cls->fields; f && f->name; f++)
        total += field_size(f);
    if (total > cap || !buf)
        return total;
    for (const struct dev_field *f = d->cls->fields; f && f->name; f++) {
        size_t name_len = strlen(f->name);

        *buf++ = (u8)name_len;
        memcpy(buf, f->name, name_len);
        buf += name_len;
        *buf++ = f->width;
        st_le16(buf, f->count);
        buf += 2;
        for (unsigned i = 0; i < f->count; i++, buf += f->width)
            st_le(buf, field_get(d, f, i), f->width);
    }
    return total;
}

/* One record of the stream, bounds checked. */
struct record {
    const char *name;
    size_t name_len;
    unsigned width, count;
    const u8 *values;
};

static bool record_next(const u8 **buf, size_t *len, struct record *r)
{
    size_t head;

    if (*len < 1 || *len < 1u + **buf + 3u)
        return false;
    r->name_len = **buf;
    r->name = (const char *)*buf + 1;
    r->width = (*buf)[1 + r->name_len];
    r->count = ld_le16(*buf + 2 + r->name_len);
    head = r->name_len + 4;
    r->values = *buf + head;
    if ((size_t)r->width * r->count > *len - head)
        return false;
    *buf += head + (size_t)r->width * r->count;
    *len -= head + (size_t)r->width * r->count;
    return true;
}

/* The row that the record is of, or NULL. */
static const struct dev_field *record_field(const struct dev *d, const struct record *r)
{
    for (const struct dev_field *f = d->cls->fields; f && f->name; f++)
        if (strlen(f->name) == r->name_len && !memcmp(f->name, r->name, r->name_len))
            return f;
    return NULL;
}

static bool record_check(const struct dev *d, const struct record *r, const struct dev_field *f,
                         struct err *e)
{
    if (r->width != f->width || r->count != f->count)
        return err_usage(e, "state of %s: %s has another size", d->cls->name, f->name);
    for (unsigned i = 0; i < f->count; i++) {
        u64 v = ld_le(r->values + (size_t)i * f->width, f->width);

        if (v < f->min || v > f->max)
            return err_usage(e, "state of %s: %s[%u]=%#llx is out of range (%#llx to %#llx)",
                             d->cls->name, f->name, i, (unsigned long long)v,
                             (unsigned long long)f->min, (unsigned long long)f->max);
    }
    return true;
}

static bool state_check(const struct dev *d, const u8 *buf, size_t len, struct err *e)
{
    u8 seen[MAX_FIELDS] = {0};
    struct record r;

    while (len) {
        const struct dev_field *f;

        if (!record_next(&buf, &len, &r))
            return err_usage(e, "state of %s is cut off", d->cls->name);
        f = record_field(d, &r);
        if (!f)
            return err_usage(e, "state of %s has an unknown field", d->cls->name);
        BUG_ON(f - d->cls->fields >= MAX_FIELDS);
        if (seen[f - d->cls->fields]++)
            return err_usage(e, "state of %s has %s twice", d->cls->name, f->name);
        if (!record_check(d, &r, f, e))
            return false;
    }
    for (const struct dev_field *f = d->cls->fields; f && f->name; f++)
        if (!seen[f - d->cls->fields])
            return err_usage(e, "state of %s lacks %s", d->cls->name, f->name);
    return true;
}

bool dev_load(struct dev *d, const u8 *buf, size_t len, struct err *e)
{
    struct record r;

    if (!state_check(d, buf, len, e))
        return false;
    while (len && record_next(&buf, &len, &r)) {
        const struct dev_field *f = record_field(d, &r);

        for (unsigned i = 0; i < f->count; i++)
            field_set(d, f, i, ld_le(r.values + (size_t)i * f->width, f->width));
    }
    if (d->cls->loaded)
        d->cls->loaded(d);
    return true;
}

/* --- listing ---------------------------------------------------------------------------------- */

static void info_field(const struct dev *d, const struct dev_field *f, FILE *out)
{
    fprintf(out, "  %-24s", f->name);
    for (unsigned i = 0; i < f->count; i++) {
        if (i && i % 16 == 0)
            fprintf(out, "\n  %-24s", "");
        fprintf(out, " %0*llx", f->width * 2, (unsigned long long)field_get(d, f, i));
    }
    fprintf(out, "  %s\n", f->doc);
}

void dev_info(const struct dev *d, FILE *out)
{
    fprintf(out, "%s: %s\n", d->cls->name, d->cls->doc);
    for (const struct dev_prop *p = d->cls->props; p && p->name; p++)
        fprintf(out, "  property %-15s %s\n", p->name, p->doc);
    for (const struct dev_field *f = d->cls->fields; f && f->name; f++)
        info_field(d, f, out);
    if (d->cls->info)
        d->cls->info(d, out);
}
