/*
 * kvm_sched.c: what the host's scheduling of the vCPU tells the guest: steal time, the preempted
 * flag and the TLB flush that rides on it, kicks and yields.
 *
 * Stolen is the time in which the vCPU wanted to run and did not: between two slices of the run
 * loop (unless it was halted), and, when virtual time follows the host's, within a slice the time
 * that the host gave to someone else (wall time less the process's CPU time). With CLOCK_ICOUNT the
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

static bool is_recording(const struct pv_kvm *k)
{
    return k->vcpu.steal_time & KVM_MSR_ENABLED;
}

static gpa_t steal_gpa(const struct pv_kvm *k)
{
    return k->vcpu.steal_time & ~(KVM_MSR_ENABLED | STEAL_RESERVED);
}

static void write_steal(struct pv_kvm *k)
{
    struct phys *p = k->pv.env.phys;
    gpa_t gpa = steal_gpa(k);
    u8 area[KVM_STEAL_BYTES];
    u32 odd;

    if (!dma_read(p, gpa, area, sizeof area) || !dma_write(p, gpa, area, sizeof area))
        return;
    odd = ld_le32(area + KVM_STEAL_VERSION) | 1;
    dma_write32(p, gpa + KVM_STEAL_VERSION, odd);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write64(p, gpa, k->vcpu.steal_ns);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write32(p, gpa + KVM_STEAL_VERSION, odd + 1);
    pv_used(&k->pv, KVM_F_STEAL_TIME);
}

/* Starts to account from now on. */
static void open_account(struct pv_kvm *k)
{
    struct kvm_vcpu *v = &k->vcpu;

    v->entered_cpu_ns = k->pv.env.clock->mode == CLOCK_HOST ? host_cpu_ns() : 0;
    v->entered_ns = clock_now_ns(k->pv.env.clock);
    v->left_ns = v->entered_ns;
}

bool kvm_sched_write_steal_time(struct pv_kvm *k, u64 value)
{
    if (value & STEAL_RESERVED)
        return false;
    k->vcpu.steal_time = value;
    if (is_recording(k)) {
        open_account(k);
        write_steal(k);
    }
    return true;
}

/* Takes the preempted mark back and does what others asked for meanwhile. */
static void clear_preempted(struct pv_kvm *k, struct cpu *cpu)
{
    u8 mark = 0;

    if (!dma_read(k->pv.env.phys, steal_gpa(k) + KVM_STEAL_PREEMPTED, &mark, 1) || !mark)
        return;
    dma_fill(k->pv.env.phys, steal_gpa(k) + KVM_STEAL_PREEMPTED, 0, 1);
    if ((mark & KVM_VCPU_FLUSH_TLB) && pv_has(&k->pv, KVM_F_TLB_FLUSH)) {
        tlb_flush_all(&cpu->tlb);
        pv_used(&k->pv, KVM_F_TLB_FLUSH);
    }
}

void kvm_sched_enter(struct pv_kvm *k, struct cpu *cpu)
{
    struct kvm_vcpu *v = &k->vcpu;
    u64 left = v->left_ns, before = v->steal_ns;

    if (!is_recording(k))
        return;
    v->steal_ns += v->stolen_inside_ns;
    v->stolen_inside_ns = 0;
    open_account(k);
    if (!v->left_halted)
        v->steal_ns += v->entered_ns - left;
    clear_preempted(k, cpu);
    if (v->steal_ns != before)
        write_steal(k);
}

void kvm_sched_leave(struct pv_kvm *k, struct cpu *cpu, bool halted)
{
    struct kvm_vcpu *v = &k->vcpu;
    u64 ran, cpu_ns;

    if (halted && v->kicked) {
        v->kicked = false;
        cpu->halted = false;
        halted = false;
        pv_used(&k->pv, KVM_F_PV_UNHALT);
    }
    v->left_halted = halted;
    if (!is_recording(k))
        return;
    v->left_ns = clock_now_ns(k->pv.env.clock);
    if (k->pv.env.clock->mode == CLOCK_HOST) {
        ran = v->left_ns - v->entered_ns;
        cpu_ns = host_cpu_ns() - v->entered_cpu_ns;
        v->stolen_inside_ns += ran > cpu_ns ? ran - cpu_ns : 0;
    }
    dma_fill(k->pv.env.phys, steal_gpa(k) + KVM_STEAL_PREEMPTED, KVM_VCPU_PREEMPTED, 1);
}

/* RCX: the APIC ID. A vCPU that is not halted now does not sleep in its next HLT. */
u64 kvm_hc_kick_cpu(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct pv_kvm *k = kvm_of(pv);

    (void)cpu;
    if (!pv_has(pv, KVM_F_PV_UNHALT))
        return KVM_ERROR(KVM_ENOSYS);
    if (kvm_irq_find_lapic(k, (u32)arg[1]) == pv->env.lapic && pv->env.lapic)
        k->vcpu.kicked = true;
    return 0;
}

/* RBX: the APIC ID of whom the caller waits for. To oneself, or to nobody, is no yield. */
u64 kvm_hc_sched_yield(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct lapic *target = kvm_irq_find_lapic(kvm_of(pv), (u32)arg[0]);

    (void)cpu;
    if (!pv_has(pv, KVM_F_SCHED_YIELD))
        return KVM_ERROR(KVM_ENOSYS);
    if (target && target != pv->env.lapic && pv->env.yield_to) {
        pv->env.yield_to(pv->env.opaque, (u32)arg[0]);
        pv_used(pv, KVM_F_SCHED_YIELD);
    }
    return 0;
}
