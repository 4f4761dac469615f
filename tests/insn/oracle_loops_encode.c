/*
 * oracle_loops_encode.c: encodes the instructions of random loops, and knows which flags they leave
 * undefined. SDM vol. 2A chapter 2. See oracle_loops.c.
 */
#include "tests/insn/oracle_loops.h"

/* 0: none is needed. */
static unsigned rex_of(const struct form *f)
{
    const struct operand *o = &f->rm;
    unsigned rex = f->size == 8 ? 0x48 : 0;

    if (!f->has_modrm)
        return rex | (f->opcode & 0x100 ? 0x41 : 0);
    if (f->reg & 8)
        rex |= 0x44;
    if ((f->byte_reg && f->reg >= 4 && f->reg < 8) ||
        (f->byte_rm && !o->mem && o->reg >= 4 && o->reg < 8))
        rex |= 0x40;
    if (!o->mem)
        return rex | (o->reg & 8 ? 0x41 : 0);
    return rex | (o->base >= 8 ? 0x41 : 0) | (o->index >= 8 ? 0x42 : 0);
}

static unsigned low_bits(unsigned reg)
{
    return reg & 16 ? (reg & 3) + 4 : reg & 7;
}

static void put_disp(struct encoder *e, s32 disp, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        put(e, (u32)disp >> 8 * i & 0xff);
}

static void put_modrm(struct encoder *e, const struct form *f, bool is64, u64 here)
{
    const struct operand *o = &f->rm;
    unsigned reg = low_bits(f->reg) << 3, bytes = o->disp == (s8)o->disp ? 1 : 4;

    if (!o->mem) {
        put(e, 0xc0 | reg | low_bits(o->reg));
    } else if (o->rip) {
        put(e, reg | 5);
        put_disp(e, o->disp - (s32)(here + e->len + 4 + f->imm_bytes), 4);
    } else if (o->base == NO_REG && o->index == NO_REG && !is64) {
        put(e, reg | 5);
        put_disp(e, o->disp, 4);
    } else if (o->base == NO_REG) {
        put(e, reg | 4);
        put(e,
            (unsigned)o->scale << 6 | (o->index == NO_REG ? 4u : (unsigned)o->index & 7) << 3 | 5);
        put_disp(e, o->disp, 4);
    } else {
        unsigned mod = !o->disp && (o->base & 7) != RBP ? 0 : bytes == 1 ? 0x40 : 0x80;
        bool sib = o->index != NO_REG || (o->base & 7) == RSP;
        put(e, mod | reg | (sib ? 4u : (unsigned)o->base & 7));
        if (sib)
            put(e, (unsigned)o->scale << 6 |
                       (o->index == NO_REG ? 4u : (unsigned)o->index & 7) << 3 |
                       ((unsigned)o->base & 7));
        put_disp(e, o->disp, mod ? bytes : 0);
    }
}

static void put_vex_prefix(struct encoder *e, const struct form *f)
{
    static const u8 pp[16] = {[0x6] = 1, [0x3] = 2, [0x2] = 3};
    unsigned rex = rex_of(f), map = f->map == 0x0f ? 1 : f->map == 0x0f38 ? 2 : 3;

    put(e, 0xc4);
    put(e, ((~rex & 7) << 5) | map);
    put(e, (rex & 8) << 4 | (~f->vvvv & 15) << 3 | (unsigned)f->vex_l << 2 | pp[f->prefix & 15]);
}

/* Prefixes and what comes in front of the opcode. */
static void put_legacy(struct encoder *e, const struct form *f, unsigned rex)
{
    if (f->lock)
        put(e, 0xf0);
    if (f->size == 2)
        put(e, 0x66);
    if (f->prefix)
        put(e, f->prefix);
    if (rex)
        put(e, rex);
    if (f->map)
        put(e, 0x0f);
    if (f->map > 0xff)
        put(e, f->map & 0xff);
}

static bool encode(struct encoder *e, const struct form *f, bool is64, u64 here)
{
    unsigned rex = rex_of(f);
    bool high = (f->byte_reg && f->reg & 16) || (f->byte_rm && !f->rm.mem && f->rm.reg & 16);

    if (rex && (!is64 || high))
        return false;
    if (f->rm.mem && f->rm.seg)
        put(e, f->rm.seg == SEG_FS ? 0x64 : 0x65);
    if (f->rm.mem && f->rm.addr32)
        put(e, 0x67);
    if (f->vex)
        put_vex_prefix(e, f);
    else
        put_legacy(e, f, rex);
    put(e, f->opcode & 0xff);
    if (f->has_modrm)
        put_modrm(e, f, is64, here);
    for (unsigned i = 0; i < f->imm_bytes; i++)
        put(e, (unsigned)(f->imm >> 8 * i) & 0xff);
    return true;
}

bool has_room(const struct writer *w)
{
    return w->c->len + 1000 < ORACLE_LOOP_BYTES;
}

bool put_insn(struct writer *w, const struct form *f)
{
    struct oracle_case *c = w->c;
    u8 bytes[ROW_BYTES];
    struct encoder e = {.out = bytes};
    struct insn in;

    if (!encode(&e, f, w->is64, ORACLE_CODE + c->at + c->len))
        return false;
    memset(bytes + e.len, 0x90, INSN_MAX_BYTES);
    if (decode(bytes, INSN_MAX_BYTES, c->code, false, w->gates, &in) != DECODE_OK ||
        in.row == ROW_INVALID || in.len != e.len)
        return false;
    const struct insn_row *r = insn_row(&in);
    if (r->fl_read & w->undefined)
        return false;
    memcpy(c->bytes + c->len, bytes, e.len);
    w->loop->undefined[c->len] = (u16)w->undefined;
    w->undefined = (w->undefined & ~(u64)(r->fl_write & ~r->fl_read)) | r->fl_undef;
    c->len += e.len;
    c->row = in.row;
    c->in = in;
    c->count++;
    return true;
}
