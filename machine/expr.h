/*
 * expr.h: expressions of the monitor and of conditions: C's operators on unsigned 64-bit numbers.
 *
 *   0x7c00  0b101  10  'a'        numbers
 *   rax  $eax  ah  cs_base  cr2   registers (regs.h); the dollar may be left out
 *   pc                            linear address of the next instruction
 *   name  name+4                  symbols
 *   addr value old size write     of what stopped the CPU (debug.h), in conditions
 *   *x                            memory, as wide as an address in the CPU's mode
 *   *(u8 *)x  *(s32 *)(rsp+8)     memory: u8 to u64, s8 to s64 (sign-extended)
 *   (s32)x  (u8)x                 of the value
 *   ! ~ - * / % + - << >> < <= > >= == != & ^ | && || ( )
 *
 * An expression is compiled once, to a small stack program: conditions run often.
 */
#pragma once

#include "base/err.h"
#include "cpu/cpu.h"

struct debug_stop;
struct expr;

/* Where names come from that are no registers; may be NULL. */
struct expr_names {
    bool (*lookup)(void *opaque, const char *name, size_t len, u64 *value);
    void *opaque;
};

/* Parses as much of *text as is an expression, and moves *text behind it and what blanks follow. */
struct expr *expr_parse_part(const char **text, const struct expr_names *names, struct err *e);
/* Parses all of it. */
struct expr *expr_parse(const char *text, const struct expr_names *names, struct err *e);
void expr_free(struct expr *x); /* NULL is fine */
/* The text that it was made from. */
const char *expr_text(const struct expr *x);
/* False: memory that is not mapped, or a division by zero. stop may be NULL. */
bool expr_eval(const struct expr *x, struct cpu *cpu, const struct debug_stop *stop, u64 *value,
               struct err *e);
