/* tlb.c: see tlb.h. */
#include "mmu/tlb.h"
#include "base/trace.h"
#include "mmu/smc.h"
#include <string.h>

#define LARGE_BYTES BIT64(TLB_LARGE_SHIFT)
#define LARGE_MASK (~(LARGE_BYTES - 1))

/* Marks share the low bits of tags: 0 is never given out, the last one is what empty entries have.
 */
#define MARK_EMPTY (PAGE_SIZE - 1)
#define EMPTY_TAG (~0ull)

/* A tag for slot `i` that no address looking up slot `i` can match: its page belongs elsewhere, and
 * far away: the translator looks at an access's last byte, and a tag of the next page would match
 * one that begins before that page and ends in it. */
static gva_t empty_tag(unsigned i)
{
    return (gva_t)(i ^ TLB_SLOTS / 2) << PAGE_SHIFT;
}

/* ---- first level ----------------------------------------------------------------------------- */

#define USED(m) BIT(m)
#define USED_NONGLOBAL(m) BIT(8 + (m))

static void l1_empty(struct tlb_l1 *l, unsigned i)
{
    l->neg_r[i] = l->neg_w[i] = -empty_tag(i);
}

static void forget_streams(struct tlb *t, bool global)
{
    u64 *known = t->streams_known[global];
    for (unsigned w = 0; w < TLB_STREAMS / 64; w++)
        for (; known[w]; known[w] &= known[w] - 1)
            t->stream[64 * w + (unsigned)__builtin_ctzll(known[w])].limit = 0;
}

void tlb_forget_streams(struct tlb *t)
{
    forget_streams(t, false);
    forget_streams(t, true);
    memset(t->stream_pages, 0, sizeof t->stream_pages);
}

static void l1_clear(struct tlb *t)
{
    tlb_forget_streams(t);
    for (unsigned m = 0; m < TLB_MODES; m++)
        if (t->modes_used & USED(m))
            for (unsigned i = 0; i < TLB_SLOTS; i++)
                l1_empty(&t->l1[m], i);
    t->modes_used = 0;
}

static void l1_clear_nonglobal(struct tlb *t)
{
    forget_streams(t, false);
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_l1 *l = &t->l1[m];
        if (t->modes_used & USED_NONGLOBAL(m))
            for (unsigned i = 0; i < TLB_SLOTS; i++)
                if (!l->global[i])
                    l1_empty(l, i);
        t->modes_used &= ~USED_NONGLOBAL(m);
    }
}

static void l1_drop_page(struct tlb *t, gva_t va)
{
    unsigned i = tlb_index(va);
    if (t->stream_pages[i])
        tlb_forget_streams(t);
    for (unsigned m = 0; m < TLB_MODES; m++)
        if (t->modes_used & USED(m))
            l1_empty(&t->l1[m], i);
}

/* Drops what lies in the region of 1 << shift bytes around va. */
static void l1_drop_region(struct tlb *t, gva_t va, unsigned shift)
{
    tlb_forget_streams(t);
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_l1 *l = &t->l1[m];
        if (!(t->modes_used & USED(m)))
            continue;
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            if (-l->neg_r[i] >> shift == va >> shift)
                l1_empty(l, i);
    }
}

static void l1_fill(struct tlb *t, gva_t page, u8 *host, bool writable, bool global,
                    enum tlb_mode mode)
{
    struct tlb_l1 *l = &t->l1[mode];
    unsigned i = tlb_index(page);
    if (unlikely(t->never_hit))
        return;
    t->modes_used |= USED(mode) | (global ? 0 : USED_NONGLOBAL(mode));
    l->host[i] = host;
    l->global[i] = global;
    l->neg_r[i] = -page;
    l->neg_w[i] = -(writable ? page : empty_tag(i));
}

void tlb_drop_write(struct tlb *t, struct phys *p, gpa_t gpa)
{
    const u8 *page = phys_host(p, gpa & PAGE_MASK);
    tlb_forget_streams(t);
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_l1 *l = &t->l1[m];
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            if (l->host[i] == page)
                l->neg_w[i] = -empty_tag(i);
    }
}

/* ---- second level ---------------------------------------------------------------------------- */

static u64 salt_of(unsigned space)
{
    return space * (u64)(TLB2_SLOTS / TLB_SPACES);
}

static unsigned small_slot(u64 salt, gva_t va)
{
    return (unsigned)((va >> PAGE_SHIFT) + salt) & (TLB2_SLOTS - 1);
}

static unsigned large_slot(gva_t va)
{
    return (unsigned)(va >> TLB_LARGE_SHIFT) & (TLB_LARGE_SLOTS - 1);
}

static unsigned dir_slot(u64 salt, gva_t va)
{
    return (unsigned)((va >> TLB_LARGE_SHIFT) + salt) & (TLB_DIRS - 1);
}

static bool counts(const struct tlb *t, gva_t tag, gva_t first)
{
    u64 mark = tag ^ first;
    return mark == t->mark || mark == t->mark_global;
}

/* The entry for an address, or NULL. */
static const struct tlb2_entry *l2_find(const struct tlb *t, gva_t va)
{
    const struct tlb2_entry *e = &t->l2[small_slot(t->salt, va)];
    if (counts(t, e->tag, va & PAGE_MASK))
        return e;
    e = &t->large[large_slot(va)];
    return counts(t, e->tag, va & LARGE_MASK) ? e : NULL;
}

/* What an entry says about one page. */
struct piece {
    gpa_t gpa; /* A20 applied */
    u8 *host;
    struct page_desc *desc;
    u64 rights; /* L2_* */
};

static struct piece piece_of(const struct tlb *t, const struct phys *p, const struct tlb2_entry *e,
                             gva_t va)
{
    bool large = e >= t->large && e < t->large + TLB_LARGE_SLOTS;
    u64 off = large ? va & (LARGE_BYTES - 1) & PAGE_MASK : 0;
    return (struct piece){.gpa = ((e->gpa & ~L2_BITS) + off) & p->a20_mask,
                          .host = e->host ? e->host + off : NULL,
                          .desc = e->desc ? e->desc + (off >> PAGE_SHIFT) : NULL,
                          .rights = e->gpa & L2_BITS};
}

static u64 rights_of(const struct paging_state *ps, const struct walk_result *r)
{
    static const bool is_user[] = {
        [TLB_KERNEL] = false, [TLB_KERNEL_AC] = false, [TLB_USER] = true};
    u64 g = r->global ? L2_GLOBAL : 0;
    for (unsigned m = TLB_KERNEL; m <= TLB_USER; m++) {
        bool write = r->write || (!is_user[m] && !ps->wp);
        if (is_user[m] ? !r->user : m == TLB_KERNEL && r->user && ps->smap)
            continue;
        g |= L2_LOAD(m) | (write && r->dirty ? L2_STORE(m) : 0);
    }
    if (r->exec)
        g |= (r->user && ps->smep ? 0 : L2_FETCH(0)) | (r->user ? L2_FETCH(1) : 0);
    return g;
}

/* May this access use the cached rights without a walk? A walk decides what is denied, because it
 * also finds the error code, and because rights may have been widened without a flush. */
static bool allows(u64 rights, enum access kind, enum tlb_mode mode)
{
    switch (kind) {
    case ACCESS_READ: return rights & L2_LOAD(mode);
    case ACCESS_WRITE: return rights & L2_STORE(mode);
    default: return rights & L2_FETCH(mode == TLB_USER);
    }
}

/* Can stores to the page go straight to memory? Whoever marks code on it will look for those that
 * were told so. */
static bool plain_store(const struct tlb *t, const struct piece *w, enum tlb_mode mode)
{
    if (!w->host || w->rights & L2_ROM || !(w->rights & L2_STORE(mode)))
        return false;
    if (t->writer & ~__atomic_load_n(&w->desc->writers, __ATOMIC_RELAXED))
        __atomic_fetch_or(&w->desc->writers, t->writer, __ATOMIC_SEQ_CST);
    return !smc_granules(w->desc);
}

static const struct tlb2_entry *l2_store(struct tlb *t, struct phys *p,
                                         const struct paging_state *ps, gva_t va,
                                         const struct walk_result *r)
{
    u64 rights = rights_of(ps, r), mark = r->global ? t->mark_global : t->mark;
    gpa_t first = r->gpa & LARGE_MASK;
    bool whole =
        r->page_bytes >= LARGE_BYTES && p->a20_mask == ~0ull && phys_is_ram(p, first, LARGE_BYTES);
    struct tlb2_entry *e = whole ? &t->large[large_slot(va)] : &t->l2[small_slot(t->salt, va)];

    if (!whole) {
        first = r->gpa & PAGE_MASK;
        t->pieces |= r->page_bytes > PAGE_SIZE;
    }
    struct page_desc *d = phys_page(p, first & p->a20_mask);
    *e = (struct tlb2_entry){
        .tag = (va & (whole ? LARGE_MASK : PAGE_MASK)) + mark,
        .host = phys_host(p, first & p->a20_mask),
        .desc = d,
        .gpa = first | rights | (d && d->rom ? L2_ROM : 0),
    };
    return e;
}

#define NOTHING_FETCHED ((struct tlb_fetched){.first = ~0ull})

/* ---- spaces ---------------------------------------------------------------------------------- */

/* Forgets everything behind the first level: marks begin anew. */
static void recycle_marks(struct tlb *t)
{
    memset(t->l2, 0xff, sizeof t->l2);
    memset(t->large, 0xff, sizeof t->large);
    memset(t->dir, 0xff, sizeof t->dir);
    memset(t->itlb, 0xff, sizeof t->itlb);
    t->last_mark = 0;
    t->mark_global = ++t->last_mark;
    for (unsigned i = 0; i < TLB_SPACES; i++)
        t->space[i].mark = ++t->last_mark;
    t->mark = t->space[t->current].mark;
}

static u64 new_mark(struct tlb *t)
{
    if (t->last_mark + 1 == MARK_EMPTY)
        recycle_marks(t);
    return ++t->last_mark;
}

/* Makes `current` count. */
static void use_current(struct tlb *t)
{
    const struct tlb_space *s = &t->space[t->current];
    t->mark = s->mark;
    t->epoch = s->epoch;
    t->code = s->code;
    t->salt = salt_of(t->current);
}

/* Fetches in this space may see something else from now on. */
static void new_epoch(struct tlb *t, struct tlb_space *s)
{
    s->epoch = ++t->last_epoch;
    t->epoch = t->space[t->current].epoch;
}

static void new_epoch_everywhere(struct tlb *t)
{
    t->epoch_global = ++t->last_epoch;
    for (unsigned i = 0; i < TLB_SPACES; i++) {
        new_epoch(t, &t->space[i]);
        memset(t->space[i].code, 0, sizeof t->space[i].code);
    }
}

/* Forgets what is cached of a space behind the first level. */
static void empty_space(struct tlb *t, struct tlb_space *s)
{
    s->mark = new_mark(t);
    s->fetched = NOTHING_FETCHED;
    memset(s->code, 0, sizeof s->code);
    new_epoch(t, s);
    use_current(t);
}

static struct tlb_space *space_of(struct tlb *t, u16 pcid)
{
    for (unsigned i = 0; i < TLB_SPACES; i++)
        if (t->space[i].live && t->space[i].pcid == pcid)
            return &t->space[i];
    return NULL;
}

/* A space for a new PCID: a free one, or the one that has not been used for longest. */
static struct tlb_space *take_space(struct tlb *t, u16 pcid)
{
    struct tlb_space *s = &t->space[0];
    for (unsigned i = 1; i < TLB_SPACES; i++)
        if (t->space[i].used < s->used)
            s = &t->space[i];
    s->live = true;
    s->pcid = pcid;
    empty_space(t, s);
    return s;
}

void tlb_load_space(struct tlb *t, u16 pcid, bool keep)
{
    struct tlb_space *s = space_of(t, pcid);
    TRACE(tlb_flush, keep ? "none" : "space", (u64)pcid);
    t->stats.flush_all++;
    if (!s)
        s = take_space(t, pcid);
    else if (!keep && likely(!t->keeps_space))
        empty_space(t, s);
    s->used = ++t->last_use;
    t->current = (unsigned)(s - t->space);
    use_current(t);
    l1_clear_nonglobal(t);
}

void tlb_flush_space(struct tlb *t, u16 pcid)
{
    struct tlb_space *s = space_of(t, pcid);
    TRACE(tlb_flush, "space", (u64)pcid);
    t->stats.flush_all++;
    if (!s)
        return;
    empty_space(t, s);
    if (s == &t->space[t->current])
        l1_clear_nonglobal(t);
}

void tlb_flush_nonglobal(struct tlb *t)
{
    TRACE(tlb_flush, "nonglobal", (u64)0);
    t->stats.flush_all++;
    for (unsigned i = 0; i < TLB_SPACES; i++)
        empty_space(t, &t->space[i]);
    l1_clear_nonglobal(t);
}

void tlb_flush_all(struct tlb *t)
{
    TRACE(tlb_flush, "all", (u64)0);
    t->stats.flush_all++;
    for (unsigned i = 0; i < TLB_SPACES; i++)
        empty_space(t, &t->space[i]);
    t->mark_global = new_mark(t);
    t->epoch_global = ++t->last_epoch;
    t->fetched_global = NOTHING_FETCHED;
    memset(t->large_2m, 0, sizeof t->large_2m);
    t->large_1g = 0;
    t->pieces = false;
    l1_clear(t);
}

void tlb_init(struct tlb *t)
{
    memset(t, 0, sizeof *t);
    t->modes_used = ~0u;
    recycle_marks(t);
    t->space[0].live = true;
    tlb_flush_all(t);
}

/* ---- forgetting a page ----------------------------------------------------------------------- */

/* INVLPG must drop a large page whole, whatever address names it (SDM 4.10.4.1), and parts of it
 * may be anywhere in the first level. The bitmaps say whether there can be any, so that the scan is
 * rare. Pages of 4 MiB are two of 2. */
#define LARGEST_SCAN_SHIFT 22

static unsigned region_hash(gva_t va, unsigned shift)
{
    return (unsigned)((va >> shift) * 0x9e3779b97f4a7c15ull >> 52);
}

static void note_large(struct tlb *t, gva_t va, u64 page_bytes)
{
    unsigned h = region_hash(va, LARGEST_SCAN_SHIFT);
    if (page_bytes > 4 * MIB)
        t->large_1g |= BIT64(region_hash(va, 30) & 63);
    else if (page_bytes > PAGE_SIZE)
        t->large_2m[h >> 6] |= BIT64(h & 63);
}

/* How much around va can belong to one page, as a shift. */
static unsigned scan_shift(const struct tlb *t, gva_t va)
{
    unsigned h = region_hash(va, LARGEST_SCAN_SHIFT);
    if (t->large_1g & BIT64(region_hash(va, 30) & 63))
        return 30;
    return t->large_2m[h >> 6] & BIT64(h & 63) ? LARGEST_SCAN_SHIFT : PAGE_SHIFT;
}

/* May code have been fetched from the region of 1 << shift bytes around va? */
static bool fetched(const struct tlb_fetched *f, gva_t va, unsigned shift)
{
    u64 n = va >> PAGE_SHIFT, any = 0;
    if (va >> shift < f->first >> shift || va >> shift > f->last >> shift)
        return false;
    if (shift == PAGE_SHIFT)
        return f->bitmap[n >> 6 & 63] >> (n & 63) & 1;
    unsigned words = shift < 24 ? 1u << (shift - 18) : 64;
    unsigned first = (unsigned)(n >> 6) & 63 & ~(words - 1);
    for (unsigned i = first; i < first + words; i++)
        any |= f->bitmap[i];
    return any;
}

/* Which entries a flush of a page names. */
struct victim {
    gva_t va;
    unsigned shift;
    u64 mark, mark_global; /* the same twice: global pages stay */
};

static void kill_if(gva_t *tag, const struct victim *v)
{
    u64 mark = *tag & MARK_EMPTY;
    if (*tag >> v->shift == v->va >> v->shift && (mark == v->mark || mark == v->mark_global))
        *tag = EMPTY_TAG;
}

static void l2_drop(struct tlb *t, const struct victim *v)
{
    for (unsigned i = 0; i < TLB_SPACES; i++)
        kill_if(&t->l2[small_slot(salt_of(i), v->va)].tag, v);
    if (v->shift == PAGE_SHIFT)
        return;
    for (unsigned i = 0; i < TLB_LARGE_SLOTS; i++)
        kill_if(&t->large[i].tag, v);
    for (unsigned i = 0; i < TLB2_SLOTS && t->pieces; i++)
        kill_if(&t->l2[i].tag, v);
}

static void itlb_drop(struct tlb *t, const struct victim *v)
{
    unsigned x = v->va >> PAGE_SHIFT & (ITLB_SLOTS - 1);
    for (unsigned user = 0; user < 2; user++) {
        kill_if(&t->itlb[user][x].tag, v);
        for (unsigned i = 0; i < ITLB_SLOTS && v->shift > PAGE_SHIFT; i++)
            kill_if(&t->itlb[user][i].tag, v);
    }
}

/* The page around va in space s, and a global one in all of them. */
static void drop_page(struct tlb *t, struct tlb_space *s, gva_t va, bool global)
{
    s->code[tlb_code_slot(va)] = 0;
    struct victim v = {va, scan_shift(t, va), s->mark, global ? t->mark_global : s->mark};
    l2_drop(t, &v);
    itlb_drop(t, &v);
    if (s == &t->space[t->current] || global) {
        l1_drop_page(t, va);
        if (v.shift > PAGE_SHIFT)
            l1_drop_region(t, va, v.shift);
    }
    if (global && fetched(&t->fetched_global, va, v.shift)) {
        new_epoch_everywhere(t);
    } else if (fetched(&s->fetched, va, v.shift)) {
        new_epoch(t, s);
        if (v.shift > PAGE_SHIFT)
            memset(s->code, 0, sizeof s->code);
    }
}

/*T:230 The TLB, and why flushes are sacred
 *
 * A walk costs up to four dependent loads, so its result is kept. The processor does not watch the
 * page tables: software that changes an entry has to say so, by INVLPG or by loading CR3. That
 * makes a forgotten flush a bug that shows only sometimes, and an emulator that flushes too little
 * worse than a slow one.
 *
 * Here both the first level, which translated code asks by itself, and the second have to forget
 * the page, and with it the paging-structure caches: the manual says "regardless of the address".
 */
void tlb_flush_page(struct tlb *t, gva_t va)
{
    TRACE(tlb_flush, "page", va);
    t->stats.flush_page++;
    if (unlikely(t->keeps_page))
        return;
    drop_page(t, &t->space[t->current], va, true);
    memset(t->dir, 0xff, sizeof t->dir); /* SDM 4.10.4.1: regardless of the address */
}

void tlb_flush_page_of(struct tlb *t, u16 pcid, gva_t va)
{
    struct tlb_space *s = space_of(t, pcid);
    TRACE(tlb_flush, "page", va);
    t->stats.flush_page++;
    if (!s)
        return;
    drop_page(t, s, va, false);
    memset(t->dir, 0xff, sizeof t->dir);
}

/* ---- looking up ------------------------------------------------------------------------------ */

bool tlb_is_global(const struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                   gpa_t gpa)
{
    const struct tlb2_entry *e = l2_find(t, va);
    if (e) {
        struct piece w = piece_of(t, p, e, va);
        return w.rights & L2_GLOBAL && w.gpa == (gpa & PAGE_MASK);
    }
    struct walk_result r;
    walk(p, ps, va, (struct walk_access){.kind = ACCESS_EXEC}, &r);
    return r.ok && r.global && (r.gpa & p->a20_mask & PAGE_MASK) == (gpa & PAGE_MASK);
}

u8 *tlb_refill(struct tlb *t, struct phys *p, gva_t va, enum access kind, enum tlb_mode mode,
               gpa_t *gpa)
{
    const struct tlb2_entry *e = l2_find(t, va);
    *gpa = TLB_UNKNOWN;
    if (!e || mode == TLB_CHECKED || !allows(e->gpa, kind, mode))
        return NULL;
    struct piece w = piece_of(t, p, e, va);
    *gpa = w.gpa | (va & ~PAGE_MASK);
    bool writable = plain_store(t, &w, mode);
    if (!w.host || (kind == ACCESS_WRITE && !writable))
        return NULL;
    t->stats.refill++;
    l1_fill(t, va & PAGE_MASK, w.host, writable, w.rights & L2_GLOBAL, mode);
    return w.host + (va & ~PAGE_MASK);
}

u32 tlb_note_code(struct tlb *t, gva_t va, gpa_t gpa)
{
    gva_t page = va & PAGE_MASK;
    u64 h = (page ^ (gpa & PAGE_MASK) << 20) * 0x9e3779b97f4a7c15ull;
    struct tlb_code_id *e = &t->code_id[h >> 52];
    if (e->page != page || e->gpa != (gpa & PAGE_MASK) || !e->id)
        *e = (struct tlb_code_id){page, gpa & PAGE_MASK, ++t->last_code_id};
    return t->space[t->current].code[tlb_code_slot(va)] = e->id;
}
_Static_assert(TLB_CODE_IDS == 1u << (64 - 52), "the hash yields 12 bits");

static void itlb_fill(struct tlb *t, gva_t va, const struct piece *w, bool user)
{
    bool global = w->rights & L2_GLOBAL;
    struct tlb_fetched *f = global ? &t->fetched_global : &t->space[t->current].fetched;
    f->first = va < f->first ? va : f->first;
    f->last = va > f->last ? va : f->last;
    f->bitmap[va >> 18 & 63] |= BIT64(va >> PAGE_SHIFT & 63);
    t->itlb[user][va >> PAGE_SHIFT & (ITLB_SLOTS - 1)] =
        (struct itlb_entry){(va & PAGE_MASK) + (global ? t->mark_global : t->mark), w->gpa};
    if (user)
        tlb_note_code(t, va, w->gpa);
}

/* Walks, beginning at the last-level table when it is known. What that denies, a whole walk
 * decides: the table may be out of date. */
static void walk_cached(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                        struct walk_access wa, struct walk_result *r)
{
    struct tlb_dir *d = &t->dir[dir_slot(t->salt, va)];
    gva_t tag = (va & LARGE_MASK) + t->mark;
    t->stats.walk++;
    if (d->tag == tag) {
        walk_last(p, ps, va, wa, &d->table, r);
        if (r->ok)
            return;
        d->tag = EMPTY_TAG;
    }
    walk(p, ps, va, wa, r);
    if (r->ok && r->has_table)
        *d = (struct tlb_dir){tag, r->table};
}

/* Does the region of 1 << shift bytes around va have something that is watched? */
static bool is_watched(const struct tlb_watch *w, gva_t va, unsigned shift)
{
    for (unsigned i = 0; w && i < w->count; i++)
        if (w->first[i] >> shift <= va >> shift && va >> shift <= w->last[i] >> shift)
            return true;
    return false;
}

static void l2_forget(struct tlb *t, const struct tlb2_entry *e)
{
    bool large = e >= t->large && e < t->large + TLB_LARGE_SLOTS;
    (large ? &t->large[e - t->large] : &t->l2[e - t->l2])->tag = EMPTY_TAG;
}

/* The rights that decide about an access. */
static enum tlb_mode rights_mode(struct walk_access wa)
{
    return wa.user ? TLB_USER : wa.ac ? TLB_KERNEL_AC : TLB_KERNEL;
}

static void trace_walk(gva_t va, const struct walk_result *r, struct walk_access wa)
{
    static const char *const names[] = {
        [ACCESS_READ] = "read", [ACCESS_WRITE] = "write", [ACCESS_EXEC] = "fetch"};
    TRACE(tlb_walk, va, r->gpa, r->page_bytes, names[wa.kind], wa.user ? " user" : "");
}

void tlb_lookup(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                enum access kind, enum tlb_mode mode, struct walk_access wa, struct tlb_fill *out)
{
    const struct tlb2_entry *e = l2_find(t, va);
    enum tlb_mode who = rights_mode(wa);

    t->stats.miss++;
    if (!e || !allows(e->gpa, kind, who)) {
        struct walk_result r;
        walk_cached(t, p, ps, va, wa, &r);
        if (!r.ok) { /* SDM 4.10.4.1: a page fault drops what is cached for the address */
            drop_page(t, &t->space[t->current], va, true);
            TRACE(tlb_fault, va, r.pfec);
            *out = (struct tlb_fill){.ok = false, .pfec = r.pfec};
            return;
        }
        trace_walk(va, &r, wa);
        e = l2_store(t, p, ps, va, &r);
        note_large(t, va, r.page_bytes);
    }

    struct piece w = piece_of(t, p, e, va);
    bool writable = kind != ACCESS_EXEC && plain_store(t, &w, who);
    if (kind == ACCESS_EXEC)
        itlb_fill(t, va, &w, mode == TLB_USER);
    else if (w.host && mode != TLB_CHECKED && !is_watched(t->watch, va, PAGE_SHIFT))
        l1_fill(t, va & PAGE_MASK, w.host, writable, w.rights & L2_GLOBAL, mode);
    if (unlikely(is_watched(t->watch, va, TLB_LARGE_SHIFT)))
        l2_forget(t, e);
    u64 off = va & ~PAGE_MASK;
    bool plain = w.host && (kind != ACCESS_WRITE || writable);
    *out = (struct tlb_fill){.ok = true, .gpa = w.gpa | off, .host = plain ? w.host + off : NULL};
}
