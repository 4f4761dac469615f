/*
 * exec.h: what an instruction handler may use: going on to the next record, registers, memory,
 * flags, faults. Handlers live in ops_*.c.
 *
 *     static const struct insn *bswap32(struct cpu *cpu, const struct insn *in)
 *     {
 *         set_reg32(cpu, in->rm, __builtin_bswap32(reg32(cpu, in->rm)));
 *         NEXT;
 *     }
 *
 * Rules: commit nothing before the last access that may fault; a memory destination that is also
 * read goes through mem_rmw; a record that may change RIP, mode, mapping or interrupt state sets
 * cpu->rip and ends with `return LEAVE(cpu, in)`.
 */
#pragma once

#include "base/bits.h"
#include "cpu/cpu.h"
#include "cpu/excp.h"
#include "cpu/insn.h"

#ifdef __has_feature /* clang's way to say what gcc says by macros */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PARALLAX_NO_TAILCALL
#endif
#endif

/* Threaded dispatch by sibling calls where the compiler makes them; a loop else (see interp.c). */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) &&                                    \
    !defined(__SANITIZE_THREAD__) && !defined(PARALLAX_NO_TAILCALL)
#define EXEC_TAIL_CALLS 1
#define NEXT return in[1].fn(cpu, in + 1)
#else
#define EXEC_TAIL_CALLS 0
#define NEXT return in + 1
#endif

/* Leaves the block. cpu->rip must hold the next instruction's offset; counts the block's
 * instructions up to and with `in`. exec_leave: go back to the run loop, which looks at requests.
 */
const struct insn *exec_leave(struct cpu *cpu, const struct insn *in);
/* The same after an instruction that falls through: rip = next. */
const struct insn *exec_leave_next(struct cpu *cpu, const struct insn *in);
#define LEAVE(cpu, in) exec_leave(cpu, in)
#define LEAVE_NEXT(cpu, in) exec_leave_next(cpu, in)
/* Ends a block by a direct jump: link 0 not taken / the only target, link 1 taken. rip must be set.
 * Chains to the next block without going back to the run loop when nothing is requested. */
const struct insn *exec_jump(struct cpu *cpu, const struct insn *in, unsigned link);
/* The same for computed targets (RET, JMP r/m). */
const struct insn *exec_jump_indirect(struct cpu *cpu, const struct insn *in);

/*
 * What a block relies on besides its bytes, for an instruction that mostly leaves it alone: an MSR, a
 * port, a hypercall may change the mode or mapping, or have something to tell the run loop, but rarely do.
 *
 *     struct ground g = exec_ground(cpu);
 *     ...
 *     if (likely(exec_holds(cpu, &g)))
 *         NEXT;
 *     return LEAVE_NEXT(cpu, in);
 */
struct ground {
    u64 epoch;
    u32 key, gen;
};

static inline struct ground exec_ground(const struct cpu *cpu)
{
    return (struct ground){cpu->tlb.epoch, cpu->key, cpu->block_gen};
}

bool exec_block_lives(const struct cpu *cpu);
static inline bool exec_holds(const struct cpu *cpu, const struct ground *g)
{
    return cpu->tlb.epoch == g->epoch && cpu->key == g->key && cpu->block_gen == g->gen &&
           !(cpu_pending(cpu) | cpu->dr6_pending) && !cpu->halted && !cpu->exits_only &&
           exec_block_lives(cpu);
}

/* Accounts for the block's instructions in front of this one alone, which faults or whose fate is
 * still open; and for it after all. */
void exec_not_done(struct cpu *cpu, const struct insn *in);
void exec_done_after_all(struct cpu *cpu, const struct insn *in);

/* Goes on if it holds, else leaves; counts the class as served by a leaf or an exit. */
const struct insn *exec_go_on(struct cpu *cpu, const struct insn *in, const struct ground *g,
                              enum stat_class c);

/* ---- registers --------------------------------------------------------------------------------
 */

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "big-endian hosts are not supported"
#endif

/* Byte registers are byte offsets into gpr (AL 0, AH 1, CL 8, ...), made so by the decoder. */
static inline u8 reg8(const struct cpu *cpu, unsigned off)
{
    return ((const u8 *)cpu->gpr)[off];
}
static inline u16 reg16(const struct cpu *cpu, unsigned r)
{
    return (u16)cpu->gpr[r];
}
static inline u32 reg32(const struct cpu *cpu, unsigned r)
{
    return (u32)cpu->gpr[r];
}
static inline u64 reg64(const struct cpu *cpu, unsigned r)
{
    return cpu->gpr[r];
}
static inline void set_reg8(struct cpu *cpu, unsigned off, u8 v)
{
    ((u8 *)cpu->gpr)[off] = v;
}
static inline void set_reg16(struct cpu *cpu, unsigned r, u16 v)
{
    memcpy(&cpu->gpr[r], &v, 2);
}
static inline void set_reg32(struct cpu *cpu, unsigned r, u32 v)
{
    cpu->gpr[r] = v;
} /* clears 63:32 */
static inline void set_reg64(struct cpu *cpu, unsigned r, u64 v)
{
    cpu->gpr[r] = v;
}
/* By size in bytes (1, 2, 4, 8); a byte register is an offset as above. */
static inline u64 reg_get(const struct cpu *cpu, unsigned r, unsigned size)
{
    switch (size) {
    case 1: return reg8(cpu, r);
    case 2: return reg16(cpu, r);
    case 4: return reg32(cpu, r);
    default: return reg64(cpu, r);
    }
}
static inline void reg_set(struct cpu *cpu, unsigned r, u64 v, unsigned size)
{
    switch (size) {
    case 1: set_reg8(cpu, r, (u8)v); break;
    case 2: set_reg16(cpu, r, (u16)v); break;
    case 4: set_reg32(cpu, r, (u32)v); break;
    default: set_reg64(cpu, r, v); break;
    }
}

/* ---- addresses --------------------------------------------------------------------------------
 */

/* Linear address of a memory operand when the record was bound to a flat variant (`m`, `mn`):
 * 64-bit code with 64-bit addresses, or 32-bit code with flat segments and 32-bit addresses. */
static inline gva_t ea_flat(const struct cpu *cpu, const struct insn *in)
{
    u64 off = cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)(s64)in->disp;
    return (off + cpu->seg[in->seg].base) & cpu->amask;
}

/* The effective address alone (LEA, and the offset for everything else): wrapped to asz. */
u64 ea_offset(const struct cpu *cpu, const struct insn *in);
/* Linear address in any mode, with segment and canonical checks for `size` bytes: raises #GP, #SS.
 */
gva_t mem_addr(struct cpu *cpu, const struct insn *in, unsigned size, enum access kind);
/* The same for an offset that the caller computed (string operands, stack, XLAT, MASKMOV). */
gva_t seg_addr(struct cpu *cpu, const struct insn *in, unsigned seg, u64 off, unsigned size,
               enum access kind);

/* ---- memory -----------------------------------------------------------------------------------
 */

/* Slow paths: page walk, MMIO, page crossing, watchpoints, #AC. size 1, 2, 4, 8. */
u64 mem_read_slow(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size);
void mem_write_slow(struct cpu *cpu, const struct insn *in, gva_t va, u64 v, unsigned size);

static inline u8 *mem_hit_r(const struct tlb_l1 *t, gva_t va, unsigned size)
{
    unsigned i = tlb_index(va);
    u64 off = va + t->neg_r[i];
    return likely(off <= PAGE_SIZE - size) ? t->host[i] + off : NULL;
}

static inline u8 *mem_hit_w(const struct tlb_l1 *t, gva_t va, unsigned size)
{
    unsigned i = tlb_index(va);
    u64 off = va + t->neg_w[i];
    return likely(off <= PAGE_SIZE - size) ? t->host[i] + off : NULL;
}

static inline u8 *mem_fast_r(const struct cpu *cpu, gva_t va, unsigned size)
{
    return mem_hit_r(cpu->data, va, size);
}

static inline u8 *mem_fast_w(const struct cpu *cpu, gva_t va, unsigned size)
{
    return mem_hit_w(cpu->data, va, size);
}

#define MEM_ACCESSORS(bits)                                                                        \
    static inline u##bits mem_read##bits(struct cpu *cpu, const struct insn *in, gva_t va)         \
    {                                                                                              \
        const u8 *p = mem_fast_r(cpu, va, bits / 8);                                               \
        if (unlikely(!p))                                                                          \
            return (u##bits)mem_read_slow(cpu, in, va, bits / 8);                                  \
        return (u##bits)mem_ld(p, bits / 8);                                                       \
    }                                                                                              \
    static inline void mem_write##bits(struct cpu *cpu, const struct insn *in, gva_t va,           \
                                       u##bits v)                                                  \
    {                                                                                              \
        u8 *p = mem_fast_w(cpu, va, bits / 8);                                                     \
        if (unlikely(!p))                                                                          \
            mem_write_slow(cpu, in, va, v, bits / 8);                                              \
        else                                                                                       \
            mem_st(p, v, bits / 8);                                                                \
    }
MEM_ACCESSORS(8)
MEM_ACCESSORS(16)
MEM_ACCESSORS(32)
MEM_ACCESSORS(64)
#undef MEM_ACCESSORS

static inline u64 mem_read(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size)
{
    const u8 *p = mem_fast_r(cpu, va, size);
    return likely(p != NULL) ? mem_ld(p, size) : mem_read_slow(cpu, in, va, size);
}

static inline void mem_write(struct cpu *cpu, const struct insn *in, gva_t va, u64 v, unsigned size)
{
    u8 *p = mem_fast_w(cpu, va, size);
    if (likely(p != NULL))
        mem_st(p, v, size);
    else
        mem_write_slow(cpu, in, va, v, size);
}

/* Any length up to 4096 bytes, all or nothing: both pages are checked before a byte moves.
 * Vectors, FXSAVE areas, descriptors. */
void mem_read_bytes(struct cpu *cpu, const struct insn *in, gva_t va, void *buf, unsigned len);
void mem_write_bytes(struct cpu *cpu, const struct insn *in, gva_t va, const void *buf,
                     unsigned len);
/* Raises what a write of `len` bytes would raise, and writes nothing. */
void mem_probe_write(struct cpu *cpu, const struct insn *in, gva_t va, unsigned len);

/*
 * Read-modify-write: checks for writing, returns where to operate; then mem_rmw_end, which stores
 * `buf` back when the operand is not plain memory. Nothing may fault in between. Size up to 16.
 *
 * With a LOCK prefix it is one atomic access, and mem_rmw_end is false when another CPU wrote there
 * meanwhile: then all has to be done again.
 *
 *     struct mem_rmw m;
 *     void *p;
 *     do {
 *         p = mem_rmw(cpu, in, va, 4, &m);
 *         mem_st(p, mem_ld(p, 4) + 1, 4);
 *     } while (!mem_rmw_end(cpu, in, &m));
 */
struct mem_rmw {
    gva_t va;
    unsigned size;
    bool buffered;
    bool locked, told; /* code may lie where it is written */
    u8 *host;          /* locked: of the operand ... */
    gpa_t gpa;         /* ... `told`: of the operand */
    u64 old[2];        /* locked: the words around it, as they were */
    u8 buf[16] __attribute__((aligned(16)));
};
void *mem_rmw_slow(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                   struct mem_rmw *m);
bool mem_rmw_end_slow(struct cpu *cpu, const struct insn *in, struct mem_rmw *m);
/* As with a LOCK prefix: XCHG. */
void *mem_rmw_locked(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                     struct mem_rmw *m);

static inline void *mem_rmw(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                            struct mem_rmw *m)
{
    if (in->pfx & PFX_LOCK)
        return mem_rmw_locked(cpu, in, va, size, m);
    u8 *p = mem_fast_w(cpu, va, size);
    m->buffered = m->locked = false;
    return likely(p != NULL) ? p : mem_rmw_slow(cpu, in, va, size, m);
}

static inline bool mem_rmw_end(struct cpu *cpu, const struct insn *in, struct mem_rmw *m)
{
    return likely(!m->buffered) || mem_rmw_end_slow(cpu, in, m);
}

/* phys_read and phys_write within a page, under the lock of the devices where it is MMIO. */
u64 mem_read_phys(struct cpu *cpu, gpa_t gpa, unsigned size);
void mem_write_phys(struct cpu *cpu, gpa_t gpa, u64 v, unsigned size);

/* Supervisor accesses whatever the CPL: descriptor tables, TSS. */
u64 mem_read_sys_slow(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size);
void mem_write_sys_slow(struct cpu *cpu, const struct insn *in, gva_t va, u64 v, unsigned size);

static inline u64 mem_read_sys(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size)
{
    const u8 *p = mem_hit_r(&cpu->tlb.l1[TLB_KERNEL], va, size);
    return likely(p != NULL) ? mem_ld(p, size) : mem_read_sys_slow(cpu, in, va, size);
}

static inline void mem_write_sys(struct cpu *cpu, const struct insn *in, gva_t va, u64 v,
                                 unsigned size)
{
    u8 *p = mem_hit_w(&cpu->tlb.l1[TLB_KERNEL], va, size);
    if (likely(p != NULL))
        mem_st(p, v, size);
    else
        mem_write_sys_slow(cpu, in, va, v, size);
}

/* ---- general accessors, for handlers that serve every form (`any`) ------------------------------
 */

/* E operand of `size` bytes, register or memory. */
static inline u64 get_rm(struct cpu *cpu, const struct insn *in, unsigned size)
{
    if (!in->mem)
        return reg_get(cpu, in->rm, size);
    return mem_read(cpu, in, mem_addr(cpu, in, size, ACCESS_READ), size);
}

static inline void set_rm(struct cpu *cpu, const struct insn *in, u64 v, unsigned size)
{
    if (!in->mem)
        reg_set(cpu, in->rm, v, size);
    else
        mem_write(cpu, in, mem_addr(cpu, in, size, ACCESS_WRITE), v, size);
}

/* ---- stack ------------------------------------------------------------------------------------
 */

/* Push and pop of 2, 4 or 8 bytes by the current stack size, with segment checks. A handler that
 * pushes more than once, or may fault later, works on offsets: stack_mask, seg_addr(SEG_SS). */
void stack_push(struct cpu *cpu, const struct insn *in, u64 v, unsigned size);
u64 stack_pop(struct cpu *cpu, const struct insn *in, unsigned size);
/* All ones in the stack pointer's width. */
static inline u64 stack_mask(const struct cpu *cpu)
{
    return cpu->key & KEY_CODE64 ? ~0ull : cpu->key & KEY_SS32 ? 0xffffffffull : 0xffffull;
}
/* Writes SP, ESP or RSP, keeping what lies above in 16-bit stacks. */
static inline void set_sp(struct cpu *cpu, u64 v)
{
    u64 m = stack_mask(cpu);
    if (m == 0xffff)
        set_reg16(cpu, RSP, (u16)v);
    else
        cpu->gpr[RSP] = v & m;
}

/* ---- floating point and vector gates ------------------------------------------------------------
 */

/* x87: #NM by CR0.EM/TS; WAIT-ing instructions also deliver a pending #MF. */
void fpu_check(struct cpu *cpu, const struct insn *in, bool waiting);
/* SSE: #UD by CR0.EM or CR4.OSFXSR, #NM by TS. MMX: mmx_check (#UD by EM, #NM by TS, pending #MF).
 */
/* AVX: #UD by CR4.OSXSAVE and XCR0, #NM by TS. */
void avx_check(struct cpu *cpu, const struct insn *in);
void sse_check(struct cpu *cpu, const struct insn *in);
void mmx_check(struct cpu *cpu, const struct insn *in);
