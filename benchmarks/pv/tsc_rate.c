/* tsc_rate.c: prints the rate of the host's time-stamp counter in kHz, measured over 200 ms; fails where
 * it is not invariant (CPUID 80000007h EDX bit 8). */
#include <cpuid.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(void)
{
    unsigned a, b, c, d = 0;
    if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d >> 8 & 1))
        return 1;
    unsigned long long t0 = __rdtsc();
    double n0 = now(), n1;
    do
        n1 = now();
    while (n1 - n0 < 2e8);
    printf("%.0f\n", (double)(__rdtsc() - t0) / (n1 - n0) * 1e6);
    return 0;
}
