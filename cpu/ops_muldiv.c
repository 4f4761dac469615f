/*
 * ops_muldiv.c: MUL, IMUL, DIV, IDIV, ADCX, ADOX, MULX.
 *
 * Intel SDM vol. 2. MUL and IMUL set CF and OF and leave SF, ZF, AF and PF, which are undefined, as
 * they were; DIV and IDIV set AF and leave the others: all undefined, and so on AMD processors.
 */
#include "cpu/ops_int.h"

/* ---- MUL, IMUL ------------------------------------------------------------------------------- */

/* The double-width product of the accumulator goes to AX, DX:AX, EDX:EAX or RDX:RAX. */
static void set_product(struct cpu *cpu, u128 product, unsigned size)
{
    if (size == 1) {
        set_reg16(cpu, RAX, (u16)product);
        return;
    }
    reg_set(cpu, RAX, (u64)product, size);
    reg_set(cpu, RDX, (u64)(product >> (size * 8)), size);
}

#define MUL_SIZE(bits)                                                                             \
    HANDLER(mul_e##bits)                                                                           \
    {                                                                                              \
        u128 product = (u128)reg##bits(cpu, RAX) * get_rm(cpu, in, bits / 8);                      \
        bool high = (product >> bits) != 0;                                                        \
        set_product(cpu, product, bits / 8);                                                       \
        flags_set_co(&cpu->flags, high, high);                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(imul_e##bits)                                                                          \
    {                                                                                              \
        s128 a = (s##bits)reg##bits(cpu, RAX);                                                     \
        s128 product = a * (s##bits)get_rm(cpu, in, bits / 8);                                     \
        bool high = product != (s##bits)product;                                                   \
        set_product(cpu, (u128)product, bits / 8);                                                 \
        flags_set_co(&cpu->flags, high, high);                                                     \
        NEXT;                                                                                      \
    }

MUL_SIZE(8)
MUL_SIZE(16)
MUL_SIZE(32)
MUL_SIZE(64)

#define MUL_OPS(name)                                                                              \
    const struct insn_ops ops_##name = {                                                           \
        .r = SIZES_8_64(name), .m = SIZES_8_64(name), .s = SIZES_8_64(name)};

MUL_OPS(mul_e)
MUL_OPS(imul_e)

static inline u64 imul_trunc(struct flags *f, u64 a, u64 b, unsigned bits)
{
    u64 product = a * b;
    bool high;
    if (bits == 64) {
        s64 exact;
        high = __builtin_mul_overflow((s64)a, (s64)b, &exact);
    } else {
        high = sext(product, bits) != product;
    }
    flags_set_co(f, high, high);
    return product;
}

/* IMUL G, E and IMUL G, E, imm: operands are sign-extended, so that 64 bits hold the product of
 * the smaller sizes. */
#define IMUL_VARIANT(variant, bits, source)                                                        \
    HANDLER(imul_ge_##variant##bits)                                                               \
    {                                                                                              \
        u64 b = (u64)(s##bits)source;                                                              \
        u64 a = (u64)(s##bits)reg##bits(cpu, in->reg);                                             \
        set_reg##bits(cpu, in->reg, (u##bits)imul_trunc(&cpu->flags, a, b, bits));                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(imul_gei_##variant##bits)                                                              \
    {                                                                                              \
        u64 a = (u64)(s##bits)source;                                                              \
        u64 b = (u64)(s64)in->imm;                                                                 \
        set_reg##bits(cpu, in->reg, (u##bits)imul_trunc(&cpu->flags, a, b, bits));                 \
        NEXT;                                                                                      \
    }

#define IMUL_SIZE(bits)                                                                            \
    IMUL_VARIANT(r, bits, reg##bits(cpu, in->rm))                                                  \
    IMUL_VARIANT(m, bits, mem_read##bits(cpu, in, ADDR_m(bits, ACCESS_READ)))                      \
    IMUL_VARIANT(s, bits, mem_read##bits(cpu, in, ADDR_s(bits, ACCESS_READ)))

IMUL_SIZE(16)
IMUL_SIZE(32)
IMUL_SIZE(64)

#define IMUL_OPS(name)                                                                             \
    const struct insn_ops ops_##name = {                                                           \
        .r = SIZES_16_64(name##_r), .m = SIZES_16_64(name##_m), .s = SIZES_16_64(name##_s)};

IMUL_OPS(imul_ge)
IMUL_OPS(imul_gei)

/* ---- DIV, IDIV ------------------------------------------------------------------------------- */

/* The double-width dividend: AX, DX:AX, EDX:EAX, RDX:RAX. */
static u128 get_dividend(const struct cpu *cpu, unsigned size)
{
    if (size == 1)
        return reg16(cpu, RAX);
    return (u128)reg_get(cpu, RDX, size) << (size * 8) | reg_get(cpu, RAX, size);
}

/* Quotient to AL, AX, EAX, RAX; remainder to AH, DX, EDX, RDX. */
static void set_quotient(struct cpu *cpu, u64 quotient, u64 remainder, unsigned size)
{
    cpu->flags.aux |= AUX_AF;
    if (size == 1) {
        set_reg16(cpu, RAX, (u16)((quotient & 0xff) | (remainder & 0xff) << 8));
        return;
    }
    reg_set(cpu, RAX, quotient, size);
    reg_set(cpu, RDX, remainder, size);
}

HANDLER(div_e)
{
    unsigned size = in->osz, bits = size * 8;
    u64 divisor = get_rm(cpu, in, size);
    u128 dividend = get_dividend(cpu, size);

    if (divisor == 0 || dividend >> bits >= divisor)
        excp_fault(cpu, in, EXC_DE);
    if (dividend >> 64 == 0)
        set_quotient(cpu, (u64)dividend / divisor, (u64)dividend % divisor, size);
    else
        set_quotient(cpu, (u64)(dividend / divisor), (u64)(dividend % divisor), size);
    NEXT;
}

/* Works on magnitudes; the remainder has the sign of the dividend. #DE unless the quotient fits. */
HANDLER(idiv_e)
{
    unsigned size = in->osz, bits = size * 8;
    s64 divisor = (s64)sext(get_rm(cpu, in, size), bits);
    u128 dividend = get_dividend(cpu, size);
    bool minus = (dividend >> (2 * bits - 1)) & 1;
    bool quotient_minus = minus != (divisor < 0);
    u128 magnitude = minus ? -dividend & (~(u128)0 >> (128 - 2 * bits)) : dividend;
    u64 by = divisor < 0 ? -(u64)divisor : (u64)divisor;
    u64 quotient, remainder;

    if (by == 0 || magnitude >> bits >= by)
        excp_fault(cpu, in, EXC_DE);
    if (magnitude >> 64 == 0) {
        quotient = (u64)magnitude / by;
        remainder = (u64)magnitude % by;
    } else {
        quotient = (u64)(magnitude / by);
        remainder = (u64)(magnitude % by);
    }
    if (quotient > mask64(bits - 1) + quotient_minus)
        excp_fault(cpu, in, EXC_DE);
    set_quotient(cpu, quotient_minus ? -quotient : quotient, minus ? -remainder : remainder, size);
    NEXT;
}

const struct insn_ops ops_div_e = {.any = div_e};
const struct insn_ops ops_idiv_e = {.any = idiv_e};

/* ---- ADCX, ADOX, MULX ------------------------------------------------------------------------ */

/* ADCX adds with CF and changes no other flag; ADOX does so with OF. */
static bool add_carry(u64 a, u64 b, bool carry, unsigned bits, u64 *sum)
{
    u128 exact = (u128)a + b + carry;
    *sum = (u64)exact;
    return (exact >> bits) & 1;
}

HANDLER_STEP(adcx)
{
    u64 sum, b = get_rm(cpu, in, in->osz);
    u64 a = reg_get(cpu, in->reg, in->osz);
    bool c = add_carry(a, b, flag_c(&cpu->flags), in->osz * 8u, &sum);
    reg_set(cpu, in->reg, sum, in->osz);
    flags_set_co(&cpu->flags, c, flag_o(&cpu->flags));
}

HANDLER_STEP(adox)
{
    u64 sum, b = get_rm(cpu, in, in->osz);
    u64 a = reg_get(cpu, in->reg, in->osz);
    bool o = add_carry(a, b, flag_o(&cpu->flags), in->osz * 8u, &sum);
    reg_set(cpu, in->reg, sum, in->osz);
    flags_set_co(&cpu->flags, flag_c(&cpu->flags), o);
}

/* MULX G, B, E: EDX * E, high half to G, low half to B; G wins when they are the same register. */
HANDLER(mulx)
{
    unsigned size = in->osz;
    u128 product = (u128)reg_get(cpu, RDX, size) * get_rm(cpu, in, size);
    reg_set(cpu, in->vvvv, (u64)product, size);
    reg_set(cpu, in->reg, (u64)(product >> (size * 8)), size);
    NEXT;
}

const struct insn_ops ops_adcx = {.any = adcx};
const struct insn_ops ops_adox = {.any = adox};
const struct insn_ops ops_mulx = {.any = mulx};
