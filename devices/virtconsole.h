/* virtconsole.h: ports of virtio-serial-pci: -device virtconsole,chardev=ID (hvc0 ... in Linux) and
 * -device virtserialport,chardev=ID,name=NAME (/dev/virtio-ports/NAME). */
#pragma once

#include "devices/virtio_serial.h"

struct virtconsole {
    struct dev dev;
    char *chardev_id, *name; /* properties */
    u32 nr;
    struct vserial_port *port;
};

extern const struct dev_class virtconsole_class, virtserialport_class;
