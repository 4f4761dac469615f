/*
 * cache.c: a model of a data cache: sets and ways of lines, least recently used goes first, each
 * CPU with its own. Physical or linear makes no difference to it: it is indexed by linear address,
 * as a first-level cache within a page is. Says hits and misses, and which instructions miss most.
 *
 * Not modelled: instruction fetches, page walks, other levels, coherence between CPUs.
 */
#include "machine/parallax-plugin.h"
#include <stdlib.h>
#include <string.h>

#define CPUS 16u
#define MISSERS 4096u /* places for instructions that miss; what collides shares one */

struct line {
    uint64_t tag; /* address / line size + 1; 0: empty */
    uint64_t used;
};

struct cpu {
    struct line *lines; /* sets * ways */
    uint64_t time, reads, writes, read_misses, write_misses;
    struct misser {
        uint64_t pc, misses;
    } misser[MISSERS];
};

struct state {
    const struct parallax_host *host;
    struct parallax *self;
    uint64_t bytes, ways, line, sets;
    struct cpu *cpu[CPUS];
};

/* A number with K or M behind it; 0: it is none. */
static uint64_t number(const char *text, uint64_t otherwise)
{
    if (!text)
        return otherwise;
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 0;
    return (shift ? end[1] : *end) || n >= 1u << 20 ? 0 : n << shift;
}

static bool is_power(uint64_t n)
{
    return n && !(n & (n - 1));
}

static void destroy(struct state *s)
{
    for (unsigned i = 0; i < CPUS; i++) {
        if (s->cpu[i])
            free(s->cpu[i]->lines);
        free(s->cpu[i]);
    }
    free(s);
}

static const char *create(const struct parallax_host *host, struct parallax *self,
                          const char *const *values, void **state)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return "out of memory";
    *s = (struct state){.host = host,
                        .self = self,
                        .bytes = number(values[0], 32u << 10),
                        .ways = number(values[1], 8),
                        .line = number(values[2], 64)};
    const char *wrong = NULL;
    if (!is_power(s->bytes) || !is_power(s->ways) || !is_power(s->line) || s->bytes > 64u << 20 ||
        s->ways * s->line > s->bytes)
        wrong = "size=, ways= and line= are powers of two, and a way holds a line";
    s->sets = wrong ? 0 : s->bytes / (s->ways * s->line);
    for (unsigned i = 0; !wrong && i < host->vcpus(self); i++) {
        s->cpu[i] = calloc(1, sizeof *s->cpu[i]);
        if (s->cpu[i])
            s->cpu[i]->lines = calloc(s->sets * s->ways, sizeof(struct line));
        if (!s->cpu[i] || !s->cpu[i]->lines)
            wrong = "out of memory";
    }
    if (wrong)
        destroy(s);
    *state = s;
    return wrong;
}

/* Touches a line; false: it was not there. */
static bool touch(const struct state *s, struct cpu *c, uint64_t number)
{
    struct line *set = &c->lines[(number & (s->sets - 1)) * s->ways], *oldest = set;
    for (unsigned way = 0; way < s->ways; way++) {
        if (set[way].tag == number + 1) {
            set[way].used = ++c->time;
            return true;
        }
        if (set[way].used < oldest->used)
            oldest = &set[way];
    }
    *oldest = (struct line){number + 1, ++c->time};
    return false;
}

static void note_misser(struct cpu *c, uint64_t pc)
{
    struct misser *m = &c->misser[(pc ^ pc >> 12) & (MISSERS - 1)];
    if (m->pc != pc && m->misses) { /* the one that misses more stays */
        m->misses--;
        return;
    }
    m->pc = pc;
    m->misses++;
}

static void on_access(void *state, struct parallax_vcpu *vcpu, const struct parallax_access *a)
{
    struct state *s = state;
    struct cpu *c = s->cpu[s->host->vcpu_number(vcpu)];
    bool hit = true;
    for (uint64_t n = a->address / s->line; n <= (a->address + a->size - 1) / s->line; n++)
        hit &= touch(s, c, n);
    *(a->write ? &c->writes : &c->reads) += 1;
    if (hit)
        return;
    *(a->write ? &c->write_misses : &c->read_misses) += 1;
    note_misser(c, a->pc);
}

static int more_first(const void *a, const void *b)
{
    const struct misser *x = a, *y = b;
    return x->misses < y->misses ? 1 : x->misses > y->misses ? -1 : 0;
}

static void print_cpu(const struct state *s, unsigned n)
{
    struct cpu *c = s->cpu[n];
    uint64_t all = c->reads + c->writes, misses = c->read_misses + c->write_misses;
    s->host->print(s->self,
                   "cpu %u accesses %llu misses %llu (%.3f %%) reads %llu %llu writes %llu %llu\n",
                   n, (unsigned long long)all, (unsigned long long)misses,
                   all ? 100.0 * (double)misses / (double)all : 0.0, (unsigned long long)c->reads,
                   (unsigned long long)c->read_misses, (unsigned long long)c->writes,
                   (unsigned long long)c->write_misses);
    qsort(c->misser, MISSERS, sizeof *c->misser, more_first);
    for (unsigned i = 0; i < 10 && c->misser[i].misses; i++)
        s->host->print(s->self, "  at %016llx about %llu\n", (unsigned long long)c->misser[i].pc,
                       (unsigned long long)c->misser[i].misses);
}

static void finish(void *state)
{
    struct state *s = state;
    s->host->print(s->self, "cache of %llu bytes, %llu ways, lines of %llu\n",
                   (unsigned long long)s->bytes, (unsigned long long)s->ways,
                   (unsigned long long)s->line);
    for (unsigned i = 0; i < s->host->vcpus(s->self); i++)
        print_cpu(s, i);
    destroy(s);
}

static const struct parallax_param params[] = {{"size", "bytes (default 32K)"},
                                               {"ways", "lines of a set (default 8)"},
                                               {"line", "bytes of a line (default 64)"},
                                               {NULL, NULL}};

const struct parallax_plugin parallax_plugin = {.version = PARALLAX_PLUGIN_VERSION,
                                                .name = "cache",
                                                .doc = "a model of a data cache",
                                                .params = params,
                                                .create = create,
                                                .access = on_access,
                                                .finish = finish};
