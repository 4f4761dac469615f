/* rng.h: a seeded generator (xoshiro256**) for everything that must be reproducible, and the
 * host's entropy for what must not. */
#pragma once

#include "base/types.h"

struct rng {
    u64 s[4];
};

void rng_seed(struct rng *r, u64 seed);
u64 rng_next(struct rng *r);
/* 0 to n - 1; n > 0. */
u64 rng_below(struct rng *r, u64 n);
/* Fills from the host's entropy source. */
void host_entropy(void *buf, size_t len);
