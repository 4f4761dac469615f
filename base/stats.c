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
