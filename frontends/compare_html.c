/*
 * compare_html.c: a comparison as one page of HTML: a table of the sides, bars with whiskers, exits
 * by class stacked, the matrix of features, the classes, and how to repeat it. No script, nothing
 * from elsewhere; drawn in SVG; for paper and for dark screens too.
 */
#include "frontends/compare_report.h"

#include <string.h>
#include <sys/utsname.h>

#define STACKED_CLASSES 7 /* the others are one together */
#define ROW_HEIGHT 26
#define LABEL_WIDTH 190
#define PLOT_WIDTH 560

/* Colours that people of every kind of sight tell apart (Okabe and Ito, 2008). */
static const char *const colours[STACKED_CLASSES + 1] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                                         "#56b4e9", "#d55e00", "#f0e442", "#999999"};

static const char style[] =
    "<style>\n"
    ":root { --ink: #1a1a1a; --paper: #fff; --line: #bbb; --bar: #0072b2; --ref: #777;\n"
    "  --less: #56b4e9; --more: #e69f00 }\n"
    "@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --line: #555;\n"
    "  --bar: #56b4e9; --ref: #999; --less: #155d8b; --more: #8a5a00 } }\n"
    "@media print { :root { --ink: #000; --paper: #fff; --line: #999 } section { break-inside: avoid } }\n"
    "body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);\n"
    "  max-width: 62em; margin: 2em auto; padding: 0 1em }\n"
    "table { border-collapse: collapse; font-variant-numeric: tabular-nums }\n"
    "th, td { padding: .15em .8em; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }\n"
    "th:first-child, td:first-child { text-align: left }\n"
    "div { overflow-x: auto } svg { max-width: 100%; height: auto } svg text { fill: var(--ink); font-size: 13px }\n"
    "pre { white-space: pre-wrap; border-left: 3px solid var(--line); padding-left: 1em }\n"
    ".less { background: var(--less) } .more { background: var(--more) }\n"
    "</style>\n";

static void escape(struct report_text *t, const char *text)
{
    for (; text && *text; text++)
        switch (*text) {
        case '<': report_printf(t, "&lt;"); break;
        case '>': report_printf(t, "&gt;"); break;
        case '&': report_printf(t, "&amp;"); break;
        case '"': report_printf(t, "&quot;"); break;
        default: report_printf(t, "%c", *text); break;
        }
}

/* A number for people that carries all its digits and its place in the JSON. */
static void number(struct report_text *t, double v, const char *shown, const char *key_format, unsigned i,
                   const char *member)
{
    report_printf(t, "<span data-key=\"");
    report_printf(t, key_format, i, member);
    report_printf(t, "\" data-value=\"%.17g\">%s</span>", v, shown);
}

static void heading(struct report_text *t, const char *text)
{
    report_printf(t, "<section>\n<h2>%s</h2>\n", text);
}

/* ---- the table of sides ---------------------------------------------------------------------- */

static void median_td(struct report_text *t, const struct comparison *cmp, unsigned i, enum value v,
                      const char *member, const char *(*format)(char *, double))
{
    struct summary s = side_summary(cmp, i, v, 0);
    char shown[16];

    report_printf(t, "<td>");
    format(shown, s.median);
    number(t, s.median, shown, "sides.%u.%s.median", i, member);
    if (s.n > 1 && s.median > 0)
        report_printf(t, " ±%.1f%%", 100 * summary_spread(&s) / s.median);
    report_printf(t, "</td>");
}

static void ratio_text(struct report_text *t, const struct comparison *cmp, unsigned i)
{
    struct interval r = side_ratio(cmp, i, VALUE_CPU, 0);
    char shown[32];

    if (r.value <= 0)
        return;
    snprintf(shown, sizeof shown, "%.3f", r.value);
    number(t, r.value, shown, "sides.%u.host_cpu_ratio.%s", i, "value");
    if (r.high <= r.low)
        return;
    report_printf(t, " [");
    snprintf(shown, sizeof shown, "%.3f", r.low);
    number(t, r.low, shown, "sides.%u.host_cpu_ratio.%s", i, "low");
    report_printf(t, ", ");
    snprintf(shown, sizeof shown, "%.3f", r.high);
    number(t, r.high, shown, "sides.%u.host_cpu_ratio.%s", i, "high");
    report_printf(t, "]");
}

static const char *plain_number(char *buf, double v)
{
    return report_number(buf, v);
}

static const char *duration(char *buf, double v)
{
    return report_ns(buf, v);
}

static void sides_table(struct report_text *t, const struct comparison *cmp)
{
    heading(t, "Sides");
    report_printf(t,
                  "<p>Medians, half the interquartile range; the ratio of host CPU time with its 95&nbsp;%% "
                  "interval (percentile bootstrap of the ratio of medians).</p>\n<div><table>\n<tr><th>side"
                  "<th>runs<th>%s<th>host CPU<th>ratio<th>to<th>instructions<th>exits<th>exit cycles</tr>\n",
                  cmp->config->until ? "time to text" : "time to end");
    for (unsigned i = 0; i < cmp->count; i++) {
        const struct side *s = &cmp->side[i];

        if (s->kind != SIDE_PLAIN)
            continue;
        report_printf(t, "<tr><td>");
        escape(t, s->name);
        report_printf(t, "</td><td>%u</td>", s->count);
        median_td(t, cmp, i, VALUE_WALL, "wall_ns", duration);
        median_td(t, cmp, i, VALUE_CPU, "host_cpu_ns", duration);
        report_printf(t, "<td>");
        ratio_text(t, cmp, i);
        report_printf(t, "</td><td>");
        if (s->reference != i)
            escape(t, cmp->side[s->reference].name);
        report_printf(t, "</td>");
        median_td(t, cmp, i, VALUE_INSNS, "guest_instructions", plain_number);
        median_td(t, cmp, i, VALUE_EXITS, "exits", plain_number);
        median_td(t, cmp, i, VALUE_EXIT_CYCLES, "exit_host_cycles", plain_number);
        report_printf(t, "</tr>\n");
    }
    report_printf(t, "</table></div>\n</section>\n");
}

/* ---- figures --------------------------------------------------------------------------------- */

static unsigned plain_sides(const struct comparison *cmp)
{
    unsigned n = 0;

    for (unsigned i = 0; i < cmp->count; i++)
        n += cmp->side[i].kind == SIDE_PLAIN;
    return n;
}

static void open_svg(struct report_text *t, unsigned rows, const char *title)
{
    report_printf(t,
                  "<div><svg role=\"img\" width=\"%d\" height=\"%u\" viewBox=\"0 0 %d %u\">\n<title>%s</title>\n",
                  LABEL_WIDTH + PLOT_WIDTH + 120, rows * ROW_HEIGHT + 30, LABEL_WIDTH + PLOT_WIDTH + 120,
                  rows * ROW_HEIGHT + 30, title);
}

static void label(struct report_text *t, unsigned row, const char *text)
{
    report_printf(t, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">", LABEL_WIDTH - 8,
                  row * ROW_HEIGHT + 18);
    escape(t, text);
    report_printf(t, "</text>\n");
}

static void ratio_figure(struct report_text *t, const struct comparison *cmp)
{
    double most = 1.05;
    unsigned row = 0;

    for (unsigned i = 0; i < cmp->count; i++) {
        struct interval r = side_ratio(cmp, i, VALUE_CPU, 0);
        if (cmp->side[i].kind == SIDE_PLAIN && r.high > most)
            most = r.high;
    }
    heading(t, "Host CPU time, as a ratio to the reference");
    open_svg(t, plain_sides(cmp), "Ratios of host CPU time");
    for (unsigned i = 0; i < cmp->count; i++) {
        struct interval r = side_ratio(cmp, i, VALUE_CPU, 0);
        bool is_ref = cmp->side[i].reference == i;
        double scale = PLOT_WIDTH / most, value = is_ref ? 1 : r.value;
        unsigned y = row * ROW_HEIGHT;

        if (cmp->side[i].kind != SIDE_PLAIN)
            continue;
        label(t, row++, cmp->side[i].name);
        report_printf(t,
                      "<rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"var(%s)\"/>\n", LABEL_WIDTH,
                      y + 5, value * scale, ROW_HEIGHT - 10, is_ref ? "--ref" : "--bar");
        if (!is_ref && r.high > r.low)
            report_printf(t,
                          "<path d=\"M%.1f %u v8 m0 -4 H%.1f m0 -4 v8\" stroke=\"var(--ink)\" fill=\"none\" "
                          "stroke-width=\"1.5\"/>\n",
                          LABEL_WIDTH + r.low * scale, y + 9, LABEL_WIDTH + r.high * scale);
        report_printf(t, "<text x=\"%.1f\" y=\"%u\">%.2f</text>\n",
                      LABEL_WIDTH + (r.high > value ? r.high : value) * scale + 6, y + 18, value);
    }
    report_printf(t,
                  "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%u\" stroke=\"var(--line)\" "
                  "stroke-dasharray=\"4 3\"/>\n</svg></div>\n</section>\n",
                  LABEL_WIDTH + PLOT_WIDTH / most, LABEL_WIDTH + PLOT_WIDTH / most, row * ROW_HEIGHT);
}

static double other_exits(const struct comparison *cmp, unsigned i, const unsigned *classes, unsigned n)
{
    double sum = side_count(cmp, i, VALUE_EXITS, 0);

    for (unsigned k = 0; k < n; k++)
        sum -= side_count(cmp, i, VALUE_CLASS_EXITS, classes[k]);
    return sum;
}

static void stack(struct report_text *t, const struct comparison *cmp, unsigned i, unsigned row,
                  const unsigned *classes, unsigned n, double scale)
{
    double x = LABEL_WIDTH;
    char shown[16];

    for (unsigned k = 0; k <= n; k++) {
        double v = k < n ? side_count(cmp, i, VALUE_CLASS_EXITS, classes[k])
                         : other_exits(cmp, i, classes, n);
        const char *name = k < n ? stat_name(classes[k]) : "others";

        if (v <= 0)
            continue;
        report_printf(t, "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%d\" fill=\"%s\"", x,
                      row * ROW_HEIGHT + 5, v * scale, ROW_HEIGHT - 10,
                      colours[k < n ? k : STACKED_CLASSES]);
        if (k < n)
            report_printf(t, " data-key=\"sides.%u.exits_by_class.%s\" data-value=\"%.17g\"", i, name, v);
        report_printf(t, "><title>%s: %s</title></rect>\n", name, report_number(shown, v));
        x += v * scale;
    }
    report_printf(t, "<text x=\"%.1f\" y=\"%u\">%s</text>\n", x + 6, row * ROW_HEIGHT + 18,
                  report_number(shown, side_count(cmp, i, VALUE_EXITS, 0)));
}

static void exits_figure(struct report_text *t, const struct comparison *cmp)
{
    unsigned classes[STAT_COUNT], n = comparison_classes(cmp, VALUE_CLASS_EXITS, classes), row = 0;
    double most = 1;

    n = n > STACKED_CLASSES ? STACKED_CLASSES : n;
    for (unsigned i = 0; i < cmp->count; i++) {
        double v = side_count(cmp, i, VALUE_EXITS, 0);
        if (cmp->side[i].kind == SIDE_PLAIN && v > most)
            most = v;
    }
    heading(t, "Exits by class");
    report_printf(t, "<p>What was served by leaving the translated or interpreted block%s.</p>\n",
                  cmp->side[0].exact ? "; exact counts of a run under -icount" : "");
    open_svg(t, plain_sides(cmp), "Exits by class, stacked");
    for (unsigned i = 0; i < cmp->count; i++) {
        if (cmp->side[i].kind != SIDE_PLAIN)
            continue;
        label(t, row, cmp->side[i].name);
        stack(t, cmp, i, row++, classes, n, PLOT_WIDTH / most);
    }
    report_printf(t, "</svg></div>\n<p>");
    for (unsigned k = 0; k <= n; k++)
        report_printf(t,
                      "<svg width=\"14\" height=\"12\"><rect width=\"12\" height=\"12\" fill=\"%s\"/>"
                      "</svg>%s &ensp; ",
                      colours[k < n ? k : STACKED_CLASSES], k < n ? stat_name(classes[k]) : "others");
    report_printf(t, "</p>\n</section>\n");
}

/* ---- features -------------------------------------------------------------------------------- */

static const char *tone(struct interval r)
{
    return !interval_separates(&r) ? "" : r.value < 1 ? " class=\"less\"" : " class=\"more\"";
}

static void matrix_cell(struct report_text *t, const struct comparison *cmp, const char *pv,
                        const char *feature, enum side_kind kind)
{
    for (unsigned i = 0; i < cmp->count; i++) {
        const struct side *s = &cmp->side[i];
        bool on;

        if (s->kind != kind || strcmp(s->feature, feature) || strncmp(s->pv, pv, strlen(pv)))
            continue;
        report_printf(t, "<td%s>", tone(side_ratio(cmp, i, VALUE_CPU, 0)));
        ratio_text(t, cmp, i);
        if (kind == SIDE_ONLY && !side_feature(cmp, i, feature, &on))
            report_printf(t, " (not used)");
        report_printf(t, "</td>");
        return;
    }
    report_printf(t, "<td>needs another</td>");
}

static void matrix_of(struct report_text *t, const struct comparison *cmp, const char *pv)
{
    report_printf(t, "<h3>");
    escape(t, pv);
    report_printf(t, "</h3>\n<div><table><tr><th>feature<th>without it, to all<th>alone, to none of them</tr>\n");
    for (unsigned i = 0; i < cmp->count; i++) {
        const struct side *s = &cmp->side[i];

        if (s->kind != SIDE_WITHOUT || strncmp(s->pv, pv, strlen(pv)) || s->pv[strlen(pv)] != ',')
            continue;
        report_printf(t, "<tr><td>");
        escape(t, s->feature);
        report_printf(t, "</td>");
        matrix_cell(t, cmp, pv, s->feature, SIDE_WITHOUT);
        matrix_cell(t, cmp, pv, s->feature, SIDE_ONLY);
        report_printf(t, "</tr>\n");
    }
    report_printf(t, "</table></div>\n");
}

static void feature_matrix(struct report_text *t, const struct comparison *cmp)
{
    bool any = false;

    for (unsigned i = 0; i < cmp->count; i++)
        any |= cmp->side[i].kind != SIDE_PLAIN;
    if (!any)
        return;
    heading(t, "Features, one by one");
    report_printf(t, "<p>Ratios of host CPU time; coloured where the interval leaves 1 out.</p>\n");
    for (unsigned i = 0; i < cmp->count; i++)
        if (cmp->side[i].kind == SIDE_NOTHING) {
            char pv[160];
            snprintf(pv, sizeof pv, "%.*s", (int)(strlen(cmp->side[i].pv) - strlen(",-all")),
                     cmp->side[i].pv);
            matrix_of(t, cmp, pv);
        }
    report_printf(t, "</section>\n");
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void differences(struct report_text *t, const struct comparison *cmp)
{
    char sentence[600];

    heading(t, "What made the difference");
    report_printf(t, "<ul>\n");
    for (unsigned i = 0; i < cmp->count; i++) {
        if (cmp->side[i].kind != SIDE_PLAIN || cmp->side[i].reference == i)
            continue;
        comparison_sentence(cmp, i, sentence, sizeof sentence);
        report_printf(t, "<li>");
        escape(t, sentence);
        report_printf(t, "</li>\n");
    }
    report_printf(t, "</ul>\n");
    if (cmp->note[0]) {
        report_printf(t, "<p>");
        escape(t, cmp->note);
        report_printf(t, "</p>\n");
    }
    report_printf(t, "</section>\n");
}

static void how_to_repeat(struct report_text *t, const struct comparison *cmp, int argc, char **argv)
{
    const struct vm_config *vm = &cmp->config->vm;
    struct utsname u;

    heading(t, "How to repeat it");
    report_printf(t, "<pre>");
    for (int i = 0; i < argc; i++) {
        bool plain = argv[i][0] && !strpbrk(argv[i], " \t\"'$&;()<>|*?[]\\`");
        report_printf(t, "%s%s", i ? " " : "", plain || !i ? "" : "'");
        escape(t, i ? argv[i] : "parallax");
        report_printf(t, "%s", plain || !i ? "" : "'");
    }
    report_printf(t, "</pre>\n<p>parallax %s", PARALLAX_VERSION);
    if (!uname(&u)) {
        report_printf(t, " on ");
        escape(t, u.sysname);
        report_printf(t, " ");
        escape(t, u.release);
        report_printf(t, " (%s)", u.machine);
    }
    report_printf(t, "; guest ");
    escape(t, cmp->config->name);
    report_printf(t, " with %llu MiB, %u CPU%s, CPU model %s, engine %s, seed %llu.</p>\n</section>\n",
                  (unsigned long long)(vm->ram_bytes / MIB), vm->cpus ? vm->cpus : 1, vm->cpus > 1 ? "s" : "",
                  vm->cpu_model ? vm->cpu_model : "default", vm->accel ? vm->accel : "interp",
                  (unsigned long long)vm->seed);
}

void comparison_html(const struct comparison *cmp, struct report_text *t, int argc, char **argv)
{
    *t = (struct report_text){0};
    report_printf(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    escape(t, cmp->config->name);
    report_printf(t, ": a comparison</title>\n%s<h1>", style);
    escape(t, cmp->config->name);
    report_printf(t, ", in full and paravirtualized</h1>\n");
    sides_table(t, cmp);
    ratio_figure(t, cmp);
    exits_figure(t, cmp);
    feature_matrix(t, cmp);
    differences(t, cmp);
    how_to_repeat(t, cmp, argc, argv);
    report_printf(t, "</html>\n");
}
