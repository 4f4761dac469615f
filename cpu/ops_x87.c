/*
 * ops_x87.c: the x87 instructions that work on numbers: loads, stores, arithmetic, comparison.
 *
 * SDM vol. 1 chapter 8, vol. 2A and its F chapters. Control and environment are in ops_x87_env.c,
 * the functions behind FSIN and its like in x87_trans.c, arithmetic in softfloat*.c.
 *
 * An instruction first passes fpu_check, then does its memory access, then changes x87 state. The
 * last-instruction pointers are updated by every one of them, as on processors without
 * FDP_EXCPTN_ONLY and with FOP in compatibility mode.
 */
#include "cpu/ops_x87.h"
#include "cpu/x87_host.h"
#include "cpu/x87_trans.h"

#define F80_ONE ((struct f80){F80_J, F80_BIAS})

static inline unsigned sti(const struct insn *in)
{
    return in->modrm & 7;
}

static inline unsigned reg_field(const struct insn *in)
{
    return (in->modrm >> 3) & 7;
}

/* The start of an instruction without a memory operand. */
static inline struct x87 *begin(struct cpu *cpu, const struct insn *in)
{
    fpu_check(cpu, in, true);
    x87_note(cpu, in);
    return &cpu->x87;
}

/* A memory operand of `size` bytes, read. */
static inline u64 begin_read(struct cpu *cpu, const struct insn *in, unsigned size)
{
    fpu_check(cpu, in, true);
    gva_t va = mem_addr(cpu, in, size, ACCESS_READ);
    u64 v = mem_read(cpu, in, va, size);
    x87_note_mem(cpu, in, va);
    return v;
}

/* ---- loads ------------------------------------------------------------------------------------- */

/* Pushes v unless ST(7) is occupied. */
static void push_checked(struct x87 *x, struct f80 v)
{
    if (likely(x87_is_empty(x, 7))) {
        x->sw &= (u16)~SW_C1;
        x87_push(x, v);
    } else if (x87_stack_fault(x, true)) {
        x87_push(x, F80_DEFAULT_NAN);
    }
}

static void push_converted(struct x87 *x, const struct sf_ctx *c, struct f80 v)
{
    if (unlikely(!x87_is_empty(x, 7))) {
        push_checked(x, v);
        return;
    }
    x87_report(x, c->flags, false);
    if (!(c->flags & ~c->masks & SF_IE)) /* an unmasked DE does not keep it from being loaded */
        x87_push(x, v);
}

X87_HANDLER(fld_m32)
{
    f32_t m = (f32_t)begin_read(cpu, in, 4);
    struct sf_ctx c = sf_from_x87_cw(cpu->x87.cw);
    push_converted(&cpu->x87, &c, f80_from_f32(&c, m));
    return x87_finish(cpu, in);
}

X87_HANDLER(fld_m64)
{
    f64_t m = begin_read(cpu, in, 8);
    struct sf_ctx c = sf_from_x87_cw(cpu->x87.cw);
    push_converted(&cpu->x87, &c, f80_from_f64(&c, m));
    return x87_finish(cpu, in);
}

static void read_tbyte(struct cpu *cpu, const struct insn *in, u8 buf[10])
{
    fpu_check(cpu, in, true);
    gva_t va = mem_addr(cpu, in, 10, ACCESS_READ);
    mem_read_bytes(cpu, in, va, buf, 10);
    x87_note_mem(cpu, in, va);
}

X87_HANDLER(fld_m80)
{
    u8 b[10];
    read_tbyte(cpu, in, b);
    push_checked(&cpu->x87, (struct f80){ld_le64(b), ld_le16(b + 8)});
    return x87_finish(cpu, in);
}

X87_HANDLER(fbld)
{
    u8 b[10];
    read_tbyte(cpu, in, b);
    push_checked(&cpu->x87, f80_from_bcd(b));
    return x87_finish(cpu, in);
}

X87_HANDLER(fild_m16)
{
    u64 m = begin_read(cpu, in, 2);
    push_checked(&cpu->x87, f80_from_s64((s16)m));
    return x87_finish(cpu, in);
}

X87_HANDLER(fild_m32)
{
    u64 m = begin_read(cpu, in, 4);
    push_checked(&cpu->x87, f80_from_s64((s32)m));
    return x87_finish(cpu, in);
}

X87_HANDLER(fild_m64)
{
    u64 m = begin_read(cpu, in, 8);
    push_checked(&cpu->x87, f80_from_s64((s64)m));
    return x87_finish(cpu, in);
}

X87_HANDLER(fld_sti)
{
    struct x87 *x = begin(cpu, in);
    if (likely(!x87_is_empty(x, sti(in))))
        push_checked(x, x87_read(x, sti(in)));
    else if (x87_stack_fault(x, false))
        x87_push(x, F80_DEFAULT_NAN);
    return x87_finish(cpu, in);
}

/* FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ: kept in more than 64 bits and rounded by RC
 * (SDM vol. 1 8.3.8). v is truncated; add is what rounding adds to it. */
static const struct {
    struct f80 v;
    s8 add[4]; /* by RC: nearest, down, up, zero */
} constants[8] = {
    {{0x8000000000000000ull, 0x3fff}, {0, 0, 0, 0}}, /* 1 */
    {{0xd49a784bcd1b8afeull, 0x4000}, {0, 0, 1, 0}}, /* log2(10) */
    {{0xb8aa3b295c17f0bbull, 0x3fff}, {1, 0, 1, 0}}, /* log2(e) */
    {{0xc90fdaa22168c234ull, 0x4000}, {1, 0, 1, 0}}, /* pi */
    {{0x9a209a84fbcff798ull, 0x3ffd}, {1, 0, 1, 0}}, /* log10(2) */
    {{0xb17217f7d1cf79abull, 0x3ffe}, {1, 0, 1, 0}}, /* ln(2) */
    {{0, 0}, {0, 0, 0, 0}},
    {{0, 0}, {0, 0, 0, 0}},
};

X87_HANDLER(fld_const)
{
    struct x87 *x = begin(cpu, in);
    struct f80 v = constants[sti(in)].v;
    v.mant += (u64)constants[sti(in)].add[(x->cw >> 10) & 3];
    push_checked(x, v);
    return x87_finish(cpu, in);
}

/* ---- stores ------------------------------------------------------------------------------------ */

enum store_kind { STORE_F32, STORE_F64, STORE_S16, STORE_S32, STORE_S64 };

/* ST(0) in the memory format; an empty register or an invalid operand gives the indefinite. */
static u64 converted(struct sf_ctx *c, enum store_kind kind, struct f80 v, bool truncate)
{
    switch (kind) {
    case STORE_F32: return f80_to_f32(c, v);
    case STORE_F64: return f80_to_f64(c, v);
    case STORE_S16: return (u16)f80_to_s16(c, v, truncate);
    case STORE_S32: return (u32)f80_to_s32(c, v, truncate);
    default: return (u64)f80_to_s64(c, v, truncate);
    }
}

static void store(struct cpu *cpu, const struct insn *in, enum store_kind kind, bool truncate, bool pop)
{
    static const u8 sizes[] = {4, 8, 2, 4, 8};
    struct x87 *x = &cpu->x87;
    struct sf_ctx c = sf_from_x87_cw(x->cw);

    fpu_check(cpu, in, true);
    gva_t va = mem_addr(cpu, in, sizes[kind], ACCESS_WRITE);
    bool empty = x87_is_empty(x, 0);
    u64 v = converted(&c, kind, empty ? F80_DEFAULT_NAN : x87_read(x, 0), truncate);
    if (empty)
        c.flags = SF_IE;
    bool stored = !(c.flags & ~c.masks & (SF_PRE | SF_OE | SF_UE));
    if (stored)
        mem_write(cpu, in, va, v, sizes[kind]);
    else
        mem_probe_write(cpu, in, va, sizes[kind]);
    x87_note_mem(cpu, in, va);
    x87_report(x, empty ? SW_IE | SW_SF : c.flags, c.up);
    if (stored && pop)
        x87_pop(x);
}

#define STORE_HANDLER(name, kind, truncate, pop)                                                   \
    X87_HANDLER(name)                                                                              \
    {                                                                                              \
        store(cpu, in, kind, truncate, pop);                                                       \
        return x87_finish(cpu, in);                                                                \
    }
STORE_HANDLER(fst_m32, STORE_F32, false, false)
STORE_HANDLER(fstp_m32, STORE_F32, false, true)
STORE_HANDLER(fst_m64, STORE_F64, false, false)
STORE_HANDLER(fstp_m64, STORE_F64, false, true)
STORE_HANDLER(fist_m16, STORE_S16, false, false)
STORE_HANDLER(fistp_m16, STORE_S16, false, true)
STORE_HANDLER(fist_m32, STORE_S32, false, false)
STORE_HANDLER(fistp_m32, STORE_S32, false, true)
STORE_HANDLER(fistp_m64, STORE_S64, false, true)
STORE_HANDLER(fisttp_m16, STORE_S16, true, true)
STORE_HANDLER(fisttp_m32, STORE_S32, true, true)
STORE_HANDLER(fisttp_m64, STORE_S64, true, true)

/* Stores ten bytes, or reports `flags` alone when an exception among them is unmasked. */
static void store_tbyte(struct cpu *cpu, const struct insn *in, const u8 b[10], unsigned flags, bool c1)
{
    struct x87 *x = &cpu->x87;
    gva_t va = mem_addr(cpu, in, 10, ACCESS_WRITE);
    bool stored = !(flags & ~x->cw & SF_IE);
    if (stored)
        mem_write_bytes(cpu, in, va, b, 10);
    else
        mem_probe_write(cpu, in, va, 10);
    x87_note_mem(cpu, in, va);
    x87_report(x, flags, c1);
    if (stored)
        x87_pop(x);
}

X87_HANDLER(fstp_m80)
{
    const struct x87 *x = &cpu->x87;
    u8 b[10];
    fpu_check(cpu, in, true);
    bool empty = x87_is_empty(x, 0);
    struct f80 v = empty ? F80_DEFAULT_NAN : x87_read(x, 0);
    st_le64(b, v.mant);
    st_le16(b + 8, v.se);
    store_tbyte(cpu, in, b, empty ? SW_IE | SW_SF : 0, false);
    return x87_finish(cpu, in);
}

X87_HANDLER(fbstp)
{
    const struct x87 *x = &cpu->x87;
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    u8 b[10];
    fpu_check(cpu, in, true);
    bool empty = x87_is_empty(x, 0);
    f80_to_bcd(&c, empty ? F80_DEFAULT_NAN : x87_read(x, 0), b);
    store_tbyte(cpu, in, b, empty ? SW_IE | SW_SF : c.flags, c.up);
    return x87_finish(cpu, in);
}

static void store_sti(struct cpu *cpu, const struct insn *in, bool pop)
{
    struct x87 *x = begin(cpu, in);
    struct f80 v = x87_read(x, 0);
    if (unlikely(x87_is_empty(x, 0))) {
        if (!x87_stack_fault(x, false))
            return;
        v = F80_DEFAULT_NAN;
    } else {
        x->sw &= (u16)~SW_C1;
    }
    x87_write(x, sti(in), v);
    if (pop)
        x87_pop(x);
}

X87_HANDLER(fst_sti)
{
    store_sti(cpu, in, false);
    return x87_finish(cpu, in);
}

X87_HANDLER(fstp_sti)
{
    store_sti(cpu, in, true);
    return x87_finish(cpu, in);
}

/* D9 /3, undocumented: FSTP that an empty ST(0) turns into a pop alone. */
X87_HANDLER(fstpnce)
{
    struct x87 *x = begin(cpu, in);
    x->sw &= (u16)~SW_C1;
    if (!x87_is_empty(x, 0))
        x87_write(x, sti(in), x87_read(x, 0));
    x87_pop(x);
    return x87_finish(cpu, in);
}

/* ---- comparison -------------------------------------------------------------------------------- */

/* FDIVR and the like take DE from a memory operand that was denormal as a single or double, unless
 * an exception of higher priority or a NaN came first. */
static void add_memory_denormal(struct sf_ctx *c, bool denormal, struct f80 st0)
{
    if (!denormal || (c->flags & (SF_IE | SF_ZE)) || f80_is_nan(st0))
        return;
    c->flags |= SF_DE;
    if (x87_stopped(c))
        c->flags &= SF_PRE;
}

static void set_condition(struct x87 *x, enum sf_order o)
{
    static const u16 codes[4] = {SW_C0, SW_C3, 0, SW_C3 | SW_C2 | SW_C0}; /* by order + 1 */
    x->sw = (u16)((x->sw & ~(SW_C0 | SW_C2 | SW_C3)) | codes[o + 1]);
}

static void pop_times(struct x87 *x, unsigned pops)
{
    while (pops--)
        x87_pop(x);
}

/* ST(0) against b, into C3, C2, C0, which an unmasked IE leaves alone. `empty`: one operand is. */
static void compare(struct x87 *x, struct f80 b, bool empty, bool denormal, bool quiet, unsigned pops)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    if (unlikely(empty)) {
        if (!x87_stack_fault(x, false))
            return;
        set_condition(x, SF_UNORDERED);
    } else {
        enum sf_order o = f80_compare(&c, x87_read(x, 0), b, quiet);
        add_memory_denormal(&c, denormal, x87_read(x, 0));
        x87_report(x, c.flags, false);
        if (!(c.flags & ~c.masks & SF_IE))
            set_condition(x, o);
        if (x87_stopped(&c))
            return;
    }
    pop_times(x, pops);
}

static void compare_sti(struct x87 *x, unsigned i, bool quiet, unsigned pops)
{
    compare(x, x87_read(x, i), x87_is_empty(x, 0) || x87_is_empty(x, i), false, quiet, pops);
}

X87_HANDLER(fcompp)
{
    compare_sti(begin(cpu, in), 1, false, 2);
    return x87_finish(cpu, in);
}

X87_HANDLER(fucom)
{
    compare_sti(begin(cpu, in), sti(in), true, 0);
    return x87_finish(cpu, in);
}

X87_HANDLER(fucomp)
{
    compare_sti(begin(cpu, in), sti(in), true, 1);
    return x87_finish(cpu, in);
}

X87_HANDLER(fucompp)
{
    compare_sti(begin(cpu, in), 1, true, 2);
    return x87_finish(cpu, in);
}

X87_HANDLER(ftst)
{
    struct x87 *x = begin(cpu, in);
    compare(x, (struct f80){0, 0}, x87_is_empty(x, 0), false, false, 0);
    return x87_finish(cpu, in);
}

/* FCOMI and its kin: DB and DF, /5 quiet, /6 signalling; DF pops. */
X87_HANDLER(fcomi)
{
    static const u32 codes[4] = {EFLAGS_CF, EFLAGS_ZF, 0, EFLAGS_ZF | EFLAGS_PF | EFLAGS_CF};
    struct x87 *x = begin(cpu, in);
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    enum sf_order o = SF_UNORDERED;

    if (unlikely(x87_is_empty(x, 0) || x87_is_empty(x, sti(in)))) {
        c.flags = SF_IE;
        x87_stack_fault(x, false);
    } else {
        o = f80_compare(&c, x87_read(x, 0), x87_read(x, sti(in)), reg_field(in) == 5);
        x87_report(x, c.flags, false);
    }
    if (!(c.flags & ~c.masks & SF_IE))
        flags_set(&cpu->flags, codes[o + 1]);
    if (!x87_stopped(&c))
        pop_times(x, in->opcode == 0xdf);
    return x87_finish(cpu, in);
}

/* C3 C2 C0: unsupported 000, NaN 001, normal 010, infinity 011, zero 100, empty 101, denormal 110. */
X87_HANDLER(fxam)
{
    static const u16 codes[] = {
        [F80_ZERO] = SW_C3,           [F80_DENORMAL] = SW_C3 | SW_C2,
        [F80_NORMAL] = SW_C2,         [F80_PSEUDO_DENORMAL] = SW_C3 | SW_C2,
        [F80_QUIET] = SW_C0,          [F80_INFINITY] = SW_C2 | SW_C0,
        [F80_SIGNALLING] = SW_C0,     [F80_UNSUPPORTED] = 0,
    };
    struct x87 *x = begin(cpu, in);
    struct f80 v = x87_read(x, 0);
    unsigned code = x87_is_empty(x, 0) ? SW_C3 | SW_C0 : codes[f80_classify(v)];
    if (v.se & F80_SIGN)
        code |= SW_C1;
    x->sw = (u16)((x->sw & ~(SW_C0 | SW_C1 | SW_C2 | SW_C3)) | code);
    return x87_finish(cpu, in);
}

/* ---- arithmetic -------------------------------------------------------------------------------- */

/* ModRM.reg of D8, DA, DC, DE. SUB and DIV have ST(0) on the left, SUBR and DIVR on the right,
 * wherever the result goes. */
enum arith { ARITH_ADD, ARITH_MUL, ARITH_COM, ARITH_COMP, ARITH_SUB, ARITH_SUBR, ARITH_DIV, ARITH_DIVR };

static struct f80 arith_value(struct sf_ctx *c, enum arith op, struct f80 st0, struct f80 b)
{
    switch (op) {
    case ARITH_ADD: return f80_add(c, st0, b);
    case ARITH_MUL: return f80_mul(c, st0, b);
    case ARITH_SUB: return f80_sub(c, st0, b);
    case ARITH_SUBR: return f80_sub(c, b, st0);
    case ARITH_DIV: return f80_div(c, st0, b);
    default: return f80_div(c, b, st0);
    }
}

/* ST(dst) = ST(0) op b. */
static void arith(struct x87 *x, enum arith op, unsigned dst, struct f80 b, bool empty, bool denormal,
                  bool pop)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    if (unlikely(empty)) {
        if (!x87_stack_fault(x, false))
            return;
        x87_write(x, dst, F80_DEFAULT_NAN);
    } else {
        struct f80 st0 = x87_read(x, 0);
        struct f80 v = arith_value(&c, op, st0, b);
        add_memory_denormal(&c, denormal, st0);
        if (x87_stopped(&c))
            c.up = false;
        x87_report_ctx(x, &c);
        if (x87_stopped(&c))
            return;
        x87_write(x, dst, v);
    }
    if (pop)
        x87_pop(x);
}

static void arith_mem(struct x87 *x, enum arith op, struct f80 m, bool denormal)
{
    bool empty = x87_is_empty(x, 0);
    if (op == ARITH_COM || op == ARITH_COMP)
        compare(x, m, empty, denormal, false, op == ARITH_COMP);
    else
        arith(x, op, 0, m, empty, denormal, false);
}

X87_HANDLER(farith_m32)
{
    bool denormal;
    struct f80 m = f80_expand_f32((f32_t)begin_read(cpu, in, 4), &denormal);
    arith_mem(&cpu->x87, reg_field(in), m, denormal);
    return x87_finish(cpu, in);
}

X87_HANDLER(farith_m64)
{
    bool denormal;
    struct f80 m = f80_expand_f64(begin_read(cpu, in, 8), &denormal);
    arith_mem(&cpu->x87, reg_field(in), m, denormal);
    return x87_finish(cpu, in);
}

X87_HANDLER(fiarith_m16)
{
    struct f80 m = f80_from_s64((s16)begin_read(cpu, in, 2));
    arith_mem(&cpu->x87, reg_field(in), m, false);
    return x87_finish(cpu, in);
}

X87_HANDLER(fiarith_m32)
{
    struct f80 m = f80_from_s64((s32)begin_read(cpu, in, 4));
    arith_mem(&cpu->x87, reg_field(in), m, false);
    return x87_finish(cpu, in);
}

static void arith_sti(struct x87 *x, const struct insn *in, unsigned dst, bool pop)
{
    unsigned i = sti(in);
    enum arith op = reg_field(in);
    if (op == ARITH_COM || op == ARITH_COMP)
        compare_sti(x, i, false, pop || op == ARITH_COMP);
    else
        arith(x, op, dst, x87_read(x, i), x87_is_empty(x, 0) || x87_is_empty(x, i), false, pop);
}

X87_HANDLER(farith_st0_sti)
{
    arith_sti(begin(cpu, in), in, 0, false);
    return x87_finish(cpu, in);
}

X87_HANDLER(farith_sti_st0)
{
    arith_sti(begin(cpu, in), in, sti(in), false);
    return x87_finish(cpu, in);
}

X87_HANDLER(farithp)
{
    arith_sti(begin(cpu, in), in, sti(in), true);
    return x87_finish(cpu, in);
}

/* An operation on ST(0) alone. */
typedef struct f80 unary_fn(struct sf_ctx *c, struct f80 a);

static void unary(struct x87 *x, unary_fn *fn)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    if (unlikely(x87_is_empty(x, 0))) {
        if (x87_stack_fault(x, false))
            x87_write(x, 0, F80_DEFAULT_NAN);
        return;
    }
    struct f80 v = fn(&c, x87_read(x, 0));
    x87_report_ctx(x, &c);
    if (!x87_stopped(&c))
        x87_write(x, 0, v);
}

static struct f80 change_sign(struct sf_ctx *c, struct f80 a)
{
    (void)c;
    a.se ^= F80_SIGN;
    return a;
}

static struct f80 absolute(struct sf_ctx *c, struct f80 a)
{
    (void)c;
    a.se &= F80_EXP;
    return a;
}

#define UNARY_HANDLER(name, fn)                                                                    \
    X87_HANDLER(name)                                                                              \
    {                                                                                              \
        unary(begin(cpu, in), fn);                                                                 \
        return x87_finish(cpu, in);                                                                \
    }
UNARY_HANDLER(fchs, change_sign)
UNARY_HANDLER(fabs_st0, absolute)
UNARY_HANDLER(fsqrt, f80_sqrt)
UNARY_HANDLER(frndint, f80_round_int)

/*
 * F2XM1, FYL2X, FSIN and their like are approximations, the last place of which is each maker's own.
 * An x86-64 host executes them itself, here as in translated code. On other hosts, and where an
 * exception is unmasked, it is x87_trans.c; `soft` is a void function of struct x87.
 */
#define FUNCTION_HANDLER(name, soft)                                                               \
    X87_HANDLER(name)                                                                              \
    {                                                                                              \
        struct x87 *x = begin(cpu, in);                                                            \
        if (!x87_host_function(x, in->modrm))                                                      \
            soft(x);                                                                               \
        return x87_finish(cpu, in);                                                                \
    }

static void soft_f2xm1(struct x87 *x)
{
    unary(x, x87_f2xm1);
}
FUNCTION_HANDLER(f2xm1, soft_f2xm1)

/* An operation on ST(0) and ST(1), named y and x as the function takes them; into ST(dst). */
typedef struct f80 binary_fn(struct sf_ctx *c, struct f80 a, struct f80 b);

static void binary(struct x87 *x, binary_fn *fn, struct f80 a, struct f80 b, unsigned dst)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    struct f80 v = F80_DEFAULT_NAN;
    if (unlikely(x87_is_empty(x, 0) || x87_is_empty(x, 1))) {
        if (!x87_stack_fault(x, false))
            return;
    } else {
        v = fn(&c, a, b);
        x87_report_ctx(x, &c);
        if (x87_stopped(&c))
            return;
    }
    x87_write(x, dst, v);
    if (dst == 1)
        x87_pop(x);
}

X87_HANDLER(fscale)
{
    struct x87 *x = begin(cpu, in);
    binary(x, f80_scale, x87_read(x, 0), x87_read(x, 1), 0);
    return x87_finish(cpu, in);
}

static void soft_fyl2x(struct x87 *x)
{
    binary(x, x87_yl2x, x87_read(x, 1), x87_read(x, 0), 1);
}
FUNCTION_HANDLER(fyl2x, soft_fyl2x)

static void soft_fyl2xp1(struct x87 *x)
{
    binary(x, x87_yl2xp1, x87_read(x, 1), x87_read(x, 0), 1);
}
FUNCTION_HANDLER(fyl2xp1, soft_fyl2xp1)

static void soft_fpatan(struct x87 *x)
{
    binary(x, x87_patan, x87_read(x, 1), x87_read(x, 0), 1);
}
FUNCTION_HANDLER(fpatan, soft_fpatan)

static void remainder_step(struct x87 *x, bool nearest)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    u64 q;
    bool partial;

    x->sw &= (u16)~SW_C2;
    if (unlikely(x87_is_empty(x, 0) || x87_is_empty(x, 1))) {
        if (x87_stack_fault(x, false))
            x87_write(x, 0, F80_DEFAULT_NAN);
        return;
    }
    struct f80 v = f80_rem(&c, x87_read(x, 0), x87_read(x, 1), nearest, &q, &partial);
    x87_report(x, c.flags, false);
    if (x87_stopped(&c))
        return;
    x87_write(x, 0, v);
    if (f80_is_nan(v))
        return;
    unsigned code = (q & 4 ? SW_C0 : 0) | (q & 2 ? SW_C3 : 0) | (q & 1 ? SW_C1 : 0);
    x->sw = (u16)((x->sw & ~(SW_C0 | SW_C1 | SW_C3)) | (partial ? SW_C2 : code));
}

X87_HANDLER(fprem)
{
    remainder_step(begin(cpu, in), false);
    return x87_finish(cpu, in);
}

X87_HANDLER(fprem1)
{
    remainder_step(begin(cpu, in), true);
    return x87_finish(cpu, in);
}

/* ---- instructions with two results --------------------------------------------------------------- */

/* ST(0) empty or no room to push: true, and when masked both results are default NaNs. */
static bool two_results_fault(struct x87 *x)
{
    bool empty = x87_is_empty(x, 0);
    if (likely(!empty && x87_is_empty(x, 7)))
        return false;
    if (x87_stack_fault(x, !empty)) {
        x87_write(x, 0, F80_DEFAULT_NAN);
        x87_push(x, F80_DEFAULT_NAN);
    }
    return true;
}

static void two_results(struct x87 *x, const struct sf_ctx *c, struct f80 st0, struct f80 pushed)
{
    x87_report_ctx(x, c);
    if (x87_stopped(c))
        return;
    x87_write(x, 0, st0);
    x87_push(x, pushed);
}

X87_HANDLER(fxtract)
{
    struct x87 *x = begin(cpu, in);
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    if (!two_results_fault(x)) {
        struct f80 exponent;
        struct f80 significand = f80_extract(&c, x87_read(x, 0), &exponent);
        two_results(x, &c, exponent, significand);
    }
    return x87_finish(cpu, in);
}

/* C2, clear so far, tells that the argument was out of range and nothing was done. */
static bool in_range(struct x87 *x, bool ok)
{
    x->sw = (u16)((x->sw & ~SW_C1) | (ok ? 0 : SW_C2));
    return ok;
}

static void soft_fptan(struct x87 *x)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    x->sw &= (u16)~SW_C2;
    if (!two_results_fault(x)) {
        struct f80 v;
        if (in_range(x, x87_tan(&c, x87_read(x, 0), &v)))
            two_results(x, &c, v, f80_is_nan(v) ? v : F80_ONE);
    }
}
FUNCTION_HANDLER(fptan, soft_fptan)

static void soft_fsincos(struct x87 *x)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    x->sw &= (u16)~SW_C2;
    if (!two_results_fault(x)) {
        struct f80 sine, cosine;
        if (in_range(x, x87_sincos(&c, x87_read(x, 0), &sine, &cosine)))
            two_results(x, &c, sine, cosine);
    }
}
FUNCTION_HANDLER(fsincos, soft_fsincos)

typedef bool trig_fn(struct sf_ctx *c, struct f80 a, struct f80 *result);

static void trig(struct x87 *x, trig_fn *fn)
{
    struct sf_ctx c = sf_from_x87_cw(x->cw);
    struct f80 v;
    x->sw &= (u16)~SW_C2;
    if (unlikely(x87_is_empty(x, 0))) {
        if (x87_stack_fault(x, false))
            x87_write(x, 0, F80_DEFAULT_NAN);
        return;
    }
    if (!in_range(x, fn(&c, x87_read(x, 0), &v)))
        return;
    x87_report_ctx(x, &c);
    if (!x87_stopped(&c))
        x87_write(x, 0, v);
}

static void soft_fsin(struct x87 *x)
{
    trig(x, x87_sin);
}
FUNCTION_HANDLER(fsin, soft_fsin)

static void soft_fcos(struct x87 *x)
{
    trig(x, x87_cos);
}
FUNCTION_HANDLER(fcos, soft_fcos)

/* ---- moves between registers --------------------------------------------------------------------- */

X87_HANDLER(fxch)
{
    struct x87 *x = begin(cpu, in);
    unsigned i = sti(in);
    struct f80 a = x87_read(x, 0), b = x87_read(x, i);
    bool empty_a = x87_is_empty(x, 0), empty_b = x87_is_empty(x, i);

    if (unlikely(empty_a || empty_b)) {
        if (!x87_stack_fault(x, false))
            return x87_finish(cpu, in);
        a = empty_a ? F80_DEFAULT_NAN : a;
        b = empty_b ? F80_DEFAULT_NAN : b;
    } else {
        x->sw &= (u16)~SW_C1;
    }
    x87_write(x, 0, b);
    x87_write(x, i, a);
    return x87_finish(cpu, in);
}

/* DA: B, E, BE, U; DB: the negations. */
X87_HANDLER(fcmov)
{
    struct x87 *x = begin(cpu, in);
    const struct flags *f = &cpu->flags;
    bool take;

    switch (reg_field(in)) {
    case 0: take = flag_c(f); break;
    case 1: take = flag_z(f); break;
    case 2: take = flag_c(f) || flag_z(f); break;
    default: take = flag_p(f); break;
    }
    if (unlikely(x87_is_empty(x, 0) || x87_is_empty(x, sti(in)))) {
        if (x87_stack_fault(x, false))
            x87_write(x, 0, F80_DEFAULT_NAN);
        return x87_finish(cpu, in);
    }
    if (take != (in->opcode & 1))
        x87_write(x, 0, x87_read(x, sti(in)));
    return x87_finish(cpu, in);
}

X87_HANDLER(ffree)
{
    struct x87 *x = begin(cpu, in);
    x->sw &= (u16)~SW_C1;
    x87_free(x, sti(in));
    return x87_finish(cpu, in);
}

/* Undocumented: FFREE, then a pop without a check. */
X87_HANDLER(ffreep)
{
    struct x87 *x = begin(cpu, in);
    x->sw &= (u16)~SW_C1;
    x87_free(x, sti(in));
    x87_pop(x);
    return x87_finish(cpu, in);
}

X87_HANDLER(fincstp)
{
    struct x87 *x = begin(cpu, in);
    x->sw &= (u16)~SW_C1;
    x87_set_top(x, x87_top(x) + 1);
    return x87_finish(cpu, in);
}

X87_HANDLER(fdecstp)
{
    struct x87 *x = begin(cpu, in);
    x->sw &= (u16)~SW_C1;
    x87_set_top(x, x87_top(x) - 1);
    return x87_finish(cpu, in);
}

X87_HANDLER(fnop)
{
    begin(cpu, in);
    return x87_finish(cpu, in);
}
