/*
 * i8237.c: DMA controllers.
 *
 * Specification: Intel 8237A data sheet (231466); page registers and the second chip's word
 * addresses: IBM PC/AT Technical Reference, "DMA Controller".
 *
 * Not implemented: memory to memory, cascading of other masters, software requests (DREQ comes from
 * devices alone), compressed timing, priorities: a transfer takes no time.
 */
#include "devices/i8237.h"

#include "devices/iobus.h"

#include "mmu/dma.h"

#define MODE_DECREMENT BIT(5)
#define MODE_AUTO BIT(4)
#define MODE_DIRECTION(m) ((m) >> 2 & 3) /* 1: to memory, 2: from it */
#define COMMAND_DISABLE BIT(2)

enum { TO_MEMORY = 1, FROM_MEMORY = 2 };

static const u8 page_port[I8237_CHANNELS] = {0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a};

/* ---- transfers ------------------------------------------------------------------------------- */

static void count_down(struct i8237 *d, unsigned n, bool *terminal)
{
    d->address[n] = (u16)(d->mode[n] & MODE_DECREMENT ? d->address[n] - 1 : d->address[n] + 1);
    if (d->count[n]--)
        return;
    *terminal = true;
    d->reached |= (u8)BIT(n);
    if (d->mode[n] & MODE_AUTO) {
        d->address[n] = d->base_address[n];
        d->count[n] = d->base_count[n];
    } else {
        d->mask |= (u8)BIT(n);
    }
}

u32 i8237_move(struct i8237 *d, unsigned n, u8 *buf, u32 len, bool to_memory, bool *terminal)
{
    struct phys *p = d->dev.env->phys;
    u32 moved = 0;

    *terminal = false;
    if ((d->command[0] | d->command[1]) & COMMAND_DISABLE || d->mask >> n & 1 ||
        MODE_DIRECTION(d->mode[n]) != (to_memory ? TO_MEMORY : FROM_MEMORY))
        return 0;
    while (moved < len && !*terminal) {
        gpa_t at = (gpa_t)d->page[n] << 16 | d->address[n];

        /* What is no memory takes bytes and gives them as the bus without a driver does. */
        if (to_memory)
            dma_write(p, at, buf + moved, 1);
        else if (!dma_read(p, at, buf + moved, 1))
            buf[moved] = 0xff;
        moved++;
        count_down(d, n, terminal);
    }
    return moved;
}

/* ---- registers ------------------------------------------------------------------------------- */

static u8 take_half(struct i8237 *d, unsigned chip, u16 value)
{
    u8 v = (u8)(d->high_byte[chip] ? value >> 8 : value);

    d->high_byte[chip] ^= 1;
    return v;
}

/* A byte goes to the base and the current register; their other bytes stay as they are. */
static void put_half(struct i8237 *d, unsigned chip, u16 *base, u16 *current, u8 value)
{
    unsigned shift = d->high_byte[chip] ? 8 : 0;
    u16 other = (u16)(0xff00 >> shift);

    *base = (u16)((*base & other) | value << shift);
    *current = (u16)((*current & other) | value << shift);
    d->high_byte[chip] ^= 1;
}

static u8 chip_read(struct i8237 *d, unsigned chip, unsigned reg)
{
    unsigned n = chip * 4 + reg / 2;
    u8 v;

    if (reg < 8)
        return take_half(d, chip, reg & 1 ? d->count[n] : d->address[n]);
    if (reg != 8)
        return 0;
    v = d->reached >> 4 * chip & 0x0f; /* status; reading it clears */
    d->reached &= (u8)(chip ? 0x0f : 0xf0);
    return v;
}

static void master_clear(struct i8237 *d, unsigned chip)
{
    d->mask |= (u8)(0x0f << 4 * chip);
    d->reached &= (u8)(chip ? 0x0f : 0xf0);
    d->high_byte[chip] = d->command[chip] = 0;
}

static void chip_write(struct i8237 *d, unsigned chip, unsigned reg, u8 value)
{
    unsigned n = chip * 4 + (reg < 8 ? reg / 2 : value & 3);
    u8 bit = (u8)BIT(n);

    if (reg < 8 && reg & 1) {
        put_half(d, chip, &d->base_count[n], &d->count[n], value);
        return;
    }
    if (reg < 8) {
        put_half(d, chip, &d->base_address[n], &d->address[n], value);
        return;
    }
    switch (reg) {
    case 0x8: d->command[chip] = value; break;
    case 0xa: d->mask = value & 4 ? d->mask | bit : d->mask & (u8)~bit; break;
    case 0xb: d->mode[n] = value & 0xfc; break;
    case 0xc: d->high_byte[chip] = 0; break;
    case 0xd: master_clear(d, chip); break;
    case 0xe: d->mask &= (u8)(chip ? 0x0f : 0xf0); break;
    case 0xf:
        d->mask = (u8)(chip ? (d->mask & 0x0f) | value << 4 : (d->mask & 0xf0) | (value & 0x0f));
        break;
    default: break;
    }
}

/* The first chip's registers are a byte apart, the second's a word. */
static u32 dma_port_read(void *opaque, u16 port, unsigned size)
{
    (void)size;
    return port < 0xc0 ? chip_read(opaque, 0, port & 15) : chip_read(opaque, 1, port >> 1 & 15);
}

static void dma_port_write(void *opaque, u16 port, u32 value, unsigned size)
{
    (void)size;
    if (port < 0xc0)
        chip_write(opaque, 0, port & 15, (u8)value);
    else
        chip_write(opaque, 1, port >> 1 & 15, (u8)value);
}

static const struct io_ops dma_io = {.read = dma_port_read, .write = dma_port_write};

static u32 page_read(void *opaque, u16 port, unsigned size)
{
    const struct i8237 *d = opaque;

    (void)size;
    for (unsigned n = 0; n < I8237_CHANNELS; n++)
        if (page_port[n] == port)
            return d->page[n];
    return 0xff;
}

static void page_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct i8237 *d = opaque;

    (void)size;
    for (unsigned n = 0; n < I8237_CHANNELS; n++)
        if (page_port[n] == port)
            d->page[n] = (u8)value;
}

static const struct io_ops page_io = {.read = page_read, .write = page_write};

/* ---- class ----------------------------------------------------------------------------------- */

static bool i8237_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, 0x00, 16, "dma", &dma_io, d);
    iobus_add(d->env->io, 0xc0, 32, "dma", &dma_io, d);
    for (unsigned n = 0; n < I8237_CHANNELS; n++)
        iobus_add(d->env->io, page_port[n], 1, "dma page", &page_io, d);
    return true;
}

static void i8237_destroy(struct dev *d)
{
    iobus_remove(d->env->io, 0x00, 16, d);
    iobus_remove(d->env->io, 0xc0, 32, d);
    for (unsigned n = 0; n < I8237_CHANNELS; n++)
        iobus_remove(d->env->io, page_port[n], 1, d);
}

static void i8237_reset(struct dev *dev)
{
    struct i8237 *d = (struct i8237 *)dev;

    for (unsigned n = 0; n < I8237_CHANNELS; n++) {
        d->base_address[n] = d->base_count[n] = d->address[n] = d->count[n] = 0;
        d->mode[n] = d->page[n] = 0;
    }
    master_clear(d, 0);
    master_clear(d, 1);
}

static const struct dev_field i8237_fields[] = {
    DEV_FIELD_ARRAY(struct i8237, base_address, 0, 0xffff, "base address"),
    DEV_FIELD_ARRAY(struct i8237, base_count, 0, 0xffff, "base count"),
    DEV_FIELD_ARRAY(struct i8237, address, 0, 0xffff, "address"),
    DEV_FIELD_ARRAY(struct i8237, count, 0, 0xffff, "count"),
    DEV_FIELD_ARRAY(struct i8237, mode, 0, 0xff, "mode"),
    DEV_FIELD_ARRAY(struct i8237, page, 0, 0xff, "page"),
    DEV_FIELD(struct i8237, mask, 0, 0xff, "masked channels"),
    DEV_FIELD(struct i8237, reached, 0, 0xff, "terminal counts reached"),
    DEV_FIELD_ARRAY(struct i8237, high_byte, 0, 1, "byte pointers"),
    DEV_FIELD_ARRAY(struct i8237, command, 0, 0xff, "command"),
    DEV_FIELD_END,
};

const struct dev_class i8237_class = {
    .name = "i8237",
    .doc = "two 8237A DMA controllers",
    .size = sizeof(struct i8237),
    .fields = i8237_fields,
    .init = i8237_init,
    .reset = i8237_reset,
    .destroy = i8237_destroy,
};
