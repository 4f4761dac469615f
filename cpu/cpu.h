/*
 * cpu.h: the architectural state of one x86 processor, and what the rest of the machine does with
 * it.
 *
 * Intel SDM vol. 1 chapter 3, vol. 3A chapter 2. The order of fields is by heat, not by topic.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/quirks.h"
#include "base/rng.h"
#include "base/stats.h"
#include "base/types.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/softfloat.h"
#include "mmu/tlb.h"
#include <setjmp.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

enum seg_id { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_NONE, SEG_COUNT };

/* A segment register with its hidden part. attr: bits 0-7 type, S, DPL, P (byte 5 of the
 * descriptor), bits 8-11 AVL, L, D/B, G (high nibble of byte 6). */
struct seg {
    u64 base;
    u32 limit; /* in bytes, last valid offset */
    u16 sel;
    u16 attr;
};

#define SEG_TYPE(attr) ((attr)&0xf)
#define SEG_S BIT(4)
#define SEG_DPL(attr) (((attr) >> 5) & 3)
#define SEG_P BIT(7)
#define SEG_AVL BIT(8)
#define SEG_L BIT(9)
#define SEG_DB BIT(10)
#define SEG_G BIT(11)
#define SEG_UNUSABLE BIT(15) /* a null selector was loaded */

#define CR0_PE BIT64(0)
#define CR0_MP BIT64(1)
#define CR0_EM BIT64(2)
#define CR0_TS BIT64(3)
#define CR0_ET BIT64(4)
#define CR0_NE BIT64(5)
#define CR0_WP BIT64(16)
#define CR0_AM BIT64(18)
#define CR0_NW BIT64(29)
#define CR0_CD BIT64(30)
#define CR0_PG BIT64(31)

#define CR4_VME BIT64(0)
#define CR4_PVI BIT64(1)
#define CR4_TSD BIT64(2)
#define CR4_DE BIT64(3)
#define CR4_PSE BIT64(4)
#define CR4_PAE BIT64(5)
#define CR4_MCE BIT64(6)
#define CR4_PGE BIT64(7)
#define CR4_PCE BIT64(8)
#define CR4_OSFXSR BIT64(9)
#define CR4_OSXMMEXCPT BIT64(10)
#define CR4_UMIP BIT64(11)
#define CR4_LA57 BIT64(12)
#define CR4_FSGSBASE BIT64(16)
#define CR4_PCIDE BIT64(17)
#define CR4_OSXSAVE BIT64(18)
#define CR4_SMEP BIT64(20)
#define CR4_SMAP BIT64(21)

#define XCR0_X87 BIT64(0)
#define XCR0_SSE BIT64(1)
#define XCR0_AVX BIT64(2)
#define XCR0_AVX_STATE (XCR0_SSE | XCR0_AVX) /* what AVX instructions ask for */

#define EFER_SCE BIT64(0)
#define EFER_LME BIT64(8)
#define EFER_LMA BIT64(10)
#define EFER_NXE BIT64(11)
#define EFER_AIBRSE BIT64(21) /* AMD: automatic IBRS; nothing to do where nothing speculates */

#define MISC_ENABLE_XD_DISABLE BIT64(34)

#define APIC_BASE_BSP BIT64(8)
#define APIC_BASE_X2APIC BIT64(10)
#define APIC_BASE_ENABLE BIT64(11)

/* Exceptions, SDM vol. 3A table 6-1. */
enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
};

struct x87 {
    struct f80 st[8]; /* physical registers R0..R7; ST(i) is st[(top + i) & 7] */
    u16 cw, sw;       /* TOP lives in sw bits 11-13 */
    u8 empty;         /* bit i: R_i is empty */
    u16 fop, fcs, fds;
    u64 fip, fdp;
};

union vec { /* a vector register; element 0 is the lowest (little-endian hosts only) */
    u8 b[32];
    u16 w[16];
    u32 d[8];
    u64 q[4];
};

/* ---- block key ------------------------------------------------------------------------------- */

/* What of the CPU's mode the decoding and the choice of handlers depend on. */
#define KEY_CODE16 0x000u
#define KEY_CODE32 0x001u
#define KEY_CODE64 0x002u
#define KEY_CODE_MASK 0x003u
#define KEY_SS32 0x004u    /* stack pointer is ESP (or RSP with KEY_CODE64) */
#define KEY_FLAT 0x008u    /* ES, SS, DS: base 0, limit 4 GiB, writable; CS readable */
#define KEY_FLAT_FS 0x010u /* FS: limit 4 GiB, writable, any base */
#define KEY_FLAT_GS 0x020u
#define KEY_REAL 0x040u /* real or virtual-8086 mode */
#define KEY_CPL3 0x080u
#define KEY_SINGLE 0x100u /* blocks of one instruction: TF, shadows, breakpoints, icount ends */
#define KEY_TLB_SHIFT 9   /* two bits: enum tlb_mode of data accesses */
#define KEY_TLB_MODE(key) ((key) >> KEY_TLB_SHIFT & 3)
#define KEY_SSE 0x800u  /* neither #UD nor #NM for SSE: CR0.EM and TS are 0, CR4.OSFXSR is 1 */
#define KEY_FPU 0x1000u /* neither #UD nor #NM for x87 and MMX: CR0.EM and TS are 0 */
#define KEY_AVX 0x2000u /* nor for AVX: CR0.TS is 0, CR4.OSXSAVE and XCR0 have what it takes */

#define KEY_SMAP 0x8000u  /* CR4.SMAP, but for CPL 3: STAC and CLAC change the TLB mode */
#define KEY_CPL12 0x4000u /* CPL 1 or 2: neither a kernel nor a program */

/* Requests: reasons to leave translated code at the next block boundary. */
#define REQ_INTR BIT(9) /* the interrupt controller has something (level); the bit of EFLAGS.IF */
#define REQ_NMI BIT(1)
#define REQ_EXIT BIT(3) /* cpu_run shall return to its caller */
#define REQ_INIT BIT(4)
#define REQ_SIPI BIT(5)

/* What a personality makes of an access to a port that it claimed. */
enum pv_port {
    PV_PORT_ORDINARY,
    PV_PORT_OPEN, /* any CPL may make it, whatever IOPL and the I/O bitmap say */
    PV_PORT_DONE, /* it was a call, and is done */
};

struct known_call {
    const void *row;
    bool null;  /* it does nothing and returns 0: counting it is enough */
    u64 *count; /* for that */
};

/* What the CPU needs of the board; each takes the opaque of struct cpu. Set by machine/. */
struct cpu_hooks {
    u32 (*io_read)(void *vm, u16 port, unsigned size);
    void (*io_write)(void *vm, u16 port, u32 value, unsigned size);
    /* Acknowledges and returns the vector of the highest-priority interrupt; -1: none after all. */
    int (*intr_ack)(void *vm);
    /* Local APIC: TPR as CR8 (0 to 15), IA32_APIC_BASE, x2APIC MSRs. False: #GP. */
    u8 (*cr8_read)(void *vm);
    void (*cr8_write)(void *vm, u8 value);
    bool (*apic_msr_read)(void *vm, u32 msr, u64 *value);
    bool (*apic_msr_write)(void *vm, u32 msr, u64 value);
    /* Personality: CPUID 0x4000xxxx, and for leaf 1 the hypervisor bit in r[2]; its MSRs;
     * hypercalls (false: #UD). */
    bool (*pv_cpuid)(void *vm, u32 leaf, u32 subleaf, u32 r[4]);
    bool (*pv_msr_read)(void *vm, u32 msr, u64 *value, bool *handled);
    bool (*pv_msr_write)(void *vm, u32 msr, u64 value, bool *handled);
    bool (*pv_hypercall)(void *vm, struct cpu *cpu);
    /* Of 64-bit code at CPL 0 that calls a number which is known when it is translated: what to give to
     * pv_call then; false: it has to be pv_hypercall. May be NULL. */
    bool (*pv_known)(void *vm, u64 nr, struct known_call *k);
    void (*pv_call)(void *vm, struct cpu *cpu, const void *row);
    /* An access to cpu.pv_port or the one after it, before any is made. string: INS or OUTS. */
    enum pv_port (*pv_port)(void *vm, struct cpu *cpu, u16 port, unsigned size, bool string);
    /* RDPMC; false: no counter of the personality. May be NULL. */
    bool (*pv_pmc)(void *vm, struct cpu *cpu, u32 index, u64 *value);
    /* Around accesses to MMIO: the lock of the devices. May be NULL. */
    void (*mmio_begin)(void *vm, gpa_t gpa, unsigned size, bool write);
    void (*mmio_end)(void *vm, u64 value);
    /* FERR#: an unmasked x87 exception with CR0.NE = 0 (IRQ 13). */
    void (*ferr)(void *vm, bool level);
    /* The guest wrote the TSC or IA32_TSC_ADJUST: TSC deadlines and time pages. */
    void (*tsc_changed)(void *vm);
};

/* Interrupt shadows: STI holds interrupts off for one instruction, MOV SS and POP SS debug traps
 * too. */
#define SHADOW_STI 1
#define SHADOW_MOV_SS 2

/*
 * What translated code needs to read the TSC by itself: as long as the host's is at most `last` beyond
 * `since`, the guest's is base + (ticks * rate >> 32). last negative: the handler is to be asked.
 */
struct tsc_pace {
    u64 minus_since, rate, base;
    s64 last;
};

struct cpu_model;
struct block;
struct smp;
struct taps;
struct cpu_observer;

/* Why cpu_run returned. */
enum cpu_stop {
    STOP_BUDGET,  /* the instructions of this slice are used up */
    STOP_HALTED,  /* HLT (or waiting for SIPI) with nothing pending */
    STOP_REQUEST, /* REQ_EXIT, REQ_INIT or REQ_SIPI, which the caller serves */
    STOP_TRIPLE_FAULT,
    STOP_STEPPED, /* cpu->stepping: one instruction is done, or what came instead of it */
    STOP_ERROR, /* reserved for front ends */
};

#define STEP_ONE 1u     /* cpu_run stops after an instruction */
#define STEP_HISTORY 2u /* the tap hears of every instruction (tap.h) */

struct pending_excp {
    u8 vector;
    bool has_error;
    u32 error;
    u64 cr2; /* #PF */
};

/* The faults that led to a triple fault, for the explanation. */
struct fault_record {
    struct pending_excp e;
    u64 rip;
    u16 cs;
};

struct cpu {
    u64 gpr[19]; /* RAX..R15, REG_NONE (0), REG_RIP (linear address of the running block), REG_4G */
    struct flags flags;
    s64 left; /* instructions left in this slice; negative or a request: leave at block end */
    s64 kick; /* 0, or CPU_KICKED: leave at block end. Other threads write it, hence not `left` */
    u32 req;  /* REQ_*: set from anywhere through cpu_request */
    u32 key;  /* KEY_*: of the current mode, maintained by cpu_update_mode */
    struct tlb_l1 *data; /* &tlb.l1[mode of data accesses], maintained by cpu_update_mode */
    u64 amask;           /* ~0 in 64-bit code, 0xffffffff else: flat addresses are masked with it */
    struct seg seg[SEG_COUNT];
    struct block *block; /* running */
    u64 rip;    /* instruction pointer; exact only between blocks and in excp_*, see cpu_sync_rip */
    u32 eflags; /* everything but the six arithmetic flags (those bits are 0 here); bit 1 set */
    u8 cpl;
    u8 shadow; /* SHADOW_*: no interrupts before the next instruction */
    bool halted;
    bool wakes_masked; /* halted by a personality: an interrupt ends it even with EFLAGS.IF clear */
    bool wait_sipi;
    bool nmi_blocked;

    union vec vec[16] __attribute__((aligned(32)));
    u32 mxcsr;
    struct x87 x87;

    u64 cr0, cr2, cr3, cr4, efer, xcr0;
    u64 dr[8];
    struct {
        u64 base;
        u32 limit;
    } gdtr, idtr;
    struct seg ldtr, tr;
    u64 star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 pat, misc_enable, mtrr[32], apic_base, tsc_adjust;
    s64 tsc_offset;    /* added to the clock's ticks */
    u32 dr6_pending;   /* #DB traps to deliver after this instruction */
    bool debug_active; /* TF, breakpoints: KEY_SINGLE and TLB_CHECKED are in force */

    struct paging_state paging;
    struct tlb tlb;
    struct phys *phys;

    u64 icount; /* instructions completed, without those of the running slice: cpu_icount() */
    s64 slice;  /* budget given to the running slice */
    s64 nudged; /* what cpu_nudge took from it */

    const struct cpu_model *model;
    u64 gates; /* bit n: enum insn_gate n is there */
    const struct cpu_hooks *hooks;
    void *vm;
    struct clock *clock;
    u64 tsc_khz;
    struct tsc_pace tsc_pace; /* cpu_pace_tsc */
    struct stats stats;
    struct quirks quirks; /* MSRs and instructions that are not there */
    struct rng rng; /* RDRAND, RDSEED when seeded */
    bool rng_seeded;
    u8 id;           /* local APIC id, and the number in `smp` */
    u8 sipi_vector;  /* with REQ_SIPI */
    u8 package_cpus; /* how many there are; 0: one */
    bool exits_only; /* -pv-inline off: nothing sensitive is served in place or as a leaf */
    u32 calls_watched; /* 1: a debugger wants to see every hypercall */
    bool shared;     /* other threads run CPUs of the same machine */
    u16 pv_port;     /* this one and the next are a personality's; 0: none */
    bool yields;     /* spins with PAUSE: let others run */
    u16 pauses;      /* how many, for that */
    bool alone;      /* smp_stop was called by the running instruction */
    struct smp *smp; /* NULL: a CPU alone (smp.h) */

    const struct taps *taps; /* what a debugger wants to hear of (tap.h); NULL: nothing */
    const struct cpu_observer *observer; /* who looks on (observe.h); NULL: nobody */
    u8 tapped;               /* TAPPED_*: it said stop */
    u8 stepping;             /* STEP_*: instructions are run one by one */

    struct block_cache *blocks;
    u32 block_gen; /* changes when blocks go away whose addresses may be remembered */

    struct jit *jit;           /* NULL: interpreter only */
    u8 jit_warm;               /* entries that a new block is credited with; 0 but in tests */
    /*
     * What translated code stores and loads again soon. Its place within a page matters: hosts compare
     * the low twelve bits of addresses first, and make a load wait for an earlier store of the guest
     * that agrees in them. Kernels store much near the ends of pages (stacks) and their beginnings
     * (what the allocator aligned), hence the middle: system calls took twice the time in a bad place
     * (measured on Zen 4).
     */
    struct {
        u8 jit_apart[0x3a0];
        u64 jit_rcx; /* RCX during an access check */
        u64 jit_kept[3]; /* what flags are made from: jit/recover.c */
        u16 jit_saved; /* and flags themselves, as jit_flags */
        u16 jit_flags; /* LAHF's AH and OF, while crossing into or out of translated code */
        bool jit_flags_out; /* that is where the flags are, not in `flags`: a handler needs none */
        u64 jit_rax; /* RAX while flags are kept in jit_flags */
        const void *jit_target; /* of an indirect CALL while its return address is pushed */
        u32 jit_vec_off; /* 0: the host's vector registers and MXCSR are the guest's (translated code) */
        u32 jit_mxcsr; /* on its way to the host's */
        u32 jit_x87_off; /* 0: the host's x87 is the guest's, and x87 is out of date */
        u32 jit_x87_cw; /* on its way to the host's */
        u32 jit_x87_last; /* struct jit_x87_note, in code memory: the pointers that x87 lacks; 0: none */
        u32 jit_x87_mem; /* and of which instruction the operand's segment is lacking */
        struct jit_trace *jit_missed; /* left just now in the middle of a block; or NULL */
    } __attribute__((aligned(4096)));
    const struct jit_target *jit_targets;
    struct block *from_block; /* translated block whose jump the interpreter just ran; or NULL */
    gva_t from_lin;
    u8 from_side;
    sigjmp_buf unwind; /* excp_* return here */
    bool delivering;   /* an exception or interrupt is being delivered: the next one doubles */
    bool single_rf;    /* EFLAGS.RF when the running single instruction began */
    bool triple_fault; /* a fault while delivering #DF */
    unsigned faults;   /* delivered since an instruction was executed ... */
    s64 faults_left;   /* ... when so much of the slice was left */
    bool tf_skip;      /* the instruction entered a handler: no single-step trap after it */
    struct pending_excp excp;
    struct fault_record fault_chain[3];
    unsigned fault_chain_len;
};

/* ---- life ------------------------------------------------------------------------------------ */

/* Zeroes, placed as the struct wants it, for free(). NULL: the host has no memory. */
struct cpu *cpu_alloc(void);
struct cpu *cpu_create(const struct cpu_model *model, struct phys *phys, struct clock *clock,
                       const struct cpu_hooks *hooks, void *vm, struct err *e);
void cpu_destroy(struct cpu *cpu);
/* Power-up and RESET#, SDM vol. 3A table 9-1. */
void cpu_reset(struct cpu *cpu);
/* The INIT signal: as RESET#, but FPU, vector registers, caches and TSC keep their state. */
void cpu_init_signal(struct cpu *cpu);
/* The start-up IPI: leaves the wait for it at vector << 12, in real mode (SDM vol. 3A 8.4.3). */
void cpu_startup(struct cpu *cpu, u8 vector);
/* Runs up to `insns` instructions. */
enum cpu_stop cpu_run(struct cpu *cpu, u64 insns);
static inline u32 cpu_requests(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->req, __ATOMIC_RELAXED);
}

/* Requests that count now: REQ_INTR only while EFLAGS.IF is set. On the CPU's own thread. */
static inline u32 cpu_pending(const struct cpu *cpu)
{
    return cpu_requests(cpu) & (cpu->eflags | ~REQ_INTR);
}

/* Does an interrupt that EFLAGS.IF holds off end the halt? */
static inline bool cpu_wakes_masked(const struct cpu *cpu)
{
    return cpu->halted && cpu->wakes_masked && cpu_requests(cpu) & REQ_INTR;
}

/* Ends the slice at the next block boundary; the count of instructions stays right. On the CPU's
 * own thread. */
static inline void cpu_kick(struct cpu *cpu)
{
    cpu->nudged = 0;
    if (cpu->left >= 0) {
        cpu->slice -= cpu->left + 1;
        cpu->left = -1;
    }
}

/* Makes the run loop look at `req` at the next block boundary; the slice goes on after that. On the
 * CPU's own thread. */
static inline void cpu_nudge(struct cpu *cpu)
{
    if (cpu->left >= 0) {
        s64 left = cpu->left + 1;
        cpu_kick(cpu);
        cpu->nudged = left;
    }
}

#define CPU_KICKED (-(1ll << 62))
/* From any thread: the CPU looks at `req` at its next block boundary, or wakes up. */
void smp_kick(struct cpu *cpu);

/* Makes cpu_run look at `req` at the next block boundary. From any thread. */
static inline void cpu_request(struct cpu *cpu, u32 req)
{
    __atomic_fetch_or(&cpu->req, req, __ATOMIC_SEQ_CST);
    if (cpu->shared)
        smp_kick(cpu);
    else
        cpu_kick(cpu);
}

static inline void cpu_request_done(struct cpu *cpu, u32 req)
{
    __atomic_fetch_and(&cpu->req, ~req, __ATOMIC_SEQ_CST);
}

/* The INTR pin. While EFLAGS.IF is clear it waits; whoever sets IF looks at cpu_pending. From any
 * thread that holds the lock of the devices. */
static inline void cpu_set_intr(struct cpu *cpu, bool level)
{
    if (!level)
        cpu_request_done(cpu, REQ_INTR);
    else if (cpu->shared)
        cpu_request(cpu, REQ_INTR);
    else {
        __atomic_fetch_or(&cpu->req, REQ_INTR, __ATOMIC_SEQ_CST);
        if (cpu_pending(cpu) & REQ_INTR)
            cpu_nudge(cpu);
    }
}

static inline u64 cpu_icount(const struct cpu *cpu)
{
    return cpu->icount + (u64)(cpu->slice - cpu->left);
}

/* Recomputes key, data, amask, paging from CR0, CR4, EFER, EFLAGS, CPL and segments. Call after any
 * of them changed; it does not flush the TLB. */
void cpu_update_mode(struct cpu *cpu);
/* The part of it that depends on segments, CPL and EFLAGS: key, data, amask. */
void cpu_update_key(struct cpu *cpu);
/* Accounts for the instructions of the slice that ends. */
void cpu_end_slice(struct cpu *cpu);

/* jit_flags as bits of EFLAGS. */
static inline u32 cpu_jit_flags(const struct cpu *cpu)
{
    return (u32)(cpu->jit_flags >> 8 & 0xd5) | (u32)(cpu->jit_flags & 1) << 11;
}

u32 cpu_get_eflags(const struct cpu *cpu);
/* Sets all of EFLAGS without any checks; calls cpu_update_mode when needed. */
void cpu_set_eflags(struct cpu *cpu, u32 value);
u64 cpu_tsc(struct cpu *cpu);
/* Virtual time in ns at a TSC value: the inverse of cpu_tsc, which a second look at a clock that
 * runs on would not be. */
u64 cpu_ns_at_tsc(const struct cpu *cpu, u64 tsc);
/* Renews tsc_pace, where there is such a line; cpu_stop_pace: what it was made from changes. */
void cpu_pace_tsc(struct cpu *cpu);
static inline void cpu_stop_pace(struct cpu *cpu)
{
    cpu->tsc_pace.last = -1;
}
/* Loads a segment register's hidden part directly: loaders, reset, real mode, tests. */
void cpu_set_seg(struct cpu *cpu, enum seg_id s, u16 sel, u64 base, u32 limit, u16 attr);
/* Sets control registers without checks, flushes, updates the mode: loaders and restore. */
void cpu_set_cr(struct cpu *cpu, u64 cr0, u64 cr3, u64 cr4, u64 efer);
/* Prints registers, as `-d cpu` and crash dumps do. */
void cpu_dump(const struct cpu *cpu, void *file);

/* Is a linear address canonical in the current paging mode (48 or 57 bits)? */
static inline bool cpu_canonical(const struct cpu *cpu, u64 va)
{
    unsigned bits = cpu->cr4 & CR4_LA57 ? 57 : 48;
    return (u64)((s64)(va << (64 - bits)) >> (64 - bits)) == va;
}

/* The process-context identifier (SDM vol. 3A 4.10.1). */
static inline u16 cpu_pcid(const struct cpu *cpu)
{
    return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
}

static inline bool cpu_in_long_mode(const struct cpu *cpu)
{
    return cpu->efer & EFER_LMA;
}
static inline bool cpu_in_code64(const struct cpu *cpu)
{
    return cpu->key & KEY_CODE64;
}
static inline bool cpu_in_v86(const struct cpu *cpu)
{
    return cpu->eflags & EFLAGS_VM;
}
static inline bool cpu_in_real(const struct cpu *cpu)
{
    return !(cpu->cr0 & CR0_PE);
}
static inline unsigned cpu_iopl(const struct cpu *cpu)
{
    return (cpu->eflags >> 12) & 3;
}
