/* regs.c: see regs.h. */
#include "machine/regs.h"
#include "base/bits.h"
#include "cpu/fpu.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "mmu/walk.h"
#include <strings.h>

/* ---- general registers ----------------------------------------------------------------------- */

/* arg: number, first bit << 8, bits << 16 */
#define PART(n, first, bits) ((n) | (first) << 8 | (bits) << 16)

static void get_gpr(struct cpu *cpu, u32 arg, union vec *v)
{
    v->q[0] = cpu->gpr[arg & 0xff] >> (arg >> 8 & 0xff) & mask64(arg >> 16);
}

static bool set_gpr(struct cpu *cpu, u32 arg, const union vec *v)
{
    u64 *r = &cpu->gpr[arg & 0xff], mask = mask64(arg >> 16);
    unsigned first = arg >> 8 & 0xff;
    if (arg >> 16 == 32) /* as every instruction does */
        *r = (u32)v->q[0];
    else
        *r = (*r & ~(mask << first)) | (v->q[0] & mask) << first;
    return true;
}

static void get_rip(struct cpu *cpu, u32 arg, union vec *v)
{
    (void)arg;
    v->q[0] = cpu->rip;
}

/* A CPU that is sent elsewhere does not wait any more. */
static bool set_rip(struct cpu *cpu, u32 arg, const union vec *v)
{
    (void)arg;
    if (cpu_in_code64(cpu) && !cpu_canonical(cpu, v->q[0]))
        return false;
    cpu->halted = cpu->halted && cpu->rip == (v->q[0] & cpu->amask);
    cpu->rip = v->q[0] & cpu->amask;
    return true;
}

static void get_pc(struct cpu *cpu, u32 arg, union vec *v)
{
    (void)arg;
    v->q[0] = reg_pc(cpu);
}

static bool set_pc(struct cpu *cpu, u32 arg, const union vec *v)
{
    return set_rip(cpu, arg, &(union vec){.q = {(v->q[0] - cpu->seg[SEG_CS].base) & cpu->amask}});
}

static void get_eflags(struct cpu *cpu, u32 arg, union vec *v)
{
    (void)arg;
    v->q[0] = cpu_get_eflags(cpu);
}

static bool set_eflags(struct cpu *cpu, u32 arg, const union vec *v)
{
    u32 known = EFLAGS_ARITH | EFLAGS_TF | EFLAGS_IF | EFLAGS_DF | EFLAGS_IOPL | EFLAGS_NT |
                EFLAGS_RF | EFLAGS_VM | EFLAGS_AC | EFLAGS_VIF | EFLAGS_VIP | EFLAGS_ID;
    u32 value = (u32)v->q[0] & known;
    (void)arg;
    if (value & EFLAGS_VM && (cpu_in_real(cpu) || cpu_in_long_mode(cpu)))
        return false;
    cpu_set_eflags(cpu, value);
    cpu_update_mode(cpu);
    return true;
}

static void get_cpl(struct cpu *cpu, u32 arg, union vec *v)
{
    (void)arg;
    v->q[0] = cpu->cpl;
}

/* ---- segments -------------------------------------------------------------------------------- */

enum { OF_LDTR = SEG_COUNT, OF_TR };

static struct seg *seg_of(struct cpu *cpu, u32 n)
{
    return n == OF_LDTR ? &cpu->ldtr : n == OF_TR ? &cpu->tr : &cpu->seg[n];
}

static void get_sel(struct cpu *cpu, u32 n, union vec *v)
{
    v->q[0] = seg_of(cpu, n)->sel;
}

/* The descriptor that a selector names, looked at without faults. */
static bool peek_desc(struct cpu *cpu, u16 sel, struct desc *d)
{
    u64 base = sel & 4 ? cpu->ldtr.base : cpu->gdtr.base;
    u32 limit = sel & 4 ? cpu->ldtr.limit : cpu->gdtr.limit;
    struct walk_result w;
    if ((u32)(sel | 7) > limit)
        return false;
    walk(cpu->phys, &cpu->paging, base + (sel & ~7u), (struct walk_access){.kind = ACCESS_READ},
         &w);
    if (!w.ok)
        return false;
    u64 v = phys_peek(cpu->phys, w.gpa & cpu->phys->a20_mask, 8);
    *d = (struct desc){.lo = (u32)v, .hi = (u32)(v >> 32)};
    return DESC_P(d) && DESC_S(d);
}

/* As a load of the register does, without its checks of privilege. */
static bool set_sel(struct cpu *cpu, u32 n, const union vec *v)
{
    u16 sel = (u16)v->w[0];
    struct desc d;
    if (sel == cpu->seg[n].sel)
        return true;
    if (cpu_in_real(cpu) || cpu_in_v86(cpu)) {
        seg_load_real(cpu, (enum seg_id)n, sel);
    } else if (SEL_IS_NULL(sel)) {
        if (n == SEG_CS || n == SEG_SS)
            return false;
        cpu->seg[n] = seg_null(sel);
    } else if (!peek_desc(cpu, sel, &d) || (n == SEG_CS) != DESC_IS_CODE(&d)) {
        return false;
    } else if (n == SEG_CS) {
        seg_set_cs(cpu, sel, &d, SEL_RPL(sel));
    } else {
        cpu->seg[n] = desc_to_seg(sel, &d);
    }
    cpu_update_mode(cpu);
    return true;
}

static void get_base(struct cpu *cpu, u32 n, union vec *v)
{
    v->q[0] = seg_of(cpu, n)->base;
}

static bool set_base(struct cpu *cpu, u32 n, const union vec *v)
{
    if (!cpu_canonical(cpu, v->q[0]))
        return false;
    seg_of(cpu, n)->base = v->q[0];
    cpu_update_mode(cpu);
    return true;
}

static void get_limit(struct cpu *cpu, u32 n, union vec *v)
{
    v->q[0] = seg_of(cpu, n)->limit;
}

static void get_attr(struct cpu *cpu, u32 n, union vec *v)
{
    v->q[0] = seg_of(cpu, n)->attr;
}

/* ---- x87 and vectors ------------------------------------------------------------------------- */

static void get_st(struct cpu *cpu, u32 n, union vec *v)
{
    const struct f80 *f = &cpu->x87.st[x87_phys(&cpu->x87, n)];
    v->q[0] = f->mant;
    v->w[4] = f->se;
}

static bool set_st(struct cpu *cpu, u32 n, const union vec *v)
{
    cpu->x87.st[x87_phys(&cpu->x87, n)] = (struct f80){v->q[0], v->w[4]};
    return true;
}

enum { X87_CW, X87_SW, X87_TAG, X87_FCS, X87_FIP, X87_FDS, X87_FDP, X87_FOP };

static void get_x87(struct cpu *cpu, u32 what, union vec *v)
{
    const struct x87 *x = &cpu->x87;
    switch (what) {
    case X87_CW: v->q[0] = x->cw; break;
    case X87_SW: v->q[0] = x->sw; break;
    case X87_TAG: v->q[0] = x87_tag_word(x); break;
    case X87_FCS: v->q[0] = x->fcs; break;
    case X87_FIP: v->q[0] = (u32)x->fip; break;
    case X87_FDS: v->q[0] = x->fds; break;
    case X87_FDP: v->q[0] = (u32)x->fdp; break;
    default: v->q[0] = x->fop; break;
    }
}

static bool set_x87(struct cpu *cpu, u32 what, const union vec *v)
{
    struct x87 *x = &cpu->x87;
    switch (what) {
    case X87_CW: x87_set_cw(x, v->w[0]); break;
    case X87_SW: x87_set_sw(x, v->w[0]); break;
    case X87_TAG: x87_set_tag_word(x, v->w[0]); break;
    case X87_FCS: x->fcs = v->w[0]; break;
    case X87_FIP: x->fip = v->d[0]; break;
    case X87_FDS: x->fds = v->w[0]; break;
    case X87_FDP: x->fdp = v->d[0]; break;
    default: x->fop = v->w[0] & 0x7ff; break;
    }
    return true;
}

/* arg: number, first byte << 8, bytes << 16 */
static void get_vec(struct cpu *cpu, u32 arg, union vec *v)
{
    memcpy(v, &cpu->vec[arg & 0xff].b[arg >> 8 & 0xff], arg >> 16);
}

static bool set_vec(struct cpu *cpu, u32 arg, const union vec *v)
{
    memcpy(&cpu->vec[arg & 0xff].b[arg >> 8 & 0xff], v, arg >> 16);
    return true;
}

#define MXCSR_BITS 0xffffu

static void get_mxcsr(struct cpu *cpu, u32 arg, union vec *v)
{
    (void)arg;
    v->q[0] = cpu->mxcsr;
}

static bool set_mxcsr(struct cpu *cpu, u32 arg, const union vec *v)
{
    (void)arg;
    if (v->d[0] & ~MXCSR_BITS)
        return false;
    cpu->mxcsr = v->d[0];
    return true;
}

/* ---- control, debug and model-specific registers --------------------------------------------- */

#define FIELD(member) ((u32)offsetof(struct cpu, member))

static void get_u64(struct cpu *cpu, u32 offset, union vec *v)
{
    memcpy(v, (const u8 *)cpu + offset, 8);
}

static bool set_u64(struct cpu *cpu, u32 offset, const union vec *v)
{
    memcpy((u8 *)cpu + offset, v, 8);
    return true;
}

static void get_u32(struct cpu *cpu, u32 offset, union vec *v)
{
    memcpy(v, (const u8 *)cpu + offset, 4);
}

/* What cannot be, the next instruction would choke on. */
static bool is_valid_mode(u64 cr0, u64 cr4, u64 efer)
{
    if (cr0 & CR0_PG && !(cr0 & CR0_PE))
        return false;
    if (efer & EFER_LMA ? !(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || !(efer & EFER_LME)
                        : cr4 & CR4_PCIDE)
        return false;
    return true;
}

static bool set_cr0(struct cpu *cpu, u32 arg, const union vec *v)
{
    (void)arg;
    if (v->q[0] >> 32 || !is_valid_mode(v->q[0], cpu->cr4, cpu->efer))
        return false;
    cpu_set_cr(cpu, v->q[0] | CR0_ET, cpu->cr3, cpu->cr4, cpu->efer);
    return true;
}

static bool set_cr3(struct cpu *cpu, u32 arg, const union vec *v)
{
    (void)arg;
    if (v->q[0] & ~mask64(cpu->phys->addr_bits))
        return false;
    cpu_set_cr(cpu, cpu->cr0, v->q[0], cpu->cr4, cpu->efer);
    return true;
}

static bool set_cr4(struct cpu *cpu, u32 arg, const union vec *v)
{
    (void)arg;
    if (v->q[0] & ~model_cr4(cpu->model) || !is_valid_mode(cpu->cr0, v->q[0], cpu->efer))
        return false;
    cpu_set_cr(cpu, cpu->cr0, cpu->cr3, v->q[0], cpu->efer);
    return true;
}

static void get_cr8(struct cpu *cpu, u32 arg, union vec *v)
{
    (void)arg;
    v->q[0] = cpu->hooks->cr8_read(cpu->vm);
}

static bool set_cr8(struct cpu *cpu, u32 arg, const union vec *v)
{
    (void)arg;
    if (v->q[0] > 15)
        return false;
    cpu->hooks->cr8_write(cpu->vm, v->b[0]);
    return true;
}

static bool set_efer(struct cpu *cpu, u32 arg, const union vec *v)
{
    (void)arg;
    if (v->q[0] & ~(model_efer(cpu->model) | EFER_LMA) ||
        !is_valid_mode(cpu->cr0, cpu->cr4, v->q[0]))
        return false;
    cpu_set_cr(cpu, cpu->cr0, cpu->cr3, cpu->cr4, v->q[0]);
    return true;
}

static bool set_dr(struct cpu *cpu, u32 offset, const union vec *v)
{
    if (offset >= FIELD(dr[6]) && v->q[0] >> 32)
        return false;
    set_u64(cpu, offset, v);
    cpu_update_mode(cpu);
    return true;
}

static void get_msr(struct cpu *cpu, u32 nr, union vec *v)
{
    if (!msr_read(cpu, nr, &v->q[0]))
        v->q[0] = 0;
}

static bool set_msr(struct cpu *cpu, u32 nr, const union vec *v)
{
    bool ok = msr_write(cpu, nr, v->q[0]);
    cpu_update_mode(cpu);
    return ok;
}

/* ---- the table ------------------------------------------------------------------------------- */

#define GENERAL(name, bits, arg)                                                                   \
    {                                                                                              \
        name, bits, REGS_GENERAL, arg, get_gpr, set_gpr                                            \
    }
#define PART_OF(name, bits, n, first)                                                              \
    {                                                                                              \
        name, bits, REGS_PART, PART(n, first, bits), get_gpr, set_gpr                              \
    }
#define GPR(r64, r32, r16, r8, n)                                                                  \
    GENERAL(r64, 64, PART(n, 0, 64)), PART_OF(r32, 32, n, 0), PART_OF(r16, 16, n, 0),              \
        PART_OF(r8, 8, n, 0)
#define SEGMENT(name, n)                                                                           \
    {name, 16, REGS_SEGMENT, n, get_sel, set_sel},                                                 \
        {name "_base", 64, REGS_SEGMENT, n, get_base, set_base},                                   \
        {name "_limit", 32, REGS_SEGMENT, n, get_limit, NULL},                                     \
    {                                                                                              \
        name "_attr", 16, REGS_SEGMENT, n, get_attr, NULL                                          \
    }
#define SYSTEM_SEGMENT(name, n)                                                                    \
    {name, 16, REGS_SEGMENT, n, get_sel, NULL},                                                    \
        {name "_base", 64, REGS_SEGMENT, n, get_base, set_base},                                   \
        {name "_limit", 32, REGS_SEGMENT, n, get_limit, NULL},                                     \
    {                                                                                              \
        name "_attr", 16, REGS_SEGMENT, n, get_attr, NULL                                          \
    }
#define ST(name, n)                                                                                \
    {                                                                                              \
        name, 80, REGS_X87, n, get_st, set_st                                                      \
    }
#define X87(name, bits, what)                                                                      \
    {                                                                                              \
        name, bits, REGS_X87, what, get_x87, set_x87                                               \
    }
#define VEC(n)                                                                                     \
    {"xmm" #n, 128, REGS_VECTOR, (n) | 16u << 16, get_vec, set_vec},                               \
        {"ymm" #n "h", 128, REGS_VECTOR, (n) | 16u << 8 | 16u << 16, get_vec, set_vec},            \
    {                                                                                              \
        "ymm" #n, 256, REGS_VECTOR, (n) | 32u << 16, get_vec, set_vec                              \
    }
#define DR(name, n)                                                                                \
    {                                                                                              \
        name, 64, REGS_DEBUG, FIELD(dr[n]), get_u64, set_dr                                        \
    }
#define CONTROL(name, bits, arg, get, set)                                                         \
    {                                                                                              \
        name, bits, REGS_CONTROL, arg, get, set                                                    \
    }

static const struct reg table[] = {
    GPR("rax", "eax", "ax", "al", RAX),
    GPR("rcx", "ecx", "cx", "cl", RCX),
    GPR("rdx", "edx", "dx", "dl", RDX),
    GPR("rbx", "ebx", "bx", "bl", RBX),
    GPR("rsp", "esp", "sp", "spl", RSP),
    GPR("rbp", "ebp", "bp", "bpl", RBP),
    GPR("rsi", "esi", "si", "sil", RSI),
    GPR("rdi", "edi", "di", "dil", RDI),
    GPR("r8", "r8d", "r8w", "r8b", R8),
    GPR("r9", "r9d", "r9w", "r9b", R9),
    GPR("r10", "r10d", "r10w", "r10b", R10),
    GPR("r11", "r11d", "r11w", "r11b", R11),
    GPR("r12", "r12d", "r12w", "r12b", R12),
    GPR("r13", "r13d", "r13w", "r13b", R13),
    GPR("r14", "r14d", "r14w", "r14b", R14),
    GPR("r15", "r15d", "r15w", "r15b", R15),
    PART_OF("ah", 8, RAX, 8),
    PART_OF("ch", 8, RCX, 8),
    PART_OF("dh", 8, RDX, 8),
    PART_OF("bh", 8, RBX, 8),
    {"rip", 64, REGS_GENERAL, 0, get_rip, set_rip},
    {"eip", 32, REGS_PART, 0, get_rip, set_rip},
    {"ip", 16, REGS_PART, 0, get_rip, set_rip},
    {"pc", 64, REGS_PART, 0, get_pc, set_pc}, /* linear */
    {"eflags", 32, REGS_GENERAL, 0, get_eflags, set_eflags},
    {"rflags", 64, REGS_PART, 0, get_eflags, set_eflags},
    {"cpl", 8, REGS_PART, 0, get_cpl, NULL},
    SEGMENT("cs", SEG_CS),
    SEGMENT("ss", SEG_SS),
    SEGMENT("ds", SEG_DS),
    SEGMENT("es", SEG_ES),
    SEGMENT("fs", SEG_FS),
    SEGMENT("gs", SEG_GS),
    SYSTEM_SEGMENT("ldtr", OF_LDTR),
    SYSTEM_SEGMENT("tr", OF_TR),
    ST("st0", 0),
    ST("st1", 1),
    ST("st2", 2),
    ST("st3", 3),
    ST("st4", 4),
    ST("st5", 5),
    ST("st6", 6),
    ST("st7", 7),
    X87("fctrl", 16, X87_CW),
    X87("fstat", 16, X87_SW),
    X87("ftag", 16, X87_TAG),
    X87("fiseg", 16, X87_FCS),
    X87("fioff", 32, X87_FIP),
    X87("foseg", 16, X87_FDS),
    X87("fooff", 32, X87_FDP),
    X87("fop", 16, X87_FOP),
    VEC(0),
    VEC(1),
    VEC(2),
    VEC(3),
    VEC(4),
    VEC(5),
    VEC(6),
    VEC(7),
    VEC(8),
    VEC(9),
    VEC(10),
    VEC(11),
    VEC(12),
    VEC(13),
    VEC(14),
    VEC(15),
    {"mxcsr", 32, REGS_VECTOR, 0, get_mxcsr, set_mxcsr},
    CONTROL("cr0", 64, FIELD(cr0), get_u64, set_cr0),
    CONTROL("cr2", 64, FIELD(cr2), get_u64, set_u64),
    CONTROL("cr3", 64, FIELD(cr3), get_u64, set_cr3),
    CONTROL("cr4", 64, FIELD(cr4), get_u64, set_cr4),
    CONTROL("cr8", 64, 0, get_cr8, set_cr8),
    CONTROL("efer", 64, FIELD(efer), get_u64, set_efer),
    CONTROL("xcr0", 64, FIELD(xcr0), get_u64, NULL),
    CONTROL("gdtr_base", 64, FIELD(gdtr.base), get_u64, set_u64),
    CONTROL("gdtr_limit", 32, FIELD(gdtr.limit), get_u32, NULL),
    CONTROL("idtr_base", 64, FIELD(idtr.base), get_u64, set_u64),
    CONTROL("idtr_limit", 32, FIELD(idtr.limit), get_u32, NULL),
    CONTROL("k_gs_base", 64, FIELD(kernel_gs_base), get_u64, set_u64),
    DR("dr0", 0),
    DR("dr1", 1),
    DR("dr2", 2),
    DR("dr3", 3),
    DR("dr6", 6),
    DR("dr7", 7),
    {"msr_tsc", 64, REGS_MSR, 0x10, get_msr, set_msr},
    {"msr_apic_base", 64, REGS_MSR, 0x1b, get_msr, set_msr},
    {"msr_sysenter_cs", 64, REGS_MSR, 0x174, get_msr, set_msr},
    {"msr_sysenter_esp", 64, REGS_MSR, 0x175, get_msr, set_msr},
    {"msr_sysenter_eip", 64, REGS_MSR, 0x176, get_msr, set_msr},
    {"msr_misc_enable", 64, REGS_MSR, 0x1a0, get_msr, set_msr},
    {"msr_pat", 64, REGS_MSR, 0x277, get_msr, set_msr},
    {"msr_mtrr_def_type", 64, REGS_MSR, 0x2ff, get_msr, set_msr},
    {"msr_star", 64, REGS_MSR, 0xc0000081, get_msr, set_msr},
    {"msr_lstar", 64, REGS_MSR, 0xc0000082, get_msr, set_msr},
    {"msr_cstar", 64, REGS_MSR, 0xc0000083, get_msr, set_msr},
    {"msr_sfmask", 64, REGS_MSR, 0xc0000084, get_msr, set_msr},
    {"msr_fs_base", 64, REGS_MSR, 0xc0000100, get_msr, set_msr},
    {"msr_gs_base", 64, REGS_MSR, 0xc0000101, get_msr, set_msr},
    {"msr_kernel_gs_base", 64, REGS_MSR, 0xc0000102, get_msr, set_msr},
    {"msr_tsc_aux", 64, REGS_MSR, 0xc0000103, get_msr, set_msr},
};

const struct reg *reg_at(unsigned n)
{
    return n < ARRAY_SIZE(table) ? &table[n] : NULL;
}

const struct reg *reg_find(const char *name, size_t len)
{
    for (size_t i = 0; len && i < ARRAY_SIZE(table); i++)
        if ((table[i].name[0] | 0x20) == (*name | 0x20) && /* most differ here */
            !strncasecmp(table[i].name, name, len) && !table[i].name[len])
            return &table[i];
    return NULL;
}

bool reg_is_part(const struct reg *r)
{
    return r->get == get_gpr;
}

void reg_read(struct cpu *cpu, const struct reg *r, union vec *v)
{
    memset(v, 0, sizeof *v);
    r->get(cpu, r->arg, v);
    if (r->bits < 64)
        v->q[0] &= mask64(r->bits);
}

bool reg_write(struct cpu *cpu, const struct reg *r, const union vec *v)
{
    return r->set && r->set(cpu, r->arg, v);
}

u64 reg_read64(struct cpu *cpu, const struct reg *r)
{
    union vec v;
    reg_read(cpu, r, &v);
    return v.q[0];
}
