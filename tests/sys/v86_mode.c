/*
 * v86_mode.c: virtual-8086 mode, with and without VME, and protected-mode virtual interrupts: SDM
 * vol. 3A chapter 20.2 to 20.4; vol. 2, INT n, IRET, PUSHF, POPF, CLI, STI.
 *
 * All agree with Bochs 2.7. QEMU 7.2 (TCG) checks no limits, has no VME, and lets IRET at CPL 3 set
 * VM.
 */
#include "sys32.h"

CODE16(nothing, "nop")
CODE16(addresses,
       "movw $0x1234, %ax\nmovw %ax, %es\nmovb %es:(0x5678), %bl\nmovw %cs, %cx\nmovw %es, %dx")
CODE16(beyond, "movw (%ebx), %ax")
CODE16(write_cs, "movw %ax, %cs:v86_word")
CODE16(int_40, "int $0x40\nint_40_f: nop")
CODE16(redirected, "movw $0x5ed1, %ax\npopw %bx\npopw %cx\npopw %dx\npushfw\npopw %si")
CODE16(breakpoint, "int3\nbreakpoint_f: nop")
CODE16(into, "movb $0x7f, %al\naddb $1, %al\ninto\ninto_f: nop")
CODE16(do_pushf, "pushfw\npopw %ax")
CODE16(do_pushfd, "pushfl\npopl %eax")
CODE16(do_popf, "pushw %cx\npopfw\npushfw\npopw %ax")
CODE16(do_popfd, "pushl %ecx\npopfl\npushfl\npopl %eax")
CODE16(do_cli, "cli")
CODE16(do_sti, "sti")
CODE16(do_iret,
       "pushw %cx\npushw $0\npushw $v86_iret_target\niretw\nv86_iret_target: nop\npushfw\npopw %ax")
CODE16(do_iretd, "pushl %ecx\npushl $0\npushl $v86_iretd_target\niretl\nv86_iretd_target: nop")
CODE16(do_hlt, "hlt")
CODE16(do_lgdt, "lgdt (%bx)")
CODE16(do_sgdt, "sgdt (%bx)")
CODE16(do_smsw, "smsw %ax")
CODE16(do_clts, "clts")
CODE16(do_cr0, "movl %cr0, %eax")
CODE16(do_dr7, "movl %dr7, %eax")
CODE16(do_lar, "lar %ax, %cx")
CODE16(do_arpl, "arpl %ax, %cx")
CODE16(do_sldt, "sldt %ax")
CODE16(do_lldt, "lldt %ax")
CODE16(do_in, "inb $0x80, %al")
CODE16(do_in_word, "movw $0x80, %dx\ninw %dx, %ax")
CODE16(do_out_dword, "movw $0x3fe, %dx\noutl %eax, %dx")
CODE16(push_wrap, "xorw %sp, %sp\npushw $0x1234\nmovw %sp, %cx\nmovw $0x7000, %sp")
CODE16(far_jump, "ljmp $0x100, $v86_far - 0x1000")
__asm__(".pushsection .low, \"awx\"\n.code16\nv86_far: movw %cs, %ax\nint "
        "$0x80\n.code32\n.popsection\n");
CODE16(loads_anything, "movw $0xffff, %ax\nmovw %ax, %ds\nmovw %ax, %fs\nxorw %ax, %ax")
CODE32(back_to_v86, "iretl")
CODE32(pvi_cli, "cli\npushfl\npopl %eax")
CODE32(pvi_sti, "sti\npushfl\npopl %eax")
CODE32(ring3_vm, "pushl $0x20202\npushl %ecx\npushl $1f\niretl\n1: nop")

LOW u32 v86_word;

static void set_ivt(u32 n, const void *to)
{
    volatile u32 *ivt = (volatile u32 *)0x1000;
    __asm__("" : "+r"(ivt)); /* the compiler takes a small constant address for a null pointer */
    ivt[(int)n - 0x400] = (u32)to;
}

static void basics(void)
{
    v86(3);
    expect("IRET with VM enters virtual-8086 mode", nothing, DONE);
    v86(3);
    in.ds = 0x1111;
    in.es = 0x2222;
    in.fs = 0x3333;
    in.gs = 0x4444;
    in.ss = 0x300;
    run_at(nothing);
    is("a gate leaves it: EFLAGS with VM", VM | IOPL(3) | 2, trap.r.eflags);
    is("the frame has nine slots", tss0.esp0 - 36, trap.sp);
    is("CS", 0, trap.r.cs);
    is("ESP", 0x7000, trap.r.esp);
    is("SS", 0x300, trap.r.ss);
    is("DS", 0x1111, trap.r.ds);
    is("ES", 0x2222, trap.r.es);
    is("FS", 0x3333, trap.r.fs);
    is("GS", 0x4444, trap.r.gs);
    is("the handler runs without VM", 2, trap.flags & (VM | 2));
    fresh();
    v86(3);
    run_at(addresses);
    is("a selector is the base over 16", 0x1234, trap.r.edx & 0xffff);
    is("and reads what is there", *(u8 *)0x179b8, trap.r.ebx & 0xff);
    fresh();
    v86(3);
    in.ebx = 0xffff;
    expect("a word at 0xffff is #GP(0)", beyond, FAULT_ERR(GP, 0));
    v86(3);
    in.ebx = 0x10000;
    expect("limits are 64 KiB whatever they were before", beyond, FAULT_ERR(GP, 0));
    v86(3);
    expect("CS can be written", write_cs, DONE);
    v86(3);
    run_at(push_wrap);
    is("SP wraps", 0xfffe, trap.r.ecx & 0xffff);
    fresh();
    v86(3);
    run_at(far_jump);
    is("a far jump is the 8086's", 0x100, trap.r.eax & 0xffff);
    fresh();
    v86(3);
    expect("any selector loads", loads_anything, DONE);
    ring(3);
    in.ecx = CS3;
    run_at(ring3_vm);
    is("IRET at CPL 3 does not enter it", CS3, trap.r.cs);
    is("and keeps VM clear", 0, trap.r.eflags & VM);
    fresh();
}

static void privileged(void)
{
    static const struct {
        const char *name;
        u8 *code;
        u32 want;
    } row[] = {
        {"HLT is #GP(0)", do_hlt, FAULT_ERR(GP, 0)},
        {"LGDT is #GP(0)", do_lgdt, FAULT_ERR(GP, 0)},
        {"CLTS is #GP(0)", do_clts, FAULT_ERR(GP, 0)},
        {"MOV from CR0 is #GP(0)", do_cr0, FAULT_ERR(GP, 0)},
        {"MOV from DR7 is #GP(0)", do_dr7, FAULT_ERR(GP, 0)},
        {"SGDT goes", do_sgdt, DONE},
        {"SMSW goes", do_smsw, DONE},
        {"LAR is #UD", do_lar, FAULT(UD)},
        {"ARPL is #UD", do_arpl, FAULT(UD)},
        {"SLDT is #UD", do_sldt, FAULT(UD)},
        {"LLDT is #UD", do_lldt, FAULT(UD)},
    };
    for (u32 i = 0; i < sizeof row / sizeof row[0]; i++) {
        v86(3);
        in.ebx = 0x7800;
        expect(row[i].name, row[i].code, row[i].want);
    }
}

static void sensitive(void)
{
    static const struct {
        const char *name;
        u8 *code;
    } row[] = {{"CLI", do_cli},   {"STI", do_sti},       {"PUSHF", do_pushf},
               {"POPF", do_popf}, {"PUSHFD", do_pushfd}, {"POPFD", do_popfd},
               {"INT n", int_40}, {"IRET", do_iret},     {"IRETD", do_iretd}};
    for (u32 i = 0; i < sizeof row / sizeof row[0]; i++)
        for (u32 iopl = 0; iopl < 4; iopl++) {
            idt[0x40] = gate(CS0, stub(DONE), P | DPL(3) | SYS_INT32, 0);
            v86(iopl);
            in.ecx = 2;
            run_at(row[i].code);
            count(iopl < 3 ? FAULT_ERR(GP, 0) : DONE, outcome(), i, iopl);
            fresh();
        }
    count_end("CLI, STI, PUSHF, POPF, INT n and IRET are #GP(0) unless IOPL is 3");
    v86(0);
    idt[BP] = gate(CS0, stub(BP), P | DPL(3) | SYS_INT32, 0);
    expect_at("INT3 is not sensitive to IOPL", breakpoint, FAULT(BP), breakpoint_f);
    v86(0);
    idt[OF_TRAP] = gate(CS0, stub(OF_TRAP), P | DPL(3) | SYS_INT32, 0);
    expect_at("nor is INTO", into, FAULT(OF_TRAP), into_f);
    v86(0);
    expect("but both check the DPL of the gate", breakpoint, FAULT_ERR(GP, BP * 8 + 2));
    v86(3);
    in.ecx = 0x7fd7 & ~(TF | IF);
    run_at(do_popf);
    is("POPF with IOPL 3 keeps IOPL", 0x7cd7, trap.r.eax & 0xffff);
    fresh();
    v86(3);
    in.ecx = 0xffffffff & ~(TF | IF);
    run_at(do_popfd);
    is("POPFD sets neither VM nor VIF nor VIP", IOPL(3),
       trap.r.eax & (VM | RF | VIF | VIP | IOPL(3)));
    is("and stays in virtual-8086 mode", VM, trap.r.eflags & VM);
    fresh();
    v86(3);
    in.ecx = IF | 2;
    run_at(do_popf);
    is("POPF with IOPL 3 sets IF", IF, trap.r.eax & IF);
    fresh();
    v86(3);
    in.ecx = 0x0003;
    run_at(do_iret);
    is("IRET with IOPL 3 keeps IOPL", IOPL(3) | 3, trap.r.eax & 0xffff);
    fresh();
    v86(3);
    idt[0x40] = gate(CS0, stub(0x40), P | SYS_INT32, 0);
    expect_at("INT n checks the DPL of the gate", int_40, FAULT_ERR(GP, 0x40 * 8 + 2), int_40);
    v86(3);
    idt[0x40] = gate(CS1 & ~3, stub(0x40), P | DPL(3) | SYS_INT32, 0);
    expect("a gate to another ring than 0 is #GP(CS)", int_40, FAULT_ERR(GP, CS1 & ~3));
    v86(3);
    GDT(T0) = descriptor(0, 0xfffff, CODE_CONF, F_FLAT);
    idt[0x40] = gate(T0, stub(0x40), P | DPL(3) | SYS_INT32, 0);
    expect("a gate to conforming code is #GP(CS)", int_40, FAULT_ERR(GP, T0));
}

static void ports(void)
{
    v86(3);
    expect("IN asks the bitmap even with IOPL 3", do_in, FAULT_ERR(GP, 0));
    v86(0);
    tss0.io[0x80 / 8] = 0xfe;
    expect_at("a clear bit allows it with IOPL 0: the INT behind it faults", do_in,
              FAULT_ERR(GP, 0), do_in + 2);
    v86(3);
    tss0.io[0x80 / 8] = 0xfe;
    expect("a word needs two clear bits", do_in_word, FAULT_ERR(GP, 0));
    v86(3);
    tss0.io[0x80 / 8] = 0xfc;
    expect("and goes with them", do_in_word, DONE);
    v86(3);
    memset(tss0.io, 0, sizeof tss0.io);
    expect("the bits of a double word may lie in two bytes", do_out_dword, FAULT_ERR(GP, 0));
}

/* ---- VME ------------------------------------------------------------------------------------- */

static u32 vme_run(u32 iopl, u32 flags, const void *code)
{
    write_cr4(CR4_VME);
    v86(iopl);
    in.eflags |= flags;
    run_at(code);
    return outcome();
}

static void vme(void)
{
    set_ivt(0x40, redirected);
    is("VME redirects INT n where the bitmap has a 0", FAULT_ERR(GP, 0), vme_run(0, VIF, int_40));
    is("(what faults is the INT of the end, where it has a 1)", (u32)redirected + 8, trap.r.eip);
    is("to the vector table", 0x5ed1, trap.r.eax & 0xffff);
    is("with IP", (u32)int_40_f, trap.r.ebx & 0xffff);
    is("CS", 0, trap.r.ecx & 0xffff);
    is("FLAGS with VIF for IF and IOPL 3", IF | IOPL(3) | 2, trap.r.edx & 0xffff);
    is("and clears VIF", 0, trap.r.eflags & VIF);
    fresh();
    set_ivt(0x40, redirected);
    is("with IOPL 3 too", DONE, vme_run(3, 0, int_40));
    is("where FLAGS are the real ones", IOPL(3) | 2, trap.r.edx & 0xffff);
    fresh();
    tss0.redirect[0x40 / 8] = 1;
    is("a 1 in the bitmap with IOPL < 3 is #GP(0)", FAULT_ERR(GP, 0), vme_run(0, 0, int_40));
    fresh();
    tss0.redirect[0x40 / 8] = 1;
    idt[0x40] = gate(CS0, stub(0x40), P | DPL(3) | SYS_INT32, 0);
    is("and goes through the IDT with IOPL 3", 0x40, vme_run(3, 0, int_40));
    fresh();
    is("INT3 is never redirected", FAULT_ERR(GP, BP * 8 + 2), vme_run(0, 0, breakpoint));
    fresh();
    vme_run(0, VIF | IF, do_cli);
    is("CLI with IOPL 0 clears VIF, not IF", IF, trap.r.eflags & (IF | VIF));
    fresh();
    vme_run(0, 0, do_sti);
    is("STI sets VIF and not IF", VIF, trap.r.eflags & (IF | VIF));
    fresh();
    is("STI with VIP is #GP(0)", FAULT_ERR(GP, 0), vme_run(0, VIP, do_sti));
    is("before it sets VIF", 0, trap.r.eflags & VIF);
    fresh();
    vme_run(0, VIF, do_pushf);
    is("PUSHF shows VIF as IF, and IOPL 3", IF | IOPL(3), trap.r.eax & (IF | IOPL(3)));
    fresh();
    vme_run(0, IF, do_pushf);
    is("and not IF", 0, trap.r.eax & IF);
    fresh();
    is("PUSHFD is #GP(0) with IOPL < 3", FAULT_ERR(GP, 0), vme_run(0, 0, do_pushfd));
    fresh();
    is("POPFD too", FAULT_ERR(GP, 0), vme_run(0, 0, do_popfd));
    fresh();
    in.ecx = IF | CF | 2;
    vme_run(1, 0, do_popf);
    is("POPF sets VIF from IF", VIF | CF, trap.r.eflags & (VIF | IF | CF));
    is("and leaves IOPL", IOPL(1), trap.r.eflags & IOPL(3));
    fresh();
    in.ecx = TF | 2;
    is("POPF of TF is #GP(0)", FAULT_ERR(GP, 0), vme_run(0, 0, do_popf));
    fresh();
    in.ecx = IF | 2;
    is("POPF of IF with VIP is #GP(0)", FAULT_ERR(GP, 0), vme_run(0, VIP, do_popf));
    fresh();
    in.ecx = 2;
    vme_run(0, VIP, do_popf);
    is("POPF without IF goes with VIP", (u32)do_popf + 4, trap.r.eip);
    fresh();
    in.ecx = IF | 2;
    vme_run(0, 0, do_iret);
    is("IRET sets VIF from IF", VIF, trap.r.eflags & (VIF | IF));
    fresh();
    in.ecx = TF | 2;
    is("IRET of TF is #GP(0)", FAULT_ERR(GP, 0), vme_run(0, 0, do_iret));
    fresh();
    is("IRETD is #GP(0) with IOPL < 3", FAULT_ERR(GP, 0), vme_run(0, 0, do_iretd));
    fresh();
}

static void tasks(void)
{
    v86(3);
    in.ds = 0x1234;
    idt[0x40] = gate(TSS1, 0, P | DPL(3) | SYS_TASK, 0);
    tss1.eip = (u32)back_to_v86;
    run_at(int_40);
    is("a task gate leaves virtual-8086 mode and IRET comes back", DONE, outcome());
    is("  the TSS held EFLAGS with VM", VM | IOPL(3) | 2, tss0.eflags);
    is("  DS", 0x1234, tss0.ds & 0xffff);
    is("  which are there again", 0x1234, trap.r.ds);
    is("  with VM", VM, trap.r.eflags & VM);
    is("  behind the INT", (u32)int_40 + 5, trap.r.eip);
    is("  in the first task", TSS0, str());
    fresh();
}

static void pvi(void)
{
    ring(3);
    expect("CLI at CPL 3 is #GP(0)", pvi_cli, FAULT_ERR(GP, 0));
    ring(3);
    write_cr4(CR4_PVI);
    in.eflags = VIF | IF | 2;
    run_at(pvi_cli);
    is("with PVI it clears VIF", IF, trap.r.eflags & (IF | VIF));
    fresh();
    ring(3);
    write_cr4(CR4_PVI);
    run_at(pvi_sti);
    is("and STI sets it", VIF, trap.r.eflags & (IF | VIF));
    fresh();
    ring(3);
    write_cr4(CR4_PVI);
    in.eflags = VIP | 2;
    expect("STI with VIP is #GP(0)", pvi_sti, FAULT_ERR(GP, 0));
    ring(1);
    write_cr4(CR4_PVI);
    expect("PVI is for CPL 3 only", pvi_cli, FAULT_ERR(GP, 0));
    ring(3);
    write_cr4(CR4_PVI);
    in.eflags = IOPL(3) | IF | VIF | 2;
    run_at(pvi_cli);
    is("with IOPL 3 CLI clears IF itself", VIF, trap.r.eflags & (IF | VIF));
    fresh();
}

void test_main(void)
{
    basics();
    privileged();
    sensitive();
    ports();
    vme();
    tasks();
    pvi();
}
