/*
 * pic.h: the two cascaded 8259A programmable interrupt controllers of a PC, with the edge/level
 * control registers of the PIIX.
 *
 *     IRQ 0,1,3..7 --> master --> intr (to the CPU, or to LINT0 of a local APIC)
 *     IRQ 8..15 --> slave --> IR2 of the master
 */
#pragma once

#include "devices/device.h"

struct pic_chip {
    u8 lines; /* input lines as last driven */
    u8 edge;  /* edge sense latches: risen since the last acknowledge or ICW1 */
    u8 imr, isr;
    u8 elcr;      /* 1: level triggered */
    u8 base;      /* vector of IR0: ICW2 bits 7:3 */
    u8 lowest;    /* the input of lowest priority; 7 after ICW1 */
    u8 init_step; /* ICW expected next: 0 none, 2, 3, 4 */
    bool single;  /* ICW1.SNGL: no ICW3 */
    bool icw4;    /* ICW1.IC4: ICW4 follows */
    bool aeoi, rotate_aeoi;
    bool fully_nested; /* ICW4.SFNM: special fully nested mode */
    bool special_mask;
    bool read_isr; /* OCW3: port 0 reads ISR instead of IRR */
    bool poll;     /* OCW3.P: the next read is a poll */
};

struct pic {
    struct dev dev;
    struct irq intr;         /* level: an interrupt waits for pic_ack */
    struct pic_chip chip[2]; /* master, slave */
};

extern const struct dev_class pic_class;

/* Drives ISA interrupt line n (0 to 15; 2 is the cascade and ignored). For irq_connect. */
void pic_set_irq(void *pic, unsigned n, bool level);
/* The CPU's acknowledge cycle: the vector. A request that went away gives IR7's (spurious). */
int pic_ack(struct pic *pic);
/* What pic_ack would find: something waits. */
bool pic_has_intr(const struct pic *pic);
