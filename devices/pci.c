/*
 * pci.c: PCI bus 0 with configuration mechanism #1.
 *
 * Specification: PCI Local Bus Specification 3.0, sections 3.2.2.3 (mechanism #1) and 6
 * (configuration space); host side registers: Intel 82441FX data sheet (290549), section 3.1.
 * Wiring of INTA# to INTD# of slot s to link (pin + s - 1) mod 4: PCI 2.2.6's rotation as PIIX
 * boards have it.
 *
 * Not implemented: bridges and buses other than 0 (they read as all ones), special cycles, parity
 * and system errors, power management.
 */
#include "devices/pci.h"

#include "base/bits.h"
#include "base/host.h"

#include <stdlib.h>

#define ADDRESS_PORT 0xcf8u
#define DATA_PORT 0xcfcu
#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_WRITABLE 0x80fffffcu
#define ROM_ENABLE BIT(0)
#define ROM_SIGNATURE 0xaa55u
#define ROM_MAX (16 * MIB)

/* --- regions ---------------------------------------------------------------------------------- */

static unsigned bar_offset(unsigned bar)
{
    return bar == PCI_BAR_ROM ? PCI_ROM : PCI_BAR0 + 4 * bar;
}

static u64 bar_address(const struct pci_func *f, unsigned bar)
{
    const struct pci_bar *r = &f->bar[bar];
    u64 v = ld_le32(f->config + bar_offset(bar));

    if (r->type & PCI_BAR_64)
        v |= (u64)ld_le32(f->config + bar_offset(bar) + 4) << 32;
    return v & ~(r->size - 1);
}

/* RAM wins over PCI where the host bridge claims it (82441FX, section 4.1). */
static bool overlaps_ram(const struct phys *p, u64 base, u64 last)
{
    u64 high_end = (4 * GIB) + (p->ram_bytes - p->ram_low_bytes);

    return base < p->ram_low_bytes || (base < high_end && last >= 4 * GIB);
}

/* Where the region is decoded now, if it is. Software that sizes a region writes all ones; what
 * ends at the top of its space then is no place. */
static bool bar_decoded(const struct pci_func *f, unsigned bar, u64 *base)
{
    const struct pci_bar *r = &f->bar[bar];
    u16 command = ld_le16(f->config + PCI_COMMAND);
    u64 last;

    *base = bar_address(f, bar);
    last = *base + r->size - 1;
    if (!r->size || !*base || last < *base)
        return false;
    if (r->type & PCI_BAR_IO)
        return (command & PCI_COMMAND_IO) && last < 0xffff;
    if (bar == PCI_BAR_ROM && !(f->config[PCI_ROM] & ROM_ENABLE))
        return false;
    if (!(command & PCI_COMMAND_MEMORY) || overlaps_ram(f->dev.env->phys, *base, last))
        return false;
    return r->type & PCI_BAR_64 ? last < mask64(f->dev.env->phys->addr_bits) : last < 0xffffffffu;
}

static void bar_map(struct pci_func *f, unsigned bar, u64 base, bool mapped)
{
    struct pci_bar *r = &f->bar[bar];

    if (mapped == r->mapped && (!mapped || base == r->base))
        return;
    TRACE(pci_bar_map, f->devfn, bar, base, mapped);
    if (r->io && r->mapped)
        iobus_remove(f->dev.env->io, (u16)r->base, (unsigned)r->size, f);
    if (r->io && mapped)
        iobus_add(f->dev.env->io, (u16)base, (unsigned)r->size, r->name, r->io, f);
    if (r->mem)
        phys_region_move(f->dev.env->phys, r->mem, mapped ? base : r->mem->base, mapped);
    if (r->map)
        r->map(f, bar, base, mapped);
    r->mapped = mapped;
    r->base = mapped ? base : 0;
}

static void func_map(struct pci_func *f)
{
    for (unsigned bar = 0; bar < PCI_BARS; bar++) {
        u64 base;
        bool mapped = bar_decoded(f, bar, &base);

        bar_map(f, bar, base, mapped);
    }
}

static struct pci_bar *bar_add(struct pci_func *f, unsigned bar, u64 size, u8 type)
{
    unsigned off = bar_offset(bar);

    BUG_ON(bar >= PCI_BARS || !size || (size & (size - 1)) || f->bar[bar].size);
    f->bar[bar] = (struct pci_bar){.size = size, .type = type};
    st_le32(f->config + off, bar == PCI_BAR_ROM ? 0 : type);
    st_le32(f->writable + off, (u32) ~(size - 1) | (bar == PCI_BAR_ROM ? ROM_ENABLE : 0));
    if (type & PCI_BAR_64) {
        BUG_ON(bar >= 5);
        st_le32(f->writable + off + 4, (u32)(~(size - 1) >> 32));
    }
    return &f->bar[bar];
}

void pci_bar_io(struct pci_func *f, unsigned bar, u64 size, const char *name,
                const struct io_ops *ops)
{
    struct pci_bar *r = bar_add(f, bar, size, PCI_BAR_IO);

    BUG_ON(size < 4 || size > 256);
    r->io = ops;
    r->name = name;
}

void pci_bar_mem(struct pci_func *f, unsigned bar, u64 size, u8 type, const char *name,
                 const struct mmio_ops *ops, void *opaque)
{
    struct pci_bar *r = bar_add(f, bar, size, type);

    BUG_ON(size < PAGE_SIZE || (type & PCI_BAR_IO));
    r->name = name;
    r->mem = phys_add_mmio(f->dev.env->phys, name, PCI_HOLE_BASE, size, ops, opaque);
    phys_region_move(f->dev.env->phys, r->mem, PCI_HOLE_BASE, false);
}

void pci_bar_ram(struct pci_func *f, unsigned bar, u64 size, u8 type, const char *name, u8 *host)
{
    struct pci_bar *r = bar_add(f, bar, size, type);

    BUG_ON(size < PAGE_SIZE || (type & PCI_BAR_IO));
    r->name = name;
    r->mem = phys_add_ram(f->dev.env->phys, name, PCI_HOLE_BASE, size, host);
    phys_region_move(f->dev.env->phys, r->mem, PCI_HOLE_BASE, false);
}

void pci_bar_custom(struct pci_func *f, unsigned bar, u64 size, u8 type,
                    void (*map)(struct pci_func *, unsigned, u64, bool))
{
    bar_add(f, bar, size, type)->map = map;
}

bool pci_load_rom(struct pci_func *f, const char *path, struct err *e)
{
    u64 len, size = PAGE_SIZE;
    u8 *file = host_read_file(path, ROM_MAX, &len, e), *rom;

    if (!file)
        return err_hint(e, "romfile= takes the path of an expansion ROM of at most 16 MiB");
    if (len < 2 || ld_le16(file) != ROM_SIGNATURE) {
        free(file);
        err_usage(e, "%s: no expansion ROM: it does not begin with 55 AA", path);
        return err_hint(e, "Debian's package ipxe-qemu has some in /usr/lib/ipxe/qemu");
    }
    while (size < len)
        size *= 2;
    rom = malloc(size);
    BUG_ON(!rom);
    memcpy(rom, file, len);
    memset(rom + len, 0xff, size - len);
    free(file);
    f->rom = rom;
    bar_add(f, PCI_BAR_ROM, size, 0)->mem =
        phys_add_rom(f->dev.env->phys, "expansion rom", PCI_HOLE_BASE, size, rom);
    phys_region_move(f->dev.env->phys, f->bar[PCI_BAR_ROM].mem, PCI_HOLE_BASE, false);
    return true;
}

/* --- interrupts ------------------------------------------------------------------------------- */

unsigned pci_link_of(u8 devfn, unsigned pin)
{
    return (pin - 1 + (devfn >> 3) - 1) & 3;
}

static bool func_asserts(const struct pci_func *f)
{
    return f->intx && !(ld_le16(f->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}

static void link_drive(struct pci_bus *b, unsigned link)
{
    bool level = false;

    for (unsigned i = 0; i < ARRAY_SIZE(b->func); i++) {
        const struct pci_func *f = b->func[i];

        if (f && f->config[PCI_INTERRUPT_PIN] &&
            pci_link_of(f->devfn, f->config[PCI_INTERRUPT_PIN]) == link)
            level |= func_asserts(f);
    }
    if (level != b->link[link].level)
        irq_set(&b->link[link], level);
}

static void func_drive(struct pci_func *f)
{
    unsigned pin = f->config[PCI_INTERRUPT_PIN];

    if (pin)
        link_drive(f->bus, pci_link_of(f->devfn, pin));
}

void pci_set_intx(struct pci_func *f, bool level)
{
    f->intx = level;
    f->config[PCI_STATUS] =
        (u8)((f->config[PCI_STATUS] & ~PCI_STATUS_INTX) | (level ? PCI_STATUS_INTX : 0));
    func_drive(f);
}

/* --- configuration space ---------------------------------------------------------------------- */

static bool config_in_range(unsigned off, unsigned size)
{
    return off + size <= 256;
}

u32 pci_config_read(struct pci_bus *b, u8 devfn, unsigned off, unsigned size)
{
    const struct pci_func *f = b->func[devfn];
    u32 value = 0xffffffffu;

    if (f && !f->unplugged && config_in_range(off, size))
        value = (u32)ld_le(f->config + off, size);
    TRACE(pci_config_read, devfn, off, size, value);
    return value;
}

static void config_write_byte(struct pci_func *f, unsigned off, u8 value)
{
    u8 old = f->config[off];
    u8 w = f->writable[off];

    f->config[off] = (u8)(((old & ~w) | (value & w)) & ~(value & f->clearable[off]));
}

void pci_config_write(struct pci_bus *b, u8 devfn, unsigned off, u32 value, unsigned size)
{
    struct pci_func *f = b->func[devfn];

    TRACE(pci_config_write, devfn, off, size, value);
    if (!f || f->unplugged || !config_in_range(off, size))
        return;
    for (unsigned i = 0; i < size; i++)
        config_write_byte(f, off + i, (u8)(value >> 8 * i));
    func_map(f);
    func_drive(f);
    if (f->config_written)
        f->config_written(f, off, size);
}

/* --- functions -------------------------------------------------------------------------------- */

int pci_free_devfn(const struct pci_bus *b)
{
    for (unsigned slot = 2; slot < 32; slot++)
        if (!b->func[slot << 3])
            return (int)(slot << 3);
    return -1;
}

static void func_set_ids(struct pci_func *f, const struct pci_id *id)
{
    st_le16(f->config + PCI_VENDOR_ID, id->vendor);
    st_le16(f->config + PCI_DEVICE_ID, id->device);
    f->config[PCI_REVISION_ID] = id->revision;
    f->config[PCI_CLASS_PROG] = id->prog_if;
    st_le16(f->config + PCI_CLASS_DEVICE, id->class_code);
    f->config[PCI_HEADER_TYPE] = id->header_type;
    f->config[PCI_INTERRUPT_PIN] = id->interrupt_pin;
    st_le16(f->writable + PCI_COMMAND,
            PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    f->writable[PCI_INTERRUPT_LINE] = 0xff;
}

bool pci_func_init(struct pci_func *f, u8 devfn, const struct pci_id *id, struct err *e)
{
    struct pci_bus *b = f->dev.env->pci;

    if (!b)
        return err_usage(e, "device %s needs a PCI bus, and the machine has none",
                         f->dev.cls->name);
    if (b->func[devfn])
        return err_usage(e, "device %s: PCI address %02x.%x is taken by %s", f->dev.cls->name,
                         devfn >> 3, devfn & 7, b->func[devfn]->dev.cls->name);
    f->bus = b;
    f->devfn = devfn;
    b->func[devfn] = f;
    func_set_ids(f, id);
    if (!f->romfile || !*f->romfile || pci_load_rom(f, f->romfile, e))
        return true;
    b->func[devfn] = NULL;
    return false;
}

void pci_func_destroy(struct pci_func *f)
{
    for (unsigned bar = 0; bar < PCI_BARS; bar++)
        bar_map(f, bar, 0, false);
    f->bus->func[f->devfn] = NULL;
    free(f->rom);
}

void pci_func_unplug(struct pci_func *f)
{
    f->dev.cls->reset(&f->dev);
    f->unplugged = true;
}

void pci_func_reset(struct pci_func *f)
{
    f->unplugged = false;
    st_le16(f->config + PCI_COMMAND, 0);
    f->config[PCI_INTERRUPT_LINE] = 0;
    for (unsigned bar = 0; bar < PCI_BARS; bar++) {
        if (!f->bar[bar].size)
            continue;
        st_le32(f->config + bar_offset(bar), bar == PCI_BAR_ROM ? 0 : f->bar[bar].type);
        if (f->bar[bar].type & PCI_BAR_64)
            st_le32(f->config + bar_offset(bar) + 4, 0);
    }
    func_map(f);
    pci_set_intx(f, false);
    memcpy(f->fixed, f->config, sizeof f->fixed);
}

/* Bits that software cannot write are not believed to a saved state. */
void pci_func_loaded(struct pci_func *f)
{
    for (unsigned i = 0; i < sizeof f->config; i++) {
        u8 soft = f->writable[i] | f->clearable[i];

        f->config[i] = (u8)((f->config[i] & soft) | (f->fixed[i] & ~soft));
    }
    func_map(f);
    pci_set_intx(f, f->intx);
}

/* --- ports ------------------------------------------------------------------------------------ */

static u32 pci_io_read(void *opaque, u16 port, unsigned size)
{
    struct pci_bus *b = opaque;

    if (port < DATA_PORT)
        return port == ADDRESS_PORT && size == 4 ? b->address : 0xffffffffu;
    if (!(b->address & ADDRESS_ENABLE) || (b->address >> 16 & 0xff))
        return 0xffffffffu;
    return pci_config_read(b, (u8)(b->address >> 8), (b->address & 0xfc) | (port & 3u), size);
}

/* Only a doubleword reaches the address register; other sizes go past it to whoever is there. */
static void pci_io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pci_bus *b = opaque;

    if (port < DATA_PORT) {
        if (port == ADDRESS_PORT && size == 4)
            b->address = value & ADDRESS_WRITABLE;
        return;
    }
    if (!(b->address & ADDRESS_ENABLE) || (b->address >> 16 & 0xff))
        return;
    pci_config_write(b, (u8)(b->address >> 8), (b->address & 0xfc) | (port & 3u), value, size);
}

static const struct io_ops pci_io = {.read = pci_io_read, .write = pci_io_write, .wide = true};

/* --- what firmware does ----------------------------------------------------------------------- */

/* The size of a region as software finds it: write ones, read back. */
static u64 probe_bar(struct pci_bus *b, u8 devfn, unsigned bar)
{
    unsigned off = bar_offset(bar);
    u32 old = pci_config_read(b, devfn, off, 4), mask;

    pci_config_write(b, devfn, off, 0xffffffffu & ~ROM_ENABLE, 4);
    mask = pci_config_read(b, devfn, off, 4);
    pci_config_write(b, devfn, off, old, 4);
    mask &= bar == PCI_BAR_ROM ? ~0x7ffu : old & PCI_BAR_IO ? ~3u : ~15u;
    return mask ? (u64)(~mask) + 1 : 0;
}

static bool place(u64 *next, u64 end, u64 size, u64 *base)
{
    *base = align_up(*next, size);
    *next = *base + size;
    return *next <= end && *next > *base;
}

static bool setup_bars(struct pci_bus *b, u8 devfn, u64 *mem, u64 *io, const struct pci_setup *s,
                       struct err *e)
{
    for (unsigned bar = 0; bar < PCI_BARS; bar++) {
        u64 size = probe_bar(b, devfn, bar), base;
        bool is_io =
            bar != PCI_BAR_ROM && (pci_config_read(b, devfn, bar_offset(bar), 4) & PCI_BAR_IO);

        if (!size)
            continue;
        if (!(is_io ? place(io, s->io_end, size & 0xffff, &base)
                    : place(mem, s->mem_end, size, &base)))
            return err_host(e, "no room for region %u of PCI function %02x.%x", bar, devfn >> 3,
                            devfn & 7);
        pci_config_write(b, devfn, bar_offset(bar), (u32)base, 4);
        if (bar < 5 && (b->func[devfn]->bar[bar].type & PCI_BAR_64))
            pci_config_write(b, devfn, bar_offset(++bar), (u32)(base >> 32), 4);
    }
    return true;
}

bool pci_setup_bus(struct pci_bus *b, const struct pci_setup *s, struct err *e)
{
    u64 mem = s->mem_base, io = s->io_base;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        unsigned pin;

        if (!b->func[devfn])
            continue;
        if (!setup_bars(b, (u8)devfn, &mem, &io, s, e))
            return false;
        pci_config_write(b, (u8)devfn, PCI_COMMAND,
                         PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
        pin = pci_config_read(b, (u8)devfn, PCI_INTERRUPT_PIN, 1);
        if (pin >= 1 && pin <= 4)
            pci_config_write(b, (u8)devfn, PCI_INTERRUPT_LINE,
                             s->link_irq[pci_link_of((u8)devfn, pin)], 1);
    }
    return true;
}

/* --- class ------------------------------------------------------------------------------------ */

static bool pci_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, ADDRESS_PORT, 8, "pci configuration", &pci_io, d);
    return true;
}

static void pci_destroy(struct dev *d)
{
    iobus_remove(d->env->io, ADDRESS_PORT, 8, d);
}

static void pci_reset(struct dev *d)
{
    ((struct pci_bus *)d)->address = 0;
}

static void pci_loaded(struct dev *d)
{
    struct pci_bus *b = (struct pci_bus *)d;

    b->address &= ADDRESS_WRITABLE;
    for (unsigned link = 0; link < 4; link++)
        link_drive(b, link);
}

static const struct dev_field pci_fields[] = {
    DEV_FIELD(struct pci_bus, address, 0, 0xffffffff, "configuration address (CF8h)"),
    DEV_FIELD_END,
};

const struct dev_class pci_class = {
    .name = "pci-bus",
    .doc = "PCI bus 0 with configuration mechanism #1",
    .size = sizeof(struct pci_bus),
    .fields = pci_fields,
    .init = pci_init,
    .reset = pci_reset,
    .loaded = pci_loaded,
    .destroy = pci_destroy,
};
