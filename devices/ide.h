/* ide.h: the IDE function of the PIIX3, 00:01.1: two channels of two drives, bus-master DMA. */
#pragma once

#include "devices/ata.h"
#include "devices/pci.h"

#define IDE_CHANNELS 2u
#define IDE_DRIVES 4u /* drive n: channel n / 2, device n % 2 */

struct ide;

struct ide_channel {
    struct irq irq; /* 14 and 15 */
    u8 select;      /* the device that answers: 0, 1 */
    u8 control;     /* device control register */
    /* bus master */
    u8 bm_command, bm_status;
    u32 bm_table;    /* physical region descriptors */
    u32 prd_next;    /* address of the next descriptor; 0: none was read since the start */
    u32 prd_address; /* what is left of the current one */
    u32 prd_left;
    bool prd_last;
};

struct ide {
    struct pci_func pci;
    char *drive_id[IDE_DRIVES]; /* properties */
    struct ide_channel channel[IDE_CHANNELS];
    struct ata drive[IDE_DRIVES];
    bool unplugged; /* its disks are somebody else's until the next reset */
};

extern const struct dev_class ide_class;

/* Takes the hard disks off the channels until the next reset; disk[n] is the drive that was there,
 * NULL: none. CD-ROMs stay. */
void ide_unplug_disks(struct ide *s, struct drive *disk[IDE_DRIVES]);
