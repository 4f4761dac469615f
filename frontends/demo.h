/* demo.h: `parallax` alone: the embedded guest with and without paravirtualization, side by side. */
#pragma once

#include "frontends/options.h"

int demo_command(const struct options *o, int argc, char **argv);
