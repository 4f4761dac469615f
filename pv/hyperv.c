/*
 * hyperv.c: the Hyper-V personality: CPUID leaves, MSRs, and the switches of its features.
 *
 * Not here: what the features do (hyperv_*.c).
 *
 * Specification: Hypervisor Top Level Functional Specification (TLFS): "Feature and Interface
 * Discovery", "Virtual Processor Properties", "Partition Crash Enlightenment".
 *
 * A feature that is off is not there at all: its bits are clear, its MSRs fault as unknown ones do,
 * its hypercalls are invalid codes.
 *
 * Not implemented: VMBus and its devices, nested virtualization and trust levels (leaves 40000007h
 * to 4000000Ah are 0), statistics and debug registers, time-unhalted timers, reenlightenment (the TSC
 * never changes its rate), the TSC-invariant control.
 */
#include "pv/hyperv.h"
#include "base/bits.h"
#include "devices/lapic.h"
#include "mmu/dma.h"
#include <stdlib.h>

static const struct pv_feature hv_features[] = {
    [HV_F_HYPERCALL] = {
        .name = "hypercall", .def = true,
        .doc = "nothing by itself; without it Linux does not see Hyper-V",
        .evidence = "Hypervisor detected: Microsoft Hyper-V",
    },
    [HV_F_VP_INDEX] = {
        .name = "vp-index", .def = true,
        .doc = "nothing; numbers processors. Without it Linux does not see Hyper-V",
    },
    [HV_F_RESET] = {
        .name = "reset", .def = true,
        .doc = "the 8042, ACPI and triple faults as ways to a reset: MSR 40000003h",
    },
    [HV_F_RELAXED] = {
        .name = "relaxed", .def = true,
        .doc = "watchdogs that mistake a busy host for a dead guest",
        .evidence = "bit 5 of the hints in the kernel's log; what is not done cannot be counted",
    },
    [HV_F_VAPIC] = {
        .name = "vapic", .def = true,
        .doc = "the APIC page: EOI, ICR and TPR are MSRs",
        .evidence = "Hyper-V: Using enlightened APIC",
    },
    [HV_F_LAZY_EOI] = {
        .name = "lazy-eoi", .def = true,
        .doc = "APIC EOI writes: the guest clears a bit in the assist page instead",
        .needs = BIT(HV_F_VAPIC),
    },
    [HV_F_RUNTIME] = {
        .name = "runtime", .def = true,
        .doc = "nothing; tells how long a processor has run: MSR 40000010h",
    },
    [HV_F_REF_COUNTER] = {
        .name = "ref-counter", .def = true,
        .doc = "PIT, HPET and PM timer reads: MSR 40000020h",
        .evidence = "clocksource hyperv_clocksource_msr (without ref-tsc)",
    },
    [HV_F_REF_TSC] = {
        .name = "ref-tsc", .def = true,
        .doc = "the same without an exit: time from a page and the TSC",
        .evidence = "clocksource hyperv_clocksource_tsc_page",
        .needs = BIT(HV_F_REF_COUNTER),
    },
    [HV_F_FREQUENCIES] = {
        .name = "frequencies", .def = true,
        .doc = "calibration of TSC and APIC timer: MSRs 40000022h, 40000023h",
        .evidence = "Hyper-V: LAPIC Timer Frequency",
    },
    [HV_F_CRASH] = {
        .name = "crash", .def = true,
        .doc = "nothing; a panic's registers and message come out: MSRs 40000100h to 40000105h",
    },
    [HV_F_SYNIC] = {
        .name = "synic", .def = true,
        .doc = "interrupts without data: messages and event flags in pages",
        .evidence = "row HYP of /proc/interrupts (with VMBus only)",
    },
    [HV_F_STIMER] = {
        .name = "stimer", .def = true,
        .doc = "writes of the APIC timer's count: timers in units of the reference counter",
        .evidence = "clockevent Hyper-V clockevent",
        .needs = BIT(HV_F_REF_COUNTER),
    },
    [HV_F_STIMER_DIRECT] = {
        .name = "stimer-direct", .def = true,
        .doc = "the message of a synthetic timer: a vector instead",
        .evidence = "row HVS of /proc/interrupts",
        .needs = BIT(HV_F_STIMER),
    },
    [HV_F_XMM_INPUT] = {
        .name = "xmm-input", .def = true,
        .doc = "memory for the input of hypercalls: XMM registers",
        .needs = BIT(HV_F_HYPERCALL),
    },
    [HV_F_TLB_FLUSH] = {
        .name = "tlb-flush", .def_smp = true,
        .doc = "flush IPIs: one call, and processors that do not run flush when they do",
        .evidence = "Hyper-V: Using hypercall for remote TLB flush",
        .needs = BIT(HV_F_HYPERCALL),
    },
    [HV_F_IPI] = {
        .name = "ipi", .def = true,
        .doc = "ICR writes: one call for any set of targets",
        .evidence = "Hyper-V: Using IPI hypercalls",
        .needs = BIT(HV_F_HYPERCALL),
    },
    [HV_F_EX_MASKS] = {
        .name = "ex-masks", .def = false,
        .doc = "calls for each 64 processors: sparse sets (never needed for 16)",
        .needs = BIT(HV_F_TLB_FLUSH) | BIT(HV_F_IPI),
    },
    [HV_F_SPIN_WAIT] = {
        .name = "spin-wait", .def_smp = true,
        .doc = "spinning for a lock: a call after a number of tries (not by Linux)",
        .needs = BIT(HV_F_HYPERCALL),
    },
    [HV_F_GUEST_IDLE] = {
        .name = "guest-idle", .def = true,
        .doc = "spinning for a lock: a wait that an interrupt ends though it is held off",
        .evidence = "Hyper-V: PV spinlocks enabled (with ipi)",
    },
    [HV_F_CONNECTIONS] = {
        .name = "connections", .def = false,
        .doc = "nothing; messages and events to itself, with connections made at port 3000h",
        .needs = BIT(HV_F_SYNIC),
    },
    [HV_F_COUNT] = { .name = NULL },
};

/* ---- CPUID ----------------------------------------------------------------------------------- */

/* Leaf 40000003h: EAX and EBX are privileges, EDX is features. Hints are EAX of 40000004h. */
static const struct hv_bits {
    u32 eax, ebx, edx, hints;
} bits[HV_F_COUNT] = {
    [HV_F_HYPERCALL] = { .eax = BIT(5) },
    [HV_F_VP_INDEX] = { .eax = BIT(6) },
    [HV_F_RESET] = { .eax = BIT(7), .hints = BIT(4) },
    [HV_F_RELAXED] = { .hints = BIT(5) },
    [HV_F_VAPIC] = { .eax = BIT(4), .hints = BIT(3) },
    [HV_F_RUNTIME] = { .eax = BIT(0) },
    [HV_F_REF_COUNTER] = { .eax = BIT(1) },
    [HV_F_REF_TSC] = { .eax = BIT(9) },
    [HV_F_FREQUENCIES] = { .eax = BIT(11), .edx = BIT(8) },
    [HV_F_CRASH] = { .edx = BIT(10) },
    [HV_F_SYNIC] = { .eax = BIT(2), .edx = BIT(17) },
    [HV_F_STIMER] = { .eax = BIT(3) },
    [HV_F_STIMER_DIRECT] = { .edx = BIT(19) },
    [HV_F_XMM_INPUT] = { .edx = BIT(4) },
    [HV_F_TLB_FLUSH] = { .hints = BIT(2) },
    [HV_F_IPI] = { .hints = BIT(10) },
    [HV_F_EX_MASKS] = { .hints = BIT(11) },
    [HV_F_GUEST_IDLE] = { .eax = BIT(10), .edx = BIT(5) },
    [HV_F_CONNECTIONS] = { .ebx = BIT(4) | BIT(5) },
};

/* Of the release whose interfaces these are, 10.0.14393, service number 0. */
#define BUILD 14393u
#define VERSION (10u << 16 | 0)

#define SPIN_RETRIES 0xfffu
#define NEVER_NOTIFY 0xffffffffu

static void or_bits(const struct pv *pv, struct hv_bits *sum)
{
    for (unsigned i = 0; i < HV_F_COUNT; i++) {
        if (!pv_has(pv, i))
            continue;
        sum->eax |= bits[i].eax;
        sum->ebx |= bits[i].ebx;
        sum->edx |= bits[i].edx;
        sum->hints |= bits[i].hints;
    }
}

static bool hv_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4])
{
    struct hv_bits b = { 0 };

    (void)subleaf;
    if (leaf > HV_CPUID_MAX)
        return false;
    or_bits(pv, &b);
    memset(r, 0, 4 * sizeof r[0]);
    switch (leaf) {
    case 0x40000000:
        r[0] = HV_CPUID_MAX;
        memcpy(&r[1], pv->p->signature, 12);
        break;
    case 0x40000001: r[0] = HV_INTERFACE; break;
    case 0x40000002:
        r[0] = BUILD;
        r[1] = VERSION;
        break;
    case 0x40000003:
        r[0] = b.eax;
        r[1] = b.ebx;
        r[3] = b.edx;
        break;
    case 0x40000004:
        r[0] = b.hints;
        r[1] = pv_has(pv, HV_F_SPIN_WAIT) ? SPIN_RETRIES : NEVER_NOTIFY;
        r[2] = pv->env.phys->addr_bits;
        break;
    case 0x40000005:
        r[0] = SMP_MAX;
        r[1] = SMP_MAX;
        break;
    default: break; /* hardware in use, and what only parents and nested hypervisors have */
    }
    return true;
}

/* ---- crash ----------------------------------------------------------------------------------- */

/* What the guest says of its crash, made fit for a line: P3 is its address, P4 its length. */
static void read_message(struct pv_hyperv *h, char *text, u64 size)
{
    u64 len = h->crash[4] < size - 1 ? h->crash[4] : size - 1;

    text[0] = 0;
    if (!dma_read(h->pv.env.phys, h->crash[3], text, len))
        len = 0;
    text[len] = 0;
    for (u64 i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = text[i] ? ' ' : 0;
}

static void write_crash_control(struct pv_hyperv *h, u64 value)
{
    const u64 *p = h->crash;
    char text[160] = "";
    struct err e = { 0 };

    if (!(value & HV_CRASH_NOTIFY))
        return;
    pv_used(&h->pv, HV_F_CRASH);
    if (value & HV_CRASH_NOTIFY_MSG)
        read_message(h, text, sizeof text);
    err_host(&e, "the guest reports that it crashed: %#llx %#llx %#llx %#llx %#llx%s%s",
             (unsigned long long)p[0], (unsigned long long)p[1], (unsigned long long)p[2],
             (unsigned long long)p[3], (unsigned long long)p[4], text[0] ? ": " : "", text);
    if (h->pv.env.report)
        h->pv.env.report(h->pv.env.opaque, &e);
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

/* The feature that an MSR belongs to; -1: none. */
static int feature_of_msr(u32 msr)
{
    switch (msr) {
    case MSR_HV_GUEST_OS_ID:
    case MSR_HV_HYPERCALL:
    case MSR_HV_VP_ASSIST_PAGE: return HV_F_HYPERCALL; /* no privilege goes with the page */
    case MSR_HV_VP_INDEX: return HV_F_VP_INDEX;
    case MSR_HV_RESET: return HV_F_RESET;
    case MSR_HV_VP_RUNTIME: return HV_F_RUNTIME;
    case MSR_HV_TIME_REF_COUNT: return HV_F_REF_COUNTER;
    case MSR_HV_REFERENCE_TSC: return HV_F_REF_TSC;
    case MSR_HV_TSC_FREQUENCY:
    case MSR_HV_APIC_FREQUENCY: return HV_F_FREQUENCIES;
    case MSR_HV_EOI ... MSR_HV_TPR: return HV_F_VAPIC;
    case MSR_HV_SCONTROL ... MSR_HV_EOM:
    case MSR_HV_SINT0 ... MSR_HV_SINT15: return HV_F_SYNIC;
    case MSR_HV_STIMER0_CONFIG ... MSR_HV_STIMER3_COUNT: return HV_F_STIMER;
    case MSR_HV_GUEST_IDLE: return HV_F_GUEST_IDLE;
    case MSR_HV_CRASH_P0 ... MSR_HV_CRASH_CTL: return HV_F_CRASH;
    default: return -1;
    }
}

static u64 counted(struct pv_hyperv *h, enum hv_feature f, u64 value)
{
    pv_used(&h->pv, f);
    return value;
}

/* False: it cannot be read. */
static bool read_msr(struct hv_vcpu *v, u32 msr, u64 *value)
{
    struct pv_hyperv *h = v->h;

    switch (msr) {
    case MSR_HV_GUEST_OS_ID: *value = h->os_id; return true;
    case MSR_HV_HYPERCALL: *value = h->hypercall; return true;
    case MSR_HV_VP_INDEX: *value = counted(h, HV_F_VP_INDEX, v->n); return true;
    case MSR_HV_RESET: *value = 0; return true;
    case MSR_HV_VP_RUNTIME: *value = counted(h, HV_F_RUNTIME, hv_time_runtime(v)); return true;
    case MSR_HV_TIME_REF_COUNT:
        *value = counted(h, HV_F_REF_COUNTER, hv_time_reference(h));
        return true;
    case MSR_HV_REFERENCE_TSC: *value = h->reference_tsc; return true;
    case MSR_HV_TSC_FREQUENCY:
        *value = counted(h, HV_F_FREQUENCIES, hv_cpu(v)->tsc_khz * 1000);
        return true;
    case MSR_HV_APIC_FREQUENCY:
        *value = counted(h, HV_F_FREQUENCIES, LAPIC_TIMER_HZ);
        return true;
    case MSR_HV_EOI ... MSR_HV_VP_ASSIST_PAGE: return hv_apic_read(v, msr, value);
    case MSR_HV_STIMER0_CONFIG ... MSR_HV_STIMER3_COUNT:
        *value = hv_timer_read(v, msr);
        return true;
    case MSR_HV_GUEST_IDLE:
        hv_apic_idle(v);
        *value = 0;
        return true;
    case MSR_HV_CRASH_P0 ... MSR_HV_CRASH_P4: *value = h->crash[msr - MSR_HV_CRASH_P0]; return true;
    case MSR_HV_CRASH_CTL: *value = HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG; return true;
    default: return hv_synic_read(v, msr, value);
    }
}

static bool hv_msr_read(struct pv *pv, struct cpu *cpu, u32 msr, u64 *value)
{
    int f = feature_of_msr(msr);

    return f >= 0 && pv_has(pv, (unsigned)f) && read_msr(hv_vcpu_of(hv_of(pv), cpu), msr, value);
}

static bool write_reset(struct pv_hyperv *h, u64 value)
{
    if (value >> 1)
        return false;
    if (value && h->pv.env.reset) {
        pv_used(&h->pv, HV_F_RESET);
        h->pv.env.reset(h->pv.env.opaque);
    }
    return true;
}

/* False: #GP. */
static bool write_msr(struct hv_vcpu *v, u32 msr, u64 value)
{
    struct pv_hyperv *h = v->h;

    switch (msr) {
    case MSR_HV_GUEST_OS_ID: hv_calls_write_os_id(h, value); return true;
    case MSR_HV_HYPERCALL: return hv_calls_write_page(h, value);
    case MSR_HV_RESET: return write_reset(h, value);
    case MSR_HV_REFERENCE_TSC: hv_time_write_page(h, value); return true;
    case MSR_HV_EOI ... MSR_HV_VP_ASSIST_PAGE: return hv_apic_write(v, msr, value);
    case MSR_HV_SCONTROL ... MSR_HV_EOM:
    case MSR_HV_SINT0 ... MSR_HV_SINT15: return hv_synic_write(v, msr, value);
    case MSR_HV_STIMER0_CONFIG ... MSR_HV_STIMER3_COUNT: return hv_timer_write(v, msr, value);
    case MSR_HV_CRASH_P0 ... MSR_HV_CRASH_P4: h->crash[msr - MSR_HV_CRASH_P0] = value; return true;
    case MSR_HV_CRASH_CTL: write_crash_control(h, value); return true;
    default: return false; /* read-only */
    }
}

static bool hv_msr_write(struct pv *pv, struct cpu *cpu, u32 msr, u64 value, bool *gp)
{
    int f = feature_of_msr(msr);

    if (f < 0 || !pv_has(pv, (unsigned)f))
        return false;
    *gp = !write_msr(hv_vcpu_of(hv_of(pv), cpu), msr, value);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void detach(struct pv_hyperv *h)
{
    hv_calls_detach(h);
    hv_apic_detach(h);
    for (unsigned n = 0; n < SMP_MAX; n++)
        hv_timer_detach(&h->vcpu[n]);
}

static void hv_reset(struct pv *pv)
{
    struct pv_hyperv *h = hv_of(pv);

    if (h->alive)
        detach(h);
    hv_calls_attach(h);
    hv_time_attach(h);
    memset(h->crash, 0, sizeof h->crash);
    for (unsigned n = 0; n < SMP_MAX; n++) {
        struct hv_vcpu *v = &h->vcpu[n];
        *v = (struct hv_vcpu){ .h = h, .n = n, .runtime_ns = v->runtime_ns };
        hv_timer_attach(v);
        hv_synic_reset(v);
    }
    hv_apic_attach(h);
    hv_port_attach(h);
    h->alive = true;
}

static void hv_destroy(struct pv *pv)
{
    struct pv_hyperv *h = hv_of(pv);

    detach(h);
    hv_port_detach(h);
    free(h->code);
}

static void hv_enter(struct pv *pv, struct cpu *cpu)
{
    struct hv_vcpu *v = hv_vcpu_of(hv_of(pv), cpu);

    v->inside = true;
    hv_vpset_enter(v);
    if (pv_has(pv, HV_F_RUNTIME)) /* it asks the host for the time */
        hv_time_enter(v);
}

static void hv_leave(struct pv *pv, struct cpu *cpu, bool halted)
{
    struct hv_vcpu *v = hv_vcpu_of(hv_of(pv), cpu);

    (void)halted;
    if (pv_has(pv, HV_F_RUNTIME))
        hv_time_leave(v);
    v->inside = false;
}

const struct pv_personality pv_hyperv = {
    .name = "hyperv",
    .doc = "Hyper-V",
    .signature = "Microsoft Hv",
    .features = hv_features,
    .hypercalls = hv_calls,
    .size = sizeof(struct pv_hyperv),
    .reset = hv_reset,
    .destroy = hv_destroy,
    .cpuid = hv_cpuid,
    .msr_read = hv_msr_read,
    .msr_write = hv_msr_write,
    .hypercall = hv_calls_hypercall,
    .enter = hv_enter,
    .leave = hv_leave,
    .tsc_changed = hv_time_tsc_changed,
};
