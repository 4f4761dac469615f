/*
 * ops_string.c: MOVS, STOS, LODS, CMPS, SCAS, with REP, REPE, REPNE.
 *
 * Intel SDM vol. 2 and vol. 1, 7.3.9. A repeated instruction can be interrupted and restarted after
 * every element: counts and indexes are up to date before anything may fault, and after
 * STRING_BATCH elements, or when something is requested, the instruction leaves the block with RIP
 * at itself. Under debugging (single step, breakpoints) it does so after every element.
 *
 * Runs of elements that lie in plain memory within one page, forwards, go through host pointers.
 * Everything else (backwards, MMIO, code pages, page crossings) goes element by element.
 *
 * With a count of 0 nothing changes, not even bits 63:32 of the registers with 32-bit addresses.
 * F2 repeats MOVS, STOS and LODS as F3 does.
 *
 * Not here: INS and OUTS (the system section).
 */
#include "cpu/ops_int.h"

#define STRING_BATCH 65536u

/* ---- registers ------------------------------------------------------------------------------- */

static u64 amask_of(const struct insn *in)
{
    return mask64(in->asz * 8u);
}

/* Moves an index register by n elements in the direction of DF. */
static void advance(struct cpu *cpu, const struct insn *in, unsigned reg, u64 n)
{
    u64 bytes = n * in->osz;
    u64 v = cpu->eflags & EFLAGS_DF ? cpu->gpr[reg] - bytes : cpu->gpr[reg] + bytes;
    reg_set(cpu, reg, v, in->asz);
}

/* The destination is always in ES, whatever the prefixes. */
static unsigned dest_seg(const struct cpu *cpu)
{
    return cpu_in_code64(cpu) ? SEG_NONE : SEG_ES;
}

static gva_t source_addr(struct cpu *cpu, const struct insn *in)
{
    return seg_addr(cpu, in, in->seg, cpu->gpr[RSI] & amask_of(in), in->osz, ACCESS_READ);
}

static gva_t dest_addr(struct cpu *cpu, const struct insn *in, enum access kind)
{
    return seg_addr(cpu, in, dest_seg(cpu), cpu->gpr[RDI] & amask_of(in), in->osz, kind);
}

/* ---- repetition ------------------------------------------------------------------------------ */

/* Does one element; false ends a repetition early (CMPS, SCAS). */
typedef bool (*string_one_fn)(struct cpu *cpu, const struct insn *in);
/* Does 1 to max elements at once through host pointers, or returns 0 when `one` must do it. For
 * CMPS and SCAS *stop ends the repetition. Only segment checks fault in it, in the order of `one`.
 */
typedef u64 (*string_run_fn)(struct cpu *cpu, const struct insn *in, u64 max, bool *stop);

/* Elements from the linear address `va` = segment offset `off` on that one page and the segment's
 * limit surely hold; 0 when not even one. */
static u64 run_limit(const struct cpu *cpu, const struct insn *in, unsigned seg, u64 off, gva_t va)
{
    u64 bytes = PAGE_SIZE - (va & ~PAGE_MASK);
    if (!cpu_in_code64(cpu)) {
        const struct seg *s = &cpu->seg[seg];
        bool expand_down = !(s->attr & BIT(3)) && (s->attr & BIT(2));
        u64 room = (u64)s->limit + 1 - off; /* the caller's seg_addr passed: off <= limit */
        if (expand_down)
            return 0;
        bytes = bytes < room ? bytes : room;
    }
    /* The index must not wrap within the run; it may become 0 after it. */
    if (amask_of(in) - off < bytes - 1)
        bytes = amask_of(in) - off + 1;
    return bytes / in->osz;
}

static u64 min_u64(u64 a, u64 b)
{
    return a < b ? a : b;
}

static u64 source_run_limit(const struct cpu *cpu, const struct insn *in, gva_t va)
{
    return run_limit(cpu, in, in->seg, cpu->gpr[RSI] & amask_of(in), va);
}

static u64 dest_run_limit(const struct cpu *cpu, const struct insn *in, gva_t va)
{
    return run_limit(cpu, in, dest_seg(cpu), cpu->gpr[RDI] & amask_of(in), va);
}

/* True: finished, go on to the next instruction. False: come back to this one. */
static NOINLINE bool repeat(struct cpu *cpu, const struct insn *in, string_one_fn one,
                            string_run_fn run)
{
    u64 batch = cpu->debug_active ? 1 : STRING_BATCH, done = 0;
    bool runs = !(cpu->eflags & EFLAGS_DF) && !cpu->debug_active;

    for (;;) {
        u64 count = cpu->gpr[RCX] & amask_of(in), n = 0;
        bool stop = false;
        if (count == 0)
            return true;
        if (done == batch || (done > 0 && cpu_pending(cpu))) {
            cpu_kick(cpu); /* a repetition takes long: let timers be looked at */
            return false;
        }
        if (runs)
            n = run(cpu, in, min_u64(count, batch - done), &stop);
        if (n == 0) {
            stop = !one(cpu, in);
            n = 1;
        }
        reg_set(cpu, RCX, count - n, in->asz);
        if (stop)
            return true;
        done += n;
    }
}

static inline const struct insn *string_insn(struct cpu *cpu, const struct insn *in,
                                             string_one_fn one, string_run_fn run)
{
    if (!(in->pfx & (PFX_REP | PFX_REPNE))) {
        one(cpu, in);
    } else if (!repeat(cpu, in, one, run)) {
        cpu->rip = insn_rip(cpu, in);
        return LEAVE(cpu, in);
    }
    NEXT;
}

/* ---- MOVS ------------------------------------------------------------------------------------ */

static bool movs_one(struct cpu *cpu, const struct insn *in)
{
    u64 v = mem_read(cpu, in, source_addr(cpu, in), in->osz);
    mem_write(cpu, in, dest_addr(cpu, in, ACCESS_WRITE), v, in->osz);
    advance(cpu, in, RSI, 1);
    advance(cpu, in, RDI, 1);
    return true;
}

/* Copies n elements as the processor does, one after the other, which matters when the destination
 * begins inside the source. */
static void copy_forward(u8 *to, const u8 *from, u64 n, unsigned size)
{
    if ((uintptr_t)to - (uintptr_t)from < n * size && to != from) {
        for (; n > 0; n--, to += size, from += size)
            st_le(to, ld_le(from, size), size);
    } else {
        memmove(to, from, n * size);
    }
}

static u64 movs_run(struct cpu *cpu, const struct insn *in, u64 max, bool *stop)
{
    gva_t dst, src = source_addr(cpu, in);
    const u8 *from = mem_fast_r(cpu, src, in->osz);
    u8 *to;
    u64 n;
    (void)stop;
    if (!from)
        return 0;
    dst = dest_addr(cpu, in, ACCESS_WRITE);
    to = mem_fast_w(cpu, dst, in->osz);
    if (!to)
        return 0;
    n = min_u64(source_run_limit(cpu, in, src), dest_run_limit(cpu, in, dst));
    n = min_u64(n, max);
    copy_forward(to, from, n, in->osz);
    advance(cpu, in, RSI, n);
    advance(cpu, in, RDI, n);
    return n;
}

HANDLER(movs)
{
    return string_insn(cpu, in, movs_one, movs_run);
}

const struct insn_ops ops_movs = {.any = movs};

/* ---- STOS ------------------------------------------------------------------------------------ */

static bool stos_one(struct cpu *cpu, const struct insn *in)
{
    gva_t va = dest_addr(cpu, in, ACCESS_WRITE);
    mem_write(cpu, in, va, reg_get(cpu, RAX, in->osz), in->osz);
    advance(cpu, in, RDI, 1);
    return true;
}

static void fill(u8 *to, u64 v, u64 n, unsigned size)
{
    if (v == 0 || size == 1) {
        memset(to, (int)v, n * size);
        return;
    }
    for (; n > 0; n--, to += size)
        st_le(to, v, size);
}

static u64 stos_run(struct cpu *cpu, const struct insn *in, u64 max, bool *stop)
{
    gva_t dst = dest_addr(cpu, in, ACCESS_WRITE);
    u8 *to = mem_fast_w(cpu, dst, in->osz);
    u64 n;
    (void)stop;
    if (!to)
        return 0;
    n = min_u64(dest_run_limit(cpu, in, dst), max);
    fill(to, reg_get(cpu, RAX, in->osz), n, in->osz);
    advance(cpu, in, RDI, n);
    return n;
}

HANDLER(stos)
{
    return string_insn(cpu, in, stos_one, stos_run);
}

const struct insn_ops ops_stos = {.any = stos};

/* ---- LODS ------------------------------------------------------------------------------------ */

static bool lods_one(struct cpu *cpu, const struct insn *in)
{
    reg_set(cpu, RAX, mem_read(cpu, in, source_addr(cpu, in), in->osz), in->osz);
    advance(cpu, in, RSI, 1);
    return true;
}

/* Of a run only the last element remains. */
static u64 lods_run(struct cpu *cpu, const struct insn *in, u64 max, bool *stop)
{
    gva_t src = source_addr(cpu, in);
    const u8 *from = mem_fast_r(cpu, src, in->osz);
    u64 n;
    (void)stop;
    if (!from)
        return 0;
    n = min_u64(source_run_limit(cpu, in, src), max);
    if (n == 0)
        return 0;
    reg_set(cpu, RAX, ld_le(from + (n - 1) * in->osz, in->osz), in->osz);
    advance(cpu, in, RSI, n);
    return n;
}

HANDLER(lods)
{
    return string_insn(cpu, in, lods_one, lods_run);
}

const struct insn_ops ops_lods = {.any = lods};

/* ---- CMPS, SCAS ------------------------------------------------------------------------------ */

/* Sets the flags of a - b; true when a repetition goes on: REPE while equal, REPNE while not. */
static bool compare(struct cpu *cpu, const struct insn *in, u64 a, u64 b)
{
    flags_sub(&cpu->flags, a, b, a - b, in->osz * 8u);
    return (a == b) == !(in->pfx & PFX_REPNE);
}

static bool cmps_one(struct cpu *cpu, const struct insn *in)
{
    u64 a = mem_read(cpu, in, source_addr(cpu, in), in->osz);
    u64 b = mem_read(cpu, in, dest_addr(cpu, in, ACCESS_READ), in->osz);
    advance(cpu, in, RSI, 1);
    advance(cpu, in, RDI, 1);
    return compare(cpu, in, a, b);
}

static bool scas_one(struct cpu *cpu, const struct insn *in)
{
    u64 b = mem_read(cpu, in, dest_addr(cpu, in, ACCESS_READ), in->osz);
    advance(cpu, in, RDI, 1);
    return compare(cpu, in, reg_get(cpu, RAX, in->osz), b);
}

/* Compares elements until one ends the repetition or n are done; returns how many, and the last
 * pair. step_a is 0 for SCAS, whose first operand stays. */
static u64 compare_run(const struct insn *in, const u8 *a, unsigned step_a, const u8 *b, u64 n,
                       u64 *last_a, u64 *last_b)
{
    bool until_equal = in->pfx & PFX_REPNE;
    u64 done = 0;
    do {
        *last_a = ld_le(a, in->osz);
        *last_b = ld_le(b, in->osz);
        a += step_a;
        b += in->osz;
        done++;
    } while (done < n && (*last_a == *last_b) != until_equal);
    return done;
}

static u64 cmps_run(struct cpu *cpu, const struct insn *in, u64 max, bool *stop)
{
    gva_t dst, src = source_addr(cpu, in);
    const u8 *b, *a = mem_fast_r(cpu, src, in->osz);
    u64 n, last_a, last_b;
    if (!a)
        return 0;
    dst = dest_addr(cpu, in, ACCESS_READ);
    b = mem_fast_r(cpu, dst, in->osz);
    if (!b)
        return 0;
    n = min_u64(source_run_limit(cpu, in, src), dest_run_limit(cpu, in, dst));
    n = min_u64(n, max);
    if (n == 0)
        return 0;
    n = compare_run(in, a, in->osz, b, n, &last_a, &last_b);
    advance(cpu, in, RSI, n);
    advance(cpu, in, RDI, n);
    *stop = !compare(cpu, in, last_a, last_b);
    return n;
}

static u64 scas_run(struct cpu *cpu, const struct insn *in, u64 max, bool *stop)
{
    gva_t dst = dest_addr(cpu, in, ACCESS_READ);
    const u8 *b = mem_fast_r(cpu, dst, in->osz);
    u64 n, acc = cpu->gpr[RAX], last_a, last_b;
    if (!b)
        return 0;
    n = min_u64(dest_run_limit(cpu, in, dst), max);
    if (n == 0)
        return 0;
    n = compare_run(in, (const u8 *)&acc, 0, b, n, &last_a, &last_b);
    advance(cpu, in, RDI, n);
    *stop = !compare(cpu, in, last_a, last_b);
    return n;
}

HANDLER(cmps)
{
    return string_insn(cpu, in, cmps_one, cmps_run);
}

HANDLER(scas)
{
    return string_insn(cpu, in, scas_one, scas_run);
}

const struct insn_ops ops_cmps = {.any = cmps};
const struct insn_ops ops_scas = {.any = scas};
