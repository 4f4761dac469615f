/*
 * hyperv_vpset.c: hypercalls of the Hyper-V personality that act on a set of virtual processors:
 * TLB flushes and IPIs, with a mask or a sparse set.
 *
 * A processor that does not run guest code is flushed when it does again; only for those that run
 * now all stand still for a moment. More is flushed than what was asked for: all address spaces,
 * and beyond MAX_PAGES everything.
 *
 * Specification: TLFS HvCallFlushVirtualAddressSpace, HvCallFlushVirtualAddressList,
 * HvCallSendSyntheticClusterIpi, their Ex forms, HV_VP_SET.
 *
 * Not implemented: extended ranges of addresses (not offered: leaf 40000003h EDX[14]), virtual
 * trust levels other than 0.
 */
#include "base/bits.h"
#include "devices/lapic.h"
#include "pv/hyperv.h"

#define MAX_PAGES 64u

#define SET_SPARSE 0u
#define SET_ALL 1u

#define VTL_SAME 0x00u
#define VTL_ZERO 0x10u /* "use target VTL", which is 0 */

static u32 everyone(const struct pv *pv)
{
    return (u32)mask64(pv->env.cpus);
}

/* The set at `at` of the input's header: format, mask of banks; the banks follow the header. One
 * bank is 64 processors, and the first is all there are. */
static enum hv_status read_set(const struct pv *pv, const struct hv_input *in, unsigned at,
                               u32 *processors)
{
    u64 format = ld_le64(in->block + at), banks = ld_le64(in->block + at + 8);

    *processors = 0;
    if (format == SET_ALL) {
        *processors = everyone(pv);
        return HV_SUCCESS;
    }
    if (format != SET_SPARSE)
        return HV_INVALID_PARAMETER;
    if (in->banks != (unsigned)__builtin_popcountll(banks))
        return HV_INVALID_HYPERCALL_INPUT;
    if (banks & 1)
        *processors = (u32)ld_le64(in->block + at + 16) & everyone(pv);
    return HV_SUCCESS;
}

/* ---- TLB flushes ----------------------------------------------------------------------------- */

struct flush {
    const u8 *list; /* NULL: whole TLBs */
    unsigned count;
    bool global;
};

/* How many pages a list element names. */
static unsigned pages_of(u64 range)
{
    return (unsigned)(range & ~PAGE_MASK) + 1;
}

static void flush_whole(struct cpu *cpu, bool global)
{
    if (global)
        tlb_flush_all(&cpu->tlb);
    else
        tlb_flush_nonglobal(&cpu->tlb);
}

static void flush_now(struct cpu *cpu, const struct flush *f)
{
    /* Pages are dropped from the current space; others may have been left for it. */
    if (!f->list || (cpu->cr4 & CR4_PCIDE)) {
        flush_whole(cpu, f->global);
        return;
    }
    for (unsigned i = 0; i < f->count; i++) {
        u64 range = ld_le64(f->list + 8 * i);
        for (unsigned n = 0; n < pages_of(range); n++)
            tlb_flush_page(&cpu->tlb, (range & PAGE_MASK) + n * PAGE_SIZE);
    }
}

void hv_vpset_enter(struct hv_vcpu *v)
{
    if (!v->flush)
        return;
    flush_whole(hv_cpu(v), v->flush_global);
    v->flush = v->flush_global = false;
}

static void flush(struct pv_hyperv *h, struct cpu *caller, u32 processors, const struct flush *f)
{
    bool others = false;

    for (unsigned n = 0; n < h->pv.env.cpus; n++) {
        struct hv_vcpu *v = &h->vcpu[n];
        if (!(processors & BIT(n)))
            continue;
        if (v->inside) {
            others |= hv_cpu(v) != caller;
            continue;
        }
        v->flush = true;
        v->flush_global |= f->global;
        processors &= ~BIT(n);
    }
    if (others)
        smp_stop(caller->smp);
    for (unsigned n = 0; n < h->pv.env.cpus; n++)
        if (processors & BIT(n))
            flush_now(hv_cpu(&h->vcpu[n]), f);
    if (others)
        smp_resume(caller->smp);
}

/* Whole TLBs when pages would take longer. */
static struct flush plan(const struct hv_input *in, u64 flags, bool is_list)
{
    struct flush f = {.global = !(flags & HV_FLUSH_NON_GLOBAL_ONLY)};
    unsigned pages = 0;

    if (!is_list)
        return f;
    for (unsigned i = in->start; i < in->reps && pages <= MAX_PAGES; i++)
        pages += pages_of(ld_le64(in->list + 8 * i));
    if (pages <= MAX_PAGES) {
        f.list = in->list + 8 * in->start;
        f.count = in->reps - in->start;
    }
    return f;
}

/* Address space, flags, and a mask or a set of processors. */
u64 hv_hc_flush(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    static const struct hv_shape shapes[2][2] = {
        {{.header = 24}, {.header = 24, .element = 8}},
        {{.header = 32, .sparse = true}, {.header = 32, .element = 8, .sparse = true}},
    };
    u16 code = (u16)arg[0];
    bool is_list = code == HV_CALL_FLUSH_LIST || code == HV_CALL_FLUSH_LIST_EX;
    bool is_ex = code == HV_CALL_FLUSH_SPACE_EX || code == HV_CALL_FLUSH_LIST_EX;
    u64 known = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_SPACES | HV_FLUSH_NON_GLOBAL_ONLY, flags;
    struct hv_input in;
    enum hv_status bad;
    struct flush f;
    u32 processors;

    if (!pv_has(pv, HV_F_TLB_FLUSH) || (is_ex && !pv_has(pv, HV_F_EX_MASKS)))
        return HV_INVALID_HYPERCALL_CODE;
    bad = hv_calls_input(pv, cpu, arg, &shapes[is_ex][is_list], &in);
    if (bad)
        return bad;
    flags = ld_le64(in.block + 8);
    if ((flags & ~known) || (is_list && (flags & HV_FLUSH_NON_GLOBAL_ONLY)))
        return HV_INVALID_PARAMETER;
    processors = (u32)ld_le64(in.block + 16) & everyone(pv);
    if (is_ex && (bad = read_set(pv, &in, 16, &processors)))
        return bad;
    if (flags & HV_FLUSH_ALL_PROCESSORS)
        processors = everyone(pv);
    f = plan(&in, flags, is_list);
    flush(hv_of(pv), cpu, processors, &f);
    pv_used(pv, HV_F_TLB_FLUSH);
    if (is_ex)
        pv_used(pv, HV_F_EX_MASKS);
    return hv_result(HV_SUCCESS, in.reps);
}

/* ---- IPIs ------------------------------------------------------------------------------------ */

/* Vector, target VTL, and a mask or a set of processors. */
u64 hv_hc_send_ipi(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    static const struct hv_shape shapes[2] = {{.header = 16}, {.header = 24, .sparse = true}};
    bool is_ex = (u16)arg[0] == HV_CALL_SEND_IPI_EX;
    struct hv_input in;
    enum hv_status bad;
    u32 vector, processors;

    if (!pv_has(pv, HV_F_IPI) || (is_ex && !pv_has(pv, HV_F_EX_MASKS)))
        return HV_INVALID_HYPERCALL_CODE;
    bad = hv_calls_input(pv, cpu, arg, &shapes[is_ex], &in);
    if (bad)
        return bad;
    vector = ld_le32(in.block);
    if (vector < 0x10 || vector > 0xff || (in.block[4] != VTL_SAME && in.block[4] != VTL_ZERO))
        return HV_INVALID_PARAMETER;
    processors = (u32)ld_le64(in.block + 8) & everyone(pv);
    if (is_ex && (bad = read_set(pv, &in, 8, &processors)))
        return bad;
    for (unsigned n = 0; n < pv->env.cpus; n++)
        if ((processors & BIT(n)) && pv->env.lapic[n])
            lapic_accept(pv->env.lapic[n], APIC_FIXED, (u8)vector, false);
    pv_used(pv, HV_F_IPI);
    if (is_ex)
        pv_used(pv, HV_F_EX_MASKS);
    return HV_SUCCESS;
}
