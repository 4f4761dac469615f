/*
 * recover.c: having the guest's flags back after an access check has spent them.
 *
 * The quick access check needs ordinary arithmetic. It may be used where the instruction that made
 * the current flags can be repeated from registers that still hold what it read or wrote: then the
 * cold path repeats it before a fault shows the flags, and straight-line code repeats it only in
 * front of an instruction that wants them. Where that is not so, the check that spares flags is
 * used.
 */
#include "cpu/jit/internal.h"

extern const struct insn_ops ops_fldcw; /* its check of the operand wants the flags */

#define ALL_REGS 0xffffffffu

/* ---- what an instruction does to registers and flags ----------------------------------------- */

static unsigned number(unsigned r, bool byte)
{
    return byte ? r / 8 : r;
}

static bool has_g(const struct insn_row *r)
{
    for (unsigned i = 0; i < 3; i++)
        switch (r->opnd[i]) {
        case OPND_Gb:
        case OPND_Gv:
        case OPND_Gd:
        case OPND_Gq:
        case OPND_Gy: return true;
        default: break;
        }
    return false;
}

static u32 written(const struct insn *in, const struct insn_row *r, const struct row_traits *tr)
{
    u32 m = 0;
    switch (row_template(r)) {
    case T_PUSH: return BIT(RSP);
    case T_POP: return in->mem ? ALL_REGS : BIT(RSP) | BIT(in->rm);
    case T_LEA: return BIT(in->reg);
    case T_NOP: return 0;
    case T_MUL:
    case T_CMPXCHG:
    case T_FIXED: return ALL_REGS;
    default: break;
    }
    if (tr->bmi)
        return jit_bmi_written(in);
    if (tr->x87_ok)
        return r->opnd[0] == OPND_AX ? BIT(RAX) : 0;
    if (!tr->template_ok)
        return ALL_REGS;
    if (r->opnd[0] == OPND_Zv || r->opnd[0] == OPND_Zb)
        m |= BIT(number(in->rm, r->opnd[0] == OPND_Zb)) | (r->attr & A_DST2 ? BIT(RAX) : 0);
    if (tr->writes_g)
        m |= BIT(number(in->reg, tr->byte_g));
    if (tr->writes_e && !in->mem)
        m |= BIT(number(in->rm, tr->e_size == 1));
    return m;
}

u32 jit_written(const struct tr *t, const struct insn *in)
{
    return written(in, insn_row(in), &t->j->rows[in->row]);
}

static bool constant_shift(const struct insn *in, const struct insn_row *r)
{
    return row_template(r) == T_SHIFT && r->opnd[1] == OPND_Ib &&
           in->imm & (in->osz == 8 ? 63 : 31);
}

/* AF and OF where they are undefined are a function of the operation on the host, too. */
static bool replaces_flags(const struct insn *in, const struct insn_row *r)
{
    if ((r->fl_write | (r->fl_undef & (F_A | F_O))) != F_ALL)
        return false;
    return !r->fl_read || constant_shift(in, r);
}

/* ---- how the flags can be made again --------------------------------------------------------- */

static bool wide(const struct insn *in)
{
    return in->osz >= 4;
}

static bool high_byte(const struct insn *in)
{
    return in->osz == 1 && ((in->rm | in->reg) & 7);
}

static struct flag_source source_of(const struct insn *in, const struct insn_row *r,
                                    const struct row_traits *tr)
{
    struct flag_source s = {.kind = SRC_NONE};
    bool byte = in->osz == 1, g = has_g(r), g_first = g && tr->writes_g;
    unsigned e = number(in->rm, byte), reg = number(in->reg, byte);
    if (!tr->template_ok || high_byte(in))
        return s;
    s.in = in;
    switch (row_template(r)) {
    case T_COMPARE:
        if (in->mem)
            break;
        s.kind = SRC_COMPARE;
        s.regs = BIT(e) | (g ? BIT(reg) : 0);
        break;
    case T_LOGIC:
        if (in->mem && !g_first)
            break;
        s.kind = SRC_LOGIC;
        s.dest = (u8)(g_first ? reg : e);
        s.regs = BIT(s.dest);
        break;
    case T_ADD:
    case T_SUB:
        s.dest = (u8)(g_first ? reg : e);
        s.other = (u8)(g_first ? e : reg);
        if (!wide(in) || in->mem || (g && s.dest == s.other) || (!g && in->imm == INT32_MIN))
            break;
        s.kind = row_template(r) == T_ADD ? SRC_ADD : SRC_SUB;
        s.has_imm = !g;
        s.regs = BIT(s.dest) | (g ? BIT(s.other) : 0);
        break;
    default: break;
    }
    return s;
}

/* r = guest register */
static void fetch(struct asmbuf *a, unsigned r, unsigned guest)
{
    if (host_reg[guest] == SLOT)
        x_load(a, 1, r, H_RBP, slot(guest));
    else
        x_mov(a, 1, r, (unsigned)host_reg[guest]);
}

static void op_rr(struct asmbuf *a, unsigned w, unsigned opcode, unsigned dst, unsigned src)
{
    put_rex(a, w, src, 0, dst, false);
    put8(a, opcode);
    put8(a, 0xc0 | (src & 7) << 3 | (dst & 7));
}

#define OP_ADD 0x01
#define OP_SUB 0x29
#define OP_TEST 0x85

/* Undoes an addition or subtraction in r14, and does it again. */
static void emit_again(struct asmbuf *a, const struct flag_source *s)
{
    unsigned w = s->in->osz == 8, op = s->kind == SRC_ADD ? OP_ADD : OP_SUB;
    unsigned inverse = s->kind == SRC_ADD ? OP_SUB : OP_ADD;
    fetch(a, H_R14, s->dest);
    if (s->has_imm)
        x_mov_imm(a, H_R15, (u64)(s64)s->in->imm);
    else
        fetch(a, H_R15, s->other);
    op_rr(a, 1, inverse, H_R14, H_R15);
    op_rr(a, w, op, H_R14, H_R15);
}

static void emit_test(struct asmbuf *a, const struct flag_source *s)
{
    unsigned size = s->in->osz;
    fetch(a, H_R14, s->dest);
    if (size == 2)
        put8(a, 0x66);
    put_rex(a, size == 8, H_R14, 0, H_R14, false);
    put8(a, size == 1 ? OP_TEST - 1 : OP_TEST);
    put8(a, 0xc0 | (H_R14 & 7) << 3 | (H_R14 & 7));
}

void jit_emit_flags(struct tr *t, const struct flag_source *s)
{
    switch (s->kind) {
    case SRC_NONE: break;
    case SRC_COMPARE: jit_emit_reencoded(t, s->in, s->in->idx); break;
    case SRC_LOGIC: emit_test(&t->a, s); break;
    case SRC_ADD:
    case SRC_SUB: emit_again(&t->a, s); break;
    }
}

struct flag_source jit_flag_source(const struct tr *t, const struct insn *in)
{
    return source_of(in, insn_row(in), &t->j->rows[in->row]);
}

/* ---- along a block --------------------------------------------------------------------------- */

void jit_want_flags(struct tr *t)
{
    if (!t->flags_spent)
        return;
    jit_emit_flags(t, &t->flags);
    t->flags_spent = false;
}

void jit_flags_before(struct tr *t, const struct insn *in)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    enum insn_template own = row_template(r);
    bool plain = tr->template_ok || tr->bmi || (own >= T_LEA && own <= T_LEAVE) ||
                 (tr->x87_ok && r->ops != &ops_fldcw);
    bool replaces = replaces_flags(in, r), touches = r->fl_read | r->fl_write | r->fl_undef;
    bool loses_source = !replaces && written(in, r, tr) & t->flags.regs;
    t->may_spend = plain && t->flags.kind != SRC_NONE && !loses_source && (replaces || !touches);
    if (!plain || (touches && !replaces) || loses_source)
        jit_want_flags(t);
}

void jit_flags_after(struct tr *t, const struct insn *in, bool inlined)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    t->may_spend = false;
    if (!inlined) {
        t->flags.kind = SRC_NONE;
    } else if (replaces_flags(in, r)) {
        t->flags = source_of(in, r, tr);
        t->flags_spent = false;
    } else if (r->fl_write | r->fl_undef || written(in, r, tr) & t->flags.regs) {
        t->flags.kind = SRC_NONE;
    }
}
