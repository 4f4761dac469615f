/* test_e1000.c: the 82540EM as its drivers use it. */
#include "devices/e1000.h"
#include "tests/unit/net_wire.h"

enum {
    CTRL = 0x00,
    STATUS = 0x08,
    EECD = 0x10,
    EERD = 0x14,
    MDIC = 0x20,
    ICR = 0xc0,
    ITR = 0xc4,
    IMS = 0xd0,
    IMC = 0xd8,
    RCTL = 0x100,
    TCTL = 0x400,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    GPRC = 0x4074,
    RXCSUM = 0x5000,
    MTA = 0x5200,
    RAL = 0x5400,
    RAH = 0x5404
};

#define RX_RING 0x10000u
#define TX_RING 0x11000u
#define RX_BUFFERS 0x20000u
#define TX_DATA 0x40000u
#define RING 8u
#define LEGACY_EOP_RS 0x09000000u

static struct board b;
static struct wire w;
static struct e1000 *s;

static void setup(void)
{
    board_init(&b);
    wire_init(&w, &b);
    s = wire_add(&b, &e1000_class, NULL);
}

static void teardown(void)
{
    dev_destroy((struct dev *)s);
    wire_destroy(&w, &b);
    board_destroy(&b);
}

/* Both rings of 8, seven buffers of 2 KiB given for reception. */
static void start(u32 rctl)
{
    mmio_write(&b, CTRL, 1u << 6);
    for (unsigned i = 0; i < RING; i++)
        dma_write64(&b.phys, RX_RING + 16 * i, RX_BUFFERS + 2048 * i);
    mmio_write(&b, RDBAL, RX_RING);
    mmio_write(&b, RDLEN, RING * 16);
    mmio_write(&b, RDT, RING - 1);
    mmio_write(&b, TDBAL, TX_RING);
    mmio_write(&b, TDLEN, RING * 16);
    mmio_write(&b, TCTL, 2);
    mmio_write(&b, RCTL, 2 | rctl);
    mmio_read(&b, ICR);
}

static void put_tx(unsigned n, u64 address, u32 lower, u32 upper)
{
    dma_write64(&b.phys, TX_RING + 16 * n, address);
    dma_write32(&b.phys, TX_RING + 16 * n + 8, lower);
    dma_write32(&b.phys, TX_RING + 16 * n + 12, upper);
}

START_TEST(words_of_the_eeprom_add_up)
{
    u16 sum = 0, first;

    for (u32 i = 0; i < 64; i++) {
        mmio_write(&b, EERD, i << 8 | 1);
        ck_assert(mmio_read(&b, EERD) & 0x10);
        sum = (u16)(sum + (mmio_read(&b, EERD) >> 16));
    }
    ck_assert_uint_eq(sum, 0xbaba);
    mmio_write(&b, EERD, 1);
    first = (u16)(mmio_read(&b, EERD) >> 16);
    ck_assert_uint_eq(first, 0x5452);
}
END_TEST

static void ee_bit(unsigned bit)
{
    mmio_write(&b, EECD, 0x42 | bit << 2);
    mmio_write(&b, EECD, 0x43 | bit << 2);
    mmio_write(&b, EECD, 0x42 | bit << 2);
}

START_TEST(eeprom_shifts_out_a_word_after_a_dummy_bit)
{
    u32 command = 6u << 6 | 1, word = 0;

    mmio_write(&b, EECD, 0x40);
    ck_assert(mmio_read(&b, EECD) & 0x80); /* granted */
    for (int i = 8; i >= 0; i--)
        ee_bit(command >> i & 1);
    ck_assert(!(mmio_read(&b, EECD) & 8));
    for (unsigned i = 0; i < 16; i++) {
        ee_bit(0);
        word = word << 1 | (mmio_read(&b, EECD) >> 3 & 1);
    }
    ck_assert_uint_eq(word, 0x1200);
}
END_TEST

static u32 phy(u32 reg)
{
    mmio_write(&b, MDIC, 2u << 26 | 1u << 21 | reg << 16);
    ck_assert(mmio_read(&b, MDIC) & 1u << 28);
    return mmio_read(&b, MDIC) & 0xffff;
}

START_TEST(phy_has_its_id_and_the_link_of_the_wire)
{
    ck_assert_uint_eq(phy(2) << 16 | (phy(3) & 0xfff0), 0x01410c20);
    ck_assert(phy(1) & 4);
    mmio_write(&b, CTRL, 1u << 6);
    ck_assert(mmio_read(&b, STATUS) & 2);
    mmio_read(&b, ICR);
    net_set_link(&w.net, false);
    ck_assert(!(phy(1) & 4));
    ck_assert(!(mmio_read(&b, STATUS) & 2));
    ck_assert_uint_eq(mmio_read(&b, ICR), E1000_ICR_LSC);
    mmio_write(&b, MDIC, 2u << 26 | 2u << 21);
    ck_assert(mmio_read(&b, MDIC) & 1u << 30); /* there is no other PHY */
}
END_TEST

START_TEST(frame_goes_out_and_is_reported)
{
    u8 frame[100];

    start(0);
    make_frame(frame, sizeof frame, 0x56);
    dma_write(&b.phys, TX_DATA, frame, sizeof frame);
    put_tx(0, TX_DATA, 40, 0);
    put_tx(1, TX_DATA + 40, LEGACY_EOP_RS | 60, 0);
    mmio_write(&b, TDT, 1); /* half of it */
    ck_assert_uint_eq(w.count, 0);
    mmio_write(&b, TDT, 2);
    ck_assert_uint_eq(w.count, 1);
    ck_assert_uint_eq(w.sent[0].len, sizeof frame);
    ck_assert_mem_eq(w.sent[0].data, frame, sizeof frame);
    ck_assert_uint_eq(mmio_read(&b, TDH), 2);
    ck_assert_uint_eq(dma_read32(&b.phys, TX_RING + 16 + 12), 1);
    ck_assert_uint_eq(mmio_read(&b, ICR), E1000_ICR_TXDW | E1000_ICR_TXQE);
}
END_TEST

START_TEST(large_frame_goes_out_in_segments)
{
    u8 frame[4000];
    size_t len = make_tcp(frame, 3000, 0x19); /* FIN, PSH, ACK */

    start(0);
    dma_write(&b.phys, TX_DATA, frame, len);
    put_tx(0, 0, 0, 0);
    dma_write64(&b.phys, TX_RING, (u64)34 << 32 | (u64)50 << 40 | 14 | 24 << 8 | 33 << 16);
    dma_write32(&b.phys, TX_RING + 8, 0x20000000u | 7u << 24 | 3000); /* DEXT, TSE, IP, TCP */
    dma_write32(&b.phys, TX_RING + 12, 1460u << 16 | 54u << 8);
    put_tx(1, TX_DATA, 0x2d100000u | (u32)len, 0x300); /* data, TSE, EOP, RS, both sums */
    mmio_write(&b, TDT, 2);
    ck_assert_uint_eq(w.count, 3);
    for (unsigned i = 0, at = 0; i < 3; i++) {
        const u8 *f = w.sent[i].data;
        size_t n = i < 2 ? 1460 : 80;

        ck_assert_uint_eq(w.sent[i].len, 54 + n);
        check_tcp(f, w.sent[i].len);
        ck_assert_uint_eq((u32)f[18] << 8 | f[19], 7 + i);       /* identification */
        ck_assert_uint_eq((u32)f[40] << 8 | f[41], 0x1000 + at); /* sequence, low */
        ck_assert_uint_eq(f[47], i < 2 ? 0x10 : 0x19);
        ck_assert_mem_eq(f + 54, frame + 54 + at, n);
        at += (unsigned)n;
    }
}
END_TEST

START_TEST(sums_are_put_where_the_context_says)
{
    u8 frame[200];
    size_t len = make_tcp(frame, 100, 0x10);
    u32 pseudo;

    start(0);
    frame[17] = (u8)(len - 14);
    pseudo = net_sum_fold(net_sum(frame + 26, 8, 6 + 120));
    frame[50] = (u8)(pseudo >> 8);
    frame[51] = (u8)pseudo;
    dma_write(&b.phys, TX_DATA, frame, len);
    dma_write64(&b.phys, TX_RING, (u64)34 << 32 | (u64)50 << 40 | 14 | 24 << 8 | 33 << 16);
    dma_write32(&b.phys, TX_RING + 8, 0x20000000u | 3u << 24);
    dma_write32(&b.phys, TX_RING + 12, 0);
    put_tx(1, TX_DATA, 0x29100000u | (u32)len, 0x300);
    mmio_write(&b, TDT, 2);
    ck_assert_uint_eq(w.count, 1);
    check_tcp(w.sent[0].data, w.sent[0].len);
}
END_TEST

START_TEST(frame_comes_in_with_an_interrupt)
{
    u8 frame[100], got[100];

    start(0);
    mmio_write(&b, IMS, E1000_ICR_RXT0);
    make_frame(frame, sizeof frame, 0x56);
    net_input(&w.net, frame, sizeof frame);
    ck_assert(s->pci.intx);
    ck_assert_uint_eq(mmio_read(&b, ICR), E1000_ICR_RXT0);
    ck_assert(!s->pci.intx);
    dma_read(&b.phys, RX_BUFFERS, got, sizeof got);
    ck_assert_mem_eq(got, frame, sizeof frame);
    ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 8), 104); /* with its check sum */
    ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 12), 7);  /* DD, EOP, no sums */
    ck_assert_uint_eq(mmio_read(&b, RDH), 1);
    ck_assert_uint_eq(mmio_read(&b, GPRC), 1);
    ck_assert_uint_eq(mmio_read(&b, GPRC), 0); /* read clears */
}
END_TEST

START_TEST(sums_of_what_comes_in_are_judged)
{
    u8 frame[200];
    size_t len = make_tcp(frame, 100, 0x10);

    start(1u << 26);
    memcpy(frame, s->mac, 6);
    ck_assert(net_finish_large(frame, len));
    net_input(&w.net, frame, len);
    ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 12), 0x63);
    frame[60] ^= 1;
    net_input(&w.net, frame, len);
    ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 16 + 12), 0x2063); /* TCPE */
    frame[22] ^= 1;
    net_input(&w.net, frame, len);
    ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 32 + 12), 0x6063); /* and IPE */
}
END_TEST

START_TEST(only_wanted_frames_come_in)
{
    u8 frame[100];

    start(0);
    make_frame(frame, sizeof frame, 0x57);
    net_input(&w.net, frame, sizeof frame); /* to another station */
    ck_assert_uint_eq(mmio_read(&b, RDH), 0);
    mmio_write(&b, RCTL, 2 | 1u << 3);
    net_input(&w.net, frame, sizeof frame); /* promiscuous */
    ck_assert_uint_eq(mmio_read(&b, RDH), 1);
    mmio_write(&b, RCTL, 2);
    make_frame(frame, sizeof frame, 0xff);
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(mmio_read(&b, RDH), 1);
    mmio_write(&b, RCTL, 2 | 1u << 15);
    net_input(&w.net, frame, sizeof frame); /* broadcast */
    ck_assert_uint_eq(mmio_read(&b, RDH), 2);
    memcpy(frame, (const u8[6]){0x33, 0x33, 0, 0, 0xa5, 0xc7}, 6);
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(mmio_read(&b, RDH), 2);
    mmio_write(&b, MTA + 4 * (0xc7a >> 5), 1u << (0xc7a & 31)); /* bits 47 to 36 */
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(mmio_read(&b, RDH), 3);
}
END_TEST

START_TEST(frames_wait_in_order_for_descriptors)
{
    u8 frame[100];

    start(0);
    for (unsigned i = 0; i < 9; i++) {
        make_frame(frame, sizeof frame, 0x56);
        frame[50] = (u8)(100 + i);
        net_input(&w.net, frame, sizeof frame);
    }
    ck_assert_uint_eq(mmio_read(&b, RDH), 7);
    mmio_write(&b, RDT, 1);
    ck_assert_uint_eq(mmio_read(&b, RDH), 1);
    for (unsigned i = 0; i < 9; i++) {
        u8 got;

        if (i == 0)
            continue; /* its buffer was used again */
        dma_read(&b.phys, RX_BUFFERS + 2048 * (i % RING) + 50, &got, 1);
        ck_assert_uint_eq(got, 100 + i);
    }
}
END_TEST

START_TEST(long_frame_takes_several_buffers)
{
    u8 frame[1500], got[1500];

    start(3u << 16 | 1u << 26); /* buffers of 256 bytes */
    make_frame(frame, sizeof frame, 0x56);
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(mmio_read(&b, RDH), 6);
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 16 * i + 8), i < 5 ? 256 : 220);
        ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 16 * i + 12) & 3, i < 5 ? 1 : 3);
        dma_read(&b.phys, RX_BUFFERS + 2048 * i, got + 256 * i, i < 5 ? 256 : 220);
    }
    ck_assert_mem_eq(got, frame, sizeof frame);
}
END_TEST

START_TEST(itr_keeps_interrupts_apart)
{
    u8 frame[100];

    start(0);
    mmio_write(&b, ITR, 1000); /* 256 us */
    mmio_write(&b, IMS, E1000_ICR_RXT0);
    make_frame(frame, sizeof frame, 0x56);
    net_input(&w.net, frame, sizeof frame);
    ck_assert(s->pci.intx);
    mmio_read(&b, ICR);
    net_input(&w.net, frame, sizeof frame);
    ck_assert(!s->pci.intx);
    board_run(&b, 255999);
    ck_assert(!s->pci.intx);
    board_run(&b, 1);
    ck_assert(s->pci.intx);
}
END_TEST

START_TEST(rdtr_delays_and_fpd_ends_the_delay)
{
    u8 frame[100];

    start(0);
    mmio_write(&b, RDTR, 10);
    make_frame(frame, sizeof frame, 0x56);
    net_input(&w.net, frame, sizeof frame);
    ck_assert_uint_eq(mmio_read(&b, ICR), 0);
    board_run(&b, 10240);
    ck_assert_uint_eq(mmio_read(&b, ICR), E1000_ICR_RXT0);
    net_input(&w.net, frame, sizeof frame);
    mmio_write(&b, RDTR, 10 | 1u << 31);
    ck_assert_uint_eq(mmio_read(&b, ICR), E1000_ICR_RXT0);
}
END_TEST

START_TEST(vlan_tags_are_inserted_and_stripped)
{
    u8 frame[100], got[100];

    start(1u << 26);
    mmio_write(&b, CTRL, 1u << 6 | E1000_CTRL_VME);
    make_frame(frame, sizeof frame, 0x56);
    dma_write(&b.phys, TX_DATA, frame, sizeof frame);
    put_tx(0, TX_DATA, LEGACY_EOP_RS | 1u << 30 | sizeof frame, 0x00050000);
    mmio_write(&b, TDT, 1);
    ck_assert_uint_eq(w.sent[0].len, sizeof frame + 4);
    ck_assert_mem_eq(w.sent[0].data + 12, ((const u8[]){0x81, 0, 0, 5, 8, 6}), 6);
    net_input(&w.net, w.sent[0].data, w.sent[0].len);
    dma_read(&b.phys, RX_BUFFERS, got, sizeof got);
    ck_assert_mem_eq(got, frame, sizeof frame);
    ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 8), sizeof frame);
    ck_assert(dma_read16(&b.phys, RX_RING + 12) & 8);
    ck_assert_uint_eq(dma_read16(&b.phys, RX_RING + 14), 5);
    mmio_write(&b, RCTL, 2 | 1u << 18); /* VFE: the VLAN is not in the table */
    net_input(&w.net, w.sent[0].data, w.sent[0].len);
    ck_assert_uint_eq(mmio_read(&b, RDH), 1);
}
END_TEST

START_TEST(reset_brings_the_address_back)
{
    start(0);
    mmio_write(&b, RAL, 0);
    mmio_write(&b, IMS, ~0u);
    mmio_write(&b, CTRL, 1u << 26);
    ck_assert_uint_eq(mmio_read(&b, RAL), 0x12005452);
    ck_assert_uint_eq(mmio_read(&b, RAH), 0x80005634);
    ck_assert_uint_eq(mmio_read(&b, IMS), 0);
    ck_assert_uint_eq(mmio_read(&b, RCTL), 0);
}
END_TEST

START_TEST(registers_are_reached_through_ports)
{
    u16 ports = (u16)s->pci.bar[1].base;

    iobus_write(b.env.io, ports, RAL, 4);
    ck_assert_uint_eq(iobus_read(b.env.io, (u16)(ports + 4), 4), 0x12005452);
    iobus_write(b.env.io, ports, ITR, 4);
    iobus_write(b.env.io, (u16)(ports + 4), 77, 4);
    ck_assert_uint_eq(mmio_read(&b, ITR), 77);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {words_of_the_eeprom_add_up,
                                  eeprom_shifts_out_a_word_after_a_dummy_bit,
                                  phy_has_its_id_and_the_link_of_the_wire,
                                  frame_goes_out_and_is_reported,
                                  large_frame_goes_out_in_segments,
                                  sums_are_put_where_the_context_says,
                                  frame_comes_in_with_an_interrupt,
                                  sums_of_what_comes_in_are_judged,
                                  only_wanted_frames_come_in,
                                  frames_wait_in_order_for_descriptors,
                                  long_frame_takes_several_buffers,
                                  itr_keeps_interrupts_apart,
                                  rdtr_delays_and_fpd_ends_the_delay,
                                  vlan_tags_are_inserted_and_stripped,
                                  reset_brings_the_address_back,
                                  registers_are_reached_through_ports,
                                  NULL};

    return run_tests("e1000", tests, setup, teardown);
}
