/*
 * long.h: what a 64-bit system test is made of.
 *
 * A program is multiboot; long_start.S takes it to 64-bit mode and long_lib.c calls main(). Memory:
 * the first GiB is mapped twice in 2 MiB pages, at 0 for the supervisor and at USER_OFFSET for
 * users; 3 to 4 GiB at itself (chips). Code is position-independent, so that a function runs at CPL
 * 3 when called at USER_OFFSET above where it was linked.
 *
 * Output goes to port E9h: "ok NAME" or "FAIL NAME: ..." for each test; the end is isa-debug-exit
 * with EXIT_PASS when all is well.
 */
#pragma once

#include "long_defs.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define BIT(n) (1ull << (n))
#define NOINLINE __attribute__((noinline))

enum {
    DE = 0,
    DB = 1,
    NMI = 2,
    BP = 3,
    OF = 4,
    UD = 6,
    NM = 7,
    DF = 8,
    TS = 10,
    NP = 11,
    SS = 12,
    GP = 13,
    PF = 14,
    MF = 16,
    AC = 17,
    XM = 19,
};

#define FLAG_CF BIT(0)
#define FLAG_ZF BIT(6)
#define FLAG_TF BIT(8)
#define FLAG_IF BIT(9)
#define FLAG_DF BIT(10)
#define FLAG_NT BIT(14)
#define FLAG_RF BIT(16)
#define FLAG_AC BIT(18)

#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_DE BIT(3)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_OSFXSR BIT(9)
#define CR4_UMIP BIT(11)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define MSR_APIC_BASE 0x1b
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_SFMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_XD BIT(63)

/* ---- exceptions
 * ------------------------------------------------------------------------------------ */

struct regs {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* The exception that ended the last guarded call, with CR2 and DR6 as the handler found them. */
struct trap {
    struct regs r;
    u64 cr2, dr6;
};
extern struct trap trap;

/* Called for a vector instead of the above; returns to the interrupted code. NULL: none. */
typedef void (*handler_fn)(struct regs *r);
extern handler_fn handlers[256];

u64 guarded(void (*fn)(u64 arg), u64 arg);
u64 guarded_user(u64 rip, u64 arg, u64 cs, u64 rflags);
static inline u64 user_address(const volatile void *p)
{
    return (u64)p + USER_OFFSET;
}
static inline u64 guarded_cpl3(void (*fn)(u64 arg), u64 arg)
{
    return guarded_user(user_address((const void *)(u64)fn), arg, UCS, 2);
}

struct gate {
    u16 low, sel;
    u8 ist, attr;
    u16 middle;
    u32 high, zero;
};
extern struct gate idt[256];
extern u64 gdt[GDT_BYTES / 8];
extern u8 tss_area[128], ist_stacks[], rsp0_stack_top[], user_stack_top[], trap_stubs[];
void gate_set(unsigned vector, u64 offset, u16 sel, u8 attr, u8 ist);
/* The gate as at the beginning, but with this IST. */
void gate_ist(unsigned vector, u8 ist);
void gate_default(unsigned vector);
void tss_set(unsigned offset, u64 v);
#define TSS_RSP(n) (4 + 8 * (n))
#define TSS_IST(n) (28 + 8 * (n))
void idt_load(u64 base, u16 limit);

/* ---- reports
 * ---------------------------------------------------------------------------------------- */

void say(const char *format, ...); /* %s, %x (u64), %d (u64) */
void test_begin(const char *name);
void test_end(void);
void test_skip(const char *why);
bool check_eq(const char *what, unsigned line, u64 got, u64 want);
#define CHECK_EQ(got, want) check_eq(#got, __LINE__, (u64)(got), (u64)(want))
#define CHECK(cond) check_eq(#cond, __LINE__, !!(cond), 1)
/* For loops: what the parameters were, printed with the failures of this round. */
void context(const char *format, u64 a, u64 b, u64 c, u64 d);
#define RUN(fn)                                                                                    \
    do {                                                                                           \
        test_begin(#fn);                                                                           \
        fn();                                                                                      \
        test_end();                                                                                \
    } while (0)

int main(void);

/* ---- memory
 * ------------------------------------------------------------------------------------------ */

extern u64 boot_pml4[512], boot_pdpt[512], boot_pd_low[512], boot_pd_user[512], boot_pd_high[512];
void *page_alloc(void); /* zeroed, below 1 GiB */
/* The entry of `va` at level 1 (4 KiB) to 4, tables made (with P, W, U) as needed. */
volatile u64 *page_entry(u64 va, unsigned level);
void page_map(u64 va, u64 entry);
void page_unmap_all(u64 va); /* forgets the tables of this PML4 slot */
void copy(void *to, const void *from, u64 n);

/* ---- instructions
 * ------------------------------------------------------------------------------------- */

static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
#define CR_ACCESS(n)                                                                               \
    static inline u64 read_cr##n(void)                                                             \
    {                                                                                              \
        u64 v;                                                                                     \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v) : : "memory");                             \
        return v;                                                                                  \
    }                                                                                              \
    static inline void write_cr##n(u64 v)                                                          \
    {                                                                                              \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");                                 \
    }
CR_ACCESS(0)
CR_ACCESS(2)
CR_ACCESS(3)
CR_ACCESS(4)
CR_ACCESS(8)
#define DR_ACCESS(n)                                                                               \
    static inline u64 read_dr##n(void)                                                             \
    {                                                                                              \
        u64 v;                                                                                     \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v) : : "memory");                             \
        return v;                                                                                  \
    }                                                                                              \
    static inline void write_dr##n(u64 v)                                                          \
    {                                                                                              \
        __asm__ volatile("mov %0, %%dr" #n : : "r"(v) : "memory");                                 \
    }
DR_ACCESS(0)
DR_ACCESS(1)
DR_ACCESS(2)
DR_ACCESS(3)
DR_ACCESS(6)
DR_ACCESS(7)
static inline u64 rdmsr(u32 nr)
{
    u32 a, d;
    __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(nr));
    return (u64)d << 32 | a;
}
static inline void wrmsr(u32 nr, u64 v)
{
    __asm__ volatile("wrmsr" : : "c"(nr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline void invlpg(u64 va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}
static inline void cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}
static inline void sti(void)
{
    __asm__ volatile("sti" : : : "memory");
}
static inline u64 rdtsc(void)
{
    u32 a, d;
    __asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
    return (u64)d << 32 | a;
}
static inline u64 read_flags(void)
{
    u64 v;
    __asm__ volatile("pushfq; pop %0" : "=r"(v) : : "memory");
    return v;
}
struct cpuid {
    u32 a, b, c, d;
};
static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}
static inline bool is_amd(void)
{
    return cpuid(0, 0).b == 0x68747541;
}
u64 max_physical(void); /* first bit that an address cannot have */

/* wrmsr, rdmsr and moves to control registers that may fault: the vector or NO_TRAP. */
u64 try_wrmsr(u32 nr, u64 v);
u64 try_rdmsr(u32 nr, u64 *v);
u64 try_write_cr(unsigned n, u64 v);
