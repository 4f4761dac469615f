/*
 * test_decode.c: the opcode table is consistent, and the decoder does what the manual says.
 * Random bytes against another decoder: test_capstone.c.
 */
#include "base/err.h"
#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "tests/insn/rows.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- helpers --------------------------------------------------------------------------------- */

static unsigned parse_hex(const char *hex, u8 out[ROW_BYTES])
{
    unsigned n = 0, value;
    int used;

    while (n < ROW_BYTES && sscanf(hex, " %2x%n", &value, &used) == 1) {
        out[n++] = (u8)value;
        hex += used;
    }
    return n;
}

/* Decodes all of `hex`, which must be one instruction. */
static struct insn dec(unsigned code, const char *hex)
{
    u8 bytes[ROW_BYTES];
    unsigned n = parse_hex(hex, bytes);
    struct insn in = {0};
    enum decode_status s = decode(bytes, n, code, false, ALL_GATES, &in);

    ck_assert_msg(s == DECODE_OK, "%u-bit %s: status %d", code, hex, s);
    ck_assert_msg(in.len == n, "%u-bit %s: length %u", code, hex, in.len);
    return in;
}

static const char *name_of(unsigned code, const char *hex)
{
    struct insn in = dec(code, hex);
    return insn_row(&in)->name;
}

#define ck_name(code, hex, name) ck_assert_str_eq(name_of(code, hex), name)
#define ck_ud(code, hex) ck_name(code, hex, "(bad)")

/* ---- the table ------------------------------------------------------------------------------- */

/* Everything outside the ModRM byte that decides whether a row fits. */
struct env {
    unsigned code, rep; /* 16, 32, 64; 0, F2, F3 */
    bool p66, p67, w, b, l;
};

static bool env_next(struct env *e, unsigned n)
{
    static const unsigned codes[3] = {16, 32, 64}, reps[3] = {0, 0xf2, 0xf3};

    if (n >= 3 * 3 * 32)
        return false;
    *e = (struct env){codes[n / 32 % 3], reps[n / 96], n & 1, n & 2, n & 4, n & 8, n & 16};
    return true;
}

/* The rule of insn.def, written a second time and for one environment. */
static bool env_fits(const struct env *e, const struct insn_row *r)
{
    u32 a = r->attr;
    bool vex = row_is_vex(r);
    unsigned pp = e->rep == 0xf3 ? PF3 : e->rep == 0xf2 ? PF2 : e->p66 ? P66 : NP;
    bool p66 = e->p66 && r->pfx != P66 && !(a & A_NO66) && !vex;
    bool w = e->w && (e->code == 64 || vex);
    unsigned v = (e->code == 16) != p66 ? 2 : 4, asz;

    if (e->code == 64)
        v = w || a & A_F64 ? 8 : p66 ? 2 : a & A_D64 ? 8 : 4;
    asz = e->code == 16 ? (e->p67 ? 4 : 2) : e->code == 32 ? (e->p67 ? 2 : 4) : e->p67 ? 4 : 8;
    return (r->pfx == ANY || r->pfx == pp) && !(a & A_I64 && e->code == 64) &&
           !(a & A_O64 && e->code != 64) && !(a & A_O16 && v != 2) && !(a & A_O32 && v != 4) &&
           !(a & A_W0 && w) && !(a & A_W1 && !w) && !(a & A_L0 && e->l) && !(a & A_L1 && !e->l) &&
           !(a & A_A16 && asz != 2) && !(a & A_A32 && asz != 4) && !(a & A_A64 && asz != 8) &&
           !(a & A_B0 && e->b && e->code == 64) && !(a & A_NOREP && e->rep);
}

static bool envs_meet(const struct insn_row *a, const struct insn_row *b)
{
    struct env e;

    for (unsigned n = 0; env_next(&e, n); n++)
        if (env_fits(&e, a) && env_fits(&e, b))
            return true;
    return false;
}

static bool modrm_ok(const struct insn_row *r, unsigned m)
{
    return !(r->modrm & MRM_HAS_REG && (m >> 3 & 7) != (r->modrm & 7)) &&
           !(r->modrm & MRM_HAS_RM && (m & 7) != (r->modrm >> 3 & 7)) &&
           !(r->modrm & MRM_MEM && m >= 0xc0) && !(r->modrm & MRM_REG && m < 0xc0);
}

static bool modrms_meet(const struct insn_row *a, const struct insn_row *b)
{
    for (unsigned m = 0; m < 256; m++)
        if (modrm_ok(a, m) && modrm_ok(b, m))
            return true;
    return false;
}

static bool opcodes_meet(const struct insn_row *a, const struct insn_row *b)
{
    unsigned alast = a->opcode + (a->attr & A_PLUSR ? 7 : 0);
    unsigned blast = b->opcode + (b->attr & A_PLUSR ? 7 : 0);
    return a->map == b->map && a->opcode <= blast && b->opcode <= alast;
}

/* insn.def, "Which row": true when one of the two wins wherever both fit. */
static bool ordered(const struct insn_row *a, const struct insn_row *b)
{
    const u32 conditions =
        A_O16 | A_O32 | A_W0 | A_W1 | A_L0 | A_L1 | A_A16 | A_A32 | A_A64 | A_B0 | A_NOREP;
    const u16 has = MRM_HAS_REG | MRM_HAS_RM, mod = MRM_MEM | MRM_REG;

    if ((a->pfx == ANY) != (b->pfx == ANY))
        return true;
    if ((a->modrm & has) != (b->modrm & has))
        return true;
    if (!(a->modrm & has) && !(a->modrm & mod) != !(b->modrm & mod))
        return true;
    if ((a->attr ^ b->attr) & A_PLUSR)
        return true;
    return __builtin_popcount(a->attr & conditions) != __builtin_popcount(b->attr & conditions);
}

START_TEST(no_two_rows_overlap)
{
    for (unsigned i = 0; i < insn_row_count; i++) {
        const struct insn_row *a = &insn_rows[i];
        for (unsigned j = i + 1; j < insn_row_count; j++) {
            const struct insn_row *b = &insn_rows[j];
            if ((a->attr | b->attr) & A_NODECODE || !opcodes_meet(a, b) || ordered(a, b))
                continue;
            ck_assert_msg(!modrms_meet(a, b) || !envs_meet(a, b),
                          "rows %u %s and %u %s overlap: map %u opcode %02x", i, a->name, j,
                          b->name, a->map, a->opcode);
        }
    }
}
END_TEST

START_TEST(every_row_is_reached_by_some_bytes)
{
    static const unsigned codes[3] = {64, 32, 16};
    struct rng rng;
    struct insn in = {0};
    u8 bytes[ROW_BYTES];

    rng_seed(&rng, 1);
    for (unsigned i = 0; i < insn_row_count; i++) {
        bool found = insn_rows[i].attr & A_NODECODE;
        for (unsigned c = 0; c < 3 && !found; c++)
            found = row_instruction(i, &rng, codes[c], ALL_GATES, bytes, &in);
        ck_assert_msg(found, "row %u %s: no bytes select it", i, insn_rows[i].name);
    }
}
END_TEST

/* Letters that need a ModRM byte: all but those that the opcode or other bytes hold. */
static bool letter_needs_modrm(enum insn_opnd o)
{
    switch (o) {
    case OPND__:
    case OPND_Zb:
    case OPND_Zv:
    case OPND_Zd:
    case OPND_Zq:
    case OPND_AL:
    case OPND_rAX:
    case OPND_eAX:
    case OPND_AX:
    case OPND_CL:
    case OPND_DX:
    case OPND_One:
    case OPND_Ib:
    case OPND_Ibu:
    case OPND_Iw:
    case OPND_Iz:
    case OPND_Iv:
    case OPND_Iw_Ib:
    case OPND_Jb:
    case OPND_Jz:
    case OPND_Ap:
    case OPND_Ob:
    case OPND_Ov:
    case OPND_Xb:
    case OPND_Xv:
    case OPND_Xz:
    case OPND_Yb:
    case OPND_Yv:
    case OPND_Yz:
    case OPND_ST0:
    case OPND_ES:
    case OPND_CS:
    case OPND_SS:
    case OPND_DS:
    case OPND_FS:
    case OPND_GS:
    case OPND_XMM0: return false;
    default: return true;
    }
}

static void check_row(const struct insn_row *r)
{
    const u32 sizes = A_O16 | A_O32 | A_W1;

    ck_assert_msg(r->name && r->name[0], "a row without a name");
    ck_assert_msg(r->ops != NULL, "%s: no handlers", r->name);
    ck_assert_msg(!(r->fl_write & r->fl_undef), "%s: flags written and undefined", r->name);
    ck_assert_msg(!row_is_vex(r) || r->pfx != ANY, "%s: VEX row of prefix ANY", r->name);
    ck_assert_msg(!(r->attr & A_I64 && r->attr & A_O64), "%s: in no mode", r->name);
    ck_assert_msg(!(r->attr & A_PLUSR) || !(r->opcode & 7), "%s: +r of %02x", r->name, r->opcode);
    ck_assert_msg(!(r->attr & A_LOCK) || (r->modrm && !(r->modrm & MRM_REG)),
                  "%s: LOCK without memory", r->name);
    ck_assert_msg(!(r->attr & A_NOREP) || r->pfx == ANY, "%s: NOREP with a prefix", r->name);
    ck_assert_msg((r->attr & sizes) != sizes, "%s: all sizes at once", r->name);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_msg(!letter_needs_modrm(r->opnd[i]) || r->modrm,
                      "%s (%02x): operand %u needs a ModRM byte", r->name, r->opcode, i + 1);
}

START_TEST(rows_are_consistent_in_themselves)
{
    for (unsigned i = 0; i < insn_row_count; i++)
        check_row(&insn_rows[i]);
}
END_TEST

START_TEST(rows_of_one_opcode_agree_on_the_modrm_byte)
{
    int seen[INSN_MAPS][256] = {{0}}; /* 0 nothing yet, 1 no ModRM, 2 ModRM */

    for (unsigned i = 0; i < insn_row_count; i++) {
        const struct insn_row *r = &insn_rows[i];
        if (r->attr & A_NODECODE)
            continue;
        for (unsigned n = 0; n < (r->attr & A_PLUSR ? 8u : 1u); n++) {
            int *s = &seen[r->map][(r->opcode + n) & 255], now = r->modrm ? 2 : 1;
            ck_assert_msg(!*s || *s == now, "%s: map %u opcode %02x with and without ModRM",
                          r->name, r->map, r->opcode);
            *s = now;
        }
    }
}
END_TEST

START_TEST(pseudo_rows_come_first)
{
    ck_assert_str_eq(insn_rows[ROW_INVALID].name, "(bad)");
    ck_assert_str_eq(insn_rows[ROW_END].name, "(end)");
    for (unsigned i = 0; i < insn_row_count; i++)
        ck_assert_int_eq(!!(insn_rows[i].attr & A_NODECODE), i <= ROW_END);
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

START_TEST(an_instruction_may_have_15_bytes)
{
    ck_name(64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", "nop");
    ck_name(32, "2e 2e 2e 2e c7 84 d8 00 00 00 00 01 00 00 00", "mov");
}
END_TEST

START_TEST(sixteen_bytes_are_too_long_whatever_they_are)
{
    u8 b[16];
    struct insn in;

    memset(b, 0x66, sizeof b);
    ck_assert_int_eq(decode(b, 16, 64, false, ALL_GATES, &in), DECODE_TOO_LONG);
    ck_assert_int_eq(decode(b, 15, 32, false, ALL_GATES, &in), DECODE_TOO_LONG);
    ck_assert_int_eq(decode(b, 14, 32, false, ALL_GATES, &in), DECODE_TRUNCATED);
    b[8] = 0xc7; /* MOV Ev,Iz with SIB and disp32 would end at byte 17 */
    b[9] = 0x84;
    ck_assert_int_eq(decode(b, 16, 32, false, ALL_GATES, &in), DECODE_TOO_LONG);
    b[14] = 0x0f;
    ck_assert_int_eq(decode(b, 0, 64, false, ALL_GATES, &in), DECODE_TRUNCATED);
}
END_TEST

/* The bytes end where an unmapped page begins, so that a read too far is a fault. */
static u8 *fence_page(void)
{
    u8 *p = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(p, MAP_FAILED);
    ck_assert_int_eq(mprotect(p + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
    return p + PAGE_SIZE;
}

START_TEST(decoding_reads_no_byte_beyond_the_instruction_or_what_is_there)
{
    u8 *end = fence_page();
    struct rng rng;

    rng_seed(&rng, 2);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned code = 16u << rng_below(&rng, 3);
        u8 b[INSN_MAX_BYTES];
        struct insn whole = {0}, part = {0};

        for (unsigned n = 0; n < sizeof b; n++)
            b[n] = (u8)rng_next(&rng);
        if (decode(b, sizeof b, code, false, ALL_GATES, &whole) != DECODE_OK)
            continue;
        ck_assert_uint_ge(whole.len, 1);
        memcpy(end - whole.len, b, whole.len);
        ck_assert_int_eq(decode(end - whole.len, whole.len, code, false, ALL_GATES, &part),
                         DECODE_OK);
        ck_assert_int_eq(memcmp(&whole, &part, sizeof whole), 0);
        memcpy(end - whole.len + 1, b, whole.len - 1u);
        ck_assert_int_eq(decode(end - whole.len + 1, whole.len - 1u, code, false, ALL_GATES, &part),
                         DECODE_TRUNCATED);
    }
    munmap(end - PAGE_SIZE, 2 * PAGE_SIZE);
}
END_TEST

/* ---- prefixes -------------------------------------------------------------------------------- */

START_TEST(rex_counts_only_directly_before_the_opcode)
{
    ck_assert_uint_eq(dec(64, "48 01 c8").osz, 8);
    ck_assert_uint_eq(dec(64, "48 66 01 c8").osz, 2);
    ck_assert_uint_eq(dec(64, "66 48 01 c8").osz, 8);
    ck_assert_uint_eq(dec(64, "48 40 01 c8").osz, 4);
    ck_name(32, "48", "dec");
}
END_TEST

START_TEST(the_last_of_f2_and_f3_counts)
{
    ck_name(64, "f2 f3 0f 10 c1", "movss");
    ck_name(64, "f3 f2 0f 10 c1", "movsd");
    ck_name(64, "66 f3 0f 10 c1", "movss");
    ck_name(64, "f3 66 0f 10 c1", "movss");
    ck_assert_uint_eq(dec(64, "f2 f3 a4").pfx & (PFX_REP | PFX_REPNE), PFX_REP);
}
END_TEST

START_TEST(mandatory_prefixes_choose_the_row)
{
    ck_name(64, "0f 10 c1", "movups");
    ck_name(64, "66 0f 10 c1", "movupd");
    ck_name(64, "90", "nop");
    ck_name(64, "f3 90", "pause");
    ck_name(64, "41 90", "xchg");
    ck_name(64, "f3 0f bc c1", "tzcnt");
    ck_name(64, "0f bc c1", "bsf");
    ck_name(64, "f2 0f bc c1", "bsf");
    ck_ud(64, "66 0f b8 c1");
    ck_assert_uint_eq(dec(64, "66 f3 0f b8 c1").osz, 2);
    ck_name(64, "0f 38 f0 01", "movbe");
    ck_name(64, "66 0f 38 f0 01", "movbe");
    ck_name(64, "f2 0f 38 f0 01", "crc32");
    ck_ud(64, "f3 0f 38 f0 01");
    ck_ud(64, "0f 38 f0 c1");
}
END_TEST

START_TEST(a_row_without_its_gate_is_passed_over)
{
    u8 b[5] = {0xf3, 0x0f, 0xbc, 0xc1};
    struct insn in = {0};

    decode(b, 4, 64, false, ALL_GATES & ~BIT64(GATE_BMI1), &in);
    ck_assert_str_eq(insn_row(&in)->name, "bsf");
    b[2] = 0xb8;
    decode(b, 4, 64, false, ALL_GATES & ~BIT64(GATE_POPCNT), &in);
    ck_assert_str_eq(insn_row(&in)->name, "(bad)");
    ck_assert_uint_eq(in.len, 4);
}
END_TEST

START_TEST(lock_is_legal_only_with_a_memory_destination)
{
    ck_name(32, "f0 01 08", "add");
    ck_ud(32, "f0 01 c8");
    ck_ud(32, "f0 03 08");
    ck_ud(32, "f0 90");
    ck_ud(32, "f0 39 08");
    ck_name(32, "f0 0f c1 08", "xadd");
    ck_name(32, "f0 0f c7 08", "cmpxchg8b");
    ck_name(64, "f0 48 0f c7 08", "cmpxchg16b");
    ck_name(64, "f0 0f ba 28 01", "bts");
    ck_ud(64, "f0 0f ba 20 01");
    ck_name(64, "f0 87 08", "xchg");
    ck_ud(64, "f0 87 c8");
    ck_assert_uint_eq(dec(32, "f0 01 08").pfx & PFX_LOCK, PFX_LOCK);
}
END_TEST

START_TEST(segment_overrides_other_than_fs_and_gs_are_null_in_64_bit_mode)
{
    ck_assert_uint_eq(dec(32, "8b 00").seg, SEG_DS);
    ck_assert_uint_eq(dec(32, "2e 8b 00").seg, SEG_CS);
    ck_assert_uint_eq(dec(32, "2e 64 8b 00").seg, SEG_FS);
    ck_assert_uint_eq(dec(64, "8b 00").seg, SEG_NONE);
    ck_assert_uint_eq(dec(64, "36 8b 00").seg, SEG_NONE);
    ck_assert_uint_eq(dec(64, "65 8b 00").seg, SEG_GS);
    ck_assert_uint_eq(dec(64, "65 2e 8b 00").seg, SEG_GS);
    ck_assert_uint_eq(dec(64, "36 8b 00").pfx & PFX_SEG, 0);
    ck_assert_uint_eq(dec(32, "26 a4").seg, SEG_ES);
}
END_TEST

/* ---- addresses ------------------------------------------------------------------------------- */

START_TEST(sixteen_bit_addresses_have_eight_bases)
{
    static const struct {
        u8 base, index, seg;
    } want[8] = {
        {RBX, RSI, SEG_DS},      {RBX, RDI, SEG_DS},      {RBP, RSI, SEG_SS},
        {RBP, RDI, SEG_SS},      {RSI, REG_NONE, SEG_DS}, {RDI, REG_NONE, SEG_DS},
        {RBP, REG_NONE, SEG_SS}, {RBX, REG_NONE, SEG_DS},
    };
    for (unsigned rm = 0; rm < 8; rm++) {
        u8 b[3] = {0x8b, (u8)(0x40 | rm), 0x80};
        struct insn in = {0};

        ck_assert_int_eq(decode(b, 3, 16, true, ALL_GATES, &in), DECODE_OK);
        ck_assert_uint_eq(in.base, want[rm].base);
        ck_assert_uint_eq(in.index, want[rm].index);
        ck_assert_uint_eq(in.seg, want[rm].seg);
        ck_assert_int_eq(in.disp, -128);
        ck_assert_uint_eq(in.asz, 2);
    }
    ck_assert_uint_eq(dec(16, "8b 06 34 12").base, REG_NONE);
    ck_assert_int_eq(dec(16, "8b 06 34 12").disp, 0x1234);
    ck_assert_uint_eq(dec(16, "8b 06 34 12").seg, SEG_DS);
    ck_assert_uint_eq(dec(32, "67 8b 06 34 12").asz, 2);
    ck_assert_uint_eq(dec(16, "67 8b 04 24").asz, 4);
}
END_TEST

START_TEST(sib_bytes_scale_an_index_that_is_not_esp)
{
    struct insn in = dec(32, "8b 84 8d 78 56 34 12"); /* [ebp + ecx * 4 + 12345678] */

    ck_assert_uint_eq(in.base, RBP);
    ck_assert_uint_eq(in.index, RCX);
    ck_assert_uint_eq(in.scale, 2);
    ck_assert_int_eq(in.disp, 0x12345678);
    ck_assert_uint_eq(in.seg, SEG_SS);
    in = dec(32, "8b 04 24");
    ck_assert_uint_eq(in.base, RSP);
    ck_assert_uint_eq(in.index, REG_NONE);
    ck_assert_uint_eq(in.seg, SEG_SS);
    in = dec(32, "8b 04 8d 78 56 34 12"); /* mod 0, base 5: no base */
    ck_assert_uint_eq(in.base, REG_NONE);
    ck_assert_uint_eq(in.seg, SEG_DS);
    in = dec(64, "42 8b 04 20"); /* index r12 */
    ck_assert_uint_eq(in.index, R12);
    in = dec(64, "41 8b 45 00"); /* r13 */
    ck_assert_uint_eq(in.base, R13);
    in = dec(64, "41 8b 04 25 00 00 00 80"); /* REX.B does not make mod 0, base 5 a base */
    ck_assert_uint_eq(in.base, REG_NONE);
    ck_assert_int_eq(in.disp, INT32_MIN);
}
END_TEST

START_TEST(mod_0_rm_5_is_relative_to_rip_in_64_bit_mode_only)
{
    ck_assert_uint_eq(dec(64, "8b 05 00 00 00 00").base, REG_RIP);
    ck_assert_uint_eq(dec(64, "41 8b 05 00 00 00 00").base, REG_RIP);
    ck_assert_uint_eq(dec(64, "67 8b 05 00 00 00 00").base, REG_RIP);
    ck_assert_uint_eq(dec(64, "67 8b 05 00 00 00 00").asz, 4);
    ck_assert_uint_eq(dec(32, "8b 05 00 00 00 00").base, REG_NONE);
    ck_assert_uint_eq(dec(64, "8b 04 25 00 00 00 00").base, REG_NONE);
}
END_TEST

START_TEST(mov_cr_ignores_mod)
{
    struct insn in = dec(64, "0f 20 05");

    ck_assert_uint_eq(in.rm, RBP);
    ck_assert_uint_eq(in.mem, 0);
    ck_assert_uint_eq(in.osz, 8);
    ck_assert_uint_eq(dec(32, "0f 22 04").osz, 4);
    ck_assert_uint_eq(dec(64, "44 0f 20 c0").reg, 8);
}
END_TEST

/* ---- sizes and operands ---------------------------------------------------------------------- */

START_TEST(operand_size_follows_code_66_and_rex_w)
{
    ck_assert_uint_eq(dec(16, "01 c8").osz, 2);
    ck_assert_uint_eq(dec(16, "66 01 c8").osz, 4);
    ck_assert_uint_eq(dec(32, "01 c8").osz, 4);
    ck_assert_uint_eq(dec(32, "66 01 c8").osz, 2);
    ck_assert_uint_eq(dec(64, "01 c8").osz, 4);
    ck_assert_uint_eq(dec(64, "00 c8").osz, 1);
    ck_assert_uint_eq(dec(64, "50").osz, 8);
    ck_assert_uint_eq(dec(64, "66 50").osz, 2);
    ck_assert_uint_eq(dec(64, "66 48 50").osz, 8);
    ck_assert_uint_eq(dec(64, "66 eb 00").osz, 8);
    ck_assert_uint_eq(dec(64, "66 e8 00 00 00 00").osz, 8);
    ck_assert_uint_eq(dec(32, "66 e8 00 00").osz, 2);
    ck_assert_uint_eq(dec(64, "0f b6 c1").osz, 4);
    ck_assert_uint_eq(dec(64, "66 0f 6e c1").osz, 4);
    ck_assert_uint_eq(dec(64, "66 48 0f 6e c1").osz, 8);
    ck_assert_uint_eq(dec(64, "f3 48 0f 2a c1").osz, 8);
    ck_assert_uint_eq(dec(16, "f3 0f 2a c1").osz, 4);
}
END_TEST

START_TEST(cbw_cwde_cdqe_and_jcxz_are_rows_of_their_sizes)
{
    ck_name(64, "66 98", "cbw");
    ck_name(64, "98", "cwde");
    ck_name(64, "48 98", "cdqe");
    ck_name(64, "66 48 98", "cdqe");
    ck_name(16, "98", "cbw");
    ck_name(16, "e3 00", "jcxz");
    ck_name(32, "e3 00", "jecxz");
    ck_name(32, "67 e3 00", "jcxz");
    ck_name(64, "e3 00", "jrcxz");
    ck_name(64, "67 e3 00", "jecxz");
}
END_TEST

START_TEST(byte_registers_are_byte_offsets)
{
    ck_assert_uint_eq(dec(32, "88 e0").reg, 1);         /* ah */
    ck_assert_uint_eq(dec(32, "88 f8").reg, 3 * 8 + 1); /* bh */
    ck_assert_uint_eq(dec(64, "40 88 e0").reg, 4 * 8);  /* spl */
    ck_assert_uint_eq(dec(64, "45 88 c7").rm, 15 * 8);  /* r15b */
    ck_assert_uint_eq(dec(32, "b4 01").rm, 1);
    ck_assert_uint_eq(dec(64, "41 b4 01").rm, 12 * 8);
    ck_assert_uint_eq(dec(32, "0f b6 c4").rm, 1);
    ck_assert_uint_eq(dec(32, "0f b6 e0").reg, RSP);
}
END_TEST

START_TEST(immediates_have_the_size_and_sign_of_their_letter)
{
    ck_assert_int_eq(dec(64, "48 83 c0 ff").imm, -1);
    ck_assert_int_eq(dec(32, "66 81 c0 00 80").imm, -32768);
    ck_assert_uint_eq(dec(64, "48 b8 88 77 66 55 44 33 22 11").imm64, 0x1122334455667788);
    ck_assert_int_eq(dec(64, "b8 ff ff ff ff").imm, -1);
    ck_assert_int_eq(dec(32, "c2 00 80").imm, 0x8000);
    ck_assert_uint_eq(dec(32, "c8 34 12 ff").imm64, 0xff1234);
    ck_assert_uint_eq(dec(32, "9a 78 56 34 12 08 00").imm64, 0x0812345678);
    ck_assert_uint_eq(dec(16, "ea 34 12 00 f0").imm64, 0xf00000001234);
    ck_assert_uint_eq(dec(64, "a1 88 77 66 55 44 33 22 11").imm64, 0x1122334455667788);
    ck_assert_uint_eq(dec(64, "67 a1 88 77 66 55").imm64, 0x55667788);
    ck_assert_uint_eq(dec(16, "a1 34 12").imm64, 0x1234);
    ck_assert_int_eq(dec(32, "c7 80 04 00 00 00 ff ff ff ff").disp, 4);
    ck_assert_int_eq(dec(32, "c7 80 04 00 00 00 ff ff ff ff").imm, -1);
    ck_assert_int_eq(dec(32, "cd 80").imm, 0x80);
}
END_TEST

START_TEST(mmx_and_segment_registers_ignore_rex)
{
    ck_assert_uint_eq(dec(64, "45 0f fc c1").reg, 0);
    ck_assert_uint_eq(dec(64, "45 0f fc c1").rm, 1);
    ck_assert_uint_eq(dec(64, "66 45 0f fc c1").reg, 8);
    ck_assert_uint_eq(dec(64, "66 45 0f fc c1").rm, 9);
    ck_assert_uint_eq(dec(64, "44 8e d8").reg, 3);
}
END_TEST

START_TEST(x87_opcodes_are_told_apart_by_all_of_modrm)
{
    ck_name(32, "d9 e0", "fchs");
    ck_name(32, "d9 e1", "fabs");
    ck_name(32, "d9 00", "fld");
    ck_name(32, "d9 c1", "fld");
    ck_name(32, "df e0", "fnstsw");
    ck_ud(32, "d9 e2");
    ck_assert_uint_eq(dec(64, "41 d8 c3").rm, 3);
}
END_TEST

/* ---- modes ----------------------------------------------------------------------------------- */

START_TEST(rows_live_in_their_modes)
{
    u8 b[4] = {0x0f, 0x00, 0xd8}; /* LTR AX */
    struct insn in = {0};

    ck_name(32, "63 c1", "arpl");
    ck_name(64, "63 c1", "movsxd");
    ck_ud(64, "06");
    ck_ud(64, "27");
    ck_ud(64, "60");
    ck_name(32, "60", "pusha");
    ck_name(64, "0f 05", "syscall");
    ck_ud(64, "ce");
    ck_ud(64, "ea 00 00 00 00 00 00");
    decode(b, 3, 16, false, ALL_GATES, &in);
    ck_assert_str_eq(insn_row(&in)->name, "ltr");
    decode(b, 3, 16, true, ALL_GATES, &in);
    ck_assert_str_eq(insn_row(&in)->name, "(bad)");
    ck_assert_uint_eq(in.len, 3);
}
END_TEST

START_TEST(vex_needs_a_register_form_outside_64_bit_mode)
{
    u8 b[5] = {0xc4, 0xe2, 0x70, 0xf2, 0xc2}; /* ANDN eax, ecx, edx */
    struct insn in = dec(64, "c4 e2 70 f2 c2");

    ck_assert_str_eq(insn_row(&in)->name, "andn");
    ck_assert_uint_eq(in.vvvv, RCX);
    ck_assert_uint_eq(in.osz, 4);
    ck_assert_uint_eq(dec(64, "c4 62 88 f2 c2").osz, 8);
    ck_assert_uint_eq(dec(64, "c4 62 88 f2 c2").vvvv, R14);
    ck_assert_uint_eq(dec(64, "c4 62 88 f2 c2").reg, R8);
    ck_assert_uint_eq(dec(32, "c4 e2 f0 f2 c2").osz, 4);
    ck_name(32, "c4 e2 70 f2 c2", "andn");
    ck_name(32, "c4 01", "les");
    ck_name(32, "c5 01", "lds");
    decode(b, 5, 16, true, ALL_GATES, &in);
    ck_assert_str_eq(insn_row(&in)->name, "(bad)");
    ck_assert_uint_eq(in.len, 2);
}
END_TEST

START_TEST(vex_after_66_f2_f3_lock_or_rex_is_ud)
{
    ck_ud(64, "66 c4 e2 70 f2 c2");
    ck_ud(64, "f2 c4 e2 70 f2 c2");
    ck_ud(64, "f3 c4 e2 70 f2 c2");
    ck_ud(64, "f0 c4 e2 70 f2 c2");
    ck_ud(64, "48 c4 e2 70 f2 c2");
    ck_name(64, "64 c4 e2 70 f2 02", "andn");
    ck_ud(64, "c4 e2 74 f2 c2");    /* VEX.L = 1 */
    ck_ud(64, "c4 e3 73 f0 c2 01"); /* RORX with vvvv */
}
END_TEST

START_TEST(encodings_that_are_not_implemented_are_ud_of_the_right_length)
{
    ck_ud(64, "62 f1 7c 48 58 44 24 01"); /* EVEX: VADDPS zmm0, [rsp+40h] */
    ck_ud(64, "62 f3 75 48 25 c2 ff");    /* EVEX map 3: VPTERNLOGD */
    ck_ud(32, "62 f1 7c 48 58 c2");
    ck_name(32, "62 08", "bound");
    ck_ud(64, "8f e8 78 c0 c1 05");          /* XOP map 8: VPROTB, imm8 */
    ck_ud(64, "8f e9 78 01 cb");             /* XOP map 9 */
    ck_ud(64, "8f ea 78 10 c1 78 56 34 12"); /* XOP map A: BEXTR, imm32 */
    ck_name(64, "8f 00", "pop");
    ck_ud(64, "0f 0f c1 9e"); /* 3DNow! PFADD */
    ck_ud(64, "0f 0f 04 25 00 00 00 00 9e");
    ck_name(64, "0f 0b", "ud2");
    ck_name(64, "0f b9 04 24", "ud1"); /* it has a ModRM byte */
    ck_ud(64, "0f ff c1");             /* UD0 */
    ck_ud(64, "0f 38 3f 00");          /* PMAXUD without 66 */
    ck_ud(64, "0f 3a 0e c1 00");       /* PBLENDW without 66 */
    ck_ud(64, "c4 e3 79 68 c1 20");    /* FMA4: VFMADDPS */
    ck_ud(64, "c5 f8 90 c1");          /* AVX-512: KMOVW */
}
END_TEST

START_TEST(vex_rows_hold_the_manuals_rules_for_w_l_and_vvvv)
{
    ck_name(64, "c5 f8 77", "vzeroupper");
    ck_name(64, "c5 fc 77", "vzeroall");
    ck_name(64, "c5 f0 58 c2", "vaddps");
    ck_ud(64, "c5 f0 28 c2"); /* VMOVAPS with vvvv */
    ck_ud(64, "c5 f0 51 c2"); /* VSQRTPS with vvvv */
    ck_name(64, "c5 f2 51 c2", "vsqrtss");
    ck_name(64, "c5 f2 10 c2", "vmovss");
    ck_ud(64, "c5 f2 10 02"); /* VMOVSS from memory with vvvv */
    ck_name(64, "c5 f9 6e c2", "vmovd");
    ck_name(64, "c4 e1 f9 6e c2", "vmovq");
    ck_name(32, "c4 e1 f9 6e c2", "vmovd"); /* W is ignored outside 64-bit mode */
    ck_ud(32, "c4 e3 f9 22 c2 00");         /* but not by VPINSRQ */
    ck_ud(64, "c5 fd 6e c2");               /* VMOVD with L */
    ck_ud(64, "c4 e3 79 19 c1 01");         /* VEXTRACTF128 without L */
    ck_name(64, "c4 e3 7d 19 c1 01", "vextractf128");
    ck_ud(64, "c4 e2 fd 18 02");    /* VBROADCASTSS with W */
    ck_ud(64, "c4 e3 7d 44 c1 00"); /* VPCLMULQDQ of 256 bits */
    ck_ud(64, "c4 e2 7d dc c1");    /* VAESENC of 256 bits */
}
END_TEST

START_TEST(vsib_takes_any_index_and_needs_a_sib_byte)
{
    struct insn in =
        dec(64, "c4 e2 69 90 4c a0 10"); /* VPGATHERDD xmm1, [rax + xmm4 * 4 + 16], xmm2 */

    ck_assert_str_eq(insn_row(&in)->name, "vpgatherdd");
    ck_assert_uint_eq(in.rm, 4);
    ck_assert_uint_eq(in.scale, 2);
    ck_assert_uint_eq(in.base, RAX);
    ck_assert_uint_eq(in.index, REG_NONE);
    ck_assert_uint_eq(in.vvvv, 2);
    ck_assert_uint_eq(dec(64, "c4 a2 69 90 4c a0 10").rm, 12);
    ck_ud(64, "c4 e2 69 90 48 10"); /* [rax + 16] */
    ck_ud(64, "c4 e2 69 90 cc");    /* a register */
    ck_ud(16, "c4 e2 69 90 0c");    /* [si] */
}
END_TEST

START_TEST(the_register_in_an_immediate_has_three_bits_outside_64_bit_mode)
{
    ck_assert_int_eq(dec(64, "c4 e3 69 4a cb f5").imm, 15); /* VBLENDVPS xmm1, xmm2, xmm3, xmm15 */
    ck_assert_int_eq(dec(32, "c4 e3 69 4a cb f5").imm, 7);
}
END_TEST

/* ---- suite ----------------------------------------------------------------------------------- */

static Suite *decode_suite(void)
{
    Suite *s = suite_create("decode");
    TCase *table = tcase_create("table"), *bytes = tcase_create("bytes");

    tcase_set_timeout(table, 120);
    tcase_set_timeout(bytes, 120);
    tcase_add_test(table, no_two_rows_overlap);
    tcase_add_test(table, every_row_is_reached_by_some_bytes);
    tcase_add_test(table, rows_are_consistent_in_themselves);
    tcase_add_test(table, rows_of_one_opcode_agree_on_the_modrm_byte);
    tcase_add_test(table, pseudo_rows_come_first);
    tcase_add_test(bytes, an_instruction_may_have_15_bytes);
    tcase_add_test(bytes, sixteen_bytes_are_too_long_whatever_they_are);
    tcase_add_test(bytes, decoding_reads_no_byte_beyond_the_instruction_or_what_is_there);
    tcase_add_test(bytes, rex_counts_only_directly_before_the_opcode);
    tcase_add_test(bytes, the_last_of_f2_and_f3_counts);
    tcase_add_test(bytes, mandatory_prefixes_choose_the_row);
    tcase_add_test(bytes, a_row_without_its_gate_is_passed_over);
    tcase_add_test(bytes, lock_is_legal_only_with_a_memory_destination);
    tcase_add_test(bytes, segment_overrides_other_than_fs_and_gs_are_null_in_64_bit_mode);
    tcase_add_test(bytes, sixteen_bit_addresses_have_eight_bases);
    tcase_add_test(bytes, sib_bytes_scale_an_index_that_is_not_esp);
    tcase_add_test(bytes, mod_0_rm_5_is_relative_to_rip_in_64_bit_mode_only);
    tcase_add_test(bytes, mov_cr_ignores_mod);
    tcase_add_test(bytes, operand_size_follows_code_66_and_rex_w);
    tcase_add_test(bytes, cbw_cwde_cdqe_and_jcxz_are_rows_of_their_sizes);
    tcase_add_test(bytes, byte_registers_are_byte_offsets);
    tcase_add_test(bytes, immediates_have_the_size_and_sign_of_their_letter);
    tcase_add_test(bytes, mmx_and_segment_registers_ignore_rex);
    tcase_add_test(bytes, x87_opcodes_are_told_apart_by_all_of_modrm);
    tcase_add_test(bytes, rows_live_in_their_modes);
    tcase_add_test(bytes, vex_needs_a_register_form_outside_64_bit_mode);
    tcase_add_test(bytes, vex_rows_hold_the_manuals_rules_for_w_l_and_vvvv);
    tcase_add_test(bytes, vsib_takes_any_index_and_needs_a_sib_byte);
    tcase_add_test(bytes, the_register_in_an_immediate_has_three_bits_outside_64_bit_mode);
    tcase_add_test(bytes, vex_after_66_f2_f3_lock_or_rex_is_ud);
    tcase_add_test(bytes, encodings_that_are_not_implemented_are_ud_of_the_right_length);
    suite_add_tcase(s, table);
    suite_add_tcase(s, bytes);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(decode_suite());
    int failures;

    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
