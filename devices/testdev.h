/* testdev.h: what a test guest drives interrupt lines with, and reads back what it wrote from. */
#pragma once

#include "devices/device.h"

#define TESTDEV_LINES 24u /* 0 to 15: the ISA lines; 16 to 23: pins of the I/O APIC alone */

struct testdev {
    struct dev dev;
    struct irq line[TESTDEV_LINES]; /* as the guest sets them; low after a reset */
    u32 latch;                      /* what the guest wrote to the latch */
    u32 levels;                     /* bit n: line n is high */
    u64 window[8192];               /* memory behind MMIO, little-endian */
    struct region *region;
};

extern const struct dev_class testdev_class;
