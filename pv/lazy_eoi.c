/* lazy_eoi.c: see lazy_eoi.h. */
#include "pv/lazy_eoi.h"
#include "base/bits.h"
#include "mmu/dma.h"

#define NO_EOI_REQUIRED 1u

void lazy_eoi_init(struct lazy_eoi *z, struct pv *pv, unsigned n, unsigned feature)
{
    *z = (struct lazy_eoi){.pv = pv, .n = n, .feature = feature};
}

/*T:720 The interrupt that needs no end
 *
 * Each interrupt costs the guest a write to the APIC, which a hypervisor has to intercept. Here the
 * hypervisor sets a bit in the guest's memory that says: clear this instead. When the guest has
 * cleared it, the next look at the APIC performs the end of interrupt. An exit has become a store.
 * The first lines below are the conditions under which that may be offered: think about what would
 * go wrong without each.
 */
/* Offers the guest to end `vector` by clearing a bit. Not when the I/O APICs wait for the EOI, and
 * not when another interrupt waits for it: those need to be told at once. */
static void offer(void *opaque, u8 vector, bool edge, bool more_pending)
{
    struct lazy_eoi *z = opaque;
    struct phys *p = z->pv->env.phys;
    u8 word;

    (void)vector;
    if (!z->enabled || !edge || more_pending)
        return;
    z->armed_gpa = z->gpa;
    if (!dma_read(p, z->armed_gpa, &word, 1))
        return;
    word |= NO_EOI_REQUIRED;
    z->armed = dma_write(p, z->armed_gpa, &word, 1);
}

/* Withdraws the offer; true: the guest had taken it. */
static bool take(void *opaque)
{
    struct lazy_eoi *z = opaque;
    struct phys *p = z->pv->env.phys;
    u8 word;

    if (!z->armed)
        return false;
    z->armed = false;
    if (!dma_read(p, z->armed_gpa, &word, 1))
        return false;
    if (!(word & NO_EOI_REQUIRED)) {
        pv_used(z->pv, z->feature);
        return true;
    }
    word &= (u8)~NO_EOI_REQUIRED;
    dma_write(p, z->armed_gpa, &word, 1);
    return false;
}

/* The guest may test and clear the bit without LOCK: only its own thread may touch it. */
static bool may_take(void *opaque)
{
    const struct lazy_eoi *z = opaque;
    const struct cpu *cpu = z->pv->env.cpu[z->n];
    return !z->armed || !cpu->shared || smp_current() == cpu;
}

struct lapic_pv lazy_eoi_hooks(struct lazy_eoi *z)
{
    return (struct lapic_pv){
        .opaque = z,
        .injected = offer,
        .eoi_taken = take,
        .may_ask = may_take,
    };
}
