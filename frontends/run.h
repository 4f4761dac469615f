/* run.h: `parallax run`: one guest on the terminal. */
#pragma once

#include "frontends/options.h"

/* Returns the program's exit code; errors are printed. */
int run_command(const struct options *o, int argc, char **argv);
