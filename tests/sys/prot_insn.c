/*
 * prot_insn.c: instructions at the edge of the rules: LOCK, length, ENTER, BOUND, AAM, division,
 * PUSHA, undefined opcodes: SDM vol. 2.
 *
 * All agree with Bochs 2.7. QEMU 7.2 (TCG) takes LOCK with TEST, MOV, LEA and XCHG of registers,
 * and aborts on others.
 */
#include "sys32.h"

/* ---- LOCK ------------------------------------------------------------------------------------ */

CODE32(buffer, ".fill 64, 1, 0x90")

/* Runs the bytes, which lie at the start of `buffer`, then NOPs, then the end of the snippet. */
static u32 run_bytes(const u8 *bytes, u32 n)
{
    memset(buffer, 0x90, 64);
    memcpy(buffer, bytes, n);
    run_at(buffer);
    return outcome();
}

static void locks(void)
{
    /* Opcode, its map (0x0f or 0), ModRM's reg field or 8 for all, LOCK allowed with memory. */
    static const struct {
        u8 map, op, reg, ok;
    } row[] = {
        {0, 0x00, 8, 1},    {0, 0x01, 8, 1},    {0, 0x02, 8, 0},    {0, 0x03, 8, 0},
        {0, 0x08, 8, 1},    {0, 0x11, 8, 1},    {0, 0x19, 8, 1},    {0, 0x21, 8, 1},
        {0, 0x29, 8, 1},    {0, 0x31, 8, 1},    {0, 0x38, 8, 0},    {0, 0x39, 8, 0},
        {0, 0x3b, 8, 0},    {0, 0x84, 8, 0},    {0, 0x85, 8, 0},    {0, 0x86, 8, 1},
        {0, 0x87, 8, 1},    {0, 0x88, 8, 0},    {0, 0x89, 8, 0},    {0, 0x8b, 8, 0},
        {0, 0x8d, 8, 0},    {0, 0xd1, 4, 0},    {0, 0xd3, 0, 0},    {0, 0xf7, 4, 0},
        {0, 0xf7, 6, 0},    {0, 0xf6, 2, 1},    {0, 0xf6, 3, 1},    {0, 0xf7, 2, 1},
        {0, 0xf7, 3, 1},    {0, 0xfe, 0, 1},    {0, 0xfe, 1, 1},    {0, 0xff, 0, 1},
        {0, 0xff, 1, 1},    {0, 0xff, 6, 0},    {0x0f, 0xa3, 8, 0}, {0x0f, 0xab, 8, 1},
        {0x0f, 0xb3, 8, 1}, {0x0f, 0xbb, 8, 1}, {0x0f, 0xb0, 8, 1}, {0x0f, 0xb1, 8, 1},
        {0x0f, 0xc0, 8, 1}, {0x0f, 0xc1, 8, 1}, {0x0f, 0xc7, 1, 1}, {0x0f, 0xa5, 8, 0},
        {0x0f, 0xad, 8, 0}, {0x0f, 0xaf, 8, 0}, {0x0f, 0xb6, 8, 0}, {0x0f, 0xbc, 8, 0},
        {0x0f, 0x44, 8, 0}, {0x0f, 0xc3, 8, 0}, {0x0f, 0x90, 8, 0},
    };
    for (u32 i = 0; i < sizeof row / sizeof row[0]; i++) {
        if (row[i].op == 0xc7 && !cpu_has(HAS_CX8))
            continue;
        u8 code[8];
        u32 n = 0, reg = row[i].reg == 8 ? 2 : row[i].reg;
        if (row[i].reg == 8 && (row[i].op == 0xb1 || row[i].op == 0xb0))
            reg = 1;
        code[n++] = 0xf0;
        if (row[i].map)
            code[n++] = row[i].map;
        code[n++] = row[i].op;
        code[n++] = (u8)(reg << 3 | 3); /* (%ebx) */
        in.ebx = (u32)page_a;
        in.edx = 3;
        memset(page_a, 0, 64);
        u32 got = run_bytes(code, n);
        count(row[i].ok ? DONE : FAULT(UD), got, row[i].op, row[i].map);
        if (row[i].ok && row[i].op != 0xc7) {
            code[n - 1] |= 0xc0; /* %ebx */
            count(FAULT(UD), run_bytes(code, n), row[i].op, 0xc0);
        }
    }
    static const u8 bare[][3] = {{0xf0, 0x90}, {0xf0, 0xf4}, {0xf0, 0xa4}, {0xf0, 0xab},
                                 {0xf0, 0x50}, {0xf0, 0xc3}, {0xf0, 0xeb}, {0xf0, 0xcc}};
    for (u32 i = 0; i < sizeof bare / sizeof bare[0]; i++)
        count(FAULT(UD), run_bytes(bare[i], 3), bare[i][1], 0);
    count_end("LOCK is legal for read-modify-writes of memory and #UD for the rest");
    static const u8 bt8[][6] = {{0xf0, 0x0f, 0xba, 0x23, 1},
                                {0xf0, 0x0f, 0xba, 0x2b, 1},
                                {0xf0, 0x0f, 0xba, 0x33, 1},
                                {0xf0, 0x0f, 0xba, 0x3b, 1}};
    for (u32 i = 0; i < 4; i++) {
        in.ebx = (u32)page_a;
        count(i ? DONE : FAULT(UD), run_bytes(bt8[i], 5), i, 0);
    }
    for (u32 reg = 0; reg < 8; reg++) {
        u8 alu[] = {0xf0, 0x83, (u8)(reg << 3 | 3), 1};
        in.ebx = (u32)page_a;
        count(reg == 7 ? FAULT(UD) : DONE, run_bytes(alu, 4), reg, 0x83);
    }
    count_end("also in groups: BT and CMP are #UD");
    fresh();
}

/* ---- length ---------------------------------------------------------------------------------- */

static void lengths(void)
{
    u8 code[20];
    for (u32 prefixes = 0; prefixes < 18; prefixes++) {
        memset(code, 0x3e, prefixes);
        code[prefixes] = 0x90;
        count(prefixes + 1 <= 15 ? DONE : FAULT_ERR(GP, 0), run_bytes(code, prefixes + 1), prefixes,
              0);
        memset(code, 0x26, prefixes);
        code[prefixes] = 0xb8; /* MOV imm32: five bytes */
        code[prefixes + 1] = 0;
        code[prefixes + 2] = 0;
        code[prefixes + 3] = 0;
        if (prefixes + 5 <= 20) {
            code[prefixes + 4] = 0;
            count(prefixes + 5 <= 15 ? DONE : FAULT_ERR(GP, 0), run_bytes(code, prefixes + 5),
                  prefixes, 1);
        }
    }
    count_end("an instruction of more than 15 bytes is #GP(0)");
    fresh();
    /* 15 prefixes at the end of a page whose neighbour is missing: too long before the next byte.
     */
    paging_on();
    page_set(page_b, 0);
    memset(page_a + 4096 - 15, 0x3e, 15);
    run_at(page_a + 4096 - 15);
    is("15 prefixes are too long whatever would follow", FAULT_ERR(GP, 0), outcome());
    memset(page_a + 4096 - 14, 0x3e, 14);
    run_at(page_a + 4096 - 14);
    is("14 prefixes need one more byte: #PF", FAULT_ERR(PAGE, 0), outcome());
    is("  at the next page", (u32)page_b, read_cr2());
    is("  with EIP at the start", (u32)page_a + 4096 - 14, trap.r.eip);
    page_a[4095] = 0x90;
    run_at(page_a + 4095);
    is("an instruction that ends with the page runs, the next faults", (u32)page_b, trap.r.eip);
    fresh();
    GDT(T0) = descriptor((u32)page_a, 2, CODE_XR, F_D);
    page_a[0] = 0x90;
    page_a[1] = 0xb8; /* two of five bytes are inside the limit */
    in.cs = T0;
    run_at(0);
    is("an instruction that crosses the CS limit is #GP(0)", FAULT_ERR(GP, 0), outcome());
    is("  at its start", 1, trap.r.eip);
    fresh();
}

/* ---- undefined opcodes ----------------------------------------------------------------------- */

static void undefined(void)
{
    static const u8 code[][4] = {
        {0x0f, 0x0b},
        {0x0f, 0xb9, 0xc0},
        {0x0f, 0xff, 0xc0},
        {0x8d, 0xc0},
        {0xc4, 0xc0},
        {0xc5, 0xc0},
        {0x62, 0xc0},
        {0xfe, 0xd0},
        {0xff, 0xf8},
        {0xff, 0xd8 | 0},
        {0xff, 0xe8},
        {0x0f, 0x00, 0xf0 | 8},
        {0x0f, 0x01, 0xc0 | 0x2f},
        {0x0f, 0xc7, 0xc8},
        {0x0f, 0x20, 0xc8},
        {0x0f, 0x20, 0xe8},
        {0x8e, 0xf0},
        {0x8c, 0xf8},
        {0x0f, 0xb2, 0xc0},
        {0x0f, 0x01, 0x2b},
        {0x8f, 0xc8},
        {0xc6, 0xc8},
    };
    for (u32 i = 0; i < sizeof code / sizeof code[0]; i++)
        count(FAULT(UD), run_bytes(code[i], 4), code[i][0], code[i][1] << 8 | code[i][2]);
    count_end("what the manual leaves out is #UD");
    fresh();
}

/* ---- ENTER, PUSHA, BOUND, division ----------------------------------------------------------- */

CODE32(enter0, "enter $0x20, $0\nmov %ebp, %eax\nmov %esp, %ecx")
CODE32(enter1, "enter $0, $1\nmov %ebp, %eax\nmov %esp, %ecx")
CODE32(enter3, "enter $4, $3\nmov %ebp, %eax\nmov %esp, %ecx")
CODE32(enter35, "enter $0, $35\nmov %ebp, %eax\nmov %esp, %ecx")
CODE32(enter16, "enterw $2, $2\nmov %ebp, %eax\nmov %esp, %ecx")
CODE32(enter_leave, "enter $0x40, $0\nleave\nmov %esp, %ecx")
CODE32(pushes, "pushal\nmov %esp, %ecx\nmov 12(%ecx), %eax")
CODE32(pops,
       "pushl $1\npushl $2\npushl $3\npushl $4\npushl $0x5555\npushl $6\npushl $7\npushl $8\npopal")
CODE32(pusha16, "pushaw\nmov %esp, %ecx\nmovw 6(%ecx), %ax")
CODE32(push_esp, "pushl %esp\npopl %eax")
CODE32(pop_esp, "pushl $0x20000\nmov %esp, %ecx\npopl %esp\nmov %esp, %eax\nmov %ecx, %esp")
CODE32(pop_mem_esp, "pushl $0x1234\npushl $0x5678\npopl (%esp)\npopl %eax")
CODE32(push_mem_esp, "pushl $0x1234\npushl (%esp)\npopl %eax")
CODE32(do_bound, "bound %eax, (%ebx)")
CODE32(do_aam0, "aam $0")
CODE32(do_aam, "aam\nmovzwl %ax, %eax")
CODE32(do_aad, "aad\nmovzwl %ax, %eax")
CODE32(do_div8, "divb %cl")
CODE32(do_div16, "divw %cx")
CODE32(do_div32, "divl %ecx")
CODE32(do_idiv8, "idivb %cl")
CODE32(do_idiv32, "idivl %ecx")

static u32 divide(const void *code, u32 edx, u32 eax, u32 ecx)
{
    in.edx = edx;
    in.eax = eax;
    in.ecx = ecx;
    run_at(code);
    return outcome();
}

static void stack_insns(void)
{
    u32 esp = in.esp;
    run_at(enter0);
    is("ENTER n, 0: EBP", esp - 4, trap.r.eax);
    is("  ESP", esp - 4 - 0x20, trap.r.ecx);
    run_at(enter1);
    is("ENTER 0, 1 pushes its own frame pointer: ESP", esp - 8, trap.r.ecx);
    is("  the pointer", esp - 4, *(u32 *)(esp - 8));
    in.ebp = (u32)page_a + 64;
    ((u32 *)page_a)[15] = 0xf1;
    ((u32 *)page_a)[14] = 0xf2;
    run_at(enter3);
    is("ENTER 4, 3 copies two: ESP", esp - 4 - 12 - 4, trap.r.ecx);
    is("  the first", 0xf1, *(u32 *)(esp - 8));
    is("  the second", 0xf2, *(u32 *)(esp - 12));
    is("  and its own", esp - 4, *(u32 *)(esp - 16));
    run_at(enter35);
    is("the level counts modulo 32", esp - 4 - 12, trap.r.ecx);
    in.ebp = (u32)page_a + 64;
    *(u16 *)(page_a + 62) = 0xf3f3;
    run_at(enter16);
    is("ENTER of 16 bits writes BP only", ((u32)page_a & 0xffff0000) | ((esp - 2) & 0xffff),
       trap.r.eax);
    is("  and pushes words", 0xf3f3, *(u16 *)(esp - 4));
    fresh();
    run_at(enter_leave);
    is("LEAVE undoes ENTER", esp, trap.r.ecx);
    is("  EBP", 0xe5e5e5e5, trap.r.ebp);
    run_at(pushes);
    is("PUSHA takes 32 bytes", esp - 32, trap.r.ecx);
    is("  with the old ESP", esp, trap.r.eax);
    run_at(pops);
    is("POPA skips ESP", esp, trap.r.esp);
    is("  EAX", 1, trap.r.eax);
    is("  EBX", 4, trap.r.ebx);
    is("  EDI", 8, trap.r.edi);
    run_at(pusha16);
    is("PUSHA of 16 bits takes 16 bytes", esp - 16, trap.r.ecx);
    is("  with the old SP", esp & 0xffff, trap.r.eax & 0xffff);
    run_at(push_esp);
    is("PUSH ESP stores the value from before", esp, trap.r.eax);
    run_at(pop_esp);
    is("POP ESP loads what was on the stack", 0x20000, trap.r.eax);
    run_at(pop_mem_esp);
    is("POP (ESP) computes its address after it popped", 0x5678, trap.r.eax);
    run_at(push_mem_esp);
    is("PUSH (ESP) computes it before", 0x1234, trap.r.eax);
    fresh();
}

static void arithmetic(void)
{
    u32 *bounds = (u32 *)page_a;
    bounds[0] = (u32)-5;
    bounds[1] = 5;
    static const struct {
        u32 v, want;
    } b[] = {{(u32)-6, FAULT(BR)}, {(u32)-5, DONE}, {0, DONE}, {5, DONE}, {6, FAULT(BR)}};
    for (u32 i = 0; i < 5; i++) {
        in.ebx = (u32)page_a;
        in.eax = b[i].v;
        run_at(do_bound);
        count(b[i].want, outcome(), b[i].v, 0);
        if (b[i].want != DONE)
            count((u32)do_bound, trap.r.eip, b[i].v, 1);
    }
    count_end("BOUND faults outside its signed bounds, which are inclusive");
    in.eax = 0x1234;
    run_at(do_aam0);
    is("AAM 0 is #DE", FAULT(DE), outcome());
    is("  as a fault", (u32)do_aam0, trap.r.eip);
    is("  with AX unchanged", 0x1234, trap.r.eax);
    in.eax = 0xff63;
    run_at(do_aam);
    is("AAM splits by ten", 0x0909, trap.r.eax);
    in.eax = 0x0909;
    run_at(do_aad);
    is("AAD joins", 0x63, trap.r.eax);
    is("DIV by 0 is #DE", FAULT(DE), divide(do_div8, 0, 1, 0));
    is("  as a fault", (u32)do_div8, trap.r.eip);
    is("DIV r/m8 whose quotient has 9 bits is #DE", FAULT(DE), divide(do_div8, 0, 0x200, 2));
    is("  with AX unchanged", 0x200, trap.r.eax);
    is("DIV r/m8 that just fits", DONE, divide(do_div8, 0, 0x1ff, 2));
    is("  remainder and quotient", 0x1ff, trap.r.eax & 0xffff);
    is("DIV r/m16 that overflows is #DE", FAULT(DE), divide(do_div16, 2, 0, 2));
    is("DIV r/m32 that overflows is #DE", FAULT(DE), divide(do_div32, 5, 0, 5));
    is("DIV r/m32 that just fits", DONE, divide(do_div32, 4, 0xffffffff, 5));
    is("  quotient", 0xffffffff, trap.r.eax);
    is("  remainder", 4, trap.r.edx);
    is("IDIV of the smallest by -1 is #DE", FAULT(DE),
       divide(do_idiv32, 0xffffffff, 0x80000000, 0xffffffff));
    is("IDIV that gives the smallest", DONE, divide(do_idiv32, 0xffffffff, 0x80000000, 1));
    is("IDIV r/m8 -32768 by -1 is #DE", FAULT(DE), divide(do_idiv8, 0, 0x8000, 0xff));
    is("IDIV rounds to zero", DONE, divide(do_idiv8, 0, 0xfff9, 2));
    is("  and the remainder has the dividend's sign", 0xfffd, trap.r.eax & 0xffff);
    fresh();
}

void test_main(void)
{
    locks();
    lengths();
    undefined();
    stack_insns();
    arithmetic();
}
