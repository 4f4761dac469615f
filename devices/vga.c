/*
 * vga.c: the VGA's registers at ports 3B0h to 3DFh, retrace timing, and the PCI function.
 *
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; Intel
 * OpenSource HD Graphics PRM vol. 3 part 1, "VGA registers". Identity: QEMU's docs/specs/
 * standard-vga (1234:1111, BAR 0 video memory, BAR 2 registers).
 *
 * Choices: the legacy ranges answer whatever the PCI command register says, as boards route them to
 * the only VGA there is. Input status 0 reports a colour monitor.
 *
 * Not implemented: the retrace interrupt, the light pen, the 3C3h and 46E8h enables (stored),
 * reads of the CRTC's retrace registers as light pen position.
 */
#include "devices/vga.h"

#include "base/bits.h"
#include "base/host.h"
#include <string.h>

#define PORTS_BASE 0x3c0u

#define ATTR 0x3c0u
#define ATTR_READ 0x3c1u
#define MISC_WRITE 0x3c2u /* read: input status 0 */
#define ENABLE 0x3c3u
#define SEQ_INDEX 0x3c4u
#define SEQ_DATA 0x3c5u
#define PEL_MASK 0x3c6u
#define DAC_READ 0x3c7u
#define DAC_WRITE 0x3c8u
#define DAC_DATA 0x3c9u
#define FEATURE_READ 0x3cau
#define MISC_READ 0x3ccu
#define GFX_INDEX 0x3ceu
#define GFX_DATA 0x3cfu
#define CRTC_INDEX 0x3d4u /* 3B4h with a monochrome adapter */
#define CRTC_DATA 0x3d5u
#define STATUS1 0x3dau /* write: feature control */

#define MISC_COLOUR BIT(0)
#define MISC_CLOCK(m) ((m) >> 2 & 3)
#define STATUS0_SENSE BIT(4)
#define STATUS1_BLANK BIT(0)
#define STATUS1_VRETRACE BIT(3)
#define ATTR_ON BIT(5)
#define DAC_READING 3u

#define CRTC_H_TOTAL 0x00
#define CRTC_H_DISPLAY_END 0x01
#define CRTC_V_TOTAL 0x06
#define CRTC_OVERFLOW 0x07
#define CRTC_V_RETRACE_START 0x10
#define CRTC_V_RETRACE_END 0x11
#define CRTC_PROTECT BIT(7) /* of V_RETRACE_END: 0 to 7 cannot be written */
#define CRTC_V_DISPLAY_END 0x12

#define SEQ_CLOCKING 1
#define SEQ_8_DOTS BIT(0)
#define SEQ_HALF_CLOCK BIT(3)

/* Bits that exist, by register; the others read as 0. */
static const u8 seq_bits[VGA_SEQ_REGS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const u8 gfx_bits[VGA_GFX_REGS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const u8 attr_bits[VGA_ATTR_REGS] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
                                            0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
                                            0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};

/* ---- timing ---------------------------------------------------------------------------------- */

static u64 dot_ps(const struct vga *v)
{
    u64 ps = MISC_CLOCK(v->misc) == 1 ? 35310 : 39722; /* 28.322 MHz, 25.175 MHz */

    return v->seq[SEQ_CLOCKING] & SEQ_HALF_CLOCK ? 2 * ps : ps;
}

/* Ten-bit vertical counts have bits 8 and 9 in the overflow register. */
static unsigned vertical(const struct vga *v, unsigned reg, unsigned bit8, unsigned bit9)
{
    unsigned over = v->crtc[CRTC_OVERFLOW];

    return v->crtc[reg] | (over >> bit8 & 1) << 8 | (over >> bit9 & 1) << 9;
}

/* Where the beam is, from virtual time alone: guests wait for it to come and to go. */
static u8 beam_status(const struct vga *v)
{
    u64 clock_ps = dot_ps(v) * (v->seq[SEQ_CLOCKING] & SEQ_8_DOTS ? 8 : 9);
    u64 line_ps = clock_ps * (v->crtc[CRTC_H_TOTAL] + 5u);
    u64 lines = vertical(v, CRTC_V_TOTAL, 0, 5) + 2u;
    u64 now_ps = clock_now_ns(v->pci.dev.env->clock) % (line_ps * lines) * 1000 % (line_ps * lines);
    u64 line = now_ps / line_ps, clocks = now_ps % line_ps / clock_ps;
    u64 retrace = vertical(v, CRTC_V_RETRACE_START, 2, 7);
    u64 retrace_lines = (v->crtc[CRTC_V_RETRACE_END] - v->crtc[CRTC_V_RETRACE_START]) & 15;
    u8 status = 0;

    if (line > vertical(v, CRTC_V_DISPLAY_END, 1, 6) || clocks > v->crtc[CRTC_H_DISPLAY_END])
        status |= STATUS1_BLANK;
    if (line >= retrace && line < retrace + retrace_lines)
        status |= STATUS1_VRETRACE | STATUS1_BLANK;
    return status;
}

/* ---- attribute controller and DAC ------------------------------------------------------------ */

static void attr_write(struct vga *v, u8 value)
{
    unsigned reg = v->attr_index & 0x1f;

    if (!v->attr_data)
        v->attr_index = value & 0x3f;
    else if (reg < VGA_ATTR_REGS && (reg >= 16 || !(v->attr_index & ATTR_ON)))
        v->attr[reg] = value & attr_bits[reg]; /* the palette only while the CPU owns it */
    v->attr_data = !v->attr_data;
}

static u8 attr_read(const struct vga *v)
{
    unsigned reg = v->attr_index & 0x1f;

    return reg < VGA_ATTR_REGS ? v->attr[reg] : 0;
}

static u8 dac_bits(const struct vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ENABLE_8BIT_DAC ? 0xff : 0x3f;
}

static u8 dac_data_read(struct vga *v)
{
    u8 value = v->dac[v->dac_read * 3u + v->dac_part];

    if (++v->dac_part == 3) {
        v->dac_part = 0;
        v->dac_read++;
    }
    return value;
}

/* The three bytes of a colour take effect together. */
static void dac_data_write(struct vga *v, u8 value)
{
    u8 *colour = v->dac + v->dac_write * 3u;

    value &= dac_bits(v);
    if (v->dac_part < 2) {
        v->dac_latch[v->dac_part++] = value;
        return;
    }
    colour[0] = v->dac_latch[0];
    colour[1] = v->dac_latch[1];
    colour[2] = value;
    v->dac_part = 0;
    v->dac_write++;
}

static void dac_set_index(struct vga *v, u8 value, bool reading)
{
    v->dac_part = 0;
    v->dac_state = reading ? DAC_READING : 0;
    if (reading)
        v->dac_read = value;
    else
        v->dac_write = value;
}

/* ---- the other register files ---------------------------------------------------------------- */

static void crtc_write(struct vga *v, u8 value)
{
    u8 *reg = v->crtc + v->crtc_index;

    if (v->crtc_index >= VGA_CRTC_REGS)
        return;
    if (v->crtc_index > CRTC_OVERFLOW || !(v->crtc[CRTC_V_RETRACE_END] & CRTC_PROTECT))
        *reg = value;
    else if (v->crtc_index == CRTC_OVERFLOW) /* bit 8 of the line compare is not protected */
        *reg = (u8)((*reg & ~0x10) | (value & 0x10));
}

/* A port of the block that the colour bit chooses, as its colour address; false: it is the other
 * block's. */
static bool decode(const struct vga *v, u16 *port)
{
    bool colour = v->misc & MISC_COLOUR;

    if (*port < PORTS_BASE) {
        *port = (u16)(*port + 0x20);
        return !colour && *port >= 0x3d0;
    }
    return *port < 0x3d0 || colour;
}

u8 vga_port_read(struct vga *v, u16 port)
{
    if (!decode(v, &port))
        return 0xff;
    switch (port) {
    case ATTR: return v->attr_index;
    case ATTR_READ: return attr_read(v);
    case MISC_WRITE: return STATUS0_SENSE;
    case ENABLE: return v->enable;
    case SEQ_INDEX: return v->seq_index;
    case SEQ_DATA: return v->seq[v->seq_index];
    case PEL_MASK: return v->pel_mask;
    case DAC_READ: return v->dac_state;
    case DAC_WRITE: return v->dac_write;
    case DAC_DATA: return dac_data_read(v);
    case FEATURE_READ: return v->feature;
    case MISC_READ: return v->misc;
    case GFX_INDEX: return v->gfx_index;
    case GFX_DATA: return v->gfx_index < VGA_GFX_REGS ? v->gfx[v->gfx_index] : 0;
    case CRTC_INDEX: return v->crtc_index;
    case CRTC_DATA: return v->crtc_index < VGA_CRTC_REGS ? v->crtc[v->crtc_index] : 0;
    case STATUS1: v->attr_data = false; return beam_status(v);
    default: return 0xff;
    }
}

void vga_port_write(struct vga *v, u16 port, u8 value)
{
    if (!decode(v, &port))
        return;
    v->generation++;
    switch (port) {
    case ATTR: attr_write(v, value); break;
    case MISC_WRITE: v->misc = value; break;
    case ENABLE: v->enable = value & 1; break;
    case SEQ_INDEX: v->seq_index = value & (VGA_SEQ_REGS - 1); break;
    case SEQ_DATA: v->seq[v->seq_index] = value & seq_bits[v->seq_index]; break;
    case PEL_MASK: v->pel_mask = value; break;
    case DAC_READ: dac_set_index(v, value, true); break;
    case DAC_WRITE: dac_set_index(v, value, false); break;
    case DAC_DATA: dac_data_write(v, value); break;
    case GFX_INDEX: v->gfx_index = value & 15; break;
    case GFX_DATA:
        if (v->gfx_index < VGA_GFX_REGS)
            v->gfx[v->gfx_index] = value & gfx_bits[v->gfx_index];
        break;
    case CRTC_INDEX: v->crtc_index = value & 0x3f; break;
    case CRTC_DATA: crtc_write(v, value); break;
    case STATUS1: v->feature = value & 3; break;
    default: break;
    }
}

static u32 port_read(void *opaque, u16 port, unsigned size)
{
    (void)size;
    return vga_port_read(opaque, port);
}

static void port_write(void *opaque, u16 port, u32 value, unsigned size)
{
    (void)size;
    vga_port_write(opaque, port, (u8)value);
}

static const struct io_ops port_io = {.read = port_read, .write = port_write};

/* ---- class ----------------------------------------------------------------------------------- */

static const struct {
    u16 base, count;
} port_ranges[] = {{0x3b4, 2}, {0x3ba, 1}, {0x3c0, 16}, {0x3d4, 2}, {0x3da, 1}};

static bool vga_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x1234, .device = 0x1111, .revision = 2, .class_code = 0x0300};
    struct vga *v = (struct vga *)d;
    int devfn = d->env->pci ? pci_free_devfn(d->env->pci) : 0;

    if (v->memory_mb & (v->memory_mb - 1))
        return err_usage(e, "device VGA: vgamem_mb=%u is not a power of two", v->memory_mb);
    if (devfn < 0)
        return err_usage(e, "device VGA: the PCI bus is full");
    v->vram_bytes = v->memory_mb * (u32)MIB;
    v->vram = host_map(v->vram_bytes, e);
    if (!v->vram)
        return false;
    if (!pci_func_init(&v->pci, (u8)devfn, &id, e)) {
        host_unmap(v->vram, v->vram_bytes);
        return false;
    }
    pci_bar_ram(&v->pci, 0, v->vram_bytes, PCI_BAR_PREFETCH, "vga memory", v->vram);
    pci_bar_mem(&v->pci, 2, PAGE_SIZE, 0, "vga registers", &vga_mmio_ops, v);
    v->window = phys_add_mmio(d->env->phys, "vga window", VGA_WINDOW_BASE, VGA_WINDOW_BYTES,
                              &vga_window_ops, v);
    for (unsigned i = 0; i < ARRAY_SIZE(port_ranges); i++)
        iobus_add(d->env->io, port_ranges[i].base, port_ranges[i].count, "vga", &port_io, d);
    iobus_add(d->env->io, VBE_INDEX_PORT, 3, "vga dispi", &vga_vbe_io, d);
    return true;
}

static void vga_destroy(struct dev *d)
{
    struct vga *v = (struct vga *)d;

    iobus_remove(d->env->io, VBE_INDEX_PORT, 3, d);
    for (unsigned i = 0; i < ARRAY_SIZE(port_ranges); i++)
        iobus_remove(d->env->io, port_ranges[i].base, port_ranges[i].count, d);
    phys_region_move(d->env->phys, v->window, VGA_WINDOW_BASE, false);
    pci_func_destroy(&v->pci);
    host_unmap(v->vram, v->vram_bytes);
}

/* Memory keeps what it held: what was on the screen is there after a warm reset. */
static void vga_reset(struct dev *d)
{
    struct vga *v = (struct vga *)d;

    v->misc = v->feature = v->enable = 0;
    v->seq_index = v->gfx_index = v->crtc_index = v->attr_index = 0;
    memset(v->seq, 0, sizeof v->seq);
    memset(v->gfx, 0, sizeof v->gfx);
    memset(v->crtc, 0, sizeof v->crtc);
    memset(v->attr, 0, sizeof v->attr);
    v->attr_data = false;
    v->dac_read = v->dac_write = v->dac_part = v->dac_state = 0;
    v->dac_latch[0] = v->dac_latch[1] = 0;
    v->pel_mask = 0xff;
    memset(v->dac, 0, sizeof v->dac);
    v->latch = 0;
    v->generation++;
    vga_vbe_reset(v);
    pci_func_reset(&v->pci);
}

static void vga_loaded(struct dev *d)
{
    struct vga *v = (struct vga *)d;

    v->generation++;
    pci_func_loaded(&v->pci);
}

static const struct dev_prop vga_props[] = {
    {"vgamem_mb", PROP_U32, offsetof(struct vga, memory_mb), 16, 1, 256, "video memory in MiB"},
    DEV_PROP_END,
};

static const struct dev_field vga_fields[] = {
    PCI_FUNC_FIELDS(struct vga),
    DEV_FIELD(struct vga, misc, 0, 0xff, "miscellaneous output"),
    DEV_FIELD(struct vga, feature, 0, 3, "feature control"),
    DEV_FIELD(struct vga, enable, 0, 1, "video subsystem enable (3C3h)"),
    DEV_FIELD(struct vga, seq_index, 0, VGA_SEQ_REGS - 1, "sequencer index"),
    DEV_FIELD_ARRAY(struct vga, seq, 0, 0xff, "sequencer"),
    DEV_FIELD(struct vga, gfx_index, 0, 15, "graphics controller index"),
    DEV_FIELD_ARRAY(struct vga, gfx, 0, 0xff, "graphics controller"),
    DEV_FIELD(struct vga, crtc_index, 0, 0x3f, "CRT controller index"),
    DEV_FIELD_ARRAY(struct vga, crtc, 0, 0xff, "CRT controller"),
    DEV_FIELD(struct vga, attr_index, 0, 0x3f, "attribute controller index; bit 5: screen on"),
    DEV_FIELD_ARRAY(struct vga, attr, 0, 0xff, "attribute controller"),
    DEV_FIELD(struct vga, attr_data, 0, 1, "the next write to 3C0h is data"),
    DEV_FIELD(struct vga, dac_read, 0, 0xff, "DAC read index"),
    DEV_FIELD(struct vga, dac_write, 0, 0xff, "DAC write index"),
    DEV_FIELD(struct vga, dac_part, 0, 2, "next of red, green, blue"),
    DEV_FIELD(struct vga, dac_state, 0, 3, "DAC state (3C7h)"),
    DEV_FIELD_ARRAY(struct vga, dac_latch, 0, 0xff, "red and green of a colour in the making"),
    DEV_FIELD(struct vga, pel_mask, 0, 0xff, "pixel mask"),
    DEV_FIELD_ARRAY(struct vga, dac, 0, 0xff, "palette of the DAC"),
    DEV_FIELD(struct vga, latch, 0, 0xffffffff, "latches, a byte per plane"),
    DEV_FIELD(struct vga, vbe_index, 0, 0xffff, "DISPI index"),
    DEV_FIELD_ARRAY(struct vga, vbe, 0, 0xffff, "DISPI registers"),
    DEV_FIELD_END,
};

const struct dev_class vga_class = {
    .name = "VGA",
    .doc = "VGA with Bochs VBE extensions, PCI 1234:1111",
    .size = sizeof(struct vga),
    .props = vga_props,
    .fields = vga_fields,
    .init = vga_init,
    .reset = vga_reset,
    .loaded = vga_loaded,
    .destroy = vga_destroy,
};
