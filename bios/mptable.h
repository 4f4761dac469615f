/* mptable.h: the tables of Intel's MultiProcessor Specification 1.4, for systems without ACPI. */
#pragma once

#include "base/types.h"
#include "mmu/phys.h"

/* Builds the floating pointer (at the start of buf) and the configuration table, as they are to lie
 * at guest address `base` (a multiple of 16). cpus is 1 to 255, with APIC ids from 0 on. Returns the
 * bytes used. */
u32 mptable_build(unsigned cpus, gpa_t base, u8 *buf, size_t cap);
