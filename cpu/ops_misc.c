/*
 * ops_misc.c: NOP and the hints, fences, cache-line flushes, PAUSE, UD1, UD2, and the
 * instructions that set single flags.
 *
 * Intel SDM vol. 2. Flushes of cache lines have no effect beyond the faults that they raise.
 */
#include "cpu/ops_int.h"
#include "cpu/smp.h"

HANDLER(nop)
{
    (void)cpu;
    NEXT;
}

/* Who spins waits for another CPU, which may be one that does not run: after so many PAUSEs, give it
 * the chance. Sooner when there are more CPUs than the host has, at once where they take turns. */
#define SPIN_CROWDED 64u
#define SPIN 1024u

static bool spun_enough(struct cpu *cpu)
{
    const struct smp *s = cpu->smp;
    if (!s || s->count == 1)
        return false;
    return ++cpu->pauses % (!s->threads ? 1 : s->crowded ? SPIN_CROWDED : SPIN) == 0;
}

HANDLER(pause)
{
    stat_count(&cpu->stats, STAT_PAUSE, SERVED_LEAF);
    if (unlikely(spun_enough(cpu))) {
        cpu->yields = true;
        cpu_kick(cpu);
        return LEAVE_NEXT(cpu, in);
    }
    NEXT;
}

/* Stores before it are visible to other CPUs before loads after it are made. Of LFENCE and SFENCE
 * nothing is left: loads and stores of this kind of memory are in order. */
HANDLER(mfence)
{
    (void)in;
    if (cpu->shared)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    NEXT;
}

HANDLER(undefined)
{
    excp_ud(cpu, in);
}

/* CLFLUSH, CLFLUSHOPT, CLWB are checked as a byte load. */
HANDLER(clflush)
{
    mem_read8(cpu, in, mem_addr(cpu, in, 1, ACCESS_READ));
    NEXT;
}

HANDLER(clc)
{
    flag_set_c(&cpu->flags, false);
    NEXT;
}

HANDLER(stc)
{
    flag_set_c(&cpu->flags, true);
    NEXT;
}

HANDLER(cmc)
{
    flag_set_c(&cpu->flags, !flag_c(&cpu->flags));
    NEXT;
}

HANDLER(cld)
{
    cpu->eflags &= ~EFLAGS_DF;
    NEXT;
}

HANDLER(std)
{
    cpu->eflags |= EFLAGS_DF;
    NEXT;
}

const struct insn_ops ops_nop = {.any = nop};
const struct insn_ops ops_pause = {.any = pause};
const struct insn_ops ops_mfence = {.any = mfence};
const struct insn_ops ops_undefined = {.any = undefined};
const struct insn_ops ops_clflush = {.any = clflush};
const struct insn_ops ops_clc = {.any = clc};
const struct insn_ops ops_stc = {.any = stc};
const struct insn_ops ops_cmc = {.any = cmc};
const struct insn_ops ops_cld = {.any = cld};
const struct insn_ops ops_std = {.any = std};
