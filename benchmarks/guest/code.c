/* code.c: code that is written and called, as translators and linkers of a guest do. */
#include <string.h>
#include <sys/mman.h>

#include "benchmarks/guest/bench.h"

enum { AREA = 64 << 10, PIECE = 64, UNITS = 16 };

typedef uint32_t function_t(uint32_t v);

static uint8_t *area;

static bool setup(void)
{
    if (area)
        return true;
    void *p =
        mmap(NULL, AREA, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return false;
    area = p;
    return true;
}

static uint32_t call(const uint8_t *at, uint32_t v)
{
    function_t *f;

    memcpy(&f, &at, sizeof f);
    return f(v);
}

/* lea eax, [rdi + disp32]; ret: the displacement changes before each call. */
static uint64_t patch(void)
{
    static const uint8_t code[] = {0x8d, 0x87, 0, 0, 0, 0, 0xc3};
    uint64_t sum = 0;

    if (area[0] != code[0])
        memcpy(area, code, sizeof code);
    for (uint32_t i = 0; i < UNITS; i++) {
        memcpy(area + 2, &i, sizeof i);
        USED(area);
        sum = mix(sum, call(area, i << 8));
    }
    return sum;
}

/* Eight instructions of 5 bytes and a return, at another place each time. */
static uint64_t generate(void)
{
    static const uint8_t opcodes[] = {0x05 /* add */, 0x35 /* xor */, 0x2d /* sub */,
                                      0x0d /* or */};
    static uint32_t place;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < UNITS; i++) {
        uint8_t *start = area + PIECE + place, *p = start;

        place = (place + PIECE) % (AREA - 2 * PIECE);
        *p++ = 0x89; /* mov eax, edi */
        *p++ = 0xf8;
        for (uint32_t k = 0; k < 8; k++) {
            uint32_t operand = i * 77 + k * 1001;

            *p++ = opcodes[(i + k) & 3];
            memcpy(p, &operand, 4);
            p += 4;
        }
        *p = 0xc3;
        USED(area);
        sum = mix(sum, call(start, i));
    }
    return sum;
}

const struct bench code_benches[] = {
    {"patch", UNITS, setup, patch},
    {"generate", UNITS, setup, generate},
    {NULL, 0, NULL, NULL},
};
