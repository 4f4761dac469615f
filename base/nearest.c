/*
 * nearest.c: edit distance with adjacent transpositions (optimal string alignment; R. Lowrance and
 * R. Wagner, "An Extension of the String-to-String Correction Problem", JACM 22(2), 1975).
 *
 * Not here: a search structure. The lists are options, devices and features: tens of words.
 */
#include "base/nearest.h"
#include <string.h>
#include <strings.h>

#define WORD_MAX 63 /* longer words are compared by their first letters */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

static u8 fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (u8)(c - 'A' + 'a');
    return c == '_' ? (u8)'-' : (u8)c;
}

static unsigned distance(const char *a, size_t alen, const char *b, size_t blen)
{
    unsigned row[3][WORD_MAX + 2]; /* of the letters i - 2, i - 1 and i of `a` */
    unsigned *before = row[0], *above = row[1], *cur = row[2];

    for (size_t j = 0; j <= blen; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= alen; i++) {
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= blen; j++) {
            unsigned differ = fold(a[i - 1]) != fold(b[j - 1]);
            cur[j] = min3(above[j] + 1, cur[j - 1] + 1, above[j - 1] + differ);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]) && before[j - 2] + 1 < cur[j])
                cur[j] = before[j - 2] + 1;
        }
        unsigned *oldest = before;
        before = above;
        above = cur;
        cur = oldest;
    }
    return above[blen];
}

const char *nearest(const char *word, const char *const *candidates)
{
    size_t len = strnlen(word, WORD_MAX);
    unsigned best = len < 3 ? 1 : (unsigned)(len / 3);
    const char *found = NULL;

    if (len == 0)
        return NULL;
    for (; *candidates; candidates++) {
        unsigned d = distance(word, len, *candidates, strnlen(*candidates, WORD_MAX));
        if (d < best || (d == best && !found)) {
            best = d;
            found = *candidates;
        } else if (!found && len > 1 && strncasecmp(word, *candidates, len) == 0) {
            found = *candidates;
        }
    }
    return found;
}
