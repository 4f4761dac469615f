/*
 * seg.h: descriptors and loading of segment registers. SDM vol. 3A 3.4, 3.5, 5.
 */
#pragma once

#include "cpu/cpu.h"
#include "cpu/excp.h"

struct desc {
    u32 lo, hi;
    gva_t at; /* of the descriptor in its table */
};

#define DESC_TYPE(d) ((d)->hi >> 8 & 0xf)
#define DESC_S(d) ((d)->hi >> 12 & 1)
#define DESC_DPL(d) ((d)->hi >> 13 & 3)
#define DESC_P(d) ((d)->hi >> 15 & 1)
#define DESC_L(d) ((d)->hi >> 21 & 1)
#define DESC_DB(d) ((d)->hi >> 22 & 1)
#define DESC_IS_CODE(d) (DESC_S(d) && DESC_TYPE(d) & 8)
#define DESC_IS_CONFORMING(d) (DESC_TYPE(d) & 4)

/* System descriptor types. */
enum {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL16 = 4,
    SYS_TASK = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15
};

#define SEL_RPL(sel) ((sel)&3u)
#define SEL_IS_NULL(sel) (((sel) & ~3u) == 0)
#define SEL_ERR(sel) ((sel)&0xfffcu)

u32 desc_base(const struct desc *d);
u32 desc_limit(const struct desc *d); /* in bytes, granularity applied */
u16 desc_attr(const struct desc *d);

/* Reads the selector's descriptor; false when it lies beyond its table or the table is unusable. */
bool desc_read(struct cpu *cpu, const struct insn *in, u16 sel, struct desc *d);
/* Sets the accessed bit in memory when it is clear. */
void desc_set_accessed(struct cpu *cpu, const struct insn *in, struct desc *d);
struct seg desc_to_seg(u16 sel, const struct desc *d);

/* Loads ES, SS, DS, FS or GS in any mode with all checks (MOV, POP, LDS...). */
void seg_load(struct cpu *cpu, const struct insn *in, enum seg_id s, u16 sel);
/* The same with the faults of a task switch (#TS instead of #GP) against `cpl`. */
void seg_load_task(struct cpu *cpu, enum seg_id s, u16 sel, unsigned cpl, u32 ext);
/* A null selector: unusable. */
struct seg seg_null(u16 sel);
/* Real and virtual-8086 mode: base from the selector. v86 also fixes limit and rights. */
void seg_load_real(struct cpu *cpu, enum seg_id s, u16 sel);
/* Fetches and checks a stack segment for privilege level `cpl`; faults with `vector` #TS, #GP (not
 * present: #SS) and error sel + ext. */
struct seg seg_fetch_stack(struct cpu *cpu, const struct insn *in, u16 sel, unsigned cpl,
                           unsigned vector, u32 ext);
/* Drops data segments that the outer privilege level may not use (RET, IRET). */
void seg_drop_for_cpl(struct cpu *cpu, unsigned cpl);
/* Loads CS: hidden part, CPL in the selector's RPL. In 64-bit code the base is 0. */
void seg_set_cs(struct cpu *cpu, u16 sel, const struct desc *d, unsigned cpl);
/* The RSP/ESP and SS that the TSS holds for a privilege level; #TS when beyond its limit. */
u64 tss_stack(struct cpu *cpu, const struct insn *in, unsigned cpl, u16 *ss, u32 ext);
u64 tss_ist(struct cpu *cpu, unsigned ist, u32 ext);

/* A stack frame that is filled before its stack becomes the CPU's: far calls, interrupts. */
struct frame {
    struct seg ss;
    u64 sp, mask;    /* mask: width of the stack pointer */
    bool code64;     /* canonical checks instead of limits */
    bool inner;      /* of another privilege level: #SS names its selector */
    bool supervisor; /* written as a supervisor whatever the CPL */
    u32 ext;         /* EXT bit of #SS */
};

/* The CPU's current stack as a frame. */
struct frame frame_current(const struct cpu *cpu);
void frame_push(struct cpu *cpu, const struct insn *in, struct frame *f, u64 v, unsigned size);
