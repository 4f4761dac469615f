/*
 * virtio_serial.c: virtio console device with ports.
 *
 * Specification: VIRTIO 1.2, section 5.3.
 *
 * Not implemented: the size of the console (a stream has none), removal of ports.
 */
#include "devices/virtio_serial.h"

#include "base/bits.h"
#include "devices/backend/chardev.h"

#include <string.h>

#define F_MULTIPORT BIT64(1)
#define F_EMERG_WRITE BIT64(2)

#define CONFIG_BYTES 12u
#define EMERG_WR_AT 8u

enum { CONTROL_RX = 2, CONTROL_TX = 3 };
#define QUEUE_SIZE 128u
#define BYTES_MAX (1 * MIB) /* of one request: a driver does not keep us busy for ever */

/* Control messages (5.3.6.2). */
enum {
    DEVICE_READY,
    PORT_ADD,
    PORT_REMOVE,
    PORT_READY,
    CONSOLE_PORT,
    RESIZE,
    PORT_OPEN,
    PORT_NAME,
};
#define CONTROL_BYTES 8u

static unsigned rx_queue(unsigned port)
{
    return port ? 2 * port + 2 : 0;
}

/* The port of a queue for data; the two for control have none. */
static unsigned port_of(unsigned queue)
{
    return queue < 2 ? 0 : (queue - 2) / 2;
}

static bool multiport(const struct virtio_serial *s)
{
    return virtio_has(&s->virtio, F_MULTIPORT);
}

/* ---- control --------------------------------------------------------------------------------- */

/* One message of what is pending. False: there is no buffer for it. */
static bool tell(struct virtio_serial *s, struct vserial_port *p, unsigned event)
{
    struct virtio *v = &s->virtio;
    struct virtio_chain c;
    u8 message[CONTROL_BYTES];
    size_t name = event == PORT_NAME ? strlen(p->name) : 0;

    if (!virtio_pop(v, CONTROL_RX, &c))
        return false;
    st_le32(message, p->n);
    st_le16(message + 4, (u16)event);
    st_le16(message + 6, 1);
    if (!virtio_write(v, &c, 0, message, sizeof message) ||
        !virtio_write(v, &c, sizeof message, p->name, name)) {
        virtio_broken(v);
        return false;
    }
    virtio_push(v, CONTROL_RX, c.id, c.descriptors, (u32)(sizeof message + name));
    return true;
}

static void tell_pending(struct virtio_serial *s)
{
    static const u8 order[] = {PORT_ADD, CONSOLE_PORT, PORT_NAME, PORT_OPEN};

    for (unsigned n = 0; n < VSERIAL_PORTS; n++)
        for (unsigned i = 0; i < sizeof order; i++) {
            if (!(s->pending[n] & BIT(order[i])) || !s->port[n].bus)
                continue;
            if (!tell(s, &s->port[n], order[i])) {
                virtio_interrupt(&s->virtio, CONTROL_RX);
                return;
            }
            s->pending[n] &= (u8)~BIT(order[i]);
        }
    virtio_interrupt(&s->virtio, CONTROL_RX);
}

static void port_ready(struct virtio_serial *s, const struct vserial_port *p)
{
    s->pending[p->n] |= (u8)((p->console ? BIT(CONSOLE_PORT) : 0) |
                             (p->name && *p->name ? BIT(PORT_NAME) : 0) | BIT(PORT_OPEN));
}

static void message(struct virtio_serial *s, u32 id, u16 event, u16 value)
{
    TRACE(virtio_serial_control, id, event, value);
    if (event == DEVICE_READY) {
        s->ready = value == 1;
        for (unsigned n = 0; s->ready && n < VSERIAL_PORTS; n++)
            s->pending[n] |= s->port[n].bus ? BIT(PORT_ADD) : 0;
        return;
    }
    if (id >= VSERIAL_PORTS || !s->port[id].bus)
        return;
    if (event == PORT_READY && value == 1)
        port_ready(s, &s->port[id]);
    else if (event == PORT_OPEN)
        s->open[id] = value == 1;
}

static void serve_control(struct virtio_serial *s)
{
    struct virtio *v = &s->virtio;
    struct virtio_chain c;

    for (unsigned n = 0; n < QUEUE_SIZE && virtio_pop(v, CONTROL_TX, &c); n++) {
        u8 m[CONTROL_BYTES];

        if (virtio_read(v, &c, 0, m, sizeof m))
            message(s, ld_le32(m), ld_le16(m + 4), ld_le16(m + 6));
        virtio_push(v, CONTROL_TX, c.id, c.descriptors, 0);
    }
    virtio_interrupt(v, CONTROL_TX);
    tell_pending(s);
}

/* ---- data ------------------------------------------------------------------------------------ */

static bool send(struct virtio_serial *s, const struct vserial_port *p,
                 const struct virtio_chain *c)
{
    u8 buf[4096];

    if (c->read_bytes > BYTES_MAX)
        return false;
    for (u64 at = 0; at < c->read_bytes; at += sizeof buf) {
        u64 left = c->read_bytes - at, n = left < sizeof buf ? left : sizeof buf;

        if (!virtio_read(&s->virtio, c, at, buf, n))
            return false;
        if (p->bus && p->chr)
            chardev_put(p->chr, buf, n);
    }
    return true;
}

/* A turn is at most a ring of requests: a driver on another processor may feed it for ever. */
static void serve_tx(struct virtio_serial *s, unsigned queue)
{
    struct virtio *v = &s->virtio;
    struct virtio_chain c;

    for (unsigned n = 0; n < QUEUE_SIZE && virtio_pop(v, queue, &c); n++) {
        if (!send(s, &s->port[port_of(queue)], &c)) {
            virtio_broken(v);
            return;
        }
        virtio_push(v, queue, c.id, c.descriptors, 0);
    }
    virtio_interrupt(v, queue);
}

static bool receives(const struct vserial_port *p)
{
    const struct virtio_serial *s = p->bus;

    return s->virtio.status & VIRTIO_STATUS_DRIVER_OK &&
           (multiport(s) ? p->console || s->open[p->n] : p->n == 0);
}

/* The room in the buffer that is next. */
static size_t can_receive(void *opaque)
{
    struct vserial_port *p = opaque;
    struct virtio *v = &p->bus->virtio;
    unsigned queue = rx_queue(p->n);
    struct virtio_place before = virtio_place(v, queue);
    struct virtio_chain c;

    if (!receives(p) || !virtio_pop(v, queue, &c))
        return 0;
    virtio_rewind(v, queue, before);
    return c.write_bytes < BYTES_MAX ? (size_t)c.write_bytes : BYTES_MAX;
}

static void receive(void *opaque, const u8 *buf, size_t len)
{
    struct vserial_port *p = opaque;
    struct virtio *v = &p->bus->virtio;
    unsigned queue = rx_queue(p->n);
    struct virtio_chain c;

    if (!len || !receives(p) || !virtio_pop(v, queue, &c))
        return;
    if (!virtio_write(v, &c, 0, buf, len)) { /* another than was looked at: the guest's doing */
        virtio_broken(v);
        return;
    }
    virtio_push(v, queue, c.id, c.descriptors, (u32)len);
    virtio_interrupt(v, queue);
}

/* ---- transport ------------------------------------------------------------------------------- */

/* New buffers for reception are found when there is something to receive. */
static void notified(struct virtio *v, unsigned queue)
{
    struct virtio_serial *s = (struct virtio_serial *)v;

    if (queue == CONTROL_RX)
        tell_pending(s);
    else if (queue == CONTROL_TX)
        serve_control(s);
    else if (queue & 1)
        serve_tx(s, queue);
}

static void config(struct virtio *v, u8 image[64])
{
    st_le32(image + 4, ((const struct virtio_serial *)v)->max_ports);
}

static void config_write(struct virtio *v, unsigned off, u8 value)
{
    struct vserial_port *p = &((struct virtio_serial *)v)->port[0];

    if (off == EMERG_WR_AT && p->bus && p->chr)
        chardev_put(p->chr, &value, 1);
}

static void device_reset(struct virtio *v)
{
    struct virtio_serial *s = (struct virtio_serial *)v;

    s->ready = 0;
    memset(s->pending, 0, sizeof s->pending);
    memset(s->open, 0, sizeof s->open);
}

static const struct virtio_ops ops = {
    .notified = notified, .reset = device_reset, .config = config, .config_write = config_write};

/* ---- ports ----------------------------------------------------------------------------------- */

struct vserial_port *vserial_plug(struct virtio_serial *s, int n, bool console, const char *name,
                                  struct chardev *chr, struct err *e)
{
    struct vserial_port *p;

    if (n < 0)
        for (n = !console; n < (int)s->max_ports && s->port[n].bus; n++)
            ;
    if (n >= (int)s->max_ports) {
        err_usage(e, "virtio-serial-pci has %u ports, of which none is left", s->max_ports);
        return NULL;
    }
    if (s->port[n].bus) {
        err_usage(e, "port %d of virtio-serial-pci is there already", n);
        return NULL;
    }
    p = &s->port[n];
    *p = (struct vserial_port){
        .bus = s, .n = (unsigned)n, .console = console, .name = name, .chr = chr};
    if (chr) {
        chr->can_receive = can_receive;
        chr->receive = receive;
        chr->opaque = p;
    }
    return p;
}

void vserial_unplug(struct vserial_port *p)
{
    if (p->chr) {
        p->chr->can_receive = NULL;
        p->chr->receive = NULL;
        p->chr->opaque = NULL;
    }
    *p = (struct vserial_port){0};
}

/* ---- class ----------------------------------------------------------------------------------- */

static bool virtio_serial_init(struct dev *d, struct err *e)
{
    struct virtio_serial *s = (struct virtio_serial *)d;
    struct virtio *v = &s->virtio;

    v->queues = 2 * s->max_ports + 2;
    v->queue_size = QUEUE_SIZE;
    v->config_bytes = CONFIG_BYTES;
    v->features = F_MULTIPORT | F_EMERG_WRITE;
    return virtio_init(v, 3, 0x0780, &ops, e);
}

static void virtio_serial_destroy(struct dev *d)
{
    virtio_destroy((struct virtio *)d);
}

static void virtio_serial_reset(struct dev *d)
{
    virtio_reset((struct virtio *)d);
}

static void virtio_serial_loaded(struct dev *d)
{
    virtio_loaded((struct virtio *)d);
}

static const struct dev_prop virtio_serial_props[] = {
    {"max_ports", PROP_U32, offsetof(struct virtio_serial, max_ports), VSERIAL_PORTS, 1,
     VSERIAL_PORTS, "ports that there may be"},
    DEV_PROP_END,
};

static const struct dev_field virtio_serial_fields[] = {
    VIRTIO_FIELDS(struct virtio_serial),
    DEV_FIELD(struct virtio_serial, ready, 0, 1, "the driver asked for the ports"),
    DEV_FIELD_ARRAY(struct virtio_serial, pending, 0, 0xff, "messages for the driver, by event"),
    DEV_FIELD_ARRAY(struct virtio_serial, open, 0, 1, "open in the guest"),
    DEV_FIELD_END,
};

const struct dev_class virtio_serial_class = {
    .name = "virtio-serial-pci",
    .doc = "virtio console device, for virtconsole and virtserialport",
    .size = sizeof(struct virtio_serial),
    .props = virtio_serial_props,
    .fields = virtio_serial_fields,
    .user_creatable = true,
    .init = virtio_serial_init,
    .reset = virtio_serial_reset,
    .loaded = virtio_serial_loaded,
    .destroy = virtio_serial_destroy,
};
