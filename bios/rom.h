/* rom.h: images of firmware: the system's, and option ROMs that go with it. */
#pragma once

#include "base/err.h"
#include "base/types.h"

#define ROM_SEABIOS "seabios" /* the word for Debian's SeaBIOS */

struct rom {
    u8 *data; /* of rom_free */
    u64 bytes;
};

/* The system ROM: ROM_SEABIOS or the path of a file of one to 128 times 64 KiB. */
bool rom_load_system(struct rom *r, const char *spec, struct err *e);
/* SeaBIOS' VGA BIOS for the standard VGA, where it is installed. False: it is not. */
bool rom_load_vga(struct rom *r);
/* An option ROM of -option-rom. */
bool rom_load_option(struct rom *r, const char *path, struct err *e);
/* Where Debian's ipxe-qemu has iPXE for that network device ("e1000"); NULL: for that there is
 * none. */
const char *rom_network(const char *device);
void rom_free(struct rom *r);
