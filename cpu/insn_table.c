/*
 * insn_table.c: the rows of insn.def as one const array.
 *
 * Not here: which row some bytes select (decode.c), and the handlers (ops_*.c).
 */
#include "cpu/insn.h"

#define INSN(map, opcode, pfx, modrm, name, op1, op2, op3, handlers, cls, rd, wr, un, attr, gate)  \
    extern const struct insn_ops ops_##handlers;
#include "cpu/insn.def"
#undef INSN

#define INSN(map, opcode, pfx, modrm, name, op1, op2, op3, handlers, cls, rd, wr, un, attr, gate)  \
    {name, map, opcode, pfx, cls, modrm, {OPND_##op1, OPND_##op2, OPND_##op3}, GATE_##gate,        \
     rd, wr, un, attr, &ops_##handlers},

const struct insn_row insn_rows[] = {
#include "cpu/insn.def"
};

const unsigned insn_row_count = ARRAY_SIZE(insn_rows);
