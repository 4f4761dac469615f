/*
 * compare.c: `parallax compare`: the same guest under several personalities, interleaved (A B C A B
 * C), so that a host that warms up or slows down does so for all of them alike.
 *
 * Not here: one run (measure.c), the tables (compare_report.c).
 */
#include "frontends/compare.h"

#include "frontends/compare_report.h"
#include "frontends/report.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PV_LIST "none,null,kvm"
#define DEFAULT_RUNS 5 /* one run that was disturbed moves no quartile */
#define MAX_RUNS 1000

/* "none,kvm,kvm,-pv-eoi": a word that begins with + or - belongs to the personality before it.
 * Cuts `list` in place. */
static bool parse_pv_list(struct comparison *cmp, char *list, struct err *e)
{
    char *at = list;

    while (*at) {
        char *end = at;

        if (*at == ',' || *at == '-' || *at == '+') {
            err_usage(e, "-pv-list: a name of a personality is missing before '%s'", at);
            return err_hint(e, "-pv-list none,null,kvm; '-pv help' lists them");
        }
        if (cmp->count == MAX_PERSONALITIES)
            return err_usage(e, "-pv-list: more than %d personalities", MAX_PERSONALITIES);
        cmp->side[cmp->count++].pv = at;
        do
            end += 1 + strcspn(end + 1, ",");
        while (*end && (end[1] == '-' || end[1] == '+'));
        at = *end ? end + 1 : end;
        *end = 0;
    }
    if (!cmp->count)
        return err_usage(e, "-pv-list is empty");
    return true;
}

static void choose_reference(struct comparison *cmp)
{
    for (unsigned i = 0; i < cmp->count; i++)
        if (!strcmp(cmp->side[i].pv, "none")) {
            cmp->reference = i;
            return;
        }
}

static bool allocate(struct comparison *cmp, struct err *e)
{
    for (unsigned i = 0; i < cmp->count; i++) {
        cmp->side[i].runs = calloc(cmp->runs, sizeof *cmp->side[i].runs);
        if (!cmp->side[i].runs)
            return err_host(e, "no memory for %u runs", cmp->runs);
    }
    return true;
}

struct progress {
    const struct comparison *cmp;
    unsigned done, side;
    u64 spent_ns;
};

static void tick(void *opaque, u64 elapsed_ns)
{
    const struct progress *p = opaque;
    unsigned total = p->cmp->count * p->cmp->runs;

    if (!p->done) {
        progress_show("run 1 of %u (%s): %.0f s", total, p->cmp->side[p->side].pv,
                      (double)elapsed_ns / 1e9);
        return;
    }
    double each = (double)p->spent_ns / p->done;
    double left = each * (total - p->done) - (double)elapsed_ns;

    progress_show("run %u of %u (%s): %.0f s, about %.0f s left", p->done + 1, total,
                  p->cmp->side[p->side].pv, (double)elapsed_ns / 1e9, left > 0 ? left / 1e9 : 0);
}

static bool run_one(struct comparison *cmp, struct progress *p, unsigned run, struct err *e)
{
    struct measured *m = &cmp->side[p->side].runs[run];
    struct measure_job job = {
        .config = cmp->config,
        .pv = cmp->side[p->side].pv,
        .tick = tick,
        .opaque = p,
    };
    bool ok;

    tick(p, 0);
    ok = measure_run(&job, m, e);
    progress_clear();
    p->done++;
    p->spent_ns += m->wall_ns;
    return ok && measure_check(&job, m, e);
}

/* A mistyped last name must not be found out after the runs of the first. */
static bool try_all(const struct comparison *cmp, struct err *e)
{
    struct measured *m = &cmp->side[0].runs[0];

    for (unsigned i = 0; i < cmp->count; i++) {
        struct measure_job job = {.config = cmp->config, .pv = cmp->side[i].pv, .only_create = true};

        if (!measure_run(&job, m, e))
            return false;
    }
    return true;
}

static bool run_all(struct comparison *cmp, struct err *e)
{
    struct progress p = {.cmp = cmp};

    for (unsigned run = 0; run < cmp->runs; run++)
        for (p.side = 0; p.side < cmp->count; p.side++)
            if (!run_one(cmp, &p, run, e))
                return false;
    return true;
}

static bool prepare(struct comparison *cmp, struct config *c, const struct options *o, char **list,
                    struct err *e)
{
    u64 runs = DEFAULT_RUNS;

    if (!config_from_options(c, o, e))
        return false;
    if (o->given[OPT_RUNS] && !options_u64(OPT_RUNS, o->value[OPT_RUNS], 1, MAX_RUNS, &runs, e))
        return false;
    cmp->config = c;
    cmp->runs = (unsigned)runs;
    *list = strdup(o->given[OPT_PV_LIST] ? o->value[OPT_PV_LIST] : DEFAULT_PV_LIST);
    if (!*list)
        return err_host(e, "out of memory");
    if (!parse_pv_list(cmp, *list, e))
        return false;
    choose_reference(cmp);
    if (o->given[OPT_JSON] && !report_check_writable(o->value[OPT_JSON], e))
        return false;
    return allocate(cmp, e);
}

static bool write_json(const struct comparison *cmp, const char *path, int argc, char **argv,
                       struct err *e)
{
    struct json j;
    bool ok;

    json_init(&j);
    comparison_json(cmp, &j, argc, argv);
    ok = report_write_json(path, &j, e);
    json_free(&j);
    return ok;
}

int compare_command(const struct options *o, int argc, char **argv)
{
    struct comparison cmp = {0};
    struct config c = {0};
    struct err e = {0};
    char *list = NULL;

    if (prepare(&cmp, &c, o, &list, &e) && try_all(&cmp, &e) && run_all(&cmp, &e)) {
        comparison_print(&cmp, stdout);
        if (o->given[OPT_JSON])
            write_json(&cmp, o->value[OPT_JSON], argc, argv, &e);
    }
    for (unsigned i = 0; i < cmp.count; i++)
        free(cmp.side[i].runs);
    free(list);
    config_free(&c);
    if (e.exit_code)
        err_print(&e);
    return e.exit_code;
}
