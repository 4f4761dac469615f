/*
 * excp.h: exceptions and interrupts: raising and delivery. SDM vol. 3A chapter 6.
 *
 * excp_* below unwind to cpu_run and never return. `in` is the record that faults: RIP becomes its
 * address, and nothing of it may have been committed. NULL: cpu->rip is already right (delivery,
 * task switch).
 */
#pragma once

#include "cpu/cpu.h"

_Noreturn void excp_fault(struct cpu *cpu, const struct insn *in, unsigned vector);
_Noreturn void excp_fault_err(struct cpu *cpu, const struct insn *in, unsigned vector, u32 error);
_Noreturn void excp_page_fault(struct cpu *cpu, const struct insn *in, gva_t va, u32 pfec);

#define excp_ud(cpu, in) excp_fault(cpu, in, EXC_UD)
#define excp_nm(cpu, in) excp_fault(cpu, in, EXC_NM)
#define excp_gp(cpu, in, err) excp_fault_err(cpu, in, EXC_GP, err)

/* INT n, INT3, INTO, INT1: RIP of the next instruction is pushed; checks gate DPL. Then the handler
 * must `return BLOCK_END(cpu, in)`-style NULL: control has moved. kind as below. */
enum soft_int { SOFT_INT_N, SOFT_INT3, SOFT_INTO, SOFT_INT1 };
void excp_soft_int(struct cpu *cpu, const struct insn *in, unsigned vector, enum soft_int kind);

/* A trap: delivered before the instruction at cpu->rip, which does not fault. */
void excp_trap(struct cpu *cpu, unsigned vector);
/* Delivers a hardware interrupt or NMI at an instruction boundary. */
void excp_interrupt(struct cpu *cpu, unsigned vector);
/* Delivers cpu->excp; double fault logic inside. False: triple fault. */
bool excp_deliver(struct cpu *cpu);

/* RIP (EIP, IP: the offset in CS) of the record, and of the one after it. */
static inline u64 insn_rip(const struct cpu *cpu, const struct insn *in)
{
    return (cpu->gpr[REG_RIP] + in->off - cpu->seg[SEG_CS].base) & cpu->amask;
}

static inline u64 insn_next_rip(const struct cpu *cpu, const struct insn *in)
{
    return (cpu->gpr[REG_RIP] + in->off + in->len - cpu->seg[SEG_CS].base) & cpu->amask;
}
