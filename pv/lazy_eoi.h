/*
 * lazy_eoi.h: the end of an interrupt signalled in memory, as KVM and Hyper-V share it: a word per
 * vCPU whose bit 0 the host sets when it injects an interrupt that needs no EOI at the APIC. The
 * guest tests and clears it at the end of its handler, and goes to the APIC only if it was clear.
 *
 * Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_PV_EOI_EN); TLFS "EOI Assist".
 */
#pragma once

#include "devices/lapic.h"
#include "pv/pv.h"

struct lazy_eoi {
    struct pv *pv;
    unsigned n;       /* number of the vCPU */
    unsigned feature; /* counted when an EOI was taken from memory */
    bool enabled;     /* the guest has registered ... */
    gpa_t gpa;        /* ... this word */
    bool armed;       /* the guest may signal its next EOI in memory ... */
    gpa_t armed_gpa;  /* ... here: an offer that stands keeps its address */
};

/* Nothing registered, nothing offered. */
void lazy_eoi_init(struct lazy_eoi *z, struct pv *pv, unsigned n, unsigned feature);
/* For struct lapic; opaque is `z`. */
struct lapic_pv lazy_eoi_hooks(struct lazy_eoi *z);
