/*
 * xen_console.c: the console of a Xen domain: a page with two rings of characters, and the debug
 * console of the hypervisor.
 *
 * Specification: Xen public/io/console.h; CONSOLEIO_write of public/xen.h.
 */
#include "base/bits.h"
#include "devices/backend/chardev.h"
#include "pv/xen/xen.h"

#include <stdlib.h>

#define IN_BYTES 1024u
#define OUT_BYTES 2048u
enum { RING_IN = 0, RING_OUT = 1024, IN_CONS = 3072, IN_PROD = 3076, OUT_CONS = 3080, OUT_PROD = 3084 };

#define CONSOLEIO_write 0u
#define WRITE_MAX 4096u

struct xen_console {
    struct pv_xen *x;
    u8 *page;
};

static u32 *word(struct xen_console *c, u32 at)
{
    return (u32 *)(void *)(c->page + at);
}

static u32 load(struct xen_console *c, u32 at)
{
    return __atomic_load_n(word(c, at), __ATOMIC_SEQ_CST);
}

static void put(struct pv_xen *x, const u8 *text, size_t len)
{
    if (x->pv.env.console)
        chardev_put(x->pv.env.console, text, len);
}

/* The guest wrote, or read. */
static void notify(void *opaque)
{
    struct xen_console *c = opaque;
    u32 cons = load(c, OUT_CONS), prod = load(c, OUT_PROD), len = 0;
    u8 text[OUT_BYTES];

    if (prod - cons > OUT_BYTES) /* nonsense: what is there is forgotten */
        cons = prod;
    while (cons != prod)
        text[len++] = c->page[RING_OUT + cons++ % OUT_BYTES];
    __atomic_store_n(word(c, OUT_CONS), cons, __ATOMIC_SEQ_CST);
    put(c->x, text, len);
    if (len) {
        pv_used(&c->x->pv, XEN_F_CONSOLE);
        xen_event_raise(c->x, XEN_CONSOLE_PORT);
    }
}

static size_t can_receive(void *opaque)
{
    struct xen_console *c = opaque;
    u32 used = load(c, IN_PROD) - load(c, IN_CONS);
    return used > IN_BYTES ? 0 : IN_BYTES - used;
}

static void receive(void *opaque, const u8 *text, size_t len)
{
    struct xen_console *c = opaque;
    u32 prod = load(c, IN_PROD);

    for (size_t i = 0; i < len; i++)
        c->page[RING_IN + prod++ % IN_BYTES] = text[i];
    __atomic_store_n(word(c, IN_PROD), prod, __ATOMIC_SEQ_CST);
    xen_event_raise(c->x, XEN_CONSOLE_PORT);
}

u64 xen_hc_console_io(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};
    u32 len = arg[1] > WRITE_MAX ? WRITE_MAX : (u32)arg[1];
    u8 text[WRITE_MAX];

    if (arg[0] != CONSOLEIO_write)
        return XEN_ERROR(XEN_ENOSYS);
    if (!xen_copy_in(&c, arg[2], text, len))
        return XEN_ERROR(XEN_EFAULT);
    put(c.x, text, len);
    return 0;
}

void xen_console_reset(struct pv_xen *x)
{
    struct chardev *chr = x->pv.env.console;

    if (!pv_has(&x->pv, XEN_F_CONSOLE))
        return;
    if (!x->console) {
        x->console = calloc(1, sizeof *x->console);
        BUG_ON(!x->console);
        x->console->x = x;
    }
    x->console->page = x->special + XEN_PAGE;
    BUG_ON(!xen_event_connect(x, XEN_CONSOLE_PORT, notify, x->console));
    if (chr) {
        chr->can_receive = can_receive;
        chr->receive = receive;
        chr->opaque = x->console;
    }
}

void xen_console_destroy(struct pv_xen *x)
{
    struct chardev *chr = x->pv.env.console;

    if (chr && chr->opaque == x->console) {
        chr->can_receive = NULL;
        chr->receive = NULL;
    }
    free(x->console);
    x->console = NULL;
}
