/*
 * ticks.h: pulses of a chip's oscillator, counted since virtual time 0, from nanoseconds and back.
 * Frequencies are fractions num / den of pulses per nanosecond, so that no rate is rounded.
 */
#pragma once

#include "base/clock.h"

/* The 14.31818 MHz crystal of a PC divided by 12 (8254) and by 4 (ACPI PM timer). */
#define PIT_TICKS_NUM 715909ull
#define PIT_TICKS_DEN 600000000ull
#define PM_TIMER_HZ 3579545ull

/* The number of pulses up to and including time ns. */
static inline u64 ticks_at(u64 ns, u64 num, u64 den)
{
    return (u64)((u128)ns * num / den);
}

/* The first nanosecond at which ticks_at gives `tick`. */
static inline u64 ticks_to_ns(u64 tick, u64 num, u64 den)
{
    u128 ns = ((u128)tick * den + num - 1) / num;

    return ns >= CLOCK_NEVER ? CLOCK_NEVER : (u64)ns;
}
