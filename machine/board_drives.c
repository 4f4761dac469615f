/* board_drives.c: see board_drives.h. Names of drives without id= are QEMU's: ide0-hd0, ide1-cd0.
 */
#include "machine/board_drives.h"

#include "bios/rom.h"
#include "devices/disk.h"
#include "devices/ide.h"

#include <stdlib.h>
#include <string.h>

bool board_drives_is_disk(const struct dev_class *cls)
{
    return cls == &ide_hd_class || cls == &ide_cd_class || cls == &floppy_class;
}

/* The first disk device from *d on. */
static struct disk *next_disk(struct dev *d)
{
    while (d && !board_drives_is_disk(d->cls))
        d = d->next;
    return (struct disk *)(void *)d;
}

#define FOR_EACH_DISK(s, b)                                                                        \
    for (struct disk *s = next_disk((b)->devices); s; s = next_disk(s->dev.next))

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

    if (!d)
        return NULL;
    d->serial = v->serial;
    d->rerror = v->rerror;
    d->werror = v->werror;
    d->keep_discarded = v->keep_discarded;
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

/* What a -device names is what that device wants: a CD-ROM is not written. */
static bool open_for_device(struct board *b, const struct vm_drive *v, struct err *e)
{
    struct vm_drive own = *v;

    if (!v->id) {
        err_usage(e, "a drive with if=none needs an id");
        return err_hint(e, "-drive if=none,id=NAME,file=... -device DEVICE,drive=NAME");
    }
    FOR_EACH_DISK(s, b)
    if (!strcmp(s->drive, v->id)) {
        if (s->dev.cls != &ide_hd_class)
            own.media = s->dev.cls == &ide_cd_class ? MEDIA_CDROM : MEDIA_FLOPPY;
        own.image.readonly |= own.media == MEDIA_CDROM;
    }
    return open_drive(b, &own, v->id, e) != NULL;
}

/* ---- -device ide-hd, ide-cd, floppy ---------------------------------------------------------- */

static bool plug_floppy(struct board *b, struct disk *s, struct drive *d, struct err *e)
{
    unsigned unit = s->unit;

    if (unit == DISK_NO_UNIT)
        unit = b->floppies[0] != NULL;
    if (b->floppies[unit])
        return err_usage(e, "device floppy: two drives at unit %u", unit);
    b->floppies[unit] = d;
    s->plugged = true;
    return true;
}

/* "ide.0" and "ide.1" are the channels; without a bus any place will do. Other buses are an AHCI
 * controller's, which takes its disks when it is made. */
static bool plug_ide(struct board *b, struct disk *s, struct drive *d, struct err *e)
{
    unsigned first = 0, last = IDE_DRIVES - 1;

    if (s->bus && strcmp(s->bus, "ide.0") && strcmp(s->bus, "ide.1"))
        return true;
    if (s->bus) {
        first = s->bus[4] == '1' ? 2 : 0;
        last = first + 1;
    }
    for (unsigned n = first; n <= last; n++) {
        if (b->ide_drives[n] || (s->unit != DISK_NO_UNIT && n % 2 != s->unit))
            continue;
        b->ide_drives[n] = d;
        s->plugged = true;
        return true;
    }
    return err_usage(e, "device %s: bus %s has no place for the drive '%s'", s->dev.cls->name,
                     s->bus ? s->bus : "ide", s->drive);
}

static bool plug_disks(struct board *b, struct err *e)
{
    FOR_EACH_DISK(s, b)
    {
        struct drive *d = drives_find(b->env.drives, s->drive);

        if (!d) {
            err_usage(e, "device %s: there is no drive '%s'", s->dev.cls->name, s->drive);
            return err_hint(e, "-drive if=none,id=%s,file=... makes one", s->drive);
        }
        if (d->media == MEDIA_CDROM && s->dev.cls != &ide_cd_class)
            return err_usage(e, "device %s: the drive '%s' is a CD-ROM", s->dev.cls->name,
                             s->drive);
        if (s->serial)
            d->serial = s->serial;
        d->bootindex = s->bootindex;
        if (!(s->dev.cls == &floppy_class ? plug_floppy(b, s, d, e) : plug_ide(b, s, d, e)))
            return false;
    }
    return true;
}

bool board_drives_plug_ahci(struct board *b, struct ahci *a, struct err *e)
{
    size_t n = a->pci.dev.id ? strlen(a->pci.dev.id) : 0;

    FOR_EACH_DISK(s, b)
    {
        const char *port;
        char *end;

        if (s->plugged || !s->bus || !n || strncmp(s->bus, a->pci.dev.id, n) || s->bus[n] != '.')
            continue;
        port = s->bus + n + 1;
        if (*port < '0' || *port > '9')
            continue;
        if (s->unit != DISK_NO_UNIT && s->unit)
            return err_usage(e, "device %s: a port of an ahci has unit 0 alone", s->dev.cls->name);
        if (!ahci_plug(a, (unsigned)strtoul(port, &end, 10), s->drive, e))
            return false;
        s->plugged = !*end;
    }
    return true;
}

/* The personality takes it when the guest starts. */
static bool is_xen(const struct board *b, const struct drive *d)
{
    for (unsigned i = 0; i < b->xen_count; i++)
        if (b->xen_drives[i] == d->id)
            return true;
    return false;
}

/* Everything that the user named found its place. */
bool board_drives_check(const struct board *b, struct err *e)
{
    FOR_EACH_DISK(s, b)
    if (!s->plugged) {
        err_usage(e, "device %s: there is no bus '%s'", s->dev.cls->name, s->bus);
        return err_hint(e, "bus=ide.0, ide.1, or -device ahci,id=NAME and bus=NAME.0");
    }
    for (const struct drive *d = b->env.drives->first; d; d = d->next)
        if (!d->taken && !is_xen(b, d)) {
            err_usage(e, "no device has the drive '%s'", d->id);
            return err_hint(e, "-device ide-hd,drive=%s is one", d->id);
        }
    return true;
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
    return plug_disks(b, e);
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

/* ---- the order of boot ------------------------------------------------------------------------
 */

/* A drive or a network, and its place as Open Firmware names it. */
struct place {
    char letter; /* of -boot */
    u32 bootindex;
    char path[64];
};

#define PLACES 64u

static void add_place(struct place *list, unsigned *n, char letter, u32 bootindex,
                      const char *format, unsigned v, unsigned w)
{
    unsigned at = *n;

    if (at == PLACES)
        return;
    while (at && list[at - 1].bootindex > bootindex) { /* those with an index, by it */
        list[at] = list[at - 1];
        at--;
    }
    list[at].letter = letter;
    list[at].bootindex = bootindex;
    snprintf(list[at].path, sizeof list[at].path, format, v, w);
    ++*n;
}

static void add_drive(struct place *list, unsigned *n, const struct drive *d, const char *format,
                      unsigned v, unsigned w)
{
    static const char letter_of[] = {[MEDIA_DISK] = 'c', [MEDIA_CDROM] = 'd', [MEDIA_FLOPPY] = 'a'};

    if (d)
        add_place(list, n, letter_of[d->media], d->bootindex, format, v, w);
}

static unsigned find_places(const struct board *b, struct place list[PLACES])
{
    unsigned n = 0;

    for (unsigned i = 0; i < FDC_DRIVES; i++)
        add_drive(list, &n, b->floppies[i], "/pci@i0cf8/isa@1/fdc@03f0/floppy@%u", i, 0);
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        add_drive(list, &n, b->ide_drives[i], "/pci@i0cf8/ide@1,1/drive@%u/disk@%u", i / 2, i % 2);
    for (const struct dev *d = b->devices; d; d = d->next) {
        const struct ahci *a = (const struct ahci *)(const void *)d;
        const struct virtio_blk *v = (const struct virtio_blk *)(const void *)d;
        const struct pci_func *f = (const struct pci_func *)(const void *)d;

        if (rom_network(d->cls->name) && f->rom)
            add_place(list, &n, 'n', f->bootindex, "/pci@i0cf8/ethernet@%x", f->devfn >> 3, 0);
        if (d->cls == &virtio_blk_class)
            add_drive(list, &n, v->drive, "/pci@i0cf8/scsi@%x/disk@0,0", v->virtio.pci.devfn >> 3,
                      0);
        for (unsigned i = 0; d->cls == &ahci_class && i < AHCI_PORTS; i++)
            add_drive(list, &n, a->port[i].ata.drive, "/pci@i0cf8/pci8086,2922@%x/drive@%u/disk@0",
                      a->pci.devfn >> 3, i);
    }
    return n;
}

void board_drives_boot_order(const struct board *b, const char *letters, char *text, size_t size)
{
    struct place list[PLACES];
    unsigned places = find_places(b, list), i = 0;
    size_t n = 0;

    text[0] = '\0';
    for (; i < places && list[i].bootindex != DRIVE_NO_BOOTINDEX && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s\n", list[i].path);
    for (const char *l = letters; *l; l++)
        for (unsigned j = i; j < places && n < size; j++)
            if (list[j].letter == *l)
                n += (size_t)snprintf(text + n, size - n, "%s\n", list[j].path);
}
