/*
 * debugger.h: a run that can be stopped, looked at and changed: the loop around vm_run with its
 * guests, the gdb stub and the monitors.
 *
 * Whatever they do, they do while no guest code runs: input of theirs makes vm_run return, they are
 * served, and it goes on if the machine is still to run.
 */
#pragma once

#include "machine/debug.h"

#define DEBUGGER_PORTS 8u

/* Someone who gives orders. */
struct debugger_port {
    int (*fd)(void *opaque);     /* to be polled now; -1: none */
    void (*ready)(void *opaque); /* it has input */
    /* The machine has stopped (or, with `ended`, goes away), because of `why`. */
    void (*stopped)(void *opaque, enum vm_stop why, bool ended);
    bool (*attached)(void *opaque); /* is anybody there who wants to see why a machine died? */
    void *opaque;
};

struct debugger {
    struct vm *vm;
    struct debugger_port port[DEBUGGER_PORTS];
    unsigned ports;
    bool running;
    bool quit;
    bool wanted; /* a port has input: why vm_run was stopped */
    bool step;   /* the next run is one instruction of CPU step_cpu */
    bool hold;   /* and interrupts wait */
    unsigned step_cpu;
    bool dead; /* it stopped for good, because of `why`: it can be looked at, and not run */
    enum vm_stop why;
    bool came; /* debugger_run_for ended otherwise than by its time, because of `came_by` */
    enum vm_stop came_by;
    bool (*over)(void *opaque); /* does vm_stop mean the end? May be NULL */
    void *opaque;
};

void debugger_init(struct debugger *d, struct vm *vm);
bool debugger_add(struct debugger *d, const struct debugger_port *p);
/* Until the guest or somebody ends it. As vm_run, without VM_DEBUG. */
enum vm_stop debugger_run(struct debugger *d, u64 limit_ns);

/* ---- for ports ------------------------------------------------------------------------------- */

void debugger_stop(struct debugger *d);
void debugger_continue(struct debugger *d);
void debugger_step(struct debugger *d, unsigned cpu, bool hold);
void debugger_quit(struct debugger *d);
/* If the machine is to run, it runs for so long of the host's time, at most, and nobody else is
 * served; what stopped it before takes effect afterwards. False: it stands still. */
bool debugger_run_for(struct debugger *d, u64 ns);
