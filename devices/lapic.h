/*
 * lapic.h: the local APIC of one processor: priorities, IPIs, local vector table, timer.
 *
 * Intel SDM vol. 3A chapter 10: xAPIC (registers in a page of memory) and x2APIC (MSRs 800h-83Fh).
 *
 * The board connects: `bus` (apic_bus_add_cpu), `out`, `tsc`, `intr`, and the lines of the pins
 * LINT0 and LINT1 (lapic_set_lint). Everything runs under the lock of the devices.
 */
#pragma once

#include "devices/apicbus.h"
#include "devices/device.h"

/* The timer's clock before the divider: one tick per nanosecond of virtual time. */
#define LAPIC_TIMER_HZ 1000000000u

#define LAPIC_DEFAULT_BASE 0xfee00000ull

/* IA32_APIC_BASE */
#define APIC_BASE_BSP BIT64(8)
#define APIC_BASE_EXTD BIT64(10)
#define APIC_BASE_EN BIT64(11)

#define MSR_IA32_APIC_BASE 0x1bu
#define MSR_IA32_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8ffu

/* Rows of the local vector table, in the order of the version register's count. */
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/* What the processor and the board must do. Each may be NULL. */
struct lapic_out {
    void *opaque;
    void (*nmi)(void *opaque);
    void (*init)(void *opaque);            /* the APIC itself is already in its INIT state */
    void (*sipi)(void *opaque, u8 vector); /* start at vector << 12 */
    int (*extint_ack)(void *opaque);       /* INTA cycles of the 8259: the vector, -1 for none */
};

/* The processor's time stamp counter, for TSC-deadline mode. read NULL: the mode cannot fire. */
struct lapic_tsc {
    void *opaque;
    u64 (*read)(void *opaque);
    u64 khz;
};

/* What a personality has to do with interrupts: ends of them that are signalled in memory, or by
 * nobody. Each may be NULL. */
struct lapic_pv {
    void *opaque;
    /* `vector` is about to go to the processor. True: it needs no EOI, and never is in service. */
    bool (*auto_eoi)(void *opaque, u8 vector);
    /* `vector` went to ISR. edge: its EOI needs no broadcast. more_pending: IRR holds others. */
    void (*injected)(void *opaque, u8 vector, bool edge, bool more_pending);
    /* Called before ISR is consulted. True: the guest has signalled EOI since the last `injected`,
     * and the local APIC performs it now. Either way, the guest's next EOI must be a real one until
     * `injected` offers again. */
    bool (*eoi_taken)(void *opaque);
    /* May eoi_taken be called on this thread? Else the processor is interrupted to look. */
    bool (*may_ask)(void *opaque);
    /* `vector` left ISR. */
    void (*ended)(void *opaque, u8 vector);
};

struct lapic {
    struct dev dev;

    /* Properties */
    u32 initial_id;    /* x2APIC ID; its low byte is the xAPIC ID after reset; 0 boots */
    bool x2apic;       /* the CPU model has CPUID.1:ECX[21] */
    bool tsc_deadline_mode; /* the CPU model has CPUID.1:ECX[24] */
    bool access_exits; /* the processor leaves its block after each access: how they are counted */

    u64 apic_base;   /* IA32_APIC_BASE */
    u8 id;           /* xAPIC ID, which software may change */
    u8 tpr;
    u8 ldr;          /* logical ID of xAPIC mode: bits 31:24 of LDR */
    u8 dfr_model;    /* bits 31:28 of DFR: 15 flat, 0 cluster */
    u32 svr;
    u32 isr[8], tmr[8], irr[8];
    u32 esr;         /* as latched by the last write */
    u32 esr_pending; /* errors since then */
    u32 icr_low, icr_high;
    u32 lvt[LVT_COUNT];
    bool extint_edge; /* an ExtINT message waits for its INTA cycles */
    bool eoi_unknown; /* ISR may be out of date until the processor asks pv.eoi_taken */

    u32 timer_initial;
    u32 timer_divide;      /* DCR */
    u64 timer_base_ns;     /* when the count was timer_base_count */
    u32 timer_base_count;
    u64 tsc_deadline;      /* 0: not armed */
    struct timer timer;

    bool lint[2];          /* levels of the pins */
    struct irq intr;       /* something is there for lapic_ack */

    struct region *page;   /* the registers of xAPIC mode; NULL unless this APIC is the first */
    struct apic_bus *bus;
    struct lapic_out out;
    struct lapic_tsc tsc;
    struct lapic_pv pv;
};

extern const struct dev_class lapic_class;

/* ---- the processor's side -------------------------------------------------------------------- */

/* An unmasked interrupt of sufficient priority, or ExtINT, waits. */
bool lapic_has_intr(struct lapic *l);
/* Acknowledges the interrupt to deliver and returns its vector; -1: none. */
int lapic_ack(struct lapic *l);
/* TPR as CR8: bits 7:4 (SDM vol. 3A 10.8.6). */
u8 lapic_cr8_read(struct lapic *l);
void lapic_cr8_write(struct lapic *l, u8 value);
/* IA32_APIC_BASE, IA32_TSC_DEADLINE and x2APIC MSRs; false: #GP. */
bool lapic_msr_read(struct lapic *l, u32 msr, u64 *value);
bool lapic_msr_write(struct lapic *l, u32 msr, u64 value);
/* Registers that personalities offer as MSRs of their own, in either mode, counted as accesses of
 * the page are. ICR: both halves, the high one as the mode has it. */
void lapic_write_eoi(struct lapic *l);
u64 lapic_read_icr(struct lapic *l);
void lapic_write_icr(struct lapic *l, u64 icr);
u8 lapic_read_tpr(struct lapic *l);
void lapic_write_tpr(struct lapic *l, u8 tpr);
/* The TSC was written: a deadline lies at another time now. */
void lapic_tsc_changed(struct lapic *l);

/* ---- the board's side ------------------------------------------------------------------------ */

/* dev_create(&lapic_class, env, "id=0,x2apic=on,tsc-deadline=on", e) makes one; the one with ID 0
 * claims the page at FEE0_0000 for all of them. */
/* Pins: n = 0 LINT0 (the 8259's INT), 1 LINT1 (NMI). Fits struct irq's `set`. */
void lapic_set_lint(void *lapic, unsigned n, bool level);
/* What firmware leaves behind on the boot processor: APIC enabled, LINT0 ExtINT, LINT1 NMI, so
 * that the 8259 reaches the CPU (virtual wire mode, MultiProcessor Specification 3.6.2.2). */
void lapic_set_virtual_wire(struct lapic *l);

/* ---- the bus's side -------------------------------------------------------------------------- */

/* Does `dest` of a message without shorthand name this APIC? */
bool lapic_is_dest(const struct lapic *l, const struct apic_msg *msg);
/* Enabled by IA32_APIC_BASE and SVR: accepts fixed interrupts. */
bool lapic_is_software_enabled(const struct lapic *l);
/* APR, SDM 10.6.2.4. */
u8 lapic_arbitration_priority(struct lapic *l);
/* False: not accepted (disabled, or an illegal vector). */
bool lapic_accept(struct lapic *l, u8 mode, u8 vector, bool level);
/* The APIC's ID in its current mode. */
u32 lapic_id(const struct lapic *l);
