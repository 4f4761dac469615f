/*
 * xen_store.h: xenstore: a tree of small values through which front and back ends find each other.
 *
 * Specification: Xen docs/misc/xenstore.txt (messages, quotas), public/io/xs_wire.h.
 */
#pragma once

#include "base/types.h"

struct pv_xen;
struct xen_node;
struct xen_watch;
struct xen_transaction;

#define XEN_STORE_PAYLOAD 4096u
#define XEN_STORE_HEADER 16u
#define XEN_STORE_HOME "/local/domain/1"

/* Something in this program that looks at a part of the tree. */
struct xen_store_viewer {
    const char *prefix;
    void (*changed)(void *opaque, const char *path);
    void *opaque;
};

struct xen_store {
    struct pv_xen *x;
    struct xen_node *root;
    u64 generation; /* of the tree: counts changes */
    unsigned nodes;
    struct xen_watch *watches;
    unsigned watch_count;
    struct xen_transaction *transactions;
    unsigned transaction_count;
    u32 last_transaction;
    struct xen_store_viewer viewer[4];
    unsigned viewers;
    u8 in[XEN_STORE_HEADER + XEN_STORE_PAYLOAD]; /* a request, as far as it has come */
    u32 in_len;
    u8 *out; /* answers that the ring has had no room for */
    u64 out_len, out_cap, out_at;
    bool broken; /* the guest violates the protocol: it is not listened to any more */
};

/* The domain's handle. */
extern const u8 xen_store_uuid[16];

/* The tree of a new domain, and the ring in the special page empty. */
void xen_store_reset(struct xen_store *s, struct pv_xen *x);
void xen_store_destroy(struct xen_store *s);

/* Domain 0's side. Paths are absolute; a missing parent is made. */
void xen_store_write(struct xen_store *s, const char *path, const char *value);
__attribute__((format(printf, 3, 4))) void xen_store_printf(struct xen_store *s, const char *path,
                                                            const char *format, ...);
/* NULL: there is none. Good until the tree changes. */
const char *xen_store_read(const struct xen_store *s, const char *path);
/* A value that is a number; `none` if it is not there or none. */
u64 xen_store_number(const struct xen_store *s, const char *path, u64 none);
void xen_store_remove(struct xen_store *s, const char *path);
void xen_store_view(struct xen_store *s, const struct xen_store_viewer *viewer);

/* The guest's event on the ring's port. */
void xen_store_notify(void *store);

/* ---- xen_store_tree.c ------------------------------------------------------------------------ */

struct xen_node {
    char *name;
    u8 *value; /* with a NUL behind it that does not count */
    u32 len;
    struct xen_node *child, *next;
};

#define XEN_STORE_NODES 2000u /* Xen's quota is 1000 per domain; ours counts domain 0's too */

struct xen_node *xen_tree_copy(const struct xen_node *n);
void xen_tree_free(struct xen_node *n);
/* A valid absolute path ("/", or "/a/b" of the allowed characters). */
bool xen_path_ok(const char *path);
/* Is `path` at or below `top`? */
bool xen_path_under(const char *path, const char *top);
struct xen_node *xen_tree_find(struct xen_node *root, const char *path);
/* Makes what is missing; *made counts. */
struct xen_node *xen_tree_make(struct xen_node *root, const char *path, unsigned *made);
void xen_node_set(struct xen_node *n, const void *value, u32 len);
/* False: there is none. The root stays. */
bool xen_tree_remove(struct xen_node *root, const char *path);
unsigned xen_tree_count(const struct xen_node *n);
