/*
 * long_smc.c: code that changes: in the same block, by another linear address, at page crossings,
 * by every kind of store, under user and supervisor views, and by a changed mapping.
 *
 * SDM vol. 3A 8.1.3, 11.6. On these processors a store to code counts at the next taken branch for
 * the same linear address; through an alias after a serializing instruction, which is executed
 * here.
 */
#include "long.h"

#define VA 0x123440000000ull
#define RWU (PTE_P | PTE_W | PTE_U)

static u8 *page_a, *page_b; /* frames at their identity addresses */

static u32 call(u64 va)
{
    return ((u32(*)(void))va)();
}
static void serialize(void)
{
    cpuid(0, 0);
}

/* mov $v, %eax; ret */
static void put_code(u8 *at, u32 v)
{
    at[0] = 0xb8;
    copy(at + 1, &v, 4);
    at[5] = 0xc3;
}

static void map_both(void)
{
    page_map(VA, (u64)page_a | RWU);
    page_map(VA + 4096, (u64)page_b | RWU);
}

static void a_store_changes_code_of_the_same_address(void)
{
    put_code(page_a, 1);
    CHECK_EQ(call((u64)page_a), 1);
    for (unsigned i = 2; i < 50; i++) {
        *(volatile u32 *)(page_a + 1) = i;
        CHECK_EQ(call((u64)page_a), i);
    }
}

static void a_store_through_an_alias_changes_code(void)
{
    for (unsigned i = 0; i < 50; i++) {
        put_code(page_a + 64, i);
        serialize();
        CHECK_EQ(call(VA + 64), i);
        *(volatile u32 *)(VA + 65) = i + 100;
        serialize();
        CHECK_EQ(call((u64)page_a + 64), i + 100);
        CHECK_EQ(call(VA + 64), i + 100);
    }
}

/* The last bytes lie on the second page, whose frame is changed through its own address. */
static void code_across_pages_changes_on_either_page(void)
{
    for (unsigned in = 1; in < 6; in++) {
        u8 code[8];
        u64 at = VA + 4096 - in;
        put_code(code, 0x11223344);
        copy((void *)at, code, 6);
        serialize();
        CHECK_EQ(call(at), 0x11223344);
        for (unsigned b = 1; b < 5; b++) { /* each byte of the number */
            u8 *byte = b < in ? page_a + 4096 - in + b : page_b + b - in;
            *(volatile u8 *)byte = (u8)(0x80 + b);
            serialize();
            context("%d bytes on the first page, byte %d", in, b, 0, 0);
            CHECK_EQ(call(at) >> (8 * (b - 1)) & 0xff, 0x80 + b);
        }
    }
}

/* The second page of an instruction is mapped elsewhere. */
static void code_across_pages_follows_the_mapping(void)
{
    u8 *other = page_alloc();
    u8 code[8];
    put_code(code, 0x01010101);
    copy((void *)(VA + 4096 - 2), code, 6);
    copy(other, "\x02\x02\x02\xc3", 4);
    CHECK_EQ(call(VA + 4096 - 2), 0x01010101);
    page_map(VA + 4096, (u64)other | RWU);
    CHECK_EQ(call(VA + 4096 - 2), 0x02020201);
    page_map(VA + 4096, (u64)page_b | RWU);
    CHECK_EQ(call(VA + 4096 - 2), 0x01010101);
}

static void code_follows_the_mapping(void)
{
    put_code(page_a + 128, 1);
    put_code(page_b + 128, 2);
    for (unsigned i = 0; i < 10; i++) {
        page_map(VA, (u64)(i & 1 ? page_b : page_a) | RWU);
        CHECK_EQ(call(VA + 128), i & 1 ? 2 : 1);
    }
    map_both();
}

/* ---- every kind of store
 * ------------------------------------------------------------------------------- */

#define STORE(name, text)                                                                          \
    static NOINLINE void name(u64 a, u32 v)                                                        \
    {                                                                                              \
        __asm__ volatile(text : : "D"(a), "a"(v), "S"(&v), "d"(v) : "rcx", "rbx", "memory");       \
    }
STORE(by_mov, "mov %%eax, (%%rdi)")
STORE(by_stos, "stosl")
STORE(by_rep_stos, "mov $1, %%ecx; rep stosl")
STORE(by_rep_movs, "mov $4, %%ecx; rep movsb")
STORE(by_xchg, "xchg %%eax, (%%rdi)")
STORE(by_cmpxchg, "mov (%%rdi), %%eax; lock cmpxchg %%edx, (%%rdi)")
STORE(by_add, "sub (%%rdi), %%eax; lock add %%eax, (%%rdi)")
STORE(by_xadd, "sub (%%rdi), %%eax; lock xadd %%eax, (%%rdi)")
STORE(by_push,
      "mov %%rsp, %%rbx; mov 4(%%rdi), %%ecx; shl $32, %%rcx; or %%rdx, %%rcx; lea 8(%%rdi), %%rsp;"
      "push %%rcx; mov %%rbx, %%rsp")
STORE(by_movd, "movd %%eax, %%xmm0; movd %%xmm0, (%%rdi)")
STORE(by_movnti, "movnti %%eax, (%%rdi)")
STORE(by_fist, "movl $0, -8(%%rsp); mov %%edx, -8(%%rsp); fildl -8(%%rsp); fistpl (%%rdi)")
STORE(by_bytes,
      "movb %%al, (%%rdi); shr $8, %%eax; movb %%al, 1(%%rdi); shr $8, %%eax; movw %%ax, 2(%%rdi)")

static void every_kind_of_store_counts(void)
{
    static void (*const stores[])(u64, u32) = {
        by_mov,  by_stos, by_rep_stos, by_rep_movs, by_xchg, by_cmpxchg, by_add,
        by_xadd, by_push, by_movd,     by_movnti,   by_fist, by_bytes};
    put_code(page_a + 256, 0);
    for (unsigned i = 0; i < COUNT(stores); i++)
        for (unsigned v = 1; v < 4; v++) {
            context("store %d round %d", i, v, 0, 0);
            stores[i]((u64)page_a + 257, v * 0x01010101);
            CHECK_EQ(call((u64)page_a + 256), v * 0x01010101);
        }
}

/* ---- within the running block
 * ---------------------------------------------------------------------------- */

/* Straight-line code that changes what comes next: the store's own linear address is that of the
 * code, so the very next instruction must be the new one. */
static void the_next_instruction_can_be_changed(void)
{
    static const u8 code[] = {
        0xc6, 0x47, 0x05, 0x07,    /* movb $7, 5(%rdi): the number below */
        0xb8, 1,    0,    0,    0, /* mov $1, %eax */
        0xc3,
    };
    for (unsigned i = 0; i < 5; i++) {
        copy(page_a + 512, code, sizeof code);
        serialize();
        u32 v;
        __asm__ volatile("call *%1" : "=a"(v) : "r"(page_a + 512), "D"(page_a + 512) : "memory");
        CHECK_EQ(v, 7);
    }
}

/* A loop whose body counts down in its own immediate. */
static void a_loop_may_rewrite_itself(void)
{
    static const u8 code[] = {
        0x31, 0xc0,       /* xor %eax, %eax */
        0x83, 0xc0, 0x01, /* 1: add $1, %eax */
        0xfe, 0x47, 0x04, /* incb 4(%rdi): the 1 above */
        0xff, 0xc9,       /* dec %ecx */
        0x75, 0xf6,       /* jnz 1b */
        0xc3,
    };
    copy(page_a + 600, code, sizeof code);
    serialize();
    u32 v, n = 10;
    __asm__ volatile("call *%2"
                     : "=a"(v), "+c"(n)
                     : "r"(page_a + 600), "D"(page_a + 600)
                     : "memory");
    CHECK_EQ(v, 55);
}

/* Data beside code on one page must not be slow to the point of wrong: both keep their values. */
static void data_beside_code_keeps_its_value(void)
{
    volatile u64 *data = (u64 *)(page_a + 1024);
    put_code(page_a + 1032, 9);
    for (unsigned i = 0; i < 1000; i++) {
        *data = i;
        CHECK_EQ(call((u64)page_a + 1032), 9);
        CHECK_EQ(*data, i);
    }
}

static void users_and_the_supervisor_see_the_same_code(void)
{
    gate_set(0x42, (u64)trap_stubs + 16 * 0x42, KCS, 0xee, 0);
    for (unsigned i = 0; i < 5; i++) {
        put_code(page_a + 2048, i);
        copy(page_a + 2053, "\xcd\x42", 2);
        serialize();
        CHECK_EQ(guarded_user(VA + 2048, 0, UCS, 2), 0x42);
        CHECK_EQ(trap.r.rax, i);
    }
}

/* ---- for long --------------------------------------------------------------------------------- */

/* Restless code that becomes quiet, for longer each time, and changes again. */
static void code_may_rest_and_change_again(void)
{
    u8 *at = page_a + 3000;
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < 20; i++) {
            put_code(at, round * 100 + i);
            CHECK_EQ(call((u64)at), round * 100 + i);
        }
        for (unsigned i = 0; i < 10u << round; i++)
            CHECK_EQ(call((u64)at), round * 100 + 19);
    }
}

/* Functions of a few additions are written at random places of two pages, over each other, and
 * called often or seldom; the data in between is written all the time. */
enum { PLACES = 24, PITCH = 56 };

static u32 noise(u32 *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void write_sum(u8 *at, const u32 *terms, unsigned n)
{
    *at++ = 0x31; /* xor %eax, %eax */
    *at++ = 0xc0;
    for (unsigned i = 0; i < n; i++) {
        *at++ = 0x05; /* add $term, %eax */
        copy(at, &terms[i], 4);
        at += 4;
    }
    *at = 0xc3;
}

static void code_and_data_mixed_at_random(void)
{
    static u32 want[PLACES];
    u32 state = 12345;
    map_both();
    for (unsigned i = 0; i < PLACES; i++)
        want[i] = ~0u;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned at = noise(&state) % PLACES;
        u8 *place = (u8 *)VA + 3000 + at * PITCH * 3 / 2; /* some across the two pages */
        volatile u32 *data = (volatile u32 *)(place + PITCH);
        if (want[at] == ~0u || noise(&state) % 8 == 0) {
            u32 terms[8];
            unsigned n = noise(&state) % 8 + 1;
            want[at] = 0;
            for (unsigned k = 0; k < n; k++) {
                terms[k] = noise(&state);
                want[at] += terms[k];
            }
            write_sum(place, terms, n);
        }
        *data = i;
        for (unsigned k = noise(&state) % 32 ? 1 : 200; k > 0; k--) {
            CHECK_EQ(call((u64)place), want[at]);
            *data += 1;
        }
        CHECK(*data > i);
    }
}

int main(void)
{
    page_a = page_alloc();
    page_b = page_alloc();
    map_both();
    __asm__ volatile("fninit");
    RUN(a_store_changes_code_of_the_same_address);
    RUN(a_store_through_an_alias_changes_code);
    RUN(code_across_pages_changes_on_either_page);
    RUN(code_across_pages_follows_the_mapping);
    RUN(code_follows_the_mapping);
    RUN(every_kind_of_store_counts);
    RUN(the_next_instruction_can_be_changed);
    RUN(a_loop_may_rewrite_itself);
    RUN(data_beside_code_keeps_its_value);
    RUN(users_and_the_supervisor_see_the_same_code);
    RUN(code_may_rest_and_change_again);
    RUN(code_and_data_mixed_at_random);
    return 0;
}
