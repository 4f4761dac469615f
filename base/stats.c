/* stats.c: the names of the sensitive classes (rows of stats.def). */
#include "base/stats.h"

static const char *const names[STAT_COUNT] = {
#define STAT(id, name, doc) [STAT_##id] = name,
#include "base/stats.def"
#undef STAT
};

static const char *const docs[STAT_COUNT] = {
#define STAT(id, name, doc) [STAT_##id] = doc,
#include "base/stats.def"
#undef STAT
};

const char *stat_name(enum stat_class s)
{
    return names[s];
}

const char *stat_doc(enum stat_class s)
{
    return docs[s];
}

void stats_subtract(struct stats *from, const struct stats *less)
{
    for (unsigned s = 0; s < STAT_COUNT; s++) {
        from->cycles[s] -= less->cycles[s];
        for (unsigned how = 0; how < SERVED_COUNT; how++)
            from->served[s][how] -= less->served[s][how];
    }
}

void stats_add(struct stats *to, const struct stats *more)
{
    for (unsigned s = 0; s < STAT_COUNT; s++) {
        to->cycles[s] += more->cycles[s];
        for (unsigned how = 0; how < SERVED_COUNT; how++)
            to->served[s][how] += more->served[s][how];
    }
}
