/*
 * xen_end.c: what all back ends do with xenstore: a front end and a back end have a folder each, tell
 * each other their state there, and leave what the other has to know.
 *
 * Specification: Xen public/io/xenbus.h.
 */
#include "mmu/dma.h"
#include "pv/xen/xen.h"

#include <stdio.h>
#include <string.h>

#define PATH_BYTES 96

void xen_end_init(struct xen_end *n, struct pv_xen *x, const char *kind, unsigned number)
{
    n->x = x;
    snprintf(n->front, sizeof n->front, XEN_STORE_HOME "/device/%s/%u", kind, number);
    snprintf(n->back, sizeof n->back, "/local/domain/0/backend/%s/1/%u", kind, number);
}

static void write_in(const struct xen_end *n, const char *dir, const char *name, const char *value)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    xen_store_write(&n->x->store, path, value);
}

void xen_end_announce(struct xen_end *n, const struct xen_end_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        write_in(n, nodes[i].front ? n->front : n->back, nodes[i].name, nodes[i].value);
    write_in(n, n->back, "frontend", n->front);
    write_in(n, n->back, "frontend-id", "1");
    write_in(n, n->back, "online", "1");
    write_in(n, n->front, "backend", n->back);
    write_in(n, n->front, "backend-id", "0");
    xen_end_set_state(n, XEN_STATE_INIT_WAIT);
    write_in(n, n->front, "state", "1");
}

void xen_end_set_state(const struct xen_end *n, unsigned state)
{
    xen_end_write(n, "state", state);
}

void xen_end_write(const struct xen_end *n, const char *name, u64 value)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    write_in(n, n->back, name, text);
}

const char *xen_end_text(const struct xen_end *n, const char *name)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", n->front, name);
    return xen_store_read(&n->x->store, path);
}

u64 xen_end_number(const struct xen_end *n, const char *name, u64 none)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", n->front, name);
    return xen_store_number(&n->x->store, path, none);
}

bool xen_end_is_state(const struct xen_end *n, const char *path)
{
    size_t len = strlen(n->front);
    return !strncmp(path, n->front, len) && !strcmp(path + len, "/state");
}

/* ---- rings ----------------------------------------------------------------------------------- */

bool xen_ring_open(struct xen_ring *r, struct pv_xen *x, u64 ref, u32 slots, u32 slot_bytes)
{
    gpa_t gpa;

    if (ref >= XEN_GRANTS || !xen_grant_get(x, (u32)ref, true, &gpa))
        return false;
    *r = (struct xen_ring){.x = x, .gpa = gpa, .ref = (u32)ref, .slots = slots, .slot_bytes = slot_bytes};
    return true;
}

void xen_ring_close(struct xen_ring *r)
{
    if (r->x)
        xen_grant_put(r->x, r->ref, true);
    *r = (struct xen_ring){0};
}

static u32 *ring_word(const struct xen_ring *r, u32 at)
{
    return (u32 *)(void *)xen_ram(r->x, r->gpa + at, 4);
}

static gpa_t slot_gpa(const struct xen_ring *r, u32 n)
{
    return r->gpa + XEN_RING_HEADER + n % r->slots * r->slot_bytes;
}

u32 xen_ring_requests(const struct xen_ring *r)
{
    const u32 *prod = r->x ? ring_word(r, XEN_RING_REQ_PROD) : NULL;
    u32 n = prod ? __atomic_load_n(prod, __ATOMIC_SEQ_CST) - r->req_cons : 0;
    return n <= r->slots ? n : 0; /* nonsense is not followed */
}

bool xen_ring_peek(const struct xen_ring *r, u32 ahead, void *slot)
{
    return dma_read(r->x->pv.env.phys, slot_gpa(r, r->req_cons + ahead), slot, r->slot_bytes);
}

void xen_ring_take(struct xen_ring *r, u32 count)
{
    r->req_cons += count;
}

bool xen_ring_wait(struct xen_ring *r)
{
    u32 *event = ring_word(r, XEN_RING_REQ_EVENT);

    if (!event)
        return true;
    __atomic_store_n(event, r->req_cons + 1, __ATOMIC_SEQ_CST);
    return !xen_ring_requests(r);
}

void xen_ring_respond(struct xen_ring *r, const void *response, u32 len)
{
    dma_write(r->x->pv.env.phys, slot_gpa(r, r->rsp_prod++), response, len);
}

bool xen_ring_push(struct xen_ring *r)
{
    u32 *prod = ring_word(r, XEN_RING_RSP_PROD), *event = ring_word(r, XEN_RING_RSP_EVENT);
    u32 old = r->pushed;

    if (!prod || old == r->rsp_prod)
        return false;
    __atomic_store_n(prod, r->rsp_prod, __ATOMIC_SEQ_CST);
    r->pushed = r->rsp_prod;
    return r->rsp_prod - __atomic_load_n(event, __ATOMIC_SEQ_CST) < r->rsp_prod - old;
}
