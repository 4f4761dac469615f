/* integer.c: integer code as compilers make it, on a few KiB each. */
#include "benchmarks/guest/bench.h"

/* ---- sieve ---- */

enum { SIEVE_SIZE = 16384 };

static uint64_t sieve(void)
{
    static uint8_t composite[SIEVE_SIZE];
    uint64_t sum = 0;

    __builtin_memset(composite, 0, sizeof composite);
    for (unsigned i = 2; i < SIEVE_SIZE; i++) {
        if (composite[i])
            continue;
        sum = mix(sum, i);
        for (unsigned j = i * 2; j < SIEVE_SIZE; j += i)
            composite[j] = 1;
    }
    return sum;
}

/* ---- text that compresses, shared by several ---- */

enum { TEXT_SIZE = 4096 };

static uint8_t text[TEXT_SIZE];

static bool setup_text(void)
{
    static const char *const words[] = {"translate", "the ",  "guest ", "of ", "block",  "page\n",
                                        "register ", "and ",  "flags ", "in ", "memory", ". ",
                                        "interrupt", "call ", "return", "to "};
    uint32_t r = 1;
    unsigned n = 0;

    while (n < TEXT_SIZE) {
        for (const char *s = words[next_random(&r) & 15]; *s && n < TEXT_SIZE; s++)
            text[n++] = (uint8_t)*s;
    }
    return true;
}

/* ---- SHA-256 (FIPS 180-4) ---- */

static const uint32_t sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t ror(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static void sha_block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64], s[8];

    for (unsigned i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ a >> 3) + w[i - 7] +
               (ror(b, 17) ^ ror(b, 19) ^ b >> 10);
    }
    __builtin_memcpy(s, h, sizeof s);
    for (unsigned i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + sha_k[i] + w[i];
        uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

        for (unsigned j = 7; j > 0; j--)
            s[j] = s[j - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        h[i] += s[i];
}

static uint64_t sha256(void)
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    for (unsigned i = 0; i < TEXT_SIZE; i += 64)
        sha_block(h, text + i);
    return (uint64_t)h[0] << 32 | h[7];
}

/* ---- quicksort ---- */

enum { SORT_SIZE = 1024 };

static void sort(uint32_t *a, long low, long high)
{
    while (low < high) {
        uint32_t pivot = a[(low + high) / 2];
        long i = low, j = high;

        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                uint32_t t = a[i];

                a[i++] = a[j];
                a[j--] = t;
            }
        }
        sort(a, low, j);
        low = i;
    }
}

static uint64_t quicksort(void)
{
    static uint32_t a[SORT_SIZE];
    uint32_t r = 7;
    uint64_t sum = 0;

    for (unsigned i = 0; i < SORT_SIZE; i++)
        a[i] = next_random(&r);
    sort(a, 0, SORT_SIZE - 1);
    for (unsigned i = 1; i < SORT_SIZE; i++)
        sum += a[i - 1] <= a[i];
    return mix(sum, a[SORT_SIZE / 2]);
}

/* ---- bignum: factorials by limbs of 32 bits ---- */

static uint64_t bignum(void)
{
    uint32_t limbs[64] = {1};
    unsigned used = 1;

    for (uint32_t f = 2; f <= 250; f++) {
        uint64_t carry = 0;

        for (unsigned i = 0; i < used; i++) {
            carry += (uint64_t)limbs[i] * f;
            limbs[i] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry)
            limbs[used++] = (uint32_t)carry;
    }
    return mix(limbs[used - 1], (uint64_t)limbs[used / 2] << 32 | used);
}

/* ---- CRC-32, a byte at a time ---- */

static uint32_t crc_table[256];

static bool setup_crc(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (unsigned k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        crc_table[i] = c;
    }
    return setup_text();
}

static uint64_t crc(void)
{
    uint32_t c = 0xffffffffu;

    for (unsigned i = 0; i < TEXT_SIZE; i++)
        c = crc_table[(c ^ text[i]) & 0xff] ^ c >> 8;
    return c;
}

/* ---- division: greatest common divisors, of the machine's word ---- */

static uint64_t division(void)
{
    unsigned long sum = 0;
    uint32_t r = 3;

    for (unsigned i = 0; i < 64; i++) {
        unsigned long a = (unsigned long)next_random(&r) * 30030,
                      b = (unsigned long)next_random(&r) * 2310;

        while (b) {
            unsigned long t = a % b;

            sum += a / b;
            a = b;
            b = t;
        }
        sum += a;
    }
    return sum;
}

/* ---- recursion ---- */

__attribute__((noinline)) static unsigned fib(unsigned n)
{
    unsigned a;

    if (n < 2)
        return n;
    a = fib(n - 1);
    OPAQUE(a); /* so that it stays two calls */
    return a + fib(n - 2);
}

static uint64_t recursion(void)
{
    return fib(17);
}

/* ---- virtual dispatch ---- */

struct shape {
    uint32_t (*area)(const struct shape *s);
    uint32_t a, b;
};

static uint32_t area_rectangle(const struct shape *s)
{
    return s->a * s->b;
}

static uint32_t area_square(const struct shape *s)
{
    return s->a * s->a;
}

static uint32_t area_triangle(const struct shape *s)
{
    return s->a * s->b / 2;
}

static uint32_t area_frame(const struct shape *s)
{
    return 2 * (s->a + s->b);
}

static struct shape shapes[256];

static bool setup_shapes(void)
{
    static uint32_t (*const areas[])(const struct shape *) = {area_rectangle, area_square,
                                                              area_triangle, area_frame};
    uint32_t r = 5;

    for (unsigned i = 0; i < 256; i++) {
        shapes[i].area = areas[next_random(&r) & 3];
        shapes[i].a = next_random(&r) & 0xff;
        shapes[i].b = next_random(&r) & 0xff;
    }
    return true;
}

static uint64_t dispatch(void)
{
    uint64_t sum = 0;

    for (unsigned k = 0; k < 8; k++) {
        for (unsigned i = 0; i < 256; i++)
            sum += shapes[i].area(&shapes[i]);
    }
    return sum;
}

/* ---- an interpreter around a switch ---- */

/* clang-format off */
enum {
    OP_HALT, OP_PUSH, OP_LOAD, OP_STORE, OP_ADD, OP_SUB, OP_AND, OP_SHIFT, OP_TRIPLE, OP_JZ, OP_JMP,
};

/* The length of the Collatz sequence of variable 0, in variable 1. */
static const uint8_t collatz[] = {
    /*  0 */ OP_LOAD, 0, OP_PUSH, 1, OP_SUB, OP_JZ, 36,
    /*  7 */ OP_LOAD, 1, OP_PUSH, 1, OP_ADD, OP_STORE, 1,
    /* 14 */ OP_LOAD, 0, OP_PUSH, 1, OP_AND, OP_JZ, 28,
    /* 21 */ OP_LOAD, 0, OP_TRIPLE, OP_STORE, 0, OP_JMP, 0,
    /* 28 */ OP_LOAD, 0, OP_SHIFT, OP_STORE, 0, OP_JMP, 0, 0,
    /* 36 */ OP_HALT,
};
/* clang-format on */

static uint32_t interpret(const uint8_t *code, uint32_t v0)
{
    uint32_t stack[16], vars[2] = {v0, 0};
    uint32_t *sp = stack;

    for (const uint8_t *pc = code;;) {
        switch (*pc++) {
        case OP_HALT: return vars[1];
        case OP_PUSH: *sp++ = *pc++; break;
        case OP_LOAD: *sp++ = vars[*pc++]; break;
        case OP_STORE: vars[*pc++] = *--sp; break;
        case OP_ADD:
            sp--;
            sp[-1] += *sp;
            break;
        case OP_SUB:
            sp--;
            sp[-1] -= *sp;
            break;
        case OP_AND:
            sp--;
            sp[-1] &= *sp;
            break;
        case OP_SHIFT: sp[-1] >>= 1; break;
        case OP_TRIPLE: sp[-1] = sp[-1] * 3 + 1; break;
        case OP_JZ: pc = *--sp ? pc + 1 : code + *pc; break;
        case OP_JMP: pc = code + *pc; break;
        default: return 0;
        }
    }
}

static uint64_t interpreter(void)
{
    uint64_t sum = 0;

    for (uint32_t v = 20; v < 40; v++)
        sum = mix(sum, interpret(collatz, v));
    return sum;
}

/* ---- strings, byte by byte ---- */

static unsigned string_length(const char *s)
{
    const char *p = s;

    while (*p)
        p++;
    return (unsigned)(p - s);
}

static int string_compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (uint8_t)*a - (uint8_t)*b;
}

static uint64_t strings(void)
{
    static char copy[TEXT_SIZE + 1];
    char *word = copy, *longest = copy;
    uint64_t sum = 0;

    for (unsigned i = 0; i < TEXT_SIZE; i++)
        copy[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
    USED(copy);
    for (char *p = copy; *p; p++) {
        if (*p != ' ' && *p != '\n' && *p != '.')
            continue;
        *p = 0;
        if (string_length(word) > string_length(longest) || string_compare(word, longest) > 0)
            longest = word;
        sum = mix(sum, string_length(word));
        word = p + 1;
    }
    return mix(sum, (uint64_t)(longest - copy));
}

/* ---- compression: matches by a hash of three bytes, and back ---- */

static unsigned compress(const uint8_t *in, unsigned size, uint8_t *out)
{
    static uint16_t heads[1024];
    unsigned n = 0, i = 0;

    __builtin_memset(heads, 0xff, sizeof heads);
    while (i < size) {
        unsigned length = 0, at = 0xffff;

        if (i + 3 <= size) {
            uint32_t key = in[i] | (uint32_t)in[i + 1] << 8 | (uint32_t)in[i + 2] << 16;
            uint32_t h = key * 2654435761u >> 22;

            at = heads[h];
            heads[h] = (uint16_t)i;
            while (at != 0xffff && i + length < size && length < 255 &&
                   in[at + length] == in[i + length])
                length++;
        }
        if (length >= 4) {
            out[n++] = 1;
            out[n++] = (uint8_t)length;
            out[n++] = (uint8_t)at;
            out[n++] = (uint8_t)(at >> 8);
            i += length;
        } else {
            out[n++] = 0;
            out[n++] = in[i++];
        }
    }
    return n;
}

static unsigned expand(const uint8_t *in, unsigned size, uint8_t *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < size;) {
        if (in[i]) {
            const uint8_t *from = out + (in[i + 2] | (unsigned)in[i + 3] << 8);

            for (unsigned k = in [i + 1]; k; k--)
                out[n++] = *from++;
            i += 4;
        } else {
            out[n++] = in[i + 1];
            i += 2;
        }
    }
    return n;
}

static uint64_t compression(void)
{
    static uint8_t packed[2 * TEXT_SIZE], again[TEXT_SIZE];
    unsigned size = compress(text, TEXT_SIZE, packed);
    uint64_t good = expand(packed, size, again) == TEXT_SIZE;

    for (unsigned i = 0; i < TEXT_SIZE; i++)
        good &= again[i] == text[i];
    return mix(good, size);
}

const struct bench integer_benches[] = {
    {"sieve", 1, NULL, sieve},
    {"sha256", 1, setup_text, sha256},
    {"quicksort", 1, NULL, quicksort},
    {"bignum", 1, NULL, bignum},
    {"crc", 1, setup_crc, crc},
    {"division", 1, NULL, division},
    {"recursion", 1, NULL, recursion},
    {"dispatch", 1, setup_shapes, dispatch},
    {"interpreter", 1, NULL, interpreter},
    {"strings", 1, setup_text, strings},
    {"compression", 1, setup_text, compression},
    {NULL, 0, NULL, NULL},
};
