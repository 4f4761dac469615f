/*
 * pcbios.c: calls of the ROM, power-on self test, and the image of the ROM.
 *
 * Specification: IBM PS/2 and PC BIOS Interface Technical Reference (data areas, INT 15h AH=C0h);
 * the port and the frame are ours (rom/abi.h).
 */
#include "bios/pcbios.h"

#include "base/bits.h"
#include "bios/firmware.h"
#include "bios/font.h"
#include "bios/layout.h"
#include "bios/mptable.h"
#include "bios/rom/abi.h"
#include "bios/smbios.h"
#include "bios/video.h"
#include "mmu/dma.h"

#include <stdlib.h>
#include <string.h>

#ifdef PARALLAX_PCBIOS
extern const u8 pcbios_blob[], pcbios_blob_end[];

static size_t blob_bytes(void)
{
    return (size_t)(pcbios_blob_end - pcbios_blob);
}
#else
static const u8 pcbios_blob[1];

static size_t blob_bytes(void)
{
    return 0;
}
#endif

#define CMOS_SHUTDOWN 0x0f
#define RESUME_VECTOR 0x467

bool pcbios_available(void)
{
    return blob_bytes() != 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

u64 bios_get(struct pcbios *b, gpa_t gpa, unsigned size)
{
    return phys_read(b->cfg.phys, gpa & b->cfg.phys->a20_mask, size);
}

void bios_put(struct pcbios *b, gpa_t gpa, u64 value, unsigned size)
{
    phys_write(b->cfg.phys, gpa & b->cfg.phys->a20_mask, value, size);
}

/* By page: what is not RAM is reached byte by byte, as the CPU would. */
void bios_read(struct pcbios *b, gpa_t gpa, void *buf, u32 len)
{
    u8 *to = buf;

    while (len) {
        u32 n = (u32)(PAGE_SIZE - (gpa & ~PAGE_MASK));

        n = n < len ? n : len;
        if (!dma_read(b->cfg.phys, gpa & b->cfg.phys->a20_mask, to, n))
            for (u32 i = 0; i < n; i++)
                to[i] = (u8)bios_get(b, gpa + i, 1);
        gpa += n;
        to += n;
        len -= n;
    }
}

void bios_write(struct pcbios *b, gpa_t gpa, const void *buf, u32 len)
{
    const u8 *from = buf;

    while (len) {
        u32 n = (u32)(PAGE_SIZE - (gpa & ~PAGE_MASK));

        n = n < len ? n : len;
        if (!dma_write(b->cfg.phys, gpa & b->cfg.phys->a20_mask, from, n))
            for (u32 i = 0; i < n; i++)
                bios_put(b, gpa + i, from[i], 1);
        gpa += n;
        from += n;
        len -= n;
    }
}

/* ---- POST ------------------------------------------------------------------------------------ */

static u8 cmos(struct pcbios *b, u8 index)
{
    iobus_write(b->cfg.io, 0x70, index, 1);
    return (u8)iobus_read(b->cfg.io, 0x71, 1);
}

static void vector(u8 ivt[1024], unsigned n, u16 seg, u16 off)
{
    st_le16(ivt + 4 * n, off);
    st_le16(ivt + 4 * n + 2, seg);
}

/* The ROM's table names the entries; FFh stands for all others. */
static void install_vectors(struct pcbios *b)
{
    const u8 *row = b->rom + ROM_CODE, *end = b->rom + PCBIOS_ROM_BYTES - 4;
    u8 ivt[1024];
    u16 ignore = 0;

    for (const u8 *p = row; p < end && ld_le16(p) <= 0xff; p += 4)
        if (ld_le16(p) == 0xff)
            ignore = ld_le16(p + 2);
    for (unsigned n = 0; n < 256; n++)
        vector(ivt, n, ROM_SEGMENT, ignore);
    for (const u8 *p = row; p < end && ld_le16(p) < 0xff; p += 4)
        vector(ivt, ld_le16(p), ROM_SEGMENT, ld_le16(p + 2));
    vector(ivt, 0x1e, ROM_SEGMENT, ROM_DISKETTE_TABLE);
    vector(ivt, 0x1f, ROM_SEGMENT, ROM_FONT8_HIGH);
    vector(ivt, 0x43, ROM_SEGMENT, ROM_FONT16);
    vector(ivt, 0x1d, 0, 0); /* tables that are not there */
    for (unsigned n = 0x60; n < 0x68; n++)
        vector(ivt, n, 0, 0); /* for programs: zero says free */
    bios_write(b, 0, ivt, sizeof ivt);
}

/* What the data areas say of disks; the rest is as for a kernel that is loaded directly. */
static void install_disk_areas(struct pcbios *b)
{
    u16 equipment = (u16)(bios_get(b, BDA_EQUIPMENT, 2) & 0xff3e);

    if (b->floppies)
        equipment |= (u16)(1 | (b->floppies - 1) << 6);
    bios_put(b, BDA_EQUIPMENT, equipment, 2);
    bios_put(b, BDA_DISKS, b->disks, 1);
}

/* The clock's ticks since midnight, from the RTC: 18.2065 a second. */
static void install_ticks(struct pcbios *b)
{
    bool binary = cmos(b, 0x0b) & 4;
    u32 part[3], seconds;

    for (unsigned i = 0; i < 3; i++) {
        u8 v = cmos(b, (u8)(4 - 2 * i));
        part[i] = binary ? v : (v >> 4) * 10u + (v & 15);
    }
    seconds = (part[0] * 60 + part[1]) * 60 + part[2];
    bios_put(b, BDA_TICKS, (u64)seconds * 0x1800b0 / 86400, 4);
    bios_put(b, BDA_MIDNIGHT, 0, 1);
}

/* After a reset by which a program returned from protected mode (CMOS 0Fh) it goes on where 40:67
 * says. */
static bool resume(struct pcbios *b, struct bios_regs *r)
{
    u8 code = cmos(b, CMOS_SHUTDOWN);

    iobus_write(b->cfg.io, 0x70, CMOS_SHUTDOWN, 1);
    iobus_write(b->cfg.io, 0x71, 0, 1);
    if (code != 0x05 && code != 0x0a)
        return false;
    if (code == 0x05) { /* with end of interrupt */
        iobus_write(b->cfg.io, 0xa0, 0x20, 1);
        iobus_write(b->cfg.io, 0x20, 0x20, 1);
    }
    r->ip = (u16)bios_get(b, RESUME_VECTOR, 2);
    r->cs = (u16)bios_get(b, RESUME_VECTOR + 2, 2);
    return true;
}

static void power_on(struct pcbios *b)
{
    gpa_t rsdp;

    b->failed = !b->cfg.setup_board(b->cfg.opaque);
    install_vectors(b);
    firmware_install_data_areas(b->cfg.phys);
    firmware_install_acpi(b->cfg.phys, b->cfg.cpus, b->cfg.oem, &rsdp);
    pcbios_disks_find(b);
    install_disk_areas(b);
    install_ticks(b);
    if (b->cfg.vga)
        pcbios_set_text_mode(b);
    iobus_write(b->cfg.io, 0x21, 0xb8, 1); /* timer, keyboard, cascade, diskette */
    iobus_write(b->cfg.io, 0xa1, 0x8f, 1); /* mouse, coprocessor, disks */
    iobus_write(b->cfg.io, 0x64, 0x60, 1); /* the 8042: interrupts and translation */
    iobus_write(b->cfg.io, 0x60, 0x61, 1);
    iobus_write(b->cfg.io, 0x60, 0xf4, 1); /* the keyboard: scan */
    iobus_read(b->cfg.io, 0x60, 1);
}

static void post(struct pcbios *b, struct bios_regs *r)
{
    if (!resume(b, r))
        power_on(b);
}

void pcbios_install(struct pcbios *b)
{
    bios_write(b, LAYOUT_SMBIOS, b->rom, PCBIOS_ROM_BYTES);
    power_on(b);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static const struct bios_service services[] = {
    {0x10, "video", pcbios_video},       {0x13, "disk", pcbios_disk},
    {0x14, "serial", pcbios_serial},     {0x15, "system", pcbios_system},
    {0x16, "keyboard", pcbios_keyboard}, {0x17, "printer", pcbios_printer},
    {0x18, "no boot", pcbios_no_boot},   {0x19, "boot", pcbios_boot},
    {0x1a, "time", pcbios_time},         {0x70, "rtc", pcbios_rtc_irq},
    {BIOS_POST, "post", post},           {BIOS_KEY, "key", pcbios_key},
    {BIOS_ROMS, "roms", pcbios_roms},    {BIOS_PMM, "pmm", pcbios_pmm},
};

static void load_frame(const u8 *f, struct bios_regs *r)
{
    *r = (struct bios_regs){.eax = ld_le32(f + FRAME_EAX),
                            .ebx = ld_le32(f + FRAME_EBX),
                            .ecx = ld_le32(f + FRAME_ECX),
                            .edx = ld_le32(f + FRAME_EDX),
                            .esi = ld_le32(f + FRAME_ESI),
                            .edi = ld_le32(f + FRAME_EDI),
                            .ebp = ld_le32(f + FRAME_EBP),
                            .ds = ld_le16(f + FRAME_DS),
                            .es = ld_le16(f + FRAME_ES),
                            .ip = ld_le16(f + FRAME_IP),
                            .cs = ld_le16(f + FRAME_CS),
                            .flags = ld_le16(f + FRAME_FLAGS),
                            .service = f[FRAME_SERVICE],
                            .action = ACTION_RETURN};
}

static void store_frame(u8 *f, const struct bios_regs *r)
{
    st_le32(f + FRAME_EAX, r->eax);
    st_le32(f + FRAME_EBX, r->ebx);
    st_le32(f + FRAME_ECX, r->ecx);
    st_le32(f + FRAME_EDX, r->edx);
    st_le32(f + FRAME_ESI, r->esi);
    st_le32(f + FRAME_EDI, r->edi);
    st_le32(f + FRAME_EBP, r->ebp);
    st_le16(f + FRAME_DS, r->ds);
    st_le16(f + FRAME_ES, r->es);
    st_le16(f + FRAME_IP, r->ip);
    st_le16(f + FRAME_CS, r->cs);
    st_le16(f + FRAME_FLAGS, r->flags);
    f[FRAME_ACTION] = r->action;
    st_le16(f + FRAME_TARGET, r->target_ip);
    st_le16(f + FRAME_TARGET + 2, r->target_cs);
}

static void port_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pcbios *b = opaque;
    struct bios_regs r;
    u8 frame[FRAME_BYTES];

    if (port != BIOS_PORT || size != 4)
        return;
    bios_read(b, value, frame, sizeof frame);
    load_frame(frame, &r);
    TRACE(bios_call, r.service, r.eax & 0xffff, r.ebx & 0xffff, r.ecx & 0xffff, r.edx & 0xffff);
    for (unsigned i = 0; i < ARRAY_SIZE(services); i++)
        if (services[i].number == r.service)
            services[i].run(b, &r);
    TRACE(bios_done, r.service, r.action, r.eax & 0xffff, r.flags);
    store_frame(frame, &r);
    bios_write(b, value, frame, sizeof frame);
}

static const struct io_ops port_io = {.write = port_write, .wide = true};

/* ---- the ROM --------------------------------------------------------------------------------- */

static void put_fonts(u8 *rom)
{
    u8 rows[FONT_MAX_LINES];

    for (unsigned ch = 0; ch < 256; ch++) {
        font_glyph((u8)ch, 16, rom + ROM_FONT16 + 16 * ch);
        font_glyph((u8)ch, 14, rom + ROM_FONT14 + 14 * ch);
        font_glyph((u8)ch, 8, rows);
        memcpy(rom + (ch < 128 ? ROM_FONT8 : ROM_FONT8_HIGH - 128 * 8) + 8 * ch, rows, 8);
    }
}

static void put_tables(u8 *rom)
{
    /* Length, model, sub-model, revision, features: second 8259, RTC, INT 09h calls INT 15h. */
    static const u8 config[10] = {8, 0, 0xfc, 0, 1, 0x74, 0, 0, 0, 0};
    /* Diskette parameters of 1.44 MB: step rate, motor, 512 bytes, 18 sectors, gaps, fill byte. */
    static const u8 diskette[11] = {0xaf, 0x02, 0x25, 2, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08};
    /* Modes 0 to 13h, scan lines 200/350/400, character blocks, functions (INT 10h AH=1Bh). */
    static const u8 state[16] = {0xff, 0x60, 0x0f, 0, 0, 0, 0, 7, 2, 8, 0xe7, 0x0c, 0, 0, 0, 0};

    memcpy(rom + ROM_CONFIG_TABLE, config, sizeof config);
    memcpy(rom + ROM_DISKETTE_TABLE, diskette, sizeof diskette);
    memcpy(rom + ROM_STATE_TABLE, state, sizeof state);
    memcpy(rom + ROM_OEM_STRING, "Parallax VBE", sizeof "Parallax VBE");
}

/* All bytes of such a structure add up to 0. */
static void put_checksum(u8 *table, unsigned bytes, unsigned at)
{
    for (unsigned i = 0; i < bytes; i++)
        if (i != at)
            table[at] = (u8)(table[at] - table[i]);
}

static void make_rom(struct pcbios *b)
{
    const struct pcbios_config *c = &b->cfg;
    const struct smbios_config smbios = {.ram_bytes = c->phys->ram_bytes,
                                         .ram_low_bytes = c->phys->ram_low_bytes,
                                         .cpus = c->cpus,
                                         .oem = c->oem};

    memset(b->rom, 0xff, PCBIOS_ROM_BYTES);
    smbios_build(&smbios, LAYOUT_SMBIOS + ROM_SMBIOS, b->rom + ROM_SMBIOS, ROM_SMBIOS_BYTES);
    mptable_build(c->cpus, LAYOUT_SMBIOS + ROM_MPTABLE, b->rom + ROM_MPTABLE, ROM_MPTABLE_BYTES);
    memcpy(b->rom + ROM_CODE, pcbios_blob, blob_bytes());
    put_checksum(b->rom + ROM_PMM, ROM_PMM_BYTES, 6);
    put_checksum(b->rom + ROM_PNP, ROM_PNP_BYTES, 8);
    put_tables(b->rom);
    put_fonts(b->rom);
}

bool pcbios_create(struct pcbios *b, const struct pcbios_config *c, struct err *e)
{
    *b = (struct pcbios){.cfg = *c};
    if (!pcbios_available()) {
        err_host(e, "the BIOS is not built in: there was no compiler for x86");
        return err_hint(e, "use -bios seabios, or -kernel");
    }
    BUG_ON(blob_bytes() != PCBIOS_ROM_BYTES - ROM_CODE);
    b->rom = malloc(PCBIOS_ROM_BYTES);
    BUG_ON(!b->rom);
    make_rom(b);
    e820_build(&b->map, c->phys->ram_low_bytes, c->phys->ram_bytes);
    iobus_add(c->io, BIOS_PORT, 4, "bios", &port_io, b);
    return true;
}

void pcbios_destroy(struct pcbios *b)
{
    if (!b->rom)
        return;
    iobus_remove(b->cfg.io, BIOS_PORT, 4, b);
    free(b->rom);
    b->rom = NULL;
}

void pcbios_reset(struct pcbios *b)
{
    b->boot_next = 0;
    b->menu_shown = false;
    b->wait_until_ns = 0;
    b->option = (struct bios_rom){0};
    b->pmm.blocks = 0;
}
