/*
 * testdev.c: pc-testdev.
 *
 * No hardware: the convention of emulators that the kernels of kvm-unit-tests rely on, at QEMU's
 * ports.
 *
 *   0e0h-0e3h    a latch of 32 bits: bytes read as they were written, in any width
 *   0e8h         the same latch's low byte, accepting byte accesses alone
 *   2000h-2017h  a write sets interrupt line n to "value is not 0"
 *   FF000000h    64 KiB of memory that is reached as MMIO
 *
 * Not implemented: the port at 0E4h, which lets a page of the guest vanish from the host.
 */
#include "devices/testdev.h"

#include "base/bits.h"
#include "devices/iobus.h"
#include <string.h>

#define LATCH 0xe0u
#define LATCH_BYTES 4u
#define BYTE_LATCH 0xe8u
#define LINES 0x2000u
#define WINDOW 0xff000000u

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

/* Accesses end within the window: the memory bus splits at its end. */
static u64 window_read(void *opaque, u64 off, unsigned size)
{
    const struct testdev *t = opaque;

    return off + size <= sizeof t->window ? ld_le((const u8 *)t->window + off, size) : ~0ull;
}

static void window_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct testdev *t = opaque;

    if (off + size <= sizeof t->window)
        st_le((u8 *)t->window + off, value, size);
}

static const struct mmio_ops window_ops = {.read = window_read, .write = window_write};

static bool testdev_init(struct dev *d, struct err *e)
{
    struct testdev *t = (struct testdev *)d;

    (void)e;
    t->region = phys_add_mmio(d->env->phys, "pc-testdev", WINDOW, sizeof t->window, &window_ops, t);
    iobus_add(d->env->io, LATCH, LATCH_BYTES, "pc-testdev latch", &latch_io, d);
    iobus_add(d->env->io, BYTE_LATCH, 1, "pc-testdev byte", &byte_io, d);
    iobus_add(d->env->io, LINES, TESTDEV_LINES, "pc-testdev lines", &line_io, d);
    return true;
}

static void testdev_destroy(struct dev *d)
{
    const struct testdev *t = (const struct testdev *)d;

    phys_region_move(d->env->phys, t->region, WINDOW, false);
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
    memset(t->window, 0, sizeof t->window);
    drive_lines(d);
}

static const struct dev_field testdev_fields[] = {
    DEV_FIELD(struct testdev, latch, 0, 0xffffffff, "what was written to the latch"),
    DEV_FIELD(struct testdev, levels, 0, (1u << TESTDEV_LINES) - 1, "bit n: line n is high"),
    DEV_FIELD_ARRAY(struct testdev, window, 0, ~0ull, "the memory at FF000000h"),
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
