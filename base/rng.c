/*
 * rng.c: xoshiro256** 1.0 of Blackman and Vigna, seeded through SplitMix64 as its authors advise,
 * and the host's entropy.
 *
 * Specification: "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021.
 * Not for secrets: host_entropy is.
 */
#include "base/rng.h"

#include "base/err.h"

#include <errno.h>
#include <sys/random.h>

static u64 splitmix64(u64 *state)
{
    u64 z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static u64 rotl(u64 v, unsigned n)
{
    return v << n | v >> (64 - n);
}

void rng_seed(struct rng *r, u64 seed)
{
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

u64 rng_next(struct rng *r)
{
    u64 *s = r->s;
    u64 result = rotl(s[1] * 5, 7) * 9;
    u64 t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

u64 rng_below(struct rng *r, u64 n)
{
    u64 reject, v;

    BUG_ON(n == 0);
    reject = -n % n; /* 2^64 mod n: below it, low results would be too frequent */
    do
        v = rng_next(r);
    while (v < reject);
    return v % n;
}

void host_entropy(void *buf, size_t len)
{
    u8 *p = buf;

    while (len) {
        ssize_t got = getrandom(p, len, 0);

        if (got < 0) {
            BUG_ON(errno != EINTR);
            continue;
        }
        p += got;
        len -= (size_t)got;
    }
}
