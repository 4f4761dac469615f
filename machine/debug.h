/*
 * debug.h: stop, look, change, go on: what the monitor and the gdb stub are made of. A part of what
 * vm.h offers to front ends; everything here while vm_run does not run.
 *
 * A point (breakpoint, watchpoint ...) is for all CPUs. Code and data points are linear addresses,
 * whatever address space the CPU is in. Points cost nothing where they are not: cpu/tap.h.
 */
#pragma once

#include "base/err.h"
#include "machine/regs.h"
#include "machine/vm.h"

struct expr;

enum debug_kind {
    DEBUG_NOTHING, /* vm_stop, or nothing stopped it yet */
    DEBUG_STEP,
    DEBUG_CODE,   /* before the instruction at an address */
    DEBUG_WRITE,  /* after an instruction that wrote to a range */
    DEBUG_READ,   /* that read it */
    DEBUG_ACCESS, /* that did either */
    DEBUG_IO,     /* that read or wrote ports */
    DEBUG_MSR,
    DEBUG_EXCP,      /* before an exception is delivered, see tap.h */
    DEBUG_MODE,      /* after the mode changed: paging, size of code, CPL, virtual-8086 */
    DEBUG_HYPERCALL, /* after it, of the personality */
    DEBUG_KINDS
};

/* What happened, and to whom. Its members are names in conditions. */
struct debug_stop {
    enum debug_kind kind;
    unsigned id; /* of the point; 0: none */
    struct cpu *cpu;
    u64 addr;  /* linear; port; number of MSR, vector or hypercall */
    u64 value; /* read or written; the error code of an exception */
    u64 old;   /* data: the first 8 bytes of the range before it was written */
    unsigned size;
    bool write;
};

struct debug_point {
    unsigned id; /* from 1 */
    enum debug_kind kind;
    u64 first, last; /* inclusive: addresses, ports, numbers */
    bool enabled, temporary;
    bool foreign;                                /* gdb's: lists of others leave it out */
    u64 hits;                                    /* how often its condition held */
    u64 ignore;                                  /* so many of them to come do not stop */
    struct expr *cond;                           /* owned; NULL: none */
    bool (*test)(void *opaque, struct cpu *cpu); /* another condition, of gdb; may be NULL */
    void *opaque;
    void (*release)(void *opaque); /* when the point goes; may be NULL */
    u64 seen;                      /* data: the range's first bytes before it was last touched */
    struct debug_point *next;
};

/* ---- points ---------------------------------------------------------------------------------- */

/* Adds a copy of *p with a new id; `cond` belongs to it, also after a failure. */
struct debug_point *debug_add(struct vm *vm, const struct debug_point *p, struct err *e);
/* NULL: no such point. */
struct debug_point *debug_find(struct vm *vm, unsigned id);
struct debug_point *debug_first(struct vm *vm);
void debug_remove(struct vm *vm, struct debug_point *p);
/* After `enabled` or a range was changed. */
void debug_changed(struct vm *vm);
const char *debug_kind_name(enum debug_kind k);

/* ---- running --------------------------------------------------------------------------------- */

/* Why vm_run returned VM_DEBUG, or vm_step did. */
const struct debug_stop *debug_last_stop(const struct vm *vm);
/* One instruction of CPU n while the others stand still; VM_DEBUG when it is done. hold: interrupts
 * wait meanwhile. A CPU that is halted waits until something wakes it. limit_ns as of vm_run. */
enum vm_stop vm_step(struct vm *vm, unsigned n, bool hold, u64 limit_ns);

/* ---- history --------------------------------------------------------------------------------- */

#define DEBUG_HISTORY 64u

/* The CPU went elsewhere than to the next instruction. */
struct debug_branch {
    gva_t from, to;
    bool event; /* by an interrupt or exception: `from` was not executed */
};

/* Records branches from now on, or not any more. All instructions are run one by one meanwhile. */
void debug_set_history(struct vm *vm, bool on);
/* The n-th last branch of CPU `cpu`; false: there is none. */
bool debug_history(const struct vm *vm, unsigned cpu, unsigned n, struct debug_branch *b);

/* ---- memory ---------------------------------------------------------------------------------- */

/* Where a linear address of a CPU is: physical, A20 applied. False: not mapped. */
bool debug_translate(struct cpu *cpu, gva_t va, gpa_t *gpa);
/* Copies bytes without side effects: nothing is marked as accessed, devices are not asked (their
 * bytes read as FFh). Returns how many bytes could be. */
size_t debug_read(struct cpu *cpu, gva_t va, void *buf, size_t len);
size_t debug_read_phys(struct vm *vm, gpa_t gpa, void *buf, size_t len);
/* Writes RAM, whatever the guest's rights there. Returns how many bytes were written. */
size_t debug_write(struct cpu *cpu, gva_t va, const void *buf, size_t len);
size_t debug_write_phys(struct vm *vm, gpa_t gpa, const void *buf, size_t len);
