/* internal.h: shared by the files of cpu/jit only. */
#pragma once

#include "base/host.h"
#include "cpu/block.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/x64.h"
#include "cpu/observe.h"

/*
 * Host registers while translated code runs:
 *   rbp        the CPU state, biased (below)
 *   rax rcx rdx rbx rsi rdi r8-r11   the guest's own
 *   r12, r13   guest RSP, RBP
 *   r14, r15   scratch
 *   flags      the guest's six arithmetic flags, always
 *   guest R12-R15 live in memory, in struct cpu
 *
 * The bias makes the low six bits of rbp 12, so that rbp itself is the shift count that turns an
 * offset into a page number, without touching flags: shrx masks its count to six bits.
 */
#define STATE_BIAS 76
#define STATE(member) ((s32)offsetof(struct cpu, member) - STATE_BIAS)

struct jit_block;

/* What a call of an interpreter handler needs; lies in the JIT's data. */
struct jit_site {
    struct insn in;   /* the record */
    struct insn stop; /* where its NEXT goes */
    bool x87;         /* reads or writes cpu->x87 */
    const void *call; /* of a hypercall whose number is known: for pv_call */
    bool flagless;    /* does not look at the six flags, nor change them */
    struct jit_block *jb;
};

/* Where a computed jump goes: found by the address, for one that has been entered lately. */
struct jit_target {
    gva_t lin;
    u32 guard;       /* jit_guard_value when its mapping was last known to be right */
    u32 key;         /* KEY_*; 0: nothing is there */
    const u8 *entry; /* executable view */
    u64 code_at;     /* of a program's: where its guard lies in tlb.code, in bytes */
};
#define TARGETS 65536u

struct node {
    struct node *next, **prev;
};

/* A jump out of a block, while it is linked. */
struct jit_link {
    struct jit_block *from, *to; /* to NULL: it is not */
    unsigned side;
    u32 bytes;                /* of its code, from path[side] on */
    bool leaves_trace;        /* a trace goes the other way */
    bool counted;             /* jumps are counted, until `heat` is 0 and a trace begins here */
    s32 heat;                 /* negative: no more */
    u8 retries;               /* recordings that left the loop that it closes */
    struct jit_trace *trace;  /* that is entered by it; or NULL */
    struct node in, in_chunk; /* in to->in; in the list of the chunk that its path lies in */
};

/* x87 instructions that have run natively and whose pointers are not stored yet. */
struct x87_notes {
    const struct insn *last; /* FIP, FOP, FCS; NULL: none */
    const struct insn *mem;  /* FDP, FDS: the registers of its address have not changed since */
};

/* Where a value lies that flags are made from: a guest register's number, or a copy in jit_kept. */
#define PLACE_KEPT 16
#define PLACE_KEPT_COUNT (PLACE_KEPT + 2)

/* How the flags of a point in the code can be made again (recover.c). */
struct flag_source {
    enum { SRC_NONE, SRC_SAVED, SRC_CMP, SRC_TEST, SRC_ADD, SRC_SUB, SRC_SHIFT } kind;
    u8 size;      /* of the operation, in bytes */
    u8 a, b;      /* places: operands of CMP and TEST; result and addend of ADD and SUB */
    bool has_imm; /* `imm` instead of b */
    u8 extension; /* of the shift's opcode */
    s32 imm;
    s8 step;             /* 1, -1: an INC, a DEC came after that, which left CF; 0: none did */
    u8 count, step_size; /* place of its result; and its size */
};

struct jit_block {
    struct block *block;
    gva_t lin;
    gpa_t gpa; /* and cpl: the block's, which may be gone */
    u8 cpl;
    bool dead;
    struct jit_block *chunk_next;
    u32 bytes;     /* of its code, from `entry` on */
    u8 *entry;     /* writable view */
    u8 *vec_entry; /* where the vector registers are the guest's already; NULL: no such place */
    u8 *x87_entry; /* where the x87 is, too; NULL: no such place */
    bool vec_live; /* they are at the end */
    bool x87_live; /* it is at the end */
    struct x87_notes notes; /* pending in front of the last instruction */
    u8 *site[2];            /* end of the rel32 of each jump out; NULL: none */
    u8 *taken;              /* end of the rel32 of a jump that goes where site[1] does; or NULL */
    u8 *unlinked[2];        /* where it goes while unlinked */
    u8 *path[2];            /* the guards in front of the linked target */
    u8 *path_guard[2];      /* end of the imm32 in them; NULL: same page */
    struct jit_link link[2];
    u8 *end;                 /* code of its last instruction, when that jumps; or what follows */
    struct node *in;         /* links that come here */
    struct node *traces;     /* through it */
    struct jit_block *other; /* the same block at another linear address */
    bool is_call;
    struct jit_link head;     /* how computed jumps arrive, from no block in particular */
    u8 *counter;              /* code that counts them, before `entry`; or NULL */
    const u8 *listed;         /* where they go, in the executable view; NULL: it was never listed */
    u32 end_key;              /* KEY_* after it */
    struct flag_source flags; /* at its end */
    bool global;              /* lies in a global page at this address */
    u64 lone, stray;          /* by instruction: how its accesses are checked: streams.c */
};

struct row_traits {
    bool template_ok;
    bool writes_e, writes_g; /* E or G operand is a destination */
    u8 e_size;               /* bytes; 0: operand size */
    bool byte_g;
    bool bmi;                    /* VEX-encoded, on general registers: translate_avx.c */
    bool vec_ok;                 /* runs on the vector registers: translate_sse.c */
    u8 vec_size;                 /* of its memory operand, in bytes */
    bool vec_scales, vec_by_osz; /* it is twice that with VEX.L; it is the record's osz */
    bool vec_aligned, vec_store;
    u8 vec_gpr;   /* VEC_*: which operand is a general register */
    bool vec_xmm; /* has to do with XMM registers or MXCSR */
    bool vec_mmx; /* has to do with MMX registers */
    bool x87_ok;  /* runs on the host's x87: translate_x87.c */
    u8 x87_size;  /* of its memory operand, in bytes */
    bool x87_store;
    bool x87_noted;  /* changes the last-instruction pointers */
    bool vec_guards; /* has guards of its own behind the access check */
    bool x87_use;    /* its handler reads or writes cpu->x87 */
};

#define CHUNKS_MAX 64u

/* A part of the code memory, evicted as a whole. */
struct jit_chunk {
    struct jit_block *blocks;
    struct node *paths; /* links whose path, or counter, lies here, of whatever block */
    struct node *traces;
};

#define TRACE_BLOCKS 16u
#define TRACE_INSNS 120u
#define TRACE_PAGES 4u

/* Accesses of a trace that go to the same page: streams.c. */
struct jit_stream {
    u16 base, index; /* their address: origins of registers, */
    u8 scale, seg;   /* FS, GS or 0 */
    gva_t page;      /* or a constant, */
    s32 low, high;   /* and what is added: the bytes [low, high) */
    u16 slot;        /* in tlb.stream */
    bool write;      /* the page must be writable */
    bool alone;      /* it is one access */
    bool shared;     /* it is several */
    bool invariant;  /* the address is the same each time round the loop */
    bool checked;    /* code that comes next is behind its check */
    bool table;      /* an index that is known to be small does not count as part of the address */
    u8 uses;
    u8 reg; /* host register that holds where the origins' sum lies on the host; 0: none */
};

#define STREAM_NONE 0xff
#define STREAM_SPAN 512   /* bytes */
#define STREAM_TABLE 1024 /* the same of a table */

struct jit_streams {
    unsigned count;
    struct jit_stream stream[TRACE_INSNS];
    u32 lent;           /* guest registers that are not used, whose host registers streams have */
    u8 of[TRACE_INSNS]; /* by instruction of the trace; STREAM_NONE */
    s32 at[TRACE_INSNS];
    u8 size[TRACE_INSNS];
    bool indexed[TRACE_INSNS]; /* `at` is without the operand's index: it is a table's */
};

/* A way through several blocks: trace.c. Lies in the JIT's data. */
struct jit_trace {
    struct jit_link *link; /* that enters it; NULL: it is dropped */
    struct node in_chunk;
    unsigned count;
    struct trace_step {
        struct jit_trace *trace;
        struct node in_block; /* in jb->traces */
        struct jit_block *jb;
        u8 side;              /* that it is left by; SIDE_COMPUTED */
    } step[TRACE_BLOCKS + 1]; /* one more for the block that the link belongs to */
    u8 *code;                 /* writable view */
    u32 bytes;
    bool apart;    /* it lies in several global pages: good while tlb.epoch_global is */
    u32 epoch;     /* this, */
    u8 *epoch_imm; /* with which its code compares it; NULL: a head, whose jumps have */
    unsigned misses;
    u64 first_miss; /* instruction count */
    bool grouped;   /* some streams are */
    unsigned streams;
    struct trace_stream {
        u16 slot;
        bool grouped; /* shared or invariant */
        u64 since;    /* instruction count when its patience began */
    } * stream;
    u8 *stream_of; /* by instruction, as in struct jit_streams */
};

#define SIDE_COMPUTED 2
#define SIDE_HEAD 3     /* of the link that is a block's head */
#define TRACE_HOT 200   /* jumps, until a trace is made */
#define HEAT_AGAIN 5000 /* until one that lost a block is made again */
#define HEAT_BETTER 100 /* until one that is to become better is */

static inline bool jit_is_head(const struct jit_link *l)
{
    return l->side == SIDE_HEAD;
}

/* The way that the interpreter takes from a hot link on. */
struct jit_recording {
    struct jit_link *link; /* NULL: nothing is recorded */
    struct jit_block *block[TRACE_BLOCKS];
    u8 side[TRACE_BLOCKS];
    struct {
        gva_t lin;
        u32 number;      /* tlb_note_code */
    } page[TRACE_PAGES]; /* but the one of the link */
    unsigned pages;
    bool apart; /* as in struct jit_trace */
    u32 epoch;  /* tlb.epoch_global at the start */
    unsigned count, insns;
    s64 left; /* of the slice, before the last block */
};

struct jit {
    struct cpu *cpu;
    struct host_code code;
    u8 *next, *end; /* of the current chunk, writable view: code grows up, data grows down */
    u8 *first;      /* of chunk 0 */
    u64 chunk_bytes;
    unsigned chunks, chunk;
    struct jit_chunk chunk_list[CHUNKS_MAX];
    u8 *stub_enter, *stub_helper, *stub_exit_record, *stub_vec_enter, *stub_x87_enter;
    u8 *stub_go[2]; /* to the target in r15, of a program if [1]: stubs.c */
    u8 *stub_system,
        *stub_refill[TLB_CHECKED][2][2], /* by mode, for writing, for the quick check */
        *stub_stream[TLB_CHECKED][2];
    u16 stream_free[TLB_STREAMS]; /* entries of tlb.stream that no trace has */
    unsigned streams_free;
    struct jit_trace *stream_owner[TLB_STREAMS];
    unsigned stream_hand;               /* where jit_streams_reserve goes on */
    struct jit_target targets[TARGETS]; /* by jit_target_slot */
    const u8 *mxcsr_masks;              /* a constant in code memory */
    u8 *last;                           /* entry of the block emitted last */
    struct row_traits *rows;
    bool fcomi_keeps_c1; /* a habit of the host */
    bool bmi2;           /* of the host, and not forbidden by a test */
    bool avx;            /* the model has upper halves of vector registers, and so has the host */
    struct jit_recording recording;
    struct jit_test test;
    struct jit_stats stats;
    u8 *piece; /* what was emitted last; the rest as in struct jit_piece */
    struct jit_place place[TRACE_INSNS];
    unsigned places;
    u32 cold_at;
    bool running;              /* translated code is on the host's stack */
    volatile bool translating; /* for jit_activity */
    u64 since;                 /* instruction count when it was entered */
};

static inline const u8 *rx_of(const struct jit *j, const u8 *rw)
{
    return j->code.rx + (rw - j->code.rw);
}

/* ---- memory: cache.c --------------------------------------------------------------------------
 */

/* Divides the code memory behind the stubs, and empties it. */
void jit_cache_init(struct jit *j);
/* Makes sure that the longest block and the longest link fit; may evict any block. Only while no
 * translated code is running, which may return to what goes. */
void jit_make_room(struct jit *j);
void *jit_data(struct jit *j, u64 bytes); /* zeroed; NULL: full */
void jit_node_add(struct node **head, struct node *n);
void jit_node_remove(struct node *n);
/* Puts a new block into the lists of its chunk. */
void jit_cache_add(struct jit *j, struct jit_block *jb);
/* The path from from's side to `to` was just emitted. */
void jit_link_add(struct jit *j, struct jit_block *from, unsigned side, struct jit_block *to);
void jit_unlink(struct jit *j, struct jit_link *l);
/* Cuts every jump to and from a block. */
void jit_isolate(struct jit *j, struct jit_block *jb);

/* Where computed jumps to the block are to go now. */
const u8 *jit_entrance(const struct jit_block *jb);
/* Has them go there, if they find the block at all. */
void jit_relist(struct jit *j, struct jit_block *jb);
/* Emits the code that counts them; there may be no room. */
void jit_emit_counter(struct jit *j, struct jit_block *jb);

/* Has a jump out of the block go to other code. */
static inline void jit_set_site(const struct jit_block *jb, unsigned side, const u8 *code)
{
    x_patch(jb->site[side], code);
    if (side && jb->taken)
        x_patch(jb->taken, code);
}

/* As jit_emit_find_target computes it. */
static inline unsigned jit_target_slot(gva_t lin)
{
    return (unsigned)(lin + (lin >> 16)) & (TARGETS - 1);
}

/* Emits the code of a block; false: no room. */
bool jit_emit_block(struct jit *j, struct jit_block *jb);
/* Emits guards and the jump for one side, and points the site to them. */
bool jit_emit_link(struct jit *j, struct jit_block *from, unsigned side, struct jit_block *to,
                   bool same_page);
static inline struct asmbuf jit_asmbuf(const struct jit *j, u8 *at)
{
    return (struct asmbuf){.p = at, .end = j->end, .bmi2 = j->bmi2, .avx = j->avx};
}

void jit_emit_stubs(struct jit *j);
/* Decodes emitted code again (verify.c); aborts if that fails. */
#ifdef PARALLAX_VERIFY_CODE
void jit_verify(const u8 *piece, u64 bytes);
#else
static inline void jit_verify(const u8 *piece, u64 bytes)
{
    (void)piece, (void)bytes;
}
#endif
void jit_rows_init(struct jit *j);
/* The run-time side of a handler call; 1: go on, 0: leave to the run loop. */
int jit_run_handler(struct cpu *cpu, struct jit_site *site);
/* The run-time side of a record that ends its block: where translated code goes on, or NULL to
 * leave to the run loop. */
const void *jit_run_system(struct cpu *cpu, struct jit_site *site);
/* Where it goes on at RIP, after what was done in place; NULL: the interpreter's turn. */
const void *jit_go(struct cpu *cpu);
/*
 * What a jump from another page compares, so that it does not arrive where the mapping has changed.
 * The kernel's code in global pages is guarded by the epoch that MOV CR3 leaves alone; a program's
 * by the number of its page, which a switch to another space and back brings back; what lies in two
 * pages, and the rest, by the epoch of the space.
 */
enum guard { GUARD_GLOBAL, GUARD_PAGE, GUARD_EPOCH };
enum guard jit_guard_of(const struct jit_block *jb);
/* Does the block lie at lin, in global pages? */
bool jit_is_global(const struct cpu *cpu, const struct block *b, gva_t lin);
/* Its value now; the block has just been found at its address. */
u32 jit_guard_value(struct cpu *cpu, const struct jit_block *jb);
/* reg = the value now. Flags stay. */
void jit_emit_guard(struct asmbuf *a, unsigned reg, const struct jit_block *jb);

/* The record's own handler, whatever is done in front of it. */
static inline insn_fn jit_bound_fn(const struct block *b, const struct insn *in)
{
    return b->probes ? b->probes->of[in->idx].fn : in->idx == 0 ? b->first_fn : in->fn;
}

/* ---- translating one block ---------------------------------------------------------------- */

/* Where a guest register lives; SLOT: in memory. */
#define SLOT (-1)
extern const s8 host_reg[16];

static inline s32 slot(unsigned r)
{
    return STATE(gpr) + 8 * (s32)r;
}

/* Code that is emitted after the block's end. */
struct cold {
    u8 *from;              /* end of the rel32 that comes here */
    u8 *back;              /* where the code goes on */
    struct jit_site *site; /* handler to run; NULL: exit to record `idx` */
    unsigned idx;
    unsigned undo;          /* instructions to give back to `left` before it leaves */
    bool vec_live;          /* the hot code there has the vector registers */
    bool x87_live;          /* and the x87 */
    struct x87_notes notes; /* what the hot code has not stored yet */
    bool quick;             /* from the quick check: RCX is there, the flags are not */
    struct flag_source flags;
    u8 step;  /* of the trace */
    u8 run;   /* instructions from idx on whose handlers are to run; 0: `site` or an exit */
    u8 keep;  /* PLACE_*: the handler only reads the operand, into there and r14; 0: it does all */
    u8 *hit;  /* after the access check, for the second level's answer (refill.c) */
    u16 size; /* of the access; 0: it is no access check */
    u8 mode;  /* its enum tlb_mode */
    bool write;
    const struct jit_stream *stream; /* that was checked; NULL: by address */
    u32 before;                      /* bytes of it in front of the access */
};

struct tr {
    struct jit *j;
    struct asmbuf a;
    struct jit_block *jb;
    struct block *b;
    bool is64;
    unsigned mode; /* enum tlb_mode of data accesses, here */
    u32 key;       /* KEY_*, here: STAC and CLAC change it */
    bool vec_live; /* the host's vector registers hold the guest's, at this point of the code */
    bool x87_live; /* and its x87 */
    struct x87_notes notes;
    struct jit_trace *trace;       /* what is emitted is one, not a block; or NULL */
    struct jit_streams *streams;   /* of the trace; or NULL */
    u32 note[BLOCK_MAX_INSNS];     /* by instruction: where its note lies; 0: none yet */
    const struct insn *const *seq; /* the instructions of this piece of code */
    unsigned seq_count, at;
    struct flag_source flags;
    bool flags_spent; /* the host's flags are not the guest's: repeat the source to have them */
    bool may_spend;   /* an access check of the current instruction may do that */
    struct cold cold[BLOCK_MAX_INSNS * 4];
    unsigned colds;
    unsigned
        probed; /* the instruction, from 1, whose probes stand in front of this point; 0: none */
};

/* dst = base, index and displacement of the operand, as LEA makes it; may clobber r14, r15. */
void jit_emit_lea(struct tr *t, unsigned w, unsigned dst, const struct insn *in);
/* r15 = linear address of the memory operand. */
void jit_emit_address(struct tr *t, const struct insn *in);
/* r15 += base of the operand's segment, FS or GS; clobbers r14. Flags stay. */
void jit_emit_segment_base(struct tr *t, const struct insn *in);
/* r15: linear address -> host address. Flags stay; clobbers r14. On a miss the cold code runs. */
void jit_emit_tlb_check(struct tr *t, unsigned size, bool write, struct jit_site *site,
                        unsigned idx);
/* A memory operand on the host: [base + index << scale + disp]. */
struct host_mem {
    u8 base, index, scale;
    bool has_index;
    s32 disp;
};

/* The address and the check of a memory operand, and where it is then. Clobbers r14, r15. */
struct host_mem jit_emit_operand(struct tr *t, const struct insn *in, unsigned size, bool write,
                                 struct jit_site *site, unsigned i);

static inline void put_host_mem(struct asmbuf *a, unsigned reg, const struct host_mem *m)
{
    if (m->has_index)
        put_sib(a, reg, m->base, m->index, m->scale, m->disp);
    else
        put_mem(a, reg, m->base, m->disp);
}

/* Offset of a member of the first level from rbp. */
static inline s32 jit_tlb_field(unsigned mode, size_t member)
{
    return STATE(tlb.l1) + (s32)(mode * sizeof(struct tlb_l1) + member);
}

/* The cold code's first try after a check that missed: goes on at the hit, or falls through with
 * RCX and flags as the check left them. */
void jit_emit_refill(struct tr *t, const struct cold *c);
void jit_emit_refill_stubs(struct jit *j, struct asmbuf *a);
/* Makes RAX and the flags free; brings them back. */
void jit_emit_save_flags(struct asmbuf *a);
void jit_emit_restore_flags(struct asmbuf *a);
/* A jump to code that is emitted after the block's end: runs the site's handler and comes back, or
 * leaves to record idx. It takes RCX from jit_rcx. */
void jit_add_cold(struct tr *t, struct jit_site *site, unsigned idx);
struct jit_site *jit_new_site(struct tr *t, const struct insn *in, unsigned i);
void jit_emit_handler_call(struct tr *t, struct jit_site *s);
/* Runs the handler of the block's last record, and goes on wherever that leads. */
void jit_emit_system(struct tr *t, const struct insn *in, unsigned i);
/* Leaves to the interpreter, which goes on with record i. */
void jit_emit_exit_record(struct tr *t, unsigned i);
/* r14, r15 as the ways out want them: record i, without its probes if they have run already. */
void jit_emit_resume_at(struct tr *t, unsigned i);
/* Notes for jit_observe what a block, loop or trace is made of: at its start, in front of each
 * instruction of t->b, and where what is rarely run begins. */
void jit_piece_begin(struct jit *j, u8 *code);
void jit_place_insn(const struct tr *t, unsigned i);
void jit_piece_turns_cold(const struct tr *t);
/* Tells those who look on that code was made, if they want to hear: observe.c. */
void jit_observe(const struct jit *j, const struct jit_block *jb, const u8 *code, u64 bytes,
                 const char *what, u64 began_ns);
u64 jit_observed_since(const struct jit *j);
/* What stands in front of instruction i. */
void jit_emit_probes(struct tr *t, unsigned i);
/* Do those who look on want to hear of what it does in memory? Then its handler must run. */
bool jit_is_watched(const struct tr *t, const struct insn *in);

/* The block is what jit_emit_insn emits; `seq` has room for its instructions. */
void jit_set_sequence(struct tr *t, const struct insn **seq);
/* One instruction, by its template or its handler. */
void jit_emit_insn(struct tr *t, const struct insn *in, unsigned i);
/* False: the handler must run, nothing emitted. */
bool jit_emit_template(struct tr *t, const struct insn *in, unsigned i);
/* translate_sys.c: the same. */
bool jit_emit_sys(struct tr *t, const struct insn *in, unsigned i);
bool jit_emit_string(struct tr *t, const struct insn *in, unsigned i);
bool jit_emit_bit_string(struct tr *t, const struct insn *in, unsigned i);
bool jit_emit_push_mem(struct tr *t, const struct insn *in, unsigned i);
bool jit_emit_reencoded(struct tr *t, const struct insn *in, unsigned i);
/* How many instructions from i on, before `end`, are PUSHes or POPs that one check serves; 0: none.
 * When it misses, their handlers run; in a trace, the interpreter goes on with the first of them.
 */
unsigned jit_stack_run(const struct tr *t, unsigned i, unsigned end);
void jit_emit_stack_run(struct tr *t, unsigned i, unsigned n);
#define STACK_RUN_MAX 8u
/* What ends the block: its last instruction, or the next address. */
void jit_emit_end(struct tr *t);
void jit_emit_fall_through(struct tr *t);
/* The code of t->cold. */
void jit_emit_colds(struct tr *t);

/* Bytes that PUSH, CALL and their like move. */
static inline unsigned stack_slot_size(const struct tr *t)
{
    return t->is64 ? 8 : 4;
}

/* Makes the flags again, from their source; now, if they are spent; around each instruction. */
void jit_emit_flags(struct tr *t, const struct flag_source *s);
/* Does that take r14 or r15? */
bool jit_flags_take_scratch(const struct flag_source *s);
bool jit_same_source(const struct flag_source *x, const struct flag_source *y);
/* The guest registers that it needs. */
u32 jit_source_regs(const struct flag_source *s);
/* Does it need what is in jit_kept? */
bool jit_source_is_kept(const struct flag_source *s);
/* LAHF and SETO into jit_kept: what SRC_SAVED stands for. Flags and RAX stay, r14 does not. */
void jit_emit_save(struct asmbuf *a);
void jit_want_flags(struct tr *t);
/* r15 = what is left of the slice after n instructions; negative when it is over or the CPU was
 * kicked. Clobbers RCX, leaves flags alone. */
void jit_emit_load_left(struct tr *t, unsigned n);
/* CMP or TEST of memory, whose operand can be kept for making the flags again. After the access
 * check, which is t->cold[cold]. */
bool jit_can_keep_operand(const struct insn *in);
void jit_emit_kept_compare(struct tr *t, const struct insn *in, unsigned cold,
                           const struct host_mem *m);
static inline s32 jit_kept_slot(unsigned place)
{
    return STATE(jit_kept) + 8 * (s32)(place - PLACE_KEPT);
}
void jit_flags_before(struct tr *t, const struct insn *in);
void jit_flags_after(struct tr *t, const struct insn *in, bool inlined);
/* Saves the flags, so that there is a source, if there is none. */
void jit_flags_save(struct tr *t);
/* Code that comes next spends flags and overwrites these registers. */
void jit_flags_spare(struct tr *t, u32 lost);

/* Counts n instructions, with flags to spare. Writes the ends of the jumps that are taken when the
 * slice is over; NULL: not there. */
void jit_emit_count(struct tr *t, unsigned n, u8 *late[2]);
/* The same in front of the jump back to the top of a loop; it falls through when the slice is over.
 */
void jit_emit_count_back(struct tr *t, unsigned n, u8 *late[2], const u8 *top);
void jit_patch_late(struct asmbuf *a, u8 *late[2]);
/* left += n; flags stay, r14 does not. */
void jit_emit_give_back(struct asmbuf *a, unsigned n);

/* r15 = where a JMP, CALL or RET of the last instruction goes that is computed, with a source for
 * the flags; false: nothing was emitted. */
bool jit_emit_target(struct tr *t, const struct insn *in, unsigned i);
/* Where the code for a computed jump's target (r15) is: r14 = its struct jit_target. key: of the
 * mode there, or NULL for the CPU's now. Spends flags and `scratch`; `miss` are the ends of the
 * jumps that are taken when it is not there. */
#define TARGET_MISSES 3
void jit_emit_find_target(struct asmbuf *a, unsigned scratch, const u32 *key, bool user,
                          u8 *miss[TARGET_MISSES]);
/* Keeps r14 from what clobbers it, if `kept`; and the jump to the code that it stands for. */
void jit_emit_keep_target(struct asmbuf *a, bool kept);
void jit_emit_go_to_target(struct asmbuf *a, bool kept);

/* ---- traces: record.c, trace.c --------------------------------------------------------------- */

/* Does everything in the block fit into a trace? */
bool jit_block_fits_trace(const struct jit *j, const struct jit_block *jb);
/* Does a trace that is entered from one block lie in another page, too, if it has the other? */
bool jit_is_apart(const struct jit_block *from, const struct jit_block *jb);
/* Does a trace begin with this link, when it is hot? */
bool jit_link_is_counted(const struct jit_link *l, const struct jit_block *from,
                         const struct jit_block *to);
/* The interpreter took a link that has become hot. */
void jit_record_begin(struct jit *j, struct jit_link *l);
void jit_record_cancel(struct jit *j);
/* The interpreter is about to run a block that computed jumps have often gone to. */
void jit_record_head(struct cpu *cpu, struct jit_block *jb);
/* The interpreter arrived at jb by side of the block `from`, or NULL. True: go on interpreting. */
bool jit_record(struct cpu *cpu, struct jit_block *jb, const struct block *from, unsigned side);
/* Makes a trace of what was recorded; `loop`: its last block goes to its first. */
void jit_trace_make(struct jit *j, bool loop);
void jit_trace_drop(struct jit *j, struct jit_trace *trace);
/* Has the trace run again after global pages may have changed, or drops it, if they have. */
void jit_trace_renew(struct cpu *cpu, struct jit_trace *trace);
/* Translated code left a trace for the interpreter in the middle of a block. */
void jit_trace_missed(struct cpu *cpu);

/* ---- streams: streams.c -----------------------------------------------------------------------
 */

/* Finds the streams of a trace through these blocks, and gives each a slot; in a loop, some of them
 * host registers of guest registers that the blocks do not use, and that are not in `taken`. */
void jit_streams_find(struct jit_streams *s, struct jit *j, struct jit_block *const *way,
                      unsigned steps, bool loop, u32 taken);
struct insn jit_stream_first(const struct jit_stream *m);
/* All slots are free. */
void jit_streams_init(struct jit *j);
/* Sees to it that there are slots for a new trace; traces that have not run for long may go. */
void jit_streams_reserve(struct jit *j);
/* What the trace remembers of its streams; false: no room, and the slots are free again. */
bool jit_streams_keep(struct jit *j, struct jit_trace *trace, const struct jit_streams *s,
                      unsigned insns);
void jit_streams_release(struct jit *j, struct jit_trace *trace);
/* Is a stream's patience over? Then: does one stray, so that the trace is to be made again? */
bool jit_streams_impatient(const struct jit *j, const struct jit_trace *trace);
bool jit_streams_stray(struct jit *j, struct jit_trace *trace, u64 now);
/* The accesses of its groups are lone ones, when it is made again. */
void jit_streams_part(struct jit_trace *trace);
/* Where members of a stream's slot lie from rbp. */
static inline s32 jit_stream_field(const struct jit_stream *m, size_t member)
{
    return STATE(tlb.stream) + (s32)(m->slot * sizeof(struct tlb_stream) + member);
}
/* Goes to cold code (t->cold) unless the stream's page is known and holds it; r15: address of a
 * byte with `before` bytes of it in front; becomes the offset that `host` is to be added to. */
void jit_emit_stream_check(struct tr *t, const struct jit_stream *m, u32 before, unsigned idx);
/* And that: r15 = the host address. */
void jit_emit_stream_place(struct tr *t, const struct jit_stream *m);

/* Tells which rows run on the host's vector registers. */
void jit_vec_rows_init(struct jit *j);
/* False: the handler must run, nothing emitted. */
bool jit_emit_vec(struct tr *t, const struct insn *in, unsigned i);
/* The start of a block of n instructions: makes sure that the vector registers are the guest's if
 * one of them needs it, and notes where that is known. */
void jit_emit_vec_begin(struct tr *t, unsigned n);
/* Makes sure that the vector registers are the guest's, else leaves to record i. */
void jit_emit_vec_enter(struct tr *t, unsigned i);
/* Part of every way into C code: gives the vector registers back. Clobbers flags. */
void jit_emit_vec_leave(struct asmbuf *a);
void jit_emit_vec_stub(struct jit *j, struct asmbuf *a);

/* A VEX-encoded instruction on the vector registers; rm: a register, or memory at [rm]. gpr: an
 * operand is a general register. */
void jit_put_avx_insn(struct tr *t, const struct insn *in, unsigned reg, unsigned rm, bool gpr);
static inline s32 jit_vec_slot(unsigned r)
{
    return STATE(vec) + (s32)(r * sizeof(union vec));
}

/* A VEX-encoded instruction of map 0F without prefix on [rbp + disp]; wide: 256 bits. */
void jit_put_avx_state(struct asmbuf *a, unsigned opcode, unsigned reg, unsigned vvvv, s32 disp,
                       bool wide);
/* rcx = 0 if the upper halves in struct cpu are zero. Flags stay; clobbers xmm0, xmm1. */
void jit_emit_any_upper(struct asmbuf *a);
/* VEX-encoded instructions on general registers; and which of them they change. */
bool jit_row_is_bmi(const struct insn_row *r);
bool jit_emit_bmi(struct tr *t, const struct insn *in, unsigned i);
u32 jit_bmi_written(const struct insn *in);
/* Does the host have what rows of a gate are made of? Of the rows that have a template. */
bool jit_host_has(unsigned gate);
bool jit_host_has_sha(void);

/* Which rows run on the host's x87, and which handlers have to do with cpu->x87. */
void jit_x87_rows_init(struct jit *j);
/* False: the handler must run, nothing emitted. */
bool jit_emit_x87(struct tr *t, const struct insn *in, unsigned i);
/* As jit_emit_vec_begin. */
void jit_emit_x87_begin(struct tr *t, unsigned n);
/* Makes sure that the x87 is the guest's, else leaves to record i. The flags must be there. */
void jit_emit_x87_enter(struct tr *t, unsigned i);
/* The same for an MMX instruction, unless it is known. */
void jit_want_x87(struct tr *t, unsigned i);
/* Stores what is noted: in front of whatever may leave, or that changes registers of an address. */
void jit_emit_notes(struct tr *t, const struct x87_notes *n);
void jit_flush_notes(struct tr *t);
void jit_notes_before(struct tr *t, const struct insn *in);
/* Called by the stub: cpu->x87 into the host's x87. False: an exception is unmasked, nothing done.
 */
bool jit_x87_load(struct cpu *cpu);
/* Takes what is noted into the pointers of cpu->x87: in front of what may load segments. */
void jit_x87_settle(struct cpu *cpu);
bool jit_host_fcomi_keeps_c1(void);
/* Vector registers and MXCSR from struct cpu. Clobbers RCX. */
void jit_emit_vec_load(struct asmbuf *a);
/* Makes an operand of 16 or 32 bytes at r15 that is not aligned miss the access check. Clobbers
 * r14. */
void jit_emit_misaligned_misses(struct asmbuf *a, unsigned size);
/* guest register = host register */
void jit_store_reg(struct tr *t, unsigned guest, unsigned from);
/* General registers that a template changes, as bits; all when it is not known. */
u32 jit_written(const struct jit *j, const struct insn *in);
/* Bytes of the memory operand of a row that runs on the vector registers. */
static inline unsigned jit_vec_bytes(const struct row_traits *r, const struct insn *in)
{
    return r->vec_by_osz ? in->osz : (unsigned)r->vec_size << (r->vec_scales && in->vex_l);
}
