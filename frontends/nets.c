/*
 * nets.c: see nets.h. Syntax as QEMU's: KIND,KEY=VALUE,... Ours: ports of the host and sockets are
 * those of 127.0.0.1 unless an address is given, unix:PATH, and the kind `none`, to which nobody
 * answers.
 */
#include "frontends/nets.h"

#include "base/nearest.h"
#include "frontends/keys.h"
#include "frontends/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_DEFAULT "e1000"

/* One -netdev or -nic as it is read. */
struct reader {
    const char *option; /* for messages: "netdev", "nic" */
    struct net_options *net;
    const char *model, *mac; /* -nic */
};

enum { USER = 1, SOCKET = 2, TAP = 4, NONE = 8, NIC = 16, ALL = USER | SOCKET | TAP | NONE };

static const struct {
    const char *name;
    unsigned flag;
} kinds[] = {{"user", USER}, {"socket", SOCKET}, {"tap", TAP}, {"none", NONE}};

/* ---- keys ------------------------------------------------------------------------------------ */

static bool set_id(struct reader *r, const char *value, struct err *e)
{
    if (!*value || strpbrk(value, ",= "))
        return err_usage(e, "-%s: id=%s: a name without commas, blanks and =", r->option, value);
    r->net->id = value;
    return true;
}

static bool set_hostfwd(struct reader *r, const char *value, struct err *e)
{
    if (r->net->hostfwds == NET_HOSTFWD_MAX)
        return err_usage(e, "-%s: there are more than %u hostfwd", r->option, NET_HOSTFWD_MAX);
    r->net->hostfwd[r->net->hostfwds++] = value;
    return true;
}

static bool set_restrict(struct reader *r, const char *value, struct err *e)
{
    return keys_switch(r->option, "restrict", value, &r->net->restricted, e);
}

static bool set_ipv6(struct reader *r, const char *value, struct err *e)
{
    bool on = true;

    if (!keys_switch(r->option, "ipv6", value, &on, e))
        return false;
    r->net->no_ipv6 = !on;
    return true;
}

/* QEMU runs a script unless told not to; here none is run. */
static bool set_script(struct reader *r, const char *value, struct err *e)
{
    if (!strcmp(value, "no"))
        return true;
    err_usage(e, "-%s: scripts are not run", r->option);
    return err_hint(e, "set the interface up before: ip link set NAME up");
}

/* Those that are a string of the options. */
#define TEXT(field) NULL, offsetof(struct net_options, field)

static const struct {
    const char *name;
    unsigned kinds;
    bool (*set)(struct reader *r, const char *value, struct err *e);
    size_t offset;
} keys[] = {
    {"id", ALL, set_id, 0},
    {"hostfwd", USER, set_hostfwd, 0},
    {"restrict", USER, set_restrict, 0},
    {"ipv6", USER, set_ipv6, 0},
    {"net", USER, TEXT(net)},
    {"host", USER, TEXT(host)},
    {"dns", USER, TEXT(dns)},
    {"dhcpstart", USER, TEXT(dhcpstart)},
    {"hostname", USER, TEXT(hostname)},
    {"tftp", USER, TEXT(tftp)},
    {"bootfile", USER, TEXT(bootfile)},
    {"listen", SOCKET, TEXT(listen)},
    {"connect", SOCKET, TEXT(connect)},
    {"ifname", TAP, TEXT(ifname)},
    {"script", TAP, set_script, 0},
    {"downscript", TAP, set_script, 0},
    {"model", NIC, NULL, 0},
    {"mac", NIC, NULL, 0},
};

static bool set_key(struct reader *r, unsigned allowed, char *item, struct err *e)
{
    const char *names[ARRAY_SIZE(keys) + 1] = {NULL};
    char *value = strchr(item, '=');
    unsigned count = 0;
    const char *near;

    if (!value)
        return err_usage(e, "-%s: '%s' is not KEY=VALUE", r->option, item);
    *value++ = '\0';
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!(keys[i].kinds & allowed))
            continue;
        names[count++] = keys[i].name;
        if (strcmp(item, keys[i].name) != 0)
            continue;
        if (keys[i].set)
            return keys[i].set(r, value, e);
        if (keys[i].kinds == NIC)
            *(*item == 'm' && item[1] == 'o' ? &r->model : &r->mac) = value;
        else
            *(const char **)(void *)((u8 *)r->net + keys[i].offset) = value;
        return true;
    }
    near = nearest(item, names);
    err_usage(e, "-%s %s has no key '%s'", r->option, r->net->kind, item);
    return near ? err_hint(e, "did you mean %s?", near)
                : err_hint(e, "-netdev user,id=n0 -device e1000,netdev=n0");
}

/* ---- options --------------------------------------------------------------------------------- */

static char *keep(struct net_list *l, const char *text)
{
    char *copy = strdup(text);

    BUG_ON(!copy || l->texts == ARRAY_SIZE(l->text));
    return l->text[l->texts++] = copy;
}

static bool read_keys(struct net_list *l, struct reader *r, const char *text, unsigned more,
                      struct err *e)
{
    char *rest = keep(l, text);
    unsigned allowed = ALL | more;

    if (l->count == NET_MAX)
        return err_usage(e, "there are more than %u networks", NET_MAX);
    r->net = &l->net[l->count++];
    *r->net = (struct net_options){.kind = keys_next(&rest)};
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(r->net->kind, kinds[i].name))
            allowed = kinds[i].flag | more;
    while (rest && *rest)
        if (!set_key(r, allowed, keys_next(&rest), e))
            return false;
    return true;
}

static bool add_netdev(struct net_list *l, const char *text, struct err *e)
{
    struct reader r = {.option = "netdev"};

    if (!read_keys(l, &r, text, 0, e))
        return false;
    if (r.net->id)
        return true;
    err_usage(e, "-netdev %s needs an id", r.net->kind);
    return err_hint(e, "-netdev %s,id=n0 -device e1000,netdev=n0", r.net->kind);
}

/* Names of -nic model= that are not those of -device. */
static const char *device_name(const char *model)
{
    return !strcmp(model, "virtio") || !strcmp(model, "virtio-net") ? "virtio-net-pci" : model;
}

static void add_device(struct net_list *l, const char *text)
{
    l->devices[l->device_count++] = text;
}

static bool is_controller(const char *model)
{
    return !strcmp(model, "e1000") || !strcmp(model, "rtl8139") || !strcmp(model, "virtio-net-pci") ||
           !strcmp(model, "xen-net");
}

static bool add_nic(struct net_list *l, const char *text, struct err *e)
{
    struct reader r = {.option = "nic", .model = MODEL_DEFAULT};
    char line[256], id[16];
    const char *model;

    if (!strcmp(text, "none"))
        return true;
    if (!read_keys(l, &r, text, NIC, e))
        return false;
    if (!r.net->id) {
        snprintf(id, sizeof id, "nic%u", l->count - 1);
        r.net->id = keep(l, id);
    }
    model = device_name(r.model);
    if (!is_controller(model)) {
        const char *names[] = {"e1000", "rtl8139", "virtio-net-pci", "xen-net", NULL};
        const char *near = nearest(model, names);

        err_usage(e, "-nic: there is no model '%s'", r.model);
        return near ? err_hint(e, "did you mean %s?", near)
                    : err_hint(e, "there are e1000, rtl8139, virtio-net-pci and xen-net");
    }
    snprintf(line, sizeof line, "%s,netdev=%.100s%s%.40s", model, r.net->id, r.mac ? ",mac=" : "",
             r.mac ? r.mac : "");
    add_device(l, keep(l, line));
    return true;
}

static bool set_dump(struct net_dump_options *d, char *item, struct err *e)
{
    char *value = strchr(item, '='), *end;

    if (!value)
        return err_usage(e, "-object filter-dump: '%s' is not KEY=VALUE", item);
    *value++ = '\0';
    if (!strcmp(item, "id"))
        d->id = value;
    else if (!strcmp(item, "netdev"))
        d->netdev = value;
    else if (!strcmp(item, "file"))
        d->file = value;
    else if (strcmp(item, "maxlen") != 0)
        return err_usage(e, "-object filter-dump has no key '%s'", item);
    else if ((d->maxlen = (u32)strtoul(value, &end, 10)) == 0 || *end)
        return err_usage(e, "-object filter-dump: maxlen=%s is not a length", value);
    return true;
}

static bool add_object(struct net_list *l, const char *text, struct err *e)
{
    char *rest = keep(l, text), *kind = keys_next(&rest);
    struct net_dump_options *d;

    if (strcmp(kind, "filter-dump") != 0) {
        err_usage(e, "-object: there is no '%s'", kind);
        return err_hint(e, "there are filter-dump and rng-random");
    }
    if (l->dumps == NET_DUMPS_MAX)
        return err_usage(e, "there are more than %u filter-dumps", NET_DUMPS_MAX);
    d = &l->dump[l->dumps++];
    while (rest && *rest)
        if (!set_dump(d, keys_next(&rest), e))
            return false;
    if (d->id && d->netdev && d->file)
        return true;
    err_usage(e, "-object filter-dump needs id, netdev and file");
    return err_hint(e, "-object filter-dump,id=d0,netdev=n0,file=n0.pcap");
}

bool nets_from_options(struct net_list *l, const struct options *o, struct err *e)
{
    if (o->given[OPT_NET] && strcmp(o->value[OPT_NET], "none") != 0) {
        err_usage(e, "-net: only 'none' is left of it");
        return err_hint(e, "-nic user,model=e1000, or -netdev with -device");
    }
    for (unsigned i = 0; o->netdevs[i]; i++)
        if (!add_netdev(l, o->netdevs[i], e))
            return false;
    for (unsigned i = 0; o->nics[i]; i++)
        if (!add_nic(l, o->nics[i], e))
            return false;
    for (unsigned i = 0; o->objects[i]; i++)
        if (!resources_is_object(o->objects[i]) && !add_object(l, o->objects[i], e))
            return false;
    for (unsigned i = 0; o->devices[i]; i++)
        add_device(l, o->devices[i]);
    if (o->given[OPT_CHECK] && l->count) {
        err_usage(e, "-check compares machines without a network");
        return err_hint(e, "leave -netdev and -nic away");
    }
    return true;
}

void nets_free(struct net_list *l)
{
    while (l->texts)
        free(l->text[--l->texts]);
}
