/*
 * prot_faults.c: what an instruction that faults leaves behind (nothing), and which of several
 * faults it raises: SDM vol. 3A 6.5, 6.9, 4.7; vol. 2, the pages of the instructions.
 *
 * All agree with Bochs 2.7, but that its SGDT writes the limit before it faults on the base.
 * QEMU 7.2 (TCG) reports locked read-modify-writes across pages as reads, checks no limits and no
 * alignment.
 */
#include "sys32.h"

#define PF_P 1
#define PF_W 2
#define PF_U 4
#define END (page_b)

CODE32(read32, "movl (%ebx), %eax")
CODE32(write32, "movl %eax, (%ebx)")
CODE32(add_mem, "addl %eax, (%ebx)")
CODE32(xchg_mem, "xchgl %eax, (%ebx)")
CODE32(cmpxchg_mem, "cmpxchgl %ecx, (%ebx)")
CODE32(cmpxchg8b_mem, "cmpxchg8b (%ebx)")
CODE32(xadd_mem, "xaddl %eax, (%ebx)")
CODE32(bts_mem, "btsl %eax, (%ebx)")
CODE32(inc_flags, "stc\nincl (%ebx)")
CODE32(pop_mem, "popl (%ebx)")
CODE32(pusha_at, "mov %ebx, %esp\npusha_at_f: pushal")
CODE32(popa_at, "mov %ebx, %esp\npopa_at_f: popal")
CODE32(enter_at, "mov %ebx, %esp\nenter_at_f: enter $16, $0")
CODE32(leave_at, "mov %ebx, %ebp\nleave_at_f: leave")
CODE32(call_at, "mov %ebx, %esp\ncall_at_f: call read32")
CODE32(ret_at, "mov %ebx, %esp\nret_at_f: ret")
CODE32(movs_cross,
       "cld\nmov $page_a, %esi\nmov $page_b - 8, %edi\nmov $4, %ecx\nmovs_cross_f: rep movsl")
CODE32(stos_cross, "cld\nmov $page_b - 6, %edi\nmov $5, %ecx\nstos_cross_f: rep stosl")
CODE32(cmps_cross,
       "cld\nmov $page_a, %esi\nmov $page_a, %edi\nmov $8192, %ecx\ncmps_cross_f: repe cmpsb")
CODE32(lods_null, "mov $0, %ecx\nmov $page_b, %esi\nrep lodsb")
CODE32(div_mem, "xor %edx, %edx\ndivl (%ebx)")
CODE32(lss_mem, "lss (%ebx), %ecx")
CODE32(lidt_mem, "lidt (%ebx)")
CODE32(bound_mem, "bound %eax, (%ebx)")
CODE32(sgdt_mem, "sgdt (%ebx)")
CODE32(load_fs, "mov %ecx, %fs\nmovl %fs:(%ebx), %eax")
CODE32(write_fs, "mov %ecx, %fs\nmovl %eax, %fs:(%ebx)")
CODE32(load_ds, "mov %eax, %ds")
CODE32(into_page, "jmp *%ebx")
CODE32(out_mem, "mov %ebx, %esi\nmovw $0xed, %dx\noutsb")
CODE32(ins_mem, "mov %ebx, %edi\nmovw $0x80, %dx\ninsb")

static void setup(void)
{
    paging_on();
    memset(page_a, 0x11, 4096);
    memset(page_b, 0x22, 4096);
}

static u32 run_with(const void *code, const void *at)
{
    in.ebx = (u32)at;
    run_at(code);
    return outcome();
}

/* ---- nothing is left behind ------------------------------------------------------------------ */

static void untouched(const char *name)
{
    u32 bad = 0;
    for (u32 i = 0; i < 4096; i++)
        bad += page_a[i] != 0x11;
    is(name, 0, bad);
}

static void restart(void)
{
    static const struct {
        const char *name;
        u8 *code;
        u32 offset, error;
    } row[] = {
        {"MOV", write32, 2, PF_W},
        {"ADD", add_mem, 2, PF_W},
        {"XCHG", xchg_mem, 2, PF_W},
        {"CMPXCHG", cmpxchg_mem, 2, PF_W},
        {"CMPXCHG8B", cmpxchg8b_mem, 4, PF_W},
        {"XADD", xadd_mem, 2, PF_W},
        {"POP", pop_mem, 2, PF_W},
    };
    setup();
    page_set(page_b, 0);
    for (u32 i = 0; i < sizeof row / sizeof row[0]; i++) {
        if (row[i].code == cmpxchg8b_mem && !cpu_has(HAS_CX8))
            continue;
        u32 got = run_with(row[i].code, END - row[i].offset), cr2 = read_cr2();
        in.ebx = 0xb4b4b4b4;
        trap.r.ebx = 0xb4b4b4b4;
        is(row[i].name, FAULT_ERR(PAGE, row[i].error), got);
        is("  CR2 is the first byte of the second page", (u32)page_b, cr2);
        is_unchanged("  no register changed");
        is("  nor ESP", in.esp, trap.r.esp);
        untouched("  nor the first page");
    }
    run_with(inc_flags, END - 2);
    is("INC that faults leaves CF", CF, trap.r.eflags & (CF | ZF | SF | OF));
    in.eax = 32 * 1024;
    run_with(bts_mem, END - 4096);
    is("BTS reaches through its bit offset", (u32)END, read_cr2());
    in.eax = 0xa1a1a1a1;
    run_with(read32, END - 3);
    is("a load across the edge is a read fault", FAULT_ERR(PAGE, 0), outcome());
    is("  and EAX stays", 0xa1a1a1a1, trap.r.eax);
    fresh();
}

/* The stack is page_b's end or beginning; the faults come at CPL 3, on the stack of the TSS. */
static void stack_case(const char *name, const void *code, u32 esp, const void *at, u32 want)
{
    ring(3);
    in.ebx = esp;
    in.ebp = esp;
    run_at(code);
    is(name, want, outcome());
    is("  at the instruction", (u32)at, trap.r.eip);
    is("  ESP is as it was", esp, trap.r.esp);
}

static void stacks(void)
{
    setup();
    page_set(page_a, 0);
    u32 low = (u32)page_b, missing = FAULT_ERR(PAGE, PF_U),
        missing_w = FAULT_ERR(PAGE, PF_U | PF_W);
    stack_case("PUSHA that runs into a missing page", pusha_at, low + 16, pusha_at_f, missing_w);
    stack_case("ENTER whose frame is there but whose locals are not", enter_at, low + 8, enter_at_f,
               missing_w);
    is("  EBP is as it was", low + 8, trap.r.ebp);
    stack_case("CALL with no stack", call_at, low, call_at_f, missing_w);
    stack_case("CALL across the edge", call_at, low + 2, call_at_f, missing_w);
    page_set(page_a, PTE_P | PTE_W | PTE_U);
    page_set(page_b, 0);
    stack_case("POPA that runs into a missing page", popa_at, low - 16, popa_at_f, missing);
    is("  EDI is as it was", 0x77777777, trap.r.edi);
    stack_case("RET with no stack", ret_at, low, ret_at_f, missing);
    ring(3);
    in.ebx = low;
    run_at(leave_at);
    is("LEAVE with no frame", missing, outcome());
    is("  ESP is as it was", in.esp, trap.r.esp);
    fresh();
}

static void strings(void)
{
    setup();
    page_set(page_b, 0);
    run_at(movs_cross);
    is("REP MOVS stops at the missing page", FAULT_ERR(PAGE, PF_W), outcome());
    is("  with what is left in ECX", 2, trap.r.ecx);
    is("  EDI at the fault", (u32)page_b, trap.r.edi);
    is("  ESI beside it", (u32)page_a + 8, trap.r.esi);
    is("  EIP at the instruction", (u32)movs_cross_f, trap.r.eip);
    run_at(stos_cross);
    is("REP STOS writes no part of an element that crosses", 4, trap.r.ecx);
    is("  EDI", (u32)page_b - 2, trap.r.edi);
    is("  the two bytes before the edge", 0x1111, *(u16 *)(page_b - 2));
    run_at(cmps_cross);
    is("REPE CMPS stops at the missing page", (u32)page_b, trap.r.edi);
    is("  with the count", 4096, trap.r.ecx);
    run_at(lods_null);
    is("REP LODS of no element touches nothing", DONE, outcome());
    fresh();
}

/* ---- which fault ----------------------------------------------------------------------------- */

static void order(void)
{
    setup();
    page_set(page_b, 0);
    GDT(T0) = descriptor((u32)page_a, 0xfff, DATA_RW, F_D);
    in.ecx = T0;
    is("the limit comes before the page", FAULT_ERR(GP, 0), run_with(load_fs, (void *)0x1000));
    GDT(T0) = descriptor((u32)page_a, 0x1001, DATA_RW, F_D);
    is("even where only the last byte is beyond it", FAULT_ERR(GP, 0),
       run_with(load_fs, (void *)0xfff));
    GDT(T0) = descriptor((u32)page_a, 0x1002, DATA_RW, F_D);
    is("inside it the page counts", FAULT_ERR(PAGE, 0), run_with(load_fs, (void *)0xfff));
    GDT(T0) = descriptor(0, 0xfffff, DATA_RO, F_FLAT);
    is("the type comes before the page", FAULT_ERR(GP, 0), run_with(write_fs, page_b));
    in.eax = 0;
    is("#DE is raised when the divisor has been read", FAULT_ERR(PAGE, 0),
       run_with(div_mem, page_b));
    is("LSS faults before SS is loaded", FAULT_ERR(PAGE, 0), run_with(lss_mem, page_b - 4));
    is("  SS", DS0, trap.r.ss);
    is("  ECX", T0, trap.r.ecx);
    is("LIDT faults with IDTR unchanged", FAULT_ERR(PAGE, 0), run_with(lidt_mem, page_b - 2));
    is("SGDT writes all or nothing", FAULT_ERR(PAGE, PF_W), run_with(sgdt_mem, page_b - 2));
    untouched("  (nothing)");
    is("BOUND reads both bounds first", FAULT_ERR(PAGE, 0), run_with(bound_mem, page_b - 4));
    ring(3);
    is("a jump into a missing page is a fetch fault", FAULT_ERR(PAGE, PF_U),
       run_with(into_page, page_b));
    is("  with EIP in the page", (u32)page_b, trap.r.eip);
    ring(0);
    page_set(page_a, PTE_P | PTE_U);
    write_cr0(read_cr0() | CR0_WP);
    is("a read-modify-write of a read-only page is a write fault", FAULT_ERR(PAGE, PF_P | PF_W),
       run_with(add_mem, page_a));
    is("so is a CMPXCHG that does not match", FAULT_ERR(PAGE, PF_P | PF_W),
       run_with(cmpxchg_mem, page_a));
    is("and a plain read is fine", DONE, run_with(read32, page_a));
    ring(3);
    is("OUTS asks the port before it reads memory", FAULT_ERR(GP, 0), run_with(out_mem, page_b));
    is("INS asks the port before it checks memory", FAULT_ERR(GP, 0), run_with(ins_mem, page_b));
    fresh();
}

/* ---- descriptors in missing pages ------------------------------------------------------------ */

static void descriptors(void)
{
    setup();
    u32 at = (u32)page_b;
    GDT(LDT) = descriptor(at - 8, 15, P | SYS_LDT, 0);
    *(u64 *)(page_b - 8) = descriptor(0, 0xfffff, DATA_RW, F_FLAT);
    __asm__ volatile("lldt %w0" ::"r"(LDT));
    page_set(page_b, 0);
    in.eax = 8 | 4;
    run_at(load_ds);
    is("a descriptor in a missing page is #PF of a supervisor read", FAULT_ERR(PAGE, 0), outcome());
    is("  at its address", at, read_cr2());
    ring(3);
    in.eax = 8 | 4 | 3;
    run_at(load_ds);
    is("at CPL 3 too: the access is the system's", FAULT_ERR(PAGE, 0), outcome());
    ring(0);
    page_set(page_b, PTE_P);
    *(u64 *)page_b = descriptor(0, 0xfffff, (DATA_RW & ~1) | DPL(3), F_FLAT);
    write_cr0(read_cr0() | CR0_WP);
    in.eax = 8 | 4;
    run_at(load_ds);
    is("the accessed bit of a read-only GDT page cannot be set: #PF", FAULT_ERR(PAGE, PF_P | PF_W),
       outcome());
    is("  and DS is not loaded", DS0, trap.r.ds);
    page_set(page_b, PTE_P | PTE_W);
    *(u64 *)page_b |= (u64)1 << 40;
    page_set(page_b, PTE_P);
    in.eax = 8 | 4;
    run_at(load_ds);
    is("one that is set needs no write", DONE, outcome());
    fresh();
}

static void user_pages(void)
{
    setup();
    page_set(page_a, PTE_P | PTE_W);
    ring(3);
    is("a supervisor page read at CPL 3", FAULT_ERR(PAGE, PF_P | PF_U), run_with(read32, page_a));
    is("written", FAULT_ERR(PAGE, PF_P | PF_U | PF_W), run_with(write32, page_a));
    is("executed", FAULT_ERR(PAGE, PF_P | PF_U), run_with(into_page, page_a));
    for (u32 cpl = 0; cpl < 3; cpl++) {
        ring(cpl);
        count(DONE, run_with(read32, page_a), cpl, 0);
    }
    count_end("CPL 0, 1 and 2 are the supervisor");
    page_set(page_a, PTE_P | PTE_U);
    ring(1);
    is("WP clear lets the supervisor write read-only pages", DONE, run_with(write32, page_a));
    write_cr0(read_cr0() | CR0_WP);
    ring(1);
    is("WP set does not", FAULT_ERR(PAGE, PF_P | PF_W), run_with(write32, page_a));
    write_cr0(read_cr0() | CR0_AM);
    ring(3);
    in.eflags |= AC;
    is("AM and AC check alignment at CPL 3", FAULT_ERR(ALIGN, 0), run_with(read32, page_b + 1));
    ring(0);
    in.eflags |= AC;
    is("and not at CPL 0", DONE, run_with(read32, page_b + 1));
    fresh();
}

void test_main(void)
{
    restart();
    stacks();
    strings();
    order();
    descriptors();
    user_pages();
}
