/*
 * ops_x87.h: what the x87 handlers share: the register stack, stack faults, reporting of exceptions
 * and the last-instruction pointers. SDM vol. 1 8.1 and 8.5.
 */
#pragma once

#include "cpu/exec.h"
#include "cpu/fpu.h"

static inline bool x87_is_empty(const struct x87 *x, unsigned i)
{
    return x->empty >> x87_phys(x, i) & 1;
}

static inline struct f80 x87_read(const struct x87 *x, unsigned i)
{
    return x->st[x87_phys(x, i)];
}

static inline void x87_write(struct x87 *x, unsigned i, struct f80 v)
{
    unsigned r = x87_phys(x, i);
    x->st[r] = v;
    x->empty &= (u8)~BIT(r);
}

static inline void x87_free(struct x87 *x, unsigned i)
{
    x->empty |= (u8)BIT(x87_phys(x, i));
}

static inline void x87_pop(struct x87 *x)
{
    x87_free(x, 0);
    x87_set_top(x, x87_top(x) + 1);
}

static inline void x87_push(struct x87 *x, struct f80 v)
{
    x87_set_top(x, x87_top(x) - 1);
    x87_write(x, 0, v);
}

/* The instruction and, with a memory operand, data pointers. For when no access can fault any
 * more. */
static inline void x87_note(struct cpu *cpu, const struct insn *in)
{
    cpu->x87.fop = (u16)((in->opcode & 7) << 8 | in->modrm);
    cpu->x87.fip = insn_rip(cpu, in);
    cpu->x87.fcs = cpu->seg[SEG_CS].sel;
}

static inline void x87_note_mem(struct cpu *cpu, const struct insn *in, gva_t va)
{
    u64 off = va - cpu->seg[in->seg].base;
    x87_note(cpu, in);
    cpu->x87.fdp = in->asz == 8 ? off : off & (in->asz == 4 ? 0xffffffffu : 0xffffu);
    cpu->x87.fds = cpu->seg[in->seg == SEG_NONE ? SEG_DS : in->seg].sel;
}

/* Adds flags (SW_IE and so on, SW_SF) to SW and sets C1. */
static inline void x87_report(struct x87 *x, unsigned flags, bool c1)
{
    unsigned sw = (x->sw & ~SW_C1) | flags | (c1 ? SW_C1 : 0);
    if (flags & ~x->cw & SF_ALL)
        sw |= SW_ES | SW_B;
    x->sw = (u16)sw;
}

static inline void x87_report_ctx(struct x87 *x, const struct sf_ctx *c)
{
    x87_report(x, c->flags, c->up);
}

/* Reports a stack fault; true when it is masked and the default NaN takes the result's place. */
static inline bool x87_stack_fault(struct x87 *x, bool overflow)
{
    x87_report(x, SW_IE | SW_SF, overflow);
    return x->cw & SF_IE;
}

/* Unmasked IE, DE or ZE: no result, no pop, no push. */
static inline bool x87_stopped(const struct sf_ctx *c)
{
    return c->flags & ~c->masks & SF_PRE;
}

/* Goes on; with FERR# raised leaves the block, so that its interrupt comes right here. */
static inline const struct insn *x87_finish(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->x87.sw & SW_ES) && !(cpu->cr0 & CR0_NE)) {
        fpu_signal(cpu);
        return LEAVE_NEXT(cpu, in);
    }
    NEXT;
}

#define X87_HANDLER(name)                                                                          \
    static const struct insn *name(struct cpu *cpu, const struct insn *in);                        \
    const struct insn_ops ops_##name = {.any = name};                                              \
    static const struct insn *name(struct cpu *cpu, const struct insn *in)
