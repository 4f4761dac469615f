/*
 * smp.h: the CPUs of one machine as threads: who runs guest code, how one of them is told
 * something, and how all others are made to stand still.
 *
 * What is shared is memory, the marks of code in it (mmu/smc.h) and the devices; blocks,
 * translations and TLBs belong to one CPU. Therefore most work needs no lock. What changes
 * something under the other CPUs' feet (their blocks, their TLBs, the map of memory, an operand
 * that is locked and lies across words) happens while they stand still: between smp_stop and
 * smp_resume.
 *
 * Rules. A CPU stands still between blocks and while it waits for the lock of the devices; no host
 * pointer into guest memory is kept across either. Between smp_stop and smp_resume no other lock is
 * taken; the lock of the devices may be held from before.
 *
 * Two machines in one process have nothing in common. A CPU without struct smp, or with
 * `threads` off, runs alone, and all of this does nothing.
 */
#pragma once

#include "cpu/cpu.h"
#include <pthread.h>

#define SMP_MAX 16u

struct smp {
    struct cpu *cpu[SMP_MAX];
    unsigned count;
    bool threads; /* each CPU runs on a thread of its own; set while none runs */
    bool crowded; /* there are more of them than the host has processors */

    pthread_mutex_t lock;   /* of all below */
    pthread_cond_t changed; /* one of the four below */
    unsigned inside;        /* CPUs between smp_enter and smp_leave */
    unsigned running;       /* of these, how many do not wait */
    bool stopped;           /* a thread is between smp_stop and smp_resume */
    bool paused;            /* smp_enter waits */
    bool quit;              /* smp_enter says no */
    pthread_t owner;        /* who stopped the others */
    unsigned depth;         /* how often */
    pthread_cond_t wake[SMP_MAX];
    bool asleep[SMP_MAX];   /* also read without the lock */
    bool hopeless[SMP_MAX]; /* asleep with interrupts off */
    u64 stops;              /* statistics */
};

void smp_init(struct smp *s);
void smp_destroy(struct smp *s);
/* Adds a CPU, whose `id` is its number here. BUG_ON beyond SMP_MAX. */
void smp_add(struct smp *s, struct cpu *cpu);
/* The CPU that this thread runs; NULL: none. */
struct cpu *smp_current(void);
/* From now on each CPU has a thread of its own. Before anything ran. */
void smp_use_threads(struct smp *s);
/* Says which CPU runs on this thread when one thread runs all in turn. */
void smp_set_current(struct cpu *cpu);

/* Around cpu_run on a CPU's own thread. False: the thread shall end. */
bool smp_enter(struct cpu *cpu);
void smp_leave(struct cpu *cpu);
/* Around a wait for another lock, inside; a CPU that waits stands still. */
void smp_wait_begin(struct smp *s);
void smp_wait_end(struct smp *s);
/* HLT: waits until something is requested with which `can_run` is true, or for smp_quit. */
void smp_sleep(struct cpu *cpu, bool (*can_run)(const struct cpu *cpu));
/* Do all sleep, and (unless `hopeless`, when nothing outside can wake them) with interrupts off? */
bool smp_all_asleep(struct smp *s, bool hopeless);

/* Makes all other CPUs stand still, and lets them go on. From any thread; nests. */
void smp_stop(struct smp *s);
void smp_resume(struct smp *s);

/* Between the two: another CPU's translated code was changed, too. */
void smp_code_changed(struct smp *s);

/* Keeps all CPUs outside, whatever they are at; the first waits until they are. The caller is no
 * CPU's thread and holds no lock that they may wait for. */
void smp_pause(struct smp *s);
void smp_unpause(struct smp *s);
/* The same without waiting: from a CPU's thread that asks for a reset. */
void smp_pause_soon(struct smp *s);
/* Ends the threads: smp_enter says no from now on. */
void smp_quit(struct smp *s);
/* Takes smp_pause and smp_quit back, for new threads. */
void smp_restart(struct smp *s);
