/*
 * jit.h: the x86-64 translator: hot blocks of records become host code.
 *
 * The same records, the same meaning: what has no template calls the interpreter's handler for that
 * record, and everything that leaves straight-line code for good (system instructions, faults,
 * unlinked jumps) goes back to the interpreter at exactly that record. See README.md.
 */
#pragma once

#include "cpu/cpu.h"

struct jit;
struct block;

struct jit_stats {
    u64 blocks, insns, templates, helpers; /* translated; of the instructions: inline, by handler */
    u64 guest_bytes, host_bytes;
    u64 links, unlinks, evictions, flushes;
    u64 traces, traces_dropped;
    u64 cycles;   /* host cycles spent translating */
    u64 entries;  /* from the interpreter */
    u64 executed; /* instructions in translated code */
    /* why it was left: an unlinked jump, or the slice's end in front of one; an instruction that
     * ends the slice or wants the run loop; a record for the interpreter; an exception */
    u64 left_jump, left_wanted, left_record, left_exception;
};

/* Modes that tests run the translator in; see README.md. All zeroes: none of them. */
struct jit_test {
    u64 code_bytes;    /* size of code memory; 0: as usual */
    unsigned hot;      /* entries after which a block is translated, 1 to BLOCK_HOT; 0: as usual */
    unsigned streams;  /* streams of traces that there are; 0: as usual */
    bool tlb_miss;     /* no access check hits: every operand goes through its handler */
    bool no_invlpg;    /* INVLPG flushes nothing, which is wrong: docs/labs */
    bool no_cr3_flush; /* nor does a load of CR3 */
    bool flags_poison; /* flags that are taken for dead hold garbage */
    bool no_exec;      /* as on a host that forbids executable memory */
    bool no_bmi2;      /* the host's BMI2 is not used */
    bool no_avx;       /* as on a host without AVX */
    bool wrong;        /* LEA is off by one: is that found? */
};

/* Where the code of a guest instruction begins. */
struct jit_place {
    const struct block *block;
    gva_t lin;     /* of the block */
    unsigned insn; /* its number there */
    u32 at;        /* from the start of the piece */
};

/* A piece of host code and what it was made from. */
struct jit_piece {
    const u8 *code; /* executable view */
    u64 bytes;
    gva_t lin;
    gpa_t gpa;
    unsigned cpl;
    const char
        *what; /* "block", "link", "loop" and "trace" (jumps out of it), "stubs" (no guest code) */
    /* Of a block, loop or trace that was just made: in order; and where begins what is rarely run.
     */
    const struct jit_place *place;
    unsigned places;
    u32 cold_at;
};
typedef void jit_visitor(void *opaque, const struct jit_piece *piece);

/* What the translator has to do with a thread that is at `pc`. */
enum jit_activity { JIT_RESTS, JIT_CODE, JIT_CALLS, JIT_TRANSLATES };

#ifdef PARALLAX_JIT

/* Can this host run it: may it have executable memory? False with the reason. */
bool jit_supported(struct err *e);
/* Has it what the model has, where that is needed? t may be NULL. False with the reason. */
bool jit_runs_model(const struct cpu_model *m, const struct jit_test *t, struct err *e);
struct jit *jit_create(struct cpu *cpu, struct err *e);
/* Once, before anything ran. */
bool jit_set_test(struct jit *j, const struct jit_test *t, struct err *e);
void jit_destroy(struct jit *j);
/* The code emitted last, in the executable view: tests disassemble it. */
const u8 *jit_last_code(const struct jit *j, u64 *bytes);
const struct jit_stats *jit_stats(const struct jit *j);
/* All code that was not evicted, of dead blocks too: they may have run for long. */
void jit_visit(const struct jit *j, jit_visitor *visit, void *opaque);
/* Of the thread that runs the CPU; in a signal handler on it. JIT_CODE: in translated code,
 * JIT_CALLS: in what that called. */
enum jit_activity jit_activity(const struct jit *j, const void *pc);
/* An exception unwound to the run loop, maybe out of translated code. */
void jit_unwound(struct cpu *cpu);

/* A block became hot: translates it if it can; from then on its first record enters the code. */
void jit_translate(struct cpu *cpu, struct block *b);
/* The block died (its bytes were written): nothing may enter its code any more. */
void jit_kill(struct cpu *cpu, struct block *b);
/* All blocks are gone. Not while translated code runs. */
void jit_flush(struct jit *j);
/* Makes cpu->x87 complete when translated code was left by a fault. */
void jit_x87_leave(struct cpu *cpu);

#else /* a build without translator */

static inline bool jit_supported(struct err *e)
{
    err_host(e, "this build has no translator");
    return err_hint(e, "use -accel interp");
}
static inline bool jit_runs_model(const struct cpu_model *m, const struct jit_test *t,
                                  struct err *e)
{
    (void)m, (void)t;
    return jit_supported(e);
}
static inline struct jit *jit_create(struct cpu *cpu, struct err *e)
{
    (void)cpu;
    jit_supported(e);
    return NULL;
}
static inline bool jit_set_test(struct jit *j, const struct jit_test *t, struct err *e)
{
    (void)j, (void)t;
    return jit_supported(e);
}
static inline const struct jit_stats *jit_stats(const struct jit *j)
{
    (void)j;
    return NULL;
}
static inline void jit_visit(const struct jit *j, jit_visitor *visit, void *opaque)
{
    (void)j, (void)visit, (void)opaque;
}
static inline enum jit_activity jit_activity(const struct jit *j, const void *pc)
{
    (void)j, (void)pc;
    return JIT_RESTS;
}
static inline void jit_unwound(struct cpu *cpu)
{
    (void)cpu;
}
static inline const u8 *jit_last_code(const struct jit *j, u64 *bytes)
{
    (void)j;
    *bytes = 0;
    return NULL;
}
static inline void jit_destroy(struct jit *j)
{
    (void)j;
}
static inline void jit_translate(struct cpu *cpu, struct block *b)
{
    (void)cpu, (void)b;
}
static inline void jit_kill(struct cpu *cpu, struct block *b)
{
    (void)cpu, (void)b;
}
static inline void jit_flush(struct jit *j)
{
    (void)j;
}
static inline void jit_x87_leave(struct cpu *cpu)
{
    (void)cpu;
}

#endif
