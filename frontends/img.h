/* img.h: `parallax img`: disk images without a machine. */
#pragma once

#include "base/err.h"

/* argv: what follows the word img. Returns the exit code. */
int img_command(int argc, char **argv);
