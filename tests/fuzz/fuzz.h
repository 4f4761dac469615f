/*
 * fuzz.h: a harness is one function, LLVMFuzzerTestOneInput of libFuzzer. With the preset `fuzz` it is
 * linked to libFuzzer; in other builds replay.c calls it with repeatable random inputs and with
 * the files given, so that every build runs it as a test.
 */
#pragma once

#include "base/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* What a harness reads its steps from: the bytes of the input, then zeros. */
struct input {
    const u8 *data;
    size_t left;
};

/* The next `bytes` bytes, 0 to 8, as one number. */
static inline u64 take(struct input *in, unsigned bytes)
{
    u64 v = 0;

    for (unsigned i = 0; i < bytes; i++) {
        v = v << 8 | (in->left ? *in->data++ : 0);
        in->left -= in->left != 0;
    }
    return v;
}
