/*
 * endpoint.h: where a gdb, a monitor or a program speaks with us: one client at a time, on a socket
 * of this host or on standard input and output.
 *
 *   tcp:[HOST]:PORT  telnet:[HOST]:PORT  HOST is 127.0.0.1 or localhost, or nothing; PORT 0: any
 *   unix:PATH                            a listening socket of mode 0600
 *   stdio
 */
#pragma once

#include "base/err.h"

struct endpoint {
    const char *what; /* for messages: "gdb" */
    int listener;     /* -1: stdio */
    int in, out;      /* of the client; -1: none */
    bool telnet;      /* its commands are taken out of the input */
    unsigned telnet_skip;
    char *path; /* of a unix socket, removed at the end; NULL: none */
};

/* `what` outlives the endpoint. Port 0 is told on standard error. */
struct endpoint *endpoint_open(const char *what, const char *spec, struct err *e);
void endpoint_close(struct endpoint *p); /* NULL is fine */
/* What is to be polled for reading: the client, or else the listener. */
int endpoint_fd(const struct endpoint *p);
bool endpoint_has_client(const struct endpoint *p);
/* The listener is ready: takes the client. */
bool endpoint_accept(struct endpoint *p);
/* What the client sent, at most `size` bytes, without waiting; 0: nothing; -1: it is gone. */
long endpoint_read(struct endpoint *p, void *buf, size_t size);
/* All of it, within some seconds; else the client is dropped. */
bool endpoint_write(struct endpoint *p, const void *buf, size_t len);
void endpoint_drop(struct endpoint *p);
