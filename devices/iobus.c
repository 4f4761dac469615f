/*
 * iobus.c: the 64 KiB of I/O ports and who answers them.
 *
 * Specification: Intel SDM vol. 1, chapter 19 (I/O port addressing); splitting of accesses that a
 * device does not take whole as ISA bridges do it (bytes, lowest first).
 *
 * Each port points at the range that answers it: 512 KiB of pointers of which a machine touches
 * some pages.
 */
#include "devices/iobus.h"

#include "base/err.h"
#include "base/quirks.h"
#include "base/trace.h"
#include <stdlib.h>

#define PORTS 0x10000u

struct range {
    u32 base, end; /* end is exclusive */
    const char *name;
    const struct io_ops *ops;
    void *opaque;
    struct range *next; /* newest first */
};

struct iobus {
    struct range *owner[PORTS];
    struct range *ranges;
    struct quirks quirks; /* ports that nobody answers */
};

struct iobus *iobus_create(void)
{
    struct iobus *b = calloc(1, sizeof *b);

    BUG_ON(!b);
    return b;
}

void iobus_destroy(struct iobus *b)
{
    if (!b)
        return;
    while (b->ranges) {
        struct range *r = b->ranges;

        b->ranges = r->next;
        free(r);
    }
    free(b);
}

void iobus_add(struct iobus *b, u16 base, unsigned count, const char *name,
               const struct io_ops *ops, void *opaque)
{
    struct range *r = malloc(sizeof *r);

    BUG_ON(!r || !count || base + count > PORTS);
    *r = (struct range){base, base + count, name, ops, opaque, b->ranges};
    b->ranges = r;
    for (u32 port = r->base; port < r->end; port++)
        b->owner[port] = r;
}

const struct quirks *iobus_quirks(const struct iobus *b)
{
    return &b->quirks;
}

static struct range *newest_range_at(const struct iobus *b, u32 port)
{
    for (struct range *r = b->ranges; r; r = r->next)
        if (port >= r->base && port < r->end)
            return r;
    return NULL;
}

void iobus_remove(struct iobus *b, u16 base, unsigned count, void *opaque)
{
    for (struct range **p = &b->ranges; *p; p = &(*p)->next) {
        struct range *r = *p;

        if (r->base != base || r->end != base + count || r->opaque != opaque)
            continue;
        *p = r->next;
        for (u32 port = r->base; port < r->end; port++)
            if (b->owner[port] == r)
                b->owner[port] = newest_range_at(b, port);
        free(r);
        return;
    }
}

const char *iobus_name(const struct iobus *b, u16 port)
{
    return b->owner[port] ? b->owner[port]->name : NULL;
}

/* A range takes an access whole when it starts at a port that the range answers and fits in the
 * range, even where later ranges lie over the following ports: a doubleword at 0xCF8 is the PCI
 * configuration address although the byte at 0xCF9 is the reset control register. */
static struct range *taker(const struct iobus *b, u32 port, unsigned size)
{
    struct range *r = port < PORTS ? b->owner[port] : NULL;

    return r && (size == 1 || (r->ops->wide && port + size <= r->end)) ? r : NULL;
}

/*T:330 Who answers a port
 *
 * The bus finds the device that claimed the port. An access of two or four bytes that no device
 * takes as a whole is split, as an ISA bus does: half may belong to one chip and half to another.
 */
static u32 read_at(struct iobus *b, u32 port, unsigned size)
{
    struct range *r = taker(b, port, size);
    u32 low, high;

    if (r)
        return r->ops->read ? r->ops->read(r->opaque, (u16)port, size) : 0xffffffffu;
    if (size == 1) {
        quirk_note(&b->quirks, QUIRK_PORT, port);
        TRACE(pio_unassigned, "in", port, size, 0xffu);
        return 0xff;
    }
    size /= 2;
    low = read_at(b, port, size) & (u32)((1ull << size * 8) - 1);
    high = read_at(b, port + size, size);
    return low | high << size * 8;
}

static void write_at(struct iobus *b, u32 port, u32 value, unsigned size)
{
    struct range *r = taker(b, port, size);

    if (r) {
        if (r->ops->write)
            r->ops->write(r->opaque, (u16)port, value, size);
    } else if (size == 1) {
        quirk_note(&b->quirks, QUIRK_PORT, port);
        TRACE(pio_unassigned, "out", port, size, value & 0xff);
    } else {
        size /= 2;
        write_at(b, port, value & (u32)((1ull << size * 8) - 1), size);
        write_at(b, port + size, value >> size * 8, size);
    }
}

u32 iobus_read(struct iobus *b, u16 port, unsigned size)
{
    return read_at(b, port, size) & (u32)((1ull << size * 8) - 1);
}

void iobus_write(struct iobus *b, u16 port, u32 value, unsigned size)
{
    write_at(b, port, value & (u32)((1ull << size * 8) - 1), size);
}
