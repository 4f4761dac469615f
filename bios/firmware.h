/*
 * firmware.h: what a BIOS leaves in memory before a kernel runs: interrupt vectors, BIOS data
 * areas, a few real-mode services, ACPI and SMBIOS tables.
 */
#pragma once

#include "bios/e820.h"
#include "mmu/phys.h"

/* Writes everything; *rsdp is where the ACPI root pointer lies. cpus is 1 to 255; oem may be NULL.
 */
void firmware_install(struct phys *p, const struct e820 *map, unsigned cpus, const char *oem,
                      gpa_t *rsdp);
/* Parts of it, for our BIOS, which has the rest in its ROM. */
void firmware_install_data_areas(struct phys *p);
void firmware_install_acpi(struct phys *p, unsigned cpus, const char *oem, gpa_t *rsdp);
