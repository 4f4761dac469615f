/* i8237.h: the two 8237A DMA controllers of a PC, with their page registers. */
#pragma once

#include "devices/device.h"

#define I8237_CHANNELS 8u /* 0 to 3 move bytes, 5 to 7 words; 4 joins the two chips */

struct i8237 {
    struct dev dev;
    u16 base_address[I8237_CHANNELS], base_count[I8237_CHANNELS];
    u16 address[I8237_CHANNELS], count[I8237_CHANNELS];
    u8 mode[I8237_CHANNELS], page[I8237_CHANNELS];
    u8 mask, reached; /* bit n: channel n is masked, has reached its terminal count */
    u8 high_byte[2];  /* the byte pointer of each chip */
    u8 command[2];
};

extern const struct dev_class i8237_class;

/* A device on a channel of bytes (0 to 3) moves up to len of them. Returns how many: fewer when the
 * channel is masked or goes the other way, or when its count ends, upon which *terminal is set. */
u32 i8237_move(struct i8237 *d, unsigned channel, u8 *buf, u32 len, bool to_memory, bool *terminal);
