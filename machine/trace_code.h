/*
 * trace_code.h: the trace points of code: guest_code, host_code, block_enter, insn, registers. They
 * are made by an observer, which is there only while one of them is on.
 */
#pragma once

#include "machine/observe.h"

struct trace_code {
    struct observer observer;
    bool on;
};

/* Points were switched on or off; while no guest code runs. */
void trace_code_update(struct vm *vm);
