/* i440fx.h: the 82441FX host bridge, 00:00.0. */
#pragma once

#include "devices/pci.h"

struct i440fx {
    struct pci_func pci;
    struct irq reset; /* pulses when the turbo reset control register asks for a reset */
};

extern const struct dev_class i440fx_class;
