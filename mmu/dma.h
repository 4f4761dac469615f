/*
 * dma.h: the one checked interface to guest RAM for everything but the engines: devices, loaders,
 * personalities, monitor, gdb, restore. Copies once, never reaches MMIO, invalidates code
 * as a guest store does.
 */
#pragma once

#include "mmu/phys.h"
#include <sys/uio.h>

/* False, and nothing (read: zeroes) is transferred from the first byte that is not RAM or ROM on.
 */
bool dma_read(struct phys *p, gpa_t gpa, void *buf, u64 len);
bool dma_write(struct phys *p, gpa_t gpa, const void *buf, u64 len);
bool dma_fill(struct phys *p, gpa_t gpa, u8 value, u64 len);

/* Exchanges a byte of RAM atomically with respect to the CPUs. */
bool dma_exchange8(struct phys *p, gpa_t gpa, u8 value, u8 *old);
/* Sets bits of a byte of RAM, atomically too. */
bool dma_or8(struct phys *p, gpa_t gpa, u8 bits, u8 *old);

/*
 * Guest RAM in pieces of the host's, into which another thread transfers while the CPUs run, as a
 * bus master does. Then, on a thread that may touch guest memory, dma_pieces_wrote drops decoded
 * code.
 */
#define DMA_PIECES_MAX 256u

struct dma_pieces {
    struct phys *phys;
    unsigned count;
    struct iovec host[DMA_PIECES_MAX];
    gpa_t at[DMA_PIECES_MAX];
};

void dma_pieces_begin(struct dma_pieces *v, struct phys *p);
/* False: [gpa, gpa + len) is not all plain RAM, or there are too many pieces. */
bool dma_pieces_add(struct dma_pieces *v, gpa_t gpa, u64 len);
void dma_pieces_wrote(const struct dma_pieces *v);

u16 dma_read16(struct phys *p, gpa_t gpa);
u32 dma_read32(struct phys *p, gpa_t gpa);
u64 dma_read64(struct phys *p, gpa_t gpa);
void dma_write16(struct phys *p, gpa_t gpa, u16 v);
void dma_write32(struct phys *p, gpa_t gpa, u32 v);
void dma_write64(struct phys *p, gpa_t gpa, u64 v);
