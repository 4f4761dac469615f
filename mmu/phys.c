/* phys.c: see phys.h. Regions are few and looked up rarely: RAM never goes through them. */
#include "mmu/phys.h"
#include "base/bits.h"
#include "base/host.h"
#include "base/trace.h"
#include "mmu/smc.h"
#include <stdlib.h>

#define VGA_HOLE_BASE 0xa0000ull
#define VGA_HOLE_END 0xc0000ull
/* Described beyond the last RAM: a guest of Xen's lets grant tables appear in such a place. */
#define ROOM_ABOVE GIB

bool phys_init(struct phys *p, u64 ram_bytes, struct err *e)
{
    memset(p, 0, sizeof *p);
    p->ram_bytes = ram_bytes;
    p->ram_low_bytes = ram_bytes < PCI_HOLE_BASE ? ram_bytes : PCI_HOLE_BASE;
    p->a20_mask = ~0ull;
    p->addr_bits = 40;
    pthread_mutex_init(&p->marks, NULL);

    u64 top = 4 * GIB + (ram_bytes - p->ram_low_bytes) + ROOM_ABOVE;
    p->page_count = top >> PAGE_SHIFT;
    p->ram = host_map(ram_bytes, e);
    if (!p->ram) {
        pthread_mutex_destroy(&p->marks);
        return err_hint(e, "choose a smaller -m");
    }
    p->pages = host_map(p->page_count * sizeof *p->pages, e);
    if (!p->pages) {
        host_unmap(p->ram, ram_bytes);
        pthread_mutex_destroy(&p->marks);
        return false;
    }
    for (gpa_t a = VGA_HOLE_BASE; a < VGA_HOLE_END; a += PAGE_SIZE)
        p->pages[a >> PAGE_SHIFT].overlay = true;
    return true;
}

void phys_destroy(struct phys *p)
{
    while (p->regions) {
        struct region *r = p->regions;
        p->regions = r->next;
        free(r);
    }
    if (p->pages)
        host_unmap(p->pages, p->page_count * sizeof *p->pages);
    if (p->ram)
        host_unmap(p->ram, p->ram_bytes);
    pthread_mutex_destroy(&p->marks);
    memset(p, 0, sizeof *p);
}

static u8 *ram_ptr(const struct phys *p, gpa_t gpa)
{
    if (gpa < p->ram_low_bytes)
        return p->ram + gpa;
    if (gpa >= 4 * GIB && gpa - 4 * GIB < p->ram_bytes - p->ram_low_bytes)
        return p->ram + p->ram_low_bytes + (gpa - 4 * GIB);
    return NULL;
}

u8 *phys_host(const struct phys *p, gpa_t gpa)
{
    const struct page_desc *d = phys_page(p, gpa);
    if (!d)
        return NULL;
    if (unlikely(d->overlay))
        return d->host ? d->host + (gpa & ~PAGE_MASK) : NULL;
    return ram_ptr(p, gpa);
}

u8 *phys_host_w(const struct phys *p, gpa_t gpa)
{
    const struct page_desc *d = phys_page(p, gpa);
    if (!d || d->rom)
        return NULL;
    return phys_host(p, gpa);
}

bool phys_is_ram(const struct phys *p, gpa_t gpa, u64 len)
{
    const u8 *h = ram_ptr(p, gpa);
    if (!h || ram_ptr(p, gpa + len - 1) != h + len - 1)
        return false;
    if (gpa < VGA_HOLE_END && gpa + len > VGA_HOLE_BASE)
        return false;
    for (const struct region *r = p->regions; r; r = r->next)
        if (r->enabled && r->base < gpa + len && gpa < r->base + r->size)
            return false;
    return true;
}

void phys_wrote(struct phys *p, gpa_t gpa, u64 len)
{
    if (p->shared) /* the store comes before the look at the marks: smc.h */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    while (len) {
        u64 off = gpa & ~PAGE_MASK;
        u64 n = len < PAGE_SIZE - off ? len : PAGE_SIZE - off;
        struct page_desc *d = phys_page(p, gpa);
        u64 granules = d ? smc_granules(d) : 0;
        if (unlikely(granules)) {
            unsigned first = (unsigned)(off >> 6), last = (unsigned)((off + n - 1) >> 6);
            if (granules & (mask64(last + 1) & ~mask64(first)) && p->code_written)
                p->code_written(p->opaque, gpa, n);
        }
        gpa += n;
        len -= n;
    }
}

u64 phys_discard(struct phys *p, gpa_t gpa, u64 len)
{
    gpa_t first = align_up(gpa, PAGE_SIZE), end = (gpa + len) & PAGE_MASK;

    if (gpa + len < gpa || first < gpa || end <= first || !phys_is_ram(p, first, end - first))
        return 0;
    host_discard(ram_ptr(p, first), end - first);
    phys_wrote(p, first, end - first);
    return end - first;
}

/* ---- regions ----------------------------------------------------------------------------------
 */

static struct region *region_add(struct phys *p, enum region_kind kind, const char *name,
                                 gpa_t base, u64 size)
{
    BUG_ON((base | size) & ~PAGE_MASK);
    struct region *r = calloc(1, sizeof *r);
    BUG_ON(!r);
    r->kind = kind;
    r->name = name;
    r->base = base;
    r->size = size;
    r->next = p->regions;
    p->regions = r;
    return r;
}

/* The newest enabled region over `gpa`. */
static struct region *region_at(const struct phys *p, gpa_t gpa)
{
    for (struct region *r = p->regions; r; r = r->next)
        if (r->enabled && gpa - r->base < r->size)
            return r;
    return NULL;
}

/* Recomputes the overlay of the pages in [base, base + size). */
static void overlay_update(struct phys *p, gpa_t base, u64 size)
{
    if (p->changing)
        p->changing(p->opaque);
    for (gpa_t a = base; a < base + size; a += PAGE_SIZE) {
        struct page_desc *d = phys_page(p, a);
        if (!d)
            break;
        const struct region *r = region_at(p, a);
        if (d->code_granules && p->code_written)
            p->code_written(p->opaque, a, PAGE_SIZE);
        d->overlay = r || (a >= VGA_HOLE_BASE && a < VGA_HOLE_END);
        d->host = r && r->kind != REGION_MMIO ? r->host + (a - r->base) : NULL;
        d->rom = r && r->kind == REGION_ROM;
    }
    if (p->changed)
        p->changed(p->opaque);
}

void phys_region_move(struct phys *p, struct region *r, gpa_t base, bool enabled)
{
    if (r->enabled == enabled && r->base == base)
        return;
    gpa_t old = r->base;
    bool was = r->enabled;
    r->base = base;
    r->enabled = enabled;
    if (was)
        overlay_update(p, old, r->size);
    if (enabled)
        overlay_update(p, base, r->size);
}

void phys_region_set(struct phys *p, struct region *r, enum region_kind kind, u8 *host,
                     bool enabled)
{
    if (r->kind == kind && r->host == host && r->enabled == enabled)
        return;
    r->kind = kind;
    r->host = host;
    r->enabled = enabled;
    overlay_update(p, r->base, r->size);
}

static struct region *memory_add(struct phys *p, enum region_kind kind, const char *name,
                                 gpa_t base, u64 size, u8 *host)
{
    struct region *r = region_add(p, kind, name, base, size);
    r->host = host;
    phys_region_move(p, r, base, true);
    return r;
}

struct region *phys_add_ram(struct phys *p, const char *name, gpa_t base, u64 size, u8 *host)
{
    return memory_add(p, REGION_RAM, name, base, size, host);
}

struct region *phys_add_rom(struct phys *p, const char *name, gpa_t base, u64 size, u8 *host)
{
    return memory_add(p, REGION_ROM, name, base, size, host);
}

struct region *phys_add_mmio(struct phys *p, const char *name, gpa_t base, u64 size,
                             const struct mmio_ops *ops, void *opaque)
{
    struct region *r = region_add(p, REGION_MMIO, name, base, size);
    r->ops = ops;
    r->opaque = opaque;
    phys_region_move(p, r, base, true);
    return r;
}

void phys_set_a20(struct phys *p, bool on)
{
    gpa_t mask = on ? ~0ull : ~BIT64(20);
    if (mask == p->a20_mask)
        return;
    if (p->changing)
        p->changing(p->opaque);
    p->a20_mask = mask;
    if (p->changed)
        p->changed(p->opaque);
}

/* ---- accesses ---------------------------------------------------------------------------------
 */

static u64 mmio_read(struct phys *p, gpa_t gpa, unsigned size)
{
    struct region *r = region_at(p, gpa);
    if (r && r->kind == REGION_MMIO && gpa - r->base + size <= r->size)
        return r->ops->read(r->opaque, gpa - r->base, size) & mask64(size * 8);
    quirk_note(&p->quirks, QUIRK_MEMORY, gpa);
    TRACE(mmio_unassigned, "read", gpa, size);
    return mask64(size * 8);
}

static void mmio_write(struct phys *p, gpa_t gpa, u64 value, unsigned size)
{
    struct region *r = region_at(p, gpa);
    if (r && r->kind == REGION_MMIO && gpa - r->base + size <= r->size)
        r->ops->write(r->opaque, gpa - r->base, value, size);
    else if (!r || r->kind != REGION_ROM) {
        quirk_note(&p->quirks, QUIRK_MEMORY, gpa);
        TRACE(mmio_unassigned, "write", gpa, size);
    }
}

/*T:210 Physical memory
 *
 * A physical address leads to RAM, to ROM, to a device's registers or to nothing. One descriptor
 * per page tells them apart, so that RAM costs one look. Nothing answers with all ones, as a bus
 * does whose lines are pulled up; the address is noted, and the monitor's `info quirks` shows it.
 */
u64 phys_read(struct phys *p, gpa_t gpa, unsigned size)
{
    if (unlikely((gpa & ~PAGE_MASK) + size > PAGE_SIZE)) {
        u64 v = 0;
        for (unsigned i = 0; i < size; i++)
            v |= phys_read(p, gpa + i, 1) << (8 * i);
        return v;
    }
    const u8 *h = phys_host(p, gpa);
    return h ? mem_ld(h, size) : mmio_read(p, gpa, size);
}

void phys_write(struct phys *p, gpa_t gpa, u64 value, unsigned size)
{
    if (unlikely((gpa & ~PAGE_MASK) + size > PAGE_SIZE)) {
        for (unsigned i = 0; i < size; i++)
            phys_write(p, gpa + i, value >> (8 * i) & 0xff, 1);
        return;
    }
    u8 *h = phys_host_w(p, gpa);
    if (!h) {
        mmio_write(p, gpa, value, size);
        return;
    }
    mem_st(h, value, size);
    phys_wrote(p, gpa, size);
}

u64 phys_peek(const struct phys *p, gpa_t gpa, unsigned size)
{
    u64 v = 0;
    for (unsigned i = 0; i < size; i++) {
        const u8 *h = phys_host(p, gpa + i);
        v |= (u64)(h ? *h : 0xff) << (8 * i);
    }
    return v;
}

u64 phys_hash(const struct phys *p)
{
    u64 h = 0xcbf29ce484222325ull;
    for (u64 page = 0; page < p->ram_bytes; page += PAGE_SIZE) {
        u64 sum = 0, any = 0;
        for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
            u64 w = ld_le64(p->ram + page + i);
            any |= w;
            sum = (sum ^ w) * 0x100000001b3ull;
            sum ^= sum >> 29;
        }
        if (any)
            h = (h ^ sum ^ page) * 0x100000001b3ull;
    }
    return h;
}
