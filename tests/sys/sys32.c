/* sys32.c: see sys32.h. */
#include "sys32.h"

#define PORT_REPORT 0xe9
#define PORT_EXIT 0xf4
#define EXIT_PASS 0x10 /* the program's exit code is (v << 1) | 1: 33 */
#define EXIT_FAIL 0x11

struct trap trap;
u32 no_error_code, frame16;
u64 gdt[GDT_ENTRIES], idt[256], ldt[8];
struct tss32 tss0, tss1, tss_df;
struct tss16 tss_16;

static u32 failures, tests;
static u32 running; /* a snippet is: what traps else is a mistake of the harness or the emulator */
static u32 directory[1024] __attribute__((aligned(4096)));
static u32 tables[2][1024] __attribute__((aligned(4096)));
static u8 stacks[4][1024] __attribute__((aligned(16)));
static u8 entry_stacks[3][1024] __attribute__((aligned(16)));
static u8 df_stack[512] __attribute__((aligned(16)));

extern u8 stubs[], real_stubs[], df_entry[], gdtr[], idtr[];
extern struct regs real_regs;
extern u32 real_vector, real_flags;
void enter_snippet(void), enter_real(void), load_tables(void);
void sys_main(void);
__attribute__((regparm(3))) void trap_record(u32 sp, u32 cs, u32 ss);
__attribute__((regparm(3))) void df_record(u32 error);
void real_record(void);

void *memset(void *to, int c, u32 n)
{
    void *p = to;
    __asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, u32 n)
{
    void *p = to;
    __asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n)::"memory");
    return to;
}

/* ---- reporting ------------------------------------------------------------------------------- */

static void put(const char *s)
{
    while (*s)
        outb(PORT_REPORT, (u8)*s++);
}

static void put_hex(u32 v)
{
    put("0x");
    int shift = 28;
    while (shift && !(v >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        outb(PORT_REPORT, (u8) "0123456789abcdef"[v >> shift & 15]);
}

static void put_outcome(u32 v)
{
    if ((v & 0xff) == DONE) {
        put("no fault");
        return;
    }
    put("vector ");
    put_hex(v & 0xff);
    if (v >> 31) {
        put(" error ");
        put_hex(v >> 8 & 0xffff);
    }
}

static void verdict(const char *name, u32 good)
{
    tests++;
    failures += !good;
    put(good ? "ok " : "FAIL ");
    put(name);
}

void is(const char *name, u32 expected, u32 got)
{
    verdict(name, expected == got);
    if (expected != got) {
        put(": expected ");
        put_hex(expected);
        put(" got ");
        put_hex(got);
    }
    put("\n");
}

static u32 counted, counted_bad;

void count(u32 expected, u32 got, u32 a, u32 b)
{
    counted++;
    if (expected == got || counted_bad++ >= 8)
        return;
    put("  in case ");
    put_hex(a);
    put(", ");
    put_hex(b);
    put(": expected ");
    put_hex(expected);
    put(" got ");
    put_hex(got);
    put("\n");
}

void count_end(const char *name)
{
    is(name, 0, counted_bad);
    if (!counted)
        is("the loop above tried something", 1, 0);
    counted = counted_bad = 0;
}

/* ---- tables ---------------------------------------------------------------------------------- */

u64 descriptor(u32 base, u32 limit, u32 access, u32 flags)
{
    u32 lo = (limit & 0xffff) | base << 16;
    u32 hi =
        (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000);
    return (u64)hi << 32 | lo;
}

u64 gate(u32 sel, const void *offset, u32 access, u32 params)
{
    u32 off = (u32)offset;
    return (u64)((off & 0xffff0000) | access << 8 | params) << 32 | (off & 0xffff) | sel << 16;
}

const void *stub(u32 vector)
{
    return stubs + 16 * vector;
}

static void fresh_gdt(void)
{
    memset(gdt, 0, sizeof gdt);
    memset(ldt, 0, sizeof ldt);
    for (u32 dpl = 0; dpl < 4; dpl++) {
        gdt[1 + 2 * dpl] = descriptor(0, 0xfffff, CODE_XR | DPL(dpl), F_FLAT);
        gdt[2 + 2 * dpl] = descriptor(0, 0xfffff, DATA_RW | DPL(dpl), F_FLAT);
    }
    GDT(CS16) = descriptor(0, 0xffff, CODE_XR, 0);
    GDT(DS16) = descriptor(0, 0xffff, DATA_RW, 0);
    GDT(CS16_BIG) = descriptor(0, 0xfffff, CODE_XR, F_G);
    GDT(TSS0) = descriptor((u32)&tss0, sizeof tss0 - 1, P | SYS_TSS32, 0);
    GDT(TSS1) = descriptor((u32)&tss1, sizeof tss1 - 1, P | SYS_TSS32, 0);
    GDT(TSS_DF) = descriptor((u32)&tss_df, sizeof tss_df - 1, P | SYS_TSS32, 0);
    GDT(TSS_16) = descriptor((u32)&tss_16, sizeof tss_16 - 1, P | SYS_TSS16, 0);
    GDT(LDT) = descriptor((u32)ldt, sizeof ldt - 1, P | SYS_LDT, 0);
}

static void fresh_tss(struct tss32 *t)
{
    memset(t, 0, sizeof *t);
    t->cs = CS0;
    t->ds = t->es = t->fs = t->gs = t->ss = DS0;
    t->esp0 = (u32)entry_stacks[0] + sizeof entry_stacks[0];
    t->esp1 = (u32)entry_stacks[1] + sizeof entry_stacks[1];
    t->esp2 = (u32)entry_stacks[2] + sizeof entry_stacks[2];
    t->ss0 = DS0;
    t->ss1 = DS1;
    t->ss2 = DS2;
    t->esp = (u32)stacks[1] + sizeof stacks[1];
    t->eflags = 2;
    t->ldt = LDT;
    t->cr3 = (u32)directory;
    t->iomap = __builtin_offsetof(struct tss32, io);
    memset(t->io, 0xff, sizeof t->io + sizeof t->io_end);
    t->redirect[DONE / 8] = 1 << DONE % 8;
}

static void fresh_idt(void)
{
    for (u32 i = 0; i < 256; i++)
        idt[i] = gate(CS0, stub(i), P | SYS_INT32, 0);
    idt[DONE] = gate(CS0, stub(DONE), P | DPL(3) | SYS_INT32, 0);
    idt[DFAULT] = gate(TSS_DF, 0, P | SYS_TASK, 0);
    u16 *ivt = (u16 *)0x400;
    __asm__("" : "+r"(ivt)); /* the compiler takes a small constant address for a null pointer */
    ivt -= 0x200;
    for (u32 i = 0; i < 256; i++) {
        ivt[2 * i] = (u16)((u32)real_stubs + 16 * i);
        ivt[2 * i + 1] = 0;
    }
}

void ring(u32 cpl)
{
    static const u16 cs[] = {CS0, CS1, CS2, CS3}, ds[] = {DS0, DS1, DS2, DS3};
    in.cs = cs[cpl];
    in.ss = in.ds = in.es = in.fs = in.gs = ds[cpl];
    in.esp = (u32)stacks[cpl] + sizeof stacks[cpl] - 64;
    in.eflags = 2;
}

void v86(u32 iopl)
{
    in.cs = in.ss = in.ds = in.es = in.fs = in.gs = 0;
    in.esp = 0x7000;
    in.eflags = VM | IOPL(iopl) | 2;
}

void fresh(void)
{
    write_cr0(0x31); /* PE, ET, NE */
    write_cr4(0);
    fresh_gdt();
    fresh_idt();
    fresh_tss(&tss0);
    fresh_tss(&tss1);
    fresh_tss(&tss_df);
    tss_df.eip = (u32)df_entry;
    tss_df.esp = (u32)df_stack + sizeof df_stack;
    memset(&tss_16, 0, sizeof tss_16);
    tss_16.cs = CS16;
    tss_16.ss = tss_16.ds = tss_16.es = DS16;
    tss_16.sp = 0x7000;
    tss_16.flags = 2;
    tss_16.ldt = LDT;
    load_tables();
    __asm__ volatile("lldt %w0; ltr %w1" ::"r"(LDT), "r"(TSS0) : "memory");
    no_error_code = frame16 = real_flat = 0;
    in.eax = 0xa1a1a1a1;
    in.ecx = 0xc2c2c2c2;
    in.edx = 0xd3d3d3d3;
    in.ebx = 0xb4b4b4b4;
    in.ebp = 0xe5e5e5e5;
    in.esi = 0x66666666;
    in.edi = 0x77777777;
    ring(0);
}

/* ---- paging ---------------------------------------------------------------------------------- */

void paging_on(void)
{
    for (u32 i = 0; i < 2048; i++)
        tables[i / 1024][i % 1024] = i << 12 | PTE_P | PTE_W | PTE_U;
    directory[0] = (u32)tables[0] | PTE_P | PTE_W | PTE_U;
    directory[1] = (u32)tables[1] | PTE_P | PTE_W | PTE_U;
    write_cr3((u32)directory);
    write_cr0(read_cr0() | CR0_PG);
}

void paging_off(void)
{
    write_cr0(read_cr0() & ~CR0_PG);
}

void page_set(const void *va, u32 bits)
{
    u32 n = (u32)va >> 12;
    tables[n / 1024][n % 1024] = n << 12 | bits;
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

/* ---- what ended the run ---------------------------------------------------------------------- */

static u32 has_error(u32 vector)
{
    return !no_error_code && (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17);
}

/* Slot i of the frame, whatever its width. */
static u32 slot(u32 i)
{
    return frame16 ? ((const u16 *)trap.raw)[i] : trap.raw[i];
}

static void must_run(u32 vector, u32 eip)
{
    if (!running) {
        put("FAIL the harness itself trapped: vector ");
        put_hex(vector);
        put(" near ");
        put_hex(eip);
        put("\n");
        outb(PORT_EXIT, EXIT_FAIL);
    }
    running = 0;
}

__attribute__((regparm(3))) void trap_record(u32 sp, u32 cs, u32 ss)
{
    u64 d = GDT(ss);
    u32 base = (u32)(d >> 16 & 0xffffff) | (u32)(d >> 56) << 24;
    u32 mask = d >> 54 & 1 ? ~0u : 0xffff;
    const u32 *f = (const u32 *)(base + (sp & mask));
    trap.r = (struct regs){.gs = (u16)f[0],
                           .fs = (u16)f[1],
                           .es = (u16)f[2],
                           .ds = (u16)f[3],
                           .edi = f[5],
                           .esi = f[6],
                           .ebp = f[7],
                           .ebx = f[9],
                           .edx = f[10],
                           .ecx = f[11],
                           .eax = f[12]};
    must_run(f[13], f[14]);
    trap.flags = f[4];
    trap.vector = f[13];
    trap.sp = (sp & mask) + 14 * 4;
    trap.ss = ss;
    trap.cs = cs & 0xffff;
    memcpy(trap.raw, f + 14, sizeof trap.raw);
    u32 i = has_error(trap.vector) ? 1 : 0, width = frame16 ? 2 : 4;
    trap.error = i ? slot(0) : 0;
    trap.r.eip = slot(i);
    trap.r.cs = slot(i + 1) & 0xffff;
    trap.r.eflags = slot(i + 2);
    if (trap.r.eflags & VM && !frame16) {
        trap.r.es = slot(i + 5) & 0xffff;
        trap.r.ds = slot(i + 6) & 0xffff;
        trap.r.fs = slot(i + 7) & 0xffff;
        trap.r.gs = slot(i + 8) & 0xffff;
    } else if ((trap.r.cs & 3) == (cs & 3)) {
        trap.r.esp = trap.sp + (i + 3) * width;
        trap.r.ss = ss;
        return;
    }
    trap.r.esp = slot(i + 3);
    trap.r.ss = slot(i + 4) & 0xffff;
}

/* The old task holds what the run was doing. */
__attribute__((regparm(3))) void df_record(u32 error)
{
    const struct tss32 *t = tss_df.link == TSS1 ? &tss1 : &tss0;
    memset(&trap, 0, sizeof trap);
    must_run(DFAULT, t->eip);
    trap.vector = DFAULT;
    trap.error = error;
    trap.r = (struct regs){t->edi, t->esi, t->ebp,    t->esp, t->ebx, t->edx, t->ecx, t->eax,
                           t->eip, t->cs,  t->eflags, t->ss,  t->ds,  t->es,  t->fs,  t->gs};
}

void real_record(void)
{
    must_run(real_vector, 0);
    no_error_code = 1;
    memset(&trap, 0, sizeof trap);
    trap.r = real_regs;
    trap.vector = real_vector & 0xff;
    trap.flags = real_flags;
    trap.sp = trap.r.esp & 0xffff;
    trap.ss = trap.r.ss;
    memcpy(trap.raw, (const void *)(trap.ss * 16 + trap.sp), sizeof trap.raw);
    const u16 *f = (const u16 *)trap.raw;
    trap.r.eip = f[0];
    trap.r.cs = f[1];
    trap.r.eflags = f[2];
    trap.r.esp = (trap.r.esp & 0xffff0000) | ((trap.sp + 6) & 0xffff);
}

/* ---- running --------------------------------------------------------------------------------- */

void run_at(const void *snippet)
{
    memset(&trap, 0xee, sizeof trap);
    in.eip = (u32)snippet;
    running = 1;
    enter_snippet();
}

void real(void)
{
    in.cs = in.ss = in.ds = in.es = in.fs = in.gs = 0;
    in.esp = 0x7000;
}

void run_real_at(const void *snippet)
{
    if (in.cs == CS0)
        real();
    memset(&trap, 0xee, sizeof trap);
    in.eip = (u32)snippet - (in.cs << 4);
    running = 1;
    enter_real();
}

u32 outcome(void)
{
    return has_error(trap.vector) ? FAULT_ERR(trap.vector, trap.error & 0xffff)
                                  : FAULT(trap.vector);
}

static void compare(const char *name, u32 want, const void *at)
{
    u32 got = outcome();
    u32 good = got == want && (!at || trap.r.eip == (u32)at);
    verdict(name, good);
    if (!good) {
        put(": expected ");
        put_outcome(want);
        if (at) {
            put(" at ");
            put_hex((u32)at);
        }
        put(" got ");
        put_outcome(got);
        put(" at ");
        put_hex(trap.r.eip);
    }
    put("\n");
}

void expect_at(const char *name, const void *snippet, u32 want, const void *at)
{
    run_at(snippet);
    compare(name, want, at);
    fresh();
}

void expect(const char *name, const void *snippet, u32 want)
{
    expect_at(name, snippet, want, 0);
}

void expect_real(const char *name, const void *snippet, u32 want)
{
    run_real_at(snippet);
    compare(name, want, 0);
    fresh();
}

void is_unchanged(const char *name)
{
    static const char *const part[] = {"edi", "esi", "ebp", "esp", "ebx", "edx", "ecx", "eax"};
    const u32 want[] = {0x77777777, 0x66666666, 0xe5e5e5e5, 0,
                        0xb4b4b4b4, 0xd3d3d3d3, 0xc2c2c2c2, 0xa1a1a1a1};
    for (u32 i = 0; i < 8; i++)
        if (i != 3 && want[i] != (&trap.r.edi)[i]) {
            put("  ");
            put(part[i]);
            put(" changed\n");
            is(name, want[i], (&trap.r.edi)[i]);
            return;
        }
    is(name, 1, 1);
}

void sys_main(void)
{
    outb(0x21, 0xff); /* interrupts come only where a test asks for them */
    outb(0xa1, 0xff);
    fresh();
    test_main();
    put("done ");
    put_hex(tests);
    put(" tests, ");
    put_hex(failures);
    put(" failures\n");
    outb(PORT_EXIT, failures || !tests ? EXIT_FAIL : EXIT_PASS);
}
