/*
 * debug.h: debug registers and single step. SDM vol. 3B chapter 17.
 */
#pragma once

#include "cpu/cpu.h"

#define DR6_B(n) BIT(n)
#define DR6_BD BIT(13)
#define DR6_BS BIT(14)
#define DR6_BT BIT(15)
#define DR6_FIXED 0xffff0ff0u
#define DR7_GD BIT(13)
#define DR7_FIXED 0x400u

/* Records a hit of DR0-3 by a data access: a trap after the instruction. */
void debug_check_data(struct cpu *cpu, gva_t va, unsigned size, bool write);
/* The same for I/O (CR4.DE). */
void debug_check_io(struct cpu *cpu, u16 port, unsigned size);
/* DR6 bits of instruction breakpoints at a linear address; 0: none. */
u32 debug_check_exec(const struct cpu *cpu, gva_t lin);
/* Reports conditions in DR6 for the #DB that is about to be delivered. Each #DB writes B0 to B3 anew;
 * the other bits stay until software clears them (AMD APM vol. 2 13.1.1.3, SDM vol. 3B 17.2.3). */
void debug_report(struct cpu *cpu, u32 conditions);
/* Are breakpoints or TF in force, so that blocks are single and accesses checked? */
bool debug_wanted(const struct cpu *cpu);
