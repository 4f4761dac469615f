/*
 * translate.c: records to host code.
 *
 * An instruction of class IDENT on general registers is re-encoded: the same opcode with renamed
 * registers and, for a memory operand, [r15] after the TLB check put the host address there. The
 * check preserves the flags (engine.md 4(3), variant B): the guest's flags are in the host's and
 * must be right in every fault frame. What has no template calls its interpreter handler.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

const s8 host_reg[16] = {H_RAX, H_RCX, H_RDX, H_RBX, H_R12, H_R13, H_RSI, H_RDI,
                         H_R8,  H_R9,  H_R10, H_R11, SLOT,  SLOT,  SLOT,  SLOT};

/* ---- rows ------------------------------------------------------------------------------------ */

static bool letter_is_e(unsigned o)
{
    switch (o) {
    case OPND_Eb:
    case OPND_Ew:
    case OPND_Ed:
    case OPND_Eq:
    case OPND_Ev:
    case OPND_Ey:
    case OPND_Zb:
    case OPND_Zv:
    case OPND_AL:
    case OPND_rAX:
    case OPND_My:
    case OPND_Mv: return true;
    default: return false;
    }
}

static bool letter_is_g(unsigned o)
{
    return o == OPND_Gb || o == OPND_Gv || o == OPND_Gd || o == OPND_Gq || o == OPND_Gy;
}

static bool letter_is_plain(unsigned o)
{
    switch (o) {
    case OPND__:
    case OPND_Ib:
    case OPND_Iz:
    case OPND_Iv:
    case OPND_One:
    case OPND_CL: return true;
    default: return letter_is_e(o) || letter_is_g(o);
    }
}

static unsigned letter_size(unsigned o)
{
    switch (o) {
    case OPND_Eb:
    case OPND_Zb:
    case OPND_AL:
    case OPND_Gb: return 1;
    case OPND_Ew: return 2;
    case OPND_Ed: return 4;
    case OPND_Eq: return 8;
    default: return 0;
    }
}

static bool name_is(const struct insn_row *r, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(r->name, *names))
            return true;
    return false;
}

static struct row_traits traits_of(const struct insn_row *r)
{
    static const char *const reads_only[] = {"cmp", "test", "bt", "mul", "imul", NULL};
    static const char *const both[] = {"xchg", "xadd", "cmpxchg", NULL};
    /* with templates of their own, or with operands that re-encoding does not cover */
    static const char *const special[] = {"push",      "pop",        "leave", "lea", "nop",
                                          "cmpxchg8b", "cmpxchg16b", "crc32", NULL};
    struct row_traits t = {0};
    bool int_map = r->map == OB || r->map == TB;
    bool bit_string = !strncmp(r->name, "bt", 2) && letter_is_g(r->opnd[1]);
    t.template_ok = int_map && r->cls == IDENT && !name_is(r, special) && !bit_string &&
                    letter_is_plain(r->opnd[0]) && letter_is_plain(r->opnd[1]) &&
                    letter_is_plain(r->opnd[2]) &&
                    !(r->opcode >= 0xd8 && r->opcode <= 0xdf && r->map == OB);
    if (r->opnd[0] == OPND__) /* CBW, CWD, SAHF, LAHF, CMC, CLC, STC; not EMMS and its like */
        t.template_ok &=
            r->map == OB && r->modrm == MRM_NONE &&
            (r->opcode == 0x98 || r->opcode == 0x99 || r->opcode == 0x9e || r->opcode == 0x9f ||
             r->opcode == 0xf5 || r->opcode == 0xf8 || r->opcode == 0xf9);
    bool e_first = letter_is_e(r->opnd[0]);
    t.writes_e = (e_first && !name_is(r, reads_only)) || name_is(r, both);
    t.writes_g = (letter_is_g(r->opnd[0]) && !name_is(r, reads_only)) || name_is(r, both);
    if (!strcmp(r->name, "imul") && letter_is_g(r->opnd[0]))
        t.writes_g = true;
    t.e_size = (u8)letter_size(e_first ? r->opnd[0] : r->opnd[1]);
    t.byte_g = r->opnd[0] == OPND_Gb || r->opnd[1] == OPND_Gb;
    return t;
}

void jit_rows_init(struct jit *j)
{
    for (unsigned i = 0; i < insn_row_count; i++)
        j->rows[i] = traits_of(&insn_rows[i]);
    jit_vec_rows_init(j);
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* r15 = linear address of the memory operand. */
void jit_emit_address(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    unsigned w = t->is64;
    int base = in->base < 16 ? host_reg[in->base] : -2,
        index = in->index < 16 ? host_reg[in->index] : -2;

    if (in->base == REG_RIP) {
        u64 at = t->jb->lin + (u64)(s64)in->disp + (in->index == REG_4G ? 4 * GIB : 0);
        x_mov_imm(a, H_R15, at);
    } else {
        if (base == SLOT) {
            x_load(a, 1, H_R15, H_RBP, slot(in->base));
            base = H_R15;
        }
        if (index == SLOT) {
            x_load(a, 1, H_R14, H_RBP, slot(in->index));
            index = H_R14;
        }
        if (base == -2 && index == -2)
            x_mov_imm(a, H_R15, w ? (u64)(s64)in->disp : (u32)in->disp);
        else if (index == -2)
            x_lea(a, w, H_R15, (unsigned)base, in->disp);
        else
            x_lea_sib(a, w, H_R15, base == -2 ? -1 : base, (unsigned)index, in->scale, in->disp);
    }
    if (in->seg == SEG_FS || in->seg == SEG_GS) {
        x_load(a, 1, H_R14, H_RBP,
               STATE(seg) + (s32)(in->seg * sizeof(struct seg) + offsetof(struct seg, base)));
        x_lea_sib(a, w, H_R15, H_R15, H_R14, 0, 0);
    }
}

/* A jump to code that is emitted after the block's end. */
void jit_add_cold(struct tr *t, struct jit_site *site, unsigned idx)
{
    u8 *after = x_jmp(&t->a, t->a.p);
    t->cold[t->colds++] =
        (struct cold){.from = after, .site = site, .idx = idx, .vec_live = t->vec_live};
}

#define TLB_FIELD(mode, member)                                                                    \
    (STATE(tlb) + (s32)(offsetof(struct tlb, l1) + (mode) * sizeof(struct tlb_l1) +                \
                        offsetof(struct tlb_l1, member)))

/* mov reg, [rbp + r14 * 8 + disp] */
static void load_indexed(struct asmbuf *a, unsigned reg, s32 disp)
{
    put_rex(a, 1, reg, H_R14, H_RBP, false);
    put8(a, 0x8b);
    put_sib(a, reg, H_RBP, H_R14, 3, disp);
}

/* r15: linear address -> host address. Flags stay; clobbers r14. On a miss the cold code runs. */
/* op r15, [rbp + r14 * 8 + disp] */
static void op_indexed(struct asmbuf *a, unsigned opcode, s32 disp)
{
    put_rex(a, 1, H_R15, H_R14, H_RBP, false);
    put8(a, opcode);
    put_sib(a, H_R15, H_RBP, H_R14, 3, disp);
}

/* The check for when the flags can be had back: half the work, RCX stays. */
static void quick_check(struct tr *t, unsigned size, bool write, struct jit_site *site,
                        unsigned idx)
{
    struct asmbuf *a = &t->a;
    x_rorx(a, H_R14, H_R15, 12);
    x_movzx8(a, H_R14, H_R14);
    op_indexed(a, 0x03, write ? TLB_FIELD(t->mode, neg_w) : TLB_FIELD(t->mode, neg_r)); /* add */
    put8(a, 0x49); /* cmp r15, 4096 - size */
    put8(a, 0x81);
    put8(a, 0xff);
    put32(a, (u32)PAGE_SIZE - size);
    u8 *after = x_jcc(a, 7, a->p); /* ja */
    t->cold[t->colds++] = (struct cold){.from = after,
                                        .site = site,
                                        .idx = idx,
                                        .quick = true,
                                        .vec_live = t->vec_live,
                                        .flags = t->flags};
    op_indexed(a, 0x03, TLB_FIELD(t->mode, host));
    t->flags_spent = true;
}

void jit_emit_tlb_check(struct tr *t, unsigned size, bool write, struct jit_site *site,
                        unsigned idx)
{
    struct asmbuf *a = &t->a;
    if (t->may_spend) {
        quick_check(t, size, write, site, idx);
        return;
    }
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_rorx(a, H_R14, H_R15, 12);
    x_movzx8(a, H_R14, H_R14);
    load_indexed(a, H_RCX, write ? TLB_FIELD(t->mode, neg_w) : TLB_FIELD(t->mode, neg_r));
    x_lea_sib(a, 1, H_RCX, H_RCX, H_R15, 0, 0); /* offset in the page, if it is the page */
    load_indexed(a, H_R15, TLB_FIELD(t->mode, host));
    x_lea_sib(a, 1, H_R15, H_R15, H_RCX, 0, 0);
    x_lea(a, 1, H_RCX, H_RCX, (s32)size - 1);
    x_shrx(a, H_RCX, H_RCX, H_RBP); /* by 12 */
    u8 *hit = x_jrcxz(a);
    jit_add_cold(t, site, idx);
    x_here(a, hit);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
}
_Static_assert(TLB_SLOTS == 256, "the index is one byte of the page number");

/* ---- handlers -------------------------------------------------------------------------------- */

static const struct insn *op_jit_stop(struct cpu *cpu, const struct insn *in)
{
    (void)cpu;
    return in;
}

struct jit_site *jit_new_site(struct tr *t, const struct insn *in, unsigned i)
{
    struct jit_site *s = jit_data(t->j, sizeof *s);
    if (!s) {
        t->a.full = true;
        return NULL;
    }
    s->in = *in;
    if (i == 0)
        s->in.fn = t->b->first_fn;
    s->stop = *in;
    s->stop.fn = op_jit_stop;
    s->jb = t->jb;
    return s;
}

static void emit_handler_call(struct tr *t, struct jit_site *s)
{
    x_mov_imm(&t->a, H_R14, (u64)(uintptr_t)s);
    x_call(&t->a, t->j->stub_helper);
}

/* Leaves to the interpreter, which goes on with record i. */
void jit_emit_exit_record(struct tr *t, unsigned i)
{
    x_mov_imm(&t->a, H_R14, (u64)(uintptr_t)&t->b->insn[i]);
    x_mov_imm(&t->a, H_R15, (u64)(uintptr_t)t->jb);
    x_jmp(&t->a, t->j->stub_exit_record);
}

/* ---- re-encoding ----------------------------------------------------------------------------- */

struct operand {
    int host;  /* host register, or SLOT */
    bool high; /* AH, CH, DH, BH */
    unsigned guest;
};

static struct operand operand_of(unsigned r, bool byte)
{
    struct operand o = {.high = byte && r & 7, .guest = byte ? r / 8 : r};
    o.host = host_reg[o.guest];
    return o;
}

static unsigned imm_bytes(const struct insn_row *r, const struct insn *in)
{
    for (unsigned i = 0; i < 3; i++)
        switch (r->opnd[i]) {
        case OPND_Ib: return 1;
        case OPND_Iz: return in->osz == 2 ? 2 : 4;
        case OPND_Iv: return in->osz;
        default: break;
        }
    return 0;
}

static void put_imm(struct asmbuf *a, const struct insn_row *r, const struct insn *in)
{
    unsigned n = imm_bytes(r, in);
    u64 v = n == 8 ? in->imm64 : (u64)(s64)in->imm;
    for (unsigned i = 0; i < n; i++)
        put8(a, v >> (8 * i) & 0xff);
}

/* The instruction itself with operands in place: rm is a register, or memory at [r15]. */
static void put_insn(struct tr *t, const struct insn *in, const struct insn_row *r, int reg, int rm,
                     bool mem, bool rex_byte)
{
    struct asmbuf *a = &t->a;
    if (in->pfx & PFX_LOCK)
        put8(a, 0xf0);
    if (in->osz == 2)
        put8(a, 0x66);
    if (r->pfx == PF3)
        put8(a, 0xf3);
    put_rex(a, in->osz == 8, (unsigned)reg, 0, (unsigned)rm, rex_byte);
    if (r->map == TB)
        put8(a, 0x0f);
    put8(a, in->opcode);
    if (r->modrm == MRM_NONE)
        return;
    if (mem)
        put_mem(a, (unsigned)reg, (unsigned)rm, 0);
    else
        put8(a, 0xc0 | ((unsigned)reg & 7) << 3 | ((unsigned)rm & 7));
}

static bool has_letter(const struct insn_row *r, bool (*is)(unsigned))
{
    return is(r->opnd[0]) || is(r->opnd[1]) || is(r->opnd[2]);
}

/* AL, rAX, Z: forms without ModRM get one, or the register's number in the opcode. */
static bool emit_short_form(struct tr *t, const struct insn *in, const struct insn_row *r)
{
    struct asmbuf *a = &t->a;
    unsigned z = r->opnd[0];
    bool byte = z == OPND_Zb || z == OPND_AL;
    if (z == OPND__) { /* CBW, CWD, CMC, CLC, STC, LAHF, SAHF */
        if (in->osz == 2)
            put8(a, 0x66);
        if (in->osz == 8 && (in->opcode == 0x98 || in->opcode == 0x99))
            put8(a, 0x48);
        put8(a, in->opcode);
        return true;
    }
    if (z == OPND_AL || z == OPND_rAX) {
        put_insn(t, in, r, 0, 0, false, false);
        put_imm(a, r, in);
        return true;
    }
    struct operand o = operand_of(in->rm, byte);
    if (o.high || (o.host == SLOT && byte))
        return false;
    int h = o.host == SLOT ? H_R15 : o.host;
    if (o.host == SLOT && in->opcode < 0xb0)
        x_load(a, 1, H_R15, H_RBP, slot(o.guest));
    if (r->map == OB && (in->opcode & 0xf8) == 0x90) { /* XCHG rAX */
        if (in->osz == 2)
            put8(a, 0x66);
        put_rex(a, in->osz == 8, 0, 0, (unsigned)h, false);
        put8(a, 0x87);
        put8(a, 0xc0 | ((unsigned)h & 7));
    } else if (r->map == OB && (in->opcode & 0xf0) == 0x40) { /* INC, DEC of legacy modes */
        if (in->osz == 2)
            put8(a, 0x66);
        put_rex(a, 0, 0, 0, (unsigned)h, false);
        put8(a, 0xff);
        put8(a, 0xc0 | (in->opcode & 8) | ((unsigned)h & 7));
    } else { /* MOV Z, BSWAP */
        bool bswap = r->map == TB;
        if (o.host == SLOT && (bswap || in->osz == 2))
            x_load(a, 1, H_R15, H_RBP, slot(o.guest));
        if (in->osz == 2)
            put8(a, 0x66);
        put_rex(a, in->osz == 8, 0, 0, (unsigned)h, byte && h >= 4);
        if (bswap)
            put8(a, 0x0f);
        put8(a, (in->opcode & 0xf8) | ((unsigned)h & 7));
        put_imm(a, r, in);
    }
    if (o.host == SLOT)
        x_store(a, 1, H_R15, H_RBP, slot(o.guest));
    return true;
}

/* E and G forms with ModRM. False: not covered, nothing emitted. */
static bool emit_modrm_form(struct tr *t, const struct insn *in, unsigned i,
                            const struct insn_row *r, const struct row_traits *tr)
{
    struct asmbuf *a = &t->a;
    bool has_g = has_letter(r, letter_is_g);
    bool e_byte = tr->e_size == 1;
    unsigned size = tr->e_size ? tr->e_size : in->osz;
    struct operand g = {.host = in->modrm >> 3 & 7}, e = {.host = H_R15};

    if (has_g)
        g = operand_of(in->reg, tr->byte_g);
    if (!in->mem)
        e = operand_of(in->rm, e_byte);
    /* High bytes cannot be named beside a REX prefix; scratch registers need one. */
    bool g_byte = has_g && tr->byte_g;
    if (g.high || e.high) {
        bool low_e = !in->mem && e.host != SLOT && e.host < 4;
        bool low_g = !has_g || (g.host != SLOT && g.host < 4);
        if (!low_e || !low_g || in->osz == 8)
            return false;
    }
    int eh = e.host, gh = g.host;
    if (in->mem) {
        if (!block_address_is_flat(t->b->key, in))
            return false;
        struct jit_site *s = jit_new_site(t, in, i);
        jit_emit_address(t, in);
        jit_emit_tlb_check(t, size, tr->writes_e, s, i);
    } else if (eh == SLOT) {
        eh = H_R15;
        x_load(a, 1, H_R15, H_RBP, slot(e.guest));
    }
    if (gh == SLOT) {
        gh = H_R14;
        x_load(a, 1, H_R14, H_RBP, slot(g.guest));
    }
    bool rex_byte = (g_byte && !g.high && gh >= 4) || (!in->mem && e_byte && !e.high && eh >= 4);
    put_insn(t, in, r, g.high ? gh + 4 : gh, e.high ? eh + 4 : eh, in->mem, rex_byte);
    put_imm(a, r, in);
    if (g.host == SLOT && has_g && tr->writes_g)
        x_store(a, 1, H_R14, H_RBP, slot(g.guest));
    if (!in->mem && e.host == SLOT && tr->writes_e)
        x_store(a, 1, H_R15, H_RBP, slot(e.guest));
    return true;
}

/* ---- templates of their own ------------------------------------------------------------------ */

static void store_reg(struct tr *t, unsigned guest, unsigned from)
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
    struct insn flat = *in;
    flat.seg = SEG_NONE;
    flat.disp += t->j->test.wrong;
    jit_emit_address(t, &flat);
    if (in->osz == 4 && t->is64)
        x_mov(&t->a, 0, H_R15, H_R15);
    store_reg(t, in->reg, H_R15);
    return true;
}

static unsigned stack_slot_size(const struct tr *t)
{
    return t->is64 ? 8 : 4;
}

static bool emit_push(struct tr *t, const struct insn *in, unsigned i, const struct insn_row *r)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64;
    bool imm = r->opnd[0] == OPND_Iz || r->opnd[0] == OPND_Ib;
    if (in->osz != size || in->mem)
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
    x_load(a, w, H_R14, H_R15, 0);
    x_lea(a, w, H_R12, H_R12, (s32)size);
    store_reg(t, in->rm, H_R14);
    return true;
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

extern const struct insn_ops ops_nop, ops_sti, ops_mov_e_s, ops_div_e;

/* MOV r, Sreg. */
static bool emit_mov_sreg(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    if (in->mem || in->osz == 2 || in->reg > SEG_GS)
        return false;
    put8(a, 0x44); /* movzx r14d, word [seg.sel] */
    put8(a, 0x0f);
    put8(a, 0xb7);
    put_mem(a, H_R14, H_RBP,
            STATE(seg) + (s32)(in->reg * sizeof(struct seg) + offsetof(struct seg, sel)));
    store_reg(t, in->rm, H_R14);
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

/*
 * DIV of 32 and 64 bits by a register, when the dividend's high half is 0 and the divisor is not:
 * that cannot fault. Everything else is the handler's.
 */
static bool emit_div(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    unsigned w = in->osz == 8;
    if (in->mem || in->osz < 4 || in->rm == RDX)
        return false;
    struct jit_site *s = jit_new_site(t, in, i);
    int h = host_reg[in->rm];
    if (h == SLOT) {
        x_load(a, 1, H_R15, H_RBP, slot(in->rm));
        h = H_R15;
    } else if (h == H_RCX) { /* the guards use it */
        x_mov(a, 1, H_R15, H_RCX);
        h = H_R15;
    }
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_mov(a, w, H_RCX, H_RDX);
    guard_rcx(t, true, s, i);
    x_mov(a, w, H_RCX, (unsigned)h);
    guard_rcx(t, false, s, i);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    put_rex(a, w, 0, 0, (unsigned)h, false);
    put8(a, 0xf7);
    put8(a, 0xc0 | 6 << 3 | ((unsigned)h & 7));
    return true;
}

static bool emit_template(struct tr *t, const struct insn *in, unsigned i)
{
    const struct insn_row *r = insn_row(in);
    const struct row_traits *tr = &t->j->rows[in->row];
    if (tr->vec_ok)
        return jit_emit_vec(t, in, i);
    if (r->ops == &ops_mov_e_s)
        return emit_mov_sreg(t, in);
    if (r->ops == &ops_div_e)
        return emit_div(t, in, i);
    if (r->cls != IDENT || !r->ops)
        return false;
    insn_fn fn = i == 0 ? t->b->first_fn : in->fn;
    if (fn == r->ops->any && (r->ops->stack || r->attr & A_CPL0))
        return false;
    if (r->ops == &ops_nop)
        return true;
    if (!strcmp(r->name, "lea"))
        return emit_lea(t, in);
    if (!strcmp(r->name, "push"))
        return emit_push(t, in, i, r);
    if (!strcmp(r->name, "pop"))
        return emit_pop(t, in, i);
    if (!strcmp(r->name, "leave"))
        return emit_leave(t, in, i);
    if (!tr->template_ok)
        return false;
    return r->modrm == MRM_NONE ? emit_short_form(t, in, r) : emit_modrm_form(t, in, i, r, tr);
}

/* ---- ends of blocks -------------------------------------------------------------------------- */

/* Cold: an unlinked jump leaves to the interpreter, which runs the jump and links. */
static void end_site(struct tr *t, unsigned side, u8 *after)
{
    t->jb->site[side] = after;
    t->cold[t->colds++] = (struct cold){.from = after, .idx = t->b->count - 1u};
}

static bool is_jcc(const struct insn_row *r)
{
    return r->name[0] == 'j' && ((r->map == OB && (r->opcode & 0xf0) == 0x70) ||
                                 (r->map == TB && (r->opcode & 0xf0) == 0x80));
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

/*
 * The guards of an indirect jump whose target is in r15: takes the entry from the table and goes
 * there if it stands for this address, the mapping is still right and the slice not over. Else
 * leaves to record i with nothing committed. `commit` runs in between.
 */
static void emit_indirect(struct tr *t, unsigned i,
                          void (*commit)(struct tr *, const struct insn *), const struct insn *in)
{
    struct asmbuf *a = &t->a;
    bool global = !(t->b->key & KEY_CPL3); /* other code of the kernel is not in the table */
    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_rorx(a, H_R14, H_R15, 16);
    x_lea_sib(a, 1, H_R14, H_R14, H_R15, 0, 0);
    x_movzx16(a, H_R14, H_R14);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_targets));
    put_rex(a, 1, H_R14, H_R14, H_RCX, false); /* mov r14, [rcx + r14 * 8] */
    put8(a, 0x8b);
    put_sib(a, H_R14, H_RCX, H_R14, 3, 0);
    x_load(a, 1, H_RCX, H_R14, -16);
    x_lea_sib(a, 1, H_RCX, H_RCX, H_R15, 0, (s32)t->b->key);
    u8 *same = x_jrcxz(a);
    u8 *miss = x_jmp(a, a->p);
    x_here(a, same);
    x_load(a, 0, H_RCX, H_R14, -8);
    put_rex(a, 0, H_RCX, 0, 0, false); /* not ecx: minus one minus it */
    put8(a, 0xf7);
    put8(a, 0xc0 | 2 << 3 | H_RCX);
    x_load(a, 0, H_R15, H_RBP, global ? STATE(tlb.epoch_global) : STATE(tlb.epoch));
    x_lea_sib(a, 0, H_RCX, H_RCX, H_R15, 0, 1);
    u8 *current = x_jrcxz(a);
    u8 *stale = x_jmp(a, a->p);
    x_here(a, current);
    x_load(a, 1, H_R15, H_RBP, STATE(left));
    x_lea(a, 1, H_R15, H_R15, -(s32)t->b->count);
    x_mov_imm(a, H_RCX, 63);
    x_shrx(a, H_RCX, H_R15, H_RCX);
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

static void emit_end(struct tr *t)
{
    const struct block *b = t->b;
    unsigned last = b->count - 1u;
    const struct insn *in = &b->insn[last];
    const struct insn_row *r = insn_row(in);
    struct asmbuf *a = &t->a;
    /* CS is flat with base 0 in translatable modes, so linear addresses are instruction pointers.
     */
    if (r->cls == CTRL && is_jcc(r) && in->osz != 2) {
        end_site(t, 1, x_jcc(a, in->opcode & 15, a->p));
        end_site(t, 0, x_jmp(a, a->p));
        return;
    }
    if (r->cls == CTRL && !strcmp(r->name, "jmp") && in->osz != 2 && r->opnd[0] != OPND_Ev) {
        end_site(t, 0, x_jmp(a, a->p));
        return;
    }
    if (r->cls == CTRL && !strcmp(r->name, "call") && in->osz == stack_slot_size(t) &&
        r->opnd[0] == OPND_Jz) {
        t->jb->is_call = true;
        end_site(t, 0, x_jmp(a, a->p));
        return;
    }
    if (r->cls == CTRL && !strcmp(r->name, "ret") && emit_ret(t, in, last))
        return;
    if (r->cls == CTRL && r->opnd[0] == OPND_Ev &&
        emit_jmp_e(t, in, last, !strcmp(r->name, "call")))
        return;
    jit_emit_exit_record(t, last);
}

/* The block goes on at the next address. */
static void emit_fall_through(struct tr *t)
{
    u8 *after = x_jmp(&t->a, t->a.p);
    t->jb->site[0] = after;
    t->cold[t->colds++] = (struct cold){.from = after, .idx = t->b->count};
}

/* RCX and flags as they were before the check that missed. */
static void emit_cold_state(struct tr *t, const struct cold *c)
{
    if (c->quick)
        jit_emit_flags(t, &c->flags);
    else
        x_load(&t->a, 1, H_RCX, H_RBP, STATE(jit_rcx));
}

static void emit_colds(struct tr *t)
{
    struct asmbuf *a = &t->a;
    u8 *exits[BLOCK_MAX_INSNS + 2] = {0};
    for (unsigned n = 0; n < t->colds && !a->full; n++) {
        const struct cold *c = &t->cold[n];
        if (c->site) {
            x_patch(c->from, a->p);
            emit_cold_state(t, c);
            emit_handler_call(t, c->site);
            if (c->vec_live)
                jit_emit_vec_enter(t, c->idx + 1);
            x_jmp(a, c->back);
            continue;
        }
        bool is_site = c->from == t->jb->site[0] || c->from == t->jb->site[1];
        if (!is_site) { /* a check of the last instruction missed: rcx is saved */
            x_patch(c->from, a->p);
            emit_cold_state(t, c);
            if (c->undo) {
                x_load(a, 1, H_R14, H_RBP, STATE(left));
                x_lea(a, 1, H_R14, H_R14, (s32)c->undo);
                x_store(a, 1, H_R14, H_RBP, STATE(left));
            }
            jit_emit_exit_record(t, c->idx);
            continue;
        }
        if (!exits[c->idx]) {
            exits[c->idx] = a->p;
            jit_emit_exit_record(t, c->idx);
        }
        if (a->full)
            return;
        x_patch(c->from, exits[c->idx]);
        t->jb->unlinked[c->from == t->jb->site[1]] = exits[c->idx];
    }
}

/* Was the instruction bound to the variant that leaves flags alone because nobody reads them? */
static bool flags_are_dead(const struct tr *t, const struct insn *in, unsigned i)
{
    const struct insn_ops *ops = insn_row(in)->ops;
    insn_fn fn = i == 0 ? t->b->first_fn : in->fn;
    for (unsigned k = 0; ops && k < 4; k++)
        if ((fn == ops->rn[k] && fn != ops->r[k]) || (fn == ops->mn[k] && fn != ops->m[k]))
            return true;
    return false;
}

/* Test mode: garbage in the flags that the instruction would have set and that are taken for dead.
 */
static void emit_poison(struct tr *t, const struct insn *in, unsigned i)
{
    struct asmbuf *a = &t->a;
    u32 kills = insn_row(in)->fl_write | insn_row(in)->fl_undef;
    u64 garbage = (t->jb->lin + in->off) * 0x9e3779b97f4a7c15ull;
    if (!t->j->test.flags_poison || !flags_are_dead(t, in, i))
        return;
    x_mov_imm(a, H_R14, garbage >> 56);
    if (kills == F_ALL) { /* add r14b, imm */
        put8(a, 0x41);
        put8(a, 0x80);
        put8(a, 0xc6);
        put8(a, garbage >> 48 & 0xff);
    } else if (kills == F_OSZAP) { /* inc r14b: CF stays */
        put8(a, 0x41);
        put8(a, 0xfe);
        put8(a, 0xc6);
    }
}

static bool ends_by_itself(const struct block *b)
{
    const struct insn_row *r = insn_row(&b->insn[b->count - 1]);
    return r->cls == CTRL || r->cls == SYSTEM || b->insn[b->count - 1].row == ROW_INVALID;
}

static void emit_insn(struct tr *t, const struct insn *in, unsigned i)
{
    unsigned colds = t->colds;
    jit_flags_before(t, in);
    bool inlined = emit_template(t, in, i);
    if (inlined) {
        t->j->stats.templates++;
    } else {
        jit_want_flags(t);
        struct jit_site *s = jit_new_site(t, in, i);
        emit_handler_call(t, s);
        t->vec_live = false;
        t->j->stats.helpers++;
    }
    jit_flags_after(t, in, inlined);
    for (; colds < t->colds; colds++)
        t->cold[colds].back = t->a.p;
    emit_poison(t, in, i);
}

static void emit_body(struct tr *t)
{
    struct block *b = t->b;
    bool closed = ends_by_itself(b);
    unsigned n = closed ? b->count - 1u : b->count;
    jit_emit_vec_begin(t, n);
    for (unsigned i = 0; i < n && !t->a.full; i++) {
        const struct insn *in = &b->insn[i];
        if (insn_row(in)->ops == &ops_sti && i + 1 == b->count) {
            jit_want_flags(t);
            jit_emit_exit_record(t, i); /* its shadow reaches into the next block */
            return;
        }
        emit_insn(t, in, i);
    }
    jit_want_flags(t);
    if (closed)
        emit_end(t);
    else
        emit_fall_through(t);
}

bool jit_emit_block(struct jit *j, struct jit_block *jb)
{
    struct tr t = {.j = j, .jb = jb, .b = jb->block};
    t.is64 = t.b->key & KEY_CODE64;
    t.mode = KEY_TLB_MODE(t.b->key);
    u8 *start = (u8 *)(uintptr_t)align_up((u64)(uintptr_t)j->next + sizeof(struct jit_head), 16);
    t.a = (struct asmbuf){.p = start, .end = j->code.rw + j->code.bytes};
    if (start >= t.a.end)
        return false;
    jb->entry = start;
    emit_body(&t);
    emit_colds(&t);
    if (t.a.full)
        return false;
    jb->vec_live = t.vec_live;
    j->stats.host_bytes += (u64)(t.a.p - start);
    j->next = t.a.p;
    return true;
}

/* ---- links ----------------------------------------------------------------------------------- */

bool jit_uses_global_epoch(const struct jit_block *jb)
{
    return !(jb->block->key & KEY_CPL3) && jb->global;
}

/* What a linked near CALL does before it arrives: pushes the return address. */
static u8 *emit_link_push(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    unsigned size = stack_slot_size(t), w = t->is64;
    u64 ret = t->jb->lin + in->off + in->len;
    x_lea(a, w, H_R15, H_R12, -(s32)size);
    jit_emit_tlb_check(t, size, true, NULL, 0);
    x_mov_imm(a, H_R14, w ? ret : (u32)ret);
    x_store(a, w, H_R14, H_R15, 0);
    x_lea(a, w, H_R12, H_R12, -(s32)size);
    return t->cold[0].from;
}

/*
 * A block that ends with a comparison of registers and a conditional jump can have its flags back
 * by comparing once more, so that its guards may be ordinary instructions. NULL: it is not such a
 * block.
 */
static const struct insn *flags_recipe(const struct tr *t)
{
    const struct block *b = t->b;
    if (b->count < 2 || !is_jcc(insn_row(&b->insn[b->count - 1])))
        return NULL;
    const struct insn *cmp = &b->insn[b->count - 2];
    const struct insn_row *r = insn_row(cmp);
    bool compares = !strcmp(r->name, "cmp") || !strcmp(r->name, "test");
    bool high_byte = cmp->osz == 1 && ((cmp->rm | cmp->reg) & 7);
    return compares && !cmp->mem && !high_byte && t->j->rows[cmp->row].template_ok ? cmp : NULL;
}

void jit_emit_again(struct tr *t, const struct insn *cmp)
{
    const struct insn_row *r = insn_row(cmp);
    if (r->modrm == MRM_NONE)
        emit_short_form(t, cmp, r);
    else
        emit_modrm_form(t, cmp, cmp->idx, r, &t->j->rows[cmp->row]);
}

/* op qword [rbp + left], n: /0 adds, /5 subtracts */
static void emit_left(struct asmbuf *a, unsigned op, unsigned n)
{
    put_rex(a, 1, 0, 0, H_RBP, false);
    put8(a, 0x83);
    put_mem(a, op, H_RBP, STATE(left));
    put8(a, n);
}
_Static_assert(BLOCK_MAX_INSNS <= 127, "counts are signed bytes");

/* The path of jit_emit_link with flags to spare. */
static bool emit_cheap_link(struct tr *t, const struct insn *cmp, unsigned side,
                            const struct jit_block *to, bool same_page, u8 **epoch_imm)
{
    struct asmbuf *a = &t->a;
    u8 *stale = NULL;
    if (!same_page) {
        bool global = jit_uses_global_epoch(to);
        const struct tlb *tlb = &t->j->cpu->tlb;
        x_load(a, 0, H_R15, H_RBP, global ? STATE(tlb.epoch_global) : STATE(tlb.epoch));
        put8(a, 0x41); /* add r15d, imm32 */
        put8(a, 0x81);
        put8(a, 0xc7);
        put32(a, (u32) - (global ? tlb->epoch_global : tlb->epoch));
        *epoch_imm = a->p;
        stale = x_jcc(a, 5, a->p); /* jne */
    }
    emit_left(a, 5, t->b->count);
    u8 *late = x_jcc(a, 8, a->p); /* js */
    jit_emit_again(t, cmp);
    x_jmp(a, t->jb->vec_live && to->vec_entry ? to->vec_entry : to->entry);
    if (a->full)
        return false;
    x_patch(late, a->p);
    emit_left(a, 0, t->b->count);
    if (stale)
        x_patch(stale, a->p);
    jit_emit_again(t, cmp);
    x_jmp(a, t->jb->unlinked[side]);
    return !a->full;
}

/* The path that leaves flags alone. */
static bool emit_careful_link(struct tr *t, unsigned side, const struct jit_block *to,
                              bool same_page, u8 **epoch_imm)
{
    struct asmbuf *a = &t->a;
    const struct block *b = t->b;
    const struct tlb *tlb = &t->j->cpu->tlb;
    bool global = jit_uses_global_epoch(to);
    u8 *stale = NULL;

    x_store(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    if (!same_page) {
        x_load(a, 0, H_RCX, H_RBP, global ? STATE(tlb.epoch_global) : STATE(tlb.epoch));
        put8(a, 0x8d); /* lea ecx, [rcx + imm32] */
        put8(a, 0x80 | H_RCX << 3 | H_RCX);
        put32(a, (u32) - (global ? tlb->epoch_global : tlb->epoch));
        *epoch_imm = a->p;
        u8 *current = x_jrcxz(a);
        stale = x_jmp(a, a->p);
        x_here(a, current);
    }
    x_load(a, 1, H_R15, H_RBP, STATE(left));
    x_lea(a, 1, H_R15, H_R15, -(s32)b->count);
    x_mov_imm(a, H_RCX, 63);
    x_shrx(a, H_RCX, H_R15, H_RCX);
    u8 *in_time = x_jrcxz(a);
    u8 *late = x_jmp(a, a->p);
    x_here(a, in_time);
    x_store(a, 1, H_R15, H_RBP, STATE(left));
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    u8 *push_miss = t->jb->is_call ? emit_link_push(t, &b->insn[b->count - 1]) : NULL;
    x_jmp(a, t->jb->vec_live && to->vec_entry ? to->vec_entry : to->entry);
    if (a->full)
        return false;
    if (push_miss) { /* give the instructions back: the interpreter runs the call */
        x_patch(push_miss, a->p);
        x_load(a, 1, H_RCX, H_RBP, STATE(left));
        x_lea(a, 1, H_RCX, H_RCX, (s32)b->count);
        x_store(a, 1, H_RCX, H_RBP, STATE(left));
    }
    if (stale)
        x_patch(stale, a->p);
    x_patch(late, a->p);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    x_jmp(a, t->jb->unlinked[side]);
    return !a->full;
}

/*
 * A block that jumps to itself gets its code a second time, as a loop: there the flags at the top
 * are known to come from its own comparison, so that every access check is the quick one, and the
 * way back is the slice check alone. Other ways out go through the jump of the first copy.
 */
static bool emit_loop(struct tr *t, const struct insn *cmp, unsigned side)
{
    struct asmbuf *a = &t->a;
    const struct block *b = t->b;
    const struct insn *jump = &b->insn[b->count - 1];
    const u8 *first_jump = t->jb->site[1] - 6; /* jcc rel32 */
    u8 *path = a->p;

    emit_left(a, 5, b->count);
    u8 *late_in = x_jcc(a, 8, a->p); /* js */
    u8 *top = a->p;
    t->flags = jit_flag_source(t, cmp);
    t->flags_spent = true;
    for (unsigned i = 0; i + 1 < b->count && !a->full; i++)
        emit_insn(t, &b->insn[i], i);
    jit_want_flags(t);
    x_jcc(a, (jump->opcode & 15u) ^ side, first_jump);
    emit_left(a, 5, b->count);
    x_jcc(a, 9, top); /* jns */
    if (a->full)
        return false;
    x_patch(late_in, a->p);
    emit_left(a, 0, b->count);
    jit_emit_again(t, cmp);
    x_jmp(a, t->jb->unlinked[side]);
    emit_colds(t);
    if (a->full)
        return false;
    t->j->next = a->p;
    x_patch(t->jb->site[side], path);
    return true;
}

bool jit_emit_link(struct jit *j, struct jit_block *from, unsigned side, struct jit_block *to,
                   bool same_page)
{
    struct tr t = {.j = j, .jb = from, .b = from->block};
    t.is64 = t.b->key & KEY_CODE64;
    t.mode = KEY_TLB_MODE(t.b->key);
    t.a = (struct asmbuf){.p = j->next, .end = j->code.rw + j->code.bytes};
    u8 *path = t.a.p, *epoch_imm = NULL;
    const struct insn *cmp = flags_recipe(&t);

    if (cmp && from == to && same_page && !from->vec_entry && !from->vec_live) {
        from->path[side] = path;
        from->path_epoch[side] = NULL;
        return emit_loop(&t, cmp, side);
    }
    if (!(cmp ? emit_cheap_link(&t, cmp, side, to, same_page, &epoch_imm)
              : emit_careful_link(&t, side, to, same_page, &epoch_imm)))
        return false;
    from->path[side] = path;
    from->path_epoch[side] = epoch_imm;
    x_patch(from->site[side], path);
    j->next = t.a.p;
    return true;
}
