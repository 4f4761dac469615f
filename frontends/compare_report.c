/*
 * compare_report.c: what a comparison says (compare_report.h): medians, spread (half the
 * interquartile range), the ratio to the reference, and which classes made the difference.
 */
#include "frontends/compare_report.h"

#include "frontends/report.h"
#include "frontends/samples.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A value of one run; `arg` is a class where it needs one. */
typedef double measure_fn(const struct measured *m, unsigned arg);

static double wall(const struct measured *m, unsigned arg)
{
    (void)arg;
    return (double)m->wall_ns;
}

static double cpu_time(const struct measured *m, unsigned arg)
{
    (void)arg;
    return (double)m->cpu_ns;
}

static double insns(const struct measured *m, unsigned arg)
{
    (void)arg;
    return (double)m->insns;
}

static double rss(const struct measured *m, unsigned arg)
{
    (void)arg;
    return (double)m->rss_bytes;
}

static double class_count(const struct measured *m, unsigned class)
{
    return (double)stat_total(&m->stats, class);
}

static double class_cycles(const struct measured *m, unsigned class)
{
    return (double)m->stats.cycles[class];
}

/* Served by leaving the block: C and D of stats.h. */
static double all_exits(const struct measured *m, unsigned arg)
{
    u64 n = 0;

    (void)arg;
    for (unsigned i = 0; i < STAT_COUNT; i++)
        n += m->stats.served[i][SERVED_EXIT] + m->stats.served[i][SERVED_IO];
    return (double)n;
}

static double all_cycles(const struct measured *m, unsigned arg)
{
    double n = 0;

    (void)arg;
    for (unsigned i = 0; i < STAT_COUNT; i++)
        n += (double)m->stats.cycles[i];
    return n;
}

static struct summary summarize(const struct comparison *cmp, unsigned side, measure_fn *fn, unsigned arg)
{
    double *values = calloc(cmp->runs, sizeof *values);
    struct summary s = {0};

    if (!values)
        return s;
    for (unsigned i = 0; i < cmp->runs; i++)
        values[i] = fn(&cmp->side[side].runs[i], arg);
    s = samples_summary(values, cmp->runs);
    free(values);
    return s;
}

/* ---- tables ---------------------------------------------------------------------------------- */

#define CELL_BYTES 64

/* "1.23 M ±2% 0.98x": the spread needs two runs, the ratio something to refer to. */
static void cell(char buf[CELL_BYTES], const struct summary *s, const struct summary *ref, bool is_ref,
                 const char *(*format)(char *, double))
{
    char number[16], spread[24] = "", ratio[24] = "";

    format(number, s->median);
    if (s->n > 1 && s->median > 0)
        snprintf(spread, sizeof spread, " ±%.*f%%", summary_spread(s) / s->median < 0.0995 ? 1 : 0,
                 100 * summary_spread(s) / s->median);
    if (!is_ref && ref->median > 0)
        snprintf(ratio, sizeof ratio, " %.*fx", s->median / ref->median < 99.5 ? 2 : 0,
                 s->median / ref->median);
    snprintf(buf, CELL_BYTES, "%s%s%s", number, spread, ratio);
}

static void add_row(const struct comparison *cmp, struct table *t, const char *name, measure_fn *fn,
                    unsigned arg, const char *(*format)(char *, double))
{
    struct summary ref = summarize(cmp, cmp->reference, fn, arg);
    char text[MAX_PERSONALITIES][CELL_BYTES];
    const char *cells[1 + MAX_PERSONALITIES] = {name};

    for (unsigned i = 0; i < cmp->count; i++) {
        struct summary s = summarize(cmp, i, fn, arg);

        cell(text[i], &s, &ref, i == cmp->reference, format);
        cells[1 + i] = text[i];
    }
    table_row(t, cells);
}

static void start_table(const struct comparison *cmp, struct table *t, const char *heading)
{
    const char *cells[1 + MAX_PERSONALITIES] = {heading};

    for (unsigned i = 0; i < cmp->count; i++)
        cells[1 + i] = cmp->side[i].pv;
    table_init(t, 1 + cmp->count);
    table_row(t, cells);
    table_rule(t);
}

static const char *mebibytes(char *buf, double bytes)
{
    snprintf(buf, 16, "%.0f MiB", bytes / (double)MIB);
    return buf;
}

static const char *plain_number(char *buf, double v)
{
    return report_number(buf, v);
}

static const char *duration(char *buf, double v)
{
    return report_ns(buf, v);
}

static void print_totals(const struct comparison *cmp, FILE *out)
{
    struct table t;

    start_table(cmp, &t, "");
    add_row(cmp, &t, cmp->config->until ? "time to text" : "time to end", wall, 0, duration);
    add_row(cmp, &t, "host CPU", cpu_time, 0, duration);
    add_row(cmp, &t, "instructions", insns, 0, plain_number);
    add_row(cmp, &t, "exits", all_exits, 0, plain_number);
    add_row(cmp, &t, "exit cycles", all_cycles, 0, plain_number);
    add_row(cmp, &t, "resident", rss, 0, mebibytes);
    table_print(&t, out);
    table_free(&t);
}

struct ranked {
    unsigned class;
    double most; /* the greatest median of any side */
};

static int by_most(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->most > y->most || x->most < y->most)
        return x->most < y->most ? 1 : -1;
    return (int)x->class - (int)y->class;
}

static void print_classes(const struct comparison *cmp, const char *heading, measure_fn *fn, FILE *out)
{
    struct ranked rank[STAT_COUNT];
    struct table t;
    unsigned n = 0;

    for (unsigned c = 0; c < STAT_COUNT; c++) {
        struct ranked r = {.class = c};

        for (unsigned i = 0; i < cmp->count; i++) {
            struct summary s = summarize(cmp, i, fn, c);
            r.most = s.median > r.most ? s.median : r.most;
        }
        if (r.most > 0)
            rank[n++] = r;
    }
    if (!n)
        return;
    qsort(rank, n, sizeof *rank, by_most);
    start_table(cmp, &t, heading);
    for (unsigned i = 0; i < n; i++)
        add_row(cmp, &t, stat_name(rank[i].class), fn, rank[i].class, plain_number);
    fputc('\n', out);
    table_print(&t, out);
    table_free(&t);
}

/* Features that are on: those that were used, with their counts, or those that were not. */
static void list_features(const struct measured *m, bool used, const char *what, const char *pv, FILE *out)
{
    char number[16];
    bool any = false;

    for (unsigned f = 0; f < m->feature_count; f++) {
        if (!m->features[f].on || !m->features[f].used == used)
            continue;
        fprintf(out, "%s%s", any ? ", " : "", m->features[f].name);
        if (used)
            fprintf(out, " %s", report_number(number, (double)m->features[f].used));
        any = true;
    }
    if (any)
        fprintf(out, " (%s of %s, first run)\n", what, pv);
}

/* What is on and was not used made no difference, whatever the table says. */
static void print_features(const struct comparison *cmp, FILE *out)
{
    for (unsigned i = 0; i < cmp->count; i++) {
        const struct measured *m = &cmp->side[i].runs[0];

        list_features(m, true, "uses of features", cmp->side[i].pv, out);
        list_features(m, false, "no evidence that the guest used these", cmp->side[i].pv, out);
    }
}

/* ---- the sentence ---------------------------------------------------------------------------- */

#define NAMED_CLASSES 3
#define LEAST_CHANGE 0.02 /* of the reference: below, it is the noise of any two boots */

/* Page walks follow the amount of other work and never are what a personality replaces. */
static bool explains(unsigned class)
{
    return class != STAT_TLB_MISS;
}

struct change {
    unsigned class;
    double from, to, by;
};

static int by_size(const void *a, const void *b)
{
    const struct change *x = a, *y = b;

    return (x->by < y->by) - (x->by > y->by);
}

/* Classes that fell (direction 1) or rose (-1) by more than both spreads, greatest first. */
static unsigned find_changes(const struct comparison *cmp, unsigned side, int direction,
                             struct change list[STAT_COUNT])
{
    unsigned n = 0;

    for (unsigned c = 0; c < STAT_COUNT; c++) {
        struct summary ref = summarize(cmp, cmp->reference, class_count, c);
        struct summary s = summarize(cmp, side, class_count, c);
        double by = direction * (ref.median - s.median);

        if (explains(c) && by > ref.median * LEAST_CHANGE &&
            by > summary_spread(&ref) + summary_spread(&s))
            list[n++] = (struct change){c, ref.median, s.median, by};
    }
    qsort(list, n, sizeof *list, by_size);
    return n;
}

struct text {
    char *buf;
    size_t size, len;
};

static void append(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void append(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->len = t->len + (size_t)n < t->size ? t->len + (size_t)n : t->size - 1;
}

/* Names the greatest changes, none below a twentieth of the greatest. */
static void append_changes(struct text *t, const struct change *list, unsigned n, const char *verb)
{
    char a[16], b[16];

    for (unsigned i = 0; i < n && i < NAMED_CLASSES && list[i].by * 20 >= list[0].by; i++)
        append(t, "%s%s %sfrom %s to %s", i ? ", " : "", stat_name(list[i].class), i ? "" : verb,
               report_number(a, list[i].from), report_number(b, list[i].to));
}

void comparison_sentence(const struct comparison *cmp, unsigned i, char *buf, size_t size)
{
    const char *ref_name = cmp->side[cmp->reference].pv;
    struct summary ref = summarize(cmp, cmp->reference, cpu_time, 0);
    struct summary own = summarize(cmp, i, cpu_time, 0);
    struct change list[STAT_COUNT];
    struct text t = {buf, size, 0};
    unsigned fell, rose;

    append(&t, "%s takes %.2f times the host CPU time of %s", cmp->side[i].pv,
           ref.median > 0 ? own.median / ref.median : 0, ref_name);
    if (cmp->runs > 1) {
        double diff = own.median > ref.median ? own.median - ref.median : ref.median - own.median;

        if (diff <= summary_spread(&ref) + summary_spread(&own))
            append(&t, " (within the spread)");
    }
    append(&t, ": ");
    fell = find_changes(cmp, i, 1, list);
    append_changes(&t, list, fell, "fell ");
    if (!fell)
        append(&t, "no class fell");
    rose = find_changes(cmp, i, -1, list);
    if (rose)
        append(&t, "; ");
    append_changes(&t, list, rose, "rose ");
    append(&t, ".");
}

void comparison_print(const struct comparison *cmp, FILE *out)
{
    const struct config *c = cmp->config;
    char sentence[600];

    fprintf(out, "%s, %llu MiB, %u run%s of each, interleaved; median, half the interquartile range, "
                 "ratio to %s\n\n",
            c->name, (unsigned long long)(c->vm.ram_bytes / MIB), cmp->runs, cmp->runs == 1 ? "" : "s",
            cmp->side[cmp->reference].pv);
    print_totals(cmp, out);
    print_classes(cmp, "executed, by class", class_count, out);
    print_classes(cmp, "host cycles, by class", class_cycles, out);
    fputc('\n', out);
    print_features(cmp, out);
    for (unsigned i = 0; i < cmp->count; i++) {
        if (i == cmp->reference)
            continue;
        comparison_sentence(cmp, i, sentence, sizeof sentence);
        fprintf(out, "%s\n", sentence);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_summary(struct json *j, const char *key, struct summary s)
{
    json_object(j, key);
    json_double(j, "median", s.median);
    json_double(j, "q1", s.q1);
    json_double(j, "q3", s.q3);
    json_double(j, "min", s.min);
    json_double(j, "max", s.max);
    json_end(j);
}

static void json_run(struct json *j, const struct measured *m)
{
    json_object(j, NULL);
    json_u64(j, "wall_ns", m->wall_ns);
    json_u64(j, "host_cpu_ns", m->cpu_ns);
    json_u64(j, "guest_instructions", m->insns);
    json_u64(j, "resident_bytes", m->rss_bytes);
    report_json_stats(j, &m->stats);
    json_object(j, "features");
    for (unsigned f = 0; f < m->feature_count; f++) {
        json_object(j, m->features[f].name);
        json_bool(j, "on", m->features[f].on);
        json_u64(j, "used", m->features[f].used);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static void json_side(const struct comparison *cmp, struct json *j, unsigned i)
{
    char sentence[600];

    json_object(j, NULL);
    json_string(j, "personality", cmp->side[i].pv);
    json_summary(j, "wall_ns", summarize(cmp, i, wall, 0));
    json_summary(j, "host_cpu_ns", summarize(cmp, i, cpu_time, 0));
    json_summary(j, "guest_instructions", summarize(cmp, i, insns, 0));
    json_summary(j, "exits", summarize(cmp, i, all_exits, 0));
    json_summary(j, "exit_host_cycles", summarize(cmp, i, all_cycles, 0));
    if (i != cmp->reference) {
        comparison_sentence(cmp, i, sentence, sizeof sentence);
        json_string(j, "difference", sentence);
    }
    json_array(j, "runs");
    for (unsigned r = 0; r < cmp->runs; r++)
        json_run(j, &cmp->side[i].runs[r]);
    json_end(j);
    json_end(j);
}

void comparison_json(const struct comparison *cmp, struct json *j, int argc, char **argv)
{
    const struct config *c = cmp->config;

    json_object(j, NULL);
    report_json_header(j, argc, argv);
    json_string(j, "guest", c->name);
    json_u64(j, "ram_bytes", c->vm.ram_bytes);
    json_string(j, "cpu", c->vm.cpu_model);
    json_string(j, "until", c->until);
    json_bool(j, "icount", c->vm.icount);
    json_u64(j, "seed", c->vm.seed);
    json_u64(j, "runs", cmp->runs);
    json_string(j, "reference", cmp->side[cmp->reference].pv);
    json_array(j, "personalities");
    for (unsigned i = 0; i < cmp->count; i++)
        json_side(cmp, j, i);
    json_end(j);
    json_end(j);
}
