/*
 * oracle_loops_insn.c: the instructions of random loops, and their memory operands. See
 * oracle_loops.c.
 */
#include "tests/insn/oracle_loops.h"

/* ---- memory operands ------------------------------------------------------------------------- */

/* Often near the boundary of the two pages. */
u32 random_place(struct rng *rng)
{
    u32 r = (u32)rng_next(rng);

    switch (r & 7) {
    case 0:
    case 1: return ORACLE_DATA + 0x1000 - 24 + (r >> 8 & 31);
    case 2: return ORACLE_DATA + 0x1000 - 0x400 + (r >> 8 & 0x7ff);
    case 3: return ORACLE_DATA + 0x480 + (r >> 8 & 0xfff);
    default: return ORACLE_DATA + 0x480 + (r >> 8 & 0xff0);
    }
}

static s32 random_disp(struct rng *rng)
{
    u32 r = (u32)rng_next(rng);

    switch (r & 7) {
    case 0: return 0;
    case 1: return (s32)(r >> 8 & 0x7ff) - 0x400;
    case 2:
    case 3: return (s32)(r >> 8 & 0x3c) - 32;
    default: return (s32)(r >> 8 & 0xf8) - 0x80;
    }
}

static bool add_index(struct writer *w, struct operand *o)
{
    if (!w->loop->indexes)
        return false;
    o->index = (int)pick(w, w->loop->indexes);
    o->scale = (u8)rng_below(w->rng, 4);
    return true;
}

/* Where the return addresses lie, nothing is written. */
static struct operand stack_operand(struct writer *w)
{
    struct operand o = {.mem = true, .base = RSP, .index = NO_REG};
    unsigned slot = slot_size(w);

    o.disp = (s32)(w->pushed + rng_below(w->rng, 12) * slot);
    if (w->in_leaf || one_in(w->rng, 4))
        o.disp = -(s32)(16 + rng_below(w->rng, 8) * slot);
    if (w->frame && one_in(w->rng, 2)) {
        o.base = RBP;
        o.disp = -(s32)(16 + rng_below(w->rng, (w->frame - 16) / slot) * slot);
    }
    return o;
}

static struct operand segment_operand(struct writer *w)
{
    unsigned n = (unsigned)rng_below(w->rng, 2);
    struct operand o = {.mem = true, .base = NO_REG, .index = NO_REG, .seg = (u8)(SEG_FS + n)};

    w->loop->segments = true;
    if (w->near[n] && one_in(w->rng, 2)) {
        o.disp = (s32)random_place(w->rng);
    } else if (w->near[n]) {
        o.base = (int)pick(w, w->loop->bases);
        o.disp = random_disp(w->rng);
    } else {
        o.disp = (s32)rng_below(w->rng, 24) * 8;
        if (one_in(w->rng, 3))
            add_index(w, &o);
    }
    return o;
}

struct operand random_memory(struct writer *w)
{
    struct operand o = {.mem = true, .base = NO_REG, .index = NO_REG};

    switch (rng_below(w->rng, 12)) {
    case 0:
    case 1: return stack_operand(w);
    case 2:
    case 3: return segment_operand(w);
    case 4: o.rip = w->is64; __attribute__((fallthrough));
    case 5:
        o.disp = (s32)random_place(w->rng);
        if (!o.rip && one_in(w->rng, 3))
            add_index(w, &o);
        return o;
    case 6:
    case 7: add_index(w, &o); __attribute__((fallthrough));
    default:
        o.base = (int)pick(w, w->loop->bases);
        o.disp = random_disp(w->rng);
        o.addr32 = w->is64 && one_in(w->rng, 32);
        return o;
    }
}

/* For what must be aligned, or better is: LOCK. */
static struct operand aligned_memory(struct writer *w)
{
    struct operand o = {.mem = true, .rip = w->is64 && one_in(w->rng, 2)};
    o.base = o.index = NO_REG;
    o.disp = (s32)(random_place(w->rng) & ~15u);
    return o;
}

static void lock_sometimes(struct writer *w, struct form *f)
{
    if (!f->rm.mem || !one_in(w->rng, 8))
        return;
    f->lock = true;
    f->rm = aligned_memory(w);
}

static struct operand data_or_memory(struct writer *w)
{
    return one_in(w->rng, 2) ? random_memory(w) : reg_operand(pick(w, w->data));
}

static struct operand used_or_memory(struct writer *w)
{
    return one_in(w->rng, 2) ? random_memory(w) : reg_operand(pick(w, w->used));
}

/* ---- instructions ---------------------------------------------------------------------------- */

static unsigned random_size(struct writer *w)
{
    static const u8 size64[] = {8, 8, 8, 4, 4, 4, 2, 1}, size32[] = {4, 4, 4, 4, 4, 2, 1, 1};
    unsigned i = (unsigned)rng_below(w->rng, 8);
    return w->is64 ? size64[i] : size32[i];
}

static unsigned word_size(struct writer *w)
{
    unsigned size = random_size(w);
    return size == 1 ? slot_size(w) : size;
}

/* As a byte register sometimes AH to BH. */
static unsigned byte_variant(struct writer *w, unsigned reg, unsigned size)
{
    return size == 1 && reg < 4 && one_in(w->rng, 4) ? reg | 16 : reg;
}

static u64 random_imm(struct rng *rng)
{
    u64 r = rng_next(rng);
    return r & 1 ? r >> 8 & 0x7f : r & 2 ? 0 - (r >> 8 & 0x7f) : r >> 8 & 0xffffffff;
}

/* Opcode o for bytes, o + 1 for words. */
static struct form sized(struct writer *w, unsigned map, unsigned opcode)
{
    unsigned size = random_size(w);
    return (struct form){.map = map,
                         .opcode = opcode | (size != 1),
                         .size = size,
                         .has_modrm = true,
                         .byte_reg = size == 1,
                         .byte_rm = size == 1};
}

static struct form worded(struct writer *w, unsigned map, unsigned opcode)
{
    return (struct form){.map = map, .opcode = opcode, .size = word_size(w), .has_modrm = true};
}

static void finish_bytes(struct writer *w, struct form *f)
{
    if (f->byte_reg)
        f->reg = byte_variant(w, f->reg, 1);
    if (f->byte_rm && !f->rm.mem)
        f->rm.reg = (u8)byte_variant(w, f->rm.reg, 1);
}

void put_stack(struct writer *w, unsigned opcode, unsigned reg)
{
    struct form f = {.opcode = (opcode + (reg & 7)) | (reg & 8 ? 0x100u : 0)};
    if (put_insn(w, &f))
        w->pushed += opcode == 0x50 ? slot_size(w) : 0u - slot_size(w);
}

static bool put_alu(struct writer *w)
{
    unsigned op = (unsigned)rng_below(w->rng, 8);
    struct form f = sized(w, 0, op << 3);

    switch (rng_below(w->rng, 3)) {
    case 0: /* r/m, r */
        f.rm = data_or_memory(w);
        f.reg = pick(w, w->used);
        if (op != 7)
            lock_sometimes(w, &f);
        break;
    case 1: /* r, r/m */
        f.opcode |= 2;
        f.rm = used_or_memory(w);
        f.reg = pick(w, w->data);
        break;
    default:
        f.opcode = f.size == 1 ? 0x80 : one_in(w->rng, 2) ? 0x81 : 0x83;
        f.byte_reg = false;
        f.reg = op;
        f.rm = data_or_memory(w);
        f.imm = random_imm(w->rng);
        f.imm_bytes = f.opcode != 0x81 ? 1 : f.size == 2 ? 2 : 4;
    }
    finish_bytes(w, &f);
    return put_insn(w, &f);
}

static bool put_mov(struct writer *w)
{
    struct form f = sized(w, 0, 0x88);
    unsigned how = (unsigned)rng_below(w->rng, 6);

    if (how < 2) {
        f.rm = data_or_memory(w);
        f.reg = pick(w, w->used);
    } else if (how < 5) {
        f.opcode |= 2;
        f.rm = used_or_memory(w);
        f.reg = pick(w, w->data);
    } else {
        f.opcode = f.size == 1 ? 0xc6 : 0xc7;
        f.byte_reg = false;
        f.rm = data_or_memory(w);
        f.imm = random_imm(w->rng);
        f.imm_bytes = f.size > 4 ? 4 : f.size;
    }
    finish_bytes(w, &f);
    return put_insn(w, &f);
}

/* MOVZX, MOVSX and MOVSXD; of an index too, when it is a byte. */
static bool put_extension(struct writer *w)
{
    static const u8 opcodes[] = {0xb6, 0xb7, 0xbe, 0xbf};
    struct form f = worded(w, 0x0f, opcodes[rng_below(w->rng, 4)]);

    f.byte_rm = !(f.opcode & 1);
    f.rm = used_or_memory(w);
    f.reg = pick(w, w->data);
    if (w->loop->indexes && one_in(w->rng, 3)) {
        f.opcode = 0xb6;
        f.byte_rm = true;
        f.size = one_in(w->rng, 2) ? 4 : slot_size(w);
        f.reg = pick(w, w->loop->indexes);
    } else if (w->is64 && one_in(w->rng, 4)) {
        f = (struct form){.opcode = 0x63, .size = 8, .has_modrm = true, .reg = f.reg, .rm = f.rm};
    }
    finish_bytes(w, &f);
    return put_insn(w, &f);
}

/* An index gets another value: masked, or shifted down until it is small. */
static bool put_index(struct writer *w)
{
    static const u8 masks[] = {0x3f, 0x1f, 0x70, 0x7f, 7};
    struct form mov = {.opcode = 0x8b, .size = 4, .has_modrm = true};
    struct form mask = {.opcode = 0x83, .size = 4, .has_modrm = true, .imm_bytes = 1, .reg = 4};

    if (!w->loop->indexes)
        return false;
    if (w->undefined)
        define_flags(w); /* which a shift may keep */
    mov.reg = pick(w, w->loop->indexes);
    mov.rm = used_or_memory(w);
    mask.rm = reg_operand(mov.reg);
    mask.imm = masks[rng_below(w->rng, ARRAY_SIZE(masks))];
    if (one_in(w->rng, 3)) {
        mask.opcode = 0xc1;
        mask.reg = 5;
        mask.imm = 24 + rng_below(w->rng, 8);
    } else if (w->is64 && one_in(w->rng, 2)) {
        mask.size = mov.size = 8;
    }
    return put_insn(w, &mov) && put_insn(w, &mask);
}

static bool put_lea(struct writer *w)
{
    struct form f = worded(w, 0, 0x8d);
    f.reg = pick(w, w->data);
    f.rm = random_memory(w);
    if (one_in(w->rng, 2) && f.rm.base != NO_REG)
        f.rm.base = (int)pick(w, w->used);
    return put_insn(w, &f);
}

/* A pointer is made of another, by LEA, MOV, CMOV or PUSH and POP; never of one with a higher
 * number, so that they stay near. */
static bool put_pointer(struct writer *w)
{
    unsigned from = pick(w, w->loop->bases), to = pick(w, w->loop->bases);
    struct form f = {.opcode = 0x8d, .size = slot_size(w), .has_modrm = true, .reg = to};

    unsigned how = (unsigned)rng_below(w->rng, 6);

    if (from >= to || w->alone)
        return false;
    if (how == 0) {
        put_stack(w, 0x50, from);
        put_stack(w, 0x58, to);
        return true;
    }
    f.rm = (struct operand){.mem = true, .base = (int)from, .index = NO_REG};
    f.rm.disp = random_disp(w->rng);
    if (how < 3) {
        f.opcode = 0x8b;
        f.rm = reg_operand(from);
    } else if (how == 3) {
        f.map = 0x0f;
        f.opcode = 0x40 + (unsigned)rng_below(w->rng, 16);
        f.rm = reg_operand(from);
    }
    return put_insn(w, &f);
}

/* INC, DEC, NOT, NEG, MUL, IMUL and TEST with an immediate. */
static bool put_unary(struct writer *w)
{
    static const u8 ops[] = {0, 1, 2, 3, 2, 3, 4, 5, 0};
    unsigned op = (unsigned)rng_below(w->rng, ARRAY_SIZE(ops));
    bool multiplies = op == 6 || op == 7, tests = op == 8;
    struct form f = sized(w, 0, op < 2 ? 0xfe : 0xf6);

    if (multiplies && (w->data & 5) != 5) /* RAX and RDX */
        return false;
    f.byte_reg = false;
    f.reg = ops[op];
    f.rm = data_or_memory(w);
    if (!multiplies && !tests)
        lock_sometimes(w, &f);
    f.imm = random_imm(w->rng);
    f.imm_bytes = !tests ? 0 : f.size > 4 ? 4 : f.size;
    finish_bytes(w, &f);
    return put_insn(w, &f);
}

/* The divisor is a data register that is made odd; the dividend is not greater than 64 bits. */
static bool put_div(struct writer *w)
{
    struct form zero = {.opcode = 0x31, .size = 4, .has_modrm = true, .reg = RDX};
    struct form odd = {.opcode = 0x83, .size = slot_size(w), .has_modrm = true, .reg = 1};
    struct form div = {.opcode = 0xf7, .size = slot_size(w), .has_modrm = true, .reg = 6};
    u32 others = w->data & ~5u;

    if ((w->data & 5) != 5 || !others)
        return false;
    zero.rm = reg_operand(RDX);
    odd.rm = div.rm = reg_operand(pick(w, others));
    odd.imm = 1;
    odd.imm_bytes = 1;
    return put_insn(w, &zero) && put_insn(w, &odd) && put_insn(w, &div);
}

static bool put_imul(struct writer *w)
{
    struct form f = worded(w, 0x0f, 0xaf);
    f.reg = pick(w, w->data);
    f.rm = used_or_memory(w);
    if (one_in(w->rng, 2)) {
        f.map = 0;
        f.opcode = one_in(w->rng, 2) ? 0x6b : 0x69;
        f.imm = random_imm(w->rng);
        f.imm_bytes = f.opcode == 0x6b ? 1 : f.size == 2 ? 2 : 4;
    }
    return put_insn(w, &f);
}

static bool put_shift(struct writer *w)
{
    static const u8 opcodes[] = {0xc0, 0xd0, 0xd2};
    struct form f = sized(w, 0, opcodes[rng_below(w->rng, 3)]);

    f.byte_reg = false;
    f.imm_bytes = (f.opcode & 0xfe) == 0xc0;
    f.imm = rng_below(w->rng, 40);
    f.reg = (unsigned)rng_below(w->rng, 8);
    f.rm = data_or_memory(w);
    finish_bytes(w, &f);
    return put_insn(w, &f);
}

/* SHLD and SHRD, by what leaves no result undefined. */
static bool put_double_shift(struct writer *w)
{
    struct form f = worded(w, 0x0f, one_in(w->rng, 2) ? 0xa4 : 0xac);
    f.reg = pick(w, w->used);
    f.rm = data_or_memory(w);
    f.imm_bytes = 1;
    f.imm = rng_below(w->rng, 16);
    return put_insn(w, &f);
}

static bool put_bit_test(struct writer *w)
{
    struct form f = worded(w, 0x0f, 0xba);
    unsigned op = (unsigned)rng_below(w->rng, 4);

    f.reg = 4 + op;
    f.rm = data_or_memory(w);
    f.imm_bytes = 1;
    f.imm = rng_below(w->rng, 64);
    if (op)
        lock_sometimes(w, &f);
    if (!f.rm.mem && one_in(w->rng, 2)) {
        f.opcode = 0xa3 + 8 * op;
        f.reg = pick(w, w->used);
        f.imm_bytes = 0;
    }
    return put_insn(w, &f);
}

static bool put_conditional(struct writer *w)
{
    unsigned cc = (unsigned)rng_below(w->rng, 16);
    struct form f = worded(w, 0x0f, 0x40 + cc);

    f.reg = pick(w, w->data);
    f.rm = used_or_memory(w);
    if (one_in(w->rng, 2)) {
        f = (struct form){.map = 0x0f, .opcode = 0x90 + cc, .size = 1, .has_modrm = true};
        f.byte_rm = true;
        f.rm = data_or_memory(w);
    }
    finish_bytes(w, &f);
    return put_insn(w, &f);
}

/* XCHG, XADD, CMPXCHG. */
static bool put_exchange(struct writer *w)
{
    unsigned kind = (unsigned)rng_below(w->rng, 3);
    struct form f = sized(w, kind ? 0x0f : 0, kind == 0 ? 0x86 : kind == 1 ? 0xc0 : 0xb0);

    if (kind == 2 && !(w->data & BIT(RAX)))
        return false;
    f.reg = pick(w, kind == 2 ? w->used : w->data);
    f.rm = kind ? data_or_memory(w) : aligned_memory(w); /* XCHG locks by itself */
    if (kind)
        lock_sometimes(w, &f);
    finish_bytes(w, &f);
    return put_insn(w, &f);
}

/* What has no operands, or one register in its opcode. */
static bool put_short(struct writer *w)
{
    static const u8 opcodes[] = {0x98, 0x99, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9, 0x90};
    unsigned op = opcodes[rng_below(w->rng, 8)];
    struct form f = {.opcode = op, .size = word_size(w)};

    if ((op == 0x98 || op == 0x9f) && !(w->data & BIT(RAX)))
        return false;
    if (op == 0x99 && !(w->data & BIT(RDX)))
        return false;
    if (one_in(w->rng, 4)) { /* BSWAP */
        unsigned r = pick(w, w->data);
        f = (struct form){.map = 0x0f, .opcode = 0xc8 + (r & 7), .size = slot_size(w)};
        f.opcode |= r & 8 ? 0x100 : 0;
    }
    return put_insn(w, &f);
}

/* POPCNT, TZCNT, LZCNT, MOVBE. */
static bool put_count(struct writer *w)
{
    static const u8 opcodes[] = {0xb8, 0xbc, 0xbd};
    struct form f = worded(w, 0x0f, opcodes[rng_below(w->rng, 3)]);

    f.prefix = 0xf3;
    f.reg = pick(w, w->data);
    f.rm = used_or_memory(w);
    if (one_in(w->rng, 4)) {
        f.map = 0x0f38;
        f.opcode = 0xf0 + (unsigned)rng_below(w->rng, 2);
        f.prefix = 0;
        f.rm = random_memory(w);
    }
    return put_insn(w, &f);
}

/* BMI: ANDN, BLSR and their like, BZHI, SARX, SHLX, SHRX, RORX. */
static bool put_bmi(struct writer *w)
{
    static const struct {
        u16 map, opcode;
        u8 prefix, extension; /* of F3 */
    } rows[] = {{0x0f38, 0xf2, 0, 0},    {0x0f38, 0xf3, 0, 1},    {0x0f38, 0xf3, 0, 3},
                {0x0f38, 0xf5, 0, 0},    {0x0f38, 0xf7, 0xf3, 0}, {0x0f38, 0xf7, 0x66, 0},
                {0x0f38, 0xf7, 0xf2, 0}, {0x0f3a, 0xf0, 0xf2, 0}};
    unsigned i = (unsigned)rng_below(w->rng, ARRAY_SIZE(rows));
    struct form f = {.map = rows[i].map, .opcode = rows[i].opcode, .prefix = rows[i].prefix};

    f.vex = f.has_modrm = true;
    f.size = w->is64 && one_in(w->rng, 2) ? 8 : 4;
    f.reg = pick(w, w->data);
    f.rm = used_or_memory(w);
    f.vvvv = pick(w, w->used);
    if (rows[i].extension) {
        f.vvvv = f.reg;
        f.reg = rows[i].extension;
    }
    if (f.map == 0x0f3a) {
        f.vvvv = 0;
        f.imm_bytes = 1;
        f.imm = rng_below(w->rng, 64);
    }
    return put_insn(w, &f);
}

/* MOVS, STOS, LODS from and to where pointers point; repeated, too. */
static bool put_string(struct writer *w)
{
    static const u8 opcodes[] = {0xa4, 0xaa, 0xac};
    u32 needed = BIT(RAX) | BIT(RCX) | BIT(RSI) | BIT(RDI);
    struct form f = {.opcode = opcodes[rng_below(w->rng, 3)]}, mov;

    if ((w->data & needed) != needed)
        return false;
    mov = (struct form){.opcode = 0x8b, .size = slot_size(w), .has_modrm = true};
    mov.rm = reg_operand(pick(w, w->loop->bases));
    mov.reg = RSI;
    put_insn(w, &mov);
    mov.rm = reg_operand(pick(w, w->loop->bases));
    mov.reg = RDI;
    put_insn(w, &mov);
    if (w->loop->indexes && one_in(w->rng, 2)) {
        mov.rm = reg_operand(pick(w, w->loop->indexes));
        mov.reg = RCX;
        put_insn(w, &mov);
        f.prefix = 0xf3;
    }
    f.opcode += (unsigned)rng_below(w->rng, 2);
    f.size = f.opcode & 1 ? word_size(w) : 0;
    return put_insn(w, &f);
}

/* FLD, FILD, FADD, FMUL, FXCH and FSTP, so that the stack is neither full nor empty for long. */
static bool put_x87(struct writer *w)
{
    static const u8 loads[] = {0xd9, 0xdd, 0xdb}, ops[] = {0xd8, 0xdc, 0xda};
    struct form load = {.opcode = loads[rng_below(w->rng, 3)], .has_modrm = true};
    struct form op = {.opcode = ops[rng_below(w->rng, 3)], .has_modrm = true};
    struct form store = {.opcode = one_in(w->rng, 2) ? 0xd9 : 0xdd, .has_modrm = true, .reg = 3};

    load.rm = random_memory(w);
    op.rm = random_memory(w);
    op.reg = (unsigned)rng_below(w->rng, 2);
    if (op.opcode == 0xd8 && one_in(w->rng, 2))
        op.rm = reg_operand((unsigned)rng_below(w->rng, 8));
    store.rm = random_memory(w);
    return put_insn(w, &load) && put_insn(w, &op) && put_insn(w, &store);
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* Opcodes of map 0F: the prefixes that they have (1 none, 2 66, 4 F3, 8 F2) and the letters of
 * what they do to general registers. */
static const struct {
    u8 opcode, prefixes;
    char kind; /* a aligned, u unaligned, s scalar, g from a general register, r to one */
    bool store;
} vectors[] = {
    {0x10, 15, 'u', false}, {0x11, 15, 'u', true},  {0x6f, 4, 'u', false},  {0x7f, 4, 'u', true},
    {0x28, 3, 'a', false},  {0x29, 3, 'a', true},   {0x57, 3, 'a', false},  {0x54, 3, 'a', false},
    {0x58, 15, 'x', false}, {0x59, 15, 'x', false}, {0x5c, 15, 'x', false}, {0x5f, 15, 'x', false},
    {0xef, 2, 'a', false},  {0xfe, 2, 'a', false},  {0xd4, 2, 'a', false},  {0x62, 2, 'a', false},
    {0x74, 2, 'a', false},  {0x6e, 2, 'g', false},  {0x7e, 2, 'r', true},   {0x7e, 4, 's', false},
    {0xd6, 2, 's', true},   {0x2a, 12, 'g', false}, {0x2c, 12, 'r', false}, {0x2e, 3, 's', false},
    {0xd7, 2, 'm', false},  {0x13, 3, 'l', true},
};

static unsigned choose_prefix(struct writer *w, unsigned set)
{
    static const u8 prefix[] = {0, 0x66, 0xf3, 0xf2};
    unsigned i;
    do
        i = (unsigned)rng_below(w->rng, 4);
    while (!(set >> i & 1));
    return prefix[i];
}

static bool put_vector(struct writer *w)
{
    unsigned i = (unsigned)rng_below(w->rng, ARRAY_SIZE(vectors)), n = w->is64 ? 16 : 8;
    struct form f = {.map = 0x0f, .opcode = vectors[i].opcode, .has_modrm = true};
    char kind = vectors[i].kind;
    bool mem = one_in(w->rng, 2) || kind == 'l';

    f.prefix = choose_prefix(w, vectors[i].prefixes);
    f.reg = (unsigned)rng_below(w->rng, n);
    f.rm = mem ? random_memory(w) : reg_operand((unsigned)rng_below(w->rng, n));
    if (mem && (kind == 'a' || (kind == 'x' && f.prefix < 0x67)))
        f.rm = one_in(w->rng, 64) ? f.rm : aligned_memory(w);
    if (kind == 'g' && !mem)
        f.rm = reg_operand(pick(w, w->used));
    if (kind == 'g' || kind == 'r')
        f.size = w->is64 && one_in(w->rng, 2) ? 8 : 4;
    if (kind == 'r' && !vectors[i].store)
        f.reg = pick(w, w->data);
    if (kind == 'r' && vectors[i].store && !mem)
        f.rm = reg_operand(pick(w, w->data));
    if (kind == 'm') {
        f.reg = pick(w, w->data);
        f.rm = reg_operand((unsigned)rng_below(w->rng, n));
    }
    if (strchr("uax", kind) && f.opcode != 0x10 && f.opcode != 0x11 && one_in(w->rng, 4)) {
        bool two = kind == 'u' || f.opcode == 0x28 || f.opcode == 0x29;
        f.vex = true;
        f.vex_l = one_in(w->rng, 2);
        f.vvvv = two ? 0 : (unsigned)rng_below(w->rng, n);
    }
    return put_insn(w, &f);
}

/* ---- choice ---------------------------------------------------------------------------------- */

void define_flags(struct writer *w)
{
    struct form f = {.opcode = 0x39, .size = slot_size(w), .has_modrm = true};
    f.reg = pick(w, w->used);
    f.rm = reg_operand(pick(w, w->used));
    put_insn(w, &f);
}

void random_insn(struct writer *w)
{
    typedef bool maker(struct writer *);
    static maker *const common[] = {put_alu,   put_alu,   put_alu,         put_mov,
                                    put_mov,   put_mov,   put_extension,   put_lea,
                                    put_unary, put_index, put_conditional, put_conditional,
                                    put_vector},
                        *const others[] = {
                            put_div,      put_imul,   put_shift, put_double_shift, put_bit_test,
                            put_exchange, put_short,  put_count, put_pointer,      put_bmi,
                            put_bit_test, put_string, put_x87};

    for (unsigned i = 0; i < 20 && has_room(w); i++) {
        maker *m = one_in(w->rng, 3) ? others[rng_below(w->rng, ARRAY_SIZE(others))]
                                     : common[rng_below(w->rng, ARRAY_SIZE(common))];
        if (m(w))
            return;
    }
}
