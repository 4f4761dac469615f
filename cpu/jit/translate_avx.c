/*
 * translate_avx.c: VEX-encoded instructions as themselves: AVX with its kin on the vector
 * registers, whose life is in translate_sse.c, and BMI on general registers.
 *
 * The prefix is built anew. With a model that has AVX the registers are loaded and stored with all
 * their 256 bits (struct asmbuf's avx), and the upper halves are zero while C code runs, which is
 * made of SSE instructions: the two do not mix well on many hosts.
 *
 * A masked move runs inline, too: where the check of its whole operand hits, nothing can fault. Not
 * here: gathers, which call their handler.
 *
 * Intel SDM vol. 2A 2.3, vol. 1 chapter 14.
 */
#include "cpu/jit/internal.h"
#include "cpu/exec.h"
#include "cpu/model.h"
#include <cpuid.h>

/* ---- the host -------------------------------------------------------------------------------- */

/* CPUID leaves 1 and 80000001h, ECX; leaf 7, EBX: for what __builtin_cpu_supports of clang 14 does
 * not know. */
static bool has_bit(unsigned leaf, unsigned bit)
{
    unsigned a, b = 0, c = 0, d;
    return __get_cpuid_count(leaf, 0, &a, &b, &c, &d) && (leaf == 7 ? b : c) & bit;
}

bool jit_host_has(unsigned gate)
{
    switch (gate) {
    case GATE_SSE3: return __builtin_cpu_supports("sse3");
    case GATE_SSSE3: return __builtin_cpu_supports("ssse3");
    case GATE_SSE41: return __builtin_cpu_supports("sse4.1");
    case GATE_SSE42: return __builtin_cpu_supports("sse4.2");
    case GATE_AES: return __builtin_cpu_supports("aes");
    case GATE_PCLMUL: return __builtin_cpu_supports("pclmul");
    case GATE_SHA: return jit_host_has_sha();
    case GATE_AVX: return __builtin_cpu_supports("avx");
    case GATE_AVX2: return __builtin_cpu_supports("avx2");
    case GATE_FMA: return __builtin_cpu_supports("fma");
    case GATE_F16C: return __builtin_cpu_supports("avx") && has_bit(1, bit_F16C);
    case GATE_POPCNT: return __builtin_cpu_supports("popcnt");
    case GATE_LZCNT: return has_bit(0x80000001, bit_LZCNT);
    case GATE_BMI1: return __builtin_cpu_supports("bmi");
    case GATE_BMI2: return __builtin_cpu_supports("bmi2");
    case GATE_ADX: return has_bit(7, bit_ADX);
    case GATE_MOVBE: return has_bit(1, bit_MOVBE);
    default: return true;
    }
}

bool jit_runs_model(const struct cpu_model *m, const struct jit_test *t, struct err *e)
{
    static const u8 v3[] = {GATE_AVX,  GATE_AVX2, GATE_FMA,   GATE_F16C,
                            GATE_BMI1, GATE_BMI2, GATE_LZCNT, GATE_MOVBE};
    bool lacks = t && t->no_avx;
    if (!(model_gates(m) & BIT64(GATE_AVX)))
        return true;
    for (unsigned i = 0; i < sizeof v3; i++)
        lacks |= !jit_host_has(v3[i]);
    if (!lacks)
        return true;
    err_host(e, "-cpu %s: the translator needs a host with AVX2, FMA, F16C, BMI and MOVBE",
             m->name);
    return err_hint(e, "use -accel interp, or -cpu x86-64-v2");
}

/* ---- encoding -------------------------------------------------------------------------------- */

/* VEX prefix, opcode and ModRM byte; rm is a register, or memory at [rm]. w, reg, vvvv: as for the
 * host. */
static void put_vex(struct asmbuf *a, const struct insn *in, const struct insn_row *r, bool w,
                    unsigned reg, unsigned vvvv, unsigned rm)
{
    static const u8 pp[] = {[NP] = 0, [P66] = 1, [PF3] = 2, [PF2] = 3};
    unsigned map = r->map == VEX_0F ? 1 : r->map == VEX_38 ? 2 : 3;
    unsigned last = (~vvvv & 15) << 3 | (unsigned)in->vex_l << 2 | pp[r->pfx];
    if (map == 1 && !w && !(rm & 8)) {
        put8(a, 0xc5);
        put8(a, (reg & 8 ? 0 : 0x80) | last);
    } else {
        put8(a, 0xc4);
        put8(a, (reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map);
        put8(a, (w ? 0x80 : 0) | last);
    }
    put8(a, in->opcode);
    if (r->modrm == MRM_NONE)
        return;
    if (in->mem)
        put_mem(a, reg, rm, 0);
    else
        put8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static void put_vex_immediate(struct asmbuf *a, const struct insn *in, const struct insn_row *r)
{
    for (unsigned i = 0; i < INSN_OPERANDS_MAX; i++)
        if (r->opnd[i] == OPND_Ib)
            put8(a, (u8)in->imm);
        else if (r->opnd[i] == OPND_Lx)
            put8(a, (unsigned)in->imm << 4);
}

/* Outside 64-bit mode W is the size of no general register. */
static bool vex_w(const struct tr *t, const struct insn *in, const struct insn_row *r, bool gpr)
{
    return t->is64 ? in->pfx & PFX_W : !gpr && r->attr & A_W1;
}

void jit_put_avx_insn(struct tr *t, const struct insn *in, unsigned reg, unsigned rm, bool gpr)
{
    const struct insn_row *r = insn_row(in);
    put_vex(&t->a, in, r, vex_w(t, in, r, gpr), reg, in->vvvv, rm);
    put_vex_immediate(&t->a, in, r);
}

void jit_put_avx_state(struct asmbuf *a, unsigned opcode, unsigned reg, unsigned vvvv, s32 disp,
                       bool wide)
{
    put8(a, 0xc5);
    put8(a, (reg & 8 ? 0 : 0x80) | (~vvvv & 15) << 3 | (wide ? 4 : 0));
    put8(a, opcode);
    put_mem(a, reg, H_RBP, disp);
}

void jit_emit_any_upper(struct asmbuf *a)
{
    static const u8 fold[] = {0xc5, 0xf8, 0x12, 0xc8,              /* vmovhlps xmm1, xmm0, xmm0 */
                              0xc5, 0xf0, 0x56, 0xc0,              /* vorps xmm0, xmm1, xmm0 */
                              0xc4, 0xe1, 0xf9, 0x7e, 0xc1};       /* vmovq rcx, xmm0 */
    jit_put_avx_state(a, 0x28, 0, 0, jit_vec_slot(0) + 16, false); /* vmovaps */
    for (unsigned i = 1; i < 16; i++)
        jit_put_avx_state(a, 0x56, 0, 0, jit_vec_slot(i) + 16, false); /* vorps */
    for (unsigned i = 0; i < sizeof fold; i++)
        put8(a, fold[i]);
}

/* ---- general registers: BMI ------------------------------------------------------------------ */

bool jit_row_is_bmi(const struct insn_row *r)
{
    return r->map >= VEX_0F && (r->gate == GATE_BMI1 || r->gate == GATE_BMI2) &&
           jit_host_has(r->gate);
}

u32 jit_bmi_written(const struct insn *in)
{
    const struct insn_row *r = insn_row(in);
    if (r->opnd[0] == OPND_By)
        return BIT(in->vvvv);
    return BIT(in->reg) | (r->attr & A_DST2 ? BIT(in->vvvv) : 0);
}

/* The host register that stands for a guest register; `scratch` for one that lives in memory. */
static unsigned place(unsigned guest, unsigned scratch)
{
    return host_reg[guest] == SLOT ? scratch : (unsigned)host_reg[guest];
}

static void fetch_slot(struct asmbuf *a, unsigned guest, unsigned scratch)
{
    if (host_reg[guest] == SLOT)
        x_load(a, 1, scratch, H_RBP, slot(guest));
}

static void store_slot(struct asmbuf *a, unsigned guest, unsigned scratch)
{
    if (host_reg[guest] == SLOT)
        x_store(a, 1, scratch, H_RBP, slot(guest));
}

/* r15 is E's, or its address, until the instruction has read it; r14 is a source's and G's. */
bool jit_emit_bmi(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    const struct insn_row *r = insn_row(in);
    bool v_first = r->opnd[0] == OPND_By, v_second = r->attr & A_DST2; /* BLSR and kin; MULX */
    bool has_v = v_first || r->opnd[1] == OPND_By || r->opnd[2] == OPND_By;
    unsigned v_scratch = v_second ? H_R15 : H_R14, rm = H_R15;

    if (in->mem && !block_address_is_flat(t->b->key, in))
        return false;
    if (in->mem) {
        struct jit_site *site = jit_new_site(t, in, i);
        jit_emit_address(t, in);
        jit_emit_tlb_check(t, in->osz, false, site, i);
    } else {
        fetch_slot(a, in->rm, H_R15);
        rm = place(in->rm, H_R15);
    }
    if (has_v && !v_first && !v_second)
        fetch_slot(a, in->vvvv, H_R14);
    put_vex(a, in, r, in->osz == 8, v_first ? in->modrm >> 3 & 7 : place(in->reg, H_R14),
            has_v ? place(in->vvvv, v_scratch) : 0, rm);
    put_vex_immediate(a, in, r);
    if (v_first || v_second)
        store_slot(a, in->vvvv, v_scratch);
    if (!v_first) /* the later, for MULX with one register twice */
        store_slot(a, in->reg, H_R14);
    return true;
}
