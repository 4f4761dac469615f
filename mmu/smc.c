/* smc.c: see smc.h. */
#include "mmu/smc.h"
#include "base/bits.h"

bool smc_mark(struct phys *p, gpa_t gpa, unsigned len)
{
    struct page_desc *d = phys_page(p, gpa);
    BUG_ON(!d || !len);
    unsigned off = (unsigned)(gpa & ~PAGE_MASK);
    unsigned first = off >> 6, last = (off + len - 1) >> 6;
    bool fresh = !d->code_granules;
    d->code_granules |= mask64(last + 1) & ~mask64(first);
    return fresh;
}

void smc_clear_page(struct phys *p, gpa_t gpa)
{
    struct page_desc *d = phys_page(p, gpa);
    if (d)
        d->code_granules = 0;
}
