/*
 * hyperv_time.c: time in the Hyper-V personality: the reference counter, the page that derives it
 * from the TSC, and how long a processor has run.
 *
 * The counter is virtual time in units of 100 ns, and the TSC derives from the same clock, so that
 * the page stays right until a guest writes a TSC. It is one page for all processors: while their
 * TSCs differ, its sequence is 0, which sends the guest to the counter's MSR.
 *
 * Specification: TLFS "Timers", "Virtual Processor Run Time Register".
 */
#include "base/bits.h"
#include "base/host.h"
#include "mmu/dma.h"
#include "pv/hyperv.h"

#define UNITS_PER_MS 10000u

#define PAGE_SEQUENCE 0u
#define PAGE_SCALE 8u
#define PAGE_OFFSET 16u
#define SEQUENCE_INVALID 0u
#define SEQUENCE_LAST 0xfffffffeu /* FFFFFFFFh was "invalid" once */

static u64 scaled(const struct pv_hyperv *h, u64 tsc)
{
    return (u64)((u128)tsc * h->tsc_scale >> 64) + (u64)h->tsc_add;
}

/* The same computation as the guest's with the page, so that neither runs ahead of the other. */
u64 hv_time_reference(struct pv_hyperv *h)
{
    u64 now = h->tsc_scale ? scaled(h, cpu_tsc(h->pv.env.cpu[0]))
                           : clock_now_ns(h->pv.env.clock) / HV_UNIT_NS;

    if (h->last_reference < now)
        h->last_reference = now;
    return h->last_reference;
}

/* ---- the reference TSC page ------------------------------------------------------------------ */

/* Is there one TSC, fast enough for a scale below 1? */
static bool page_can_be_right(const struct pv_hyperv *h)
{
    const struct pv_env *env = &h->pv.env;

    for (unsigned n = 1; n < env->cpus; n++)
        if (env->cpu[n]->tsc_offset != env->cpu[0]->tsc_offset)
            return false;
    return env->cpu[0]->tsc_khz > UNITS_PER_MS;
}

/* Finds scale and addend anew. Both are rounded down: the counter is never ahead of virtual time.
 */
static void measure(struct pv_hyperv *h)
{
    struct cpu *cpu = h->pv.env.cpu[0];
    u64 tsc;

    h->tsc_scale = 0;
    h->tsc_add = 0;
    if (!page_can_be_right(h))
        return;
    h->tsc_scale = (u64)(((u128)UNITS_PER_MS << 64) / cpu->tsc_khz);
    if (!cpu->tsc_offset)
        return;
    tsc = cpu_tsc(cpu);
    h->tsc_add = (s64)((u64)((u128)(tsc - (u64)cpu->tsc_offset) * UNITS_PER_MS / cpu->tsc_khz) -
                       scaled(h, tsc) - 1);
}

static void publish(struct pv_hyperv *h)
{
    struct phys *p = h->pv.env.phys;
    gpa_t gpa = HV_PAGE_GPA(h->reference_tsc);
    u8 invalid[PAGE_OFFSET + 8] = {0};

    if (!(h->reference_tsc & HV_PAGE_ENABLED) || !dma_write(p, gpa, invalid, sizeof invalid))
        return;
    if (!h->tsc_scale)
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write64(p, gpa + PAGE_SCALE, h->tsc_scale);
    dma_write64(p, gpa + PAGE_OFFSET, (u64)h->tsc_add);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    h->tsc_sequence = h->tsc_sequence >= SEQUENCE_LAST ? 1 : h->tsc_sequence + 1;
    dma_write32(p, gpa + PAGE_SEQUENCE, h->tsc_sequence);
    stat_count(&h->pv.env.cpu[0]->stats, STAT_PVCLOCK, SERVED_LEAF);
    pv_used(&h->pv, HV_F_REF_TSC);
}

void hv_time_write_page(struct pv_hyperv *h, u64 value)
{
    h->reference_tsc = value;
    publish(h);
}

void hv_time_tsc_changed(struct pv *pv, struct cpu *cpu)
{
    (void)cpu;
    measure(hv_of(pv));
    publish(hv_of(pv));
}

void hv_time_attach(struct pv_hyperv *h)
{
    h->reference_tsc = 0;
    measure(h);
}

/* ---- run time -------------------------------------------------------------------------------- */

/* Of the host's processor where virtual time follows the host's, else virtual time itself. */
static u64 run_clock_ns(const struct hv_vcpu *v)
{
    struct clock *c = v->h->pv.env.clock;
    return c->mode == CLOCK_HOST ? host_thread_cpu_ns() : clock_now_ns(c);
}

void hv_time_enter(struct hv_vcpu *v)
{
    v->entered_ns = run_clock_ns(v);
}

void hv_time_leave(struct hv_vcpu *v)
{
    v->runtime_ns += run_clock_ns(v) - v->entered_ns;
}

u64 hv_time_runtime(struct hv_vcpu *v)
{
    u64 slice = v->inside ? run_clock_ns(v) - v->entered_ns : 0;
    return (v->runtime_ns + slice) / HV_UNIT_NS;
}
