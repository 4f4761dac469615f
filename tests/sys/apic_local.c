/*
 * apic_local.c: the local APIC: timer in its three modes, self-IPIs, priorities, EOI, x2APIC; NMI
 * blocking, the shadow of STI, and what wakes HLT.
 *
 * SDM vol. 3A 10.4 to 10.12, 6.7.1 (NMI), 6.8.3 (masking); APM vol. 2 16. No test depends on speed:
 * the timer is compared with itself. QEMU 7.2 delivers illegal vectors, and has no TSC deadline.
 */
#include "long.h"

#define APIC 0xfee00000ull
enum {
    ID = 0x20,
    VERSION = 0x30,
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR2 = 0x310,
    LVT_TIMER = 0x320,
    LVT_LINT0 = 0x350,
    INITIAL = 0x380,
    CURRENT = 0x390,
    DIVIDE = 0x3e0,
};
#define MASKED BIT(16)
#define PERIODIC BIT(17)
#define DEADLINE BIT(18)
#define SELF BIT(18)
#define MSR_DEADLINE 0x6e0

static void wr(u32 reg, u32 v)
{
    *(volatile u32 *)(APIC + reg) = v;
}
static u32 rd(u32 reg)
{
    return *(volatile u32 *)(APIC + reg);
}
static bool bit(u32 reg, unsigned v)
{
    return rd(reg + v / 32 * 16) >> (v % 32) & 1;
}

/* What arrived, in order. */
static volatile u8 order[64];
static volatile unsigned count;
static volatile u64 last_rip;

static void on_irq(struct regs *r)
{
    if (count < COUNT(order))
        order[count] = (u8)r->vector;
    count++;
    last_rip = r->rip;
    wr(EOI, 0);
}

static void listen(u8 first, u8 last)
{
    for (unsigned v = first; v <= last; v++)
        handlers[v] = on_irq;
    count = 0;
}

static void setup(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    wr(SVR, 0x1ff);
    wr(LVT_TIMER, MASKED);
    wr(LVT_LINT0, MASKED);
    wr(TPR, 0);
    wr(DIVIDE, 0xb);
    listen(0x31, 0xfe);
    handlers[VEC_RETURN] = NULL;
}

static void take(void)
{
    sti();
    __asm__ volatile("nop; nop");
    cli();
}

/* Waits for interrupts; gives up after a number of rounds that no clock can outlast. */
static bool wait_for(unsigned n)
{
    for (u64 i = 0; i < 2000000000 && count < n; i++)
        take();
    return count >= n;
}

/* ---- timer
 * ------------------------------------------------------------------------------------------ */

static void one_shot_fires_once_and_stops_at_0(void)
{
    count = 0;
    wr(LVT_TIMER, 0x40);
    wr(INITIAL, 1000);
    CHECK(rd(CURRENT) <= 1000);
    CHECK(wait_for(1));
    CHECK_EQ(rd(CURRENT), 0);
    wr(LVT_TIMER, MASKED);
    CHECK_EQ(count, 1);
    CHECK_EQ(order[0], 0x40);
}

static void periodic_fires_again_and_again(void)
{
    count = 0;
    wr(LVT_TIMER, 0x41 | PERIODIC);
    wr(INITIAL, 2000);
    CHECK(wait_for(5));
    wr(INITIAL, 0); /* stops it */
    take();
    unsigned then = count;
    for (unsigned i = 0; i < 1000; i++)
        take();
    CHECK_EQ(count, then);
    CHECK_EQ(rd(CURRENT), 0);
    wr(LVT_TIMER, MASKED);
}

static void a_masked_timer_counts_silently(void)
{
    count = 0;
    wr(LVT_TIMER, 0x42 | MASKED);
    wr(INITIAL, 1000);
    while (rd(CURRENT))
        ;
    take();
    CHECK_EQ(count, 0);
    CHECK_EQ(bit(IRR, 0x42), 0);
}

static void the_divider_slows_it(void)
{
    static const u8 code[] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa}; /* 1, 2, 4, ... 128 */
    wr(LVT_TIMER, MASKED | 0x42);
    for (unsigned i = 0; i < COUNT(code); i++) {
        wr(DIVIDE, code[i]);
        CHECK_EQ(rd(DIVIDE), code[i]);
    }
    wr(DIVIDE, 0xb);
}

static void the_deadline_timer_fires_when_the_tsc_has_passed(void)
{
    if (!(cpuid(1, 0).c >> 24 & 1)) {
        test_skip("no TSC deadline");
        return;
    }
    count = 0;
    wr(LVT_TIMER, 0x43 | DEADLINE);
    u64 when = rdtsc() + 100000;
    wrmsr(MSR_DEADLINE, when);
    CHECK(wait_for(1));
    CHECK(rdtsc() >= when);
    CHECK_EQ(order[0], 0x43);
    CHECK_EQ(rdmsr(MSR_DEADLINE), 0); /* disarmed */
    wr(INITIAL, 1000);                /* ignored in this mode */
    CHECK_EQ(rd(CURRENT), 0);
    wrmsr(MSR_DEADLINE, 1); /* in the past: at once */
    CHECK(wait_for(2));
    wrmsr(MSR_DEADLINE, rdtsc() + BIT(50));
    wrmsr(MSR_DEADLINE, 0);
    for (unsigned i = 0; i < 1000; i++)
        take();
    CHECK_EQ(count, 2);
    wr(LVT_TIMER, MASKED);
    wrmsr(MSR_DEADLINE, 5); /* not in deadline mode: ignored */
    CHECK_EQ(rdmsr(MSR_DEADLINE), 0);
}

/* ---- interprocessor interrupts and priorities
 * --------------------------------------------------------- */

static void a_self_ipi_arrives(void)
{
    count = 0;
    wr(ICR, SELF | 0x50);
    CHECK_EQ(bit(IRR, 0x50), 1);
    take();
    CHECK_EQ(count, 1);
    CHECK_EQ(order[0], 0x50);
    CHECK_EQ(bit(IRR, 0x50), 0);
    CHECK_EQ(bit(ISR, 0x50), 0);
    wr(ICR2, rd(ID)); /* physical destination: myself */
    wr(ICR, 0x51);
    take();
    CHECK_EQ(count, 2);
    wr(LDR, 0x02000000);
    wr(ICR2, 0x02000000); /* logical, flat */
    wr(ICR, BIT(11) | 0x52);
    take();
    CHECK_EQ(count, 3);
    wr(ICR2, 0x04000000); /* somebody else */
    wr(ICR, BIT(11) | 0x53);
    take();
    CHECK_EQ(count, 3);
    wr(ICR, 3 << 18 | 0x54); /* all but self: nobody */
    take();
    CHECK_EQ(count, 3);
    wr(ICR, 2 << 18 | 0x55); /* all and self */
    take();
    CHECK_EQ(count, 4);
}

static void higher_vectors_come_first(void)
{
    count = 0;
    wr(ICR, SELF | 0x60);
    wr(ICR, SELF | 0xa0);
    wr(ICR, SELF | 0x7f);
    for (unsigned i = 0; i < 3; i++)
        take();
    CHECK_EQ(count, 3);
    CHECK_EQ(order[0], 0xa0);
    CHECK_EQ(order[1], 0x7f);
    CHECK_EQ(order[2], 0x60);
}

static void send_while_in_service(struct regs *r)
{
    order[count++] = (u8)r->vector;
    CHECK_EQ(rd(PPR), 0x80);
    CHECK_EQ(bit(ISR, 0x85), 1);
    wr(ICR, SELF | 0x84); /* the same class waits */
    wr(ICR, SELF | 0x70); /* a lower one too */
    take();
    CHECK_EQ(count, 1);
    wr(ICR, SELF | 0x95); /* a higher one interrupts */
    take();
    CHECK_EQ(count, 2);
    wr(EOI, 0);
}

static void a_service_holds_back_its_class_and_below(void)
{
    count = 0;
    handlers[0x85] = send_while_in_service;
    wr(ICR, SELF | 0x85);
    take();
    take();
    take();
    handlers[0x85] = on_irq;
    CHECK_EQ(count, 4);
    CHECK_EQ(order[1], 0x95);
    CHECK_EQ(order[2], 0x84);
    CHECK_EQ(order[3], 0x70);
    CHECK_EQ(rd(PPR), 0);
}

static void the_task_priority_holds_back(void)
{
    count = 0;
    wr(TPR, 0x60);
    CHECK_EQ(rd(PPR), 0x60);
    wr(ICR, SELF | 0x65);
    take();
    CHECK_EQ(count, 0);
    wr(ICR, SELF | 0x71);
    take();
    CHECK_EQ(count, 1);
    write_cr8(5);
    take();
    CHECK_EQ(count, 2);
    CHECK_EQ(order[1], 0x65);
    wr(TPR, 0);
}

static void an_illegal_vector_shows_in_esr(void)
{
    wr(ESR, 0);
    wr(ICR, SELF | 5);
    wr(ESR, 0);
    CHECK(rd(ESR) & 0x60); /* send or receive illegal vector */
    wr(ESR, 0);
    CHECK_EQ(rd(ESR), 0);
}

static void a_disabled_apic_masks_its_lvt(void)
{
    wr(LVT_TIMER, 0x44);
    wr(SVR, 0xff);
    CHECK(rd(LVT_TIMER) & MASKED);
    wr(LVT_TIMER, 0x44);
    CHECK(rd(LVT_TIMER) & MASKED);
    wr(SVR, 0x1ff);
    CHECK(rd(LVT_TIMER) & MASKED); /* must be unmasked by hand */
}

/* ---- x2APIC
 * -----------------------------------------------------------------------------------------------
 */

static void on_irq_x2apic(struct regs *r)
{
    order[count++] = (u8)r->vector;
    wrmsr(0x80b, 0);
}

static void x2apic_is_reached_by_msr(void)
{
    u64 base = rdmsr(MSR_APIC_BASE), v;
    if (!(cpuid(1, 0).c >> 21 & 1)) {
        test_skip("no x2APIC");
        return;
    }
    CHECK_EQ(try_rdmsr(0x802, &v), GP); /* not yet */
    CHECK_EQ(try_wrmsr(MSR_APIC_BASE, (base & ~BIT(11)) | BIT(10)), GP);
    wrmsr(MSR_APIC_BASE, base | BIT(10));
    CHECK_EQ(try_wrmsr(MSR_APIC_BASE, base), GP); /* no way back but through "disabled" */
    CHECK_EQ(rdmsr(0x802), cpuid(1, 0).b >> 24);
    CHECK_EQ(rdmsr(0x80d) & 0xffff, 1u << (rdmsr(0x802) & 15)); /* LDR follows from the id */
    handlers[0x58] = handlers[0x59] = on_irq_x2apic;
    count = 0;
    wrmsr(0x83f, 0x58); /* self-IPI register */
    take();
    CHECK_EQ(count, 1);
    wrmsr(0x830, SELF | 0x59);
    take();
    CHECK_EQ(count, 2);
    wrmsr(0x830, rdmsr(0x802) << 32 | 0x58);
    take();
    CHECK_EQ(count, 3);
    CHECK_EQ(try_wrmsr(0x80b, 1), GP);     /* EOI takes 0 only */
    CHECK_EQ(try_wrmsr(0x802, 0), GP);     /* read-only */
    CHECK_EQ(try_rdmsr(0x80b, &v), GP);    /* write-only */
    CHECK_EQ(try_rdmsr(0x80e, &v), GP);    /* there is no DFR */
    CHECK_EQ(try_wrmsr(0x808, 0x100), GP); /* TPR: reserved bits */
    wrmsr(MSR_APIC_BASE, base & ~(BIT(10) | BIT(11)));
    CHECK_EQ(cpuid(1, 0).d >> 9 & 1, 0);
    wrmsr(MSR_APIC_BASE, base);
    CHECK_EQ(cpuid(1, 0).d >> 9 & 1, 1);
    setup();
}

/* ---- NMI, STI, HLT
 * --------------------------------------------------------------------------------------- */

static volatile unsigned nmis, nested_nmis;
static volatile bool in_nmi;

static void on_nmi(struct regs *r)
{
    (void)r;
    nested_nmis += in_nmi;
    if (++nmis > 1)
        return;
    in_nmi = true;
    wr(ICR, 4 << 8); /* blocked until IRET, then delivered once */
    wr(ICR, 4 << 8);
    __asm__ volatile("nop; nop");
    in_nmi = false;
}

/* Two NMIs in the shadow of the first become one, which comes after its IRET. */
static void nmi_blocks_nmi_until_iret(void)
{
    handlers[NMI] = on_nmi;
    wr(ICR2, rd(ID));
    nmis = nested_nmis = 0;
    wr(ICR, 4 << 8);
    for (unsigned i = 0; i < 100; i++)
        __asm__ volatile("pause");
    CHECK_EQ(nmis, 2);
    CHECK_EQ(nested_nmis, 0);
    handlers[NMI] = NULL;
}

static void nmi_ignores_if(void)
{
    nmis = 1;
    handlers[NMI] = on_nmi;
    cli();
    wr(ICR2, rd(ID));
    wr(ICR, 4 << 8);
    for (unsigned i = 0; i < 100; i++)
        __asm__ volatile("pause");
    CHECK_EQ(nmis, 2);
    handlers[NMI] = NULL;
}

static void sti_waits_for_one_instruction(void)
{
    u64 after;
    count = 0;
    wr(ICR, SELF | 0x5a);
    __asm__ volatile("lea 1f(%%rip), %0; sti; nop; 1: nop; cli" : "=r"(after) : : "memory");
    CHECK_EQ(count, 1);
    CHECK_EQ(last_rip, after);
    /* STI; CLI leaves no gap. */
    wr(ICR, SELF | 0x5b);
    __asm__ volatile("sti; cli; nop" : : : "memory");
    CHECK_EQ(count, 1);
    take();
    CHECK_EQ(count, 2);
}

static void mov_ss_and_popf_hold_and_do_not_hold(void)
{
    u64 after, ss = KDS;
    count = 0;
    wr(ICR, SELF | 0x5a);
    __asm__ volatile("sti; mov %1, %%ss; nop; 1: nop; cli; lea 1b(%%rip), %0"
                     : "=r"(after)
                     : "r"(ss)
                     : "memory");
    CHECK_EQ(count, 1);
    CHECK_EQ(last_rip, after);
    wr(ICR, SELF | 0x5a);
    __asm__ volatile("pushfq; orl $0x200, (%%rsp); popfq; 1: nop; cli; lea 1b(%%rip), %0"
                     : "=r"(after)
                     :
                     : "memory");
    CHECK_EQ(count, 2);
    CHECK_EQ(last_rip, after);
}

static void hlt_wakes_by_an_interrupt_and_goes_on_after_it(void)
{
    u64 after;
    count = 0;
    wr(LVT_TIMER, 0x45);
    wr(INITIAL, 20000);
    __asm__ volatile("lea 1f(%%rip), %0; sti; hlt; 1: cli" : "=r"(after) : : "memory");
    CHECK_EQ(count, 1);
    CHECK_EQ(last_rip, after);
    wr(ICR, SELF | 0x5c); /* pending already: STI; HLT does not sleep */
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    CHECK_EQ(count, 2);
    wr(LVT_TIMER, MASKED);
}

int main(void)
{
    setup();
    RUN(one_shot_fires_once_and_stops_at_0);
    RUN(periodic_fires_again_and_again);
    RUN(a_masked_timer_counts_silently);
    RUN(the_divider_slows_it);
    RUN(the_deadline_timer_fires_when_the_tsc_has_passed);
    RUN(a_self_ipi_arrives);
    RUN(higher_vectors_come_first);
    RUN(a_service_holds_back_its_class_and_below);
    RUN(the_task_priority_holds_back);
    RUN(an_illegal_vector_shows_in_esr);
    RUN(a_disabled_apic_masks_its_lvt);
    RUN(nmi_blocks_nmi_until_iret);
    RUN(nmi_ignores_if);
    RUN(sti_waits_for_one_instruction);
    RUN(mov_ss_and_popf_hold_and_do_not_hold);
    RUN(hlt_wakes_by_an_interrupt_and_goes_on_after_it);
    RUN(x2apic_is_reached_by_msr);
    return 0;
}
