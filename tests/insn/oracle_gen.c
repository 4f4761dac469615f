/*
 * oracle_gen.c: random instructions with random states that make them do something: addresses that
 * hit the data pages, counts that end, values at the edges of their types. See oracle.h.
 */
#include "tests/insn/oracle.h"
#include "base/bits.h"
#include "cpu/cpu.h"
#include "tests/insn/rows.h"

/* ---- values ---------------------------------------------------------------------------------- */

static u64 random_integer(struct rng *rng)
{
    u64 r = rng_next(rng), kind = rng_below(rng, 8);
    unsigned bits = 8u << (r >> 60 & 3);

    switch (kind) {
    case 0: return r & 0x7f;
    case 1: return 0 - (r & 0x7f);
    case 2: return BIT64(bits - 1) - 2 + (r & 3); /* around the sign bit of each size */
    case 3: return mask64(bits) - 1 + (r & 3);    /* around the carry */
    case 4: return r & 0xffffffff;
    case 5: return sext(r, 32);
    case 6: return r >> (r & 63);
    default: return r;
    }
}

static u32 random_f32(struct rng *rng)
{
    static const u32 edge[] = {0,          0x3f800000, 0x7f800000, 0x7fc00000,
                               0x7f800001, 0x00000001, 0x007fffff, 0x00800000,
                               0x7f7fffff, 0x4f000000, 0x5f000000, 0x4b000001,
                               0x3f000000, 0x40490fdb, 0x7fa00000, 0x4effffff};
    u64 r = rng_next(rng);
    u32 sign = (u32)(r >> 32) & 0x80000000;

    switch (r & 3) {
    case 0: return edge[r >> 8 & 15] | sign;
    case 1: return ((u32)(r >> 8) & 0x00ffffff) + 0x3f000000 + sign; /* near 1 */
    case 2: return ((u32)(r >> 8) & 0x0fffffff) + 0x38000000 + sign; /* small exponents */
    default: return (u32)(r >> 8);
    }
}

static u64 random_f64(struct rng *rng)
{
    static const u64 edge[] = {0,
                               0x3ff0000000000000,
                               0x7ff0000000000000,
                               0x7ff8000000000000,
                               0x7ff0000000000001,
                               1,
                               0x000fffffffffffff,
                               0x0010000000000000,
                               0x7fefffffffffffff,
                               0x41e0000000000000,
                               0x43e0000000000000,
                               0x3fe0000000000000,
                               0x400921fb54442d18,
                               0x7ff4000000000000,
                               0x41dfffffffc00000,
                               0x36a0000000000000};
    u64 r = rng_next(rng), bits = rng_next(rng), sign = bits & BIT64(63);

    switch (r & 3) {
    case 0: return edge[r >> 8 & 15] | sign;
    case 1: return (bits & 0x000fffffffffffff) | (0x3ffull - 2 + (r >> 8 & 3)) << 52 | sign;
    case 2:
        return (bits & 0x000fffffffffffff & ~mask64(r >> 8 & 63)) |
               (0x3ffull - 40 + (r >> 16 & 127)) << 52 | sign; /* integers and short fractions */
    default: return bits;
    }
}

/* Any 80 bits, with the encodings that only x87 has: pseudo-denormals, unnormals,
 * pseudo-infinities. */
static void random_f80(struct rng *rng, u8 *p)
{
    static const u16 exponents[] = {0,      1,      0x3fff, 0x7ffe, 0x7fff, 0x3ffe, 0x4000, 0x403e,
                                    0x401e, 0x3c00, 0x43ff, 0x3f80, 0x407f, 0x3fbf, 0x400e, 0x3fc0};
    u64 r = rng_next(rng), mant = rng_next(rng);
    u16 se = (u16)(r >> 48);

    switch (r & 7) {
    case 0: mant = BIT64(63); break; /* powers of two, infinity */
    case 1: mant = BIT64(63) | mask64(r >> 8 & 63); break;
    case 2: mant &= ~mask64(r >> 8 & 63); break;
    case 3: mant = 0; break;
    default: break;
    }
    if (r & 0x18 && mant)
        mant |= BIT64(63);
    if (r & 0x60)
        se = (u16)((se & 0x8000) |
                   (r & 0x80 ? exponents[r >> 16 & 15] : 0x3fff - 32 + (r >> 16 & 63)));
    st_le64(p, mant);
    st_le16(p + 8, se);
}

/* Values of one kind in a vector register, or in 16 bytes of memory. */
static void random_vector(struct rng *rng, u8 *p)
{
    unsigned kind = (unsigned)rng_below(rng, 4);

    for (unsigned i = 0; i < 16; i += kind == 0 ? 4 : 8) {
        if (kind == 0)
            st_le32(p + i, random_f32(rng));
        else
            st_le64(p + i, kind == 1   ? random_f64(rng)
                           : kind == 2 ? random_integer(rng)
                                       : rng_next(rng));
    }
}

/* ---- state ----------------------------------------------------------------------------------- */

static u16 random_x87_status(struct rng *rng, u16 cw)
{
    u16 sw = (u16)(rng_next(rng) & 0x7f00); /* TOP and the condition codes */

    if (one_in(rng, 4))
        sw |= (u16)(rng_next(rng) & 0x7f);
    if (!one_in(rng, 16))
        sw &= (u16) ~(~cw & 0x3f); /* nothing pending */
    if (sw & ~cw & 0x3f)
        sw |= 0x8080;
    return sw;
}

static void random_fx(struct rng *rng, u8 *fx)
{
    u16 cw = one_in(rng, 2) ? 0x37f : (u16)(0x40 | (rng_next(rng) & 0x1f3f));
    u32 mxcsr = one_in(rng, 2) ? 0x1f80 : (u32)(rng_next(rng) & 0xffff);

    memset(fx, 0, 512);
    if (!one_in(rng, 8))
        cw |= 0x3f;
    if (!one_in(rng, 8))
        mxcsr |= 0x1f80;
    st_le16(fx, cw);
    st_le16(fx + 2, random_x87_status(rng, cw));
    fx[4] = (u8)(rng_next(rng) | rng_next(rng) | rng_next(rng));
    st_le32(fx + 24, mxcsr);
    for (unsigned i = 0; i < 8; i++)
        random_f80(rng, fx + 32 + 16 * i);
    for (unsigned i = 0; i < 16; i++)
        random_vector(rng, fx + 160 + 16 * i);
}

/* Often zero, as VZEROUPPER leaves them. */
static void random_upper_halves(struct rng *rng, struct oracle_state *s)
{
    bool zero = one_in(rng, 4);

    for (unsigned i = 0; i < 16; i++)
        if (zero)
            memset(s->upper[i], 0, 16);
        else
            random_vector(rng, s->upper[i]);
}

/* Mostly in the middle and aligned, sometimes over the page boundary or the edges of DATA. */
static u64 random_target(struct rng *rng)
{
    u64 r = rng_next(rng);

    switch (r & 15) {
    case 0: return ORACLE_DATA + 0x1000 - 20 + (r >> 8 & 31);
    case 1: return ORACLE_DATA + ORACLE_DATA_BYTES - 24 + (r >> 8 & 31);
    case 2: return ORACLE_DATA - 8 + (r >> 8 & 31);
    case 3:
    case 4: return ORACLE_DATA + 0x200 + (r >> 8 & 0x1bff);
    default: return ORACLE_DATA + 0x200 + (r >> 8 & 0x1bf0);
    }
}

static void random_state(struct rng *rng, struct oracle_case *c)
{
    struct oracle_state *s = &c->before;

    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = random_integer(rng);
        if (c->code == 32)
            s->gpr[i] = i < 8 ? (u32)s->gpr[i] : 0;
    }
    s->gpr[RSP] = random_target(rng);
    s->flags = (rng_next(rng) & 0x8d5) | 2 | (one_in(rng, 4) ? EFLAGS_DF : 0);
    random_fx(rng, s->fx);
    random_upper_halves(rng, s);
}

/* Filling two pages costs more than everything else: only what the operand touches is new. */
static void random_data(struct rng *rng, u8 *data, u64 target)
{
    u64 first = (target - ORACLE_DATA) & ~15ull;

    if (one_in(rng, 64))
        for (unsigned i = 0; i < ORACLE_DATA_BYTES; i += 8)
            st_le64(data + i, rng_next(rng));
    for (u64 i = first - 32; i != first + 64; i += 16)
        if (i < ORACLE_DATA_BYTES)
            random_vector(rng, data + i);
    if (one_in(rng, 4) && target - ORACLE_DATA < ORACLE_DATA_BYTES - 16)
        random_f80(rng, data + (target - ORACLE_DATA));
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Chooses registers (or the displacement) so that the memory operand is at the target. */
static void aim(struct oracle_case *c, unsigned behind, u64 target)
{
    const struct insn *in = &c->in;
    u64 *gpr = c->before.gpr, want = target - (u64)(s64)in->disp;
    bool sib = (in->modrm & 7) == 4;

    if (in->asz == 2)
        return;
    if (in->base == REG_RIP) {
        st_le32(c->bytes + behind, (u32)(target - (ORACLE_CODE + c->at + in->len)));
    } else if (in->base == REG_NONE && in->index == REG_NONE) {
        st_le32(c->bytes + behind + sib, (u32)target);
    } else if (in->base == REG_NONE) {
        gpr[in->index] = want >> in->scale;
    } else if (in->index == REG_NONE) {
        gpr[in->base] = want;
    } else if (in->base == in->index) {
        gpr[in->base] = want / (1 + BIT64(in->scale));
    } else {
        gpr[in->base] = want - (gpr[in->index] << in->scale);
    }
    if (in->asz == 4 && c->code == 32)
        for (unsigned i = 0; i < 8; i++)
            gpr[i] = (u32)gpr[i];
}

/* The linear address that the operand really has: after aim, or at random. */
static u64 effective_address(const struct oracle_case *c)
{
    const struct insn *in = &c->in;
    u64 ea = (u64)(s64)in->disp;

    if (in->base == REG_RIP)
        ea += ORACLE_CODE + c->at + in->len;
    else if (in->base != REG_NONE)
        ea += c->before.gpr[in->base];
    if (in->index != REG_NONE)
        ea += c->before.gpr[in->index] << in->scale;
    return ea & mask64(in->asz * 8u);
}

/* What is mapped on the host but not in the guest must not be hit: the stub and its context, the
 * test itself and its libraries, the shadow memory of sanitizers. All of that lies here. */
static bool on_the_host_only(u64 va)
{
    return va >= 0x60000000 && va < BIT64(47);
}

/* ---- implied operands ------------------------------------------------------------------------ */

static bool name_is(const struct insn_row *r, const char *name)
{
    return strncmp(r->name, name, strlen(name)) == 0;
}

/* Stores to DS:rDI. */
static bool is_maskmov(const struct insn_row *r)
{
    return name_is(r, "maskmov") || name_is(r, "vmaskmovdqu");
}

/* RSI, RDI and a count that ends, for string instructions and MASKMOV. */
static void aim_strings(struct rng *rng, struct oracle_case *c)
{
    u64 *gpr = c->before.gpr;

    gpr[RSI] = random_target(rng);
    gpr[RDI] = one_in(rng, 3) ? gpr[RSI] + rng_below(rng, 64) - 32 : random_target(rng);
    gpr[RCX] = one_in(rng, 8) ? rng_below(rng, 0x1800) : rng_below(rng, 40);
    if (c->code == 64 && c->in.asz == 8 && one_in(rng, 64))
        gpr[RCX] |= rng_next(rng) << 32;
    if (c->in.asz == 4 && c->code == 64 && one_in(rng, 2)) {
        gpr[RSI] |= rng_next(rng) << 32;
        gpr[RDI] |= rng_next(rng) << 32;
        gpr[RCX] |= rng_next(rng) << 32;
    }
}

/* Byte n of a vector register before the instruction. */
static u8 *vector_byte(struct oracle_case *c, unsigned r, unsigned n)
{
    return n < 16 ? c->before.fx + 160 + 16 * r + n : &c->before.upper[r][n - 16];
}

/* Elements of a gather are near its base, which lies in DATA, some outside of it; those that the
 * mask leaves out may be anywhere. */
static void aim_gather(struct rng *rng, struct oracle_case *c, const struct insn_row *r)
{
    unsigned index_size = r->opcode & 1 ? 8 : 4, size = r->attr & A_W1 ? 8 : 4;

    for (unsigned i = 0; i < 32 / index_size; i++) {
        unsigned sign = i * size + size - 1;
        bool selected = sign >= 32 || *vector_byte(c, c->in.vvvv, sign) & 0x80;
        u64 v = one_in(rng, 32) ? rng_below(rng, 0x8000) - 0x4000 : rng_below(rng, 400) - 200;
        v = (u64)((s64)v >> c->in.scale);
        if (!selected && one_in(rng, 4))
            v = rng_next(rng);
        for (unsigned n = 0; n < index_size; n++)
            *vector_byte(c, c->in.rm, i * index_size + n) = (u8)(v >> 8 * n);
    }
}

static void aim_implied(struct rng *rng, struct oracle_case *c, const struct insn_row *r)
{
    u64 *gpr = c->before.gpr;

    if (r->cls == STRING || is_maskmov(r))
        aim_strings(rng, c);
    if (row_has_letter(r, OPND_Mvs))
        aim_gather(rng, c, r);
    if (name_is(r, "xlat"))
        gpr[RBX] = random_target(rng);
    if (name_is(r, "leave") || name_is(r, "enter"))
        gpr[RBP] = random_target(rng);
    if (c->code == 64 && c->in.asz == 4 && name_is(r, "xlat"))
        gpr[RBX] |= rng_next(rng) << 32;
}

/* Bit strings reach far from their operand; mostly they shall not. */
static void tame_bit_offset(struct rng *rng, struct oracle_case *c, const struct insn_row *r)
{
    if (c->in.mem && name_is(r, "bt") && row_has_letter(r, OPND_Gv))
        c->before.gpr[c->in.reg] = one_in(rng, 16)
                                       ? rng_next(rng) & 0x7fffffff
                                       : (rng_below(rng, 0x4000) - 0x2000) & mask64(c->code);
}

/* What memory must not hold: a TF for POPF, MXCSR bits that are always #GP. */
static void tame_data(struct rng *rng, struct oracle_case *c, const struct insn_row *r, u64 target)
{
    u64 sp = c->before.gpr[RSP] - ORACLE_DATA, at = target - ORACLE_DATA;

    if (name_is(r, "popf") && sp < ORACLE_DATA_BYTES - 1)
        c->data[sp + 1] &= 0xfe;
    if ((name_is(r, "ldmxcsr") || name_is(r, "vldmxcsr")) && at < ORACLE_DATA_BYTES - 4 &&
        !one_in(rng, 8))
        st_le16(c->data + at + 2, 0);
    if (name_is(r, "fxrstor") && at < ORACLE_DATA_BYTES - 512 && !one_in(rng, 8))
        random_fx(rng, c->data + at);
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* Not with the segments of the C library, nor with 16-bit addresses, which reach no page of ours.
 */
static bool can_aim(const struct oracle_case *c)
{
    if (c->in.seg == SEG_FS || c->in.seg == SEG_GS)
        return false;
    return !c->in.mem || c->in.asz != 2;
}

static bool random_instruction(struct rng *rng, struct oracle_case *c, u64 gates, unsigned *behind)
{
    const struct insn_row *r = &insn_rows[c->row];
    u8 bytes[ROW_BYTES];

    if (r->attr & A_NODECODE || r->attr & (c->code == 64 ? A_I64 : A_O64))
        return false;
    for (unsigned i = 0; i < 100; i++) {
        *behind = row_encode(r, rng, c->code, bytes);
        if (decode(bytes, INSN_MAX_BYTES, c->code, false, gates, &c->in) != DECODE_OK ||
            c->in.row != c->row || !can_aim(c))
            continue;
        c->len = c->in.len;
        memcpy(c->bytes, bytes, INSN_MAX_BYTES);
        return true;
    }
    return false;
}

/* CMP AL,AL behind it: the interpreter may then drop the flags of the instruction under test. */
static void kill_flags(struct oracle_case *c)
{
    c->bytes[c->len++] = 0x38;
    c->bytes[c->len++] = 0xc0;
    c->flags_dead = true;
}

bool oracle_generate(struct rng *rng, unsigned row, unsigned code, u64 gates, struct oracle_case *c)
{
    const struct insn_row *r = &insn_rows[row];
    u64 target = random_target(rng);
    unsigned behind;

    c->code = code;
    c->row = row;
    c->count = 1;
    c->undefined = 0;
    c->flags_dead = false;
    c->at = 0x100 + (unsigned)rng_below(rng, 64);
    if (!random_instruction(rng, c, gates, &behind))
        return false;
    random_state(rng, c);
    tame_bit_offset(rng, c, r);
    aim_implied(rng, c, r);
    if (c->in.mem && r->modrm && !one_in(rng, 64))
        aim(c, behind, target);
    else if (c->in.mem && !r->modrm)
        memcpy(c->bytes + behind, &target, c->in.asz);
    if (decode(c->bytes, INSN_MAX_BYTES, code, false, gates, &c->in) != DECODE_OK ||
        c->in.row != row)
        return false;
    if (on_the_host_only(effective_address(c)) || on_the_host_only(c->before.gpr[RSP]))
        return false;
    random_data(rng, c->data, c->in.mem ? target : c->before.gpr[RSP]);
    tame_data(rng, c, r, target);
    if (r->fl_write && one_in(rng, 4))
        kill_flags(c);
    return true;
}

/* ---- in the middle of a sequence, where the state is what it is ------------------------------ */

void oracle_generate_state(struct rng *rng, struct oracle_case *c)
{
    random_state(rng, c);
    for (unsigned i = 0; i < (c->code == 64 ? 16u : 8u); i++)
        if (one_in(rng, 2))
            c->before.gpr[i] = random_target(rng);
        else if (one_in(rng, 32)) /* the end of a page that is not mapped */
            c->before.gpr[i] = (rng_below(rng, 255) + 1) * PAGE_SIZE - rng_below(rng, 24);
    if (one_in(rng, 2))
        c->before.gpr[RCX] = rng_below(rng, 40); /* repeats that end */
    random_data(rng, c->data, random_target(rng));
    random_data(rng, c->data, c->before.gpr[RSP]);
}

bool oracle_state_is_safe(const struct oracle_state *s)
{
    return !on_the_host_only(s->gpr[RSP]) && !(s->flags & (EFLAGS_TF | EFLAGS_AC));
}

/* Makes a displacement of 32 bits of a shorter one. */
static void lengthen_displacement(struct oracle_case *c, unsigned behind)
{
    const struct insn *in = &c->in;
    if (in->mem && insn_rows[c->row].modrm && in->asz != 2 && in->base < 16)
        c->bytes[behind - 1] = (u8)((c->bytes[behind - 1] & 0x3f) | 0x80);
}

/* Chooses the displacement so that the memory operand is at the target; false: out of reach. */
static bool aim_displacement(struct oracle_case *c, unsigned behind, u64 target)
{
    const struct insn *in = &c->in;
    bool sib = (in->modrm & 7) == 4;
    u64 d = target - (effective_address(c) - (u64)(s64)in->disp);

    if (in->base == REG_RIP) {
        st_le32(c->bytes + behind, (u32)(target - (ORACLE_CODE + c->at + in->len)));
        return true;
    }
    if (in->base != REG_NONE && in->modrm >> 6 != 2) /* it has none of 32 bits */
        return effective_address(c) - ORACLE_DATA < ORACLE_DATA_BYTES - 16;
    if (in->asz == 8 && (u64)(s64)(s32)d != d)
        return false;
    st_le32(c->bytes + behind + sib, (u32)d);
    return true;
}

/* Instructions that come later are not in CODE yet. */
static bool is_off_limits(u64 va)
{
    return on_the_host_only(va) || va - (ORACLE_CODE - 64) < ORACLE_CODE_BYTES + 64;
}

/* Do operands that no ModRM names stay away from what only the host has? */
static bool implied_are_safe(const struct oracle_case *c, const struct insn_row *r)
{
    const u64 *gpr = c->before.gpr, mask = mask64(c->in.asz * 8u);
    s64 bit = (s64)gpr[c->in.reg & 15];

    if (r->cls == STRING || is_maskmov(r))
        if (is_off_limits(gpr[RSI] & mask) || is_off_limits(gpr[RDI] & mask))
            return false;
    if (name_is(r, "xlat") && is_off_limits((gpr[RBX] + (gpr[RAX] & 0xff)) & mask))
        return false;
    if ((name_is(r, "leave") || name_is(r, "enter")) && is_off_limits(gpr[RBP]))
        return false;
    if (c->in.mem && name_is(r, "bt") && row_has_letter(r, OPND_Gv)) {
        bit = (s64)sext((u64)bit, c->in.osz * 8);
        return !is_off_limits((effective_address(c) + (u64)(bit >> 3)) & mask);
    }
    return true;
}

/* POPF must not set TF, nor AC, which the translator leaves to the interpreter. */
static bool pops_trap_flag(const struct oracle_case *c, const struct insn_row *r)
{
    u64 sp = c->before.gpr[RSP] - ORACLE_DATA;
    return name_is(r, "popf") && sp < ORACLE_DATA_BYTES - 2 &&
           (c->data[sp + 1] & 1 || c->data[sp + 2] & 4);
}

bool oracle_generate_next(struct rng *rng, unsigned row, u64 gates, struct oracle_case *c)
{
    const struct insn_row *r = &insn_rows[row];
    u64 target = random_target(rng);
    unsigned behind;

    c->row = row;
    c->count = 1;
    c->undefined = 0;
    c->flags_dead = false;
    if (!random_instruction(rng, c, gates, &behind))
        return false;
    lengthen_displacement(c, behind);
    if (decode(c->bytes, INSN_MAX_BYTES, c->code, false, gates, &c->in) != DECODE_OK)
        return false;
    if (c->in.mem && !r->modrm)
        memcpy(c->bytes + behind, &target, c->in.asz);
    else if (c->in.mem && !aim_displacement(c, behind, target) && !one_in(rng, 64))
        return false;
    if (decode(c->bytes, INSN_MAX_BYTES, c->code, false, gates, &c->in) != DECODE_OK ||
        c->in.row != row)
        return false;
    c->len = c->in.len;
    return !is_off_limits(effective_address(c)) && implied_are_safe(c, r) && !pops_trap_flag(c, r);
}
