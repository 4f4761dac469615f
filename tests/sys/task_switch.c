/*
 * task_switch.c: hardware task switches: SDM vol. 3A 7.2 to 7.6.
 *
 * All agree with Bochs 2.7, but that it reports SS for a null CS. QEMU 7.2 (TCG) keeps local
 * breakpoints, ignores the T bit, reports what is wrong in a new task in the state of the old one,
 * and raises #TS for a TSS in the LDT (SDM vol. 2, JMP: #GP).
 */
#include "sys32.h"

static struct {
    u32 off;
    u16 sel;
} __attribute__((packed)) far_at;
#define FAR(sel_) (far_at.sel = (u16)(sel_), far_at.off = 0xdeadbeef, in.ebx = (u32)&far_at)
#define EXT 1

CODE32(jump, "ljmp *(%ebx)\njump_f: nop")
CODE32(call, "lcall *(%ebx)\ncall_f: nop")
CODE32(int_40, "int $0x40\nint_40_f: nop")
CODE32(ud2, "ud2")
CODE32(load_ds, "load_ds_f: mov %eax, %ds")
CODE32(stopped, "nop")
CODE32(returns, "returns_f: iretl\nnop")
CODE32(nt_iret, "pushl $0x4002\npopfl\nnt_iret_f: iretl")
CODE32(with_flags, "pushl $0x242cd7\npopfl\nljmp *(%ebx)")
CODE32(loads_ldt_entry, "movl $4, %eax\nmov %eax, %gs")
CODE32(reads_page, "movl page_a, %eax")
CODE32(debugged, "mov $0x7ff, %eax\nmov %eax, %dr7\nljmp *(%ebx)")
CODE32(shows_dr7, "mov %dr7, %eax")
CODE16(stopped16, "nop")
CODE16(v86_task, "movw %ds, %ax")

static u32 type_of(u32 sel)
{
    return (u32)(GDT(sel) >> 40) & 0x1f;
}

/* ---- what is saved, loaded, marked ----------------------------------------------------------- */

static void set_task1(const void *code)
{
    tss1.eip = (u32)code;
    tss1.eax = 0x10000001;
    tss1.ecx = 0x20000002;
    tss1.edx = 0x30000003;
    tss1.ebx = 0x40000004;
    tss1.ebp = 0x50000005;
    tss1.esi = 0x60000006;
    tss1.edi = 0x70000007;
    tss1.fs = DS3;
    tss1.link = 0x5555;
}

static void jumps(void)
{
    set_task1(stopped);
    FAR(TSS1);
    u32 esp = in.esp;
    run_at(jump);
    is("JMP to a TSS runs its task", (u32)stopped + 3, trap.r.eip);
    is("with its EAX", 0x10000001, trap.r.eax);
    is("its ECX", 0x20000002, trap.r.ecx);
    is("its EDX", 0x30000003, trap.r.edx);
    is("its EBX", 0x40000004, trap.r.ebx);
    is("its EBP", 0x50000005, trap.r.ebp);
    is("its ESI", 0x60000006, trap.r.esi);
    is("its EDI", 0x70000007, trap.r.edi);
    is("its ESP", tss1.esp, trap.r.esp);
    is("its FS", DS3, trap.r.fs);
    is("its EFLAGS", 2, trap.r.eflags);
    is("and no back link", 0x5555, tss1.link);
    is("it saves EIP of the next instruction", (u32)jump_f, tss0.eip);
    is("EAX", 0xa1a1a1a1, tss0.eax);
    is("EBX", (u32)&far_at, tss0.ebx);
    is("ESP", esp, tss0.esp);
    is("EDI", 0x77777777, tss0.edi);
    is("CS", CS0, tss0.cs & 0xffff);
    is("GS", DS0, tss0.gs & 0xffff);
    is("TR is the new TSS", TSS1, str());
    is("the old TSS is available", SYS_TSS32, type_of(TSS0));
    is("the new one busy", SYS_TSS32_BUSY, type_of(TSS1));
    is("CR0.TS is set", CR0_TS, read_cr0() & CR0_TS);
    fresh();
    set_task1(stopped);
    FAR(TSS1);
    run_at(with_flags);
    is("EFLAGS are saved whole", 0x242cd7, tss0.eflags);
    fresh();
    set_task1(stopped);
    FAR(TSS1);
    tss0.esp0 = 0x1234;
    tss0.cr3 = 0x5000;
    run_at(jump);
    is("stack pointers of inner levels are not written", 0x1234, tss0.esp0);
    is("nor is CR3", 0x5000, tss0.cr3);
    fresh();
    set_task1(stopped);
    GDT(T0) = gate(TSS1, 0, P | SYS_TASK, 0);
    FAR(T0);
    run_at(jump);
    is("JMP through a task gate", TSS1, str());
    fresh();
    set_task1(stopped);
    GDT(T0) = gate(TSS1, 0, P | DPL(3) | SYS_TASK, 0);
    ring(3);
    FAR(T0 | 3);
    run_at(jump);
    is("a task gate of DPL 3 takes ring 3 to a task of ring 0", CS0, trap.r.cs);
    fresh();
}

static void calls(void)
{
    set_task1(stopped);
    FAR(TSS1);
    run_at(call);
    is("CALL sets NT", NT | 2, trap.r.eflags);
    is("and the back link", TSS0, tss1.link & 0xffff);
    is("the caller stays busy", SYS_TSS32_BUSY, type_of(TSS0));
    is("NT is not in the caller's image", 2, tss0.eflags);
    fresh();
    set_task1(returns);
    FAR(TSS1);
    run_at(call);
    is("IRET with NT goes back", (u32)call_f + 3, trap.r.eip);
    is("to the caller's registers", 0xa1a1a1a1, trap.r.eax);
    is("and flags", 2, trap.r.eflags);
    is("TR is the caller's", TSS0, str());
    is("the callee is available again", SYS_TSS32, type_of(TSS1));
    is("the caller busy", SYS_TSS32_BUSY, type_of(TSS0));
    is("the callee will go on behind its IRET", (u32)returns_f + 1, tss1.eip);
    is("with NT clear", 2, tss1.eflags);
    fresh();
    set_task1(stopped);
    idt[0x40] = gate(TSS1, 0, P | SYS_TASK, 0);
    run_at(int_40);
    is("INT n through a task gate nests", NT | 2, trap.r.eflags);
    is("with the back link", TSS0, tss1.link & 0xffff);
    is("and the return behind INT", (u32)int_40_f, tss0.eip);
    is("and no error code", tss1.esp, trap.r.esp);
    fresh();
    set_task1(stopped);
    idt[GP] = gate(TSS1, 0, P | SYS_TASK, 0);
    in.eax = T0;
    idt[NP] = gate(TSS1, 0, P | SYS_TASK, 0);
    run_at(load_ds);
    is("an exception through a task gate pushes its error code in the new task", tss1.esp - 4,
       trap.r.esp);
    is("the code", T0, *(u32 *)(tss1.esp - 4));
    is("and saves EIP of the instruction", (u32)load_ds_f, tss0.eip);
    fresh();
    tss_16.ip = (u16)(u32)stopped16;
    idt[GP] = idt[NP] = gate(TSS_16, 0, P | SYS_TASK, 0);
    in.eax = T0;
    run_at(load_ds);
    is("into a 16-bit task the error code has 16 bits", 0x7000 - 2, trap.r.esp & 0xffff);
    fresh();
}

static void other_state(void)
{
    set_task1(loads_ldt_entry);
    static u64 ldt1[2];
    ldt1[0] = descriptor(0, 0xfffff, DATA_RW, F_FLAT);
    GDT(T0) = descriptor((u32)ldt1, 15, P | SYS_LDT, 0);
    tss1.ldt = T0;
    FAR(TSS1);
    expect("the new task has its own LDT", jump, DONE);
    set_task1(loads_ldt_entry);
    tss1.ldt = 0;
    FAR(TSS1);
    expect("which may be null", jump, FAULT_ERR(GP, 4));
    set_task1(shows_dr7);
    FAR(TSS1);
    run_at(debugged);
    is("local breakpoints do not go along, global ones do", 0x6aa, trap.r.eax & 0xffff);
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400));
    fresh();
    set_task1(stopped);
    tss1.t = 1;
    FAR(TSS1);
    write_dr6(0);
    run_at(jump);
    is("the T bit of a TSS raises #DB", FAULT(DB), outcome());
    is("before the first instruction", (u32)stopped, trap.r.eip);
    is("with BT in DR6", 0x8000, read_dr6() & 0xe00f);
    write_dr6(0);
    fresh();
    set_task1(v86_task);
    tss1.eflags = VM | IOPL(3) | 2;
    tss1.cs = tss1.ss = 0;
    tss1.ds = 0x1234;
    tss1.esp = 0x7000;
    FAR(TSS1);
    run_at(jump);
    is("a task may be a virtual-8086 one", VM, trap.r.eflags & VM);
    is("with its DS", 0x1234, trap.r.eax & 0xffff);
    fresh();
    set_task1(stopped);
    tss1.cs = CS3;
    tss1.ss = tss1.ds = tss1.es = tss1.gs = DS3;
    FAR(TSS1);
    run_at(jump);
    is("a task of ring 3", CS3, trap.r.cs);
    is("traps to its own SS0:ESP0", tss1.esp0 - 20, trap.sp);
    fresh();
    /* CR3: the new directory maps page_a elsewhere. */
    static u32 dir[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));
    paging_on();
    memcpy(dir, (void *)read_cr3(), 4096);
    memcpy(table, (void *)(dir[0] & ~0xfffu), 4096);
    dir[0] = (u32)table | 7;
    table[(u32)page_a >> 12] = (u32)page_b | 7;
    *(u32 *)page_a = 0xaaaaaaaa;
    *(u32 *)page_b = 0xbbbbbbbb;
    u32 old = read_cr3();
    set_task1(reads_page);
    tss1.cr3 = (u32)dir;
    FAR(TSS1);
    run_at(jump);
    is("with paging on the task brings its CR3", (u32)dir, read_cr3());
    is("and its mapping", 0xbbbbbbbb, trap.r.eax);
    write_cr3(old);
    fresh();
    set_task1(stopped);
    tss1.cr3 = 0x12345000;
    old = read_cr3();
    FAR(TSS1);
    run_at(jump);
    is("with paging off CR3 stays", old, read_cr3());
    fresh();
}

static void sixteen(void)
{
    tss_16.ip = (u16)(u32)stopped16;
    tss_16.ax = 0x1111;
    tss_16.di = 0x7777;
    tss_16.link = 0x5555;
    FAR(TSS_16);
    run_at(jump);
    is("JMP to a 16-bit TSS", TSS_16, str());
    is("runs 16-bit code", CS16, trap.r.cs);
    is("with 16-bit registers", 0x1111, trap.r.eax & 0xffff);
    is("with its SP", 0x7000, trap.r.esp & 0xffff);
    is("marks it busy", SYS_TSS16_BUSY, type_of(TSS_16));
    is("writes no link", 0x5555, tss_16.link);
    fresh();
    tss_16.ip = (u16)(u32)stopped16;
    FAR(TSS_16);
    run_at(call);
    is("CALL of a 16-bit TSS links", TSS0, tss_16.link);
    is("and nests", NT | 2, trap.r.eflags);
    fresh();
    /* From a 16-bit task to a 32-bit one: words are saved. */
    GDT(TSS_16) = descriptor((u32)&tss_16, sizeof tss_16 - 1, P | SYS_TSS16, 0);
    __asm__ volatile("ltr %w0" ::"r"(TSS_16));
    set_task1(stopped);
    FAR(TSS1);
    run_at(jump);
    is("a 16-bit task saves IP", (u16)(u32)jump_f, tss_16.ip);
    is("AX", 0xa1a1, tss_16.ax);
    is("and leaves its link", 0, tss_16.link);
    is("is available again", SYS_TSS16, type_of(TSS_16));
    fresh();
}

/* ---- faults before the switch ---------------------------------------------------------------- */

static void refused(void)
{
    FAR(TSS0);
    expect_at("JMP to a busy TSS is #GP(TSS)", jump, FAULT_ERR(GP, TSS0), jump);
    ring(3);
    FAR(TSS1 | 3);
    expect("JMP to a TSS of DPL 0 from ring 3 is #GP(TSS)", jump, FAULT_ERR(GP, TSS1));
    GDT(TSS1) = descriptor((u32)&tss1, 0x67, P | DPL(3) | SYS_TSS32, 0);
    set_task1(stopped);
    ring(3);
    FAR(TSS1 | 3);
    expect("a TSS of DPL 3 is open to ring 3", jump, DONE);
    FAR(TSS1 | 3);
    expect("RPL counts for a TSS", jump, FAULT_ERR(GP, TSS1));
    GDT(TSS1) = descriptor((u32)&tss1, 0x67, SYS_TSS32, 0);
    FAR(TSS1);
    expect("an absent TSS is #NP(TSS)", jump, FAULT_ERR(NP, TSS1));
    GDT(TSS1) = descriptor((u32)&tss1, 0x66, P | SYS_TSS32, 0);
    FAR(TSS1);
    expect_at("a TSS of less than 104 bytes is #TS(TSS)", jump, FAULT_ERR(TS, TSS1), jump);
    GDT(TSS_16) = descriptor((u32)&tss_16, 0x2a, P | SYS_TSS16, 0);
    FAR(TSS_16);
    expect("a 16-bit TSS of less than 44 bytes is #TS(TSS)", jump, FAULT_ERR(TS, TSS_16));
    ldt[1] = descriptor((u32)&tss1, 0x67, P | SYS_TSS32, 0);
    FAR(8 | 4);
    expect("a TSS in the LDT is #GP(selector)", jump, FAULT_ERR(GP, 8 | 4));
    GDT(T0) = gate(TSS1, 0, SYS_TASK, 0);
    FAR(T0);
    expect("an absent task gate is #NP(gate)", jump, FAULT_ERR(NP, T0));
    GDT(T0) = gate(TSS1, 0, P | SYS_TASK, 0);
    ring(3);
    FAR(T0 | 3);
    expect("a task gate of DPL 0 is #GP(gate) in ring 3", call, FAULT_ERR(GP, T0));
    GDT(T0) = gate(0, 0, P | SYS_TASK, 0);
    FAR(T0);
    expect("a task gate with a null TSS is #GP(0)", call, FAULT_ERR(GP, 0));
    GDT(T0) = gate(DS0, 0, P | SYS_TASK, 0);
    FAR(T0);
    expect("a task gate with no TSS is #GP(selector)", call, FAULT_ERR(GP, DS0));
    GDT(T0) = gate(0x208, 0, P | SYS_TASK, 0);
    FAR(T0);
    expect("a task gate beyond the GDT is #GP(selector)", call, FAULT_ERR(GP, 0x208));
    GDT(T0) = gate(TSS0, 0, P | SYS_TASK, 0);
    FAR(T0);
    expect("a task gate with a busy TSS is #GP(TSS)", call, FAULT_ERR(GP, TSS0));
    idt[0x40] = gate(TSS0, 0, P | SYS_TASK, 0);
    expect_at("INT n to a busy TSS is #GP(TSS)", int_40, FAULT_ERR(GP, TSS0), int_40);
    idt[UD] = gate(TSS0, 0, P | SYS_TASK, 0);
    expect("with EXT for an exception", ud2, FAULT_ERR(GP, TSS0 | EXT));
    idt[0x40] = gate(TSS1, 0, P | SYS_TASK, 0);
    ring(3);
    expect("INT n checks the DPL of a task gate", int_40, FAULT_ERR(GP, 0x40 * 8 + 2));
    tss0.link = TSS1;
    expect_at("IRET to a task that is not busy is #TS(TSS)", nt_iret, FAULT_ERR(TS, TSS1),
              nt_iret_f);
    tss0.link = 0;
    expect("IRET to a null link is #TS(0)", nt_iret, FAULT_ERR(TS, 0));
    tss0.link = DS0;
    expect("IRET to no TSS is #TS(link)", nt_iret, FAULT_ERR(TS, DS0));
    GDT(TSS1) = descriptor((u32)&tss1, 0x67, SYS_TSS32_BUSY, 0);
    tss0.link = TSS1;
    expect("IRET to an absent TSS is #NP(link)", nt_iret, FAULT_ERR(NP, TSS1));
}

/* ---- faults in the new task ------------------------------------------------------------------ */

#define BROKEN(name, change, want)                                                                 \
    do {                                                                                           \
        set_task1(stopped);                                                                        \
        tss1.cs = CS3;                                                                             \
        tss1.ss = DS3;                                                                             \
        tss1.ds = tss1.es = tss1.gs = DS3;                                                         \
        change;                                                                                    \
        FAR(TSS1);                                                                                 \
        run_at(jump);                                                                              \
        is(name, want, outcome());                                                                 \
        is("  .. in the new task", TSS1, str());                                                   \
        is("  .. at its first instruction", tss1.eip, trap.r.eip);                                 \
        fresh();                                                                                   \
    } while (0)
#define SLOT(access) (GDT(T0) = descriptor(0, 0xfffff, access, F_FLAT))

static void broken(void)
{
    BROKEN("LDT that is none is #TS(LDT)", tss1.ldt = DS0, FAULT_ERR(TS, DS0));
    BROKEN("LDT in the LDT is #TS(LDT)", tss1.ldt = LDT | 4, FAULT_ERR(TS, LDT | 4));
    BROKEN("absent LDT is #TS(LDT)", (GDT(T0) = descriptor(0, 7, SYS_LDT, 0), tss1.ldt = T0),
           FAULT_ERR(TS, T0));
    BROKEN("null CS is #TS(CS)", tss1.cs = 0, FAULT_ERR(TS, 0));
    BROKEN("CS that is data is #TS(CS)", tss1.cs = DS3, FAULT_ERR(TS, DS3 & ~3));
    BROKEN("CS of DPL 0 and RPL 3 is #TS(CS)", tss1.cs = CS0 | 3, FAULT_ERR(TS, CS0));
    BROKEN("absent CS is #NP(CS)", (SLOT((CODE_XR & ~P) | DPL(3)), tss1.cs = T0 | 3),
           FAULT_ERR(NP, T0));
    BROKEN("null SS is #TS(SS)", tss1.ss = 0, FAULT_ERR(TS, 0));
    BROKEN("SS of DPL 0 is #TS(SS)", tss1.ss = DS0 | 3, FAULT_ERR(TS, DS0));
    BROKEN("SS of RPL 0 is #TS(SS)", tss1.ss = DS3 & ~3, FAULT_ERR(TS, DS3 & ~3));
    BROKEN("SS beyond the GDT is #TS(SS)", tss1.ss = 0x20b, FAULT_ERR(TS, 0x208));
    BROKEN("absent SS is #SS(SS)", (SLOT((DATA_RW & ~P) | DPL(3)), tss1.ss = T0 | 3),
           FAULT_ERR(SS, T0));
    BROKEN("DS of DPL 0 is #TS(DS)", tss1.ds = DS0, FAULT_ERR(TS, DS0));
    BROKEN("absent ES is #NP(ES)", (SLOT((DATA_RW & ~P) | DPL(3)), tss1.es = T0),
           FAULT_ERR(NP, T0));
    BROKEN("execute-only FS is #TS(FS)", (SLOT(CODE_XO | DPL(3)), tss1.fs = T0), FAULT_ERR(TS, T0));
    BROKEN("GS beyond the GDT is #TS(GS)", tss1.gs = 0x208, FAULT_ERR(TS, 0x208));
    BROKEN("EIP beyond CS is #GP(0)",
           (GDT(T0) = descriptor(0, 0xfff, CODE_XR | DPL(3), F_D), tss1.cs = T0 | 3),
           FAULT_ERR(GP, 0));
}

/* Ring 0 to ring 0, and yet the handler needs a stack while SS is not loaded. */
static void broken_ring0(void)
{
    set_task1(stopped);
    tss1.ss = 0x208;
    FAR(TSS1);
    run_at(jump);
    is("a bad SS of a task of ring 0", FAULT_ERR(TS, 0x208), outcome());
    fresh();
    set_task1(stopped);
    tss1.cs = 0x208;
    FAR(TSS1);
    run_at(jump);
    is("a bad CS of a task of ring 0", FAULT_ERR(TS, 0x208), outcome());
    fresh();
    set_task1(stopped);
    tss1.ds = 0x208;
    FAR(TSS1);
    run_at(jump);
    is("a bad DS of a task of ring 0", FAULT_ERR(TS, 0x208), outcome());
    is("is handled on the task's own stack", tss1.esp - 16, trap.sp);
    fresh();
}

/* What was running cannot be saved. */
static void broken_old(void)
{
    set_task1(stopped);
    GDT(TSS0) = descriptor((u32)&tss0, 0x57, P | SYS_TSS32, 0);
    __asm__ volatile("ltr %w0" ::"r"(TSS0));
    FAR(TSS1);
    expect_at("JMP from a TSS too short to be saved to is #TS(old TSS)", jump, FAULT_ERR(TS, TSS0),
              jump);
}

static void broken_by_exception(void)
{
    set_task1(stopped);
    tss1.cs = CS3;
    tss1.ss = 0x20b;
    idt[UD] = gate(TSS1, 0, P | SYS_TASK, 0);
    run_at(ud2);
    is("a bad SS of a task that an exception enters: EXT is set", FAULT_ERR(TS, 0x208 | EXT),
       outcome());
    fresh();
    set_task1(stopped);
    tss1.cs = CS3;
    tss1.ss = 0x20b;
    idt[0x40] = gate(TSS1, 0, P | SYS_TASK, 0);
    run_at(int_40);
    is("and clear for INT n", FAULT_ERR(TS, 0x208), outcome());
    fresh();
    set_task1(stopped);
    idt[GP] = idt[NP] = gate(TSS1, 0, P | SYS_TASK, 0);
    tss1.cs = CS3;
    tss1.ss = DS3;
    GDT(T0) = descriptor((u32)page_a, 1, DATA_RW | DPL(3), F_D);
    tss1.ss = T0 | 3;
    tss1.esp = 4;
    GDT(T0 + 8) = descriptor(0, 1, DATA_RW & ~P, 0);
    in.eax = T0 + 8;
    run_at(load_ds);
    is("no room for the error code: #SS during #NP is a double fault", FAULT_ERR(DFAULT, 0),
       outcome());
    fresh();
}

void test_main(void)
{
    jumps();
    calls();
    other_state();
    sixteen();
    refused();
    broken();
    broken_ring0();
    broken_old();
    broken_by_exception();
}
