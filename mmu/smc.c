/* smc.c: see smc.h. */
#include "mmu/smc.h"
#include "base/bits.h"

#define HITS_MAX 8u      /* stores into code after which a page is checked */
#define PATIENCE 16u     /* entries; doubles with each */
#define LEVEL_MAX 8u     /* soon repeated */
#define SOON 4096u       /* in units of `now` */

/*T:240 Code that is written to
 *
 * x86 lets a program change its own code, and the change holds at the next instruction. Whoever
 * keeps decoded or translated code must notice. Each page has 64 bits, one per granule of 64 bytes
 * in which code was decoded; a store that hits one kills the blocks there. So on a page where code
 * and data lie mixed, as old programs have them, a store into the data kills nothing.
 */
bool smc_mark(struct phys *p, gpa_t gpa, unsigned len, unsigned cpu)
{
    struct page_desc *d = phys_page(p, gpa);
    BUG_ON(!d || !len || d->checked);
    unsigned off = (unsigned)(gpa & ~PAGE_MASK);
    unsigned first = off >> 6, last = (off + len - 1) >> 6;
    pthread_mutex_lock(&p->marks);
    u64 old = d->code_granules;
    __atomic_store_n(&d->code_granules, old | (mask64(last + 1) & ~mask64(first)),
                     __ATOMIC_SEQ_CST);
    d->coders |= (u16)BIT(cpu);
    pthread_mutex_unlock(&p->marks);
    return !old;
}

static void forget_marks(struct page_desc *d)
{
    __atomic_store_n(&d->code_granules, 0, __ATOMIC_RELAXED);
    d->coders = 0;
}

void smc_clear_page(struct phys *p, gpa_t gpa)
{
    struct page_desc *d = phys_page(p, gpa);
    if (d)
        forget_marks(d);
}

void smc_leave_page(struct phys *p, gpa_t gpa, unsigned cpu)
{
    struct page_desc *d = phys_page(p, gpa);
    if (!d)
        return;
    pthread_mutex_lock(&p->marks);
    d->coders &= (u16)~BIT(cpu);
    if (!d->coders)
        forget_marks(d);
    pthread_mutex_unlock(&p->marks);
}

u32 smc_take_writers(struct phys *p, gpa_t gpa, unsigned cpu)
{
    struct page_desc *d = phys_page(p, gpa);
    return d ? __atomic_exchange_n(&d->writers, 0, __ATOMIC_SEQ_CST) & ~BIT(cpu) : 0;
}

bool smc_code_hit(struct phys *p, gpa_t gpa, u32 now)
{
    struct page_desc *d = phys_page(p, gpa);
    if (!d || d->checked || ++d->hits < HITS_MAX)
        return false;
    bool soon = d->settled_at && now - d->settled_at < SOON;
    d->level = !soon ? 0 : d->level < LEVEL_MAX ? d->level + 1u : LEVEL_MAX;
    d->hits = 0;
    __atomic_store_n(&d->checked, true, __ATOMIC_RELAXED);
    forget_marks(d);
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
    __atomic_store_n(&d->checked, false, __ATOMIC_RELAXED);
    d->settled_at = now;
}
