/*
 * pcbios_vbe.c: INT 10h, AH=4Fh: the VESA BIOS Extensions over the Bochs VBE registers.
 *
 * Specification: VESA BIOS Extension Core Functions 3.0 (VBE30).
 *
 * Not implemented: 4-bit modes, saving and restoring the state (04h), the protected mode interface
 * (0Ah), refresh rates of one's own, DDC (15h).
 */
#include "bios/pcbios.h"

#include "base/bits.h"
#include "devices/pci.h"

#include <string.h>

#define VBE_OK 0x004fu
#define VBE_FAILED 0x014fu
#define MODE_LINEAR 0x4000u
#define MODE_KEEP 0x8000u
#define BANK_KB 64u

struct vbe_mode {
    u16 number, width, height;
    u8 bits;
};

/* VESA's numbers, and from 140h on those that have none of VESA's. */
static const struct vbe_mode modes[] = {
    {0x100, 640, 400, 8},    {0x101, 640, 480, 8},    {0x103, 800, 600, 8},
    {0x105, 1024, 768, 8},   {0x107, 1280, 1024, 8},  {0x10d, 320, 200, 15},
    {0x10e, 320, 200, 16},   {0x10f, 320, 200, 24},   {0x110, 640, 480, 15},
    {0x111, 640, 480, 16},   {0x112, 640, 480, 24},   {0x113, 800, 600, 15},
    {0x114, 800, 600, 16},   {0x115, 800, 600, 24},   {0x116, 1024, 768, 15},
    {0x117, 1024, 768, 16},  {0x118, 1024, 768, 24},  {0x119, 1280, 1024, 15},
    {0x11a, 1280, 1024, 16}, {0x11b, 1280, 1024, 24}, {0x140, 320, 200, 32},
    {0x141, 640, 400, 32},   {0x142, 640, 480, 32},   {0x143, 800, 600, 32},
    {0x144, 1024, 768, 32},  {0x145, 1280, 1024, 32}, {0x146, 320, 200, 8},
    {0x147, 1600, 1200, 32}, {0x148, 1280, 720, 32},  {0x149, 1280, 800, 32},
    {0x14a, 1440, 900, 32},  {0x14b, 1920, 1080, 32}, {0x14c, 1920, 1200, 32},
};

static u32 bytes_of(const struct vbe_mode *m)
{
    return (u32)m->width * m->height * ((m->bits + 7u) / 8);
}

static const struct vbe_mode *find(struct pcbios *b, u16 number)
{
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i].number == (number & 0x1ff) && bytes_of(&modes[i]) <= b->cfg.vga->vram_bytes)
            return &modes[i];
    return NULL;
}

static void dispi(struct pcbios *b, enum vbe_reg reg, u16 value)
{
    iobus_write(b->cfg.io, VBE_INDEX_PORT, reg, 2);
    iobus_write(b->cfg.io, VBE_DATA_PORT, value, 2);
}

static u16 dispi_get(struct pcbios *b, enum vbe_reg reg)
{
    iobus_write(b->cfg.io, VBE_INDEX_PORT, reg, 2);
    return (u16)iobus_read(b->cfg.io, VBE_DATA_PORT, 2);
}

static u32 linear_base(struct pcbios *b)
{
    return pci_config_read(b->cfg.pci, b->cfg.vga->pci.devfn, PCI_BAR0, 4) & ~15u;
}

static u32 far_pointer(u16 seg, u16 off)
{
    return (u32)seg << 16 | off;
}

/* ---- information ----------------------------------------------------------------------------- */

/* The list of modes lies in the caller's block, behind what VBE 2.0 has there. */
#define LIST_AT 0x22u

static void controller_information(struct pcbios *b, struct bios_regs *r)
{
    gpa_t at = far_gpa(r->es, r->edi);
    bool vbe2 = bios_get(b, at, 4) == 0x32454256; /* "VBE2" */
    u8 t[512] = {0};
    u32 n = LIST_AT;

    memcpy(t, "VESA", 4);
    st_le16(t + 4, 0x0300);
    st_le32(t + 6, far_pointer(ROM_SEGMENT, ROM_OEM_STRING));
    st_le32(t + 10, 1); /* the DAC can be switched to 8 bits */
    st_le32(t + 14, far_pointer(r->es, (u16)(r->edi + LIST_AT)));
    st_le16(t + 18, (u16)(b->cfg.vga->vram_bytes / (64 * KIB)));
    if (vbe2)
        for (unsigned i = 0; i < 3; i++)
            st_le32(t + 22 + 4 * i, far_pointer(ROM_SEGMENT, ROM_OEM_STRING));
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (find(b, modes[i].number)) {
            st_le16(t + n, modes[i].number);
            n += 2;
        }
    st_le16(t + n, 0xffff);
    bios_write(b, at, t, vbe2 ? 512 : 256);
    set_low16(&r->eax, VBE_OK);
}

/* Bits of red, green, blue and the rest: size, position. */
static void put_colours(u8 *p, unsigned bits)
{
    static const u8 rgb15[8] = {5, 10, 5, 5, 5, 0, 1, 15}, rgb16[8] = {5, 11, 6, 5, 5, 0, 0, 0};
    static const u8 rgb24[8] = {8, 16, 8, 8, 8, 0, 0, 0}, rgb32[8] = {8, 16, 8, 8, 8, 0, 8, 24};

    if (bits > 8)
        memcpy(p, bits == 15 ? rgb15 : bits == 16 ? rgb16 : bits == 24 ? rgb24 : rgb32, 8);
}

static void mode_information(struct pcbios *b, struct bios_regs *r)
{
    const struct vbe_mode *m = find(b, (u16)r->ecx);
    u16 pitch;
    u8 t[256] = {0};

    if (!m) {
        set_low16(&r->eax, VBE_FAILED);
        return;
    }
    pitch = (u16)(m->width * ((m->bits + 7) / 8));
    st_le16(t, 0x009b); /* supported, information, colour, graphics, linear */
    t[2] = 7;           /* window A: there, readable, writable */
    st_le16(t + 4, BANK_KB);
    st_le16(t + 6, BANK_KB);
    st_le16(t + 8, 0xa000);
    st_le16(t + 16, pitch);
    st_le16(t + 18, m->width);
    st_le16(t + 20, m->height);
    t[22] = 8;
    t[23] = 16;
    t[24] = 1; /* planes */
    t[25] = m->bits == 15 ? 16 : m->bits;
    t[26] = 1;                    /* banks */
    t[27] = m->bits == 8 ? 4 : 6; /* packed pixels, direct colour */
    t[29] =
        (u8)(b->cfg.vga->vram_bytes / bytes_of(m) > 255 ? 255
                                                        : b->cfg.vga->vram_bytes / bytes_of(m) - 1);
    t[30] = 1;
    put_colours(t + 31, m->bits);
    t[39] = m->bits > 8 ? 2 : 0; /* the rest is free for use */
    st_le32(t + 40, linear_base(b));
    st_le16(t + 50, pitch);
    t[52] = t[53] = t[29];
    put_colours(t + 54, m->bits);
    bios_write(b, far_gpa(r->es, r->edi), t, sizeof t);
    set_low16(&r->eax, VBE_OK);
}

/* ---- modes ----------------------------------------------------------------------------------- */

static void set_mode(struct pcbios *b, struct bios_regs *r)
{
    u16 number = (u16)r->ebx;
    const struct vbe_mode *m = find(b, number);
    struct bios_regs vga = {.eax = (number & 0x7f) | (number & MODE_KEEP ? 0x80u : 0)};

    set_low16(&r->eax, VBE_OK);
    if ((number & 0x1ff) < 0x100) {
        pcbios_video(b, &vga); /* AH=00h: a standard mode, which switches VBE off */
        return;
    }
    if (!m) {
        set_low16(&r->eax, VBE_FAILED);
        return;
    }
    dispi(b, VBE_ENABLE, 0);
    dispi(b, VBE_XRES, m->width);
    dispi(b, VBE_YRES, m->height);
    dispi(b, VBE_BPP, m->bits);
    dispi(b, VBE_ENABLE,
          (u16)(VBE_ENABLE_ON | VBE_ENABLE_LFB | (number & MODE_KEEP ? VBE_ENABLE_NOCLEAR : 0)));
    bios_put(b, BDA_VIDEO_MODE, 0x6f, 1); /* none of the standard ones */
    bios_put(b, BDA_VIDEO_COLUMNS, m->width / 8u, 2);
    bios_put(b, BDA_VIDEO_ROWS, m->height / 16u - 1, 1);
}

static u16 current_mode(struct pcbios *b)
{
    u16 width = dispi_get(b, VBE_XRES), height = dispi_get(b, VBE_YRES),
        bits = dispi_get(b, VBE_BPP);

    if (!vga_vbe_on(b->cfg.vga))
        return (u16)bios_get(b, BDA_VIDEO_MODE, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i].width == width && modes[i].height == height && modes[i].bits == bits)
            return modes[i].number | MODE_LINEAR;
    return 0x1ff;
}

/* ---- windows, lines, start, DAC -------------------------------------------------------------- */

static void window(struct pcbios *b, struct bios_regs *r)
{
    set_low16(&r->eax, reg_bl(r) ? VBE_FAILED : VBE_OK);
    if (reg_bl(r))
        return;
    if (reg_bh(r))
        set_low16(&r->edx, dispi_get(b, VBE_BANK));
    else
        dispi(b, VBE_BANK, (u16)r->edx);
}

static void line_length(struct pcbios *b, struct bios_regs *r)
{
    u16 each = (u16)((dispi_get(b, VBE_BPP) + 7) / 8), width = (u16)r->ecx;

    if (!vga_vbe_on(b->cfg.vga) || !each) {
        set_low16(&r->eax, VBE_FAILED);
        return;
    }
    if (reg_bl(r) == 2)
        width = width / each;
    if (reg_bl(r) == 0 || reg_bl(r) == 2)
        dispi(b, VBE_VIRT_WIDTH, (u16)((width + 7) & 0xfff8));
    width = dispi_get(b, VBE_VIRT_WIDTH);
    set_low16(&r->ebx, (u16)(width * each));
    set_low16(&r->ecx, width);
    set_low16(&r->edx, dispi_get(b, VBE_VIRT_HEIGHT));
    set_low16(&r->eax, VBE_OK);
}

static void display_start(struct pcbios *b, struct bios_regs *r)
{
    bool get = (reg_bl(r) & 0x7f) == 1;

    set_low16(&r->eax, vga_vbe_on(b->cfg.vga) ? VBE_OK : VBE_FAILED);
    if (get) {
        set_low16(&r->ecx, dispi_get(b, VBE_X_OFFSET));
        set_low16(&r->edx, dispi_get(b, VBE_Y_OFFSET));
        set_high8(&r->ebx, 0);
    } else {
        dispi(b, VBE_X_OFFSET, (u16)r->ecx);
        dispi(b, VBE_Y_OFFSET, (u16)r->edx);
    }
}

static void dac_width(struct pcbios *b, struct bios_regs *r)
{
    u16 enable = dispi_get(b, VBE_ENABLE);

    if (reg_bl(r) == 0) {
        enable =
            (u16)(reg_bh(r) >= 8 ? enable | VBE_ENABLE_8BIT_DAC : enable & ~VBE_ENABLE_8BIT_DAC);
        dispi(b, VBE_ENABLE, enable | VBE_ENABLE_NOCLEAR);
    }
    set_high8(&r->ebx, enable & VBE_ENABLE_8BIT_DAC ? 8 : 6);
    set_low16(&r->eax, VBE_OK);
}

/* AX=4F09h: entries of blue, green, red and a byte for alignment. */
static void palette(struct pcbios *b, struct bios_regs *r)
{
    gpa_t at = far_gpa(r->es, r->edi);
    u32 count = r->ecx & 0xffff, first = r->edx & 0xffff;
    bool get = reg_bl(r) == 1;

    set_low16(&r->eax, VBE_FAILED);
    if ((reg_bl(r) & 0x7f) > 1 || first > 255 || count > 256 - first)
        return;
    iobus_write(b->cfg.io, get ? 0x3c7 : 0x3c8, first, 1);
    for (; count; count--, at += 4)
        for (int i = 2; i >= 0; i--) {
            if (get)
                bios_put(b, at + (unsigned)i, iobus_read(b->cfg.io, 0x3c9, 1), 1);
            else
                iobus_write(b->cfg.io, 0x3c9, (u32)bios_get(b, at + (unsigned)i, 1), 1);
        }
    set_low16(&r->eax, VBE_OK);
}

void pcbios_vbe(struct pcbios *b, struct bios_regs *r)
{
    switch (reg_al(r)) {
    case 0x00: controller_information(b, r); break;
    case 0x01: mode_information(b, r); break;
    case 0x02: set_mode(b, r); break;
    case 0x03:
        set_low16(&r->ebx, current_mode(b));
        set_low16(&r->eax, VBE_OK);
        break;
    case 0x05: window(b, r); break;
    case 0x06: line_length(b, r); break;
    case 0x07: display_start(b, r); break;
    case 0x08: dac_width(b, r); break;
    case 0x09: palette(b, r); break;
    default: set_low16(&r->eax, 0x0100); break; /* not supported */
    }
}
