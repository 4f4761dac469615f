/* test_pv_kvm.c: the guest's interface of KVM, from the guest's side: CPUID, MSRs, pages, calls. */
#include "pv/kvm.h"
#include "pv/pvclock.h"
#include "tests/pv/pv_fixture.h"

static void setup(void)
{
    machine_setup("kvm,+all");
    cpu->tsc_khz = 2500000;
    restart("kvm,+all");
}

static s64 call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
    cpu->gpr[RAX] = nr;
    cpu->gpr[RBX] = a0;
    cpu->gpr[RCX] = a1;
    cpu->gpr[RDX] = a2;
    cpu->gpr[RSI] = a3;
    ck_assert(pv_hypercall(pv, cpu));
    return (s64)cpu->gpr[RAX];
}

/* As a guest reads the page. */
static u64 kvmclock_ns(void)
{
    u8 p[PVCLOCK_BYTES];
    struct pvclock_time t;

    ck_assert(dma_read(&phys, PAGE_GPA, p, sizeof p));
    ck_assert_uint_eq(ld_le32(p) & 1, 0);
    t = (struct pvclock_time){.tsc = ld_le64(p + 8), .system_ns = ld_le64(p + 16),
                              .mul = ld_le32(p + 24), .shift = (s8)p[28], .flags = p[29]};
    return pvclock_read_ns(&t, cpu_tsc(cpu));
}

/* ---- CPUID --------------------------------------------------------------------------------------- */

START_TEST(leaves_carry_the_signature_the_features_and_no_more)
{
    u32 r[4];

    ck_assert(pv_cpuid(pv, 0x40000000, 0, r));
    ck_assert_uint_eq(r[0], 0x40000010);
    ck_assert_uint_eq(r[1], 0x4b4d564b);
    ck_assert_uint_eq(r[2], 0x564b4d56);
    ck_assert_uint_eq(r[3], 0x4d);
    ck_assert(pv_cpuid(pv, 0x40000001, 0, r));
    ck_assert_uint_eq(r[0], 0x01007efb);
    ck_assert_uint_eq(r[3], 0);
    ck_assert(pv_cpuid(pv, 0x40000010, 0, r));
    ck_assert_uint_eq(r[0], 2500000);
    ck_assert_uint_eq(r[1], 1000000);
    ck_assert(!pv_cpuid(pv, 0x40000011, 0, r));
    restart("kvm");
    ck_assert(pv_cpuid(pv, 0x40000000, 0, r));
    ck_assert_uint_eq(r[0], 0x40000001);
    ck_assert(!pv_cpuid(pv, 0x40000002, 0, r));
    ck_assert(!pv_cpuid(pv, 0x40000100, 0, r));
}
END_TEST

/* ---- time ---------------------------------------------------------------------------------------- */

START_TEST(the_time_page_follows_the_clock_and_never_runs_ahead_of_it)
{
    advance(123456788); /* a whole number of ticks */
    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, PAGE_GPA | 1);
    ck_assert_uint_eq(rdmsr(MSR_KVM_SYSTEM_TIME_NEW), PAGE_GPA | 1);
    ck_assert_uint_eq(kvmclock_ns(), 123456788);
    for (int i = 0; i < 1000; i++) {
        u64 before, after;
        advance(7777777);
        before = kvmclock_ns();
        pv_enter(pv, cpu);
        after = kvmclock_ns();
        ck_assert_uint_le(before, after);
        ck_assert_uint_le(after, clock_now_ns(&virtual_time));
        ck_assert_uint_ge(after + 2, clock_now_ns(&virtual_time));
    }
    ck_assert_uint_gt(pv->used[KVM_F_CLOCK2], 1);
    ck_assert_uint_lt(pv->used[KVM_F_CLOCK2], 20);
    ck_assert_uint_eq(pv->used[KVM_F_CLOCK], 0);
    ck_assert_uint_eq(stat_total(&cpu->stats, STAT_PVCLOCK), pv->used[KVM_F_CLOCK2]);
}
END_TEST

START_TEST(the_stable_bit_is_there_only_with_its_feature)
{
    u8 flags;

    wrmsr(MSR_KVM_SYSTEM_TIME, PAGE_GPA | 1);
    dma_read(&phys, PAGE_GPA + 29, &flags, 1);
    ck_assert_uint_eq(flags, 1);
    ck_assert_uint_eq(pv->used[KVM_F_CLOCK], 1);
    restart("kvm,-clocksource-stable");
    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, PAGE_GPA | 1);
    dma_read(&phys, PAGE_GPA + 29, &flags, 1);
    ck_assert_uint_eq(flags, 0);
}
END_TEST

START_TEST(a_write_of_the_tsc_does_not_move_kvmclock)
{
    advance(1000000);
    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, PAGE_GPA | 1);
    cpu->tsc_offset = 0x123456789abcdef;
    pv_tsc_changed(pv, cpu);
    ck_assert_uint_eq(kvmclock_ns(), 1000000);
    cpu->tsc_offset = -1000;
    pv_enter(pv, cpu);
    ck_assert_uint_eq(kvmclock_ns(), 1000000);
}
END_TEST

START_TEST(the_version_grows_by_two_and_is_even_at_rest)
{
    u32 first;

    dma_write32(&phys, PAGE_GPA, 7);
    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, PAGE_GPA | 1);
    first = dma_read32(&phys, PAGE_GPA);
    ck_assert_uint_eq(first, 8);
    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, PAGE_GPA | 1);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), first + 2);
}
END_TEST

START_TEST(scales_are_exact_to_their_last_bit_for_any_frequency)
{
    static const u64 khz[] = {1, 1000, 32768, 999999, 1000000, 1000001, 2500000, 3999999, 100000000};

    for (size_t i = 0; i < ARRAY_SIZE(khz); i++) {
        struct pvclock_time t = {0};
        u64 ticks = khz[i] * 1000 * 3600, ns; /* an hour */

        pvclock_scale(khz[i], &t.mul, &t.shift);
        ns = pvclock_read_ns(&t, ticks);
        ck_assert_msg(t.mul >> 31, "%u not normalised", t.mul);
        ck_assert_msg(ns <= 3600 * NS_PER_SEC && ns + 2000 >= 3600 * NS_PER_SEC, "%llu kHz: %llu",
                      (unsigned long long)khz[i], (unsigned long long)ns);
    }
}
END_TEST

START_TEST(the_wall_clock_is_utc_at_system_time_zero)
{
    advance(5 * NS_PER_SEC);
    wrmsr(MSR_KVM_WALL_CLOCK_NEW, PAGE_GPA);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 2);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 4), 1700000000);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 8), 250);
}
END_TEST

START_TEST(clock_pairing_pairs_wall_time_with_the_tsc)
{
    advance(5 * NS_PER_SEC + 8);
    ck_assert_int_eq(call(KVM_HC_CLOCK_PAIRING, PAGE_GPA, 0, 0, 0), 0);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA), 1700000005);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA + 8), 258);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA + 16), 12500000020ull);
    ck_assert_int_eq(call(KVM_HC_CLOCK_PAIRING, PAGE_GPA, 1, 0, 0), -95);
    ck_assert_int_eq(call(KVM_HC_CLOCK_PAIRING, 1ull << 40, 0, 0, 0), -14);
    ck_assert_int_eq(call(KVM_HC_CLOCK_PAIRING, ~0ull - 8, 0, 0, 0), -14);
}
END_TEST

START_TEST(pages_outside_ram_are_harmless)
{
    static const u64 bad[] = {0xfffff, MIB - 8, 0xfee00000, 1ull << 50, ~0ull << 6};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        wrmsr(MSR_KVM_SYSTEM_TIME_NEW, bad[i] | 1);
        wrmsr(MSR_KVM_WALL_CLOCK_NEW, bad[i]);
        wrmsr(MSR_KVM_STEAL_TIME, (bad[i] & ~0x3full) | 1);
        wrmsr(MSR_KVM_PV_EOI_EN, (bad[i] & ~3ull) | 1);
        pv_enter(pv, cpu);
        advance(NS_PER_SEC);
        lapic_accept(lapic, APIC_FIXED, 0x50, false);
        lapic_ack(lapic);
        pv_leave(pv, cpu, false);
        lapic_accept(lapic, APIC_FIXED, 0x60, false);
    }
}
END_TEST

/* ---- scheduling ---------------------------------------------------------------------------------- */

START_TEST(time_between_slices_is_stolen_unless_the_cpu_was_halted)
{
    wrmsr(MSR_KVM_STEAL_TIME, PAGE_GPA | 1);
    pv_enter(pv, cpu);
    advance(1000);
    pv_leave(pv, cpu, false);
    advance(300);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA), 300);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 8) & 1, 0);
    pv_leave(pv, cpu, true);
    advance(5000);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA), 300);
    ck_assert(wrmsr_faults(MSR_KVM_STEAL_TIME, PAGE_GPA | 2 | 1));
}
END_TEST

START_TEST(preempted_is_marked_while_it_does_not_run_and_a_flush_is_done_on_return)
{
    u64 epoch;

    tlb_init(&cpu->tlb);
    wrmsr(MSR_KVM_STEAL_TIME, PAGE_GPA | 1);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 16) & 0xff, 0);
    pv_leave(pv, cpu, false);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 16) & 0xff, 1);
    epoch = cpu->tlb.epoch;
    pv_enter(pv, cpu);
    ck_assert_uint_eq(cpu->tlb.epoch, epoch);
    pv_leave(pv, cpu, false);
    dma_fill(&phys, PAGE_GPA + 16, 3, 1);
    pv_enter(pv, cpu);
    ck_assert_uint_ne(cpu->tlb.epoch, epoch);
    ck_assert_uint_eq(pv->used[KVM_F_TLB_FLUSH], 1);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 16) & 0xff, 0);
}
END_TEST

START_TEST(a_kick_makes_the_next_halt_fall_through_once)
{
    cpu->halted = true;
    pv_leave(pv, cpu, true);
    ck_assert(cpu->halted);
    ck_assert_int_eq(call(KVM_HC_KICK_CPU, 0, 3, 0, 0), 0);
    pv_leave(pv, cpu, true);
    ck_assert(cpu->halted);
    ck_assert(other->req & REQ_EXIT);
    ck_assert_int_eq(call(KVM_HC_KICK_CPU, 0, 0, 0, 0), 0);
    pv_leave(pv, cpu, true);
    ck_assert(!cpu->halted);
    cpu->halted = true;
    pv_leave(pv, cpu, true);
    ck_assert(cpu->halted);
    ck_assert_uint_eq(pv->used[KVM_F_PV_UNHALT], 1);
}
END_TEST

START_TEST(a_yield_goes_to_another_cpu_only)
{
    yielded_to = 99;
    restart("kvm,+pv-sched-yield");
    ck_assert_int_eq(call(KVM_HC_SCHED_YIELD, 0, 0, 0, 0), 0);
    ck_assert_int_eq(call(KVM_HC_SCHED_YIELD, 7, 0, 0, 0), 0);
    ck_assert_uint_eq(yielded_to, 99);
    ck_assert_int_eq(call(KVM_HC_SCHED_YIELD, 3, 0, 0, 0), 0);
    ck_assert_uint_eq(yielded_to, 1);
    ck_assert_uint_eq(pv->used[KVM_F_SCHED_YIELD], 1);
}
END_TEST

START_TEST(poll_control_has_one_bit_and_starts_set)
{
    ck_assert_uint_eq(rdmsr(MSR_KVM_POLL_CONTROL), 1);
    ck_assert(pv->host_polls);
    wrmsr(MSR_KVM_POLL_CONTROL, 0);
    ck_assert(!pv->host_polls);
    ck_assert(wrmsr_faults(MSR_KVM_POLL_CONTROL, 2));
    pv_reset(pv);
    ck_assert(pv->host_polls);
}
END_TEST

/* ---- interrupts ---------------------------------------------------------------------------------- */

START_TEST(an_edge_interrupt_is_ended_by_clearing_the_bit)
{
    wrmsr(MSR_KVM_PV_EOI_EN, PAGE_GPA | 1);
    lapic_accept(lapic, APIC_FIXED, 0x50, false);
    ck_assert_int_eq(lapic_ack(lapic), 0x50);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 1);
    dma_write32(&phys, PAGE_GPA, 0);
    lapic_accept(lapic, APIC_FIXED, 0x40, false);
    ck_assert_int_eq(lapic_ack(lapic), 0x40);
    ck_assert_uint_eq(pv->used[KVM_F_PV_EOI], 1);
    ck_assert_uint_eq(stat_total(&cpu->stats, STAT_PV_EOI), 1);
    ck_assert_uint_eq(stat_total(&cpu->stats, STAT_APIC_EOI), 0);
}
END_TEST

START_TEST(level_interrupts_and_queues_are_ended_at_the_apic)
{
    wrmsr(MSR_KVM_PV_EOI_EN, PAGE_GPA | 1);
    lapic_accept(lapic, APIC_FIXED, 0x50, true);
    lapic_ack(lapic);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
    phys_write(&phys, LAPIC_DEFAULT_BASE + 0xb0, 0, 4);
    lapic_accept(lapic, APIC_FIXED, 0x51, false);
    lapic_accept(lapic, APIC_FIXED, 0x41, false);
    lapic_ack(lapic);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
    phys_write(&phys, LAPIC_DEFAULT_BASE + 0xb0, 0, 4);
    ck_assert_int_eq(lapic_ack(lapic), 0x41);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 1);
    /* What arrives now must be told at the EOI: the offer is withdrawn. */
    lapic_accept(lapic, APIC_FIXED, 0x42, false);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
}
END_TEST

START_TEST(reading_isr_sees_an_eoi_that_was_given_in_memory)
{
    wrmsr(MSR_KVM_PV_EOI_EN, PAGE_GPA | 1);
    lapic_accept(lapic, APIC_FIXED, 0x50, false);
    lapic_ack(lapic);
    dma_write32(&phys, PAGE_GPA, 0);
    ck_assert_uint_eq(phys_read(&phys, LAPIC_DEFAULT_BASE + 0x120, 4), 0);
    ck_assert_uint_eq(phys_read(&phys, LAPIC_DEFAULT_BASE + 0xa0, 4), 0);
}
END_TEST

START_TEST(pv_eoi_without_its_feature_leaves_the_apic_alone)
{
    restart("kvm,-pv-eoi");
    ck_assert(is_unknown(MSR_KVM_PV_EOI_EN));
    ck_assert_ptr_null(lapic->pv.injected);
}
END_TEST

START_TEST(send_ipi_reaches_the_apics_of_the_map)
{
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, 1ull << 0 | 1ull << 3, 0, 0, 0x60), 2);
    ck_assert_int_eq(lapic_ack(lapic), 0x60);
    ck_assert_int_eq(lapic_ack(second), 0x60);
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, 1ull << 1, 0, 2, 0x61), 1);
    ck_assert(second->irr[3] & 2);
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, 0, 1, 0xffffffc3ull, 0x61), 0);
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, ~0ull, ~0ull, 4, 0x61), 0);
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, 1, 0, 0, 0x40060), -22);
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, 1, 0, 0, 0x860), -22);
    cpu->key = KEY_CODE32; /* two registers of 32 bits */
    second->id = 33;
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, 0, 1u << 1, 0, 0x62), 1);
}
END_TEST

START_TEST(async_pf_msrs_check_what_the_guest_writes)
{
    wrmsr(MSR_KVM_ASYNC_PF_INT, 0xf3);
    ck_assert_uint_eq(rdmsr(MSR_KVM_ASYNC_PF_INT), 0xf3);
    ck_assert(wrmsr_faults(MSR_KVM_ASYNC_PF_INT, 0x100));
    wrmsr(MSR_KVM_ASYNC_PF_EN, PAGE_GPA | 9);
    ck_assert_uint_eq(rdmsr(MSR_KVM_ASYNC_PF_EN), PAGE_GPA | 9);
    ck_assert(wrmsr_faults(MSR_KVM_ASYNC_PF_EN, PAGE_GPA | 0x10 | 1));
    ck_assert(wrmsr_faults(MSR_KVM_ASYNC_PF_EN, (1ull << 40) | 1));
    wrmsr(MSR_KVM_ASYNC_PF_ACK, 1);
    ck_assert_uint_eq(rdmsr(MSR_KVM_ASYNC_PF_ACK), 0);
}
END_TEST

/* ---- hypercalls ---------------------------------------------------------------------------------- */

START_TEST(errors_of_calls_are_those_of_the_interface)
{
    ck_assert_int_eq(call(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0), 0);
    ck_assert_int_eq(call(2, 0, 0, 0, 0), -1000);
    ck_assert_int_eq(call(1ull << 32 | 1, 0, 0, 0, 0), -1000);
    ck_assert_int_eq(call(~0ull, 0, 0, 0, 0), -1000);
    ck_assert_uint_eq(pv->calls_unknown, 3);
    ck_assert_uint_eq(pv->calls[0], 1);
    cpu->cpl = 3;
    ck_assert_int_eq(call(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0), -1);
    ck_assert_int_eq(call(2, 0, 0, 0, 0), -1);
}
END_TEST

START_TEST(outside_64_bit_mode_calls_use_32_bits_of_each_register)
{
    cpu->key = KEY_CODE32;
    ck_assert_int_eq(call(0xdead00000000ull | KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0), 0);
    ck_assert_int_eq(call(2, 0, 0, 0, 0), 0xfffffc18);
    ck_assert_int_eq(call(KVM_HC_CLOCK_PAIRING, 1ull << 40 | PAGE_GPA, 1ull << 33, 0, 0), 0);
}
END_TEST

START_TEST(a_call_preserves_its_argument_registers)
{
    call(KVM_HC_KICK_CPU, 1, 2, 3, 4);
    ck_assert_uint_eq(cpu->gpr[RBX], 1);
    ck_assert_uint_eq(cpu->gpr[RCX], 2);
    ck_assert_uint_eq(cpu->gpr[RDX], 3);
    ck_assert_uint_eq(cpu->gpr[RSI], 4);
}
END_TEST

START_TEST(a_feature_that_is_off_has_no_msrs_and_no_calls)
{
    static const u32 msrs[] = {0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03,
                               0x4b564d04, 0x4b564d05, 0x4b564d06, 0x4b564d07, 0x4b564d08};

    restart("kvm,-all");
    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
        ck_assert(is_unknown(msrs[i]));
    ck_assert_int_eq(call(KVM_HC_KICK_CPU, 0, 0, 0, 0), -1000);
    ck_assert_int_eq(call(KVM_HC_CLOCK_PAIRING, PAGE_GPA, 0, 0, 0), -1000);
    ck_assert_int_eq(call(KVM_HC_SEND_IPI, 1, 0, 0, 0x60), -1000);
    ck_assert_int_eq(call(KVM_HC_SCHED_YIELD, 0, 0, 0, 0), -1000);
    ck_assert_int_eq(call(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0), 0);
}
END_TEST

START_TEST(a_reset_forgets_what_the_guest_registered)
{
    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, PAGE_GPA | 1);
    wrmsr(MSR_KVM_STEAL_TIME, (PAGE_GPA + 0x100) | 1);
    pv_reset(pv);
    dma_fill(&phys, PAGE_GPA, 0, 0x200);
    advance(5 * NS_PER_SEC);
    pv_enter(pv, cpu);
    pv_leave(pv, cpu, false);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 0x110), 0);
    ck_assert_uint_eq(rdmsr(MSR_KVM_STEAL_TIME), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_kvm");
    TCase *c = tcase_create("pv_kvm");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, machine_teardown);
    tcase_add_test(c, leaves_carry_the_signature_the_features_and_no_more);
    tcase_add_test(c, the_time_page_follows_the_clock_and_never_runs_ahead_of_it);
    tcase_add_test(c, the_stable_bit_is_there_only_with_its_feature);
    tcase_add_test(c, a_write_of_the_tsc_does_not_move_kvmclock);
    tcase_add_test(c, the_version_grows_by_two_and_is_even_at_rest);
    tcase_add_test(c, scales_are_exact_to_their_last_bit_for_any_frequency);
    tcase_add_test(c, the_wall_clock_is_utc_at_system_time_zero);
    tcase_add_test(c, clock_pairing_pairs_wall_time_with_the_tsc);
    tcase_add_test(c, pages_outside_ram_are_harmless);
    tcase_add_test(c, time_between_slices_is_stolen_unless_the_cpu_was_halted);
    tcase_add_test(c, preempted_is_marked_while_it_does_not_run_and_a_flush_is_done_on_return);
    tcase_add_test(c, a_kick_makes_the_next_halt_fall_through_once);
    tcase_add_test(c, a_yield_goes_to_another_cpu_only);
    tcase_add_test(c, poll_control_has_one_bit_and_starts_set);
    tcase_add_test(c, an_edge_interrupt_is_ended_by_clearing_the_bit);
    tcase_add_test(c, level_interrupts_and_queues_are_ended_at_the_apic);
    tcase_add_test(c, reading_isr_sees_an_eoi_that_was_given_in_memory);
    tcase_add_test(c, pv_eoi_without_its_feature_leaves_the_apic_alone);
    tcase_add_test(c, send_ipi_reaches_the_apics_of_the_map);
    tcase_add_test(c, async_pf_msrs_check_what_the_guest_writes);
    tcase_add_test(c, errors_of_calls_are_those_of_the_interface);
    tcase_add_test(c, outside_64_bit_mode_calls_use_32_bits_of_each_register);
    tcase_add_test(c, a_call_preserves_its_argument_registers);
    tcase_add_test(c, a_feature_that_is_off_has_no_msrs_and_no_calls);
    tcase_add_test(c, a_reset_forgets_what_the_guest_registered);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
