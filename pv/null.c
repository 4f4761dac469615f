/*
 * null.c: a hypervisor that says it is there and offers nothing: the hypervisor bit and a signature
 * of our own. It separates what a guest does because it detected some hypervisor from what a
 * feature gains. (`kvm,-all` does the same with KVM's signature.)
 */
#include "pv/pv.h"
#include <string.h>

extern const struct pv_personality pv_null;

static bool null_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4])
{
    (void)subleaf;
    if (leaf != 0x40000000)
        return false;
    r[0] = 0x40000000;
    memcpy(&r[1], pv->p->signature, 12);
    return true;
}

const struct pv_personality pv_null = {
    .name = "null",
    .doc = "hypervisor bit and signature only: what detection alone changes",
    .signature = "ParallaxNull",
    .size = sizeof(struct pv),
    .cpuid = null_cpuid,
};
