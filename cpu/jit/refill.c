/*
 * refill.c: what an access check that missed tries first: the TLB's second level, looked up by code
 * of its own, which fills the first level and hands the host address back. It does what tlb_refill
 * (mmu/tlb.c) does, without leaving translated code.
 */
#include "cpu/jit/internal.h"

/* ---- instructions ---------------------------------------------------------------------------- */

enum { ADD = 0x01, AND = 0x21, SUB = 0x29, XOR = 0x31, CMP = 0x39 }; /* rm, reg; + 2: reg, rm */

/* op reg, [base + disp] */
static void op_rm(struct asmbuf *a, unsigned w, unsigned op, unsigned reg, unsigned base, s32 disp)
{
    put_rex(a, w, reg, 0, base, false);
    put8(a, op + 2);
    put_mem(a, reg, base, disp);
}

/* op reg, imm32 (sign-extended) */
static void op_ri(struct asmbuf *a, unsigned w, unsigned op, unsigned reg, u32 imm)
{
    put_rex(a, w, 0, 0, reg, false);
    put8(a, 0x81);
    put8(a, 0xc0 | (op & 0x38) | (reg & 7));
    put32(a, imm);
}

static void shift_ri(struct asmbuf *a, unsigned w, bool left, unsigned reg, unsigned n)
{
    put_rex(a, w, 0, 0, reg, false);
    put8(a, 0xc1);
    put8(a, (left ? 0xe0 : 0xe8) | (reg & 7));
    put8(a, n);
}

/* op rbp-relative table entry of 8 bytes, indexed by rcx; opcode as it is */
static void op_table(struct asmbuf *a, unsigned op, unsigned reg, s32 disp)
{
    put_rex(a, 1, reg, H_RCX, H_RBP, false);
    put8(a, op);
    put_sib(a, reg, H_RBP, H_RCX, 3, disp);
}

#define OP_STORE 0x89
#define ENTRY(member) ((s32)offsetof(struct tlb2_entry, member))
#define JNE 5
#define JE 4
#define JAE 3
#define JB 2
#define JS 8
#define JA 7

/* Jumps to the same place from several. */
struct exits {
    u8 *from[16];
    unsigned n;
};

static void exit_if(struct asmbuf *a, struct exits *x, unsigned cc)
{
    x->from[x->n++] = x_jcc(a, cc, a->p);
}

static void exits_here(struct asmbuf *a, struct exits *x)
{
    while (x->n > 0 && !a->full)
        x_patch(x->from[--x->n], a->p);
}

/* ---- the second level ------------------------------------------------------------------------ */

/* rax = the slot of a table with `slots` entries for the number that r15 >> shift is; then jumps to
 * `found` if its tag is that of the address in r14. Clobbers r14. */
static void emit_probe(struct asmbuf *a, s32 table, unsigned slots, unsigned shift, bool salted,
                       struct exits *found)
{
    x_mov(a, 1, H_RAX, H_R15);
    shift_ri(a, 1, false, H_RAX, shift);
    if (salted)
        op_rm(a, 1, ADD, H_RAX, H_RBP, STATE(tlb.salt));
    op_ri(a, 0, AND, H_RAX, slots - 1);
    shift_ri(a, 0, true, H_RAX, 5);
    x_lea_sib(a, 1, H_RAX, H_RBP, H_RAX, 0, table);
    x_mov(a, 1, H_R14, H_R15);
    op_ri(a, 1, AND, H_R14, -(1u << shift));
    op_rm(a, 1, XOR, H_R14, H_RAX, ENTRY(tag)); /* the mark is left, if it is the address */
    op_rm(a, 1, CMP, H_R14, H_RBP, STATE(tlb.mark));
    exit_if(a, found, JE);
    op_rm(a, 1, CMP, H_R14, H_RBP, STATE(tlb.mark_global));
    exit_if(a, found, JE);
}
_Static_assert(sizeof(struct tlb2_entry) == 32, "slots are found by a shift");

/* Leaves through `no` unless stores of this mode may go straight to the page at rcx: page_desc. The
 * order of the looks matters to smc_take_writers. */
static void emit_plain_store(struct asmbuf *a, unsigned mode, struct exits *no)
{
    put8(a, 0x8b); /* mov edx, [rax + gpa] */
    put_mem(a, H_RDX, H_RAX, ENTRY(gpa));
    op_ri(a, 0, AND, H_RDX, (u32)(L2_STORE(mode) | L2_ROM));
    op_ri(a, 0, CMP, H_RDX, (u32)L2_STORE(mode));
    exit_if(a, no, JNE);
    put8(a, 0x0f); /* movzx edx, word [rcx + writers] */
    put8(a, 0xb7);
    put_mem(a, H_RDX, H_RCX, (s32)offsetof(struct page_desc, writers));
    put8(a, 0xf7); /* not edx */
    put8(a, 0xd2);
    put8(a, 0x66); /* test [writer], dx */
    put8(a, 0x85);
    put_mem(a, H_RDX, H_RBP, STATE(tlb.writer));
    exit_if(a, no, JNE);
    put8(a, 0x48); /* cmp qword [rcx + code_granules], 0 */
    put8(a, 0x83);
    put_mem(a, 7, H_RCX, (s32)offsetof(struct page_desc, code_granules));
    put8(a, 0);
    exit_if(a, no, JNE);
}

/* r14: host page, rax: entry, edx: minus the page, or 0 for no write tag. Fills the first level. */
static void emit_fill(struct asmbuf *a, unsigned mode, bool writable)
{
    put8(a, 0x48); /* inc qword [stats.refill] */
    put8(a, 0xff);
    put_mem(a, 0, H_RBP, STATE(tlb.stats.refill));
    x_mov(a, 0, H_RCX, H_R15);
    shift_ri(a, 0, false, H_RCX, PAGE_SHIFT);
    x_movzx8(a, H_RCX, H_RCX);
    op_table(a, OP_STORE, H_R14, jit_tlb_field(mode, offsetof(struct tlb_l1, host)));
    put8(a, 0xf7); /* test dword [rax + gpa], L2_GLOBAL */
    put_mem(a, 0, H_RAX, ENTRY(gpa));
    put32(a, (u32)L2_GLOBAL);
    put8(a, 0x0f); /* setnz [rbp + rcx + global] */
    put8(a, 0x95);
    put_sib(a, 0, H_RBP, H_RCX, 0, jit_tlb_field(mode, offsetof(struct tlb_l1, global)));
    x_mov(a, 1, H_RDX, H_R15);
    op_ri(a, 1, AND, H_RDX, (u32)PAGE_MASK);
    put8(a, 0x48); /* neg rdx */
    put8(a, 0xf7);
    put8(a, 0xda);
    op_table(a, OP_STORE, H_RDX, jit_tlb_field(mode, offsetof(struct tlb_l1, neg_r)));
    if (!writable) { /* the tag of an empty slot */
        x_mov(a, 0, H_RDX, H_RCX);
        op_ri(a, 0, XOR, H_RDX, TLB_SLOTS / 2);
        shift_ri(a, 0, true, H_RDX, PAGE_SHIFT);
        put8(a, 0x48);
        put8(a, 0xf7);
        put8(a, 0xda);
    }
    op_table(a, OP_STORE, H_RDX, jit_tlb_field(mode, offsetof(struct tlb_l1, neg_w)));
}

/* r15: address, r14d: size - 1, flags and rax, rcx, rdx free. r15 = host address, or leaves through
 * `fail` with nothing changed but these. */
static void emit_lookup(struct asmbuf *a, unsigned mode, bool write, struct exits *fail)
{
    struct exits small = {0}, large = {0}, read_only = {0};

    x_mov(a, 0, H_RCX, H_R15); /* within one page? */
    op_ri(a, 0, AND, H_RCX, (u32)~PAGE_MASK);
    x_op_rr(a, 0, ADD, H_RCX, H_R14);
    op_ri(a, 0, CMP, H_RCX, PAGE_SIZE - 1);
    exit_if(a, fail, JA);

    emit_probe(a, STATE(tlb.l2), TLB2_SLOTS, PAGE_SHIFT, true, &small);
    emit_probe(a, STATE(tlb.large), TLB_LARGE_SLOTS, TLB_LARGE_SHIFT, false, &large);
    fail->from[fail->n++] = x_jmp(a, a->p);

    exits_here(a, &large); /* r14 = host page, rcx = its description */
    x_load(a, 1, H_R14, H_RAX, ENTRY(host));
    x_mov(a, 0, H_RCX, H_R15);
    op_ri(a, 0, AND, H_RCX, (1u << TLB_LARGE_SHIFT) - PAGE_SIZE);
    x_op_rr(a, 1, ADD, H_R14, H_RCX);
    shift_ri(a, 0, false, H_RCX, PAGE_SHIFT);
    put8(a, 0x48); /* imul rcx, rcx, sizeof(struct page_desc) */
    put8(a, 0x69);
    put8(a, 0xc9);
    put32(a, (u32)sizeof(struct page_desc));
    op_rm(a, 1, ADD, H_RCX, H_RAX, ENTRY(desc));
    u8 *both = x_jmp(a, a->p);
    exits_here(a, &small);
    x_load(a, 1, H_R14, H_RAX, ENTRY(host));
    x_load(a, 1, H_RCX, H_RAX, ENTRY(desc));
    put_rex(a, 1, H_R14, 0, H_R14, false); /* test r14, r14: MMIO */
    put8(a, 0x85);
    put8(a, 0xc0 | (H_R14 & 7) << 3 | (H_R14 & 7));
    exit_if(a, fail, JE);
    if (!a->full)
        x_patch(both, a->p);

    put8(a, 0xf7); /* test dword [rax + gpa], L2_LOAD */
    put_mem(a, 0, H_RAX, ENTRY(gpa));
    put32(a, (u32)L2_LOAD(mode));
    exit_if(a, fail, JE);
    put8(a, 0x81); /* or dword [modes_used], it may hold something, also not global */
    put_mem(a, 1, H_RBP, STATE(tlb.modes_used));
    put32(a, BIT(mode) | BIT(8 + mode));
    emit_plain_store(a, mode, write ? fail : &read_only);
    emit_fill(a, mode, true);
    if (!write) {
        u8 *done = x_jmp(a, a->p);
        exits_here(a, &read_only);
        emit_fill(a, mode, false);
        if (!a->full)
            x_patch(done, a->p);
    }
    op_ri(a, 0, AND, H_R15, (u32)~PAGE_MASK);
    x_op_rr(a, 1, ADD, H_R15, H_R14);
}

/* ---- stubs ----------------------------------------------------------------------------------- */

static void push_pop(struct asmbuf *a, unsigned reg, bool push)
{
    put8(a, (push ? 0x50 : 0x58) | reg);
}

/* Lets the return go behind the jump that follows the call. */
static void emit_skip_jump(struct asmbuf *a)
{
    put8(a, 0x48); /* add qword [rsp], 5 */
    put8(a, 0x83);
    put8(a, 0x04);
    put8(a, 0x24);
    put8(a, 5);
}

/* Called with r15 = the address, r14d = size - 1, flags free. Returns with r15 = host address; if
 * the second level does not know, behind the jump that follows the call, r15 gone. */
static void emit_quick_stub(struct asmbuf *a, unsigned mode, bool write)
{
    struct exits fail = {0};
    for (unsigned r = H_RAX; r <= H_RDX; r++)
        push_pop(a, r, true);
    emit_lookup(a, mode, write, &fail);
    for (unsigned r = H_RDX + 1; r-- > H_RAX;)
        push_pop(a, r, false);
    put8(a, 0xc3);
    exits_here(a, &fail);
    for (unsigned r = H_RDX + 1; r-- > H_RAX;)
        push_pop(a, r, false);
    emit_skip_jump(a);
    put8(a, 0xc3);
}

/* From the careful check, as it is when it has missed: r14 the slot, r15 what it would have made of
 * it; ecx = size - 1. Flags come back; RCX does, too, if there is a host address. */
static void emit_careful_stub(struct asmbuf *a, unsigned mode, bool write, const u8 *quick)
{
    unsigned tag = write ? offsetof(struct tlb_l1, neg_w) : offsetof(struct tlb_l1, neg_r);
    jit_emit_save_flags(a);
    x_mov(a, 1, H_RAX, H_RCX);
    x_mov(a, 1, H_RCX, H_R14);
    op_table(a, SUB + 2, H_R15, jit_tlb_field(mode, offsetof(struct tlb_l1, host)));
    op_table(a, SUB + 2, H_R15, jit_tlb_field(mode, tag));
    x_mov(a, 1, H_R14, H_RAX);
    x_call(a, quick);
    put8(a, 0xeb); /* found: jmp over the five bytes of the other jump, which is five further */
    put8(a, 8);
    put8(a, 0x90);
    put8(a, 0x90);
    put8(a, 0x90);
    u8 *missed = x_jmp(a, a->p);
    jit_emit_restore_flags(a);
    x_load(a, 1, H_RCX, H_RBP, STATE(jit_rcx));
    put8(a, 0xc3);
    if (!a->full)
        x_patch(missed, a->p);
    emit_skip_jump(a);
    jit_emit_restore_flags(a);
    put8(a, 0xc3);
}

#define STREAM(member) (STATE(tlb.stream) + (s32)offsetof(struct tlb_stream, member))

/* How many low bits of `packed` are the bytes less one, how many the stream; the rest is `low`. */
#define PACK_BYTES 10
#define PACK_STREAM 12
_Static_assert(1u << PACK_STREAM >= TLB_STREAMS && 1u << PACK_BYTES >= STREAM_SPAN, "packed");

static void load_packed(struct asmbuf *a, unsigned reg, unsigned shift)
{
    put8(a, 0x8b); /* mov reg, [rsp] */
    put8(a, 0x04 | reg << 3);
    put8(a, 0x24);
    shift_ri(a, 0, false, reg, shift);
}

/* reg = the table's byte for the slot in rcx. */
static void load_byte(struct asmbuf *a, unsigned reg, s32 disp)
{
    put8(a, 0x0f);
    put8(a, 0xb6);
    put_sib(a, reg, H_RBP, H_RCX, 0, disp);
}

static void mark_page(struct asmbuf *a)
{
    put8(a, 0xc6); /* mov byte [rbp + rcx + stream_pages], 1 */
    put_sib(a, 0, H_RBP, H_RCX, 0, STATE(tlb.stream_pages));
    put8(a, 1);
}

/*
 * rcx: slot of the first level, rax: offset in its page of the address in r15. rdx = how many bytes
 * from the page's begin on lie in one piece of the host's memory as far as the first level knows,
 * r14 = their host address, edi = are all pages global? Clobbers rcx, rsi.
 */
static void emit_window(struct asmbuf *a, unsigned mode, unsigned tag)
{
    s32 host = jit_tlb_field(mode, offsetof(struct tlb_l1, host));
    s32 global = jit_tlb_field(mode, offsetof(struct tlb_l1, global));
    struct exits end = {0};
    op_table(a, 0x8b, H_R14, host);
    load_byte(a, H_RDI, global);
    mark_page(a);
    x_mov_imm(a, H_RDX, PAGE_SIZE);
    const u8 *next = a->p;
    put8(a, 0xfe); /* inc cl: the slots are a ring */
    put8(a, 0xc0 | H_RCX);
    op_table(a, 0x8b, H_RSI, jit_tlb_field(mode, tag));
    x_op_rr(a, 1, ADD, H_RSI, H_R15);
    x_op_rr(a, 1, ADD, H_RSI, H_RDX);
    x_op_rr(a, 1, CMP, H_RSI, H_RAX);
    exit_if(a, &end, JNE);
    op_table(a, 0x8b, H_RSI, host);
    x_op_rr(a, 1, SUB, H_RSI, H_RDX);
    x_op_rr(a, 1, CMP, H_RSI, H_R14);
    exit_if(a, &end, JNE);
    load_byte(a, H_RSI, global);
    x_op_rr(a, 0, AND, H_RDI, H_RSI);
    mark_page(a);
    op_ri(a, 0, ADD, H_RDX, PAGE_SIZE);
    op_ri(a, 0, CMP, H_RDX, TLB_STREAM_PAGES * PAGE_SIZE);
    x_jcc(a, JB, next);
    exits_here(a, &end);
}

/* rax, rdx, r14, r15, edi: as from emit_window, but rdx the limit; rcx: the stream, rsi: its entry
 * less STATE. Fills it; r15 = the host address of the access. */
static void emit_fill_stream(struct asmbuf *a)
{
    shift_ri(a, 0, true, H_RDI, PACK_STREAM);
    x_op_rr(a, 0, ADD, H_RDI, H_RCX);
    put8(a, 0x48); /* bts [rbp + streams_known], rdi */
    put8(a, 0x0f);
    put8(a, 0xab);
    put_mem(a, H_RDI, H_RBP, STATE(tlb.streams_known));
    x_store(a, 1, H_RDX, H_RSI, STREAM(limit));
    load_packed(a, H_RDX, PACK_BYTES + PACK_STREAM); /* rdx = low */
    x_op_rr(a, 1, SUB, H_RAX, H_R15);
    x_op_rr(a, 1, SUB, H_RAX, H_RDX);
    x_store(a, 1, H_RAX, H_RSI, STREAM(neg));
    x_op_rr(a, 1, ADD, H_R14, H_RDX);
    x_store(a, 1, H_R14, H_RSI, STREAM(host));
    x_op_rr(a, 1, ADD, H_R14, H_RAX);
    x_store(a, 1, H_R14, H_RSI, STREAM(delta));
    x_op_rr(a, 1, ADD, H_R15, H_RDX);
    x_op_rr(a, 1, ADD, H_R15, H_R14);
}
_Static_assert(1u << PACK_STREAM == TLB_STREAMS, "one bitmap follows the other");

static const u8 stream_saved[] = {H_RAX, H_RCX, H_RDX, H_RSI, H_RDI};

static void emit_stream_return(struct asmbuf *a)
{
    put8(a, 0x41); /* pop r14 */
    put8(a, 0x5e);
    for (unsigned i = sizeof stream_saved; i-- > 0;)
        push_pop(a, stream_saved[i], false);
}

/*
 * From the check of a stream: r15 = the address of the access, r14d packed: bytes that the stream
 * must have in one piece less one, its number, and how many of them come before the access. Returns
 * as the quick stub does; also without an answer when the stream's patience is over.
 */
static void emit_stream_stub(struct asmbuf *a, unsigned mode, bool write)
{
    unsigned tag = write ? offsetof(struct tlb_l1, neg_w) : offsetof(struct tlb_l1, neg_r);
    struct exits fail = {0}, no_patience = {0}, miss = {0};
    for (unsigned i = 0; i < sizeof stream_saved; i++)
        push_pop(a, stream_saved[i], true);
    put8(a, 0x41); /* push r14 */
    put8(a, 0x56);
    load_packed(a, H_RAX, PACK_BYTES + PACK_STREAM);
    x_op_rr(a, 1, SUB, H_R15, H_RAX); /* the first byte */
    const u8 *probe = a->p;
    x_mov(a, 0, H_RCX, H_R15);
    shift_ri(a, 0, false, H_RCX, PAGE_SHIFT);
    x_movzx8(a, H_RCX, H_RCX);
    op_table(a, 0x8b, H_RAX, jit_tlb_field(mode, tag));
    x_op_rr(a, 1, ADD, H_RAX, H_R15);
    op_ri(a, 1, CMP, H_RAX, PAGE_SIZE);
    exit_if(a, &miss, JAE);
    emit_window(a, mode, tag);
    load_packed(a, H_RCX, 0);
    op_ri(a, 0, AND, H_RCX, (1u << PACK_BYTES) - 1);
    x_op_rr(a, 0, SUB, H_RDX, H_RCX);
    x_op_rr(a, 1, CMP, H_RAX, H_RDX);
    exit_if(a, &miss, JAE);
    load_packed(a, H_RCX, PACK_BYTES);
    op_ri(a, 0, AND, H_RCX, (1u << PACK_STREAM) - 1);
    x_mov(a, 0, H_RSI, H_RCX);
    shift_ri(a, 0, true, H_RSI, 5);
    x_op_rr(a, 1, ADD, H_RSI, H_RBP);
    put8(a, 0x48); /* cmp qword [rsi + limit], 0 */
    put8(a, 0x83);
    put_mem(a, 7, H_RSI, STREAM(limit));
    put8(a, 0);
    u8 *forgotten = x_jcc(a, JE, a->p);
    put8(a, 0x83); /* sub dword [rbp + rcx * 4 + stream_patience], 1 */
    put_sib(a, 5, H_RBP, H_RCX, 2, STATE(tlb.stream_patience));
    put8(a, 1);
    exit_if(a, &no_patience, JS);
    if (!a->full)
        x_patch(forgotten, a->p);
    emit_fill_stream(a);
    emit_stream_return(a);
    put8(a, 0xc3);

    exits_here(a, &miss);
    put8(a, 0x41); /* push r15 */
    put8(a, 0x57);
    put8(a, 0x44); /* mov r14d, [rsp + 8]: packed */
    put8(a, 0x8b);
    put8(a, 0x74);
    put8(a, 0x24);
    put8(a, 8);
    op_ri(a, 0, AND, H_R14, (1u << PACK_BYTES) - 1);
    emit_lookup(a, mode, write, &fail);
    put8(a, 0x41); /* pop r15 */
    put8(a, 0x5f);
    x_jmp(a, probe);

    exits_here(a, &fail);
    put8(a, 0x41); /* pop r15 */
    put8(a, 0x5f);
    exits_here(a, &no_patience);
    emit_stream_return(a);
    emit_skip_jump(a);
    put8(a, 0xc3);
}
_Static_assert(sizeof(struct tlb_stream) == 32, "streams are found by a shift");

void jit_emit_refill_stubs(struct jit *j, struct asmbuf *a)
{
    for (unsigned mode = 0; mode < TLB_CHECKED; mode++)
        for (unsigned write = 0; write < 2; write++) {
            j->stub_stream[mode][write] = a->p;
            emit_stream_stub(a, mode, write);
            j->stub_refill[mode][write][1] = a->p;
            emit_quick_stub(a, mode, write);
            j->stub_refill[mode][write][0] = a->p;
            emit_careful_stub(a, mode, write, j->stub_refill[mode][write][1]);
        }
}

static void emit_refill_stream(struct tr *t, const struct cold *c)
{
    struct asmbuf *a = &t->a;
    u32 bytes = c->stream->high - c->stream->low;
    op_rm(a, 1, SUB, H_R15, H_RBP, jit_stream_field(c->stream, offsetof(struct tlb_stream, neg)));
    x_mov_imm(a, H_R14,
              (bytes - 1) | (u32)c->stream->slot << PACK_BYTES |
                  c->before << (PACK_BYTES + PACK_STREAM));
    x_call(a, t->j->stub_stream[c->mode][c->stream->write]);
    x_jmp(a, c->hit);
}

void jit_emit_refill(struct tr *t, const struct cold *c)
{
    struct asmbuf *a = &t->a;
    if (c->stream) {
        emit_refill_stream(t, c);
        return;
    }
    if (!c->size || t->j->test.tlb_miss)
        return;
    unsigned tag = c->write ? offsetof(struct tlb_l1, neg_w) : offsetof(struct tlb_l1, neg_r);
    if (c->quick) {
        put_rex(a, 1, H_R15, H_R14, H_RBP, false); /* sub r15, [rbp + r14 * 8 + tag] */
        put8(a, SUB + 2);
        put_sib(a, H_R15, H_RBP, H_R14, 3, jit_tlb_field(c->mode, tag));
        x_mov_imm(a, H_R14, c->size - 1u);
    } else {
        x_mov_imm(a, H_RCX, c->size - 1u);
    }
    x_call(a, t->j->stub_refill[c->mode][c->write][c->quick]);
    x_jmp(a, c->hit);
}
