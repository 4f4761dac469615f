/*
 * translate_sys.c: system instructions that kernels run all the time, and string instructions.
 *
 * Each does what its handler does, for the common case that can be told from the block's key and a
 * look or two at the state; else nothing is committed and the handler runs. Flags stay where they
 * are: bits of EFLAGS outside of the six change by rotations, counters by LEA.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

/* ---- state ----------------------------------------------------------------------------------- */

/* Blocks of CPL 0: what the handlers ask for is there. */
static bool is_kernel(const struct tr *t)
{
    return !(t->b->key & (KEY_CPL3 | KEY_CPL12));
}

static void emit_increment(struct asmbuf *a, s32 at)
{
    x_load(a, 1, H_R14, H_RBP, at);
    x_lea(a, 1, H_R14, H_R14, 1);
    x_store(a, 1, H_R14, H_RBP, at);
}

/* stat_count */
static void emit_stat(struct tr *t, enum stat_class c)
{
    emit_increment(&t->a, STATE(stats.served) + 8 * (s32)(c * SERVED_COUNT + SERVED_INLINE));
}

/* Bit n of EFLAGS becomes 0 or 1: it is rotated to the top, shifted out, and its successor in. */
static void emit_eflags_bit(struct tr *t, unsigned n, bool set)
{
    struct asmbuf *a = &t->a;
    x_load(a, 0, H_R14, H_RBP, STATE(eflags));
    x_ror(a, H_R14, H_R14, n + 1);
    x_lea_sib(a, 1, H_R14, H_R14, H_R14, 0, set);
    x_ror(a, H_R14, H_R14, 64 - n);
    x_store(a, 0, H_R14, H_RBP, STATE(eflags));
}

#define BIT_IF 9
#define BIT_DF 10
#define BIT_AC 18
_Static_assert(EFLAGS_IF == BIT(BIT_IF) && EFLAGS_DF == BIT(BIT_DF) && EFLAGS_AC == BIT(BIT_AC),
               "");

/* ---- flags ----------------------------------------------------------------------------------- */

static bool emit_cli(struct tr *t)
{
    if (!is_kernel(t))
        return false;
    emit_eflags_bit(t, BIT_IF, false);
    emit_stat(t, STAT_CLI);
    return true;
}

/* With something requested the handler decides about the interrupt shadow. The end of a block is
 * its caller's (translate.c). */
static bool emit_sti(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    if (!is_kernel(t))
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_load(a, 0, H_RCX, H_RBP, STATE(req));
    u8 *quiet = x_jrcxz(a);
    jit_add_cold(t, s, i);
    x_here(a, quiet);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    emit_eflags_bit(t, BIT_IF, true);
    emit_stat(t, STAT_STI);
    return true;
}

/* From here on the block accesses data with other rights, and ends with another key. */
static bool emit_set_ac(struct tr *t, bool ac)
{
    struct asmbuf *a = &t->a;
    if (!is_kernel(t))
        return false;
    emit_eflags_bit(t, BIT_AC, ac);
    if (!(t->b->key & KEY_SMAP))
        return true;
    t->mode = ac ? TLB_KERNEL_AC : TLB_KERNEL;
    t->key = (t->key & ~(3u << KEY_TLB_SHIFT)) | t->mode << KEY_TLB_SHIFT;
    put8(a, 0xc7); /* mov dword [key], imm32 */
    put_mem(a, 0, H_RBP, STATE(key));
    put32(a, t->key);
    x_lea(a, 1, H_R14, H_RBP, STATE(tlb.l1) + (s32)(t->mode * sizeof(struct tlb_l1)));
    x_store(a, 1, H_R14, H_RBP, STATE(data));
    return true;
}

/* pext (right) or pdep dst, dst, mask: BMI2, flags stay. */
static void bits_by_mask(struct asmbuf *a, bool right, unsigned dst, unsigned mask)
{
    put8(a, 0xc4);
    put8(a, (dst & 8 ? 0 : 0x80) | 0x40 | (mask & 8 ? 0 : 0x20) | 2);
    put8(a, (~dst & 15) << 3 | (right ? 2 : 3));
    put8(a, 0xf5);
    put8(a, 0xc0 | (dst & 7) << 3 | (mask & 7));
}

/* r14 &= mask */
static void emit_and_kept(struct asmbuf *a, u32 mask)
{
    x_mov_imm(a, H_R15, mask);
    bits_by_mask(a, true, H_R14, H_R15);
    bits_by_mask(a, false, H_R14, H_R15);
}

static bool emit_pushf(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t);
    if (!a->bmi2 || in->osz != size)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    x_lea(a, t->is64, H_R15, H_R12, -(s32)size);
    jit_emit_tlb_check(t, size, true, s, i);
    x_store(a, 1, H_R15, H_RBP, STATE(jit_target));
    put8(a, 0x9c); /* pushfq; pop r14 */
    put8(a, 0x41);
    put8(a, 0x5e);
    emit_and_kept(a, EFLAGS_ARITH);
    x_load(a, 0, H_R15, H_RBP, STATE(eflags));
    x_lea_sib(a, 0, H_R14, H_R14, H_R15, 0, 0);
    emit_and_kept(a, ~(EFLAGS_VM | EFLAGS_RF));
    x_load(a, 1, H_R15, H_RBP, STATE(jit_target));
    x_store(a, t->is64, H_R14, H_R15, 0);
    x_lea(a, t->is64, H_R12, H_R12, -(s32)size);
    emit_stat(t, STAT_PUSHF);
    return true;
}

/* ---- registers ------------------------------------------------------------------------------- */

static bool emit_swapgs(struct tr *t)
{
    struct asmbuf *a = &t->a;
    s32 gs = STATE(seg) + (s32)(SEG_GS * sizeof(struct seg) + offsetof(struct seg, base));
    if (!is_kernel(t))
        return false;
    x_load(a, 1, H_R14, H_RBP, gs);
    x_load(a, 1, H_R15, H_RBP, STATE(kernel_gs_base));
    x_store(a, 1, H_R15, H_RBP, gs);
    x_store(a, 1, H_R14, H_RBP, STATE(kernel_gs_base));
    return true;
}

static bool emit_mov_from_cr(struct tr *t, const struct insn *in)
{
    static const s32 at[] = {
        [0] = STATE(cr0), [2] = STATE(cr2), [3] = STATE(cr3), [4] = STATE(cr4)};
    if (!is_kernel(t) || in->reg >= ARRAY_SIZE(at) || !at[in->reg])
        return false;
    x_load(&t->a, t->is64, H_R15, H_RBP, at[in->reg]);
    jit_store_reg(t, in->rm, H_R15);
    emit_stat(t, STAT_MOV_FROM_CR);
    return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

bool jit_emit_push_mem(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t);
    if (in->osz != size || !block_address_is_flat(t->b->key, in))
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    jit_emit_address(t, in);
    jit_emit_tlb_check(t, size, false, s, i);
    x_load(a, t->is64, H_R14, H_R15, 0);
    x_store(a, 1, H_R14, H_RBP, STATE(jit_target));
    x_lea(a, t->is64, H_R15, H_R12, -(s32)size);
    jit_emit_tlb_check(t, size, true, s, i);
    x_load(a, 1, H_R14, H_RBP, STATE(jit_target));
    x_store(a, t->is64, H_R14, H_R15, 0);
    x_lea(a, t->is64, H_R12, H_R12, -(s32)size);
    return true;
}

/* CMPXCHG8B, CMPXCHG16B: their registers are where the host wants them. */
static bool emit_cmpxchg_pair(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    bool wide = insn_row(in)->attr & A_W1;
    if (!block_address_is_flat(t->b->key, in))
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    jit_emit_address(t, in);
    if (wide)
        jit_emit_misaligned_misses(a, 16);
    jit_emit_tlb_check(t, wide ? 16 : 8, true, s, i);
    if (in->pfx & PFX_LOCK)
        put8(a, 0xf0);
    put_rex(a, wide, 0, 0, H_R15, false);
    put8(a, 0x0f);
    put8(a, 0xc7);
    put_mem(a, 1, H_R15, 0);
    return true;
}

/* ---- MOVS, STOS ------------------------------------------------------------------------------ */

void jit_emit_save_flags(struct asmbuf *a)
{
    x_store(a, 1, H_RAX, H_RBP, STATE(jit_rax));
    put8(a, 0x9f); /* lahf */
    put8(a, 0x0f); /* seto al */
    put8(a, 0x90);
    put8(a, 0xc0);
    put8(a, 0x66); /* mov [jit_flags], ax */
    x_store(a, 0, H_RAX, H_RBP, STATE(jit_flags));
}

void jit_emit_restore_flags(struct asmbuf *a)
{
    put8(a, 0x0f); /* movzx eax, word [jit_flags] */
    put8(a, 0xb7);
    put_mem(a, H_RAX, H_RBP, STATE(jit_flags));
    put8(a, 0x04); /* add al, 127: OF */
    put8(a, 127);
    put8(a, 0x9e); /* sahf: the others */
    x_load(a, 1, H_RAX, H_RBP, STATE(jit_rax));
}

/* r14d = elements on from `reg` in its page; eax = scratch. Flags go. */
static void emit_room(struct asmbuf *a, unsigned reg, unsigned size)
{
    x_mov(a, 0, H_RAX, reg);
    put8(a, 0x0d); /* or eax, ~4095: minus what is left in the page */
    put32(a, (u32)PAGE_MASK);
    put8(a, 0xf7); /* neg eax */
    put8(a, 0xd8);
    if (size > 1) {
        put8(a, 0xc1); /* shr eax, log2 */
        put8(a, 0xe8);
        put8(a, (unsigned)__builtin_ctz(size));
    }
    x_mov(a, 0, H_R14, H_RAX);
}

/*
 * Leaves to the handler unless strings go up and, repeated, end in the pages where they begin. The
 * flags are back afterwards either way; RCX is in jit_rcx, from an access check.
 */
static void emit_string_guard(struct tr *t, const struct insn *in, bool rep, bool movs,
                              struct jit_site *s, unsigned i)
{
    struct asmbuf *a = &t->a;
    u8 *slow[3];
    unsigned n = 0;
    jit_emit_save_flags(a);
    put8(a, 0xf7); /* test dword [eflags], DF */
    put_mem(a, 0, H_RBP, STATE(eflags));
    put32(a, EFLAGS_DF);
    slow[n++] = x_jcc(a, 5, a->p); /* jnz */
    for (unsigned k = 0; rep && k <= movs; k++) {
        emit_room(a, k ? H_RSI : H_RDI, in->osz);
        put8(a, 0x4c); /* cmp rcx, r14 */
        put8(a, 0x39);
        put8(a, 0xf1);
        slow[n++] = x_jcc(a, 7, a->p); /* ja */
    }
    jit_emit_restore_flags(a);
    put8(a, 0xeb); /* jmp over the way to the handler */
    put8(a, 0);
    u8 *go = a->p;
    if (a->full)
        return;
    while (n > 0)
        x_patch(slow[--n], a->p);
    jit_emit_restore_flags(a);
    jit_add_cold(t, s, i);
    x_here(a, go);
}

/* The register held a host address; `delta` is what emit_delta made. */
static void emit_back_to_guest(struct asmbuf *a, unsigned reg, unsigned delta)
{
    x_lea_sib(a, 1, reg, (int)reg, delta, 0, 0);
}

/* to = guest register - host address, without flags. */
static void emit_delta(struct asmbuf *a, unsigned to, unsigned guest, unsigned host)
{
    put_rex(a, 1, 0, 0, host, false); /* not */
    put8(a, 0xf7);
    put8(a, 0xd0 | (host & 7));
    x_lea_sib(a, 1, to, (int)guest, host, 0, 1);
    put_rex(a, 1, 0, 0, host, false);
    put8(a, 0xf7);
    put8(a, 0xd0 | (host & 7));
}

static void put_string(struct asmbuf *a, const struct insn *in, bool rep)
{
    if (in->osz == 2)
        put8(a, 0x66);
    if (rep)
        put8(a, 0xf3);
    if (in->osz == 8)
        put8(a, 0x48);
    put8(a, in->opcode);
}

/* In 64-bit code: elsewhere the registers' upper halves would matter. */
static bool emit_string(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    bool movs = row_template(insn_row(in)) == T_MOVS, rep = in->pfx & (PFX_REP | PFX_REPNE);
    u8 *none = NULL;
    if (!t->is64 || in->asz != 8 || in->seg == SEG_FS || in->seg == SEG_GS)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    if (rep) { /* jrcxz over all of it does not reach */
        put8(a, 0xe3);
        put8(a, 2);
        put8(a, 0xeb);
        put8(a, 5);
        none = x_jmp(a, a->p);
    }
    if (movs) {
        x_mov(a, 1, H_R15, H_RSI);
        jit_emit_tlb_check(t, in->osz, false, s, i);
        x_store(a, 1, H_R15, H_RBP, STATE(jit_target));
    }
    x_mov(a, 1, H_R15, H_RDI);
    jit_emit_tlb_check(t, in->osz, true, s, i);
    emit_string_guard(t, in, rep, movs, s, i);
    emit_delta(a, H_R14, H_RDI, H_R15);
    x_mov(a, 1, H_RDI, H_R15);
    if (movs) {
        x_load(a, 1, H_R15, H_RBP, STATE(jit_target));
        x_store(a, 1, H_R14, H_RBP, STATE(jit_rcx));
        emit_delta(a, H_R14, H_RSI, H_R15);
        x_mov(a, 1, H_RSI, H_R15);
    }
    put_string(a, in, rep);
    if (movs) {
        emit_back_to_guest(a, H_RSI, H_R14);
        x_load(a, 1, H_R14, H_RBP, STATE(jit_rcx));
    }
    emit_back_to_guest(a, H_RDI, H_R14);
    if (none && !a->full)
        x_patch(none, a->p);
    return true;
}

bool jit_emit_sys(struct tr *t, const struct insn *in, unsigned i)
{
    insn_fn fn = i == 0 ? t->b->first_fn : in->fn;
    if (fn != insn_row(in)->ops->any) /* it only raises */
        return false;
    switch (row_template(insn_row(in))) {
    case T_CLI: return emit_cli(t);
    case T_STI: return emit_sti(t, in, i);
    case T_CLAC: return emit_set_ac(t, false);
    case T_STAC: return emit_set_ac(t, true);
    case T_CLD: emit_eflags_bit(t, BIT_DF, false); return true;
    case T_STD: emit_eflags_bit(t, BIT_DF, true); return true;
    case T_PUSHF: return emit_pushf(t, in, i);
    case T_SWAPGS: return emit_swapgs(t);
    case T_MOV_FROM_CR: return emit_mov_from_cr(t, in);
    case T_CMPXCHG_PAIR: return emit_cmpxchg_pair(t, in, i);
    case T_MOVS:
    case T_STOS: return emit_string(t, in, i);
    default: return false;
    }
}
