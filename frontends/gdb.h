/*
 * gdb.h: the gdb stub: gdb's remote serial protocol ("Debugging with GDB", appendix E), for one gdb
 * at a time. Threads are vCPUs, numbered from 1.
 *
 * The pc is linear: CS's base is added, so that breakpoints and disassembly are right in real mode.
 * The description of the registers is the one of the mode that the first CPU is in when gdb asks:
 * i8086, i386 or i386:x86-64. After a switch of modes `unset tdesc filename` makes gdb ask again;
 * the stub says so. QEMU's packets for single-stepping and physical memory are understood.
 *
 * Not here: reverse execution, non-stop mode, files, more than one process, tracepoints.
 */
#pragma once

#include "base/err.h"

struct debugger;
struct gdb;

/* Where `monitor ...` goes: runs a command and returns its output, to be freed. */
typedef char *gdb_monitor_fn(void *opaque, const char *line);

/* Listens where `spec` says (endpoint.h), and adds itself to the debugger. */
struct gdb *gdb_open(struct debugger *d, const char *spec, struct err *e);
void gdb_set_monitor(struct gdb *g, gdb_monitor_fn *run, void *opaque);
void gdb_close(struct gdb *g); /* NULL is fine */

/* For fuzzing: bytes as if a gdb had sent them; the answers are gone. */
struct gdb *gdb_open_without_client(struct debugger *d);
void gdb_feed(struct gdb *g, const void *buf, size_t len);
