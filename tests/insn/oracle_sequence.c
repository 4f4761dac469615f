/*
 * oracle_sequence.c: short sequences of random instructions, so that flags and registers flow from
 * one to the next. See oracle.h.
 *
 * Each instruction is chosen for the state that the ones before it left on the host CPU: its memory
 * operand is aimed by its displacement. A flag that an instruction leaves undefined is so until
 * another defines it, and none that reads it is taken.
 */
#include "base/bits.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "tests/insn/oracle.h"
#include "tests/insn/oracle_exceptions.h"
#include "tests/insn/rows.h"

/* The x87 pointers, of which the host tells only when they are new, and C1 of approximations would
 * have to be followed too. */
static bool is_left_out(const struct insn_row *r)
{
    return !strcmp(r->name, "fnstenv") || !strcmp(r->name, "fnsave") ||
           !strncmp(r->name, "fxsave", 6) || is_transcendental(r) ||
           row_has_letter(r, OPND_Mvs); /* its addresses cannot be aimed by a displacement */
}

static bool is_integer(const struct insn_row *r)
{
    return r->gate != GATE_FPU && r->gate != GATE_MMX && r->gate != GATE_FXSR &&
           !(r->gate >= GATE_SSE && r->gate <= GATE_SSE42) && r->gate != GATE_AES &&
           r->gate != GATE_PCLMUL && r->gate != GATE_SHA && r->gate != GATE_AVX &&
           r->gate != GATE_AVX2 && r->gate != GATE_FMA && r->gate != GATE_F16C;
}

/* Three of four are integer instructions, though most rows are not. */
static unsigned random_row(struct rng *rng, const struct oracle_rows *rows)
{
    bool integer = !one_in(rng, 4);
    unsigned row;

    do
        row = rows->row[rng_below(rng, rows->count)];
    while ((integer && !is_integer(&insn_rows[row])) || is_left_out(&insn_rows[row]));
    return row;
}

/* Flags that the instruction writes whatever its operands are: rows that write only sometimes read
 * what they may leave (insn.def). */
static u64 surely_written(const struct insn_row *r)
{
    return r->fl_write & ~(u64)r->fl_read;
}

struct sequence {
    struct rng *rng;
    const struct oracle_rows *rows;
    u64 gates;
    struct oracle_guest *reference;
    struct oracle_case step; /* the next instruction */
    struct oracle_result host, ours;
};

/* Runs the step alone on both sides; false: not to be taken. */
static bool try_step(struct sequence *s, u64 undefined)
{
    struct oracle_comparison m = {.c = &s->step, .host = &s->host, .ours = &s->ours};
    const struct insn_row *r;

    if (!oracle_generate_next(s->rng, random_row(s->rng, s->rows), s->gates, &s->step))
        return false;
    r = &insn_rows[s->step.row];
    if (r->fl_read & undefined)
        return false;
    oracle_native_run(&s->step, &s->host);
    if (s->host.trap == ORACLE_NO_TRAP && !oracle_state_is_safe(&s->host.after))
        return false;
    oracle_guest_run(s->reference, &s->step, &s->ours);
    oracle_compare(&m);
    return !m.what;
}

static void append(struct oracle_case *c, const struct oracle_case *step)
{
    memcpy(c->bytes + c->len, step->bytes, step->len);
    c->len += step->len;
    c->count++;
    c->row = step->row;
    c->in = step->in;
}

/* Takes the step into the sequence. */
static void take_step(struct sequence *s, struct oracle_case *c)
{
    const struct insn_row *r = &insn_rows[s->step.row];
    bool trapped = s->host.trap != ORACLE_NO_TRAP;
    u64 open = trapped ? 0 : r->fl_undef;

    if (trapped && r->cls == STRING) /* how far a repeat came shows in RCX */
        open = EFLAGS_ARITH;
    append(c, &s->step);
    c->undefined = (trapped ? c->undefined : c->undefined & ~surely_written(r)) | open;
    s->step.at += s->step.len;
    s->step.before = s->host.after;
    memcpy(s->step.data, s->host.data, ORACLE_DATA_BYTES);
}

/* What stands behind a fault never runs, but it is in the block. */
static void append_unreached(struct sequence *s, struct oracle_case *c)
{
    unsigned row = random_row(s->rng, s->rows);

    if (c->count < ORACLE_SEQUENCE && oracle_generate_next(s->rng, row, s->gates, &s->step))
        append(c, &s->step);
}

bool oracle_generate_sequence(struct rng *rng, const struct oracle_rows *rows, u64 gates,
                              struct oracle_guest *reference, struct oracle_case *c,
                              struct oracle_result *host)
{
    static struct sequence s;
    static struct oracle_result last;
    unsigned want = 2 + (unsigned)rng_below(rng, ORACLE_SEQUENCE - 1);

    s.rng = rng;
    s.rows = rows;
    s.gates = gates;
    s.reference = reference;
    c->at = 0x100 + (unsigned)rng_below(rng, 64);
    c->len = c->count = 0;
    c->undefined = 0;
    c->flags_dead = false;
    oracle_generate_state(rng, c);
    s.step.code = c->code;
    s.step.at = c->at;
    s.step.before = c->before;
    memcpy(s.step.data, c->data, ORACLE_DATA_BYTES);
    for (unsigned i = 0; i < 1000 && c->count < want; i++) {
        if (!try_step(&s, c->undefined))
            continue;
        take_step(&s, c);
        last = s.host;
        if (s.host.trap != ORACLE_NO_TRAP) {
            append_unreached(&s, c);
            append_unreached(&s, c);
            break;
        }
    }
    *host = last;
    return c->count > 1;
}
