/*
 * translate_x87.c: x87 instructions as themselves, and when the host's x87 is the guest's.
 *
 * The whole x87 of the host (registers, tags, control and status word; MMX registers with them) is
 * the guest's from the first x87 or MMX instruction that translated code comes to: jit_x87_off is
 * 0. No C code of this program uses the x87, so handlers run with it in place; only one that has to
 * do with cpu->x87 (struct jit_site's x87) has it stored before. Leaving translated code stores it,
 * too (op_enter_jit, and cpu_run after a fault). So nobody but the run side of cpu/jit sees
 * cpu->x87 out of date. Blocks ask at their start; a link from a block that ends with it skips the
 * question.
 *
 * An instruction is its own bytes with [r15] for memory. What decides whether it may be: KEY_FPU
 * (no #UD, no #NM), and exceptions all masked: else the x87 is never loaded and the interpreter
 * runs the instruction, with whatever it raises. So the host never has an exception pending.
 *
 * The last-instruction pointers are the guest's business: the host's would point to code memory,
 * and AMD's do not survive a task switch of the host. Translation notes the last instruction that
 * sets them, and the last one with an operand, and emits the stores (of a struct jit_x87_note and
 * of FDP) only in front of what may leave straight-line code, or changes a register of the
 * operand's address.
 *
 * Not here: environment and state (FLDENV, FNSTENV, FRSTOR, FNSAVE, FNINIT), decimal numbers,
 * FSTPNCE.
 *
 * Intel SDM vol. 1 chapter 8, vol. 2A, vol. 3A 2.5 and 9.2.
 */
#include "cpu/exec.h"
#include "cpu/fpu.h"
#include "cpu/jit/internal.h"
#include "cpu/x87_host.h"

/* What an instruction leaves in the last-instruction pointers; lies in the JIT's data. */
struct jit_x87_note {
    u64 fip;
    u16 fop;
    u8 seg;
};

extern const struct insn_ops ops_fwait, ops_fldcw, ops_fcomi, ops_mmx_emms;

/* ---- rows ------------------------------------------------------------------------------------ */

static bool is_escape(const struct insn_row *r)
{
    return r->map == OB && r->opcode >= 0xd8 && r->opcode <= 0xdf;
}

static bool is_one_of(const struct insn_row *r, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(r->name, *names))
            return true;
    return false;
}

static bool letter_is_mmx(unsigned o)
{
    return o == OPND_Pq || o == OPND_Pd || o == OPND_Qq || o == OPND_Qd || o == OPND_Qpi ||
           o == OPND_Nq;
}

static unsigned operand_size(unsigned o)
{
    switch (o) {
    case OPND_Mi16: return 2;
    case OPND_Mi32:
    case OPND_Mf32: return 4;
    case OPND_Mi64:
    case OPND_Mf64: return 8;
    case OPND_Mf80: return 10;
    default: return 0;
    }
}

static bool handler_uses_x87(const struct insn_row *r)
{
    return is_escape(r) || r->ops == &ops_fwait || r->gate == GATE_MMX || r->gate == GATE_FXSR ||
           r->gate == GATE_XSAVE || r->gate == GATE_XSAVEOPT || letter_is_mmx(r->opnd[0]) ||
           letter_is_mmx(r->opnd[1]);
}

static void x87_traits(const struct insn_row *r, struct row_traits *t)
{
    static const char *const handlers[] = {"fldenv", "fnstenv", "frstor",  "fnsave",
                                           "fninit", "fbld",    "fbstp",   "fneni",
                                           "fndisi", "fnsetpm", "fstpnce", NULL};
    static const char *const control[] = {"fldcw", "fnstcw", "fnstsw", "fnclex", NULL};
    unsigned o = r->opnd[0];

    t->x87_use = handler_uses_x87(r);
    t->x87_ok = r->ops == &ops_fwait || r->ops == &ops_mmx_emms ||
                (is_escape(r) && !is_one_of(r, handlers) &&
                 (r->gate != GATE_SSE3 || __builtin_cpu_supports("sse3")));
    t->x87_size = (u8)operand_size(o);
    t->x87_store =
        !strncmp(r->name, "fst", 3) || !strncmp(r->name, "fist", 4) || !strncmp(r->name, "fnst", 4);
    t->x87_noted = is_escape(r) && !is_one_of(r, control);
}

void jit_x87_rows_init(struct jit *j)
{
    for (unsigned i = 0; i < insn_row_count; i++)
        x87_traits(&insn_rows[i], &j->rows[i]);
}

/* SDM, FCOMI: C1 is set to 0. AMD's processors leave it. */
bool jit_host_fcomi_keeps_c1(void)
{
    u16 sw;
    __asm__("fninit\n\tfld1\n\tfchs\n\tfxam\n\t" /* C1: the sign */
            "fcomi %%st(0), %%st\n\tfnstsw %0\n\tfninit"
            : "=a"(sw)
            :
            : "cc");
    return sw & SW_C1;
}

/* ---- the x87 between struct cpu and the host ------------------------------------------------- */

bool jit_x87_load(struct cpu *cpu)
{
    if (!x87_host_can(&cpu->x87))
        return false;
    x87_host_load(&cpu->x87);
    cpu->jit_x87_off = 0;
    return true;
}

static const struct jit_x87_note *note_at(const struct jit *j, u32 offset)
{
    return (const void *)(j->code.rw + offset);
}

void jit_x87_settle(struct cpu *cpu)
{
    struct x87 *x = &cpu->x87;
    if (cpu->jit_x87_last) {
        const struct jit_x87_note *last = note_at(cpu->jit, cpu->jit_x87_last);
        x->fip = last->fip;
        x->fop = last->fop;
        x->fcs = cpu->seg[SEG_CS].sel;
    }
    if (cpu->jit_x87_mem) /* FDP is there already */
        x->fds = cpu->seg[note_at(cpu->jit, cpu->jit_x87_mem)->seg].sel;
    cpu->jit_x87_last = cpu->jit_x87_mem = 0;
}

void jit_x87_leave(struct cpu *cpu)
{
    if (cpu->jit_x87_off)
        return;
    x87_host_save(&cpu->x87);
    cpu->jit_x87_off = 1;
    jit_x87_settle(cpu);
}

void jit_emit_x87_enter(struct tr *t, unsigned i)
{
    struct asmbuf *a = &t->a;
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_load(a, 0, H_RCX, H_RBP, STATE(jit_x87_off));
    u8 *there = x_jrcxz(a);
    jit_emit_resume_at(t, i);
    x_call(a, t->j->stub_x87_enter);
    x_here(a, there);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
}

void jit_want_x87(struct tr *t, unsigned i)
{
    if (t->x87_live)
        return;
    jit_want_flags(t);
    jit_emit_x87_enter(t, i);
    t->x87_live = true;
}

static bool runs_natively(const struct tr *t, const struct insn *in)
{
    const struct row_traits *tr = &t->j->rows[in->row];
    return (tr->x87_ok || (tr->vec_ok && tr->vec_mmx)) &&
           (!in->mem || block_address_is_flat(t->b->key, in));
}

void jit_emit_x87_begin(struct tr *t, unsigned n)
{
    const struct insn *in = t->b->insn;
    unsigned i = 0;
    if (!(t->b->key & KEY_FPU))
        return;
    while (i < n && !runs_natively(t, &in[i]) && !t->j->rows[in[i].row].x87_use)
        i++;
    if (i == n || !runs_natively(t, &in[i]))
        return;
    jit_emit_x87_enter(t, 0);
    t->x87_live = true;
    t->jb->x87_entry = t->a.p;
}

/* ---- last-instruction pointers --------------------------------------------------------------- */

/* The note about an instruction of the block, made when it is needed first. */
static u32 note_of(struct tr *t, const struct insn *in)
{
    u32 *offset = &t->note[in->idx];
    if (*offset)
        return *offset;
    struct jit_x87_note *n = jit_data(t->j, sizeof *n);
    if (!n) {
        t->a.full = true;
        return 0;
    }
    n->fip = t->jb->lin + in->off;
    n->fop = (u16)((in->opcode & 7) << 8 | in->modrm);
    n->seg = in->seg == SEG_NONE ? SEG_DS : in->seg;
    return *offset = (u32)((u8 *)n - t->j->code.rw);
}

void jit_emit_notes(struct tr *t, const struct x87_notes *n)
{
    if (n->last)
        x_store_imm(&t->a, H_RBP, STATE(jit_x87_last), note_of(t, n->last));
    if (n->mem) {
        struct insn flat = *n->mem;
        flat.seg = SEG_NONE; /* FDP is an offset */
        jit_emit_address(t, &flat);
        x_store(&t->a, 1, H_R15, H_RBP, STATE(x87.fdp));
        x_store_imm(&t->a, H_RBP, STATE(jit_x87_mem), note_of(t, n->mem));
    }
}

void jit_flush_notes(struct tr *t)
{
    jit_emit_notes(t, &t->notes);
    t->notes = (struct x87_notes){0};
}

void jit_notes_before(struct tr *t, const struct insn *in)
{
    const struct insn *mem = t->notes.mem;
    if (!mem)
        return;
    u32 used = (mem->base < 16 ? BIT(mem->base) : 0) | (mem->index < 16 ? BIT(mem->index) : 0);
    if (jit_written(t->j, in) & used) {
        jit_emit_notes(t, &(struct x87_notes){.mem = mem});
        t->notes.mem = NULL;
    }
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* The escape opcode, ModRM, and for memory [r15]. */
static void put_escape(struct asmbuf *a, const struct insn *in)
{
    unsigned reg = in->modrm >> 3 & 7;
    if (in->mem)
        put_rex(a, 0, 0, 0, H_R15, false);
    put8(a, in->opcode);
    if (in->mem)
        put_mem(a, reg, H_R15, 0);
    else
        put8(a, in->modrm);
}

/* [r15] -> CW, unless it unmasks an exception: that is the handler's. */
static void emit_fldcw(struct tr *t, struct jit_site *site, unsigned i)
{
    struct asmbuf *a = &t->a;
    put8(a, 0x45); /* movzx r14d, word [r15] */
    put8(a, 0x0f);
    put8(a, 0xb7);
    put_mem(a, H_R14, H_R15, 0);
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_store(a, 0, H_R14, H_RBP, STATE(jit_x87_cw)); /* what is checked is what is loaded */
    put8(a, 0x49);                                  /* not r14 */
    put8(a, 0xf7);
    put8(a, 0xc0 | 2 << 3 | (H_R14 & 7));
    x_shl(a, H_RCX, H_R14, 64 - 6, H_RCX); /* the masks are the low six bits */
    u8 *good = x_jrcxz(a);
    jit_add_cold(t, site, i);
    x_here(a, good);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    put8(a, 0xd9); /* fldcw [jit_x87_cw] */
    put_mem(a, 5, H_RBP, STATE(jit_x87_cw));
}

static void note(struct tr *t, const struct insn *in)
{
    t->notes.last = in;
    if (in->mem)
        t->notes.mem = in;
}

bool jit_emit_x87(struct tr *t, const struct insn *in, unsigned i)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    struct asmbuf *a = &t->a;

    if (!(t->b->key & KEY_FPU) || !runs_natively(t, in))
        return false;
    jit_want_x87(t, i);
    if (r->ops == &ops_fwait) /* nothing can be pending */
        return true;
    if (in->mem) {
        struct jit_site *site = jit_new_site(t, in, i);
        jit_emit_address(t, in);
        jit_emit_tlb_check(t, tr->x87_size, tr->x87_store, site, i);
        if (r->ops == &ops_fldcw) {
            emit_fldcw(t, site, i);
            return true;
        }
    }
    if (r->ops == &ops_fcomi && t->j->fcomi_keeps_c1) { /* fdecstp, fincstp: C1 = 0 */
        put8(a, 0xd9);
        put8(a, 0xf6);
        put8(a, 0xd9);
        put8(a, 0xf7);
    }
    if (r->map == TB) { /* EMMS */
        put8(a, 0x0f);
        put8(a, in->opcode);
        return true;
    }
    put_escape(a, in);
    if (tr->x87_noted)
        note(t, in);
    return true;
}
