/* long_lib.c: see long.h. */
#include "long.h"

struct trap trap;
handler_fn handlers[256];
struct gate idt[256] __attribute__((aligned(16)));

extern u64 guard_rsp, guard_vector;
extern u8 guard_resume[];

static const char *test_name;
static unsigned failures, test_failures, tests_run;
static struct {
    const char *format;
    u64 v[4];
} where;

/* ---- reports
 * --------------------------------------------------------------------------------------- */

static void put(char c)
{
    outb(0xe9, (u8)c);
}

static void put_number(u64 v, unsigned base)
{
    char buf[24];
    unsigned n = 0;
    do {
        buf[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    while (n)
        put(buf[--n]);
}

/* `next` is asked for each argument. */
static void format_to(const char *f, u64 (*next)(void *), void *opaque)
{
    for (; *f; f++) {
        if (*f != '%') {
            put(*f);
            continue;
        }
        u64 v = next(opaque);
        f++;
        if (*f == 's')
            for (const char *s = (const char *)v; *s; s++)
                put(*s);
        else
            put_number(v, *f == 'x' ? 16 : 10);
    }
}

static u64 next_va(void *opaque)
{
    return __builtin_va_arg(*(__builtin_va_list *)opaque, u64);
}

static u64 next_word(void *opaque)
{
    u64 **p = opaque;
    return *(*p)++;
}

void say(const char *format, ...)
{
    struct {
        __builtin_va_list ap;
    } args;
    __builtin_va_start(args.ap, format);
    format_to(format, next_va, &args);
    __builtin_va_end(args.ap);
}

void test_begin(const char *name)
{
    test_name = name;
    test_failures = 0;
    where.format = NULL;
    tests_run++;
}

void test_end(void)
{
    if (test_name && !test_failures)
        say("ok %s\n", test_name);
}

void test_skip(const char *why)
{
    say("skip %s: %s\n", test_name, why);
    test_name = NULL;
}

void context(const char *format, u64 a, u64 b, u64 c, u64 d)
{
    where.format = format;
    where.v[0] = a;
    where.v[1] = b;
    where.v[2] = c;
    where.v[3] = d;
}

bool check_eq(const char *what, unsigned line, u64 got, u64 want)
{
    if (got == want)
        return true;
    failures++;
    if (++test_failures > 12)
        return false;
    say("FAIL %s: line %d: %s is %x, not %x", test_name, (u64)line, what, got, want);
    if (where.format) {
        u64 *v = where.v;
        say(" (");
        format_to(where.format, next_word, &v);
        say(")");
    }
    say("\n");
    return false;
}

/* ---- exceptions
 * -------------------------------------------------------------------------------------- */

static void die(const struct regs *r)
{
    say("FAIL %s: unexpected vector %d error %x at %x:%x rsp %x flags %x cr2 %x\n",
        test_name ? test_name : "?", r->vector, r->error, r->cs, r->rip, r->rsp, r->rflags,
        read_cr2());
    outl(0xf4, EXIT_FAIL);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void trap_handler(struct regs *r)
{
    if (handlers[r->vector]) {
        handlers[r->vector](r);
        return;
    }
    if (!guard_rsp)
        die(r);
    trap.r = *r;
    trap.cr2 = read_cr2();
    trap.dr6 = read_dr6();
    guard_vector = r->vector == VEC_RETURN ? NO_TRAP : r->vector;
    r->rip = (u64)guard_resume;
    r->cs = KCS;
    r->ss = KDS;
    r->rsp = guard_rsp;
    r->rflags = 2;
}

void gate_set(unsigned vector, u64 offset, u16 sel, u8 attr, u8 ist)
{
    idt[vector] =
        (struct gate){(u16)offset, sel, ist, attr, (u16)(offset >> 16), (u32)(offset >> 32), 0};
}

void gate_ist(unsigned vector, u8 ist)
{
    /* INT3, INTO and the way back are open to users, as everywhere */
    bool user = vector == BP || vector == OF || vector == VEC_RETURN;
    gate_set(vector, (u64)trap_stubs + 16 * vector, KCS, user ? 0xee : 0x8e, ist);
}

void gate_default(unsigned vector)
{
    gate_ist(vector, vector == DF ? 1 : 0);
}

void tss_set(unsigned offset, u64 v)
{
    *(volatile u64 *)(tss_area + offset) = v;
}

void idt_load(u64 base, u16 limit)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) p = {limit, base};
    __asm__ volatile("lidt %0" : : "m"(p));
}

static void init_tables(void)
{
    u64 tss = (u64)tss_area;
    for (unsigned v = 0; v < 256; v++)
        gate_default(v);
    idt_load((u64)idt, sizeof idt - 1);
    tss_set(TSS_RSP(0), (u64)rsp0_stack_top);
    for (unsigned i = 1; i <= 7; i++)
        tss_set(TSS_IST(i), (u64)ist_stacks + i * IST_BYTES);
    *(u16 *)(tss_area + 102) = sizeof tss_area; /* no I/O bitmap */
    gdt[TSS_SEL / 8] = 0x0000890000000000 | (sizeof tss_area - 1) | (tss & 0xffffff) << 16 |
                       (tss >> 24 & 0xff) << 56;
    gdt[TSS_SEL / 8 + 1] = tss >> 32;
    __asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
}

void long_main(void);
void long_main(void)
{
    init_tables();
    main();
    say("done %d tests, %d failures\n", (u64)tests_run, (u64)failures);
    outl(0xf4, failures ? EXIT_FAIL : EXIT_PASS);
}

/* ---- memory
 * -------------------------------------------------------------------------------------------- */

static u64 next_page = 16 << 20;

void *page_alloc(void)
{
    u64 *p = (u64 *)next_page;
    next_page += 4096;
    for (unsigned i = 0; i < 512; i++)
        p[i] = 0;
    return p;
}

volatile u64 *page_entry(u64 va, unsigned level)
{
    u64 *table = boot_pml4;
    for (unsigned l = 4;; l--) {
        u64 *e = &table[va >> (12 + 9 * (l - 1)) & 511];
        if (l == level)
            return e;
        if (!(*e & PTE_P))
            *e = (u64)page_alloc() | PTE_P | PTE_W | PTE_U;
        table = (u64 *)(*e & 0x000ffffffffff000);
    }
}

void page_map(u64 va, u64 entry)
{
    *page_entry(va, 1) = entry;
    invlpg(va);
}

void page_unmap_all(u64 va)
{
    boot_pml4[va >> 39 & 511] = 0;
    write_cr3(read_cr3());
}

void copy(void *to, const void *from, u64 n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

void *memset(void *to, int v, unsigned long n);
void *memset(void *to, int v, unsigned long n)
{
    void *d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, unsigned long n);
void *memcpy(void *to, const void *from, unsigned long n)
{
    copy(to, from, n);
    return to;
}

u64 max_physical(void)
{
    return 1ull << (cpuid(0x80000008, 0).a & 0xff);
}

/* ---- instructions that may fault
 * ------------------------------------------------------------------------- */

struct msr_arg {
    u32 nr;
    u64 v;
};

static void do_wrmsr(u64 arg)
{
    const struct msr_arg *a = (const void *)arg;
    wrmsr(a->nr, a->v);
}

static void do_rdmsr(u64 arg)
{
    struct msr_arg *a = (void *)arg;
    a->v = rdmsr(a->nr);
}

u64 try_wrmsr(u32 nr, u64 v)
{
    struct msr_arg a = {nr, v};
    return guarded(do_wrmsr, (u64)&a);
}

u64 try_rdmsr(u32 nr, u64 *v)
{
    struct msr_arg a = {nr, 0};
    u64 t = guarded(do_rdmsr, (u64)&a);
    *v = a.v;
    return t;
}

static void do_cr0(u64 v)
{
    write_cr0(v);
}
static void do_cr3(u64 v)
{
    write_cr3(v);
}
static void do_cr4(u64 v)
{
    write_cr4(v);
}
static void do_cr8(u64 v)
{
    write_cr8(v);
}

u64 try_write_cr(unsigned n, u64 v)
{
    return guarded(n == 0 ? do_cr0 : n == 3 ? do_cr3 : n == 4 ? do_cr4 : do_cr8, v);
}
