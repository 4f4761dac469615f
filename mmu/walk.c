/* walk.c: see walk.h. One loop serves all five paging kinds: a level differs by entry size, index
 * width and by which bits are reserved. */
#include "mmu/walk.h"
#include "base/bits.h"

#define PTE_P BIT64(0)
#define PTE_W BIT64(1)
#define PTE_U BIT64(2)
#define PTE_A BIT64(5)
#define PTE_D BIT64(6)
#define PTE_PS BIT64(7)
#define PTE_G BIT64(8)
#define PTE_XD BIT64(63)

enum { STEP_DONE, STEP_FAULT, STEP_RACE };

static u64 entry_read(struct phys *p, gpa_t gpa, unsigned size)
{
    const u8 *h = phys_host(p, gpa & p->a20_mask);
    if (!h)
        return mask64(size * 8);
    if (size == 4)
        return LE32(__atomic_load_n((const u32 *)(const void *)h, __ATOMIC_RELAXED));
    return LE64(__atomic_load_n((const u64 *)(const void *)h, __ATOMIC_RELAXED));
}

/* Sets bits in an entry that still reads `old`; false when another CPU changed it meanwhile. */
static bool entry_set(struct phys *p, gpa_t gpa, u64 old, u64 bits, unsigned size)
{
    if ((old & bits) == bits)
        return true;
    u8 *h = phys_host_w(p, gpa & p->a20_mask);
    if (!h)
        return true; /* tables in ROM keep what they say */
    bool ok;
    if (size == 4) {
        u32 was = LE32((u32)old), want = LE32((u32)(old | bits));
        ok = __atomic_compare_exchange_n((u32 *)(void *)h, &was, want, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED);
    } else {
        u64 was = LE64(old), want = LE64(old | bits);
        ok = __atomic_compare_exchange_n((u64 *)(void *)h, &was, want, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED);
    }
    phys_wrote(p, gpa & p->a20_mask, size);
    return ok;
}

struct level {
    unsigned shift;   /* of the index in the linear address */
    unsigned bits;    /* of the index */
    unsigned size;    /* of an entry, bytes */
    bool may_be_leaf; /* PS means a page here */
};

/* Reserved bits of an entry at this level (SDM 4.3 to 4.5). */
static u64 reserved_bits(const struct phys *p, const struct paging_state *ps, const struct level *l,
                         bool leaf)
{
    if (l->size == 4)
        return leaf && l->shift > PAGE_SHIFT ? BIT64(21) : 0; /* PSE-36: bits 13-20 are address */
    u64 r = mask64(52) & ~mask64(p->addr_bits);
    if (ps->kind == PAGING_PAE)
        r |= mask64(63) & ~mask64(52);
    if (!ps->nxe)
        r |= PTE_XD;
    if (leaf && l->shift > PAGE_SHIFT)
        r |= mask64(l->shift) & ~mask64(13);
    if (!leaf && !l->may_be_leaf && l->shift > PAGE_SHIFT)
        r |= PTE_PS;
    return r;
}

static bool permitted(const struct paging_state *ps, struct walk_access a,
                      const struct walk_result *r)
{
    if (a.kind == ACCESS_EXEC) {
        if (!r->exec)
            return false;
        return a.user ? r->user : !(ps->smep && r->user);
    }
    if (a.user)
        return r->user && (a.kind == ACCESS_READ || r->write);
    if (r->user && ps->smap && !a.ac)
        return false;
    return a.kind == ACCESS_READ || r->write || !ps->wp;
}

static u32 error_code(const struct paging_state *ps, struct walk_access a)
{
    u32 e = a.user ? PFEC_U : 0;
    if (a.kind == ACCESS_WRITE)
        e |= PFEC_W;
    /* SDM 4.7: I/D is reported only where execute can be denied. */
    if (a.kind == ACCESS_EXEC && (ps->smep || (ps->nxe && ps->kind != PAGING_32)))
        e |= PFEC_I;
    return e;
}

static unsigned levels_of(const struct paging_state *ps, struct level l[5])
{
    switch (ps->kind) {
    case PAGING_32:
        l[0] = (struct level){22, 10, 4, ps->pse};
        l[1] = (struct level){12, 10, 4, false};
        return 2;
    case PAGING_PAE:
        l[0] = (struct level){21, 9, 8, true};
        l[1] = (struct level){12, 9, 8, false};
        return 2;
    default: {
        unsigned n = ps->kind == PAGING_5LEVEL ? 5 : 4;
        for (unsigned i = 0; i < n; i++) {
            unsigned shift = 12 + 9 * (n - 1 - i);
            l[i] = (struct level){shift, 9, 8, shift == 21 || (shift == 30 && ps->gbpages)};
        }
        return n;
    }
    }
}

static int walk_once(struct phys *p, const struct paging_state *ps, gva_t va, struct walk_access a,
                     const struct walk_table *from, struct walk_result *r)
{
    struct level lv[5];
    unsigned n = levels_of(ps, lv), first = 0;
    gpa_t table;

    *r = (struct walk_result){.user = true, .write = true, .exec = true, .pfec = error_code(ps, a)};
    if (from) {
        first = n - 1;
        table = from->gpa;
        r->user = from->user;
        r->write = from->write;
        r->exec = from->exec;
    } else if (ps->kind == PAGING_32) {
        table = ps->cr3 & 0xfffff000;
    } else if (ps->kind == PAGING_PAE) {
        u64 e = ps->pdpte[va >> 30 & 3];
        if (!(e & PTE_P))
            return STEP_FAULT;
        table = e & mask64(p->addr_bits) & PAGE_MASK;
    } else {
        table = ps->cr3 & mask64(p->addr_bits) & PAGE_MASK;
    }

    for (unsigned i = first; i < n; i++) {
        const struct level *l = &lv[i];
        if (i == n - 1) {
            r->has_table = true;
            r->table = (struct walk_table){table, r->user, r->write, r->exec};
        }
        gpa_t at = table + (va >> l->shift & mask64(l->bits)) * l->size;
        u64 e = entry_read(p, at, l->size);
        r->step[r->levels++] = (struct walk_step){at, e};
        if (!(e & PTE_P))
            return STEP_FAULT;
        bool leaf = l->shift == PAGE_SHIFT || (l->may_be_leaf && e & PTE_PS);
        if (e & reserved_bits(p, ps, l, leaf)) {
            r->pfec |= PFEC_P | PFEC_RSVD;
            return STEP_FAULT;
        }
        r->user &= !!(e & PTE_U);
        r->write &= !!(e & PTE_W);
        if (l->size == 8 && ps->nxe)
            r->exec &= !(e & PTE_XD);
        if (!leaf) {
            if (a.set_ad && !entry_set(p, at, e, PTE_A, l->size))
                return STEP_RACE;
            table = l->size == 4 ? e & 0xfffff000 : e & mask64(p->addr_bits) & PAGE_MASK;
            continue;
        }
        r->page_bytes = BIT64(l->shift);
        r->global = ps->pge && e & PTE_G;
        if (!permitted(ps, a, r)) {
            r->pfec |= PFEC_P;
            return STEP_FAULT;
        }
        if (a.set_ad &&
            !entry_set(p, at, e, a.kind == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A, l->size))
            return STEP_RACE;
        r->dirty = a.kind == ACCESS_WRITE || e & PTE_D;
        gpa_t frame = e & mask64(l->size == 4 ? 32 : p->addr_bits) & ~(r->page_bytes - 1);
        if (l->size == 4 && r->page_bytes > PAGE_SIZE)
            frame |= (e >> 13 & 0xff) << 32; /* PSE-36 */
        r->gpa = frame | (va & (r->page_bytes - 1));
        return STEP_DONE;
    }
    return STEP_FAULT;
}

static void walk_to_end(struct phys *p, const struct paging_state *ps, gva_t va,
                        struct walk_access a, const struct walk_table *from, struct walk_result *r)
{
    int s;
    do {
        s = walk_once(p, ps, va, a, from, r);
    } while (s == STEP_RACE);
    r->ok = s == STEP_DONE;
}

void walk_last(struct phys *p, const struct paging_state *ps, gva_t va, struct walk_access a,
               const struct walk_table *from, struct walk_result *r)
{
    walk_to_end(p, ps, va, a, from, r);
}

/*T:220 The page walk
 *
 * There is one walker for everybody: the CPU, the debugger, the personalities. It knows four
 * formats of page tables, sets the bits Accessed and Dirty with atomic operations, since another
 * CPU may change the entry at the same time, and says why a walk ended. `info pt ADDRESS` prints
 * what it found at each level.
 */
void walk(struct phys *p, const struct paging_state *ps, gva_t va, struct walk_access a,
          struct walk_result *r)
{
    if (ps->kind == PAGING_NONE) {
        *r = (struct walk_result){.ok = true,
                                  .gpa = va,
                                  .page_bytes = PAGE_SIZE,
                                  .user = true,
                                  .write = true,
                                  .exec = true,
                                  .dirty = true};
        return;
    }
    walk_to_end(p, ps, va, a, NULL, r);
}
