/* jit_test.h: the words of -jit-test. */
#pragma once

#include "cpu/jit/jit.h"

/* "tlb-miss,flags-poison,no-bmi2,no-avx,no-exec,no-invlpg,no-cr3-flush,wrong,hot=1,cache=1M": any
 * of them, in any order.
 */
bool jit_test_parse(const char *text, struct jit_test *t, struct err *e);
