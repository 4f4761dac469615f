/*
 * trace.c: switching trace points (rows of trace.def) on and printing them.
 *
 * The switches and the file are the only mutable globals of the program: a trace point must cost one
 * load and one branch, wherever it stands.
 */
#include "base/trace.h"

#include "base/nearest.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name, *group, *doc;
} points[TRACE_COUNT] = {
#define TRACE_POINT(name, group, fmt, doc) [TRACE_##name] = {#name, #group, doc},
#include "base/trace.def"
#undef TRACE_POINT
};

bool trace_on[TRACE_COUNT];
static FILE *trace_file;

void trace_emit(enum trace_id id, const char *fmt, ...)
{
    FILE *out = trace_file ? trace_file : stderr;
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(out, "%s: %s\n", points[id].name, line);
}

static bool suggest(const char *pattern, struct err *e)
{
    const char *words[2 * TRACE_COUNT + 1];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < TRACE_COUNT; i++) {
        words[n++] = points[i].name;
        words[n++] = points[i].group;
    }
    words[n] = NULL;
    near = nearest(pattern, words);
    err_usage(e, "'%s' matches no trace point and no group", pattern);
    if (near)
        return err_hint(e, "did you mean '%s'? '-trace help' lists all", near);
    return err_hint(e, "'-trace help' lists all");
}

static bool set(const char *pattern, bool on, struct err *e)
{
    bool any = false;

    for (size_t i = 0; i < TRACE_COUNT; i++)
        if (!fnmatch(pattern, points[i].name, 0) || !fnmatch(pattern, points[i].group, 0)) {
            trace_on[i] = on;
            any = true;
        }
    return any || suggest(pattern, e);
}

bool trace_enable(const char *pattern, struct err *e)
{
    return set(pattern, true, e);
}

bool trace_disable(const char *pattern, struct err *e)
{
    return set(pattern, false, e);
}

bool trace_set_file(const char *path, struct err *e)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return err_host(e, "%s: cannot be written: %s", path, strerror(errno));
    setvbuf(f, NULL, _IOLBF, 0); /* the last lines before a crash are the ones that matter */
    if (trace_file)
        fclose(trace_file);
    trace_file = f;
    return true;
}

bool trace_finish(struct err *e)
{
    FILE *f = trace_file;
    bool ok;

    memset(trace_on, 0, sizeof trace_on);
    if (!f)
        return true;
    trace_file = NULL;
    ok = !ferror(f);
    if (fclose(f) || !ok)
        return err_host(e, "the trace is not complete: its file could not be written (is the disk full?)");
    return true;
}

void trace_help(FILE *out)
{
    const char *group = "";

    for (size_t i = 0; i < TRACE_COUNT; i++) {
        if (strcmp(group, points[i].group))
            fprintf(out, "%s%s:\n", i ? "\n" : "", points[i].group);
        group = points[i].group;
        fprintf(out, "  %-24s %s\n", points[i].name, points[i].doc);
    }
}
