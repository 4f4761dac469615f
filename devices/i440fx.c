/*
 * i440fx.c: the host bridge of the 440FX chip set (82441FX PMC).
 *
 * Specification: Intel 82441FX data sheet (290549), section 3.2.
 *
 * Not implemented: what the registers of DRAM timing and sizing, PAM (shadowing of C0000 to FFFFF)
 * and SMRAM do: memory there is RAM as the machine laid it out; they are stored. Error reporting.
 */
#include "devices/i440fx.h"

#include "base/bits.h"
#include <string.h>

#define DRT 0x55
#define DRB0 0x60
#define SMRAM 0x72
#define ERRSTS 0x91
#define TRC 0x93
#define TRC_RESET BIT(2)

#define REGS_FIRST 0x50 /* chip set registers: 50h to 93h, all stored */
#define REGS_END 0x94

static void i440fx_config_written(struct pci_func *f, unsigned off, unsigned len)
{
    struct i440fx *h = (struct i440fx *)f;

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
    st_le16(f->writable + PCI_COMMAND, 0x0140); /* PERRE, SERRE; the rest is hardwired */
    memset(f->writable + REGS_FIRST, 0xff, REGS_END - REGS_FIRST);
    f->writable[ERRSTS] = 0;
    f->clearable[ERRSTS] = 0x11;
    f->writable[0x0d] = 0xf8; /* master latency timer */
    return true;
}

static void i440fx_destroy(struct dev *d)
{
    pci_func_destroy((struct pci_func *)d);
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
}

static void i440fx_loaded(struct dev *d)
{
    pci_func_loaded((struct pci_func *)d);
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
