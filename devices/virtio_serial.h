/*
 * virtio_serial.h: a virtio console device with several ports (-device virtio-serial-pci), and what
 * plugs into it: consoles and ports that carry bytes (virtconsole.c).
 */
#pragma once

#include "devices/virtio.h"

/* Two queues each, and two for control, of the 16 that a device may have. */
#define VSERIAL_PORTS 7u

struct chardev;
struct virtio_serial;

struct vserial_port {
    struct virtio_serial *bus; /* NULL: nothing is plugged in */
    unsigned n;
    bool console;        /* one that the guest has as its console */
    const char *name;    /* NULL: none */
    struct chardev *chr; /* NULL: what comes in goes nowhere */
};

struct virtio_serial {
    struct virtio virtio;
    u32 max_ports; /* property */
    struct vserial_port port[VSERIAL_PORTS];
    /* state */
    u8 ready;                  /* the driver asked for the ports */
    u8 pending[VSERIAL_PORTS]; /* what it is to be told of each (virtio_serial.c) */
    u8 open[VSERIAL_PORTS];    /* somebody in the guest has it open */
};

extern const struct dev_class virtio_serial_class;

/* Plugs a port in, before the guest runs; n is its number, or the first that is free for -1:
 * consoles may be 0, others are not, because old drivers take 0 for a console. NULL: there is none.
 */
struct vserial_port *vserial_plug(struct virtio_serial *s, int n, bool console, const char *name,
                                  struct chardev *chr, struct err *e);
void vserial_unplug(struct vserial_port *p);
