/* i440fx.h: the 82441FX host bridge: its identity, shadow memory (PAM), and the reset it can do. */
#pragma once

#include "devices/pci.h"

#define PAM_SEGMENTS 13u /* F0000h (64 KiB), then C0000h to EFFFFh in steps of 16 KiB */
#define PAM_READ BIT(0)  /* reads go to memory, else to the bus: the system ROM, or nothing */
#define PAM_WRITE BIT(1)

struct i440fx;

/* One of the ranges whose reads and writes the PAM registers steer. */
struct pam_segment {
    struct i440fx *bridge;
    struct region *region;
    gpa_t base;
};

struct i440fx {
    struct pci_func pci;
    struct irq reset; /* pulses when the guest asks for a reset (TRC) */
    struct pam_segment segment[PAM_SEGMENTS];
    u8 *rom; /* of the system; its last 128 KiB are seen at E0000h */
    u64 rom_bytes;
};

extern const struct dev_class i440fx_class;

/* The system ROM, owned by the caller; bytes is a multiple of 64 KiB. */
void i440fx_set_rom(struct i440fx *h, u8 *rom, u64 bytes);
