/*
 * seabios.c: fills fw_cfg for SeaBIOS.
 *
 * Specification: QEMU's docs/specs/fw_cfg and the comments of hw/acpi/bios-linker-loader (commands
 * that tell the firmware where to put ACPI tables, which pointers to adjust and which checksums to
 * make); SeaBIOS' docs/Runtime_config (bootorder, etc/ files).
 *
 * Not implemented: NUMA, S3, kernels and initrds through the linuxboot option ROM (-kernel needs no
 * firmware).
 */
#include "bios/seabios.h"

#include "base/bits.h"
#include "bios/acpi.h"
#include "bios/e820.h"
#include "bios/layout.h"
#include "bios/rom.h"
#include "bios/smbios.h"

#include <stdlib.h>
#include <string.h>

/* ---- ACPI ------------------------------------------------------------------------------------ */

#define TABLES_AT 64u /* what lies before in acpi_build's buffer is the RSDP */
#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE "etc/acpi/rsdp"

#define COMMAND_BYTES 128u
#define COMMANDS_MAX 64u
enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

struct script {
    u8 bytes[COMMANDS_MAX * COMMAND_BYTES];
    unsigned count;
};

static u8 *command(struct script *s, unsigned type, const char *file)
{
    u8 *c = s->bytes + s->count * COMMAND_BYTES;

    BUG_ON(s->count == COMMANDS_MAX);
    s->count++;
    st_le32(c, type);
    strcpy((char *)c + 4, file);
    return c;
}

static void allocate(struct script *s, const char *file, u32 align, u8 zone)
{
    u8 *c = command(s, LOADER_ALLOCATE, file);

    st_le32(c + 60, align);
    c[64] = zone;
}

/* The `width` bytes at `at` of `file` are an offset in the tables, to become an address. */
static void add_pointer(struct script *s, const char *file, u32 at, u8 width)
{
    u8 *c = command(s, LOADER_ADD_POINTER, file);

    strcpy((char *)c + 60, TABLES_FILE);
    st_le32(c + 116, at);
    c[120] = width;
}

static void add_checksum(struct script *s, const char *file, u32 at, u32 start, u32 len)
{
    u8 *c = command(s, LOADER_ADD_CHECKSUM, file);

    st_le32(c + 60, at);
    st_le32(c + 64, start);
    st_le32(c + 68, len);
}

static void fix_table(struct script *s, const u8 *tables, u32 at)
{
    add_checksum(s, TABLES_FILE, at + 9, at, ld_le32(tables + at + 4));
}

/* The pointers and checksums of the tables of acpi.c. `t` counts from the start of its buffer. */
static void write_script(struct script *s, const struct acpi_tables *t, const u8 *tables)
{
    u32 fadt = t->fadt - TABLES_AT, rsdt = t->rsdt - TABLES_AT, xsdt = t->xsdt - TABLES_AT;
    u32 rsdt_end = rsdt + ld_le32(tables + rsdt + 4), xsdt_end = xsdt + ld_le32(tables + xsdt + 4);

    allocate(s, RSDP_FILE, 16, ZONE_FSEG);
    allocate(s, TABLES_FILE, 64, ZONE_HIGH);
    add_pointer(s, TABLES_FILE, fadt + 36, 4);  /* FIRMWARE_CTRL */
    add_pointer(s, TABLES_FILE, fadt + 40, 4);  /* DSDT */
    add_pointer(s, TABLES_FILE, fadt + 140, 8); /* X_DSDT */
    fix_table(s, tables, fadt);
    for (u32 at = rsdt + ACPI_HEADER_BYTES; at < rsdt_end; at += 4)
        add_pointer(s, TABLES_FILE, at, 4);
    fix_table(s, tables, rsdt);
    for (u32 at = xsdt + ACPI_HEADER_BYTES; at < xsdt_end; at += 8)
        add_pointer(s, TABLES_FILE, at, 8);
    fix_table(s, tables, xsdt);
    add_pointer(s, RSDP_FILE, 16, 4);
    add_pointer(s, RSDP_FILE, 24, 8);
    add_checksum(s, RSDP_FILE, 8, 0, 20);
    add_checksum(s, RSDP_FILE, 32, 0, ACPI_RSDP_BYTES);
}

static void publish_acpi(struct fwcfg *f, const struct seabios_config *c)
{
    const struct acpi_config cfg = {.cpus = c->cpus, .oem = c->oem};
    struct script *s = calloc(1, sizeof *s);
    u8 *buf = malloc(LAYOUT_ACPI_BYTES);
    struct acpi_tables at;

    BUG_ON(!s || !buf);
    acpi_build(&cfg, -(gpa_t)TABLES_AT, buf, LAYOUT_ACPI_BYTES, &at);
    BUG_ON(at.facs < TABLES_AT);
    write_script(s, &at, buf + TABLES_AT);
    fwcfg_add_file(f, RSDP_FILE, buf, ACPI_RSDP_BYTES);
    fwcfg_add_file(f, TABLES_FILE, buf + TABLES_AT, at.bytes - TABLES_AT);
    fwcfg_add_file(f, "etc/table-loader", s->bytes, s->count * COMMAND_BYTES);
    free(buf);
    free(s);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void publish_smbios(struct fwcfg *f, const struct seabios_config *c)
{
    const struct smbios_config cfg = {.ram_bytes = c->ram_bytes,
                                      .ram_low_bytes = c->ram_low_bytes,
                                      .cpus = c->cpus,
                                      .oem = c->oem};
    u8 *buf = malloc(LAYOUT_SMBIOS_BYTES);
    u32 bytes;

    BUG_ON(!buf);
    bytes = smbios_build(&cfg, 0, buf, LAYOUT_SMBIOS_BYTES);
    fwcfg_add_file(f, "etc/smbios/smbios-anchor", buf, SMBIOS_ENTRY_BYTES);
    fwcfg_add_file(f, "etc/smbios/smbios-tables", buf + SMBIOS_TABLES_AT, bytes - SMBIOS_TABLES_AT);
    free(buf);
}

/* RAM alone: what lies in it the firmware decides. */
static void publish_memory(struct fwcfg *f, const struct seabios_config *c)
{
    struct e820 map = {.entry = {{0, c->ram_low_bytes, E820_RAM},
                                 {4 * GIB, c->ram_bytes - c->ram_low_bytes, E820_RAM}},
                       .count = c->ram_bytes > c->ram_low_bytes ? 2 : 1};
    u8 bytes[2 * E820_ENTRY_BYTES];

    fwcfg_add_file(f, "etc/e820", bytes, (u32)e820_encode(&map, bytes));
    fwcfg_add_number(f, FWCFG_RAM_SIZE, c->ram_bytes, 8);
}

static void publish_option_roms(struct fwcfg *f, const struct seabios_config *c)
{
    for (unsigned i = 0; i < c->option_rom_count; i++) {
        const char *slash = strrchr(c->option_rom_paths[i], '/');
        char name[FWCFG_NAME_BYTES];

        snprintf(name, sizeof name, "genroms/%u-%.32s", i,
                 slash ? slash + 1 : c->option_rom_paths[i]);
        fwcfg_add_file(f, name, c->option_roms[i].data, (u32)c->option_roms[i].bytes);
    }
}

void seabios_publish(struct fwcfg *f, const struct seabios_config *c)
{
    struct rom vga;

    fwcfg_clear(f);
    publish_memory(f, c);
    fwcfg_add_number(f, FWCFG_CPUS, c->cpus, 2);
    fwcfg_add_number(f, FWCFG_MAX_CPUS, c->cpus, 2);
    fwcfg_add_number(f, FWCFG_IRQ0_OVERRIDE, 1, 1); /* the 8254 is wired to pin 2 */
    fwcfg_add_number(f, FWCFG_BOOT_MENU, c->boot_menu, 2);
    publish_acpi(f, c);
    publish_smbios(f, c);
    if (c->boot_order) /* with its NUL */
        fwcfg_add_file(f, "bootorder", c->boot_order, (u32)strlen(c->boot_order) + 1);
    publish_option_roms(f, c);
    if (rom_load_vga(&vga))
        fwcfg_add_file(f, "pci1234,1111.rom", vga.data, (u32)vga.bytes);
    rom_free(&vga);
}
