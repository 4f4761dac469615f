/*
 * chardev.h: a stream of characters between a device (UART, 0xE9, monitor) and the host.
 * Specifications: stdio, mon:stdio, file:PATH, pty, null, unix:PATH (listening socket, mode 0600),
 * buffer (memory, for tests and front ends).
 *
 * stdio has the Ctrl-A keys of mux.h when standard input is a terminal; mon:stdio has them always.
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
     * device can receive. `fd` changes when a client comes or goes: read it before each poll. */
    int fd;
    void (*poll_in)(struct chardev *c);
    void (*close)(struct chardev *c);
    /* sees everything the device writes: -until, logs */
    void (*tap)(void *opaque, const u8 *buf, size_t len);
    void *tap_opaque;
    void *priv;
    /* set by the device, may be NULL: the user sent a break (Ctrl-A b); same opaque as receive */
    void (*receive_break)(void *opaque);
    /* set by the front end, may be NULL: the user asked to quit (Ctrl-A x) or nobody reads the
     * output any more. Called on any thread. */
    void (*quit)(void *opaque);
    void *quit_opaque;
    /* What is typed for the monitor (Ctrl-A c), and 1 when it begins, 2 when it ends; -1: this stream
     * has no such keys. monitor_open is set by whoever reads it: without, there is no Ctrl-A c. */
    int monitor_fd;
    bool monitor_open;
    const char *where; /* what to tell the user, e.g. the name of the pty; NULL: nothing */
    int lost_errno;    /* a file did not take everything, and why (disk full); 0: it did */
};

struct chardev *chardev_open(const char *spec, struct err *e);
void chardev_close(struct chardev *c);
/* For devices: calls tap and write. */
void chardev_put(struct chardev *c, const u8 *buf, size_t len);
/* Gives input to the device as if it came from the host; returns how many bytes it took. */
size_t chardev_feed(struct chardev *c, const u8 *buf, size_t len);
/* What was written to a `buffer` so far, at most its first 16 MiB; NUL-terminated. */
const char *chardev_buffer_text(const struct chardev *c, size_t *len);
/* Async-signal-safe: gives the terminal back as it was found, if a stdio is open. */
void chardev_restore_terminal(void);
