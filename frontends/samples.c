/* samples.c: order statistics (samples.h). */
#include "frontends/samples.h"

#include <stdlib.h>

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
