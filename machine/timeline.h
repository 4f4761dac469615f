/*
 * timeline.h: what the CPUs were at, over the host's time, as a file for trace viewers (Perfetto,
 * chrome://tracing): exits, hypercalls, interrupts, translation, idling, a thread per vCPU.
 * The form is Chrome's Trace Event Format, JSON object format.
 */
#pragma once

#include "base/err.h"

struct vm;
struct timeline;

/* NULL: the file cannot be written. `name` is the guest's. */
struct timeline *timeline_begin(struct vm *vm, const char *path, const char *name, struct err *e);
/* No more events; false: the file did not take everything. */
bool timeline_end(struct timeline *t, struct err *e);
