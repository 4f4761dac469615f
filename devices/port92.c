/*
 * port92.c: system control port A.
 *
 * Specification: Intel 82371SB (PIIX3) data sheet (290550), section 2.5.4, "Port 92 register";
 * bits above 1 as IBM PS/2 Hardware Interface Technical Reference, "System Control Port A".
 *
 * Not implemented: the security lock and the disk activity lights (their bits are stored).
 */
#include "devices/port92.h"

#include "devices/iobus.h"

#define P92_RESET BIT(0)
#define P92_A20 BIT(1)

static u32 port92_read(void *opaque, u16 port, unsigned size)
{
    (void)port;
    (void)size;
    return ((struct port92 *)opaque)->value;
}

static void port92_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct port92 *p = opaque;
    bool pulse = (value & P92_RESET) && !(p->value & P92_RESET);

    (void)port;
    (void)size;
    p->value = (u8)value;
    irq_set(&p->a20, value & P92_A20);
    if (!pulse)
        return;
    TRACE(reset_request, "port 92h");
    irq_set(&p->reset, true);
    irq_set(&p->reset, false);
}

static const struct io_ops port92_io = {.read = port92_read, .write = port92_write};

static bool port92_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, 0x92, 1, "port 92h", &port92_io, d);
    return true;
}

static void port92_destroy(struct dev *d)
{
    iobus_remove(d->env->io, 0x92, 1, d);
}

static void port92_loaded(struct dev *d)
{
    struct port92 *p = (struct port92 *)d;

    irq_set(&p->a20, p->value & P92_A20);
}

static void port92_reset(struct dev *d)
{
    ((struct port92 *)d)->value = 0;
    port92_loaded(d);
}

static const struct dev_field port92_fields[] = {
    DEV_FIELD(struct port92, value, 0, 0xff, "port 92h"),
    DEV_FIELD_END,
};

const struct dev_class port92_class = {
    .name = "port92",
    .doc = "system control port A: fast A20 and reset",
    .size = sizeof(struct port92),
    .fields = port92_fields,
    .init = port92_init,
    .reset = port92_reset,
    .loaded = port92_loaded,
    .destroy = port92_destroy,
};
