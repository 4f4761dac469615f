/* smbios.h: the SMBIOS tables: DSP0134, System Management BIOS Reference Specification 2.8. */
#pragma once

#include "base/types.h"
#include "mmu/phys.h"

struct smbios_config {
    u64 ram_bytes, ram_low_bytes;
    unsigned cpus;   /* 1 to 255 */
    const char *oem; /* manufacturer; NULL: ours */
    const char *cpu; /* processor version; NULL: none */
};

#define SMBIOS_ENTRY_BYTES 31u
#define SMBIOS_TABLES_AT 32u /* from the entry point */

/* Builds the entry point (at the start of buf) and the structures, as they are to lie at guest
 * address `base` (a multiple of 16). cap must be LAYOUT_SMBIOS_BYTES. Returns the bytes used. */
u32 smbios_build(const struct smbios_config *cfg, gpa_t base, u8 *buf, size_t cap);
