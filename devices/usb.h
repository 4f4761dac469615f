/*
 * usb.h: a USB device of full speed, as a host controller sees it: transactions to its endpoints.
 *
 * A device is a struct that begins with struct usb_device, whose field table has USB_DEVICE_FIELDS,
 * and which calls usb_device_init in init, usb_device_reset in reset and usb_device_destroy in
 * destroy. usb.c answers what all devices are asked at endpoint 0; a struct usb_class has the rest.
 */
#pragma once

#include "devices/device.h"

#define USB_PORTS 2u
#define USB_CONTROL_MAX 256u /* bytes of a control transfer's data */

enum usb_pid { USB_PID_OUT = 0xe1, USB_PID_IN = 0x69, USB_PID_SETUP = 0x2d };

/* What a transaction came to, where it is no number of bytes. */
#define USB_NAK (-1)
#define USB_STALL (-2)

/* bmRequestType and bRequest of the first two bytes of SETUP, as one number. */
#define USB_REQUEST(type, request) ((u16)((type) << 8 | (request)))

struct usb_setup {
    u16 request; /* USB_REQUEST */
    u16 value, index, length;
};

struct usb_device;

struct usb_class {
    const u8 *device;           /* device descriptor */
    const u8 *configuration;    /* with interface, class and endpoint descriptors */
    const char *const *strings; /* from number 1 on, NULL-terminated */
    /* A control request that is not standard, or a standard one for an interface: fills data (up to
     * USB_CONTROL_MAX bytes) and returns how many, or has s->length bytes of it from the host and
     * returns 0; USB_STALL: there is no such request. */
    int (*request)(struct usb_device *d, const struct usb_setup *s, u8 *data);
    /* Data from an endpoint other than 0: up to len bytes, USB_NAK for none now. */
    int (*in)(struct usb_device *d, unsigned endpoint, u8 *data, unsigned len);
};

struct usb_device {
    struct dev dev;
    const struct usb_class *usb;
    unsigned port; /* of env->usb */
    u8 address, configuration;
    u8 next_address; /* of SET_ADDRESS, once its status stage is over */
    u8 setup[8];     /* of the control transfer that goes on */
    u8 data[USB_CONTROL_MAX];
    u16 data_len, data_at;
    bool stalled; /* the control transfer was refused */
    bool halted;  /* endpoint 1 */
};

/* The ports of the root hub. */
struct usb_bus {
    struct usb_device *port[USB_PORTS];
};

/* Plugs into a free port of env->usb. */
bool usb_device_init(struct usb_device *d, const struct usb_class *c, struct err *e);
void usb_device_destroy(struct usb_device *d);
/* Power-on, and the reset that a hub signals. */
void usb_device_reset(struct usb_device *d);
/* A transaction; data has len bytes (SETUP, OUT) or takes up to len (IN). Returns how many were
 * moved, USB_NAK or USB_STALL. */
int usb_transaction(struct usb_device *d, enum usb_pid pid, unsigned endpoint, u8 *data,
                    unsigned len);

#define USB_DEVICE_FIELDS(type)                                                                    \
    DEV_FIELD(type, usb.address, 0, 127, "address"),                                               \
        DEV_FIELD(type, usb.configuration, 0, 1, "configuration"),                                 \
        DEV_FIELD(type, usb.next_address, 0, 127, "address after the status stage"),               \
        DEV_FIELD_ARRAY(type, usb.setup, 0, 0xff, "SETUP of the control transfer"),                \
        DEV_FIELD_ARRAY(type, usb.data, 0, 0xff, "its data"),                                      \
        DEV_FIELD(type, usb.data_len, 0, USB_CONTROL_MAX, "how many there are"),                   \
        DEV_FIELD(type, usb.data_at, 0, USB_CONTROL_MAX, "how many were moved"),                   \
        DEV_FIELD(type, usb.stalled, 0, 1, "it was refused"),                                      \
        DEV_FIELD(type, usb.halted, 0, 1, "endpoint 1 is halted")
