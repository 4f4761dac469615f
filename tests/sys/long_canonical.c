/*
 * long_canonical.c: addresses that are not canonical: #SS(0) where the stack is used, by
 * instruction or as base register, #GP(0) everywhere else; branches fault before they are taken.
 *
 * SDM vol. 1 3.3.7.1, vol. 2 3.1.1.13 (#SS and #GP in 64-bit mode); APM vol. 2 8.2.11, 8.2.12.
 * QEMU 7.2 checks no branch target and takes #GP, or #PF, at the target instead.
 */
#include "long.h"

#define BAD 0x0000800000000000ull
#define EDGE 0x00007ffffffffffeull /* two bytes below the hole */

#define ACCESS(name, set, code)                                                                    \
    static NOINLINE void name(u64 va)                                                              \
    {                                                                                              \
        __asm__ volatile(set "\n" code : : "D"(va) : "rax", "rbx", "rcx", "rsi", "memory");        \
    }
/* The base register is rdi, rbp or rsp; what is pushed or popped goes by rsp. */
#define BY_RBP "push %%rbp; mov %%rdi, %%rbp"
#define BY_RSP "mov %%rdi, %%rsp"
ACCESS(load_rdi, "", "mov (%%rdi), %%eax")
ACCESS(store_rdi, "", "mov %%eax, (%%rdi)")
ACCESS(add_rdi, "", "addl $1, (%%rdi)")
ACCESS(lods, "mov %%rdi, %%rsi", "lodsl")
ACCESS(stos, "", "stosl")
ACCESS(jmp_mem, "", "jmp *(%%rdi)")
ACCESS(call_mem, "", "call *(%%rdi)")
ACCESS(movups, "", "movups (%%rdi), %%xmm0")
ACCESS(movaps, "and $-16, %%rdi", "movaps (%%rdi), %%xmm0")
ACCESS(fxsave, "and $-16, %%rdi", "fxsave (%%rdi)")
ACCESS(fld, "", "fldl (%%rdi)")
ACCESS(lgdt, "", "lgdt (%%rdi)")
ACCESS(sidt, "", "sidt (%%rdi)")
ACCESS(pop_mem, "push $0", "popq (%%rdi)")
ACCESS(push_mem, "", "pushq (%%rdi)")
ACCESS(load_fs_rsp, BY_RSP, "mov %%fs:(%%rsp), %%eax")
ACCESS(load_ds_rdi, "", "mov %%ss:(%%rdi), %%eax") /* SS as prefix is ignored: #GP, not #SS */
ACCESS(load_rbp, BY_RBP, "mov (%%rbp), %%eax")
ACCESS(load_rbp_disp, BY_RBP, "mov %%eax, 1(%%rbp)")
ACCESS(load_rsp, BY_RSP, "mov (%%rsp), %%eax")
ACCESS(load_ds_rsp, BY_RSP, "mov %%ds:(%%rsp), %%eax") /* DS as prefix is ignored too: #SS */
ACCESS(movups_rsp, BY_RSP, "movups (%%rsp), %%xmm0")
ACCESS(push_reg, BY_RSP, "push %%rax")
ACCESS(push_imm, BY_RSP, "push $1")
ACCESS(push_16, BY_RSP, "pushw $1")
ACCESS(pushf_, BY_RSP, "pushfq")
ACCESS(push_fs, BY_RSP, "push %%fs")
ACCESS(pop_reg, BY_RSP, "pop %%rax")
ACCESS(popf_, BY_RSP, "popfq")
ACCESS(pop_fs, BY_RSP, "pop %%fs")
ACCESS(call_near, BY_RSP, "call 1f; 1:")
ACCESS(call_reg, "lea 1f(%%rip), %%rax;" BY_RSP, "call *%%rax; 1:")
ACCESS(ret_near, BY_RSP, "ret")
ACCESS(ret_imm, BY_RSP, "ret $8")
ACCESS(ret_far, BY_RSP, "lretq")
ACCESS(iret_, BY_RSP, "iretq")
ACCESS(leave_, BY_RBP, "leave")
ACCESS(enter_, BY_RSP, "enter $8, $0")
/* Only by rsp - 8: PUSH of the edge itself is below it and legal. */
static const struct {
    const char *name;
    void (*fn)(u64);
    bool stack, below;
} rows[] = {
#define ROW(fn, stack, below)                                                                      \
    {                                                                                              \
#fn, fn, stack, below                                                                      \
    }
    ROW(load_rdi, 0, 0),    ROW(store_rdi, 0, 0),  ROW(add_rdi, 0, 0),       ROW(lods, 0, 0),
    ROW(stos, 0, 0),        ROW(jmp_mem, 0, 0),    ROW(call_mem, 0, 0),      ROW(movups, 0, 0),
    ROW(movaps, 0, 0),      ROW(fxsave, 0, 0),     ROW(fld, 0, 0),           ROW(lgdt, 0, 0),
    ROW(sidt, 0, 0),        ROW(pop_mem, 0, 0),    ROW(push_mem, 0, 0),      ROW(load_fs_rsp, 0, 0),
    ROW(load_ds_rdi, 0, 0), ROW(load_rbp, 1, 0),   ROW(load_rbp_disp, 1, 0), ROW(load_rsp, 1, 0),
    ROW(load_ds_rsp, 1, 0), ROW(movups_rsp, 1, 0), ROW(push_reg, 1, 1),      ROW(push_imm, 1, 1),
    ROW(push_16, 1, 1),     ROW(pushf_, 1, 1),     ROW(push_fs, 1, 1),       ROW(pop_reg, 1, 0),
    ROW(popf_, 1, 0),       ROW(pop_fs, 1, 0),     ROW(call_near, 1, 1),     ROW(call_reg, 1, 1),
    ROW(ret_near, 1, 0),    ROW(ret_imm, 1, 0),    ROW(ret_far, 1, 0),       ROW(iret_, 1, 0),
    ROW(leave_, 1, 0),      ROW(enter_, 1, 1),
};

static void operands_fault_by_the_segment_they_use(void)
{
    static const u64 addresses[] = {BAD + 0x100, 0xffff700000000000, 0x8000000000000000,
                                    0x7fffffffffffff00};
    for (unsigned i = 0; i < COUNT(rows); i++)
        for (unsigned a = 0; a < COUNT(addresses); a++) {
            context("%s at %x", (u64)rows[i].name, addresses[a], 0, 0);
            if (CHECK_EQ(guarded(rows[i].fn, addresses[a]), rows[i].stack ? SS : GP))
                CHECK_EQ(trap.r.error, 0);
        }
}

static void operands_that_reach_into_the_hole_fault(void)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        if (rows[i].below || rows[i].fn == movaps || rows[i].fn == fxsave)
            continue;
        context("%s", (u64)rows[i].name, 0, 0, 0);
        u64 v = guarded(rows[i].fn, EDGE);
        /* the bytes before the hole are not mapped, so #PF of theirs may come first */
        CHECK(v == (rows[i].stack ? SS : GP) || v == PF);
    }
}

/* ---- branches
 * ------------------------------------------------------------------------------------------- */

static u64 faulting_rip;
#define BRANCH(name, code)                                                                         \
    static NOINLINE void name(u64 va)                                                              \
    {                                                                                              \
        __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %1;" code                               \
                         :                                                                         \
                         : "D"(va), "m"(faulting_rip)                                              \
                         : "rax", "rbx", "memory");                                                \
    }
BRANCH(jmp_reg, "1: jmp *%%rdi")
BRANCH(jmp_slot, "push %%rdi; 1: jmp *(%%rsp)")
BRANCH(call_to, "1: call *%%rdi")
BRANCH(ret_to, "push %%rdi; 1: ret")
BRANCH(ret_imm_to, "push $0; push %%rdi; 1: ret $8")
BRANCH(retf_to, "push $8; push %%rdi; 1: lretq")
BRANCH(iret_to, "mov %%rsp, %%rbx; push $0x10; push %%rbx; pushfq; push $8; push %%rdi; 1: iretq")

static void branches_fault_before_they_are_taken(void)
{
    static void (*const branches[])(u64) = {jmp_reg,    jmp_slot, call_to, ret_to,
                                            ret_imm_to, retf_to,  iret_to};
    for (unsigned i = 0; i < COUNT(branches); i++) {
        context("branch %d", i, 0, 0, 0);
        if (CHECK_EQ(guarded(branches[i], BAD), GP)) {
            CHECK_EQ(trap.r.error, 0);
            CHECK_EQ(trap.r.rip, faulting_rip);
        }
    }
}

static void running_into_the_hole_is_gp(void)
{
    u64 top = 0x7ffffffff000, frame = (u64)page_alloc();
    *(u8 *)(frame + 4095) = 0x90;
    page_map(top, frame | PTE_P | PTE_W);
    if (CHECK_EQ(guarded((void (*)(u64))(top + 4095), 0), GP))
        CHECK_EQ(trap.r.rip, BAD);
    page_unmap_all(top);
}

/* ---- registers that hold addresses
 * -------------------------------------------------------------------- */

static void msrs_of_addresses_refuse(void)
{
    static const u32 msrs[] = {MSR_LSTAR,          MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE,
                               MSR_KERNEL_GS_BASE, 0x175,     0x176};
    for (unsigned i = 0; i < COUNT(msrs); i++) {
        u64 old = rdmsr(msrs[i]);
        context("MSR %x", msrs[i], 0, 0, 0);
        CHECK_EQ(try_wrmsr(msrs[i], BAD), GP);
        CHECK_EQ(rdmsr(msrs[i]), old);
        CHECK_EQ(try_wrmsr(msrs[i], 0xffff800000000000), NO_TRAP);
        CHECK_EQ(rdmsr(msrs[i]), 0xffff800000000000);
        wrmsr(msrs[i], old);
    }
}

static void load_gdt(u64 base)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) p = {GDT_BYTES - 1, base};
    __asm__ volatile("lgdt %0" : : "m"(p));
}

static void load_idt(u64 base)
{
    idt_load(base, 0xfff);
}

static void descriptor_tables_refuse(void)
{
    CHECK_EQ(guarded(load_gdt, BAD), GP);
    CHECK_EQ(guarded(load_idt, BAD), GP);
}

int main(void)
{
    gate_ist(SS, 2);
    gate_ist(GP, 2);
    gate_ist(PF, 2);
    RUN(operands_fault_by_the_segment_they_use);
    RUN(operands_that_reach_into_the_hole_fault);
    RUN(branches_fault_before_they_are_taken);
    RUN(running_into_the_hole_is_gp);
    RUN(msrs_of_addresses_refuse);
    RUN(descriptor_tables_refuse);
    return 0;
}
