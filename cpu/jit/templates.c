/*
 * templates.c: which code an instruction gets: its own bytes (reencode.c, translate_sse.c), a
 * function of its own from here, or none: then its interpreter handler is called.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

extern const struct insn_ops ops_push_i;

/* ---- templates of their own ------------------------------------------------------------------ */

void jit_store_reg(struct tr *t, unsigned guest, unsigned from)
{
    if (host_reg[guest] == SLOT)
        x_store(&t->a, 1, from, H_RBP, slot(guest));
    else
        x_mov(&t->a, 1, (unsigned)host_reg[guest], from);
}

static bool emit_lea(struct tr *t, const struct insn *in)
{
    if ((t->is64 ? in->asz != 8 : in->asz != 4) || in->osz == 2)
        return false;
    struct insn wrong = *in;
    wrong.disp += t->j->test.wrong;
    bool in_memory = host_reg[in->reg] == SLOT;
    jit_emit_lea(t, in->osz == 8, in_memory ? H_R15 : (unsigned)host_reg[in->reg], &wrong);
    if (in_memory)
        jit_store_reg(t, in->reg, H_R15);
    return true;
}

static bool emit_push(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64;
    bool imm = insn_row(in)->ops == &ops_push_i;
    if (in->mem)
        return jit_emit_push_mem(t, in, i);
    if (in->osz != size)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    x_lea(a, w, H_R15, H_R12, -(s32)size);
    jit_emit_tlb_check(t, size, true, s, i);
    if (imm) {
        put_rex(a, w, 0, 0, H_R15, false);
        put8(a, 0xc7);
        put_mem(a, 0, H_R15, 0);
        put32(a, (u32)in->imm);
    } else {
        int h = host_reg[in->rm];
        if (h == SLOT) {
            x_load(a, 1, H_R14, H_RBP, slot(in->rm));
            h = H_R14;
        }
        x_store(a, w, (unsigned)h, H_R15, 0);
    }
    x_lea(a, w, H_R12, H_R12, -(s32)size);
    return true;
}

static bool emit_pop(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64;
    if (in->osz != size || in->mem)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    x_lea(a, w, H_R15, H_R12, 0);
    jit_emit_tlb_check(t, size, false, s, i);
    int h = host_reg[in->rm];
    unsigned to = h == SLOT || in->rm == RSP ? H_R14 : (unsigned)h;
    x_load(a, w, to, H_R15, 0);
    x_lea(a, w, H_R12, H_R12, (s32)size);
    if (to == H_R14)
        jit_store_reg(t, in->rm, H_R14);
    return true;
}

/* PUSH or POP of a register or an immediate that moves RSP by a slot and nothing else. */
static bool is_simple(const struct tr *t, const struct insn *in, enum insn_template own)
{
    const struct insn_row *r = insn_row(in);
    bool imm = r->ops == &ops_push_i;
    insn_fn fn = jit_bound_fn(t->b, in);
    return row_template(r) == own && in->osz == stack_slot_size(t) && !in->mem &&
           (imm || in->rm != RSP) && fn != r->ops->any;
}

unsigned jit_stack_run(const struct tr *t, unsigned i, unsigned end)
{
    enum insn_template own = row_template(insn_row(&t->b->insn[i]));
    unsigned n = 0;
    if (own != T_PUSH && own != T_POP)
        return 0;
    while (i + n < end && n < STACK_RUN_MAX && is_simple(t, &t->b->insn[i + n], own))
        n++;
    return n > 1 ? n : 0;
}

static void emit_run_push(struct tr *t, const struct insn *in, s32 at)
{
    struct asmbuf *a = &t->a;
    unsigned w = t->is64;
    if (insn_row(in)->ops == &ops_push_i) {
        put_rex(a, w, 0, 0, H_R15, false); /* mov [r15 + at], imm32 */
        put8(a, 0xc7);
        put_mem(a, 0, H_R15, at);
        put32(a, (u32)in->imm);
        return;
    }
    if (host_reg[in->rm] == SLOT)
        x_load(a, 1, H_R14, H_RBP, slot(in->rm));
    x_store(a, w, host_reg[in->rm] == SLOT ? H_R14 : (unsigned)host_reg[in->rm], H_R15, at);
}

static void emit_run_pop(struct tr *t, const struct insn *in, s32 at)
{
    bool in_memory = host_reg[in->rm] == SLOT;
    x_load(&t->a, t->is64, in_memory ? H_R14 : (unsigned)host_reg[in->rm], H_R15, at);
    if (in_memory)
        jit_store_reg(t, in->rm, H_R14);
}

void jit_emit_stack_run(struct tr *t, unsigned i, unsigned n)
{
    const struct insn *in = &t->b->insn[i];
    bool push = row_template(insn_row(in)) == T_PUSH;
    s32 size = (s32)stack_slot_size(t), bytes = size * (s32)n;
    u32 lost = BIT(RSP);
    jit_flush_notes(t);
    for (unsigned k = 0; k < n && !push; k++)
        lost |= BIT(in[k].rm);
    jit_flags_spare(t, lost);
    x_lea(&t->a, t->is64, H_R15, H_R12, push ? -bytes : 0);
    unsigned cold = t->colds;
    jit_emit_tlb_check(t, (unsigned)bytes, push, NULL, i);
    if (t->colds > cold)
        t->cold[cold].run = (u8)n;
    for (unsigned k = 0; k < n; k++) {
        if (push)
            emit_run_push(t, &in[k], bytes - size * (s32)(k + 1));
        else
            emit_run_pop(t, &in[k], size * (s32)k);
    }
    x_lea(&t->a, t->is64, H_R12, H_R12, push ? -bytes : bytes);
    if (t->colds > cold)
        t->cold[cold].back = t->a.p;
    t->may_spend = false;
    t->j->stats.templates += n;
}

static bool emit_leave(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64;
    if (in->osz != size)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    x_lea(a, w, H_R15, H_R13, 0);
    jit_emit_tlb_check(t, size, false, s, i);
    x_load(a, w, H_R14, H_R15, 0);
    x_lea(a, w, H_R12, H_R13, (s32)size);
    x_mov(a, 1, H_R13, H_R14);
    return true;
}

/* MOV r/m, Sreg. */
static bool emit_mov_sreg(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    if (in->reg > SEG_GS || (in->mem && !block_address_is_flat(t->b->key, in)))
        return false;
    if (in->mem) {
        struct jit_site *s = jit_new_site(t, in, i);
        jit_emit_address(t, in);
        jit_emit_tlb_check(t, 2, true, s, i);
    }
    put8(a, 0x44); /* movzx r14d, word [seg.sel] */
    put8(a, 0x0f);
    put8(a, 0xb7);
    put_mem(a, H_R14, H_RBP,
            STATE(seg) + (s32)(in->reg * sizeof(struct seg) + offsetof(struct seg, sel)));
    if (in->mem) {
        put8(a, 0x66); /* mov [r15], r14w */
        x_store(a, 0, H_R14, H_R15, 0);
    } else if (in->osz == 2) {
        put8(a, 0x66); /* only the low word */
        if (host_reg[in->rm] == SLOT)
            x_store(a, 0, H_R14, H_RBP, slot(in->rm));
        else
            x_mov(a, 0, (unsigned)host_reg[in->rm], H_R14);
    } else {
        jit_store_reg(t, in->rm, H_R14);
    }
    return true;
}

/* Jumps to the cold path of the site unless RCX is 0 (want_zero), or if it is. */
static void guard_rcx(struct tr *t, bool want_zero, struct jit_site *s, unsigned i)
{
    u8 *zero = x_jrcxz(&t->a);
    if (want_zero) {
        jit_add_cold(t, s, i);
        x_here(&t->a, zero);
        return;
    }
    put8(&t->a, 0xeb); /* jmp over the cold jump */
    put8(&t->a, 5);
    x_here(&t->a, zero);
    jit_add_cold(t, s, i);
}

/* The same by a condition, with flags to spare. */
static void guard_cc(struct tr *t, unsigned cc, struct jit_site *s, unsigned i)
{
    u8 *from = x_jcc(&t->a, cc, t->a.p);
    t->cold[t->colds++] = (struct cold){.from = from,
                                        .site = s,
                                        .idx = i,
                                        .quick = true,
                                        .vec_live = t->vec_live,
                                        .x87_live = t->x87_live,
                                        .notes = t->notes,
                                        .flags = t->flags};
    t->flags_spent = true;
}

/* dst = the sign of RAX, as often as there are bits. */
static void emit_sign(struct asmbuf *a, unsigned w, unsigned dst)
{
    x_mov(a, w, dst, H_RAX);
    x_op_rr(a, w, 0xc1, dst, 7); /* sar dst, imm8 */
    put8(a, w ? 63 : 31);
}

#define OP_CMP 0x39
#define OP_TEST 0x85
#define JBE 6
#define JE 4
#define JNE 5

/* Guards a division by h with ordinary arithmetic. Clobbers r14. */
static void guard_division(struct tr *t, unsigned w, unsigned h, bool has_sign, struct jit_site *s,
                           unsigned i)
{
    struct asmbuf *a = &t->a;
    if (!has_sign) {
        x_op_rr(a, w, OP_TEST, H_RDX, H_RDX);
        guard_cc(t, JNE, s, i);
        x_op_rr(a, w, OP_TEST, h, h);
        guard_cc(t, JE, s, i);
        return;
    }
    emit_sign(a, w, H_R14);
    x_op_rr(a, w, OP_CMP, H_RDX, H_R14);
    guard_cc(t, JNE, s, i);
    x_lea(a, w, H_R14, h, 1);
    put_rex(a, w, 0, 0, H_R14, false); /* cmp r14, 1 */
    put8(a, 0x83);
    put8(a, 0xc0 | 7 << 3 | (H_R14 & 7));
    put8(a, 1);
    guard_cc(t, JBE, s, i);
}

/* rcx = 0 unless the quotient may not fit. Clobbers r14. */
static void emit_narrow(struct asmbuf *a, unsigned w, bool has_sign)
{
    if (!has_sign) {
        x_mov(a, w, H_RCX, H_RDX);
        return;
    }
    x_mov(a, 1, H_RCX, H_RAX);
    if (!w) { /* movsxd rcx, eax */
        put8(a, 0x48);
        put8(a, 0x63);
        put8(a, 0xc8);
    }
    x_mov_imm(a, H_R14, 63);
    x_shift_x(a, 2, H_R14, H_RCX, H_R14); /* 0 or -1 */
    put_rex(a, 1, 0, 0, H_R14, false);    /* not r14 */
    put8(a, 0xf7);
    put8(a, 0xd6);
    x_lea_sib(a, w, H_RCX, H_RDX, H_R14, 0, 1); /* rdx - sign */
}

/* The same without touching flags. */
static void guard_division_carefully(struct tr *t, unsigned w, unsigned h, bool has_sign,
                                     struct jit_site *s, unsigned i)
{
    struct asmbuf *a = &t->a;
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    emit_narrow(a, w, has_sign);
    guard_rcx(t, true, s, i);
    x_mov(a, w, H_RCX, h);
    guard_rcx(t, false, s, i);
    if (has_sign) {
        x_lea(a, w, H_RCX, h, 1);
        guard_rcx(t, false, s, i);
    }
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
}

/*
 * DIV and IDIV of 32 and 64 bits when the high half of the dividend says no more than the low one
 * (zero, or for IDIV its sign) and the divisor is neither 0 nor, for IDIV, -1: that cannot fault.
 * All else is the handler's.
 */
static bool emit_div(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned w = in->osz == 8, ext = in->modrm >> 3 & 7;
    bool has_sign = ext == 7;
    int h = H_R15;
    if (in->osz < 4 || (has_sign && !a->bmi2) ||
        (in->mem ? !block_address_is_flat(t->b->key, in) : in->rm == RDX))
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    if (in->mem) {
        jit_emit_address(t, in);
        jit_emit_tlb_check(t, in->osz, false, s, i);
        x_load(a, w, H_R15, H_R15, 0);
    } else if (host_reg[in->rm] == SLOT) {
        x_load(a, 1, H_R15, H_RBP, slot(in->rm));
    } else if (host_reg[in->rm] == H_RCX) { /* the careful guards use it */
        x_mov(a, 1, H_R15, H_RCX);
    } else {
        h = host_reg[in->rm];
    }
    if (t->may_spend)
        guard_division(t, w, (unsigned)h, has_sign, s, i);
    else
        guard_division_carefully(t, w, (unsigned)h, has_sign, s, i);
    put_rex(a, w, 0, 0, (unsigned)h, false);
    put8(a, 0xf7);
    put8(a, 0xc0 | ext << 3 | ((unsigned)h & 7));
    return true;
}

/* ---- bit strings ----------------------------------------------------------------------------- */

/* op rm64, reg of the group: BT and its kin, by register. size: of the operand */
static void put_bit_op(struct asmbuf *a, unsigned opcode, unsigned size, unsigned rm, unsigned reg)
{
    put_rex(a, size == 8, reg, 0, rm, false);
    put8(a, 0x0f);
    put8(a, opcode);
    put8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* [r15] op= the bit that rcx names, in one access. The host would take rcx for an offset, too, so
 * it is cut to the operand's size. Clobbers r14. */
static void put_locked_bit_op(struct asmbuf *a, unsigned opcode, unsigned size)
{
    x_mov_imm(a, H_R14, size == 8 ? 58 : 59);
    x_shift_x(a, 1, H_RCX, H_RCX, H_R14);
    x_shift_x(a, 3, H_RCX, H_RCX, H_R14);
    put8(a, 0xf0);
    put_rex(a, size == 8, H_RCX, 0, H_R15, false);
    put8(a, 0x0f);
    put8(a, opcode);
    put_mem(a, H_RCX, H_R15, 0);
}

/* BT, BTS, BTR, BTC of memory with the bit's number in a register, which reaches any distance. */
bool jit_emit_bit_string(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned size = in->osz, scale = size == 8 ? 3 : 2;
    bool read_only = in->opcode == 0xa3, lock = in->pfx & PFX_LOCK;
    int h = host_reg[in->reg];
    if (!a->bmi2 || size < 4 || !block_address_is_flat(t->b->key, in))
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    jit_emit_address(t, in);
    if (h == SLOT)
        x_load(a, 1, H_R14, H_RBP, slot(in->reg));
    else
        x_mov(a, 1, H_R14, (unsigned)h);
    if (size == 4) { /* movsxd r14, r14d */
        put8(a, 0x4d);
        put8(a, 0x63);
        put8(a, 0xf6);
    }
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_mov_imm(a, H_RCX, scale + 3);
    x_shift_x(a, 2, H_R14, H_R14, H_RCX); /* units from the operand's address */
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_lea_sib(a, t->is64, H_R15, H_R15, H_R14, scale, 0);
    jit_emit_tlb_check(t, size, !read_only, s, i);
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    if (h == SLOT)
        x_load(a, 1, H_RCX, H_RBP, slot(in->reg));
    else
        x_mov(a, 1, H_RCX, (unsigned)h);
    if (lock) {
        put_locked_bit_op(a, in->opcode, size);
    } else {
        x_load(a, size == 8, H_R14, H_R15, 0);
        put_bit_op(a, in->opcode, size, H_R14, H_RCX);
        if (!read_only)
            x_store(a, size == 8, H_R14, H_R15, 0);
    }
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    return true;
}

/* ---- the rest -------------------------------------------------------------------------------- */

extern const struct insn_ops ops_mfence;

/* Of what does nothing here only MFENCE means something to other CPUs. */
static bool emit_nop(struct tr *t, const struct insn_row *r)
{
    if (r->ops == &ops_mfence && t->j->cpu->shared) {
        put8(&t->a, 0x0f);
        put8(&t->a, 0xae);
        put8(&t->a, 0xf0);
    }
    return true;
}

/* Is the record bound to the handler that checks more than flat operands need? */
static bool bound_to_any(const struct tr *t, const struct insn *in)
{
    const struct insn_row *r = insn_row(in);
    insn_fn fn = jit_bound_fn(t->b, in);
    return fn == r->ops->any && (r->ops->stack || r->attr & A_CPL0);
}

bool jit_emit_template(struct tr *t, const struct insn *in, unsigned i)
{
    const struct insn_row *r = insn_row(in);
    if (t->j->rows[in->row].vec_ok)
        return jit_emit_vec(t, in, i);
    if (t->j->rows[in->row].x87_ok)
        return jit_emit_x87(t, in, i);
    if (t->j->rows[in->row].bmi)
        return jit_emit_bmi(t, in, i);
    if (r->ops && row_template(r) >= T_CLI)
        return jit_emit_sys(t, in, i);
    if (!r->ops || bound_to_any(t, in))
        return false;
    switch (row_template(r)) {
    case T_NOP: return emit_nop(t, r);
    case T_LEA: return emit_lea(t, in);
    case T_PUSH: return emit_push(t, in, i);
    case T_POP: return emit_pop(t, in, i);
    case T_LEAVE: return emit_leave(t, in, i);
    case T_MOV_SREG: return emit_mov_sreg(t, in, i);
    case T_DIV: return emit_div(t, in, i);
    default: return jit_emit_reencoded(t, in, i);
    }
}
