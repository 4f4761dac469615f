/* test_pv_hyperv_synic.c: Hyper-V's synthetic interrupt controller and synthetic timers. */
#include "pv/hyperv.h"
#include "tests/pv/pv_fixture.h"

#define SINT 2u
#define SINT_VECTOR 0xf1
#define SLOT (PAGE_GPA + SINT * 256)
#define CONFIG MSR_HV_STIMER0_CONFIG
#define COUNT (MSR_HV_STIMER0_CONFIG + 1)
#define TO_SINT ((u64)SINT << 16)
#define MS 10000ull /* in units of 100 ns */

static void setup(void)
{
    machine_setup("hyperv,+all");
    wrmsr(MSR_HV_SCONTROL, 1);
    wrmsr(MSR_HV_SIMP, PAGE_GPA | 1);
    wrmsr(MSR_HV_SINT0 + SINT, SINT_VECTOR);
}

static u64 now(void)
{
    return rdmsr(MSR_HV_TIME_REF_COUNT);
}

static void advance_units(u64 units)
{
    advance(units * 100);
}

/* The next interrupt of the timer's source, ended, its slot emptied. False: there is none. */
static bool take(void)
{
    if (lapic_ack(lapic) != SINT_VECTOR)
        return false;
    ck_assert_uint_eq(dma_read32(&phys, SLOT), 0x80000010);
    dma_write32(&phys, SLOT, 0);
    lapic_write_eoi(lapic);
    return true;
}

/* ---- registers ------------------------------------------------------------------------------- */

START_TEST(registers_begin_disabled_and_masked)
{
    pv_reset(pv);
    ck_assert_uint_eq(rdmsr(MSR_HV_SVERSION), 1);
    ck_assert_uint_eq(rdmsr(MSR_HV_SCONTROL), 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_SIMP), 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_SIEFP), 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_EOM), 0);
    for (u32 i = 0; i < 16; i++)
        ck_assert_uint_eq(rdmsr(MSR_HV_SINT0 + i), 0x10000);
    for (u32 i = 0; i < 8; i++)
        ck_assert_uint_eq(rdmsr(CONFIG + i), 0);
}
END_TEST

START_TEST(a_source_has_a_legal_vector_or_is_masked)
{
    ck_assert(wrmsr_faults(MSR_HV_SINT0, 0x0f));
    ck_assert(wrmsr_faults(MSR_HV_SINT0 + 15, 0));
    wrmsr(MSR_HV_SINT0, 0x10000);
    wrmsr(MSR_HV_SINT0, 0xffffffffff00ff10);
    ck_assert_uint_eq(rdmsr(MSR_HV_SINT0), 0xffffffffff00ff10); /* reserved bits are preserved */
}
END_TEST

START_TEST(pages_begin_empty_and_keep_reserved_bits)
{
    dma_fill(&phys, PAGE_GPA + 0x1000, 0xff, PAGE_SIZE);
    wrmsr(MSR_HV_SIEFP, (PAGE_GPA + 0x1000) | 0x801);
    ck_assert_uint_eq(rdmsr(MSR_HV_SIEFP), (PAGE_GPA + 0x1000) | 0x801);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA + 0x1ff8), 0);
    dma_write32(&phys, PAGE_GPA + 0x1000, 5);
    wrmsr(MSR_HV_SIEFP, (PAGE_GPA + 0x1000) | 1); /* it was enabled before */
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 0x1000), 5);
}
END_TEST

START_TEST(a_source_with_auto_eoi_is_never_in_service)
{
    wrmsr(MSR_HV_SINT0 + SINT, SINT_VECTOR | HV_SINT_AUTO_EOI);
    iobus_write(env.io, 0x3000, 3u << 16 | SINT, 4);
    ck_assert_int_eq(lapic_ack(lapic), SINT_VECTOR);
    lapic_accept(lapic, APIC_FIXED, 0x20, false);
    ck_assert_int_eq(lapic_ack(lapic), 0x20);
}
END_TEST

/* ---- one shot -------------------------------------------------------------------------------- */

START_TEST(a_one_shot_timer_sends_one_message_at_its_time)
{
    u64 at = now() + MS;

    wrmsr(COUNT, at);
    wrmsr(CONFIG, TO_SINT | HV_STIMER_ENABLED);
    ck_assert_uint_eq(rdmsr(COUNT), at);
    ck_assert_uint_eq(rdmsr(CONFIG), TO_SINT | 1);
    advance_units(MS - 1);
    ck_assert_int_eq(lapic_ack(lapic), -1);
    advance_units(10);
    ck_assert_int_eq(lapic_ack(lapic), SINT_VECTOR);
    ck_assert_uint_eq(dma_read32(&phys, SLOT), 0x80000010);
    ck_assert_uint_eq(dma_read32(&phys, SLOT + 4), 24);
    ck_assert_uint_eq(dma_read64(&phys, SLOT + 8), 0);
    ck_assert_uint_eq(dma_read64(&phys, SLOT + 16), 0); /* index */
    ck_assert_uint_eq(dma_read64(&phys, SLOT + 24), at);
    ck_assert_uint_ge(dma_read64(&phys, SLOT + 32), at);
    ck_assert_uint_eq(rdmsr(CONFIG), TO_SINT); /* disabled */
    ck_assert_uint_eq(pv->used[HV_F_STIMER], 1);
    ck_assert_uint_eq(pv->used[HV_F_STIMER_DIRECT], 0);
}
END_TEST

START_TEST(a_time_in_the_past_is_now)
{
    advance_units(MS);
    wrmsr(COUNT, 5);
    wrmsr(CONFIG, TO_SINT | HV_STIMER_ENABLED);
    advance(0);
    ck_assert(take());
    wrmsr(COUNT, ~0ull); /* never */
    wrmsr(CONFIG, TO_SINT | HV_STIMER_ENABLED);
    advance_units(1000 * MS);
    ck_assert(!take());
}
END_TEST

START_TEST(a_count_enables_where_it_should_and_zero_disables)
{
    wrmsr(CONFIG, TO_SINT | HV_STIMER_AUTO_ENABLE);
    wrmsr(COUNT, now() + MS);
    ck_assert_uint_eq(rdmsr(CONFIG), TO_SINT | 9);
    wrmsr(COUNT, 0);
    ck_assert_uint_eq(rdmsr(CONFIG), TO_SINT | 8);
    advance_units(2 * MS);
    ck_assert(!take());
    wrmsr(CONFIG, TO_SINT);
    wrmsr(COUNT, now() + MS);
    ck_assert_uint_eq(rdmsr(CONFIG), TO_SINT);
    advance_units(2 * MS);
    ck_assert(!take());
}
END_TEST

START_TEST(configurations_are_checked)
{
    ck_assert(wrmsr_faults(CONFIG, 1ull << 20));
    ck_assert(wrmsr_faults(CONFIG, 1ull << 13));
    ck_assert(wrmsr_faults(CONFIG, 1ull << 63));
    wrmsr(CONFIG, HV_STIMER_ENABLED | HV_STIMER_AUTO_ENABLE); /* to source 0 */
    ck_assert_uint_eq(rdmsr(CONFIG), HV_STIMER_AUTO_ENABLE);
    wrmsr(COUNT, 1);
    ck_assert_uint_eq(rdmsr(CONFIG), HV_STIMER_AUTO_ENABLE);
    restart("hyperv,-stimer-direct");
    ck_assert(wrmsr_faults(CONFIG, HV_STIMER_DIRECT | 0x500));
}
END_TEST

/* ---- periodic -------------------------------------------------------------------------------- */

START_TEST(a_periodic_timer_fires_every_period)
{
    wrmsr(COUNT, MS);
    wrmsr(CONFIG, TO_SINT | HV_STIMER_ENABLED | HV_STIMER_PERIODIC);
    advance_units(MS / 2);
    for (int i = 0; i < 100; i++) {
        ck_assert(!take());
        advance_units(MS);
        ck_assert(take());
    }
    wrmsr(CONFIG, 0);
    advance_units(5 * MS);
    ck_assert(!take());
}
END_TEST

static unsigned fires_within(u64 units)
{
    unsigned n = 0;

    for (u64 t = 0; t < units; t += MS / 20) {
        advance_units(MS / 20);
        n += take();
    }
    return n;
}

START_TEST(a_late_periodic_timer_catches_up_and_a_lazy_one_does_not)
{
    u64 periodic = TO_SINT | HV_STIMER_ENABLED | HV_STIMER_PERIODIC;

    wrmsr(COUNT, MS);
    wrmsr(CONFIG, periodic);
    advance_units(4 * MS + MS / 2);
    ck_assert(take());
    ck_assert_uint_eq(fires_within(10 * MS), 13); /* 14 periods in all, minus the one taken */
    wrmsr(CONFIG, 0);
    wrmsr(CONFIG, periodic | HV_STIMER_LAZY);
    advance_units(4 * MS + MS / 2);
    ck_assert(take());
    ck_assert_uint_eq(fires_within(10 * MS), 10);
    wrmsr(CONFIG, 0);
    wrmsr(CONFIG, periodic);
    advance_units(1000 * MS + MS / 2); /* too late to catch up */
    ck_assert(take());
    ck_assert_uint_eq(fires_within(10 * MS), 10);
}
END_TEST

START_TEST(a_period_of_nothing_does_not_stop_time)
{
    unsigned n = 0;

    wrmsr(COUNT, 1);
    wrmsr(CONFIG, HV_STIMER_DIRECT | 0x500 | HV_STIMER_ENABLED | HV_STIMER_PERIODIC);
    for (int i = 0; i < 1000; i++) {
        advance_units(10);
        n += lapic_ack(lapic) == 0x50;
        lapic_write_eoi(lapic);
    }
    ck_assert_uint_ge(n, 90);
    ck_assert_uint_le(n, 110);
}
END_TEST

/* ---- ways out -------------------------------------------------------------------------------- */

START_TEST(direct_mode_raises_a_vector_without_a_message)
{
    wrmsr(CONFIG + 2, HV_STIMER_DIRECT | 0xed0 | HV_STIMER_AUTO_ENABLE);
    wrmsr(COUNT + 2, now() + MS);
    ck_assert_uint_eq(rdmsr(CONFIG + 2), HV_STIMER_DIRECT | 0xed9);
    advance_units(2 * MS);
    ck_assert_int_eq(lapic_ack(lapic), 0xed);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
    ck_assert_uint_eq(pv->used[HV_F_STIMER_DIRECT], 1);
}
END_TEST

static void expire(void)
{
    wrmsr(COUNT, now() + MS);
    wrmsr(CONFIG, TO_SINT | HV_STIMER_ENABLED);
    advance_units(2 * MS);
}

START_TEST(a_message_waits_for_its_slot_until_the_guest_says_so)
{
    dma_write32(&phys, SLOT, 1);
    expire();
    ck_assert_int_eq(lapic_ack(lapic), -1);
    ck_assert_uint_eq(dma_read32(&phys, SLOT + 4), 1 << 8); /* another waits */
    wrmsr(MSR_HV_EOM, 0);
    ck_assert_int_eq(lapic_ack(lapic), -1); /* the slot is still taken */
    dma_write32(&phys, SLOT, 0);
    wrmsr(MSR_HV_EOM, 0);
    ck_assert(take());
    wrmsr(MSR_HV_EOM, 0);
    ck_assert(!take());
}
END_TEST

START_TEST(a_message_waits_for_the_controller_and_its_page)
{
    wrmsr(MSR_HV_SCONTROL, 0);
    expire();
    ck_assert_int_eq(lapic_ack(lapic), -1);
    wrmsr(MSR_HV_SCONTROL, 1);
    ck_assert(take());
    wrmsr(MSR_HV_SIMP, 0);
    expire();
    ck_assert_int_eq(lapic_ack(lapic), -1);
    wrmsr(MSR_HV_SIMP, PAGE_GPA | 1);
    ck_assert(take());
}
END_TEST

START_TEST(masked_and_polled_sources_get_messages_without_interrupts)
{
    wrmsr(MSR_HV_SINT0 + SINT, SINT_VECTOR | HV_SINT_MASKED);
    expire();
    ck_assert_int_eq(lapic_ack(lapic), -1);
    ck_assert_uint_eq(dma_read32(&phys, SLOT), 0x80000010);
    dma_write32(&phys, SLOT, 0);
    wrmsr(MSR_HV_SINT0 + SINT, SINT_VECTOR | HV_SINT_POLLING);
    expire();
    ck_assert_int_eq(lapic_ack(lapic), -1);
    ck_assert_uint_eq(dma_read32(&phys, SLOT), 0x80000010);
}
END_TEST

START_TEST(stopping_a_timer_takes_its_message_back)
{
    dma_write32(&phys, SLOT, 1);
    expire();
    wrmsr(CONFIG, 0);
    dma_write32(&phys, SLOT, 0);
    wrmsr(MSR_HV_EOM, 0);
    ck_assert(!take());
}
END_TEST

START_TEST(a_reset_stops_timers)
{
    wrmsr(COUNT, MS);
    wrmsr(CONFIG, HV_STIMER_DIRECT | 0x500 | HV_STIMER_ENABLED | HV_STIMER_PERIODIC);
    pv_reset(pv);
    advance_units(5 * MS);
    ck_assert_int_eq(lapic_ack(lapic), -1);
    ck_assert_uint_eq(clock_next_deadline_ns(&virtual_time), CLOCK_NEVER);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_hyperv_synic");
    TCase *c = tcase_create("pv_hyperv_synic");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, machine_teardown);
    tcase_add_test(c, registers_begin_disabled_and_masked);
    tcase_add_test(c, a_source_has_a_legal_vector_or_is_masked);
    tcase_add_test(c, pages_begin_empty_and_keep_reserved_bits);
    tcase_add_test(c, a_source_with_auto_eoi_is_never_in_service);
    tcase_add_test(c, a_one_shot_timer_sends_one_message_at_its_time);
    tcase_add_test(c, a_time_in_the_past_is_now);
    tcase_add_test(c, a_count_enables_where_it_should_and_zero_disables);
    tcase_add_test(c, configurations_are_checked);
    tcase_add_test(c, a_periodic_timer_fires_every_period);
    tcase_add_test(c, a_late_periodic_timer_catches_up_and_a_lazy_one_does_not);
    tcase_add_test(c, a_period_of_nothing_does_not_stop_time);
    tcase_add_test(c, direct_mode_raises_a_vector_without_a_message);
    tcase_add_test(c, a_message_waits_for_its_slot_until_the_guest_says_so);
    tcase_add_test(c, a_message_waits_for_the_controller_and_its_page);
    tcase_add_test(c, masked_and_polled_sources_get_messages_without_interrupts);
    tcase_add_test(c, stopping_a_timer_takes_its_message_back);
    tcase_add_test(c, a_reset_stops_timers);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
