/*
 * tlb.h: translations from linear addresses to host pointers, two levels.
 *
 * First level: direct mapped, per access mode, separate tags for reads and writes, so that the hit
 * check is one subtraction and one compare which also covers page crossing:
 *
 *     va - tag <= 4096 - size   =>   address = host + (va - tag)
 *
 * (tags are kept negated, which lets the translator add them without touching the flags)
 *
 * A read tag exists only after the A bit is set, a write tag only after the D bit is set; pages
 * with MMIO, ROM (write), code (write), watchpoints never get one. A slot that is empty holds a tag
 * whose page has another index, so that nothing matches it.
 *
 * Second level: larger, keyed by page and generation; survives first-level flushes.
 */
#pragma once

#include "mmu/walk.h"

#define TLB_SLOTS 256u
#define TLB2_SLOTS 2048u
#define ITLB_SLOTS 64u

enum tlb_mode {
    TLB_KERNEL,    /* supervisor data access */
    TLB_KERNEL_AC, /* supervisor, SMAP suspended by EFLAGS.AC */
    TLB_USER,
    TLB_CHECKED, /* never filled: every access takes the slow path (#AC on, debugging) */
    TLB_MODES
};

struct tlb_l1 {
    u64 neg_r[TLB_SLOTS]; /* minus the page's linear address, for reads */
    u64 neg_w[TLB_SLOTS]; /* for writes */
    u8 *host[TLB_SLOTS]; /* of the page */
    bool global[TLB_SLOTS]; /* survives MOV CR3 */
};

struct tlb2_entry {
    gva_t page;
    gpa_t gpa; /* of the page, before A20; low bits: rights, see tlb.c */
    u8 *host;  /* of the page when it is RAM or ROM */
    u32 gen;   /* of struct tlb when it was filled; 0: empty */
};

struct itlb_entry {
    gva_t tag;
    gpa_t gpa;
};

struct tlb_stats {
    u64 miss, walk, flush_all, flush_page;
};

struct tlb {
    struct tlb_l1 l1[TLB_MODES];
    struct itlb_entry itlb[2][ITLB_SLOTS]; /* supervisor, user */
    struct tlb2_entry l2[TLB2_SLOTS];
    u32 gen, gen_global;
    u32 modes_used; /* bit m: l1[m] may hold something; bits 8, 9: itlb[0], itlb[1] */
    u64 large_2m[64], large_1g; /* which regions had pieces of large pages filled: hashed bitmaps */
    u64 exec_seen[64]; /* pages fetched from since the last full flush: hashed bitmap */
    /* Grow whenever a translation that code was fetched through may have changed: guards of jumps
     * between pages compare them. Global pages outlive MOV CR3. */
    u64 epoch, epoch_global;
    u16 writer; /* bit of the CPU in page_desc.writers; 0: no other CPU has a thread */
    bool never_hit; /* for tests: the first level stays empty, every access goes the slow way */
    struct tlb_stats stats;
};

static inline unsigned tlb_index(gva_t va)
{
    return (unsigned)(va >> PAGE_SHIFT) & (TLB_SLOTS - 1);
}

/* Is the page's translation a global one? */
bool tlb_is_global(const struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va);

void tlb_init(struct tlb *t);
void tlb_flush_all(struct tlb *t);       /* everything, global too */
void tlb_flush_nonglobal(struct tlb *t); /* MOV CR3 */
void tlb_flush_page(struct tlb *t, gva_t va);
/* No store to this page may take the fast path any more. */
void tlb_drop_write(struct tlb *t, struct phys *p, gpa_t gpa);

/* The quick way for data: when the second level answers and plain memory serves the access, fills
 * the first level and returns the host address of the byte; NULL: go through tlb_lookup. */
u8 *tlb_refill(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
               enum access kind, enum tlb_mode mode, bool user, bool ac);

struct tlb_fill {
    gpa_t gpa; /* of the byte, A20 applied */
    u8 *host;  /* host pointer to the byte when plain memory for this access, else NULL */
    u32 pfec;
    bool ok;
};

/* Translates, sets A and D, fills both levels where allowed. mode is one of enum tlb_mode. */
void tlb_lookup(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                enum access kind, enum tlb_mode mode, struct walk_access wa, struct tlb_fill *out);
