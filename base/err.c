/*
 * err.c: filling and printing of struct err, and the end of the program on our own mistakes.
 * Interface and rules: err.h.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* File names and arguments are quoted in messages; a message stays one line of plain text whatever
 * they contain. Bytes of 0x80 and above pass: they are UTF-8. */
static void keep_one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

static void format(char *buf, size_t size, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

static void format(char *buf, size_t size, const char *fmt, va_list ap)
{
    int len = vsnprintf(buf, size, fmt, ap);

    if (len >= (int)size)
        memcpy(buf + size - 4, "...", 4);
    keep_one_line(buf);
}

static void set(struct err *e, int exit_code, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

static void set(struct err *e, int exit_code, const char *fmt, va_list ap)
{
    if (!e)
        return;
    e->exit_code = exit_code;
    e->hint[0] = 0;
    format(e->msg, sizeof e->msg, fmt, ap);
}

bool err_usage(struct err *e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set(e, EXIT_USAGE, fmt, ap);
    va_end(ap);
    return false;
}

bool err_host(struct err *e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set(e, EXIT_HOST, fmt, ap);
    va_end(ap);
    return false;
}

bool err_hint(struct err *e, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return false;
    va_start(ap, fmt);
    format(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
    return false;
}

/* "MSG." or "MSG" where it already ends in a mark: a message may end with a quoted name. */
static const char *stop_of(const char *s)
{
    size_t len = strlen(s);

    return len && strchr(".?!", s[len - 1]) ? "" : ".";
}

void err_print(const struct err *e)
{
    if (e->hint[0])
        fprintf(stderr, "parallax: %s%s Hint: %s%s\n", e->msg, stop_of(e->msg), e->hint,
                stop_of(e->hint));
    else
        fprintf(stderr, "parallax: %s%s\n", e->msg, stop_of(e->msg));
}

/* Per thread, because two VMs may run on two threads. */
static _Thread_local struct {
    void (*dump)(void *opaque);
    void *opaque;
} bug_state;

void bug_set_dump(void (*dump)(void *opaque), void *opaque)
{
    bug_state.dump = dump;
    bug_state.opaque = opaque;
}

_Noreturn void bug(const char *what, const char *file, int line)
{
    void (*dump)(void *) = bug_state.dump;

    fprintf(stderr, "parallax: BUG at %s:%d: %s. This is a mistake of ours; please report it.\n",
            file, line, what);
    bug_state.dump = NULL; /* a BUG_ON inside the dump must not come back here */
    if (dump)
        dump(bug_state.opaque);
    fflush(stderr);
    abort();
}
