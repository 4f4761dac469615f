/* disk.c: see disk.h. */
#include "devices/disk.h"

#include <string.h>

static bool disk_init(struct dev *d, struct err *e)
{
    struct disk *s = (struct disk *)d;

    if (s->serial && strlen(s->serial) > 20)
        return err_usage(e, "device %s: serial=%s: 20 characters at most", d->cls->name, s->serial);
    if (s->drive || !d->env->drives)
        return true;
    err_usage(e, "device %s needs a drive", d->cls->name);
    return err_hint(e, "-drive if=none,id=NAME,file=... -device %s,drive=NAME", d->cls->name);
}

static void disk_reset(struct dev *d)
{
    (void)d;
}

static void disk_destroy(struct dev *d)
{
    (void)d;
}

#define BOOTINDEX                                                                                  \
    {                                                                                              \
        "bootindex", PROP_U32, offsetof(struct disk, bootindex), DEV_NO_BOOTINDEX, 0, 0x7fffffff,  \
            "place in the order of boot"                                                           \
    }

static const struct dev_prop disk_props[] = {
    {"drive", PROP_STRING, offsetof(struct disk, drive), 0, 0, 0, "the drive's id"},
    {"bus", PROP_STRING, offsetof(struct disk, bus), 0, 0, 0,
     "ide.0, ide.1, or ID.PORT of an ahci"},
    {"unit", PROP_U32, offsetof(struct disk, unit), DISK_NO_UNIT, 0, 1, "0 master, 1 slave"},
    {"serial", PROP_STRING, offsetof(struct disk, serial), 0, 0, 0, "serial number"},
    BOOTINDEX,
    DEV_PROP_END,
};

static const struct dev_prop floppy_props[] = {
    {"drive", PROP_STRING, offsetof(struct disk, drive), 0, 0, 0, "the drive's id"},
    {"unit", PROP_U32, offsetof(struct disk, unit), DISK_NO_UNIT, 0, 1, "0 for A, 1 for B"},
    BOOTINDEX,
    DEV_PROP_END,
};

static const struct dev_field disk_fields[] = {DEV_FIELD_END};

#define DISK_CLASS(stem, name_, doc_, props_)                                                      \
    const struct dev_class stem##_class = {                                                        \
        .name = name_,                                                                             \
        .doc = doc_,                                                                               \
        .size = sizeof(struct disk),                                                               \
        .props = props_,                                                                           \
        .fields = disk_fields,                                                                     \
        .user_creatable = true,                                                                    \
        .init = disk_init,                                                                         \
        .reset = disk_reset,                                                                       \
        .destroy = disk_destroy,                                                                   \
    }

DISK_CLASS(ide_hd, "ide-hd", "hard disk at an IDE or AHCI controller", disk_props);
DISK_CLASS(ide_cd, "ide-cd", "CD-ROM at an IDE or AHCI controller", disk_props);
DISK_CLASS(floppy, "floppy", "floppy drive", floppy_props);
