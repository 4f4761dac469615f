/* test_rtl8139.c: the RTL8139C and C+ as their drivers use them. */
#include "devices/rtl8139.h"
#include "tests/unit/net_wire.h"

enum {
    IDR0 = 0x00,
    MAR0 = 0x08,
    TSD0 = 0x10,
    TSAD0 = 0x20,
    RBSTART = 0x30,
    CR = 0x37,
    CAPR = 0x38,
    CBR = 0x3a,
    IMR = 0x3c,
    ISR = 0x3e,
    RCR = 0x44,
    TCTR = 0x48,
    CR9346 = 0x50,
    TIMER_INT = 0x54,
    MSR = 0x58,
    TSAD = 0x60,
    BMSR = 0x64,
    TPPOLL = 0xd9,
    CPCR = 0xe0,
    RDSAR = 0xe4
};

#define RX_RING 0x10000u
#define TX_RING 0x11000u
#define BYTES 0x20000u /* the ring of bytes, or buffers */
#define DATA 0x40000u
#define OWN 0x80000000u
#define EOR 0x40000000u
#define FS_LS 0x30000000u

static struct board b;
static struct wire w;
static struct rtl8139 *s;

static void setup(void)
{
    board_init(&b);
    wire_init(&w, &b);
}

static void teardown(void)
{
    dev_destroy((struct dev *)s);
    wire_destroy(&w, &b);
    board_destroy(&b);
}

static u32 in(u32 reg, unsigned size)
{
    return (u32)phys_read(&b.phys, REGISTERS + reg, size);
}

static void out(u32 reg, u32 value, unsigned size)
{
    phys_write(&b.phys, REGISTERS + reg, value, size);
}

static void start_c(u32 rcr)
{
    s = wire_add(&b, &rtl8139_class, "netdev=wire,cplus=off");
    out(RBSTART, BYTES, 4);
    out(CR, 0x0c, 1);
    out(RCR, rcr, 4);
}

/* Rings of four: receive buffers of 512 bytes. */
static void start_cplus(u16 cpcr)
{
    s = wire_add(&b, &rtl8139_class, NULL);
    for (unsigned i = 0; i < 4; i++) {
        dma_write32(&b.phys, RX_RING + 16 * i, OWN | (i == 3 ? EOR : 0) | 512);
        dma_write64(&b.phys, RX_RING + 16 * i + 8, BYTES + 0x1000 * i);
    }
    out(CPCR, 3u | cpcr, 2);
    out(TSAD0, TX_RING, 4);
    out(TSAD0 + 4, 0, 4);
    out(RDSAR, RX_RING, 4);
    out(RDSAR + 4, 0, 4);
    out(CR, 0x0c, 1);
    out(RCR, 0x0e, 4);
}

static void put_tx(unsigned n, u32 word, u64 address)
{
    dma_write32(&b.phys, TX_RING + 16 * n + 4, 0);
    dma_write64(&b.phys, TX_RING + 16 * n + 8, address);
    dma_write32(&b.phys, TX_RING + 16 * n, word | (n == 3 ? EOR : 0));
}

START_TEST(address_is_in_idr_and_in_the_eeprom)
{
    u32 command = 6u << 6 | 7, word = 0;

    s = wire_add(&b, &rtl8139_class, NULL);
    ck_assert_uint_eq(in(IDR0, 4), 0x12005452);
    ck_assert_uint_eq(in(IDR0 + 4, 2), 0x5634);
    out(CR9346, 0x80, 1);
    for (int i = 8; i >= 0; i--) {
        out(CR9346, 0x88 | (command >> i & 1) << 1, 1);
        out(CR9346, 0x8c | (command >> i & 1) << 1, 1);
    }
    out(CR9346, 0x88, 1);
    for (unsigned i = 0; i < 16; i++) {
        out(CR9346, 0x8c, 1);
        word = word << 1 | (in(CR9346, 1) & 1);
        out(CR9346, 0x88, 1);
    }
    ck_assert_uint_eq(word, 0x5452);
}
END_TEST

START_TEST(four_descriptors_send_frames)
{
    u8 frame[100];

    start_c(0x0e);
    out(IMR, 4, 2);
    make_frame(frame, sizeof frame, 0x56);
    for (unsigned i = 0; i < 6; i++) {
        frame[30] = (u8)i;
        dma_write(&b.phys, DATA, frame, sizeof frame);
        out(TSAD0 + 4 * (i % 4), DATA, 4);
        out(TSD0 + 4 * (i % 4), sizeof frame, 4);
        ck_assert_uint_eq(w.count, i + 1);
        ck_assert_mem_eq(w.sent[i].data, frame, sizeof frame);
        ck_assert_uint_eq(in(TSD0 + 4 * (i % 4), 4), 0xa000 | sizeof frame); /* OWN, TOK */
        ck_assert(s->pci.intx);
        out(ISR, 4, 2);
        ck_assert(!s->pci.intx);
    }
    ck_assert_uint_eq(in(TSAD, 2), 0xf00f);
    out(CR, 0x08, 1); /* the transmitter is off */
    out(TSD0, sizeof frame, 4);
    ck_assert_uint_eq(w.count, 6);
}
END_TEST

START_TEST(frames_lie_in_the_ring_of_bytes_until_read)
{
    u8 frame[1500], got[1500];
    u32 read = 0;

    start_c(0x0e); /* 8 KiB, wraps */
    make_frame(frame, sizeof frame, 0x56);
    ck_assert(in(CR, 1) & 1); /* empty */
    for (unsigned i = 0; i < 6; i++) {
        frame[30] = (u8)i;
        net_input(&w.net, frame, sizeof frame);
    }
    ck_assert(!(in(CR, 1) & 1));
    ck_assert_uint_eq(in(CBR, 2), 5 * 1508); /* the sixth waits */
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_uint_eq(dma_read16(&b.phys, BYTES + read) & 1, 1);
        ck_assert_uint_eq(dma_read16(&b.phys, BYTES + read) >> 13, 2); /* to this station */
        ck_assert_uint_eq(dma_read16(&b.phys, BYTES + read + 2), 1504);
        for (unsigned n = 0; n < sizeof got; n++)
            dma_read(&b.phys, BYTES + (read + 4 + n) % 8192, got + n, 1);
        ck_assert_uint_eq(got[30], i);
        frame[30] = (u8)i;
        ck_assert_mem_eq(got, frame, sizeof got);
        read = (read + 1508) % 8192;
        out(CAPR, (read - 16) & 0xffff, 2);
    }
    ck_assert(in(CR, 1) & 1);
}
END_TEST

/* Linux's 8139too clears ISR behind every frame and looks at it before the next ones. */
START_TEST(frame_that_waits_is_told_again_after_isr_was_cleared)
{
    u8 frame[1500];

    start_c(0x0e);
    make_frame(frame, sizeof frame, 0x56);
    for (unsigned i = 0; i < 6; i++)
        net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(in(ISR, 2) & 0x11, 0x11); /* ROK, ROVW */
    out(ISR, 0x11, 2);
    ck_assert_uint_eq(in(ISR, 2) & 0x11, 0x10);
    for (unsigned i = 0; i < 3; i++) {
        out(ISR, 0xffff, 2);
        board_run(&b, 1000000);
        ck_assert_uint_eq(in(ISR, 2) & 0x11, 0x10);
    }
    out(CAPR, 1508 - 16, 2); /* room: it comes in, and no more is said */
    out(ISR, 0xffff, 2);
    board_run(&b, 1000000);
    ck_assert_uint_eq(in(ISR, 2), 0);
}
END_TEST

START_TEST(frame_goes_on_beyond_a_ring_that_does_not_wrap)
{
    u8 frame[1500], last;

    start_c(0x8e); /* WRAP */
    make_frame(frame, sizeof frame, 0x56);
    for (unsigned i = 0; i < 5; i++)
        net_input(&w.net, frame, sizeof frame);
    out(CAPR, 5 * 1508 - 16, 2);
    net_input(&w.net, frame, sizeof frame);
    dma_read(&b.phys, BYTES + 5 * 1508 + 4 + 1499, &last, 1);
    ck_assert_uint_eq(last, frame[1499]);
    ck_assert_uint_eq(in(CBR, 2), 6 * 1508 - 8192);
}
END_TEST

START_TEST(only_wanted_frames_come_in)
{
    u8 frame[100];

    start_c(0);
    make_frame(frame, sizeof frame, 0x56);
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(in(CBR, 2), 0);
    out(RCR, 2, 4);
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(in(CBR, 2), 108);
    frame[5]++;
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(in(CBR, 2), 108);
    out(RCR, 1, 4); /* all stations */
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(in(CBR, 2), 216);
    out(RCR, 4, 4);
    memcpy(frame, (const u8[6]){0x01, 0x00, 0x5e, 0, 0, 1}, 6);
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(in(CBR, 2), 216);
    out(MAR0, 0x80000000, 4); /* the sum of that group begins with 31 */
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(in(CBR, 2), 324);
}
END_TEST

START_TEST(descriptors_of_the_cplus_send_frames_and_segments)
{
    u8 frame[4000];
    size_t len = make_tcp(frame, 3000, 0x18);

    start_cplus(0);
    dma_write(&b.phys, DATA, frame, len);
    put_tx(0, OWN | 0x20000000u | 1000, DATA); /* FS */
    out(TPPOLL, 0x40, 1);
    ck_assert_uint_eq(w.count, 0); /* not all of it is there */
    ck_assert(dma_read32(&b.phys, TX_RING) & OWN);
    put_tx(0, OWN | 0x28000000u | 1460u << 16 | 1000, DATA);
    put_tx(1, OWN | 0x10000000u | (u32)(len - 1000), DATA + 1000);
    out(TPPOLL, 0x40, 1);
    ck_assert_uint_eq(w.count, 3);
    for (unsigned i = 0; i < 3; i++)
        check_tcp(w.sent[i].data, w.sent[i].len);
    ck_assert(!(dma_read32(&b.phys, TX_RING) & OWN));
    ck_assert(!(dma_read32(&b.phys, TX_RING + 16) & OWN));
    ck_assert_uint_eq(in(ISR, 2) & 0x84, 0x84); /* sent, and no more there */

    w.count = 0;
    len = make_tcp(frame, 100, 0x18);
    frame[17] = (u8)(len - 14);
    dma_write(&b.phys, DATA, frame, len);
    for (unsigned i = 2; i < 6; i++) { /* round the ring */
        put_tx(i % 4, OWN | FS_LS | 0x50000u | (u32)len, DATA);
        out(TPPOLL, 0x40, 1);
        ck_assert_uint_eq(w.count, i - 1);
        check_tcp(w.sent[i - 2].data, w.sent[i - 2].len);
    }
}
END_TEST

START_TEST(descriptors_of_the_cplus_receive_frames)
{
    u8 frame[1100], got[1100];
    size_t len = make_tcp(frame, 1000, 0x18);

    start_cplus(0x20); /* with sums */
    memcpy(frame, s->permanent, 6);
    ck_assert(net_finish_large(frame, len));
    net_input(&w.net, frame, len);
    for (unsigned i = 0; i < 3; i++) {
        u32 word = dma_read32(&b.phys, RX_RING + 16 * i);

        ck_assert_uint_eq(word & OWN, 0);
        ck_assert_uint_eq(word >> 28 & 3, i == 0 ? 2 : i == 2 ? 1 : 0);
        ck_assert_uint_eq(word & 0x1fff, len + 4);
        ck_assert_uint_eq(word >> 13 & 0x1f, 8); /* TCP, and all is right */
        dma_read(&b.phys, BYTES + 0x1000 * i, got + 512 * i, i < 2 ? 512 : 30);
    }
    ck_assert_mem_eq(got, frame, len);

    frame[60] ^= 1; /* one descriptor is left, but it takes three */
    net_input(&w.net, frame, len);
    ck_assert(dma_read32(&b.phys, RX_RING + 48) & OWN);
    for (unsigned i = 0; i < 2; i++)
        dma_write32(&b.phys, RX_RING + 16 * i, OWN | 512);
    board_run(&b, 200000);                                                /* the chip looks again */
    ck_assert_uint_eq(dma_read32(&b.phys, RX_RING + 48) >> 13 & 0x1f, 9); /* TCPF */
    ck_assert_uint_eq(dma_read32(&b.phys, RX_RING + 48) & EOR, EOR);
    ck_assert(!(dma_read32(&b.phys, RX_RING) & OWN));
}
END_TEST

START_TEST(timer_counts_the_bus_clock)
{
    start_c(0);
    out(IMR, 0x4000, 2);
    out(TCTR, 0, 4);
    out(TIMER_INT, 1000, 4);
    board_run(&b, 29999);
    ck_assert_uint_eq(in(TCTR, 4), 999);
    ck_assert(!s->pci.intx);
    board_run(&b, 1);
    ck_assert(s->pci.intx);
}
END_TEST

START_TEST(link_is_that_of_the_wire)
{
    start_c(0);
    ck_assert(!(in(MSR, 1) & 4));
    ck_assert(in(BMSR, 2) & 4);
    net_set_link(&w.net, false);
    ck_assert(in(MSR, 1) & 4);
    ck_assert(!(in(BMSR, 2) & 4));
    ck_assert_uint_eq(in(ISR, 2), 0x20);
}
END_TEST

START_TEST(registers_are_reached_in_every_size_and_by_ports)
{
    u16 port;

    s = wire_add(&b, &rtl8139_class, NULL);
    port = (u16)s->pci.bar[0].base;
    iobus_write(b.env.io, (u16)(port + MAR0 + 1), 0xabcd, 2);
    iobus_write(b.env.io, (u16)(port + MAR0 + 3), 0x12, 1);
    ck_assert_uint_eq(in(MAR0, 4), 0x12abcd00);
    ck_assert_uint_eq(iobus_read(b.env.io, (u16)(port + MAR0 + 2), 1), 0xab);
    ck_assert_uint_eq(phys_read(&b.phys, REGISTERS + IDR0, 8), 0x563412005452ull);
    out(CR, 0x0c, 1);
    out(CR, 0x10, 1); /* reset */
    ck_assert_uint_eq(in(CR, 1), 1);
    ck_assert_uint_eq(in(MAR0, 4), 0x12abcd00); /* it leaves the filter */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {address_is_in_idr_and_in_the_eeprom,
                                  four_descriptors_send_frames,
                                  frames_lie_in_the_ring_of_bytes_until_read,
                                  frame_that_waits_is_told_again_after_isr_was_cleared,
                                  frame_goes_on_beyond_a_ring_that_does_not_wrap,
                                  only_wanted_frames_come_in,
                                  descriptors_of_the_cplus_send_frames_and_segments,
                                  descriptors_of_the_cplus_receive_frames,
                                  timer_counts_the_bus_clock,
                                  link_is_that_of_the_wire,
                                  registers_are_reached_in_every_size_and_by_ports,
                                  NULL};

    return run_tests("rtl8139", tests, setup, teardown);
}
