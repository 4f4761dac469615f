/*
 * ops_x87_env.c: x87 control: control and status word, environment, whole state, WAIT.
 *
 * SDM vol. 1 8.1.10 (figures 8-9 to 8-12: the four formats of the environment), vol. 2A FLDENV,
 * FSTENV, FSAVE, FRSTOR, FCLEX, FINIT, WAIT. FXSAVE and XSAVE are in ops_fxsave.c.
 *
 * None of these touches the last-instruction pointers but by loading or clearing them.
 */
#include "cpu/ops_x87.h"

/* FERR# may have changed either way. */
static const struct insn *finish_control(struct cpu *cpu, const struct insn *in)
{
    if (!(cpu->cr0 & CR0_NE))
        fpu_signal(cpu);
    return x87_finish(cpu, in);
}

/* ---- words ----------------------------------------------------------------------------------- */

X87_HANDLER(fwait)
{
    fpu_check_wait(cpu, in);
    return x87_finish(cpu, in);
}

X87_HANDLER(fldcw)
{
    fpu_check(cpu, in, true);
    u16 cw = mem_read16(cpu, in, mem_addr(cpu, in, 2, ACCESS_READ));
    x87_set_cw(&cpu->x87, cw);
    return finish_control(cpu, in);
}

X87_HANDLER(fnstcw)
{
    fpu_check(cpu, in, false);
    mem_write16(cpu, in, mem_addr(cpu, in, 2, ACCESS_WRITE), cpu->x87.cw);
    return x87_finish(cpu, in);
}

X87_HANDLER(fnstsw_m16)
{
    fpu_check(cpu, in, false);
    mem_write16(cpu, in, mem_addr(cpu, in, 2, ACCESS_WRITE), cpu->x87.sw);
    return x87_finish(cpu, in);
}

X87_HANDLER(fnstsw_ax)
{
    fpu_check(cpu, in, false);
    set_reg16(cpu, RAX, cpu->x87.sw);
    return x87_finish(cpu, in);
}

X87_HANDLER(fnclex)
{
    fpu_check(cpu, in, false);
    cpu->x87.sw &= SW_C0 | SW_C1 | SW_C2 | SW_C3 | SW_TOP;
    return finish_control(cpu, in);
}

X87_HANDLER(fninit)
{
    fpu_check(cpu, in, false);
    x87_init(&cpu->x87);
    return finish_control(cpu, in);
}

/* FENI, FDISI of the 8087 and FSETPM of the 287: nothing since the 387. */
X87_HANDLER(fnop_legacy)
{
    fpu_check(cpu, in, false);
    return x87_finish(cpu, in);
}

/* ---- environment ----------------------------------------------------------------------------- */

struct env_format {
    bool wide; /* 32-bit: 28 bytes, else 14 */
    bool real; /* real and virtual-8086 mode: linear addresses, and the opcode */
};

static struct env_format env_format(const struct cpu *cpu, const struct insn *in)
{
    return (struct env_format){.wide = in->osz != 2, .real = cpu->key & KEY_REAL};
}

static unsigned env_bytes(struct env_format f)
{
    return f.wide ? 28 : 14;
}

/* Slot n is 4 bytes wide or 2; in wide formats the upper halves that mean nothing are ones. */
static void put_slot(struct env_format f, u8 *buf, unsigned n, u32 v)
{
    if (f.wide)
        st_le32(buf + 4 * n, v);
    else
        st_le16(buf + 2 * n, (u16)v);
}

static u32 get_slot(struct env_format f, const u8 *buf, unsigned n)
{
    return f.wide ? ld_le32(buf + 4 * n) : ld_le16(buf + 2 * n);
}

/* Real mode keeps linear addresses: the upper bits stand above bit 12 of the next slot. */
static void put_real_pointer(struct env_format f, u8 *buf, unsigned n, u32 linear, u32 low_bits)
{
    u32 upper = f.wide ? linear >> 16 : (linear >> 16) & 0xf;
    put_slot(f, buf, n, f.wide ? 0xffff0000u | (linear & 0xffff) : linear);
    put_slot(f, buf, n + 1, upper << 12 | low_bits);
}

static void env_put(const struct x87 *x, struct env_format f, u8 *buf)
{
    u32 ones = 0xffff0000u;
    put_slot(f, buf, 0, ones | x->cw);
    put_slot(f, buf, 1, ones | x->sw);
    put_slot(f, buf, 2, ones | x87_tag_word(x));
    if (f.real) {
        put_real_pointer(f, buf, 3, (u32)x->fip + ((u32)x->fcs << 4), x->fop & 0x7ffu);
        put_real_pointer(f, buf, 5, (u32)x->fdp + ((u32)x->fds << 4), 0);
        return;
    }
    put_slot(f, buf, 3, (u32)x->fip);
    put_slot(f, buf, 4, (u32)(x->fop & 0x7ff) << 16 | x->fcs);
    put_slot(f, buf, 5, (u32)x->fdp);
    put_slot(f, buf, 6, ones | x->fds);
}

static u32 get_real_pointer(struct env_format f, const u8 *buf, unsigned n)
{
    u32 upper = get_slot(f, buf, n + 1) >> 12;
    return (get_slot(f, buf, n) & 0xffff) | (f.wide ? upper & 0xffff : upper & 0xf) << 16;
}

static void env_get(struct x87 *x, struct env_format f, const u8 *buf)
{
    x->sw = (u16)get_slot(f, buf, 1);
    x87_set_cw(x, (u16)get_slot(f, buf, 0)); /* fits SW.ES to both */
    x87_set_tag_word(x, (u16)get_slot(f, buf, 2));
    if (f.real) {
        x->fip = get_real_pointer(f, buf, 3);
        x->fdp = get_real_pointer(f, buf, 5);
        x->fop = get_slot(f, buf, 4) & 0x7ff;
        x->fcs = x->fds = 0;
        return;
    }
    x->fip = get_slot(f, buf, 3);
    x->fcs = (u16)get_slot(f, buf, 4);
    x->fop = f.wide ? (get_slot(f, buf, 4) >> 16) & 0x7ff : 0;
    x->fdp = get_slot(f, buf, 5);
    x->fds = (u16)get_slot(f, buf, 6);
}

X87_HANDLER(fldenv)
{
    u8 buf[28];
    struct env_format f = env_format(cpu, in);
    fpu_check(cpu, in, true);
    gva_t va = mem_addr(cpu, in, env_bytes(f), ACCESS_READ);
    mem_read_bytes(cpu, in, va, buf, env_bytes(f));
    env_get(&cpu->x87, f, buf);
    return finish_control(cpu, in);
}

X87_HANDLER(fnstenv)
{
    u8 buf[28];
    struct env_format f = env_format(cpu, in);
    fpu_check(cpu, in, false);
    gva_t va = mem_addr(cpu, in, env_bytes(f), ACCESS_WRITE);
    env_put(&cpu->x87, f, buf);
    mem_write_bytes(cpu, in, va, buf, env_bytes(f));
    x87_set_cw(&cpu->x87, cpu->x87.cw | SF_ALL);
    return finish_control(cpu, in);
}

X87_HANDLER(frstor)
{
    u8 buf[108];
    struct env_format f = env_format(cpu, in);
    unsigned env = env_bytes(f);
    fpu_check(cpu, in, true);
    gva_t va = mem_addr(cpu, in, env + 80, ACCESS_READ);
    mem_read_bytes(cpu, in, va, buf, env + 80);
    struct x87 *x = &cpu->x87;
    env_get(x, f, buf);
    for (unsigned i = 0; i < 8; i++) {
        const u8 *p = buf + env + 10 * i;
        x->st[x87_phys(x, i)] = (struct f80){ld_le64(p), ld_le16(p + 8)};
    }
    return finish_control(cpu, in);
}

X87_HANDLER(fnsave)
{
    u8 buf[108];
    struct env_format f = env_format(cpu, in);
    unsigned env = env_bytes(f);
    fpu_check(cpu, in, false);
    gva_t va = mem_addr(cpu, in, env + 80, ACCESS_WRITE);
    struct x87 *x = &cpu->x87;
    env_put(x, f, buf);
    for (unsigned i = 0; i < 8; i++) {
        struct f80 v = x87_read(x, i);
        st_le64(buf + env + 10 * i, v.mant);
        st_le16(buf + env + 10 * i + 8, v.se);
    }
    mem_write_bytes(cpu, in, va, buf, env + 80);
    x87_init(x);
    return finish_control(cpu, in);
}
