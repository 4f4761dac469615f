/* monitor_mem.c: memory and values: x, xp, print, set, find, dump, disas. */
#define _GNU_SOURCE /* memmem */
#include "base/bits.h"
#include "frontends/monitor_impl.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 4096u
#define COPY_MAX (1u << 30) /* of find and dump */

struct format {
    u64 count;
    char kind; /* x d u o c s i */
    unsigned size;
    bool given;
};

/* /4xw: in any order but the count first. */
static bool parse_format(const char **p, struct format *f, struct err *e)
{
    char *end;

    if (!monitor_char(p, '/'))
        return true;
    f->given = true;
    if (isdigit((unsigned char)**p)) {
        f->count = strtoull(*p, &end, 10);
        *p = end;
    }
    for (; isalpha((unsigned char)**p); (*p)++) {
        static const char sizes[] = "bhwg";
        const char *size = strchr(sizes, **p);

        if (size)
            f->size = 1u << (size - sizes);
        else if (strchr("xduocsi", **p))
            f->kind = **p;
        else
            return err_usage(e, "no format: '%c'", **p);
    }
    while (isspace((unsigned char)**p))
        (*p)++;
    return f->count <= COUNT_MAX || err_usage(e, "at most %u", COUNT_MAX);
}

static void print_number(FILE *out, u64 v, const struct format *f)
{
    unsigned shift = 64 - 8 * f->size;

    switch (f->kind) {
    case 'd': fprintf(out, "%" PRId64, (s64)(v << shift) >> shift); break;
    case 'u': fprintf(out, "%" PRIu64, v); break;
    case 'o': fprintf(out, "0%" PRIo64, v); break;
    case 'c': fprintf(out, v < 128 && isprint((int)v) ? "'%c'" : "%d", (int)v); break;
    default: fprintf(out, "0x%0*" PRIx64, (int)(2 * f->size), v); break;
    }
}

/* ---- x and xp -------------------------------------------------------------------------------- */

static size_t read_at(struct monitor *m, bool physical, u64 at, void *buf, size_t len)
{
    return physical ? debug_read_phys(m->vm, at, buf, len)
                    : debug_read(monitor_cpu(m), at, buf, len);
}

static void no_memory(struct monitor *m, u64 at)
{
    fprintf(m->out, "%#" PRIx64 ": not mapped\n", at);
}

/* Lines of 16 bytes. */
static void examine_numbers(struct monitor *m, bool physical, u64 *at, const struct format *f)
{
    unsigned per_line = f->kind == 'c' || f->size == 1 ? 8 : 16 / f->size;

    for (u64 i = 0; i < f->count; i++, *at += f->size) {
        char symbol[128];
        u8 b[8] = {0};

        if (read_at(m, physical, *at, b, f->size) != f->size) {
            if (i % per_line)
                fputc('\n', m->out);
            no_memory(m, *at);
            return;
        }
        if (i % per_line == 0)
            fprintf(m->out, "%#" PRIx64 "%s:", *at, physical ? "" : monitor_symbol(m, *at, symbol));
        fputc(' ', m->out);
        print_number(m->out, ld_le64(b), f);
        if (i % per_line == per_line - 1 || i + 1 == f->count)
            fputc('\n', m->out);
    }
}

static void examine_strings(struct monitor *m, bool physical, u64 *at, u64 count)
{
    for (u64 i = 0; i < count; i++) {
        u8 c = 0;

        fprintf(m->out, "%#" PRIx64 ": \"", *at);
        for (unsigned n = 0; n < 256 && read_at(m, physical, *at, &c, 1) == 1 && c; n++, (*at)++)
            fprintf(m->out, isprint(c) && c != '"' && c != '\\' ? "%c" : "\\x%02x", c);
        fprintf(m->out, "\"\n");
        (*at)++;
    }
}

static bool examine_code(struct monitor *m, u64 *at, u64 count)
{
    gva_t pc = reg_pc(monitor_cpu(m));

    for (u64 i = 0; i < count; i++) {
        fputs(*at == pc ? "=> " : "   ", m->out);
        unsigned len = monitor_insn(m, m->out, *at);
        if (!len)
            break;
        *at += len;
    }
    return true;
}

static bool examine(struct monitor *m, const char *p, bool physical, struct err *e)
{
    struct format f = {.count = 1, .kind = 'x', .size = 4};
    u64 at = m->x_next;

    if (!parse_format(&p, &f, e) || (*p && !monitor_only_value(m, p, &at, e)))
        return false;
    if (f.kind == 'c')
        f.size = 1;
    if (f.kind == 'i' && physical)
        return err_usage(e, "instructions are read at linear addresses: x /i");
    if (f.kind == 'i')
        examine_code(m, &at, f.count);
    else if (f.kind == 's')
        examine_strings(m, physical, &at, f.count);
    else
        examine_numbers(m, physical, &at, &f);
    m->x_next = at;
    return true;
}

bool cmd_x(struct monitor *m, const char *args, struct err *e)
{
    return examine(m, args, false, e);
}

bool cmd_xp(struct monitor *m, const char *args, struct err *e)
{
    return examine(m, args, true, e);
}

bool cmd_disas(struct monitor *m, const char *args, struct err *e)
{
    u64 at = reg_pc(monitor_cpu(m)), count = 10;

    if (*args && (!monitor_value(m, &args, &at, e) ||
                  (monitor_char(&args, ',') && !monitor_value(m, &args, &count, e))))
        return false;
    if (count > COUNT_MAX)
        return err_usage(e, "at most %u", COUNT_MAX);
    return monitor_no_more(args, e) && examine_code(m, &at, count);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* A register of more than 64 bits is no number of an expression, but can be printed. */
static bool print_wide(struct monitor *m, const char *p)
{
    const struct reg *r = reg_find(p + (*p == '$'), strlen(p + (*p == '$')));
    union vec v;

    if (!r || r->bits <= 64)
        return false;
    reg_read(monitor_cpu(m), r, &v);
    fprintf(m->out, "0x");
    for (unsigned i = r->bits / 8u; i-- > 0;)
        fprintf(m->out, "%02x%s", v.b[i], i && i % 8 == 0 ? "_" : "");
    fputc('\n', m->out);
    return true;
}

bool cmd_print(struct monitor *m, const char *args, struct err *e)
{
    struct format f = {.count = 1, .kind = 'x', .size = 8};
    char symbol[128];
    u64 v;

    if (!parse_format(&args, &f, e))
        return false;
    if (print_wide(m, args))
        return true;
    if (!monitor_only_value(m, args, &v, e))
        return false;
    if (f.given)
        print_number(m->out, v, &f);
    else
        fprintf(m->out, "%#" PRIx64 " = %" PRIu64 "%s", v, v, monitor_symbol(m, v, symbol));
    fputc('\n', m->out);
    return true;
}

/* *(u16 *)ADDRESS = VALUE, which the caller has cut at the '='. */
static bool set_memory(struct monitor *m, const char *left, u64 v, struct err *e)
{
    unsigned size = reg_code_bits(monitor_cpu(m)) / 8, bits;
    u8 bytes[8];
    u64 at;
    int n = 0;

    if (sscanf(left, "* ( %*[us]%u * ) %n", &bits, &n) == 1 && n)
        size = bits / 8;
    else
        n = 1;
    if (size != 1 && size != 2 && size != 4 && size != 8)
        return err_usage(e, "types are u8, u16, u32 and u64");
    if (!monitor_only_value(m, left + n, &at, e))
        return false;
    st_le64(bytes, v);
    if (debug_write(monitor_cpu(m), at, bytes, size) != size)
        return err_usage(e, "%#" PRIx64 " is not RAM", at);
    return true;
}

bool cmd_set(struct monitor *m, const char *args, struct err *e)
{
    const char *equals = strchr(args, '=');
    char left[MONITOR_LINE];
    union vec value = {0};
    size_t len;

    if (!equals || !monitor_only_value(m, equals + 1, &value.q[0], e))
        return equals ? false : err_usage(e, "a '=' and a value are missing");
    len = (size_t)(equals - args);
    memcpy(left, args, len);
    while (len && isspace((unsigned char)left[len - 1]))
        len--;
    left[len] = 0;
    if (*left == '*')
        return set_memory(m, left, value.q[0], e);
    const struct reg *r = reg_find(left + (*left == '$'), strlen(left + (*left == '$')));
    if (!r)
        return err_usage(e, "no register has the name '%.40s'", left);
    if (!reg_write(monitor_cpu(m), r, &value))
        return err_usage(e, "%s cannot have this value", r->name);
    return true;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static bool parse_range(struct monitor *m, const char **p, u64 *at, u64 *len, struct err *e)
{
    if (!monitor_value(m, p, at, e))
        return false;
    if (!monitor_char(p, ','))
        return err_usage(e, "a length is missing: ADDRESS,LENGTH");
    if (!monitor_value(m, p, len, e))
        return false;
    return (*len && *len <= COPY_MAX) || err_usage(e, "a length is 1 to %u", COPY_MAX);
}

/* "TEXT", or bytes in hexadecimal. */
static bool parse_pattern(const char *p, u8 *bytes, size_t *count, struct err *e)
{
    size_t len = strlen(p);
    char *end;

    *count = 0;
    if (*p == '"' && len > 2 && p[len - 1] == '"') {
        *count = len - 2;
        memcpy(bytes, p + 1, *count);
        return true;
    }
    for (; *p; p = end) {
        unsigned long v = strtoul(p, &end, 16);

        if (end == p || v > 0xff)
            return err_usage(e, "look for \"TEXT\", or bytes in hexadecimal: 55 aa");
        bytes[(*count)++] = (u8)v;
        end += strspn(end, " ");
    }
    return *count || err_usage(e, "look for what?");
}

#define FOUND_MAX 50u

/* What is not mapped is passed over, page by page. */
bool cmd_find(struct monitor *m, const char *args, struct err *e)
{
    u8 pattern[MONITOR_LINE], page[2 * PAGE_SIZE];
    u64 at, len, end;
    size_t count;
    unsigned found = 0;

    if (!parse_range(m, &args, &at, &len, e) || !parse_pattern(args, pattern, &count, e))
        return false;
    for (end = at + len; at < end && found < FOUND_MAX; at += PAGE_SIZE - (at & ~PAGE_MASK)) {
        u64 room = PAGE_SIZE - (at & ~PAGE_MASK) + count - 1;
        size_t have = debug_read(monitor_cpu(m), at, page, room < end - at ? room : end - at);
        const u8 *hit = page;

        while (found < FOUND_MAX &&
               (hit = memmem(hit, have - (size_t)(hit - page), pattern, count))) {
            fprintf(m->out, "%#" PRIx64 "\n", at + (u64)(hit++ - page));
            found++;
        }
    }
    if (!found)
        fprintf(m->out, "nowhere\n");
    return true;
}

bool cmd_dump(struct monitor *m, const char *args, struct err *e)
{
    u8 page[PAGE_SIZE];
    u64 at, len;

    if (!parse_range(m, &args, &at, &len, e))
        return false;
    if (!*args)
        return err_usage(e, "a file is missing");
    FILE *f = fopen(args, "wbe");
    bool ok = f != NULL;
    for (u64 n, done = 0; ok && done < len; done += n) {
        n = len - done < sizeof page ? len - done : sizeof page;
        if (debug_read(monitor_cpu(m), at + done, page, n) != n) {
            fclose(f);
            return err_usage(e, "no memory at %#" PRIx64, at + done);
        }
        ok = fwrite(page, 1, n, f) == n;
    }
    if (f && fclose(f))
        ok = false;
    return ok || err_host(e, "%s: %s", args, strerror(errno));
}
