/* block.c: see block.h. */
#include "cpu/block.h"
#include "base/bits.h"
#include "base/host.h"
#include "base/trace.h"
#include "cpu/decode.h"
#include "cpu/excp.h"
#include "cpu/exec.h"
#include "cpu/jit/jit.h"
#include "cpu/observe.h"
#include "cpu/smp.h"
#include "cpu/tap.h"
#include "mmu/smc.h"
#include <stdlib.h>

#define HASH_SLOTS 32768u
#define PAGE_SLOTS 4096u
#define JUMP_SLOTS 4096u
#define ARENA_BYTES (24 * MIB)
#define CHUNKS 16u
#define CHUNK_BYTES (ARENA_BYTES / CHUNKS)
#define CHECKED_INSNS 16u /* most in a checked block */

struct jump_entry {
    gva_t lin;
    u64 epoch;
    struct block *block;
};

struct block_cache {
    u8 *arena;
    unsigned chunk;   /* being filled */
    u32 used[CHUNKS]; /* bytes */
    struct block *hash[HASH_SLOTS];
    struct block *page[PAGE_SLOTS];
    struct jump_entry jump[JUMP_SLOTS];
    struct block_stats stats;
    bool probed;          /* some blocks have probes */
    struct probes *loose; /* of the last block that was not kept */
    /* for code that does not lie in memory: built anew each time, never cached */
    u8 scratch[sizeof(struct block) + 2 * sizeof(struct insn)] __attribute__((aligned(16)));
};

struct block_cache *block_cache_create(struct err *e)
{
    struct block_cache *c = calloc(1, sizeof *c);
    if (!c) {
        err_host(e, "out of memory for the block cache");
        return NULL;
    }
    c->arena = host_map(ARENA_BYTES, e);
    if (!c->arena) {
        free(c);
        return NULL;
    }
    return c;
}

static struct block *chunk_at(const struct block_cache *c, unsigned chunk, u64 off)
{
    return (struct block *)(void *)(c->arena + chunk * CHUNK_BYTES + off);
}

/* The memory of all blocks in a chunk will be others'. */
static void free_probes(struct block_cache *c, unsigned chunk)
{
    if (likely(!c->probed))
        return;
    for (u32 off = 0; off < c->used[chunk]; off += chunk_at(c, chunk, off)->size)
        free(chunk_at(c, chunk, off)->probes);
}

void block_cache_destroy(struct block_cache *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < CHUNKS; i++)
        free_probes(c, i);
    free(c->loose);
    host_unmap(c->arena, ARENA_BYTES);
    free(c);
}

const struct block_stats *block_cache_stats(const struct block_cache *c)
{
    return &c->stats;
}

static unsigned hash_of(gpa_t gpa, u32 key)
{
    u64 h = (gpa ^ ((u64)key << 40)) * 0x9e3779b97f4a7c15ull;
    return (unsigned)(h >> 49);
}
_Static_assert(HASH_SLOTS == 1u << (64 - 49), "hash_of yields 15 bits");

static unsigned page_slot(gpa_t gpa)
{
    return (unsigned)(gpa >> PAGE_SHIFT) & (PAGE_SLOTS - 1);
}

static unsigned jump_slot(gva_t lin)
{
    return (unsigned)(lin ^ lin >> 12) & (JUMP_SLOTS - 1);
}

/* Whatever remembers a block by its address must look it up again. */
static void forget_links(struct cpu *cpu)
{
    cpu->block_gen++;
    memset(cpu->blocks->jump, 0, sizeof cpu->blocks->jump);
    cpu->block = cpu->from_block = NULL;
}

void block_flush_all(struct cpu *cpu)
{
    struct block_cache *c = cpu->blocks;
    for (unsigned i = 0; i < HASH_SLOTS; i++)
        for (const struct block *b = c->hash[i]; b; b = b->hash_next) {
            smc_leave_page(cpu->phys, b->gpa, cpu->id);
            if (b->gpa2 != ~0ull)
                smc_leave_page(cpu->phys, b->gpa2, cpu->id);
        }
    for (unsigned i = 0; i < CHUNKS; i++)
        free_probes(c, i);
    memset(c->hash, 0, sizeof c->hash);
    memset(c->page, 0, sizeof c->page);
    memset(c->used, 0, sizeof c->used);
    c->chunk = 0;
    c->stats.flushes++;
    forget_links(cpu);
    if (cpu->jit)
        jit_flush(cpu->jit);
}

/* ---- invalidation ------------------------------------------------------------------------------
 */

/* Stops a block that runs after the current instruction: all its records become this one. */
static const struct insn *op_block_died(struct cpu *cpu, const struct insn *in)
{
    cpu->rip = insn_rip(cpu, in);
    cpu->left -= in->idx;
    return NULL;
}

static bool overlaps(const struct block *b, gpa_t gpa, u64 len)
{
    if (b->gpa2 == ~0ull)
        return b->gpa < gpa + len && gpa < b->gpa + b->bytes;
    u64 first = PAGE_SIZE - (b->gpa & ~PAGE_MASK);
    return (b->gpa < gpa + len && gpa < b->gpa + first) ||
           (b->gpa2 < gpa + len && gpa < b->gpa2 + (b->bytes - first));
}

static void hash_remove(struct block_cache *c, struct block *b)
{
    struct block **p = &c->hash[hash_of(b->gpa, b->key)];
    while (*p && *p != b)
        p = &(*p)->hash_next;
    if (*p)
        *p = b->hash_next;
}

/* Which of page_next links `b` in the list of this slot. */
static unsigned page_link(const struct block *b, unsigned slot)
{
    return b->gpa2 != ~0ull && page_slot(b->gpa2) == slot && page_slot(b->gpa) != slot;
}

static void page_remove(struct block_cache *c, struct block *b, unsigned slot)
{
    struct block **p = &c->page[slot];
    while (*p && *p != b)
        p = &(*p)->page_next[page_link(*p, slot)];
    if (*p)
        *p = b->page_next[page_link(b, slot)];
}

static void block_kill(struct cpu *cpu, struct block *b)
{
    struct block_cache *c = cpu->blocks;
    b->dead = true;
    hash_remove(c, b);
    page_remove(c, b, page_slot(b->gpa));
    if (b->gpa2 != ~0ull && page_slot(b->gpa2) != page_slot(b->gpa))
        page_remove(c, b, page_slot(b->gpa2));
    if (b->jit)
        jit_kill(cpu, b);
    for (unsigned i = 0; i <= b->count; i++)
        b->insn[i].fn = op_block_died;
}

void block_stop_after_insn(struct cpu *cpu)
{
    if (cpu->block && !cpu->block->dead)
        block_kill(cpu, cpu->block);
}

void block_visit(const struct cpu *cpu, void (*visit)(void *opaque, const struct block *b),
                 void *opaque)
{
    for (unsigned i = 0; i < HASH_SLOTS; i++)
        for (const struct block *b = cpu->blocks->hash[i]; b; b = b->hash_next)
            visit(opaque, b);
}

void block_split_at(struct cpu *cpu, u64 page_offset)
{
    struct block *next;
    for (unsigned i = 0; i < HASH_SLOTS; i++)
        for (struct block *b = cpu->blocks->hash[i]; b; b = next) {
            next = b->hash_next;
            if (overlaps(b, (b->gpa & PAGE_MASK) + page_offset, 1) ||
                (b->gpa2 != ~0ull && overlaps(b, b->gpa2 + page_offset, 1)))
                block_kill(cpu, b);
        }
}

/* Kills the blocks in [gpa, gpa + len) of one page; returns their number. */
static unsigned kill_range(struct cpu *cpu, gpa_t gpa, u64 len)
{
    struct block_cache *c = cpu->blocks;
    unsigned killed = 0;
    unsigned slot = page_slot(gpa);
    struct block *next;
    for (struct block *b = c->page[slot]; b; b = next) {
        next = b->page_next[page_link(b, slot)];
        if (overlaps(b, gpa, len)) {
            block_kill(cpu, b);
            killed++;
        }
    }
    TRACE(block_invalidate, gpa, killed);
    return killed;
}

/* The n-th CPU of the machine; NULL beyond the last. */
static struct cpu *nth_cpu(struct cpu *cpu, unsigned n)
{
    if (!cpu->smp)
        return n == 0 ? cpu : NULL;
    return n < cpu->smp->count ? cpu->smp->cpu[n] : NULL;
}

static unsigned kill_range_everywhere(struct cpu *cpu, gpa_t gpa, u64 len)
{
    struct cpu *each;
    unsigned killed = 0;
    for (unsigned n = 0; (each = nth_cpu(cpu, n)) != NULL; n++)
        killed += kill_range(each, gpa, len);
    return killed;
}

/* The amount of code decoded so far, as a time. */
static u32 build_time(struct cpu *cpu)
{
    struct cpu *each;
    u64 built = 0;
    for (unsigned n = 0; (each = nth_cpu(cpu, n)) != NULL; n++)
        built += each->blocks->stats.built;
    return (u32)built;
}

/* Marks what a CPU's blocks hold of a page. */
static void mark_page(struct cpu *cpu, gpa_t page)
{
    unsigned slot = page_slot(page);
    for (struct block *b = cpu->blocks->page[slot]; b; b = b->page_next[page_link(b, slot)]) {
        if (b->source) /* protects itself */
            continue;
        u64 first = b->gpa2 == ~0ull ? b->bytes : PAGE_SIZE - (b->gpa & ~PAGE_MASK);
        if ((b->gpa & PAGE_MASK) == page)
            smc_mark(cpu->phys, b->gpa, (unsigned)first, cpu->id);
        if (b->gpa2 == page)
            smc_mark(cpu->phys, b->gpa2, (unsigned)(b->bytes - first), cpu->id);
    }
}

void block_invalidate(struct cpu *cpu, gpa_t gpa, u64 len)
{
    struct block_stats *st = &cpu->blocks->stats;
    gpa_t page = gpa & PAGE_MASK;
    struct cpu *each;
    smp_stop(cpu->smp);
    unsigned killed = kill_range_everywhere(cpu, gpa, len);
    st->invalidated += killed;
    if (killed && smc_code_hit(cpu->phys, gpa, build_time(cpu))) {
        st->unsettled++;
        kill_range_everywhere(cpu, page, PAGE_SIZE);
    } else {
        /* Recompute the page's granules from the blocks that stay: pages mix code and data, and a
         * page without code must become an ordinary one again. */
        smc_clear_page(cpu->phys, page);
        for (unsigned n = 0; (each = nth_cpu(cpu, n)) != NULL; n++)
            mark_page(each, page);
    }
    if (killed)
        smp_code_changed(cpu->smp);
    smp_resume(cpu->smp);
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* Closes a block that does not end by itself: goes on at the next address. */
static const struct insn *op_block_end(struct cpu *cpu, const struct insn *in)
{
    cpu->rip = insn_rip(cpu, in);
    /* `in` is not an instruction: count the ones before it. */
    return exec_jump(cpu, in - 1, 0);
}

bool block_ends_after(const struct insn *in)
{
    return in[1].fn == op_block_end;
}

const struct insn_ops ops_block_end = {.any = op_block_end};

/* The first bytes of an instruction that is none, as far as they lie in its page. */
static void note_opcode(struct cpu *cpu, const struct insn *in)
{
    gpa_t gpa = cpu->block->gpa + in->off;
    const u8 *h = phys_host(cpu->phys, gpa);
    u64 bytes = 0, room = PAGE_SIZE - (gpa & ~PAGE_MASK);
    for (unsigned i = 0; h && i < 8 && i < in->len && i < room; i++)
        bytes |= (u64)h[i] << (8 * i);
    quirk_note(&cpu->quirks, QUIRK_OPCODE, bytes);
}

static const struct insn *op_ud(struct cpu *cpu, const struct insn *in)
{
    if (in->row == ROW_INVALID) /* else UD2, or for another mode */
        note_opcode(cpu, in);
    excp_ud(cpu, in);
}

const struct insn_ops ops_invalid = {.any = op_ud};

static const struct insn *op_too_long(struct cpu *cpu, const struct insn *in)
{
    excp_gp(cpu, in, 0);
}

static const struct insn *op_not_cpl0(struct cpu *cpu, const struct insn *in)
{
    excp_gp(cpu, in, 0);
}

static bool seg_is_flat(u32 key, unsigned seg)
{
    switch (seg) {
    case SEG_NONE: return true;
    case SEG_FS: return key & (KEY_FLAT_FS | KEY_CODE64);
    case SEG_GS: return key & (KEY_FLAT_GS | KEY_CODE64);
    case SEG_CS: return false;
    default: return key & KEY_FLAT;
    }
}

bool block_address_is_flat(u32 key, const struct insn *in)
{
    if (key & KEY_CODE64)
        return in->asz == 8;
    return key & KEY_CODE32 && in->asz == 4 && seg_is_flat(key, in->seg);
}

static bool stack_is_flat(u32 key)
{
    return key & KEY_CODE64 ||
           ((key & (KEY_CODE32 | KEY_SS32 | KEY_FLAT)) == (KEY_CODE32 | KEY_SS32 | KEY_FLAT));
}

/* Makes RIP-relative displacements relative to the block's start, where REG_RIP points. */
static void rebase_rip(struct insn *in)
{
    s64 d = (s64)in->disp + in->off + in->len;
    if (d > INT32_MAX) { /* does not fit: split into 4 GiB and a negative rest */
        in->index = REG_4G;
        in->scale = 0;
        d -= (s64)(4 * GIB);
    }
    in->disp = (s32)d;
}

/* Chooses the handler of a record; flags_dead: nobody reads what it would write to the flags. */
static void bind(struct cpu *cpu, struct insn *in, bool flags_dead)
{
    const struct insn_row *row = insn_row(in);
    const struct insn_ops *ops = row->ops;
    unsigned i = in->osz == 1 ? 0 : in->osz == 2 ? 1 : in->osz == 4 ? 2 : 3;
    insn_fn fn = NULL;

    if (in->row == ROW_INVALID || !ops) {
        in->fn = op_ud;
        return;
    }
    if (row->attr & A_CPL0 && cpu->cpl != 0) {
        in->fn = op_not_cpl0;
        return;
    }
    if (ops->stack && !stack_is_flat(cpu->key))
        fn = NULL;
    else if (in->pfx & PFX_LOCK && in->mem)
        fn = ops->l[i];
    else if (!in->mem)
        fn = flags_dead && ops->rn[i] ? ops->rn[i] : ops->r[i];
    else if (block_address_is_flat(cpu->key, in))
        fn = flags_dead && ops->mn[i] ? ops->mn[i] : ops->m[i];
    else
        fn = ops->s[i];
    in->fn = fn ? fn : ops->any ? ops->any : op_ud;
}

/* Can a record leave the straight line before its flags are needed? Then they must be right. */
static bool may_fault(const struct insn *in)
{
    const struct insn_row *row = insn_row(in);
    return row->cls != IDENT || in->mem || !row->ops || row->ops->stack || in->fn == row->ops->any;
}

/* Binds all records, last to first, with liveness of flags. */
static void bind_block(struct cpu *cpu, struct block *b)
{
    u32 live = F_ALL;
    for (unsigned i = b->count; i-- > 0;) {
        struct insn *in = &b->insn[i];
        const struct insn_row *row = insn_row(in);
        u32 kills = row->fl_write | row->fl_undef;
        if (in->fn) { /* too long: only raises */
            live = F_ALL;
            continue;
        }
        bind(cpu, in, kills && !(live & kills));
        live = (live & ~kills) | row->fl_read;
        if (may_fault(in))
            live = F_ALL;
    }
}

struct fetch {
    gpa_t gpa;
    const u8 *host; /* from gpa to the end of its page; NULL: not memory */
};

/* Translates for instruction fetch; raises #PF, #GP. */
static struct fetch fetch_page(struct cpu *cpu, gva_t lin)
{
    bool user = cpu->cpl == 3;
    gpa_t gpa;
    if (likely(tlb_fetch(&cpu->tlb, lin, user, &gpa)))
        return (struct fetch){gpa, phys_host(cpu->phys, gpa)};
    if (cpu_in_long_mode(cpu) && !cpu_canonical(cpu, lin))
        excp_gp(cpu, NULL, 0);
    struct tlb_fill f;
    struct walk_access wa = {.kind = ACCESS_EXEC, .user = user, .set_ad = true};
    stat_count(&cpu->stats, STAT_TLB_MISS, SERVED_LEAF);
    tlb_lookup(&cpu->tlb, cpu->phys, &cpu->paging, lin, ACCESS_EXEC, user ? TLB_USER : TLB_KERNEL,
               wa, &f);
    if (!f.ok)
        excp_page_fault(cpu, NULL, lin, f.pfec);
    return (struct fetch){f.gpa, f.host};
}

static u64 fetch_byte(struct cpu *cpu, const struct fetch *f, unsigned off)
{
    return f->host ? mem_ld(f->host + off, 1) : mem_read_phys(cpu, f->gpa + off, 1);
}

/* Decodes one instruction at `off` of the block whose first byte is at `lin`. False: it needs bytes
 * of the next page and is not the block's first. buf: INSN_MAX_BYTES; if it does need them, its
 * bytes are there. */
static bool decode_at(struct cpu *cpu, struct insn *in, gva_t lin, const struct fetch *f,
                      unsigned off, gpa_t *second_page, u8 *buf)
{
    unsigned room = (unsigned)(PAGE_SIZE - ((f->gpa + off) & ~PAGE_MASK));
    unsigned avail = room < INSN_MAX_BYTES ? room : INSN_MAX_BYTES;
    unsigned bits = cpu->key & KEY_CODE64 ? 64 : cpu->key & KEY_CODE32 ? 32 : 16;
    bool real = cpu->key & KEY_REAL;
    const u8 *bytes = f->host ? f->host + off : buf;

    if (!f->host)
        for (unsigned i = 0; i < avail; i++)
            buf[i] = (u8)fetch_byte(cpu, f, off + i);
    enum decode_status s = decode(bytes, avail, bits, real, cpu->gates, in);
    *second_page = ~0ull;
    if (s == DECODE_TRUNCATED) {
        if (off)
            return false;
        struct fetch f2 = fetch_page(cpu, cpu_in_long_mode(cpu) ? lin + room : (u32)(lin + room));
        memmove(buf, bytes, room);
        for (unsigned i = room; i < INSN_MAX_BYTES; i++)
            buf[i] = (u8)fetch_byte(cpu, &f2, i - room);
        s = decode(buf, INSN_MAX_BYTES, bits, real, cpu->gates, in);
        *second_page = f2.host ? f2.gpa : ~1ull;
    }
    in->off = (u16)off;
    in->fn = s == DECODE_TOO_LONG ? op_too_long : NULL;
    return true;
}

/* Would the bytes up to `end` (offset in CS, exclusive) leave the code segment? */
static bool beyond_cs_limit(const struct cpu *cpu, u64 end)
{
    return !(cpu->key & KEY_CODE64) && end - 1 > cpu->seg[SEG_CS].limit;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Goes on to the next chunk; what was there is gone. */
static void next_chunk(struct cpu *cpu)
{
    struct block_cache *c = cpu->blocks;
    c->chunk = (c->chunk + 1) % CHUNKS;
    if (!c->used[c->chunk])
        return;
    for (u32 off = 0; off < c->used[c->chunk]; off += chunk_at(c, c->chunk, off)->size)
        if (!chunk_at(c, c->chunk, off)->dead)
            block_kill(cpu, chunk_at(c, c->chunk, off));
    free_probes(c, c->chunk);
    c->used[c->chunk] = 0;
    c->stats.evicted++;
    forget_links(cpu);
}

/* Memory for a block of any length. */
static struct block *arena_block(struct cpu *cpu, const struct fetch *f)
{
    struct block_cache *c = cpu->blocks;
    u64 need = sizeof(struct block) + (BLOCK_MAX_INSNS + 1) * sizeof(struct insn);
    if (!f->host)
        return (struct block *)(void *)c->scratch;
    if (c->used[c->chunk] + need > CHUNK_BYTES)
        next_chunk(cpu);
    return chunk_at(c, c->chunk, c->used[c->chunk]);
}

/* Takes what a new block needs, and for a checked one somewhat more: it may grow. */
static void arena_take(struct block_cache *c, struct block *b, bool checked)
{
    b->room = checked ? (u16)align_up(b->count, 4) : b->count;
    b->source_room = checked ? (u16)align_up(b->bytes, 32) : 0;
    b->source = checked ? (u8 *)&b->insn[b->room + 1] : NULL;
    b->size = (u32)align_up(sizeof *b + (b->room + 1u) * sizeof(struct insn) + b->source_room, 16);
    c->used[c->chunk] += b->size;
}

static unsigned bytes_on_first_page(const struct block *b)
{
    return b->gpa2 == ~0ull ? b->bytes : (unsigned)(PAGE_SIZE - (b->gpa & ~PAGE_MASK));
}

/* Marks code. Stores that are on their way are there when this returns, later ones are noticed. */
static void mark_code(struct cpu *cpu, gpa_t gpa, unsigned len)
{
    if (!smc_mark(cpu->phys, gpa, len, cpu->id))
        return;
    tlb_drop_write(&cpu->tlb, cpu->phys, gpa);
    /* Who has write tags is noted only where it costs something to take them away. */
    u32 writers = cpu->shared ? smc_take_writers(cpu->phys, gpa, cpu->id) : ~0u;
    if (!writers || !cpu->smp)
        return;
    smp_stop(cpu->smp);
    writers |= smc_take_writers(cpu->phys, gpa, cpu->id);
    for (unsigned n = 0; n < cpu->smp->count; n++)
        if (writers >> n & 1)
            tlb_drop_write(&cpu->smp->cpu[n]->tlb, cpu->phys, gpa);
    smp_resume(cpu->smp);
}

/* Puts a block into the lists, and keeps stores away from it unless it is checked. */
static void block_register(struct cpu *cpu, struct block *b)
{
    struct block_cache *c = cpu->blocks;
    unsigned h = hash_of(b->gpa, b->key), s = page_slot(b->gpa), first = bytes_on_first_page(b);

    b->hash_next = c->hash[h];
    c->hash[h] = b;
    b->page_next[0] = c->page[s];
    c->page[s] = b;
    if (b->gpa2 != ~0ull && page_slot(b->gpa2) != s) {
        b->page_next[1] = c->page[page_slot(b->gpa2)];
        c->page[page_slot(b->gpa2)] = b;
    }
    c->stats.built++;
    c->stats.insns += b->count;
    if (b->source)
        return;
    mark_code(cpu, b->gpa, first);
    if (b->gpa2 != ~0ull)
        mark_code(cpu, b->gpa2, b->bytes - first);
}

/* ---- checked blocks -------------------------------------------------------------------------- */

static bool is_checked(const struct cpu *cpu, const struct block *b)
{
    return smc_checked(cpu->phys, b->gpa) || (b->gpa2 != ~0ull && smc_checked(cpu->phys, b->gpa2));
}

/* Is the block's code in memory other than `bytes`? */
static bool bytes_differ(const struct cpu *cpu, const struct block *b, const u8 *bytes)
{
    unsigned first = bytes_on_first_page(b);
    const u8 *h = phys_host(cpu->phys, b->gpa);
    if (!h || mem_differs(h, bytes, first))
        return true;
    if (b->gpa2 == ~0ull)
        return false;
    h = phys_host(cpu->phys, b->gpa2);
    return !h || mem_differs(h, bytes + first, b->bytes - first);
}

static const struct insn *enter_again(struct cpu *cpu, struct block *b)
{
    cpu->block = b;
#if EXEC_TAIL_CALLS
    return b->insn[0].fn(cpu, b->insn);
#else
    return b->insn;
#endif
}

/* The code did not change for so long that its page becomes an ordinary one. */
static void settle(struct cpu *cpu, const struct block *b)
{
    struct block_cache *c = cpu->blocks;
    gpa_t pages[2] = {b->gpa & PAGE_MASK, b->gpa2};
    smp_stop(cpu->smp);
    for (unsigned i = 0; i < 2; i++)
        if (pages[i] != ~0ull) { /* another CPU may have settled it before */
            smc_settle(cpu->phys, pages[i], build_time(cpu));
            kill_range(cpu, pages[i], PAGE_SIZE);
            c->stats.settled++;
        }
    smp_resume(cpu->smp);
}

static struct block *block_build(struct cpu *cpu, gva_t lin, const struct fetch *f,
                                 struct block *reuse);

/* First record of a checked block. */
static const struct insn *op_checked(struct cpu *cpu, const struct insn *in)
{
    struct block_cache *c = cpu->blocks;
    struct block *b = cpu->block;
    gva_t lin = cpu->gpr[REG_RIP];
    if (unlikely(bytes_differ(cpu, b, b->source))) {
        c->stats.changed++;
        block_kill(cpu, b);
        struct fetch f = fetch_page(cpu, lin);
        return enter_again(cpu, f.gpa == b->gpa && f.host ? block_build(cpu, lin, &f, b)
                                                          : block_find(cpu, lin));
    }
    if (unlikely(++b->unchanged >= smc_patience(cpu->phys, b->gpa))) {
        settle(cpu, b);
        b = block_find(cpu, lin);
        b->hits = BLOCK_HOT - 1;
        return enter_again(cpu, b);
    }
    return b->first_fn(cpu, in);
}

/* Completes a checked block that was just decoded from these bytes. */
static void make_checked(struct block *b, const u8 *bytes)
{
    memcpy(b->source, bytes, b->bytes);
    b->first_fn = b->insn[0].fn;
    b->insn[0].fn = op_checked;
    b->hits = BLOCK_HOT; /* not for the translator */
}

/* ---- breakpoints ----------------------------------------------------------------------------- */

/* First record of a block that begins where a breakpoint may be. */
static const struct insn *op_tapped(struct cpu *cpu, const struct insn *in)
{
    if (likely(!tap_code(cpu, cpu->gpr[REG_RIP])))
        return cpu->block->tapped_fn(cpu, in);
    cpu->rip = insn_rip(cpu, in);
    return NULL;
}

/* Single instructions are looked at by the run loop. */
static void make_tapped(struct cpu *cpu, struct block *b)
{
    if (!tap_may_be_code(cpu->taps, b->gpa) || b->key & KEY_SINGLE)
        return;
    b->tapped_fn = b->insn[0].fn;
    b->insn[0].fn = op_tapped;
}

/* ---- those who look on ------------------------------------------------------------------------
 */

static void add_probes(struct cpu *cpu, struct block *b, gva_t lin, bool kept)
{
    struct block_cache *c = cpu->blocks;
    observe_block(cpu, b, lin);
    c->probed |= b->probes != NULL;
    if (kept)
        return;
    free(c->loose);
    c->loose = b->probes;
}

/* ---- building -------------------------------------------------------------------------------- */

/* How much a block may hold. */
struct limits {
    unsigned insns, bytes;
    bool checked; /* the page is checked */
};

static struct limits limits_of(const struct cpu *cpu, const struct fetch *f,
                               const struct block *reuse)
{
    struct limits l = {.insns = BLOCK_MAX_INSNS,
                       .bytes = (unsigned)(PAGE_SIZE - (f->gpa & ~PAGE_MASK)),
                       .checked = f->host && smc_checked(cpu->phys, f->gpa)};
    if (l.checked)
        l.insns = CHECKED_INSNS;
    if (reuse) {
        l.insns = reuse->room;
        l.bytes = reuse->source_room < l.bytes ? reuse->source_room : l.bytes;
    }
    if (cpu->key & KEY_SINGLE || !f->host)
        l.insns = 1;
    return l;
}

/* What a block is decoded from: where other CPUs store meanwhile, a copy. */
struct snapshot {
    u8 bytes[(BLOCK_MAX_INSNS + 1) * INSN_MAX_BYTES];
    u8 crossing[INSN_MAX_BYTES]; /* of an instruction that lies on two pages */
};

static struct fetch take_snapshot(const struct cpu *cpu, const struct fetch *f, struct snapshot *s)
{
    struct fetch copy = *f;
    if (!cpu->shared || !f->host)
        return copy;
    u64 room = PAGE_SIZE - (f->gpa & ~PAGE_MASK);
    mem_ld_bytes(s->bytes, f->host, room < sizeof s->bytes ? room : sizeof s->bytes);
    copy.host = s->bytes;
    return copy;
}

bool block_touches_memory(const struct insn *in)
{
    const struct insn_row *row = insn_row(in);
    if (row->cls != IDENT || !row->ops || row->ops->stack)
        return true;
    return in->mem && row->opnd[1] != OPND_M;
}

/*T:510 A block
 *
 * Both engines run blocks: records up to the first jump or system instruction, or to the end of the
 * page. A block is found by its physical address and by the mode that it was decoded in (`key`), so
 * that programs that share code share blocks, and a switch of address spaces loses none.
 */
/* Decodes records into b, as many as belong into it; raises what fetching the first one raises.
 * False: not all of its bytes lie in memory. */
static bool decode_block(struct cpu *cpu, struct block *b, gva_t lin, const struct fetch *f,
                         struct limits limits, u8 *crossing)
{
    u64 eip = cpu->key & KEY_CODE64 ? lin : (u32)(lin - cpu->seg[SEG_CS].base);
    bool open = true, in_memory = f->host != NULL;
    while (open && b->count < limits.insns && b->bytes < limits.bytes) {
        struct insn *in = &b->insn[b->count];
        gpa_t second;
        if (b->count && tap_may_be_code(cpu->taps, lin + b->bytes))
            break;
        if (!decode_at(cpu, in, lin, f, b->bytes, &second, crossing))
            break;
        if (b->count && b->bytes + in->len > limits.bytes)
            break;
        if (beyond_cs_limit(cpu, eip + b->bytes + in->len)) {
            if (!b->count)
                excp_gp(cpu, NULL, 0);
            break;
        }
        const struct insn_row *row = insn_row(in);
        if (in->mem && in->base == REG_RIP)
            rebase_rip(in);
        in->idx = (u8)b->count++;
        b->bytes = (u16)(b->bytes + in->len);
        open = row->cls != CTRL && row->cls != SYSTEM && !in->fn && in->row != ROW_INVALID &&
               second == ~0ull && !(limits.checked && block_touches_memory(in));
        if (second == ~1ull)
            in_memory = false;
        else if (second != ~0ull)
            b->gpa2 = second;
    }
    return in_memory;
}

/*
 * Makes the block at `lin`. reuse: a dead block of the same address whose code has changed; its
 * memory is taken, and the new one may come out shorter than it could be.
 */
static struct block *block_build(struct cpu *cpu, gva_t lin, const struct fetch *f,
                                 struct block *reuse)
{
    u64 eip = cpu->key & KEY_CODE64 ? lin : (u32)(lin - cpu->seg[SEG_CS].base);
    if (beyond_cs_limit(cpu, eip + 1))
        excp_gp(cpu, NULL, 0);

    struct limits limits = limits_of(cpu, f, reuse);
    struct block *b = reuse ? reuse : arena_block(cpu, f);
    struct block fresh = {
        .gpa = f->gpa, .key = cpu->key, .hits = cpu->jit_warm, .gpa2 = ~0ull, .dead = true};
    if (reuse) {
        fresh.size = reuse->size;
        fresh.room = reuse->room;
        fresh.source_room = reuse->source_room;
        fresh.source = reuse->source;
        free(reuse->probes);
    }
    *b = fresh;
    struct snapshot bytes;
    struct fetch from = take_snapshot(cpu, f, &bytes);
    bool cacheable = decode_block(cpu, b, lin, &from, limits, bytes.crossing);
    bind_block(cpu, b);
    if (unlikely(cpu->observer != NULL))
        add_probes(cpu, b, lin, cacheable);
    make_tapped(cpu, b);
    b->insn[b->count] = (struct insn){.fn = op_block_end, .off = b->bytes, .idx = (u8)b->count};
    TRACE(block_build, b->gpa, lin, (unsigned)b->count, b->key);
    if (!cacheable) /* stays dead: nobody may remember it */
        return b;
    if (!reuse)
        arena_take(cpu->blocks, b, is_checked(cpu, b));
    else if (b->gpa2 != ~0ull)
        cpu->block_gen++; /* links to its predecessor do not look at the second page's mapping */
    const u8 *decoded = b->gpa2 == ~0ull ? from.host : bytes.crossing;
    b->dead = false;
    if (b->source)
        make_checked(b, decoded);
    block_register(cpu, b);
    if (cpu->shared && !b->dead && bytes_differ(cpu, b, decoded))
        block_kill(cpu, b); /* stored before the marks were there: its first record looks again */
    return b;
}

/* What stays the same as long as the block is found at this address. */
static u64 fetch_epoch(const struct cpu *cpu, gva_t lin, const struct block *b)
{
    bool global = b->gpa2 == ~0ull && tlb_fetch_global(&cpu->tlb, lin, cpu->cpl == 3);
    return global ? cpu->tlb.epoch_global : cpu->tlb.epoch;
}

struct block *block_find(struct cpu *cpu, gva_t lin)
{
    struct block_cache *c = cpu->blocks;
    struct jump_entry *j = &c->jump[jump_slot(lin)];

    cpu->gpr[REG_RIP] = lin;
    bool current = j->epoch == cpu->tlb.epoch || j->epoch == cpu->tlb.epoch_global;
    if (likely(j->lin == lin && current && j->block && j->block->key == cpu->key &&
               !j->block->dead))
        return j->block;

    struct fetch f = fetch_page(cpu, lin);
    struct block *b = NULL;
    if (f.host)
        for (b = c->hash[hash_of(f.gpa, cpu->key)]; b; b = b->hash_next)
            if (b->gpa == f.gpa && b->key == cpu->key)
                break;
    /* A block that crosses into another page is good only while that page maps where it did. */
    if (b && b->gpa2 != ~0ull) {
        unsigned room = (unsigned)(PAGE_SIZE - (lin & ~PAGE_MASK));
        struct fetch f2 = fetch_page(cpu, cpu_in_long_mode(cpu) ? lin + room : (u32)(lin + room));
        if (f2.gpa != b->gpa2) {
            block_kill(cpu, b);
            b = NULL;
        }
    }
    if (b && beyond_cs_limit(cpu, (u32)(lin - cpu->seg[SEG_CS].base) + b->bytes)) {
        /* another segment made it: run it one by one */
        u32 key = cpu->key;
        cpu->key |= KEY_SINGLE;
        b = block_build(cpu, lin, &f, NULL);
        cpu->key = key;
        return b;
    }
    if (!b)
        b = block_build(cpu, lin, &f, NULL);
    if (!b->dead)
        *j = (struct jump_entry){lin, fetch_epoch(cpu, lin, b), b};
    return b;
}
