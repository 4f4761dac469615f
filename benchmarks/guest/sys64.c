/* sys64.c: the system below the 64-bit program, a libc, and its groups. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "benchmarks/guest/bench.h"

uint64_t sys_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void sys_put(const char *text, unsigned long length)
{
    while (length) {
        ssize_t n = write(STDOUT_FILENO, text, length);

        if (n <= 0)
            return;
        text += n;
        length -= (unsigned long)n;
    }
}

void *sys_alloc(unsigned long size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

const struct group groups[] = {
    {"integer", integer_benches}, {"sse", double_benches},
    {"sse", packed_benches},      {"avx", avx_benches},
    {"x87", x87_benches},         {"memory", memory_benches},
    {"code", code_benches},       {"syscall", syscall_benches},
    {"process", process_benches}, {"exception", exception_benches},
    {"smp", smp_benches},         {"switch", switch_benches},
    {"files", files_benches},     {"compile", compile_benches},
    {"cross", cross_benches},     {"timer", timer_benches},
    {"disk", disk_benches},       {NULL, NULL},
};
