/* debugcon.h: a port whose bytes go to the host: the simplest console there is. */
#pragma once

#include "devices/backend/chardev.h"
#include "devices/device.h"

struct debugcon {
    struct dev dev;
    u32 iobase;          /* property */
    struct chardev *chr; /* NULL: bytes vanish */
};

extern const struct dev_class debugcon_class;

/* The board calls it after creation. */
void debugcon_set_chardev(struct debugcon *c, struct chardev *chr);
