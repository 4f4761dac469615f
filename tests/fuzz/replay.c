/* replay.c: runs a fuzz harness without libFuzzer: `fuzz_NAME COUNT [FILE...]`. */
#include "base/host.h"
#include "base/rng.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_INPUT 4096

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    static u8 input[MAX_INPUT];
    struct rng rng;

    rng_seed(&rng, 1);
    for (unsigned long n = 0; n < count; n++) {
        size_t len = rng_below(&rng, MAX_INPUT);

        for (size_t i = 0; i < len; i++)
            input[i] = (u8)rng_next(&rng);
        LLVMFuzzerTestOneInput(input, len);
    }
    for (int i = 2; i < argc; i++) {
        struct err e;
        u64 len;
        u8 *data = host_read_file(argv[i], MIB, &len, &e);

        if (!data) {
            err_print(&e);
            return 1;
        }
        LLVMFuzzerTestOneInput(data, (size_t)len);
        free(data);
    }
    return 0;
}
