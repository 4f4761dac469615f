/*
 * boot.h: how a guest comes to life: loaders that put a kernel and its tables into RAM and set the
 * CPU's entry state. The chips are the board's to set up: A20 on, the local APIC in virtual wire
 * mode, PCI functions with addresses and interrupts.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "cpu/cpu.h"
#include "mmu/phys.h"

struct pcbios;

struct boot_config {
    struct phys *phys;
    struct cpu *cpu;            /* vCPU 0, reset */
    const char *kernel, *initrd, *append; /* paths; initrd: multiboot modules separated by commas */
    unsigned cpus;
    bool vga;                   /* there is one, in text mode */
    const char *oem;            /* of ACPI and SMBIOS tables */
    struct pcbios
        *bios; /* for kernels that are entered in real mode; NULL: they get a few services */
};

/* Detects the kind by content (Linux bzImage, multiboot, ELF64 with PVH note), loads, builds e820,
 * ACPI and SMBIOS, sets the entry state. Errors name the file and what is wrong with it. */
bool boot_load(const struct boot_config *b, struct err *e);
/* The embedded demo guest. */
bool boot_load_demo(const struct boot_config *b, struct err *e);
