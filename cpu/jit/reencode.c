/*
 * reencode.c: instructions on general registers as themselves: the same opcode with renamed
 * registers and, for a memory operand, [r15] after the TLB check put the host address there.
 */
#include "cpu/jit/internal.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static bool letter_is_e(unsigned o)
{
    switch (o) {
    case OPND_Eb:
    case OPND_Ew:
    case OPND_Ed:
    case OPND_Eq:
    case OPND_Ev:
    case OPND_Ey:
    case OPND_Zb:
    case OPND_Zv:
    case OPND_AL:
    case OPND_rAX:
    case OPND_My:
    case OPND_Mv: return true;
    default: return false;
    }
}

static bool letter_is_g(unsigned o)
{
    return o == OPND_Gb || o == OPND_Gv || o == OPND_Gd || o == OPND_Gq || o == OPND_Gy;
}

static bool letter_is_plain(unsigned o)
{
    switch (o) {
    case OPND__:
    case OPND_Ib:
    case OPND_Iz:
    case OPND_Iv:
    case OPND_One:
    case OPND_CL: return true;
    default: return letter_is_e(o) || letter_is_g(o);
    }
}

static unsigned letter_size(unsigned o)
{
    switch (o) {
    case OPND_Eb:
    case OPND_Zb:
    case OPND_AL:
    case OPND_Gb: return 1;
    case OPND_Ew: return 2;
    case OPND_Ed: return 4;
    case OPND_Eq: return 8;
    default: return 0;
    }
}

static struct row_traits traits_of(const struct insn_row *r)
{
    struct row_traits t = {0};
    bool int_map = r->map == OB || r->map == TB || (r->map == T38 && r->pfx != PF2);
    bool x87 = r->map == OB && (r->opcode & 0xf8) == 0xd8;
    enum insn_template own = row_template(r);
    bool operands =
        letter_is_plain(r->opnd[0]) && letter_is_plain(r->opnd[1]) && letter_is_plain(r->opnd[2]);
    t.template_ok = int_map && !x87 && jit_host_has(r->gate) && r->cls == IDENT && own <= T_BITS &&
                    operands && (r->opnd[0] != OPND__ || own == T_FIXED);
    bool e_first = letter_is_e(r->opnd[0]);
    bool dst1 = !(r->attr & A_SRC1), dst2 = r->attr & A_DST2;
    t.writes_e = (e_first && dst1) || dst2;
    t.writes_g = (letter_is_g(r->opnd[0]) && dst1) || dst2;
    t.e_size = (u8)letter_size(e_first ? r->opnd[0] : r->opnd[1]);
    t.bmi = jit_row_is_bmi(r);
    t.byte_g = r->opnd[0] == OPND_Gb || r->opnd[1] == OPND_Gb;
    return t;
}

void jit_rows_init(struct jit *j)
{
    for (unsigned i = 0; i < insn_row_count; i++)
        j->rows[i] = traits_of(&insn_rows[i]);
    jit_vec_rows_init(j);
    jit_x87_rows_init(j);
}

/* ---- re-encoding ----------------------------------------------------------------------------- */

struct operand {
    int host;  /* host register, or SLOT */
    bool high; /* AH, CH, DH, BH */
    unsigned guest;
};

static struct operand operand_of(unsigned r, bool byte)
{
    struct operand o = {.high = byte && r & 7, .guest = byte ? r / 8 : r};
    o.host = host_reg[o.guest];
    return o;
}

static unsigned imm_bytes(const struct insn_row *r, const struct insn *in)
{
    for (unsigned i = 0; i < 3; i++)
        switch (r->opnd[i]) {
        case OPND_Ib: return 1;
        case OPND_Iz: return in->osz == 2 ? 2 : 4;
        case OPND_Iv: return in->osz;
        default: break;
        }
    return 0;
}

static void put_imm(struct asmbuf *a, const struct insn_row *r, const struct insn *in)
{
    unsigned n = imm_bytes(r, in);
    u64 v = n == 8 ? in->imm64 : (u64)(s64)in->imm;
    for (unsigned i = 0; i < n; i++)
        put8(a, v >> (8 * i) & 0xff);
}

/* Where the operands of an instruction are on the host. */
struct places {
    unsigned opcode; /* the instruction's, or the one with its operands in the other order */
    unsigned reg, rm;
    bool mem; /* rm is not it, but `at` */
    struct host_mem at;
    bool rex; /* for the low byte of a register that has none without REX */
};

/* The instruction itself with operands in place. */
static void put_insn(struct tr *t, const struct insn *in, const struct insn_row *r,
                     const struct places *p)
{
    struct asmbuf *a = &t->a;
    if (in->pfx & PFX_LOCK)
        put8(a, 0xf0);
    if (in->osz == 2 || r->pfx == P66)
        put8(a, 0x66);
    if (r->pfx == PF3)
        put8(a, 0xf3);
    if (p->mem)
        put_rex(a, in->osz == 8, p->reg, p->at.index, p->at.base, p->rex);
    else
        put_rex(a, in->osz == 8, p->reg, 0, p->rm, p->rex);
    if (r->map != OB)
        put8(a, 0x0f);
    if (r->map == T38) /* MOVBE, ADCX, ADOX */
        put8(a, 0x38);
    put8(a, p->opcode);
    if (r->modrm == MRM_NONE)
        return;
    if (p->mem)
        put_host_mem(a, p->reg, &p->at);
    else
        put8(a, 0xc0 | (p->reg & 7) << 3 | (p->rm & 7));
}

static bool has_letter(const struct insn_row *r, bool (*is)(unsigned))
{
    return is(r->opnd[0]) || is(r->opnd[1]) || is(r->opnd[2]);
}

/* AL, rAX, Z: forms without ModRM get one, or the register's number in the opcode. */
static bool emit_short_form(struct tr *t, const struct insn *in, const struct insn_row *r)
{
    struct asmbuf *a = &t->a;
    unsigned z = r->opnd[0];
    bool byte = z == OPND_Zb || z == OPND_AL;
    if (z == OPND__) { /* CBW, CWD, CMC, CLC, STC, LAHF, SAHF */
        if (in->osz == 2)
            put8(a, 0x66);
        if (in->osz == 8 && (in->opcode == 0x98 || in->opcode == 0x99))
            put8(a, 0x48);
        put8(a, in->opcode);
        return true;
    }
    if (z == OPND_AL || z == OPND_rAX) {
        put_insn(t, in, r, &(struct places){.opcode = in->opcode});
        put_imm(a, r, in);
        return true;
    }
    struct operand o = operand_of(in->rm, byte);
    if (o.high || (o.host == SLOT && byte))
        return false;
    int h = o.host == SLOT ? H_R15 : o.host;
    s64 value = in->osz == 8 ? (s64)in->imm64 : (u32)in->imm;
    if (o.host == SLOT && r->map == OB && in->opcode >= 0xb8 && in->osz >= 4 &&
        value == (s32)value) {
        put_rex(a, 1, 0, 0, H_RBP, false); /* mov qword [slot], imm32 */
        put8(a, 0xc7);
        put_mem(a, 0, H_RBP, slot(o.guest));
        put32(a, (u32)value);
        return true;
    }
    if (o.host == SLOT && in->opcode < 0xb0)
        x_load(a, 1, H_R15, H_RBP, slot(o.guest));
    if (r->map == OB && (in->opcode & 0xf8) == 0x90) { /* XCHG rAX */
        if (in->osz == 2)
            put8(a, 0x66);
        put_rex(a, in->osz == 8, 0, 0, (unsigned)h, false);
        put8(a, 0x87);
        put8(a, 0xc0 | ((unsigned)h & 7));
    } else if (r->map == OB && (in->opcode & 0xf0) == 0x40) { /* INC, DEC of legacy modes */
        if (in->osz == 2)
            put8(a, 0x66);
        put_rex(a, 0, 0, 0, (unsigned)h, false);
        put8(a, 0xff);
        put8(a, 0xc0 | (in->opcode & 8) | ((unsigned)h & 7));
    } else { /* MOV Z, BSWAP */
        bool bswap = r->map == TB;
        if (o.host == SLOT && (bswap || in->osz == 2))
            x_load(a, 1, H_R15, H_RBP, slot(o.guest));
        if (in->osz == 2)
            put8(a, 0x66);
        put_rex(a, in->osz == 8, 0, 0, (unsigned)h, byte && h >= 4);
        if (bswap)
            put8(a, 0x0f);
        put8(a, (in->opcode & 0xf8) | ((unsigned)h & 7));
        put_imm(a, r, in);
    }
    if (o.host == SLOT)
        x_store(a, 1, H_R15, H_RBP, slot(o.guest));
    return true;
}

/* ADD to CMP and MOV, of E and G in either order: bit 1 of the opcode tells which. */
static bool has_both_orders(const struct insn_row *r)
{
    return r->map == OB &&
           ((r->opcode < 0x40 && (r->opcode & 7) < 4) || (r->opcode >= 0x88 && r->opcode <= 0x8b));
}

/* Can an operand of this size be written where it lies in memory? 32 bits clear the rest of the
 * register, and a narrow store makes the next load of all of it wait. */
static bool writes_in_place(const struct insn_row *r, unsigned size)
{
    return size == 8 && !(r->attr & A_DST2); /* XCHG with memory would lock */
}

/* Does the register have to be loaded, to be written by the instruction? */
static bool loads_first(const struct insn_row *r, unsigned size, bool is_op1)
{
    return !(is_op1 && r->attr & A_WO1 && size >= 4);
}

/* E is the host register eh, G lives in memory: the operand there becomes the instruction's E. */
static bool emit_swapped(struct tr *t, const struct insn *in, const struct insn_row *r,
                         const struct row_traits *tr, struct operand e, struct operand g)
{
    bool test = r->map == OB && (r->opcode == 0x84 || r->opcode == 0x85);
    if (!(test || has_both_orders(r)) || e.high || (tr->writes_g && !writes_in_place(r, in->osz)))
        return false;
    put_insn(t, in, r,
             &(struct places){.opcode = test ? in->opcode : in->opcode ^ 2u,
                              .reg = (unsigned)e.host,
                              .mem = true,
                              .at = {.base = H_RBP, .disp = slot(g.guest)},
                              .rex = tr->byte_g && e.host >= 4});
    return true;
}

/* E and G forms with ModRM. */
static bool emit_modrm_form(struct tr *t, const struct insn *in, unsigned i,
                            const struct insn_row *r, const struct row_traits *tr)
{
    struct asmbuf *a = &t->a;
    bool has_g = has_letter(r, letter_is_g), e_first = letter_is_e(r->opnd[0]);
    bool e_byte = tr->e_size == 1;
    unsigned size = tr->e_size ? tr->e_size : in->osz;
    struct operand g = {.host = in->modrm >> 3 & 7}, e = {.host = H_R15};
    struct places p = {.opcode = in->opcode};

    if (has_g)
        g = operand_of(in->reg, tr->byte_g);
    if (!in->mem)
        e = operand_of(in->rm, e_byte);
    bool e_slot = e.host == SLOT, g_slot = g.host == SLOT;
    /* High bytes cannot be named beside a REX prefix; scratch registers need one. */
    bool g_byte = has_g && tr->byte_g;
    if (g.high || e.high) {
        bool low_e = !in->mem && !e_slot && e.host < 4;
        bool low_g = !has_g || (!g_slot && g.host < 4);
        if (!low_e || !low_g || in->osz == 8)
            return false;
    }
    if (g_slot && !in->mem && !e_slot && emit_swapped(t, in, r, tr, e, g))
        return true;
    bool e_stays =
        e_slot && row_template(r) != T_BITS && (!tr->writes_e || writes_in_place(r, size));
    p.rm = e_slot ? H_R15 : (unsigned)e.host + (e.high ? 4 : 0);
    p.reg = g_slot ? H_R14 : (unsigned)g.host + (g.high ? 4 : 0);
    p.mem = in->mem || e_stays;
    if (in->mem) {
        if (!block_address_is_flat(t->b->key, in))
            return false;
        struct jit_site *s = jit_new_site(t, in, i);
        unsigned cold = t->colds;
        p.at = jit_emit_operand(t, in, size, tr->writes_e, s, i);
        if (jit_can_keep_operand(in)) {
            jit_emit_kept_compare(t, in, cold, &p.at);
            return true;
        }
    } else if (e_stays) {
        p.at = (struct host_mem){.base = H_RBP, .disp = slot(e.guest)};
    } else if (e_slot && loads_first(r, size, e_first)) {
        x_load(a, 1, H_R15, H_RBP, slot(e.guest));
    }
    if (g_slot && loads_first(r, in->osz, !e_first))
        x_load(a, 1, H_R14, H_RBP, slot(g.guest));
    p.rex = (g_byte && !g.high && p.reg >= 4) || (!p.mem && e_byte && !e.high && p.rm >= 4);
    put_insn(t, in, r, &p);
    put_imm(a, r, in);
    if (g_slot && has_g && tr->writes_g)
        x_store(a, 1, H_R14, H_RBP, slot(g.guest));
    if (e_slot && !e_stays && tr->writes_e)
        x_store(a, 1, H_R15, H_RBP, slot(e.guest));
    return true;
}

bool jit_emit_reencoded(struct tr *t, const struct insn *in, unsigned i)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    if (!tr->template_ok)
        return false;
    if (row_template(r) == T_BITS && in->mem)
        return jit_emit_bit_string(t, in, i);
    return r->modrm == MRM_NONE ? emit_short_form(t, in, r) : emit_modrm_form(t, in, i, r, tr);
}
