/* pollset.c: see pollset.h. */
#define _GNU_SOURCE /* ppoll */
#include "base/pollset.h"

#include "base/clock.h"
#include "base/err.h"
#include <stdlib.h>
#include <time.h>

unsigned pollset_add(struct pollset *s, int fd, short events)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 32;
        s->p = realloc(s->p, s->cap * sizeof *s->p);
        BUG_ON(!s->p);
    }
    s->p[s->count] = (struct pollfd){.fd = fd, .events = events};
    return s->count++;
}

bool pollset_wait(struct pollset *s, u64 timeout_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
                          .tv_nsec = (long)(timeout_ns % NS_PER_SEC)};

    if (!s->count && !timeout_ns)
        return false;
    return ppoll(s->p, s->count, &ts, NULL) > 0;
}

void pollset_free(struct pollset *s)
{
    free(s->p);
    *s = (struct pollset){0};
}
