/*
 * debugexit.c: isa-debug-exit.
 *
 * No hardware: the convention of emulators, as QEMU's documentation of `-device isa-debug-exit`
 * describes it for kernels that run their tests in one. Reads give 0.
 */
#include "devices/debugexit.h"

#include "devices/iobus.h"

static u32 debugexit_read(void *opaque, u16 port, unsigned size)
{
    (void)opaque;
    (void)port;
    (void)size;
    return 0;
}

static void debugexit_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct debugexit *x = opaque;

    (void)port;
    (void)size;
    x->value = value;
    irq_set(&x->exit, true);
    irq_set(&x->exit, false);
}

static const struct io_ops debugexit_io = {
    .read = debugexit_read, .write = debugexit_write, .wide = true};

static bool debugexit_init(struct dev *d, struct err *e)
{
    struct debugexit *x = (struct debugexit *)d;

    if (x->iobase + x->iosize > 0x10000)
        return err_usage(e,
                         "device isa-debug-exit: iobase=%#x, iosize=%#x reaches beyond port 0xffff",
                         x->iobase, x->iosize);
    iobus_add(d->env->io, (u16)x->iobase, x->iosize, "isa-debug-exit", &debugexit_io, d);
    return true;
}

static void debugexit_destroy(struct dev *d)
{
    struct debugexit *x = (struct debugexit *)d;

    iobus_remove(d->env->io, (u16)x->iobase, x->iosize, d);
}

static void debugexit_reset(struct dev *d)
{
    ((struct debugexit *)d)->value = 0;
}

static const struct dev_prop debugexit_props[] = {
    {"iobase", PROP_U32, offsetof(struct debugexit, iobase), 0x501, 0, 0xffff, "first port"},
    {"iosize", PROP_U32, offsetof(struct debugexit, iosize), 2, 1, 4, "number of ports"},
    DEV_PROP_END,
};

static const struct dev_field debugexit_fields[] = {
    DEV_FIELD(struct debugexit, value, 0, 0xffffffff, "value written last"),
    DEV_FIELD_END,
};

const struct dev_class debugexit_class = {
    .name = "isa-debug-exit",
    .doc = "port that ends the machine with an exit code",
    .size = sizeof(struct debugexit),
    .props = debugexit_props,
    .fields = debugexit_fields,
    .user_creatable = true,
    .init = debugexit_init,
    .reset = debugexit_reset,
    .destroy = debugexit_destroy,
};
