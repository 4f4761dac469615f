/*
 * vga.h: a VGA with the Bochs VBE extensions (DISPI) as PCI function 1234:1111, the "standard VGA"
 * of PC emulators.
 *
 *     A0000-BFFFF --> vga_mem.c --+
 *     BAR 0 (linear) -------------+--> video memory --> vga_draw.c --> RGB pixels
 *     3B0-3DF --> vga.c --> registers -------------------^     `----> characters
 *     1CE, 1CF, BAR 2 --> vga_vbe.c --> DISPI registers -^
 *
 * A byte of plane p at planar address a lies at 4 * a + p of video memory, so that one 32-bit word
 * holds what the latches hold; the linear frame buffer sees the same bytes in order.
 */
#pragma once

#include "devices/pci.h"

#define VGA_WINDOW_BASE 0xa0000u
#define VGA_WINDOW_BYTES 0x20000u
#define VGA_PLANE_BYTES 0x10000u /* of each of the four planes that the VGA itself reaches */

#define VGA_SEQ_REGS 8u
#define VGA_GFX_REGS 9u
#define VGA_CRTC_REGS 25u
#define VGA_ATTR_REGS 21u
#define VGA_DAC_BYTES 768u

enum vbe_reg {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_MEMORY_64K,
    VBE_REGS
};
#define VBE_ENABLE_ON BIT(0)
#define VBE_ENABLE_GETCAPS BIT(1)
#define VBE_ENABLE_8BIT_DAC BIT(5)
#define VBE_ENABLE_LFB BIT(6)
#define VBE_ENABLE_NOCLEAR BIT(7)
#define VBE_INDEX_PORT 0x1ceu
#define VBE_DATA_PORT 0x1cfu

struct vga {
    struct pci_func pci;
    u32 memory_mb; /* property */
    u8 *vram;
    u32 vram_bytes; /* power of two */
    struct region *window;

    u8 misc, feature, enable; /* 3C2, 3DA, 3C3 */
    u8 seq_index, seq[VGA_SEQ_REGS];
    u8 gfx_index, gfx[VGA_GFX_REGS];
    u8 crtc_index, crtc[VGA_CRTC_REGS];
    u8 attr_index, attr[VGA_ATTR_REGS]; /* bit 5 of the index: the screen is on */
    bool attr_data;                     /* the next write to 3C0 is data */
    u8 dac_read, dac_write, dac_part;   /* palette indices, and which of red, green, blue is next */
    u8 dac_state;                       /* 3C7: 0 after a write index, 3 after a read index */
    u8 dac_latch[2];                    /* red and green until blue comes */
    u8 pel_mask, dac[VGA_DAC_BYTES];
    u32 latch; /* byte n: plane n */
    u16 vbe_index, vbe[VBE_REGS];
    u32 generation; /* counts writes to registers that change the picture; no state */
};

extern const struct dev_class vga_class;

/* ---- the picture (vga_draw.c, vga_text.c) ---------------------------------------------------- */

/* What a display shows, and the memory that it was made from. Begins zeroed; each front end has its
 * own. */
struct vga_screen {
    unsigned width, height;
    u32 *pixels; /* 0x00RRGGBB, width * height */
    u8 *copy;    /* of the video memory that was drawn */
    u32 copy_bytes;
    u32 generation, phase; /* of registers and of what blinks */
    bool valid;
};

/* Brings the pixels up to date: only lines whose pages of video memory changed since the last call
 * are made again. False when nothing changed. The picture is in dots of the monitor: 720 x 400 in
 * text mode, 640 x 400 in mode 13h. Changed lines are [*first, *end); a new size changes all. */
bool vga_screen_update(struct vga *v, struct vga_screen *s, unsigned *first, unsigned *end);
void vga_screen_free(struct vga_screen *s);

#define VGA_TEXT_MAX_COLUMNS 256u
#define VGA_TEXT_MAX_ROWS 128u
#define VGA_NO_CURSOR (-1)

struct vga_text {
    unsigned columns, rows;
    int cursor_x, cursor_y; /* VGA_NO_CURSOR: none, or beyond the screen */
    struct {
        u8 ch, attr; /* code page 437; foreground | background << 4 */
    } cell[VGA_TEXT_MAX_ROWS][VGA_TEXT_MAX_COLUMNS];
};

/* The characters of the screen; false in graphics modes and while the screen is off. */
bool vga_text_read(struct vga *v, struct vga_text *t);
/* Unicode of a character of code page 437, as a screen shows it: 0 and FFh are blanks. */
u32 vga_text_unicode(u8 ch);

/* ---- between the files of this chip ---------------------------------------------------------- */

extern const struct mmio_ops vga_window_ops; /* vga_mem.c; opaque: struct vga */
extern const struct io_ops vga_vbe_io;       /* vga_vbe.c */
extern const struct mmio_ops vga_mmio_ops;
void vga_vbe_reset(struct vga *v);

/* A register of ports 3B0h to 3DFh, as a byte. */
u8 vga_port_read(struct vga *v, u16 port);
void vga_port_write(struct vga *v, u16 port, u8 value);

/* A linear mode as DISPI describes it, made safe: every line lies in video memory. */
struct vga_linear {
    unsigned width, height, bits; /* bits: 4, 8, 15, 16, 24, 32 */
    u32 pitch_bytes, start;       /* with 4 bits: of planar addresses */
};
bool vga_vbe_on(const struct vga *v);
void vga_vbe_geometry(const struct vga *v, struct vga_linear *l);

/* The CRTC's view of the picture in text and planar modes. */
struct vga_crtc {
    unsigned columns;    /* character clocks per line */
    unsigned lines;      /* scan lines */
    unsigned row_lines;  /* scan lines of a character row, doubling not counted */
    unsigned repeat;     /* 2: each line is scanned twice */
    unsigned compare;    /* line after which the address starts again at 0 */
    u32 start, pitch;    /* in counts of the memory address counter */
    unsigned first_line; /* preset row scan */
};
void vga_crtc_read(const struct vga *v, struct vga_crtc *c);
/* The count at which a scan line begins, and which line of its row it is. */
u32 vga_crtc_line(const struct vga_crtc *c, unsigned line, unsigned *row_line);
/* The planar address of a count in a given scan line of the row. */
u32 vga_crtc_address(const struct vga *v, u32 count, unsigned row_line);
bool vga_is_text(const struct vga *v);
bool vga_is_on(const struct vga *v);
