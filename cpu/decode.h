/*
 * decode.h: bytes to records, driven by insn.def.
 */
#pragma once

#include "cpu/insn.h"

#define INSN_MAX_BYTES 15

enum decode_status {
    DECODE_OK,        /* a row was found (or ROW_INVALID: #UD; len then covers what was read) */
    DECODE_TRUNCATED, /* needs more than `avail` bytes (only when avail < 15) */
    DECODE_TOO_LONG,  /* more than 15 bytes: #GP(0) */
};

/* Code size of the segment: 16, 32 or 64. */
/* gates: bit n set = the model has enum insn_gate n; rows without their gate are passed over.
 * real: real or virtual-8086 mode (rows with A_PROT are #UD).
 * Fills everything of *out but fn, off and idx. */
enum decode_status decode(const u8 *bytes, unsigned avail, unsigned code_bits, bool real, u64 gates,
                          struct insn *out);
