/*
 * i440fx.c: the host bridge of the 440FX chip set (82441FX PMC).
 *
 * Specification: Intel 82441FX data sheet (290549), section 3.2.
 *
 * Choices: the subsystem ids are QEMU's (1AF4:1100), by which SeaBIOS knows where it runs.
 *
 * Not implemented: what the registers of DRAM timing and sizing and of SMRAM do (they are stored);
 * error reporting.
 */
#include "devices/i440fx.h"

#include "base/bits.h"
#include <string.h>

#define PAM0 0x59
#define PAM_LAST 0x5f
#define DRT 0x55
#define DRB0 0x60
#define SMRAM 0x72
#define ERRSTS 0x91
#define TRC 0x93
#define TRC_RESET BIT(2)

#define REGS_FIRST 0x50 /* chip set registers: 50h to 93h, all stored */
#define REGS_END 0x94

#define SHADOW_BASE 0xc0000u
#define SHADOW_STEP 0x4000u
#define ROM_BASE 0xf0000u /* the first segment, of 64 KiB */
#define ROM_BYTES 0x10000u
#define ROM_WINDOW 0x20000u /* at E0000h: what the ISA bus shows of the ROM */

/* ---- shadow memory (PAM, section 3.2.17) ----------------------------------------------------- */

static u8 *segment_rom(const struct pam_segment *s)
{
    const struct i440fx *h = s->bridge;
    u64 from_end = MIB - s->base;

    return from_end <= ROM_WINDOW && from_end <= h->rom_bytes ? h->rom + h->rom_bytes - from_end
                                                              : NULL;
}

static u8 segment_attributes(const struct pam_segment *s)
{
    const struct i440fx *h = s->bridge;
    unsigned n = (unsigned)(s - h->segment);

    if (n == 0)
        return h->pci.config[PAM0] >> 4 & 3;
    return h->pci.config[PAM0 + 1 + (n - 1) / 2] >> ((n - 1) & 1 ? 4 : 0) & 3;
}

/* Reads and writes that go different ways, or reads that find nothing. */
static u64 segment_read(void *opaque, u64 off, unsigned size)
{
    const u8 *rom = segment_rom(opaque);

    return rom ? ld_le(rom + off, size) : ~0ull;
}

static void segment_write(void *opaque, u64 off, u64 value, unsigned size)
{
    const struct pam_segment *s = opaque;

    if (segment_attributes(s) & PAM_WRITE)
        st_le(s->bridge->pci.dev.env->phys->ram + s->base + off, value, size);
}

static const struct mmio_ops segment_ops = {.read = segment_read, .write = segment_write};

static void segment_apply(struct pam_segment *s)
{
    struct phys *p = s->bridge->pci.dev.env->phys;
    u8 *rom = segment_rom(s);

    switch (segment_attributes(s)) {
    case PAM_READ | PAM_WRITE: phys_region_set(p, s->region, REGION_MMIO, NULL, false); break;
    case PAM_READ: phys_region_set(p, s->region, REGION_ROM, p->ram + s->base, true); break;
    case PAM_WRITE: phys_region_set(p, s->region, REGION_MMIO, NULL, true); break;
    default: phys_region_set(p, s->region, rom ? REGION_ROM : REGION_MMIO, rom, true); break;
    }
}

static void shadow_apply(struct i440fx *h)
{
    for (unsigned n = 0; n < PAM_SEGMENTS; n++)
        segment_apply(&h->segment[n]);
}

static void shadow_init(struct i440fx *h)
{
    for (unsigned n = 0; n < PAM_SEGMENTS; n++) {
        struct pam_segment *s = &h->segment[n];

        s->bridge = h;
        s->base = n ? SHADOW_BASE + (n - 1) * SHADOW_STEP : ROM_BASE;
        s->region = phys_add_mmio(h->pci.dev.env->phys, "pam", s->base, n ? SHADOW_STEP : ROM_BYTES,
                                  &segment_ops, s);
    }
}

void i440fx_set_rom(struct i440fx *h, u8 *rom, u64 bytes)
{
    BUG_ON(bytes % ROM_BYTES);
    h->rom = rom;
    h->rom_bytes = bytes;
    shadow_apply(h);
}

/* ---- configuration space --------------------------------------------------------------------- */

static void i440fx_config_written(struct pci_func *f, unsigned off, unsigned len)
{
    struct i440fx *h = (struct i440fx *)f;

    if (off <= PAM_LAST && off + len > PAM0)
        shadow_apply(h);
    if (off > TRC || off + len <= TRC || !(f->config[TRC] & TRC_RESET))
        return;
    f->config[TRC] &= (u8)~TRC_RESET;
    TRACE(reset_request, "82441FX TRC");
    irq_set(&h->reset, true);
    irq_set(&h->reset, false);
}

static bool i440fx_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x8086, .device = 0x1237, .revision = 2, .class_code = 0x0600};
    struct pci_func *f = (struct pci_func *)d;

    if (!pci_func_init(f, PCI_DEVFN(0, 0), &id, e))
        return false;
    f->config_written = i440fx_config_written;
    st_le16(f->config + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
    st_le16(f->config + PCI_SUBSYSTEM_ID, 0x1100);
    shadow_init((struct i440fx *)d);
    st_le16(f->writable + PCI_COMMAND, 0x0140); /* PERRE, SERRE; the rest is hardwired */
    memset(f->writable + REGS_FIRST, 0xff, REGS_END - REGS_FIRST);
    f->writable[ERRSTS] = 0;
    f->clearable[ERRSTS] = 0x11;
    f->writable[0x0d] = 0xf8; /* master latency timer */
    return true;
}

static void i440fx_destroy(struct dev *d)
{
    struct i440fx *h = (struct i440fx *)d;

    for (unsigned n = 0; n < PAM_SEGMENTS; n++)
        phys_region_set(d->env->phys, h->segment[n].region, REGION_MMIO, NULL, false);
    pci_func_destroy(&h->pci);
}

static void i440fx_reset(struct dev *d)
{
    struct pci_func *f = (struct pci_func *)d;

    memset(f->config + REGS_FIRST, 0, REGS_END - REGS_FIRST);
    memset(f->config + DRB0, 0x01, 8);
    f->config[DRT] = 0x01;
    f->config[SMRAM] = 0x02;
    f->config[0x0d] = 0;
    st_le16(f->config + PCI_STATUS, 0x0280);
    pci_func_reset(f);
    st_le16(f->config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    st_le16(f->fixed + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    shadow_apply((struct i440fx *)d);
}

static void i440fx_loaded(struct dev *d)
{
    pci_func_loaded((struct pci_func *)d);
    shadow_apply((struct i440fx *)d);
}

static const struct dev_field i440fx_fields[] = {PCI_FUNC_FIELDS(struct i440fx), DEV_FIELD_END};

const struct dev_class i440fx_class = {
    .name = "i440fx",
    .doc = "82441FX host bridge",
    .size = sizeof(struct i440fx),
    .fields = i440fx_fields,
    .init = i440fx_init,
    .reset = i440fx_reset,
    .loaded = i440fx_loaded,
    .destroy = i440fx_destroy,
};
