/*
 * decode.c: bytes to records, driven by the rows of insn.def.
 *
 * Intel SDM vol. 2A chapter 2 (instruction format), vol. 2D appendix A (opcode maps); AMD APM
 * vol. 3 chapter 1 for XOP and 3DNow!, which are read for their length and are #UD.
 *
 * Not here: fetching bytes and their page faults (block.c), CPL and the choice of a handler.
 *
 * The way of an instruction: prefixes -> escape bytes or VEX -> slot of (map, opcode) -> ModRM byte
 * -> the row that fits -> memory operand -> immediates. Bytes that fit no row are #UD, and their
 * length follows the layout that the opcode maps give to their slot.
 */
#include "cpu/decode.h"
#include "base/bits.h"
#include "base/err.h"
#include "cpu/cpu.h"
#include <pthread.h>

/* ---- operand letters ------------------------------------------------------------------------- */

enum opnd_kind {
    K_NONE,   /* implied, or nothing for the decoder to do */
    K_RM,     /* general register or memory by ModRM.rm */
    K_RM_VEC, /* vector register or memory */
    K_RM_LOW, /* MMX or x87 register: REX.B does not count */
    K_MEM,
    K_REG,     /* general register by ModRM.reg */
    K_REG_EXT, /* vector, control or debug register: REX.R counts */
    K_REG_LOW, /* MMX or segment register: it does not */
    K_OPREG,   /* low three bits of the opcode */
    K_ACC,
    K_VVVV,
    K_ONE,
    K_IB,
    K_IBU,
    K_IW,
    K_IZ,
    K_IV,
    K_IW_IB,
    K_JZ,
    K_FAR,
    K_OFFSET,
    K_IREG, /* vector register in an immediate's high half */
    K_VSIB, /* memory whose index is a vector register */
};

/* Size of a general operand, for osz. */
enum opnd_size { S_NONE, S_B, S_W, S_D, S_Q, S_V, S_Z, S_Y };

struct opnd_info {
    u8 kind, size;
};

static const struct opnd_info opnds[OPND_COUNT] = {
    [OPND_Eb] = {K_RM, S_B},          [OPND_Ew] = {K_RM, S_W},
    [OPND_Ed] = {K_RM, S_D},          [OPND_Eq] = {K_RM, S_Q},
    [OPND_Ev] = {K_RM, S_V},          [OPND_Ey] = {K_RM, S_Y},
    [OPND_Ep] = {K_MEM, S_NONE},      [OPND_Rd] = {K_RM, S_D},
    [OPND_Ry] = {K_RM, S_Y},          [OPND_RdMb] = {K_RM, S_D},
    [OPND_RdMw] = {K_RM, S_D},        [OPND_Rw_Mw] = {K_RM, S_V},
    [OPND_Gb] = {K_REG, S_B},         [OPND_Gw] = {K_REG, S_W},
    [OPND_Gd] = {K_REG, S_D},         [OPND_Gq] = {K_REG, S_Q},
    [OPND_Gv] = {K_REG, S_V},         [OPND_Gy] = {K_REG, S_Y},
    [OPND_Gz] = {K_REG, S_Z},         [OPND_Zb] = {K_OPREG, S_B},
    [OPND_Zv] = {K_OPREG, S_V},       [OPND_Zd] = {K_OPREG, S_D},
    [OPND_Zq] = {K_OPREG, S_Q},       [OPND_AL] = {K_ACC, S_B},
    [OPND_rAX] = {K_ACC, S_V},        [OPND_eAX] = {K_ACC, S_Z},
    [OPND_AX] = {K_ACC, S_W},         [OPND_One] = {K_ONE, S_NONE},
    [OPND_Ib] = {K_IB, S_NONE},       [OPND_Ibu] = {K_IBU, S_NONE},
    [OPND_Iw] = {K_IW, S_NONE},       [OPND_Iz] = {K_IZ, S_NONE},
    [OPND_Iv] = {K_IV, S_NONE},       [OPND_Iw_Ib] = {K_IW_IB, S_NONE},
    [OPND_Jb] = {K_IB, S_NONE},       [OPND_Jz] = {K_JZ, S_NONE},
    [OPND_Ap] = {K_FAR, S_NONE},      [OPND_Ob] = {K_OFFSET, S_B},
    [OPND_Ov] = {K_OFFSET, S_V},      [OPND_Sw] = {K_REG_LOW, S_NONE},
    [OPND_Cy] = {K_REG_EXT, S_NONE},  [OPND_Dy] = {K_REG_EXT, S_NONE},
    [OPND_Xb] = {K_NONE, S_B},        [OPND_Xv] = {K_NONE, S_V},
    [OPND_Xz] = {K_NONE, S_Z},        [OPND_Yb] = {K_NONE, S_B},
    [OPND_Yv] = {K_NONE, S_V},        [OPND_Yz] = {K_NONE, S_Z},
    [OPND_M] = {K_MEM, S_NONE},       [OPND_Mb] = {K_MEM, S_B},
    [OPND_Mw] = {K_MEM, S_W},         [OPND_Md] = {K_MEM, S_D},
    [OPND_Mq] = {K_MEM, S_Q},         [OPND_Mdq] = {K_MEM, S_NONE},
    [OPND_Mv] = {K_MEM, S_V},         [OPND_My] = {K_MEM, S_Y},
    [OPND_Mp] = {K_MEM, S_NONE},      [OPND_Ma] = {K_MEM, S_V},
    [OPND_Ms] = {K_MEM, S_NONE},      [OPND_Mt] = {K_MEM, S_NONE},
    [OPND_Mfw] = {K_MEM, S_NONE},     [OPND_Mfenv] = {K_MEM, S_NONE},
    [OPND_Mfst] = {K_MEM, S_NONE},    [OPND_Mfx] = {K_MEM, S_NONE},
    [OPND_Mxs] = {K_MEM, S_NONE},     [OPND_Mi16] = {K_MEM, S_NONE},
    [OPND_Mi32] = {K_MEM, S_NONE},    [OPND_Mi64] = {K_MEM, S_NONE},
    [OPND_Mf32] = {K_MEM, S_NONE},    [OPND_Mf64] = {K_MEM, S_NONE},
    [OPND_Mf80] = {K_MEM, S_NONE},    [OPND_Mbcd] = {K_MEM, S_NONE},
    [OPND_STi] = {K_RM_LOW, S_NONE},  [OPND_Vx] = {K_REG_EXT, S_NONE},
    [OPND_Vps] = {K_REG_EXT, S_NONE}, [OPND_Vpd] = {K_REG_EXT, S_NONE},
    [OPND_Vss] = {K_REG_EXT, S_NONE}, [OPND_Vsd] = {K_REG_EXT, S_NONE},
    [OPND_Vdq] = {K_REG_EXT, S_NONE}, [OPND_Vq] = {K_REG_EXT, S_NONE},
    [OPND_Vd] = {K_REG_EXT, S_NONE},  [OPND_Wx] = {K_RM_VEC, S_NONE},
    [OPND_Wps] = {K_RM_VEC, S_NONE},  [OPND_Wpd] = {K_RM_VEC, S_NONE},
    [OPND_Wss] = {K_RM_VEC, S_NONE},  [OPND_Wsd] = {K_RM_VEC, S_NONE},
    [OPND_Wdq] = {K_RM_VEC, S_NONE},  [OPND_Wq] = {K_RM_VEC, S_NONE},
    [OPND_Wd] = {K_RM_VEC, S_NONE},   [OPND_Ww] = {K_RM_VEC, S_NONE},
    [OPND_Udq] = {K_RM_VEC, S_NONE},  [OPND_Ups] = {K_RM_VEC, S_NONE},
    [OPND_Upd] = {K_RM_VEC, S_NONE},  [OPND_Uq] = {K_RM_VEC, S_NONE},
    [OPND_Pq] = {K_REG_LOW, S_NONE},  [OPND_Pd] = {K_REG_LOW, S_NONE},
    [OPND_Qq] = {K_RM_LOW, S_NONE},   [OPND_Qd] = {K_RM_LOW, S_NONE},
    [OPND_Qpi] = {K_RM_LOW, S_NONE},  [OPND_Nq] = {K_RM_LOW, S_NONE},
    [OPND_By] = {K_VVVV, S_Y},        [OPND_Hx] = {K_VVVV, S_NONE},
    [OPND_Ux] = {K_RM_VEC, S_NONE},   [OPND_Wh] = {K_RM_VEC, S_NONE},
    [OPND_Wf] = {K_RM_VEC, S_NONE},   [OPND_We] = {K_RM_VEC, S_NONE},
    [OPND_Wb] = {K_RM_VEC, S_NONE},   [OPND_Mx] = {K_MEM, S_NONE},
    [OPND_Lx] = {K_IREG, S_NONE},     [OPND_Mvs] = {K_VSIB, S_NONE},
};

/* ---- index ----------------------------------------------------------------------------------- */

#define INDEX_MAX 8192

/* Per slot the rows that live there, the most specific first. Built once, const afterwards. */
static struct {
    u16 first[INSN_MAPS][256];
    u8 count[INSN_MAPS][256];
    u16 order[INDEX_MAX];
} row_index;

#define A_CONDITIONS                                                                               \
    (A_O16 | A_O32 | A_W0 | A_W1 | A_L0 | A_L1 | A_A16 | A_A32 | A_A64 | A_B0 | A_NOREP)

/* The order of insn.def, "Which row". */
static unsigned row_specificity(const struct insn_row *r)
{
    unsigned form = r->modrm & MRM_HAS_RM              ? 3
                    : r->modrm & MRM_HAS_REG           ? 2
                    : r->modrm & (MRM_MEM | MRM_REG) ? 1
                                                       : 0;
    return (r->pfx != ANY ? 1000u : 0) + form * 100 + (r->attr & A_PLUSR ? 0 : 50u) +
           (unsigned)__builtin_popcount(r->attr & A_CONDITIONS);
}

static void index_insert(unsigned map, unsigned opcode, unsigned row)
{
    u16 *slot = &row_index.order[row_index.first[map][opcode]];
    unsigned i = row_index.count[map][opcode]++;
    unsigned rank = row_specificity(&insn_rows[row]);

    for (; i > 0 && row_specificity(&insn_rows[slot[i - 1]]) < rank; i--)
        slot[i] = slot[i - 1];
    slot[i] = (u16)row;
}

static void index_build(void)
{
    u16 sizes[INSN_MAPS][256] = {{0}};
    unsigned total = 0;

    BUG_ON(insn_row_count > UINT16_MAX);
    for (unsigned i = 0; i < insn_row_count; i++) {
        const struct insn_row *r = &insn_rows[i];
        if (r->attr & A_NODECODE)
            continue;
        for (unsigned n = 0; n < (r->attr & A_PLUSR ? 8u : 1u); n++)
            sizes[r->map][(r->opcode + n) & 0xff]++;
    }
    for (unsigned map = 0; map < INSN_MAPS; map++) {
        for (unsigned op = 0; op < 256; op++) {
            row_index.first[map][op] = (u16)total;
            total += sizes[map][op];
            BUG_ON(sizes[map][op] > UINT8_MAX || total > INDEX_MAX);
        }
    }
    for (unsigned i = 0; i < insn_row_count; i++) {
        const struct insn_row *r = &insn_rows[i];
        if (r->attr & A_NODECODE)
            continue;
        for (unsigned n = 0; n < (r->attr & A_PLUSR ? 8u : 1u); n++)
            index_insert(r->map, (r->opcode + n) & 0xff, i);
    }
}

/* ---- the bytes ------------------------------------------------------------------------------- */

struct decoder {
    const u8 *bytes;
    unsigned pos, limit;
    bool overrun;  /* a byte beyond the limit was asked for */
    unsigned code; /* 16, 32, 64 */
    bool real;
    u64 gates;

    u8 rex;        /* 40..4F, or 0; VEX fills it too */
    u8 rep;        /* F2, F3 or 0 */
    bool p66, p67, lock;
    u8 seg;        /* enum seg_id, SEG_NONE without override */
    bool vex;
    bool bad;      /* #UD whatever the row says */
    u8 pp;         /* mandatory prefix as the rows see it: NP, P66, PF3, PF2 */
    u8 vvvv;
    bool vex_l;
    unsigned asz;
    bool mod3;     /* ModRM.rm is a register */
    bool vsib;     /* the SIB byte's index is a vector register */
};

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

static u8 fetch8(struct decoder *d)
{
    if (unlikely(d->pos >= d->limit)) {
        d->overrun = true;
        return 0;
    }
    return d->bytes[d->pos++];
}

static u64 fetch(struct decoder *d, unsigned size)
{
    u64 v;

    if (unlikely(d->pos + size > d->limit)) {
        d->pos = d->limit;
        d->overrun = true;
        return 0;
    }
    v = ld_le(d->bytes + d->pos, size);
    d->pos += size;
    return v;
}

static u8 peek8(struct decoder *d)
{
    u8 b = fetch8(d);
    if (!d->overrun)
        d->pos--;
    return b;
}

static s32 fetch_signed(struct decoder *d, unsigned size)
{
    return (s32)sext(fetch(d, size), size * 8);
}

/* ---- prefixes -------------------------------------------------------------------------------- */

/* In 64-bit mode the ES, CS, SS and DS overrides are null prefixes. */
static void set_segment(struct decoder *d, enum seg_id seg)
{
    if (d->code != 64 || seg == SEG_FS || seg == SEG_GS)
        d->seg = (u8)seg;
}

/* Reads all prefixes and returns the byte after them. A REX counts only directly before it. */
static u8 read_prefixes(struct decoder *d)
{
    for (;;) {
        u8 b = fetch8(d);
        if (d->code == 64 && (b & 0xf0) == 0x40) {
            d->rex = b;
            continue;
        }
        switch (b) {
        case 0x26: set_segment(d, SEG_ES); break;
        case 0x2e: set_segment(d, SEG_CS); break;
        case 0x36: set_segment(d, SEG_SS); break;
        case 0x3e: set_segment(d, SEG_DS); break;
        case 0x64: set_segment(d, SEG_FS); break;
        case 0x65: set_segment(d, SEG_GS); break;
        case 0x66: d->p66 = true; break;
        case 0x67: d->p67 = true; break;
        case 0xf0: d->lock = true; break;
        case 0xf2:
        case 0xf3: d->rep = b; break;
        default: return b;
        }
        d->rex = 0;
    }
}

static unsigned address_size(const struct decoder *d)
{
    switch (d->code) {
    case 16: return d->p67 ? 4 : 2;
    case 32: return d->p67 ? 2 : 4;
    default: return d->p67 ? 4 : 8;
    }
}

/* ---- opcode maps ----------------------------------------------------------------------------- */

/* Where the opcode is: the slot's rows, or for what no row knows the layout alone. */
struct slot {
    enum insn_map map;
    u8 opcode;
    bool no_rows;   /* EVEX, XOP, 3DNow!, reserved VEX maps: the fields below are all there is */
    bool has_modrm;
    u8 imm_bytes;
};

static bool in_set(const u32 set[8], u8 opcode)
{
    return set[opcode >> 5] >> (opcode & 31) & 1;
}

/* Map 0F, opcodes without ModRM byte: 04-0C 0E 30-37 77 80-8F A0-A2 A8-AA C8-CF, and the holes
 * 39 3B-3F. */
static const u32 tb_no_modrm[8] = {0x00005ff0, 0xfaff0000, 0,          0x00800000,
                                   0x0000ffff, 0x00000707, 0x0000ff00, 0};
/* Map 0F (and VEX and EVEX map 1) with an 8-bit immediate: 70-73 A4 AC BA C2 C4-C6. */
static const u32 tb_imm8[8] = {0, 0, 0, 0x000f0000, 0, 0x04001010, 0x00000074, 0};

/* Layout of a slot that has no row. Map OB: only D6 and F1 could be such, without operands. */
static void undefined_layout(struct slot *s)
{
    switch (s->map) {
    case OB: break;
    case TB:
        s->has_modrm = !in_set(tb_no_modrm, s->opcode);
        s->imm_bytes = in_set(tb_imm8, s->opcode);
        break;
    case VEX_0F:
        s->has_modrm = s->opcode != 0x77;
        s->imm_bytes = in_set(tb_imm8, s->opcode);
        break;
    case T3A:
    case VEX_3A: s->imm_bytes = 1; /* fallthrough */
    default: s->has_modrm = true; break;
    }
}

/* C4, C5 and 62 are LES, LDS and BOUND where those exist and have a memory operand. */
static bool is_vex(struct decoder *d)
{
    return d->code == 64 || (!d->real && peek8(d) >= 0xc0);
}

/* Fields that VEX, EVEX and XOP share: inverted R, X, B of the byte after the first. */
static void vex_rxb(struct decoder *d, u8 b)
{
    if (d->p66 || d->rep || d->lock || d->rex)
        d->bad = true;
    d->vex = true;
    d->rex = d->code == 64 ? (u8)(0x40 | (~b >> 5 & (REX_R | REX_X | REX_B))) : 0x40;
}

/* W, vvvv, L and pp of the last prefix byte. */
static void vex_wvlp(struct decoder *d, u8 b, bool has_w)
{
    static const u8 pp[4] = {NP, P66, PF3, PF2};

    if (has_w && b & 0x80)
        d->rex |= REX_W;
    d->vvvv = (u8)(~b >> 3 & (d->code == 64 ? 15 : 7));
    d->vex_l = b >> 2 & 1;
    d->pp = pp[b & 3];
}

static void read_vex(struct decoder *d, u8 first, struct slot *s)
{
    unsigned map = 1;
    u8 b = fetch8(d);

    if (first == 0xc5) {
        vex_rxb(d, (b & 0x80) | 0x60);
        vex_wvlp(d, b, false);
    } else {
        map = b & 0x1f;
        vex_rxb(d, b);
        vex_wvlp(d, fetch8(d), true);
    }
    s->map = map == 1 ? VEX_0F : map == 2 ? VEX_38 : VEX_3A;
    s->no_rows = map < 1 || map > 3;
    s->opcode = fetch8(d);
    if (s->no_rows) {
        s->map = VEX_38;
        undefined_layout(s);
    }
}

static void read_evex(struct decoder *d, struct slot *s)
{
    unsigned map = fetch8(d) & 7;

    fetch(d, 2);
    s->no_rows = true;
    s->map = map == 1 ? VEX_0F : map == 3 ? VEX_3A : VEX_38;
    s->opcode = fetch8(d);
    undefined_layout(s);
    s->has_modrm = true;
}

static void read_xop(struct decoder *d, struct slot *s)
{
    unsigned map = fetch8(d) & 0x1f;

    fetch8(d);
    s->no_rows = true;
    s->opcode = fetch8(d);
    s->has_modrm = true;
    s->imm_bytes = map == 8 ? 1 : map == 10 ? 4 : 0;
}

static void read_two_byte(struct decoder *d, struct slot *s)
{
    s->map = TB;
    s->opcode = fetch8(d);
    if (s->opcode == 0x38 || s->opcode == 0x3a) {
        s->map = s->opcode == 0x38 ? T38 : T3A;
        s->opcode = fetch8(d);
    } else if (s->opcode == 0x0f) { /* 3DNow!: the opcode stands where the immediate does */
        s->no_rows = true;
        s->has_modrm = true;
        s->imm_bytes = 1;
    }
}

static void read_opcode(struct decoder *d, struct slot *s)
{
    u8 b = read_prefixes(d);

    d->pp = d->rep == 0xf3 ? PF3 : d->rep == 0xf2 ? PF2 : d->p66 ? P66 : NP;
    *s = (struct slot){.map = OB, .opcode = b};
    if (d->overrun)
        return;
    if (b == 0x0f)
        read_two_byte(d, s);
    else if ((b == 0xc4 || b == 0xc5) && is_vex(d))
        read_vex(d, b, s);
    else if (b == 0x62 && is_vex(d))
        read_evex(d, s);
    else if (b == 0x8f && (peek8(d) & 0x1f) >= 8)
        read_xop(d, s);
}

/* ---- the row --------------------------------------------------------------------------------- */

/* Operand size "v" of a row in bytes. */
static unsigned v_size(const struct decoder *d, const struct insn_row *r)
{
    bool p66 = d->p66 && r->pfx != P66 && !(r->attr & A_NO66);

    if (d->code == 16)
        return p66 ? 4 : 2;
    if (d->code == 32)
        return p66 ? 2 : 4;
    if (r->attr & A_F64 || d->rex & REX_W)
        return 8;
    return p66 ? 2 : r->attr & A_D64 ? 8 : 4;
}

static bool modrm_fits(const struct insn_row *r, u8 modrm)
{
    if (r->modrm & MRM_HAS_REG && (modrm >> 3 & 7) != (r->modrm & 7))
        return false;
    if (r->modrm & MRM_HAS_RM && (modrm & 7) != (r->modrm >> 3 & 7))
        return false;
    if (r->modrm & MRM_MEM && modrm >= 0xc0)
        return false;
    return !(r->modrm & MRM_REG) || modrm >= 0xc0;
}

static bool size_conditions_hold(const struct decoder *d, const struct insn_row *r)
{
    u32 a = r->attr;

    if (a & (A_O16 | A_O32) && v_size(d, r) != (a & A_O16 ? 2 : 4))
        return false;
    if (a & (A_A16 | A_A32 | A_A64) && d->asz != (a & A_A16 ? 2u : a & A_A32 ? 4u : 8u))
        return false;
    if (a & (A_W0 | A_W1) && !(d->rex & REX_W) != !(a & A_W1))
        return false;
    return !(a & (A_L0 | A_L1)) || d->vex_l == !(a & A_L0);
}

static bool row_fits(const struct decoder *d, const struct insn_row *r, u8 modrm)
{
    u32 a = r->attr;

    if (r->pfx != ANY && r->pfx != d->pp)
        return false;
    if (!modrm_fits(r, modrm))
        return false;
    if (r->gate != GATE_NONE && !(d->gates >> r->gate & 1))
        return false;
    if (a & (d->code == 64 ? A_I64 : A_O64))
        return false;
    if ((a & A_PROT && d->real) || (a & A_B0 && d->rex & REX_B) || (a & A_NOREP && d->rep))
        return false;
    return !(a & A_CONDITIONS) || size_conditions_hold(d, r);
}

/* ROW_INVALID when none fits. */
static unsigned find_row(const struct decoder *d, const struct slot *s, u8 modrm)
{
    const u16 *rows = &row_index.order[row_index.first[s->map][s->opcode]];

    for (unsigned i = 0; i < row_index.count[s->map][s->opcode]; i++)
        if (row_fits(d, &insn_rows[rows[i]], modrm))
            return rows[i];
    return ROW_INVALID;
}

/* ---- memory operand -------------------------------------------------------------------------- */

static void memory16(struct decoder *d, u8 modrm, struct insn *out)
{
    static const u8 base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const u8 index[4] = {RSI, RDI, RSI, RDI};
    unsigned mod = modrm >> 6, rm = modrm & 7;

    if (mod == 0 && rm == 6) {
        out->disp = fetch_signed(d, 2);
        return;
    }
    out->base = base[rm];
    if (rm < 4)
        out->index = index[rm];
    if (mod)
        out->disp = fetch_signed(d, mod);
}

static void memory32(struct decoder *d, u8 modrm, struct insn *out)
{
    unsigned mod = modrm >> 6, base = modrm & 7;
    bool sib = base == 4;

    if (sib) {
        u8 b = fetch8(d);
        unsigned index = (b >> 3 & 7) | (d->rex & REX_X ? 8u : 0);
        base = b & 7;
        if (d->vsib) {
            out->rm = (u8)index;
            out->scale = (b >> 6) & 3u;
        } else if (index != RSP) {
            out->index = (u8)index;
            out->scale = (b >> 6) & 3u;
        }
    }
    if (mod == 0 && base == 5) {
        if (!sib && d->code == 64)
            out->base = REG_RIP;
        out->disp = fetch_signed(d, 4);
        return;
    }
    out->base = (u8)(base | (d->rex & REX_B ? 8u : 0));
    if (mod)
        out->disp = fetch_signed(d, mod == 1 ? 1 : 4);
}

/* The segment of a memory operand: SS under (E)SP and (E)BP; 64-bit mode has only FS and GS. */
static u8 operand_segment(const struct decoder *d, unsigned base)
{
    if (d->seg != SEG_NONE)
        return d->seg;
    if (d->code == 64)
        return SEG_NONE;
    return base == RSP || base == RBP ? SEG_SS : SEG_DS;
}

static void read_memory(struct decoder *d, u8 modrm, struct insn *out)
{
    if (d->asz == 2)
        memory16(d, modrm, out);
    else
        memory32(d, modrm, out);
    out->mem = 1;
    out->seg = operand_segment(d, out->base) & 7u;
}

/* ---- operands -------------------------------------------------------------------------------- */

static unsigned opnd_bytes(const struct decoder *d, const struct insn_row *r, enum opnd_size size)
{
    unsigned v = v_size(d, r);

    switch (size) {
    case S_B: return 1;
    case S_W: return 2;
    case S_D: return 4;
    case S_Q: return 8;
    case S_Z: return v == 2 ? 2 : 4;
    case S_Y: return d->code == 64 && (d->rex & REX_W || r->attr & A_F64) ? 8 : 4;
    default: return v;
    }
}

static unsigned operand_size(const struct decoder *d, const struct insn_row *r)
{
    for (unsigned i = 0; i < INSN_OPERANDS_MAX; i++) {
        enum opnd_size size = opnds[r->opnd[i]].size;
        if (size != S_NONE)
            return opnd_bytes(d, r, size);
    }
    return v_size(d, r);
}

/* The record's number of a general register: itself, or a byte offset. Without REX, 4 to 7 are
 * AH, CH, DH, BH. */
static u8 register_number(const struct decoder *d, unsigned reg, bool byte)
{
    if (!byte)
        return (u8)reg;
    return (u8)(reg >= 4 && !d->rex ? (reg - 4) * 8 + 1 : reg * 8);
}

static void read_immediate(struct decoder *d, enum opnd_kind kind, unsigned v, struct insn *out)
{
    unsigned z = v == 2 ? 2 : 4;
    u64 offset;

    switch (kind) {
    case K_ONE: out->imm = 1; break;
    case K_IB: out->imm = fetch_signed(d, 1); break;
    case K_IBU: out->imm = fetch8(d); break;
    case K_IW: out->imm = (s32)fetch(d, 2); break;
    case K_IZ:
    case K_JZ: out->imm = fetch_signed(d, z); break;
    case K_IV:
        if (v == 8)
            out->imm64 = fetch(d, 8);
        else
            out->imm = fetch_signed(d, v);
        break;
    case K_IW_IB: out->imm64 = fetch(d, 2) | (u64)fetch8(d) << 16; break;
    case K_FAR:
        offset = fetch(d, z);
        out->imm64 = offset | fetch(d, 2) << 32;
        break;
    case K_OFFSET:
        out->imm64 = fetch(d, d->asz);
        out->mem = 1;
        break;
    case K_IREG: out->imm = fetch8(d) >> 4 & (d->code == 64 ? 15 : 7); break;
    default: break;
    }
}

static void read_operand(struct decoder *d, const struct insn_row *r, unsigned n, struct insn *out)
{
    const struct opnd_info *o = &opnds[r->opnd[n]];
    unsigned reg = out->modrm >> 3 & 7, rm = out->modrm & 7;
    unsigned ext_r = d->rex & REX_R ? 8 : 0, ext_b = d->rex & REX_B ? 8 : 0;
    bool byte = o->size == S_B;

    switch ((enum opnd_kind)o->kind) {
    case K_NONE:
    case K_VSIB:
    case K_MEM: break;
    case K_RM:
    case K_RM_VEC:
        if (d->mod3)
            out->rm = register_number(d, rm | ext_b, byte);
        break;
    case K_RM_LOW: out->rm = (u8)rm; break;
    case K_REG: out->reg = register_number(d, reg | ext_r, byte); break;
    case K_REG_EXT: out->reg = (u8)(reg | ext_r); break;
    case K_REG_LOW: out->reg = (u8)reg; break;
    case K_OPREG: out->rm = register_number(d, (out->opcode & 7) | ext_b, byte); break;
    case K_ACC:
        if (n == 0)
            out->rm = 0;
        break;
    case K_VVVV: out->vvvv = d->vvvv & 15u; break;
    default: read_immediate(d, (enum opnd_kind)o->kind, v_size(d, r), out); break;
    }
}

static bool row_has_kind(const struct insn_row *r, enum opnd_kind kind)
{
    for (unsigned i = 0; i < INSN_OPERANDS_MAX; i++)
        if (opnds[r->opnd[i]].kind == kind)
            return true;
    return false;
}

static u8 record_prefixes(const struct decoder *d)
{
    return (u8)((d->lock ? PFX_LOCK : 0) | (d->rep == 0xf3 ? PFX_REP : 0) |
                (d->rep == 0xf2 ? PFX_REPNE : 0) | (d->p66 ? PFX_66 : 0) | (d->p67 ? PFX_67 : 0) |
                (d->rex ? PFX_REX : 0) | (d->rex & REX_W ? PFX_W : 0) |
                (d->seg != SEG_NONE ? PFX_SEG : 0));
}

/* ---- decode ---------------------------------------------------------------------------------- */

/* ModRM byte, memory operand and immediates as row `r` lays them out. */
static void read_row(struct decoder *d, const struct insn_row *r, struct insn *out)
{
    if (r->modrm) {
        d->vsib = row_has_kind(r, K_VSIB);
        out->modrm = fetch8(d);
        d->mod3 = out->modrm >= 0xc0 || r->attr & A_MOD3;
        out->reg = out->modrm >> 3 & 7;
        if (d->mod3)
            out->rm = out->modrm & 7;
        else
            read_memory(d, out->modrm, out);
    }
    out->osz = (u8)operand_size(d, r);
    for (unsigned n = 0; n < INSN_OPERANDS_MAX; n++)
        read_operand(d, r, n, out);
    if (!d->vex)
        out->vvvv = out->reg & 15u;
}

/* Reads what follows the opcode and returns the row. */
static unsigned read_known(struct decoder *d, const struct slot *s, struct insn *out)
{
    unsigned first = row_index.order[row_index.first[s->map][s->opcode]];
    bool has_modrm = insn_rows[first].modrm != 0;
    unsigned row = find_row(d, s, has_modrm ? peek8(d) : 0);
    const struct insn_row *r = &insn_rows[row];

    if (d->overrun)
        return ROW_INVALID;
    if (row == ROW_INVALID) {
        read_row(d, &insn_rows[first], out);
        return ROW_INVALID;
    }
    read_row(d, r, out);
    if (d->lock && (!(r->attr & A_LOCK) || !out->mem))
        return ROW_INVALID;
    if (d->vex && d->vvvv && !row_has_kind(r, K_VVVV))
        return ROW_INVALID;
    if (d->vsib && (d->asz == 2 || (out->modrm & 7) != 4)) /* there is no SIB byte */
        return ROW_INVALID;
    return d->bad ? ROW_INVALID : row;
}

static void read_unknown(struct decoder *d, const struct slot *s, struct insn *out)
{
    if (s->has_modrm) {
        out->modrm = fetch8(d);
        if (out->modrm < 0xc0)
            read_memory(d, out->modrm, out);
    }
    if (s->imm_bytes)
        fetch(d, s->imm_bytes);
}

static void record_init(const struct decoder *d, struct insn *out)
{
    insn_fn fn = out->fn;
    u16 off = out->off;
    u8 idx = out->idx;

    memset(out, 0, sizeof *out);
    out->fn = fn;
    out->off = off;
    out->idx = idx;
    out->base = REG_NONE;
    out->index = REG_NONE;
    out->asz = d->asz & 15;
    out->seg = operand_segment(d, REG_NONE) & 7u;
    out->osz = 4;
    out->pfx = record_prefixes(d);
    out->vex = d->vex;
    out->vex_l = d->vex_l;
}

/*T:140 From bytes to a record
 *
 * An x86 instruction has one to fifteen bytes, and its length is known only when it is decoded. The
 * result is a record of fixed size: which row of the opcode table, which registers, which
 * displacement. Records feed both engines, so an instruction is decoded once, however often it
 * runs.
 *
 * The last argument but one, `gates`, is the CPU model: a row whose CPUID bit the model lacks is
 * not found, and bytes without a row are #UD. So a model is kept honest by the decoder, not by
 * every instruction.
 */
enum decode_status decode(const u8 *bytes, unsigned avail, unsigned code_bits, bool real, u64 gates,
                          struct insn *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct decoder d = {
        .bytes = bytes,
        .limit = avail < INSN_MAX_BYTES ? avail : INSN_MAX_BYTES,
        .code = code_bits,
        .real = real,
        .gates = gates,
        .seg = SEG_NONE,
    };
    struct slot s;
    unsigned row = ROW_INVALID;

    pthread_once(&once, index_build);
    read_opcode(&d, &s);
    d.asz = address_size(&d);
    record_init(&d, out);
    out->opcode = s.opcode;
    if (!d.overrun) {
        if (!s.no_rows && row_index.count[s.map][s.opcode]) {
            row = read_known(&d, &s, out);
        } else {
            if (!s.no_rows)
                undefined_layout(&s);
            read_unknown(&d, &s, out);
        }
    }
    if (d.overrun) {
        out->len = (u8)d.limit; /* a record that faults still covers the bytes that made it */
        return avail < INSN_MAX_BYTES ? DECODE_TRUNCATED : DECODE_TOO_LONG;
    }
    if (row == ROW_INVALID) { /* nothing of the operands means anything */
        u8 opcode = out->opcode, modrm = out->modrm;
        record_init(&d, out);
        out->opcode = opcode;
        out->modrm = modrm;
    }
    out->row = (u16)row;
    out->len = (u8)d.pos;
    return DECODE_OK;
}
