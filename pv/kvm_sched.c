/*
 * kvm_sched.c: what the host's scheduling of the vCPU tells the guest: steal time, the preempted
 * flag and the TLB flush that rides on it, kicks and yields.
 *
 * Not here: what is stolen (steal.c).
 *
 * Specification: Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_STEAL_TIME), hypercalls.rst
 * (KVM_HC_KICK_CPU, KVM_HC_SCHED_YIELD).
 */
#include "base/bits.h"
#include "devices/lapic.h"
#include "mmu/dma.h"
#include "pv/kvm.h"

#define STEAL_RESERVED 0x3eull /* bits 5:1: the area is aligned to 64 bytes */

static bool is_recording(const struct kvm_vcpu *v)
{
    return v->steal_time & KVM_MSR_ENABLED;
}

static gpa_t steal_gpa(const struct kvm_vcpu *v)
{
    return v->steal_time & ~(KVM_MSR_ENABLED | STEAL_RESERVED);
}

static void write_steal(struct kvm_vcpu *v)
{
    struct phys *p = v->k->pv.env.phys;
    gpa_t gpa = steal_gpa(v);
    u8 area[KVM_STEAL_BYTES];
    u32 odd;

    if (!dma_read(p, gpa, area, sizeof area) || !dma_write(p, gpa, area, KVM_STEAL_PREEMPTED))
        return;
    odd = ld_le32(area + KVM_STEAL_VERSION) | 1;
    dma_write32(p, gpa + KVM_STEAL_VERSION, odd);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write64(p, gpa, v->steal.ns);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write32(p, gpa + KVM_STEAL_VERSION, odd + 1);
    pv_used(&v->k->pv, KVM_F_STEAL_TIME);
}

bool kvm_sched_write_steal_time(struct kvm_vcpu *v, u64 value)
{
    if (value & STEAL_RESERVED)
        return false;
    v->steal_time = value;
    if (is_recording(v)) {
        steal_open(&v->steal);
        write_steal(v);
    }
    return true;
}

/* Takes the preempted mark back and does what others asked for meanwhile: they set bits in it by
 * compare and exchange. */
static void clear_preempted(struct kvm_vcpu *v)
{
    u8 mark = 0;

    if (!dma_exchange8(v->k->pv.env.phys, steal_gpa(v) + KVM_STEAL_PREEMPTED, 0, &mark))
        return;
    if ((mark & KVM_VCPU_FLUSH_TLB) && pv_has(&v->k->pv, KVM_F_TLB_FLUSH)) {
        tlb_flush_all(&kvm_cpu(v)->tlb);
        pv_used(&v->k->pv, KVM_F_TLB_FLUSH);
    }
}

/* True: a kick ends the HLT. */
static bool take_kick(struct kvm_vcpu *v)
{
    if (!v->kicked)
        return false;
    v->kicked = false;
    kvm_cpu(v)->halted = false;
    pv_used(&v->k->pv, KVM_F_PV_UNHALT);
    return true;
}

void kvm_sched_enter(struct kvm_vcpu *v)
{
    bool stolen;

    if (kvm_cpu(v)->halted)
        take_kick(v);
    if (!is_recording(v))
        return;
    stolen = steal_enter(&v->steal);
    clear_preempted(v);
    if (stolen)
        write_steal(v);
}

void kvm_sched_leave(struct kvm_vcpu *v, bool halted)
{
    u8 mark;

    halted = halted && !take_kick(v);
    if (!is_recording(v))
        return;
    steal_leave(&v->steal, halted);
    dma_exchange8(v->k->pv.env.phys, steal_gpa(v) + KVM_STEAL_PREEMPTED, KVM_VCPU_PREEMPTED, &mark);
}

/* RCX: the APIC ID. A vCPU that is not halted now does not sleep in its next HLT. */
u64 kvm_hc_kick_cpu(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct kvm_vcpu *target = kvm_irq_find_vcpu(kvm_of(pv), (u32)arg[1]);

    if (!pv_has(pv, KVM_F_PV_UNHALT))
        return KVM_ERROR(KVM_ENOSYS);
    if (!target)
        return 0;
    target->kicked = true;
    if (kvm_cpu(target) != cpu)
        cpu_request(kvm_cpu(target), REQ_EXIT); /* out of HLT and in again */
    return 0;
}

/* RBX: the APIC ID of whom the caller waits for. To oneself, or to nobody, is no yield. */
u64 kvm_hc_sched_yield(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct kvm_vcpu *target = kvm_irq_find_vcpu(kvm_of(pv), (u32)arg[0]);

    if (!pv_has(pv, KVM_F_SCHED_YIELD))
        return KVM_ERROR(KVM_ENOSYS);
    if (target && kvm_cpu(target) != cpu && pv->env.yield_to) {
        pv->env.yield_to(pv->env.opaque, target->n);
        pv_used(pv, KVM_F_SCHED_YIELD);
    }
    return 0;
}
