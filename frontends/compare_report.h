/* compare_report.h: a finished comparison as tables and sentences, JSON, CSV and a page of HTML. */
#pragma once

#include "frontends/comparison.h"
#include "frontends/report.h"
#include <stdio.h>

void comparison_print(const struct comparison *cmp, FILE *out);
/* The sentence that says what made the difference of side `i`; at most `size` bytes. */
void comparison_sentence(const struct comparison *cmp, unsigned i, char *buf, size_t size);
/* The sentence on a feature of -each-feature that the guest did not use; false: it did. */
bool comparison_unused(const struct comparison *cmp, unsigned i, char *buf, size_t size);

/* Whole documents; to be freed by report_text_free. */
void comparison_json(const struct comparison *cmp, struct report_text *t, int argc, char **argv);
void comparison_csv(const struct comparison *cmp, struct report_text *t);
/* One file without anything from elsewhere. Every number in it has an attribute data-value with all
 * its digits and data-key with its place in the JSON. */
void comparison_html(const struct comparison *cmp, struct report_text *t, int argc, char **argv);
