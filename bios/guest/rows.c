/*
 * rows.c: what is measured: one function per sensitive class, which does the thing n times in the
 * plainest loop. Adding a row is a function and a line in the table at the end.
 */
#include "guest.h"

#define MSR_EFER 0xc0000080
#define MSR_KERNEL_GS_BASE 0xc0000102
#define CR0_TS 8ul
#define CR4_TSD 4ul
#define ICR_SELF_ASSERT 0x44000u /* shorthand: self; level: assert; fixed, edge */
#define TIMER_TICKS 20000u

/* ---- interrupt flag and stack of flags ------------------------------------------------------ */

static void empty_loop(u64 n)
{
    while (n--)
        __asm__ volatile("");
}

static void cli_sti(u64 n)
{
    while (n--)
        __asm__ volatile("cli; sti");
}

static void pushf_popf(u64 n)
{
    while (n--)
        __asm__ volatile("pushfq; popfq" : : : "memory", "cc");
}

/* ---- control transfers ---------------------------------------------------------------------- */

static void iret(u64 n)
{
    while (n--)
        __asm__ volatile("movq %%rsp, %%rcx\n\t"
                         "movl %%ss, %%eax\n\t"
                         "pushq %%rax\n\t"
                         "pushq %%rcx\n\t"
                         "pushfq\n\t"
                         "movl %%cs, %%eax\n\t"
                         "pushq %%rax\n\t"
                         "leaq 1f(%%rip), %%rax\n\t"
                         "pushq %%rax\n\t"
                         "iretq\n"
                         "1:"
                         :
                         :
                         : "rax", "rcx", "memory", "cc");
}

static void int_n(u64 n)
{
    while (n--)
        __asm__ volatile("int %0" : : "i"(VECTOR_INT) : "memory");
}

static void call_ret(u64 n)
{
    while (n--)
        __asm__ volatile("call just_return" : : : "memory");
}

static void call_indirect(u64 n)
{
    void (*fn)(void) = just_return;
    while (n--)
        __asm__ volatile("call *%0" : : "r"(fn) : "memory");
}

static void far_ret(u64 n)
{
    while (n--)
        __asm__ volatile("movl %%cs, %%eax\n\t"
                         "pushq %%rax\n\t"
                         "leaq 1f(%%rip), %%rax\n\t"
                         "pushq %%rax\n\t"
                         "lretq\n"
                         "1:"
                         :
                         :
                         : "rax", "memory");
}

static void segment_load(u64 n)
{
    while (n--)
        __asm__ volatile("movl %0, %%es" : : "r"(0x10) : "memory");
}

/* ---- input and output, identification, model-specific registers ----------------------------- */

static void in_port(u64 n)
{
    while (n--)
        in8(0x61); /* system control port B */
}

static void out_port(u64 n)
{
    while (n--)
        out8(0x80, 0); /* POST code: the classic delay */
}

static void read_tsc(u64 n)
{
    while (n--)
        rdtsc();
}

static void identify(u64 n)
{
    while (n--)
        cpuid(0);
}

static void read_msr(u64 n)
{
    while (n--)
        rdmsr(MSR_EFER);
}

static void write_msr(u64 n)
{
    while (n--)
        wrmsr(MSR_KERNEL_GS_BASE, 0);
}

/* ---- control registers and descriptor tables ------------------------------------------------ */

static void mov_from_cr0(u64 n)
{
    u64 v;
    while (n--)
        __asm__ volatile("movq %%cr0, %0" : "=r"(v));
}

/* TS is set and cleared in turn: each write changes something. n is even. */
static void mov_to_cr0(u64 n)
{
    u64 v;
    __asm__ volatile("movq %%cr0, %0" : "=r"(v));
    while (n--) {
        v ^= CR0_TS;
        __asm__ volatile("movq %0, %%cr0" : : "r"(v) : "memory");
    }
}

static void mov_to_cr3(u64 n)
{
    u64 v;
    __asm__ volatile("movq %%cr3, %0" : "=r"(v));
    while (n--)
        __asm__ volatile("movq %0, %%cr3" : : "r"(v) : "memory");
}

static void mov_to_cr4(u64 n)
{
    u64 v;
    __asm__ volatile("movq %%cr4, %0" : "=r"(v));
    while (n--) {
        v ^= CR4_TSD;
        __asm__ volatile("movq %0, %%cr4" : : "r"(v) : "memory");
    }
}

static void mov_to_cr8(u64 n)
{
    while (n--)
        __asm__ volatile("movq %0, %%cr8" : : "r"(0ul) : "memory");
}

static void load_gdt(u64 n)
{
    while (n--)
        __asm__ volatile("lgdt gdt_pointer" : : : "memory");
}

static void load_idt(u64 n)
{
    while (n--)
        __asm__ volatile("lidt %0" : : "m"(idt_pointer) : "memory");
}

/* ---- paging --------------------------------------------------------------------------------- */

static void touch(u64 va)
{
    (void)*(volatile u32 *)va;
}

static void invalidate_page(u64 n)
{
    while (n--)
        invlpg(test_page);
}

/* The handler makes the page present again. */
static void page_fault(u64 n)
{
    volatile u64 *pte = &test_pt[0];
    while (n--) {
        *pte &= ~PTE_P;
        invlpg(test_page);
        touch(test_page);
    }
}

static void page_table_change(u64 n)
{
    volatile u64 *pte = &test_pt[0];
    while (n--) {
        *pte ^= PTE_W;
        invlpg(test_page);
        touch(test_page);
    }
}

static void divide_error(u64 n)
{
    while (n--)
        __asm__ volatile("divl %0" : : "c"(0), "a"(1), "d"(0) : "cc");
}

/* ---- interrupts ----------------------------------------------------------------------------- */

static void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static void apic_eoi(u64 n)
{
    while (n--)
        *mmio32(APIC_EOI) = 0;
}

static void wait_for_irq(u64 before)
{
    while (irq_count == before)
        __asm__ volatile("pause");
}

static void irq_eoi(u64 n)
{
    while (n--) {
        u64 before = irq_count;
        *mmio32(APIC_ICR_LOW) = ICR_SELF_ASSERT | VECTOR_IPI_PV_EOI;
        wait_for_irq(before);
    }
}

static const char *irq_eoi_title(void)
{
    return has_kvm(KVM_FEATURE_PV_EOI) ? "interrupt, EOI in memory (PV EOI)"
                                       : "interrupt, EOI in the APIC";
}

static void irq_eoi_prepare(void)
{
    if (has_kvm(KVM_FEATURE_PV_EOI))
        kvm_eoi_enable(1);
    interrupts_on();
}

static void irq_eoi_finish(void)
{
    interrupts_off();
    if (has_kvm(KVM_FEATURE_PV_EOI))
        kvm_eoi_enable(0);
}

static void self_ipi_apic(u64 n)
{
    while (n--) {
        u64 before = irq_count;
        *mmio32(APIC_ICR_LOW) = ICR_SELF_ASSERT | VECTOR_IPI;
        wait_for_irq(before);
    }
}

static void self_ipi_kvm(u64 n)
{
    u64 id = *mmio32(APIC_ID) >> 24;
    while (n--) {
        u64 before = irq_count;
        vmcall(KVM_HC_SEND_IPI, 1, 0, id, VECTOR_IPI);
        wait_for_irq(before);
    }
}

static void self_ipi(u64 n)
{
    if (has_kvm(KVM_FEATURE_PV_SEND_IPI))
        self_ipi_kvm(n);
    else
        self_ipi_apic(n);
}

static const char *self_ipi_title(void)
{
    return has_kvm(KVM_FEATURE_PV_SEND_IPI) ? "IPI to itself by hypercall" : "IPI to itself by ICR";
}

/* The wait is part of the time: 20000 ticks of the APIC timer. */
static void hlt_timer(u64 n)
{
    while (n--) {
        *mmio32(APIC_TIMER_INITIAL) = TIMER_TICKS;
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
}

/* ---- hypervisor and clock ------------------------------------------------------------------- */

static void hypercall(u64 n)
{
    while (n--)
        vmcall(KVM_HC_NONE, 0, 0, 0, 0);
}

static void hypercall_prepare(void)
{
    expect_undefined(1);
}

static void hypercall_finish(void)
{
    expect_undefined(0);
}

/* Tries one: a hypervisor bit does not promise that there are hypercalls. */
static const char *hypercall_title(void)
{
    u64 before = undefined_count;
    hypercall_prepare();
    hypercall(1);
    hypercall_finish();
    return undefined_count == before ? "VMCALL, unknown number" : "VMCALL that is undefined (#UD)";
}

static void clock_kvm(u64 n)
{
    while (n--)
        kvm_clock_ns();
}

static void clock_hpet(u64 n)
{
    while (n--)
        *mmio32(HPET_COUNTER);
}

static void clock_pm_timer(u64 n)
{
    while (n--)
        in32(PM_TIMER_PORT);
}

static void clock_read(u64 n)
{
    if (has_kvm(KVM_FEATURE_CLOCKSOURCE2))
        clock_kvm(n);
    else if (has_hpet())
        clock_hpet(n);
    else
        clock_pm_timer(n);
}

static void clock_prepare(void)
{
    if (has_kvm(KVM_FEATURE_CLOCKSOURCE2))
        kvm_clock_enable();
}

static const char *clock_title(void)
{
    return has_kvm(KVM_FEATURE_CLOCKSOURCE2) ? "clock read: kvmclock"
           : has_hpet()                      ? "clock read: HPET"
                                             : "clock read: ACPI PM timer";
}

/* ---- the table ------------------------------------------------------------------------------ */

/* Titles that do not depend on anything. */
#define TITLE(id, text)                                                                            \
    static const char *title_##id(void)                                                            \
    {                                                                                              \
        return text;                                                                               \
    }
TITLE(empty_loop, "empty loop")
TITLE(cli_sti, "CLI; STI")
TITLE(pushf_popf, "PUSHF; POPF")
TITLE(iret, "IRET to the same level")
TITLE(int_n, "INT n; IRET")
TITLE(syscall, "SYSCALL; SYSRET from CPL 3")
TITLE(call_ret, "near CALL; RET")
TITLE(call_indirect, "indirect CALL; RET")
TITLE(far_ret, "far RET to the same level")
TITLE(segment_load, "MOV ES, r")
TITLE(in, "IN from port 61h")
TITLE(out, "OUT to port 80h")
TITLE(rdtsc, "RDTSC")
TITLE(cpuid, "CPUID")
TITLE(rdmsr, "RDMSR of EFER")
TITLE(wrmsr, "WRMSR of KernelGSBase")
TITLE(mov_from_cr0, "MOV r, CR0")
TITLE(mov_to_cr0, "MOV CR0, r (TS toggles)")
TITLE(mov_to_cr3, "MOV CR3, r (same)")
TITLE(mov_to_cr4, "MOV CR4, r (TSD toggles)")
TITLE(mov_to_cr8, "MOV CR8, r")
TITLE(lgdt, "LGDT")
TITLE(lidt, "LIDT")
TITLE(invlpg, "INVLPG")
TITLE(page_fault, "page fault, made present")
TITLE(pte_change, "page-table change, INVLPG, read")
TITLE(divide_error, "divide error, skipped")
TITLE(apic_eoi, "EOI register write")
TITLE(hlt_timer, "HLT until the APIC timer (20000 ticks)")

const struct row rows[] = {
    {"empty_loop", title_empty_loop, 400000, 0, empty_loop, 0},
    {"cli_sti", title_cli_sti, 200000, 0, cli_sti, interrupts_off},
    {"pushf_popf", title_pushf_popf, 200000, 0, pushf_popf, 0},
    {"iret", title_iret, 100000, 0, iret, 0},
    {"int_n", title_int_n, 100000, 0, int_n, 0},
    {"syscall_sysret", title_syscall, 100000, 0, run_user_loop, 0},
    {"call_ret", title_call_ret, 400000, 0, call_ret, 0},
    {"call_indirect", title_call_indirect, 400000, 0, call_indirect, 0},
    {"far_ret", title_far_ret, 100000, 0, far_ret, 0},
    {"segment_load", title_segment_load, 100000, 0, segment_load, 0},
    {"in", title_in, 100000, 0, in_port, 0},
    {"out", title_out, 100000, 0, out_port, 0},
    {"rdtsc", title_rdtsc, 200000, 0, read_tsc, 0},
    {"cpuid", title_cpuid, 100000, 0, identify, 0},
    {"rdmsr", title_rdmsr, 100000, 0, read_msr, 0},
    {"wrmsr", title_wrmsr, 100000, 0, write_msr, 0},
    {"mov_from_cr0", title_mov_from_cr0, 200000, 0, mov_from_cr0, 0},
    {"mov_to_cr0", title_mov_to_cr0, 50000, 0, mov_to_cr0, 0},
    {"mov_to_cr3", title_mov_to_cr3, 20000, 0, mov_to_cr3, 0},
    {"mov_to_cr4", title_mov_to_cr4, 20000, 0, mov_to_cr4, 0},
    {"mov_to_cr8", title_mov_to_cr8, 100000, 0, mov_to_cr8, 0},
    {"lgdt", title_lgdt, 100000, 0, load_gdt, 0},
    {"lidt", title_lidt, 100000, 0, load_idt, 0},
    {"invlpg", title_invlpg, 100000, 0, invalidate_page, 0},
    {"page_fault", title_page_fault, 50000, 0, page_fault, 0},
    {"pte_change", title_pte_change, 50000, 0, page_table_change, 0},
    {"divide_error", title_divide_error, 50000, 0, divide_error, 0},
    {"apic_eoi", title_apic_eoi, 100000, 0, apic_eoi, 0},
    {"irq_eoi", irq_eoi_title, 50000, irq_eoi_prepare, irq_eoi, irq_eoi_finish},
    {"self_ipi", self_ipi_title, 50000, interrupts_on, self_ipi, interrupts_off},
    {"hlt_timer", title_hlt_timer, 1000, 0, hlt_timer, 0},
    {"hypercall", hypercall_title, 50000, hypercall_prepare, hypercall, hypercall_finish},
    {"clock_read", clock_title, 100000, clock_prepare, clock_read, 0},
    {0, 0, 0, 0, 0, 0},
};
