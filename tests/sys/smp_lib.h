/*
 * smp_lib.h: a system test with several CPUs (run with -smp N): starts the others, hands them work.
 *
 * A CPU without work sleeps in HLT with interrupts on; VEC_WORK wakes it. Exceptions are the first
 * CPU's to expect: on another one they end the test.
 */
#pragma once

#include "long.h"
#include "smp_defs.h"

#define APIC 0xfee00000ull
enum {
    ID = 0x20,
    TPR = 0x80,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ICR = 0x300,
    ICR2 = 0x310,
};
#define VEC_WORK 0xf0

#define ICR_LOWEST (1u << 8)
#define ICR_NMI (4u << 8)
#define ICR_INIT (5u << 8)
#define ICR_STARTUP (6u << 8)
#define ICR_LOGICAL BIT(11)
#define ICR_ASSERT BIT(14)
#define ICR_SELF (1u << 18)
#define ICR_ALL (2u << 18)
#define ICR_OTHERS (3u << 18)

typedef void (*work_fn)(unsigned cpu, u64 arg);

extern unsigned cpus;
/* How often the n-th CPU arrived in ap_main. */
extern volatile u32 ap_starts[CPUS_MAX];
extern u8 ap_code[], ap_code_end[];

static inline void apic_write(u32 reg, u32 v)
{
    *(volatile u32 *)(APIC + reg) = v;
}
static inline u32 apic_read(u32 reg)
{
    return *(volatile u32 *)(APIC + reg);
}
static inline void pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}
static inline void mfence(void)
{
    __asm__ volatile("mfence" : : : "memory");
}
static inline void barrier(void)
{
    __asm__ volatile("" : : : "memory");
}

/* Number of the CPU that asks. */
unsigned this_cpu(void);
void ipi(u32 dest, u32 icr);
/* Copies the trampoline there and starts a CPU by INIT and start-up IPI. */
void ap_prepare(u64 at);
void ap_init(unsigned cpu);
void ap_startup(unsigned cpu, u64 at);
/* Starts all others, counts them. */
void smp_begin(void);
/* Lets one CPU work, or all with the caller, and waits for them. */
void work_start(unsigned cpu, work_fn fn, u64 arg);
void work_wait(unsigned cpu);
void work_all(work_fn fn, u64 arg);
/* Waits until `n` CPUs have come here. */
void meet(unsigned n);
/* Waits until the condition holds; false: it took too long. */
#define WAIT_FOR(cond)                                                                             \
    ({                                                                                             \
        u64 turns_ = 0;                                                                            \
        while (!(cond) && ++turns_ < 200000000ull)                                                 \
            pause();                                                                               \
        !!(cond);                                                                                  \
    })
