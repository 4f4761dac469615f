/*
 * prot_flags.c: EFLAGS and what it controls: POPF, CLI and STI, ports, interrupt shadows, single
 * steps: SDM vol. 1 3.4.3 and 19.5; vol. 2, POPF, CLI, STI, MOV; vol. 3A 6.8, 7.2.2; 3B 17.3.
 *
 * All agree with Bochs 2.7. QEMU 7.2 (TCG) takes PG without PE (SDM vol. 3A 2.5: #GP) and is lost.
 */
#include "sys32.h"

CODE32(do_popfd, "push %ecx\npopfl\npushfl\npop %eax")
CODE32(do_popf, "pushw %cx\npopfw\npushfl\npop %eax")
CODE32(do_cli, "cli\npushfl\npop %eax")
CODE32(do_sti, "sti\npushfl\npop %eax")
CODE32(do_hlt, "hlt")
CODE32(do_in, "inb $0x80, %al")
CODE32(do_in_word, "movw $0x87, %dx\ninw %dx, %ax")
CODE32(do_in_dword, "movw $0x80, %dx\ninl %dx, %eax")
CODE32(do_ins, "mov $page_a, %edi\nmovw $0x80, %dx\ninsb")
CODE32(do_outs, "mov $page_a, %esi\nmovw $0x80, %dx\nrep outsb")
CODE32(do_high, "movw $0x3ff, %dx\ninb %dx, %al")
CODE32(do_beyond, "movw $0x460, %dx\ninb %dx, %al")
CODE32(lahf_sahf, "movb $0xff, %ah\nsahf\nlahf")
CODE32(invd_priv, "wbinvd")
CODE32(mov_cr, "mov %cr0, %eax")
CODE32(mov_cr_bad, ".byte 0x0f, 0x20, 0xc8") /* mov %cr1, %eax */
CODE32(cr0_pg_no_pe, "mov %cr0, %eax\nor $0x80000000, %eax\nand $~1, %eax\nmov %eax, %cr0")
CODE32(cr0_nw_no_cd, "mov %cr0, %eax\nor $0x20000000, %eax\nmov %eax, %cr0")
CODE32(rdmsr_priv, "mov $0x10, %ecx\nrdmsr")
CODE32(rdtsc_priv, "rdtsc")
CODE32(clts_priv, "clts")
CODE32(lmsw_priv, "lmsw %ax")
CODE32(invlpg_priv, "invlpg (%eax)")

/* ---- POPF, IOPL ------------------------------------------------------------------------------ */

static void masks(void)
{
    const u32 all = CF | PF | AF | ZF | SF | IF | DF | OF | IOPL(3) | NT | AC | ID;
    for (u32 cpl = 0; cpl < 4; cpl++)
        for (u32 iopl = 0; iopl < 4; iopl++) {
            u32 may = all;
            if (cpl > 0)
                may &= ~IOPL(3);
            if (cpl > iopl)
                may &= ~IF;
            ring(cpl);
            in.eflags = IOPL(iopl) | 2;
            in.ecx = 0xfffffeff; /* all but TF */
            run_at(do_popfd);
            count(may | 2 | (cpl ? IOPL(iopl) : 0), trap.r.eax, cpl, iopl);
            ring(cpl);
            in.eflags = IOPL(iopl) | AC | ID | 2;
            in.ecx = 0xfeff;
            run_at(do_popf);
            count((may & 0xffff) | AC | ID | 2 | (cpl ? IOPL(iopl) : 0), trap.r.eax, cpl, iopl);
            ring(cpl);
            in.eflags = IOPL(iopl) | IF | 2;
            in.ecx = 0;
            run_at(do_popfd);
            count(2 | (cpl ? IOPL(iopl) : 0) | (cpl > iopl ? IF : 0), trap.r.eax, cpl, iopl);
            ring(cpl);
            in.eflags = IOPL(iopl) | IF | 2;
            run_at(do_cli);
            count(cpl > iopl ? FAULT_ERR(GP, 0) : DONE, outcome(), cpl, iopl);
            count(cpl > iopl ? IF : 0, trap.r.eflags & IF, cpl, iopl);
            ring(cpl);
            in.eflags = IOPL(iopl) | 2;
            run_at(do_sti);
            count(cpl > iopl ? FAULT_ERR(GP, 0) : DONE, outcome(), cpl, iopl);
            ring(cpl);
            in.eflags = IOPL(iopl) | 2;
            run_at(do_in);
            count(cpl > iopl ? FAULT_ERR(GP, 0) : DONE, outcome(), cpl, iopl);
        }
    count_end("POPF, CLI, STI and IN follow CPL and IOPL");
    fresh();
    run_at(lahf_sahf);
    is("SAHF loads the five flags, bit 1 stays set", 0xd7, trap.r.eax >> 8 & 0xff);
    fresh();
}

static void ports(void)
{
    ring(3);
    tss0.io[0x80 / 8] = 0xfe;
    expect("a clear bit opens a port to CPL 3", do_in, DONE);
    ring(3);
    tss0.io[0x80 / 8] = 0xf0;
    expect("a double word needs four bits", do_in_dword, DONE);
    ring(3);
    tss0.io[0x80 / 8] = 0xf8;
    expect("all four", do_in_dword, FAULT_ERR(GP, 0));
    ring(3);
    tss0.io[0x80 / 8] = 0x7f;
    expect("bits of a word may lie in two bytes", do_in_word, FAULT_ERR(GP, 0));
    ring(3);
    tss0.io[0x80 / 8] = 0x7f;
    tss0.io[0x88 / 8] = 0xfe;
    expect("and both count", do_in_word, DONE);
    ring(3);
    expect("INS asks the bitmap", do_ins, FAULT_ERR(GP, 0));
    ring(3);
    in.ecx = 0;
    expect("REP OUTS asks it even for no iteration", do_outs, FAULT_ERR(GP, 0));
    ring(3);
    memset(tss0.io, 0, sizeof tss0.io);
    expect("the last port of the map", do_high, DONE);
    ring(3);
    memset(tss0.io, 0, sizeof tss0.io + sizeof tss0.io_end);
    expect("a port beyond the limit is closed", do_beyond, FAULT_ERR(GP, 0));
    ring(3);
    memset(tss0.io, 0, sizeof tss0.io);
    GDT(TSS0) =
        descriptor((u32)&tss0, __builtin_offsetof(struct tss32, io) + 0x3ff / 8, P | SYS_TSS32, 0);
    __asm__ volatile("ltr %w0" ::"r"(TSS0));
    expect("a map that ends with its last byte lacks the byte behind it", do_high,
           FAULT_ERR(GP, 0));
    ring(3);
    tss0.iomap = sizeof tss0;
    memset(tss0.io, 0, sizeof tss0.io);
    expect("a map at the limit is no map", do_in, FAULT_ERR(GP, 0));
    GDT(T0) = descriptor((u32)&tss_16, 0xff, P | SYS_TSS16, 0);
    __asm__ volatile("ltr %w0" ::"r"(T0));
    ring(3);
    tss_16.sp0 = 0x7000;
    tss_16.ss0 = DS0;
    expect("a 16-bit TSS has no map", do_in, FAULT_ERR(GP, 0));
}

static void privileged(void)
{
    static const struct {
        const char *name;
        u8 *code;
        u32 want;
    } row[] = {
        {"HLT at CPL 3 is #GP(0)", do_hlt, FAULT_ERR(GP, 0)},
        {"WBINVD at CPL 3 is #GP(0)", invd_priv, FAULT_ERR(GP, 0)},
        {"MOV from CR0 at CPL 3 is #GP(0)", mov_cr, FAULT_ERR(GP, 0)},
        {"RDMSR at CPL 3 is #GP(0)", rdmsr_priv, FAULT_ERR(GP, 0)},
        {"RDTSC at CPL 3 goes", rdtsc_priv, DONE},
        {"CLTS at CPL 3 is #GP(0)", clts_priv, FAULT_ERR(GP, 0)},
        {"LMSW at CPL 3 is #GP(0)", lmsw_priv, FAULT_ERR(GP, 0)},
        {"INVLPG at CPL 3 is #GP(0)", invlpg_priv, FAULT_ERR(GP, 0)},
    };
    for (u32 i = 0; i < sizeof row / sizeof row[0]; i++) {
        if ((row[i].code == rdmsr_priv || row[i].code == rdtsc_priv) && !cpu_has(HAS_MSR | HAS_TSC))
            continue;
        ring(3);
        expect(row[i].name, row[i].code, row[i].want);
    }
    expect("CR1 is #UD", mov_cr_bad, FAULT(UD));
    expect("PG without PE is #GP(0)", cr0_pg_no_pe, FAULT_ERR(GP, 0));
    expect("NW without CD is #GP(0)", cr0_nw_no_cd, FAULT_ERR(GP, 0));
    if (!cpu_has(HAS_TSC))
        return;
    ring(3);
    write_cr4(4); /* TSD */
    expect("RDTSC at CPL 3 with TSD is #GP(0)", rdtsc_priv, FAULT_ERR(GP, 0));
}

/* ---- single steps ---------------------------------------------------------------------------- */

CODE32(step, "nop\nstep_f: nop\nnop")
CODE32(step_popf, "pushl $0x102\npopfl\nnop\nstep_popf_f: nop")
CODE32(step_rep, "rep stosb\nstep_rep_f: nop")
CODE32(step_rep_none, "rep stosb\nstep_rep_none_f: nop")
CODE32(step_int, "int $0x40")
CODE32(step_ss, "mov %eax, %ss\nnop\nstep_ss_f: nop")
CODE32(step_pop_ss, "pop %ss\nnop\nstep_pop_ss_f: nop")
CODE32(step_fault, "ud2")
CODE32(step_jump, "jmp 1f\nnop\n1: step_jump_f: nop")
CODE32(step_back, "int $0x41\nstep_back_f: nop\nnop")
CODE32(back_handler, "iretl")
CODE32(step_movdr, "mov %dr7, %eax\nstep_movdr_f: nop")

static void stepping(void)
{
    write_dr6(0);
    in.eflags = TF | 2;
    run_at(step);
    is("TF traps after one instruction", FAULT(DB), outcome());
    is("with EIP of the next", (u32)step_f, trap.r.eip);
    is("and BS in DR6", 0x4000, read_dr6() & 0xe00f);
    is("EFLAGS on the stack show TF, no RF", TF | 2, trap.r.eflags);
    fresh();
    write_dr6(0);
    expect_at("POPF that sets TF is not trapped itself", step_popf, FAULT(DB), step_popf_f);
    in.eflags = TF | 2;
    in.edi = (u32)page_a;
    in.ecx = 3;
    run_at(step_rep);
    is("REP STOS traps after each iteration", (u32)step_rep, trap.r.eip);
    is("with ECX counted once", 2, trap.r.ecx);
    fresh();
    in.eflags = TF | 2;
    in.edi = (u32)page_a;
    in.ecx = 1;
    expect_at("and behind it after the last", step_rep, FAULT(DB), step_rep_f);
    in.eflags = TF | 2;
    in.ecx = 0;
    expect_at("or when there was none", step_rep_none, FAULT(DB), step_rep_none_f);
    in.eflags = TF | 2;
    run_at(step_int);
    is("INT n clears TF: its handler is not stepped", 0x40, trap.vector);
    is("and finds TF in the frame", TF | 2, trap.r.eflags);
    fresh();
    in.eax = DS0;
    in.eflags = TF | 2;
    expect_at("no step trap between MOV SS and the next instruction", step_ss, FAULT(DB),
              step_ss_f);
    in.esp -= 4;
    *(u32 *)in.esp = DS0;
    in.eflags = TF | 2;
    expect_at("nor between POP SS and the next", step_pop_ss, FAULT(DB), step_pop_ss_f);
    in.eflags = TF | 2;
    expect("a fault comes before the step trap", step_fault, FAULT(UD));
    in.eflags = TF | 2;
    expect_at("a jump traps at its target", step_jump, FAULT(DB), step_jump_f);
    idt[0x41] = gate(CS0, back_handler, P | SYS_INT32, 0);
    in.eflags = TF | 2;
    expect_at("IRET that sets TF: the instruction behind it runs first", step_back, FAULT(DB),
              step_back_f + 1);
    in.eflags = TF | 2;
    expect_at("MOV from DR7 is stepped", step_movdr, FAULT(DB), step_movdr_f);
    write_dr6(0);
    expect("without TF nothing traps", step, DONE);
}

/* ---- shadows --------------------------------------------------------------------------------- */

CODE32(shadow_sti, "sti\nnop\nshadow_sti_f: nop\nnop")
CODE32(shadow_sti_sti, "sti\nsti\nshadow_sti_sti_f: nop\nnop")
CODE32(shadow_sti_cli, "sti\ncli\nnop\nnop")
CODE32(shadow_sti_jmp, "sti\njmp 1f\n1: shadow_sti_jmp_f: nop\nnop")
CODE32(shadow_ss, "sti\nmov %eax, %ss\nnop\nshadow_ss_f: nop\nnop")
CODE32(shadow_popf, "push $0x202\npopfl\nshadow_popf_f: nop\nnop")
CODE32(shadow_hlt, "sti\nhlt\nshadow_hlt_f: nop\nnop")
CODE32(shadow_iret, "push $0x202\npush $8\npush $shadow_iret_f\niretl\nshadow_iret_f: nop\nnop")

#define IRQ0 0x50

/* Lets the PIT raise IRQ 0 while IF is clear: it stays pending at the PIC. */
static void pend_irq0(void)
{
    static const u8 words[] = {0x11, IRQ0, 4, 1};
    outb(0x20, words[0]);
    for (u32 i = 1; i < 4; i++)
        outb(0x21, words[i]);
    outb(0x21, 0xfe);
    outb(0x43, 0x30); /* counter 0, mode 0: the output rises when the count ends */
    outb(0x40, 2);
    outb(0x40, 0);
    do
        outb(0x20, 0x0a); /* IRR next */
    while (!(inb(0x20) & 1));
}

static void interrupted(const char *name, const void *code, u32 flags, const void *at)
{
    pend_irq0();
    in.eflags = flags;
    expect_at(name, code, FAULT(IRQ0), at);
    outb(0x20, 0x20);
    outb(0x21, 0xff);
}

static void shadows(void)
{
    interrupted("a pending interrupt comes before the first instruction with IF", shadow_sti,
                IF | 2, shadow_sti);
    interrupted("STI lets one instruction pass", shadow_sti, 2, shadow_sti_f);
    interrupted("a second STI does not prolong the shadow", shadow_sti_sti, 2, shadow_sti_sti_f);
    interrupted("a jump may be that instruction", shadow_sti_jmp, 2, shadow_sti_jmp_f);
    interrupted("POPF casts no shadow", shadow_popf, 2, shadow_popf_f);
    interrupted("nor does IRET", shadow_iret, 2, shadow_iret_f);
    interrupted("HLT in the shadow of STI is woken", shadow_hlt, 2, shadow_hlt_f);
    in.eax = DS0;
    interrupted("MOV SS casts a shadow of its own", shadow_ss, 2, shadow_ss_f);
    pend_irq0();
    expect("STI, CLI lets nothing through", shadow_sti_cli, DONE);
    outb(0x20, 0x20);
    outb(0x21, 0xff);
}

void test_main(void)
{
    masks();
    ports();
    privileged();
    stepping();
    shadows();
}
