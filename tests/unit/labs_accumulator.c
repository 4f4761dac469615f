/* labs_accumulator.c: lab 5, solved. */
#include "tests/unit/labs_accumulator.h"

#include "devices/iobus.h"

#define PORT 0x2e0u

struct accumulator {
    struct dev dev;
    u32 sum, count;
};

static u32 accumulator_read(void *opaque, u16 port, unsigned size)
{
    const struct accumulator *a = opaque;

    (void)size;
    return port == PORT ? a->sum : port == PORT + 4 ? a->count : 0;
}

static void accumulator_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct accumulator *a = opaque;

    (void)size;
    if (port == PORT) {
        a->sum += value & 0xff;
        a->count++;
    } else {
        a->sum = a->count = 0;
    }
}

static const struct io_ops accumulator_io = {
    .read = accumulator_read, .write = accumulator_write, .wide = true};

static bool accumulator_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, PORT, 8, "accumulator", &accumulator_io, d);
    return true;
}

static void accumulator_destroy(struct dev *d)
{
    iobus_remove(d->env->io, PORT, 8, d);
}

static void accumulator_reset(struct dev *d)
{
    struct accumulator *a = (struct accumulator *)d;

    a->sum = a->count = 0;
}

static const struct dev_field accumulator_fields[] = {
    DEV_FIELD(struct accumulator, sum, 0, 0xffffffff, "of all bytes written"),
    DEV_FIELD(struct accumulator, count, 0, 0xffffffff, "how many those are"),
    DEV_FIELD_END,
};

const struct dev_class accumulator_class = {
    .name = "accumulator",
    .doc = "adds up what is written",
    .size = sizeof(struct accumulator),
    .fields = accumulator_fields,
    .user_creatable = true,
    .init = accumulator_init,
    .reset = accumulator_reset,
    .destroy = accumulator_destroy,
};

static const struct dev_field half_fields[] = {
    DEV_FIELD(struct accumulator, sum, 0, 0xffffffff, "of all bytes written"),
    DEV_FIELD_END,
};

const struct dev_class half_accumulator_class = {
    .name = "accumulator",
    .doc = "forgets a register in its table, a reset, and its ports",
    .size = sizeof(struct accumulator),
    .fields = half_fields,
    .user_creatable = true,
    .init = accumulator_init,
};
