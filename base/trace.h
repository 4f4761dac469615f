/*
 * trace.h: trace points, one row each in trace.def, all off by default.
 *
 *     TRACE(pit_set_count, channel, count);
 *
 * costs one predictable branch when off. The format stands in trace.def; a mismatch of format and
 * arguments is a compile error. The switches are the only mutable globals of the program.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include <inttypes.h>
#include <stdio.h>

enum trace_id {
#define TRACE_POINT(name, group, fmt, doc) TRACE_##name,
#include "base/trace.def"
#undef TRACE_POINT
    TRACE_COUNT
};

#define TRACE_POINT(name, group, fmt, doc) static const char trace_fmt_##name[] __attribute__((unused)) = fmt;
#include "base/trace.def"
#undef TRACE_POINT

extern bool trace_on[TRACE_COUNT];

#define TRACE(name, ...)                                                                           \
    do {                                                                                           \
        if (unlikely(trace_on[TRACE_##name]))                                                      \
            trace_emit(TRACE_##name, trace_fmt_##name, ##__VA_ARGS__);                             \
    } while (0)

void trace_emit(enum trace_id id, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Turns on every point whose name or group matches the shell pattern (`*`, `?`); false with an
 * error that names the nearest match when none does. */
bool trace_enable(const char *pattern, struct err *e);
bool trace_disable(const char *pattern, struct err *e);
/* Where trace lines go; stderr by default. */
bool trace_set_file(const char *path, struct err *e);
/* Nothing is traced any more. Closes the file of trace_set_file; false when it did not take
 * everything. */
bool trace_finish(struct err *e);
/* Prints name, group and doc of every point: `-trace help`. */
void trace_help(FILE *out);
