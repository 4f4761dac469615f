/*
 * observe.h: what those who look on are told of a CPU: plugins, the timeline, `-d in_asm` and its
 * like. The machine (machine/observe.c) fills a struct cpu_observer. A CPU without one
 * (cpu->observer NULL) pays nothing in hot code, and its translated code is the same.
 *
 * Probes stand in front of instructions. A block gets them when it is made; in the interpreter its
 * records run them, in translated code what the translator puts in front of the instruction. A
 * probe adds to a counter or calls. What the probes of an instruction have added is taken back when
 * it faults, since it was not executed: so counts are cpu_icount's, in both engines. A call is not
 * taken back; it comes again with the instruction. A REP that is interrupted counts once more when
 * it goes on, as in cpu_icount.
 */
#pragma once

#include "cpu/block.h"

struct jit_piece;

/* What a probe does: call, on the CPU's thread; or, without `call`, *count += add. */
struct probe_action {
    void (*call)(const struct probe_action *a, struct cpu *cpu, const struct insn *in);
    union {
        void *opaque; /* of the call, as fn */
        u64 *count;
    };
    void (*fn)(void);
    s32 add;
};

#define PROBES_MAX (8 * BLOCK_MAX_INSNS)

/* The probes that a new block shall have, in the order in which they were asked for. */
struct probe_list {
    unsigned count;
    struct probe_request {
        unsigned insn; /* of the block */
        struct probe_action action;
    } at[PROBES_MAX];
};

/* Those of a block. A block has them when its accesses are observed, too; then there may be none.
 */
struct probes {
    struct probe_action *action;
    struct probe {
        insn_fn fn; /* the record's own */
        u16 first, count;
    } of[];
};

enum observed_event {
    OBSERVED_INTERRUPT, /* of a controller; NMI, too */
    OBSERVED_EXCEPTION,
    OBSERVED_SOFT_INT, /* INT n, INT3, INTO */
};

/* Each may be NULL; `vm` is the opaque of struct cpu. On the CPU's thread. */
struct cpu_observer {
    /* A block was decoded, and begins at `lin`. */
    void (*block)(void *vm, struct cpu *cpu, const struct block *b, gva_t lin,
                  struct probe_list *l);
    /* A data access of `in` is done. Not implicit ones: page walks, descriptor tables, task state.
     */
    void (*access)(void *vm, struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                   bool write);
    /* It is delivered; cpu->rip is still where it came. */
    void (*event)(void *vm, struct cpu *cpu, enum observed_event what, unsigned vector);
    /* The translator made host code, and began at this time of the host. */
    void (*translated)(void *vm, struct cpu *cpu, const struct jit_piece *piece, u64 began_ns);
};

/* A block was decoded and bound: asks for its probes, and puts them in. */
void observe_block(struct cpu *cpu, struct block *b, gva_t lin);

/* All that stands in front of an instruction of the running block. */
void probe_run(struct cpu *cpu, const struct insn *in);
/* The instruction faults, or is accounted for otherwise: its counts are taken back, or made after
 * all. */
void probe_uncount(struct cpu *cpu, const struct insn *in);
void probe_count(struct cpu *cpu, const struct insn *in);
/* A record that follows a copy of a record (translated code left in between): goes on in the block.
 */
const struct insn *probe_go_on(struct cpu *cpu, const struct insn *in);

static inline void observe_access(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                                  bool write)
{
    if (unlikely(cpu->observer != NULL) && cpu->observer->access)
        cpu->observer->access(cpu->vm, cpu, in, va, size, write);
}

static inline void observe_event(struct cpu *cpu, enum observed_event what, unsigned vector)
{
    if (unlikely(cpu->observer != NULL) && cpu->observer->event)
        cpu->observer->event(cpu->vm, cpu, what, vector);
}
