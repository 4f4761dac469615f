/*
 * xen_fifo.c: the FIFO ABI of event channels: an array of event words, and per vCPU 16 queues of
 * ports, linked through the words.
 *
 * Specification: Xen public/event_channel.h (FIFO ABI) and the design document "Event Channels
 * (FIFO)" by D. Vrabel, sections 5 to 8.
 *
 * All of it lies in the guest's memory, and the guest changes it at the same time: whatever is read
 * there is a hint, and no walk follows links.
 */
#include "base/bits.h"
#include "pv/xen/xen.h"

#define PENDING BIT(31)
#define MASKED BIT(30)
#define LINKED BIT(29)
#define BUSY BIT(28)
#define LINK_BITS 17u
#define LINK_MASK ((1u << LINK_BITS) - 1)

#define CONTROL_BYTES (8 + 4 * XEN_FIFO_QUEUES)
#define WORDS_PER_PAGE (XEN_PAGE / 4)
#define PRIORITY_MIN (XEN_FIFO_QUEUES - 1)

/* NULL: the guest has not given us the page. */
static u32 *event_word(struct pv_xen *x, u32 port)
{
    if (port / WORDS_PER_PAGE >= x->fifo_pages)
        return NULL;
    return (u32 *)(void *)xen_ram(x, x->fifo_page[port / WORDS_PER_PAGE] + port % WORDS_PER_PAGE * 4,
                                  4);
}

/* Links `port` behind the tail of a queue; false: the tail has been taken off it meanwhile, so that
 * the queue is empty. */
static bool link_to_tail(struct pv_xen *x, u32 tail, u32 port)
{
    u32 *w = event_word(x, tail), old;

    if (!w)
        return false;
    old = __atomic_load_n(w, __ATOMIC_SEQ_CST);
    do {
        if (!(old & LINKED))
            return false;
    } while (!__atomic_compare_exchange_n(w, &old, (old & ~(LINK_MASK | BUSY)) | port, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return true;
}

static void queue(struct pv_xen *x, u32 port)
{
    const struct xen_port *p = &x->port[port];
    struct xen_vcpu *v = &x->vcpu[p->vcpu];
    u32 tail = v->tail[p->priority];
    u32 *control = v->control ? (u32 *)(void *)xen_ram(x, v->control, CONTROL_BYTES) : NULL;

    if (!control)
        return;
    v->tail[p->priority] = port;
    if (tail && link_to_tail(x, tail, port))
        return;
    __atomic_store_n(&control[2 + p->priority], port, __ATOMIC_SEQ_CST);
    if (!(xen_fetch_or(control, BIT(p->priority)) & BIT(p->priority)))
        xen_event_upcall(v);
}

/* Pending and unmasked: it must be on a queue. If it is the tail of the one where it was last, that
 * one is empty now: what came there next would be linked behind it in the new one. */
static void link_event(struct pv_xen *x, u32 port, u32 *w)
{
    struct xen_port *p = &x->port[port];
    u32 now = __atomic_load_n(w, __ATOMIC_SEQ_CST);
    u32 *old_tail = &x->vcpu[p->last_vcpu].tail[p->last_priority];

    if ((now & (MASKED | LINKED)) || !(now & PENDING) || (xen_fetch_or(w, LINKED) & LINKED))
        return;
    if (*old_tail == port)
        *old_tail = 0;
    p->last_vcpu = p->vcpu;
    p->last_priority = p->priority;
    queue(x, port);
}

void xen_fifo_raise(struct pv_xen *x, u32 port)
{
    u32 *w = event_word(x, port);

    if (!w)
        return;
    xen_fetch_or(w, PENDING);
    link_event(x, port, w);
    pv_used(&x->pv, XEN_F_FIFO);
}

bool xen_fifo_pending(struct pv_xen *x, u32 port)
{
    const u32 *w = event_word(x, port);
    return w && __atomic_load_n(w, __ATOMIC_SEQ_CST) & PENDING;
}

void xen_fifo_unmask(struct pv_xen *x, u32 port)
{
    u32 *w = event_word(x, port);

    if (!w)
        return;
    xen_fetch_and(w, ~MASKED);
    link_event(x, port, w);
}

/* The guest takes a port that it closed off its queue itself. */
void xen_fifo_clear(struct pv_xen *x, u32 port)
{
    u32 *w = event_word(x, port);

    if (w)
        xen_fetch_and(w, ~PENDING);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* What was pending under the two-level ABI. */
static void carry_over(struct pv_xen *x, u32 from, u32 to)
{
    for (u32 port = from; port < to; port++) {
        u64 at = 2048 + port / 32 * 4;
        const u32 *w = (u32 *)(void *)xen_page_at(x, &x->shared_info, at, 4);
        if (w && *w & BIT(port % 32) && x->port[port].state != PORT_FREE &&
            port < (x->wide ? 4096u : 1024u))
            xen_fifo_raise(x, port);
    }
}

/* struct evtchn_init_control: control_gfn u64, offset, vcpu: u32; out link_bits u8 at 16. */
u64 xen_fifo_init_control(struct xen_caller *c, u64 va)
{
    struct pv_xen *x = c->x;
    u8 a[24];
    u64 gfn;
    u32 offset, n;

    if (!pv_has(&x->pv, XEN_F_FIFO))
        return XEN_ERROR(XEN_ENOSYS);
    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    gfn = ld_le64(a);
    offset = ld_le32(a + 8);
    n = ld_le32(a + 12);
    if (n >= x->pv.env.cpus)
        return XEN_ERROR(XEN_ENOENT);
    if (offset > XEN_PAGE - CONTROL_BYTES || offset & 7 || gfn >> 40 ||
        !xen_ram(x, gfn * XEN_PAGE + offset, CONTROL_BYTES))
        return XEN_ERROR(XEN_EINVAL);
    a[16] = LINK_BITS;
    if (!xen_copy_out(c, va + 16, a + 16, 1))
        return XEN_ERROR(XEN_EFAULT);
    x->vcpu[n].control = gfn * XEN_PAGE + offset;
    for (unsigned q = 0; q < XEN_FIFO_QUEUES; q++)
        x->vcpu[n].tail[q] = 0;
    if (!x->fifo) {
        x->fifo = true;
        x->fifo_pages = 0;
    }
    return 0;
}

/* struct evtchn_expand_array: array_gfn u64. */
u64 xen_fifo_expand_array(struct xen_caller *c, u64 va)
{
    struct pv_xen *x = c->x;
    u8 a[8];
    u64 gfn;

    if (!x->fifo)
        return XEN_ERROR(XEN_EINVAL);
    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    gfn = ld_le64(a);
    if (x->fifo_pages == XEN_FIFO_PAGES)
        return XEN_ERROR(XEN_ENOSPC);
    if (gfn >> 40 || !xen_ram(x, gfn * XEN_PAGE, XEN_PAGE))
        return XEN_ERROR(XEN_EINVAL);
    x->fifo_page[x->fifo_pages++] = gfn * XEN_PAGE;
    carry_over(x, (x->fifo_pages - 1) * WORDS_PER_PAGE, x->fifo_pages * WORDS_PER_PAGE);
    return 0;
}

/* struct evtchn_set_priority: port, priority: u32. */
u64 xen_fifo_set_priority(struct xen_caller *c, u64 va)
{
    u8 a[8];
    u32 port, priority;

    if (!c->x->fifo)
        return XEN_ERROR(XEN_ENOSYS);
    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    port = ld_le32(a);
    priority = ld_le32(a + 4);
    if (!port || port >= XEN_PORTS || c->x->port[port].state == PORT_FREE || priority > PRIORITY_MIN)
        return XEN_ERROR(XEN_EINVAL);
    c->x->port[port].priority = (u8)priority;
    return 0;
}
