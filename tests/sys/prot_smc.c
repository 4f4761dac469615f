/*
 * prot_smc.c: code that changes code: SDM vol. 3A 8.1.3 and 11.6: a store is seen by the fetches
 * that follow it in program order, through whatever address, on the processors since the Pentium.
 */
#include "sys32.h"

CODE32(next_insn, "movl $0x22222222, 1f + 1\n1: mov $0x11111111, %eax")
CODE32(second_insn, "movl $0x22222222, 1f + 1\nnop\n1: mov $0x11111111, %eax")
CODE32(byte_only, "movb $0x33, 1f + 2\n1: mov $0x11111111, %eax")
CODE32(behind_jump, "movl $0x22222222, 1f + 1\njmp 1f\n1: mov $0x11111111, %eax")
CODE32(by_push, "mov %esp, %ecx\nmov $1f + 5, %esp\npushl $0x44444444\n1: mov $0x11111111, "
                "%eax\nmov %ecx, %esp")
CODE32(by_call, "mov %esp, %ecx\nmov $1f + 5, %esp\ncall 2f\n2: nop\n1: mov $0x11111111, %eax\nmov "
                "%ecx, %esp\nby_call_f: nop")
CODE32(by_xadd, "mov $0x11111111, %edx\nlock xaddl %edx, 1f + 1\n1: mov $0x11111111, %eax")
CODE32(by_string,
       "cld\nmov $1f + 1, %edi\nmov $0x55, %al\nmov $4, %ecx\nrep stosb\n1: mov $0x11111111, %eax")
CODE32(
    by_movs,
    "cld\nmov $3f, %esi\nmov $1f, %edi\nmov $5, %ecx\nrep movsb\n1: mov $0x11111111, %eax\njmp 2f\n"
    "3: mov $0x66666666, %eax\n2: nop")
CODE32(opcode_changes, "movb $0x40, 1f\nxor %eax, %eax\n1: dec %eax") /* inc %eax */
CODE32(to_fault, "movw $0x0b0f, to_fault_f\nto_fault_f: nop\nnop")
CODE32(counting_loop, "mov $10, %ecx\n1: incl 2f + 1\n2: mov $0, %eax\nloop 1b")
CODE32(backwards, "mov $2, %ecx\nxor %ebx, %ebx\n1: mov $0x11111111, %eax\nadd %eax, %ebx\nmovl "
                  "$0x22222222, 1b + 1\nloop 1b")
CODE32(calls_page, "call *%ebx\nmov %eax, %esi\nmovl $0x22222222, 1(%ebx)\ncall *%ebx")
CODE32(calls_page_by_ds, "call *%ebx\nmov %eax, %esi\nmovl $0x22222222, %fs:1\ncall *%ebx")
CODE32(calls_twice, "call *%ebx\nmov %eax, %esi\nmovl $0x99999999, 64(%ebx)\ncall *%ebx")
CODE32(patch_at_edi, "call *%ebx\nmov %eax, %esi\nmov %dl, (%edi)\ncall *%ebx")
CODE32(many_writes, "mov $1000, %ecx\n1: movl %ecx, 128(%ebx)\ncall *%ebx\nloop 1b")

/* mov $imm, %eax; ret */
static void put_function(u8 *at, u32 imm)
{
    at[0] = 0xb8;
    memcpy(at + 1, &imm, 4);
    at[5] = 0xc3;
}

static u32 result(const void *code)
{
    run_at(code);
    return outcome() == DONE ? trap.r.eax : 0xdead0000 | trap.vector;
}

static void same_block(void)
{
    is("a store into the next instruction", 0x22222222, result(next_insn));
    is("into the one after it", 0x22222222, result(second_insn));
    is("of one byte", 0x11113311, result(byte_only));
    is("behind a jump", 0x22222222, result(behind_jump));
    is("by PUSH", 0x44444444, result(by_push));
    is("by an address that CALL pushes", (u32)by_call + 12, result(by_call));
    is("by a locked XADD", 0x22222222, result(by_xadd));
    is("by REP STOS", 0x55555555, result(by_string));
    is("by REP MOVS", 0x66666666, result(by_movs));
    is("that makes another instruction of it", 1, result(opcode_changes));
    is("that makes it undefined", 0xdead0000 | UD, result(to_fault));
    is("  at its address", (u32)to_fault_f, trap.r.eip);
    is("a loop that counts in its own code", 10, result(counting_loop));
    run_at(backwards);
    is("a store behind itself, for the next turn", 0x33333333, trap.r.ebx);
    fresh();
}

static void other_pages(void)
{
    put_function(page_a, 0x11111111);
    in.ebx = (u32)page_a;
    is("a function that has run is changed", 0x22222222, result(calls_page));
    is("  it was another before", 0x11111111, trap.r.esi);
    fresh();
    put_function(page_a + 16, 0x11111111);
    GDT(T0) = descriptor((u32)page_a + 16, 0xff, DATA_RW, F_D);
    in.ebx = (u32)page_a + 16;
    in.fs = T0;
    is("through a segment with another base", 0x22222222, result(calls_page_by_ds));
    fresh();
    put_function(page_a, 0x11111111);
    in.ebx = (u32)page_a;
    is("data beside code changes nothing", 0x11111111, result(calls_twice));
    is("however often it is written", 0x11111111, (in.ebx = (u32)page_a, result(many_writes)));
    is("  and it is written", 1, *(u32 *)(page_a + 128));
    fresh();
    for (u32 cut = 1; cut < 6; cut++)    /* bytes of the function in the first page */
        for (u32 at = 1; at < 5; at++) { /* byte of the immediate that changes */
            put_function(page_b - cut, 0x11111111);
            in.ebx = (u32)page_b - cut;
            in.edi = in.ebx + at;
            in.edx = 0x77;
            u32 want = (0x11111111 & ~(0xffu << 8 * (at - 1))) | 0x77u << 8 * (at - 1);
            count(want, result(patch_at_edi), cut, at);
            count(0x11111111, trap.r.esi, cut, at);
        }
    count_end("an instruction across two pages is changed in either");
    fresh();
}

/* The same physical page under two addresses, and one address under two pages. */
static void mappings(void)
{
    paging_on();
    u32 *directory = (u32 *)read_cr3();
    u32 *pte_b = &((u32 *)(directory[(u32)page_b >> 22] & ~0xfffu))[(u32)page_b >> 12 & 0x3ff];
    put_function(page_a, 0x11111111);
    put_function(page_b, 0xbbbbbbbb);
    *pte_b = (u32)page_a | PTE_P | PTE_W | PTE_U;
    __asm__ volatile("invlpg page_b" ::: "memory");
    in.ebx = (u32)page_a;
    is("the function is run", 0x11111111, result(calls_twice));
    u32 patch = 0x88888888;
    memcpy(page_b + 1, &patch, 4);
    in.ebx = (u32)page_a;
    is("a store through another linear address changes it", 0x88888888, result(calls_twice));
    in.ebx = (u32)page_b;
    is("which shows it too", 0x88888888, result(calls_twice));
    *pte_b = (u32)page_b | PTE_P | PTE_W | PTE_U;
    __asm__ volatile("invlpg page_b" ::: "memory");
    in.ebx = (u32)page_b;
    is("a page that is mapped elsewhere shows other code", 0xbbbbbbbb, result(calls_twice));
    /* An instruction across two pages, whose second page is exchanged. */
    u8 *other = (u8 *)0x300000;
    put_function(page_b - 2, 0x11111111);
    memcpy(other, page_b, 4096);
    other[0] = 0x99;
    in.ebx = (u32)page_b - 2;
    is("a function across two pages", 0x11111111, result(calls_twice));
    *pte_b = (u32)other | PTE_P | PTE_W | PTE_U;
    __asm__ volatile("invlpg page_b" ::: "memory");
    in.ebx = (u32)page_b - 2;
    is("whose second page is exchanged", 0x11119911, result(calls_twice));
    *pte_b = 0;
    __asm__ volatile("invlpg page_b" ::: "memory");
    in.ebx = (u32)page_b - 2;
    is("and taken away", 0xdead0000 | PAGE, result(calls_twice));
    is("  at the second page", (u32)page_b, read_cr2());
    fresh();
}

/* One address, two kinds of code. */

static void modes(void)
{
    static u8 both[] = {0xb8, 0x11, 0x22, 0x40,
                        0x40, 0xcd, 0x80}; /* mov eax, 0x40402211 | mov ax; inc ax; inc ax */
    u8 *low = (u8 *)0x7900;
    __asm__("" : "+r"(low));
    memcpy(low, both, sizeof both);
    for (u32 i = 0; i < 4; i++) {
        in.cs = i & 1 ? CS16 : CS0;
        in.eax = 0;
        run_at(low);
        count(i & 1 ? 0x2213 : 0x40402211, trap.r.eax, i, 0);
        ring(0);
    }
    count_end("the same bytes as 16-bit and as 32-bit code");
    fresh();
}

void test_main(void)
{
    same_block();
    other_pages();
    mappings();
    modes();
}
