/* test_usb.c: the UHCI and a tablet at it, by what a driver puts into memory. */
#include "tests/unit/board.h"

#include "base/bits.h"
#include "base/rng.h"
#include "devices/uhci.h"
#include "devices/usb_tablet.h"
#include "mmu/dma.h"

#define BASE 0xc000u
#define FRAMES 0x10000u /* the frame list, all of whose entries lead to the queue */
#define QUEUE 0x11000u
#define TDS 0x12000u
#define DATA 0x14000u
#define END 1u
#define IS_QUEUE 2u

#define ACTIVE BIT(23)
#define STALLED BIT(22)
#define NAK BIT(19)
#define TIMEOUT BIT(18)
#define IOC BIT(24)
#define SHORT BIT(29)
#define THREE_TRIES (3u << 27)

enum { IN = 0x69, OUT = 0xe1, SETUP = 0x2d };

static struct board b;
static struct uhci *hc;
static struct usb_tablet *tablet;
static struct probe irq;
static unsigned tds;

static void out16(unsigned reg, unsigned value)
{
    iobus_write(b.env.io, (u16)(BASE + reg), value, 2);
}

static unsigned in16(unsigned reg)
{
    return iobus_read(b.env.io, (u16)(BASE + reg), 2);
}

static void put32(u32 at, u32 value)
{
    dma_write32(&b.phys, at, value);
}

static u32 get32(u32 at)
{
    return dma_read32(&b.phys, at);
}

static void setup(void)
{
    board_init(&b);
    b.env.pci = board_add(&b, &pci_class, NULL);
    hc = board_add(&b, &uhci_class, NULL);
    b.env.usb = &hc->bus;
    tablet = board_add(&b, &usb_tablet_class, NULL);
    dev_reset(&hc->pci.dev); /* with the device plugged in, as at power-on */
    irq_connect(&b.env.pci->link[pci_link_of(hc->pci.devfn, 4)], probe_set, &irq, 0);
    irq = (struct probe){0};
    pci_config_write(b.env.pci, hc->pci.devfn, 0x20, BASE, 4);
    pci_config_write(b.env.pci, hc->pci.devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
    for (u32 i = 0; i < 1024; i++)
        put32(FRAMES + 4 * i, QUEUE | IS_QUEUE);
    put32(QUEUE, END);
    put32(QUEUE + 4, END);
    iobus_write(b.env.io, BASE + 8, FRAMES, 4);
    out16(0x10, 0x0200); /* reset of port 1, then enable */
    out16(0x10, 0);
    out16(0x10, 0x0004);
    out16(0, 1);
    tds = 0;
}

static void teardown(void)
{
    dev_destroy(&tablet->usb.dev);
    dev_destroy(&hc->pci.dev);
    dev_destroy(&b.env.pci->dev);
    board_destroy(&b);
}

/* Adds a descriptor behind the others; its data lie at the 64 bytes of its number. */
static u32 add(u8 pid, u8 address, u8 endpoint, unsigned len, u32 control)
{
    u32 at = TDS + 16 * tds;

    if (tds)
        put32(at - 16, at | 4);
    put32(at, END);
    put32(at + 4, ACTIVE | THREE_TRIES | control);
    put32(at + 8, pid | (u32)address << 8 | (u32)endpoint << 15 | ((len - 1) & 0x7ff) << 21);
    put32(at + 12, DATA + 64 * tds++);
    return at;
}

static void run_queue(void)
{
    put32(QUEUE + 4, TDS);
    board_run(&b, 2000000);
    tds = 0;
}

/* A control transfer that reads up to len bytes; how many came, -1 when it stalled. */
static int control_in(u8 address, const u8 request[8], u8 *data, unsigned len)
{
    unsigned n = 0, packets = 0;
    u32 status;

    dma_write(&b.phys, DATA, request, 8);
    add(SETUP, address, 0, 8, 0);
    for (unsigned left = len; left; left -= left < 8 ? left : 8, packets++)
        add(IN, address, 0, left < 8 ? left : 8, 0);
    status = add(OUT, address, 0, 0, 0);
    run_queue();
    if (get32(status + 4) & ACTIVE)
        return -1;
    for (unsigned i = 1; i <= packets; i++) {
        u8 part = (u8)((get32(TDS + 16 * i + 4) + 1) & 0x7ff);

        dma_read(&b.phys, DATA + 64 * i, data + n, part);
        n += part;
    }
    return (int)n;
}

static bool control_out(u8 address, const u8 request[8])
{
    u32 status;

    dma_write(&b.phys, DATA, request, 8);
    add(SETUP, address, 0, 8, 0);
    status = add(IN, address, 0, 0, 0);
    run_queue();
    return !(get32(status + 4) & (ACTIVE | STALLED));
}

static void configure(void)
{
    ck_assert(control_out(0, (const u8[8]){0, 5, 7}));
    ck_assert(control_out(7, (const u8[8]){0, 9, 1}));
}

START_TEST(a_device_is_seen_at_its_port_and_reset_through_it)
{
    ck_assert_uint_eq(in16(0x10), 0x0097); /* connected, changed, enabled, D+ */
    out16(0x10, 0x0006);
    ck_assert_uint_eq(in16(0x10), 0x0095);
    ck_assert_uint_eq(in16(0x12), 0x0080);
    ck_assert_uint_eq(in16(0x14), 0xff7f);
    configure();
    out16(0x10, 0x0200);
    ck_assert_uint_eq(in16(0x10) & 4, 0);
    ck_assert_uint_eq(tablet->usb.address, 0);
    ck_assert(!usb_tablet_is_used(tablet));
}
END_TEST

START_TEST(descriptors_are_read_in_packets)
{
    u8 data[128];

    ck_assert_int_eq(control_in(0, (const u8[8]){0x80, 6, 0, 1, 0, 0, 64}, data, 64), 18);
    ck_assert_uint_eq(ld_le16(data + 8), 0x0627);
    ck_assert_int_eq(control_in(0, (const u8[8]){0x80, 6, 0, 2, 0, 0, 9}, data, 9), 9);
    ck_assert_uint_eq(ld_le16(data + 2), 34);
    ck_assert_int_eq(control_in(0, (const u8[8]){0x80, 6, 0, 2, 0, 0, 34}, data, 34), 34);
    ck_assert_int_eq(control_in(0, (const u8[8]){0x80, 6, 2, 3, 9, 4, 64}, data, 64), 22);
    ck_assert_mem_eq(data + 2, "U\0S\0B\0 \0T\0a\0b\0l\0e\0t\0", 20);
    ck_assert_int_eq(control_in(0, (const u8[8]){0x81, 6, 0, 0x22, 0, 0, 100}, data, 100), 72);
    ck_assert_int_eq(control_in(0, (const u8[8]){0x80, 6, 3, 3, 9, 4, 64}, data, 64), -1);
}
END_TEST

START_TEST(the_address_changes_after_the_status_stage)
{
    u8 data[18];

    ck_assert(control_out(0, (const u8[8]){0, 5, 7}));
    ck_assert_int_eq(control_in(0, (const u8[8]){0x80, 6, 0, 1, 0, 0, 18}, data, 18), -1);
    out16(0x02, 0xffff);
    ck_assert_int_eq(control_in(7, (const u8[8]){0x80, 6, 0, 1, 0, 0, 18}, data, 18), 18);
}
END_TEST

START_TEST(nobody_at_an_address_is_an_error_after_three_tries)
{
    u32 at = add(IN, 99, 0, 8, 0);

    out16(0x04, 0x0001);
    put32(QUEUE + 4, TDS);
    board_run(&b, 2500000);
    ck_assert_uint_eq(get32(at + 4) >> 18 & 0x7ff, (ACTIVE | TIMEOUT | 1u << 27) >> 18);
    ck_assert(!irq.level);
    board_run(&b, 1000000);
    ck_assert_uint_eq(get32(at + 4) >> 18 & 0x7ff, (STALLED | TIMEOUT) >> 18);
    ck_assert(irq.level);
    out16(0x02, 0x0002);
    ck_assert(!irq.level);
}
END_TEST

START_TEST(a_report_waits_with_naks_until_the_pointer_moves)
{
    u8 data[6];
    u32 at;

    configure();
    out16(0x04, 0x0004);
    at = add(IN, 7, 1, 8, IOC);
    run_queue();
    ck_assert_uint_eq(get32(at + 4) & (ACTIVE | NAK), ACTIVE | NAK);
    ck_assert(!irq.level);
    usb_tablet_place(tablet, 0x1234, 0x4321, -2, 5);
    board_run(&b, 1000000);
    ck_assert_uint_eq(get32(at + 4) & (ACTIVE | NAK | 0x7ff), 5);
    ck_assert_uint_eq(get32(QUEUE + 4), END);
    ck_assert(irq.level);
    dma_read(&b.phys, DATA, data, 6);
    ck_assert_mem_eq(data, ((const u8[]){0x05, 0x34, 0x12, 0x21, 0x43, 0x02}), 6);
    out16(0x02, 0x0001);
    ck_assert(!irq.level);
}
END_TEST

START_TEST(a_short_packet_stops_its_queue_and_interrupts_if_asked_to)
{
    u32 at;

    configure();
    usb_tablet_place(tablet, 1, 2, 0, 0);
    out16(0x04, 0x0008);
    at = add(IN, 7, 1, 8, SHORT);
    add(IN, 7, 1, 8, 0);
    run_queue();
    ck_assert_uint_eq(get32(at + 4) & (ACTIVE | 0x7ff), 5);
    ck_assert_uint_eq(get32(QUEUE + 4), TDS); /* the queue stays there */
    ck_assert_uint_eq(get32(at + 16 + 4) & ACTIVE, ACTIVE);
    ck_assert(irq.level);
}
END_TEST

START_TEST(clicks_are_kept_and_movements_between_them_are_not)
{
    u8 data[6];

    configure();
    usb_tablet_place(tablet, 1, 1, 0, 0);
    usb_tablet_place(tablet, 2, 2, 1, 0);
    usb_tablet_place(tablet, 3, 3, 1, 0);
    usb_tablet_place(tablet, 3, 3, 0, 1);
    usb_tablet_place(tablet, 0x9000, 3, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        add(IN, 7, 1, 8, 0);
    run_queue();
    dma_read(&b.phys, DATA, data, 6);
    ck_assert_mem_eq(data, ((const u8[]){0, 3, 0, 3, 0, 0xfe}), 6);
    dma_read(&b.phys, DATA + 64, data, 6);
    ck_assert_mem_eq(data, ((const u8[]){1, 3, 0, 3, 0, 0}), 6);
    dma_read(&b.phys, DATA + 128, data, 6);
    ck_assert_mem_eq(data, ((const u8[]){0, 0xff, 0x7f, 3, 0, 0}), 6);
    ck_assert_uint_eq(tablet->count, 0);
}
END_TEST

START_TEST(a_halted_endpoint_stalls_until_it_is_cleared)
{
    u32 at;

    configure();
    ck_assert(control_out(7, (const u8[8]){2, 3, 0, 0, 0x81}));
    usb_tablet_place(tablet, 1, 1, 0, 0);
    at = add(IN, 7, 1, 8, 0);
    run_queue();
    ck_assert_uint_eq(get32(at + 4) & (ACTIVE | STALLED), STALLED);
    ck_assert(control_out(7, (const u8[8]){2, 1, 0, 0, 0x81}));
    at = add(IN, 7, 1, 8, 0);
    run_queue();
    ck_assert_uint_eq(get32(at + 4) & (ACTIVE | STALLED), 0);
}
END_TEST

START_TEST(frames_are_a_millisecond_each_and_a_late_host_skips_some)
{
    unsigned first = in16(6);

    board_run(&b, 10000000);
    ck_assert_uint_eq(in16(6), first + 10);
    clock_advance_to(&b.clock, clock_now_ns(&b.clock) + 500000000);
    clock_run_timers(&b.clock);
    ck_assert_uint_eq(in16(6), first + 510);
    out16(0, 0);
    ck_assert_uint_eq(in16(2) & 0x20, 0x20);
    board_run(&b, 10000000);
    ck_assert_uint_eq(in16(6), first + 510);
}
END_TEST

START_TEST(lists_that_lead_in_circles_end_with_the_frame)
{
    put32(QUEUE, QUEUE | IS_QUEUE);
    board_run(&b, 3000000);
    put32(QUEUE + 4, TDS);
    put32(TDS, TDS);
    put32(TDS + 4, 0);
    put32(FRAMES + 4 * (in16(6) + 1), TDS);
    board_run(&b, 3000000);
    ck_assert_uint_eq(in16(2), 0);
}
END_TEST

START_TEST(a_list_outside_of_memory_halts_the_controller)
{
    put32(QUEUE + 4, 0x7ffffff0);
    board_run(&b, 2000000);
    ck_assert_uint_eq(in16(2), 0x28);
    ck_assert_uint_eq(in16(0) & 1, 0);
    ck_assert(irq.level);
}
END_TEST

START_TEST(a_descriptor_that_makes_no_sense_halts_the_controller)
{
    add(0x12, 0, 0, 8, 0);
    run_queue();
    ck_assert_uint_eq(in16(2), 0x30);
}
END_TEST

/* Random lists, registers and descriptors bring nothing down: the sanitizers look. */
START_TEST(any_list_is_survived)
{
    struct rng r;

    rng_seed(&r, 42);
    for (unsigned round = 0; round < 300; round++) {
        for (u32 at = QUEUE; at < DATA; at += 4) {
            u64 x = rng_next(&r);
            u32 word = (u32)x;

            if (x >> 60 < 12) /* somewhere in the lists */
                word = QUEUE + ((u32)x & 0x3ff6);
            if (x >> 60 < 4) /* a token or control that may work */
                word = (u32)(x >> 40 & 1 ? IN : x >> 41 & 1 ? OUT : SETUP) | (word & 0xfff88000);
            put32(at, word);
        }
        iobus_write(b.env.io, BASE + 8, FRAMES, 4);
        out16(0x10, 4);
        out16(2, 0xffff);
        out16(0, 1);
        usb_tablet_place(tablet, round, round, 1, round);
        board_run(&b, 2000000);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_device_is_seen_at_its_port_and_reset_through_it,
        descriptors_are_read_in_packets,
        the_address_changes_after_the_status_stage,
        nobody_at_an_address_is_an_error_after_three_tries,
        a_report_waits_with_naks_until_the_pointer_moves,
        a_short_packet_stops_its_queue_and_interrupts_if_asked_to,
        clicks_are_kept_and_movements_between_them_are_not,
        a_halted_endpoint_stalls_until_it_is_cleared,
        frames_are_a_millisecond_each_and_a_late_host_skips_some,
        lists_that_lead_in_circles_end_with_the_frame,
        a_list_outside_of_memory_halts_the_controller,
        a_descriptor_that_makes_no_sense_halts_the_controller,
        any_list_is_survived,
        NULL,
    };

    return run_tests("usb", tests, setup, teardown);
}
