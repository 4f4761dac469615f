/*
 * xen_time.c: time of the Xen personality: the time page in each vcpu_info, its copy for user space,
 * and the wall clock in shared_info. The page is that of pvclock.h.
 *
 * Specification: Xen public/xen.h (vcpu_time_info, shared_info), public/vcpu.h
 * (VCPUOP_register_vcpu_time_memory_area).
 */
#include "base/bits.h"
#include "mmu/dma.h"
#include "pv/pvclock.h"
#include "pv/xen/xen.h"

#define RENEW_NS NS_PER_SEC /* sheds the rounding of the page's scale */
#define INFO_TIME 32u
#define SHARED_WALL_64 3072u
#define SHARED_WALL_32 2304u
#define WALL_HIGH_64 12u /* wc_sec_hi, from the version on */
#define WALL_HIGH_32 36u

u64 xen_time_now(struct pv_xen *x)
{
    return clock_now_ns(x->pv.env.clock);
}

static bool write_page(struct xen_vcpu *v, gpa_t gpa, const struct pvclock_time *t)
{
    struct pv_xen *x = v->x;

    if (!pvclock_write(x->pv.env.phys, gpa, t))
        return false;
    stat_count(&xen_cpu(v)->stats, STAT_PVCLOCK, SERVED_LEAF);
    pv_used(&x->pv, XEN_F_PVCLOCK);
    if (t->flags & PVCLOCK_TSC_STABLE)
        pv_used(&x->pv, XEN_F_CLOCK_STABLE);
    return true;
}

void xen_time_write(struct xen_vcpu *v)
{
    struct pv_xen *x = v->x;
    struct cpu *cpu = xen_cpu(v);
    struct pvclock_time t = {.tsc = cpu_tsc(cpu)};
    gpa_t info = v->info_moved ? v->info_gpa : x->shared_info.gpa + 64 * v->n;

    if (!pv_has(&x->pv, XEN_F_PVCLOCK))
        return;
    t.system_ns = cpu_ns_at_tsc(cpu, t.tsc);
    pvclock_scale(cpu->tsc_khz, &t.mul, &t.shift);
    if (pv_has(&x->pv, XEN_F_CLOCK_STABLE))
        t.flags = PVCLOCK_TSC_STABLE;
    v->time_updated_ns = t.system_ns;
    v->time_tsc_offset = cpu->tsc_offset;
    if (v->info_moved || x->shared_info.placed)
        write_page(v, info + INFO_TIME, &t);
    if (v->time_area.len[0])
        write_page(v, v->time_area.gpa[0], &t);
}

void xen_time_enter(struct xen_vcpu *v)
{
    if (v->time_tsc_offset != xen_cpu(v)->tsc_offset ||
        xen_time_now(v->x) - v->time_updated_ns >= RENEW_NS)
        xen_time_write(v);
}

void xen_time_write_wall(struct pv_xen *x)
{
    u64 wall = x->pv.env.wall_base_ns;
    gpa_t at = x->shared_info.gpa + (x->wide ? SHARED_WALL_64 : SHARED_WALL_32);

    if (!x->shared_info.placed)
        return;
    pvclock_write_wall(x->pv.env.phys, at, wall);
    dma_write32(x->pv.env.phys, at + (x->wide ? WALL_HIGH_64 : WALL_HIGH_32),
                (u32)(wall / NS_PER_SEC >> 32));
}
