/*
 * test_ide.c: the PIIX3's IDE controller with its drives, from the 82371SB data sheet, the bus
 * master specification of 1994 and ATA/ATAPI-7. Commands are test_ata.c's and test_atapi.c's.
 */
#include "tests/unit/disk_board.h"

#include "devices/ide.h"
#include "mmu/smc.h"

#define TABLE 0x10000u
#define DATA 0x20000u

static struct disk_board d;
static struct ide *ide;
static struct probe irq14, irq15;

static void setup(void)
{
    disk_board_init(&d);
    ide = board_add(&d.b, &ide_class, "hd0=disk,hd3=cd");
    disk_board_pci(&d);
    irq14 = irq15 = (struct probe){0};
    irq_connect(&ide->channel[0].irq, probe_set, &irq14, 0);
    irq_connect(&ide->channel[1].irq, probe_set, &irq15, 0);
}

static void teardown(void)
{
    dev_destroy(&ide->pci.dev);
    disk_board_destroy(&d);
}

static void command(u8 device, u8 cmd, u32 lba, u8 count)
{
    out8(&d.b, 0x1f6, 0xe0 | device << 4 | (lba >> 24 & 15));
    out8(&d.b, 0x1f2, count);
    out8(&d.b, 0x1f3, lba & 0xff);
    out8(&d.b, 0x1f4, lba >> 8 & 0xff);
    out8(&d.b, 0x1f5, lba >> 16 & 0xff);
    out8(&d.b, 0x1f7, cmd);
}

static void put_region(unsigned n, u32 at, u16 bytes, bool last)
{
    dma_write32(&d.b.phys, TABLE + 8 * n, at);
    dma_write32(&d.b.phys, TABLE + 8 * n + 4, bytes | (last ? 0x80000000u : 0));
}

/* Bus master: 1 starts, 8 is towards memory. */
static void start_dma(u8 direction)
{
    iobus_write(d.b.env.io, 0xc004, TABLE, 4);
    out8(&d.b, 0xc002, 0x06);
    out8(&d.b, 0xc000, direction);
    out8(&d.b, 0xc000, direction | 1);
    disk_board_run(&d);
}

START_TEST(status_of_a_missing_drive_is_zero)
{
    out8(&d.b, 0x1f6, 0xb0);
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0);
    out8(&d.b, 0x1f6, 0xa0);
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0x50);
    ck_assert_uint_eq(in8(&d.b, 0x3f6), 0x50);
}
END_TEST

START_TEST(signatures_tell_disk_and_cd)
{
    ck_assert_uint_eq(in8(&d.b, 0x1f4) | in8(&d.b, 0x1f5) << 8, 0);
    out8(&d.b, 0x176, 0xb0);
    ck_assert_uint_eq(in8(&d.b, 0x174) | in8(&d.b, 0x175) << 8, 0xeb14);
}
END_TEST

START_TEST(a_pio_sector_interrupts_and_status_acknowledges)
{
    command(0, 0x20, 5, 2);
    ck_assert_uint_eq(in8(&d.b, 0x3f6) & 0x80, 0x80); /* BSY until the drive has it */
    disk_board_run(&d);
    ck_assert(irq14.level);
    ck_assert_uint_eq(in8(&d.b, 0x3f6), 0x58); /* the alternate status acknowledges nothing */
    ck_assert(irq14.level);
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0x58);
    ck_assert(!irq14.level);
    ck_assert_uint_eq(iobus_read(d.b.env.io, 0x1f0, 4), 5);
    for (unsigned i = 1; i < 128; i++)
        iobus_read(d.b.env.io, 0x1f0, 4);
    disk_board_run(&d);
    ck_assert(irq14.level); /* once per block */
    ck_assert_uint_eq(iobus_read(d.b.env.io, 0x1f0, 2), 6);
    for (unsigned i = 1; i < 256; i++)
        iobus_read(d.b.env.io, 0x1f0, 2);
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0x50);
    ck_assert_uint_eq(irq14.rises, 2);
}
END_TEST

START_TEST(nien_keeps_the_line_low)
{
    out8(&d.b, 0x3f6, 2);
    command(0, 0xe7, 0, 0);
    disk_board_run(&d);
    ck_assert(!irq14.level);
    out8(&d.b, 0x3f6, 0);
    ck_assert(irq14.level);
}
END_TEST

START_TEST(the_bus_master_follows_its_table)
{
    put_region(0, DATA, 512, false);
    put_region(1, DATA + 0x10000, 1024, true);
    command(0, 0xc8, 20, 3);
    start_dma(8);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 20);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 0x10000), 21);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 0x10200), 22);
    ck_assert_uint_eq(in8(&d.b, 0xc002) & 7, 4); /* interrupt; not active, no error */
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0x50);
    out8(&d.b, 0xc002, 4);
    ck_assert_uint_eq(in8(&d.b, 0xc002) & 7, 0);
}
END_TEST

static gpa_t dropped;

static void code_written(void *opaque, gpa_t gpa, u64 len)
{
    (void)opaque;
    dropped = gpa + len;
}

START_TEST(what_a_read_puts_over_code_drops_it)
{
    put_region(0, DATA, 1024, true);
    d.b.phys.code_written = code_written;
    dropped = 0;
    smc_mark(&d.b.phys, DATA + 512, 3, 0);
    command(0, 0xc8, 20, 2);
    start_dma(8);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 512), 21);
    ck_assert_uint_eq(dropped, DATA + 1024);
}
END_TEST

START_TEST(memory_that_lies_over_ram_is_read_into)
{
    static u8 above[4096];

    phys_add_ram(&d.b.phys, "above", DATA, sizeof above, above);
    put_region(0, DATA - 512, 1024, true);
    command(0, 0xc8, 20, 2);
    start_dma(8);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA - 512), 20);
    ck_assert_uint_eq(above[0], 21);
}
END_TEST

START_TEST(a_dma_write_reaches_the_disk)
{
    dma_write32(&d.b.phys, DATA, 0xbeef);
    put_region(0, DATA, 512, true);
    command(0, 0xca, 33, 1);
    start_dma(0);
    ck_assert_uint_eq(disk_word(&d, 33), 0xbeef);
}
END_TEST

START_TEST(a_table_with_room_to_spare_stays_active)
{
    put_region(0, DATA, 1024, true);
    command(0, 0xc8, 1, 1);
    start_dma(8);
    ck_assert_uint_eq(in8(&d.b, 0xc002) & 7, 5); /* (bus master specification, 3.2) */
    out8(&d.b, 0xc000, 0);
    ck_assert_uint_eq(in8(&d.b, 0xc002) & 7, 4);
}
END_TEST

START_TEST(a_table_that_is_too_short_leaves_the_drive_waiting)
{
    put_region(0, DATA, 512, true);
    command(0, 0xc8, 1, 2);
    start_dma(8);
    ck_assert_uint_eq(in8(&d.b, 0xc002) & 5, 0); /* neither active nor interrupt */
    ck_assert_uint_eq(in8(&d.b, 0x1f7) & 8, 8);
    out8(&d.b, 0x3f6, 4); /* SRST */
    out8(&d.b, 0x3f6, 0);
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0x50);
}
END_TEST

START_TEST(a_table_outside_memory_is_an_error)
{
    command(0, 0xc8, 1, 1);
    iobus_write(d.b.env.io, 0xc004, 0xd0000000u, 4);
    out8(&d.b, 0xc000, 9);
    disk_board_run(&d);
    ck_assert_uint_eq(in8(&d.b, 0xc002) & 3, 2);
}
END_TEST

START_TEST(the_wrong_direction_moves_nothing)
{
    dma_write32(&d.b.phys, DATA, 0x1234);
    put_region(0, DATA, 512, true);
    command(0, 0xc8, 9, 1);
    start_dma(0);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 0x1234);
}
END_TEST

START_TEST(without_bus_mastering_nothing_moves)
{
    pci_config_write(d.b.env.pci, ide->pci.devfn, PCI_COMMAND, PCI_COMMAND_IO, 2);
    put_region(0, DATA, 512, true);
    command(0, 0xc8, 9, 1);
    start_dma(8);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 0);
}
END_TEST

START_TEST(a_channel_that_is_off_does_not_answer)
{
    pci_config_write(d.b.env.pci, ide->pci.devfn, 0x40, 0, 2); /* IDETIM, decode enable */
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0xff);
    pci_config_write(d.b.env.pci, ide->pci.devfn, 0x40, 0x8000, 2);
    ck_assert_uint_eq(in8(&d.b, 0x1f7), 0x50);
}
END_TEST

START_TEST(the_high_order_byte_is_read_by_hob)
{
    out8(&d.b, 0x1f3, 0x12);
    out8(&d.b, 0x1f3, 0x34);
    ck_assert_uint_eq(in8(&d.b, 0x1f3), 0x34);
    out8(&d.b, 0x3f6, 0x80);
    ck_assert_uint_eq(in8(&d.b, 0x1f3), 0x12);
    out8(&d.b, 0x1f2, 0); /* a write to the command block clears HOB */
    ck_assert_uint_eq(in8(&d.b, 0x1f3), 0x34);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {status_of_a_missing_drive_is_zero,
                                  signatures_tell_disk_and_cd,
                                  a_pio_sector_interrupts_and_status_acknowledges,
                                  nien_keeps_the_line_low,
                                  the_bus_master_follows_its_table,
                                  what_a_read_puts_over_code_drops_it,
                                  memory_that_lies_over_ram_is_read_into,
                                  a_dma_write_reaches_the_disk,
                                  a_table_with_room_to_spare_stays_active,
                                  a_table_that_is_too_short_leaves_the_drive_waiting,
                                  a_table_outside_memory_is_an_error,
                                  the_wrong_direction_moves_nothing,
                                  without_bus_mastering_nothing_moves,
                                  a_channel_that_is_off_does_not_answer,
                                  the_high_order_byte_is_read_by_hob,
                                  NULL};

    return run_tests("ide", tests, setup, teardown);
}
