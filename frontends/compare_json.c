/* compare_json.c: every number of a comparison as JSON, and its table of sides as CSV (RFC 4180). */
#include "frontends/compare_report.h"

#include <stdlib.h>
#include <string.h>

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

static void json_interval(struct json *j, const char *key, struct interval r)
{
    json_object(j, key);
    json_double(j, "value", r.value);
    json_double(j, "low", r.low);
    json_double(j, "high", r.high);
    json_end(j);
}

static void json_phase(struct json *j, const struct measured_phase *p)
{
    json_object(j, p->name);
    json_u64(j, "times", p->times);
    json_u64(j, "wall_ns", p->wall_ns);
    json_u64(j, "host_cpu_ns", p->cpu_ns);
    json_u64(j, "guest_instructions", p->insns);
    report_json_stats(j, &p->stats);
    json_end(j);
}

static void json_run(struct json *j, const char *key, const struct measured *m)
{
    json_object(j, key);
    json_u64(j, "wall_ns", m->wall_ns);
    json_u64(j, "host_cpu_ns", m->cpu_ns);
    json_u64(j, "guest_instructions", m->insns);
    json_u64(j, "resident_bytes", m->rss_bytes);
    report_json_stats(j, &m->stats);
    json_object(j, "phases");
    for (unsigned p = 0; p < m->phase_count; p++)
        json_phase(j, &m->phase[p]);
    json_end(j);
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

static const char *kind_name(enum side_kind kind)
{
    static const char *const names[] = {"plain", "nothing", "without", "only"};
    return names[kind];
}

static void json_classes(const struct comparison *cmp, struct json *j, unsigned i)
{
    json_object(j, "exits_by_class");
    for (unsigned c = 0; c < STAT_COUNT; c++)
        if (side_count(cmp, i, VALUE_CLASS_EXITS, c) > 0)
            json_double(j, stat_name(c), side_count(cmp, i, VALUE_CLASS_EXITS, c));
    json_end(j);
}

static void json_side(const struct comparison *cmp, struct json *j, unsigned i)
{
    const struct side *s = &cmp->side[i];
    char sentence[600];

    json_object(j, NULL);
    json_string(j, "name", s->name);
    json_string(j, "personality", s->pv);
    json_string(j, "kind", kind_name(s->kind));
    if (s->feature[0])
        json_string(j, "feature", s->feature);
    json_string(j, "reference", cmp->side[s->reference].name);
    json_summary(j, "wall_ns", side_summary(cmp, i, VALUE_WALL, 0));
    json_summary(j, "host_cpu_ns", side_summary(cmp, i, VALUE_CPU, 0));
    json_summary(j, "guest_instructions", side_summary(cmp, i, VALUE_INSNS, 0));
    json_summary(j, "exits", side_summary(cmp, i, VALUE_EXITS, 0));
    json_summary(j, "exit_host_cycles", side_summary(cmp, i, VALUE_EXIT_CYCLES, 0));
    if (i != s->reference) {
        json_interval(j, "host_cpu_ratio", side_ratio(cmp, i, VALUE_CPU, 0));
        json_interval(j, "wall_ratio", side_ratio(cmp, i, VALUE_WALL, 0));
        comparison_sentence(cmp, i, sentence, sizeof sentence);
        json_string(j, "difference", sentence);
    }
    json_classes(cmp, j, i);
    if (s->exact)
        json_run(j, "exact_run", s->exact);
    json_array(j, "runs");
    for (unsigned r = 0; r < s->count; r++)
        json_run(j, NULL, &s->runs[r]);
    json_end(j);
    json_end(j);
}

void comparison_json(const struct comparison *cmp, struct report_text *t, int argc, char **argv)
{
    const struct config *c = cmp->config;
    struct json j;

    json_init(&j);
    json_object(&j, NULL);
    report_json_header(&j, argc, argv);
    json_string(&j, "guest", c->name);
    json_u64(&j, "ram_bytes", c->vm.ram_bytes);
    json_string(&j, "cpu", c->vm.cpu_model);
    json_u64(&j, "cpus", c->vm.cpus ? c->vm.cpus : 1);
    json_string(&j, "engine", c->vm.accel ? c->vm.accel : "interp");
    json_string(&j, "until", c->until);
    json_bool(&j, "icount", c->vm.icount);
    json_u64(&j, "seed", c->vm.seed);
    json_u64(&j, "warmups", cmp->warmups);
    if (cmp->note[0])
        json_string(&j, "note", cmp->note);
    json_array(&j, "sides");
    for (unsigned i = 0; i < cmp->count; i++)
        json_side(cmp, &j, i);
    json_end(&j);
    json_end(&j);
    *t = (struct report_text){j.text, j.len, j.cap, j.failed}; /* the text is t's now */
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static void csv_text(struct report_text *t, const char *text)
{
    report_printf(t, "\"");
    for (; *text; text++)
        report_printf(t, *text == '"' ? "\"\"" : "%c", *text);
    report_printf(t, "\"");
}

void comparison_csv(const struct comparison *cmp, struct report_text *t)
{
    *t = (struct report_text){0};
    report_printf(t, "side,reference,run,wall_ns,host_cpu_ns,guest_instructions,exits,exit_host_cycles,"
                     "resident_bytes");
    for (unsigned c = 0; c < STAT_COUNT; c++)
        report_printf(t, ",%s", stat_name(c));
    report_printf(t, "\r\n");
    for (unsigned i = 0; i < cmp->count; i++)
        for (unsigned r = 0; r < cmp->side[i].count; r++) {
            const struct measured *m = &cmp->side[i].runs[r];

            csv_text(t, cmp->side[i].name);
            report_printf(t, ",");
            csv_text(t, cmp->side[cmp->side[i].reference].name);
            report_printf(t, ",%u", r + 1);
            for (enum value v = VALUE_WALL; v <= VALUE_RSS; v++)
                report_printf(t, ",%.0f", measured_value(m, v, 0));
            for (unsigned c = 0; c < STAT_COUNT; c++)
                report_printf(t, ",%.0f", measured_value(m, VALUE_CLASS, c));
            report_printf(t, "\r\n");
        }
}
