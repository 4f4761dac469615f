/*
 * translate_system.c: the instruction that ends a block because it may change anything: its handler
 * runs (jit_run_system), unless it is one that is done in place.
 *
 * SYSCALL and SYSRET between 64-bit code are: whatever is not as it mostly is (TF, AC, a request,
 * the end of the slice) is found before anything is committed, and left to the handler.
 */
#include "cpu/exec.h"
#include "cpu/jit/internal.h"

/* ---- instructions; flags are free ------------------------------------------------------------ */

enum { G1_ADD = 0, G1_OR = 1, G1_AND = 4, G1_SUB = 5, G1_CMP = 7 };
enum { CC_E = 4, CC_NE = 5, CC_A = 7, CC_LE = 14 };

/* op reg32, imm32 */
static void op_ri(struct asmbuf *a, unsigned op, unsigned reg, u32 imm)
{
    put_rex(a, 0, 0, 0, reg, false);
    put8(a, 0x81);
    put8(a, 0xc0 | op << 3 | (reg & 7));
    put32(a, imm);
}

/* op [rbp + at], imm8, of 32 or 64 bits */
static void op_mi(struct asmbuf *a, unsigned w, unsigned op, s32 at, unsigned imm)
{
    put_rex(a, w, 0, 0, H_RBP, false);
    put8(a, 0x83);
    put_mem(a, op, H_RBP, at);
    put8(a, imm);
}

/* or dst, src */
static void or_rr(struct asmbuf *a, unsigned w, unsigned dst, unsigned src)
{
    put_rex(a, w, src, 0, dst, false);
    put8(a, 0x09);
    put8(a, 0xc0 | (src & 7) << 3 | (dst & 7));
}

static void shift_ri(struct asmbuf *a, unsigned w, unsigned op, unsigned reg, unsigned n)
{
    put_rex(a, w, 0, 0, reg, false);
    put8(a, 0xc1);
    put8(a, 0xc0 | op << 3 | (reg & 7));
    put8(a, n);
}

/* test dword [rbp + at], imm32 */
static void test_mi(struct asmbuf *a, s32 at, u32 imm)
{
    put8(a, 0xf7);
    put_mem(a, 0, H_RBP, at);
    put32(a, imm);
}

/* test reg32, imm32 */
static void test_ri(struct asmbuf *a, unsigned reg, u32 imm)
{
    put_rex(a, 0, 0, 0, reg, false);
    put8(a, 0xf7);
    put8(a, 0xc0 | (reg & 7));
    put32(a, imm);
}

static void store_byte(struct asmbuf *a, s32 at, unsigned v)
{
    put8(a, 0xc6);
    put_mem(a, 0, H_RBP, at);
    put8(a, v);
}

/* ---- from privilege to privilege ------------------------------------------------------------- */

/* Ways to the handler. */
struct slow {
    u8 *from[8];
    unsigned n;
};

static void slow_if(struct asmbuf *a, struct slow *s, unsigned cc)
{
    s->from[s->n++] = x_jcc(a, cc, a->p);
}

/* What the run loop would look at after the instruction: the slice's end, requests, a kick; and who
 * wants to hear of changes of the mode. */
static void emit_quiet(struct tr *t, struct slow *s)
{
    struct asmbuf *a = &t->a;
    op_mi(a, 1, G1_CMP, STATE(left), t->b->count);
    slow_if(a, s, CC_LE);
    op_mi(a, 0, G1_CMP, STATE(req), 0);
    slow_if(a, s, CC_NE);
    op_mi(a, 1, G1_CMP, STATE(taps), 0);
    slow_if(a, s, CC_NE);
    if (t->j->cpu->shared) {
        put8(a, 0x80); /* cmp byte [kick + 7], 0 */
        put_mem(a, 7, H_RBP, STATE(kick) + 7);
        put8(a, 0);
        slow_if(a, s, CC_NE);
    }
}

/* A flat segment with the selector in eax; clobbers r14, and rax above the selector. */
static void emit_flat_segment(struct asmbuf *a, enum seg_id s, unsigned attr)
{
    s32 at = STATE(seg) + (s32)(s * sizeof(struct seg));
    put8(a, 0x48); /* mov qword [base], 0 */
    put8(a, 0xc7);
    put_mem(a, 0, H_RBP, at + (s32)offsetof(struct seg, base));
    put32(a, 0);
    x_movzx16(a, H_RAX, H_RAX);
    shift_ri(a, 1, SHIFT_SHL, H_RAX, 32);
    x_mov_imm(a, H_R14, 0xffffffff | (u64)attr << 48);
    or_rr(a, 1, H_R14, H_RAX);
    x_store(a, 1, H_R14, H_RBP, at + (s32)offsetof(struct seg, limit));
    shift_ri(a, 1, SHIFT_SHR, H_RAX, 32);
}
_Static_assert(offsetof(struct seg, sel) == offsetof(struct seg, limit) + 4 &&
                   offsetof(struct seg, attr) == offsetof(struct seg, limit) + 6,
               "limit, selector and attributes are one word");

#define ATTR_CODE64 (0x9bu | SEG_L | SEG_G)
#define ATTR_DATA (0x93u | SEG_DB | SEG_G)
#define ATTR_DPL3 0x60u

/* jit_flags = the six flags in the image of EFLAGS in r14d, which is spent; clobbers eax. */
static void emit_pass_flags(struct asmbuf *a)
{
    x_mov(a, 0, H_RAX, H_R14);
    shift_ri(a, 0, SHIFT_SHR, H_RAX, 11);
    op_ri(a, G1_AND, H_RAX, 1);
    shift_ri(a, 0, SHIFT_SHL, H_R14, 8);
    op_ri(a, G1_AND, H_R14, (EFLAGS_ARITH & 0xff) << 8);
    or_rr(a, 0, H_RAX, H_R14);
    put8(a, 0x66);
    x_store(a, 0, H_RAX, H_RBP, STATE(jit_flags));
}

/* The mode from here on; `also`: a register with bits that are not known now, or -1. */
static void emit_enter_mode(struct asmbuf *a, u32 key, int also, unsigned cpl)
{
    unsigned mode = KEY_TLB_MODE(key);
    store_byte(a, STATE(cpl), cpl);
    if (also < 0) {
        x_store_imm(a, H_RBP, STATE(key), key);
    } else {
        op_ri(a, G1_OR, (unsigned)also, key);
        x_store(a, 0, (unsigned)also, H_RBP, STATE(key));
    }
    x_lea(a, 1, H_RAX, H_RBP, STATE(tlb.l1) + (s32)(mode * sizeof(struct tlb_l1)));
    x_store(a, 1, H_RAX, H_RBP, STATE(data));
}

/* Bits of the key that both sides of a system call have. */
#define KEY_SAME (KEY_CODE64 | KEY_SSE | KEY_FPU | KEY_AVX)

static void emit_stat(struct asmbuf *a, enum stat_class c)
{
    put8(a, 0x48); /* inc qword */
    put8(a, 0xff);
    put_mem(a, 0, H_RBP, STATE(stats.served) + 8 * (s32)(c * SERVED_COUNT + SERVED_INLINE));
}

/* Flags are in jit_flags, RAX in jit_rax, the target in r15: goes on there. */
static void emit_go(struct tr *t, struct slow *s, bool user)
{
    struct asmbuf *a = &t->a;
    x_jmp(a, t->j->stub_go[user]);
    while (s->n > 0 && !a->full)
        x_patch(s->from[--s->n], a->p);
    jit_emit_restore_flags(a);
}

static void emit_syscall(struct tr *t, const struct insn *in)
{
    struct asmbuf *a = &t->a;
    struct slow slow = {0};
    jit_emit_save_flags(a);
    x_mov(a, 0, H_R14, H_RAX); /* AH, and OF in AL: the image for R11 */
    shift_ri(a, 0, SHIFT_SHR, H_R14, 8);
    op_ri(a, G1_AND, H_R14, EFLAGS_ARITH & 0xff);
    op_ri(a, G1_AND, H_RAX, 1);
    shift_ri(a, 0, SHIFT_SHL, H_RAX, 11);
    or_rr(a, 0, H_R14, H_RAX);
    x_load(a, 0, H_RAX, H_RBP, STATE(eflags));
    or_rr(a, 0, H_R14, H_RAX);
    op_ri(a, G1_AND, H_R14, ~EFLAGS_RF);
    x_load(a, 0, H_R15, H_RBP, STATE(sfmask)); /* and what is left of it */
    put8(a, 0x41);                             /* not r15d */
    put8(a, 0xf7);
    put8(a, 0xd7);
    put8(a, 0x45); /* and r15d, r14d */
    put8(a, 0x21);
    put8(a, 0xf7);
    test_ri(a, H_R15, EFLAGS_TF | EFLAGS_AC | EFLAGS_VM);
    slow_if(a, &slow, CC_NE);
    test_mi(a, STATE(efer), EFER_SCE);
    slow_if(a, &slow, CC_E);
    emit_quiet(t, &slow);

    op_mi(a, 1, G1_SUB, STATE(left), t->b->count);
    x_mov(a, 1, H_R11, H_R14);
    x_mov(a, 0, H_R14, H_R15);
    emit_pass_flags(a);
    op_ri(a, G1_AND, H_R15, ~EFLAGS_ARITH);
    op_ri(a, G1_OR, H_R15, 2);
    x_store(a, 0, H_R15, H_RBP, STATE(eflags));
    x_load(a, 0, H_RAX, H_RBP, STATE(star) + 4);
    op_ri(a, G1_AND, H_RAX, 0xfffc);
    emit_flat_segment(a, SEG_CS, ATTR_CODE64);
    op_ri(a, G1_ADD, H_RAX, 8);
    emit_flat_segment(a, SEG_SS, ATTR_DATA);
    x_load(a, 0, H_RCX, H_RBP, STATE(cr4));
    shift_ri(a, 0, SHIFT_SHR, H_RCX, 6); /* SMAP's bit to the key's */
    op_ri(a, G1_AND, H_RCX, KEY_SMAP);
    emit_enter_mode(a, (t->key & KEY_SAME) | TLB_KERNEL << KEY_TLB_SHIFT, H_RCX, 0);
    emit_stat(a, STAT_SYSCALL);
    x_mov_imm(a, H_RCX, t->jb->lin + in->off + in->len);
    x_load(a, 1, H_R15, H_RBP, STATE(lstar));
    emit_go(t, &slow, false);
}
_Static_assert(CR4_SMAP >> 6 == KEY_SMAP, "");

/* What SYSRET takes from R11: APM vol. 3, SYSRET. */
#define SYSRET_FLAGS 0x3f7fd5u

static void emit_sysret(struct tr *t)
{
    struct asmbuf *a = &t->a;
    struct slow slow = {0};
    jit_emit_save_flags(a);
    test_ri(a, H_R11, EFLAGS_TF | EFLAGS_AC);
    slow_if(a, &slow, CC_NE);
    test_mi(a, STATE(efer), EFER_SCE);
    slow_if(a, &slow, CC_E);
    x_mov(a, 1, H_R14, H_RCX); /* canonical: bits 63 to 47 are the same */
    shift_ri(a, 1, SHIFT_SAR, H_R14, 47);
    x_lea(a, 1, H_R14, H_R14, 1);
    put_rex(a, 1, 0, 0, H_R14, false); /* cmp r14, 1 */
    put8(a, 0x83);
    put8(a, 0xc0 | G1_CMP << 3 | (H_R14 & 7));
    put8(a, 1);
    slow_if(a, &slow, CC_A);
    emit_quiet(t, &slow);

    op_mi(a, 1, G1_SUB, STATE(left), t->b->count);
    x_mov(a, 0, H_R14, H_R11);
    emit_pass_flags(a);
    x_mov(a, 0, H_R15, H_R11);
    op_ri(a, G1_AND, H_R15, SYSRET_FLAGS & ~(EFLAGS_ARITH | EFLAGS_RF | EFLAGS_VM));
    op_ri(a, G1_OR, H_R15, 2);
    x_store(a, 0, H_R15, H_RBP, STATE(eflags));
    x_load(a, 0, H_RAX, H_RBP, STATE(star) + 4);
    shift_ri(a, 0, SHIFT_SHR, H_RAX, 16);
    op_ri(a, G1_OR, H_RAX, 3);
    op_ri(a, G1_ADD, H_RAX, 8);
    emit_flat_segment(a, SEG_SS, ATTR_DATA | ATTR_DPL3);
    op_ri(a, G1_ADD, H_RAX, 8);
    emit_flat_segment(a, SEG_CS, ATTR_CODE64 | ATTR_DPL3);
    emit_enter_mode(a, (t->key & KEY_SAME) | KEY_CPL3 | TLB_USER << KEY_TLB_SHIFT, -1, 3);
    emit_stat(a, STAT_SYSRET);
    x_mov(a, 1, H_R15, H_RCX);
    emit_go(t, &slow, true);
}

/* ---- any ------------------------------------------------------------------------------------- */

void jit_emit_system(struct tr *t, const struct insn *in, unsigned i)
{
    enum insn_template own = row_template(insn_row(in));
    bool kernel = !(t->key & (KEY_CPL3 | KEY_CPL12)), code64 = t->key & KEY_CODE64;
    if (t->j->cpu->exits_only)
        own = T_NONE;
    if (own == T_SYSCALL && code64 && t->key & KEY_CPL3)
        emit_syscall(t, in);
    else if (own == T_SYSRET && code64 && kernel && in->osz == 8)
        emit_sysret(t);
    x_mov_imm(&t->a, H_R14, (u64)(uintptr_t)jit_new_site(t, in, i));
    x_jmp(&t->a, t->j->stub_system);
}
