/*
 * walk.h: THE page walker, for CPU, monitor, gdb and personalities.
 *
 * Intel SDM vol. 3A chapter 4: no paging, 32-bit (with PSE and PSE-36), PAE, 4-level, 5-level;
 * access rights of 4.6, page-fault error codes of 4.7, accessed and dirty flags of 4.8.
 */
#pragma once

#include "mmu/phys.h"

enum paging { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_4LEVEL, PAGING_5LEVEL };

/* What of CR0, CR3, CR4, EFER and EFLAGS decides a translation. */
struct paging_state {
    enum paging kind;
    u64 cr3;      /* physical base bits and, with CR4.PCIDE, the PCID */
    u64 pdpte[4]; /* PAE: loaded with CR3 (SDM 4.4.1) */
    bool wp, pse, pge, nxe, smep, smap, gbpages;
};

enum access { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXEC = 2 };

/* Bits of a page-fault error code. */
#define PFEC_P BIT(0)
#define PFEC_W BIT(1)
#define PFEC_U BIT(2)
#define PFEC_RSVD BIT(3)
#define PFEC_I BIT(4)

struct walk_access {
    enum access kind;
    bool user; /* user-mode access: CPL 3 and not an implicit supervisor access */
    bool ac;   /* supervisor may touch user pages although SMAP is on: EFLAGS.AC, explicit access */
    bool set_ad; /* set A and D bits (atomically), as the CPU does; debuggers do not */
};

struct walk_step {
    gpa_t entry_gpa;
    u64 entry;
};

/* A table of the last level, and what the entries that lead to it allow. */
struct walk_table {
    gpa_t gpa;
    bool user, write, exec;
};

struct walk_result {
    bool ok;
    u32 pfec;               /* error code when !ok */
    gpa_t gpa;              /* of the byte, before A20 */
    u64 page_bytes;         /* 4 KiB, 2 MiB, 4 MiB, 1 GiB */
    bool user, write, exec; /* rights of the translation by U/S, R/W and XD alone */
    bool global, dirty;
    unsigned levels; /* entries read, from the root */
    struct walk_step step[5];
    bool has_table; /* the walk came to a table of the last level: this one */
    struct walk_table table;
};

/* Never faults the host; a table outside RAM reads as all ones (reserved bits: a guest fault) */
void walk(struct phys *p, const struct paging_state *ps, gva_t va, struct walk_access a,
          struct walk_result *r);
/* The rest of a walk that another has brought to a last-level table. The entries above are not read
 * again, as with a paging-structure cache. */
void walk_last(struct phys *p, const struct paging_state *ps, gva_t va, struct walk_access a,
               const struct walk_table *from, struct walk_result *r);
