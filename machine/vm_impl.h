/* vm_impl.h: struct vm, for the files of machine/ only. */
#pragma once

#include "machine/board_pc.h"
#include "machine/vm.h"
#include "pv/pv.h"

#define VM_MAX_FDS 16

struct vm_fd {
    int fd;
    void (*ready)(void *opaque);
    void *opaque;
};

struct vm {
    struct vm_config cfg;
    struct phys phys;
    struct clock clock;
    struct cpu *cpu;
    struct board board;
    struct pv *pv;
    struct vm_fd fds[VM_MAX_FDS];
    unsigned fd_count;
    volatile bool stop;   /* set by vm_stop, also from signal handlers */
    u64 warp_ns;          /* icount: time skipped while halted */
    u64 host_deadline_ns; /* 0: none */
    u64 next_poll_ns;     /* host time of the next look at file descriptors */
};

/* Puts CPU, chips and memory into the state in which the guest starts. */
bool vm_boot(struct vm *vm, struct err *e);
