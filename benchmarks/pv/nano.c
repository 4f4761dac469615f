/*
 * nano.c: what sensitive operations cost: a bare-metal program that times each in a loop.
 *
 * It stands on the harness of the 64-bit system tests (tests/sys/long.h). For each operation it
 * prints `nano NAME PICOSECONDS`: the fastest of eight batches, the empty loop taken off. Time is
 * the guest's TSC, whose ticks are nanoseconds here. benchmarks/pv.sh turns that into cycles of the
 * host.
 *
 * Adding an operation is one function and one row of the table at the end.
 */
#include "long.h"

#define BATCH_NS 1500000u
#define BATCHES 8
#define APIC 0xfee00000ull
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_ICR 0x300
#define X2APIC(reg) (0x800 + (reg) / 16)
#define HPET_COUNTER 0xfed000f0ull
#define PM_TIMER 0x608
#define VECTOR 0x50
#define ICR_SELF (0x44000 | VECTOR)

#define EIGHT(text) text text text text text text text text

/* A function that does `text` n times, eight in a row. The text may use what is in clobbers. */
#define LOOP(name, inputs, text, ...)                                                              \
    static NOINLINE void name(u64 n)                                                               \
    {                                                                                              \
        for (n /= 8; n > 0; n--)                                                                   \
            __asm__ volatile(EIGHT(text) : : inputs : __VA_ARGS__);                                \
    }
#define NONE

/* Once in each round: what the eight of LOOP would make too long. */
#define LOOP1(name, inputs, text, ...)                                                             \
    static NOINLINE void name(u64 n)                                                               \
    {                                                                                              \
        for (; n > 0; n--)                                                                         \
            __asm__ volatile(text : : inputs : __VA_ARGS__);                                       \
    }

LOOP(nothing, NONE, "", "memory")

/* ---- flags, and ways in and out of the kernel ------------------------------------------------ */

LOOP(cli_sti, NONE, "cli; sti\n\t", "memory")
LOOP(pushf_popf, NONE, "pushfq; popfq\n\t", "memory", "cc")
LOOP(irq_save, NONE, "pushfq; pop %%rax; cli; push %%rax; popfq\n\t", "rax", "memory", "cc")

/* To where it is, at the same privilege. */
LOOP1(iret, NONE,
      "mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $0x08; lea 1f(%%rip), %%rax;"
      "push %%rax; iretq; 1:",
      "rax", "memory", "cc")

void int_entry(void), syscall_entry(void), fault_entry(void), irq_entry(void), irq_entry_x2(void),
    irq_entry_pv(void);
__asm__(
    ".globl int_entry, syscall_entry, fault_entry, irq_entry, irq_entry_x2, irq_entry_pv\n"
    "int_entry: iretq\n"
    "syscall_entry: sysretq\n"
    "fault_entry: add $8, %rsp; addq $3, (%rsp); iretq\n" /* over the code; the load has 3 bytes */
    "irq_entry: push %rax; mov $0xfee000b0, %eax; movl $0, (%rax); pop %rax; iretq\n"
    "irq_entry_x2: push %rax; push %rcx; push %rdx; mov $0x80b, %ecx; xor %eax, %eax;"
    "xor %edx, %edx; wrmsr; pop %rdx; pop %rcx; pop %rax; iretq\n"
    /* as Linux: the EOI, unless the hypervisor said that none is needed */
    "irq_entry_pv: btrl $0, pv_eoi(%rip); jnc irq_entry; iretq\n");

LOOP(software_interrupt, NONE, "int $0x60\n\t", "memory")
LOOP(system_call, NONE, "syscall\n\t", "rcx", "r11", "memory")
LOOP(page_fault, "a"(0x7fff00000000ull), "mov (%%rax), %%rax\n\t", "memory")

/* ---- registers ------------------------------------------------------------------------------- */

LOOP(rdtsc_op, NONE, "rdtsc\n\t", "rax", "rdx")
LOOP(cpuid_op, NONE, "xor %%eax, %%eax; cpuid\n\t", "rax", "rbx", "rcx", "rdx")
LOOP(rdmsr_op, "c"(MSR_KERNEL_GS_BASE), "rdmsr\n\t", "rax", "rdx")
LOOP(wrmsr_op, "c"(MSR_KERNEL_GS_BASE), "xor %%eax, %%eax; xor %%edx, %%edx; wrmsr\n\t", "rax",
     "rdx", "memory")
LOOP(mov_from_cr3, NONE, "mov %%cr3, %%rax\n\t", "rax")
LOOP(mov_cr3, "a"(read_cr3()), "mov %%rax, %%cr3\n\t", "memory")
LOOP(invlpg_op, "a"(0x12345000), "invlpg (%%rax)\n\t", "memory")
LOOP(clts_op, NONE, "clts\n\t", "memory")

/* ---- devices --------------------------------------------------------------------------------- */

LOOP(out_op, "a"(0), "outb %%al, $0x80\n\t", "memory")
LOOP(in_op, NONE, "inb $0x21, %%al\n\t", "rax")
LOOP(apic_read, "b"(APIC), "mov 0x20(%%rbx), %%eax\n\t", "rax", "memory")
LOOP(eoi, "b"(APIC), "movl $0, 0xb0(%%rbx)\n\t", "memory")
LOOP(eoi_x2, NONE, "mov $0x80b, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr\n\t", "rax", "rcx",
     "rdx", "memory")
/* To itself; the interrupt comes at once, is acknowledged, and returns. */
LOOP(self_ipi, "b"(APIC), "movl $0x44050, 0x300(%%rbx)\n\t", "memory")
LOOP(self_ipi_x2, NONE, "mov $0x830, %%ecx; mov $0x44050, %%eax; xor %%edx, %%edx; wrmsr\n\t",
     "rax", "rcx", "rdx", "memory")
/* A deadline that is far away. */
LOOP(deadline, NONE, "mov $0x6e0, %%ecx; mov $-1, %%eax; mov $0x7fffffff, %%edx; wrmsr\n\t", "rax",
     "rcx", "rdx", "memory")
/* The interrupt waits for IF already when it halts. */
LOOP(hlt_wake, "b"(APIC), "cli; movl $0x44050, 0x300(%%rbx); sti; hlt\n\t", "memory")
LOOP(read_hpet, "b"(HPET_COUNTER), "mov (%%rbx), %%rax\n\t", "rax", "memory")
LOOP(read_pm_timer, "d"(PM_TIMER), "inl %%dx, %%eax\n\t", "rax")

/* ---- KVM (the facts are in pv/kvm.h) --------------------------------------------------------- */

static struct {
    volatile u32 version, pad;
    u64 tsc, ns;
    u32 mul;
    signed char shift;
    u8 flags;
} time_page __attribute__((aligned(64)));
u32 pv_eoi;

LOOP(kvm_call, NONE, "mov $1, %%eax; vmmcall\n\t", "rax", "memory")
/* Kicks a CPU that is not there: arguments are looked at, and it fails. */
LOOP(kvm_call_known, "b"(0), "mov $5, %%eax; mov $99, %%ecx; vmmcall\n\t", "rax", "rcx", "memory")
LOOP(kvm_call_unknown, NONE, "mov $999, %%eax; vmmcall\n\t", "rax", "memory")

static NOINLINE void read_kvm_clock(u64 n)
{
    for (; n > 0; n--) {
        u32 version;
        u64 ns;
        do {
            version = time_page.version;
            u64 ticks = rdtsc() - time_page.tsc;
            ticks = time_page.shift < 0 ? ticks >> -time_page.shift : ticks << time_page.shift;
            ns = time_page.ns + (u64)((unsigned __int128)ticks * time_page.mul >> 32);
        } while (version & 1 || version != time_page.version);
        __asm__ volatile("" : : "r"(ns));
    }
}

/* ---- Hyper-V (pv/hyperv.h), VMware
 * --------------------------------------------------------------- */

static u8 hv_call_page[4096] __attribute__((aligned(4096)));
static struct {
    volatile u32 sequence, pad;
    volatile u64 scale;
    volatile s64 offset;
} hv_time_page __attribute__((aligned(4096)));

/* HvCallNotifyLongSpinWait, its argument in a register. */
LOOP(hv_call, "a"(hv_call_page),
     "mov $0x10008, %%ecx; mov $1, %%edx; push %%rax; call *%%rax; pop %%rax\n\t", "rcx", "rdx",
     "r8", "memory")
LOOP(hv_eoi, NONE, "mov $0x40000070, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr\n\t", "rax",
     "rcx", "rdx", "memory")
LOOP(hv_counter, NONE, "mov $0x40000020, %%ecx; rdmsr\n\t", "rax", "rcx", "rdx")

static NOINLINE void read_hv_clock(u64 n)
{
    for (; n > 0; n--) {
        u32 sequence;
        u64 t;
        do {
            sequence = hv_time_page.sequence;
            t = (u64)((unsigned __int128)rdtsc() * hv_time_page.scale >> 64) +
                (u64)hv_time_page.offset;
        } while (sequence != hv_time_page.sequence);
        __asm__ volatile("" : : "r"(t));
    }
}

LOOP(vmware_port, NONE,
     "mov $0x564d5868, %%eax; mov $10, %%ecx; mov $0x5658, %%edx; in %%dx, %%eax\n\t", "rax", "rbx",
     "rcx", "rdx", "memory")
LOOP(vmware_call, NONE,
     "mov $0x564d5868, %%eax; mov $10, %%ecx; xor %%ebx, %%ebx; mov $0, %%edx; vmmcall\n\t", "rax",
     "rbx", "rcx", "rdx", "memory")

/* ---- the rows -------------------------------------------------------------------------------- */

enum needs { PLAIN, USER, XAPIC, X2, KVM, KVM_IRQ, HYPERV, VMWARE };

static const struct row {
    const char *name;
    void (*fn)(u64 n);
    enum needs needs;
} rows[] = {
    {"cli-sti", cli_sti, PLAIN},
    {"pushf-popf", pushf_popf, PLAIN},
    {"irq-save-restore", irq_save, PLAIN},
    {"iret", iret, PLAIN},
    {"int-iret", software_interrupt, PLAIN},
    {"syscall-sysret", system_call, USER},
    {"page-fault-iret", page_fault, PLAIN},
    {"rdtsc", rdtsc_op, PLAIN},
    {"cpuid", cpuid_op, PLAIN},
    {"rdmsr", rdmsr_op, PLAIN},
    {"wrmsr", wrmsr_op, PLAIN},
    {"mov-from-cr3", mov_from_cr3, PLAIN},
    {"mov-cr3", mov_cr3, PLAIN},
    {"invlpg", invlpg_op, PLAIN},
    {"clts", clts_op, PLAIN},
    {"out", out_op, PLAIN},
    {"in", in_op, PLAIN},
    {"apic-read", apic_read, XAPIC},
    {"eoi", eoi, XAPIC},
    {"icr-irq-eoi", self_ipi, XAPIC},
    {"kvm-icr-irq-pv-eoi", self_ipi, KVM_IRQ},
    {"hlt-irq-eoi", hlt_wake, XAPIC},
    {"clock-hpet", read_hpet, PLAIN},
    {"clock-pm-timer", read_pm_timer, PLAIN},
    {"clock-kvm", read_kvm_clock, KVM},
    {"hypercall-null", kvm_call, KVM},
    {"hypercall-known", kvm_call_known, KVM},
    {"hypercall-unknown", kvm_call_unknown, KVM},
    {"hyperv-call", hv_call, HYPERV},
    {"hyperv-eoi", hv_eoi, HYPERV},
    {"hyperv-ref-counter", hv_counter, HYPERV},
    {"clock-hyperv", read_hv_clock, HYPERV},
    {"vmware-port", vmware_port, VMWARE},
    {"vmware-call", vmware_call, VMWARE},
    {"eoi-x2apic", eoi_x2, X2},
    {"icr-irq-eoi-x2apic", self_ipi_x2, X2},
    {"tsc-deadline", deadline, X2},
};

/* Is the row's hypervisor there, if it needs one? */
static bool is_there(enum needs n)
{
    u32 name = n == HYPERV ? 0x7263694d : n == VMWARE ? 0x61774d56 : 0x4b4d564b;
    return n < KVM || (cpuid(1, 0).c >> 31 && cpuid(0x40000000, 0).b == name);
}

static void set_up(const struct row *r)
{
    gate_set(VECTOR, (u64)irq_entry, KCS, 0x8e, 0);
    if (r->needs == X2) {
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
        wrmsr(X2APIC(APIC_SVR), 0x1ff);
        gate_set(VECTOR, (u64)irq_entry_x2, KCS, 0x8e, 0);
    } else if (r->needs == KVM_IRQ) {
        gate_set(VECTOR, (u64)irq_entry_pv, KCS, 0x8e, 0);
        wrmsr(0x4b564d04, (u64)&pv_eoi | 1);
    } else if (r->needs == KVM) {
        wrmsr(0x4b564d01, (u64)&time_page | 1);
    } else if (r->needs == HYPERV) {
        wrmsr(0x40000000, 1);
        wrmsr(0x40000001, (u64)hv_call_page | 1);
        wrmsr(0x40000021, (u64)&hv_time_page | 1);
    }
    if (r->needs == XAPIC || r->needs == X2 || r->needs == KVM_IRQ)
        sti();
}

static void tear_down(const struct row *r)
{
    cli();
    if (r->needs == KVM_IRQ)
        wrmsr(0x4b564d04, 0);
}

static u64 time_of(const struct row *r, u64 n)
{
    u64 t = rdtsc();
    if (r->needs == USER)
        guarded_cpl3(r->fn, n);
    else
        r->fn(n);
    return rdtsc() - t;
}

/* Picoseconds for one, the loop not taken off. */
static u64 measure(const struct row *r)
{
    u64 n = 64, best = ~0ull;
    while (time_of(r, n) < BATCH_NS && n < BIT(30))
        n *= 2;
    for (unsigned i = 0; i < BATCHES; i++) {
        u64 t = time_of(r, n) * 1000 / n;
        best = t < best ? t : best;
    }
    return best;
}

/* As kernels do with their own. */
static void make_pages_global(void)
{
    for (unsigned i = 0; i < 512; i++) {
        boot_pd_low[i] |= PTE_G;
        boot_pd_high[i] |= PTE_G;
    }
    write_cr3(read_cr3());
    write_cr4(read_cr4() | CR4_PGE);
}

int main(void)
{
    static const struct row empty = {"nothing", nothing, PLAIN};
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    make_pages_global();
    gate_set(0x60, (u64)int_entry, KCS, 0x8e, 0);
    gate_set(PF, (u64)fault_entry, KCS, 0x8e, 0);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (u64)(UCS32 & ~3) << 48 | (u64)KCS << 32);
    wrmsr(MSR_LSTAR, (u64)syscall_entry);
    wrmsr(MSR_SFMASK, 0x47fd5);
    *(volatile u32 *)(APIC + APIC_SVR) = 0x1ff;
    u64 loop = measure(&empty);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        if (!is_there(rows[i].needs))
            continue;
        set_up(&rows[i]);
        u64 t = measure(&rows[i]);
        tear_down(&rows[i]);
        say("nano %s %d\n", rows[i].name, t > loop ? t - loop : 0);
    }
    return 0;
}
