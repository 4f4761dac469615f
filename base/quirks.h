/*
 * quirks.h: what a guest touched that is not there: a port that nobody answers, a register that the
 * CPU does not have, an instruction that is none. Each is remembered once, with how often; it is what
 * to look at first when a guest behaves oddly.
 */
#pragma once

#include "base/types.h"

enum quirk_kind { QUIRK_PORT, QUIRK_MEMORY, QUIRK_MSR, QUIRK_OPCODE, QUIRK_KINDS };

struct quirk {
    enum quirk_kind kind;
    u64 nr; /* port, physical address, MSR; an instruction's first bytes, lowest first */
    u64 count;
};

#define QUIRKS_MAX 64u

struct quirks {
    struct quirk q[QUIRKS_MAX];
    unsigned count;
    u64 lost; /* touches of others, when there is no room */
};

/* By one thread at a time. */
static inline void quirk_add(struct quirks *s, const struct quirk *q)
{
    unsigned i = 0;
    while (i < s->count && (s->q[i].kind != q->kind || s->q[i].nr != q->nr))
        i++;
    if (i == QUIRKS_MAX) {
        s->lost += q->count;
        return;
    }
    if (i == s->count)
        s->q[s->count++] = (struct quirk){.kind = q->kind, .nr = q->nr};
    s->q[i].count += q->count;
}

static inline void quirk_note(struct quirks *s, enum quirk_kind kind, u64 nr)
{
    quirk_add(s, &(struct quirk){kind, nr, 1});
}
