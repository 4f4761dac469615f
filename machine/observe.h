/*
 * observe.h: those who look on while a machine runs: plugins, the timeline, traces of code, `info
 * perf`. Each is a struct observer; what none of them asks for costs nothing: the CPU's observer
 * (cpu/observe.h) and the wrapped hooks are there only while somebody wants them. For the files of
 * machine/.
 */
#pragma once

#include "cpu/jit/jit.h"
#include "cpu/observe.h"
#include "machine/parallax-plugin.h"

struct vm;
struct vcpu;

/* Each may be NULL. Calls of one CPU come on its thread, those of several at the same time. */
struct observer {
    void *opaque;
    void (*block)(void *opaque, struct cpu *cpu, const struct block *b, gva_t lin,
                  struct probe_list *l);
    void (*access)(void *opaque, struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                   bool write);
    void (*exit)(void *opaque, struct cpu *cpu, const struct parallax_exit *x);
    void (*event)(void *opaque, struct cpu *cpu, enum observed_event what, unsigned vector);
    void (*translated)(void *opaque, struct cpu *cpu, const struct jit_piece *p, u64 began_ns);
    void (*vcpu)(void *opaque, struct cpu *cpu, enum parallax_vcpu_event what);
    struct observer *next;
};

/* What a machine has of it. */
struct observers {
    struct observer *first;
    struct cpu_observer cpu; /* those of the CPU's calls that somebody wants */
    struct cpu_hooks hooks;
    bool exits, vcpu;
};

/* Begins and ends to look on; while no guest code runs. */
void observe_begin(struct vm *vm, struct observer *o);
void observe_end(struct vm *vm, struct observer *o);
/* The bytes of a block, as they are in memory now; `to` has room for OBSERVED_CODE. */
#define OBSERVED_CODE (BLOCK_MAX_INSNS * 15u)
void observe_code(struct cpu *cpu, const struct block *b, u8 *to);
/* Does somebody want to see every hypercall? */
bool observe_calls(const struct vm *vm);
/* Of who begins to look on: what it is then told of `vcpu` are changes of that. */
bool observe_is_idle(const struct vcpu *v);
/* Around cpu_run. */
void observe_vcpu(struct vcpu *v, bool runs);
