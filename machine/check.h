/*
 * check.h: -check: the interpreter and the translator run the same machine in lockstep, and the
 * first difference between them is reported. README.md says what is compared, and when.
 */
#pragma once

#include "machine/vm.h"

/* Runs `vm`, an interpreter under -icount that has not run yet, together with a second machine that
 * translates, as vm_run would. False: they came to differ, which is reported to `out` in detail and
 * in *e in one line, or the second machine could not be made. */
bool check_run(struct vm *vm, u64 limit_ns, enum vm_stop *why, FILE *out, struct err *e);
