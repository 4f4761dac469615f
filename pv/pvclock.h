/*
 * pvclock.h: the time page that KVM and Xen share: a scale from TSC ticks to nanoseconds and one
 * matching pair of both, under a version that is odd while the page changes.
 *
 * Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_SYSTEM_TIME_NEW); Xen public/xen.h
 * (vcpu_time_info).
 */
#pragma once

#include "base/types.h"
#include "mmu/phys.h"

#define PVCLOCK_BYTES 32u
#define PVCLOCK_WALL_BYTES 12u
#define PVCLOCK_TSC_STABLE BIT(0) /* the clock is monotonic over all vCPUs */

struct pvclock_time {
    u64 tsc;       /* ticks at ... */
    u64 system_ns; /* ... this time */
    u32 mul;       /* ns = ((ticks << shift) * mul) >> 32; negative shift: to the right */
    s8 shift;
    u8 flags;
};

/* Rounds down, so that time computed from an old page never runs ahead of a newer page. khz > 0. */
void pvclock_scale(u64 khz, u32 *mul, s8 *shift);
/* What a guest reads from the page at `tsc`. */
u64 pvclock_read_ns(const struct pvclock_time *t, u64 tsc);
/* False: the page is not RAM, nothing was written. */
bool pvclock_write(struct phys *p, gpa_t gpa, const struct pvclock_time *t);
/* The wall clock's page: UTC at system time 0. */
bool pvclock_write_wall(struct phys *p, gpa_t gpa, u64 wall_ns);

/* Writes `len` bytes at gpa + 4 .. under the u32 version at `gpa`: odd, data, even. */
bool pvclock_write_versioned(struct phys *p, gpa_t gpa, const void *data, u64 len);
