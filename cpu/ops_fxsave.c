/*
 * ops_fxsave.c: saving and loading the state of x87, SSE and AVX: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT,
 * XRSTOR, XGETBV, XSETBV, LDMXCSR, STMXCSR.
 *
 * Not here: FSAVE and FSTENV (x87), CPUID leaf 0DH.
 *
 * Choices where the SDM leaves one: without CR4.OSFXSR, FXSAVE and FXRSTOR leave MXCSR and the XMM
 * registers alone. XINUSE is computed from the registers' values. XSAVEOPT uses the init
 * optimisation and not the modified optimisation.
 *
 * Not implemented: the compacted format (XSAVEC, XSAVES, XRSTORS), supervisor states, XGETBV with
 * ECX = 1, AMD's FFXSR.
 *
 * Intel SDM vol. 1 10.5 (FXSAVE area), 11.6.6 (MXCSR_MASK), chapter 13 (XSAVE).
 */
#include "cpu/sse.h"

/* Table 10-2 and 13.4: offsets in the area. */
// clang-format off
enum {
    FX_CW = 0, FX_SW = 2, FX_TAG = 4, FX_OP = 6, FX_IP = 8, FX_CS = 12, FX_DP = 16, FX_DS = 20,
    FX_MXCSR = 24, FX_MXCSR_MASK = 28, FX_ST = 32, FX_XMM = 160, FX_BYTES = 512,
    XS_XSTATE_BV = 512, XS_XCOMP_BV = 520, XS_AVX = 576, XS_BYTES = 832,
};
// clang-format on

struct fx_area {
    u8 b[XS_BYTES];
};

/* DAZ came with the Pentium 4. */
static u32 mxcsr_mask(const struct cpu *cpu)
{
    return cpu->gates & BIT64(GATE_SSE2) ? 0xffff : 0xffbf;
}

static unsigned xmm_count(const struct cpu *cpu)
{
    return cpu_in_code64(cpu) ? 16 : 8;
}

/* ---- components to and from the area --------------------------------------------------------- */

static void x87_to_area(const struct cpu *cpu, struct fx_area *a, bool wide)
{
    const struct x87 *x = &cpu->x87;
    memset(a->b, 0, FX_MXCSR);
    st_le16(a->b + FX_CW, x->cw);
    st_le16(a->b + FX_SW, x->sw);
    a->b[FX_TAG] = x87_abridged_tag(x);
    st_le16(a->b + FX_OP, x->fop);
    if (wide) {
        st_le64(a->b + FX_IP, x->fip);
        st_le64(a->b + FX_DP, x->fdp);
    } else {
        st_le32(a->b + FX_IP, (u32)x->fip);
        st_le16(a->b + FX_CS, x->fcs);
        st_le32(a->b + FX_DP, (u32)x->fdp);
        st_le16(a->b + FX_DS, x->fds);
    }
    memset(a->b + FX_ST, 0, FX_XMM - FX_ST);
    for (unsigned i = 0; i < 8; i++) {
        const struct f80 *st = &x->st[x87_phys(x, i)];
        st_le64(a->b + FX_ST + 16 * i, st->mant);
        st_le16(a->b + FX_ST + 16 * i + 8, st->se);
    }
}

static void x87_from_area(struct cpu *cpu, const struct fx_area *a, bool wide)
{
    struct x87 *x = &cpu->x87;
    x87_set_cw(x, ld_le16(a->b + FX_CW));
    x87_set_sw(x, ld_le16(a->b + FX_SW));
    x87_set_abridged_tag(x, a->b[FX_TAG]);
    x->fop = ld_le16(a->b + FX_OP) & 0x7ff;
    x->fip = wide ? ld_le64(a->b + FX_IP) : ld_le32(a->b + FX_IP);
    x->fdp = wide ? ld_le64(a->b + FX_DP) : ld_le32(a->b + FX_DP);
    x->fcs = wide ? 0 : ld_le16(a->b + FX_CS);
    x->fds = wide ? 0 : ld_le16(a->b + FX_DS);
    for (unsigned i = 0; i < 8; i++) {
        struct f80 *st = &x->st[x87_phys(x, i)];
        st->mant = ld_le64(a->b + FX_ST + 16 * i);
        st->se = ld_le16(a->b + FX_ST + 16 * i + 8);
    }
}

static void mxcsr_to_area(const struct cpu *cpu, struct fx_area *a)
{
    st_le32(a->b + FX_MXCSR, cpu->mxcsr);
    st_le32(a->b + FX_MXCSR_MASK, mxcsr_mask(cpu));
}

/* #GP(0) for reserved bits; otherwise what to load. */
static u32 checked_mxcsr(struct cpu *cpu, const struct insn *in, u32 mxcsr)
{
    if (mxcsr & ~mxcsr_mask(cpu))
        excp_gp(cpu, in, 0);
    return mxcsr;
}

/* Half of each register of the mode: the XMM registers at FX_XMM, or the upper halves at XS_AVX. */
static void vec_to_area(const struct cpu *cpu, struct fx_area *a, unsigned off, unsigned half)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(a->b + off + 16 * i, &cpu->vec[i].q[2 * half], 16);
}

static void vec_from_area(struct cpu *cpu, const struct fx_area *a, unsigned off, unsigned half)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(&cpu->vec[i].q[2 * half], a->b + off + 16 * i, 16);
}

static void vec_clear(struct cpu *cpu, unsigned half)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memset(&cpu->vec[i].q[2 * half], 0, 16);
}

static bool vec_is_clear(const struct cpu *cpu, unsigned half)
{
    u64 any = 0;
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        any |= cpu->vec[i].q[2 * half] | cpu->vec[i].q[2 * half + 1];
    return !any;
}

/* ---- FXSAVE, FXRSTOR ------------------------------------------------------------------------- */

static gva_t area_addr(struct cpu *cpu, const struct insn *in, unsigned size, enum access kind,
                       unsigned align)
{
    gva_t va = mem_addr(cpu, in, size, kind);
    if (va & (align - 1))
        excp_gp(cpu, in, 0);
    return va;
}

VEC_WORKER sse_fxsave(struct cpu *cpu, const struct insn *in)
{
    struct fx_area a;
    gva_t va;
    fpu_check(cpu, in, false);
    va = area_addr(cpu, in, FX_BYTES, ACCESS_WRITE, 16);
    mem_probe_write(cpu, in, va, FX_BYTES);
    x87_to_area(cpu, &a, in->pfx & PFX_W);
    if (!(cpu->cr4 & CR4_OSFXSR)) {
        mem_write_bytes(cpu, in, va, a.b, FX_MXCSR);
        mem_write_bytes(cpu, in, va + FX_ST, a.b + FX_ST, FX_XMM - FX_ST);
        return;
    }
    mxcsr_to_area(cpu, &a);
    vec_to_area(cpu, &a, FX_XMM, 0);
    mem_write_bytes(cpu, in, va, a.b, FX_XMM + 16 * xmm_count(cpu));
}
VEC_OPS(sse_fxsave);

VEC_WORKER sse_fxrstor(struct cpu *cpu, const struct insn *in)
{
    struct fx_area a;
    gva_t va;
    fpu_check(cpu, in, false);
    va = area_addr(cpu, in, FX_BYTES, ACCESS_READ, 16);
    mem_read_bytes(cpu, in, va, a.b, FX_BYTES);
    if (cpu->cr4 & CR4_OSFXSR) {
        cpu->mxcsr = checked_mxcsr(cpu, in, ld_le32(a.b + FX_MXCSR));
        vec_from_area(cpu, &a, FX_XMM, 0);
    }
    x87_from_area(cpu, &a, in->pfx & PFX_W);
}
VEC_OPS(sse_fxrstor);

/* ---- XSAVE, XRSTOR --------------------------------------------------------------------------- */

static void xsave_check(struct cpu *cpu, const struct insn *in)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        excp_ud(cpu, in);
    if (cpu->cr0 & CR0_TS)
        excp_nm(cpu, in);
}

/* Requested-feature bitmap, 13.7. */
static u64 xsave_rfbm(const struct cpu *cpu)
{
    return cpu->xcr0 & ((u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX));
}

static unsigned xsave_size(u64 components)
{
    return components & XCR0_AVX ? XS_BYTES : XS_AVX;
}

/* XINUSE, 13.6: the components not in their initial configuration. MXCSR does not count. */
static u64 xsave_in_use(const struct cpu *cpu)
{
    const struct x87 *x = &cpu->x87;
    bool x87_init_state = x->cw == 0x37f && !x->sw && x->empty == 0xff && !x->fop && !x->fip &&
                          !x->fdp && !x->fcs && !x->fds;
    for (unsigned i = 0; i < 8; i++)
        x87_init_state = x87_init_state && !x->st[i].mant && !x->st[i].se;
    return (x87_init_state ? 0 : XCR0_X87) | (vec_is_clear(cpu, 0) ? 0 : XCR0_SSE) |
           (vec_is_clear(cpu, 1) ? 0 : XCR0_AVX);
}

/* Writes the components `write` and XSTATE_BV, whose bits outside RFBM stay. */
static void xsave_area(struct cpu *cpu, const struct insn *in, gva_t va, u64 rfbm, u64 write)
{
    struct fx_area a;
    unsigned vec_bytes = 16 * xmm_count(cpu);
    u64 bv;
    mem_probe_write(cpu, in, va, xsave_size(rfbm));
    bv = mem_read64(cpu, in, va + XS_XSTATE_BV);
    if (write & XCR0_X87) {
        x87_to_area(cpu, &a, in->pfx & PFX_W);
        mem_write_bytes(cpu, in, va, a.b, FX_MXCSR);
        mem_write_bytes(cpu, in, va + FX_ST, a.b + FX_ST, FX_XMM - FX_ST);
    }
    if (rfbm & (XCR0_SSE | XCR0_AVX)) {
        mxcsr_to_area(cpu, &a);
        mem_write_bytes(cpu, in, va + FX_MXCSR, a.b + FX_MXCSR, FX_ST - FX_MXCSR);
    }
    if (write & XCR0_SSE) {
        vec_to_area(cpu, &a, FX_XMM, 0);
        mem_write_bytes(cpu, in, va + FX_XMM, a.b + FX_XMM, vec_bytes);
    }
    if (write & XCR0_AVX) {
        vec_to_area(cpu, &a, XS_AVX, 1);
        mem_write_bytes(cpu, in, va + XS_AVX, a.b + XS_AVX, vec_bytes);
    }
    mem_write64(cpu, in, va + XS_XSTATE_BV, (bv & ~rfbm) | (xsave_in_use(cpu) & rfbm));
}

VEC_WORKER sse_xsave(struct cpu *cpu, const struct insn *in)
{
    u64 rfbm;
    xsave_check(cpu, in);
    rfbm = xsave_rfbm(cpu);
    xsave_area(cpu, in, area_addr(cpu, in, xsave_size(rfbm), ACCESS_WRITE, 64), rfbm, rfbm);
}
VEC_OPS(sse_xsave);

VEC_WORKER sse_xsaveopt(struct cpu *cpu, const struct insn *in)
{
    u64 rfbm;
    xsave_check(cpu, in);
    rfbm = xsave_rfbm(cpu);
    xsave_area(cpu, in, area_addr(cpu, in, xsave_size(rfbm), ACCESS_WRITE, 64), rfbm,
               rfbm & xsave_in_use(cpu));
}
VEC_OPS(sse_xsaveopt);

static void xrstor_components(struct cpu *cpu, const struct insn *in, const struct fx_area *a,
                              u64 rfbm, u64 bv)
{
    if (rfbm & XCR0_X87) {
        if (bv & XCR0_X87) {
            x87_from_area(cpu, a, in->pfx & PFX_W);
        } else {
            memset(cpu->x87.st, 0, sizeof cpu->x87.st);
            x87_init(&cpu->x87);
        }
    }
    if (rfbm & XCR0_SSE) {
        if (bv & XCR0_SSE)
            vec_from_area(cpu, a, FX_XMM, 0);
        else
            vec_clear(cpu, 0);
    }
    if (rfbm & XCR0_AVX) {
        if (bv & XCR0_AVX)
            vec_from_area(cpu, a, XS_AVX, 1);
        else
            vec_clear(cpu, 1);
    }
}

/* 13.8: the standard form. */
VEC_WORKER sse_xrstor(struct cpu *cpu, const struct insn *in)
{
    struct fx_area a;
    unsigned size;
    u64 rfbm, bv;
    gva_t va;
    xsave_check(cpu, in);
    rfbm = xsave_rfbm(cpu);
    size = xsave_size(rfbm);
    va = area_addr(cpu, in, size, ACCESS_READ, 64);
    mem_read_bytes(cpu, in, va, a.b, size);
    bv = ld_le64(a.b + XS_XSTATE_BV);
    if ((bv & ~cpu->xcr0) || ld_le64(a.b + XS_XCOMP_BV) || ld_le64(a.b + XS_XCOMP_BV + 8))
        excp_gp(cpu, in, 0);
    /* MXCSR is loaded even when the XMM registers get their initial values */
    if (rfbm & (XCR0_SSE | XCR0_AVX))
        cpu->mxcsr = checked_mxcsr(cpu, in, ld_le32(a.b + FX_MXCSR));
    xrstor_components(cpu, in, &a, rfbm, bv);
}
VEC_OPS(sse_xrstor);

static void sse_xgetbv(struct cpu *cpu, const struct insn *in)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        excp_ud(cpu, in);
    if (reg32(cpu, RCX) != 0)
        excp_gp(cpu, in, 0);
    set_reg32(cpu, RAX, (u32)cpu->xcr0);
    set_reg32(cpu, RDX, (u32)(cpu->xcr0 >> 32));
}
VEC_OPS(sse_xgetbv);

static const struct insn *sse_xsetbv_any(struct cpu *cpu, const struct insn *in)
{
    u64 v = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX);
    u64 allowed = XCR0_X87 | XCR0_SSE | (cpu->gates & BIT64(GATE_AVX) ? XCR0_AVX : 0);
    if (!(cpu->cr4 & CR4_OSXSAVE))
        excp_ud(cpu, in);
    if (cpu->cpl != 0 || reg32(cpu, RCX) != 0 || (v & ~allowed) || !(v & XCR0_X87) ||
        ((v & XCR0_AVX) && !(v & XCR0_SSE)))
        excp_gp(cpu, in, 0);
    stat_count(&cpu->stats, STAT_XSETBV, SERVED_EXIT);
    cpu->xcr0 = v;
    cpu_update_key(cpu);
    return LEAVE_NEXT(cpu, in);
}
const struct insn_ops ops_sse_xsetbv = {.any = sse_xsetbv_any};

/* ---- MXCSR ----------------------------------------------------------------------------------- */

static void sse_ldmxcsr(struct cpu *cpu, const struct insn *in)
{
    u32 v;
    vec_gate(cpu, in);
    v = mem_read32(cpu, in, mem_addr(cpu, in, 4, ACCESS_READ));
    cpu->mxcsr = checked_mxcsr(cpu, in, v);
}
VEC_OPS(sse_ldmxcsr);

static void sse_stmxcsr(struct cpu *cpu, const struct insn *in)
{
    vec_gate(cpu, in);
    mem_write32(cpu, in, mem_addr(cpu, in, 4, ACCESS_WRITE), cpu->mxcsr);
}
VEC_OPS(sse_stmxcsr);
