/*
 * pcbios_disk.c: INT 13h: floppies, hard disks by cylinder, head and sector, and by the extensions'
 * block numbers; CD-ROMs of 2048-byte sectors through the extensions.
 *
 * Specification: IBM PS/2 and PC BIOS Interface Technical Reference, INT 13h; Phoenix, Enhanced
 * Disk Drive Specification 1.1 and 3.0; El Torito 1.0 (AH=4Ah, 4Bh).
 *
 * Not implemented: formatting, reads of the CRC, more than one CD-ROM, EDD's device paths.
 */
#include "bios/pcbios.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

#define DISK_FIRST 0x80u
#define CD_NUMBER 0xe0u
#define TRANSFER_BYTES 0x10000u

enum {
    DISK_OK = 0x00,
    DISK_BAD_COMMAND = 0x01,
    DISK_WRITE_PROTECTED = 0x03,
    DISK_NOT_FOUND = 0x04,
    DISK_CHANGED = 0x06,
    DISK_CONTROLLER = 0x20,
    DISK_TIMEOUT = 0x80,
};

/* ---- drives ---------------------------------------------------------------------------------- */

void pcbios_floppy_geometry(struct bios_disk *d, u64 bytes)
{
    static const struct {
        u16 kib, cylinders;
        u8 heads, sectors, type;
    } kinds[] = {{160, 40, 1, 8, 1},   {180, 40, 1, 9, 1},   {320, 40, 2, 8, 1},
                 {360, 40, 2, 9, 1},   {720, 80, 2, 9, 3},   {1200, 80, 2, 15, 2},
                 {1440, 80, 2, 18, 4}, {1680, 80, 2, 21, 4}, {2880, 80, 2, 36, 5}};
    unsigned i = 0;

    while (i + 1 < ARRAY_SIZE(kinds) && bytes > kinds[i].kib * KIB)
        i++;
    if (bytes != kinds[i].kib * KIB && bytes <= 1440 * KIB)
        i = 6; /* a file that was cut off: most likely of the usual kind */
    d->cylinders = kinds[i].cylinders;
    d->heads = kinds[i].heads;
    d->sectors_per_track = kinds[i].sectors;
    d->floppy_type = kinds[i].type;
}

/* LBA-assisted translation (Phoenix EDD 1.1, 5): heads by size, so that 1024 cylinders reach far.
 */
static void disk_geometry(struct bios_disk *d)
{
    static const u8 heads[] = {16, 32, 64, 128};
    u64 cylinders;

    d->sectors_per_track = 63;
    d->heads = 255;
    for (unsigned i = ARRAY_SIZE(heads); i-- > 0;)
        if (d->sectors <= 1024u * 63u * heads[i])
            d->heads = heads[i];
    cylinders = d->sectors / (d->heads * 63u);
    d->cylinders = (u16)(cylinders > 1024 ? 1024 : cylinders ? cylinders : 1);
}

/* Sizes as the medium is now; false: none is in. */
static bool look(struct bios_disk *d)
{
    if (!drive_has_medium(d->drive))
        return false;
    if (d->sectors && d->generation == d->drive->generation)
        return true;
    d->generation = d->drive->generation;
    d->readonly = drive_readonly(d->drive);
    d->sectors = drive_bytes(d->drive) / d->sector_bytes;
    if (d->drive->media == MEDIA_FLOPPY)
        pcbios_floppy_geometry(d, drive_bytes(d->drive));
    else if (d->drive->media == MEDIA_DISK)
        disk_geometry(d);
    return true;
}

static void add_boot(struct pcbios *b, char letter, u8 number, struct drive *drive)
{
    static const char *const kinds[] = {
        [MEDIA_DISK] = "hard disk", [MEDIA_CDROM] = "CD-ROM", [MEDIA_FLOPPY] = "floppy"};
    struct bios_boot boot = {
        .letter = letter, .number = number, .drive = drive, .bootindex = drive->bootindex};

    snprintf(boot.name, sizeof boot.name, "%s (%s)", kinds[drive->media], drive->id);
    pcbios_add_boot(b, &boot);
}

static void add_drive(struct pcbios *b, struct drive *d)
{
    struct bios_disk disk = {.drive = d, .sector_bytes = SECTOR_BYTES};

    if (d->media == MEDIA_FLOPPY && b->floppies < PCBIOS_FLOPPIES) {
        b->floppy[b->floppies] = disk;
        look(&b->floppy[b->floppies]);
        add_boot(b, 'a', (u8)b->floppies++, d);
    } else if (d->media == MEDIA_DISK && b->disks < PCBIOS_DISKS) {
        b->disk[b->disks] = disk;
        look(&b->disk[b->disks]);
        add_boot(b, 'c', (u8)(DISK_FIRST + b->disks++), d);
    } else if (d->media == MEDIA_CDROM) {
        add_boot(b, 'd', CD_NUMBER, d);
    }
}

void pcbios_disks_find(struct pcbios *b)
{
    memset(b->floppy, 0, sizeof b->floppy);
    memset(b->disk, 0, sizeof b->disk);
    memset(&b->cd, 0, sizeof b->cd);
    b->floppies = b->disks = b->boots = 0;
    /* Those with a bootindex come first, and so have the first numbers. */
    for (u64 index = 0; index <= DRIVE_NO_BOOTINDEX; index++) {
        u64 next = DRIVE_NO_BOOTINDEX;

        for (struct drive *d = b->cfg.drives ? b->cfg.drives->first : NULL; d; d = d->next) {
            if (d->bootindex == index)
                add_drive(b, d);
            else if (d->bootindex > index && d->bootindex < next)
                next = d->bootindex;
        }
        if (index < next)
            index = next - 1;
    }
}

struct bios_disk *pcbios_disk_of(struct pcbios *b, u8 number)
{
    struct bios_disk *d = number < PCBIOS_FLOPPIES ? &b->floppy[number]
                          : number >= DISK_FIRST && number < DISK_FIRST + PCBIOS_DISKS
                              ? &b->disk[number - DISK_FIRST]
                          : number == CD_NUMBER ? &b->cd
                                                : NULL;

    return d && d->drive ? d : NULL;
}

/* ---- transfers ------------------------------------------------------------------------------- */

static u8 error_code(int error)
{
    switch (error) {
    case 0: return DISK_OK;
    case EROFS: return DISK_WRITE_PROTECTED;
    case ENOMEDIUM: return DISK_TIMEOUT;
    case EINVAL: return DISK_NOT_FOUND;
    default: return DISK_CONTROLLER;
    }
}

enum direction { DISK_READ, DISK_WRITE, DISK_VERIFY };

/* *count sectors from `first`; *count becomes how many were done. */
static u8 transfer(struct pcbios *b, struct bios_disk *d, enum direction dir, u64 first, u32 *count,
                   gpa_t gpa)
{
    u8 buf[TRANSFER_BYTES];
    u32 left = *count, step = TRANSFER_BYTES / d->sector_bytes;
    u8 error = DISK_OK;

    *count = 0;
    if (first >= d->sectors || left > d->sectors - first)
        return DISK_NOT_FOUND;
    if (dir == DISK_WRITE && d->readonly)
        return DISK_WRITE_PROTECTED;
    while (left && !error) {
        u32 n = left < step ? left : step, bytes = n * d->sector_bytes;
        u64 at = (u64)d->base * SECTOR_BYTES + first * d->sector_bytes;

        if (dir == DISK_WRITE) {
            bios_read(b, gpa, buf, bytes);
            error = error_code(drive_write(d->drive, at, buf, bytes));
        } else {
            error = error_code(drive_read(d->drive, at, buf, bytes));
            if (!error && dir == DISK_READ)
                bios_write(b, gpa, buf, bytes);
        }
        if (error)
            break;
        first += n;
        gpa += bytes;
        left -= n;
        *count += n;
    }
    return error;
}

bool pcbios_read_sectors(struct pcbios *b, struct drive *d, u64 sector, u32 count, gpa_t to)
{
    struct bios_disk disk = {
        .drive = d, .sector_bytes = SECTOR_BYTES, .sectors = drive_bytes(d) / SECTOR_BYTES};

    return drive_has_medium(d) && transfer(b, &disk, DISK_READ, sector, &count, to) == DISK_OK;
}

/* ---- cylinder, head, sector ------------------------------------------------------------------ */

static u8 chs_transfer(struct pcbios *b, struct bios_disk *d, struct bios_regs *r,
                       enum direction dir)
{
    u32 cylinder = reg_ch(r) | (u32)(reg_cl(r) & 0xc0) << 2, head = reg_dh(r);
    u32 sector = reg_cl(r) & 0x3f, count = reg_al(r);
    u8 error;

    set_low8(&r->eax, 0);
    if (!d->heads || !count || !sector || sector > d->sectors_per_track || head >= d->heads ||
        cylinder >= d->cylinders)
        return count ? DISK_NOT_FOUND : DISK_BAD_COMMAND;
    error =
        transfer(b, d, dir, ((u64)cylinder * d->heads + head) * d->sectors_per_track + sector - 1,
                 &count, far_gpa(r->es, r->ebx));
    set_low8(&r->eax, (u8)count);
    return error;
}

static u8 parameters(struct pcbios *b, const struct bios_disk *d, struct bios_regs *r)
{
    u16 last = (u16)(d->cylinders - 1);
    bool floppy = reg_dl(r) < DISK_FIRST;

    if (!d->heads)
        return DISK_BAD_COMMAND;
    set_low16(&r->eax, 0);
    set_low16(&r->ebx, floppy ? d->floppy_type : 0);
    set_low16(&r->ecx, (u16)((last & 0xff) << 8 | (last >> 8 & 3) << 6 | d->sectors_per_track));
    set_low16(&r->edx, (u16)((d->heads - 1) << 8 | (floppy ? b->floppies : b->disks)));
    if (floppy) {
        r->es = ROM_SEGMENT;
        set_low16(&r->edi, ROM_DISKETTE_TABLE);
    }
    return DISK_OK;
}

/* AH=15h: what kind of drive; for disks the number of sectors. CF is clear also for "none". */
static void drive_type(const struct bios_disk *d, struct bios_regs *r)
{
    u64 sectors;

    set_flag(r, FLAG_CF, false);
    set_high8(&r->eax, !d ? 0 : d->floppy_type ? 2 : 3);
    if (!d || d->floppy_type)
        return;
    sectors = d->sectors > 0xffffffff ? 0xffffffff : d->sectors;
    set_low16(&r->ecx, (u16)(sectors >> 16));
    set_low16(&r->edx, (u16)sectors);
}

/* ---- extensions (EDD) ------------------------------------------------------------------------ */

#define EDD_VERSION 0x30u
#define EDD_DISK_ACCESS BIT(0)
#define EDD_EDD BIT(2)
#define PACKET_BYTES 16u
#define PACKET_FAR_NONE 0xffffffffu /* the 64-bit address that follows counts */

static u8 packet_transfer(struct pcbios *b, struct bios_disk *d, struct bios_regs *r,
                          enum direction dir)
{
    gpa_t at = far_gpa(r->ds, r->esi), buffer;
    u8 packet[24];
    u32 count;
    u8 error;

    bios_read(b, at, packet, sizeof packet);
    if (packet[0] < PACKET_BYTES)
        return DISK_BAD_COMMAND;
    count = ld_le16(packet + 2);
    buffer = far_gpa(ld_le16(packet + 6), ld_le16(packet + 4));
    if (ld_le32(packet + 4) == PACKET_FAR_NONE && packet[0] >= 24)
        buffer = ld_le64(packet + 16);
    error = transfer(b, d, dir, ld_le64(packet + 8), &count, buffer);
    bios_put(b, at + 2, count, 2);
    return error;
}

static u8 edd_parameters(struct pcbios *b, const struct bios_disk *d, struct bios_regs *r)
{
    gpa_t at = far_gpa(r->ds, r->esi);
    u32 size = (u32)bios_get(b, at, 2);
    u8 t[0x1e] = {0};

    if (size < 0x1a)
        return DISK_BAD_COMMAND;
    size = size < 0x1e ? 0x1a : 0x1e;
    st_le16(t, (u16)size);
    st_le16(t + 2,
            d->heads ? 0x02 : 0x74); /* geometry valid; a CD: removable, change line, lockable */
    st_le32(t + 4, d->cylinders);
    st_le32(t + 8, d->heads);
    st_le32(t + 12, d->sectors_per_track);
    st_le64(t + 16, d->sectors);
    st_le16(t + 24, (u16)d->sector_bytes);
    st_le32(t + 26, 0xffffffff); /* no configuration parameters */
    bios_write(b, at, t, size);
    return DISK_OK;
}

/* AX=4B00h and 4B01h: the specification packet of the CD that was booted. */
static u8 cd_status(struct pcbios *b, struct bios_regs *r)
{
    if (!b->cd.drive || reg_al(r) > 1)
        return DISK_BAD_COMMAND;
    bios_write(b, far_gpa(r->ds, r->esi), b->cd_packet, sizeof b->cd_packet);
    return DISK_OK;
}

static u8 extension(struct pcbios *b, struct bios_disk *d, struct bios_regs *r)
{
    switch (reg_ah(r)) {
    case 0x41:
        if ((r->ebx & 0xffff) != 0x55aa)
            return DISK_BAD_COMMAND;
        set_low16(&r->ebx, 0xaa55);
        set_low16(&r->ecx, EDD_DISK_ACCESS | EDD_EDD);
        return EDD_VERSION; /* in AH, with CF clear */
    case 0x42: return packet_transfer(b, d, r, DISK_READ);
    case 0x43: return packet_transfer(b, d, r, DISK_WRITE);
    case 0x44: return packet_transfer(b, d, r, DISK_VERIFY);
    case 0x45: set_low8(&r->eax, 0); return DISK_OK; /* lock */
    case 0x47: return DISK_OK;                       /* seek */
    case 0x48: return edd_parameters(b, d, r);
    default: return DISK_BAD_COMMAND;
    }
}

/* ---- INT 13h --------------------------------------------------------------------------------- */

static u8 run(struct pcbios *b, struct bios_disk *d, struct bios_regs *r)
{
    switch (reg_ah(r)) {
    case 0x02: return chs_transfer(b, d, r, DISK_READ);
    case 0x03: return chs_transfer(b, d, r, DISK_WRITE);
    case 0x04: return chs_transfer(b, d, r, DISK_VERIFY);
    case 0x08: return parameters(b, d, r);
    case 0x00:
    case 0x09:
    case 0x0c:
    case 0x0d:
    case 0x10:
    case 0x11:
    case 0x14:
    case 0x17:
    case 0x18: return DISK_OK; /* reset, specify, seek, ready, recalibrate, diagnose, media type */
    case 0x16: return DISK_OK; /* change line: see below */
    default:
        return d->sector_bytes && reg_dl(r) >= DISK_FIRST ? extension(b, d, r) : DISK_BAD_COMMAND;
    }
}

/* A floppy that was changed is told once. */
static bool was_changed(const struct bios_disk *d, u8 function)
{
    return d->floppy_type && drive_has_medium(d->drive) && d->generation != d->drive->generation &&
           (function == 0x16 || (function >= 0x02 && function <= 0x04));
}

void pcbios_disk(struct pcbios *b, struct bios_regs *r)
{
    struct bios_disk *d = pcbios_disk_of(b, reg_dl(r));
    u8 function = reg_ah(r), error;
    gpa_t status = reg_dl(r) < DISK_FIRST ? BDA_FLOPPY_STATUS : BDA_DISK_STATUS;
    bool changed = d && was_changed(d, function);

    if (function == 0x01) {
        answer(r, (u8)bios_get(b, status, 1));
        return;
    }
    if (function == 0x4b) {
        answer(r, cd_status(b, r));
        return;
    }
    if (function == 0x15) {
        if (d)
            look(d);
        drive_type(d, r);
        return;
    }
    if (!d)
        error = function == 0 ? DISK_OK : DISK_BAD_COMMAND;
    else if (!look(d) && function != 0)
        error = DISK_TIMEOUT;
    else
        error = changed ? DISK_CHANGED : run(b, d, r);
    answer(r, error);
    if (function == 0x41 && error == EDD_VERSION)
        set_flag(r, FLAG_CF, false);
    else
        bios_put(b, status, error, 1);
}
