/*
 * xen_guest.c: the Xen personality's view of the guest's memory: structures at linear addresses, and
 * the pages that both sides see.
 *
 * A page that the guest places over RAM takes over the RAM's bytes: the guest cannot tell this from
 * Xen, which puts another page there and forgets what was below, and memory stays one piece for
 * the engines. Over a hole, such as a region of the platform device, it becomes a region.
 */
#include "base/bits.h"
#include "mmu/dma.h"
#include "mmu/walk.h"
#include "pv/xen/xen.h"

#include <stdlib.h>
#include <string.h>

/* ---- linear addresses ------------------------------------------------------------------------ */

static bool find_gpa(struct xen_caller *c, u64 va, bool write, gpa_t *gpa)
{
    struct walk_access a = {.kind = write ? ACCESS_WRITE : ACCESS_READ, .ac = true, .set_ad = true};
    struct walk_result r;

    walk(c->x->pv.env.phys, &c->cpu->paging, va, a, &r);
    *gpa = r.gpa & c->x->pv.env.phys->a20_mask;
    return r.ok;
}

static u64 to_page_end(u64 at, u64 len)
{
    u64 left = XEN_PAGE - at % XEN_PAGE;
    return left < len ? left : len;
}

bool xen_copy_in(struct xen_caller *c, u64 va, void *buf, u64 len)
{
    u8 *to = buf;

    for (u64 n; len; va += n, to += n, len -= n) {
        gpa_t gpa;
        n = to_page_end(va, len);
        if (!find_gpa(c, va, false, &gpa) || !dma_read(c->x->pv.env.phys, gpa, to, n))
            return false;
    }
    return true;
}

bool xen_copy_out(struct xen_caller *c, u64 va, const void *buf, u64 len)
{
    const u8 *from = buf;

    for (u64 n; len; va += n, from += n, len -= n) {
        gpa_t gpa;
        n = to_page_end(va, len);
        if (!find_gpa(c, va, true, &gpa) || !dma_write(c->x->pv.env.phys, gpa, from, n))
            return false;
    }
    return true;
}

u64 xen_word(const struct xen_caller *c, const u8 *at)
{
    return c->wide ? ld_le64(at) : ld_le32(at);
}

void xen_put_word(const struct xen_caller *c, u8 *at, u64 value)
{
    if (c->wide)
        st_le64(at, value);
    else
        st_le32(at, (u32)value);
}

bool xen_area_find(struct xen_caller *c, u64 va, u32 len, struct xen_area *a)
{
    struct xen_area found = {0};

    BUG_ON(len > XEN_PAGE);
    for (unsigned i = 0; len; i++) {
        u32 n = (u32)to_page_end(va, len);
        if (!find_gpa(c, va, true, &found.gpa[i]) || !xen_ram(c->x, found.gpa[i], n))
            return false;
        found.len[i] = n;
        va += n;
        len -= n;
    }
    *a = found;
    return true;
}

void xen_area_write(struct pv_xen *x, const struct xen_area *a, const u8 *buf)
{
    for (unsigned i = 0; i < 2 && a->len[i]; buf += a->len[i++])
        dma_write(x->pv.env.phys, a->gpa[i], buf, a->len[i]);
}

/* ---- pages ----------------------------------------------------------------------------------- */

u8 *xen_ram(struct pv_xen *x, gpa_t gpa, u64 len)
{
    struct phys *p = x->pv.env.phys;
    u8 *host;

    if (gpa % XEN_PAGE + len > XEN_PAGE || !phys_page(p, gpa))
        return NULL;
    host = phys_host_w(p, gpa);
    if (host)
        phys_wrote(p, gpa, len);
    return host;
}

u8 *xen_page_at(struct pv_xen *x, const struct xen_page *p, u64 offset, u64 len)
{
    BUG_ON(offset + len > XEN_PAGE);
    return p->in_ram ? xen_ram(x, p->gpa + offset, len) : p->own ? p->own + offset : NULL;
}

void xen_page_remove(struct pv_xen *x, struct xen_page *p)
{
    u8 *ram = p->in_ram ? xen_ram(x, p->gpa, XEN_PAGE) : NULL;

    if (ram)
        memcpy(p->own, ram, XEN_PAGE);
    if (p->placed && !p->in_ram)
        phys_region_move(x->pv.env.phys, p->region, p->region->base, false);
    p->placed = p->in_ram = false;
}

static bool is_free(const struct pv_xen *x, gpa_t gpa)
{
    const struct phys *p = x->pv.env.phys;
    return gpa % XEN_PAGE == 0 && phys_page(p, gpa) && gpa >= p->ram_low_bytes;
}

bool xen_page_place(struct pv_xen *x, struct xen_page *p, gpa_t gpa, const char *name)
{
    struct phys *phys = x->pv.env.phys;
    u8 *ram;

    if (gpa % XEN_PAGE)
        return false;
    ram = phys_is_ram(phys, gpa, XEN_PAGE) ? xen_ram(x, gpa, XEN_PAGE) : NULL;
    if (!ram && !is_free(x, gpa))
        return false;
    xen_page_remove(x, p);
    p->placed = true;
    p->gpa = gpa;
    p->in_ram = ram != NULL;
    if (ram)
        memcpy(ram, p->own, XEN_PAGE);
    else if (p->region)
        phys_region_move(phys, p->region, gpa, true);
    else
        p->region = phys_add_ram(phys, name, gpa, XEN_PAGE, p->own);
    return true;
}

void xen_page_reset(struct pv_xen *x, struct xen_page *p)
{
    if (p->own)
        xen_page_remove(x, p);
    else
        p->own = aligned_alloc(XEN_PAGE, XEN_PAGE);
    BUG_ON(!p->own);
    memset(p->own, 0, XEN_PAGE);
}

/* With the machine: the map still names the page, and nobody looks at it any more. */
void xen_page_free(struct xen_page *p)
{
    free(p->own);
    *p = (struct xen_page){0};
}
