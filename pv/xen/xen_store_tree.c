/*
 * xen_store_tree.c: the tree of xenstore, without its protocol (xen_store.c).
 */
#include "base/err.h"
#include "pv/xen/xen_store.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 3072u /* XENSTORE_ABS_PATH_MAX */

static struct xen_node *make_node(const char *name, size_t len)
{
    struct xen_node *n = calloc(1, sizeof *n);

    BUG_ON(!n);
    n->name = strndup(name, len);
    n->value = calloc(1, 1);
    BUG_ON(!n->name || !n->value);
    return n;
}

static struct xen_node *copy_one(const struct xen_node *from)
{
    struct xen_node *n = make_node(from->name, strlen(from->name));

    xen_node_set(n, from->value, from->len);
    return n;
}

/* Depth is bounded by the length of a path. */
struct xen_node *xen_tree_copy(const struct xen_node *from)
{
    struct xen_node *n = copy_one(from), **end = &n->child;

    for (const struct xen_node *c = from->child; c; c = c->next) {
        *end = xen_tree_copy(c);
        end = &(*end)->next;
    }
    return n;
}

void xen_tree_free(struct xen_node *n)
{
    while (n && n->child) {
        struct xen_node *c = n->child;
        n->child = c->next;
        xen_tree_free(c);
    }
    if (n) {
        free(n->name);
        free(n->value);
        free(n);
    }
}

unsigned xen_tree_count(const struct xen_node *n)
{
    unsigned count = 1;

    for (const struct xen_node *c = n->child; c; c = c->next)
        count += xen_tree_count(c);
    return count;
}

bool xen_path_ok(const char *path)
{
    size_t len = strlen(path);

    if (path[0] != '/' || len > PATH_MAX_BYTES || (len > 1 && path[len - 1] == '/') ||
        strstr(path, "//"))
        return false;
    for (const char *p = path; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-/_@", *p))
            return false;
    return true;
}

bool xen_path_under(const char *path, const char *top)
{
    size_t n = strlen(top);

    if (!strcmp(top, "/"))
        return path[0] == '/';
    return !strncmp(path, top, n) && (path[n] == 0 || path[n] == '/');
}

static struct xen_node **find_child(struct xen_node *n, const char *name, size_t len)
{
    struct xen_node **c = &n->child;

    while (*c && (strncmp((*c)->name, name, len) || (*c)->name[len]))
        c = &(*c)->next;
    return c;
}

/* Where the path's last name hangs, or would; NULL: a parent is missing. `made` NULL: none is made. */
static struct xen_node **walk_to(struct xen_node *root, const char *path, unsigned *made)
{
    struct xen_node *n = root, **at = NULL;

    for (const char *p = path + 1; *p;) {
        size_t len = strcspn(p, "/");
        if (at && !*at)
            return NULL;
        n = at ? *at : root;
        at = find_child(n, p, len);
        if (!*at && made) {
            *at = make_node(p, len);
            ++*made;
        }
        p += len + (p[len] == '/');
    }
    return at;
}

struct xen_node *xen_tree_find(struct xen_node *root, const char *path)
{
    struct xen_node **at;

    if (!strcmp(path, "/"))
        return root;
    at = walk_to(root, path, NULL);
    return at ? *at : NULL;
}

struct xen_node *xen_tree_make(struct xen_node *root, const char *path, unsigned *made)
{
    struct xen_node **at = walk_to(root, path, made);
    return at ? *at : root;
}

void xen_node_set(struct xen_node *n, const void *value, u32 len)
{
    u8 *copy = malloc(len + 1u);

    BUG_ON(!copy);
    memcpy(copy, value, len);
    copy[len] = 0;
    free(n->value);
    n->value = copy;
    n->len = len;
}

bool xen_tree_remove(struct xen_node *root, const char *path)
{
    struct xen_node **at = strcmp(path, "/") ? walk_to(root, path, NULL) : NULL, *n;

    if (!at || !*at)
        return false;
    n = *at;
    *at = n->next;
    xen_tree_free(n);
    return true;
}
