/*
 * kvm.h: the guest's interface of KVM: numbers, and the state of the personality. Private to the
 * files pv/kvm*.c and their tests.
 *
 * Linux Documentation/virt/kvm/x86/cpuid.rst, msr.rst, hypercalls.rst.
 */
#pragma once

#include "pv/lazy_eoi.h"
#include "pv/steal.h"

#define KVM_CPUID_SIGNATURE 0x40000000u
#define KVM_CPUID_FEATURES 0x40000001u
#define KVM_CPUID_TIMING 0x40000010u

#define MSR_KVM_WALL_CLOCK 0x11u
#define MSR_KVM_SYSTEM_TIME 0x12u
#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00u
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u
#define MSR_KVM_ASYNC_PF_EN 0x4b564d02u
#define MSR_KVM_STEAL_TIME 0x4b564d03u
#define MSR_KVM_PV_EOI_EN 0x4b564d04u
#define MSR_KVM_POLL_CONTROL 0x4b564d05u
#define MSR_KVM_ASYNC_PF_INT 0x4b564d06u
#define MSR_KVM_ASYNC_PF_ACK 0x4b564d07u

#define KVM_MSR_ENABLED 1ull

enum kvm_hypercall {
    KVM_HC_VAPIC_POLL_IRQ = 1,
    KVM_HC_KICK_CPU = 5,
    KVM_HC_CLOCK_PAIRING = 9,
    KVM_HC_SEND_IPI = 10,
    KVM_HC_SCHED_YIELD = 11,
};

/* Results are negated errors. */
#define KVM_EPERM 1
#define KVM_EFAULT 14
#define KVM_EINVAL 22
#define KVM_EOPNOTSUPP 95
#define KVM_ENOSYS 1000
#define KVM_ERROR(e) ((u64) - (s64)(e))

/* Rows of kvm_features. */
enum kvm_feature {
    KVM_F_CLOCK, KVM_F_NOP_IO_DELAY, KVM_F_CLOCK2, KVM_F_ASYNC_PF, KVM_F_STEAL_TIME, KVM_F_PV_EOI,
    KVM_F_PV_UNHALT, KVM_F_TLB_FLUSH, KVM_F_SEND_IPI, KVM_F_POLL_CONTROL, KVM_F_SCHED_YIELD,
    KVM_F_CLOCK_PAIRING, KVM_F_CLOCK_STABLE, KVM_F_TIMING_LEAF, KVM_F_COUNT
};

/* The steal-time area: u64 steal, u32 version, u32 flags, u8 preempted. */
#define KVM_STEAL_BYTES 64u
#define KVM_STEAL_VERSION 8u
#define KVM_STEAL_PREEMPTED 16u
#define KVM_VCPU_PREEMPTED BIT(0)
#define KVM_VCPU_FLUSH_TLB BIT(1)

struct pv_kvm;

/* What belongs to one vCPU. */
struct kvm_vcpu {
    struct pv_kvm *k;
    unsigned n;         /* number of the vCPU */
    u64 system_time;    /* MSRs as written */
    u64 async_pf, async_pf_int, steal_time, pv_eoi, poll_control;

    enum kvm_feature clock_feature; /* by which pair of MSRs the time page was registered */
    u64 clock_updated_ns;
    s64 clock_tsc_offset;

    struct steal steal;

    struct lazy_eoi eoi;

    bool kicked;        /* KICK_CPU came while it was not halted */
};

struct pv_kvm {
    struct pv pv;
    u64 wall_clock;     /* MSR as written */
    struct kvm_vcpu vcpu[SMP_MAX];
};

extern const struct pv_personality pv_kvm;

static inline struct pv_kvm *kvm_of(struct pv *pv)
{
    return container_of(pv, struct pv_kvm, pv);
}

static inline struct kvm_vcpu *kvm_vcpu_of(struct pv_kvm *k, const struct cpu *cpu)
{
    return &k->vcpu[cpu->id];
}

static inline struct cpu *kvm_cpu(const struct kvm_vcpu *v)
{
    return v->k->pv.env.cpu[v->n];
}

/* kvm_clock.c */
void kvm_clock_write_wall(struct pv_kvm *k, u64 value);
void kvm_clock_write_system_time(struct kvm_vcpu *v, u64 value, enum kvm_feature by);
void kvm_clock_enter(struct kvm_vcpu *v);
void kvm_clock_tsc_changed(struct pv *pv, struct cpu *cpu);
u64 kvm_hc_clock_pairing(struct pv *pv, struct cpu *cpu, const u64 arg[4]);

/* kvm_sched.c; the write is false: #GP */
bool kvm_sched_write_steal_time(struct kvm_vcpu *v, u64 value);
void kvm_sched_enter(struct kvm_vcpu *v);
void kvm_sched_leave(struct kvm_vcpu *v, bool halted);
u64 kvm_hc_kick_cpu(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 kvm_hc_sched_yield(struct pv *pv, struct cpu *cpu, const u64 arg[4]);

/* kvm_irq.c; the writes are false: #GP */
void kvm_irq_attach(struct pv_kvm *k);
void kvm_irq_detach(struct pv_kvm *k);
bool kvm_irq_write_pv_eoi(struct kvm_vcpu *v, u64 value);
bool kvm_irq_write_async_pf(struct kvm_vcpu *v, u64 value);
bool kvm_irq_write_async_pf_int(struct kvm_vcpu *v, u64 value);
u64 kvm_hc_send_ipi(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
/* The vCPU of `apic_id`; NULL: there is none. */
struct kvm_vcpu *kvm_irq_find_vcpu(struct pv_kvm *k, u32 apic_id);
