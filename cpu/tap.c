/* tap.c: see tap.h. */
#include "cpu/tap.h"
#include "cpu/block.h"

void tap_stop(struct cpu *cpu)
{
    if (!cpu->tapped)
        cpu->tapped = TAPPED;
    cpu_request(cpu, REQ_EXIT);
}

void tap_stop_after_insn(struct cpu *cpu)
{
    tap_stop(cpu);
    block_stop_after_insn(cpu);
}

bool tap_code(struct cpu *cpu, gva_t lin)
{
    const struct taps *t = cpu->taps;
    if (!tap_may_be_code(t, lin) || !t->at_code(cpu->vm, cpu, lin))
        return false;
    tap_stop(cpu);
    return true;
}

void tap_data(struct cpu *cpu, gva_t va, unsigned size, bool write)
{
    const struct taps *t = cpu->taps;
    if (!t || !t->watch.count || !t->at_data(cpu->vm, cpu, va, size, write) || cpu->tapped)
        return;
    cpu->tapped = TAPPED_BY_DATA;
    tap_stop_after_insn(cpu);
}

void tap_msr(struct cpu *cpu, u32 msr, u64 value, bool write)
{
    const struct taps *t = cpu->taps;
    if (t && t->msr && t->at_msr(cpu->vm, cpu, msr, value, write))
        tap_stop_after_insn(cpu);
}

bool tap_excp(struct cpu *cpu, unsigned vector, bool delivered)
{
    const struct taps *t = cpu->taps;
    if (!t || !t->excp || !t->at_excp(cpu->vm, cpu, vector, delivered))
        return false;
    tap_stop(cpu);
    return true;
}

void tap_mode(struct cpu *cpu)
{
    const struct taps *t = cpu->taps;
    if (t->mode && t->at_mode(cpu->vm, cpu))
        tap_stop(cpu);
}

void tap_insn(struct cpu *cpu, gva_t at)
{
    const struct taps *t = cpu->taps;
    if (t && t->at_insn && cpu->block)
        t->at_insn(cpu->vm, cpu, at, cpu->block->insn[0].len);
}
