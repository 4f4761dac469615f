/*
 * pollset.h: the file descriptors of one wait: filled anew before each poll, asked after it. It
 * grows as needed and keeps its memory.
 */
#pragma once

#include "base/types.h"
#include <poll.h>

struct pollset {
    struct pollfd *p;
    unsigned count, cap;
};

/* Returns the descriptor's place, for pollset_ready. events: POLLIN, POLLOUT ... of poll(2). */
unsigned pollset_add(struct pollset *s, int fd, short events);
/* What happened to it. 0: nothing, or the place is none of this wait. */
static inline short pollset_ready(const struct pollset *s, unsigned place)
{
    return place < s->count ? s->p[place].revents : 0;
}
/* Waits, timeout_ns at most. True: something happened. */
bool pollset_wait(struct pollset *s, u64 timeout_ns);
void pollset_free(struct pollset *s);
