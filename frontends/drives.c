/*
 * drives.c: see drives.h. Syntax as QEMU's: KEY=VALUE,KEY=VALUE, and a comma in a value is written
 * twice. Ours: backing= and backing.format=, because only files that the command line names are
 * opened.
 */
#include "frontends/drives.h"

#include "base/nearest.h"
#include "frontends/keys.h"

#include <stdlib.h>
#include <string.h>

struct text_value {
    const char *text;
    int value;
};

static bool choose(const char *key, const char *value, const struct text_value *rows, int *v,
                   struct err *e)
{
    const char *names[16] = {NULL};
    const char *near;

    for (unsigned n = 0; rows[n].text; n++) {
        names[n] = rows[n].text;
        if (!strcmp(rows[n].text, value)) {
            *v = rows[n].value;
            return true;
        }
    }
    near = nearest(value, names);
    err_usage(e, "-drive: %s=%s: no such word", key, value);
    return near ? err_hint(e, "did you mean %s=%s?", key, near)
                : err_hint(e, "%s=%s is one", key, rows[0].text);
}

static bool parse_switch(const char *key, const char *value, bool *v, struct err *e)
{
    static const struct text_value words[] = {
        {"on", true}, {"off", false}, {"yes", true}, {"no", false}, {NULL, 0}};
    int i = 0;
    bool ok = choose(key, value, words, &i, e);

    *v = i;
    return ok;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static bool set_file(struct vm_drive *d, const char *value, struct err *e)
{
    (void)e;
    d->image.path = value;
    return true;
}

static bool set_if(struct vm_drive *d, const char *value, struct err *e)
{
    static const struct text_value words[] = {{"ide", VM_DRIVE_IDE},
                                              {"floppy", VM_DRIVE_FLOPPY},
                                              {"virtio", VM_DRIVE_VIRTIO},
                                              {"xen", VM_DRIVE_XEN},
                                              {"none", VM_DRIVE_NONE},
                                              {NULL, 0}};
    int v = 0;
    bool ok = choose("if", value, words, &v, e);

    d->bus = (enum vm_drive_bus)v;
    return ok;
}

static bool set_index(struct vm_drive *d, const char *value, struct err *e)
{
    u64 v;

    if (!options_u64(OPT_DRIVE, value, 0, 255, &v, e))
        return false;
    d->index = (int)v;
    return true;
}

static bool set_media(struct vm_drive *d, const char *value, struct err *e)
{
    static const struct text_value words[] = {
        {"disk", MEDIA_DISK}, {"cdrom", MEDIA_CDROM}, {NULL, 0}};
    int v = 0;
    bool ok = choose("media", value, words, &v, e);

    d->media = (enum drive_media)v;
    return ok;
}

static bool set_format(struct vm_drive *d, const char *value, struct err *e)
{
    (void)e;
    d->image.format = value;
    return true;
}

static bool set_cache(struct vm_drive *d, const char *value, struct err *e)
{
    static const struct text_value words[] = {{"writeback", CACHE_WRITEBACK},
                                              {"none", CACHE_NONE},
                                              {"writethrough", CACHE_WRITETHROUGH},
                                              {"directsync", CACHE_DIRECTSYNC},
                                              {"unsafe", CACHE_UNSAFE},
                                              {NULL, 0}};
    int v = 0;
    bool ok = choose("cache", value, words, &v, e);

    d->image.cache = (enum image_cache)v;
    return ok;
}

static bool set_snapshot(struct vm_drive *d, const char *value, struct err *e)
{
    return parse_switch("snapshot", value, &d->image.snapshot, e);
}

static bool set_readonly(struct vm_drive *d, const char *value, struct err *e)
{
    return parse_switch("readonly", value, &d->image.readonly, e);
}

static bool set_id(struct vm_drive *d, const char *value, struct err *e)
{
    if (!*value || strpbrk(value, ",= "))
        return err_usage(e, "-drive: id=%s: a name without commas, blanks and =", value);
    d->id = value;
    return true;
}

static bool set_serial(struct vm_drive *d, const char *value, struct err *e)
{
    if (strlen(value) > 20)
        return err_usage(e, "-drive: serial=%s: 20 characters at most", value);
    d->serial = value;
    return true;
}

static bool set_rerror(struct vm_drive *d, const char *value, struct err *e)
{
    static const struct text_value words[] = {{"report", ON_ERROR_REPORT},
                                              {"ignore", ON_ERROR_IGNORE},
                                              {"stop", ON_ERROR_STOP},
                                              {NULL, 0}};
    int v = 0;
    bool ok = choose("rerror", value, words, &v, e);

    d->rerror = (enum drive_on_error)v;
    return ok;
}

static bool set_werror(struct vm_drive *d, const char *value, struct err *e)
{
    static const struct text_value words[] = {{"report", ON_ERROR_REPORT},
                                              {"ignore", ON_ERROR_IGNORE},
                                              {"stop", ON_ERROR_STOP},
                                              {"enospc", ON_ERROR_ENOSPC},
                                              {NULL, 0}};
    int v = 0;
    bool ok = choose("werror", value, words, &v, e);

    d->werror = (enum drive_on_error)v;
    return ok;
}

/* Unlike QEMU's, ours is unmap unless told otherwise: what a guest discards costs no room. */
static bool set_discard(struct vm_drive *d, const char *value, struct err *e)
{
    static const struct text_value words[] = {
        {"unmap", false}, {"on", false}, {"ignore", true}, {"off", true}, {NULL, 0}};
    int v = 0;
    bool ok = choose("discard", value, words, &v, e);

    d->keep_discarded = v;
    return ok;
}

static bool set_backing(struct vm_drive *d, const char *value, struct err *e)
{
    (void)e;
    d->image.backing = value;
    return true;
}

static bool set_backing_format(struct vm_drive *d, const char *value, struct err *e)
{
    (void)e;
    d->image.backing_format = value;
    return true;
}

static const struct {
    const char *name;
    bool (*set)(struct vm_drive *d, const char *value, struct err *e);
} keys[] = {
    {"file", set_file},
    {"if", set_if},
    {"index", set_index},
    {"media", set_media},
    {"format", set_format},
    {"cache", set_cache},
    {"snapshot", set_snapshot},
    {"readonly", set_readonly},
    {"id", set_id},
    {"serial", set_serial},
    {"rerror", set_rerror},
    {"werror", set_werror},
    {"discard", set_discard},
    {"backing", set_backing},
    {"backing.format", set_backing_format},
};

static bool set_key(struct vm_drive *d, const char *name, const char *value, struct err *e)
{
    const char *names[ARRAY_SIZE(keys) + 1] = {NULL};
    const char *near;

    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        names[i] = keys[i].name;
        if (!strcmp(name, names[i]))
            return keys[i].set(d, value, e);
    }
    near = nearest(name, names);
    err_usage(e, "-drive has no key '%s'", name);
    return near ? err_hint(e, "did you mean %s?", near)
                : err_hint(e, "-drive file=disk.img,format=raw,if=ide");
}

static bool parse_keys(struct vm_drive *d, char *text, struct err *e)
{
    for (char *rest = text; rest && *rest;) {
        char *item = keys_next(&rest), *value = strchr(item, '=');

        if (!value)
            return err_usage(e, "-drive: '%s' is not KEY=VALUE", item);
        *value++ = '\0';
        if (!set_key(d, item, value, e))
            return false;
    }
    return true;
}

/* ---- options --------------------------------------------------------------------------------- */

static struct vm_drive *add(struct drive_list *l, struct err *e)
{
    struct vm_drive *d;

    if (l->count == MAX_DRIVES) {
        err_usage(e, "there are more than %d drives", MAX_DRIVES);
        return NULL;
    }
    d = &l->drive[l->count++];
    *d = (struct vm_drive){.bus = VM_DRIVE_IDE, .index = -1};
    return d;
}

static bool complete(struct vm_drive *d, const struct options *o, struct err *e)
{
    if (d->bus == VM_DRIVE_FLOPPY)
        d->media = MEDIA_FLOPPY;
    if (d->media == MEDIA_CDROM)
        d->image.readonly = true;
    if (o->given[OPT_SNAPSHOT] && !d->image.readonly)
        d->image.snapshot = true;
    d->image.tmp_dir = getenv("TMPDIR");
    if (d->image.path || d->media != MEDIA_DISK || d->bus == VM_DRIVE_NONE)
        return true; /* with if=none the device says what it wants */
    err_usage(e, "a hard disk needs an image");
    return err_hint(e, "-drive file=disk.img,format=raw");
}

static bool add_drive(struct drive_list *l, const struct options *o, const char *value,
                      struct err *e)
{
    struct vm_drive *d = add(l, e);
    char *text;

    if (!d)
        return false;
    text = l->text[l->count - 1] = strdup(value);
    if (!text)
        return err_host(e, "out of memory");
    return parse_keys(d, text, e) && complete(d, o, e);
}

static bool add_short(struct drive_list *l, const struct options *o, enum opt opt,
                      enum vm_drive_bus bus, enum drive_media media, int index, struct err *e)
{
    struct vm_drive *d;

    if (!o->given[opt])
        return true;
    d = add(l, e);
    if (!d)
        return false;
    d->bus = bus;
    d->media = media;
    d->index = index;
    d->image.path = o->value[opt];
    return complete(d, o, e);
}

/* A guest that runs twice must find the same disk twice. */
static bool check_repeatable(const struct drive_list *l, const struct options *o, struct err *e)
{
    bool twice = o->command == CMD_COMPARE || o->given[OPT_CHECK];

    for (unsigned i = 0; twice && i < l->count; i++)
        if (l->drive[i].image.path && !l->drive[i].image.readonly && !l->drive[i].image.snapshot) {
            err_usage(e,
                      "%s: the guest runs more than once, and the first run would change the disk",
                      l->drive[i].image.path);
            return err_hint(e, "add -snapshot");
        }
    return true;
}

bool drives_from_options(struct drive_list *l, const struct options *o, struct err *e)
{
    if (!add_short(l, o, OPT_HDA, VM_DRIVE_IDE, MEDIA_DISK, 0, e) ||
        !add_short(l, o, OPT_HDB, VM_DRIVE_IDE, MEDIA_DISK, 1, e) ||
        !add_short(l, o, OPT_HDC, VM_DRIVE_IDE, MEDIA_DISK, 2, e) ||
        !add_short(l, o, OPT_HDD, VM_DRIVE_IDE, MEDIA_DISK, 3, e) ||
        !add_short(l, o, OPT_FDA, VM_DRIVE_FLOPPY, MEDIA_FLOPPY, 0, e) ||
        !add_short(l, o, OPT_FDB, VM_DRIVE_FLOPPY, MEDIA_FLOPPY, 1, e) ||
        !add_short(l, o, OPT_CDROM, VM_DRIVE_IDE, MEDIA_CDROM, 2, e))
        return false;
    for (unsigned i = 0; o->drives[i]; i++)
        if (!add_drive(l, o, o->drives[i], e))
            return false;
    if (o->given[OPT_SNAPSHOT] && !l->count) {
        err_usage(e, "-snapshot has no effect without a drive");
        return err_hint(e, "-hda FILE or -drive file=FILE makes one");
    }
    return check_repeatable(l, o, e);
}

void drives_free(struct drive_list *l)
{
    for (unsigned i = 0; i < l->count; i++)
        free(l->text[i]);
    l->count = 0;
}
