/* pvpanic.h: a port at which a guest says that it panicked (-device pvpanic). */
#pragma once

#include "devices/device.h"

struct pvpanic {
    struct dev dev;
    struct irq panicked;     /* pulses */
    struct irq crash_loaded; /* pulses: a crash kernel takes over */
    u32 ioport, events;      /* properties */
};

extern const struct dev_class pvpanic_class;
