/* iobus.h: the 64 KiB of I/O ports and who answers them. */
#pragma once

#include "base/types.h"

struct io_ops {
    u32 (*read)(void *opaque, u16 port, unsigned size);   /* size 1, 2, 4; port absolute */
    void (*write)(void *opaque, u16 port, u32 value, unsigned size);
    bool wide; /* handles sizes 2 and 4 itself; else wider accesses arrive as bytes, lowest first */
};

struct iobus *iobus_create(void);
void iobus_destroy(struct iobus *b);
/* Later registrations win where they overlap; opaque identifies them for removal. */
void iobus_add(struct iobus *b, u16 base, unsigned count, const char *name, const struct io_ops *ops, void *opaque);
void iobus_remove(struct iobus *b, u16 base, unsigned count, void *opaque);
/* Unassigned ports read as all ones. */
u32 iobus_read(struct iobus *b, u16 port, unsigned size);
void iobus_write(struct iobus *b, u16 port, u32 value, unsigned size);
