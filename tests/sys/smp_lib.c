/* smp_lib.c: see smp_lib.h. */
#include "smp_lib.h"

extern u8 ap_gdt_pointer[], ap_cr3[], ap_cr4[], ap_target[], ap_start64[];

unsigned cpus;
volatile u32 ap_starts[CPUS_MAX];

static struct work {
    work_fn volatile fn; /* NULL: done */
    u64 arg;
} __attribute__((aligned(64))) work[CPUS_MAX];

unsigned this_cpu(void)
{
    return cpuid(1, 0).b >> 24;
}

void ipi(u32 dest, u32 icr)
{
    u64 flags = read_flags();
    cli();
    apic_write(ICR2, dest << 24);
    apic_write(ICR, icr);
    if (flags & FLAG_IF)
        sti();
}

static void on_work(struct regs *r)
{
    (void)r;
    apic_write(EOI, 0);
}

static void do_work(unsigned cpu)
{
    work_fn fn = work[cpu].fn;
    if (!fn)
        return;
    fn(cpu, work[cpu].arg);
    __atomic_store_n(&work[cpu].fn, NULL, __ATOMIC_SEQ_CST);
}

void ap_main(u32 cpu);
void ap_main(u32 cpu)
{
    idt_load((u64)idt, sizeof idt - 1);
    apic_write(SVR, 0x1ff);
    apic_write(TPR, 0);
    __atomic_fetch_add(&ap_starts[cpu], 1, __ATOMIC_SEQ_CST);
    for (;;) {
        cli();
        do_work(cpu);
        if (!work[cpu].fn)
            __asm__ volatile("sti; hlt" : : : "memory");
    }
}

static void put32(u64 at, const u8 *label, u32 v)
{
    *(volatile u32 *)(at + (u64)(label - ap_code)) = v;
}

void ap_prepare(u64 at)
{
    copy((void *)at, ap_code, (u64)(ap_code_end - ap_code));
    *(volatile u16 *)(at + (u64)(ap_gdt_pointer - ap_code)) = GDT_BYTES - 1;
    put32(at, ap_gdt_pointer + 2, (u32)(u64)gdt);
    put32(at, ap_cr3, (u32)read_cr3());
    put32(at, ap_cr4, (u32)read_cr4());
    put32(at, ap_target, (u32)(u64)ap_start64);
}

void ap_init(unsigned cpu)
{
    ipi(cpu, ICR_INIT | ICR_ASSERT);
}

void ap_startup(unsigned cpu, u64 at)
{
    ipi(cpu, ICR_STARTUP | ICR_ASSERT | (u32)(at >> 12));
}

void smp_begin(void)
{
    cpus = cpuid(1, 0).b >> 16 & 0xff;
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    handlers[VEC_WORK] = on_work;
    apic_write(SVR, 0x1ff);
    apic_write(TPR, 0);
    ap_prepare(AP_CODE);
    for (unsigned n = 1; n < cpus; n++) {
        ap_init(n);
        ap_startup(n, AP_CODE);
        if (!WAIT_FOR(ap_starts[n]))
            say("FAIL start: CPU %d does not come\n", (u64)n);
    }
}

void work_start(unsigned cpu, work_fn fn, u64 arg)
{
    work[cpu].arg = arg;
    __atomic_store_n(&work[cpu].fn, fn, __ATOMIC_SEQ_CST);
    ipi(cpu, VEC_WORK);
}

void work_wait(unsigned cpu)
{
    while (work[cpu].fn)
        pause();
}

void work_all(work_fn fn, u64 arg)
{
    for (unsigned n = 1; n < cpus; n++)
        work_start(n, fn, arg);
    fn(0, arg);
    for (unsigned n = 1; n < cpus; n++)
        work_wait(n);
}

void meet(unsigned n)
{
    static volatile u32 arrived, round;
    u32 mine = round;
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) == n) {
        arrived = 0;
        __atomic_fetch_add(&round, 1, __ATOMIC_SEQ_CST);
        return;
    }
    while (round == mine)
        pause();
}
