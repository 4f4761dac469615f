/*
 * fpu.c: the gates in front of x87, MMX, SSE and AVX instructions, and the x87 control, status and
 * tag words.
 *
 * SDM vol. 1 8.1, 8.7 (native and MS-DOS compatible error reporting); vol. 2A FINIT, FSTENV,
 * FXSAVE; vol. 3A 2.5, 9.2, 13.1. The instructions are in ops_x87.c and ops_x87_env.c.
 *
 * MS-DOS compatible mode (CR0.NE = 0): FERR# follows SW.ES. The interrupt is taken right after the
 * instruction that set ES (x87_finish), so what the CPU does while it waits at the next x87
 * instruction with IGNNE# inactive never shows; with the interrupt masked that instruction runs as
 * if IGNNE# were active.
 */
#include "cpu/exec.h"
#include "cpu/fpu.h"

#define CW_RESERVED_1 0x0040u
#define CW_WRITABLE 0x1f3fu /* X, RC, PC, masks */

/* ---- gates ----------------------------------------------------------------------------------- */

static void deliver_pending(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->x87.sw & SW_ES) && (cpu->cr0 & CR0_NE))
        excp_fault(cpu, in, EXC_MF);
}

void fpu_check(struct cpu *cpu, const struct insn *in, bool waiting)
{
    if (unlikely(cpu->cr0 & (CR0_EM | CR0_TS)))
        excp_nm(cpu, in);
    if (waiting)
        deliver_pending(cpu, in);
}

void fpu_check_wait(struct cpu *cpu, const struct insn *in)
{
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        excp_nm(cpu, in);
    deliver_pending(cpu, in);
}

void mmx_check(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cr0 & CR0_EM))
        excp_ud(cpu, in);
    if (unlikely(cpu->cr0 & CR0_TS))
        excp_nm(cpu, in);
    deliver_pending(cpu, in);
}

void sse_check(struct cpu *cpu, const struct insn *in)
{
    if (unlikely((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR)))
        excp_ud(cpu, in);
    if (unlikely(cpu->cr0 & CR0_TS))
        excp_nm(cpu, in);
}

/* SDM vol. 1 14.3: neither CR0.EM nor CR4.OSFXSR counts. */
void avx_check(struct cpu *cpu, const struct insn *in)
{
    if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & XCR0_AVX_STATE) != XCR0_AVX_STATE)
        excp_ud(cpu, in);
    if (cpu->cr0 & CR0_TS)
        excp_nm(cpu, in);
}

void fpu_signal(struct cpu *cpu)
{
    bool ferr = (cpu->x87.sw & SW_ES) && !(cpu->cr0 & CR0_NE);
    if (cpu->hooks && cpu->hooks->ferr)
        cpu->hooks->ferr(cpu->vm, ferr);
}

/* ---- control, status and tag words ----------------------------------------------------------- */

static void update_summary(struct x87 *x)
{
    x->sw &= (u16) ~(SW_ES | SW_B);
    if (x->sw & ~x->cw & 0x3f)
        x->sw |= SW_ES | SW_B;
}

void x87_set_cw(struct x87 *x, u16 cw)
{
    x->cw = (u16)((cw & CW_WRITABLE) | CW_RESERVED_1);
    update_summary(x);
}

void x87_set_sw(struct x87 *x, u16 sw)
{
    x->sw = sw;
    update_summary(x);
}

void x87_init(struct x87 *x)
{
    x->cw = 0x037f;
    x->sw = 0;
    x->empty = 0xff;
    x->fop = x->fcs = x->fds = 0;
    x->fip = x->fdp = 0;
}

void x87_reset(struct x87 *x)
{
    *x = (struct x87){.cw = 0x0040};
}

static unsigned tag_of(struct f80 a)
{
    enum f80_class k = f80_classify(a);
    return k == F80_NORMAL ? 0 : k == F80_ZERO ? 1 : 2;
}

u16 x87_tag_word(const struct x87 *x)
{
    unsigned tw = 0;
    for (unsigned i = 0; i < 8; i++)
        tw |= (x->empty >> i & 1 ? 3 : tag_of(x->st[i])) << (2 * i);
    return (u16)tw;
}

void x87_set_tag_word(struct x87 *x, u16 tw)
{
    unsigned empty = 0;
    for (unsigned i = 0; i < 8; i++)
        empty |= (unsigned)(((tw >> (2 * i)) & 3) == 3) << i;
    x->empty = (u8)empty;
}
