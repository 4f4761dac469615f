/*
 * kvm_clock.c: kvmclock: the time page, the wall clock page, and the pairing of both clocks.
 *
 * System time and TSC derive from the same virtual clock, so that a page stays right until the
 * guest writes its TSC; it is renewed once a second to shed the rounding of its 32-bit scale.
 *
 * Specification: Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_WALL_CLOCK_NEW,
 * MSR_KVM_SYSTEM_TIME_NEW), hypercalls.rst (KVM_HC_CLOCK_PAIRING).
 *
 * Not implemented: PVCLOCK_GUEST_STOPPED: virtual time stands still while the VM is stopped, and
 * the guest's watchdogs with it.
 */
#include "base/bits.h"
#include "mmu/dma.h"
#include "pv/kvm.h"
#include "pv/pvclock.h"

#define RENEW_NS NS_PER_SEC

#define CLOCK_PAIRING_WALL 0
#define CLOCK_PAIRING_BYTES 64u

static void write_page(struct kvm_vcpu *v)
{
    struct pv_kvm *k = v->k;
    struct cpu *cpu = kvm_cpu(v);
    struct pvclock_time t = { .tsc = cpu_tsc(cpu) };

    t.system_ns = cpu_ns_at_tsc(cpu, t.tsc);
    pvclock_scale(cpu->tsc_khz, &t.mul, &t.shift);
    if (pv_has(&k->pv, KVM_F_CLOCK_STABLE))
        t.flags = PVCLOCK_TSC_STABLE;
    v->clock_updated_ns = t.system_ns;
    v->clock_tsc_offset = cpu->tsc_offset;
    if (!pvclock_write(k->pv.env.phys, v->system_time & ~KVM_MSR_ENABLED, &t))
        return;
    stat_count(&cpu->stats, STAT_PVCLOCK, SERVED_LEAF);
    pv_used(&k->pv, v->clock_feature);
    if (t.flags & PVCLOCK_TSC_STABLE)
        pv_used(&k->pv, KVM_F_CLOCK_STABLE);
}

void kvm_clock_write_system_time(struct kvm_vcpu *v, u64 value, enum kvm_feature by)
{
    v->system_time = value;
    v->clock_feature = by;
    if (value & KVM_MSR_ENABLED)
        write_page(v);
}

void kvm_clock_write_wall(struct pv_kvm *k, u64 value)
{
    k->wall_clock = value;
    if (value)
        pvclock_write_wall(k->pv.env.phys, value, k->pv.env.wall_base_ns);
}

void kvm_clock_enter(struct kvm_vcpu *v)
{
    if (!(v->system_time & KVM_MSR_ENABLED))
        return;
    if (v->clock_tsc_offset != kvm_cpu(v)->tsc_offset ||
        clock_now_ns(v->k->pv.env.clock) - v->clock_updated_ns >= RENEW_NS)
        write_page(v);
}

void kvm_clock_tsc_changed(struct pv *pv, struct cpu *cpu)
{
    struct kvm_vcpu *v = kvm_vcpu_of(kvm_of(pv), cpu);

    if (v->system_time & KVM_MSR_ENABLED)
        write_page(v);
}

u64 kvm_hc_clock_pairing(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    u8 pair[CLOCK_PAIRING_BYTES] = { 0 };
    u64 tsc, wall;

    if (!pv_has(pv, KVM_F_CLOCK_PAIRING))
        return KVM_ERROR(KVM_ENOSYS);
    if (arg[1] != CLOCK_PAIRING_WALL)
        return KVM_ERROR(KVM_EOPNOTSUPP);
    tsc = cpu_tsc(cpu);
    wall = pv->env.wall_base_ns + cpu_ns_at_tsc(cpu, tsc);
    st_le64(pair, wall / NS_PER_SEC);
    st_le64(pair + 8, wall % NS_PER_SEC);
    st_le64(pair + 16, tsc);
    if (!dma_write(pv->env.phys, arg[0], pair, sizeof pair))
        return KVM_ERROR(KVM_EFAULT);
    pv_used(pv, KVM_F_CLOCK_PAIRING);
    return 0;
}
