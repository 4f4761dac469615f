/*
 * fuzz.h: a harness is one function, LLVMFuzzerTestOneInput of libFuzzer. With the preset `fuzz` it is
 * linked to libFuzzer; in other builds replay.c calls it with repeatable random inputs and with
 * the files given, so that every build runs it as a test.
 */
#pragma once

#include "base/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
