/*
 * sys32.h: the ground under the 16- and 32-bit system tests: a flat 32-bit supervisor that starts a
 * snippet of machine code in any mode and at any privilege, catches whatever ends it, and reports.
 *
 * A test writes a snippet (CODE32, CODE16), changes `in`, gdt, idt, tss0 or the snippet's memory,
 * and calls expect(), which runs the snippet and compares what ended it: an exception with its
 * error code, or DONE, the `int $0x80` that CODE32 and CODE16 append. `trap` then holds the state
 * at that moment for further is(). Everything but `trap` is put back to its default after each
 * expect().
 *
 * Manual: Intel SDM volumes 2 and 3A; AMD APM volume 2 where named.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
_Static_assert(sizeof(u32) == 4, "the guest is 32-bit");

/* ---- snippets -------------------------------------------------------------------------------- */

#define SNIPPET(name, section, bits, text)                                                         \
    __asm__(".pushsection " section ", \"awx\"\n.code" bits "\n.balign 16\n.globl " #name          \
            "\n.weak " #name "_f\n" #name ":\n" text "\nint $0x80\n.code32\n.popsection\n");       \
    extern u8 name[], name##_f[];
/* 32-bit code; the label NAME_f may mark the instruction that shall fault. */
#define CODE32(name, text) SNIPPET(name, ".snippets", "32", text)
/* 16-bit code below 64 KiB, for real, virtual-8086 and 16-bit protected mode: offset = address. */
#define CODE16(name, text) SNIPPET(name, ".low", "16", text)
/* Data that 16-bit code reaches. */
#define LOW __attribute__((section(".lowdata"), used))

/* ---- state ----------------------------------------------------------------------------------- */

struct regs { /* start32.S knows the offsets */
    u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
    u32 eip, cs, eflags, ss, ds, es, fs, gs;
};

struct trap {
    struct regs r; /* at the trap; real and v86: selectors as they were */
    u32 vector, error;
    u32 sp, ss, cs; /* of the handler, before it pushed anything */
    u32 flags;      /* in the handler */
    u32 raw[20];    /* the handler's stack from sp upwards */
};

extern struct regs in;   /* state to start with */
extern struct trap trap; /* what ended the last run */

/* How the frame is to be read. All are cleared by fresh(). */
extern u32 no_error_code; /* vectors 8, 10 .. 14, 17 come without an error code: INT n */
extern u32 frame16;       /* the handler was entered by a 16-bit gate */
extern u32 real_flat;     /* real mode: bits DS 1, ES 2, FS 4, GS 8, CS 16 keep a limit of 4 GiB */
#define FLAT_DS 1
#define FLAT_ES 2
#define FLAT_CS 16

/* ---- tables ---------------------------------------------------------------------------------- */

struct tss32 {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
    u32 es, cs, ss, ds, fs, gs, ldt;
    u16 t, iomap;
    u8 redirect[32];
    u8 io[0x80]; /* ports 0 .. 0x3ff */
    u8 io_end[4];
};
_Static_assert(__builtin_offsetof(struct tss32, redirect) == 104, "TSS layout");

struct tss16 {
    u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags;
    u16 ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};
_Static_assert(sizeof(struct tss16) == 44, "TSS layout");

#define GDT_ENTRIES 64
extern u64 gdt[GDT_ENTRIES], idt[256], ldt[8];
extern struct tss32 tss0, tss1, tss_df;
extern struct tss16 tss_16;

enum {
    CS0 = 0x08,
    DS0 = 0x10,
    CS1 = 0x18 | 1,
    DS1 = 0x20 | 1,
    CS2 = 0x28 | 2,
    DS2 = 0x30 | 2,
    CS3 = 0x38 | 3,
    DS3 = 0x40 | 3,
    CS16 = 0x48,
    DS16 = 0x50,
    CS16_BIG = 0x58, /* 16-bit code with a limit of 4 GiB */
    TSS0 = 0x60,
    TSS1 = 0x68,
    TSS_DF = 0x70,
    TSS_16 = 0x78,
    LDT = 0x80,
    T0 = 0x100, /* T0 .. T0 + 0xf8: free for tests, zero */
};

/* Access bytes: P and S set, DPL 0. */
enum {
    DATA_RO = 0x91,
    DATA_RW = 0x93,
    DATA_DOWN_RO = 0x95,
    DATA_DOWN = 0x97,
    CODE_XO = 0x99,
    CODE_XR = 0x9b,
    CODE_CONF_XO = 0x9d,
    CODE_CONF = 0x9f
};
enum {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL16 = 4,
    SYS_TASK = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15
};
#define P 0x80
#define DPL(n) ((n) << 5)
#define F_G 8u /* limit in pages */
#define F_D 4u /* 32-bit */
#define F_FLAT (F_G | F_D)

u64 descriptor(u32 base, u32 limit, u32 access, u32 flags);
u64 gate(u32 sel, const void *offset, u32 access, u32 params);
#define GDT(sel) gdt[(sel) >> 3]
/* Entry points that report like the default ones, for gates that tests build themselves. */
const void *stub(u32 vector);

/* ---- EFLAGS, CR0, CR4 ------------------------------------------------------------------------ */

enum {
    CF = 1,
    PF = 4,
    AF = 0x10,
    ZF = 0x40,
    SF = 0x80,
    TF = 0x100,
    IF = 0x200,
    DF = 0x400,
    OF = 0x800,
    NT = 0x4000,
    RF = 0x10000,
    VM = 0x20000,
    AC = 0x40000,
    VIF = 0x80000,
    VIP = 0x100000,
    ID = 0x200000
};
#define IOPL(n) ((n) << 12)
#define CR0_PG 0x80000000u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_TS 8u
#define CR4_VME 1u
#define CR4_PVI 2u
#define CR4_DE 8u

static inline u32 read_cr0(void)
{
    u32 v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}
static inline void write_cr0(u32 v)
{
    __asm__ volatile("mov %0, %%cr0" ::"r"(v) : "memory");
}
static inline u32 read_cr2(void)
{
    u32 v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}
static inline u32 read_cr3(void)
{
    u32 v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}
static inline void write_cr3(u32 v)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(v) : "memory");
}
static inline u32 read_cr4(void)
{
    u32 v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}
static inline void write_cr4(u32 v)
{
    __asm__ volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}
static inline u32 read_dr6(void)
{
    u32 v;
    __asm__ volatile("mov %%dr6, %0" : "=r"(v));
    return v;
}
static inline void write_dr6(u32 v)
{
    __asm__ volatile("mov %0, %%dr6" ::"r"(v));
}
static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
/* CPUID.1:EDX: what the CPU model has. */
#define HAS_TSC 0x10u
#define HAS_MSR 0x20u
#define HAS_CX8 0x100u
static inline u32 cpu_has(u32 feature)
{
    u32 eax = 1, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=d"(edx)::"ebx", "ecx");
    return edx & feature;
}
static inline u16 str(void)
{
    u16 v;
    __asm__ volatile("str %0" : "=r"(v));
    return v;
}

/* ---- running --------------------------------------------------------------------------------- */

#define DONE 0x80u
#define FAULT(vector) (vector)
#define FAULT_ERR(vector, error) (0x80000000u | (u32)(error) << 8 | (vector))
enum {
    DE = 0,
    DB = 1,
    NMI = 2,
    BP = 3,
    OF_TRAP = 4,
    BR = 5,
    UD = 6,
    NM = 7,
    DFAULT = 8,
    TS = 10,
    NP = 11,
    SS = 12,
    GP = 13,
    PAGE = 14,
    ALIGN = 17
};

/* Puts tables, control registers and `in` back to their defaults. */
void fresh(void);
/* Selects the privilege of the next run: selectors and stack of `in`. */
void ring(u32 cpl);
/* The next run is in virtual-8086 mode: all selectors 0, SP 0x7000. */
void v86(u32 iopl);
/* Runs the snippet in protected mode as `in` says. */
void run_at(const void *snippet);
/* The next run is in real mode: all selectors 0, SP 0x7000. Only a test that changes them calls it.
 */
void real(void);
/* Runs the snippet in real mode, as `in` says after real(). */
void run_real_at(const void *snippet);

/* What ended the last run: DONE, FAULT(v) or FAULT_ERR(v, e). */
u32 outcome(void);
/* Runs and compares what ended the run; then fresh(). */
void expect(const char *name, const void *snippet, u32 want);
void expect_real(const char *name, const void *snippet, u32 want);
/* The same, and the saved EIP must be `at`. */
void expect_at(const char *name, const void *snippet, u32 want, const void *at);
/* Compares numbers. */
void is(const char *name, u32 expected, u32 got);
/* In a loop of many: nothing is printed as long as they agree. Ends with count_end(name). */
void count(u32 expected, u32 got, u32 a, u32 b);
void count_end(const char *name);
/* All general registers of `trap` are those that the run began with (ESP too). */
void is_unchanged(const char *name);

/* Identity mapping of the first 8 MiB by 4 KiB pages, all present, writable, user. */
void paging_on(void);
void paging_off(void);
#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
/* Sets the low bits of the page's entry, and flushes it. */
void page_set(const void *va, u32 bits);
extern u8 page_a[4096], page_b[4096]; /* neighbours, for crossings */

void *memset(void *to, int c, u32 n);
void *memcpy(void *to, const void *from, u32 n);

/* What a test program is: called once; the harness ends the machine after it. */
void test_main(void);
