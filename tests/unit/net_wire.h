/*
 * net_wire.h: for tests of network controllers: a PCI bus, a controller on it, and a wire at which
 * the test sees what is sent and puts in what is to be received.
 */
#pragma once

#include "base/bits.h"
#include "devices/backend/net_kinds.h"
#include "mmu/dma.h"
#include "tests/unit/board.h"

#define WIRE_FRAMES 64u
#define REGISTERS 0xe0000000u
#define PORTS 0xc000u

struct wire {
    struct nets nets;
    struct net net;
    struct {
        size_t len;
        u8 data[2048];
    } sent[WIRE_FRAMES];
    unsigned count;
    struct err reported;
};

static inline void wire_send(struct net *n, const u8 *frame, size_t len)
{
    struct wire *w = n->priv;

    ck_assert_uint_lt(w->count, WIRE_FRAMES);
    ck_assert_uint_le(len, sizeof w->sent[0].data);
    w->sent[w->count].len = len;
    memcpy(w->sent[w->count++].data, frame, len);
}

static const struct net_ops wire_ops = {.send = wire_send};

static inline void wire_init(struct wire *w, struct board *b)
{
    memset(w, 0, sizeof *w);
    nets_init(&w->nets, &b->clock);
    w->net = (struct net){
        .id = strdup("wire"), .nets = &w->nets, .ops = &wire_ops, .priv = w, .link = true};
    w->net.tail = &w->net.queue;
    w->nets.first = &w->net;
    b->env.nets = &w->nets;
    b->env.pci = board_add(b, &pci_class, NULL);
}

/* The controller of the class at the wire, its regions set up. */
static inline void *wire_add(struct board *b, const struct dev_class *cls, const char *props)
{
    static const struct pci_setup setup = {.mem_base = REGISTERS,
                                           .mem_end = REGISTERS + MIB,
                                           .io_base = PORTS,
                                           .io_end = PORTS + 0x1000};
    void *d = board_add(b, cls, props ? props : "netdev=wire");
    struct err e;

    ck_assert(pci_setup_bus(b->env.pci, &setup, &e));
    pci_config_write(b->env.pci, ((struct pci_func *)d)->devfn, PCI_COMMAND, 7, 2);
    return d;
}

static inline void wire_destroy(struct wire *w, struct board *b)
{
    net_discard(&w->net);
    free(w->net.id);
    w->nets.first = NULL;
    nets_destroy(&w->nets);
    dev_destroy((struct dev *)b->env.pci);
}

static inline u32 mmio_read(struct board *b, u32 reg)
{
    return (u32)phys_read(&b->phys, REGISTERS + reg, 4);
}

static inline void mmio_write(struct board *b, u32 reg, u32 value)
{
    phys_write(&b->phys, REGISTERS + reg, value, 4);
}

/* A frame of `len` bytes, with a counting payload, to `to` (its last byte; 0xff: broadcast). */
static inline void make_frame(u8 *frame, size_t len, u8 to)
{
    static const u8 station[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

    for (size_t i = 0; i < len; i++)
        frame[i] = (u8)i;
    memcpy(frame, station, 6);
    frame[5] = to;
    if (to == 0xff)
        memset(frame, 0xff, 6);
    frame[12] = 0x08;
    frame[13] = 0x06;
}

/* Ethernet, IPv4 and TCP headers (54 bytes) for `payload` bytes; sums as drivers leave them. */
static inline size_t make_tcp(u8 *frame, size_t payload, u8 flags)
{
    static const u8 headers[54] = {
        0x52, 0x55, 10, 0,  2, 2, 0x52, 0x54, 0,  0x12, 0x34, 0x56, 0x08, 0, /* Ethernet */
        0x45, 0,    0,  0,  0, 7, 0x40, 0,    64, 6,    0,    0,    10,   0, 2,    15, /* IPv4 */
        10,   0,    2,  2,                                                             /* to */
        0x30, 0x39, 0,  80, 0, 0, 0x10, 0,    0,  0,    0,    1,    0x50, 0, 0x20, 0,  0, 0, 0, 0};

    memcpy(frame, headers, sizeof headers);
    frame[47] = flags;
    for (size_t i = 0; i < payload; i++)
        frame[sizeof headers + i] = (u8)(i * 7);
    return sizeof headers + payload;
}

/* Are both sums of a frame of make_tcp right? */
static inline void check_tcp(const u8 *frame, size_t len)
{
    u32 bytes = (u32)len - 34;

    ck_assert_uint_eq((u32)frame[16] << 8 | frame[17], len - 14);
    ck_assert_uint_eq(net_sum_fold(net_sum(frame + 14, 20, 0)), 0xffff);
    ck_assert_uint_eq(net_sum_fold(net_sum(frame + 34, bytes, net_sum(frame + 26, 8, 6 + bytes))),
                      0xffff);
}
