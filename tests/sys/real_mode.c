/*
 * real_mode.c: real-address mode: SDM vol. 3A chapter 20.1; unreal mode (limits that outlive PE);
 * the A20 gate. Real mode has no error codes.
 *
 * All agree with Bochs 2.7, but that its PUSHA with an SP of 7 is #SS (SDM vol. 2, PUSHA: #GP).
 * QEMU 7.2 (TCG) checks no limits in real mode.
 */
#include "sys32.h"

CODE16(nothing, "nop")
CODE16(int_40, "movw $0x1234, %ax\nint $0x40\nint_40_f: nop")
CODE16(flags, "pushl $0x2468d7\npopfl\nint $0x40") /* ID, AC, IOPL, NT, IF, ..  */
CODE16(divide, "xorw %cx, %cx\ndivide_f: divw %cx")
CODE16(ud2, "ud2")
CODE16(bound, "bound %ax, (%bx)")
CODE16(beyond16, "beyond16_f: movw (%ebx), %ax")
CODE16(beyond16w, "movw %ax, (%ebx)")
CODE16(beyond_ss, "beyond_ss_f: movw %ss:(%ebx), %ax")
CODE16(beyond_es, "movb %es:(%ebx), %al")
CODE16(write_cs, "movw %ax, %cs:real_word\nmovw %cs:real_word, %cx")
CODE16(push_wrap, "xorw %sp, %sp\npushw $0x1234\nmovw %sp, %cx")
CODE16(push_odd, "movw $1, %sp\npush_odd_f: pushw %ax")
CODE16(push_long, "movw $2, %sp\npushl %eax")
CODE16(pop_wrap, "movw $0xffff, %sp\npop_wrap_f: popw %ax")
CODE16(pusha_bad, "movw $7, %sp\npusha_bad_f: pushaw")
CODE16(pop_end, "movw $0xfffe, %sp\npopw %ax\nmovw %sp, %cx\nmovw $0x7000, %sp")
CODE16(far_call, "lcall $0x100, $far_called - 0x1000")
__asm__(".pushsection .low, \"awx\"\n.code16\nfar_called: movw %cs, %ax\nint "
        "$0x41\n.code32\n.popsection\n");
CODE16(jump_beyond, "jump_beyond_f: ljmpl $0, $0x10000")
CODE16(near_beyond, "movl $0x10000, %eax\nnear_beyond_f: jmpl *%eax")
CODE16(ret_beyond, "pushl $0x10000\nret_beyond_f: retl")
CODE16(lretl_back, "pushl $0\npushl $lretl_target\nlretl\nlretl_target: nop")
CODE16(iretl_back, "pushl $0x3246\npushl $0\npushl $iretl_target\niretl\niretl_target: nop")
CODE16(protected_only, "sldt %ax")
CODE16(protected_str, "str %ax")
CODE16(protected_lar, "lar %ax, %cx")
CODE16(protected_arpl, "arpl %ax, %cx")
CODE16(protected_verr, "verr %ax")
CODE16(protected_ltr, "ltr %ax")
CODE16(smsw, "smsw %ax")
CODE16(idt_short, "lidtl %cs:real_idt_short\nint $0x40")
CODE16(moved_handler, "movw $0x4d4d, %ax\nlidtl %cs:real_idt_back")
CODE16(idt_moved, "lidtl %cs:real_idt_moved\nint $2")
CODE16(flat_fs, "movl %fs:(%ebx), %eax")
CODE16(flat_reload, "xorw %ax, %ax\nmovw %ax, %ds\nmovl (%ebx), %eax")
CODE16(popf_all, "pushw $0x7fd7 & ~0x100 & ~0x200\npopfw\npushfw\npopw %ax")
CODE16(popfl_all, "pushl $0xffffffff & ~0x100 & ~0x200\npopfl\npushfl\npopl %eax")
CODE16(loop_cx, "movl $0x10003, %ecx\nxorw %ax, %ax\n1: incw %ax\nloopw 1b")
CODE16(loop_ecx, "movl $3, %ecx\nxorw %ax, %ax\n1: incw %ax\naddr32 loop 1b")
CODE16(lods_wrap, "movw $0xffff, %si\ncld\nlodsb\nmovw %si, %cx")
CODE16(movs_cross, "movw $0xffff, %si\ncld\nmovs_cross_f: lodsw")
CODE16(rep_stos, "movw $0xfff0, %di\nmovw %cs, %ax\nmovw $0x4000, %ax\nmovw %ax, %es\nmovw $0x20, "
                 "%cx\nrep stosb")

LOW u32 real_word;
LOW struct {
    u16 limit;
    u32 base;
} __attribute__((packed)) real_idt_short = {0x40 * 4 + 2, 0}, real_idt_moved = {0xff, 0x6000},
                          real_idt_back = {0x3ff, 0};

static void delivery(void)
{
    expect_real("the harness runs real-mode code", nothing, DONE);
    run_real_at(int_40);
    is("INT n goes through the vector table", 0x40, trap.vector);
    is("pushes IP", (u32)int_40_f, trap.r.eip);
    is("CS", 0, trap.r.cs);
    is("six bytes", 0x7000 - 6, trap.sp);
    is("registers go along", 0x1234, trap.r.eax & 0xffff);
    fresh();
    run_real_at(flags);
    is("INT n pushes FLAGS", 0x68d7, trap.r.eflags);
    is("and clears IF, TF and AC only", 0x2068d7, trap.flags);
    fresh();
    expect_real("#DE is a fault", divide, FAULT(DE));
    expect_real("#UD", ud2, FAULT(UD));
    in.eax = 5;
    in.ebx = 0x7800;
    *(u32 *)0x7800 = 0x00040000;
    expect_real("#BR", bound, FAULT(BR));
    expect_real("a vector beyond the table's limit is #GP", idt_short, FAULT(GP));
    *(u32 *)0x6008 = (u32)moved_handler;
    expect_real("LIDT moves the table", idt_moved, DONE);
    is("and leads elsewhere", 0x4d4d, trap.r.eax & 0xffff);
    expect_real("IRETD goes back", iretl_back, DONE);
    expect_real("RETFD goes back", lretl_back, DONE);
}

static void limits(void)
{
    in.ebx = 0xfffe;
    expect_real("a word at 0xfffe is inside", beyond16, DONE);
    in.ebx = 0xffff;
    expect_real("a word at 0xffff is #GP", beyond16, FAULT(GP));
    in.ebx = 0x10000;
    expect_real("an offset of 64 KiB is #GP", beyond16w, FAULT(GP));
    in.ebx = 0xffff;
    expect_real("a word of SS at 0xffff is #SS", beyond_ss, FAULT(SS));
    in.ebx = 0x10000;
    expect_real("ES has a limit too", beyond_es, FAULT(GP));
    expect_real("CS can be written in real mode", write_cs, DONE);
    expect_real("a jump beyond 64 KiB is #GP", jump_beyond, FAULT(GP));
    expect_real("a near jump beyond 64 KiB is #GP", near_beyond, FAULT(GP));
    expect_real("a return beyond 64 KiB is #GP", ret_beyond, FAULT(GP));
    run_real_at(ret_beyond);
    is("and leaves SP", 0x7000 - 4, trap.r.esp & 0xffff);
    fresh();
    real();
    in.ds = 0x4000;
    run_real_at(lods_wrap);
    is("SI wraps to 0 behind 0xffff", 0, trap.r.ecx & 0xffff);
    fresh();
    expect_real("LODSW at 0xffff is #GP", movs_cross, FAULT(GP));
    run_real_at(rep_stos);
    is("DI wraps within the segment", 0x10, trap.r.edi & 0xffff);
    is("and keeps its upper half", 0x77770010, trap.r.edi);
    fresh();
}

/* Code at the end of a 64 KiB segment: CS 0x1000, so IP 0xffff is at 0x1ffff. */
static void ip_wraps(void)
{
    u8 *end = (u8 *)0x20000, *start = (u8 *)0x10000;
    __asm__("" : "+r"(end), "+r"(start));
    end[-1] = 0x90;
    start[0] = 0xcd; /* int $0x41: must not be reached by running on */
    start[1] = 0x41;
    real();
    in.cs = 0x1000;
    expect_real("IP does not run on from 0xffff to 0: #GP", end - 1, FAULT(GP));
    real();
    in.cs = 0x1000;
    run_real_at(end - 1);
    is("with the IP pushed modulo 64 KiB", 0, trap.r.eip);
    fresh();
    end[-1] = 0x66; /* a prefix whose instruction would lie beyond */
    real();
    in.cs = 0x1000;
    run_real_at(end - 1);
    is("an instruction that crosses 0xffff is #GP", GP, trap.vector);
    is("at its start", 0xffff, trap.r.eip);
    fresh();
    end[-3] = 0xeb; /* jmp .+0x10: IP 0xfffd + 2 + 0x10 */
    end[-2] = 0x10;
    start[0x0f] = 0xcd;
    start[0x10] = 0x80;
    real();
    in.cs = 0x1000;
    run_real_at(end - 3);
    is("a relative jump wraps", DONE, outcome());
    is("to the beginning of the segment", 0x11, trap.r.eip);
    fresh();
}

static void stack(void)
{
    real();
    in.ss = 0x3000;
    run_real_at(push_wrap);
    is("PUSH with SP 0 wraps to 0xfffe", 0xfffe, trap.r.ecx & 0xffff);
    is("and writes there", 0x1234, *(u16 *)0x3fffe);
    fresh();
    real();
    in.ss = 0x3000;
    run_real_at(pop_end);
    is("POP at 0xfffe wraps SP to 0", 0, trap.r.ecx & 0xffff);
    fresh();
    expect_real("POP of a word at 0xffff is #SS", pop_wrap, FAULT(SS));
    run_real_at(far_call);
    is("a far call loads CS times 16", 0x100, trap.r.eax & 0xffff);
    is("and pushes CS:IP", (u32)far_call + 5, *(u32 *)(0x7000 - 4));
    fresh();
    expect_real("PUSHA with SP 7 is #GP", pusha_bad, FAULT(GP));
}

static void instructions(void)
{
    expect_real("SLDT is #UD", protected_only, FAULT(UD));
    expect_real("STR is #UD", protected_str, FAULT(UD));
    expect_real("LAR is #UD", protected_lar, FAULT(UD));
    expect_real("ARPL is #UD", protected_arpl, FAULT(UD));
    expect_real("VERR is #UD", protected_verr, FAULT(UD));
    expect_real("LTR is #UD", protected_ltr, FAULT(UD));
    run_real_at(smsw);
    is("SMSW shows PE clear", 0, trap.r.eax & 1);
    fresh();
    run_real_at(popf_all);
    is("POPF sets IOPL and NT in real mode", 0x7cd7, trap.r.eax & 0xffff);
    fresh();
    run_real_at(popfl_all);
    is("POPFD sets AC and ID, not VM, RF, VIF, VIP", 0x247cd7, trap.r.eax);
    fresh();
    run_real_at(loop_cx);
    is("LOOP counts CX", 3, trap.r.eax & 0xffff);
    is("and leaves the rest of ECX", 0x10000, trap.r.ecx);
    fresh();
    run_real_at(loop_ecx);
    is("LOOP with address size 32 counts ECX", 3, trap.r.eax & 0xffff);
    fresh();
}

static void unreal(void)
{
    in.ebx = (u32)page_a;
    *(u32 *)page_a = 0x12345678;
    real_flat = FLAT_DS;
    run_real_at(beyond16);
    is("DS keeps a limit of 4 GiB from protected mode", 0x5678, trap.r.eax & 0xffff);
    fresh();
    in.ebx = (u32)page_a;
    *(u32 *)page_a = 0x12345678;
    real_flat = FLAT_DS;
    run_real_at(flat_reload);
    is("also when it is loaded again", 0x12345678, trap.r.eax);
    fresh();
    in.ebx = (u32)page_a;
    real_flat = FLAT_DS;
    expect_real("and FS does not", flat_fs, FAULT(GP));
    real_flat = FLAT_CS;
    *(u16 *)0x10000 = 0x0b0f; /* UD2 */
    expect_real("with a CS of 4 GiB EIP may exceed 64 KiB", jump_beyond, FAULT(UD));
}

/* The 8042's output port and port 92h share the gate, by OR or by the last word: both are set. */
static void set_a20(u32 on)
{
    static const u8 off_then_on[] = {0xdd, 0xdf};
    for (u32 i = 0; i < 2; i++) {
        while (inb(0x64) & 2)
            ;
        outb(i ? 0x60 : 0x64, i ? off_then_on[on] : 0xd1);
    }
    while (inb(0x64) & 2)
        ;
    outb(0x92, (inb(0x92) & ~3) | (on ? 2 : 0));
}

static void a20(void)
{
    static volatile u32 *high = (u32 *)0x107800, *low = (u32 *)0x7800;
    u32 keep = *high;
    *low = 0x11111111;
    *high = 0x22222222;
    is("with A20 on, 1 MiB and 0 are different places", 0x11111111, *low);
    set_a20(0);
    u32 alias = *high;
    *high = 0x33333333;
    set_a20(1);
    is("with A20 off, a load from beyond 1 MiB comes from 0", 0x11111111, alias);
    is("and a store lands there", 0x33333333, *low);
    is("and not above", 0x22222222, *high);
    *high = keep;
}

void test_main(void)
{
    delivery();
    limits();
    ip_wraps();
    stack();
    instructions();
    unreal();
    a20();
}
