/*
 * coverage.c: which blocks of code ran, in the form of drcov version 2 (DynamoRIO's), which
 * Lighthouse and its like read. A guest has no modules, but addresses of 64 bits, and drcov's
 * offsets have 32: each piece of 4 GiB of linear addresses in which code ran is a module, and
 * before them come those that module=NAME:BASE:BYTES names (hexadecimal), as a kernel at the
 * address of its image.
 *
 * Address spaces are not told apart: what ran at one address in two programs is one block.
 */
#include "machine/parallax-plugin.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define GROW 4096u
#define MODULES 256u

struct block {
    uint64_t address;
    uint16_t bytes;
    struct parallax_counter *entered;
    struct block *next; /* with the same hash */
};

struct state {
    const struct parallax_host *host;
    struct parallax *self;
    struct module {
        char name[64];
        uint64_t base, end;
    } module[MODULES];
    unsigned modules;
    struct block *by_hash[65536];
};

static const char *add_named(struct state *s, const char *text)
{
    struct module *m = &s->module[0];
    const char *colon = text ? strchr(text, ':') : NULL;
    char *end = NULL;
    if (!text)
        return NULL;
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof m->name)
        return "module= is NAME:BASE:BYTES";
    memcpy(m->name, text, (size_t)(colon - text));
    m->base = strtoull(colon + 1, &end, 16);
    m->end = *end == ':' ? m->base + strtoull(end + 1, &end, 16) : 0;
    if (*end || m->end <= m->base || m->end - m->base > UINT32_MAX)
        return "module= is NAME:BASE:BYTES, hexadecimal numbers, below 4 GiB";
    s->modules = 1;
    return NULL;
}

static const char *create(const struct parallax_host *host, struct parallax *self,
                          const char *const *values, void **state)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return "out of memory";
    s->host = host;
    s->self = self;
    const char *wrong = add_named(s, values[0]);
    if (wrong)
        free(s);
    *state = s;
    return wrong;
}

static void on_block(void *state, struct parallax_vcpu *vcpu, const struct parallax_block *b)
{
    struct state *s = state;
    struct block **at = &s->by_hash[(b->address * 0x9e3779b97f4a7c15u) >> 48];
    (void)vcpu;
    while (*at && ((*at)->address != b->address || (*at)->bytes != b->bytes))
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at)
            return;
        **at = (struct block){b->address, (uint16_t)b->bytes, s->host->counter(s->self), NULL};
    }
    s->host->count(b->probes, 0, (*at)->entered, 1);
}

/* The module that an address lies in, made if there is none; MODULES: there are too many. */
static unsigned module_of(struct state *s, uint64_t address)
{
    unsigned i;
    for (i = 0; i < s->modules; i++)
        if (s->module[i].base <= address && address <= s->module[i].end)
            return i;
    if (i == MODULES)
        return i;
    struct module *m = &s->module[s->modules++];
    m->base = address & ~(uint64_t)UINT32_MAX;
    m->end = m->base + UINT32_MAX;
    strcpy(m->name, "guest-");
    for (unsigned n = 0; n < 8; n++)
        m->name[6 + n] = "0123456789abcdef"[m->base >> (60 - 4 * n) & 15];
    return i;
}

/* A row of the table of basic blocks: little-endian. */
struct row {
    uint32_t start;
    uint16_t bytes, module;
};

static size_t collect(struct state *s, struct row **rows)
{
    size_t n = 0, room = 0;
    for (size_t h = 0; h < 65536; h++)
        for (const struct block *b = s->by_hash[h]; b; b = b->next) {
            unsigned m = s->host->counter_sum(b->entered) ? module_of(s, b->address) : MODULES;
            if (m == MODULES)
                continue;
            if (n == room) {
                struct row *more = realloc(*rows, (room + GROW) * sizeof **rows);
                if (!more)
                    return n;
                *rows = more;
                room += GROW;
            }
            (*rows)[n++] =
                (struct row){(uint32_t)(b->address - s->module[m].base), b->bytes, (uint16_t)m};
        }
    return n;
}

static void finish(void *state)
{
    struct state *s = state;
    struct row *rows = NULL;
    size_t n = collect(s, &rows);
    s->host->print(s->self,
                   "DRCOV VERSION: 2\nDRCOV FLAVOR: parallax\nModule Table: version 2, count %u\n"
                   "Columns: id, base, end, entry, path\n",
                   s->modules);
    for (unsigned i = 0; i < s->modules; i++)
        s->host->print(s->self, "%2u, 0x%016" PRIx64 ", 0x%016" PRIx64 ", 0x%016x, %s\n", i,
                       s->module[i].base, s->module[i].end, 0, s->module[i].name);
    s->host->print(s->self, "BB Table: %zu bbs\n", n);
    s->host->write(s->self, rows, n * sizeof *rows);
    free(rows);
    for (size_t h = 0; h < 65536; h++)
        for (struct block *next, *b = s->by_hash[h]; b; b = next) {
            next = b->next;
            free(b);
        }
    free(s);
}

static const struct parallax_param params[] = {
    {"module", "NAME:BASE:BYTES, hexadecimal: addresses that are a module of this name"},
    {NULL, NULL}};

const struct parallax_plugin parallax_plugin = {.version = PARALLAX_PLUGIN_VERSION,
                                                .name = "coverage",
                                                .doc = "which blocks of code ran, in drcov's form",
                                                .params = params,
                                                .create = create,
                                                .block = on_block,
                                                .finish = finish};
