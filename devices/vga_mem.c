/*
 * vga_mem.c: the VGA's window at A0000h to BFFFFh: map select, odd/even and chain-4 addressing, the
 * four write modes, the two read modes, latches; in VBE modes a window of 64 KiB.
 *
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem" (graphics
 * controller, sequencer); Intel OpenSource HD Graphics PRM vol. 3 part 1, "VGA registers" (address
 * mapping). Bochs VBE: the bank register selects which 64 KiB of linear memory A0000h shows.
 *
 * Not implemented: the address bit that replaces A0 in odd/even mode (GR6 bit 1, the page bit of
 * the miscellaneous output register): A0 is cleared, as with more than 64 KiB of memory.
 */
#include "devices/vga.h"

#include "base/bits.h"

#define SEQ_MAP_MASK 2
#define SEQ_MODE 4
#define SEQ_MODE_SEQUENTIAL BIT(2) /* clear: odd and even addresses go to planes of their own */
#define SEQ_MODE_CHAIN4 BIT(3)

enum {
    GFX_SET_RESET,
    GFX_ENABLE_SET_RESET,
    GFX_COMPARE,
    GFX_ROTATE,
    GFX_READ_MAP,
    GFX_MODE,
    GFX_MISC,
    GFX_DONT_CARE,
    GFX_BIT_MASK
};
#define GFX_MODE_READ1 BIT(3)
#define GFX_MODE_ODD_EVEN BIT(4)

#define MISC_RAM_ENABLE BIT(1)
#define BANK_BYTES 0x10000u

/* Bits 0 to 3 as masks of bytes. */
static u32 planes(unsigned bits)
{
    return ((bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21) * 0xffu;
}

static u32 broadcast(unsigned byte)
{
    return (byte & 0xff) * 0x01010101u;
}

/* An offset in the 128 KiB as one in the part that is mapped (GR6, bits 3:2). */
static bool window_offset(const struct vga *v, u32 *off)
{
    if (!(v->misc & MISC_RAM_ENABLE))
        return false;
    switch (v->gfx[GFX_MISC] >> 2 & 3) {
    case 0: *off &= 0xffff; return true; /* 128 KiB over planes of 64 KiB */
    case 1: return *off < 0x10000;
    case 2: *off -= 0x10000; return *off < 0x8000;
    default: *off -= 0x18000; return *off < 0x8000;
    }
}

static u32 bank_address(const struct vga *v, u32 off)
{
    return (v->vbe[VBE_BANK] * BANK_BYTES + off) & (v->vram_bytes - 1);
}

static bool linear_bank(const struct vga *v)
{
    return vga_vbe_on(v) && v->vbe[VBE_BPP] > 4;
}

/* The planar address, with VBE's 4-bit modes in banks of 64 KiB as well. */
static u32 planar_address(const struct vga *v, u32 off)
{
    if (vga_vbe_on(v))
        off += v->vbe[VBE_BANK] * BANK_BYTES;
    return off & (v->vram_bytes / 4 - 1);
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* Read mode 1: a bit per pixel, set where the colour is the one to compare with. */
static u8 read_compare(const struct vga *v)
{
    u32 differs = (v->latch ^ planes(v->gfx[GFX_COMPARE])) & planes(v->gfx[GFX_DONT_CARE]);

    return (u8) ~(differs | differs >> 8 | differs >> 16 | differs >> 24);
}

static u8 read_byte(struct vga *v, u32 off)
{
    unsigned plane = v->gfx[GFX_READ_MAP] & 3;

    if (linear_bank(v))
        return off < BANK_BYTES ? v->vram[bank_address(v, off)] : 0xff;
    if (!window_offset(v, &off))
        return 0xff;
    if (v->seq[SEQ_MODE] & SEQ_MODE_CHAIN4) {
        plane = off & 3;
        off &= ~3u;
    } else if (v->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN) {
        plane = (plane & 2) | (off & 1);
        off &= ~1u;
    }
    v->latch = ld_le32(v->vram + 4 * planar_address(v, off));
    if (v->gfx[GFX_MODE] & GFX_MODE_READ1)
        return read_compare(v);
    return (u8)(v->latch >> 8 * plane);
}

/* ---- writes ---------------------------------------------------------------------------------- */

static u32 rotated(const struct vga *v, u8 value)
{
    unsigned n = v->gfx[GFX_ROTATE] & 7;

    return broadcast((unsigned)value >> n | (unsigned)value << (8 - n));
}

static u32 function(const struct vga *v, u32 data)
{
    switch (v->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1: return data & v->latch;
    case 2: return data | v->latch;
    case 3: return data ^ v->latch;
    default: return data;
    }
}

/* What the graphics controller sends to the four planes. */
static u32 write_data(const struct vga *v, u8 value)
{
    u32 mask = broadcast(v->gfx[GFX_BIT_MASK]), data, set;

    switch (v->gfx[GFX_MODE] & 3) {
    case 0:
        set = planes(v->gfx[GFX_ENABLE_SET_RESET]);
        data = (rotated(v, value) & ~set) | (planes(v->gfx[GFX_SET_RESET]) & set);
        break;
    case 1: return v->latch;
    case 2: data = planes(value); break;
    default:
        mask &= rotated(v, value);
        data = planes(v->gfx[GFX_SET_RESET]);
        break;
    }
    return (function(v, data) & mask) | (v->latch & ~mask);
}

static void write_byte(struct vga *v, u32 off, u8 value)
{
    unsigned map = v->seq[SEQ_MAP_MASK] & 15;
    u32 enabled;
    u8 *at;

    if (linear_bank(v)) {
        if (off < BANK_BYTES)
            v->vram[bank_address(v, off)] = value;
        return;
    }
    if (!window_offset(v, &off))
        return;
    if (v->seq[SEQ_MODE] & SEQ_MODE_CHAIN4) {
        map &= BIT(off & 3);
        off &= ~3u;
    } else if (!(v->seq[SEQ_MODE] & SEQ_MODE_SEQUENTIAL)) {
        map &= off & 1 ? 0xa : 0x5;
        off &= ~1u;
    }
    at = v->vram + 4 * planar_address(v, off);
    enabled = planes(map);
    st_le32(at, (ld_le32(at) & ~enabled) | (write_data(v, value) & enabled));
}

/* ---- the bus --------------------------------------------------------------------------------- */

static u64 window_read(void *opaque, u64 off, unsigned size)
{
    u64 value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (u64)read_byte(opaque, (u32)off + i) << 8 * i;
    return value;
}

static void window_write(void *opaque, u64 off, u64 value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        write_byte(opaque, (u32)off + i, (u8)(value >> 8 * i));
}

const struct mmio_ops vga_window_ops = {.read = window_read, .write = window_write};
