/*
 * monitor.h: the monitor: commands as text, answers as text. ONE table (monitor.def) gives parsing,
 * help, completion and the manual page, whoever gives the commands: a terminal, a socket, gdb, a
 * program.
 *
 * A command may be shortened as long as it is clear which is meant. Numbers are expressions
 * (machine/expr.h).
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include <stdio.h>

struct chardev;
struct debugger;
struct monitor;

struct monitor *monitor_create(struct debugger *d);
void monitor_destroy(struct monitor *m); /* NULL is fine */
/* Runs a line and returns what it printed, to be freed. */
char *monitor_run(struct monitor *m, const char *line);
/* The n-th word that can stand in the place of the last one of `line`; NULL beyond the last. To be
 * freed. */
char *monitor_complete(const char *line, unsigned n);
/* Listens where `spec` says (endpoint.h). Lines of a file or pipe on standard input wait until the
 * machine has stopped again; at their end the program ends, if it stands still. */
bool monitor_listen(struct monitor *m, const char *spec, struct err *e);
/* Ctrl-A c in the terminal of a stream: its input is the monitor's until the next. */
void monitor_share_terminal(struct monitor *m, struct chardev *c);

/* All commands, for the manual page. */
void monitor_man(FILE *out);
