/*
 * chardev.h: a stream of characters between a device (UART, 0xE9, monitor) and the host.
 * Specifications: stdio, file:PATH, pty, null, unix:PATH (listening socket, mode 0600), buffer
 * (memory, for tests).
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct chardev {
    const char *spec;
    /* device to host; never blocks for long; returns len */
    size_t (*write)(struct chardev *c, const u8 *buf, size_t len);
    /* host to device: set by the device. can_receive says how many bytes it takes now. */
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const u8 *buf, size_t len);
    void *opaque;
    /* the event loop polls `fd` for reading (-1: none) and calls poll_in when it is ready and the
     * device can receive */
    int fd;
    void (*poll_in)(struct chardev *c);
    void (*close)(struct chardev *c);
    /* sees everything the device writes: -until, logs */
    void (*tap)(void *opaque, const u8 *buf, size_t len);
    void *tap_opaque;
    void *priv;
};

struct chardev *chardev_open(const char *spec, struct err *e);
void chardev_close(struct chardev *c);
/* For devices: calls tap and write. */
void chardev_put(struct chardev *c, const u8 *buf, size_t len);
