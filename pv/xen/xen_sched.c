/*
 * xen_sched.c: what the Xen personality's scheduler does for the guest: yield, block, poll,
 * shutdown; and what it knows of each vCPU: its info, timers, run states.
 *
 * Specification: Xen public/sched.h, public/vcpu.h.
 *
 * Not implemented: SCHEDOP_watchdog, SCHEDOP_pin_override, SCHEDOP_remote_shutdown (of the control
 * domain), suspend (SHUTDOWN_suspend ends the machine as a power-off); VCPUOP_initialise, _up and
 * _down: an HVM domain starts its CPUs by INIT and start-up IPIs, as on the hardware.
 */
#include "base/bits.h"
#include "devices/lapic.h"
#include "pv/xen/xen.h"

#include <string.h>

enum {
    SCHEDOP_yield,
    SCHEDOP_block,
    SCHEDOP_shutdown,
    SCHEDOP_poll,
    SCHEDOP_remote_shutdown,
    SCHEDOP_shutdown_code,
};

enum {
    SHUTDOWN_poweroff,
    SHUTDOWN_reboot,
    SHUTDOWN_suspend,
    SHUTDOWN_crash,
    SHUTDOWN_watchdog,
    SHUTDOWN_soft_reset,
};

enum {
    VCPUOP_is_up = 3,
    VCPUOP_get_runstate_info = 4,
    VCPUOP_register_runstate_memory_area = 5,
    VCPUOP_set_periodic_timer = 6,
    VCPUOP_stop_periodic_timer = 7,
    VCPUOP_set_singleshot_timer = 8,
    VCPUOP_stop_singleshot_timer = 9,
    VCPUOP_register_vcpu_info = 10,
    VCPUOP_send_nmi = 11,
    VCPUOP_register_vcpu_time_memory_area = 13,
};

enum { RUNSTATE_running, RUNSTATE_runnable, RUNSTATE_blocked, RUNSTATE_offline };

#define VCPU_SSHOTTMR_future BIT(0)
#define VMASST_CMD_enable 0u
#define VMASST_TYPE_runstate_update_flag 5u
#define RUNSTATE_UPDATE BIT64(63)
#define PERIOD_MIN_NS 1000000u /* Xen's own lower limit */
#define VCPU_INFO_BYTES 64u
#define TIME_INFO_BYTES 32u

/* ---- run states ------------------------------------------------------------------------------ */

/* struct vcpu_runstate_info; its length. */
static u32 fill_runstate(const struct xen_vcpu *v, bool wide, u64 flag, u8 buf[48])
{
    u32 entry = wide ? 8 : 4;

    memset(buf, 0, 48);
    st_le32(buf, v->runstate);
    st_le64(buf + entry, v->runstate_since_ns | flag);
    for (unsigned i = 0; i < 4; i++)
        st_le64(buf + entry + 8 + 8 * i, v->runstate_ns[i]);
    return entry + 40;
}

static void write_runstate(struct xen_vcpu *v)
{
    struct pv_xen *x = v->x;
    u8 buf[48];

    if (!v->runstate_area.len[0])
        return;
    if (x->runstate_flag) {
        fill_runstate(v, v->runstate_wide, RUNSTATE_UPDATE, buf);
        xen_area_write(x, &v->runstate_area, buf);
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    fill_runstate(v, v->runstate_wide, 0, buf);
    xen_area_write(x, &v->runstate_area, buf);
    pv_used(&x->pv, XEN_F_STEAL_TIME);
}

static void account(struct xen_vcpu *v, unsigned next)
{
    u64 now = xen_time_now(v->x);

    v->runstate_ns[v->runstate] += now - v->runstate_since_ns;
    v->runstate_since_ns = now;
    v->runstate = next;
}

/* Of the time that seemed to run, the host may have given some to somebody else. */
static void account_run(struct xen_vcpu *v, bool halted)
{
    steal_leave(&v->steal, halted);
    account(v, halted ? RUNSTATE_blocked : RUNSTATE_runnable);
    v->runstate_ns[RUNSTATE_running] -= v->steal.inside_ns;
    v->runstate_ns[RUNSTATE_runnable] += v->steal.inside_ns;
}

/* True: something ended the wait of a hypercall. */
static bool take_wake(struct xen_vcpu *v)
{
    if (!v->wake)
        return false;
    v->wake = v->polling = false;
    xen_cpu(v)->halted = false;
    timer_cancel(v->x->pv.env.clock, &v->poll_timer);
    return true;
}

void xen_sched_enter(struct xen_vcpu *v)
{
    if (xen_cpu(v)->halted)
        take_wake(v);
    if (!v->runstate_area.len[0])
        return;
    account(v, RUNSTATE_running);
    steal_enter(&v->steal);
    write_runstate(v);
}

void xen_sched_leave(struct xen_vcpu *v, bool halted)
{
    if (halted && take_wake(v))
        halted = false;
    if (!halted) /* an interrupt ended the wait */
        v->polling = false;
    if (!v->runstate_area.len[0])
        return;
    account_run(v, halted);
    write_runstate(v);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void wake(struct xen_vcpu *v)
{
    v->wake = true;
    cpu_request(xen_cpu(v), REQ_EXIT); /* out of HLT and in again */
}

static void poll_timeout(void *opaque)
{
    struct xen_vcpu *v = opaque;
    if (v->polling)
        wake(v);
}

void xen_sched_wake_pollers(struct pv_xen *x, u32 port)
{
    for (unsigned n = 0; n < x->pv.env.cpus; n++) {
        struct xen_vcpu *v = &x->vcpu[n];
        for (u32 i = 0; v->polling && i < v->poll_count; i++)
            if (v->poll_port[i] == port)
                wake(v);
    }
}

static void halt(struct xen_vcpu *v)
{
    v->wake = false;
    xen_cpu(v)->halted = true;
    cpu_request(xen_cpu(v), REQ_EXIT);
}

/* struct sched_poll: ports (a pointer), nr_ports u32, timeout u64. */
static u64 op_poll(struct xen_caller *c, struct xen_vcpu *v, u64 va)
{
    u32 word = c->wide ? 8 : 4, count;
    u8 a[24], ports[4 * XEN_POLL_PORTS];
    u64 timeout;

    if (!xen_copy_in(c, va, a, c->wide ? 24 : 16))
        return XEN_ERROR(XEN_EFAULT);
    count = ld_le32(a + word);
    timeout = ld_le64(a + 2 * word);
    if (count > XEN_POLL_PORTS) /* Xen allows 128 */
        return XEN_ERROR(XEN_EINVAL);
    if (!xen_copy_in(c, xen_word(c, a), ports, 4 * count))
        return XEN_ERROR(XEN_EFAULT);
    for (u32 i = 0; i < count; i++) {
        v->poll_port[i] = ld_le32(ports + 4 * i);
        if (v->poll_port[i] >= XEN_PORTS)
            return XEN_ERROR(XEN_EINVAL);
        if (xen_event_pending(c->x, v->poll_port[i]))
            return 0;
    }
    if (!pv_has(&c->x->pv, XEN_F_POLL)) /* may always return early: the caller spins on */
        return 0;
    pv_used(&c->x->pv, XEN_F_POLL);
    v->poll_count = count;
    v->polling = true;
    if (timeout)
        timer_set(c->x->pv.env.clock, &v->poll_timer, timeout);
    halt(v);
    return 0;
}

/* As Xen's tools are told by default: a domain that crashes is taken away. */
static void crashed(const struct pv_env *env)
{
    struct err e = {0};

    err_host(&e, "the guest told Xen that it crashed");
    err_hint(&e, "its console says why");
    if (env->report)
        env->report(env->opaque, &e);
    if (env->poweroff)
        env->poweroff(env->opaque);
}

static u64 op_shutdown(struct xen_caller *c, u64 va)
{
    const struct pv_env *env = &c->x->pv.env;
    u8 a[4];

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if (ld_le32(a) > SHUTDOWN_soft_reset)
        return XEN_ERROR(XEN_EINVAL);
    switch (ld_le32(a)) {
    case SHUTDOWN_reboot:
    case SHUTDOWN_watchdog:
    case SHUTDOWN_soft_reset:
        if (env->reset)
            env->reset(env->opaque);
        break;
    case SHUTDOWN_crash: crashed(env); break;
    default:
        if (env->poweroff)
            env->poweroff(env->opaque);
        break;
    }
    return 0;
}

u64 xen_hc_sched_op(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};
    struct xen_vcpu *v = &c.x->vcpu[cpu->id];

    switch (arg[0]) {
    case SCHEDOP_yield:
        if (pv->env.yield_to)
            pv->env.yield_to(pv->env.opaque, (cpu->id + 1) % pv->env.cpus);
        return 0;
    case SCHEDOP_block:
        cpu->eflags |= EFLAGS_IF; /* as STI; HLT: what is pending is taken */
        halt(v);
        return 0;
    case SCHEDOP_shutdown: return op_shutdown(&c, arg[1]);
    case SCHEDOP_poll: return op_poll(&c, v, arg[1]);
    default: return XEN_ERROR(XEN_ENOSYS);
    }
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void timer_fires(void *opaque)
{
    xen_event_raise_virq(opaque, VIRQ_TIMER);
}

static void period_ends(void *opaque)
{
    struct xen_vcpu *v = opaque;

    timer_set(v->x->pv.env.clock, &v->period, xen_time_now(v->x) + v->period_ns);
    xen_event_raise_virq(v, VIRQ_TIMER);
}

/* struct vcpu_set_singleshot_timer: timeout_abs_ns u64, flags u32. */
static u64 op_set_singleshot(struct xen_caller *c, struct xen_vcpu *v, u64 va)
{
    u8 a[12];

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if ((ld_le32(a + 8) & VCPU_SSHOTTMR_future) && ld_le64(a) < xen_time_now(c->x))
        return XEN_ERROR(XEN_ETIME);
    timer_set(c->x->pv.env.clock, &v->timer, ld_le64(a));
    return 0;
}

static u64 op_set_periodic(struct xen_caller *c, struct xen_vcpu *v, u64 va)
{
    u8 a[8];

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if (ld_le64(a) < PERIOD_MIN_NS || ld_le64(a) > 1000 * NS_PER_SEC)
        return XEN_ERROR(XEN_EINVAL);
    v->period_ns = ld_le64(a);
    timer_set(c->x->pv.env.clock, &v->period, xen_time_now(c->x) + v->period_ns);
    return 0;
}

/* The oldest form: an absolute time, 0 to stop; in 32-bit code in two registers. */
u64 xen_hc_set_timer_op(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct pv_xen *x = xen_of(pv);
    u64 timeout = cpu_in_code64(cpu) ? arg[0] : arg[0] | arg[1] << 32;

    if (timeout)
        timer_set(pv->env.clock, &x->vcpu[cpu->id].timer, timeout);
    else
        timer_cancel(pv->env.clock, &x->vcpu[cpu->id].timer);
    return 0;
}

/* ---- what Xen knows of a vCPU ---------------------------------------------------------------- */

/* struct vcpu_register_vcpu_info: mfn u64, offset u32. Once; what was pending moves along, and all
 * is said to be, so that nothing is lost. */
static u64 op_register_info(struct xen_caller *c, struct xen_vcpu *v, u64 va)
{
    u8 a[12], info[VCPU_INFO_BYTES];
    const u8 *old;
    u8 *new;
    gpa_t gpa;

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if (v->info_moved || ld_le64(a) >> 40 || ld_le32(a + 8) > XEN_PAGE - VCPU_INFO_BYTES)
        return XEN_ERROR(XEN_EINVAL);
    gpa = ld_le64(a) * XEN_PAGE + ld_le32(a + 8);
    new = xen_ram(c->x, gpa, VCPU_INFO_BYTES);
    old = xen_vcpu_info(v, 0, VCPU_INFO_BYTES);
    if (!new || gpa % 8)
        return XEN_ERROR(XEN_EINVAL);
    memcpy(info, old ? old : new, sizeof info);
    memset(info + (c->x->wide ? 8 : 4), 0xff, c->x->wide ? 8 : 4);
    info[0] = 0;
    memcpy(new, info, sizeof info);
    v->info_moved = true;
    v->info_gpa = gpa;
    xen_time_write(v);
    xen_event_upcall(v);
    return 0;
}

static u64 op_register_runstate(struct xen_caller *c, struct xen_vcpu *v, u64 va)
{
    u8 a[8] = {0};

    struct xen_area area;

    if (!xen_copy_in(c, va, a, c->wide ? 8 : 4) ||
        !xen_area_find(c, xen_word(c, a), c->wide ? 48 : 44, &area))
        return XEN_ERROR(XEN_EFAULT);
    if (!pv_has(&c->x->pv, XEN_F_STEAL_TIME)) /* guests take it for granted: it never changes */
        return 0;
    v->runstate_area = area;
    v->runstate_wide = c->wide;
    account(v, v->n == c->cpu->id ? RUNSTATE_running : v->runstate);
    steal_open(&v->steal);
    write_runstate(v);
    return 0;
}

/* A null pointer takes the area back. It must not cross a page: its reader maps one. */
static u64 op_register_time(struct xen_caller *c, struct xen_vcpu *v, u64 va)
{
    struct xen_area area = {0};
    u8 a[8] = {0};

    if (!pv_has(&c->x->pv, XEN_F_PVCLOCK))
        return XEN_ERROR(XEN_ENOSYS);
    if (!xen_copy_in(c, va, a, c->wide ? 8 : 4))
        return XEN_ERROR(XEN_EFAULT);
    if (xen_word(c, a) && (!xen_area_find(c, xen_word(c, a), TIME_INFO_BYTES, &area) || area.len[1]))
        return XEN_ERROR(XEN_EFAULT);
    v->time_area = area;
    xen_time_write(v);
    return 0;
}

static u64 op_get_runstate(struct xen_caller *c, struct xen_vcpu *v, u64 va)
{
    u8 buf[48];
    u32 len;

    account(v, v->runstate);
    len = fill_runstate(v, c->wide, 0, buf);
    return xen_copy_out(c, va, buf, len) ? 0 : XEN_ERROR(XEN_EFAULT);
}

static u64 vcpu_timer_op(struct xen_caller *c, struct xen_vcpu *v, u64 op, u64 va)
{
    if (!pv_has(&c->x->pv, XEN_F_PVCLOCK))
        return XEN_ERROR(XEN_ENOSYS);
    if (v->n != c->cpu->id)
        return XEN_ERROR(XEN_EINVAL); /* deadlines are set by the vCPU itself */
    switch (op) {
    case VCPUOP_set_periodic_timer: return op_set_periodic(c, v, va);
    case VCPUOP_set_singleshot_timer: return op_set_singleshot(c, v, va);
    case VCPUOP_stop_periodic_timer: timer_cancel(c->x->pv.env.clock, &v->period); return 0;
    default: timer_cancel(c->x->pv.env.clock, &v->timer); return 0;
    }
}

u64 xen_hc_vcpu_op(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};
    struct xen_vcpu *v;

    if (arg[1] >= pv->env.cpus)
        return XEN_ERROR(XEN_ENOENT);
    v = &c.x->vcpu[arg[1]];
    switch (arg[0]) {
    case VCPUOP_is_up: return !xen_cpu(v)->wait_sipi;
    case VCPUOP_get_runstate_info: return op_get_runstate(&c, v, arg[2]);
    case VCPUOP_register_runstate_memory_area: return op_register_runstate(&c, v, arg[2]);
    case VCPUOP_register_vcpu_info: return op_register_info(&c, v, arg[2]);
    case VCPUOP_register_vcpu_time_memory_area: return op_register_time(&c, v, arg[2]);
    case VCPUOP_set_periodic_timer:
    case VCPUOP_stop_periodic_timer:
    case VCPUOP_set_singleshot_timer:
    case VCPUOP_stop_singleshot_timer: return vcpu_timer_op(&c, v, arg[0], arg[2]);
    case VCPUOP_send_nmi: cpu_request(xen_cpu(v), REQ_NMI); return 0;
    default: return XEN_ERROR(XEN_ENOSYS);
    }
}

u64 xen_hc_vm_assist(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    (void)cpu;
    if (arg[0] > 1)
        return XEN_ERROR(XEN_ENOSYS);
    if (arg[1] != VMASST_TYPE_runstate_update_flag || !pv_has(pv, XEN_F_STEAL_TIME))
        return XEN_ERROR(XEN_EINVAL);
    xen_of(pv)->runstate_flag = arg[0] == VMASST_CMD_enable;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

void xen_sched_reset(struct pv_xen *x)
{
    x->runstate_flag = false;
    for (unsigned n = 0; n < SMP_MAX; n++) {
        struct xen_vcpu *v = &x->vcpu[n];
        if (v->x) {
            timer_cancel(x->pv.env.clock, &v->timer);
            timer_cancel(x->pv.env.clock, &v->period);
            timer_cancel(x->pv.env.clock, &v->poll_timer);
        }
        *v = (struct xen_vcpu){.x = x, .n = n, .runstate = n ? RUNSTATE_offline : RUNSTATE_running};
        v->steal.clock = x->pv.env.clock;
        v->runstate_since_ns = xen_time_now(x);
        timer_init(&v->timer, timer_fires, v);
        timer_init(&v->period, period_ends, v);
        timer_init(&v->poll_timer, poll_timeout, v);
    }
}
