/* guest.h: the demo guest's world: types, privileged instructions, and its parts' interfaces. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
_Static_assert(sizeof(u64) == 8, "LP64 is expected");

static inline void out8(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out16(u16 port, u16 v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline u8 in8(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline u32 in32(u16 port)
{
    u32 v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline u64 rdtsc(void)
{
    u32 lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (u64)hi << 32 | lo;
}

static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

struct cpuid {
    u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(0));
    return r;
}

static inline void invlpg(u64 va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline volatile u32 *mmio32(u64 gpa)
{
    return (volatile u32 *)gpa;
}

/* ---- start.S -------------------------------------------------------------------------------- */

#define VECTOR_INT 0x80
#define VECTOR_TIMER 0x40
#define VECTOR_IPI 0x41
#define VECTOR_IPI_PV_EOI 0x42
#define VECTOR_SPURIOUS 0xff

extern u8 exception_stubs[32][16];
void handle_divide(void), handle_undefined(void), handle_page_fault(void), handle_int(void);
void handle_irq(void), handle_irq_pv_eoi(void), handle_spurious(void), handle_syscall(void);
void run_user_loop(u64 n);
void just_return(void);
extern u64 pml4[512], test_pdpt[512], test_pd[512], test_pt[512];
extern const u64 test_page;          /* the 4 KiB page that test_pt[0] maps */
extern volatile u64 irq_count;       /* interrupts handled */
extern volatile u64 undefined_count; /* #UD skipped */
extern volatile u32 pv_eoi_word;
extern const struct {
    u16 limit;
    u64 base;
} __attribute__((packed)) gdt_pointer;

/* ---- setup.c: descriptor tables, pages, interrupt controllers, clocks ----------------------- */

#define APIC_ID 0xfee00020ul
#define APIC_EOI 0xfee000b0ul
#define APIC_ICR_LOW 0xfee00300ul
#define APIC_TIMER_INITIAL 0xfee00380ul
#define HPET_COUNTER 0xfed000f0ul
#define PM_TIMER_PORT 0x608
#define PTE_P 1ul
#define PTE_W 2ul

extern struct idt_pointer {
    u16 limit;
    u64 base;
} __attribute__((packed)) idt_pointer;

void setup_machine(void);
/* #UD means "skip three bytes" from now on, or again a failure. */
void expect_undefined(int on);
int has_hpet(void); /* after setup_machine; its counter then runs */
u64 measure_tsc_khz(void);
_Noreturn void power_off(void);

/* ---- kvm.c: the hypervisor ------------------------------------------------------------------ */

#define KVM_FEATURE_CLOCKSOURCE2 3
#define KVM_FEATURE_PV_EOI 6
#define KVM_FEATURE_PV_SEND_IPI 11
#define KVM_HC_SEND_IPI 10ul
#define KVM_HC_NONE 0xfffful /* a number that no hypercall has */

/* The signature of leaf 40000000h as text, "none" without a hypervisor. */
const char *hypervisor(void);
int has_kvm(unsigned feature);
void kvm_clock_enable(void);
u64 kvm_clock_ns(void);
void kvm_eoi_enable(int on);

static inline u64 vmcall(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
    u64 r;
    __asm__ volatile("vmcall" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return r;
}

/* ---- rows.c --------------------------------------------------------------------------------- */

struct row {
    const char *name;
    const char *(*title)(void); /* what it does here; depends on the hypervisor */
    u64 n;
    void (*prepare)(void); /* may be 0 */
    void (*run)(u64 n);
    void (*finish)(void); /* may be 0 */
};

extern const struct row rows[]; /* ends with name = 0 */
