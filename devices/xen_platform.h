/*
 * xen_platform.h: Xen's platform device, 5853:0001: by it a fully virtualized guest knows that it may
 * load drivers of Xen's, where it may put grant tables, and how it unplugs emulated devices.
 *
 * Xen docs/misc/hvm-emulated-unplug.pandoc; docs/man/xen-pci-device-reservations.7.pod.
 *
 *     BAR0  256 ports, without function
 *     BAR1  16 MiB of addresses without memory
 *     10h   read, 16 bits: 49D2h; write, 16 bits: what to unplug; write, 32 bits: driver's version
 *     12h   read, 8 bits: version of this protocol; write, 16 bits: driver's product number
 */
#pragma once

#include "devices/pci.h"

/* Whom an unplug request reaches. Set by the personality; unplug NULL: there is no such protocol. */
struct xen_platform_hook {
    void (*unplug)(void *opaque, u16 what);
    void *opaque;
};

struct xen_platform {
    struct pci_func pci;
    struct xen_platform_hook hook;
    u32 product, version; /* of the driver, as it told */
};

extern const struct dev_class xen_platform_class;
