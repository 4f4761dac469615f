/*
 * compare_report.c: a comparison for a terminal (compare_report.h): medians with their spread (half
 * the interquartile range), ratios to the reference with 95 % intervals and bars, the ablation of features,
 * the classes, and a sentence on what made the difference.
 */
#include "frontends/compare_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES 160
#define BAR_COLUMNS 16
#define CLASS_COLUMNS 8 /* sides beside each other; more are for the JSON and the page */

/* ---- cells ----------------------------------------------------------------------------------- */

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

typedef const char *format_fn(char *buf, double v);

/* "1.23 M ±2%": the spread needs two runs. */
static const char *median_cell(char buf[CELL_BYTES], struct summary s, format_fn *format)
{
    char number[16], spread[24] = "";

    if (s.n > 1 && s.median > 0)
        snprintf(spread, sizeof spread, " ±%.*f%%", summary_spread(&s) / s.median < 0.0995 ? 1 : 0,
                 100 * summary_spread(&s) / s.median);
    snprintf(buf, CELL_BYTES, "%s%s", format(number, s.median), spread);
    return buf;
}

/* "0.81x [0.78, 0.84]" */
static const char *ratio_cell(char buf[CELL_BYTES], struct interval r)
{
    int digits = r.value < 99.5 ? 2 : 0;

    buf[0] = 0;
    if (r.value > 0 && r.high > r.low)
        snprintf(buf, CELL_BYTES, "%.*fx [%.*f, %.*f]", digits, r.value, digits, r.low, digits, r.high);
    else if (r.value > 0)
        snprintf(buf, CELL_BYTES, "%.*fx", digits, r.value);
    return buf;
}

static const char *count_cell(char buf[CELL_BYTES], double n, double ref, bool is_ref)
{
    char number[16];

    report_number(number, n);
    if (is_ref || ref <= 0)
        snprintf(buf, CELL_BYTES, "%s", number);
    else
        snprintf(buf, CELL_BYTES, "%s %.*fx", number, n / ref < 99.5 ? 2 : 0, n / ref);
    return buf;
}

/* ---- sides ----------------------------------------------------------------------------------- */

static double greatest_ratio(const struct comparison *cmp)
{
    double most = 1;

    for (unsigned i = 0; i < cmp->count; i++) {
        double r = side_ratio(cmp, i, VALUE_CPU, 0).value;
        if (cmp->side[i].kind == SIDE_PLAIN && r > most)
            most = r;
    }
    return most;
}

static void print_sides(const struct comparison *cmp, FILE *out)
{
    const char *head[] = {"", cmp->config->until ? "time to text" : "time to end", "host CPU", "ratio",
                          "", "instructions", "exits", "exit cycles", "resident"};
    double most = greatest_ratio(cmp);
    struct table t;

    table_init(&t, ARRAY_SIZE(head));
    table_row(&t, head);
    table_rule(&t);
    for (unsigned i = 0; i < cmp->count; i++) {
        char wall[CELL_BYTES], cpu[CELL_BYTES], ratio[CELL_BYTES], bar[128], insns[CELL_BYTES],
            exits[CELL_BYTES], cycles[CELL_BYTES], rss[CELL_BYTES];
        const struct side *s = &cmp->side[i];
        struct interval r = side_ratio(cmp, i, VALUE_CPU, 0);

        if (s->kind != SIDE_PLAIN)
            continue;
        table_row(&t, (const char *[]){
            s->name,
            median_cell(wall, side_summary(cmp, i, VALUE_WALL, 0), duration),
            median_cell(cpu, side_summary(cmp, i, VALUE_CPU, 0), duration),
            ratio_cell(ratio, r),
            report_bar(bar, (r.value > 0 ? r.value : 1) / most, BAR_COLUMNS),
            median_cell(insns, side_summary(cmp, i, VALUE_INSNS, 0), plain_number),
            median_cell(exits, side_summary(cmp, i, VALUE_EXITS, 0), plain_number),
            median_cell(cycles, side_summary(cmp, i, VALUE_EXIT_CYCLES, 0), plain_number),
            median_cell(rss, side_summary(cmp, i, VALUE_RSS, 0), mebibytes)});
    }
    table_print(&t, out);
    table_free(&t);
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void print_phases(const struct comparison *cmp, FILE *out)
{
    static const char *const head[] = {"phase", "", "time", "host CPU", "ratio", "exits"};
    struct table t;
    const char *name;

    if (!comparison_phase(cmp, 0))
        return;
    table_init(&t, ARRAY_SIZE(head));
    table_row(&t, head);
    table_rule(&t);
    for (unsigned p = 0; (name = comparison_phase(cmp, p)); p++)
        for (unsigned i = 0; i < cmp->count; i++) {
            char wall[CELL_BYTES], cpu[CELL_BYTES], ratio[CELL_BYTES], exits[CELL_BYTES];

            if (cmp->side[i].kind != SIDE_PLAIN)
                continue;
            table_row(&t, (const char *[]){
                name,
                cmp->side[i].name,
                median_cell(wall, side_summary(cmp, i, VALUE_PHASE_WALL, p), duration),
                median_cell(cpu, side_summary(cmp, i, VALUE_PHASE_CPU, p), duration),
                ratio_cell(ratio, side_ratio(cmp, i, VALUE_PHASE_CPU, p)),
                median_cell(exits, side_summary(cmp, i, VALUE_PHASE_EXITS, p), plain_number)});
        }
    fputc('\n', out);
    table_print(&t, out);
    table_free(&t);
}

/* ---- classes --------------------------------------------------------------------------------- */

static unsigned plain_sides(const struct comparison *cmp, unsigned list[CLASS_COLUMNS])
{
    unsigned n = 0;

    for (unsigned i = 0; i < cmp->count && n < CLASS_COLUMNS; i++)
        if (cmp->side[i].kind == SIDE_PLAIN)
            list[n++] = i;
    return n;
}

static void print_classes(const struct comparison *cmp, const char *heading, enum value v, FILE *out)
{
    const char *cells[1 + CLASS_COLUMNS] = {heading};
    unsigned classes[STAT_COUNT], side[CLASS_COLUMNS];
    unsigned rows = comparison_classes(cmp, v, classes), columns = plain_sides(cmp, side);
    struct table t;

    if (!rows)
        return;
    table_init(&t, 1 + columns);
    for (unsigned k = 0; k < columns; k++)
        cells[1 + k] = cmp->side[side[k]].name;
    table_row(&t, cells);
    table_rule(&t);
    for (unsigned r = 0; r < rows; r++) {
        char text[CLASS_COLUMNS][CELL_BYTES];

        cells[0] = stat_name(classes[r]);
        for (unsigned k = 0; k < columns; k++) {
            unsigned reference = cmp->side[side[k]].reference;
            cells[1 + k] = count_cell(text[k], side_count(cmp, side[k], v, classes[r]),
                                      side_count(cmp, reference, v, classes[r]), reference == side[k]);
        }
        table_row(&t, cells);
    }
    fputc('\n', out);
    table_print(&t, out);
    table_free(&t);
}

/* ---- features -------------------------------------------------------------------------------- */

/* Features that are on: those that were used, with their counts, or those that were not. */
static void list_features(const struct measured *m, bool used, const char *what, const char *name, FILE *out)
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
        fprintf(out, " (%s of %s, first run)\n", what, name);
}

/* What is on and was not used made no difference, whatever the table says. */
static void print_uses(const struct comparison *cmp, FILE *out)
{
    for (unsigned i = 0; i < cmp->count; i++) {
        const struct side *s = &cmp->side[i];

        if (s->kind != SIDE_PLAIN)
            continue;
        list_features(&s->runs[0], true, "uses of features", s->name, out);
        list_features(&s->runs[0], false, "no evidence that the guest used these", s->name, out);
    }
}

/* Of each feature of -each-feature: without it, and it alone. */
static void print_ablation(const struct comparison *cmp, FILE *out)
{
    static const char *const head[] = {"feature", "host CPU", "ratio", "to", "exits", "used"};
    struct table t;
    bool any = false;

    table_init(&t, ARRAY_SIZE(head));
    table_row(&t, head);
    table_rule(&t);
    for (unsigned i = 0; i < cmp->count; i++) {
        char cpu[CELL_BYTES], ratio[CELL_BYTES], exits[CELL_BYTES], used[16];
        const struct side *s = &cmp->side[i];
        bool on;

        if (s->kind == SIDE_PLAIN)
            continue;
        any = true;
        table_row(&t, (const char *[]){
            s->name,
            median_cell(cpu, side_summary(cmp, i, VALUE_CPU, 0), duration),
            ratio_cell(ratio, side_ratio(cmp, i, VALUE_CPU, 0)),
            cmp->side[s->reference].name,
            count_cell(exits, side_count(cmp, i, VALUE_EXITS, 0),
                       side_count(cmp, s->reference, VALUE_EXITS, 0), false),
            s->kind == SIDE_ONLY ? report_number(used, (double)side_feature(cmp, i, s->feature, &on))
                                 : ""});
    }
    if (any) {
        fputc('\n', out);
        table_print(&t, out);
    }
    table_free(&t);
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
        unsigned reference = cmp->side[side].reference;
        struct summary ref = side_summary(cmp, reference, VALUE_CLASS, c);
        struct summary s = side_summary(cmp, side, VALUE_CLASS, c);
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
    const struct side *s = &cmp->side[i];
    struct interval r = side_ratio(cmp, i, VALUE_CPU, 0);
    struct change list[STAT_COUNT];
    struct text t = {buf, size, 0};
    unsigned fell, rose;

    append(&t, "%s takes %.2f times the host CPU time of %s", s->name, r.value,
           cmp->side[s->reference].name);
    if (s->count > 1 && !interval_separates(&r))
        append(&t, " (within the spread)");
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

bool comparison_unused(const struct comparison *cmp, unsigned i, char *buf, size_t size)
{
    const struct side *s = &cmp->side[i];
    bool on;

    if (s->kind != SIDE_ONLY || side_feature(cmp, i, s->feature, &on))
        return false;
    snprintf(buf, size, "%s has no effect here: the guest did not use it, or what it leaves out "
                        "cannot be counted.", s->name);
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static unsigned fewest_runs(const struct comparison *cmp)
{
    unsigned n = cmp->runs;

    for (unsigned i = 0; i < cmp->count; i++)
        n = cmp->side[i].count < n ? cmp->side[i].count : n;
    return n;
}

void comparison_print(const struct comparison *cmp, FILE *out)
{
    const struct config *c = cmp->config;
    bool exact = cmp->count && cmp->side[0].exact;
    unsigned runs = fewest_runs(cmp);
    char sentence[600];

    fprintf(out, "%s, %llu MiB, %u run%s of each, interleaved; medians with half the interquartile "
                 "range, ratios of host CPU time with 95 %% intervals\n\n",
            c->name, (unsigned long long)(c->vm.ram_bytes / MIB), runs, runs == 1 ? "" : "s");
    print_sides(cmp, out);
    print_phases(cmp, out);
    print_ablation(cmp, out);
    print_classes(cmp, exact ? "executed, exactly" : "executed", VALUE_CLASS, out);
    print_classes(cmp, exact ? "exits, exactly" : "exits", VALUE_CLASS_EXITS, out);
    if (cmp->note[0])
        fprintf(out, "\n%s\n", cmp->note);
    fputc('\n', out);
    print_uses(cmp, out);
    for (unsigned i = 0; i < cmp->count; i++) {
        if (cmp->side[i].kind != SIDE_PLAIN) {
            if (comparison_unused(cmp, i, sentence, sizeof sentence))
                fprintf(out, "%s\n", sentence);
        } else if (i != cmp->side[i].reference) {
            comparison_sentence(cmp, i, sentence, sizeof sentence);
            fprintf(out, "%s\n", sentence);
        }
    }
}
