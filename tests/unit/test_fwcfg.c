/* test_fwcfg.c: fw_cfg by port and by DMA; what SeaBIOS finds in it; shadow memory of the i440FX.
 */
#include "tests/unit/board.h"

#include "base/bits.h"
#include "bios/acpi.h"
#include "bios/e820.h"
#include "bios/seabios.h"
#include "devices/i440fx.h"
#include "mmu/dma.h"

#define REQUEST 0x1000u
#define BUFFER 0x2000u
#define DMA_READ 2u
#define DMA_SKIP 4u
#define DMA_SELECT 8u
#define DMA_WRITE 16u

static struct board b;
static struct fwcfg *f;

static void setup(void)
{
    board_init(&b);
    b.env.pci = board_add(&b, &pci_class, NULL);
    f = board_add(&b, &fwcfg_class, NULL);
}

static void teardown(void)
{
    dev_destroy((struct dev *)f);
    dev_destroy((struct dev *)b.env.pci);
    board_destroy(&b);
}

static u32 be32(u32 v)
{
    return __builtin_bswap32(v);
}

/* The answer of the control field. */
static u32 dma(u32 control, u32 len, u64 address)
{
    dma_write32(&b.phys, REQUEST, be32(control));
    dma_write32(&b.phys, REQUEST + 4, be32(len));
    dma_write64(&b.phys, REQUEST + 8, __builtin_bswap64(address));
    iobus_write(b.env.io, 0x514, 0, 4);
    iobus_write(b.env.io, 0x518, be32(REQUEST), 4);
    return be32(dma_read32(&b.phys, REQUEST));
}

/* ---- the device ------------------------------------------------------------------------------ */

START_TEST(a_selected_item_is_read_byte_by_byte_and_then_as_zeroes)
{
    fwcfg_add(f, 0x55, "ab", 2);
    iobus_write(b.env.io, 0x510, 0x55, 2);
    ck_assert_uint_eq(in8(&b, 0x511), 'a');
    ck_assert_uint_eq(in8(&b, 0x511), 'b');
    ck_assert_uint_eq(in8(&b, 0x511), 0);
    iobus_write(b.env.io, 0x510, FWCFG_SIGNATURE, 2);
    ck_assert_uint_eq(in8(&b, 0x511), 'Q');
    iobus_write(b.env.io, 0x510, 0x1234, 2);
    ck_assert_uint_eq(in8(&b, 0x511), 0);
}
END_TEST

START_TEST(dma_selects_skips_and_reads_and_fills_with_zeroes)
{
    char got[8];

    ck_assert_uint_eq(iobus_read(b.env.io, 0x514, 4), 0x554d4551);
    ck_assert_uint_eq(iobus_read(b.env.io, 0x518, 4), 0x47464320);
    fwcfg_add(f, 0x55, "hello", 5);
    ck_assert(dma_fill(&b.phys, BUFFER, 0xcc, 8));
    ck_assert_uint_eq(dma(0x55u << 16 | DMA_SELECT | DMA_SKIP, 1, 0), 0);
    ck_assert_uint_eq(dma(DMA_READ, 6, BUFFER), 0);
    ck_assert(dma_read(&b.phys, BUFFER, got, 8));
    ck_assert_mem_eq(got, "ello\0\0\xcc\xcc", 8);
}
END_TEST

START_TEST(dma_that_cannot_be_done_sets_the_error_bit_alone)
{
    fwcfg_add(f, 0x55, "hello", 5);
    ck_assert_uint_eq(dma(0x55u << 16 | DMA_SELECT | DMA_READ, 5, 0xfff00000), 1);
    ck_assert_uint_eq(dma(0x55u << 16 | DMA_SELECT | DMA_READ, 0xffffffff, BUFFER), 1);
    ck_assert_uint_eq(dma(0x55u << 16 | DMA_SELECT | DMA_WRITE, 1, BUFFER), 1);
}
END_TEST

/* The item of a file in the directory, as a guest finds it. */
static const struct fwcfg_item *file(const char *name)
{
    u8 dir[4096];
    u32 count;

    ck_assert_uint_eq(dma((u32)FWCFG_FILE_DIR << 16 | DMA_SELECT | DMA_READ, 4096, BUFFER), 0);
    ck_assert(dma_read(&b.phys, BUFFER, dir, sizeof dir));
    count = be32(ld_le32(dir));
    ck_assert_uint_le(count, 63);
    for (u32 i = 0; i < count; i++) {
        const u8 *entry = dir + 4 + 64 * i;

        if (strcmp((const char *)entry + 8, name))
            continue;
        for (unsigned k = 0; k < f->items; k++)
            if (f->item[k].key == __builtin_bswap16(ld_le16(entry + 4))) {
                ck_assert_uint_eq(be32(ld_le32(entry)), f->item[k].len);
                return &f->item[k];
            }
    }
    return NULL;
}

START_TEST(files_are_in_the_directory_and_a_name_is_there_once)
{
    fwcfg_add_file(f, "one", "1", 1);
    fwcfg_add_file(f, "two", "22", 2);
    fwcfg_add_file(f, "one", "111", 3);
    ck_assert_uint_eq(file("one")->len, 3);
    ck_assert_uint_eq(file("two")->len, 2);
    ck_assert_uint_ne(file("one")->key, file("two")->key);
    ck_assert_ptr_null(file("three"));
    fwcfg_clear(f);
    ck_assert_ptr_null(file("one"));
}
END_TEST

/* ---- what SeaBIOS finds ---------------------------------------------------------------------- */

struct placed {
    u8 *data;
    u32 len;
    u32 at; /* where "the firmware" put it */
};

static struct placed place(const char *name, u32 at)
{
    const struct fwcfg_item *item = file(name);
    struct placed p = {.at = at};

    ck_assert_ptr_nonnull(item);
    p.len = item->len;
    p.data = malloc(p.len);
    ck_assert_ptr_nonnull(p.data);
    memcpy(p.data, item->data, p.len);
    return p;
}

static u8 sum(const u8 *p, u32 len)
{
    u8 s = 0;

    while (len--)
        s = (u8)(s + *p++);
    return s;
}

static struct placed *named(struct placed *rsdp, struct placed *tables, const u8 *name)
{
    return strcmp((const char *)name, "etc/acpi/rsdp") ? tables : rsdp;
}

/* As the firmware runs the commands of etc/table-loader. */
static void run_script(const struct placed *script, struct placed *rsdp, struct placed *tables)
{
    for (const u8 *c = script->data; c < script->data + script->len; c += 128) {
        struct placed *to = named(rsdp, tables, c + 4);
        u32 at = ld_le32(c + 60);

        switch (ld_le32(c)) {
        case 1: break;
        case 2:
            at = ld_le32(c + 116);
            ck_assert_uint_le(at + c[120], to->len);
            st_le(to->data + at, ld_le(to->data + at, c[120]) + named(rsdp, tables, c + 60)->at,
                  c[120]);
            break;
        case 3:
            ck_assert_uint_le(ld_le32(c + 64) + ld_le32(c + 68), to->len);
            to->data[at] = (u8)(to->data[at] - sum(to->data + ld_le32(c + 64), ld_le32(c + 68)));
            break;
        default: ck_abort_msg("an unknown command");
        }
    }
}

START_TEST(the_acpi_script_makes_tables_whose_pointers_and_checksums_are_right)
{
    const struct seabios_config c = {.ram_bytes = 64 * MIB, .ram_low_bytes = 64 * MIB, .cpus = 2};
    struct placed script, rsdp, tables;
    u32 xsdt, count, seen = 0;

    seabios_publish(f, &c);
    script = place("etc/table-loader", 0);
    rsdp = place("etc/acpi/rsdp", 0xf5000);
    tables = place("etc/acpi/tables", 0x3ff0000);
    run_script(&script, &rsdp, &tables);
    ck_assert_uint_eq(sum(rsdp.data, 20), 0);
    ck_assert_uint_eq(sum(rsdp.data, 36), 0);
    xsdt = (u32)ld_le64(rsdp.data + 24) - tables.at;
    ck_assert_mem_eq(tables.data + xsdt, "XSDT", 4);
    ck_assert_mem_eq(tables.data + (ld_le32(rsdp.data + 16) - tables.at), "RSDT", 4);
    count = (ld_le32(tables.data + xsdt + 4) - 36) / 8;
    for (u32 i = 0; i < count; i++) {
        const u8 *t = tables.data + (ld_le64(tables.data + xsdt + 36 + 8 * i) - tables.at);

        ck_assert_uint_eq(sum(t, ld_le32(t + 4)), 0);
        if (memcmp(t, "FACP", 4))
            continue;
        ck_assert_mem_eq(tables.data + (ld_le32(t + 36) - tables.at), "FACS", 4);
        ck_assert_mem_eq(tables.data + (ld_le32(t + 40) - tables.at), "DSDT", 4);
        ck_assert_mem_eq(tables.data + (ld_le64(t + 140) - tables.at), "DSDT", 4);
        seen++;
    }
    ck_assert_uint_eq(seen, 1);
    free(script.data);
    free(rsdp.data);
    free(tables.data);
}
END_TEST

START_TEST(memory_cpus_smbios_and_boot_order_are_told)
{
    const struct seabios_config c = {.ram_bytes = 4 * GIB,
                                     .ram_low_bytes = 3 * GIB,
                                     .cpus = 2,
                                     .boot_order = "/pci\n",
                                     .boot_menu = true};
    const struct fwcfg_item *item;

    seabios_publish(f, &c);
    item = file("etc/e820");
    ck_assert_uint_eq(item->len, 40);
    ck_assert_uint_eq(ld_le64(item->data + 8), 3 * GIB);
    ck_assert_uint_eq(ld_le64(item->data + 20), 4 * GIB);
    ck_assert_uint_eq(ld_le64(item->data + 28), GIB);
    ck_assert_str_eq((const char *)file("bootorder")->data, "/pci\n");
    item = file("etc/smbios/smbios-anchor");
    ck_assert_uint_eq(ld_le16(item->data + 22), file("etc/smbios/smbios-tables")->len);
    iobus_write(b.env.io, 0x510, FWCFG_CPUS, 2);
    ck_assert_uint_eq(in8(&b, 0x511), 2);
    iobus_write(b.env.io, 0x510, FWCFG_BOOT_MENU, 2);
    ck_assert_uint_eq(in8(&b, 0x511), 1);
}
END_TEST

/* ---- shadow memory --------------------------------------------------------------------------- */

static void pam(unsigned reg, u8 value)
{
    pci_config_write(b.env.pci, 0, reg, value, 1);
}

START_TEST(pam_steers_reads_and_writes_of_each_segment)
{
    struct i440fx *h = board_add(&b, &i440fx_class, NULL);
    u8 *rom = malloc(256 * KIB);

    ck_assert_ptr_nonnull(rom);
    memset(rom, 0x5a, 256 * KIB);
    memset(rom + 192 * KIB, 0xa5, 64 * KIB);
    i440fx_set_rom(h, rom, 256 * KIB);
    ck_assert_uint_eq(phys_read(&b.phys, 0xffff0, 1), 0xa5);
    ck_assert_uint_eq(phys_read(&b.phys, 0xe0000, 1), 0x5a);
    ck_assert_uint_eq(phys_read(&b.phys, 0xdffff, 1), 0xff);
    phys_write(&b.phys, 0xf0000, 1, 1); /* ROM */
    pam(0x59, 0x20);                    /* writes go to memory, reads to the ROM */
    phys_write(&b.phys, 0xf0001, 2, 1);
    ck_assert_uint_eq(phys_read(&b.phys, 0xf0001, 1), 0xa5);
    pam(0x59, 0x30);
    ck_assert_uint_eq(phys_read(&b.phys, 0xf0000, 2), 0x0200);
    phys_write(&b.phys, 0xf0002, 3, 1);
    pam(0x59, 0x10); /* shadowed and locked */
    phys_write(&b.phys, 0xf0002, 4, 1);
    ck_assert_uint_eq(phys_read(&b.phys, 0xf0002, 1), 3);
    pam(0x5a, 0x30); /* C4000h to C7FFFh alone */
    phys_write(&b.phys, 0xc4000, 7, 1);
    ck_assert_uint_eq(phys_read(&b.phys, 0xc4000, 1), 7);
    ck_assert_uint_eq(phys_read(&b.phys, 0xc3fff, 1), 0xff);
    ck_assert_uint_eq(phys_read(&b.phys, 0xc8000, 1), 0xff);
    dev_reset((struct dev *)h);
    ck_assert_uint_eq(phys_read(&b.phys, 0xf0002, 1), 0xa5);
    dev_destroy((struct dev *)h);
    free(rom);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_selected_item_is_read_byte_by_byte_and_then_as_zeroes,
        dma_selects_skips_and_reads_and_fills_with_zeroes,
        dma_that_cannot_be_done_sets_the_error_bit_alone,
        files_are_in_the_directory_and_a_name_is_there_once,
        the_acpi_script_makes_tables_whose_pointers_and_checksums_are_right,
        memory_cpus_smbios_and_boot_order_are_told,
        pam_steers_reads_and_writes_of_each_segment,
        NULL,
    };

    return run_tests("fwcfg", tests, setup, teardown);
}
