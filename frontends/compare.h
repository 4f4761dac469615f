/* compare.h: `parallax compare`: one guest under several personalities, side by side. */
#pragma once

#include "frontends/options.h"

int compare_command(const struct options *o, int argc, char **argv);
