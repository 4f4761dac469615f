/*
 * err.h: errors that the user or the host caused. A function that can fail so returns bool (or
 * NULL) and fills a struct err; the front end prints it once: "parallax: MSG. Hint: HINT".
 * What a guest does is never such an error (it is an exception or a status bit); what we did wrong
 * is BUG_ON.
 */
#pragma once

#include "base/types.h"

/* Exit codes of the program (README, "Exit codes"). */
enum {
    EXIT_OK = 0,
    EXIT_USAGE = 2,
    EXIT_HOST = 3,
    EXIT_TRIPLE_FAULT = 4,
    EXIT_TIMEOUT = 5,
};

struct err {
    int exit_code; /* EXIT_USAGE or EXIT_HOST; 0 = no error */
    char msg[320];
    char hint[320];
};

/* Each fills `e` (which may be NULL) and returns false, so that `return err_usage(e, ...)` reads well. */
bool err_usage(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool err_host(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Adds the hint (what to do) to an error already set; returns false. */
bool err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Prints one line to stderr. */
void err_print(const struct err *e);

/* Our own mistake: prints where and the registered state dump, then aborts. Always compiled in.
 * Nothing that a guest, a file, a stream or a socket sends may reach it. */
#define BUG_ON(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!!(cond), 0))                                                         \
            bug(#cond, __FILE__, __LINE__);                                                        \
    } while (0)

_Noreturn void bug(const char *what, const char *file, int line);

/* What bug() prints of the state before it aborts, for this thread; NULL: nothing. */
void bug_set_dump(void (*dump)(void *opaque), void *opaque);
