/* test_virtio_balloon.c: the virtio memory balloon. */
#include "devices/virtio_balloon.h"
#include "tests/unit/virtio_rig.h"

#define F_STATS_VQ BIT64(1)
#define F_PAGE_REPORTING BIT64(5)
#define PAGE 0x100000u /* a page of the guest's */

static struct rig r;
static struct virtio_balloon *b;

static void setup(void)
{
    rig_up(&r);
    b = rig_add(&r, &virtio_balloon_class,
                "target=1,free-page-reporting=on,guest-stats-polling-interval=2");
    dma_fill(&r.b.phys, PAGE, 0xaa, 0x4000);
}

static void teardown(void)
{
    rig_down(&r);
}

static bool is_gone(u64 page)
{
    return dma_read32(&r.b.phys, page) == 0 && dma_read32(&r.b.phys, page + 0xffc) == 0;
}

static u32 inflate(const u32 *pfn, u32 count)
{
    u8 list[64];

    for (u32 i = 0; i < count; i++)
        st_le32(list + 4 * i, pfn[i]);
    return rig_request(&r, 0, list, 4 * count, NULL, 0);
}

START_TEST(pages_that_are_given_away_are_the_hosts)
{
    rig_start(&r, 0);
    ck_assert_uint_eq(inflate((u32[]){PAGE >> 12, (PAGE >> 12) + 2}, 2), 0);
    ck_assert(is_gone(PAGE) && is_gone(PAGE + 0x2000));
    ck_assert(!is_gone(PAGE + 0x1000) && !is_gone(PAGE + 0x3000));
    ck_assert_uint_eq(rig_request(&r, 1, "\0\1\0\0", 4, NULL, 0), 0);
    dma_write32(&r.b.phys, PAGE, 5); /* and the guest's again when it takes them back */
    ck_assert_uint_eq(dma_read32(&r.b.phys, PAGE), 5);
}
END_TEST

START_TEST(pages_that_are_no_ram_are_left_alone)
{
    rig_start(&r, 0);
    ck_assert_uint_eq(inflate((u32[]){0xfffffff, 0xe0000000u >> 12, 0xa0, 2 * MIB >> 12}, 4), 0);
    ck_assert(!rig_needs_reset(&r));
}
END_TEST

START_TEST(a_list_cut_within_a_number_or_without_end_breaks_the_rules)
{
    rig_start(&r, 0);
    rig_request(&r, 0, "12345", 5, NULL, 0);
    ck_assert(rig_needs_reset(&r));
    rig_start(&r, 0);
    rig_post(&r, 0, 0, 0x40000000, 0, 0);
    rig_notify(&r, 0);
    ck_assert(rig_needs_reset(&r));
}
END_TEST

START_TEST(free_pages_that_are_reported_go_to_the_host)
{
    rig_start(&r, F_STATS_VQ | F_PAGE_REPORTING);
    rig_post(&r, 3, 0, 0, PAGE, 0x3000);
    rig_notify(&r, 3);
    ck_assert_uint_eq(rig_used(&r, 3), 0);
    ck_assert(is_gone(PAGE) && is_gone(PAGE + 0x2000) && !is_gone(PAGE + 0x3000));
    ck_assert_uint_eq(b->reported, 0x3000);
}
END_TEST

START_TEST(without_statistics_the_queue_of_reports_is_the_one_before)
{
    rig_start(&r, F_PAGE_REPORTING);
    rig_post(&r, 2, 0, 0, PAGE, 0x1000);
    rig_notify(&r, 2);
    ck_assert(is_gone(PAGE));
}
END_TEST

START_TEST(parts_of_pages_are_not_given_back)
{
    rig_start(&r, F_STATS_VQ | F_PAGE_REPORTING);
    rig_post(&r, 3, 0, 0, PAGE + 4, 0x2000);
    rig_notify(&r, 3);
    ck_assert_uint_eq(b->reported, 0x1000);
    ck_assert(!is_gone(PAGE) && is_gone(PAGE + 0x1000));
    ck_assert_uint_eq(dma_read32(&r.b.phys, PAGE), 0xaaaaaaaa);
}
END_TEST

START_TEST(a_report_of_more_than_there_is_breaks_the_rules)
{
    rig_start(&r, F_STATS_VQ | F_PAGE_REPORTING);
    rig_post(&r, 3, 0, 0, 0, 0xffffffff);
    rig_notify(&r, 3);
    ck_assert(rig_needs_reset(&r));
}
END_TEST

static void count_code_written(void *opaque, gpa_t gpa, u64 len)
{
    ck_assert(gpa == PAGE && len == 0x1000);
    ++*(unsigned *)opaque;
}

START_TEST(code_on_a_page_that_goes_is_forgotten)
{
    unsigned count = 0;

    rig_start(&r, 0);
    r.b.phys.code_written = count_code_written;
    r.b.phys.opaque = &count;
    phys_page(&r.b.phys, PAGE)->code_granules = 2;
    inflate((u32[]){PAGE >> 12}, 1);
    ck_assert_uint_eq(count, 1);
    ck_assert(is_gone(PAGE));
    phys_page(&r.b.phys, PAGE)->code_granules = 0;
}
END_TEST

START_TEST(statistics_are_read_and_asked_for_again)
{
    u8 stats[20];

    rig_start(&r, F_STATS_VQ);
    st_le16(stats, BALLOON_MEMFREE);
    st_le64(stats + 2, 12345);
    st_le16(stats + 10, 999); /* unknown */
    st_le64(stats + 12, 1);
    dma_write(&r.b.phys, RIG_OUT, stats, sizeof stats);
    rig_post(&r, 2, RIG_OUT, sizeof stats, 0, 0);
    rig_notify(&r, 2);
    ck_assert_uint_eq(b->stat[BALLOON_MEMFREE], 12345);
    ck_assert_uint_eq(b->stat[BALLOON_MEMTOT], BALLOON_UNKNOWN);
    ck_assert_uint_eq(rig_used(&r, 2), RIG_NOTHING); /* the device keeps it ... */
    board_run(&r.b, 2 * NS_PER_SEC);
    ck_assert_uint_eq(rig_used(&r, 2), 0); /* ... until it wants newer ones */
}
END_TEST

START_TEST(the_target_is_told_by_the_configuration)
{
    rig_start(&r, 0);
    ck_assert_uint_eq(phys_read(&r.b.phys, r.registers + 0x2000, 4), MIB / 4096);
    virtio_balloon_set_target(b, 2 * MIB - 4096);
    ck_assert_uint_eq(phys_read(&r.b.phys, r.registers + 0x2000, 4), 1);
    ck_assert_uint_eq(r.v->isr & 2, 2);
    virtio_balloon_set_target(b, 1 * GIB);
    ck_assert_uint_eq(phys_read(&r.b.phys, r.registers + 0x2000, 4), 0);
    rig_register(&r, 0x2004, 0x01020304, 4);
    ck_assert_uint_eq(b->actual, 0x01020304);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {pages_that_are_given_away_are_the_hosts,
                                  pages_that_are_no_ram_are_left_alone,
                                  a_list_cut_within_a_number_or_without_end_breaks_the_rules,
                                  free_pages_that_are_reported_go_to_the_host,
                                  without_statistics_the_queue_of_reports_is_the_one_before,
                                  parts_of_pages_are_not_given_back,
                                  a_report_of_more_than_there_is_breaks_the_rules,
                                  code_on_a_page_that_goes_is_forgotten,
                                  statistics_are_read_and_asked_for_again,
                                  the_target_is_told_by_the_configuration,
                                  NULL};

    return run_tests("virtio_balloon", tests, setup, teardown);
}
