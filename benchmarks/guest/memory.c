/* memory.c: latency and throughput of memory, and the translation of addresses. */
#include <string.h>

#include "benchmarks/guest/bench.h"

enum { LINE = 64, SMALL = 1 << 20, LARGE = 64 << 20, BLOCK = 64 << 10, STEPS = 2048 };

static uint8_t *memory;

/* Lines in the order of a full-period congruential generator: no prefetcher guesses it. */
static uint32_t next_line(uint32_t line, uint32_t lines)
{
    return (line * 1664525u + 1013904223u) & (lines - 1);
}

static bool setup_memory(void)
{
    if (!memory)
        memory = sys_alloc(LARGE);
    return memory != NULL;
}

static bool setup_chain(uint32_t size)
{
    if (!setup_memory())
        return false;
    for (uint32_t i = 0, lines = size / LINE; i < lines; i++) {
        void **p = (void **)(memory + (unsigned long)i * LINE);

        *p = memory + (unsigned long)next_line(i, lines) * LINE;
    }
    return true;
}

static bool setup_small(void)
{
    return setup_chain(SMALL);
}

static bool setup_large(void)
{
    return setup_chain(LARGE);
}

/* Follows the chain from where the last call left it, and says whether it led where it must. */
static uint64_t chase(uint32_t size)
{
    static uint32_t at;
    uint32_t lines = size / LINE, expected = at & (lines - 1);
    void **p = (void **)(memory + (unsigned long)expected * LINE);

    for (unsigned i = 0; i < STEPS; i++) {
        p = *p;
        expected = next_line(expected, lines);
    }
    at = expected;
    return (uint8_t *)p == memory + (unsigned long)expected * LINE;
}

static uint64_t chase_small(void)
{
    return chase(SMALL);
}

static uint64_t chase_large(void)
{
    return chase(LARGE);
}

static bool setup_stride(void)
{
    if (!setup_memory())
        return false;
    for (uint32_t i = 0; i < LARGE; i += 4096)
        memory[i + (i >> 6 & 0xfc0)] = (uint8_t)(i >> 12);
    return true;
}

/* One byte of each page, in another line each. */
static uint64_t stride(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < LARGE; i += 4096)
        sum += memory[i + (i >> 6 & 0xfc0)];
    return sum;
}

static bool setup_block(void)
{
    if (!setup_memory())
        return false;
    for (uint32_t i = 0; i < BLOCK; i++)
        memory[i] = (uint8_t)(i * 7 >> 3);
    return true;
}

static uint64_t copied(void)
{
    const uint8_t *to = memory + BLOCK;

    return (uint64_t)to[1] << 24 | (uint64_t)to[BLOCK / 2] << 16 | (uint64_t)to[BLOCK - 1] << 8;
}

static uint64_t library_copy(void)
{
    memcpy(memory + BLOCK, memory, BLOCK);
    USED(memory);
    return copied();
}

static uint64_t copy_loop(void)
{
    const uint64_t *from = (const uint64_t *)memory;
    uint64_t *to = (uint64_t *)(memory + BLOCK);

    for (unsigned i = 0; i < BLOCK / 8; i++)
        to[i] = from[i];
    USED(memory);
    return copied();
}

static uint64_t rep_movs(void)
{
    const uint8_t *from = memory;
    uint8_t *to = memory + BLOCK;
    unsigned long n = BLOCK;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    return copied();
}

const struct bench memory_benches[] = {
    {"chase-1M", STEPS, setup_small, chase_small},
    {"chase-64M", STEPS, setup_large, chase_large},
    {"page-stride", LARGE / 4096, setup_stride, stride},
    {"memcpy", 1, setup_block, library_copy},
    {"copy-loop", 1, setup_block, copy_loop},
    {"rep-movs", 1, setup_block, rep_movs},
    {NULL, 0, NULL, NULL},
};
