/*
 * tlb.h: translations from linear addresses to host pointers, two levels.
 *
 * First level: direct mapped, per access mode, separate tags for reads and writes, so that the hit
 * check is one subtraction and one compare which also covers page crossing:
 *
 *     va - tag <= 4096 - size   =>   address = host + (va - tag)
 *
 * (tags are kept negated, which lets the translator add them without touching the flags)
 *
 * A read tag exists only after the A bit is set, a write tag only after the D bit is set; pages
 * with MMIO, ROM (write), code (write), watchpoints never get one. A slot that is empty holds a tag
 * whose page has another index, so that nothing matches it.
 *
 * Second level: larger, shared by the modes, for 4 KiB pages and, apart, for 2 MiB of a large page.
 * Each entry is marked with the address space (PCID) that it belongs to, so that it survives MOV
 * CR3 where the architecture lets it; global pages belong to all (SDM vol. 3A 4.10).
 */
#pragma once

#include "mmu/walk.h"

#define TLB_SLOTS 256u
#define TLB2_SLOTS 16384u
#define TLB_LARGE_SLOTS 256u
#define TLB_LARGE_SHIFT 21
#define TLB_SPACES 8u
#define TLB_DIRS 64u
#define TLB_STREAMS 4096u
#define TLB_STREAM_PAGES 16u
#define ITLB_SLOTS 64u
#define TLB_CODE_SLOT_BITS 10
#define TLB_CODE_SLOTS (1u << TLB_CODE_SLOT_BITS)
#define TLB_CODE_IDS 4096u

enum tlb_mode {
    TLB_KERNEL,    /* supervisor data access */
    TLB_KERNEL_AC, /* supervisor, SMAP suspended by EFLAGS.AC */
    TLB_USER,
    TLB_CHECKED, /* never filled: every access takes the slow path (#AC on, debugging) */
    TLB_MODES
};

struct tlb_l1 {
    u64 neg_r[TLB_SLOTS];   /* minus the page's linear address, for reads */
    u64 neg_w[TLB_SLOTS];   /* for writes */
    u8 *host[TLB_SLOTS];    /* of the page */
    bool global[TLB_SLOTS]; /* survives MOV CR3 */
};

/* Of a page, or of 2 MiB of a large page that are plain RAM throughout. */
struct tlb2_entry {
    gva_t tag;                    /* first address + mark of the space */
    u8 *host;                     /* of its first byte when it is RAM or ROM */
    struct page_desc *desc;       /* of its first page; NULL: beyond the described space */
    gpa_t gpa;                    /* before A20; low bits: L2_* */
};

/*
 * The page that the accesses of one place in translated code went to last, with those behind it that
 * follow it on the host, too: found by the place, not by the address (cpu/jit/streams.c), which
 * takes no lookup:
 *
 *     va + neg < limit   =>   address = host + (va + neg) = va + delta
 *
 * Filled from the first level, from up to TLB_STREAM_PAGES of its entries. limit is 0 when nothing
 * is known: no address is below that. Whatever takes a tag from the first level forgets all streams
 * that may have been filled from there, for they are not looked up by address.
 */
struct tlb_stream {
    u64 neg;   /* minus the page, and what the owner wants */
    u64 limit; /* bytes that are known, less those that the owner wants in one piece, plus one */
    u8 *host;
    u64 delta;
};

/* Rights, in the low bits of tlb2_entry.gpa. Changing what they follow from (CR0.WP, CR4.SMAP ...)
 * flushes. */
#define L2_LOAD(mode) BIT64(mode)
#define L2_STORE(mode) BIT64(3 + (mode)) /* and D is set: a store needs no walk */
#define L2_FETCH(user) BIT64(6 + (user))
#define L2_GLOBAL BIT64(8)
#define L2_ROM BIT64(9)
#define L2_BITS (PAGE_SIZE - 1)

struct itlb_entry {
    gva_t tag; /* page + mark of the space */
    gpa_t gpa;
};

/* A last-level table of an address space, as a paging-structure cache holds it (SDM 4.10.3). */
struct tlb_dir {
    gva_t tag; /* first address of its 2 MiB + mark of the space */
    struct walk_table table;
};

/* The pages that code was fetched from, roughly: all of them lie between first and last, and have
 * their bit in the hashed bitmap. */
struct tlb_fetched {
    gva_t first, last;
    u64 bitmap[64];
};

/* A page that programs fetch from, at its linear address: it has the same number in all spaces that
 * map it there. Numbers are never given out twice. */
struct tlb_code_id {
    gva_t page;
    gpa_t gpa;
    u32 id;
};

/* What is remembered of one address space, named by its PCID. */
struct tlb_space {
    u64 mark; /* in the tags of its entries; a new one forgets them all */
    u64 epoch;
    u64 used; /* when it was last switched to */
    u16 pcid;
    bool live;
    struct tlb_fetched fetched;  /* since it got its mark */
    u32 code[TLB_CODE_SLOTS];    /* numbers of the program's pages, by address; 0: not known */
};

/* Linear addresses whose accesses shall all be seen: their pages are never cached. */
#define TLB_WATCH_MAX 32u
struct tlb_watch {
    unsigned count;
    gva_t first[TLB_WATCH_MAX], last[TLB_WATCH_MAX];
};

struct tlb_stats {
    u64 refill;     /* misses of the first level that the second answered by itself */
    u64 miss, walk; /* the others; those of them that the second level had not */
    u64 flush_all, flush_page;
};

struct tlb {
    struct tlb_l1 l1[TLB_MODES];
    struct itlb_entry itlb[2][ITLB_SLOTS]; /* supervisor, user */
    struct tlb2_entry l2[TLB2_SLOTS];
    struct tlb2_entry large[TLB_LARGE_SLOTS];
    struct tlb_dir dir[TLB_DIRS];
    u64 mark, mark_global; /* of the current space, of global pages */
    u64 salt;              /* added to a page's number: spaces use the same addresses */
    /* The identity of what fetches see: guards of jumps between pages compare it. epoch is the
     * current space's and comes back with it; a value never comes back with other translations.
     * epoch_global is for code in global pages, which outlive MOV CR3. */
    u64 epoch, epoch_global;
    const u32 *code; /* of the current space: guards of jumps of programs compare it */
    u32 last_code_id;
    struct tlb_code_id code_id[TLB_CODE_IDS]; /* hashed; what is displaced gets a new number */
    u64 last_mark, last_epoch, last_use;
    struct tlb_space space[TLB_SPACES];
    unsigned current;
    u16 writer;           /* bit of the CPU in page_desc.writers; 0: no other CPU has a thread */
    unsigned modes_used; /* bit m: l1[m] may hold something; bit 8 + m: something not global */
    const struct tlb_watch *watch; /* NULL: nothing is watched; flush when it changes */
    bool pieces;         /* parts of large pages are among the 4 KiB ones */
    bool never_hit; /* for tests: the first level stays empty, every access goes the slow way */
    bool keeps_page,
        keeps_space;            /* -jit-test no-invlpg, no-cr3-flush: a broken machine, for labs */
    u64 large_2m[64], large_1g; /* which regions had parts of large pages filled: hashed bitmaps */
    struct tlb_fetched fetched_global;
    struct tlb_stream stream[TLB_STREAMS];
    u64 streams_known[2][TLB_STREAMS / 64]; /* bitmaps: may have a limit; with global pages only */
    bool stream_pages[TLB_SLOTS];           /* by tlb_index: streams may know such a page */
    s32 stream_patience[TLB_STREAMS]; /* changes of page that are left until the owner is asked */
    struct tlb_stats stats;
};

static inline unsigned tlb_index(gva_t va)
{
    return (unsigned)(va >> PAGE_SHIFT) & (TLB_SLOTS - 1);
}

/* Is va's translation a global one, to gpa's page? */
bool tlb_is_global(const struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                   gpa_t gpa);

void tlb_init(struct tlb *t);
/* Forgets all streams. */
void tlb_forget_streams(struct tlb *t);
/* Everything, global too. */
void tlb_flush_all(struct tlb *t);
/* INVPCID type 3: all spaces, but not global pages. */
void tlb_flush_nonglobal(struct tlb *t);
/* MOV CR3: the space that counts from now on; keep: what is remembered of it stays. */
void tlb_load_space(struct tlb *t, u16 pcid, bool keep);
/* INVPCID type 1. */
void tlb_flush_space(struct tlb *t, u16 pcid);
/* INVLPG: the page in the current space, a global one in all. */
void tlb_flush_page(struct tlb *t, gva_t va);
/* INVPCID type 0. */
void tlb_flush_page_of(struct tlb *t, u16 pcid, gva_t va);
/* No store to this page may take the fast path any more. */
void tlb_drop_write(struct tlb *t, struct phys *p, gpa_t gpa);

/* The quick way for data, when the second level answers: if plain memory serves the access, fills the
 * first level and returns the host address of the byte. NULL: *gpa is where the access goes, A20
 * applied, or TLB_UNKNOWN: go through tlb_lookup. */
#define TLB_UNKNOWN (~0ull)
u8 *tlb_refill(struct tlb *t, struct phys *p, gva_t va, enum access kind, enum tlb_mode mode,
               gpa_t *gpa);

/* Where code at `va` lies, if a fetch was translated lately. */
static inline bool tlb_fetch(const struct tlb *t, gva_t va, bool user, gpa_t *gpa)
{
    const struct itlb_entry *e = &t->itlb[user][va >> PAGE_SHIFT & (ITLB_SLOTS - 1)];
    u64 x = e->tag ^ (va & PAGE_MASK);
    *gpa = e->gpa | (va & ~PAGE_MASK);
    return x == t->mark || x == t->mark_global;
}

static inline unsigned tlb_code_slot(gva_t va)
{
    return (unsigned)(va >> PAGE_SHIFT) & (TLB_CODE_SLOTS - 1);
}

/* The number of the page at `va`, whose translation for a program's fetch is known to be `gpa` in
 * the current space; notes it there. */
u32 tlb_note_code(struct tlb *t, gva_t va, gpa_t gpa);

/* Was it in a global page? Of an address that tlb_fetch answers. */
static inline bool tlb_fetch_global(const struct tlb *t, gva_t va, bool user)
{
    const struct itlb_entry *e = &t->itlb[user][va >> PAGE_SHIFT & (ITLB_SLOTS - 1)];
    return (e->tag ^ (va & PAGE_MASK)) == t->mark_global;
}

struct tlb_fill {
    gpa_t gpa; /* of the byte, A20 applied */
    u8 *host;  /* host pointer to the byte when plain memory for this access, else NULL */
    u32 pfec;
    bool ok;
};

/* Translates, sets A and D, fills both levels where allowed. mode is one of enum tlb_mode. */
void tlb_lookup(struct tlb *t, struct phys *p, const struct paging_state *ps, gva_t va,
                enum access kind, enum tlb_mode mode, struct walk_access wa, struct tlb_fill *out);
