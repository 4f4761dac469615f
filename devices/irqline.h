/*
 * irqline.h: several sources on one line (wired OR), for lines that are shared: an ISA interrupt
 * that PCI is routed to, A20, the reset request.
 *
 * It is wiring, not a chip: after a state load the sources drive their lines again.
 */
#pragma once

#include "devices/device.h"

struct irqline {
    struct irq out;
    u32 sources; /* bit n: source n drives the line */
};

/* irq_connect(&source, irqline_set, line, n): n is 0 to 31, one number per source. */
static inline void irqline_set(void *line, unsigned n, bool level)
{
    struct irqline *l = line;

    if (level)
        l->sources |= BIT(n & 31);
    else
        l->sources &= ~BIT(n & 31);
    irq_set(&l->out, l->sources != 0);
}
