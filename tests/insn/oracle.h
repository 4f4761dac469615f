/*
 * oracle.h: the host CPU as the judge of both engines.
 *
 * One random instruction (oracle_gen.c), or a few in a row (oracle_sequence.c), or a program of hot
 * loops (oracle_loops.c), run from one random state natively in a sandbox of a few pages
 * (oracle_native.c, oracle_stub.S), and on struct cpu in long mode with the same pages at the same
 * addresses (oracle_guest.c). oracle_compare.c compares, and oracle_exceptions.h knows where
 * vendors differ. x86-64 Linux hosts only.
 *
 * Addresses (below 2 GiB, so that 32-bit code and absolute operands reach them):
 *
 *     STUB   code that loads the state, jumps to the instruction, and stores the state
 *     CTX    struct oracle_ctx, which the stub loads from and stores to
 *     CODE   two pages, read and execute; the instruction, then a jump to the stub
 *     DATA   two pages
 *     STACK  two pages, of loops; what lies around CODE, DATA and STACK is not mapped
 */
#pragma once

#define ORACLE_STUB 0x70000000
#define ORACLE_CTX 0x70010000
#define ORACLE_CODE 0x0a020000
#define ORACLE_CODE_BYTES 0x2000
#define ORACLE_DATA 0x0a030000
#define ORACLE_DATA_BYTES 0x2000
#define ORACLE_STACK 0x0a050000
#define ORACLE_PAGES 4 /* of DATA and of STACK */

#define CTX_HOST_RSP (ORACLE_CTX + 0)
#define CTX_CODE (ORACLE_CTX + 8)
#define CTX_FAR (ORACLE_CTX + 16)
#define CTX_FLAGS_IN (ORACLE_CTX + 24)
#define CTX_FLAGS_OUT (ORACLE_CTX + 32)
#define CTX_HAS_AVX (ORACLE_CTX + 40)
#define CTX_GPR_IN (ORACLE_CTX + 64)
#define CTX_GPR_OUT (ORACLE_CTX + 192)
#define CTX_XSAVE_IN (ORACLE_CTX + 512) /* as XSAVE64 stores x87, SSE and AVX */
#define CTX_XSAVE_OUT (ORACLE_CTX + 1344)

/* Selectors that Linux gives a 64-bit process. */
#define ORACLE_CS64 0x33
#define ORACLE_CS32 0x23
#define ORACLE_DS 0x2b

#ifndef __ASSEMBLER__

#include "base/rng.h"
#include "cpu/decode.h"

struct oracle_state {
    u64 gpr[16];
    u64 flags;
    u8 fx[512] __attribute__((aligned(16))); /* as FXSAVE64 stores it */
    u8 upper[16][16];                        /* bits 255:128 of the vector registers */
};

#define ORACLE_SEQUENCE 12u /* instructions at most */
#define ORACLE_LOOP_BYTES 3000u

enum oracle_rights { ORACLE_WRITABLE, ORACLE_READ_ONLY, ORACLE_ABSENT };

/* One experiment: the instructions and the state before them. */
struct oracle_case {
    unsigned code; /* 32 or 64 */
    unsigned row;  /* of the instruction; of the last one */
    unsigned at;   /* offset of the code in CODE */
    u8 bytes[ORACLE_LOOP_BYTES];
    unsigned len;
    unsigned count;  /* instructions */
    struct insn in;  /* as row */
    bool flags_dead; /* one more stands behind it and overwrites all flags */
    u64 undefined;   /* of a sequence: flags that its instructions leave open */
    struct oracle_state before;
    u8 data[ORACLE_PAGES * 0x1000];
    /* Of loops; all zeroes: it is none. */
    u64 program;     /* a number; it stays loaded until another comes */
    u32 seg_base[2]; /* of FS and GS */
    u64 slice;       /* instructions at most that the guest runs at a time */
    unsigned frames; /* which pages of the guest's memory DATA and STACK are; below 24 */
    bool forget;     /* the guest's TLB is flushed */
    u8 rights[ORACLE_PAGES];
};

/* Pages that it has: only loops have a STACK. */
static inline unsigned oracle_pages(const struct oracle_case *c)
{
    return c->program ? ORACLE_PAGES : 2;
}

static inline enum oracle_rights oracle_page_rights(const struct oracle_case *c, unsigned page)
{
    return page < oracle_pages(c) ? c->rights[page] : ORACLE_ABSENT;
}

static inline u32 oracle_page_va(unsigned page)
{
    return page < 2 ? ORACLE_DATA + page * 0x1000 : ORACLE_STACK + (page - 2) * 0x1000;
}

#define ORACLE_NO_TRAP 255
#define ORACLE_HANGS 254

/* What one side made of it. */
struct oracle_result {
    unsigned trap; /* exception vector or ORACLE_NO_TRAP */
    u32 error;     /* error code of #PF and #GP */
    u64 cr2;       /* #PF */
    u64 rip;       /* offset in CODE */
    u64 insns;     /* that the guest counted */
    struct oracle_state after;
    u8 data[ORACLE_PAGES * 0x1000];
};

/* False when this host cannot run code of `code` bits. */
bool oracle_native_open(void);
bool oracle_native_can(unsigned code);
bool oracle_native_has_avx(void); /* else the upper halves of the registers mean nothing */
void oracle_native_run(const struct oracle_case *c, struct oracle_result *r);

struct oracle_guest;
enum oracle_engine {
    ORACLE_INTERP,
    ORACLE_JIT,        /* every block is translated before it first runs */
    ORACLE_JIT_COLD,   /* and no access check ever hits */
    ORACLE_JIT_WARM,   /* as users have it */
    ORACLE_JIT_SHARED, /* as if other threads ran CPUs; translated before it first runs */
    ORACLE_JIT_SMALL,  /* code memory is soon full; the host has no BMI2 */
    ORACLE_ENGINES
};

/* NULL when the virtual CPU cannot be made, or there is no such engine in this build or host. */
struct oracle_guest *oracle_guest_open(enum oracle_engine engine);
void oracle_guest_close(struct oracle_guest *g);
/* That its translator has made. */
u64 oracle_guest_traces(const struct oracle_guest *g);
u64 oracle_guest_gates(const struct oracle_guest *g);
void oracle_guest_run(struct oracle_guest *g, const struct oracle_case *c, struct oracle_result *r);
/* The host code that the translator made last. */
const u8 *oracle_guest_code(const struct oracle_guest *g, u64 *bytes);

/* A random instruction of the row and a random state for it; false when the row has no encoding in
 * code of this size that is safe to run. */
bool oracle_generate(struct rng *rng, unsigned row, unsigned code, u64 gates,
                     struct oracle_case *c);
/* The same, but code, at, before and data are given: only the instruction is chosen. */
bool oracle_generate_next(struct rng *rng, unsigned row, u64 gates, struct oracle_case *c);
/* A state for a sequence: code and at are given. Registers often point to DATA. */
void oracle_generate_state(struct rng *rng, struct oracle_case *c);
/* May an instruction run after this state? Not with a stack on what only the host has, nor with TF
 * or AC, which POPF may have found on the code page. */
bool oracle_state_is_safe(const struct oracle_state *s);

/* Random instructions that run one after the other, grown one by one on the host CPU; *host is what
 * it makes of them all. An instruction of which `reference`, the interpreter, makes something else
 * is left out: it is a vendor difference, or the tests of single instructions report it. False:
 * nothing came of it. */
struct oracle_rows {
    unsigned count;
    u16 row[2048];
};
bool oracle_generate_sequence(struct rng *rng, const struct oracle_rows *rows, u64 gates,
                              struct oracle_guest *reference, struct oracle_case *c,
                              struct oracle_result *host);

/* A program of nested loops with branches, calls and jumps by tables, that ends or faults. */
struct oracle_loop {
    struct oracle_case c;
    u16 undefined[ORACLE_LOOP_BYTES]; /* flags that are, in front of the instruction at the offset
                                       */
    u16 undefined_at_end;
    u32 bases, indexes; /* registers that point into DATA; that are small */
    bool segments;      /* it uses FS or GS */
    unsigned runs;      /* that it had */
    struct rng rng;
};
/* All of it comes from the number, which is not 0. */
void oracle_generate_loop(u64 number, unsigned code, u64 gates, struct oracle_loop *l);
/* Another state, other mappings and slices for it. */
void oracle_loop_state(struct oracle_loop *l);

struct oracle_comparison {
    const struct oracle_case *c;
    const struct oracle_result *host, *ours;
    const char *what; /* the first difference; NULL: none */
    char detail[500];
};
void oracle_compare(struct oracle_comparison *m);

#endif
