/*
 * apic_chips.c: the interrupt paths of the board: 8259A pair, I/O APIC edge and level with remote
 * IRR, PIT, RTC, HPET.
 *
 * Intel 8259A and 82093AA data sheets; 8254; MC146818; IA-PC HPET 1.0a; SDM vol. 3A 10.8.
 */
#include "long.h"

#define APIC 0xfee00000ull
#define IOAPIC 0xfec00000ull
#define HPET 0xfed00000ull
#define MASKED BIT(16)

static void wr(u32 reg, u32 v)
{
    *(volatile u32 *)(APIC + reg) = v;
}
static u32 rd(u32 reg)
{
    return *(volatile u32 *)(APIC + reg);
}
static u32 io_read(u32 reg)
{
    *(volatile u32 *)IOAPIC = reg;
    return *(volatile u32 *)(IOAPIC + 0x10);
}
static void io_write(u32 reg, u32 v)
{
    *(volatile u32 *)IOAPIC = reg;
    *(volatile u32 *)(IOAPIC + 0x10) = v;
}
static void io_route(unsigned pin, u32 low)
{
    io_write(0x10 + 2 * pin + 1, rd(0x20));
    io_write(0x10 + 2 * pin, low);
}
static u64 hpet_read(u32 reg)
{
    return *(volatile u64 *)(HPET + reg);
}
static void hpet_write(u32 reg, u64 v)
{
    *(volatile u64 *)(HPET + reg) = v;
}

static volatile unsigned count;
static volatile u64 last;

static void take(void)
{
    sti();
    __asm__ volatile("nop; nop");
    cli();
}

static bool wait_for(unsigned n)
{
    for (u64 i = 0; i < 1000000000 && count < n; i++)
        take();
    return count >= n;
}

/* ---- 8259A
 * -------------------------------------------------------------------------------------------- */

static void on_pic(struct regs *r)
{
    last = r->vector;
    count++;
    if (r->vector >= 0x28)
        outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

static void pic_init(u8 icw4)
{
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 4);
    outb(0x21, icw4);
    outb(0xa0, 0x11);
    outb(0xa1, 0x28);
    outb(0xa1, 2);
    outb(0xa1, 1);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    for (unsigned v = 0x20; v < 0x30; v++)
        handlers[v] = on_pic;
}

static void pit_start(unsigned mode, u16 n)
{
    outb(0x43, (u8)(0x30 | mode << 1));
    outb(0x40, (u8)n);
    outb(0x40, (u8)(n >> 8));
}

static u8 pic_irr(void)
{
    outb(0x20, 0x0a);
    return inb(0x20);
}

static u8 pic_isr(void)
{
    outb(0x20, 0x0b);
    return inb(0x20);
}

/* An edge of IRQ 0: the PIT's output goes up when mode 0 ends. */
static void raise_irq0(void)
{
    pit_start(0, 10);
    for (u64 i = 0; i < 100000000 && !(pic_irr() & 1); i++)
        ;
}

static void the_pit_interrupts_through_the_pic(void)
{
    wr(0x350, 0x700); /* LINT0 as ExtINT */
    pic_init(1);
    count = 0;
    outb(0x21, 0xfe);
    pit_start(2, 1193);
    CHECK(wait_for(5));
    CHECK_EQ(last, 0x20);
    outb(0x21, 0xff);
    pit_start(0, 0xffff);
    take();
}

static void the_pic_remembers_what_is_masked(void)
{
    pic_init(1);
    count = 0;
    raise_irq0();
    CHECK_EQ(pic_irr() & 1, 1);
    take();
    CHECK_EQ(count, 0);
    outb(0x21, 0xfe);
    take();
    CHECK_EQ(count, 1);
    CHECK_EQ(pic_isr(), 0);
    outb(0x21, 0xff);
}

static void no_eoi(struct regs *r)
{
    last = r->vector;
    count++;
}

static void without_eoi_nothing_more_comes(void)
{
    pic_init(1);
    handlers[0x20] = no_eoi;
    outb(0x21, 0xfe);
    count = 0;
    raise_irq0();
    CHECK_EQ(count, 0);
    take();
    CHECK_EQ(count, 1);
    CHECK_EQ(pic_isr(), 1);
    raise_irq0();
    take();
    CHECK_EQ(count, 1);
    outb(0x20, 0x60); /* specific EOI of 0 */
    CHECK_EQ(pic_isr(), 0);
    take();
    CHECK_EQ(count, 2);
    outb(0x20, 0x20);
    outb(0x21, 0xff);
}

static void automatic_eoi_needs_none(void)
{
    pic_init(3);
    handlers[0x20] = no_eoi;
    outb(0x21, 0xfe);
    count = 0;
    for (unsigned i = 0; i < 2; i++) {
        raise_irq0();
        take();
        CHECK_EQ(count, i + 1);
        CHECK_EQ(pic_isr(), 0);
    }
    outb(0x21, 0xff);
    pic_init(1);
}

/* ---- RTC
 * ----------------------------------------------------------------------------------------------------
 */

static u8 rtc_read(u8 reg)
{
    outb(0x70, reg);
    return inb(0x71);
}
static void rtc_write(u8 reg, u8 v)
{
    outb(0x70, reg);
    outb(0x71, v);
}

static u8 rtc_cause;
static void on_rtc(struct regs *r)
{
    rtc_cause = rtc_read(0xc); /* reading acknowledges */
    on_pic(r);
}

static void the_rtc_interrupts_periodically_until_c_is_read(void)
{
    pic_init(1);
    handlers[0x28] = on_rtc;
    rtc_write(0xa, 0x26); /* 1024 Hz */
    (void)rtc_read(0xc);
    rtc_write(0xb, 0x42);
    count = 0;
    outb(0x21, 0xfb);
    outb(0xa1, 0xfe);
    CHECK(wait_for(3));
    CHECK_EQ(rtc_cause & 0xc0, 0xc0);
    handlers[0x28] = on_pic; /* does not read C: the line stays up, no edge */
    unsigned then = count;
    wait_for(then + 1);
    then = count;
    outb(0xa1, 0xff);
    rtc_write(0xb, 2);
    (void)rtc_read(0xc);
}

/* ---- I/O APIC
 * --------------------------------------------------------------------------------------------------
 */

static void on_apic(struct regs *r)
{
    last = r->vector;
    count++;
    wr(0xb0, 0);
}

static void the_pit_interrupts_through_the_ioapic(void)
{
    handlers[0x60] = on_apic;
    count = 0;
    io_route(2, 0x60);
    pit_start(2, 1193);
    CHECK(wait_for(5));
    CHECK_EQ(last, 0x60);
    io_route(2, 0x60 | MASKED);
    unsigned then = count;
    pit_start(0, 0xffff);
    for (unsigned i = 0; i < 100; i++)
        take();
    CHECK(count <= then + 1);
}

static void redirection_entries_keep_what_is_writable(void)
{
    CHECK_EQ(io_read(1) >> 16 & 0xff, 23);
    io_write(0x10 + 2 * 5, 0x1ffff);
    CHECK_EQ(io_read(0x10 + 2 * 5), 0x1afff); /* delivery status and remote IRR are read-only */
    io_write(0x10 + 2 * 5 + 1, 0xffffffff);
    CHECK_EQ(io_read(0x10 + 2 * 5 + 1) >> 24, 0xff);
    io_write(0x10 + 2 * 5, MASKED);
}

/* A level that stays up comes again after each EOI, and remote IRR shows in between. */
static volatile u32 entry_in_service;
static void on_level(struct regs *r)
{
    (void)r;
    entry_in_service = io_read(0x10 + 2 * 4);
    if (++count == 3)
        outb(0x3f9, 0); /* the UART lets go */
    wr(0xb0, 0);
}

static void a_level_interrupts_until_it_goes(void)
{
    handlers[0x61] = on_level;
    count = 0;
    io_route(4, 0x61 | BIT(15));
    outb(0x3fc, 8); /* OUT2 */
    outb(0x3f9, 2); /* transmitter empty: the line is up */
    CHECK(wait_for(3));
    for (unsigned i = 0; i < 100; i++)
        take();
    CHECK_EQ(count, 3);
    CHECK_EQ(entry_in_service & BIT(14), BIT(14));
    CHECK_EQ(io_read(0x10 + 2 * 4) & BIT(14), 0);
    io_route(4, MASKED);
}

static void an_edge_interrupts_once(void)
{
    handlers[0x62] = on_apic;
    count = 0;
    io_route(4, 0x62);
    outb(0x3f9, 2);
    CHECK(wait_for(1));
    for (unsigned i = 0; i < 100; i++)
        take();
    CHECK_EQ(count, 1);
    outb(0x3f9, 0);
    io_route(4, MASKED);
}

/* ---- HPET
 * -----------------------------------------------------------------------------------------------------------
 */

static void the_hpet_counts_and_interrupts(void)
{
    u64 caps = hpet_read(0);
    if (!(caps & 0xffff0000)) {
        test_skip("no HPET");
        return;
    }
    CHECK(caps >> 32 >= 100000 && caps >> 32 <= 100000000); /* femtoseconds */
    hpet_write(0x10, 0);
    hpet_write(0xf0, 0x1000);
    CHECK_EQ(hpet_read(0xf0), 0x1000); /* stopped */
    CHECK_EQ(hpet_read(0xf0), 0x1000);
    handlers[0x63] = on_apic;
    io_route(23, 0x63);
    u64 config = hpet_read(0x100);
    if (!(config >> 32 & BIT(23))) {
        test_skip("no route to pin 23");
        return;
    }
    count = 0;
    hpet_write(0xf0, 0);
    hpet_write(0x100, 23ull << 9 | BIT(2)); /* edge, enabled, one-shot */
    hpet_write(0x108, 10000);
    hpet_write(0x10, 1);
    CHECK(wait_for(1));
    CHECK(hpet_read(0xf0) >= 10000);
    hpet_write(0x10, 0);
    for (unsigned i = 0; i < 100; i++)
        take();
    CHECK_EQ(count, 1);
    /* periodic: the accumulator is set with the comparator */
    hpet_write(0xf0, 0);
    hpet_write(0x100, 23ull << 9 | BIT(2) | BIT(3) | BIT(6));
    hpet_write(0x108, 20000);
    hpet_write(0x108, 20000);
    count = 0;
    hpet_write(0x10, 1);
    CHECK(wait_for(3));
    hpet_write(0x10, 0);
    CHECK(hpet_read(0xf0) >= 60000);
    CHECK_EQ(hpet_read(0x108) % 20000, 0);
    hpet_write(0x100, 0);
    io_route(23, MASKED);
}

static void legacy_replacement_takes_irq_0_from_the_pit(void)
{
    if (!(hpet_read(0) & BIT(15))) {
        test_skip("no legacy replacement");
        return;
    }
    io_route(2, 0x60);
    pit_start(0, 0xffff);
    hpet_write(0x100, 0);
    hpet_write(0xf0, 0);
    hpet_write(0x100, BIT(2));
    hpet_write(0x108, 5000);
    count = 0;
    hpet_write(0x10, 3);
    CHECK(wait_for(1));
    CHECK_EQ(last, 0x60);
    hpet_write(0x10, 0);
    hpet_write(0x100, 0);
    io_route(2, MASKED);
}

int main(void)
{
    wr(0xf0, 0x1ff);
    wr(0x80, 0);
    RUN(the_pit_interrupts_through_the_pic);
    RUN(the_pic_remembers_what_is_masked);
    RUN(without_eoi_nothing_more_comes);
    RUN(automatic_eoi_needs_none);
    RUN(the_rtc_interrupts_periodically_until_c_is_read);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    wr(0x350, MASKED);
    RUN(the_pit_interrupts_through_the_ioapic);
    RUN(redirection_entries_keep_what_is_writable);
    RUN(a_level_interrupts_until_it_goes);
    RUN(an_edge_interrupts_once);
    RUN(the_hpet_counts_and_interrupts);
    RUN(legacy_replacement_takes_irq_0_from_the_pit);
    return 0;
}
