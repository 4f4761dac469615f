/*
 * fuzz_net.c: a hostile guest and its network controllers: any registers, any descriptors and rings
 * in memory, and any frames from the wire, in any order. The first byte chooses the controller.
 * Nothing may be harmed, and what is sent is a frame.
 */
#include "base/bits.h"
#include "devices/backend/net_kinds.h"
#include "devices/e1000.h"
#include "devices/rtl8139.h"
#include "devices/virtio_net.h"
#include "mmu/dma.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define RAM_BYTES (2 * MIB)
#define STEPS 600u
#define RING 0x10000u /* where rings are, more often than not */
#define MMIO_BASE 0xe0000000u
#define PORTS 0xc000u

enum { E1000, VIRTIO, PACKED, RTL, RTL_C };

struct board {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct nets nets;
    struct dev_env env;
    struct dev *bus, *dev;
    unsigned kind;
};

static void wire_send(struct net *n, const u8 *frame, size_t len)
{
    volatile u8 sink = 0;

    (void)n;
    BUG_ON(len < ETH_HEADER || len > NET_FRAME_MAX);
    for (size_t i = 0; i < len; i++) /* all of it is there */
        sink ^= frame[i];
}

static const struct net_ops wire_ops = {.send = wire_send};
static const struct net_ops large_ops = {.send = wire_send, .large = true};

static void board_open(struct board *b, unsigned kind, bool large)
{
    static const struct pci_setup setup = {.mem_base = MMIO_BASE,
                                           .mem_end = MMIO_BASE + MIB,
                                           .io_base = PORTS,
                                           .io_end = PORTS + 0x1000};
    static const struct {
        const struct dev_class *cls;
        const char *props;
    } kinds[] = {[E1000] = {&e1000_class, "netdev=n"},
                 [VIRTIO] = {&virtio_net_class, "netdev=n"},
                 [PACKED] = {&virtio_net_class, "netdev=n,packed=on,mq=on"},
                 [RTL] = {&rtl8139_class, "netdev=n"},
                 [RTL_C] = {&rtl8139_class, "netdev=n,cplus=off"}};
    struct err e = {0};

    memset(b, 0, sizeof *b);
    BUG_ON(!phys_init(&b->phys, RAM_BYTES, &e));
    clock_init(&b->clock, CLOCK_ICOUNT);
    nets_init(&b->nets, &b->clock);
    BUG_ON(!nets_add(&b->nets, &(struct net_options){.kind = "none", .id = "n"}, &e));
    b->nets.first->ops = large ? &large_ops : &wire_ops;
    b->env = (struct dev_env){.phys = &b->phys,
                              .io = iobus_create(),
                              .clock = &b->clock,
                              .stats = &b->stats,
                              .nets = &b->nets};
    b->bus = dev_create(&pci_class, &b->env, NULL, &e);
    b->env.pci = (struct pci_bus *)(void *)b->bus;
    b->kind = kind % ARRAY_SIZE(kinds);
    b->dev = dev_create(kinds[b->kind].cls, &b->env, kinds[b->kind].props, &e);
    BUG_ON(!b->dev || !pci_setup_bus(b->env.pci, &setup, &e));
}

static void board_close(struct board *b)
{
    dev_destroy(b->dev);
    dev_destroy(b->bus);
    nets_destroy(&b->nets);
    iobus_destroy(b->env.io);
    phys_destroy(&b->phys);
}

static void pass_time(struct board *b, u64 ns)
{
    clock_advance_to(&b->clock, clock_now_ns(&b->clock) + ns);
    clock_run_timers(&b->clock);
}

/* Numbers that are places in RAM more often than not. */
static u64 any_value(struct input *in, u64 what, unsigned size)
{
    u64 v = take(in, size);

    return what & 0x40 ? (v & 0xffff) | RING : what & 0x20 ? v % RAM_BYTES : v;
}

static void write_memory(struct board *b, struct input *in)
{
    u64 what = take(in, 1), at = RING + take(in, 2) % 0x2000;
    unsigned size = 1u << what % 4;
    u8 bytes[8];

    if (what & 0x80)
        at = take(in, 4) % RAM_BYTES;
    st_le64(bytes, any_value(in, what, size));
    dma_write(&b->phys, at, bytes, size);
}

/* A frame of any length from the wire: to the station, to all, or to anybody; IPv4 with TCP or
 * anything. */
static void frame_in(struct board *b, struct input *in)
{
    static u8 frame[NET_FRAME_MAX];
    u64 what = take(in, 1);
    size_t len = what & 1 ? 14 + take(in, 1) : take(in, 2);

    memset(frame, (int)take(in, 1), len > 200 ? 200 : len);
    for (unsigned i = 0; i < 54; i++)
        frame[i] = (u8)take(in, what & 2 ? 1 : 0);
    if (what & 4)
        memset(frame, 0xff, 6);
    else if (what & 8)
        memcpy(frame, "\x52\x54\0\x12\x34\x56", 6);
    if (what & 16)
        memcpy(frame + 12, "\x08\0\x45", 3);
    if (what & 32)
        memcpy(frame + 12, "\x81\0", 2);
    net_input(b->nets.first, frame, len);
}

/* ---- e1000 ----------------------------------------------------------------------------------- */

static void e1000_write(struct board *b, u32 reg, u64 value)
{
    phys_write(&b->phys, MMIO_BASE + reg, value, 4);
}

static void e1000_start(struct board *b, struct input *in)
{
    e1000_write(b, 0x0000, 0x40);
    e1000_write(b, 0x2800, RING);
    e1000_write(b, 0x2808, 128u * (1 + take(in, 1) % 4));
    e1000_write(b, 0x2818, take(in, 1));
    e1000_write(b, 0x3800, RING + 0x1000);
    e1000_write(b, 0x3808, 128u * (1 + take(in, 1) % 4));
    e1000_write(b, 0x0400, 2);
    e1000_write(b, 0x0100, 2 | take(in, 4));
    e1000_write(b, 0x00d0, take(in, 3));
}

/* Descriptors as a driver makes them: contexts, data, legacy, of any length. */
static void e1000_descriptor(struct board *b, struct input *in)
{
    u64 what = take(in, 1), at = RING + 0x1000 + 16 * (take(in, 1) % 32);
    u32 lower = (u32)take(in, what & 1 ? 3 : 2) & 0xfffff;

    lower |= (u32)take(in, 1) << 24;
    if (what & 2)
        lower |= BIT(29) | (what & 4 ? BIT(20) : 0);
    dma_write64(&b->phys, at, what & 2 && !(what & 4) ? take(in, 8) : take(in, 3) % RAM_BYTES);
    dma_write32(&b->phys, at + 8, lower);
    dma_write32(&b->phys, at + 12, (u32)take(in, 4));
    if (what & 8)
        e1000_write(b, 0x3818, take(in, 1) % 32);
}

static void e1000_register(struct board *b, struct input *in)
{
    static const u16 regs[] = {0x00,   0x10,   0x14,   0x20,   0xc0,   0xc4,   0xc8,
                               0xd0,   0xd8,   0x100,  0x400,  0x2800, 0x2804, 0x2808,
                               0x2810, 0x2818, 0x2820, 0x282c, 0x3800, 0x3804, 0x3808,
                               0x3810, 0x3818, 0x3820, 0x382c, 0x5000, 0x5400};
    u64 what = take(in, 1);
    u32 reg = what & 1 ? regs[take(in, 1) % ARRAY_SIZE(regs)] : (u32)take(in, 2) * 2 % 0x20000;
    unsigned size = what & 2 ? 4 : 1u << what % 4;

    if (what & 0x80)
        phys_read(&b->phys, MMIO_BASE + reg, size);
    else if (what & 0x10)
        iobus_write(b->env.io, (u16)(PORTS + reg % 64), (u32)take(in, 4), size & 7 ? size & 7 : 1);
    else
        phys_write(&b->phys, MMIO_BASE + reg, any_value(in, what, size), size);
}

static void e1000_step(struct board *b, struct input *in, u64 what)
{
    if (what % 4 == 0)
        e1000_start(b, in);
    else if (what % 4 == 1)
        e1000_descriptor(b, in);
    else
        e1000_register(b, in);
}

/* ---- virtio-net ------------------------------------------------------------------------------ */

#define QUEUE_BYTES 0x800u /* from one queue's rings to the next's */

static u64 virtio_base(const struct board *b)
{
    return ((const struct virtio *)b->dev)->pci.bar[4].base;
}

static void virtio_start(struct board *b, struct input *in)
{
    const struct virtio *v = (const struct virtio *)b->dev;
    u64 at = virtio_base(b), features = (VIRTIO_F_VERSION_1 | take(in, 5)) & v->features;

    if (!at)
        return;
    phys_write(&b->phys, at + 0x14, 0, 1);
    for (unsigned word = 0; word < 2; word++) {
        phys_write(&b->phys, at + 0x08, word, 4);
        phys_write(&b->phys, at + 0x0c, features >> 32 * word & 0xffffffff, 4);
    }
    phys_write(&b->phys, at + 0x14, 0x0b, 1);
    for (unsigned q = 0; q < 3; q++) {
        phys_write(&b->phys, at + 0x16, q, 2);
        phys_write(&b->phys, at + 0x18, 8, 2);
        phys_write(&b->phys, at + 0x20, RING + QUEUE_BYTES * q, 8);
        phys_write(&b->phys, at + 0x28, RING + QUEUE_BYTES * q + 0x200, 8);
        phys_write(&b->phys, at + 0x30, RING + QUEUE_BYTES * q + 0x400, 8);
        phys_write(&b->phys, at + 0x1c, 1, 2);
    }
    phys_write(&b->phys, at + 0x14, 0x0f, 1);
}

/* A buffer of a queue, of one descriptor or with one behind it, and mostly a header that means
 * something. */
static void virtio_buffer(struct board *b, struct input *in)
{
    const struct virtio *v = (const struct virtio *)b->dev;
    u64 what = take(in, 1), place = RING + 0x8000 + take(in, 1) * 64;
    unsigned queue = (unsigned)(what % 3);
    const struct virtqueue *q = &v->queue[queue];
    u64 at = RING + QUEUE_BYTES * queue;
    u16 index = dma_read16(&b->phys, at + 0x202), n = b->kind == PACKED ? q->next % 8u : index % 8u;
    u16 write = queue == 0 ? 2 : 0, more = what & 4 ? 1 : 0;
    u16 ready = q->next_wrap ? 0x80 : 0x8000;

    if (what & 8)
        dma_write64(&b->phys, place, take(in, 8));
    dma_write32(&b->phys, place + 8, (u32)take(in, 2));
    for (unsigned i = 0; i <= more; i++) {
        u64 d = at + 16 * ((n + i) % 8);

        dma_write64(&b->phys, d, i ? take(in, 3) : place);
        dma_write32(&b->phys, d + 8, (u32)take(in, what & 16 ? 1 : 2));
        dma_write16(&b->phys, d + 12, b->kind == PACKED ? (u16)n : write | (more && !i));
        dma_write16(&b->phys, d + 14,
                    b->kind == PACKED ? ready | write | (more && !i) : (u16)((n + 1) % 8));
        if (i == 1 && queue == 2)
            dma_write16(&b->phys, d + (b->kind == PACKED ? 14 : 12),
                        b->kind == PACKED ? ready | 2 : 2);
    }
    dma_write16(&b->phys, at + 0x204 + 2u * n, n);
    dma_write16(&b->phys, at + 0x202, (u16)(index + 1));
    if (what & 32)
        phys_write(&b->phys, virtio_base(b) + 0x3000 + 4 * queue, queue, 2);
}

static void virtio_register(struct board *b, struct input *in)
{
    const struct virtio *v = (const struct virtio *)b->dev;
    u64 what = take(in, 1), at = v->pci.bar[what & 1 ? 4 : 1].base + take(in, 2) % 0x4000;
    unsigned size = 1u << (what >> 1) % 4;

    if (what & 0x40)
        phys_read(&b->phys, at, size);
    else
        phys_write(&b->phys, at, any_value(in, what, size), size);
}

static void virtio_step(struct board *b, struct input *in, u64 what)
{
    if (what % 8 == 0)
        virtio_start(b, in);
    else if (what % 8 < 6)
        virtio_buffer(b, in);
    else
        virtio_register(b, in);
}

/* ---- rtl8139 --------------------------------------------------------------------------------- */

static void rtl_write(struct board *b, u32 reg, u64 value, unsigned size)
{
    iobus_write(b->env.io, (u16)(PORTS + reg), (u32)value, size);
}

static void rtl_start(struct board *b, struct input *in)
{
    rtl_write(b, 0x37, 0x10, 1);
    rtl_write(b, 0x30, RING, 4);
    rtl_write(b, 0xe0, take(in, 1), 2);
    rtl_write(b, 0x20, RING + 0x1000, 4);
    rtl_write(b, 0x24, 0, 4);
    rtl_write(b, 0xe4, RING, 4);
    rtl_write(b, 0xe8, 0, 4);
    rtl_write(b, 0x37, 0x0c, 1);
    rtl_write(b, 0x44, take(in, 2), 4);
    rtl_write(b, 0x3c, take(in, 2), 2);
}

/* A descriptor of either ring as a driver makes it, or one of the four in registers. */
static void rtl_descriptor(struct board *b, struct input *in)
{
    u64 what = take(in, 1), at = RING + (what & 1 ? 0x1000 : 0) + 16 * (take(in, 1) % 16);
    u32 word = (u32)take(in, what & 2 ? 4 : 2), n = what >> 1 & 12;

    if (what & 4) {
        rtl_write(b, 0x20 + n, any_value(in, what, 4), 4);
        rtl_write(b, 0x10 + n, word, 4);
        return;
    }
    dma_write64(&b->phys, at + 8, any_value(in, what, 4));
    dma_write32(&b->phys, at + 4, (u32)take(in, 3));
    dma_write32(&b->phys, at, word | (what & 8 ? 0xb0000000u : 0x80000000u));
    if (what & 16)
        rtl_write(b, 0xd9, 0x40, 1);
}

static void rtl_register(struct board *b, struct input *in)
{
    u64 what = take(in, 1);
    unsigned size = 1u << what % 3;
    u32 reg = (u32)take(in, 1) & ~(what & 8 ? 0u : size - 1);

    if (reg + size > 256)
        return;
    if (what & 0x80)
        iobus_read(b->env.io, (u16)(PORTS + reg), size);
    else if (what & 0x10)
        phys_write(&b->phys, MMIO_BASE + reg, any_value(in, what, 8), 8);
    else
        rtl_write(b, reg, any_value(in, what, size), size);
}

static void rtl_step(struct board *b, struct input *in, u64 what)
{
    if (what % 8 == 0)
        rtl_start(b, in);
    else if (what % 8 < 4)
        rtl_descriptor(b, in);
    else
        rtl_register(b, in);
}

/* ---- all ------------------------------------------------------------------------------------- */

static void step(struct board *b, struct input *in)
{
    u64 what = take(in, 1);

    switch (what % 16) {
    case 0:
        if (take(in, 1) < 16)
            dev_reset(b->dev);
        return;
    case 1:
        if (take(in, 1) < 32)
            pci_config_write(b->env.pci, ((struct pci_func *)(void *)b->dev)->devfn,
                             (unsigned)take(in, 1), (u32)take(in, 4), 4);
        return;
    case 2: pass_time(b, take(in, 3)); return;
    case 3: net_set_link(b->nets.first, take(in, 1) & 7); return;
    case 4:
    case 5: write_memory(b, in); return;
    case 6:
    case 7:
    case 8: frame_in(b, in); return;
    default:
        if (b->kind == E1000)
            e1000_step(b, in, what >> 4);
        else if (b->kind >= RTL)
            rtl_step(b, in, what >> 4);
        else
            virtio_step(b, in, what >> 4);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, size};
    u64 kind = take(&in, 1);
    struct board b;

    board_open(&b, (unsigned)(kind >> 1), kind & 1);
    if (b.kind == E1000)
        e1000_start(&b, &in);
    else if (b.kind >= RTL)
        rtl_start(&b, &in);
    else
        virtio_start(&b, &in);
    for (unsigned n = 0; n < STEPS && in.left; n++)
        step(&b, &in);
    pass_time(&b, NS_PER_SEC);
    board_close(&b);
    return 0;
}
