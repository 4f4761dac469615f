/* test_pv_hyperv_calls.c: hypercalls of Hyper-V: ways in, errors, flushes, IPIs, connections. */
#include "pv/hyperv.h"
#include "tests/pv/pv_fixture.h"

#define IN_GPA 0x20000ull
#define FAST BIT64(16)
#define REPS(count, start) ((u64)(count) << 32 | (u64)(start) << 48)
#define VAR(qwords) ((u64)(qwords) << 17)

static void setup(void)
{
    machine_setup("hyperv,+all");
    wrmsr(MSR_HV_GUEST_OS_ID, 1);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 1);
}

static bool try_call(u64 control, u64 in, u64 out)
{
    cpu->gpr[RCX] = control;
    cpu->gpr[RDX] = in;
    cpu->gpr[R8] = out;
    return pv_hypercall(pv, cpu);
}

static u64 call(u64 control, u64 in, u64 out)
{
    ck_assert(try_call(control, in, out));
    return cpu->gpr[RAX];
}

/* With the input in memory. */
static u64 call_with(u64 control, const u64 *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        dma_write64(&phys, IN_GPA + 8 * i, words[i]);
    return call(control, IN_GPA, 0);
}
#define CALL(control, ...)                                                                         \
    call_with(control, (const u64[]){__VA_ARGS__}, sizeof((const u64[]){__VA_ARGS__}) / 8)

/* ---- ways in --------------------------------------------------------------------------------- */

START_TEST(calls_are_undefined_where_they_are_illegal)
{
    ck_assert(try_call(HV_CALL_SEND_IPI | FAST, 0x50, 0));
    cpu->cpl = 3;
    ck_assert(!try_call(HV_CALL_SEND_IPI | FAST, 0x50, 0));
    cpu->cpl = 0;
    cpu->cr0 = 0;
    ck_assert(!try_call(HV_CALL_SEND_IPI | FAST, 0x50, 0));
    cpu->cr0 = CR0_PE;
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA);
    ck_assert(!try_call(HV_CALL_SEND_IPI | FAST, 0x50, 0));
}
END_TEST

START_TEST(a_code_that_is_unknown_or_off_is_invalid)
{
    static const u16 codes[] = {0x02, 0x03, 0x08, 0x0b, 0x13, 0x14, 0x15};

    ck_assert_uint_eq(call(0, 0, 0), 2);
    ck_assert_uint_eq(call(0x1234, 0, 0), 2);
    ck_assert_uint_eq(call(0x8001, 0, 0), 2);
    ck_assert_uint_eq(pv->calls_unknown, 3);
    restart("hyperv,-all,+hypercall");
    wrmsr(MSR_HV_GUEST_OS_ID, 1);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 1);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        ck_assert_uint_eq(call(codes[i], IN_GPA, 0), 2);
    ck_assert_uint_eq(call(0x5c, IN_GPA, 0), 6);
    ck_assert_uint_eq(call(0x5d, IN_GPA, 0), 6);
}
END_TEST

START_TEST(ex_calls_are_there_with_their_hint_only)
{
    restart("hyperv,-ex-masks");
    wrmsr(MSR_HV_GUEST_OS_ID, 1);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 1);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX, 0, 0, 1, 0), 2);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_LIST_EX | REPS(1, 0), 0, 0, 1, 0, 0), 2);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI_EX, 0x50, 1, 0), 2);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, 1, 0), 0);
}
END_TEST

START_TEST(a_control_word_is_checked)
{
    static const u64 reserved[] = {BIT64(27), BIT64(31), BIT64(44),
                                   BIT64(47), BIT64(60), BIT64(63)};

    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
        ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE | reserved[i], 0, 1, 0), 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE | REPS(1, 0), 0, 1, 0), 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE | REPS(0, 1), 0, 1, 0), 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE | VAR(1), 0, 1, 0), 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_LIST, 0, 1, 0), 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_LIST | REPS(2, 2), 0, 1, 0, 0, 0), 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_LIST | REPS(2, 0) | VAR(1), 0, 1, 0, 0, 0), 3);
}
END_TEST

START_TEST(input_lies_in_one_page_of_memory)
{
    dma_write64(&phys, IN_GPA + 0xfe8 + 8, 1);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_SPACE, IN_GPA + 0xfe8, 0), 0);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_SPACE, IN_GPA + 0xff0, 0), 4);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_SPACE, IN_GPA + 4, 0), 4);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_SPACE, MIB, 0), 4);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_SPACE, LAPIC_DEFAULT_BASE, 0), 4);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_SPACE, ~0ull << 12, 0), 4);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_LIST | REPS(509, 0), IN_GPA, 0) & 0xffff, 0);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_LIST | REPS(510, 0), IN_GPA, 0), 4);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_LIST | REPS(4095, 0), IN_GPA, 0), 4);
}
END_TEST

START_TEST(fast_input_comes_in_registers)
{
    ck_assert_uint_eq(call(HV_CALL_SEND_IPI | FAST, 0x60, 3), 0);
    ck_assert_int_eq(lapic_ack(lapic), 0x60);
    ck_assert_int_eq(lapic_ack(second), 0x60);
    ck_assert_uint_eq(cpu->gpr[RCX], HV_CALL_SEND_IPI | FAST);
    ck_assert_uint_eq(cpu->gpr[RDX], 0x60);
    ck_assert_uint_eq(cpu->gpr[R8], 3);
    ck_assert_uint_eq(pv->used[HV_F_XMM_INPUT], 0);
}
END_TEST

START_TEST(more_fast_input_comes_in_xmm_registers)
{
    u64 epoch = other->tlb.stats.flush_all;

    cpu->vec[0].q[0] = 2; /* processors; RDX space, R8 flags */
    ck_assert_uint_eq(call(HV_CALL_FLUSH_SPACE | FAST, 0, 0), 0);
    pv_enter(pv, other);
    ck_assert_uint_eq(other->tlb.stats.flush_all, epoch + 1);
    ck_assert_uint_eq(pv->used[HV_F_XMM_INPUT], 1);
    /* 112 bytes: 24 of header and 11 elements. */
    ck_assert_uint_eq(call(HV_CALL_FLUSH_LIST | FAST | REPS(11, 0), 0, 0), 11ull << 32);
    ck_assert_uint_eq(call(HV_CALL_FLUSH_LIST | FAST | REPS(12, 0), 0, 0), 3);
    ck_assert_uint_eq(call(HV_CALL_POST_MESSAGE | FAST, 0, 0), 3);
    restart("hyperv,-xmm-input");
    wrmsr(MSR_HV_GUEST_OS_ID, 1);
    wrmsr(MSR_HV_HYPERCALL, PAGE_GPA | 1);
    ck_assert(!try_call(HV_CALL_FLUSH_SPACE | FAST, 0, 0));
    ck_assert(try_call(HV_CALL_SEND_IPI | FAST, 0x60, 3));
}
END_TEST

START_TEST(outside_64_bit_mode_pairs_of_registers_are_used)
{
    cpu->key = KEY_CODE32;
    dma_write64(&phys, IN_GPA + 16, 1);
    cpu->gpr[RDX] = 3; /* reps */
    cpu->gpr[RAX] = 0xdead00000000ull | HV_CALL_FLUSH_LIST;
    cpu->gpr[RBX] = 0;
    cpu->gpr[RCX] = 0xbeef00000000ull | IN_GPA;
    ck_assert(pv_hypercall(pv, cpu));
    ck_assert_uint_eq(cpu->gpr[RAX], 0);
    ck_assert_uint_eq(cpu->gpr[RDX], 3);
    cpu->gpr[RDX] = 0;
    cpu->gpr[RAX] = HV_CALL_SEND_IPI | FAST;
    cpu->gpr[RBX] = 0;
    cpu->gpr[RCX] = 0x61;
    cpu->gpr[RDI] = 0;
    cpu->gpr[RSI] = 2;
    ck_assert(pv_hypercall(pv, cpu));
    ck_assert_int_eq(lapic_ack(second), 0x61);
}
END_TEST

START_TEST(a_repeated_call_goes_on_where_it_is_told_to)
{
    u64 pages = cpu->tlb.stats.flush_page;

    ck_assert_uint_eq(
        CALL(HV_CALL_FLUSH_LIST | REPS(4, 1), 0, 0, 1, 0x1000, 0x2000, 0x3000, 0x4000), 4ull << 32);
    ck_assert_uint_eq(cpu->gpr[RCX], HV_CALL_FLUSH_LIST | REPS(4, 4));
    pv_enter(pv, cpu);
    ck_assert_uint_eq(cpu->tlb.stats.flush_page, pages); /* it was not inside: all of its TLB */
    ck_assert_uint_eq(
        CALL(HV_CALL_FLUSH_LIST | REPS(4, 1), 0, 0, 1, 0x1000, 0x2000, 0x3000, 0x4000), 4ull << 32);
    ck_assert_uint_eq(cpu->tlb.stats.flush_page, pages + 3);
}
END_TEST

/* ---- flushes --------------------------------------------------------------------------------- */

START_TEST(who_runs_is_flushed_at_once_and_who_sleeps_when_it_wakes)
{
    u64 all = other->tlb.stats.flush_all, own = cpu->tlb.stats.flush_all;

    pv_enter(pv, cpu);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, 0, 3), 0);
    ck_assert_uint_eq(cpu->tlb.stats.flush_all, own + 1);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all);
    pv_enter(pv, other);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 1);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, 0, 2), 0);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 2);
    pv_leave(pv, other, true);
    pv_enter(pv, other);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 2);
    ck_assert_uint_eq(pv->used[HV_F_TLB_FLUSH], 2);
}
END_TEST

START_TEST(a_flush_of_everyone_ignores_the_mask)
{
    u64 all = other->tlb.stats.flush_all;

    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, HV_FLUSH_ALL_PROCESSORS, 0), 0);
    pv_enter(pv, other);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 1);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, 0, ~0ull << 2), 0); /* nobody that there is */
}
END_TEST

START_TEST(global_pages_survive_where_the_guest_says_so)
{
    u64 global = cpu->tlb.epoch_global;

    pv_enter(pv, cpu);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, HV_FLUSH_NON_GLOBAL_ONLY, 1), 0);
    ck_assert_uint_eq(cpu->tlb.epoch_global, global);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, HV_FLUSH_ALL_SPACES, 1), 0);
    ck_assert_uint_ne(cpu->tlb.epoch_global, global);
}
END_TEST

START_TEST(flags_that_are_reserved_or_senseless_are_invalid)
{
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, 8, 1), 5);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE, 0, 1ull << 63, 1), 5);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_LIST | REPS(1, 0), 0, HV_FLUSH_NON_GLOBAL_ONLY, 1, 0), 5);
}
END_TEST

START_TEST(ranges_count_pages_and_long_ones_flush_all)
{
    u64 pages = cpu->tlb.stats.flush_page, all = cpu->tlb.stats.flush_all;

    pv_enter(pv, cpu);
    CALL(HV_CALL_FLUSH_LIST | REPS(1, 0), 0, 0, 1, 0x7000 | 9);
    ck_assert_uint_eq(cpu->tlb.stats.flush_page, pages + 10);
    ck_assert_uint_eq(cpu->tlb.stats.flush_all, all);
    CALL(HV_CALL_FLUSH_LIST | REPS(2, 0), 0, 0, 1, 0x7000 | 0xfff, ~0ull);
    ck_assert_uint_eq(cpu->tlb.stats.flush_page, pages + 10);
    ck_assert_uint_eq(cpu->tlb.stats.flush_all, all + 1);
    cpu->cr4 = CR4_PCIDE; /* what a page is in other spaces is not known */
    CALL(HV_CALL_FLUSH_LIST | REPS(1, 0), 0, 0, 1, 0x7000);
    ck_assert_uint_eq(cpu->tlb.stats.flush_all, all + 2);
}
END_TEST

START_TEST(sparse_sets_name_processors_by_banks)
{
    u64 all = other->tlb.stats.flush_all;

    pv_enter(pv, other);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX | VAR(1), 0, 0, 0, 1, 2), 0);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 1);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX | VAR(2), 0, 0, 0, 1 | 1ull << 63, 1, 2), 0);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 1);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX, 0, 0, 1, 0), 0); /* all */
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 2);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX, 0, 0, 0, 0), 0); /* none */
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 2);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_LIST_EX | VAR(1) | REPS(1, 0), 0, 0, 0, 1, 2, 0xfff),
                      1ull << 32);
    ck_assert_uint_eq(other->tlb.stats.flush_all, all + 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX, 0, 0, 0, 1), 3); /* a bank without contents */
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX | VAR(2), 0, 0, 0, 1, 2, 2), 3);
    ck_assert_uint_eq(CALL(HV_CALL_FLUSH_SPACE_EX, 0, 0, 2, 0), 5); /* no such format */
    ck_assert_uint_eq(pv->used[HV_F_EX_MASKS], 5);
}
END_TEST

/* ---- IPIs, spinning -------------------------------------------------------------------------- */

START_TEST(an_ipi_reaches_the_processors_of_its_set)
{
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI, 0x70, 2), 0);
    ck_assert_int_eq(lapic_ack(second), 0x70);
    ck_assert_int_eq(lapic_ack(lapic), -1);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI_EX | VAR(1), 0x81, 0, 1, 2), 0);
    ck_assert_int_eq(lapic_ack(second), 0x81);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI_EX, 0x91, 1, 0), 0);
    ck_assert_int_eq(lapic_ack(second), 0x91);
    ck_assert_int_eq(lapic_ack(lapic), 0x91);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI, 0x82, ~0ull << 2), 0); /* nobody that there is */
    ck_assert_uint_eq(pv->used[HV_F_IPI], 4);
}
END_TEST

START_TEST(an_ipi_has_a_fixed_vector_and_no_trust_level)
{
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI, 0x0f, 1), 5);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI, 0x100, 1), 5);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI, 1ull << 32 | 0x50, 1), 5);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI, 0x11ull << 32 | 0x50, 1), 5);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI, 0x10ull << 32 | 0x50, 1), 0);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI_EX | VAR(1), 0x0f, 0, 1, 2), 5);
    ck_assert_uint_eq(CALL(HV_CALL_SEND_IPI_EX, 0x50, 7, 0), 5);
}
END_TEST

START_TEST(a_long_spin_gives_the_processor_to_another)
{
    ck_assert_uint_eq(call(HV_CALL_LONG_SPIN_WAIT | FAST, 1000, 0), 0);
    ck_assert_uint_eq(yields, 1);
    ck_assert_uint_eq(yielded_to, 1);
    ck_assert_uint_eq(pv->used[HV_F_SPIN_WAIT], 1);
}
END_TEST

/* ---- connections ----------------------------------------------------------------------------- */

#define SIM_GPA 0x30000ull
#define SIEF_GPA 0x31000ull
#define MESSAGE 0x20u
#define EVENT 0x21u

static void connect(u32 command, u32 connection, u32 vp, u32 sint)
{
    iobus_write(env.io, 0x3000, connection << 24 | command << 16 | vp << 8 | sint, 4);
}

static void open_synic(void)
{
    wrmsr_on(other, MSR_HV_SCONTROL, 1);
    wrmsr_on(other, MSR_HV_SIMP, SIM_GPA | 1);
    wrmsr_on(other, MSR_HV_SIEFP, SIEF_GPA | 1);
    wrmsr_on(other, MSR_HV_SINT0 + 8, 0xb0);
    wrmsr_on(other, MSR_HV_SINT0 + 9, 0xb1);
    connect(4, MESSAGE, 1, 8);
    connect(6, EVENT, 1, 9);
}

static u64 post(u32 connection, u32 type, u32 bytes, u64 payload)
{
    return CALL(HV_CALL_POST_MESSAGE, connection, (u64)bytes << 32 | type, payload);
}

static u64 signal_event(u64 input)
{
    return call(HV_CALL_SIGNAL_EVENT | FAST, input, 0);
}

START_TEST(a_message_goes_into_its_slot_with_an_interrupt)
{
    open_synic();
    ck_assert_uint_eq(post(MESSAGE, 0x12345678, 8, 0xabcdef), 0);
    ck_assert_int_eq(lapic_ack(second), 0xb0);
    ck_assert_uint_eq(dma_read32(&phys, SIM_GPA + 0x800), 0x12345678);
    ck_assert_uint_eq(dma_read32(&phys, SIM_GPA + 0x804), 8);
    ck_assert_uint_eq(dma_read64(&phys, SIM_GPA + 0x808), MESSAGE);
    ck_assert_uint_eq(dma_read64(&phys, SIM_GPA + 0x810), 0xabcdef);
}
END_TEST

START_TEST(messages_queue_behind_a_slot_that_is_taken_and_come_in_order)
{
    open_synic();
    ck_assert_uint_eq(post(MESSAGE, 1, 8, 100), 0);
    for (u64 i = 1; i <= 16; i++)
        ck_assert_uint_eq(post(MESSAGE, 1, 8, 100 + i), 0);
    ck_assert_uint_eq(post(MESSAGE, 1, 8, 0), 19);
    ck_assert_uint_eq(dma_read32(&phys, SIM_GPA + 0x804), 1 << 8 | 8); /* another waits */
    ck_assert_int_eq(lapic_ack(second), 0xb0);
    lapic_write_eoi(second);
    for (u64 i = 1; i <= 16; i++) {
        dma_write32(&phys, SIM_GPA + 0x800, 0);
        wrmsr_on(other, MSR_HV_EOM, 0);
        ck_assert_uint_eq(dma_read64(&phys, SIM_GPA + 0x810), 100 + i);
        ck_assert_int_eq(lapic_ack(second), 0xb0);
        lapic_write_eoi(second);
    }
    dma_write32(&phys, SIM_GPA + 0x800, 0);
    wrmsr_on(other, MSR_HV_EOM, 0);
    ck_assert_uint_eq(dma_read32(&phys, SIM_GPA + 0x800), 0);
}
END_TEST

START_TEST(the_end_of_the_interrupt_brings_the_next_message)
{
    open_synic();
    ck_assert_uint_eq(post(MESSAGE, 1, 8, 100), 0);
    ck_assert_uint_eq(post(MESSAGE, 1, 8, 101), 0);
    ck_assert_int_eq(lapic_ack(second), 0xb0);
    dma_write32(&phys, SIM_GPA + 0x800, 0);
    lapic_write_eoi(second);
    ck_assert_uint_eq(dma_read64(&phys, SIM_GPA + 0x810), 101);
    ck_assert_int_eq(lapic_ack(second), 0xb0);
}
END_TEST

START_TEST(an_event_sets_its_flag_and_interrupts_once)
{
    open_synic();
    ck_assert_uint_eq(signal_event(EVENT), 0);
    ck_assert_uint_eq(dma_read32(&phys, SIEF_GPA + 0x904), 1u << (EVENT - 32));
    ck_assert_int_eq(lapic_ack(second), 0xb1);
    lapic_write_eoi(second);
    ck_assert_uint_eq(signal_event(EVENT), 0);
    ck_assert_int_eq(lapic_ack(second), -1);
}
END_TEST

START_TEST(connections_have_errors_of_their_own)
{
    ck_assert_uint_eq(post(MESSAGE, 1, 8, 0), 18);
    ck_assert_uint_eq(signal_event(EVENT), 18);
    ck_assert_uint_eq(signal_event(0x1234), 18);
    open_synic();
    ck_assert_uint_eq(post(EVENT, 1, 8, 0), 17);
    ck_assert_uint_eq(signal_event(MESSAGE), 17);
    ck_assert_uint_eq(post(MESSAGE, 0, 8, 0), 5);
    ck_assert_uint_eq(post(MESSAGE, 0x80000000, 8, 0), 5);
    ck_assert_uint_eq(post(MESSAGE, 1, 241, 0), 5);
    ck_assert_uint_eq(post(MESSAGE, 1, 240, 0), 0);
    ck_assert_uint_eq(signal_event(1ull << 32 | EVENT), 5);
    wrmsr_on(other, MSR_HV_SIMP, 0);
    ck_assert_uint_eq(post(MESSAGE, 1, 8, 0), 24);
    wrmsr_on(other, MSR_HV_SINT0 + 9, 0x100b1 | 1 << 16);
    ck_assert_uint_eq(signal_event(EVENT), 24);
    wrmsr_on(other, MSR_HV_SCONTROL, 0);
    ck_assert_uint_eq(signal_event(EVENT), 24);
    connect(5, MESSAGE, 0, 0);
    ck_assert_uint_eq(post(MESSAGE, 1, 8, 0), 18);
    connect(4, 1, 9, 0); /* no such processor */
    ck_assert_uint_eq(post(1, 1, 8, 0), 18);
    connect(4, 1, 0, 16); /* no such source */
    ck_assert_uint_eq(post(1, 1, 8, 0), 18);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_hyperv_calls");
    TCase *c = tcase_create("pv_hyperv_calls");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, machine_teardown);
    tcase_add_test(c, calls_are_undefined_where_they_are_illegal);
    tcase_add_test(c, a_code_that_is_unknown_or_off_is_invalid);
    tcase_add_test(c, ex_calls_are_there_with_their_hint_only);
    tcase_add_test(c, a_control_word_is_checked);
    tcase_add_test(c, input_lies_in_one_page_of_memory);
    tcase_add_test(c, fast_input_comes_in_registers);
    tcase_add_test(c, more_fast_input_comes_in_xmm_registers);
    tcase_add_test(c, outside_64_bit_mode_pairs_of_registers_are_used);
    tcase_add_test(c, a_repeated_call_goes_on_where_it_is_told_to);
    tcase_add_test(c, who_runs_is_flushed_at_once_and_who_sleeps_when_it_wakes);
    tcase_add_test(c, a_flush_of_everyone_ignores_the_mask);
    tcase_add_test(c, global_pages_survive_where_the_guest_says_so);
    tcase_add_test(c, flags_that_are_reserved_or_senseless_are_invalid);
    tcase_add_test(c, ranges_count_pages_and_long_ones_flush_all);
    tcase_add_test(c, sparse_sets_name_processors_by_banks);
    tcase_add_test(c, an_ipi_reaches_the_processors_of_its_set);
    tcase_add_test(c, an_ipi_has_a_fixed_vector_and_no_trust_level);
    tcase_add_test(c, a_long_spin_gives_the_processor_to_another);
    tcase_add_test(c, a_message_goes_into_its_slot_with_an_interrupt);
    tcase_add_test(c, messages_queue_behind_a_slot_that_is_taken_and_come_in_order);
    tcase_add_test(c, the_end_of_the_interrupt_brings_the_next_message);
    tcase_add_test(c, an_event_sets_its_flag_and_interrupts_once);
    tcase_add_test(c, connections_have_errors_of_their_own);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
