/*
 * insn_table.c: the rows of insn.def as one const array.
 *
 * Not here: which row some bytes select (decode.c), and the handlers (ops_*.c).
 */
#include "cpu/insn.h"

#define INSN(map, opcode, pfx, modrm, name, op1, op2, op3, handlers, cls, rd, wr, un, attr, gate)  \
    extern const struct insn_ops ops_##handlers;
#define INSN4(map, opcode, pfx, modrm, name, op1, op2, op3, op4, handlers, cls, attr, gate)        \
    extern const struct insn_ops ops_##handlers;
#include "cpu/insn.def"
#undef INSN
#undef INSN4

#define ROW(map, opcode, pfx, modrm, name, op1, op2, op3, op4, handlers, cls, rd, wr, un, attr,    \
            gate)                                                                                  \
    {name,                                                                                         \
     map,                                                                                          \
     opcode,                                                                                       \
     pfx,                                                                                          \
     cls,                                                                                          \
     modrm,                                                                                        \
     {OPND_##op1, OPND_##op2, OPND_##op3, OPND_##op4},                                             \
     GATE_##gate,                                                                                  \
     rd,                                                                                           \
     wr,                                                                                           \
     un,                                                                                           \
     attr,                                                                                         \
     &ops_##handlers},
#define INSN(map, opcode, pfx, modrm, name, op1, op2, op3, ...)                                    \
    ROW(map, opcode, pfx, modrm, name, op1, op2, op3, _, __VA_ARGS__)
#define INSN4(map, opcode, pfx, modrm, name, op1, op2, op3, op4, handlers, cls, attr, gate)        \
    ROW(map, opcode, pfx, modrm, name, op1, op2, op3, op4, handlers, cls, F_0, F_0, F_0, attr, gate)

const struct insn_row insn_rows[] = {
#include "cpu/insn.def"
};

const unsigned insn_row_count = ARRAY_SIZE(insn_rows);
