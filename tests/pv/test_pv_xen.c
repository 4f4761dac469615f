/*
 * test_pv_xen.c: Xen's interface for HVM domains, from the guest's side: CPUID, pages, hypercalls,
 * event channels, timers, grants, the console.
 */
#include "devices/backend/chardev.h"
#include "devices/xen_platform.h"
#include "pv/pvclock.h"
#include "pv/xen/xen.h"

#include "pv_fixture.h" /* has variables named as parameters in the others */

/* Where the guest keeps things: its RAM ends at 1 MiB. */
#define SHARED 0x20000ull
#define ARG 0x30000ull
#define CONTROL 0x40000ull
#define WORDS 0x41000ull
#define HOLE 0xf0000000ull

#define SHARED_PENDING 2048
#define SHARED_MASK (2048 + 512)

enum { HC_memory_op = 12, HC_multicall = 13, HC_set_timer_op = 15, HC_xen_version = 17, HC_console_io = 18,
       HC_grant_table_op = 20, HC_vcpu_op = 24, HC_sched_op = 29, HC_event_channel_op = 32, HC_hvm_op = 34 };

static unsigned poweroffs, intr_raised;
static bool intr_level;
static struct xen_platform_hook hook;
static struct chardev *console;

static void on_poweroff(void *opaque) { (void)opaque, poweroffs++; }
static void on_intr(void *opaque, unsigned n, bool level)
{
    (void)opaque, (void)n;
    intr_raised += level;
    intr_level = level;
}

static void setup(void)
{
    struct err e = {0};

    machine_setup("none");
    console = chardev_open("buffer", &e);
    ck_assert_ptr_nonnull(console);
    env.poweroff = on_poweroff;
    env.raise_intr = on_intr;
    env.platform_hook = &hook;
    env.console = console;
    poweroffs = intr_raised = 0;
    restart("xen");
}

static void teardown(void)
{
    machine_teardown();
    chardev_close(console);
}

static s64 call(u64 nr, u64 a0, u64 a1, u64 a2)
{
    cpu->gpr[RAX] = nr;
    cpu->gpr[RDI] = a0;
    cpu->gpr[RSI] = a1;
    cpu->gpr[RDX] = a2;
    ck_assert(pv_hypercall(pv, cpu));
    return (s64)cpu->gpr[RAX];
}

static s64 call32(u32 nr, u32 a0, u32 a1)
{
    s64 r;

    cpu->key &= ~KEY_CODE64;
    cpu->gpr[RAX] = nr;
    cpu->gpr[RBX] = a0;
    cpu->gpr[RCX] = a1;
    ck_assert(pv_hypercall(pv, cpu));
    r = (s32)cpu->gpr[RAX];
    cpu->key |= KEY_CODE64;
    return r;
}

static void words(gpa_t at, unsigned n, const u32 *w)
{
    for (unsigned i = 0; i < n; i++)
        dma_write32(&phys, at + 4 * i, w[i]);
}

#define ARGS(...)                                                                                  \
    words(ARG, sizeof((u32[]){__VA_ARGS__}) / 4, (u32[]){__VA_ARGS__})

static s64 event_op(u64 op) { return call(HC_event_channel_op, op, ARG, 0); }

static void place_shared_info(gpa_t at)
{
    ARGS(DOMID_SELF, 0, 0, 0, (u32)(at / 4096), 0);
    ck_assert_int_eq(call(HC_memory_op, 7, ARG, 0), 0);
}

static u32 bind_ipi(unsigned n)
{
    ARGS(n, 0);
    ck_assert_int_eq(event_op(7), 0);
    return dma_read32(&phys, ARG + 4);
}

static void set_vector(unsigned n, u8 vector)
{
    ARGS(n, vector);
    ck_assert_int_eq(call(HC_hvm_op, 23, ARG, 0), 0);
}

static s64 send(u32 port)
{
    ARGS(port);
    return event_op(4);
}

/* ---- detection ------------------------------------------------------------------------------- */

START_TEST(leaves_name_xen_and_its_hypercall_msr)
{
    u32 r[4] = {0};

    ck_assert(pv_cpuid(pv, 0x40000000, 0, r));
    ck_assert_uint_eq(r[0], 0x40000005);
    ck_assert_mem_eq(&r[1], "XenVMMXenVMM", 12);
    ck_assert(pv_cpuid(pv, 0x40000001, 0, r));
    ck_assert_uint_eq(r[0], 4 << 16 | 17);
    ck_assert(pv_cpuid(pv, 0x40000002, 0, r));
    ck_assert_uint_eq(r[0], 1);
    ck_assert_uint_eq(r[1], 0x40000000);
    ck_assert(pv_cpuid(pv, 0x40000004, 0, r));
    ck_assert_uint_eq(r[0], BIT(4) | BIT(6));
    ck_assert_uint_eq(r[2], 1);
    ck_assert(!pv_cpuid(pv, 0x40000006, 0, r));
}
END_TEST

START_TEST(hypercall_page_has_a_stub_for_each_number)
{
    u8 page[4096];

    wrmsr(0x40000000, PAGE_GPA);
    ck_assert(dma_read(&phys, PAGE_GPA, page, sizeof page));
    ck_assert_mem_eq(page + 32 * 17, "\xb8\x11\0\0\0\x0f\x01\xc1\xc3", 9);
    ck_assert_mem_eq(page + 32 * 23 + 5, "\x0f\x0b", 2); /* iret is not for us */
    ck_assert(wrmsr_faults(0x40000000, PAGE_GPA + 1));   /* there is no second page */
    ck_assert(wrmsr_faults(0x40000000, HOLE));
    ck_assert(is_unknown(0x40000001));
}
END_TEST

START_TEST(calls_from_user_mode_or_real_mode_are_refused)
{
    cpu->cpl = 3;
    ck_assert_int_eq(call(HC_xen_version, 0, 0, 0), -1);
    ck_assert_int_eq(call(99, 0, 0, 0), -1);
    cpu->cpl = 0;
    cpu->cr0 = 0;
    ck_assert_int_eq(call(HC_xen_version, 0, 0, 0), -1);
    cpu->cr0 = CR0_PE;
    ck_assert_int_eq(call(99, 0, 0, 0), -38);
    ck_assert_int_eq(call(1ull << 32 | HC_xen_version, 0, 0, 0), -38);
    ck_assert_int_eq(call32(HC_xen_version, 0, 0), 4 << 16 | 17);
}
END_TEST

START_TEST(features_follow_the_rows)
{
    ARGS(0, 0);
    ck_assert_int_eq(call(HC_xen_version, 6, ARG, 0), 0);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 4), BIT(0) | BIT(2) | BIT(8) | BIT(9) | BIT(16));
    restart("xen,-pvclock,-upcall-vector");
    ck_assert_int_eq(call(HC_xen_version, 6, ARG, 0), 0);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 4) & BIT(9), 0);
    ARGS(0, 0xf3);
    ck_assert_int_eq(call(HC_hvm_op, 23, ARG, 0), -38);
    ARGS(1, 0);
    ck_assert_int_eq(call(HC_xen_version, 6, ARG, 0), -22); /* there is one submap */
    ck_assert_int_eq(call(HC_xen_version, 6, HOLE, 0), -14);
}
END_TEST

/* ---- pages ----------------------------------------------------------------------------------- */

START_TEST(shared_info_goes_where_the_guest_wants_it)
{
    u8 gone[64], page[4096];

    place_shared_info(SHARED);
    ck_assert_uint_eq(dma_read32(&phys, SHARED + 3072) & 1, 0); /* the wall clock, complete */
    ck_assert_uint_eq(dma_read32(&phys, SHARED + 3076), 1700000000);
    place_shared_info(HOLE); /* over nothing */
    ck_assert_uint_eq(dma_read32(&phys, HOLE + 3076), 1700000000);
    ck_assert(dma_read(&phys, SHARED, page, sizeof page)); /* the RAM is the guest's again */
    ARGS(DOMID_SELF, 0, HOLE / 4096, 0);
    ck_assert_int_eq(call(HC_memory_op, 15, ARG, 0), 0);
    ck_assert(!dma_read(&phys, HOLE, gone, sizeof gone));
}
END_TEST

START_TEST(pages_are_not_placed_elsewhere)
{
    ARGS(DOMID_SELF, 0, 1, 0, SHARED / 4096, 0); /* a second shared info */
    ck_assert_int_eq(call(HC_memory_op, 7, ARG, 0), -22);
    ARGS(DOMID_SELF, 0, 0, 0, 0, 0x100); /* beyond all addresses */
    ck_assert_int_eq(call(HC_memory_op, 7, ARG, 0), -22);
    ARGS(3, 0, 0, 0, SHARED / 4096, 0); /* another domain */
    ck_assert_int_eq(call(HC_memory_op, 7, ARG, 0), -3);
    ARGS(DOMID_SELF, 2, 0, 0, SHARED / 4096, 0); /* a page of its own */
    ck_assert_int_eq(call(HC_memory_op, 7, ARG, 0), -38);
    ARGS(DOMID_SELF, 1, 32, 0, SHARED / 4096, 0); /* one grant frame too many */
    ck_assert_int_eq(call(HC_memory_op, 7, ARG, 0), -22);
    ck_assert_int_eq(call(HC_memory_op, 7, HOLE, 0), -14);
}
END_TEST

START_TEST(a_ballooned_page_comes_back_empty)
{
    dma_write32(&phys, 0x50000, 0x12345678);
    dma_write64(&phys, 0x51000, 0x50);
    ARGS(0x51000, 0, 1, 0, 0, 0, DOMID_SELF);
    ck_assert_int_eq(call(HC_memory_op, 1, ARG, 0), 1);
    ck_assert_uint_eq(dma_read32(&phys, 0x50000), 0);
    ck_assert_int_eq(call(HC_memory_op, 6, ARG, 0), 1);
    dma_write64(&phys, 0x51000, HOLE / 4096);
    ck_assert_int_eq(call(HC_memory_op, 1, ARG, 0), 0);
}
END_TEST

/* ---- events ---------------------------------------------------------------------------------- */

START_TEST(an_ipi_sets_pending_selector_and_upcall)
{
    u32 port;

    place_shared_info(SHARED);
    set_vector(1, 0xf3);
    port = bind_ipi(1);
    ck_assert_int_eq(send(port), 0);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + SHARED_PENDING), BIT64(port));
    ck_assert_uint_eq(dma_read64(&phys, SHARED + 64 + 8), 1);
    ck_assert_uint_eq(dma_read32(&phys, SHARED + 64) & 0xff, 1);
    ck_assert_int_eq(lapic_ack(second), 0xf3);
    ck_assert_int_eq(send(port), 0); /* it is pending already */
    ck_assert_int_eq(lapic_ack(second), -1);
}
END_TEST

START_TEST(a_masked_event_waits_for_unmask)
{
    u32 port;

    place_shared_info(SHARED);
    set_vector(0, 0xf3);
    port = bind_ipi(0);
    dma_write64(&phys, SHARED + SHARED_MASK, BIT64(port));
    ck_assert_int_eq(send(port), 0);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + 8), 0);
    ck_assert_int_eq(lapic_ack(lapic), -1);
    ARGS(port);
    ck_assert_int_eq(event_op(9), 0);
    ck_assert_int_eq(lapic_ack(lapic), 0xf3);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + SHARED_MASK), 0);
}
END_TEST

START_TEST(guests_of_32_bits_have_their_own_layout)
{
    ARGS(DOMID_SELF, 0, 0, SHARED / 4096);
    ck_assert_int_eq(call32(HC_memory_op, 7, ARG), 0);
    ARGS(0, 0);
    ck_assert_int_eq(call32(HC_event_channel_op, 7, ARG), 0);
    u32 port = dma_read32(&phys, ARG + 4);
    ARGS(port);
    ck_assert_int_eq(call32(HC_event_channel_op, 4, ARG), 0);
    ck_assert_uint_eq(dma_read32(&phys, SHARED + 2048), BIT(port));
    ck_assert_uint_eq(dma_read32(&phys, SHARED + 4), 1);
    ck_assert_uint_eq(dma_read32(&phys, SHARED + 2304 + 4), 1700000000);
}
END_TEST

START_TEST(a_registered_vcpu_info_takes_over_and_says_all_is_pending)
{
    place_shared_info(SHARED);
    set_vector(1, 0x40);
    ARGS(CONTROL / 4096, 0, 64, 0);
    ck_assert_int_eq(call(HC_vcpu_op, 10, 1, ARG), 0);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL + 64) & 0xff, 1);
    ck_assert_uint_eq(dma_read64(&phys, CONTROL + 64 + 8), ~0ull);
    ck_assert_int_eq(lapic_ack(second), 0x40);
    ck_assert_int_eq(call(HC_vcpu_op, 10, 1, ARG), -22); /* once */
    ARGS(CONTROL / 4096, 0, 4096 - 32, 0);
    ck_assert_int_eq(call(HC_vcpu_op, 10, 0, ARG), -22); /* across pages */
    ARGS(HOLE / 4096, 0, 0, 0);
    ck_assert_int_eq(call(HC_vcpu_op, 10, 0, ARG), -22);
    ck_assert_int_eq(call(HC_vcpu_op, 10, 2, ARG), -2); /* no such vCPU */
}
END_TEST

START_TEST(the_callback_vector_stays_until_the_flag_is_cleared)
{
    u32 port;

    restart("xen,-upcall-vector");
    place_shared_info(SHARED);
    port = bind_ipi(0);
    ARGS(DOMID_SELF, 0, 0xf3, 2u << 24);
    ck_assert_int_eq(call(HC_hvm_op, 0, ARG, 0), 0);
    ck_assert_int_eq(send(port), 0);
    ck_assert_uint_eq(intr_raised, 1);
    ck_assert_int_eq(pv_intr_ack(pv, cpu), 0xf3);
    ck_assert_int_eq(pv_intr_ack(pv, cpu), 0xf3);
    ck_assert(intr_level);
    dma_write32(&phys, SHARED, 0);
    ck_assert_int_eq(pv_intr_ack(pv, cpu), -1);
    ck_assert(!intr_level);
    ARGS(DOMID_SELF, 0, 3, 2u << 24); /* an exception's vector */
    ck_assert_int_eq(call(HC_hvm_op, 0, ARG, 0), -22);
}
END_TEST

static void use_fifo(void)
{
    ARGS(CONTROL / 4096, 0, 0, 0);
    ck_assert_int_eq(event_op(11), 0);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 16) & 0xff, 17);
    ARGS(WORDS / 4096, 0);
    ck_assert_int_eq(event_op(12), 0);
}

START_TEST(fifo_links_events_in_the_order_they_came)
{
    u32 a, b, c;

    place_shared_info(SHARED);
    set_vector(0, 0xf3);
    use_fifo();
    a = bind_ipi(0), b = bind_ipi(0), c = bind_ipi(0);
    ARGS(c, 0);
    ck_assert_int_eq(event_op(13), 0); /* the highest priority */
    send(b), send(a), send(c);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL), BIT(7) | BIT(0));
    ck_assert_uint_eq(dma_read32(&phys, CONTROL + 8 + 4 * 7), b);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL + 8), c);
    ck_assert_uint_eq(dma_read32(&phys, WORDS + 4 * b), BIT(31) | BIT(29) | a);
    ck_assert_uint_eq(dma_read32(&phys, WORDS + 4 * a), BIT(31) | BIT(29));
    ck_assert_int_eq(lapic_ack(lapic), 0xf3);
}
END_TEST

START_TEST(fifo_begins_a_queue_anew_when_the_guest_took_the_tail)
{
    u32 a, b;

    place_shared_info(SHARED);
    use_fifo();
    a = bind_ipi(0), b = bind_ipi(0);
    send(a);
    dma_write32(&phys, WORDS + 4 * a, 0); /* consumed */
    dma_write32(&phys, CONTROL, 0);
    send(b);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL + 8 + 4 * 7), b);
    ck_assert_uint_eq(dma_read32(&phys, WORDS + 4 * a), 0);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL), BIT(7));
}
END_TEST

START_TEST(fifo_refuses_what_it_cannot_reach)
{
    ARGS(WORDS / 4096, 0);
    ck_assert_int_eq(event_op(12), -22); /* before init_control */
    ARGS(CONTROL / 4096, 0, 4096 - 64, 0);
    ck_assert_int_eq(event_op(11), -22);
    ARGS(CONTROL / 4096, 0, 4, 0);
    ck_assert_int_eq(event_op(11), -22);
    ARGS(HOLE / 4096, 0, 0, 0);
    ck_assert_int_eq(event_op(11), -22);
    ARGS(CONTROL / 4096, 0, 0, 2);
    ck_assert_int_eq(event_op(11), -2);
    use_fifo();
    for (int i = 0; i < 3; i++) {
        ARGS(WORDS / 4096, 0);
        ck_assert_int_eq(event_op(12), 0);
    }
    ARGS(WORDS / 4096, 0);
    ck_assert_int_eq(event_op(12), -28);
    restart("xen,-evtchn-fifo");
    ARGS(CONTROL / 4096, 0, 0, 0);
    ck_assert_int_eq(event_op(11), -38);
}
END_TEST

START_TEST(ports_are_bound_once_and_closed)
{
    u32 port;

    ARGS(VIRQ_TIMER, 1, 0);
    ck_assert_int_eq(event_op(1), 0);
    port = dma_read32(&phys, ARG + 8);
    ARGS(VIRQ_TIMER, 1, 0);
    ck_assert_int_eq(event_op(1), -17);
    ARGS(VIRQ_CONSOLE, 1, 0);
    ck_assert_int_eq(event_op(1), -22); /* a global one belongs to vCPU 0 at first */
    ARGS(24, 0, 0);
    ck_assert_int_eq(event_op(1), -22);
    ARGS(VIRQ_TIMER, 2, 0);
    ck_assert_int_eq(event_op(1), -2);
    ck_assert_int_eq(send(port), -22); /* only Xen raises it */
    ARGS(port, 0);
    ck_assert_int_eq(event_op(8), -22); /* it stays with its vCPU */
    ARGS(DOMID_SELF, port, 0, 0, 0, 0);
    ck_assert_int_eq(event_op(5), 0);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 8), 4);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 12), 1);
    ARGS(port);
    ck_assert_int_eq(event_op(3), 0);
    ck_assert_int_eq(event_op(3), -22);
    ARGS(0);
    ck_assert_int_eq(event_op(3), -22);
    ARGS(~0u);
    ck_assert_int_eq(event_op(4), -22);
}
END_TEST

START_TEST(two_ends_within_the_domain_reach_each_other)
{
    u32 here, there;

    place_shared_info(SHARED);
    ARGS(DOMID_SELF | DOMID_SELF << 16, 0);
    ck_assert_int_eq(event_op(6), 0);
    here = dma_read32(&phys, ARG + 4);
    ARGS(DOMID_SELF, here, 0);
    ck_assert_int_eq(event_op(0), 0);
    there = dma_read32(&phys, ARG + 8);
    dma_write64(&phys, SHARED + SHARED_PENDING, 0);
    send(there);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + SHARED_PENDING), BIT64(here));
    ARGS(there);
    ck_assert_int_eq(event_op(3), 0);
    ck_assert_int_eq(send(here), 0); /* nobody hears it */
    ARGS(0, here, 0);
    ck_assert_int_eq(event_op(0), -3); /* domain 0 offers nothing */
}
END_TEST

START_TEST(ports_end)
{
    s64 r = 0;

    for (unsigned i = 0; i < XEN_PORTS && !r; i++) {
        ARGS(0, 0);
        r = event_op(7);
    }
    ck_assert_int_eq(r, -28);
    ARGS(DOMID_SELF);
    ck_assert_int_eq(event_op(10), 0);
    bind_ipi(0);
}
END_TEST

/* ---- time and scheduling --------------------------------------------------------------------- */

static u32 bind_timer(void)
{
    ARGS(VIRQ_TIMER, 0, 0);
    ck_assert_int_eq(event_op(1), 0);
    return dma_read32(&phys, ARG + 8);
}

START_TEST(a_single_shot_fires_at_its_time)
{
    u32 port;

    place_shared_info(SHARED);
    port = bind_timer();
    ARGS(1000000, 0, 0);
    ck_assert_int_eq(call(HC_vcpu_op, 8, 0, ARG), 0);
    advance(999999);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + SHARED_PENDING), 0);
    advance(1);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + SHARED_PENDING), BIT64(port));
    ARGS(1000, 0, 1);
    ck_assert_int_eq(call(HC_vcpu_op, 8, 0, ARG), -62); /* in the past, and not wanted so */
    ck_assert_int_eq(call(HC_vcpu_op, 8, 1, ARG), -22); /* another vCPU's */
}
END_TEST

START_TEST(a_periodic_timer_ticks_until_it_is_stopped)
{
    place_shared_info(SHARED);
    bind_timer();
    ARGS(999999, 0);
    ck_assert_int_eq(call(HC_vcpu_op, 6, 0, ARG), -22); /* too fast */
    ARGS(1000000, 0);
    ck_assert_int_eq(call(HC_vcpu_op, 6, 0, ARG), 0);
    for (int i = 0; i < 3; i++) {
        advance(1000000);
        ck_assert_uint_ne(dma_read64(&phys, SHARED + SHARED_PENDING), 0);
        dma_write64(&phys, SHARED + SHARED_PENDING, 0);
    }
    ck_assert_int_eq(call(HC_vcpu_op, 7, 0, 0), 0);
    advance(5000000);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + SHARED_PENDING), 0);
}
END_TEST

START_TEST(the_time_page_agrees_with_system_time)
{
    u8 p[PVCLOCK_BYTES];
    struct pvclock_time t;

    place_shared_info(SHARED);
    advance(123456789);
    ck_assert(dma_read(&phys, SHARED + 32, p, sizeof p));
    t = (struct pvclock_time){.tsc = ld_le64(p + 8), .system_ns = ld_le64(p + 16),
                              .mul = ld_le32(p + 24), .shift = (s8)p[28]};
    u64 ns = pvclock_read_ns(&t, cpu_tsc(cpu));
    ck_assert_uint_le(ns, clock_now_ns(&virtual_time));
    ck_assert_uint_ge(ns + 100, clock_now_ns(&virtual_time));
    ck_assert_int_eq(call(HC_hvm_op, 10, ARG, 0), 0);
    ck_assert_uint_eq(dma_read64(&phys, ARG), clock_now_ns(&virtual_time));
}
END_TEST

static void poll_for(u32 port, u64 timeout)
{
    dma_write32(&phys, ARG + 64, port);
    ARGS(ARG + 64, 0, 1, 0, (u32)timeout, 0);
    ck_assert_int_eq(call(HC_sched_op, 3, ARG, 0), 0);
}

START_TEST(poll_sleeps_until_the_event_or_the_timeout)
{
    u32 port;

    place_shared_info(SHARED);
    port = bind_ipi(0);
    poll_for(port, 0);
    ck_assert(cpu->halted);
    pv_leave(pv, cpu, true);
    pv_enter(pv, cpu);
    ck_assert(cpu->halted);
    send(port);
    pv_enter(pv, cpu);
    ck_assert(!cpu->halted);
    poll_for(port, 0); /* it is pending now */
    ck_assert(!cpu->halted);
    dma_write64(&phys, SHARED + SHARED_PENDING, 0);
    poll_for(port, 5000);
    ck_assert(cpu->halted);
    advance(5000);
    pv_enter(pv, cpu);
    ck_assert(!cpu->halted);
    ARGS(ARG + 64, 0, 17, 0, 0, 0);
    ck_assert_int_eq(call(HC_sched_op, 3, ARG, 0), -22);
}
END_TEST

START_TEST(run_states_add_up_to_the_time)
{
    u64 sum = 0;

    ARGS(CONTROL, 0);
    ck_assert_int_eq(call(HC_vcpu_op, 5, 0, ARG), 0);
    advance(1000);
    pv_leave(pv, cpu, true);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL), 2); /* blocked */
    advance(500);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL), 0);
    pv_leave(pv, cpu, false);
    ck_assert_uint_eq(dma_read32(&phys, CONTROL), 1); /* runnable: what steals */
    advance(250);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read64(&phys, CONTROL + 16 + 8), 250);
    ck_assert_uint_eq(dma_read64(&phys, CONTROL + 16 + 16), 500);
    for (int i = 0; i < 4; i++)
        sum += dma_read64(&phys, CONTROL + 16 + 8 * i);
    ck_assert_uint_eq(sum, clock_now_ns(&virtual_time));
}
END_TEST

START_TEST(shutdown_says_how)
{
    ARGS(0);
    ck_assert_int_eq(call(HC_sched_op, 2, ARG, 0), 0);
    ck_assert_uint_eq(poweroffs, 1);
    ARGS(1);
    ck_assert_int_eq(call(HC_sched_op, 2, ARG, 0), 0);
    ck_assert_uint_eq(resets, 1);
    ARGS(3);
    ck_assert_int_eq(call(HC_sched_op, 2, ARG, 0), 0);
    ck_assert_ptr_nonnull(strstr(reported.msg, "crash"));
    ARGS(6);
    ck_assert_int_eq(call(HC_sched_op, 2, ARG, 0), -22);
    ck_assert_int_eq(call(HC_sched_op, 2, HOLE, 0), -14);
}
END_TEST

/* ---- grants, console, the rest --------------------------------------------------------------- */

static void place_grants(void)
{
    ARGS(DOMID_SELF, 1, 0, 0, WORDS / 4096, 0);
    ck_assert_int_eq(call(HC_memory_op, 7, ARG, 0), 0);
}

START_TEST(a_grant_is_marked_while_it_is_used)
{
    struct pv_xen *x = xen_of(pv);
    gpa_t gpa;

    place_grants();
    dma_write32(&phys, WORDS + 8 * 9, 1); /* permit_access, domain 0 */
    dma_write32(&phys, WORDS + 8 * 9 + 4, 0x55);
    ck_assert(xen_grant_get(x, 9, true, &gpa));
    ck_assert_uint_eq(gpa, 0x55000);
    ck_assert(xen_grant_get(x, 9, false, &gpa));
    ck_assert_uint_eq(dma_read32(&phys, WORDS + 8 * 9), 1 | BIT(3) | BIT(4));
    xen_grant_put(x, 9, true);
    ck_assert_uint_eq(dma_read32(&phys, WORDS + 8 * 9), 1 | BIT(3));
    xen_grant_put(x, 9, false);
    ck_assert_uint_eq(dma_read32(&phys, WORDS + 8 * 9), 1);
}
END_TEST

START_TEST(what_is_not_granted_is_not_touched)
{
    struct pv_xen *x = xen_of(pv);
    gpa_t gpa;

    place_grants();
    ck_assert(!xen_grant_get(x, 9, false, &gpa));
    dma_write32(&phys, WORDS + 8 * 9, 1 | BIT(2)); /* read only */
    ck_assert(!xen_grant_get(x, 9, true, &gpa));
    ck_assert(xen_grant_get(x, 9, false, &gpa));
    dma_write32(&phys, WORDS + 8 * 10, 1 | 5 << 16); /* for domain 5 */
    ck_assert(!xen_grant_get(x, 10, false, &gpa));
    dma_write32(&phys, WORDS + 8 * 11, 2); /* a transfer */
    ck_assert(!xen_grant_get(x, 11, false, &gpa));
    ck_assert(!xen_grant_get(x, 512, false, &gpa)); /* in a frame that is not there */
    ck_assert(!xen_grant_get(x, ~0u, false, &gpa));
}
END_TEST

START_TEST(grant_tables_are_of_version_1)
{
    ARGS(DOMID_SELF, 0, 0, 0);
    ck_assert_int_eq(call(HC_grant_table_op, 6, ARG, 1), 0);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 4), 1);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 8), 32);
    ARGS(2);
    ck_assert_int_eq(call(HC_grant_table_op, 8, ARG, 1), -38);
    ARGS(3);
    ck_assert_int_eq(call(HC_grant_table_op, 8, ARG, 1), -22);
    ARGS(DOMID_SELF, 0);
    ck_assert_int_eq(call(HC_grant_table_op, 10, ARG, 1), 0);
    ck_assert_uint_eq(dma_read32(&phys, ARG + 4), 1);
    ck_assert_int_eq(call(HC_grant_table_op, 0, ARG, 1), -38);
}
END_TEST

START_TEST(the_console_ring_carries_both_ways)
{
    gpa_t ring = XEN_CONSOLE_GFN * 4096;
    size_t len;

    ARGS(DOMID_SELF, 0, 0, 0);
    dma_write32(&phys, ARG + 4, 18);
    ck_assert_int_eq(call(HC_hvm_op, 1, ARG, 0), 0);
    u32 port = dma_read32(&phys, ARG + 8);
    dma_write(&phys, ring + 1024 + 2046, "ab", 2);
    dma_write(&phys, ring + 1024, "cd", 2);
    dma_write32(&phys, ring + 3080, 2046);
    dma_write32(&phys, ring + 3084, 2050);
    ck_assert_int_eq(send(port), 0);
    ck_assert_str_eq(chardev_buffer_text(console, &len), "abcd");
    ck_assert_uint_eq(dma_read32(&phys, ring + 3080), 2050);
    ck_assert_uint_eq(chardev_feed(console, (const u8 *)"xyz", 3), 3);
    ck_assert_uint_eq(dma_read32(&phys, ring + 3076), 3);
    ck_assert_uint_eq(dma_read32(&phys, ring) & 0xffffff, 'x' | 'y' << 8 | 'z' << 16);
    dma_write32(&phys, ring + 3084, 0x80000000); /* nonsense */
    ck_assert_int_eq(send(port), 0);
    ck_assert_uint_eq(dma_read32(&phys, ring + 3080), 0x80000000);
    ck_assert_int_eq(call(HC_console_io, 0, 3, ring), 0);
    ck_assert_str_eq(chardev_buffer_text(console, &len), "abcdxyz");
}
END_TEST

START_TEST(a_multicall_does_all_but_itself)
{
    for (unsigned i = 0; i < 16; i++)
        dma_write64(&phys, PAGE_GPA + 8 * i, 0);
    dma_write64(&phys, PAGE_GPA, HC_xen_version);
    dma_write64(&phys, PAGE_GPA + 64, HC_multicall);
    ck_assert_int_eq(call(HC_multicall, PAGE_GPA, 2, 0), 0);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA + 8), 4 << 16 | 17);
    ck_assert_int_eq((s64)dma_read64(&phys, PAGE_GPA + 64 + 8), -38);
    ck_assert_int_eq(call(HC_multicall, MIB - 64, 2, 0), -14);
}
END_TEST

START_TEST(a_reset_forgets_the_guest)
{
    u32 port;

    place_shared_info(HOLE);
    use_fifo();
    port = bind_ipi(1);
    set_vector(0, 0xf3);
    pv_reset(pv);
    ck_assert_uint_eq(dma_read64(&phys, HOLE), 0);
    ck_assert_int_eq(send(port), -22);
    place_shared_info(SHARED);
    ck_assert_uint_eq(dma_read64(&phys, SHARED + SHARED_PENDING) & ~7ull, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_xen");
    TCase *tc = tcase_create("xen");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, leaves_name_xen_and_its_hypercall_msr);
    tcase_add_test(tc, hypercall_page_has_a_stub_for_each_number);
    tcase_add_test(tc, calls_from_user_mode_or_real_mode_are_refused);
    tcase_add_test(tc, features_follow_the_rows);
    tcase_add_test(tc, shared_info_goes_where_the_guest_wants_it);
    tcase_add_test(tc, pages_are_not_placed_elsewhere);
    tcase_add_test(tc, a_ballooned_page_comes_back_empty);
    tcase_add_test(tc, an_ipi_sets_pending_selector_and_upcall);
    tcase_add_test(tc, a_masked_event_waits_for_unmask);
    tcase_add_test(tc, guests_of_32_bits_have_their_own_layout);
    tcase_add_test(tc, a_registered_vcpu_info_takes_over_and_says_all_is_pending);
    tcase_add_test(tc, the_callback_vector_stays_until_the_flag_is_cleared);
    tcase_add_test(tc, fifo_links_events_in_the_order_they_came);
    tcase_add_test(tc, fifo_begins_a_queue_anew_when_the_guest_took_the_tail);
    tcase_add_test(tc, fifo_refuses_what_it_cannot_reach);
    tcase_add_test(tc, ports_are_bound_once_and_closed);
    tcase_add_test(tc, two_ends_within_the_domain_reach_each_other);
    tcase_add_test(tc, ports_end);
    tcase_add_test(tc, a_single_shot_fires_at_its_time);
    tcase_add_test(tc, a_periodic_timer_ticks_until_it_is_stopped);
    tcase_add_test(tc, the_time_page_agrees_with_system_time);
    tcase_add_test(tc, poll_sleeps_until_the_event_or_the_timeout);
    tcase_add_test(tc, run_states_add_up_to_the_time);
    tcase_add_test(tc, shutdown_says_how);
    tcase_add_test(tc, a_grant_is_marked_while_it_is_used);
    tcase_add_test(tc, what_is_not_granted_is_not_touched);
    tcase_add_test(tc, grant_tables_are_of_version_1);
    tcase_add_test(tc, the_console_ring_carries_both_ways);
    tcase_add_test(tc, a_multicall_does_all_but_itself);
    tcase_add_test(tc, a_reset_forgets_the_guest);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
