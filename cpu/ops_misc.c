/*
 * ops_misc.c: NOP and the hints, fences, cache-line flushes, PAUSE, UD1, UD2, and the
 * instructions that set single flags.
 *
 * Intel SDM vol. 2. Memory is strongly ordered here, so fences and flushes have no effect beyond
 * the faults that they raise.
 */
#include "cpu/ops_int.h"

HANDLER(nop)
{
    (void)cpu;
    NEXT;
}

HANDLER(pause)
{
    stat_count(&cpu->stats, STAT_PAUSE, SERVED_LEAF);
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
const struct insn_ops ops_undefined = {.any = undefined};
const struct insn_ops ops_clflush = {.any = clflush};
const struct insn_ops ops_clc = {.any = clc};
const struct insn_ops ops_stc = {.any = stc};
const struct insn_ops ops_cmc = {.any = cmc};
const struct insn_ops ops_cld = {.any = cld};
const struct insn_ops ops_std = {.any = std};
