/*
 * hyperv_port.c: connections of the Hyper-V personality: messages that a guest posts and events
 * that it signals to itself. With one partition there is nobody else, so connections are made by
 * the guest, at I/O port 3000h as with the device that kvm-unit-tests brings along: a doubleword
 * with the connection in bits 31:24, what to do in 23:16, the processor in 15:8, the source in 7:0.
 *
 * Specification: TLFS HvCallPostMessage, HvCallSignalEvent, "Ports and Connections".
 *
 * Not implemented: creation of ports and connections by hypercalls, which take privileges of a
 * parent partition.
 */
#include "base/bits.h"
#include "devices/iobus.h"
#include "pv/hyperv.h"

#define TEST_PORT 0x3000u

enum test_command {
    ROUTE_CREATE = 1,
    ROUTE_DESTROY,
    ROUTE_SET,
    MESSAGE_CREATE,
    MESSAGE_DESTROY,
    EVENT_CREATE,
    EVENT_DESTROY,
};

/* ---- making connections ---------------------------------------------------------------------- */

static void test_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pv_hyperv *h = opaque;
    struct hv_port *p = &h->port[value >> 24];
    unsigned vp = value >> 8 & 0xff, sint = value & 0xff;

    (void)port;
    if (size != 4 || vp >= h->pv.env.cpus || sint >= HV_SINTS)
        return;
    switch (value >> 16 & 0xff) {
    case ROUTE_SET: hv_synic_interrupt(&h->vcpu[vp], sint); break;
    case MESSAGE_CREATE: *p = (struct hv_port){HV_PORT_MESSAGE, vp, sint}; break;
    case EVENT_CREATE: *p = (struct hv_port){HV_PORT_EVENT, vp, sint}; break;
    case MESSAGE_DESTROY:
    case EVENT_DESTROY: p->kind = HV_PORT_NONE; break;
    default: break; /* routes need no making */
    }
}

static const struct io_ops test_ops = {NULL, test_write, true};

void hv_port_attach(struct pv_hyperv *h)
{
    memset(h->port, 0, sizeof h->port);
    if (!h->alive && h->pv.env.io && pv_has(&h->pv, HV_F_CONNECTIONS))
        iobus_add(h->pv.env.io, TEST_PORT, 4, "hyperv connections", &test_ops, h);
}

void hv_port_detach(struct pv_hyperv *h)
{
    if (h->pv.env.io && pv_has(&h->pv, HV_F_CONNECTIONS))
        iobus_remove(h->pv.env.io, TEST_PORT, 4, h);
}

/* ---- using them ------------------------------------------------------------------------------ */

static enum hv_status find_port(struct pv_hyperv *h, u32 connection, int kind, struct hv_port **p)
{
    if (connection >= HV_CONNECTIONS || h->port[connection].kind == HV_PORT_NONE)
        return HV_INVALID_CONNECTION_ID;
    *p = &h->port[connection];
    return (int)(*p)->kind == kind ? HV_SUCCESS : HV_INVALID_PORT_ID;
}

static bool others_wait(const struct hv_vcpu *v, unsigned sint)
{
    for (unsigned i = 0; i < v->queued; i++)
        if (v->queue[i].sint == sint)
            return true;
    return false;
}

static enum hv_status post(struct hv_vcpu *v, const struct hv_message *m)
{
    if (!hv_synic_takes_messages(v))
        return HV_INVALID_SYNIC_STATE;
    if (!others_wait(v, m->sint) && hv_synic_send(v, m))
        return HV_SUCCESS;
    if (v->queued == HV_MESSAGE_BUFFERS)
        return HV_INSUFFICIENT_BUFFERS;
    v->queue[v->queued++] = *m;
    return HV_SUCCESS;
}

/* Connection, reserved, type, size, payload. */
u64 hv_hc_post_message(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    static const struct hv_shape shape = {.header = HV_MESSAGE_BYTES};
    struct pv_hyperv *h = hv_of(pv);
    struct hv_message m = {0};
    struct hv_input in;
    struct hv_port *p;
    enum hv_status bad;
    u32 bytes;

    if (!pv_has(pv, HV_F_CONNECTIONS))
        return HV_ACCESS_DENIED;
    bad = hv_calls_input(pv, cpu, arg, &shape, &in);
    if (bad)
        return bad;
    m.type = ld_le32(in.block + 8);
    bytes = ld_le32(in.block + 12);
    if (!m.type || (m.type & BIT(31)) || bytes > HV_MESSAGE_PAYLOAD)
        return HV_INVALID_PARAMETER;
    bad = find_port(h, ld_le32(in.block), HV_PORT_MESSAGE, &p);
    if (bad)
        return bad;
    m.sint = (u8)p->sint;
    m.bytes = (u8)bytes;
    m.sender = ld_le32(in.block); /* the port: of the same number as the connection */
    memcpy(m.payload, in.block + 16, bytes);
    bad = post(&h->vcpu[p->vp], &m);
    if (!bad)
        pv_used(pv, HV_F_CONNECTIONS);
    return bad;
}

/* Connection, flag number, reserved. A port has one flag, whose number is the connection's. */
u64 hv_hc_signal_event(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    static const struct hv_shape shape = {.header = 8};
    struct pv_hyperv *h = hv_of(pv);
    struct hv_input in;
    struct hv_port *p;
    enum hv_status bad;
    u32 connection;

    if (!pv_has(pv, HV_F_CONNECTIONS))
        return HV_ACCESS_DENIED;
    bad = hv_calls_input(pv, cpu, arg, &shape, &in);
    if (bad)
        return bad;
    connection = ld_le32(in.block);
    bad = find_port(h, connection, HV_PORT_EVENT, &p);
    if (bad)
        return bad;
    if (ld_le16(in.block + 4))
        return HV_INVALID_PARAMETER;
    if (!hv_synic_signal(&h->vcpu[p->vp], p->sint, connection))
        return HV_INVALID_SYNIC_STATE;
    pv_used(pv, HV_F_CONNECTIONS);
    return HV_SUCCESS;
}
