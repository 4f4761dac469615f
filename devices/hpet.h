/*
 * hpet.h: high precision event timers: one 64-bit counter of 100 MHz, three comparators.
 *
 * IA-PC HPET specification 1.0a (Intel, October 2004).
 */
#pragma once

#include "devices/device.h"

#define HPET_TIMERS 3
#define HPET_BASE 0xfed00000ull
#define HPET_PERIOD_FS 10000000u /* of the main counter: 10 ns */
#define HPET_ROUTES 32

struct hpet {
    struct dev dev;
    u32 route_cap;     /* property: inputs of the I/O APIC that a comparator may use */

    u64 config;        /* GEN_CONF */
    u32 status;        /* GINTR_STA */
    u64 counter;       /* main counter while it is halted, or at base_ns */
    u64 base_ns;       /* when it was enabled at `counter` */
    u64 timer_config[HPET_TIMERS]; /* the writable bits of Tn_CONF */
    u64 comparator[HPET_TIMERS];   /* where the next match is */
    u64 period[HPET_TIMERS];       /* periodic mode: added at every match */
    bool line[HPET_TIMERS];        /* the interrupt as it stands now */

    struct timer alarm[HPET_TIMERS];
    struct hpet_alarm {
        struct hpet *hpet;
        unsigned n;
    } alarm_of[HPET_TIMERS];

    struct irq route[HPET_ROUTES]; /* to input n of the I/O APIC */
    struct irq legacy_irq[2];      /* comparator 0 as IRQ 0 (PIT), comparator 1 as IRQ 8 (RTC) */
    struct irq legacy_on;          /* high: the board keeps PIT and RTC off those lines */
    struct region *page;
};

extern const struct dev_class hpet_class;
