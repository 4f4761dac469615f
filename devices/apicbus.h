/*
 * apicbus.h: the wire between local APICs, I/O APICs and MSI sources: messages and whom they reach.
 *
 * Intel SDM vol. 3A 10.6 (destinations), 10.11 (message signalled interrupts), 10.12 (x2APIC).
 */
#pragma once

#include "base/types.h"

#define APIC_BUS_CPUS 64
#define APIC_BUS_IOAPICS 8

/* Delivery modes: the encoding that ICR, LVT, redirection entries and MSI data share. */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_REMOTE_READ = 3, /* reserved since the Pentium 4 */
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};

enum apic_shorthand { APIC_TO_DEST, APIC_TO_SELF, APIC_TO_ALL, APIC_TO_OTHERS };

struct apic_msg {
    u32 dest;
    bool wide;    /* dest has 32 bits (sent in x2APIC mode); else 8 */
    bool logical; /* dest is a logical address */
    u8 mode;      /* enum apic_mode */
    u8 vector;
    bool level;   /* level-triggered: the receiver broadcasts its EOI */
    u8 shorthand; /* enum apic_shorthand; other than APIC_TO_DEST only from a local APIC */
};

struct lapic;
struct ioapic;

struct apic_bus {
    struct lapic *cpu[APIC_BUS_CPUS];
    unsigned cpus;
    struct ioapic *ioapic[APIC_BUS_IOAPICS];
    unsigned ioapics;
    unsigned lowest_next; /* where the search of the next lowest-priority arbitration starts */
    /* Whose access to the APIC page runs now: an index of cpu[]. NULL: there is one CPU. */
    unsigned (*current)(void *opaque);
    void *opaque;
};

void apic_bus_init(struct apic_bus *bus);
/* Both BUG_ON when the bus is full. */
void apic_bus_add_cpu(struct apic_bus *bus, struct lapic *l);
void apic_bus_add_ioapic(struct apic_bus *bus, struct ioapic *io);

/* Delivers to every APIC that the message is for; returns how many accepted it. `from` is the
 * sending local APIC, NULL for other sources. */
unsigned apic_bus_send(struct apic_bus *bus, struct lapic *from, const struct apic_msg *msg);
/* A write of `data` to an address in FEE0_0000-FEEF_FFFF by a device (SDM 10.11); returns how many
 * accepted it. */
unsigned apic_bus_msi(struct apic_bus *bus, u32 address, u32 data);
/* A local APIC finished a level-triggered interrupt: every I/O APIC looks at its remote IRRs. */
void apic_bus_eoi(struct apic_bus *bus, u8 vector);
