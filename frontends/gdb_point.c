/* gdb_point.c: gdb's breakpoints and watchpoints, with the conditions that it leaves to us. */
#include "frontends/gdb_impl.h"

#include <stdlib.h>
#include <string.h>

#define CONDITIONS_MAX 8u
#define CODE_MAX 2048u /* bytes of all conditions of a point */

struct gdb_conditions {
    struct gdb_desc_reg regs[GDB_DESC_MAX]; /* what numbers in the bytecode mean */
    unsigned reg_count, count;
    size_t len[CONDITIONS_MAX];
    u8 code[CODE_MAX];
};

/* One that holds is enough. */
static bool test(void *opaque, struct cpu *cpu)
{
    const struct gdb_conditions *c = opaque;
    size_t at = 0;

    for (unsigned i = 0; i < c->count; at += c->len[i++])
        if (gdb_agent_eval(c->regs, c->reg_count, cpu, c->code + at, c->len[i]))
            return true;
    return !c->count;
}

/* ;X len,bytes for each condition. NULL with *ok: there is none. */
static struct gdb_conditions *parse_conditions(const struct gdb *g, const char *p, bool *ok)
{
    struct gdb_conditions *c = calloc(1, sizeof *c);
    size_t used = 0;

    BUG_ON(!c);
    *ok = true;
    gdb_char(&p, ';');
    while (*ok && gdb_char(&p, 'X')) {
        u64 len;

        *ok = c->count < CONDITIONS_MAX && gdb_hex(&p, &len) && gdb_char(&p, ',') &&
              len <= CODE_MAX - used && gdb_hex_bytes(&p, c->code + used, len) == len;
        if (!*ok)
            break;
        c->len[c->count++] = len;
        used += len;
    }
    *ok = *ok && !*p;
    if (*ok && c->count) {
        memcpy(c->regs, g->regs, sizeof c->regs);
        c->reg_count = g->reg_count;
        return c;
    }
    free(c);
    return NULL;
}

static struct debug_point *find(struct gdb *g, const struct debug_point *like)
{
    for (struct debug_point *p = debug_first(g->d->vm); p; p = p->next)
        if (p->foreign && p->kind == like->kind && p->first == like->first && p->last == like->last)
            return p;
    return NULL;
}

void gdb_remove_points(struct gdb *g)
{
    struct debug_point *next;

    for (struct debug_point *p = debug_first(g->d->vm); p; p = next) {
        next = p->next;
        if (p->foreign)
            debug_remove(g->d->vm, p);
    }
}

static bool parse_point(const char **p, struct debug_point *point)
{
    static const enum debug_kind kinds[] = {DEBUG_CODE, DEBUG_CODE, DEBUG_WRITE, DEBUG_READ,
                                            DEBUG_ACCESS};
    u64 type, at, len;

    if (!gdb_hex(p, &type) || !gdb_char(p, ',') || !gdb_hex(p, &at) || !gdb_char(p, ',') ||
        !gdb_hex(p, &len) || type >= ARRAY_SIZE(kinds))
        return false;
    *point = (struct debug_point){
        .kind = kinds[type], .first = at, .last = at, .enabled = true, .foreign = true};
    if (point->kind != DEBUG_CODE)
        point->last = at + (len ? len - 1 : 0);
    return point->last >= at;
}

/* type,address,kind[;conditions] */
void gdb_point(struct gdb *g, const char *p, bool insert)
{
    struct debug_point point, *old;
    struct gdb_conditions *c;
    bool ok;

    if (*p >= '5' && *p <= '9') /* not of this protocol's: not supported */
        return;
    if (!parse_point(&p, &point)) {
        gdb_error(g, 22);
        return;
    }
    old = find(g, &point);
    if (old) /* a second time: with other conditions */
        debug_remove(g->d->vm, old);
    if (!insert) {
        gdb_put(g, "OK");
        return;
    }
    c = parse_conditions(g, p, &ok);
    point.test = c ? test : NULL;
    point.opaque = c;
    point.release = c ? free : NULL;
    if (ok && debug_add(g->d->vm, &point, NULL)) {
        gdb_put(g, "OK");
        return;
    }
    free(c);
    gdb_error(g, 28);
}
