/*
 * smp_atomic.c: LOCK and XCHG are atomic, whatever the size and wherever the operand lies; plain
 * accesses that are aligned are made at once.
 *
 * SDM vol. 3A 8.1.1, 8.1.2.
 */
#include "smp_lib.h"

#define ROUNDS 20000u

static u8 area[3 * 4096] __attribute__((aligned(4096)));

static u64 get(const u8 *p, unsigned size)
{
    u64 v = 0;
    copy(&v, p, size);
    return v;
}

static u64 low(u64 v, unsigned size)
{
    return size == 8 ? v : v & (BIT(8 * size) - 1);
}

/* ---- every instruction counts to the same number ------------------------------------------------
 */

#define COUNTER(name, text)                                                                        \
    static void name(unsigned cpu, u64 at)                                                         \
    {                                                                                              \
        (void)cpu;                                                                                 \
        for (unsigned i = 0; i < ROUNDS; i++)                                                      \
            __asm__ volatile(text : : "D"(at), "S"(1ull) : "rax", "rcx", "memory", "cc");          \
    }
COUNTER(inc8, "lock incb (%%rdi)")
COUNTER(inc16, "lock incw (%%rdi)")
COUNTER(inc32, "lock incl (%%rdi)")
COUNTER(inc64, "lock incq (%%rdi)")
COUNTER(add16, "lock addw %%si, (%%rdi)")
COUNTER(add32, "lock addl $1, (%%rdi)")
COUNTER(sub64, "lock subq $-1, (%%rdi)")
COUNTER(adc32, "clc; lock adcl %%esi, (%%rdi)")
COUNTER(sbb32, "stc; lock sbbl $-2, (%%rdi)")
COUNTER(xadd32, "mov %%esi, %%eax; lock xaddl %%eax, (%%rdi)")
COUNTER(xadd64, "mov %%rsi, %%rax; lock xaddq %%rax, (%%rdi)")
COUNTER(cmpxchg32,
        "mov (%%rdi), %%eax; 1: lea 1(%%rax), %%ecx; lock cmpxchgl %%ecx, (%%rdi); jnz 1b")
COUNTER(cmpxchg64,
        "mov (%%rdi), %%rax; 1: lea 1(%%rax), %%rcx; lock cmpxchgq %%rcx, (%%rdi); jnz 1b")

static void cmpxchg8b(unsigned cpu, u64 at)
{
    (void)cpu;
    for (unsigned i = 0; i < ROUNDS; i++) {
        u32 a = 0, d = 0, b, c;
        bool done;
        do {
            u64 v = ((u64)d << 32 | a) + 1;
            b = (u32)v;
            c = (u32)(v >> 32);
            __asm__ volatile("lock cmpxchg8b (%3)"
                             : "=@ccz"(done), "+a"(a), "+d"(d)
                             : "r"(at), "b"(b), "c"(c)
                             : "memory");
        } while (!done);
    }
}

/* Both halves count: nobody may see them differ. */
static void cmpxchg16b(unsigned cpu, u64 at)
{
    (void)cpu;
    for (unsigned i = 0; i < ROUNDS; i++) {
        u64 a = 0, d = 0;
        bool done;
        do
            __asm__ volatile("lock cmpxchg16b (%3)"
                             : "=@ccz"(done), "+a"(a), "+d"(d)
                             : "r"(at), "b"(a + 1), "c"(d + 1)
                             : "memory");
        while (!done);
    }
}

static const struct counter {
    const char *name;
    work_fn fn;
    u8 size;
} counters[] = {
    {"inc8", inc8, 1},           {"inc16", inc16, 2},         {"inc32", inc32, 4},
    {"inc64", inc64, 8},         {"add16", add16, 2},         {"add32", add32, 4},
    {"sub64", sub64, 8},         {"adc32", adc32, 4},         {"sbb32", sbb32, 4},
    {"xadd32", xadd32, 4},       {"xadd64", xadd64, 8},       {"cmpxchg32", cmpxchg32, 4},
    {"cmpxchg64", cmpxchg64, 8}, {"cmpxchg8b", cmpxchg8b, 8},
};

static void count_at(const struct counter *c, u8 *at)
{
    __builtin_memset(at, 0, 16);
    work_all(c->fn, (u64)at);
    context("%s at offset %x", (u64)c->name, (u64)at & 4095, 0, 0);
    CHECK_EQ(get(at, c->size), low((u64)ROUNDS * cpus, c->size));
    CHECK_EQ(at[c->size], 0);
}

static void locked_instructions_count_right(void)
{
    for (unsigned i = 0; i < COUNT(counters); i++)
        count_at(&counters[i], area + 64);
}

static void operands_may_lie_across_words(void)
{
    for (unsigned i = 0; i < COUNT(counters); i++)
        if (counters[i].size > 1)
            count_at(&counters[i], area + 64 + 8 - counters[i].size / 2);
}

static void operands_may_lie_across_pages(void)
{
    for (unsigned i = 0; i < COUNT(counters); i += 3)
        if (counters[i].size > 1)
            count_at(&counters[i], area + 4096 - counters[i].size / 2);
}

static void sixteen_bytes_change_together(void)
{
    u64 *p = (u64 *)(void *)area;
    if (!(cpuid(1, 0).c & BIT(13))) {
        test_skip("no CMPXCHG16B");
        return;
    }
    p[0] = p[1] = 0;
    work_all(cmpxchg16b, (u64)p);
    CHECK_EQ(p[0], (u64)ROUNDS * cpus);
    CHECK_EQ(p[1], (u64)ROUNDS * cpus);
}

/* Bytes of one word, counted by different CPUs with different instructions. */
static void count_own_byte(unsigned cpu, u64 at)
{
    if (cpu & 1)
        inc8(cpu, at + cpu);
    else
        for (unsigned i = 0; i < ROUNDS; i++) /* not locked: nobody else writes it */
            ++*(volatile u8 *)(at + cpu);
}

static void neighbours_in_a_word_stay_apart(void)
{
    __builtin_memset(area, 0, 16);
    work_all(count_own_byte, (u64)area);
    for (unsigned n = 0; n < cpus; n++)
        CHECK_EQ(area[n], (u8)ROUNDS);
}

/* ---- locks --------------------------------------------------------------------------------------
 */

static volatile u32 lock_word;
static volatile u64 guarded_count[2];

static void with_xchg(unsigned cpu, u64 arg)
{
    (void)cpu, (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        u32 v = 1;
        for (;;) {
            __asm__ volatile("xchgl %0, %1" : "+r"(v), "+m"(lock_word) : : "memory");
            if (!v)
                break;
            pause();
        }
        guarded_count[0] = guarded_count[0] + 1;
        guarded_count[1] = guarded_count[1] + 1;
        barrier();
        lock_word = 0; /* a plain store releases */
    }
}

static void with_bts(unsigned cpu, u64 arg)
{
    (void)cpu, (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool was;
        for (;;) {
            __asm__ volatile("lock btsl $5, %1" : "=@ccc"(was), "+m"(lock_word) : : "memory");
            if (!was)
                break;
            pause();
        }
        guarded_count[0] = guarded_count[0] + 1;
        guarded_count[1] = guarded_count[1] + 1;
        __asm__ volatile("lock btrl $5, %0" : "+m"(lock_word) : : "memory");
    }
}

static void locks_keep_others_out(void)
{
    static const work_fn ways[] = {with_xchg, with_bts};
    for (unsigned w = 0; w < COUNT(ways); w++) {
        lock_word = 0;
        guarded_count[0] = guarded_count[1] = 0;
        work_all(ways[w], 0);
        CHECK_EQ(guarded_count[0], (u64)ROUNDS * cpus);
        CHECK_EQ(guarded_count[1], (u64)ROUNDS * cpus);
        CHECK_EQ(lock_word, 0);
    }
}

/* ---- plain accesses
 * ------------------------------------------------------------------------------ */

static volatile u64 whole __attribute__((aligned(64)));
static volatile u32 torn;

/* Each value has equal bytes. */
static void write_or_read(unsigned cpu, u64 size)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        u64 v;
        if (cpu & 1) {
            v = 0x0101010101010101ull * (i & 0xff);
            if (size == 8)
                whole = v;
            else if (size == 4)
                *(volatile u32 *)&whole = (u32)v;
            else
                *(volatile u16 *)&whole = (u16)v;
            continue;
        }
        v = size == 8 ? whole : size == 4 ? *(volatile u32 *)&whole : *(volatile u16 *)&whole;
        if (v != low(0x0101010101010101ull * (v & 0xff), (unsigned)size))
            __atomic_fetch_add(&torn, 1, __ATOMIC_SEQ_CST);
    }
}

static void aligned_accesses_are_made_at_once(void)
{
    for (unsigned size = 2; size <= 8; size *= 2) {
        whole = 0;
        torn = 0;
        work_all(write_or_read, size);
        CHECK_EQ(torn, 0);
    }
}

int main(void)
{
    smp_begin();
    sti();
    RUN(locked_instructions_count_right);
    RUN(operands_may_lie_across_words);
    RUN(operands_may_lie_across_pages);
    RUN(sixteen_bytes_change_together);
    RUN(neighbours_in_a_word_stay_apart);
    RUN(locks_keep_others_out);
    RUN(aligned_accesses_are_made_at_once);
    return 0;
}
