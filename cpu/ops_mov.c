/*
 * ops_mov.c: data movement: MOV, MOVZX, MOVSX, MOVSXD, LEA, MOVBE, MOVNTI, CMOVcc, SETcc, BSWAP,
 * XLAT, CBW and CWD families, LAHF, SAHF, SALC.
 *
 * Intel SDM vol. 2. BSWAP of a 16-bit register, undefined there, clears it as every known processor
 * does. CMOVcc always reads its source and, with 32-bit operands, always clears bits 63:32.
 *
 * Not here: the stack (ops_stack.c), XCHG and its kin (ops_xchg.c), segment, control and debug
 * registers (the system section).
 */
#include "cpu/ops_int.h"

/* ---- MOV ------------------------------------------------------------------------------------- */

#define MOV_SIZE(bits)                                                                             \
    HANDLER(mov_eg_r##bits)                                                                        \
    {                                                                                              \
        set_reg##bits(cpu, in->rm, reg##bits(cpu, in->reg));                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_eg_m##bits)                                                                        \
    {                                                                                              \
        mem_write##bits(cpu, in, ea_flat(cpu, in), reg##bits(cpu, in->reg));                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_eg_s##bits)                                                                        \
    {                                                                                              \
        gva_t va = mem_addr(cpu, in, bits / 8, ACCESS_WRITE);                                      \
        mem_write##bits(cpu, in, va, reg##bits(cpu, in->reg));                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ge_r##bits)                                                                        \
    {                                                                                              \
        set_reg##bits(cpu, in->reg, reg##bits(cpu, in->rm));                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ge_m##bits)                                                                        \
    {                                                                                              \
        set_reg##bits(cpu, in->reg, mem_read##bits(cpu, in, ea_flat(cpu, in)));                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ge_s##bits)                                                                        \
    {                                                                                              \
        gva_t va = mem_addr(cpu, in, bits / 8, ACCESS_READ);                                       \
        set_reg##bits(cpu, in->reg, mem_read##bits(cpu, in, va));                                  \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ei_r##bits)                                                                        \
    {                                                                                              \
        set_reg##bits(cpu, in->rm, (u##bits)(s64)in->imm);                                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ei_m##bits)                                                                        \
    {                                                                                              \
        mem_write##bits(cpu, in, ea_flat(cpu, in), (u##bits)(s64)in->imm);                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ei_s##bits)                                                                        \
    {                                                                                              \
        gva_t va = mem_addr(cpu, in, bits / 8, ACCESS_WRITE);                                      \
        mem_write##bits(cpu, in, va, (u##bits)(s64)in->imm);                                       \
        NEXT;                                                                                      \
    }

MOV_SIZE(8)
MOV_SIZE(16)
MOV_SIZE(32)
MOV_SIZE(64)

/* MOV r64, imm64 */
HANDLER(mov_zi_r64)
{
    set_reg64(cpu, in->rm, in->imm64);
    NEXT;
}

#define MOV_OPS(form)                                                                              \
    const struct insn_ops ops_mov_##form = {                                                       \
        .r = SIZES_8_64(mov_##form##_r),                                                           \
        .m = SIZES_8_64(mov_##form##_m),                                                           \
        .s = SIZES_8_64(mov_##form##_s),                                                           \
    };

MOV_OPS(eg)
MOV_OPS(ge)
MOV_OPS(ei)
const struct insn_ops ops_mov_zi = {.r = {mov_ei_r8, mov_ei_r16, mov_ei_r32, mov_zi_r64}};

/* MOV with a memory offset in the instruction, to and from AL, AX, EAX, RAX. */
static gva_t moffs_addr(struct cpu *cpu, const struct insn *in, enum access kind)
{
    return seg_addr(cpu, in, in->seg, in->imm64 & mask64(in->asz * 8u), in->osz, kind);
}

HANDLER(mov_ao)
{
    reg_set(cpu, RAX, mem_read(cpu, in, moffs_addr(cpu, in, ACCESS_READ), in->osz), in->osz);
    NEXT;
}

HANDLER(mov_oa)
{
    mem_write(cpu, in, moffs_addr(cpu, in, ACCESS_WRITE), reg_get(cpu, RAX, in->osz), in->osz);
    NEXT;
}

const struct insn_ops ops_mov_ao = {.any = mov_ao};
const struct insn_ops ops_mov_oa = {.any = mov_oa};

/* MOVNTI: the hint has no effect here. */
const struct insn_ops ops_movnti = {
    .m = {NULL, NULL, mov_eg_m32, mov_eg_m64},
    .s = {NULL, NULL, mov_eg_s32, mov_eg_s64},
};

/* ---- MOVZX, MOVSX, MOVSXD -------------------------------------------------------------------- */

/* `from` bits of E become `to` bits of G; ext is the C type of the source as it is extended. */
#define EXTEND(name, ext, from, to)                                                                \
    HANDLER(name##_r##to)                                                                          \
    {                                                                                              \
        set_reg##to(cpu, in->reg, (u##to)(ext)reg##from(cpu, in->rm));                             \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_m##to)                                                                          \
    {                                                                                              \
        set_reg##to(cpu, in->reg, (u##to)(ext)mem_read##from(cpu, in, ea_flat(cpu, in)));          \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_s##to)                                                                          \
    {                                                                                              \
        gva_t va = mem_addr(cpu, in, from / 8, ACCESS_READ);                                       \
        set_reg##to(cpu, in->reg, (u##to)(ext)mem_read##from(cpu, in, va));                        \
        NEXT;                                                                                      \
    }

#define EXTEND_16_64(name, ext, from)                                                              \
    EXTEND(name, ext, from, 16)                                                                    \
    EXTEND(name, ext, from, 32)                                                                    \
    EXTEND(name, ext, from, 64)                                                                    \
    const struct insn_ops ops_##name = {                                                           \
        .r = SIZES_16_64(name##_r), .m = SIZES_16_64(name##_m), .s = SIZES_16_64(name##_s)};

EXTEND_16_64(movzx_b, u8, 8)
EXTEND_16_64(movzx_w, u16, 16)
EXTEND_16_64(movsx_b, s8, 8)
EXTEND_16_64(movsx_w, s16, 16)

/* MOVSXD: with 16-bit operands it moves a word (Intel), with 32-bit operands it is a MOV. */
EXTEND(movsxd, s32, 32, 64)
const struct insn_ops ops_movsxd = {
    .r = {NULL, mov_ge_r16, mov_ge_r32, movsxd_r64},
    .m = {NULL, mov_ge_m16, mov_ge_m32, movsxd_m64},
    .s = {NULL, mov_ge_s16, mov_ge_s32, movsxd_s64},
};

/* ---- LEA ------------------------------------------------------------------------------------- */

/* The flat variants know that the address size is the widest of the mode, so that only the operand
 * size truncates. No segment base: LEA gives the offset. */
#define LEA(bits)                                                                                  \
    HANDLER(lea_m##bits)                                                                           \
    {                                                                                              \
        u64 off = cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)(s64)in->disp;    \
        set_reg##bits(cpu, in->reg, (u##bits)(off & cpu->amask));                                  \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(lea_s##bits)                                                                           \
    {                                                                                              \
        set_reg##bits(cpu, in->reg, (u##bits)ea_offset(cpu, in));                                  \
        NEXT;                                                                                      \
    }

LEA(16)
LEA(32)
LEA(64)
const struct insn_ops ops_lea = {.m = SIZES_16_64(lea_m), .s = SIZES_16_64(lea_s)};

/* ---- MOVBE, BSWAP ---------------------------------------------------------------------------- */

static u64 byte_swap(u64 v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - size * 8);
}

HANDLER(movbe_load)
{
    reg_set(cpu, in->reg, byte_swap(get_rm(cpu, in, in->osz), in->osz), in->osz);
    NEXT;
}

HANDLER(movbe_store)
{
    set_rm(cpu, in, byte_swap(reg_get(cpu, in->reg, in->osz), in->osz), in->osz);
    NEXT;
}

const struct insn_ops ops_movbe_load = {.any = movbe_load};
const struct insn_ops ops_movbe_store = {.any = movbe_store};

HANDLER(bswap_r16)
{
    set_reg16(cpu, in->rm, 0);
    NEXT;
}

HANDLER(bswap_r32)
{
    set_reg32(cpu, in->rm, __builtin_bswap32(reg32(cpu, in->rm)));
    NEXT;
}

HANDLER(bswap_r64)
{
    set_reg64(cpu, in->rm, __builtin_bswap64(reg64(cpu, in->rm)));
    NEXT;
}

const struct insn_ops ops_bswap = {.r = SIZES_16_64(bswap_r)};

/* ---- CMOVcc, SETcc --------------------------------------------------------------------------- */

#define CMOV_SIZE(cc, bits)                                                                        \
    HANDLER(cmov_##cc##_r##bits)                                                                   \
    {                                                                                              \
        u##bits v = reg##bits(cpu, in->rm);                                                        \
        set_reg##bits(cpu, in->reg, flags_cond(&cpu->flags, cc) ? v : reg##bits(cpu, in->reg));    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(cmov_##cc##_m##bits)                                                                   \
    {                                                                                              \
        u##bits v = mem_read##bits(cpu, in, ea_flat(cpu, in));                                     \
        set_reg##bits(cpu, in->reg, flags_cond(&cpu->flags, cc) ? v : reg##bits(cpu, in->reg));    \
        NEXT;                                                                                      \
    }

/* Any segmentation: one handler for all conditions, the opcode's low four bits. */
HANDLER(cmov_s)
{
    u64 v = get_rm(cpu, in, in->osz);
    if (!flags_cond(&cpu->flags, in->opcode & 15))
        v = reg_get(cpu, in->reg, in->osz);
    reg_set(cpu, in->reg, v, in->osz);
    NEXT;
}

#define SETCC(cc)                                                                                  \
    HANDLER(set_##cc##_r8)                                                                         \
    {                                                                                              \
        set_reg8(cpu, in->rm, flags_cond(&cpu->flags, cc));                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(set_##cc##_m8)                                                                         \
    {                                                                                              \
        mem_write8(cpu, in, ea_flat(cpu, in), flags_cond(&cpu->flags, cc));                        \
        NEXT;                                                                                      \
    }

HANDLER(set_s8)
{
    set_rm(cpu, in, flags_cond(&cpu->flags, in->opcode & 15), 1);
    NEXT;
}

#define CONDITIONAL(cc)                                                                            \
    CMOV_SIZE(cc, 16)                                                                              \
    CMOV_SIZE(cc, 32)                                                                              \
    CMOV_SIZE(cc, 64)                                                                              \
    const struct insn_ops ops_cmov_##cc = {.r = SIZES_16_64(cmov_##cc##_r),                        \
                                           .m = SIZES_16_64(cmov_##cc##_m),                        \
                                           .s = {NULL, cmov_s, cmov_s, cmov_s}};                   \
    SETCC(cc)                                                                                      \
    const struct insn_ops ops_set_##cc = {                                                         \
        .r = {set_##cc##_r8}, .m = {set_##cc##_m8}, .s = {set_s8}};

CONDITIONAL(0)
CONDITIONAL(1)
CONDITIONAL(2)
CONDITIONAL(3)
CONDITIONAL(4)
CONDITIONAL(5)
CONDITIONAL(6)
CONDITIONAL(7)
CONDITIONAL(8)
CONDITIONAL(9)
CONDITIONAL(10)
CONDITIONAL(11)
CONDITIONAL(12)
CONDITIONAL(13)
CONDITIONAL(14)
CONDITIONAL(15)

/* ---- accumulator and flags ------------------------------------------------------------------- */

/* CBW, CWDE, CDQE: the lower half of the accumulator, sign-extended. */
HANDLER(cbw_r16)
{
    set_reg16(cpu, RAX, (u16)(s8)cpu->gpr[RAX]);
    NEXT;
}

HANDLER(cbw_r32)
{
    set_reg32(cpu, RAX, (u32)(s16)cpu->gpr[RAX]);
    NEXT;
}

HANDLER(cbw_r64)
{
    set_reg64(cpu, RAX, (u64)(s32)cpu->gpr[RAX]);
    NEXT;
}

const struct insn_ops ops_cbw = {.r = SIZES_16_64(cbw_r)};

/* CWD, CDQ, CQO: the accumulator's sign in every bit of DX, EDX, RDX. */
#define CWD(bits)                                                                                  \
    HANDLER(cwd_r##bits)                                                                           \
    {                                                                                              \
        set_reg##bits(cpu, RDX, (u##bits)((s##bits)cpu->gpr[RAX] < 0 ? -1 : 0));                   \
        NEXT;                                                                                      \
    }

CWD(16)
CWD(32)
CWD(64)
const struct insn_ops ops_cwd = {.r = SIZES_16_64(cwd_r)};

/* XLAT: AL = [(E/R)BX + AL] */
HANDLER(xlat)
{
    u64 off = (cpu->gpr[RBX] + (u8)cpu->gpr[RAX]) & mask64(in->asz * 8u);
    set_reg8(cpu, RAX * 8, mem_read8(cpu, in, seg_addr(cpu, in, in->seg, off, 1, ACCESS_READ)));
    NEXT;
}

const struct insn_ops ops_xlat = {.any = xlat};

#define LAHF_FLAGS (EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF | EFLAGS_PF | EFLAGS_CF)
#define REG8_AH 1

HANDLER(lahf)
{
    set_reg8(cpu, REG8_AH, (u8)((flags_get(&cpu->flags) & LAHF_FLAGS) | 2));
    NEXT;
}

HANDLER(sahf)
{
    u32 kept = flags_get(&cpu->flags) & EFLAGS_OF;
    flags_set(&cpu->flags, kept | (reg8(cpu, REG8_AH) & LAHF_FLAGS));
    NEXT;
}

/* SALC (undocumented, in every processor): AL = CF ? FFh : 0 */
HANDLER(salc)
{
    set_reg8(cpu, RAX, flag_c(&cpu->flags) ? 0xff : 0);
    NEXT;
}

const struct insn_ops ops_lahf = {.any = lahf};
const struct insn_ops ops_sahf = {.any = sahf};
const struct insn_ops ops_salc = {.any = salc};
