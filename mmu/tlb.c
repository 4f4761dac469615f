/* tlb.c: see tlb.h. */
#include "mmu/tlb.h"
#include "base/trace.h"
#include <string.h>

/* Rights in the low bits of tlb2_entry.gpa. */
#define L2_USER BIT64(0)
#define L2_WRITE BIT64(1) /* writable by R/W bits */
#define L2_EXEC BIT64(2)
#define L2_DIRTY BIT64(3) /* D is set: a write needs no walk */
#define L2_GLOBAL BIT64(4)
#define L2_RIGHTS (PAGE_SIZE - 1)

/* A tag for slot `i` that no address looking up slot `i` can match: its page belongs elsewhere. */
static gva_t empty_tag(unsigned i)
{
    return (gva_t)(i ^ 1) << PAGE_SHIFT;
}

static void l1_clear(struct tlb *t)
{
    for (unsigned m = 0; m < TLB_MODES; m++)
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            t->l1[m].tag_r[i] = t->l1[m].tag_w[i] = empty_tag(i);
    for (unsigned i = 0; i < ITLB_SLOTS; i++)
        t->itlb[0][i].tag = t->itlb[1][i].tag = empty_tag(i);
    t->epoch++;
}

void tlb_init(struct tlb *t)
{
    memset(t, 0, sizeof *t);
    t->gen = t->gen_global = 1;
    l1_clear(t);
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
}

void tlb_flush_nonglobal(struct tlb *t)
{
    TRACE(tlb_flush, "nonglobal", (u64)0);
    t->stats.flush_all++;
    if (++t->gen == 0) {
        memset(t->l2, 0, sizeof t->l2);
        t->gen = t->gen_global = 1;
    }
    l1_clear(t);
}

static void drop_l1(struct tlb *t, gva_t va)
{
    unsigned i = tlb_index(va), x = va >> PAGE_SHIFT & (ITLB_SLOTS - 1);
    for (unsigned m = 0; m < TLB_MODES; m++)
        t->l1[m].tag_r[i] = t->l1[m].tag_w[i] = empty_tag(i);
    t->itlb[0][x].tag = t->itlb[1][x].tag = empty_tag(x);
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

static void drop_region(struct tlb *t, gva_t va, unsigned shift)
{
    for (unsigned i = 0; i < TLB2_SLOTS; i++)
        if (t->l2[i].page >> shift == va >> shift)
            t->l2[i].gen = 0;
    l1_clear(t);
}

void tlb_flush_page(struct tlb *t, gva_t va)
{
    TRACE(tlb_flush, "page", va);
    t->stats.flush_page++;
    t->l2[va >> PAGE_SHIFT & (TLB2_SLOTS - 1)].gen = 0;
    drop_l1(t, va);
    t->epoch++;
    if (t->large_1g & BIT64(va >> 30 & 63))
        drop_region(t, va, 30);
    else if (t->large_2m[va >> 27 & 63] & BIT64(va >> 21 & 63))
        drop_region(t, va, 21);
}

void tlb_flush_host(struct tlb *t)
{
    l1_clear(t);
}

void tlb_drop_write(struct tlb *t, struct phys *p, gpa_t gpa)
{
    const u8 *page = phys_host(p, gpa & PAGE_MASK);
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_l1 *l = &t->l1[m];
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            if (l->tag_w[i] != empty_tag(i) && (u8 *)(uintptr_t)(l->tag_w[i] + l->add[i]) == page)
                l->tag_w[i] = empty_tag(i);
    }
}

/* True when the second level answers; false: walk. */
static bool l2_find(const struct tlb *t, gva_t page, u64 *gpa_rights)
{
    const struct tlb2_entry *e = &t->l2[page >> PAGE_SHIFT & (TLB2_SLOTS - 1)];
    if (e->page != page || e->gen != (e->gpa & L2_GLOBAL ? t->gen_global : t->gen))
        return false;
    *gpa_rights = e->gpa;
    return true;
}

static void l2_store(struct tlb *t, gva_t page, u64 gpa_rights)
{
    t->l2[page >> PAGE_SHIFT & (TLB2_SLOTS - 1)] = (struct tlb2_entry){
        .page = page, .gpa = gpa_rights, .gen = gpa_rights & L2_GLOBAL ? t->gen_global : t->gen};
}

/* May this access use the cached rights without a walk? A walk decides what is denied, because it
 * also finds the error code, and because rights may have been widened without a flush. */
static bool rights_allow(const struct paging_state *ps, u64 g, enum access kind,
                         struct walk_access wa)
{
    bool user_page = g & L2_USER;
    if (kind == ACCESS_EXEC)
        return g & L2_EXEC && (wa.user ? user_page : !(user_page && ps->smep));
    if (wa.user ? !user_page : user_page && ps->smap && !wa.ac)
        return false;
    if (kind == ACCESS_READ)
        return true;
    return g & L2_DIRTY && (g & L2_WRITE || (!wa.user && !ps->wp));
}

static void l1_fill(struct tlb *t, struct phys *p, gva_t page, gpa_t gpa, enum access kind,
                    enum tlb_mode mode)
{
    unsigned i = tlb_index(page);
    if (kind == ACCESS_EXEC) {
        unsigned u = mode == TLB_USER, x = page >> PAGE_SHIFT & (ITLB_SLOTS - 1);
        t->itlb[u][x] = (struct itlb_entry){page, gpa};
        return;
    }
    const u8 *h = phys_host(p, gpa);
    if (!h || mode == TLB_CHECKED)
        return;
    struct tlb_l1 *l = &t->l1[mode];
    u64 add = (u64)(uintptr_t)h - page;
    if (l->tag_r[i] != page || l->add[i] != add)
        l->tag_r[i] = l->tag_w[i] = empty_tag(i);
    l->add[i] = add;
    l->tag_r[i] = page;
    if (kind == ACCESS_WRITE && phys_host_w(p, gpa) && !phys_page(p, gpa)->code_granules)
        l->tag_w[i] = page;
}

void tlb_lookup(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                enum access kind, enum tlb_mode mode, struct walk_access wa, struct tlb_fill *out)
{
    gva_t page = va & PAGE_MASK;
    u64 g;

    t->stats.miss++;
    if (ps->kind == PAGING_NONE) {
        g = page | L2_USER | L2_WRITE | L2_EXEC | L2_DIRTY;
    } else if (!l2_find(t, page, &g) || !rights_allow(ps, g, kind, wa)) {
        struct walk_result r;
        t->stats.walk++;
        walk(p, ps, va, wa, &r);
        if (!r.ok) {
            /* SDM 4.10.4.1: a page fault drops what is cached for the address. */
            t->l2[page >> PAGE_SHIFT & (TLB2_SLOTS - 1)].gen = 0;
            *out = (struct tlb_fill){.ok = false, .pfec = r.pfec};
            return;
        }
        g = (r.gpa & PAGE_MASK) | (r.user ? L2_USER : 0) | (r.write ? L2_WRITE : 0) |
            (r.exec ? L2_EXEC : 0) | (r.dirty ? L2_DIRTY : 0) | (r.global ? L2_GLOBAL : 0);
        l2_store(t, page, g);
        note_large(t, page, r.page_bytes);
    }

    gpa_t gpa = g & ~L2_RIGHTS & p->a20_mask;
    l1_fill(t, p, page, gpa, kind, mode);
    gpa |= va & ~PAGE_MASK;
    u8 *h = kind == ACCESS_WRITE ? phys_host_w(p, gpa) : phys_host(p, gpa);
    if (h && kind == ACCESS_WRITE && phys_page(p, gpa)->code_granules)
        h = NULL;
    *out = (struct tlb_fill){.ok = true, .gpa = gpa, .host = h};
}
