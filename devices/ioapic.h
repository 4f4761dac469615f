/*
 * ioapic.h: I/O APIC with 24 pins.
 *
 * Intel 82093AA datasheet (order number 290566), with the EOI register of later parts.
 */
#pragma once

#include "devices/apicbus.h"
#include "devices/device.h"

#define IOAPIC_PINS 24
#define IOAPIC_DEFAULT_BASE 0xfec00000ull

struct ioapic {
    struct dev dev;
    u64 base;          /* property: address of the registers */
    u8 id;             /* IOAPICID bits 27:24 */
    u8 select;         /* IOREGSEL */
    u64 redirection[IOAPIC_PINS];
    u32 level;         /* bit n: pin n is asserted, whatever its polarity */

    /* Sends to the local APICs; false: none accepted, and a level-triggered pin tries again when
     * its entry or its level changes. */
    bool (*deliver)(void *opaque, const struct apic_msg *msg);
    void *opaque;
    struct region *page;
};

extern const struct dev_class ioapic_class;

/* Asserts or releases a pin (active is true for both polarities). Fits struct irq's `set`; n beyond
 * the last pin is ignored. */
void ioapic_set_pin(void *ioapic, unsigned n, bool level);
/* A local APIC has finished the level-triggered interrupt `vector`. */
void ioapic_eoi(struct ioapic *io, u8 vector);
