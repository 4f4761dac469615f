/*
 * run.c: the run loop of a VM: slices of guest execution between deadlines of virtual time and
 * looks at file descriptors.
 *
 * One thread does it all: the vCPU runs until the next deadline, a device event or the slice's end,
 * then timers fire and streams are polled. With -icount the slice is cut exactly at the next
 * deadline, so that two runs are the same.
 */
#define _GNU_SOURCE /* ppoll */
#include "base/host.h"
#include "devices/backend/chardev.h"
#include "machine/vm_impl.h"
#include <poll.h>
#include <time.h>

#define POLL_INTERVAL_NS 2000000ull /* how often streams are looked at while the guest runs */
#define SLICE_MIN 500u
#define SLICE_MAX 40000u /* about 0.2 ms: what a late timer may be late by */
#define ICOUNT_SLICE_MAX 1000000u

/* ---- streams --------------------------------------------------------------------------------- */

static struct chardev *chardevs(const struct vm *vm, unsigned i)
{
    return i == 0 ? vm->cfg.serial : i == 1 ? vm->cfg.debugcon : NULL;
}

#define CHARDEVS 2

static bool wants_input(const struct chardev *c)
{
    return c && c->fd >= 0 && c->poll_in && c->can_receive && c->can_receive(c->opaque);
}

/* Waits up to timeout_ns for input and hands it on. */
static void poll_streams(struct vm *vm, u64 timeout_ns)
{
    struct pollfd p[VM_MAX_FDS + CHARDEVS];
    struct chardev *chr[CHARDEVS] = {0};
    unsigned n = 0;
    for (unsigned i = 0; i < CHARDEVS; i++) {
        struct chardev *c = chardevs(vm, i);
        if (wants_input(c)) {
            chr[n] = c;
            p[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
        }
    }
    unsigned streams = n;
    for (unsigned i = 0; i < vm->fd_count; i++)
        p[n++] = (struct pollfd){.fd = vm->fds[i].fd, .events = POLLIN};

    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
                          .tv_nsec = (long)(timeout_ns % NS_PER_SEC)};
    if (!n && !timeout_ns)
        return;
    if (ppoll(p, n, &ts, NULL) <= 0)
        return;
    for (unsigned i = 0; i < n; i++) {
        if (!p[i].revents)
            continue;
        if (i < streams)
            chr[i]->poll_in(chr[i]);
        else
            vm->fds[i - streams].ready(vm->fds[i - streams].opaque);
    }
}

static bool has_streams(const struct vm *vm)
{
    if (vm->fd_count)
        return true;
    for (unsigned i = 0; i < CHARDEVS; i++)
        if (wants_input(chardevs(vm, i)))
            return true;
    return false;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Instructions until the next deadline, roughly: the guest runs some 0.2 of them per nanosecond. */
static u64 slice_length(struct vm *vm)
{
    u64 deadline = clock_next_deadline_ns(&vm->clock), now = clock_now_ns(&vm->clock);
    u64 left = deadline == CLOCK_NEVER ? CLOCK_NEVER : deadline > now ? deadline - now : 0;
    u64 n = vm->cfg.icount ? left : left == CLOCK_NEVER ? left : left / 5;
    u64 max = vm->cfg.icount ? ICOUNT_SLICE_MAX : SLICE_MAX;
    u64 min = vm->cfg.icount ? 1 : SLICE_MIN;
    return n > max ? max : n < min ? min : n;
}

/* Nanoseconds to a time of the host, at most `most`. */
static u64 until(u64 host_ns, u64 most)
{
    u64 now = host_now_ns(), left = host_ns > now ? host_ns - now : 0;
    return left < most ? left : most;
}

/* A halted CPU: sleeps, or with -icount skips, to the next deadline. False: nothing can wake it. */
static bool idle(struct vm *vm)
{
    u64 deadline = clock_next_deadline_ns(&vm->clock), now = clock_now_ns(&vm->clock);
    if (deadline == CLOCK_NEVER && vm->follows)
        return true;
    if (deadline == CLOCK_NEVER && !has_streams(vm))
        return false;
    if (vm->cfg.icount && deadline != CLOCK_NEVER) {
        if (deadline > now)
            vm->warp_ns += deadline - now;
        return true;
    }
    u64 wait = deadline == CLOCK_NEVER ? NS_PER_SEC : deadline > now ? deadline - now : 0;
    if (wait > NS_PER_SEC)
        wait = NS_PER_SEC;
    if (vm->host_deadline_ns)
        wait = until(vm->host_deadline_ns, wait);
    if (vm->tick.fn)
        wait = until(vm->tick.next_ns, wait);
    poll_streams(vm, wait);
    return true;
}

static void tick(struct vm *vm, u64 now)
{
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
    tick(vm, now);
    vm->next_poll_ns = now + POLL_INTERVAL_NS;
    poll_streams(vm, 0);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static bool can_be_woken(const struct vm *vm)
{
    return vm->cpu->eflags & EFLAGS_IF;
}

/* INIT of the only CPU: it starts again at the reset vector. */
static void handle_cpu_requests(struct vm *vm)
{
    if (vm->cpu->req & REQ_INIT)
        cpu_init_signal(vm->cpu);
    cpu_request_done(vm->cpu, REQ_EXIT | REQ_RESET | REQ_SIPI);
}

/* True: *why says why the machine stops. */
static bool handle_board_requests(struct vm *vm, enum vm_stop *why)
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

bool vm_turn(struct vm *vm, u64 max_insns, enum vm_stop *why)
{
    clock_run_timers(&vm->clock);
    if (handle_board_requests(vm, why))
        return true;
    handle_cpu_requests(vm);

    u64 insns = slice_length(vm);
    pv_enter(vm->pv, vm->cpu);
    enum cpu_stop s = cpu_run(vm->cpu, insns < max_insns ? insns : max_insns);
    pv_leave(vm->pv, vm->cpu, vm->cpu->halted);
    *why = s == STOP_TRIPLE_FAULT ? VM_TRIPLE_FAULT : VM_HUNG;
    if (s == STOP_HALTED && vm->cpu->halted && !vm->stop)
        return (!can_be_woken(vm) && !cpu_pending(vm->cpu)) || !idle(vm);
    return s == STOP_TRIPLE_FAULT;
}

bool vm_stop_asked(struct vm *vm, enum vm_stop *why)
{
    bool late = vm->host_deadline_ns && host_now_ns() >= vm->host_deadline_ns;
    *why = vm->stop ? VM_STOPPED : VM_TIMEOUT;
    late = late || vm->stop;
    vm->stop = false;
    return late;
}

enum vm_stop vm_run(struct vm *vm, u64 limit_ns)
{
    enum vm_stop why;
    vm->host_deadline_ns = limit_ns ? host_now_ns() + limit_ns : 0;
    for (;;) {
        if (vm_stop_asked(vm, &why))
            return why;
        vm_look_around(vm);
        if (vm_turn(vm, ~0ull, &why))
            return why;
    }
}
