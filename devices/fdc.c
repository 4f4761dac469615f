/*
 * fdc.c: floppy disk controller.
 *
 * Specification: Intel 82077AA data sheet (290166), sections 2 (registers), 4 to 6 (commands).
 *
 * Not implemented: transfers without DMA (they end abnormally), deleted data marks, READ TRACK and
 * SCAN commands, sectors of other than 512 bytes, media other than those of the table, tape drives.
 */
#include "devices/fdc.h"

#include "devices/iobus.h"

#include <errno.h>
#include <string.h>

#define DOR_SELECT 0x03u
#define DOR_RUN BIT(2) /* 0: reset */
#define DOR_DMA BIT(3)
#define DOR_MOTOR0 BIT(4)

#define MSR_BUSY BIT(4)
#define MSR_TO_HOST BIT(6)
#define MSR_READY BIT(7)

#define ST0_SEEK_END 0x20u
#define ST0_ABNORMAL 0x40u
#define ST0_INVALID 0x80u
#define ST0_CHANGED 0xc0u
#define ST1_NO_DATA 0x04u
#define ST1_NOT_WRITABLE 0x02u
#define ST1_DATA_ERROR 0x20u

enum { COMMAND, EXECUTION, RESULT, PHASES };

static void finish(struct fdc *f, u8 st0, u8 st1);

/* ---- media ----------------------------------------------------------------------------------- */

static const struct fdc_geometry geometries[] = {
    {40, 1, 8}, {40, 1, 9},  {40, 2, 8},  {40, 2, 9},
    {80, 2, 9}, {80, 2, 15}, {80, 2, 18}, {80, 2, 36},
};

/* The smallest medium that holds the image. */
static struct fdc_geometry geometry(const struct drive *d)
{
    for (unsigned n = 0; n < ARRAY_SIZE(geometries); n++) {
        const struct fdc_geometry *g = &geometries[n];

        if (drive_bytes(d) <= (u64)g->cylinders * g->heads * g->sectors * FDC_SECTOR)
            return *g;
    }
    return geometries[ARRAY_SIZE(geometries) - 1];
}

u8 fdc_cmos_type(const struct fdc *f, unsigned n)
{
    return !f->drive[n] ? 0 : geometry(f->drive[n]).sectors > 18 ? 5 : 4;
}

static unsigned unit_of(const struct fdc *f)
{
    return f->fifo[1] & 3;
}

static struct drive *drive_of(const struct fdc *f)
{
    return unit_of(f) < FDC_DRIVES ? f->drive[unit_of(f)] : NULL;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void interrupt(struct fdc *f)
{
    if (f->dor & DOR_DMA && !f->irq.level)
        irq_set(&f->irq, true);
}

static void result(struct fdc *f, unsigned len)
{
    f->phase = RESULT;
    f->pos = 0;
    f->len = (u8)len;
}

static void idle(struct fdc *f)
{
    f->phase = COMMAND;
    f->pos = f->len = 0;
}

static void result_one(struct fdc *f, u8 value)
{
    f->fifo[0] = value;
    result(f, 1);
}

/* Seven bytes: status, and where the next sector would be. */
static void finish(struct fdc *f, u8 st0, u8 st1)
{
    u8 unit = (u8)unit_of(f), n = f->fifo[5], cylinder = f->fifo[2];

    st0 |= (u8)(unit | f->head << 2);
    f->fifo[0] = st0;
    f->fifo[1] = st1;
    f->fifo[2] = 0;
    f->fifo[3] = cylinder;
    f->fifo[4] = f->head;
    f->fifo[5] = f->sector;
    f->fifo[6] = n;
    result(f, 7);
    interrupt(f);
}

/* ---- reading and writing --------------------------------------------------------------------- */

static void next_sector(struct fdc *f);

static bool is_write(const struct fdc *f)
{
    return (f->fifo[0] & 0x1f) != 0x06;
}

/* Behind the last sector of a track the other head goes on, if the command says so; behind that one
 * the result names the next cylinder (table 6-6), to which the heads do not move. */
static void advance(struct fdc *f)
{
    if (f->sector < f->last) {
        f->sector++;
        return;
    }
    f->sector = 1;
    if (!f->multi_track || f->head)
        f->fifo[2]++;
    if (f->multi_track)
        f->head ^= 1;
}

static void sector_moved(struct fdc *f, bool terminal)
{
    advance(f);
    if (terminal)
        finish(f, 0, 0);
    else if (f->fifo[2] != f->cylinder[unit_of(f)])
        finish(f, ST0_ABNORMAL, 0x80); /* end of cylinder */
    else
        next_sector(f);
}

static void sector_done(struct drive_request *r)
{
    struct fdc *f = r->opaque;
    bool terminal = f->terminal;

    if (f->dropped)
        return;
    if (r->error) {
        finish(f, ST0_ABNORMAL, r->op == DRIVE_READ ? ST1_DATA_ERROR : ST1_NOT_WRITABLE);
        return;
    }
    if (r->op == DRIVE_READ &&
        f->dma(f->dma_opaque, f->buf, FDC_SECTOR, true, &terminal) < FDC_SECTOR && !terminal)
        finish(f, ST0_ABNORMAL, 0x10); /* overrun: nobody took the data */
    else
        sector_moved(f, terminal);
}

static void submit(struct fdc *f, u64 sector)
{
    f->request = (struct drive_request){.op = is_write(f) ? DRIVE_WRITE : DRIVE_READ,
                                        .offset = sector * FDC_SECTOR,
                                        .len = FDC_SECTOR,
                                        .buf = f->buf,
                                        .done = sector_done,
                                        .opaque = f};
    drive_submit(drive_of(f), &f->request);
}

static void next_sector(struct fdc *f)
{
    struct fdc_geometry g = geometry(drive_of(f));
    u64 cylinder = f->cylinder[unit_of(f)];

    if (!f->sector || f->sector > g.sectors || f->head >= g.heads || cylinder >= g.cylinders) {
        finish(f, ST0_ABNORMAL, ST1_NO_DATA);
        return;
    }
    f->terminal = false;
    if (is_write(f)) {
        memset(f->buf, 0, sizeof f->buf); /* a count that ends inside a sector: zeroes follow */
        if (f->dma(f->dma_opaque, f->buf, FDC_SECTOR, false, &f->terminal) < FDC_SECTOR &&
            !f->terminal) {
            finish(f, ST0_ABNORMAL, 0x10);
            return;
        }
    }
    submit(f, (cylinder * g.heads + f->head) * g.sectors + f->sector - 1);
}

static void read_or_write(struct fdc *f)
{
    f->head = f->fifo[1] >> 2 & 1;
    f->sector = f->fifo[4];
    f->last = f->fifo[6];
    f->multi_track = f->fifo[0] & 0x80;
    f->phase = EXECUTION;
    if (!drive_has_medium(drive_of(f)) || !f->dma || f->specify[1] & 1 || f->fifo[5] != 2 ||
        f->fifo[2] != f->cylinder[unit_of(f)])
        finish(f, ST0_ABNORMAL, ST1_NO_DATA);
    else if (is_write(f) && drive_readonly(drive_of(f)))
        finish(f, ST0_ABNORMAL, ST1_NOT_WRITABLE);
    else
        next_sector(f);
}

/* The sector that comes by next. */
static void read_id(struct fdc *f)
{
    f->head = f->fifo[1] >> 2 & 1;
    f->sector = 1;
    f->fifo[2] = f->cylinder[unit_of(f)];
    f->fifo[5] = 2;
    if (!drive_has_medium(drive_of(f)) || f->head >= geometry(drive_of(f)).heads ||
        f->cylinder[unit_of(f)] >= geometry(drive_of(f)).cylinders)
        finish(f, ST0_ABNORMAL, 0x01); /* no address mark */
    else
        finish(f, 0, 0);
}

/* ---- heads ----------------------------------------------------------------------------------- */

static void seek_to(struct fdc *f, u8 cylinder)
{
    unsigned n = unit_of(f);

    f->cylinder[n] = cylinder;
    f->sense[n] = (u8)(ST0_SEEK_END | n | (f->fifo[1] & 4));
    f->sense_pending |= (u8)BIT(n);
    if (n >= FDC_DRIVES || !f->drive[n])
        f->sense[n] |= ST0_ABNORMAL | 0x10; /* no track 0 signal */
    else if (drive_has_medium(f->drive[n]))
        f->changed &= (u8)~BIT(n);
    idle(f);
    interrupt(f);
}

static void recalibrate(struct fdc *f)
{
    f->fifo[1] &= 3;
    seek_to(f, 0);
}

static void seek(struct fdc *f)
{
    seek_to(f, f->fifo[2]);
}

static void sense_interrupt(struct fdc *f)
{
    irq_set(&f->irq, false);
    for (unsigned n = 0; n < 4; n++)
        if (f->sense_pending >> n & 1) {
            f->sense_pending &= (u8)~BIT(n);
            f->fifo[0] = f->sense[n];
            f->fifo[1] = f->cylinder[n];
            result(f, 2);
            return;
        }
    result_one(f, ST0_INVALID);
}

static void sense_drive(struct fdc *f)
{
    const struct drive *d = drive_of(f);

    result_one(f, (u8)((f->fifo[1] & 7) | 0x28 | (f->cylinder[unit_of(f)] ? 0 : 0x10) |
                       (drive_readonly(d) ? 0x40 : 0)));
}

/* ---- settings -------------------------------------------------------------------------------- */

static void specify(struct fdc *f)
{
    memcpy(f->specify, f->fifo + 1, 2);
    idle(f);
}

static void configure(struct fdc *f)
{
    memcpy(f->configure, f->fifo + 1, 3);
    idle(f);
}

static void perpendicular(struct fdc *f)
{
    idle(f);
}

static void lock(struct fdc *f)
{
    f->locked = f->fifo[0] >> 7;
    result_one(f, (u8)(f->locked << 4));
}

static void version(struct fdc *f)
{
    result_one(f, 0x90);
}

static void dump_registers(struct fdc *f)
{
    u8 last = f->last;

    memcpy(f->fifo, f->cylinder, 4);
    memcpy(f->fifo + 4, f->specify, 2);
    f->fifo[6] = last;
    f->fifo[7] = (u8)(f->locked << 7);
    memcpy(f->fifo + 8, f->configure + 1, 2);
    result(f, 10);
}

/* Every sector of the track is filled; the addresses that DMA brings are taken for granted. */
static void format_track(struct fdc *f)
{
    u8 pattern = f->fifo[5];

    f->head = f->fifo[1] >> 2 & 1;
    f->sector = 1;
    f->fifo[5] = f->fifo[2];
    f->fifo[2] = f->cylinder[unit_of(f)];
    if (!drive_has_medium(drive_of(f)) || drive_readonly(drive_of(f))) {
        finish(f, ST0_ABNORMAL, ST1_NOT_WRITABLE);
        return;
    }
    struct fdc_geometry g = geometry(drive_of(f));
    u64 track = (u64)f->cylinder[unit_of(f)] * g.heads + f->head;

    memset(f->buf, pattern, sizeof f->buf);
    for (unsigned n = 0; n < g.sectors; n++)
        if (drive_write(drive_of(f), (track * g.sectors + n) * FDC_SECTOR, f->buf, FDC_SECTOR)) {
            finish(f, ST0_ABNORMAL, ST1_NO_DATA);
            return;
        }
    finish(f, 0, 0);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
    u8 code, mask, len;
    void (*run)(struct fdc *f);
} commands[] = {
    {0x03, 0xff, 3, specify},       {0x04, 0xff, 2, sense_drive},  {0x05, 0x3f, 9, read_or_write},
    {0x06, 0x1f, 9, read_or_write}, {0x07, 0xff, 2, recalibrate},  {0x08, 0xff, 1, sense_interrupt},
    {0x0a, 0xbf, 2, read_id},       {0x0d, 0xbf, 6, format_track}, {0x0e, 0xff, 1, dump_registers},
    {0x0f, 0xff, 3, seek},          {0x10, 0xff, 1, version},      {0x12, 0xff, 2, perpendicular},
    {0x13, 0xff, 4, configure},     {0x14, 0x7f, 1, lock},
};

static void fifo_write(struct fdc *f, u8 value)
{
    if (f->phase != COMMAND || !(f->dor & DOR_RUN))
        return;
    if (f->pos < sizeof f->fifo)
        f->fifo[f->pos++] = value;
    for (unsigned n = 0; n < ARRAY_SIZE(commands); n++)
        if ((f->fifo[0] & commands[n].mask) == commands[n].code) {
            if (f->pos >= commands[n].len) {
                TRACE(fdc_command, f->fifo[0], f->fifo[1], f->fifo[2], f->fifo[4]);
                commands[n].run(f);
            }
            return;
        }
    result_one(f, ST0_INVALID);
}

static u8 fifo_read(struct fdc *f)
{
    u8 v;

    if (f->phase != RESULT)
        return 0;
    irq_set(&f->irq, false);
    v = f->fifo[f->pos++];
    if (f->pos >= f->len)
        idle(f);
    return v;
}

/* ---- registers ------------------------------------------------------------------------------- */

/* After a reset every drive reports once (section 5.2.4, polling). */
static void controller_reset(struct fdc *f)
{
    f->dropped = true;
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        drive_drain(f->drive[n]);
    f->dropped = false;
    irq_set(&f->irq, false);
    idle(f);
    f->sense_pending = 0;
    memset(f->cylinder, 0, sizeof f->cylinder);
    if (!f->locked)
        memset(f->configure, 0, sizeof f->configure);
}

static void dor_write(struct fdc *f, u8 value)
{
    u8 old = f->dor;

    f->dor = value;
    if (!(value & DOR_RUN)) {
        controller_reset(f);
    } else if (!(old & DOR_RUN)) {
        f->sense_pending = 0x0f;
        for (u8 n = 0; n < 4; n++)
            f->sense[n] = ST0_CHANGED | n;
        interrupt(f);
    }
}

static u8 status(const struct fdc *f)
{
    u8 v = f->phase == COMMAND && !f->pos ? 0 : MSR_BUSY;

    if (!(f->dor & DOR_RUN) || f->phase == EXECUTION)
        return v;
    return v | MSR_READY | (f->phase == RESULT ? MSR_TO_HOST : 0);
}

static u32 fdc_read(void *opaque, u16 port, unsigned size)
{
    struct fdc *f = opaque;
    unsigned n = f->dor & DOR_SELECT;

    (void)size;
    switch (port) {
    case 0x3f2: return f->dor;
    case 0x3f4: return status(f);
    case 0x3f5: return fifo_read(f);
    case 0x3f7: return f->dor & (DOR_MOTOR0 << n) && f->changed >> n & 1 ? 0x80 : 0;
    default: return 0;
    }
}

static void fdc_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct fdc *f = opaque;

    (void)size;
    switch (port) {
    case 0x3f2: dor_write(f, (u8)value); break;
    case 0x3f4: /* a reset by itself, which ends by itself */
        if (value & 0x80 && f->dor & DOR_RUN) {
            dor_write(f, f->dor & (u8)~DOR_RUN);
            dor_write(f, f->dor | DOR_RUN);
        }
        f->rate = value & 3;
        break;
    case 0x3f5: fifo_write(f, (u8)value); break;
    case 0x3f7: f->rate = value & 3; break;
    default: break;
    }
}

static const struct io_ops fdc_io = {.read = fdc_read, .write = fdc_write};

/* ---- class ----------------------------------------------------------------------------------- */

static void media_changed(void *opaque)
{
    struct fdc *f = opaque;

    f->changed = 0x03; /* which of the two does not matter: a driver looks */
}

static bool fdc_init(struct dev *d, struct err *e)
{
    struct fdc *f = (struct fdc *)d;

    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        if (!f->drive_id[n])
            continue;
        f->drive[n] = drive_take(d->env->drives, f->drive_id[n], e);
        if (!f->drive[n]) {
            if (n)
                drive_release(f->drive[0]);
            return false;
        }
        f->drive[n]->media_changed = media_changed;
        f->drive[n]->media_opaque = f;
    }
    iobus_add(d->env->io, 0x3f2, 4, "floppy", &fdc_io, d);
    iobus_add(d->env->io, 0x3f7, 1, "floppy", &fdc_io, d);
    return true;
}

static void fdc_destroy(struct dev *d)
{
    struct fdc *f = (struct fdc *)d;

    for (unsigned n = 0; n < FDC_DRIVES; n++)
        drive_release(f->drive[n]);
    iobus_remove(d->env->io, 0x3f2, 4, d);
    iobus_remove(d->env->io, 0x3f7, 1, d);
}

static void fdc_reset(struct dev *d)
{
    struct fdc *f = (struct fdc *)d;

    f->locked = 0;
    controller_reset(f);
    f->dor = DOR_RUN | DOR_DMA; /* as firmware leaves it */
    f->rate = f->head = f->sector = f->last = 0;
    f->multi_track = f->terminal = false;
    memset(f->fifo, 0, sizeof f->fifo);
    memset(f->sense, 0, sizeof f->sense);
    memset(f->specify, 0, sizeof f->specify);
    f->changed = 0x03;
}

/* A request is never part of a saved state. */
static void fdc_loaded(struct dev *d)
{
    struct fdc *f = (struct fdc *)d;

    if (f->phase == EXECUTION || (f->phase == RESULT && f->pos >= f->len))
        idle(f);
    irq_set(&f->irq, f->irq.level);
}

static const struct dev_prop fdc_props[] = {
    {"fd0", PROP_STRING, offsetof(struct fdc, drive_id[0]), 0, 0, 0, "drive A"},
    {"fd1", PROP_STRING, offsetof(struct fdc, drive_id[1]), 0, 0, 0, "drive B"},
    DEV_PROP_END,
};

static const struct dev_field fdc_fields[] = {
    DEV_FIELD(struct fdc, irq.level, 0, 1, "interrupt"),
    DEV_FIELD(struct fdc, dor, 0, 0xff, "digital output register"),
    DEV_FIELD(struct fdc, phase, 0, PHASES - 1, "phase"),
    DEV_FIELD(struct fdc, rate, 0, 3, "data rate"),
    DEV_FIELD_ARRAY(struct fdc, fifo, 0, 0xff, "command or result"),
    DEV_FIELD(struct fdc, pos, 0, 15, "place in it"),
    DEV_FIELD(struct fdc, len, 0, 15, "length of the result"),
    DEV_FIELD_ARRAY(struct fdc, cylinder, 0, 0xff, "cylinders"),
    DEV_FIELD_ARRAY(struct fdc, sense, 0, 0xff, "ST0 by drive"),
    DEV_FIELD(struct fdc, sense_pending, 0, 15, "drives with something to say"),
    DEV_FIELD_ARRAY(struct fdc, specify, 0, 0xff, "SPECIFY"),
    DEV_FIELD_ARRAY(struct fdc, configure, 0, 0xff, "CONFIGURE"),
    DEV_FIELD(struct fdc, locked, 0, 1, "LOCK"),
    DEV_FIELD(struct fdc, changed, 0, 3, "disk change lines"),
    DEV_FIELD(struct fdc, head, 0, 1, "head"),
    DEV_FIELD(struct fdc, sector, 0, 0xff, "sector"),
    DEV_FIELD(struct fdc, last, 0, 0xff, "last sector of the track"),
    DEV_FIELD(struct fdc, multi_track, 0, 1, "both heads"),
    DEV_FIELD(struct fdc, terminal, 0, 1, "the DMA count has ended"),
    DEV_FIELD_END,
};

const struct dev_class fdc_class = {
    .name = "isa-fdc",
    .doc = "82077AA floppy disk controller",
    .size = sizeof(struct fdc),
    .props = fdc_props,
    .fields = fdc_fields,
    .init = fdc_init,
    .reset = fdc_reset,
    .loaded = fdc_loaded,
    .destroy = fdc_destroy,
};
