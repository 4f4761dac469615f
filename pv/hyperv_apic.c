/*
 * hyperv_apic.c: local APIC of the Hyper-V personality: its registers as MSRs, the EOI in the
 * assist page, and the idle state that any interrupt ends.
 *
 * The pages that a guest registers are its own memory here, not overlays: what it had there before
 * does not come back when it gives them up (TLFS "VP assist page", "SIM page").
 *
 * Specification: TLFS "Virtual Interrupt Control", "Virtual Processor Idle Sleep State".
 */
#include "mmu/dma.h"
#include "pv/hyperv.h"

void hv_apic_attach(struct pv_hyperv *h)
{
    for (unsigned n = 0; n < h->pv.env.cpus; n++) {
        struct hv_vcpu *v = &h->vcpu[n];
        lazy_eoi_init(&v->eoi, &h->pv, n, HV_F_LAZY_EOI);
        if (!hv_lapic(v))
            continue;
        struct lapic_pv hooks = {.opaque = &v->eoi};
        if (pv_has(&h->pv, HV_F_LAZY_EOI))
            hooks = lazy_eoi_hooks(&v->eoi);
        if (pv_has(&h->pv, HV_F_SYNIC)) {
            hooks.auto_eoi = hv_synic_auto_eoi;
            hooks.ended = hv_synic_ended;
        }
        hv_lapic(v)->pv = hooks;
    }
}

void hv_apic_detach(struct pv_hyperv *h)
{
    for (unsigned n = 0; n < h->pv.env.cpus; n++)
        if (hv_lapic(&h->vcpu[n]) && hv_lapic(&h->vcpu[n])->pv.opaque == &h->vcpu[n].eoi)
            hv_lapic(&h->vcpu[n])->pv = (struct lapic_pv){0};
}

/* False: write-only, or there is no APIC. */
bool hv_apic_read(struct hv_vcpu *v, u32 msr, u64 *value)
{
    if (msr == MSR_HV_VP_ASSIST_PAGE) {
        *value = v->assist_page;
        return true;
    }
    if (msr == MSR_HV_EOI || !hv_lapic(v))
        return false;
    *value = msr == MSR_HV_ICR ? lapic_read_icr(hv_lapic(v)) : lapic_read_tpr(hv_lapic(v));
    pv_used(&v->h->pv, HV_F_VAPIC);
    return true;
}

static void write_assist_page(struct hv_vcpu *v, u64 value)
{
    v->assist_page = value;
    v->eoi.enabled = value & HV_PAGE_ENABLED;
    v->eoi.gpa = HV_PAGE_GPA(value);
    if (v->eoi.enabled)
        dma_write32(v->h->pv.env.phys, v->eoi.gpa, 0);
}

bool hv_apic_write(struct hv_vcpu *v, u32 msr, u64 value)
{
    if (msr == MSR_HV_VP_ASSIST_PAGE) {
        write_assist_page(v, value);
        return true;
    }
    if (!hv_lapic(v) || (msr == MSR_HV_EOI && value >> 32) || (msr == MSR_HV_TPR && value >> 8))
        return false;
    switch (msr) {
    case MSR_HV_EOI: lapic_write_eoi(hv_lapic(v)); break;
    case MSR_HV_ICR: lapic_write_icr(hv_lapic(v), value); break;
    default: lapic_write_tpr(hv_lapic(v), (u8)value); break;
    }
    pv_used(&v->h->pv, HV_F_VAPIC);
    return true;
}

/* RDMSR is done when an interrupt waits, whether EFLAGS.IF lets it in or not. */
void hv_apic_idle(struct hv_vcpu *v)
{
    hv_cpu(v)->halted = true;
    hv_cpu(v)->wakes_masked = true;
    pv_used(&v->h->pv, HV_F_GUEST_IDLE);
}
