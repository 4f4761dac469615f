/*
 * ide.c: the IDE function of the PIIX3 (82371SB, function 1) in compatibility mode.
 *
 * Specification: Intel 82371SB data sheet (290550), sections 2.3 (configuration) and 2.7 (bus
 * master); Programming Interface for Bus Master IDE Controller 1.0 (Intel, 1994); ATA/ATAPI-7
 * volume 2, section 7 (registers). The drives are ata.c's.
 *
 * Not implemented: timing (its registers are stored), native mode, simplex.
 */
#include "devices/ide.h"

#include "base/bits.h"
#include "mmu/dma.h"

#define IDETIM 0x40
#define IDETIM_ENABLE 0x8000u

#define BM_START BIT(0)
#define BM_TO_MEMORY BIT(3)
#define BM_ACTIVE BIT(0)
#define BM_ERROR BIT(1)
#define BM_INTERRUPT BIT(2)
#define BM_PORTS 16u

static const u16 command_base[IDE_CHANNELS] = {0x1f0, 0x170},
                 control_base[IDE_CHANNELS] = {0x3f6, 0x376};

/* ---- lines ----------------------------------------------------------------------------------- */

static struct ata *selected(struct ide *s, unsigned n)
{
    return &s->drive[2 * n + s->channel[n].select];
}

static void drive_line(struct ide *s, unsigned n)
{
    struct ide_channel *c = &s->channel[n];
    bool level = selected(s, n)->intrq && !(c->control & ATA_CONTROL_NIEN);

    if (level != c->irq.level)
        irq_set(&c->irq, level);
}

static void ide_interrupt(void *opaque, unsigned unit)
{
    struct ide *s = opaque;

    s->channel[unit / 2].bm_status |= BM_INTERRUPT;
    drive_line(s, unit / 2);
}

/* ---- bus master ------------------------------------------------------------------------------ */

static bool ide_dma_ready(void *opaque, unsigned unit)
{
    const struct ide *s = opaque;

    return s->channel[unit / 2].bm_command & BM_START;
}

/* The next descriptor: address, and a count of 16 bits of which 0 is 64 KiB. */
static bool next_region(struct ide *s, struct ide_channel *c)
{
    u8 d[8];

    if (c->prd_last || !dma_read(s->pci.dev.env->phys, c->prd_next, d, sizeof d))
        return false;
    c->prd_next += 8;
    c->prd_address = ld_le32(d) & ~1u;
    c->prd_left = ld_le16(d + 4) & ~1u;
    if (!c->prd_left)
        c->prd_left = 0x10000;
    c->prd_last = d[7] & 0x80;
    return true;
}

/* How many of len bytes come next at c->prd_address. 0: the table is at its end. */
static u32 next_bytes(struct ide *s, struct ide_channel *c, u32 len)
{
    if (!c->prd_left && !next_region(s, c))
        return 0;
    return len < c->prd_left ? len : c->prd_left;
}

static void advance(struct ide_channel *c, u32 n)
{
    c->prd_address += n;
    c->prd_left -= n;
}

/* buf NULL: the bytes are where they belong. */
static bool move(struct ide *s, struct ide_channel *c, u8 *buf, u32 len, bool to_guest)
{
    struct phys *p = s->pci.dev.env->phys;

    for (u32 at = 0, n; at < len; at += n) {
        n = next_bytes(s, c, len - at);
        if (!n)
            return false;
        if (buf && !(to_guest ? dma_write(p, c->prd_address, buf + at, n)
                              : dma_read(p, c->prd_address, buf + at, n)))
            return false;
        advance(c, n);
    }
    return true;
}

/* The direction is the controller's; a driver that sets it wrongly gets what it asked for: nothing.
 */
static bool may_move(const struct ide *s, const struct ide_channel *c, bool to_guest)
{
    return ld_le16(s->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER &&
           to_guest == !!(c->bm_command & BM_TO_MEMORY);
}

static bool ide_dma_map(void *opaque, unsigned unit, u32 len, struct dma_pieces *v)
{
    struct ide *s = opaque;
    struct ide_channel c = s->channel[unit / 2]; /* its place in the table stays */

    dma_pieces_begin(v, s->pci.dev.env->phys);
    for (u32 n; len; len -= n) {
        n = next_bytes(s, &c, len);
        if (!n || !dma_pieces_add(v, c.prd_address, n))
            return false;
        advance(&c, n);
    }
    return may_move(s, &c, true);
}

static bool ide_dma(void *opaque, unsigned unit, u8 *buf, u32 len, bool to_guest)
{
    struct ide *s = opaque;
    struct ide_channel *c = &s->channel[unit / 2];

    if (may_move(s, c, to_guest) && move(s, c, buf, len, to_guest))
        return true;
    c->bm_status &= (u8)~BM_ACTIVE;
    if (!c->prd_last || c->prd_left)
        c->bm_status |= BM_ERROR;
    return false;
}

/* Active stays while the table has more than the drive moved. */
static void ide_dma_end(void *opaque, unsigned unit)
{
    struct ide *s = opaque;
    struct ide_channel *c = &s->channel[unit / 2];

    if (c->prd_last && !c->prd_left)
        c->bm_status &= (u8)~BM_ACTIVE;
}

static const struct ata_host host = {.interrupt = ide_interrupt,
                                     .dma_ready = ide_dma_ready,
                                     .dma = ide_dma,
                                     .dma_map = ide_dma_map,
                                     .dma_end = ide_dma_end};

static void bm_start(struct ide *s, unsigned n)
{
    struct ide_channel *c = &s->channel[n];

    c->prd_next = c->bm_table;
    c->prd_left = 0;
    c->prd_last = false;
    c->bm_status |= BM_ACTIVE;
    ata_dma_go(selected(s, n));
}

static void bm_write_byte(struct ide *s, unsigned n, unsigned reg, u8 value)
{
    struct ide_channel *c = &s->channel[n];
    u8 old = c->bm_command;

    switch (reg) {
    case 0:
        c->bm_command = value & (BM_START | BM_TO_MEMORY);
        if (!(old & BM_START) && value & BM_START)
            bm_start(s, n);
        else if (!(value & BM_START))
            c->bm_status &= (u8)~BM_ACTIVE;
        break;
    case 2: /* error and interrupt are cleared by ones; 5 and 6 are the driver's notes */
        c->bm_status =
            (u8)((c->bm_status & ~(value & (BM_ERROR | BM_INTERRUPT)) & 0x07) | (value & 0x60));
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        c->bm_table = (c->bm_table & ~(0xffu << 8 * (reg - 4))) | (u32)value << 8 * (reg - 4);
        c->bm_table &= ~3u;
        break;
    default: break;
    }
}

static u8 bm_read_byte(const struct ide *s, unsigned n, unsigned reg)
{
    const struct ide_channel *c = &s->channel[n];

    switch (reg) {
    case 0: return c->bm_command;
    case 2: return c->bm_status;
    case 4:
    case 5:
    case 6:
    case 7: return (u8)(c->bm_table >> 8 * (reg - 4));
    default: return 0;
    }
}

static u32 bm_read(void *opaque, u16 port, unsigned size)
{
    const struct ide *s = opaque;
    unsigned off = port & (BM_PORTS - 1);
    u32 v = 0;

    for (unsigned i = 0; i < size && off + i < BM_PORTS; i++)
        v |= (u32)bm_read_byte(s, (off + i) / 8, (off + i) % 8) << 8 * i;
    return v;
}

static void bm_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct ide *s = opaque;
    unsigned off = port & (BM_PORTS - 1);

    for (unsigned i = 0; i < size && off + i < BM_PORTS; i++)
        bm_write_byte(s, (off + i) / 8, (off + i) % 8, (u8)(value >> 8 * i));
}

static const struct io_ops bm_io = {.read = bm_read, .write = bm_write, .wide = true};

/* ---- command and control blocks -------------------------------------------------------------- */

static bool is_enabled(const struct ide *s, unsigned n)
{
    u16 command = ld_le16(s->pci.config + PCI_COMMAND);

    return command & PCI_COMMAND_IO && ld_le16(s->pci.config + IDETIM + 2 * n) & IDETIM_ENABLE;
}

static unsigned channel_of(u16 port)
{
    return (port & 0x80) ? 0 : 1; /* 1F0h, 3F6h; 170h, 376h */
}

/* Device 0 answers for a device 1 that is not there, with a status of 0 (ATA/ATAPI-7, 9.16.1). With
 * neither the pulled-down lines are read. */
static u8 read_register(struct ide *s, unsigned n, unsigned reg)
{
    struct ata *a = selected(s, n), *other = &s->drive[2 * n];
    bool hob = s->channel[n].control & ATA_CONTROL_HOB;

    if (a->drive)
        return ata_read_register(a, reg, hob);
    if (!other->drive || reg == ATA_COMMAND)
        return 0;
    return ata_read_register(other, reg, hob);
}

static u32 command_read(void *opaque, u16 port, unsigned size)
{
    struct ide *s = opaque;
    unsigned n = channel_of(port), reg = port & 7;
    u8 v;

    if (!is_enabled(s, n))
        return 0xffffffff;
    if (reg == ATA_DATA)
        return ata_read_data(selected(s, n), size);
    v = read_register(s, n, reg);
    if (reg == ATA_COMMAND) {
        selected(s, n)->intrq = false;
        drive_line(s, n);
    }
    return v;
}

static void write_register(struct ide *s, unsigned n, unsigned reg, u8 value)
{
    struct ide_channel *c = &s->channel[n];

    c->control &= (u8)~ATA_CONTROL_HOB;
    if (reg == ATA_COMMAND) {
        struct ata *a = selected(s, n);

        ata_start(a, value);
        /* EXECUTE DEVICE DIAGNOSTIC is for both; device 0 reports. */
        if (value == 0x90 && c->select == 0)
            ata_start(&s->drive[2 * n + 1], value);
        drive_line(s, n);
        return;
    }
    ata_write_register(&s->drive[2 * n], reg, value);
    ata_write_register(&s->drive[2 * n + 1], reg, value);
    if (reg == ATA_DEVICE) {
        c->select = value & ATA_DEVICE_DEV ? 1 : 0;
        drive_line(s, n);
    }
}

static void command_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct ide *s = opaque;
    unsigned n = channel_of(port), reg = port & 7;

    if (!is_enabled(s, n))
        return;
    if (reg == ATA_DATA)
        ata_write_data(selected(s, n), value, size);
    else
        write_register(s, n, reg, (u8)value);
}

static const struct io_ops command_io = {
    .read = command_read, .write = command_write, .wide = true};

static u32 control_read(void *opaque, u16 port, unsigned size)
{
    struct ide *s = opaque;
    unsigned n = channel_of(port);

    (void)size;
    return is_enabled(s, n) ? read_register(s, n, ATA_COMMAND) : 0xff;
}

static void control_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct ide *s = opaque;
    unsigned n = channel_of(port);
    struct ide_channel *c = &s->channel[n];
    bool reset = value & ~c->control & ATA_CONTROL_SRST;

    (void)size;
    if (!is_enabled(s, n))
        return;
    c->control = value & (ATA_CONTROL_NIEN | ATA_CONTROL_SRST | ATA_CONTROL_HOB);
    if (reset) {
        c->select = 0;
        ata_reset(&s->drive[2 * n], false);
        ata_reset(&s->drive[2 * n + 1], false);
    }
    drive_line(s, n);
}

static const struct io_ops control_io = {.read = control_read, .write = control_write};

/* ---- class ----------------------------------------------------------------------------------- */

static void remove_ports(struct ide *s)
{
    struct iobus *io = s->pci.dev.env->io;

    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        iobus_remove(io, command_base[n], 8, s);
        iobus_remove(io, control_base[n], 1, s);
    }
}

static bool ide_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x8086, .device = 0x7010, .class_code = 0x0101, .prog_if = 0x80};
    struct ide *s = (struct ide *)d;

    for (unsigned i = 0; i < IDE_DRIVES; i++)
        if (!ata_init(&s->drive[i], d->env->drives, s->drive_id[i], &host, s, i, e)) {
            while (i--)
                ata_destroy(&s->drive[i]);
            return false;
        }
    if (!pci_func_init(&s->pci, PCI_DEVFN(1, 1), &id, e)) {
        for (unsigned i = 0; i < IDE_DRIVES; i++)
            ata_destroy(&s->drive[i]);
        return false;
    }
    pci_bar_io(&s->pci, 4, BM_PORTS, "ide bus master", &bm_io);
    memset(s->pci.writable + IDETIM, 0xff, 5); /* and SIDETIM */
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        iobus_add(d->env->io, command_base[n], 8, "ide command", &command_io, s);
        iobus_add(d->env->io, control_base[n], 1, "ide control", &control_io, s);
    }
    return true;
}

static void ide_destroy(struct dev *d)
{
    struct ide *s = (struct ide *)d;

    remove_ports(s);
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        ata_destroy(&s->drive[i]);
    pci_func_destroy(&s->pci);
}

void ide_unplug_disks(struct ide *s, struct drive *disk[IDE_DRIVES])
{
    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        if (!s->drive[i].atapi)
            ata_unplug(&s->drive[i]);
        disk[i] = s->drive[i].parked;
    }
    s->unplugged = true;
    for (unsigned n = 0; n < IDE_CHANNELS; n++)
        drive_line(s, n);
}

static void plug_disks(struct ide *s)
{
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        ata_plug(&s->drive[i]);
    s->unplugged = false;
}

/* Both channels are on, as firmware leaves them. */
static void ide_reset(struct dev *d)
{
    struct ide *s = (struct ide *)d;

    plug_disks(s);
    memset(s->pci.config + IDETIM, 0, 5);
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        struct irq irq = s->channel[n].irq;

        st_le16(s->pci.config + IDETIM + 2 * n, IDETIM_ENABLE);
        s->channel[n] = (struct ide_channel){.irq = irq};
        ata_reset(&s->drive[2 * n], true);
        ata_reset(&s->drive[2 * n + 1], true);
        /* after the drives, which say what they have */
        for (unsigned i = 0; i < 2; i++)
            if (s->drive[2 * n + i].drive)
                s->channel[n].bm_status |= (u8)BIT(5 + i);
        drive_line(s, n);
    }
    st_le16(s->pci.config + PCI_STATUS, 0x0280);
    pci_func_reset(&s->pci);
}

static void ide_loaded(struct dev *d)
{
    struct ide *s = (struct ide *)d;

    bool unplugged = s->unplugged;

    pci_func_loaded(&s->pci);
    plug_disks(s);
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        ata_loaded(&s->drive[i]);
    if (unplugged) {
        struct drive *ignored[IDE_DRIVES];
        ide_unplug_disks(s, ignored);
    }
    for (unsigned n = 0; n < IDE_CHANNELS; n++)
        drive_line(s, n);
}

static const struct dev_prop ide_props[] = {
    {"hd0", PROP_STRING, offsetof(struct ide, drive_id[0]), 0, 0, 0, "drive: primary master"},
    {"hd1", PROP_STRING, offsetof(struct ide, drive_id[1]), 0, 0, 0, "drive: primary slave"},
    {"hd2", PROP_STRING, offsetof(struct ide, drive_id[2]), 0, 0, 0, "drive: secondary master"},
    {"hd3", PROP_STRING, offsetof(struct ide, drive_id[3]), 0, 0, 0, "drive: secondary slave"},
    DEV_PROP_END,
};

/* clang-format off */
#define CHANNEL_FIELDS(n)                                                                          \
    DEV_FIELD(struct ide, channel[n].select, 0, 1, "selected device"),                             \
    DEV_FIELD(struct ide, channel[n].control, 0, 0x86, "device control"),                          \
    DEV_FIELD(struct ide, channel[n].bm_command, 0, 0x09, "bus master command"),                   \
    DEV_FIELD(struct ide, channel[n].bm_status, 0, 0x67, "bus master status"),                     \
    DEV_FIELD(struct ide, channel[n].bm_table, 0, 0xfffffffc, "descriptor table"),                 \
    DEV_FIELD(struct ide, channel[n].prd_next, 0, 0xffffffff, "next descriptor"),                  \
    DEV_FIELD(struct ide, channel[n].prd_address, 0, 0xffffffff, "address of the region"),         \
    DEV_FIELD(struct ide, channel[n].prd_left, 0, 0x10000, "bytes left of it"),                    \
    DEV_FIELD(struct ide, channel[n].prd_last, 0, 1, "it is the last")

static const struct dev_field ide_fields[] = {
    PCI_FUNC_FIELDS(struct ide),
    CHANNEL_FIELDS(0),
    CHANNEL_FIELDS(1),
    ATA_FIELDS(struct ide, drive[0]),
    ATA_FIELDS(struct ide, drive[1]),
    ATA_FIELDS(struct ide, drive[2]),
    ATA_FIELDS(struct ide, drive[3]),
    DEV_FIELD(struct ide, unplugged, 0, 1, "hard disks are unplugged"),
    DEV_FIELD_END,
};
/* clang-format on */

const struct dev_class ide_class = {
    .name = "piix3-ide",
    .doc = "82371SB IDE controller",
    .size = sizeof(struct ide),
    .props = ide_props,
    .fields = ide_fields,
    .init = ide_init,
    .reset = ide_reset,
    .loaded = ide_loaded,
    .destroy = ide_destroy,
};
