/*
 * signals.h: SIGINT, SIGTERM, SIGHUP and SIGQUIT end a run in order: the machine stops, reports are
 * written, the terminal is restored. A second signal ends the program at once.
 */
#pragma once

#include "base/types.h"

struct vm;

/* SIGPIPE is ignored from here on: a reader that leaves is an error of write(2). */
void signals_init(void);
/* The machine that a signal stops; NULL: none. */
void signals_set_vm(struct vm *vm);
/* The signal that came, 0: none. */
int signals_caught(void);
/* Did a signal come, or was signals_quit called? */
bool signals_asked(void);
/* From any thread: stops the machine as a signal would, and wakes it from waiting. */
void signals_quit(void *unused);
