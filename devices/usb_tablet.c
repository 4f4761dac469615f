/*
 * usb_tablet.c: a USB tablet with three buttons and a wheel.
 *
 * Specification: Device Class Definition for Human Interface Devices 1.11 (6.2.1, 6.2.2, 7.2); HID
 * Usage Tables 1.12 (generic desktop page). Identity 0627:0001, by which systems know the tablet of
 * virtual machines and leave its coordinates alone.
 *
 * Not implemented: idle rates other than "when something changed" (kept, for who asks).
 */
#include "devices/usb_tablet.h"

#include "base/bits.h"
#include <string.h>

#define DESCRIPTOR_HID 0x21
#define DESCRIPTOR_REPORT 0x22

/* clang-format off */
static const u8 report_descriptor[] = {
    0x05, 0x01,             /* usage page: generic desktop */
    0x09, 0x02,             /* usage: mouse */
    0xa1, 0x01,             /* collection: application */
    0x09, 0x01,             /*   usage: pointer */
    0xa1, 0x00,             /*   collection: physical */
    0x05, 0x09,             /*     usage page: buttons */
    0x19, 0x01, 0x29, 0x03, /*     1 to 3 */
    0x15, 0x00, 0x25, 0x01,
    0x95, 0x03, 0x75, 0x01,
    0x81, 0x02,             /*     input: three bits */
    0x95, 0x01, 0x75, 0x05,
    0x81, 0x01,             /*     input: five bits that say nothing */
    0x05, 0x01,             /*     usage page: generic desktop */
    0x09, 0x30, 0x09, 0x31, /*     X, Y */
    0x15, 0x00, 0x26, 0xff, 0x7f,
    0x35, 0x00, 0x46, 0xff, 0x7f,
    0x75, 0x10, 0x95, 0x02,
    0x81, 0x02,             /*     input: two absolute words, 0 to 7FFFh */
    0x09, 0x38,             /*     wheel */
    0x15, 0x81, 0x25, 0x7f,
    0x35, 0x00, 0x45, 0x00,
    0x75, 0x08, 0x95, 0x01,
    0x81, 0x06,             /*     input: a relative byte */
    0xc0, 0xc0,
};

static const u8 device_descriptor[18] = {
    18, 1, 0x10, 0x01,  /* USB 1.1 */
    0, 0, 0, 8,         /* class is the interface's; packets of endpoint 0 */
    0x27, 0x06, 0x01, 0x00, 0x00, 0x01, /* vendor, product, release */
    1, 2, 0, 1,         /* strings; one configuration */
};

#define HID_DESCRIPTOR_AT 18
static const u8 configuration_descriptor[] = {
    9, 2, 34, 0, 1, 1, 0, 0x80, 50,         /* one interface; powered by the bus, 100 mA */
    9, 4, 0, 0, 1, 3, 0, 0, 0,              /* interface 0: one endpoint, HID */
    9, DESCRIPTOR_HID, 0x11, 0x01, 0, 1, DESCRIPTOR_REPORT, sizeof report_descriptor, 0,
    7, 5, 0x81, 3, 8, 0, 8,                 /* endpoint 1 in: interrupt, 8 bytes, every 8 ms */
};
/* clang-format on */
_Static_assert(sizeof configuration_descriptor == 34, "wTotalLength");

static const char *const strings[] = {"Parallax", "USB Tablet", NULL};

/* ---- reports --------------------------------------------------------------------------------- */

/* Movements replace each other, a change of buttons is a report of its own. */
void usb_tablet_place(struct usb_tablet *t, unsigned x, unsigned y, int dz, unsigned buttons)
{
    unsigned n = (t->head + t->count - 1u) % USB_TABLET_QUEUE; /* the last that waits */
    int wheel = -dz;

    if (!usb_tablet_is_used(t))
        return;
    if (t->count && (t->buttons[n] == (buttons & 7) || t->count == USB_TABLET_QUEUE)) {
        wheel += t->wheel[n];
    } else {
        n = (n + 1) % USB_TABLET_QUEUE;
        t->count++;
    }
    t->x[n] = (u16)(x < USB_TABLET_MAX ? x : USB_TABLET_MAX);
    t->y[n] = (u16)(y < USB_TABLET_MAX ? y : USB_TABLET_MAX);
    t->buttons[n] = buttons & 7;
    t->wheel[n] = (s8)(wheel < -127 ? -127 : wheel > 127 ? 127 : wheel);
}

bool usb_tablet_is_used(const struct usb_tablet *t)
{
    return t->usb.configuration;
}

static void take_report(struct usb_tablet *t)
{
    unsigned n = t->head;

    t->last[0] = t->buttons[n];
    st_le16(t->last + 1, t->x[n]);
    st_le16(t->last + 3, t->y[n]);
    t->last[5] = (u8)t->wheel[n];
    t->head = (u8)((n + 1) % USB_TABLET_QUEUE);
    t->count--;
}

static int tablet_in(struct usb_device *d, unsigned endpoint, u8 *data, unsigned len)
{
    struct usb_tablet *t = (struct usb_tablet *)d;

    if (endpoint != 1)
        return USB_STALL;
    if (!t->count)
        return USB_NAK;
    take_report(t);
    len = len < USB_TABLET_REPORT ? len : USB_TABLET_REPORT;
    memcpy(data, t->last, len);
    t->last[5] = 0; /* the wheel does not turn again for who asks for it at endpoint 0 */
    return (int)len;
}

static int tablet_request(struct usb_device *d, const struct usb_setup *s, u8 *data)
{
    struct usb_tablet *t = (struct usb_tablet *)d;

    switch (s->request) {
    case USB_REQUEST(0x81, 0x06): /* GET_DESCRIPTOR of the interface */
        if (s->value >> 8 == DESCRIPTOR_REPORT) {
            memcpy(data, report_descriptor, sizeof report_descriptor);
            return sizeof report_descriptor;
        }
        if (s->value >> 8 != DESCRIPTOR_HID)
            return USB_STALL;
        memcpy(data, configuration_descriptor + HID_DESCRIPTOR_AT, 9);
        return 9;
    case USB_REQUEST(0xa1, 0x01): /* GET_REPORT */
        memcpy(data, t->last, USB_TABLET_REPORT);
        return USB_TABLET_REPORT;
    case USB_REQUEST(0xa1, 0x02): data[0] = t->idle; return 1;
    case USB_REQUEST(0xa1, 0x03): data[0] = t->protocol; return 1;
    case USB_REQUEST(0x21, 0x0a): t->idle = (u8)(s->value >> 8); return 0;
    case USB_REQUEST(0x21, 0x0b): t->protocol = s->value & 1; return 0;
    default: return USB_STALL;
    }
}

/* ---- class ----------------------------------------------------------------------------------- */

static const struct usb_class tablet_usb = {
    .device = device_descriptor,
    .configuration = configuration_descriptor,
    .strings = strings,
    .request = tablet_request,
    .in = tablet_in,
};

static bool usb_tablet_init(struct dev *d, struct err *e)
{
    return usb_device_init((struct usb_device *)d, &tablet_usb, e);
}

static void usb_tablet_destroy(struct dev *d)
{
    usb_device_destroy((struct usb_device *)d);
}

static void usb_tablet_reset(struct dev *d)
{
    struct usb_tablet *t = (struct usb_tablet *)d;

    usb_device_reset(&t->usb);
    memset(t->x, 0, sizeof t->x);
    memset(t->y, 0, sizeof t->y);
    memset(t->buttons, 0, sizeof t->buttons);
    memset(t->wheel, 0, sizeof t->wheel);
    memset(t->last, 0, sizeof t->last);
    t->head = t->count = t->idle = 0;
    t->protocol = 1;
}

static const struct dev_field usb_tablet_fields[] = {
    USB_DEVICE_FIELDS(struct usb_tablet),
    DEV_FIELD_ARRAY(struct usb_tablet, x, 0, USB_TABLET_MAX, "X of reports that wait"),
    DEV_FIELD_ARRAY(struct usb_tablet, y, 0, USB_TABLET_MAX, "Y"),
    DEV_FIELD_ARRAY(struct usb_tablet, buttons, 0, 7, "buttons"),
    DEV_FIELD_ARRAY(struct usb_tablet, wheel, 0, 0xff, "wheel"),
    DEV_FIELD_ARRAY(struct usb_tablet, last, 0, 0xff, "the last report"),
    DEV_FIELD(struct usb_tablet, head, 0, USB_TABLET_QUEUE - 1, "first report"),
    DEV_FIELD(struct usb_tablet, count, 0, USB_TABLET_QUEUE, "number of reports"),
    DEV_FIELD(struct usb_tablet, idle, 0, 0xff, "idle rate"),
    DEV_FIELD(struct usb_tablet, protocol, 0, 1, "protocol"),
    DEV_FIELD_END,
};

const struct dev_class usb_tablet_class = {
    .name = "usb-tablet",
    .doc = "USB tablet: the pointer's place, three buttons, wheel; needs -usb",
    .size = sizeof(struct usb_tablet),
    .fields = usb_tablet_fields,
    .user_creatable = true,
    .init = usb_tablet_init,
    .reset = usb_tablet_reset,
    .destroy = usb_tablet_destroy,
};
