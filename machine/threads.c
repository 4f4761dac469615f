/*
 * threads.c: several vCPUs, each on a thread of its own, and the event loop on the thread that
 * called vm_run: timers, streams, requests of chips, the end.
 *
 * The lock of the devices is taken by whoever touches chips, clock or personality. A halted vCPU
 * sleeps until something is requested of it. The event loop sleeps until the next deadline; a
 * deadline that comes before it wakes it (vm_wake).
 */
#include "base/host.h"
#include "machine/vm_impl.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define SLICE_INSNS 100000u          /* what the time pages of a personality may be late by */
#define NOT_READY_POLL_NS 5000000ull /* a chip that could not take input is asked again */

void vm_lock(struct vm *vm)
{
    if (!vm->threads || !pthread_mutex_trylock(&vm->devices))
        return;
    smp_wait_begin(&vm->smp);
    pthread_mutex_lock(&vm->devices);
    smp_wait_end(&vm->smp);
}

void vm_unlock(struct vm *vm)
{
    if (vm->threads)
        pthread_mutex_unlock(&vm->devices);
}

void vm_wake(struct vm *vm)
{
    int saved = errno;
    if (write(vm->wake_fd[1], "", 1) < 0) /* full: it will wake anyway */
        errno = saved;
    errno = saved;
}

/* ---- a vCPU ---------------------------------------------------------------------------------- */

static void shut_down(struct vm *vm, struct cpu *cpu)
{
    vm_lock(vm);
    vm->dead = true;
    vm->blamed = cpu;
    smp_pause_soon(&vm->smp);
    vm_unlock(vm);
    vm_wake(vm);
}

static void stop_for_debugger(struct vm *vm)
{
    vm_lock(vm);
    vm->tapped = true;
    smp_pause_soon(&vm->smp);
    vm_unlock(vm);
    vm_wake(vm);
}

/* One slice. False: the vCPU is in shutdown. */
static bool run_slice(struct vm *vm, struct cpu *cpu)
{
    vm_serve_ipis(cpu);
    if (cpu->wait_sipi)
        return true;
    vm_lock(vm);
    pv_enter(vm->pv, cpu);
    vm_unlock(vm);
    observe_vcpu(&vm->vcpu[cpu->id], true);
    enum cpu_stop s = cpu_run(cpu, SLICE_INSNS);
    observe_vcpu(&vm->vcpu[cpu->id], false);
    vm_lock(vm);
    pv_leave(vm->pv, cpu, cpu->halted);
    vm_unlock(vm);
    return s != STOP_TRIPLE_FAULT;
}

static void *run_vcpu(void *opaque)
{
    struct vcpu *v = opaque;
    struct cpu *cpu = v->cpu;
    perf_thread(v);
    while (smp_enter(cpu)) {
        bool alive = run_slice(v->vm, cpu);
        smp_leave(cpu);
        if (unlikely(cpu->tapped) && debug_confirm(v))
            stop_for_debugger(v->vm);
        else if (!alive)
            shut_down(v->vm, cpu);
        else if (!vm_can_run(cpu))
            smp_sleep(cpu, vm_can_run);
        else if (cpu->yields) {
            cpu->yields = false;
            sched_yield();
        }
    }
    return NULL;
}

/* Signals are for the thread that called vm_run. */
static bool start_threads(struct vm *vm)
{
    sigset_t all, old;
    unsigned n;
    smp_restart(&vm->smp);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (n = 0; n < vm->cpus; n++)
        if (pthread_create(&vm->vcpu[n].thread, NULL, run_vcpu, &vm->vcpu[n]))
            break;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (n == vm->cpus)
        return true;
    smp_quit(&vm->smp);
    while (n--)
        pthread_join(vm->vcpu[n].thread, NULL);
    return false;
}

static void end_threads(struct vm *vm)
{
    smp_quit(&vm->smp);
    for (unsigned n = 0; n < vm->cpus; n++)
        pthread_join(vm->vcpu[n].thread, NULL);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* All sleep, and nothing will wake them. */
static bool is_hung(struct vm *vm, u64 deadline)
{
    bool hopeless = deadline == CLOCK_NEVER && !vm_has_streams(vm);
    return smp_all_asleep(&vm->smp, hopeless);
}

/* The first of those that came to a point; the others are reported when the machine shall go on. */
static enum vm_stop report_tapped(struct vm *vm)
{
    unsigned n = 0;
    while (n < vm->cpus && !vm->vcpu[n].cpu->tapped)
        n++;
    if (n < vm->cpus)
        debug_report_stop(vm, &vm->vcpu[n]);
    return VM_DEBUG;
}

/* What chips asked for, with all vCPUs outside. True: the machine stops. */
static bool serve_requests(struct vm *vm, enum vm_stop *why)
{
    smp_pause(&vm->smp);
    bool stops = vm->dead || vm->tapped || vm_board_requests(vm, why);
    if (vm->dead)
        *why = VM_TRIPLE_FAULT;
    else if (vm->tapped)
        *why = report_tapped(vm);
    if (!stops)
        smp_unpause(&vm->smp);
    return stops;
}

/* Timers and requests; then *wait_ns is the time to the next. True: the machine stops. */
static bool serve_events(struct vm *vm, u64 *wait_ns, enum vm_stop *why)
{
    const struct board_requests *r = &vm->board.requests;
    vm_lock(vm);
    vm_tick(vm);
    clock_run_timers(&vm->clock);
    bool asked = vm->dead || vm->tapped || r->reset || r->poweroff || r->exit;
    u64 deadline = clock_next_deadline_ns(&vm->clock), now = clock_now_ns(&vm->clock);
    bool hung = !asked && is_hung(vm, deadline);
    u64 wait = deadline > now ? deadline - now : 0;
    *wait_ns = wait < NS_PER_SEC ? wait : NS_PER_SEC;
    if (!vm_all_streams_ready(vm) && *wait_ns > NOT_READY_POLL_NS)
        *wait_ns = NOT_READY_POLL_NS;
    vm->sleeps_until_ns = now + *wait_ns;
    vm_unlock(vm);
    if (hung)
        *why = VM_HUNG;
    return hung || (asked && serve_requests(vm, why));
}

enum vm_stop vm_run_threads(struct vm *vm)
{
    enum vm_stop why;
    vm->dead = vm->tapped = false;
    if (!start_threads(vm))
        return VM_NO_THREADS;
    while (!vm_stop_asked(vm, &why)) {
        u64 wait;
        if (serve_events(vm, &wait, &why))
            break;
        vm_poll_streams(vm, vm_until_host_events(vm, wait));
        vm_lock(vm);
        vm->sleeps_until_ns = 0;
        vm_unlock(vm);
    }
    end_threads(vm);
    return why;
}
