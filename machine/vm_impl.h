/* vm_impl.h: struct vm, for the files of machine/ only. */
#pragma once

#include "bios/rom.h"
#include "machine/board_pc.h"
#include "machine/vm.h"
#include "pv/pv.h"

#define VM_MAX_FDS 16

struct vm_fd {
    int fd;
    void (*ready)(void *opaque);
    void *opaque;
};

/* What a front end wants to do regularly: redraw. */
struct vm_tick {
    void (*fn)(void *opaque); /* NULL: nothing */
    void *opaque;
    u64 period_ns, next_ns; /* of the host's time */
};

struct vm {
    struct vm_config cfg;
    struct phys phys;
    struct clock clock;
    struct cpu *cpu;
    struct board board;
    struct pv *pv;
    struct rom rom; /* of the system; no data: none */
    struct vm_fd fds[VM_MAX_FDS];
    unsigned fd_count;
    volatile bool stop;   /* set by vm_stop, also from signal handlers */
    u64 warp_ns;          /* icount: time skipped while halted */
    u64 host_deadline_ns; /* 0: none */
    struct vm_tick tick;
    u64 next_poll_ns;     /* host time of the next look at file descriptors */
    bool follows;         /* the second machine of a check (check.h): input comes from the first */
};

/* Puts CPU, chips and memory into the state in which the guest starts. */
bool vm_boot(struct vm *vm, struct err *e);

/* ---- the run loop in parts: run.c, and check.c for two machines in step ------------------------ */

/* Timers, requests and one slice of at most max_insns instructions. True: *why says why the machine
 * stops. */
bool vm_turn(struct vm *vm, u64 max_insns, enum vm_stop *why);
/* Was vm_stop called, or is the limit of host time over? */
bool vm_stop_asked(struct vm *vm, enum vm_stop *why);
/* Looks at file descriptors, if it is time to. */
void vm_look_around(struct vm *vm);
