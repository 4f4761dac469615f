/* virtconsole.c: what plugs into virtio-serial-pci: a console, or a port that carries bytes. */
#include "devices/virtconsole.h"

#include "devices/backend/resources.h"

#define NR_ANY 0xffffffffu

static bool port_init(struct dev *d, struct err *e)
{
    struct virtconsole *c = (struct virtconsole *)d;
    const struct dev_env *env = d->env;
    struct chardev *chr = NULL;

    if (!env->vserial) {
        if (!env->resources) /* a device of a test */
            return true;
        err_usage(e, "device %s needs a virtio-serial-pci before it", d->cls->name);
        return err_hint(e, "-device virtio-serial-pci -device %s,chardev=ID", d->cls->name);
    }
    if (c->chardev_id && !(chr = resources_stream(env->resources, c->chardev_id, e)))
        return false;
    c->port = vserial_plug(env->vserial, c->nr == NR_ANY ? -1 : (int)c->nr,
                           d->cls == &virtconsole_class, c->name, chr, e);
    return c->port != NULL;
}

static void port_destroy(struct dev *d)
{
    struct virtconsole *c = (struct virtconsole *)d;

    if (c->port)
        vserial_unplug(c->port);
}

/* A port's state is its bus's. */
static void port_reset(struct dev *d)
{
    (void)d;
}

static const struct dev_prop port_props[] = {
    {"chardev", PROP_STRING, offsetof(struct virtconsole, chardev_id), 0, 0, 0,
     "the id of a -chardev"},
    {"name", PROP_STRING, offsetof(struct virtconsole, name), 0, 0, 0, "its name in the guest"},
    {"nr", PROP_U32, offsetof(struct virtconsole, nr), NR_ANY, 0, NR_ANY,
     "its number (default: the next)"},
    DEV_PROP_END,
};

static const struct dev_field port_fields[] = {DEV_FIELD_END};

const struct dev_class virtconsole_class = {
    .name = "virtconsole",
    .doc = "a console of virtio-serial-pci",
    .size = sizeof(struct virtconsole),
    .props = port_props,
    .fields = port_fields,
    .user_creatable = true,
    .init = port_init,
    .reset = port_reset,
    .loaded = port_reset,
    .destroy = port_destroy,
};

const struct dev_class virtserialport_class = {
    .name = "virtserialport",
    .doc = "a port of virtio-serial-pci that carries bytes",
    .size = sizeof(struct virtconsole),
    .props = port_props,
    .fields = port_fields,
    .user_creatable = true,
    .init = port_init,
    .reset = port_reset,
    .loaded = port_reset,
    .destroy = port_destroy,
};
