/*
 * pvpanic.c: pvpanic on the ISA bus.
 *
 * No hardware: the convention of docs/specs/pvpanic of QEMU. A read of the port tells which events
 * there are, a write that one of them happened.
 */
#include "devices/pvpanic.h"

#include "devices/iobus.h"

#define PANICKED BIT(0)
#define CRASH_LOADED BIT(1)

static u32 pvpanic_read(void *opaque, u16 port, unsigned size)
{
    (void)port;
    (void)size;
    return ((struct pvpanic *)opaque)->events;
}

static void pulse(struct irq *line)
{
    irq_set(line, true);
    irq_set(line, false);
}

static void pvpanic_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pvpanic *p = opaque;

    (void)port;
    (void)size;
    TRACE(pvpanic, value);
    if (value & p->events & PANICKED)
        pulse(&p->panicked);
    if (value & p->events & CRASH_LOADED)
        pulse(&p->crash_loaded);
}

static const struct io_ops pvpanic_io = {.read = pvpanic_read, .write = pvpanic_write};

static bool pvpanic_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, (u16)((struct pvpanic *)d)->ioport, 1, "pvpanic", &pvpanic_io, d);
    return true;
}

static void pvpanic_destroy(struct dev *d)
{
    iobus_remove(d->env->io, (u16)((struct pvpanic *)d)->ioport, 1, d);
}

static void pvpanic_reset(struct dev *d)
{
    (void)d;
}

static const struct dev_prop pvpanic_props[] = {
    {"ioport", PROP_U32, offsetof(struct pvpanic, ioport), 0x505, 0, 0xffff, "the port"},
    {"events", PROP_U32, offsetof(struct pvpanic, events), PANICKED | CRASH_LOADED, 0, 3,
     "that it takes: 1 panic, 2 crash kernel"},
    DEV_PROP_END,
};

static const struct dev_field pvpanic_fields[] = {DEV_FIELD_END};

const struct dev_class pvpanic_class = {
    .name = "pvpanic",
    .doc = "port at which a guest says that it panicked",
    .size = sizeof(struct pvpanic),
    .props = pvpanic_props,
    .fields = pvpanic_fields,
    .user_creatable = true,
    .init = pvpanic_init,
    .reset = pvpanic_reset,
    .destroy = pvpanic_destroy,
};
