/*
 * smp_ipi.c: several CPUs: start-up, INIT, interprocessor interrupts of every kind, and who they
 * are.
 *
 * SDM vol. 3A 8.4 (start-up), 10.6 (IPIs), 10.12 (x2APIC); APM vol. 3 appendix E (topology).
 */
#include "smp_lib.h"

extern u8 ap_entry_cs[], ap_entry_cr0[], ap_entry_gdt[];

#define VEC 0x60

static volatile u32 hits[CPUS_MAX][256];
static volatile u32 nmis[CPUS_MAX];

static void on_vector(struct regs *r)
{
    __atomic_fetch_add(&hits[this_cpu()][r->vector], 1, __ATOMIC_SEQ_CST);
    apic_write(EOI, 0);
}

static void on_nmi(struct regs *r)
{
    (void)r;
    __atomic_fetch_add(&nmis[this_cpu()], 1, __ATOMIC_SEQ_CST);
}

static u32 sum(u8 vector)
{
    u32 n = 0;
    for (unsigned c = 0; c < cpus; c++)
        n += hits[c][vector];
    return n;
}

/* What the start-up IPI leaves: real mode at the vector's page, caches off. */
static void a_cpu_starts_in_real_mode_at_the_vectors_page(void)
{
    CHECK_EQ(*(volatile u16 *)(AP_CODE + (ap_entry_cs - ap_code)), AP_CODE >> 4);
    CHECK_EQ(*(volatile u32 *)(AP_CODE + (ap_entry_cr0 - ap_code)) & ~(CR0_CD | CR0_NW), 0x10);
    CHECK_EQ(*(volatile u16 *)(AP_CODE + (ap_entry_gdt - ap_code)), 0xffff);
}

static volatile u32 apic_ids[CPUS_MAX];
static volatile u64 bases[CPUS_MAX];

static void note_ids(unsigned cpu, u64 arg)
{
    (void)arg;
    apic_ids[cpu] = apic_read(ID) >> 24;
    bases[cpu] = rdmsr(MSR_APIC_BASE);
}

static void each_cpu_has_its_apic_and_one_is_the_boot_processor(void)
{
    work_all(note_ids, 0);
    for (unsigned n = 0; n < cpus; n++) {
        context("CPU %d", n, 0, 0, 0);
        CHECK_EQ(apic_ids[n], n);
        CHECK_EQ(bases[n] >> 8 & 1, n == 0);
        CHECK_EQ(bases[n] >> 11 & 1, 1);
    }
    CHECK_EQ(cpuid(0x80000008, 0).c & 0xff, cpus - 1);
}

static void init_makes_a_cpu_wait_and_another_page_starts_it(void)
{
    u32 before = ap_starts[1];
    u8 saved[64];
    ap_prepare(AP_CODE2);
    copy(saved, (void *)AP_CODE, sizeof saved);
    ap_init(1);
    work_start(1, note_ids, 0); /* nobody does it until it is started */
    apic_ids[1] = 99;
    for (unsigned i = 0; i < 100000; i++)
        pause();
    CHECK_EQ(apic_ids[1], 99);
    CHECK_EQ(ap_starts[1], before);
    ap_startup(1, AP_CODE2);
    CHECK(WAIT_FOR(ap_starts[1] == before + 1));
    work_wait(1);
    CHECK_EQ(apic_ids[1], 1);
    CHECK_EQ(*(volatile u16 *)(AP_CODE2 + (ap_entry_cs - ap_code)), AP_CODE2 >> 4);
    /* one that runs does not care for another start-up IPI */
    ap_startup(1, AP_CODE2);
    for (unsigned i = 0; i < 100000; i++)
        pause();
    CHECK_EQ(ap_starts[1], before + 1);
}

static void a_fixed_ipi_reaches_the_cpu_it_names(void)
{
    for (unsigned n = 0; n < cpus; n++) {
        ipi(n, VEC + n);
        CHECK(WAIT_FOR(hits[n][VEC + n] == 1));
        CHECK_EQ(sum(VEC + n), 1);
    }
    ipi(cpus + 3, VEC + 15); /* nobody */
    CHECK_EQ(sum(VEC + 15), 0);
}

static void shorthands_reach_self_all_and_others(void)
{
    ipi(0, (VEC + 16) | ICR_SELF);
    CHECK(WAIT_FOR(sum(VEC + 16) == 1));
    CHECK_EQ(hits[0][VEC + 16], 1);
    ipi(0, (VEC + 17) | ICR_ALL);
    CHECK(WAIT_FOR(sum(VEC + 17) == cpus));
    ipi(0, (VEC + 18) | ICR_OTHERS);
    CHECK(WAIT_FOR(sum(VEC + 18) == cpus - 1));
    CHECK_EQ(hits[0][VEC + 18], 0);
    ipi(0xff, VEC + 19); /* physical broadcast */
    CHECK(WAIT_FOR(sum(VEC + 19) == cpus));
}

static void set_logical(unsigned cpu, u64 cluster)
{
    apic_write(DFR, cluster ? 0x0fffffff : 0xffffffff);
    apic_write(LDR, (cluster ? (cpu / 4 + 1) << 4 | 1u << cpu % 4 : 1u << cpu % 8) << 24);
}

static void logical_destinations_are_flat_or_clustered(void)
{
    work_all(set_logical, 0);
    ipi(1u << 0 | 1u << 1, (VEC + 20) | ICR_LOGICAL);
    CHECK(WAIT_FOR(hits[0][VEC + 20] && hits[1][VEC + 20]));
    CHECK_EQ(sum(VEC + 20), 2);
    work_all(set_logical, 1);
    ipi(0x10 | 2, (VEC + 21) | ICR_LOGICAL);
    CHECK(WAIT_FOR(hits[1][VEC + 21] == 1));
    CHECK_EQ(sum(VEC + 21), 1);
    work_all(set_logical, 0);
}

static void lowest_priority_reaches_one_that_is_less_busy(void)
{
    apic_write(TPR, 0x80);
    ipi(0xff, (VEC + 22) | ICR_LOGICAL | ICR_LOWEST);
    CHECK(WAIT_FOR(sum(VEC + 22) == 1));
    CHECK_EQ(hits[0][VEC + 22], 0);
    apic_write(TPR, 0);
}

static void an_nmi_reaches_a_cpu_with_interrupts_off(void)
{
    u32 before = nmis[1];
    ipi(1, ICR_NMI | ICR_ASSERT);
    CHECK(WAIT_FOR(nmis[1] == before + 1));
    CHECK_EQ(nmis[0], 0);
}

static volatile u32 ball;

static void on_ball(struct regs *r)
{
    (void)r;
    apic_write(EOI, 0);
    u32 n = ++ball;
    if (n < 2000)
        ipi((this_cpu() + 1) % 2, VEC + 24);
}

static void two_cpus_send_an_interrupt_to_and_fro(void)
{
    handlers[VEC + 24] = on_ball;
    ipi(1, VEC + 24);
    CHECK(WAIT_FOR(ball == 2000));
}

static void to_x2apic(unsigned cpu, u64 arg)
{
    (void)arg;
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
    apic_ids[cpu] = (u32)rdmsr(0x802);
}

static void on_x2(struct regs *r)
{
    __atomic_fetch_add(&hits[this_cpu()][r->vector], 1, __ATOMIC_SEQ_CST);
    wrmsr(0x80b, 0);
}

static void x2apic_names_cpus_by_32_bits(void)
{
    if (!(cpuid(1, 0).c & BIT(21))) {
        test_skip("no x2APIC");
        return;
    }
    for (unsigned v = 0; v < 256; v++)
        if (handlers[v] == on_vector)
            handlers[v] = on_x2;
    for (unsigned n = 1; n < cpus; n++) {
        work_start(n, to_x2apic, 0);
        work_wait(n);
        CHECK_EQ(apic_ids[n], n);
    }
    to_x2apic(0, 0);
    CHECK_EQ(rdmsr(0x80d), 1); /* logical ID: cluster 0, bit 0 */
    for (unsigned n = 1; n < cpus; n++) {
        wrmsr(0x830, (u64)n << 32 | (VEC + 25));
        CHECK(WAIT_FOR(hits[n][VEC + 25] == 1));
    }
    wrmsr(0x830, (u64)2 << 32 | ICR_LOGICAL | (VEC + 26)); /* CPU 1 of cluster 0 */
    CHECK(WAIT_FOR(hits[1][VEC + 26] == 1));
    CHECK_EQ(sum(VEC + 26), 1);
    wrmsr(0x830, 0xffffffffull << 32 | (VEC + 27));
    CHECK(WAIT_FOR(sum(VEC + 27) == cpus));
}

int main(void)
{
    for (unsigned v = VEC; v < VEC + 32; v++)
        handlers[v] = on_vector;
    handlers[NMI] = on_nmi;
    smp_begin();
    sti();
    RUN(a_cpu_starts_in_real_mode_at_the_vectors_page);
    RUN(each_cpu_has_its_apic_and_one_is_the_boot_processor);
    RUN(init_makes_a_cpu_wait_and_another_page_starts_it);
    RUN(a_fixed_ipi_reaches_the_cpu_it_names);
    RUN(shorthands_reach_self_all_and_others);
    RUN(logical_destinations_are_flat_or_clustered);
    RUN(lowest_priority_reaches_one_that_is_less_busy);
    RUN(an_nmi_reaches_a_cpu_with_interrupts_off);
    RUN(two_cpus_send_an_interrupt_to_and_fro);
    RUN(x2apic_names_cpus_by_32_bits);
    return 0;
}
