/*
 * ops_bit.c: BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT, POPCNT, CRC32.
 *
 * Intel SDM vol. 2. With a register offset and a memory operand, BT and its kin address a bit
 * string: the offset is signed and reaches beyond the operand. BSF and BSR of 0 leave the whole
 * destination alone, as AMD documents and Intel processors do; their other flags, undefined, are
 * those of the index as a logical result. BT leaves all flags but CF.
 */
#include "cpu/ops_int.h"

/* ---- BT, BTS, BTR, BTC ----------------------------------------------------------------------- */

static inline u64 bit_bts(u64 v, u64 bit)
{
    return v | bit;
}

static inline u64 bit_btr(u64 v, u64 bit)
{
    return v & ~bit;
}

static inline u64 bit_btc(u64 v, u64 bit)
{
    return v ^ bit;
}

/* The bit's number within the operand. */
#define BITNO_g(bits) (reg##bits(cpu, in->reg) & ((bits)-1))
#define BITNO_i(bits) ((unsigned)in->imm & ((bits)-1))

/* Bytes from the operand's address to the unit of the bit string that holds the bit. */
#define STRING_OFFSET_g(bits)                                                                      \
    ((u64)((s64)(s##bits)reg##bits(cpu, in->reg) >> BIT_SHIFT_##bits) * ((bits) / 8))
#define STRING_OFFSET_i(bits) 0
#define BIT_SHIFT_16 4
#define BIT_SHIFT_32 5
#define BIT_SHIFT_64 6

static inline gva_t bit_addr_m(const struct cpu *cpu, const struct insn *in, u64 delta)
{
    return (ea_flat(cpu, in) + delta) & cpu->amask;
}

static gva_t bit_addr_s(struct cpu *cpu, const struct insn *in, u64 delta, unsigned size,
                        enum access kind)
{
    u64 off = (ea_offset(cpu, in) + delta) & mask64(in->asz * 8u);
    return seg_addr(cpu, in, in->seg, off, size, kind);
}

#define BT_FORM(form, bits)                                                                        \
    HANDLER(bt_##form##_r##bits)                                                                   \
    {                                                                                              \
        flag_set_c(&cpu->flags, (reg##bits(cpu, in->rm) >> BITNO_##form(bits)) & 1);               \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(bt_##form##_m##bits)                                                                   \
    {                                                                                              \
        u##bits v = mem_read##bits(cpu, in, bit_addr_m(cpu, in, STRING_OFFSET_##form(bits)));      \
        flag_set_c(&cpu->flags, (v >> BITNO_##form(bits)) & 1);                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(bt_##form##_s##bits)                                                                   \
    {                                                                                              \
        gva_t va = bit_addr_s(cpu, in, STRING_OFFSET_##form(bits), bits / 8, ACCESS_READ);         \
        flag_set_c(&cpu->flags, (mem_read##bits(cpu, in, va) >> BITNO_##form(bits)) & 1);          \
        NEXT;                                                                                      \
    }

/* BTS, BTR, BTC write back even what does not change. */
#define BTX_RMW(op, bits)                                                                          \
    static inline u64 op##_set##bits(struct flags *f, u64 v, unsigned n)                           \
    {                                                                                              \
        flag_set_c(f, (v >> n) & 1);                                                               \
        return bit_##op(v, BIT64(n));                                                              \
    }                                                                                              \
    static NOINLINE void op##_slow##bits(struct cpu *cpu, const struct insn *in, gva_t va,         \
                                         unsigned n)                                               \
    {                                                                                              \
        struct mem_rmw m;                                                                          \
        void *p;                                                                                   \
        do {                                                                                       \
            p = mem_rmw(cpu, in, va, bits / 8, &m);                                                \
            mem_st(p, op##_set##bits(&cpu->flags, mem_ld(p, bits / 8), n), bits / 8);              \
        } while (!mem_rmw_end(cpu, in, &m));                                                       \
    }                                                                                              \
    static inline void op##_rmw##bits(struct cpu *cpu, const struct insn *in, gva_t va,            \
                                      unsigned n)                                                  \
    {                                                                                              \
        u8 *p = mem_fast_w(cpu, va, bits / 8);                                                     \
        if (unlikely(!p))                                                                          \
            op##_slow##bits(cpu, in, va, n);                                                       \
        else                                                                                       \
            mem_st(p, op##_set##bits(&cpu->flags, mem_ld(p, bits / 8), n), bits / 8);              \
    }

#define BTX_FORM(op, form, bits)                                                                   \
    HANDLER(op##_##form##_r##bits)                                                                 \
    {                                                                                              \
        u64 v = reg##bits(cpu, in->rm);                                                            \
        unsigned n = (unsigned)BITNO_##form(bits);                                                 \
        set_reg##bits(cpu, in->rm, (u##bits)op##_set##bits(&cpu->flags, v, n));                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_m##bits)                                                                 \
    {                                                                                              \
        gva_t va = bit_addr_m(cpu, in, STRING_OFFSET_##form(bits));                                \
        op##_rmw##bits(cpu, in, va, (unsigned)BITNO_##form(bits));                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_s##bits)                                                                 \
    {                                                                                              \
        gva_t va = bit_addr_s(cpu, in, STRING_OFFSET_##form(bits), bits / 8, ACCESS_WRITE);        \
        op##_rmw##bits(cpu, in, va, (unsigned)BITNO_##form(bits));                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(op##_##form##_l##bits)                                                                 \
    {                                                                                              \
        gva_t va = bit_addr_s(cpu, in, STRING_OFFSET_##form(bits), bits / 8, ACCESS_WRITE);        \
        op##_slow##bits(cpu, in, va, (unsigned)BITNO_##form(bits));                                \
        NEXT;                                                                                      \
    }

#define BIT_OPS(op, form)                                                                          \
    const struct insn_ops ops_##op##_##form = {                                                    \
        .r = SIZES_16_64(op##_##form##_r),                                                         \
        .m = SIZES_16_64(op##_##form##_m),                                                         \
        .s = SIZES_16_64(op##_##form##_s),                                                         \
    };

#define BIT_OPS_TO_E(op, form)                                                                     \
    const struct insn_ops ops_##op##_##form = {                                                    \
        .r = SIZES_16_64(op##_##form##_r),                                                         \
        .m = SIZES_16_64(op##_##form##_m),                                                         \
        .s = SIZES_16_64(op##_##form##_s),                                                         \
        .l = SIZES_16_64(op##_##form##_l),                                                         \
    };

#define BT_SIZE(bits)                                                                              \
    BT_FORM(g, bits)                                                                               \
    BT_FORM(i, bits)

BT_SIZE(16)
BT_SIZE(32)
BT_SIZE(64)
BIT_OPS(bt, g)
BIT_OPS(bt, i)

#define BTX_SIZE(op, bits)                                                                         \
    BTX_RMW(op, bits)                                                                              \
    BTX_FORM(op, g, bits)                                                                          \
    BTX_FORM(op, i, bits)

#define BTX(op)                                                                                    \
    BTX_SIZE(op, 16)                                                                               \
    BTX_SIZE(op, 32)                                                                               \
    BTX_SIZE(op, 64)                                                                               \
    BIT_OPS_TO_E(op, g)                                                                            \
    BIT_OPS_TO_E(op, i)

BTX(bts)
BTX(btr)
BTX(btc)

/* ---- counting and searching ------------------------------------------------------------------ */

/* BSF, BSR with a source that is not 0: ZF clear, the other flags of the index. */
static inline void flags_index(struct flags *f, u64 index)
{
    f->res = index | 0x100;
    f->aux = 0;
}

/* ZF set, the other flags of a logical result of 0. */
static inline void flags_no_index(struct flags *f)
{
    f->res = 0;
    f->aux = 0;
}

/* Each returns the new value of the destination; BSF and BSR of 0 have none. */
static inline u64 count_bsf(struct flags *f, u64 v, unsigned bits)
{
    (void)bits;
    if (v == 0) {
        flags_no_index(f);
        return 0;
    }
    flags_index(f, (u64)__builtin_ctzll(v));
    return (u64)__builtin_ctzll(v);
}

static inline u64 count_bsr(struct flags *f, u64 v, unsigned bits)
{
    (void)bits;
    if (v == 0) {
        flags_no_index(f);
        return 0;
    }
    flags_index(f, 63 - (u64)__builtin_clzll(v));
    return 63 - (u64)__builtin_clzll(v);
}

static inline u64 count_tzcnt(struct flags *f, u64 v, unsigned bits)
{
    u64 n = v ? (u64)__builtin_ctzll(v) : bits;
    flags_set(f, (v == 0 ? EFLAGS_CF : 0) | (n == 0 ? EFLAGS_ZF : 0));
    return n;
}

static inline u64 count_lzcnt(struct flags *f, u64 v, unsigned bits)
{
    u64 n = v ? (u64)__builtin_clzll(v) - (64 - bits) : bits;
    flags_set(f, (v == 0 ? EFLAGS_CF : 0) | (n == 0 ? EFLAGS_ZF : 0));
    return n;
}

static inline u64 count_popcnt(struct flags *f, u64 v, unsigned bits)
{
    (void)bits;
    flags_set(f, v == 0 ? EFLAGS_ZF : 0);
    return (u64)__builtin_popcountll(v);
}

/* BSF and BSR keep all 64 bits of the destination when the source is 0. */
#define COUNT_VARIANT(op, variant, bits, source, keep)                                             \
    HANDLER(op##_##variant##bits)                                                                  \
    {                                                                                              \
        u64 v = source;                                                                            \
        u64 n = count_##op(&cpu->flags, v, bits);                                                  \
        if (!(keep) || v != 0)                                                                     \
            set_reg##bits(cpu, in->reg, (u##bits)n);                                               \
        NEXT;                                                                                      \
    }

#define COUNT_SIZE(op, bits, keep)                                                                 \
    COUNT_VARIANT(op, r, bits, reg##bits(cpu, in->rm), keep)                                       \
    COUNT_VARIANT(op, m, bits, mem_read##bits(cpu, in, ADDR_m(bits, ACCESS_READ)), keep)           \
    COUNT_VARIANT(op, s, bits, mem_read##bits(cpu, in, ADDR_s(bits, ACCESS_READ)), keep)

#define COUNT(op, keep)                                                                            \
    COUNT_SIZE(op, 16, keep)                                                                       \
    COUNT_SIZE(op, 32, keep)                                                                       \
    COUNT_SIZE(op, 64, keep)                                                                       \
    const struct insn_ops ops_##op = {                                                             \
        .r = SIZES_16_64(op##_r), .m = SIZES_16_64(op##_m), .s = SIZES_16_64(op##_s)};

COUNT(bsf, true)
COUNT(bsr, true)
COUNT(tzcnt, false)
COUNT(lzcnt, false)
COUNT(popcnt, false)

/* ---- CRC32 ----------------------------------------------------------------------------------- */

/* CRC-32C (polynomial 1EDC6F41h, reflected 82F63B78h), four bits at a time: entry i is the
 * remainder of i. */
static const u32 crc32c_nibble[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static u32 crc32c(u32 crc, u64 v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++, v >>= 8) {
        crc ^= (u8)v;
        crc = crc >> 4 ^ crc32c_nibble[crc & 15];
        crc = crc >> 4 ^ crc32c_nibble[crc & 15];
    }
    return crc;
}

/* The destination is 32 or 64 bits wide; the result is zero-extended either way. */
HANDLER(crc32_b)
{
    set_reg32(cpu, in->reg, crc32c(reg32(cpu, in->reg), get_rm(cpu, in, 1), 1));
    NEXT;
}

#define CRC32(bits)                                                                                \
    HANDLER(crc32_r##bits)                                                                         \
    {                                                                                              \
        u64 v = get_rm(cpu, in, bits / 8);                                                         \
        set_reg32(cpu, in->reg, crc32c(reg32(cpu, in->reg), v, bits / 8));                         \
        NEXT;                                                                                      \
    }

CRC32(16)
CRC32(32)
CRC32(64)
const struct insn_ops ops_crc32_b = {.any = crc32_b};
const struct insn_ops ops_crc32_w = {.any = crc32_r16};
const struct insn_ops ops_crc32_d = {.any = crc32_r32};
const struct insn_ops ops_crc32_q = {.any = crc32_r64};
