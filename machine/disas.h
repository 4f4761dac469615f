/* disas.h: instructions as text, by Capstone where it is there, and as bytes where not. */
#pragma once

#include "base/types.h"

#define DISAS_TEXT 200u

/* The instruction in code[0 .. have), which lies at the linear address `at`; bits: 16, 32 or 64.
 * Returns its length, and 0 when there is none. */
unsigned disas(const u8 *code, unsigned have, gva_t at, unsigned bits, char text[DISAS_TEXT]);
