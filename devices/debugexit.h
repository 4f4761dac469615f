/* debugexit.h: a port through which a test guest ends the machine with a value. */
#pragma once

#include "devices/device.h"

struct debugexit {
    struct dev dev;
    struct irq exit;    /* pulses when the guest asks to end; `value` says with what */
    u32 iobase, iosize; /* properties */
    u32 value;          /* as written; the program's exit code is (value << 1) | 1 */
};

extern const struct dev_class debugexit_class;
