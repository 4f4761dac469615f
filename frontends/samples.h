/*
 * samples.h: what is said of repeated measurements: the median, and as spread the interquartile
 * range. Quartiles interpolate linearly between order statistics (type 7 of Hyndman and Fan, "Sample
 * quantiles in statistical packages", 1996).
 */
#pragma once

#include "base/types.h"

struct summary {
    size_t n;
    double min, q1, median, q3, max;
};

/* Sorts values in place; n may be 0 (all zero then). */
struct summary samples_summary(double *values, size_t n);
/* Half the interquartile range: the "+-" of the tables. */
double summary_spread(const struct summary *s);
