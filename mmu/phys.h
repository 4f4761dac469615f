/*
 * phys.h: the guest's physical address space: RAM, ROM and MMIO regions, the A20 line, and per page
 * the mark that matters to the engines (holds code).
 *
 * Not here: linear addresses (walk.h, tlb.h), device access with bounds (dma.h).
 */
#pragma once

#include "base/err.h"
#include "base/quirks.h"
#include "base/types.h"
#include <pthread.h>

/* An MMIO region's handlers; `off` is relative to the region, size is 1, 2, 4 or 8. */
struct mmio_ops {
    u64 (*read)(void *opaque, u64 off, unsigned size);
    void (*write)(void *opaque, u64 off, u64 value, unsigned size);
};

enum region_kind { REGION_RAM, REGION_ROM, REGION_MMIO };

struct region {
    enum region_kind kind;
    const char *name;
    gpa_t base;
    u64 size;
    bool enabled;
    u8 *host;                   /* RAM, ROM */
    const struct mmio_ops *ops; /* MMIO */
    void *opaque;
    struct region *next; /* later regions lie over earlier ones */
};

/* What differs from plain RAM in one 4 KiB page. All zero for pages of plain RAM, so that the array
 * stays untouched (and unallocated by the host) for most of memory. */
struct page_desc {
    u64 code_granules; /* bit n: bytes 64n .. 64n+63 hold decoded code (smc.h) */
    u8 *host;          /* overlay: the region's bytes, or NULL (MMIO, hole) */
    bool overlay;      /* `host` and `rom` count, not the RAM layout */
    bool rom;          /* stores are dropped */
    u16 coders;        /* bit n: CPU n has marked code here */
    u16 writers;       /* bit n: CPU n may have a write tag; with several threads only (tlb.h) */
    bool checked;      /* code on it keeps changing (smc.h): no granules, stores are plain */
    u8 hits : 4;       /* stores into its code, since it was checked */
    u8 level : 4;      /* how patiently to wait for it to settle */
    u32 settled_at;
};

struct phys {
    u64 ram_bytes;
    u64 ram_low_bytes; /* RAM below the PCI hole (up to 3 GiB); the rest starts at 4 GiB */
    u8 *ram;           /* one host mapping; low part first */
    struct region *regions;
    struct page_desc *pages; /* indexed by gpa >> 12, page_count entries */
    u64 page_count;
    gpa_t a20_mask;     /* ~0 or ~(1 << 20) */
    unsigned addr_bits; /* MAXPHYADDR of the model; 36 to 52 */
    /* Around a change of the map, so that TLBs drop host pointers; may be NULL. */
    void (*changing)(void *opaque);
    void (*changed)(void *opaque);
    /* Called before code at [gpa, gpa+len) is overwritten by anyone (smc.h). */
    void (*code_written)(void *opaque, gpa_t gpa, u64 len);
    void *opaque;
    bool shared;           /* several threads store: those that mark code look again, see smc.h */
    struct quirks quirks;  /* addresses at which nothing answers */
    pthread_mutex_t marks; /* of code: code_granules and coders are written under it */
};

#define PCI_HOLE_BASE 0xc0000000ull

/* ram_bytes is a multiple of 4 KiB, 1 MiB or more. RAM is mapped at 0 (with the hole of
 * A0000-BFFFF left empty) up to PCI_HOLE_BASE, and on from 4 GiB. */
bool phys_init(struct phys *p, u64 ram_bytes, struct err *e);
void phys_destroy(struct phys *p);

/* Regions: base and size are multiples of 4 KiB. Added regions start enabled and lie over what
 * was there. The struct is owned by `p`. */
struct region *phys_add_ram(struct phys *p, const char *name, gpa_t base, u64 size, u8 *host);
struct region *phys_add_rom(struct phys *p, const char *name, gpa_t base, u64 size, u8 *host);
struct region *phys_add_mmio(struct phys *p, const char *name, gpa_t base, u64 size,
                             const struct mmio_ops *ops, void *opaque);
/* Makes the region another kind, with `host` for RAM and ROM (MMIO keeps the handlers it was added
 * with), and enables it or not. */
void phys_region_set(struct phys *p, struct region *r, enum region_kind kind, u8 *host,
                     bool enabled);
void phys_region_move(struct phys *p, struct region *r, gpa_t base, bool enabled);
void phys_set_a20(struct phys *p, bool on);

/* NULL beyond the described space. */
static inline struct page_desc *phys_page(const struct phys *p, gpa_t gpa)
{
    u64 n = gpa >> PAGE_SHIFT;
    return n < p->page_count ? &p->pages[n] : NULL;
}

/* Host address of the byte at `gpa` when RAM or ROM, NULL when MMIO or nothing. Good until the end
 * of its page. The caller applies a20_mask. */
u8 *phys_host(const struct phys *p, gpa_t gpa);
/* The same for a store: NULL for ROM too. */
u8 *phys_host_w(const struct phys *p, gpa_t gpa);
/* Is [gpa, gpa + len) RAM, in one piece on the host, with nothing laid over it? */
bool phys_is_ram(const struct phys *p, gpa_t gpa, u64 len);
/* Tells that [gpa, gpa + len) of RAM is about to be or was just changed: drops decoded code. */
void phys_wrote(struct phys *p, gpa_t gpa, u64 len);

/* The whole pages of [gpa, gpa + len) read as zeroes, and their memory is the host's again until they are
 * written. Returns how many bytes that are: none, unless all of them are RAM. */
u64 phys_discard(struct phys *p, gpa_t gpa, u64 len);

/* Any physical access of 1 to 8 bytes, may cross pages; RAM, ROM, MMIO, or nothing (reads all
 * ones, writes vanish). Stores invalidate code. */
u64 phys_read(struct phys *p, gpa_t gpa, unsigned size);
void phys_write(struct phys *p, gpa_t gpa, u64 value, unsigned size);
/* Read with no side effects: MMIO reads as all ones. For the monitor, gdb and dumps. */
u64 phys_peek(const struct phys *p, gpa_t gpa, unsigned size);

/* A digest of all RAM (64-bit words of non-zero pages and their addresses), for -icount. */
u64 phys_hash(const struct phys *p);
