/*
 * parallax-plugin.h: the interface of instrumentation plugins, -plugin FILE.so,KEY=VALUE,...
 * It needs nothing else of Parallax; for C and C++. plugins/README.md shows how one is made.
 *
 * A plugin is a shared object that exports one constant, `parallax_plugin`, of struct
 * parallax_plugin. What it does not want to hear of it leaves NULL, and that costs nothing: code in
 * which nothing is asked for is translated as without a plugin.
 *
 * The interface grows by new numbers of PARALLAX_PLUGIN_VERSION; a plugin of another number is
 * refused when it is loaded.
 *
 * Threads: what belongs to a CPU is called on that CPU's thread; with several CPUs (without
 * -icount) such calls come at the same time. `block` and `vcpu` come one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARALLAX_PLUGIN_VERSION 1u

#ifdef __cplusplus
extern "C" {
#endif

struct parallax;          /* the running plugin, for the services */
struct parallax_vcpu;     /* a CPU of the guest */
struct parallax_counter;  /* a number per CPU */
struct parallax_register; /* one by name */
struct parallax_probes;   /* where a block's probes go */

/* ---- what a plugin is told --------------------------------------------------------------------
 */

enum {
    PARALLAX_PRIVILEGED = 1, /* #GP above CPL 0 */
    PARALLAX_MEMORY = 2,     /* may access memory, the stack too */
    PARALLAX_JUMP = 4,       /* ends the block by a jump */
    PARALLAX_SYSTEM = 8,     /* ends it, since it may change the mode or what is mapped */
};

struct parallax_insn {
    uint64_t address;     /* linear */
    const uint8_t *bytes; /* as they are in memory now */
    const char *mnemonic; /* of the opcode table, in small letters; "(bad)": #UD */
    uint8_t length;       /* in bytes */
    uint8_t flags;        /* PARALLAX_* */
};

/* Instructions that are entered at the first only. Good while `block` is called. */
struct parallax_block {
    uint64_t address;  /* linear */
    uint64_t physical; /* of its first byte */
    unsigned bytes, count;
    unsigned bits; /* 16, 32 or 64 */
    unsigned cpl;
    const struct parallax_insn *insn;
    struct parallax_probes *probes;
};

struct parallax_access {
    uint64_t address; /* linear */
    uint64_t pc;      /* of the instruction, linear */
    uint32_t size;    /* bytes: of an element, for string instructions */
    bool write;
};

enum parallax_exit_reason {
    PARALLAX_EXIT_PORT,      /* number: the port */
    PARALLAX_EXIT_MMIO,      /* number: the physical address */
    PARALLAX_EXIT_MSR,       /* of APIC and personality; number: the MSR */
    PARALLAX_EXIT_CPUID,     /* of the personality; number: the leaf */
    PARALLAX_EXIT_CR8,       /* number: 8 */
    PARALLAX_EXIT_HYPERCALL, /* number: RAX */
    PARALLAX_EXITS
};

/* The CPU asks a device or the personality. Told twice: when it begins, and with `done`, `value`
 * and the times of the host (nanoseconds) when it is answered. */
struct parallax_exit {
    enum parallax_exit_reason reason;
    bool done, write;
    uint32_t size; /* bytes; 0: does not apply */
    uint64_t number;
    uint64_t value; /* read or written; of a hypercall: RAX after it */
    uint64_t began_ns, ended_ns;
};

enum parallax_interrupt {
    PARALLAX_INTERRUPT, /* of a controller, or NMI */
    PARALLAX_EXCEPTION,
    PARALLAX_SOFT_INTERRUPT, /* INT n, INT3, INTO */
};

enum parallax_vcpu_event {
    PARALLAX_VCPU_START, /* before anything runs */
    PARALLAX_VCPU_IDLE,  /* HLT, or waits to be started */
    PARALLAX_VCPU_RESUME,
    PARALLAX_VCPU_END,
};

/* ---- services ---------------------------------------------------------------------------------
 */

typedef void parallax_call(void *data, struct parallax_vcpu *vcpu);

struct parallax_host {
    /* Numbers that translated code counts up by itself. */
    struct parallax_counter *(*counter)(struct parallax *p);
    uint64_t (*counter_of)(const struct parallax_counter *c, unsigned vcpu);
    uint64_t (*counter_sum)(const struct parallax_counter *c);

    /*
     * In `block`: in front of instruction n (0: of the block) add to a counter, or call. A count is
     * taken back when the instruction faults, so that one on every instruction is the number of
     * executed instructions; a call is made again when the instruction is. An interrupted REP comes
     * once more when it goes on. False: the block has no more room for probes (8 per instruction).
     */
    bool (*count)(struct parallax_probes *at, unsigned n, struct parallax_counter *c, int32_t add);
    bool (*call)(struct parallax_probes *at, unsigned n, parallax_call *fn, void *data);
    /* The instruction as text. */
    void (*disassemble)(const struct parallax_block *b, unsigned n, char *text, size_t size);

    /* Of the CPU that a call is about. Registers have the manual's names ("rax", "cr3", "xmm0");
     * NULL: no such one. Written can only be general registers. */
    unsigned (*vcpu_number)(struct parallax_vcpu *vcpu);
    unsigned (*vcpus)(struct parallax *p);
    uint64_t (*instructions)(struct parallax_vcpu *vcpu); /* executed by it, since power-up */
    const struct parallax_register *(*find_register)(const char *name);
    uint64_t (*read_register)(struct parallax_vcpu *vcpu, const struct parallax_register *r);
    bool (*write_register)(struct parallax_vcpu *vcpu, const struct parallax_register *r,
                           uint64_t v);
    /* Linear addresses, without side effects; how many bytes could be. */
    size_t (*read_memory)(struct parallax_vcpu *vcpu, uint64_t address, void *to, size_t bytes);
    size_t (*write_memory)(struct parallax_vcpu *vcpu, uint64_t address, const void *from,
                           size_t bytes);

    /* To standard error, or the file of out=FILE. */
    void (*print)(struct parallax *p, const char *format, ...)
#ifdef __GNUC__
        __attribute__((format(printf, 2, 3)))
#endif
        ;
    void (*write)(struct parallax *p, const void *bytes, size_t count);
    /* Ends the run, as if the guest had been stopped by a signal handler. */
    void (*stop)(struct parallax *p);
};

/* ---- a plugin ---------------------------------------------------------------------------------
 */

struct parallax_param {
    const char *key, *doc;
};

struct parallax_plugin {
    unsigned version; /* PARALLAX_PLUGIN_VERSION */
    const char *name, *doc;
    const struct parallax_param
        *params; /* ends with key NULL; NULL: none. out=FILE is always there */

    /* Values in the order of `params`, NULL where not given. Its own state in *state, which all
     * others get. NULL, or what is wrong: the run does not begin. */
    const char *(*create)(const struct parallax_host *host, struct parallax *p,
                          const char *const *values, void **state);
    /* A block was decoded: what is wanted of it? Also when the same code is decoded again. */
    void (*block)(void *state, struct parallax_vcpu *vcpu, const struct parallax_block *b);
    /* A data access was made. If given, every memory operand goes a slow way. */
    void (*access)(void *state, struct parallax_vcpu *vcpu, const struct parallax_access *a);
    void (*exit)(void *state, struct parallax_vcpu *vcpu, const struct parallax_exit *x);
    void (*interrupt)(void *state, struct parallax_vcpu *vcpu, enum parallax_interrupt what,
                      unsigned vector);
    void (*vcpu)(void *state, struct parallax_vcpu *vcpu, enum parallax_vcpu_event what);
    /* The run has ended: print. Then everything goes. */
    void (*finish)(void *state);
};

extern const struct parallax_plugin parallax_plugin;

#ifdef __cplusplus
}
#endif
