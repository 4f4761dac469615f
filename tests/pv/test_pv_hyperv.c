/*
 * test_pv_hyperv.c: the guest's interface of Hyper-V, from the guest's side: CPUID, MSRs, the
 * hypercall page, pages that the guest registers, time.
 *
 * Not here: what hypercalls do (test_pv_hyperv_calls.c), the synthetic interrupt controller and its
 * timers (test_pv_hyperv_synic.c).
 */
#include "pv/hyperv.h"
#include "tests/pv/pv_fixture.h"

static void setup(void)
{
    machine_setup("hyperv,+all");
}

static void leaf(u32 n, u32 r[4])
{
    ck_assert(pv_cpuid(pv, n, 0, r));
}

/* ---- CPUID ----------------------------------------------------------------------------------- */

START_TEST(leaves_carry_signature_interface_version_and_limits)
{
    u32 r[4];

    leaf(0x40000000, r);
    ck_assert_uint_eq(r[0], 0x4000000a);
    ck_assert_uint_eq(r[1], 0x7263694d);
    ck_assert_uint_eq(r[2], 0x666f736f);
    ck_assert_uint_eq(r[3], 0x76482074);
    leaf(0x40000001, r);
    ck_assert_uint_eq(r[0], 0x31237648);
    leaf(0x40000002, r);
    ck_assert_uint_eq(r[0], 14393);
    ck_assert_uint_eq(r[1], 10 << 16);
    leaf(0x40000005, r);
    ck_assert_uint_eq(r[0], 16);
    for (u32 n = 0x40000006; n <= 0x4000000a; n++) {
        leaf(n, r);
        ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
    }
    ck_assert(!pv_cpuid(pv, 0x4000000b, 0, r));
    ck_assert(!pv_cpuid(pv, 0x40000100, 0, r));
}
END_TEST

START_TEST(privileges_features_and_hints_are_those_of_what_is_on)
{
    u32 r[4];

    leaf(0x40000003, r);
    ck_assert_uint_eq(r[0], 0xeff);
    ck_assert_uint_eq(r[1], 0x30);
    ck_assert_uint_eq(r[2], 0);
    ck_assert_uint_eq(r[3], 0xa0530);
    leaf(0x40000004, r);
    ck_assert_uint_eq(r[0], 0xc3c);
    ck_assert_uint_eq(r[1], 0xfff);
    ck_assert_uint_eq(r[2], phys.addr_bits);
    restart("hyperv,-all");
    leaf(0x40000003, r);
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
    leaf(0x40000004, r);
    ck_assert_uint_eq(r[0], 0);
    ck_assert_uint_eq(r[1], 0xffffffff);
}
END_TEST

/* Which bits of 40000003h EAX, EBX, EDX and 40000004h EAX go with a feature. */
static const struct {
    const char *name;
    u32 eax, ebx, edx, hints;
} feature_bits[] = {
    {"vp-index", 1 << 6, 0, 0, 0},
    {"reset", 1 << 7, 0, 0, 1 << 4},
    {"relaxed", 0, 0, 0, 1 << 5},
    {"runtime", 1 << 0, 0, 0, 0},
    {"lazy-eoi", 0, 0, 0, 0},
    {"ref-tsc", 1 << 9, 0, 0, 0},
    {"frequencies", 1 << 11, 0, 1 << 8, 0},
    {"crash", 0, 0, 1 << 10, 0},
    {"stimer-direct", 0, 0, 1 << 19, 0},
    {"xmm-input", 0, 0, 1 << 4, 0},
    {"tlb-flush", 0, 0, 0, 1 << 2},
    {"ipi", 0, 0, 0, 1 << 10},
    {"ex-masks", 0, 0, 0, 1 << 11},
    {"guest-idle", 1 << 10, 0, 1 << 5, 0},
    {"connections", 0, 3 << 4, 0, 0},
    {"spin-wait", 0, 0, 0, 0},
};

START_TEST(a_feature_takes_its_bits_with_it)
{
    char spec[64];
    u32 f[4], h[4];

    snprintf(spec, sizeof spec, "hyperv,+all,-%s", feature_bits[_i].name);
    restart(spec);
    leaf(0x40000003, f);
    leaf(0x40000004, h);
    ck_assert_uint_eq(f[0], 0xeff & ~feature_bits[_i].eax);
    ck_assert_uint_eq(f[1], 0x30 & ~feature_bits[_i].ebx);
    ck_assert_uint_eq(f[3], 0xa0530 & ~feature_bits[_i].edx);
    ck_assert_uint_eq(h[0], 0xc3c & ~feature_bits[_i].hints);
}
END_TEST

START_TEST(a_feature_that_is_off_has_no_msrs)
{
    restart("hyperv,-all");
    for (u32 msr = 0x40000000; msr < 0x40000200; msr++)
        ck_assert_msg(is_unknown(msr), "%#x", msr);
}
END_TEST

START_TEST(msrs_between_those_of_the_interface_are_unknown)
{
    static const u32 absent[] = {0x40000004, 0x4000000f, 0x40000011, 0x40000024, 0x40000074,
                                 0x40000085, 0x400000a0, 0x400000b8, 0x400000f1, 0x40000106};

    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        ck_assert_msg(is_unknown(absent[i]), "%#x", absent[i]);
}
END_TEST

START_TEST(registers_that_only_tell_cannot_be_written)
{
    static const u32 read_only[] = {
        MSR_HV_VP_INDEX,       MSR_HV_VP_RUNTIME, MSR_HV_TIME_REF_COUNT, MSR_HV_TSC_FREQUENCY,
        MSR_HV_APIC_FREQUENCY, MSR_HV_SVERSION,   MSR_HV_GUEST_IDLE};

    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
        ck_assert_msg(wrmsr_faults(read_only[i], 0), "%#x", read_only[i]);
        ck_assert(wrmsr_faults(read_only[i], 1));
    }
}
END_TEST

START_TEST(a_processor_knows_its_index_and_the_frequencies)
{
    ck_assert_uint_eq(rdmsr(MSR_HV_VP_INDEX), 0);
    ck_assert_uint_eq(rdmsr_on(other, MSR_HV_VP_INDEX), 1);
    ck_assert_uint_eq(rdmsr(MSR_HV_TSC_FREQUENCY), 1000000000);
    ck_assert_uint_eq(rdmsr(MSR_HV_APIC_FREQUENCY), 1000000000);
    ck_assert_uint_eq(pv->used[HV_F_VP_INDEX], 2);
    ck_assert_uint_eq(pv->used[HV_F_FREQUENCIES], 2);
}
END_TEST

/* ---- the hypercall page ---------------------------------------------------------------------- */

START_TEST(the_hypercall_page_needs_a_guest_that_says_who_it_is)
{
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 1);
    ck_assert_uint_eq(rdmsr(MSR_HV_HYPERCALL), PAGE_GPA);
    wrmsr(MSR_HV_GUEST_OS_ID, 0x8100ull << 48);
    ck_assert_uint_eq(rdmsr_on(other, MSR_HV_GUEST_OS_ID), 0x8100ull << 48);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 0xf01);
    ck_assert_uint_eq(rdmsr_on(other, MSR_HV_HYPERCALL), PAGE_GPA | 0xf01);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA, 4), 0xc3d9010f);
    wrmsr(MSR_HV_GUEST_OS_ID, 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_HYPERCALL), PAGE_GPA | 0xf00);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA, 4), 0);
}
END_TEST

START_TEST(the_hypercall_page_lies_over_memory_and_gives_it_back)
{
    dma_write32(&phys, PAGE_GPA, 0x12345678);
    wrmsr(MSR_HV_GUEST_OS_ID, 1);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 1);
    phys_write(&phys, PAGE_GPA, 0xffffffff, 4);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA, 4), 0xc3d9010f);
    wrmsr(MSR_HV_HYPERCALL, (PAGE_GPA + 0x1000) | 1);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA, 4), 0x12345678);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA + 0x1000, 4), 0xc3d9010f);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA + 0x1000, 4), 0);
    ck_assert(wrmsr_faults(MSR_HV_HYPERCALL, 1ull << 50 | 1));
    ck_assert_uint_eq(rdmsr(MSR_HV_HYPERCALL), PAGE_GPA);
}
END_TEST

START_TEST(a_locked_hypercall_page_stays_until_reset)
{
    wrmsr(MSR_HV_GUEST_OS_ID, 1);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 3);
    wrmsr(MSR_HV_HYPERCALL, (PAGE_GPA + 0x1000) | 1);
    ck_assert_uint_eq(rdmsr(MSR_HV_HYPERCALL), PAGE_GPA | 3);
    pv_reset(pv);
    ck_assert_uint_eq(rdmsr(MSR_HV_HYPERCALL), 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_GUEST_OS_ID), 0);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA, 4), 0);
}
END_TEST

START_TEST(the_page_calls_as_the_processor_does)
{
    struct cpu_model intel = *cpu->model;

    ck_assert_int_eq(intel.vendor, VENDOR_AMD); /* VMMCALL, RET in the tests above */
    intel.vendor = VENDOR_INTEL;
    cpu->model = &intel;
    restart("hyperv");
    wrmsr(MSR_HV_GUEST_OS_ID, 1);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 1);
    ck_assert_uint_eq(phys_read(&phys, PAGE_GPA, 4), 0xc3c1010f);
}
END_TEST

/* ---- local APIC ------------------------------------------------------------------------------ */

static void deliver(u8 vector)
{
    lapic_accept(lapic, APIC_FIXED, vector, false);
    ck_assert_int_eq(lapic_ack(lapic), vector);
}

START_TEST(eoi_icr_and_tpr_are_those_of_the_apic)
{
    deliver(0x50);
    wrmsr(MSR_HV_EOI, 0);
    ck_assert_uint_eq(phys_read(&phys, LAPIC_DEFAULT_BASE + 0x120, 4), 0);
    ck_assert_uint_eq(stat_total(&cpu->stats, STAT_APIC_EOI), 1);
    wrmsr(MSR_HV_ICR, 3ull << 56 | 0x61);
    ck_assert_int_eq(lapic_ack(second), 0x61);
    ck_assert_uint_eq(rdmsr(MSR_HV_ICR), 3ull << 56 | 0x61);
    wrmsr(MSR_HV_TPR, 0x6f);
    ck_assert_uint_eq(lapic_cr8_read(lapic), 6);
    ck_assert_uint_eq(rdmsr(MSR_HV_TPR), 0x6f);
    ck_assert_uint_eq(pv->used[HV_F_VAPIC], 5);
}
END_TEST

START_TEST(apic_registers_fault_on_reserved_bits)
{
    ck_assert(wrmsr_faults(MSR_HV_EOI, 1ull << 32));
    ck_assert(wrmsr_faults(MSR_HV_TPR, 0x100));
    ck_assert(rdmsr_faults(MSR_HV_EOI));
    env.lapic[0] = NULL;
    restart("hyperv");
    ck_assert(wrmsr_faults(MSR_HV_EOI, 0));
    ck_assert(rdmsr_faults(MSR_HV_TPR));
}
END_TEST

START_TEST(an_edge_interrupt_is_ended_in_the_assist_page)
{
    dma_write32(&phys, PAGE_GPA, 0xffffffff);
    wrmsr(MSR_HV_VP_ASSIST_PAGE, PAGE_GPA | 0x801);
    ck_assert_uint_eq(rdmsr(MSR_HV_VP_ASSIST_PAGE), PAGE_GPA | 0x801);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
    deliver(0x50);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 1);
    dma_write32(&phys, PAGE_GPA, 0);
    deliver(0x40);
    ck_assert_uint_eq(pv->used[HV_F_LAZY_EOI], 1);
    ck_assert_uint_eq(stat_total(&cpu->stats, STAT_APIC_EOI), 0);
    wrmsr(MSR_HV_VP_ASSIST_PAGE, PAGE_GPA);
    wrmsr(MSR_HV_EOI, 0);
    deliver(0x51);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
}
END_TEST

START_TEST(the_assist_page_needs_no_privilege)
{
    restart("hyperv,-vapic");
    wrmsr(MSR_HV_VP_ASSIST_PAGE, PAGE_GPA | 1);
    ck_assert_uint_eq(rdmsr(MSR_HV_VP_ASSIST_PAGE), PAGE_GPA | 1);
    ck_assert(is_unknown(MSR_HV_EOI));
    deliver(0x50);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
}
END_TEST

START_TEST(without_lazy_eoi_the_assist_page_stays_empty)
{
    restart("hyperv,-lazy-eoi");
    wrmsr(MSR_HV_VP_ASSIST_PAGE, PAGE_GPA | 1);
    deliver(0x50);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
}
END_TEST

START_TEST(the_idle_state_ends_with_an_interrupt_that_is_held_off)
{
    ck_assert_uint_eq(rdmsr(MSR_HV_GUEST_IDLE), 0);
    ck_assert(cpu->halted);
    ck_assert(!cpu_wakes_masked(cpu));
    cpu_set_intr(cpu, true);
    ck_assert(cpu_wakes_masked(cpu));
    ck_assert_uint_eq(pv->used[HV_F_GUEST_IDLE], 1);
}
END_TEST

/* ---- time ------------------------------------------------------------------------------------ */

/* As a guest reads the page. */
static u64 page_units(void)
{
    u64 scale = dma_read64(&phys, PAGE_GPA + 8), add = dma_read64(&phys, PAGE_GPA + 16);
    return (u64)((u128)cpu_tsc(cpu) * scale >> 64) + add;
}

START_TEST(the_reference_counter_counts_100_ns)
{
    u64 before = rdmsr(MSR_HV_TIME_REF_COUNT);

    advance(12345678);
    ck_assert_uint_ge(rdmsr_on(other, MSR_HV_TIME_REF_COUNT), before + 123455);
    ck_assert_uint_le(rdmsr(MSR_HV_TIME_REF_COUNT), before + 123456);
    ck_assert_uint_eq(pv->used[HV_F_REF_COUNTER], 3);
}
END_TEST

START_TEST(the_page_and_the_counter_agree_at_any_time)
{
    wrmsr(MSR_HV_REFERENCE_TSC, PAGE_GPA | 0x401);
    ck_assert_uint_eq(rdmsr(MSR_HV_REFERENCE_TSC), PAGE_GPA | 0x401);
    ck_assert_uint_ne(dma_read32(&phys, PAGE_GPA), 0);
    for (int i = 0; i < 1000; i++) {
        advance(7777777);
        ck_assert_uint_eq(page_units(), rdmsr(MSR_HV_TIME_REF_COUNT));
        ck_assert_uint_ge(page_units() + 1, clock_now_ns(&virtual_time) / 100);
        ck_assert_uint_le(page_units(), clock_now_ns(&virtual_time) / 100);
    }
    ck_assert_uint_eq(pv->used[HV_F_REF_TSC], 1);
}
END_TEST

START_TEST(a_write_of_the_tsc_moves_the_page_and_not_the_time)
{
    static const s64 offsets[] = {0x123456789abcdef, -1000, -(1ll << 40), 1};
    u64 before;
    u32 sequence;

    advance(NS_PER_SEC);
    wrmsr(MSR_HV_REFERENCE_TSC, PAGE_GPA | 1);
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        before = page_units();
        sequence = dma_read32(&phys, PAGE_GPA);
        cpu->tsc_offset = other->tsc_offset = offsets[i];
        pv_tsc_changed(pv, cpu);
        ck_assert_uint_gt(dma_read32(&phys, PAGE_GPA), sequence);
        ck_assert_uint_ge(page_units() + 2, before);
        ck_assert_uint_le(page_units(), before + 2);
        advance(NS_PER_SEC);
        ck_assert_uint_ge(page_units() + 3, before + 10000000);
        ck_assert_uint_eq(page_units(), rdmsr(MSR_HV_TIME_REF_COUNT));
    }
}
END_TEST

START_TEST(tscs_that_differ_make_the_page_invalid_and_leave_the_counter)
{
    u64 before;

    advance(NS_PER_SEC);
    wrmsr(MSR_HV_REFERENCE_TSC, PAGE_GPA | 1);
    before = rdmsr(MSR_HV_TIME_REF_COUNT);
    other->tsc_offset = 5000;
    pv_tsc_changed(pv, other);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
    ck_assert_uint_ge(rdmsr(MSR_HV_TIME_REF_COUNT), before);
    ck_assert_uint_le(rdmsr(MSR_HV_TIME_REF_COUNT), before + 1);
    cpu->tsc_offset = 5000;
    pv_tsc_changed(pv, cpu);
    ck_assert_uint_ne(dma_read32(&phys, PAGE_GPA), 0);
}
END_TEST

START_TEST(run_time_is_that_of_slices)
{
    pv_enter(pv, cpu);
    advance(1000);
    ck_assert_uint_eq(rdmsr(MSR_HV_VP_RUNTIME), 10);
    pv_leave(pv, cpu, false);
    advance(5000);
    ck_assert_uint_eq(rdmsr(MSR_HV_VP_RUNTIME), 10);
    ck_assert_uint_eq(rdmsr_on(other, MSR_HV_VP_RUNTIME), 0);
}
END_TEST

/* ---- reset and crash ------------------------------------------------------------------------- */

START_TEST(bit_0_of_reset_resets)
{
    wrmsr(MSR_HV_RESET, 0);
    ck_assert_uint_eq(resets, 0);
    ck_assert(wrmsr_faults(MSR_HV_RESET, 2));
    wrmsr(MSR_HV_RESET, 1);
    ck_assert_uint_eq(resets, 1);
    ck_assert_uint_eq(rdmsr(MSR_HV_RESET), 0);
}
END_TEST

START_TEST(a_crash_is_told_with_its_parameters)
{
    ck_assert_uint_eq(rdmsr(MSR_HV_CRASH_CTL), 3ull << 62);
    for (u32 i = 0; i < 5; i++) {
        wrmsr(MSR_HV_CRASH_P0 + i, 0xa0 + i);
        ck_assert_uint_eq(rdmsr(MSR_HV_CRASH_P0 + i), 0xa0 + i);
    }
    wrmsr(MSR_HV_CRASH_CTL, 1ull << 62);
    ck_assert_str_eq(reported.msg, "");
    wrmsr(MSR_HV_CRASH_CTL, 1ull << 63);
    ck_assert_str_eq(reported.msg, "the guest reports that it crashed: 0xa0 0xa1 0xa2 0xa3 0xa4");
}
END_TEST

START_TEST(the_message_of_a_crash_is_one_printable_line)
{
    char text[600];

    memset(text, 'x', sizeof text);
    memcpy(text, "Oops\n\033[31m", 10);
    dma_write(&phys, PAGE_GPA, text, sizeof text);
    wrmsr(MSR_HV_CRASH_P0 + 3, PAGE_GPA);
    wrmsr(MSR_HV_CRASH_P0 + 4, 12);
    wrmsr(MSR_HV_CRASH_CTL, 3ull << 62);
    ck_assert_ptr_nonnull(strstr(reported.msg, ": Oops  [31mxx"));
    wrmsr(MSR_HV_CRASH_P0 + 4, ~0ull);
    wrmsr(MSR_HV_CRASH_CTL, 3ull << 62);
    ck_assert_uint_lt(strlen(reported.msg), 300);
    wrmsr(MSR_HV_CRASH_P0 + 3, ~0ull - 4);
    wrmsr(MSR_HV_CRASH_CTL, 3ull << 62);
    ck_assert_ptr_null(strstr(reported.msg, "Oops"));
}
END_TEST

START_TEST(a_reset_forgets_what_the_guest_registered)
{
    wrmsr(MSR_HV_REFERENCE_TSC, PAGE_GPA | 1);
    wrmsr(MSR_HV_VP_ASSIST_PAGE, (PAGE_GPA + 0x1000) | 1);
    wrmsr(MSR_HV_CRASH_P0, 7);
    pv_reset(pv);
    dma_fill(&phys, PAGE_GPA, 0, 0x2000);
    deliver(0x50);
    pv_tsc_changed(pv, cpu);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA), 0);
    ck_assert_uint_eq(dma_read32(&phys, PAGE_GPA + 0x1000), 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_REFERENCE_TSC), 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_VP_ASSIST_PAGE), 0);
    ck_assert_uint_eq(rdmsr(MSR_HV_CRASH_P0), 0);
}
END_TEST

START_TEST(pages_outside_ram_are_harmless)
{
    static const u64 bad[] = {0xff000, MIB, 0xfee00000, 1ull << 50, ~0ull << 12};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        wrmsr(MSR_HV_REFERENCE_TSC, bad[i] | 1);
        wrmsr(MSR_HV_VP_ASSIST_PAGE, bad[i] | 1);
        wrmsr(MSR_HV_SIMP, bad[i] | 1);
        wrmsr(MSR_HV_SIEFP, bad[i] | 1);
        deliver(0x50);
        wrmsr(MSR_HV_EOI, 0);
        pv_tsc_changed(pv, cpu);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_hyperv");
    TCase *c = tcase_create("pv_hyperv");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, machine_teardown);
    tcase_add_test(c, leaves_carry_signature_interface_version_and_limits);
    tcase_add_test(c, privileges_features_and_hints_are_those_of_what_is_on);
    tcase_add_loop_test(c, a_feature_takes_its_bits_with_it, 0, ARRAY_SIZE(feature_bits));
    tcase_add_test(c, a_feature_that_is_off_has_no_msrs);
    tcase_add_test(c, msrs_between_those_of_the_interface_are_unknown);
    tcase_add_test(c, registers_that_only_tell_cannot_be_written);
    tcase_add_test(c, a_processor_knows_its_index_and_the_frequencies);
    tcase_add_test(c, the_hypercall_page_needs_a_guest_that_says_who_it_is);
    tcase_add_test(c, the_hypercall_page_lies_over_memory_and_gives_it_back);
    tcase_add_test(c, a_locked_hypercall_page_stays_until_reset);
    tcase_add_test(c, the_page_calls_as_the_processor_does);
    tcase_add_test(c, eoi_icr_and_tpr_are_those_of_the_apic);
    tcase_add_test(c, apic_registers_fault_on_reserved_bits);
    tcase_add_test(c, an_edge_interrupt_is_ended_in_the_assist_page);
    tcase_add_test(c, the_assist_page_needs_no_privilege);
    tcase_add_test(c, without_lazy_eoi_the_assist_page_stays_empty);
    tcase_add_test(c, the_idle_state_ends_with_an_interrupt_that_is_held_off);
    tcase_add_test(c, the_reference_counter_counts_100_ns);
    tcase_add_test(c, the_page_and_the_counter_agree_at_any_time);
    tcase_add_test(c, a_write_of_the_tsc_moves_the_page_and_not_the_time);
    tcase_add_test(c, tscs_that_differ_make_the_page_invalid_and_leave_the_counter);
    tcase_add_test(c, run_time_is_that_of_slices);
    tcase_add_test(c, bit_0_of_reset_resets);
    tcase_add_test(c, a_crash_is_told_with_its_parameters);
    tcase_add_test(c, the_message_of_a_crash_is_one_printable_line);
    tcase_add_test(c, a_reset_forgets_what_the_guest_registered);
    tcase_add_test(c, pages_outside_ram_are_harmless);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
