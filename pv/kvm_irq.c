/*
 * kvm_irq.c: interrupts of the KVM personality: EOI in memory, multicast IPIs, async page faults.
 *
 * Specification: Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_PV_EOI_EN, MSR_KVM_ASYNC_PF_*),
 * hypercalls.rst (KVM_HC_SEND_IPI).
 *
 * Async page faults are an interface without events here: guest RAM is resident as far as the
 * guest can tell, so that "page not present" never occurs and no token is ever sent. The MSRs
 * behave as documented, which is all that a guest can see of a host that never swaps.
 */
#include "base/bits.h"
#include "devices/lapic.h"
#include "mmu/dma.h"
#include "pv/kvm.h"

#define PV_EOI_RESERVED 2ull /* the word is aligned to 4 bytes */

#define ASYNC_PF_RESERVED 0x30ull
#define ASYNC_PF_ALIGN 0x3full
#define ASYNC_PF_BYTES 68u

#define ICR_MODE(icr) ((u8)((icr) >> 8 & 7))
#define ICR_DEST_OR_SHORTHAND (BIT64(11) | 3ull << 18)

/* ---- EOI in memory --------------------------------------------------------------------------- */

void kvm_irq_attach(struct pv_kvm *k)
{
    for (unsigned n = 0; n < k->pv.env.cpus; n++) {
        lazy_eoi_init(&k->vcpu[n].eoi, &k->pv, n, KVM_F_PV_EOI);
        if (k->pv.env.lapic[n] && pv_has(&k->pv, KVM_F_PV_EOI))
            k->pv.env.lapic[n]->pv = lazy_eoi_hooks(&k->vcpu[n].eoi);
    }
}

void kvm_irq_detach(struct pv_kvm *k)
{
    for (unsigned n = 0; n < k->pv.env.cpus; n++)
        if (k->pv.env.lapic[n] && k->pv.env.lapic[n]->pv.opaque == &k->vcpu[n].eoi)
            k->pv.env.lapic[n]->pv = (struct lapic_pv){ 0 };
}

bool kvm_irq_write_pv_eoi(struct kvm_vcpu *v, u64 value)
{
    if (value & PV_EOI_RESERVED)
        return false;
    v->pv_eoi = value;
    v->eoi.enabled = value & KVM_MSR_ENABLED;
    v->eoi.gpa = value & ~(KVM_MSR_ENABLED | PV_EOI_RESERVED);
    return true;
}

/* ---- async page faults ----------------------------------------------------------------------- */

bool kvm_irq_write_async_pf(struct kvm_vcpu *v, u64 value)
{
    u8 area[ASYNC_PF_BYTES];

    if (value & ASYNC_PF_RESERVED)
        return false;
    if ((value & KVM_MSR_ENABLED) &&
        !dma_read(v->k->pv.env.phys, value & ~ASYNC_PF_ALIGN, area, sizeof area))
        return false;
    v->async_pf = value;
    if (value & KVM_MSR_ENABLED)
        pv_used(&v->k->pv, KVM_F_ASYNC_PF);
    return true;
}

bool kvm_irq_write_async_pf_int(struct kvm_vcpu *v, u64 value)
{
    if (value > 0xff)
        return false;
    v->async_pf_int = value;
    return true;
}

/* ---- multicast IPIs -------------------------------------------------------------------------- */

static struct lapic *lapic_at(struct pv_kvm *k, unsigned n)
{
    struct lapic *own = k->pv.env.lapic[0];

    if (own && own->bus)
        return n < own->bus->cpus ? own->bus->cpu[n] : NULL;
    return n == 0 ? own : NULL;
}

struct kvm_vcpu *kvm_irq_find_vcpu(struct pv_kvm *k, u32 apic_id)
{
    for (unsigned n = 0; n < k->pv.env.cpus; n++)
        if (k->pv.env.lapic[n] && lapic_id(k->pv.env.lapic[n]) == apic_id)
            return &k->vcpu[n];
    return NULL;
}

/* RBX, RCX: a bitmap of APIC IDs from RDX on, of two registers as wide as the caller's mode; RSI:
 * the low half of ICR. Returns how many CPUs accepted. */
u64 kvm_hc_send_ipi(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct pv_kvm *k = kvm_of(pv);
    unsigned width = cpu_in_code64(cpu) ? 64 : 32;
    u32 first = (u32)arg[2];
    u64 icr = arg[3], sent = 0;
    struct lapic *l;

    if (!pv_has(pv, KVM_F_SEND_IPI))
        return KVM_ERROR(KVM_ENOSYS);
    if (icr & ICR_DEST_OR_SHORTHAND)
        return KVM_ERROR(KVM_EINVAL);
    for (unsigned n = 0; (l = lapic_at(k, n)) != NULL; n++) {
        u32 id = lapic_id(l), bit = id - first;
        if (id < first || bit >= 2 * width || !(arg[bit / width] >> (bit % width) & 1))
            continue;
        sent += lapic_accept(l, ICR_MODE(icr), (u8)icr, false);
    }
    pv_used(pv, KVM_F_SEND_IPI);
    return sent;
}
