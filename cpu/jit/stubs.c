/*
 * stubs.c: the ways into and out of translated code, emitted once: entering with the guest's state
 * in host registers, calling a handler, leaving with a record for the interpreter.
 */
#include "cpu/jit/internal.h"

static const u8 saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

static void push_pop(struct asmbuf *a, unsigned reg, bool push)
{
    if (reg & 8)
        put8(a, 0x41);
    put8(a, (push ? 0x50 : 0x58) | (reg & 7));
}

static void emit_spill_general(struct asmbuf *a)
{
    for (unsigned r = 0; r < 16; r++)
        if (host_reg[r] != SLOT)
            x_store(a, 1, (unsigned)host_reg[r], H_RBP, slot(r));
    put8(a, 0x9f); /* lahf */
    put8(a, 0x0f); /* seto al */
    put8(a, 0x90);
    put8(a, 0xc0);
    put8(a, 0x66); /* mov [rbp + jit_flags], ax */
    x_store(a, 0, H_RAX, H_RBP, STATE(jit_flags));
}

static void emit_spill(struct asmbuf *a)
{
    emit_spill_general(a);
    jit_emit_vec_leave(a);
}

static void emit_reload(struct asmbuf *a)
{
    put8(a, 0x0f); /* movzx eax, word [rbp + jit_flags] */
    put8(a, 0xb7);
    put_mem(a, H_RAX, H_RBP, STATE(jit_flags));
    put8(a, 0x04); /* add al, 127: OF */
    put8(a, 127);
    put8(a, 0x9e); /* sahf: the others */
    for (unsigned r = 0; r < 16; r++)
        if (host_reg[r] != SLOT)
            x_load(a, 1, (unsigned)host_reg[r], H_RBP, slot(r));
}

static void emit_sub_rsp8(struct asmbuf *a, bool sub)
{
    put8(a, 0x48); /* lea rsp, [rsp -+ 8] */
    put8(a, 0x8d);
    put8(a, 0x64);
    put8(a, 0x24);
    put8(a, (u8)(sub ? -8 : 8));
}

/* rax: what op_enter_jit gets. */
static void emit_return(struct asmbuf *a)
{
    emit_sub_rsp8(a, false);
    for (unsigned i = sizeof saved; i-- > 0;)
        push_pop(a, saved[i], false);
    put8(a, 0xc3);
}

static void emit_call_aligned(struct asmbuf *a, const void *fn)
{
    x_mov_imm(a, H_RAX, (u64)(uintptr_t)fn);
    put8(a, 0xff); /* call rax */
    put8(a, 0xd0);
}

/* From a stub that was called itself. */
static void emit_call(struct asmbuf *a, const void *fn)
{
    emit_sub_rsp8(a, true);
    emit_call_aligned(a, fn);
    emit_sub_rsp8(a, false);
}

static void emit_jmp_r14(struct asmbuf *a)
{
    put8(a, 0x41);
    put8(a, 0xff);
    put8(a, 0xe6);
}

/* rax: code to go on with, or NULL to leave. */
static void emit_system_tail(struct asmbuf *a)
{
    x_mov(a, 1, H_R14, H_RAX);
    x_mov(a, 1, H_RCX, H_RAX);
    u8 *stop = x_jrcxz(a);
    emit_reload(a);
    emit_jmp_r14(a);
    x_here(a, stop);
    emit_return(a); /* NULL */
}

/* r14, r15 as for stub_exit_record, where it goes when an exception is unmasked; RCX is in jit_rcx.
 * The vector registers come back as they are. */
static void emit_x87_stub(struct jit *j, struct asmbuf *a)
{
    j->stub_x87_enter = a->p;
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    emit_spill_general(a);
    x_load(a, 0, H_RBX, H_RBP, STATE(jit_vec_off));
    jit_emit_vec_leave(a);
    x_lea(a, 1, H_RDI, H_RBP, -STATE_BIAS);
    emit_call(a, (const void *)(uintptr_t)jit_x87_load);
    put8(a, 0x84); /* test al, al */
    put8(a, 0xc0);
    u8 *unmasked = x_jcc(a, 4, a->p); /* jz */
    put8(a, 0x85);                    /* test ebx, ebx */
    put8(a, 0xdb);
    u8 *no_vec = x_jcc(a, 5, a->p); /* jnz */
    jit_emit_vec_load(a);
    x_patch(no_vec, a->p);
    emit_reload(a);
    put8(a, 0xc3);
    x_patch(unmasked, a->p);
    emit_reload(a);
    emit_sub_rsp8(a, false); /* the return address into the block */
    x_jmp(a, j->stub_exit_record);
}

/*
 * After a change of privilege that was done in place: goes on at r15, with flags from jit_flags and
 * RAX from jit_rax. The table of targets is looked at as a computed jump does (ends.c), but for the
 * mode that the CPU has now.
 */
static void emit_go_stub(struct jit *j, struct asmbuf *a, bool user)
{
    j->stub_go[user] = a->p;
    u8 *miss[TARGET_MISSES];
    jit_emit_find_target(a, H_RAX, NULL, user, miss);
    x_load(a, 1, H_R14, H_R14, (s32)offsetof(struct jit_target, entry));
    jit_emit_restore_flags(a);
    emit_jmp_r14(a);

    for (unsigned i = 0; i < TARGET_MISSES; i++)
        x_patch(miss[i], a->p);
    x_store(a, 1, H_R15, H_RBP, STATE(rip));
    jit_emit_restore_flags(a);
    emit_spill(a);
    x_lea(a, 1, H_RDI, H_RBP, -STATE_BIAS);
    emit_call_aligned(a, (const void *)(uintptr_t)jit_go);
    emit_system_tail(a);
}

void jit_emit_stubs(struct jit *j)
{
    struct asmbuf a = jit_asmbuf(j, j->next);

    j->stub_enter = a.p; /* (rdi cpu, rsi code) */
    for (unsigned i = 0; i < sizeof saved; i++)
        push_pop(&a, saved[i], true);
    emit_sub_rsp8(&a, true);
    x_lea(&a, 1, H_RBP, H_RDI, STATE_BIAS);
    x_mov(&a, 1, H_R14, H_RSI);
    emit_reload(&a);
    emit_jmp_r14(&a);

    j->stub_helper = a.p; /* r14: struct jit_site */
    emit_spill(&a);
    x_lea(&a, 1, H_RDI, H_RBP, -STATE_BIAS);
    x_mov(&a, 1, H_RSI, H_R14);
    emit_call(&a, (const void *)(uintptr_t)jit_run_handler);
    x_mov(&a, 0, H_RCX, H_RAX);
    u8 *leave = x_jrcxz(&a);
    emit_reload(&a);
    put8(&a, 0xc3);
    x_here(&a, leave);
    emit_sub_rsp8(&a, false); /* the return address into the block */
    x_mov_imm(&a, H_RAX, 0);
    emit_return(&a);

    j->stub_exit_record = a.p; /* r14: record, r15: struct jit_block */
    emit_spill(&a);
    x_load(&a, 1, H_RAX, H_R15, (s32)offsetof(struct jit_block, block));
    x_store(&a, 1, H_RAX, H_RBP, STATE(block));
    x_load(&a, 1, H_RAX, H_R15, (s32)offsetof(struct jit_block, lin));
    x_store(&a, 1, H_RAX, H_RBP, slot(REG_RIP));
    x_mov(&a, 1, H_RAX, H_R14);
    emit_return(&a);

    j->stub_system = a.p; /* r14: struct jit_site; jumped to */
    emit_spill(&a);
    x_lea(&a, 1, H_RDI, H_RBP, -STATE_BIAS);
    x_mov(&a, 1, H_RSI, H_R14);
    emit_call_aligned(&a, (const void *)(uintptr_t)jit_run_system);
    emit_system_tail(&a);
    emit_go_stub(j, &a, false);
    emit_go_stub(j, &a, true);

    jit_emit_vec_stub(j, &a);
    emit_x87_stub(j, &a);
    jit_emit_refill_stubs(j, &a);
    BUG_ON(a.full);
    j->next = a.p;
}
