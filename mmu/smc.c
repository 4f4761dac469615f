/* smc.c: see smc.h. */
#include "mmu/smc.h"
#include "base/bits.h"

#define HITS_MAX 8u      /* stores into code after which a page is checked */
#define PATIENCE 16u     /* entries; doubles with each */
#define LEVEL_MAX 8u     /* soon repeated */
#define SOON 4096u       /* in units of `now` */

bool smc_mark(struct phys *p, gpa_t gpa, unsigned len)
{
    struct page_desc *d = phys_page(p, gpa);
    BUG_ON(!d || !len || d->checked);
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

bool smc_code_hit(struct phys *p, gpa_t gpa, u32 now)
{
    struct page_desc *d = phys_page(p, gpa);
    if (!d || d->checked || ++d->hits < HITS_MAX)
        return false;
    bool soon = d->settled_at && now - d->settled_at < SOON;
    d->level = !soon ? 0 : d->level < LEVEL_MAX ? d->level + 1u : LEVEL_MAX;
    d->hits = 0;
    d->checked = true;
    d->code_granules = 0;
    return true;
}

unsigned smc_patience(const struct phys *p, gpa_t gpa)
{
    const struct page_desc *d = phys_page(p, gpa);
    return d ? PATIENCE << d->level : PATIENCE;
}

void smc_settle(struct phys *p, gpa_t gpa, u32 now)
{
    struct page_desc *d = phys_page(p, gpa);
    if (!d || !d->checked)
        return;
    d->checked = false;
    d->settled_at = now;
}
