/* samples.c: order statistics (samples.h). */
#include "frontends/samples.h"

#include "base/err.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

#define RESAMPLES 2000u

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double p)
{
    double at = (double)(n - 1) * p;
    size_t i = (size_t)at;

    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

struct summary samples_summary(double *values, size_t n)
{
    if (!n)
        return (struct summary){0};
    qsort(values, n, sizeof *values, compare);
    return (struct summary){
        .n = n,
        .min = values[0],
        .q1 = quantile(values, n, 0.25),
        .median = quantile(values, n, 0.5),
        .q3 = quantile(values, n, 0.75),
        .max = values[n - 1],
    };
}

double summary_spread(const struct summary *s)
{
    return (s->q3 - s->q1) / 2;
}

/* The median of as many values, drawn with replacement. */
static double resample(struct rng *r, const double *values, size_t n, double *room)
{
    for (size_t i = 0; i < n; i++)
        room[i] = values[rng_below(r, n)];
    qsort(room, n, sizeof *room, compare);
    return quantile(room, n, 0.5);
}

static double median_of(const double *values, size_t n, double *room)
{
    memcpy(room, values, n * sizeof *room);
    return samples_summary(room, n).median;
}

struct interval samples_ratio(const double *a, size_t na, const double *b, size_t nb, u64 seed)
{
    double *room = calloc((na > nb ? na : nb) + 1, sizeof *room);
    double *ratios = calloc(RESAMPLES, sizeof *ratios);
    struct interval r = {0};
    struct rng rng;
    size_t kept = 0;
    double below;

    BUG_ON(!room || !ratios);
    below = nb ? median_of(b, nb, room) : 0;
    if (na && below > 0) {
        r.value = r.low = r.high = median_of(a, na, room) / below;
        rng_seed(&rng, seed);
        for (unsigned i = 0; i < RESAMPLES && (na > 1 || nb > 1); i++) {
            double top = resample(&rng, a, na, room), bottom = resample(&rng, b, nb, room);
            if (bottom > 0)
                ratios[kept++] = top / bottom;
        }
    }
    if (kept) {
        qsort(ratios, kept, sizeof *ratios, compare);
        r.low = quantile(ratios, kept, 0.025);
        r.high = quantile(ratios, kept, 0.975);
    }
    free(room);
    free(ratios);
    return r;
}

bool interval_separates(const struct interval *i)
{
    return i->value > 0 && (i->low > 1 || i->high < 1);
}
