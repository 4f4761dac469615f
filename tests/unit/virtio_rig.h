/*
 * virtio_rig.h: for tests of virtio devices: a PCI bus, a device on it, and a driver with split
 * queues of 16 whose requests have at most one part to be read and one to be written.
 */
#pragma once

#include "base/bits.h"
#include "devices/backend/resources.h"
#include "devices/virtio.h"
#include "mmu/dma.h"
#include "tests/unit/board.h"

#define RIG_QUEUE 16u
#define RIG_RINGS 0x10000u /* 3000h per queue: descriptors, available, used */
#define RIG_OUT 0x80000u   /* 10000h per queue: what the device reads, then what it writes */
#define RIG_IN 0x88000u
#define RIG_MMIO 0xe0000000u
#define RIG_NOTHING 0xffffffffu

struct rig {
    struct board b;
    struct resources res;
    struct virtio *v;
    u64 registers;
    u16 avail[VIRTIO_QUEUES_MAX], seen[VIRTIO_QUEUES_MAX];
};

static inline void rig_register(struct rig *r, unsigned off, u64 value, unsigned size)
{
    phys_write(&r->b.phys, r->registers + off, value, size);
}

static inline void rig_add_queue(struct rig *r, unsigned n)
{
    u64 at = RIG_RINGS + 0x3000 * n;

    rig_register(r, 0x16, n, 2);
    rig_register(r, 0x18, RIG_QUEUE, 2);
    rig_register(r, 0x20, at, 8);
    rig_register(r, 0x28, at + 0x1000, 8);
    rig_register(r, 0x30, at + 0x2000, 8);
    rig_register(r, 0x1c, 1, 2);
    dma_fill(&r->b.phys, at, 0, 0x3000);
    r->avail[n] = r->seen[n] = 0;
}

/* As a driver begins: reset, features, queues, DRIVER_OK. */
static inline void rig_start(struct rig *r, u64 features)
{
    features |= VIRTIO_F_VERSION_1;
    rig_register(r, 0x14, 0, 1);
    rig_register(r, 0x14, 3, 1);
    for (unsigned word = 0; word < 2; word++) {
        rig_register(r, 0x08, word, 4);
        rig_register(r, 0x0c, features >> 32 * word & 0xffffffff, 4);
    }
    rig_register(r, 0x14, 0x0b, 1);
    for (unsigned n = 0; n < r->v->queues; n++)
        rig_add_queue(r, n);
    rig_register(r, 0x14, 0x0f, 1);
    ck_assert_uint_eq(phys_read(&r->b.phys, r->registers + 0x14, 1), 0x0f);
}

static inline void rig_up(struct rig *r)
{
    memset(r, 0, sizeof *r);
    board_init(&r->b);
    r->b.env.resources = &r->res;
    r->b.env.pci = board_add(&r->b, &pci_class, NULL);
}

static inline void *rig_add(struct rig *r, const struct dev_class *cls, const char *props)
{
    static const struct pci_setup setup = {
        .mem_base = RIG_MMIO, .mem_end = RIG_MMIO + MIB, .io_base = 0xc000, .io_end = 0xd000};
    struct err e = {0};

    r->v = board_add(&r->b, cls, props);
    ck_assert_msg(pci_setup_bus(r->b.env.pci, &setup, &e), "%s", e.msg);
    pci_config_write(r->b.env.pci, r->v->pci.devfn, PCI_COMMAND, 6, 2);
    r->registers = r->v->pci.bar[4].base;
    return r->v;
}

static inline void rig_down(struct rig *r)
{
    dev_destroy((struct dev *)r->v);
    dev_destroy((struct dev *)r->b.env.pci);
    board_destroy(&r->b);
}

/* Makes a request available, without telling. Descriptors are those of the place in the ring. */
static inline void rig_post(struct rig *r, unsigned q, u64 out, u32 out_len, u64 in, u32 in_len)
{
    u64 rings = RIG_RINGS + 0x3000 * q;
    u16 head = (u16)(2 * r->avail[q] % RIG_QUEUE), n = head;

    if (out_len) {
        dma_write64(&r->b.phys, rings + 16u * n, out);
        dma_write32(&r->b.phys, rings + 16u * n + 8, out_len);
        dma_write16(&r->b.phys, rings + 16u * n + 12, in_len ? 1 : 0);
        dma_write16(&r->b.phys, rings + 16u * n + 14, (u16)(n + 1));
        n++;
    }
    if (in_len) {
        dma_write64(&r->b.phys, rings + 16u * n, in);
        dma_write32(&r->b.phys, rings + 16u * n + 8, in_len);
        dma_write16(&r->b.phys, rings + 16u * n + 12, 2);
    }
    dma_write16(&r->b.phys, rings + 0x1004 + 2u * (r->avail[q] % RIG_QUEUE), head);
    dma_write16(&r->b.phys, rings + 0x1002, ++r->avail[q]);
}

static inline void rig_notify(struct rig *r, unsigned q)
{
    rig_register(r, 0x3000 + 4 * q, q, 2);
}

/* The bytes written to the next request that came back; RIG_NOTHING: none did. */
static inline u32 rig_used(struct rig *r, unsigned q)
{
    u64 used = RIG_RINGS + 0x3000 * q + 0x2000;

    if (dma_read16(&r->b.phys, used + 2) == r->seen[q])
        return RIG_NOTHING;
    return dma_read32(&r->b.phys, used + 8 + 8u * (r->seen[q]++ % RIG_QUEUE));
}

/* One request from its bytes to its answer. */
static inline u32 rig_request(struct rig *r, unsigned q, const void *out, u32 out_len, void *in,
                              u32 in_len)
{
    u32 written;

    ck_assert(dma_write(&r->b.phys, RIG_OUT, out, out_len));
    rig_post(r, q, RIG_OUT, out_len, RIG_IN, in_len);
    rig_notify(r, q);
    written = rig_used(r, q);
    if (written != RIG_NOTHING && in)
        dma_read(&r->b.phys, RIG_IN, in, written < in_len ? written : in_len);
    return written;
}

static inline bool rig_needs_reset(const struct rig *r)
{
    return r->v->status & VIRTIO_STATUS_NEEDS_RESET;
}
