/*
 * fuzz_bios.c: a guest that calls the built-in BIOS and fw_cfg with anything: frames of any
 * registers at any address, DMA requests of any kind; drives, VGA, an option ROM and memory are
 * there. Nothing outside the guest's memory and its drives is touched, and every call comes back.
 */
#include "base/bits.h"
#include "bios/pcbios.h"
#include "bios/rom.h"
#include "bios/rom/abi.h"
#include "bios/seabios.h"
#include "devices/fwcfg.h"
#include "devices/rtc.h"
#include "mmu/dma.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define RAM_BYTES (2 * MIB)
#define DISK_BYTES (64 * KIB)
#define FRAME_AT 0x1000u
#define DISKS 3u

struct machine {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct dev_env env;
    struct vga *vga;
    struct rtc *rtc;
    struct fwcfg *fwcfg;
    struct drives drives;
    struct pcbios bios;
    struct rom rom;
    u8 rom_bytes[1024];
    struct image image[DISKS];
    u8 disk[DISKS][DISK_BYTES];
};

/* ---- drives in memory ------------------------------------------------------------------------ */

static int memory_read(struct image *i, u64 offset, u8 *buf, u64 len)
{
    BUG_ON(offset + len > DISK_BYTES || offset + len < offset);
    memcpy(buf, (u8 *)i->priv + offset, len);
    return 0;
}

static int memory_write(struct image *i, u64 offset, const u8 *buf, u64 len)
{
    BUG_ON(offset + len > DISK_BYTES || offset + len < offset);
    memcpy((u8 *)i->priv + offset, buf, len);
    return 0;
}

static int memory_flush(struct image *i)
{
    (void)i;
    return 0;
}

static const struct image_format format_memory = {
    .name = "memory", .read = memory_read, .write = memory_write, .flush = memory_flush};

static void add_disks(struct machine *m, const u8 *data, size_t size)
{
    static const enum drive_media media[DISKS] = {MEDIA_FLOPPY, MEDIA_DISK, MEDIA_CDROM};
    struct err e = {0};

    drives_init(&m->drives, &m->clock);
    for (unsigned i = 0; i < DISKS; i++) {
        static const char *const ids[DISKS] = {"floppy", "disk", "cd"};
        struct drive *d = drive_add(&m->drives, ids[i], media[i], NULL, &e);

        BUG_ON(!d);
        for (size_t k = 0; size && k < DISK_BYTES; k++)
            m->disk[i][k] = data[(k * 7 + i) % size];
        m->image[i] =
            (struct image){.format = &format_memory, .bytes = DISK_BYTES, .priv = m->disk[i]};
        d->image = &m->image[i];
    }
    /* A catalogue that is right, so that what it names is looked at. */
    memcpy(m->disk[2] + 17 * 2048, "\0CD001\1EL TORITO SPECIFICATION", 30);
    st_le32(m->disk[2] + 17 * 2048 + 0x47, 18);
    memset(m->disk[2] + 18 * 2048, 0, 32);
    memcpy(m->disk[2] + 18 * 2048, "\1\0\0\0", 4);
    st_le16(m->disk[2] + 18 * 2048 + 28, 0x55aa);
    st_le16(m->disk[2] + 18 * 2048 + 30, 0xaa55);
    m->disk[2][18 * 2048 + 32] = 0x88;
}

/* An option ROM with any contents, but for what lets it be started. */
static void make_rom(struct machine *m, const u8 *data, size_t size)
{
    u8 sum = 0;

    for (size_t i = 0; size && i < sizeof m->rom_bytes; i++)
        m->rom_bytes[i] = data[(i * 5 + 3) % size];
    st_le16(m->rom_bytes + 0x1a, 0x20 | (m->rom_bytes[0x1a] & 0x40)); /* the first header */
    memcpy(m->rom_bytes + ld_le16(m->rom_bytes + 0x1a), "$PnP", 4);
    memcpy(m->rom_bytes, "\x55\xaa\2", 3);
    for (size_t i = 0; i < sizeof m->rom_bytes; i++)
        sum = (u8)(sum + m->rom_bytes[i]);
    m->rom_bytes[sizeof m->rom_bytes - 1] = (u8)(m->rom_bytes[sizeof m->rom_bytes - 1] - sum);
    m->rom = (struct rom){m->rom_bytes, sizeof m->rom_bytes};
}

/* ---- the machine ----------------------------------------------------------------------------- */

static bool no_board(void *opaque)
{
    (void)opaque;
    return true;
}

static struct machine *open_machine(const u8 *data, size_t size)
{
    struct machine *m = calloc(1, sizeof *m);
    const struct seabios_config sc = {
        .ram_bytes = RAM_BYTES, .ram_low_bytes = RAM_BYTES, .cpus = 1, .boot_order = "/pci\n"};
    struct err e = {0};

    BUG_ON(!m || !phys_init(&m->phys, RAM_BYTES, &e));
    clock_init(&m->clock, CLOCK_ICOUNT);
    m->env = (struct dev_env){
        .phys = &m->phys, .io = iobus_create(), .clock = &m->clock, .stats = &m->stats};
    m->env.pci = (struct pci_bus *)(void *)dev_create(&pci_class, &m->env, NULL, &e);
    m->vga = (struct vga *)(void *)dev_create(&vga_class, &m->env, "vgamem_mb=1", &e);
    m->rtc = (struct rtc *)(void *)dev_create(&rtc_class, &m->env, "base=1000000000", &e);
    m->fwcfg = (struct fwcfg *)(void *)dev_create(&fwcfg_class, &m->env, NULL, &e);
    BUG_ON(!m->vga || !m->rtc || !m->fwcfg);
    seabios_publish(m->fwcfg, &sc);
    add_disks(m, data, size);
    make_rom(m, data, size);
    const struct pcbios_config c = {.phys = &m->phys,
                                    .io = m->env.io,
                                    .clock = &m->clock,
                                    .pci = m->env.pci,
                                    .vga = m->vga,
                                    .drives = &m->drives,
                                    .cpus = 1,
                                    .option_roms = &m->rom,
                                    .option_rom_count = 1,
                                    .setup_board = no_board};
    BUG_ON(!pcbios_create(&m->bios, &c, &e));
    return m;
}

static void close_machine(struct machine *m)
{
    struct err e = {0};

    pcbios_destroy(&m->bios);
    for (struct drive *d = m->drives.first; d; d = d->next)
        d->image = NULL; /* not the drive's to close */
    drives_destroy(&m->drives, &e);
    dev_destroy((struct dev *)m->fwcfg);
    dev_destroy((struct dev *)m->rtc);
    dev_destroy((struct dev *)m->vga);
    dev_destroy((struct dev *)m->env.pci);
    iobus_destroy(m->env.io);
    phys_destroy(&m->phys);
    free(m);
}

/* Registers from the input; a service that exists most of the time. */
static void call(struct machine *m, const u8 *in, u32 at)
{
    static const u8 services[] = {0x10, BIOS_ROMS, 0x13, BIOS_PMM, 0x14, 0x15, 0x16,      0x17,
                                  0x18, 0x19,      0x1a, 0x70,     0x13, 0x10, BIOS_POST, BIOS_KEY};
    u8 frame[FRAME_BYTES];

    memcpy(frame, in, FRAME_BYTES);
    frame[FRAME_SERVICE] =
        in[FRAME_ACTION] & 0x80 ? in[FRAME_SERVICE] : services[in[FRAME_SERVICE] & 15];
    frame[FRAME_ECX + 1] &= 3; /* counts and cylinders that take no minutes */
    if (in[FRAME_ACTION] & 1) {
        frame[FRAME_EDX] = in[FRAME_ACTION] & 2 ? 0x80 : in[FRAME_ACTION] & 4 ? 0xe0 : 0;
        frame[FRAME_EDX + 1] &= 1;
    }
    dma_write(&m->phys, at, frame, sizeof frame);
    iobus_write(m->env.io, BIOS_PORT, at, 4);
}

static void fwcfg_request(struct machine *m, const u8 *in)
{
    u8 request[16];

    memcpy(request, in, sizeof request);
    request[4] = 0; /* less than 16 MiB */
    request[2] &= 0x40;
    if (in[17] & 1) /* an address that may be memory */
        memset(request + 8, 0, 5);
    dma_write(&m->phys, FRAME_AT, request, sizeof request);
    iobus_write(m->env.io, 0x510, ld_le16(in + 18), 2);
    iobus_read(m->env.io, 0x511, 1);
    iobus_write(m->env.io, 0x514, 0, 4);
    iobus_write(m->env.io, 0x518, __builtin_bswap32(FRAME_AT), 4);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const u8 power_on[FRAME_BYTES] = {[FRAME_SERVICE] = 14};
    struct machine *m;

    if (!pcbios_available())
        return 0;
    m = open_machine(data, size);
    call(m, power_on, FRAME_AT);
    for (size_t i = 0; i + FRAME_BYTES + 1 <= size; i += FRAME_BYTES + 1) {
        const u8 *in = data + i + 1;

        if (data[i] % 8 == 0)
            fwcfg_request(m, in);
        else
            call(m, in, data[i] % 8 == 1 ? ld_le32(in) : FRAME_AT);
        clock_advance_to(&m->clock, clock_now_ns(&m->clock) + 1000000);
    }
    close_machine(m);
    return 0;
}
