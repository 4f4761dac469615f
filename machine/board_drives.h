/*
 * board_drives.h: the drives of the machine: which place each has, its medium opened, and the
 * devices that have them.
 */
#pragma once

#include "machine/board_pc.h"
#include "machine/vm.h"

/* ide-hd, ide-cd or floppy. */
bool board_drives_is_disk(const struct dev_class *cls);
/* Opens what the configuration names, in its order, and gives every drive a place, those of -device
 * ide-hd, ide-cd and floppy too. To be called when these are made, and before the controllers are. */
bool board_drives_open(struct board *b, const struct vm_config *cfg, struct err *e);
/* Gives an AHCI controller the disks whose bus= names it. */
bool board_drives_plug_ahci(struct board *b, struct ahci *a, struct err *e);
/* When all is made: every disk has a bus, and every drive a device. */
bool board_drives_check(const struct board *b, struct err *e);
/* The order of boot as SeaBIOS reads it, an Open Firmware path per line: drives and networks with a
 * bootindex, then the others by letters as of -boot. */
void board_drives_boot_order(const struct board *b, const char *letters, char *text, size_t size);
/* Properties of the floppy and the IDE controller: which drive is where. */
void board_drives_fdc_props(const struct board *b, char *props, size_t size);
void board_drives_ide_props(const struct board *b, char *props, size_t size);
