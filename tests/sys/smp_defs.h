/* smp_defs.h: what assembly and C of the tests with several CPUs share. */
#pragma once

#include "long_defs.h"

#define CPUS_MAX 16
#define AP_CODE 0x8000 /* a page below 1 MiB; AP_CODE2 is another */
#define AP_CODE2 0x9000
#define AP_STACK_BYTES 16384
