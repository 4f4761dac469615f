/*
 * none.c: no hypervisor: CPUID.1:ECX[31] is clear, leaves 0x40000000 and up are those of a CPU that
 * has none. The baseline of every comparison.
 */
#include "pv/pv.h"

extern const struct pv_personality pv_none;

const struct pv_personality pv_none = {
    .name = "none",
    .doc = "no hypervisor is visible: full virtualization",
    .signature = "",
    .size = sizeof(struct pv),
};
