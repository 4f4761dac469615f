/*
 * prot_segments.c: loading, using and inspecting segments: SDM vol. 3A 3.4 and 5.2 to 5.10; vol. 2,
 * MOV, LDS, LAR, LSL, VERR, ARPL, LLDT, LTR.
 *
 * All agree with Bochs 2.7. QEMU 7.2 (TCG) checks neither limits nor the rights of an access
 * (5.3, 5.5).
 */
#include "sys32.h"

CODE32(nothing, "nop")
CODE32(load_ds, "load_ds_f: mov %eax, %ds")
CODE32(use_null, "mov $0, %eax\nmov %eax, %ds\nuse_null_f: movl (%eax), %ecx")
CODE32(load_ss, "load_ss_f: mov %eax, %ss\nnop")
CODE32(pop_es, "push %eax\npop_es_f: pop %es")
CODE32(store_reg, "mov %ds, %eax\nmovw %ds, %cx")
CODE32(store_mem, "mov %ds, (%ebx)\npushl $-1\npopl %eax\npush %ds\npopl %eax")
CODE32(load_cs, ".byte 0x8e, 0xc8") /* mov %eax, %cs */
CODE32(lds_pointer, "pushw %ax\npush %edx\nlds (%esp), %ecx")
CODE32(lss_pointer, "mov %esp, %ebp\npushw %ax\npush %ebp\nlss (%esp), %esp")
CODE32(read8, "movb %fs:(%ebx), %al")
CODE32(read16, "movw %fs:(%ebx), %ax")
CODE32(read32, "movl %fs:(%ebx), %eax")
CODE32(read48, "lgs %fs:(%ebx), %eax")
CODE32(read64, "mov $-1, %eax\nbound %eax, %fs:(%ebx)")
CODE32(write8, "movb %al, %fs:(%ebx)")
CODE32(write32, "movl %eax, %fs:(%ebx)")
CODE32(rmw32, "addl %eax, %fs:(%ebx)")
CODE32(stack_read, "movl (%esp), %eax")
CODE32(stack_push, "pushl %eax")
CODE32(stack_wrap, "mov $0x12340000, %esp\npushl %eax")
CODE32(bp_read, "movl (%ebp), %eax")
CODE32(read_code, "movl %cs:(%ebx), %eax")
CODE32(write_code, "movl %eax, %cs:(%ebx)")
CODE32(inspect, "xor %ebx, %ebx\nlar %eax, %ecx\nsetz %bl\nlsl %eax, %edx\nsetz %bh\n"
                "verr %ax\npushf\npop %esi\nverw %ax\npushf\npop %edi")
CODE32(arpl, "arpl %cx, %ax")
CODE32(load_ldt, "load_ldt_f: lldt %ax")
CODE32(load_tr, "load_tr_f: ltr %ax")
CODE32(ldt_use, "lldt %cx\nmov %eax, %ds")
CODE32(smsw_reg, "smsw %ax")
CODE32(lmsw_clear, "mov $0, %eax\nlmsw %ax\nsmsw %ax")
CODE32(store_gdt, "sgdt (%ebx)")
CODE32(x87_segment, "mov $20, %edx\n1: mov %esi, %ds\nfninit\nfldl (%ebx)\nfchs\n"
                    "mov %eax, %ds\nfnstenv (%ecx)\nnop\ndec %edx\njnz 1b")

/* What loading the selector into DS or SS at `cpl` must do. */
static u32 load_outcome(u32 sel, u32 cpl, u32 stack)
{
    u32 hi = (u32)(GDT(sel) >> 32), type = hi >> 8 & 15, dpl = hi >> 13 & 3, s = hi >> 12 & 1,
        rpl = sel & 3;
    u32 code = type & 8, bit1 = type & 2, conforming = code && type & 4, err = sel & ~3u;
    if (stack) {
        if (rpl != cpl || dpl != cpl || !s || code || !bit1)
            return FAULT_ERR(GP, err);
        return hi & 0x8000 ? DONE : FAULT_ERR(SS, err);
    }
    if (!s || (code && !bit1) || (!conforming && (rpl > dpl || cpl > dpl)))
        return FAULT_ERR(GP, err);
    return hi & 0x8000 ? DONE : FAULT_ERR(NP, err);
}

static u64 some_descriptor(u32 access)
{
    u32 down = (access & 0x1c) == 0x14; /* a stack that works whatever it is */
    return descriptor(0, down ? 0 : 0xfffff, access, F_FLAT);
}

/* 4 levels x 256 access bytes x 4 RPLs, DS and SS. */
static void load_matrix(u32 stack)
{
    for (u32 cpl = 0; cpl < 4; cpl++)
        for (u32 access = 0; access < 256; access++)
            for (u32 rpl = 0; rpl < 4; rpl++) {
                u32 sel = T0 | rpl, want;
                GDT(T0) = some_descriptor(access);
                want = load_outcome(sel, cpl, stack);
                ring(cpl);
                in.eax = sel;
                run_at(stack ? load_ss : load_ds);
                count(want, outcome(), cpl, access << 8 | rpl);
                count(access | (want == DONE), (u32)(GDT(T0) >> 40) & 0xff, cpl, access);
            }
    count_end(stack
                  ? "SS takes only writable data of its own level, and marks it accessed"
                  : "DS takes readable segments by max(CPL, RPL) <= DPL, and marks them accessed");
    fresh();
}

static void loads(void)
{
    load_matrix(0);
    load_matrix(1);
    in.eax = 3;
    expect("a null selector with any RPL loads into DS", load_ds, DONE);
    in.ds = 0;
    expect_at("a null DS faults when it is used", use_null, FAULT_ERR(GP, 0), use_null_f);
    in.eax = 0;
    expect_at("a null SS raises #GP(0)", load_ss, FAULT_ERR(GP, 0), load_ss_f);
    in.eax = 0x200;
    expect_at("a selector beyond the GDT raises #GP(selector)", load_ds, FAULT_ERR(GP, 0x200),
              load_ds_f);
    in.eax = 0x207;
    expect("a selector beyond the LDT raises #GP(selector with TI)", load_ds, FAULT_ERR(GP, 0x204));
    in.eax = 4;
    ldt[0] = descriptor(0, 0xfffff, DATA_RW, F_FLAT);
    expect("entry 0 of the LDT is no null selector", load_ds, DONE);
    in.eax = 4;
    in.ecx = 3;
    ldt[0] = descriptor(0, 0xfffff, DATA_RW, F_FLAT);
    expect("LLDT of a null selector makes the LDT unusable", ldt_use, FAULT_ERR(GP, 4));
    run_at(store_reg);
    is("MOV of a selector to a 32-bit register clears the rest", DS0, trap.r.eax);
    is("to a 16-bit register it does not", 0xc2c20000 | DS0, trap.r.ecx);
    in.ebx = (u32)page_a;
    memset(page_a, 0xff, 4);
    run_at(store_mem);
    is("to memory it writes two bytes", 0xffff0000 | DS0, *(u32 *)page_a);
    is("PUSH of a selector writes two bytes and moves ESP by four", DS0, trap.r.eax & 0xffff);
    fresh();
    in.eax = DS0;
    expect("MOV to CS is #UD", load_cs, FAULT(UD));
    in.eax = T0;
    expect_at("POP ES of a bad selector faults", pop_es, FAULT_ERR(GP, T0), pop_es_f);
    in.eax = T0;
    run_at(pop_es);
    is("POP ES that faults leaves ESP", in.esp - 4, trap.r.esp);
    fresh();
    in.eax = T0;
    run_at(lds_pointer);
    is("LDS of a bad selector leaves its register", 0xc2c2c2c2, trap.r.ecx);
    is("LDS of a bad selector leaves DS", DS0, trap.r.ds);
    fresh();
    in.eax = DS0;
    expect("LSS loads SS and ESP", lss_pointer, DONE);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static u32 inside(u32 limit, u32 down, u32 big, u32 off, u32 size)
{
    u32 last = off + size - 1, top = big ? 0xffffffff : 0xffff;
    if (last < off)
        return 0;
    return down ? off > limit && last <= top : last <= limit;
}

static void limit_case(u32 limit, u32 down, u32 flags, u32 off)
{
    static const struct {
        u8 *code;
        u32 size, vector;
    } kind[] = {{read8, 1, 0},  {read16, 2, 0}, {read32, 4, 0}, {read48, 6, 0},
                {read64, 8, 0}, {write8, 1, 0}, {rmw32, 4, 0}};
    u32 effective = flags & F_G ? limit << 12 | 0xfff : limit;
    for (u32 k = 0; k < sizeof kind / sizeof kind[0]; k++) {
        memset(page_a, 0, 64);
        memset(page_a + 4, 0x7f, 4); /* BOUND: -1 is not below 0 .. */
        memset(page_a, 0x80, 4);
        GDT(T0) = descriptor((u32)page_a - off, limit, down ? DATA_DOWN : DATA_RW, flags);
        ring(0);
        in.fs = T0;
        in.ebx = off;
        run_at(kind[k].code);
        u32 ok = inside(effective, down, flags & F_D, off, kind[k].size);
        /* LGS reads a selector of 0 or 0x7f7f: beyond the GDT. */
        u32 want = !ok ? FAULT_ERR(GP, 0) : kind[k].code == read48 ? FAULT_ERR(GP, 0x7f7c) : DONE;
        count(want, outcome(), off, limit << 8 | flags << 4 | k);
    }
}

static void limits(void)
{
    static const u32 near[] = {0, 1, 0x7f, 0xfff, 0x1000, 0xfffe, 0xffff};
    for (u32 i = 0; i < sizeof near / sizeof near[0]; i++)
        for (u32 d = 0; d < 10; d++)
            for (u32 big = 0; big <= F_D; big += F_D) {
                limit_case(near[i], 0, big, near[i] + 3 - d);
                limit_case(near[i], 1, big, near[i] + 3 - d);
                limit_case(near[i], 0, big | F_G, (near[i] << 12 | 0xfff) + 3 - d);
                limit_case(near[i] >> 5, 1, big | F_G, (near[i] >> 5 << 12 | 0xfff) + 3 - d);
            }
    count_end("every byte of an operand must lie inside the limit, above it when the segment "
              "expands down");
    for (u32 d = 0; d < 9; d++) {
        limit_case(0x100, 1, 0, 0xffff - d);
        limit_case(0x100, 1, F_D, 0xffff - d);
    }
    count_end("an expand-down segment ends at 64 KiB unless its B bit is set");
    fresh();
}

static void rights(void)
{
    GDT(T0) = descriptor(0, 0xfffff, DATA_RO, F_FLAT);
    in.fs = T0;
    in.ebx = (u32)page_a;
    expect("a read-only segment can be read", read32, DONE);
    GDT(T0) = descriptor(0, 0xfffff, DATA_RO, F_FLAT);
    in.fs = T0;
    in.ebx = (u32)page_a;
    expect("a write to a read-only segment is #GP(0)", write32, FAULT_ERR(GP, 0));
    GDT(T0) = descriptor(0, 0xfffff, DATA_RO, F_FLAT);
    in.fs = T0;
    in.ebx = (u32)page_a;
    expect("a read-modify-write of a read-only segment is #GP(0)", rmw32, FAULT_ERR(GP, 0));
    in.fs = CS0;
    in.ebx = (u32)page_a;
    expect("a readable code segment in FS can be read", read32, DONE);
    in.fs = CS0;
    in.ebx = (u32)page_a;
    expect("a code segment in FS cannot be written", write8, FAULT_ERR(GP, 0));
    in.ebx = (u32)page_a;
    expect("CS can be read when it is readable", read_code, DONE);
    in.ebx = (u32)page_a;
    expect("CS cannot be written", write_code, FAULT_ERR(GP, 0));
    GDT(T0) = descriptor(0, 0xfffff, CODE_XO, F_FLAT);
    in.cs = T0;
    in.ebx = (u32)page_a;
    expect("an execute-only CS cannot be read", read_code, FAULT_ERR(GP, 0));
    in.fs = 0;
    in.ebx = (u32)page_a;
    expect("a null FS is #GP(0)", read8, FAULT_ERR(GP, 0));

    ring(3);
    GDT(T0) = descriptor((u32)page_a, 0xff, DATA_RW | DPL(3), F_D);
    in.ss = T0 | 3;
    in.esp = 0xfc;
    expect("a stack access up to the limit is fine", stack_read, DONE);
    ring(3);
    GDT(T0) = descriptor((u32)page_a, 0xff, DATA_RW | DPL(3), F_D);
    in.ss = T0 | 3;
    in.esp = 0xfd;
    expect("a stack access beyond the limit is #SS(0)", stack_read, FAULT_ERR(SS, 0));
    ring(3);
    GDT(T0) = descriptor((u32)page_a, 0xff, DATA_RW | DPL(3), F_D);
    in.ss = T0 | 3;
    in.ebp = 0x100;
    expect("EBP addresses through SS", bp_read, FAULT_ERR(SS, 0));
    ring(3);
    GDT(T0) = descriptor((u32)page_a, 0xff, DATA_RW | DPL(3), F_D);
    in.ss = T0 | 3;
    in.esp = 2;
    run_at(stack_push);
    is("a push below a stack of offset 2 wraps out of the limit: #SS(0)", FAULT_ERR(SS, 0),
       outcome());
    is("a push that faults leaves ESP", 2, trap.r.esp);
    fresh();
    ring(3);
    GDT(T0) = descriptor((u32)page_a, 0xffff, DATA_RW | DPL(3), 0);
    in.ss = T0 | 3;
    run_at(stack_wrap);
    is("a push in a 16-bit stack at 0 wraps to 0xfffc", DONE, outcome());
    is("and keeps the upper half of ESP", 0x1234fffc, trap.r.esp);
    fresh();
}

/* ---- LAR, LSL, VERR, VERW, ARPL -------------------------------------------------------------- */

static u32 bits(u32 cpl, u32 sel)
{
    u32 hi = (u32)(GDT(sel) >> 32), type = hi >> 8 & 15, dpl = hi >> 13 & 3, s = hi >> 12 & 1;
    u32 conforming = s && (type & 12) == 12;
    u32 seen = conforming || (dpl >= cpl && dpl >= (sel & 3));
    u32 lar = s ? 1 : 0x1a3e >> type & 1; /* TSSs, LDT, call and task gates */
    u32 lsl = s ? 1 : 0x0a0e >> type & 1;
    u32 verr = s && (!(type & 8) || type & 2), verw = s && !(type & 8) && type & 2;
    return seen ? lar | lsl << 1 | verr << 2 | verw << 3 : 0;
}

static void inspection(void)
{
    for (u32 cpl = 0; cpl < 4; cpl++)
        for (u32 access = 0; access < 256; access++)
            for (u32 rpl = 0; rpl < 4; rpl++) {
                GDT(T0) = descriptor(0x12345678, 0xabcde, access, F_G | 1);
                ring(cpl);
                in.eax = T0 | rpl;
                in.ecx = in.edx = 0x5a5a5a5a;
                run_at(inspect);
                u32 want = bits(cpl, T0 | rpl), where = access << 8 | rpl;
                u32 got = (trap.r.ebx & 1) | (trap.r.ebx >> 8 & 1) << 1 | !!(trap.r.esi & ZF) << 2 |
                          !!(trap.r.edi & ZF) << 3;
                count(want, got, cpl, where);
                /* Bits 19:16 are undefined by the manual (Intel clears them, AMD stores the
                 * limit's). */
                count(want & 1 ? (u32)(GDT(T0) >> 32) & 0xf0ff00
                               : 0x5a5a5a5a & ~(want & 1 ? 0xf0000u : 0),
                      want & 1 ? trap.r.ecx & ~0xf0000u : trap.r.ecx, cpl, where);
                count(want & 2 ? 0xabcdefff : 0x5a5a5a5a, trap.r.edx, cpl, where);
            }
    count_end("LAR, LSL, VERR and VERW see what type and privilege allow, and write only then");
    fresh();
    in.eax = 3;
    run_at(inspect);
    is("a null selector is invisible", 0,
       (trap.r.ebx & 0x101) | (trap.r.esi & ZF) | (trap.r.edi & ZF));
    in.eax = 0xfff8;
    run_at(inspect);
    is("so is one beyond the GDT", 0, (trap.r.ebx & 0x101) | (trap.r.esi & ZF) | (trap.r.edi & ZF));
    for (u32 a = 0; a < 4; a++)
        for (u32 b = 0; b < 4; b++) {
            in.eax = 0xffff1230 | a;
            in.ecx = 0x4450 | b;
            run_at(arpl);
            count(0xffff1230 | (a < b ? b : a), trap.r.eax, a, b);
            count(a < b ? ZF : 0, trap.r.eflags & ZF, a, b);
        }
    count_end("ARPL raises an RPL and says so in ZF");
    fresh();
}

/* ---- system registers ------------------------------------------------------------------------ */

static void system_registers(void)
{
    ring(3);
    in.eax = LDT;
    expect("LLDT at CPL 3 is #GP(0)", load_ldt, FAULT_ERR(GP, 0));
    in.eax = LDT | 4;
    expect("LLDT of an LDT selector is #GP(selector)", load_ldt, FAULT_ERR(GP, LDT | 4));
    in.eax = DS0;
    expect("LLDT of a data segment is #GP(selector)", load_ldt, FAULT_ERR(GP, DS0));
    GDT(T0) = descriptor(0, 0xff, SYS_LDT, 0);
    in.eax = T0;
    expect("LLDT of an absent LDT is #NP(selector)", load_ldt, FAULT_ERR(NP, T0));
    in.eax = 0x3ff8;
    expect("LLDT beyond the GDT is #GP(selector)", load_ldt, FAULT_ERR(GP, 0x3ff8));
    ring(3);
    in.eax = TSS1;
    expect("LTR at CPL 3 is #GP(0)", load_tr, FAULT_ERR(GP, 0));
    in.eax = 0;
    expect("LTR of a null selector is #GP(0)", load_tr, FAULT_ERR(GP, 0));
    in.eax = TSS0;
    expect("LTR of a busy TSS is #GP(selector)", load_tr, FAULT_ERR(GP, TSS0));
    GDT(T0) = descriptor(0, 0x67, SYS_TSS32, 0);
    in.eax = T0;
    expect("LTR of an absent TSS is #NP(selector)", load_tr, FAULT_ERR(NP, T0));
    in.eax = TSS1;
    run_at(load_tr);
    is("LTR marks the TSS busy", P | SYS_TSS32_BUSY, (u32)(GDT(TSS1) >> 40) & 0xff);
    fresh();
    in.eax = TSS_16;
    expect("LTR takes a 16-bit TSS", load_tr, DONE);
    ring(3);
    run_at(smsw_reg);
    is("SMSW reads CR0 at CPL 3", 0xa1a10031, (trap.r.eax & 0xffff) | 0xa1a10000);
    fresh();
    run_at(lmsw_clear);
    is("LMSW does not clear PE", 1, trap.r.eax & 1);
    fresh();
    ring(3);
    in.ebx = (u32)page_a;
    run_at(store_gdt);
    is("SGDT works at CPL 3 without UMIP: the limit", sizeof gdt - 1, *(u16 *)page_a);
    is("and the base", (u32)gdt,
       page_a[2] | page_a[3] << 8 | page_a[4] << 16 | (u32)page_a[5] << 24);
    fresh();
}

/* FDS is the selector that the operand was reached by, whatever DS holds since. */
static void x87_operand(void)
{
    in.esi = DS0;
    in.eax = DS3;
    in.ebx = (u32)page_a;
    in.ecx = (u32)page_b;
    run_at(x87_segment);
    is("the x87 operand pointer is an offset", (u32)page_a, *(u32 *)(page_b + 20));
    is("and has the selector of its time", DS0, *(u16 *)(page_b + 24));
    fresh();
}

void test_main(void)
{
    expect("the harness runs code at CPL 0", nothing, DONE);
    ring(3);
    expect("the harness runs code at CPL 3", nothing, DONE);
    loads();
    limits();
    rights();
    inspection();
    system_registers();
    x87_operand();
}
