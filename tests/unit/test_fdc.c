/* test_fdc.c: the floppy controller with its DMA channel, from the 82077AA data sheet. */
#include "tests/unit/disk_board.h"

#include "devices/fdc.h"
#include "devices/i8237.h"

#define DATA 0x20000u

static struct disk_board d;
static struct fdc *fdc;
static struct i8237 *dma;
static struct probe irq6;
static int floppy_fd;
static u8 result[7];

static u32 move(void *opaque, u8 *buf, u32 len, bool to_memory, bool *terminal)
{
    (void)opaque;
    return i8237_move(dma, 2, buf, len, to_memory, terminal);
}

static void setup(void)
{
    disk_board_init(&d);
    floppy_fd = numbered_file(2880, 512);
    disk_board_drive(&d, "fd", MEDIA_FLOPPY, floppy_fd, false);
    dma = board_add(&d.b, &i8237_class, NULL);
    fdc = board_add(&d.b, &fdc_class, "fd0=fd");
    fdc->dma = move;
    irq6 = (struct probe){0};
    irq_connect(&fdc->irq, probe_set, &irq6, 0);
    out8(&d.b, 0x3f2, 0x00);
    out8(&d.b, 0x3f2, 0x1c); /* out of reset, motor on, DMA */
    disk_board_run(&d);
}

static void teardown(void)
{
    dev_destroy(&fdc->dev);
    dev_destroy(&dma->dev);
    disk_board_destroy(&d);
    close(floppy_fd);
}

static void give(const u8 *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(in8(&d.b, 0x3f4) & 0xc0, 0x80); /* RQM, towards the controller */
        out8(&d.b, 0x3f5, bytes[i]);
    }
}

static void take(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(in8(&d.b, 0x3f4) & 0xd0, 0xd0); /* RQM, DIO, busy */
        result[i] = (u8)in8(&d.b, 0x3f5);
    }
    ck_assert_uint_eq(in8(&d.b, 0x3f4) & 0xf0, 0x80);
}

#define GIVE(...) give((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* What a reset leaves: four drives to sense. */
static void sense_all(void)
{
    for (unsigned n = 0; n < 4; n++) {
        GIVE(0x08);
        take(2);
        ck_assert_uint_eq(result[0], 0xc0 | n);
    }
}

static void seek(u8 cylinder)
{
    GIVE(0x0f, 0, cylinder);
    board_run(&d.b, 1000000000);
    GIVE(0x08);
    take(2);
    ck_assert_uint_eq(result[0], 0x20); /* seek end */
    ck_assert_uint_eq(result[1], cylinder);
}

static void program_dma(u16 bytes, u8 mode)
{
    out8(&d.b, 0x0a, 6);
    out8(&d.b, 0x0c, 0);
    out8(&d.b, 0x04, 0);
    out8(&d.b, 0x04, 0);
    out8(&d.b, 0x05, (bytes - 1) & 0xff);
    out8(&d.b, 0x05, (bytes - 1) >> 8);
    out8(&d.b, 0x81, DATA >> 16);
    out8(&d.b, 0x0b, mode | 2);
    out8(&d.b, 0x0a, 2);
}

static void transfer(u8 command, u8 cylinder, u8 head, u8 sector)
{
    GIVE(command, (u8)(head << 2), cylinder, head, sector, 2, 18, 27, 0xff);
    board_run(&d.b, 1000000000);
    take(7);
}

START_TEST(a_reset_interrupts_and_wants_to_be_sensed)
{
    ck_assert(irq6.level);
    sense_all();
    ck_assert(!irq6.level);
    GIVE(0x08); /* nothing is left to say */
    take(1);
    ck_assert_uint_eq(result[0], 0x80);
}
END_TEST

START_TEST(the_version_is_enhanced)
{
    sense_all();
    GIVE(0x10);
    take(1);
    ck_assert_uint_eq(result[0], 0x90);
}
END_TEST

START_TEST(an_invalid_command_says_so)
{
    sense_all();
    GIVE(0x1e);
    take(1);
    ck_assert_uint_eq(result[0], 0x80);
}
END_TEST

START_TEST(recalibrate_goes_to_track_0)
{
    sense_all();
    seek(5);
    GIVE(0x07, 0);
    board_run(&d.b, 1000000000);
    GIVE(0x08);
    take(2);
    ck_assert_uint_eq(result[0], 0x20);
    ck_assert_uint_eq(result[1], 0);
    GIVE(0x04, 0); /* sense drive status: track 0, two sides */
    take(1);
    ck_assert_uint_eq(result[0] & 0x18, 0x18);
}
END_TEST

START_TEST(a_read_ends_with_the_dma_count)
{
    sense_all();
    seek(3);
    program_dma(1024, 0x44);
    transfer(0xe6, 3, 1, 5);
    ck_assert_uint_eq(result[0], 0x04); /* normal, head 1 */
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), (3 * 2 + 1) * 18 + 4);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 512), (3 * 2 + 1) * 18 + 5);
    ck_assert_uint_eq(result[5], 7); /* the next sector */
    ck_assert(irq6.rises > 1);
}
END_TEST

START_TEST(multi_track_goes_on_with_the_other_head)
{
    sense_all();
    seek(2);
    program_dma(1024, 0x44);
    transfer(0xe6, 2, 0, 18);
    ck_assert_uint_eq(result[0] & 0xc0, 0);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 2 * 2 * 18 + 17);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 512), 2 * 2 * 18 + 18);
}
END_TEST

START_TEST(a_write_reaches_the_medium)
{
    u8 back[4];

    sense_all();
    seek(1);
    dma_write32(&d.b.phys, DATA, 0xfeed);
    program_dma(512, 0x48);
    transfer(0xc5, 1, 0, 2);
    ck_assert_uint_eq(result[0] & 0xc0, 0);
    ck_assert_int_eq(pread(floppy_fd, back, 4, (36 + 1) * 512), 4);
    ck_assert_uint_eq(ld_le32(back), 0xfeed);
}
END_TEST

START_TEST(a_sector_that_is_not_there_is_no_data)
{
    sense_all();
    seek(1);
    program_dma(512, 0x44);
    transfer(0xe6, 1, 0, 19);
    ck_assert_uint_eq(result[0] & 0xc0, 0x40);
    ck_assert_uint_eq(result[1] & 0x04, 0x04);
}
END_TEST

START_TEST(a_medium_that_fails_is_a_data_error)
{
    sense_all();
    seek(1);
    program_dma(512, 0x44);
    ck_assert_int_eq(ftruncate(floppy_fd, 0), 0);
    transfer(0xe6, 1, 0, 1);
    ck_assert_uint_eq(result[0] & 0xc0, 0x40);
    ck_assert_uint_eq(result[1] & 0x20, 0x20);
}
END_TEST

START_TEST(the_change_line_falls_with_a_step)
{
    ck_assert_uint_eq(in8(&d.b, 0x3f7) & 0x80, 0x80);
    sense_all();
    seek(1);
    ck_assert_uint_eq(in8(&d.b, 0x3f7) & 0x80, 0);
}
END_TEST

START_TEST(read_id_tells_the_cylinder)
{
    sense_all();
    seek(7);
    GIVE(0x4a, 0);
    board_run(&d.b, 1000000000);
    take(7);
    ck_assert_uint_eq(result[0] & 0xc0, 0);
    ck_assert_uint_eq(result[3], 7);
    ck_assert_uint_eq(result[6], 2); /* 512 bytes */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_reset_interrupts_and_wants_to_be_sensed,
                                  the_version_is_enhanced,
                                  an_invalid_command_says_so,
                                  recalibrate_goes_to_track_0,
                                  a_read_ends_with_the_dma_count,
                                  multi_track_goes_on_with_the_other_head,
                                  a_write_reaches_the_medium,
                                  a_sector_that_is_not_there_is_no_data,
                                  a_medium_that_fails_is_a_data_error,
                                  the_change_line_falls_with_a_step,
                                  read_id_tells_the_cylinder,
                                  NULL};

    return run_tests("fdc", tests, setup, teardown);
}
