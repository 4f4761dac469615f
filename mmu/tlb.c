/* tlb.c: see tlb.h. */
#include "mmu/tlb.h"
#include "base/trace.h"
#include "mmu/smc.h"
#include <string.h>

/* Rights in the low bits of tlb2_entry.gpa. */
#define L2_USER BIT64(0)
#define L2_WRITE BIT64(1) /* writable by R/W bits */
#define L2_EXEC BIT64(2)
#define L2_DIRTY BIT64(3) /* D is set: a write needs no walk */
#define L2_GLOBAL BIT64(4)
#define L2_RIGHTS (PAGE_SIZE - 1)

/* A tag for slot `i` that no address looking up slot `i` can match: its page belongs elsewhere, and
 * far away: the translator looks at an access's last byte, and a tag of the next page would match
 * one that begins before that page and ends in it. */
static gva_t empty_tag(unsigned i)
{
    return (gva_t)(i ^ TLB_SLOTS / 2) << PAGE_SHIFT;
}

/* The same for the ITLB, where whole tags are compared. */
static gva_t empty_itlb_tag(unsigned i)
{
    return (gva_t)(i ^ 1) << PAGE_SHIFT;
}

#define USED_ITLB(user) BIT(8 + (user))

static void l1_clear(struct tlb *t)
{
    for (unsigned m = 0; m < TLB_MODES; m++)
        if (t->modes_used & BIT(m))
            for (unsigned i = 0; i < TLB_SLOTS; i++)
                t->l1[m].neg_r[i] = t->l1[m].neg_w[i] = -empty_tag(i);
    for (unsigned u = 0; u < 2; u++)
        if (t->modes_used & USED_ITLB(u))
            for (unsigned i = 0; i < ITLB_SLOTS; i++)
                t->itlb[u][i].tag = empty_itlb_tag(i);
    t->modes_used = 0;
}

/* Keeps the global pages. Fetches go through the second level again. */
static void l1_clear_nonglobal(struct tlb *t)
{
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_l1 *l = &t->l1[m];
        if (!(t->modes_used & BIT(m)))
            continue;
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            if (!l->global[i])
                l->neg_r[i] = l->neg_w[i] = -empty_tag(i);
    }
    for (unsigned u = 0; u < 2; u++)
        if (t->modes_used & USED_ITLB(u))
            for (unsigned i = 0; i < ITLB_SLOTS; i++)
                t->itlb[u][i].tag = empty_itlb_tag(i);
    t->modes_used &= ~(USED_ITLB(0) | USED_ITLB(1));
}

/* Drops what lies in the region of 1 << shift bytes around va. */
static void l1_clear_region(struct tlb *t, gva_t va, unsigned shift)
{
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_l1 *l = &t->l1[m];
        if (!(t->modes_used & BIT(m)))
            continue;
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            if (-l->neg_r[i] >> shift == va >> shift)
                l->neg_r[i] = l->neg_w[i] = -empty_tag(i);
    }
    for (unsigned u = 0; u < 2; u++)
        for (unsigned i = 0; i < ITLB_SLOTS; i++)
            if (t->itlb[u][i].tag >> shift == va >> shift)
                t->itlb[u][i].tag = empty_itlb_tag(i);
}

static void fetches_changed(struct tlb *t)
{
    t->epoch++;
    t->epoch_global++;
    memset(t->exec_seen, 0, sizeof t->exec_seen);
}

void tlb_init(struct tlb *t)
{
    memset(t, 0, sizeof *t);
    t->gen = t->gen_global = 1;
    t->modes_used = ~0u;
    l1_clear(t);
    fetches_changed(t);
}

void tlb_flush_all(struct tlb *t)
{
    TRACE(tlb_flush, "all", (u64)0);
    t->stats.flush_all++;
    t->gen++;
    t->gen_global++;
    memset(t->large_2m, 0, sizeof t->large_2m);
    t->large_1g = 0;
    if (t->gen == 0 ||
        t->gen_global == 0) { /* a generation must never come back while entries of it live */
        memset(t->l2, 0, sizeof t->l2);
        t->gen = t->gen_global = 1;
    }
    l1_clear(t);
    fetches_changed(t);
}

void tlb_flush_nonglobal(struct tlb *t)
{
    TRACE(tlb_flush, "nonglobal", (u64)0);
    t->stats.flush_all++;
    if (++t->gen == 0) {
        memset(t->l2, 0, sizeof t->l2);
        t->gen = t->gen_global = 1;
    }
    l1_clear_nonglobal(t);
    t->epoch++;
}

static void drop_l1(struct tlb *t, gva_t va)
{
    unsigned i = tlb_index(va), x = va >> PAGE_SHIFT & (ITLB_SLOTS - 1);
    for (unsigned m = 0; m < TLB_MODES; m++)
        t->l1[m].neg_r[i] = t->l1[m].neg_w[i] = -empty_tag(i);
    t->itlb[0][x].tag = t->itlb[1][x].tag = empty_itlb_tag(x);
}

/* Large pages are cached in 4 KiB pieces, and INVLPG must drop all of them (SDM 4.10.4.1). The
 * bitmaps say whether there can be any, so that the scan is rare. */
static void note_large(struct tlb *t, gva_t va, u64 page_bytes)
{
    if (page_bytes == 2 * MIB)
        t->large_2m[va >> 27 & 63] |= BIT64(va >> 21 & 63);
    else if (page_bytes > 2 * MIB)
        t->large_1g |= BIT64(va >> 30 & 63);
}

/* May code have been fetched from the region of 1 << shift bytes around va? */
static bool exec_seen(const struct tlb *t, gva_t va, unsigned shift)
{
    u64 n = va >> PAGE_SHIFT, any = 0;
    if (shift == PAGE_SHIFT)
        return t->exec_seen[n >> 6 & 63] >> (n & 63) & 1;
    unsigned words = shift == 21 ? 8 : 64, first = (unsigned)(n >> 6) & 63 & ~(words - 1);
    for (unsigned i = first; i < first + words; i++)
        any |= t->exec_seen[i];
    return any;
}

static void drop_region(struct tlb *t, gva_t va, unsigned shift)
{
    unsigned pages = shift == 21 ? 512 : TLB2_SLOTS; /* a region's pages fill consecutive slots */
    unsigned first = (unsigned)(va >> PAGE_SHIFT) & (TLB2_SLOTS - 1) & ~(pages - 1);
    for (unsigned i = first; i < first + pages; i++)
        if (t->l2[i].page >> shift == va >> shift)
            t->l2[i].gen = 0;
    l1_clear_region(t, va, shift);
    if (exec_seen(t, va, shift))
        fetches_changed(t);
}

void tlb_flush_page(struct tlb *t, gva_t va)
{
    TRACE(tlb_flush, "page", va);
    t->stats.flush_page++;
    t->l2[va >> PAGE_SHIFT & (TLB2_SLOTS - 1)].gen = 0;
    drop_l1(t, va);
    if (exec_seen(t, va, PAGE_SHIFT))
        fetches_changed(t);
    if (t->large_1g & BIT64(va >> 30 & 63))
        drop_region(t, va, 30);
    else if (t->large_2m[va >> 27 & 63] & BIT64(va >> 21 & 63))
        drop_region(t, va, 21);
}

void tlb_drop_write(struct tlb *t, struct phys *p, gpa_t gpa)
{
    const u8 *page = phys_host(p, gpa & PAGE_MASK);
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_l1 *l = &t->l1[m];
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            if (l->host[i] == page)
                l->neg_w[i] = -empty_tag(i);
    }
}

/* The second level's entry for a page, or NULL. */
static const struct tlb2_entry *l2_find(const struct tlb *t, gva_t page)
{
    const struct tlb2_entry *e = &t->l2[page >> PAGE_SHIFT & (TLB2_SLOTS - 1)];
    bool live = e->page == page && e->gen == (e->gpa & L2_GLOBAL ? t->gen_global : t->gen);
    return live ? e : NULL;
}

static const struct tlb2_entry *l2_store(struct tlb *t, struct phys *p, gva_t page,
                                         const struct walk_result *r)
{
    struct tlb2_entry *e = &t->l2[page >> PAGE_SHIFT & (TLB2_SLOTS - 1)];
    gpa_t gpa = r->gpa & PAGE_MASK;
    *e = (struct tlb2_entry){
        .page = page,
        .gpa = gpa | (r->user ? L2_USER : 0) | (r->write ? L2_WRITE : 0) | (r->exec ? L2_EXEC : 0) |
               (r->dirty ? L2_DIRTY : 0) | (r->global ? L2_GLOBAL : 0),
        .host = phys_host(p, gpa & p->a20_mask),
        .gen = r->global ? t->gen_global : t->gen,
    };
    return e;
}

bool tlb_is_global(const struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va)
{
    const struct tlb2_entry *e = l2_find(t, va & PAGE_MASK);
    if (e)
        return e->gpa & L2_GLOBAL;
    struct walk_result r;
    walk(p, ps, va, (struct walk_access){.kind = ACCESS_EXEC}, &r);
    return r.ok && r.global;
}

/* May this access use the cached rights without a walk? A walk decides what is denied, because it
 * also finds the error code, and because rights may have been widened without a flush. */
static bool rights_allow(const struct paging_state *ps, u64 g, enum access kind, bool user, bool ac)
{
    bool user_page = g & L2_USER;
    if (kind == ACCESS_EXEC)
        return g & L2_EXEC && (user ? user_page : !(user_page && ps->smep));
    if (user ? !user_page : user_page && ps->smap && !ac)
        return false;
    if (kind == ACCESS_READ)
        return true;
    return g & L2_DIRTY && (g & L2_WRITE || (!user && !ps->wp));
}

/* Can stores to the page go straight to memory? Whoever marks code on it will look for those that
 * were told so. */
static bool plain_store(const struct tlb *t, const struct phys *p, gpa_t gpa)
{
    struct page_desc *d = phys_page(p, gpa);
    if (!d || d->rom)
        return false;
    if (t->writer & ~__atomic_load_n(&d->writers, __ATOMIC_RELAXED))
        __atomic_fetch_or(&d->writers, t->writer, __ATOMIC_SEQ_CST);
    return !smc_granules(d);
}

static void l1_fill(struct tlb *t, gva_t page, u8 *host, bool writable, bool global,
                    enum tlb_mode mode)
{
    struct tlb_l1 *l = &t->l1[mode];
    unsigned i = tlb_index(page);
    if (unlikely(t->never_hit))
        return;
    t->modes_used |= BIT(mode);
    l->host[i] = host;
    l->global[i] = global;
    l->neg_r[i] = -page;
    l->neg_w[i] = -(writable ? page : empty_tag(i));
}

u8 *tlb_refill(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
               enum access kind, enum tlb_mode mode, bool user, bool ac)
{
    gva_t page = va & PAGE_MASK;
    const struct tlb2_entry *e = l2_find(t, page);
    if (!e || !e->host || mode == TLB_CHECKED || !rights_allow(ps, e->gpa, kind, user, ac))
        return NULL;
    bool writable = rights_allow(ps, e->gpa, ACCESS_WRITE, user, ac) &&
                    plain_store(t, p, e->gpa & PAGE_MASK & p->a20_mask);
    if (kind == ACCESS_WRITE && !writable)
        return NULL;
    l1_fill(t, page, e->host, writable, e->gpa & L2_GLOBAL, mode);
    return e->host + (va & ~PAGE_MASK);
}

static void itlb_fill(struct tlb *t, gva_t page, gpa_t gpa, bool user)
{
    t->modes_used |= USED_ITLB(user);
    t->exec_seen[page >> 18 & 63] |= BIT64(page >> PAGE_SHIFT & 63);
    t->itlb[user][page >> PAGE_SHIFT & (ITLB_SLOTS - 1)] = (struct itlb_entry){page, gpa};
}

void tlb_lookup(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                enum access kind, enum tlb_mode mode, struct walk_access wa, struct tlb_fill *out)
{
    gva_t page = va & PAGE_MASK;
    const struct tlb2_entry *e = l2_find(t, page);

    t->stats.miss++;
    if (!e || !rights_allow(ps, e->gpa, kind, wa.user, wa.ac)) {
        struct walk_result r;
        t->stats.walk++;
        walk(p, ps, va, wa, &r);
        if (!r.ok) {
            /* SDM 4.10.4.1: a page fault drops what is cached for the address. */
            t->l2[page >> PAGE_SHIFT & (TLB2_SLOTS - 1)].gen = 0;
            *out = (struct tlb_fill){.ok = false, .pfec = r.pfec};
            return;
        }
        e = l2_store(t, p, page, &r);
        note_large(t, page, r.page_bytes);
    }

    gpa_t gpa = e->gpa & ~L2_RIGHTS & p->a20_mask;
    u8 *h = e->host;
    bool writable = h && kind != ACCESS_EXEC &&
                    rights_allow(ps, e->gpa, ACCESS_WRITE, wa.user, wa.ac) &&
                    plain_store(t, p, gpa);
    if (kind == ACCESS_EXEC)
        itlb_fill(t, page, gpa, mode == TLB_USER);
    else if (h && mode != TLB_CHECKED)
        l1_fill(t, page, h, writable, e->gpa & L2_GLOBAL, mode);
    if (kind == ACCESS_WRITE && !writable)
        h = NULL;
    *out = (struct tlb_fill){
        .ok = true, .gpa = gpa | (va & ~PAGE_MASK), .host = h ? h + (va & ~PAGE_MASK) : NULL};
}
