/*
 * fuzz_virtio.c: a hostile guest and the virtio devices that are no disk and no network: entropy,
 * consoles, balloon, a shared folder. Any registers, any requests in their rings; for the folder,
 * messages whose types, fids and names mostly exist. The first byte chooses. Nothing beside the
 * folder is touched.
 */
#define _GNU_SOURCE /* nftw */
#include "base/bits.h"
#include "devices/backend/chardev.h"
#include "devices/virtconsole.h"
#include "devices/virtio_9p.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_rng.h"
#include "mmu/dma.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAM_BYTES (2 * MIB)
#define STEPS 300u
#define QUEUE 16u
#define RINGS 0x10000u
#define DATA 0x80000u

enum { RNG, SERIAL, BALLOON, SHARE, KINDS };

struct board {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct resources res;
    struct dev_env env;
    struct stream_entry stream;
    struct share_entry share;
    char top[64], folder[96];
    struct dev *bus, *dev, *port[2];
    u16 avail[VIRTIO_QUEUES_MAX];
};

/* ---- the folder ------------------------------------------------------------------------------ */

static void write_file(const char *folder, const char *name)
{
    char path[192];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "w");
    BUG_ON(!f || fputs("untouched", f) < 0 || fclose(f));
}

static void make_folder(struct board *b)
{
    char path[192];

    strcpy(b->top, "/tmp/parallax-fuzz-XXXXXX");
    BUG_ON(!mkdtemp(b->top));
    snprintf(b->folder, sizeof b->folder, "%s/shared", b->top);
    BUG_ON(mkdir(b->folder, 0700));
    write_file(b->top, "beside");
    write_file(b->folder, "a");
    snprintf(path, sizeof path, "%s/c", b->folder);
    BUG_ON(symlink("../beside", path));
    snprintf(path, sizeof path, "%s/d", b->folder);
    BUG_ON(symlink("..", path));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static void check_and_remove_folder(struct board *b)
{
    char path[192], text[16] = "";
    struct stat st;
    FILE *f;

    snprintf(path, sizeof path, "%s/beside", b->top);
    f = fopen(path, "r");
    BUG_ON(!f || fread(text, 1, sizeof text - 1, f) != 9 || strcmp(text, "untouched"));
    BUG_ON(fstat(fileno(f), &st) || st.st_nlink != 1);
    fclose(f);
    BUG_ON(chmod(b->folder, 0700));
    nftw(b->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the board ------------------------------------------------------------------------------- */

static void board_open(struct board *b, unsigned kind)
{
    static const struct pci_setup setup = {
        .mem_base = 0xe0000000u, .mem_end = 0xe0100000u, .io_base = 0xc000, .io_end = 0xd000};
    struct err e = {0};

    memset(b, 0, sizeof *b);
    BUG_ON(!phys_init(&b->phys, RAM_BYTES, &e));
    clock_init(&b->clock, CLOCK_ICOUNT);
    b->env = (struct dev_env){.phys = &b->phys,
                              .io = iobus_create(),
                              .clock = &b->clock,
                              .stats = &b->stats,
                              .resources = &b->res};
    b->bus = dev_create(&pci_class, &b->env, NULL, &e);
    BUG_ON(!b->bus);
    b->env.pci = (struct pci_bus *)(void *)b->bus;
    b->stream = (struct stream_entry){"s", chardev_open("null", &e)};
    b->res.streams = &b->stream;
    b->res.stream_count = 1;
    if (kind == SHARE) {
        make_folder(b);
        b->share = (struct share_entry){.id = "f", .path = b->folder};
        b->res.shares = &b->share;
        b->res.share_count = 1;
    }
    b->dev = kind == RNG      ? dev_create(&virtio_rng_class, &b->env, NULL, &e)
             : kind == SERIAL ? dev_create(&virtio_serial_class, &b->env, NULL, &e)
             : kind == BALLOON
                 ? dev_create(&virtio_balloon_class, &b->env, "free-page-reporting=on,target=1", &e)
                 : dev_create(&virtio_9p_class, &b->env, "fsdev=f,mount_tag=t", &e);
    BUG_ON(!b->dev || !pci_setup_bus(b->env.pci, &setup, &e));
    if (kind == SERIAL) {
        b->env.vserial = (struct virtio_serial *)(void *)b->dev;
        b->port[0] = dev_create(&virtconsole_class, &b->env, "chardev=s", &e);
        b->port[1] = dev_create(&virtserialport_class, &b->env, "name=p", &e);
        BUG_ON(!b->port[0] || !b->port[1]);
    }
}

static void board_close(struct board *b, unsigned kind)
{
    dev_destroy(b->port[0]);
    dev_destroy(b->port[1]);
    dev_destroy(b->dev);
    dev_destroy(b->bus);
    chardev_close(b->stream.chr);
    iobus_destroy(b->env.io);
    phys_destroy(&b->phys);
    if (kind == SHARE)
        check_and_remove_folder(b);
}

static struct virtio *virtio(struct board *b)
{
    return (struct virtio *)(void *)b->dev;
}

static void reg(struct board *b, unsigned off, u64 value, unsigned size)
{
    u64 base = virtio(b)->pci.bar[4].base;

    if (base)
        phys_write(&b->phys, base + off, value, size);
}

/* As a driver does: features, queues of 16, DRIVER_OK. */
static void start(struct board *b, u64 features)
{
    features = (features & virtio(b)->features) | VIRTIO_F_VERSION_1;
    pci_config_write(b->env.pci, virtio(b)->pci.devfn, PCI_COMMAND, 6, 2);
    reg(b, 0x14, 0, 1);
    for (unsigned word = 0; word < 2; word++) {
        reg(b, 0x08, word, 4);
        reg(b, 0x0c, features >> 32 * word & 0xffffffff, 4);
    }
    reg(b, 0x14, 0x0b, 1);
    for (unsigned n = 0; n < virtio(b)->queues; n++) {
        u64 at = RINGS + 0x3000 * n;

        reg(b, 0x16, n, 2);
        reg(b, 0x18, QUEUE, 2);
        reg(b, 0x20, at, 8);
        reg(b, 0x28, at + 0x1000, 8);
        reg(b, 0x30, at + 0x2000, 8);
        reg(b, 0x1c, 1, 2);
        dma_fill(&b->phys, at, 0, 0x3000);
        b->avail[n] = 0;
    }
    reg(b, 0x14, 0x0f, 1);
}

/* A request of out_len bytes at DATA and in_len behind, or what the input says of descriptors. */
static void request(struct board *b, unsigned q, u32 out_len, u32 in_len, struct input *in)
{
    u64 rings = RINGS + 0x3000 * q, d = rings + 32u * (b->avail[q] % (QUEUE / 2));
    u64 what = take(in, 1);

    dma_write64(&b->phys, d, what & 1 ? take(in, 3) : DATA);
    dma_write32(&b->phys, d + 8, what & 2 ? (u32)take(in, 4) : out_len);
    dma_write16(&b->phys, d + 12, what & 4 ? (u16)take(in, 1) : out_len ? 1 : 3);
    dma_write16(&b->phys, d + 14, (u16)((d - rings) / 16 + 1));
    dma_write64(&b->phys, d + 16, what & 8 ? take(in, 3) : DATA + 0x8000);
    dma_write32(&b->phys, d + 24, what & 16 ? (u32)take(in, 4) : in_len);
    dma_write16(&b->phys, d + 28, what & 32 ? (u16)take(in, 1) : 2);
    dma_write16(&b->phys, rings + 0x1004 + 2u * (b->avail[q] % QUEUE), (u16)((d - rings) / 16));
    dma_write16(&b->phys, rings + 0x1002, ++b->avail[q]);
    reg(b, 0x3000 + 4 * q, q, 2);
}

/* ---- messages for the folder ----------------------------------------------------------------- */

static u32 put_name(u8 *p, struct input *in)
{
    static const char *const names[] = {"a",  "b", "c",         "d", "e",
                                        "..", ".", "../beside", "",  "/etc"};
    const char *name = names[take(in, 1) % ARRAY_SIZE(names)];

    st_le16(p, (u16)strlen(name));
    memcpy(p + 2, name, strlen(name));
    return 2 + (u32)strlen(name);
}

/* After the header, a fid and then, as the type has it, names and numbers. */
static u32 put_message(u8 *p, struct input *in)
{
    static const u8 types[] = {8,  12, 14, 16, 18,  20,  22,  24,  26,  40,  50,  52,  54,
                               70, 72, 74, 76, 100, 104, 108, 110, 110, 110, 116, 118, 120};
    u64 what = take(in, 1);
    u8 type = what & 0x80 ? (u8)take(in, 1) : types[take(in, 1) % ARRAY_SIZE(types)];
    u32 n = 7;

    p[4] = type;
    st_le16(p + 5, 1);
    st_le32(p + n, type == 100 ? 8192 : (u32)take(in, 1) % 6);
    n += 4;
    if (type == 100) {
        memcpy(p + n, "\10\0009P2000.L", 10);
        return n + 10;
    }
    if (type == 104 || type == 110 || type == 70 || type == 20) {
        st_le32(p + n, (u32)take(in, 1) % 6);
        n += 4;
    }
    if (type == 110) {
        u32 names = (u32)(what & 3);

        st_le16(p + n, (u16)names);
        n += 2;
        while (names--)
            n += put_name(p + n, in);
        return n;
    }
    if (type == 14 || type == 16 || type == 18 || type == 20 || type == 70 || type == 72 ||
        type == 74 || type == 76)
        n += put_name(p + n, in);
    if (type == 16)
        n += put_name(p + n, in);
    if (type == 74) {
        st_le32(p + n, (u32)take(in, 1) % 6);
        n += 4 + put_name(p + n + 4, in);
    }
    if (type == 116 || type == 118 || type == 40) {
        st_le64(p + n, take(in, what & 4 ? 8 : 1));
        st_le32(p + n + 8, (u32)take(in, what & 8 ? 4 : 1));
        n += 12;
    }
    for (unsigned i = 0; i < (what >> 4 & 7) * 8; i++)
        p[n++] = (u8)take(in, 1);
    return n;
}

static void share_request(struct board *b, struct input *in)
{
    u8 message[512] = {0};
    u32 len = put_message(message, in);

    st_le32(message, len);
    if (take(in, 1) > 240)
        st_le32(message, (u32)take(in, 4));
    dma_write(&b->phys, DATA, message, len);
    request(b, 0, len, take(in, 1) > 240 ? (u32)take(in, 2) : 0x2000, in);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void step(struct board *b, unsigned kind, struct input *in)
{
    u64 what = take(in, 1);
    unsigned q = (unsigned)(take(in, 1) % virtio(b)->queues);
    u8 data[64];

    switch (what % 8) {
    case 0:
        if (what < 64)
            start(b, take(in, 5));
        return;
    case 1: reg(b, (unsigned)take(in, 2) % 0x4000, take(in, 4), 1u << what / 8 % 4); return;
    case 2:
        clock_advance_to(&b->clock, clock_now_ns(&b->clock) + (take(in, 4)));
        clock_run_timers(&b->clock);
        return;
    case 3: chardev_feed(b->stream.chr, (const u8 *)"input", 5); return;
    default:
        if (kind == SHARE) {
            share_request(b, in);
            return;
        }
        for (unsigned i = 0; i < sizeof data; i++)
            data[i] = i < 16 || what & 64 ? (u8)take(in, 1) : 0;
        dma_write(&b->phys, DATA, data, sizeof data);
        request(b, q, what & 8 ? 0 : (u32)take(in, 1), what & 16 ? 0 : (u32)take(in, 1), in);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, size};
    unsigned kind = (unsigned)(take(&in, 1) % KINDS);
    struct board b;

    board_open(&b, kind);
    start(&b, ~0ull);
    if (kind == SHARE) { /* past the door */
        static const u8 hello[] = "\x15\0\0\0\x64\1\0\0\x20\0\0\x08\0"
                                  "9P2000.L"
                                  "\x17\0\0\0\x68\1\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0";

        dma_write(&b.phys, DATA, hello, 21);
        request(&b, 0, 21, 0x2000, &(struct input){0});
        dma_write(&b.phys, DATA, hello + 21, 23);
        request(&b, 0, 23, 0x2000, &(struct input){0});
        BUG_ON(((struct virtio_9p *)(void *)b.dev)->fid_count == 0);
    }
    for (unsigned n = 0; n < STEPS && in.left; n++)
        step(&b, kind, &in);
    board_close(&b, kind);
    return 0;
}
