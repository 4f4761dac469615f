/*
 * translate_sse.c: SSE instructions as themselves, and the life of the vector registers.
 *
 * Guest XMMn is the host's XMMn and the guest's MXCSR is the host's, from the first vector
 * instruction that translated code comes to until C code runs: jit_vec_off is 0 in between. Every
 * way out of translated code spills (jit_emit_vec_leave), so C code finds struct cpu complete and
 * the host's MXCSR at its default. Blocks ask at their start, and again after each handler they
 * call; a link from a block that ends with the registers skips the question.
 *
 * An instruction is its own bytes with renamed general registers and [r15] for memory. What decides
 * whether it may be: KEY_SSE (no #UD, no #NM), exceptions all masked (else the registers are never
 * entered and the interpreter runs the instruction), and the alignment that the host would ask for.
 *
 * MMX instructions are here, too, but their registers are x87's: translate_x87.c.
 *
 * Not here: the encoding of AVX instructions (translate_avx.c), CVTPI2PS and CVTPI2PD (hosts differ
 * in when they enter MMX state), approximations (RCPPS, RSQRTPS differ between hosts), MASKMOVDQU,
 * and the saving of state.
 *
 * Intel SDM vol. 1 chapters 10 to 12, vol. 2A 2.1 and 2.4.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"
#include <cpuid.h>

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_MASKS 0x1f80u

#define VEC_REGS 16u

/* Which operand is a general register: struct row_traits' vec_gpr. */
enum { VEC_GPR_NONE, VEC_GPR_E, VEC_GPR_G };

/* ---- rows ------------------------------------------------------------------------------------ */

extern const struct insn_ops ops_sse_movu_load, ops_sse_movu_store, ops_sse_ldmxcsr,
    ops_sse_stmxcsr, ops_avx_mova_load, ops_avx_mova_store, ops_avx_zeroupper, ops_avx_zeroall;

static bool letter_is_vector(unsigned o)
{
    switch (o) {
    case OPND_Vx:
    case OPND_Vps:
    case OPND_Vpd:
    case OPND_Vss:
    case OPND_Vsd:
    case OPND_Vdq:
    case OPND_Vq:
    case OPND_Vd:
    case OPND_Wq: /* of conversions to MMX registers; other rows have a V as well */
    case OPND_Wpd:
    case OPND_Udq:
    case OPND_Ups:
    case OPND_Upd:
    case OPND_Uq:
    case OPND_Ux:
    case OPND_Hx: return true;
    default: return false;
    }
}

static bool letter_is_mmx(unsigned o)
{
    switch (o) {
    case OPND_Pq:
    case OPND_Pd:
    case OPND_Qq:
    case OPND_Qd:
    case OPND_Nq: return true;
    default: return false;
    }
}

/* Bytes of the operand when it is memory; 0: it never is. Ey goes by the record, and letter_scales.
 */
static unsigned letter_mem_size(unsigned o)
{
    switch (o) {
    case OPND_Wb:
    case OPND_RdMb: return 1;
    case OPND_RdMw:
    case OPND_We:
    case OPND_Ww: return 2;
    case OPND_Wf:
    case OPND_Wss:
    case OPND_Wd:
    case OPND_Md:
    case OPND_Ed:
    case OPND_Qd:
    case OPND_Ey: return 4;
    case OPND_Qq:
    case OPND_Wh:
    case OPND_Wsd:
    case OPND_Wq:
    case OPND_Mq:
    case OPND_Eq: return 8;
    case OPND_Wx:
    case OPND_Mx:
    case OPND_Wps:
    case OPND_Wpd:
    case OPND_Wdq:
    case OPND_Mdq: return 16;
    default: return 0;
    }
}

/* Twice as long with VEX.L. */
static bool letter_scales(unsigned o)
{
    return o == OPND_Wx || o == OPND_Mx || o == OPND_Wh || o == OPND_Wf || o == OPND_We;
}

static bool letter_is_gpr_e(unsigned o)
{
    return o == OPND_Ed || o == OPND_Eq || o == OPND_Ey || o == OPND_RdMb || o == OPND_RdMw;
}

bool jit_host_has_sha(void)
{
    unsigned a, b = 0, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA;
}

/* Helpers of the interpreter only because their implied operands are at fixed places, which are the
 * same registers on the host. */
static bool implied_operands_agree(const struct insn_row *r)
{
    bool string = r->opnd[1] == OPND_Wx && r->opnd[2] == OPND_Ib; /* PCMPESTRM and its kin */
    return r->opnd[2] == OPND_XMM0 || string || r->gate == GATE_SHA;
}

static bool is_mxcsr_row(const struct insn_row *r)
{
    return r->ops == &ops_sse_ldmxcsr || r->ops == &ops_sse_stmxcsr;
}

static void vec_traits(const struct insn_row *r, struct row_traits *t)
{
    bool vex = r->map >= VEX_0F, mmx = false;
    bool xmm = is_mxcsr_row(r) || r->ops == &ops_avx_zeroupper || r->ops == &ops_avx_zeroall;
    if (r->map == OB || !jit_host_has(r->gate) || (vex && !jit_host_has(GATE_AVX)) ||
        (r->cls != IDENT && !implied_operands_agree(r) && !is_mxcsr_row(r)))
        return;
    for (unsigned i = 0; i < INSN_OPERANDS_MAX; i++) {
        unsigned o = r->opnd[i], size = letter_mem_size(o);
        if (o == OPND_Qpi)
            return;
        mmx |= letter_is_mmx(o);
        xmm |= letter_is_vector(o);
        if (size) {
            t->vec_size = (u8)size;
            t->vec_scales = letter_scales(o);
            t->vec_aligned = size == 16 && o != OPND_Wx && !vex;
            t->vec_by_osz = o == OPND_Ey;
        }
        if (letter_is_gpr_e(o))
            t->vec_gpr = VEC_GPR_E;
        else if (o == OPND_Gd || o == OPND_Gy)
            t->vec_gpr = VEC_GPR_G;
    }
    t->vec_store = letter_mem_size(r->opnd[0]) != 0 && r->ops != &ops_sse_ldmxcsr;
    if (r->ops == &ops_sse_movu_load || r->ops == &ops_sse_movu_store)
        t->vec_aligned = false;
    if (r->ops == &ops_avx_mova_load || r->ops == &ops_avx_mova_store)
        t->vec_aligned = true;
    t->vec_ok = xmm || mmx;
    t->vec_xmm = xmm;
    t->vec_mmx = mmx;
    t->vec_guards = r->ops == &ops_sse_ldmxcsr;
}

void jit_vec_rows_init(struct jit *j)
{
    for (unsigned i = 0; i < insn_row_count; i++)
        vec_traits(&insn_rows[i], &j->rows[i]);
}

/* ---- entering and leaving the registers ------------------------------------------------------ */

/* An 0F instruction on 32 bits of the state: LDMXCSR /2, STMXCSR /3, MOVZX. */
static void state_insn(struct asmbuf *a, unsigned opcode, unsigned reg, s32 disp)
{
    put8(a, 0x0f);
    put8(a, opcode);
    put_mem(a, reg, H_RBP, disp);
}

/* upper: all 256 bits, of a model that has them. */
static void move_all(struct asmbuf *a, bool load, bool upper)
{
    for (unsigned i = 0; i < VEC_REGS; i++)
        if (upper) /* vmovaps ymm */
            jit_put_avx_state(a, load ? 0x28 : 0x29, i, 0, jit_vec_slot(i), true);
        else { /* movaps */
            put_rex(a, 0, i, 0, 0, false);
            state_insn(a, load ? 0x28 : 0x29, i, jit_vec_slot(i));
        }
}
_Static_assert(offsetof(struct cpu, vec) % 32 == 0, "MOVAPS");

/*
 * SSE instructions wait for the old contents of their destination where upper halves are not known
 * to be zero, and they mostly are zero: then only the lower halves are loaded, behind a VZEROUPPER.
 */
static void load_all(struct asmbuf *a)
{
    if (!a->avx) {
        move_all(a, true, false);
        return;
    }
    jit_emit_any_upper(a);
    u8 *clean = x_jrcxz(a);
    u8 *dirty = x_jmp(a, a->p);
    x_here(a, clean);
    move_all(a, true, false);
    u8 *done = x_jmp(a, a->p);
    if (a->full)
        return;
    x_patch(dirty, a->p);
    move_all(a, true, true);
    x_patch(done, a->p);
}

/* ECX, which holds an MXCSR, becomes 0 if that masks all exceptions. Flags stay. */
static void put_unmasked(struct asmbuf *a, const u8 *masks)
{
    put8(a, 0xf7); /* not ecx */
    put8(a, 0xd0 | H_RCX);
    if (!a->bmi2) { /* the masks are bits 7 to 12 */
        x_shl(a, H_RCX, H_RCX, 51, H_RCX);
        x_shr(a, H_RCX, H_RCX, 58, H_RCX);
        return;
    }
    put8(a, 0xc4);
    put8(a, 0xe2);
    put8(a, (~(unsigned)H_RCX & 15) << 3 | 2);
    put8(a, 0xf5);
    put8(a, H_RCX << 3 | 5); /* pext ecx, ecx, [rip + masks] */
    x_rel32(a, masks);
}

void jit_emit_vec_enter(struct tr *t, unsigned i)
{
    struct asmbuf *a = &t->a;
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_load(a, 0, H_RCX, H_RBP, STATE(jit_vec_off));
    u8 *there = x_jrcxz(a);
    jit_emit_resume_at(t, i);
    x_call(a, t->j->stub_vec_enter);
    x_here(a, there);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
}

/* Neither needs the vector registers nor gives them back. */
static bool stays_in_registers(const struct tr *t, const struct insn *in)
{
    const struct row_traits *tr = &t->j->rows[in->row];
    return !tr->vec_xmm && (insn_row(in)->cls == IDENT || tr->x87_ok);
}

void jit_emit_vec_begin(struct tr *t, unsigned n)
{
    unsigned i = 0;
    if (!(t->b->key & (KEY_SSE | KEY_AVX)))
        return;
    while (i < n && stays_in_registers(t, &t->b->insn[i]))
        i++;
    if (i == n || !t->j->rows[t->b->insn[i].row].vec_xmm)
        return;
    jit_emit_vec_enter(t, 0);
    t->vec_live = true;
    t->jb->vec_entry = t->a.p;
}

void jit_emit_vec_load(struct asmbuf *a)
{
    state_insn(a, 0xb7, H_RCX, STATE(mxcsr)); /* its upper half is reserved: #GP on the host */
    x_store(a, 0, H_RCX, H_RBP, STATE(jit_mxcsr));
    state_insn(a, 0xae, 2, STATE(jit_mxcsr)); /* ldmxcsr */
    load_all(a);
    x_store_imm(a, H_RBP, STATE(jit_vec_off), 0);
}

/* r14, r15 as for stub_exit_record, where it goes when an exception is unmasked. Clobbers RCX. */
void jit_emit_vec_stub(struct jit *j, struct asmbuf *a)
{
    const u8 *masks = j->mxcsr_masks = a->p;
    put32(a, MXCSR_MASKS);
    j->stub_vec_enter = a->p;
    state_insn(a, 0xb7, H_RCX, STATE(mxcsr));
    put_unmasked(a, masks);
    u8 *masked = x_jrcxz(a);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    put8(a, 0x48); /* lea rsp, [rsp + 8]: the return address */
    put8(a, 0x8d);
    put8(a, 0x64);
    put8(a, 0x24);
    put8(a, 8);
    x_jmp(a, j->stub_exit_record);
    x_here(a, masked);
    jit_emit_vec_load(a);
    put8(a, 0xc3);
}

void jit_emit_vec_leave(struct asmbuf *a)
{
    put8(a, 0x83); /* cmp dword [jit_vec_off], 0 */
    put_mem(a, 7, H_RBP, STATE(jit_vec_off));
    put8(a, 0);
    u8 *off = x_jcc(a, 5, a->p);          /* jne */
    state_insn(a, 0xae, 3, STATE(mxcsr)); /* stmxcsr */
    x_store_imm(a, H_RBP, STATE(jit_mxcsr), MXCSR_DEFAULT);
    state_insn(a, 0xae, 2, STATE(jit_mxcsr)); /* ldmxcsr */
    move_all(a, false, a->avx);
    if (a->avx) { /* vzeroupper */
        put8(a, 0xc5);
        put8(a, 0xf8);
        put8(a, 0x77);
    }
    x_store_imm(a, H_RBP, STATE(jit_vec_off), 1);
    if (!a->full)
        x_patch(off, a->p);
}

/* ---- instructions ---------------------------------------------------------------------------- */

/*
 * An operand of 16 or 32 bytes that is not aligned (r15: linear address) is made to miss the check:
 * its low bits, added at the top, make the address one that no page has. So the handler raises #GP,
 * and what hits is aligned on the host too, where pages lie as they do here. Flags stay.
 */
void jit_emit_misaligned_misses(struct asmbuf *a, unsigned size)
{
    x_shl(a, H_R14, H_R15, size == 32 ? 59 : 60, H_R14);
    x_lea_sib(a, 1, H_R15, H_R15, H_R14, 0, 0);
}

/* mem: its operand, when that is memory; else it is the register rm. */
static void put_vec_insn(struct asmbuf *a, const struct insn *in, const struct insn_row *r,
                         unsigned reg, unsigned rm, const struct host_mem *mem)
{
    static const u8 prefix[] = {[P66] = 0x66, [PF3] = 0xf3, [PF2] = 0xf2};
    if (r->pfx >= P66)
        put8(a, prefix[r->pfx]);
    put_rex(a, in->pfx & PFX_W, reg, in->mem ? mem->index : 0, in->mem ? mem->base : rm, false);
    put8(a, 0x0f);
    if (r->map != TB)
        put8(a, r->map == T38 ? 0x38 : 0x3a);
    put8(a, in->opcode);
    if (in->mem)
        put_host_mem(a, reg, mem);
    else
        put8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
    for (unsigned i = 0; i < 3; i++)
        if (r->opnd[i] == OPND_Ib)
            put8(a, (u8)in->imm);
}

/* [r15] -> MXCSR, unless a reserved bit is set or an exception unmasked: both are the handler's. */
static void emit_ldmxcsr(struct tr *t, struct jit_site *site, unsigned i)
{
    struct asmbuf *a = &t->a;
    x_load(a, 0, H_R14, H_R15, 0);
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_store(a, 0, H_R14, H_RBP, STATE(jit_mxcsr)); /* what is checked is what is loaded */
    x_mov(a, 0, H_RCX, H_R14);
    put_unmasked(a, t->j->mxcsr_masks);
    x_shr(a, H_R14, H_R14, 16, H_R15);
    x_lea_sib(a, 1, H_RCX, H_RCX, H_R14, 0, 0);
    u8 *good = x_jrcxz(a);
    jit_add_cold(t, site, i);
    x_here(a, good);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    state_insn(a, 0xae, 2, STATE(jit_mxcsr));
}

/* A general register's place on the host; `scratch` stands for one that lives in memory. */
static unsigned gpr_place(unsigned guest, unsigned scratch)
{
    return host_reg[guest] == SLOT ? scratch : (unsigned)host_reg[guest];
}

bool jit_emit_vec(struct tr *t, const struct insn *in, unsigned i)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    struct asmbuf *a = &t->a;
    unsigned reg = r->modrm & MRM_HAS_REG ? in->modrm >> 3 & 7 : in->reg, rm = in->rm;
    bool gpr_e = tr->vec_gpr == VEC_GPR_E && !in->mem, gpr_g = tr->vec_gpr == VEC_GPR_G;

    unsigned size = jit_vec_bytes(tr, in);
    struct host_mem mem = {.base = H_R15};

    if (!(t->b->key & (in->vex       ? KEY_AVX
                       : tr->vec_xmm ? KEY_SSE
                                     : KEY_FPU)) ||
        (in->mem && !block_address_is_flat(t->b->key, in)))
        return false;
    if (r->modrm == MRM_NONE && in->vex && !t->is64)
        return false; /* VZEROUPPER: of eight registers */
    if (r->ops == &ops_sse_ldmxcsr && !(t->j->cpu->gates & BIT64(GATE_SSE2)))
        return false; /* MXCSR without DAZ */
    if (tr->vec_xmm && !t->vec_live) {
        jit_flush_notes(t);
        jit_emit_vec_enter(t, i);
        t->vec_live = true;
    }
    if (tr->vec_mmx)
        jit_want_x87(t, i);
    if (in->mem) {
        struct jit_site *site = jit_new_site(t, in, i);
        if (tr->vec_aligned || in->vex || tr->vec_guards) {
            jit_emit_address(t, in);
            if (tr->vec_aligned)
                jit_emit_misaligned_misses(a, size);
            jit_emit_tlb_check(t, size, tr->vec_store, site, i);
        } else {
            mem = jit_emit_operand(t, in, size, tr->vec_store, site, i);
        }
        rm = H_R15;
        if (r->ops == &ops_sse_ldmxcsr) {
            emit_ldmxcsr(t, site, i);
            return true;
        }
    }
    if (gpr_e) {
        rm = gpr_place(in->rm, H_R15);
        if (host_reg[in->rm] == SLOT && !tr->vec_store)
            x_load(a, 1, H_R15, H_RBP, slot(in->rm));
    }
    if (gpr_g)
        reg = gpr_place(in->reg, H_R14);
    if (in->vex)
        jit_put_avx_insn(t, in, reg, rm, tr->vec_gpr != VEC_GPR_NONE);
    else
        put_vec_insn(a, in, r, reg, rm, &mem);
    if (gpr_e && host_reg[in->rm] == SLOT && tr->vec_store)
        x_store(a, 1, H_R15, H_RBP, slot(in->rm));
    if (gpr_g && host_reg[in->reg] == SLOT)
        x_store(a, 1, H_R14, H_RBP, slot(in->reg));
    return true;
}
