/*
 * xen.h: the guest's interface of Xen for HVM and PVH domains: numbers, and the state of the
 * personality. Private to the files of pv/xen/ and their tests.
 *
 * The numbers are those of Xen 4.17's public headers (xen/include/public), whose names they bear;
 * a section says which header.
 *
 * We are domain 1 of a host whose domain 0 is this program: xenstore, console and the back ends of
 * devices run on its side.
 */
#pragma once

#include "pv/pv.h"
#include "pv/steal.h"
#include "pv/xen/xen_store.h"

#define XEN_PAGE 4096u
#define XEN_GUEST_DOMAIN 1u
#define XEN_BACKEND_DOMAIN 0u
#define DOMID_SELF 0x7ff0u

static inline bool xen_is_own_domain(u32 domain)
{
    return domain == DOMID_SELF || domain == XEN_GUEST_DOMAIN;
}

/* Results: negative errno values of Xen's own list (errno.h). */
#define XEN_ERROR(n) ((u64)-(s64)(n))
enum {
    XEN_EPERM = 1,
    XEN_ENOENT = 2,
    XEN_ESRCH = 3,
    XEN_EFAULT = 14,
    XEN_EEXIST = 17,
    XEN_EINVAL = 22,
    XEN_ENOSPC = 28,
    XEN_ENOSYS = 38,
    XEN_EOPNOTSUPP = 95,
    XEN_ETIME = 62,
};

enum xen_feature {
    XEN_F_PVCLOCK,
    XEN_F_CLOCK_STABLE,
    XEN_F_UPCALL_VECTOR,
    XEN_F_FIFO,
    XEN_F_STEAL_TIME,
    XEN_F_POLL,
    XEN_F_UNPLUG,
    XEN_F_CONSOLE,
    XEN_F_BLOCK,
    XEN_F_NET,
    XEN_F_COUNT,
};

/* ---- pages that both sides see --------------------------------------------------------------- */

/* A page of the hypervisor's that the guest puts where it likes (XENMEM_add_to_physmap). Until
 * then, and when it lies over nothing, its bytes are `own`; over RAM, the RAM has them. */
struct xen_page {
    u8 *own;
    struct region *region; /* that shows `own` outside RAM; NULL: not yet made */
    bool placed, in_ram;
    gpa_t gpa;
};

/* A structure at a linear address of the guest, which may cross a page. */
struct xen_area {
    gpa_t gpa[2];
    u32 len[2]; /* the first is 0: none */
};

/* ---- event channels -------------------------------------------------------------------------- */

#define XEN_PORTS 4096u
#define XEN_FIFO_PAGES (XEN_PORTS * 4 / XEN_PAGE)
#define XEN_FIFO_QUEUES 16u
#define XEN_POLL_PORTS 16u

enum xen_port_state { PORT_FREE, PORT_UNBOUND, PORT_BACKEND, PORT_LOCAL, PORT_VIRQ, PORT_IPI };
enum { VIRQ_TIMER, VIRQ_DEBUG, VIRQ_CONSOLE, VIRQ_DOM_EXC, XEN_VIRQS = 24 };

struct xen_port {
    u8 state; /* enum xen_port_state */
    u8 vcpu;  /* that is told */
    u8 priority;
    u8 virq;
    u8 last_vcpu, last_priority; /* the queue where it was last: FIFO */
    u16 peer_domain;             /* of UNBOUND */
    u32 peer;                    /* of LOCAL: the other end, in the same domain */
    void (*notify)(void *opaque); /* of BACKEND: the guest sent; may be NULL */
    void *opaque;
    bool fixed; /* made with the domain: xenstore, console */
};

struct xen_vcpu {
    struct pv_xen *x;
    unsigned n;
    bool info_moved; /* VCPUOP_register_vcpu_info: at info_gpa, not in shared_info */
    gpa_t info_gpa;
    u8 upcall_vector; /* 0: HVM_PARAM_CALLBACK_IRQ's */
    bool upcall_waits; /* for the local APIC to be enabled */
    gpa_t control;    /* FIFO control block; 0: none */
    u32 tail[XEN_FIFO_QUEUES];
    u32 virq[XEN_VIRQS]; /* port; 0: none */
    struct timer timer;  /* VIRQ_TIMER, single shot */
    struct timer period; /* VIRQ_TIMER, periodic */
    u64 period_ns;
    struct xen_area time_area;
    u64 time_updated_ns;
    s64 time_tsc_offset;
    /* SCHEDOP_poll and SCHEDOP_block */
    bool polling, wake;
    u32 poll_count, poll_port[XEN_POLL_PORTS];
    struct timer poll_timer;
    /* Run states: Xen public/vcpu.h */
    struct xen_area runstate_area;
    bool runstate_wide; /* the layout of the area */
    unsigned runstate;
    u64 runstate_since_ns, runstate_ns[4];
    struct steal steal; /* while runstate_area is there */
};

/* ---- grants ---------------------------------------------------------------------------------- */

#define XEN_GRANT_FRAMES 32u
#define XEN_GRANTS (XEN_GRANT_FRAMES * XEN_PAGE / 8)

/* ---- the personality ------------------------------------------------------------------------- */

struct xen_console;
struct xen_block;
struct xen_net;

struct pv_xen {
    struct pv pv;
    bool wide; /* the layout of shared structures: 64-bit, else 32-bit */
    gpa_t hypercall_page;
    u64 hvm_param[64];
    bool callback_vector; /* HVM_PARAM_CALLBACK_IRQ names a vector */
    struct xen_page shared_info, grant_frame[XEN_GRANT_FRAMES];
    unsigned grant_frames;
    u16 grant_readers[XEN_GRANTS], grant_writers[XEN_GRANTS];
    u8 *special; /* the pages of xenstore and console, at XEN_SPECIAL */
    struct region *special_region;
    struct xen_port port[XEN_PORTS];
    bool fifo;
    gpa_t fifo_page[XEN_FIFO_PAGES];
    unsigned fifo_pages;
    struct xen_vcpu vcpu[SMP_MAX];
    struct xen_store store;
    struct xen_console *console;
    struct xen_block *blocks;
    struct xen_net *nets;
    bool runstate_flag; /* VMASST_TYPE_runstate_update_flag */
    u64 ipis, events;   /* statistics */
};

static inline struct pv_xen *xen_of(struct pv *pv)
{
    return (struct pv_xen *)pv;
}

static inline struct cpu *xen_cpu(const struct xen_vcpu *v)
{
    return v->x->pv.env.cpu[v->n];
}

/* Where Xen's tools put the pages that they share with a new domain. */
#define XEN_SPECIAL 0xfeffc000ull
#define XEN_STORE_GFN (XEN_SPECIAL / XEN_PAGE)
#define XEN_CONSOLE_GFN (XEN_STORE_GFN + 1)
#define XEN_SPECIAL_PAGES 2u
#define XEN_STORE_PORT 1u
#define XEN_CONSOLE_PORT 2u

/* ---- xen_guest.c: the guest's memory --------------------------------------------------------- */

/* The caller of a hypercall and the width of its structures. */
struct xen_caller {
    struct pv_xen *x;
    struct cpu *cpu;
    bool wide; /* 64-bit code: words of 8 bytes, else of 4 */
};

/* At a linear address, by the caller's page tables, with the kernel's rights; false: EFAULT. */
bool xen_copy_in(struct xen_caller *c, u64 va, void *buf, u64 len);
bool xen_copy_out(struct xen_caller *c, u64 va, const void *buf, u64 len);
/* A word of the caller's width. */
u64 xen_word(const struct xen_caller *c, const u8 *at);
void xen_put_word(const struct xen_caller *c, u8 *at, u64 value);
/* Finds the pages of a structure of at most a page; false: EFAULT. */
bool xen_area_find(struct xen_caller *c, u64 va, u32 len, struct xen_area *a);
void xen_area_write(struct pv_xen *x, const struct xen_area *a, const u8 *buf);

/* A host address of RAM for `len` bytes of one page, about to be written; NULL: it is none. Good
 * until the caller returns. */
u8 *xen_ram(struct pv_xen *x, gpa_t gpa, u64 len);
/* The bytes of a shared page, wherever it is. */
u8 *xen_page_at(struct pv_xen *x, const struct xen_page *p, u64 offset, u64 len);
/* Puts the page at `gpa`; false: there it cannot be. */
bool xen_page_place(struct pv_xen *x, struct xen_page *p, gpa_t gpa, const char *name);
void xen_page_remove(struct pv_xen *x, struct xen_page *p);
/* Zeroed, and nowhere. */
void xen_page_reset(struct pv_xen *x, struct xen_page *p);
void xen_page_free(struct xen_page *p);

/* Words that both sides change at once; each returns the old value. */
static inline u32 xen_fetch_or(u32 *w, u32 bits)
{
    return __atomic_fetch_or(w, bits, __ATOMIC_SEQ_CST);
}

static inline u32 xen_fetch_and(u32 *w, u32 bits)
{
    return __atomic_fetch_and(w, bits, __ATOMIC_SEQ_CST);
}

/* ---- xen_memory.c ---------------------------------------------------------------------------- */

u64 xen_hc_memory_op(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 xen_hc_xen_version(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 xen_hc_hvm_op(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
void xen_memory_reset(struct pv_xen *x);
void xen_memory_destroy(struct pv_xen *x);

/* ---- xen_event.c, xen_fifo.c ----------------------------------------------------------------- */

u64 xen_hc_event_channel_op(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
void xen_event_reset(struct pv_xen *x);
/* The event of a port: pending, and the vCPU is told unless it is masked. */
void xen_event_raise(struct pv_xen *x, u32 port);
void xen_event_raise_virq(struct xen_vcpu *v, unsigned virq);
/* The back end's end of a port that the guest left unbound for domain 0; false: it is not. */
bool xen_event_connect(struct pv_xen *x, u32 port, void (*notify)(void *opaque), void *opaque);
/* The port is the guest's alone again, as if the other side had closed. */
void xen_event_disconnect(struct pv_xen *x, u32 port);
bool xen_event_pending(struct pv_xen *x, u32 port);
/* Sets the vCPU's upcall flag, and interrupts it if it was clear. */
void xen_event_upcall(struct xen_vcpu *v);
void xen_event_enter(struct xen_vcpu *v);
/* How the vCPU is interrupted was changed: what is pending already comes that way. */
void xen_event_vector_set(struct xen_vcpu *v);
/* The interrupt of HVM_PARAM_CALLBACK_IRQ; -1: none is pending. */
int xen_event_ack(struct pv_xen *x, unsigned n);
/* The vCPU's vcpu_info; NULL: it is not in RAM any more. */
u8 *xen_vcpu_info(struct xen_vcpu *v, u64 offset, u64 len);

void xen_fifo_raise(struct pv_xen *x, u32 port);
bool xen_fifo_pending(struct pv_xen *x, u32 port);
void xen_fifo_unmask(struct pv_xen *x, u32 port);
void xen_fifo_clear(struct pv_xen *x, u32 port);
u64 xen_fifo_init_control(struct xen_caller *c, u64 va);
u64 xen_fifo_expand_array(struct xen_caller *c, u64 va);
u64 xen_fifo_set_priority(struct xen_caller *c, u64 va);

/* ---- xen_sched.c ----------------------------------------------------------------------------- */

u64 xen_hc_sched_op(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 xen_hc_vcpu_op(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 xen_hc_set_timer_op(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 xen_hc_vm_assist(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
void xen_sched_reset(struct pv_xen *x);
void xen_sched_enter(struct xen_vcpu *v);
void xen_sched_leave(struct xen_vcpu *v, bool halted);
/* A port became pending: whoever polls for it goes on. */
void xen_sched_wake_pollers(struct pv_xen *x, u32 port);

/* ---- xen_time.c ------------------------------------------------------------------------------ */

/* Writes the time pages of the vCPU, if they are anywhere. */
void xen_time_write(struct xen_vcpu *v);
void xen_time_enter(struct xen_vcpu *v);
void xen_time_write_wall(struct pv_xen *x);
/* Nanoseconds since the domain began, the time of all of Xen's deadlines. */
u64 xen_time_now(struct pv_xen *x);

/* ---- xen_grant.c ----------------------------------------------------------------------------- */

u64 xen_hc_grant_table_op(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
void xen_grant_reset(struct pv_xen *x);
/* The page behind a reference that the guest gave domain 0, in use until xen_grant_put. */
bool xen_grant_get(struct pv_xen *x, u32 ref, bool write, gpa_t *gpa);
void xen_grant_put(struct pv_xen *x, u32 ref, bool write);

/* ---- xen_end.c: what all back ends do -------------------------------------------------------- */

/* enum xenbus_state (public/io/xenbus.h) */
enum {
    XEN_STATE_INITIALISING = 1,
    XEN_STATE_INIT_WAIT,
    XEN_STATE_INITIALISED,
    XEN_STATE_CONNECTED,
    XEN_STATE_CLOSING,
    XEN_STATE_CLOSED,
};

/* The two folders of a device in xenstore. */
struct xen_end {
    struct pv_xen *x;
    char front[64], back[64];
};

struct xen_end_node {
    bool front; /* in the front end's folder, else in the back end's */
    const char *name, *value;
};

void xen_end_init(struct xen_end *n, struct pv_xen *x, const char *kind, unsigned number);
/* Writes the nodes and those that every device has; the front end finds itself Initialising. */
void xen_end_announce(struct xen_end *n, const struct xen_end_node *nodes, size_t count);
void xen_end_set_state(const struct xen_end *n, unsigned state);
/* A number in the back end's folder. */
void xen_end_write(const struct xen_end *n, const char *name, u64 value);
/* What the front end wrote; NULL and `none`: nothing, or no number. */
const char *xen_end_text(const struct xen_end *n, const char *name);
u64 xen_end_number(const struct xen_end *n, const char *name, u64 none);
/* Is it the front end's state that changed? */
bool xen_end_is_state(const struct xen_end *n, const char *path);

/* A ring of one page (public/io/ring.h), granted by the guest. */
#define XEN_RING_HEADER 64u
enum { XEN_RING_REQ_PROD = 0, XEN_RING_REQ_EVENT = 4, XEN_RING_RSP_PROD = 8, XEN_RING_RSP_EVENT = 12 };

struct xen_ring {
    struct pv_xen *x; /* NULL: closed */
    gpa_t gpa;
    u32 ref, slots, slot_bytes;
    u32 req_cons, rsp_prod, pushed;
};

bool xen_ring_open(struct xen_ring *r, struct pv_xen *x, u64 ref, u32 slots, u32 slot_bytes);
void xen_ring_close(struct xen_ring *r);
/* Requests that wait; 0 too when the guest's index is nonsense. */
u32 xen_ring_requests(const struct xen_ring *r);
/* The request that lies `ahead` of the next one; false: the page is gone. */
bool xen_ring_peek(const struct xen_ring *r, u32 ahead, void *slot);
void xen_ring_take(struct xen_ring *r, u32 count);
/* Asks for an event with the next request. False: one is there already. */
bool xen_ring_wait(struct xen_ring *r);
/* Responses become visible by push, which says whether the guest wants an event for them. */
void xen_ring_respond(struct xen_ring *r, const void *response, u32 len);
bool xen_ring_push(struct xen_ring *r);

/* ---- back ends ------------------------------------------------------------------------------- */

void xen_console_destroy(struct pv_xen *x);
void xen_console_reset(struct pv_xen *x);
u64 xen_hc_console_io(struct pv *pv, struct cpu *cpu, const u64 arg[4]);

/* Before the store begins anew, and at the end: rings are let go of. */
void xen_block_reset(struct pv_xen *x);
/* Puts the disks into the store, where the guest's front end looks for them. */
void xen_block_announce(struct pv_xen *x);
/* The guest unplugged emulated network cards: their networks are Xen's now. NULL ends the list. */
void xen_net_unplugged(struct pv_xen *x, struct net *const net[PV_VIFS]);
/* The guest unplugged the emulated IDE disks: they appear as Xen's. */
void xen_block_unplugged(struct pv_xen *x, struct drive *const disk[PV_IDE_DISKS]);

void xen_net_announce(struct pv_xen *x);
void xen_net_reset(struct pv_xen *x);
