/*
 * test_virtio.c: the PCI transport and the queues, split and packed, as a driver uses them, from
 * VIRTIO 1.2, sections 2 and 4.1, with a block device (5.2) behind them.
 */
#include "tests/unit/disk_board.h"

#include "devices/virtio_blk.h"

#define DESC 0x10000u
#define AVAIL 0x11000u
#define USED 0x12000u
#define HEADER 0x13000u
#define STATUS 0x13100u
#define TABLE 0x14000u
#define DATA 0x20000u
#define QUEUE 16u

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { AVAIL_BIT = 0x80, USED_BIT = 0x8000 }; /* of a packed descriptor's flags */

static struct disk_board d;
static struct virtio_blk *blk;
static u64 common, notify, isr, device;
static unsigned messages;

static void take_message(void *opaque, u32 address, u32 data)
{
    (void)opaque;
    (void)address;
    (void)data;
    messages++;
}

static void create(const char *props)
{
    disk_board_init(&d);
    blk = board_add(&d.b, &virtio_blk_class, props);
    disk_board_pci(&d);
    d.b.env.pci->msi = take_message;
    messages = 0;
}

static u32 config(unsigned off, unsigned size)
{
    return pci_config_read(d.b.env.pci, blk->virtio.pci.devfn, off, size);
}

/* Finds the structures by the vendor's capabilities, as a driver does. */
static void find_structures(void)
{
    for (unsigned cap = config(0x34, 1); cap; cap = config(cap + 1, 1)) {
        u64 base;

        if (config(cap, 1) != 9)
            continue;
        base = blk->virtio.pci.bar[config(cap + 4, 1)].base + config(cap + 8, 4);
        switch (config(cap + 3, 1)) {
        case 1: common = base; break;
        case 2: notify = base; break;
        case 3: isr = base; break;
        case 4: device = base; break;
        default: break;
        }
    }
}

static void set(u64 at, u64 value, unsigned size)
{
    phys_write(&d.b.phys, at, value, size);
}

static u64 get(u64 at, unsigned size)
{
    return phys_read(&d.b.phys, at, size);
}

/* Initialization, 3.1.1; false: the device does not take the features. */
static bool negotiate(u64 features)
{
    set(common + 0x14, 0, 1);
    set(common + 0x14, 1, 1);
    set(common + 0x14, 3, 1);
    for (unsigned word = 0; word < 2; word++) {
        set(common + 0x08, word, 4);
        set(common + 0x0c, features >> 32 * word & 0xffffffffu, 4);
    }
    set(common + 0x14, 0x0b, 1);
    return get(common + 0x14, 1) & VIRTIO_STATUS_FEATURES_OK;
}

static void start_queue(void)
{
    set(common + 0x16, 0, 2);
    set(common + 0x18, QUEUE, 2);
    set(common + 0x20, DESC, 8);
    set(common + 0x28, AVAIL, 8);
    set(common + 0x30, USED, 8);
    set(common + 0x1c, 1, 2);
    set(common + 0x14, 0x0f, 1);
}

static void setup(void)
{
    create("drive=disk");
    find_structures();
}

static void teardown(void)
{
    dev_destroy(&blk->virtio.pci.dev);
    disk_board_destroy(&d);
}

static void put_desc(u64 at, u64 address, u32 len, u16 flags, u16 next)
{
    dma_write64(&d.b.phys, at, address);
    dma_write32(&d.b.phys, at + 8, len);
    dma_write16(&d.b.phys, at + 12, flags);
    dma_write16(&d.b.phys, at + 14, next);
}

static void put_header(u32 type, u64 sector)
{
    dma_write32(&d.b.phys, HEADER, type);
    dma_write32(&d.b.phys, HEADER + 4, 0);
    dma_write64(&d.b.phys, HEADER + 8, sector);
    dma_write16(&d.b.phys, STATUS, 0xff);
}

/* Header, data, status in the table at `at`. */
static void put_chain(u64 at, u32 type, u64 sector, u32 bytes)
{
    put_header(type, sector);
    put_desc(at, HEADER, 16, NEXT, 1);
    put_desc(at + 16, DATA, bytes, NEXT | (type ? 0 : WRITE), 2);
    put_desc(at + 32, STATUS, 1, WRITE, 0);
}

static void make_available(u16 head)
{
    u16 index = dma_read16(&d.b.phys, AVAIL + 2);

    dma_write16(&d.b.phys, AVAIL + 4 + 2u * (index % QUEUE), head);
    dma_write16(&d.b.phys, AVAIL + 2, (u16)(index + 1));
    set(notify, 0, 2);
    disk_board_run(&d);
}

static u8 status(void)
{
    u8 s;

    ck_assert(dma_read(&d.b.phys, STATUS, &s, 1));
    return s;
}

START_TEST(a_driver_without_version_1_is_refused)
{
    ck_assert_uint_eq(config(2, 2), 0x1042);
    ck_assert(!negotiate(0));
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
}
END_TEST

START_TEST(a_feature_that_is_not_offered_is_refused)
{
    ck_assert(!negotiate(VIRTIO_F_VERSION_1 | BIT64(63)));
    ck_assert(!negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED));
}
END_TEST

START_TEST(a_reset_reads_back_as_zero)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    set(common + 0x14, 0, 1);
    ck_assert_uint_eq(get(common + 0x14, 1), 0);
    ck_assert_uint_eq(get(common + 0x1c, 2), 0); /* queue_enable */
    ck_assert_uint_eq(get(common + 0x18, 2), 256);
}
END_TEST

START_TEST(a_split_ring_moves_data_and_tells_the_length)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    put_chain(DESC, 0, 7, 1024);
    make_available(0);
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 7);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 512), 8);
    ck_assert_uint_eq(dma_read16(&d.b.phys, USED + 2), 1);
    ck_assert_uint_eq(dma_read32(&d.b.phys, USED + 4), 0);    /* the head */
    ck_assert_uint_eq(dma_read32(&d.b.phys, USED + 8), 1025); /* data and status */
    ck_assert(blk->virtio.pci.intx);
    ck_assert_uint_eq(get(isr, 1), 1);
    ck_assert(!blk->virtio.pci.intx); /* reading acknowledges */
    ck_assert_uint_eq(get(isr, 1), 0);
}
END_TEST

START_TEST(a_write_reaches_the_disk)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    dma_write32(&d.b.phys, DATA, 0x77);
    put_chain(DESC, 1, 90, 512);
    make_available(0);
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(disk_word(&d, 90), 0x77);
    ck_assert_uint_eq(dma_read32(&d.b.phys, USED + 8), 1);
}
END_TEST

START_TEST(an_indirect_table_is_one_descriptor)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC));
    start_queue();
    put_chain(TABLE, 0, 3, 512);
    put_desc(DESC + 16 * 5, TABLE, 48, INDIRECT, 0);
    make_available(5);
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 3);
    ck_assert_uint_eq(dma_read32(&d.b.phys, USED + 4), 5);
}
END_TEST

START_TEST(a_loop_of_descriptors_asks_for_a_reset)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    put_chain(DESC, 0, 3, 512);
    put_desc(DESC + 32, STATUS, 1, WRITE | NEXT, 1);
    make_available(0);
    ck_assert_uint_eq(get(common + 0x14, 1) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
    ck_assert_uint_eq(dma_read16(&d.b.phys, USED + 2), 0);
}
END_TEST

START_TEST(a_descriptor_beyond_the_ring_asks_for_a_reset)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    make_available(QUEUE);
    ck_assert_uint_eq(get(common + 0x14, 1) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
}
END_TEST

START_TEST(no_interrupt_is_asked_for_by_a_flag)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    dma_write16(&d.b.phys, AVAIL, 1); /* VIRTQ_AVAIL_F_NO_INTERRUPT */
    put_chain(DESC, 0, 3, 512);
    make_available(0);
    ck_assert_uint_eq(dma_read16(&d.b.phys, USED + 2), 1);
    ck_assert(!blk->virtio.pci.intx);
}
END_TEST

START_TEST(an_event_index_holds_interrupts_back)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX));
    start_queue();
    dma_write16(&d.b.phys, AVAIL + 4 + 2 * QUEUE, 1); /* used_event: after the second */
    put_chain(DESC, 0, 3, 512);
    make_available(0);
    ck_assert(!blk->virtio.pci.intx);
    make_available(0);
    ck_assert(blk->virtio.pci.intx);
}
END_TEST

START_TEST(ranges_and_unknown_requests_have_their_status)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    put_chain(DESC, 0, DISK_SECTORS, 512);
    make_available(0);
    ck_assert_uint_eq(status(), 1); /* VIRTIO_BLK_S_IOERR */
    put_chain(DESC, 99, 0, 512);
    make_available(0);
    ck_assert_uint_eq(status(), 2); /* VIRTIO_BLK_S_UNSUPP */
    put_chain(DESC, 0, ~0ull, 512);
    make_available(0);
    ck_assert_uint_eq(status(), 1);
}
END_TEST

START_TEST(a_host_that_fails_is_an_i_o_error)
{
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    start_queue();
    ck_assert_int_eq(ftruncate(d.disk_fd, 0), 0);
    put_chain(DESC, 0, 3, 512);
    make_available(0);
    ck_assert_uint_eq(status(), 1);
}
END_TEST

START_TEST(the_configuration_tells_the_capacity)
{
    ck_assert_uint_eq(get(device, 8), DISK_SECTORS);
    ck_assert_uint_eq(get(device + 20, 4), 512);
}
END_TEST

START_TEST(the_queue_speaks_by_its_vector)
{
    u64 table = blk->virtio.pci.bar[1].base;
    unsigned cap = config(0x34, 1);

    while (config(cap, 1) != 0x11)
        cap = config(cap + 1, 1);
    pci_config_write(d.b.env.pci, blk->virtio.pci.devfn, cap + 2, 0x8000, 2);
    set(table + 16, 0xfee00000, 4);
    set(table + 28, 0, 4);
    ck_assert(negotiate(VIRTIO_F_VERSION_1));
    set(common + 0x16, 0, 2);
    set(common + 0x1a, 1, 2);
    ck_assert_uint_eq(get(common + 0x1a, 2), 1);
    set(common + 0x10, 9, 2); /* there is no vector 9 */
    ck_assert_uint_eq(get(common + 0x10, 2), MSIX_NO_VECTOR);
    start_queue();
    put_chain(DESC, 0, 3, 512);
    make_available(0);
    ck_assert_uint_eq(messages, 1);
    ck_assert(!blk->virtio.pci.intx);
}
END_TEST

/* ---- packed ---------------------------------------------------------------------------------- */

static void setup_packed(void)
{
    create("drive=disk,packed=on");
    find_structures();
    ck_assert(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED));
    start_queue();
}

/* Three descriptors from place *at on; the ring wraps, and with it the meaning of the bits. */
static void packed_read(unsigned *at, bool *wrap, u64 sector, u16 id)
{
    static const u16 flags[] = {NEXT, NEXT | WRITE, WRITE};
    const u64 address[] = {HEADER, DATA, STATUS};
    const u32 len[] = {16, 512, 1};

    put_header(0, sector);
    for (unsigned n = 0; n < 3; n++) {
        put_desc(DESC + 16 * *at, address[n], len[n], 0, 0);
        dma_write16(&d.b.phys, DESC + 16 * *at + 12, id);
        dma_write16(&d.b.phys, DESC + 16 * *at + 14, flags[n] | (*wrap ? AVAIL_BIT : USED_BIT));
        if (++*at == QUEUE) {
            *at = 0;
            *wrap = !*wrap;
        }
    }
    set(notify, 0, 2);
    disk_board_run(&d);
}

START_TEST(a_packed_ring_goes_round)
{
    unsigned at = 0;
    bool wrap = true;

    for (u16 n = 0; n < 40; n++) {
        unsigned first = at;
        bool first_wrap = wrap;
        u16 flags;

        packed_read(&at, &wrap, 10 + n, n);
        ck_assert_uint_eq(status(), 0);
        ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 10u + n);
        ck_assert_uint_eq(dma_read16(&d.b.phys, DESC + 16 * first + 12), n);
        ck_assert_uint_eq(dma_read32(&d.b.phys, DESC + 16 * first + 8), 513);
        flags = dma_read16(&d.b.phys, DESC + 16 * first + 14);
        ck_assert_uint_eq(flags & (AVAIL_BIT | USED_BIT), first_wrap ? AVAIL_BIT | USED_BIT : 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const split[] = {a_driver_without_version_1_is_refused,
                                  a_feature_that_is_not_offered_is_refused,
                                  a_reset_reads_back_as_zero,
                                  a_split_ring_moves_data_and_tells_the_length,
                                  a_write_reaches_the_disk,
                                  an_indirect_table_is_one_descriptor,
                                  a_loop_of_descriptors_asks_for_a_reset,
                                  a_descriptor_beyond_the_ring_asks_for_a_reset,
                                  no_interrupt_is_asked_for_by_a_flag,
                                  an_event_index_holds_interrupts_back,
                                  ranges_and_unknown_requests_have_their_status,
                                  a_host_that_fails_is_an_i_o_error,
                                  the_configuration_tells_the_capacity,
                                  the_queue_speaks_by_its_vector,
                                  NULL};
    const TTest *const packed[] = {a_packed_ring_goes_round, NULL};

    return run_tests("virtio", split, setup, teardown) |
           run_tests("virtio packed", packed, setup_packed, teardown);
}
