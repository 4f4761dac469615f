/*
 * oracle_loops.c: random programs of loops that get hot: what translators record, make into traces,
 * and check once for several accesses. See oracle.h.
 *
 * A program is one or two loops, one perhaps inside of the other, with branches that go both ways,
 * calls of small functions, jumps and calls by tables. It ends, or a page is missing in the middle.
 * Its addresses stay in DATA and STACK or go to where nothing is, on the host too; nothing but the
 * stack's own instructions reaches return addresses. Which flags are undefined is known at every
 * place, so that a fault can be compared anywhere, and no instruction reads them.
 */
#include "tests/insn/oracle_loops.h"
#include <stdlib.h>

#define LEAVES 3u
#define TABLES 4u /* of four entries */

struct leaf {
    u32 at;
    unsigned args; /* bytes that it drops */
    u64 undefined; /* behind it */
};

struct program {
    struct writer w;
    struct leaf leaf[LEAVES];
    unsigned leaves, tables;
    u64 leaf_undefined; /* in front of each */
    unsigned budget;    /* times round, of all loops together */
    unsigned around;    /* times that the loops around this place go round */
    u32 table_at;
};

/* An instruction that is always there: no flags are read, all registers can be encoded. */
static void put_reg(struct writer *w, unsigned opcode, unsigned reg, unsigned rm)
{
    struct form f = {.opcode = opcode, .size = slot_size(w), .has_modrm = true, .reg = reg};
    f.rm = reg_operand(rm);
    put_insn(w, &f);
}

static void put_reg_imm(struct writer *w, unsigned opcode, unsigned reg, unsigned rm, u32 imm)
{
    struct form f = {.opcode = opcode, .size = slot_size(w), .has_modrm = true, .reg = reg};
    f.rm = reg_operand(rm);
    f.imm_bytes = 4;
    f.imm = imm;
    put_insn(w, &f);
}

/* ---- jumps ----------------------------------------------------------------------------------- */

/* Returns where the jump's displacement ends. */
static u32 put_jump(struct writer *w, unsigned map, unsigned opcode)
{
    struct form f = {.map = map, .opcode = opcode, .imm_bytes = 4};
    return put_insn(w, &f) ? w->c->len : 0;
}

static void aim(struct writer *w, u32 jump, u32 target)
{
    st_le32(w->c->bytes + jump - 4, target - jump);
}

static void aim_here(struct writer *w, u32 jump)
{
    aim(w, jump, w->c->len);
}

static void fill_entry(struct program *p, unsigned table, unsigned n, u32 target)
{
    u32 slot = slot_size(&p->w), at = p->table_at + (table * 4 + n) * slot;
    st_le32(p->w.c->bytes + at, ORACLE_CODE + p->w.c->at + target);
    if (slot == 8)
        st_le32(p->w.c->bytes + at + 4, 0);
}

/* A data register gets a random number below 4. */
static unsigned put_choice(struct writer *w)
{
    unsigned r = pick(w, w->data);
    put_reg(w, 0x89, pick(w, w->used), r);
    put_reg_imm(w, 0x81, 4, r, 3);
    return r;
}

/* JMP /4 or CALL /2 by a table, or by a register that was loaded from it. */
static void put_by_table(struct program *p, unsigned extension, unsigned table)
{
    struct writer *w = &p->w;
    unsigned r = put_choice(w);
    struct form f = {.opcode = 0xff, .has_modrm = true, .reg = extension};

    if (extension == 2 && w->undefined & ~p->leaf_undefined)
        define_flags(w);
    f.rm = (struct operand){.mem = true, .base = NO_REG, .index = (int)r};
    f.rm.scale = w->is64 ? 3 : 2;
    f.rm.disp = (s32)(ORACLE_CODE + w->c->at + p->table_at + table * 4 * slot_size(w));
    if (one_in(w->rng, 3)) {
        struct form load = {.opcode = 0x8b, .size = slot_size(w), .has_modrm = true, .reg = r};
        load.rm = f.rm;
        put_insn(w, &load);
        f.rm = reg_operand(r);
    }
    put_insn(w, &f);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static void put_pieces(struct program *p, unsigned depth);

static void put_insns(struct program *p, unsigned max)
{
    for (unsigned n = 1 + (unsigned)rng_below(p->w.rng, max); n; n--)
        random_insn(&p->w);
}

/* Jumps over what follows, now and then or as the data will have it. */
static u32 put_branch(struct writer *w)
{
    u32 jump = 0;

    if (one_in(w->rng, 2)) {
        unsigned bits = (unsigned)rng_below(w->rng, 6);
        put_reg_imm(w, 0xf7, 0, pick(w, w->used & ~w->loop->bases), (1u << bits) - 1);
        jump = put_jump(w, 0x0f, 0x84 + (unsigned)rng_below(w->rng, 2));
    }
    for (unsigned i = 0; i < 3 && !jump; i++)
        jump = put_jump(w, 0x0f, 0x80 + (unsigned)rng_below(w->rng, 16));
    if (!jump) {
        define_flags(w);
        jump = put_jump(w, 0x0f, 0x80 + (unsigned)rng_below(w->rng, 16));
    }
    return jump;
}

static void put_if(struct program *p, unsigned depth)
{
    struct writer *w = &p->w;
    u32 over = put_branch(w), out = 0;
    u64 undefined = w->undefined;

    put_pieces(p, depth);
    if (one_in(w->rng, 2)) {
        u64 then = w->undefined;
        out = put_jump(w, 0, 0xe9);
        aim_here(w, over);
        w->undefined = undefined;
        put_pieces(p, depth);
        w->undefined |= then;
        aim_here(w, out);
    } else {
        aim_here(w, over);
        w->undefined |= undefined;
    }
}

static void put_call(struct program *p)
{
    struct writer *w = &p->w;
    unsigned n = (unsigned)rng_below(w->rng, p->leaves);
    struct leaf *leaf = &p->leaf[n];

    for (unsigned i = 0; i < leaf->args; i += slot_size(w))
        put_stack(w, 0x50, pick(w, w->used));
    if (one_in(w->rng, 4) && p->tables < TABLES) {
        for (unsigned i = 0; i < 4; i++) {
            unsigned other = (unsigned)rng_below(w->rng, p->leaves);
            fill_entry(p, p->tables, i, p->leaf[p->leaf[other].args == leaf->args ? other : n].at);
        }
        put_by_table(p, 2, p->tables++);
        w->undefined = F_ALL;
    } else {
        if (w->undefined & ~p->leaf_undefined)
            define_flags(w);
        aim(w, put_jump(w, 0, 0xe8), leaf->at);
        w->undefined = leaf->undefined;
    }
    w->pushed -= leaf->args;
}

static void put_switch(struct program *p)
{
    struct writer *w = &p->w;
    unsigned table = p->tables++, cases = 2 + (unsigned)rng_below(w->rng, 3);
    u32 out[4];
    u64 after = 0, undefined;

    put_by_table(p, 4, table);
    undefined = w->undefined;
    for (unsigned i = 0; i < cases; i++) {
        fill_entry(p, table, i, w->c->len);
        if (i + 1 == cases)
            fill_entry(p, table, 3, w->c->len);
        if (i == 1)
            fill_entry(p, table, 2, w->c->len);
        w->undefined = undefined;
        put_insns(p, 3);
        out[i] = put_jump(w, 0, 0xe9);
        after |= w->undefined;
    }
    for (unsigned i = 0; i < cases; i++)
        aim_here(w, out[i]);
    w->undefined = after;
}

/* Registers are pushed, also pointers; what is popped is data. */
static void put_push_and_pop(struct program *p, unsigned depth)
{
    struct writer *w = &p->w;
    unsigned n = 1 + (unsigned)rng_below(w->rng, 3);

    for (unsigned i = 0; i < n; i++)
        put_stack(w, 0x50, pick(w, w->used));
    put_pieces(p, depth);
    for (unsigned i = 0; i < n; i++)
        put_stack(w, 0x58, pick(w, w->data));
}

static void put_frame(struct program *p, unsigned depth)
{
    struct writer *w = &p->w;
    u32 data = w->data, used = w->used, bases = w->loop->bases, indexes = w->loop->indexes;
    unsigned pushed = w->pushed, frame = w->frame;
    struct form leave = {.opcode = 0xc9};

    if ((data | bases | indexes) == BIT(RBP) || data == BIT(RBP) || bases == BIT(RBP) ||
        !(used & ~BIT(RBP)))
        return;
    put_stack(w, 0x50, RBP);
    put_reg(w, 0x89, RSP, RBP);
    w->frame = 0x40 + (unsigned)rng_below(w->rng, 8) * 8;
    put_reg_imm(w, 0x81, 5, RSP, w->frame);
    w->pushed += w->frame;
    w->data &= ~BIT(RBP);
    w->used &= ~BIT(RBP);
    w->loop->bases &= ~BIT(RBP);
    w->loop->indexes &= ~BIT(RBP);
    put_pieces(p, depth);
    put_insn(w, &leave);
    w->pushed = pushed;
    w->frame = frame;
    w->data = data;
    w->used = used;
    w->loop->bases = bases;
    w->loop->indexes = indexes;
}

/* A data register is a pointer for a while. */
static void put_temporary(struct program *p, unsigned depth)
{
    struct writer *w = &p->w;
    unsigned r = pick(w, w->data);
    bool alone = w->alone;
    struct form lea = {.opcode = 0x8d, .size = slot_size(w), .has_modrm = true, .reg = r};

    if (w->data == BIT(r))
        return;
    lea.rm = (struct operand){.mem = true, .base = (int)pick(w, w->loop->bases), .index = NO_REG};
    lea.rm.disp = (s32)rng_below(w->rng, 64) * 4 - 128;
    if (w->loop->indexes && one_in(w->rng, 3))
        lea.rm.index = (int)pick(w, w->loop->indexes);
    put_insn(w, &lea);
    w->alone = true;
    w->data &= ~BIT(r);
    w->loop->bases |= BIT(r);
    put_pieces(p, depth);
    w->loop->bases &= ~BIT(r);
    w->data |= BIT(r);
    w->alone = alone;
}

static void put_pieces(struct program *p, unsigned depth)
{
    struct writer *w = &p->w;

    put_insns(p, 5);
    for (unsigned n = depth ? (unsigned)rng_below(w->rng, 3) : 0; n && has_room(w); n--) {
        switch (rng_below(w->rng, 9)) {
        case 0:
        case 1:
        case 2: put_if(p, depth - 1); break;
        case 3:
            if (p->leaves && !w->frame && !w->alone) /* they use registers in their way */
                put_call(p);
            break;
        case 4:
            if (p->tables < TABLES)
                put_switch(p);
            break;
        case 5: put_push_and_pop(p, depth - 1); break;
        case 6: put_frame(p, depth - 1); break;
        case 7: put_temporary(p, depth - 1); break;
        default: put_insns(p, 4);
        }
    }
}

/* ---- loops ----------------------------------------------------------------------------------- */

/* The pointer goes on; it is set back where it would leave DATA, or it does not get so far, or it
 * runs into what lies behind, but not to STACK. */
static void put_step(struct program *p, unsigned base)
{
    static const s16 steps[] = {1, 2, 4, 8, 8, 16, 24, 64, -8, -16, 0x101, 0x400};
    struct writer *w = &p->w;
    s32 step = steps[rng_below(w->rng, ARRAY_SIZE(steps))];
    u32 over, way = (u32)abs(step) * p->around;
    bool back = way > 0x4000 || (way > 0xc00 && !one_in(w->rng, 8));

    if (one_in(w->rng, 2)) {
        put_reg_imm(w, 0x81, 0, base, (u32)step);
    } else {
        struct form lea = {.opcode = 0x8d, .size = slot_size(w), .has_modrm = true, .reg = base};
        lea.rm = (struct operand){.mem = true, .base = (int)base, .index = NO_REG, .disp = step};
        put_insn(w, &lea);
    }
    if (!back)
        return;
    put_reg_imm(w, 0x81, 7, base, step > 0 ? ORACLE_DATA + 0x1900 : ORACLE_DATA + 0x500);
    over = put_jump(w, 0x0f, step > 0 ? 0x82 : 0x83);
    put_reg_imm(w, 0x81, step > 0 ? 5 : 0, base, 0x1200);
    aim_here(w, over);
}

/* The end of a loop: counts down, or up from a negative number. */
static void put_back(struct program *p, unsigned counter, bool up, u32 top)
{
    struct writer *w = &p->w;
    static const u8 cc[] = {0x85, 0x85, 0x89, 0x8f};
    unsigned how = (unsigned)rng_below(w->rng, 3), reg = up ? 0 : 1;
    u32 jump;

    if (how == 0) { /* INC, DEC */
        put_reg(w, 0xff, reg, counter);
    } else if (how == 1) {
        put_reg_imm(w, 0x81, up ? 0 : 5, counter, 1);
    } else { /* by LEA and TEST, or CMP */
        struct form lea = {.opcode = 0x8d, .size = slot_size(w), .has_modrm = true, .reg = counter};
        lea.rm = (struct operand){.mem = true, .base = (int)counter, .index = NO_REG};
        lea.rm.disp = up ? 1 : -1;
        put_insn(w, &lea);
        if (one_in(w->rng, 2))
            put_reg(w, 0x85, counter, counter);
        else
            put_reg_imm(w, 0x81, 7, counter, 0);
    }
    jump = put_jump(w, 0x0f, up ? 0x85 : cc[rng_below(w->rng, 4)]);
    aim(w, jump, top);
}

static void put_loop(struct program *p, unsigned nesting)
{
    struct writer *w = &p->w;
    unsigned counter = pick(w, w->counters);
    unsigned around = p->around, times = 1u << (4 + rng_below(w->rng, 8));
    bool up = one_in(w->rng, 4), defined = one_in(w->rng, 2);
    u32 top, stepping = w->loop->bases & (u32)rng_next(w->rng);

    w->counters &= ~BIT(counter);
    times = times > p->budget / around ? p->budget / around + 1 : times;
    times += (unsigned)rng_below(w->rng, times);
    p->around *= times;
    put_reg_imm(w, 0xc7, 0, counter, up ? 0 - times : times);
    if (defined && w->undefined)
        define_flags(w);
    w->undefined = defined ? 0 : F_ALL;
    top = w->c->len;
    put_pieces(p, 2);
    if (nesting && has_room(w)) {
        put_loop(p, nesting - 1);
        put_pieces(p, 1);
    }
    for (unsigned r = 0; r < 16; r++)
        if (stepping >> r & 1)
            put_step(p, r);
    if (defined && w->undefined)
        define_flags(w);
    put_back(p, counter, up, top);
    w->counters |= BIT(counter);
    p->around = around;
}

/* ---- programs -------------------------------------------------------------------------------- */

static u32 take(struct writer *w, u32 *free, unsigned n)
{
    u32 regs = 0;
    while (n-- && *free) {
        unsigned r = pick(w, *free);
        *free &= ~BIT(r);
        regs |= BIT(r);
    }
    return regs;
}

/* Few registers, so that some are left over for the translator, or many. */
static void choose_roles(struct writer *w)
{
    u32 free = w->is64 ? 0xffef : 0xef;

    if (one_in(w->rng, 2))
        w->data = 5; /* RAX, RDX: what multiplications need */
    free &= ~w->data;
    w->loop->bases = take(w, &free, 1 + (unsigned)rng_below(w->rng, 2 + w->is64));
    w->loop->indexes = take(w, &free, (unsigned)rng_below(w->rng, 2 + w->is64));
    w->counters = take(w, &free, 2);
    w->data |= take(w, &free, 1 + (unsigned)rng_below(w->rng, w->is64 ? 6 : 3));
    w->used = w->data | w->counters | w->loop->bases | w->loop->indexes;
    for (unsigned i = 0; i < 2; i++)
        w->near[i] = one_in(w->rng, 2);
}

static void put_leaf(struct program *p)
{
    struct writer *w = &p->w;
    struct leaf *leaf = &p->leaf[p->leaves];
    struct form ret = {.opcode = 0xc3};

    leaf->at = w->c->len;
    leaf->args = one_in(w->rng, 4) ? slot_size(w) * (1 + (unsigned)rng_below(w->rng, 2)) : 0;
    w->pushed = slot_size(w) + leaf->args;
    w->in_leaf = true;
    w->undefined = p->leaf_undefined;
    put_pieces(p, one_in(w->rng, 2));
    if (leaf->args)
        ret = (struct form){.opcode = 0xc2, .imm_bytes = 2, .imm = leaf->args};
    put_insn(w, &ret);
    leaf->undefined = w->undefined;
    p->leaves++;
}

/* Functions and tables come first; sometimes they are in another page than the loops. */
static void put_functions(struct program *p)
{
    struct writer *w = &p->w;
    u32 over = put_jump(w, 0, 0xe9);

    p->table_at = w->c->len;
    memset(w->c->bytes + w->c->len, 0xcc, TABLES * 4 * 8);
    w->c->len += TABLES * 4 * 8;
    for (unsigned n = (unsigned)rng_below(w->rng, LEAVES + 1); n; n--)
        put_leaf(p);
    w->pushed = 0;
    w->in_leaf = false;
    w->undefined = 0;
    aim_here(w, over);
}

void oracle_generate_loop(u64 number, unsigned code, u64 gates, struct oracle_loop *l)
{
    struct program p = {.budget = 2048, .around = 1};
    struct writer *w = &p.w;
    struct oracle_case *c = &l->c;
    struct rng *rng = &l->rng;

    rng_seed(rng, number);
    *w = (struct writer){.rng = rng, .loop = l, .c = c, .gates = gates, .is64 = code == 64};
    c->code = code;
    c->at = one_in(rng, 2) ? 0x100 : 0x1000 - (unsigned)rng_below(rng, 1024);
    c->len = c->count = 0;
    c->undefined = 0;
    c->flags_dead = false;
    c->program = number;
    l->runs = 0;
    l->segments = false;
    for (unsigned i = 0; i < ARRAY_SIZE(l->undefined); i++)
        l->undefined[i] = F_ALL;
    choose_roles(w);
    p.leaf_undefined = one_in(rng, 2) ? F_ALL : 0;
    put_functions(&p);
    put_loop(&p, one_in(rng, 3));
    if (one_in(rng, 4) && has_room(w))
        put_loop(&p, 0);
    l->undefined_at_end = (u16)w->undefined;
    for (unsigned i = 0; i < 2; i++)
        c->seg_base[i] = !l->segments ? 0
                         : w->near[i] ? 8 * (1 + (u32)rng_below(rng, 64))
                                      : random_place(rng);
}

void oracle_loop_state(struct oracle_loop *l)
{
    struct rng *rng = &l->rng;
    struct oracle_case *c = &l->c;
    u64 *gpr = c->before.gpr;

    oracle_generate_state(rng, c);
    c->before.flags &= ~(u64)EFLAGS_DF;
    if (!one_in(rng, 16)) {
        st_le32(c->before.fx + 24, 0x1f80);
        st_le16(c->before.fx, 0x37f);
        st_le16(c->before.fx + 2, 0);
    }
    for (unsigned i = 0; i < 16; i++)
        if (l->bases >> i & 1)
            gpr[i] = random_place(rng);
        else if (l->indexes >> i & 1)
            gpr[i] = rng_below(rng, 128);
    gpr[RSP] = ORACLE_STACK + (one_in(rng, 4) ? 0xfc0 + rng_below(rng, 17) * 8
                                              : 0x400 + rng_below(rng, 0x180) * 16);
    for (unsigned i = 0; i < sizeof c->data; i += 8)
        st_le64(c->data + i, rng_next(rng) >> (rng_next(rng) & 63));
    c->slice = one_in(rng, 2) ? 1u << 20 : 1 + rng_below(rng, 1u << rng_below(rng, 12));
    c->frames = (unsigned)rng_below(rng, 24);
    c->forget = one_in(rng, 8);
    for (unsigned i = 0; i < ORACLE_PAGES; i++)
        c->rights[i] = l->runs && one_in(rng, 12) ? (u8)(1 + rng_below(rng, 2)) : ORACLE_WRITABLE;
    l->runs++;
}
