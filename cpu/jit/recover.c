/*
 * recover.c: having the guest's flags back after an access check has spent them.
 *
 * The quick access check needs ordinary arithmetic. It may be used where the flags can be made
 * again: by repeating what made them, from registers that still hold what it read or wrote, or from
 * copies of those that were kept (jit_kept) before they changed; or from a copy of the flags
 * themselves. The cold path makes them again before a fault shows them, and straight-line code does
 * only in front of an instruction that wants them. Else the check that spares flags is used.
 */
#include "cpu/exec.h"
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
    if (tr->vec_ok)
        return tr->vec_gpr ? BIT(in->rm) | BIT(in->reg) : 0;
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

u32 jit_written(const struct jit *j, const struct insn *in)
{
    return written(in, insn_row(in), &j->rows[in->row]);
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

/* ---- sources --------------------------------------------------------------------------------- */

static bool high_byte(const struct insn *in, const struct insn_row *r)
{
    return in->osz == 1 && ((!in->mem && in->rm & 7) || (has_g(r) && in->reg & 7));
}

bool jit_can_keep_operand(const struct insn *in)
{
    const struct insn_row *r = insn_row(in);
    return row_template(r) == T_COMPARE && in->mem && !high_byte(in, r);
}

static u32 place_bit(u8 place)
{
    return place < PLACE_KEPT ? BIT(place) : 0;
}

u32 jit_source_regs(const struct flag_source *s)
{
    u32 step = s->step ? place_bit(s->count) : 0;
    if (s->kind == SRC_NONE)
        return 0;
    if (s->kind == SRC_SAVED)
        return step;
    return step | place_bit(s->a) | (s->has_imm ? 0 : place_bit(s->b));
}

static struct flag_source source_of(const struct insn *in, const struct insn_row *r,
                                    const struct row_traits *tr)
{
    bool byte = in->osz == 1, g = has_g(r), g_first = g && tr->writes_g;
    u8 e = (u8)number(in->rm, byte), reg = (u8)number(in->reg, byte);
    struct flag_source s = {.size = in->osz, .imm = in->imm, .has_imm = !g};
    s.a = g_first ? reg : e;
    s.b = g_first ? e : reg;
    if (!tr->template_ok || high_byte(in, r))
        return s;
    if (in->mem && !(g_first && row_template(r) == T_LOGIC) && !jit_can_keep_operand(in))
        return s;
    switch (row_template(r)) {
    case T_COMPARE:
        s.kind = r->fl_undef ? SRC_TEST : SRC_CMP; /* TEST leaves AF undefined */
        if (r->opnd[0] == OPND_Gb || r->opnd[0] == OPND_Gv) {
            s.a = reg;
            s.b = e;
        }
        if (in->mem && (r->opnd[0] == OPND_Gb || r->opnd[0] == OPND_Gv))
            s.b = PLACE_KEPT + 1;
        else if (in->mem)
            s.a = PLACE_KEPT;
        break;
    case T_LOGIC:
        s.kind = SRC_TEST;
        s.b = s.a;
        s.has_imm = false;
        break;
    case T_ADD:
    case T_SUB:
        if (in->osz < 4 || (g && s.a == s.b) || (!g && in->imm == INT32_MIN))
            break;
        s.kind = row_template(r) == T_ADD ? SRC_ADD : SRC_SUB;
        break;
    case T_SHIFT: /* of a copy that jit_flags_before keeps */
        if (r->opnd[1] == OPND_CL)
            break;
        s.kind = SRC_SHIFT;
        s.a = PLACE_KEPT;
        s.imm = r->opnd[1] == OPND_One ? 1 : in->imm;
        s.extension = in->modrm >> 3 & 7;
        break;
    default: break;
    }
    return s;
}

bool jit_same_source(const struct flag_source *x, const struct flag_source *y)
{
    bool same_step =
        x->step == y->step && (!x->step || (x->count == y->count && x->step_size == y->step_size));
    return x->kind == y->kind &&
           (x->kind == SRC_NONE || (same_step && x->kind == SRC_SAVED) ||
            (same_step && x->size == y->size && x->a == y->a && x->has_imm == y->has_imm &&
             x->extension == y->extension && (x->has_imm ? x->imm == y->imm : x->b == y->b)));
}

bool jit_source_is_kept(const struct flag_source *s)
{
    if (s->kind != SRC_NONE && s->step && s->count >= PLACE_KEPT)
        return true;
    return s->kind != SRC_NONE && s->kind != SRC_SAVED &&
           (s->a >= PLACE_KEPT || (!s->has_imm && s->b >= PLACE_KEPT));
}

/* ---- making flags again ---------------------------------------------------------------------- */

/* The register that holds the value; `scratch` after a load when it lies in memory. */
static unsigned value_in(struct asmbuf *a, unsigned place, unsigned scratch)
{
    if (place < PLACE_KEPT && host_reg[place] != SLOT)
        return (unsigned)host_reg[place];
    x_load(a, 1, scratch, H_RBP, place < PLACE_KEPT ? slot(place) : jit_kept_slot(place));
    return scratch;
}

#define OP_ADD 0x01
#define OP_SUB 0x29
#define OP_CMP 0x39
#define OP_TEST 0x85

static void op_rr(struct asmbuf *a, unsigned size, unsigned opcode, unsigned dst, unsigned src)
{
    if (size == 2)
        put8(a, 0x66);
    put_rex(a, size == 8, src, 0, dst, size == 1);
    put8(a, size == 1 ? opcode & ~1u : opcode);
    put8(a, 0xc0 | (src & 7) << 3 | (dst & 7));
}

/* The group-1 instruction /ext, or TEST, with an immediate. */
static void op_ri(struct asmbuf *a, unsigned size, bool test, unsigned ext, unsigned dst, s32 imm)
{
    if (size == 2)
        put8(a, 0x66);
    put_rex(a, size == 8, 0, 0, dst, size == 1);
    put8(a, (test ? 0xf6u : 0x80u) | (size != 1));
    put8(a, 0xc0 | ext << 3 | (dst & 7));
    for (unsigned i = 0; i < (size > 4 ? 4 : size); i++)
        put8(a, (u32)imm >> (8 * i) & 0xff);
}

/* Undoes an addition or subtraction in r14, and does it again. */
static void emit_redo(struct asmbuf *a, const struct flag_source *s)
{
    unsigned op = s->kind == SRC_ADD ? OP_ADD : OP_SUB;
    unsigned inverse = s->kind == SRC_ADD ? OP_SUB : OP_ADD;
    unsigned other = H_R15;
    x_mov(a, 1, H_R14, value_in(a, s->a, H_R14));
    if (s->has_imm)
        x_mov_imm(a, H_R15, (u64)(s64)s->imm);
    else
        other = value_in(a, s->b, H_R15);
    op_rr(a, 8, inverse, H_R14, other);
    op_rr(a, s->size, op, H_R14, other);
}

static void emit_redo_shift(struct asmbuf *a, const struct flag_source *s)
{
    value_in(a, s->a, H_R14);
    if (s->size == 2)
        put8(a, 0x66);
    put_rex(a, s->size == 8, 0, 0, H_R14, false);
    put8(a, s->size == 1 ? 0xc0 : 0xc1);
    put8(a, 0xc0 | (unsigned)s->extension << 3 | (H_R14 & 7));
    put8(a, (u8)s->imm);
}

/* LAHF and SETO into jit_saved, and back; RAX stays, r14 does not. */
void jit_emit_save(struct asmbuf *a)
{
    x_mov(a, 1, H_R14, H_RAX);
    put8(a, 0x9f);
    put8(a, 0x0f);
    put8(a, 0x90);
    put8(a, 0xc0);
    put8(a, 0x66);
    x_store(a, 0, H_RAX, H_RBP, STATE(jit_saved));
    x_mov(a, 1, H_RAX, H_R14);
}

static void emit_restore(struct asmbuf *a)
{
    x_mov(a, 1, H_R14, H_RAX);
    put8(a, 0x0f); /* movzx eax, word [jit_saved] */
    put8(a, 0xb7);
    put_mem(a, H_RAX, H_RBP, STATE(jit_saved));
    put8(a, 0x04); /* add al, 127; sahf */
    put8(a, 127);
    put8(a, 0x9e);
    x_mov(a, 1, H_RAX, H_R14);
}

/* Undoes an INC or DEC in r14, and does it again. */
static void emit_redo_step(struct asmbuf *a, const struct flag_source *s)
{
    x_lea(a, 1, H_R14, value_in(a, s->count, H_R14), -s->step);
    put_rex(a, s->step_size == 8, 0, 0, H_R14, false);
    put8(a, 0xff);
    put8(a, 0xc0 | (s->step < 0) << 3 | (H_R14 & 7));
}

/*T:530 Who looks at the flags?
 *
 * Almost every x86 instruction writes flags, and almost nobody reads them. A memory access has to
 * be checked, and the cheap check destroys the host's flags. So the guest's are made again, by
 * repeating the comparison that made them, and only where somebody will look. The cold path, where
 * an access faults, does it always: a fault shows the flags to the guest.
 */
void jit_emit_flags(struct tr *t, const struct flag_source *s)
{
    struct asmbuf *a = &t->a;
    bool test = s->kind == SRC_TEST;
    unsigned first;
    switch (s->kind) {
    case SRC_NONE: break;
    case SRC_SAVED: emit_restore(a); break;
    case SRC_CMP:
    case SRC_TEST:
        first = value_in(a, s->a, H_R14);
        if (s->has_imm)
            op_ri(a, s->size, test, test ? 0 : 7, first, s->imm);
        else
            op_rr(a, s->size, test ? OP_TEST : OP_CMP, first, value_in(a, s->b, H_R15));
        break;
    case SRC_ADD:
    case SRC_SUB: emit_redo(a, s); break;
    case SRC_SHIFT: emit_redo_shift(a, s); break;
    }
    if (s->kind != SRC_NONE && s->step)
        emit_redo_step(a, s);
}

static bool takes_scratch(u8 place)
{
    return place >= PLACE_KEPT || host_reg[place] == SLOT;
}

bool jit_flags_take_scratch(const struct flag_source *s)
{
    if (s->kind == SRC_NONE)
        return false;
    return s->step || (s->kind != SRC_CMP && s->kind != SRC_TEST) || takes_scratch(s->a) ||
           (!s->has_imm && takes_scratch(s->b));
}

/* ---- along the code -------------------------------------------------------------------------- */

static bool is_plain(const struct tr *t, const struct insn *in)
{
    const struct row_traits *tr = &t->j->rows[in->row];
    enum insn_template own = row_template(insn_row(in));
    return tr->template_ok || tr->bmi || (own >= T_LEA && own <= T_LEAVE) ||
           (tr->vec_ok && !tr->vec_guards) || (tr->x87_ok && insn_row(in)->ops != &ops_fldcw);
}

static bool has_access(const struct insn *in)
{
    enum insn_template own = row_template(insn_row(in));
    return own >= T_LEA ? own != T_LEA && own != T_NOP : in->mem;
}

/* INC or DEC of a register: all flags but CF are its own. Writes the step. */
static bool is_step(const struct insn *in, const struct insn_row *r, s8 *step)
{
    if (r->fl_write != F_OSZAP || in->mem || in->osz < 4)
        return false;
    *step = (r->modrm == MRM_NONE ? in->opcode : in->modrm) & 8 ? -1 : 1;
    return true;
}

static bool touches_flags(const struct insn_row *r)
{
    return r->fl_read | r->fl_write | r->fl_undef;
}

/* Looks at what follows until the flags are replaced. Is there anybody who may see them? How many
 * access checks come first? */
static bool wanted_ahead(const struct tr *t, unsigned *checks)
{
    *checks = 0;
    for (unsigned i = t->at + 1; i < t->seq_count; i++) {
        const struct insn *in = t->seq[i];
        const struct insn_row *r = insn_row(in);
        bool replaces = replaces_flags(in, r);
        if (row_template(r) == T_JMP)
            continue;
        if (!is_plain(t, in) || (touches_flags(r) && !replaces))
            return true;
        if (has_access(in))
            ++*checks;
        if (replaces)
            return *checks;
    }
    return true;
}

/* reg = the value in memory, zero-extended */
static void load_value(struct asmbuf *a, unsigned reg, unsigned size, const struct host_mem *m)
{
    put_rex(a, size == 8, reg, m->index, m->base, false);
    if (size < 4) {
        put8(a, 0x0f);
        put8(a, size == 1 ? 0xb6 : 0xb7);
    } else {
        put8(a, 0x8b);
    }
    put_host_mem(a, reg, m);
}

/* What the handler of the instruction would do first; SDM vol. 2, CMP, TEST. When that read hit a
 * watchpoint (cpu/tap.h), the code that does the rest is left, and so the handler does all of it.
 */
static const struct insn *read_operand(struct cpu *cpu, const struct insn *in, unsigned n)
{
    unsigned size = in->osz == 1 ? 0 : in->osz == 2 ? 1 : in->osz == 4 ? 2 : 3;
    cpu->jit_kept[n] = get_rm(cpu, in, in->osz);
    if (unlikely(cpu->block->dead))
        return insn_row(in)->ops->m[size](cpu, in);
    NEXT;
}

static const struct insn *op_keep_a(struct cpu *cpu, const struct insn *in)
{
    return read_operand(cpu, in, 0);
}

static const struct insn *op_keep_b(struct cpu *cpu, const struct insn *in)
{
    return read_operand(cpu, in, 1);
}

void jit_emit_kept_compare(struct tr *t, const struct insn *in, unsigned cold,
                           const struct host_mem *m)
{
    struct asmbuf *a = &t->a;
    struct flag_source s = source_of(in, insn_row(in), &t->j->rows[in->row]);
    bool test = s.kind == SRC_TEST;
    unsigned op = test ? OP_TEST : OP_CMP, checks;
    struct cold *c = &t->cold[cold];
    c->keep = s.a == PLACE_KEPT ? s.a : s.b;
    if (c->site)
        c->site->in.fn = c->keep == PLACE_KEPT ? op_keep_a : op_keep_b;
    load_value(a, H_R14, s.size, m);
    if (wanted_ahead(t, &checks))
        x_store(a, 1, H_R14, H_RBP, jit_kept_slot(c->keep));
    c->back = a->p;
    if (s.has_imm)
        op_ri(a, s.size, test, test ? 0 : 7, H_R14, s.imm);
    else if (s.a == PLACE_KEPT)
        op_rr(a, s.size, op, H_R14, value_in(a, s.b, H_R15));
    else
        op_rr(a, s.size, op, value_in(a, s.a, H_R15), H_R14);
}

void jit_want_flags(struct tr *t)
{
    if (!t->flags_spent)
        return;
    jit_emit_flags(t, &t->flags);
    t->flags_spent = false;
}

/* Copies a value of the source that the next instruction overwrites. */
static void keep(struct tr *t, u8 *place, u8 copy)
{
    unsigned r = value_in(&t->a, *place, H_R14);
    x_store(&t->a, 1, r, H_RBP, jit_kept_slot(copy));
    *place = copy;
}

static void keep_source(struct tr *t, u32 lost)
{
    struct flag_source *s = &t->flags;
    if (place_bit(s->a) & lost)
        keep(t, &s->a, PLACE_KEPT);
    if (!s->has_imm && place_bit(s->b) & lost)
        keep(t, &s->b, PLACE_KEPT + 1);
    if (s->step && place_bit(s->count) & lost)
        keep(t, &s->count, PLACE_KEPT_COUNT);
}

void jit_flags_save(struct tr *t)
{
    if (t->flags.kind != SRC_NONE)
        return;
    jit_emit_save(&t->a);
    t->flags = (struct flag_source){.kind = SRC_SAVED};
}

void jit_flags_spare(struct tr *t, u32 lost)
{
    jit_flags_save(t);
    keep_source(t, lost & jit_source_regs(&t->flags));
    t->may_spend = true;
}

void jit_flags_before(struct tr *t, const struct insn *in)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    bool replaces = replaces_flags(in, r), plain = is_plain(t, in), check = has_access(in);
    u32 lost = replaces ? 0 : written(in, r, tr) & jit_source_regs(&t->flags);
    unsigned checks;
    s8 step;

    /* What DIV makes of the flags is the host's; where nobody sees it, its guards may spend them.
     */
    t->may_spend =
        row_template(r) == T_DIV && t->flags.kind != SRC_NONE && !wanted_ahead(t, &checks);
    if (t->may_spend)
        return;
    if (is_step(in, r, &step) && t->flags.kind != SRC_NONE && !t->flags.step) {
        if (lost && wanted_ahead(t, &checks))
            keep_source(t, lost);
        return;
    }
    if (!plain || (touches_flags(r) && !replaces) || (tr->vec_xmm && !t->vec_live)) {
        jit_want_flags(t);
        return;
    }
    if (check && !replaces && t->flags.kind == SRC_NONE) {
        wanted_ahead(t, &checks);
        if (checks)
            jit_flags_save(t);
    }
    t->may_spend = t->flags.kind != SRC_NONE;
    if (lost && wanted_ahead(t, &checks))
        keep_source(t, lost);
    if (replaces && !in->mem && source_of(in, r, tr).kind == SRC_SHIFT &&
        wanted_ahead(t, &checks)) {
        u8 place = (u8)number(in->rm, in->osz == 1);
        keep(t, &place, PLACE_KEPT);
    }
}

void jit_flags_after(struct tr *t, const struct insn *in, bool inlined)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    unsigned checks;
    s8 step;
    t->may_spend = false;
    if (!inlined) {
        t->flags.kind = SRC_NONE;
    } else if (replaces_flags(in, r)) {
        t->flags = source_of(in, r, tr);
        t->flags_spent = false;
        if ((t->flags.kind == SRC_SHIFT || jit_can_keep_operand(in)) && !wanted_ahead(t, &checks))
            t->flags.kind = SRC_NONE; /* nothing was kept */
    } else if (written(in, r, tr) & jit_source_regs(&t->flags)) {
        t->flags.kind = SRC_NONE;
    } else if (is_step(in, r, &step) && t->flags.kind != SRC_NONE && !t->flags.step) {
        t->flags.step = step;
        t->flags.count = in->rm;
        t->flags.step_size = in->osz;
    } else if (r->fl_write | r->fl_undef) {
        t->flags.kind = SRC_NONE;
    }
}
