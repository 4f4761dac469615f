/*
 * apicbus.c: which APICs a message is for, and lowest-priority arbitration.
 *
 * Not here: what an APIC does with a message (lapic.c, ioapic.c).
 *
 * Specification: Intel SDM vol. 3A 10.6.2 "Determining IPI Destination", 10.11 "Message Signalled
 * Interrupts", 10.12.9 "ICR Operation in x2APIC Mode".
 *
 * Not implemented: focus processors (Pentium and P6 only), interrupt remapping.
 */
#include "devices/apicbus.h"
#include "base/err.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"

void apic_bus_init(struct apic_bus *bus)
{
    *bus = (struct apic_bus){ 0 };
}

void apic_bus_add_cpu(struct apic_bus *bus, struct lapic *l)
{
    BUG_ON(bus->cpus >= APIC_BUS_CPUS);
    bus->cpu[bus->cpus++] = l;
    l->bus = bus;
}

void apic_bus_add_ioapic(struct apic_bus *bus, struct ioapic *io)
{
    BUG_ON(bus->ioapics >= APIC_BUS_IOAPICS);
    bus->ioapic[bus->ioapics++] = io;
}

static bool is_for(const struct lapic *l, const struct lapic *from, const struct apic_msg *msg)
{
    switch (msg->shorthand) {
    case APIC_TO_SELF: return l == from;
    case APIC_TO_ALL: return true;
    case APIC_TO_OTHERS: return l != from;
    default: return lapic_is_dest(l, msg);
    }
}

/* SDM 10.6.2.4: one receiver, the one whose arbitration priority is lowest; equals take turns. */
static unsigned send_lowest(struct apic_bus *bus, struct lapic *from, const struct apic_msg *msg)
{
    struct lapic *best = NULL;
    unsigned best_n = 0;

    for (unsigned i = 0; i < bus->cpus; i++) {
        unsigned n = (bus->lowest_next + i) % bus->cpus;
        struct lapic *l = bus->cpu[n];
        if (!is_for(l, from, msg) || !lapic_is_software_enabled(l))
            continue;
        if (!best || lapic_arbitration_priority(l) < lapic_arbitration_priority(best)) {
            best = l;
            best_n = n;
        }
    }
    if (!best)
        return 0;
    bus->lowest_next = (best_n + 1) % bus->cpus;
    return lapic_accept(best, msg->mode, msg->vector, msg->level);
}

unsigned apic_bus_send(struct apic_bus *bus, struct lapic *from, const struct apic_msg *msg)
{
    unsigned accepted = 0;

    if (msg->mode == APIC_LOWEST)
        return send_lowest(bus, from, msg);
    for (unsigned i = 0; i < bus->cpus; i++)
        if (is_for(bus->cpu[i], from, msg))
            accepted += lapic_accept(bus->cpu[i], msg->mode, msg->vector, msg->level);
    return accepted;
}

unsigned apic_bus_msi(struct apic_bus *bus, u32 address, u32 data)
{
    /* The redirection hint (bit 3) chooses among several; what the destination means is the mode's
     * business with and without it: Linux sends logical destinations without the hint. */
    struct apic_msg msg = {
        .dest = (address >> 12) & 0xff,
        .logical = address & BIT(2),
        .mode = (data >> 8) & 7,
        .vector = (u8)data,
        .level = data & BIT(15),
    };

    if (msg.level && !(data & BIT(14))) /* deassertion of a level: nothing to deliver */
        return 0;
    return apic_bus_send(bus, NULL, &msg);
}

void apic_bus_eoi(struct apic_bus *bus, u8 vector)
{
    for (unsigned i = 0; i < bus->ioapics; i++)
        ioapic_eoi(bus->ioapic[i], vector);
}
