/*
 * debugcon.c: port E9h.
 *
 * No hardware: the convention of Bochs ("port e9 hack", its user manual). Reading gives E9h, which
 * tells a guest that the port is there. It has no state.
 */
#include "devices/debugcon.h"

#include "devices/iobus.h"

#define PRESENT 0xe9u

static u32 debugcon_read(void *opaque, u16 port, unsigned size)
{
    (void)opaque;
    (void)port;
    (void)size;
    return PRESENT;
}

static void debugcon_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct debugcon *c = opaque;
    u8 byte = (u8)value;

    (void)port;
    (void)size;
    if (c->chr)
        chardev_put(c->chr, &byte, 1);
}

static const struct io_ops debugcon_io = {.read = debugcon_read, .write = debugcon_write};

void debugcon_set_chardev(struct debugcon *c, struct chardev *chr)
{
    c->chr = chr;
}

static bool debugcon_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, (u16)((struct debugcon *)d)->iobase, 1, "debugcon", &debugcon_io, d);
    return true;
}

static void debugcon_destroy(struct dev *d)
{
    iobus_remove(d->env->io, (u16)((struct debugcon *)d)->iobase, 1, d);
}

static const struct dev_prop debugcon_props[] = {
    {"iobase", PROP_U32, offsetof(struct debugcon, iobase), 0xe9, 0, 0xffff, "port"},
    DEV_PROP_END,
};

static const struct dev_field debugcon_fields[] = {DEV_FIELD_END};

const struct dev_class debugcon_class = {
    .name = "isa-debugcon",
    .doc = "port whose bytes go to the host",
    .size = sizeof(struct debugcon),
    .props = debugcon_props,
    .fields = debugcon_fields,
    .init = debugcon_init,
    .destroy = debugcon_destroy,
};
