/*
 * smc.h: which bytes of guest memory hold decoded code.
 *
 * A page that holds code loses its write tags (tlb.h), so every store to it takes the slow path,
 * which consults a bitmap of 64-byte granules: a store beside the code is a plain store, a store
 * into it calls phys.code_written. DMA goes the same way through dma.h.
 */
#pragma once

#include "mmu/phys.h"

/* Marks [gpa, gpa + len), within one page, as code. True when the page held none before: the caller
 * then drops its write tags from every TLB. */
bool smc_mark(struct phys *p, gpa_t gpa, unsigned len);
/* Forgets the page's marks; the caller has dropped all of its blocks. */
void smc_clear_page(struct phys *p, gpa_t gpa);
