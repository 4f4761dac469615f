/*
 * translate_sys.c: system instructions that kernels run all the time.
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

#define BIT_FSGSBASE 16
_Static_assert(CR4_FSGSBASE == BIT64(BIT_FSGSBASE), "");

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

/* op reg, imm32 */
static void op_imm(struct asmbuf *a, unsigned ext, unsigned reg, u32 imm)
{
    put_rex(a, 0, 0, 0, reg, false);
    put8(a, 0x81);
    put8(a, 0xc0 | ext << 3 | (reg & 7));
    put32(a, imm);
}

/* op dword [rbp + at], imm32 */
static void op_state_imm(struct asmbuf *a, unsigned ext, s32 at, u32 imm)
{
    put8(a, 0x81);
    put_mem(a, ext, H_RBP, at);
    put32(a, imm);
}

/* op reg, dword [rbp + at], or the other way round */
static void op_state(struct asmbuf *a, unsigned opcode, unsigned reg, s32 at)
{
    put_rex(a, 0, reg, 0, H_RBP, false);
    put8(a, opcode);
    put_mem(a, reg, H_RBP, at);
}

enum { EXT_OR = 1, EXT_AND = 4 };
enum { OR_TO_STATE = 0x09, XOR_FROM_STATE = 0x33, TEST_STATE = 0x85 };
enum { CC_NE = 5 };

/* The six flags = those of an image of EFLAGS in r14, which is spent. */
static void emit_arith_flags(struct asmbuf *a)
{
    x_store(a, 1, H_RAX, H_RBP, STATE(jit_rax));
    x_mov(a, 0, H_RAX, H_R14);
    put8(a, 0xc1); /* shr eax, 11: OF comes into AL's lowest bit */
    put8(a, 0xe8);
    put8(a, 11);
    put8(a, 0x83); /* and eax, 1 */
    put8(a, 0xe0);
    put8(a, 1);
    put8(a, 0x41); /* shl r14d, 8 */
    put8(a, 0xc1);
    put8(a, 0xe6);
    put8(a, 8);
    op_imm(a, EXT_AND, H_R14, (EFLAGS_ARITH & 0xff) << 8);
    put8(a, 0x44); /* or eax, r14d */
    put8(a, 0x09);
    put8(a, 0xf0);
    put8(a, 0x04); /* add al, 127: OF */
    put8(a, 127);
    put8(a, 0x9e); /* sahf: the others */
    x_load(a, 1, H_RAX, H_RBP, STATE(jit_rax));
}

/* What POPF may change at CPL 0. */
#define POPF_KERNEL                                                                                \
    (EFLAGS_TF | EFLAGS_IF | EFLAGS_DF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_AC | EFLAGS_ID)

/* With TF or AC to change, or an interrupt to let in, it is the handler's. */
static bool emit_popf(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t);
    if (!is_kernel(t) || in->osz != size)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    x_lea(a, t->is64, H_R15, H_R12, 0);
    jit_emit_tlb_check(t, size, false, s, i);
    x_load(a, t->is64, H_R14, H_R15, 0);
    x_mov(a, 0, H_R15, H_R14); /* from here on the flags may go: it sets all of them */
    op_state(a, XOR_FROM_STATE, H_R15, STATE(eflags));
    put8(a, 0x41); /* test r15d, imm32 */
    put8(a, 0xf7);
    put8(a, 0xc7);
    put32(a, EFLAGS_TF | EFLAGS_AC);
    u8 *mode = x_jcc(a, CC_NE, a->p);
    x_mov(a, 0, H_R15, H_R14);
    op_imm(a, EXT_OR, H_R15, ~REQ_INTR);
    op_state(a, TEST_STATE, H_R15, STATE(req));
    u8 *quiet = x_jcc(a, CC_NE ^ 1, a->p);
    if (a->full)
        return true;
    x_patch(mode, a->p);
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    jit_add_cold(t, s, i);
    x_patch(quiet, a->p);
    x_mov(a, 0, H_R15, H_R14);
    op_imm(a, EXT_AND, H_R15, POPF_KERNEL);
    op_state_imm(a, EXT_AND, STATE(eflags), ~(POPF_KERNEL | EFLAGS_RF));
    op_state(a, OR_TO_STATE, H_R15, STATE(eflags));
    emit_arith_flags(a);
    x_lea(a, t->is64, H_R12, H_R12, (s32)size);
    emit_stat(t, STAT_POPF);
    return true;
}

/* ---- registers ------------------------------------------------------------------------------- */

static s32 seg_base(enum seg_id s)
{
    return STATE(seg) + (s32)(s * sizeof(struct seg) + offsetof(struct seg, base));
}

/* Leaves to the handler unless rcx is 0; RCX is in jit_rcx and comes back. */
static void emit_want_zero(struct tr *t, struct jit_site *s, unsigned i)
{
    u8 *zero = x_jrcxz(&t->a);
    jit_add_cold(t, s, i);
    x_here(&t->a, zero);
}

/* rcx = 0 unless CR4.FSGSBASE is set; clobbers r14 */
static void emit_fsgsbase_gate(struct asmbuf *a)
{
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_load(a, 1, H_RCX, H_RBP, STATE(cr4));
    put_rex(a, 1, 0, 0, H_RCX, false); /* not rcx */
    put8(a, 0xf7);
    put8(a, 0xd1);
    x_shl(a, H_RCX, H_RCX, 63 - BIT_FSGSBASE, H_R14);
    x_shr(a, H_RCX, H_RCX, 63, H_R14);
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. A base that is not canonical is the handler's: with 48
 * bits, all models' (LA57 is none's), bits 63 to 47 are the same. */
static bool emit_fsgsbase(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    s32 at = seg_base(in->modrm >> 3 & 1 ? SEG_GS : SEG_FS);
    bool write = in->modrm >> 3 & 2;
    if (!a->bmi2)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    emit_fsgsbase_gate(a);
    emit_want_zero(t, s, i);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    if (!write) {
        x_load(a, in->osz == 8, H_R15, H_RBP, at);
        jit_store_reg(t, in->rm, H_R15);
        return true;
    }
    if (host_reg[in->rm] == SLOT)
        x_load(a, in->osz == 8, H_R15, H_RBP, slot(in->rm));
    else
        x_mov(a, in->osz == 8, H_R15, (unsigned)host_reg[in->rm]);
    x_mov_imm(a, H_R14, 47);
    x_shift_x(a, 2, H_RCX, H_R15, H_R14); /* 0 or -1 */
    x_lea(a, 1, H_RCX, H_RCX, 1);
    x_shr(a, H_RCX, H_RCX, 1, H_R14);
    emit_want_zero(t, s, i);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_store(a, 1, H_R15, H_RBP, at);
    return true;
}

static bool emit_swapgs(struct tr *t)
{
    struct asmbuf *a = &t->a;
    s32 gs = seg_base(SEG_GS);
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

/* ---- time ------------------------------------------------------------------------------------ */

/* rcx = 0 while the pace holds (struct tsc_pace) at `ticks`, minus the number of them minus one: in
 * rcx. Clobbers r14. */
static void emit_pace_holds(struct asmbuf *a)
{
    x_load(a, 1, H_R14, H_RBP, STATE(tsc_pace.last));
    x_lea_sib(a, 1, H_RCX, H_RCX, H_R14, 0, 1);
    x_shr(a, H_RCX, H_RCX, 63, H_R14);
}

/*
 * RDTSC and RDTSCP: the host's counter, while the line holds that the handler found it on. In
 * programs the handler may have to fault (CR4.TSD, with which there is no such line), so it has to
 * be asked before RAX and RDX are lost.
 */
static bool emit_rdtsc(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    if (!a->bmi2 || t->j->cpu->shared || t->j->cpu->clock->mode != CLOCK_HOST)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    if (!is_kernel(t)) {
        x_mov_imm(a, H_RCX, ~0ull); /* no ticks */
        emit_pace_holds(a);
        emit_want_zero(t, s, i);
    }
    put8(a, 0x0f); /* rdtsc */
    put8(a, 0x31);
    x_ror(a, H_RDX, H_RDX, 32);
    x_load(a, 1, H_R14, H_RBP, STATE(tsc_pace.minus_since));
    x_lea_sib(a, 1, H_RAX, H_RAX, H_RDX, 0, 0);
    x_lea_sib(a, 1, H_RAX, H_RAX, H_R14, 0, 0); /* ticks */
    x_mov(a, 1, H_RCX, H_RAX);
    put_rex(a, 1, 0, 0, H_RCX, false); /* not rcx */
    put8(a, 0xf7);
    put8(a, 0xd1);
    emit_pace_holds(a);
    emit_want_zero(t, s, i);
    x_load(a, 1, H_RDX, H_RBP, STATE(tsc_pace.rate));
    x_mulx(a, H_R14, H_R15, H_RAX);
    x_ror(a, H_R15, H_R15, 32);
    x_mov(a, 0, H_R15, H_R15);
    x_load(a, 1, H_R14, H_RBP, STATE(tsc_pace.base));
    x_lea_sib(a, 1, H_R15, H_R15, H_R14, 0, 0);
    x_mov(a, 0, H_RAX, H_R15);
    x_ror(a, H_RDX, H_R15, 32);
    x_mov(a, 0, H_RDX, H_RDX);
    if (insn_row(in)->gate == GATE_RDTSCP)
        x_load(a, 0, H_RCX, H_RBP, STATE(tsc_aux));
    else
        x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    emit_stat(t, STAT_RDTSC);
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

/* ---- hypercalls ------------------------------------------------------------------------------ */

/* Is the value of RAX in front of instruction i known? */
static bool known_rax(const struct tr *t, unsigned i, u64 *value)
{
    while (i-- > 0) {
        const struct insn *in = &t->b->insn[i];
        if (!(jit_written(t->j, in) & BIT(RAX)))
            continue;
        *value = in->osz == 8 ? (u64)(s64)in->imm : (u32)in->imm;
        return insn_row(in)->map == OB && in->opcode == 0xb8 && in->osz == 4 && in->rm == RAX;
    }
    return false;
}

/* The handler of a call whose row is known: no number is looked for. */
static const struct insn *op_known_call(struct cpu *cpu, const struct insn *in)
{
    const struct jit_site *s = (const struct jit_site *)(const void *)in;
    struct ground g = exec_ground(cpu);
    u64 t = stat_sample_begin(&cpu->stats);
    cpu->hooks->pv_call(cpu->vm, cpu, s->call);
    stat_sample_end(&cpu->stats, STAT_HYPERCALL, t);
    return exec_go_on(cpu, in, &g, STAT_HYPERCALL);
}
_Static_assert(offsetof(struct jit_site, in) == 0, "a record tells its site");

/* Does nothing but be counted, unless there is a request that it would let in, or who watches. */
static void emit_null_call(struct tr *t, struct jit_site *s, unsigned i, const u64 *count)
{
    struct asmbuf *a = &t->a;
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_load(a, 0, H_RCX, H_RBP, STATE(req));
    x_load(a, 0, H_R14, H_RBP, STATE(calls_watched));
    x_lea_sib(a, 1, H_RCX, H_RCX, H_R14, 0, 0);
    emit_want_zero(t, s, i);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_mov_imm(a, H_R15, (u64)(uintptr_t)count);
    x_load(a, 1, H_R14, H_R15, 0);
    x_lea(a, 1, H_R14, H_R14, 1);
    x_store(a, 1, H_R14, H_R15, 0);
    x_mov_imm(a, H_RAX, 0);
    emit_stat(t, STAT_HYPERCALL);
}

static bool emit_vmcall(struct tr *t, const struct insn *in, unsigned i)
{
    struct cpu *cpu = t->j->cpu;
    struct known_call k;
    u64 nr;
    if (!is_kernel(t) || !t->is64 || !cpu->hooks->pv_known || !known_rax(t, i, &nr) ||
        !cpu->hooks->pv_known(cpu->vm, nr, &k))
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    if (!s)
        return true; /* no room */
    s->in.fn = op_known_call;
    s->call = k.row;
    if (k.null && !cpu->shared) {
        emit_null_call(t, s, i, k.count);
        return true;
    }
    jit_flush_notes(t);
    jit_emit_handler_call(t, s);
    t->vec_live = false;
    return true;
}

bool jit_emit_sys(struct tr *t, const struct insn *in, unsigned i)
{
    insn_fn fn = jit_bound_fn(t->b, in);
    if (fn != insn_row(in)->ops->any) /* it only raises */
        return false;
    switch (row_template(insn_row(in))) { /* STAC and CLAC change what the block is made for */
    case T_CLAC: return emit_set_ac(t, false);
    case T_STAC: return emit_set_ac(t, true);
    case T_CMPXCHG_PAIR: return emit_cmpxchg_pair(t, in, i);
    case T_MOVS:
    case T_STOS: return jit_emit_string(t, in, i);
    default: break;
    }
    if (t->j->cpu->exits_only)
        return false;
    switch (row_template(insn_row(in))) {
    case T_CLI: return emit_cli(t);
    case T_STI: return emit_sti(t, in, i);
    case T_CLD: emit_eflags_bit(t, BIT_DF, false); return true;
    case T_STD: emit_eflags_bit(t, BIT_DF, true); return true;
    case T_PUSHF: return emit_pushf(t, in, i);
    case T_POPF: return emit_popf(t, in, i);
    case T_SWAPGS: return emit_swapgs(t);
    case T_FSGSBASE: return emit_fsgsbase(t, in, i);
    case T_RDTSC: return emit_rdtsc(t, in, i);
    case T_MOV_FROM_CR: return emit_mov_from_cr(t, in);
    case T_VMCALL: return emit_vmcall(t, in, i);
    default: return false;
    }
}
