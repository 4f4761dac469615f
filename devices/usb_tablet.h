/* usb_tablet.h: a USB tablet: a pointing device that says where the pointer is, not how it moved.
 */
#pragma once

#include "devices/usb.h"

#define USB_TABLET_MAX 0x7fffu /* coordinates of the right and lower edge */
#define USB_TABLET_QUEUE 16u

#define USB_TABLET_REPORT 6u /* bytes: buttons, X, Y, wheel */

struct usb_tablet {
    struct usb_device usb;
    /* Reports that wait. */
    u16 x[USB_TABLET_QUEUE], y[USB_TABLET_QUEUE];
    u8 buttons[USB_TABLET_QUEUE];
    s8 wheel[USB_TABLET_QUEUE]; /* notches away from the user */
    u8 head, count;
    u8 last[USB_TABLET_REPORT]; /* the one that went last */
    u8 idle, protocol; /* as set; there is one protocol, and reports go when something changed */
};

extern const struct dev_class usb_tablet_class;

/* The pointer is at (x, y), the wheel was turned by dz notches towards the user;
 * buttons: bit 0 left, 1 right, 2 middle. */
void usb_tablet_place(struct usb_tablet *t, unsigned x, unsigned y, int dz, unsigned buttons);
/* Has the guest set it up? */
bool usb_tablet_is_used(const struct usb_tablet *t);
