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

/* A CALL pushes its return address when nothing else can go wrong but the store itself. */
static void commit_call(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64, cold = t->colds;
    u64 ret = t->jb->lin + in->off + in->len;
    x_store(a, 1, H_R14, H_RBP, STATE(jit_target));
    x_lea(a, w, H_R15, H_R12, -(s32)size);
    jit_emit_tlb_check(t, size, true, NULL, in->idx);
    t->cold[cold].undo = t->b->count;
    x_mov_imm(a, H_R14, w ? ret : (u32)ret);
    x_store(a, w, H_R14, H_R15, 0);
    x_lea(a, w, H_R12, H_R12, -(s32)size);
}

/* r15: target -> its guard now. Code with other guards is not in the table. Clobbers RCX. */
static void emit_target_guard(struct tr *t)
{
    struct asmbuf *a = &t->a;
    if (!(t->b->key & KEY_CPL3)) {
        x_load(a, 0, H_R15, H_RBP, STATE(tlb.epoch_global));
        return;
    }
    x_shl(a, H_R15, H_R15, 64 - PAGE_SHIFT - TLB_CODE_SLOT_BITS, H_RCX);
    x_shr(a, H_R15, H_R15, 64 - TLB_CODE_SLOT_BITS, H_RCX);
    x_load(a, 1, H_RCX, H_RBP, STATE(tlb.code));
    put_rex(a, 0, H_R15, H_R15, H_RCX, false); /* mov r15d, [rcx + r15 * 4] */
    put8(a, 0x8b);
    put_sib(a, H_R15, H_RCX, H_R15, 2, 0);
}

/*
 * The guards of an indirect jump whose target is in r15: takes the entry from the table and goes
 * there if it stands for this address, the mapping is still right and the slice not over. Else
 * leaves to record i with nothing committed. `commit` runs in between.
 */
static void emit_indirect(struct tr *t, unsigned i,
                          void (*commit)(struct tr *, const struct insn *), const struct insn *in)
{
    struct asmbuf *a = &t->a;
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_ror(a, H_R14, H_R15, 16);
    x_lea_sib(a, 1, H_R14, H_R14, H_R15, 0, 0);
    x_movzx16(a, H_R14, H_R14);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_targets));
    put_rex(a, 1, H_R14, H_R14, H_RCX, false); /* mov r14, [rcx + r14 * 8] */
    put8(a, 0x8b);
    put_sib(a, H_R14, H_RCX, H_R14, 3, 0);
    x_load(a, 1, H_RCX, H_R14, -16);
    x_lea_sib(a, 1, H_RCX, H_RCX, H_R15, 0, (s32)t->key);
    u8 *same = x_jrcxz(a);
    u8 *miss = x_jmp(a, a->p);
    x_here(a, same);
    emit_target_guard(t);
    x_load(a, 0, H_RCX, H_R14, -8);
    put_rex(a, 0, H_RCX, 0, 0, false); /* not ecx: minus one minus it */
    put8(a, 0xf7);
    put8(a, 0xc0 | 2 << 3 | H_RCX);
    x_lea_sib(a, 0, H_RCX, H_RCX, H_R15, 0, 1);
    u8 *current = x_jrcxz(a);
    u8 *stale = x_jmp(a, a->p);
    x_here(a, current);
    jit_emit_load_left(t, t->b->count);
    x_shr(a, H_RCX, H_R15, 63, H_RCX);
    u8 *in_time = x_jrcxz(a);
    u8 *late = x_jmp(a, a->p);
    x_here(a, in_time);
    x_store(a, 1, H_R15, H_RBP, STATE(left));
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    if (commit)
        commit(t, in);
    if (commit == commit_call) {
        put8(a, 0xff); /* jmp [rbp + jit_target] */
        put_mem(a, 4, H_RBP, STATE(jit_target));
    } else {
        put8(a, 0x41); /* jmp r14 */
        put8(a, 0xff);
        put8(a, 0xe6);
    }
    if (a->full)
        return;
    x_patch(miss, a->p);
    x_patch(stale, a->p);
    x_patch(late, a->p);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    jit_emit_exit_record(t, i);
}

static void commit_ret(struct tr *t, const struct insn *in)
{
    s32 n = (s32)stack_slot_size(t) + (insn_row(in)->opnd[0] == OPND_Iw ? (u16)in->imm : 0);
    x_lea(&t->a, t->is64, H_R12, H_R12, n);
}

static bool emit_ret(struct tr *t, const struct insn *in, unsigned i)
{
    unsigned size = stack_slot_size(t);
    if (in->osz != size)
        return false;
    x_lea(&t->a, t->is64, H_R15, H_R12, 0);
    jit_emit_tlb_check(t, size, false, NULL, i);
    x_load(&t->a, t->is64, H_R15, H_R15, 0);
    emit_indirect(t, i, commit_ret, in);
    return true;
}

/* Indirect JMP or CALL: r15 = the operand. */
static bool emit_jmp_e(struct tr *t, const struct insn *in, unsigned i, bool call)
{
    if (in->osz != stack_slot_size(t))
        return false;
    if (in->mem) {
        if (!block_address_is_flat(t->b->key, in))
            return false;
        jit_emit_address(t, in);
        jit_emit_tlb_check(t, in->osz, false, NULL, i);
        x_load(&t->a, t->is64, H_R15, H_R15, 0);
    } else if (host_reg[in->rm] == SLOT) {
        x_load(&t->a, 1, H_R15, H_RBP, slot(in->rm));
    } else {
        x_mov(&t->a, 1, H_R15, (unsigned)host_reg[in->rm]);
    }
    emit_indirect(t, i, call ? commit_call : NULL, in);
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
