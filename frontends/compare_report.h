/* compare_report.h: a finished comparison as tables, one sentence per personality, and JSON. */
#pragma once

#include "frontends/json.h"
#include "frontends/measure.h"
#include <stdio.h>

#define MAX_PERSONALITIES 12

struct comparison {
    const struct config *config;
    unsigned runs, count;
    unsigned reference; /* the side that ratios refer to: `none`, or the first */
    struct {
        const char *pv;
        struct measured *runs;
    } side[MAX_PERSONALITIES];
};

void comparison_print(const struct comparison *cmp, FILE *out);
/* The sentence that says what made the difference of side `i`; at most `size` bytes. */
void comparison_sentence(const struct comparison *cmp, unsigned i, char *buf, size_t size);
/* The whole document. */
void comparison_json(const struct comparison *cmp, struct json *j, int argc, char **argv);
