/* iobus.h: the 64 KiB of I/O ports and who answers them. */
#pragma once

#include "base/types.h"

struct io_ops {
    /* size 1, 2, 4; port absolute; bits above size * 8 do not matter */
    u32 (*read)(void *opaque, u16 port, unsigned size);
    /* the value is zero-extended; either handler may be NULL: reads all ones, writes vanish */
    void (*write)(void *opaque, u16 port, u32 value, unsigned size);
    bool wide; /* handles sizes 2 and 4 itself; else wider accesses arrive as bytes, lowest first */
};

struct iobus *iobus_create(void);
void iobus_destroy(struct iobus *b);
/* Later registrations win where they overlap; base, count and opaque identify them for removal. */
void iobus_add(struct iobus *b, u16 base, unsigned count, const char *name,
               const struct io_ops *ops, void *opaque);
void iobus_remove(struct iobus *b, u16 base, unsigned count, void *opaque);
/* Who answers a port; NULL: nobody. */
struct quirks;
const struct quirks *iobus_quirks(const struct iobus *b);
const char *iobus_name(const struct iobus *b, u16 port);
/* Unassigned ports read as all ones; so does what lies beyond port 0xffff. */
u32 iobus_read(struct iobus *b, u16 port, unsigned size);
void iobus_write(struct iobus *b, u16 port, u32 value, unsigned size);
