/*
 * pcbios_roms.c: option ROMs: those of PCI functions and of -option-rom are copied to C0000h and
 * up, started, and what they offer to boot from joins the order of boot. Their memory until then:
 * POST Memory Manager.
 *
 * Specification: PCI Firmware Specification 3.0, section 5 (images, as PCI 2.1 starts them); Plug
 * and Play BIOS Specification 1.0A, section 3 (expansion headers); BIOS Boot Specification 1.01
 * (BEV, BCV); POST Memory Manager Specification 1.01.
 *
 * Not implemented: PCI 3.0's start of a ROM at another place, disconnect vectors, ISA Plug and
 * Play.
 */
#include "bios/pcbios.h"

#include "base/bits.h"
#include "bios/rom.h"
#include "bios/rom/abi.h"
#include "devices/pci.h"

#include <string.h>

#define ROMS_AT 0xc0000u
#define ROMS_END 0xe0000u /* ACPI tables */
#define ROM_STEP 2048u
#define ROM_UNIT 512u
#define SIGNATURE 0xaa55u
#define CODE_X86 0u
#define LAST_IMAGE 0x80u
#define PCI_FUNCTIONS 256u

/* Offsets in a ROM, its PCI data structure and its expansion headers. */
enum { ROM_SIZE = 2, ROM_INIT = 3, ROM_PCIR = 0x18, ROM_HEADER = 0x1a };
enum {
    PCIR_VENDOR = 4,
    PCIR_DEVICE = 6,
    PCIR_DEVICES = 8,
    PCIR_REVISION = 12,
    PCIR_UNITS = 16,
    PCIR_CODE = 20,
    PCIR_INDICATOR = 21,
    PCIR_BYTES = 24
};
enum { PNP_NEXT = 6, PNP_PRODUCT = 16, PNP_BCV = 22, PNP_BEV = 26, PNP_BYTES = 32 };

/* ---- images ---------------------------------------------------------------------------------- */

struct rom_image {
    const u8 *data;
    u64 bytes; /* to the end of the ROM */
};

/* The device's number, or one of the list that revision 3 has. */
static bool drives_device(const struct rom_image *m, u64 pcir, const struct pci_func *f)
{
    u16 vendor = ld_le16(f->config + PCI_VENDOR_ID), device = ld_le16(f->config + PCI_DEVICE_ID);
    u64 list = pcir + ld_le16(m->data + pcir + PCIR_DEVICES);

    if (ld_le16(m->data + pcir + PCIR_VENDOR) != vendor)
        return false;
    if (ld_le16(m->data + pcir + PCIR_DEVICE) == device)
        return true;
    for (; m->data[pcir + PCIR_REVISION] >= 3 && list > pcir && list + 2 <= m->bytes; list += 2) {
        if (!ld_le16(m->data + list))
            return false;
        if (ld_le16(m->data + list) == device)
            return true;
    }
    return false;
}

/* Moves on to the image for this CPU in the ROM of a PCI function. */
static bool find_image(struct rom_image *m, const struct pci_func *f)
{
    for (;;) {
        u64 pcir, step;

        if (m->bytes < ROM_UNIT || ld_le16(m->data) != SIGNATURE)
            return false;
        pcir = ld_le16(m->data + ROM_PCIR);
        if (pcir + PCIR_BYTES > m->bytes || memcmp(m->data + pcir, "PCIR", 4) != 0)
            return false;
        if (m->data[pcir + PCIR_CODE] == CODE_X86 && drives_device(m, pcir, f))
            return true;
        step = (u64)ld_le16(m->data + pcir + PCIR_UNITS) * ROM_UNIT;
        if (!step || step > m->bytes || m->data[pcir + PCIR_INDICATOR] & LAST_IMAGE)
            return false;
        m->data += step;
        m->bytes -= step;
    }
}

static bool is_whole(const struct rom_image *m, u64 *bytes)
{
    u8 sum = 0;

    if (m->bytes < ROM_UNIT || ld_le16(m->data) != SIGNATURE)
        return false;
    *bytes = m->data[ROM_SIZE] * ROM_UNIT;
    if (!*bytes || *bytes > m->bytes)
        return false;
    for (u64 i = 0; i < *bytes; i++)
        sum = (u8)(sum + m->data[i]);
    return sum == 0;
}

/* ---- starting -------------------------------------------------------------------------------- */

static void call(struct pcbios *b, struct bios_regs *r, u16 entry)
{
    r->action = ACTION_CALL;
    r->target_cs = b->option.segment;
    r->target_ip = entry;
    set_low16(&r->eax, b->option.devfn);
    set_low16(&r->ebx, 0xffff); /* no card select number, no read data port */
    set_low16(&r->edx, 0xffff);
    r->es = ROM_SEGMENT;
    set_low16(&r->edi, ROM_PNP);
}

/* The ROM is looked at where the host has it: its function need not decode it. */
static bool next_image(struct pcbios *b, struct rom_image *m)
{
    struct bios_rom *o = &b->option;
    unsigned n = o->next++;

    o->devfn = n < PCI_FUNCTIONS ? (u16)n : 0;
    o->bootindex = DRIVE_NO_BOOTINDEX;
    *m = (struct rom_image){0};
    if (n < PCI_FUNCTIONS) {
        const struct pci_func *f = b->cfg.pci->func[n];

        if (!f || !f->rom)
            return true;
        o->bootindex = f->bootindex;
        *m = (struct rom_image){f->rom, f->bar[PCI_BAR_ROM].size};
        if (!find_image(m, f)) {
            pcbios_print(b, "%02x.%x: its ROM is for another device or CPU.\r\n", n >> 3, n & 7);
            *m = (struct rom_image){0};
        }
        return true;
    }
    n -= PCI_FUNCTIONS;
    if (n >= b->cfg.option_rom_count)
        return false;
    *m = (struct rom_image){b->cfg.option_roms[n].data, b->cfg.option_roms[n].bytes};
    return true;
}

/* False: there are no more. */
static bool start_next(struct pcbios *b, struct bios_regs *r)
{
    struct bios_rom *o = &b->option;
    struct rom_image m;
    u64 bytes;

    while (next_image(b, &m)) {
        if (!m.data)
            continue;
        if (!is_whole(&m, &bytes)) {
            pcbios_print(b, "An option ROM is cut off, or its checksum is wrong.\r\n");
        } else if (o->end + bytes > ROMS_END) {
            pcbios_print(b, "There is no room for an option ROM.\r\n");
        } else {
            bios_write(b, o->end, m.data, (u32)bytes);
            o->segment = (u16)(o->end >> 4);
            o->bytes = (u32)bytes;
            o->header = 0;
            call(b, r, ROM_INIT);
            return true;
        }
    }
    return false;
}

/* ---- what it offers -------------------------------------------------------------------------- */

static u16 rom_word(struct pcbios *b, u32 off)
{
    return (u16)bios_get(b, ((gpa_t)b->option.segment << 4) + off, 2);
}

static void read_name(struct pcbios *b, u16 at, char *name, unsigned size)
{
    unsigned n = 0;

    for (; at && n + 1 < size; n++) {
        u8 c = (u8)bios_get(b, far_gpa(b->option.segment, at + n), 1);

        if (c < ' ' || c > '~')
            break;
        name[n] = (char)c;
    }
    strcpy(name + n, n ? "" : "option ROM");
}

/* Disks that a connection vector has added are behind INT 13h. */
static void find_new_disks(struct pcbios *b, const char *name)
{
    struct bios_boot boot = {.letter = 'c', .bootindex = b->option.bootindex};

    snprintf(boot.name, sizeof boot.name, "%s", name);
    for (; b->option.disks < bios_get(b, BDA_DISKS, 1); b->option.disks++) {
        boot.number = (u8)(0x80 + b->option.disks);
        pcbios_add_boot(b, &boot);
    }
}

/* Takes the next expansion header. True: the ROM is called to connect its disks. */
static bool take_header(struct pcbios *b, struct bios_regs *r)
{
    struct bios_rom *o = &b->option;
    u16 at = o->header, bcv, bev;
    struct bios_boot boot = {.letter = 'n', .bootindex = o->bootindex, .segment = o->segment};

    o->header = 0;
    if (!at || (u32)at + PNP_BYTES > o->bytes || rom_word(b, at) != ld_le16("$P") ||
        rom_word(b, at + 2u) != ld_le16("nP"))
        return false;
    o->header = rom_word(b, at + PNP_NEXT) > at ? rom_word(b, at + PNP_NEXT) : 0;
    bcv = rom_word(b, at + PNP_BCV);
    bev = rom_word(b, at + PNP_BEV);
    read_name(b, rom_word(b, at + PNP_PRODUCT), o->name, sizeof o->name);
    if (bev) {
        boot.entry = bev;
        memcpy(boot.name, o->name, sizeof boot.name);
        pcbios_add_boot(b, &boot);
    } else if (bcv) {
        call(b, r, bcv);
        return true;
    }
    return false;
}

/* What is left of the ROM after its start stays; it may have become smaller, or nothing. */
static void keep(struct pcbios *b)
{
    struct bios_rom *o = &b->option;
    u32 bytes = (u32)bios_get(b, o->end + ROM_SIZE, 1) * ROM_UNIT;

    if (bytes < o->bytes)
        o->bytes = bytes;
    o->end += (u32)align_up(o->bytes, ROM_STEP);
    o->header = o->bytes ? rom_word(b, ROM_HEADER) : 0;
}

/* Called again whenever a ROM comes back. */
void pcbios_roms(struct pcbios *b, struct bios_regs *r)
{
    struct bios_rom *o = &b->option;

    if (b->failed)
        return;
    if (!o->end) {
        o->end = ROMS_AT;
        o->disks = (u8)bios_get(b, BDA_DISKS, 1);
    } else if (!o->started) {
        keep(b);
        o->started = true;
    } else {
        find_new_disks(b, o->name);
    }
    while (o->header)
        if (take_header(b, r))
            return;
    o->started = false;
    start_next(b, r);
}

/* ---- POST Memory Manager --------------------------------------------------------------------- */

enum { PMM_ALLOCATE, PMM_FIND, PMM_DEALLOCATE };
#define PMM_CONVENTIONAL 1u
#define PMM_EXTENDED 2u
#define PMM_ALIGNED 4u
#define PMM_ANONYMOUS 0xffffffffu
#define PMM_NOT_SUPPORTED 0xffffffffu
#define PARAGRAPH 16u

/* Blocks are taken from the upper end of two places. */
static const struct pmm_pool {
    u32 flag, bottom, top; /* top 0: where RAM ends below the PCI hole */
} pools[] = {{PMM_EXTENDED, 2 * MIB, 0}, {PMM_CONVENTIONAL, 0x10000, 0x80000}};

static u32 pool_free(const struct pcbios *b, const struct pmm_pool *p)
{
    u32 top = p->top ? p->top : (u32)b->cfg.phys->ram_low_bytes;
    u32 free = top;

    for (unsigned i = 0; i < b->pmm.blocks; i++) {
        u32 at = b->pmm.block[i].at;

        if (at >= p->bottom && at < top && at < free)
            free = at;
    }
    return free > p->bottom ? free : p->bottom;
}

/* Length 0 asks how much there is. */
static u32 pmm_allocate(struct pcbios *b, u32 paragraphs, u32 handle, u16 flags)
{
    struct bios_pmm *m = &b->pmm;
    u64 bytes = (u64)paragraphs * PARAGRAPH, most = 0;
    u64 align = flags & PMM_ALIGNED && bytes ? bytes & -bytes : PARAGRAPH;

    for (unsigned i = 0; i < ARRAY_SIZE(pools); i++) {
        const struct pmm_pool *p = &pools[i];
        u32 room = pool_free(b, p) - p->bottom, at;

        if (!(flags & p->flag))
            continue;
        most = room > most ? room : most;
        at = bytes <= room ? (u32)((p->bottom + room - bytes) & ~(align - 1)) : 0;
        if (!bytes || at < p->bottom || m->blocks == PMM_BLOCKS)
            continue;
        m->block[m->blocks].handle = handle;
        m->block[m->blocks++].at = at;
        return at;
    }
    return bytes ? 0 : (u32)(most / PARAGRAPH);
}

static u32 pmm_find(const struct pcbios *b, u32 handle)
{
    for (unsigned i = 0; i < b->pmm.blocks && handle != PMM_ANONYMOUS; i++)
        if (b->pmm.block[i].handle == handle)
            return b->pmm.block[i].at;
    return 0;
}

/* Returns 0 when it is done. */
static u32 pmm_deallocate(struct pcbios *b, u32 at)
{
    struct bios_pmm *m = &b->pmm;

    for (unsigned i = 0; i < m->blocks; i++)
        if (m->block[i].at == at) {
            m->block[i] = m->block[--m->blocks];
            return 0;
        }
    return 1;
}

void pcbios_pmm(struct pcbios *b, struct bios_regs *r)
{
    u32 result = PMM_NOT_SUPPORTED;

    switch (r->eax & 0xffff) {
    case PMM_ALLOCATE: result = pmm_allocate(b, r->ebx, r->ecx, (u16)r->edx); break;
    case PMM_FIND: result = pmm_find(b, r->ebx); break;
    case PMM_DEALLOCATE: result = pmm_deallocate(b, r->ebx); break;
    }
    set_low16(&r->eax, (u16)result);
    set_low16(&r->edx, (u16)(result >> 16));
}
