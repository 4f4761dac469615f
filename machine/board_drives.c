/* board_drives.c: see board_drives.h. Names of drives without id= are QEMU's: ide0-hd0, ide1-cd0.
 */
#include "machine/board_drives.h"

#include "devices/ide.h"

static bool find_place(const bool *taken, unsigned places, const struct vm_drive *v,
                       const char *bus, unsigned *place, struct err *e)
{
    *place = v->index < 0 ? 0 : (unsigned)v->index;
    while (v->index < 0 && *place < places && taken[*place])
        ++*place;
    if (*place >= places) {
        if (v->index < 0)
            return err_usage(e, "%s: there are only %u places for drives", bus, places);
        return err_usage(e, "%s: there is no place %u: they are 0 to %u", bus, *place, places - 1);
    }
    if (taken[*place])
        return err_usage(e, "%s: two drives at place %u", bus, *place);
    return true;
}

static struct drive *open_drive(struct board *b, const struct vm_drive *v, const char *name,
                                struct err *e)
{
    struct drive *d = drive_add(b->env.drives, v->id ? v->id : name, v->media,
                                v->image.path ? &v->image : NULL, e);

    if (d)
        d->serial = v->serial;
    return d;
}

static bool open_ide(struct board *b, const struct vm_drive *v, struct err *e)
{
    bool taken[IDE_DRIVES];
    unsigned place;
    char name[32];

    for (unsigned i = 0; i < IDE_DRIVES; i++)
        taken[i] = b->ide_drives[i] != NULL;
    if (!find_place(taken, IDE_DRIVES, v, "if=ide", &place, e))
        return false;
    snprintf(name, sizeof name, "ide%u-%s%u", place / 2, v->media == MEDIA_CDROM ? "cd" : "hd",
             place % 2);
    b->ide_drives[place] = open_drive(b, v, name, e);
    return b->ide_drives[place] != NULL;
}

static bool open_floppy(struct board *b, const struct vm_drive *v, struct err *e)
{
    bool taken[FDC_DRIVES];
    unsigned place;
    char name[32];

    for (unsigned i = 0; i < FDC_DRIVES; i++)
        taken[i] = b->floppies[i] != NULL;
    if (!find_place(taken, FDC_DRIVES, v, "if=floppy", &place, e))
        return false;
    snprintf(name, sizeof name, "floppy%u", place);
    b->floppies[place] = open_drive(b, v, name, e);
    return b->floppies[place] != NULL;
}

static bool open_virtio(struct board *b, const struct vm_drive *v, struct err *e)
{
    char name[32];
    const struct drive *d;

    if (b->virtio_count == ARRAY_SIZE(b->virtio_drives))
        return err_usage(e, "if=virtio: there are more than %u drives", b->virtio_count);
    snprintf(name, sizeof name, "virtio%u", b->virtio_count);
    d = open_drive(b, v, name, e);
    if (d)
        b->virtio_drives[b->virtio_count++] = d->id;
    return d != NULL;
}

static bool open_xen(struct board *b, const struct vm_drive *v, struct err *e)
{
    char name[32];
    const struct drive *d;

    if (b->xen_count == ARRAY_SIZE(b->xen_drives))
        return err_usage(e, "if=xen: there are more than %u drives", b->xen_count);
    snprintf(name, sizeof name, "xen%u", b->xen_count);
    d = open_drive(b, v, name, e);
    if (d)
        b->xen_drives[b->xen_count++] = d->id;
    return d != NULL;
}

static bool open_for_device(struct board *b, const struct vm_drive *v, struct err *e)
{
    if (!v->id) {
        err_usage(e, "a drive with if=none needs an id");
        return err_hint(e, "-drive if=none,id=NAME,file=... -device DEVICE,drive=NAME");
    }
    return open_drive(b, v, v->id, e) != NULL;
}

bool board_drives_open(struct board *b, const struct vm_config *cfg, struct err *e)
{
    for (unsigned i = 0; i < cfg->drive_count; i++) {
        const struct vm_drive *v = &cfg->drives[i];
        bool ok = v->bus == VM_DRIVE_IDE      ? open_ide(b, v, e)
                  : v->bus == VM_DRIVE_FLOPPY ? open_floppy(b, v, e)
                  : v->bus == VM_DRIVE_VIRTIO ? open_virtio(b, v, e)
                  : v->bus == VM_DRIVE_XEN    ? open_xen(b, v, e)
                                              : open_for_device(b, v, e);

        if (!ok)
            return false;
    }
    return true;
}

void board_drives_fdc_props(const struct board *b, char *props, size_t size)
{
    size_t n = 0;

    props[0] = '\0';
    for (unsigned i = 0; i < FDC_DRIVES; i++)
        if (b->floppies[i] && n < size)
            n += (size_t)snprintf(props + n, size - n, "%sfd%u=%s", n ? "," : "", i,
                                  b->floppies[i]->id);
}

void board_drives_ide_props(const struct board *b, char *props, size_t size)
{
    size_t n = 0;

    props[0] = '\0';
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        if (b->ide_drives[i] && n < size)
            n += (size_t)snprintf(props + n, size - n, "%shd%u=%s", n ? "," : "", i,
                                  b->ide_drives[i]->id);
}

void board_drives_boot_order(const struct board *b, const char *letters, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (const char *l = letters; *l && n < size; l++) {
        if (*l == 'a')
            n += (size_t)snprintf(text + n, size - n, "/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n");
        for (unsigned i = 0; i < IDE_DRIVES && n < size; i++)
            if (b->ide_drives[i] && *l == (b->ide_drives[i]->media == MEDIA_CDROM ? 'd' : 'c'))
                n += (size_t)snprintf(text + n, size - n,
                                      "/pci@i0cf8/ide@1,1/drive@%u/disk@%u\n", i / 2, i % 2);
    }
}
