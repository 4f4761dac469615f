/*
 * sys32.c: the system below the 32-bit program: start code and Linux's i386 system calls.
 *
 * There is no libc: a 32-bit one would be one more package, and one that cannot stand beside the
 * cross compiler.
 */
#include <stddef.h>

#include "benchmarks/guest/bench.h"

enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_MMAP2 = 192, SYS_CLOCK_GETTIME = 265 };

int main(int argc, char **argv);
void start(long *stack);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

static long call(long nr, long a, long b, long c, long d, long e)
{
    long result;

    /* The sixth argument, in EBP, is 0 in every use here. */
    __asm__ volatile("push %%ebp; xor %%ebp, %%ebp; int $0x80; pop %%ebp"
                     : "=a"(result)
                     : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return result;
}

__asm__(".globl _start\n_start: xor %ebp, %ebp\nmov %esp, %eax\nand $-16, %esp\nsub $12, %esp\n"
        "push %eax\ncall start\n");

void start(long *stack)
{
    call(SYS_EXIT, main((int)stack[0], (char **)(stack + 1)), 0, 0, 0, 0);
    __builtin_unreachable();
}

uint64_t sys_now_ns(void)
{
    struct {
        int32_t sec, nsec;
    } t = {0, 0};

    call(SYS_CLOCK_GETTIME, 1 /* CLOCK_MONOTONIC */, (long)&t, 0, 0, 0);
    return (uint64_t)t.sec * 1000000000u + (uint64_t)t.nsec;
}

void sys_put(const char *text, unsigned long length)
{
    while (length) {
        long n = call(SYS_WRITE, 1, (long)text, (long)length, 0, 0);

        if (n <= 0)
            return;
        text += n;
        length -= (unsigned long)n;
    }
}

void *sys_alloc(unsigned long size)
{
    /* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS */
    long p = call(SYS_MMAP2, 0, (long)size, 3, 0x22, -1);

    return p < 0 && p > -4096 ? NULL : (void *)p;
}

/* What the compiler may call without being asked. */
void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;

    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *memset(void *to, int c, size_t n)
{
    void *d = to;

    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return to;
}

const struct group groups[] = {
    {"i386", integer_benches},
    {"i387", x87_double_benches},
    {NULL, NULL},
};
