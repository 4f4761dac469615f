/*
 * postcode.c: port 80h, as a diagnostic card shows it (-trace post_code): the code of each step of
 * a power-on self-test. What was written last is read back, as from the page register of the PC/AT
 * that has this address and no channel; Linux writes it to pass time.
 */
#include "devices/postcode.h"

#include "devices/iobus.h"

#define PORT 0x80u

/*T:310 A whole device
 *
 * A device is one file. This one is the smallest: a byte at port 80h, where firmware writes how far
 * it has come. It has a read and a write function, claims its port when it is made, and gives it
 * back when it goes. It knows no CPU, no machine and no other device: what it may use is in
 * `dev->env`.
 */
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

/*T:320 Its registers in a table
 *
 * Each register that holds state has a row: where it is in the struct, which values it may have,
 * what it means. Nothing else has to be written for saving and loading with range checks, for
 * `info device postcode`, or for the test that saves, loads and saves every class again. A state
 * that a row would not allow is refused, since a saved state is input like any other.
 */
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
