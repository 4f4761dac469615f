/*
 * chardev_kinds.h: what each kind of stream gives to chardev.c. Not for devices or front ends.
 * An open function fills `c` (zeroed but for spec and fd = -1); `arg` is what follows the prefix.
 */
#pragma once

#include "devices/backend/chardev.h"

bool chardev_open_stdio(struct chardev *c, const char *arg, struct err *e);
bool chardev_open_mon_stdio(struct chardev *c, const char *arg, struct err *e);
bool chardev_open_file(struct chardev *c, const char *arg, struct err *e);
bool chardev_open_pty(struct chardev *c, const char *arg, struct err *e);
bool chardev_open_unix(struct chardev *c, const char *arg, struct err *e);

/* Writes to a non-blocking fd, waiting at most 100 ms in all; what does not go out is dropped.
 * False when the other end is gone. */
bool chardev_write_fd(int fd, const u8 *buf, size_t len);
/* Reads from a non-blocking fd what the device takes now, and gives it to it. False at the end of
 * the stream or on an error. */
bool chardev_read_fd(struct chardev *c, int fd);
