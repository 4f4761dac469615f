/* task.h: hardware task switches. SDM vol. 3A chapter 7. */
#pragma once

#include "cpu/cpu.h"

enum task_source { TASK_JMP, TASK_CALL, TASK_IRET, TASK_GATE };

/* Switches to the task of a TSS selector. next_rip: where the old task goes on. `in` may be NULL.
 */
void task_switch(struct cpu *cpu, const struct insn *in, u16 tss_sel, enum task_source source,
                 u64 next_rip);
/* Interrupt or exception through a task gate whose TSS selector is `sel`. */
void task_switch_gate(struct cpu *cpu, u16 sel, u64 rip, bool has_error, u32 error, u32 ext);
/* LTR. */
void task_load_tr(struct cpu *cpu, const struct insn *in, u16 sel);
/* Does the TSS's I/O bitmap allow `size` ports from `port`? Reads as the CPU does (SDM vol.
 * 1 19.5.2). */
bool task_io_allowed(struct cpu *cpu, const struct insn *in, u16 port, unsigned size);
