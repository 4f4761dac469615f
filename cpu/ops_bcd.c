/*
 * ops_bcd.c: DAA, DAS, AAA, AAS, AAM, AAD. Intel SDM vol. 2.
 *
 * None exists in 64-bit mode. Flags that the manual leaves undefined follow the result (DAA, DAS:
 * OF clear; AAA, AAS: OF clear, SF, ZF and PF of AL; AAM, AAD: CF, OF and AF clear).
 */
#include "cpu/ops_int.h"

#define REG8_AL 0
#define REG8_AH 1

static void flags_bcd(struct flags *f, u8 al, bool c, bool a)
{
    flags_result_co(f, al, c, false, 8);
    f->aux |= a ? AUX_AF : 0;
}

/* DAA and DAS: the same decisions, added or subtracted. */
static void decimal_adjust(struct cpu *cpu, int sign)
{
    u8 al = reg8(cpu, REG8_AL), res = al;
    bool c = flag_c(&cpu->flags), a = flag_a(&cpu->flags);
    bool low = (al & 15) > 9 || a;
    bool high = al > 0x99 || c;
    /* The low digit's correction of DAS may borrow: of AL below 6. */
    bool borrow = sign < 0 && low && al < 6;

    if (low)
        res = (u8)(res + sign * 0x06);
    if (high)
        res = (u8)(res + sign * 0x60);
    set_reg8(cpu, REG8_AL, res);
    flags_bcd(&cpu->flags, res, high || borrow, low);
}

HANDLER(daa)
{
    decimal_adjust(cpu, 1);
    NEXT;
}

HANDLER(das)
{
    decimal_adjust(cpu, -1);
    NEXT;
}

/* AAA and AAS: AX changes by 106h, so that a carry out of AL reaches AH (286 and later). */
static void ascii_adjust(struct cpu *cpu, int sign)
{
    bool adjust = (reg8(cpu, REG8_AL) & 15) > 9 || flag_a(&cpu->flags);
    if (adjust)
        set_reg16(cpu, RAX, (u16)(reg16(cpu, RAX) + sign * 0x106));
    flags_bcd(&cpu->flags, reg8(cpu, REG8_AL), adjust, adjust);
    set_reg8(cpu, REG8_AL, reg8(cpu, REG8_AL) & 15);
}

HANDLER(aaa)
{
    ascii_adjust(cpu, 1);
    NEXT;
}

HANDLER(aas)
{
    ascii_adjust(cpu, -1);
    NEXT;
}

HANDLER(aam)
{
    u8 base = (u8)in->imm, al = reg8(cpu, REG8_AL);
    if (base == 0)
        excp_fault(cpu, in, EXC_DE);
    set_reg8(cpu, REG8_AH, al / base);
    set_reg8(cpu, REG8_AL, al % base);
    flags_bcd(&cpu->flags, al % base, false, false);
    NEXT;
}

HANDLER(aad)
{
    u8 al = (u8)(reg8(cpu, REG8_AL) + reg8(cpu, REG8_AH) * (u8)in->imm);
    set_reg16(cpu, RAX, al);
    flags_bcd(&cpu->flags, al, false, false);
    NEXT;
}

const struct insn_ops ops_daa = {.any = daa};
const struct insn_ops ops_das = {.any = das};
const struct insn_ops ops_aaa = {.any = aaa};
const struct insn_ops ops_aas = {.any = aas};
const struct insn_ops ops_aam = {.any = aam};
const struct insn_ops ops_aad = {.any = aad};
