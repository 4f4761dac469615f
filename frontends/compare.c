/*
 * compare.c: `parallax compare`: the same guest in several ways, interleaved (A B C A B C), so that
 * a host that warms up or slows down does so for all of them alike.
 *
 * Rounds go on until every side's interval leaves the reference out, or until the runs are used up.
 * Then one run of each under -icount gives counts that anybody can repeat exactly.
 *
 * Not here: one run (measure.c), which sides there are (compare_sides.c), the reports (compare_report.c,
 * compare_json.c, compare_html.c, compare_csv.c), the archive of all (bundle.c).
 */
#include "frontends/compare.h"

#include "frontends/bundle.h"
#include "frontends/compare_report.h"
#include "frontends/report.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_RUNS 5 /* one run that was disturbed moves no quartile */
#define LEAST_RUNS 5   /* before runs may end early */
#define MAX_RUNS 1000
#define MAX_WARMUPS 100

/* ---- runs ------------------------------------------------------------------------------------ */

struct progress {
    const struct comparison *cmp;
    unsigned done, total, side;
    const char *what;
    u64 spent_ns;
};

static void tick(void *opaque, u64 elapsed_ns)
{
    const struct progress *p = opaque;
    const char *name = p->cmp->side[p->side].name;
    double each, left;

    if (!p->done) {
        progress_show("%s 1 of %u (%s): %.0f s", p->what, p->total, name, (double)elapsed_ns / 1e9);
        return;
    }
    each = (double)p->spent_ns / p->done;
    left = each * (p->total - p->done) - (double)elapsed_ns;
    progress_show("%s %u of %u (%s): %.0f s, about %.0f s left", p->what, p->done + 1, p->total, name,
                  (double)elapsed_ns / 1e9, left > 0 ? left / 1e9 : 0);
}

static struct measure_job job_of(const struct comparison *cmp, unsigned n)
{
    const struct side *s = &cmp->side[n];
    return (struct measure_job){
        .config = cmp->config, .pv = s->pv, .accel = s->accel, .devices = s->devices};
}

static bool run_one(struct comparison *cmp, struct progress *p, struct measured *m, bool exact,
                    struct err *e)
{
    const struct side *s = &cmp->side[p->side];
    struct measure_job job = job_of(cmp, p->side);
    bool ok;

    job.tick = tick;
    job.opaque = p;
    job.exact = exact;
    tick(p, 0);
    ok = measure_run(&job, m, e);
    progress_clear();
    p->done++;
    p->spent_ns += m->wall_ns;
    /* A feature alone, or none at all, need not show what the whole personality does. */
    job.no_evidence = s->kind != SIDE_PLAIN;
    return ok && measure_check(&job, m, e);
}

static bool all_separate(const struct comparison *cmp)
{
    for (unsigned i = 0; i < cmp->count; i++) {
        struct interval r = side_ratio(cmp, i, VALUE_CPU, 0);
        if (cmp->side[i].reference != i && !interval_separates(&r))
            return false;
    }
    return true;
}

static bool warm_up(struct comparison *cmp, struct err *e)
{
    struct progress p = {.cmp = cmp, .what = "warm-up", .total = cmp->count * cmp->warmups};

    for (unsigned k = 0; k < cmp->warmups; k++)
        for (p.side = 0; p.side < cmp->count; p.side++)
            if (!run_one(cmp, &p, &cmp->side[p.side].runs[0], false, e))
                return false;
    return true;
}

static bool run_rounds(struct comparison *cmp, struct err *e)
{
    struct progress p = {.cmp = cmp, .what = "run", .total = cmp->count * cmp->runs};

    for (unsigned round = 0; round < cmp->runs; round++) {
        for (p.side = 0; p.side < cmp->count; p.side++) {
            struct side *s = &cmp->side[p.side];
            if (!run_one(cmp, &p, &s->runs[round], false, e))
                return false;
            s->count = round + 1;
        }
        if (round + 1 >= LEAST_RUNS && all_separate(cmp))
            break;
    }
    return true;
}

/* A guest that does not come to its end under -icount is no reason to lose what was measured. */
static void run_exact(struct comparison *cmp)
{
    struct progress p = {.cmp = cmp, .what = "exact run", .total = cmp->count};
    struct err e = {0};

    if (cmp->config->vm.icount)
        return; /* all of them were */
    for (p.side = 0; p.side < cmp->count; p.side++) {
        struct side *s = &cmp->side[p.side];
        struct measured *m = calloc(1, sizeof *m);

        BUG_ON(!m);
        if (run_one(cmp, &p, m, true, &e)) {
            s->exact = m;
            continue;
        }
        free(m);
        snprintf(cmp->note, sizeof cmp->note, "counts are medians: under -icount %.120s", e.msg);
        break;
    }
    for (unsigned i = 0; cmp->note[0] && i < cmp->count; i++) {
        free(cmp->side[i].exact);
        cmp->side[i].exact = NULL;
    }
}

/* ---- before and after ------------------------------------------------------------------------ */

/* A mistyped last name must not be found out after the runs of the first. */
static bool try_side(const struct comparison *cmp, unsigned n, struct measured *m, struct err *e)
{
    struct measure_job job = job_of(cmp, n);

    job.only_create = true;
    return measure_run(&job, m, e);
}

/* Each plain side is tried; its features are known then. One that needs another feature cannot stand
 * alone, and is left out. */
static bool try_all(struct comparison *cmp, bool each_feature, struct err *e)
{
    unsigned plain = cmp->count;
    struct measured *m = calloc(1, sizeof *m), *probe = calloc(1, sizeof *probe);
    struct comparison *made = calloc(1, sizeof *made);
    bool ok = m && probe && made;

    for (unsigned i = 0; ok && i < plain; i++) {
        ok = try_side(cmp, i, m, e);
        if (!ok || !each_feature)
            continue;
        *made = *cmp;
        ok = sides_add_features(made, i, m, e);
        for (unsigned k = cmp->count, to = cmp->count; ok && k < made->count; k++) {
            struct err refused = {0};
            cmp->side[to] = made->side[k];
            cmp->count = to + 1;
            if (made->side[k].kind == SIDE_ONLY && !try_side(cmp, to, probe, &refused))
                sides_drop_last(cmp);
            else
                to++;
        }
    }
    free(m);
    free(probe);
    free(made);
    return ok;
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

static bool prepare(struct comparison *cmp, struct config *c, const struct options *o, struct err *e)
{
    static const enum opt files[] = {OPT_JSON, OPT_HTML, OPT_CSV, OPT_BUNDLE};
    const struct side_options sides = {.pv_list = o->value[OPT_PV_LIST],
                                       .devices = o->value[OPT_DEVICES],
                                       .each_feature = o->given[OPT_EACH_FEATURE],
                                       .each_engine = o->given[OPT_EACH_ENGINE]};
    u64 runs = DEFAULT_RUNS, warmups = 0;

    if (!config_from_options(c, o, e))
        return false;
    if (o->given[OPT_RUNS] && !options_u64(OPT_RUNS, o->value[OPT_RUNS], 1, MAX_RUNS, &runs, e))
        return false;
    if (o->given[OPT_WARMUP] &&
        !options_u64(OPT_WARMUP, o->value[OPT_WARMUP], 0, MAX_WARMUPS, &warmups, e))
        return false;
    cmp->config = c;
    cmp->runs = (unsigned)runs;
    cmp->warmups = (unsigned)warmups;
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
        if (o->given[files[i]] && !report_check_writable(o->value[files[i]], e))
            return false;
    return sides_make(cmp, &sides, e) && try_all(cmp, o->given[OPT_EACH_FEATURE], e) &&
           allocate(cmp, e);
}

static bool write_reports(const struct comparison *cmp, const struct options *o, int argc, char **argv,
                          struct err *e)
{
    struct report_text json, html, csv;
    bool ok;

    comparison_json(cmp, &json, argc, argv);
    comparison_html(cmp, &html, argc, argv);
    comparison_csv(cmp, &csv);
    ok = (!o->given[OPT_JSON] || report_text_write(o->value[OPT_JSON], &json, e)) &&
         (!o->given[OPT_HTML] || report_text_write(o->value[OPT_HTML], &html, e)) &&
         (!o->given[OPT_CSV] || report_text_write(o->value[OPT_CSV], &csv, e)) &&
         (!o->given[OPT_BUNDLE] ||
          bundle_write(o->value[OPT_BUNDLE], cmp, &json, &html, &csv, argc, argv, e));
    report_text_free(&json);
    report_text_free(&html);
    report_text_free(&csv);
    return ok;
}

int compare_command(const struct options *o, int argc, char **argv)
{
    struct comparison *cmp = calloc(1, sizeof *cmp);
    struct config c = {0};
    struct err e = {0};

    BUG_ON(!cmp);
    if (prepare(cmp, &c, o, &e) && warm_up(cmp, &e) && run_rounds(cmp, &e)) {
        run_exact(cmp);
        comparison_print(cmp, stdout);
        write_reports(cmp, o, argc, argv, &e);
    }
    for (unsigned i = 0; i < cmp->count; i++) {
        free(cmp->side[i].runs);
        free(cmp->side[i].exact);
    }
    free(cmp);
    config_free(&c);
    if (e.exit_code)
        err_print(&e);
    return e.exit_code;
}
