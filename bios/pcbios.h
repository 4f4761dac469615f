/*
 * pcbios.h: our own BIOS: the host's part. The guest runs a few hundred bytes of ROM (rom/bios.S)
 * that hand the registers of an INT to the host by one OUT; the service is done here, at once, on
 * the machine's own drives, video memory and chips: a paravirtual firmware.
 *
 * Specification: IBM PS/2 and PC BIOS Interface Technical Reference; Ralf Brown's Interrupt List;
 * and what each file names.
 *
 * Limits: memory is addressed as in real mode. Under a virtual-8086 monitor that moves the caller's
 * stack or buffers by paging, a service would see other memory.
 */
#pragma once

#include "base/clock.h"
#include "bios/e820.h"
#include "block/drive.h"
#include "devices/iobus.h"
#include "devices/vga.h"
#include "mmu/phys.h"

#define PCBIOS_DISKS 8u
#define PCBIOS_FLOPPIES 2u
#define PCBIOS_BOOT_MAX 16u

struct pcbios_config {
    struct phys *phys;
    struct iobus *io;
    struct clock *clock;
    struct pci_bus *pci;
    struct vga *vga; /* NULL: none */
    struct drives
        *drives; /* disks, CD-ROMs and floppies, in the order of their numbers; may be NULL */
    unsigned cpus;
    const char *oem;
    const char *boot_order; /* letters as of -boot order=: a floppy, c disk, d CD, n network; NULL:
                               "acdn" */
    bool boot_menu;
    const struct rom *option_roms; /* beside those of PCI functions */
    unsigned option_rom_count;
    /* Gives every PCI function addresses and interrupts, and the interrupt controllers their modes.
     */
    bool (*setup_board)(void *opaque);
    void *opaque;
};

/* The caller's registers, as the frame of rom/abi.h has them. */
struct bios_regs {
    u32 eax, ebx, ecx, edx, esi, edi, ebp;
    u16 ds, es, ip, cs, flags;
    u8 service, action;
    u16 target_cs, target_ip; /* of ACTION_CALL */
};

/* How a drive looks through INT 13h. */
struct bios_disk {
    struct drive *drive; /* NULL: no such drive */
    u32 base;            /* first sector, of 512 bytes, of an image inside a CD */
    u64 sectors;         /* of `sector_bytes` */
    u32 sector_bytes;
    u16 cylinders;
    u8 heads, sectors_per_track;
    u8 floppy_type; /* INT 13h, AH=08h; 0: not a floppy */
    bool readonly;
    u64 generation; /* of the medium when it was last looked at */
};

/* Something to boot from: a drive, or what an option ROM offers ('n'). */
struct bios_boot {
    char letter; /* of -boot */
    u8 number;   /* of INT 13h */
    struct drive *drive; /* NULL: a ROM's */
    u32 bootindex;
    u16 segment, entry; /* of a ROM: its boot entry vector */
    char name[40];
};

/* The option ROM that is being started. */
struct bios_rom {
    unsigned next; /* PCI functions, then those of the configuration */
    u32 end;       /* first free byte of the ROMs' area; 0: nothing was looked at */
    u16 segment;
    u32 bytes;
    u16 devfn; /* as ROMs get it in AX: bus 0; 0: not a PCI function's */
    u32 bootindex;
    bool started; /* it is, and its headers are looked at */
    u16 header;   /* the next; 0: no more */
    u8 disks;     /* that are known to be there */
    char name[40];
};

#define PMM_BLOCKS 16u

/* Memory that option ROMs got while they start. */
struct bios_pmm {
    struct {
        u32 handle, at, bytes;
    } block[PMM_BLOCKS];
    unsigned blocks;
};

struct pcbios {
    struct pcbios_config cfg;
    struct e820 map;
    struct bios_disk floppy[PCBIOS_FLOPPIES], disk[PCBIOS_DISKS], cd;
    unsigned disks, floppies;
    struct bios_boot boot[PCBIOS_BOOT_MAX];
    unsigned boots, boot_next;
    bool menu_shown;
    struct bios_rom option;
    struct bios_pmm pmm;
    u8 cd_packet[0x13]; /* El Torito's specification packet of the boot CD (INT 13h, AH=4Bh) */
    u64 wait_until_ns;  /* INT 15h, AH=86h; 0: nobody waits */
    u8 *rom;            /* 64 KiB */
    bool failed;        /* setup_board did */
};

#define PCBIOS_ROM_BYTES 0x10000u

/* Is the BIOS built in? It needs an assembler for x86. */
bool pcbios_available(void);
/* The ROM's 64 KiB, with the tables and fonts in it, and the port of the calls. */
bool pcbios_create(struct pcbios *b, const struct pcbios_config *c, struct err *e);
void pcbios_destroy(struct pcbios *b);
/* Before the machine starts and at each of its resets. */
void pcbios_reset(struct pcbios *b);
/* For a kernel that was loaded without firmware: the BIOS lies in RAM, as shadow memory, and POST
 * was. */
void pcbios_install(struct pcbios *b);

/* ---- between the files of the BIOS ----------------------------------------------------------- */

/* One row per service (pcbios.c). */
struct bios_service {
    u8 number;
    const char *name;
    void (*run)(struct pcbios *b, struct bios_regs *r);
};

void pcbios_video(struct pcbios *b, struct bios_regs *r);    /* INT 10h */
void pcbios_disk(struct pcbios *b, struct bios_regs *r);     /* INT 13h */
void pcbios_serial(struct pcbios *b, struct bios_regs *r);   /* INT 14h */
void pcbios_system(struct pcbios *b, struct bios_regs *r);   /* INT 15h */
void pcbios_keyboard(struct pcbios *b, struct bios_regs *r); /* INT 16h */
void pcbios_printer(struct pcbios *b, struct bios_regs *r);  /* INT 17h */
void pcbios_no_boot(struct pcbios *b, struct bios_regs *r);  /* INT 18h */
void pcbios_boot(struct pcbios *b, struct bios_regs *r);     /* INT 19h */
void pcbios_time(struct pcbios *b, struct bios_regs *r);     /* INT 1Ah */
void pcbios_roms(struct pcbios *b, struct bios_regs *r);     /* option ROMs */
void pcbios_pmm(struct pcbios *b, struct bios_regs *r);      /* POST Memory Manager */
void pcbios_rtc_irq(struct pcbios *b, struct bios_regs *r);  /* INT 70h */
void pcbios_key(struct pcbios *b, struct bios_regs *r);      /* a byte from the keyboard */
void pcbios_vbe(struct pcbios *b, struct bios_regs *r);      /* INT 10h, AH=4Fh */
void pcbios_pci(struct pcbios *b, struct bios_regs *r);      /* INT 1Ah, AH=B1h */

/* One more to boot from: behind those of its bootindex. */
void pcbios_add_boot(struct pcbios *b, const struct bios_boot *boot);
/* Finds the drives and their geometries; part of POST. */
void pcbios_disks_find(struct pcbios *b);
/* Reads 512-byte sectors of a drive to memory; false: the medium does not give them. */
bool pcbios_read_sectors(struct pcbios *b, struct drive *d, u64 sector, u32 count, gpa_t to);
/* The BIOS drive of that number, NULL: none. */
struct bios_disk *pcbios_disk_of(struct pcbios *b, u8 number);
/* Geometry of a floppy (or a floppy's image) by its size. */
void pcbios_floppy_geometry(struct bios_disk *d, u64 bytes);
/* Takes a key from the buffer; false: there is none. */
bool pcbios_take_key(struct pcbios *b, u16 *key);
void pcbios_set_text_mode(struct pcbios *b);
void pcbios_print(struct pcbios *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Registers. */
#define FLAG_CF 0x0001u
#define FLAG_ZF 0x0040u
#define FLAG_IF 0x0200u

static inline u8 reg_al(const struct bios_regs *r)
{
    return (u8)r->eax;
}
static inline u8 reg_ah(const struct bios_regs *r)
{
    return (u8)(r->eax >> 8);
}
static inline u8 reg_bl(const struct bios_regs *r)
{
    return (u8)r->ebx;
}
static inline u8 reg_bh(const struct bios_regs *r)
{
    return (u8)(r->ebx >> 8);
}
static inline u8 reg_cl(const struct bios_regs *r)
{
    return (u8)r->ecx;
}
static inline u8 reg_ch(const struct bios_regs *r)
{
    return (u8)(r->ecx >> 8);
}
static inline u8 reg_dl(const struct bios_regs *r)
{
    return (u8)r->edx;
}
static inline u8 reg_dh(const struct bios_regs *r)
{
    return (u8)(r->edx >> 8);
}

static inline void set_low8(u32 *reg, u8 v)
{
    *reg = (*reg & ~0xffu) | v;
}
static inline void set_high8(u32 *reg, u8 v)
{
    *reg = (*reg & ~0xff00u) | (u32)v << 8;
}
static inline void set_low16(u32 *reg, u16 v)
{
    *reg = (*reg & ~0xffffu) | v;
}
static inline void set_flag(struct bios_regs *r, u16 flag, bool on)
{
    r->flags = (u16)(on ? r->flags | flag : r->flags & ~flag);
}
/* AH and CF, as most services answer. */
static inline void answer(struct bios_regs *r, u8 ah)
{
    set_high8(&r->eax, ah);
    set_flag(r, FLAG_CF, ah != 0);
}

/* Memory as the CPU reaches it in real mode: A20 and video memory included. */
static inline gpa_t far_gpa(u16 seg, u32 off)
{
    return ((gpa_t)seg << 4) + (off & 0xffff);
}
u64 bios_get(struct pcbios *b, gpa_t gpa, unsigned size);
void bios_put(struct pcbios *b, gpa_t gpa, u64 value, unsigned size);
void bios_read(struct pcbios *b, gpa_t gpa, void *buf, u32 len);
void bios_write(struct pcbios *b, gpa_t gpa, const void *buf, u32 len);

/* BIOS data area, by IBM's offsets in segment 40h. */
enum {
    BDA_COM1 = 0x400,
    BDA_EBDA = 0x40e,
    BDA_EQUIPMENT = 0x410,
    BDA_MEMORY_KB = 0x413,
    BDA_KEY_FLAGS = 0x417,
    BDA_KEY_FLAGS2 = 0x418,
    BDA_KEY_ALT_PAD = 0x419,
    BDA_KEY_HEAD = 0x41a,
    BDA_KEY_TAIL = 0x41c,
    BDA_FLOPPY_STATUS = 0x441,
    BDA_VIDEO_MODE = 0x449,
    BDA_VIDEO_COLUMNS = 0x44a,
    BDA_VIDEO_PAGE_BYTES = 0x44c,
    BDA_VIDEO_PAGE_AT = 0x44e,
    BDA_VIDEO_CURSOR = 0x450,
    BDA_VIDEO_SHAPE = 0x460,
    BDA_VIDEO_PAGE = 0x462,
    BDA_VIDEO_CRTC = 0x463,
    BDA_TICKS = 0x46c,
    BDA_MIDNIGHT = 0x470,
    BDA_BREAK = 0x471,
    BDA_RESET = 0x472,
    BDA_DISK_STATUS = 0x474,
    BDA_DISKS = 0x475,
    BDA_KEY_START = 0x480,
    BDA_KEY_END = 0x482,
    BDA_VIDEO_ROWS = 0x484,
    BDA_VIDEO_CHAR = 0x485,
    BDA_VIDEO_CONTROL = 0x487,
    BDA_VIDEO_SWITCHES = 0x488,
    BDA_VIDEO_FLAGS = 0x489,
    BDA_VIDEO_DCC = 0x48a,
    BDA_KEY_MODE = 0x496,
    BDA_KEY_LEDS = 0x497,
    BDA_WAIT_FLAG_AT = 0x498,
    BDA_WAIT_COUNT = 0x49c,
    BDA_WAIT_ACTIVE = 0x4a0,
};

/* Where things lie in the ROM, as offsets in segment F000h. */
enum {
    ROM_SMBIOS = 0x0000,
    ROM_SMBIOS_BYTES = 0xa000,
    ROM_MPTABLE = 0xa000,
    ROM_MPTABLE_BYTES = 0x1b00,
    ROM_CONFIG_TABLE = 0xbb00, /* INT 15h, AH=C0h */
    ROM_DISKETTE_TABLE = 0xbb10,
    ROM_STATE_TABLE = 0xbb20, /* INT 10h, AH=1Bh */
    ROM_OEM_STRING = 0xbb40,
    ROM_VBE_MODES = 0xbb80,
    ROM_FONT16 = 0xbc00,
    ROM_FONT14 = 0xcc00,
    ROM_FONT8_HIGH = 0xda00,
};
#define ROM_SEGMENT 0xf000u
