/*
 * phys.h: the guest's physical address space: RAM, ROM and MMIO regions, the A20 line, and per page
 * the marks that matter to the engines (holds code, dirty).
 *
 * Not here: linear addresses (walk.h, tlb.h), device access with bounds (dma.h).
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

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
    struct region *next;        /* later regions lie over earlier ones */
};

/* What the engines need to know of one 4 KiB page. */
struct page_desc {
    u8 *host;         /* start of the page in host memory; NULL: MMIO or nothing */
    u64 code_granules; /* bit n: bytes 64n .. 64n+63 hold decoded code (smc.h) */
    bool rom;         /* stores are dropped */
    bool dirty;       /* written since the last phys_clear_dirty */
};

struct phys {
    u64 ram_bytes;
    u64 ram_low_bytes;  /* RAM below the PCI hole (up to 3 GiB); the rest starts at 4 GiB */
    u8 *ram;            /* one host mapping; low part first */
    struct region *regions;
    struct page_desc *pages; /* indexed by gpa >> 12, page_count entries */
    u64 page_count;
    gpa_t a20_mask;     /* ~0 or ~(1 << 20) */
    unsigned addr_bits; /* MAXPHYADDR of the model; 36 to 52 */
    /* Called when a mapping changes, so that TLBs drop host pointers. */
    void (*changed)(void *opaque);
    /* Called before code at [gpa, gpa+len) is overwritten by anyone (smc.h). */
    void (*code_written)(void *opaque, gpa_t gpa, u64 len);
    void *opaque;
};

#define PCI_HOLE_BASE 0xc0000000ull

/* ram_bytes is a multiple of 4 KiB, 1 MiB or more. RAM is mapped at 0 (with the hole of
 * A0000-BFFFF left empty) up to PCI_HOLE_BASE, and on from 4 GiB. */
bool phys_init(struct phys *p, u64 ram_bytes, struct err *e);
void phys_destroy(struct phys *p);

/* Regions: base and size are multiples of 4 KiB. Added regions start enabled and lie over what
 * was there. The struct is owned by `p`. */
struct region *phys_add_rom(struct phys *p, const char *name, gpa_t base, u64 size, u8 *host);
struct region *phys_add_mmio(struct phys *p, const char *name, gpa_t base, u64 size,
                             const struct mmio_ops *ops, void *opaque);
void phys_region_move(struct phys *p, struct region *r, gpa_t base, bool enabled);
void phys_set_a20(struct phys *p, bool on);

/* NULL above the end of RAM and for regions that are not memory. The caller applies a20_mask. */
static inline struct page_desc *phys_page(const struct phys *p, gpa_t gpa)
{
    u64 n = gpa >> PAGE_SHIFT;
    return n < p->page_count ? &p->pages[n] : NULL;
}

/* Any physical access of 1 to 8 bytes, may cross pages; RAM, ROM, MMIO, or nothing (reads all
 * ones, writes vanish). Stores invalidate code and mark the page dirty. */
u64 phys_read(struct phys *p, gpa_t gpa, unsigned size);
void phys_write(struct phys *p, gpa_t gpa, u64 value, unsigned size);
/* Read with no side effects: MMIO reads as all ones. For the monitor, gdb and dumps. */
u64 phys_peek(const struct phys *p, gpa_t gpa, unsigned size);

/* A digest of all RAM (FNV-1a over 64-bit words of touched pages), for -icount. */
u64 phys_hash(const struct phys *p);
