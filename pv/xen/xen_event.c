/*
 * xen_event.c: event channels: ports, what they are bound to, the two-level ABI and the upcall.
 *
 * Specification: Xen public/event_channel.h, public/xen.h (shared_info, vcpu_info). The FIFO ABI is
 * in xen_fifo.c.
 *
 * A port ends in this domain, at a virtual interrupt, or at a back end, i.e. in this program.
 *
 * Not implemented: physical interrupts (EVTCHNOP_bind_pirq: XENFEAT_hvm_pirqs is not offered), and
 * an upcall by a GSI or a PCI pin: HVM_PARAM_CALLBACK_IRQ of these types is taken, since Linux names
 * GSI 1 beside its vectors, but nothing comes by it.
 */
#include "base/bits.h"
#include "devices/lapic.h"
#include "pv/xen/xen.h"

#include <string.h>

enum {
    EVTCHNOP_bind_interdomain,
    EVTCHNOP_bind_virq,
    EVTCHNOP_bind_pirq,
    EVTCHNOP_close,
    EVTCHNOP_send,
    EVTCHNOP_status,
    EVTCHNOP_alloc_unbound,
    EVTCHNOP_bind_ipi,
    EVTCHNOP_bind_vcpu,
    EVTCHNOP_unmask,
    EVTCHNOP_reset,
    EVTCHNOP_init_control,
    EVTCHNOP_expand_array,
    EVTCHNOP_set_priority,
};

enum {
    EVTCHNSTAT_closed,
    EVTCHNSTAT_unbound,
    EVTCHNSTAT_interdomain,
    EVTCHNSTAT_pirq,
    EVTCHNSTAT_virq,
    EVTCHNSTAT_ipi,
};

#define PRIORITY_DEFAULT 7u

/* Offsets in shared_info and vcpu_info of both widths. */
#define VCPU_INFO_BYTES 64u
#define SHARED_PENDING 2048u
#define UPCALL_PENDING 0u

/* ---- the two-level ABI ----------------------------------------------------------------------- */

static unsigned word_bits(const struct pv_xen *x)
{
    return x->wide ? 64 : 32;
}

/* The width of the guest limits the ports of two levels to its square. */
static u32 port_limit(const struct pv_xen *x)
{
    return x->fifo || x->wide ? XEN_PORTS : 32 * 32;
}

/* The 32-bit word of a port's bit in evtchn_pending, or in evtchn_mask. */
static u32 *bit_word(struct pv_xen *x, u32 port, bool mask)
{
    u64 bitmap = word_bits(x) * word_bits(x) / 8;
    return (u32 *)(void *)xen_page_at(x, &x->shared_info,
                                      SHARED_PENDING + (mask ? bitmap : 0) + port / 32 * 4, 4);
}

u8 *xen_vcpu_info(struct xen_vcpu *v, u64 offset, u64 len)
{
    if (v->info_moved)
        return xen_ram(v->x, v->info_gpa + offset, len);
    return xen_page_at(v->x, &v->x->shared_info, v->n * VCPU_INFO_BYTES + offset, len);
}

/* A local APIC that software has disabled gets it when it is enabled: as in Xen, which sets the
 * request bit regardless. */
static void send_vector(struct xen_vcpu *v)
{
    struct lapic *l = v->x->pv.env.lapic[v->n];

    v->upcall_waits = l && !lapic_accept(l, APIC_FIXED, v->upcall_vector, false);
    if (!v->upcall_waits)
        pv_used(&v->x->pv, XEN_F_UPCALL_VECTOR);
}

void xen_event_enter(struct xen_vcpu *v)
{
    if (v->upcall_waits)
        send_vector(v);
}

static void interrupt(struct xen_vcpu *v)
{
    struct pv_xen *x = v->x;

    if (v->upcall_vector)
        send_vector(v);
    else if (x->callback_vector && x->pv.env.raise_intr)
        x->pv.env.raise_intr(x->pv.env.opaque, v->n, true);
}

void xen_event_upcall(struct xen_vcpu *v)
{
    u8 *pending = xen_vcpu_info(v, UPCALL_PENDING, 1);

    if (pending && !__atomic_exchange_n(pending, 1, __ATOMIC_SEQ_CST))
        interrupt(v);
}

void xen_event_vector_set(struct xen_vcpu *v)
{
    const u8 *pending = xen_vcpu_info(v, UPCALL_PENDING, 1);

    if (pending && *pending)
        interrupt(v);
}

int xen_event_ack(struct pv_xen *x, unsigned n)
{
    const u8 *pending = xen_vcpu_info(&x->vcpu[n], UPCALL_PENDING, 1);

    if (x->callback_vector && !x->vcpu[n].upcall_vector && pending && *pending)
        return (int)(x->hvm_param[0] & 0xff);
    if (x->pv.env.raise_intr)
        x->pv.env.raise_intr(x->pv.env.opaque, n, false);
    return -1;
}

/* Sets the bit of the port's word in the vCPU's selector; the guest looks there first. */
static void select_word(struct xen_vcpu *v, u32 port)
{
    unsigned word = port / word_bits(v->x);
    u32 *sel = (u32 *)(void *)xen_vcpu_info(v, (v->x->wide ? 8 : 4) + word / 32 * 4, 4);

    if (sel && !(xen_fetch_or(sel, BIT(word % 32)) & BIT(word % 32)))
        xen_event_upcall(v);
}

static void raise_in_two_levels(struct pv_xen *x, u32 port)
{
    u32 bit = BIT(port % 32);
    u32 *pending = bit_word(x, port, false), *mask = bit_word(x, port, true);

    if (!pending || (xen_fetch_or(pending, bit) & bit))
        return;
    if (!(__atomic_load_n(mask, __ATOMIC_SEQ_CST) & bit))
        select_word(&x->vcpu[x->port[port].vcpu], port);
}

static void unmask_in_two_levels(struct pv_xen *x, u32 port)
{
    u32 bit = BIT(port % 32);
    u32 *pending = bit_word(x, port, false), *mask = bit_word(x, port, true);

    if (mask && (xen_fetch_and(mask, ~bit) & bit) &&
        (__atomic_load_n(pending, __ATOMIC_SEQ_CST) & bit))
        select_word(&x->vcpu[x->port[port].vcpu], port);
}

/* ---- ports ----------------------------------------------------------------------------------- */

bool xen_event_pending(struct pv_xen *x, u32 port)
{
    if (x->fifo)
        return xen_fifo_pending(x, port);
    const u32 *w = bit_word(x, port, false);
    return w && *w & BIT(port % 32);
}

void xen_event_raise(struct pv_xen *x, u32 port)
{
    x->events++;
    if (x->fifo)
        xen_fifo_raise(x, port);
    else
        raise_in_two_levels(x, port);
    xen_sched_wake_pollers(x, port);
}

void xen_event_raise_virq(struct xen_vcpu *v, unsigned virq)
{
    if (v->virq[virq])
        xen_event_raise(v->x, v->virq[virq]);
}

static bool is_open(const struct pv_xen *x, u64 port)
{
    return port && port < port_limit(x) && x->port[port].state != PORT_FREE;
}

/* A free port, taken; 0: there is none. */
static u32 take_port(struct pv_xen *x, enum xen_port_state state, unsigned vcpu)
{
    for (u32 i = 1; i < port_limit(x); i++) {
        if (x->port[i].state != PORT_FREE)
            continue;
        x->port[i] =
            (struct xen_port){.state = (u8)state, .vcpu = (u8)vcpu, .priority = PRIORITY_DEFAULT};
        return i;
    }
    return 0;
}

bool xen_event_connect(struct pv_xen *x, u32 port, void (*notify)(void *opaque), void *opaque)
{
    struct xen_port *p = &x->port[port < XEN_PORTS ? port : 0];

    if (!is_open(x, port) || p->state != PORT_UNBOUND || p->peer_domain != XEN_BACKEND_DOMAIN)
        return false;
    p->state = PORT_BACKEND;
    p->notify = notify;
    p->opaque = opaque;
    return true;
}

void xen_event_disconnect(struct pv_xen *x, u32 port)
{
    struct xen_port *p = &x->port[port < XEN_PORTS ? port : 0];

    if (p->state != PORT_BACKEND)
        return;
    p->state = PORT_UNBOUND;
    p->peer_domain = XEN_BACKEND_DOMAIN;
    p->notify = NULL;
}

static void clear_pending(struct pv_xen *x, u32 port)
{
    u32 *w = x->fifo ? NULL : bit_word(x, port, false);

    if (x->fifo)
        xen_fifo_clear(x, port);
    if (w)
        xen_fetch_and(w, ~BIT(port % 32));
}

static void close_port(struct pv_xen *x, u32 port)
{
    struct xen_port *p = &x->port[port];

    if (p->state == PORT_VIRQ)
        x->vcpu[p->vcpu].virq[p->virq] = 0;
    if (p->state == PORT_LOCAL) { /* the other end stays, and waits for somebody new */
        x->port[p->peer].state = PORT_UNBOUND;
        x->port[p->peer].peer_domain = XEN_GUEST_DOMAIN;
    }
    clear_pending(x, port);
    /* Xen keeps what its tools made: the guest binds to it again after a kexec. */
    if (p->fixed)
        p->vcpu = 0;
    else
        *p = (struct xen_port){.state = PORT_FREE};
}

static void notify_other_end(struct pv_xen *x, u32 port)
{
    struct xen_port *p = &x->port[port];

    switch (p->state) {
    case PORT_BACKEND:
        if (p->notify)
            p->notify(p->opaque);
        break;
    case PORT_LOCAL: xen_event_raise(x, p->peer); break;
    case PORT_IPI:
        x->ipis++;
        xen_event_raise(x, port);
        break;
    default: break;
    }
}

/* ---- the hypercall --------------------------------------------------------------------------- */

static u64 give_port(struct xen_caller *c, u64 va, u32 port)
{
    if (!port)
        return XEN_ERROR(XEN_ENOSPC);
    if (xen_copy_out(c, va, &port, 4))
        return 0;
    close_port(c->x, port);
    return XEN_ERROR(XEN_EFAULT);
}

/* struct evtchn_alloc_unbound: dom, remote_dom: u16; out port at 4. */
static u64 op_alloc_unbound(struct xen_caller *c, u64 va, const u8 *a)
{
    u32 port;

    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_EPERM);
    port = take_port(c->x, PORT_UNBOUND, 0);
    if (port)
        c->x->port[port].peer_domain =
            xen_is_own_domain(ld_le16(a + 2)) ? XEN_GUEST_DOMAIN : ld_le16(a + 2);
    return give_port(c, va + 4, port);
}

/* struct evtchn_bind_interdomain: remote_dom u16, remote_port at 4; out local_port at 8. Domain 0
 * leaves no port unbound for the guest: only within the domain. */
static u64 op_bind_interdomain(struct xen_caller *c, u64 va, const u8 *a)
{
    struct pv_xen *x = c->x;
    u32 remote = ld_le32(a + 4), port;
    u64 r;

    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_ESRCH);
    if (!is_open(x, remote) || x->port[remote].state != PORT_UNBOUND ||
        x->port[remote].peer_domain != XEN_GUEST_DOMAIN)
        return XEN_ERROR(XEN_EINVAL);
    port = take_port(x, PORT_LOCAL, 0);
    r = give_port(c, va + 8, port);
    if (r)
        return r;
    x->port[port].peer = remote;
    x->port[remote].state = PORT_LOCAL;
    x->port[remote].peer = port;
    xen_event_raise(x, port); /* what was sent before is not lost */
    return 0;
}

static bool is_global_virq(u32 virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG;
}

/* struct evtchn_bind_virq: virq, vcpu: u32; out port at 8. */
static u64 op_bind_virq(struct xen_caller *c, u64 va, const u8 *a)
{
    u32 virq = ld_le32(a), n = ld_le32(a + 4), port;
    u64 r;

    if (virq >= XEN_VIRQS || (is_global_virq(virq) && n != 0))
        return XEN_ERROR(XEN_EINVAL);
    if (n >= c->x->pv.env.cpus)
        return XEN_ERROR(XEN_ENOENT);
    if (c->x->vcpu[n].virq[virq])
        return XEN_ERROR(XEN_EEXIST);
    port = take_port(c->x, PORT_VIRQ, n);
    r = give_port(c, va + 8, port);
    if (r)
        return r;
    c->x->port[port].virq = (u8)virq;
    c->x->vcpu[n].virq[virq] = port;
    return 0;
}

/* struct evtchn_bind_ipi: vcpu u32; out port at 4. */
static u64 op_bind_ipi(struct xen_caller *c, u64 va, const u8 *a)
{
    u32 n = ld_le32(a);

    if (n >= c->x->pv.env.cpus)
        return XEN_ERROR(XEN_ENOENT);
    return give_port(c, va + 4, take_port(c->x, PORT_IPI, n));
}

/* struct evtchn_bind_vcpu: port, vcpu: u32. */
static u64 op_bind_vcpu(struct xen_caller *c, const u8 *a)
{
    u32 port = ld_le32(a), n = ld_le32(a + 4);
    struct xen_port *p = &c->x->port[is_open(c->x, port) ? port : 0];

    if (n >= c->x->pv.env.cpus)
        return XEN_ERROR(XEN_ENOENT);
    if (!is_open(c->x, port) || p->state == PORT_IPI ||
        (p->state == PORT_VIRQ && !is_global_virq(p->virq)))
        return XEN_ERROR(XEN_EINVAL);
    p->vcpu = (u8)n;
    return 0;
}

/* struct evtchn_status: dom u16, port at 4; out status at 8, vcpu at 12, union at 16. */
static u64 op_status(struct xen_caller *c, u64 va, u8 *a)
{
    static const u8 status[] = {
        [PORT_FREE] = EVTCHNSTAT_closed,        [PORT_UNBOUND] = EVTCHNSTAT_unbound,
        [PORT_BACKEND] = EVTCHNSTAT_interdomain, [PORT_LOCAL] = EVTCHNSTAT_interdomain,
        [PORT_VIRQ] = EVTCHNSTAT_virq,          [PORT_IPI] = EVTCHNSTAT_ipi,
    };
    u32 port = ld_le32(a + 4);
    const struct xen_port *p = &c->x->port[port < XEN_PORTS ? port : 0];

    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_ESRCH);
    if (port >= XEN_PORTS)
        return XEN_ERROR(XEN_EINVAL);
    st_le32(a + 8, status[p->state]);
    st_le32(a + 12, p->vcpu);
    st_le64(a + 16, 0);
    if (p->state == PORT_UNBOUND)
        st_le16(a + 16, p->peer_domain);
    if (p->state == PORT_LOCAL) {
        st_le16(a + 16, XEN_GUEST_DOMAIN);
        st_le32(a + 20, p->peer);
    }
    if (p->state == PORT_VIRQ)
        st_le32(a + 16, p->virq);
    return xen_copy_out(c, va, a, 24) ? 0 : XEN_ERROR(XEN_EFAULT);
}

static u64 op_close(struct xen_caller *c, const u8 *a)
{
    if (!is_open(c->x, ld_le32(a)))
        return XEN_ERROR(XEN_EINVAL);
    close_port(c->x, ld_le32(a));
    return 0;
}

static u64 op_send(struct xen_caller *c, const u8 *a)
{
    u32 port = ld_le32(a);

    if (!is_open(c->x, port) || c->x->port[port].state == PORT_VIRQ)
        return XEN_ERROR(XEN_EINVAL);
    notify_other_end(c->x, port);
    return 0;
}

static u64 op_unmask(struct xen_caller *c, const u8 *a)
{
    u32 port = ld_le32(a);

    if (!is_open(c->x, port))
        return XEN_ERROR(XEN_EINVAL);
    if (c->x->fifo)
        xen_fifo_unmask(c->x, port);
    else
        unmask_in_two_levels(c->x, port);
    return 0;
}

static u64 op_reset(struct xen_caller *c, const u8 *a)
{
    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_EPERM);
    for (u32 i = 1; i < XEN_PORTS; i++)
        if (c->x->port[i].state != PORT_FREE)
            close_port(c->x, i);
    c->x->fifo = false;
    c->x->fifo_pages = 0;
    for (unsigned n = 0; n < SMP_MAX; n++)
        c->x->vcpu[n].control = 0;
    return 0;
}

/* Bytes of each operation's structure, 0: we do not do it. */
static const u8 op_bytes[] = {
    [EVTCHNOP_bind_interdomain] = 12, [EVTCHNOP_bind_virq] = 12,   [EVTCHNOP_close] = 4,
    [EVTCHNOP_send] = 4,              [EVTCHNOP_status] = 24,      [EVTCHNOP_alloc_unbound] = 8,
    [EVTCHNOP_bind_ipi] = 8,          [EVTCHNOP_bind_vcpu] = 8,    [EVTCHNOP_unmask] = 4,
    [EVTCHNOP_reset] = 2,             [EVTCHNOP_init_control] = 24, [EVTCHNOP_expand_array] = 8,
    [EVTCHNOP_set_priority] = 8,
};

u64 xen_hc_event_channel_op(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};
    u64 va = arg[1];
    u8 a[24];

    if (arg[0] >= ARRAY_SIZE(op_bytes) || !op_bytes[arg[0]])
        return XEN_ERROR(XEN_ENOSYS);
    if (!xen_copy_in(&c, va, a, op_bytes[arg[0]]))
        return XEN_ERROR(XEN_EFAULT);
    switch (arg[0]) {
    case EVTCHNOP_alloc_unbound: return op_alloc_unbound(&c, va, a);
    case EVTCHNOP_bind_interdomain: return op_bind_interdomain(&c, va, a);
    case EVTCHNOP_bind_virq: return op_bind_virq(&c, va, a);
    case EVTCHNOP_bind_ipi: return op_bind_ipi(&c, va, a);
    case EVTCHNOP_bind_vcpu: return op_bind_vcpu(&c, a);
    case EVTCHNOP_status: return op_status(&c, va, a);
    case EVTCHNOP_close: return op_close(&c, a);
    case EVTCHNOP_send: return op_send(&c, a);
    case EVTCHNOP_unmask: return op_unmask(&c, a);
    case EVTCHNOP_init_control: return xen_fifo_init_control(&c, va);
    case EVTCHNOP_expand_array: return xen_fifo_expand_array(&c, va);
    case EVTCHNOP_set_priority: return xen_fifo_set_priority(&c, va);
    default: return op_reset(&c, a);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static void make_fixed(struct pv_xen *x, u32 port)
{
    x->port[port] = (struct xen_port){.state = PORT_UNBOUND,
                                      .priority = PRIORITY_DEFAULT,
                                      .peer_domain = XEN_BACKEND_DOMAIN,
                                      .fixed = true};
}

void xen_event_reset(struct pv_xen *x)
{
    memset(x->port, 0, sizeof x->port);
    x->fifo = false;
    x->fifo_pages = 0;
    x->callback_vector = false;
    make_fixed(x, XEN_STORE_PORT);
    make_fixed(x, XEN_CONSOLE_PORT);
}
