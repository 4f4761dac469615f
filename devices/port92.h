/* port92.h: system control port A (92h): the quick ways to the A20 gate and to a CPU reset. */
#pragma once

#include "devices/device.h"

struct port92 {
    struct dev dev;
    struct irq a20;   /* bit 1; the board ORs it with the 8042's */
    struct irq reset; /* pulses when bit 0 goes from 0 to 1 */
    u8 value;
};

extern const struct dev_class port92_class;
