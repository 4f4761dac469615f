/*
 * setup.c: the machine as the rows need it: an IDT, one 4 KiB page of its own for the paging rows,
 * SYSCALL, the local APIC on, the 8259s masked, the HPET running.
 */
#include "guest.h"

#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define EFLAGS_IF 0x200

#define APIC_SVR 0xfee000f0ul
#define APIC_SVR_ENABLE 0x100
#define APIC_LVT_TIMER 0xfee00320ul
#define APIC_TIMER_DIVIDE 0xfee003e0ul
#define APIC_DIVIDE_BY_1 0xb
#define HPET_CAPABILITIES 0xfed00000ul
#define HPET_CONFIG 0xfed00010ul
#define PM1A_CONTROL_PORT 0x604
#define SLP_EN 0x2000 /* with SLP_TYP 0: S5 on a PIIX4 */

struct gate {
    u16 offset_low, selector;
    u8 ist, attr;
    u16 offset_mid;
    u32 offset_high, reserved;
};

static struct gate idt[256];
struct idt_pointer idt_pointer = {sizeof idt - 1, 0};
static u8 page[4096] __attribute__((aligned(4096)));

static void set_gate(unsigned vector, u64 handler, u8 dpl)
{
    idt[vector] =
        (struct gate){(u16)handler,         0x08, 0, (u8)(0x8e | dpl << 5), (u16)(handler >> 16),
                      (u32)(handler >> 32), 0};
}

static void setup_idt(void)
{
    for (unsigned v = 0; v < 32; v++)
        set_gate(v, (u64)exception_stubs[v], 0);
    set_gate(0, (u64)handle_divide, 0);
    set_gate(14, (u64)handle_page_fault, 0);
    set_gate(VECTOR_INT, (u64)handle_int, 3);
    set_gate(VECTOR_TIMER, (u64)handle_irq, 0);
    set_gate(VECTOR_IPI, (u64)handle_irq, 0);
    set_gate(VECTOR_IPI_PV_EOI, (u64)handle_irq_pv_eoi, 0);
    set_gate(VECTOR_SPURIOUS, (u64)handle_spurious, 0);
    idt_pointer.base = (u64)idt;
    __asm__ volatile("lidt %0" : : "m"(idt_pointer));
}

void expect_undefined(int on)
{
    set_gate(6, on ? (u64)handle_undefined : (u64)exception_stubs[6], 0);
}

static void setup_test_page(void)
{
    pml4[1] = (u64)test_pdpt | PTE_P | PTE_W;
    test_pdpt[0] = (u64)test_pd | PTE_P | PTE_W;
    test_pd[0] = (u64)test_pt | PTE_P | PTE_W;
    test_pt[0] = (u64)page | PTE_P | PTE_W;
}

static void setup_syscall(void)
{
    wrmsr(MSR_STAR, 0x18ul << 48 | 0x08ul << 32);
    wrmsr(MSR_LSTAR, (u64)handle_syscall);
    wrmsr(MSR_SFMASK, EFLAGS_IF);
}

static void setup_apic(void)
{
    out8(0x21, 0xff); /* both 8259s: everything masked */
    out8(0xa1, 0xff);
    *mmio32(APIC_SVR) = APIC_SVR_ENABLE | VECTOR_SPURIOUS;
    *mmio32(APIC_TIMER_DIVIDE) = APIC_DIVIDE_BY_1;
    *mmio32(APIC_LVT_TIMER) = VECTOR_TIMER; /* one-shot */
}

int has_hpet(void)
{
    u32 period_fs = *mmio32(HPET_CAPABILITIES + 4);
    return period_fs && period_fs <= 100000000;
}

void setup_machine(void)
{
    setup_idt();
    setup_test_page();
    setup_syscall();
    setup_apic();
    if (has_hpet())
        *mmio32(HPET_CONFIG) |= 1;
}

/* Against the ACPI PM timer, 3.579545 MHz in 24 bits, for 5 ms. */
u64 measure_tsc_khz(void)
{
    u32 start = in32(PM_TIMER_PORT), ticks = 3579545 / 200;
    u64 t0 = rdtsc(), t1;
    while (((in32(PM_TIMER_PORT) - start) & 0xffffff) < ticks)
        ;
    t1 = rdtsc();
    return (t1 - t0) / 5;
}

_Noreturn void power_off(void)
{
    out16(PM1A_CONTROL_PORT, SLP_EN);
    for (;;)
        __asm__ volatile("cli; hlt");
}
