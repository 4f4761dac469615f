/*
 * ata.h: one ATA disk or ATAPI CD-ROM: its registers and commands, without the controller that it
 * hangs on. ide.c and ahci.c are such controllers (struct ata_host).
 *
 * Specification: ATA/ATAPI-7 (T13 1532D); packet commands: MMC-5, SPC-3 (atapi.c).
 */
#pragma once

#include "block/drive.h"
#include "devices/device.h"
#include "mmu/dma.h"

/* Registers of the command block, by their offset. */
enum {
    ATA_DATA,
    ATA_FEATURE, /* reads: ATA_ERROR */
    ATA_COUNT,
    ATA_LBA_LOW,
    ATA_LBA_MID,
    ATA_LBA_HIGH,
    ATA_DEVICE,
    ATA_COMMAND, /* reads: status */
    ATA_REGS
};

#define ATA_STATUS_ERR BIT(0)
#define ATA_STATUS_DRQ BIT(3)
#define ATA_STATUS_DSC BIT(4)
#define ATA_STATUS_DF BIT(5)
#define ATA_STATUS_DRDY BIT(6)
#define ATA_STATUS_BSY BIT(7)

#define ATA_ERROR_ABRT BIT(2)
#define ATA_ERROR_IDNF BIT(4)
#define ATA_ERROR_UNC BIT(6)

#define ATA_DEVICE_LBA BIT(6)
#define ATA_DEVICE_DEV BIT(4)

#define ATA_CONTROL_NIEN BIT(1)
#define ATA_CONTROL_SRST BIT(2)
#define ATA_CONTROL_HOB BIT(7)

#define ATA_BUFFER_BYTES 8192u /* what PIO moves between two looks at the drive */
#define ATA_MULTIPLE_MAX 16u   /* sectors of READ MULTIPLE; fills the buffer */
#define ATA_QUEUE_DEPTH 32u
#define ATA_DMA_BYTES (1 * MIB)

struct ata;

/* The controller's side. */
struct ata_host {
    /* INTRQ rises. */
    void (*interrupt)(void *opaque, unsigned unit);
    /* Is guest memory for a DMA command known by now? If not, ata_dma_go is called when it is. */
    bool (*dma_ready)(void *opaque, unsigned unit);
    /* Moves len bytes between buf and the guest's memory, going on where the last call of this
     * command ended. False: the guest gave less room, or what is no memory. */
    bool (*dma)(void *opaque, unsigned unit, u8 *buf, u32 len, bool to_guest);
    /* Where dma would move the next len bytes to, if that is RAM, so that the drive can put them
     * there: dma with a buffer of NULL goes on behind them then. May be NULL. */
    bool (*dma_map)(void *opaque, unsigned unit, u32 len, struct dma_pieces *v);
    /* The transfer of a DMA command is over. */
    void (*dma_end)(void *opaque, unsigned unit);
    /* Serial ATA: PIO commands move their data as DMA ones do, and commands can be queued. */
    bool serial;
};

enum ata_phase {
    ATA_IDLE,
    ATA_BUSY,     /* the drive works */
    ATA_PIO_IN,   /* the host reads the data register */
    ATA_PIO_OUT,  /* the host writes it */
    ATA_PACKET,   /* the host writes the command packet */
    ATA_DMA_WAIT, /* for the controller */
    ATA_PHASES
};

struct ata {
    struct drive *drive; /* NULL: nothing is plugged in */
    struct drive *parked; /* unplugged: the drive that comes back at the next reset */
    const struct ata_host *host;
    void *host_opaque;
    unsigned unit;
    bool atapi;
    /* registers */
    u8 now[ATA_REGS], before[ATA_REGS]; /* last and last but one value written */
    u8 status, error;
    bool intrq;
    /* settings */
    u8 multiple, heads, sectors; /* SET MULTIPLE, INITIALIZE DEVICE PARAMETERS */
    u8 dma_mode;                 /* SET FEATURES, transfer mode */
    bool write_cache, smart, standby;
    /* the command that runs */
    u8 phase, command;
    bool is_dma, is_write, is_ext, fua;
    bool by_pio;                /* a PIO command, although its data move otherwise (serial) */
    u64 lba;                    /* next sector for the drive */
    u32 left;                   /* sectors that the drive has still to move */
    u32 pos, block_end, filled; /* in buf: next byte, end of this DRQ block, end of the data */
    u32 block_bytes;            /* of a DRQ block */
    u8 buf[ATA_BUFFER_BYTES];
    /* ATAPI */
    u8 sense_key, asc, ascq;
    bool locked, ejected;
    u8 attention; /* unit attention: enum atapi_attention */
    u8 event;     /* for GET EVENT STATUS NOTIFICATION */
    u8 queue_error[16]; /* the last queued command that failed, as the log 10h tells it */
    /* not state: between commands, and in a drained drive, nothing is in them */
    u8 *dma_buf;
    struct dma_pieces *pieces; /* of a read that goes into guest memory */
    struct drive_request request;
    void (*after)(struct ata *a); /* what goes on when the request is done */
    bool dropped;                 /* a reset: what comes back is of no interest */
};

/* Plugs in: a CD-ROM when the drive's medium is one. `id` NULL: nothing there. */
bool ata_init(struct ata *a, struct drives *drives, const char *id, const struct ata_host *host,
              void *opaque, unsigned unit, struct err *e);
void ata_destroy(struct ata *a);
/* The disk seems to be gone, until ata_plug; its requests are waited for. */
void ata_unplug(struct ata *a);
void ata_plug(struct ata *a);
/* Power-on or hardware reset; a software reset keeps settings. */
void ata_reset(struct ata *a, bool hard);
void ata_loaded(struct ata *a);

void ata_write_register(struct ata *a, unsigned reg, u8 value);
u8 ata_read_register(struct ata *a, unsigned reg, bool hob);
/* A command; ignored while another runs, but for DEVICE RESET. */
void ata_start(struct ata *a, u8 command);
/* The data register: size 1, 2 or 4. */
u32 ata_read_data(struct ata *a, unsigned size);
void ata_write_data(struct ata *a, u32 value, unsigned size);
/* AHCI hands the command packet over with the command. */
void ata_packet(struct ata *a, const u8 packet[16]);
void ata_dma_go(struct ata *a);

/* A queued command, which the controller runs (SATA 3.0, 13.6): does its range fit? What READ LOG EXT
 * tells when it failed. */
bool ata_queued_fits(const struct ata *a, u64 lba, u32 sectors);
void ata_queued_failed(struct ata *a, u8 tag, u8 error, u64 lba, u32 sectors);

/* ---- between ata.c and atapi.c --------------------------------------------------------------- */

void ata_submit(struct ata *a, enum drive_op op, u64 offset, u64 len, void *buf,
                void (*after)(struct ata *a));
/* Hands over what buf holds: `filled` bytes, and more from the drive if left is not 0. */
void ata_data_in(struct ata *a);
void ata_finish(struct ata *a);         /* success */
void ata_fail(struct ata *a, u8 error); /* status ERR */
void ata_interrupt(struct ata *a);
u32 ata_sector_bytes(const struct ata *a);                   /* 512 or 2048 */
void ata_put_string(u8 *to, size_t bytes, const char *text); /* IDENTIFY's swapped, padded text */
void atapi_init(struct ata *a);
void atapi_identify(struct ata *a);
void atapi_command(struct ata *a);
void atapi_reset(struct ata *a, bool hard);
/* The packet command ended; key 0 is success. */
void atapi_end(struct ata *a, u8 key, u8 asc);

/* clang-format off */
#define ATA_FIELDS(type, member)                                                                   \
    DEV_FIELD_ARRAY(type, member.now, 0, 0xff, "registers"),                                       \
    DEV_FIELD_ARRAY(type, member.before, 0, 0xff, "their previous values"),                        \
    DEV_FIELD(type, member.status, 0, 0xff, "status"),                                             \
    DEV_FIELD(type, member.error, 0, 0xff, "error"),                                               \
    DEV_FIELD(type, member.intrq, 0, 1, "interrupt request"),                                      \
    DEV_FIELD(type, member.multiple, 0, ATA_MULTIPLE_MAX, "sectors of READ MULTIPLE"),             \
    DEV_FIELD(type, member.heads, 1, 16, "heads"),                                                 \
    DEV_FIELD(type, member.sectors, 1, 255, "sectors per track"),                                  \
    DEV_FIELD(type, member.dma_mode, 0, 0xff, "transfer mode"),                                    \
    DEV_FIELD(type, member.write_cache, 0, 1, "write cache"),                                      \
    DEV_FIELD(type, member.smart, 0, 1, "SMART"),                                                  \
    DEV_FIELD(type, member.standby, 0, 1, "standby"),                                              \
    DEV_FIELD(type, member.phase, 0, ATA_PHASES - 1, "phase"),                                     \
    DEV_FIELD(type, member.command, 0, 0xff, "command"),                                           \
    DEV_FIELD(type, member.is_dma, 0, 1, "moves data by DMA"),                                     \
    DEV_FIELD(type, member.by_pio, 0, 1, "a PIO command"),                                         \
    DEV_FIELD(type, member.is_write, 0, 1, "writes"),                                              \
    DEV_FIELD(type, member.is_ext, 0, 1, "48-bit address"),                                        \
    DEV_FIELD(type, member.fua, 0, 1, "to the medium"),                                            \
    DEV_FIELD(type, member.lba, 0, BIT64(48), "next sector"),                                      \
    DEV_FIELD(type, member.left, 0, 0x7fffffff, "sectors left"),                                   \
    DEV_FIELD(type, member.pos, 0, ATA_BUFFER_BYTES, "next byte in the buffer"),                   \
    DEV_FIELD(type, member.block_end, 0, ATA_BUFFER_BYTES, "end of the block"),                    \
    DEV_FIELD(type, member.filled, 0, ATA_BUFFER_BYTES, "end of the data"),                        \
    DEV_FIELD(type, member.block_bytes, 2, 65536, "size of a block"),                              \
    DEV_FIELD_ARRAY(type, member.buf, 0, 0xff, "buffer"),                                          \
    DEV_FIELD(type, member.sense_key, 0, 15, "sense key"),                                         \
    DEV_FIELD(type, member.asc, 0, 0xff, "additional sense code"),                                 \
    DEV_FIELD(type, member.ascq, 0, 0xff, "its qualifier"),                                        \
    DEV_FIELD(type, member.locked, 0, 1, "medium locked"),                                         \
    DEV_FIELD(type, member.ejected, 0, 1, "tray open"),                                            \
    DEV_FIELD(type, member.attention, 0, 2, "unit attention"),                                     \
    DEV_FIELD(type, member.event, 0, 4, "media event"),                                            \
    DEV_FIELD_ARRAY(type, member.queue_error, 0, 0xff, "log of the queued error")
/* clang-format on */
