/*
 * sysregs.h: writes to control registers with their checks and consequences. SDM vol. 3A 2.5,
 * vol. 2 MOV-Control Registers.
 */
#pragma once

#include "cpu/cpu.h"

/* Each raises #GP(0) where the architecture says so; `in` may be NULL (task switch). */
void sysregs_load_cr0(struct cpu *cpu, const struct insn *in, u64 v);
void sysregs_load_cr3(struct cpu *cpu, const struct insn *in, u64 v);
void sysregs_load_cr4(struct cpu *cpu, const struct insn *in, u64 v);
bool sysregs_load_efer(struct cpu *cpu, u64 v); /* false: #GP */
