/*
 * xen_platform.c: see xen_platform.h.
 *
 * Not implemented: the interrupt of event channels by this function's pin, a block list of drivers.
 */
#include "devices/xen_platform.h"

#include "base/bits.h"
#include "devices/iobus.h"

#define VENDOR 0x5853
#define DEVICE 0x0001
#define BAR0_PORTS 256u
#define BAR1_BYTES (16 * MIB)

#define UNPLUG_PORT 0x10u
#define UNPLUG_PORTS 4u
#define MAGIC 0x49d2u
#define PROTOCOL 1u

static const struct io_ops bar0_io = {.wide = true}; /* nobody */

static u64 read_hole(void *opaque, u64 off, unsigned size)
{
    (void)opaque, (void)off, (void)size;
    return ~0ull;
}

static void write_hole(void *opaque, u64 off, u64 value, unsigned size)
{
    (void)opaque, (void)off, (void)value, (void)size;
}

static const struct mmio_ops bar1_mmio = {.read = read_hole, .write = write_hole};

/* ---- unplug ---------------------------------------------------------------------------------- */

static u32 unplug_read(void *opaque, u16 port, unsigned size)
{
    const struct xen_platform *p = opaque;

    if (!p->hook.unplug)
        return ~0u;
    if (port == UNPLUG_PORT && size == 2)
        return MAGIC;
    return port == UNPLUG_PORT + 2 && size == 1 ? PROTOCOL : ~0u;
}

static void unplug_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct xen_platform *p = opaque;

    if (!p->hook.unplug)
        return;
    if (port == UNPLUG_PORT && size == 2)
        p->hook.unplug(p->hook.opaque, (u16)value);
    else if (port == UNPLUG_PORT && size == 4)
        p->version = value;
    else if (port == UNPLUG_PORT + 2 && size == 2)
        p->product = value;
}

static const struct io_ops unplug_io = {.read = unplug_read, .write = unplug_write, .wide = true};

/* ---- life ------------------------------------------------------------------------------------ */

static bool xen_platform_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = VENDOR,
                                     .device = DEVICE,
                                     .revision = 1,
                                     .class_code = 0xff80,
                                     .interrupt_pin = 1};
    struct xen_platform *p = (struct xen_platform *)d;
    int devfn = d->env->pci ? pci_free_devfn(d->env->pci) : 0;

    if (devfn < 0)
        return err_usage(e, "device xen-platform: the PCI bus is full");
    if (!pci_func_init(&p->pci, (u8)devfn, &id, e))
        return false;
    st_le16(p->pci.config + PCI_SUBSYSTEM_VENDOR_ID, VENDOR);
    st_le16(p->pci.config + PCI_SUBSYSTEM_ID, DEVICE);
    pci_bar_io(&p->pci, 0, BAR0_PORTS, "xen platform", &bar0_io);
    pci_bar_mem(&p->pci, 1, BAR1_BYTES, PCI_BAR_PREFETCH, "xen platform", &bar1_mmio, p);
    iobus_add(d->env->io, UNPLUG_PORT, UNPLUG_PORTS, "xen unplug", &unplug_io, p);
    return true;
}

static void xen_platform_destroy(struct dev *d)
{
    struct xen_platform *p = (struct xen_platform *)d;

    iobus_remove(d->env->io, UNPLUG_PORT, UNPLUG_PORTS, p);
    pci_func_destroy(&p->pci);
}

static void xen_platform_reset(struct dev *d)
{
    struct xen_platform *p = (struct xen_platform *)d;

    p->product = p->version = 0;
    pci_func_reset(&p->pci);
}

static void xen_platform_loaded(struct dev *d)
{
    pci_func_loaded(&((struct xen_platform *)d)->pci);
}

static const struct dev_field xen_platform_fields[] = {
    PCI_FUNC_FIELDS(struct xen_platform),
    DEV_FIELD(struct xen_platform, product, 0, 0xffff, "driver's product number"),
    DEV_FIELD(struct xen_platform, version, 0, 0xffffffff, "driver's version"),
    DEV_FIELD_END,
};

const struct dev_class xen_platform_class = {
    .name = "xen-platform",
    .doc = "Xen's platform device, part of the board with -pv xen",
    .size = sizeof(struct xen_platform),
    .fields = xen_platform_fields,
    .init = xen_platform_init,
    .reset = xen_platform_reset,
    .loaded = xen_platform_loaded,
    .destroy = xen_platform_destroy,
};
