/*
 * seabios.h: what SeaBIOS (or another firmware made for QEMU) is told through fw_cfg: memory, CPUs,
 * ACPI and SMBIOS tables, boot order, the VGA BIOS.
 */
#pragma once

#include "devices/fwcfg.h"

struct seabios_config {
    u64 ram_bytes, ram_low_bytes;
    unsigned cpus;          /* 1 to 255 */
    const char *oem;        /* of tables; NULL: ours */
    const char *boot_order; /* Open Firmware paths, each ending in a newline; NULL: its own order */
    bool boot_menu;
    const struct rom *option_roms; /* beside those of PCI functions */
    const char *const *option_rom_paths;
    unsigned option_rom_count;
};

/* Replaces what the device holds. */
void seabios_publish(struct fwcfg *f, const struct seabios_config *c);
