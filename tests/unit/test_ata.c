/* test_ata.c: commands of an ATA disk, from ATA/ATAPI-7 and ACS-2, through a controller of two
 * lines. */
#include "tests/unit/disk_board.h"

#include "devices/ata.h"

#include <errno.h>

static struct disk_board d;
static struct ata a;
static unsigned interrupts;

static void interrupt(void *opaque, unsigned unit)
{
    (void)opaque;
    (void)unit;
    interrupts++;
}

static bool not_ready(void *opaque, unsigned unit)
{
    (void)opaque;
    (void)unit;
    return false;
}

static bool no_memory(void *opaque, unsigned unit, u8 *buf, u32 len, bool to_guest)
{
    (void)opaque;
    (void)unit;
    (void)buf;
    (void)len;
    (void)to_guest;
    return false;
}

static void dma_end(void *opaque, unsigned unit)
{
    (void)opaque;
    (void)unit;
}

static const struct ata_host host = {
    .interrupt = interrupt, .dma_ready = not_ready, .dma = no_memory, .dma_end = dma_end};

static void setup(void)
{
    struct err e = {0};

    disk_board_init(&d);
    memset(&a, 0, sizeof a);
    ck_assert_msg(ata_init(&a, &d.drives, "disk", &host, NULL, 0, &e), "%s", e.msg);
    ata_reset(&a, true);
    interrupts = 0;
}

static void teardown(void)
{
    ata_destroy(&a);
    disk_board_destroy(&d);
}

static void set(unsigned reg, unsigned high, unsigned low)
{
    ata_write_register(&a, reg, (u8)high);
    ata_write_register(&a, reg, (u8)low);
}

static void run(u8 command)
{
    ata_start(&a, command);
    disk_board_run(&d);
}

static void run_at(u8 command, u64 lba, unsigned count)
{
    set(ATA_COUNT, count >> 8, count);
    set(ATA_LBA_LOW, (unsigned)(lba >> 24), (unsigned)lba);
    set(ATA_LBA_MID, (unsigned)(lba >> 32), (unsigned)(lba >> 8));
    set(ATA_LBA_HIGH, (unsigned)(lba >> 40), (unsigned)(lba >> 16));
    ata_write_register(&a, ATA_DEVICE, 0x40);
    run(command);
}

static u8 status(void)
{
    return ata_read_register(&a, ATA_COMMAND, false);
}

static u8 error(void)
{
    return ata_read_register(&a, ATA_FEATURE, false);
}

static u32 read_sector(void)
{
    u32 first = ata_read_data(&a, 4);

    for (unsigned i = 1; i < 128; i++)
        ata_read_data(&a, 4);
    disk_board_run(&d);
    return first;
}

static void write_sector(u32 first)
{
    for (unsigned i = 0; i < 128; i++)
        ata_write_data(&a, first, 4);
    disk_board_run(&d);
}

static u16 identify_word(unsigned n)
{
    u16 word = 0;

    run(0xec);
    for (unsigned i = 0; i < 256; i++) {
        u16 v = (u16)ata_read_data(&a, 2);

        if (i == n)
            word = v;
    }
    return word;
}

START_TEST(identify_tells_the_size_in_28_and_48_bits)
{
    ck_assert_uint_eq(identify_word(60), DISK_SECTORS);
    ck_assert_uint_eq(identify_word(100), DISK_SECTORS);
    ck_assert_uint_eq(identify_word(49) & 0x300, 0x300); /* LBA, DMA */
    ck_assert_uint_eq(identify_word(83) & 0x400, 0x400); /* 48-bit */
    ck_assert_uint_eq(identify_word(76), 0);             /* no Serial ATA here */
    ck_assert_uint_eq(identify_word(27), 'P' << 8 | 'A');
}
END_TEST

START_TEST(sectors_come_one_by_one_each_with_an_interrupt)
{
    run_at(0x20, 100, 3);
    for (unsigned n = 0; n < 3; n++) {
        ck_assert_uint_eq(interrupts, n + 1);
        ck_assert_uint_eq(status(), 0x58);
        ck_assert_uint_eq(read_sector(), 100 + n);
    }
    ck_assert_uint_eq(interrupts, 3);
    ck_assert_uint_eq(status(), 0x50);
}
END_TEST

START_TEST(a_count_of_0_is_256_sectors)
{
    run_at(0x20, 0, 0);
    for (unsigned n = 0; n < 256; n++)
        ck_assert_uint_eq(read_sector(), n);
    ck_assert_uint_eq(status(), 0x50);
}
END_TEST

START_TEST(a_48_bit_count_has_two_bytes)
{
    run_at(0x24, 0, 0x101);
    for (unsigned n = 0; n < 0x101; n++)
        ck_assert_uint_eq(read_sector(), n);
    ck_assert_uint_eq(status(), 0x50);
}
END_TEST

START_TEST(read_multiple_takes_blocks_as_set_multiple_says)
{
    run_at(0xc4, 0, 4);
    ck_assert_uint_eq(error(), ATA_ERROR_ABRT); /* none was set */
    run_at(0xc6, 0, 3);
    ck_assert_uint_eq(error(), ATA_ERROR_ABRT); /* no power of two */
    run_at(0xc6, 0, 4);
    ck_assert_uint_eq(status(), 0x50);
    interrupts = 0;
    run_at(0xc4, 8, 6);
    for (unsigned n = 0; n < 6; n++)
        ck_assert_uint_eq(read_sector(), 8 + n);
    ck_assert_uint_eq(interrupts, 2);
}
END_TEST

START_TEST(a_write_interrupts_when_a_sector_is_taken)
{
    run_at(0x30, 50, 2);
    ck_assert_uint_eq(interrupts, 0); /* the first block is asked for without one */
    ck_assert_uint_eq(status(), 0x58);
    write_sector(0x5050);
    ck_assert_uint_eq(interrupts, 1);
    write_sector(0x5151);
    ck_assert_uint_eq(interrupts, 2);
    ck_assert_uint_eq(status(), 0x50);
    ck_assert_uint_eq(disk_word(&d, 50), 0x5050);
    ck_assert_uint_eq(disk_word(&d, 51), 0x5151);
}
END_TEST

START_TEST(cylinders_heads_and_sectors_count_from_one)
{
    set(ATA_COUNT, 0, 1);
    set(ATA_LBA_LOW, 0, 2); /* sector 2 of head 3 of cylinder 1: (1 * 16 + 3) * 63 + 1 */
    set(ATA_LBA_MID, 0, 1);
    set(ATA_LBA_HIGH, 0, 0);
    ata_write_register(&a, ATA_DEVICE, 0x03);
    run(0x20);
    ck_assert_uint_eq(read_sector(), 19 * 63 + 1);
    set(ATA_LBA_LOW, 0, 0);
    run(0x20);
    ck_assert_uint_eq(error(), ATA_ERROR_IDNF); /* there is no sector 0 */
}
END_TEST

START_TEST(initialize_parameters_changes_the_geometry)
{
    set(ATA_COUNT, 0, 17);
    ata_write_register(&a, ATA_DEVICE, 0x03); /* 4 heads */
    run(0x91);
    set(ATA_COUNT, 0, 1);
    set(ATA_LBA_LOW, 0, 1);
    set(ATA_LBA_MID, 0, 1);
    ata_write_register(&a, ATA_DEVICE, 0x00);
    run(0x20);
    ck_assert_uint_eq(read_sector(), 4 * 17);
}
END_TEST

START_TEST(beyond_the_end_is_not_found)
{
    run_at(0x20, DISK_SECTORS - 1, 2);
    ck_assert_uint_eq(status(), 0x51);
    ck_assert_uint_eq(error(), ATA_ERROR_IDNF);
    run_at(0x24, 1ull << 40, 1);
    ck_assert_uint_eq(error(), ATA_ERROR_IDNF);
    run_at(0x40, DISK_SECTORS - 1, 1);
    ck_assert_uint_eq(status(), 0x50);
}
END_TEST

START_TEST(an_unknown_command_is_aborted)
{
    run(0x99);
    ck_assert_uint_eq(status(), 0x51);
    ck_assert_uint_eq(error(), ATA_ERROR_ABRT);
    run(0xa0); /* PACKET is for CD-ROMs */
    ck_assert_uint_eq(error(), ATA_ERROR_ABRT);
}
END_TEST

START_TEST(registers_stand_still_while_a_command_runs)
{
    ata_start(&a, 0xe7);
    set(ATA_COUNT, 0, 77);
    ck_assert_uint_ne(ata_read_register(&a, ATA_COUNT, false), 77);
    disk_board_run(&d);
    set(ATA_COUNT, 0, 77);
    ck_assert_uint_eq(ata_read_register(&a, ATA_COUNT, false), 77);
}
END_TEST

START_TEST(the_native_maximum_is_the_last_sector)
{
    run_at(0xf8, 0, 0);
    ck_assert_uint_eq(ata_read_register(&a, ATA_LBA_LOW, false) |
                          ata_read_register(&a, ATA_LBA_MID, false) << 8,
                      DISK_SECTORS - 1);
}
END_TEST

START_TEST(a_transfer_mode_shows_in_identify)
{
    set(ATA_FEATURE, 0, 0x03);
    set(ATA_COUNT, 0, 0x42); /* Ultra DMA 2 */
    run(0xef);
    ck_assert_uint_eq(status(), 0x50);
    ck_assert_uint_eq(identify_word(88), 0x043f);
    set(ATA_COUNT, 0, 0x46); /* there is no mode 6 */
    run(0xef);
    ck_assert_uint_eq(error(), ATA_ERROR_ABRT);
}
END_TEST

START_TEST(smart_wants_its_key)
{
    set(ATA_FEATURE, 0, 0xda);
    run(0xb0);
    ck_assert_uint_eq(error(), ATA_ERROR_ABRT);
    set(ATA_LBA_MID, 0, 0x4f);
    set(ATA_LBA_HIGH, 0, 0xc2);
    run(0xb0);
    ck_assert_uint_eq(status(), 0x50);
    ck_assert_uint_eq(ata_read_register(&a, ATA_LBA_MID, false), 0x4f); /* no threshold passed */
}
END_TEST

START_TEST(the_power_mode_is_told)
{
    run(0xe5);
    ck_assert_uint_eq(ata_read_register(&a, ATA_COUNT, false), 0xff);
    run(0xe0);
    run(0xe5);
    ck_assert_uint_eq(ata_read_register(&a, ATA_COUNT, false), 0x00);
}
END_TEST

START_TEST(the_directory_of_logs_is_version_1)
{
    run_at(0x2f, 0, 1);
    ck_assert_uint_eq(read_sector() & 0xffff, 1);
    run_at(0x2f, 0x10, 1); /* queued errors are Serial ATA's */
    ck_assert_uint_eq(error(), ATA_ERROR_ABRT);
}
END_TEST

START_TEST(an_image_that_shrank_is_an_uncorrectable_error_at_its_sector)
{
    ck_assert_int_eq(ftruncate(d.disk_fd, 0), 0);
    run_at(0x20, 777, 1);
    ck_assert_uint_eq(status(), 0x51);
    ck_assert_uint_eq(error(), ATA_ERROR_UNC);
    ck_assert_uint_eq(ata_read_register(&a, ATA_LBA_LOW, false) |
                          ata_read_register(&a, ATA_LBA_MID, false) << 8,
                      777);
}
END_TEST

START_TEST(a_reset_in_a_command_ends_it)
{
    ata_start(&a, 0x20);
    ata_reset(&a, false);
    disk_board_run(&d);
    ck_assert_uint_eq(interrupts, 0);
    ck_assert_uint_eq(status(), 0x50);
    ck_assert_uint_eq(error(), 1); /* no fault */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {identify_tells_the_size_in_28_and_48_bits,
                                  sectors_come_one_by_one_each_with_an_interrupt,
                                  a_count_of_0_is_256_sectors,
                                  a_48_bit_count_has_two_bytes,
                                  read_multiple_takes_blocks_as_set_multiple_says,
                                  a_write_interrupts_when_a_sector_is_taken,
                                  cylinders_heads_and_sectors_count_from_one,
                                  initialize_parameters_changes_the_geometry,
                                  beyond_the_end_is_not_found,
                                  an_unknown_command_is_aborted,
                                  registers_stand_still_while_a_command_runs,
                                  the_native_maximum_is_the_last_sector,
                                  a_transfer_mode_shows_in_identify,
                                  smart_wants_its_key,
                                  the_power_mode_is_told,
                                  the_directory_of_logs_is_version_1,
                                  an_image_that_shrank_is_an_uncorrectable_error_at_its_sector,
                                  a_reset_in_a_command_ends_it,
                                  NULL};

    return run_tests("ata", tests, setup, teardown);
}
