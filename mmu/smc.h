/*
 * smc.h: which bytes of guest memory hold decoded code.
 *
 * A page that holds code loses its write tags (tlb.h), so every store to it takes the slow path,
 * which consults a bitmap of 64-byte granules: a store beside the code is a plain store, a store
 * into it calls phys.code_written. DMA goes the same way through dma.h.
 *
 * Several CPUs mark code each for itself. With threads, a store and the decoding of its bytes race:
 * who stores looks at the marks after the store (phys_wrote), who decodes marks first and looks at
 * the bytes again, and so one of them sees the other.
 *
 * A page whose code keeps being written is called checked: it has no marks, stores to it are plain
 * ones, and whoever decodes code from it compares the bytes before each use (cpu/block.h).
 */
#pragma once

#include "mmu/phys.h"

static inline u64 smc_granules(const struct page_desc *d)
{
    return __atomic_load_n(&d->code_granules, __ATOMIC_RELAXED);
}

/* Marks [gpa, gpa + len), within one page, as code of a CPU. True when the page held none before:
 * the caller then drops its write tags from every TLB. Not for checked pages. */
bool smc_mark(struct phys *p, gpa_t gpa, unsigned len, unsigned cpu);
/* Forgets the page's marks; all CPUs stand still, and each marks again what it has left. */
void smc_clear_page(struct phys *p, gpa_t gpa);
/* A CPU has dropped all of its blocks on the page. Marks may stay as long as others have some. */
void smc_leave_page(struct phys *p, gpa_t gpa, unsigned cpu);
/* The CPUs that may have write tags for the page, but for `cpu`, as bits; forgets them. */
u32 smc_take_writers(struct phys *p, gpa_t gpa, unsigned cpu);

static inline bool smc_checked(const struct phys *p, gpa_t gpa)
{
    const struct page_desc *d = phys_page(p, gpa);
    return d && __atomic_load_n(&d->checked, __ATOMIC_RELAXED);
}

/* Tells that a store hit the page's code. True: now it is checked, and the caller drops all blocks
 * of all CPUs, which stand still. `now` is a time that grows with the amount of code decoded, in any unit. */
bool smc_code_hit(struct phys *p, gpa_t gpa, u32 now);
/* How often checked code must have been entered unchanged before its page settles: more often if
 * the page became restless again soon after the last time. */
unsigned smc_patience(const struct phys *p, gpa_t gpa);
/* The page is an ordinary one again; the caller drops its blocks. What other CPUs have of it goes
 * on being compared. */
void smc_settle(struct phys *p, gpa_t gpa, u32 now);
