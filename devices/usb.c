/*
 * usb.c: what every USB device does at endpoint 0.
 *
 * Specification: Universal Serial Bus 1.1, sections 8.5.2 (control transfers) and 9.3, 9.4
 * (standard requests, descriptors).
 *
 * Not implemented: data toggles are not looked at, as no packet is ever lost; remote wake-up; more
 * than one configuration.
 */
#include "devices/usb.h"

#include "base/bits.h"
#include <string.h>

#define PACKET_MAX 8u /* of endpoint 0 */

/* bmRequestType */
#define TO_HOST 0x80u
#define RECIPIENT(type) ((type)&0x1f)
#define OF_INTERFACE 1u
#define KIND(type) ((type)&0x60)

#define DESCRIPTOR_DEVICE 1
#define DESCRIPTOR_CONFIGURATION 2
#define DESCRIPTOR_STRING 3
#define FEATURE_ENDPOINT_HALT 0
#define LANGUAGE_US 0x0409

/* ---- descriptors ----------------------------------------------------------------------------- */

static int copy(u8 *data, const u8 *from, unsigned len)
{
    memcpy(data, from, len);
    return (int)len;
}

static int get_string(const struct usb_class *c, unsigned n, u8 *data)
{
    unsigned len = 2;

    data[1] = DESCRIPTOR_STRING;
    if (!n) {
        st_le16(data + 2, LANGUAGE_US);
        len = 4;
    } else {
        for (unsigned i = 1; i <= n; i++)
            if (!c->strings[i - 1])
                return USB_STALL;
        for (const char *s = c->strings[n - 1]; *s; s++, len += 2)
            st_le16(data + len, (u8)*s);
    }
    data[0] = (u8)len;
    return (int)len;
}

static int get_descriptor(const struct usb_device *d, u16 value, u8 *data)
{
    const struct usb_class *c = d->usb;

    switch (value >> 8) {
    case DESCRIPTOR_DEVICE: return copy(data, c->device, c->device[0]);
    case DESCRIPTOR_CONFIGURATION:
        return value & 0xff ? USB_STALL
                            : copy(data, c->configuration, ld_le16(c->configuration + 2));
    case DESCRIPTOR_STRING: return get_string(c, value & 0xff, data);
    default: return USB_STALL;
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static int set_configuration(struct usb_device *d, u16 value)
{
    if (value > 1)
        return USB_STALL;
    d->configuration = (u8)value;
    d->halted = false;
    return 0;
}

static int set_halt(struct usb_device *d, const struct usb_setup *s, bool halt)
{
    if (s->value != FEATURE_ENDPOINT_HALT || (s->index & 0x0f) > 1)
        return USB_STALL;
    if (s->index & 0x0f)
        d->halted = halt;
    return 0;
}

static int status(u8 *data, bool bit)
{
    data[0] = bit;
    data[1] = 0;
    return 2;
}

static int one_byte(u8 *data, u8 value)
{
    *data = value;
    return 1;
}

static int standard_request(struct usb_device *d, const struct usb_setup *s, u8 *data)
{
    switch (s->request) {
    case USB_REQUEST(0x80, 0x00): /* GET_STATUS of the device: bus powered, no wake-up */
    case USB_REQUEST(0x81, 0x00): return status(data, false);
    case USB_REQUEST(0x82, 0x00): return status(data, (s->index & 0x0f) == 1 && d->halted);
    case USB_REQUEST(0x02, 0x01): return set_halt(d, s, false);
    case USB_REQUEST(0x02, 0x03): return set_halt(d, s, true);
    case USB_REQUEST(0x00, 0x05): d->next_address = s->value & 0x7f; return 0;
    case USB_REQUEST(0x80, 0x06): return get_descriptor(d, s->value, data);
    case USB_REQUEST(0x80, 0x08): return one_byte(data, d->configuration);
    case USB_REQUEST(0x00, 0x09): return set_configuration(d, s->value);
    case USB_REQUEST(0x81, 0x0a): return one_byte(data, 0); /* the only setting of an interface */
    case USB_REQUEST(0x01, 0x0b): return s->value ? USB_STALL : 0;
    default: return USB_STALL;
    }
}

static struct usb_setup read_setup(const struct usb_device *d)
{
    return (struct usb_setup){.request = USB_REQUEST(d->setup[0], d->setup[1]),
                              .value = ld_le16(d->setup + 2),
                              .index = ld_le16(d->setup + 4),
                              .length = ld_le16(d->setup + 6)};
}

static bool is_to_host(const struct usb_device *d)
{
    return d->setup[0] & TO_HOST;
}

/* The request itself, when its data have come or before they go. */
static void serve(struct usb_device *d)
{
    struct usb_setup s = read_setup(d);
    int n = USB_STALL;

    if (!KIND(d->setup[0]))
        n = standard_request(d, &s, d->data);
    if (n == USB_STALL)
        n = d->usb->request(d, &s, d->data);
    d->stalled = n < 0;
    if (!is_to_host(d) || n < 0)
        return;
    d->data_len = (u16)(n < s.length ? n : s.length);
}

/* ---- control transfers ----------------------------------------------------------------------- */

static int take_setup(struct usb_device *d, const u8 *data, unsigned len)
{
    if (len != sizeof d->setup)
        return USB_STALL;
    memcpy(d->setup, data, sizeof d->setup);
    d->data_len = d->data_at = 0;
    d->next_address = d->address;
    d->stalled = false;
    if (is_to_host(d) || !ld_le16(d->setup + 6))
        serve(d);
    else if (ld_le16(d->setup + 6) > USB_CONTROL_MAX)
        d->stalled = true;
    return (int)len;
}

/* Data to the host, or the status stage of a request that had its data from it. */
static int control_in(struct usb_device *d, u8 *data, unsigned len)
{
    unsigned n = d->data_at < d->data_len ? (unsigned)(d->data_len - d->data_at) : 0;

    if (d->stalled)
        return USB_STALL;
    if (!is_to_host(d)) {
        d->address = d->next_address;
        return 0;
    }
    n = n < len ? n : len;
    n = n < PACKET_MAX ? n : PACKET_MAX;
    memcpy(data, d->data + d->data_at, n);
    d->data_at = (u16)(d->data_at + n);
    return (int)n;
}

static int control_out(struct usb_device *d, const u8 *data, unsigned len)
{
    unsigned wanted = ld_le16(d->setup + 6);

    if (!d->stalled && !is_to_host(d) && len) {
        if (d->data_len + len > wanted || wanted > USB_CONTROL_MAX)
            return USB_STALL;
        memcpy(d->data + d->data_len, data, len);
        d->data_len = (u16)(d->data_len + len);
        if (d->data_len == wanted)
            serve(d);
    }
    return d->stalled ? USB_STALL : (int)len;
}

int usb_transaction(struct usb_device *d, enum usb_pid pid, unsigned endpoint, u8 *data,
                    unsigned len)
{
    if (pid == USB_PID_SETUP)
        return endpoint ? USB_STALL : take_setup(d, data, len);
    if (!endpoint)
        return pid == USB_PID_IN ? control_in(d, data, len) : control_out(d, data, len);
    if (!d->configuration || d->halted || pid != USB_PID_IN)
        return USB_STALL;
    return d->usb->in(d, endpoint, data, len);
}

/* ---- life ------------------------------------------------------------------------------------ */

bool usb_device_init(struct usb_device *d, const struct usb_class *c, struct err *e)
{
    struct usb_bus *bus = d->dev.env->usb;
    const char *name = d->dev.cls->name;

    d->usb = c;
    if (!bus) {
        err_usage(e, "-device %s: this machine has no USB", name);
        return err_hint(e, "add -usb");
    }
    for (d->port = 0; d->port < USB_PORTS; d->port++)
        if (!bus->port[d->port]) {
            bus->port[d->port] = d;
            return true;
        }
    return err_usage(e, "-device %s: both USB ports are taken", name);
}

void usb_device_destroy(struct usb_device *d)
{
    d->dev.env->usb->port[d->port] = NULL;
}

void usb_device_reset(struct usb_device *d)
{
    d->address = d->next_address = d->configuration = 0;
    memset(d->setup, 0, sizeof d->setup);
    memset(d->data, 0, sizeof d->data);
    d->data_len = d->data_at = 0;
    d->stalled = d->halted = false;
}
