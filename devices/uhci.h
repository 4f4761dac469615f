/*
 * uhci.h: USB host controller of the PIIX3, 00:01.2, with its root hub of two ports.
 *
 * Nothing happens between frames: once a millisecond, while the guest lets it run, the controller
 * walks one entry of the frame list.
 */
#pragma once

#include "devices/pci.h"
#include "devices/usb.h"

struct uhci {
    struct pci_func pci;
    struct usb_bus bus; /* env->usb of devices */
    u16 command, status, interrupts;
    u16 frame;      /* number of the frame that comes next, 11 bits */
    u32 frame_list; /* its address */
    u8 sof_modify;
    u16 port[USB_PORTS];
    bool interrupt_on_completion, interrupt_on_short; /* why USBINT is set */
    u64 next_ns;                                      /* when the next frame begins, if it runs */
    struct timer timer;
};

extern const struct dev_class uhci_class;
