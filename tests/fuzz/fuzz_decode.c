/* fuzz_decode.c: any bytes decode to a record of 1 to 15 bytes, in every mode, read no byte beyond
 * what is there, and say the same when more bytes follow. */
#include "base/err.h"
#include "cpu/decode.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* The first decoding reads from an exact allocation, so that the sanitizer sees a byte too many. */
static void try(const u8 *bytes, unsigned avail, unsigned bits, bool real, u64 gates)
{
    u8 *exact = malloc(avail ? avail : 1), padded[INSN_MAX_BYTES] = {0};
    struct insn a, b;
    enum decode_status first, second;

    BUG_ON(!exact);
    memcpy(exact, bytes, avail);
    memcpy(padded, bytes, avail);
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    first = decode(exact, avail, bits, real, gates, &a);
    second = decode(padded, INSN_MAX_BYTES, bits, real, gates, &b);
    BUG_ON(first == DECODE_TRUNCATED && avail == INSN_MAX_BYTES);
    BUG_ON(second == DECODE_TRUNCATED);
    if (first == DECODE_OK) {
        BUG_ON(a.len < 1 || a.len > avail);
        BUG_ON(second != DECODE_OK || memcmp(&a, &b, sizeof a));
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const struct {
        unsigned bits;
        bool real;
    } modes[] = {{16, true}, {16, false}, {32, false}, {64, false}};

    for (size_t at = 0; at < size; at++) {
        unsigned avail = size - at < INSN_MAX_BYTES ? (unsigned)(size - at) : INSN_MAX_BYTES;

        for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
            try(data + at, avail, modes[m].bits, modes[m].real, ~0ull);
            try(data + at, avail, modes[m].bits, modes[m].real, 0);
        }
    }
    return 0;
}
