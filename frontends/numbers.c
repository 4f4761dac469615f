/* numbers.c: see numbers.h. */
#include "frontends/numbers.h"

#include "frontends/report.h"
#include "machine/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CAUSES 10u /* of exits that are shown, the most frequent first */

static PRINTF_LIKE(2, 3) void add(struct numbers *n, const char *fmt, ...)
{
    va_list ap;

    if (n->lines == NUMBERS_LINES)
        return;
    va_start(ap, fmt);
    vsnprintf(n->line[n->lines++], NUMBERS_COLUMNS, fmt, ap);
    va_end(ap);
}

static void add_rate(struct numbers *n, const char *name, double per_second)
{
    char text[16];

    add(n, "  %-22.22s %12s/s", name, report_number(text, per_second));
}

/* -1: there is no such fact, as the engine is the interpreter. */
static double fact(const struct vm *vm, const char *name)
{
    struct vm_fact facts[VM_FACTS_MAX];
    unsigned count = vm_engine_facts(vm, facts);

    for (unsigned i = 0; i < count; i++)
        if (!strcmp(facts[i].name, name))
            return facts[i].value;
    return -1;
}

static void add_speed(struct numbers *n, struct vm *vm, double seconds)
{
    u64 icount = vm_icount(vm), insns = icount - n->icount;
    double executed = fact(vm, "executed");

    n->mips = (double)insns / seconds / 1e6;
    add(n, "%.1f MIPS", n->mips);
    if (executed < 0)
        add(n, "interpreter");
    else if (insns)
        add(n, "%.1f %% in translated code", 100 * (executed - n->executed) / (double)insns);
    n->icount = icount;
    n->executed = executed;
}

/* Which of the classes that are left has the most; STAT_COUNT: none has any. */
static unsigned most(const u64 left[STAT_COUNT])
{
    unsigned best = STAT_COUNT;

    for (unsigned i = 0; i < STAT_COUNT; i++)
        if (left[i] && (best == STAT_COUNT || left[i] > left[best]))
            best = i;
    return best;
}

static void add_exits(struct numbers *n, struct vm *vm, double seconds)
{
    const struct stats *st = vm_stats(vm);
    u64 fresh[STAT_COUNT], sum = 0;
    char text[16];

    for (unsigned i = 0; i < STAT_COUNT; i++) {
        u64 exits = st->served[i][SERVED_EXIT] + st->served[i][SERVED_IO];

        fresh[i] = exits - n->exits[i];
        n->exits[i] = exits;
        sum += fresh[i];
    }
    add(n, "exits %s/s", report_number(text, (double)sum / seconds));
    for (unsigned shown = 0, i; shown < CAUSES && (i = most(fresh)) < STAT_COUNT; shown++) {
        add_rate(n, stat_name(i), (double)fresh[i] / seconds);
        fresh[i] = 0;
    }
}

static void add_pv(struct numbers *n, const struct vm *vm, double seconds)
{
    const char *name, *doc;
    u64 count;
    bool on;

    if (!vm_pv_feature(vm, 0, &name, &doc, &on, &count))
        return;
    add(n, "%s", vm_pv_name(vm));
    for (unsigned i = 0; i < NUMBERS_PV_MAX && vm_pv_feature(vm, i, &name, &doc, &on, &count);
         i++) {
        if (on && count)
            add_rate(n, name, (double)(count - n->pv[i]) / seconds);
        n->pv[i] = count;
    }
}

static void add_line(void *opaque, const char *text)
{
    add(opaque, "%s", text);
}

void numbers_take(struct numbers *n, struct vm *vm, u64 now_ns)
{
    double seconds = n->at_ns ? (double)(now_ns - n->at_ns) / 1e9 : 1;

    n->lines = 0;
    add_speed(n, vm, seconds);
    rings_lines(&n->rings, vm, add_line, n);
    add_exits(n, vm, seconds);
    add_pv(n, vm, seconds);
    n->at_ns = now_ns;
}
