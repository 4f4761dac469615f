/* labs_accumulator.h: lab 5: a device as it should be, and one with the usual mistakes. */
#pragma once

#include "devices/device.h"

extern const struct dev_class accumulator_class, half_accumulator_class;
