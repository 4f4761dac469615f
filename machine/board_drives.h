/*
 * board_drives.h: the drives of the machine: which place each has, its medium opened, and the
 * devices that have them.
 */
#pragma once

#include "machine/board_pc.h"
#include "machine/vm.h"

/* Opens what the configuration names, in its order, and gives every drive a place. To be called
 * before the controllers are made. */
bool board_drives_open(struct board *b, const struct vm_config *cfg, struct err *e);
/* The order of boot as SeaBIOS reads it: an Open Firmware path per line, for letters as of -boot. */
void board_drives_boot_order(const struct board *b, const char *letters, char *text, size_t size);
/* Properties of the IDE controller: which drive is where. */
/* Properties of the floppy controller. */
void board_drives_fdc_props(const struct board *b, char *props, size_t size);
void board_drives_ide_props(const struct board *b, char *props, size_t size);
