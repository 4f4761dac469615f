/*
 * dma.h: the one checked interface to guest RAM for everything but the engines: devices, loaders,
 * personalities, monitor, gdb, restore. Copies once, never reaches MMIO, invalidates code
 * as a guest store does.
 */
#pragma once

#include "mmu/phys.h"

/* False, and nothing (read: zeroes) is transferred from the first byte that is not RAM or ROM on.
 */
bool dma_read(struct phys *p, gpa_t gpa, void *buf, u64 len);
bool dma_write(struct phys *p, gpa_t gpa, const void *buf, u64 len);
bool dma_fill(struct phys *p, gpa_t gpa, u8 value, u64 len);

/* Exchanges a byte of RAM atomically with respect to the CPUs. */
bool dma_exchange8(struct phys *p, gpa_t gpa, u8 value, u8 *old);
/* Sets bits of a byte of RAM, atomically too. */
bool dma_or8(struct phys *p, gpa_t gpa, u8 bits, u8 *old);

u16 dma_read16(struct phys *p, gpa_t gpa);
u32 dma_read32(struct phys *p, gpa_t gpa);
u64 dma_read64(struct phys *p, gpa_t gpa);
void dma_write16(struct phys *p, gpa_t gpa, u16 v);
void dma_write32(struct phys *p, gpa_t gpa, u32 v);
void dma_write64(struct phys *p, gpa_t gpa, u64 v);
