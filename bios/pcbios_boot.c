/*
 * pcbios_boot.c: INT 18h and 19h: the order of boot, the menu, boot sectors, El Torito CDs, and
 * entries of option ROMs.
 *
 * Specification: BIOS Boot Specification 1.01; El Torito, Bootable CD-ROM Format Specification 1.0.
 *
 * Not implemented: more than the default entry of a CD's catalogue; emulation of a hard disk.
 */
#include "bios/pcbios.h"

#include "base/bits.h"
#include "bios/rom/abi.h"

#include <string.h>

#define BOOT_AT 0x7c00u
#define SIGNATURE_AT 510u
#define SIGNATURE 0xaa55u
#define CD_SECTOR_BYTES 2048u
#define CD_SECTORS 4u /* of 512 bytes */
#define CD_BOOT_RECORD 17u
#define CATALOGUE_AT 0x47u
#define BOOTABLE 0x88u
#define FLAGS_AT_BOOT (FLAG_IF | 2u)

enum { EMULATION_NONE, EMULATION_1200, EMULATION_1440, EMULATION_2880, EMULATION_DISK };

static void enter(struct bios_regs *r, u16 cs, u16 ip, u8 drive)
{
    *r = (struct bios_regs){.edx = drive, .cs = cs, .ip = ip, .flags = FLAGS_AT_BOOT};
}

static bool boot_sector(struct pcbios *b, const struct bios_boot *boot, struct bios_regs *r)
{
    if (!pcbios_read_sectors(b, boot->drive, 0, 1, BOOT_AT))
        return false;
    if (boot->letter == 'c' && bios_get(b, BOOT_AT + SIGNATURE_AT, 2) != SIGNATURE)
        return false;
    if (!bios_get(b, BOOT_AT, 4)) /* an empty floppy */
        return false;
    enter(r, 0, BOOT_AT, boot->number);
    return true;
}

/* ---- CDs ------------------------------------------------------------------------------------- */

static bool read_cd(struct bios_boot *boot, u32 sector, u8 buf[CD_SECTOR_BYTES])
{
    return drive_has_medium(boot->drive) &&
           !drive_read(boot->drive, (u64)sector * CD_SECTOR_BYTES, buf, CD_SECTOR_BYTES);
}

/* The words of the validation entry add up to 0. */
static bool is_catalogue(const u8 *entry)
{
    u16 sum = 0;

    for (unsigned i = 0; i < 32; i += 2)
        sum = (u16)(sum + ld_le16(entry + i));
    return entry[0] == 1 && entry[30] == 0x55 && entry[31] == 0xaa && sum == 0;
}

/* The image becomes floppy A, and what was A becomes B. */
static void emulate_floppy(struct pcbios *b, struct drive *d, u8 media, u32 sector)
{
    static const u16 kib[] = {
        [EMULATION_1200] = 1200, [EMULATION_1440] = 1440, [EMULATION_2880] = 2880};

    b->floppy[1] = b->floppy[0];
    b->floppy[0] = (struct bios_disk){.drive = d,
                                      .base = sector * CD_SECTORS,
                                      .sector_bytes = SECTOR_BYTES,
                                      .sectors = kib[media] * KIB / SECTOR_BYTES,
                                      .readonly = true,
                                      .generation = d->generation};
    pcbios_floppy_geometry(&b->floppy[0], kib[media] * KIB);
    if (b->floppies < PCBIOS_FLOPPIES)
        b->floppies++;
    bios_put(b, BDA_EQUIPMENT, bios_get(b, BDA_EQUIPMENT, 2) | 1u | (b->floppies - 1) << 6, 2);
}

static void fill_packet(struct pcbios *b, const u8 *entry, u8 drive)
{
    u8 *p = b->cd_packet;

    memset(p, 0, sizeof b->cd_packet);
    p[0] = sizeof b->cd_packet;
    p[1] = entry[1];
    p[2] = drive;
    memcpy(p + 4, entry + 8, 4);  /* first sector */
    memcpy(p + 12, entry + 2, 2); /* load segment */
    memcpy(p + 14, entry + 6, 2); /* sectors to load */
    if (b->floppy[0].drive && entry[1] & 15) {
        p[16] = (u8)(b->floppy[0].cylinders - 1);
        p[17] = b->floppy[0].sectors_per_track;
        p[18] = (u8)(b->floppy[0].heads - 1);
    }
}

static bool boot_cd(struct pcbios *b, struct bios_boot *boot, struct bios_regs *r)
{
    u8 buf[CD_SECTOR_BYTES];
    const u8 *entry = buf + 32;
    u16 segment;
    u32 sector, count;
    u8 media, number = boot->number;

    if (!read_cd(boot, CD_BOOT_RECORD, buf) ||
        memcmp(buf, "\0CD001\1EL TORITO SPECIFICATION", 30) ||
        !read_cd(boot, ld_le32(buf + CATALOGUE_AT), buf) || !is_catalogue(buf) ||
        entry[0] != BOOTABLE)
        return false;
    media = entry[1] & 15;
    segment = ld_le16(entry + 2) ? ld_le16(entry + 2) : BOOT_AT >> 4;
    sector = ld_le32(entry + 8);
    count = ld_le16(entry + 6);
    if (media >= EMULATION_DISK)
        return false;
    b->cd =
        (struct bios_disk){.drive = boot->drive, .sector_bytes = CD_SECTOR_BYTES, .readonly = true};
    if (media != EMULATION_NONE) {
        emulate_floppy(b, boot->drive, media, sector);
        number = 0;
    }
    fill_packet(b, entry, number);
    if (!pcbios_read_sectors(b, boot->drive, (u64)sector * CD_SECTORS, count ? count : 1,
                             (gpa_t)segment << 4))
        return false;
    if (segment == BOOT_AT >> 4)
        enter(r, 0, BOOT_AT, number);
    else
        enter(r, segment, 0, number);
    return true;
}

/* ---- option ROMs ----------------------------------------------------------------------------- */

/* Its boot entry vector, or a disk of which INT 13h alone knows. When that comes back, INT 19h is
 * called again, and what is next in the order has its turn. */
static bool boot_rom(const struct bios_boot *boot, struct bios_regs *r)
{
    bool disk = boot->letter == 'c';

    r->action = ACTION_CALL;
    r->target_cs = disk ? ROM_SEGMENT : boot->segment;
    r->target_ip = disk ? ROM_BOOT_DISK : boot->entry;
    set_low8(&r->edx, boot->number);
    r->es = ROM_SEGMENT;
    set_low16(&r->edi, ROM_PNP);
    return true;
}

/* ---- order ----------------------------------------------------------------------------------- */

static const char *order(const struct pcbios *b)
{
    return b->cfg.boot_order ? b->cfg.boot_order : "acdn";
}

void pcbios_add_boot(struct pcbios *b, const struct bios_boot *boot)
{
    unsigned at = b->boots;

    if (at == PCBIOS_BOOT_MAX)
        return;
    for (; at && b->boot[at - 1].bootindex > boot->bootindex; at--)
        b->boot[at] = b->boot[at - 1];
    b->boot[at] = *boot;
    b->boots++;
}

/* The n-th of what there is to boot from: what has a bootindex, which lies in its order, then the
 * others in the order asked for; NULL: there are no more. */
static struct bios_boot *candidate(struct pcbios *b, unsigned n)
{
    unsigned indexed = 0;

    while (indexed < b->boots && b->boot[indexed].bootindex != DRIVE_NO_BOOTINDEX)
        indexed++;
    if (n < indexed)
        return &b->boot[n];
    n -= indexed;
    for (const char *letter = order(b); *letter; letter++)
        for (unsigned i = indexed; i < b->boots; i++)
            if (b->boot[i].letter == *letter && n-- == 0)
                return &b->boot[i];
    return NULL;
}

static void show_menu(struct pcbios *b)
{
    struct bios_boot *boot;

    pcbios_print(b, "Boot from:\r\n\r\n");
    for (unsigned i = 0; (boot = candidate(b, i)); i++)
        pcbios_print(b, "  %u  %s\r\n", i + 1, boot->name);
    pcbios_print(b, "\r\nPress a number, or Enter for the first.\r\n");
    b->menu_shown = true;
}

/* True: chosen. */
static bool menu(struct pcbios *b, struct bios_regs *r)
{
    u16 key;
    u8 ch;

    if (!b->menu_shown)
        show_menu(b);
    while (pcbios_take_key(b, &key)) {
        ch = (u8)key;
        if (ch == '\r' || (ch >= '1' && ch <= '9' && candidate(b, ch - '1'))) {
            b->boot_next = ch == '\r' ? 0 : ch - '1';
            return true;
        }
    }
    r->action = ACTION_HALT;
    return false;
}

void pcbios_boot(struct pcbios *b, struct bios_regs *r)
{
    struct bios_boot *boot;

    if (b->failed) {
        pcbios_print(b, "The BIOS has no room for the regions of PCI devices.\r\n");
        r->action = ACTION_HALT;
        return;
    }
    if (b->cfg.boot_menu && b->boot_next == 0 && candidate(b, 0) && !menu(b, r))
        return;
    while ((boot = candidate(b, b->boot_next))) {
        b->boot_next++;
        pcbios_print(b, "Booting from %s...\r\n", boot->name);
        if (!boot->drive          ? boot_rom(boot, r)
            : boot->letter == 'd' ? boot_cd(b, boot, r)
                                  : boot_sector(b, boot, r))
            return;
    }
    pcbios_no_boot(b, r);
}

/* A boot program that gives up comes here, too: what is next in the order has its turn. */
void pcbios_no_boot(struct pcbios *b, struct bios_regs *r)
{
    if (candidate(b, b->boot_next)) {
        pcbios_boot(b, r);
        return;
    }
    if (b->boot_next != PCBIOS_BOOT_MAX) {
        pcbios_print(b, "No bootable device.\r\n");
        b->boot_next = PCBIOS_BOOT_MAX;
    }
    r->action = ACTION_HALT;
}
