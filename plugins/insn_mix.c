/*
 * insn_mix.c: how often each instruction was executed, by the opcode table's names, most frequent
 * first. One counter that translated code counts up per name, so that it is exact and fast.
 */
#include "machine/parallax-plugin.h"
#include <stdlib.h>
#include <string.h>

#define NAMES 2048u /* a power of two, more than there are */

struct state {
    const struct parallax_host *host;
    struct parallax *self;
    size_t top;
    struct entry {
        const char *name; /* of the table: equal names are at the same place or another */
        struct parallax_counter *count;
    } by_name[NAMES];
    size_t names;
};

static const char *create(const struct parallax_host *host, struct parallax *self,
                          const char *const *values, void **state)
{
    char *end = NULL;
    unsigned long top = values[0] ? strtoul(values[0], &end, 10) : ~0ul;
    if (values[0] && (!top || *end))
        return "top= is a number from 1";
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return "out of memory";
    *s = (struct state){.host = host, .self = self, .top = top};
    *state = s;
    return NULL;
}

static struct entry *find(struct state *s, const char *name)
{
    size_t h = 5381;
    for (const char *c = name; *c; c++)
        h = h * 33 + (unsigned char)*c;
    while (s->by_name[h % NAMES].name && strcmp(s->by_name[h % NAMES].name, name))
        h++;
    return &s->by_name[h % NAMES];
}

static void block(void *state, struct parallax_vcpu *vcpu, const struct parallax_block *b)
{
    struct state *s = state;
    (void)vcpu;
    for (unsigned i = 0; i < b->count; i++) {
        struct entry *e = find(s, b->insn[i].mnemonic);
        if (!e->name) {
            *e = (struct entry){b->insn[i].mnemonic, s->host->counter(s->self)};
            s->names++;
        }
        s->host->count(b->probes, i, e->count, 1);
    }
}

struct line {
    const char *name;
    uint64_t count;
};

static int more_first(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->name, y->name);
}

static void finish(void *state)
{
    struct state *s = state;
    struct line *lines = calloc(s->names + 1, sizeof *lines);
    size_t n = 0;
    uint64_t all = 0;
    for (size_t i = 0; lines && i < NAMES; i++)
        if (s->by_name[i].name) {
            lines[n] = (struct line){s->by_name[i].name, s->host->counter_sum(s->by_name[i].count)};
            all += lines[n++].count;
        }
    if (lines)
        qsort(lines, n, sizeof *lines, more_first);
    s->host->print(s->self, "instructions %llu\n", (unsigned long long)all);
    for (size_t i = 0; i < n && i < s->top && lines[i].count; i++)
        s->host->print(s->self, "%-16s %14llu %6.2f %%\n", lines[i].name,
                       (unsigned long long)lines[i].count,
                       100.0 * (double)lines[i].count / (double)all);
    free(lines);
    free(s);
}

static const struct parallax_param params[] = {{"top", "print so many (default: all)"},
                                               {NULL, NULL}};

const struct parallax_plugin parallax_plugin = {.version = PARALLAX_PLUGIN_VERSION,
                                                .name = "insn_mix",
                                                .doc = "how often each instruction was executed",
                                                .params = params,
                                                .create = create,
                                                .block = block,
                                                .finish = finish};
