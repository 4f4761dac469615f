/*
 * prot_interrupt.c: interrupt and trap gates, their frames and error codes, IRET, double faults:
 * SDM vol. 3A 6.11 to 6.15; vol. 2, INT n, IRET.
 *
 * All agree with Bochs 2.7, but that its IRET raises #NP for an absent outer SS (SDM: #SS).
 * QEMU 7.2 (TCG) does the same, pushes no RF (SDM vol. 3B 17.3.1.1), sets no EXT in error codes
 * (3A 6.13), checks no limits of stacks and code, takes the vector for the selector's absence
 * (#TS, #NP instead of #SS), and keeps VIF and VIP out of IRET's reach.
 */
#include "sys32.h"

#define EXT 1
#define IDT_BIT 2

CODE32(int_40, "int_40_f: int $0x40\nint_40_next: nop")
extern u8 int_40_next[];
CODE32(int_40_flags, "pushl $0x422d7\npopfl\nint $0x40") /* AC, IOPL 2, IF, SF, ZF, AF, PF, CF */
CODE32(int_13, "int $13")
CODE32(breakpoint, "int3\nbreakpoint_next: nop")
extern u8 breakpoint_next[];
CODE32(into, "movb $0x7f, %al\naddb $1, %al\ninto\ninto_next: nop")
extern u8 into_next[];
CODE32(into_none, "xor %eax, %eax\ninto")
CODE32(ud2, "ud2_f: ud2")
CODE32(divide, "xor %ecx, %ecx\ndivide_f: div %ecx")
CODE32(load_ds, "load_ds_f: mov %eax, %ds")
CODE32(load_gs, "mov %eax, %gs\nint $0x40")
CODE32(nt_int, "pushl $0x4002\npopfl\nint $0x40")
CODE32(tf_int, "pushl $0x102\npopfl\nnop")
CODE32(on_stack, "mov %ebx, %ss\nmov %ecx, %esp\nint $0x40")
CODE32(on_stack_ud, "mov %ebx, %ss\nmov %ecx, %esp\nud2")
CODE32(short_idt, "lidt (%ebx)\nshort_idt_f: int $0x40")
CODE32(int1, ".byte 0xf1\nint1_f: nop")
CODE32(target, "nop")
CODE16(target16, "nop")
CODE32(do_iret, "push %ecx\npush %ebp\npush %edx\ndo_iret_f: iretl")
CODE32(iret_outer, "push %esi\npush %edi\npush %ecx\npush %ebp\npush %edx\niret_outer_f: iretl")
CODE32(iret16, "pushw %cx\npushw %bp\npushw %dx\niretw")

#define FRAME_TOP tss0.esp0

/* ---- frames ---------------------------------------------------------------------------------- */

static void frames(void)
{
    in.eflags = 2;
    run_at(int_40_flags);
    is("INT n at CPL 0 pushes EFLAGS as they are", 0x422d7, trap.r.eflags);
    is("an interrupt gate clears IF and leaves IOPL, AC and the arithmetic flags", 0x420d7,
       trap.flags);
    is("the stack moves by three slots", in.esp - 12, trap.sp);
    is("in ring 0", CS0, trap.cs);
    fresh();
    idt[0x40] = gate(CS0, stub(0x40), P | SYS_TRAP32, 0);
    run_at(int_40_flags);
    is("a trap gate leaves IF", 0x422d7, trap.flags);
    fresh();
    run_at(nt_int);
    is("a gate pushes NT", 0x4002, trap.r.eflags);
    is("and clears it", 2, trap.flags);
    fresh();
    run_at(tf_int);
    is("a single-step trap pushes TF", TF | 2, trap.r.eflags);
    is("and clears it", 2, trap.flags);
    fresh();
    expect_at("INT n returns behind itself", int_40, FAULT(0x40), int_40_next);
    expect_at("INT3 is a trap", breakpoint, FAULT(BP), breakpoint_next);
    expect_at("INT1 is a trap", int1, FAULT(DB), int1_f);
    ring(3);
    expect_at("and does not check the DPL of its gate", int1, FAULT(DB), int1_f);
    expect_at("INTO with OF is a trap", into, FAULT(OF_TRAP), into_next);
    expect("INTO without OF goes on", into_none, DONE);
    run_at(ud2);
    is("#UD is a fault: EIP is its own", (u32)ud2_f, trap.r.eip);
    is("and pushes RF", RF, trap.r.eflags & RF);
    fresh();
    expect_at("#DE is a fault", divide, FAULT(DE), divide_f);
    no_error_code = 1;
    run_at(int_13);
    is("INT 13 pushes no error code", (u32)int_13 + 2, trap.raw[0]);
    fresh();

    ring(3);
    in.eax = T0;
    run_at(load_ds);
    is("a fault at CPL 3 lands on the stack of the TSS", FRAME_TOP - 24, trap.sp);
    is("SS0", DS0, trap.ss);
    is("with the error code lowest", T0, trap.raw[0]);
    is("then EIP", (u32)load_ds_f, trap.raw[1]);
    is("CS", CS3, trap.raw[2] & 0xffff);
    is("EFLAGS", RF | 2, trap.raw[3]);
    is("ESP", in.esp, trap.raw[4]);
    is("SS", DS3, trap.raw[5] & 0xffff);
    is("DS keeps its selector", DS3, trap.r.ds);
    fresh();
    ring(3);
    in.gs = 0;
    run_at(target);
    is("without an error code the frame has five slots", FRAME_TOP - 20, trap.sp);
    fresh();
}

/* The 16-bit gate's offset reaches 64 KiB only: target16 is there, and runs as 32-bit code. */
static void frames16(void)
{
    idt[0x40] = gate(CS0, target16, P | DPL(3) | SYS_INT16, 0);
    ring(3);
    run_at(int_40);
    const u16 *f = (const u16 *)FRAME_TOP;
    is("a 16-bit gate pushes words: SS", DS3, f[-1]);
    is("SP", (u16)in.esp, f[-2]);
    is("FLAGS", 2, f[-3]);
    is("CS", CS3, f[-4]);
    is("IP", (u16)(u32)int_40_next, f[-5]);
    is("five of them", FRAME_TOP - 10 - 12, trap.sp);
    fresh();
    idt[GP] = gate(CS0, target16, P | SYS_TRAP16, 0);
    ring(3);
    in.eax = T0;
    run_at(load_ds);
    f = (const u16 *)FRAME_TOP;
    is("a 16-bit gate pushes a 16-bit error code", T0, f[-6]);
    fresh();
}

/* ---- the gate's own faults ------------------------------------------------------------------- */

#define GATE_ERR(n) ((n)*8 | IDT_BIT)

static void gates(void)
{
    for (u32 type = 0; type < 32; type++) {
        if (type == SYS_TASK)
            continue;
        u32 good =
            type == SYS_INT32 || type == SYS_TRAP32 || type == SYS_INT16 || type == SYS_TRAP16;
        idt[0x40] = gate(CS0, target16, P | type, 0);
        run_at(int_40);
        count(good ? DONE : FAULT_ERR(GP, GATE_ERR(0x40)), outcome(), type, 0);
    }
    count_end("only interrupt and trap gates of both widths may stand in the IDT");
    fresh();
    for (u32 cpl = 0; cpl < 4; cpl++)
        for (u32 dpl = 0; dpl < 4; dpl++) {
            idt[0x40] = gate(CS0, target, P | DPL(dpl) | SYS_INT32, 0);
            ring(cpl);
            run_at(int_40);
            count(cpl > dpl ? FAULT_ERR(GP, GATE_ERR(0x40)) : DONE, outcome(), cpl, dpl);
            idt[UD] = gate(CS0, target, P | DPL(dpl) | SYS_INT32, 0);
            ring(cpl);
            run_at(ud2);
            count(DONE, outcome(), cpl, dpl);
        }
    count_end("the DPL of a gate is checked for INT n and for nothing else");
    fresh();
    idt[BP] = gate(CS0, target, P | SYS_INT32, 0);
    ring(3);
    expect_at("INT3 at CPL 3 checks the DPL too", breakpoint, FAULT_ERR(GP, GATE_ERR(BP)),
              breakpoint);
    idt[0x40] = gate(CS0, target, SYS_INT32, 0);
    expect_at("an absent gate is #NP(vector, IDT)", int_40, FAULT_ERR(NP, GATE_ERR(0x40)), int_40);
    idt[0x40] = gate(CS0, target, SYS_INT32, 0);
    ring(3);
    expect("the DPL of a gate comes before its presence", int_40, FAULT_ERR(GP, GATE_ERR(0x40)));
    idt[UD] = gate(CS0, target, SYS_INT32, 0);
    expect_at("a fault through an absent gate has EXT set", ud2, FAULT_ERR(NP, GATE_ERR(UD) | EXT),
              ud2);
    idt[0x40] = gate(0, target, P | SYS_INT32, 0);
    expect("a null selector in a gate is #GP(0)", int_40, FAULT_ERR(GP, 0));
    idt[UD] = gate(0, target, P | SYS_INT32, 0);
    expect("and #GP(EXT) for an exception", ud2, FAULT_ERR(GP, EXT));
    idt[0x40] = gate(0x208, target, P | SYS_INT32, 0);
    expect("a selector beyond the GDT is #GP(selector)", int_40, FAULT_ERR(GP, 0x208));
    idt[UD] = gate(0x208, target, P | SYS_INT32, 0);
    expect("with EXT for an exception", ud2, FAULT_ERR(GP, 0x208 | EXT));
    idt[0x40] = gate(DS0, target, P | SYS_INT32, 0);
    expect("a gate to data is #GP(selector)", int_40, FAULT_ERR(GP, DS0));
    idt[0x40] = gate(CS3, target, P | SYS_INT32, 0);
    expect("a gate to a less privileged level is #GP(selector)", int_40, FAULT_ERR(GP, CS3 & ~3));
    GDT(T0) = descriptor(0, 0xfffff, CODE_XR & ~P, F_FLAT);
    idt[0x40] = gate(T0, target, P | SYS_INT32, 0);
    expect("a gate to absent code is #NP(selector)", int_40, FAULT_ERR(NP, T0));
    GDT(T0) = descriptor(0, (u32)target - 1, CODE_XR, F_D);
    idt[0x40] = gate(T0, target, P | SYS_INT32, 0);
    expect_at("a handler beyond its limit is #GP(0) of the INT", int_40, FAULT_ERR(GP, 0), int_40);
    GDT(T0) = descriptor(0, (u32)target - 1, CODE_XR, F_D);
    idt[UD] = gate(T0, target, P | SYS_INT32, 0);
    expect("and #GP(EXT) for an exception", ud2, FAULT_ERR(GP, EXT));
}

/* Handlers of other levels than 0, and the stacks that they need. */
static void levels(void)
{
    GDT(T0) = descriptor(0, 0xfffff, CODE_CONF, F_FLAT);
    idt[0x40] = gate(T0, target, P | DPL(3) | SYS_INT32, 0);
    ring(3);
    run_at(int_40);
    is("a conforming handler keeps CPL 3", T0 | 3, trap.r.cs);
    is("and its stack", in.esp - 12, trap.r.esp);
    fresh();
    idt[0x40] = gate(CS1 & ~3, target, P | DPL(3) | SYS_INT32, 0);
    ring(3);
    run_at(int_40);
    is("a gate may lead from ring 3 to ring 1", CS1, trap.r.cs);
    is("on SS1", DS1, trap.r.ss);
    fresh();
    static struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) ptr;
    ptr.limit = 0x40 * 8 + 6;
    ptr.base = (u32)idt;
    in.ebx = (u32)&ptr;
    expect_at("a vector beyond the IDT is #GP(vector, IDT)", short_idt,
              FAULT_ERR(GP, GATE_ERR(0x40)), short_idt_f);
    idt[0x40] = gate(CS1 & ~3, target, P | DPL(3) | SYS_INT32, 0);
    tss0.ss1 = 0x209;
    ring(3);
    expect_at("a bad inner SS of INT n is #TS(SS)", int_40, FAULT_ERR(TS, 0x208), int_40);
    idt[UD] = gate(CS1 & ~3, target, P | SYS_INT32, 0);
    tss0.ss1 = 0x209;
    ring(3);
    expect("with EXT for an exception", ud2, FAULT_ERR(TS, 0x208 | EXT));
    idt[0x40] = gate(CS1 & ~3, target, P | DPL(3) | SYS_INT32, 0);
    tss0.ss1 = T0 | 1;
    GDT(T0) = descriptor(0, 0xfffff, (DATA_RW & ~P) | DPL(1), F_FLAT);
    ring(3);
    expect("an absent inner SS is #SS(SS)", int_40, FAULT_ERR(SS, T0));
    idt[0x40] = gate(CS1 & ~3, target, P | DPL(3) | SYS_INT32, 0);
    tss0.ss1 = T0 | 1;
    tss0.esp1 = 16;
    GDT(T0) = descriptor((u32)page_a, 0xff, DATA_RW | DPL(1), F_D);
    ring(3);
    expect("an inner stack with too little room is #SS(SS)", int_40, FAULT_ERR(SS, T0));
    GDT(TSS0) = descriptor((u32)&tss0, 0x10, P | SYS_TSS32, 0);
    __asm__ volatile("ltr %w0" ::"r"(TSS0));
    idt[0x40] = gate(CS1 & ~3, target, P | DPL(3) | SYS_INT32, 0);
    ring(3);
    expect("a TSS too short for SS1 is #TS(TSS)", int_40, FAULT_ERR(TS, TSS0));
}

/* ---- double faults --------------------------------------------------------------------------- */

static void doubles(void)
{
    idt[GP] = 0;
    in.eax = T0;
    expect_at("#NP while #GP is delivered is a double fault", load_ds, FAULT_ERR(DFAULT, 0),
              load_ds_f);
    idt[UD] = 0;
    expect("#GP while #UD is delivered is a #GP", ud2, FAULT_ERR(GP, GATE_ERR(UD) | EXT));
    idt[DE] = 0;
    expect_at("#NP while #DE is delivered is a double fault", divide, FAULT_ERR(DFAULT, 0),
              divide_f);
    idt[DE] = 0;
    run_at(divide);
    is("the task gate of #DF saves ECX of the victim", 0, trap.r.ecx);
    is("and its EDX", in.edx, trap.r.edx);
    is("and links to its TSS", TSS0, tss_df.link & 0xffff);
    fresh();
    idt[GP] = 0;
    idt[DFAULT] = gate(CS0, stub(DFAULT), P | SYS_INT32, 0);
    in.eax = T0;
    run_at(load_ds);
    is("#DF through an interrupt gate has the error code 0", FAULT_ERR(DFAULT, 0), outcome());
    is("and EIP of the instruction that faulted first", (u32)load_ds_f, trap.r.eip);
    fresh();
    in.ebx = T0;
    in.ecx = 8;
    GDT(T0) = descriptor((u32)page_a, 3, DATA_RW, F_D);
    expect("a stack that cannot hold a frame of its own level: #SS, and again: #DF", on_stack,
           FAULT_ERR(DFAULT, 0));
    in.ebx = T0;
    in.ecx = 8;
    GDT(T0) = descriptor((u32)page_a, 3, DATA_RW, F_D);
    expect("the same for an exception", on_stack_ud, FAULT_ERR(DFAULT, 0));
}

/* ---- IRET ------------------------------------------------------------------------------------ */

#define TO(cs_, flags_) (in.edx = (u32)target, in.ebp = (cs_), in.ecx = (flags_))
#define TO_OUTER(cs_, flags_, ss_) (TO(cs_, flags_), in.esi = (ss_), in.edi = (u32)page_b)

static u32 flags_after(u32 cpl, u32 iopl, u32 image)
{
    ring(cpl);
    in.eflags = 2 | IOPL(iopl);
    TO(in.cs, image);
    run_at(do_iret);
    return outcome() == DONE ? trap.r.eflags : 0xffffffff;
}

static void iret_flags(void)
{
    /* RF is cleared by the instruction that IRET goes to; TF and VM are tried elsewhere. */
    const u32 all = CF | PF | AF | ZF | SF | IF | DF | OF | NT | IOPL(3) | AC | VIF | VIP | ID;
    for (u32 cpl = 0; cpl < 4; cpl++)
        for (u32 iopl = 0; iopl < 4; iopl++) {
            u32 may = all & ~NT;
            if (cpl > 0)
                may &= ~(IOPL(3) | VIF | VIP);
            if (cpl > iopl)
                may &= ~IF;
            u32 fixed = cpl > 0 ? IOPL(iopl) : 0;
            count(may | fixed | 2, flags_after(cpl, iopl, all & ~NT), cpl, iopl);
            count(fixed | 2, flags_after(cpl, iopl, 0), cpl, iopl);
        }
    count_end("IRET sets IOPL, VIF and VIP at CPL 0 only and IF where CPL <= IOPL");
    fresh();
}

static void irets(void)
{
    iret_flags();
    TO(0, 2);
    expect_at("IRET to a null CS is #GP(0)", do_iret, FAULT_ERR(GP, 0), do_iret_f);
    TO(DS0, 2);
    expect("IRET to data is #GP(selector)", do_iret, FAULT_ERR(GP, DS0));
    ring(3);
    TO(CS0, 2);
    expect("IRET inwards is #GP(selector)", do_iret, FAULT_ERR(GP, CS0));
    GDT(T0) = descriptor(0, 0xfffff, CODE_XR & ~P, F_FLAT);
    TO(T0, 2);
    expect("IRET to absent code is #NP(selector)", do_iret, FAULT_ERR(NP, T0));
    GDT(T0) = descriptor(0, (u32)target - 1, CODE_XR, F_D);
    TO(T0, 2);
    expect_at("IRET beyond the limit is #GP(0)", do_iret, FAULT_ERR(GP, 0), do_iret_f);
    TO(CS0, 2);
    run_at(do_iret);
    is("IRET pops three slots", in.esp, trap.r.esp);
    fresh();
    in.edx = (u32)target16;
    in.ebp = CS16;
    in.ecx = SF | 2;
    run_at(iret16);
    is("IRET of 16 bits", CS16, trap.r.cs);
    is("pops six bytes", in.esp, trap.r.esp);
    is("and FLAGS", SF | 2, trap.r.eflags);
    fresh();

    TO_OUTER(CS3, IOPL(3) | 2, DS3);
    in.ds = 0;
    in.es = DS0;
    in.fs = DS2 & ~3;
    in.gs = DS3;
    run_at(iret_outer);
    is("IRET outwards lands in ring 3", CS3, trap.r.cs);
    is("with its ESP", (u32)page_b, trap.r.esp);
    is("its SS", DS3, trap.r.ss);
    is("and IOPL", IOPL(3) | 2, trap.r.eflags);
    is("ES of DPL 0 became null", 0, trap.r.es);
    is("FS of DPL 2 became null", 0, trap.r.fs);
    is("GS of DPL 3 stayed", DS3, trap.r.gs);
    fresh();
    TO_OUTER(CS3, 2, 0);
    expect_at("IRET outwards to a null SS is #GP(0)", iret_outer, FAULT_ERR(GP, 0), iret_outer_f);
    TO_OUTER(CS3, 2, DS2);
    expect("IRET outwards to SS of RPL 2 is #GP(SS)", iret_outer, FAULT_ERR(GP, DS2 & ~3));
    TO_OUTER(CS3, 2, T0 | 3);
    GDT(T0) = descriptor(0, 0xfffff, (DATA_RW & ~P) | DPL(3), F_FLAT);
    expect("IRET outwards to an absent SS is #SS(SS)", iret_outer, FAULT_ERR(SS, T0));
    TO_OUTER(CS3, 2, DS3);
    in.es = DS0;
    TO_OUTER(CS3, 2, CS3);
    run_at(iret_outer);
    is("IRET that faults is #GP(SS)", FAULT_ERR(GP, CS3 & ~3), outcome());
    is("and drops no segment", DS0, trap.r.es);
    is("and moves no stack", in.esp - 20, trap.r.esp);
    fresh();
}

void test_main(void)
{
    frames();
    frames16();
    gates();
    levels();
    doubles();
    irets();
}
