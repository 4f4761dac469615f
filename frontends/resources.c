/* resources.c: see resources.h. Syntax as QEMU's: KIND,KEY=VALUE,... */
#include "frontends/resources.h"

#include "base/nearest.h"
#include "frontends/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RNG_RANDOM "rng-random"

/* A key of an option and where its value goes: a string, or with `on` a switch. */
struct key {
    const char *name;
    const char **text;
    bool *on;
};

static char *keep(struct resource_list *l, const char *text)
{
    char *copy = strdup(text);

    BUG_ON(!copy || l->texts == ARRAY_SIZE(l->text));
    return l->text[l->texts++] = copy;
}

static bool set_key(const char *option, const struct key *keys, unsigned count, char *item,
                    struct err *e)
{
    const char *names[8] = {NULL}, *near;
    char *value = strchr(item, '=');

    if (!value)
        return err_usage(e, "-%s: '%s' is not KEY=VALUE", option, item);
    *value++ = '\0';
    for (unsigned i = 0; i < count; i++) {
        names[i] = keys[i].name;
        if (strcmp(item, keys[i].name) != 0)
            continue;
        if (keys[i].on)
            return keys_switch(option, item, value, keys[i].on, e);
        *keys[i].text = value;
        return true;
    }
    near = nearest(item, names);
    err_usage(e, "-%s has no key '%s'", option, item);
    return near ? err_hint(e, "did you mean %s?", near) : false;
}

static bool read_keys(const char *option, const struct key *keys, unsigned count, char *rest,
                      struct err *e)
{
    while (rest && *rest)
        if (!set_key(option, keys, count, keys_next(&rest), e))
            return false;
    return true;
}

static bool full(const char *option, unsigned count, struct err *e)
{
    return count == RESOURCES_MAX &&
           !err_usage(e, "'-%s' is given more than %d times", option, RESOURCES_MAX);
}

/* What is written into a -device argument. */
static bool is_plain(const char *text)
{
    return text && *text && !strpbrk(text, ",= ");
}

/* ---- -chardev -------------------------------------------------------------------------------- */

static const struct {
    const char *kind, *spec;
    bool has_path;
} streams[] = {{"stdio", "stdio", false},
               {"file", "file:", true},
               {"pty", "pty", false},
               {"null", "null", false},
               {"socket", "unix:", true}};

/* QEMU's words for a stream as those of -serial. */
static bool make_spec(struct resource_list *l, const char *kind, const char *path, bool mux,
                      const char **spec, struct err *e)
{
    char line[4200];
    unsigned i = 0;

    while (i < ARRAY_SIZE(streams) && strcmp(kind, streams[i].kind))
        i++;
    if (i == ARRAY_SIZE(streams)) {
        err_usage(e, "-chardev: no such kind of stream: '%s'", kind);
        return err_hint(e, "there are stdio, file, pty, null and socket");
    }
    if (streams[i].has_path != (path != NULL) || (path && strlen(path) > 4096))
        return err_usage(e, "-chardev %s %s", kind, path ? "has no such path" : "needs a path");
    snprintf(line, sizeof line, "%s%s%s", mux && i == 0 ? "mon:" : "", streams[i].spec,
             path ? path : "");
    *spec = keep(l, line);
    return true;
}

static bool add_chardev(struct resource_list *l, const char *text, struct err *e)
{
    char *rest = keep(l, text);
    const char *kind = keys_next(&rest), *id = NULL, *path = NULL;
    bool mux = false, server = true, wait = false;
    const struct key keys[] = {{"id", &id, NULL},
                               {"path", &path, NULL},
                               {"mux", NULL, &mux},
                               {"server", NULL, &server},
                               {"wait", NULL, &wait}};

    if (full("chardev", l->streams, e) || !read_keys("chardev", keys, ARRAY_SIZE(keys), rest, e) ||
        !make_spec(l, kind, path, mux, &l->stream_spec[l->streams], e))
        return false;
    if (!server || wait) {
        err_usage(e, "-chardev socket listens, and waits for nobody");
        return err_hint(e, "-chardev socket,id=c0,path=PATH,server=on,wait=off");
    }
    if (!is_plain(id)) {
        err_usage(e, "-chardev %s needs an id", kind);
        return err_hint(e, "-chardev %s,id=c0 -device virtconsole,chardev=c0", kind);
    }
    l->stream[l->streams++].id = id;
    return true;
}

/* ---- -object --------------------------------------------------------------------------------- */

bool resources_is_object(const char *text)
{
    size_t len = strcspn(text, ",");

    return len == strlen(RNG_RANDOM) && !memcmp(text, RNG_RANDOM, len);
}

static bool add_object(struct resource_list *l, const char *text, struct err *e)
{
    char *rest = keep(l, text);
    struct entropy_entry *r = &l->entropy[l->entropies];
    const struct key keys[] = {{"id", &r->id, NULL}, {"filename", &r->file, NULL}};

    keys_next(&rest);
    if (full("object", l->entropies, e) || !read_keys("object", keys, ARRAY_SIZE(keys), rest, e))
        return false;
    l->entropies++;
    if (is_plain(r->id))
        return true;
    err_usage(e, "-object rng-random needs an id");
    return err_hint(e, "-object rng-random,id=r0 -device virtio-rng-pci,rng=r0");
}

/* ---- -fsdev, -virtfs ------------------------------------------------------------------------- */

#define MODELS                                                                                     \
    "none: files are made with the rights that you have; mapped-xattr: owners, modes and special " \
    "files "                                                                                       \
    "of the guest are kept in attributes"

static bool add_share(struct resource_list *l, const char *option, const char *text,
                      const char **mount_tag, struct err *e)
{
    char *rest = keep(l, text);
    const char *kind = keys_next(&rest), *model = NULL;
    struct share_entry *s = &l->share[l->shares];
    struct key keys[] = {{"id", &s->id, NULL},
                         {"path", &s->path, NULL},
                         {"security_model", &model, NULL},
                         {"readonly", NULL, &s->readonly},
                         {"mount_tag", mount_tag, NULL}};

    if (full(option, l->shares, e))
        return false;
    if (strcmp(kind, "local") != 0) {
        err_usage(e, "-%s: there is no '%s'", option, kind);
        return err_hint(e, "there is local");
    }
    if (!read_keys(option, keys, ARRAY_SIZE(keys) - !mount_tag, rest, e))
        return false;
    l->shares++;
    if (!s->path || !model) {
        err_usage(e, "-%s needs path and security_model", option);
        return err_hint(e, MODELS);
    }
    s->mapped = !strcmp(model, "mapped-xattr") || !strcmp(model, "mapped");
    if (s->mapped || !strcmp(model, "none"))
        return true;
    err_usage(e, "-%s: there is no security_model '%s'", option, model);
    return err_hint(e, "there are " MODELS);
}

static bool add_fsdev(struct resource_list *l, const char *text, struct err *e)
{
    if (!add_share(l, "fsdev", text, NULL, e))
        return false;
    if (is_plain(l->share[l->shares - 1].id))
        return true;
    err_usage(e, "-fsdev needs an id");
    return err_hint(e, "-fsdev local,id=f0,path=... -device virtio-9p-pci,fsdev=f0,mount_tag=TAG");
}

static bool add_virtfs(struct resource_list *l, const char *text, struct err *e)
{
    const char *tag = NULL;
    char line[128], id[32];
    struct share_entry *s;

    if (!add_share(l, "virtfs", text, &tag, e))
        return false;
    s = &l->share[l->shares - 1];
    snprintf(id, sizeof id, "virtfs%u", l->shares - 1);
    if (!s->id)
        s->id = keep(l, id);
    if (!is_plain(tag) || strlen(tag) > 31 || !is_plain(s->id) || strlen(s->id) > 31) {
        err_usage(e,
                  "-virtfs needs a mount_tag of 1 to 31 characters without commas, blanks and =");
        return err_hint(e, "the guest mounts it by that: mount -t 9p TAG /mnt");
    }
    snprintf(line, sizeof line, "virtio-9p-pci,fsdev=%s,mount_tag=%s", s->id, tag);
    l->device[l->devices++] = keep(l, line);
    return true;
}

bool resources_from_options(struct resource_list *l, const struct options *o, struct err *e)
{
    for (unsigned i = 0; o->chardevs[i]; i++)
        if (!add_chardev(l, o->chardevs[i], e))
            return false;
    for (unsigned i = 0; o->objects[i]; i++)
        if (resources_is_object(o->objects[i]) && !add_object(l, o->objects[i], e))
            return false;
    for (unsigned i = 0; o->fsdevs[i]; i++)
        if (!add_fsdev(l, o->fsdevs[i], e))
            return false;
    for (unsigned i = 0; o->virtfs[i]; i++)
        if (!add_virtfs(l, o->virtfs[i], e))
            return false;
    if (!o->given[OPT_CHECK] || (!l->streams && !l->shares))
        return true;
    err_usage(e, "-check compares machines without streams and folders of the host");
    return err_hint(e, "leave -chardev, -fsdev and -virtfs away");
}

void resources_free(struct resource_list *l)
{
    while (l->texts)
        free(l->text[--l->texts]);
}
