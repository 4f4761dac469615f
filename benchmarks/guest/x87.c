/* x87.c: 80-bit arithmetic. */
#include "benchmarks/guest/bench.h"

/* ---- n bodies ---- */

enum { BODIES = 5, STEPS = 20 };

static long double square_root(long double v)
{
    __asm__("fsqrt" : "+t"(v));
    return v;
}

static uint64_t n_body(void)
{
    struct {
        long double x[3], v[3], mass;
    } b[BODIES];
    uint64_t sum = 0;

    for (int i = 0; i < BODIES; i++) {
        for (int k = 0; k < 3; k++) {
            b[i].x[k] = (i * 7 + k * 3) % 11 - 5;
            b[i].v[k] = ((i * 5 + k) % 7 - 3) / 8.0L;
        }
        b[i].mass = i + 1;
    }
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < BODIES; i++) {
            for (int j = i + 1; j < BODIES; j++) {
                long double d[3], square = 0.01L;

                for (int k = 0; k < 3; k++) {
                    d[k] = b[i].x[k] - b[j].x[k];
                    square += d[k] * d[k];
                }
                long double pull = 0.001L / (square * square_root(square));

                for (int k = 0; k < 3; k++) {
                    b[i].v[k] -= d[k] * b[j].mass * pull;
                    b[j].v[k] += d[k] * b[i].mass * pull;
                }
            }
        }
        for (int i = 0; i < BODIES; i++) {
            for (int k = 0; k < 3; k++)
                b[i].x[k] += 0.001L * b[i].v[k];
        }
    }
    for (int i = 0; i < BODIES; i++)
        sum = mix(sum, bits_of((double)b[i].x[i % 3]));
    return sum;
}

/* ---- transcendental instructions ---- */

/* Their last bits are each maker's own: nine digits are compared. */
static uint64_t rounded(long double v)
{
    return (uint64_t)(int64_t)(v * (1 << 30) + 0.5L);
}

static uint64_t transcendentals(void)
{
    uint64_t sum = 0;

    for (int i = 1; i <= 32; i++) {
        long double a = i / 40.0L, s = a, c = a, t = a, l = a, e = a;

        __asm__("fsin" : "+t"(s));
        __asm__("fcos" : "+t"(c));
        __asm__("fpatan" : "=t"(t) : "0"(1.0L), "u"(a) : "st(1)");
        __asm__("fyl2x" : "=t"(l) : "0"(a), "u"(1.0L) : "st(1)");
        __asm__("f2xm1" : "+t"(e));
        sum = mix(sum, rounded(s) ^ rounded(c) << 16);
        sum = mix(sum, rounded(t) ^ rounded(l) << 8 ^ rounded(e) << 24);
    }
    return sum;
}

const struct bench x87_benches[] = {
    {"n-body", 1, NULL, n_body},
    {"transcendentals", 1, NULL, transcendentals},
    {NULL, 0, NULL, NULL},
};
