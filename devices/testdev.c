/*
 * testdev.c: pc-testdev.
 *
 * No hardware: the convention of emulators that the kernels of kvm-unit-tests rely on, at QEMU's
 * ports.
 *
 *   0e0h-0e3h    a latch of 32 bits: bytes read as they were written, in any width
 *   0e8h         the same latch's low byte, accepting byte accesses alone
 *   2000h-2017h  a write sets interrupt line n to "value is not 0"
 *
 * Not implemented: the port at 0E4h, which lets a page of the guest vanish from the host, and the
 * window of 64 KiB at FF000000h.
 */
#include "devices/testdev.h"

#include "base/bits.h"
#include "devices/iobus.h"

#define LATCH 0xe0u
#define LATCH_BYTES 4u
#define BYTE_LATCH 0xe8u
#define LINES 0x2000u

static u32 latch_read(void *opaque, u16 port, unsigned size)
{
    const struct testdev *t = opaque;

    return t->latch >> 8 * (port & 3) & (u32)mask64(8 * size);
}

static void latch_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct testdev *t = opaque;
    unsigned shift = 8 * (port & 3);
    u32 mask = (u32)mask64(8 * size) << shift;

    t->latch = (t->latch & ~mask) | (value << shift & mask);
}

static void line_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct testdev *t = opaque;
    unsigned n = port - LINES;

    (void)size;
    t->levels = value ? t->levels | BIT(n) : t->levels & ~BIT(n);
    irq_set(&t->line[n], value != 0);
}

static const struct io_ops latch_io = {.read = latch_read, .write = latch_write, .wide = true};
static const struct io_ops byte_io = {.read = latch_read, .write = latch_write};
static const struct io_ops line_io = {.write = line_write, .wide = true};

static bool testdev_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, LATCH, LATCH_BYTES, "pc-testdev latch", &latch_io, d);
    iobus_add(d->env->io, BYTE_LATCH, 1, "pc-testdev byte", &byte_io, d);
    iobus_add(d->env->io, LINES, TESTDEV_LINES, "pc-testdev lines", &line_io, d);
    return true;
}

static void testdev_destroy(struct dev *d)
{
    iobus_remove(d->env->io, LATCH, LATCH_BYTES, d);
    iobus_remove(d->env->io, BYTE_LATCH, 1, d);
    iobus_remove(d->env->io, LINES, TESTDEV_LINES, d);
}

static void drive_lines(struct dev *d)
{
    struct testdev *t = (struct testdev *)d;

    for (unsigned n = 0; n < TESTDEV_LINES; n++)
        irq_set(&t->line[n], t->levels >> n & 1);
}

static void testdev_reset(struct dev *d)
{
    struct testdev *t = (struct testdev *)d;

    t->latch = 0;
    t->levels = 0;
    drive_lines(d);
}

static const struct dev_field testdev_fields[] = {
    DEV_FIELD(struct testdev, latch, 0, 0xffffffff, "what was written to the latch"),
    DEV_FIELD(struct testdev, levels, 0, (1u << TESTDEV_LINES) - 1, "bit n: line n is high"),
    DEV_FIELD_END,
};

const struct dev_class testdev_class = {
    .name = "pc-testdev",
    .doc = "interrupt lines and a latch that test guests drive",
    .size = sizeof(struct testdev),
    .fields = testdev_fields,
    .user_creatable = true,
    .init = testdev_init,
    .reset = testdev_reset,
    .loaded = drive_lines,
    .destroy = testdev_destroy,
};
