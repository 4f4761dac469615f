/* test_atapi.c: packet commands of the CD-ROM, from MMC-5 and SPC-3, through the IDE controller. */
#include "tests/unit/disk_board.h"

#include "devices/ide.h"

static struct disk_board d;
static struct ide *ide;
static u8 data[8192];
static unsigned data_bytes;

static void setup(void)
{
    disk_board_init(&d);
    ide = board_add(&d.b, &ide_class, "hd2=cd");
    disk_board_pci(&d);
}

static void teardown(void)
{
    dev_destroy(&ide->pci.dev);
    disk_board_destroy(&d);
}

/* Gives a packet and takes what comes, block by block; blocks are of 2048 bytes at most. */
static void packet(u8 op, const u8 *rest, unsigned n)
{
    u8 p[12] = {op};

    if (n)
        memcpy(p + 1, rest, n);
    out8(&d.b, 0x176, 0xa0);
    out8(&d.b, 0x171, 0);
    out8(&d.b, 0x174, 0x00);
    out8(&d.b, 0x175, 0x08);
    out8(&d.b, 0x177, 0xa0);
    ck_assert_uint_eq(in8(&d.b, 0x172) & 3, 1); /* CD: the packet is awaited */
    for (unsigned i = 0; i < 12; i += 2)
        iobus_write(d.b.env.io, 0x170, p[i] | p[i + 1] << 8, 2);
    disk_board_run(&d);
    data_bytes = 0;
    while (in8(&d.b, 0x177) & 8) {
        unsigned count = in8(&d.b, 0x174) | in8(&d.b, 0x175) << 8;

        ck_assert_uint_eq(in8(&d.b, 0x172) & 3, 2); /* IO: data to the host */
        ck_assert_uint_le(count, 2048);
        for (unsigned i = 0; i < count; i += 2) {
            st_le16(data + data_bytes, (u16)iobus_read(d.b.env.io, 0x170, 2));
            data_bytes += 2;
        }
        disk_board_run(&d);
    }
}

static unsigned sense_key(void)
{
    return in8(&d.b, 0x171) >> 4;
}

static unsigned sense(void)
{
    packet(0x03, (const u8[]){0, 0, 0, 18}, 4);
    ck_assert_uint_eq(data_bytes, 18);
    return (data[2] & 15u) << 8 | data[12];
}

static void get_ready(void)
{
    packet(0x00, NULL, 0);
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(in8(&d.b, 0x177), 0x50);
}

START_TEST(power_on_is_a_unit_attention_told_once)
{
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(in8(&d.b, 0x177) & 1, 1);
    ck_assert_uint_eq(sense_key(), 6);
    ck_assert_uint_eq(sense(), 0x629);
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(in8(&d.b, 0x177), 0x50);
    ck_assert_uint_eq(sense(), 0);
}
END_TEST

START_TEST(inquiry_runs_in_spite_of_a_unit_attention)
{
    packet(0x12, (const u8[]){0, 0, 0, 36}, 4);
    ck_assert_uint_eq(data_bytes, 36);
    ck_assert_uint_eq(data[0] & 31, 5);
    ck_assert_uint_eq(data[1], 0x80);
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(sense_key(), 6);
}
END_TEST

START_TEST(a_reply_is_cut_to_what_the_host_allows)
{
    packet(0x12, (const u8[]){0, 0, 0, 6}, 4);
    ck_assert_uint_eq(data_bytes, 6);
}
END_TEST

START_TEST(capacity_is_the_last_sector_and_its_size)
{
    get_ready();
    packet(0x25, NULL, 0);
    ck_assert_uint_eq(data_bytes, 8);
    ck_assert_uint_eq(data[3], CD_SECTORS - 1);
    ck_assert_uint_eq(data[6] << 8 | data[7], 2048);
}
END_TEST

START_TEST(reads_come_in_blocks_of_the_byte_count)
{
    get_ready();
    packet(0x28, (const u8[]){0, 0, 0, 0, 9, 0, 0, 3}, 8);
    ck_assert_uint_eq(data_bytes, 3 * 2048);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(ld_le32(data + 2048 * i), 9 + i);
    packet(0xa8, (const u8[]){0, 0, 0, 0, 5, 0, 0, 0, 1}, 9);
    ck_assert_uint_eq(ld_le32(data), 5);
    packet(0xbe, (const u8[]){0, 0, 0, 0, 6, 0, 0, 1, 0x10}, 9);
    ck_assert_uint_eq(ld_le32(data), 6);
}
END_TEST

START_TEST(a_read_beyond_the_end_is_an_illegal_request)
{
    get_ready();
    packet(0x28, (const u8[]){0, 0, 0, 0, CD_SECTORS - 1, 0, 0, 2}, 8);
    ck_assert_uint_eq(sense_key(), 5);
    ck_assert_uint_eq(sense(), 0x521);
}
END_TEST

START_TEST(an_unknown_command_is_an_illegal_request)
{
    get_ready();
    packet(0xff, NULL, 0);
    ck_assert_uint_eq(sense(), 0x520);
}
END_TEST

START_TEST(the_table_of_contents_ends_with_the_lead_out)
{
    get_ready();
    packet(0x43, (const u8[]){2, 0, 0, 0, 0, 0, 0, 64}, 8); /* in minutes, seconds, frames */
    ck_assert_uint_eq(data_bytes, 20);
    ck_assert_uint_eq(data[2] << 8 | data[3], 0x101);
    ck_assert_uint_eq(data[6], 1);
    ck_assert_uint_eq(data[9] << 16 | data[10] << 8 | data[11], 0x000200);
    ck_assert_uint_eq(data[14], 0xaa);
    ck_assert_uint_eq(data[18] * 75u + data[19], 150 + CD_SECTORS);
}
END_TEST

START_TEST(a_locked_tray_stays_shut)
{
    get_ready();
    packet(0x1e, (const u8[]){0, 0, 0, 1}, 4);
    packet(0x1b, (const u8[]){0, 0, 0, 2}, 4);
    ck_assert_uint_eq(sense(), 0x253);
    packet(0x1e, (const u8[]){0, 0, 0, 0}, 4);
    packet(0x1b, (const u8[]){0, 0, 0, 2}, 4);
    ck_assert_uint_eq(in8(&d.b, 0x177), 0x50);
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(sense(), 0x23a); /* no medium */
    packet(0x1b, (const u8[]){0, 0, 0, 3}, 4);
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(sense_key(), 6); /* it may be another one */
}
END_TEST

START_TEST(a_change_of_medium_is_not_ready_then_attention)
{
    struct drive *cd = drives_find(&d.drives, "cd");
    struct image_options o = {.format = "raw", .readonly = true};
    char path[64];

    get_ready();
    ck_assert(drive_change(cd, NULL, NULL));
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(sense_key(), 2);
    packet(0x4a, (const u8[]){1, 0, 0, 16, 0, 0, 0, 8}, 8);
    ck_assert_uint_eq(data[4], 3); /* event: removed */
    snprintf(path, sizeof path, "/proc/self/fd/%d", d.cd_fd);
    o.path = path;
    ck_assert(drive_change(cd, &o, NULL));
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(sense_key(), 6);
    ck_assert_uint_eq(sense(), 0x628);
    packet(0x00, NULL, 0);
    ck_assert_uint_eq(in8(&d.b, 0x177), 0x50);
}
END_TEST

START_TEST(a_medium_that_fails_is_a_medium_error)
{
    get_ready();
    ck_assert_int_eq(ftruncate(d.cd_fd, 0), 0);
    packet(0x28, (const u8[]){0, 0, 0, 0, 9, 0, 0, 1}, 8);
    ck_assert_uint_eq(sense(), 0x311); /* unrecovered read error */
}
END_TEST

START_TEST(mode_page_2ah_tells_what_it_can)
{
    get_ready();
    packet(0x5a, (const u8[]){0, 0x2a, 0, 0, 0, 0, 0, 64}, 8);
    ck_assert_uint_eq(data[8], 0x2a);
    ck_assert_uint_eq(data_bytes, 8 + 2 + data[9]);
    packet(0x5a, (const u8[]){0, 0x15, 0, 0, 0, 0, 0, 64}, 8);
    ck_assert_uint_eq(sense(), 0x524);
}
END_TEST

START_TEST(identify_device_is_aborted_with_the_signature)
{
    out8(&d.b, 0x176, 0xa0);
    out8(&d.b, 0x177, 0xec);
    ck_assert_uint_eq(in8(&d.b, 0x177) & 1, 1);
    ck_assert_uint_eq(in8(&d.b, 0x174) | in8(&d.b, 0x175) << 8, 0xeb14);
    out8(&d.b, 0x177, 0xa1);
    ck_assert_uint_eq(iobus_read(d.b.env.io, 0x170, 2), 0x85c0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {power_on_is_a_unit_attention_told_once,
                                  inquiry_runs_in_spite_of_a_unit_attention,
                                  a_reply_is_cut_to_what_the_host_allows,
                                  capacity_is_the_last_sector_and_its_size,
                                  reads_come_in_blocks_of_the_byte_count,
                                  a_read_beyond_the_end_is_an_illegal_request,
                                  an_unknown_command_is_an_illegal_request,
                                  the_table_of_contents_ends_with_the_lead_out,
                                  a_locked_tray_stays_shut,
                                  a_change_of_medium_is_not_ready_then_attention,
                                  a_medium_that_fails_is_a_medium_error,
                                  mode_page_2ah_tells_what_it_can,
                                  identify_device_is_aborted_with_the_signature,
                                  NULL};

    return run_tests("atapi", tests, setup, teardown);
}
