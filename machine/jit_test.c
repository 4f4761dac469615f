/* jit_test.c: see jit_test.h. */
#include "machine/jit_test.h"
#include "cpu/block.h"
#include "mmu/tlb.h"
#include <stdlib.h>
#include <string.h>

#define CACHE_MIN (256 * KIB) /* room for the stubs and the longest block */
#define CACHE_MAX (64 * MIB)
#define STREAMS_MIN 128u /* for one trace */

static bool starts(const char *word, size_t len, const char *with, const char **value)
{
    size_t n = strlen(with);
    *value = word + n;
    return len >= n && !strncmp(word, with, n) && (with[n - 1] == '=' || len == n);
}

/* A number up to the end of the word, with a suffix K or M. */
static bool number(const char *value, const char *end, u64 min, u64 max, u64 *v)
{
    char *rest;
    if (value >= end || *value < '0' || *value > '9')
        return false;
    *v = strtoull(value, &rest, 10);
    if (*v > max)
        return false;
    if (rest < end && (*rest == 'K' || *rest == 'M'))
        *v *= *rest++ == 'K' ? KIB : MIB;
    return rest == end && *v >= min && *v <= max;
}

static bool parse_word(const char *word, size_t len, struct jit_test *t)
{
    const char *value, *end = word + len;
    u64 v;

    if (starts(word, len, "tlb-miss", &value))
        return t->tlb_miss = true;
    if (starts(word, len, "flags-poison", &value))
        return t->flags_poison = true;
    if (starts(word, len, "no-exec", &value))
        return t->no_exec = true;
    if (starts(word, len, "no-bmi2", &value))
        return t->no_bmi2 = true;
    if (starts(word, len, "no-avx", &value))
        return t->no_avx = true;
    if (starts(word, len, "no-invlpg", &value))
        return t->no_invlpg = true;
    if (starts(word, len, "no-cr3-flush", &value))
        return t->no_cr3_flush = true;
    if (starts(word, len, "wrong", &value))
        return t->wrong = true;
    if (starts(word, len, "hot=", &value) && number(value, end, 1, BLOCK_HOT, &v)) {
        t->hot = (unsigned)v;
        return true;
    }
    if (starts(word, len, "streams=", &value) && number(value, end, STREAMS_MIN, TLB_STREAMS, &v)) {
        t->streams = (unsigned)v;
        return true;
    }
    if (starts(word, len, "cache=", &value) && number(value, end, CACHE_MIN, CACHE_MAX, &v)) {
        t->code_bytes = v & PAGE_MASK;
        return true;
    }
    return false;
}

bool jit_test_parse(const char *text, struct jit_test *t, struct err *e)
{
    *t = (struct jit_test){0};
    for (const char *word = text; word;) {
        size_t len = strcspn(word, ",");
        if (!parse_word(word, len, t)) {
            err_usage(e, "-jit-test: no such mode: '%.*s'", (int)(len < 60 ? len : 60), word);
            return err_hint(e,
                            "tlb-miss, flags-poison, no-bmi2, no-avx, no-exec, no-invlpg, "
                            "no-cr3-flush, wrong, hot=1 to hot=%d, cache=256K to cache=64M, "
                            "streams=%u to streams=%u",
                            BLOCK_HOT, STREAMS_MIN, TLB_STREAMS);
        }
        word = word[len] ? word + len + 1 : NULL;
    }
    return true;
}
