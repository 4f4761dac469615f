/* services.h: interrupt vectors and the real-mode services behind them. */
#pragma once

#include "bios/e820.h"

void services_install(struct phys *p, const struct e820 *map);
