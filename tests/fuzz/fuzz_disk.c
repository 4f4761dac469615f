/*
 * fuzz_disk.c: a hostile guest and its disk controllers: any registers, any tables and rings in
 * memory, resets in between (floppies too). IDE or AHCI with a disk and a CD-ROM, virtio-blk with
 * split or packed rings; the first byte chooses. Nothing may be harmed, and no byte of a drive
 * beyond its end is reached.
 */
#define _GNU_SOURCE /* memfd_create */
#include "base/bits.h"
#include "devices/ahci.h"
#include "devices/fdc.h"
#include "devices/i8237.h"
#include "devices/ide.h"
#include "devices/virtio_blk.h"
#include "mmu/dma.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_BYTES (2 * MIB)
#define DISK_BYTES (1 * MIB)
#define STEPS 400u
#define RING 0x10000u /* where the rings of the well-behaved half are */
#define MMIO_BASE 0xe0000000u
#define FLOPPY 3u
#define AHCI 4u

struct board {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct drives drives;
    struct dev_env env;
    struct dev *bus, *dev, *dma;
    int fd[2];
};

static void add_drive(struct board *b, unsigned n, const char *id, enum drive_media media)
{
    struct err e = {0};
    char path[64];

    b->fd[n] = memfd_create("disk", MFD_CLOEXEC);
    BUG_ON(b->fd[n] < 0 || ftruncate(b->fd[n], DISK_BYTES));
    snprintf(path, sizeof path, "/proc/self/fd/%d", b->fd[n]);
    BUG_ON(!drive_add(
        &b->drives, id, media,
        &(struct image_options){
            .path = path, .format = "raw", .readonly = media == MEDIA_CDROM, .cache = CACHE_UNSAFE},
        &e));
}

static u32 floppy_dma(void *opaque, u8 *buf, u32 len, bool to_memory, bool *terminal)
{
    struct board *b = opaque;

    return i8237_move((struct i8237 *)(void *)b->dma, 2, buf, len, to_memory, terminal);
}

static void add_floppy(struct board *b, struct err *e)
{
    struct fdc *f;

    b->dma = dev_create(&i8237_class, &b->env, NULL, e);
    b->dev = dev_create(&fdc_class, &b->env, "fd0=disk", e);
    BUG_ON(!b->dma || !b->dev);
    f = (struct fdc *)(void *)b->dev;
    f->dma = floppy_dma;
    f->dma_opaque = b;
}

static void board_open(struct board *b, unsigned kind)
{
    static const struct pci_setup setup = {
        .mem_base = MMIO_BASE, .mem_end = MMIO_BASE + MIB, .io_base = 0xc000, .io_end = 0xd000};
    struct err e = {0};

    memset(b, 0, sizeof *b);
    BUG_ON(!phys_init(&b->phys, RAM_BYTES, &e));
    clock_init(&b->clock, CLOCK_ICOUNT);
    drives_init(&b->drives, &b->clock);
    add_drive(b, 0, "disk", MEDIA_DISK);
    add_drive(b, 1, "cd", MEDIA_CDROM);
    b->env = (struct dev_env){.phys = &b->phys,
                              .io = iobus_create(),
                              .clock = &b->clock,
                              .stats = &b->stats,
                              .drives = &b->drives};
    b->bus = dev_create(&pci_class, &b->env, NULL, &e);
    BUG_ON(!b->bus);
    b->env.pci = (struct pci_bus *)(void *)b->bus;
    if (kind == FLOPPY) {
        add_floppy(b, &e);
        return;
    }
    b->dev = kind == 0      ? dev_create(&ide_class, &b->env, "hd0=disk,hd1=cd", &e)
             : kind == AHCI ? dev_create(&ahci_class, &b->env, "hd0=disk,hd1=cd", &e)
             : kind == 1    ? dev_create(&virtio_blk_class, &b->env, "drive=disk,num-queues=2", &e)
                            : dev_create(&virtio_blk_class, &b->env, "drive=disk,packed=on", &e);
    BUG_ON(!b->dev || !pci_setup_bus(b->env.pci, &setup, &e));
}

static void board_close(struct board *b)
{
    dev_destroy(b->dev);
    dev_destroy(b->dma);
    dev_destroy(b->bus);
    BUG_ON(!drives_destroy(&b->drives, NULL));
    iobus_destroy(b->env.io);
    phys_destroy(&b->phys);
    close(b->fd[0]);
    close(b->fd[1]);
}

static void run_until_quiet(struct board *b)
{
    for (unsigned n = 0; n < 4; n++) {
        clock_advance_to(&b->clock, clock_now_ns(&b->clock) + 60000);
        clock_run_timers(&b->clock);
    }
}

/* Something into memory: numbers that are places in RAM more often than not. */
static void write_memory(struct board *b, struct input *in)
{
    u64 what = take(in, 1), at = RING + take(in, 2) % 0x3000, value = take(in, 8);
    unsigned size = 1u << what % 4;

    if (what & 0x40)
        value %= RAM_BYTES;
    if (what & 0x80)
        at = take(in, 4) % RAM_BYTES;
    for (unsigned n = 0; n < size; n++) {
        u8 byte = (u8)(value >> 8 * n);

        dma_write(&b->phys, at + n, &byte, 1);
    }
}

static void ide_step(struct board *b, struct input *in)
{
    static const u16 bases[] = {0x1f0, 0x1f0, 0x170, 0x3f0, 0xc000};
    u64 what = take(in, 1);
    u16 port = (u16)(bases[what % ARRAY_SIZE(bases)] + take(in, 1) % 16);
    unsigned size = 1u << (what >> 3) % 3;

    if (what & 0x80)
        iobus_read(b->env.io, port, size);
    else if (what & 0x40 && port < 0xc000) /* a whole packet, or a block of data */
        for (unsigned n = 0; n < 6; n++)
            iobus_write(b->env.io, 0x1f0, (u32)take(in, 2), 2);
    else
        iobus_write(b->env.io, port, (u32)take(in, size), size);
}

/* A command as a driver gives it: registers, a table of regions, a packet, the bus master's start.
 */
static void ide_command(struct board *b, struct input *in)
{
    static const u8 commands[] = {0x20, 0x30, 0x24, 0x34, 0xc8, 0xca, 0x25, 0x35,
                                  0xc4, 0xc5, 0xc6, 0xa0, 0xa0, 0xa0, 0xec, 0xa1,
                                  0xb0, 0xe7, 0xef, 0x06, 0x90, 0x91, 0xf8};
    static const u8 packets[] = {0x00, 0x03, 0x12, 0x1b, 0x25, 0x28, 0x43,
                                 0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbe};
    u64 what = take(in, 1), command = take(in, 1);

    command = what & 1 ? commands[command % ARRAY_SIZE(commands)] : command;
    iobus_write(b->env.io, 0x1f6, 0x40 | (what & 0x10), 1);
    for (unsigned reg = 1; reg <= 5; reg++) {
        iobus_write(b->env.io, (u16)(0x1f0 + reg), what & 2 ? 0 : (u32)take(in, 1), 1);
        iobus_write(b->env.io, (u16)(0x1f0 + reg), (u32)take(in, 1), 1);
    }
    iobus_write(b->env.io, 0x1f7, (u32)command, 1);
    if (command == 0xa0) {
        iobus_write(b->env.io, 0x1f0, packets[take(in, 1) % ARRAY_SIZE(packets)], 2);
        for (unsigned n = 0; n < 5; n++)
            iobus_write(b->env.io, 0x1f0, what & 4 ? 0 : (u32)take(in, 2), 2);
    }
    for (unsigned n = 0; n < 3; n++) {
        dma_write32(&b->phys, RING + 8 * n, (u32)take(in, 3));
        dma_write32(&b->phys, RING + 8 * n + 4, (u32)take(in, 2) | (n == 2 ? 0x80000000u : 0));
    }
    iobus_write(b->env.io, 0xc004, RING, 4);
    iobus_write(b->env.io, 0xc000, what & 8 ? 9 : 1, 1);
    if (what & 0x20)
        run_until_quiet(b);
    if (what & 0x40)
        for (unsigned n = 0; n < 300; n++)
            iobus_read(b->env.io, 0x1f0, 4);
    if (what & 0x80)
        iobus_write(b->env.io, 0xc000, 0, 1);
}

/* Registers of the device and of its MSI-X table. */
static void virtio_step(struct board *b, struct input *in)
{
    const struct virtio *v = (const struct virtio *)b->dev;
    u64 what = take(in, 1), base = v->pci.bar[what & 1 ? 4 : 1].base,
        at = base + take(in, 2) % 0x4000;
    unsigned size = 1u << (what >> 1) % 4;

    if (what & 0x20) /* the queue's notification */
        phys_write(&b->phys, v->pci.bar[4].base + 0x3000 + what % 4 * 4, what, 2);
    else if (what & 0x40)
        phys_read(&b->phys, at, size);
    else if (base)
        phys_write(&b->phys, at, take(in, size), size);
}

/* As a driver does: features, a queue of 16, DRIVER_OK. */
static void virtio_start(struct board *b, struct input *in)
{
    struct virtio *v = (struct virtio *)b->dev;
    u64 at = v->pci.bar[4].base, features = VIRTIO_F_VERSION_1 | take(in, 5);

    if (!at)
        return;
    phys_write(&b->phys, at + 0x14, 0, 1);
    for (unsigned word = 0; word < 2; word++) {
        phys_write(&b->phys, at + 0x08, word, 4);
        phys_write(&b->phys, at + 0x0c, (features & v->features) >> 32 * word & 0xffffffff, 4);
    }
    phys_write(&b->phys, at + 0x14, 0x0b, 1);
    phys_write(&b->phys, at + 0x16, 0, 2);
    phys_write(&b->phys, at + 0x18, 16, 2);
    phys_write(&b->phys, at + 0x20, RING, 8);
    phys_write(&b->phys, at + 0x28, RING + 0x1000, 8);
    phys_write(&b->phys, at + 0x30, RING + 0x2000, 8);
    phys_write(&b->phys, at + 0x1c, 1, 2);
    phys_write(&b->phys, at + 0x14, 0x0f, 1);
}

/* One descriptor of a packed ring, or of a table. */
static void put_packed(struct board *b, u64 at, u64 address, u32 len, u16 id, u16 flags)
{
    dma_write64(&b->phys, at, address);
    dma_write32(&b->phys, at + 8, len);
    dma_write16(&b->phys, at + 12, id);
    dma_write16(&b->phys, at + 14, flags);
}

/* A request in a packed ring, in descriptors of its own or in a table. */
static void packed_request(struct board *b, struct input *in)
{
    const struct virtio *v = (const struct virtio *)b->dev;
    const struct virtqueue *q = &v->queue[0];
    u64 place = RING + 0x4000 + take(in, 1) * 16, table = RING + 0x3000, what = take(in, 1);
    u16 ready = q->next_wrap ? 0x80 : 0x8000, at = q->next, data = what & 1 ? 2 : 0;

    dma_write32(&b->phys, place, (u32)take(in, 1) % 16);
    dma_write64(&b->phys, place + 8, take(in, 2));
    put_packed(b, table, place, 16, 0, 1);
    put_packed(b, table + 16, take(in, 3), (u32)take(in, 1) * 512, 0, data | 1);
    put_packed(b, table + 32, take(in, 3), 1, 7, 2);
    if (what & 2) {
        put_packed(b, RING + 16u * at, table, what & 4 ? (u32)take(in, 1) : 48, 7, ready | 4);
    } else {
        u8 d[16];

        for (unsigned n = 0; n < 3; n++, at = (u16)((at + 1) % 16)) {
            if (n && !at)
                ready ^= 0x8080;
            dma_read(&b->phys, table + 16 * n, d, sizeof d);
            st_le16(d + 14, ld_le16(d + 14) | ready);
            dma_write(&b->phys, RING + 16u * at, d, sizeof d);
        }
    }
    phys_write(&b->phys, v->pci.bar[4].base + 0x3000, 0, 2);
}

/* A request as a driver would lay it out in a split ring, of any type, place and size. */
static void split_request(struct board *b, struct input *in)
{
    const struct virtio *v = (const struct virtio *)b->dev;
    u64 place = RING + 0x4000 + take(in, 1) * 16;
    u16 index = dma_read16(&b->phys, RING + 0x1002);

    dma_write32(&b->phys, place, (u32)take(in, 1) % 16);
    dma_write64(&b->phys, place + 8, take(in, 2));
    for (unsigned n = 0; n < 3; n++) {
        u64 d = RING + 16 * n;

        dma_write64(&b->phys, d, n ? take(in, 3) : place);
        dma_write32(&b->phys, d + 8, n == 0 ? 16 : n == 1 ? (u32)take(in, 1) * 512 : 1);
        dma_write16(&b->phys, d + 12, (u16)((n < 2) | (n == 2 ? 2 : n ? take(in, 1) & 2 : 0)));
        dma_write16(&b->phys, d + 14, (u16)(n + 1));
    }
    dma_write16(&b->phys, RING + 0x1004 + 2u * (index % 16), 0);
    dma_write16(&b->phys, RING + 0x1002, (u16)(index + 1));
    phys_write(&b->phys, v->pci.bar[4].base + 0x3000, 0, 2);
}

/* A command with its DMA channel set up, or any register of the two chips. */
static void floppy_step(struct board *b, struct input *in)
{
    static const u8 commands[] = {0x45, 0xe6, 0x46, 0x07, 0x0f, 0x08, 0x4a, 0x4d, 0x0e, 0x03};
    static const u16 ports[] = {0x3f2, 0x3f4, 0x3f5, 0x3f7, 0x00, 0x08, 0x81, 0xc0};
    u64 what = take(in, 1), n = take(in, 1);

    if (what & 0x80) {
        u16 port = (u16)(ports[n % ARRAY_SIZE(ports)] + (n & 0x80 ? take(in, 1) % 8 : 0));

        if (what & 0x40)
            iobus_read(b->env.io, port, 1);
        else
            iobus_write(b->env.io, port, (u32)take(in, 1), 1);
        return;
    }
    iobus_write(b->env.io, 0x3f2, 0x1c, 1);
    iobus_write(b->env.io, 0x0b, what & 1 ? 0x46 : 0x4a, 1);
    for (unsigned i = 0; i < 2; i++)
        iobus_write(b->env.io, 0x05, (u32)take(in, 1), 1);
    iobus_write(b->env.io, 0x0a, 2, 1);
    iobus_write(b->env.io, 0x3f5, commands[n % ARRAY_SIZE(commands)], 1);
    for (unsigned i = 1; i < 9; i++) {
        u32 value = (u32)take(in, 1);

        iobus_write(b->env.io, 0x3f5,
                    what & 2 ? (i == 5 ? 2 : value % 20) & ~(i == 1 ? 3u : 0) : value, 1);
    }
    for (unsigned i = 0; what & 4 && i < 20; i++)
        run_until_quiet(b);
    for (unsigned i = 0; what & 8 && i < 10; i++)
        iobus_read(b->env.io, 0x3f5, 1);
}

#define AHCI_LIST (RING)
#define AHCI_TABLES (RING + 0x1000)

static void ahci_write(struct board *b, unsigned reg, u64 value)
{
    u64 base = ((const struct ahci *)(const void *)b->dev)->pci.bar[5].base;

    if (base)
        phys_write(&b->phys, base + reg, value, 4);
}

/* The two ports with drives as a driver starts them, with a list in RAM. */
static void ahci_start(struct board *b)
{
    for (unsigned port = 0x100; port <= 0x180; port += 0x80) {
        ahci_write(b, port + 0x00, AHCI_LIST);
        ahci_write(b, port + 0x08, RING + 0x800);
        ahci_write(b, port + 0x14, 0xffffffff);
        ahci_write(b, port + 0x18, AHCI_PXCMD_FRE);
        ahci_write(b, port + 0x18, AHCI_PXCMD_FRE | AHCI_PXCMD_ST);
    }
    ahci_write(b, 0x04, 2);
}

/* A slot as a driver fills it: header, FIS, packet, regions; then the port is told. */
static void ahci_command(struct board *b, struct input *in)
{
    static const u8 commands[] = {0x60, 0x61, 0x60, 0x61, 0x25, 0x35, 0xc8, 0xca, 0x20, 0x30, 0xec,
                                  0xa0, 0xa0, 0xa1, 0x2f, 0x47, 0x06, 0xe7, 0xef, 0xb0, 0x08, 0x90};
    u64 what = take(in, 1), slot = take(in, 1) % 32, table = AHCI_TABLES + 0x200 * slot;
    unsigned port = what & 1 ? 0x180 : 0x100;
    u8 fis[20] = {0x27, what & 2 ? (u8)take(in, 1) : 0x80};

    fis[2] = commands[take(in, 1) % ARRAY_SIZE(commands)];
    for (unsigned i = 3; i < 16; i++)
        fis[i] = what & 4 || i == 3 || i == 12 ? (u8)take(in, 1) : 0;
    fis[7] |= 0x40;
    if (what & 8)
        fis[12] = (u8)(slot << 3);
    dma_write(&b->phys, table, fis, sizeof fis);
    for (unsigned i = 0; i < 4; i++)
        dma_write32(&b->phys, table + 0x40 + 4 * i, (u32)take(in, 2) << 8 | (i ? 0 : 0x28));
    for (unsigned i = 0; i < 3; i++) {
        dma_write64(&b->phys, table + 0x80 + 16 * i, take(in, 3));
        dma_write32(&b->phys, table + 0x8c + 16 * i,
                    (u32)take(in, 3) | (what & 16 ? 0x80000000u : 0));
    }
    dma_write32(&b->phys, AHCI_LIST + 32 * slot, (u32)take(in, 1) % 6 << 16 | 0x65);
    dma_write64(&b->phys, AHCI_LIST + 32 * slot + 8, table);
    if (what & 32)
        ahci_write(b, port + 0x34, BIT(slot));
    ahci_write(b, port + 0x38, BIT(slot));
    if (what & 64)
        run_until_quiet(b);
    if (what & 128)
        ahci_start(b);
}

static void ahci_step(struct board *b, struct input *in)
{
    u64 what = take(in, 1), reg = take(in, 1) % 0x40 * 4 + (what & 1 ? 0x100 : 0);
    u64 base = ((const struct ahci *)(const void *)b->dev)->pci.bar[5].base;
    unsigned size = 1u << (what >> 1) % 4;

    if (!base)
        return;
    if (what & 0x40)
        phys_read(&b->phys, base + reg, size);
    else
        phys_write(&b->phys, base + reg, take(in, 4), size);
}

static void step(struct board *b, unsigned kind, struct input *in)
{
    u64 what = take(in, 1);

    if (kind == FLOPPY && what % 16 > 3) {
        floppy_step(b, in);
        return;
    }
    switch (what % 16) {
    case 0:
        if (take(in, 1) < 16)
            dev_reset(b->dev);
        else if (kind == AHCI)
            ahci_start(b);
        else if (kind && kind != FLOPPY)
            virtio_start(b, in);
        return;
    case 1:
        if (kind == FLOPPY || take(in, 1) > 32)
            return;
        pci_config_write(b->env.pci, ((struct pci_func *)(void *)b->dev)->devfn,
                         (unsigned)take(in, 1), (u32)take(in, 4), 4);
        return;
    case 2:
    case 3: run_until_quiet(b); return;
    case 4:
    case 5:
    case 6:
    case 7: write_memory(b, in); return;
    case 8:
        if (kind == AHCI)
            ahci_start(b);
        else if (kind)
            virtio_start(b, in);
        return;
    case 9:
    case 10:
    case 11:
        if (!kind)
            ide_command(b, in);
        else if (kind == AHCI)
            ahci_command(b, in);
        else if (virtio_has((struct virtio *)b->dev, VIRTIO_F_RING_PACKED))
            packed_request(b, in);
        else
            split_request(b, in);
        return;
    default:
        if (kind == AHCI)
            ahci_step(b, in);
        else if (kind)
            virtio_step(b, in);
        else
            ide_step(b, in);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, size};
    u64 first = take(&in, 1);
    unsigned kind = first & 0x80 ? AHCI : (unsigned)(first % 4);
    struct board b;

    board_open(&b, kind);
    if (kind == AHCI)
        ahci_start(&b);
    else if (kind && kind != FLOPPY)
        virtio_start(&b, &in);
    for (unsigned n = 0; n < STEPS && in.left; n++)
        step(&b, kind, &in);
    run_until_quiet(&b);
    BUG_ON(lseek(b.fd[0], 0, SEEK_END) != (off_t)DISK_BYTES);
    board_close(&b);
    return 0;
}
