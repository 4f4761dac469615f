/*
 * qcow2.h: shared by the files of the qcow2 format: qcow2.c (open, read, write), qcow2_meta.c
 * (tables, allocation, order of writes), qcow2_tool.c (create, check).
 *
 * Specification: docs/interop/qcow2 (version 2 and 3). All numbers are big-endian.
 *
 * Order of writes. Tables are changed in memory and written at a flush, when a cache is full, and
 * when the drive is idle:
 *
 *     1. data of new clusters (at once), refcounts of what is new     -- sync --
 *     2. the reference table, if it has new blocks                    -- sync --
 *     3. level 2 tables                                               -- sync --
 *     4. the level 1 table                                            -- sync --
 *     5. refcounts of what nothing points to any more; only now may it be used again
 *
 * So whatever is cut off, no entry points to a cluster whose refcount does not say so: at worst
 * clusters are lost until a repair.
 *
 * Not implemented: encryption, external data files, zstd, extended L2 entries, bitmaps (their
 * feature bit is cleared, as the specification asks), making and applying internal snapshots (their
 * clusters are kept). An image marked dirty or corrupt opens for reading alone.
 */
#pragma once

#include "block/image.h"

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */

#define QCOW2_COPIED BIT64(63) /* refcount is exactly 1: may be written in place */
#define QCOW2_COMPRESSED BIT64(62)
#define QCOW2_ZERO BIT64(0) /* version 3: reads as zeroes */
#define QCOW2_OFFSET 0x00fffffffffffe00ull

#define QCOW2_INCOMPATIBLE_DIRTY BIT64(0)
#define QCOW2_INCOMPATIBLE_CORRUPT BIT64(1)

#define QCOW2_L1_MAX_BYTES (32 * MIB)
#define QCOW2_REFTABLE_MAX_BYTES (8 * MIB)
#define QCOW2_NAME_MAX 1023u

struct qcow2_header {
    u32 version, cluster_bits, l1_size, reftable_clusters, snapshots, refcount_order;
    u64 bytes, l1_offset, reftable_offset, snapshots_offset;
    u64 incompatible, autoclear;
    char backing[QCOW2_NAME_MAX + 1]; /* empty: none */
};

/* A cluster of a table in memory. */
struct qcow2_table {
    u64 offset; /* 0: an empty slot */
    u64 used;   /* when it was asked for last */
    bool dirty;
    u8 *data;
};

struct qcow2_cache {
    struct qcow2_table *slot;
    unsigned slots, last;
};

/* Entries of an array that the file does not have yet. */
struct qcow2_range {
    u64 first, end; /* first == end: none */
};

struct qcow2 {
    struct qcow2_header h;
    u64 cluster;        /* bytes */
    u64 *l1, *reftable; /* in the host's order */
    u64 reftable_entries;
    struct qcow2_range l1_dirty, reftable_dirty;
    struct qcow2_cache l2, refblocks;
    bool broken; /* tables in memory and in the file have come apart: nothing is written any more */
    u64 clock;   /* of `used` */
    u64 free_hint; /* no free cluster lies before it */
    u64 *freed;    /* clusters that lose a reference when the tables are written */
    size_t freed_count, freed_cap;
    u8 *unpacked; /* the last compressed cluster that was read */
    u64 unpacked_entry;
};

static inline u64 qcow2_l2_entries(const struct qcow2 *q)
{
    return q->cluster / 8;
}

static inline u64 qcow2_refblock_entries(const struct qcow2 *q)
{
    return q->cluster * 8 >> q->h.refcount_order;
}

/* False with an error that says what is wrong with the file, or what is not implemented. */
bool qcow2_read_header(struct file *f, const char *path, struct qcow2_header *h, struct err *e);

/* ---- qcow2_meta.c; all return 0 or an errno -------------------------------------------------- */
bool qcow2_meta_init(struct image *i, const char *path, struct err *e);
void qcow2_meta_destroy(struct qcow2 *q);
/* The level 2 entry of guest cluster n; 0: none. */
int qcow2_entry_get(struct image *i, u64 n, u64 *entry);
int qcow2_entry_set(struct image *i, u64 n, u64 entry);
/* 1 to `want` clusters in a row. */
int qcow2_alloc(struct image *i, u64 want, u64 *offset, u64 *got);
/* What the entry refers to loses a reference when the tables are on disk. */
int qcow2_free_entry(struct image *i, u64 entry);
int qcow2_write_tables(struct image *i);
int qcow2_refcount(struct image *i, u64 cluster, u64 *count);
/* Bytes and place of a compressed cluster. */
void qcow2_compressed(const struct qcow2 *q, u64 entry, u64 *offset, u64 *bytes);
u64 qcow2_refcount_at(const u8 *block, unsigned order, u64 n);
void qcow2_refcount_put(u8 *block, unsigned order, u64 n, u64 count);

/* ---- qcow2_tool.c ---------------------------------------------------------------------------- */
/* Fills a new, empty file. `backing` NULL: none. */
bool qcow2_create(struct file *f, u64 bytes, const char *backing, const char *backing_format,
                  struct err *e);
struct qcow2_check {
    u64 leaks, corruptions, allocated; /* clusters */
};
/* Counts references and compares; what is wrong goes to `out`, a line each up to a limit. */
bool qcow2_check(struct image *i, struct qcow2_check *c, FILE *out, struct err *e);

static inline u64 ld_be(const u8 *p, unsigned bytes)
{
    u64 v = 0;
    for (unsigned n = 0; n < bytes; n++)
        v = v << 8 | p[n];
    return v;
}

static inline void st_be(u8 *p, u64 v, unsigned bytes)
{
    for (unsigned n = bytes; n--; v >>= 8)
        p[n] = (u8)v;
}
