/*
 * xen_store.c: the daemon of xenstore: requests on a ring, watches, transactions, and what a new
 * domain finds there.
 *
 * Specification: Xen docs/misc/xenstore.txt, docs/misc/xenstore-ring.txt, public/io/xs_wire.h.
 *
 * A transaction works on a copy of the tree; it fails with EAGAIN when anything was changed since it
 * began. The guest may write below its own home only.
 *
 * Not implemented: permissions other than that (SET_PERMS is accepted, and forgotten),
 * DIRECTORY_PART, XS_CONTROL, and what only domain 0 may ask (INTRODUCE, RELEASE, ...).
 */
#include "pv/xen/xen_store.h"

#include "base/bits.h"
#include "base/err.h"
#include "pv/xen/xen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    XS_DIRECTORY = 1,
    XS_READ = 2,
    XS_GET_PERMS = 3,
    XS_WATCH = 4,
    XS_UNWATCH = 5,
    XS_TRANSACTION_START = 6,
    XS_TRANSACTION_END = 7,
    XS_GET_DOMAIN_PATH = 10,
    XS_WRITE = 11,
    XS_MKDIR = 12,
    XS_RM = 13,
    XS_SET_PERMS = 14,
    XS_WATCH_EVENT = 15,
    XS_ERROR = 16,
    XS_IS_DOMAIN_INTRODUCED = 17,
    XS_RESET_WATCHES = 21,
};

#define RING_BYTES 1024u
enum { RING_REQ = 0, RING_RSP = 1024, REQ_CONS = 2048, REQ_PROD = 2052, RSP_CONS = 2056, RSP_PROD = 2060 };
#define RING_ERROR 2072u /* struct xenstore_domain_interface: error, at its end */
#define XENSTORE_ERROR_RINGIDX 2u
#define XENSTORE_ERROR_PROTO 3u

#define WATCHES_MAX 256u
#define TRANSACTIONS_MAX 10u
#define CHANGES_MAX 1024u /* of one transaction */
#define PATH_BYTES 3073u
#define OUT_MAX (256 * KIB) /* answers that a guest may leave lying about */

struct xen_watch {
    char *path;  /* absolute */
    char *token;
    bool relative; /* it was named relative to the domain's home, and so are its events */
    struct xen_watch *next;
};

struct xen_transaction {
    u32 id;
    u64 began;
    struct xen_node *root;
    char *changed[CHANGES_MAX];
    unsigned changes;
    struct xen_transaction *next;
};

const u8 xen_store_uuid[16] = {0x70, 0x61, 0x72, 0x61, 0x6c, 0x6c, 0x41, 0x78,
                               0x80, 0x01, 0, 0, 0, 0, 0, 1};

/* ---- answers --------------------------------------------------------------------------------- */

static u32 *ring_word(struct xen_store *s, u32 at)
{
    return (u32 *)(void *)(s->x->special + at);
}

static u32 ring_load(struct xen_store *s, u32 at)
{
    return __atomic_load_n(ring_word(s, at), __ATOMIC_SEQ_CST);
}

static void give_up(struct xen_store *s, u32 why)
{
    s->broken = true;
    __atomic_store_n(ring_word(s, RING_ERROR), why, __ATOMIC_SEQ_CST);
}

/* Moves what waits into the ring, as far as there is room. */
static void flush(struct xen_store *s)
{
    u32 cons = ring_load(s, RSP_CONS), prod = ring_load(s, RSP_PROD);
    bool moved = false;

    if (prod - cons > RING_BYTES) {
        give_up(s, XENSTORE_ERROR_RINGIDX);
        return;
    }
    while (s->out_at < s->out_len && prod - cons < RING_BYTES) {
        s->x->special[RING_RSP + prod++ % RING_BYTES] = s->out[s->out_at++];
        moved = true;
    }
    if (s->out_at == s->out_len)
        s->out_at = s->out_len = 0;
    __atomic_store_n(ring_word(s, RSP_PROD), prod, __ATOMIC_SEQ_CST);
    if (moved)
        xen_event_raise(s->x, XEN_STORE_PORT);
}

static void put(struct xen_store *s, const void *data, u64 len)
{
    if (s->out_len + len > s->out_cap) {
        s->out_cap = (s->out_len + len) * 2;
        s->out = realloc(s->out, s->out_cap);
        BUG_ON(!s->out);
    }
    memcpy(s->out + s->out_len, data, len);
    s->out_len += len;
}

static void send(struct xen_store *s, u32 type, u32 request, u32 transaction, const void *data, u32 len)
{
    u8 head[XEN_STORE_HEADER];

    st_le32(head, type);
    st_le32(head + 4, request);
    st_le32(head + 8, transaction);
    st_le32(head + 12, len);
    put(s, head, sizeof head);
    put(s, data, len);
}

/* ---- watches --------------------------------------------------------------------------------- */

static void fire(struct xen_store *s, const struct xen_watch *w, const char *path)
{
    size_t home = w->relative ? strlen(XEN_STORE_HOME) + 1 : 0, n, m;
    char text[2 * PATH_BYTES];

    if (s->out_len - s->out_at > OUT_MAX) /* nobody reads: it has missed some */
        return;
    path = home && strlen(path) >= home ? path + home : path;
    n = strlen(path) + 1;
    m = strlen(w->token) + 1;
    if (n + m > sizeof text)
        return;
    memcpy(text, path, n);
    memcpy(text + n, w->token, m);
    send(s, XS_WATCH_EVENT, 0, 0, text, (u32)(n + m));
}

/* `path` changed or came; with `gone`, all below it went. */
static void tell(struct xen_store *s, const char *path, bool gone)
{
    for (const struct xen_watch *w = s->watches; w; w = w->next) {
        if (xen_path_under(path, w->path))
            fire(s, w, path);
        else if (gone && xen_path_under(w->path, path))
            fire(s, w, w->path);
    }
    for (unsigned i = 0; i < s->viewers; i++)
        if (xen_path_under(path, s->viewer[i].prefix))
            s->viewer[i].changed(s->viewer[i].opaque, path);
}

static void free_watch(struct xen_store *s, struct xen_watch **at)
{
    struct xen_watch *w = *at;

    *at = w->next;
    free(w->path);
    free(w->token);
    free(w);
    s->watch_count--;
}

/* ---- domain 0's side ------------------------------------------------------------------------- */

void xen_store_write(struct xen_store *s, const char *path, const char *value)
{
    xen_node_set(xen_tree_make(s->root, path, &s->nodes), value, (u32)strlen(value));
    s->generation++;
    tell(s, path, false);
    flush(s);
}

void xen_store_printf(struct xen_store *s, const char *path, const char *format, ...)
{
    char value[512];
    va_list args;

    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    xen_store_write(s, path, value);
}

const char *xen_store_read(const struct xen_store *s, const char *path)
{
    const struct xen_node *n = xen_tree_find(s->root, path);
    return n ? (const char *)n->value : NULL;
}

u64 xen_store_number(const struct xen_store *s, const char *path, u64 none)
{
    const char *text = xen_store_read(s, path);
    char *end;
    u64 v;

    if (!text || !*text || *text == '-')
        return none;
    v = strtoull(text, &end, 10);
    return *end ? none : v;
}

void xen_store_remove(struct xen_store *s, const char *path)
{
    if (!xen_tree_remove(s->root, path))
        return;
    s->nodes = xen_tree_count(s->root);
    s->generation++;
    tell(s, path, true);
    flush(s);
}

void xen_store_view(struct xen_store *s, const struct xen_store_viewer *viewer)
{
    BUG_ON(s->viewers == ARRAY_SIZE(s->viewer));
    s->viewer[s->viewers++] = *viewer;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static struct xen_transaction **find_transaction(struct xen_store *s, u32 id)
{
    struct xen_transaction **t = &s->transactions;

    while (*t && (*t)->id != id)
        t = &(*t)->next;
    return t;
}

static void free_transaction(struct xen_store *s, struct xen_transaction **at)
{
    struct xen_transaction *t = *at;

    *at = t->next;
    xen_tree_free(t->root);
    for (unsigned i = 0; i < t->changes; i++)
        free(t->changed[i]);
    free(t);
    s->transaction_count--;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* One request: its answer is sent once, by ok, text or fail. */
struct request {
    struct xen_store *s;
    u32 type, id, transaction, len;
    char *data; /* with a NUL behind */
    struct xen_transaction *t; /* NULL: none */
    struct xen_node *root;
};

static void answer(const struct request *r, const void *data, u32 len)
{
    send(r->s, r->type, r->id, r->transaction, data, len);
}

static void ok(const struct request *r)
{
    answer(r, "OK", 3);
}

static void fail(const struct request *r, const char *why)
{
    send(r->s, XS_ERROR, r->id, r->transaction, why, (u32)strlen(why) + 1);
}

/* The absolute path of the request's first string; false: answered with an error. */
static bool get_path(const struct request *r, char path[PATH_BYTES])
{
    size_t n = strnlen(r->data, r->len);
    const char *home = r->data[0] == '/' || r->data[0] == '@' ? "" : XEN_STORE_HOME "/";

    if (n == r->len || n + strlen(home) >= PATH_BYTES) {
        fail(r, "EINVAL");
        return false;
    }
    snprintf(path, PATH_BYTES, "%s%s", home, r->data);
    if (path[0] == '@' || xen_path_ok(path))
        return true;
    fail(r, "EINVAL");
    return false;
}

static struct xen_node *get_node(const struct request *r, char path[PATH_BYTES])
{
    struct xen_node *n;

    if (!get_path(r, path))
        return NULL;
    n = path[0] == '@' ? NULL : xen_tree_find(r->root, path);
    if (!n)
        fail(r, "ENOENT");
    return n;
}

/* A path that the guest may change. */
static bool get_own_path(const struct request *r, char path[PATH_BYTES])
{
    if (!get_path(r, path))
        return false;
    if (xen_path_under(path, XEN_STORE_HOME))
        return true;
    fail(r, "EACCES");
    return false;
}

static void changed(struct request *r, const char *path, bool gone)
{
    if (!r->t) {
        r->s->generation++;
        r->s->nodes = xen_tree_count(r->s->root);
        tell(r->s, path, gone);
    } else if (r->t->changes < CHANGES_MAX) {
        r->t->changed[r->t->changes] = strdup(path);
        BUG_ON(!r->t->changed[r->t->changes]);
        r->t->changes++;
    }
}

static bool has_room(const struct request *r)
{
    if (r->s->nodes < XEN_STORE_NODES && (!r->t || r->t->changes < CHANGES_MAX))
        return true;
    fail(r, "ENOSPC");
    return false;
}

static void do_directory(struct request *r)
{
    char path[PATH_BYTES], names[XEN_STORE_PAYLOAD];
    const struct xen_node *n = get_node(r, path);
    u32 len = 0;

    if (!n)
        return;
    for (const struct xen_node *c = n->child; c; c = c->next) {
        u32 size = (u32)strlen(c->name) + 1;
        if (size > sizeof names - len) {
            fail(r, "E2BIG");
            return;
        }
        memcpy(names + len, c->name, size);
        len += size;
    }
    answer(r, names, len);
}

static void do_read(struct request *r)
{
    char path[PATH_BYTES];
    const struct xen_node *n = get_node(r, path);

    if (n)
        answer(r, n->value, n->len);
}

static void do_get_perms(struct request *r)
{
    char path[PATH_BYTES];
    const struct xen_node *n = get_node(r, path);

    if (n && xen_path_under(path, XEN_STORE_HOME))
        answer(r, "n1", 3);
    else if (n)
        answer(r, "n0\0r1", 6);
}

static void do_write(struct request *r)
{
    char path[PATH_BYTES];
    u32 head = (u32)strnlen(r->data, r->len) + 1;

    if (!get_own_path(r, path) || !has_room(r))
        return;
    xen_node_set(xen_tree_make(r->root, path, &r->s->nodes), r->data + head, r->len - head);
    ok(r);
    changed(r, path, false);
}

static void do_mkdir(struct request *r)
{
    char path[PATH_BYTES];
    bool is_new;

    if (!get_own_path(r, path) || !has_room(r))
        return;
    is_new = !xen_tree_find(r->root, path);
    xen_tree_make(r->root, path, &r->s->nodes);
    ok(r);
    if (is_new)
        changed(r, path, false);
}

static void do_rm(struct request *r)
{
    char path[PATH_BYTES];

    if (!get_own_path(r, path))
        return;
    if (!strcmp(path, XEN_STORE_HOME) || (r->t && r->t->changes == CHANGES_MAX)) {
        fail(r, strcmp(path, XEN_STORE_HOME) ? "ENOSPC" : "EINVAL");
        return;
    }
    bool was_there = xen_tree_remove(r->root, path);
    ok(r);
    if (was_there)
        changed(r, path, true);
}

static void do_set_perms(struct request *r)
{
    char path[PATH_BYTES];

    if (get_own_path(r, path))
        ok(r);
}

/* Two strings: path, token. */
static bool get_token(const struct request *r, const char **token)
{
    size_t n = strnlen(r->data, r->len) + 1;

    if (n < r->len && strnlen(r->data + n, r->len - n) < r->len - n) {
        *token = r->data + n;
        return true;
    }
    fail(r, "EINVAL");
    return false;
}

static struct xen_watch **find_watch(struct xen_store *s, const char *path, const char *token)
{
    struct xen_watch **w = &s->watches;

    while (*w && (strcmp((*w)->path, path) || strcmp((*w)->token, token)))
        w = &(*w)->next;
    return w;
}

/* A watch fires once when it is set. */
static void do_watch(struct request *r)
{
    char path[PATH_BYTES];
    const char *token;
    struct xen_watch *w;

    if (!get_path(r, path) || !get_token(r, &token))
        return;
    if (*find_watch(r->s, path, token)) {
        fail(r, "EEXIST");
        return;
    }
    if (r->s->watch_count >= WATCHES_MAX) {
        fail(r, "E2BIG");
        return;
    }
    w = calloc(1, sizeof *w);
    BUG_ON(!w);
    w->path = strdup(path);
    w->token = strdup(token);
    BUG_ON(!w->path || !w->token);
    w->relative = r->data[0] != '/' && r->data[0] != '@';
    w->next = r->s->watches;
    r->s->watches = w;
    r->s->watch_count++;
    ok(r);
    fire(r->s, w, path);
}

static void do_unwatch(struct request *r)
{
    char path[PATH_BYTES];
    const char *token;
    struct xen_watch **w;

    if (!get_path(r, path) || !get_token(r, &token))
        return;
    w = find_watch(r->s, path, token);
    if (!*w) {
        fail(r, "ENOENT");
        return;
    }
    free_watch(r->s, w);
    ok(r);
}

static void do_reset_watches(struct request *r)
{
    while (r->s->watches)
        free_watch(r->s, &r->s->watches);
    ok(r);
}

static void do_transaction_start(struct request *r)
{
    struct xen_store *s = r->s;
    struct xen_transaction *t;
    char id[16];

    if (r->transaction || s->transaction_count >= TRANSACTIONS_MAX) {
        fail(r, r->transaction ? "EBUSY" : "ENOSPC");
        return;
    }
    t = calloc(1, sizeof *t);
    BUG_ON(!t);
    do
        t->id = ++s->last_transaction;
    while (!t->id || *find_transaction(s, t->id));
    t->began = s->generation;
    t->root = xen_tree_copy(s->root);
    t->next = s->transactions;
    s->transactions = t;
    s->transaction_count++;
    answer(r, id, (u32)snprintf(id, sizeof id, "%u", t->id) + 1);
}

/* "T": take it, "F": forget it. */
static void do_transaction_end(struct request *r)
{
    struct xen_store *s = r->s;
    struct xen_transaction **at = find_transaction(s, r->transaction), *t = r->t;

    if (!t || !r->len || (r->data[0] != 'T' && r->data[0] != 'F')) {
        fail(r, t ? "EINVAL" : "ENOENT");
        return;
    }
    if (r->data[0] == 'T' && t->changes && t->began != s->generation) {
        free_transaction(s, at);
        fail(r, "EAGAIN");
        return;
    }
    ok(r);
    if (r->data[0] == 'T' && t->changes) {
        struct xen_node *old = s->root;
        s->root = t->root;
        t->root = old;
        s->generation++;
        for (unsigned i = 0; i < t->changes; i++)
            tell(s, t->changed[i], !xen_tree_find(s->root, t->changed[i]));
    }
    s->nodes = xen_tree_count(s->root);
    /* What a viewer did meanwhile may have changed the list, not this entry. */
    free_transaction(s, find_transaction(s, r->transaction));
}

static void do_get_domain_path(struct request *r)
{
    char path[64];

    if (strnlen(r->data, r->len) == r->len || r->len > 8) {
        fail(r, "EINVAL");
        return;
    }
    answer(r, path, (u32)snprintf(path, sizeof path, "/local/domain/%s", r->data) + 1);
}

static void do_is_introduced(struct request *r)
{
    bool known = r->len && (!strcmp(r->data, "0") || !strcmp(r->data, "1"));
    answer(r, known ? "T" : "F", 2);
}

static const struct {
    void (*fn)(struct request *r);
} handlers[] = {
    [XS_DIRECTORY] = {do_directory},
    [XS_READ] = {do_read},
    [XS_GET_PERMS] = {do_get_perms},
    [XS_WATCH] = {do_watch},
    [XS_UNWATCH] = {do_unwatch},
    [XS_TRANSACTION_START] = {do_transaction_start},
    [XS_TRANSACTION_END] = {do_transaction_end},
    [XS_GET_DOMAIN_PATH] = {do_get_domain_path},
    [XS_WRITE] = {do_write},
    [XS_MKDIR] = {do_mkdir},
    [XS_RM] = {do_rm},
    [XS_SET_PERMS] = {do_set_perms},
    [XS_IS_DOMAIN_INTRODUCED] = {do_is_introduced},
    [XS_RESET_WATCHES] = {do_reset_watches},
};

static void serve(struct xen_store *s)
{
    char data[XEN_STORE_PAYLOAD + 1];
    struct request r = {.s = s,
                        .type = ld_le32(s->in),
                        .id = ld_le32(s->in + 4),
                        .transaction = ld_le32(s->in + 8),
                        .len = ld_le32(s->in + 12),
                        .data = data,
                        .root = s->root};

    memcpy(data, s->in + XEN_STORE_HEADER, r.len);
    data[r.len] = 0;
    if (r.transaction) {
        r.t = *find_transaction(s, r.transaction);
        if (!r.t) {
            fail(&r, "ENOENT");
            return;
        }
        r.root = r.t->root;
    }
    if (r.type < ARRAY_SIZE(handlers) && handlers[r.type].fn)
        handlers[r.type].fn(&r);
    else
        fail(&r, "ENOSYS");
}

/* A whole request is in `in`. */
static bool is_whole(const struct xen_store *s)
{
    return s->in_len >= XEN_STORE_HEADER && s->in_len == XEN_STORE_HEADER + ld_le32(s->in + 12);
}

void xen_store_notify(void *store)
{
    struct xen_store *s = store;
    u32 cons = ring_load(s, REQ_CONS);
    bool took = false;

    flush(s);
    while (!s->broken && s->out_len - s->out_at <= OUT_MAX && ring_load(s, REQ_PROD) != cons) {
        if (ring_load(s, REQ_PROD) - cons > RING_BYTES) {
            give_up(s, XENSTORE_ERROR_RINGIDX);
            break;
        }
        s->in[s->in_len++] = s->x->special[RING_REQ + cons++ % RING_BYTES];
        took = true;
        if (s->in_len == XEN_STORE_HEADER && ld_le32(s->in + 12) > XEN_STORE_PAYLOAD) {
            give_up(s, XENSTORE_ERROR_PROTO);
            break;
        }
        if (is_whole(s)) {
            serve(s);
            s->in_len = 0;
        }
    }
    __atomic_store_n(ring_word(s, REQ_CONS), cons, __ATOMIC_SEQ_CST);
    if (took) /* there is room for more */
        xen_event_raise(s->x, XEN_STORE_PORT);
    flush(s);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void write_home(struct xen_store *s)
{
    const struct pv_env *env = &s->x->pv.env;
    char path[128];

    xen_store_write(s, XEN_STORE_HOME "/name", "parallax");
    xen_store_write(s, XEN_STORE_HOME "/domid", "1");
    xen_store_write(s, XEN_STORE_HOME "/vm", "/vm/70617261-6c6c-4178-8001-000000000001");
    xen_store_write(s, "/vm/70617261-6c6c-4178-8001-000000000001/name", "parallax");
    xen_store_printf(s, XEN_STORE_HOME "/memory/target", "%llu",
                     (unsigned long long)(env->phys->ram_bytes / KIB));
    xen_store_printf(s, XEN_STORE_HOME "/memory/static-max", "%llu",
                     (unsigned long long)(env->phys->ram_bytes / KIB));
    xen_store_write(s, XEN_STORE_HOME "/control/shutdown", "");
    xen_store_write(s, XEN_STORE_HOME "/device", "");
    xen_store_write(s, XEN_STORE_HOME "/data", "");
    for (unsigned n = 0; n < env->cpus; n++) {
        snprintf(path, sizeof path, XEN_STORE_HOME "/cpu/%u/availability", n);
        xen_store_write(s, path, "online");
    }
}

static void clear(struct xen_store *s)
{
    while (s->transactions)
        free_transaction(s, &s->transactions);
    while (s->watches)
        free_watch(s, &s->watches);
    xen_tree_free(s->root);
    s->root = NULL;
    s->in_len = 0;
    s->out_at = s->out_len = 0;
    s->broken = false;
    s->viewers = 0;
}

void xen_store_reset(struct xen_store *s, struct pv_xen *x)
{
    s->x = x;
    clear(s);
    s->root = calloc(1, sizeof *s->root);
    BUG_ON(!s->root);
    s->root->name = strdup("");
    s->root->value = calloc(1, 1);
    BUG_ON(!s->root->name || !s->root->value);
    s->nodes = 1;
    write_home(s);
    BUG_ON(!xen_event_connect(x, XEN_STORE_PORT, xen_store_notify, s));
}

void xen_store_destroy(struct xen_store *s)
{
    clear(s);
    free(s->out);
    s->out = NULL;
}
