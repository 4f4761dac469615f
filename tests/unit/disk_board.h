/*
 * disk_board.h: a bare board (board.h) with a hard disk "disk" and a CD-ROM "cd" for tests of
 * drives and their controllers. Sector n of a drive begins with n, so that a test sees which one it
 * got.
 */
#pragma once

#define _GNU_SOURCE /* memfd_create */
#include "base/bits.h"
#include "block/drive.h"
#include "mmu/dma.h"
#include "tests/unit/board.h"

#include <sys/mman.h>
#include <unistd.h>

#define DISK_SECTORS 4096u
#define CD_SECTORS 64u /* of 2048 bytes */

struct disk_board {
    struct board b;
    struct drives drives;
    int disk_fd, cd_fd;
};

static inline int numbered_file(unsigned sectors, unsigned bytes)
{
    u8 sector[2048] = {0};
    int fd = memfd_create("medium", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    for (unsigned n = 0; n < sectors; n++) {
        st_le32(sector, n);
        ck_assert_int_eq(write(fd, sector, bytes), (int)bytes);
    }
    return fd;
}

static inline struct drive *disk_board_drive(struct disk_board *d, const char *id,
                                             enum drive_media media, int fd, bool readonly)
{
    struct err e = {0};
    struct drive *drive;
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    drive =
        drive_add(&d->drives, id, media,
                  &(struct image_options){.path = path, .format = "raw", .readonly = readonly}, &e);
    ck_assert_msg(drive != NULL, "%s", e.msg);
    return drive;
}

/* Places of the PCI functions' regions: ports from C000h, memory from E0000000h. */
static inline void disk_board_pci(struct disk_board *d)
{
    static const struct pci_setup setup = {.mem_base = 0xe0000000u,
                                           .mem_end = 0xe0100000u,
                                           .io_base = 0xc000,
                                           .io_end = 0xd000,
                                           .link_irq = {10, 11, 10, 11}};
    struct err e = {0};

    ck_assert_msg(pci_setup_bus(d->b.env.pci, &setup, &e), "%s", e.msg);
}

static inline void disk_board_init(struct disk_board *d)
{
    board_init(&d->b);
    drives_init(&d->drives, &d->b.clock);
    d->b.env.drives = &d->drives;
    d->disk_fd = numbered_file(DISK_SECTORS, 512);
    d->cd_fd = numbered_file(CD_SECTORS, 2048);
    disk_board_drive(d, "disk", MEDIA_DISK, d->disk_fd, false);
    disk_board_drive(d, "cd", MEDIA_CDROM, d->cd_fd, true);
    d->b.env.pci = board_add(&d->b, &pci_class, NULL);
}

/* After the devices. */
static inline void disk_board_destroy(struct disk_board *d)
{
    dev_destroy((struct dev *)d->b.env.pci);
    ck_assert(drives_destroy(&d->drives, NULL));
    close(d->disk_fd);
    close(d->cd_fd);
    board_destroy(&d->b);
}

/* Long enough for several requests of the drive. */
static inline void disk_board_run(struct disk_board *d)
{
    board_run(&d->b, 1000000);
}

static inline u32 disk_word(const struct disk_board *d, u64 sector)
{
    u8 word[4];

    ck_assert_int_eq(pread(d->disk_fd, word, sizeof word, (off_t)(sector * 512)), 4);
    return ld_le32(word);
}
