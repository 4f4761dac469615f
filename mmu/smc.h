/*
 * smc.h: which bytes of guest memory hold decoded code.
 *
 * A page that holds code loses its write tags (tlb.h), so every store to it takes the slow path,
 * which consults a bitmap of 64-byte granules: a store beside the code is a plain store, a store
 * into it calls phys.code_written. DMA goes the same way through dma.h.
 *
 * A page whose code keeps being written is called checked: it has no marks, stores to it are plain
 * ones, and whoever decodes code from it compares the bytes before each use (cpu/block.h).
 */
#pragma once

#include "mmu/phys.h"

/* Marks [gpa, gpa + len), within one page, as code. True when the page held none before: the caller
 * then drops its write tags from every TLB. Not for checked pages. */
bool smc_mark(struct phys *p, gpa_t gpa, unsigned len);
/* Forgets the page's marks; the caller has dropped all of its blocks. */
void smc_clear_page(struct phys *p, gpa_t gpa);

static inline bool smc_checked(const struct phys *p, gpa_t gpa)
{
    const struct page_desc *d = phys_page(p, gpa);
    return d && d->checked;
}

/* Tells that a store hit the page's code. True: now it is checked, and the caller drops all of its
 * blocks. `now` is a time that grows with the amount of code decoded, in any unit. */
bool smc_code_hit(struct phys *p, gpa_t gpa, u32 now);
/* How often checked code must have been entered unchanged before its page settles: more often if
 * the page became restless again soon after the last time. */
unsigned smc_patience(const struct phys *p, gpa_t gpa);
/* The page is an ordinary one again; the caller drops all of its blocks. */
void smc_settle(struct phys *p, gpa_t gpa, u32 now);
