/* chardev_file.c: file:PATH: what the guest writes goes to a file; there is no input. */
#include "devices/backend/chardev_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* A file or a device takes data at once; where it does not (disk full), the guest's UART cannot be
 * told, and the rest is dropped as a line with nobody at its end drops it. The user is told at the
 * end of the run. */
static size_t file_write(struct chardev *c, const u8 *buf, size_t len)
{
    if (!chardev_write_fd((int)(intptr_t)c->priv, buf, len) && !c->lost_errno)
        c->lost_errno = errno;
    return len;
}

static void file_close(struct chardev *c)
{
    close((int)(intptr_t)c->priv);
}

bool chardev_open_file(struct chardev *c, const char *arg, struct err *e)
{
    int fd = open(arg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);

    if (fd < 0) {
        err_host(e, "%s: cannot be written: %s", arg, strerror(errno));
        if (errno == ENXIO)
            err_hint(e, "a FIFO needs its reader first");
        return false;
    }
    c->priv = (void *)(intptr_t)fd;
    c->write = file_write;
    c->close = file_close;
    return true;
}
