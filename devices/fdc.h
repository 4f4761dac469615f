/* fdc.h: the 82077AA floppy disk controller with two drives. */
#pragma once

#include "block/drive.h"
#include "devices/device.h"

#define FDC_DRIVES 2u
#define FDC_SECTOR 512u

struct fdc_geometry {
    u8 cylinders, heads, sectors;
};

struct fdc {
    struct dev dev;
    char *drive_id[FDC_DRIVES]; /* properties */
    struct drive *drive[FDC_DRIVES];
    struct irq irq; /* IRQ 6 */
    /* The DMA channel: as i8237_move. Set by the board; NULL: none. */
    u32 (*dma)(void *opaque, u8 *buf, u32 len, bool to_memory, bool *terminal);
    void *dma_opaque;
    /* state */
    u8 dor, phase, rate;
    u8 fifo[16], pos, len;      /* of the command, then of the result */
    u8 cylinder[4];             /* where the heads are */
    u8 sense[4], sense_pending; /* ST0 by drive; bit n: drive n has something to say */
    u8 specify[2], configure[3], locked;
    u8 changed;                 /* bit n: the disk change line of drive n */
    u8 head, sector, last;      /* of the transfer that runs */
    bool multi_track, terminal; /* both heads; the DMA count has ended */
    /* not state: a saved controller has no request under way */
    u8 buf[FDC_SECTOR];
    struct drive_request request;
    bool dropped;
};

extern const struct dev_class fdc_class;

/* What CMOS memory says about a drive's type: 0: none, 4: 1.44 MB, 5: 2.88 MB. */
u8 fdc_cmos_type(const struct fdc *f, unsigned drive);
