/*
 * ps2.h: the 8042 keyboard controller of a PC with a keyboard and a mouse.
 *
 *     keyboard --> translation (set 2 to set 1) --+--> output buffer (60h) --> irq1, irq12
 *     mouse --------------------------------------+
 *     output port --> a20, reset
 */
#pragma once

#include "devices/device.h"

#define PS2_QUEUE 16u

/* Bytes that a keyboard or mouse wants to send. */
struct ps2_queue {
    u8 data[PS2_QUEUE];
    u8 head, count;
};

struct ps2_keyboard {
    struct ps2_queue reply; /* answers to commands go first */
    struct ps2_queue keys;
    bool scanning;
    u8 set;  /* scan code set: 1 or 2 */
    u8 leds; /* bit 0 scroll, 1 num, 2 caps lock */
    u8 typematic;
    u8 command;   /* whose argument comes next; 0: none */
    u8 last;      /* byte sent last, for RESEND */
    u8 modifiers; /* HID modifier bits that are down: they change PrtSc and Pause */
};

struct ps2_mouse {
    struct ps2_queue queue;
    bool reporting, remote, wrap, scaling_2_1;
    u8 command; /* whose argument comes next; 0: none */
    u8 id;      /* 0 plain, 3 with wheel, 4 with wheel and five buttons */
    u8 resolution, rate;
    u8 knock[3];                  /* last sample rates set: 200, 100, 80 turns on the wheel */
    u8 buttons, reported_buttons; /* bit 0 left, 1 right, 2 middle, 3 fourth, 4 fifth */
    u8 last;
    s32 dx, dy, dz; /* movement not reported yet; dy is positive upwards */
};

struct ps2 {
    struct dev dev;
    struct irq irq1, irq12;
    struct irq a20;   /* output port bit 1 */
    struct irq reset; /* pulses when the guest asks for a reset */
    u8 ram[32];       /* byte 0 is the command byte */
    u8 command;       /* whose data byte comes next; 0: none */
    u8 output_port;   /* bits 0 (not reset) and 1 (A20) */
    u8 obuf;          /* output buffer */
    bool obf, obuf_from_mouse;
    bool last_was_command;                /* status A2: the last write went to 64h */
    bool reply_pending, reply_from_mouse; /* the controller's own answer waits for the buffer */
    u8 reply;
    bool break_seen; /* translation: F0 was swallowed */
    struct ps2_keyboard keyboard;
    struct ps2_mouse mouse;
};

extern const struct dev_class ps2_class;

/* A key goes down (again, for typematic repeat) or up. `usage` is its number on USB HID's keyboard
 * page (07h): 04h is A, 28h is Enter; numbers without a PS/2 code are ignored. */
void ps2_key(struct ps2 *p, u8 usage, bool down);
/* The mouse moved by (dx, dy) counts, positive to the right and downwards, the wheel by dz notches,
 * positive towards the user; buttons as in struct ps2_mouse. */
void ps2_mouse(struct ps2 *p, int dx, int dy, int dz, unsigned buttons);

/* Between the files of this chip. */
void ps2_queue_clear(struct ps2_queue *q);
/* All of `len` bytes or none. */
bool ps2_queue_put(struct ps2_queue *q, const u8 *bytes, unsigned len);
u8 ps2_queue_get(struct ps2_queue *q);
/* IBM's translation of a set 2 code to set 1. */
u8 ps2_translate(u8 code);
void ps2_keyboard_reset(struct ps2_keyboard *k);
void ps2_keyboard_write(struct ps2_keyboard *k, u8 value);
void ps2_keyboard_key(struct ps2_keyboard *k, u8 usage, bool down);
bool ps2_keyboard_get(struct ps2_keyboard *k, u8 *byte);
void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, u8 value);
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons);
bool ps2_mouse_get(struct ps2_mouse *m, u8 *byte);
