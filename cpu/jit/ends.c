/*
 * ends.c: how a block ends: jumps that links are patched into, computed jumps, or an exit to the
 * interpreter.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

/* Cold: an unlinked jump leaves to the interpreter, which runs the jump and links. */
static void end_site(struct tr *t, unsigned side, u8 *after)
{
    t->jb->site[side] = after;
    t->cold[t->colds++] = (struct cold){.from = after, .idx = t->b->count - 1u};
}

/* How a computed jump changes the stack. */
enum stack_effect { STACK_KEPT, STACK_PUSH, STACK_POP };

/* What RET and CALL do when nothing else can go wrong but a CALL's store. The flags come back. */
static void emit_stack_effect(struct tr *t, enum stack_effect effect, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64, cold = t->colds;
    if (effect == STACK_PUSH) {
        u64 ret = t->jb->lin + in->off + in->len;
        x_lea(a, w, H_R15, H_R12, -(s32)size);
        jit_emit_tlb_check(t, size, true, NULL, in->idx);
        t->cold[cold].undo = t->b->count;
        x_mov_imm(a, H_R14, w ? ret : (u32)ret);
        x_store(a, w, H_R14, H_R15, 0);
    }
    jit_emit_flags(t, &t->flags); /* RSP may be what they come from */
    if (effect == STACK_PUSH)
        x_lea(a, w, H_R12, H_R12, -(s32)size);
    if (effect == STACK_POP)
        x_lea(a, w, H_R12, H_R12,
              (s32)size + (insn_row(in)->opnd[0] == OPND_Iw ? (u16)in->imm : 0));
}

/* op r64, [base + disp] */
static void op_load(struct asmbuf *a, unsigned w, unsigned opcode, unsigned reg, unsigned base,
                    s32 disp)
{
    put_rex(a, w, reg, 0, base, false);
    put8(a, opcode);
    put_mem(a, reg, base, disp);
}

static void shift_r(struct asmbuf *a, unsigned ext, unsigned reg, unsigned n)
{
    put_rex(a, 1, 0, 0, reg, false);
    put8(a, 0xc1);
    put8(a, 0xc0 | ext << 3 | (reg & 7));
    put8(a, n);
}

#define OP_ADD 0x03
#define OP_CMP 0x3b
#define SHL 4
#define SHR 5

/* r15: target -> its guard now. Code with other guards is not in the table. Clobbers r14. */
static void emit_target_guard(struct tr *t)
{
    struct asmbuf *a = &t->a;
    if (!(t->b->key & KEY_CPL3)) {
        x_load(a, 0, H_R15, H_RBP, STATE(tlb.epoch_global));
        return;
    }
    shift_r(a, SHL, H_R15, 64 - PAGE_SHIFT - TLB_CODE_SLOT_BITS);
    shift_r(a, SHR, H_R15, 64 - TLB_CODE_SLOT_BITS);
    x_load(a, 1, H_R14, H_RBP, STATE(tlb.code));
    put_rex(a, 0, H_R15, H_R15, H_R14, false); /* mov r15d, [r14 + r15 * 4] */
    put8(a, 0x8b);
    put_sib(a, H_R15, H_R14, H_R15, 2, 0);
}

/*
 * The guards of an indirect jump whose target is in r15, with flags to spare: takes the entry from
 * the table and goes there if it stands for this address, the mapping is still right and the slice
 * not over. Else leaves to record i with nothing committed.
 */
static void emit_indirect(struct tr *t, unsigned i, enum stack_effect effect)
{
    struct asmbuf *a = &t->a;
    u8 *late[2];
    x_ror_quick(a, H_R14, H_R15, 16);
    x_lea_sib(a, 1, H_R14, H_R14, H_R15, 0, 0);
    x_movzx16(a, H_R14, H_R14);
    shift_r(a, SHL, H_R14, 3);
    op_load(a, 1, OP_ADD, H_R14, H_RBP, STATE(jit_targets));
    x_load(a, 1, H_R14, H_R14, 0);
    x_store(a, 1, H_R14, H_RBP, STATE(jit_target));
    x_load(a, 1, H_R14, H_R14,
           -(s32)sizeof(struct jit_head) + (s32)offsetof(struct jit_head, neg_lin));
    x_lea_sib(a, 1, H_R14, H_R14, H_R15, 0, 0);
    put8(a, 0x49); /* cmp r14, -key */
    put8(a, 0x81);
    put8(a, 0xfe);
    put32(a, -t->key);
    u8 *miss = x_jcc(a, 5, a->p); /* jne */
    emit_target_guard(t);
    x_load(a, 1, H_R14, H_RBP, STATE(jit_target));
    op_load(a, 0, OP_CMP, H_R15, H_R14,
            -(s32)sizeof(struct jit_head) + (s32)offsetof(struct jit_head, guard));
    u8 *stale = x_jcc(a, 5, a->p);
    jit_emit_count(t, t->b->count, late);
    emit_stack_effect(t, effect, &t->b->insn[i]);
    put8(a, 0xff); /* jmp [rbp + jit_target] */
    put_mem(a, 4, H_RBP, STATE(jit_target));
    jit_patch_late(a, late);
    jit_emit_give_back(a, t->b->count);
    if (a->full)
        return;
    x_patch(miss, a->p);
    x_patch(stale, a->p);
    jit_emit_flags(t, &t->flags);
    jit_emit_exit_record(t, i);
}

/* From here on, there is a source for the flags. */
static void begin_indirect(struct tr *t)
{
    jit_flags_save(t);
    t->may_spend = true;
}

static bool emit_ret(struct tr *t, const struct insn *in, unsigned i)
{
    unsigned size = stack_slot_size(t);
    if (in->osz != size)
        return false;
    begin_indirect(t);
    x_lea(&t->a, t->is64, H_R15, H_R12, 0);
    jit_emit_tlb_check(t, size, false, NULL, i);
    x_load(&t->a, t->is64, H_R15, H_R15, 0);
    emit_indirect(t, i, STACK_POP);
    return true;
}

/* Indirect JMP or CALL: r15 = the operand. */
static bool emit_jmp_e(struct tr *t, const struct insn *in, unsigned i, bool call)
{
    if (in->osz != stack_slot_size(t) || (in->mem && !block_address_is_flat(t->b->key, in)))
        return false;
    begin_indirect(t);
    if (in->mem) {
        jit_emit_address(t, in);
        jit_emit_tlb_check(t, in->osz, false, NULL, i);
        x_load(&t->a, t->is64, H_R15, H_R15, 0);
    } else if (host_reg[in->rm] == SLOT) {
        x_load(&t->a, 1, H_R15, H_RBP, slot(in->rm));
    } else {
        x_mov(&t->a, 1, H_R15, (unsigned)host_reg[in->rm]);
    }
    emit_indirect(t, i, call ? STACK_PUSH : STACK_KEPT);
    return true;
}

void jit_emit_end(struct tr *t)
{
    unsigned last = t->b->count - 1u;
    const struct insn *in = &t->b->insn[last];
    struct asmbuf *a = &t->a;
    bool slot_sized = in->osz == stack_slot_size(t);
    /* CS is flat with base 0 in translatable modes, so linear addresses are instruction pointers.
     */
    switch (row_template(insn_row(in))) {
    case T_JCC:
        if (in->osz == 2)
            break;
        end_site(t, 1, x_jcc(a, in->opcode & 15, a->p));
        end_site(t, 0, x_jmp(a, a->p));
        return;
    case T_JMP:
        if (in->osz == 2)
            break;
        end_site(t, 0, x_jmp(a, a->p));
        return;
    case T_CALL:
        if (!slot_sized)
            break;
        t->jb->is_call = true;
        end_site(t, 0, x_jmp(a, a->p));
        return;
    case T_RET:
        if (emit_ret(t, in, last))
            return;
        break;
    case T_JMP_E:
    case T_CALL_E:
        if (emit_jmp_e(t, in, last, row_template(insn_row(in)) == T_CALL_E))
            return;
        break;
    default: break;
    }
    if (insn_row(in)->cls == SYSTEM)
        jit_emit_system(t, in, last);
    else
        jit_emit_exit_record(t, last);
}

/* The block goes on at the next address. */
void jit_emit_fall_through(struct tr *t)
{
    u8 *after = x_jmp(&t->a, t->a.p);
    t->jb->site[0] = after;
    t->cold[t->colds++] = (struct cold){.from = after, .idx = t->b->count};
}
