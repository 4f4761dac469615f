/* debug_impl.h: what the VM has of the debugger (debug.h), for the files of machine/ only. */
#pragma once

#include "cpu/tap.h"
#include "machine/debug.h"

/* An access to a range that is watched. */
struct debug_access {
    gva_t va;
    unsigned size;
    bool write;
};

#define DEBUG_ACCESSES 4u /* of one instruction, most that are looked at */

/* What one CPU has to do with it. */
struct debug_cpu {
    struct debug_access
        access[DEBUG_ACCESSES]; /* of the instruction that ends; with TAPPED_BY_DATA */
    unsigned accesses;
    struct debug_stop stop; /* what stopped it, and nobody was told yet while cpu->tapped */
    u64 passed_icount;      /* when it is there, what follows does not stop: it did already */
    gva_t passed;           /* points at this address */
    u64 passed_excp;        /* this vector + 1 */
    u32 mode;               /* as it was last seen */
    struct debug_branch history[DEBUG_HISTORY];
    u64 branches; /* that were recorded, in a ring */
    gva_t next;   /* where the last instruction left the CPU */
};

#define DEBUG_POINTS 1024u

struct debug {
    struct taps taps;
    struct debug_point *points; /* by id */
    unsigned last_id;
    struct debug_point *code[DEBUG_POINTS]; /* those in force that are breakpoints */
    unsigned code_count;
    bool io, hypercall; /* there are points for them */
    bool history;       /* branches are recorded */
    bool changed;       /* the taps are to be made anew before anything runs */
    struct debug_stop last;
};

struct vm;
struct vcpu;

void debug_init(struct debug *d);
void debug_destroy(struct debug *d);
/* Before guest code runs: what was set and removed takes effect, and no CPU stops again where it
 * stands. True: a CPU stopped together with the one that was reported last, and is still to be. */
bool debug_resume(struct vm *vm);
/* A CPU came back with `tapped` set. False: it goes on, for now that the instruction is done no
 * watchpoint's condition holds. */
bool debug_confirm(struct vcpu *v);
/* That is why the VM stops. */
void debug_report_stop(struct vm *vm, struct vcpu *v);
/* It has done its step. */
void debug_report_step(struct vm *vm, struct cpu *cpu);
/* After an access to ports, and a hypercall, by a CPU. */
void debug_io(struct vcpu *v, u16 port, unsigned size, u64 value, bool write);
void debug_hypercall(struct vcpu *v, u64 nr);
