/*
 * postcode.c: port 80h, as a diagnostic card shows it (-trace post_code): the code of each step of
 * a power-on self-test. What was written last is read back, as from the page register of the PC/AT
 * that has this address and no channel; Linux writes it to pass time.
 */
#include "devices/postcode.h"

#include "devices/iobus.h"

#define PORT 0x80u

static u32 postcode_read(void *opaque, u16 port, unsigned size)
{
    (void)port;
    (void)size;
    return ((struct postcode *)opaque)->value;
}

static void postcode_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct postcode *p = opaque;

    (void)port;
    (void)size;
    p->value = (u8)value;
    TRACE(post_code, p->value);
}

static const struct io_ops postcode_io = {.read = postcode_read, .write = postcode_write};

static bool postcode_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, PORT, 1, "POST codes", &postcode_io, d);
    return true;
}

static void postcode_destroy(struct dev *d)
{
    iobus_remove(d->env->io, PORT, 1, d);
}

static void postcode_reset(struct dev *d)
{
    ((struct postcode *)d)->value = 0;
}

static const struct dev_field postcode_fields[] = {
    DEV_FIELD(struct postcode, value, 0, 0xff, "written last"),
    DEV_FIELD_END,
};

const struct dev_class postcode_class = {
    .name = "postcode",
    .doc = "port 80h",
    .size = sizeof(struct postcode),
    .fields = postcode_fields,
    .init = postcode_init,
    .reset = postcode_reset,
    .destroy = postcode_destroy,
};
