/* nearest.h: "did you mean": the candidate that a mistyped word most resembles. */
#pragma once

#include "base/types.h"

/* The candidate (of a NULL-terminated list) at the smallest edit distance from `word`, ignoring
 * case; the first of equals. NULL when nothing is near: more than a third of the word's letters (at
 * least one) would have to change, and the word does not start any candidate. */
const char *nearest(const char *word, const char *const *candidates);
