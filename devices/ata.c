/*
 * ata.c: commands of an ATA disk (ata.h).
 *
 * Specification: ATA/ATAPI-7 volume 1 (T13 1532D), section 6 (commands) and table 15 on (IDENTIFY);
 * volume 2, section 9 (protocols). TRIM: ACS-2, 7.10. Queued commands are the controller's (ahci_port.c):
 * here are their limits and their log of errors.
 *
 * Not implemented: security, host protected areas (the native maximum is the
 * size), CFA and streaming commands, self-tests of SMART.
 */
#include "devices/ata.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>

#define LBA28_MAX (BIT64(28) - 1)
#define ATA_LOG_QUEUE 0x10u
#define ATA_LOG_NOT_QUEUED 0x80u /* in its first byte: no queued command failed */
#define IDLE_STATUS (ATA_STATUS_DRDY | ATA_STATUS_DSC)

u32 ata_sector_bytes(const struct ata *a)
{
    return a->atapi ? 2048 : SECTOR_BYTES;
}

static u64 sector_count(const struct ata *a)
{
    return drive_bytes(a->drive) / ata_sector_bytes(a);
}

/* ---- ends of commands ------------------------------------------------------------------------ */

void ata_interrupt(struct ata *a)
{
    a->intrq = true;
    a->host->interrupt(a->host_opaque, a->unit);
}

static void end_dma(struct ata *a)
{
    if (a->is_dma)
        a->host->dma_end(a->host_opaque, a->unit);
    a->is_dma = false;
}

static void end(struct ata *a, u8 status, u8 error)
{
    a->phase = ATA_IDLE;
    a->status = status;
    a->error = error;
    end_dma(a);
    ata_interrupt(a);
}

void ata_finish(struct ata *a)
{
    end(a, IDLE_STATUS, 0);
}

void ata_fail(struct ata *a, u8 error)
{
    end(a, IDLE_STATUS | ATA_STATUS_ERR, error);
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Sector number and count of the command that is about to start. False: beyond the end. */
static bool take_address(struct ata *a, bool ext)
{
    const u8 *n = a->now, *b = a->before;

    a->is_ext = ext;
    a->left = ext ? (u32)b[ATA_COUNT] << 8 | n[ATA_COUNT] : n[ATA_COUNT];
    if (!a->left)
        a->left = ext ? 65536 : 256;
    if (ext)
        a->lba = (u64)b[ATA_LBA_HIGH] << 40 | (u64)b[ATA_LBA_MID] << 32 |
                 (u64)b[ATA_LBA_LOW] << 24 | (u64)n[ATA_LBA_HIGH] << 16 | n[ATA_LBA_MID] << 8 |
                 n[ATA_LBA_LOW];
    else if (n[ATA_DEVICE] & ATA_DEVICE_LBA)
        a->lba = (u64)(n[ATA_DEVICE] & 15) << 24 | (u64)n[ATA_LBA_HIGH] << 16 |
                 n[ATA_LBA_MID] << 8 | n[ATA_LBA_LOW];
    else {
        u64 cylinder = n[ATA_LBA_HIGH] << 8 | n[ATA_LBA_MID];

        if (!n[ATA_LBA_LOW])
            return false;
        a->lba = (cylinder * a->heads + (n[ATA_DEVICE] & 15)) * a->sectors + n[ATA_LBA_LOW] - 1;
    }
    return a->lba + a->left <= sector_count(a);
}

/* Tells the host a sector number: where an error was, or a native maximum. */
static void put_address(struct ata *a, u64 lba)
{
    if (!a->is_ext && !(a->now[ATA_DEVICE] & ATA_DEVICE_LBA)) {
        u64 track = lba / a->sectors, cylinder = track / a->heads;

        a->now[ATA_LBA_LOW] = (u8)(lba % a->sectors + 1);
        a->now[ATA_LBA_MID] = (u8)cylinder;
        a->now[ATA_LBA_HIGH] = (u8)(cylinder >> 8);
        a->now[ATA_DEVICE] = (u8)((a->now[ATA_DEVICE] & 0xf0) | track % a->heads);
        return;
    }
    a->now[ATA_LBA_LOW] = (u8)lba;
    a->now[ATA_LBA_MID] = (u8)(lba >> 8);
    a->now[ATA_LBA_HIGH] = (u8)(lba >> 16);
    if (!a->is_ext) {
        a->now[ATA_DEVICE] = (u8)((a->now[ATA_DEVICE] & 0xf0) | (lba >> 24 & 15));
        return;
    }
    a->before[ATA_LBA_LOW] = (u8)(lba >> 24);
    a->before[ATA_LBA_MID] = (u8)(lba >> 32);
    a->before[ATA_LBA_HIGH] = (u8)(lba >> 40);
}

/* ---- requests of the drive ------------------------------------------------------------------- */

static void request_done(struct drive_request *r)
{
    struct ata *a = r->opaque;

    if (r->pieces)
        dma_pieces_wrote(a->pieces);
    if (a->dropped)
        return;
    if (!r->error) {
        a->after(a);
    } else if (a->atapi) {
        atapi_end(a, r->error == ENOMEDIUM ? 2 : 3, r->error == ENOMEDIUM ? 0x3a : 0x11);
    } else {
        put_address(a, a->lba);
        ata_fail(a, r->op == DRIVE_READ ? ATA_ERROR_UNC : ATA_ERROR_ABRT);
    }
}

/* buf NULL: a read goes into a->pieces. */
void ata_submit(struct ata *a, enum drive_op op, u64 offset, u64 len, void *buf,
                void (*after)(struct ata *a))
{
    const struct dma_pieces *pieces = op == DRIVE_READ && !buf ? a->pieces : NULL;

    a->phase = ATA_BUSY;
    a->status = ATA_STATUS_BSY | ATA_STATUS_DRDY;
    a->after = after;
    a->request = (struct drive_request){.op = op,
                                        .offset = offset,
                                        .len = len,
                                        .buf = buf,
                                        .pieces = pieces ? pieces->host : NULL,
                                        .piece_count = pieces ? pieces->count : 0,
                                        .fua = op == DRIVE_WRITE && (a->fua || !a->write_cache),
                                        .done = request_done,
                                        .opaque = a};
    drive_submit(a->drive, &a->request);
}

static void submit_sectors(struct ata *a, u32 sectors, void *buf, void (*after)(struct ata *a))
{
    u32 size = ata_sector_bytes(a);

    ata_submit(a, a->is_write ? DRIVE_WRITE : DRIVE_READ, a->lba * size, (u64)sectors * size, buf,
               after);
}

static u32 at_most(u32 v, u32 max)
{
    return v < max ? v : max;
}

static void moved(struct ata *a)
{
    u32 n = (u32)(a->request.len / ata_sector_bytes(a));

    a->lba += n;
    a->left -= at_most(n, a->left);
}

/* ---- PIO ------------------------------------------------------------------------------------- */

static void begin_block_in(struct ata *a)
{
    u32 n = at_most(a->block_bytes, a->filled - a->pos);

    a->block_end = a->pos + n;
    a->phase = ATA_PIO_IN;
    a->status = IDLE_STATUS | ATA_STATUS_DRQ;
    if (a->atapi) { /* byte count, and IO without CD: data to the host */
        a->now[ATA_LBA_MID] = (u8)n;
        a->now[ATA_LBA_HIGH] = (u8)(n >> 8);
        a->now[ATA_COUNT] = 2;
    }
    ata_interrupt(a);
}

static void buffer_filled(struct ata *a)
{
    a->pos = 0;
    a->filled = (u32)a->request.len;
    moved(a);
    begin_block_in(a);
}

static void fill_buffer(struct ata *a)
{
    submit_sectors(a, at_most(a->left, ATA_BUFFER_BYTES / ata_sector_bytes(a)), a->buf,
                   buffer_filled);
}

static void block_in_taken(struct ata *a)
{
    if (a->pos < a->filled)
        begin_block_in(a);
    else if (a->left)
        fill_buffer(a);
    else if (a->atapi && a->command == 0xa0)
        atapi_end(a, 0, 0);
    else {
        a->phase = ATA_IDLE;
        a->status = IDLE_STATUS;
    }
}

static void begin_block_out(struct ata *a)
{
    a->pos = 0;
    a->filled = a->block_end = at_most(a->block_bytes, a->left * SECTOR_BYTES);
    a->phase = ATA_PIO_OUT;
    a->status = IDLE_STATUS | ATA_STATUS_DRQ;
}

static void block_out_written(struct ata *a)
{
    moved(a);
    if (!a->left) {
        ata_finish(a);
        return;
    }
    begin_block_out(a);
    ata_interrupt(a);
}

u32 ata_read_data(struct ata *a, unsigned size)
{
    u32 value;

    if (a->phase != ATA_PIO_IN)
        return 0;
    if (a->block_end - a->pos < size) { /* the odd end of a packet command's data */
        value = 0;
        for (unsigned i = 0; a->pos < a->block_end; i++)
            value |= (u32)a->buf[a->pos++] << 8 * i;
    } else {
        value = (u32)ld_le(a->buf + a->pos, size);
        a->pos += size;
    }
    if (a->pos == a->block_end)
        block_in_taken(a);
    return value;
}

void ata_write_data(struct ata *a, u32 value, unsigned size)
{
    if ((a->phase != ATA_PIO_OUT && a->phase != ATA_PACKET) || a->block_end - a->pos < size)
        return;
    st_le(a->buf + a->pos, value, size);
    a->pos += size;
    if (a->pos < a->block_end)
        return;
    if (a->phase == ATA_PACKET)
        atapi_command(a);
    else
        submit_sectors(a, a->block_end / SECTOR_BYTES, a->buf, block_out_written);
}

/* ---- DMA ------------------------------------------------------------------------------------- */

static void dma_step(struct ata *a);

/* The guest's table of memory ends too early, or names what is no memory: the device waits for a
 * host that will not come, until a reset. */
static bool dma_move(struct ata *a, u8 *buf, u32 len, bool to_guest)
{
    if (a->host->dma(a->host_opaque, a->unit, buf, len, to_guest))
        return true;
    a->phase = ATA_DMA_WAIT;
    a->status = IDLE_STATUS | ATA_STATUS_DRQ;
    a->left = 0;
    a->filled = 0;
    return false;
}

static void dma_ended(struct ata *a)
{
    if (a->atapi && a->command == 0xa0)
        atapi_end(a, 0, 0);
    else
        ata_finish(a);
}

static void dma_done(struct ata *a)
{
    if (!a->is_write && !dma_move(a, a->request.buf, (u32)a->request.len, true))
        return;
    moved(a);
    dma_step(a);
}

static void dma_step(struct ata *a)
{
    u32 size = ata_sector_bytes(a), n = at_most(a->left, ATA_DMA_BYTES / size);

    if (!n)
        dma_ended(a);
    else if (!a->is_write && a->host->dma_map && drive_reads_pieces(a->drive) &&
             a->host->dma_map(a->host_opaque, a->unit, n * size, a->pieces))
        submit_sectors(a, n, NULL, dma_done);
    else if (!a->is_write || dma_move(a, a->dma_buf, n * size, false))
        submit_sectors(a, n, a->dma_buf, dma_done);
}

static void trim_next(struct ata *a);

void ata_dma_go(struct ata *a)
{
    if (a->phase != ATA_DMA_WAIT || !a->is_dma)
        return;
    if (a->command == 0x06) {
        if (dma_move(a, a->buf, a->filled, false))
            trim_next(a);
    } else if (a->filled) { /* a reply that stands in buf */
        u32 n = a->filled;

        a->filled = 0;
        if (dma_move(a, a->buf, n, true))
            dma_ended(a);
    } else if (a->left) {
        dma_step(a);
    }
}

static void dma_begin(struct ata *a)
{
    a->by_pio = !a->is_dma;
    a->is_dma = true;
    a->phase = ATA_DMA_WAIT;
    a->status = IDLE_STATUS | ATA_STATUS_DRQ;
    if (a->host->dma_ready(a->host_opaque, a->unit))
        ata_dma_go(a);
}

/* ---- reads and writes ------------------------------------------------------------------------ */

void ata_data_in(struct ata *a)
{
    if (a->is_dma || a->host->serial)
        dma_begin(a);
    else if (a->filled)
        begin_block_in(a);
    else
        fill_buffer(a);
}

enum { READ = 0, WRITE = 1, DMA = 2, EXT = 4, MULTI = 8, FUA = 16 };

static void read_or_write(struct ata *a, unsigned how)
{
    a->is_write = how & WRITE;
    a->is_dma = how & DMA;
    a->fua = how & FUA;
    a->filled = a->pos = 0;
    a->block_bytes = how & MULTI ? a->multiple * SECTOR_BYTES : SECTOR_BYTES;
    if ((how & MULTI && !a->multiple) || (a->is_write && drive_readonly(a->drive))) {
        ata_fail(a, ATA_ERROR_ABRT);
    } else if (!take_address(a, how & EXT)) {
        ata_fail(a, ATA_ERROR_IDNF);
    } else if (a->is_dma || a->host->serial) {
        dma_begin(a);
    } else if (a->is_write) {
        begin_block_out(a);
    } else {
        ata_data_in(a);
    }
}

static void verify(struct ata *a, unsigned how)
{
    if (!take_address(a, how & EXT))
        ata_fail(a, ATA_ERROR_IDNF);
    else
        ata_finish(a);
}

static void flush(struct ata *a, unsigned how)
{
    (void)how;
    ata_submit(a, DRIVE_FLUSH, 0, 0, NULL, ata_finish);
}

/* TRIM: the data are ranges of 48 bits of address and 16 of count, of which 0 is none. */
static void data_set_management(struct ata *a, unsigned how)
{
    u32 blocks = (u32)a->before[ATA_COUNT] << 8 | a->now[ATA_COUNT];

    (void)how;
    if (!(a->now[ATA_FEATURE] & 1) || !blocks || blocks * SECTOR_BYTES > ATA_BUFFER_BYTES ||
        drive_readonly(a->drive)) {
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    a->left = 0;
    a->pos = 0;
    a->filled = blocks * SECTOR_BYTES;
    a->is_dma = true;
    dma_begin(a);
}

static void trim_next(struct ata *a)
{
    while (a->pos < a->filled) {
        u64 range = ld_le64(a->buf + a->pos), lba = range & mask64(48), n = range >> 48;

        a->pos += 8;
        if (!n)
            continue;
        if (lba + n > sector_count(a)) {
            ata_fail(a, ATA_ERROR_IDNF);
            return;
        }
        ata_submit(a, DRIVE_DISCARD, lba * SECTOR_BYTES, n * SECTOR_BYTES, NULL, trim_next);
        return;
    }
    ata_finish(a);
}

/* ---- IDENTIFY -------------------------------------------------------------------------------- */

void ata_put_string(u8 *to, size_t bytes, const char *text)
{
    for (size_t i = 0; i < bytes; i++)
        to[i ^ 1] = *text ? (u8)*text++ : ' ';
}

static void put_word(struct ata *a, unsigned word, unsigned value)
{
    st_le16(a->buf + 2 * word, (u16)value);
}

static const char *serial_of(const struct ata *a, char *own, size_t size)
{
    if (a->drive->serial)
        return a->drive->serial;
    snprintf(own, size, "PLX%05u", a->unit + 1);
    return own;
}

static u64 cylinders(const struct ata *a)
{
    u64 n = sector_count(a) / (16u * 63);

    return n < 1 ? 1 : n > 16383 ? 16383 : n;
}

static void identify_sizes(struct ata *a)
{
    u64 all = sector_count(a), c = cylinders(a);
    u64 current = all / ((u64)a->heads * a->sectors);
    u64 chs;

    current = current > 65535 ? 65535 : current;
    chs = current * a->heads * a->sectors;
    put_word(a, 1, (unsigned)c);
    put_word(a, 3, 16);
    put_word(a, 6, 63);
    put_word(a, 54, (unsigned)current);
    put_word(a, 55, a->heads);
    put_word(a, 56, a->sectors);
    st_le32(a->buf + 2 * 57, (u32)chs);
    st_le32(a->buf + 2 * 60, (u32)(all > LBA28_MAX ? LBA28_MAX : all));
    st_le64(a->buf + 2 * 100, all);
}

/* Words 63 and 88: the modes there are, and the one that SET FEATURES chose. */
static void identify_modes(struct ata *a)
{
    unsigned mode = a->dma_mode & 7;

    put_word(a, 63, 0x07 | ((a->dma_mode & 0xf8) == 0x20 ? BIT(8 + mode) : 0));
    put_word(a, 64, 0x03); /* PIO modes 3 and 4 */
    for (unsigned w = 65; w <= 68; w++)
        put_word(a, w, 120); /* cycle times in ns */
    put_word(a, 88, 0x3f | ((a->dma_mode & 0xf8) == 0x40 ? BIT(8 + mode) : 0));
    if (!a->host->serial)
        put_word(a, 93, 0x6000 | (a->unit & 1 ? 0x0100 : 0x0001) | 0x4000); /* 80-wire cable */
}

static void identify(struct ata *a, unsigned how)
{
    char own[24];

    (void)how;
    if (a->atapi) { /* the signature tells a CD-ROM */
        atapi_reset(a, false);
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    memset(a->buf, 0, SECTOR_BYTES);
    put_word(a, 0, 0x0040); /* fixed */
    ata_put_string(a->buf + 20, 20, serial_of(a, own, sizeof own));
    ata_put_string(a->buf + 46, 8, "1.0");
    ata_put_string(a->buf + 54, 40, "PARALLAX HARDDISK");
    put_word(a, 47, 0x8000 | ATA_MULTIPLE_MAX);
    put_word(a, 49, 0x0f00); /* DMA, LBA, IORDY */
    put_word(a, 50, 0x4000);
    put_word(a, 53, 0x0007); /* words 54 to 58, 64 to 70 and 88 count */
    put_word(a, 59, a->multiple ? 0x0100 | a->multiple : 0);
    identify_sizes(a);
    identify_modes(a);
    put_word(a, 69, 0x4000 | 0x0020); /* trimmed sectors read as zeroes, always the same */
    if (a->host->serial) {
        put_word(a, 75, ATA_QUEUE_DEPTH - 1);
        put_word(a, 76, 0x0106); /* queues; 1.5 and 3 Gb/s */
    }
    put_word(a, 80, 0x00f0);          /* ATA/ATAPI-4 to -7 */
    put_word(a, 82, 0x4021);          /* NOP, write cache, SMART */
    put_word(a, 83, 0x7400);          /* FLUSH CACHE (EXT), 48-bit */
    put_word(a, 84, 0x4060);          /* FUA writes, logs */
    put_word(a, 85, 0x4000 | (a->write_cache ? 0x20 : 0) | (a->smart ? 1 : 0));
    put_word(a, 86, 0x3400);
    put_word(a, 87, 0x4060);
    put_word(a, 105, ATA_BUFFER_BYTES / SECTOR_BYTES); /* blocks of ranges of a TRIM */
    put_word(a, 169, 1);
    put_word(a, 217, 1); /* does not rotate */
    a->block_bytes = SECTOR_BYTES;
    a->pos = a->left = 0;
    a->filled = SECTOR_BYTES;
    a->is_write = a->is_dma = false;
    ata_data_in(a);
}

static void identify_packet(struct ata *a, unsigned how)
{
    (void)how;
    if (!a->atapi) {
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    a->is_write = a->is_dma = false;
    atapi_identify(a);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void set_multiple(struct ata *a, unsigned how)
{
    u8 n = a->now[ATA_COUNT];

    (void)how;
    if (n > ATA_MULTIPLE_MAX || (n & (n - 1))) {
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    a->multiple = n;
    ata_finish(a);
}

static void initialize_parameters(struct ata *a, unsigned how)
{
    (void)how;
    if (!a->now[ATA_COUNT]) {
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    a->sectors = a->now[ATA_COUNT];
    a->heads = (u8)((a->now[ATA_DEVICE] & 15) + 1);
    ata_finish(a);
}

static bool set_transfer_mode(struct ata *a, u8 mode)
{
    unsigned kind = mode >> 3, n = mode & 7;

    if (kind > 1 && !((kind == 4 && n <= 2) || (kind == 8 && n <= 5)))
        return false;
    if (kind > 1)
        a->dma_mode = mode;
    return true;
}

static void set_features(struct ata *a, unsigned how)
{
    bool ok = true;

    (void)how;
    switch (a->now[ATA_FEATURE]) {
    case 0x02: a->write_cache = true; break;
    case 0x03: ok = set_transfer_mode(a, a->now[ATA_COUNT]); break;
    case 0x55: /* read look-ahead off, defaults kept or restored by reset, look-ahead on */
    case 0x66:
    case 0xaa:
    case 0xcc: break;
    case 0x82:
        a->write_cache = false;
        if (!a->atapi) {
            flush(a, 0);
            return;
        }
        break;
    default: ok = false;
    }
    if (ok)
        ata_finish(a);
    else
        ata_fail(a, ATA_ERROR_ABRT);
}

static void native_max(struct ata *a, unsigned how)
{
    u64 last = sector_count(a) ? sector_count(a) - 1 : 0;

    a->is_ext = how & EXT;
    put_address(a, !a->is_ext && last > LBA28_MAX ? LBA28_MAX : last);
    ata_finish(a);
}

static void power(struct ata *a, unsigned how)
{
    a->standby = how;
    ata_finish(a);
}

static void check_power(struct ata *a, unsigned how)
{
    (void)how;
    a->now[ATA_COUNT] = a->standby ? 0x00 : 0xff;
    ata_finish(a);
}

static void succeed(struct ata *a, unsigned how)
{
    (void)how;
    ata_finish(a);
}

static void diagnose(struct ata *a, unsigned how)
{
    (void)how;
    ata_reset(a, false);
    ata_interrupt(a);
}

static void device_reset(struct ata *a, unsigned how)
{
    (void)how;
    if (a->atapi)
        ata_reset(a, false);
    else
        ata_fail(a, ATA_ERROR_ABRT);
}

static void packet(struct ata *a, unsigned how)
{
    (void)how;
    if (!a->atapi) {
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    a->is_dma = a->now[ATA_FEATURE] & 1;
    a->is_write = false;
    a->pos = 0;
    a->block_end = 12;
    a->phase = ATA_PACKET;
    a->status = IDLE_STATUS | ATA_STATUS_DRQ;
    a->now[ATA_COUNT] = 1; /* CD without IO: the packet is awaited */
}

void ata_packet(struct ata *a, const u8 p[16])
{
    if (a->phase != ATA_PACKET)
        return;
    memcpy(a->buf, p, 16);
    atapi_command(a);
}

/* ---- logs ------------------------------------------------------------------------------------ */

bool ata_queued_fits(const struct ata *a, u64 lba, u32 sectors)
{
    return lba + sectors <= sector_count(a);
}

/* The log of the error of a queued command (ACS-2, A.12). */
void ata_queued_failed(struct ata *a, u8 tag, u8 error, u64 lba, u32 sectors)
{
    u8 *log = a->queue_error;

    memset(log, 0, sizeof a->queue_error);
    log[0] = tag;
    log[2] = IDLE_STATUS | ATA_STATUS_ERR;
    log[3] = error;
    log[7] = ATA_DEVICE_LBA;
    for (unsigned i = 0; i < 3; i++) {
        log[4 + i] = (u8)(lba >> 8 * i);
        log[8 + i] = (u8)(lba >> (24 + 8 * i));
    }
    log[12] = (u8)sectors;
    log[13] = (u8)(sectors >> 8);
    a->status = log[2];
    a->error = error;
}

/* A page ends with the byte that makes the sum of all 0. */
static void put_checksum(struct ata *a)
{
    u8 sum = 0;

    for (unsigned i = 0; i < SECTOR_BYTES - 1; i++)
        sum = (u8)(sum + a->buf[i]);
    a->buf[SECTOR_BYTES - 1] = (u8)-sum;
}

static void send_page(struct ata *a)
{
    a->block_bytes = SECTOR_BYTES;
    a->pos = a->left = 0;
    a->filled = SECTOR_BYTES;
    a->is_write = false;
    ata_data_in(a);
}

/* Log 0 is the directory: how many pages each log has. Reading log 10h clears it. */
static void read_log(struct ata *a, unsigned how)
{
    u8 log = a->now[ATA_LBA_LOW];
    u32 pages = (u32)a->before[ATA_COUNT] << 8 | a->now[ATA_COUNT];

    a->is_dma = how & DMA;
    if (pages != 1 || a->now[ATA_LBA_MID] || a->before[ATA_LBA_MID] ||
        (log && !(log == ATA_LOG_QUEUE && a->host->serial))) {
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    memset(a->buf, 0, SECTOR_BYTES);
    if (log) {
        memcpy(a->buf, a->queue_error, sizeof a->queue_error);
        put_checksum(a);
        memset(a->queue_error, 0, sizeof a->queue_error);
        a->queue_error[0] = ATA_LOG_NOT_QUEUED;
    } else {
        put_word(a, 0, 1);
        put_word(a, ATA_LOG_QUEUE, a->host->serial);
    }
    send_page(a);
}

/* ---- SMART ----------------------------------------------------------------------------------- */

static void smart_page(struct ata *a)
{
    put_checksum(a);
    a->is_dma = false;
    send_page(a);
}

static void smart_attributes(struct ata *a, bool thresholds)
{
    static const u8 ids[] = {1, 5, 9, 12, 194}; /* errors, reallocations, hours, cycles, degrees */

    memset(a->buf, 0, SECTOR_BYTES);
    put_word(a, 0, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        u8 *row = a->buf + 2 + 12 * i;

        row[0] = ids[i];
        if (thresholds) {
            row[1] = 1;
            continue;
        }
        st_le16(row + 1, 0x0003);
        row[3] = row[4] = 100;
        row[5] = ids[i] == 194 ? 31 : 0;
    }
    smart_page(a);
}

static void smart(struct ata *a, unsigned how)
{
    u8 what = a->now[ATA_FEATURE];

    (void)how;
    if (a->now[ATA_LBA_MID] != 0x4f || a->now[ATA_LBA_HIGH] != 0xc2 ||
        (!a->smart && what != 0xd8)) {
        ata_fail(a, ATA_ERROR_ABRT);
        return;
    }
    switch (what) {
    case 0xd0: smart_attributes(a, false); return;
    case 0xd1: smart_attributes(a, true); return;
    case 0xd5: /* the directory of logs, and empty ones */
        memset(a->buf, 0, SECTOR_BYTES);
        put_word(a, 0, 1);
        smart_page(a);
        return;
    case 0xd8: a->smart = true; break;
    case 0xd9: a->smart = false; break;
    case 0xd2:        /* attribute autosave */
    case 0xda: break; /* status: 4Fh, C2h stay as they are: no threshold was passed */
    default: ata_fail(a, ATA_ERROR_ABRT); return;
    }
    ata_finish(a);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
    u8 first, last;
    bool atapi; /* a CD-ROM knows it too */
    void (*run)(struct ata *a, unsigned how);
    unsigned how;
} commands[] = {
    {0x06, 0x06, false, data_set_management, 0},
    {0x08, 0x08, true, device_reset, 0},
    {0x10, 0x1f, false, succeed, 0}, /* RECALIBRATE */
    {0x20, 0x21, false, read_or_write, READ},
    {0x24, 0x24, false, read_or_write, READ | EXT},
    {0x25, 0x25, false, read_or_write, READ | DMA | EXT},
    {0x27, 0x27, false, native_max, EXT},
    {0x29, 0x29, false, read_or_write, READ | MULTI | EXT},
    {0x2f, 0x2f, false, read_log, 0},
    {0x30, 0x31, false, read_or_write, WRITE},
    {0x34, 0x34, false, read_or_write, WRITE | EXT},
    {0x35, 0x35, false, read_or_write, WRITE | DMA | EXT},
    {0x39, 0x39, false, read_or_write, WRITE | MULTI | EXT},
    {0x3d, 0x3d, false, read_or_write, WRITE | DMA | EXT | FUA},
    {0x40, 0x41, false, verify, 0},
    {0x42, 0x42, false, verify, EXT},
    {0x47, 0x47, false, read_log, DMA},
    {0x70, 0x7f, false, succeed, 0}, /* SEEK */
    {0x90, 0x90, true, diagnose, 0},
    {0x91, 0x91, false, initialize_parameters, 0},
    {0xa0, 0xa0, true, packet, 0},
    {0xa1, 0xa1, true, identify_packet, 0},
    {0xb0, 0xb0, false, smart, 0},
    {0xc4, 0xc4, false, read_or_write, READ | MULTI},
    {0xc5, 0xc5, false, read_or_write, WRITE | MULTI},
    {0xc6, 0xc6, false, set_multiple, 0},
    {0xc8, 0xc9, false, read_or_write, READ | DMA},
    {0xca, 0xcb, false, read_or_write, WRITE | DMA},
    {0xce, 0xce, false, read_or_write, WRITE | MULTI | EXT | FUA},
    {0xe0, 0xe0, true, power, true}, /* STANDBY IMMEDIATE */
    {0xe1, 0xe1, true, power, false},
    {0xe2, 0xe2, false, power, true},
    {0xe3, 0xe3, false, power, false},
    {0xe5, 0xe5, true, check_power, 0},
    {0xe6, 0xe6, true, power, true}, /* SLEEP; any command wakes */
    {0xe7, 0xe7, false, flush, 0},
    {0xea, 0xea, false, flush, EXT},
    {0xec, 0xec, true, identify, 0},
    {0xef, 0xef, true, set_features, 0},
    {0xf8, 0xf8, false, native_max, 0},
};

void ata_start(struct ata *a, u8 command)
{
    bool running = a->status & (ATA_STATUS_BSY | ATA_STATUS_DRQ);

    if (!a->drive || (running && !(command == 0x08 && a->atapi)))
        return;
    TRACE(ata_command, a->unit, command, a->now[ATA_FEATURE], a->now[ATA_COUNT]);
    a->intrq = false;
    a->command = command;
    a->error = 0;
    a->by_pio = false;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (command >= commands[i].first && command <= commands[i].last) {
            if (a->atapi && !commands[i].atapi)
                break;
            commands[i].run(a, commands[i].how);
            return;
        }
    ata_fail(a, ATA_ERROR_ABRT);
}

void ata_write_register(struct ata *a, unsigned reg, u8 value)
{
    if (!a->drive || reg == ATA_DATA || reg >= ATA_COMMAND ||
        (a->status & (ATA_STATUS_BSY | ATA_STATUS_DRQ)))
        return;
    a->before[reg] = a->now[reg];
    a->now[reg] = value;
}

u8 ata_read_register(struct ata *a, unsigned reg, bool hob)
{
    switch (reg) {
    case ATA_FEATURE: return a->error;
    case ATA_COMMAND: return a->status;
    case ATA_DEVICE: return a->now[ATA_DEVICE] | 0xa0;
    default: return hob ? a->before[reg] : a->now[reg];
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

bool ata_init(struct ata *a, struct drives *drives, const char *id, const struct ata_host *host,
              void *opaque, unsigned unit, struct err *e)
{
    a->host = host;
    a->host_opaque = opaque;
    a->unit = unit;
    a->heads = 16;
    a->sectors = 63;
    if (!id)
        return true;
    a->drive = drive_take(drives, id, e);
    if (!a->drive)
        return false;
    a->atapi = a->drive->media == MEDIA_CDROM;
    if (!a->atapi && !drive_has_medium(a->drive)) {
        drive_release(a->drive);
        a->drive = NULL;
        return err_usage(e, "the hard disk '%s' has no image", id);
    }
    a->dma_buf = malloc(ATA_DMA_BYTES);
    a->pieces = malloc(sizeof *a->pieces);
    BUG_ON(!a->dma_buf || !a->pieces);
    if (a->atapi)
        atapi_init(a);
    return true;
}

void ata_unplug(struct ata *a)
{
    if (!a->drive)
        return;
    ata_reset(a, true);
    a->parked = a->drive;
    a->drive = NULL;
    a->status = 0;
}

void ata_plug(struct ata *a)
{
    if (!a->parked)
        return;
    a->drive = a->parked;
    a->parked = NULL;
}

void ata_destroy(struct ata *a)
{
    ata_plug(a);
    drive_release(a->drive);
    free(a->dma_buf);
    free(a->pieces);
    a->drive = NULL;
    a->dma_buf = NULL;
    a->pieces = NULL;
}

/* The signature (ATA/ATAPI-7, 9.12): count and LBA tell a disk from a CD-ROM. */
void ata_reset(struct ata *a, bool hard)
{
    a->dropped = true;
    drive_drain(a->drive);
    a->dropped = false;
    if (hard) {
        memset(a->buf, 0, sizeof a->buf);
        memset(a->now, 0, sizeof a->now);
        memset(a->before, 0, sizeof a->before);
        a->heads = 16;
        a->sectors = 63;
        a->multiple = a->dma_mode = 0;
        a->write_cache = a->smart = true;
        a->command = 0;
        a->fua = a->is_ext = false;
        a->lba = 0;
    }
    a->standby = a->intrq = a->is_dma = a->is_write = a->by_pio = false;
    memset(a->queue_error, 0, sizeof a->queue_error);
    a->queue_error[0] = ATA_LOG_NOT_QUEUED;
    a->left = a->pos = a->block_end = a->filled = 0;
    a->block_bytes = SECTOR_BYTES;
    a->phase = ATA_IDLE;
    a->error = 1; /* no fault found */
    a->now[ATA_COUNT] = a->now[ATA_LBA_LOW] = 1;
    a->now[ATA_LBA_MID] = a->now[ATA_LBA_HIGH] = 0;
    a->now[ATA_DEVICE] = 0;
    a->status = a->drive ? IDLE_STATUS : 0;
    if (a->atapi)
        atapi_reset(a, hard);
}

static bool state_is_possible(const struct ata *a)
{
    switch (a->phase) {
    case ATA_IDLE: return true;
    case ATA_PIO_IN: return a->pos < a->block_end;
    case ATA_PIO_OUT: return a->pos < a->block_end && a->block_end % SECTOR_BYTES == 0 && !a->atapi;
    case ATA_PACKET: return a->atapi && a->pos < 12;
    case ATA_DMA_WAIT: return a->is_dma && (a->command != 0x06 || a->filled % SECTOR_BYTES == 0);
    default: return false; /* a request of the drive is never part of a saved state */
    }
}

/* A state from anywhere: positions agree with each other, and what needs a drive has one. */
void ata_loaded(struct ata *a)
{
    if (a->phase == ATA_PACKET)
        a->block_end = 12;
    else if (a->block_end > a->filled)
        a->block_end = a->filled;
    if (a->pos > a->block_end)
        a->pos = a->block_end;
    if (a->phase == ATA_DMA_WAIT)
        a->pos = 0;
    if (!a->drive || !state_is_possible(a))
        ata_reset(a, false);
}
