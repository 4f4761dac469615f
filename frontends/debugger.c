/* debugger.c: see debugger.h. */
#include "frontends/debugger.h"

#include "base/host.h"

#include <poll.h>

#define LOOK_NS (NS_PER_SEC / 10) /* how often a stopped machine looks whether somebody ended it otherwise */

void debugger_init(struct debugger *d, struct vm *vm)
{
    *d = (struct debugger){.vm = vm, .running = true};
}

bool debugger_add(struct debugger *d, const struct debugger_port *p)
{
    if (d->ports == DEBUGGER_PORTS)
        return false;
    d->port[d->ports++] = *p;
    return true;
}

void debugger_stop(struct debugger *d)
{
    d->running = d->step = false;
}

void debugger_continue(struct debugger *d)
{
    d->running = true;
    d->step = false;
}

void debugger_step(struct debugger *d, unsigned cpu, bool hold)
{
    d->running = d->step = true;
    d->step_cpu = cpu;
    d->hold = hold;
}

void debugger_quit(struct debugger *d)
{
    d->quit = true;
}

/* ---- serving --------------------------------------------------------------------------------- */

/* The ports that have input. */
static void serve(struct debugger *d)
{
    struct pollfd p[DEBUGGER_PORTS];

    for (unsigned i = 0; i < d->ports; i++)
        p[i] = (struct pollfd){.fd = d->port[i].fd(d->port[i].opaque), .events = POLLIN};
    if (poll(p, d->ports, 0) <= 0)
        return;
    for (unsigned i = 0; i < d->ports; i++)
        if (p[i].revents)
            d->port[i].ready(d->port[i].opaque);
}

static void tell(struct debugger *d, enum vm_stop why, bool ended)
{
    for (unsigned i = 0; i < d->ports; i++)
        d->port[i].stopped(d->port[i].opaque, why, ended);
}

static bool anybody(const struct debugger *d)
{
    for (unsigned i = 0; i < d->ports; i++)
        if (d->port[i].attached(d->port[i].opaque))
            return true;
    return false;
}

/* In the event loop of vm_run: the port is served when no guest code runs. */
static void note_input(void *opaque)
{
    struct debugger *d = opaque;

    d->wanted = true;
    if (d->running)
        vm_stop(d->vm);
}

static void watch_ports(struct debugger *d, int fds[DEBUGGER_PORTS])
{
    for (unsigned i = 0; i < d->ports; i++) {
        fds[i] = d->port[i].fd(d->port[i].opaque);
        if (fds[i] >= 0)
            vm_add_fd(d->vm, fds[i], note_input, d);
    }
}

static void unwatch_ports(struct debugger *d, const int fds[DEBUGGER_PORTS])
{
    for (unsigned i = 0; i < d->ports; i++)
        if (fds[i] >= 0)
            vm_remove_fd(d->vm, fds[i]);
}

static enum vm_stop run(struct debugger *d, u64 limit_ns)
{
    int fds[DEBUGGER_PORTS];
    enum vm_stop why;

    watch_ports(d, fds);
    clock_start(vm_clock(d->vm));
    why = d->step ? vm_step(d->vm, d->step_cpu, d->hold, limit_ns) : vm_run(d->vm, limit_ns);
    clock_stop(vm_clock(d->vm));
    unwatch_ports(d, fds);
    return why;
}

bool debugger_run_for(struct debugger *d, u64 ns)
{
    if (!d->running || d->step || d->dead || d->came)
        return false;
    clock_start(vm_clock(d->vm));
    d->came_by = vm_run(d->vm, ns);
    clock_stop(vm_clock(d->vm));
    d->came = d->came_by != VM_TIMEOUT;
    return true;
}

/* The machine stands still until somebody orders something; windows and the like live on. */
static void stand_still(struct debugger *d)
{
    int fds[DEBUGGER_PORTS];

    watch_ports(d, fds);
    vm_wait(d->vm, LOOK_NS);
    unwatch_ports(d, fds);
    d->wanted = false;
    serve(d);
}

/* The machine cannot go on. Who debugs it may look at it first. */
static bool keeps_the_dead(struct debugger *d, enum vm_stop why)
{
    if (d->dead || (why != VM_TRIPLE_FAULT && why != VM_HUNG && why != VM_RESET) || !anybody(d))
        return false;
    d->dead = true;
    d->why = why;
    debugger_stop(d);
    tell(d, why, false);
    return true;
}

/* What is left of a time limit; 1 when nothing is. */
static u64 left(u64 end_ns)
{
    u64 now = host_now_ns();

    return now < end_ns ? end_ns - now : 1;
}

/* Runs once. True: it is over, because of *why. */
static bool run_once(struct debugger *d, u64 limit_ns, enum vm_stop *why)
{
    *why = d->came ? d->came_by : run(d, limit_ns);
    d->came = false;
    if (*why == VM_STOPPED && d->wanted) {
        d->wanted = false;
        serve(d);
        return false;
    }
    if (*why == VM_DEBUG || (*why == VM_DISK_ERROR && anybody(d))) {
        debugger_stop(d);
        tell(d, *why, false);
        return false;
    }
    return *why != VM_STOPPED && !keeps_the_dead(d, *why);
}

enum vm_stop debugger_run(struct debugger *d, u64 limit_ns)
{
    u64 end_ns = limit_ns ? host_now_ns() + limit_ns : 0;
    enum vm_stop why = VM_STOPPED;

    for (;;) {
        if (d->quit || (d->over && d->over(d->opaque))) {
            why = VM_STOPPED;
            break;
        }
        if (end_ns && host_now_ns() >= end_ns) {
            why = VM_TIMEOUT;
            break;
        }
        if (!d->running) {
            stand_still(d);
        } else if (d->dead) {
            why = d->why;
            break;
        } else if (run_once(d, end_ns ? left(end_ns) : 0, &why)) {
            break;
        }
    }
    tell(d, why, true);
    return why;
}
