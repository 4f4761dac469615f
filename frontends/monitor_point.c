/* monitor_point.c: breakpoints, watchpoints and what else stops the guest. */
#include "frontends/monitor_impl.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---------------------------------------------------------------------------------- */

/* "if CONDITION", or nothing. */
static bool parse_condition(struct monitor *m, const char *p, struct expr **cond, struct err *e)
{
    *cond = NULL;
    if (strncmp(p, "if", 2) || !isspace((unsigned char)p[2]))
        return monitor_no_more(p, e);
    *cond = expr_parse(p + 3 + strspn(p + 3, " "), &m->names, e);
    return *cond != NULL;
}

static void print_point(struct monitor *m, const struct debug_point *p)
{
    char symbol[128];

    fprintf(m->out, "%u: %s", p->id, debug_kind_name(p->kind));
    if (p->kind == DEBUG_EXCP)
        fprintf(m->out, " %s", vm_exception_name((unsigned)p->first));
    else if (p->kind != DEBUG_MODE && (p->first || p->last != ~0ull))
        fprintf(m->out, " %#" PRIx64, p->first);
    if (p->kind == DEBUG_CODE)
        fputs(monitor_symbol(m, p->first, symbol), m->out);
    else if (p->last != p->first && p->last != ~0ull)
        fprintf(m->out, " to %#" PRIx64, p->last);
    if (p->cond)
        fprintf(m->out, " if %s", expr_text(p->cond));
    fprintf(m->out, "%s%s%s", p->temporary ? ", once" : "", p->enabled ? "" : ", disabled",
            p->foreign ? ", gdb's" : "");
}

/* Adds what is filled in but for the condition, which stands at `rest`. */
static bool add(struct monitor *m, struct debug_point p, const char *rest, struct err *e)
{
    struct debug_point *new;

    p.enabled = true;
    if (!parse_condition(m, rest, &p.cond, e))
        return false;
    new = debug_add(m->vm, &p, e);
    if (!new)
        return false;
    print_point(m, new);
    fputc('\n', m->out);
    return true;
}

static bool ends_word(char c)
{
    return !c || isspace((unsigned char)c);
}

/* #PF, #14 */
static bool parse_exception(const char **p, u64 *vector, struct err *e)
{
    const char *name = *p + 1;
    char *end;

    if (isdigit((unsigned char)*name)) {
        *vector = strtoul(name, &end, 10);
        *p = end;
        if (*vector < 256 && ends_word(*end))
            return true;
        return err_usage(e, "vectors are #0 to #255");
    }
    for (unsigned v = 0; v < 32; v++) {
        const char *known = vm_exception_name(v);

        if (*known == '#' && !strncmp(known + 1, name, 2) && ends_word(name[2])) {
            *vector = v;
            *p = name + 2;
            return true;
        }
    }
    err_usage(e, "no exception has the name '%.8s'", *p);
    return err_hint(e, "they are those of the manual, #DE to #XM, or numbers: #14");
}

/* hypercall [NAME:][NUMBER]: NAME has to be the personality's. */
static bool parse_hypercall(struct monitor *m, const char **p, struct debug_point *point,
                            struct err *e)
{
    const char *name = vm_pv_name(m->vm);
    size_t len = strlen(name), word = strcspn(*p, ": \t");

    *point = (struct debug_point){.kind = DEBUG_HYPERCALL, .last = ~0ull};
    if ((*p)[word] == ':') {
        if (word != len || strncmp(*p, name, len))
            return err_usage(e, "the guest's personality is %s", name);
        *p += word + 1;
    }
    if (!isdigit((unsigned char)**p))
        return true;
    if (!monitor_value(m, p, &point->first, e))
        return false;
    point->last = point->first;
    return true;
}

static bool add_break(struct monitor *m, const char *p, bool temporary, struct err *e)
{
    struct debug_point point = {.kind = DEBUG_CODE};

    if (!strncmp(p, "hypercall", 9) && ends_word(p[9])) {
        for (p += 9; isspace((unsigned char)*p); p++)
            ;
        if (!parse_hypercall(m, &p, &point, e))
            return false;
    } else if (*p == '#') {
        point.kind = DEBUG_EXCP;
        if (!parse_exception(&p, &point.first, e))
            return false;
        point.last = point.first;
    } else {
        if (!monitor_value(m, &p, &point.first, e))
            return false;
        point.last = point.first;
    }
    point.temporary = temporary;
    while (isspace((unsigned char)*p))
        p++;
    return add(m, point, p, e);
}

bool cmd_break(struct monitor *m, const char *args, struct err *e)
{
    return *args ? add_break(m, args, false, e) : info_break(m, args, e);
}

bool cmd_tbreak(struct monitor *m, const char *args, struct err *e)
{
    return add_break(m, args, true, e);
}

/* *(u16 *)ADDRESS is ADDRESS, and two bytes. */
static unsigned typed_length(const char **p)
{
    static const char *const types[] = {"u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"};
    const char *q = *p;

    if (!monitor_char(&q, '*') || !monitor_char(&q, '('))
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        size_t len = strlen(types[i]);
        const char *r = q + len;

        if (!strncmp(q, types[i], len) && monitor_char(&r, '*') && monitor_char(&r, ')')) {
            *p = r;
            return 1u << (i & 3);
        }
    }
    return 0;
}

static bool add_watch(struct monitor *m, const char *p, enum debug_kind kind, struct err *e)
{
    u64 at, len = typed_length(&p);
    bool typed = len;

    if (!monitor_value(m, &p, &at, e))
        return false;
    if (!typed)
        len = 4;
    if (!typed && monitor_char(&p, ',') && !monitor_value(m, &p, &len, e))
        return false;
    if (!len || at + len - 1 < at)
        return err_usage(e, "no such range");
    return add(m, (struct debug_point){.kind = kind, .first = at, .last = at + len - 1}, p, e);
}

bool cmd_watch(struct monitor *m, const char *args, struct err *e)
{
    return add_watch(m, args, DEBUG_WRITE, e);
}

bool cmd_rwatch(struct monitor *m, const char *args, struct err *e)
{
    return add_watch(m, args, DEBUG_READ, e);
}

bool cmd_awatch(struct monitor *m, const char *args, struct err *e)
{
    return add_watch(m, args, DEBUG_ACCESS, e);
}

bool cmd_iobreak(struct monitor *m, const char *args, struct err *e)
{
    u64 port, count = 1;

    if (!monitor_value(m, &args, &port, e) ||
        (monitor_char(&args, ',') && !monitor_value(m, &args, &count, e)))
        return false;
    if (!count || port > 0xffff || count > 0x10000 - port)
        return err_usage(e, "ports are 0 to 0xffff");
    return add(m, (struct debug_point){.kind = DEBUG_IO, .first = port, .last = port + count - 1},
               args, e);
}

bool cmd_msrbreak(struct monitor *m, const char *args, struct err *e)
{
    u64 nr;

    return monitor_value(m, &args, &nr, e) &&
           add(m, (struct debug_point){.kind = DEBUG_MSR, .first = nr, .last = nr}, args, e);
}

bool cmd_modebreak(struct monitor *m, const char *args, struct err *e)
{
    return add(m, (struct debug_point){.kind = DEBUG_MODE, .last = ~0ull}, args, e);
}

/* ---- what there is --------------------------------------------------------------------------- */

bool info_break(struct monitor *m, const char *args, struct err *e)
{
    const struct debug_point *p = debug_first(m->vm);

    if (!monitor_no_more(args, e))
        return false;
    if (!p)
        fprintf(m->out, "no points\n");
    for (; p; p = p->next) {
        print_point(m, p);
        if (p->hits)
            fprintf(m->out, ", hit %" PRIu64 " time%s", p->hits, p->hits == 1 ? "" : "s");
        if (p->ignore > p->hits)
            fprintf(m->out, ", %" PRIu64 " more are ignored", p->ignore - p->hits);
        fputc('\n', m->out);
    }
    return true;
}

/* The point whose number stands at *p. NULL with an error. */
static struct debug_point *point_at(struct monitor *m, const char **p, struct err *e)
{
    struct debug_point *point;
    char *end;
    unsigned long id = strtoul(*p, &end, 10);

    if (!id) { /* no expression: what follows may be one */
        err_usage(e, "the number of a point is missing");
        err_hint(e, "'info break' lists them");
        return NULL;
    }
    for (*p = end; isspace((unsigned char)**p); (*p)++)
        ;
    point = debug_find(m->vm, (unsigned)id);
    if (!point)
        err_usage(e, "there is no point %lu", id);
    return point;
}

bool cmd_delete(struct monitor *m, const char *args, struct err *e)
{
    struct debug_point *next;

    for (struct debug_point *p = debug_first(m->vm); !*args && p; p = next) {
        next = p->next;
        if (!p->foreign)
            debug_remove(m->vm, p);
    }
    while (*args) {
        struct debug_point *p = point_at(m, &args, e);

        if (!p)
            return false;
        debug_remove(m->vm, p);
    }
    return true;
}

bool cmd_condition(struct monitor *m, const char *args, struct err *e)
{
    struct debug_point *p = point_at(m, &args, e);
    struct expr *cond = NULL;

    if (!p)
        return false;
    if (*args && !(cond = expr_parse(args, &m->names, e)))
        return false;
    expr_free(p->cond);
    p->cond = cond;
    print_point(m, p);
    fputc('\n', m->out);
    return true;
}

bool cmd_ignore(struct monitor *m, const char *args, struct err *e)
{
    struct debug_point *p = point_at(m, &args, e);
    u64 count;

    if (!p || !monitor_only_value(m, args, &count, e))
        return false;
    p->ignore = p->hits + count;
    return true;
}

static bool set_enabled(struct monitor *m, const char *args, bool on, struct err *e)
{
    struct debug_point *p = point_at(m, &args, e);

    if (!p || !monitor_no_more(args, e))
        return false;
    p->enabled = on;
    debug_changed(m->vm);
    return true;
}

bool cmd_enable(struct monitor *m, const char *args, struct err *e)
{
    return set_enabled(m, args, true, e);
}

bool cmd_disable(struct monitor *m, const char *args, struct err *e)
{
    return set_enabled(m, args, false, e);
}
