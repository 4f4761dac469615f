/*
 * vga_vbe.c: the Bochs VBE extensions: DISPI registers at ports 1CEh and 1CFh, and the same (and
 * the VGA's) in the memory region of BAR 2.
 *
 * Specification: Bochs' "VBE Display API", version 0.6 (VBE_DISPI_ID5); QEMU's docs/specs/
 * standard-vga for the layout of BAR 2: 400h to 41Fh ports 3C0h to 3DFh, 500h to 515h DISPI.
 *
 * Choices: in a VBE mode with more than 4 bits A0000h to AFFFFh shows the bank whatever the
 * graphics controller's registers say; sizes beyond what memory holds are cut.
 *
 * Not implemented: the byte order register at 604h (reads as none), EDID at the start of BAR 2
 * (reads as none), hardware cursor.
 */
#include "devices/vga.h"

#include "base/bits.h"
#include <string.h>

#define ID_FIRST 0xb0c0u
#define ID_LAST 0xb0c5u
#define MAX_WIDTH 2560u
#define MAX_HEIGHT 1600u
#define MAX_BITS 32u

#define MMIO_VGA 0x400u
#define MMIO_VGA_END 0x420u
#define MMIO_DISPI 0x500u
#define MMIO_DISPI_END (MMIO_DISPI + 2 * VBE_REGS)

bool vga_vbe_on(const struct vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ENABLE_ON;
}

/* ---- geometry -------------------------------------------------------------------------------- */

static unsigned valid_bits(unsigned bits)
{
    switch (bits) {
    case 4:
    case 15:
    case 16:
    case 24:
    case 32: return bits;
    default: return 8;
    }
}

/* Bytes of a line of `width` pixels; in the 4-bit modes planar addresses, of which memory has a
 * quarter of its bytes. */
static u32 line_bytes(unsigned width, unsigned bits)
{
    return bits == 4 ? width / 8 : width * ((bits + 7) / 8);
}

static unsigned clamp(unsigned v, unsigned min, unsigned max)
{
    return v < min ? min : v > max ? max : v;
}

void vga_vbe_geometry(const struct vga *v, struct vga_linear *l)
{
    unsigned virtual_width, limit;
    u64 start;

    l->bits = valid_bits(v->vbe[VBE_BPP]);
    l->width = clamp(v->vbe[VBE_XRES] & ~7u, 8, MAX_WIDTH);
    virtual_width = v->vbe[VBE_VIRT_WIDTH] & ~7u;
    if (virtual_width < l->width)
        virtual_width = l->width;
    l->pitch_bytes = line_bytes(virtual_width, l->bits);
    limit = l->bits == 4 ? v->vram_bytes / 4 : v->vram_bytes;
    if (l->pitch_bytes > limit) {
        virtual_width = l->width;
        l->pitch_bytes = line_bytes(l->width, l->bits);
    }
    l->height = clamp(v->vbe[VBE_YRES], 1, MAX_HEIGHT);
    l->height = clamp(l->height, 1, limit / l->pitch_bytes);
    start = (u64)v->vbe[VBE_Y_OFFSET] * l->pitch_bytes + line_bytes(v->vbe[VBE_X_OFFSET], l->bits);
    l->start = start <= limit - l->pitch_bytes * l->height ? (u32)start : 0;
}

static u16 virtual_height(const struct vga *v)
{
    struct vga_linear l;
    u32 lines;

    vga_vbe_geometry(v, &l);
    lines = (l.bits == 4 ? v->vram_bytes / 4 : v->vram_bytes) / l.pitch_bytes;
    return (u16)(lines < 0xffff ? lines : 0xffff);
}

/* ---- registers ------------------------------------------------------------------------------- */

static void set_enable(struct vga *v, u16 value)
{
    bool was = vga_vbe_on(v);
    struct vga_linear l;

    v->vbe[VBE_ENABLE] = value & (VBE_ENABLE_ON | VBE_ENABLE_GETCAPS | VBE_ENABLE_8BIT_DAC |
                                  VBE_ENABLE_LFB | VBE_ENABLE_NOCLEAR);
    if (!vga_vbe_on(v)) {
        v->vbe[VBE_BANK] = 0;
        return;
    }
    if (was)
        return;
    v->vbe[VBE_VIRT_WIDTH] = v->vbe[VBE_XRES];
    v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = v->vbe[VBE_BANK] = 0;
    v->vbe[VBE_VIRT_HEIGHT] = virtual_height(v);
    vga_vbe_geometry(v, &l);
    if (!(value & VBE_ENABLE_NOCLEAR))
        memset(v->vram, 0, (size_t)l.pitch_bytes * l.height * (l.bits == 4 ? 4 : 1));
}

static u16 dispi_read(const struct vga *v, unsigned reg)
{
    bool caps = v->vbe[VBE_ENABLE] & VBE_ENABLE_GETCAPS;

    switch (reg) {
    case VBE_XRES: return caps ? MAX_WIDTH : v->vbe[reg];
    case VBE_YRES: return caps ? MAX_HEIGHT : v->vbe[reg];
    case VBE_BPP: return caps ? MAX_BITS : v->vbe[reg];
    case VBE_MEMORY_64K: return (u16)(v->vram_bytes / 0x10000);
    default: return reg < VBE_REGS ? v->vbe[reg] : 0;
    }
}

static void dispi_write(struct vga *v, unsigned reg, u16 value)
{
    v->generation++;
    switch (reg) {
    case VBE_ID:
        if (value >= ID_FIRST && value <= ID_LAST)
            v->vbe[reg] = value;
        break;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP: /* while a mode is on they stand for what is shown */
        if (!vga_vbe_on(v))
            v->vbe[reg] = value;
        break;
    case VBE_ENABLE: set_enable(v, value); break;
    case VBE_BANK: v->vbe[reg] = (u16)(value & (v->vram_bytes / 0x10000 - 1)); break;
    case VBE_VIRT_WIDTH:
        v->vbe[reg] = value;
        v->vbe[VBE_VIRT_HEIGHT] = virtual_height(v);
        break;
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET: v->vbe[reg] = value; break;
    default: break; /* the height and the size of memory follow from the rest */
    }
}

void vga_vbe_reset(struct vga *v)
{
    memset(v->vbe, 0, sizeof v->vbe);
    v->vbe_index = 0;
    v->vbe[VBE_ID] = ID_LAST;
    v->vbe[VBE_BPP] = 8;
}

/* ---- ports ----------------------------------------------------------------------------------- */

static u32 vbe_port_read(void *opaque, u16 port, unsigned size)
{
    const struct vga *v = opaque;

    (void)size;
    return port == VBE_INDEX_PORT ? v->vbe_index : dispi_read(v, v->vbe_index);
}

static void vbe_port_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct vga *v = opaque;

    (void)size;
    if (port == VBE_INDEX_PORT)
        v->vbe_index = (u16)value;
    else
        dispi_write(v, v->vbe_index, (u16)value);
}

const struct io_ops vga_vbe_io = {.read = vbe_port_read, .write = vbe_port_write, .wide = true};

/* ---- BAR 2 ----------------------------------------------------------------------------------- */

static u64 mmio_read(void *opaque, u64 off, unsigned size)
{
    struct vga *v = opaque;
    u64 value = 0;

    if (off >= MMIO_DISPI && off + size <= MMIO_DISPI_END) {
        for (unsigned i = 0; i < size; i++) {
            unsigned at = (unsigned)(off - MMIO_DISPI) + i;
            value |= (u64)(dispi_read(v, at / 2) >> 8 * (at & 1) & 0xff) << 8 * i;
        }
        return value;
    }
    if (off < MMIO_VGA || off + size > MMIO_VGA_END)
        return 0;
    for (unsigned i = 0; i < size; i++)
        value |= (u64)vga_port_read(v, (u16)(off - MMIO_VGA + 0x3c0 + i)) << 8 * i;
    return value;
}

/* DISPI registers are written whole, at even offsets. */
static void mmio_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct vga *v = opaque;

    if (off >= MMIO_DISPI && off + size <= MMIO_DISPI_END && size >= 2 && !(off & 1)) {
        for (unsigned i = 0; i < size; i += 2)
            dispi_write(v, (unsigned)(off - MMIO_DISPI + i) / 2, (u16)(value >> 8 * i));
    } else if (off >= MMIO_VGA && off + size <= MMIO_VGA_END) {
        for (unsigned i = 0; i < size; i++)
            vga_port_write(v, (u16)(off - MMIO_VGA + 0x3c0 + i), (u8)(value >> 8 * i));
    }
}

const struct mmio_ops vga_mmio_ops = {.read = mmio_read, .write = mmio_write};
