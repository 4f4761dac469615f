/*
 * e820.h: the map of physical memory that a kernel is told (ACPI 6.5, section 15.1: INT 15h,
 * AX = E820h), in the order of addresses and without overlap.
 */
#pragma once

#include "base/types.h"
#include "mmu/phys.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
    gpa_t base;
    u64 size;
    enum e820_type type;
};

#define E820_MAX 16
#define E820_ENTRY_BYTES 20u /* as the guest sees it: base, size, type */

struct e820 {
    struct e820_entry entry[E820_MAX];
    unsigned count;
};

/* The map of a machine with this much RAM and the areas of layout.h. */
void e820_build(struct e820 *map, u64 ram_low_bytes, u64 ram_bytes);
/* Writes count * E820_ENTRY_BYTES bytes; returns their number. */
size_t e820_encode(const struct e820 *map, u8 *buf);
/* [base, base + size) is RAM that the kernel may use; false for an empty or wrapping range. */
bool e820_is_ram(const struct e820 *map, gpa_t base, u64 size);
