/*
 * pvclock.c: see pvclock.h. Not here: when a page is written, and who registers it (kvm_clock.c).
 */
#include "pv/pvclock.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/err.h"
#include "mmu/dma.h"

void pvclock_scale(u64 khz, u32 *mul, s8 *shift)
{
    u64 hz = khz * 1000;
    int s = 0;

    BUG_ON(khz == 0 || khz > 1000000000000ull);
    /* mul = 2^32 * (NS_PER_SEC / hz) / 2^shift shall use all 32 bits and no more. */
    while (((u128)NS_PER_SEC << 32) / hz >> (32 + s) != 0)
        s++;
    while (s <= 0 && (((u128)NS_PER_SEC << (32 - s)) / hz) >> 31 == 0)
        s--;
    *mul = (u32)(s >= 0 ? ((u128)NS_PER_SEC << 32) / hz >> s : ((u128)NS_PER_SEC << (32 - s)) / hz);
    *shift = (s8)s;
}

u64 pvclock_read_ns(const struct pvclock_time *t, u64 tsc)
{
    u64 ticks = tsc - t->tsc;

    ticks = t->shift >= 0 ? ticks << t->shift : ticks >> -t->shift;
    return t->system_ns + (u64)((u128)ticks * t->mul >> 32);
}

/*T:730 Time from a page
 *
 * A clock in shared memory: the guest computes the time from its TSC and three numbers, without an
 * exit. Writer and reader are not synchronized by a lock; an odd version says that an update goes
 * on, and a reader that saw two different versions reads again.
 */
bool pvclock_write_versioned(struct phys *p, gpa_t gpa, const void *data, u64 len)
{
    u8 old[64];
    u32 odd;

    BUG_ON(len > sizeof old - 4);
    if (!dma_read(p, gpa, old, len + 4) || !dma_write(p, gpa, old, len + 4))
        return false;
    odd = ld_le32(old) | 1;
    dma_write32(p, gpa, odd);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write(p, gpa + 4, data, len);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write32(p, gpa, odd + 1);
    return true;
}

bool pvclock_write(struct phys *p, gpa_t gpa, const struct pvclock_time *t)
{
    u8 page[PVCLOCK_BYTES - 4] = { 0 }; /* from the padding after the version on */

    st_le64(page + 4, t->tsc);
    st_le64(page + 12, t->system_ns);
    st_le32(page + 20, t->mul);
    page[24] = (u8)t->shift;
    page[25] = t->flags;
    return pvclock_write_versioned(p, gpa, page, sizeof page);
}

bool pvclock_write_wall(struct phys *p, gpa_t gpa, u64 wall_ns)
{
    u8 page[PVCLOCK_WALL_BYTES - 4];

    st_le32(page, (u32)(wall_ns / NS_PER_SEC));
    st_le32(page + 4, (u32)(wall_ns % NS_PER_SEC));
    return pvclock_write_versioned(p, gpa, page, sizeof page);
}
