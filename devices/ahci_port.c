/*
 * ahci_port.c: a port of the AHCI controller: its command list, the FISes of its device, and queued
 * commands (ahci.h).
 *
 * Specification: AHCI 1.3.1, sections 4 (structures in memory), 5 (state machines) and 6 (errors).
 *
 * A command that is not queued is the drive's business (ata.c), one at a time; queued ones run
 * beside each other here, each with a request of its own, in pieces of QUEUED_BYTES.
 *
 * Where software breaks the rules: a command that is not queued waits for the queued ones to end; a
 * device with no room for its data waits for a reset.
 *
 * Not implemented: PIO setup FISes but for the one that ends a PIO read, DMA setup FISes, BIST.
 */
#include "devices/ahci.h"

#include "base/bits.h"
#include "mmu/dma.h"

#include <errno.h>
#include <stdlib.h>

#define QUEUED_BYTES (256 * KIB)
#define BUFFER_ALIGN 4096u /* O_DIRECT wants it */

/* In memory. */
#define HEADER_BYTES 32u
#define HEADER_ATAPI BIT(5)
#define TABLE_PACKET 0x40u
#define TABLE_REGIONS 0x80u
#define REGION_BYTES 16u
#define REGION_COUNT 0x3fffffu /* bytes less one */
#define REGION_INTERRUPT BIT(31)
#define RECEIVED_PIO 0x20u
#define RECEIVED_REGISTER 0x40u
#define RECEIVED_BITS 0x58u

#define FIS_TO_DEVICE 0x27u
#define FIS_TO_HOST 0x34u
#define FIS_PIO_SETUP 0x5fu
#define FIS_DEVICE_BITS 0xa1u
#define FIS_INTERRUPT BIT(6)
#define FIS_TO_HOST_PIO BIT(5) /* PIO setup: the direction */
#define FIS_COMMAND BIT(7)     /* the FIS bears a command, not device control */

#define CONTROL_AT 15u /* in a FIS to the device */
#define CCS_SHIFT 8u
#define CCS_MASK 0x1f00u

#define SIGNATURE_DISK 0x00000101u
#define SIGNATURE_PACKET 0xeb140101u

#define SSTS_UP 0x123u /* device, 3 Gb/s, active */

enum { READ_QUEUED = 0x60, WRITE_QUEUED = 0x61 };

/* ---- memory ---------------------------------------------------------------------------------- */

static bool is_master(const struct ahci_port *p)
{
    return ld_le16(p->ahci->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static struct phys *memory(const struct ahci_port *p)
{
    return p->ahci->pci.dev.env->phys;
}

static void halt(struct ahci_port *p, u32 cause)
{
    p->halted = true;
    ahci_port_raise(p, cause);
}

/* The region where the transfer stands: its address there, and the bytes left. */
static bool look_region(struct ahci_port *p, struct ahci_transfer *t, u64 *at, u32 *left,
                        bool *interrupt)
{
    u8 d[REGION_BYTES];
    u32 bytes;

    if (t->region == t->count) {
        ahci_port_raise(p, AHCI_PXIS_OFS);
        return false;
    }
    if (!is_master(p) || !dma_read(memory(p), t->regions + REGION_BYTES * t->region, d, sizeof d)) {
        halt(p, AHCI_PXIS_HBFS);
        return false;
    }
    bytes = (ld_le32(d + 12) & REGION_COUNT) + 1;
    bytes += bytes & 1;     /* counts are even */
    if (t->offset >= bytes) /* software changed it under way */
        t->offset = bytes - 1;
    *at = (ld_le64(d) & ~1ull) + t->offset;
    *left = bytes - t->offset;
    *interrupt = ld_le32(d + 12) & REGION_INTERRUPT;
    return true;
}

static bool move(struct ahci_port *p, struct ahci_transfer *t, u8 *buf, u32 len, bool to_guest)
{
    while (len) {
        bool interrupt;
        u32 n, left;
        u64 at;

        if (!look_region(p, t, &at, &left, &interrupt))
            return false;
        n = len < left ? len : left;
        if (!(to_guest ? dma_write(memory(p), at, buf, n) : dma_read(memory(p), at, buf, n))) {
            halt(p, AHCI_PXIS_HBFS);
            return false;
        }
        buf += n;
        len -= n;
        t->moved += n;
        t->offset += n;
        if (n < left)
            continue;
        t->region++;
        t->offset = 0;
        if (interrupt)
            ahci_port_raise(p, AHCI_PXIS_DPS);
    }
    return true;
}

/* ---- FISes to the host ----------------------------------------------------------------------- */

static void receive(const struct ahci_port *p, unsigned at, const u8 *fis, unsigned bytes)
{
    if (p->cmd & AHCI_PXCMD_FRE && is_master(p))
        dma_write(memory(p), p->fb + at, fis, bytes);
}

/* The registers as a FIS has them. */
static void fill(const struct ata *a, u8 fis[20])
{
    fis[2] = a->status;
    fis[3] = a->error;
    fis[4] = a->now[ATA_LBA_LOW];
    fis[5] = a->now[ATA_LBA_MID];
    fis[6] = a->now[ATA_LBA_HIGH];
    fis[7] = a->now[ATA_DEVICE];
    fis[8] = a->before[ATA_LBA_LOW];
    fis[9] = a->before[ATA_LBA_MID];
    fis[10] = a->before[ATA_LBA_HIGH];
    fis[12] = a->now[ATA_COUNT];
    fis[13] = a->before[ATA_COUNT];
}

static void set_task_file(struct ahci_port *p)
{
    p->tfd = (u32)p->ata.error << 8 | p->ata.status;
}

static void send_registers(struct ahci_port *p, bool interrupt)
{
    u8 fis[20] = {FIS_TO_HOST, interrupt ? FIS_INTERRUPT : 0};

    fill(&p->ata, fis);
    set_task_file(p);
    receive(p, RECEIVED_REGISTER, fis, sizeof fis);
    if (interrupt)
        ahci_port_raise(p, AHCI_PXIS_DHRS);
}

/* The end of a PIO read: the status stands as that of the end in the setup of its last data. */
static void send_pio_setup(struct ahci_port *p)
{
    u8 fis[20] = {FIS_PIO_SETUP, FIS_INTERRUPT | FIS_TO_HOST_PIO};

    fill(&p->ata, fis);
    fis[2] |= ATA_STATUS_DRQ;
    fis[15] = p->ata.status;
    st_le16(fis + 16, (u16)p->transfer.moved);
    set_task_file(p);
    receive(p, RECEIVED_PIO, fis, sizeof fis);
    ahci_port_raise(p, AHCI_PXIS_PSS);
}

/* Queued commands that ended; with `error`, that one failed. */
static void send_bits(struct ahci_port *p, u32 ended, u8 error)
{
    u8 fis[8] = {FIS_DEVICE_BITS, FIS_INTERRUPT};

    if (!error)
        p->ata.status &= (u8)~ATA_STATUS_ERR;
    p->ata.error = error;
    fis[2] = p->ata.status & 0x77;
    fis[3] = error;
    st_le32(fis + 4, ended);
    p->tfd = (u32)error << 8 | (p->tfd & 0x88) | fis[2];
    p->sact &= ~ended;
    receive(p, RECEIVED_BITS, fis, sizeof fis);
    ahci_port_raise(p, AHCI_PXIS_SDBS);
}

/* A reset of the device ends with its signature. */
static void send_signature(struct ahci_port *p)
{
    p->sig = p->ata.atapi ? SIGNATURE_PACKET : SIGNATURE_DISK;
    send_registers(p, false);
}

/* ---- commands that are not queued ------------------------------------------------------------ */

static u64 header_of(const struct ahci_port *p, u32 slot)
{
    return p->clb + HEADER_BYTES * slot;
}

static void finish(struct ahci_port *p)
{
    struct ata *a = &p->ata;

    dma_write32(memory(p), header_of(p, p->slot) + 4, p->transfer.moved);
    if (a->status & ATA_STATUS_ERR) {
        send_registers(p, true);
        p->slot = AHCI_NO_SLOT;
        halt(p, AHCI_PXIS_TFES);
        return;
    }
    p->ci &= ~BIT(p->slot);
    p->slot = AHCI_NO_SLOT;
    if (a->by_pio && !a->is_write && !a->atapi)
        send_pio_setup(p);
    else
        send_registers(p, true);
}

static void command_ended(void *opaque, unsigned unit)
{
    struct ahci_port *p = opaque;

    (void)unit;
    if (p->slot == AHCI_NO_SLOT) /* the list was stopped meanwhile */
        return;
    finish(p);
    ahci_port_run(p);
}

static bool memory_is_known(void *opaque, unsigned unit)
{
    const struct ahci_port *p = opaque;

    (void)unit;
    return p->slot != AHCI_NO_SLOT;
}

static bool move_data(void *opaque, unsigned unit, u8 *buf, u32 len, bool to_guest)
{
    struct ahci_port *p = opaque;

    (void)unit;
    return p->slot != AHCI_NO_SLOT && move(p, &p->transfer, buf, len, to_guest);
}

static void data_moved(void *opaque, unsigned unit)
{
    (void)opaque;
    (void)unit;
}

const struct ata_host ahci_host = {.interrupt = command_ended,
                                   .dma_ready = memory_is_known,
                                   .dma = move_data,
                                   .dma_end = data_moved,
                                   .serial = true};

static void load_registers(struct ata *a, const u8 fis[20])
{
    a->before[ATA_FEATURE] = fis[11];
    a->now[ATA_FEATURE] = fis[3];
    a->before[ATA_COUNT] = fis[13];
    a->now[ATA_COUNT] = fis[12];
    a->before[ATA_LBA_LOW] = fis[8];
    a->now[ATA_LBA_LOW] = fis[4];
    a->before[ATA_LBA_MID] = fis[9];
    a->now[ATA_LBA_MID] = fis[5];
    a->before[ATA_LBA_HIGH] = fis[10];
    a->now[ATA_LBA_HIGH] = fis[6];
    a->now[ATA_DEVICE] = fis[7];
}

static void start_command(struct ahci_port *p, u32 slot, u64 table, const u8 fis[20])
{
    struct ata *a = &p->ata;
    u8 packet[16];

    p->slot = slot;
    if (a->phase != ATA_IDLE) /* a device that hangs answers nothing but a reset */
        return;
    load_registers(a, fis);
    ata_start(a, fis[2]);
    if (a->phase == ATA_PACKET) {
        if (dma_read(memory(p), table + TABLE_PACKET, packet, sizeof packet))
            ata_packet(a, packet);
        else
            halt(p, AHCI_PXIS_HBFS);
    }
    /* DEVICE RESET ends without an interrupt, but a FIS tells of it. */
    if (p->slot == slot && a->phase == ATA_IDLE)
        finish(p);
}

/* ---- queued commands ------------------------------------------------------------------------- */

static void queued_failed(struct ahci_port *p, struct ahci_queued *q, u8 error)
{
    ata_queued_failed(&p->ata, q->slot, error, q->lba, q->left);
    /* The device aborts all others too; software finds them in PxSACT. */
    p->dropped = true;
    drive_drain(p->ata.drive);
    p->dropped = false;
    send_bits(p, 0, error);
    halt(p, AHCI_PXIS_TFES);
}

static void queued_done(struct drive_request *r);

static void queued_next(struct ahci_port *p, struct ahci_queued *q)
{
    u32 sectors = q->left < QUEUED_BYTES / SECTOR_BYTES ? q->left : QUEUED_BYTES / SECTOR_BYTES;
    u32 bytes = sectors * SECTOR_BYTES;

    if (!q->left) {
        send_bits(p, BIT(q->slot), 0);
        return;
    }
    if (bytes > q->cap) {
        free(q->buf);
        q->cap = (u32)align_up(bytes, BUFFER_ALIGN);
        q->buf = aligned_alloc(BUFFER_ALIGN, q->cap);
        BUG_ON(!q->buf);
    }
    if (q->write && !move(p, &q->transfer, q->buf, bytes, false))
        return;
    q->request = (struct drive_request){.op = q->write ? DRIVE_WRITE : DRIVE_READ,
                                        .offset = q->lba * SECTOR_BYTES,
                                        .len = bytes,
                                        .buf = q->buf,
                                        .fua = q->write && (q->fua || !p->ata.write_cache),
                                        .done = queued_done,
                                        .opaque = q};
    drive_submit(p->ata.drive, &q->request);
}

static void queued_done(struct drive_request *r)
{
    struct ahci_queued *q = r->opaque;
    struct ahci_port *p = q->port;

    if (p->dropped)
        return;
    if (r->error) {
        queued_failed(p, q, q->write ? ATA_ERROR_ABRT : ATA_ERROR_UNC);
        return;
    }
    if (!q->write && !move(p, &q->transfer, q->buf, (u32)r->len, true))
        return;
    q->lba += r->len / SECTOR_BYTES;
    q->left -= (u32)(r->len / SECTOR_BYTES);
    queued_next(p, q);
    ahci_port_run(p);
}

static struct ahci_queued *queued_of(struct ahci_port *p, u32 slot)
{
    struct ahci_queued *q = p->queued[slot];

    if (q)
        return q;
    q = p->queued[slot] = calloc(1, sizeof *q);
    BUG_ON(!q);
    q->port = p;
    q->slot = (u8)slot;
    return q;
}

/* The device takes a queued command by a FIS without BSY, upon which its bit of PxCI goes. */
static void start_queued(struct ahci_port *p, u32 slot, const u8 fis[20],
                         const struct ahci_transfer *t)
{
    struct ahci_queued *q = queued_of(p, slot);
    u32 count = (u32)fis[11] << 8 | fis[3];

    q->write = fis[2] == WRITE_QUEUED;
    q->fua = fis[7] & BIT(7);
    q->lba = (u64)fis[10] << 40 | (u64)fis[9] << 32 | (u64)fis[8] << 24 | (u64)fis[6] << 16 |
             (u64)fis[5] << 8 | fis[4];
    q->left = count ? count : 65536;
    q->transfer = *t;
    p->ata.status &= (u8)~ATA_STATUS_ERR;
    p->ata.error = 0;
    p->ci &= ~BIT(slot);
    send_registers(p, false);
    if (!ata_queued_fits(&p->ata, q->lba, q->left))
        queued_failed(p, q, ATA_ERROR_IDNF);
    else if (q->write && drive_readonly(p->ata.drive))
        queued_failed(p, q, ATA_ERROR_ABRT);
    else
        queued_next(p, q);
}

static bool is_queued(const u8 fis[20])
{
    return fis[2] == READ_QUEUED || fis[2] == WRITE_QUEUED;
}

/* ---- the command list ------------------------------------------------------------------------ */

/* Device control alone: SRST set, then cleared, resets the device. */
static void control(struct ahci_port *p, u32 slot, u8 value)
{
    bool srst = value & ATA_CONTROL_SRST, end = p->resetting && !srst;

    p->resetting = srst;
    p->ci &= ~BIT(slot);
    p->tfd &= ~(u32)ATA_STATUS_BSY;
    if (!end)
        return;
    p->dropped = true;
    ata_reset(&p->ata, false);
    p->dropped = false;
    p->sact = 0;
    send_signature(p);
}

/* False: it cannot start now. */
static bool start(struct ahci_port *p, u32 slot)
{
    struct ahci_transfer t = {0};
    u8 header[16], fis[20];
    u64 table;

    if (!is_master(p) || !dma_read(memory(p), header_of(p, slot), header, sizeof header) ||
        !dma_read(memory(p), table = ld_le64(header + 8) & ~0x7full, fis, sizeof fis)) {
        halt(p, AHCI_PXIS_HBFS);
        return false;
    }
    if (fis[0] != FIS_TO_DEVICE) { /* no device answers that */
        p->halted = true;
        return false;
    }
    t.regions = table + TABLE_REGIONS;
    t.count = ld_le16(header + 2);
    if (fis[1] & FIS_COMMAND && p->sact && !is_queued(fis))
        return false;
    p->cmd = (p->cmd & ~CCS_MASK) | slot << CCS_SHIFT;
    TRACE(ahci_command, p->ata.unit, slot, fis[2],
          (u64)fis[8] << 24 | (u32)fis[6] << 16 | fis[5] << 8 | fis[4],
          is_queued(fis) ? fis[11] << 8 | fis[3] : fis[13] << 8 | fis[12]);
    p->tfd |= ATA_STATUS_BSY;
    if (!(fis[1] & FIS_COMMAND)) {
        control(p, slot, fis[CONTROL_AT]);
    } else if (is_queued(fis) && !p->ata.atapi && p->ata.phase == ATA_IDLE) {
        start_queued(p, slot, fis, &t);
    } else {
        p->transfer = t;
        start_command(p, slot, table, fis);
    }
    return true;
}

/* Slots take turns (5.3.3): the search begins behind the last one. */
static u32 next_slot(const struct ahci_port *p)
{
    u32 last = (p->cmd & CCS_MASK) >> CCS_SHIFT;

    for (u32 n = 1; n <= AHCI_SLOTS; n++)
        if (p->ci & BIT((last + n) % AHCI_SLOTS))
            return (last + n) % AHCI_SLOTS;
    return AHCI_NO_SLOT;
}

static bool can_start(const struct ahci_port *p)
{
    return p->ata.drive && p->cmd & AHCI_PXCMD_ST && p->ci && !p->halted &&
           p->slot == AHCI_NO_SLOT && p->ssts;
}

void ahci_port_run(struct ahci_port *p)
{
    if (p->running) /* a command ended while it was being started */
        return;
    p->running = true;
    for (unsigned n = 0; n < AHCI_SLOTS && can_start(p); n++)
        if (!start(p, next_slot(p)))
            break;
    p->running = false;
}

/* ---- stops and starts ------------------------------------------------------------------------ */

void ahci_port_stop(struct ahci_port *p)
{
    p->slot = AHCI_NO_SLOT;
    p->dropped = true;
    drive_drain(p->ata.drive);
    p->dropped = false;
    p->ci = p->sact = 0;
    p->halted = false;
    p->cmd &= ~CCS_MASK;
}

void ahci_port_link(struct ahci_port *p)
{
    p->resetting = false;
    ata_reset(&p->ata, true);
    if (!p->ata.drive) {
        p->ssts = 0;
        p->tfd = 0x7f;
        p->sig = 0xffffffff;
        return;
    }
    p->ssts = SSTS_UP;
    p->serr |= AHCI_PXSERR_DIAG_X;
    p->is |= AHCI_PXIS_PCS;
    send_signature(p);
    ahci_port_raise(p, 0);
}

void ahci_port_free(struct ahci_port *p)
{
    ahci_port_stop(p);
    for (unsigned n = 0; n < AHCI_SLOTS; n++)
        if (p->queued[n]) {
            free(p->queued[n]->buf);
            free(p->queued[n]);
        }
}
