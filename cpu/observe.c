/* observe.c: probes of the interpreter's records. See observe.h. */
#include "cpu/observe.h"
#include "cpu/exec.h"
#include <stdlib.h>

void probe_run(struct cpu *cpu, const struct insn *in)
{
    const struct probes *ps = cpu->block->probes;
    const struct probe *p = &ps->of[in->idx];
    for (unsigned i = p->first; i < p->first + p->count; i++) {
        const struct probe_action *a = &ps->action[i];
        if (a->call)
            a->call(a, cpu, in);
        else
            *a->count += (u64)(s64)a->add;
    }
}

/* The counters of the record's probes again, `times` times: 1 or -1. */
static void count(const struct cpu *cpu, const struct insn *in, s64 times)
{
    const struct probes *ps = cpu->block ? cpu->block->probes : NULL;
    if (!ps || in->idx >= cpu->block->count)
        return;
    const struct probe *p = &ps->of[in->idx];
    for (unsigned i = p->first; i < p->first + p->count; i++)
        if (!ps->action[i].call)
            *ps->action[i].count += (u64)(times * ps->action[i].add);
}

void probe_uncount(struct cpu *cpu, const struct insn *in)
{
    count(cpu, in, -1);
}

void probe_count(struct cpu *cpu, const struct insn *in)
{
    count(cpu, in, 1);
}

const struct insn *probe_go_on(struct cpu *cpu, const struct insn *in)
{
    const struct insn *next = &cpu->block->insn[in->idx + 1];
#if EXEC_TAIL_CALLS
    return next->fn(cpu, next);
#else
    return next;
#endif
}

/* A record that has probes. */
static const struct insn *op_probed(struct cpu *cpu, const struct insn *in)
{
    insn_fn fn = cpu->block->probes->of[in->idx].fn;
    probe_run(cpu, in);
    return fn(cpu, in);
}

static void put_in(struct block *b, const struct probe_list *l)
{
    struct probes *ps =
        malloc(sizeof *ps + b->count * sizeof ps->of[0] + l->count * sizeof *ps->action);
    BUG_ON(!ps);
    unsigned n = 0;
    ps->action = (struct probe_action *)(void *)&ps->of[b->count];
    for (unsigned i = 0; i < b->count; i++) {
        struct probe *p = &ps->of[i];
        *p = (struct probe){.fn = b->insn[i].fn, .first = (u16)n};
        for (unsigned k = 0; k < l->count; k++)
            if (l->at[k].insn == i)
                ps->action[n++] = l->at[k].action;
        p->count = (u16)(n - p->first);
        if (p->count)
            b->insn[i].fn = op_probed;
    }
    b->probes = ps;
}

void observe_block(struct cpu *cpu, struct block *b, gva_t lin)
{
    const struct cpu_observer *o = cpu->observer;
    struct probe_list l;
    l.count = 0;
    if (o->block)
        o->block(cpu->vm, cpu, b, lin, &l);
    if (l.count || o->access)
        put_in(b, &l);
}
