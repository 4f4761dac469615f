/*
 * ahci.c: the AHCI controller's registers, interrupts and life (ahci.h). Commands are
 * ahci_port.c's.
 *
 * Not implemented: staggered spin-up, hot plug, power management of the link (requests for it are
 * stored), port multipliers, command completion coalescing, enclosure management, index and data
 * ports, the legacy IDE programming interface. Registers answer accesses of 4 and 8 bytes (3:
 * "accesses must be DWords or QWords"); smaller reads work too.
 */
#include "devices/ahci.h"

#include "base/bits.h"

#define REGISTERS_BAR 5u
#define REGISTERS_BYTES 0x1000u
#define PORT_BASE 0x100u
#define PORT_BYTES 0x80u

enum { CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0c, VS = 0x10 };
enum {
    PXCLB = 0x00,
    PXCLBU = 0x04,
    PXFB = 0x08,
    PXFBU = 0x0c,
    PXIS = 0x10,
    PXIE = 0x14,
    PXCMD = 0x18,
    PXTFD = 0x20,
    PXSIG = 0x24,
    PXSSTS = 0x28,
    PXSCTL = 0x2c,
    PXSERR = 0x30,
    PXSACT = 0x34,
    PXCI = 0x38
};

/* 64-bit addresses, queuing, command list override, AHCI only, 3 Gb/s, 32 slots, data of PIO
 * commands in several blocks. */
#define CAP_VALUE                                                                                  \
    (BIT(31) | BIT(30) | BIT(24) | BIT(18) | 2u << 20 | BIT(15) | (AHCI_SLOTS - 1) << 8 |          \
     (AHCI_PORTS - 1))
#define VS_1_3_1 0x00010301u
#define GHC_HR BIT(0)
#define GHC_IE BIT(1)
#define GHC_AE BIT(31)

#define PXIS_WRITABLE 0xfd8000afu /* those that a 1 clears; UFS and PCS follow PxSERR */
#define PXIE_WRITABLE 0xfdc000ffu
#define PXCMD_ATAPI BIT(24)
#define PXCMD_DLAE BIT(25)
#define PXCMD_WRITABLE (AHCI_PXCMD_ST | AHCI_PXCMD_FRE | PXCMD_ATAPI | PXCMD_DLAE)
#define PXCMD_FIXED (BIT(1) | BIT(2)) /* spun up, powered */
#define PXSCTL_DET 0x0fu
#define DET_RESET 1u

/* ---- interrupts ------------------------------------------------------------------------------ */

/* IS has a bit per port with a cause that PxIE lets pass. The pin is a level; a message goes out
 * for each port that joins, and again when software leaves one behind (10.7.2). */
static void update(struct ahci *a, bool left_behind)
{
    u32 before = a->is;
    bool level;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (a->port[n].is & a->port[n].ie)
            a->is |= BIT(n);
    if (a->ghc & GHC_IE && a->is && (left_behind || a->is & ~before))
        pci_msi_notify(&a->msi);
    level = a->ghc & GHC_IE && a->is && !pci_msi_enabled(&a->msi);
    if (level != a->pci.intx)
        pci_set_intx(&a->pci, level);
}

void ahci_port_raise(struct ahci_port *p, u32 causes)
{
    p->is |= causes;
    if (p->is & p->ie)
        update(p->ahci, false);
}

/* ---- registers of a port --------------------------------------------------------------------- */

static u32 port_read(const struct ahci_port *p, unsigned reg)
{
    switch (reg) {
    case PXCLB: return (u32)p->clb;
    case PXCLBU: return (u32)(p->clb >> 32);
    case PXFB: return (u32)p->fb;
    case PXFBU: return (u32)(p->fb >> 32);
    case PXIS: return p->is;
    case PXIE: return p->ie;
    case PXCMD: return p->cmd;
    case PXTFD: return p->tfd;
    case PXSIG: return p->sig;
    case PXSSTS: return p->ssts;
    case PXSCTL: return p->sctl;
    case PXSERR: return p->serr;
    case PXSACT: return p->sact;
    case PXCI: return p->ci;
    default: return 0;
    }
}

static void write_cmd(struct ahci_port *p, u32 value)
{
    u32 old = p->cmd;

    p->cmd = (old & ~PXCMD_WRITABLE) | (value & PXCMD_WRITABLE);
    p->cmd = p->cmd & AHCI_PXCMD_FRE ? p->cmd | AHCI_PXCMD_FR : p->cmd & ~AHCI_PXCMD_FR;
    if (value & AHCI_PXCMD_CLO && !(p->cmd & AHCI_PXCMD_ST))
        p->tfd &= ~(u32)(ATA_STATUS_BSY | ATA_STATUS_DRQ);
    if (old & ~p->cmd & AHCI_PXCMD_ST) {
        p->cmd &= ~AHCI_PXCMD_CR;
        ahci_port_stop(p);
    } else if (p->cmd & ~old & AHCI_PXCMD_ST) {
        p->cmd |= AHCI_PXCMD_CR;
        ahci_port_run(p);
    }
}

/* COMRESET lasts as long as DET says so, and the link comes up when it stops (3.3.11). */
static void write_sctl(struct ahci_port *p, u32 value)
{
    bool was = (p->sctl & PXSCTL_DET) == DET_RESET, is = (value & PXSCTL_DET) == DET_RESET;

    p->sctl = value & 0xfff;
    if (is && !was) {
        ahci_port_stop(p);
        p->ssts = 0;
        p->tfd = 0x7f;
    } else if (was && !is) {
        ahci_port_link(p);
    }
}

static void port_write(struct ahci_port *p, unsigned reg, u32 value)
{
    switch (reg) {
    case PXCLB: p->clb = (p->clb & ~0xffffffffull) | (value & ~0x3ffu); break;
    case PXCLBU: p->clb = (u32)p->clb | (u64)value << 32; break;
    case PXFB: p->fb = (p->fb & ~0xffffffffull) | (value & ~0xffu); break;
    case PXFBU: p->fb = (u32)p->fb | (u64)value << 32; break;
    case PXIS: p->is &= ~(value & PXIS_WRITABLE); break;
    case PXIE:
        p->ie = value & PXIE_WRITABLE;
        update(p->ahci, false);
        break;
    case PXCMD: write_cmd(p, value); break;
    case PXSCTL: write_sctl(p, value); break;
    case PXSERR:
        p->serr &= ~value;
        if (!(p->serr & AHCI_PXSERR_DIAG_X))
            p->is &= ~AHCI_PXIS_PCS;
        break;
    case PXSACT:
        if (p->cmd & AHCI_PXCMD_ST)
            p->sact |= value;
        break;
    case PXCI:
        if (p->cmd & AHCI_PXCMD_ST) {
            p->ci |= value;
            ahci_port_run(p);
        }
        break;
    default: break;
    }
}

/* ---- registers of the controller ------------------------------------------------------------- */

static void reset_ports(struct ahci *a)
{
    a->ghc = GHC_AE;
    a->is = 0;
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &a->port[n];

        ahci_port_stop(p);
        p->is = p->ie = p->sctl = p->serr = 0;
        p->clb = p->fb = 0;
        p->cmd = PXCMD_FIXED;
        ahci_port_link(p);
    }
    update(a, false);
}

static u32 register_read(const struct ahci *a, unsigned off)
{
    if (off >= PORT_BASE) {
        unsigned n = (off - PORT_BASE) / PORT_BYTES;

        return n < AHCI_PORTS ? port_read(&a->port[n], off % PORT_BYTES) : 0;
    }
    switch (off) {
    case CAP: return CAP_VALUE;
    case GHC: return a->ghc;
    case IS: return a->is;
    case PI: return (u32)mask64(AHCI_PORTS);
    case VS: return VS_1_3_1;
    default: return 0;
    }
}

static void register_write(struct ahci *a, unsigned off, u32 value)
{
    TRACE(ahci_write, off, value);
    if (off >= PORT_BASE) {
        unsigned n = (off - PORT_BASE) / PORT_BYTES;

        if (n < AHCI_PORTS)
            port_write(&a->port[n], off % PORT_BYTES, value);
        return;
    }
    switch (off) {
    case GHC:
        if (value & GHC_HR)
            reset_ports(a);
        else
            a->ghc = GHC_AE | (value & GHC_IE);
        update(a, false);
        break;
    case IS:
        a->is &= ~value;
        update(a, true);
        break;
    default: break;
    }
}

static u64 mmio_read(void *opaque, u64 off, unsigned size)
{
    const struct ahci *a = opaque;
    u8 image[8];

    st_le32(image, register_read(a, (unsigned)off & ~3u));
    st_le32(image + 4, off + 4 < REGISTERS_BYTES ? register_read(a, ((unsigned)off & ~3u) + 4) : 0);
    return off % 4 + size > 8 ? 0 : ld_le(image + off % 4, size);
}

static void mmio_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct ahci *a = opaque;

    if (size < 4 || off % 4)
        return;
    register_write(a, (unsigned)off, (u32)value);
    if (size == 8)
        register_write(a, (unsigned)off + 4, (u32)(value >> 32));
}

static const struct mmio_ops registers = {.read = mmio_read, .write = mmio_write};

/* ---- class ----------------------------------------------------------------------------------- */

static void release_drives(struct ahci *a)
{
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        ahci_port_free(&a->port[n]);
        ata_destroy(&a->port[n].ata);
    }
}

bool ahci_plug(struct ahci *a, unsigned port, const char *id, struct err *e)
{
    struct ahci_port *p = &a->port[port];

    if (port >= AHCI_PORTS)
        return err_usage(e, "device ahci: there is no port %u: they are 0 to %u", port,
                         AHCI_PORTS - 1);
    if (p->ata.drive)
        return err_usage(e, "device ahci: two drives at port %u", port);
    if (!ata_init(&p->ata, a->pci.dev.env->drives, id, &ahci_host, p, port, e))
        return false;
    ahci_port_link(p);
    return true;
}

static bool ahci_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x8086,
                                     .device = 0x2922,
                                     .revision = 2,
                                     .class_code = 0x0106,
                                     .prog_if = 0x01,
                                     .interrupt_pin = 1};
    struct ahci *a = (struct ahci *)d;
    int devfn = d->env->pci ? pci_free_devfn(d->env->pci) : 0;

    if (devfn < 0)
        return err_usage(e, "device ahci: the PCI bus is full");
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &a->port[n];

        p->ahci = a;
        p->slot = AHCI_NO_SLOT;
        if (!ata_init(&p->ata, d->env->drives, a->drive_id[n], &ahci_host, p, n, e)) {
            release_drives(a);
            return false;
        }
    }
    if (!pci_func_init(&a->pci, (u8)devfn, &id, e)) {
        release_drives(a);
        return false;
    }
    pci_msi_init(&a->msi, &a->pci);
    pci_bar_mem(&a->pci, REGISTERS_BAR, REGISTERS_BYTES, 0, "ahci registers", &registers, a);
    return true;
}

static void ahci_destroy(struct dev *d)
{
    struct ahci *a = (struct ahci *)d;

    release_drives(a);
    pci_func_destroy(&a->pci);
}

static void ahci_reset(struct dev *d)
{
    struct ahci *a = (struct ahci *)d;

    pci_msi_reset(&a->msi);
    pci_func_reset(&a->pci);
    reset_ports(a);
}

/* Of a drained controller nothing is under way; a state that says otherwise is not believed. */
static void ahci_loaded(struct dev *d)
{
    struct ahci *a = (struct ahci *)d;

    pci_func_loaded(&a->pci);
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &a->port[n];

        p->cmd = (p->cmd & (PXCMD_WRITABLE | AHCI_PXCMD_CR | AHCI_PXCMD_FR)) | PXCMD_FIXED;
        ata_loaded(&p->ata);
        if (p->ata.phase == ATA_PACKET || p->ata.phase == ATA_PIO_IN || p->ata.phase == ATA_PIO_OUT)
            ata_reset(&p->ata, false);
        if (p->ata.phase == ATA_IDLE)
            p->slot = AHCI_NO_SLOT;
    }
    a->is &= (u32)mask64(AHCI_PORTS);
    a->ghc = GHC_AE | (a->ghc & GHC_IE);
}

static const struct dev_prop ahci_props[] = {
    {"hd0", PROP_STRING, offsetof(struct ahci, drive_id[0]), 0, 0, 0, "drive of port 0"},
    {"hd1", PROP_STRING, offsetof(struct ahci, drive_id[1]), 0, 0, 0, "drive of port 1"},
    {"hd2", PROP_STRING, offsetof(struct ahci, drive_id[2]), 0, 0, 0, "drive of port 2"},
    {"hd3", PROP_STRING, offsetof(struct ahci, drive_id[3]), 0, 0, 0, "drive of port 3"},
    {"hd4", PROP_STRING, offsetof(struct ahci, drive_id[4]), 0, 0, 0, "drive of port 4"},
    {"hd5", PROP_STRING, offsetof(struct ahci, drive_id[5]), 0, 0, 0, "drive of port 5"},
    DEV_PROP_END,
};

/* clang-format off */
#define PORT_FIELDS(n)                                                                             \
    DEV_FIELD(struct ahci, port[n].clb, 0, ~0ull, "command list"),                                 \
    DEV_FIELD(struct ahci, port[n].fb, 0, ~0ull, "received FISes"),                                \
    DEV_FIELD(struct ahci, port[n].is, 0, 0xffffffff, "interrupt causes"),                         \
    DEV_FIELD(struct ahci, port[n].ie, 0, 0xffffffff, "causes that pass"),                         \
    DEV_FIELD(struct ahci, port[n].cmd, 0, 0xffffffff, "command and status"),                      \
    DEV_FIELD(struct ahci, port[n].tfd, 0, 0xffff, "task file: status and error"),                 \
    DEV_FIELD(struct ahci, port[n].sig, 0, 0xffffffff, "signature"),                               \
    DEV_FIELD(struct ahci, port[n].ssts, 0, 0xfff, "link"),                                        \
    DEV_FIELD(struct ahci, port[n].sctl, 0, 0xfff, "link control"),                                \
    DEV_FIELD(struct ahci, port[n].serr, 0, 0xffffffff, "link errors"),                            \
    DEV_FIELD(struct ahci, port[n].sact, 0, 0xffffffff, "queued commands"),                        \
    DEV_FIELD(struct ahci, port[n].ci, 0, 0xffffffff, "commands issued"),                          \
    DEV_FIELD(struct ahci, port[n].slot, 0, AHCI_NO_SLOT, "the command that runs"),                \
    DEV_FIELD(struct ahci, port[n].transfer.regions, 0, ~0ull, "its regions"),                     \
    DEV_FIELD(struct ahci, port[n].transfer.count, 0, 0xffff, "how many there are"),               \
    DEV_FIELD(struct ahci, port[n].transfer.region, 0, 0xffff, "the one that is next"),            \
    DEV_FIELD(struct ahci, port[n].transfer.offset, 0, 0x3fffff, "and its next byte"),             \
    DEV_FIELD(struct ahci, port[n].transfer.moved, 0, 0xffffffff, "bytes moved"),                  \
    DEV_FIELD(struct ahci, port[n].halted, 0, 1, "an error stopped the list"),                     \
    DEV_FIELD(struct ahci, port[n].resetting, 0, 1, "software reset under way"),                   \
    ATA_FIELDS(struct ahci, port[n].ata)

static const struct dev_field ahci_fields[] = {
    PCI_FUNC_FIELDS(struct ahci),
    DEV_FIELD(struct ahci, ghc, 0, 0xffffffff, "global host control"),
    DEV_FIELD(struct ahci, is, 0, 0xffffffff, "ports with interrupts"),
    PORT_FIELDS(0),
    PORT_FIELDS(1),
    PORT_FIELDS(2),
    PORT_FIELDS(3),
    PORT_FIELDS(4),
    PORT_FIELDS(5),
    DEV_FIELD_END,
};
/* clang-format on */

const struct dev_class ahci_class = {
    .name = "ahci",
    .doc = "AHCI controller with six SATA ports (ICH9)",
    .size = sizeof(struct ahci),
    .props = ahci_props,
    .fields = ahci_fields,
    .user_creatable = true,
    .init = ahci_init,
    .reset = ahci_reset,
    .loaded = ahci_loaded,
    .destroy = ahci_destroy,
};
