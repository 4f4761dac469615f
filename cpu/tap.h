/*
 * tap.h: what a debugger wants to hear of while guest code runs. The board (machine/debug.c) fills
 * a struct taps, and a CPU without one (cpu->taps NULL) pays nothing.
 *
 * A tap that returns true stops the CPU: cpu_run returns with cpu->tapped set.
 *   code  before the instruction, in both engines: a block never has an instruction with a
 * breakpoint in its middle, and its first record asks (block.c). data  after the instruction that
 * touched the operand: pages with watchpoints get no entries in the TLB (tlb.h), so that accesses
 * to them come through mem.c. excp  a fault, before it is delivered: the instruction will be
 * executed again. Interrupts, traps and INT n, and a fault while another is delivered: at the
 * handler's first instruction. msr, mode  after the instruction.
 *
 * Implicit accesses (descriptor tables, task state, page tables) are not watched. REP instructions
 * that touch watched memory stop after some of their elements.
 */
#pragma once

#include "cpu/cpu.h"

/* Why a CPU has to stop. */
enum { TAPPED_NO, TAPPED, TAPPED_BY_DATA };

/*T:810 Breakpoints that cost nothing
 *
 * A debugger must not change what it looks at, and must cost nothing where it is not. The CPU does
 * not ask at each instruction whether there is a breakpoint: a block with one in it begins there,
 * and only its first record asks. Pages with watchpoints get no entries in the TLB, so that only
 * accesses to them take the slow way.
 */
struct taps {
    u64 code[64]; /* bit n: there is a breakpoint at some address with the offset n in its page */
    struct tlb_watch watch;
    bool excp, msr, mode;
    bool (*at_code)(void *vm, struct cpu *cpu, gva_t lin);
    bool (*at_data)(void *vm, struct cpu *cpu, gva_t va, unsigned size, bool write);
    bool (*at_excp)(void *vm, struct cpu *cpu, unsigned vector, bool delivered);
    bool (*at_msr)(void *vm, struct cpu *cpu, u32 msr, u64 value, bool write);
    /* with STEP_HISTORY: an instruction of len bytes was executed */
    void (*at_insn)(void *vm, struct cpu *cpu, gva_t at, unsigned len);
    bool (*at_mode)(void *vm,
                    struct cpu *cpu); /* whatever cpu_update_key looks at may have changed */
};

/* The CPU stops: at the next block, or at the next instruction. */
void tap_stop(struct cpu *cpu);
void tap_stop_after_insn(struct cpu *cpu);

static inline bool tap_may_be_code(const struct taps *t, u64 addr)
{
    return t && t->code[addr >> 6 & 63] >> (addr & 63) & 1;
}

/* Is there a breakpoint that stops here? */
bool tap_code(struct cpu *cpu, gva_t lin);
void tap_data(struct cpu *cpu, gva_t va, unsigned size, bool write);
void tap_msr(struct cpu *cpu, u32 msr, u64 value, bool write);
bool tap_excp(struct cpu *cpu, unsigned vector, bool delivered);
void tap_mode(struct cpu *cpu);
void tap_insn(struct cpu *cpu, gva_t at);
