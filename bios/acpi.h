/*
 * acpi.h: the ACPI tables of the board: RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, HPET.
 * ACPI 6.5, chapter 5; the DSDT's contents are in acpi_dsdt.c.
 */
#pragma once

#include "base/types.h"
#include "bios/aml.h"
#include "mmu/phys.h"

struct acpi_config {
    unsigned cpus;   /* local APIC ids 0 to cpus - 1; 1 to 255 */
    const char *oem; /* at most 6 characters are used; NULL: ours */
};

/* Where each table lies in the buffer. */
struct acpi_tables {
    u32 rsdp, rsdt, xsdt, fadt, facs, dsdt, madt, hpet;
    u32 bytes; /* used in total */
};

#define ACPI_HEADER_BYTES 36u
#define ACPI_RSDP_BYTES 36u

/* Builds the tables as they are to lie at guest address `base` (a multiple of 64). cap must be
 * LAYOUT_ACPI_BYTES, enough for every configuration. */
void acpi_build(const struct acpi_config *cfg, gpa_t base, u8 *buf, size_t cap,
                struct acpi_tables *out);

/* The definition block without its header (acpi_dsdt.c). */
void acpi_dsdt_body(struct aml *a, unsigned cpus);
