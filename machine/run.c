/*
 * run.c: the run loop of a VM: slices of guest execution between deadlines of virtual time and
 * looks at file descriptors.
 *
 * One thread does it all: the vCPU runs until the next deadline, a device event or the slice's end,
 * then timers fire and streams are polled. With -icount the slice is cut exactly at the next
 * deadline, so that two runs are the same; several vCPUs take turns of a fixed number of
 * instructions. Without -icount several vCPUs have threads: threads.c.
 */
#include "base/host.h"
#include "devices/backend/chardev.h"
#include "machine/debug.h"
#include "machine/vm_impl.h"
#include <unistd.h>

#define POLL_INTERVAL_NS 2000000ull /* how often streams are looked at while the guest runs */
#define SLICE_MIN 500u
#define SLICE_MAX 40000u /* about 0.2 ms: what a late timer may be late by */
#define ICOUNT_SLICE_MAX 1000000u
#define TURN_INSNS 4000u /* of a vCPU among several */

/* ---- streams --------------------------------------------------------------------------------- */

/* The n-th stream, which may be NULL; COM1, port E9h, Xen's console, then those of -chardev. */
#define STREAMS_FIXED 3u
#define STREAMS_MAX 32u

static unsigned stream_count(const struct vm *vm)
{
    unsigned n = STREAMS_FIXED + vm->resources.stream_count;
    return n < STREAMS_MAX ? n : STREAMS_MAX;
}

static struct chardev *stream(const struct vm *vm, unsigned i)
{
    return i == 0   ? vm->cfg.serial
           : i == 1 ? vm->cfg.debugcon
           : i == 2 ? vm->cfg.xen_console
                    : vm->resources.streams[i - STREAMS_FIXED].chr;
}

static bool wants_input(const struct chardev *c)
{
    return c && c->fd >= 0 && c->poll_in && c->can_receive && c->can_receive(c->opaque);
}

/* What the wake pipe says is that there is something to look at. */
static void drain(int fd)
{
    char buf[64];
    while (read(fd, buf, sizeof buf) > 0)
        ;
}

void vm_poll_streams(struct vm *vm, u64 timeout_ns)
{
    struct pollset *p = &vm->pollset;
    struct chardev *chr[STREAMS_MAX] = {0};
    vm_lock(vm);
    p->count = 0;
    for (unsigned i = 0; i < stream_count(vm); i++) {
        struct chardev *c = stream(vm, i);
        if (wants_input(c))
            chr[pollset_add(p, c->fd, POLLIN)] = c;
    }
    unsigned streams = p->count;
    for (unsigned i = 0; i < vm->fd_count; i++)
        pollset_add(p, vm->fds[i].fd, POLLIN);
    unsigned others = p->count;
    if (vm->threads)
        pollset_add(p, vm->wake_fd[0], POLLIN);
    nets_fill(&vm->nets, p, &timeout_ns);
    vm_unlock(vm);

    if (!p->count && !timeout_ns && !vm->nets.first)
        return;
    bool any = pollset_wait(p, timeout_ns);
    if (!any && !vm->nets.first)
        return;
    vm_lock(vm);
    for (unsigned i = 0; any && i < others; i++) {
        if (!pollset_ready(p, i))
            continue;
        if (i < streams)
            chr[i]->poll_in(chr[i]);
        else
            vm->fds[i - streams].ready(vm->fds[i - streams].opaque);
    }
    if (vm->threads && pollset_ready(p, others))
        drain(vm->wake_fd[0]);
    nets_poll(&vm->nets, p); /* also without anything: for its time that has passed */
    vm_unlock(vm);
}

void vm_wait(struct vm *vm, u64 timeout_ns)
{
    struct pollset *p = &vm->pollset;
    p->count = 0;
    for (unsigned i = 0; i < vm->fd_count; i++)
        pollset_add(p, vm->fds[i].fd, POLLIN);
    if (pollset_wait(p, vm_until_host_events(vm, timeout_ns)))
        for (unsigned i = 0; i < vm->fd_count; i++)
            if (pollset_ready(p, i))
                vm->fds[i].ready(vm->fds[i].opaque);
    vm_tick(vm);
}

bool vm_all_streams_ready(const struct vm *vm)
{
    for (unsigned i = 0; i < stream_count(vm); i++) {
        const struct chardev *c = stream(vm, i);
        if (c && c->fd >= 0 && c->poll_in && !wants_input(c))
            return false;
    }
    return true;
}

bool vm_has_streams(const struct vm *vm)
{
    if (vm->fd_count || nets_can_receive(&vm->nets))
        return true;
    for (unsigned i = 0; i < stream_count(vm); i++)
        if (wants_input(stream(vm, i)))
            return true;
    return false;
}

/* ---- time ------------------------------------------------------------------------------------ */

/*T:620 How long may the guest run?
 *
 * Until the next timer is due. With -icount that is exact: a timer fires after the same instruction
 * in every run. With the host's clock it is a guess, and when it is wrong the timer is a little
 * late, as on hardware, where interrupts have latency too.
 */
/* Instructions until the next deadline, roughly: the guest runs some 0.2 of them per nanosecond. */
static u64 slice_length(struct vm *vm)
{
    u64 deadline = clock_next_deadline_ns(&vm->clock), now = clock_now_ns(&vm->clock);
    u64 left = deadline == CLOCK_NEVER ? CLOCK_NEVER : deadline > now ? deadline - now : 0;
    u64 n = vm->cfg.icount ? left : left == CLOCK_NEVER ? left : left / 5;
    u64 max = vm->cfg.icount ? ICOUNT_SLICE_MAX : SLICE_MAX;
    u64 min = vm->cfg.icount ? 1 : SLICE_MIN;
    if (vm->cpus > 1 && max > TURN_INSNS)
        max = TURN_INSNS;
    return n > max ? max : n < min ? min : n;
}

/* Nanoseconds to a time of the host, at most `most`. */
static u64 until(u64 host_ns, u64 most)
{
    u64 now = host_now_ns(), left = host_ns > now ? host_ns - now : 0;
    return left < most ? left : most;
}

u64 vm_until_host_events(const struct vm *vm, u64 most)
{
    if (vm->host_deadline_ns)
        most = until(vm->host_deadline_ns, most);
    if (vm->tick.fn)
        most = until(vm->tick.next_ns, most);
    return most;
}

/* Halted CPUs: sleeps, or with -icount skips, to the next deadline. False: nothing can wake them.
 */
static bool idle(struct vm *vm)
{
    u64 deadline = clock_next_deadline_ns(&vm->clock), now = clock_now_ns(&vm->clock);
    if (deadline == CLOCK_NEVER && vm->follows)
        return true;
    if (deadline == CLOCK_NEVER && !vm_has_streams(vm))
        return false;
    if (vm->cfg.icount && deadline != CLOCK_NEVER) {
        if (deadline > now)
            vm->warp_ns += deadline - now;
        return true;
    }
    u64 wait = deadline == CLOCK_NEVER ? NS_PER_SEC : deadline > now ? deadline - now : 0;
    vm_poll_streams(vm, vm_until_host_events(vm, wait < NS_PER_SEC ? wait : NS_PER_SEC));
    return true;
}

void vm_tick(struct vm *vm)
{
    u64 now = host_now_ns();
    if (!vm->tick.fn || now < vm->tick.next_ns)
        return;
    vm->tick.next_ns = now + vm->tick.period_ns;
    vm->tick.fn(vm->tick.opaque);
}

void vm_look_around(struct vm *vm)
{
    u64 now = host_now_ns();
    if (now < vm->next_poll_ns)
        return;
    vm_tick(vm);
    vm->next_poll_ns = now + POLL_INTERVAL_NS;
    vm_poll_streams(vm, 0);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* SDM vol. 3A 8.4.3: INIT makes the boot processor start again, any other wait for the start-up
 * IPI, which means nothing to one that does not wait. */
void vm_serve_ipis(struct cpu *cpu)
{
    cpu_request_done(cpu, REQ_EXIT);
    if (cpu_requests(cpu) & REQ_INIT) {
        cpu_request_done(cpu, REQ_INIT);
        cpu_init_signal(cpu);
        cpu->wait_sipi = !(cpu->apic_base & APIC_BASE_BSP);
    }
    if (cpu_requests(cpu) & REQ_SIPI) {
        u8 vector = cpu->sipi_vector;
        cpu_request_done(cpu, REQ_SIPI);
        if (cpu->wait_sipi)
            cpu_startup(cpu, vector);
    }
}

bool vm_can_run(const struct cpu *cpu)
{
    u32 p = cpu_pending(cpu);
    if (cpu->nmi_blocked)
        p &= ~REQ_NMI;
    if (cpu->wait_sipi)
        return p & (REQ_INIT | REQ_SIPI);
    return !cpu->halted || p || cpu_wakes_masked(cpu);
}

bool vm_board_requests(struct vm *vm, enum vm_stop *why)
{
    struct board_requests *r = &vm->board.requests;
    if (r->exit || r->poweroff) {
        *why = r->exit ? VM_DEBUG_EXIT : VM_POWEROFF;
        return true;
    }
    if (!r->reset)
        return false;
    struct err e;
    *why = VM_RESET;
    return vm->cfg.no_reboot || !vm_boot(vm, &e);
}

/* The next vCPU that can run, from the one whose turn it is on. NULL: all wait. */
static struct cpu *next_cpu(struct vm *vm)
{
    for (unsigned i = 0; i < vm->cpus; i++) {
        unsigned n = (vm->turn + i) % vm->cpus;
        struct cpu *cpu = vm->vcpu[n].cpu;
        if (vm_can_run(cpu) && (!vm->only || vm->only == cpu)) {
            vm->turn = n;
            return cpu;
        }
    }
    return NULL;
}

static bool can_be_woken(const struct vm *vm)
{
    for (unsigned n = 0; n < vm->cpus; n++) {
        const struct cpu *cpu = vm->vcpu[n].cpu;
        if (!cpu->wait_sipi && (cpu->eflags & EFLAGS_IF || cpu->wakes_masked))
            return true;
    }
    return false;
}

/* This thread runs the CPU, for all of them or (vm_step) for the one that has a thread else. */
static void enter(struct vm *vm, struct cpu *cpu)
{
    if (!vm->threads) {
        smp_set_current(cpu);
        return;
    }
    smp_restart(&vm->smp);
    smp_enter(cpu);
}

static void leave(struct vm *vm, struct cpu *cpu)
{
    if (vm->threads)
        smp_leave(cpu);
    else
        smp_set_current(NULL);
}

bool vm_turn(struct vm *vm, u64 max_insns, enum vm_stop *why)
{
    if (drives_pending(&vm->drives))
        drives_run(&vm->drives);
    clock_run_timers(&vm->clock);
    if (vm_board_requests(vm, why))
        return true;
    struct cpu *cpu = next_cpu(vm);
    if (!cpu) {
        *why = VM_HUNG;
        return !vm->stop && (!can_be_woken(vm) || !idle(vm));
    }
    vm_serve_ipis(cpu);
    if (cpu->wait_sipi)
        return false;
    u64 insns = slice_length(vm);
    enter(vm, cpu);
    pv_enter(vm->pv, cpu);
    observe_vcpu(&vm->vcpu[cpu->id], true);
    enum cpu_stop s = cpu_run(cpu, insns < max_insns ? insns : max_insns);
    observe_vcpu(&vm->vcpu[cpu->id], false);
    pv_leave(vm->pv, cpu, cpu->halted);
    leave(vm, cpu);
    if (unlikely(cpu->tapped) && debug_confirm(&vm->vcpu[cpu->id])) {
        debug_report_stop(vm, &vm->vcpu[cpu->id]);
        *why = VM_DEBUG;
        return true;
    }
    if (s != STOP_REQUEST) /* the others' turn; a deadline that changed ends none */
        vm->turn = (vm->turn + 1) % vm->cpus;
    vm->blamed = cpu;
    if (unlikely(s == STOP_STEPPED)) {
        debug_report_step(vm, cpu);
        *why = VM_DEBUG;
        return true;
    }
    *why = VM_TRIPLE_FAULT;
    return s == STOP_TRIPLE_FAULT;
}

bool vm_stop_asked(struct vm *vm, enum vm_stop *why)
{
    bool late = vm->host_deadline_ns && host_now_ns() >= vm->host_deadline_ns;
    bool stop = __atomic_exchange_n(&vm->stop, false, __ATOMIC_SEQ_CST);
    *why = stop ? VM_STOPPED : VM_TIMEOUT;
    if (stop && vm->disk_failed) {
        vm->disk_failed = false;
        *why = VM_DISK_ERROR;
    }
    return stop || late;
}

static enum vm_stop run_turns(struct vm *vm)
{
    enum vm_stop why;
    for (;;) {
        if (vm_stop_asked(vm, &why))
            return why;
        vm_look_around(vm);
        if (vm_turn(vm, ~0ull, &why))
            return why;
    }
}

enum vm_stop vm_run(struct vm *vm, u64 limit_ns)
{
    drives_retry(&vm->drives);
    vm->host_deadline_ns = limit_ns ? host_now_ns() + limit_ns : 0;
    host_wait_exactly();
    if (debug_resume(vm))
        return VM_DEBUG;
    return vm->threads ? vm_run_threads(vm) : run_turns(vm);
}

enum vm_stop vm_step(struct vm *vm, unsigned n, bool hold, u64 limit_ns)
{
    struct cpu *cpu = vm->vcpu[n].cpu;
    vm->host_deadline_ns = limit_ns ? host_now_ns() + limit_ns : 0;
    if (debug_resume(vm))
        return VM_DEBUG;
    if (hold && !cpu->halted && !cpu->shadow)
        cpu->shadow = SHADOW_STI;
    vm->only = cpu;
    cpu->stepping |= STEP_ONE;
    enum vm_stop why = run_turns(vm);
    cpu->stepping &= (u8)~STEP_ONE;
    vm->only = NULL;
    return why;
}
