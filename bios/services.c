/*
 * services.c: the few real-mode BIOS services that a kernel's 16-bit setup code calls when it is
 * loaded directly: memory size, ticks, text output, reset. Everything else says "unsupported".
 *
 * Interfaces: Ralf Brown's Interrupt List; ACPI 6.5 section 15.1 (E820h).
 *
 * Not implemented: disks, keyboard, video modes, APM, PCI BIOS: a guest that needs a BIOS is
 * started with one.
 */
#include "bios/services.h"

#include "base/bits.h"
#include "bios/layout.h"
#include "mmu/dma.h"

#include <string.h>

#define SEGMENT 0xf000u
#define OFFSET (LAYOUT_SERVICES - (SEGMENT << 4))
#define VECTORS 256u
#define RESET_VECTOR 0xffff0u
#define BIOS_DATE_AT 0xffff5u
#define MODEL_AT 0xffffeu
#define MODEL_PC_AT 0xfcu

/* Before the code: what it looks up. */
enum {
    DATA_E820_COUNT = 0x00,
    DATA_KB_1_TO_16M = 0x02,   /* E801h: KiB between 1 and 16 MiB */
    DATA_BLOCKS_16M_UP = 0x04, /* E801h: 64 KiB blocks from 16 MiB on */
    DATA_EXT_KB = 0x06,        /* 88h: KiB from 1 MiB on */
    CODE_AT = 0x10,
    E820_AT = 0x200,
};

/* Entry points, as offsets from LAYOUT_SERVICES. */
enum {
    SVC_IGNORE = 0x010,
    SVC_EOI1 = 0x011,
    SVC_EOI2 = 0x018,
    SVC_TICK = 0x021,
    SVC_UNSUPPORTED = 0x032,
    SVC_INT10 = 0x046,
    SVC_INT11 = 0x069,
    SVC_INT12 = 0x072,
    SVC_INT13 = 0x07b,
    SVC_INT15 = 0x07f,
    SVC_INT16 = 0x0e6,
    SVC_INT1A = 0x0f1,
    SVC_RESET = 0x108,
};

/* At F000:D000 + CODE_AT. Machine code beside its source, for lack of an assembler on every host.
 */
/* clang-format off */
static const u8 code[] = {
    /* ignore: a vector that nobody uses */
    0xcf,                                        /* 10: iret */
    /* eoi1: IRQ 1 to 7 */
    0x50,                                        /* 11: push ax */
    0xb0, 0x20,                                  /* 12: mov al,0x20 */
    0xe6, 0x20,                                  /* 14: out 0x20,al */
    0x58,                                        /* 16: pop ax */
    0xcf,                                        /* 17: iret */
    /* eoi2: IRQ 8 to 15 */
    0x50,                                        /* 18: push ax */
    0xb0, 0x20,                                  /* 19: mov al,0x20 */
    0xe6, 0xa0,                                  /* 1b: out 0xa0,al */
    0xe6, 0x20,                                  /* 1d: out 0x20,al */
    0x58,                                        /* 1f: pop ax */
    0xcf,                                        /* 20: iret */
    /* tick: INT 08h (IRQ 0): counts ticks at 40:6C */
    0x1e,                                        /* 21: push ds */
    0x50,                                        /* 22: push ax */
    0x6a, 0x40,                                  /* 23: push byte 0x40 */
    0x1f,                                        /* 25: pop ds */
    0x66, 0xff, 0x06, 0x6c, 0x00,                /* 26: inc dword [0x6c] */
    0xb0, 0x20,                                  /* 2b: mov al,0x20 */
    0xe6, 0x20,                                  /* 2d: out 0x20,al */
    0x58,                                        /* 2f: pop ax */
    0x1f,                                        /* 30: pop ds */
    0xcf,                                        /* 31: iret */
    /* unsupported: INT 14h, 15h, 17h: AH = 86h, CF = 1 */
    0xb4, 0x86,                                  /* 32: mov ah,0x86 */
    /* fail: CF = 1 */
    0x55,                                        /* 34: push bp */
    0x89, 0xe5,                                  /* 35: mov bp,sp */
    0x80, 0x4e, 0x06, 0x01,                      /* 37: or byte [bp+6],1 */
    0x5d,                                        /* 3b: pop bp */
    0xcf,                                        /* 3c: iret */
    /* succeed: CF = 0 */
    0x55,                                        /* 3d: push bp */
    0x89, 0xe5,                                  /* 3e: mov bp,sp */
    0x80, 0x66, 0x06, 0xfe,                      /* 40: and byte [bp+6],0xfe */
    0x5d,                                        /* 44: pop bp */
    0xcf,                                        /* 45: iret */
    /* int10: INT 10h: a console without a screen: teletype output goes to COM1 */
    0x80, 0xfc, 0x0e,                            /* 46: cmp ah,0x0e */
    0x74, 0x0b,                                  /* 49: je tty */
    0x80, 0xfc, 0x0f,                            /* 4b: cmp ah,0x0f */
    0x74, 0x0d,                                  /* 4e: je getmode */
    0x80, 0xfc, 0x03,                            /* 50: cmp ah,0x03 */
    0x74, 0x0e,                                  /* 53: je getcursor */
    0xcf,                                        /* 55: iret */
    /* tty: */
    0x52,                                        /* 56: push dx */
    0xba, 0xf8, 0x03,                            /* 57: mov dx,0x3f8 */
    0xee,                                        /* 5a: out dx,al */
    0x5a,                                        /* 5b: pop dx */
    0xcf,                                        /* 5c: iret */
    /* getmode: */
    0xb8, 0x03, 0x50,                            /* 5d: mov ax,0x5003 */
    0xb7, 0x00,                                  /* 60: mov bh,0 */
    0xcf,                                        /* 62: iret */
    /* getcursor: */
    0x31, 0xd2,                                  /* 63: xor dx,dx */
    0xb9, 0x07, 0x06,                            /* 65: mov cx,0x0607 */
    0xcf,                                        /* 68: iret */
    /* int11: INT 11h: equipment word */
    0x1e,                                        /* 69: push ds */
    0x6a, 0x40,                                  /* 6a: push byte 0x40 */
    0x1f,                                        /* 6c: pop ds */
    0xa1, 0x10, 0x00,                            /* 6d: mov ax,[0x10] */
    0x1f,                                        /* 70: pop ds */
    0xcf,                                        /* 71: iret */
    /* int12: INT 12h: KiB of low memory */
    0x1e,                                        /* 72: push ds */
    0x6a, 0x40,                                  /* 73: push byte 0x40 */
    0x1f,                                        /* 75: pop ds */
    0xa1, 0x13, 0x00,                            /* 76: mov ax,[0x13] */
    0x1f,                                        /* 79: pop ds */
    0xcf,                                        /* 7a: iret */
    /* int13: INT 13h: no disks */
    0xb4, 0x01,                                  /* 7b: mov ah,0x01 */
    0xeb, 0xb5,                                  /* 7d: jmp short fail */
    /* int15: INT 15h: the size of memory */
    0x3d, 0x20, 0xe8,                            /* 7f: cmp ax,0xe820 */
    0x74, 0x0c,                                  /* 82: je e820 */
    0x3d, 0x01, 0xe8,                            /* 84: cmp ax,0xe801 */
    0x74, 0x46,                                  /* 87: je e801 */
    0x80, 0xfc, 0x88,                            /* 89: cmp ah,0x88 */
    0x74, 0x51,                                  /* 8c: je extmem */
    0xeb, 0xa2,                                  /* 8e: jmp short unsupported */
    /* e820: AX = E820h: entry EBX of the map to ES:DI */
    0x66, 0x81, 0xfa, 0x50, 0x41, 0x4d, 0x53,    /* 90: cmp edx,0x534d4150 */
    0x75, 0x99,                                  /* 97: jne unsupported */
    0x2e, 0x3b, 0x1e, 0x00, 0xd0,                /* 99: cmp bx,[cs:e820_count] */
    0x73, 0x92,                                  /* 9e: jae unsupported */
    0x1e,                                        /* a0: push ds */
    0x56,                                        /* a1: push si */
    0x57,                                        /* a2: push di */
    0x6b, 0xf3, 0x14,                            /* a3: imul si,bx,20 */
    0x81, 0xc6, 0x00, 0xd2,                      /* a6: add si,0xd200 */
    0x0e,                                        /* aa: push cs */
    0x1f,                                        /* ab: pop ds */
    0xb9, 0x0a, 0x00,                            /* ac: mov cx,10 */
    0xfc,                                        /* af: cld */
    0xf3, 0xa5,                                  /* b0: rep movsw */
    0x5f,                                        /* b2: pop di */
    0x5e,                                        /* b3: pop si */
    0x1f,                                        /* b4: pop ds */
    0x43,                                        /* b5: inc bx */
    0x2e, 0x3b, 0x1e, 0x00, 0xd0,                /* b6: cmp bx,[cs:e820_count] */
    0x72, 0x02,                                  /* bb: jb more */
    0x31, 0xdb,                                  /* bd: xor bx,bx */
    /* more: */
    0x66, 0x0f, 0xb7, 0xdb,                      /* bf: movzx ebx,bx */
    0x66, 0x89, 0xd0,                            /* c3: mov eax,edx */
    0x66, 0xb9, 0x14, 0x00, 0x00, 0x00,          /* c6: mov ecx,20 */
    0xe9, 0x6e, 0xff,                            /* cc: jmp succeed */
    /* e801: AX = E801h */
    0x2e, 0xa1, 0x02, 0xd0,                      /* cf: mov ax,[cs:kb_1_16] */
    0x2e, 0x8b, 0x1e, 0x04, 0xd0,                /* d3: mov bx,[cs:blocks_16] */
    0x89, 0xc1,                                  /* d8: mov cx,ax */
    0x89, 0xda,                                  /* da: mov dx,bx */
    0xe9, 0x5e, 0xff,                            /* dc: jmp succeed */
    /* extmem: AH = 88h */
    0x2e, 0xa1, 0x06, 0xd0,                      /* df: mov ax,[cs:ext_kb] */
    0xe9, 0x57, 0xff,                            /* e3: jmp succeed */
    /* int16: INT 16h: no key was pressed */
    0x55,                                        /* e6: push bp */
    0x89, 0xe5,                                  /* e7: mov bp,sp */
    0x80, 0x4e, 0x06, 0x40,                      /* e9: or byte [bp+6],0x40 */
    0x5d,                                        /* ed: pop bp */
    0x31, 0xc0,                                  /* ee: xor ax,ax */
    0xcf,                                        /* f0: iret */
    /* int1a: INT 1Ah: AH = 0, ticks; nothing else */
    0x08, 0xe4,                                  /* f1: or ah,ah */
    0x75, 0x10,                                  /* f3: jne int1afail */
    0x1e,                                        /* f5: push ds */
    0x6a, 0x40,                                  /* f6: push byte 0x40 */
    0x1f,                                        /* f8: pop ds */
    0x8b, 0x16, 0x6c, 0x00,                      /* f9: mov dx,[0x6c] */
    0x8b, 0x0e, 0x6e, 0x00,                      /* fd: mov cx,[0x6e] */
    0xb0, 0x00,                                  /* 101: mov al,0 */
    0x1f,                                        /* 103: pop ds */
    0xcf,                                        /* 104: iret */
    /* int1afail: */
    0xe9, 0x2c, 0xff,                            /* 105: jmp fail */
    /* reset: INT 18h, 19h and the reset vector: pulse the reset line through the 8042 */
    0xfa,                                        /* 108: cli */
    0xb0, 0xfe,                                  /* 109: mov al,0xfe */
    0xe6, 0x64,                                  /* 10b: out 0x64,al */
    /* stop: */
    0xf4,                                        /* 10d: hlt */
    0xeb, 0xfd,                                  /* 10e: jmp short stop */
};
/* clang-format on */
_Static_assert(CODE_AT + sizeof code <= E820_AT, "the code runs into the E820 map");

static u16 handler(unsigned vector)
{
    if (vector == 0x08)
        return SVC_TICK;
    if (vector > 0x08 && vector < 0x10)
        return SVC_EOI1;
    if (vector >= 0x70 && vector < 0x78)
        return SVC_EOI2;
    switch (vector) {
    case 0x10: return SVC_INT10;
    case 0x11: return SVC_INT11;
    case 0x12: return SVC_INT12;
    case 0x13: return SVC_INT13;
    case 0x14:
    case 0x17: return SVC_UNSUPPORTED;
    case 0x15: return SVC_INT15;
    case 0x16: return SVC_INT16;
    case 0x18:
    case 0x19: return SVC_RESET;
    case 0x1a: return SVC_INT1A;
    default: return SVC_IGNORE;
    }
}

static void install_vectors(struct phys *p)
{
    u8 ivt[VECTORS * 4];
    for (unsigned v = 0; v < VECTORS; v++) {
        st_le16(ivt + v * 4, (u16)(OFFSET + handler(v)));
        st_le16(ivt + v * 4 + 2, SEGMENT);
    }
    BUG_ON(!dma_write(p, 0, ivt, sizeof ivt));
}

/* Sizes of memory in the units of the old calls, each saturating. */
static void fill_sizes(u8 *data, u64 ram_low_bytes)
{
    u64 ext_kb = (ram_low_bytes - LAYOUT_HIGH) / KIB;
    u64 high = ram_low_bytes > 16 * MIB ? (ram_low_bytes - 16 * MIB) / (64 * KIB) : 0;
    st_le16(data + DATA_KB_1_TO_16M, (u16)(ext_kb < 15 * 1024 ? ext_kb : 15 * 1024));
    st_le16(data + DATA_BLOCKS_16M_UP, (u16)(high < 0xffff ? high : 0xffff));
    st_le16(data + DATA_EXT_KB, (u16)(ext_kb < 0xffff ? ext_kb : 0xffff));
}

/* A warm boot: JMP FAR to the reset routine, the date, the model byte. */
static void install_reset_vector(struct phys *p)
{
    static const char date[] = "01/01/26";
    static const u8 model = MODEL_PC_AT;
    u8 jump[5] = {0xea};
    st_le16(jump + 1, (u16)(OFFSET + SVC_RESET));
    st_le16(jump + 3, SEGMENT);
    BUG_ON(!dma_write(p, RESET_VECTOR, jump, sizeof jump));
    BUG_ON(!dma_write(p, BIOS_DATE_AT, date, sizeof date - 1));
    BUG_ON(!dma_write(p, MODEL_AT, &model, 1));
}

void services_install(struct phys *p, const struct e820 *map)
{
    u8 data[E820_AT + E820_MAX * E820_ENTRY_BYTES] = {0};
    st_le16(data + DATA_E820_COUNT, (u16)map->count);
    fill_sizes(data, p->ram_low_bytes);
    memcpy(data + CODE_AT, code, sizeof code);
    e820_encode(map, data + E820_AT);
    BUG_ON(!dma_write(p, LAYOUT_SERVICES, data, sizeof data));
    install_vectors(p);
    install_reset_vector(p);
}
