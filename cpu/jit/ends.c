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

#define TARGET(member) ((s32)offsetof(struct jit_target, member))
#define JNE 5

void jit_emit_find_target(struct asmbuf *a, unsigned scratch, const u32 *key, bool user,
                          u8 *miss[TARGET_MISSES])
{
    x_ror_quick(a, H_R14, H_R15, 16);
    x_lea_sib(a, 1, H_R14, H_R14, H_R15, 0, 0);
    x_movzx16(a, H_R14, H_R14);
    shift_r(a, SHL, H_R14, 5);
    op_load(a, 1, OP_ADD, H_R14, H_RBP, STATE(jit_targets));
    op_load(a, 1, OP_CMP, H_R15, H_R14, TARGET(lin));
    miss[0] = x_jcc(a, JNE, a->p);
    if (key) {
        put8(a, 0x41); /* cmp dword [r14 + key], key */
        put8(a, 0x81);
        put_mem(a, 7, H_R14, TARGET(key));
        put32(a, *key);
    } else {
        x_load(a, 0, scratch, H_RBP, STATE(key));
        op_load(a, 0, OP_CMP, scratch, H_R14, TARGET(key));
    }
    miss[1] = x_jcc(a, JNE, a->p);
    if (user) {
        x_load(a, 1, scratch, H_RBP, STATE(tlb.code));
        op_load(a, 1, OP_ADD, scratch, H_R14, TARGET(code_at));
        x_load(a, 0, scratch, scratch, 0);
    } else {
        x_load(a, 0, scratch, H_RBP, STATE(tlb.epoch_global));
    }
    op_load(a, 0, OP_CMP, scratch, H_R14, TARGET(guard));
    miss[2] = x_jcc(a, JNE, a->p);
}
_Static_assert(sizeof(struct jit_target) == 32, "the slot is found by a shift");

void jit_emit_keep_target(struct asmbuf *a, bool kept)
{
    if (!kept)
        return;
    x_load(a, 1, H_R14, H_R14, TARGET(entry));
    x_store(a, 1, H_R14, H_RBP, STATE(jit_target));
}

void jit_emit_go_to_target(struct asmbuf *a, bool kept)
{
    if (!kept)
        put8(a, 0x41); /* jmp [r14 + entry], or [rbp + jit_target] */
    put8(a, 0xff);
    put_mem(a, 4, kept ? H_RBP : H_R14, kept ? STATE(jit_target) : TARGET(entry));
}

/*
 * An indirect jump whose target is in r15, with flags to spare: goes to its code if there is one
 * that stands for this address, the mapping is still right and the slice not over. Else leaves to
 * record i with nothing committed.
 */
static void emit_indirect(struct tr *t, unsigned i, enum stack_effect effect)
{
    struct asmbuf *a = &t->a;
    bool kept = effect == STACK_PUSH || jit_flags_take_scratch(&t->flags);
    u8 *late[2], *miss[TARGET_MISSES];
    jit_emit_find_target(a, H_R15, &t->key, t->key & KEY_CPL3, miss);
    jit_emit_count(t, t->b->count, late);
    jit_emit_keep_target(a, kept);
    emit_stack_effect(t, effect, &t->b->insn[i]);
    jit_emit_go_to_target(a, kept);
    jit_patch_late(a, late);
    jit_emit_give_back(a, t->b->count);
    if (a->full)
        return;
    for (unsigned k = 0; k < TARGET_MISSES; k++)
        x_patch(miss[k], a->p);
    jit_emit_flags(t, &t->flags);
    jit_emit_exit_record(t, i);
}

bool jit_emit_target(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    bool ret = row_template(insn_row(in)) == T_RET;
    if (in->osz != stack_slot_size(t) || (in->mem && !block_address_is_flat(t->b->key, in)))
        return false;
    jit_flags_spare(t, ret ? BIT(RSP) : 0);
    if (ret || in->mem) {
        if (ret)
            x_lea(a, t->is64, H_R15, H_R12, 0);
        else
            jit_emit_address(t, in);
        jit_emit_tlb_check(t, in->osz, false, NULL, i);
        x_load(a, t->is64, H_R15, H_R15, 0);
    } else if (host_reg[in->rm] == SLOT) {
        x_load(a, 1, H_R15, H_RBP, slot(in->rm));
    } else {
        x_mov(a, 1, H_R15, (unsigned)host_reg[in->rm]);
    }
    return true;
}

static enum stack_effect stack_effect(const struct insn *in)
{
    switch (row_template(insn_row(in))) {
    case T_RET: return STACK_POP;
    case T_CALL_E: return STACK_PUSH;
    default: return STACK_KEPT;
    }
}

void jit_emit_end(struct tr *t)
{
    unsigned last = t->b->count - 1u;
    const struct insn *in = &t->b->insn[last];
    struct asmbuf *a = &t->a;
    bool slot_sized = in->osz == stack_slot_size(t);
    if (jit_is_watched(t, in) && insn_row(in)->cls != SYSTEM) {
        jit_emit_exit_record(t, last);
        return;
    }
    /* CS is flat with base 0 in translatable modes, so linear addresses are instruction pointers.
     */
    switch (row_template(insn_row(in))) {
    case T_JCC:
        if (in->osz == 2)
            break;
        end_site(t, 1, x_jcc(a, in->opcode & 15, a->p));
        end_site(t, 0, x_jmp(a, a->p));
        t->jb->taken = x_jmp(a, a->p);
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
    case T_JMP_E:
    case T_CALL_E:
        if (!jit_emit_target(t, in, last))
            break;
        emit_indirect(t, last, stack_effect(in));
        return;
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
