/*
 * uart.h: the PC16550D serial port (16550A).
 */
#pragma once

#include "devices/backend/chardev.h"
#include "devices/device.h"

#define UART_FIFO 16u

struct uart {
    struct dev dev;
    struct irq irq;      /* INTR, whatever MCR.OUT2 says */
    u32 iobase;          /* property */
    struct chardev *chr; /* NULL: nothing is plugged in */
    u8 ier, fcr, lcr, mcr, lsr, msr, scr;
    u16 divisor;
    bool thre_pending;                     /* the THRE interrupt was not taken note of yet */
    bool timeout_pending;                  /* character timeout */
    u8 rx[UART_FIFO], rx_error[UART_FIFO]; /* receiver FIFO: bytes, and their LSR error bits */
    u8 rx_head, rx_count;
    u8 rbr;         /* what RBR reads when the receiver is empty */
    u64 timeout_ns; /* when the character timeout comes; CLOCK_NEVER */
    struct timer timer;
};

extern const struct dev_class uart_class;

/* Plugs the serial line into a stream; NULL unplugs it. The board calls it after creation. */
void uart_set_chardev(struct uart *u, struct chardev *chr);
/* A break condition arrives on the line. */
void uart_break(struct uart *u);
