/*
 * translate_string.c: MOVS and STOS, also repeated, as the host's own where they go up and end in
 * the pages where they begin; else the handler runs.
 */
#include "cpu/jit/internal.h"

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
bool jit_emit_string(struct tr *t, const struct insn *in, unsigned i)
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
