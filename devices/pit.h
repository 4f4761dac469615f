/*
 * pit.h: the 8254 interval timer of a PC and the system control port 61h around it.
 *
 *     channel 0: gate high, OUT --> irq0       channel 2: gate = 61h bit 0, OUT = 61h bit 5
 *     channel 1: gate high (memory refresh)    speaker = OUT 2 and 61h bit 1
 *
 * Nothing ticks: a channel is brought up to the present when somebody looks at it.
 */
#pragma once

#include "devices/device.h"

struct pit_channel {
    u64 tick;     /* all CLK pulses up to this one have been applied */
    u32 cr;       /* count register: 1 to 65536 (10000 in BCD) */
    u32 n;        /* the count that CE was last loaded with */
    u32 ce;       /* counting element, in binary also in BCD mode; 0 to n */
    u16 latch;    /* output latch */
    u8 control;   /* the control word, bits 5:0 */
    u8 status;    /* latched status */
    u8 write_lsb; /* first byte of a two-byte count */
    bool gate, out;
    bool counting;            /* CE has been loaded since the control word */
    bool load;                /* the next CLK pulse loads CE from CR */
    bool cr_set;              /* a count has been written since the control word */
    bool null_count;          /* CR is not in CE yet */
    bool expired;             /* modes 0, 1, 4, 5: the terminal count was reached */
    bool write_msb, read_msb; /* the next byte is the high one */
    bool count_latched, status_latched;
};

struct pit {
    struct dev dev;
    struct irq irq0; /* OUT of channel 0 */
    struct pit_channel channel[3];
    u8 port61;          /* bits 3:0 as written */
    bool irq0_disabled; /* HPET legacy replacement took IRQ 0 */
    struct timer timer; /* next change of OUT 0 */
    /* Channel 2 or port 61h was written; set by who listens, may be NULL. */
    void (*speaker_changed)(void *speaker);
    void *speaker;
};

extern const struct dev_class pit_class;

/* OUT of a copy of a channel at a time that is not before the one it was asked for last. */
bool pit_channel_out(struct pit_channel *c, u64 ns);
/* Bit 1 of port 61h: OUT 2 reaches the loudspeaker. */
bool pit_speaker_is_on(const struct pit *p);
/* HPET legacy replacement: level true cuts OUT 0 from irq0. For irq_connect. */
void pit_set_legacy_disabled(void *pit, unsigned n, bool level);
