/*
 * insn.h: the opcode table's row, and the 32-byte record that the decoder makes of an instruction.
 *
 * insn.def is THE opcode table; it is cut into sections (insn_int.def, insn_sys.def, insn_x87.def,
 * insn_sse.def, insn_avx.def) that only follow the manual's chapters, and explains the columns.
 * Each row says how an encoding looks, what it touches and which handlers run it. See
 * cpu/README.md, "Adding an instruction".
 */
#pragma once

#include "base/types.h"

struct cpu;
struct insn;

/* Runs one record and the ones after it; returns the next record, or NULL to leave the block.
 * See exec.h for NEXT. */
typedef const struct insn *(*insn_fn)(struct cpu *cpu, const struct insn *in);

/* ---- rows ------------------------------------------------------------------------------------ */

/* One byte, 0F, 0F38, 0F3A, VEX. */
enum insn_map { OB, TB, T38, T3A, VEX_0F, VEX_38, VEX_3A, INSN_MAPS };

/* Mandatory prefix. ANY: 66 is the operand size, F2 and F3 repeat or mean nothing. */
enum insn_pfx { ANY, NP, P66, PF3, PF2 };

/* How the ModRM byte must look. */
#define MRM_NONE 0x000          /* no ModRM byte */
#define MRM 0x100               /* any */
#define MRM_HAS_REG 0x200
#define MRM_MEM 0x400           /* mod != 3 */
#define MRM_REG 0x800           /* mod == 3 */
#define MRM_HAS_RM 0x1000
/* RG, RGM, RGR, REG, MEM, EXACT combine these; they exist only inside insn.def. */

/*
 * Operands in the manual's letters (SDM vol. 2D, A.2). What the decoder puts where:
 *   E, W, Q, M  ModRM.rm: register number in .rm, or memory (.mem set; base, index, scale, disp,
 *               seg)
 *   G, V, P, S, C, D  ModRM.reg in .reg
 *   Z           register of the opcode's low three bits (REX.B), in .rm as if E (register form)
 *   AL, rAX     as E, register form, .rm = 0 - so `ADD AL, Ib` shares the handlers of `ADD Eb, Ib`;
 *               as second operand (XCHG, IN/OUT, STOS...) it is implied and leaves no trace
 *   B           VEX.vvvv in .vvvv
 *   I*, J*, 1   .imm, sign-extended (Iw, Ibu, Iw_Ib: zero-extended); J is relative to the next
 *               instruction
 *   Iv          .imm; .imm64 when the operand size is 64
 *   Ap, Iw_Ib   .imm64: offset | selector << 32; Iw | Ib << 16
 *   O           .imm64: the address; .mem, .seg, no base
 *   U, N        register-only W, Q
 *   H           vector register by VEX.vvvv in .vvvv
 *   Lx          vector register by bits 7:4 of an immediate byte, in .imm
 *   Mvs         memory by VSIB: .rm is the vector of indices, .scale its scale; .index is not used
 *   X, Y        string operands; .seg is X's segment
 * A general register of byte size is a byte offset into cpu->gpr (reg8() in exec.h), so AH is 1.
 * Size letters: b 1, w 2, d 4, q 8, v operand size (2, 4, 8), z 2 or 4, y 4 or 8, dq 16 bytes,
 * p far pointer, x 16 bytes or with VEX.L 32, h, f, e half, quarter, eighth of that; others give
 * the memory size for Capstone's cross-check and for the emitter. Legacy rows have .vvvv = .reg, so
 * that a handler finds the first source of both encodings there.
 */
// clang-format off
#define INSN_OPERANDS(X)                                                                           \
    X(_) X(Eb) X(Ew) X(Ed) X(Eq) X(Ev) X(Ey) X(Ep) X(Gb) X(Gw) X(Gd) X(Gq) X(Gv) X(Gy) X(Gz)       \
    X(Zb) X(Zv) X(Zd) X(Zq) X(AL) X(rAX) X(eAX) X(AX) X(CL) X(DX) X(One) X(Ib) X(Ibu) X(Iw)        \
    X(Iz) X(Iv) X(Iw_Ib) X(Jb) X(Jz) X(Ap) X(Ob) X(Ov) X(Sw) X(Cy) X(Dy) X(Xb) X(Xv) X(Xz) X(Yb)   \
    X(Yv) X(Yz) X(M) X(Mb) X(Mw) X(Md) X(Mq) X(Mdq) X(Mv) X(My) X(Mp) X(Ma) X(Ms) X(Mt) X(Mfw)     \
    X(Mfenv) X(Mfst) X(Mfx) X(Mxs) X(Mi16) X(Mi32) X(Mi64) X(Mf32) X(Mf64) X(Mf80) X(Mbcd)         \
    X(ST0) X(STi) X(Vx) X(Vps) X(Vpd) X(Vss) X(Vsd) X(Vdq) X(Vq) X(Vd) X(Wx) X(Wps) X(Wpd)         \
    X(Wss) X(Wsd) X(Wdq) X(Wq) X(Wd) X(Ww) X(Udq) X(Ups) X(Upd) X(Uq) X(Pq) X(Pd) X(Qq) X(Qd)      \
    X(Qpi) X(Nq) X(By) X(Hx) X(ES) X(CS) X(SS) X(DS) X(FS) X(GS) X(XMM0) X(Rd) X(Ry) X(RdMb)       \
    X(RdMw) X(Rw_Mw) X(Ux) X(Mx) X(Wh) X(Wf) X(We) X(Wb) X(Lx) X(Mvs)
// clang-format on

enum insn_opnd {
#define X(letter) OPND_##letter,
    INSN_OPERANDS(X)
#undef X
    OPND_COUNT
};

/* How the translator treats a row. */
enum insn_class {
    IDENT,  /* host executes the same bytes with renamed registers; memory operand allowed */
    STRING, /* MOVS, STOS, CMPS, SCAS, LODS */
    CTRL,   /* ends a block by a jump whose target it computes */
    HELPER, /* stays in the block, runs the interpreter's handler */
    SYSTEM, /* runs the handler and ends the block: may change mode, mapping or interrupt state */
};

/* Flag sets of the columns read, written, undefined. The bits are those of EFLAGS. */
#define F_C 0x001
#define F_P 0x004
#define F_A 0x010
#define F_Z 0x040
#define F_S 0x080
#define F_O 0x800
#define F_0 0
#define F_SZP (F_S | F_Z | F_P)
#define F_SZAP (F_SZP | F_A)
#define F_OSZAP (F_O | F_SZAP)
#define F_ALL (F_OSZAP | F_C)

/* Attributes. */
#define A_0 0
#define A_LOCK BIT(0)    /* LOCK is legal with a memory destination */
#define A_I64 BIT(1)     /* #UD in 64-bit mode */
#define A_O64 BIT(2)     /* only in 64-bit mode */
#define A_D64 BIT(3)     /* operand size defaults to 64 in 64-bit mode (push, pop) */
#define A_F64 BIT(4)     /* operand size is 64 in 64-bit mode, whatever the prefixes (branches) */
#define A_PROT BIT(5)    /* #UD in real and virtual-8086 mode */
#define A_PLUSR BIT(6)   /* covers opcode .. opcode + 7 */
#define A_REP BIT(7)     /* REP, REPE or REPNE repeats it */
#define A_W0 BIT(8)      /* REX.W (VEX.W) must be 0: with A_W1 rows picks the form */
#define A_W1 BIT(9)
#define A_L0 BIT(10)     /* VEX.L must be 0 */
#define A_L1 BIT(11)
#define A_NO66 BIT(12)   /* row of pfx ANY that 66 does not resize */
#define A_CPL0 BIT(13)   /* #GP(0) above CPL 0; checked before the handler runs */
#define A_NODECODE BIT(14) /* pseudo rows: block ends and the like; not reachable from bytes */
#define A_O16 BIT(15)    /* row only for 16-bit operand size, A_O32 for 32, A_W1 for 64 */
#define A_O32 BIT(16)
#define A_MOD3 BIT(17)   /* mod bits are ignored, the operand is always a register (MOV CRn) */
#define A_A16 BIT(18)    /* row only for 16-bit address size, and so on (JCXZ, JECXZ, JRCXZ) */
#define A_A32 BIT(19)
#define A_A64 BIT(20)
#define A_B0 BIT(21)     /* REX.B must be 0 (NOP and PAUSE; 90 with REX.B is XCHG) */
#define A_NOREP BIT(22)  /* neither F2 nor F3 may precede, 66 may (MOVBE) */
#define A_SRC1 BIT(23)   /* op1 is only read; else, with an E or G operand there, it is written */
#define A_DST2 BIT(24)   /* op2 is written, too (XCHG) */
#define A_WO1 BIT(25)    /* op1 is written and not read (MOV) */

/*
 * What else the translator knows of a row: T(NAME) in the attr column. Without one it re-encodes IDENT
 * rows whose operands are E, G, Z, AL, rAX and immediates, and calls the handler of others. The rows of
 * vectors and x87 are known by their operands.
 *   ADD SUB LOGIC COMPARE SHIFT   re-encoded; how their flags can be made again (jit/recover.c)
 *   MUL CMPXCHG FIXED   re-encoded; they write registers that no operand names
 *   BITS                bit strings: of memory, jit_emit_bit_string; registers are re-encoded
 *   LEA to LEAVE        functions of their own that leave flags alone; what follows: others
 *   CLI to VMCALL       functions in jit/translate_sys.c, translate_string.c
 *   SYSCALL, SYSRET     end a block: jit/translate_system.c
 */
#define INSN_TEMPLATES(X)                                                                          \
    X(NONE) X(ADD) X(SUB) X(LOGIC) X(COMPARE) X(SHIFT) X(MUL) X(CMPXCHG) X(FIXED) X(BITS) X(LEA)   \
    X(NOP) X(PUSH) X(POP) X(LEAVE) X(MOV_SREG) X(DIV) X(JCC) X(JMP) X(CALL) X(JMP_E) X(CALL_E)     \
    X(RET) X(CLI) X(STI) X(CLAC) X(STAC) X(CLD) X(STD) X(PUSHF) X(POPF) X(SWAPGS) X(FSGSBASE)       \
    X(MOV_FROM_CR) X(RDTSC) X(CMPXCHG_PAIR) X(MOVS) X(STOS) X(VMCALL) X(SYSCALL) X(SYSRET)

enum insn_template {
#define X(t) T_##t,
    INSN_TEMPLATES(X)
#undef X
    T_COUNT
};

#define T_SHIFT_BITS 26 /* where they begin in attr */
#define T(name) ((u32)T_##name << T_SHIFT_BITS)
_Static_assert(T_COUNT <= 64, "six bits of attr");

/* CPUID gates: a row whose gate the model lacks is #UD (or, BSF/TZCNT, the older row). */
#define INSN_GATES(X)                                                                              \
    X(NONE) X(I486) X(FPU) X(TSC) X(MSR) X(CX8) X(CMOV) X(SEP) X(MMX) X(FXSR) X(SSE) X(SSE2)       \
    X(SSE3) X(SSSE3) X(SSE41) X(SSE42) X(POPCNT) X(CX16) X(AES) X(PCLMUL) X(MOVBE) X(XSAVE)        \
    X(XSAVEOPT) X(RDRAND) X(RDSEED) X(FSGSBASE) X(BMI1) X(BMI2) X(LZCNT) X(ADX) X(INVPCID)         \
    X(RDTSCP) X(SYSCALL) X(LM) X(LAHF64) X(CLFLUSH) X(CLFLUSHOPT) X(CLWB) X(SMAP) X(NOPL)          \
    X(PREFETCHW) X(RDPID) X(MONITOR) X(VMX) X(SVM) X(SHA) X(AVX) X(AVX2) X(FMA) X(F16C) X(UMIP)    \
    X(CLMUL) X(RDPMC) X(PAUSE)

enum insn_gate {
#define X(g) GATE_##g,
    INSN_GATES(X)
#undef X
    GATE_COUNT
};

/*
 * Handlers of a row. Variants that are NULL fall back: `s` to `m`'s general form, then to `any`.
 * Index 0..3: operand size 1, 2, 4, 8 bytes.
 *   r    register form            m    memory, flat address (ea_flat in exec.h)
 *   s    memory, any segmentation (mem_addr in exec.h)
 *   rn, mn  as r, m, but the row's flags are dead afterwards and are not computed
 *   l    memory, any segmentation, with LOCK prefix; `any` looks at the prefix itself (mem_rmw)
 *   any  one handler for all forms: uses the general accessors of exec.h
 *   stack  the row uses the stack: r and m are for a flat stack (64-bit code, or 32-bit code with
 *        KEY_FLAT and KEY_SS32), m also for a flat operand; every other case takes `any`
 */
struct insn_ops {
    insn_fn any;
    bool stack;
    insn_fn r[4], m[4], s[4], rn[4], mn[4], l[4];
};

#define INSN_OPERANDS_MAX 4

struct insn_row {
    const char *name;
    u8 map, opcode, pfx, cls;
    u16 modrm;
    u8 opnd[INSN_OPERANDS_MAX];
    u8 gate;
    u16 fl_read, fl_write, fl_undef;
    u32 attr;
    const struct insn_ops *ops;
};

enum {
    ROW_INVALID, /* #UD */
    ROW_END,     /* the record after the last one of a block that ends without a jump */
};

extern const struct insn_row insn_rows[];
extern const unsigned insn_row_count;

/* ---- records --------------------------------------------------------------------------------- */

#define REG_NONE 16 /* cpu->gpr[16] is always 0 */
#define REG_RIP 17  /* cpu->gpr[17]: linear address of the block, for RIP-relative operands */
#define REG_4G 18   /* cpu->gpr[18] is 2^32: carries out of a RIP-relative displacement */

#define PFX_LOCK BIT(0)
#define PFX_REP BIT(1)   /* F3 */
#define PFX_REPNE BIT(2) /* F2 */
#define PFX_66 BIT(3)
#define PFX_67 BIT(4)
#define PFX_REX BIT(5)   /* any REX (or VEX) prefix */
#define PFX_W BIT(6)     /* REX.W, VEX.W */
#define PFX_SEG BIT(7)   /* a segment override that counts */

struct insn {
    insn_fn fn;
    union {
        struct {
            s32 disp; /* memory displacement */
            s32 imm;
        };
        u64 imm64;
    };
    u16 row;
    u16 off;   /* from the block's first byte */
    u8 len;    /* 1 to 15 */
    u8 idx;    /* number in the block */
    u8 reg;
    u8 rm;     /* register form; the vector of indices of a gather */
    u8 base;   /* REG_NONE, REG_RIP or 0..15 */
    u8 index;  /* REG_NONE or 0..15 */
    u8 scale : 2, mem : 1, vex_l : 1, vvvv : 4;
    u8 seg : 3, vex : 1; /* enum seg (SEG_NONE: base 0, no checks); VEX-encoded */
    u8 asz : 4;          /* address size in bytes */
    u8 osz;    /* operand size in bytes: 1, 2, 4, 8 (vector rows: of the general operand) */
    u8 pfx;
    u8 modrm;  /* the raw byte, for x87's FOP and the emitter */
    u8 opcode; /* the raw last opcode byte */
};

_Static_assert(sizeof(struct insn) <= 40, "a record is 32 bytes on 64-bit hosts");

static inline enum insn_template row_template(const struct insn_row *r)
{
    return (enum insn_template)(r->attr >> T_SHIFT_BITS);
}

static inline const struct insn_row *insn_row(const struct insn *in)
{
    return &insn_rows[in->row];
}
