/*
 * disk.h: ide-hd, ide-cd and floppy: disks, CD-ROMs and floppy drives as -device names them: which
 * drive hangs at which controller. They have no registers: those are the controller's (ide.c,
 * ahci.c, fdc.c), which the board gives the drives that it finds here.
 */
#pragma once

#include "devices/device.h"

#define DISK_NO_UNIT 0xffffffffu /* the next place that is free */

struct disk {
    struct dev dev;
    /* properties */
    char *drive; /* id of a -drive if=none */
    char *
        bus; /* "ide.0", or the id of an AHCI controller and a port: "sata.1"; NULL: any of IDE's */
    char *serial;
    u32 unit, bootindex;
    bool plugged; /* by the board: it has its place */
};

extern const struct dev_class ide_hd_class, ide_cd_class, floppy_class;
