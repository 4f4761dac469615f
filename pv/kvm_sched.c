/*
 * kvm_sched.c: what the host's scheduling of the vCPU tells the guest: steal time, the preempted
 * flag and the TLB flush that rides on it, kicks and yields.
 *
 * Stolen is the time in which the vCPU wanted to run and did not: between two slices of the run
 * loop (unless it was halted), and, when virtual time follows the host's, within a slice the time
 * that the host gave to someone else (wall time less the thread's CPU time). With CLOCK_ICOUNT the
 * host does not exist for the guest, and the second part is 0.
 *
 * Specification: Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_STEAL_TIME), hypercalls.rst
 * (KVM_HC_KICK_CPU, KVM_HC_SCHED_YIELD).
 */
#include "base/bits.h"
#include "base/host.h"
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

static struct clock *clock_of(const struct kvm_vcpu *v)
{
    return v->k->pv.env.clock;
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
    dma_write64(p, gpa, v->steal_ns);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write32(p, gpa + KVM_STEAL_VERSION, odd + 1);
    pv_used(&v->k->pv, KVM_F_STEAL_TIME);
}

/* Starts to account from now on. */
static void open_account(struct kvm_vcpu *v)
{
    v->entered_cpu_ns = clock_of(v)->mode == CLOCK_HOST ? host_thread_cpu_ns() : 0;
    v->entered_ns = clock_now_ns(clock_of(v));
    v->left_ns = v->entered_ns;
}

bool kvm_sched_write_steal_time(struct kvm_vcpu *v, u64 value)
{
    if (value & STEAL_RESERVED)
        return false;
    v->steal_time = value;
    if (is_recording(v)) {
        open_account(v);
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
    u64 left = v->left_ns, before = v->steal_ns;

    if (kvm_cpu(v)->halted)
        take_kick(v);
    if (!is_recording(v))
        return;
    v->steal_ns += v->stolen_inside_ns;
    v->stolen_inside_ns = 0;
    open_account(v);
    if (!v->left_halted)
        v->steal_ns += v->entered_ns - left;
    clear_preempted(v);
    if (v->steal_ns != before)
        write_steal(v);
}

void kvm_sched_leave(struct kvm_vcpu *v, bool halted)
{
    u64 ran, cpu_ns;
    u8 mark;

    v->left_halted = halted && !take_kick(v);
    if (!is_recording(v))
        return;
    v->left_ns = clock_now_ns(clock_of(v));
    if (clock_of(v)->mode == CLOCK_HOST) {
        ran = v->left_ns - v->entered_ns;
        cpu_ns = host_thread_cpu_ns() - v->entered_cpu_ns;
        v->stolen_inside_ns += ran > cpu_ns ? ran - cpu_ns : 0;
    }
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
