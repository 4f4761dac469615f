/*
 * kvm.c: the KVM personality: CPUID leaves, MSRs, hypercalls and the switches of its features.
 *
 * Not here: what the features do (kvm_clock.c, kvm_sched.c, kvm_irq.c).
 *
 * Specification: Linux Documentation/virt/kvm/x86/cpuid.rst, msr.rst, hypercalls.rst.
 *
 * A feature that is off is not there at all: its CPUID bit is clear, its MSRs fault as unknown ones
 * do, its hypercalls answer -KVM_ENOSYS. On by default is what can do something for as many vCPUs
 * as there are, whose memory is resident; the others are complete but idle then, and wait for +NAME.
 *
 * Not implemented: MMU_OP (removed from KVM), MSI_EXT_DEST_ID (the I/O APIC has 8-bit
 * destinations), HC_MAP_GPA_RANGE and MIGRATION_CONTROL (encrypted guests).
 */
#include "pv/kvm.h"
#include "base/bits.h"
#include "devices/lapic.h"

/*T:930 Exercise: what does a feature save?
 *
 * Each feature of a personality is a row with a switch. Run `parallax compare -each-feature` on a
 * guest, and explain the column of each: which class of exits went away, and what came instead?
 * Then switch off the one that saved most, and predict the numbers before you look.
 */
static const struct pv_feature kvm_features[] = {
    [KVM_F_CLOCK] = {
        .name = "kvmclock", .cpuid_bit = BIT(0), .def = true,
        .doc = "PIT, HPET, PM timer and CMOS reads: time from a page (MSRs 11h, 12h)",
        .evidence = "clocksource kvm-clock",
    },
    [KVM_F_NOP_IO_DELAY] = {
        .name = "nop-io-delay", .cpuid_bit = BIT(1), .def = true,
        .doc = "OUT to port 80h as a delay",
        .evidence = "fewer `out`; what is not done cannot be counted here",
    },
    [KVM_F_CLOCK2] = {
        .name = "kvmclock2", .cpuid_bit = BIT(3), .def = true,
        .doc = "as kvmclock, by MSRs 4b564d00h and 4b564d01h",
        .evidence = "kvm-clock: Using msrs 4b564d01 and 4b564d00",
    },
    [KVM_F_ASYNC_PF] = {
        .name = "async-pf", .cpuid_bit = BIT(4) | BIT(10) | BIT(14), .def = false,
        .doc = "stalls while the host brings a page in (never here: memory is resident)",
        .evidence = "row HYP of /proc/interrupts",
    },
    [KVM_F_STEAL_TIME] = {
        .name = "steal-time", .cpuid_bit = BIT(5), .def = true,
        .doc = "nothing; tells the time that the host took away",
        .evidence = "column st of vmstat",
    },
    [KVM_F_PV_EOI] = {
        .name = "pv-eoi", .cpuid_bit = BIT(6), .def = true,
        .doc = "APIC EOI writes: the guest clears a bit in memory instead",
    },
    [KVM_F_PV_UNHALT] = {
        .name = "pv-unhalt", .cpuid_bit = BIT(7), .def = true,
        .doc = "spinning for a lock: HLT until a kick",
        .evidence = "kvm-guest: PV spinlocks enabled (with more than one CPU)",
    },
    [KVM_F_TLB_FLUSH] = {
        .name = "pv-tlb-flush", .cpuid_bit = BIT(9), .def_smp = true,
        .doc = "flush IPIs to vCPUs that do not run (with more than one CPU)",
        .evidence = "kvm-guest: KVM setup pv remote TLB flush",
        .needs = BIT(KVM_F_STEAL_TIME),
    },
    [KVM_F_SEND_IPI] = {
        .name = "pv-send-ipi", .cpuid_bit = BIT(11), .def = true,
        .doc = "ICR writes: one call for up to 128 targets",
        .evidence = "kvm-guest: setup PV IPIs",
    },
    [KVM_F_POLL_CONTROL] = {
        .name = "poll-control", .cpuid_bit = BIT(12), .def = true,
        .doc = "the host's polling before it sleeps in HLT",
        .evidence = "cpuidle driver haltpoll",
    },
    [KVM_F_SCHED_YIELD] = {
        .name = "pv-sched-yield", .cpuid_bit = BIT(13), .def_smp = true,
        .doc = "waiting for a vCPU that does not run (with more than one CPU)",
        .evidence = "kvm-guest: setup PV sched yield",
        .needs = BIT(KVM_F_STEAL_TIME),
    },
    [KVM_F_CLOCK_PAIRING] = {
        .name = "clock-pairing", .def = true,
        .doc = "network time: hypercall 9 pairs the host's time with the TSC",
        .evidence = "/dev/ptp0 of ptp_kvm",
    },
    [KVM_F_CLOCK_STABLE] = {
        .name = "clocksource-stable", .cpuid_bit = BIT(24), .def = true,
        .doc = "the maximum over all vCPUs, and the system call of clock_gettime",
        .evidence = "no system call in clock_gettime",
        .needs = BIT(KVM_F_CLOCK) | BIT(KVM_F_CLOCK2),
    },
    [KVM_F_TIMING_LEAF] = {
        .name = "timing-leaf", .def = false,
        .doc = "calibration of TSC and APIC timer: CPUID 40000010h",
    },
    [KVM_F_COUNT] = { .name = NULL },
};

/* ---- CPUID ----------------------------------------------------------------------------------- */

static bool kvm_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4])
{
    u32 last = pv_has(pv, KVM_F_TIMING_LEAF) ? KVM_CPUID_TIMING : KVM_CPUID_FEATURES;

    (void)subleaf;
    if (leaf > last)
        return false;
    memset(r, 0, 4 * sizeof r[0]);
    switch (leaf) {
    case KVM_CPUID_SIGNATURE:
        r[0] = last;
        memcpy(&r[1], pv->p->signature, 12);
        break;
    case KVM_CPUID_FEATURES: r[0] = pv_cpuid_bits(pv); break;
    case KVM_CPUID_TIMING:
        r[0] = (u32)pv->env.cpu[0]->tsc_khz;
        r[1] = LAPIC_TIMER_HZ / 1000;
        pv_used(pv, KVM_F_TIMING_LEAF);
        break;
    default: break;
    }
    return true;
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

/* The feature that an MSR belongs to; -1: none. */
static int feature_of_msr(u32 msr)
{
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_SYSTEM_TIME: return KVM_F_CLOCK;
    case MSR_KVM_WALL_CLOCK_NEW:
    case MSR_KVM_SYSTEM_TIME_NEW: return KVM_F_CLOCK2;
    case MSR_KVM_ASYNC_PF_EN:
    case MSR_KVM_ASYNC_PF_INT:
    case MSR_KVM_ASYNC_PF_ACK: return KVM_F_ASYNC_PF;
    case MSR_KVM_STEAL_TIME: return KVM_F_STEAL_TIME;
    case MSR_KVM_PV_EOI_EN: return KVM_F_PV_EOI;
    case MSR_KVM_POLL_CONTROL: return KVM_F_POLL_CONTROL;
    default: return -1;
    }
}

static bool kvm_msr_read(struct pv *pv, struct cpu *cpu, u32 msr, u64 *value)
{
    const struct pv_kvm *k = kvm_of(pv);
    const struct kvm_vcpu *v = &k->vcpu[cpu->id];
    int f = feature_of_msr(msr);

    if (f < 0 || !pv_has(pv, (unsigned)f))
        return false;
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_NEW: *value = k->wall_clock; break;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_NEW: *value = v->system_time; break;
    case MSR_KVM_ASYNC_PF_EN: *value = v->async_pf; break;
    case MSR_KVM_ASYNC_PF_INT: *value = v->async_pf_int; break;
    case MSR_KVM_STEAL_TIME: *value = v->steal_time; break;
    case MSR_KVM_PV_EOI_EN: *value = v->pv_eoi; break;
    case MSR_KVM_POLL_CONTROL: *value = v->poll_control; break;
    default: *value = 0; break; /* MSR_KVM_ASYNC_PF_ACK */
    }
    return true;
}

static bool write_poll_control(struct kvm_vcpu *v, u64 value)
{
    if (value > 1)
        return false;
    v->poll_control = value;
    v->k->pv.host_polls = value;
    pv_used(&v->k->pv, KVM_F_POLL_CONTROL);
    return true;
}

/* False: #GP. */
static bool write_msr(struct kvm_vcpu *v, u32 msr, u64 value, enum kvm_feature f)
{
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_NEW: kvm_clock_write_wall(v->k, value); return true;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_NEW: kvm_clock_write_system_time(v, value, f); return true;
    case MSR_KVM_ASYNC_PF_EN: return kvm_irq_write_async_pf(v, value);
    case MSR_KVM_ASYNC_PF_INT: return kvm_irq_write_async_pf_int(v, value);
    case MSR_KVM_STEAL_TIME: return kvm_sched_write_steal_time(v, value);
    case MSR_KVM_PV_EOI_EN: return kvm_irq_write_pv_eoi(v, value);
    case MSR_KVM_POLL_CONTROL: return write_poll_control(v, value);
    default: return true; /* MSR_KVM_ASYNC_PF_ACK: no token is ever outstanding */
    }
}

static bool kvm_msr_write(struct pv *pv, struct cpu *cpu, u32 msr, u64 value, bool *gp)
{
    int f = feature_of_msr(msr);

    if (f < 0 || !pv_has(pv, (unsigned)f))
        return false;
    *gp = !write_msr(kvm_vcpu_of(kvm_of(pv), cpu), msr, value, (enum kvm_feature)f);
    return true;
}

/* ---- hypercalls ------------------------------------------------------------------------------ */

static const struct pv_hypercall kvm_hypercalls[] = {
    { KVM_HC_VAPIC_POLL_IRQ, "vapic-poll-irq", 0, 0, pv_null_call },
    { KVM_HC_KICK_CPU, "kick-cpu", 2, 0, kvm_hc_kick_cpu },
    { KVM_HC_CLOCK_PAIRING, "clock-pairing", 2, 0, kvm_hc_clock_pairing },
    { KVM_HC_SEND_IPI, "send-ipi", 4, 0, kvm_hc_send_ipi },
    { KVM_HC_SCHED_YIELD, "sched-yield", 1, 0, kvm_hc_sched_yield },
    { 0, NULL, 0, 0, NULL },
};

static u64 dispatch(struct pv *pv, struct cpu *cpu, u64 nr, const u64 arg[4])
{
    const struct pv_hypercall *row;

    if (cpu->cpl > 0)
        return KVM_ERROR(KVM_EPERM); /* before the number is looked at */
    row = pv_find_hypercall(pv, nr >> 32 ? ~0u : (u32)nr);
    return row ? row->fn(pv, cpu, arg) : KVM_ERROR(KVM_ENOSYS);
}

/*T:710 A hypercall
 *
 * VMCALL in a guest is a system call to the hypervisor: a number and arguments in registers, a
 * result in RAX. The personality has one table of its calls. Who may call is checked first: a user
 * program must not ask for what only its kernel may have.
 */
/* RAX: number; RBX, RCX, RDX, RSI: arguments; RAX: result. 32 bits of each outside 64-bit mode. */
static bool kvm_hypercall(struct pv *pv, struct cpu *cpu)
{
    u64 mask = cpu_in_code64(cpu) ? ~0ull : 0xffffffffull;
    u64 arg[4] = {
        cpu->gpr[RBX] & mask,
        cpu->gpr[RCX] & mask,
        cpu->gpr[RDX] & mask,
        cpu->gpr[RSI] & mask,
    };

    cpu->gpr[RAX] = dispatch(pv, cpu, cpu->gpr[RAX] & mask, arg) & mask;
    return true;
}

static void kvm_call(struct pv *pv, struct cpu *cpu, const struct pv_hypercall *row)
{
    const u64 arg[4] = {cpu->gpr[RBX], cpu->gpr[RCX], cpu->gpr[RDX], cpu->gpr[RSI]};

    cpu->gpr[RAX] = row->fn(pv, cpu, arg);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void kvm_reset(struct pv *pv)
{
    struct pv_kvm *k = kvm_of(pv);

    k->wall_clock = 0;
    for (unsigned n = 0; n < SMP_MAX; n++)
        k->vcpu[n] = (struct kvm_vcpu){ .k = k, .n = n, .poll_control = 1, .steal.clock = pv->env.clock };
    kvm_irq_attach(k);
}

static void kvm_destroy(struct pv *pv)
{
    kvm_irq_detach(kvm_of(pv));
}

static void kvm_enter(struct pv *pv, struct cpu *cpu)
{
    struct kvm_vcpu *v = kvm_vcpu_of(kvm_of(pv), cpu);

    kvm_clock_enter(v);
    kvm_sched_enter(v);
}

static void kvm_leave(struct pv *pv, struct cpu *cpu, bool halted)
{
    kvm_sched_leave(kvm_vcpu_of(kvm_of(pv), cpu), halted);
}

const struct pv_personality pv_kvm = {
    .name = "kvm",
    .doc = "KVM",
    .signature = "KVMKVMKVM",
    .features = kvm_features,
    .hypercalls = kvm_hypercalls,
    .size = sizeof(struct pv_kvm),
    .reset = kvm_reset,
    .destroy = kvm_destroy,
    .cpuid = kvm_cpuid,
    .msr_read = kvm_msr_read,
    .msr_write = kvm_msr_write,
    .hypercall = kvm_hypercall,
    .call = kvm_call,
    .enter = kvm_enter,
    .leave = kvm_leave,
    .tsc_changed = kvm_clock_tsc_changed,
};
