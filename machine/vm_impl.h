/* vm_impl.h: struct vm, for the files of machine/ only. */
#pragma once

#include "base/pollset.h"
#include "bios/pcbios.h"
#include "bios/rom.h"
#include "machine/board_pc.h"
#include "machine/debug_impl.h"
#include "machine/observe.h"
#include "machine/perf.h"
#include "machine/timeline.h"
#include "machine/trace_code.h"
#include "machine/vm.h"
#include "pv/pv.h"

#define VM_MAX_FDS 16

struct plugins;

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

struct vcpu {
    struct vm *vm;
    struct cpu *cpu;
    pthread_t thread; /* while vm_run runs, with threads */
    struct debug_cpu debug;
    struct parallax_exit exit; /* that it is at, for observers */
    bool idle;                 /* observers were told so */
    const struct insn *at;     /* the instruction that they are told of; NULL: none */
};

struct vm {
    struct vm_config cfg;
    struct phys phys;
    struct clock clock;
    struct drives drives;
    struct nets nets;
    struct audio audio;
    struct resources resources;
    struct rng rng; /* of devices, with icount */
    bool disk_failed; /* a request waits: the reason of `stop` */
    int drives_fd; /* an event of the host: drives have something to hand back; -1: none */
    struct smp smp;
    struct vcpu vcpu[SMP_MAX];
    unsigned cpus;
    unsigned turn;      /* without threads: the vCPU whose turn it is */
    struct cpu *cpu;    /* the first */
    struct cpu *blamed; /* who stopped the machine */
    struct board board;
    struct stats sum; /* filled by vm_stats */
    struct pv *pv;
    struct rom rom; /* of the system; no data: none, or our own BIOS */
    struct rom option_rom[VM_OPTION_ROMS];
    struct pcbios pcbios; /* no rom: not used */
    struct vm_fd fds[VM_MAX_FDS];
    unsigned fd_count;
    struct pollset pollset;  /* what the thread in vm_run waits for */
    bool stop;               /* set by vm_stop, also from signal handlers */
    bool threads;            /* each vCPU has a thread of its own: threads.c */
    pthread_mutex_t devices; /* the lock of devices, clock and personality, with threads */
    int wake_fd[2];          /* a pipe that ends the wait of the thread that called vm_run */
    u64 sleeps_until_ns;     /* virtual time until which that thread waits; 0: it does not */
    bool dead;               /* a vCPU is in shutdown: `blamed` */
    bool tapped;             /* a vCPU came to a point of the debugger, with threads */
    struct cpu *only;        /* the others stand still (vm_step); NULL: all run */
    struct debug debug;
    struct observers observers;
    struct plugins *plugins;   /* NULL: none */
    struct timeline *timeline; /* NULL: none */
    struct trace_code trace_code;
    struct perf perf;
    u64 warp_ns;             /* icount: time skipped while halted */
    u64 host_deadline_ns;    /* 0: none */
    bool poked; /* the mouse went by one count to the right last, not to the left */
    struct vm_tick tick;
    u64 next_poll_ns; /* host time of the next look at file descriptors */
    bool complete;    /* vm_create succeeded */
    u8 nvram[RTC_CMOS_BYTES]; /* as the file of -nvram had it */
    bool follows;     /* the second machine of a check (check.h): input comes from the first */
};

/* What the CPU asks of board and personality: vm.c. */
extern const struct cpu_hooks vm_hooks;

/* Puts CPU, chips and memory into the state in which the guest starts. */
bool vm_boot(struct vm *vm, struct err *e);

/* ---- the run loop in parts: run.c, and check.c for two machines in step ------------------------
 */

/* Timers, requests and one slice of at most max_insns instructions. True: *why says why the machine
 * stops. */
bool vm_turn(struct vm *vm, u64 max_insns, enum vm_stop *why);
/* What chips and front ends asked for. True: *why says why the machine stops. */
bool vm_board_requests(struct vm *vm, enum vm_stop *why);
/* INIT and start-up IPI, on the vCPU's thread. */
void vm_serve_ipis(struct cpu *cpu);
/* Would cpu_run do anything? */
bool vm_can_run(const struct cpu *cpu);
/* Was vm_stop called, or is the limit of host time over? */
bool vm_stop_asked(struct vm *vm, enum vm_stop *why);
/* Looks at file descriptors, if it is time to. */
void vm_look_around(struct vm *vm);
/* Can something that lies outside still change what a halted machine does? */
bool vm_has_streams(const struct vm *vm);
/* Would every stream's chip take input now? */
bool vm_all_streams_ready(const struct vm *vm);
/* Nanoseconds that may be waited, at most `most`, before the host's time is over or the front end
 * wants its tick. */
u64 vm_until_host_events(const struct vm *vm, u64 most);
/* Waits for input, timeout_ns of the host's time at most, and hands it on. */
void vm_poll_streams(struct vm *vm, u64 timeout_ns);
void vm_tick(struct vm *vm);

/* ---- a thread per vCPU: threads.c --------------------------------------------------------------
 */

/* vm_run's loop with vm->threads. */
enum vm_stop vm_run_threads(struct vm *vm);
/* Ends the wait of the thread in vm_run; from anywhere, also from signal handlers. */
void vm_wake(struct vm *vm);
/* The lock of devices, clock and personality; nothing without threads. A vCPU that waits for it
 * stands still (smp.h). */
void vm_lock(struct vm *vm);
void vm_unlock(struct vm *vm);

/* vm_drives.c */
bool vm_drives_init(struct vm *vm, struct err *e);
/* What the guest wrote and never flushed goes to its file. */
void vm_drives_destroy(struct vm *vm);

/* vm_nvram.c */
bool vm_nvram_load(struct vm *vm, struct err *e);
void vm_nvram_store(const struct vm *vm);

/* vm_nets.c */
bool vm_nets_init(struct vm *vm, struct err *e);
/* Controllers that firmware is to boot from get iPXE's ROMs, unless the user has named others. */
bool vm_nets_load_roms(struct vm *vm, struct err *e);
void vm_nets_destroy(struct vm *vm);
