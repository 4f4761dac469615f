/* comparison.c: the values of a comparison (comparison.h). */
#include "frontends/comparison.h"

#include <stdlib.h>
#include <string.h>

static double exits(const struct stats *st, unsigned class)
{
    return (double)(st->served[class][SERVED_EXIT] + st->served[class][SERVED_IO]);
}

static double sum(const struct stats *st, double (*of)(const struct stats *st, unsigned class))
{
    double n = 0;

    for (unsigned c = 0; c < STAT_COUNT; c++)
        n += of(st, c);
    return n;
}

static double cycles(const struct stats *st, unsigned class)
{
    return (double)st->cycles[class];
}

static const struct measured_phase *phase_of(const struct measured *m, unsigned n)
{
    static const struct measured_phase none;
    return n < m->phase_count ? &m->phase[n] : &none;
}

double measured_value(const struct measured *m, enum value v, unsigned arg)
{
    switch (v) {
    case VALUE_WALL: return (double)m->wall_ns;
    case VALUE_CPU: return (double)m->cpu_ns;
    case VALUE_INSNS: return (double)m->insns;
    case VALUE_EXITS: return sum(&m->stats, exits);
    case VALUE_EXIT_CYCLES: return sum(&m->stats, cycles);
    case VALUE_RSS: return (double)m->rss_bytes;
    case VALUE_CLASS: return (double)stat_total(&m->stats, arg);
    case VALUE_CLASS_EXITS: return exits(&m->stats, arg);
    case VALUE_CLASS_CYCLES: return cycles(&m->stats, arg);
    case VALUE_PHASE_WALL: return (double)phase_of(m, arg)->wall_ns;
    case VALUE_PHASE_CPU: return (double)phase_of(m, arg)->cpu_ns;
    case VALUE_PHASE_INSNS: return (double)phase_of(m, arg)->insns;
    default: return sum(&phase_of(m, arg)->stats, exits);
    }
}

static double *values_of(const struct side *s, enum value v, unsigned arg)
{
    double *values = calloc(s->count + 1u, sizeof *values);

    BUG_ON(!values);
    for (unsigned i = 0; i < s->count; i++)
        values[i] = measured_value(&s->runs[i], v, arg);
    return values;
}

struct summary side_summary(const struct comparison *cmp, unsigned side, enum value v, unsigned arg)
{
    double *values = values_of(&cmp->side[side], v, arg);
    struct summary s = samples_summary(values, cmp->side[side].count);

    free(values);
    return s;
}

double side_count(const struct comparison *cmp, unsigned side, enum value v, unsigned arg)
{
    const struct side *s = &cmp->side[side];
    return s->exact ? measured_value(s->exact, v, arg) : side_summary(cmp, side, v, arg).median;
}

struct interval side_ratio(const struct comparison *cmp, unsigned side, enum value v, unsigned arg)
{
    const struct side *s = &cmp->side[side], *ref = &cmp->side[s->reference];
    double *a, *b;
    struct interval r;

    if (ref == s || !s->count || !ref->count)
        return (struct interval){0};
    a = values_of(s, v, arg);
    b = values_of(ref, v, arg);
    r = samples_ratio(a, s->count, b, ref->count, cmp->config ? cmp->config->vm.seed : 0);
    free(a);
    free(b);
    return r;
}

u64 side_feature(const struct comparison *cmp, unsigned side, const char *feature, bool *on)
{
    const struct side *s = &cmp->side[side];
    u64 most = 0;

    *on = false;
    for (unsigned i = 0; i < s->count; i++)
        for (unsigned f = 0; f < s->runs[i].feature_count; f++)
            if (!strcmp(s->runs[i].features[f].name, feature)) {
                *on = s->runs[i].features[f].on;
                most = s->runs[i].features[f].used > most ? s->runs[i].features[f].used : most;
            }
    return most;
}

const char *comparison_phase(const struct comparison *cmp, unsigned n)
{
    for (unsigned i = 0; i < cmp->count; i++)
        if (cmp->side[i].count && n < cmp->side[i].runs[0].phase_count)
            return cmp->side[i].runs[0].phase[n].name;
    return NULL;
}

struct ranked {
    unsigned class;
    double most; /* the greatest value of any side */
};

static int by_most(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->most > y->most || x->most < y->most)
        return x->most < y->most ? 1 : -1;
    return (int)x->class - (int)y->class;
}

unsigned comparison_classes(const struct comparison *cmp, enum value v, unsigned classes[STAT_COUNT])
{
    struct ranked rank[STAT_COUNT];
    unsigned n = 0;

    for (unsigned c = 0; c < STAT_COUNT; c++) {
        struct ranked r = {.class = c};

        for (unsigned i = 0; i < cmp->count; i++) {
            double x = side_count(cmp, i, v, c);
            r.most = x > r.most ? x : r.most;
        }
        if (r.most > 0)
            rank[n++] = r;
    }
    qsort(rank, n, sizeof *rank, by_most);
    for (unsigned i = 0; i < n; i++)
        classes[i] = rank[i].class;
    return n;
}
