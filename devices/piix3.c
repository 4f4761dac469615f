/*
 * piix3.c: the ISA bridge of the PIIX3 (82371SB), function 0.
 *
 * Specification: Intel 82371SB data sheet (290550), sections 2.2 (configuration space) and 2.5
 * (reset control register CF9h). The chips inside that have their own files: pic, pit, port92.
 *
 * Not implemented: ISA timing, decode enables, DMA, motherboard routing (MBIRQ) and power
 * management registers: stored. SMI.
 */
#include "devices/piix3.h"

#include "base/bits.h"

#define XBCS 0x4e
#define PIRQRCA 0x60
#define PIRQ_DISABLED BIT(7)
#define TOM 0x69
#define MBIRQ0 0x70
#define MBDMA0 0x76
#define SMICNTL 0xa0

#define REGS_FIRST 0x4c
#define REGS_END 0xb0

#define RC_PORT 0xcf9u
#define RC_RESET_CPU BIT(2)
#define RC_WRITABLE 0x06u

/* Interrupts that a PIRQ may be routed to (PIRQRC, bits 3:0). */
#define ROUTABLE 0xdef8u

/* --- routing ---------------------------------------------------------------------------------- */

static void piix3_drive(struct piix3 *p)
{
    u32 levels = 0;

    for (unsigned n = 0; n < 4; n++) {
        u8 route = p->pci.config[PIRQRCA + n];

        if ((p->links >> n & 1) && !(route & PIRQ_DISABLED))
            levels |= BIT(route & 15) & ROUTABLE;
    }
    for (unsigned i = 0; i < 16; i++)
        if ((levels >> i & 1) != p->irq[i].level)
            irq_set(&p->irq[i], levels >> i & 1);
}

void piix3_set_pirq(void *piix3, unsigned n, bool level)
{
    struct piix3 *p = piix3;
    u8 bit = (u8)BIT(n & 3);

    p->links = (u8)(level ? p->links | bit : p->links & ~bit);
    piix3_drive(p);
}

void piix3_route(struct piix3 *p, unsigned n, u8 irq)
{
    p->pci.config[PIRQRCA + (n & 3)] = irq ? irq & 15 : PIRQ_DISABLED;
    piix3_drive(p);
}

static void piix3_config_written(struct pci_func *f, unsigned off, unsigned len)
{
    if (off < PIRQRCA + 4 && off + len > PIRQRCA)
        piix3_drive((struct piix3 *)f);
}

/* --- reset control ---------------------------------------------------------------------------- */

static u32 rc_read(void *opaque, u16 port, unsigned size)
{
    (void)port;
    (void)size;
    return ((struct piix3 *)opaque)->reset_control;
}

static void rc_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct piix3 *p = opaque;
    bool pulse = (value & RC_RESET_CPU) && !(p->reset_control & RC_RESET_CPU);

    (void)port;
    (void)size;
    p->reset_control = value & RC_WRITABLE;
    if (!pulse)
        return;
    TRACE(reset_request, "port cf9h");
    irq_set(&p->reset, true);
    irq_set(&p->reset, false);
}

static const struct io_ops rc_io = {.read = rc_read, .write = rc_write};

/* --- class ------------------------------------------------------------------------------------ */

static bool piix3_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x8086,
                                     .device = 0x7000,
                                     .class_code = 0x0601,
                                     .header_type = PCI_HEADER_MULTIFUNCTION};
    struct pci_func *f = (struct pci_func *)d;

    if (!pci_func_init(f, PCI_DEVFN(1, 0), &id, e))
        return false;
    f->config_written = piix3_config_written;
    st_le16(f->writable + PCI_COMMAND, 0x0108); /* special cycles, SERR#; the rest is hardwired */
    memset(f->writable + REGS_FIRST, 0xff, REGS_END - REGS_FIRST);
    for (unsigned n = 0; n < 4; n++)
        f->writable[PIRQRCA + n] = 0x8f;
    iobus_add(d->env->io, RC_PORT, 1, "reset control", &rc_io, d);
    return true;
}

static void piix3_destroy(struct dev *d)
{
    iobus_remove(d->env->io, RC_PORT, 1, d);
    pci_func_destroy((struct pci_func *)d);
}

static void piix3_reset(struct dev *d)
{
    struct piix3 *p = (struct piix3 *)d;
    struct pci_func *f = &p->pci;
    u16 command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

    memset(f->config + REGS_FIRST, 0, REGS_END - REGS_FIRST);
    f->config[0x4c] = 0x4d; /* ISA I/O recovery timer */
    st_le16(f->config + XBCS, 0x0003);
    memset(f->config + PIRQRCA, PIRQ_DISABLED, 4);
    f->config[TOM] = 0x02;
    memset(f->config + MBIRQ0, PIRQ_DISABLED, 2);
    memset(f->config + MBDMA0, 0x04, 2);
    f->config[SMICNTL] = 0x08;
    st_le16(f->config + PCI_STATUS, 0x0200);
    pci_func_reset(f);
    st_le16(f->config + PCI_COMMAND, command);
    st_le16(f->fixed + PCI_COMMAND, command);
    p->reset_control = 0;
    piix3_drive(p);
}

static void piix3_loaded(struct dev *d)
{
    struct piix3 *p = (struct piix3 *)d;

    pci_func_loaded(&p->pci);
    piix3_drive(p);
}

static const struct dev_field piix3_fields[] = {
    PCI_FUNC_FIELDS(struct piix3),
    DEV_FIELD(struct piix3, links, 0, 0x0f, "PIRQA# to PIRQD#"),
    DEV_FIELD(struct piix3, reset_control, 0, RC_WRITABLE, "CF9h"),
    DEV_FIELD_END,
};

const struct dev_class piix3_class = {
    .name = "piix3",
    .doc = "82371SB ISA bridge",
    .size = sizeof(struct piix3),
    .fields = piix3_fields,
    .init = piix3_init,
    .reset = piix3_reset,
    .loaded = piix3_loaded,
    .destroy = piix3_destroy,
};
