/*
 * samples.h: what is said of repeated measurements: the median, and as spread the interquartile
 * range. Quartiles interpolate linearly between order statistics (type 7 of Hyndman and Fan, "Sample
 * quantiles in statistical packages", 1996). Of a ratio of two medians the percentile bootstrap gives
 * the interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
 */
#pragma once

#include "base/types.h"

struct summary {
    size_t n;
    double min, q1, median, q3, max;
};

/* Sorts values in place; n may be 0 (all zero then). */
struct summary samples_summary(double *values, size_t n);
/* An estimate and its 95 % interval; low = high = value: there was one measurement. */
struct interval {
    double value, low, high;
};

/* Of the median of a over that of b; all zero when b's is. The same seed gives the same interval. */
struct interval samples_ratio(const double *a, size_t na, const double *b, size_t nb, u64 seed);
/* Does the interval leave 1 out? */
bool interval_separates(const struct interval *i);

/* Half the interquartile range: the "+-" of the tables. */
double summary_spread(const struct summary *s);
