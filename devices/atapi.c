/*
 * atapi.c: packet commands of a CD-ROM drive (ata.h).
 *
 * Specification: MMC-5 (section 6), SPC-3 (REQUEST SENSE, INQUIRY, MODE SENSE), ATA/ATAPI-7 volume
 * 2 section 9 (PACKET). A change of medium is told as MMC asks: NOT READY once, then UNIT
 * ATTENTION.
 *
 * Not implemented: audio, writing, DVD structures, sub-channels, multi-session discs.
 */
#include "devices/ata.h"

#include "base/bits.h"

#define CD_SECTOR 2048u

enum { NO_SENSE, NOT_READY = 2, MEDIUM_ERROR, ILLEGAL_REQUEST = 5, UNIT_ATTENTION };
enum {
    ASC_OPCODE = 0x20,
    ASC_LBA = 0x21,
    ASC_FIELD = 0x24,
    ASC_CHANGED = 0x28,
    ASC_RESET = 0x29,
    ASC_NO_MEDIUM = 0x3a,
    ASC_LOCKED = 0x53
};
enum atapi_attention { ATTENTION_NONE, ATTENTION_RESET, ATTENTION_CHANGED };
enum { EVENT_NONE, EVENT_EJECT_REQUEST, EVENT_NEW_MEDIA, EVENT_REMOVED, EVENT_CHANGED };

/* Numbers in packets and replies are big-endian. */
static u32 get16(const u8 *p)
{
    return (u32)p[0] << 8 | p[1];
}

static u32 get32(const u8 *p)
{
    return get16(p) << 16 | get16(p + 2);
}

static void put16(u8 *p, u32 v)
{
    p[0] = (u8)(v >> 8);
    p[1] = (u8)v;
}

static void put32(u8 *p, u32 v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static bool is_ready(const struct ata *a)
{
    return !a->ejected && drive_has_medium(a->drive);
}

static u32 cd_sectors(const struct ata *a)
{
    u64 n = drive_bytes(a->drive) / CD_SECTOR;

    return n > 0xffffffff ? 0xffffffff : (u32)n;
}

/* ---- ends ------------------------------------------------------------------------------------ */

void atapi_end(struct ata *a, u8 key, u8 asc)
{
    a->sense_key = key;
    a->asc = asc;
    a->ascq = 0;
    a->now[ATA_COUNT] = 3; /* IO and CD: the command is over */
    if (key)
        ata_fail(a, (u8)(key << 4 | (key == ILLEGAL_REQUEST ? ATA_ERROR_ABRT : 0)));
    else
        ata_finish(a);
}

static void succeed(struct ata *a, const u8 *p)
{
    (void)p;
    atapi_end(a, NO_SENSE, 0);
}

static void illegal(struct ata *a, u8 asc)
{
    atapi_end(a, ILLEGAL_REQUEST, asc);
}

/* The host's limit for one block, even (ATA/ATAPI-7, 9.12 and table 9 on the byte count). */
static u32 byte_count_limit(const struct ata *a)
{
    u32 n = (u32)a->now[ATA_LBA_HIGH] << 8 | a->now[ATA_LBA_MID];

    if (n == 0 || n == 0xffff)
        n = 0xfffe;
    return n < 2 ? 2 : n & ~1u;
}

/* The reply of `len` bytes in buf, of which the packet allows `allocated`. */
static void reply(struct ata *a, u32 len, u32 allocated)
{
    u32 n = len < allocated ? len : allocated;

    a->left = 0;
    a->pos = 0;
    a->filled = n;
    a->block_bytes = byte_count_limit(a);
    if (n)
        ata_data_in(a);
    else
        atapi_end(a, NO_SENSE, 0);
}

/* ---- IDENTIFY PACKET DEVICE ------------------------------------------------------------------ */

static void put_word(struct ata *a, unsigned word, unsigned value)
{
    st_le16(a->buf + 2 * word, (u16)value);
}

void atapi_identify(struct ata *a)
{
    unsigned mode = a->dma_mode & 7;

    memset(a->buf, 0, SECTOR_BYTES);
    put_word(a, 0, 0x85c0); /* CD-ROM, removable, DRQ within 50 us, packets of 12 bytes */
    ata_put_string(a->buf + 20, 20, a->drive->serial ? a->drive->serial : "PLXCD");
    ata_put_string(a->buf + 46, 8, "1.0");
    ata_put_string(a->buf + 54, 40, "PARALLAX CD-ROM");
    put_word(a, 49, 0x0b00); /* DMA, LBA, IORDY */
    put_word(a, 53, 0x0006);
    put_word(a, 63, 0x07 | ((a->dma_mode & 0xf8) == 0x20 ? BIT(8 + mode) : 0));
    put_word(a, 64, 0x03);
    for (unsigned w = 65; w <= 68; w++)
        put_word(a, w, 120);
    if (a->host->serial)
        put_word(a, 76, 0x0006); /* 1.5 and 3 Gb/s */
    put_word(a, 80, 0x00f0);
    put_word(a, 82, 0x4210); /* PACKET, DEVICE RESET, NOP */
    put_word(a, 83, 0x4000);
    put_word(a, 84, 0x4000);
    put_word(a, 85, 0x4210);
    put_word(a, 87, 0x4000);
    put_word(a, 88, 0x3f | ((a->dma_mode & 0xf8) == 0x40 ? BIT(8 + mode) : 0));
    a->block_bytes = SECTOR_BYTES;
    a->pos = a->left = 0;
    a->filled = SECTOR_BYTES;
    ata_data_in(a);
}

/* ---- what the drive says of itself ----------------------------------------------------------- */

static void request_sense(struct ata *a, const u8 *p)
{
    u8 key = a->sense_key, asc = a->asc, ascq = a->ascq;

    if (a->attention) {
        key = UNIT_ATTENTION;
        asc = a->attention == ATTENTION_RESET ? ASC_RESET : ASC_CHANGED;
        ascq = 0;
        a->attention = ATTENTION_NONE;
    }
    memset(a->buf, 0, 18);
    a->buf[0] = 0x70;
    a->buf[2] = key;
    a->buf[7] = 10;
    a->buf[12] = asc;
    a->buf[13] = ascq;
    reply(a, 18, p[4]);
}

static void inquiry(struct ata *a, const u8 *p)
{
    if (p[1] & 1) {
        illegal(a, ASC_FIELD);
        return;
    }
    memset(a->buf, 0, 36);
    a->buf[0] = 5;    /* CD-ROM */
    a->buf[1] = 0x80; /* removable */
    a->buf[3] = 0x21; /* ATAPI, response format 1 */
    a->buf[4] = 31;
    memcpy(a->buf + 8, "PARALLAXCD-ROM          1.0 ", 28);
    reply(a, 36, get16(p + 3));
}

/* Page 01h: error recovery; 2Ah: capabilities. */
static u32 mode_page(u8 *to, unsigned page)
{
    if (page == 0x01) {
        memset(to, 0, 8);
        to[0] = 0x01;
        to[1] = 6;
        to[3] = 5; /* retries */
        return 8;
    }
    if (page != 0x2a)
        return 0;
    memset(to, 0, 22);
    to[0] = 0x2a;
    to[1] = 20;
    to[4] = 0x00;
    to[6] = 0x29;       /* tray, ejects, can be locked */
    put16(to + 8, 706); /* 4x in kB/s */
    put16(to + 12, 512);
    put16(to + 14, 706);
    return 22;
}

static void mode_sense(struct ata *a, const u8 *p)
{
    unsigned page = p[2] & 0x3f;
    u32 n = 8;

    if (p[2] >> 6 == 3) { /* saved values */
        atapi_end(a, ILLEGAL_REQUEST, 0x39);
        return;
    }
    memset(a->buf, 0, 8);
    for (unsigned i = 1; i < 0x3f; i++)
        if (page == 0x3f || page == i)
            n += mode_page(a->buf + n, i);
    if (n == 8) {
        illegal(a, ASC_FIELD);
        return;
    }
    put16(a->buf, n - 2);
    a->buf[2] = is_ready(a) ? 0x01 : 0x70;
    if (page == 0x2a || page == 0x3f)
        a->buf[n - 22 + 6] |= a->locked ? 2 : 0;
    reply(a, n, get16(p + 7));
}

/* Profiles and the few features that a reader has. */
static void get_configuration(struct ata *a, const u8 *p)
{
    bool dvd = cd_sectors(a) > 600000;
    u32 start = get16(p + 2), n = 8;

    memset(a->buf, 0, 64);
    put16(a->buf + 6, !is_ready(a) ? 0 : dvd ? 0x10 : 0x08);
    if (start == 0) { /* profile list: DVD-ROM, CD-ROM */
        a->buf[n + 2] = 0x03;
        a->buf[n + 3] = 8;
        put16(a->buf + n + 4, 0x10);
        a->buf[n + 6] = is_ready(a) && dvd;
        put16(a->buf + n + 8, 0x08);
        a->buf[n + 10] = is_ready(a) && !dvd;
        n += 12;
    }
    if (start <= 1) { /* core: ATAPI */
        put16(a->buf + n, 0x0001);
        a->buf[n + 2] = 0x0b;
        a->buf[n + 3] = 8;
        a->buf[n + 7] = 2;
        a->buf[n + 8] = 1;
        n += 12;
    }
    if (start <= 3) { /* removable medium: tray, ejects, locks */
        put16(a->buf + n, 0x0003);
        a->buf[n + 2] = 0x03;
        a->buf[n + 3] = 4;
        a->buf[n + 4] = 0x29;
        n += 8;
    }
    put32(a->buf, n - 4);
    reply(a, n, get16(p + 7));
}

/* Polled only (MMC-5, 6.6): class 4 is media. */
static void get_event_status(struct ata *a, const u8 *p)
{
    if (!(p[1] & 1)) {
        illegal(a, ASC_FIELD);
        return;
    }
    memset(a->buf, 0, 8);
    a->buf[3] = BIT(4); /* classes that there are */
    if (!(p[4] & BIT(4))) {
        put16(a->buf, 2);
        a->buf[2] = 0x80;
        reply(a, 4, get16(p + 7));
        return;
    }
    put16(a->buf, 6);
    a->buf[2] = 4;
    a->buf[4] = a->event;
    a->buf[5] = (u8)((a->ejected ? 1 : 0) | (is_ready(a) ? 2 : 0));
    a->event = EVENT_NONE;
    reply(a, 8, get16(p + 7));
}

static void mechanism_status(struct ata *a, const u8 *p)
{
    memset(a->buf, 0, 8);
    a->buf[1] = a->ejected ? 0x10 : 0;
    reply(a, 8, get16(p + 8));
}

/* ---- the medium ------------------------------------------------------------------------------ */

static void read_capacity(struct ata *a, const u8 *p)
{
    (void)p;
    put32(a->buf, cd_sectors(a) ? cd_sectors(a) - 1 : 0);
    put32(a->buf + 4, CD_SECTOR);
    reply(a, 8, 8);
}

static void put_position(u8 *to, u32 lba, bool msf)
{
    u32 f = lba + 150; /* two seconds before the first sector */

    put32(to, msf ? (f / 4500 & 0xff) << 16 | (f / 75 % 60) << 8 | f % 75 : lba);
}

/* One data track, and the lead-out AAh behind it. */
static void read_toc(struct ata *a, const u8 *p)
{
    bool msf = p[1] & 2;
    unsigned format = p[2] & 15 ? p[2] & 15 : p[9] >> 6;
    u32 n = 4;

    memset(a->buf, 0, 64);
    a->buf[2] = a->buf[3] = 1; /* first and last track or session */
    if (format == 0) {
        if (p[6] > 1 && p[6] != 0xaa) {
            illegal(a, ASC_FIELD);
            return;
        }
        for (unsigned lead_out = p[6] == 0xaa; lead_out < 2; lead_out++, n += 8) {
            a->buf[n + 1] = 0x14; /* data track */
            a->buf[n + 2] = lead_out ? 0xaa : 1;
            put_position(a->buf + n + 4, lead_out ? cd_sectors(a) : 0, msf);
        }
    } else if (format == 1) {
        a->buf[n + 1] = 0x14;
        a->buf[n + 2] = 1;
        put_position(a->buf + n + 4, 0, msf);
        n += 8;
    } else {
        illegal(a, ASC_FIELD);
        return;
    }
    put16(a->buf, n - 2);
    reply(a, n, get16(p + 7));
}

static void read_disc_information(struct ata *a, const u8 *p)
{
    memset(a->buf, 0, 34);
    put16(a->buf, 32);
    a->buf[2] = 0x0e; /* last session complete, disc finished */
    a->buf[3] = a->buf[4] = a->buf[5] = a->buf[6] = 1;
    a->buf[7] = 0x20; /* unrestricted use */
    reply(a, 34, get16(p + 7));
}

static void read_sectors(struct ata *a, u32 lba, u32 n)
{
    if ((u64)lba + n > cd_sectors(a)) {
        illegal(a, ASC_LBA);
        return;
    }
    if (!n) {
        atapi_end(a, NO_SENSE, 0);
        return;
    }
    a->lba = lba;
    a->left = n;
    a->pos = a->filled = 0;
    a->block_bytes = byte_count_limit(a);
    ata_data_in(a);
}

static void read_10(struct ata *a, const u8 *p)
{
    read_sectors(a, get32(p + 2), get16(p + 7));
}

static void read_12(struct ata *a, const u8 *p)
{
    u32 n = get32(p + 6);

    if (n > 0x7fffffff)
        illegal(a, ASC_FIELD);
    else
        read_sectors(a, get32(p + 2), n);
}

/* User data of mode 1 sectors, which is all that an image has. */
static void read_cd(struct ata *a, const u8 *p)
{
    u32 n = (u32)p[6] << 16 | get16(p + 7);

    if (p[9] & 0xf8 && (p[9] & 0xf8) != 0x10)
        illegal(a, ASC_FIELD);
    else
        read_sectors(a, get32(p + 2), p[9] & 0x10 ? n : 0);
}

static void seek(struct ata *a, const u8 *p)
{
    if (get32(p + 2) >= cd_sectors(a))
        illegal(a, ASC_LBA);
    else
        atapi_end(a, NO_SENSE, 0);
}

/* The tray. The medium stays in the drive's hands: the user takes it out. */
static void start_stop_unit(struct ata *a, const u8 *p)
{
    bool load_eject = p[4] & 2, start = p[4] & 1;

    if (load_eject && !start && a->locked) {
        atapi_end(a, NOT_READY, ASC_LOCKED);
        return;
    }
    if (load_eject && a->ejected == start) {
        a->ejected = !start;
        a->event = start ? EVENT_NEW_MEDIA : EVENT_REMOVED;
        if (start)
            a->attention = ATTENTION_CHANGED;
    }
    atapi_end(a, NO_SENSE, 0);
}

static void prevent_removal(struct ata *a, const u8 *p)
{
    a->locked = p[4] & 1;
    atapi_end(a, NO_SENSE, 0);
}

/* ---- the table ------------------------------------------------------------------------------- */

enum { MEDIUM = 1, ANY_TIME = 2 }; /* wants a medium; runs although a unit attention waits */

static const struct {
    u8 opcode, when;
    void (*run)(struct ata *a, const u8 *p);
} commands[] = {
    {0x00, MEDIUM, succeed}, /* TEST UNIT READY */
    {0x03, ANY_TIME, request_sense},
    {0x12, ANY_TIME, inquiry},
    {0x1b, 0, start_stop_unit},
    {0x1e, 0, prevent_removal},
    {0x25, MEDIUM, read_capacity},
    {0x28, MEDIUM, read_10},
    {0x2b, MEDIUM, seek},
    {0x35, 0, succeed}, /* SYNCHRONIZE CACHE */
    {0x43, MEDIUM, read_toc},
    {0x46, ANY_TIME, get_configuration},
    {0x4a, ANY_TIME, get_event_status},
    {0x51, MEDIUM, read_disc_information},
    {0x5a, 0, mode_sense},
    {0xa8, MEDIUM, read_12},
    {0xbb, 0, succeed}, /* SET CD SPEED */
    {0xbd, 0, mechanism_status},
    {0xbe, MEDIUM, read_cd},
};

static bool is_refused(struct ata *a, unsigned when)
{
    if (a->attention && !(when & ANY_TIME)) {
        u8 asc = a->attention == ATTENTION_RESET ? ASC_RESET : ASC_CHANGED;

        if (a->attention == ATTENTION_CHANGED && !is_ready(a))
            asc = ASC_NO_MEDIUM;
        a->attention = ATTENTION_NONE;
        atapi_end(a, asc == ASC_NO_MEDIUM ? NOT_READY : UNIT_ATTENTION, asc);
        return true;
    }
    if (when & MEDIUM && !is_ready(a)) {
        atapi_end(a, NOT_READY, ASC_NO_MEDIUM);
        return true;
    }
    return false;
}

void atapi_command(struct ata *a)
{
    u8 p[12];

    memcpy(p, a->buf, sizeof p);
    TRACE(atapi_command, a->unit, p[0], get32(p + 2), get16(p + 7));
    a->filled = a->left = a->pos = a->block_end = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (commands[i].opcode == p[0]) {
            if (!is_refused(a, commands[i].when))
                commands[i].run(a, p);
            return;
        }
    illegal(a, ASC_OPCODE);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void media_changed(void *opaque)
{
    struct ata *a = opaque;

    a->attention = ATTENTION_CHANGED;
    a->event = drive_has_medium(a->drive) ? EVENT_NEW_MEDIA : EVENT_REMOVED;
    a->ejected = false;
}

void atapi_init(struct ata *a)
{
    a->drive->media_changed = media_changed;
    a->drive->media_opaque = a;
}

void atapi_reset(struct ata *a, bool hard)
{
    a->now[ATA_COUNT] = a->now[ATA_LBA_LOW] = 1;
    a->now[ATA_LBA_MID] = 0x14;
    a->now[ATA_LBA_HIGH] = 0xeb;
    a->status = 0; /* DRDY comes with the first command (ATA/ATAPI-7, 9.1) */
    if (!hard)
        return;
    a->sense_key = a->asc = a->ascq = 0;
    a->locked = a->ejected = false;
    a->event = EVENT_NONE;
    a->attention = ATTENTION_RESET;
}
