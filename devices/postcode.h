/* postcode.h: port 80h, where firmware says how far it got. */
#pragma once

#include "devices/device.h"

struct postcode {
    struct dev dev;
    u8 value;
};

extern const struct dev_class postcode_class;
