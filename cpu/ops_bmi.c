/*
 * ops_bmi.c: the VEX-encoded instructions of BMI1 and BMI2 (MULX is in ops_muldiv.c; TZCNT and
 * LZCNT are in ops_bit.c).
 *
 * Intel SDM vol. 2. Operands have 4 or 8 bytes. Flags that the manual leaves undefined are those of
 * the result (PF) or clear (AF).
 */
#include "cpu/ops_int.h"

/* Stores the result and its flags; OF is clear. */
static void bmi_result(struct cpu *cpu, const struct insn *in, unsigned reg, u64 res, bool c)
{
    reg_set(cpu, reg, res, in->osz);
    cpu->flags.res = sext(res, in->osz * 8u);
    cpu->flags.aux = c ? AUX_CF | AUX_PO : 0;
}

HANDLER(andn)
{
    u64 b = get_rm(cpu, in, in->osz);
    bmi_result(cpu, in, in->reg, ~reg_get(cpu, in->vvvv, in->osz) & b, false);
    NEXT;
}

/* Start in bits 0-7 of B, length in bits 8-15. */
HANDLER(bextr)
{
    u64 v = get_rm(cpu, in, in->osz);
    u64 control = cpu->gpr[in->vvvv];
    unsigned start = control & 0xff, length = (control >> 8) & 0xff;
    bmi_result(cpu, in, in->reg, (start < 64 ? v >> start : 0) & mask64(length), false);
    NEXT;
}

HANDLER(blsi)
{
    u64 v = get_rm(cpu, in, in->osz);
    bmi_result(cpu, in, in->vvvv, v & -v, v != 0);
    NEXT;
}

HANDLER(blsmsk)
{
    u64 v = get_rm(cpu, in, in->osz);
    bmi_result(cpu, in, in->vvvv, v ^ (v - 1), v == 0);
    NEXT;
}

HANDLER(blsr)
{
    u64 v = get_rm(cpu, in, in->osz);
    bmi_result(cpu, in, in->vvvv, v & (v - 1), v == 0);
    NEXT;
}

HANDLER(bzhi)
{
    u64 v = get_rm(cpu, in, in->osz);
    unsigned n = cpu->gpr[in->vvvv] & 0xff;
    bmi_result(cpu, in, in->reg, v & mask64(n), n >= in->osz * 8u);
    NEXT;
}

/* PDEP scatters the low bits of B to the positions set in E, PEXT gathers them. */
HANDLER(pdep)
{
    u64 mask = get_rm(cpu, in, in->osz);
    u64 v = reg_get(cpu, in->vvvv, in->osz), res = 0;
    for (; mask != 0; mask &= mask - 1, v >>= 1)
        res |= v & 1 ? mask & -mask : 0;
    reg_set(cpu, in->reg, res, in->osz);
    NEXT;
}

HANDLER(pext)
{
    u64 mask = get_rm(cpu, in, in->osz);
    u64 v = reg_get(cpu, in->vvvv, in->osz), res = 0;
    for (unsigned n = 0; mask != 0; mask &= mask - 1, n++)
        res |= (u64)((v & mask & -mask) != 0) << n;
    reg_set(cpu, in->reg, res, in->osz);
    NEXT;
}

HANDLER(rorx)
{
    unsigned bits = in->osz * 8u, n = (unsigned)in->imm & (bits - 1);
    u64 v = get_rm(cpu, in, in->osz);
    reg_set(cpu, in->reg, n ? v >> n | v << (bits - n) : v, in->osz);
    NEXT;
}

/* SARX, SHLX, SHRX: count in B, masked; no flags. */
static unsigned shift_count(const struct cpu *cpu, const struct insn *in)
{
    return (unsigned)cpu->gpr[in->vvvv] & (in->osz * 8u - 1);
}

HANDLER(sarx)
{
    s64 v = (s64)sext(get_rm(cpu, in, in->osz), in->osz * 8u);
    reg_set(cpu, in->reg, (u64)(v >> shift_count(cpu, in)), in->osz);
    NEXT;
}

HANDLER(shlx)
{
    u64 v = get_rm(cpu, in, in->osz);
    reg_set(cpu, in->reg, v << shift_count(cpu, in), in->osz);
    NEXT;
}

HANDLER(shrx)
{
    u64 v = get_rm(cpu, in, in->osz);
    reg_set(cpu, in->reg, v >> shift_count(cpu, in), in->osz);
    NEXT;
}

const struct insn_ops ops_andn = {.any = andn};
const struct insn_ops ops_bextr = {.any = bextr};
const struct insn_ops ops_blsi = {.any = blsi};
const struct insn_ops ops_blsmsk = {.any = blsmsk};
const struct insn_ops ops_blsr = {.any = blsr};
const struct insn_ops ops_bzhi = {.any = bzhi};
const struct insn_ops ops_pdep = {.any = pdep};
const struct insn_ops ops_pext = {.any = pext};
const struct insn_ops ops_rorx = {.any = rorx};
const struct insn_ops ops_sarx = {.any = sarx};
const struct insn_ops ops_shlx = {.any = shlx};
const struct insn_ops ops_shrx = {.any = shrx};
