/* test_lapic.c: the local APIC through its page and its MSRs, and the APIC bus. */
#include "base/stats.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "tests/unit/waits.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PAGE LAPIC_DEFAULT_BASE

static struct phys phys;
static struct clock virtual_time;
static struct stats stats;
static struct dev_env env;
static struct apic_bus bus;
static struct lapic *l, *other;

static unsigned nmis, inits, sipis;
static u8 sipi_vector;
static int pic_vector;

static void on_nmi(void *opaque)
{
    (void)opaque, nmis++;
}
static void on_init(void *opaque)
{
    (void)opaque, inits++;
}

static void on_sipi(void *opaque, u8 vector)
{
    (void)opaque;
    sipis++;
    sipi_vector = vector;
}

static int on_extint(void *opaque)
{
    lapic_set_lint(opaque, 0, false);
    return pic_vector;
}

static struct lapic *make(const char *props)
{
    struct err e = {0};
    struct dev *d = dev_create(&lapic_class, &env, props, &e);
    struct lapic *made;

    ck_assert_msg(d != NULL, "%s", e.msg);
    made = container_of(d, struct lapic, dev);
    made->out = (struct lapic_out){made, on_nmi, on_init, on_sipi, on_extint};
    apic_bus_add_cpu(&bus, made);
    return made;
}

static void setup(void)
{
    struct err e = {0};

    memset(&phys, 0, sizeof phys);
    memset(&stats, 0, sizeof stats);
    ck_assert(phys_init(&phys, MIB, &e));
    clock_init(&virtual_time, CLOCK_ICOUNT);
    env = (struct dev_env){.phys = &phys, .clock = &virtual_time, .stats = &stats};
    apic_bus_init(&bus);
    nmis = inits = sipis = 0;
    pic_vector = -1;
    l = make("id=0");
    other = make("id=1");
}

static void teardown(void)
{
    dev_destroy(&l->dev);
    dev_destroy(&other->dev);
    phys_destroy(&phys);
}

static u32 rd(unsigned off)
{
    return (u32)phys_read(&phys, PAGE + off, 4);
}
static void wr(unsigned off, u32 v)
{
    phys_write(&phys, PAGE + off, v, 4);
}
static void enable(void)
{
    wr(0xf0, 0x1ff);
}

static void advance(u64 ns)
{
    clock_advance_to(&virtual_time, clock_now_ns(&virtual_time) + ns);
    clock_run_timers(&virtual_time);
}

static void fixed(u8 vector)
{
    ck_assert(lapic_accept(l, APIC_FIXED, vector, false));
}

START_TEST(reset_leaves_it_software_disabled_with_every_lvt_masked)
{
    ck_assert_uint_eq(rd(0xf0), 0xff);
    ck_assert_uint_eq(rd(0x30) & 0xff, 0x14);
    ck_assert_uint_eq(rd(0x30) >> 16 & 0xff, 5);
    for (unsigned off = 0x320; off <= 0x370; off += 0x10)
        ck_assert_uint_eq(rd(off), 0x10000);
    wr(0x320, 0x31);
    ck_assert_uint_eq(rd(0x320), 0x10031);
    ck_assert(!lapic_accept(l, APIC_FIXED, 0x40, false));
    ck_assert_uint_eq(rd(0xe0), 0xffffffff);
}
END_TEST

START_TEST(the_highest_vector_above_the_processor_priority_is_delivered_first)
{
    enable();
    fixed(0x41);
    fixed(0x62);
    ck_assert(lapic_has_intr(l));
    ck_assert_int_eq(lapic_ack(l), 0x62);
    ck_assert_uint_eq(rd(0xa0), 0x60);
    ck_assert(!lapic_has_intr(l));
    ck_assert_int_eq(lapic_ack(l), -1);
    ck_assert_uint_eq(rd(0x130), 1u << 2); /* ISR of 0x62 */
    ck_assert_uint_eq(rd(0x220), 1u << 1); /* IRR of 0x41 */
    wr(0xb0, 0);
    ck_assert_int_eq(lapic_ack(l), 0x41);
    wr(0xb0, 0);
    ck_assert_uint_eq(rd(0xa0), 0);
}
END_TEST

START_TEST(tpr_holds_back_its_class_and_cr8_is_its_upper_half)
{
    enable();
    wr(0x80, 0x45);
    ck_assert_uint_eq(lapic_cr8_read(l), 4);
    ck_assert_uint_eq(rd(0xa0), 0x45);
    fixed(0x4f);
    ck_assert(!lapic_has_intr(l));
    ck_assert(!l->intr.level);
    lapic_cr8_write(l, 3);
    ck_assert(l->intr.level);
    ck_assert_uint_eq(rd(0x80), 0x30);
}
END_TEST

START_TEST(an_illegal_vector_sets_esr_at_the_next_write_and_raises_the_error_lvt)
{
    enable();
    wr(0x370, 0x55);
    wr(0x300, 0x40005); /* self, fixed, vector 5 */
    ck_assert_uint_eq(rd(0x280), 0);
    ck_assert_int_eq(lapic_ack(l), 0x55);
    wr(0xb0, 0);
    wr(0x280, 0);
    ck_assert_uint_eq(rd(0x280), 1u << 5);
    rd(0x3f0);
    wr(0x280, 0);
    ck_assert_uint_eq(rd(0x280), 1u << 7);
    wr(0x280, 0);
    ck_assert_uint_eq(rd(0x280), 0);
}
END_TEST

START_TEST(an_error_lvt_with_an_illegal_vector_does_not_recurse)
{
    enable();
    wr(0x370, 0x00);
    wr(0x300, 0x40005);
    wr(0x280, 0);
    ck_assert_uint_eq(rd(0x280), 1u << 5 | 1u << 6);
}
END_TEST

START_TEST(shorthands_reach_self_all_and_others)
{
    enable();
    other->svr = 0x1ff;
    wr(0x300, 0x40050);
    ck_assert(l->irr[2] & 1u << 16);
    ck_assert(!other->irr[2]);
    wr(0x300, 0xc0051);
    ck_assert(!(l->irr[2] & 1u << 17));
    ck_assert(other->irr[2] & 1u << 17);
    wr(0x300, 0x80052);
    ck_assert(l->irr[2] & 1u << 18);
    ck_assert(other->irr[2] & 1u << 18);
}
END_TEST

START_TEST(physical_flat_and_cluster_destinations_select_the_right_apic)
{
    enable();
    other->svr = 0x1ff;
    wr(0x310, 1u << 24);
    wr(0x300, 0x60);
    ck_assert(!(l->irr[3] & 1));
    ck_assert(other->irr[3] & 1);

    wr(0xd0, 0x01u << 24);
    other->ldr = 0x02;
    wr(0x310, 0x03u << 24);
    wr(0x300, 0x800 | 0x61);
    ck_assert(l->irr[3] & 2);
    ck_assert(other->irr[3] & 2);

    wr(0xe0, 0x0fffffff);
    other->dfr_model = 0;
    wr(0xd0, 0x11u << 24);
    other->ldr = 0x21;
    wr(0x310, 0x21u << 24);
    wr(0x300, 0x800 | 0x62);
    ck_assert(!(l->irr[3] & 4));
    ck_assert(other->irr[3] & 4);
}
END_TEST

START_TEST(lowest_priority_chooses_one_and_the_less_busy)
{
    struct apic_msg msg = {.dest = 0xff, .mode = APIC_LOWEST, .vector = 0x70};

    enable();
    other->svr = 0x1ff;
    wr(0x80, 0x50);
    ck_assert_uint_eq(apic_bus_send(&bus, NULL, &msg), 1);
    ck_assert_uint_eq(l->irr[3], 0);
    ck_assert_uint_eq(other->irr[3], 1u << 16);
}
END_TEST

START_TEST(init_and_startup_reach_the_processor_and_init_resets_the_registers)
{
    other->svr = 0x1ff;
    wr(0x310, 1u << 24);
    wr(0x300, 0x4500);
    ck_assert_uint_eq(inits, 1);
    ck_assert_uint_eq(other->svr, 0xff);
    wr(0x300, 0x8500); /* level de-assert: nothing */
    ck_assert_uint_eq(inits, 1);
    wr(0x300, 0x4608);
    ck_assert_uint_eq(sipis, 1);
    ck_assert_uint_eq(sipi_vector, 8);
    wr(0x300, 0x4400);
    ck_assert_uint_eq(nmis, 1);
}
END_TEST

START_TEST(the_pic_reaches_the_cpu_in_virtual_wire_mode_whatever_tpr_says)
{
    lapic_set_lint(l, 0, true);
    ck_assert(!l->intr.level);
    lapic_set_lint(l, 0, false);
    lapic_set_virtual_wire(l);
    wr(0x80, 0xff);
    pic_vector = 0x30;
    lapic_set_lint(l, 0, true);
    ck_assert(l->intr.level);
    ck_assert_int_eq(lapic_ack(l), 0x30);
    ck_assert(!l->intr.level);
    ck_assert_uint_eq(l->isr[1], 0);
    lapic_set_lint(l, 1, true);
    ck_assert_uint_eq(nmis, 1);
}
END_TEST

START_TEST(a_disabled_apic_is_transparent_to_the_pic)
{
    ck_assert(lapic_msr_write(l, MSR_IA32_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_BSP));
    ck_assert_uint_eq(rd(0x30), 0xffffffff);
    pic_vector = 0x21;
    lapic_set_lint(l, 0, true);
    ck_assert_int_eq(lapic_ack(l), 0x21);
    lapic_set_lint(l, 1, true);
    ck_assert_uint_eq(nmis, 1);
}
END_TEST

START_TEST(a_level_triggered_lint_has_remote_irr_until_eoi_and_comes_again)
{
    enable();
    wr(0x350, 0x8044);
    lapic_set_lint(l, 0, true);
    ck_assert_uint_eq(rd(0x350), 0xc044);
    ck_assert_int_eq(lapic_ack(l), 0x44);
    ck_assert(!lapic_has_intr(l));
    wr(0xb0, 0);
    ck_assert_int_eq(lapic_ack(l), 0x44);
    lapic_set_lint(l, 0, false);
    wr(0xb0, 0);
    ck_assert_uint_eq(rd(0x350), 0x8044);
    ck_assert(!lapic_has_intr(l));
}
END_TEST

START_TEST(a_one_shot_count_runs_down_and_interrupts_once)
{
    enable();
    wr(0x320, 0x40);
    wr(0x3e0, 0x3); /* divide by 16 */
    wr(0x380, 1000);
    advance(160);
    ck_assert_uint_eq(rd(0x390), 990);
    ck_assert(!lapic_has_intr(l));
    advance(15839);
    ck_assert(!lapic_has_intr(l));
    advance(1);
    ck_assert_int_eq(lapic_ack(l), 0x40);
    wr(0xb0, 0);
    ck_assert_uint_eq(rd(0x390), 0);
    advance(1000000);
    ck_assert(!lapic_has_intr(l));
    ck_assert_uint_eq(rd(0x380), 1000);
}
END_TEST

START_TEST(a_periodic_count_reloads_and_a_masked_one_counts_silently)
{
    enable();
    wr(0x320, 0x20040);
    wr(0x3e0, 0xb); /* divide by 1 */
    wr(0x380, 1000000);
    for (int i = 0; i < 3; i++) {
        advance(1000000);
        ck_assert_int_eq(lapic_ack(l), 0x40);
        wr(0xb0, 0);
    }
    wr(0x320, 0x30040);
    advance(1500000);
    ck_assert(!lapic_has_intr(l));
    ck_assert_uint_eq(rd(0x390), 500000);
    wr(0x320, 0x20040);
    advance(500000);
    ck_assert(lapic_has_intr(l));
}
END_TEST

START_TEST(a_period_of_one_tick_does_not_hold_the_host)
{
    unsigned fired = 0;

    enable();
    wr(0x320, 0x20040);
    wr(0x3e0, 0xb);
    wr(0x380, 1);
    for (int i = 0; i < 100; i++) {
        advance(10000);
        if (lapic_ack(l) == 0x40) {
            fired++;
            wr(0xb0, 0);
        }
        ck_assert(clock_next_deadline_ns(&virtual_time) > clock_now_ns(&virtual_time));
    }
    ck_assert_uint_ge(fired, 99);
}
END_TEST

static u64 tsc_shift;
static u64 read_tsc(void *opaque)
{
    (void)opaque;
    return clock_now_ns(&virtual_time) * 3 + tsc_shift;
}

START_TEST(tsc_deadline_fires_at_the_count_and_reads_zero_then)
{
    u64 v;

    tsc_shift = 0;
    l->tsc = (struct lapic_tsc){NULL, read_tsc, 3000000};
    enable();
    ck_assert(lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, 100));
    ck_assert(lapic_msr_read(l, MSR_IA32_TSC_DEADLINE, &v));
    ck_assert_uint_eq(v, 0); /* not in that mode */
    wr(0x320, 0x40041);
    wr(0x380, 5000);
    ck_assert_uint_eq(rd(0x380), 0);
    ck_assert(lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, 30001));
    advance(10000);
    ck_assert(!lapic_has_intr(l));
    advance(1);
    ck_assert_int_eq(lapic_ack(l), 0x41);
    ck_assert(lapic_msr_read(l, MSR_IA32_TSC_DEADLINE, &v));
    ck_assert_uint_eq(v, 0);

    wr(0xb0, 0);
    ck_assert(lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, read_tsc(NULL) + 3000000));
    tsc_shift = 2999000;
    lapic_tsc_changed(l);
    advance(1000);
    ck_assert_int_eq(lapic_ack(l), 0x41);

    wr(0xb0, 0);
    ck_assert(lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, 1)); /* in the past: at once */
    advance(0);
    ck_assert_int_eq(lapic_ack(l), 0x41);
    ck_assert(lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, ~0ull));
    wr(0x320, 0x41); /* leaving the mode disarms */
    ck_assert_uint_eq(clock_next_deadline_ns(&virtual_time), CLOCK_NEVER);
}
END_TEST

START_TEST(apic_base_refuses_illegal_transitions_and_reserved_bits)
{
    const u64 base = LAPIC_DEFAULT_BASE;

    ck_assert(!lapic_msr_write(l, MSR_IA32_APIC_BASE, base | APIC_BASE_EXTD));
    ck_assert(!lapic_msr_write(l, MSR_IA32_APIC_BASE, base | APIC_BASE_EN | 1));
    ck_assert(!lapic_msr_write(l, MSR_IA32_APIC_BASE, base | APIC_BASE_EN | BIT64(60)));
    ck_assert(lapic_msr_write(l, MSR_IA32_APIC_BASE, base | APIC_BASE_EN | APIC_BASE_EXTD));
    ck_assert(!lapic_msr_write(l, MSR_IA32_APIC_BASE, base | APIC_BASE_EN));
    ck_assert(lapic_msr_write(l, MSR_IA32_APIC_BASE, base));
    ck_assert(!lapic_msr_write(l, MSR_IA32_APIC_BASE, base | APIC_BASE_EN | APIC_BASE_EXTD));
    ck_assert(lapic_msr_write(l, MSR_IA32_APIC_BASE, base | APIC_BASE_EN));
}
END_TEST

START_TEST(the_page_moves_with_apic_base)
{
    ck_assert(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfed90000ull | APIC_BASE_EN));
    ck_assert_uint_eq(rd(0x30), 0xffffffff);
    ck_assert_uint_eq(phys_read(&phys, 0xfed90030, 4) & 0xff, 0x14);
}
END_TEST

START_TEST(x2apic_registers_are_msrs_with_faults_where_the_manual_says)
{
    u64 v, on = LAPIC_DEFAULT_BASE | APIC_BASE_EN | APIC_BASE_EXTD;

    enable();
    ck_assert(!lapic_msr_read(l, 0x802, &v));
    ck_assert(lapic_msr_write(l, MSR_IA32_APIC_BASE, on));
    ck_assert(lapic_msr_write(other, MSR_IA32_APIC_BASE, on));
    other->svr = 0x1ff;
    ck_assert_uint_eq(rd(0x30), 0xffffffff);
    ck_assert(lapic_msr_read(other, 0x802, &v));
    ck_assert_uint_eq(v, 1);
    ck_assert(lapic_msr_read(other, 0x80d, &v));
    ck_assert_uint_eq(v, 2);
    ck_assert(!lapic_msr_read(l, 0x80e, &v)); /* DFR is gone */
    ck_assert(!lapic_msr_read(l, 0x80b, &v)); /* EOI is write-only */
    ck_assert(!lapic_msr_read(l, 0x831, &v));
    ck_assert(!lapic_msr_write(l, 0x80b, 1));
    ck_assert(!lapic_msr_write(l, 0x828, 1));
    ck_assert(!lapic_msr_write(l, 0x802, 0));
    ck_assert(!lapic_msr_write(l, 0x808, 0x100));
    ck_assert(!lapic_msr_write(l, 0x832, 1ull << 32));
    ck_assert(lapic_msr_write(l, 0x830, 1ull << 32 | 0x60));
    ck_assert_uint_eq(other->irr[3], 1);
    ck_assert(lapic_msr_write(l, 0x830, 2ull << 32 | 0x861)); /* logical: cluster 0, bit 1 */
    ck_assert_uint_eq(other->irr[3], 3);
    ck_assert_uint_eq(l->irr[3], 0);
    ck_assert(lapic_msr_write(l, 0x83f, 0x62));
    ck_assert_int_eq(lapic_ack(l), 0x62);
    ck_assert(lapic_msr_write(l, 0x80b, 0));
    ck_assert(!lapic_msr_read(l, 0x83f, &v));
    ck_assert(lapic_msr_read(l, 0x830, &v));
    ck_assert_uint_eq(v, 2ull << 32 | 0x861);
}
END_TEST

START_TEST(a_model_without_x2apic_and_tsc_deadline_faults)
{
    struct lapic *old = make("id=2,x2apic=off,tsc-deadline=off");
    u64 v;

    ck_assert(!lapic_msr_write(old, MSR_IA32_APIC_BASE,
                               LAPIC_DEFAULT_BASE | APIC_BASE_EN | APIC_BASE_EXTD));
    ck_assert(!lapic_msr_read(old, MSR_IA32_TSC_DEADLINE, &v));
    ck_assert(!lapic_msr_write(old, MSR_IA32_TSC_DEADLINE, 0));
    bus.cpus--;
    dev_destroy(&old->dev);
}
END_TEST

START_TEST(writes_that_are_not_aligned_doublewords_are_ignored)
{
    enable();
    phys_write(&phys, PAGE + 0x80, 0x77, 1);
    phys_write(&phys, PAGE + 0x84, 0x77, 4);
    ck_assert_uint_eq(rd(0x80), 0);
    wr(0x80, 0x20);
    ck_assert_uint_eq(phys_read(&phys, PAGE + 0x80, 1), 0x20);
    ck_assert_uint_eq(phys_read(&phys, PAGE + 0xf1, 1), 1);
}
END_TEST

START_TEST(accesses_are_counted_by_class)
{
    enable();
    memset(&stats, 0, sizeof stats);
    rd(0x20);
    wr(0xb0, 0);
    wr(0x300, 0x40040);
    wr(0x80, 0);
    wr(0x380, 100);
    wr(0xd0, 0);
    ck_assert_uint_eq(stat_total(&stats, STAT_APIC_READ), 1);
    ck_assert_uint_eq(stat_total(&stats, STAT_APIC_EOI), 1);
    ck_assert_uint_eq(stat_total(&stats, STAT_APIC_ICR), 1);
    ck_assert_uint_eq(stat_total(&stats, STAT_APIC_TPR), 1);
    ck_assert_uint_eq(stat_total(&stats, STAT_APIC_TIMER), 1);
    ck_assert_uint_eq(stat_total(&stats, STAT_APIC_WRITE), 1);
}
END_TEST

/* A personality's word in memory: 1 offered, 0 taken. */
static struct {
    int word;
    bool armed;
    unsigned offers;
} pv;

static void pv_injected(void *opaque, u8 vector, bool edge, bool more)
{
    (void)opaque, (void)vector;
    if (!edge || more)
        return;
    pv.word = 1;
    pv.armed = true;
    pv.offers++;
}

static bool pv_taken(void *opaque)
{
    bool taken = pv.armed && !pv.word;

    (void)opaque;
    pv.armed = false;
    pv.word = 0;
    return taken;
}

START_TEST(an_eoi_in_memory_is_performed_before_the_next_interrupt_is_ranked)
{
    memset(&pv, 0, sizeof pv);
    l->pv = (struct lapic_pv){.injected = pv_injected, .eoi_taken = pv_taken};
    enable();
    fixed(0x50);
    ck_assert_int_eq(lapic_ack(l), 0x50);
    ck_assert_int_eq(pv.word, 1);
    pv.word = 0;
    fixed(0x40);
    ck_assert_int_eq(lapic_ack(l), 0x40);
    ck_assert_uint_eq(stat_total(&stats, STAT_PV_EOI), 1);
    /* A second arrival while the first is in service withdraws the offer. */
    ck_assert_int_eq(pv.word, 1);
    fixed(0x41);
    ck_assert_int_eq(pv.word, 0);
    ck_assert(!lapic_has_intr(l));
    wr(0xb0, 0);
    ck_assert_int_eq(lapic_ack(l), 0x41);
    ck_assert_uint_eq(stat_total(&stats, STAT_PV_EOI), 1);
}
END_TEST

START_TEST(no_eoi_in_memory_for_level_interrupts_or_when_others_wait)
{
    memset(&pv, 0, sizeof pv);
    l->pv = (struct lapic_pv){.injected = pv_injected, .eoi_taken = pv_taken};
    enable();
    ck_assert(lapic_accept(l, APIC_FIXED, 0x50, true));
    ck_assert_int_eq(lapic_ack(l), 0x50);
    wr(0xb0, 0);
    fixed(0x51);
    fixed(0x41);
    ck_assert_int_eq(lapic_ack(l), 0x51);
    ck_assert_uint_eq(pv.offers, 0);
}
END_TEST

static bool pv_auto(void *opaque, u8 vector)
{
    (void)opaque;
    return vector == 0x50;
}

static void pv_ended(void *opaque, u8 vector)
{
    (void)opaque;
    pv.word = vector;
}

START_TEST(a_vector_that_ends_by_itself_holds_nothing_back)
{
    memset(&pv, 0, sizeof pv);
    l->pv = (struct lapic_pv){.auto_eoi = pv_auto, .injected = pv_injected, .ended = pv_ended};
    enable();
    fixed(0x50);
    ck_assert_int_eq(lapic_ack(l), 0x50);
    ck_assert_uint_eq(pv.offers, 0);
    fixed(0x40);
    ck_assert_int_eq(lapic_ack(l), 0x40);
    ck_assert_uint_eq(pv.offers, 1);
    lapic_write_eoi(l);
    ck_assert_int_eq(pv.word, 0x40);
    ck_assert_uint_eq(stat_total(&stats, STAT_APIC_EOI), 1);
}
END_TEST

START_TEST(state_survives_save_and_load_with_the_timer_running)
{
    static u8 buf[8192], again[8192];
    struct err e = {0};
    size_t n;

    enable();
    wr(0x320, 0x40);
    wr(0x3e0, 0xb);
    wr(0x380, 5000);
    fixed(0x90);
    n = dev_save(&l->dev, buf, sizeof buf);
    ck_assert_uint_gt(n, 0);
    wr(0x380, 0);
    ck_assert_int_eq(lapic_ack(l), 0x90);
    ck_assert_msg(dev_load(&l->dev, buf, n, &e), "%s", e.msg);
    ck_assert_uint_eq(dev_save(&l->dev, again, sizeof again), n);
    ck_assert_int_eq(memcmp(buf, again, n), 0);
    ck_assert_int_eq(lapic_ack(l), 0x90);
    wr(0xb0, 0);
    advance(5000);
    ck_assert_int_eq(lapic_ack(l), 0x40);
}
END_TEST

START_TEST(an_msi_reaches_the_apic_that_its_address_names)
{
    enable();
    other->svr = 0x1ff;
    ck_assert_uint_eq(apic_bus_msi(&bus, 0xfee01000, 0x4071), 1);
    ck_assert_uint_eq(other->irr[3], 1u << 17);
    ck_assert_uint_eq(apic_bus_msi(&bus, 0xfee09000, 0x4071), 0);
    /* a logical destination, without the redirection hint */
    other->ldr = 0x08;
    ck_assert_uint_eq(apic_bus_msi(&bus, 0xfee08004, 0x4092), 1);
    ck_assert_uint_eq(other->irr[4], 1u << 18);
}
END_TEST

static bool bus_deliver(void *opaque, const struct apic_msg *msg)
{
    return apic_bus_send(opaque, NULL, msg) > 0;
}

START_TEST(eoi_of_a_level_interrupt_is_broadcast_unless_svr_suppresses_it)
{
    struct err e = {0};
    struct dev *d = dev_create(&ioapic_class, &env, NULL, &e);
    struct ioapic *io = container_of(d, struct ioapic, dev);

    io->deliver = bus_deliver;
    io->opaque = &bus;
    apic_bus_add_ioapic(&bus, io);
    enable();
    io->redirection[5] = 0x8055;
    ioapic_set_pin(io, 5, true);
    ck_assert_int_eq(lapic_ack(l), 0x55);
    ck_assert(io->redirection[5] & BIT64(14));
    wr(0xb0, 0);
    ck_assert_int_eq(lapic_ack(l), 0x55); /* still asserted: comes again */
    wr(0xf0, 0x11ff);
    wr(0xb0, 0);
    ck_assert_int_eq(lapic_ack(l), -1);
    ioapic_set_pin(io, 5, false);
    phys_write(&phys, IOAPIC_DEFAULT_BASE + 0x40, 0x55, 4);
    ck_assert(!(io->redirection[5] & BIT64(14)));
    dev_destroy(d);
}
END_TEST

START_TEST(what_holds_an_interrupt_back_is_said)
{
    lapic_set_lint(l, 0, true);
    assert_waits(&l->dev,
                 "LINT0 of local APIC 0 is asserted; the APIC is disabled (bit 8 of SVR 0xff).\n");
    enable();
    assert_waits(&l->dev,
                 "LINT0 of local APIC 0 is asserted and masked (bit 16 of LVT LINT0 0x10000).\n");
    lapic_set_lint(l, 0, false);
    assert_waits(&l->dev, "");
    fixed(0x41);
    assert_waits(&l->dev, "Vector 0x41 is requested at local APIC 0.\n");
    wr(0x80, 0x45);
    assert_waits(&l->dev,
                 "Vector 0x41 is requested at local APIC 0, and held back by TPR 0x45: only "
                 "vectors from 0x50 pass.\n");
    fixed(0x62);
    ck_assert_int_eq(lapic_ack(l), 0x62);
    assert_waits(&l->dev,
                 "Vector 0x41 is requested at local APIC 0, and waits for the end of vector 0x62: "
                 "no EOI came.\n");
    wr(0xb0, 0);
    wr(0x80, 0);
    ck_assert_int_eq(lapic_ack(l), 0x41);
    wr(0x380, 1000);
    assert_waits(&l->dev,
                 "The timer of local APIC 0 runs, and its interrupt is masked (bit 16 of LVT "
                 "timer 0x10000).\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lapic");
    TCase *c = tcase_create("lapic");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, reset_leaves_it_software_disabled_with_every_lvt_masked);
    tcase_add_test(c, the_highest_vector_above_the_processor_priority_is_delivered_first);
    tcase_add_test(c, tpr_holds_back_its_class_and_cr8_is_its_upper_half);
    tcase_add_test(c, an_illegal_vector_sets_esr_at_the_next_write_and_raises_the_error_lvt);
    tcase_add_test(c, an_error_lvt_with_an_illegal_vector_does_not_recurse);
    tcase_add_test(c, shorthands_reach_self_all_and_others);
    tcase_add_test(c, physical_flat_and_cluster_destinations_select_the_right_apic);
    tcase_add_test(c, lowest_priority_chooses_one_and_the_less_busy);
    tcase_add_test(c, init_and_startup_reach_the_processor_and_init_resets_the_registers);
    tcase_add_test(c, the_pic_reaches_the_cpu_in_virtual_wire_mode_whatever_tpr_says);
    tcase_add_test(c, a_disabled_apic_is_transparent_to_the_pic);
    tcase_add_test(c, a_level_triggered_lint_has_remote_irr_until_eoi_and_comes_again);
    tcase_add_test(c, a_one_shot_count_runs_down_and_interrupts_once);
    tcase_add_test(c, a_periodic_count_reloads_and_a_masked_one_counts_silently);
    tcase_add_test(c, a_period_of_one_tick_does_not_hold_the_host);
    tcase_add_test(c, tsc_deadline_fires_at_the_count_and_reads_zero_then);
    tcase_add_test(c, apic_base_refuses_illegal_transitions_and_reserved_bits);
    tcase_add_test(c, the_page_moves_with_apic_base);
    tcase_add_test(c, x2apic_registers_are_msrs_with_faults_where_the_manual_says);
    tcase_add_test(c, a_model_without_x2apic_and_tsc_deadline_faults);
    tcase_add_test(c, writes_that_are_not_aligned_doublewords_are_ignored);
    tcase_add_test(c, accesses_are_counted_by_class);
    tcase_add_test(c, an_eoi_in_memory_is_performed_before_the_next_interrupt_is_ranked);
    tcase_add_test(c, a_vector_that_ends_by_itself_holds_nothing_back);
    tcase_add_test(c, no_eoi_in_memory_for_level_interrupts_or_when_others_wait);
    tcase_add_test(c, state_survives_save_and_load_with_the_timer_running);
    tcase_add_test(c, an_msi_reaches_the_apic_that_its_address_names);
    tcase_add_test(c, eoi_of_a_level_interrupt_is_broadcast_unless_svr_suppresses_it);
    tcase_add_test(c, what_holds_an_interrupt_back_is_said);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
