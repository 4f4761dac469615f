/*
 * prot_transfer.c: far JMP, CALL and RET, directly and through call gates: SDM vol. 3A 5.8;
 * vol. 2, CALL, JMP, RET.
 *
 * All agree with Bochs 2.7. QEMU 7.2 (TCG) sets no accessed bit of code segments, raises #GP for
 * absent code behind a gate, checks the limit neither of stacks nor of gates and RETF, and raises
 * #TS for an absent inner SS and #NP for an absent outer one: CALL's and RET's pages say else.
 */
#include "sys32.h"

#define PTR(sym) ".long " #sym "\n.word "
static struct {
    u32 off;
    u16 sel;
} __attribute__((packed)) far_at;
#define FAR(sel_, off_) (far_at.sel = (u16)(sel_), far_at.off = (u32)(off_), in.ebx = (u32)&far_at)

CODE32(jump, "ljmp *(%ebx)")
CODE32(call, "lcall *(%ebx)")
CODE32(call_params, "push $0x11111111\npush $0x22222222\npush $0x33333333\nlcall *(%ebx)")
CODE32(call16_params, "pushw $0x1111\npushw $0x2222\nlcall *(%ebx)")
CODE32(jump16, "ljmpw *(%ebx)")
CODE32(call16, "lcallw *(%ebx)")
CODE32(target, "nop")
CODE16(target16, "nop")
CODE32(target_returns, "lret $12")
CODE32(ret, "push %ecx\npush %edx\nret_f: lret")
CODE32(ret_outer, "push %esi\npush %edi\npush %ecx\npush %edx\nret_outer_f: lret")
CODE32(ret_outer_n, "push %esi\npush %edi\npush $0\npush $0\npush %ecx\npush %edx\nlret $8")
CODE32(ret16, "pushw %cx\npushw %dx\nlretw")

/* ---- direct ---------------------------------------------------------------------------------- */

static u32 direct_outcome(u32 access, u32 cpl, u32 rpl)
{
    u32 type = access & 15, dpl = access >> 5 & 3;
    if (!(access & 0x10))
        return FAULT_ERR(GP, T0); /* no system type is tried here */
    if (!(type & 8) || (type & 4 ? dpl > cpl : dpl != cpl || rpl > cpl))
        return FAULT_ERR(GP, T0);
    return access & P ? DONE : FAULT_ERR(NP, T0);
}

static void direct(void)
{
    for (u32 cpl = 0; cpl < 4; cpl++)
        for (u32 access = 0; access < 256; access++)
            for (u32 rpl = 0; rpl < 4; rpl++)
                for (u32 is_call = 0; is_call < 2; is_call++) {
                    if (!(access & 0x10))
                        continue;
                    GDT(T0) = descriptor(0, 0xfffff, access, F_FLAT);
                    ring(cpl);
                    FAR(T0 | rpl, target);
                    run_at(is_call ? call : jump);
                    u32 want = direct_outcome(access, cpl, rpl);
                    count(want, outcome(), cpl, access << 8 | rpl << 4 | is_call);
                    if (want == DONE) { /* RPL of CS is the CPL */
                        count(T0 | cpl, trap.r.cs, cpl, access << 8 | rpl << 4 | is_call);
                        count(access | 1, (u32)(GDT(T0) >> 40) & 0xff, cpl, access);
                    }
                }
    count_end("JMP and CALL reach code of their own level, conforming code of any lower one");
    fresh();
    FAR(3, target);
    expect_at("JMP to a null selector is #GP(0)", jump, FAULT_ERR(GP, 0), jump);
    FAR(0x208, target);
    expect("JMP beyond the GDT is #GP(selector)", jump, FAULT_ERR(GP, 0x208));
    GDT(T0) = descriptor(0, (u32)target - 1, CODE_XR, F_D);
    FAR(T0, target);
    expect_at("JMP beyond the target's limit is #GP(0) of the JMP", jump, FAULT_ERR(GP, 0), jump);
    GDT(T0) = descriptor(0, 0xfffff, CODE_XR & ~P, F_FLAT);
    FAR(T0, 0xffffffff);
    expect("an absent target is found before its limit", call, FAULT_ERR(NP, T0));
    FAR(CS0, target);
    run_at(call);
    is("CALL pushes EIP", (u32)call + 2, *(u32 *)(in.esp - 8));
    is("and CS", CS0, *(u32 *)(in.esp - 4) & 0xffff);
    fresh();
    FAR(CS16, target16);
    far_at.off = (u32)target16 | (u32)CS16 << 16;
    run_at(jump16);
    is("a 16-bit JMP takes a 16-bit offset", (u32)target16 + 3, trap.r.eip);
    fresh();
    GDT(LDT) = descriptor((u32)ldt, 7, P | SYS_LDT, 0);
    GDT(T0) = descriptor(0, 0xff, P | SYS_INT32, 0);
    FAR(T0, target);
    expect("JMP to an interrupt gate is #GP(selector)", jump, FAULT_ERR(GP, T0));
    FAR(LDT, target);
    expect("JMP to an LDT is #GP(selector)", jump, FAULT_ERR(GP, LDT));
}

/* ---- call gates ------------------------------------------------------------------------------ */

static u32 gate_outcome(u32 gate_access, u32 code_access, u32 cpl, u32 rpl, u32 is_call)
{
    u32 gate_dpl = gate_access >> 5 & 3, dpl = code_access >> 5 & 3, conforming = code_access & 4;
    if (gate_dpl < cpl || gate_dpl < rpl)
        return FAULT_ERR(GP, T0);
    if (!(gate_access & P))
        return FAULT_ERR(NP, T0);
    if (!(code_access & 8) || dpl > cpl || (!is_call && !conforming && dpl != cpl))
        return FAULT_ERR(GP, T0 + 8);
    return code_access & P ? DONE : FAULT_ERR(NP, T0 + 8);
}

static void gate_matrix(void)
{
    static const u8 codes[] = {CODE_XR, CODE_CONF, CODE_XR & ~P, DATA_RW};
    for (u32 cpl = 0; cpl < 4; cpl++)
        for (u32 i = 0; i < 4 * 4 * 4 * 2 * 4 * 2; i++) {
            u32 rpl = i & 3, gate_dpl = i >> 2 & 3, dpl = i >> 4 & 3, present = i >> 6 & 1;
            u32 code = codes[i >> 7 & 3] | DPL(dpl), is_call = i >> 9 & 1;
            u32 gate_access = (present ? P : 0) | DPL(gate_dpl) | SYS_CALL32;
            GDT(T0) = gate(T0 + 8 + 3, target, gate_access, 0);
            GDT(T0 + 8) = descriptor(0, 0xfffff, code, F_FLAT);
            ring(cpl);
            FAR(T0 | rpl, 0xdeadbeef);
            run_at(is_call ? call : jump);
            u32 want = gate_outcome(gate_access, code, cpl, rpl, is_call);
            count(want, outcome(), cpl, i);
            if (want == DONE)
                count((T0 + 8) | (code & 4 ? cpl : dpl), trap.r.cs, cpl, i);
        }
    count_end("call gates: gate before code, privilege before presence; only CALL goes inwards");
    fresh();
}

/* Ring 3 calls a gate to ring 0 whose target is `snippet`; 32-bit, `params` double words. */
static void prepare_gate(u32 type, u32 params, const void *snippet)
{
    GDT(T0) = gate(CS0, snippet, P | DPL(3) | type, params);
    ring(3);
    FAR(T0 | 3, 0);
}

static void inner_calls(void)
{
    u32 top = tss0.esp0;
    prepare_gate(SYS_CALL32, 3, target);
    run_at(call_params);
    u32 old = in.esp - 12;
    const u32 *f = (const u32 *)(top - 8 * 0);
    is("an inner call ends in ring 0", CS0, trap.r.cs);
    is("on the stack of the TSS, eight slots lower with three parameters", top - 28, trap.r.esp);
    is("SS of the caller lies on top", DS3, f[-1] & 0xffff);
    is("then its ESP", old, f[-2]);
    is("then the parameters in their order", 0x11111111, f[-3]);
    is("(the last one lowest)", 0x33333333, f[-5]);
    is("then CS", CS3, f[-6] & 0xffff);
    is("then EIP", (u32)call_params + 17, f[-7]);
    is("SS is the TSS's", DS0, trap.r.ss);
    fresh();
    prepare_gate(SYS_CALL32, 3, target_returns);
    run_at(call_params);
    is("RETF n returns outwards", CS3, trap.r.cs);
    is("and releases the parameters on both stacks", in.esp, trap.r.esp);
    fresh();
    GDT(T0) = gate(CS0, 0, P | DPL(3) | SYS_CALL16, 2);
    GDT(CS0) = descriptor((u32)target, 0xffff, CODE_XR, F_D);
    ring(3);
    FAR(T0 | 3, 0);
    idt[DONE] = gate(T0 + 8, stub(DONE), P | DPL(3) | SYS_INT32, 0);
    GDT(T0 + 8) = descriptor(0, 0xfffff, CODE_XR, F_FLAT);
    run_at(call16_params);
    const u16 *h = (const u16 *)top;
    is("a 16-bit gate pushes words: SS", DS3, h[-1]);
    is("SP", (u16)(in.esp - 4), h[-2]);
    is("parameters", 0x11112222, (u32)h[-3] << 16 | h[-4]);
    is("CS", CS3, h[-5]);
    is("IP", (u16)((u32)call16_params + 10), h[-6]);
    fresh();
}

static void inner_faults(void)
{
    prepare_gate(SYS_CALL32, 0, target);
    tss0.ss0 = 0;
    expect_at("a null SS0 stops the #TS that it raises: #DF", call, FAULT_ERR(DFAULT, 0), call);
#define INNER(name, want)                                                                          \
    do {                                                                                           \
        run_at(call);                                                                              \
        is(name, want, outcome());                                                                 \
        fresh();                                                                                   \
    } while (0)
#define SS1_GATE()                                                                                 \
    GDT(T0) = gate(CS1, target, P | DPL(3) | SYS_CALL32, 0);                                       \
    ring(3);                                                                                       \
    FAR(T0 | 3, 0)
    SS1_GATE();
    tss0.ss1 = 1;
    INNER("a null SS1 is #TS(0)", FAULT_ERR(TS, 0));
    SS1_GATE();
    tss0.ss1 = 0x209;
    INNER("SS1 beyond the GDT is #TS(SS1)", FAULT_ERR(TS, 0x208));
    SS1_GATE();
    tss0.ss1 = DS1 & ~3;
    INNER("SS1 of RPL 0 is #TS(SS1)", FAULT_ERR(TS, DS1 & ~3));
    SS1_GATE();
    tss0.ss1 = DS0 | 1;
    INNER("SS1 of DPL 0 is #TS(SS1)", FAULT_ERR(TS, DS0));
    SS1_GATE();
    tss0.ss1 = CS1;
    INNER("SS1 that is code is #TS(SS1)", FAULT_ERR(TS, CS1 & ~3));
    SS1_GATE();
    GDT(T0 + 8) = descriptor(0, 0xfffff, DATA_RO | DPL(1), F_FLAT);
    tss0.ss1 = (T0 + 8) | 1;
    INNER("SS1 that is read-only is #TS(SS1)", FAULT_ERR(TS, T0 + 8));
    SS1_GATE();
    GDT(T0 + 8) = descriptor(0, 0xfffff, (DATA_RW & ~P) | DPL(1), F_FLAT);
    tss0.ss1 = (T0 + 8) | 1;
    INNER("SS1 that is absent is #SS(SS1)", FAULT_ERR(SS, T0 + 8));
    SS1_GATE();
    GDT(T0 + 8) = descriptor((u32)page_a, 0xff, DATA_RW | DPL(1), F_D);
    tss0.ss1 = (T0 + 8) | 1;
    tss0.esp1 = 8;
    INNER("a new stack without room is #SS(SS1)", FAULT_ERR(SS, T0 + 8));
    SS1_GATE();
    run_at(call);
    is("a call to ring 1 ends there", CS1, trap.r.cs);
    is("with SS1", DS1, trap.r.ss);
    fresh();
    prepare_gate(SYS_CALL32, 0, target);
    GDT(T0) = gate(0, target, P | DPL(3) | SYS_CALL32, 0);
    expect("a gate with a null selector is #GP(0)", call, FAULT_ERR(GP, 0));
    prepare_gate(SYS_CALL32, 0, target);
    GDT(T0) = gate(0x208, target, P | DPL(3) | SYS_CALL32, 0);
    expect("a gate to a selector beyond the GDT is #GP(selector)", call, FAULT_ERR(GP, 0x208));
    prepare_gate(SYS_CALL32, 0, target);
    GDT(CS0) = descriptor(0, 0xfffff, CODE_XR, F_FLAT);
    GDT(T0 + 8) = descriptor(0, (u32)target - 1, CODE_XR, F_D);
    GDT(T0) = gate(T0 + 8, target, P | DPL(3) | SYS_CALL32, 0);
    expect("a gate's offset beyond its segment is #GP(0)", call, FAULT_ERR(GP, 0));
    prepare_gate(SYS_CALL32, 1, target);
    GDT(T0 + 8) = descriptor((u32)page_a, 0xff, DATA_RW | DPL(3), F_D);
    in.ss = (T0 + 8) | 3;
    in.esp = 0xfe;
    expect("parameters beyond the caller's stack are #SS(0)", call, FAULT_ERR(SS, 0));
    prepare_gate(SYS_CALL32, 2, target);
    run_at(call_params);
    is("parameters are copied from the caller's top of stack", 0x33333333,
       *(u32 *)(tss0.esp0 - 16));
    fresh();
}

/* ---- RETF ------------------------------------------------------------------------------------ */

static void returns(void)
{
    in.ecx = CS0;
    in.edx = (u32)target;
    expect("RETF at the same level", ret, DONE);
    in.ecx = 0;
    in.edx = (u32)target;
    expect_at("RETF to a null selector is #GP(0)", ret, FAULT_ERR(GP, 0), ret_f);
    in.ecx = DS0;
    in.edx = (u32)target;
    expect("RETF to data is #GP(selector)", ret, FAULT_ERR(GP, DS0));
    ring(3);
    in.ecx = CS0;
    in.edx = (u32)target;
    expect("RETF to a lower RPL is #GP(selector)", ret, FAULT_ERR(GP, CS0));
    in.ecx = CS0 | 1;
    in.edx = (u32)target;
    expect("RETF to code whose DPL is not the RPL is #GP(selector)", ret, FAULT_ERR(GP, CS0));
    GDT(T0) = descriptor(0, 0xfffff, CODE_XR & ~P, F_FLAT);
    in.ecx = T0;
    in.edx = (u32)target;
    expect("RETF to absent code is #NP(selector)", ret, FAULT_ERR(NP, T0));
    GDT(T0) = descriptor(0, (u32)target - 1, CODE_XR, F_D);
    in.ecx = T0;
    in.edx = (u32)target;
    expect_at("RETF beyond the limit is #GP(0)", ret, FAULT_ERR(GP, 0), ret_f);

#define OUTER(cs_, ss_) (in.ecx = (cs_), in.edx = (u32)target, in.esi = (ss_), in.edi = (u32)page_b)
    GDT(T0) = descriptor(0, 0xfffff, CODE_CONF, F_FLAT);
    OUTER(CS3, DS3);
    in.ds = DS0;
    in.es = DS3;
    in.fs = T0;
    in.gs = DS1 & ~3;
    run_at(ret_outer);
    is("RETF outwards lands in ring 3", CS3, trap.r.cs);
    is("with its stack", (u32)page_b, trap.r.esp);
    is("and drops DS of DPL 0", 0, trap.r.ds);
    is("keeps ES of DPL 3", DS3, trap.r.es);
    is("keeps conforming code in FS", T0, trap.r.fs);
    is("drops GS of DPL 1", 0, trap.r.gs);
    fresh();
    OUTER(CS3, DS3);
    run_at(ret_outer_n);
    is("RETF n outwards skips parameters on the outer stack too", (u32)page_b + 8, trap.r.esp);
    fresh();
    OUTER(CS3, 0);
    expect_at("RETF outwards to a null SS is #GP(0)", ret_outer, FAULT_ERR(GP, 0), ret_outer_f);
    OUTER(CS3, DS0);
    expect("RETF outwards to SS of RPL 0 is #GP(SS)", ret_outer, FAULT_ERR(GP, DS0));
    OUTER(CS3, (DS2 & ~3) | 3);
    expect("RETF outwards to SS of DPL 2 is #GP(SS)", ret_outer, FAULT_ERR(GP, DS2 & ~3));
    OUTER(CS3, T0 | 3);
    GDT(T0) = descriptor(0, 0xfffff, (DATA_RW & ~P) | DPL(3), F_FLAT);
    expect("RETF outwards to an absent SS is #SS(SS)", ret_outer, FAULT_ERR(SS, T0));
    in.ecx = CS16;
    in.edx = (u32)target16;
    expect("RETF of 16 bits reaches 16-bit code", ret16, DONE);
}

void test_main(void)
{
    direct();
    gate_matrix();
    inner_calls();
    inner_faults();
    returns();
}
