/*
 * block.h: the cache of decoded blocks.
 *
 * A block is an array of records that ends with the first CTRL or SYSTEM row, at 64 instructions,
 * or before the page's end; an instruction that crosses pages is a block of its own, registered on
 * both. Its key is the physical address of its first byte and the mode word KEY_*. Blocks die when
 * a byte of theirs is written (smc.h). Their memory is a ring of chunks: when it is used up, the
 * blocks of the oldest chunk go.
 *
 * On a page whose code keeps changing (smc_checked) blocks are not protected from stores: they
 * carry their bytes, compare them whenever they are entered, and are decoded again if they differ.
 * Nothing in them but the last instruction touches memory, so that they cannot change while they
 * run. One that was entered often enough without a change ends this state of its page.
 */
#pragma once

#include "cpu/cpu.h"

#define BLOCK_MAX_INSNS 64u

struct block_link {
    struct block *to;
    gva_t lin; /* linear address that it was made for (blocks may run at several) */
    u64 epoch; /* of the TLB then; a target in the same page stays good across flushes */
    u32 gen;   /* cpu->block_gen then: `to` may be gone since */
    bool same_page;
};

struct probes;

struct block {
    gpa_t gpa;
    u32 key;
    u16 count; /* instructions, without the closing pseudo record */
    u16 bytes;
    bool dead;
    u8 hits;       /* times entered by the interpreter, up to the translator's threshold */
    insn_fn first_fn;        /* of insn[0], when translated */
    insn_fn tapped_fn;       /* of insn[0], when a breakpoint may be there (tap.h); or NULL */
    struct jit_block *jit;   /* translations, one per linear address */
    struct probes *probes;   /* of those who look on (observe.h); NULL: nobody does */
    struct block_link link[2];
    struct block *hash_next;
    struct block *page_next[2]; /* lists of the page(s) it lies in */
    gpa_t gpa2;                 /* second page's address when it crosses, else ~0 */
    u32 size;                   /* of its memory, in bytes */
    u16 room;                   /* records that fit before `source` */
    u16 source_room;            /* bytes there */
    u16 unchanged;              /* entries since it was decoded, if it is checked */
    u8 *source;                 /* the bytes that it was decoded from, if it is checked; or NULL */
    struct insn insn[];
};

#define BLOCK_HOT 16 /* entries after which a block is translated */

struct block_stats {
    u64 built, insns;
    u64 invalidated;      /* blocks whose bytes were written */
    u64 evicted, flushes; /* chunks, everything */
    u64 changed;          /* checked blocks found different */
    u64 unsettled, settled; /* pages that became checked, and ceased to be */
};

struct block_cache;

struct block_cache *block_cache_create(struct err *e);
void block_cache_destroy(struct block_cache *c);
const struct block_stats *block_cache_stats(const struct block_cache *c);

/* The block at the current CS:RIP in the current mode, built when needed. Raises what fetching its
 * first instruction raises. Updates cpu->gpr[REG_RIP]. */
struct block *block_find(struct cpu *cpu, gva_t lin);
/* Does a memory operand need no segmentation in blocks with this key? */
bool block_address_is_flat(u32 key, const struct insn *in);
/* May the record touch memory? In doubt it does. LEA's operand (M) is only an address. */
bool block_touches_memory(const struct insn *in);
/* Is this the last instruction of a block that goes on at the next address? */
bool block_ends_after(const struct insn *in);
/* Drops everything: mapping of RAM changed, gates changed. Not while a block runs. */
void block_flush_all(struct cpu *cpu);
/* All that may run, in no order. */
void block_visit(const struct cpu *cpu, void (*visit)(void *opaque, const struct block *b), void *opaque);
/* The running block ends after the current instruction. */
void block_stop_after_insn(struct cpu *cpu);
/* Breakpoints at addresses with this offset in their page came or went: no block may have one in its
 * middle. While no block runs. */
void block_split_at(struct cpu *cpu, u64 page_offset);
/* Kills the blocks that overlap [gpa, gpa + len); when one of them is running, it stops after the
 * current instruction. */
void block_invalidate(struct cpu *cpu, gpa_t gpa, u64 len);
