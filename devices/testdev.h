/* testdev.h: ports through which a test guest drives interrupt lines and reads back what it wrote. */
#pragma once

#include "devices/device.h"

#define TESTDEV_LINES 24u /* 0 to 15: the ISA lines; 16 to 23: pins of the I/O APIC alone */

struct testdev {
    struct dev dev;
    struct irq line[TESTDEV_LINES]; /* as the guest sets them; low after a reset */
    u32 latch;                      /* what the guest wrote to the latch */
    u32 levels;                     /* bit n: line n is high */
};

extern const struct dev_class testdev_class;
