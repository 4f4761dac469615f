/*
 * qmp.h: QEMU's machine protocol: programs drive the machine by JSON, one object after the other, as they
 * drive QEMU. What a command does, the monitor does (monitor.h).
 *
 * Specification: QEMU, docs/interop/qmp-spec.txt, and the schema in qapi/ for what is offered.
 */
#pragma once

#include "base/err.h"

struct debugger;
struct monitor;
struct qmp;

/* NULL with an error: the host gives no such endpoint (endpoint.h), or the program was built without
 * the library (cJSON). */
struct qmp *qmp_open(struct debugger *d, struct monitor *m, const char *name, const char *spec,
                     struct err *e);
void qmp_close(struct qmp *q); /* NULL is fine */

/* Without a client, for tests: what it would have sent is in a text, cut off at 1 MiB. */
struct qmp *qmp_open_without_client(struct debugger *d, struct monitor *m);
void qmp_feed(struct qmp *q, const void *data, size_t len);
const char *qmp_sent(const struct qmp *q);
